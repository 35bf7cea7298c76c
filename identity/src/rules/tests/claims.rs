//! Claims and records: PROTOCOL 5.2, and the rows of 5.3 about names.

use super::log::*;
use crate::cert::{Body, ClaimProof, DidKind, Genesis, Records, Row};
use crate::did::Did;
use crate::pow::{code_hash, leading_zero_bits, work};
use crate::state::NameStatus;
use crate::testing::samples::{first, zone_authority};

const NAME: &str = "alice2.dgns.test";

fn invite() -> ClaimProof {
    ClaimProof::Invite { code_hash: code_hash(&[1; 16]) }
}

#[test]
fn a_voter_or_the_identity_key_claims_with_the_zones_signature() {
    let (mut log, alice) = Log::with_alice(1);
    assert_eq!(log.act(alice, open_road(NAME, &alice), &[11]), Err("not_allowed"));
    log.does(alice, open_road(NAME, &alice), &[10, Z]);
    log.does(alice, claim("alice3.dgns.test", invite()), &[11, Z]);
    assert_eq!(log.did(&alice).names, ["alice.dgns.test", NAME, "alice3.dgns.test"].map(String::from));
    assert_eq!((log.owner(NAME), log.name(NAME).version), (Some(alice), 1));
}

#[test]
fn the_zones_signature_alone_claims_nothing() {
    let (mut log, alice) = Log::with_alice(1);
    assert_eq!(log.act(alice, open_road(NAME, &alice), &[Z]), Err("not_allowed"));
}

#[test]
fn a_name_is_taken_once() {
    let (mut log, alice) = Log::with_alice(1);
    let bob = log.join(20, 21);
    assert_eq!(log.act(bob, open_road("alice.dgns.test", &bob), &[21, Z]), Err("name_taken"));
    assert_eq!(log.act(alice, open_road("alice.dgns.test", &alice), &[11, Z]), Err("name_taken"));
}

#[test]
fn reserved_names_and_names_of_other_zones_are_refused() {
    let (mut log, alice) = Log::with_alice(1);
    assert_eq!(log.act(alice, claim("admin.dgns.test", invite()), &[11, Z]), Err("reserved_name"));
    for name in ["alice.other.test", "ab.dgns.test", "xn--bcher-kva.dgns.test", "dgns.test", "a.b.c.d.alice.dgns.test"]
    {
        assert_eq!(log.act(alice, claim(name, invite()), &[11, Z]), Err("bad_name"), "{name}");
    }
    log.does(alice, below("admin.alice.dgns.test"), &[11, Z]);
}

#[test]
fn work_below_the_floor_or_below_its_own_claim_is_short() {
    let (mut log, alice) = Log::with_alice(1);
    let bits_of = |nonce| leading_zero_bits(&work(NAME, &alice, nonce));
    let nonce = (0..).find(|nonce| bits_of(*nonce) == 1).expect("a nonce");
    let open = |nonce, bits| claim(NAME, ClaimProof::Open { nonce, bits });
    assert_eq!(log.act(alice, open(nonce, WORK_BITS - 1), &[11, Z]), Err("pow_short"));
    assert_eq!(log.act(alice, open(nonce, 2), &[11, Z]), Err("pow_short"));
    assert_eq!(log.act(alice, open(nonce, 255), &[11, Z]), Err("pow_short"));
    let idle = (0..).find(|nonce| bits_of(*nonce) == 0).expect("a nonce");
    assert_eq!(log.act(alice, open(idle, 1), &[11, Z]), Err("pow_short"));
    log.does(alice, open(nonce, 1), &[11, Z]);
}

#[test]
fn work_is_done_for_one_did_and_cannot_be_taken_over() {
    let (mut log, alice) = Log::with_alice(1);
    let fits = |did: &Did, nonce| leading_zero_bits(&work(NAME, did, nonce)) >= 1;
    let bob = log.join(20, 21);
    let nonce = (0..).find(|nonce| fits(&alice, *nonce) && !fits(&bob, *nonce)).expect("a nonce");
    assert_eq!(log.act(bob, claim(NAME, ClaimProof::Open { nonce, bits: 1 }), &[21, Z]), Err("pow_short"));
}

#[test]
fn a_road_that_the_zone_does_not_open_is_closed() {
    let (mut log, alice) = Log::with_alice(1);
    let mut terms = zone_authority();
    terms.zone.as_mut().expect("terms").roads = 0b0001;
    log.does(log.server(), Body::NotaryAdd(terms), &[1]);
    assert_eq!(log.act(alice, claim(NAME, invite()), &[11, Z]), Err("road_closed"));
    assert_eq!(log.act(alice, below("a.alice.dgns.test"), &[11, Z]), Err("road_closed"));
}

#[test]
fn roads_1_and_3_lead_to_first_level_names_alone_and_road_4_below() {
    let (mut log, alice) = Log::with_alice(1);
    assert_eq!(log.act(alice, open_road("a.alice.dgns.test", &alice), &[11, Z]), Err("road_closed"));
    assert_eq!(log.act(alice, claim("a.alice.dgns.test", invite()), &[11, Z]), Err("road_closed"));
    assert_eq!(log.act(alice, below(NAME), &[11, Z]), Err("no_parent"));
}

#[test]
fn without_an_authority_every_road_is_closed() {
    let (mut log, alice) = Log::with_alice(1);
    log.does(log.server(), Body::NotaryRevoke { kid: kid(Z) }, &[2]);
    assert_eq!(log.act(alice, open_road(NAME, &alice), &[11, Z]), Err("road_closed"));
}

#[test]
fn the_parent_must_be_live_and_its_owner_must_sign() {
    let (mut log, alice) = Log::with_alice(1);
    let bob = log.join(20, 21);
    let name = "bob.alice.dgns.test";
    assert_eq!(log.act(bob, below("bob.nobody.dgns.test"), &[21, Z]), Err("no_parent"));
    assert_eq!(log.act(bob, below(name), &[21, Z]), Err("not_allowed"));
    assert_eq!(log.act_by(bob, alice, below(name), &[21, Z]), Err("not_allowed"));
    assert_eq!(log.act_by(bob, alice, below(name), &[21, 10, Z]), Err("not_allowed"), "a voter, not the words");
    assert_eq!(log.act_by(bob, bob, below(name), &[21, Z]), Err("not_allowed"));
    let nobody = Did::from_bytes([9; 20]);
    assert_eq!(log.act_by(bob, nobody, below(name), &[21, Z]), Err("not_allowed"));
    assert_eq!(log.act_by(bob, alice, below(name), &[21, 11]), Err("not_allowed"), "the zone signs too");
    log.act_by(bob, alice, below(name), &[21, 11, Z]).expect("granted");
    assert_eq!((log.owner(name), log.name("alice.dgns.test").children), (Some(bob), 1));
}

#[test]
fn the_owner_of_the_parent_alone_grants_not_one_further_up() {
    let (mut log, alice) = Log::with_alice(1);
    let bob = log.join(20, 21);
    log.act_by(bob, alice, below("bob.alice.dgns.test"), &[21, 11, Z]).expect("granted");
    assert_eq!(log.act(alice, below("a.bob.alice.dgns.test"), &[11, Z]), Err("not_allowed"));
    log.act_by(alice, bob, below("a.bob.alice.dgns.test"), &[11, 21, Z]).expect("granted");
}

#[test]
fn a_frozen_or_suspended_parent_grants_nothing() {
    let (mut log, alice) = Log::with_alice(2);
    let bob = log.join(20, 21);
    let act = log.does(alice, suspend(12), &[11]);
    assert_eq!(log.act_by(bob, alice, below("a.alice.dgns.test"), &[21, 12, Z]), Err("not_allowed"));
    log.does(alice, veto(act), &[12]);
    assert_eq!(log.act_by(bob, alice, below("a.alice.dgns.test"), &[21, 11, 12, Z]), Err("not_allowed"));
}

#[test]
fn an_older_authority_signs_no_claim_and_a_revoked_one_says_when() {
    let (mut log, alice) = Log::with_alice(1);
    let newer = crate::cert::Authority { key: crate::testing::samples::key(8).public(), ..zone_authority() };
    log.does(log.server(), Body::NotaryAdd(newer), &[1]);
    assert_eq!(log.act(alice, claim(NAME, invite()), &[11, Z]), Err("not_allowed"));
    log.does(log.server(), Body::NotaryRevoke { kid: kid(Z) }, &[1]);
    assert_eq!(log.act(alice, claim(NAME, invite()), &[11, Z]), Err("key_revoked"));
    log.does(alice, claim(NAME, invite()), &[11, 8]);
}

#[test]
fn records_are_the_owners_and_stand_in_the_names_state() {
    let (mut log, alice) = Log::with_alice(1);
    let bob = log.join(20, 21);
    let index = log.index;
    let sid = log.does(alice, records("alice.dgns.test", 60), &[11]);
    assert_eq!(log.name("alice.dgns.test").records, Some((index, sid)));
    log.does(alice, records("alice.dgns.test", 60), &[10]);
    assert_eq!(log.act(bob, records("alice.dgns.test", 60), &[21]), Err("not_name_owner"));
    assert_eq!(log.act(alice, records("nobody.dgns.test", 60), &[11]), Err("not_name_owner"));
    assert_eq!(log.act(alice, records("alice.other.test", 60), &[11]), Err("bad_name"));
    assert_eq!(log.act(alice, records("alice.dgns.test", 5), &[11]), Err("bad_record"));
    log.act_by(bob, alice, below("b.alice.dgns.test"), &[21, 11, Z]).expect("granted");
    assert_eq!(log.act(alice, records("b.alice.dgns.test", 60), &[11]), Err("not_name_owner"), "not of a name below");
}

#[test]
fn a_held_name_is_taken_until_it_is_free_and_begins_anew() {
    let (mut log, alice) = Log::with_alice(1);
    let bob = log.join(20, 21);
    log.does(alice, records("alice.dgns.test", 60), &[11]);
    log.does(alice, release("alice.dgns.test"), &[10]);
    assert_eq!(log.name("alice.dgns.test").status, NameStatus::Held);
    assert!(log.did(&alice).names.is_empty());
    assert_eq!(log.act(alice, records("alice.dgns.test", 60), &[11]), Err("not_name_owner"));
    log.wait(90 * DAY - 1);
    assert_eq!(log.act(alice, open_road("alice.dgns.test", &alice), &[11, Z]), Err("name_taken"));
    log.wait(1);
    assert_eq!(log.name("alice.dgns.test").status, NameStatus::Free);
    log.does(bob, open_road("alice.dgns.test", &bob), &[21, Z]);
    assert_eq!((log.owner("alice.dgns.test"), log.name("alice.dgns.test").records), (Some(bob), None));
}

fn records(name: &str, ttl: u32) -> Body {
    let row = Row { owner: String::new(), rtype: 1, rdata: vec![192, 0, 2, 1], ttl };
    Body::Records(Records { name: name.into(), rows: vec![row], aliases: vec![], flags: 0 })
}

#[test]
fn a_database_and_a_server_claim_as_a_person_does_and_stay_what_they_are() {
    let (mut log, alice) = Log::with_alice(1);
    for (kind, identity, name) in
        [(DidKind::Database, 40, "db.alice.dgns.test"), (DidKind::Server, 42, "host.alice.dgns.test")]
    {
        let sid = log.post(first(Genesis { kind, ..person(identity, identity + 1) }), &[identity, identity + 1]);
        let did = Did::of_genesis(&sid.expect("a genesis"));
        assert_eq!(
            log.act(did, below(name), &[identity + 1, Z]),
            Err("not_allowed"),
            "{name} is below a name of alice's"
        );
        log.act_by(did, alice, below(name), &[identity + 1, 11, Z]).expect("alice signs along");
        assert_eq!((log.owner(name), log.did(&did).kind), (Some(did), kind));
        log.does(did, claim(&format!("of{identity}.dgns.test"), invite()), &[identity, Z]);
    }
}

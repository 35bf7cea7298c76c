//! `tests/vectors/rules.json`: what happens to states, step by step, and every refusal.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::codes::every_code;
use super::log::*;
use crate::cert::{
    Body, Certificate, ClaimProof, Delegate, DidKind, Enrolment, Genesis, IdRotate, Level, Payload, Records,
    RecoverFinal, Row,
};
use crate::did::Did;
use crate::pow::code_hash;
use crate::testing::samples::{
    alias_of, attest, delegate, device, first, key, no_delegate, origin, recover_open, recovery_set, user_key,
    zone_authority,
};
use crate::vectors::hold;

const ABOUT: [&str; 7] = [
    "The rules (PROTOCOL 5): logs from their first entry, step by step. Bytes are hexadecimal.",
    "in: the zone, the origin, and the server's DID, which the first step makes.",
    "A step with envelope judges that certificate at index and epoch_ms; a step with settle lets the one earliest thing of that",
    "subject take effect that is due at epoch_ms.",
    "out: each subject changed, with the version of its state, the head index of its leaf, and SHA-256 of the state's bytes.",
    "error: the code of the refusal, which changes nothing.",
    "Signatures are checked under the keys of the states, the body and the zone's authorities (PROTOCOL 4.3) before the rules.",
];

/// A log's story.
type Story = fn(&mut Log, Did);

const STORIES: [(&str, u8, Story); 17] = [
    ("chains and signatures", 1, chains),
    ("claims on each road, and records", 1, claims),
    ("devices come and go", 3, devices),
    ("words and windows", 3, words),
    ("names change hands, are held and free again", 3, names),
    ("a quarrel of two devices, decided by a third", 3, quarrel),
    ("quarrels withdrawn, given in to, and decided by the words", 4, quarrels),
    ("a name is delegated, and taken back", 2, delegations),
    ("the server's authorities", 1, authorities),
    ("sign-ins, aliases and the attested road", 2, aliases),
    ("the user key is turned", 3, user_keys),
    ("a database and a server have names too", 1, things),
    ("a recovery, from the enrolment to the new device", 2, recovery),
    ("a recovery that is vetoed, and guesses that run out", 2, vetoed),
    ("a recovery out of a quarrel, confirmed by a third device, with new words", 3, recovered_from_a_quarrel),
    ("enrolments that wait, change and end", 2, enrolments),
    ("a recovery of the only device's", 1, alone),
];

#[test]
fn rules_json_holds() {
    let cases: Vec<Value> = STORIES.iter().map(|(name, devices, story)| case(name, *devices, *story)).collect();
    let steps = cases.iter().filter_map(|case| case["steps"].as_array()).flatten();
    let met: BTreeSet<&str> = steps.filter_map(|step| step["error"].as_str()).collect();
    assert_eq!(met, every_code(), "each refusal has a step");
    hold("rules", &ABOUT, &cases);
}

fn case(name: &str, devices: u8, story: Story) -> Value {
    let (mut log, alice) = Log::with_alice(devices);
    story(&mut log, alice);
    let given = json!({ "zone": "dgns.test", "origin": origin().as_str(), "server": log.server().to_string() });
    json!({ "name": name, "in": given, "steps": log.steps })
}

/// Posts what must be refused so.
#[track_caller]
fn refused(log: &mut Log, did: Did, body: Body, signers: &[u8], code: &str) {
    assert_eq!(log.act(did, body, signers).err(), Some(code));
}

fn invite() -> ClaimProof {
    ClaimProof::Invite { code_hash: code_hash(&[1; 16]) }
}

fn rotate(number: u8) -> Body {
    Body::IdRotate(IdRotate { identity: key(number).public(), words_box: [number; 32] })
}

fn text(name: &str, ttl: u32, rows: usize) -> Body {
    let row = |n| Row { owner: String::new(), rtype: 16, rdata: vec![1, b'a' + n as u8], ttl };
    Body::Records(Records { name: name.into(), rows: (0..rows).map(row).collect(), aliases: vec![], flags: 0 })
}

fn chains(log: &mut Log, alice: Did) {
    assert_eq!(log.post(first(person(10, 11)), &[10, 11]).map_err(|r| r.code()), Err("did_exists"));
    assert_eq!(log.post(first(person(20, 21)), &[20]).map_err(|r| r.code()), Err("not_allowed"));
    let late = Payload { seq: 9, ..log.next(alice, policy(100_000)) };
    assert_eq!(log.post(late, &[10]).map_err(|r| r.code()), Err("stale_prev"));
    refused(log, alice, policy(100_000), &[31], "unknown_signer");
    let forged = Certificate::assemble(&log.next(alice, policy(100_000)).encode(), vec![(kid(10), [0; 64])]);
    let judged = log.certificate(&forged.expect("it decodes"));
    assert_eq!(judged.map_err(|r| r.code()), Err("bad_signature"));
    let zero = crate::cert::Device { kex: [0; 32], ..device(12, Level::Admin) };
    refused(log, alice, Body::DeviceAdd(zero), &[10, 12], "weak_key");
    let act = log.does(alice, Body::Tombstone, &[11]);
    log.does(alice, confirm(act), &[10]);
    log.wait(WINDOW);
    refused(log, alice, policy(100_000), &[10], "ended");
}

fn claims(log: &mut Log, alice: Did) {
    let bob = log.join(20, 21);
    refused(log, alice, open_road("alice.dgns.test", &alice), &[11, Z], "name_taken");
    refused(log, alice, claim("alice.other.test", invite()), &[11, Z], "bad_name");
    refused(log, alice, claim("www.dgns.test", invite()), &[11, Z], "reserved_name");
    refused(log, alice, claim("alice2.dgns.test", ClaimProof::Open { nonce: 0, bits: 0 }), &[11, Z], "pow_short");
    refused(log, alice, claim("a.alice.dgns.test", invite()), &[11, Z], "road_closed");
    refused(log, bob, below("a.nobody.dgns.test"), &[21, Z], "no_parent");
    refused(log, bob, below("b.alice.dgns.test"), &[21, Z], "not_allowed");
    log.does(alice, claim("alice2.dgns.test", invite()), &[11, Z]);
    log.act_by(bob, alice, below("b.alice.dgns.test"), &[21, 11, Z]).expect("granted");
    log.does(bob, text("b.alice.dgns.test", 60, 2), &[21]);
    refused(log, alice, text("b.alice.dgns.test", 60, 1), &[11], "not_name_owner");
    refused(log, alice, text("alice.dgns.test", 1, 1), &[11], "bad_record");
    refused(log, alice, text("alice.dgns.test", 60, 33), &[11], "too_many");
    log.does(alice, text("alice.dgns.test", 60, 0), &[10]);
}

fn devices(log: &mut Log, alice: Did) {
    refused(log, alice, add(12), &[11, 12], "kid_taken");
    log.does(alice, add(14), &[11, 14]);
    refused(log, alice, policy(100_000), &[14], "not_allowed");
    refused(log, alice, suspend(14), &[11], "not_allowed");
    log.wait(WINDOW);
    log.does(alice, Body::DeviceAdd(device(15, Level::Service)), &[14, 15]);
    log.does(alice, suspend(12), &[11]);
    refused(log, alice, policy(100_000), &[11], "act_open");
    refused(log, alice, policy(100_000), &[12], "suspended");
    log.wait(WINDOW);
    let act = log.does(alice, revoke(12), &[11]);
    log.does(alice, confirm(act), &[13]);
    log.does(alice, confirm(act), &[14]);
    log.does(alice, revoke(15), &[15]);
    log.does(alice, revoke(14), &[11, 13, 14]);
    refused(log, alice, revoke(14), &[11], "no_such_device");
    log.wait(WINDOW);
    log.does(alice, revoke(13), &[11]);
    log.wait(WINDOW);
    refused(log, alice, revoke(11), &[11], "last_device");
    log.does(alice, revoke(11), &[10]);
}

fn words(log: &mut Log, alice: Did) {
    refused(log, alice, rotate(10), &[10], "key_same");
    refused(log, alice, rotate(12), &[10, 12], "kid_taken");
    refused(log, alice, policy(86_399), &[10], "bad_window");
    log.does(alice, policy(86_400), &[11, 12]);
    let act = log.does(alice, rotate(50), &[11, 50]);
    refused(log, alice, veto([0; 32]), &[12], "no_such_act");
    log.does(alice, veto(act), &[12]);
    log.does(alice, rotate(51), &[12, 51]);
    log.wait(DAY - 1);
    log.wait(1);
    log.does(alice, rotate(52), &[51, 52]);
    let act = log.does(alice, policy(200_000), &[11]);
    refused(log, alice, confirm(act), &[11], "already_voted");
    log.does(alice, confirm(act), &[52]);
}

fn names(log: &mut Log, alice: Did) {
    let bob = log.join(20, 21);
    let name = "alice.dgns.test";
    log.does(alice, below("a.alice.dgns.test"), &[11, Z]);
    refused(log, alice, release(name), &[10], "has_children");
    refused(log, bob, release(name), &[20], "not_name_owner");
    let act = log.act_by(alice, bob, transfer(name, bob), &[11, 21]).expect("opened");
    log.does(alice, confirm(act), &[12]);
    log.wait(WINDOW);
    log.act(bob, transfer("a.alice.dgns.test", bob), &[20, 21]).expect("from above");
    log.does(bob, release("a.alice.dgns.test"), &[20]);
    log.does(bob, Body::Tombstone, &[21]);
    log.wait(WINDOW);
    log.wait(90 * DAY);
    log.does(alice, open_road(name, &alice), &[12, Z]);
}

fn delegations(log: &mut Log, alice: Did) {
    let bob = log.join(20, 21);
    let name = "alice.dgns.test";
    let changed = |change: fn(&mut Delegate)| {
        let mut changed = delegate();
        change(&mut changed);
        Body::Delegate(changed)
    };
    let whole = || changed(|_| ());
    log.does(alice, text(name, 60, 1), &[11]);
    log.does(alice, below("a.alice.dgns.test"), &[11, Z]);
    refused(log, alice, whole(), &[11], "has_children");
    log.does(alice, release("a.alice.dgns.test"), &[10]);
    refused(log, bob, whole(), &[21], "not_name_owner");
    refused(log, alice, changed(|d| d.name = "alice.other.test".into()), &[11], "bad_name");
    refused(log, alice, changed(|d| d.servers[1] = "nx_host.example".into()), &[11], "bad_record");
    refused(log, alice, changed(|d| d.servers[1] = "nsomewhere".into()), &[11], "bad_record");
    refused(log, alice, changed(|d| d.ds[0][3] = 1), &[11], "bad_record");
    refused(log, alice, changed(|d| d.ds[1].truncate(51)), &[11], "bad_record");
    refused(log, alice, changed(|d| d.ds[0][2] = 0), &[11], "bad_record");
    refused(log, alice, changed(|d| d.glue[1].host = "ns.example".into()), &[11], "bad_record");
    refused(log, alice, changed(|d| d.glue[0].host = "ms.alice.dgns.test".into()), &[11], "bad_record");
    refused(log, alice, changed(|d| d.glue[0].address = vec![0; 4]), &[11], "bad_record");
    refused(log, alice, changed(|d| d.glue[0].address = vec![1; 5]), &[11], "bad_record");
    refused(log, alice, changed(|d| d.glue.clear()), &[11], "bad_record");
    refused(log, alice, changed(|d| d.log.as_mut().expect("a log").key = [0; 32]), &[11], "weak_key");
    log.does(alice, whole(), &[11]);
    refused(log, alice, text(name, 60, 1), &[11], "name_delegated");
    refused(log, alice, below("b.alice.dgns.test"), &[11, Z], "name_delegated");
    log.does(alice, changed(|d| (d.ds, d.log) = (vec![], None)), &[12]);
    log.does(alice, Body::Delegate(no_delegate(name)), &[10]);
    log.does(alice, text(name, 60, 1), &[11]);
    log.does(alice, Body::Delegate(no_delegate(name)), &[12]);
    log.does(alice, below("b.alice.dgns.test"), &[11, Z]);
    log.does(alice, release("b.alice.dgns.test"), &[10]);
    log.does(alice, whole(), &[11]);
    log.act_by(alice, bob, transfer(name, bob), &[10, 21]).expect("a delegated name changes hands as it is");
    log.does(bob, release(name), &[20]);
    log.wait(90 * DAY);
    log.does(alice, open_road(name, &alice), &[12, Z]);
    log.does(alice, text(name, 60, 1), &[11]);
}

fn quarrel(log: &mut Log, alice: Did) {
    log.does(alice, add(30), &[11, 30]);
    let other = log.does(alice, policy(100_000), &[12]);
    let act = log.does(alice, revoke(12), &[11]);
    log.does(alice, veto(act), &[12]);
    refused(log, alice, veto(other), &[13], "no_such_act");
    refused(log, alice, policy(100_000), &[13], "frozen");
    refused(log, alice, confirm(act), &[30], "not_allowed");
    log.wait(2 * WINDOW);
    log.does(alice, veto(act), &[13]);
    log.does(alice, revoke(11), &[12, 13]);
    log.wait(WINDOW);
}

fn quarrels(log: &mut Log, alice: Did) {
    let act = log.does(alice, suspend(12), &[11]);
    log.does(alice, veto(act), &[12]);
    log.does(alice, veto(act), &[11]);
    let act = log.does(alice, suspend(12), &[11]);
    log.does(alice, veto(act), &[13]);
    refused(log, alice, veto(act), &[13], "already_voted");
    log.does(alice, confirm(act), &[12]);
    log.wait(WINDOW);
    let act = log.does(alice, revoke(13), &[12]);
    log.does(alice, veto(act), &[13]);
    log.wait(10 * WINDOW);
    log.does(alice, confirm(act), &[10]);
    let act = log.does(alice, revoke(14), &[12]);
    log.does(alice, veto(act), &[11]);
    log.does(alice, revoke(11), &[10]);
    log.wait(WINDOW);
}

fn authorities(log: &mut Log, alice: Did) {
    let mut newer = zone_authority();
    newer.key = key(8).public();
    let newer = Body::NotaryAdd(newer);
    refused(log, alice, newer.clone(), &[10], "not_server");
    let server = log.server();
    refused(log, server, Body::NotaryRevoke { kid: kid(77) }, &[1], "bad_scope");
    log.does(server, newer, &[2]);
    log.wait(WINDOW);
    refused(log, alice, claim("alice2.dgns.test", invite()), &[11, Z], "not_allowed");
    log.does(server, Body::NotaryRevoke { kid: kid(Z) }, &[2]);
    refused(log, alice, claim("alice2.dgns.test", invite()), &[11, Z], "key_revoked");
    log.does(alice, claim("alice2.dgns.test", invite()), &[11, 8]);
    log.does(server, Body::NotaryRevoke { kid: kid(8) }, &[1]);
    refused(log, alice, claim("alice3.dgns.test", invite()), &[11, 8], "road_closed");
}

fn aliases(log: &mut Log, alice: Did) {
    let (server, alias) = (log.server(), alias_of("alice@example.test"));
    let bob = log.join(20, 21);
    log.does(server, add_notary(N), &[1]);
    log.does(server, all_roads(), &[1]);
    log.does(alice, claim("alice2.dgns.test", attested()), &[11, N, Z]);
    refused(log, alice, claim("alice3.dgns.test", attested()), &[11, Z], "not_allowed");
    refused(log, alice, bind(alias), &[11], "not_allowed");
    log.signs_in(alias, 11, N).expect("the first");
    assert_eq!(log.signs_in(alias, 31, 31), Err("not_allowed"));
    let elsewhere = crate::cert::AttestLogin { issuer: [0; 32], ..attest(31) };
    assert_eq!(log.post(log.next_login(alias, elsewhere), &[N]).map_err(|r| r.code()), Err("bad_scope"));
    let stale = Payload { seq: 5, ..log.next_login(alias, attest(31)) };
    assert_eq!(log.post(Payload { prev: Some([0; 32]), ..stale }, &[N]).map_err(|r| r.code()), Err("stale_prev"));
    log.does(alice, bind(alias), &[11, N]);
    refused(log, bob, bind(alias), &[21, N], "alias_bound");
    refused(log, bob, unbind(alias), &[20], "not_bound");
    let thiefs = log.signs_in(alias, 31, N).expect("a thief");
    log.does(alice, dispute(thiefs, alias), &[12]);
    refused(log, alice, dispute(thiefs, alias), &[11], "already_voted");
    refused(log, alice, dispute([0; 32], alias), &[11], "no_such_act");
    for number in 32..=39 {
        log.signs_in(alias, number, N).expect("a sign-in");
    }
    log.signs_in(alias, 33, N).expect("again");
    let act = log.does(alice, unbind(alias), &[11]);
    refused(log, alice, bind(alias_of("other@example.test")), &[11, N], "act_open");
    log.does(alice, confirm(act), &[12]);
    log.does(alice, bind(alias), &[10, N]);
    log.does(alice, unbind(alias), &[12]);
    log.wait(WINDOW);
    log.does(alice, bind(alias), &[11, N]);
    log.signs_in(alias, 11, N).expect("alice");
    log.signs_in(alias, 21, N).expect("bob");
    log.does(alice, Body::Tombstone, &[11]);
    log.wait(WINDOW);
    log.does(bob, bind(alias), &[21, N]);
    log.does(server, Body::NotaryRevoke { kid: kid(N) }, &[2]);
    assert_eq!(log.signs_in(alias, 21, N), Err("notary_revoked"));
    refused(log, bob, bind(alias_of("bob@example.test")), &[21, N], "notary_revoked");
    refused(log, bob, claim("bob.dgns.test", attested()), &[21, N, Z], "notary_revoked");
}

fn user_keys(log: &mut Log, alice: Did) {
    refused(log, alice, turn(2), &[11], "bad_generation");
    log.does(alice, turn(1), &[11]);
    let same_key = crate::cert::UserKey { key: user_key(1).key, ..user_key(2) };
    refused(log, alice, Body::UserKey(same_key), &[11], "key_same");
    let same_boxes = crate::cert::UserKey { boxes: user_key(1).boxes, ..user_key(2) };
    refused(log, alice, Body::UserKey(same_boxes), &[11], "bad_boxes");
    log.does(alice, revoke(12), &[11]);
    log.does(alice, Body::UserKey(user_key(2)), &[11]);
    log.wait(WINDOW);
    log.does(alice, turn(3), &[10]);
    log.does(alice, suspend(13), &[11]);
    log.does(alice, turn(4), &[11]);
    log.wait(WINDOW);
    let act = log.does(alice, suspend(13), &[11]);
    log.does(alice, veto(act), &[13]);
    refused(log, alice, turn(5), &[11], "suspended");
    log.does(alice, turn(5), &[10]);
    log.does(alice, rotate(50), &[10, 50]);
}

fn things(log: &mut Log, alice: Did) {
    let mut begin = |kind, identity, device| {
        let body = Genesis { kind, ..person(identity, device) };
        Did::of_genesis(&log.post(first(body), &[identity, device]).expect("a genesis"))
    };
    let (database, server) = (begin(DidKind::Database, 40, 41), begin(DidKind::Server, 42, 43));
    refused(log, database, below("db.alice.dgns.test"), &[41, Z], "not_allowed");
    log.act_by(database, alice, below("db.alice.dgns.test"), &[41, 11, Z]).expect("granted");
    log.does(database, text("db.alice.dgns.test", 60, 1), &[41]);
    log.does(server, open_road("host.dgns.test", &server), &[43, Z]);
    refused(log, server, add_notary(N), &[42], "not_server");
    log.act(alice, transfer("db.alice.dgns.test", alice), &[10, 11]).expect("from above");
}

fn with_notary(log: &mut Log) {
    let server = log.server();
    log.does(server, add_notary(N), &[1]);
}

fn recovery(log: &mut Log, alice: Did) {
    with_notary(log);
    log.does(alice, turn(1), &[11]);
    refused(log, alice, try_open(1, 1, 80), &[80, N], "no_recovery");
    refused(log, alice, enrol(2), &[10], "bad_epoch");
    log.does(alice, enrol(1), &[11, 12]);
    refused(log, alice, try_open(2, 1, 80), &[80, N], "bad_epoch");
    refused(log, alice, try_open(1, 2, 80), &[80, N], "bad_attempt");
    refused(log, alice, try_open(1, 1, 80), &[80], "not_allowed");
    refused(log, alice, try_open(1, 1, 80), &[N], "not_allowed");
    refused(log, alice, try_open(1, 1, 12), &[12, N], "kid_taken");
    let mut blind = recover_open(1, 1, 80);
    blind.blinded = [0xff; 32];
    refused(log, alice, Body::RecoverOpen(blind), &[80, N], "bad_point");
    refused(log, alice, prove(1, 1), &[70], "not_allowed");
    log.does(alice, try_open(1, 1, 80), &[80, N]);
    refused(log, alice, try_open(1, 2, 81), &[81, N], "backoff");
    log.wait(60_000);
    log.does(alice, try_open(1, 2, 81), &[81, N]);
    refused(log, alice, prove(1, 2), &[81], "not_allowed");
    refused(log, alice, prove(1, 1), &[70, 81], "bad_attempt");
    log.wait(600_000);
    log.does(alice, prove(1, 2), &[70, 81]);
    refused(log, alice, finish(1, 2, 81, &[]), &[70, 81], "not_ready");
    refused(log, alice, try_open(1, 3, 82), &[82, N], "recovery_pending");
    log.wait(WINDOW - 1);
    refused(log, alice, finish(1, 2, 81, &[]), &[70, 81], "not_ready");
    log.wait(1);
    refused(log, alice, finish(1, 2, 80, &[]), &[70, 80, 81], "not_allowed");
    refused(log, alice, finish(1, 2, 81, &[13]), &[70, 81], "no_such_device");
    log.does(alice, finish(1, 2, 81, &[12]), &[70, 81]);
    log.does(alice, turn(2), &[81]);
    refused(log, alice, policy(100_000), &[11], "unknown_signer");
    refused(log, alice, try_open(1, 3, 82), &[82, N], "no_recovery");
    refused(log, alice, enrol(1), &[81], "bad_epoch");
    log.does(alice, enrol(2), &[12, 81]);
}

fn vetoed(log: &mut Log, alice: Did) {
    with_notary(log);
    log.does(alice, enrol(1), &[10]);
    let opened = log.does(alice, try_open(1, 1, 80), &[80, N]);
    refused(log, alice, confirm(opened), &[12], "not_ready");
    log.does(alice, prove(1, 1), &[70, 80]);
    refused(log, alice, veto(opened), &[80], "unknown_signer");
    log.wait(WINDOW - 1);
    log.does(alice, veto(opened), &[12]);
    refused(log, alice, veto(opened), &[11], "no_such_act");
    refused(log, alice, finish(1, 1, 80, &[]), &[70, 80], "burnt");
    refused(log, alice, try_open(1, 2, 80), &[80, N], "burnt");
    log.does(alice, enrol(2), &[11, 12]);
    for attempt in 1..=10 {
        log.does(alice, try_open(2, attempt, 80), &[80, N]);
        log.wait(DAY);
    }
    refused(log, alice, try_open(2, 10, 80), &[80, N], "guesses_spent");
    refused(log, alice, prove(2, 10), &[70, 80], "open_expired");
    log.does(alice, enrol(3), &[12]);
    log.wait(WINDOW);
    log.does(alice, try_open(3, 1, 80), &[80, N]);
    log.does(alice, prove(3, 1), &[70, 80]);
    log.wait(WINDOW);
    log.wait(30 * DAY - 1);
    log.wait(1);
    refused(log, alice, finish(3, 1, 80, &[]), &[70, 80], "not_ready");
    let opened = log.does(alice, try_open(3, 2, 80), &[80, N]);
    log.does(alice, prove(3, 2), &[70, 80]);
    log.wait(WINDOW);
    log.does(alice, veto(opened), &[10]);
}

fn recovered_from_a_quarrel(log: &mut Log, alice: Did) {
    with_notary(log);
    log.does(alice, enrol(1), &[10]);
    let act = log.does(alice, revoke(12), &[11]);
    log.does(alice, veto(act), &[12]);
    let opened = log.does(alice, try_open(1, 1, 80), &[80, N]);
    log.does(alice, prove(1, 1), &[70, 80]);
    refused(log, alice, veto(opened), &[11], "suspended");
    log.does(alice, confirm(opened), &[13]);
    refused(log, alice, confirm(opened), &[13], "already_voted");
    refused(log, alice, finish(1, 1, 80, &[12]), &[70, 80], "no_such_device");
    let Body::RecoverFinal(last) = finish(1, 1, 80, &[13]) else { unreachable!("the end of a recovery") };
    let words = |number: u8| Some(IdRotate { identity: key(number).public(), words_box: [number; 32] });
    let with = |number| Body::RecoverFinal(RecoverFinal { words: words(number), ..last.clone() });
    refused(log, alice, with(10), &[10, 70, 80], "key_same");
    refused(log, alice, with(50), &[70, 80], "not_allowed");
    log.does(alice, with(50), &[50, 70, 80]);
    log.does(alice, policy(100_000), &[50]);
}

fn enrolments(log: &mut Log, alice: Did) {
    with_notary(log);
    let with = |change: fn(&mut Enrolment)| {
        let mut set = recovery_set(1);
        set.enrolment.as_mut().map(change);
        Body::RecoverySet(set)
    };
    refused(log, alice, enrol_nowhere(1), &[10], "no_recovery");
    refused(log, alice, with(|e| e.threshold = 1), &[10], "bad_threshold");
    refused(log, alice, with(|e| e.threshold = 4), &[10], "bad_threshold");
    refused(log, alice, with(|e| e.needed = 3), &[10], "bad_threshold");
    refused(log, alice, with(|e| e.servers[1].url = e.servers[0].url.clone()), &[10], "bad_threshold");
    refused(log, alice, with(|e| e.servers[0].oprf = [0xff; 32]), &[10], "bad_point");
    refused(log, alice, with(|e| e.sign = key(12).public()), &[10], "kid_taken");
    refused(log, alice, with(|e| e.kex = [0; 32]), &[10], "weak_key");
    let act = log.does(alice, with(|e| e.needed = 2), &[11]);
    log.does(alice, confirm(act), &[12]);
    refused(log, alice, try_open(1, 1, 80), &[80, N], "too_few");
    log.does(alice, enrol(2), &[11]);
    refused(log, alice, enrol(2), &[12], "act_open");
    log.wait(WINDOW);
    let alias = alias_of("alice@example.test");
    let thiefs = log.signs_in(alias, 31, N).expect("a thief");
    log.does(alice, bind(alias), &[11, N]);
    log.does(alice, dispute(thiefs, alias), &[12]);
    refused(log, alice, try_open(2, 1, 80), &[80, N], "breaker");
    let mut both = recover_open(2, 1, 80);
    both.evidence = vec![[0xe1; 32], [0xe2; 32]];
    log.does(alice, Body::RecoverOpen(both), &[80, N]);
    log.wait(7 * DAY);
    log.does(alice, try_open(2, 2, 80), &[80, N]);
    log.does(alice, enrol_nowhere(3), &[11, 12]);
    let database = Genesis { kind: DidKind::Database, ..person(40, 41) };
    let database = Did::of_genesis(&log.post(first(database), &[40, 41]).expect("a genesis"));
    refused(log, database, enrol(1), &[40], "not_allowed");
    log.does(alice, enrol(4), &[10]);
    log.does(alice, try_open(4, 1, 80), &[80, N]);
    log.does(alice, Body::Tombstone, &[11]);
    log.wait(WINDOW);
}

fn alone(log: &mut Log, alice: Did) {
    with_notary(log);
    log.does(alice, enrol(1), &[11]);
    let opened = log.does(alice, try_open(1, 1, 80), &[80, N]);
    log.does(alice, prove(1, 1), &[70, 80]);
    refused(log, alice, confirm(opened), &[11], "not_allowed");
    log.does(alice, confirm(opened), &[10]);
    log.does(alice, finish(1, 1, 80, &[]), &[70, 80]);
    log.does(alice, enrol(2), &[80]);
    log.wait(WINDOW);
    let opened = log.does(alice, try_open(2, 1, 81), &[81, N]);
    log.does(alice, prove(2, 1), &[70, 81]);
    log.does(alice, confirm(opened), &[80]);
    log.does(alice, finish(2, 1, 81, &[80]), &[70, 81]);
}

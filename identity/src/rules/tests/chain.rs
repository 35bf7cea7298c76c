//! Chains: how one begins, what follows, who may speak.

use super::log::*;
use crate::cert::{Body, Device, Genesis, Level, Payload};
use crate::did::Did;
use crate::rules::Refusal;
use crate::state::DeviceStatus;
use crate::testing::samples::{device, first, key};

fn begin(genesis: Genesis, signers: &[u8]) -> Result<[u8; 32], &'static str> {
    Log::new().post(first(genesis), signers).map_err(|refusal| refusal.code())
}

#[test]
fn a_genesis_makes_its_device_a_voter_and_its_index_the_uid() {
    let mut log = Log::new();
    let index = log.index;
    let alice = log.join(10, 11);
    let state = log.did(&alice);
    assert_eq!((state.version, state.uid, state.born_ms), (1, index, log.now_ms));
    assert_eq!(state.window_s * 1_000, WINDOW);
    assert_eq!(log.status(&alice, 11), Some(DeviceStatus::Live));
    log.does(alice, open_road("alice.dgns.test", &alice), &[11, Z]);
}

#[test]
fn a_genesis_needs_its_identity_key_and_its_device_to_sign() {
    assert_eq!(begin(person(10, 11), &[10]), Err("not_allowed"));
    assert_eq!(begin(person(10, 11), &[11]), Err("not_allowed"));
}

#[test]
fn the_first_device_is_an_admin_and_has_a_key_of_its_own() {
    let as_level = |level| Genesis { device: device(11, level), ..person(10, 11) };
    assert_eq!(begin(as_level(Level::Member), &[10, 11]), Err("not_allowed"));
    assert_eq!(begin(as_level(Level::Service), &[10, 11]), Err("not_allowed"));
    let same_key = Device { sign: key(10).public(), ..device(11, Level::Admin) };
    assert_eq!(begin(Genesis { device: same_key, ..person(10, 11) }, &[10]), Err("kid_taken"));
}

#[test]
fn a_genesis_keeps_to_the_windows_of_the_zone() {
    let with_window = |window_s| Genesis { window_s: Some(window_s), ..person(10, 11) };
    for (window_s, expected) in [(86_399, Err("bad_window")), (1_209_601, Err("bad_window"))] {
        assert_eq!(begin(with_window(window_s), &[10, 11]), expected);
    }
    assert!(begin(with_window(86_400), &[10, 11]).is_ok());
    assert!(begin(with_window(1_209_600), &[10, 11]).is_ok());
}

#[test]
fn a_genesis_without_window_is_refused_where_the_default_is_below_the_floor() {
    let mut log = Log::new();
    let mut authority = crate::testing::samples::zone_authority();
    authority.zone.as_mut().expect("terms").window_floor_s = 604_800;
    log.does(log.server(), Body::NotaryAdd(authority), &[1]);
    assert_eq!(log.post(first(person(10, 11)), &[10, 11]), Err(Refusal::BadWindow));
}

#[test]
fn a_genesis_is_posted_once() {
    let mut log = Log::new();
    log.join(10, 11);
    assert_eq!(log.post(first(person(10, 11)), &[10, 11]), Err(Refusal::DidExists));
}

#[test]
fn who_loses_a_race_learns_the_head() {
    let (mut log, alice) = Log::with_alice(1);
    let head = log.did(&alice).head;
    let next = log.next(alice, policy(100_000));
    for payload in [
        Payload { seq: head.seq, ..next.clone() },
        Payload { seq: head.seq + 2, ..next.clone() },
        Payload { seq: u64::MAX, ..next.clone() },
        Payload { prev: Some([7; 32]), ..next },
    ] {
        assert_eq!(log.post(payload, &[11]), Err(Refusal::StalePrev { head: Some(head) }));
    }
}

#[test]
fn a_chain_that_nobody_began_has_no_head() {
    // Goal: a subject that is no DID. Method: no key of it is known, so verification must be stepped over.
    let (mut log, alice) = Log::with_alice(1);
    let nobody = Payload { subject: Some(Did::from_bytes([9; 20]).into()), ..log.next(alice, add(12)) };
    assert_eq!(log.post(nobody, &[12]), Err(Refusal::StalePrev { head: None }));
}

#[test]
fn a_stranger_is_no_signer() {
    let (mut log, alice) = Log::with_alice(1);
    assert_eq!(log.act(alice, policy(100_000), &[31]), Err("unknown_signer"));
}

#[test]
fn an_ended_did_says_nothing_more() {
    let (mut log, alice) = Log::with_alice(1);
    log.does(alice, Body::Tombstone, &[10]);
    log.wait(WINDOW);
    assert_eq!(log.act(alice, policy(100_000), &[10]), Err("ended"));
    assert_eq!(log.post(first(person(10, 11)), &[10, 11]), Err(Refusal::DidExists));
}

#[test]
fn members_hosts_and_devices_on_probation_have_no_power_in_the_chain() {
    let (mut log, alice) = Log::with_alice(1);
    log.does(alice, Body::DeviceAdd(device(12, Level::Member)), &[10, 12]);
    log.does(alice, Body::DeviceAdd(device(13, Level::Service)), &[10, 13]);
    log.does(alice, add(14), &[11, 14]);
    let act = log.does(alice, policy(100_000), &[11]);
    for signers in [&[12][..], &[13], &[14], &[12, 13, 14]] {
        for body in [
            open_road("alice2.dgns.test", &alice),
            suspend(11),
            revoke(11),
            policy(100_000),
            release("alice.dgns.test"),
            Body::Tombstone,
            confirm(act),
            veto(act),
        ] {
            assert_eq!(log.act(alice, body, &[signers, &[]].concat()), Err("not_allowed"));
        }
    }
}

#[test]
fn a_second_party_belongs_to_claims_and_transfers_alone() {
    let (mut log, alice) = Log::with_alice(1);
    let payload = Payload { by: Some(alice), ..log.next(alice, policy(100_000)) };
    let signed = crate::cert::Certificate::sign(&payload, &crate::testing::samples::origin(), &[&key(11)]);
    assert_eq!(signed.map_err(|e| e.code()), Err("bad_field"));
    assert_eq!(log.act_by(alice, alice, below("a.alice.dgns.test"), &[11, Z]).map(drop), Ok(()));
}

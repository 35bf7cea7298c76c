//! New words and windows: the rows id_rotate and policy of PROTOCOL 5.3.

use super::log::*;
use crate::cert::{Body, IdRotate};
use crate::key::KexSecret;
use crate::testing::samples::{key, zone_authority};

fn rotate(number: u8) -> Body {
    let words_box = KexSecret::from_bytes([number; 32]).public();
    Body::IdRotate(IdRotate { identity: key(number).public(), words_box })
}

#[test]
fn the_identity_key_rotates_at_once_and_devices_after_a_window() {
    let (mut log, alice) = Log::with_alice(3);
    log.does(alice, rotate(50), &[10, 50]);
    assert_eq!(log.did(&alice).identity, key(50).public());
    assert_eq!(log.act(alice, policy(100_000), &[10]), Err("unknown_signer"), "the old words are powerless");
    for (signers, new) in [(&[11, 51][..], 51), (&[11, 12, 52], 52)] {
        let before = log.did(&alice).identity;
        log.does(alice, rotate(new), signers);
        log.wait(WINDOW - 1);
        assert_eq!(log.did(&alice).identity, before);
        log.wait(1);
        assert_eq!(log.did(&alice).identity, key(new).public());
    }
}

#[test]
fn a_new_identity_key_signs_is_new_and_is_no_devices() {
    let (mut log, alice) = Log::with_alice(2);
    assert_eq!(log.act(alice, rotate(50), &[10]), Err("not_allowed"));
    assert_eq!(log.act(alice, rotate(50), &[50]), Err("not_allowed"));
    assert_eq!(log.act(alice, rotate(10), &[10]), Err("key_same"));
    assert_eq!(log.act(alice, rotate(10), &[11, 10]), Err("key_same"));
    assert_eq!(log.act(alice, rotate(11), &[11]), Err("kid_taken"));
    assert_eq!(log.act(alice, rotate(12), &[10, 12]), Err("kid_taken"));
}

#[test]
fn new_words_whose_key_became_a_devices_meanwhile_die() {
    let (mut log, alice) = Log::with_alice(2);
    let act = log.does(alice, rotate(50), &[11, 50]);
    log.does(alice, add(50), &[10, 50]);
    assert_eq!(log.act(alice, confirm(act), &[10]), Err("kid_taken"));
    log.wait(WINDOW);
    assert_eq!((log.did(&alice).identity, log.did(&alice).pending.len()), (key(10).public(), 0));
}

#[test]
fn waiting_words_come_at_once_by_the_identity_key_and_never_against_its_veto() {
    let (mut log, alice) = Log::with_alice(1);
    let act = log.does(alice, rotate(50), &[11, 50]);
    log.does(alice, confirm(act), &[10]);
    assert_eq!(log.did(&alice).identity, key(50).public());
    let act = log.does(alice, rotate(51), &[11, 51]);
    log.does(alice, veto(act), &[50]);
    log.wait(2 * WINDOW);
    assert_eq!(log.did(&alice).identity, key(50).public());
}

#[test]
fn the_identity_key_or_a_majority_sets_the_window_at_once_and_one_voter_after_it() {
    let (mut log, alice) = Log::with_alice(3);
    log.does(alice, policy(100_000), &[10]);
    assert_eq!(log.did(&alice).window_s, 100_000);
    log.does(alice, policy(200_000), &[11, 12]);
    assert_eq!(log.did(&alice).window_s, 200_000);
    log.does(alice, policy(86_400), &[11]);
    log.wait(199_999_999);
    assert_eq!(log.did(&alice).window_s, 200_000);
    log.wait(1);
    assert_eq!(log.did(&alice).window_s, 86_400);
}

#[test]
fn the_window_stays_between_the_zones_floor_and_two_weeks() {
    let (mut log, alice) = Log::with_alice(1);
    for window_s in [0, 86_399, 1_209_601, u64::MAX] {
        assert_eq!(log.act(alice, policy(window_s), &[10]), Err("bad_window"));
    }
    log.does(alice, policy(1_209_600), &[10]);
    let mut authority = zone_authority();
    authority.zone.as_mut().expect("terms").window_floor_s = 600;
    log.does(log.server(), Body::NotaryAdd(authority), &[1]);
    log.does(alice, policy(600), &[10]);
}

#[test]
fn a_waiting_act_keeps_its_due_when_the_window_changes() {
    let (mut log, alice) = Log::with_alice(2);
    log.does(alice, release("alice.dgns.test"), &[11]);
    log.does(alice, policy(86_400), &[10]);
    log.wait(WINDOW - 1);
    assert_eq!(log.owner("alice.dgns.test"), Some(alice));
    log.wait(1);
    assert_eq!(log.owner("alice.dgns.test"), None);
}

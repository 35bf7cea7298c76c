//! Devices come and go: the rows device_add, device_suspend, device_revoke of PROTOCOL 5.3.

use super::log::*;
use crate::cert::{Body, Device, Level};
use crate::state::DeviceStatus::{Fresh, Live, Suspended};
use crate::testing::samples::device;

fn member(number: u8) -> Body {
    Body::DeviceAdd(device(number, Level::Member))
}

#[test]
fn the_identity_key_or_a_majority_adds_a_voter_and_one_voter_a_device_on_probation() {
    let (mut log, alice) = Log::with_alice(2);
    log.does(alice, add(13), &[10, 13]);
    log.does(alice, add(14), &[11, 12, 14]);
    log.does(alice, add(15), &[11, 15]);
    assert_eq!([13, 14, 15].map(|n| log.status(&alice, n)), [Some(Live), Some(Live), Some(Fresh)]);
    log.does(alice, member(16), &[11, 16]);
    assert_eq!(log.status(&alice, 16), Some(Live), "who has no vote needs no probation");
}

#[test]
fn probation_ends_a_window_later_to_the_millisecond() {
    let (mut log, alice) = Log::with_alice(1);
    log.does(alice, add(12), &[11, 12]);
    log.wait(WINDOW - 1);
    assert_eq!(log.act(alice, policy(100_000), &[12]), Err("not_allowed"));
    log.wait(1);
    assert_eq!(log.status(&alice, 12), Some(Live));
    log.does(alice, policy(100_000), &[12]);
}

#[test]
fn a_new_device_signs_and_is_new() {
    let (mut log, alice) = Log::with_alice(1);
    assert_eq!(log.act(alice, add(12), &[11]), Err("not_allowed"));
    assert_eq!(log.act(alice, add(12), &[12]), Err("not_allowed"));
    assert_eq!(log.act(alice, add(11), &[11]), Err("kid_taken"));
    assert_eq!(log.act(alice, add(10), &[10]), Err("kid_taken"));
    let zero_kex = Device { kex: [0; 32], ..device(12, Level::Admin) };
    assert_eq!(log.act(alice, Body::DeviceAdd(zero_kex), &[11, 12]), Err("weak_key"));
}

#[test]
fn a_revoked_key_cannot_act_and_may_come_back_as_a_new_device() {
    let (mut log, alice) = Log::with_alice(2);
    log.does(alice, revoke(12), &[10]);
    assert_eq!(log.act(alice, policy(100_000), &[12]), Err("unknown_signer"));
    log.does(alice, add(12), &[11, 12]);
    assert_eq!(log.status(&alice, 12), Some(Fresh));
}

#[test]
fn a_suspension_holds_at_once_and_lapses_after_a_window() {
    let (mut log, alice) = Log::with_alice(2);
    log.does(alice, suspend(12), &[11]);
    assert_eq!(log.status(&alice, 12), Some(Suspended));
    for body in [policy(100_000), revoke(12), release("alice.dgns.test"), Body::Tombstone] {
        assert_eq!(log.act(alice, body, &[12]), Err("suspended"));
    }
    log.wait(WINDOW - 1);
    assert_eq!(log.status(&alice, 12), Some(Suspended));
    log.wait(1);
    assert_eq!(log.status(&alice, 12), Some(Live));
    log.does(alice, policy(100_000), &[12]);
}

#[test]
fn one_act_against_a_device_is_open_at_a_time() {
    let (mut log, alice) = Log::with_alice(3);
    log.does(alice, suspend(13), &[11]);
    assert_eq!(log.act(alice, suspend(13), &[12]), Err("act_open"));
    assert_eq!(log.act(alice, revoke(13), &[12]), Err("act_open"));
    log.does(alice, revoke(13), &[10]);
}

#[test]
fn a_suspension_needs_a_live_device_of_this_did_and_leaves_an_admin() {
    let (mut log, alice) = Log::with_alice(1);
    assert_eq!(log.act(alice, suspend(12), &[11]), Err("no_such_device"));
    assert_eq!(log.act(alice, suspend(10), &[11]), Err("no_such_device"), "the identity key is no device");
    assert_eq!(log.act(alice, suspend(11), &[11]), Err("last_device"));
    log.does(alice, add(12), &[11, 12]);
    assert_eq!(log.act(alice, suspend(12), &[11]), Err("not_allowed"), "a device on probation is revoked instead");
    assert_eq!(log.act(alice, suspend(12), &[10]), Err("not_allowed"));
    log.does(alice, suspend(11), &[10]);
    assert_eq!(log.status(&alice, 11), Some(Suspended));
}

#[test]
fn revocation_is_at_once_by_the_identity_key_a_majority_or_the_device_itself() {
    let (mut log, alice) = Log::with_alice(4);
    log.does(alice, revoke(14), &[10]);
    log.does(alice, revoke(13), &[11, 12]);
    log.does(alice, revoke(12), &[12]);
    assert_eq!([11, 12, 13, 14].map(|n| log.status(&alice, n)), [Some(Live), None, None, None]);
    assert!(log.did(&alice).pending.is_empty());
}

#[test]
fn two_of_four_voters_are_no_majority() {
    let (mut log, alice) = Log::with_alice(4);
    log.does(alice, revoke(14), &[11, 12]);
    assert_eq!(log.status(&alice, 14), Some(Suspended));
    assert_eq!(log.did(&alice).pending.len(), 1);
}

#[test]
fn suspended_devices_still_count_against_a_majority() {
    let (mut log, alice) = Log::with_alice(5);
    log.does(alice, suspend(14), &[10]);
    log.does(alice, suspend(15), &[10]);
    log.does(alice, revoke(13), &[11, 12]);
    assert_eq!(log.status(&alice, 13), Some(Suspended), "two of five, not two of three");
}

#[test]
fn one_voter_revokes_after_a_window_and_suspends_meanwhile() {
    let (mut log, alice) = Log::with_alice(2);
    log.does(alice, revoke(12), &[11]);
    assert_eq!(log.status(&alice, 12), Some(Suspended));
    log.wait(WINDOW - 1);
    assert_eq!(log.status(&alice, 12), Some(Suspended));
    log.wait(1);
    assert_eq!(log.status(&alice, 12), None);
}

#[test]
fn one_voter_revokes_at_once_whoever_has_no_vote() {
    let (mut log, alice) = Log::with_alice(1);
    log.does(alice, add(12), &[11, 12]);
    log.does(alice, member(13), &[11, 13]);
    log.does(alice, Body::DeviceAdd(device(14, Level::Service)), &[11, 14]);
    for number in [12, 13, 14] {
        log.does(alice, revoke(number), &[11]);
        assert_eq!(log.status(&alice, number), None);
    }
}

#[test]
fn any_device_revokes_itself_but_not_another() {
    let (mut log, alice) = Log::with_alice(1);
    log.does(alice, member(12), &[11, 12]);
    log.does(alice, add(13), &[11, 13]);
    assert_eq!(log.act(alice, revoke(13), &[12]), Err("not_allowed"));
    log.does(alice, revoke(12), &[12]);
    log.does(alice, revoke(13), &[13]);
    assert_eq!(log.act(alice, revoke(12), &[11]), Err("no_such_device"));
}

#[test]
fn the_last_admin_goes_by_the_identity_key_alone() {
    let (mut log, alice) = Log::with_alice(1);
    log.does(alice, add(12), &[11, 12]);
    assert_eq!(log.act(alice, revoke(11), &[11]), Err("last_device"), "a device on probation is no admin yet");
    log.does(alice, revoke(11), &[10]);
    log.does(alice, add(13), &[10, 13]);
    assert_eq!(log.status(&alice, 13), Some(Live), "the words bring it back");
}

#[test]
fn a_member_gives_itself_up_even_when_no_admin_is_left() {
    let (mut log, alice) = Log::with_alice(1);
    log.does(alice, member(12), &[11, 12]);
    log.does(alice, revoke(11), &[10]);
    log.does(alice, revoke(12), &[12]);
    assert!(log.did(&alice).devices.is_empty());
}

#[test]
fn a_due_revocation_that_would_leave_no_admin_dies() {
    // Goal: voters never revoke the last live admin. Method: the words suspend the opener, so that it is no help at the due.
    let (mut log, alice) = Log::with_alice(2);
    log.does(alice, revoke(12), &[11]);
    log.wait(1);
    log.does(alice, suspend(11), &[10]);
    log.wait(WINDOW - 1);
    assert_eq!([11, 12].map(|n| log.status(&alice, n)), [Some(Suspended), Some(Live)]);
}

#[test]
fn a_revoked_device_takes_its_support_with_it() {
    let (mut log, alice) = Log::with_alice(4);
    let act = log.does(alice, revoke(12), &[11]);
    log.does(alice, confirm(act), &[13]);
    log.does(alice, revoke(11), &[10]);
    assert_eq!(log.did(&alice).pending[0].supporters, [kid(13)]);
    log.does(alice, revoke(13), &[10]);
    assert_eq!((log.status(&alice, 12), log.did(&alice).pending.len()), (Some(Live), 0));
}

#[test]
fn in_the_first_day_the_window_is_an_hour() {
    let mut log = Log::new();
    let alice = log.join(10, 11);
    log.wait(DAY - 1);
    log.does(alice, add(12), &[11, 12]);
    log.wait(1);
    log.does(alice, add(13), &[11, 13]);
    log.wait(HOUR - 2);
    assert_eq!(log.status(&alice, 12), Some(Fresh));
    log.wait(1);
    assert_eq!([12, 13].map(|n| log.status(&alice, n)), [Some(Live), Some(Fresh)]);
    log.wait(WINDOW - HOUR);
    assert_eq!(log.status(&alice, 13), Some(Fresh));
    log.wait(1);
    assert_eq!(log.status(&alice, 13), Some(Live));
}

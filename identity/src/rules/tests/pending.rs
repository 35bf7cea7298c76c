//! Acts that wait: rules 1, 4 and 6 (PROTOCOL 5.4).

use super::log::*;
use crate::cert::{Body, Level};
use crate::state::DeviceStatus::{Fresh, Live, Suspended};
use crate::state::Power;
use crate::testing::samples::device;

const NAME: &str = "alice.dgns.test";

#[test]
fn any_voter_vetoes_what_one_voter_opened() {
    let (mut log, alice) = Log::with_alice(2);
    let act = log.does(alice, release(NAME), &[11]);
    log.does(alice, veto(act), &[12]);
    log.wait(WINDOW);
    assert_eq!(log.owner(NAME), Some(alice));
    assert_eq!(log.act(alice, veto(act), &[12]), Err("no_such_act"));
    assert_eq!(log.act(alice, confirm(act), &[12]), Err("no_such_act"));
}

#[test]
fn an_act_of_a_majority_withstands_one_voter_but_no_majority_and_no_words() {
    let (mut log, alice) = Log::with_alice(3);
    let act = log.does(alice, release(NAME), &[11, 12]);
    assert_eq!(log.act(alice, veto(act), &[13]), Err("not_allowed"));
    log.does(alice, veto(act), &[12, 13]);
    let act = log.does(alice, release(NAME), &[11, 12]);
    log.does(alice, veto(act), &[10]);
    assert!(log.did(&alice).pending.is_empty());
}

#[test]
fn confirms_raise_what_it_takes_to_veto() {
    let (mut log, alice) = Log::with_alice(3);
    let act = log.does(alice, release(NAME), &[11]);
    log.does(alice, confirm(act), &[12]);
    assert_eq!(log.did(&alice).pending[0].power, Power::Majority);
    assert_eq!(log.act(alice, veto(act), &[13]), Err("not_allowed"));
    assert_eq!(log.act(alice, veto(act), &[12]), Err("not_allowed"), "who confirmed does not withdraw");
    log.does(alice, veto(act), &[11]);
    assert!(log.did(&alice).pending.is_empty(), "the opener does");
}

#[test]
fn a_confirm_completes_at_once_what_a_majority_may_do_at_once() {
    let (mut log, alice) = Log::with_alice(3);
    let act = log.does(alice, policy(100_000), &[11]);
    assert_eq!(log.act(alice, confirm(act), &[11]), Err("already_voted"));
    log.does(alice, confirm(act), &[12]);
    assert_eq!(log.did(&alice).window_s, 100_000);
    let act = log.does(alice, revoke(13), &[11]);
    log.does(alice, confirm(act), &[12]);
    assert_eq!(log.status(&alice, 13), None);
}

#[test]
fn a_confirm_by_one_of_five_waits_on() {
    let (mut log, alice) = Log::with_alice(5);
    let act = log.does(alice, policy(100_000), &[11]);
    log.does(alice, confirm(act), &[12]);
    assert_eq!(log.did(&alice).pending[0].supporters, [kid(11), kid(12)]);
    log.does(alice, confirm(act), &[13]);
    assert_eq!(log.did(&alice).window_s, 100_000);
}

#[test]
fn a_device_has_one_open_act() {
    let (mut log, alice) = Log::with_alice(2);
    log.does(alice, release(NAME), &[11]);
    for body in [policy(100_000), suspend(12), revoke(12), Body::Tombstone, release(NAME)] {
        assert_eq!(log.act(alice, body, &[11]), Err("act_open"));
    }
    assert_eq!(log.act(alice, add(13), &[11, 13]), Err("act_open"));
    assert_eq!(log.act(alice, open_road("alice2.dgns.test", &alice), &[11, Z]), Err("act_open"));
    assert_eq!(log.act(alice, policy(100_000), &[11, 12]), Err("act_open"), "not even as part of a majority");
}

#[test]
fn with_an_open_act_a_device_still_votes_and_the_words_do_all() {
    let (mut log, alice) = Log::with_alice(2);
    log.does(alice, release(NAME), &[11]);
    let other = log.does(alice, policy(100_000), &[12]);
    log.does(alice, veto(other), &[11]);
    log.does(alice, policy(200_000), &[10, 11]);
    log.wait(WINDOW);
    log.does(alice, policy(100_000), &[11]);
}

#[test]
fn a_fresh_device_beside_a_voter_is_neither_opener_nor_supporter() {
    // Goal: a thief's device on probation gains nothing from signing along. Method: whichever kid is the least, the voter
    // stands as opener, so that it is the one whose act is open.
    let (mut log, alice) = Log::with_alice(2);
    for number in 30..38 {
        log.does(alice, add(number), &[11, number]);
        let act = log.does(alice, policy(100_000), &[11, number]);
        assert_eq!(log.did(&alice).pending[0].supporters, [kid(11)]);
        assert_eq!(log.act(alice, policy(100_000), &[11]), Err("act_open"));
        log.does(alice, veto(act), &[11]);
        log.does(alice, revoke(number), &[12]);
    }
}

#[test]
fn probation_is_not_cut_short_by_a_quarrel_of_its_own_making() {
    // Goal: Mallory, who has voter 11, makes no voter of his own device before a window is over. Method: it signs his
    // suspension of 12, 12 contests, he withdraws: had it been a party, it would come out of the quarrel live.
    for number in 30..34 {
        let (mut log, alice) = Log::with_alice(2);
        log.does(alice, add(number), &[11, number]);
        let act = log.does(alice, suspend(12), &[11, number]);
        log.does(alice, veto(act), &[12]);
        log.does(alice, veto(act), &[11, number]);
        assert_eq!([11, 12, number].map(|n| log.status(&alice, n)), [Some(Live), Some(Live), Some(Fresh)]);
        assert_eq!(log.act(alice, veto(act), &[number]), Err("no_such_act"));
    }
}

#[test]
fn support_from_before_a_suspension_makes_no_majority() {
    // Goal: k counts voters, and the suspended are none. Method: 11 opens, 12 confirms and is suspended, 14 of five confirms.
    let (mut log, alice) = Log::with_alice(5);
    let act = log.does(alice, policy(100_000), &[11]);
    log.does(alice, confirm(act), &[12]);
    log.does(alice, suspend(12), &[13]);
    log.does(alice, confirm(act), &[14]);
    assert_ne!(log.did(&alice).window_s, 100_000);
}

#[test]
fn a_suspended_device_withdraws_its_own_act_and_votes_on_no_other() {
    let (mut log, alice) = Log::with_alice(4);
    let own = log.does(alice, suspend(14), &[12]);
    let other = log.does(alice, release(NAME), &[13]);
    log.does(alice, suspend(12), &[11]);
    assert_eq!(log.act(alice, veto(other), &[12]), Err("suspended"));
    assert_eq!(log.act(alice, veto(other), &[11, 12]), Err("suspended"));
    assert_eq!(log.act(alice, confirm(own), &[12]), Err("already_voted"));
    log.does(alice, veto(own), &[12]);
    assert_eq!([12, 14].map(|number| log.status(&alice, number)), [Some(Suspended), Some(Live)]);
}

#[test]
fn a_single_device_waits_for_everything_that_destroys() {
    let (mut log, alice) = Log::with_alice(1);
    for body in [release(NAME), policy(100_000), Body::Tombstone] {
        let act = log.does(alice, body, &[11]);
        assert_eq!(log.act(alice, confirm(act), &[11]), Err("already_voted"));
        log.does(alice, veto(act), &[11]);
    }
}

#[test]
fn a_member_suspended_goes_by_its_own_confirm_but_cannot_contest() {
    // Goal: a stolen host freezes nothing. Method: level 1, suspended by one voter, vetoes.
    let (mut log, alice) = Log::with_alice(2);
    log.does(alice, Body::DeviceAdd(device(13, Level::Member)), &[11, 13]);
    let act = log.does(alice, suspend(13), &[11]);
    assert_eq!(log.act(alice, veto(act), &[13]), Err("not_allowed"));
    log.does(alice, confirm(act), &[13]);
    assert!(!log.is_frozen(&alice));
    log.does(alice, revoke(13), &[12]);
    assert_eq!(log.did(&alice).pending, []);
}

//! Devices against each other: rules 2, 3 and 5 (PROTOCOL 5.5).
//!
//! Mallory has stolen device 11, unless a test says otherwise; 12 and above are Alice's.

use super::log::*;
use crate::cert::{Body, Sid};
use crate::did::Did;
use crate::state::DeviceStatus::{Fresh, Live, Suspended};

const NAME: &str = "alice.dgns.test";

/// So many devices; 11 has suspended or revoked 12, who contested it.
fn quarrel(devices: u8, body: Body) -> (Log, Did, Sid) {
    let (mut log, alice) = Log::with_alice(devices);
    let act = log.does(alice, body, &[11]);
    log.does(alice, veto(act), &[12]);
    (log, alice, act)
}

fn statuses(log: &Log, alice: &Did) -> [Option<crate::state::DeviceStatus>; 2] {
    [11, 12].map(|number| log.status(alice, number))
}

#[test]
fn a_contest_freezes_both_parties_without_end() {
    for body in [suspend(12), revoke(12)] {
        let (mut log, alice, act) = quarrel(3, body);
        assert!(log.is_frozen(&alice));
        log.wait(100 * WINDOW);
        assert_eq!(statuses(&log, &alice), [Some(Suspended), Some(Suspended)]);
        assert_eq!(log.act(alice, veto(act), &[12]), Err("already_voted"));
        assert_eq!(log.act(alice, confirm(act), &[11]), Err("already_voted"));
    }
}

#[test]
fn another_voter_may_contest_too() {
    let (mut log, alice) = Log::with_alice(4);
    let act = log.does(alice, revoke(12), &[11]);
    log.does(alice, veto(act), &[13]);
    assert!(log.is_frozen(&alice));
    assert_eq!(statuses(&log, &alice), [Some(Suspended), Some(Suspended)]);
    assert_eq!(log.status(&alice, 13), Some(Live));
}

#[test]
fn while_frozen_only_the_words_act_and_voters_vote() {
    let (mut log, alice, act) = quarrel(3, suspend(12));
    for body in [
        policy(100_000),
        release(NAME),
        suspend(11),
        revoke(12),
        Body::Tombstone,
        open_road("alice2.dgns.test", &alice),
        crate::cert::Body::Records(crate::testing::samples::records()),
    ] {
        assert_eq!(log.act(alice, body.clone(), &[13]), Err("frozen"));
        assert_eq!(log.act(alice, body, &[12]), Err("suspended"));
    }
    log.does(alice, open_road("alice2.dgns.test", &alice), &[10, Z]);
    log.does(alice, policy(100_000), &[10]);
    log.does(alice, confirm(act), &[13]);
}

#[test]
fn both_parties_other_acts_die_and_a_third_ones_stay() {
    let (mut log, alice) = Log::with_alice(4);
    log.does(alice, release(NAME), &[12]);
    let third = log.does(alice, policy(100_000), &[13]);
    let act = log.does(alice, suspend(12), &[11]);
    log.does(alice, veto(act), &[12]);
    let sids: Vec<Sid> = log.did(&alice).pending.iter().map(|act| act.sid).collect();
    assert_eq!(sids, [third, act]);
}

#[test]
fn a_majority_against_it_ends_the_act() {
    for body in [suspend(12), revoke(12)] {
        let (mut log, alice, act) = quarrel(3, body);
        log.does(alice, veto(act), &[13]);
        assert!(!log.is_frozen(&alice));
        assert_eq!(statuses(&log, &alice), [Some(Live), Some(Live)]);
        log.does(alice, revoke(11), &[12, 13]);
    }
}

#[test]
fn target_and_another_voter_end_it_in_one_certificate() {
    let (mut log, alice) = Log::with_alice(3);
    let act = log.does(alice, revoke(12), &[11]);
    log.does(alice, veto(act), &[12, 13]);
    assert_eq!(log.did(&alice).pending, []);
}

#[test]
fn a_majority_behind_it_decides_for_the_act() {
    // Here 12 is the stolen one.
    let (mut log, alice, act) = quarrel(3, revoke(12));
    log.does(alice, confirm(act), &[13]);
    assert_eq!((statuses(&log, &alice), log.is_frozen(&alice)), ([Some(Live), None], false));

    let (mut log, alice, act) = quarrel(3, suspend(12));
    log.wait(5 * WINDOW);
    log.does(alice, confirm(act), &[13]);
    assert_eq!((statuses(&log, &alice), log.is_frozen(&alice)), ([Some(Live), Some(Suspended)], false));
    assert_eq!(log.act(alice, veto(act), &[12]), Err("not_allowed"), "it is a majority's now");
    log.wait(WINDOW - 1);
    assert_eq!(log.status(&alice, 12), Some(Suspended));
    log.wait(1);
    assert_eq!(log.status(&alice, 12), Some(Live));
}

#[test]
fn the_identity_key_decides_either_way() {
    let (mut log, alice, act) = quarrel(2, revoke(12));
    log.does(alice, confirm(act), &[10]);
    assert_eq!(statuses(&log, &alice), [Some(Live), None]);

    let (mut log, alice, act) = quarrel(2, revoke(12));
    log.does(alice, veto(act), &[10]);
    assert_eq!(statuses(&log, &alice), [Some(Live), Some(Live)]);

    let (mut log, alice, _) = quarrel(2, suspend(12));
    log.does(alice, revoke(11), &[10]);
    assert_eq!((statuses(&log, &alice), log.is_frozen(&alice)), ([None, Some(Live)], false));

    let (mut log, alice, _) = quarrel(2, suspend(12));
    log.does(alice, revoke(12), &[10]);
    assert_eq!((statuses(&log, &alice), log.did(&alice).pending.len()), ([Some(Live), None], 0));
}

#[test]
fn the_opener_withdraws_though_suspended() {
    for body in [suspend(12), revoke(12)] {
        let (mut log, alice, act) = quarrel(2, body);
        log.does(alice, veto(act), &[11]);
        assert_eq!((statuses(&log, &alice), log.is_frozen(&alice)), ([Some(Live), Some(Live)], false));
    }
}

#[test]
fn the_target_gives_in() {
    let (mut log, alice, act) = quarrel(2, revoke(12));
    log.does(alice, confirm(act), &[12]);
    assert_eq!((statuses(&log, &alice), log.is_frozen(&alice)), ([Some(Live), None], false));

    let (mut log, alice, act) = quarrel(4, suspend(12));
    log.does(alice, confirm(act), &[12]);
    assert_eq!((statuses(&log, &alice), log.is_frozen(&alice)), ([Some(Live), Some(Suspended)], false));
    assert_eq!(log.act(alice, veto(act), &[12]), Err("already_voted"));
    log.wait(WINDOW);
    assert_eq!(log.status(&alice, 12), Some(Live));
}

#[test]
fn in_a_tie_of_two_against_two_nobody_wins() {
    let (mut log, alice, act) = quarrel(4, revoke(12));
    log.does(alice, confirm(act), &[13]);
    log.does(alice, veto(act), &[14]);
    assert!(log.is_frozen(&alice));
    assert_eq!(log.act(alice, veto(act), &[13]), Err("already_voted"));
    assert_eq!(log.act(alice, confirm(act), &[14]), Err("already_voted"));
    assert_eq!([13, 14].map(|n| log.status(&alice, n)), [Some(Live), Some(Live)]);
}

#[test]
fn a_suspension_by_the_words_is_not_contested() {
    let (mut log, alice) = Log::with_alice(3);
    let act = log.does(alice, suspend(12), &[10]);
    assert_eq!(log.act(alice, veto(act), &[12]), Err("not_allowed"));
    assert_eq!(log.act(alice, veto(act), &[11, 13]), Err("not_allowed"));
    assert_eq!(log.status(&alice, 12), Some(Suspended));
}

#[test]
fn two_quarrels_end_one_by_one() {
    let (mut log, alice, first) = quarrel(5, suspend(12));
    log.does(alice, veto(first), &[11]);
    let first = log.does(alice, suspend(12), &[11]);
    let second = log.does(alice, suspend(14), &[13]);
    log.does(alice, veto(first), &[12]);
    log.does(alice, veto(second), &[14]);
    assert_eq!([11, 12, 13, 14].map(|n| log.status(&alice, n)), [Some(Suspended); 4]);
    assert_eq!(log.act(alice, veto(second), &[12]), Err("suspended"), "a party has no voice in another quarrel");
    log.does(alice, veto(first), &[11]);
    assert!(log.is_frozen(&alice));
    assert_eq!(
        [11, 12, 13, 14].map(|n| log.status(&alice, n)),
        [Some(Live), Some(Live), Some(Suspended), Some(Suspended)]
    );
    log.does(alice, confirm(second), &[14]);
    assert!(!log.is_frozen(&alice));
}

#[test]
fn who_attacks_while_accused_loses_his_attack_to_the_contest() {
    // Mallory (11) revokes 12; 13 suspends him; he contests that: his own act dies, 12 is back and decides with 13.
    let (mut log, alice) = Log::with_alice(3);
    log.does(alice, revoke(12), &[11]);
    let act = log.does(alice, suspend(11), &[13]);
    log.does(alice, veto(act), &[11]);
    assert_eq!(statuses(&log, &alice), [Some(Suspended), Some(Live)]);
    log.does(alice, confirm(act), &[12]);
    log.does(alice, veto(act), &[13]);
    log.does(alice, revoke(11), &[12, 13]);
    assert_eq!(log.status(&alice, 11), None);
}

#[test]
fn an_act_whose_only_opponent_is_revoked_waits_a_window_of_its_own() {
    let (mut log, alice) = Log::with_alice(4);
    let act = log.does(alice, revoke(12), &[11]);
    log.does(alice, veto(act), &[13]);
    log.wait(10 * WINDOW);
    log.does(alice, revoke(13), &[10]);
    assert!(!log.is_frozen(&alice));
    log.wait(WINDOW - 1);
    assert_eq!(log.status(&alice, 12), Some(Suspended), "its due was long past, and it had no chance to contest");
    log.does(alice, veto(act), &[12]);
    assert!(log.is_frozen(&alice));
}

#[test]
fn when_the_opener_is_revoked_its_supporter_leads() {
    let (mut log, alice, act) = quarrel(5, revoke(12));
    log.does(alice, confirm(act), &[13]);
    log.does(alice, revoke(11), &[10]);
    assert!(log.is_frozen(&alice));
    assert_eq!([12, 13].map(|n| log.status(&alice, n)), [Some(Suspended), Some(Suspended)]);
    log.does(alice, veto(act), &[13]);
    assert_eq!([12, 13].map(|n| log.status(&alice, n)), [Some(Live), Some(Live)]);
}

#[test]
fn a_thief_cannot_outwait_a_freeze_with_a_device_of_his_own() {
    // Goal: rule 2, "a thief can freeze, never take over". Method: Mallory (11) adds 30, silences 12, and waits for 30 to
    // become a voter: 11 and 30 would be two of three.
    let (mut log, alice) = Log::with_alice(2);
    log.does(alice, add(30), &[11, 30]);
    let act = log.does(alice, suspend(12), &[11]);
    log.does(alice, veto(act), &[12]);
    log.wait(10 * WINDOW);
    assert_eq!(log.status(&alice, 30), Some(Fresh));
    assert_eq!(log.act(alice, confirm(act), &[30]), Err("not_allowed"));
    log.does(alice, veto(act), &[11]);
    log.wait(WINDOW - 1);
    assert_eq!(log.status(&alice, 30), Some(Fresh), "probation begins anew when somebody can object again");
    log.does(alice, revoke(30), &[12]);
}

#[test]
fn a_thief_with_one_device_moves_no_name_while_anybody_objects() {
    let (mut log, alice) = Log::with_alice(2);
    let mallory = log.join(30, 31);
    let act = log.act_by(alice, mallory, transfer(NAME, mallory), &[11, 31]).expect("opened");
    assert_eq!(log.act(alice, suspend(12), &[11]), Err("act_open"));
    assert_eq!(log.act(alice, add(32), &[11, 32]), Err("act_open"));
    log.wait(WINDOW - 1);
    log.does(alice, veto(act), &[12]);
    log.wait(WINDOW);
    assert_eq!(log.owner(NAME), Some(alice));
}

#[test]
fn an_open_act_does_not_keep_its_opener_from_ending_a_probation() {
    // Goal: "any V or I removes fresh devices at once". Method: Mallory (12) adds 30; 11 revokes him and has that act open
    // when it sees 30. Were 30 to outlast its probation, 12 and 30 would be two of three and end 11.
    for first in [suspend(12), revoke(12)] {
        let (mut log, alice) = Log::with_alice(2);
        log.does(alice, add(30), &[12, 30]);
        log.wait(1);
        log.does(alice, first, &[11]);
        assert_eq!(log.act(alice, revoke(12), &[11]), Err("act_open"), "another act that waits");
        log.does(alice, revoke(30), &[11]);
        log.wait(WINDOW - 1);
        assert_eq!([12, 30].map(|n| log.status(&alice, n)), [Some(Suspended), None]);
    }
}

#[test]
fn to_suspend_or_revoke_a_device_vetoes_what_it_opened() {
    // Goal: whoever stops a stolen phone has stopped what it began. Method: 12 releases the name; 11 stops 12 and sleeps.
    for stop in [suspend(12), revoke(12)] {
        let (mut log, alice) = Log::with_alice(2);
        log.does(alice, release(NAME), &[12]);
        log.wait(1);
        log.does(alice, stop, &[11]);
        assert_eq!(log.did(&alice).pending.len(), 1, "the suspension or revocation alone");
        log.wait(10 * WINDOW);
        assert_eq!(log.owner(NAME), Some(alice));
    }
}

#[test]
fn to_suspend_a_device_ends_neither_a_stronger_act_nor_one_against_a_device() {
    let (mut log, alice) = Log::with_alice(3);
    let stronger = log.does(alice, release(NAME), &[12]);
    log.does(alice, confirm(stronger), &[13]);
    log.does(alice, suspend(12), &[11]);
    assert!(log.did(&alice).pending.iter().any(|act| act.sid == stronger), "a majority stands behind it");

    // Here 12 is about to end Mallory (13) when 11, also his, suspends it.
    let (mut log, alice) = Log::with_alice(4);
    let against = log.does(alice, revoke(13), &[12]);
    log.does(alice, suspend(12), &[11]);
    assert!(log.did(&alice).pending.iter().any(|act| act.sid == against), "only a contest or a majority ends it");
    assert_eq!(log.status(&alice, 13), Some(Suspended));
}

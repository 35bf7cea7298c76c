//! What falls due, and when: rule 7 (PROTOCOL 5.6).

use super::log::*;
use crate::cert::Body;
use crate::rules::{World, due_ms, settle};
use crate::state::{DeviceStatus, Leaf, NameStatus, Subject};

const NAME: &str = "alice.dgns.test";

#[test]
fn exactly_at_due_counts_and_a_millisecond_before_does_not() {
    for (late, owner_is_left) in [(-1_i64, true), (0, false), (1, false)] {
        let (mut log, alice) = Log::with_alice(1);
        log.does(alice, release(NAME), &[11]);
        log.wait(WINDOW.saturating_add_signed(late));
        assert_eq!(log.owner(NAME).is_some(), owner_is_left, "due {late:+} ms");
    }
}

#[test]
fn what_is_due_settles_before_a_certificate_of_the_same_epoch_is_judged() {
    let (mut log, alice) = Log::with_alice(2);
    let act = log.does(alice, release(NAME), &[11]);
    log.now_ms += WINDOW;
    assert_eq!(log.act(alice, veto(act), &[12]), Err("no_such_act"));
    assert_eq!(log.owner(NAME), None);
}

#[test]
fn the_earliest_due_is_told_and_a_contested_act_has_none() {
    let (mut log, alice) = Log::with_alice(2);
    let due = |log: &Log| due_ms(&log.states[&Subject::Did(alice)]);
    assert_eq!(due(&log), None);
    let start = log.now_ms;
    log.does(alice, add(13), &[11, 13]);
    assert_eq!(due(&log), Some(start + WINDOW));
    log.wait(1);
    let act = log.does(alice, suspend(12), &[11]);
    assert_eq!(due(&log), Some(start + WINDOW));
    log.does(alice, veto(act), &[12]);
    assert_eq!(due(&log), None);
}

#[test]
fn settling_is_one_step_at_a_time_in_order_of_due() {
    let (mut log, alice) = Log::with_alice(3);
    log.does(alice, policy(100_000), &[11]);
    log.wait(1);
    log.does(alice, policy(200_000), &[12]);
    let steps = log.steps.len();
    log.wait(WINDOW);
    assert_eq!((log.did(&alice).window_s, log.steps.len() - steps), (200_000, 2));
}

#[test]
fn nothing_due_changes_nothing() {
    let (mut log, alice) = Log::with_alice(1);
    log.does(alice, release(NAME), &[11]);
    let mut world: World = log.world_for(&crate::testing::samples::all()[0].certificate());
    for (subject, leaf) in &log.states {
        world.insert(subject.clone(), Some(leaf.clone().into()));
        assert!(settle(&world, subject, log.now_ms + WINDOW - 1).changes.is_empty());
    }
    let absent = Subject::Name("nobody.dgns.test".into());
    world.insert(absent.clone(), None);
    assert!(settle(&world, &absent, u64::MAX).changes.is_empty());
}

#[test]
fn a_settled_act_leaves_the_dids_head_and_becomes_the_names() {
    let (mut log, alice) = Log::with_alice(1);
    let index = log.index;
    let sid = log.does(alice, release(NAME), &[11]);
    let before = log.states[&Subject::Did(alice)].clone();
    log.wait(WINDOW);
    let after = &log.states[&Subject::Did(alice)];
    assert_eq!((after.head_index, after.head_hash), (before.head_index, before.head_hash));
    let head = |log: &Log| {
        let Leaf { head_index, head_hash, .. } = log.states[&Subject::Name(NAME.into())];
        (head_index, head_hash)
    };
    assert_eq!(head(&log), (index, sid));
    log.wait(90 * DAY);
    assert_eq!(log.name(NAME).status, NameStatus::Free);
    assert_eq!(head(&log), (index, sid), "to become free leaves the head");
}

#[test]
fn the_end_of_time_is_reached_without_panic() {
    // Goal: an auditor survives any time a log may tell. Method: everything that waits, at the last millisecond.
    let (mut log, alice) = Log::with_alice(3);
    log.wait(u64::MAX);
    log.does(alice, add(14), &[11, 14]);
    log.does(alice, suspend(13), &[11]);
    log.does(alice, Body::Tombstone, &[12]);
    log.settle();
    assert_eq!(log.name(NAME).status, NameStatus::Free);
    assert!(log.did(&alice).devices.iter().all(|device| device.status == DeviceStatus::Live));
}

//! DIDs end: the row tombstone of PROTOCOL 5.3.

use super::log::*;
use crate::cert::Body;
use crate::state::{DidState, NameStatus, State};

const NAME: &str = "alice.dgns.test";

#[test]
fn a_did_ends_after_a_window_whoever_signs() {
    for signers in [&[10][..], &[11], &[11, 12], &[10, 11, 12, 13]] {
        let (mut log, alice) = Log::with_alice(3);
        log.does(alice, Body::Tombstone, signers);
        log.wait(WINDOW - 1);
        assert_eq!(log.owner(NAME), Some(alice));
        log.wait(1);
        assert_eq!(log.did(&alice).flags, DidState::ENDED);
        assert_eq!((log.name(NAME).status, log.name(NAME).did), (NameStatus::Held, Some(alice)));
        log.wait(90 * DAY);
        assert_eq!((log.name(NAME).status, log.name(NAME).did), (NameStatus::Free, None));
    }
}

#[test]
fn confirms_do_not_hasten_an_end() {
    let (mut log, alice) = Log::with_alice(3);
    let act = log.does(alice, Body::Tombstone, &[11]);
    log.does(alice, confirm(act), &[12]);
    log.does(alice, confirm(act), &[10]);
    assert_eq!(log.did(&alice).flags & DidState::ENDED, 0);
    assert_eq!(log.act(alice, veto(act), &[12]), Err("not_allowed"));
    log.does(alice, veto(act), &[10]);
    log.wait(WINDOW);
    assert_eq!(log.did(&alice).flags & DidState::ENDED, 0);
}

#[test]
fn names_below_keep_a_did_from_ending() {
    let (mut log, alice) = Log::with_alice(2);
    let act = log.does(alice, Body::Tombstone, &[11]);
    log.does(alice, below("a.alice.dgns.test"), &[12, Z]);
    assert_eq!(log.act(alice, Body::Tombstone, &[12]), Err("has_children"));
    log.wait(WINDOW);
    assert_eq!((log.did(&alice).flags, log.did(&alice).pending.len()), (0, 0));
    assert_eq!(log.act(alice, veto(act), &[10]), Err("no_such_act"));
}

#[test]
fn what_waits_in_a_did_ends_with_it() {
    let (mut log, alice) = Log::with_alice(3);
    log.does(alice, add(14), &[11, 14]);
    log.does(alice, Body::Tombstone, &[11]);
    log.wait(1);
    log.does(alice, suspend(13), &[12]);
    log.does(alice, veto(log.did(&alice).pending[1].sid), &[13]);
    assert!(log.is_frozen(&alice));
    log.wait(WINDOW);
    assert_eq!((log.did(&alice).flags, log.did(&alice).pending.len()), (DidState::ENDED, 0));
    assert_eq!(State::Did(log.did(&alice).clone()).flags(), DidState::ENDED);
    log.wait(WINDOW);
}

#[test]
fn a_name_held_below_another_comes_back_to_it() {
    let (mut log, alice) = Log::with_alice(2);
    let bob = log.join(20, 21);
    log.act_by(bob, alice, below("b.alice.dgns.test"), &[21, 11, Z]).expect("granted");
    log.does(bob, Body::Tombstone, &[20]);
    log.wait(HOUR);
    assert_eq!(log.name(NAME).children, 0);
    assert_eq!(log.act(alice, below("b.alice.dgns.test"), &[11, Z]), Err("name_taken"));
    log.wait(90 * DAY);
    log.does(alice, below("b.alice.dgns.test"), &[11, Z]);
    assert_eq!(log.name(NAME).children, 1);
}

#[test]
fn without_its_server_a_zone_has_no_terms() {
    let (mut log, alice) = Log::with_alice(1);
    log.does(log.server(), Body::Tombstone, &[1]);
    log.wait(WINDOW);
    assert_eq!(log.act(alice, open_road("alice2.dgns.test", &alice), &[11]), Err("road_closed"));
}

//! Names change hands: the rows transfer and release of PROTOCOL 5.3, and 2.3.

use super::log::*;
use crate::cert::Body;
use crate::did::Did;
use crate::state::NameStatus;

const NAME: &str = "alice.dgns.test";
const BELOW: &str = "photos.alice.dgns.test";

/// Alice with two devices and her name, and Bob, who is as old.
fn alice_and_bob() -> (Log, Did, Did) {
    let (mut log, alice) = Log::with_alice(3);
    let bob = log.join(20, 21);
    log.wait(DAY);
    (log, alice, bob)
}

#[test]
fn the_identity_key_transfers_at_once_with_a_voter_of_the_receiver() {
    let (mut log, alice, bob) = alice_and_bob();
    log.act_by(alice, bob, transfer(NAME, bob), &[10, 21]).expect("transferred");
    assert_eq!(log.owner(NAME), Some(bob));
    assert_eq!(log.did(&bob).names, [NAME]);
}

#[test]
fn voters_and_majorities_transfer_after_a_window() {
    for signers in [&[11, 21][..], &[11, 12, 21], &[11, 12, 13, 21]] {
        let (mut log, alice, bob) = alice_and_bob();
        let index = log.index;
        let sid = log.act_by(alice, bob, transfer(NAME, bob), signers).expect("opened");
        log.wait(WINDOW - 1);
        assert_eq!(log.owner(NAME), Some(alice));
        log.wait(1);
        assert_eq!(log.owner(NAME), Some(bob));
        let leaf = &log.states[&crate::state::Subject::Name(NAME.into())];
        assert_eq!((leaf.head_index, leaf.head_hash), (index, sid), "the act stands as the name's head");
    }
}

#[test]
fn the_identity_key_completes_a_waiting_transfer() {
    let (mut log, alice, bob) = alice_and_bob();
    let act = log.act_by(alice, bob, transfer(NAME, bob), &[11, 21]).expect("opened");
    log.does(alice, confirm(act), &[12]);
    assert_eq!(log.owner(NAME), Some(alice), "a majority waits as well");
    log.does(alice, confirm(act), &[10]);
    assert_eq!(log.owner(NAME), Some(bob));
}

#[test]
fn the_receiver_signs_by_a_voter_and_is_named_as_second_party() {
    let (mut log, alice, bob) = alice_and_bob();
    assert_eq!(log.act_by(alice, bob, transfer(NAME, bob), &[10]), Err("not_allowed"));
    assert_eq!(log.act_by(alice, bob, transfer(NAME, bob), &[10, 20]), Err("not_allowed"), "a voter, not the words");
    assert_eq!(log.act(alice, transfer(NAME, bob), &[10]), Err("not_allowed"));
    assert_eq!(log.act_by(alice, alice, transfer(NAME, bob), &[10, 11]), Err("not_allowed"));
    let nobody = Did::from_bytes([9; 20]);
    assert_eq!(log.act_by(alice, nobody, transfer(NAME, nobody), &[10]), Err("not_allowed"));
    assert_eq!(log.act(alice, transfer(NAME, nobody), &[10]), Err("not_allowed"));
}

#[test]
fn the_receiver_alone_takes_nothing() {
    let (mut log, alice, bob) = alice_and_bob();
    assert_eq!(log.act_by(alice, bob, transfer(NAME, bob), &[21]), Err("not_allowed"));
    assert_eq!(log.act(bob, transfer(NAME, bob), &[20, 21]), Err("not_name_owner"));
}

#[test]
fn only_an_owner_of_the_name_or_of_one_above_moves_it() {
    let (mut log, alice, bob) = alice_and_bob();
    for name in ["nobody.dgns.test", "a.alice.dgns.test"] {
        assert_eq!(log.act(alice, release(name), &[10]), Err("not_name_owner"), "{name}");
    }
    assert_eq!(log.act(bob, release(NAME), &[20]), Err("not_name_owner"));
    assert_eq!(log.act(alice, release("alice.other.test"), &[10]), Err("bad_name"));
    log.act_by(bob, alice, below("b.alice.dgns.test"), &[21, 11, Z]).expect("granted");
    log.act_by(alice, bob, below("c.b.alice.dgns.test"), &[11, 21, Z]).expect("granted");
    assert_eq!(log.act(bob, release(NAME), &[20]), Err("not_name_owner"), "below is not above");
    log.act(bob, release("c.b.alice.dgns.test"), &[20]).expect("above it");
    log.act(alice, transfer("b.alice.dgns.test", alice), &[10, 11]).expect("taken back by who is above");
    assert_eq!(log.owner("b.alice.dgns.test"), Some(alice));
}

#[test]
fn a_name_is_not_moved_to_where_it_is() {
    let (mut log, alice, _) = alice_and_bob();
    assert_eq!(log.act(alice, transfer(NAME, alice), &[10, 11]), Err("name_taken"));
}

#[test]
fn an_ended_did_receives_nothing_now_or_later() {
    let (mut log, alice, bob) = alice_and_bob();
    log.act_by(alice, bob, transfer(NAME, bob), &[11, 21]).expect("opened");
    log.does(bob, Body::Tombstone, &[20]);
    log.wait(WINDOW);
    let bob_ended_first = log.owner(NAME) == Some(alice);
    let name = log.name(NAME);
    assert!(bob_ended_first || name.status == NameStatus::Held, "in either order of what is due");
    assert_eq!(log.did(&alice).pending.len(), 0);
}

#[test]
fn to_an_ended_did_nothing_is_transferred() {
    let (mut log, alice, bob) = alice_and_bob();
    log.does(bob, Body::Tombstone, &[20]);
    log.wait(WINDOW);
    assert_eq!(log.act_by(alice, bob, transfer(NAME, bob), &[10, 21]), Err("not_allowed"));
}

#[test]
fn a_release_holds_the_name_at_once_by_the_words_and_later_by_devices() {
    let (mut log, alice, _) = alice_and_bob();
    log.does(alice, open_road("alice2.dgns.test", &alice), &[11, Z]);
    log.does(alice, release("alice2.dgns.test"), &[10]);
    assert_eq!(log.name("alice2.dgns.test").held_until_ms, log.now_ms + 90 * DAY);
    log.does(alice, release(NAME), &[11, 12]);
    log.wait(WINDOW - 1);
    assert_eq!(log.owner(NAME), Some(alice));
    log.wait(1);
    assert_eq!((log.owner(NAME), log.name(NAME).status), (None, NameStatus::Held));
    assert_eq!(log.name(NAME).held_until_ms, log.now_ms + 90 * DAY);
}

#[test]
fn a_name_with_live_names_below_is_not_released() {
    let (mut log, alice, bob) = alice_and_bob();
    log.act_by(bob, alice, below(BELOW), &[21, 11, Z]).expect("granted");
    assert_eq!(log.act(alice, release(NAME), &[10]), Err("has_children"));
    log.does(bob, release(BELOW), &[20]);
    assert_eq!(log.name(NAME).children, 0);
    log.does(alice, release(NAME), &[10]);
}

#[test]
fn a_waiting_release_dies_when_names_appear_below() {
    let (mut log, alice, _) = alice_and_bob();
    let act = log.does(alice, release(NAME), &[11]);
    log.does(alice, below(BELOW), &[12, Z]);
    assert_eq!(log.act(alice, confirm(act), &[10]), Err("has_children"));
    log.wait(WINDOW);
    assert_eq!((log.owner(NAME), log.did(&alice).pending.len()), (Some(alice), 0));
}

#[test]
fn a_name_with_names_below_goes_to_another_and_they_stay() {
    let (mut log, alice, bob) = alice_and_bob();
    log.does(alice, below(BELOW), &[11, Z]);
    log.act_by(alice, bob, transfer(NAME, bob), &[10, 21]).expect("transferred");
    assert_eq!((log.owner(NAME), log.owner(BELOW)), (Some(bob), Some(alice)));
    log.act(bob, transfer(BELOW, bob), &[20, 21]).expect("the new owner above may take it");
    assert_eq!(log.owner(BELOW), Some(bob));
}

#[test]
fn a_waiting_transfer_dies_when_its_did_has_the_name_no_more() {
    let (mut log, alice, bob) = alice_and_bob();
    let carol = log.join(40, 41);
    log.act_by(alice, bob, transfer(NAME, bob), &[11, 21]).expect("opened");
    log.act_by(alice, carol, transfer(NAME, carol), &[10, 41]).expect("the words were faster");
    log.wait(WINDOW);
    assert_eq!((log.owner(NAME), log.did(&alice).pending.len()), (Some(carol), 0));
}

#[test]
fn two_owners_above_one_name_settle_in_order() {
    // Goal: settling loads what an earlier settling made necessary. Method: Alice above and Bob himself move one name.
    let (mut log, alice, bob) = alice_and_bob();
    let carol = log.join(40, 41);
    log.wait(DAY);
    log.act_by(bob, alice, below(BELOW), &[21, 11, Z]).expect("granted");
    log.act_by(bob, carol, transfer(BELOW, carol), &[21, 41]).expect("opened by the owner");
    log.act(alice, transfer(BELOW, alice), &[11]).expect("opened by the owner above");
    log.wait(WINDOW);
    assert!([&bob, &alice].iter().all(|did| log.did(did).pending.is_empty()));
    assert!([Some(alice), Some(carol)].contains(&log.owner(BELOW)));
}

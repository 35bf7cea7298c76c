//! The row user_key, and what makes a user key stale (PROTOCOL 5.3).

use super::log::*;
use crate::cert::{Body, FirstUserKey, Genesis, IdRotate, Recipient, RecipientKind};
use crate::did::Did;
use crate::testing::samples::{device, first, key, user_key};

/// Alice with so many devices and a user key of generation 1.
fn keyed(devices: u8) -> (Log, Did) {
    let (mut log, alice) = Log::with_alice(devices);
    log.does(alice, turn(1), &[11]);
    (log, alice)
}

#[test]
fn a_genesis_may_bring_the_first_generation() {
    let mut log = Log::new();
    let user_key = Some(FirstUserKey { key: [5; 32], boxes: [6; 32] });
    let index = log.index;
    let sid = log.post(first(Genesis { user_key, ..person(10, 11) }), &[10, 11]).expect("a genesis");
    let alice = Did::of_genesis(&sid);
    let held = log.did(&alice).user_key.clone().expect("a user key");
    assert_eq!((held.generation, held.key, held.boxes, held.index, held.extras.len()), (1, [5; 32], [6; 32], index, 0));
    assert_eq!(log.act(alice, turn(1), &[11]), Err("bad_generation"));
    log.does(alice, turn(2), &[11]);
}

#[test]
fn each_generation_follows_the_last_with_another_key_and_other_boxes() {
    let (mut log, alice) = keyed(1);
    for generation in [0, 1, 3] {
        assert_eq!(log.act(alice, turn(generation), &[11]), Err("bad_generation"));
    }
    let with = |change: fn(&mut crate::cert::UserKey)| {
        let mut turned = user_key(2);
        change(&mut turned);
        Body::UserKey(turned)
    };
    assert_eq!(log.act(alice, with(|turned| turned.key = user_key(1).key), &[11]), Err("key_same"));
    assert_eq!(log.act(alice, with(|turned| turned.boxes = user_key(1).boxes), &[11]), Err("bad_boxes"));
    let to_device = |turned: &mut crate::cert::UserKey| {
        let kex = device(11, crate::cert::Level::Admin).kex;
        turned.extras = vec![Recipient { kind: RecipientKind::Passkey, kex }];
    };
    assert_eq!(log.act(alice, with(to_device), &[11]), Err("bad_boxes"), "a device is no extra recipient");
    log.does(alice, with(|_| ()), &[10]);
    assert_eq!(log.did(&alice).user_key.as_ref().map(|held| (held.generation, held.extras.len())), Some((2, 2)));
    assert_eq!(log.act(alice, turn(3), &[31]), Err("unknown_signer"));
}

#[test]
fn suspension_revocation_and_new_words_make_it_stale_until_it_is_turned() {
    let (mut log, alice) = keyed(4);
    let rotate = Body::IdRotate(IdRotate { identity: key(50).public(), words_box: [50; 32] });
    let steps: [(Body, &[u8]); 4] =
        [(revoke(13), &[11, 12, 14]), (suspend(12), &[11]), (revoke(12), &[10]), (rotate, &[10, 50])];
    for (generation, (body, signers)) in (2..).zip(steps) {
        assert!(!log.is_stale(&alice));
        log.does(alice, body, signers);
        assert!(log.is_stale(&alice));
        log.does(alice, turn(generation), &[14]);
    }
    assert!(!log.is_stale(&alice));
    let (mut none, alice) = Log::with_alice(2);
    none.does(alice, revoke(12), &[10]);
    assert!(!none.is_stale(&alice), "without a user key nothing is stale");
}

#[test]
fn a_revocation_that_waited_makes_it_stale_again_when_it_takes_effect() {
    let (mut log, alice) = keyed(3);
    log.does(alice, revoke(12), &[11]);
    assert!(log.is_stale(&alice), "the target is suspended meanwhile");
    log.does(alice, turn(2), &[11]);
    assert!(!log.is_stale(&alice), "the opener of an act turns the key beside it");
    log.wait(WINDOW);
    assert!(log.is_stale(&alice));
}

#[test]
fn a_suspension_that_lapses_leaves_it_as_it_was() {
    let (mut log, alice) = keyed(2);
    log.does(alice, suspend(12), &[11]);
    log.does(alice, turn(2), &[11]);
    log.wait(WINDOW);
    assert!(!log.is_stale(&alice));
}

#[test]
fn in_a_quarrel_the_words_alone_turn_it() {
    let (mut log, alice) = keyed(3);
    let act = log.does(alice, suspend(12), &[11]);
    log.does(alice, veto(act), &[12]);
    assert!(log.is_frozen(&alice));
    assert_eq!(log.act(alice, turn(2), &[13]), Err("frozen"));
    assert_eq!(log.act(alice, turn(2), &[11]), Err("suspended"));
    log.does(alice, turn(2), &[10]);
    assert!(!log.is_stale(&alice));
}

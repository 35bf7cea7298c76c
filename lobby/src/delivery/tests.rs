//! Once, or a named end.

use bytes::Bytes;

use super::*;
use crate::testing::NOW;

fn knock() -> Frame {
    Frame::Knock { id: 1, name: "db.alice.dgns.test".to_owned(), card: Bytes::from_static(b"card"), proof: None }
}

#[test]
fn a_signal_is_sent_again_until_it_is_acknowledged_or_expires() {
    // Goal: the times of the table, then one end. Method: every millisecond for eleven seconds.
    let mut outbox = Outbox::default();
    outbox.post([1; 16], 0, knock(), NOW).unwrap();
    let (mut times, mut ends) = (Vec::new(), Vec::new());
    for ms in 0..11_000 {
        let due = outbox.due(NOW.plus_ms(ms));
        times.extend(due.send.iter().map(|_| ms));
        ends.extend(due.expired.iter().map(|key| (ms, *key)));
    }
    assert_eq!(times, [0, 250, 750, 1_750, 3_750, 7_750]);
    assert_eq!(ends, [(10_000, ([1; 16], 0))]);
    assert_eq!(outbox.next(), None);
}

#[test]
fn a_knock_is_acknowledged_by_what_answers_it() {
    let mut outbox = Outbox::default();
    let signal = Frame::Seen { n: 1 };
    outbox.post([1; 16], 0, knock(), NOW).unwrap();
    outbox.post([1; 16], 1, signal.clone(), NOW).unwrap();
    outbox.post([2; 16], 0, knock(), NOW).unwrap();
    outbox.answered(&[1; 16]);
    assert_eq!(outbox.due(NOW).send, [signal, knock()]);
    assert!(outbox.acknowledged(&[1; 16], 1) && !outbox.acknowledged(&[1; 16], 1));
    outbox.forget(&[2; 16]);
    assert_eq!(outbox.next(), None);
}

#[test]
fn what_is_under_way_is_bounded() {
    let mut outbox = Outbox::default();
    for seq in 0..UNDER_WAY_MAX as u64 {
        outbox.post([1; 16], seq, knock(), NOW).unwrap();
    }
    assert_eq!(outbox.post([1; 16], UNDER_WAY_MAX as u64, knock(), NOW), Err(Busy));
}

#[test]
fn each_number_is_new_once_in_any_order() {
    // Goal: in every order of 0..64 each is new exactly once. Method: 200 orders by a fixed step, each number three times.
    for step in (1..401_u64).step_by(2) {
        let mut inbox = Inbox::default();
        let mut new = [0; 64];
        for turn in 0..192 {
            let seq = turn * step % 64;
            if inbox.arrived(&[1; 32], &[1; 16], seq, NOW) == Arrival::New {
                new[seq as usize] += 1;
            }
        }
        assert_eq!(new, [1; 64], "step {step}");
    }
}

#[test]
fn what_is_too_late_counts_as_seen_and_a_full_memory_says_nothing() {
    let mut inbox = Inbox::default();
    assert_eq!(inbox.arrived(&[1; 32], &[1; 16], 100, NOW), Arrival::New);
    assert_eq!(inbox.arrived(&[1; 32], &[1; 16], 37, NOW), Arrival::New);
    assert_eq!(inbox.arrived(&[1; 32], &[1; 16], 36, NOW), Arrival::Again);
    assert_eq!(inbox.arrived(&[2; 32], &[1; 16], 36, NOW), Arrival::New, "another device");
    for n in 0..SESS_KEPT_MAX as u32 {
        let mut sess = [9; 16];
        sess[..4].copy_from_slice(&n.to_be_bytes());
        inbox.arrived(&[3; 32], &sess, 0, NOW);
    }
    assert_eq!(inbox.arrived(&[4; 32], &[7; 16], 0, NOW), Arrival::NoRoom);
    assert_eq!(inbox.arrived(&[1; 32], &[1; 16], 101, NOW), Arrival::New, "who is remembered goes on");
    let later = NOW.plus_ms(OFFER_KEPT_MS + 1);
    assert_eq!(inbox.arrived(&[4; 32], &[7; 16], 0, later), Arrival::New);
    assert_eq!(inbox.windows.len(), 1);
}

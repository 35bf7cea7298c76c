//! What devices leave for each other, what they are told, and what ends their tokens: table by table, with the clock in hand.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where and stop")]

use identity::cert::Kid;
use identity::did::Did;
use storage::people::{AwaitedRow, ENVELOPES_MAX, FamilyRow, PAIR_MESSAGES_MAX, People, Told};
use tempfile::TempDir;

async fn opened() -> (People, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (People::open(directory.path()).await.unwrap(), directory)
}

fn did(number: u8) -> Did {
    Did::from_bytes([number; 20])
}

#[tokio::test]
async fn a_pairing_keeps_its_places_is_full_at_32_and_over_after_an_hour() {
    let (people, _directory) = opened().await;
    let put =
        async |session: u8, body: u8, now_s| people.put_pair_message(&[session; 16], &[body], now_s).await.unwrap();
    assert_eq!((put(1, 7, 100).await, put(1, 8, 200).await, put(1, 7, 300).await), (Some(1), Some(2), Some(1)));
    let read = async |after, now_s| people.pair_messages(&[1; 16], after, now_s).await.unwrap();
    assert_eq!(read(0, 300).await, [(1, vec![7]), (2, vec![8])]);
    assert_eq!(read(1, 300).await, [(2, vec![8])]);
    assert_eq!(people.pair_messages(&[2; 16], 0, 300).await.unwrap(), [], "another session's are its own");
    for body in 0..PAIR_MESSAGES_MAX {
        assert_eq!(put(3, u8::try_from(body).unwrap(), 100).await, Some(body as u64 + 1));
    }
    assert_eq!(put(3, 99, 100).await, None, "full");
    assert_eq!(put(3, 5, 100).await, Some(6), "what is there has its place all the same");
    assert_eq!(read(0, 3_699).await.len(), 2, "the last second of its hour, counted from the first message");
    assert_eq!(read(0, 3_700).await, [], "over");
    assert_eq!(put(1, 9, 3_700).await, Some(1), "who comes late begins anew, alone");
    assert_eq!(read(0, 3_700).await, [(1, vec![9])]);
}

#[tokio::test]
async fn attachments_are_their_dids_and_orphans_go_after_an_hour() {
    let (people, _directory) = opened().await;
    let put = async |number: u8, generation, hash: u8, now_s| {
        people.put_attachments(&[(did(number), generation, [hash; 32], &[hash; 3])], now_s).await.unwrap();
    };
    put(1, 1, 1, 100).await;
    put(1, 2, 2, 200).await;
    assert_eq!(people.attachment(&did(1), &[1; 32]).await.unwrap(), Some(vec![1; 3]));
    assert_eq!(people.attachment(&did(2), &[1; 32]).await.unwrap(), None, "another DID's");
    assert_eq!(people.attachments(&did(1), 2).await.unwrap(), [(1, [1; 32]), (2, [2; 32])]);
    assert_eq!(people.attachments(&did(1), 1).await.unwrap(), [(1, [1; 32])], "those of a post that was not taken yet");
    put(1, 2, 3, 3_800).await;
    assert_eq!(
        people.attachment(&did(1), &[2; 32]).await.unwrap(),
        Some(vec![2; 3]),
        "its post may still be on the way"
    );
    put(1, 2, 3, 3_801).await;
    assert_eq!(people.attachment(&did(1), &[2; 32]).await.unwrap(), None, "another was taken in its place");
}

#[tokio::test]
async fn labels_are_replaced_and_taken_away() {
    let (people, _directory) = opened().await;
    people.put_label(&did(1), &[1; 8], b"a").await.unwrap();
    people.put_label(&did(1), &[2; 8], b"b").await.unwrap();
    people.put_label(&did(1), &[1; 8], b"c").await.unwrap();
    assert_eq!(people.labels(&did(1)).await.unwrap(), [([1; 8], b"c".to_vec()), ([2; 8], b"b".to_vec())]);
    people.put_label(&did(1), &[1; 8], b"").await.unwrap();
    assert_eq!(people.labels(&did(1)).await.unwrap(), [([2; 8], b"b".to_vec())]);
    assert_eq!(people.labels(&did(2)).await.unwrap(), []);
}

#[tokio::test]
async fn mail_waits_30_days_256_deep_and_goes_once_it_is_had() {
    let (people, _directory) = opened().await;
    let put =
        async |to: u8, body: u64, now_ms| people.put_envelope(&[to; 32], &body.to_be_bytes(), now_ms).await.unwrap();
    for body in 0..ENVELOPES_MAX {
        assert!(put(1, body, 0).await);
    }
    assert!(!put(1, 999, 0).await, "full");
    assert!(put(1, 5, 0).await, "kept already");
    assert!(put(2, 5, 0).await, "another's mailbox");
    let read = async |after, now_s| people.envelopes_after(&[1; 32], after, now_s).await.unwrap();
    let first = read(0, 1).await;
    let (third, last) = (first[2].0, first.last().unwrap().0);
    assert_eq!(read(third, 1).await[0].0, first[3].0);
    assert_eq!(read(0, 1).await[0].0, first[3].0, "what was had is gone");
    assert!(last > third);
    assert_eq!(read(0, 30 * 86_400).await, [], "over");
}

#[tokio::test]
async fn what_devices_are_told_ascends_goes_on_after_a_reopening_and_is_swept() {
    let directory = tempfile::tempdir().unwrap();
    let people = People::open(directory.path()).await.unwrap();
    assert_eq!(people.cursor("log").await.unwrap(), None);
    let awaited = AwaitedRow { sid: [9; 32], did: did(1), due_ms: 500, reminded: false };
    let told = Told {
        events: vec![(did(1), 3, "{}".into()), (did(2), 4, "{}".into())],
        awaited: vec![awaited],
        cursor: Some(17),
        ..Told::default()
    };
    people.put_told("log", &told, 1_000).await.unwrap();
    people.put_event(&did(1), 5, "{\"at_ms\":2}", 2_000).await.unwrap();
    people.close().await.unwrap();
    let people = People::open(directory.path()).await.unwrap();
    let rows = people.events_after(&did(1), 0).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.kind).collect::<Vec<_>>(), [3, 5]);
    assert!(rows[0].id < rows[1].id);
    assert_eq!(people.events_after(&did(1), rows[0].id).await.unwrap(), rows[1..]);
    assert_eq!(people.cursor("log").await.unwrap(), Some(17));
    assert_eq!(people.next_awaited_ms().await.unwrap(), Some(500));
    assert_eq!((people.awaited_by(499).await.unwrap(), people.awaited_by(500).await.unwrap()), (vec![], vec![awaited]));
    let over = Told { settled: vec![[9; 32]], cursor: Some(18), ..Told::default() };
    people.put_told("log", &over, 2_000).await.unwrap();
    assert_eq!(people.next_awaited_ms().await.unwrap(), None);
    assert_eq!(people.sweep_events(1_500).await.unwrap(), 2, "of both DIDs");
    assert_eq!(people.events_after(&did(1), 0).await.unwrap(), rows[1..]);
}

fn family(number: u8) -> FamilyRow {
    FamilyRow {
        rid: [number; 8],
        did: did(1),
        kid: Kid([number; 8]),
        audience: did(2),
        scope: vec![1],
        chain: Vec::new(),
        life_s: 900,
        turn: 0,
        spent_ms: 0,
        uid: 3,
        iat_s: 100,
        exp_s: 1_000,
        seq: 4,
        over_s: 1_000,
    }
}

#[tokio::test]
async fn a_guard_is_spent_once_and_a_dead_family_is_in_the_feed_until_its_tokens_are_over() {
    let (people, _directory) = opened().await;
    people.add_family(&family(1), &[], 2, 50).await.unwrap();
    people.add_family(&family(2), &[], 2, 50).await.unwrap();
    assert!(people.add_family(&family(3), &[], 2, 50).await.is_err(), "too many");
    let next = FamilyRow { turn: 1, spent_ms: 5_000, ..family(1) };
    assert!(people.advance_family(&next).await.unwrap());
    assert!(!people.advance_family(&next).await.unwrap(), "the same guard again");
    assert_eq!(people.family(&[1; 8]).await.unwrap(), Some(next));
    let seq = people.end_families(&[([1; 8], 1_000)], &[], 200).await.unwrap();
    assert_eq!(people.family(&[1; 8]).await.unwrap(), None);
    let (newest, rows) = people.revocations(0, 200, 10).await.unwrap();
    assert_eq!((newest, rows.len(), rows[0].seq), (seq, 1, seq));
    assert_eq!(people.revocations(seq, 200, 10).await.unwrap().1, [], "nothing behind it");
    assert_eq!(people.end_families(&[([1; 8], 1_000)], &[], 200).await.unwrap(), seq, "dead already: no second entry");
    people.end_families(&[], &[(Kid([2; 8]), 150, 3_000)], 1_001).await.unwrap();
    let (_, rows) = people.revocations(0, 1_001, 10).await.unwrap();
    assert_eq!(rows.len(), 1, "the first is over and forgotten: {rows:?}");
}

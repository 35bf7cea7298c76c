//! What was begun is taken once, in time, by the finish it was made for; what is old goes away.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where and stop")]

use std::sync::Arc;

use storage::people::{People, StartKind, StartRow};
use storage::{Options, Storage, fsck};

fn start(number: u8, until_s: u64) -> StartRow {
    StartRow { state: [number; 32], kind: StartKind::Oidc, data: vec![number; 100], until_s }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_that_bring_one_state_gets_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let people = Arc::new(People::open(dir.path()).await.unwrap());
    people.put_start(&start(1, 600), 0).await.unwrap();
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let people = people.clone();
        racers.spawn(async move { people.take_start(&[1; 32], StartKind::Oidc, 599).await.unwrap() });
    }
    let got: Vec<Vec<u8>> = racers.join_all().await.into_iter().flatten().collect();
    assert_eq!(got, [vec![1; 100]]);
}

#[tokio::test]
async fn a_start_is_for_its_kind_its_time_and_survives_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    people.put_start(&start(1, 600), 0).await.unwrap();
    people.put_start(&start(2, 600), 0).await.unwrap();
    assert_eq!(people.take_start(&[1; 32], StartKind::Passkey, 1).await.unwrap(), None, "of another kind");
    assert_eq!(people.take_start(&[9; 32], StartKind::Oidc, 1).await.unwrap(), None, "unknown");
    people.close().await.unwrap();
    let people = People::open(dir.path()).await.unwrap();
    assert!(people.peek_start(&[1; 32], StartKind::Oidc, 599).await.unwrap().is_some());
    assert!(people.peek_start(&[1; 32], StartKind::Oidc, 600).await.unwrap().is_none(), "too late");
    assert!(
        people.take_start(&[1; 32], StartKind::Oidc, 599).await.unwrap().is_some(),
        "the wrong kind did not take it"
    );
    assert!(people.take_start(&[1; 32], StartKind::Oidc, 599).await.unwrap().is_none(), "taken");
    assert!(people.take_start(&[2; 32], StartKind::Oidc, 600).await.unwrap().is_none(), "too late");
}

#[tokio::test]
async fn old_starts_are_swept_by_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path()).await.unwrap();
    for number in 0..20 {
        people.put_start(&start(number, 600), 0).await.unwrap();
    }
    for number in 20..23 {
        people.put_start(&start(number, 2_000), 1_000).await.unwrap();
    }
    for number in 0..23 {
        let there = people.peek_start(&[number; 32], StartKind::Oidc, 1).await.unwrap().is_some();
        assert_eq!(there, number >= 20, "{number}");
    }
}

#[tokio::test]
async fn one_process_holds_it_and_the_check_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    Storage::open(dir.path()).await.unwrap().close().await.unwrap();
    assert!(!People::is_in(dir.path()));
    let people = People::open(dir.path()).await.unwrap();
    assert_eq!(People::open(dir.path()).await.err().unwrap().code(), "locked");
    assert_eq!(fsck::check(dir.path(), None).await.err().unwrap().code(), "locked");
    people.close().await.unwrap();
    assert_eq!(fsck::check(dir.path(), None).await.unwrap().faults, []);
    std::fs::write(dir.path().join("people.db"), [7; 4096]).unwrap();
    let options = Options { create: false, ..Options::default() };
    assert_eq!(People::open_with(dir.path(), options).await.err().unwrap().code(), "corrupt");
    let faults = fsck::check(dir.path(), None).await.unwrap().faults;
    assert_eq!(faults.iter().map(|fault| fault.code()).collect::<Vec<_>>(), ["corrupt"]);
}

//! The log on a real directory: what a commit writes, what reads return, what is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where and stop")]

mod suite;

use storage::inject::{Failure, Plan, Step};
use storage::rows::{CommitRows, EdgeRow, InviteState, StoredHead, Tiled};
use storage::{CommitError, Options, Storage};
use suite::{batch, hash, head, label};

async fn opened() -> (tempfile::TempDir, Storage) {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(&dir.path().join("data")).await.unwrap();
    (dir, storage)
}

/// Commits `sizes.len()` batches of that many claims and returns the last head.
async fn commit_all(storage: &Storage, sizes: &[u64]) -> StoredHead {
    let mut old = storage.log().load_head().await.unwrap();
    for claims in sizes {
        let (new, rows) = batch(old.as_ref(), *claims);
        storage.log().commit(old.as_ref(), &new, &rows).await.unwrap();
        old = Some(new);
    }
    old.unwrap()
}

#[tokio::test]
async fn a_committed_batch_reads_back_after_reopening() {
    let (dir, storage) = opened().await;
    assert_eq!(storage.log().load_head().await.unwrap(), None);
    let (new, rows) = batch(None, 700);
    storage.log().commit(None, &new, &rows).await.unwrap();
    storage.close().await.unwrap();

    let storage = Storage::open(&dir.path().join("data")).await.unwrap();
    let log = storage.log();
    assert_eq!(log.load_head().await.unwrap().unwrap(), new);
    let entries: Vec<_> = log.entries(0..1_000).await.unwrap().into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(entries, rows.entries);
    assert_eq!(log.entries(3..5).await.unwrap().iter().map(|(index, _)| *index).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(log.entry(700).await.unwrap().unwrap(), "epoch");
    assert_eq!(log.entry(701).await.unwrap(), None);
    assert_eq!(log.find(&hash(2, 5), 0).await.unwrap(), Some(rows.chain[5]));
    assert_eq!(log.find(&hash(2, 5), 1).await.unwrap(), None);
    assert_eq!(log.name(&rows.names[9].0).await.unwrap().unwrap(), rows.names[9].1);
    assert_eq!(log.root_at(701).await.unwrap(), Some(new.root));
    assert_eq!(log.root_at(700).await.unwrap(), None);
}

#[tokio::test]
async fn labels_come_in_the_order_asked_and_absent_ones_are_none() {
    let (_dir, storage) = opened().await;
    let (new, rows) = batch(None, 300);
    storage.log().commit(None, &new, &rows).await.unwrap();
    for count in [0, 1, 2, 4, 5, 64, 65, 200] {
        let mut asked: Vec<_> = rows.labels[..count].iter().map(|row| row.label).collect();
        asked.reverse();
        asked.insert(count / 2, [7; 32]);
        let mut wanted: Vec<_> = rows.labels[..count].iter().rev().cloned().map(Some).collect();
        wanted.insert(count / 2, None);
        asked.push(asked[0]);
        wanted.push(wanted[0].clone());
        assert_eq!(storage.log().labels(&asked).await.unwrap(), wanted);
    }
}

#[tokio::test]
async fn a_changed_label_and_name_replace_the_row_before() {
    let (_dir, storage) = opened().await;
    let old = commit_all(&storage, &[10]).await;
    let mut changed = label(hash(1, 4), 11, 99);
    (changed.version, changed.flags, changed.due_ms) = (2, 0x100, Some(5_000));
    let (name_label, mut name) = batch(None, 10).1.names[4].clone();
    (name.did, name.status, name.records) = (None, 2, b"records".to_vec());
    let rows = CommitRows {
        entries: vec!["c".into(), "e".into()],
        labels: vec![changed.clone()],
        names: vec![(name_label, name.clone())],
        ..CommitRows::default()
    };
    storage.log().commit(Some(&old), &head(13, 1), &rows).await.unwrap();
    assert_eq!(storage.log().labels(&[changed.label]).await.unwrap(), [Some(changed.clone())]);
    assert_eq!(storage.log().name(&name_label).await.unwrap(), Some(name));
    assert_eq!(storage.log().all_leaves().await.unwrap().len(), 20);
    let due = storage.log().dues(u64::MAX, 10).await.unwrap();
    assert_eq!((due.len(), due[0].due_ms, due[0].label), (1, 5_000, changed.label));
    assert!(storage.log().dues(4_999, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn all_leaves_come_in_label_order_and_all_names_once() {
    let (_dir, storage) = opened().await;
    commit_all(&storage, &[4_096, 4_096, 2_000]).await;
    let leaves: Vec<_> = storage.log().all_leaves().await.unwrap().into_iter().collect();
    assert_eq!(leaves.len(), 2 * (4_096 + 4_096 + 2_000));
    assert!(leaves.is_sorted_by(|one, next| one.0 < next.0));
    let mut found = std::collections::BTreeSet::new();
    let mut names = storage.log().all_names();
    while let Some(row) = names.next().await.unwrap() {
        assert!(found.insert(row.name));
    }
    assert_eq!(found.len(), leaves.len() / 2);
}

/// Commits two batches on `old` at once; one of them must win and be all there is.
async fn race(storage: &Storage, old: Option<&StoredHead>) {
    let (ours, our_rows) = batch(old, 3);
    let (mut theirs, their_rows) = batch(old, 4);
    theirs.note = b"theirs".to_vec();
    let log = storage.log();
    let outcome = tokio::join!(log.commit(old, &ours, &our_rows), log.commit(old, &theirs, &their_rows));
    let winner = match outcome {
        (Ok(()), Err(CommitError::Lost)) => &ours,
        (Err(CommitError::Lost), Ok(())) => &theirs,
        other => panic!("{other:?}"),
    };
    assert_eq!(log.load_head().await.unwrap().as_ref(), Some(winner));
    assert_eq!(log.entries(0..100).await.unwrap().len() as u64, winner.size);
}

#[tokio::test]
async fn of_two_writers_with_the_same_head_one_loses_and_changes_nothing() {
    // Goal: the swap, not the lock file, keeps two heads apart. Method: two batches on one old head at once, first and later.
    let (_dir, storage) = opened().await;
    race(&storage, None).await;
    let old = storage.log().load_head().await.unwrap();
    race(&storage, old.as_ref()).await;
}

#[tokio::test]
async fn a_batch_that_does_not_fit_its_head_is_refused() {
    let (_dir, storage) = opened().await;
    let old = commit_all(&storage, &[5]).await;
    let (mut new, rows) = batch(Some(&old), 3);
    new.size += 1;
    let error = storage.log().commit(Some(&old), &new, &rows).await.unwrap_err();
    assert!(matches!(&error, CommitError::Definite(fault) if fault.code() == "inconsistent"), "{error:?}");
    assert_eq!(storage.log().load_head().await.unwrap(), Some(old));
}

#[tokio::test]
async fn a_certificate_at_a_place_of_its_chain_that_is_taken_refuses_the_whole_batch() {
    let (_dir, storage) = opened().await;
    let old = commit_all(&storage, &[5]).await;
    let (new, mut rows) = batch(Some(&old), 3);
    rows.chain[2].label = hash(2, 1);
    let error = storage.log().commit(Some(&old), &new, &rows).await.unwrap_err();
    assert!(matches!(&error, CommitError::Definite(fault) if fault.code() == "inconsistent"), "{error:?}");
    assert_eq!(storage.log().load_head().await.unwrap().unwrap(), old);
    assert_eq!(storage.log().entries(0..100).await.unwrap().len(), 6);
}

#[tokio::test]
async fn an_invite_serves_once() {
    let (_dir, storage) = opened().await;
    let (code, old) = ([9; 32], commit_all(&storage, &[5]).await);
    assert_eq!(storage.log().invite(&code).await.unwrap(), InviteState::Unknown);
    assert_eq!(storage.log().add_invites(&[code, [8; 32]]).await.unwrap(), 2);
    assert_eq!(storage.log().add_invites(&[code]).await.unwrap(), 0);
    let (new, mut rows) = batch(Some(&old), 1);
    rows.invites = vec![(code, 6)];
    storage.log().commit(Some(&old), &new, &rows).await.unwrap();
    assert_eq!(storage.log().invite(&code).await.unwrap(), InviteState::Used(6));
    let (next, mut rows) = batch(Some(&new), 1);
    rows.invites = vec![(code, 8)];
    let error = storage.log().commit(Some(&new), &next, &rows).await.unwrap_err();
    assert!(matches!(error, CommitError::Definite(_)));
    assert_eq!(storage.log().load_head().await.unwrap(), Some(new));
    assert_eq!(storage.log().invites().await.unwrap(), [([8; 32], None), (code, Some(6))]);
}

#[tokio::test]
async fn evidence_keeps_its_first_notice() {
    let (_dir, storage) = opened().await;
    let (evidence, old) = ([9; 32], commit_all(&storage, &[5]).await);
    assert_eq!(storage.log().notice(&evidence).await.unwrap(), None);
    let (new, mut rows) = batch(Some(&old), 1);
    rows.notices = vec![(evidence, 6), (evidence, 7)];
    storage.log().commit(Some(&old), &new, &rows).await.unwrap();
    assert_eq!(storage.log().notice(&evidence).await.unwrap(), Some(6));
    assert_eq!(storage.log().notice(&[8; 32]).await.unwrap(), None);
}

#[tokio::test]
async fn the_epochs_are_found_by_number_by_size_and_by_entry() {
    let (_dir, storage) = opened().await;
    commit_all(&storage, &[2, 0, 4]).await; // sizes 3, 4, 9
    let log = storage.log();
    assert_eq!(log.epoch(1).await.unwrap().unwrap().size, 4);
    assert_eq!(log.epoch(3).await.unwrap(), None);
    for (index, k) in [(0, 0), (2, 0), (3, 1), (4, 2), (8, 2)] {
        assert_eq!(log.epoch_covering(index).await.unwrap().unwrap().k, k, "entry {index}");
    }
    assert_eq!(log.epoch_covering(9).await.unwrap(), None);
    assert_eq!(log.epochs(1, 10).await.unwrap().len(), 2);
    assert_eq!(log.root_at(4).await.unwrap(), Some(hash(0, 4)));
}

#[tokio::test]
async fn tiles_move_forward_only_and_never_past_the_head() {
    let (_dir, storage) = opened().await;
    let edge = EdgeRow { tree: 1, level: 0, start: 3, hashes: vec![7; 64] };
    let tiled = |size| Tiled { size, edges: vec![edge.clone()] };
    assert_eq!(storage.log().load_tiled().await.unwrap(), Tiled::default());
    commit_all(&storage, &[599]).await;
    storage.log().save_tiled(&tiled(600), 512, &[]).await.unwrap();
    assert_eq!(storage.log().load_tiled().await.unwrap(), tiled(600));
    assert_eq!(storage.log().entries(0..1_000).await.unwrap()[0].0, 512);
    for (size, below) in [(599, 512), (601, 512), (600, 601)] {
        assert_eq!(storage.log().save_tiled(&tiled(size), below, &[]).await.unwrap_err().code(), "inconsistent");
    }
}

#[tokio::test]
async fn planned_failures_leave_what_they_say() {
    for (failure, kept, unknown) in [
        (Failure::Refused, false, false),
        (Failure::DroppedOutcomeUnknown, false, true),
        (Failure::KeptButReportedFailed, true, true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let failures = Plan::default();
        let options = Options { failures: failures.clone(), ..Options::default() };
        let storage = Storage::open_with(dir.path(), options).await.unwrap();
        let old = commit_all(&storage, &[5]).await;
        let (new, rows) = batch(Some(&old), 3);
        failures.fail_next(Step::Commit, failure);
        let error = storage.log().commit(Some(&old), &new, &rows).await.unwrap_err();
        assert_eq!(matches!(error, CommitError::Unknown(_)), unknown, "{failure:?}");
        let head = storage.log().load_head().await.unwrap().unwrap();
        assert_eq!(head, if kept { new.clone() } else { old.clone() }, "{failure:?}");
        if !kept {
            storage.log().commit(Some(&old), &new, &rows).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_public_note_is_kept_beside_the_newest_head() {
    // Goal: what was shown under a quorum survives commits and a reopening. Method: save, commit on, open again.
    let (dir, storage) = opened().await;
    assert!(storage.log().save_public(b"too early").await.is_err());
    commit_all(&storage, &[1]).await;
    assert_eq!(storage.log().load_public().await.unwrap(), None);
    storage.log().save_public(b"first").await.unwrap();
    storage.log().save_public(b"second").await.unwrap();
    commit_all(&storage, &[1]).await;
    storage.close().await.unwrap();
    let storage = Storage::open(&dir.path().join("data")).await.unwrap();
    assert_eq!(storage.log().load_public().await.unwrap().as_deref(), Some(&b"second"[..]));
}

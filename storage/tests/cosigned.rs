//! A cosigner's memory moves forward alone, one of two that race wins, and what failed changed nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where and stop")]

use std::sync::Arc;

use storage::inject::{Failure, Plan, Step};
use storage::rows::CosignedRow;
use storage::{CommitError, Cosigned, Options, Storage};

const ORIGIN: &str = "dgns.test/log";

fn row(size: u64) -> CosignedRow {
    CosignedRow { size, root: [size as u8; 32], note: format!("note of {size}").into_bytes() }
}

#[tokio::test]
async fn a_row_is_swapped_against_the_one_that_was_read_and_survives_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let cosigned = Cosigned::open(dir.path(), "witness").await.unwrap();
    assert_eq!(cosigned.load(ORIGIN).await.unwrap(), None);
    cosigned.swap(ORIGIN, None, &row(3)).await.unwrap();
    cosigned.swap("other.test/log", None, &row(9)).await.unwrap();
    cosigned.swap(ORIGIN, Some(&row(3)), &row(5)).await.unwrap();
    let other_root = CosignedRow { root: [9; 32], ..row(5) };
    for (old, new) in [(None, row(7)), (Some(row(3)), row(7)), (Some(other_root), row(7)), (Some(row(5)), row(4))] {
        assert_eq!(cosigned.swap(ORIGIN, old.as_ref(), &new).await, Err(CommitError::Lost), "{old:?}");
    }
    cosigned.close().await.unwrap();
    let cosigned = Cosigned::open(dir.path(), "witness").await.unwrap();
    assert_eq!(cosigned.load(ORIGIN).await.unwrap(), Some(row(5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_that_race_on_a_row_wins() {
    let dir = tempfile::tempdir().unwrap();
    let cosigned = Arc::new(Cosigned::open(dir.path(), "witness").await.unwrap());
    cosigned.swap(ORIGIN, None, &row(1)).await.unwrap();
    let mut racers = tokio::task::JoinSet::new();
    for size in 2..52 {
        let cosigned = cosigned.clone();
        racers.spawn(async move { (size, cosigned.swap(ORIGIN, Some(&row(1)), &row(size)).await) });
    }
    let ended = racers.join_all().await;
    let winners: Vec<u64> = ended.iter().filter(|(_, done)| done.is_ok()).map(|(size, _)| *size).collect();
    assert_eq!(winners.len(), 1);
    assert!(ended.iter().all(|(_, done)| matches!(done, Ok(()) | Err(CommitError::Lost))));
    assert_eq!(cosigned.load(ORIGIN).await.unwrap(), Some(row(winners[0])));
}

#[tokio::test]
async fn what_failed_changed_nothing_and_what_is_unknown_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let failures = Plan::default();
    let options = Options { failures: failures.clone(), ..Options::default() };
    let cosigned = Cosigned::open_with(dir.path(), "witness", options).await.unwrap();
    for failure in [Failure::Refused, Failure::DiskFull] {
        failures.fail_next(Step::Cosign, failure);
        let error = cosigned.swap(ORIGIN, None, &row(3)).await.unwrap_err();
        assert_eq!(error.code(), "commit_refused");
        assert_eq!(cosigned.load(ORIGIN).await.unwrap(), None);
    }
    failures.fail_next(Step::Cosign, Failure::DroppedOutcomeUnknown);
    assert_eq!(cosigned.swap(ORIGIN, None, &row(3)).await.unwrap_err().code(), "commit_unknown");
    assert_eq!(cosigned.load(ORIGIN).await.unwrap(), None);
    failures.fail_next(Step::Cosign, Failure::KeptButReportedFailed);
    assert_eq!(cosigned.swap(ORIGIN, None, &row(3)).await.unwrap_err().code(), "commit_unknown");
    assert_eq!(cosigned.load(ORIGIN).await.unwrap(), Some(row(3)));
}

#[tokio::test]
async fn a_cosigners_database_and_the_name_servers_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    Storage::open(dir.path()).await.unwrap().close().await.unwrap();
    std::fs::rename(dir.path().join("names.db"), dir.path().join("witness.db")).unwrap();
    let error = Cosigned::open(dir.path(), "witness").await.err().unwrap();
    assert_eq!(error.code(), "wrong_schema");
    let held = Cosigned::open(dir.path(), "verifier").await.unwrap();
    assert_eq!(Cosigned::open(dir.path(), "verifier").await.err().unwrap().code(), "locked");
    held.close().await.unwrap();
}

//! Damage, foreign files, full disks and second processes: each is named, and nothing is repaired in silence.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where and stop")]

mod suite;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use storage::rows::{StoredHead, Tiled};
use storage::{CommitError, Guard, Options, Raised, Storage, StorageError, fsck};
use suite::batch;

const DIR: &str = "STORAGE_TEST_DIR";

/// Makes a data directory with `batches` batches of 300 claims, closed in order.
async fn written(batches: u64) -> (tempfile::TempDir, StoredHead) {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(dir.path()).await.unwrap();
    let mut old = None;
    for _ in 0..batches {
        let (new, rows) = batch(old.as_ref(), 300);
        storage.log().commit(old.as_ref(), &new, &rows).await.unwrap();
        old = Some(new);
    }
    storage.close().await.unwrap();
    (dir, old.unwrap())
}

async fn open_error(dir: &Path) -> StorageError {
    match Storage::open(dir).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_truncated_database_is_refused_by_name() {
    let (dir, _) = written(3).await;
    let path = dir.path().join("names.db");
    let length = fs::metadata(&path).unwrap().len();
    for keep in [length - 1, length - 4_096, length / 2, 4_096, 100] {
        OpenOptions::new().write(true).open(&path).unwrap().set_len(keep).unwrap();
        let error = open_error(dir.path()).await;
        assert_eq!(error.code(), "corrupt", "{keep} of {length}: {error}");
        assert!(error.to_string().contains("names.db") || error.to_string().contains("the database"), "{error}");
        assert_eq!(fs::metadata(&path).unwrap().len(), keep, "nothing is repaired");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("names.db"), vec![b'x'; 10_000]).unwrap();
    assert_eq!(open_error(dir.path()).await.code(), "corrupt");
}

#[tokio::test]
async fn the_database_of_another_program_or_of_a_newer_version_is_refused() {
    // The header's fields: user_version at byte 60, application_id at 68; big-endian.
    for (at, value) in [(60, 999_u32), (68, 0x1234_5678)] {
        let (dir, _) = written(1).await;
        let file = OpenOptions::new().write(true).open(dir.path().join("names.db")).unwrap();
        file.write_all_at(&value.to_be_bytes(), at).unwrap();
        assert_eq!(open_error(dir.path()).await.code(), "wrong_schema", "{value} at {at}");
    }
}

#[tokio::test]
async fn a_directory_in_use_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let held = Storage::open(dir.path()).await.unwrap();
    assert_eq!(open_error(dir.path()).await.code(), "locked");
    assert_eq!(fsck::check(dir.path(), None).await.unwrap_err().code(), "locked");
    held.close().await.unwrap();
    Storage::open(dir.path()).await.unwrap();
}

#[tokio::test]
async fn a_directory_where_nobody_may_write_is_read_only() {
    assert_eq!(open_error(Path::new("/sys/dgns-data")).await.code(), "read_only");
}

#[tokio::test]
async fn without_create_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { create: false, ..Options::default() };
    assert!(Storage::open_with(dir.path(), options).await.is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// Commits in `STORAGE_TEST_DIR`, a file system of a few MiB, until it is full.
#[tokio::test]
async fn child_that_fills_the_disk() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let storage = Storage::open(&dir).await.unwrap();
    let mut old: Option<StoredHead> = None;
    let fault = loop {
        let (new, rows) = batch(old.as_ref(), 300);
        match storage.log().commit(old.as_ref(), &new, &rows).await {
            Ok(()) => old = Some(new),
            Err(CommitError::Definite(fault) | CommitError::Unknown(fault)) => break fault,
            Err(CommitError::Lost) => panic!("nobody else is here"),
        }
    };
    assert_eq!(fault.code(), "disk_full", "{fault}");
    assert_eq!(storage.log().load_head().await.unwrap(), old, "the last commit that succeeded stands");
    let fault = storage.objects().put_new("tile/0/000", Bytes::from(vec![0; 8 << 20])).await.unwrap_err();
    assert_eq!(fault.code(), "disk_full", "{fault}");
    drop(storage);
    println!("the disk was full");
}

#[test]
fn a_full_disk_is_named_and_what_was_committed_stands() {
    // Method: this program again, in a mount namespace of its own with a file system of 6 MiB.
    let dir = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=6m tmpfs \"$STORAGE_TEST_DIR\" && echo mounted && \
                  exec \"$0\" --exact child_that_fills_the_disk --nocapture";
    let this = std::env::current_exe().unwrap();
    let output = Command::new("unshare").args(["-rm", "sh", "-c", script]).arg(this).env(DIR, dir.path()).output();
    let text = output.map(|output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned());
    match text {
        Ok(text) if text.contains("mounted") => assert!(text.contains("the disk was full"), "{text}"),
        unable => {
            assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "skipped where nothing may be");
            eprintln!("skipped: a small file system cannot be mounted here ({unable:?})");
        }
    }
}

#[tokio::test]
async fn fsck_finds_a_clean_directory_clean() {
    let (dir, head) = written(3).await;
    let guard = dir.path().join("guard");
    drop(Guard::create(&guard, Raised { size: head.size, root: head.root }).unwrap());
    let report = fsck::check(dir.path(), Some(&guard)).await.unwrap();
    assert_eq!((report.faults, report.size, report.tail_entries), (vec![], head.size, head.size));
}

#[tokio::test]
async fn fsck_names_a_guard_ahead_of_the_database_or_beside_it() {
    for raised in [Raised { size: 10_000, root: [1; 32] }, Raised { size: 301, root: [1; 32] }] {
        let (dir, _) = written(1).await;
        let guard = dir.path().join("guard");
        drop(Guard::create(&guard, raised).unwrap());
        let report = fsck::check(dir.path(), Some(&guard)).await.unwrap();
        assert_eq!(report.faults.iter().map(StorageError::code).collect::<Vec<_>>(), ["rolled_back"]);
    }
}

#[tokio::test]
async fn fsck_names_objects_that_cannot_be_read_and_a_tail_that_is_cut() {
    let (dir, head) = written(2).await;
    let storage = Storage::open(dir.path()).await.unwrap();
    storage.objects().put_new("tile/0/000", Bytes::from_static(b"hashes")).await.unwrap();
    let tiled = Tiled { size: head.size, edges: Vec::new() };
    storage.log().save_tiled(&tiled, head.size - 5, &[]).await.unwrap();
    storage.close().await.unwrap();
    let report = fsck::check(dir.path(), None).await.unwrap();
    assert_eq!((report.faults, report.tail_entries, report.objects, report.object_bytes), (vec![], 5, 1, 6));

    let huge = OpenOptions::new().write(true).open(dir.path().join("objects/tile/0/000")).unwrap();
    huge.set_len(1 << 30).unwrap();
    let report = fsck::check(dir.path(), None).await.unwrap();
    assert_eq!(report.faults.iter().map(StorageError::code).collect::<Vec<_>>(), ["corrupt"]);
}

#[tokio::test]
async fn fsck_names_a_database_with_a_damaged_page() {
    // Goal: no damaged page passes. Method: zero each page after the first, one at a time; either opening or fsck says so.
    let (dir, _) = written(2).await;
    let path = dir.path().join("names.db");
    let whole = fs::read(&path).unwrap();
    for page in (1..whole.len() / 4_096).step_by(37) {
        let mut damaged = whole.clone();
        damaged[page * 4_096..(page + 1) * 4_096].fill(0);
        fs::write(&path, &damaged).unwrap();
        let found = match fsck::check(dir.path(), None).await {
            Ok(report) => !report.faults.is_empty(),
            Err(_) => true,
        };
        assert!(found, "page {page}");
        fs::write(&path, &whole).unwrap();
    }
}

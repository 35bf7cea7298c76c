//! A process killed at any moment leaves a directory without half a batch, and nothing it acknowledged is gone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where and stop")]

mod suite;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use storage::rows::{EdgeRow, Tiled};
use storage::{Guard, Raised, Storage, fsck};
use suite::batch;

const KILLS: u64 = 12;
const DIR: &str = "STORAGE_TEST_DIR";

/// The writer that is killed: commits batches of changing size, raises the guard, tells, and writes objects like a tile writer.
#[tokio::test]
async fn child_that_writes_until_killed() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let storage = Storage::open(&dir.join("data")).await.unwrap();
    let path = dir.join("guard");
    let mut guard = match path.exists() {
        true => Guard::open(&path).unwrap(),
        false => Guard::create(&path, Raised { size: 0, root: [0; 32] }).unwrap(),
    };
    let mut old = storage.log().load_head().await.unwrap();
    loop {
        let k = old.as_ref().map_or(0, |head| head.k);
        let (new, rows) = batch(old.as_ref(), [1, 8, 70, 3][(k % 4) as usize]);
        storage.log().commit(old.as_ref(), &new, &rows).await.unwrap();
        guard.raise(Raised { size: new.size, root: new.root }).unwrap();
        writeln!(std::io::stdout(), "\ncommitted {}", new.size).unwrap();
        if k % 3 == 2 {
            let bundle = (format!("tile/entries/{}", new.size), Bytes::from(vec![k as u8; 9_000]));
            storage.objects().put_all_new(vec![bundle]).await.unwrap();
            let edges = vec![EdgeRow { tree: 0, level: 0, start: k, hashes: vec![0; 32] }];
            storage.log().save_tiled(&Tiled { size: new.size, edges }, new.size / 256 * 256, &[]).await.unwrap();
        }
        old = Some(new);
    }
}

/// Starts the writer, waits for its `lines`-th acknowledgement, kills it, and returns the last size it acknowledged.
fn run_and_kill(dir: &Path, lines: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_writes_until_killed", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let sizes = |line: std::io::Result<String>| line.unwrap().strip_prefix("committed ")?.parse().ok();
    let mut acknowledged = BufReader::new(child.stdout.take().unwrap()).lines().filter_map(sizes);
    let mut last = 0;
    for _ in 0..lines {
        last = acknowledged.next().expect("the writer stopped by itself");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged.last().unwrap_or(last) // what it wrote before it died counts too
}

#[tokio::test]
async fn a_killed_writer_leaves_whole_batches_and_all_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines = 1;
    for kill in 0..KILLS {
        lines = (lines * 5 + 3) % 17 + 1;
        let acknowledged = run_and_kill(dir.path(), lines);
        let report = fsck::check(&dir.path().join("data"), Some(&dir.path().join("guard"))).await.unwrap();
        assert_eq!(report.faults, [], "kill {kill} after {lines} batches");
        assert!(report.size >= acknowledged, "kill {kill}: {} is gone, the head is {}", acknowledged, report.size);

        let storage = Storage::open(&dir.path().join("data")).await.unwrap();
        let head = storage.log().load_head().await.unwrap().unwrap();
        let guard = Guard::peek(&dir.path().join("guard")).unwrap();
        assert!(guard.size <= head.size, "kill {kill}: the guard may be one behind, never ahead");
        let claims = head.size - (head.k + 1);
        assert_eq!(storage.log().all_leaves().await.unwrap().len() as u64, 2 * claims, "kill {kill}");
    }
}

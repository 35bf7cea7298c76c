//! No room: whichever write of the databases finds none, it is told, what was acknowledged stays, nothing of the rest is there, and all goes on
//! once there is room.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use dgns_api::store::anchor::{AnchorTree, Changes};
use dgns_api::store::content::ContentId;
use dgns_api::store::entry::{Class, Entry, LogId};
use storage::StorageError;
use storage::inject::{Failure, Plan, Step};
use storage::limits::CHUNK_NOTED_MS;
use storage::store::rows::{AccountRow, DbRow, EntryRow, GrownLog, LogRow};
use storage::store::{
    Age, Append, AppendRefusal, Appended, ChunkRefusal, DatabaseUrl, Grace, Home, Packing, Store, Sweep, Terms,
};

use crate::chunks::{chunk, entries, naming};
use crate::collected::{GRACE_MS, at, names, put};
use crate::forks::{fill, log_of, other};
use crate::ground::{
    Device, Ground, NOW_MS, append, beginning_of, db, main_log, make, on_both_engines, on_packed_entries, open, person,
};
use crate::leases::ends;
use crate::postgres::Postgres;
use crate::skip::skip;
use crate::trims::{snapshot, trim};

on_both_engines! {
    a_full_disk_at_any_step_loses_nothing_and_leaves_nothing_half
}

on_packed_entries! {
    a_full_disk_at_any_step_loses_nothing_and_leaves_nothing_half
}

/// What is done to the databases, each act in as many steps as it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Append,
    PutSmall,
    PutLarge,
    Name,
    Ask,
    Give,
    Anchor,
    Pack,
    Trim,
    Watch,
    Drop,
    Collect { day: u64 },
}

const ACTS: [Act; 18] = [
    Act::Append,
    Act::PutSmall,
    Act::PutLarge,
    Act::Name,
    Act::Ask,
    Act::Give,
    Act::Anchor,
    Act::Pack,
    Act::Trim,
    Act::Watch,
    Act::Drop,
    Act::Anchor,
    Act::Collect { day: 1 },
    Act::Collect { day: 2 },
    Act::Collect { day: 3 },
    Act::Collect { day: 4 },
    Act::Collect { day: 5 },
    Act::Append,
];

impl Act {
    /// The durable steps that it takes; a bucket has no disk of ours.
    fn steps(self, ground: &Ground) -> Vec<Step> {
        let writes_objects = ground.s3.is_none();
        let with_objects = |step| if writes_objects { vec![Step::PutObjects, step] } else { vec![step] };
        match self {
            Self::Append | Self::Name => vec![Step::Append],
            Self::PutSmall => vec![Step::PutChunk],
            Self::PutLarge => with_objects(Step::PutChunk),
            Self::Ask => vec![Step::Note],
            Self::Give => vec![Step::Give],
            Self::Anchor => vec![Step::Anchor],
            Self::Pack => with_objects(Step::Pack),
            Self::Trim => vec![Step::Trim],
            Self::Watch | Self::Drop => vec![Step::Sweep],
            Self::Collect { .. } => vec![Step::Collect, Step::DeleteObject],
        }
    }
}

/// Databases on which there is something to do for every act, and who does it.
struct Life {
    store: Store,
    writer: Device,
    /// What was acknowledged, and with what.
    acknowledged: Vec<(Vec<Entry>, Appended)>,
    /// Named by an entry; large and named by none; to be stored.
    chunks: [(ContentId, Bytes); 4],
    tree: AnchorTree,
    packing: Packing,
    sweep: Sweep,
    given: u64,
}

/// What anybody can see of the databases.
#[derive(Debug, PartialEq)]
struct Picture {
    logs: Vec<(LogRow, Vec<EntryRow>)>,
    dbs: Vec<Option<DbRow>>,
    accounts: Vec<Option<AccountRow>>,
    chunks: Vec<Option<Bytes>>,
    grown: Vec<GrownLog>,
    anchors: Vec<Changes>,
}

impl Life {
    /// A log of 300 entries and a snapshot, of which 250 are trimmed; another of 300 whose account is no longer paid for; and chunks.
    async fn begin(store: Store) -> Self {
        let mut itself = make(&store, &[person(1)]).await;
        let mut writer = Device::new(1, person(1), main_log());
        let chunks = [chunk(1, 20_000), chunk(2, 20_000), chunk(3, 100), chunk(4, 20_000)];
        for one in &chunks[..2] {
            put(&store, one, NOW_MS).await;
        }
        names(&store, &mut writer, Class::Data, &[&chunks[0]]).await;
        fill(&store, &mut writer, 300).await;
        let stands = snapshot(&store, &mut writer).await;
        store.append(append(&[itself.says(&trim(250, stands))])).await.unwrap();

        let (_, begun) = beginning_of(other(1), &[person(1)]);
        store.append(Append { payer: Some(person(2)), ..append(&begun) }).await.unwrap();
        fill(&store, &mut Device::new(3, person(1), log_of(&other(1))), 300).await;
        ends(&store, 2, NOW_MS).await;
        let (tree, packing, sweep) = Default::default();
        Self { store, writer, acknowledged: Vec::new(), chunks, tree, packing, sweep, given: 1 << 30 }
    }

    /// Takes one step; returns whether there may be another one.
    async fn step(&mut self, act: Act) -> Result<bool, StorageError> {
        let grace = |now_ms| Grace { now_ms, grace_ms: GRACE_MS };
        match act {
            Act::Append => {
                let mut writer = self.writer.clone();
                let said: Vec<Entry> = (0..3).map(|number| writer.next(&[number; 600])).collect();
                self.append(said).await.map(|()| self.writer = writer)?;
            }
            Act::Name => {
                let entry = naming(&self.writer, vec![self.chunks[2].0, self.chunks[3].0]);
                let (next, last) = (self.writer.next + 1, Some(entry.leaf()));
                self.append(vec![entry]).await?;
                (self.writer.next, self.writer.last) = (next, last);
            }
            Act::PutSmall => self.put(2).await?,
            Act::PutLarge => self.put(3).await?,
            Act::Ask => {
                let charge = entries(&self.store, NOW_MS + CHUNK_NOTED_MS).await;
                let there = self.store.have_chunks(charge, &[self.chunks[1].0]).await?;
                assert_eq!(there, [self.chunks[1].0]);
            }
            Act::Give => {
                let more = Terms { bytes: Some(1 << 31), ..Terms::default() };
                self.given += 1;
                self.store.give(&person(1), more, self.given, NOW_MS).await?.expect("a newer order");
            }
            Act::Anchor => {
                let logs = self.store.grown_logs(100).await?;
                let changes = self.tree.next(logs.iter().map(|log| (log.label, log.size, log.root)));
                self.store.put_anchor(&changes, &logs).await?;
                self.tree.apply(&changes).unwrap();
            }
            Act::Pack => {
                return Ok(self.store.pack(&mut self.packing, Age { now_ms: NOW_MS, after_ms: 0 }).await?.is_more);
            }
            // A new watch: accounts are left alone.
            Act::Trim => return self.store.sweep(&mut Sweep::default(), grace(NOW_MS)).await,
            Act::Watch => return Ok(!self.store.watch_lapses(&mut self.sweep, 1, NOW_MS).await?),
            Act::Drop => {
                return self.store.sweep(&mut self.sweep, Grace { now_ms: NOW_MS, grace_ms: 0 }).await;
            }
            Act::Collect { day } => return Ok(self.store.collect(grace(at(day))).await?.is_more),
        }
        Ok(false)
    }

    async fn append(&mut self, said: Vec<Entry>) -> Result<(), StorageError> {
        match self.store.append(append(&said)).await {
            Ok(appended) => self.acknowledged.push((said, appended)),
            Err(AppendRefusal::Storage(error) | AppendRefusal::Unknown(error)) => return Err(error),
            Err(refusal) => panic!("{refusal}"),
        }
        Ok(())
    }

    async fn put(&self, number: usize) -> Result<(), StorageError> {
        let (id, bytes) = &self.chunks[number];
        match self.store.put_chunk(id, bytes.clone(), entries(&self.store, NOW_MS).await).await {
            Ok(()) => Ok(()),
            Err(ChunkRefusal::Storage(error)) => Err(error),
            Err(refusal) => panic!("{refusal}"),
        }
    }

    async fn picture(&self) -> Picture {
        let (store, mut logs) = (&self.store, Vec::new());
        for log in [main_log(), LogId::control(&db()), log_of(&other(1)), LogId::control(&other(1))] {
            let (row, mut rows) = (store.log(&log).await.unwrap().unwrap(), Vec::new());
            while (rows.len() as u64) < row.edge.size() {
                rows.extend(store.range(&log, rows.len() as u64, 1_024, None).await.unwrap().unwrap().entries);
            }
            logs.push((row, rows));
        }
        let dbs = vec![store.database(&db()).await.unwrap(), store.database(&other(1)).await.unwrap()];
        let accounts = vec![store.account(&person(1)).await.unwrap(), store.account(&person(2)).await.unwrap()];
        let mut chunks = Vec::new();
        for (id, _) in &self.chunks {
            chunks.push(store.chunk(id).await.unwrap());
        }
        let (grown, anchors) = (store.grown_logs(100).await.unwrap(), store.anchors(100).await.unwrap().since);
        Picture { logs, dbs, accounts, chunks, grown, anchors }
    }

    /// All that was done is there, and all that was acknowledged is acknowledged as it was.
    async fn ends(&self) {
        let picture = self.picture().await;
        let there: Vec<bool> = picture.chunks.iter().map(Option::is_some).collect();
        assert_eq!(there, [false, false, true, true], "what is trimmed names none, and nothing names the second");
        let has_body = |log: usize| picture.logs[log].1.iter().map(|entry| !entry.body.is_empty()).collect::<Vec<_>>();
        assert_eq!(has_body(0), (0..309).map(|pos| pos >= 250).collect::<Vec<_>>());
        assert_eq!(has_body(2), [false; 300]);
        assert_eq!(picture.anchors.len(), 2);
        for (said, appended) in &self.acknowledged {
            assert_eq!(self.store.append(append(said)).await.as_ref(), Ok(appended));
        }
        assert_eq!(self.acknowledged.len(), 3);
    }
}

async fn a_full_disk_at_any_step_loses_nothing_and_leaves_nothing_half(ground: &Ground) {
    // Goal: as this file's. Method: every durable step of every act fails for want of space, each once before it is taken.
    let plan = Plan::default();
    let mut life = Life::begin(open(ground, &plan, 1 << 30).await).await;
    let mut failed = std::collections::BTreeMap::<String, usize>::new();
    for act in ACTS {
        let mut before = life.picture().await;
        loop {
            for step in act.steps(ground) {
                plan.fail_next(step, Failure::DiskFull);
                match life.step(act).await {
                    Err(error) => {
                        assert_eq!(error.code(), "disk_full", "{act:?}: {error}");
                        *failed.entry(format!("{step:?}")).or_default() += 1;
                        assert_eq!(life.picture().await, before, "{act:?}, {step:?}");
                    }
                    // It took none that needs room.
                    Ok(_) => assert_eq!(plan.forget(), 1, "{act:?} says nothing of {step:?}"),
                }
                before = life.picture().await;
            }
            if !life.step(act).await.unwrap() {
                break;
            }
            before = life.picture().await;
        }
    }
    let all: std::collections::BTreeSet<String> =
        ACTS.iter().flat_map(|act| act.steps(ground)).map(|step| format!("{step:?}")).collect();
    assert_eq!(failed.keys().cloned().collect::<std::collections::BTreeSet<_>>(), all, "{failed:?}");
    life.ends().await;
    life.store.close().await.unwrap();
    life.store = open(ground, &Plan::default(), 1 << 30).await;
    life.ends().await;
}

const DISK: &str = "STORE_TEST_DISK";
const ON_POSTGRES: &str = "STORE_TEST_DISK_POSTGRES";
const PAGE_BYTES: u64 = 4_096;

/// What takes the room of a disk, but for some pages.
struct Ballast(PathBuf);

impl Ballast {
    /// Takes all room there is.
    fn fill(dir: &Path) -> Self {
        let path = dir.join("ballast");
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        for bytes in [1 << 20, PAGE_BYTES as usize] {
            while file.write_all(&vec![1; bytes]).is_ok() {}
        }
        Self(path)
    }

    /// Makes room for so many pages more.
    fn give_way(&self, pages: u64) {
        let file = fs::OpenOptions::new().write(true).open(&self.0).unwrap();
        let bytes = file.metadata().unwrap().len();
        file.set_len(bytes.checked_sub(pages * PAGE_BYTES).expect("all of the disk is no room for that")).unwrap();
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Returns a cluster whose write-ahead log lies on another disk: where that is full PostgreSQL ends itself, which is a crash as any.
fn with_its_log_in(elsewhere: &Path) -> Postgres {
    let mut postgres = Postgres::start();
    postgres.crash();
    let (log, to) = (postgres.dir().join("data/pg_wal"), elsewhere.join("pg_wal"));
    assert!(Command::new("cp").arg("-a").arg(&log).arg(&to).status().unwrap().success());
    fs::remove_dir_all(&log).unwrap();
    symlink(&to, &log).unwrap();
    postgres.run();
    postgres
}

/// Lives in `STORE_TEST_DISK`, a file system of some MiB, and finds each act no room at first, then a page more, until it is done.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_finds_no_room() {
    let Some(dir) = std::env::var_os(DISK).map(PathBuf::from) else { return };
    // A cluster of this process's own lies there as well.
    let postgres = std::env::var_os(ON_POSTGRES).map(|elsewhere| with_its_log_in(Path::new(&elsewhere)));
    let database = postgres.as_ref().map(|postgres| DatabaseUrl(postgres.new_database()));
    let home = Home { database, bucket: None };
    let ground = Ground { dir: tempfile::tempdir_in(&dir).unwrap(), home, ..Ground::files() };
    let (mut life, mut all) = (Life::begin(open(&ground, &Plan::default(), 1 << 30).await).await, 0);
    for act in ACTS {
        // What the write-ahead log has room for already is no test.
        life.store.close().await.unwrap();
        life.store = open(&ground, &Plan::default(), 1 << 30).await;
        let (mut before, ballast, mut failed) = (life.picture().await, Ballast::fill(&dir), 0_u64);
        loop {
            match life.step(act).await {
                Ok(false) => break,
                Ok(true) => before = life.picture().await,
                Err(error) => {
                    assert_eq!(error.code(), "disk_full", "{act:?}: {error}");
                    assert_eq!(life.picture().await, before, "{act:?} after {failed} pages");
                    failed += 1;
                    // PostgreSQL asks for megabytes at times: page by page at first, then by more.
                    ballast.give_way(1 + failed / 32 * 8);
                }
            }
        }
        println!("@{act:?} found no room {failed} times");
        let has_room = postgres.is_some() || matches!(act, Act::Collect { .. });
        assert!(failed > 0 || has_room, "{act:?} needs no room");
        all += failed;
    }
    life.ends().await;
    // What is in the write-ahead log alone finds no room in the database: it stays there.
    let (before, ballast) = (life.picture().await, Ballast::fill(&dir));
    let closed = life.store.close().await;
    drop(ballast);
    life.store = open(&ground, &Plan::default(), 1 << 30).await;
    assert_eq!(life.picture().await, before, "{closed:?}");
    life.ends().await;
    assert!(all > ACTS.len() as u64 / 2, "{all} times");
    println!("@all is there");
}

#[test]
fn a_disk_that_is_full_at_any_page_loses_nothing_and_leaves_nothing_half() {
    // Goal: as this file's, whatever SQLite and the file system make of it. Method: this program again, in a mount namespace of its own, with a
    // file system of 64 MiB whose free room grows by pages.
    finds_no_room("-rm", "64m", None);
}

#[test]
fn a_disk_that_is_full_under_postgres_loses_nothing_and_leaves_nothing_half() {
    // The same with a cluster of PostgreSQL there, which runs as somebody else: only root can do that.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755)).unwrap();
    finds_no_room("-m", "512m", Some(elsewhere.path()));
}

/// Runs [`child_that_finds_no_room`] on a file system of `size`, on which the programs lie too that it starts, but for what goes `elsewhere`.
fn finds_no_room(unshare: &str, size: &str, elsewhere: Option<&Path>) {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o size={size},mode=1777 tmpfs \"$TMPDIR\" && echo mounted && \
         exec \"$0\" --exact full::child_that_finds_no_room --nocapture"
    );
    let mut command = Command::new("unshare");
    command.args([unshare, "sh", "-c", &script]).arg(std::env::current_exe().unwrap());
    command.env(DISK, dir.path()).env("TMPDIR", dir.path()).envs(elsewhere.map(|dir| (ON_POSTGRES, dir)));
    let output = command.output();
    let text = output.map(|output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned());
    match text {
        Ok(text) if text.contains("mounted") => assert!(text.contains("@all is there"), "{text}"),
        unable => skip(&format!("a small file system cannot be mounted here ({unable:?})")),
    }
}

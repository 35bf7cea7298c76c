//! Snapshots of the zone: one file beside the database, from which a start has all names with their signatures.
//!
//! The database is the truth. A snapshot says for which size of the log it stands, with the root of that; a start takes it only if the database
//! has that very head and knows what has changed since, and makes those changes. Anything else, and the zone is read from the database.
//! What answers afterwards is the same.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use storage::{Storage, StorageError};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{error, info, warn};

use super::feed;
use super::limits::{SNAPSHOT_BYTES_PER_S, SNAPSHOT_CHANGES_MIN, SNAPSHOT_LOOK, SNAPSHOT_PAUSE, SNAPSHOT_SYNC_BYTES};
use super::update::Kept;
use super::zone::Zone;
use super::zone::snapshot::{End, Loaded, Unusable, Writing};
use crate::clock::Clock;

/// The file, in the data directory.
pub const FILE: &str = "dns.snapshot";

/// What is written before it takes the place of the one before. One a process: nobody else writes there.
const WRITING_FILE: &str = "dns.snapshot.tmp";

/// How often the database forgets what changed when, where nobody wants to know.
const FORGOTTEN_EVERY: Duration = Duration::from_secs(3_600);

/// What a start took, and what was written since.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    load_ms: AtomicU64,
    is_loaded: AtomicBool,
    made_s: AtomicU64,
    bytes: AtomicU64,
}

impl Snapshots {
    /// Returns how long the start took until the zone was there, milliseconds, and whether a snapshot had it.
    pub(crate) fn load(&self) -> (u64, bool) {
        (self.load_ms.load(Ordering::Relaxed), self.is_loaded.load(Ordering::Relaxed))
    }

    /// Returns when the newest snapshot was made, unix seconds, 0: there is none; and its bytes.
    pub(crate) fn newest(&self) -> (u64, u64) {
        (self.made_s.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// Why a snapshot was not written. The one before is there still.
#[derive(Debug, thiserror::Error)]
enum NotWritten {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log has no head of the size that the zone has.
    #[error("the zone is not that of a head")]
    NoHead,
}

/// A snapshot that the database goes on from, unread.
pub(crate) struct Found {
    file: File,
    end: End,
}

/// What a zone shows at a start that neither its snapshot nor the names of the database have.
#[derive(Default)]
pub(crate) struct Beside {
    /// What devices and ACME clients wrote.
    pub(crate) kept: Kept,
    /// The note of the head that everyone is shown, if that is known.
    pub(crate) checkpoint: Option<String>,
}

/// Returns the snapshot in `directory` that `zone`, which is empty, can be read from. Errors: those of the database; a snapshot that is of no use is told
/// in the log.
pub(crate) async fn find(zone: &Zone, storage: &Storage, directory: &Path) -> Result<Option<Found>, StorageError> {
    // Of whoever was killed while writing one: as large as the one that is there.
    let _ = std::fs::remove_file(directory.join(WRITING_FILE));
    let found = look(zone, storage, directory).await?;
    if let Ok(found) = &found {
        zone.snapshots.bytes.store(found.file.metadata().map_or(0, |about| about.len()), Ordering::Relaxed);
    }
    Ok(found.map_err(tell).ok())
}

/// Returns `zone`, which is empty, with every name that the database has, as of a log of `size` leaves, and what it shows beside; it answers from now on.
/// Errors: those of the database; a snapshot that is damaged is told in the log.
pub(crate) async fn load(
    zone: Zone,
    found: Option<Found>,
    storage: &Storage,
    size: u64,
    beside: Beside,
) -> Result<Zone, StorageError> {
    let started = Instant::now();
    let (zone, since) = match found {
        Some(Found { file, end }) => {
            let (zone, read) = read(zone, file, end).await;
            (zone, read.map(|()| end).map_err(tell).ok())
        }
        None => (zone, None),
    };
    match since {
        Some(end) => feed::load_since(&zone, storage, end.size, size).await?,
        None => feed::load(&zone, storage, size).await?,
    }
    if let Err(error) = beside.kept.show(&zone) {
        error!(%error, "something that devices wrote is not shown in DNS");
    }
    if let Some(note) = &beside.checkpoint {
        zone.set_checkpoint(note);
    }
    zone.set_ready();
    let load_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    zone.snapshots.load_ms.store(load_ms, Ordering::Relaxed);
    zone.snapshots.is_loaded.store(since.is_some(), Ordering::Relaxed);
    zone.snapshots.made_s.store(since.map_or(0, |end| end.made_s), Ordering::Relaxed);
    info!(names = zone.names(), load_ms, snapshot = since.map(|end| end.size), "DNS zone loaded");
    Ok(zone)
}

/// Tells why a snapshot is not used, if there is one.
fn tell(why: Unusable) {
    match why {
        Unusable::Io(error) if error.kind() == io::ErrorKind::NotFound => {}
        why => warn!(%why, "the snapshot of the DNS zone is not used: names are read from the database"),
    }
}

/// Opens the snapshot that the database goes on from; or says why there is none to use.
async fn look(zone: &Zone, storage: &Storage, directory: &Path) -> Result<Result<Found, Unusable>, StorageError> {
    if zone.is_copied() {
        return Ok(Err(io::Error::from(io::ErrorKind::NotFound).into())); // signatures are those of the edge's own file
    }
    let opened = File::open(directory.join(FILE)).map_err(Unusable::from);
    let (file, end) = match opened.and_then(|mut file| End::read(&mut file).map(|end| (file, end))) {
        Ok(found) => found,
        Err(why) => return Ok(Err(why)),
    };
    if storage.log().root_at(end.size).await? != Some(end.root) {
        return Ok(Err(Unusable::Other("log, or of a newer database")));
    }
    if end.size < storage.log().changes_known_from().await? {
        return Ok(Err(Unusable::Other("time: the database does not know any more what has changed since")));
    }
    Ok(Ok(Found { file, end }))
}

/// Reads a snapshot into the zone; if it is of no use the zone is as before.
async fn read(zone: Zone, file: File, end: End) -> (Zone, Result<(), Unusable>) {
    let reading = tokio::task::spawn_blocking(move || {
        let from = BufReader::with_capacity(1 << 20, file);
        // What another version of this program wrote may be sealed and still not be what this one expects.
        let loaded = catch_unwind(AssertUnwindSafe(|| Loaded::read(&zone, from))).unwrap_or(Err(Unusable::Damaged));
        match loaded {
            Ok(loaded) if loaded.end() == end => (zone.adopt(loaded), Ok(())),
            Ok(_) => (zone, Err(Unusable::Damaged)),
            Err(why) => (zone, Err(why)),
        }
    });
    reading.await.expect("what is sealed was written by this program")
}

/// Writes a snapshot every `every`, earlier when the log grew much or there is none, and at `stop`, if that spares the next start more than it costs;
/// zero: never, and there is none.
pub async fn keep(
    zone: Arc<Zone>,
    storage: Arc<Storage>,
    every: Duration,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval(SNAPSHOT_LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (is_loaded, mut last, mut not_before) = (zone.snapshots.load().1, Instant::now(), Instant::now());
    // The log that the newest one has, and how often anything had changed by then.
    let mut newest = is_loaded.then(|| (zone.log_size(), zone.changes()));
    loop {
        let is_last = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => true,
            _ = ticks.tick() => false,
        };
        let (size, changes) = (zone.log_size(), zone.changes());
        let grown = size.saturating_sub(newest.map_or(0, |(size, _)| size));
        let is_due = match (is_last, newest) {
            (_, Some((_, written))) if written == changes => false,
            _ if every.is_zero() => is_last || last.elapsed() >= FORGOTTEN_EVERY,
            // The database has the rest.
            (true, _) => newest.is_none() || zone.names() < SNAPSHOT_CHANGES_MIN || grown > SNAPSHOT_CHANGES_MIN,
            (false, _) if Instant::now() < not_before => false,
            (false, None) => zone.is_signed_once(),
            (false, Some(_)) => last.elapsed() >= every || grown > (zone.names() / 16).max(SNAPSHOT_CHANGES_MIN),
        };
        if is_due {
            let done = match every.is_zero() {
                true => forget(&storage).await,
                false => write(&zone, &storage, &clock, (!is_last).then_some(&mut stop)).await,
            };
            match done {
                Ok(()) => (last, newest) = (Instant::now(), Some((size, changes))),
                Err(error) => {
                    not_before = Instant::now() + SNAPSHOT_PAUSE;
                    error!(%error, "no snapshot of the DNS zone was written: it is tried again in some minutes");
                }
            }
        }
        if is_last {
            return;
        }
    }
}

/// Takes the snapshot away, and lets the database forget what changed when.
async fn forget(storage: &Storage) -> Result<(), NotWritten> {
    match std::fs::remove_file(storage.dir().join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let head = storage.log().load_head().await?;
    Ok(storage.log().forget_changed(head.map_or(0, |head| head.size)).await?)
}

/// Writes a snapshot: a crash before the rename leaves the one before, a crash behind it changes that the database still has.
///
/// `unhurried`: it is written slowly, and fast from the moment that this says stop.
async fn write(
    zone: &Arc<Zone>,
    storage: &Storage,
    clock: &Clock,
    unhurried: Option<&mut watch::Receiver<bool>>,
) -> Result<(), NotWritten> {
    let (started, path) = (Instant::now(), storage.dir().join(WRITING_FILE));
    let written = write_to(zone, storage, clock, &path, unhurried).await;
    if written.is_err() {
        zone.forget_snapshot();
        let _ = std::fs::remove_file(&path); // if it cannot be removed the next one takes its place
    }
    let (end, bytes) = written?;
    std::fs::rename(&path, storage.dir().join(FILE))?;
    storage::durable::sync_dir(storage.dir())?;
    storage.log().forget_changed(end.size).await?;
    zone.snapshots.made_s.store(end.made_s, Ordering::Relaxed);
    zone.snapshots.bytes.store(bytes, Ordering::Relaxed);
    let write_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    info!(size = end.size, names = zone.names(), bytes, write_ms, "snapshot of the DNS zone written");
    Ok(())
}

async fn write_to(
    zone: &Arc<Zone>,
    storage: &Storage,
    clock: &Clock,
    path: &PathBuf,
    mut unhurried: Option<&mut watch::Receiver<bool>>,
) -> Result<(End, u64), NotWritten> {
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let (mut writing, mut synced) = (Writing::begin(zone, Synced::new(file))?, 0);
    let size = loop {
        let stepping = zone.clone();
        let (stepped, size) = blocking(move || {
            let size = writing.step(&stepping)?;
            Ok((writing, size))
        })
        .await?;
        writing = stepped;
        if let Some(size) = size {
            break size;
        }
        if let Some(stop) = unhurried.as_deref_mut() {
            let bytes = writing.bytes() - synced;
            synced = writing.bytes();
            let pause = Duration::from_micros(bytes * 1_000_000 / SNAPSHOT_BYTES_PER_S);
            let _ = tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await;
        }
    };
    let root = storage.log().root_at(size).await?.ok_or(NotWritten::NoHead)?;
    let end = End { size, root, made_s: clock.now().as_s() };
    let bytes = blocking(move || {
        let file = writing.end(&end)?.file;
        file.sync_all()?;
        Ok(file.metadata()?.len())
    })
    .await?;
    Ok((end, bytes))
}

/// Does what waits for a disk beside the tasks that answer.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// A file that is synced as it grows.
struct Synced {
    file: File,
    unsynced: u64,
}

impl Synced {
    fn new(file: File) -> Self {
        Self { file, unsynced: 0 }
    }
}

impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.unsynced += count as u64;
        if self.unsynced >= SNAPSHOT_SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

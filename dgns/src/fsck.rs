//! `dgnsd fsck`: everything stored held against the signed head (docs/OPERATING.md).
//!
//! Three floors: files and tables are whole ([`storage::fsck`]); every entry, replayed through the rules as an auditor does, gives
//! the tiles, the signed root, and exactly the states in SQL; and a start finds no more to refuse ([`restart`]).

mod enrolled;
mod shelf;
mod states;

use std::fmt;
use std::path::Path;

use identity::name::Origin;
use identity::time::Timestamp;
use serde::Serialize;
use storage::{Options, Storage, StorageError};
use translog::audit::{Auditor, Level, Target, Want};
use translog::entry::Entry;

use crate::follow::{self, pin};
use crate::keys::{Keys, LogKey};
use crate::limits::ORPHAN_MS_MIN;
use crate::log::restart::{self, RestartError};
use crate::rng;
use shelf::{Shelf, Wrong};
use states::States;

/// What was checked and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The size of the stored head.
    pub size: u64,
    /// Entries replayed.
    pub entries: u64,
    /// Labels compared.
    pub labels: u64,
    /// Objects read.
    pub objects: u64,
    /// Objects deleted that nothing named, and their bytes.
    pub deleted: (u64, u64),
    /// Whether signatures were verified too.
    pub deep: bool,
    /// Whether the check could not be made.
    pub unable: Option<String>,
    /// Everything wrong, in the order met; empty = clean.
    pub faults: Vec<String>,
}

impl Report {
    /// Returns the exit code: 0 clean, 1 not checked, 3 something is wrong.
    pub fn exit_code(&self) -> u8 {
        match (self.faults.is_empty(), &self.unable) {
            (false, _) => 3,
            (true, Some(_)) => 1,
            (true, None) => 0,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(f, "fault: {fault}")?;
        }
        if let Some(why) = &self.unable {
            writeln!(f, "not checked: {why}")?;
        }
        if let (1.., bytes) = self.deleted {
            writeln!(f, "{} objects that nothing named were deleted, {bytes} bytes", self.deleted.0)?;
        }
        let signatures = if self.deep { "with signatures" } else { "without signatures (--deep verifies them)" };
        writeln!(
            f,
            "{} of {} entries replayed {signatures}, {} labels, {} objects: {}",
            self.entries,
            self.size,
            self.labels,
            self.objects,
            if self.exit_code() == 0 { "clean" } else { "NOT CLEAN" }
        )
    }
}

/// Why nothing is deleted where rows and objects do not lie together.
const ELSEWHERE: &str =
    "chunks/ has or had objects of rows that lie elsewhere, or the other way round: none is deleted";

/// Checks the data directory; the server must not be running. Nothing is changed, unless a time is said: then, if nothing is wrong, objects of
/// databases that nothing names and that are a day old by it are deleted.
pub async fn run(data: &Path, deep: bool, repair: Option<Timestamp>) -> Report {
    let mut report = Report { deep, ..Report::default() };
    let keys_at = data.join("keys");
    let guard = Some(keys_at.join("guard")).filter(|_| !data.join(pin::FILE).exists());
    match storage::fsck::check(data, guard.as_deref()).await {
        Ok(physical) => {
            (report.size, report.objects) = (physical.size, physical.objects);
            report.faults.extend(physical.faults.iter().map(ToString::to_string));
        }
        Err(error) => {
            match of_storage(error) {
                Stop::Unable(why) => report.unable = Some(why),
                Stop::Fault(what) => report.faults.push(what),
            }
            return report;
        }
    }
    if let Err(why) = check_log(data, deep, &mut report).await {
        match why {
            Stop::Unable(why) => report.unable = Some(why),
            Stop::Fault(what) => report.faults.push(what),
        }
    }
    if let (Some(now), 0) = (repair, report.exit_code()) {
        match storage::fsck::delete_orphans(data, now.as_ms().saturating_sub(ORPHAN_MS_MIN)).await {
            Ok(Some(deleted)) => report.deleted = (deleted.objects, deleted.bytes),
            Ok(None) => report.unable = Some(ELSEWHERE.to_owned()),
            Err(error) => report.unable = Some(error.to_string()),
        }
    }
    report
}

/// Why a check ended early.
enum Stop {
    /// It could not be made.
    Unable(String),
    /// What is wrong makes the rest meaningless.
    Fault(String),
}

fn unable(error: impl fmt::Display) -> Stop {
    Stop::Unable(error.to_string())
}

fn fault(error: impl fmt::Display) -> Stop {
    Stop::Fault(error.to_string())
}

fn of_storage(error: StorageError) -> Stop {
    if error.is_damage() { fault(error) } else { unable(error) }
}

async fn check_log(data: &Path, deep: bool, report: &mut Report) -> Result<(), Stop> {
    let followed = pin::pinned(data).map_err(unable)?;
    let keys = match followed {
        Some(_) => None,
        None => Some(Keys::read(&data.join("keys")).map_err(unable)?),
    };
    let storage =
        Storage::open_with(data, Options { create: false, ..Options::default() }).await.map_err(of_storage)?;
    let stored = storage.log().load_head().await.map_err(of_storage)?;
    let stored = stored.ok_or_else(|| unable("there is no log yet"))?;
    let shelf = Shelf::of(&storage).await.map_err(of_storage)?;
    let origin = origin(&shelf).await?;

    let level = if deep { Level::Full } else { Level::Map };
    let mut auditor = Auditor::new(&origin, level, Target { size: stored.size, root: stored.root });
    let replayed = replay(&shelf, &mut auditor, report).await;
    let states = States { storage: &storage, shelf: &shelf, auditor: &auditor };
    if let Err(error) = replayed {
        // A wrong root alone names no place; the roots of the heads on the way may.
        states.compare_epochs(report).await.map_err(fault)?;
        return Err(fault(error));
    }
    states.compare_epochs(report).await.map_err(fault)?;
    states.compare_labels(report).await.map_err(fault)?;
    enrolled::compare(&storage, &shelf, report).await.map_err(fault)?;
    // What is left is what a start finds besides: the right edges kept of the trees, the note and its key.
    let found = restart::load(&storage, &stored, |conf, note, edge, epoch| match &followed {
        Some(trust) => follow::read_head(trust, note, edge, epoch),
        None => restart::signed(conf, note, edge, epoch),
    });
    let conf = found.await.map_err(fault)?.conf;
    match keys {
        Some(keys) => LogKey::active(&keys.log, &conf).map(drop).map_err(|vkey| fault(RestartError::MissingKey(vkey))),
        None => Ok(()),
    }
}

/// Returns the origin that the log's first LogConf names.
async fn origin(shelf: &Shelf<'_>) -> Result<Origin, Stop> {
    match Entry::decode(&shelf.entry(1).await.map_err(fault)?) {
        Ok(Entry::LogConf(conf)) => Ok(conf.conf().origin.clone()),
        _ => Err(fault("entry 1 is no LogConf")),
    }
}

/// Replays every stored entry, and holds every stored tile against them.
async fn replay(shelf: &Shelf<'_>, auditor: &mut Auditor, report: &mut Report) -> Result<(), Wrong> {
    while let Some(want) = auditor.wants(1).into_iter().next() {
        let (entries, _) = auditor.progress();
        let read = match &want {
            Want::Bundle(id) => shelf.bundle(*id).await.map(Some),
            Want::Tile(tree, id) => shelf.tile(*tree, *id, entries).await,
        };
        match read {
            Ok(Some(bytes)) => auditor.feed(&want, &bytes)?,
            Ok(None) => auditor.skip_tile()?,
            Err(error) => return Err(auditor.suspicion().cloned().map_or(error, Wrong::Audit)),
        }
        auditor.take_checks().verify(&rng::secret())?;
        report.entries = auditor.progress().0;
    }
    Ok(())
}

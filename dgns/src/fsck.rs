//! `dgnsd fsck`: everything stored held against the signed head (docs/OPERATING.md).
//!
//! Three floors: files and tables are whole ([`storage::fsck`]); tree, history and map give what the head signs
//! ([`restart`]); every entry, replayed through the rules as an auditor does, makes exactly the states in SQL.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use identity::hash::Hash;
use serde::Serialize;
use storage::{Options, Storage};
use translog::audit::{Auditor, Level, Target, Tree as AuditTree, Want};

use crate::keys::{Keys, LogKey};
use crate::log::live::Live;
use crate::log::restart;
use crate::log::tiles::{Tiles, Tree};

/// Memory for tiles while they are compared.
const TILE_CACHE_BYTES: u64 = 16 << 20;

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

/// Checks the data directory; the server must not be running. Nothing is changed.
pub async fn run(data: &Path, deep: bool) -> Report {
    let mut report = Report { deep, ..Report::default() };
    let keys_at = data.join("keys");
    match storage::fsck::check(data, Some(&keys_at.join("guard"))).await {
        Ok(physical) => {
            (report.size, report.objects) = (physical.size, physical.objects);
            report.faults.extend(physical.faults.iter().map(ToString::to_string));
        }
        Err(error) => {
            report.unable = Some(error.to_string());
            return report;
        }
    }
    if let Err(why) = check_log(data, deep, &mut report).await {
        match why {
            Stop::Unable(why) => report.unable = Some(why),
            Stop::Fault(what) => report.faults.push(what),
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

async fn check_log(data: &Path, deep: bool, report: &mut Report) -> Result<(), Stop> {
    let keys = Keys::read(&data.join("keys")).map_err(unable)?;
    let storage = Storage::open_with(data, Options { create: false, ..Options::default() }).await.map_err(unable)?;
    let storage = Arc::new(storage);
    let stored = storage.log().load_head().await.map_err(fault)?;
    let stored = stored.ok_or_else(|| unable("there is no log yet"))?;
    let origin = restart::first_conf(&storage).await.map_err(fault)?.origin;
    let log_key = LogKey::new(keys.log.clone(), origin.clone());
    let found = restart::load(&storage, &log_key, &stored).await.map_err(fault)?;
    let live = Arc::new(Live::new(found.inner));
    let tiles = Tiles::new(storage.clone(), live, TILE_CACHE_BYTES);

    let level = if deep { Level::Full } else { Level::Map };
    let target = Target { size: stored.size, root: stored.root };
    let mut auditor = Auditor::new(&origin, level, target);
    while let Some(want) = auditor.wants(1).into_iter().next() {
        let bytes = match &want {
            Want::Bundle(id) => tiles.bundle(id.index(), id.width()).await,
            Want::Tile(tree, id) => {
                let tree = match tree {
                    AuditTree::Log => Tree::Log,
                    AuditTree::History => Tree::History,
                };
                tiles.tile(tree, id.level(), id.index(), id.width()).await
            }
        };
        let bytes = bytes.map_err(fault)?.ok_or_else(|| fault(format!("{} is missing", want.path())))?;
        auditor.feed(&want, &bytes).map_err(fault)?;
        auditor.take_checks().verify(false).map_err(fault)?;
        report.entries = auditor.progress().0;
    }
    compare_labels(&storage, &auditor, report).await
}

/// Holds the states in SQL against those the entries make.
async fn compare_labels(storage: &Storage, auditor: &Auditor, report: &mut Report) -> Result<(), Stop> {
    let Some(replay) = auditor.replay() else { return Ok(()) };
    let mut implied: HashMap<Hash, Hash> = replay.commitments().collect();
    let rows: Vec<(Hash, Hash)> = storage.log().all_leaves().await.map_err(fault)?.into_iter().collect();
    for labels in rows.chunks(256) {
        let labels: Vec<Hash> = labels.iter().map(|(label, _)| *label).collect();
        let stored = storage.log().labels(&labels).await.map_err(fault)?;
        for row in stored.into_iter().flatten() {
            let leaf = crate::log::states::leaf_of(&row).map_err(fault)?;
            let hex = data_encoding::HEXLOWER.encode(&row.label);
            let same = implied.remove(&row.label) == Some(translog::map::commitment(&leaf));
            if !same || row.commitment != translog::map::commitment(&leaf) {
                report.faults.push(format!("label {hex}: the stored state is not the one the entries make"));
            }
            report.labels += 1;
        }
    }
    for label in implied.keys() {
        report.faults.push(format!("label {}: its state is missing", data_encoding::HEXLOWER.encode(label)));
    }
    Ok(())
}

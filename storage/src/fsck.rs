//! The physical check of a data directory: is everything readable, whole, and without gaps.
//!
//! It repairs nothing, but for deleting what nothing names when that is asked; opening the database replays its write-ahead log, as any start does. Whether tree, map and rules agree with each other is checked elsewhere, from what
//! is read here.

mod orphans;
mod segments;

use std::path::Path;

use crate::database::{Database, Schema};
use crate::fault::StorageError;
use crate::guard::Guard;
use crate::objects;
use crate::people::People;
use crate::storage::{Options, Storage};
use crate::store::Store;
use crate::table;

pub use orphans::delete_orphans;
pub(crate) use orphans::note_elsewhere;

/// What was looked at and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The size of the newest head; 0 without one.
    pub size: u64,
    /// How many entries of the tail were read.
    pub tail_entries: u64,
    /// How many objects were read, and their bytes in all.
    pub objects: u64,
    /// The bytes of all objects.
    pub object_bytes: u64,
    /// Everything that is wrong, in the order it was met. Empty = clean.
    pub faults: Vec<StorageError>,
}

/// Objects that no row named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    /// How many were deleted.
    pub objects: u64,
    /// Their bytes in all.
    pub bytes: u64,
}

/// Checks the data directory `dir`, and the guard file if it is named. The server must not be running.
///
/// An error means that the check itself could not go on: the directory is in use, or not one of ours.
pub async fn check(dir: &Path, guard: Option<&Path>) -> Result<Report, StorageError> {
    let storage = Storage::open_with(dir, Options { create: false, ..Options::default() }).await?;
    let mut report = Report::default();
    report.faults.extend(storage.names().damaged_pages().await?);
    check_tables(&storage, &mut report).await?;
    check_objects(&storage, &mut report)?;
    if let Some(guard) = guard {
        check_guard(&storage, guard, &mut report).await?;
    }
    storage.close().await?;
    if People::is_in(dir) {
        check_people(dir, &mut report).await?;
    }
    if Store::is_in(dir) {
        check_store(dir, &mut report).await?;
    }
    Ok(report)
}

/// Reads every page of `people.db`. It is no part of the log: damage there is a fault beside the rest of the report.
async fn check_people(dir: &Path, report: &mut Report) -> Result<(), StorageError> {
    match People::open_with(dir, Options { create: false, ..Options::default() }).await {
        Ok(people) => {
            report.faults.extend(people.database().damaged_pages().await?);
            people.close().await
        }
        Err(error) if error.is_damage() => {
            report.faults.push(error);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Reads every page of `store.db`, as [`check_people`] does of its own, and holds old entries against what is kept of them.
async fn check_store(dir: &Path, report: &mut Report) -> Result<(), StorageError> {
    match Database::open(dir, Store::NAME, &Schema::STORE, false).await {
        Ok(database) => {
            report.faults.extend(database.damaged_pages().await?);
            segments::check(&database, dir, report).await?;
            database.close().await
        }
        Err(error) if error.is_damage() => {
            report.faults.push(error);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Holds the tables against the head: no gap in the tail, in the Epochs or in a chain, nothing beyond the head.
async fn check_tables(storage: &Storage, report: &mut Report) -> Result<(), StorageError> {
    let head = storage.log().load_head().await?;
    let tiled = storage.log().load_tiled().await?.size;
    report.size = head.as_ref().map_or(0, |head| head.size);
    let mut reader = storage.names().reader().await;
    for fault in table::contradictions(&mut reader, report.size, tiled).await? {
        report.faults.push(fault);
    }
    report.tail_entries = table::entries::count(&mut reader).await?;
    if let Some(head) = head {
        let newest = table::epochs::by_number(&mut reader, head.k).await?;
        if newest.is_none_or(|epoch| (epoch.size, epoch.root) != (head.size, head.root)) {
            report.faults.push(StorageError::inconsistent("epochs", "the newest Epoch is not the head's"));
        }
    }
    Ok(())
}

fn check_objects(storage: &Storage, report: &mut Report) -> Result<(), StorageError> {
    let store = storage.objects();
    store.walk(store.dir(), &mut |path| {
        match objects::read(path) {
            Ok(bytes) => {
                report.objects += 1;
                report.object_bytes += bytes.map_or(0, |bytes| bytes.len() as u64);
            }
            Err(fault) => report.faults.push(fault),
        }
        Ok(())
    })
}

/// Holds the guard against the heads there were: it may be one behind, never ahead or beside.
async fn check_guard(storage: &Storage, path: &Path, report: &mut Report) -> Result<(), StorageError> {
    let raised = match Guard::peek(path) {
        Ok(raised) => raised,
        Err(fault) => {
            report.faults.push(fault);
            return Ok(());
        }
    };
    let known = raised.size == 0 || storage.log().root_at(raised.size).await? == Some(raised.root);
    if !known {
        report.faults.push(StorageError::RolledBack { guard_size: raised.size, size: report.size });
    }
    Ok(())
}

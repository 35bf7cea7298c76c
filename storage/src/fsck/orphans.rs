//! Objects that no row names: what a process left that was killed between an object and its row.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use dgns_api::store::content::ContentId;

use super::Orphans;
use crate::database::{Database, Schema};
use crate::durable;
use crate::fault::StorageError;
use crate::inject::Plan;
use crate::objects::Objects;
use crate::store::Store;
use crate::table::store as tables;

/// The file in `chunks/` that says that rows and objects do not lie in the data directory both, or did not once.
const ELSEWHERE: &str = "elsewhere";

/// Notes in `chunks`, if it is there, that the rows which name objects in it lie elsewhere, or the objects that rows here name: from then on none is
/// taken for one that nothing names, nor missed.
pub(crate) fn note_elsewhere(chunks: &Path) -> Result<(), StorageError> {
    if is_elsewhere(chunks) || !chunks.is_dir() { Ok(()) } else { durable::replace(&chunks.join(ELSEWHERE), b"") }
}

pub(super) fn is_elsewhere(chunks: &Path) -> bool {
    chunks.join(ELSEWHERE).exists()
}

/// Deletes the objects of databases in the data directory `dir` that no row names and that were written by `before_ms`, Unix milliseconds; the server
/// must not be running. What has another name than objects have stays. `None`, and all stays, if rows or objects of them ever lay elsewhere.
///
/// A crash leaves some of them.
pub async fn delete_orphans(dir: &Path, before_ms: u64) -> Result<Option<Orphans>, StorageError> {
    let (chunks, mut orphans) = (dir.join("chunks"), Orphans::default());
    if is_elsewhere(&chunks) {
        return Ok(None);
    }
    if !Store::is_in(dir) || !chunks.is_dir() {
        return Ok(Some(orphans));
    }
    let database = Database::open(dir, Store::NAME, &Schema::STORE, false).await?;
    let objects = Objects::open(&chunks, false, Plan::default())?;
    for path in objects.list("c").await? {
        let Some((id, writing)) = named(&path) else { continue };
        let full = chunks.join(&path);
        let metadata = fs::metadata(&full).map_err(|error| StorageError::of_file(&full, &error))?;
        let written_ms = u64::try_from(metadata.mtime()).unwrap_or(0).saturating_mul(1_000);
        let mut reader = database.reader().await;
        let row = tables::chunk::load(&mut reader, &id).await?;
        let is_named = row.is_some_and(|row| row.body.is_none() && row.writing == writing)
            || tables::chunk::is_gone(&mut reader, &id, writing).await?;
        drop(reader);
        if !is_named && written_ms <= before_ms {
            objects.delete(&path).await?;
            (orphans.objects, orphans.bytes) = (orphans.objects + 1, orphans.bytes + metadata.len());
        }
    }
    database.close().await?;
    Ok(Some(orphans))
}

/// Returns which chunk and which writing of it has an object of this path.
fn named(path: &str) -> Option<(ContentId, u64)> {
    let (folder, name) = path.strip_prefix("c/")?.split_once('/')?;
    let (name, writing) = name.split_once('.').unwrap_or((name, "0"));
    let id = data_encoding::HEXLOWER.decode(format!("{folder}{name}").as_bytes()).ok()?;
    let (id, writing) = (id.try_into().ok()?, writing.parse().ok()?);
    (crate::store::chunks::path_of(&id, writing) == path).then_some((id, writing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_an_object_names_it_and_no_other_path_does() {
        for writing in [0, 1, 12] {
            let path = crate::store::chunks::path_of(&[0xab; 32], writing);
            assert_eq!(named(&path), Some(([0xab; 32], writing)));
            for other in [format!("{path}0"), format!("{path}.1"), path.to_uppercase(), path[2..].to_owned()] {
                assert_ne!(named(&other), Some(([0xab; 32], writing)), "{other}");
            }
        }
        for other in ["", "c/", "c/ab", "c/ab/cd", "s/ab/cd"] {
            assert_eq!(named(other), None);
        }
    }
}

//! Old entries of databases: each in one place, the rows or a segment, and each segment what the tables say of it.

use std::path::Path;

use dgns_api::store::content;
use dgns_api::store::entry::Header;
use translog::hash::leaf_hash;

use super::Report;
use super::orphans::is_elsewhere;
use crate::database::{Conn, Database};
use crate::fault::StorageError;
use crate::inject::Plan;
use crate::objects::Objects;
use crate::store::block::Mark;
use crate::store::chunks::path_of;
use crate::store::rows::SegmentRow;
use crate::store::segment::Segment;
use crate::table::store::{self as tables, RowId};

/// Checks the entries of every log. Objects are not read if any of them ever lay elsewhere, in a bucket: where that is the data directory does not say.
pub(super) async fn check(database: &Database, dir: &Path, report: &mut Report) -> Result<(), StorageError> {
    let chunks = dir.join("chunks");
    let objects = match chunks.is_dir() && !is_elsewhere(&chunks) {
        true => Some(Objects::open(&chunks, false, Plan::default())?),
        false => None,
    };
    let mut reader = database.reader().await;
    let [_, _, last, _] = tables::last_ids(&mut reader).await?;
    for id in 1..=last {
        match of_log(&mut reader, id, objects.as_ref(), report).await {
            Err(error) if error.is_damage() => report.faults.push(error),
            other => other?,
        }
    }
    Ok(())
}

async fn of_log(
    conn: &mut Conn,
    id: RowId,
    objects: Option<&Objects>,
    report: &mut Report,
) -> Result<(), StorageError> {
    let Some(log) = tables::dblog::by_id(conn, id).await? else { return Ok(()) };
    // What it goes on from is looked at where it lies.
    let own = log.line.parts(0, 0, u64::MAX).last().map_or(0, |(_, from, _)| *from);
    let (mut at, size) = (own, log.edge.size());
    for segment in tables::segment::range(conn, id, 0, u64::MAX).await? {
        if segment.first != at {
            report.faults.push(wrong(&segment, "does not begin where the one before ends"));
        }
        at = segment.end();
        let marks = tables::packed::marks(conn, id, segment.first, at).await?;
        if marks.len() as u64 != segment.count {
            report.faults.push(wrong(&segment, "has entries of which nothing is kept"));
            continue;
        }
        if let Some(objects) = objects {
            match object(conn, objects, &segment).await {
                Ok(found) => {
                    (report.objects, report.object_bytes) = (report.objects + 1, report.object_bytes + segment.bytes);
                    report.faults.extend(compare(&segment, &found, &marks));
                }
                Err(error) if error.is_damage() => report.faults.push(error),
                Err(error) => return Err(error),
            }
        }
    }
    let (packed, _) = tables::entry::there(conn, id, 0, at).await?;
    let (rows, _) = tables::entry::there(conn, id, at, u64::MAX).await?;
    if packed > 0 || at.saturating_add(rows) != size.max(own) {
        let detail =
            format!("log {id} has {size} entries; {at} are packed, {packed} of these and {rows} others are rows");
        report.faults.push(StorageError::inconsistent("entry", detail));
    }
    Ok(())
}

/// Reads the object of a segment, compared with its hash.
async fn object(conn: &mut Conn, objects: &Objects, segment: &SegmentRow) -> Result<Segment, StorageError> {
    let row = tables::chunk::load(conn, &segment.chunk).await?.ok_or_else(|| wrong(segment, "has no chunk"))?;
    let bytes = match row.body {
        Some(body) => Some(body.into()),
        None => objects.get(&path_of(&segment.chunk, row.writing)).await?,
    };
    let bytes = bytes.ok_or_else(|| wrong(segment, "has no object"))?;
    if content::id_of(&bytes) != segment.chunk {
        return Err(wrong(segment, "has other bytes than its id"));
    }
    Segment::decode(bytes).map_err(|error| wrong(segment, &error.to_string()))
}

/// Holds the entries of a segment against what is kept of each.
fn compare(row: &SegmentRow, segment: &Segment, marks: &[Mark]) -> Option<StorageError> {
    if (segment.first(), segment.count()) != (row.first, row.count) {
        return Some(wrong(row, "has other entries than is said of it"));
    }
    for (pos, mark) in (row.first..).zip(marks) {
        let entry = segment.entry(pos)?;
        let header = Header::decode(&entry.header).ok().filter(|_| leaf_hash(&entry.header) == mark.leaf);
        let has_body =
            mark.body_bytes == 0 || header.as_ref().is_some_and(|header| header.body == content::id_of(&entry.body));
        if header.is_none() || !has_body {
            return Some(wrong(row, &format!("has another entry at {pos} than was acknowledged")));
        }
    }
    None
}

fn wrong(segment: &SegmentRow, what: &str) -> StorageError {
    StorageError::inconsistent("segment", format!("the segment of log {} at {} {what}", segment.log, segment.first))
}

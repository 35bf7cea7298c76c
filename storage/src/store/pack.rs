//! Old entries leave the tables for segments, objects beside the large chunks, so that the database stays small and long histories are read in few
//! questions. By time alone, log by log, in the order of places; control logs stay, which the writer reads whole.
//!
//! In steps, each one commit and a bounded one, so that appends go on between them. A step writes the object first, then ONE transaction makes it
//! the place of the entries and removes their rows, if these are what was read: a body may have been dropped meanwhile, or another node may have
//! been faster. Leaves, and what acknowledged each entry, stay in the tables (`block`): proofs and receipts, those of bytes that come again after
//! years among them, ask no object store. Neighbours are merged, as many of a level as make the next one, up to the size of a segment; segments
//! with bodies that were dropped are written anew without them. What others took the place of goes a grace later, as a chunk does that nothing
//! names (`collect`): who reads it reads on, and rows that are put back as they were a little before find it.
//!
//! A crash before the commit leaves the rows, and an object that nothing names; after it the segment, and no row.

use bytes::Bytes;
use dgns_api::store::acl::Stage;
use dgns_api::store::content::{self, ContentId};

use super::Store;
use super::block::Block;
use super::packed;
use super::rows::{ChunkRow, LogRow, SegmentRow};
use super::segment::Segment;
use crate::database::{Conn, begin_reading};
use crate::fault::StorageError;
use crate::inject::Step;
use crate::limits::{
    BLOCK_ENTRIES, BYTES_PACKED_MIN, BYTES_PER_PACK, CHUNK_IN_ROW_BYTES_MAX, CHUNK_WRITINGS_MAX, DEAD_MS_MAX,
    DEAD_PART, ENTRIES_PACKED_MIN, ENTRIES_PER_PACK, LOGS_PER_LOOK, LOGS_PER_PACK, PACK_WAITS, ROWS_PER_COLLECTION,
    SEGMENT_BYTES_MAX, SEGMENTS_PER_LEVEL, SEGMENTS_PER_LOOK,
};
use crate::table::store::entry::Found;
use crate::table::store::{self as tables, RowId};

/// How far a look for old entries got. A new one begins with the first log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packing {
    /// The log that was looked at last.
    after: RowId,
    /// The segment that was looked at last for bodies that were dropped: log and place.
    cleaned: (RowId, u64),
    /// The log whose newest segments may be merged.
    merges: Option<RowId>,
    /// Whether this look rids segments of all that was dropped, or those only that have much of it; `None` before it begins.
    is_thorough: Option<bool>,
    /// When the last look began that rid them of all, Unix milliseconds.
    thorough_ms: Option<u64>,
}

impl Packing {
    /// Ends a look: the next one begins with the first log.
    fn begin_anew(&mut self) {
        *self = Self { thorough_ms: self.thorough_ms, ..Self::default() };
    }
}

/// What is old.
#[derive(Clone, Copy, Debug)]
pub struct Age {
    /// The time, Unix milliseconds.
    pub now_ms: u64,
    /// From how many milliseconds on entries are packed; [`u64::MAX`]: none are, and what was packed is only rid of what was dropped.
    pub after_ms: u64,
}

/// What a step of packing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// How many entries left the tables.
    pub entries: u64,
    /// How many segments others took the place of.
    pub merged: u64,
    /// Whether there may be another step; if not, the next one begins anew.
    pub is_more: bool,
}

impl Store {
    /// Takes one step of packing old entries, merging segments, or ridding them of what was dropped.
    ///
    /// A crash before the step's commit leaves all as it was but an object that nothing names. Errors: the step is passed over, and comes again once
    /// all else was looked at; if what is to be done cannot be found out, `packing` is as it was.
    pub async fn pack(&self, packing: &mut Packing, age: Age) -> Result<Packed, StorageError> {
        let more = Packed { is_more: true, ..Packed::default() };
        // Whatever fails is passed over: the next step goes on.
        if let Some(log) = packing.merges.take() {
            let merged = self.merge(log, age.now_ms).await?;
            packing.merges = (merged > 0).then_some(log);
            return Ok(Packed { merged, ..more });
        }
        if let Some(segment) = self.next_dead(packing, age).await? {
            packing.cleaned = (segment.log, segment.first);
            let merged = self.rewrite(std::slice::from_ref(&segment), segment.level, age.now_ms).await?;
            return Ok(Packed { merged, ..more });
        }
        let Some(before_ms) = age.now_ms.checked_sub(age.after_ms) else {
            packing.begin_anew();
            return Ok(Packed::default());
        };
        for _ in 0..LOGS_PER_PACK {
            let Some(log) = self.next_cold(packing, before_ms).await? else {
                packing.begin_anew();
                return Ok(Packed::default());
            };
            let before = std::mem::replace(&mut packing.after, log);
            let entries = self.pack_first(log, age).await?;
            if entries > 0 {
                // As long as it has something it is looked at again.
                (packing.after, packing.merges) = (before, Some(log));
                return Ok(Packed { entries, ..more });
            }
        }
        Ok(more)
    }

    /// Returns the next segment of which so much was dropped that it is written anew.
    async fn next_dead(&self, packing: &mut Packing, age: Age) -> Result<Option<SegmentRow>, StorageError> {
        let is_thorough = packing.is_thorough.unwrap_or_else(|| {
            let every_ms = age.after_ms.min(DEAD_MS_MAX);
            packing.thorough_ms.is_none_or(|since_ms| since_ms.saturating_add(every_ms) <= age.now_ms)
        });
        if is_thorough && packing.is_thorough.is_none() {
            packing.thorough_ms = Some(age.now_ms);
        }
        packing.is_thorough = Some(is_thorough);
        let part = if is_thorough { u64::MAX } else { DEAD_PART };
        let found = tables::segment::dead(&mut *self.inner.database.reader().await, packing.cleaned, part).await?;
        if found.is_none() {
            packing.cleaned = (RowId::MAX, u64::MAX); // this look is through them
        }
        Ok(found)
    }

    /// Returns the next log that has old entries in the table.
    async fn next_cold(&self, packing: &mut Packing, before_ms: u64) -> Result<Option<RowId>, StorageError> {
        let mut reader = self.inner.database.reader().await;
        let [_, _, last, _] = tables::last_ids(&mut reader).await?;
        while packing.after < last {
            let to = packing.after.saturating_add(LOGS_PER_LOOK);
            if let Some(log) = tables::entry::cold(&mut reader, packing.after, to, before_ms).await? {
                return Ok(Some(log));
            }
            packing.after = to;
        }
        Ok(None)
    }

    /// Packs the first entries of a log, if there are enough that are old; returns how many.
    async fn pack_first(&self, id: RowId, age: Age) -> Result<u64, StorageError> {
        let (log, first, read) = {
            let mut reader = self.inner.database.reader().await;
            let mut tx = begin_reading(&mut reader).await?;
            let Some(log) = tables::dblog::by_id(&mut tx, id).await? else { return Ok(0) };
            if !is_here(&mut tx, &log).await? {
                return Ok(0);
            }
            let oldest = tables::entry::oldest(&mut tx, id, ENTRIES_PER_PACK).await?;
            let Some((first, end)) = chosen(&oldest, age) else { return Ok(0) };
            (log, first, tables::entry::whole(&mut tx, id, first, end).await?)
        };
        let (marks, entries): (Vec<_>, Vec<_>) = read.into_iter().map(|whole| (whole.mark, whole.entry)).unzip();
        let (count, sum) = (marks.len() as u64, marks.iter().map(|mark| mark.header_bytes + mark.body_bytes).sum());
        let end = first + count;
        let bytes = Segment::encode(&log.key, first, &entries);
        drop(entries);
        let row = SegmentRow { log: id, first, count, level: 0, bytes: bytes.len() as u64, dead: 0, chunk: [0; 32] };
        for _ in 0..CHUNK_WRITINGS_MAX {
            let (chunk, writing) = self.write_segment(&bytes).await?;
            let mut tx = self.inner.database.write().await?;
            // They are what was read: rows of entries go, and lose their bodies, but never change.
            let are_there = tables::entry::there(&mut tx, id, first, end).await? == (count, sum);
            if !are_there || !is_here(&mut tx, &log).await? {
                return Ok(0);
            }
            if !hold(&mut tx, &chunk, &bytes, writing, age.now_ms).await? {
                tx.commit(1).await?;
                continue;
            }
            tables::segment::insert(&mut tx, &SegmentRow { chunk, ..row.clone() }).await?;
            tables::packed::insert(&mut tx, id, &Block::cut(first, &marks)).await?;
            tables::entry::remove_packed(&mut tx, id, first, end).await?;
            self.keep(Step::Pack, tx, count as usize).await?;
            return Ok(count);
        }
        Ok(0)
    }

    /// Merges some of the newest segments of a log, if there are enough of a level; returns how many.
    async fn merge(&self, log: RowId, now_ms: u64) -> Result<u64, StorageError> {
        let newest = tables::segment::newest(&mut *self.inner.database.reader().await, log, SEGMENTS_PER_LOOK).await?;
        let Some(group) = mergeable(newest) else { return Ok(0) };
        let level = group.iter().map(|segment| segment.level + 1).max().unwrap_or(0);
        self.rewrite(&group, level, now_ms).await
    }

    /// Writes one segment in the place of neighbours, without the bodies that were dropped; returns how many it took the place of: none if one is not
    /// what it was meanwhile.
    async fn rewrite(&self, old: &[SegmentRow], level: u64, now_ms: u64) -> Result<u64, StorageError> {
        let (Some(SegmentRow { log: id, first, .. }), Some(end)) = (old.first(), old.last().map(SegmentRow::end))
        else {
            return Ok(0);
        };
        let (id, first) = (*id, *first);
        let (log, blocks, found) = {
            let mut reader = self.inner.database.reader().await;
            let mut tx = begin_reading(&mut reader).await?;
            let Some(log) = tables::dblog::by_id(&mut tx, id).await? else { return Ok(0) };
            let blocks = tables::packed::blocks(&mut tx, id, first, end).await?;
            let line = super::line::Line::of(id);
            (log, blocks, tables::entry::found(&mut tx, &line, first, end).await?)
        };
        // As they are in the order of places, none of another segment.
        let are_of =
            |found: &Found| matches!(found, Found::Packed { chunk, .. } if old.iter().any(|it| it.chunk == *chunk));
        if found.len() as u64 != end - first || !found.iter().all(are_of) {
            return Ok(0);
        }
        let Some(held) = self.held(&found).await? else { return Err(packed::lost()) };
        let entries = found.iter().map(|found| packed::opened(found, &held)).collect::<Result<Option<Vec<_>>, _>>()?;
        let Some(entries) = entries else { return Err(packed::lost()) };
        let bytes = Segment::encode(&log.key, first, &entries);
        drop((entries, held, found));
        let count = end - first;
        let row = SegmentRow { log: id, first, count, level, bytes: bytes.len() as u64, dead: 0, chunk: [0; 32] };
        for _ in 0..CHUNK_WRITINGS_MAX {
            let (chunk, writing) = self.write_segment(&bytes).await?;
            let mut tx = self.inner.database.write().await?;
            if tables::segment::range(&mut tx, id, first, end).await? != old {
                return Ok(0);
            }
            if !hold(&mut tx, &chunk, &bytes, writing, now_ms).await? {
                tx.commit(1).await?;
                continue;
            }
            for segment in old {
                tables::segment::retire(&mut tx, segment, now_ms).await?;
            }
            tables::segment::insert(&mut tx, &SegmentRow { chunk, ..row.clone() }).await?;
            let whole =
                blocks.first().is_some_and(|it| it.first == first) && blocks.last().is_some_and(|it| it.end() == end);
            if whole && blocks.len() as u64 > count / BLOCK_ENTRIES + 2 {
                let marks: Vec<_> = blocks.iter().flat_map(|block| block.marks.iter().copied()).collect();
                tables::packed::replace(&mut tx, id, &blocks, &Block::cut(first, &marks)).await?;
            }
            self.keep(Step::Pack, tx, old.len() * 4 + blocks.len()).await?;
            return Ok(old.len() as u64);
        }
        Ok(0)
    }

    /// Writes the object of a segment, if it is no small one; returns its id, and the number of the writing.
    async fn write_segment(&self, bytes: &Bytes) -> Result<(ContentId, u64), StorageError> {
        let hashed = bytes.clone();
        let id = tokio::task::spawn_blocking(move || content::id_of(&hashed)).await;
        let id = id.expect("hashing does not panic, and the runtime outlives its callers");
        Ok((id, self.write_object(&id, bytes).await?))
    }

    /// Lets go of objects of segments that others took the place of by `before_ms`; returns whether there were any.
    pub(super) async fn drop_old_segments(&self, now_ms: u64, before_ms: u64) -> Result<bool, StorageError> {
        if tables::segment::old(&mut *self.inner.database.reader().await, before_ms, 1).await?.is_empty() {
            return Ok(false);
        }
        let mut tx = self.inner.database.write().await?;
        let (old, mut has_objects) = (tables::segment::old(&mut tx, before_ms, ROWS_PER_COLLECTION).await?, false);
        for chunk in &old {
            tables::segment::forget_old(&mut tx, chunk).await?;
            if !tables::chunk_use::is_kept(&mut tx, chunk).await? {
                has_objects |= tables::chunk::remove(&mut tx, chunk, now_ms).await?;
            }
        }
        if has_objects {
            tables::chunk::next_writing(&mut tx).await?;
        }
        self.keep(Step::Collect, tx, old.len() * 3).await?;
        Ok(true)
    }
}

/// Returns whether a log is there, with all that was ever appended counted, and not on its way here.
async fn is_here(conn: &mut Conn, log: &LogRow) -> Result<bool, StorageError> {
    let db = tables::db::by_id(conn, log.db).await?;
    Ok(db.is_some_and(|db| db.stage != Stage::Arriving))
}

/// Has a row name the object that was written under the number `writing`; returns whether one does now. As for any chunk (`chunks`): one whose number
/// was turned away meanwhile is noted as one that is to be deleted.
async fn hold(conn: &mut Conn, id: &ContentId, bytes: &Bytes, writing: u64, now_ms: u64) -> Result<bool, StorageError> {
    let is_small = bytes.len() <= CHUNK_IN_ROW_BYTES_MAX;
    let there = tables::chunk::load(conn, id).await?;
    let current = match &there {
        _ if is_small => writing,
        Some(row) => row.writing,
        None => tables::chunk::writing(conn).await?,
    };
    if current != writing {
        tables::chunk::to_delete(conn, id, writing, now_ms).await?;
    }
    if there.is_none() && current == writing {
        let (size, body) = (bytes.len() as u64, is_small.then(|| bytes.to_vec()));
        tables::chunk::insert(conn, id, &ChunkRow { size, body, writing }, now_ms).await?;
    }
    Ok(there.is_some() || current == writing)
}

/// Chooses which of the oldest entries of a log, each by place, time and bytes, are packed now: the first place, and the one behind the last.
fn chosen(oldest: &[(u64, u64, u64)], age: Age) -> Option<(u64, u64)> {
    let before_ms = age.now_ms.checked_sub(age.after_ms)?;
    let (first, oldest_ms, _) = *oldest.first()?;
    let (mut end, mut bytes, mut is_full) = (first, 0_u64, false);
    for (pos, time_ms, more) in oldest {
        if *pos != end || *time_ms > before_ms {
            break;
        }
        is_full = bytes.saturating_add(*more) > BYTES_PER_PACK && end > first;
        if is_full {
            break;
        }
        (end, bytes) = (end + 1, bytes.saturating_add(*more));
    }
    let count = end - first;
    let waited = age.now_ms.saturating_sub(oldest_ms) >= age.after_ms.saturating_mul(PACK_WAITS);
    match count {
        0 => None,
        // Blocks that end where subtrees do.
        count if count >= ENTRIES_PACKED_MIN => Some((first, end - end % BLOCK_ENTRIES)),
        _ if bytes >= BYTES_PACKED_MIN || is_full || waited => Some((first, end)),
        _ => None,
    }
}

/// Returns which of the newest segments of a log, the newest first, are to be merged, in the order of places: neighbours of the newest one's level
/// that fit into one, if the level is full.
fn mergeable(newest: Vec<SegmentRow>) -> Option<Vec<SegmentRow>> {
    let level = newest.first()?.level;
    let mut run: Vec<SegmentRow> = newest.into_iter().take_while(|segment| segment.level == level).collect();
    if run.len() < SEGMENTS_PER_LEVEL {
        return None;
    }
    run.reverse();
    for from in 0..run.len() {
        let mut bytes = 0;
        let fits = run[from..].iter().take(SEGMENTS_PER_LEVEL).take_while(|segment| {
            bytes += segment.bytes;
            bytes <= SEGMENT_BYTES_MAX
        });
        let fits = fits.count();
        if fits > 1 {
            return Some(run.drain(from..from + fits).collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oldest(first: u64, count: u64, bytes: u64) -> Vec<(u64, u64, u64)> {
        (first..first + count).map(|pos| (pos, 1_000 + pos, bytes)).collect()
    }

    #[test]
    fn what_is_old_and_enough_is_packed_and_a_little_waits() {
        let age = |now_ms| Age { now_ms, after_ms: 10_000 };
        assert_eq!(chosen(&[], age(1 << 30)), None);
        assert_eq!(chosen(&oldest(0, 1_024, 100), age(10_000)), None, "none is old");
        assert_eq!(chosen(&oldest(0, 1_024, 100), age(100_000)), Some((0, 1_024)));
        assert_eq!(chosen(&oldest(700, 300, 100), age(100_000)), Some((700, 768)), "to the end of a subtree");
        // Those at 0 to 299 are ten seconds old.
        assert_eq!(chosen(&oldest(0, 1_024, 100), age(11_299)), Some((0, 256)));
        assert_eq!(chosen(&oldest(0, 255, 100), age(80_000)), None, "few wait");
        assert_eq!(chosen(&oldest(0, 255, 100), age(81_000)), Some((0, 255)), "and not for ever");
        assert_eq!(chosen(&oldest(0, 20, 20_000), age(50_000)), Some((0, 20)), "few large ones");
        assert_eq!(chosen(&oldest(0, 1_024, 5_000), age(100_000)), Some((0, 209)), "so many bytes");
        assert_eq!(chosen(&oldest(5, 3, 9 << 20), age(100_000)), Some((5, 6)), "one at least");
        let before_large = [oldest(0, 3, 100), oldest(3, 1, BYTES_PER_PACK)].concat();
        assert_eq!(chosen(&before_large, age(50_000)), Some((0, 3)), "few before a large one");
        assert_eq!(chosen(&before_large, age(11_002)), None, "that is not old yet");
        let mut hole = oldest(0, 600, 100);
        hole.remove(300);
        assert_eq!(chosen(&hole, age(100_000)), Some((0, 256)), "no gap is packed");
        assert_eq!(chosen(&oldest(0, 600, 1), Age { now_ms: 5, after_ms: 6 }), None);
    }

    #[test]
    fn neighbours_of_a_level_are_merged_once_it_is_full() {
        let segments = |of: &[(u64, u64)]| -> Vec<SegmentRow> {
            let row = |(first, (level, bytes)): (u64, &(u64, u64))| SegmentRow {
                log: 1,
                first,
                count: 1,
                level: *level,
                bytes: *bytes,
                dead: 0,
                chunk: [0; 32],
            };
            let mut rows: Vec<SegmentRow> = (0..).zip(of).map(row).collect();
            rows.reverse();
            rows
        };
        let merged = |of: &[(u64, u64)]| {
            let group = mergeable(segments(of))?;
            Some((group.first()?.first, group.last()?.end()))
        };
        const MIB: u64 = 1 << 20;
        assert_eq!(merged(&[]), None);
        assert_eq!(merged(&[(0, MIB / 8); 7]), None);
        assert_eq!(merged(&[(0, MIB / 8); 8]), Some((0, 8)));
        assert_eq!(merged(&[[(1, MIB); 2].as_slice(), &[(0, MIB / 8); 8]].concat()), Some((2, 10)));
        assert_eq!(merged(&[[(0, MIB); 8].as_slice(), &[(1, MIB); 2]].concat()), None, "not the newest level");
        assert_eq!(merged(&[(0, MIB); 8]), Some((0, 4)), "as many as fit");
        assert_eq!(merged(&[[(0, 3 * MIB); 7].as_slice(), &[(0, MIB); 2]].concat()), Some((6, 8)));
        assert_eq!(merged(&[(0, 3 * MIB); 20]), None, "no two fit");
        assert_eq!(merged(&[(0, MIB / 8); 30]), Some((0, 8)), "no more than a level");
    }
}

//! Old entries, read: what the tables say of them stands in one commit, and the segments that have them are read after it, each compared with its
//! hash. A segment that others took the place of is there for a grace, so that whoever learnt of it before reads on.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dgns_api::store::content::ContentId;
use tokio::sync::Semaphore;
use translog::hash::leaf_hash;

use super::line::Line;
use super::rows::{EntryRow, Signed};
use super::segment::Segment;
use super::{Inner, Store};
use crate::database::{Conn, begin_reading};
use crate::fault::{Place, StorageError};
use crate::limits::{
    READS_MAX, SEGMENT_BYTES_PER_ANSWER, SEGMENT_READS_MAX, SEGMENT_WAIT_MS, SEGMENTS_KEPT, SEGMENTS_KEPT_BYTES,
};
use crate::table::store::RowId;
use crate::table::store::entry::{self, Found};

/// Segments that a caller holds while they decide.
pub(super) type Held = HashMap<ContentId, Arc<Segment>>;

/// The segments that were read of late, the newest last.
#[derive(Debug)]
pub(super) struct Kept {
    recent: Mutex<Recent>,
    /// Who may read one now.
    reads: Semaphore,
    /// Those that are read, each with a lock that whoever reads it holds.
    read_now: Mutex<HashMap<ContentId, Arc<tokio::sync::Mutex<()>>>>,
}

/// A segment that somebody reads, or waits for another to read it.
struct Reading<'k> {
    kept: &'k Kept,
    id: ContentId,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut read_now = self.kept.read_now.lock().unwrap_or_else(PoisonError::into_inner);
        drop(std::mem::take(&mut self.lock));
        if read_now.get(&self.id).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            read_now.remove(&self.id);
        }
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self { recent: Mutex::default(), reads: Semaphore::new(SEGMENT_READS_MAX), read_now: Mutex::default() }
    }
}

#[derive(Debug, Default)]
struct Recent {
    segments: VecDeque<(ContentId, Arc<Segment>)>,
    bytes: usize,
}

impl Kept {
    fn find(&self, id: &ContentId) -> Option<Arc<Segment>> {
        let mut recent = self.lock();
        let at = recent.segments.iter().rposition(|(found, _)| found == id)?;
        let found = recent.segments.remove(at)?;
        recent.segments.push_back(found.clone());
        Some(found.1)
    }

    fn keep(&self, id: ContentId, segment: &Arc<Segment>) {
        let mut recent = self.lock();
        if recent.segments.iter().any(|(found, _)| *found == id) {
            return;
        }
        recent.bytes += segment.bytes();
        recent.segments.push_back((id, segment.clone()));
        while recent.bytes > SEGMENTS_KEPT_BYTES || recent.segments.len() > SEGMENTS_KEPT {
            let Some((_, oldest)) = recent.segments.pop_front() else { return };
            recent.bytes -= oldest.bytes();
        }
    }

    fn reading(&self, id: ContentId) -> Reading<'_> {
        let lock = self.read_now.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone();
        Reading { kept: self, id, lock }
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Returns entries that were found; `None` if a segment went meanwhile, since others took its place: then they are to be found again.
    pub(super) async fn opened(&self, found: Vec<Found>) -> Result<Option<Vec<EntryRow>>, StorageError> {
        let Some(held) = self.held(&found).await? else { return Ok(None) };
        found.iter().map(|found| opened(found, &held)).collect::<Result<Option<Vec<_>>, _>>()
    }

    /// Returns the segments of entries that were found; `None` if one went meanwhile.
    pub(super) async fn held(&self, found: &[Found]) -> Result<Option<Held>, StorageError> {
        let mut held = Held::new();
        for found in found {
            let Found::Packed { chunk, .. } = found else { continue };
            if !held.contains_key(chunk) {
                let Some(segment) = self.segment(chunk).await? else { return Ok(None) };
                held.insert(*chunk, segment);
            }
        }
        Ok(Some(held))
    }

    /// Returns a segment, compared with its hash; `None` if there is none.
    pub(super) async fn segment(&self, id: &ContentId) -> Result<Option<Arc<Segment>>, StorageError> {
        let Inner { segments, .. } = &*self.inner;
        if let Some(segment) = segments.find(id) {
            return Ok(Some(segment));
        }
        // Of many who ask for one, one reads it: an object that comes slowly keeps those who read others waiting no longer.
        let reading = segments.reading(*id);
        let turn = async { (reading.lock.lock().await, segments.reads.acquire().await) };
        let Ok(_turn) = tokio::time::timeout(Duration::from_millis(SEGMENT_WAIT_MS), turn).await else {
            let (place, detail) = (Place::Table("segment"), "others wait for the objects of segments".to_owned());
            return Err(StorageError::Unreachable { place, detail });
        };
        // Somebody may have read it while this waited.
        if let Some(segment) = segments.find(id) {
            return Ok(Some(segment));
        }
        let bytes = match self.chunk(id).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            // One log has it: the others are looked after.
            Err(StorageError::Corrupt { place, detail }) => {
                return Err(StorageError::inconsistent("segment", format!("{place}: {detail}")));
            }
            Err(error) => return Err(error),
        };
        let segment =
            Segment::decode(bytes).map_err(|error| StorageError::inconsistent("segment", error.to_string()))?;
        let segment = Arc::new(segment);
        segments.keep(*id, &segment);
        Ok(Some(segment))
    }

    /// Returns header and signature of the entry at place `pos` of a row of logs.
    pub(super) async fn signed_at(&self, log: RowId, pos: u64) -> Result<Signed, StorageError> {
        for _ in 0..READS_MAX {
            let found = {
                let mut reader = self.inner.database.reader().await;
                let mut tx = begin_reading(&mut reader).await?;
                entry::found(&mut tx, &Line::of(log), pos, pos + 1).await?
            };
            if let Some(mut rows) = self.opened(found).await? {
                let row = rows.pop().ok_or_else(|| StorageError::inconsistent("entry", "an entry is missing"))?;
                return Ok((row.header, row.sig));
            }
        }
        Err(lost())
    }
}

/// Returns the headers of the entries `from..to`, each with how many bytes of its body are there; `None` if one is in a segment that is not held.
pub(super) async fn naming(
    conn: &mut Conn,
    line: &Line,
    (from, to): (u64, u64),
    held: &Held,
) -> Result<Option<Vec<(Vec<u8>, u64)>>, StorageError> {
    let found = entry::found(conn, line, from, to).await?;
    let named = found.iter().map(|found| match found {
        Found::Here(row) => Ok(Some((row.header.clone(), row.body.len() as u64))),
        Found::Packed { mark, .. } => Ok(opened(found, held)?.map(|row| (row.header, mark.body_bytes))),
    });
    named.collect()
}

/// Returns an entry that was found, as it stands in its segment less what was dropped since; `None` if that is not held.
pub(super) fn opened(found: &Found, held: &Held) -> Result<Option<EntryRow>, StorageError> {
    let (chunk, pos, mark) = match found {
        Found::Here(row) => return Ok(Some(row.clone())),
        Found::Packed { chunk, pos, mark, .. } => (chunk, pos, mark),
    };
    let Some(segment) = held.get(chunk) else { return Ok(None) };
    let wrong = || StorageError::inconsistent("segment", format!("a segment is not what is kept of entry {pos}"));
    let mut row = segment.entry(*pos).ok_or_else(wrong)?;
    if mark.body_bytes == 0 {
        row.body.clear();
    }
    let are_bytes = (row.header.len() as u64, row.body.len() as u64) == (mark.header_bytes, mark.body_bytes);
    if are_bytes && leaf_hash(&row.header) == mark.leaf { Ok(Some(row)) } else { Err(wrong()) }
}

/// Returns how many of the entries that were found one answer takes: those for which segments of so many bytes are read. What was dropped lies in
/// them for a while.
pub(super) fn fitting(found: &[Found]) -> usize {
    let (mut last, mut sum) = (None, 0_u64);
    let fits = found.iter().take_while(|found| {
        if let Found::Packed { chunk, bytes, .. } = found
            && last != Some(*chunk)
        {
            sum = if last.is_none() { 0 } else { sum.saturating_add(*bytes) };
            last = Some(*chunk);
        }
        sum <= SEGMENT_BYTES_PER_ANSWER
    });
    fits.count()
}

/// A segment that is named and is not there, however often it is looked for.
pub(super) fn lost() -> StorageError {
    StorageError::inconsistent("segment", "a segment has no object")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::block::Mark;
    use dgns_api::store::entry::LogId;

    fn segment(number: u8, bytes: usize) -> Arc<Segment> {
        let body = vec![number; bytes];
        let row = EntryRow { header: vec![1], sig: [0; 64], body };
        Arc::new(Segment::decode(Segment::encode(&LogId([number; 32]), 0, &[row])).unwrap())
    }

    #[test]
    fn an_answer_needs_so_many_bytes_of_segments_and_takes_of_the_first_what_it_has() {
        let here = || Found::Here(EntryRow { header: vec![1], sig: [0; 64], body: Vec::new() });
        let packed = |pos: u64, number: u8, bytes: u64| {
            let (leaf, body_bytes) = (leaf_hash(&[1]), 0);
            let mark = Mark { leaf, device: 1, lsn: pos, head_size: pos + 1, time_ms: 1, header_bytes: 1, body_bytes };
            Found::Packed { chunk: [number; 32], bytes, pos, mark }
        };
        let many = |bytes: u64| (0..100).map(|pos| packed(pos, pos as u8 / 10, bytes)).collect::<Vec<_>>();
        assert_eq!(fitting(&[]), 0);
        assert_eq!(fitting(&many(0)), 100);
        assert_eq!(fitting(&many(SEGMENT_BYTES_PER_ANSWER / 9)), 100);
        assert_eq!(fitting(&many(SEGMENT_BYTES_PER_ANSWER / 3)), 40, "the first, and three");
        assert_eq!(fitting(&many(u64::MAX)), 10, "one at least");
        assert_eq!(fitting(&[vec![here(); 5], many(u64::MAX)].concat()), 15);
        assert_eq!(fitting(&[packed(0, 1, u64::MAX), here(), packed(1, 1, u64::MAX)]), 3);
    }

    #[test]
    fn an_entry_of_a_segment_is_the_one_that_was_acknowledged() {
        let row = EntryRow { header: vec![1, 2, 3], sig: [4; 64], body: vec![5; 10] };
        let bytes = Segment::encode(&LogId([7; 32]), 20, std::slice::from_ref(&row));
        let held = Held::from([([9; 32], Arc::new(Segment::decode(bytes).unwrap()))]);
        let (leaf, header_bytes, body_bytes) = (leaf_hash(&row.header), 3, 10);
        let mark = Mark { leaf, device: 1, lsn: 0, head_size: 21, time_ms: 1, header_bytes, body_bytes };
        let open = |pos: u64, chunk: u8, mark: Mark| {
            let read = opened(&Found::Packed { chunk: [chunk; 32], bytes: 1, pos, mark }, &held);
            read.map_err(|error| error.code())
        };
        assert_eq!(open(20, 9, mark), Ok(Some(row.clone())));
        assert_eq!(open(20, 8, mark), Ok(None), "not held");
        assert_eq!(open(20, 9, Mark { body_bytes: 0, ..mark }), Ok(Some(EntryRow { body: Vec::new(), ..row })));
        for wrong in [
            Mark { leaf: leaf_hash(&[1, 2, 4]), ..mark },
            Mark { header_bytes: 2, ..mark },
            Mark { body_bytes: 9, ..mark },
        ] {
            assert_eq!(open(20, 9, wrong), Err("inconsistent"), "{wrong:?}");
        }
        assert_eq!(open(21, 9, mark), Err("inconsistent"), "another place");
    }

    #[test]
    fn so_much_of_what_was_read_is_kept_and_what_was_asked_for_last_stays() {
        let kept = Kept::default();
        for number in 0..40 {
            kept.keep([number; 32], &segment(number, 1 << 20));
            assert!(kept.find(&[0; 32]).is_some(), "asked for again and again");
        }
        assert!(kept.find(&[1; 32]).is_none() && kept.find(&[39; 32]).is_some());
        let recent = kept.lock();
        assert!(recent.bytes <= SEGMENTS_KEPT_BYTES && recent.segments.len() > 28);
        assert_eq!(recent.bytes, recent.segments.iter().map(|(_, segment)| segment.bytes()).sum::<usize>());
        drop(recent);
        for number in 0..=u8::MAX {
            kept.keep([number; 32], &segment(number, 0));
            kept.keep([number; 32], &segment(number, 0));
        }
        for number in 0..=u8::MAX {
            kept.keep([[number; 16], [0xaa; 16]].concat().try_into().unwrap(), &segment(number, 0));
        }
        assert_eq!(kept.lock().segments.len(), SEGMENTS_KEPT);
    }
}

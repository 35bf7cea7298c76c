//! Old entries, read: what the tables say of them stands in one commit, and the segments that have them are read after it, each compared with its
//! hash. A segment that others took the place of is there for a grace, so that whoever learnt of it before reads on.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dgns_api::store::content::ContentId;

use super::line::Line;
use super::rows::{EntryRow, Signed};
use super::segment::Segment;
use super::{Inner, Store};
use crate::database::{Conn, begin_reading};
use crate::fault::StorageError;
use crate::limits::{READS_MAX, SEGMENTS_KEPT, SEGMENTS_KEPT_BYTES};
use crate::table::store::RowId;
use crate::table::store::entry::{self, Found};

/// Segments that a caller holds while they decide.
pub(super) type Held = HashMap<ContentId, Arc<Segment>>;

/// The segments that were read of late, the newest last.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Recent>);

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

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        Found::Packed { chunk, pos, mark } => (chunk, pos, mark),
    };
    let Some(segment) = held.get(chunk) else { return Ok(None) };
    let wrong = || StorageError::inconsistent("segment", format!("a segment is not what is kept of entry {pos}"));
    let mut row = segment.entry(*pos).ok_or_else(wrong)?;
    if mark.body_bytes == 0 {
        row.body.clear();
    }
    let (header_bytes, body_bytes) = (row.header.len() as u64, row.body.len() as u64);
    if (header_bytes, body_bytes) == (mark.header_bytes, mark.body_bytes) { Ok(Some(row)) } else { Err(wrong()) }
}

/// A segment that is named and is not there, however often it is looked for.
pub(super) fn lost() -> StorageError {
    StorageError::inconsistent("segment", "a segment has no object")
}

#[cfg(test)]
mod tests {
    use super::*;
    use dgns_api::store::entry::LogId;

    fn segment(number: u8, bytes: usize) -> Arc<Segment> {
        let body = vec![number; bytes];
        let row = EntryRow { header: vec![1], sig: [0; 64], body };
        Arc::new(Segment::decode(Segment::encode(&LogId([number; 32]), 0, &[row])).unwrap())
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

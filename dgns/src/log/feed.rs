//! The newest batches, as records that any number of readers follow at their own pace (PROTOCOL 12.4).
//!
//! Whoever commits pushes and never waits. A reader that falls behind what is kept is told so; it reads tiles then.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use translog::batch::Batch;
use translog::stream;

use super::live::PublicHead;

/// Readers at once: each costs a task and a few records on their way.
const READERS_MAX: usize = 256;

/// The bytes kept: some seconds at full speed, so that a follower that reconnects goes on where it was.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// The newest batches.
#[derive(Debug)]
pub struct Feed {
    kept: Mutex<Kept>,
    moved: watch::Sender<()>,
    readers: Arc<Semaphore>,
}

#[derive(Debug)]
struct Kept {
    records: VecDeque<Record>,
    bytes: usize,
    /// The size of the newest head.
    end: u64,
}

#[derive(Clone, Debug)]
struct Record {
    first_index: u64,
    end: u64,
    bytes: Bytes,
}

/// Somebody who reads on from a head.
#[derive(Debug)]
pub struct Reader {
    feed: Arc<Feed>,
    moved: watch::Receiver<()>,
    at: u64,
    _place: OwnedSemaphorePermit,
}

/// Why nobody can read from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// Before what is kept, or no head. Code `not_in_tail`.
    #[error("the newest batches do not begin there: read tiles up to the checkpoint, and follow from its size")]
    NotKept,
    /// Too many readers. Code `busy`.
    #[error("too many readers follow this server")]
    Busy,
}

impl Feed {
    /// Returns the feed of a log whose newest head has `size` leaves.
    pub fn new(size: u64) -> Self {
        Self {
            kept: Mutex::new(Kept { records: VecDeque::new(), bytes: 0, end: size }),
            moved: watch::Sender::new(()),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
        }
    }

    /// Adds a batch that is committed, and its signed head.
    pub fn push(&self, batch: &Batch, head: &PublicHead) {
        let entries = batch.entries.iter().map(Vec::as_slice);
        let bytes = stream::batches(batch.first_index, head.note.as_bytes(), entries);
        self.keep(Record {
            first_index: batch.first_index,
            end: batch.size(),
            bytes: bytes.unwrap_or_default().into(),
        });
    }

    /// Notes that the log went on to `size` without records: nobody follows across that.
    pub fn skip(&self, size: u64) {
        self.keep(Record { first_index: size, end: size, bytes: Bytes::new() });
    }

    fn keep(&self, record: Record) {
        {
            let kept = &mut *self.lock();
            if record.bytes.is_empty() || record.first_index != kept.end {
                (kept.records, kept.bytes) = (VecDeque::new(), 0);
            }
            kept.end = record.end;
            if !record.bytes.is_empty() {
                kept.bytes += record.bytes.len();
                kept.records.push_back(record);
            }
            while kept.bytes > KEPT_BYTES_MAX {
                kept.bytes -= kept.records.pop_front().map_or(0, |oldest| oldest.bytes.len());
            }
        }
        self.moved.send_replace(());
    }

    /// Opens a reader behind the head of `size` leaves.
    pub fn open(self: &Arc<Self>, size: u64) -> Result<Reader, FeedError> {
        let place = self.readers.clone().try_acquire_owned().map_err(|_| FeedError::Busy)?;
        let moved = self.moved.subscribe();
        self.lock().record_from(size)?;
        Ok(Reader { feed: self.clone(), moved, at: size, _place: place })
    }

    /// Returns how many read.
    pub fn readers(&self) -> usize {
        READERS_MAX - self.readers.available_permits()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder of the lock panics: it guards plain data")
    }
}

impl Kept {
    /// Returns the record that begins at `size`; `None` if that is the newest head.
    fn record_from(&self, size: u64) -> Result<Option<&Record>, FeedError> {
        if size == self.end {
            return Ok(None);
        }
        let found = self.records.binary_search_by_key(&size, |record| record.first_index);
        found.map(|place| self.records.get(place)).map_err(|_| FeedError::NotKept)
    }
}

impl Reader {
    /// Returns the next record as soon as there is one. Errors: [`FeedError::NotKept`] to a reader that fell behind.
    pub async fn next(&mut self) -> Result<Bytes, FeedError> {
        loop {
            self.moved.mark_unchanged();
            let found = self.feed.lock().record_from(self.at)?.cloned();
            if let Some(record) = found {
                self.at = record.end;
                return Ok(record.bytes);
            }
            // The sender lives in the feed, which this reader holds.
            let _ = self.moved.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(first_index: u64, end: u64, bytes: usize) -> Record {
        Record { first_index, end, bytes: vec![7; bytes].into() }
    }

    #[tokio::test]
    async fn a_reader_gets_every_record_from_its_head_on() {
        // Goal: nothing twice, nothing left out, no wait where something is there. Method: two records kept, one that comes.
        let feed = Arc::new(Feed::new(3));
        feed.keep(record(3, 5, 10));
        feed.keep(record(5, 9, 11));
        let mut reader = feed.open(3).unwrap();
        assert_eq!(reader.next().await.unwrap().len(), 10);
        assert_eq!(reader.next().await.unwrap().len(), 11);
        let coming = tokio::spawn(async move { reader.next().await });
        feed.keep(record(9, 10, 12));
        assert_eq!(coming.await.unwrap().unwrap().len(), 12);
    }

    #[tokio::test]
    async fn who_falls_behind_or_asks_for_no_head_is_told() {
        // Goal: memory is bounded, and nobody waits for what is gone. Method: sizes that are no head, before the first, beyond the
        // last; a reader that sleeps while more is pushed than is kept; a gap.
        let feed = Arc::new(Feed::new(3));
        feed.keep(record(3, 5, 10));
        for size in [0, 2, 4, 6] {
            assert_eq!(feed.open(size).err(), Some(FeedError::NotKept), "{size}");
        }
        let (mut slow, mut waiting) = (feed.open(3).unwrap(), feed.open(5).unwrap());
        for number in 0..18 {
            feed.keep(record(5 + number, 6 + number, 1 << 20));
        }
        assert!(feed.lock().bytes <= KEPT_BYTES_MAX);
        assert_eq!(slow.next().await, Err(FeedError::NotKept));
        assert_eq!(waiting.next().await, Err(FeedError::NotKept));
        let mut newest = feed.open(23).unwrap();
        feed.skip(40);
        assert_eq!(newest.next().await, Err(FeedError::NotKept));
        assert!(feed.open(40).is_ok());
    }

    #[test]
    fn readers_are_counted_and_bounded() {
        let feed = Arc::new(Feed::new(0));
        let readers: Vec<_> = (0..READERS_MAX).map(|_| feed.open(0).unwrap()).collect();
        assert_eq!((feed.open(0).err(), feed.readers()), (Some(FeedError::Busy), READERS_MAX));
        drop(readers);
        assert_eq!(feed.readers(), 0);
    }
}

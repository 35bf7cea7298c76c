//! A log that clients write to: lines at the end of a file, each once, on disk before anybody is told so (PROTOCOL 23.15).
//!
//! Beside the file `x.log` lies its journal `.x.log.lsn`, a record of 128 bytes for each write: whose it is, its numbers, where its
//! bytes are and what they hash to, and what the log hashes to behind them. A write is a record, synced; then the bytes, synced;
//! then the answer. A crash after the record leaves a write nobody was told of: it is looked at when the log is opened, and taken
//! back if its bytes are not all there. The journal is for ever, and so is the answer to a write that comes again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use identity::cert::KeyBytes;
use identity::hash::{Hash, Hasher, sha256};

/// The bytes of a record.
const RECORD_BYTES: usize = 128;

/// Bytes read at once where a log is hashed.
const READ_BYTES: usize = 1 << 16;

/// Why nothing was written; each has a code that the other end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotWritten {
    /// `lsn_gap`: not the number behind the last.
    Gap,
    /// `lsn_conflict`: the number is taken, by other bytes.
    Conflict,
    /// `head_mismatch`: the log is not as it was expected to be.
    Head,
    /// `quota`: the log would be larger than it may be.
    Quota,
    /// `changed`: the file is not what its journal says; its owner is to look.
    Changed,
    /// `busy`: another process writes to it.
    Busy,
    /// `failed`: the disk does not take it.
    Failed,
}

impl NotWritten {
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Gap => "lsn_gap",
            Self::Conflict => "lsn_conflict",
            Self::Head => "head_mismatch",
            Self::Quota => "quota",
            Self::Changed => "changed",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }
}

impl From<std::io::Error> for NotWritten {
    fn from(_: std::io::Error) -> Self {
        Self::Failed
    }
}

/// What a write is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Where the first entry begins.
    pub(crate) position: u64,
    /// The bytes of the log behind the last.
    pub(crate) size: u64,
    /// SHA-256 of so many bytes of the log.
    pub(crate) head: Hash,
}

/// What a device writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write<'e> {
    /// Who.
    pub(crate) device: KeyBytes,
    /// The number of the first entry.
    pub(crate) lsn: u64,
    /// Lines without their ends.
    pub(crate) entries: &'e [Vec<u8>],
    /// What the head must be.
    pub(crate) expect: Option<Hash>,
    /// How large the log may become.
    pub(crate) bytes_max: u64,
}

/// How a log stands, for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its bytes.
    pub(crate) size: u64,
    /// SHA-256 of them.
    pub(crate) head: Hash,
    /// The device's last number; 0 for none.
    pub(crate) lsn: u64,
}

/// A log. Opened when it is first asked, and again after the disk failed.
#[derive(Debug)]
pub(crate) struct Written {
    place: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    log: File,
    journal: File,
    records: u64,
    last: HashMap<KeyBytes, u64>,
    /// What was hashed: so many bytes, the last of which ends a line, or there is none.
    hashed: Hasher,
    size: u64,
    is_whole: bool,
}

/// One write, as the journal has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    device: KeyBytes,
    lsn: u64,
    count: u32,
    length: u32,
    position: u64,
    bytes: Hash,
    head: Hash,
}

impl Written {
    /// Returns the log at this place; the file need not be there.
    pub(crate) fn at(place: PathBuf) -> Self {
        Self { place, open: None }
    }

    /// Returns how it stands.
    pub(crate) fn standing(&mut self, device: &KeyBytes) -> Result<Standing, NotWritten> {
        self.with(|open| {
            open.catch_up()?;
            let lsn = open.last.get(device).copied().unwrap_or(0);
            Ok(Standing { size: open.size, head: open.hashed.clone().finish(), lsn })
        })
    }

    /// Writes entries, or says what they were answered with before.
    pub(crate) fn write(&mut self, write: Write<'_>) -> Result<Receipt, NotWritten> {
        self.with(|open| open.write(write))
    }

    /// Does something with the open log. After a failure of the disk nobody knows what is on it: it is opened anew.
    fn with<T>(&mut self, work: impl FnOnce(&mut Open) -> Result<T, NotWritten>) -> Result<T, NotWritten> {
        let open = match &mut self.open {
            Some(open) => open,
            closed => closed.insert(Open::new(&self.place)?),
        };
        let done = work(open);
        if matches!(done, Err(NotWritten::Failed | NotWritten::Changed)) {
            self.open = None;
        }
        done
    }
}

impl Open {
    fn new(place: &Path) -> Result<Self, NotWritten> {
        let (Some(directory), Some(name)) = (place.parent(), place.file_name()) else { return Err(NotWritten::Failed) };
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".lsn");
        let journal = directory.join(hidden);
        let journal = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(journal)?;
        match journal.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(NotWritten::Busy),
            Err(TryLockError::Error(_)) => return Err(NotWritten::Failed),
        }
        let log = OpenOptions::new().read(true).append(true).create(true).open(place)?;
        // Both names are on disk before anything is acknowledged under them.
        File::open(directory)?.sync_all()?;
        let mut open =
            Self { log, journal, records: 0, last: HashMap::new(), hashed: Hasher::new(), size: 0, is_whole: true };
        let (newest, told) = open.read_journal()?;
        if let Some(newest) = newest {
            open.settle(&newest, told)?;
        }
        open.catch_up()?;
        Ok(open)
    }

    /// Reads every record; returns the newest, and how far the others reach. Of one that is not whole, and therefore the last, nobody
    /// was told.
    fn read_journal(&mut self) -> Result<(Option<Record>, u64), NotWritten> {
        let length = self.journal.metadata()?.len();
        let (mut newest, mut told) = (None::<Record>, 0);
        let mut bytes = [0; RECORD_BYTES];
        while (self.records + 1) * RECORD_BYTES as u64 <= length {
            self.journal.read_exact_at(&mut bytes, self.records * RECORD_BYTES as u64)?;
            let Some(record) = Record::decode(&bytes) else { break };
            self.note(&record);
            told = newest.replace(record).map_or(0, |before| told.max(before.receipt().size));
        }
        let known = self.records * RECORD_BYTES as u64;
        // More than one record is wrong: that was no crash.
        if length >= known + 2 * RECORD_BYTES as u64 {
            return Err(NotWritten::Changed);
        }
        if length > known {
            self.journal.set_len(known)?;
            self.journal.sync_data()?;
        }
        Ok((newest, told))
    }

    /// Holds the newest record against the log: its bytes are there, or it is taken back.
    fn settle(&mut self, newest: &Record, told: u64) -> Result<(), NotWritten> {
        let size = self.log.metadata()?.len();
        let end = newest.position + u64::from(newest.length);
        let mut bytes = vec![0; newest.length as usize];
        if size >= end {
            self.log.read_exact_at(&mut bytes, newest.position)?;
            if sha256(&[&bytes]) == newest.bytes {
                // Killed before it was synced, perhaps.
                return Ok(self.log.sync_data()?);
            }
        }
        // Whatever was acknowledged before is on disk: a shorter file, or a longer one, is somebody else's work.
        if size > end || size < told {
            return Err(NotWritten::Changed);
        }
        self.log.set_len(size.min(newest.position))?;
        self.log.sync_data()?;
        self.records -= 1;
        self.journal.set_len(self.records * RECORD_BYTES as u64)?;
        self.journal.sync_data()?;
        self.last.insert(newest.device, newest.lsn - 1);
        Ok(())
    }

    fn note(&mut self, record: &Record) {
        self.records += 1;
        self.last.insert(record.device, record.lsn + u64::from(record.count) - 1);
    }

    /// Hashes what was added by others since the last time.
    fn catch_up(&mut self) -> Result<(), NotWritten> {
        let size = self.log.metadata()?.len();
        if size < self.size {
            return Err(NotWritten::Changed);
        }
        self.hash_to(size)
    }

    /// Hashes the log up to a size.
    fn hash_to(&mut self, size: u64) -> Result<(), NotWritten> {
        self.log.seek(SeekFrom::Start(self.size))?;
        let mut bytes = vec![0; READ_BYTES];
        while self.size < size {
            let wanted = usize::try_from(size - self.size).unwrap_or(READ_BYTES).min(READ_BYTES);
            let read = self.log.read(&mut bytes[..wanted])?;
            if read == 0 {
                return Err(NotWritten::Changed);
            }
            self.take(&bytes[..read]);
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        self.hashed.update(bytes);
        self.size += bytes.len() as u64;
        self.is_whole = bytes.last() == Some(&b'\n');
    }

    fn write(&mut self, write: Write<'_>) -> Result<Receipt, NotWritten> {
        let lines: Vec<u8> = write.entries.iter().flat_map(|entry| entry.iter().chain(b"\n")).copied().collect();
        let (count, length) = (write.entries.len() as u32, lines.len() as u32);
        let last = self.last.get(&write.device).copied().unwrap_or(0);
        if write.lsn <= last {
            let known = self.find(&write.device, write.lsn)?;
            let is_same = |record: &Record| record.count == count && record.bytes == sha256(&[&lines]);
            return known.filter(is_same).map(|record| record.receipt()).ok_or(NotWritten::Conflict);
        }
        if write.lsn != last + 1 || write.lsn.checked_add(u64::from(count)).is_none() {
            return Err(NotWritten::Gap);
        }
        self.catch_up()?;
        if write.expect.is_some_and(|expect| expect != self.hashed.clone().finish()) {
            return Err(NotWritten::Head);
        }
        // Somebody else's line that has no end yet gets one: each entry is a line of its own.
        let ends: &[u8] = if self.is_whole { b"" } else { b"\n" };
        let position = self.size + ends.len() as u64;
        if position + u64::from(length) > write.bytes_max {
            return Err(NotWritten::Quota);
        }
        let added = [ends, &lines].concat();
        let mut hashed = self.hashed.clone();
        hashed.update(&added);
        let Write { device, lsn, .. } = write;
        let mut record =
            Record { device, lsn, count, length, position, bytes: sha256(&[&lines]), head: hashed.finish() };
        self.put(&record)?;
        self.log.write_all(&added)?;
        let end = self.log.stream_position()?;
        self.log.sync_data()?;
        self.hash_to(end)?;
        // Another program of the owner's was faster: the record says where the lines are.
        if end != record.receipt().size {
            record = Record { position: end - u64::from(length), head: self.hashed.clone().finish(), ..record };
            self.put(&record)?;
        }
        self.note(&record);
        Ok(record.receipt())
    }

    /// Puts a record behind those that are noted, on disk.
    fn put(&self, record: &Record) -> Result<(), NotWritten> {
        self.journal.write_all_at(&record.encode(), self.records * RECORD_BYTES as u64)?;
        Ok(self.journal.sync_data()?)
    }

    /// Returns the record of a write, the newest first.
    fn find(&self, device: &KeyBytes, lsn: u64) -> Result<Option<Record>, NotWritten> {
        let mut bytes = [0; RECORD_BYTES];
        for number in (0..self.records).rev() {
            self.journal.read_exact_at(&mut bytes, number * RECORD_BYTES as u64)?;
            let record = Record::decode(&bytes).ok_or(NotWritten::Changed)?;
            if record.device == *device && record.lsn <= lsn {
                return Ok(Some(record).filter(|record| record.lsn == lsn));
            }
        }
        Ok(None)
    }
}

impl Record {
    fn receipt(&self) -> Receipt {
        Receipt { position: self.position, size: self.position + u64::from(self.length), head: self.head }
    }

    /// `device 32, lsn u64, count u32, length u32, position u64, SHA-256 of the bytes, head 32`, then 8 bytes of SHA-256 of these.
    fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        let numbers = [self.lsn.to_be_bytes(), concat(self.count, self.length), self.position.to_be_bytes()].concat();
        bytes[..32].copy_from_slice(&self.device);
        bytes[32..56].copy_from_slice(&numbers);
        bytes[56..88].copy_from_slice(&self.bytes);
        bytes[88..120].copy_from_slice(&self.head);
        let check = sha256(&[&bytes[..120]]);
        bytes[120..].copy_from_slice(&check[..8]);
        bytes
    }

    fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let check = sha256(&[&bytes[..120]]);
        let u64_at = |at: usize| bytes[at..at + 8].try_into().map(u64::from_be_bytes).ok();
        let u32_at = |at: usize| bytes[at..at + 4].try_into().map(u32::from_be_bytes).ok();
        let record = Self {
            device: bytes[..32].try_into().ok()?,
            lsn: u64_at(32)?,
            count: u32_at(40)?,
            length: u32_at(44)?,
            position: u64_at(48)?,
            bytes: bytes[56..88].try_into().ok()?,
            head: bytes[88..120].try_into().ok()?,
        };
        (bytes[120..] == check[..8] && record.lsn > 0 && record.count > 0).then_some(record)
    }
}

fn concat(one: u32, other: u32) -> [u8; 8] {
    ((u64::from(one) << 32) | u64::from(other)).to_be_bytes()
}

#[cfg(test)]
mod tests;

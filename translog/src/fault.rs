//! Fault evidence: a file that convicts a log, or a witness, by its own signatures, with nothing else at hand (PROTOCOL 14.3).
//!
//! ```text
//! dgns.fault@v1
//! log <vkey>                one line for each key the log was trusted with
//! kind <kind>
//! part <name> <bytes>
//! <bytes of the part>
//! ```
//!
//! A [`FaultFile`] is what was written; [`FaultFile::check`] says whether it convicts. The kinds `answer` and `audit` never do:
//! they show what a client was given, which somebody else could have made up.

mod answer;
mod convict;
mod entries;
mod finding;
mod heads;
mod whole;

pub use answer::note;
pub use convict::{Conviction, NoConviction, Proved};
pub use entries::Accused;
pub use finding::Finding;

use crate::limits::{FAULT_FILE_BYTES_MAX, FAULT_LOG_BYTES_MAX, FAULT_PARTS_MAX, LOG_KEYS_MAX};
use crate::note::{KeyKind, VerifierKey};

/// The first line.
pub const HEADER: &str = "dgns.fault@v1";

/// What a fault file is evidence of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Parts `first`, `second`: two notes of one size with two roots.
    SameSize,
    /// Parts `first`, `second`, `path`: the larger note's tree does not begin with the smaller one's.
    Prefix,
    /// Parts `cosigner`, `first`, `second`, and `path` unless the sizes are equal: a witness cosigned either of the above.
    Cosigner,
    /// Part `entry`, and for most faults `before`: an Epoch that does not follow, or a last leaf that is none.
    Epoch,
    /// Part `entry`, and for most faults `before`: an entry that no log may hold, or a chain out of order.
    Entry,
    /// Part `log`, the entries from the first on, `second`, a note, and `path` from their tree to it: rules, signatures, map.
    Map,
    /// Parts `first`, `second`: proofs of two lookups, the later of which shows an older state.
    Rollback,
    /// What a server of databases signed of their logs; whoever knows databases judges it (PROTOCOL 25.10).
    Store,
    /// An answer that did not verify. Convicts nobody by itself.
    Answer,
    /// What an audit found. Convicts nobody by itself: the log itself, fetched again, does.
    Audit,
}

/// A fault file, read or to be written; nothing in it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultFile {
    log_keys: Vec<VerifierKey>,
    kind: FaultKind,
    parts: Vec<(String, Vec<u8>)>,
}

/// The bytes are no fault file. Code `bad_fault_file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a fault file: the line at byte {at} is malformed")]
pub struct NotAFaultFile {
    /// The byte offset.
    pub at: usize,
}

impl FaultKind {
    const ALL: [Self; 10] = [
        Self::SameSize,
        Self::Prefix,
        Self::Cosigner,
        Self::Epoch,
        Self::Entry,
        Self::Map,
        Self::Rollback,
        Self::Store,
        Self::Answer,
        Self::Audit,
    ];

    /// Returns the word in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::SameSize => "same-size",
            Self::Prefix => "prefix",
            Self::Cosigner => "cosigner",
            Self::Epoch => "epoch",
            Self::Entry => "entry",
            Self::Map => "map",
            Self::Rollback => "rollback",
            Self::Store => "store",
            Self::Answer => "answer",
            Self::Audit => "audit",
        }
    }
}

impl FaultFile {
    /// Returns a file without parts about the log with these keys.
    pub fn new(kind: FaultKind, log_keys: &[VerifierKey]) -> Self {
        Self { log_keys: log_keys.to_vec(), kind, parts: Vec::new() }
    }

    /// Adds a part; its name is one word.
    #[must_use]
    pub fn with_part(mut self, name: &str, bytes: &[u8]) -> Self {
        debug_assert!(is_word(name) && self.part(name).is_none(), "a part has one word, once");
        self.parts.push((name.to_owned(), bytes.to_vec()));
        self
    }

    /// Returns the same evidence as of another kind.
    #[must_use]
    pub fn of_kind(self, kind: FaultKind) -> Self {
        Self { kind, ..self }
    }

    /// Returns the kind.
    pub const fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Returns the keys the log was trusted with.
    pub fn log_keys(&self) -> &[VerifierKey] {
        &self.log_keys
    }

    /// Returns a part.
    pub fn part(&self, name: &str) -> Option<&[u8]> {
        self.parts.iter().find(|(known, _)| known == name).map(|(_, bytes)| bytes.as_slice())
    }

    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{HEADER}\n");
        for key in &self.log_keys {
            text.push_str(&format!("log {key}\n"));
        }
        text.push_str(&format!("kind {}\n", self.kind.word()));
        let mut bytes = text.into_bytes();
        for (name, part) in &self.parts {
            bytes.extend_from_slice(format!("part {name} {}\n", part.len()).as_bytes());
            bytes.extend_from_slice(part);
            bytes.push(b'\n');
        }
        bytes
    }

    /// Reads a file, exactly as [`FaultFile::encode`] writes it.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotAFaultFile> {
        let mut lines = Lines { bytes, at: 0, line_at: 0 };
        if bytes.len() > FAULT_FILE_BYTES_MAX + FAULT_LOG_BYTES_MAX || lines.next()? != HEADER {
            return Err(lines.wrong());
        }
        let mut log_keys = Vec::new();
        let kind = loop {
            let line = lines.next()?;
            if let Some(word) = line.strip_prefix("kind ") {
                break FaultKind::ALL.into_iter().find(|kind| kind.word() == word);
            }
            let key = line.strip_prefix("log ").and_then(|text| VerifierKey::parse(text).ok());
            let key = key.filter(|key| key.kind() == KeyKind::Log);
            log_keys.push(key.filter(|_| log_keys.len() < LOG_KEYS_MAX).ok_or_else(|| lines.wrong())?);
        };
        let has_room = |kind: &FaultKind| *kind == FaultKind::Map || bytes.len() <= FAULT_FILE_BYTES_MAX;
        let kind = kind.filter(has_room).filter(|_| !log_keys.is_empty()).ok_or_else(|| lines.wrong())?;
        let mut file = Self { log_keys, kind, parts: Vec::new() };
        while lines.at < bytes.len() {
            let (name, part) = lines.part()?;
            if file.parts.len() == FAULT_PARTS_MAX || file.part(name).is_some() {
                return Err(lines.wrong());
            }
            file.parts.push((name.to_owned(), part.to_vec()));
        }
        if file.encode() == bytes { Ok(file) } else { Err(NotAFaultFile { at: 0 }) }
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// The lines of a file, and the bytes that parts announce.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the line taken last begins.
    line_at: usize,
}

impl<'a> Lines<'a> {
    /// Takes the next line, without its newline.
    fn next(&mut self) -> Result<&'a str, NotAFaultFile> {
        self.line_at = self.at;
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(512).position(|byte| *byte == b'\n').ok_or_else(|| self.wrong())?;
        self.at += end + 1;
        core::str::from_utf8(&rest[..end]).map_err(|_| self.wrong())
    }

    /// Takes a part: its line, its bytes, and the newline behind them.
    fn part(&mut self) -> Result<(&'a str, &'a [u8]), NotAFaultFile> {
        let line = self.next()?;
        let (name, length) =
            line.strip_prefix("part ").and_then(|line| line.split_once(' ')).ok_or_else(|| self.wrong())?;
        let length: usize = length.parse().map_err(|_| self.wrong())?;
        let rest = &self.bytes[self.at..];
        let (part, after) = rest.split_at_checked(length).ok_or_else(|| self.wrong())?;
        if !is_word(name) || after.first() != Some(&b'\n') {
            return Err(self.wrong());
        }
        self.at += length + 1;
        Ok((name, part))
    }

    fn wrong(&self) -> NotAFaultFile {
        NotAFaultFile { at: self.line_at }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

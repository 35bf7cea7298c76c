//! Fault evidence: a file that convicts a log by its own signatures, with nothing else at hand (PROTOCOL 14.3).
//!
//! ```text
//! dgns.fault@v1
//! log <vkey>                one line for each key the log was trusted with
//! kind <kind>
//! part <name> <bytes>
//! <bytes of the part>
//! ```
//!
//! A [`FaultFile`] is what was written; [`FaultFile::check`] says whether it convicts. Two kinds do: `same-size` and `prefix`.
//! The others show what a client was given, which somebody else could have made up.

use identity::hash::Hash;

use crate::limits::{FAULT_FILE_BYTES_MAX, FAULT_PARTS_MAX, LOG_KEYS_MAX, PATH_HASHES_MAX};
use crate::note::{Checkpoint, Note, VerifierKey};
use crate::tree::consistency_roots;

/// The first line.
pub const HEADER: &str = "dgns.fault@v1";

/// What a fault file is evidence of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Parts `first`, `second`: two notes of one size with two roots.
    SameSize,
    /// Parts `first`, `second`, `path`: the larger note's tree does not begin with the smaller one's.
    Prefix,
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

/// A log convicted by a key's own signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conviction {
    /// The key that signed both notes.
    pub log_key: VerifierKey,
    /// What it signed, the smaller head first.
    pub heads: [Checkpoint; 2],
}

/// The bytes are no fault file. Code `bad_fault_file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a fault file: the line at byte {at} is malformed")]
pub struct NotAFaultFile {
    /// The byte offset.
    pub at: usize,
}

/// Why a fault file convicts nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoConviction {
    /// The kind shows what a client met and proves nothing to others. Code `proves_nothing`.
    #[error("evidence of this kind shows what a client met; it proves nothing by itself")]
    Kind,
    /// A part that the kind needs is missing or malformed. Code `fault_part`.
    #[error("a note or path that the kind needs is missing or malformed")]
    Part,
    /// No one key of the file signed both notes. Code `fault_signature`.
    #[error("no one key of the file signed both notes")]
    Signature,
    /// The notes do not contradict each other. Code `no_contradiction`.
    #[error("the notes do not contradict each other")]
    Consistent,
}

impl NoConviction {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Kind => "proves_nothing",
            Self::Part => "fault_part",
            Self::Signature => "fault_signature",
            Self::Consistent => "no_contradiction",
        }
    }
}

impl FaultKind {
    const ALL: [Self; 4] = [Self::SameSize, Self::Prefix, Self::Answer, Self::Audit];

    /// Returns the word in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::SameSize => "same-size",
            Self::Prefix => "prefix",
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
        if bytes.len() > FAULT_FILE_BYTES_MAX || lines.next()? != HEADER {
            return Err(lines.wrong());
        }
        let mut log_keys = Vec::new();
        let kind = loop {
            let line = lines.next()?;
            if let Some(word) = line.strip_prefix("kind ") {
                break FaultKind::ALL.into_iter().find(|kind| kind.word() == word);
            }
            let key = line.strip_prefix("log ").and_then(|text| VerifierKey::parse(text).ok());
            log_keys.push(key.filter(|_| log_keys.len() < LOG_KEYS_MAX).ok_or_else(|| lines.wrong())?);
        };
        let kind = kind.filter(|_| !log_keys.is_empty()).ok_or_else(|| lines.wrong())?;
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

    /// Checks the evidence by its own keys: whether the log signed what no honest log can.
    ///
    /// The file names the keys, so whoever acts on a conviction compares [`Conviction::log_key`] with the key they pinned.
    pub fn check(&self) -> Result<Conviction, NoConviction> {
        match self.kind {
            FaultKind::SameSize | FaultKind::Prefix => {}
            FaultKind::Answer | FaultKind::Audit => return Err(NoConviction::Kind),
        }
        let note = |name| self.part(name).and_then(|bytes| Note::parse(bytes).ok()).ok_or(NoConviction::Part);
        let (first, second) = (note("first")?, note("second")?);
        let signed_both = |key: &&VerifierKey| {
            let one = core::slice::from_ref(*key);
            first.verify(one).is_ok() && second.verify(one).is_ok()
        };
        let log_key = self.log_keys.iter().find(signed_both).ok_or(NoConviction::Signature)?.clone();
        let head = |note: &Note| {
            let checkpoint = Checkpoint::parse(note.text()).ok();
            checkpoint.filter(|head| head.origin == log_key.name()).ok_or(NoConviction::Part)
        };
        let heads = [head(&first)?, head(&second)?];
        let contradicts = match self.kind {
            FaultKind::SameSize => heads[0].size == heads[1].size && heads[0].root != heads[1].root,
            _ => self.does_not_begin(&heads[0], &heads[1])?,
        };
        if contradicts { Ok(Conviction { log_key, heads }) } else { Err(NoConviction::Consistent) }
    }

    /// Whether the path leads to the larger tree's root, and in it to another root of the smaller size.
    fn does_not_begin(&self, smaller: &Checkpoint, larger: &Checkpoint) -> Result<bool, NoConviction> {
        let path = self.part("path").and_then(path_of).ok_or(NoConviction::Part)?;
        let (seed, rest) = path.split_first().ok_or(NoConviction::Part)?;
        let roots = consistency_roots(smaller.size, larger.size, *seed, rest);
        let (within, whole) = roots.map_err(|_| NoConviction::Part)?;
        Ok(whole == larger.root && within != smaller.root)
    }
}

/// Returns the hashes of a path, 32 bytes each.
fn path_of(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && hashes.len() <= PATH_HASHES_MAX + 1).then(|| hashes.to_vec())
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

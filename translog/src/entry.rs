//! Entries: what a leaf of the log says (PROTOCOL 7.1).
//!
//! `u8 type, body`, at most 4,097 bytes. There are five types; a sixth is a fault of the log, not something to skip.

mod anchor;
mod epoch;
mod notice;

use identity::cert::{Certificate, DecodeError};
use identity::wire::WireError;

pub use anchor::{Anchor, AnchorBroken};
pub use epoch::Epoch;
pub use notice::{Notice, NoticeKind};

use crate::hash::{Hash, leaf_hash};
use crate::limits::ENTRY_BYTES_MAX;
use crate::logconf::LogConf;

/// One entry, decoded; nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Type 01: somebody says something about a name or a DID.
    Certificate(Certificate),
    /// Type 02: the end of a batch.
    Epoch(Epoch),
    /// Type 03: the log speaks of its own keys.
    LogConf(LogConf),
    /// Type 04: the log reports another log's fault.
    Notice(Notice),
    /// Type 05: what the server's databases hold.
    Anchor(Anchor),
}

/// The type byte of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// 01.
    Certificate = 1,
    /// 02.
    Epoch = 2,
    /// 03.
    LogConf = 3,
    /// 04.
    Notice = 4,
    /// 05.
    Anchor = 5,
}

/// Why bytes are no entry. In a log each is a fault of its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// No byte, or more than 4,097. Code `bad_entry`.
    #[error("an entry has 1 to 4,097 bytes")]
    Length,
    /// A type that does not exist. Code `bad_entry`.
    #[error("entry type {0} does not exist")]
    Kind(u8),
    /// An Epoch that has not 89 bytes. Code `bad_entry`.
    #[error("an Epoch entry has 89 bytes")]
    Epoch,
    /// The certificate does not decode. Its code.
    #[error("the certificate does not decode: {0}")]
    Certificate(#[from] DecodeError),
    /// The CBOR of a LogConf, Notice or anchor does not decode. Its code.
    #[error("the body does not decode: {0}")]
    Body(#[from] WireError),
}

impl EntryError {
    /// Returns the stable code that vectors and problem answers name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Length | Self::Kind(_) | Self::Epoch => "bad_entry",
            Self::Certificate(error) => error.code(),
            Self::Body(error) => error.code(),
        }
    }
}

impl Entry {
    /// Reads an entry.
    pub fn decode(entry: &[u8]) -> Result<Self, EntryError> {
        let kind = EntryKind::of(entry)?;
        let body = &entry[1..];
        Ok(match kind {
            EntryKind::Certificate => Self::Certificate(Certificate::decode(body)?),
            EntryKind::Epoch => Self::Epoch(Epoch::decode(entry)?),
            EntryKind::LogConf => Self::LogConf(LogConf::decode(body)?),
            EntryKind::Notice => Self::Notice(Notice::decode(body)?),
            EntryKind::Anchor => Self::Anchor(Anchor::decode(body)?),
        })
    }

    /// Returns the bytes that are hashed, stored and sent.
    pub fn encode(&self) -> Vec<u8> {
        let body = match self {
            Self::Certificate(certificate) => certificate.encode(),
            Self::Epoch(epoch) => return epoch.encode().to_vec(),
            Self::LogConf(conf) => conf.as_bytes().to_vec(),
            Self::Notice(notice) => notice.encode(),
            Self::Anchor(anchor) => anchor.encode(),
        };
        let mut entry = Vec::with_capacity(1 + body.len());
        entry.push(self.kind() as u8);
        entry.extend_from_slice(&body);
        entry
    }

    /// Returns the type.
    pub const fn kind(&self) -> EntryKind {
        match self {
            Self::Certificate(_) => EntryKind::Certificate,
            Self::Epoch(_) => EntryKind::Epoch,
            Self::LogConf(_) => EntryKind::LogConf,
            Self::Notice(_) => EntryKind::Notice,
            Self::Anchor(_) => EntryKind::Anchor,
        }
    }

    /// Returns the hash of the leaf.
    pub fn leaf_hash(&self) -> Hash {
        leaf_hash(&self.encode())
    }
}

impl EntryKind {
    /// Returns the type of an entry without reading its body: what an auditor of the tree alone needs.
    pub fn of(entry: &[u8]) -> Result<Self, EntryError> {
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::Length);
        }
        match entry.first() {
            None => Err(EntryError::Length),
            Some(1) => Ok(Self::Certificate),
            Some(2) => Ok(Self::Epoch),
            Some(3) => Ok(Self::LogConf),
            Some(4) => Ok(Self::Notice),
            Some(5) => Ok(Self::Anchor),
            Some(other) => Err(EntryError::Kind(*other)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

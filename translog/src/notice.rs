//! What a log may say of others: Notices whose evidence was checked (PROTOCOL 7.6).
//!
//! [`Notice`] is the entry; a [`SoundNotice`] is one that may be written, and nothing but this module makes it. An auditor asks
//! [`fault_of`] of each Notice it meets.

use crate::entry::{Notice, NoticeKind};
use crate::fault::{FaultFile, FaultKind, Proved};
use crate::hash::sha256;
use crate::limits::{BODY_BYTES_MAX, NAME_BYTES_MAX};
use crate::note::VerifierKey;

/// A Notice that may enter the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundNotice(Notice);

/// Why nothing is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoticeRefusal {
    /// The bytes are no fault file that convicts a log or witness of two histories. Code `bad_evidence`.
    #[error("the evidence does not hold")]
    Evidence,
    /// It is about a key that is not watched here. Code `unknown_key`.
    #[error("not about a log or witness watched here")]
    UnknownKey,
    /// The name of whom it is about has more than 255 bytes. Code `bad_field`.
    #[error("the name has 1 to 255 bytes")]
    Name,
}

impl NoticeRefusal {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Evidence => "bad_evidence",
            Self::UnknownKey => "unknown_key",
            Self::Name => "bad_field",
        }
    }
}

impl SoundNotice {
    /// Returns the Notice that a fault file deserves: of a fork, by a log or witness with one of the keys `watched`.
    ///
    /// Evidence that fits stands in the entry, longer evidence by its hash alone.
    pub fn of_evidence(file: &[u8], watched: &[VerifierKey]) -> Result<Self, NoticeRefusal> {
        let (kind, key) = fork(file).ok_or(NoticeRefusal::Evidence)?;
        if !watched.contains(&key) {
            return Err(NoticeRefusal::UnknownKey);
        }
        let with = |evidence| Notice { kind, origin: key.name().to_owned(), evidence_hash: sha256(&[file]), evidence };
        let whole = with(Some(file.to_vec()));
        Ok(Self(if whole.fits() { whole } else { with(None) }))
    }

    /// Returns the Notice that this log was refused a consistency proof, or has something to say; the words stand in it if they
    /// fit. Nobody can check it.
    pub fn statement(kind: StatementKind, about: &str, words: &str) -> Result<Self, NoticeRefusal> {
        if about.is_empty() || about.len() > NAME_BYTES_MAX {
            return Err(NoticeRefusal::Name);
        }
        let kind = match kind {
            StatementKind::ConsistencyRefused => NoticeKind::ConsistencyRefused,
            StatementKind::Operator => NoticeKind::Operator,
        };
        let (origin, evidence_hash) = (about.to_owned(), sha256(&[words.as_bytes()]));
        let whole = Notice { kind, origin, evidence_hash, evidence: Some(words.as_bytes().to_vec()) };
        Ok(Self(if whole.fits() { whole } else { Notice { evidence: None, ..whole } }))
    }

    /// Returns the entry.
    pub fn notice(&self) -> &Notice {
        &self.0
    }
}

/// A Notice that stands in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its log index.
    pub index: u64,
    /// What it reports.
    pub kind: NoticeKind,
    /// The log or cosigner it is about.
    pub origin: String,
}

/// What a log may state on its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// A log refused a consistency proof past the deadline.
    ConsistencyRefused,
    /// Words of the operator.
    Operator,
}

/// Returns the code of what is wrong with a Notice in a log, `None` if nothing: the evidence in it is that of its hash, and of a
/// fork by whom it names.
pub fn fault_of(notice: &Notice) -> Option<&'static str> {
    let evidence = notice.evidence.as_ref()?;
    if sha256(&[evidence]) != notice.evidence_hash {
        return Some("evidence_hash");
    }
    let holds = match notice.kind {
        NoticeKind::LogFork | NoticeKind::CosignerFork => {
            fork(evidence).is_some_and(|(kind, key)| kind == notice.kind && key.name() == notice.origin)
        }
        NoticeKind::ConsistencyRefused | NoticeKind::Operator => true,
    };
    if holds { None } else { Some("bad_evidence") }
}

/// Whose fork the evidence proves.
fn fork(file: &[u8]) -> Option<(NoticeKind, VerifierKey)> {
    let file = FaultFile::decode(file).ok()?;
    let conviction = file.check().ok().filter(|conviction| conviction.proved == Proved::TwoHistories)?;
    let kind = if file.kind() == FaultKind::Cosigner { NoticeKind::CosignerFork } else { NoticeKind::LogFork };
    Some((kind, conviction.key))
}

impl Notice {
    /// Whether its body is no longer than an entry allows.
    fn fits(&self) -> bool {
        self.encode().len() <= BODY_BYTES_MAX
    }
}

#[cfg(test)]
mod tests;

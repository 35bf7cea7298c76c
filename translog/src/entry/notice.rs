//! Notices: what a log says about another (PROTOCOL 7.1).

use identity::wire::{Reader, WireError, Writer};

use crate::hash::Hash;
use crate::limits::NAME_BYTES_MAX;

/// A fault that this log saw elsewhere, or words of its operator. It binds nobody: evidence does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What is reported.
    pub kind: NoticeKind,
    /// The log or cosigner it is about; at most 255 bytes.
    pub origin: String,
    /// SHA-256 of the evidence file.
    pub evidence_hash: Hash,
    /// The evidence itself, if it fits.
    pub evidence: Option<Vec<u8>>,
}

/// What a Notice reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum NoticeKind {
    /// A log signed two histories.
    LogFork = 1,
    /// A cosigner signed two histories.
    CosignerFork = 2,
    /// A log refused a consistency proof past the deadline.
    ConsistencyRefused = 3,
    /// The operator has something to say.
    Operator = 4,
}

impl NoticeKind {
    /// Returns the word that output names it by.
    pub const fn word(self) -> &'static str {
        match self {
            Self::LogFork => "log-fork",
            Self::CosignerFork => "cosigner-fork",
            Self::ConsistencyRefused => "consistency-refused",
            Self::Operator => "operator",
        }
    }
}

impl Notice {
    /// Reads the body of a Notice entry.
    pub(super) fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let mut fields = reader.fields()?;
        let kind = match fields.required(0, Reader::uint)? {
            1 => NoticeKind::LogFork,
            2 => NoticeKind::CosignerFork,
            3 => NoticeKind::ConsistencyRefused,
            4 => NoticeKind::Operator,
            _ => return Err(WireError::Unexpected),
        };
        let origin = fields.required(1, Reader::text)?.to_owned();
        if origin.len() > NAME_BYTES_MAX {
            return Err(WireError::Unexpected);
        }
        let evidence_hash = fields.required(2, Reader::fixed)?;
        let evidence = fields.optional(3, |reader| reader.bytes().map(<[u8]>::to_vec))?;
        fields.end()?;
        reader.end()?;
        Ok(Self { kind, origin, evidence_hash, evidence })
    }

    /// Returns the body of the entry.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(3 + usize::from(self.evidence.is_some()));
        writer.uint(0).uint(self.kind as u64).uint(1).text(&self.origin).uint(2).bytes(&self.evidence_hash);
        if let Some(evidence) = &self.evidence {
            writer.uint(3).bytes(evidence);
        }
        writer.finish()
    }
}

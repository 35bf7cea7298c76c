//! Anchors: what the server's databases hold, said in the log (PROTOCOL 7.7).

use identity::hash::sha256;
use identity::wire::{Reader, WireError, Writer};

use crate::hash::Hash;

/// The root over the heads of all logs of all databases. Nobody signs it but the head of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its number: 1 at first, one more each time.
    pub k: u64,
    /// The hash of the one before; absent in the first alone.
    pub prev: Option<Hash>,
    /// The root of the prefix tree over the heads.
    pub root: Hash,
    /// How many logs the tree holds.
    pub logs: u64,
}

/// The anchor does not continue the one before. Code `anchor_chain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the anchor does not continue the one before")]
pub struct AnchorBroken;

impl AnchorBroken {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        "anchor_chain"
    }
}

impl Anchor {
    /// Reads the body of an anchor entry, which is also the state of its label.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let mut fields = reader.fields()?;
        let k = fields.required(0, Reader::uint)?;
        let prev = fields.optional(1, Reader::fixed)?;
        let root = fields.required(2, Reader::fixed)?;
        let logs = fields.required(3, Reader::uint)?;
        fields.end()?;
        reader.end()?;
        if k == 0 || (k == 1) != prev.is_none() {
            return Err(WireError::Unexpected);
        }
        Ok(Self { k, prev, root, logs })
    }

    /// Returns the body of the entry.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(3 + usize::from(self.prev.is_some())).uint(0).uint(self.k);
        if let Some(prev) = &self.prev {
            writer.uint(1).bytes(prev);
        }
        writer.uint(2).bytes(&self.root).uint(3).uint(self.logs);
        writer.finish()
    }

    /// Returns the hash that the next one names.
    pub fn hash(&self) -> Hash {
        sha256(&[&self.encode()])
    }

    /// Checks that this one follows `before`, or begins.
    pub fn follows(&self, before: Option<&Self>) -> Result<(), AnchorBroken> {
        let (k, prev, logs) = match before {
            None => (1, None, 0),
            Some(before) => (before.k + 1, Some(before.hash()), before.logs),
        };
        // No label leaves the tree.
        if self.k == k && self.prev == prev && self.logs >= logs { Ok(()) } else { Err(AnchorBroken) }
    }
}

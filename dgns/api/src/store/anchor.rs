//! Anchors: the heads of all logs under one root, which stands in the log of names (PROTOCOL 25.9).
//!
//! Whoever keeps databases adds to the tree with [`AnchorTree::next`]; auditors grow the same tree with [`AnchorTree::apply`] from what
//! changed, without learning which log a label stands for. One label has one place: no two heads of a log stand in one anchor, and
//! none gets smaller from one to the next.

use std::collections::BTreeMap;

use identity::hash::{Hash, domain_hash};
use identity::wire::{Reader, WireError, Writer};
use translog::entry::Anchor;
use translog::map::{Map, MapProof};

use super::answer::{read_path, write_path};
use super::entry::LogId;
use super::head::SignedHead;
use super::limits::ANCHOR_CHANGES_MAX;

/// The head of a log as an anchor has it: `{0 version, 1 size, 2 root, 3? prev, 4 k}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchoredHead {
    /// 0: 1 at first, one more each time.
    pub version: u64,
    /// 1: the entries of the log; more each time.
    pub size: u64,
    /// 2: their root.
    pub root: Hash,
    /// 3: the hash of the one before; absent in the first alone.
    pub prev: Option<Hash>,
    /// 4: the anchor that has it first.
    pub k: u64,
}

/// Why what an anchor is said to change is not what a log may hold. Each is a fault of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorFault {
    /// It does not continue the anchor before. Code `anchor_chain`.
    #[error("anchor {k} does not continue the one before")]
    Chain {
        /// Its number.
        k: u64,
    },
    /// A log does not continue: another version, another one before, or not larger. Code `anchor_head`.
    #[error("in anchor {k} a log does not continue the head that was anchored before: it went back, or became another")]
    Head {
        /// Its number.
        k: u64,
    },
    /// The tree has another root, or another number of logs. Code `anchor_root`.
    #[error("what anchor {k} is said to change does not give its root")]
    Root {
        /// Its number.
        k: u64,
    },
}

impl AnchorFault {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Chain { .. } => "anchor_chain",
            Self::Head { .. } => "anchor_head",
            Self::Root { .. } => "anchor_root",
        }
    }
}

/// Returns the label of a log in the tree; without the salt, from the database's genesis, nobody knows whose it is.
pub fn label(log: &LogId, salt: &[u8; 16]) -> Hash {
    domain_hash("dgns/anchor-label/v1", &[&log.0, salt])
}

impl AnchoredHead {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(4 + usize::from(self.prev.is_some())).uint(0).uint(self.version).uint(1).uint(self.size);
        w.uint(2).bytes(&self.root);
        if let Some(prev) = &self.prev {
            w.uint(3).bytes(prev);
        }
        w.uint(4).uint(self.k);
        w.finish()
    }

    /// Reads one in its one spelling.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let head = Self {
            version: fields.required(0, Reader::uint)?,
            size: fields.required(1, Reader::uint)?,
            root: fields.required(2, Reader::fixed)?,
            prev: fields.optional(3, Reader::fixed)?,
            k: fields.required(4, Reader::uint)?,
        };
        fields.end()?;
        reader.end()?;
        let well = head.version > 0 && head.k > 0 && head.size > 0 && (head.version == 1) == head.prev.is_none();
        if well { Ok(head) } else { Err(WireError::Unexpected) }
    }

    /// Returns what the tree holds at the label, and what the next one names.
    pub fn hash(&self) -> Hash {
        domain_hash("dgns/anchor-leaf/v1", &[&self.encode()])
    }

    /// Returns the head of the same log with more entries, for anchor `k`.
    fn grown(before: Option<&Self>, size: u64, root: Hash, k: u64) -> Self {
        match before {
            None => Self { version: 1, size, root, prev: None, k },
            Some(before) => Self { version: before.version + 1, size, root, prev: Some(before.hash()), k },
        }
    }
}

/// An anchor with the heads it changes: `{0 anchor, 1 [[label, head], ...]}`, ascending by label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// 0: the body of its entry.
    pub anchor: Anchor,
    /// 1.
    pub heads: Vec<(Hash, AnchoredHead)>,
}

impl Changes {
    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(128 + self.heads.len() * 160);
        w.map(2).uint(0).bytes(&self.anchor.encode()).uint(1).array(self.heads.len());
        for (label, head) in &self.heads {
            w.array(2).bytes(label).bytes(&head.encode());
        }
        w.finish()
    }

    /// Reads them in their one spelling.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let anchor = Anchor::decode(fields.required(0, Reader::bytes)?)?;
        let heads = fields.required(1, |r| {
            r.list(ANCHOR_CHANGES_MAX, |r| {
                r.array_of(2)?;
                Ok::<_, WireError>((r.fixed()?, AnchoredHead::decode(r.bytes()?)?))
            })
        })?;
        fields.end()?;
        reader.end()?;
        if heads.is_sorted_by(|(a, _): &(Hash, _), (b, _)| a < b) {
            Ok(Self { anchor, heads })
        } else {
            Err(WireError::NotCanonical)
        }
    }
}

/// The tree over all anchored heads, with the newest anchor.
#[derive(Debug, Default)]
pub struct AnchorTree {
    map: Map,
    heads: BTreeMap<Hash, AnchoredHead>,
    newest: Option<Anchor>,
}

impl AnchorTree {
    /// Returns the tree of an anchor with these heads, which were kept since it was made.
    pub fn of_anchor(newest: Option<Anchor>, heads: Vec<(Hash, AnchoredHead)>) -> Result<Self, AnchorFault> {
        let k = newest.as_ref().map_or(0, |anchor| anchor.k);
        let updates: Vec<(Hash, Hash)> = heads.iter().map(|(label, head)| (*label, head.hash())).collect();
        let map = Map::from_sorted(updates).map_err(|_| AnchorFault::Root { k })?;
        let root = newest.as_ref().map_or(translog::map::EMPTY, |anchor| anchor.root);
        if map.root() != root {
            return Err(AnchorFault::Root { k });
        }
        Ok(Self { map, heads: heads.into_iter().collect(), newest })
    }

    /// Returns the newest anchor.
    pub fn newest(&self) -> Option<&Anchor> {
        self.newest.as_ref()
    }

    /// Returns the number of the newest anchor; 0 is none.
    pub fn k(&self) -> u64 {
        self.newest.as_ref().map_or(0, |anchor| anchor.k)
    }

    /// Returns the tree itself.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Returns the tree itself, to keep roots of it.
    pub fn map_mut(&mut self) -> &mut Map {
        &mut self.map
    }

    /// Returns the newest head of a label.
    pub fn head(&self, label: &Hash) -> Option<&AnchoredHead> {
        self.heads.get(label)
    }

    /// Returns the anchor over these newer heads, `(label, size, root)`; those that are not larger than what is anchored are left out.
    pub fn next(&self, newer: impl IntoIterator<Item = (Hash, u64, Hash)>) -> Changes {
        let k = self.k() + 1;
        let heads: BTreeMap<Hash, AnchoredHead> = newer
            .into_iter()
            .filter(|(label, size, _)| self.head(label).map_or(0, |before| before.size) < *size)
            .map(|(label, size, root)| (label, AnchoredHead::grown(self.head(&label), size, root, k)))
            .collect();
        let updates: Vec<(Hash, Hash)> = heads.iter().map(|(label, head)| (*label, head.hash())).collect();
        let added = heads.keys().filter(|label| !self.heads.contains_key(*label)).count();
        let root = self.map.prepare(&updates).root();
        let logs = (self.heads.len() + added) as u64;
        let prev = self.newest.as_ref().map(Anchor::hash);
        Changes { anchor: Anchor { k, prev, root, logs }, heads: heads.into_iter().collect() }
    }

    /// Takes an anchor in. A fault changes nothing.
    pub fn apply(&mut self, changes: &Changes) -> Result<(), AnchorFault> {
        let anchor = &changes.anchor;
        let k = anchor.k;
        anchor.follows(self.newest.as_ref()).map_err(|_| AnchorFault::Chain { k })?;
        for (label, head) in &changes.heads {
            let before = self.head(label);
            let grows = before.map_or(0, |before| before.size) < head.size;
            if !grows || *head != AnchoredHead::grown(before, head.size, head.root, k) {
                return Err(AnchorFault::Head { k });
            }
        }
        let updates: Vec<(Hash, Hash)> = changes.heads.iter().map(|(label, head)| (*label, head.hash())).collect();
        let delta = self.map.prepare(&updates);
        let added = changes.heads.iter().filter(|(label, _)| !self.heads.contains_key(label)).count();
        if delta.root() != anchor.root || (self.heads.len() + added) as u64 != anchor.logs {
            return Err(AnchorFault::Root { k });
        }
        self.map.apply(delta).expect("the tree is the one it was prepared for");
        self.heads.extend(changes.heads.iter().copied());
        self.newest = Some(anchor.clone());
        Ok(())
    }
}

/// What shows how an anchor has a log: `{0 anchor, 1 head or null, 2 proof, 3 head, 4 [hash, ...], 5 [hash, ...]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchoredLog {
    /// 0: the anchor asked for.
    pub anchor: Anchor,
    /// 1: what stands in its tree at the log's label; nothing if no anchor has the log yet.
    pub anchored: Option<AnchoredHead>,
    /// 2: the proof of that (PROTOCOL 10.4).
    pub proof: MapProof,
    /// 3: the newest head of the log, signed now.
    pub head: SignedHead,
    /// 4: the consistency path from what is anchored to the newest head; empty if nothing is.
    pub grown: Vec<Hash>,
    /// 5: the consistency path from the size that was asked for; empty if none was.
    pub consistency: Vec<Hash>,
}

impl AnchoredLog {
    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(2_048);
        w.map(6).uint(0).bytes(&self.anchor.encode()).uint(1);
        match &self.anchored {
            Some(head) => w.bytes(&head.encode()),
            None => w.null(),
        };
        w.uint(2).bytes(&self.proof.encode()).uint(3).bytes(self.head.as_bytes());
        write_path(w.uint(4), &self.grown);
        write_path(w.uint(5), &self.consistency);
        w.finish()
    }

    /// Reads one.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let anchor = Anchor::decode(fields.required(0, Reader::bytes)?)?;
        let anchored = fields.required(1, |r| r.or_null(|r| AnchoredHead::decode(r.bytes()?)))?;
        let proof = MapProof::decode(fields.required(2, Reader::bytes)?, 1).map_err(|_| WireError::Unexpected)?;
        let head = SignedHead::decode(fields.required(3, Reader::bytes)?)?;
        let grown = fields.required(4, read_path)?;
        let consistency = fields.required(5, read_path)?;
        fields.end()?;
        reader.end()?;
        Ok(Self { anchor, anchored, proof, head, grown, consistency })
    }

    /// Returns whether the anchor's tree has at `label` what this says.
    pub fn is_anchored(&self, label: &Hash) -> bool {
        let claim = (*label, self.anchored.as_ref().map(AnchoredHead::hash));
        self.proof.verify(&[claim], &self.anchor.root).is_ok()
    }
}

#[cfg(test)]
mod tests;

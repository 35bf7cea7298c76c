//! Proofs made of a log's files, by whoever reads them where a server of files alone is asked.
//!
//! A conversation without I/O: a proof that lacks files names them ([`Lack::Files`]); the caller reads them, inserts them, and asks
//! again. Nothing read is believed: a proof made of wrong files does not lead to the signed root.

use std::collections::HashMap;

use crate::bundle;
use crate::hash::Hash;
use crate::limits::FAULT_LOG_BYTES_MAX;
use crate::note::Note;
use crate::proof_file::ProofFile;
use crate::tile::{BundleId, Tile, TileId};
use crate::tree::{Node, Plan, consistency_plan, inclusion_plan};

/// Bundles named at once: about as many as are worth reading side by side.
const NAMED_MAX: usize = 64;

/// Files of a log, by their path below its read prefix.
#[derive(Clone, Debug, Default)]
pub struct LogFiles {
    read: HashMap<String, Vec<u8>>,
    bytes: usize,
}

/// Why there is no proof yet, or none at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// These files are to be read first, below the read prefix.
    Files(Vec<String>),
    /// What was read are not the files of such a log, or it has no such place.
    Wrong,
    /// More than [`FAULT_LOG_BYTES_MAX`] would have to be read.
    TooMuch,
}

impl LogFiles {
    /// Returns no files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a file that was lacking.
    pub fn insert(&mut self, path: String, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        self.read.insert(path, bytes);
    }

    /// Returns the entries from the first up to the first one at `last` or behind that `ends`, of a log of `size` leaves.
    pub fn entries_until(&self, last: u64, size: u64, ends: impl Fn(&[u8]) -> bool) -> Result<Vec<Vec<u8>>, Lack> {
        let mut entries = Vec::new();
        let mut lacking = Vec::new();
        if self.bytes > FAULT_LOG_BYTES_MAX {
            return Err(Lack::TooMuch);
        }
        for number in 0..=size.saturating_sub(1) / 256 {
            let id = BundleId::of_entry(number * 256, size).map_err(|_| Lack::Wrong)?;
            let Some(bytes) = self.read.get(&id.to_string()) else {
                lacking.push(id.to_string());
                if lacking.len() == NAMED_MAX || number * 256 + 255 >= last {
                    return Err(Lack::Files(lacking));
                }
                continue;
            };
            if !lacking.is_empty() {
                continue;
            }
            for entry in bundle::decode(id, bytes).map_err(|_| Lack::Wrong)? {
                entries.push(entry.to_vec());
                if entries.len() as u64 > last && ends(entry) {
                    return Ok(entries);
                }
            }
        }
        if lacking.is_empty() { Ok(entries) } else { Err(Lack::Files(lacking)) }
    }

    /// Returns the proof of an entry under a checkpoint of `size` leaves.
    pub fn proof(&self, index: u64, checkpoint: &Note, size: u64) -> Result<ProofFile, Lack> {
        let id = BundleId::of_entry(index, size).map_err(|_| Lack::Wrong)?;
        let path = id.to_string();
        let bundle = self.read.get(&path).ok_or_else(|| Lack::Files(vec![path]))?;
        let entries = bundle::decode(id, bundle).map_err(|_| Lack::Wrong)?;
        let entry = usize::try_from(index % 256).ok().and_then(|place| entries.get(place)).ok_or(Lack::Wrong)?.to_vec();
        let path = self.fold(&inclusion_plan(index, size).map_err(|_| Lack::Wrong)?, size)?;
        Ok(ProofFile { extra: Some(entry), index, path, checkpoint: checkpoint.clone() })
    }

    /// Returns the proof that the tree of `to` leaves continues that of `from`; empty if they are of one size.
    pub fn consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, Lack> {
        match from == to {
            true => Ok(Vec::new()),
            false => self.fold(&consistency_plan(from, to).map_err(|_| Lack::Wrong)?, to),
        }
    }

    fn fold(&self, plan: &Plan, size: u64) -> Result<Vec<Hash>, Lack> {
        let mut lacking = Vec::new();
        let mut nodes = HashMap::new();
        for node in plan.nodes() {
            match self.node(node, size) {
                Ok(hash) => drop(nodes.insert(node, hash)),
                Err(Lack::Files(files)) => lacking.extend(files),
                Err(other) => return Err(other),
            }
        }
        lacking.sort();
        lacking.dedup();
        if !lacking.is_empty() {
            return Err(Lack::Files(lacking));
        }
        plan.fold(|node| nodes.get(&node).copied().ok_or(Lack::Wrong))
    }

    fn node(&self, node: Node, size: u64) -> Result<Hash, Lack> {
        let id = TileId::of_node(node, size).map_err(|_| Lack::Wrong)?;
        let path = id.to_string();
        let bytes = self.read.get(&path).ok_or_else(|| Lack::Files(vec![path]))?;
        Tile::decode(id, bytes).and_then(|tile| tile.node(node)).map_err(|_| Lack::Wrong)
    }
}

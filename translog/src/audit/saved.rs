//! An audit kept between two runs: everything replayed so far, closed by a hash over all of it (PROTOCOL 14.4).
//!
//! The file is the auditor's own and trusted as such; the hash finds damage, not malice.

use identity::did::Did;
use identity::hash::{Hash, sha256};
use identity::name::Origin;
use identity::rules;

use super::replay::{Packed, Replay};
use super::{Auditor, Level, Roots, Target};
use crate::entry::Epoch;
use crate::map::{LabelKind, Map};
use crate::tile::RightTiles;

const MAGIC: &[u8] = b"dgns.audit@v2\n";

/// The bytes are no saved audit, or a damaged one. Code `saved_audit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a saved audit, or a damaged one: erase it to begin anew")]
pub struct SavedError;

impl Auditor {
    /// Returns the bytes from which [`Auditor::resume`] goes on. Call it between batches of work, never while tiles wait.
    ///
    /// `None` while an audit stands inside a batch or has tiles to compare.
    pub fn save(&self) -> Option<Vec<u8>> {
        if self.batch_len > 0 || !self.expected.is_empty() {
            return None;
        }
        let mut out = MAGIC.to_vec();
        put_tree(&mut out, &self.log);
        put_tree(&mut out, &self.history);
        put_bytes(&mut out, &self.last_epoch.as_ref().map(|epoch| epoch.encode().to_vec()).unwrap_or_default());
        match &self.replay {
            None => out.push(Level::Tree as u8),
            Some(replay) => {
                out.push(replay.level as u8);
                put_replay(&mut out, replay);
            }
        }
        let digest = sha256(&[&out]);
        out.extend_from_slice(&digest);
        Some(out)
    }

    /// Returns an audit that stands where [`Auditor::save`] stood; [`Auditor::follow`] names the head to go on to.
    pub fn resume(origin: &Origin, bytes: &[u8]) -> Result<Self, SavedError> {
        let (body, digest) = bytes.split_last_chunk::<32>().ok_or(SavedError)?;
        if sha256(&[body]) != *digest {
            return Err(SavedError);
        }
        let mut from = Bytes(body.strip_prefix(MAGIC).ok_or(SavedError)?);
        let log = from.tree()?;
        let history = from.tree()?;
        let epoch = from.bytes()?;
        let last_epoch = match epoch.is_empty() {
            true => None,
            false => Some(Epoch::decode(epoch).map_err(|_| SavedError)?),
        };
        let level = match from.take(1)?[0] {
            0 => Level::Tree,
            1 => Level::Map,
            2 => Level::Full,
            _ => return Err(SavedError),
        };
        let target = Target { size: log.size(), root: log.root() };
        let mut auditor = Self::new(origin, level, target);
        if let Some(replay) = &mut auditor.replay {
            from.replay(replay)?;
        }
        if !from.0.is_empty() {
            return Err(SavedError);
        }
        auditor.ended = true;
        (auditor.log, auditor.history, auditor.last_epoch) = (log, history, last_epoch);
        Ok(auditor)
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn put_tree(out: &mut Vec<u8>, tree: &RightTiles) {
    out.extend_from_slice(&tree.size().to_be_bytes());
    let levels = tree.parts();
    out.extend_from_slice(&(levels.len() as u64).to_be_bytes());
    for level in levels {
        put_bytes(out, &level.concat());
    }
}

fn put_replay(out: &mut Vec<u8>, replay: &Replay) {
    put_bytes(out, replay.server.as_ref().map_or(&[], |did| did.as_bytes().as_slice()));
    put_bytes(out, &replay.repins.iter().flat_map(|index| index.to_be_bytes()).collect::<Vec<u8>>());
    out.extend_from_slice(&(replay.heads.len() as u64).to_be_bytes());
    for (size, root) in &replay.heads {
        out.extend_from_slice(&size.to_be_bytes());
        out.extend_from_slice(root);
    }
    out.extend_from_slice(&(replay.states.len() as u64).to_be_bytes());
    for (label, packed) in &replay.states {
        out.extend_from_slice(label);
        out.push(packed.kind as u8);
        out.extend_from_slice(&packed.head_index.to_be_bytes());
        out.extend_from_slice(&packed.head_hash);
        put_bytes(out, &packed.state);
    }
}

/// A reader that never goes past the end.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], SavedError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SavedError)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, SavedError> {
        Ok(u64::from_be_bytes(self.take(8)?.try_into().map_err(|_| SavedError)?))
    }

    fn hash(&mut self) -> Result<Hash, SavedError> {
        self.take(32)?.try_into().map_err(|_| SavedError)
    }

    fn bytes(&mut self) -> Result<&'a [u8], SavedError> {
        let count = usize::try_from(self.number()?).map_err(|_| SavedError)?;
        self.take(count)
    }

    fn tree(&mut self) -> Result<RightTiles, SavedError> {
        let size = self.number()?;
        let count = self.number()?;
        let mut levels = Vec::new();
        for _ in 0..count.min(64) {
            let hashes = self.bytes()?.chunks(32).map(Hash::try_from).collect::<Result<Vec<_>, _>>();
            levels.push(hashes.map_err(|_| SavedError)?);
        }
        RightTiles::from_parts(size, levels).map_err(|_| SavedError)
    }

    fn replay(&mut self, replay: &mut Replay) -> Result<(), SavedError> {
        let server = self.bytes()?;
        if !server.is_empty() {
            replay.server = Some(Did::from_bytes(server.try_into().map_err(|_| SavedError)?));
        }
        let repins = self.bytes()?.chunks(8).map(|index| index.try_into().map(u64::from_be_bytes));
        replay.repins = repins.collect::<Result<_, _>>().map_err(|_| SavedError)?;
        for _ in 0..self.number()? {
            replay.heads.insert(self.number()?, self.hash()?);
        }
        let mut rows = Vec::new();
        for _ in 0..self.number()? {
            let label = self.hash()?;
            let kind = match self.take(1)?[0] {
                1 => LabelKind::Name,
                2 => LabelKind::Did,
                4 => LabelKind::LogConf,
                5 => LabelKind::Anchors,
                _ => return Err(SavedError),
            };
            let (head_index, head_hash) = (self.number()?, self.hash()?);
            let packed = Packed { kind, head_index, head_hash, state: self.bytes()?.into() };
            let leaf = packed.try_leaf().ok_or(SavedError)?;
            rows.push((label, crate::map::commitment(&leaf)));
            if let Some(due_ms) = rules::due_ms(&leaf) {
                replay.dues.set(label, &leaf.state.subject(), Some(due_ms));
            }
            replay.states.insert(label, packed);
        }
        rows.sort_unstable();
        replay.roots = Some(Roots::of(Map::from_sorted(rows).map_err(|_| SavedError)?));
        Ok(())
    }
}

//! A log that cannot be right, shown from its first entry on: kind `map`.
//!
//! Nothing has to be believed but that a key signed a head, and nothing looked up: whoever checks replays the entries through the
//! rules and rebuilds the map. A shorter file could not say as much. A map root follows from the states before it, which the root
//! before proves, and from what falls due by its time; and that nothing else was due no proof of single labels can show. So a log
//! of more than [`FAULT_LOG_BYTES_MAX`] is convicted of a wrong map by auditors alone.

use identity::name::Origin;

use super::heads::path_of;
use super::{Conviction, FaultFile, FaultKind, NoConviction, Proved};
use crate::audit::{AuditFault, Auditor, Level, Target, Want};
use crate::bundle;
use crate::entry::{Entry, EntryError};
use crate::hash::{Hash, leaf_hash};
use crate::limits::FAULT_LOG_BYTES_MAX;
use crate::note::{Checkpoint, Note, VerifierKey};
use crate::tree::{Edge, verify_consistency};

impl FaultFile {
    /// Returns the file that a log makes, whole up to the end of a batch, if it convicts the log (kind `map`).
    ///
    /// `path` proves that the tree of `checkpoint` continues that of the entries; it is empty if they are of one size.
    pub fn of_log(log_keys: &[VerifierKey], entries: &[Vec<u8>], path: &[Hash], checkpoint: &Note) -> Option<Self> {
        let bytes: usize = entries.iter().map(|entry| 2 + entry.len()).sum();
        if bytes > FAULT_LOG_BYTES_MAX {
            return None;
        }
        let file = Self::new(FaultKind::Map, log_keys).with_part("second", checkpoint.to_string().as_bytes());
        let file = if path.is_empty() { file } else { file.with_part("path", path.as_flattened()) };
        let file = file.with_part("log", &bundle::encode(entries.iter().map(Vec::as_slice)));
        Some(file).filter(|file| file.check().is_ok())
    }

    /// The entries from the first on, in the tree of a signed head, replayed.
    pub(super) fn check_map(&self) -> Result<Conviction, NoConviction> {
        let note = self.part("second").and_then(|bytes| Note::parse(bytes).ok()).ok_or(NoConviction::Part)?;
        let signed = |key: &&VerifierKey| note.verify(core::slice::from_ref(*key)).is_ok();
        let key = self.log_keys().iter().find(signed).ok_or(NoConviction::Signature)?;
        let head = Checkpoint::parse(note.text()).ok().filter(|head| head.origin == key.name());
        let head = head.ok_or(NoConviction::Part)?;
        let origin = Origin::parse(key.name()).map_err(|_| NoConviction::Part)?;
        let path = path_of(self.part("path").unwrap_or_default()).ok_or(NoConviction::Part)?;
        let log = self.part("log").ok_or(NoConviction::Part)?;
        let entries: Vec<&[u8]> = bundle::entries(log).collect::<Result<_, _>>().map_err(|_| NoConviction::Part)?;
        let mut edge = Edge::new();
        entries.iter().for_each(|entry| edge.append(leaf_hash(entry)));
        let target = Target { size: edge.size(), root: edge.root() };
        if target.size == 0 {
            return Err(NoConviction::Part);
        }
        verify_consistency(target.size, &target.root, head.size, &head.root, &path).map_err(|_| NoConviction::Proof)?;
        let is_whole = target.size == head.size;
        let fault = first_fault(&origin, &entries, target).filter(|fault| is_certain(fault, &entries, is_whole));
        let proved = Proved::Fault(fault.ok_or(NoConviction::Consistent)?);
        Ok(Conviction { key: key.clone(), heads: vec![head], proved })
    }
}

/// Replays a log; every signature is checked strictly.
fn first_fault(origin: &Origin, entries: &[&[u8]], target: Target) -> Option<AuditFault> {
    let mut auditor = Auditor::new(origin, Level::Full, target);
    for bundle in entries.chunks(256) {
        while let Some(Want::Tile(..)) = auditor.wants(1).first() {
            if let Err(fault) = auditor.skip_tile() {
                return Some(fault);
            }
        }
        let wants = auditor.wants(1);
        let fed = auditor.feed(wants.first()?, &bundle::encode(bundle.iter().copied()));
        if let Err(fault) = auditor.take_checks().verify_singly().and(fed) {
            return Some(fault);
        }
        if let Some(fault) = auditor.suspicion() {
            return Some(fault.clone());
        }
    }
    None
}

/// Whether a fault is one in every version of the format: what is merely unknown here may be a later one's.
fn is_certain(fault: &AuditFault, entries: &[&[u8]], is_whole: bool) -> bool {
    match fault {
        AuditFault::Entry { code: "batch_too_long" | "first_batch", .. } => true,
        AuditFault::Entry { index, .. } => {
            let entry = usize::try_from(*index).ok().and_then(|index| entries.get(index));
            // A LogConf that reads as one, and does not continue the one before.
            let is_wrong = |entry| matches!(entry, Err(EntryError::Length | EntryError::Epoch) | Ok(Entry::LogConf(_)));
            entry.is_some_and(|entry| is_wrong(Entry::decode(entry)))
        }
        AuditFault::LastLeaf { .. } => is_whole,
        AuditFault::Refused { .. }
        | AuditFault::Signature { .. }
        | AuditFault::Seen { .. }
        | AuditFault::Epoch { .. }
        | AuditFault::MapRoot { .. } => true,
        _ => false,
    }
}

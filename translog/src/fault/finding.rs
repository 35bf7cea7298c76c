//! What an audit found, on its way to evidence: whether the log signed it, and the file that convicts by itself.

use identity::state::{State, Subject};

use super::{Accused, FaultFile, FaultKind};
use crate::audit::{AuditFault, Auditor};
use crate::entry::{Entry, EntryKind};
use crate::files::{Lack, LogFiles};
use crate::note::{Checkpoint, Note, VerifierKey};
use crate::tree::verify_consistency;

/// A fault, on the way to a signed head.
#[derive(Clone, Debug)]
pub struct Finding<'a> {
    /// The keys the log is trusted with.
    pub log_keys: &'a [VerifierKey],
    /// The fault.
    pub fault: &'a AuditFault,
    /// The signed checkpoint audited.
    pub checkpoint: &'a Note,
    /// The audit as it stands behind the fault, if it is one that keeps its own.
    pub auditor: Option<&'a Auditor>,
}

impl Finding<'_> {
    /// Returns whether the log signed what is at fault: the entries that were audited, the one at fault included, are in the tree of
    /// the checkpoint. If not, what was read may have been spoiled on its way, and reading it again may find nothing.
    pub fn is_signed(&self, files: &LogFiles) -> Result<bool, Lack> {
        if place(self.fault).is_none() {
            return Ok(matches!(self.fault, AuditFault::LastLeaf { .. }));
        }
        let (Some(auditor), Ok(head)) = (self.auditor, Checkpoint::parse(self.checkpoint.text())) else {
            return Ok(false);
        };
        let (size, root) = auditor.tree();
        if size > head.size {
            return Ok(false);
        }
        let path = files.consistency(size, head.size)?;
        Ok(verify_consistency(size, &root, head.size, &head.root, &path).is_ok())
    }

    /// Returns the file that convicts the log by itself, made of its files; `None` where nothing but an audit shows the fault.
    pub fn evidence(&self, files: &LogFiles) -> Result<Option<FaultFile>, Lack> {
        let Ok(head) = Checkpoint::parse(self.checkpoint.text()) else { return Ok(None) };
        if let Some(file) = self.of_entries(files, head.size)? {
            return Ok(Some(file));
        }
        let Some(index) = place(self.fault) else { return Ok(None) };
        let is_epoch = |entry: &[u8]| entry.first() == Some(&(EntryKind::Epoch as u8));
        let entries = match files.entries_until(index, head.size, is_epoch) {
            Err(Lack::TooMuch) => return Ok(None),
            read => read?,
        };
        let path = files.consistency(entries.len() as u64, head.size)?;
        Ok(FaultFile::of_log(self.log_keys, &entries, &path, self.checkpoint))
    }

    /// Returns the record of a fault for who audits the log (kind `audit`), with what places it: the proof of the entry.
    pub fn record(&self, files: &LogFiles) -> FaultFile {
        let file = FaultFile::new(FaultKind::Audit, self.log_keys)
            .with_part("code", self.fault.code().as_bytes())
            .with_part("fault", self.fault.to_string().as_bytes())
            .with_part("second", self.checkpoint.to_string().as_bytes());
        let size = Checkpoint::parse(self.checkpoint.text()).map_or(0, |head| head.size);
        let proof = place(self.fault).and_then(|index| files.proof(index, self.checkpoint, size).ok());
        match proof {
            Some(proof) => file.with_part("entry", proof.to_string().as_bytes()),
            None => file,
        }
    }

    /// What one entry shows, or two.
    fn of_entries(&self, files: &LogFiles, size: u64) -> Result<Option<FaultFile>, Lack> {
        let proof = |index| files.proof(index, self.checkpoint, size);
        let accused = match self.fault {
            AuditFault::LastLeaf { .. } if size == 0 => return Ok(None),
            AuditFault::LastLeaf { .. } => Accused::alone(proof(size - 1)?),
            AuditFault::Entry { index, .. } => Accused::alone(proof(*index)?),
            AuditFault::Epoch { index, .. } => {
                let alone = Accused::alone(proof(*index)?);
                if let Some(file) = FaultFile::of_entry(self.log_keys, &alone) {
                    return Ok(Some(file));
                }
                match self.auditor.and_then(Auditor::epoch) {
                    None => alone,
                    Some(before) => {
                        let history = self.auditor.and_then(Auditor::history_of_newest);
                        Accused { before: Some(proof(before.covers)?), history, ..alone }
                    }
                }
            }
            AuditFault::Refused { index, .. } => {
                let entry = proof(*index)?;
                match self.chain_head(&entry.extra.clone().unwrap_or_default()) {
                    None => return Ok(None),
                    Some(head) => Accused { before: Some(proof(head)?), ..Accused::alone(entry) },
                }
            }
            _ => return Ok(None),
        };
        Ok(FaultFile::of_entry(self.log_keys, &accused))
    }

    /// Where the chain of a certificate ended before it.
    fn chain_head(&self, entry: &[u8]) -> Option<u64> {
        let Ok(Entry::Certificate(certificate)) = Entry::decode(entry) else { return None };
        match self.auditor?.replay()?.leaf(&Subject::from(certificate.chain()))?.state {
            State::Did(did) => Some(did.head.index),
            State::Alias(alias) => Some(alias.head?.index),
            _ => None,
        }
    }
}

/// The log index of the entry that a fault is about; `None` if it is about files or heads.
fn place(fault: &AuditFault) -> Option<u64> {
    match fault {
        AuditFault::Entry { index, .. }
        | AuditFault::Refused { index, .. }
        | AuditFault::Signature { index, .. }
        | AuditFault::Seen { index, .. }
        | AuditFault::Epoch { index, .. }
        | AuditFault::MapRoot { index, .. } => Some(*index),
        _ => None,
    }
}

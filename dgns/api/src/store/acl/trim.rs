//! How far the logs of a database are trimmed: the bodies of their first entries are gone, and a snapshot stands for them (PROTOCOL 25.18).

use identity::did::Did;

use super::{Acl, AclRefusal};
use crate::store::entry::LogId;

/// How far a log is trimmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trim {
    /// The first entry that has its body; 0 of a log that was never trimmed.
    pub to: u64,
    /// The place of the snapshot that stands for the entries before it, not before `to`.
    pub snapshot: u64,
}

impl Acl {
    /// Returns how far a log is trimmed; `None` if it never was.
    pub fn trimmed(&self, log: &LogId) -> Option<Trim> {
        self.trims.get(log).copied()
    }

    /// Returns the first entry of a log that has its body.
    pub fn first(&self, log: &LogId) -> u64 {
        self.trimmed(log).map_or(0, |trim| trim.to)
    }

    /// Trims a log further than it was. That its snapshot stands where it says, whoever has the log sees.
    pub(super) fn trim(&mut self, author: &Did, log: &LogId, trim: Trim) -> Result<(), AclRefusal> {
        if !self.owners.is(author) {
            return Err(AclRefusal::NotAllowed);
        }
        if !self.logs.contains_key(log) {
            return Err(AclRefusal::Cuts);
        }
        if trim.to <= self.first(log) {
            return Err(AclRefusal::Said);
        }
        if trim.snapshot < trim.to {
            return Err(AclRefusal::TrimUnsafe);
        }
        self.trims.insert(*log, trim);
        Ok(())
    }
}

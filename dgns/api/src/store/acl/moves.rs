//! Databases that move to another server: which entries they have there, and where that is (PROTOCOL 25.17).

use identity::did::Did;
use identity::hash::Hash;

use super::{Acl, AclRefusal, Part};
use crate::store::entry::LogId;
use crate::store::limits::MOVES_MAX;
use crate::store::place::Place;

impl Acl {
    /// Returns where the database is, if its owners said that it moved; else it is where it was made.
    pub fn place(&self) -> Option<&Place> {
        self.places.last()
    }

    /// An owner is for another server; once half of them are it goes on there, with all that each log has then.
    pub(super) fn go(&mut self, author: &Did, to: &Place, heads: &[(LogId, u64, Hash)]) -> Result<(), AclRefusal> {
        if !self.owners.is(author) {
            return Err(AclRefusal::NotAllowed);
        }
        if !self.sources.is_empty() {
            return Err(AclRefusal::Stays);
        }
        if to.origin == self.home || self.places.iter().any(|place| place.server == to.server) {
            return Err(AclRefusal::Moved);
        }
        if self.places.len() >= MOVES_MAX {
            return Err(AclRefusal::Full);
        }
        if !self.logs.keys().eq(heads.iter().map(|(log, ..)| log)) {
            return Err(AclRefusal::Cuts);
        }
        let is_less = |(log, size, root): &(LogId, u64, Hash)| {
            self.parts(log).last().is_some_and(|part| *size < part.size || *size == part.size && *root != part.root)
        };
        if heads.iter().any(is_less) {
            return Err(AclRefusal::Cuts);
        }
        if !self.owners.go(author, to)? {
            return Ok(());
        }
        for (log, size, root) in heads.iter().filter(|(_, size, _)| *size > 0) {
            let parts = self.parts.entry(*log).or_default();
            if parts.last().is_none_or(|part| part.size < *size) {
                parts.push(Part { log: *log, size: *size, root: *root });
            }
        }
        self.places.push(to.clone());
        Ok(())
    }
}

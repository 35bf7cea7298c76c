//! The owners of a database: equals, who take in others by a majority, leave by themselves, and delete and move by half (PROTOCOL 25.12).

use std::collections::{BTreeMap, BTreeSet};

use identity::did::Did;

use super::AclRefusal;
use crate::store::control::Control;
use crate::store::entry::LogId;
use crate::store::limits::{OWNERS_MAX, VOICES_MAX};
use crate::store::place::Place;

/// What a database has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// It is read and written.
    Live = 1,
    /// Half of its owners are for deleting it: nothing is written to it until one of them takes that back.
    Deleting = 2,
    /// Its tombstone stands: nothing follows.
    Deleted = 3,
    /// It is at another server: nothing follows here.
    Moved = 4,
    /// It is on its way here: nothing is written to it, and nobody reads it, before the word of its owners that it moved is here.
    Arriving = 5,
}

impl Stage {
    /// Returns the stage with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Live),
            2 => Some(Self::Deleting),
            3 => Some(Self::Deleted),
            4 => Some(Self::Moved),
            5 => Some(Self::Arriving),
            _ => None,
        }
    }
}

/// The owners, and what they are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owners {
    all: BTreeSet<Did>,
    /// By who is to be an owner: who is for it.
    asked: BTreeMap<Did, BTreeSet<Did>>,
    /// Who is for deleting the database.
    deleting: BTreeSet<Did>,
    /// By owner: for which server it is.
    going: BTreeMap<Did, Place>,
    /// How many entries each log has for ever.
    tombstone: Option<BTreeMap<LogId, u64>>,
}

impl Owners {
    /// Begins with the database itself as its own owner.
    pub(super) fn of(did: Did) -> Self {
        let (asked, deleting, going) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { all: BTreeSet::from([did]), asked, deleting, going, tombstone: None }
    }

    /// Returns whether `did` is an owner.
    pub fn is(&self, did: &Did) -> bool {
        self.all.contains(did)
    }

    /// Returns them all, at least one.
    pub fn all(&self) -> &BTreeSet<Did> {
        &self.all
    }

    /// Returns who is to be an owner, each with the owners who are for it.
    pub fn asked(&self) -> &BTreeMap<Did, BTreeSet<Did>> {
        &self.asked
    }

    /// Returns the owners who are for deleting the database.
    pub fn deleting(&self) -> &BTreeSet<Did> {
        &self.deleting
    }

    /// Returns how many more owners have to be for deleting the database; 0: enough are.
    pub fn lacking(&self) -> usize {
        self.all.len().div_ceil(2).saturating_sub(self.deleting.len())
    }

    /// Returns how many more owners have to be for going on at a server; 0: whoever of them says so next moves the database.
    pub fn lacking_for(&self, to: &Place) -> usize {
        let voices = self.going.values().filter(|place| *place == to).count();
        self.all.len().div_ceil(2).saturating_sub(voices)
    }

    /// Returns how many entries each log has for ever, if the database is deleted.
    pub fn tombstone(&self) -> Option<&BTreeMap<LogId, u64>> {
        self.tombstone.as_ref()
    }

    /// Returns what the database has come to by its owners: live, deleting or deleted. Where it is, its server knows.
    pub fn stage(&self) -> Stage {
        match (&self.tombstone, self.lacking()) {
            (Some(_), _) => Stage::Deleted,
            (None, 0) => Stage::Deleting,
            (None, _) => Stage::Live,
        }
    }

    /// Refuses what may not be said any more, whoever says it.
    pub(super) fn admit(&self, control: &Control) -> Result<(), AclRefusal> {
        match (self.stage(), control) {
            (Stage::Live | Stage::Moved | Stage::Arriving, _)
            | (Stage::Deleting, Control::Delete { .. } | Control::Tombstone { .. } | Control::Fork { .. }) => Ok(()),
            (Stage::Deleting, _) => Err(AclRefusal::Deleting),
            (Stage::Deleted, _) => Err(AclRefusal::Deleted),
        }
    }

    /// An owner is for making `did` one, which it is once more than half are; or is not any more.
    pub(super) fn add(&mut self, author: &Did, did: Did, yes: bool) -> Result<(), AclRefusal> {
        self.owner(author)?;
        if self.is(&did) {
            return Err(AclRefusal::OwnerExists);
        }
        if self.asked.get(&did).is_some_and(|voices| voices.contains(author)) == yes {
            return Err(AclRefusal::Said);
        }
        if !yes {
            self.silence(author, |who| *who == did);
            return Ok(());
        }
        let said = self.asked.values().filter(|voices| voices.contains(author)).count();
        if self.all.len() >= OWNERS_MAX || said >= VOICES_MAX {
            return Err(AclRefusal::Full);
        }
        self.asked.entry(did).or_default().insert(*author);
        self.take_in();
        Ok(())
    }

    /// Makes owners of those for whom more than half are, ascending: each may make it too few for the next.
    fn take_in(&mut self) {
        let asked: Vec<Did> = self.asked.keys().copied().collect();
        for did in asked {
            if self.asked[&did].len() * 2 > self.all.len() && self.all.len() < OWNERS_MAX {
                self.asked.remove(&did);
                self.all.insert(did);
            }
        }
    }

    /// Takes back that an owner is for making some others owners.
    fn silence(&mut self, author: &Did, about: impl Fn(&Did) -> bool) {
        self.asked.retain(|who, voices| {
            if about(who) {
                voices.remove(author);
            }
            !voices.is_empty()
        });
    }

    /// An owner leaves, and what it was for. Of those who stay more than half may be for somebody by that, and half for deleting.
    pub(super) fn leave(&mut self, author: &Did) -> Result<(), AclRefusal> {
        self.owner(author)?;
        if self.all.len() == 1 {
            return Err(AclRefusal::LastOwner);
        }
        self.all.remove(author);
        self.deleting.remove(author);
        self.going.remove(author);
        self.silence(author, |_| true);
        self.take_in();
        Ok(())
    }

    /// An owner is for deleting the database, or is not any more.
    pub(super) fn delete(&mut self, author: &Did, yes: bool) -> Result<(), AclRefusal> {
        self.owner(author)?;
        let changes = if yes { self.deleting.insert(*author) } else { self.deleting.remove(author) };
        if changes { Ok(()) } else { Err(AclRefusal::Said) }
    }

    /// An owner is for going on at this server, and at no other; returns whether half of them are now, and begins anew if so.
    pub(super) fn go(&mut self, author: &Did, to: &Place) -> Result<bool, AclRefusal> {
        self.owner(author)?;
        let before = self.going.insert(*author, to.clone());
        match self.lacking_for(to) {
            0 => {
                self.going.clear();
                Ok(true)
            }
            _ if before.as_ref() == Some(to) => Err(AclRefusal::Said),
            _ => Ok(false),
        }
    }

    /// An owner says that enough are for it, and how far each of `logs` is.
    pub(super) fn end<'l>(
        &mut self,
        author: &Did,
        logs: impl Iterator<Item = &'l LogId>,
        ends: &[(LogId, u64)],
    ) -> Result<(), AclRefusal> {
        self.owner(author)?;
        if self.lacking() > 0 {
            return Err(AclRefusal::NoQuorum);
        }
        if !logs.eq(ends.iter().map(|(log, _)| log)) {
            return Err(AclRefusal::Cuts);
        }
        self.tombstone = Some(ends.iter().copied().collect());
        Ok(())
    }

    fn owner(&self, author: &Did) -> Result<(), AclRefusal> {
        if self.is(author) { Ok(()) } else { Err(AclRefusal::NotAllowed) }
    }
}

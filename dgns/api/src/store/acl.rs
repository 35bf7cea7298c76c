//! Who may do what in a database: the replay of its control log (PROTOCOL 25.6).
//!
//! The server that takes a control entry and the member that reads the log run the same judgement, so membership cannot be forged.

use std::collections::{BTreeMap, BTreeSet};

use identity::did::Did;
use identity::name::Origin;
use identity::sealed::Sealed;
use identity::token::Rights;

use super::control::{Control, DbKind, KeyBox};
use super::entry::{LogId, LogKind};
use super::limits::{GROUPS_MAX, LOGS_MAX, MEMBERS_MAX};

/// Why a control entry may not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AclRefusal {
    /// The control log does not begin with the genesis of its database, or has a second one. Code `bad_genesis`.
    #[error("a control log begins with the one genesis of its database, signed by a device of it")]
    Genesis,
    /// The author may not say this. Code `not_allowed`.
    #[error("only an owner of the database, or who may grant in the group, may say this")]
    NotAllowed,
    /// More rights than the author has, for longer, or taken from an equal. Code `grant_wider`.
    #[error("nobody gives more than they have")]
    Wider,
    /// The epoch is not the next one. Code `epoch_conflict`.
    #[error("another key of this group came first: the epoch has to be one more than the newest")]
    Epoch,
    /// The boxes are not one for each member. Code `bad_boxes`.
    #[error("the key of a group is sealed to each of its members and to nobody else")]
    Boxes,
    /// There is such a log. Code `log_exists`.
    #[error("there is a log of that name in this group")]
    LogExists,
    /// More groups, members or logs than a database has. Code `full`.
    #[error("a database has at most 256 groups of 1,000 members, and 256 logs")]
    Full,
}

impl AclRefusal {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Genesis => "bad_genesis",
            Self::NotAllowed => "not_allowed",
            Self::Wider => "grant_wider",
            Self::Epoch => "epoch_conflict",
            Self::Boxes => "bad_boxes",
            Self::LogExists => "log_exists",
            Self::Full => "full",
        }
    }
}

/// A group: its members and the epochs of its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// By DID: rights, and until when, Unix seconds.
    pub members: BTreeMap<Did, (Rights, u64)>,
    /// The boxes of each epoch with the key before it, the first first.
    pub epochs: Vec<(Vec<KeyBox>, Option<Sealed>)>,
    /// Whether somebody left since the newest epoch: whoever writes under it writes for them too.
    pub rekey_due: bool,
}

/// A database as its control log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    did: Did,
    kind: DbKind,
    home: Origin,
    salt: [u8; 16],
    groups: BTreeMap<u32, Group>,
    logs: BTreeMap<LogId, (u32, LogKind, String)>,
}

impl Acl {
    /// Begins with the genesis of the database whose control log is `log`.
    pub fn begin(log: &LogId, author: &Did, control: &Control) -> Result<Self, AclRefusal> {
        let Control::Genesis { did, kind, home, salt } = control else { return Err(AclRefusal::Genesis) };
        if did != author || *log != LogId::control(did) {
            return Err(AclRefusal::Genesis);
        }
        let (groups, logs) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { did: *did, kind: *kind, home: home.clone(), salt: *salt, groups, logs })
    }

    /// Applies what `author` said next, or refuses it and changes nothing.
    pub fn apply(&mut self, author: &Did, control: &Control) -> Result<(), AclRefusal> {
        match control {
            Control::Genesis { .. } => Err(AclRefusal::Genesis),
            Control::Grant { gid, did, rights, until_s } => self.grant(author, *gid, *did, (*rights, *until_s)),
            Control::Revoke { gid, did } => self.revoke(author, *gid, did),
            Control::KeyEpoch { gid, epoch, boxes, previous } => {
                self.turn(author, *gid, *epoch, (boxes.clone(), previous.clone()))
            }
            Control::Log { gid, kind, label } => self.log(author, *gid, *kind, label),
        }
    }

    /// Returns the DID of the database.
    pub fn did(&self) -> &Did {
        &self.did
    }

    /// Returns what it is.
    pub fn kind(&self) -> DbKind {
        self.kind
    }

    /// Returns the origin that its signatures hold for.
    pub fn home(&self) -> &Origin {
        &self.home
    }

    /// Returns its salt.
    pub fn salt(&self) -> &[u8; 16] {
        &self.salt
    }

    /// Returns its groups by number.
    pub fn groups(&self) -> &BTreeMap<u32, Group> {
        &self.groups
    }

    /// Returns its logs, each with its group, kind and label.
    pub fn logs(&self) -> &BTreeMap<LogId, (u32, LogKind, String)> {
        &self.logs
    }

    /// Returns the log of a label in the group that has the lowest number.
    pub fn log_of(&self, label: &str) -> Option<(LogId, u32)> {
        let named = self.logs.iter().filter(|(_, (_, _, name))| name == label);
        named.map(|(id, (gid, _, _))| (*id, *gid)).min_by_key(|(_, gid)| *gid)
    }

    /// Returns whether `did` has a right in a group now; an owner has every one.
    pub fn may(&self, did: &Did, gid: u32, right: Rights, now_s: u64) -> bool {
        let member = self.groups.get(&gid).and_then(|group| group.members.get(did));
        *did == self.did || member.is_some_and(|(rights, until_s)| rights.include(right) && now_s < *until_s)
    }

    /// Returns what the author may hand on in a group; an owner everything, for ever.
    fn of_author(&self, author: &Did, gid: u32) -> Result<(Rights, u64), AclRefusal> {
        if *author == self.did {
            return Ok((Rights::ALL, u64::MAX));
        }
        let member = self.groups.get(&gid).and_then(|group| group.members.get(author));
        member.copied().filter(|(rights, _)| rights.include(Rights::GRANT)).ok_or(AclRefusal::NotAllowed)
    }

    fn grant(&mut self, author: &Did, gid: u32, did: Did, given: (Rights, u64)) -> Result<(), AclRefusal> {
        let (rights, until_s) = self.of_author(author, gid)?;
        if !rights.include(given.0) || given.1 > until_s {
            return Err(AclRefusal::Wider);
        }
        let groups = self.groups.len();
        let group = self.groups.get(&gid);
        if group.is_none() && groups >= GROUPS_MAX || group.is_some_and(|group| group.is_full_for(&did)) {
            return Err(AclRefusal::Full);
        }
        self.groups.entry(gid).or_default().members.insert(did, given);
        Ok(())
    }

    fn revoke(&mut self, author: &Did, gid: u32, did: &Did) -> Result<(), AclRefusal> {
        // Everybody may go.
        let (rights, until_s) = if author == did { (Rights::ALL, u64::MAX) } else { self.of_author(author, gid)? };
        let group = self.groups.get_mut(&gid).ok_or(AclRefusal::NotAllowed)?;
        let (theirs, theirs_until_s) = group.members.get(did).ok_or(AclRefusal::NotAllowed)?;
        if !rights.include(*theirs) || *theirs_until_s > until_s {
            return Err(AclRefusal::Wider);
        }
        group.members.remove(did);
        group.rekey_due = true;
        Ok(())
    }

    fn turn(
        &mut self,
        author: &Did,
        gid: u32,
        epoch: u64,
        keys: (Vec<KeyBox>, Option<Sealed>),
    ) -> Result<(), AclRefusal> {
        self.of_author(author, gid)?;
        let group = self.groups.get_mut(&gid).ok_or(AclRefusal::NotAllowed)?;
        if epoch != group.epochs.len() as u64 + 1 {
            return Err(AclRefusal::Epoch);
        }
        let sealed: BTreeSet<&Did> = keys.0.iter().map(|row| &row.did).collect();
        if !sealed.iter().copied().eq(group.members.keys()) {
            return Err(AclRefusal::Boxes);
        }
        group.epochs.push(keys);
        group.rekey_due = false;
        Ok(())
    }

    fn log(&mut self, author: &Did, gid: u32, kind: LogKind, label: &str) -> Result<(), AclRefusal> {
        self.of_author(author, gid)?;
        if !self.groups.contains_key(&gid) {
            return Err(AclRefusal::NotAllowed);
        }
        let id = LogId::of(&self.did, gid, kind, label);
        if self.logs.contains_key(&id) {
            return Err(AclRefusal::LogExists);
        }
        if self.logs.len() >= LOGS_MAX {
            return Err(AclRefusal::Full);
        }
        self.logs.insert(id, (gid, kind, label.to_owned()));
        Ok(())
    }
}

impl Group {
    fn is_full_for(&self, did: &Did) -> bool {
        self.members.len() >= MEMBERS_MAX && !self.members.contains_key(did)
    }
}

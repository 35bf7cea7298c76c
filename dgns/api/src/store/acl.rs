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
use super::place::Place;

mod fork;
mod moves;
mod owners;
mod profile;
mod subscription;
mod trim;

pub use fork::Part;
use fork::Source;
pub use owners::{Owners, Stage};
pub use trim::Trim;

/// Why a control entry may not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AclRefusal {
    /// The control log does not begin with the genesis of its database, or has a second one. Code `bad_genesis`.
    #[error("a control log begins with the one genesis of its database, signed by a device of it")]
    Genesis,
    /// The author may not say this. Code `not_allowed`.
    #[error("only an owner of the database, or who may grant in the group, may say this")]
    NotAllowed,
    /// More rights than the author has, for longer, or taken from who has more or has it for longer. Code `grant_wider`.
    #[error("nobody gives more than they have")]
    Wider,
    /// Fewer rights than the member has, or for a shorter time: a revoke takes them, and says what stands. Code `grant_narrower`.
    #[error("a grant takes nothing away: revoke the member, then grant what is left")]
    Narrower,
    /// Not what is said of each log that it is said of, or beyond what the log has. Code `bad_cuts`.
    #[error(
        "a revoke says for each log of the group how many of its entries stand, and of no other log; what is trimmed is a log of data of the database"
    )]
    Cuts,
    /// The epoch is not the next one. Code `epoch_conflict`.
    #[error("another key of this group came first: the epoch has to be one more than the newest")]
    Epoch,
    /// The boxes are not one for each member. Code `bad_boxes`.
    #[error("the key of a group is sealed to each of its members and to nobody else")]
    Boxes,
    /// There is such a log. Code `log_exists`.
    #[error("there is a log of that name in this group")]
    LogExists,
    /// More groups, members, logs or owners than a database has, or more for whom an owner is. Code `full`.
    #[error(
        "a database has at most 256 groups of 1,000 members, 256 logs, and 64 owners, each of whom is for 16 others at a time"
    )]
    Full,
    /// It is one already. Code `owner_exists`.
    #[error("this is an owner of the database already")]
    OwnerExists,
    /// Nothing would change. Code `said`.
    #[error("the owner is for this already, or was not")]
    Said,
    /// Nobody else would be left. Code `last_owner`.
    #[error("the last owner of a database does not leave it: make somebody else one first, or delete it")]
    LastOwner,
    /// Fewer than half of the owners are for it. Code `no_quorum`.
    #[error("a database is deleted when half of its owners are for it")]
    NoQuorum,
    /// There is no snapshot in the log that could stand for what would go. Code `trim_unsafe`.
    #[error(
        "a log is trimmed before a snapshot of it that stays, and whatever goes on from a trimmed log has that snapshot"
    )]
    TrimUnsafe,
    /// Half of the owners are for deleting the database. Code `deleting`.
    #[error(
        "half of the owners are for deleting the database: until one of them takes that back nothing is written to it"
    )]
    Deleting,
    /// The tombstone stands. Code `deleted`.
    #[error("the database is deleted: its control log ends with the tombstone")]
    Deleted,
    /// It is at another server, or was at this one before. Code `moved`.
    #[error(
        "the database moved to another server, as the end of its control log here says; it comes back to none that it was at"
    )]
    Moved,
    /// A profile is written by the devices of one person. Code `single_writer`.
    #[error("a profile is of one person, whose devices alone write it: others are let in to read")]
    SingleWriter,
    /// What a subscription database has is apart for each user: there is no group. Code `no_groups`.
    #[error("a subscription database has a partition a user, and no groups or logs besides")]
    NoGroups,
    /// It goes on from entries of another database, or its users are those of its server. Code `stays`.
    #[error("a fork stays where the entries are that it goes on from, and a subscription database where its users are")]
    Stays,
}

impl AclRefusal {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Genesis => "bad_genesis",
            Self::NotAllowed => "not_allowed",
            Self::Wider => "grant_wider",
            Self::Narrower => "grant_narrower",
            Self::Cuts => "bad_cuts",
            Self::Epoch => "epoch_conflict",
            Self::Boxes => "bad_boxes",
            Self::LogExists => "log_exists",
            Self::Full => "full",
            Self::OwnerExists => "owner_exists",
            Self::Said => "said",
            Self::LastOwner => "last_owner",
            Self::NoQuorum => "no_quorum",
            Self::TrimUnsafe => "trim_unsafe",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Moved => "moved",
            Self::SingleWriter => "single_writer",
            Self::NoGroups => "no_groups",
            Self::Stays => "stays",
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
    /// By DID: when each could write, the first time first.
    terms: BTreeMap<Did, Vec<Term>>,
}

/// A time in which somebody could write.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    /// The epoch of the key when it began.
    since: u64,
    /// The epoch of the key when it ended, and what stands of each log.
    ended: Option<(u64, BTreeMap<LogId, u64>)>,
}

/// What an entry of a log of data is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its author could write there under this key.
    Counts,
    /// Its author could, and was revoked: the revoke says that the entries from here on do not stand.
    Void,
    /// Its author never could under this key: no server takes such an entry that keeps to what was said.
    Forged,
}

/// A database as its control log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    did: Did,
    kind: DbKind,
    home: Origin,
    salt: [u8; 16],
    /// Of a profile: whose it is, once that is said.
    person: Option<Did>,
    owners: Owners,
    groups: BTreeMap<u32, Group>,
    logs: BTreeMap<LogId, (u32, LogKind, String)>,
    /// By log: how far it is trimmed.
    trims: BTreeMap<LogId, Trim>,
    /// The databases that this one goes on from, the first first.
    sources: Vec<Source>,
    /// By log: the parts that were appended to others, or elsewhere.
    parts: BTreeMap<LogId, Vec<Part>>,
    /// The servers that it moved to, the newest last.
    places: Vec<Place>,
    /// Whether the database itself spoke.
    begun: bool,
}

impl Acl {
    /// Begins with the genesis of the database whose control log is `log`.
    pub fn begin(log: &LogId, author: &Did, control: &Control) -> Result<Self, AclRefusal> {
        let Control::Genesis { did, kind, home, salt } = control else { return Err(AclRefusal::Genesis) };
        if did != author || *log != LogId::control(did) {
            return Err(AclRefusal::Genesis);
        }
        let (groups, logs, trims) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (sources, parts, places) = (Vec::new(), BTreeMap::new(), Vec::new());
        let (kind, home, person, owners, begun) = (*kind, home.clone(), None, Owners::of(*did), true);
        let (did, salt) = (*did, *salt);
        Ok(Self { did, kind, home, salt, person, owners, groups, logs, trims, sources, parts, places, begun })
    }

    /// Applies what `author` said next, or refuses it and changes nothing.
    pub fn apply(&mut self, author: &Did, control: &Control) -> Result<(), AclRefusal> {
        self.owners.admit(control)?;
        if !self.begun && *author != self.did {
            return Err(AclRefusal::Genesis);
        }
        self.is_single(control)?;
        self.is_apart(control)?;
        self.say(author, control)?;
        self.name_person(control);
        self.begun |= *author == self.did;
        Ok(())
    }

    /// Returns the control log in which a statement about this database stands next: a fork's is that of the new one.
    pub fn control_of(&self, control: &Control) -> LogId {
        LogId::control(if let Control::Fork { did, .. } = control { did } else { &self.did })
    }

    fn say(&mut self, author: &Did, control: &Control) -> Result<(), AclRefusal> {
        match control {
            Control::Genesis { .. } => Err(AclRefusal::Genesis),
            Control::Grant { gid, did, rights, until_s } => self.grant(author, *gid, *did, (*rights, *until_s)),
            Control::Revoke { gid, did, cuts } => self.revoke(author, *gid, did, cuts),
            Control::KeyEpoch { gid, epoch, boxes, previous } => {
                self.turn(author, *gid, *epoch, (boxes.clone(), previous.clone()))
            }
            Control::Trim { log, to, snapshot } => self.trim(author, log, Trim { to: *to, snapshot: *snapshot }),
            Control::Log { gid, kind, label } => self.log(author, *gid, *kind, label),
            Control::Moved { to, heads } => self.go(author, to, heads),
            Control::Owner { did, yes } => self.owners.add(author, *did, *yes),
            Control::Leave => self.owners.leave(author),
            Control::Delete { yes } => self.owners.delete(author, *yes),
            Control::Tombstone { ends } => self.owners.end(author, self.logs.keys(), ends),
            Control::Fork { source, did, salt, base } => self.fork(author, (source, did), salt, base),
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

    /// Returns its owners, and what they are for.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Returns its groups by number.
    pub fn groups(&self) -> &BTreeMap<u32, Group> {
        &self.groups
    }

    /// Returns its logs, each with its group, kind and label.
    pub fn logs(&self) -> &BTreeMap<LogId, (u32, LogKind, String)> {
        &self.logs
    }

    /// Returns the log of a label, and its group.
    pub fn log_of(&self, label: &str) -> Option<(LogId, u32)> {
        let named = self.logs.iter().find(|(_, (_, kind, name))| *kind == LogKind::Shared && name == label);
        named.map(|(id, (gid, _, _))| (*id, *gid))
    }

    /// Returns whether `did` has a right in a group now; an owner has every one.
    pub fn may(&self, did: &Did, gid: u32, right: Rights, now_s: u64) -> bool {
        let member = self.groups.get(&gid).and_then(|group| group.members.get(did));
        self.owners.is(did) || member.is_some_and(|(rights, until_s)| rights.include(right) && now_s < *until_s)
    }

    /// Returns the logs of a group.
    pub fn logs_of(&self, gid: u32) -> impl Iterator<Item = &LogId> {
        self.logs.iter().filter(move |(_, (of, _, _))| *of == gid).map(|(log, _)| log)
    }

    /// Judges the entry at place `pos` of a log of data, which `author` wrote under the key of `epoch`. Until when a member is one is
    /// the server's to know: the time of an entry is nowhere proved.
    pub fn standing(&self, log: &LogId, pos: u64, author: &Did, epoch: u64) -> Standing {
        let (of, log) = (log, &self.here(log));
        let Some((gid, kind, label)) = self.logs.get(log) else { return Standing::Forged };
        let Some(group) = self.groups.get(gid).filter(|group| epoch >= 1 && epoch <= group.epochs.len() as u64) else {
            return Standing::Forged;
        };
        // A database writes in its own logs alone: in those that go on from them it is nobody.
        let mut dids = self.sources.iter().map(|source| &source.did).chain([&self.did]);
        let itself = self.kind != DbKind::Profile;
        if itself && dids.any(|did| did == author && LogId::of(did, *gid, *kind, label) == *of) {
            return Standing::Counts;
        }
        let standing = |term: &Term| match &term.ended {
            _ if epoch < term.since => Standing::Forged,
            None => Standing::Counts,
            Some((until, _)) if epoch > *until => Standing::Forged,
            Some((_, cuts)) if cuts.get(log).is_some_and(|size| pos < *size) => Standing::Counts,
            Some(_) => Standing::Void,
        };
        let each = group.terms.get(author).into_iter().flatten().map(standing);
        each.fold(Standing::Forged, |best, next| match (best, next) {
            (Standing::Counts, _) | (_, Standing::Counts) => Standing::Counts,
            (Standing::Void, _) | (_, Standing::Void) => Standing::Void,
            _ => Standing::Forged,
        })
    }

    /// Returns what the author may hand on in a group; an owner everything, for ever.
    fn of_author(&self, author: &Did, gid: u32) -> Result<(Rights, u64), AclRefusal> {
        if self.owners.is(author) {
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
        let had = group.and_then(|group| group.members.get(&did));
        if had.is_some_and(|(rights, until_s)| !given.0.include(*rights) || given.1 < *until_s) {
            return Err(AclRefusal::Narrower);
        }
        let group = self.groups.entry(gid).or_default();
        group.members.insert(did, given);
        let terms = group.terms.entry(did).or_default();
        if given.0.include(Rights::WRITE) && terms.last().is_none_or(|term| term.ended.is_some()) {
            terms.push(Term { since: group.epochs.len() as u64, ended: None });
        }
        Ok(())
    }

    fn revoke(&mut self, author: &Did, gid: u32, did: &Did, cuts: &[(LogId, u64)]) -> Result<(), AclRefusal> {
        // Everybody may go.
        let (rights, until_s) = if author == did { (Rights::ALL, u64::MAX) } else { self.of_author(author, gid)? };
        let named = self.logs_of(gid).eq(cuts.iter().map(|(log, _)| log));
        let group = self.groups.get_mut(&gid).ok_or(AclRefusal::NotAllowed)?;
        let (theirs, theirs_until_s) = group.members.get(did).ok_or(AclRefusal::NotAllowed)?;
        if !rights.include(*theirs) || *theirs_until_s > until_s {
            return Err(AclRefusal::Wider);
        }
        if !named {
            return Err(AclRefusal::Cuts);
        }
        group.members.remove(did);
        group.rekey_due = true;
        let epoch = group.epochs.len() as u64;
        if let Some(open) =
            group.terms.get_mut(did).and_then(|terms| terms.last_mut()).filter(|last| last.ended.is_none())
        {
            open.ended = Some((epoch, cuts.iter().copied().collect()));
        }
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
        // A label names one log, whoever may begin others.
        if self.logs.values().any(|(_, of, known)| *of == kind && known == label) {
            return Err(AclRefusal::LogExists);
        }
        let id = LogId::of(&self.did, gid, kind, label);
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

#[cfg(test)]
mod vectors;

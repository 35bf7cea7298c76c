//! The rows that cross the border of the tables of databases.

use dgns_api::store::acl::Stage;
use dgns_api::store::content::ContentId;
use dgns_api::store::control::DbKind;
use dgns_api::store::entry::{LogId, LogKind};
use identity::did::Did;
use identity::hash::Hash;
use identity::name::Origin;
use translog::tree::Edge;

use super::line::Line;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    pub(crate) id: i64,
    /// Who pays.
    pub did: Did,
    /// What it may use, bytes.
    pub quota_bytes: u64,
    /// What it uses.
    pub used_bytes: u64,
    /// What it may use, entries.
    pub quota_entries: u64,
    /// What it uses.
    pub used_entries: u64,
    /// Until when it is paid for, Unix milliseconds.
    pub lease_until_ms: u64,
    /// What was said of its databases since then, bytes.
    pub(crate) lapsed_bytes: u64,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DbRow {
    pub(crate) id: i64,
    /// Its DID.
    pub did: Did,
    pub(crate) account: i64,
    /// What it is.
    pub kind: DbKind,
    /// When it was made, Unix milliseconds.
    pub created_ms: u64,
    /// What it has come to.
    pub stage: Stage,
    /// Whether its data is gone, since nobody paid.
    pub dropped: Dropped,
    /// The log of names whose people write it, if that is not this server's: it was made there.
    pub home: Option<Origin>,
}

impl DbRow {
    /// Returns whether `did` is the database itself and may append data as such: what is of one person no other writes.
    pub(crate) fn writes_itself(&self, did: &Did) -> bool {
        self.did == *did && self.kind != DbKind::Profile
    }
}

/// Whether the data of a database is gone, since nobody paid for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It is there.
    No = 0,
    /// Nobody reads it any more, and its bodies go.
    Going = 1,
    /// They are gone.
    Gone = 2,
    /// It is paid for again: what came before [`LogRow::dropped_to`] stays gone.
    PaidAgain = 3,
}

impl Dropped {
    /// Returns whether nobody reads or writes it.
    pub fn is_now(self) -> bool {
        matches!(self, Self::Going | Self::Gone)
    }
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    pub(crate) id: i64,
    /// Where its entries lie.
    pub(crate) line: Line,
    /// Its name.
    pub key: LogId,
    pub(crate) db: i64,
    /// The group whose members read and write it; 0 for the control log.
    pub gid: u32,
    /// What it is for.
    pub kind: LogKind,
    /// What it is called.
    pub label: String,
    /// The right edge of its tree.
    pub edge: Edge,
    /// When its newest commit was, Unix milliseconds.
    pub time_ms: u64,
    /// The first entry that it has not let go of: nobody paid for those before, or they were trimmed.
    pub dropped_to: u64,
    /// The first entry that its owners left its body: those before go, if they are not gone.
    pub trimmed_to: u64,
}

/// A log that grew since it was anchored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrownLog {
    pub(crate) id: i64,
    /// Its label in the tree of the anchors.
    pub label: Hash,
    /// How many entries it has.
    pub size: u64,
    /// Their root.
    pub root: Hash,
}

/// An entry as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    /// What was signed.
    pub header: Vec<u8>,
    /// The signature.
    pub sig: [u8; 64],
    /// The body.
    pub body: Vec<u8>,
}

/// Where an entry lies, and what acknowledged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacedRow {
    pub(crate) pos: u64,
    pub(crate) leaf: Hash,
    pub(crate) head_size: u64,
    pub(crate) time_ms: u64,
    /// Header and signature, unless they lie in a segment.
    pub(crate) signed: Option<Signed>,
}

/// Header and signature of an entry.
pub(crate) type Signed = (Vec<u8>, [u8; 64]);

/// A run of entries of a row of logs that lie in one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentRow {
    pub(crate) log: i64,
    /// The place of the first one.
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// How often those in it were merged.
    pub(crate) level: u64,
    /// Of the object.
    pub(crate) bytes: u64,
    /// Of bodies in it that were dropped since.
    pub(crate) dead: u64,
    /// The object.
    pub(crate) chunk: ContentId,
}

impl SegmentRow {
    /// Returns the place behind the last entry.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.count
    }
}

/// Two entries of one device at one place: header and signature of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EquivocationRow {
    /// The one in the log.
    pub a: (Vec<u8>, [u8; 64]),
    /// The other.
    pub b: (Vec<u8>, [u8; 64]),
}

/// A chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRow {
    pub(crate) size: u64,
    /// The bytes of a small one.
    pub(crate) body: Option<Vec<u8>>,
    /// Which writing of its object has them, if it is a large one.
    pub(crate) writing: u64,
}

/// What a chunk is kept for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UseRow {
    pub(crate) account: i64,
    /// Whose entries may name it; 0: files of the account.
    pub(crate) db: i64,
    pub(crate) chunk: ContentId,
    pub(crate) size: u64,
    /// How many entries or files name it.
    pub(crate) refs: u64,
    pub(crate) since_ms: u64,
    /// Since when it is to go; 0: it is not.
    pub(crate) marked_ms: u64,
}

impl UseRow {
    /// Keeps it for longer: somebody stored it, asked for it or named it.
    pub(crate) fn touch(&mut self, now_ms: u64) {
        (self.since_ms, self.marked_ms) = (self.since_ms.max(now_ms), 0);
    }
}

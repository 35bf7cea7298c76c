//! What is asked of the writer, and what it answers.

use dgns_api::store::acl::AclRefusal;
use dgns_api::store::content::ContentId;
use dgns_api::store::entry::{Entry, LogId, LogKind};
use dgns_api::store::partition;
use identity::did::Did;
use identity::hash::Hash;
use identity::name::Origin;
use identity::wire::WireError;

use crate::fault::StorageError;

/// Entries of one log, to be appended all or none. Signatures and devices were checked before.
#[derive(Clone, Debug)]
pub struct Append {
    /// At least one; all of one log.
    pub entries: Vec<Entry>,
    /// The time, Unix milliseconds.
    pub now_ms: u64,
    /// Who pays for the database, if this may make one.
    pub payer: Option<Did>,
    /// The log of names whose people say and write this, if that is not this server's: those of no other count for the database.
    pub home: Option<Origin>,
    /// Set if these are entries of a database that is on its way here.
    pub arrives: Option<Arrives>,
    /// Set if these are entries of the partition of a user, and of no other log.
    pub partition: Option<Partition>,
}

/// Which log of whose partition entries are for. It begins with the first of them.
#[derive(Clone, Copy, Debug)]
pub struct Partition {
    /// The subscription database.
    pub db: Did,
    /// Whose.
    pub user: Did,
    /// Proofs or invitations.
    pub kind: LogKind,
    /// Whether the membership that an entry proves, if it proves one, was found to hold. What is there already is acknowledged whatever was found since.
    pub holds: bool,
}

impl Partition {
    /// Returns the log.
    pub fn log(&self) -> LogId {
        partition::log_of(&self.db, &self.user, self.kind)
    }
}

/// Entries of a database that is on its way here: they stand here as they stood where it was, and whether their authors could write them,
/// readers judge.
#[derive(Clone, Copy, Debug)]
pub struct Arrives {
    /// The DID of this server.
    pub here: Did,
    /// Size and root that the control log is proved to have with these; `None` for another log.
    pub proved: Option<(u64, Hash)>,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its place in the log.
    pub pos: u64,
    /// The size of the log after the commit that added it.
    pub head_size: u64,
    /// When that was, Unix milliseconds.
    pub time_ms: u64,
}

/// The entries are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The log.
    pub log: LogId,
    /// Where each is.
    pub placed: Vec<Placed>,
}

/// Why nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendRefusal {
    /// There is no such log. Code `not_found`.
    #[error("there is no such log here")]
    NotFound,
    /// The author may not write here. Code `not_writer`.
    #[error("the author may not write to this log")]
    NotWriter,
    /// The class of the entry is not that of the log. Code `bad_field`.
    #[error("control entries go into the control log, and nothing else does")]
    Class,
    /// The body is none that stands in such a log. Codes of the decoder.
    #[error("the body is none that stands in such a log: {0}")]
    Control(#[from] WireError),
    /// The control log does not allow it. Codes of its own.
    #[error(transparent)]
    Acl(#[from] AclRefusal),
    /// What should prove something in a partition does not, or not there. Code `bad_proof`.
    #[error(
        "a partition begins with its salt, and then has grants to its user that stand in the control log of their database"
    )]
    Proof,
    /// The person sent as many invitations as they may in an hour. Code `rate`.
    #[error("at most 20 invitations an hour from one person")]
    Rate {
        /// When the next one is taken, milliseconds from now.
        retry_ms: u64,
    },
    /// Sealed under a key of the group that is not the newest. Code `epoch_conflict`.
    #[error("the key of the group is of epoch {newest} by now")]
    Epoch {
        /// The newest.
        newest: u64,
    },
    /// The lsn is not the next one, or the entry does not name the one before it. Code `lsn_gap`.
    #[error("the next entry of this device has lsn {expected}, and names the leaf of the one before")]
    Gap {
        /// The lsn of the next one.
        expected: u64,
        /// The leaf of the one before, if there is one.
        prev: Option<Hash>,
    },
    /// Another entry of this device has this lsn; both are kept as proof. Code `lsn_conflict`.
    #[error("this device signed another entry with lsn {lsn}, which is in the log: both are kept as proof")]
    Conflict {
        /// The lsn.
        lsn: u64,
    },
    /// The head is not the one that the entry must follow. Code `head_mismatch`.
    #[error("the log has {size} entries by now, or others than the entry must follow")]
    Head {
        /// The size.
        size: u64,
        /// The root.
        root: Hash,
    },
    /// Chunks that the entry names are not there for the entries of its database. Code `chunk_missing`.
    #[error("{} of the chunks that the entry names are not there; store them for this log and send the same bytes again", ids.len())]
    ChunkMissing {
        /// Which, ascending.
        ids: Vec<ContentId>,
    },
    /// The account is full. Code `quota`.
    #[error("the account of this database is full")]
    Quota,
    /// The lease of the account is over. Code `lease_lapsed`.
    #[error("the lease of this database's account is over: it is read only")]
    LeaseLapsed,
    /// Nobody paid for the database, and its data is gone. Code `dropped`.
    #[error("this server says that nobody paid for this database, and that its data was deleted")]
    Dropped,
    /// It is on its way here. Code `arriving`.
    #[error("the database is on its way here: its owner goes on with dgns db move")]
    Arriving,
    /// It is here, or was. Code `arrived`.
    #[error("the database is here already, or was once: it does not arrive")]
    Arrived,
    /// Too many appends wait. Code `busy`.
    #[error("too many appends wait; send the same bytes again")]
    Busy,
    /// It is unknown whether the commit was made: the same bytes, sent again, tell. Code `recovering`.
    #[error("it is unknown whether this was committed; send the same bytes again")]
    Unknown(#[source] StorageError),
    /// The database failed; nothing changed. Code `internal`; `recovering` if it is only out of reach.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl AppendRefusal {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::NotWriter => "not_writer",
            Self::Class => "bad_field",
            Self::Control(error) => error.code(),
            Self::Acl(refusal) => refusal.code(),
            Self::Proof => "bad_proof",
            Self::Rate { .. } => "rate",
            Self::Epoch { .. } => "epoch_conflict",
            Self::Gap { .. } => "lsn_gap",
            Self::Conflict { .. } => "lsn_conflict",
            Self::Head { .. } => "head_mismatch",
            Self::ChunkMissing { .. } => "chunk_missing",
            Self::Quota => "quota",
            Self::LeaseLapsed => "lease_lapsed",
            Self::Dropped => "dropped",
            Self::Arriving => "arriving",
            Self::Arrived => "arrived",
            Self::Busy => "busy",
            Self::Unknown(_) => "recovering",
            Self::Storage(error) if error.is_passing() => "recovering",
            Self::Storage(_) => "internal",
        }
    }
}

//! The rows that cross this package's border: bytes and numbers, judged elsewhere.
//!
//! Numbers are stored as signed 64-bit integers; counts, log indexes and ms since 1970 stay below 2^63.

use bytes::Bytes;
use identity::did::Did;
use identity::hash::Hash;

/// The newest signed head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHead {
    /// The number of entries.
    pub size: u64,
    /// The root of the tree of that size.
    pub root: Hash,
    /// The number of the Epoch that ends it.
    pub k: u64,
    /// That Epoch's time.
    pub time_ms: u64,
    /// The signed note. The commit swaps on these bytes, so two heads with equal notes are the same head.
    pub note: Vec<u8>,
}

/// Everything a batch changes beside the head; [`crate::Log::commit`] writes all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitRows {
    /// The entries from the old head's size on, as hashed, the Epoch last. Their number is the difference of the sizes.
    pub entries: Vec<Bytes>,
    /// One row a certificate. Its label is known or among `labels`.
    pub chain: Vec<ChainRow>,
    /// The labels that changed, each once, in any order.
    pub labels: Vec<LabelRow>,
    /// The names that changed, each once, with their labels: what DNS reads. Each is known or among `labels`.
    pub names: Vec<(Hash, NameRow)>,
    /// The heads between the old one and the new one, ascending, where several batches are committed as one; most often none.
    pub passed: Vec<EpochRow>,
    /// Invites used: the hash of the code and the log index of the claim. One that is unknown or used refuses the batch.
    pub invites: Vec<(Hash, u64)>,
    /// Notices: the hash of the evidence and the log index. Evidence that has a Notice keeps the first.
    pub notices: Vec<(Hash, u64)>,
}

/// A certificate in the chain of its DID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainRow {
    /// The DID's label.
    pub label: Hash,
    /// Its place in the chain.
    pub seq: u64,
    /// Its log index.
    pub index: u64,
    /// SHA-256 of its payload.
    pub sid: Hash,
}

/// A leaf of the map with its State.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRow {
    /// The key in the map.
    pub label: Hash,
    /// What it stands for (PROTOCOL 10.1).
    pub kind: u8,
    /// +1 at each change.
    pub version: u64,
    /// The log index of the certificate that last changed it.
    pub head_index: u64,
    /// That certificate's sid.
    pub head_hash: Hash,
    /// PROTOCOL 6.3.
    pub flags: u32,
    /// The State, as hashed.
    pub state: Vec<u8>,
    /// When the earliest pending act of it falls due; absent = nothing waits.
    pub due_ms: Option<u64>,
    /// What the map's leaf commits to.
    pub commitment: Hash,
}

/// What waits at a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueRow {
    /// When.
    pub due_ms: u64,
    /// The label.
    pub label: Hash,
}

/// What DNS knows of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRow {
    /// Absolute, lower case, without final dot.
    pub name: String,
    /// The owner, if it has one.
    pub did: Option<Did>,
    /// As in the NameState (PROTOCOL 6.2).
    pub status: u8,
    /// The log index of the newest claim.
    pub index: u64,
    /// The CBOR of the records to answer; empty = none.
    pub records: Vec<u8>,
}

/// One Epoch and the head it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochRow {
    /// Counts from 0.
    pub k: u64,
    /// The size of the head; the Epoch's own log index is one less.
    pub size: u64,
    /// The root of the tree of that size.
    pub root: Hash,
    /// Its time.
    pub time_ms: u64,
}

/// How far the tiles have got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tiled {
    /// The number of leaves that stand in durable tiles and bundles.
    pub size: u64,
    /// The right-edge tiles as of that size.
    pub edges: Vec<EdgeRow>,
}

/// What the certificates of one entry bundle say of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolledRow {
    /// The bundle's number.
    pub bundle: u64,
    /// Marks of 8 bytes each.
    pub marks: Vec<u8>,
}

/// One right-edge tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeRow {
    /// 0 = the log, 1 = the history of Epochs.
    pub tree: u8,
    /// The tile's level.
    pub level: u8,
    /// The tile's number at that level.
    pub start: u64,
    /// Its hashes, 32 bytes each.
    pub hashes: Vec<u8>,
}

/// Whether an invite may still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteState {
    /// Nobody issued this code.
    Unknown,
    /// Issued and not used.
    Open,
    /// Used by the claim at this log index.
    Used(u64),
}

/// The newest head of a log that a cosigner signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosignedRow {
    /// The number of leaves.
    pub size: u64,
    /// The root of the tree of that size.
    pub root: Hash,
    /// The checkpoint with the log's lines and the cosigner's.
    pub note: Vec<u8>,
}

//! Certificates: what one says, who signed it, and the bytes of both (PROTOCOL 4).

use crate::alias::AliasId;
use crate::did::Did;
use crate::hash::{Hash, domain_hash, u16_prefixed};

mod body;
mod delegate;
mod envelope;
mod payload;
mod people;
mod recovery;
mod verify;

pub use delegate::{ChildLog, Delegate, Glue};
pub use envelope::{Certificate, DecodeError, signed_bytes};
pub use people::{AliasBind, AttestLogin, Dispute, FirstUserKey, Recipient, RecipientKind, UserKey};
pub use recovery::{Attempt, Enrolment, RecoverFinal, RecoverOpen, RecoveryServer, RecoverySet};
pub use verify::{NewKeys, SignatureRefusal, Verified};

/// The identifier of a certificate: SHA-256 of its payload bytes. Posting the same payload again is the same certificate.
pub type Sid = Hash;

/// The 32 bytes of an Ed25519 or X25519 public key as a certificate carries them; not yet admitted (PROTOCOL 3.1).
pub type KeyBytes = [u8; 32];

/// What a certificate says (PROTOCOL 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The chain this extends; of a DID, the one whose authority it uses. Absent in a genesis alone. Key 1.
    pub subject: Option<ChainId>,
    /// The place in the chain, counted from 0. Key 2.
    pub seq: u64,
    /// The sid of the chain's previous certificate; absent at place 0 alone. Key 3.
    pub prev: Option<Sid>,
    /// A head of this log the signer had verified: a signed not-before. Key 4.
    pub seen: Seen,
    /// Unix seconds of the signer's clock; advisory, never judged. Key 5.
    pub unix_s: u64,
    /// The statement itself. Keys 0 (its type) and 6.
    pub body: Body,
    /// Whether a reader that does not know the type must stop. Key 7, absent when true.
    pub critical: bool,
    /// The second party that signs too: the receiver of a transfer, the parent's owner in a claim. Key 8.
    pub by: Option<Did>,
}

/// What a chain of certificates belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainId {
    /// A DID: 20 bytes.
    Did(Did),
    /// An alias, whose chain its `attest_login`s are: 32 bytes.
    Alias(AliasId),
}

impl ChainId {
    /// Returns the DID, if it is one's chain.
    pub const fn did(self) -> Option<Did> {
        match self {
            Self::Did(did) => Some(did),
            Self::Alias(_) => None,
        }
    }
}

impl From<Did> for ChainId {
    fn from(did: Did) -> Self {
        Self::Did(did)
    }
}

/// A head of the log: its size and root. The empty log is `[0, SHA-256("")]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The number of leaves.
    pub size: u64,
    /// The root hash at that size.
    pub root: Hash,
}

/// The statement of a certificate, by type (PROTOCOL 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Type 1: a new DID.
    Genesis(Genesis),
    /// Type 2: binds a name to the subject.
    Claim(Claim),
    /// Type 3: a new device, counter-signed by its key.
    DeviceAdd(Device),
    /// Type 4: takes a device's power away at once, for a window.
    DeviceSuspend(DeviceEnd),
    /// Type 5: ends a device.
    DeviceRevoke(DeviceEnd),
    /// Type 6: new words.
    IdRotate(IdRotate),
    /// Type 7: the window of destructive acts, in seconds.
    Policy {
        /// Key 6: seconds, from the zone's window floor to 1,209,600.
        window_s: u64,
    },
    /// Type 8: a name to another DID, or released.
    Transfer {
        /// Key 1: the absolute name.
        name: String,
        /// Key 2: the receiver; absent releases the name.
        to: Option<Did>,
    },
    /// Type 9: an alias, countersigned by the notary that saw its holder sign in.
    AliasBind(AliasBind),
    /// Type 10: ends the binding of an alias.
    AliasUnbind {
        /// Key 1: the alias id.
        alias: AliasId,
    },
    /// Type 11: the complete record set of one name.
    Records(Records),
    /// Type 13: the servers that answer for a name and all below it.
    Delegate(Delegate),
    /// Type 14: the next generation of the user key.
    UserKey(UserKey),
    /// Type 15: who keeps the shares of a recovery, or nobody any more.
    RecoverySet(RecoverySet),
    /// Type 16: an attempt to recover, which spends a guess.
    RecoverOpen(RecoverOpen),
    /// Type 17: the PIN was right.
    RecoverProve(Attempt),
    /// Type 18: a new device takes the DID over.
    RecoverFinal(RecoverFinal),
    /// Type 19: supports a pending act.
    Confirm {
        /// Key 1: the sid of the pending act, or of the `recover_open` of a recovery.
        act: Sid,
    },
    /// Type 20: opposes a pending act.
    Veto {
        /// Key 1: as in a confirm.
        act: Sid,
    },
    /// Type 20 with key 2: says that a sign-in of an alias bound to the subject was not its holder's.
    Dispute(Dispute),
    /// Type 25: ends the DID. The body is the empty map.
    Tombstone,
    /// Type 26: an authority of the server's DID.
    NotaryAdd(Authority),
    /// Type 27: ends an authority.
    NotaryRevoke {
        /// Key 1: the kid of the authority's key.
        kid: Kid,
    },
    /// Type 28: a sign-in that a notary saw, in the chain of an alias.
    AttestLogin(AttestLogin),
}

/// The first 8 bytes of SHA-256 over an Ed25519 public key: a hint which key signed, never proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid(pub [u8; 8]);

/// What a DID stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DidKind {
    /// A person.
    User = 1,
    /// A database, held by devices as a person is.
    Database = 2,
    /// A server; the log's own is entry 0.
    Server = 3,
    /// An account; reserved: no rule admits one yet.
    Account = 4,
}

/// What a device may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// In the chain only its own revocation.
    Member = 1,
    /// A voter once past probation.
    Admin = 2,
    /// A host: signs endpoints, anchors and cards, never a chain act of a person.
    Service = 3,
}

/// `[sign pk, kex pk, level, H(device-label; label, nonce16)]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The Ed25519 key the device signs with.
    pub sign: KeyBytes,
    /// The X25519 key others seal to.
    pub kex: KeyBytes,
    /// What it may do.
    pub level: Level,
    /// A commitment to the label its owner gave it; the label itself is never logged.
    pub label_hash: Hash,
}

impl Device {
    /// Returns `H(device-label; label, nonce)`: who knows both can show the label, nobody else can guess it.
    pub fn label_hash_of(label: &str, nonce: &[u8; 16]) -> Hash {
        domain_hash("dgns/device-label/v1", &[&u16_prefixed(label.as_bytes()), nonce])
    }
}

/// Type 1. Keys: 1 kind, 2 identity pk, 3 words-box pk, 4 first device, 6 window s (absent: 259,200), 7 and 8 the first user key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// What the DID stands for.
    pub kind: DidKind,
    /// The Ed25519 identity key derived from the words.
    pub identity: KeyBytes,
    /// The X25519 key derived from the words.
    pub words_box: KeyBytes,
    /// The first device, a voter from the start.
    pub device: Device,
    /// The window of destructive acts in seconds.
    pub window_s: Option<u64>,
    /// The user key of generation 1.
    pub user_key: Option<FirstUserKey>,
}

/// How a name was come by (PROTOCOL 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Road {
    /// Proof of work.
    Open = 1,
    /// A notary saw the claimant sign in.
    Attested = 2,
    /// A single-use invitation code.
    Invite = 3,
    /// Granted by the owner of the parent name.
    Parent = 4,
}

/// Type 2. Keys: 1 name, 2 road, 3 nonce (8 bytes), evidence hash or `H(invite; code)` (32 bytes), absent for road 4, 4 work bits
/// (road 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The absolute name.
    pub name: String,
    /// The road taken and what it needs.
    pub proof: ClaimProof,
}

/// What a claim shows for its road.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimProof {
    /// Road 1: a nonce for which `H(pow; name, did, nonce)` begins with `bits` zero bits.
    Open {
        /// Key 3: the nonce, 8 bytes big-endian.
        nonce: u64,
        /// Key 4: the work claimed.
        bits: u8,
    },
    /// Road 2: a notary signs too.
    Attested {
        /// Key 3: what the notary was shown, by its hash.
        evidence: Hash,
    },
    /// Road 3: key 3 is `H(invite; code)`.
    Invite {
        /// The hash of the 16-byte code.
        code_hash: Hash,
    },
    /// Road 4: a voter of the parent name's owner signs too.
    Parent,
}

/// Types 4 and 5. Keys: 1 kid, 2 reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceEnd {
    /// The device.
    pub kid: Kid,
    /// Why; shown, never judged.
    pub reason: EndReason,
}

/// Why a device was suspended or revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EndReason {
    /// Not said.
    Other = 0,
    /// Lost.
    Lost = 1,
    /// Stolen.
    Stolen = 2,
    /// Replaced by another.
    Replaced = 3,
}

/// Type 6. Keys: 2 identity pk, 3 words-box pk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRotate {
    /// The new identity key.
    pub identity: KeyBytes,
    /// The new words-box key.
    pub words_box: KeyBytes,
}

/// Type 11. Keys: 1 name, 2 rows, 3 aliases (absent when empty), 4 flags (absent when 0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// The absolute name.
    pub name: String,
    /// The rows, sorted and unique; at most 32.
    pub rows: Vec<Row>,
    /// Foreign names whose CNAME to this name the owner confirms; at most 8.
    pub aliases: Vec<String>,
    /// Bit 0: hidden from DNS. Bit 1: no `_did` record.
    pub flags: u32,
}

/// One record: `[type, ttl, rdata, owner?]` (PROTOCOL 4.5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Labels below the name, each beginning with an underscore; empty (absent in the bytes) for the name itself.
    pub owner: String,
    /// The DNS type.
    pub rtype: u16,
    /// Uncompressed wire form.
    pub rdata: Vec<u8>,
    /// Seconds, 30..=3,600, one value for a record set.
    pub ttl: u32,
}

/// Type 26. Keys: 1 role, 2 pk, 3 scope, 4 `[road mask, work floor, window floor s]` (role 2 alone).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// What the key may attest.
    pub role: Role,
    /// The Ed25519 key (roles 1, 2) or VOPRF key (role 3).
    pub key: KeyBytes,
    /// The issuer of role 1 (a URL, or `passkey:` and the zone), the zone of roles 2 and 3.
    pub scope: String,
    /// The settings of the zone (role 2).
    pub zone: Option<ZoneTerms>,
}

/// What an authority's key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Role {
    /// Attests sign-ins.
    Notary = 1,
    /// Countersigns claims in a zone.
    Zone = 2,
    /// Evaluates blinded aliases.
    Alias = 3,
}

/// The logged settings of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneTerms {
    /// Bit `road - 1` set: the road is open.
    pub roads: u8,
    /// The least proof of work of road 1, in zero bits.
    pub work_floor_bits: u8,
    /// The least window a DID may choose, in seconds.
    pub window_floor_s: u64,
}

#[cfg(test)]
mod tests;

//! States: what the map commits to for a DID and for a name (PROTOCOL 6).

use crate::alias::AliasId;
use crate::cert::{Authority, ChainId, DidKind, KeyBytes, Kid, Level, Recipient, Sid};
use crate::did::Did;
use crate::hash::Hash;

mod alias;
mod codec;
mod recovery;

pub use recovery::{AttemptState, RecoveryKeys, RecoveryPhase, RecoveryState};

/// What a label of the map stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A name: absolute, lower case, without final dot.
    Name(String),
    /// A DID.
    Did(Did),
    /// An alias, by its id.
    Alias(AliasId),
    /// The log's own configuration; there is one.
    LogConf,
    /// The anchors of the server's databases; there is one.
    Anchors,
}

impl From<ChainId> for Subject {
    fn from(chain: ChainId) -> Self {
        match chain {
            ChainId::Did(did) => Self::Did(did),
            ChainId::Alias(alias) => Self::Alias(alias),
        }
    }
}

impl From<Did> for Subject {
    fn from(did: Did) -> Self {
        Self::Did(did)
    }
}

/// The state of one label with the certificate that last changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The log index of the newest certificate: of the DID's or alias's own chain, or for a name the one that last changed it.
    pub head_index: u64,
    /// The sid of that certificate. An alias that has no chain yet: zeros, index 0.
    pub head_hash: Sid,
    /// The state; its version is the label's.
    pub state: State,
}

/// The state of one label.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "half of all states are the largest; a box would cost each of them an allocation"
)]
pub enum State {
    /// Of a DID.
    Did(DidState),
    /// Of a name.
    Name(NameState),
    /// Of an alias.
    Alias(AliasState),
    /// Of the log: the payload of its newest LogConf (PROTOCOL 7.3), which is the whole state.
    LogConf {
        /// As in [`DidState`]; the payload's seq + 1.
        version: u64,
        /// The LogConf payload, canonical CBOR.
        payload: Vec<u8>,
    },
    /// Of the server's databases: the body of the newest anchor (PROTOCOL 7.7), which is the whole state.
    Anchors {
        /// The anchor's number: 1 at first, one more each time.
        version: u64,
        /// The body of the entry, canonical CBOR.
        payload: Vec<u8>,
    },
}

/// The state of a DID (PROTOCOL 6.1; the numbers are CBOR keys; empty lists and absent values are left out).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DidState {
    /// 0: 1 at first, +1 at each change, settling included.
    pub version: u64,
    /// 1.
    pub did: Did,
    /// 2.
    pub kind: DidKind,
    /// 3: bit 0 frozen, 1 user key stale, 3 ended; 2 deleting is reserved.
    pub flags: u32,
    /// 4: the newest certificate of the chain.
    pub head: ChainHead,
    /// 5.
    pub identity: KeyBytes,
    /// 6.
    pub words_box: KeyBytes,
    /// 7: by kid, ascending; at most 32. A revoked device is gone.
    pub devices: Vec<DeviceState>,
    /// 8: the user key; absent while the DID has none.
    pub user_key: Option<UserKeyState>,
    /// 9: the window of destructive acts, in seconds.
    pub window_s: u64,
    /// 10: pending acts, oldest first; at most 8.
    pub pending: Vec<Pending>,
    /// 11: recovery; absent until the first enrolment.
    pub recovery: Option<Box<RecoveryState>>,
    /// 12: live names bound to the DID, sorted; at most 32.
    pub names: Vec<String>,
    /// 14: authorities, oldest first; at most 64. Of the server's DID alone.
    pub authorities: Vec<AuthorityState>,
    /// 15: the log index of the genesis, the 64-bit id.
    pub uid: u64,
    /// 16: the epoch time of the genesis, ms.
    pub born_ms: u64,
}

/// The newest certificate of a chain: `[seq, sid, index]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// Its place in the chain.
    pub seq: u64,
    /// Its sid: the next certificate's `prev`.
    pub sid: Sid,
    /// Its log index.
    pub index: u64,
}

/// One device: `[sign, kex, level, status, index, until ms]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceState {
    /// The Ed25519 key.
    pub sign: KeyBytes,
    /// The X25519 key.
    pub kex: KeyBytes,
    /// What it may do.
    pub level: Level,
    /// Live, fresh or suspended.
    pub status: DeviceStatus,
    /// The log index of the certificate that added it.
    pub index: u64,
    /// When the status ends by itself, epoch ms; 0 = not by itself: live, in a quarrel, or a probation that stands still.
    pub until_ms: u64,
}

impl DidState {
    /// Returns the keys that may grant for the DID: its identity key and its live admin devices; none once it has ended.
    pub fn granting_keys(&self) -> Vec<KeyBytes> {
        if self.flags & Self::ENDED != 0 {
            return Vec::new();
        }
        let voters = self.devices.iter().filter(|row| row.is_voter());
        voters.map(|row| row.sign).chain([self.identity]).collect()
    }
}

impl DeviceState {
    /// Returns whether the device votes: of level admin, live, past probation.
    pub fn is_voter(&self) -> bool {
        self.level == Level::Admin && self.status == DeviceStatus::Live
    }

    /// Returns whether it is among those a majority is of: of level admin, past probation, suspended or not.
    pub fn counts(&self) -> bool {
        self.level == Level::Admin && self.status != DeviceStatus::Fresh
    }
}

/// The user key: `[generation, pk, index, boxes, extras]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKeyState {
    /// 1 at first, one more each time it is turned.
    pub generation: u64,
    /// The X25519 key others seal to.
    pub key: KeyBytes,
    /// The log index of the certificate that brought it.
    pub index: u64,
    /// SHA-256 of the boxes in which its secret is sealed to its recipients.
    pub boxes: Hash,
    /// Recipients besides devices and words.
    pub extras: Vec<Recipient>,
}

/// Whether a device's signature counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DeviceStatus {
    /// It counts.
    Live = 1,
    /// An admin device on probation: the powers of a member until `until_ms`, then a voter.
    Fresh = 2,
    /// Powerless until `until_ms`, or while a quarrel lasts.
    Suspended = 3,
}

/// A pending act: `[sid, type, level, due ms, [for kids], [against kids], index, body]`.
///
/// The body stands in the state, so that what is due can be settled from the state alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The sid of the certificate that opened it.
    pub sid: Sid,
    /// Its type.
    pub kind: u8,
    /// The strength of its supporters.
    pub power: Power,
    /// When it takes effect, epoch ms.
    pub due_ms: u64,
    /// Supporters, the opener first. Identity keys stand here by their kid too.
    pub supporters: Vec<Kid>,
    /// Opponents of the same power: a quarrel.
    pub opponents: Vec<Kid>,
    /// The log index of the certificate that opened it.
    pub index: u64,
    /// Its CBOR body (payload key 6).
    pub body: Vec<u8>,
}

/// How strong the signers of an act are, ascending (PROTOCOL 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Power {
    /// One voter.
    Voter = 1,
    /// At least two voters and more than half of all.
    Majority = 2,
    /// The identity key.
    Identity = 3,
}

/// An authority of the server: `[role, pk, scope, [road mask, work floor, window floor s] or null, index, revoked at or null]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityState {
    /// What it is.
    pub authority: Authority,
    /// The log index of the certificate that added it.
    pub index: u64,
    /// The log index of its revocation; its signatures below that index stay valid.
    pub revoked_at: Option<u64>,
}

/// The state of a name (PROTOCOL 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameState {
    /// 0: as in [`DidState`].
    pub version: u64,
    /// 1: the absolute name.
    pub name: String,
    /// 2: the owner; absent when free.
    pub did: Option<Did>,
    /// 3.
    pub status: NameStatus,
    /// 4: the log index of the newest claim.
    pub claim_index: u64,
    /// 5: when a held name is free again, epoch ms; absent unless held.
    pub held_until_ms: u64,
    /// 6: `[index, sid]` of the certificate with its records.
    pub records: Option<(u64, Sid)>,
    /// 8: `[index, sid]` of the certificate that delegates it; a delegated name has no records of its own.
    pub delegate: Option<(u64, Sid)>,
    /// 10: how many live names stand directly below; absent when 0. A name with names below is never released, so every
    /// ancestor of a live name is live.
    pub children: u64,
}

/// The state of an alias (PROTOCOL 6.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasState {
    /// 0: as in [`DidState`].
    pub version: u64,
    /// 1: the alias id.
    pub alias: AliasId,
    /// 2: whose it is; absent while nobody's.
    pub did: Option<Did>,
    /// 3: the newest certificate of its own chain; absent before the first sign-in.
    pub head: Option<ChainHead>,
    /// 4: the keys that signed in, oldest first; at most 8, each once.
    pub attested: Vec<Attested>,
    /// 5: until when the last dispute lasts, epoch ms; absent when there was none.
    pub breaker_ms: u64,
}

/// A key that signed in as the holder of an alias: `[sign, kex, index, sid, notary kid, disputed]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attested {
    /// The Ed25519 key.
    pub sign: KeyBytes,
    /// The X25519 key, to which others may seal.
    pub kex: KeyBytes,
    /// The log index of the newest sign-in with it.
    pub index: u64,
    /// The sid of that certificate.
    pub sid: Sid,
    /// The kid of the notary that saw it: an authority of the server's DID.
    pub notary: Kid,
    /// Whether the owner of the alias said that it was somebody else.
    pub disputed: bool,
}

/// Whether a name is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NameStatus {
    /// Bound to a DID.
    Live = 1,
    /// Released or its DID ended; nobody may claim it until `held_until_ms`.
    Held = 2,
    /// Claimable again. Labels are never removed from the map.
    Free = 3,
}

//! The closed list of refusals (PROTOCOL 4.6).

use crate::cert::{Sid, SignatureRefusal};
use crate::record::BadRecord;
use crate::state::ChainHead;

/// Why a certificate may not follow. Whoever gets one: nothing has changed. The fault is the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A signature or a new key is refused. PROTOCOL 4.3. Codes `unknown_signer`, `bad_signature`, `weak_key`.
    #[error(transparent)]
    Signature(#[from] SignatureRefusal),
    /// A name outside the grammar, or of another zone. PROTOCOL 2.1. Code `bad_name`.
    #[error("the name is outside the grammar or of another zone")]
    BadName,
    /// `seq` and `prev` do not follow the chain's head; `None`: there is no such chain. PROTOCOL 4.2. Code `stale_prev`.
    #[error("the certificate does not follow the head of its chain")]
    StalePrev {
        /// The head to build on.
        head: Option<ChainHead>,
    },
    /// The DID has ended. PROTOCOL 5.3. Code `ended`.
    #[error("the DID has ended")]
    Ended,
    /// The signers have not this power, or a signature that the act needs is missing. PROTOCOL 5.3. Code `not_allowed`.
    #[error("these signers have not this power")]
    NotAllowed,
    /// A signer is suspended. PROTOCOL 5.5. Code `suspended`.
    #[error("a signer is suspended")]
    Suspended,
    /// The DID is frozen by a quarrel of its devices. PROTOCOL 5.5. Code `frozen`.
    #[error("the DID is frozen")]
    Frozen,
    /// An authority's key was revoked at a lower index. PROTOCOL 5.3. Code `key_revoked`.
    #[error("the key was revoked at index {revoked_at}")]
    KeyRevoked {
        /// The log index of the revocation.
        revoked_at: u64,
    },
    /// The signer's own open act comes first, or one like this is open against the same device. PROTOCOL 5.4. Code `act_open`.
    #[error("act {} is still open", data_encoding::HEXLOWER.encode(sid))]
    ActOpen {
        /// The open act.
        sid: Sid,
    },
    /// No such act is pending, or the alias remembers no such sign-in. PROTOCOL 5.4, 5.7. Code `no_such_act`.
    #[error("no such act is pending")]
    NoSuchAct,
    /// A signer confirmed or vetoed the act before; the sign-in is disputed. PROTOCOL 5.4, 5.7. Code `already_voted`.
    #[error("a signer has voted on this act before")]
    AlreadyVoted,
    /// The DID exists. PROTOCOL 3.3. Code `did_exists`.
    #[error("the DID exists")]
    DidExists,
    /// The name is live or held, or the receiver has it already. PROTOCOL 2.3. Code `name_taken`.
    #[error("the name is taken")]
    NameTaken,
    /// A first-level name that nobody may claim. PROTOCOL 2.2. Code `reserved_name`.
    #[error("the name is reserved")]
    ReservedName,
    /// The proof of work is too short. PROTOCOL 5.2. Code `pow_short`.
    #[error("the proof of work is too short")]
    PowShort,
    /// The zone does not open this road, or has no terms. PROTOCOL 5.2. Code `road_closed`.
    #[error("the road is closed")]
    RoadClosed,
    /// The parent name is not live. PROTOCOL 5.2. Code `no_parent`.
    #[error("the parent name is not live")]
    NoParent,
    /// The subject owns neither the name nor one above it. PROTOCOL 2.3. Code `not_name_owner`.
    #[error("not an owner of the name")]
    NotNameOwner,
    /// Live names stand directly below. PROTOCOL 2.3. Code `has_children`.
    #[error("live names stand below the name")]
    HasChildren,
    /// Another server answers for the name, or for the one above it. PROTOCOL 4.7. Code `name_delegated`.
    #[error("the name is delegated")]
    NameDelegated,
    /// The records are outside what a name may have. PROTOCOL 4.5. Code `bad_record` with a reason, or `too_many`.
    #[error(transparent)]
    BadRecord(#[from] BadRecord),
    /// The DID has no such device. PROTOCOL 5.3. Code `no_such_device`.
    #[error("no such device")]
    NoSuchDevice,
    /// No live admin device would be left. PROTOCOL 5.3. Code `last_device`.
    #[error("no live admin device would be left")]
    LastDevice,
    /// The kid is one of this DID's already. PROTOCOL 3.4. Code `kid_taken`.
    #[error("the kid is taken")]
    KidTaken,
    /// The new identity key, or user key, is the old one. PROTOCOL 5.3. Code `key_same`.
    #[error("the key would stay the same")]
    KeySame,
    /// A window outside the zone's floor and 1,209,600 s. PROTOCOL 5.3. Code `bad_window`.
    #[error("the window is out of range")]
    BadWindow,
    /// An act of the server's chain in another. PROTOCOL 5.3. Code `not_server`.
    #[error("only the server's DID has authorities")]
    NotServer,
    /// A zone authority of another zone, or no such authority. PROTOCOL 5.3. Code `bad_scope`.
    #[error("the scope is not this server's")]
    BadScope,
    /// The alias is bound already. PROTOCOL 5.7. Code `alias_bound`.
    #[error("the alias is bound")]
    AliasBound,
    /// The alias is not bound to the subject. PROTOCOL 5.7. Code `not_bound`.
    #[error("the alias is not bound to this DID")]
    NotBound,
    /// The notary was revoked at a lower index. PROTOCOL 5.7. Code `notary_revoked`.
    #[error("the notary was revoked at index {revoked_at}")]
    NotaryRevoked {
        /// The log index of the revocation.
        revoked_at: u64,
    },
    /// Not the generation that follows. PROTOCOL 5.3. Code `bad_generation`.
    #[error("the user key's next generation is {next}")]
    BadGeneration {
        /// The one that follows.
        next: u64,
    },
    /// The boxes of another generation, or an extra recipient that is no extra one. PROTOCOL 5.3. Code `bad_boxes`.
    #[error("the boxes cannot be this generation's")]
    BadBoxes,
    /// Not the epoch that follows, or in an attempt not the one there is. PROTOCOL 5.8. Code `bad_epoch`.
    #[error("the epoch of recovery here is {epoch}")]
    BadEpoch {
        /// The one that would do.
        epoch: u32,
    },
    /// Too few or too many servers are needed, one stands twice, or more sign-ins than are listed. PROTOCOL 5.8. Code `bad_threshold`.
    #[error("2 or more and over half of at most 7 different servers are needed, and at most the sign-ins listed")]
    BadThreshold,
    /// A blinded point or an evaluation key that is no point. PROTOCOL 5.8. Code `bad_point`.
    #[error("not a point of ristretto255, or its identity")]
    BadPoint,
    /// The DID has no recovery. PROTOCOL 5.8. Code `no_recovery`.
    #[error("the DID has no recovery")]
    NoRecovery,
    /// A veto ended this epoch of recovery. PROTOCOL 5.8. Code `burnt`.
    #[error("a veto ended this recovery; a device or the words enrol anew")]
    Burnt,
    /// Somebody has proved the PIN. PROTOCOL 5.8. Code `recovery_pending`.
    #[error("a recovery is pending until {due_ms}")]
    RecoveryPending {
        /// When its phase ends, epoch ms.
        due_ms: u64,
    },
    /// All ten guesses of this epoch are spent. PROTOCOL 5.8. Code `guesses_spent`.
    #[error("all ten guesses are spent; a device or the words enrol anew")]
    GuessesSpent,
    /// Not the attempt that follows, or not the newest. PROTOCOL 5.8. Code `bad_attempt`.
    #[error("the next attempt is number {next}")]
    BadAttempt {
        /// The number of the next.
        next: u8,
    },
    /// The next attempt has to wait. PROTOCOL 5.8. Code `backoff`.
    #[error("the next attempt may begin at {until_ms}")]
    Backoff {
        /// When it may begin, epoch ms.
        until_ms: u64,
    },
    /// The attempt shows fewer sign-ins than the enrolment asks for. PROTOCOL 5.8. Code `too_few`.
    #[error("{needed} sign-ins are needed")]
    TooFew {
        /// How many are.
        needed: u8,
    },
    /// A sign-in was disputed: every one listed is needed. PROTOCOL 5.8. Code `breaker`.
    #[error("a sign-in was disputed: until {until_ms} every one listed is needed")]
    Breaker {
        /// Until when, epoch ms.
        until_ms: u64,
    },
    /// The attempt was not proved in time. PROTOCOL 5.8. Code `open_expired`.
    #[error("no attempt of the last ten minutes is open")]
    OpenExpired,
    /// The window is not over, or nothing is proved. PROTOCOL 5.8. Code `not_ready`.
    #[error("the recovery is not ready")]
    NotReady {
        /// When it is, epoch ms; 0 if nothing is proved.
        due_ms: u64,
    },
    /// A limit of the states. PROTOCOL 16. Code `too_many`.
    #[error("a limit is reached")]
    TooMany,
}

impl Refusal {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Signature(refusal) => refusal.code(),
            Self::BadName => "bad_name",
            Self::StalePrev { .. } => "stale_prev",
            Self::Ended => "ended",
            Self::NotAllowed => "not_allowed",
            Self::Suspended => "suspended",
            Self::Frozen => "frozen",
            Self::KeyRevoked { .. } => "key_revoked",
            Self::ActOpen { .. } => "act_open",
            Self::NoSuchAct => "no_such_act",
            Self::AlreadyVoted => "already_voted",
            Self::DidExists => "did_exists",
            Self::NameTaken => "name_taken",
            Self::ReservedName => "reserved_name",
            Self::PowShort => "pow_short",
            Self::RoadClosed => "road_closed",
            Self::NoParent => "no_parent",
            Self::NotNameOwner => "not_name_owner",
            Self::HasChildren => "has_children",
            Self::NameDelegated => "name_delegated",
            Self::BadRecord(bad) => bad.code(),
            Self::NoSuchDevice => "no_such_device",
            Self::LastDevice => "last_device",
            Self::KidTaken => "kid_taken",
            Self::KeySame => "key_same",
            Self::BadWindow => "bad_window",
            Self::NotServer => "not_server",
            Self::BadScope => "bad_scope",
            Self::AliasBound => "alias_bound",
            Self::NotBound => "not_bound",
            Self::NotaryRevoked { .. } => "notary_revoked",
            Self::BadGeneration { .. } => "bad_generation",
            Self::BadBoxes => "bad_boxes",
            Self::BadEpoch { .. } => "bad_epoch",
            Self::BadThreshold => "bad_threshold",
            Self::BadPoint => "bad_point",
            Self::NoRecovery => "no_recovery",
            Self::Burnt => "burnt",
            Self::RecoveryPending { .. } => "recovery_pending",
            Self::GuessesSpent => "guesses_spent",
            Self::BadAttempt { .. } => "bad_attempt",
            Self::Backoff { .. } => "backoff",
            Self::TooFew { .. } => "too_few",
            Self::Breaker { .. } => "breaker",
            Self::OpenExpired => "open_expired",
            Self::NotReady { .. } => "not_ready",
            Self::TooMany => "too_many",
        }
    }

    /// Returns what is wrong with a record set, beside the code `bad_record`.
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::BadRecord(bad) => Some(bad.reason.as_str()),
            _ => None,
        }
    }
}

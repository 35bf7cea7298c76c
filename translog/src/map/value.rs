//! What stands for a subject in the map: its label, and the commitment to its state (PROTOCOL 10.1, 10.2).

use identity::alias::AliasId;
use identity::cert::DecodeError;
use identity::did::Did;
use identity::hash::{Hash, domain_hash};
use identity::state::{AliasState, DidState, Leaf, NameState, State, Subject};

/// What a label stands for, as a number beside it (PROTOCOL 11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LabelKind {
    /// A name.
    Name = 1,
    /// A DID.
    Did = 2,
    /// An alias.
    Alias = 3,
    /// The log's own configuration.
    LogConf = 4,
    /// The anchors of the server's databases.
    Anchors = 5,
}

/// The fields of a map value that travel beside the state: 52 bytes.
///
/// ```text
/// version u64, head_index u64, head_hash 32, flags u32
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenedLeaf {
    /// 1 at first, +1 at each change.
    pub version: u64,
    /// The log index of the newest certificate: of a DID's or alias's own chain, or the one that last changed a name or the log.
    pub head_index: u64,
    /// Its sid.
    pub head_hash: Hash,
    /// What the state says of itself (PROTOCOL 6.3).
    pub flags: u32,
}

impl LabelKind {
    /// Returns the kind of a subject's label.
    pub fn of(subject: &Subject) -> Self {
        match subject {
            Subject::Name(_) => Self::Name,
            Subject::Did(_) => Self::Did,
            Subject::Alias(_) => Self::Alias,
            Subject::LogConf => Self::LogConf,
            Subject::Anchors => Self::Anchors,
        }
    }

    /// Returns the state of a label of this kind that canonical bytes are.
    pub fn decode_state(self, bytes: &[u8]) -> Result<State, DecodeError> {
        Ok(match self {
            Self::Name => State::Name(NameState::decode(bytes)?),
            Self::Did => State::Did(DidState::decode(bytes)?),
            Self::Alias => State::Alias(AliasState::decode(bytes)?),
            Self::LogConf => State::decode(&Subject::LogConf, bytes)?,
            Self::Anchors => State::decode(&Subject::Anchors, bytes)?,
        })
    }

    /// As [`LabelKind::decode_state`], of bytes that were encoded from a state and kept in memory: whether they are canonical is not
    /// looked at again.
    pub fn decode_kept_state(self, bytes: &[u8]) -> Result<State, DecodeError> {
        Ok(match self {
            Self::Name => State::Name(NameState::decode_kept(bytes)?),
            Self::Did => State::Did(DidState::decode_kept(bytes)?),
            Self::Alias => State::Alias(AliasState::decode(bytes)?),
            Self::LogConf => State::decode(&Subject::LogConf, bytes)?,
            Self::Anchors => State::decode(&Subject::Anchors, bytes)?,
        })
    }
}

impl OpenedLeaf {
    /// Returns what travels beside the state of `leaf`.
    pub fn of(leaf: &Leaf) -> Self {
        Self {
            version: leaf.version(),
            head_index: leaf.head_index,
            head_hash: leaf.head_hash,
            flags: leaf.state.flags(),
        }
    }

    /// The number of bytes of an opened leaf.
    pub const BYTES: usize = 52;

    /// Returns the 52 bytes.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..8].copy_from_slice(&self.version.to_be_bytes());
        out[8..16].copy_from_slice(&self.head_index.to_be_bytes());
        out[16..48].copy_from_slice(&self.head_hash);
        out[48..].copy_from_slice(&self.flags.to_be_bytes());
        out
    }

    /// Returns the opened leaf that 52 bytes are. Each of them is one.
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let mut head_hash = [0; 32];
        head_hash.copy_from_slice(&bytes[16..48]);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Self {
            version: number(&bytes[..8]),
            head_index: number(&bytes[8..16]),
            head_hash,
            flags: u32::from_be_bytes([bytes[48], bytes[49], bytes[50], bytes[51]]),
        }
    }

    /// Returns the map value with this state: 84 bytes, `version u64, head_index u64, head_hash 32, keyset_root 32, flags u32`.
    pub fn value(&self, state: &[u8]) -> [u8; 84] {
        let opened = self.encode();
        let mut out = [0; 84];
        out[..48].copy_from_slice(&opened[..48]);
        out[48..80].copy_from_slice(&state_hash(state));
        out[80..].copy_from_slice(&opened[48..]);
        out
    }

    /// Returns the commitment to this leaf with this state, what the map holds.
    pub fn commitment(&self, state: &[u8]) -> Hash {
        domain_hash("dgns/value/v1", &[&self.value(state)])
    }
}

/// Returns the label of a subject.
pub fn label(subject: &Subject) -> Hash {
    match subject {
        Subject::Name(name) => label_name(name),
        Subject::Did(did) => label_did(did),
        Subject::Alias(alias) => label_alias(alias),
        Subject::LogConf => label_logconf(),
        Subject::Anchors => label_anchors(),
    }
}

/// Returns the label of an absolute, lower-case name without final dot.
pub fn label_name(name: &str) -> Hash {
    domain_hash("dgns/label-name/v1", &[name.as_bytes()])
}

/// Returns the label of a DID.
pub fn label_did(did: &Did) -> Hash {
    domain_hash("dgns/label-did/v1", &[did.as_bytes()])
}

/// Returns the label of an alias.
pub fn label_alias(alias: &AliasId) -> Hash {
    domain_hash("dgns/label-alias/v1", &[alias])
}

/// Returns the label of the log's configuration.
pub fn label_logconf() -> Hash {
    label_log(b"logconf")
}

/// Returns the label of the anchors of the server's databases.
pub fn label_anchors() -> Hash {
    label_log(b"anchors")
}

/// Returns the label of something that the log says of itself.
fn label_log(what: &[u8]) -> Hash {
    domain_hash("dgns/label-log/v1", &[what])
}

/// Returns the 84-byte map value of a leaf.
pub fn value(leaf: &Leaf) -> [u8; 84] {
    OpenedLeaf::of(leaf).value(&leaf.state.encode())
}

/// Returns the commitment to a leaf, what the map holds at its label.
pub fn commitment(leaf: &Leaf) -> Hash {
    OpenedLeaf::of(leaf).commitment(&leaf.state.encode())
}

/// Returns the hash of a state's bytes, the value's keyset_root.
pub fn state_hash(state: &[u8]) -> Hash {
    domain_hash("dgns/state/v1", &[state])
}

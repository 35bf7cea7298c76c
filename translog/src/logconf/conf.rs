//! What a LogConf says.

use identity::cert::Sid;
use identity::did::Did;
use identity::name::Origin;
use identity::wire::{Reader, WireError, Writer};

use crate::hash::{Hash, sha256};
use crate::limits::{LOG_KEYS_MAX, NAME_BYTES_MAX, PREFIXES_MAX};
use crate::note::{KeyKind, VerifierKey};
use crate::policy::{Policy, PolicyError};

/// The only format of the log.
const FORMAT: u64 = 1;

/// The payload of a LogConf (PROTOCOL 7.3; the numbers are CBOR keys).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conf {
    /// The place among the log's LogConfs, from 0. Key 1.
    pub seq: u64,
    /// The sid of the one before; absent in the first alone. Key 2.
    pub prev: Option<Hash>,
    /// The log. Key 3.
    pub origin: Origin,
    /// The DID of the server, whose identity key signs. Key 4.
    pub server: Did,
    /// The active log keys, oldest first: 1 to 7, named like the origin. Key 5.
    pub log_keys: Vec<VerifierKey>,
    /// The policy the operator recommends; empty for none. Key 6.
    pub policy: String,
    /// Where the log can be read: at most 16, each at most 255 bytes. Key 7.
    pub prefixes: Vec<String>,
    /// A log that ended, which this one continues. Key 8.
    pub predecessor: Option<Predecessor>,
}

/// The end of another log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// Its origin.
    pub origin: String,
    /// The size of its last head.
    pub size: u64,
    /// The root of its last head.
    pub root: Hash,
}

impl Conf {
    /// Reads the payload; it is the State under the log's own label too.
    pub fn decode(payload: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let mut fields = reader.fields()?;
        if fields.required(0, Reader::uint)? != FORMAT {
            return Err(WireError::Unexpected);
        }
        let conf = Self {
            seq: fields.required(1, Reader::uint)?,
            prev: fields.optional(2, Reader::fixed)?,
            origin: fields.required(3, |reader| Origin::parse(reader.text()?).map_err(|_| WireError::Unexpected))?,
            server: Did::from_bytes(fields.required(4, Reader::fixed)?),
            log_keys: fields.required(5, |reader| reader.list(LOG_KEYS_MAX, read_key))?,
            policy: fields.required(6, Reader::text)?.to_owned(),
            prefixes: fields.required(7, |reader| reader.list(PREFIXES_MAX, short_text))?,
            predecessor: fields.optional(8, read_predecessor)?,
        };
        fields.end()?;
        reader.end()?;
        conf.check()?;
        Ok(conf)
    }

    /// Returns the payload.
    pub fn encode(&self) -> Vec<u8> {
        let optional = usize::from(self.prev.is_some()) + usize::from(self.predecessor.is_some());
        let mut writer = Writer::new();
        writer.map(7 + optional).uint(0).uint(FORMAT).uint(1).uint(self.seq);
        if let Some(prev) = &self.prev {
            writer.uint(2).bytes(prev);
        }
        writer.uint(3).text(self.origin.as_str()).uint(4).bytes(self.server.as_bytes());
        writer.uint(5).array(self.log_keys.len());
        for key in &self.log_keys {
            writer.text(&key.to_string());
        }
        writer.uint(6).text(&self.policy).uint(7).array(self.prefixes.len());
        for prefix in &self.prefixes {
            writer.text(prefix);
        }
        if let Some(Predecessor { origin, size, root }) = &self.predecessor {
            writer.uint(8).array(3).text(origin).uint(*size).bytes(root);
        }
        writer.finish()
    }

    /// Returns SHA-256 of the payload, which the next LogConf names as `prev`.
    pub fn sid(&self) -> Sid {
        sha256(&[&self.encode()])
    }

    /// Returns the policy the operator recommends, `quorum none` if that is none. Errors: its text is no policy.
    pub fn recommended(&self) -> Result<Policy, PolicyError> {
        match self.policy.is_empty() {
            true => Ok(Policy::none()),
            false => Policy::parse(self.policy.as_bytes()),
        }
    }

    /// Refuses what no order of fields can show.
    fn check(&self) -> Result<(), WireError> {
        let first_has_no_prev = (self.seq == 0) == self.prev.is_none();
        let named_like_the_log = self.log_keys.iter().all(|key| key.name() == self.origin.as_str());
        let distinct = self.log_keys.iter().enumerate().all(|(i, key)| !self.log_keys[..i].contains(key));
        if first_has_no_prev && named_like_the_log && distinct && !self.log_keys.is_empty() {
            Ok(())
        } else {
            Err(WireError::Unexpected)
        }
    }
}

/// Reads the vkey of a log.
fn read_key(reader: &mut Reader<'_>) -> Result<VerifierKey, WireError> {
    let key = VerifierKey::parse(reader.text()?).map_err(|_| WireError::Unexpected)?;
    if key.kind() == KeyKind::Log { Ok(key) } else { Err(WireError::Unexpected) }
}

/// Reads `[origin, size, root]`.
fn read_predecessor(reader: &mut Reader<'_>) -> Result<Predecessor, WireError> {
    reader.array_of(3)?;
    let origin = short_text(reader)?;
    Ok(Predecessor { origin, size: reader.uint()?, root: reader.fixed()? })
}

/// Reads a text of at most 255 bytes.
fn short_text(reader: &mut Reader<'_>) -> Result<String, WireError> {
    let text = reader.text()?;
    if text.len() <= NAME_BYTES_MAX { Ok(text.to_owned()) } else { Err(WireError::Unexpected) }
}

//! LogConf: the log's own keys and addresses, logged like everything else (PROTOCOL 7.3).
//!
//! A client pins the log's key once and follows LogConfs from there: each is signed by the server's identity key, by every
//! log key it brings, and after the first by a log key of the one before, unless all of those are lost.

mod conf;
mod verify;

use core::ops::Range;

pub use conf::{Conf, Predecessor};
use identity::cert::{Kid, Sid};
use identity::key::SigningKey;
use identity::name::Origin;
use identity::wire::{Reader, WireError, Writer};
pub use verify::{LogConfError, Succession};

use crate::hash::sha256;
use crate::limits::{BODY_BYTES_MAX, SIGNATURES_MAX};

/// The only format of envelopes.
const FORMAT: u64 = 1;

/// A decoded LogConf whose signatures nobody has checked yet; its bytes are canonical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConf {
    envelope: Vec<u8>,
    payload: Range<usize>,
    conf: Box<Conf>,
    signatures: Vec<(Kid, [u8; 64])>,
}

impl LogConf {
    /// Reads an envelope `[1, payload, [[kid, signature], ...]]` of at most 4,096 bytes, its signatures ascending by kid.
    pub fn decode(envelope: &[u8]) -> Result<Self, WireError> {
        if envelope.len() > BODY_BYTES_MAX {
            return Err(WireError::Unexpected);
        }
        let mut reader = Reader::new(envelope);
        reader.array_of(3)?;
        if reader.uint()? != FORMAT {
            return Err(WireError::Unexpected);
        }
        let payload = reader.bytes()?;
        let range = reader.position() - payload.len()..reader.position();
        let signatures = read_signatures(&mut reader)?;
        reader.end()?;
        Ok(Self { envelope: envelope.to_vec(), payload: range, conf: Box::new(Conf::decode(payload)?), signatures })
    }

    /// Signs `conf` with each of `keys`, in any order.
    ///
    /// Errors: what decoding would refuse, such as no key, more than 8, or too many bytes.
    pub fn sign(conf: &Conf, keys: &[&SigningKey]) -> Result<Self, WireError> {
        let payload = conf.encode();
        let message = signed_bytes(&conf.origin, &payload);
        let mut signatures: Vec<_> = keys.iter().map(|key| (key.kid(), key.sign(&message))).collect();
        signatures.sort_unstable();
        signatures.dedup();
        let mut writer = Writer::new();
        writer.array(3).uint(FORMAT).bytes(&payload).array(signatures.len());
        for (kid, signature) in &signatures {
            writer.array(2).bytes(&kid.0).bytes(signature);
        }
        Self::decode(&writer.finish())
    }

    /// Returns the envelope: the body of the entry.
    pub fn as_bytes(&self) -> &[u8] {
        &self.envelope
    }

    /// Returns what it says.
    pub fn conf(&self) -> &Conf {
        &self.conf
    }

    /// Returns the bytes of what it says: the State under the log's own label.
    pub fn payload_bytes(&self) -> &[u8] {
        &self.envelope[self.payload.clone()]
    }

    /// Returns SHA-256 of the payload, which the next LogConf names as `prev`.
    pub fn sid(&self) -> Sid {
        sha256(&[self.payload_bytes()])
    }

    /// Returns the signatures, ascending by kid.
    pub fn signatures(&self) -> &[(Kid, [u8; 64])] {
        &self.signatures
    }
}

/// Returns what the keys of a LogConf sign: `"dgns/logconf/v1" 00, u8 length(origin), origin, payload` (PROTOCOL 1.2).
fn signed_bytes(origin: &Origin, payload: &[u8]) -> Vec<u8> {
    let origin = origin.as_str().as_bytes();
    let length = u8::try_from(origin.len()).expect("an origin has at most 94 bytes");
    [b"dgns/logconf/v1\0", &[length][..], origin, payload].concat()
}

/// Reads 1 to 8 signatures, strictly ascending by kid.
fn read_signatures(reader: &mut Reader<'_>) -> Result<Vec<(Kid, [u8; 64])>, WireError> {
    let signatures = reader.list(SIGNATURES_MAX, |reader| {
        reader.array_of(2)?;
        Ok::<_, WireError>((Kid(reader.fixed()?), reader.fixed()?))
    })?;
    if signatures.is_empty() {
        return Err(WireError::Unexpected);
    }
    if signatures.is_sorted_by(|(a, _), (b, _)| a < b) { Ok(signatures) } else { Err(WireError::NotCanonical) }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

//! The envelope around a payload, and the signing of it (PROTOCOL 4.1, 1.2).

use core::ops::Range;
use std::sync::Arc;

use super::{ChainId, Kid, Payload, Sid};
use crate::did::Did;
use crate::hash::sha256;
use crate::key::SigningKey;
use crate::limits::{CERTIFICATE_BYTES_MAX, SIGNATURES_MAX};
use crate::name::Origin;
use crate::wire::{Reader, WireError, Writer};

/// The only format of envelopes.
const FORMAT: u64 = 1;

/// Why bytes are not a certificate. Fault: whoever made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not CBOR of the permitted subset. PROTOCOL 1.3. Code `bad_cbor`.
    #[error("not CBOR of the permitted subset")]
    BadCbor,
    /// Readable, but not the only permitted spelling. PROTOCOL 1.3. Code `not_canonical`.
    #[error("not canonical CBOR")]
    NotCanonical,
    /// A field is missing, unknown, of another type, or outside its range. PROTOCOL 4.4. Code `bad_field`.
    #[error("a field is missing, unknown, of another type, or outside its range")]
    BadField,
    /// A type that no rule admits, critical or not. PROTOCOL 4.4. Code `unknown_type`.
    #[error("certificate type {0} is not known")]
    UnknownType(u64),
    /// A name outside the grammar. PROTOCOL 2.1. Code `bad_name`.
    #[error("a name is outside the grammar")]
    BadName,
    /// More than 4,096 bytes. PROTOCOL 16. Code `too_large`.
    #[error("more than 4,096 bytes")]
    TooLarge,
}

impl DecodeError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadCbor => "bad_cbor",
            Self::NotCanonical => "not_canonical",
            Self::BadField => "bad_field",
            Self::UnknownType(_) => "unknown_type",
            Self::BadName => "bad_name",
            Self::TooLarge => "too_large",
        }
    }
}

impl From<WireError> for DecodeError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::BadCbor => Self::BadCbor,
            WireError::NotCanonical => Self::NotCanonical,
            WireError::Unexpected => Self::BadField,
        }
    }
}

/// A decoded certificate whose signatures nobody has checked yet.
///
/// Its bytes are canonical and its fields in range; whether its signers are who they claim and may say what they say is for
/// [`Certificate::verify`] and the rules. It never changes, so copies share what they are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate(Arc<Parts>);

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    envelope: Vec<u8>,
    payload_range: Range<usize>,
    payload: Payload,
    sid: Sid,
    signatures: Vec<(Kid, [u8; 64])>,
}

/// Returns what the keys of a certificate sign: `"dgns/cert/v1" 00, u8 length(origin), origin, payload` (PROTOCOL 1.2).
pub fn signed_bytes(origin: &Origin, payload: &[u8]) -> Vec<u8> {
    let origin = origin.as_str().as_bytes();
    let origin_len = u8::try_from(origin.len()).expect("an origin has at most 94 bytes");
    let mut out = Vec::with_capacity(14 + origin.len() + payload.len());
    out.extend_from_slice(b"dgns/cert/v1\0");
    out.push(origin_len);
    out.extend_from_slice(origin);
    out.extend_from_slice(payload);
    out
}

impl Certificate {
    /// Decodes an envelope and the payload in it.
    pub fn decode(envelope: &[u8]) -> Result<Self, DecodeError> {
        if envelope.len() > CERTIFICATE_BYTES_MAX {
            return Err(DecodeError::TooLarge);
        }
        let mut reader = Reader::new(envelope);
        reader.array_of(3)?;
        if reader.uint()? != FORMAT {
            return Err(DecodeError::BadField);
        }
        let payload_bytes = reader.bytes()?;
        let payload_range = reader.position() - payload_bytes.len()..reader.position();
        let signatures = read_signatures(&mut reader)?;
        reader.end()?;
        let payload = Payload::decode(payload_bytes)?;
        let sid = sha256(&[payload_bytes]);
        Ok(Self(Arc::new(Parts { envelope: envelope.to_vec(), payload_range, payload, sid, signatures })))
    }

    /// Signs `payload` for the log of `origin` with each of `keys`.
    ///
    /// Errors: `too_large`; `bad_field` without a key or with more than 8, and whatever decoding the payload would refuse.
    pub fn sign(payload: &Payload, origin: &Origin, keys: &[&SigningKey]) -> Result<Self, DecodeError> {
        let bytes = payload.encode();
        let message = signed_bytes(origin, &bytes);
        let signatures = keys.iter().map(|key| (key.kid(), key.sign(&message))).collect();
        Self::assemble(&bytes, signatures)
    }

    /// Joins a payload with signatures made elsewhere, in any order; of two by one kid the first stays.
    pub fn assemble(payload: &[u8], mut signatures: Vec<(Kid, [u8; 64])>) -> Result<Self, DecodeError> {
        signatures.sort_by_key(|(kid, _)| *kid);
        signatures.dedup_by_key(|(kid, _)| *kid);
        let mut writer = Writer::new();
        writer.array(3).uint(FORMAT).bytes(payload).array(signatures.len());
        for (kid, signature) in &signatures {
            writer.array(2).bytes(&kid.0).bytes(signature);
        }
        Self::decode(&writer.finish())
    }

    /// Returns the same certificate with more signatures over its unchanged payload, as a server adds its zone's.
    pub fn with_signatures_added(&self, more: &[(Kid, [u8; 64])]) -> Result<Self, DecodeError> {
        Self::assemble(self.payload_bytes(), [self.0.signatures.as_slice(), more].concat())
    }

    /// Returns the envelope, as it was received or made.
    pub fn encode(&self) -> Vec<u8> {
        self.0.envelope.clone()
    }

    /// Returns the envelope, as it was received or made.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.envelope
    }

    /// Returns SHA-256 of the payload: what names this certificate, whoever signed it.
    pub fn sid(&self) -> Sid {
        self.0.sid
    }

    /// Returns the chain this extends; a genesis makes it.
    pub fn chain(&self) -> ChainId {
        self.0.payload.subject.unwrap_or_else(|| ChainId::Did(Did::of_genesis(&self.0.sid)))
    }

    /// Returns the DID whose chain this extends; `None` for a sign-in, which is in the chain of an alias.
    pub fn chain_did(&self) -> Option<Did> {
        self.chain().did()
    }

    /// Returns what it says.
    pub fn payload(&self) -> &Payload {
        &self.0.payload
    }

    /// Returns the bytes of what it says.
    pub fn payload_bytes(&self) -> &[u8] {
        &self.0.envelope[self.0.payload_range.clone()]
    }

    /// Returns its type (PROTOCOL 4.4).
    pub fn kind(&self) -> u8 {
        self.0.payload.body.kind()
    }

    /// Returns the signatures, ascending by kid.
    pub fn signatures(&self) -> &[(Kid, [u8; 64])] {
        &self.0.signatures
    }

    /// Returns what its keys sign for the log of `origin`.
    pub fn signed_bytes(&self, origin: &Origin) -> Vec<u8> {
        signed_bytes(origin, self.payload_bytes())
    }
}

fn read_signatures(reader: &mut Reader<'_>) -> Result<Vec<(Kid, [u8; 64])>, DecodeError> {
    let signatures = reader.list(SIGNATURES_MAX, |r| {
        r.array_of(2)?;
        Ok::<_, WireError>((Kid(r.fixed()?), r.fixed()?))
    })?;
    if signatures.is_empty() {
        return Err(DecodeError::BadField);
    }
    let ascending = signatures.is_sorted_by(|(a, _), (b, _)| a < b);
    if ascending { Ok(signatures) } else { Err(DecodeError::NotCanonical) }
}

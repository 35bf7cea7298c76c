//! The payload of a certificate as bytes (PROTOCOL 4.2).

use super::{Body, ChainId, ClaimProof, DecodeError, Payload, Seen};
use crate::did::Did;
use crate::wire::{Reader, WireError, Writer};

impl Payload {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let optional = [self.subject.is_some(), self.prev.is_some(), !self.critical, self.by.is_some()]
            .iter()
            .filter(|p| **p)
            .count();
        let mut writer = Writer::new();
        writer.map(5 + optional).uint(0).uint(u64::from(self.body.kind()));
        if let Some(subject) = &self.subject {
            match subject {
                ChainId::Did(did) => writer.uint(1).bytes(did.as_bytes()),
                ChainId::Alias(alias) => writer.uint(1).bytes(alias),
            };
        }
        writer.uint(2).uint(self.seq);
        if let Some(prev) = &self.prev {
            writer.uint(3).bytes(prev);
        }
        writer.uint(4).array(2).uint(self.seen.size).bytes(&self.seen.root);
        writer.uint(5).uint(self.unix_s);
        writer.uint(6);
        self.body.write(&mut writer);
        if !self.critical {
            writer.uint(7).bool(false);
        }
        if let Some(by) = &self.by {
            writer.uint(8).bytes(by.as_bytes());
        }
        writer.finish()
    }

    /// Decodes a payload and refuses it unless encoding it again gives the same bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let payload = Self::read(&mut reader)?;
        reader.end()?;
        payload.check_chain_fields()?;
        if payload.encode() != bytes {
            return Err(DecodeError::NotCanonical);
        }
        Ok(payload)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut fields = reader.fields()?;
        let kind = fields.required(0, |r| r.uint())?;
        let kind = u8::try_from(kind).ok().filter(|k| Body::is_known(*k)).ok_or(DecodeError::UnknownType(kind))?;
        let payload = Self {
            subject: fields.optional(1, read_subject)?,
            seq: fields.required(2, |r| r.uint())?,
            prev: fields.optional(3, |r| r.fixed())?,
            seen: fields.required(4, read_seen)?,
            unix_s: fields.required(5, |r| r.uint())?,
            body: fields.required(6, |r| Body::read(kind, r))?,
            critical: fields.optional(7, |r| r.bool())?.unwrap_or(true),
            by: fields.optional(8, |r| r.fixed())?.map(Did::from_bytes),
        };
        fields.end()?;
        Ok(payload)
    }

    /// A genesis begins a DID's chain and others follow in it; a sign-in begins or follows in an alias's. Only two types have a
    /// second party.
    fn check_chain_fields(&self) -> Result<(), DecodeError> {
        let is_first = self.seq == 0 && self.prev.is_none();
        let is_later = self.seq > 0 && self.prev.is_some();
        let in_place = match (&self.body, self.subject) {
            (Body::Genesis(_), None) => is_first,
            (Body::AttestLogin(_), Some(ChainId::Alias(_))) => is_first || is_later,
            (Body::Genesis(_) | Body::AttestLogin(_), _) => false,
            (_, Some(ChainId::Did(_))) => is_later,
            _ => false,
        };
        let second_party = match &self.body {
            Body::Claim(claim) => claim.proof == ClaimProof::Parent,
            Body::Transfer { to, .. } => to.is_some(),
            _ => false,
        };
        if in_place && (second_party || self.by.is_none()) { Ok(()) } else { Err(DecodeError::BadField) }
    }
}

/// A DID has 20 bytes, an alias 32.
fn read_subject(reader: &mut Reader<'_>) -> Result<ChainId, WireError> {
    let bytes = reader.bytes()?;
    match (<[u8; 20]>::try_from(bytes), <[u8; 32]>::try_from(bytes)) {
        (Ok(did), _) => Ok(ChainId::Did(Did::from_bytes(did))),
        (_, Ok(alias)) => Ok(ChainId::Alias(alias)),
        _ => Err(WireError::Unexpected),
    }
}

fn read_seen(reader: &mut Reader<'_>) -> Result<Seen, DecodeError> {
    reader.array_of(2)?;
    Ok(Seen { size: reader.uint()?, root: reader.fixed()? })
}

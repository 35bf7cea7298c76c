//! The state of an alias as bytes (PROTOCOL 6.4).

use super::codec::{read_head, read_whole, write_head};
use super::{AliasState, Attested};
use crate::cert::{DecodeError, Kid};
use crate::did::Did;
use crate::limits::ATTESTED_MAX;
use crate::wire::{Reader, Writer};

impl AliasState {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let present = [self.did.is_some(), self.head.is_some(), !self.attested.is_empty(), self.breaker_ms != 0];
        let mut w = Writer::new();
        w.map(2 + present.iter().filter(|p| **p).count()).uint(0).uint(self.version).uint(1).bytes(&self.alias);
        if let Some(did) = &self.did {
            w.uint(2).bytes(did.as_bytes());
        }
        if let Some(head) = &self.head {
            write_head(w.uint(3), head);
        }
        if !self.attested.is_empty() {
            w.uint(4).array(self.attested.len());
            self.attested.iter().for_each(|row| write_attested(&mut w, row));
        }
        if self.breaker_ms != 0 {
            w.uint(5).uint(self.breaker_ms);
        }
        w.finish()
    }

    /// Decodes a state and refuses it unless encoding it again gives the same bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let state = read_whole(bytes, Self::read)?;
        let in_order = state.attested.is_sorted_by(|a, b| a.index < b.index);
        let grown = state.head.is_some() || state.attested.is_empty();
        if !(in_order && grown && state.version > 0) {
            return Err(DecodeError::BadField);
        }
        if state.encode() == bytes { Ok(state) } else { Err(DecodeError::NotCanonical) }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut fields = reader.fields()?;
        let state = Self {
            version: fields.required(0, |r| r.uint())?,
            alias: fields.required(1, |r| r.fixed())?,
            did: fields.optional(2, |r| r.fixed())?.map(Did::from_bytes),
            head: fields.optional(3, read_head)?,
            attested: fields.optional(4, |r| r.list(ATTESTED_MAX, read_attested))?.unwrap_or_default(),
            breaker_ms: fields.optional(5, |r| r.uint())?.unwrap_or(0),
        };
        fields.end()?;
        Ok(state)
    }
}

fn write_attested(w: &mut Writer, row: &Attested) {
    w.array(6).bytes(&row.sign).bytes(&row.kex).uint(row.index).bytes(&row.sid).bytes(&row.notary.0).bool(row.disputed);
}

fn read_attested(reader: &mut Reader<'_>) -> Result<Attested, DecodeError> {
    reader.array_of(6)?;
    Ok(Attested {
        sign: reader.fixed()?,
        kex: reader.fixed()?,
        index: reader.uint()?,
        sid: reader.fixed()?,
        notary: Kid(reader.fixed()?),
        disputed: reader.bool()?,
    })
}

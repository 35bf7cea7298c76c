//! The bodies of `/v1/envelopes`: sealed mail to a device, and what waits for it; deterministic CBOR (PROTOCOL 12.14).

use identity::alias::AliasId;
use identity::cert::KeyBytes;
use identity::did::Did;
use identity::sealed::Sealed;
use identity::wire::{Reader, WireError, Writer};

/// The bytes of an envelope with its address.
pub const POST_BYTES_MAX: usize = CT_BYTES_MAX + 132;

/// The bytes of what is sealed in it.
pub const CT_BYTES_MAX: usize = 4_096;

/// How many envelopes an answer has at most.
pub const WAITING_MAX: usize = 64;

/// Mail on its way: `{1: did, 2: signing key of the device, 3: enc, 4: ct, 5? alias}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The person.
    pub did: Did,
    /// The device's signing key.
    pub device: KeyBytes,
    /// What nobody but the device reads.
    pub sealed: Sealed,
    /// The person's alias that the key signed in with, if it is no device of theirs yet.
    pub alias: Option<AliasId>,
}

impl Envelope {
    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(self.sealed.ct.len() + 132);
        w.map(4 + usize::from(self.alias.is_some()));
        w.uint(1).bytes(self.did.as_bytes()).uint(2).bytes(&self.device);
        w.uint(3).bytes(&self.sealed.enc).uint(4).bytes(&self.sealed.ct);
        if let Some(alias) = &self.alias {
            w.uint(5).bytes(alias);
        }
        w.finish()
    }

    /// Reads an envelope; there is one spelling.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        let mut fields = r.fields()?;
        let did = Did::from_bytes(fields.required(1, Reader::fixed)?);
        let device = fields.required(2, Reader::fixed)?;
        let enc = fields.required(3, Reader::fixed)?;
        let ct = fields.required(4, Reader::bytes)?.to_vec();
        let alias = fields.optional(5, Reader::fixed)?;
        fields.end()?;
        r.end()?;
        if ct.len() > CT_BYTES_MAX {
            return Err(WireError::Unexpected);
        }
        Ok(Self { did, device, sealed: Sealed { enc, ct }, alias })
    }
}

/// Returns what a server keeps of an envelope, and hands out: `[enc, ct]`.
pub fn encode_sealed(sealed: &Sealed) -> Vec<u8> {
    let mut w = Writer::with_capacity(sealed.ct.len() + 40);
    w.array(2).bytes(&sealed.enc).bytes(&sealed.ct);
    w.finish()
}

/// Reads what waits for a device: `[[id, [enc, ct]], ...]`, ids ascending.
pub fn decode_waiting(bytes: &[u8]) -> Result<Vec<(u64, Sealed)>, WireError> {
    let mut r = Reader::new(bytes);
    let waiting = r.list(WAITING_MAX, |r| {
        r.array_of(2)?;
        let id = r.uint()?;
        r.array_of(2)?;
        Ok::<_, WireError>((id, Sealed { enc: r.fixed()?, ct: r.bytes()?.to_vec() }))
    })?;
    r.end()?;
    if waiting.is_sorted_by(|a, b| a.0 < b.0) { Ok(waiting) } else { Err(WireError::Unexpected) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_have_one_spelling() {
        let sealed = Sealed { enc: [3; 32], ct: vec![4; CT_BYTES_MAX] };
        for alias in [None, Some([5; 32])] {
            let envelope = Envelope { did: Did::from_bytes([1; 20]), device: [2; 32], sealed: sealed.clone(), alias };
            let bytes = envelope.encode();
            assert!(bytes.len() <= POST_BYTES_MAX);
            assert_eq!(Envelope::decode(&bytes), Ok(envelope.clone()));
            assert!(Envelope::decode(&bytes[..bytes.len() - 1]).is_err());
            assert!(Envelope::decode(&[&bytes[..], &[0]].concat()).is_err());
            let mut long = envelope;
            long.sealed.ct.push(0);
            assert_eq!(Envelope::decode(&long.encode()), Err(WireError::Unexpected));
        }
        let mut w = Writer::new();
        w.array(2).array(2).uint(7).raw(&encode_sealed(&sealed)).array(2).uint(7).raw(&encode_sealed(&sealed));
        assert_eq!(decode_waiting(&w.finish()), Err(WireError::Unexpected), "one id twice");
        assert_eq!(decode_waiting(&[0x80]), Ok(Vec::new()));
    }
}

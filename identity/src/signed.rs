//! One payload under one signature: `[1, payload bstr, [[kid 8, signature 64]]]` (PROTOCOL 4.1 with a single signer).
//!
//! What grants, hellos and cards travel in. The domain string says what a signature is good for; nobody has checked it until
//! [`Signed::verify`] did.

use core::ops::Range;

use crate::cert::{KeyBytes, Kid};
use crate::key::{BadSignature, SigningKey, signed_bytes, verify_strict};
use crate::name::Origin;
use crate::wire::{Reader, WireError, Writer};

/// A payload with its signature, which nobody has checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    envelope: Vec<u8>,
    payload: Range<usize>,
    kid: Kid,
    signature: [u8; 64],
}

/// The parts of an envelope where they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedRef<'a> {
    /// What is signed.
    pub payload: &'a [u8],
    /// Where it begins in the envelope.
    at: usize,
    kid: Kid,
    signature: [u8; 64],
}

impl<'a> SignedRef<'a> {
    /// Decodes an envelope; the payload is not looked at.
    pub fn decode(envelope: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(envelope);
        reader.array_of(3)?;
        if reader.uint()? != 1 {
            return Err(WireError::Unexpected);
        }
        let payload = reader.bytes()?;
        let at = reader.position() - payload.len();
        reader.array_of(1)?;
        reader.array_of(2)?;
        let (kid, signature) = (Kid(reader.fixed()?), reader.fixed()?);
        reader.end()?;
        Ok(Self { payload, at, kid, signature })
    }
}

impl Signed {
    /// Signs a payload for one purpose and the log of `origin`.
    pub fn sign(domain: &'static str, origin: &Origin, payload: &[u8], key: &SigningKey) -> Self {
        let signature = key.sign(&signed_bytes(domain, origin, &[payload]));
        let mut writer = Writer::with_capacity(payload.len() + 90);
        writer.array(3).uint(1).bytes(payload).array(1).array(2).bytes(&key.kid().0).bytes(&signature);
        Self::decode(&writer.finish()).expect("what was written just now is read")
    }

    /// Decodes an envelope; the payload is not looked at.
    pub fn decode(envelope: &[u8]) -> Result<Self, WireError> {
        let SignedRef { payload, at, kid, signature } = SignedRef::decode(envelope)?;
        Ok(Self { envelope: envelope.to_vec(), payload: at..at + payload.len(), kid, signature })
    }

    /// Returns the envelope.
    pub fn as_bytes(&self) -> &[u8] {
        &self.envelope
    }

    /// Returns the payload.
    pub fn payload(&self) -> &[u8] {
        &self.envelope[self.payload.clone()]
    }

    /// Returns which key is said to have signed.
    pub fn kid(&self) -> Kid {
        self.kid
    }

    /// Checks the signature strictly under `key`, which the caller chose by its kid.
    pub fn verify(&self, domain: &'static str, origin: &Origin, key: &KeyBytes) -> Result<(), BadSignature> {
        verify_strict(key, &signed_bytes(domain, origin, &[self.payload()]), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_one_purpose_log_and_key() {
        // Goal: nothing signed passes for anything else. Method: another domain, origin, key; each byte of the envelope flipped.
        let (key, other) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let origin = |text: &str| Origin::parse(text).unwrap();
        let signed = Signed::sign("dgns/x/v1", &origin("dgns.test/log"), b"payload", &key);
        let check = |domain: &'static str, at: &str, key: &SigningKey| {
            signed.verify(domain, &origin(at), &key.public()).is_ok()
        };
        assert!(check("dgns/x/v1", "dgns.test/log", &key));
        assert!(!check("dgns/y/v1", "dgns.test/log", &key));
        assert!(!check("dgns/x/v1", "other.test/log", &key));
        assert!(!check("dgns/x/v1", "dgns.test/log", &other));
        for at in 0..signed.as_bytes().len() {
            let mut bytes = signed.as_bytes().to_vec();
            bytes[at] ^= 1;
            let passes = |signed: Signed| {
                signed.kid() == key.kid() && signed.verify("dgns/x/v1", &origin("dgns.test/log"), &key.public()).is_ok()
            };
            assert!(!Signed::decode(&bytes).is_ok_and(passes), "byte {at}");
        }
    }
}

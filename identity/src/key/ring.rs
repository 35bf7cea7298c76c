//! Keys that many signatures are by: each is decoded once.

use std::collections::HashMap;

use ed25519_dalek::{Signature, VerifyingKey};

use super::{KeyError, PublicKey, canonical_key};
use crate::cert::KeyBytes;

/// Keys met so far, decoded: what an auditor verifies hundreds of signatures with. Decoding a key costs a third of a signature.
#[derive(Debug, Default)]
pub struct KeyRing(HashMap<KeyBytes, VerifyingKey>);

impl KeyRing {
    /// Returns a ring without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Admits a key as [`PublicKey::admit`] does.
    pub fn admit(&mut self, bytes: &KeyBytes) -> Result<(), KeyError> {
        let PublicKey(key) = PublicKey::admit(bytes)?;
        self.0.insert(*bytes, key);
        Ok(())
    }

    /// Returns whether all signatures `(key, message, signature)` hold, checked together.
    ///
    /// For auditors alone: it accepts some signatures with torsion that [`super::verify_strict`] refuses, though none that its
    /// signer did not make. `false` names no culprit; look singly then.
    pub fn verify_batch(&mut self, signatures: &[(&KeyBytes, &[u8], &[u8; 64])]) -> bool {
        let keys: Option<Vec<VerifyingKey>> = signatures.iter().map(|(key, _, _)| self.key(key)).collect();
        let Some(keys) = keys else { return false };
        let messages: Vec<&[u8]> = signatures.iter().map(|(_, message, _)| *message).collect();
        let signatures: Vec<Signature> = signatures.iter().map(|(_, _, bytes)| Signature::from_bytes(bytes)).collect();
        ed25519_dalek::verify_batch(&messages, &signatures, &keys).is_ok()
    }

    /// Returns a key that is canonical and not of small order.
    fn key(&mut self, bytes: &KeyBytes) -> Option<VerifyingKey> {
        if let Some(known) = self.0.get(bytes) {
            return Some(*known);
        }
        let key = canonical_key(bytes).ok().filter(|key| !key.is_weak())?;
        self.0.insert(*bytes, key);
        Some(key)
    }
}

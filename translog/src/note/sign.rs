//! Those who sign: a log its checkpoints, a witness what it saw.

use core::fmt;

use identity::key::SigningKey;

use super::vkey::{KeyKind, VerifierKey, VkeyError, is_key_name};
use super::{Checkpoint, SignatureLine};

/// A log's signing key with its name, the origin.
pub struct LogSigner {
    key: SigningKey,
    public: VerifierKey,
}

/// A cosigner's signing key with its name.
pub struct Cosigner {
    key: SigningKey,
    public: VerifierKey,
}

impl LogSigner {
    /// Returns the signer of the log with this origin. Errors: [`VkeyError::Name`].
    pub fn new(origin: &str, key: SigningKey) -> Result<Self, VkeyError> {
        let public = public_key(origin, KeyKind::Log, &key)?;
        Ok(Self { key, public })
    }

    /// Returns the key that verifies what this one signs.
    pub const fn verifier_key(&self) -> &VerifierKey {
        &self.public
    }

    /// Returns the key itself, for the one other thing it signs: a LogConf that names it.
    pub const fn signing_key(&self) -> &SigningKey {
        &self.key
    }

    /// Signs a checkpoint.
    pub fn sign(&self, checkpoint: &Checkpoint) -> SignatureLine {
        line(&self.public, self.key.sign(checkpoint.text().as_bytes()).to_vec())
    }
}

impl Cosigner {
    /// Returns the cosigner of this name. Errors: [`VkeyError::Name`].
    pub fn new(name: &str, key: SigningKey) -> Result<Self, VkeyError> {
        let public = public_key(name, KeyKind::Cosigner, &key)?;
        Ok(Self { key, public })
    }

    /// Returns the key that verifies what this one signs.
    pub const fn verifier_key(&self) -> &VerifierKey {
        &self.public
    }

    /// Signs that as of `time_s` (Unix seconds) this is the largest consistent head seen of its log.
    pub fn cosign(&self, checkpoint: &Checkpoint, time_s: u64) -> SignatureLine {
        self.cosign_text(&checkpoint.text(), time_s)
    }

    /// As [`Cosigner::cosign`], of a checkpoint's whole text: other logs' may have extension lines.
    pub(crate) fn cosign_text(&self, text: &str, time_s: u64) -> SignatureLine {
        let signature = self.key.sign(cosigned_message(text, time_s).as_bytes());
        line(&self.public, [&time_s.to_be_bytes(), &signature[..]].concat())
    }
}

/// Returns what a cosignature of type 04 signs: `cosignature/v1`, the time, and the checkpoint's text (PROTOCOL 9.4).
pub fn cosigned_message(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

impl fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogSigner").field(&self.public).finish()
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cosigner").field(&self.public).finish()
    }
}

/// The public half of a signing key, which is always usable.
fn public_key(name: &str, kind: KeyKind, key: &SigningKey) -> Result<VerifierKey, VkeyError> {
    if is_key_name(name) { Ok(VerifierKey::of_usable(name, kind, key.public())) } else { Err(VkeyError::Name) }
}

/// The line that carries a signature.
fn line(key: &VerifierKey, signature: Vec<u8>) -> SignatureLine {
    SignatureLine { name: key.name().to_owned(), id: key.id(), signature }
}

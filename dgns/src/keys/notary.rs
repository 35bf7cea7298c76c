//! The keys of notaries: each says for one issuer whom it let in (PROTOCOL 19.4).

use std::path::{Path, PathBuf};

use identity::cert::{Authority, Certificate, DecodeError, KeyBytes, Role};
use identity::evidence::issuer_hash;
use identity::hash::Hash;
use identity::key::SigningKey;
use identity::name::Origin;
use rand_core::CryptoRng;

use super::{KeyFileError, read_or_make};

/// The key that speaks for one issuer.
#[derive(Debug)]
pub struct NotaryKey {
    key: SigningKey,
    scope: String,
    issuer: Hash,
}

impl NotaryKey {
    /// Returns the file of the key for the issuer that the configuration calls `id`.
    pub fn file(directory: &Path, id: &str) -> PathBuf {
        directory.join(format!("notary-{id}.key"))
    }

    /// Reads the key for the issuer `scope`, made now if there is no file.
    pub fn read_or_make(path: &Path, scope: String, rng: &mut impl CryptoRng) -> Result<Self, KeyFileError> {
        let seed = read_or_make(path, "notary", rng)?;
        let key = SigningKey::from_seed(&seed);
        let issuer = issuer_hash(&scope);
        Ok(Self { key, scope, issuer })
    }

    /// Returns the public key.
    pub fn public(&self) -> KeyBytes {
        self.key.public()
    }

    /// Returns the issuer: its URL as it spells it itself, or `passkey:` and the zone.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// Returns what the log calls the issuer.
    pub fn issuer(&self) -> &Hash {
        &self.issuer
    }

    /// Returns what the log says of the key.
    pub fn authority(&self) -> Authority {
        Authority { role: Role::Notary, key: self.public(), scope: self.scope.clone(), zone: None }
    }

    /// Returns the certificate with this key's signature added. Errors: nine signatures, or more than 4,096 bytes.
    pub fn countersign(&self, certificate: &Certificate, origin: &Origin) -> Result<Certificate, DecodeError> {
        let signature = self.key.sign(&certificate.signed_bytes(origin));
        certificate.with_signatures_added(&[(self.key.kid(), signature)])
    }

    /// Returns the secret, to sign what the notary says by itself.
    pub(crate) fn secret(&self) -> &SigningKey {
        &self.key
    }
}

//! The keys of notaries: each says for one issuer whom it let in (PROTOCOL 19.4).

use std::path::{Path, PathBuf};

use identity::cert::{Authority, Body, Certificate, DecodeError, KeyBytes, Role};
use identity::evidence::issuer_hash;
use identity::hash::Hash;
use identity::key::SigningKey;
use identity::name::Origin;
use identity::state::DidState;
use rand_core::CryptoRng;

use super::{KeyFileError, read_key, read_or_make};

/// The key that speaks for one issuer.
#[derive(Debug)]
pub struct NotaryKey {
    key: SigningKey,
    scope: String,
    issuer: Hash,
}

/// Where a notary's key stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its word counts.
    Speaks,
    /// Its word counted once.
    Revoked,
    /// Its certificate waits for its window, or is not there; 0 if that is all there is to know.
    Waits {
        /// When the window is over, in epoch time.
        due_ms: u64,
    },
}

impl NotaryKey {
    /// Returns the file of the key for the issuer that the configuration calls `id`.
    pub fn file(directory: &Path, id: &str) -> PathBuf {
        directory.join(format!("notary-{id}.key"))
    }

    /// Reads the key for the issuer `scope`, made now if there is no file.
    pub fn read_or_make(path: &Path, scope: String, rng: &mut impl CryptoRng) -> Result<Self, KeyFileError> {
        Ok(Self::of_seed(&*read_or_make(path, "notary", rng)?, scope))
    }

    /// Reads the key for the issuer `scope`. Errors: there is no file.
    pub fn read(path: &Path, scope: String) -> Result<Self, KeyFileError> {
        let [seed] = read_key(path, "notary")?;
        Ok(Self::of_seed(&seed, scope))
    }

    fn of_seed(seed: &[u8; 32], scope: String) -> Self {
        let issuer = issuer_hash(&scope);
        Self { key: SigningKey::from_seed(seed), scope, issuer }
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

    /// Returns where the key stands in the chain of the server.
    pub fn standing(&self, server: &DidState) -> Standing {
        let authority = self.authority();
        let mut rows = server.authorities.iter().filter(|row| row.authority == authority);
        match rows.next_back().map(|row| row.revoked_at) {
            Some(None) => return Standing::Speaks,
            Some(Some(_)) => return Standing::Revoked,
            None => {}
        }
        let body = Body::NotaryAdd(authority);
        let (kind, bytes) = (body.kind(), body.encode());
        let waits = server.pending.iter().find(|act| act.kind == kind && act.body == bytes);
        Standing::Waits { due_ms: waits.map_or(0, |act| act.due_ms) }
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

//! The key that blinds what `people.db` holds of people: without it nobody can tell whose row is whose.

use std::path::Path;

use identity::hash::{Hash, keyed_hash, u16_prefixed};
use identity::kdf;
use identity::key::KexSecret;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{KeyFileError, read_or_make};

/// A secret of 32 bytes that leaves the server never.
pub struct PeopleKey(Zeroizing<[u8; 32]>);

impl PeopleKey {
    /// The name of its file below `keys/`.
    pub const FILE: &'static str = "people.key";

    /// Reads the key, made now if there is no file.
    pub fn read_or_make(path: &Path, rng: &mut impl CryptoRng) -> Result<Self, KeyFileError> {
        read_or_make(path, "people", rng).map(Self)
    }

    /// Returns the key that profiles lie under.
    pub fn profile_box(&self) -> KexSecret {
        KexSecret::from_bytes(*kdf::derive("dgns/profile/v1", self.0.as_ref(), &[]))
    }

    /// Returns the key that subscriptions of push services lie under.
    pub fn push_box(&self) -> KexSecret {
        KexSecret::from_bytes(*kdf::derive("dgns/push/v1", self.0.as_ref(), &[]))
    }

    /// Returns the key by which topics of pushes are made, which tell a push service what replaces what and nothing else.
    pub fn push_topic(&self) -> [u8; 32] {
        *kdf::derive("dgns/push-topic-key/v1", self.0.as_ref(), &[])
    }

    /// Returns what stands for a subject of an issuer.
    pub fn subject(&self, issuer: &str, subject: &str) -> Hash {
        let parts = [u16_prefixed(issuer.as_bytes()), u16_prefixed(subject.as_bytes())];
        keyed_hash(&self.0, "dgns/people-subject/v1", &[&parts[0], &parts[1]])
    }

    /// Returns what stands for an e-mail address in its normal form.
    pub fn email(&self, address: &str) -> Hash {
        keyed_hash(&self.0, "dgns/people-email/v1", &[&u16_prefixed(address.as_bytes())])
    }
}

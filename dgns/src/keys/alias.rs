//! The alias key: evaluates addresses that it never sees (PROTOCOL 3.5).

use std::path::Path;

use identity::alias::Evaluation;
use identity::cert::KeyBytes;
use identity::email::Email;
use identity::oprf::{self, Element, OprfError, ProofBytes};
use rand_core::CryptoRng;

use super::{KeyFileError, read_or_make};

/// The keyed function behind alias ids.
#[derive(Debug)]
pub struct AliasKey(oprf::Server);

impl AliasKey {
    /// The name of its file below `keys/`.
    pub const FILE: &'static str = "alias.key";

    /// Reads the key, made now if there is no file.
    pub fn read_or_make(path: &Path, rng: &mut impl CryptoRng) -> Result<Self, KeyFileError> {
        read_or_make(path, "alias", rng).map(|seed| Self(oprf::Server::from_seed(&seed)))
    }

    /// Returns the public key, which an authority of role 3 certifies.
    pub fn public(&self) -> KeyBytes {
        self.0.public()
    }

    /// Returns the evaluation of an address that this server was shown.
    pub fn evaluation(&self, address: &Email) -> Evaluation {
        self.0.output(address.as_str().as_bytes()).expect("an address has 3 to 320 bytes")
    }

    /// Evaluates 1 to 16 blinded elements, with one proof for all.
    pub fn evaluate(
        &self,
        blinded: &[Element],
        rng: &mut impl CryptoRng,
    ) -> Result<(Vec<Element>, ProofBytes), OprfError> {
        self.0.evaluate(blinded, rng)
    }
}

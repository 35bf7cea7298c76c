//! Ed25519 and X25519 keys (PROTOCOL 3). The room of `curve25519-dalek`, `ed25519-dalek` and `x25519-dalek`; only bytes leave it.
//!
//! Signatures are checked strictly wherever one is accepted, one by one or in a [`Batch`], which is as strict.

mod batch;

use core::fmt;

use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use crate::cert::{KeyBytes, Kid};
use crate::hash::sha256;
use crate::name::Origin;

pub use batch::Batch;

/// Why an Ed25519 key may not enter a chain (PROTOCOL 3.1). Every variant has the code `weak_key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes encode no point of the curve.
    #[error("not a point of the curve")]
    NotAPoint,
    /// The bytes are a second spelling of a point: two kids for one key.
    #[error("not the canonical encoding of a point")]
    NotCanonical,
    /// The point has small order: some signatures hold for every message.
    #[error("a point of small order")]
    SmallOrder,
    /// The point lies outside the prime-order subgroup: verifiers with and without cofactor would disagree.
    #[error("a point with torsion")]
    Torsion,
}

impl KeyError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        "weak_key"
    }
}

/// The signature does not hold for this key and message. Code `bad_signature`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// Returns the kid of an Ed25519 key: the first 8 bytes of its SHA-256 (PROTOCOL 3.4).
pub fn kid_of(key: &KeyBytes) -> Kid {
    let hash = sha256(&[key]);
    let mut kid = [0; 8];
    kid.copy_from_slice(&hash[..8]);
    Kid(kid)
}

/// Returns what a key signs for the log of `origin` and one purpose: `domain 00, u8 length(origin), origin, parts` (PROTOCOL 1.2).
pub fn signed_bytes(domain: &'static str, origin: &Origin, parts: &[&[u8]]) -> Vec<u8> {
    let origin = origin.as_str().as_bytes();
    let origin_len = u8::try_from(origin.len()).expect("an origin has at most 94 bytes");
    let mut out = [domain.as_bytes(), &[0, origin_len], origin].concat();
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// An Ed25519 key that may enter a chain: canonical, not of small order, without torsion.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Admits a key, or says why it never may enter a chain.
    pub fn admit(bytes: &KeyBytes) -> Result<Self, KeyError> {
        let key = canonical_key(bytes)?;
        if key.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        if !is_torsion_free(&key.to_edwards()) {
            return Err(KeyError::Torsion);
        }
        Ok(Self(key))
    }

    /// Returns the 32 bytes.
    pub fn as_bytes(&self) -> &KeyBytes {
        self.0.as_bytes()
    }

    /// Returns its kid.
    pub fn kid(&self) -> Kid {
        kid_of(self.as_bytes())
    }

    /// Checks a signature strictly (PROTOCOL 1.2).
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| BadSignature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?})", self.kid())
    }
}

/// Checks a signature strictly under a key that needs no admission: one admitted before, or the key of a log or witness.
///
/// Strict: refused are a key that is not the canonical encoding of a point or has small order, an R of small order, S >= L, and
/// a recomputed R that differs from the signature's (PROTOCOL 1.2).
pub fn verify_strict(key: &KeyBytes, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
    let key = canonical_key(key).map_err(|_| BadSignature)?;
    key.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| BadSignature)
}

/// Decodes a key, refusing the encodings whose y is not reduced. The other double spelling, x = 0 with a sign, is a point of
/// small order and falls with those.
fn canonical_key(bytes: &KeyBytes) -> Result<VerifyingKey, KeyError> {
    if !is_reduced(bytes) {
        return Err(KeyError::NotCanonical);
    }
    VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)
}

/// Returns whether the y of an encoded point is below the prime of the field.
fn is_reduced(bytes: &[u8; 32]) -> bool {
    !(bytes[0] >= 0xed && bytes[1..31].iter().all(|&b| b == 0xff) && bytes[31] & 0x7f == 0x7f)
}

/// Returns whether the point lies in the subgroup of prime order L: whether L - 1 times the point is its negative.
///
/// As `EdwardsPoint::is_torsion_free`, in half the time: the point is public, so the time may tell of it.
fn is_torsion_free(point: &EdwardsPoint) -> bool {
    EdwardsPoint::vartime_double_scalar_mul_basepoint(&-Scalar::ONE, point, &Scalar::ZERO) == -point
}

/// An Ed25519 secret key. Its memory is wiped when it is dropped, and it is never printed.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// Makes a new key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(ed25519_dalek::SigningKey::generate(rng))
    }

    /// Returns the key with this seed, the private key of RFC 8032.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Returns the seed, to be stored or sealed.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Returns the public key.
    pub fn public(&self) -> KeyBytes {
        self.0.verifying_key().to_bytes()
    }

    /// Returns the kid of the public key.
    pub fn kid(&self) -> Kid {
        kid_of(&self.public())
    }

    /// Signs a message (pure Ed25519, deterministic).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, secret)", self.kid())
    }
}

/// An X25519 secret key: opens what others seal to its public key. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct KexSecret(x25519_dalek::StaticSecret);

impl KexSecret {
    /// Makes a new key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        let secret = Self::from_bytes(bytes);
        bytes.zeroize();
        secret
    }

    /// Returns the key with these bytes; they are clamped in use, as RFC 7748 says.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(x25519_dalek::StaticSecret::from(bytes))
    }

    /// Returns the bytes, to be stored or sealed.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Returns the public key.
    pub fn public(&self) -> KeyBytes {
        x25519_dalek::PublicKey::from(&self.0).to_bytes()
    }
}

impl fmt::Debug for KexSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KexSecret(secret)")
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

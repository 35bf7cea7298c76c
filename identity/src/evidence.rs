//! Sign-in as evidence: what ties a statement of an issuer, or of a passkey, to the keys of one device (PROTOCOL 19).
//!
//! The device's keys are hashed into the *nonce* that the issuer signs, so that a stolen statement is of no use with other keys.
//! What the log keeps of a statement is its *evidence hash*; nobody can tell from it who signed in.

mod assertion;

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

pub use assertion::{Asserted, Assertion, AssertionRefusal, Expected, P256Key};

pub use crate::alias::issuer_hash;
use crate::cert::KeyBytes;
use crate::hash::{Hash, domain_hash, sha256, u16_prefixed};
use crate::kdf;
use crate::key::{KexSecret, SigningKey, verify_strict};
use crate::name::Origin;

/// What somebody signs in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be known on this device.
    SignIn = 1,
    /// To get an account back.
    Recovery = 2,
    /// To add a way to sign in.
    Enrolment = 3,
}

impl Purpose {
    /// Returns the purpose of this number.
    pub fn of(number: u64) -> Option<Self> {
        [Self::SignIn, Self::Recovery, Self::Enrolment].into_iter().find(|purpose| *purpose as u64 == number)
    }
}

/// What the nonce of a sign-in stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// What for.
    pub purpose: Purpose,
    /// The device's signing key.
    pub sign: KeyBytes,
    /// The device's sealing key.
    pub kex: KeyBytes,
    /// The blinded element of a recovery; absent otherwise.
    pub blinded: Option<[u8; 32]>,
    /// What makes the sign-in unlike any other.
    pub random: [u8; 16],
}

impl Binding {
    /// Returns the nonce: `H(oidc; purpose u8, sign, kex, blinded or 32 zero bytes, random)`.
    pub fn nonce(&self) -> Hash {
        let blinded = self.blinded.unwrap_or_default();
        domain_hash("dgns/oidc/v1", &[&[self.purpose as u8], &self.sign, &self.kex, &blinded, &self.random])
    }

    /// Returns the nonce as an issuer or an authenticator sees it.
    pub fn nonce_text(&self) -> String {
        BASE64URL_NOPAD.encode(&self.nonce())
    }
}

/// Returns `H(evidence; u16 length, statement, random)`: an id_token as it came, or [`Assertion::bytes`].
///
/// Panics above 65,535 bytes; a door in front bounds statements far lower.
pub fn evidence_hash(statement: &[u8], random: &[u8; 16]) -> Hash {
    let statement = Zeroizing::new(u16_prefixed(statement));
    domain_hash("dgns/evidence/v1", &[&statement, random])
}

/// Returns what issuer stands for passkeys of a zone.
pub fn passkey_issuer(zone: &str) -> String {
    format!("passkey:{zone}")
}

/// Returns whom a passkey stands for where people are named by issuer and subject: its key, x and y, in unpadded base64url.
pub fn passkey_subject(key: &[u8; 64]) -> String {
    BASE64URL_NOPAD.encode(key)
}

/// Returns what a passkey's PRF is asked over: `H(passkey-salt; origin)`.
pub fn passkey_salt(origin: &Origin) -> Hash {
    domain_hash("dgns/passkey-salt/v1", &[origin.as_str().as_bytes()])
}

/// Returns the key that the output of a passkey's PRF makes: a further recipient of the user key.
pub fn passkey_recipient(output: &[u8; 32]) -> KexSecret {
    KexSecret::from_bytes(*kdf::derive("dgns/passkey-prf/v1", output, &[]))
}

/// Signs the finish of a sign-in with the device's key: whoever finishes holds the key that began.
pub fn sign_finish(origin: &Origin, state: &[u8; 32], key: &SigningKey) -> [u8; 64] {
    key.sign(&finish_bytes(origin, state))
}

/// Returns whether the holder of `sign` finishes the sign-in with this state.
pub fn finish_is_by(origin: &Origin, state: &[u8; 32], sign: &KeyBytes, signature: &[u8; 64]) -> bool {
    verify_strict(sign, &finish_bytes(origin, state), signature).is_ok()
}

fn finish_bytes(origin: &Origin, state: &[u8; 32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(160);
    bytes.extend_from_slice(b"dgns/signin/v1");
    bytes.extend_from_slice(&[0, origin.as_str().len() as u8]);
    bytes.extend_from_slice(origin.as_str().as_bytes());
    bytes.extend_from_slice(state);
    bytes
}

/// Returns what a server knows a state by: it keeps no state itself.
pub fn state_hash(state: &[u8; 32]) -> Hash {
    sha256(&[state])
}

#[cfg(test)]
mod tests;

//! Pairing: how a new device and one of a DID's own meet over a relay that neither believes (PROTOCOL 20).
//!
//! Online the relay sees public keys and could put others in their place: six digits, typed from one screen into the other, tell.
//! The new device commits to its nonce before it learns the other's, so nobody can look for keys that give the same digits.
//! Offline the two share a secret that was carried by hand, and everything they say is under a key made of it.

mod message;
mod offline;

use core::fmt;

use rand_core::CryptoRng;

use crate::cert::{Device, KeyBytes};
use crate::hash::{Hash, domain_hash};

pub use message::{Ending, MESSAGE_BYTES_MAX, Message, MessageError};
pub use offline::{Invitation, InvitationError, RelayKey, RelayRefusal, Secret, Side};

/// The place of a pairing at the relay: 16 bytes, unlike any other's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

/// The digits a person types.
pub const DIGITS: u32 = 6;

impl SessionId {
    /// Makes one that nobody can guess.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(random(rng))
    }

    /// Returns it as it stands in a path: 32 hexadecimal digits.
    pub fn hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// Reads it from a path.
    pub fn from_hex(text: &str) -> Option<Self> {
        Some(Self(data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()?))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.hex())
    }
}

/// What one side adds to the digits: 32 random bytes.
pub type Nonce = [u8; 32];

/// Makes a nonce.
pub fn nonce(rng: &mut impl CryptoRng) -> Nonce {
    random(rng)
}

fn random<const N: usize>(rng: &mut impl CryptoRng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// Returns what the new device says of its nonce before it shows it: `H(pair; session, its keys, nonce)`.
pub fn commitment(session: &SessionId, newcomer: &Device, nonce: &Nonce) -> Hash {
    domain_hash("dgns/pair/v1", &[&session.0, &newcomer.sign, &newcomer.kex, nonce])
}

/// Returns the six digits that both sides show or ask for: `H(sas; session, new keys, old key, both nonces)` mod 1,000,000, its
/// first 8 bytes as a number. They agree only if both sides saw the same keys.
pub fn digits(session: &SessionId, newcomer: &Device, old: &KeyBytes, of_new: &Nonce, of_old: &Nonce) -> String {
    let parts: [&[u8]; 6] = [&session.0, &newcomer.sign, &newcomer.kex, old, of_new, of_old];
    let hash = domain_hash("dgns/sas/v1", &parts);
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    format!("{:06}", u64::from_be_bytes(first) % 10_u64.pow(DIGITS))
}

#[cfg(test)]
mod tests;

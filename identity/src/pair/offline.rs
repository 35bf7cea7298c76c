//! The offline road: a secret carried by hand, as a QR code or twelve words, and what is said under it (PROTOCOL 20.3). The room of
//! `aes_gcm`.

use core::fmt;

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes128Gcm, KeyInit as _};
use data_encoding::BASE64URL_NOPAD;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{MESSAGE_BYTES_MAX, SessionId, random};
use crate::did::Did;
use crate::hash::domain_hash;
use crate::kdf;
use crate::name::Origin;
use crate::seed::{Words, WordsError};

/// The bytes that the key adds to a message: a nonce of 12 and a tag of 16.
const SEALED_BYTES: usize = 28;

/// 128 bits that an old device made for one new device. Never printed but on purpose.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<[u8; 16]>);

impl Secret {
    /// Makes a new one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Zeroizing::new(random(rng)))
    }

    /// Returns the secret with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    #[cfg(test)]
    pub(crate) fn bytes_for_tests(&self) -> &[u8; 16] {
        &self.0
    }

    /// Returns it as twelve words of BIP-39.
    pub fn words(&self) -> Zeroizing<String> {
        Words::of_entropy(&self.0).phrase()
    }

    /// Returns where the two meet: the first 16 bytes of `H(pair-session; secret)`.
    pub fn session(&self) -> SessionId {
        let hash = domain_hash("dgns/pair-session/v1", &[self.0.as_ref()]);
        let mut session = [0; 16];
        session.copy_from_slice(&hash[..16]);
        SessionId(session)
    }

    /// Returns the key of what is said: the first 16 bytes of `KDF(pair-key; secret;)`.
    pub fn key(&self) -> RelayKey {
        let mut key = Zeroizing::new([0; 16]);
        key.copy_from_slice(&kdf::derive("dgns/pair-key/v1", self.0.as_ref(), &[])[..16]);
        RelayKey { key, session: self.session() }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(secret)")
    }
}

/// Who speaks. It stands beside what is sealed, so that nothing can be sent back to who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Side {
    /// The device that belongs to the DID.
    Old = 1,
    /// The device that wants to.
    New = 2,
}

/// The AES-128-GCM key of one pairing.
#[derive(Clone)]
pub struct RelayKey {
    key: Zeroizing<[u8; 16]>,
    session: SessionId,
}

/// Bytes at the relay that nobody with the secret put there, or the reader itself. Code `not_opened`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this was not said by the other side")]
pub struct RelayRefusal;

impl RelayRefusal {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        "not_opened"
    }
}

impl RelayKey {
    #[cfg(test)]
    pub(crate) fn bytes_for_tests(&self) -> &[u8; 16] {
        &self.key
    }

    /// Returns `nonce 12, ciphertext and tag` of a message: additional data are `session, side`.
    pub fn seal(&self, by: Side, message: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
        let nonce: [u8; 12] = random(rng);
        let payload = Payload { msg: message, aad: &self.beside(by) };
        let sealed = self.cipher().encrypt(&nonce.into(), payload).expect("a message is far below the 64 GiB of GCM");
        [&nonce[..], &sealed].concat()
    }

    /// Returns the message that `by` sealed.
    pub fn open(&self, by: Side, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, RelayRefusal> {
        let (nonce, sealed) = sealed.split_first_chunk::<12>().ok_or(RelayRefusal)?;
        let payload = Payload { msg: sealed, aad: &self.beside(by) };
        self.cipher().decrypt(&(*nonce).into(), payload).map(Zeroizing::new).map_err(|_| RelayRefusal)
    }

    /// Returns the bytes a message may have so that it fits the relay once sealed.
    pub const fn message_bytes_max() -> usize {
        MESSAGE_BYTES_MAX - SEALED_BYTES
    }

    fn cipher(&self) -> Aes128Gcm {
        Aes128Gcm::new((&*self.key).into())
    }

    fn beside(&self, by: Side) -> [u8; 17] {
        let mut beside = [0; 17];
        beside[..16].copy_from_slice(&self.session.0);
        beside[16] = by as u8;
        beside
    }
}

impl fmt::Debug for RelayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayKey({:?}, secret)", self.session)
    }
}

/// What the QR code says: `dgns:pair?o=<origin>&d=<DID, 32 characters>&k=<secret, base64url>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The log.
    pub origin: Origin,
    /// The DID that a device is to belong to.
    pub did: Did,
    /// The secret.
    pub secret: Secret,
}

/// Why text is no pairing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// It begins like the text of a QR code and does not go on like one. Code `bad_secret`.
    #[error("not the text of a pairing code: dgns:pair?o=...&d=...&k=...")]
    Malformed,
    /// Words that are no twelve of the list, or whose checksum is wrong. Code `bad_secret`.
    #[error("{0}")]
    Words(WordsError),
}

impl InvitationError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        "bad_secret"
    }
}

/// What every such text begins with.
const SCHEME: &str = "dgns:pair?";

impl Invitation {
    /// Returns the text; there is one spelling.
    pub fn text(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(BASE64URL_NOPAD.encode(self.secret.0.as_ref()));
        Zeroizing::new(format!("{SCHEME}o={}&d={}&k={}", self.origin.as_str(), self.did.base32(), secret.as_str()))
    }

    /// Reads what a person scanned or typed: the text, or the words, which say nothing of log and DID.
    pub fn parse(text: &str) -> Result<(Secret, Option<Self>), InvitationError> {
        let text = text.trim();
        if !text.starts_with(SCHEME) {
            let words = Words::parse(text).map_err(InvitationError::Words)?;
            let entropy = words.entropy16().ok_or(InvitationError::Words(WordsError::Count(24)))?;
            return Ok((Secret(entropy), None));
        }
        let read = Self::read(text).filter(|read| *read.text() == text).ok_or(InvitationError::Malformed)?;
        Ok((read.secret.clone(), Some(read)))
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(SCHEME)?.split('&');
        let origin = Origin::parse(parts.next()?.strip_prefix("o=")?).ok()?;
        let did = Did::from_base32(parts.next()?.strip_prefix("d=")?).ok()?;
        let secret = Zeroizing::new(BASE64URL_NOPAD.decode(parts.next()?.strip_prefix("k=")?.as_bytes()).ok()?);
        Some(Self { origin, did, secret: Secret::from_bytes(secret.as_slice().try_into().ok()?) })
    }
}

//! A WebAuthn assertion over a challenge of ours, judged (PROTOCOL 19.5). The room of `p256`.
//!
//! Of the authenticator's extensions nothing is read, and no counter is asked: passkeys that are copied between devices have none.

use data_encoding::BASE64URL_NOPAD;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::Deserialize;

use crate::hash::{Hash, sha256, u16_prefixed};
use crate::limits::{AUTHENTICATOR_DATA_BYTES_MAX, CLIENT_DATA_BYTES_MAX};

/// What an authenticator answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// `authenticatorData`.
    pub authenticator_data: Vec<u8>,
    /// `clientDataJSON`, as it was signed.
    pub client_data: Vec<u8>,
    /// The ECDSA signature, DER.
    pub signature: Vec<u8>,
}

/// What the assertion has to be about.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The nonce.
    pub challenge: &'a Hash,
    /// The web origin, such as `https://id.example`.
    pub origin: &'a str,
    /// The relying party: the host of the origin, or a domain above it.
    pub rp_id: &'a str,
}

/// A P-256 key: x and y, checked to be a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct P256Key(VerifyingKey);

/// An assertion that was judged and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asserted {
    /// The authenticator's counter; 0 if it has none.
    pub counter: u32,
    /// Whether the passkey is backed up, and so is on more than one device.
    pub backed_up: bool,
}

/// Why an assertion is not believed. Code `assertion`, whatever the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssertionRefusal {
    /// The authenticator data or the client data are not of the documented form. Reason `form`.
    #[error("the passkey's answer is not of the documented form")]
    Form,
    /// The answer is of another kind than an assertion. Reason `type`.
    #[error("the passkey answered something else than a sign-in")]
    Type,
    /// The challenge is another one. Reason `challenge`.
    #[error("the passkey answered another challenge")]
    Challenge,
    /// The page is of another origin, or inside one. Reason `origin`.
    #[error("the passkey answered a page of another origin")]
    Origin,
    /// The relying party is another one. Reason `rp_id`.
    #[error("the passkey is of another site")]
    RpId,
    /// Nobody touched the authenticator. Reason `presence`.
    #[error("nobody confirmed at the authenticator")]
    Presence,
    /// The authenticator did not ask who it is: no PIN, no finger, no face. Reason `verification`.
    #[error("the authenticator did not verify who confirmed; a PIN, finger or face is needed")]
    Verification,
    /// The signature does not hold, or is none. Reason `signature`.
    #[error("the passkey's signature does not hold")]
    Signature,
}

impl AssertionRefusal {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        "assertion"
    }

    /// Returns which of the reasons behind the code it is.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Type => "type",
            Self::Challenge => "challenge",
            Self::Origin => "origin",
            Self::RpId => "rp_id",
            Self::Presence => "presence",
            Self::Verification => "verification",
            Self::Signature => "signature",
        }
    }
}

/// The members of `clientDataJSON` that are judged; it may have more.
#[derive(Deserialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
}

impl P256Key {
    /// Returns the key of these coordinates; `None` if they are no point of the curve.
    pub fn from_coordinates(x: &[u8; 32], y: &[u8; 32]) -> Option<Self> {
        let mut sec1 = [4; 65];
        sec1[1..33].copy_from_slice(x);
        sec1[33..].copy_from_slice(y);
        VerifyingKey::from_sec1_bytes(&sec1).ok().map(Self)
    }

    /// Returns the key of both coordinates, x first; `None` as above.
    pub fn from_bytes(key: &[u8; 64]) -> Option<Self> {
        let (x, y) = key.split_at(32);
        Self::from_coordinates(x.try_into().ok()?, y.try_into().ok()?)
    }
}

impl Assertion {
    /// Judges the assertion: it answers this challenge, on this origin, by this key, of somebody verified.
    pub fn judge(&self, expected: &Expected<'_>, key: &P256Key) -> Result<Asserted, AssertionRefusal> {
        if self.client_data.len() > CLIENT_DATA_BYTES_MAX {
            return Err(AssertionRefusal::Form);
        }
        let client: ClientData = serde_json::from_slice(&self.client_data).map_err(|_| AssertionRefusal::Form)?;
        if client.r#type != "webauthn.get" {
            return Err(AssertionRefusal::Type);
        }
        if client.challenge != BASE64URL_NOPAD.encode(expected.challenge) {
            return Err(AssertionRefusal::Challenge);
        }
        if client.origin != expected.origin || client.cross_origin {
            return Err(AssertionRefusal::Origin);
        }
        let (rp_id_hash, flags, counter) = self.authenticator_data()?;
        if rp_id_hash != sha256(&[expected.rp_id.as_bytes()]) {
            return Err(AssertionRefusal::RpId);
        }
        if flags & USER_PRESENT == 0 {
            return Err(AssertionRefusal::Presence);
        }
        if flags & USER_VERIFIED == 0 {
            return Err(AssertionRefusal::Verification);
        }
        let signature = der(&self.signature).ok_or(AssertionRefusal::Signature)?;
        let message = sha256(&[&self.authenticator_data, &sha256(&[&self.client_data])]);
        key.0.verify_prehash(&message, &signature).map_err(|_| AssertionRefusal::Signature)?;
        Ok(Asserted { counter, backed_up: flags & BACKED_UP != 0 })
    }

    /// Returns the statement that the evidence hash is made of: each part behind its u16 length, in the order of the fields.
    pub fn bytes(&self) -> Vec<u8> {
        [&self.authenticator_data, &self.client_data, &self.signature].map(|part| u16_prefixed(part)).concat()
    }

    /// Reads what [`Assertion::bytes`] returned.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AssertionRefusal> {
        let mut rest = bytes;
        let mut part = || {
            let (length, behind) = rest.split_first_chunk().ok_or(AssertionRefusal::Form)?;
            let (part, behind) =
                behind.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(AssertionRefusal::Form)?;
            rest = behind;
            Ok(part.to_vec())
        };
        let assertion = Self { authenticator_data: part()?, client_data: part()?, signature: part()? };
        if rest.is_empty() { Ok(assertion) } else { Err(AssertionRefusal::Form) }
    }

    /// Returns the hash of the relying party's id, the flags and the counter.
    fn authenticator_data(&self) -> Result<(Hash, u8, u32), AssertionRefusal> {
        let data = self.authenticator_data.as_slice();
        let (fixed, rest) = data.split_first_chunk::<37>().ok_or(AssertionRefusal::Form)?;
        let flags = fixed[32];
        let bare = flags & (CREDENTIAL | EXTENSIONS) == 0;
        if data.len() > AUTHENTICATOR_DATA_BYTES_MAX || (bare && !rest.is_empty()) {
            return Err(AssertionRefusal::Form);
        }
        let mut rp_id_hash = [0; 32];
        rp_id_hash.copy_from_slice(&fixed[..32]);
        Ok((rp_id_hash, flags, u32::from_be_bytes([fixed[33], fixed[34], fixed[35], fixed[36]])))
    }
}

/// Reads `SEQUENCE { r INTEGER, s INTEGER }` in its one DER spelling.
fn der(bytes: &[u8]) -> Option<Signature> {
    let [0x30, length, rest @ ..] = bytes else { return None };
    if rest.len() != usize::from(*length) || rest.len() > 72 {
        return None;
    }
    let (r, rest) = der_integer(rest)?;
    let (s, rest) = der_integer(rest)?;
    if !rest.is_empty() {
        return None;
    }
    Signature::from_scalars(r, s).ok()
}

/// Reads a positive INTEGER of at most 32 bytes; returns what follows it too.
fn der_integer(bytes: &[u8]) -> Option<([u8; 32], &[u8])> {
    let [0x02, length, rest @ ..] = bytes else { return None };
    let (digits, rest) = rest.split_at_checked(usize::from(*length))?;
    let digits = match digits {
        [0, next, ..] if *next >= 0x80 => &digits[1..], // the one zero that is needed to stay positive
        [first, ..] if (1..0x80).contains(first) => digits,
        _ => return None,
    };
    let mut number = [0; 32];
    let start = 32_usize.checked_sub(digits.len())?;
    number[start..].copy_from_slice(digits);
    Some((number, rest))
}

/// The flags of authenticator data that count here.
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const BACKED_UP: u8 = 0x10;
const CREDENTIAL: u8 = 0x40;
const EXTENSIONS: u8 = 0x80;

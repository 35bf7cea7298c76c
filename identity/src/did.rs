//! Decentralized identifiers: 160 bits of the hash of a genesis payload (PROTOCOL 3.3).

use core::fmt;

use data_encoding::BASE32_NOPAD;

use crate::hash::Hash;

/// The identifier of a person, database or server: the first 20 bytes of the sid of its genesis certificate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Did([u8; 20]);

/// The text is not `did:dgns:` and 32 lower-case base32 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a DID of the form did:dgns:<32 base32 characters>")]
pub struct DidError;

impl Did {
    /// The number of bytes of a DID.
    pub const BYTES: usize = 20;

    /// Returns the DID that the genesis certificate with this sid creates.
    pub fn of_genesis(sid: &Hash) -> Self {
        let mut bytes = [0; Self::BYTES];
        bytes.copy_from_slice(&sid[..Self::BYTES]);
        Self(bytes)
    }

    /// Returns the DID with these bytes.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Returns the 20 bytes that certificates and states carry.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Returns the DID whose method-specific id, 32 lower-case base32 characters, is `text`.
    pub fn from_base32(text: &str) -> Result<Self, DidError> {
        if text.len() != 32 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(DidError);
        }
        let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).map_err(|_| DidError)?;
        Ok(Self(bytes.try_into().map_err(|_| DidError)?))
    }

    /// Returns the method-specific id: 32 lower-case base32 characters without padding.
    pub fn base32(&self) -> String {
        BASE32_NOPAD.encode(&self.0).to_ascii_lowercase()
    }
}

impl core::str::FromStr for Did {
    type Err = DidError;

    fn from_str(text: &str) -> Result<Self, DidError> {
        Self::from_base32(text.strip_prefix("did:dgns:").ok_or(DidError)?)
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "did:dgns:{}", self.base32())
    }
}

impl fmt::Debug for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

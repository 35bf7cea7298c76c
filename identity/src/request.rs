//! HTTP requests that a device signs: how a server tells who asks (PROTOCOL 12.9).
//!
//! A signature holds for one log, one DID, one method, path and body, and for a minute. Who also remembers the nonces of two
//! minutes takes none twice. Whether the key is a live device of the DID only its state tells.

use core::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use rand_core::CryptoRng;

use crate::cert::{KeyBytes, Kid};
use crate::did::Did;
use crate::hash::sha256;
use crate::key::{SigningKey, kid_of, verify_strict};
use crate::limits::{METHOD_BYTES_MAX, REQUEST_SKEW_S, TARGET_BYTES_MAX};
use crate::name::Origin;

/// The scheme of the `Authorization` header.
pub const SCHEME: &str = "DGNS-Sig";

/// The header that names the DID on whose behalf a device asks.
pub const DID_HEADER: &str = "dgns-did";

/// Why a signed request is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestRefusal {
    /// No `Authorization` of the documented form, or none at all. Code `bad_authorization`.
    #[error(
        "this asks for a device's signature: Authorization: DGNS-Sig <kid>.<unix s>.<nonce>.<signature>, and DGNS-DID"
    )]
    Malformed,
    /// The method has more than 16 bytes, the path with its query more than 2,048. Code `bad_authorization`.
    #[error("the method or the path is too long to be signed")]
    TooLong,
    /// The key is not the one that the kid names. Code `unknown_signer`.
    #[error("the key that signed is not this one")]
    UnknownSigner,
    /// Signed more than 60 s before or after now. Code `request_time`.
    #[error("the request was signed at another time: check the clock of this device")]
    Time,
    /// The signature does not hold for this request. Code `bad_signature`.
    #[error("the signature does not hold for this request")]
    BadSignature,
}

impl RequestRefusal {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed | Self::TooLong => "bad_authorization",
            Self::UnknownSigner => "unknown_signer",
            Self::Time => "request_time",
            Self::BadSignature => "bad_signature",
        }
    }
}

/// What is asked, as far as the signature covers it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The log's origin.
    pub origin: &'a Origin,
    /// On whose behalf.
    pub did: &'a Did,
    /// The method, such as `GET`.
    pub method: &'a str,
    /// The path with its query, as it stands in the request line.
    pub target: &'a str,
    /// The body; empty if there is none.
    pub body: &'a [u8],
}

impl Request<'_> {
    /// Returns the bytes a device signs.
    fn signed_bytes(&self, unix_s: u64, nonce: &[u8; 16]) -> Result<Vec<u8>, RequestRefusal> {
        let (origin, method, target) = (self.origin.as_str(), self.method, self.target);
        if method.len() > METHOD_BYTES_MAX || target.len() > TARGET_BYTES_MAX {
            return Err(RequestRefusal::TooLong);
        }
        let mut bytes = Vec::with_capacity(200 + target.len());
        bytes.extend_from_slice(b"dgns/request/v1");
        bytes.extend_from_slice(&[0, origin.len() as u8]);
        bytes.extend_from_slice(origin.as_bytes());
        bytes.extend_from_slice(self.did.as_bytes());
        bytes.extend_from_slice(&crate::hash::u16_prefixed(method.as_bytes()));
        bytes.extend_from_slice(&crate::hash::u16_prefixed(target.as_bytes()));
        bytes.extend_from_slice(&unix_s.to_be_bytes());
        bytes.extend_from_slice(nonce);
        bytes.extend_from_slice(&sha256(&[self.body]));
        Ok(bytes)
    }
}

/// The `Authorization` of a request: who signed it, when, and the signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Authorization {
    kid: Kid,
    unix_s: u64,
    nonce: [u8; 16],
    signature: [u8; 64],
}

impl Authorization {
    /// Signs a request, `unix_s` being now.
    pub fn sign(
        request: &Request<'_>,
        key: &SigningKey,
        unix_s: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, RequestRefusal> {
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        let signature = key.sign(&request.signed_bytes(unix_s, &nonce)?);
        Ok(Self { kid: key.kid(), unix_s, nonce, signature })
    }

    /// Parses the value of the header; there is one spelling.
    pub fn parse(text: &str) -> Result<Self, RequestRefusal> {
        Self::read(text).filter(|read| read.to_string() == text).ok_or(RequestRefusal::Malformed)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(SCHEME)?.strip_prefix(' ')?.split('.');
        let mut next = || parts.next();
        let kid = HEXLOWER.decode(next()?.as_bytes()).ok()?.try_into().ok()?;
        let unix_s = next()?.parse().ok()?;
        let nonce = BASE64URL_NOPAD.decode(next()?.as_bytes()).ok()?.try_into().ok()?;
        let signature = BASE64URL_NOPAD.decode(next()?.as_bytes()).ok()?.try_into().ok()?;
        let whole = next().is_none();
        whole.then_some(Self { kid: Kid(kid), unix_s, nonce, signature })
    }

    /// Returns which key is said to have signed.
    pub fn kid(&self) -> Kid {
        self.kid
    }

    /// Returns when the request was signed, unix seconds.
    pub fn unix_s(&self) -> u64 {
        self.unix_s
    }

    /// Returns what makes the request unlike any other.
    pub fn nonce(&self) -> &[u8; 16] {
        &self.nonce
    }

    /// Refuses what was signed too long before or after now. What passes is to be remembered until it would be refused.
    pub fn check_time(&self, now_s: u64) -> Result<(), RequestRefusal> {
        if self.unix_s.abs_diff(now_s) <= REQUEST_SKEW_S { Ok(()) } else { Err(RequestRefusal::Time) }
    }

    /// Checks time and signature; `key` is the one with this kid among those that may ask.
    pub fn verify(&self, request: &Request<'_>, key: &KeyBytes, now_s: u64) -> Result<(), RequestRefusal> {
        if kid_of(key) != self.kid {
            return Err(RequestRefusal::UnknownSigner);
        }
        self.check_time(now_s)?;
        let message = request.signed_bytes(self.unix_s, &self.nonce)?;
        verify_strict(key, &message, &self.signature).map_err(|_| RequestRefusal::BadSignature)
    }
}

impl fmt::Display for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kid, unix_s) = (HEXLOWER.encode(&self.kid.0), self.unix_s);
        let (nonce, signature) = (BASE64URL_NOPAD.encode(&self.nonce), BASE64URL_NOPAD.encode(&self.signature));
        write!(f, "{SCHEME} {kid}.{unix_s}.{nonce}.{signature}")
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorization({:?} at {})", self.kid, self.unix_s)
    }
}

#[cfg(test)]
mod tests;

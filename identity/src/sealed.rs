//! Sealed boxes: what only the holder of an X25519 key opens (PROTOCOL 1.6). The room of `hpke`.
//!
//! HPKE of RFC 9180 in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-128-GCM: the suite of its appendix A.1,
//! and one that WebCrypto has the parts of. A box says nothing about who sealed it: whoever needs to know signs what is inside.

use hpke::aead::AesGcm128;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, HpkeError, OpModeR, OpModeS, Serializable as _, single_shot_open};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::cert::KeyBytes;
use crate::key::KexSecret;

/// The bytes that a box adds to its plaintext, the 32 of `enc` apart.
pub const TAG_BYTES: usize = 16;

/// A sealed box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The ephemeral X25519 key.
    pub enc: KeyBytes,
    /// The plaintext under AES-128-GCM, then the tag of [`TAG_BYTES`].
    pub ct: Vec<u8>,
}

/// Why nothing can be sealed to a key. Code `weak_key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key of small order: anyone could open what is sealed to it")]
pub struct WeakRecipient;

impl WeakRecipient {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        "weak_key"
    }
}

/// Why a box does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The ephemeral key has small order: it was made by nobody who follows the protocol. Code `bad_enc`.
    #[error("the ephemeral key of the box has small order")]
    Enc,
    /// Sealed to another key, under another info or aad, or changed on the way. Code `not_opened`.
    #[error("the box does not open: sealed to another key or for another purpose, or damaged")]
    Ciphertext,
}

impl OpenError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Enc => "bad_enc",
            Self::Ciphertext => "not_opened",
        }
    }
}

/// Seals `plaintext` to `recipient`. `info` says what the box is for and `aad` what stands beside it: whoever opens it must name
/// the same of both.
pub fn seal(
    recipient: &KeyBytes,
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Sealed, WeakRecipient> {
    let recipient = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(recipient).expect("32 bytes are a key");
    let sealed = hpke::single_shot_seal_with_rng::<AesGcm128, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &recipient,
        info,
        plaintext,
        aad,
        rng,
    );
    let (enc, ct) = sealed.map_err(|_| WeakRecipient)?;
    Ok(Sealed { enc: enc.to_bytes().into(), ct })
}

/// Opens a box that was sealed to `secret`'s public key under the same `info` and `aad`.
pub fn open(secret: &KexSecret, info: &[u8], aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let secret = secret.to_bytes();
    let secret = <X25519HkdfSha256 as hpke::Kem>::PrivateKey::from_bytes(secret.as_ref()).expect("32 bytes are a key");
    let enc = <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(&sealed.enc).expect("32 bytes are a key");
    let opened = single_shot_open::<AesGcm128, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret,
        &enc,
        info,
        &sealed.ct,
        aad,
    );
    opened.map(Zeroizing::new).map_err(|error| match error {
        HpkeError::DecapError => OpenError::Enc,
        _ => OpenError::Ciphertext,
    })
}

#[cfg(test)]
mod tests;

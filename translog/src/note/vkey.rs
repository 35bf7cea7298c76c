//! Verifier keys: a name, a kind and a public key in one line of text (PROTOCOL 9.1).

use core::fmt;

use data_encoding::HEXLOWER;
use identity::cert::KeyBytes;
use identity::key::PublicKey;

use crate::base64;
use crate::hash::sha256;
use crate::limits::NAME_BYTES_MAX;

/// The first 4 bytes of `H(name, 0A, kind, key)`: short, an identifier and no proof.
pub type KeyId = [u8; 4];

/// What a key signs, with the byte that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum KeyKind {
    /// The text itself.
    Log = 0x01,
    /// The text behind a time: "I saw this head, and it continues all I saw before".
    Cosigner = 0x04,
}

/// A key that notes are verified with: `<name>+<key id>+<base64(kind, key)>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    key: KeyBytes,
    id: KeyId,
}

/// Why a text is no verifier key. Code `bad_vkey`, all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VkeyError {
    /// Not name, eight hexadecimal digits and base64, joined by `+`.
    #[error("not of the form <name>+<8 hex digits>+<base64>")]
    Form,
    /// The name is empty, too long, or has a space, a plus or a control character.
    #[error("a key's name has 1 to 255 bytes and no space, plus or control character")]
    Name,
    /// A kind this program does not know, or a key of another length.
    #[error("neither a log's Ed25519 key nor a cosigner's")]
    Kind,
    /// The id is not that of name, kind and key: most often a damaged copy.
    #[error("the key id does not belong to this name and key")]
    Id,
    /// The bytes are not a key that could verify anything.
    #[error("not a usable Ed25519 key")]
    Key,
}

impl VkeyError {
    /// Returns the stable code that vectors and problem answers name.
    pub const fn code(&self) -> &'static str {
        "bad_vkey"
    }
}

impl VerifierKey {
    /// Returns the key of this name and kind. Errors: [`VkeyError::Name`], [`VkeyError::Key`].
    pub fn new(name: &str, kind: KeyKind, key: KeyBytes) -> Result<Self, VkeyError> {
        if !is_key_name(name) {
            return Err(VkeyError::Name);
        }
        if PublicKey::admit(&key).is_err() {
            return Err(VkeyError::Key);
        }
        Ok(Self::of_usable(name, kind, key))
    }

    /// Reads the text form, exactly.
    pub fn parse(text: &str) -> Result<Self, VkeyError> {
        let (name, rest) = text.split_once('+').ok_or(VkeyError::Form)?;
        let (id, encoded) = rest.split_once('+').ok_or(VkeyError::Form)?;
        let id: KeyId = decode_id(id).ok_or(VkeyError::Form)?;
        let body = base64::decode(encoded).ok_or(VkeyError::Form)?;
        let kind = match body.first() {
            Some(0x01) => KeyKind::Log,
            Some(0x04) => KeyKind::Cosigner,
            _ => return Err(VkeyError::Kind),
        };
        let key = body[1..].try_into().map_err(|_| VkeyError::Kind)?;
        let read = Self::new(name, kind, key)?;
        if read.id == id { Ok(read) } else { Err(VkeyError::Id) }
    }

    /// Returns the key's name; a log's is its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what the key signs.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Returns the public key.
    pub const fn key(&self) -> &KeyBytes {
        &self.key
    }

    /// Returns the key id.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// As [`VerifierKey::new`], for what is checked already.
    pub(super) fn of_usable(name: &str, kind: KeyKind, key: KeyBytes) -> Self {
        let hash = sha256(&[name.as_bytes(), b"\n", &[kind as u8], &key]);
        let id = [hash[0], hash[1], hash[2], hash[3]];
        Self { name: name.to_owned(), kind, key, id }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = [&[self.kind as u8], &self.key[..]].concat();
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.id), base64::encode(&body))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::str::FromStr for VerifierKey {
    type Err = VkeyError;

    fn from_str(text: &str) -> Result<Self, VkeyError> {
        Self::parse(text)
    }
}

/// Returns whether a key may be called so: signed-note's rule, and no control character.
pub fn is_key_name(name: &str) -> bool {
    let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(allowed)
}

/// Reads eight lower-case hexadecimal digits.
fn decode_id(digits: &str) -> Option<KeyId> {
    HEXLOWER.decode(digits.as_bytes()).ok()?.try_into().ok()
}

//! Letters: what somebody writes to the devices of a person, sealed to each, and signed if the writer likes (PROTOCOL 22).
//!
//! A server keeps the sealed bytes until the device has them, and learns neither who wrote nor what.

use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::cert::KeyBytes;
use crate::did::Did;
use crate::key::{KexSecret, SigningKey, verify_strict};
use crate::limits::{LETTER_BYTES_MAX, LETTER_NAME_BYTES_MAX};
use crate::name::Origin;
use crate::sealed::{self, OpenError, Sealed, WeakRecipient};
use crate::wire::{Reader, WireError, Writer};

/// The format's number.
const FORMAT: u64 = 1;

/// Why something is no letter, or does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    /// More than [`LETTER_BYTES_MAX`] bytes of content. Code `too_large`.
    #[error("a letter has at most {LETTER_BYTES_MAX} bytes")]
    TooLarge,
    /// A name that could lead anywhere but to a file. Code `bad_field`.
    #[error(
        "a file's name has 1 to {LETTER_NAME_BYTES_MAX} bytes, no slash, backslash or control character, no dot in front"
    )]
    Name,
    /// Not such bytes. Code as of the wire.
    #[error("not a letter: {0}")]
    Wire(#[from] WireError),
    /// The box does not open. Code as of the box.
    #[error(transparent)]
    Box(#[from] OpenError),
    /// The signature is not by the key that is named. Code `bad_signature`.
    #[error("the letter is signed by another key than it names, or was written to somebody else")]
    Signature,
}

impl LetterError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Name => "bad_field",
            Self::Wire(error) => error.code(),
            Self::Box(error) => error.code(),
            Self::Signature => "bad_signature",
        }
    }
}

/// Who signed a letter: whether the key is a device of the DID the log alone tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The DID it was written for.
    pub did: Did,
    /// The key that signed.
    pub key: KeyBytes,
}

/// To whom a letter goes: one device of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The person.
    pub did: Did,
    /// The device's signing key, by which the server keeps its mail.
    pub sign: KeyBytes,
    /// The device's sealing key.
    pub kex: KeyBytes,
}

/// A letter, open. `{0: 1, 1: sent s, 2: content, 3? name, 4? [did, key, signature]}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    sent_s: u64,
    content: Zeroizing<Vec<u8>>,
    name: Option<String>,
    signed: Option<(Sender, [u8; 64])>,
}

impl Letter {
    /// Returns a letter that nobody signed: a text, or a file if it has a name.
    pub fn new(content: &[u8], name: Option<&str>, sent_s: u64) -> Result<Self, LetterError> {
        if content.len() > LETTER_BYTES_MAX {
            return Err(LetterError::TooLarge);
        }
        if !name.is_none_or(is_file_name) {
            return Err(LetterError::Name);
        }
        let content = Zeroizing::new(content.to_vec());
        Ok(Self { sent_s, content, name: name.map(str::to_owned), signed: None })
    }

    /// Returns the letter signed by a device of `from`, to the person `to` and nobody else.
    pub fn signed(self, origin: &Origin, to: &Did, from: Did, key: &SigningKey) -> Self {
        let sender = Sender { did: from, key: key.public() };
        let signature = key.sign(&self.signed_bytes(origin, to, &from));
        Self { signed: Some((sender, signature)), ..self }
    }

    /// Seals the letter to one device.
    pub fn seal(&self, to: &Recipient, rng: &mut impl CryptoRng) -> Result<Sealed, WeakRecipient> {
        let letter = Zeroizing::new(self.encode());
        sealed::seal(&to.kex, &info(&to.did), &to.sign, &letter, rng)
    }

    /// Opens what was sealed to this device of `to`. Who is said to have signed it, did.
    pub fn open(
        sealed: &Sealed,
        origin: &Origin,
        to: &Did,
        sign: &KeyBytes,
        secret: &KexSecret,
    ) -> Result<Self, LetterError> {
        let letter = Self::decode(&sealed::open(secret, &info(to), sign, sealed)?)?;
        if let Some((sender, signature)) = &letter.signed {
            let signed = letter.signed_bytes(origin, to, &sender.did);
            verify_strict(&sender.key, &signed, signature).map_err(|_| LetterError::Signature)?;
        }
        Ok(letter)
    }

    /// Returns when the writer's clock said it was sent, in seconds since 1970.
    pub fn sent_s(&self) -> u64 {
        self.sent_s
    }

    /// Returns what was written.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Returns the name of the file it is; a text has none.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns who signed it; nobody need have.
    pub fn sender(&self) -> Option<&Sender> {
        self.signed.as_ref().map(|(sender, _)| sender)
    }

    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(self.content.len() + 300);
        self.write(&mut w, 1 + usize::from(self.signed.is_some()));
        if let Some((sender, signature)) = &self.signed {
            w.uint(4).array(3).bytes(sender.did.as_bytes()).bytes(&sender.key).bytes(signature);
        }
        w.finish()
    }

    /// Decodes a letter; there is one spelling. Its signature is not looked at.
    pub fn decode(bytes: &[u8]) -> Result<Self, LetterError> {
        let mut r = Reader::new(bytes);
        let mut fields = r.fields()?;
        if fields.required(0, Reader::uint)? != FORMAT {
            return Err(WireError::Unexpected.into());
        }
        let sent_s = fields.required(1, Reader::uint)?;
        let content = fields.required(2, Reader::bytes)?;
        let name = fields.optional(3, Reader::text)?;
        let signed = fields.optional(4, |r| {
            r.array_of(3)?;
            let did = Did::from_bytes(r.fixed()?);
            Ok::<_, WireError>((Sender { did, key: r.fixed()? }, r.fixed()?))
        })?;
        fields.end()?;
        r.end()?;
        Ok(Self { signed, ..Self::new(content, name, sent_s)? })
    }

    /// `"dgns/letter/v1" 00, u8 length(origin), origin, to 20, from 20`, then the letter without its signature.
    fn signed_bytes(&self, origin: &Origin, to: &Did, from: &Did) -> Vec<u8> {
        let mut bytes = b"dgns/letter/v1".to_vec();
        bytes.extend_from_slice(&[0, origin.as_str().len() as u8]);
        bytes.extend_from_slice(origin.as_str().as_bytes());
        bytes.extend_from_slice(to.as_bytes());
        bytes.extend_from_slice(from.as_bytes());
        let mut w = Writer::with_capacity(self.content.len() + 200);
        self.write(&mut w, 1);
        bytes.extend_from_slice(&w.finish());
        bytes
    }

    /// Writes a map of what was written and `more` - 1 further keys.
    fn write(&self, w: &mut Writer, more: usize) {
        w.map(2 + more + usize::from(self.name.is_some()));
        w.uint(0).uint(FORMAT).uint(1).uint(self.sent_s).uint(2).bytes(&self.content);
        if let Some(name) = &self.name {
            w.uint(3).text(name);
        }
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Letter({} bytes)", self.content.len())
    }
}

/// `"dgns/mail/v1" 00, did 20`; the additional data is the device's signing key.
fn info(to: &Did) -> Vec<u8> {
    let mut info = b"dgns/mail/v1".to_vec();
    info.push(0);
    info.extend_from_slice(to.as_bytes());
    info
}

fn is_file_name(name: &str) -> bool {
    let plain = |c: char| !c.is_control() && c != '/' && c != '\\';
    (1..=LETTER_NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.')
}

#[cfg(test)]
mod tests;

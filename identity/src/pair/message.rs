//! What the two sides of a pairing say to each other (PROTOCOL 20.2).

use super::Nonce;
use crate::cert::{Device, Level};
use crate::did::Did;
use crate::hash::Hash;
use crate::limits::CERTIFICATE_BYTES_MAX;
use crate::wire::{Reader, WireError, Writer};

/// The bytes of a message, as the relay takes it.
pub const MESSAGE_BYTES_MAX: usize = 4_096;

/// The certificates of a grant: the device, and the user key that it gets.
const GRANTED_MAX: usize = 2;

/// One message: a CBOR array that begins with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// 1, the new device: `[1, did, sign, kex, level, label hash, commitment or null]`. It asks to belong to `did`. Offline there is
    /// no commitment: nobody types digits.
    Ask {
        /// The DID.
        did: Did,
        /// The new device.
        device: Device,
        /// What it says of its nonce.
        commitment: Option<Hash>,
    },
    /// 2, the old device: `[2, sign, nonce]`.
    Answer {
        /// The old device's signing key.
        sign: [u8; 32],
        /// Its nonce.
        nonce: Nonce,
    },
    /// 3, the new device: `[3, nonce]`.
    Reveal {
        /// The nonce it committed to.
        nonce: Nonce,
    },
    /// 4, the old device: `[4, [envelope, ...]]`: certificates the new device posts, all that lacks being its own signature under the
    /// first.
    Grant {
        /// The envelopes: a `device_add`, and the `user_key` behind it if the DID has one.
        envelopes: Vec<Vec<u8>>,
    },
    /// 5, the old device, before a grant that has a user key: `[5, boxes]`.
    Boxes {
        /// The boxes of the new generation, one of them for the new device.
        boxes: Vec<u8>,
    },
    /// 6, either: `[6, reason]`. Nothing follows.
    End {
        /// Why.
        reason: Ending,
    },
    /// 7, the old device, offline: `[7, did]`. Whoever has but the secret learns whose it is.
    Hello {
        /// The DID.
        did: Did,
    },
}

/// Why a pairing is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// The person said no.
    Rejected = 1,
    /// Three times other digits.
    WrongDigits = 2,
    /// The secret was used by another device.
    Used = 3,
    /// The DID takes no further device.
    Full = 4,
}

impl Ending {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Rejected => "pair_rejected",
            Self::WrongDigits => "pair_digits",
            Self::Used => "pair_used",
            Self::Full => "too_many",
        }
    }

    fn of(number: u64) -> Option<Self> {
        [Self::Rejected, Self::WrongDigits, Self::Used, Self::Full].into_iter().find(|ending| *ending as u64 == number)
    }
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not the CBOR of a message. Code as of the wire.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// More than 4,096 bytes. Code `too_large`.
    #[error("a message has at most 4,096 bytes")]
    TooLarge,
}

impl MessageError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Wire(error) => error.code(),
            Self::TooLarge => "too_large",
        }
    }
}

impl Message {
    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Ask { did, device, commitment } => {
                w.array(7).uint(1).bytes(did.as_bytes()).bytes(&device.sign).bytes(&device.kex);
                w.uint(device.level as u64).bytes(&device.label_hash);
                match commitment {
                    Some(commitment) => w.bytes(commitment),
                    None => w.null(),
                };
            }
            Self::Answer { sign, nonce } => {
                w.array(3).uint(2).bytes(sign).bytes(nonce);
            }
            Self::Reveal { nonce } => {
                w.array(2).uint(3).bytes(nonce);
            }
            Self::Grant { envelopes } => {
                w.array(2).uint(4).array(envelopes.len());
                for envelope in envelopes {
                    w.bytes(envelope);
                }
            }
            Self::Boxes { boxes } => {
                w.array(2).uint(5).bytes(boxes);
            }
            Self::End { reason } => {
                w.array(2).uint(6).uint(*reason as u64);
            }
            Self::Hello { did } => {
                w.array(2).uint(7).bytes(did.as_bytes());
            }
        }
        w.finish()
    }

    /// Returns the message that these bytes spell; there is one spelling.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLarge);
        }
        let mut reader = Reader::new(bytes);
        let items = reader.array()?;
        let message = Self::read(items, &mut reader)?;
        reader.end()?;
        Ok(message)
    }

    fn read(items: u64, r: &mut Reader<'_>) -> Result<Self, WireError> {
        let number = if items == 0 { 0 } else { r.uint()? };
        Ok(match (number, items) {
            (1, 7) => {
                let did = Did::from_bytes(r.fixed()?);
                let (sign, kex) = (r.fixed()?, r.fixed()?);
                let level = level_of(r.uint()?)?;
                let device = Device { sign, kex, level, label_hash: r.fixed()? };
                Self::Ask { did, device, commitment: r.or_null(Reader::fixed)? }
            }
            (2, 3) => Self::Answer { sign: r.fixed()?, nonce: r.fixed()? },
            (3, 2) => Self::Reveal { nonce: r.fixed()? },
            (4, 2) => {
                let envelopes: Vec<Vec<u8>> = r.list(GRANTED_MAX, |r| r.bytes().map(<[u8]>::to_vec))?;
                if envelopes.is_empty() || envelopes.iter().any(|envelope| envelope.len() > CERTIFICATE_BYTES_MAX) {
                    return Err(WireError::Unexpected);
                }
                Self::Grant { envelopes }
            }
            (5, 2) => Self::Boxes { boxes: r.bytes()?.to_vec() },
            (6, 2) => Self::End { reason: Ending::of(r.uint()?).ok_or(WireError::Unexpected)? },
            (7, 2) => Self::Hello { did: Did::from_bytes(r.fixed()?) },
            _ => return Err(WireError::Unexpected),
        })
    }
}

fn level_of(number: u64) -> Result<Level, WireError> {
    [Level::Member, Level::Admin, Level::Service]
        .into_iter()
        .find(|level| *level as u64 == number)
        .ok_or(WireError::Unexpected)
}

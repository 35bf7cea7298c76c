//! STUN messages as TURN uses them (RFC 8489, 5 and 14): read without a copy, written attribute by attribute.

use super::integrity::{Key, TAG_BYTES};
use crate::lobby::stun::{
    ERROR_CODE, FINGERPRINT, FINGERPRINT_MASK, MAGIC, UNKNOWN_ATTRIBUTES, attribute, crc32, encoded,
};

/// Attributes.
pub(super) const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
pub(super) const CHANNEL_NUMBER: u16 = 0x000c;
pub(super) const LIFETIME: u16 = 0x000d;
pub(super) const XOR_PEER_ADDRESS: u16 = 0x0012;
pub(super) const DATA: u16 = 0x0013;
pub(super) const REALM: u16 = 0x0014;
pub(super) const NONCE: u16 = 0x0015;
pub(super) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
pub(super) const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
pub(super) const EVEN_PORT: u16 = 0x0018;
pub(super) const REQUESTED_TRANSPORT: u16 = 0x0019;
pub(super) const RESERVATION_TOKEN: u16 = 0x0022;

/// What must be understood and is; beyond these a request is refused with 420.
const UNDERSTOOD: [u16; 12] = [
    USERNAME,
    MESSAGE_INTEGRITY,
    CHANNEL_NUMBER,
    LIFETIME,
    XOR_PEER_ADDRESS,
    DATA,
    REALM,
    NONCE,
    REQUESTED_ADDRESS_FAMILY,
    EVEN_PORT,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
];

/// What a message is; with its method it makes the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

impl Class {
    const fn bits(self) -> u16 {
        match self {
            Self::Request => 0,
            Self::Indication => 0x0010,
            Self::Success => 0x0100,
            Self::Error => 0x0110,
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Allocate,
    Refresh,
    Send,
    Data,
    CreatePermission,
    ChannelBind,
}

impl Method {
    const ALL: [(Self, u16); 6] = [
        (Self::Allocate, 3),
        (Self::Refresh, 4),
        (Self::Send, 6),
        (Self::Data, 7),
        (Self::CreatePermission, 8),
        (Self::ChannelBind, 9),
    ];

    fn of(number: u16) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == number).map(|(method, _)| *method)
    }

    fn number(self) -> u16 {
        Self::ALL.iter().find(|(method, _)| *method == self).map_or(0, |(_, number)| *number)
    }
}

/// A message that was read.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) class: Class,
    pub(super) method: Method,
    pub(super) transaction: [u8; 12],
    attributes: Vec<(u16, &'a [u8])>,
    /// Where the tag begins, and the tag.
    integrity: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> Message<'a> {
    /// Reads a message; `None` for whatever is none, or not one of TURN.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_at_checked(20)?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if head[4..8] != MAGIC || length != rest.len() || !length.is_multiple_of(4) || kind & 0xc000 != 0 {
            return None;
        }
        let class = match kind & 0x0110 {
            0 => Class::Request,
            0x0010 => Class::Indication,
            0x0100 => Class::Success,
            _ => Class::Error,
        };
        let method = Method::of(kind & !0x0110)?;
        let transaction = head[8..20].try_into().ok()?;
        let (mut attributes, mut integrity) = (Vec::with_capacity(8), None);
        while !rest.is_empty() {
            let (kind, value, after) = attribute(rest)?;
            let before = &bytes[..bytes.len() - rest.len()];
            match kind {
                // Nothing follows a fingerprint, and it is right.
                FINGERPRINT => {
                    let is_last = after.is_empty();
                    if !is_last || value != (crc32(before) ^ FINGERPRINT_MASK).to_be_bytes() {
                        return None;
                    }
                }
                // What follows the tag is not under it.
                _ if integrity.is_some() => {}
                MESSAGE_INTEGRITY => integrity = Some((before, value)),
                _ => attributes.push((kind, value)),
            }
            rest = after;
        }
        Some(Self { class, method, transaction, attributes, integrity })
    }

    /// Returns the first attribute of a kind.
    pub(super) fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.all(kind).next()
    }

    /// Returns all attributes of a kind.
    pub(super) fn all(&self, kind: u16) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.attributes.iter().filter(move |(known, _)| *known == kind).map(|(_, value)| *value)
    }

    /// Returns an attribute of 4 bytes.
    pub(super) fn number(&self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(kind)?.try_into().ok()?))
    }

    /// Returns whether it carries a tag.
    pub(super) fn is_signed(&self) -> bool {
        self.integrity.is_some()
    }

    /// Returns whether its tag is that of a key.
    pub(super) fn is_signed_by(&self, key: &Key) -> bool {
        self.integrity.is_some_and(|(before, tag)| key.verify(&with_length(before, TAG_BYTES + 4), tag))
    }

    /// Returns the attributes that must be understood and are not.
    pub(super) fn unknown(&self) -> Vec<u16> {
        let kinds = self.attributes.iter().map(|(kind, _)| *kind);
        kinds.filter(|kind| *kind < 0x8000 && !UNDERSTOOD.contains(kind)).collect()
    }
}

/// A message as it is written.
pub(super) struct Writing(Vec<u8>);

impl Writing {
    /// Begins an answer to a request.
    pub(super) fn answer(request: &Message<'_>, class: Class) -> Self {
        Self::begin(request.method, class, &request.transaction)
    }

    /// Begins a refusal: its code and why.
    pub(super) fn refusal(request: &Message<'_>, code: u16, why: &str) -> Self {
        let (hundreds, rest) = (u8::try_from(code / 100).unwrap_or(5), u8::try_from(code % 100).unwrap_or(0));
        let value = [&[0, 0, hundreds, rest], why.as_bytes()].concat();
        Self::answer(request, Class::Error).with(ERROR_CODE, &value)
    }

    /// Begins an indication.
    pub(super) fn indication(transaction: &[u8; 12]) -> Self {
        Self::begin(Method::Data, Class::Indication, transaction)
    }

    fn begin(method: Method, class: Class, transaction: &[u8; 12]) -> Self {
        let kind = (method.number() | class.bits()).to_be_bytes();
        Self([&kind[..], &[0, 0], &MAGIC, transaction].concat())
    }

    /// Adds an attribute.
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend_from_slice(&encoded(kind, value));
        self
    }

    /// Adds the kinds that were not understood.
    pub(super) fn with_unknown(self, kinds: &[u16]) -> Self {
        let kinds: Vec<u8> = kinds.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        self.with(UNKNOWN_ATTRIBUTES, &kinds)
    }

    /// Adds the tag of a key, and ends.
    pub(super) fn signed(self, key: &Key) -> Vec<u8> {
        let tag = key.tag(&with_length(&self.0, TAG_BYTES + 4));
        self.with(MESSAGE_INTEGRITY, &tag).plain()
    }

    /// Ends.
    pub(super) fn plain(self) -> Vec<u8> {
        with_length(&self.0, 0)
    }
}

/// A message whose length tells of so many bytes more.
fn with_length(bytes: &[u8], more: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let length = u16::try_from(bytes.len() - 20 + more).unwrap_or(u16::MAX);
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

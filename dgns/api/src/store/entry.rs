//! Entries: what a device appends to a log of a database (PROTOCOL 25.3).
//!
//! One signature covers the header, the header the body by its hash, and `prev` everything that the device appended to this log
//! before. So one strict check of its newest signature authenticates all of it.

use core::fmt;
use core::str::FromStr;

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::hash::{Hash, domain_hash};
use identity::key::{BadSignature, SigningKey, signed_bytes, verify_strict};
use identity::name::Origin;
use identity::wire::{Reader, WireError, Writer};
use translog::hash::leaf_hash;

use super::content::{self, ContentId};
use super::limits::{BODY_BYTES_MAX, ENTRIES_PER_REQUEST_MAX, HEADER_BYTES_MAX, REFS_MAX};

/// Names a log of a database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub Hash);

/// What a log is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LogKind {
    /// Who may do what in the database: one of each, in plaintext.
    Control = 0,
    /// The server orders what every writer of a group appends.
    Shared = 1,
    /// What one user of a subscription database proves there (PROTOCOL 25.20): written and read by that user alone.
    Proofs = 4,
    /// What others send that user: written by whoever likes, read by that user alone.
    Invitations = 5,
}

impl LogKind {
    /// Returns the kind with this number.
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Control),
            1 => Some(Self::Shared),
            4 => Some(Self::Proofs),
            5 => Some(Self::Invitations),
            _ => None,
        }
    }

    /// Returns whether it is of one user of a subscription database: nobody else reads it.
    pub const fn is_of_user(self) -> bool {
        matches!(self, Self::Proofs | Self::Invitations)
    }
}

impl LogId {
    /// What stands for all logs where a server says how far its databases are.
    pub const STAND: Self = Self([0; 32]);

    /// Returns `H(db-log; db 20, gid u32, kind u8, label)`.
    pub fn of(db: &Did, gid: u32, kind: LogKind, label: &str) -> Self {
        Self(domain_hash("dgns/db-log/v1", &[db.as_bytes(), &gid.to_be_bytes(), &[kind as u8], label.as_bytes()]))
    }

    /// Returns the control log of a database.
    pub fn control(db: &Did) -> Self {
        Self::of(db, 0, LogKind::Control, "")
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("64 lower-case hexadecimal digits name a log or a chunk")]
pub struct IdError;

impl FromStr for LogId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_id(text).map(Self)
    }
}

/// Returns the 32 bytes that 64 lower-case hexadecimal digits spell.
pub fn parse_id(text: &str) -> Result<[u8; 32], IdError> {
    let digits = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut id = [0; 32];
    for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks(2)).take_while(|_| digits) {
        let pair = core::str::from_utf8(pair).map_err(|_| IdError)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| IdError)?;
    }
    if digits { Ok(id) } else { Err(IdError) }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Records, sealed under the key of the group.
    Data = 0,
    /// A statement about the database itself, in plaintext.
    Control = 1,
    /// The records up to a place of the log, in chunks (PROTOCOL 25.16); it is no record itself.
    Snapshot = 4,
    /// Something of a user of a subscription database (PROTOCOL 25.20), under no key of a group.
    Plain = 5,
}

/// What a device signs of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// 1.
    pub class: Class,
    /// 2.
    pub log: LogId,
    /// 3: whose device appends.
    pub author: Did,
    /// 4: its Ed25519 key.
    pub device: KeyBytes,
    /// 5: how many entries this device appended to this log before.
    pub lsn: u64,
    /// 6: the leaf of the one before; absent in the first.
    pub prev: Option<Hash>,
    /// 7: the epoch of the group's key; 0, absent, is plaintext.
    pub epoch: u64,
    /// 9: the chunks that this names, ascending: the server keeps them as long as the entry.
    pub refs: Vec<ContentId>,
    /// 11: the bytes of the body.
    pub body_bytes: u64,
    /// 12: the BLAKE3 hash of the body.
    pub body: ContentId,
    /// 13: the head that this must follow, if it must: size and root.
    pub expect: Option<(u64, Hash)>,
    /// 14: Unix milliseconds of the device's clock; advisory.
    pub unix_ms: u64,
}

impl Header {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let optional = [self.prev.is_some(), self.epoch > 0, !self.refs.is_empty(), self.expect.is_some()];
        let mut w = Writer::new();
        w.map(8 + optional.iter().filter(|there| **there).count());
        w.uint(1).uint(self.class as u64).uint(2).bytes(&self.log.0).uint(3).bytes(self.author.as_bytes());
        w.uint(4).bytes(&self.device).uint(5).uint(self.lsn);
        if let Some(prev) = &self.prev {
            w.uint(6).bytes(prev);
        }
        if self.epoch > 0 {
            w.uint(7).uint(self.epoch);
        }
        if !self.refs.is_empty() {
            w.uint(9).array(self.refs.len());
            for id in &self.refs {
                w.bytes(id);
            }
        }
        w.uint(11).uint(self.body_bytes).uint(12).bytes(&self.body);
        if let Some((size, root)) = &self.expect {
            w.uint(13).array(2).uint(*size).bytes(root);
        }
        w.uint(14).uint(self.unix_ms);
        w.finish()
    }

    /// Reads a header in its one spelling.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > HEADER_BYTES_MAX {
            return Err(EntryError::TooLarge);
        }
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let header = Self {
            class: fields.required(1, |r| match r.uint()? {
                0 => Ok(Class::Data),
                1 => Ok(Class::Control),
                4 => Ok(Class::Snapshot),
                5 => Ok(Class::Plain),
                _ => Err(WireError::Unexpected),
            })?,
            log: LogId(fields.required(2, Reader::fixed)?),
            author: Did::from_bytes(fields.required(3, Reader::fixed)?),
            device: fields.required(4, Reader::fixed)?,
            lsn: fields.required(5, Reader::uint)?,
            prev: fields.optional(6, Reader::fixed)?,
            epoch: fields.optional(7, Reader::uint)?.unwrap_or(0),
            refs: fields.optional(9, |r| r.list(REFS_MAX, Reader::fixed))?.unwrap_or_default(),
            body_bytes: fields.required(11, |r| r.uint_to(BODY_BYTES_MAX as u64))?,
            body: fields.required(12, Reader::fixed)?,
            expect: fields.optional(13, |r| {
                r.array_of(2)?;
                Ok::<_, WireError>((r.uint()?, r.fixed()?))
            })?,
            unix_ms: fields.required(14, Reader::uint)?,
        };
        fields.end()?;
        reader.end()?;
        let is_plain = matches!(header.class, Class::Control | Class::Plain);
        if (header.lsn == 0) != header.prev.is_none() || is_plain != (header.epoch == 0) {
            return Err(WireError::Unexpected.into());
        }
        if !header.refs.is_sorted_by(|a, b| a < b) || is_plain && !header.refs.is_empty() {
            return Err(WireError::Unexpected.into());
        }
        // Whoever names the head that it must follow learns from the refusal how many others there are.
        if header.class == Class::Plain && header.expect.is_some() {
            return Err(WireError::Unexpected.into());
        }
        if header.encode() == bytes { Ok(header) } else { Err(WireError::NotCanonical.into()) }
    }
}

/// Why an entry is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Not an entry in its one spelling. Codes `bad_cbor`, `not_canonical`, `bad_field`.
    #[error("not an entry: {0}")]
    Wire(#[from] WireError),
    /// A header, body or request beyond its bound. Code `too_large`.
    #[error("a header has at most 4,096 bytes, a body 1 MiB, a request 64 entries")]
    TooLarge,
    /// The body is not the one that the header names. Code `hash_mismatch`.
    #[error("the body is not the one that the header names")]
    Body,
    /// The signature does not hold. Code `bad_signature`.
    #[error("the signature of the entry does not hold")]
    Signature,
}

impl EntryError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Wire(error) => error.code(),
            Self::TooLarge => "too_large",
            Self::Body => "hash_mismatch",
            Self::Signature => "bad_signature",
        }
    }
}

impl From<BadSignature> for EntryError {
    fn from(_: BadSignature) -> Self {
        Self::Signature
    }
}

/// An entry: `[header bstr, signature 64, body bstr]`. Its body is the one that its header names; nobody has checked the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    header: Header,
    header_bytes: Vec<u8>,
    signature: [u8; 64],
    body: Vec<u8>,
}

impl Entry {
    /// Signs an entry of the database whose home is `home`; length and hash of the body are filled in.
    pub fn sign(header: Header, body: Vec<u8>, home: &Origin, key: &SigningKey) -> Result<Self, EntryError> {
        let header = Header { body_bytes: body.len() as u64, body: content::id_of(&body), ..header };
        let header_bytes = header.encode();
        let signature = key.sign(&signed_bytes(DOMAIN, home, &[&header_bytes]));
        Self::from_parts(header_bytes, signature, body)
    }

    /// Puts an entry together from what was kept of it.
    pub fn from_parts(header_bytes: Vec<u8>, signature: [u8; 64], body: Vec<u8>) -> Result<Self, EntryError> {
        let header = Header::decode(&header_bytes)?;
        if header.body_bytes != body.len() as u64 || header.body != content::id_of(&body) {
            return Err(EntryError::Body);
        }
        Ok(Self { header, header_bytes, signature, body })
    }

    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.header_bytes.len() + self.body.len() + 80);
        self.write(&mut writer);
        writer.finish()
    }

    fn write(&self, writer: &mut Writer) {
        write_parts(writer, &self.header_bytes, &self.signature, &self.body);
    }

    /// Reads the next item of `reader` as an entry.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, EntryError> {
        reader.array_of(3)?;
        let header = reader.bytes()?.to_vec();
        let signature = reader.fixed()?;
        Self::from_parts(header, signature, reader.bytes()?.to_vec())
    }

    /// Reads an entry in its one spelling.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let mut reader = Reader::new(bytes);
        let entry = Self::read(&mut reader)?;
        reader.end()?;
        Ok(entry)
    }

    /// Returns what its device signed.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the header's bytes.
    pub fn header_bytes(&self) -> &[u8] {
        &self.header_bytes
    }

    /// Returns the signature.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// Returns the body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the hash that stands in the tree of the log.
    pub fn leaf(&self) -> Hash {
        leaf_hash(&self.header_bytes)
    }

    /// Checks the signature strictly, by the key that the header names: whether that is a device of the author is asked elsewhere.
    pub fn verify(&self, home: &Origin) -> Result<(), EntryError> {
        verify_header(&self.header, &self.header_bytes, &self.signature, home)
    }
}

/// Writes the parts of an entry that were kept apart.
pub fn write_parts(writer: &mut Writer, header: &[u8], signature: &[u8; 64], body: &[u8]) {
    writer.array(3).bytes(header).bytes(signature).bytes(body);
}

/// Checks the signature of a header whose body may not be at hand.
pub fn verify_header(header: &Header, bytes: &[u8], signature: &[u8; 64], home: &Origin) -> Result<(), EntryError> {
    Ok(verify_strict(&header.device, &signed_bytes(DOMAIN, home, &[bytes]), signature)?)
}

/// Returns a request: 1 to 64 entries of one log, which are appended all or none.
pub fn encode_request(entries: &[Entry]) -> Vec<u8> {
    let bytes: usize = entries.iter().map(|entry| entry.header_bytes.len() + entry.body.len() + 80).sum();
    let mut writer = Writer::with_capacity(bytes + 8);
    writer.array(entries.len());
    entries.iter().for_each(|entry| entry.write(&mut writer));
    writer.finish()
}

/// Reads a request.
pub fn decode_request(bytes: &[u8]) -> Result<Vec<Entry>, EntryError> {
    let mut reader = Reader::new(bytes);
    let len = reader.array()?;
    if len == 0 {
        return Err(WireError::Unexpected.into());
    }
    if len > ENTRIES_PER_REQUEST_MAX as u64 {
        return Err(EntryError::TooLarge);
    }
    let entries = (0..len).map(|_| Entry::read(&mut reader)).collect::<Result<Vec<_>, _>>()?;
    reader.end()?;
    let log = entries[0].header.log;
    if entries.iter().any(|entry| entry.header.log != log) {
        return Err(WireError::Unexpected.into());
    }
    Ok(entries)
}

/// What the signature of an entry is good for.
const DOMAIN: &str = "dgns/entry/v1";

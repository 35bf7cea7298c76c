//! Deterministic CBOR, strict both ways (PROTOCOL 1.3). The room of `minicbor`.
//!
//! Only unsigned integers, byte strings, text strings, arrays, maps with unsigned keys, booleans and null exist; each value
//! has one spelling. [`Reader`] refuses any other at the byte where it stands, so nothing is allocated for a length that the
//! input cannot hold. Whoever reads a structure ends by encoding it again and comparing: that also catches what only the
//! structure knows, such as an optional value spelled out although it is the default.

use minicbor::{Decoder, Encoder};

/// Why bytes are not the canonical CBOR a reader expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Truncated, trailing bytes, invalid UTF-8, or an item that this subset does not have. Code `bad_cbor`.
    #[error("not CBOR of the permitted subset")]
    BadCbor,
    /// Readable, but not the only permitted spelling: a long integer, an indefinite length, map keys out of order. Code
    /// `not_canonical`.
    #[error("not the canonical spelling")]
    NotCanonical,
    /// Canonical, but another type, length or map key than the structure has here. Code `bad_field`.
    #[error("a field is missing, unknown, or of another type or size")]
    Unexpected,
}

impl WireError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadCbor => "bad_cbor",
            Self::NotCanonical => "not_canonical",
            Self::Unexpected => "bad_field",
        }
    }
}

/// What kind of item comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An unsigned integer.
    Uint,
    /// A byte string.
    Bytes,
    /// A text string.
    Text,
    /// An array.
    Array,
    /// A map.
    Map,
    /// `false` or `true`.
    Bool,
    /// `null`.
    Null,
}

/// Writes items one after another; the caller writes as many as it announced and map keys in ascending order.
#[derive(Debug)]
pub struct Writer(Encoder<Vec<u8>>);

/// The reason no write can fail.
const GROWS: &str = "a Vec takes every byte";

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// Returns a writer without output.
    pub fn new() -> Self {
        Self::with_capacity(256)
    }

    /// Returns a writer without output that has room for this many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Encoder::new(Vec::with_capacity(bytes)))
    }

    /// Writes an unsigned integer; also the key of a map entry.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.0.u64(value).expect(GROWS);
        self
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.0.bytes(value).expect(GROWS);
        self
    }

    /// Writes a text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.0.str(value).expect(GROWS);
        self
    }

    /// Begins an array of `len` items.
    pub fn array(&mut self, len: usize) -> &mut Self {
        self.0.array(len as u64).expect(GROWS);
        self
    }

    /// Begins a map of `len` entries: key, value, key, value.
    pub fn map(&mut self, len: usize) -> &mut Self {
        self.0.map(len as u64).expect(GROWS);
        self
    }

    /// Writes `null`.
    pub fn null(&mut self) -> &mut Self {
        self.0.null().expect(GROWS);
        self
    }

    /// Writes a boolean.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.0.bool(value).expect(GROWS);
        self
    }

    /// Writes bytes that are canonical CBOR already.
    pub fn raw(&mut self, item: &[u8]) -> &mut Self {
        self.0.writer_mut().extend_from_slice(item);
        self
    }

    /// Returns everything written.
    pub fn finish(self) -> Vec<u8> {
        self.0.into_writer()
    }
}

/// Reads items one after another, each in its only spelling.
#[derive(Debug)]
pub struct Reader<'a>(Decoder<'a>);

impl<'a> Reader<'a> {
    /// Returns a reader at the first byte of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Decoder::new(bytes))
    }

    /// Returns the kind of the next item without reading it.
    pub fn peek(&self) -> Result<Kind, WireError> {
        let first = *self.0.input().get(self.0.position()).ok_or(WireError::BadCbor)?;
        let (major, info) = (first >> 5, first & 0x1f);
        match (major, info) {
            (2..=5, 31) => Err(WireError::NotCanonical),
            (0..=5, 28..) => Err(WireError::BadCbor),
            (0, _) => Ok(Kind::Uint),
            (2, _) => Ok(Kind::Bytes),
            (3, _) => Ok(Kind::Text),
            (4, _) => Ok(Kind::Array),
            (5, _) => Ok(Kind::Map),
            (7, 20 | 21) => Ok(Kind::Bool),
            (7, 22) => Ok(Kind::Null),
            _ => Err(WireError::BadCbor),
        }
    }

    /// Reads an unsigned integer.
    pub fn uint(&mut self) -> Result<u64, WireError> {
        let start = self.begin(Kind::Uint)?;
        let value = self.0.u64().map_err(|_| WireError::BadCbor)?;
        self.shortest(start, value, 0)
    }

    /// Reads an unsigned integer of at most `max`.
    pub fn uint_to(&mut self, max: u64) -> Result<u64, WireError> {
        let value = self.uint()?;
        if value <= max { Ok(value) } else { Err(WireError::Unexpected) }
    }

    /// Reads a byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let start = self.begin(Kind::Bytes)?;
        let value = self.0.bytes().map_err(|_| WireError::BadCbor)?;
        self.shortest(start, value.len() as u64, value.len())?;
        Ok(value)
    }

    /// Reads a byte string of exactly `N` bytes.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.bytes()?.try_into().map_err(|_| WireError::Unexpected)
    }

    /// Reads a text string.
    pub fn text(&mut self) -> Result<&'a str, WireError> {
        let start = self.begin(Kind::Text)?;
        let value = self.0.str().map_err(|_| WireError::BadCbor)?;
        self.shortest(start, value.len() as u64, value.len())?;
        Ok(value)
    }

    /// Reads the head of an array and returns its number of items, which is no more than the bytes that follow.
    pub fn array(&mut self) -> Result<u64, WireError> {
        let start = self.begin(Kind::Array)?;
        let len = self.0.array().map_err(|_| WireError::BadCbor)?.ok_or(WireError::NotCanonical)?;
        self.bounded(start, len)
    }

    /// Reads the head of an array of exactly `len` items.
    pub fn array_of(&mut self, len: u64) -> Result<(), WireError> {
        if self.array()? == len { Ok(()) } else { Err(WireError::Unexpected) }
    }

    /// Reads an array of at most `max` items, each by `read`.
    pub fn list<T, E: From<WireError>>(
        &mut self,
        max: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let len = self.array()?;
        if len > max as u64 {
            return Err(WireError::Unexpected.into());
        }
        (0..len).map(|_| read(self)).collect()
    }

    /// Reads the head of a map and returns its number of entries, which is no more than the bytes that follow.
    pub fn map(&mut self) -> Result<u64, WireError> {
        let start = self.begin(Kind::Map)?;
        let len = self.0.map().map_err(|_| WireError::BadCbor)?.ok_or(WireError::NotCanonical)?;
        self.bounded(start, len)
    }

    /// Reads a map whose entries are named by small integers.
    pub fn fields(&mut self) -> Result<Fields<'_, 'a>, WireError> {
        let left = self.map()?;
        let mut fields = Fields { reader: self, left, next: None };
        fields.advance()?;
        Ok(fields)
    }

    /// Reads a boolean.
    pub fn bool(&mut self) -> Result<bool, WireError> {
        self.begin(Kind::Bool)?;
        self.0.bool().map_err(|_| WireError::BadCbor)
    }

    /// Reads `null` as `None`, anything else by `read`.
    pub fn or_null<T, E: From<WireError>>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        if self.is_null()? { self.null().map(|()| None).map_err(E::from) } else { read(self).map(Some) }
    }

    /// Returns whether the next item is `null`, without reading it.
    pub fn is_null(&self) -> Result<bool, WireError> {
        Ok(self.peek()? == Kind::Null)
    }

    /// Reads `null`.
    pub fn null(&mut self) -> Result<(), WireError> {
        self.begin(Kind::Null)?;
        self.0.null().map_err(|_| WireError::BadCbor)
    }

    /// Returns how many bytes have been read.
    pub fn position(&self) -> usize {
        self.0.position()
    }

    /// Ends the reading: refuses bytes that follow.
    pub fn end(&self) -> Result<(), WireError> {
        if self.0.position() == self.0.input().len() { Ok(()) } else { Err(WireError::BadCbor) }
    }

    fn begin(&self, wanted: Kind) -> Result<usize, WireError> {
        if self.peek()? == wanted { Ok(self.0.position()) } else { Err(WireError::Unexpected) }
    }

    /// Refuses a head longer than `argument` needs; `content` bytes were read behind it.
    fn shortest(&self, start: usize, argument: u64, content: usize) -> Result<u64, WireError> {
        let needed = match argument {
            0..=23 => 1,
            24..=0xff => 2,
            0x100..=0xffff => 3,
            0x1_0000..=0xffff_ffff => 5,
            _ => 9,
        };
        if self.0.position() - start - content == needed { Ok(argument) } else { Err(WireError::NotCanonical) }
    }

    fn bounded(&self, start: usize, len: u64) -> Result<u64, WireError> {
        self.shortest(start, len, 0)?;
        let left = self.0.input().len() - self.0.position();
        if len <= left as u64 { Ok(len) } else { Err(WireError::BadCbor) }
    }
}

/// The entries of a map whose keys are ascending integers, asked for in that order.
///
/// A key that is never asked for is refused: nothing signed may hold what a reader does not understand.
#[derive(Debug)]
pub struct Fields<'r, 'a> {
    reader: &'r mut Reader<'a>,
    /// Entries whose key has not been read.
    left: u64,
    /// The key whose value comes next.
    next: Option<u64>,
}

impl<'a> Fields<'_, 'a> {
    /// Reads the value of `key` by `read`, or returns `None` if the map does not have it.
    pub fn optional<T, E: From<WireError>>(
        &mut self,
        key: u64,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        match self.next {
            Some(next) if next == key => {
                let value = read(self.reader)?;
                self.advance()?;
                Ok(Some(value))
            }
            Some(next) if next < key => Err(WireError::Unexpected.into()),
            _ => Ok(None),
        }
    }

    /// Reads the value of `key` by `read`; the map must have it.
    pub fn required<T, E: From<WireError>>(
        &mut self,
        key: u64,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.optional(key, read)?.ok_or_else(|| WireError::Unexpected.into())
    }

    /// Ends the map: refuses keys that were not asked for.
    pub fn end(self) -> Result<(), WireError> {
        if self.next.is_none() { Ok(()) } else { Err(WireError::Unexpected) }
    }

    fn advance(&mut self) -> Result<(), WireError> {
        let last = self.next.take();
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        if self.reader.peek()? != Kind::Uint {
            return Err(WireError::BadCbor);
        }
        let key = self.reader.uint()?;
        if last.is_some_and(|last| key <= last) {
            return Err(WireError::NotCanonical);
        }
        self.next = Some(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! What a token or a grant allows: rights on a path of a resource (PROTOCOL 17.2).

use core::fmt;
use core::str::FromStr;

use crate::did::Did;
use crate::limits::{RESOURCE_PATH_BYTES_MAX, SCOPES_MAX};
use crate::wire::{Reader, WireError, Writer};

/// A set of rights; never empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rights(u8);

impl Rights {
    /// To read.
    pub const READ: Self = Self(1);
    /// To write.
    pub const WRITE: Self = Self(2);
    /// To grant to others what one has.
    pub const GRANT: Self = Self(4);
    /// All of them.
    pub const ALL: Self = Self(7);

    /// Returns the set with these bits; `None` if it is empty or has others.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if matches!(bits, 1..=7) { Some(Self(bits as u8)) } else { None }
    }

    /// Returns the bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Returns the rights of both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether every right of `other` is among these.
    pub const fn include(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Returns the set that letters such as `rw` name: r read, w write, g grant, each at most once.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bits = 0;
        for letter in text.chars() {
            let bit = match letter {
                'r' => 1,
                'w' => 2,
                'g' => 4,
                _ => return None,
            };
            if bits & bit != 0 {
                return None;
            }
            bits |= bit;
        }
        Self::from_bits(bits)
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [(Self::READ, "r"), (Self::WRITE, "w"), (Self::GRANT, "g")];
        letters.iter().filter(|(right, _)| self.include(*right)).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}

/// A place inside a resource: segments of `[A-Za-z0-9._~-]` with `/` between, none of them `.` or `..`; empty is all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResourcePath(String);

/// The text is no path of a resource. Code `bad_field`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a path is at most 64 bytes: segments of letters, digits and ._~- with / between, none of them . or ..")]
pub struct PathError;

impl ResourcePath {
    /// Returns the path of the whole resource.
    pub fn all() -> Self {
        Self::default()
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether `other` is this place or lies below it.
    pub fn covers(&self, other: &Self) -> bool {
        match other.0.strip_prefix(&self.0) {
            Some(rest) => self.0.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }
}

impl FromStr for ResourcePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let of_path = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        let segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(of_path);
        let holds = text.len() <= RESOURCE_PATH_BYTES_MAX && (text.is_empty() || text.split('/').all(segment));
        if holds { Ok(Self(text.to_owned())) } else { Err(PathError) }
    }
}

/// Rights on a path of one resource: `[site 20, log tstr, rights]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The DID of the resource.
    pub site: Did,
    /// Where in it.
    pub log: ResourcePath,
    /// What is allowed there.
    pub rights: Rights,
}

impl Scope {
    /// Returns whether everything that `other` allows is allowed here.
    pub fn includes(&self, other: &Self) -> bool {
        self.site == other.site && self.log.covers(&other.log) && self.rights.include(other.rights)
    }

    /// Returns a list of scopes as CBOR.
    pub fn encode_list(scopes: &[Self]) -> Vec<u8> {
        let mut writer = Writer::new();
        Self::write_all(scopes, &mut writer);
        writer.finish()
    }

    /// Reads a list of at most 16 scopes.
    pub fn decode_list(bytes: &[u8]) -> Result<Vec<Self>, WireError> {
        let mut reader = Reader::new(bytes);
        let scopes = reader.list(SCOPES_MAX, Self::read)?;
        reader.end()?;
        Ok(scopes)
    }

    /// Reads one scope.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.array_of(3)?;
        let site = Did::from_bytes(reader.fixed()?);
        let log = reader.text()?.parse().map_err(|_| WireError::Unexpected)?;
        Ok(Self { site, log, rights: read_rights(reader)? })
    }

    /// Writes a list of scopes.
    pub(super) fn write_all(scopes: &[Self], writer: &mut Writer) {
        writer.array(scopes.len());
        for Self { site, log, rights } in scopes {
            writer.array(3).bytes(site.as_bytes()).text(log.as_str()).uint(rights.bits().into());
        }
    }

    /// Returns the bytes that one scope takes.
    pub(super) fn len(&self) -> usize {
        let text = self.log.as_str().len();
        1 + 21 + text + if text < 24 { 1 } else { 2 } + 1
    }
}

/// Reads a set of rights.
pub(crate) fn read_rights(reader: &mut Reader<'_>) -> Result<Rights, WireError> {
    Rights::from_bits(reader.uint()?).ok_or(WireError::Unexpected)
}

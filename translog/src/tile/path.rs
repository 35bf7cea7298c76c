//! The paths of tiles and bundles, exactly as tlog-tiles writes them; anything else is refused.

use core::fmt::{self, Write as _};

use super::{BundleId, TileError, TileId};
use crate::limits::TILE_WIDTH;

/// What a path below a read prefix names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceId {
    /// `tile/<L>/<N>[.p/<W>]`.
    Tile(TileId),
    /// `tile/entries/<N>[.p/<W>]`.
    Bundle(BundleId),
}

impl ResourceId {
    /// Parses a path relative to the read prefix, without a slash before it. Errors: [`TileError::Path`] for any other
    /// spelling, [`TileError::Level`], [`TileError::Index`] or [`TileError::Width`] for a number out of bounds.
    pub fn parse(path: &str) -> Result<Self, TileError> {
        let (layer, rest) = path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(TileError::Path)?;
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, parse_width(width)?),
            None => (rest, TILE_WIDTH),
        };
        let index = parse_number(number)?;
        if layer == "entries" {
            return Ok(Self::Bundle(BundleId::new(index, width)?));
        }
        let level = u8::try_from(parse_decimal(layer, 3)?).map_err(|_| TileError::Level)?;
        Ok(Self::Tile(TileId::new(level, index, width)?))
    }
}

/// The path relative to the read prefix, such as `tile/0/x001/067.p/12`.
impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/{}", self.level(), number_path(self.index()))?;
        write_width(f, self.width())
    }
}

/// The path relative to the read prefix, such as `tile/entries/x001/067.p/12`.
impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/entries/{}", number_path(self.index()))?;
        write_width(f, self.width())
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tile(id) => id.fmt(f),
            Self::Bundle(id) => id.fmt(f),
        }
    }
}

/// Returns a number in groups of three digits, all but the last behind an `x`: 1234067 is `x001/x234/067`.
pub fn number_path(number: u64) -> String {
    let mut groups = vec![number % 1_000];
    let mut rest = number / 1_000;
    while rest > 0 {
        groups.push(rest % 1_000);
        rest /= 1_000;
    }
    let mut path = String::new();
    for group in groups[1..].iter().rev() {
        write!(path, "x{group:03}/").expect("a String takes all that is written");
    }
    write!(path, "{:03}", groups[0]).expect("a String takes all that is written");
    path
}

/// Reads what [`number_path`] writes.
fn parse_number(path: &str) -> Result<u64, TileError> {
    let (before, last) = match path.rsplit_once('/') {
        Some((before, last)) => (Some(before), last),
        None => (None, path),
    };
    let mut number: u64 = 0;
    for (place, group) in before.iter().flat_map(|before| before.split('/')).enumerate() {
        let group = parse_group(group.strip_prefix('x').ok_or(TileError::Path)?)?;
        if place == 0 && group == 0 {
            return Err(TileError::Path);
        }
        number = number.checked_mul(1_000).and_then(|number| number.checked_add(group)).ok_or(TileError::Index)?;
    }
    let last = parse_group(last)?;
    number.checked_mul(1_000).and_then(|number| number.checked_add(last)).ok_or(TileError::Index)
}

/// Reads exactly three digits.
fn parse_group(digits: &str) -> Result<u64, TileError> {
    if digits.len() != 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(TileError::Path);
    }
    digits.parse().map_err(|_| TileError::Path)
}

/// Reads the width of a partial tile; a full one has none.
fn parse_width(digits: &str) -> Result<u16, TileError> {
    match parse_decimal(digits, 4)? {
        width @ 1..=255 => Ok(width as u16),
        _ => Err(TileError::Width),
    }
}

/// Reads a decimal without leading zeros of at most `digits_max` digits.
fn parse_decimal(digits: &str, digits_max: usize) -> Result<u64, TileError> {
    let plain = !digits.is_empty() && digits.len() <= digits_max && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !plain || (digits.len() > 1 && digits.starts_with('0')) {
        return Err(TileError::Path);
    }
    digits.parse().map_err(|_| TileError::Path)
}

/// Writes the suffix of a partial tile or bundle.
fn write_width(f: &mut fmt::Formatter<'_>, width: u16) -> fmt::Result {
    if width < TILE_WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
}

//! Entry bundles: the entries of one level-0 tile as one file (PROTOCOL 8.3).

use crate::hash::{Hash, leaf_hash};
use crate::limits::ENTRY_BYTES_MAX;
use crate::tile::{BundleId, TileError};

/// Writes entries behind one another, each as `u16 length, entry`.
///
/// Panics on an entry above 65,535 bytes, which [`crate::entry`] never makes.
pub fn encode<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).expect("an entry has at most 4,097 bytes");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    bytes
}

/// Reads the entries of a bundle without copying them, each 1 to 4,097 bytes.
///
/// Errors: [`TileError::Bytes`] unless there are as many as the id is wide and nothing follows. A wider file of the same
/// bundle is refused too: unlike a tile it would have to be read to its end to be checked.
pub fn decode(id: BundleId, bytes: &[u8]) -> Result<Vec<&[u8]>, TileError> {
    let mut entries = Vec::with_capacity(usize::from(id.width()));
    for entry in split(bytes) {
        entries.push(entry?);
    }
    if entries.len() == usize::from(id.width()) { Ok(entries) } else { Err(TileError::Bytes) }
}

/// Walks the entries of a bundle of any width; at most 256 come, the first error ends it.
pub fn split(bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], TileError>> {
    let mut left = 256;
    entries(bytes).map_while(move |entry| {
        left -= 1;
        match left {
            0.. => Some(entry),
            -1 => Some(Err(TileError::Bytes)),
            _ => None,
        }
    })
}

/// Walks entries as a bundle holds them, however many there are; the first error ends it.
pub fn entries(bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], TileError>> {
    let mut rest = Some(bytes);
    core::iter::from_fn(move || {
        let here = rest.take().filter(|bytes| !bytes.is_empty())?;
        Some(match split_first(here) {
            Some((entry, after)) => {
                rest = Some(after);
                Ok(entry)
            }
            None => Err(TileError::Bytes),
        })
    })
}

/// Returns the leaf hashes of a bundle: what its level-0 tile must hold. One pass, nothing copied.
pub fn leaf_hashes(id: BundleId, bytes: &[u8]) -> Result<Vec<Hash>, TileError> {
    let mut hashes = Vec::with_capacity(usize::from(id.width()));
    for entry in split(bytes) {
        hashes.push(leaf_hash(entry?));
    }
    if hashes.len() == usize::from(id.width()) { Ok(hashes) } else { Err(TileError::Bytes) }
}

/// Returns the first entry and what follows it.
fn split_first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    if !(1..=ENTRY_BYTES_MAX).contains(&length) {
        return None;
    }
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bundle_reads_back_and_nothing_else_does() {
        // Goal: the form is exact. Method: three entries; then cut, lengthened, emptied, oversized, one too many.
        let entries: [&[u8]; 3] = [b"a", &[7; ENTRY_BYTES_MAX], b"ccc"];
        let id = BundleId::new(0, 3).expect("valid");
        let bytes = encode(entries);
        assert_eq!(decode(id, &bytes), Ok(entries.to_vec()));
        assert_eq!(leaf_hashes(id, &bytes), Ok(entries.map(leaf_hash).to_vec()));
        let refused = |bytes: &[u8]| {
            assert_eq!(decode(id, bytes), Err(TileError::Bytes));
            assert_eq!(leaf_hashes(id, bytes), Err(TileError::Bytes));
        };
        refused(&bytes[..bytes.len() - 1]);
        refused(&[&bytes[..], &[0]].concat());
        refused(&[&bytes[..], &[0, 1, 1]].concat());
        refused(&[]);
        refused(&encode([&b""[..], b"b", b"c"]));
        refused(&encode([&b"a"[..], &[7; ENTRY_BYTES_MAX + 1], b"c"]));
        assert_eq!(split(&[0, 1, 1].repeat(257)).filter(Result::is_ok).count(), 256);
        assert_eq!(split(&[0, 1, 1].repeat(257)).last(), Some(Err(TileError::Bytes)));
    }

    proptest! {
        #[test]
        fn decode_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600), width in 1_u16..=256) {
            // Goal: any file is an answer. Method: random bytes.
            let id = BundleId::new(3, width).expect("valid");
            if let Ok(entries) = decode(id, &bytes) {
                prop_assert_eq!(encode(entries), bytes);
            }
        }
    }
}

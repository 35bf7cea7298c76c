//! The contents of a file: chunks, their ids, and the root that names them all (PROTOCOL 23.12).

use identity::hash::{Hash, domain_hash, sha256};

use crate::limits::{CHUNK_BYTES, FILE_BYTES_MAX};

/// Contents, known by the ids of their chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    size: u64,
    ids: Vec<Hash>,
}

/// Bytes or ids are not those that a root names. Code `hash_mismatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what came is not what its hash names")]
pub struct BadContents;

impl Contents {
    /// Returns how many chunks so many bytes have.
    pub const fn chunks_of(size: u64) -> u64 {
        size.div_ceil(CHUNK_BYTES as u64)
    }

    /// Returns the contents of these ids. `None`: not so many chunks as the size has, or larger than any file.
    pub fn new(size: u64, ids: Vec<Hash>) -> Option<Self> {
        (size <= FILE_BYTES_MAX && ids.len() as u64 == Self::chunks_of(size)).then_some(Self { size, ids })
    }

    /// Returns the contents of these ids if they are those that `root` names.
    pub fn proved(size: u64, ids: Vec<Hash>, root: &Hash) -> Result<Self, BadContents> {
        Self::new(size, ids).filter(|contents| contents.root() == *root).ok_or(BadContents)
    }

    /// Returns the id of a chunk: SHA-256 of its bytes.
    pub fn id_of(chunk: &[u8]) -> Hash {
        sha256(&[chunk])
    }

    /// Returns `H(file; size as 8 bytes, the ids)`.
    pub fn root(&self) -> Hash {
        domain_hash("dgns/file/v1", &[&self.size.to_be_bytes(), self.ids.as_flattened()])
    }

    /// Returns the bytes of the whole.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the ids.
    pub fn ids(&self) -> &[Hash] {
        &self.ids
    }

    /// Returns the place and length of a chunk.
    pub fn place(&self, index: u64) -> Option<(u64, usize)> {
        let offset = index.checked_mul(CHUNK_BYTES as u64).filter(|offset| *offset < self.size)?;
        let length = (self.size - offset).min(CHUNK_BYTES as u64);
        Some((offset, usize::try_from(length).ok()?))
    }

    /// Returns whether bytes are the chunk of this number.
    pub fn check(&self, index: u64, chunk: &[u8]) -> Result<(), BadContents> {
        let id = usize::try_from(index).ok().and_then(|index| self.ids.get(index)).ok_or(BadContents)?;
        if Self::id_of(chunk) == *id { Ok(()) } else { Err(BadContents) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_named_by_size_and_chunks() {
        let chunk = vec![7; CHUNK_BYTES];
        let ids = vec![Contents::id_of(&chunk), Contents::id_of(b"rest")];
        let size = CHUNK_BYTES as u64 + 4;
        let contents = Contents::new(size, ids.clone()).expect("two chunks");
        assert_eq!(Contents::proved(size, ids.clone(), &contents.root()), Ok(contents.clone()));
        assert_eq!(Contents::proved(size - 1, ids.clone(), &contents.root()), Err(BadContents), "another size");
        assert_eq!(Contents::proved(size, vec![ids[1], ids[0]], &contents.root()), Err(BadContents), "another order");
        assert_eq!(Contents::proved(size, ids[..1].to_vec(), &contents.root()), Err(BadContents), "one too few");
        assert_eq!(Contents::new(FILE_BYTES_MAX + 1, Vec::new()), None);
        assert_eq!((contents.place(0), contents.place(1)), (Some((0, CHUNK_BYTES)), Some((CHUNK_BYTES as u64, 4))));
        assert_eq!((contents.place(2), contents.place(u64::MAX)), (None, None));
        assert_eq!((contents.check(0, &chunk), contents.check(1, b"rest")), (Ok(()), Ok(())));
        assert_eq!((contents.check(1, b"resT"), contents.check(2, b"")), (Err(BadContents), Err(BadContents)));
        let empty = Contents::new(0, Vec::new()).expect("no chunk");
        assert_eq!(empty.place(0), None);
    }
}

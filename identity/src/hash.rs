//! SHA-256 over exactly the bytes shown, and the domain-separated forms built on it (PROTOCOL 1).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sha2::block_api::compress256;

/// A SHA-256 output.
pub type Hash = [u8; 32];

/// Returns SHA-256 over the concatenation of `parts`.
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finish()
}

/// Returns SHA-256 over `prefix, left, right`: the 65 bytes of every node of a tree.
///
/// The same as [`sha256`] of them, in two thirds of the time: the padding of two blocks is known beforehand.
pub fn sha256_node(prefix: u8, left: &Hash, right: &Hash) -> Hash {
    let mut blocks = [[0; 64]; 2];
    blocks[0][0] = prefix;
    blocks[0][1..33].copy_from_slice(left);
    blocks[0][33..].copy_from_slice(&right[..31]);
    (blocks[1][0], blocks[1][1]) = (right[31], 0x80);
    blocks[1][62..].copy_from_slice(&(65 * 8_u16).to_be_bytes());
    let mut state = START;
    compress256(&mut state, &blocks);
    bytes_of(state)
}

/// SHA-256 on its way, over a few blocks most often: without the generality of `Sha256`, a third of whose time it would be.
#[derive(Clone, Debug)]
pub struct Hasher {
    state: [u32; 8],
    /// The block that is not full yet.
    block: [u8; 64],
    /// Bytes taken so far.
    length: usize,
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher {
    /// Returns the hash of nothing yet.
    pub const fn new() -> Self {
        Self { state: START, block: [0; 64], length: 0 }
    }

    /// Takes more bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let filled = self.length % 64;
        self.length += bytes.len();
        if filled + bytes.len() < 64 {
            self.block[filled..filled + bytes.len()].copy_from_slice(bytes);
            return;
        }
        if filled > 0 {
            let (first, rest) = bytes.split_at(64 - filled);
            self.block[filled..].copy_from_slice(first);
            compress256(&mut self.state, &[self.block]);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks();
        compress256(&mut self.state, blocks);
        self.block[..rest.len()].copy_from_slice(rest);
    }

    /// Returns SHA-256 of all that was taken.
    pub fn finish(mut self) -> Hash {
        let filled = self.length % 64;
        self.block[filled] = 0x80;
        self.block[filled + 1..].fill(0);
        if filled >= 56 {
            compress256(&mut self.state, &[self.block]);
            self.block.fill(0);
        }
        self.block[56..].copy_from_slice(&(self.length as u64 * 8).to_be_bytes());
        compress256(&mut self.state, &[self.block]);
        bytes_of(self.state)
    }
}

fn bytes_of(state: [u32; 8]) -> Hash {
    let mut hash = [0; 32];
    for (bytes, word) in hash.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

/// The state SHA-256 starts from (FIPS 180-4, 5.3.3).
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Returns `H(x; parts)`: SHA-256 over `domain`, one zero byte, and `parts` as they are.
///
/// `domain` is the whole string, such as `dgns/pow/v1`. A field of variable length is passed with its u16 length before it
/// ([`u16_prefixed`]).
pub fn domain_hash(domain: &'static str, parts: &[&[u8]]) -> Hash {
    let mut hasher = Hasher::new();
    hasher.update(domain.as_bytes());
    hasher.update(&[0]);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finish()
}

/// Returns HMAC-SHA256 under `key` over `domain`, one zero byte, and `parts` as they are: a hash only the holder of the key makes.
pub fn keyed_hash(key: &[u8; 32], domain: &'static str, parts: &[&[u8]]) -> Hash {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    hmac.update(domain.as_bytes());
    hmac.update(&[0]);
    for part in parts {
        hmac.update(part);
    }
    hmac.finalize().into_bytes().into()
}

/// Returns `bytes` behind its length as a big-endian u16.
///
/// Panics above 65,535 bytes; every caller passes a field whose limit is far lower.
pub fn u16_prefixed(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("callers bound the field far below 65,536 bytes");
    let mut out = Vec::with_capacity(2 + bytes.len());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use sha2::Digest;

    use super::*;

    #[test]
    fn bytes_are_hashed_as_the_library_hashes_them() {
        // Goal: the same hash however many bytes come, in however many parts. Method: every length around three blocks, parted at every
        // place, and in threes.
        let bytes: Vec<u8> = (0..200_u8).map(|at| at.wrapping_mul(7)).collect();
        for length in 0..=bytes.len() {
            let bytes = &bytes[..length];
            let expected: Hash = Sha256::digest(bytes).into();
            for at in 0..=length {
                let (one, other) = bytes.split_at(at);
                assert_eq!(sha256(&[one, other]), expected, "{length} parted at {at}");
            }
            assert_eq!(sha256(&bytes.chunks(3).collect::<Vec<_>>()), expected);
            let of_domain = Sha256::new().chain_update("dgns/x/v1").chain_update([0]).chain_update(bytes).finalize();
            assert_eq!(domain_hash("dgns/x/v1", &[bytes]), <Hash>::from(of_domain));
        }
    }

    #[test]
    fn a_node_is_hashed_as_its_65_bytes_are() {
        // Goal: the short road and the long one lead to one hash. Method: a chain of nodes of changing prefix and order.
        let (mut left, mut right) = ([0; 32], sha256(&[]));
        for prefix in 0..=255_u8 {
            let node = sha256_node(prefix, &left, &right);
            assert_eq!(node, sha256(&[&[prefix], &left, &right]));
            (left, right) = (right, node);
        }
    }
}

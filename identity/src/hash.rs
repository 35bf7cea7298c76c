//! SHA-256 over exactly the bytes shown, and the domain-separated forms built on it (PROTOCOL 1).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

/// A SHA-256 output.
pub type Hash = [u8; 32];

/// Returns SHA-256 over the concatenation of `parts`.
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
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
    let mut hasher = Sha256::new();
    hasher.update(domain.as_bytes());
    hasher.update([0]);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
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
    use super::*;

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

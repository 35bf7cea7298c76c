//! The two hashes of an RFC 6962 tree (PROTOCOL 8.1).

pub use identity::hash::{Hash, sha256};

use identity::hash::sha256_node;

/// The root of the tree without leaves: SHA-256 of nothing.
pub const EMPTY_ROOT: Hash = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Returns the hash of a leaf, `H(00, entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// Returns the hash of an inner node, `H(01, left, right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256_node(1, left, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_prefixes_are_those_of_rfc_6962() {
        // Goal: the bytes hashed are exactly the ones shown. Method: write them out once more.
        assert_eq!(EMPTY_ROOT, sha256(&[]));
        assert_eq!(leaf_hash(b""), sha256(&[&[0]]));
        assert_eq!(leaf_hash(b"abc"), sha256(&[&[0], b"abc"]));
        let (left, right) = (sha256(&[b"l"]), sha256(&[b"r"]));
        assert_eq!(node_hash(&left, &right), sha256(&[&[1], &left, &right]));
    }
}

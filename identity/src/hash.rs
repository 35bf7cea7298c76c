//! SHA-256 over exactly the bytes shown, and the domain-separated forms built on it (PROTOCOL 1).

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

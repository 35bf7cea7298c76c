//! The signing key of a device as DNS has it: the KEY record by which its updates are signed (RFC 2535, RFC 8080, PROTOCOL 13.3).

use identity::cert::KeyBytes;

/// The number of Ed25519 in DNS (RFC 8080).
pub const ALGORITHM: u8 = 15;

/// The data of the record before the key: a host's, of DNS, Ed25519.
const HEAD: [u8; 4] = [2, 0, 3, ALGORITHM];

/// Returns the tag of the record (RFC 4034 appendix B).
pub fn tag(key: &KeyBytes) -> u16 {
    let data = HEAD.iter().chain(key);
    let sum: u32 = data.enumerate().map(|(at, byte)| u32::from(*byte) << if at % 2 == 0 { 8 } else { 0 }).sum();
    (sum + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_a_key_is_that_of_rfc_4034() {
        // Method: appendix B of the RFC by its letter, over the whole data.
        for key in [[0xAB; 32], [0xFF; 32], [0; 32]] {
            let mut sum: u32 = 0;
            for (at, byte) in [&HEAD[..], &key].concat().iter().enumerate() {
                sum += if at & 1 == 1 { u32::from(*byte) } else { u32::from(*byte) << 8 };
            }
            sum += sum >> 16 & 0xFFFF;
            assert_eq!(tag(&key), sum as u16);
        }
    }
}

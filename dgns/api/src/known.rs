//! What an asker says of the DID it remembers (PROTOCOL 12.1).

use core::fmt;
use core::str::FromStr;

use identity::did::Did;

/// `known=<DID, 32 characters>.<next>[.<mark>]`: the asker has followed so many certificates of this DID, and keeps a state.
///
/// The answer brings the certificates from place `next` on; 0 asks for all of them, from the genesis. It leaves the DID's state
/// out if that has this mark. Where the answer is about another DID it changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The DID.
    pub did: Did,
    /// The place in the chain of the first certificate not followed.
    pub next: u64,
    /// The first 8 bytes of the hash of the state kept (PROTOCOL 10.2): two histories of one version are told apart by it.
    pub mark: Option<u64>,
}

/// Text that is not of that form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("known=<the 32 characters of a DID>.<place of the next certificate>[.<16 hexadecimal digits>]")]
pub struct NotKnown;

impl Known {
    /// Returns the mark of the state with this hash.
    pub fn mark_of(state_hash: &[u8; 32]) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = *state_hash;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.did.base32(), self.next)?;
        self.mark.map_or(Ok(()), |mark| write!(f, ".{mark:016x}"))
    }
}

impl FromStr for Known {
    type Err = NotKnown;

    fn from_str(text: &str) -> Result<Self, NotKnown> {
        let mut parts = text.split('.');
        let (Some(did), Some(next)) = (parts.next(), parts.next()) else { return Err(NotKnown) };
        let (mark, None) = (parts.next(), parts.next()) else { return Err(NotKnown) };
        let mark = mark.map(|hex| u64::from_str_radix(hex, 16)).transpose().map_err(|_| NotKnown)?;
        let did = Did::from_base32(did).map_err(|_| NotKnown)?;
        Ok(Self { did, next: next.parse().map_err(|_| NotKnown)?, mark })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_read_as_it_was_written() {
        let did = Did::from_bytes([7; 20]);
        for known in [Known { did, next: 0, mark: None }, Known { did, next: 12, mark: Some(Known::mark_of(&[3; 32])) }]
        {
            assert_eq!(known.to_string().parse(), Ok(known));
        }
        let did = did.base32();
        for wrong in ["", "x.1", &did, &format!("{did}.-1"), &format!("{did}.1.2.3"), &format!("{did}.1.g"), "x.1.2"] {
            assert_eq!(wrong.parse::<Known>(), Err(NotKnown), "{wrong}");
        }
    }
}

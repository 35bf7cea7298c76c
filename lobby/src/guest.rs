//! Guests: whoever comes with a key that is in no log (PROTOCOL 23.17).
//!
//! A guest has no DID, and says none. Where ends and lobbies need one to tell people apart its *stand-in* takes that place: it follows from
//! the key, is never spelled out, and no chain of a log begins with it.

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::hash::domain_hash;
use identity::wire::WireError;

/// Returns what takes the place of a guest's DID: the first 20 bytes of `H(guest-key; key)`.
pub fn stand_in(key: &KeyBytes) -> Did {
    let hash = domain_hash("dgns/guest-key/v1", &[key]);
    let mut first = [0; 20];
    first.copy_from_slice(&hash[..20]);
    Did::from_bytes(first)
}

/// Returns whether a key comes as a guest's.
pub fn is_guest(key: &KeyBytes, did: &Did) -> bool {
    stand_in(key) == *did
}

/// Takes what stands there of a DID. A stand-in that is spelled out is none.
pub(crate) fn did_of(spelled: Option<[u8; 20]>, key: &KeyBytes) -> Result<Did, WireError> {
    let did = spelled.map(Did::from_bytes);
    match did {
        Some(did) if is_guest(key, &did) => Err(WireError::Unexpected),
        did => Ok(did.unwrap_or_else(|| stand_in(key))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_of_one_key_and_is_never_spelled_out() {
        let (one, other) = ([1; 32], [2; 32]);
        assert!(is_guest(&one, &stand_in(&one)) && !is_guest(&other, &stand_in(&one)));
        assert_eq!(did_of(None, &one), Ok(stand_in(&one)));
        assert_eq!(did_of(Some([3; 20]), &one), Ok(Did::from_bytes([3; 20])));
        assert_eq!(did_of(Some(*stand_in(&one).as_bytes()), &one), Err(WireError::Unexpected));
    }
}

//! Guard lists: who may wake a host (PROTOCOL 23.5). A courtesy of the lobby; the host decides for itself, from what is verified.

use identity::did::Did;
use identity::hash::domain_hash;

/// Whom the lobby lets knock at a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Every device of a DID in the log.
    Certified,
    /// The DIDs of a list.
    Listed(GuardList),
    /// Everybody: guests too.
    Guests,
}

/// DIDs as the lobby may know them: the first 8 bytes of a salted hash each. A chance match wakes the host and no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardList {
    salt: [u8; 16],
    /// Ascending, each once.
    prefixes: Box<[[u8; 8]]>,
}

impl Guard {
    /// Returns a guard that lists these DIDs.
    pub fn listed(salt: [u8; 16], dids: &[Did]) -> Self {
        Self::listed_prefixes(salt, dids.iter().map(|did| prefix(&salt, did)).collect())
    }

    /// Returns a guard of these prefixes, in any order.
    pub fn listed_prefixes(salt: [u8; 16], mut prefixes: Vec<[u8; 8]>) -> Self {
        prefixes.sort_unstable();
        prefixes.dedup();
        Self::Listed(GuardList { salt, prefixes: prefixes.into() })
    }

    /// Returns whether a DID may wake the host, or what stands in for a guest's.
    pub fn admits(&self, did: &Did, is_guest: bool) -> bool {
        match self {
            Self::Guests => true,
            _ if is_guest => false,
            Self::Certified => true,
            Self::Listed(list) => list.has(did),
        }
    }

    /// Returns whether a DID stands on a list.
    pub fn lists(&self, did: &Did) -> bool {
        matches!(self, Self::Listed(list) if list.has(did))
    }
}

impl GuardList {
    /// Returns the salt.
    pub fn salt(&self) -> &[u8; 16] {
        &self.salt
    }

    /// Returns the prefixes, ascending.
    pub fn prefixes(&self) -> &[[u8; 8]] {
        &self.prefixes
    }

    fn has(&self, did: &Did) -> bool {
        self.prefixes.binary_search(&prefix(&self.salt, did)).is_ok()
    }
}

/// The first 8 bytes of `H(guard; salt, DID)`.
fn prefix(salt: &[u8; 16], did: &Did) -> [u8; 8] {
    let hash = domain_hash("dgns/guard/v1", &[salt, did.as_bytes()]);
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&hash[..8]);
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_admits_whom_it_lists_alone() {
        let did = |n| Did::from_bytes([n; 20]);
        let guard = Guard::listed([7; 16], &[did(2), did(1), did(2)]);
        assert!(guard.admits(&did(1), false) && guard.lists(&did(2)) && !guard.admits(&did(3), false));
        assert!(Guard::Certified.admits(&did(3), false) && !Guard::Certified.lists(&did(3)));
        assert!(!Guard::listed([7; 16], &[]).admits(&did(1), false), "an empty list admits nobody");
        assert!(Guard::Guests.admits(&did(3), true) && Guard::Guests.admits(&did(3), false));
        assert!(!guard.admits(&did(1), true) && !Guard::Certified.admits(&did(1), true), "a guest is on no list");
        let Guard::Listed(list) = guard else { unreachable!() };
        assert_eq!(list.prefixes().len(), 2);
    }
}

//! The master key, and what comes of it: the server's own keys, and what rows are masked with.

use identity::did::Did;
use identity::hash::Hash;
use identity::kdf;
use identity::key::{KexSecret, SigningKey};
use storage::recovery::EnrolmentRow;
use zeroize::Zeroizing;

/// The bytes of a sign-in before a passkey's key: its id, its salt, whether a key follows.
const SIGN_IN_BYTES: usize = 49;

/// The bytes of both shares.
const SHARES_BYTES: usize = 64;

/// The one secret of a recovery server. It is a file; the database is nothing without it.
pub(super) struct Master(Zeroizing<[u8; 32]>);

/// What a row hides.
pub(super) struct Opened {
    /// The share of the evaluation key.
    pub(super) key_share: Zeroizing<[u8; 32]>,
    /// The share of the backup.
    pub(super) backup_share: Zeroizing<[u8; 32]>,
    /// The sign-ins that are listed.
    pub(super) sign_ins: Vec<SignIn>,
}

/// A sign-in that may begin a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignIn {
    /// What the log calls it.
    pub(super) id: Hash,
    /// What its id was made with.
    pub(super) salt: [u8; 16],
    /// The key of a passkey: x and y.
    pub(super) key: Option<[u8; 64]>,
}

impl Master {
    pub(super) fn new(secret: Zeroizing<[u8; 32]>) -> Self {
        Self(secret)
    }

    /// Returns the Ed25519 and the X25519 key that the server is known by.
    pub(super) fn keys(&self) -> (SigningKey, KexSecret) {
        let made = |purpose: &[u8]| kdf::derive("dgns/recover-master/v1", self.0.as_ref(), &[purpose]);
        (SigningKey::from_seed(&made(b"sign")), KexSecret::from_bytes(*made(b"kex")))
    }

    /// Returns what a row hides, masked for it.
    pub(super) fn seal(&self, did: &Did, epoch: u32, salt: &[u8; 32], opened: &Opened) -> Vec<u8> {
        let mut bytes = [opened.key_share.as_slice(), opened.backup_share.as_slice()].concat();
        for SignIn { id, salt, key } in &opened.sign_ins {
            bytes.extend_from_slice(id);
            bytes.extend_from_slice(salt);
            bytes.push(u8::from(key.is_some()));
            bytes.extend_from_slice(key.as_ref().map_or(&[], |key| key.as_slice()));
        }
        self.mask(did, epoch, salt, &mut bytes);
        bytes
    }

    /// Opens a row; `None` if it is not of the documented form.
    pub(super) fn open(&self, row: &EnrolmentRow) -> Option<Opened> {
        let mut bytes = Zeroizing::new(row.secrets.clone());
        self.mask(&row.did, row.epoch, &row.salt, &mut bytes);
        let (shares, mut rest) = bytes.split_at_checked(SHARES_BYTES)?;
        let mut sign_ins = Vec::new();
        while let Some((fixed, behind)) = rest.split_first_chunk::<SIGN_IN_BYTES>() {
            let (id, salt) = (fixed[..32].try_into().ok()?, fixed[32..48].try_into().ok()?);
            let (key, behind) = match fixed[48] {
                0 => (None, behind),
                _ => behind.split_first_chunk().map(|(key, behind)| (Some(*key), behind))?,
            };
            sign_ins.push(SignIn { id, salt, key });
            rest = behind;
        }
        if !rest.is_empty() {
            return None;
        }
        Some(Opened {
            key_share: Zeroizing::new(shares[..32].try_into().ok()?),
            backup_share: Zeroizing::new(shares[32..].try_into().ok()?),
            sign_ins,
        })
    }

    /// XORs with a stream that comes once: no two rows have one salt.
    fn mask(&self, did: &Did, epoch: u32, salt: &[u8; 32], bytes: &mut [u8]) {
        for (place, chunk) in (0_u8..=255).zip(bytes.chunks_mut(32)) {
            let parts: [&[u8]; 4] = [salt, did.as_bytes(), &epoch.to_be_bytes(), &[place]];
            let stream = kdf::derive("dgns/recover-row/v1", self.0.as_ref(), &parts);
            chunk.iter_mut().zip(stream.iter()).for_each(|(byte, mask)| *byte ^= mask);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_opens_under_its_master_and_says_nothing_without() {
        let master = |byte| Master::new(Zeroizing::new([byte; 32]));
        let secret = |byte| Zeroizing::new([byte; 32]);
        let sign_in = |key| SignIn { id: [3; 32], salt: [4; 16], key };
        let sign_ins = vec![sign_in(Some([5; 64])), sign_in(None), sign_in(Some([6; 64]))];
        let opened = Opened { key_share: secret(1), backup_share: secret(2), sign_ins: sign_ins.clone() };
        let (did, salt) = (Did::from_bytes([5; 20]), [6; 32]);
        let secrets = master(7).seal(&did, 1, &salt, &opened);
        let row = |salt, epoch| EnrolmentRow {
            did,
            epoch,
            public: [0; 32],
            point: 1,
            salt,
            secrets: secrets.clone(),
            bundle: vec![],
            attempt: 0,
            blinded: None,
            made_s: 0,
        };
        let read = master(7).open(&row(salt, 1)).unwrap();
        assert_eq!((*read.key_share, *read.backup_share), ([1; 32], [2; 32]));
        assert_eq!(read.sign_ins, sign_ins);
        for (other, row) in [(8, row(salt, 1)), (7, row([0; 32], 1)), (7, row(salt, 2))] {
            let read = master(other).open(&row);
            assert!(read.is_none_or(|read| *read.key_share != [1; 32] && read.sign_ins != sign_ins));
        }
        assert!(secrets.windows(8).all(|part| part != [1; 8] && part != [3; 8]));
        let (one, other) = (master(7).keys(), master(8).keys());
        assert_ne!(one.0.public(), other.0.public());
    }
}

//! The user key: what others share with a person is sealed to it, and every device of the person can open it (PROTOCOL 21).
//!
//! Its secret is a seed of 32 bytes, a new one for each generation, sealed in *boxes* to each recipient: devices, the words, further
//! ones. The seed before stands sealed under the new one, so that who opens the newest box reads everything since the first. Who
//! was a device once reads what was sealed until then, and nothing that follows the next turn.

mod file;

use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::cert::{KeyBytes, Level};
use crate::did::Did;
use crate::hash::{Hash, sha256};
use crate::kdf;
use crate::key::{KexSecret, kid_of};
use crate::limits::{DEVICES_MAX, RECIPIENTS_MAX};
use crate::sealed::{self, Sealed};
use crate::state::{DeviceStatus, DidState};
use crate::wire::{Reader, WireError, Writer};

pub use file::{FileError, SealedFile};

/// The bytes of all boxes of one generation.
pub const BOXES_BYTES_MAX: usize = 4_000;

/// The recipients of a generation: devices, the words box, further ones.
const ROWS_MAX: usize = DEVICES_MAX + RECIPIENTS_MAX + 2;

/// A box's plaintext and tag.
const CT_BYTES: usize = 32 + sealed::TAG_BYTES;

/// The secret of one generation. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct UserSeed(Zeroizing<[u8; 32]>);

impl UserSeed {
    /// Makes a new one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self(seed)
    }

    /// Returns the seed with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns the bytes, to be kept.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// Returns the X25519 secret, `KDF(user-key; seed;)`.
    pub fn secret(&self) -> KexSecret {
        KexSecret::from_bytes(*kdf::derive("dgns/user-key/v1", self.0.as_ref(), &[]))
    }

    /// Returns the public key, which stands in the state of the DID.
    pub fn public(&self) -> KeyBytes {
        self.secret().public()
    }
}

impl fmt::Debug for UserSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserSeed(secret)")
    }
}

/// Why boxes are refused. Code `bad_boxes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoxesError {
    /// Not the CBOR of boxes.
    #[error("not the form of boxes: {0}")]
    Wire(#[from] WireError),
    /// More than 4,000 bytes.
    #[error("boxes have at most 4,000 bytes")]
    TooLarge,
    /// A recipient of the DID has no box.
    #[error("a live device, the words or another recipient has no box")]
    Missing,
    /// A box is for none of the recipients.
    #[error("a box is for none of the recipients")]
    Stranger,
    /// The first generation has a seed before it, or a later one has none.
    #[error("the seed before is missing, or there is none")]
    Previous,
    /// The boxes are not those that the certificate names.
    #[error("the certificate names other boxes")]
    Hash,
}

impl BoxesError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        "bad_boxes"
    }
}

/// Why a seed does not come out of its box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// There is no box for this key. Code `no_box`.
    #[error("there is no box for this device: another device has to turn the user key")]
    NoBox,
    /// The box does not open. Code as of the box.
    #[error(transparent)]
    Box(#[from] sealed::OpenError),
    /// What came out is not the secret of the user key in the state. Code `wrong_seed`.
    #[error("the box holds another key than the log says")]
    WrongSeed,
}

impl SeedError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoBox => "no_box",
            Self::Box(error) => error.code(),
            Self::WrongSeed => "wrong_seed",
        }
    }
}

/// The boxes of one generation: `[[[recipient 8, enc 32, ct 48], ...], previous or null]`, recipients ascending, `previous` =
/// `[enc 32, ct 48]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boxes {
    rows: Vec<([u8; 8], Sealed)>,
    previous: Option<Sealed>,
}

/// Names a recipient: the first 8 bytes of SHA-256 over its X25519 key.
pub fn recipient_of(kex: &KeyBytes) -> [u8; 8] {
    kid_of(kex).0
}

/// Returns the X25519 keys that a user key of this DID is sealed to: its devices but suspended ones and those of services, the words
/// box, that of its recovery, the further recipients. Each once.
pub fn recipients(state: &DidState, extras: &[KeyBytes]) -> Vec<KeyBytes> {
    let devices = state.devices.iter();
    let reading = devices.filter(|device| device.status != DeviceStatus::Suspended && device.level != Level::Service);
    let mut keys: Vec<KeyBytes> = reading.map(|device| device.kex).collect();
    keys.push(state.words_box);
    keys.extend(state.recovery.as_ref().and_then(|recovery| recovery.recipient()));
    keys.extend_from_slice(extras);
    keys.sort_unstable();
    keys.dedup();
    keys
}

impl Boxes {
    /// Seals `seed`, the secret of this generation, to each recipient, and the seed before it to its public key.
    pub fn seal(
        did: &Did,
        generation: u64,
        seed: &UserSeed,
        previous: Option<&UserSeed>,
        recipients: &[KeyBytes],
        rng: &mut impl CryptoRng,
    ) -> Result<Self, sealed::WeakRecipient> {
        let info = info(did, generation);
        let mut rows = Vec::with_capacity(recipients.len());
        for kex in recipients {
            let recipient = recipient_of(kex);
            rows.push((recipient, sealed::seal(kex, &info, &recipient, seed.0.as_ref(), rng)?));
        }
        rows.sort_by_key(|(recipient, _)| *recipient);
        let previous = match previous {
            Some(previous) => Some(sealed::seal(&seed.public(), &info, &[], previous.0.as_ref(), rng)?),
            None => None,
        };
        Ok(Self { rows, previous })
    }

    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(100 * self.rows.len() + 100);
        w.array(2).array(self.rows.len());
        for (recipient, sealed) in &self.rows {
            w.array(3).bytes(recipient).bytes(&sealed.enc).bytes(&sealed.ct);
        }
        match &self.previous {
            Some(sealed) => w.array(2).bytes(&sealed.enc).bytes(&sealed.ct),
            None => w.null(),
        };
        w.finish()
    }

    /// Returns the boxes that these bytes spell; there is one spelling.
    pub fn decode(bytes: &[u8]) -> Result<Self, BoxesError> {
        if bytes.len() > BOXES_BYTES_MAX {
            return Err(BoxesError::TooLarge);
        }
        let mut r = Reader::new(bytes);
        r.array_of(2)?;
        let rows = r.list(ROWS_MAX, |r| {
            r.array_of(3)?;
            Ok::<_, WireError>((r.fixed::<8>()?, read_sealed(r)?))
        })?;
        let previous = r.or_null(|r| {
            r.array_of(2)?;
            read_sealed(r)
        })?;
        r.end()?;
        if !rows.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(WireError::NotCanonical.into());
        }
        Ok(Self { rows, previous })
    }

    /// Returns what the certificate names them by: SHA-256 over their bytes.
    pub fn hash_of(bytes: &[u8]) -> Hash {
        sha256(&[bytes])
    }

    /// Refuses boxes that leave a recipient out, hold one for a stranger, or lack the seed before.
    pub fn check(&self, generation: u64, recipients: &[KeyBytes]) -> Result<(), BoxesError> {
        let mut wanted: Vec<[u8; 8]> = recipients.iter().map(recipient_of).collect();
        wanted.sort_unstable();
        let has = |row: &[u8; 8]| self.rows.binary_search_by_key(row, |(recipient, _)| *recipient).is_ok();
        if !wanted.iter().all(has) {
            return Err(BoxesError::Missing);
        }
        if self.rows.iter().any(|(recipient, _)| wanted.binary_search(recipient).is_err()) {
            return Err(BoxesError::Stranger);
        }
        if self.previous.is_some() == (generation > 1) { Ok(()) } else { Err(BoxesError::Previous) }
    }

    /// Returns the seed in the box of `secret`; it must be that of `public`, the user key in the state.
    pub fn open(
        &self,
        did: &Did,
        generation: u64,
        public: &KeyBytes,
        secret: &KexSecret,
    ) -> Result<UserSeed, SeedError> {
        let recipient = recipient_of(&secret.public());
        let place = self.rows.binary_search_by_key(&recipient, |(recipient, _)| *recipient);
        let (_, sealed) = place.ok().and_then(|place| self.rows.get(place)).ok_or(SeedError::NoBox)?;
        let seed = seed_of(&sealed::open(secret, &info(did, generation), &recipient, sealed)?)?;
        if seed.public() == *public { Ok(seed) } else { Err(SeedError::WrongSeed) }
    }

    /// Returns the seed before `seed`, which is this generation's; `None` in the first.
    pub fn open_previous(&self, did: &Did, generation: u64, seed: &UserSeed) -> Result<Option<UserSeed>, SeedError> {
        let Some(sealed) = &self.previous else { return Ok(None) };
        let opened = sealed::open(&seed.secret(), &info(did, generation), &[], sealed)?;
        seed_of(&opened).map(Some)
    }
}

fn seed_of(opened: &[u8]) -> Result<UserSeed, SeedError> {
    opened.try_into().map(UserSeed::from_bytes).map_err(|_| SeedError::WrongSeed)
}

fn read_sealed(r: &mut Reader<'_>) -> Result<Sealed, WireError> {
    Ok(Sealed { enc: r.fixed()?, ct: r.fixed::<CT_BYTES>()?.to_vec() })
}

/// `"dgns/box/v1" 00, did 20, generation u64`. The boxes of generation 1 name no DID, 20 zero bytes: a genesis may bring them, and its
/// DID is made of their hash.
fn info(did: &Did, generation: u64) -> Vec<u8> {
    let mut info = b"dgns/box/v1".to_vec();
    info.push(0);
    info.extend_from_slice(if generation == 1 { &[0; 20] } else { did.as_bytes() });
    info.extend_from_slice(&generation.to_be_bytes());
    info
}

#[cfg(test)]
mod tests;

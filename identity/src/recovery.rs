//! Recovery: what a PIN and enough servers make, and no fewer (PROTOCOL 24).
//!
//! ```text
//!  PIN --Argon2id--> pw --blinded--> B, in the log --k_i--> t of n answers --combined--> rho ---> K signs recover_prove
//!                                                                                         |
//!                                      the window passes, t of n servers release d_i --> d ---> opens the user key
//! ```
//!
//! Whoever enrols makes the key and splits it; no server has more than its share, no share says whether a PIN is right. The only
//! check is the public key of K in the log, and it needs `t` answers to one point that the log has counted.
//!
//! [`gate`] is what a server decides by; the messages of both ends are in [`message`].

pub mod gate;
pub mod message;
mod pin;
mod shamir;

pub use pin::{Hardening, HardeningError, Pin, PinError};
pub use shamir::{Share, ShareError, combine, split};

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::cert::{Enrolment, KeyBytes};
use crate::did::Did;
use crate::hash::{Hash, domain_hash, sha256, u16_prefixed};
use crate::kdf;
use crate::key::{KexSecret, SigningKey};
use crate::oprf::{Blinded, Element, KeyShare, OprfError, WholeKey};
use crate::wire::{Reader, WireError, Writer};

/// What the hardened PIN is an input with: one DID, one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The DID.
    pub did: Did,
    /// The epoch of its enrolment.
    pub epoch: u32,
}

impl Scope {
    /// Returns what is blinded: `"dgns/recover/v1" 00 did epoch pw`.
    fn input(&self, pw: &[u8; 32]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([b"dgns/recover/v1\0".as_slice(), self.did.as_bytes(), &self.epoch.to_be_bytes(), pw].concat())
    }

    /// Returns the salt of Argon2id: the first 16 bytes of `H(pin; did, epoch)`.
    fn salt(&self) -> [u8; 16] {
        let hash = domain_hash("dgns/pin/v1", &[self.did.as_bytes(), &self.epoch.to_be_bytes()]);
        let mut salt = [0; 16];
        salt.copy_from_slice(&hash[..16]);
        salt
    }
}

/// A PIN that was hardened for one epoch: what is blinded. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Hardened {
    scope: Scope,
    input: Zeroizing<Vec<u8>>,
}

impl Hardened {
    /// Hardens a PIN. It takes a good part of a second and 64 MiB, on purpose.
    pub fn new(pin: &Pin, scope: Scope, hardening: &Hardening) -> Result<Self, HardeningError> {
        let pw = pin.harden(&scope.salt(), hardening)?;
        Ok(Self { scope, input: scope.input(&pw) })
    }

    /// Blinds it by a fresh factor.
    pub fn blind(&self, rng: &mut impl CryptoRng) -> Blinded {
        Blinded::new(&self.input, rng).expect("the input has 71 bytes")
    }

    /// Blinds it by a factor that was kept. Errors: the factor is no scalar.
    pub fn blind_again(&self, factor: &[u8; 32]) -> Result<Blinded, OprfError> {
        Blinded::again(&self.input, factor)
    }

    /// Puts checked answers together ([`Blinded::combine`]).
    pub fn combine(&self, blinded: &Blinded, answers: &[(u8, Element)]) -> Result<Secret, OprfError> {
        Ok(Secret { scope: self.scope, rho: blinded.combine(answers)? })
    }
}

impl core::fmt::Debug for Hardened {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Hardened(secret)")
    }
}

/// What the right PIN and enough answers make, and another PIN makes another of. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Secret {
    scope: Scope,
    rho: Zeroizing<[u8; 64]>,
}

impl Secret {
    /// Returns K, which signs for whoever knew the PIN: `KDF(recover-sign; rho; did, epoch)`.
    pub fn key(&self) -> SigningKey {
        let Scope { did, epoch } = &self.scope;
        let seed = kdf::derive("dgns/recover-sign/v1", self.rho.as_ref(), &[did.as_bytes(), &epoch.to_be_bytes()]);
        SigningKey::from_seed(&seed)
    }

    /// Returns the key that the backup is sealed to: `KDF(recover-box; rho, d; did, epoch)`.
    pub fn backup(&self, d: &[u8; 32]) -> KexSecret {
        let Scope { did, epoch } = &self.scope;
        let both = Zeroizing::new([self.rho.as_slice(), d].concat());
        let parts = [did.as_bytes().as_slice(), &epoch.to_be_bytes()];
        KexSecret::from_bytes(*kdf::derive("dgns/recover-box/v1", &both, &parts))
    }

    /// Returns the key of the backup from the shares that servers released, and the points of those that lied.
    ///
    /// No share can be checked by itself: every `threshold` of them are tried until the key is the one in the log. `None`: too few
    /// honest shares.
    pub fn open_backup(&self, enrolment: &Enrolment, shares: &[Share]) -> Option<(KexSecret, Vec<u8>)> {
        let enough = usize::from(enrolment.threshold);
        for some in choices(shares.len(), enough) {
            let chosen: Vec<Share> = some.iter().map(|at| shares[*at].clone()).collect();
            let Ok(d) = combine(&chosen) else { continue };
            let backup = self.backup(&d);
            if backup.public() != enrolment.kex {
                continue;
            }
            let honest = |share: &&Share| {
                let mut with = chosen.clone();
                with[0] = (*share).clone();
                chosen.iter().any(|one| one.index == share.index && one == *share)
                    || (chosen.iter().all(|one| one.index != share.index)
                        && combine(&with).is_ok_and(|again| *again == *d))
            };
            let liars = shares.iter().filter(|share| !honest(share)).map(|share| share.index);
            return Some((backup, liars.collect()));
        }
        None
    }

    /// Returns the bytes, for a file that only its owner reads.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 64]> {
        self.rho.clone()
    }

    /// Returns the secret of these bytes.
    pub fn from_bytes(scope: Scope, rho: [u8; 64]) -> Self {
        Self { scope, rho: Zeroizing::new(rho) }
    }
}

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What an enrolment makes, for the log and for each server.
pub struct Enrolled {
    /// What the right PIN leads to.
    pub secret: Secret,
    /// The shares of the evaluation key, one a server, by point.
    pub key_shares: Vec<KeyShare>,
    /// The shares of what is released in the end, one a server, by point.
    pub backup_shares: Vec<Share>,
    /// The X25519 key that the user key is sealed to.
    pub backup: KeyBytes,
}

impl Enrolled {
    /// Makes a key, splits it, and derives what the log is told.
    pub fn new(hardened: &Hardened, threshold: u8, servers: u8, rng: &mut impl CryptoRng) -> Result<Self, OprfError> {
        let key = WholeKey::generate(rng);
        let rho = Zeroizing::new(key.server().output(&hardened.input)?);
        let secret = Secret { scope: hardened.scope, rho };
        let key_shares = key.split(threshold, servers, rng)?;
        let mut d = Zeroizing::new([0; 32]);
        rng.fill_bytes(d.as_mut());
        let backup_shares = split(&d, threshold, servers, rng).map_err(|_| OprfError::Batch)?;
        let backup = secret.backup(&d).public();
        Ok(Self { secret, key_shares, backup_shares, backup })
    }
}

/// What the log commits to and does not hold (`recovery_set` key 6): how the PIN is hardened, and what kind of secret it is.
///
/// Bytes: `{1 did, 2 epoch, 3 [KiB, passes, lanes], 4 kind}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Whose, and which epoch.
    pub scope: Scope,
    /// How the PIN is hardened.
    pub hardening: Hardening,
    /// Words instead of digits.
    pub words: bool,
}

impl Bundle {
    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let Hardening { memory_kib, passes, lanes } = self.hardening;
        let mut writer = Writer::new();
        writer.map(4).uint(1).bytes(self.scope.did.as_bytes()).uint(2).uint(u64::from(self.scope.epoch));
        writer.uint(3).array(3).uint(u64::from(memory_kib)).uint(u64::from(passes)).uint(u64::from(lanes));
        writer.uint(4).uint(1 + u64::from(self.words));
        writer.finish()
    }

    /// Returns the hash that the log has.
    pub fn hash(&self) -> Hash {
        sha256(&[&self.encode()])
    }

    /// Reads a bundle. Errors: another form, or a hardening outside the bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let did = Did::from_bytes(fields.required(1, Reader::fixed)?);
        let epoch = fields.required(2, |r| r.uint_to(u64::from(u32::MAX)))? as u32;
        let hardening = fields.required(3, |r| {
            r.array_of(3)?;
            let (memory_kib, passes, lanes) = (r.uint()?, r.uint()?, r.uint()?);
            Hardening::checked(memory_kib, passes, lanes).ok_or(WireError::Unexpected)
        })?;
        let words = match fields.required(4, Reader::uint)? {
            1 => false,
            2 => true,
            _ => return Err(WireError::Unexpected),
        };
        fields.end()?;
        reader.end()?;
        Ok(Self { scope: Scope { did, epoch }, hardening, words })
    }
}

/// Returns what the log calls a sign-in: `H(signin-id; u16 length, issuer, u16 length, subject, salt)`.
pub fn sign_in_id(issuer: &str, subject: &str, salt: &[u8; 16]) -> Hash {
    let (issuer, subject) = (u16_prefixed(issuer.as_bytes()), Zeroizing::new(u16_prefixed(subject.as_bytes())));
    domain_hash("dgns/signin-id/v1", &[&issuer, &subject, salt])
}

/// Returns every choice of `some` of the numbers below `of`, in order.
fn choices(of: usize, some: usize) -> Vec<Vec<usize>> {
    let whole = (0_u32..1 << of.min(16)).filter(|bits| bits.count_ones() as usize == some);
    whole.map(|bits| (0..of).filter(|at| bits >> at & 1 == 1).collect()).collect()
}

#[cfg(test)]
mod tests;

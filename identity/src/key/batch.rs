//! Many new keys and signatures judged together: as strictly as one by one, at a third of the cost (PROTOCOL 1.2, 3.1).
//!
//! One by one, a signature (R, S) by the key A over M holds if A and R are the canonical encodings of points of large order, S < L,
//! and `S B = R + k A` with `k = SHA-512(R, A, M)`. A key is admitted if it is canonical, of large order, and without torsion.
//!
//! Together, all of that is looked at one by one except for two things:
//!
//! - **The equations** are added up, each times a number of 128 bits: `Σ z (R + k A - S B) = 0`. The points of one key are added
//!   up first, so that a key costs once, however often it signed.
//! - **Torsion** is looked for in sums: 63 times, a sum of about half the new keys and half the R. If one point has torsion, each sum has it
//!   with a chance of a half at least, whatever the others are.
//!
//! The sum of the equations alone would let torsion through, which some numbers z hide: it is in a signature only if its R has some, for the
//! keys have none. A strict check compares R itself, and refuses it. So R has to be looked at as new keys are; then no point of the
//! sum has torsion, and it is zero only if every equation holds.
//!
//! The numbers and the sums follow from 32 random bytes and SHA-256 over everything that is judged, so nobody can choose what is
//! judged to suit them. What holds one by one always holds together; the reverse fails with a chance below 2^-62, and who tries learns of it
//! from the refusal alone.

use std::collections::HashMap;

use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use curve25519_dalek::{EdwardsPoint, Scalar, constants};
use sha2::{Digest, Sha256, Sha512};

use super::{PublicKey, canonical_key, is_reduced, is_torsion_free, verify_strict};
use crate::cert::KeyBytes;
use crate::hash::{Hash, sha256};

/// Below so many points looking for torsion in sums costs more than looking at each.
const TOGETHER_MIN: usize = 128;

/// Sums of points that are made at once: as many heaps as stay in the cache nearest to the processor.
const AT_ONCE: usize = 7;

/// How many sums torsion is looked for in, as near to 64 as whole rounds come.
const SUMS: usize = 9 * AT_ONCE;

/// Keys to be admitted and signatures to be verified.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    new_keys: Vec<&'a KeyBytes>,
    signatures: Vec<(&'a KeyBytes, &'a [u8], &'a [u8; 64])>,
}

impl<'a> Batch<'a> {
    /// Returns a batch of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key to be admitted, as by [`PublicKey::admit`].
    pub fn admit(&mut self, key: &'a KeyBytes) {
        self.new_keys.push(key);
    }

    /// Adds a signature to be verified, as by [`verify_strict`]: of a key that was admitted before, or is in this batch.
    pub fn verify(&mut self, key: &'a KeyBytes, message: &'a [u8], signature: &'a [u8; 64]) {
        self.signatures.push((key, message, signature));
    }

    /// Returns whether all keys are fit and all signatures hold. `false` names no culprit: look singly then.
    ///
    /// `secret` is random and nobody else's: whoever knows it could try signatures with torsion until one passes.
    pub fn holds(&self, secret: &[u8; 32]) -> bool {
        match self.new_keys.len() + self.signatures.len() < TOGETHER_MIN {
            true => self.each_holds(),
            false => self.all_hold(secret),
        }
    }

    fn each_holds(&self) -> bool {
        let verified = |(key, message, signature): &(&KeyBytes, &[u8], &[u8; 64])| {
            let verified = verify_strict(key, message, signature);
            verified.is_ok()
        };
        self.new_keys.iter().all(|key| PublicKey::admit(key).is_ok()) && self.signatures.iter().all(verified)
    }

    fn all_hold(&self, secret: &[u8; 32]) -> bool {
        let Some(decoded) = Decoded::of(self) else { return false };
        let draws = decoded.draws(secret);
        are_torsion_free(&decoded.tested(), &draws) && decoded.equations_hold(&draws[self.new_keys.len()..])
    }
}

/// A batch of points and numbers, each canonical and of large order or with torsion.
struct Decoded<'a> {
    /// Over everything that is judged.
    digest: Hash,
    new_keys: Vec<EdwardsPoint>,
    keys: HashMap<&'a KeyBytes, EdwardsPoint>,
    signatures: Vec<Equation<'a>>,
}

/// `S B = R + k A`.
struct Equation<'a> {
    key: &'a KeyBytes,
    r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
}

/// What chance gives a point: its factor in the sum of the equations, and for each sum of points whether it is in it.
struct Draw {
    z: u128,
    sums: u64,
}

impl<'a> Decoded<'a> {
    fn of(batch: &Batch<'a>) -> Option<Self> {
        let mut digest = Sha256::new();
        let mut keys = HashMap::with_capacity(batch.new_keys.len());
        let mut new_keys = Vec::with_capacity(batch.new_keys.len());
        for bytes in &batch.new_keys {
            let key = key(bytes)?;
            digest.update(bytes);
            keys.insert(*bytes, key);
            new_keys.push(key);
        }
        let mut signatures = Vec::with_capacity(batch.signatures.len());
        for (bytes, message, signature) in &batch.signatures {
            if !keys.contains_key(bytes) {
                keys.insert(bytes, key(bytes)?);
            }
            let (r, s) = signature.split_first_chunk::<32>().expect("64 bytes");
            let k = Sha512::new().chain_update(r).chain_update(bytes).chain_update(message).finalize();
            digest.update(k);
            digest.update(s);
            let r = point(r).filter(|r| !r.is_identity())?;
            let s = Option::from(Scalar::from_canonical_bytes(s.try_into().expect("32 bytes")))?;
            let k = Scalar::from_bytes_mod_order_wide(&k.into());
            signatures.push(Equation { key: bytes, r, s, k });
        }
        Some(Self { digest: digest.finalize().into(), new_keys, keys, signatures })
    }

    /// Returns a draw for each new key, then for each signature.
    fn draws(&self, secret: &[u8; 32]) -> Vec<Draw> {
        let places = 0..(self.new_keys.len() + self.signatures.len()) as u64;
        let draw = |place: u64| {
            let drawn = sha256(&[secret, &self.digest, &place.to_be_bytes()]);
            let (z, sums) = drawn.split_first_chunk::<16>().expect("32 bytes");
            Draw { z: u128::from_le_bytes(*z), sums: u64::from_le_bytes(*sums.first_chunk().expect("16 bytes")) }
        };
        places.map(draw).collect()
    }

    /// Returns the points that nobody has looked for torsion in yet, in the order of the draws.
    fn tested(&self) -> Vec<EdwardsPoint> {
        self.new_keys.iter().copied().chain(self.signatures.iter().map(|equation| equation.r)).collect()
    }

    /// Returns whether the sum of all equations, each times its draw, holds.
    fn equations_hold(&self, draws: &[Draw]) -> bool {
        let mut of_base = Scalar::ZERO;
        let mut of_keys: HashMap<&KeyBytes, Scalar> = HashMap::with_capacity(self.keys.len());
        let mut of_rs = Vec::with_capacity(draws.len());
        for (equation, draw) in self.signatures.iter().zip(draws) {
            let z = Scalar::from(draw.z);
            of_base -= z * equation.s;
            *of_keys.entry(equation.key).or_default() += z * equation.k;
            of_rs.push(z);
        }
        let (keys, of_keys): (Vec<EdwardsPoint>, Vec<Scalar>) =
            of_keys.into_iter().map(|(key, factor)| (self.keys[key], factor)).unzip();
        let rs = self.signatures.iter().map(|equation| equation.r);
        let points = [constants::ED25519_BASEPOINT_POINT].into_iter().chain(rs).chain(keys);
        let factors = [of_base].into_iter().chain(of_rs).chain(of_keys);
        EdwardsPoint::vartime_multiscalar_mul(factors, points).is_identity()
    }
}

/// Decodes a key that is canonical and of large order.
fn key(bytes: &KeyBytes) -> Option<EdwardsPoint> {
    canonical_key(bytes).ok().filter(|key| !key.is_weak()).map(|key| key.to_edwards())
}

/// Decodes a point in its canonical encoding, or the point at x = 0 in its other one.
fn point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    if is_reduced(bytes) { CompressedEdwardsY(*bytes).decompress() } else { None }
}

/// Returns whether no point has torsion: whether none of the drawn sums of points has.
///
/// Seven sums are made at once: each point is added to one of 128 heaps, by which of the seven it is in; then the heaps are added up.
fn are_torsion_free(points: &[EdwardsPoint], draws: &[Draw]) -> bool {
    const HEAPS: usize = 1 << AT_ONCE;
    (0..SUMS).step_by(AT_ONCE).all(|first| {
        let mut heaps = [EdwardsPoint::default(); HEAPS];
        for (point, draw) in points.iter().zip(draws) {
            heaps[(draw.sums >> first) as usize % HEAPS] += point;
        }
        (0..AT_ONCE).rev().all(|sum| {
            let (without, with) = heaps.split_at_mut(1 << sum);
            let with = &with[..1 << sum];
            without.iter_mut().zip(with).for_each(|(without, with)| *without += with);
            is_torsion_free(&with.iter().sum())
        })
    })
}

#[cfg(test)]
mod tests;

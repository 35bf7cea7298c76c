//! One key among several servers: any `t` of `n` evaluate as one, fewer learn nothing (PROTOCOL 24.2).
//!
//! The key is shared by Shamir's way over the scalars of the group. A server evaluates with its share alone, and proves it under the
//! public key of its share; whoever asked puts the answers together in the exponent. What comes out is what RFC 9497 says of the
//! whole key, which nobody needs to hold again.

use voprf::{CipherSuite, EvaluationElement, Group, OprfClient, Ristretto255, VoprfClient, VoprfServer};
use zeroize::Zeroizing;

use rand_core::CryptoRng;

use super::{Blinded, Element, Generation06, OprfError, ProofBytes, Server, finalize};
use crate::cert::KeyBytes;

type Scalar = <Ristretto255 as Group>::Scalar;
type Point = <Ristretto255 as Group>::Elem;

/// What RFC 9497 hashes inputs to points with, in the verifiable mode of this suite.
const TO_GROUP: [&[u8]; 4] = [b"HashToGroup-", b"OPRFV1-", &[1], b"-ristretto255-SHA512"];

/// A share of a key: the secret of the server at this point. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct KeyShare {
    /// The point of the polynomial, from 1.
    pub index: u8,
    secret: Zeroizing<[u8; 32]>,
}

impl KeyShare {
    /// Returns the 32 bytes that the server at this point keeps.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl core::fmt::Debug for KeyShare {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "KeyShare({}, secret)", self.index)
    }
}

/// A key as whoever enrols holds it, once: 32 bytes of a scalar that is not zero.
#[derive(Clone)]
pub struct WholeKey(Zeroizing<[u8; 32]>);

impl WholeKey {
    /// Makes a new one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(bytes_of(Ristretto255::random_scalar(&mut Generation06(rng))))
    }

    /// Returns the key with this canonical scalar, little-endian. Errors: [`OprfError::Key`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, OprfError> {
        Ok(Self(bytes_of(scalar_of(bytes)?)))
    }

    /// Returns what evaluates with the whole of it.
    pub fn server(&self) -> Server {
        Server::from_scalar(&self.0).expect("the scalar was checked")
    }

    /// Splits the key for `servers`, of whom `threshold` are needed: share `i` stands at point `i`, from 1.
    ///
    /// Errors: [`OprfError::Batch`] unless 1 <= threshold <= servers <= 255.
    pub fn split(&self, threshold: u8, servers: u8, rng: &mut impl CryptoRng) -> Result<Vec<KeyShare>, OprfError> {
        if threshold == 0 || threshold > servers {
            return Err(OprfError::Batch);
        }
        let mut polynomial = Zeroizing::new(vec![Zeroizing::new(*self.0)]);
        for _ in 1..threshold {
            polynomial.push(bytes_of(Ristretto255::random_scalar(&mut Generation06(rng))));
        }
        let share = |index: u8| {
            let at = small(index);
            let mut value: Option<Scalar> = None;
            for coefficient in polynomial.iter().rev() {
                let coefficient = scalar_of(coefficient)?;
                value = Some(value.map_or(coefficient, |sum| sum * at + coefficient));
            }
            let value = value.ok_or(OprfError::Batch)?;
            // A share of zero has no public key; it comes once in 2^252 splits.
            if bool::from(Ristretto255::is_zero_scalar(value)) {
                return Err(OprfError::Key);
            }
            Ok(KeyShare { index, secret: bytes_of(value) })
        };
        (1..=servers).map(share).collect()
    }
}

impl core::fmt::Debug for WholeKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("WholeKey(secret)")
    }
}

impl Server {
    /// Returns the key that is this canonical scalar, little-endian. Errors: [`OprfError::Key`].
    pub fn from_scalar(secret: &[u8; 32]) -> Result<Self, OprfError> {
        VoprfServer::new_with_key(secret).map(Self).map_err(|_| OprfError::Key)
    }
}

impl Blinded {
    /// Returns the factor that blinds, to be kept until the answer comes: with the input it makes the same element again.
    pub fn factor(&self) -> Zeroizing<[u8; 32]> {
        let state = Zeroizing::new(<[u8; 64]>::from(self.client.serialize()));
        let mut factor = Zeroizing::new([0; 32]);
        factor.copy_from_slice(&state[..32]);
        factor
    }

    /// Blinds `input` by a factor that was kept. Errors: [`OprfError::Input`], or [`OprfError::Key`] if it is no scalar.
    pub fn again(input: &[u8], factor: &[u8; 32]) -> Result<Self, OprfError> {
        if !(1..=usize::from(u16::MAX)).contains(&input.len()) {
            return Err(OprfError::Input);
        }
        let blind = scalar_of(factor)?;
        let point = Ristretto255::hash_to_curve::<<Ristretto255 as CipherSuite>::Hash>(&[input], &TO_GROUP);
        let element: Element = Ristretto255::serialize_elem(point.map_err(|_| OprfError::Input)? * blind).into();
        let state = Zeroizing::new([factor.as_slice(), &element].concat());
        let client = VoprfClient::deserialize(&state).map_err(|_| OprfError::Input)?;
        Ok(Self { input: Zeroizing::new(input.to_vec()), client, element })
    }

    /// Holds that the share with this public key made `evaluated`. Errors: [`OprfError::Proof`] and those of bytes.
    pub fn check_share(&self, evaluated: &Element, proof: &ProofBytes, pk: &KeyBytes) -> Result<(), OprfError> {
        let batch = core::slice::from_ref(self);
        finalize(batch, core::slice::from_ref(evaluated), proof, pk).map(drop)
    }

    /// Returns the 64 bytes of the input under the whole key, from the answers of as many servers as are needed, each checked before
    /// ([`Blinded::check_share`]): points and elements.
    ///
    /// Errors: [`OprfError::Batch`] for none, or a point 0 or twice.
    pub fn combine(&self, answers: &[(u8, Element)]) -> Result<Zeroizing<[u8; 64]>, OprfError> {
        let factors = interpolation(&answers.iter().map(|(index, _)| *index).collect::<Vec<_>>())?;
        let mut sum: Option<Point> = None;
        for ((_, element), factor) in answers.iter().zip(&factors) {
            let point = Ristretto255::deserialize_elem(element).map_err(|_| OprfError::Element)? * factor;
            sum = Some(sum.map_or(point, |sum| sum + point));
        }
        let whole = Ristretto255::serialize_elem(sum.ok_or(OprfError::Batch)?);
        let whole = EvaluationElement::<Ristretto255>::deserialize(&whole).map_err(|_| OprfError::Element)?;
        // The proofs were checked one by one. What follows is the same in both modes of the RFC.
        let client = OprfClient::<Ristretto255>::deserialize(self.factor().as_slice()).map_err(|_| OprfError::Key)?;
        let output = client.finalize(&self.input, &whole).map_err(|_| OprfError::Input)?;
        Ok(Zeroizing::new(output.into()))
    }
}

/// Returns the public key of the whole, from those of as many shares as are needed. Errors: as [`Blinded::combine`].
pub fn combine_public(keys: &[(u8, KeyBytes)]) -> Result<KeyBytes, OprfError> {
    let factors = interpolation(&keys.iter().map(|(index, _)| *index).collect::<Vec<_>>())?;
    let mut sum: Option<Point> = None;
    for ((_, key), factor) in keys.iter().zip(&factors) {
        let point = Ristretto255::deserialize_elem(key).map_err(|_| OprfError::Key)? * factor;
        sum = Some(sum.map_or(point, |sum| sum + point));
    }
    Ok(Ristretto255::serialize_elem(sum.ok_or(OprfError::Batch)?).into())
}

/// Returns Lagrange's factors at 0 for these points, none of them 0 and none twice.
fn interpolation(points: &[u8]) -> Result<Vec<Scalar>, OprfError> {
    let twice = points.iter().enumerate().any(|(at, point)| *point == 0 || points[..at].contains(point));
    if twice || points.is_empty() {
        return Err(OprfError::Batch);
    }
    let factor = |own: u8| {
        let others = points.iter().filter(|other| **other != own);
        others.fold(small(1), |product, other| {
            let difference = small(*other) - small(own);
            product * small(*other) * Ristretto255::invert_scalar(difference)
        })
    };
    Ok(points.iter().map(|own| factor(*own)).collect())
}

/// Returns a number from 1 to 255 as a scalar.
fn small(number: u8) -> Scalar {
    let mut bytes = [0; 32];
    bytes[0] = number;
    Ristretto255::deserialize_scalar(&bytes).expect("a number from 1 to 255 is a scalar that is not zero")
}

fn scalar_of(bytes: &[u8; 32]) -> Result<Scalar, OprfError> {
    Ristretto255::deserialize_scalar(bytes).map_err(|_| OprfError::Key)
}

fn bytes_of(scalar: Scalar) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Ristretto255::serialize_scalar(scalar).into())
}

#[cfg(test)]
mod tests;

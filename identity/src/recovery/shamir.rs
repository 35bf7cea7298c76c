//! Shamir's sharing of 32 bytes over GF(2^8), polynomial 0x11b (PROTOCOL 24.3): any `t` shares give the secret, fewer say nothing.
//!
//! Multiplication has no table and no branch on a secret.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// What one server keeps: a point, and the value of each byte's polynomial there. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Share {
    /// The point, from 1.
    pub index: u8,
    value: Zeroizing<[u8; 32]>,
}

/// Shares that cannot be: more needed than there are, a point 0 or twice. Code `bad_shares`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shares at points from 1 to 255, each once, and no more needed than there are")]
pub struct ShareError;

impl ShareError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        "bad_shares"
    }
}

impl Share {
    /// Returns the share of these bytes.
    pub fn new(index: u8, value: [u8; 32]) -> Self {
        Self { index, value: Zeroizing::new(value) }
    }

    /// Returns the bytes.
    pub fn value(&self) -> &[u8; 32] {
        &self.value
    }
}

impl core::fmt::Debug for Share {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Share({}, secret)", self.index)
    }
}

/// Splits 32 bytes among `servers`, of whom `threshold` are needed.
pub fn split(
    secret: &[u8; 32],
    threshold: u8,
    servers: u8,
    rng: &mut impl CryptoRng,
) -> Result<Vec<Share>, ShareError> {
    if threshold == 0 || threshold > servers {
        return Err(ShareError);
    }
    let mut higher = Zeroizing::new(vec![[0; 32]; usize::from(threshold) - 1]);
    higher.iter_mut().for_each(|coefficients| rng.fill_bytes(coefficients));
    let share = |index: u8| {
        let mut value = [0; 32];
        for (at, byte) in value.iter_mut().enumerate() {
            let above = higher.iter().rev().fold(0, |sum, coefficients| times(sum ^ coefficients[at], index));
            *byte = above ^ secret[at];
        }
        Share::new(index, value)
    };
    Ok((1..=servers).map(share).collect())
}

/// Returns what these shares make: the secret, if they are enough and none of them is false.
pub fn combine(shares: &[Share]) -> Result<Zeroizing<[u8; 32]>, ShareError> {
    let twice = |(at, share): (usize, &Share)| shares[..at].iter().any(|other| other.index == share.index);
    if shares.is_empty() || shares.iter().any(|share| share.index == 0) || shares.iter().enumerate().any(twice) {
        return Err(ShareError);
    }
    let mut secret = Zeroizing::new([0; 32]);
    for share in shares {
        let others = shares.iter().filter(|other| other.index != share.index);
        let factor =
            others.fold(1, |product, other| times(product, times(other.index, inverse(other.index ^ share.index))));
        for (byte, value) in secret.iter_mut().zip(share.value.iter()) {
            *byte ^= times(*value, factor);
        }
    }
    Ok(secret)
}

/// Returns the product in the field.
fn times(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (a, 0);
    for bit in 0..8 {
        product ^= a & 0_u8.wrapping_sub(b >> bit & 1);
        a = a << 1 ^ 0x1b & 0_u8.wrapping_sub(a >> 7);
    }
    product
}

/// Returns the inverse of a byte that is not 0: its 254th power.
fn inverse(a: u8) -> u8 {
    let mut power = a;
    for _ in 0..6 {
        power = times(times(power, power), a);
    }
    times(power, power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::CountingRng;

    #[test]
    fn the_field_is_that_of_aes() {
        // FIPS 197, 4.2: {57} times {83} is {c1}, {57} times {13} is {fe}.
        assert_eq!((times(0x57, 0x83), times(0x57, 0x13)), (0xc1, 0xfe));
        assert!((1..=255).all(|a| times(a, inverse(a)) == 1));
    }

    #[test]
    fn any_threshold_of_shares_gives_the_secret_and_one_fewer_says_nothing() {
        let secret = [7; 32];
        for servers in 1..=7_u8 {
            for threshold in 1..=servers {
                let shares = split(&secret, threshold, servers, &mut CountingRng(u64::from(servers))).unwrap();
                for at in 0..usize::from(servers) {
                    let mut some = shares.clone();
                    some.rotate_left(at);
                    some.truncate(usize::from(threshold));
                    assert_eq!(*combine(&some).unwrap(), secret);
                    some.pop();
                    assert!(combine(&some).map_or(true, |made| *made != secret));
                }
            }
        }
    }

    #[test]
    fn fewer_shares_fit_every_secret() {
        // Goal: t - 1 shares rule nothing out. Method: for a byte, every other value of the secret has a share that completes them.
        let shares = split(&[1; 32], 2, 2, &mut CountingRng(3)).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for guess in 0..=255 {
            seen.insert(combine(&[shares[0].clone(), Share::new(2, [guess; 32])]).unwrap()[0]);
        }
        assert_eq!(seen.len(), 256);
    }

    #[test]
    fn shares_that_cannot_be_are_refused() {
        let rng = &mut CountingRng(1);
        assert_eq!(split(&[0; 32], 3, 2, rng), Err(ShareError));
        assert_eq!(split(&[0; 32], 0, 2, rng), Err(ShareError));
        assert_eq!(combine(&[]), Err(ShareError));
        assert_eq!(combine(&[Share::new(0, [1; 32])]), Err(ShareError));
        assert_eq!(combine(&[Share::new(2, [1; 32]), Share::new(2, [3; 32])]), Err(ShareError));
    }
}

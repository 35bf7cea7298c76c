//! Chance that can be had again: a seed that is printed, numbers that follow from it.

use dgns_client::clock;

/// A stream of numbers from one seed (SplitMix64). For the choices of tests, never for keys.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// Returns the seed that `DGNS_SEED` names, else a new one, and prints it.
    pub fn of_the_day() -> Self {
        let given = std::env::var("DGNS_SEED").ok().map(|text| text.parse().expect("DGNS_SEED is a number"));
        let seed = given.unwrap_or_else(|| clock::now().as_ms());
        eprintln!("DGNS_SEED={seed}");
        Self(seed)
    }

    /// Returns a stream that is always the same.
    pub fn from(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number, below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// Returns bytes without a pattern.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256).to_le_bytes()[0]).collect()
    }
}

//! What the tests of this package share.

pub(crate) mod arbitrary;
pub(crate) mod samples;

use core::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

use crate::hash::sha256;

/// The public key of seed `[1; 32]` plus a point of order 8: of large order, yet outside the prime subgroup.
pub(crate) const TORSIONED_KEY: &str = "3bcfb78c4ad06f9b8d7e8c50e37e33dd40042a7805f5df945fbf33620745bc68";

/// A reproducible stream: SHA-256 of a counter that begins at the number given.
pub(crate) struct CountingRng(pub(crate) u64);

impl TryRng for CountingRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|n| n as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(32) {
            let block = sha256(&[&self.0.to_be_bytes()]);
            chunk.copy_from_slice(&block[..chunk.len()]);
            self.0 = self.0.wrapping_add(1 << 32);
        }
        Ok(())
    }
}

impl TryCryptoRng for CountingRng {}

/// A stream whose bytes are given, for published vectors that name what was drawn.
pub(crate) struct ScriptedRng(pub(crate) Vec<u8>);

impl TryRng for ScriptedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|n| n as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        assert!(self.0.len() >= out.len(), "the script is over");
        out.copy_from_slice(&self.0.drain(..out.len()).collect::<Vec<_>>());
        Ok(())
    }
}

impl TryCryptoRng for ScriptedRng {}

//! Proof of work and invitation codes: what the open and the invite road ask for (PROTOCOL 5.2).

use crate::did::Did;
use crate::hash::{Hash, domain_hash, u16_prefixed};

/// Tries between two calls of a solver's `on_progress`: a few milliseconds.
const PROGRESS_TRIES: u64 = 1 << 16;

/// Returns `H(pow; name, did, nonce)`, the hash whose leading zero bits are the work of a claim.
pub fn work(name: &str, did: &Did, nonce: u64) -> Hash {
    work_of(&u16_prefixed(name.as_bytes()), did, nonce)
}

/// Returns with how many zero bits `hash` begins.
pub fn leading_zero_bits(hash: &Hash) -> u32 {
    let zero_bytes = hash.iter().take_while(|&&b| b == 0).count();
    8 * zero_bytes as u32 + hash.get(zero_bytes).map_or(0, |b| b.leading_zeros())
}

/// Returns the first nonce from `start` on whose work begins with at least `bits` zero bits.
///
/// Takes `2^bits` tries on average; `on_progress` hears their number so far every 65,536 of them.
pub fn solve(name: &str, did: &Did, bits: u8, start: u64, mut on_progress: impl FnMut(u64)) -> u64 {
    let name = u16_prefixed(name.as_bytes());
    let mut tries: u64 = 0;
    loop {
        let nonce = start.wrapping_add(tries);
        if leading_zero_bits(&work_of(&name, did, nonce)) >= u32::from(bits) {
            return nonce;
        }
        tries += 1;
        if tries.is_multiple_of(PROGRESS_TRIES) {
            on_progress(tries);
        }
    }
}

/// Returns `H(invite; code)`: what a claim on the invite road shows of its code.
pub fn code_hash(code: &[u8; 16]) -> Hash {
    domain_hash("dgns/invite/v1", &[code])
}

fn work_of(prefixed_name: &[u8], did: &Did, nonce: u64) -> Hash {
    domain_hash("dgns/pow/v1", &[prefixed_name, did.as_bytes(), &nonce.to_be_bytes()])
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

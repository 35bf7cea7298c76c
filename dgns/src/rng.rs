//! The one place that makes randomness; everything else receives `rng`.

use getrandom::SysRng;
use rand_core::{Rng, UnwrapErr};

/// Returns the operating system's generator; a system that has none ends the process.
pub fn system() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// Returns 32 bytes that nobody can guess.
pub fn secret() -> [u8; 32] {
    bytes()
}

/// Returns bytes that nobody can guess.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    system().fill_bytes(&mut bytes);
    bytes
}

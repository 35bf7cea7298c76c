//! The one place that makes randomness; everything else receives `rng`.

use getrandom::SysRng;
use rand_core::{Rng, UnwrapErr};

/// Returns the operating system's generator; a system that has none ends the process.
pub fn system() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// Returns 32 bytes that nobody can guess.
pub fn secret() -> [u8; 32] {
    let mut bytes = [0; 32];
    system().fill_bytes(&mut bytes);
    bytes
}

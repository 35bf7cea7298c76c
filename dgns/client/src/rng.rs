//! The one place that makes randomness; everything else receives `rng`.

use getrandom::SysRng;
use rand_core::UnwrapErr;

/// Returns the operating system's generator; a system that has none ends the process.
pub fn system() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

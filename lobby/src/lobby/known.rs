//! Tables by what this server itself chose: the number of a connection, the random name of a session. Nobody can make such keys collide,
//! so they are not hashed as if somebody could.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A table by keys of this server's own choice.
pub type Known<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// Spreads the bits of such a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

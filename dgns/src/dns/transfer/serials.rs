//! Serials that no edition had before, also after a crash: made durable some thousand at a time, as a file of one line, `dgns-serial <u32>`, the
//! first one that is free.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use storage::StorageError;

use super::super::limits::SERIALS_AT_ONCE;
use crate::log::damaged;

const HEAD: &str = "dgns-serial ";

/// The serials of a zone, in the order of RFC 1982.
#[derive(Debug)]
pub struct Serials {
    path: PathBuf,
    last: u32,
    /// The first one that the file does not keep for this process.
    end: u32,
}

impl Serials {
    /// The name of the file, below the data directory.
    pub const FILE: &str = "dns-serial";

    /// Returns serials that are none before, and at least the time: should the file be lost, secondaries still see the zone go on.
    pub fn open(data: &Path, now_s: u64) -> Result<Self, StorageError> {
        let (path, now) = (data.join(Self::FILE), now_s as u32); // of 32 bits, which go round
        let first = match std::fs::read_to_string(&path) {
            Ok(text) => {
                let number = text.strip_prefix(HEAD).and_then(|number| number.trim_end().parse().ok());
                number.ok_or_else(|| damaged("dns-serial", "it is no line `dgns-serial <number>`"))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => now,
            Err(error) => return Err(damaged("dns-serial", &error.to_string())),
        };
        let last = if is_behind(first, now) { now } else { first };
        let mut serials = Self { path, last, end: last };
        serials.reserve()?;
        Ok(serials)
    }

    /// Returns the newest one.
    pub fn last(&self) -> u32 {
        self.last
    }

    /// Returns the next one. Errors: it cannot be made durable; nothing has changed then.
    pub(crate) fn next(&mut self) -> Result<u32, StorageError> {
        if self.last.wrapping_add(1) == self.end {
            self.reserve()?;
        }
        self.last = self.last.wrapping_add(1);
        Ok(self.last)
    }

    fn reserve(&mut self) -> Result<(), StorageError> {
        let end = self.last.wrapping_add(SERIALS_AT_ONCE);
        storage::durable::replace(&self.path, format!("{HEAD}{end}\n").as_bytes())?;
        self.end = end;
        Ok(())
    }
}

/// Whether one serial is older than another one (RFC 1982 section 3.2).
fn is_behind(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_serial_comes_twice() {
        // Goal: over restarts, crashes among them, a clock that was set back, and the end of 32 bits, each is newer than all before.
        let data = tempfile::tempdir().unwrap();
        let mut last = None;
        for (now_s, count) in [(0xFFFF_0000_u64, 25_000), (0xFFFF_0000, 3), (7, 30_000), (0x1_0000_0007, 60_000)] {
            let mut serials = Serials::open(data.path(), now_s).unwrap();
            assert!(last.is_none_or(|last| is_behind(last, serials.last())), "{now_s} {last:?} {serials:?}");
            for _ in 0..count {
                let before = serials.last();
                assert!(is_behind(before, serials.next().unwrap()));
            }
            last = Some(serials.last());
        }
        assert!(Serials::open(data.path(), 0x1_4000_0000).unwrap().last() == 0x4000_0000, "at least the time");
    }

    #[test]
    fn a_file_of_another_form_is_refused() {
        let data = tempfile::tempdir().unwrap();
        for text in ["", "dgns-serial", "dgns-serial x\n", "7\n", "dgns-serial 4294967296\n"] {
            std::fs::write(data.path().join(Serials::FILE), text).unwrap();
            assert!(Serials::open(data.path(), 7).is_err(), "{text:?}");
        }
    }
}

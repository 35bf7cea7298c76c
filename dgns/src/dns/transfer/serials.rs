//! Serials that no edition had before. They follow the time, a step each [`EDITION_GAP`]: whoever has a clock has serials behind all before. A file of
//! one line, `dgns-serial <u32>`, the first one that is free, says the same of a clock that was set back; lost or of an old day, it harms nobody whose
//! clock is right.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use storage::StorageError;

use super::super::limits::{EDITION_GAP, SERIALS_AT_ONCE};
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

    /// Returns serials behind all that the file knows, and at least that of the time. Errors: the file is of another form, or cannot be read or written.
    pub fn open(data: &Path, now_ms: u64) -> Result<Self, StorageError> {
        let (path, now) = (data.join(Self::FILE), of(now_ms));
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
        // The one that the zone has at the start, and no more: starts behind each other do not run ahead of the time.
        serials.reserve(last.wrapping_add(1))?;
        Ok(serials)
    }

    /// Returns the newest one.
    pub fn last(&self) -> u32 {
        self.last
    }

    /// Returns whether the time is still to come that the last one stands for: those that a process before kept for itself are waited out, so that no
    /// serial is of the future should the file be lost. A clock that was set back further is not waited for.
    pub(crate) fn is_early(&self, now_ms: u64) -> bool {
        let ahead = self.last.wrapping_sub(of(now_ms));
        (1..=SERIALS_AT_ONCE).contains(&ahead)
    }

    /// Returns the next one, which is free until it is taken. Errors: it cannot be made durable; nothing has changed then.
    pub(crate) fn next(&mut self, now_ms: u64) -> Result<u32, StorageError> {
        let (next, now) = (self.last.wrapping_add(1), of(now_ms));
        let next = if is_behind(next, now) { now } else { next };
        if !is_behind(next, self.end) {
            self.reserve(next.wrapping_add(SERIALS_AT_ONCE))?;
        }
        Ok(next)
    }

    /// Notes that an edition has the one that is next.
    pub(crate) fn take(&mut self, next: u32) {
        self.last = next;
    }

    fn reserve(&mut self, end: u32) -> Result<(), StorageError> {
        storage::durable::replace(&self.path, format!("{HEAD}{end}\n").as_bytes())?;
        self.end = end;
        Ok(())
    }
}

/// Returns the serial of a time: of 32 bits, which go round in 27 years.
fn of(now_ms: u64) -> u32 {
    (now_ms / EDITION_GAP.as_millis() as u64) as u32
}

/// Whether one serial is older than another one (RFC 1982 section 3.2).
fn is_behind(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time that a serial stands for, milliseconds; the first 32 bits of serials went by.
    fn ms(serial: u32) -> u64 {
        ((1 << 32) + u64::from(serial)) * EDITION_GAP.as_millis() as u64
    }

    #[test]
    fn no_serial_comes_twice() {
        // Goal: over restarts, crashes among them, a clock that was set back, and the end of 32 bits, each is newer than all before.
        let data = tempfile::tempdir().unwrap();
        let mut last = None;
        for (now, count) in [(0xFFFF_FF00, 300), (0xFFFF_FF00, 3), (0xFFFF_0007, 40), (0x0000_0107, 600)] {
            let mut serials = Serials::open(data.path(), ms(now)).unwrap();
            assert!(last.is_none_or(|last| is_behind(last, serials.last())), "{now} {last:?} {serials:?}");
            for _ in 0..count {
                let before = serials.last();
                let next = serials.next(ms(now)).unwrap();
                assert!(is_behind(before, next));
                assert_eq!((serials.next(ms(now)).unwrap(), serials.last()), (next, before), "free until it is taken");
                serials.take(next);
            }
            last = Some(serials.last());
        }
        assert_eq!(Serials::open(data.path(), ms(0x4000_0000)).unwrap().last(), 0x4000_0000, "at least the time");
    }

    #[test]
    fn a_file_that_is_lost_or_old_takes_no_serial_back() {
        // Goal: whoever makes editions as fast as he may, and starts again and again, has no serial of the future; without the file, or with one of an
        // old day, the next start is behind all before.
        let data = tempfile::tempdir().unwrap();
        let (file, mut now) = (data.path().join(Serials::FILE), 1_000_u32);
        let mut serials = Serials::open(data.path(), ms(now)).unwrap();
        let old = std::fs::read(&file).unwrap();
        let mut newest = 0;
        for step in 1..1_000 {
            now += 1;
            if step % 70 == 0 {
                serials = Serials::open(data.path(), ms(now)).unwrap(); // after a crash
            }
            if serials.is_early(ms(now)) {
                continue;
            }
            let next = serials.next(ms(now)).unwrap();
            serials.take(next);
            assert!(next > newest && next <= now + 1, "{newest} {next} {now}");
            newest = next;
        }
        assert!(newest + SERIALS_AT_ONCE > now, "and all that time there were editions");
        for text in [None, Some(&old)] {
            std::fs::remove_file(&file).unwrap();
            text.map_or(Ok(()), |text| std::fs::write(&file, text)).unwrap();
            let serials = Serials::open(data.path(), ms(now + 5)).unwrap();
            assert!(serials.last() > newest, "{text:?}");
        }
        assert!(
            !Serials::open(data.path(), ms(7)).unwrap().is_early(ms(7)),
            "a clock set back by far is not waited for"
        );
    }

    #[test]
    fn what_cannot_be_made_durable_is_no_serial() {
        let data = tempfile::tempdir().unwrap();
        let mut serials = Serials::open(data.path(), ms(9)).unwrap();
        drop(data);
        assert!(serials.next(ms(9)).is_err() && serials.next(ms(10)).is_err());
        assert_eq!(serials.last(), 9);
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

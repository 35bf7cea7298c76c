//! PINs: what a person remembers, and how it is hardened (PROTOCOL 24.1). The room of `argon2`.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::seed;

/// The digits of a PIN at least; ten guesses in a million.
pub(super) const DIGITS_MIN: usize = 6;

/// The digits of a PIN at most.
pub(super) const DIGITS_MAX: usize = 32;

/// The words of a secret of words.
pub(super) const WORDS: usize = 4;

/// A PIN in its one form: 6 to 32 digits, or four words of the list of seeds. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(Zeroizing<String>);

/// Why something is no PIN, or none to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// Neither digits nor words. Code `bad_pin`.
    #[error("a PIN is 6 to 32 digits, or four words of the list that seeds are made of")]
    Form,
    /// One of those that everybody tries first. Code `weak_pin`.
    #[error("a repeat, a run or a date is what everybody tries first: choose another, or let one be chosen")]
    Weak,
}

impl PinError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Form => "bad_pin",
            Self::Weak => "weak_pin",
        }
    }
}

impl Pin {
    /// Reads what a person typed: spaces and hyphens between digits are dropped, words are put in lower case with single spaces.
    pub fn read(text: &str) -> Result<Self, PinError> {
        let text = Zeroizing::new(text.trim().to_ascii_lowercase());
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
            let is_it = digits.bytes().all(|b| b.is_ascii_digit()) && (DIGITS_MIN..=DIGITS_MAX).contains(&digits.len());
            return if is_it { Ok(Self(Zeroizing::new(digits))) } else { Err(PinError::Form) };
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() != WORDS || !words.iter().all(|word| seed::is_word(word)) {
            return Err(PinError::Form);
        }
        Ok(Self(Zeroizing::new(words.join(" "))))
    }

    /// As [`Pin::read`], and refuses the PINs that everybody tries first.
    pub fn choose(text: &str) -> Result<Self, PinError> {
        let pin = Self::read(text)?;
        if pin.is_words() || !is_weak(pin.0.as_bytes()) { Ok(pin) } else { Err(PinError::Weak) }
    }

    /// Returns whether it is words.
    pub fn is_words(&self) -> bool {
        !self.0.starts_with(|first: char| first.is_ascii_digit())
    }

    /// Returns how many there are of its kind: of digits as long, or of four words. `None` beyond what a number holds.
    pub fn possible(&self) -> Option<u64> {
        match self.is_words() {
            true => 2_048_u64.checked_pow(WORDS as u32),
            false => u32::try_from(self.0.len()).ok().and_then(|digits| 10_u64.checked_pow(digits)),
        }
    }

    /// Returns 32 bytes of Argon2id.
    pub(super) fn harden(&self, salt: &[u8; 16], with: &Hardening) -> Result<Zeroizing<[u8; 32]>, HardeningError> {
        argon2id(self.0.as_bytes(), salt, with)
    }
}

impl core::fmt::Debug for Pin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Pin(secret)")
    }
}

/// How a PIN is hardened: the cost of one guess to whoever has as many servers as are needed, and to its owner once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardening {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// The memory could not be had. Code `no_memory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hardening the PIN needs more memory than there is")]
pub struct HardeningError;

impl HardeningError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        "no_memory"
    }
}

impl Hardening {
    /// What enrolments are made with: 64 MiB, three passes, one lane. A phone has that; a fifth of a second.
    pub const DEFAULT: Self = Self { memory_kib: 65_536, passes: 3, lanes: 1 };

    /// Returns these numbers if they are within the bounds: 8 to 256 MiB, 1 to 16 passes, 1 to 4 lanes. A log that names more would
    /// have its readers run out of memory; less would be no hardening.
    pub fn checked(memory_kib: u64, passes: u64, lanes: u64) -> Option<Self> {
        let within = (8_192..=262_144).contains(&memory_kib) && (1..=16).contains(&passes) && (1..=4).contains(&lanes);
        within.then_some(Self { memory_kib: memory_kib as u32, passes: passes as u32, lanes: lanes as u32 })
    }
}

fn argon2id(secret: &[u8], salt: &[u8], with: &Hardening) -> Result<Zeroizing<[u8; 32]>, HardeningError> {
    let params = Params::new(with.memory_kib, with.passes, with.lanes, Some(32)).map_err(|_| HardeningError)?;
    let mut out = Zeroizing::new([0; 32]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(secret, salt, out.as_mut()).map_err(|_| HardeningError)?;
    Ok(out)
}

/// Whether digits are a repeat, a run, or begin with a date: what everybody tries first.
fn is_weak(digits: &[u8]) -> bool {
    let len = digits.len();
    let repeats = (1..=len / 2)
        .any(|period| len.is_multiple_of(period) && digits.iter().zip(&digits[period..]).all(|(a, b)| a == b));
    let steps = |step: u8| digits.windows(2).all(|pair| (pair[0] - b'0' + step) % 10 == pair[1] - b'0');
    let mirrored = len.is_multiple_of(2) && digits.iter().eq(digits.iter().rev());
    repeats || steps(1) || steps(9) || mirrored || is_date(digits)
}

/// Whether six or eight digits are a day of a year, in one of the orders people write.
fn is_date(digits: &[u8]) -> bool {
    let pair = |at: usize| (digits[at] - b'0') * 10 + digits[at + 1] - b'0';
    let day = |at: usize| (1..=31).contains(&pair(at));
    let month = |at: usize| (1..=12).contains(&pair(at));
    let century = |at: usize| matches!(pair(at), 19 | 20);
    match digits.len() {
        6 => (day(0) && month(2)) || (month(0) && day(2)) || (month(2) && day(4)),
        8 => ((day(0) && month(2)) || (month(0) && day(2))) && century(4) || century(0) && month(4) && day(6),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    #[test]
    fn the_function_is_argon2id_as_its_makers_publish_it() {
        // The test program of the reference implementation (phc-winner-argon2, src/test.c, version 0x13).
        let with = Hardening { memory_kib: 65_536, passes: 2, lanes: 1 };
        let out = argon2id(b"password", b"somesalt", &with).unwrap();
        assert_eq!(HEXLOWER.encode(out.as_ref()), "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7");
    }

    #[test]
    fn pins_have_one_form() {
        let same = |a: &str, b: &str| assert_eq!(Pin::read(a).unwrap(), Pin::read(b).unwrap());
        same(" 481 502 ", "481502");
        same("481-502", "481502");
        same("Zoo  abandon ABLE\tzone", "zoo abandon able zone");
        for wrong in ["", "12345", "48150x", "4815 02 zoo", "zoo abandon able", "zoo abandon able zonk", "a b c d e"] {
            assert_eq!(Pin::read(wrong), Err(PinError::Form), "{wrong}");
        }
        assert_eq!(Pin::read(&"1".repeat(33)), Err(PinError::Form));
        assert_eq!(Pin::read("481502").unwrap().possible(), Some(1_000_000));
        assert_eq!(Pin::read("zoo abandon able zone").unwrap().possible(), Some(1 << 44));
        assert_eq!(format!("{:?}", Pin::read("481502").unwrap()), "Pin(secret)");
    }

    #[test]
    fn what_everybody_tries_first_is_not_chosen() {
        let weak = [
            "000000", "121212", "123123", "123456", "234567", "890123", "654321", "098765", "123321", "311299",
            "123199", "991231", "19991231", "31121999", "12311999", "11111111",
        ];
        for pin in weak {
            assert_eq!(Pin::choose(pin), Err(PinError::Weak), "{pin}");
        }
        for pin in ["481502", "739164", "48150234", "zoo abandon able zone"] {
            assert!(Pin::choose(pin).is_ok(), "{pin}");
        }
        // What was chosen before a rule came is still read.
        assert!(Pin::read("123456").is_ok());
    }
}

//! From when until when a certificate is good: the one field of X.509 (RFC 5280 section 4.1.2.5) that nothing else here reads.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When a certificate is good, unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dns) struct Life {
    pub(in crate::dns) start_s: u64,
    pub(in crate::dns) end_s: u64,
}

impl Life {
    /// Reads it out of a certificate (DER); `None` if that is not of the form that RFC 5280 asks for, or over before 1970.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = value(certificate, SEQUENCE)?;
        let (mut body, _) = value(certificate, SEQUENCE)?;
        if body.first() == Some(&VERSION) {
            body = value(body, VERSION)?.1;
        }
        // Serial number, signature, issuer.
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            body = value(body, tag)?.1;
        }
        let (validity, _) = value(body, SEQUENCE)?;
        let (start_tag, start, rest) = any(validity)?;
        let (end_tag, end, _) = any(rest)?;
        Some(Self { start_s: moment(start_tag, start)?, end_s: moment(end_tag, end)? })
    }

    /// Returns when another certificate is to be asked for, unix seconds: once two thirds of it are over.
    pub(in crate::dns) fn renewal_s(self) -> u64 {
        self.start_s.saturating_add(self.end_s.saturating_sub(self.start_s) / 3 * 2)
    }

    /// Returns whether the certificate is good at this time.
    pub(in crate::dns) fn has(self, now_s: u64) -> bool {
        (self.start_s..self.end_s).contains(&now_s)
    }
}

fn moment(tag: u8, text: &[u8]) -> Option<u64> {
    match tag {
        UTC_TIME => {
            let year = number(text, 0, 2)?;
            time(if year < 50 { 2_000 + year } else { 1_900 + year }, &text[2..])
        }
        GENERALIZED_TIME => time(number(text, 0, 4)?, &text[4..]),
        _ => None,
    }
}

/// Reads a value of this tag; returns its content, and what follows it.
fn value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any(bytes)?;
    (found == tag).then_some((content, rest))
}

/// Reads a value (X.690 section 8.1): its tag of one byte, its content, and what follows it.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 3))?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Returns the time of a year and `MMDDHHMMSSZ`.
fn time(year: u64, text: &[u8]) -> Option<u64> {
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|at| number(text, at, 2));
    let (month, day) = (month?, day?);
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day) && text.get(10..) == Some(&b"Z"[..]);
    // Years from March on, so that a leap day ends its year; days since 0000-03-01.
    let (year, shifted) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * shifted + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468).filter(|_| is_date)?;
    Some(days * 86_400 + hour? * 3_600 + minute? * 60 + second?)
}

fn number(text: &[u8], at: usize, digits: usize) -> Option<u64> {
    let digits = text.get(at..at + digits)?;
    let is_number = digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a certificate as far as it is read, with this end.
    fn certificate(tag: u8, end: &[u8]) -> Vec<u8> {
        let value = |tag: u8, content: &[u8]| [&[tag, 0x82, 0, content.len() as u8], content].concat();
        let validity = [value(UTC_TIME, b"200101000000Z"), value(tag, end)].concat();
        let body = [
            value(VERSION, &[INTEGER, 1, 2]),
            vec![INTEGER, 1, 7],
            vec![SEQUENCE, 0],
            vec![SEQUENCE, 0],
            value(SEQUENCE, &validity),
        ];
        value(SEQUENCE, &value(SEQUENCE, &body.concat()))
    }

    #[test]
    fn the_end_of_a_certificate_is_read() {
        for (tag, end, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "240229120001Z", Some(1_709_208_001)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, "690101000000Z", None),
            (UTC_TIME, "241301000000Z", None),
            (UTC_TIME, "240101000000", None),
            (UTC_TIME, "240101000000+", None),
            (UTC_TIME, "2401010000xxZ", None),
            (UTC_TIME, "", None),
            (0x16, "240101000000Z", None),
        ] {
            let life = Life::of(&certificate(tag, end.as_bytes()));
            assert_eq!(life.map(|life| life.end_s), expected, "{tag} {end}");
            assert!(life.is_none_or(|life| life.start_s == 1_577_836_800));
        }
    }

    #[test]
    fn what_is_cut_short_has_no_end() {
        let whole = certificate(UTC_TIME, b"240229120001Z");
        for end in 0..whole.len() {
            assert_eq!(Life::of(&whole[..end]), None, "{end}");
        }
    }

    #[test]
    fn a_certificate_is_renewed_once_two_thirds_of_it_are_over() {
        let life = Life { start_s: 1_000, end_s: 1_090 };
        assert_eq!((life.renewal_s(), life.has(999), life.has(1_000), life.has(1_090)), (1_060, false, true, false));
        let never = Life { start_s: 1_000, end_s: 5 };
        assert_eq!((never.renewal_s(), never.has(1_000)), (1_000, false), "one that ends before it begins");
    }
}

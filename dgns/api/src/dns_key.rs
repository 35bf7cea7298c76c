//! The keys by which updates of DNS are signed: the KEY record of one (RFC 2535, RFC 8080), and what a certified record of a name says of those that may
//! (PROTOCOL 13.3).

use std::fmt;

use data_encoding::BASE64;
use identity::cert::KeyBytes;
use identity::did::Did;

/// The owner, below the name, of the TXT records that say which keys may write there.
pub const OWNER: &str = "_update";

/// What a key may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// IPv4 addresses at the name.
    pub a: bool,
    /// IPv6 addresses at the name.
    pub aaaa: bool,
    /// Texts at and below its ACME challenges.
    pub challenges: bool,
}

impl Scope {
    /// All there is to write: the scope of a device where no record says less.
    pub const ALL: Self = Self { a: true, aaaa: true, challenges: true };

    /// Returns the scope of a list such as `A,AAAA,challenges`, in this order; `None` if it is none, or empty.
    pub fn parse(text: &str) -> Option<Self> {
        let mut scope = Self::default();
        for word in text.split(',') {
            let place = match word {
                "A" => &mut scope.a,
                "AAAA" => &mut scope.aaaa,
                "challenges" => &mut scope.challenges,
                _ => return None,
            };
            *place = true;
        }
        (scope.to_string() == text).then_some(scope)
    }

    /// Returns what either lets somebody write.
    pub fn or(self, other: Self) -> Self {
        Self { a: self.a || other.a, aaaa: self.aaaa || other.aaaa, challenges: self.challenges || other.challenges }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.a, "A"), (self.aaaa, "AAAA"), (self.challenges, "challenges")];
        let words: Vec<&str> = words.iter().filter(|(is_in, _)| *is_in).map(|(_, word)| *word).collect();
        f.write_str(&words.join(","))
    }
}

/// A key that a record says may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertifiedKey {
    /// Who says so: it counts for as long as the name is theirs.
    pub did: Did,
    /// The public key, Ed25519.
    pub key: KeyBytes,
    /// What it may write.
    pub scope: Scope,
    /// It may for as long as it is a device's of the name's owner that may write.
    pub is_device: bool,
    /// Until when, Unix seconds; for ever if absent.
    pub until_s: Option<u64>,
}

impl CertifiedKey {
    /// Reads the data of a TXT record, its strings joined; `None` unless its text is one of a key.
    pub fn read(rdata: &[u8]) -> Option<Self> {
        let (mut text, mut rest) = (Vec::with_capacity(rdata.len()), rdata);
        while let Some((length, behind)) = rest.split_first() {
            let (string, behind) = behind.split_at_checked(usize::from(*length))?;
            text.extend_from_slice(string);
            rest = behind;
        }
        Self::parse(str::from_utf8(&text).ok()?)
    }

    /// Reads the text of a record; `None` unless it is spelt as [`CertifiedKey`] is shown.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.strip_prefix("v=dgns1; did=")?.split("; ");
        let did = fields.next()?.parse().ok()?;
        let key = BASE64.decode(fields.next()?.strip_prefix("key=")?.as_bytes()).ok()?.try_into().ok()?;
        let scope = Scope::parse(fields.next()?.strip_prefix("scope=")?)?;
        let rest: Vec<&str> = fields.collect();
        let is_device = rest.first() == Some(&"device");
        let until_s = match rest.get(usize::from(is_device)) {
            Some(field) => Some(field.strip_prefix("until=")?.parse().ok()?),
            None => None,
        };
        let read = Self { did, key, scope, is_device, until_s };
        (read.to_string() == text).then_some(read)
    }
}

impl fmt::Display for CertifiedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v=dgns1; did={}; key={}; scope={}", self.did, BASE64.encode(&self.key), self.scope)?;
        if self.is_device {
            f.write_str("; device")?;
        }
        match self.until_s {
            Some(until_s) => write!(f, "; until={until_s}"),
            None => Ok(()),
        }
    }
}

/// The number of Ed25519 in DNS (RFC 8080).
pub const ALGORITHM: u8 = 15;

/// The data of the record before the key: a host's, of DNS, Ed25519.
const HEAD: [u8; 4] = [2, 0, 3, ALGORITHM];

/// Returns the tag of the record (RFC 4034 appendix B).
pub fn tag(key: &KeyBytes) -> u16 {
    let data = HEAD.iter().chain(key);
    let sum: u32 = data.enumerate().map(|(at, byte)| u32::from(*byte) << if at % 2 == 0 { 8 } else { 0 }).sum();
    (sum + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_key_has_one_spelling() {
        let did = Did::from_bytes([5; 20]);
        let key = format!("v=dgns1; did={did}; key={}", BASE64.encode(&[7; 32]));
        for (rest, scope, is_device, until_s) in [
            ("; scope=A", "A", false, None),
            ("; scope=A,AAAA,challenges", "A,AAAA,challenges", false, None),
            ("; scope=challenges; device", "challenges", true, None),
            ("; scope=AAAA; until=18", "AAAA", false, Some(18)),
            ("; scope=A,challenges; device; until=18446744073709551615", "A,challenges", true, Some(u64::MAX)),
        ] {
            let text = format!("{key}{rest}");
            let read = CertifiedKey::parse(&text).unwrap();
            let scope = Scope::parse(scope).unwrap();
            assert_eq!(read, CertifiedKey { did, key: [7; 32], scope, is_device, until_s });
            assert_eq!(read.to_string(), text);
            let (first, rest) = text.as_bytes().split_at(50);
            let two = [&[50], first, &[rest.len() as u8], rest].concat();
            assert_eq!(CertifiedKey::read(&two), Some(read));
            assert_eq!(CertifiedKey::read(&two[..two.len() - 1]), None);
        }
        for wrong in [
            "",
            "; scope=",
            "; scope=a",
            "; scope=AAAA,A",
            "; scope=A,A",
            "; scope=A,",
            "; scope=A; until=",
            "; scope=A; until=018",
            "; scope=A; until=-1",
            "; scope=A; until=18446744073709551616",
            "; scope=A; until=1; device",
            "; scope=A; else",
            "; scope=A;",
            "; scope=A; device; device",
            " ; scope=A",
            "=; scope=A",
        ] {
            assert_eq!(CertifiedKey::parse(&format!("{key}{wrong}")), None, "{wrong:?}");
        }
        let short = format!("v=dgns1; did={did}; key={}; scope=A", BASE64.encode(&[7; 31]));
        assert_eq!((CertifiedKey::parse(&short), CertifiedKey::parse("v=dgns2"), Scope::parse("")), (None, None, None));
    }

    #[test]
    fn the_tag_of_a_key_is_that_of_rfc_4034() {
        // Method: appendix B of the RFC by its letter, over the whole data.
        for key in [[0xAB; 32], [0xFF; 32], [0; 32]] {
            let mut sum: u32 = 0;
            for (at, byte) in [&HEAD[..], &key].concat().iter().enumerate() {
                sum += if at & 1 == 1 { u32::from(*byte) } else { u32::from(*byte) << 8 };
            }
            sum += sum >> 16 & 0xFFFF;
            assert_eq!(tag(&key), sum as u16);
        }
    }
}

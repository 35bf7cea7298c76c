//! Records as lines of a zone file (RFC 1035 section 5). Types without a form here are written as RFC 3597 writes what nobody knows; every name server
//! reads both.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE64, HEXUPPER};
use identity::record::rtype;
use identity::time::civil;

use super::Record;
use crate::dns::dnssec::{TYPE_DS, TYPE_NS, TYPE_NSEC, TYPE_RRSIG, TYPE_SOA};

const TYPE_DNSKEY: u16 = 48;
const TYPE_CDS: u16 = 59;
const TYPE_CDNSKEY: u16 = 60;

/// The types that have a name here.
const NAMES: [(u16, &str); 17] = [
    (rtype::A, "A"),
    (TYPE_NS, "NS"),
    (rtype::CNAME, "CNAME"),
    (TYPE_SOA, "SOA"),
    (rtype::TXT, "TXT"),
    (rtype::AAAA, "AAAA"),
    (rtype::SRV, "SRV"),
    (TYPE_DS, "DS"),
    (rtype::SSHFP, "SSHFP"),
    (TYPE_RRSIG, "RRSIG"),
    (TYPE_NSEC, "NSEC"),
    (TYPE_DNSKEY, "DNSKEY"),
    (rtype::TLSA, "TLSA"),
    (TYPE_CDS, "CDS"),
    (TYPE_CDNSKEY, "CDNSKEY"),
    (rtype::CAA, "CAA"),
    (KEY, "KEY"),
];
const KEY: u16 = 25;

/// Returns a record of the zone `apex`, in wire form, as a line without its end.
pub(super) fn line(record: &Record, apex: &[u8]) -> String {
    let Record { owner, rtype, ttl_s, rdata } = record;
    let data = data(*rtype, rdata).unwrap_or_else(|| format!("\\# {} {}", rdata.len(), HEXUPPER.encode(rdata)));
    format!("{} {ttl_s} IN {} {data}", name(&[owner, apex].concat()), type_name(*rtype))
}

/// Returns the name of a type, or `TYPE` and its number (RFC 3597 section 5).
pub(in crate::dns) fn type_name(rtype: u16) -> String {
    let known = NAMES.iter().find(|(number, _)| *number == rtype);
    known.map_or_else(|| format!("TYPE{rtype}"), |(_, name)| (*name).to_owned())
}

/// Returns the data of a record; `None` for a type, or a shape, without a form of its own.
fn data(rtype: u16, rdata: &[u8]) -> Option<String> {
    let mut rest = Rest(rdata);
    let text = match rtype {
        rtype::A => Ipv4Addr::from(*rest.take::<4>()?).to_string(),
        rtype::AAAA => Ipv6Addr::from(*rest.take::<16>()?).to_string(),
        TYPE_NS | rtype::CNAME => rest.name()?,
        TYPE_SOA => {
            let names = [rest.name()?, rest.name()?];
            let numbers: Option<Vec<String>> = (0..5).map(|_| Some(rest.u32()?.to_string())).collect();
            format!("{} {}", names.join(" "), numbers?.join(" "))
        }
        rtype::TXT => {
            let mut strings = Vec::new();
            while !rest.0.is_empty() {
                strings.push(quoted(rest.string()?));
            }
            strings.join(" ")
        }
        rtype::SRV => format!("{} {} {} {}", rest.u16()?, rest.u16()?, rest.u16()?, rest.name()?),
        rtype::CAA => {
            let (flags, tag) = (rest.u8()?, rest.string()?);
            if tag.is_empty() || !tag.iter().all(u8::is_ascii_alphanumeric) {
                return None;
            }
            format!("{flags} {} {}", String::from_utf8_lossy(tag), quoted(rest.all()))
        }
        rtype::TLSA => format!("{} {} {} {}", rest.u8()?, rest.u8()?, rest.u8()?, rest.hex()?),
        rtype::SSHFP => format!("{} {} {}", rest.u8()?, rest.u8()?, rest.hex()?),
        TYPE_DS | TYPE_CDS => format!("{} {} {} {}", rest.u16()?, rest.u8()?, rest.u8()?, rest.hex()?),
        TYPE_DNSKEY | TYPE_CDNSKEY => {
            format!("{} {} {} {}", rest.u16()?, rest.u8()?, rest.u8()?, BASE64.encode(rest.all()))
        }
        TYPE_RRSIG => {
            let covered = type_name(rest.u16()?);
            let (algorithm, labels, ttl_s) = (rest.u8()?, rest.u8()?, rest.u32()?);
            let times = [rest.u32()?, rest.u32()?].map(time);
            let (tag, signer) = (rest.u16()?, rest.name()?);
            let [ends, begins] = times;
            let signature = BASE64.encode(rest.all());
            format!("{covered} {algorithm} {labels} {ttl_s} {ends} {begins} {tag} {signer} {signature}")
        }
        TYPE_NSEC => {
            let mut words = vec![rest.name()?];
            while !rest.0.is_empty() {
                let window = u16::from(rest.u8()?) << 8;
                let bits = rest.string()?;
                let has =
                    |bit: &u16| bits.get(usize::from(bit / 8)).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0);
                words.extend((0..256).filter(has).map(|bit| type_name(window | bit)));
            }
            words.join(" ")
        }
        _ => return None,
    };
    rest.0.is_empty().then_some(text)
}

/// What of the data was not read yet.
struct Rest<'r>(&'r [u8]);

impl<'r> Rest<'r> {
    fn take<const N: usize>(&mut self) -> Option<&'r [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(|[byte]| *byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// A length of one byte, and so many bytes.
    fn string(&mut self) -> Option<&'r [u8]> {
        let length = self.u8()?;
        let (taken, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some(taken)
    }

    /// A name without compression.
    fn name(&mut self) -> Option<String> {
        let begin = self.0;
        while !self.string()?.is_empty() {}
        Some(name(&begin[..begin.len() - self.0.len()]))
    }

    fn all(&mut self) -> &'r [u8] {
        std::mem::take(&mut self.0)
    }

    /// All that is left, which must be something: no form writes nothing.
    fn hex(&mut self) -> Option<String> {
        Some(self.all()).filter(|bytes| !bytes.is_empty()).map(|bytes| HEXUPPER.encode(bytes))
    }
}

/// Returns an absolute name in wire form, its final zero included, as text.
fn name(wire: &[u8]) -> String {
    let (mut rest, mut text) = (Rest(wire), String::new());
    while let Some(label) = rest.string().filter(|label| !label.is_empty()) {
        for &byte in label {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'*' => text.push(char::from(byte)),
                _ => write!(text, "\\{byte:03}").expect("a string takes everything"),
            }
        }
        text.push('.');
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = "\"".to_owned();
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write!(text, "\\{byte:03}").expect("a string takes everything"),
        }
    }
    text + "\""
}

/// Returns a time of a signature, unix seconds before 2106, as `YYYYMMDDHHmmSS` (RFC 4034 section 3.2).
fn time(unix_s: u32) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = civil(days.into());
    format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const APEX: &[u8] = b"\x04dgns\x04test\0";

    fn written(owner: &[u8], rtype: u16, rdata: &[&[u8]]) -> String {
        line(&Record::new(owner, rtype, 60, rdata), APEX)
    }

    #[test]
    fn each_type_is_written_as_its_rfc_says() {
        let alice = b"\x05alice";
        let rows: [(u16, Vec<u8>, &str); 13] = [
            (rtype::A, vec![192, 0, 2, 1], "A 192.0.2.1"),
            (rtype::AAAA, [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[1]].concat(), "AAAA 2001:db8::1"),
            (rtype::CNAME, b"\x03db.\x00".to_vec(), r"CNAME db\046."),
            (rtype::TXT, b"\x05a\"\\ \x00\x00".to_vec(), r#"TXT "a\"\\ \000" """#),
            (rtype::SRV, b"\0\x01\0\x02\x15\x38\x02pg\0".to_vec(), "SRV 1 2 5432 pg."),
            (rtype::CAA, b"\x80\x05issueca.example; x=1".to_vec(), r#"CAA 128 issue "ca.example; x=1""#),
            (rtype::TLSA, b"\x03\x01\x01\xab\xcd".to_vec(), "TLSA 3 1 1 ABCD"),
            (rtype::SSHFP, b"\x04\x02\xef".to_vec(), "SSHFP 4 2 EF"),
            (TYPE_CDS, b"\x30\x39\x0d\x02\xef".to_vec(), "CDS 12345 13 2 EF"),
            (TYPE_DNSKEY, b"\x01\x01\x03\x0d\xff\xff".to_vec(), "DNSKEY 257 3 13 //8="),
            (TYPE_SOA, [b"\x02ns\0\x01h\0".as_slice(), &[0, 0, 0, 7].repeat(5)].concat(), "SOA ns. h. 7 7 7 7 7"),
            (
                TYPE_RRSIG,
                [b"\x00\x01\x0d\x03\0\0\0\x3c\x7f\xff\xff\xff\x38\x6d\x43\x80\x30\x39".as_slice(), APEX, &[1, 2, 3]]
                    .concat(),
                "RRSIG A 13 3 60 20380119031407 20000101000000 12345 dgns.test. AQID",
            ),
            // Types 1, 46, 47 in the first window, 257 and 258 in the second.
            (
                TYPE_NSEC,
                [APEX, &[0, 6, 0x40, 0, 0, 0, 0, 3], &[1, 1, 0x60]].concat(),
                "NSEC dgns.test. A RRSIG NSEC CAA TYPE258",
            ),
        ];
        for (rtype, rdata, text) in rows {
            assert_eq!(written(alice, rtype, &[&rdata]), format!("alice.dgns.test. 60 IN {text}"));
        }
    }

    #[test]
    fn what_has_no_form_or_another_shape_is_written_as_its_bytes() {
        for (rtype, rdata, text) in [
            (rtype::HTTPS, &[0, 1, 0][..], r"TYPE65 \# 3 000100"),
            (rtype::A, &[1, 2, 3], r"A \# 3 010203"),
            (rtype::A, &[1, 2, 3, 4, 5], r"A \# 5 0102030405"),
            (rtype::TXT, &[5, 1], r"TXT \# 2 0501"),
            (rtype::TLSA, &[3, 1, 1], r"TLSA \# 3 030101"),
            (rtype::CAA, &[0, 1, b' ', 1], r"CAA \# 4 00012001"),
        ] {
            assert_eq!(written(b"", rtype, &[rdata]), format!("dgns.test. 60 IN {text}"));
        }
    }

    #[test]
    fn dates_are_of_the_gregorian_calendar() {
        for (unix_s, text) in [
            (0, "19700101000000"),
            (951_782_400, "20000229000000"),
            (951_868_799, "20000229235959"),
            (1_798_761_599, "20261231235959"),
            (u32::MAX, "21060207062815"),
        ] {
            assert_eq!(time(unix_s), text);
        }
    }
}

//! Records as text: the room of hickory-proto. What a certificate carries is wire form; people write zone-file form.

use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, BinEncodable as _, BinEncoder, NameEncoding};
use identity::record::rtype;

use crate::error::ClientError;

/// The types an owner may certify, with their mnemonics.
const TYPES: &[(&str, u16)] = &[
    ("A", rtype::A),
    ("AAAA", rtype::AAAA),
    ("CNAME", rtype::CNAME),
    ("TXT", rtype::TXT),
    ("SRV", rtype::SRV),
    ("SVCB", rtype::SVCB),
    ("HTTPS", rtype::HTTPS),
    ("CAA", rtype::CAA),
    ("TLSA", rtype::TLSA),
    ("SSHFP", rtype::SSHFP),
];

/// Returns the number of a record type's mnemonic, in any case of letters.
pub fn type_number(text: &str) -> Result<u16, ClientError> {
    let found = TYPES.iter().find(|(mnemonic, _)| mnemonic.eq_ignore_ascii_case(text));
    found.map(|(_, number)| *number).ok_or_else(|| {
        let known: Vec<&str> = TYPES.iter().map(|(mnemonic, _)| *mnemonic).collect();
        ClientError::Unable(format!("{text:?} is no record type here; there are {}", known.join(" ")))
    })
}

/// Returns the mnemonic of a record type.
pub fn type_name(number: u16) -> String {
    match TYPES.iter().find(|(_, known)| *known == number) {
        Some((mnemonic, _)) => (*mnemonic).to_owned(),
        None => format!("TYPE{number}"),
    }
}

/// Returns the wire form of record data written as in a zone file.
pub fn parse(number: u16, text: &str) -> Result<Vec<u8>, ClientError> {
    let wrong = |why: &dyn std::fmt::Display| {
        ClientError::Unable(format!("{text:?} is no data of a {} record: {why}", type_name(number)))
    };
    if number == rtype::TXT {
        return parse_text(text).ok_or_else(|| wrong(&"a string has at most 255 bytes"));
    }
    let absolute = absolute_names(number, text);
    let data = RData::try_from_str(RecordType::from(number), &absolute).map_err(|error| wrong(&error))?;
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
    data.emit(&mut encoder).map_err(|error| wrong(&error))?;
    Ok(bytes)
}

/// Returns record data as a zone file writes it; bytes that do not decode in the form of RFC 3597.
pub fn show(number: u16, rdata: &[u8]) -> String {
    let generic = || format!("\\# {} {}", rdata.len(), data_encoding::HEXLOWER.encode(rdata));
    let Ok(length) = u16::try_from(rdata.len()) else { return generic() };
    let mut decoder = BinDecoder::new(rdata);
    match RData::read(&mut decoder, RecordType::from(number), hickory_proto::serialize::binary::Restrict::new(length)) {
        Ok(RData::TXT(_)) => show_text(rdata),
        Ok(data) => data.to_string(),
        Err(_) => generic(),
    }
}

/// Completes the target of types that end in a name: here all names are absolute, with or without their final dot.
fn absolute_names(number: u16, text: &str) -> String {
    match number {
        rtype::CNAME | rtype::SRV
            if !text.ends_with('.') && Name::from_ascii(text.split(' ').next_back().unwrap_or("")).is_ok() =>
        {
            format!("{text}.")
        }
        _ => text.to_owned(),
    }
}

/// Returns one string, or several quoted ones, as TXT data.
fn parse_text(text: &str) -> Option<Vec<u8>> {
    let strings: Vec<String> = match text.starts_with('"') {
        true => text.split('"').skip(1).step_by(2).map(str::to_owned).collect(),
        false => text.as_bytes().chunks(255).map(|chunk| String::from_utf8_lossy(chunk).into_owned()).collect(),
    };
    let mut bytes = Vec::new();
    for string in if strings.is_empty() { vec![String::new()] } else { strings } {
        bytes.push(u8::try_from(string.len()).ok()?);
        bytes.extend_from_slice(string.as_bytes());
    }
    Some(bytes)
}

fn show_text(rdata: &[u8]) -> String {
    let mut out = Vec::new();
    let mut rest = rdata;
    while let Some((length, after)) = rest.split_first() {
        let (string, after) = after.split_at_checked(usize::from(*length)).unwrap_or((after, &[]));
        let escaped: String = string
            .iter()
            .map(|byte| match byte {
                b'"' | b'\\' => format!("\\{}", char::from(*byte)),
                0x20..=0x7e => char::from(*byte).to_string(),
                other => format!("\\{other:03}"),
            })
            .collect();
        out.push(format!("\"{escaped}\""));
        rest = after;
    }
    out.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_shown() {
        // Goal: text to wire form and back says the same. Method: one of each type.
        for (mnemonic, text) in [
            ("A", "192.0.2.1"),
            ("aaaa", "2001:db8::1"),
            ("CNAME", "db.example.org."),
            ("TXT", "\"one\" \"two\""),
            ("SRV", "10 5 5432 db.example.org."),
            ("CAA", "0 issue \"ca.example\""),
        ] {
            let number = type_number(mnemonic).unwrap();
            let bytes = parse(number, text).unwrap();
            assert_eq!(show(number, &bytes), text, "{mnemonic}");
        }
        assert_eq!(parse(rtype::CNAME, "db.example.org").unwrap(), parse(rtype::CNAME, "db.example.org.").unwrap());
    }

    #[test]
    fn wrong_text_is_refused_with_its_type() {
        assert!(type_number("MX").unwrap_err().to_string().contains("AAAA"));
        for (mnemonic, text) in [("A", "192.0.2.256"), ("AAAA", "192.0.2.1"), ("SRV", "1 2 3"), ("TXT", "\"\u{e9}")] {
            let number = type_number(mnemonic).unwrap();
            assert!(parse(number, text).is_err() || mnemonic == "TXT", "{mnemonic} {text}");
        }
    }
}

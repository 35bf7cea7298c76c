//! One record as a line of a zone file (RFC 1035 section 5), read by hickory's parser.

use hickory_proto::rr::{DNSClass, Name};
use hickory_proto::serialize::binary::{BinEncodable as _, BinEncoder, NameEncoding};
use hickory_proto::serialize::txt::Parser;

/// A record that somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// The absolute name in wire form, lower case, the final zero included.
    pub(crate) owner: Vec<u8>,
    pub(crate) rtype: u16,
    pub(crate) ttl_s: u32,
    /// Uncompressed, names in lower case.
    pub(crate) rdata: Vec<u8>,
}

/// Returns the record of a line, relative names being below `origin`; `None` if nothing but a comment stands there.
///
/// Errors: what is wrong, as text. Directives, more than one record, and parentheses that go on in the next line are refused.
pub(crate) fn record(line: &str, origin: &str, default_ttl_s: u32) -> Result<Option<Written>, String> {
    if line.trim_start().starts_with('$') {
        return Err("a directive, of which there is $TTL alone".to_owned());
    }
    if line.starts_with([' ', '\t']) && !line.trim_start().is_empty() && !line.trim_start().starts_with(';') {
        return Err("a line without an owner; write @ for the zone itself".to_owned());
    }
    let origin = Name::from_ascii(origin).map_err(|error| error.to_string())?;
    let text = format!("$TTL {default_ttl_s}\n{line}\n");
    let (_, sets) = Parser::new(text, None, Some(origin)).parse().map_err(|error| error.to_string())?;
    let mut records = sets.values().flat_map(|set| set.records_without_rrsigs());
    let is_nothing = line.split(';').next().is_none_or(|text| text.trim().is_empty());
    let Some(record) = records.next() else { return if is_nothing { Ok(None) } else { Err("no record".to_owned()) } };
    if record.dns_class != DNSClass::IN || records.next().is_some() {
        return Err("a record of another class than IN, or more than one".to_owned());
    }
    let mut rdata = Vec::new();
    let mut encoder = BinEncoder::new(&mut rdata);
    encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
    record.data.emit(&mut encoder).map_err(|error| error.to_string())?;
    let mut owner = Vec::new();
    let mut encoder = BinEncoder::new(&mut owner);
    encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
    record.name.emit(&mut encoder).map_err(|error| error.to_string())?;
    Ok(Some(Written { owner, rtype: record.record_type().into(), ttl_s: record.ttl, rdata }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<Written>, String> {
        record(line, "dgns.test.", 300)
    }

    #[test]
    fn lines_are_read_as_zone_files_have_them() {
        let of = |line: &str| read(line).unwrap_or_else(|error| panic!("{line}: {error}")).expect(line);
        let plain = of("@ 60 IN A 192.0.2.1 ; here");
        assert_eq!(
            plain,
            Written { owner: b"\x04dgns\x04test\0".to_vec(), rtype: 1, ttl_s: 60, rdata: vec![192, 0, 2, 1] }
        );
        let mail = of("@ MX 10 Mail.example.org.");
        assert_eq!((mail.rtype, mail.ttl_s, mail.rdata), (15, 300, b"\x00\x0a\x04mail\x07example\x03org\0".to_vec()));
        let relative = of("WWW.dgns.test. CNAME ns");
        assert_eq!(
            (&*relative.owner, &*relative.rdata),
            (&b"\x03www\x04dgns\x04test\0"[..], &b"\x02ns\x04dgns\x04test\0"[..])
        );
        assert_eq!(of("_dmarc TXT \"v=DMARC1; p=reject\" \"x\"").rdata, b"\x12v=DMARC1; p=reject\x01x");
        assert_eq!(of("@ CAA 0 issue \"ca.example\"").rtype, 257);
        assert_eq!(of("_db._tcp SRV 0 5 5432 ns").rtype, 33);
        assert_eq!(of("@ HTTPS 1 . alpn=\"h2,h3\" ipv4hint=192.0.2.1").rtype, 65);
        for nothing in ["", "   ", "; a comment", "  ; another"] {
            assert_eq!(read(nothing), Ok(None), "{nothing:?}");
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for line in [
            "@",
            "@ A",
            "@ A 192.0.2.256",
            "@ IN NOTHING x",
            "@ CH A 192.0.2.1",
            " A 192.0.2.1",
            "$INCLUDE /etc/passwd",
            "$ORIGIN x.",
            "@ TXT ( \"x\"",
            "@ TXT \"x",
            "a..b A 192.0.2.1",
            "@ MX mail",
        ] {
            assert!(read(line).is_err(), "{line}: {:?}", read(line));
        }
    }
}

//! The catalog zone (RFC 9432, version 2): a small zone that says which zone there is to copy, for secondaries that are told no more than it.
//!
//! It is copied as the zone is, by peers that sign alone, and answers nobody else. What it says is made of two names that never change while a
//! server has its data, so its serial does not either.

use super::super::limits::ZONE_BYTES_MAX;
use super::super::name::{self, WireName};
use super::super::query::Query;
use super::super::reply::Rcode;
use super::super::zone::Record;
use super::message::Messages;
use super::{CLASS_IN, TYPE_SOA};
use identity::hash::sha256;

const TYPE_NS: u16 = 2;
const TYPE_PTR: u16 = 12;
const TYPE_TXT: u16 = 16;

/// Changes with what the catalog of one zone says, as written here.
pub(super) const SERIAL: u32 = 1;

/// The TTL of every record, seconds.
const TTL_S: u32 = 3_600;

/// What consumers read in the SOA: refresh, retry, expire and least TTL, in seconds.
const TIMES_S: [u32; 4] = [3_600, 600, 2_147_483_646, TTL_S];

/// The server of a zone that nobody queries (RFC 9432 section 4.1).
const NOBODY: &[u8] = b"\x07invalid\0";

/// The bytes of the hash of a zone's name that its member node shows: a number of its own for each zone.
const MEMBER_BYTES: usize = 16;

/// The catalog of one zone.
#[derive(Debug)]
pub struct Catalog {
    apex: Vec<u8>,
    /// The SOA first.
    records: Vec<Record>,
}

impl Catalog {
    /// Returns the catalog of this name, absolute without final dot, that has the zone `member` (wire form); `None` if the name is none of DNS, or longer than a zone's.
    pub fn of(name: &str, member: &[u8]) -> Option<Self> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let is_name = name.len() <= ZONE_BYTES_MAX && name.bytes().all(is_plain);
        let mut apex = name::labels_of(name).filter(|labels| is_name && !labels.is_empty())?;
        apex.push(0);
        let numbers: Vec<u8> = std::iter::once(SERIAL).chain(TIMES_S).flat_map(|number| number.to_be_bytes()).collect();
        let id = data_encoding::HEXLOWER.encode(&sha256(&[member])[..MEMBER_BYTES]);
        let node = [&[id.len() as u8], id.as_bytes(), b"\x05zones"].concat();
        let records = vec![
            Record::new(b"", TYPE_SOA, TTL_S, &[NOBODY, NOBODY, &numbers]),
            Record::new(b"", TYPE_NS, TTL_S, &[NOBODY]),
            Record::new(b"\x07version", TYPE_TXT, TTL_S, &[b"\x012"]),
            Record::new(&node, TYPE_PTR, TTL_S, &[member]),
        ];
        Some(Self { apex, records })
    }

    /// Returns its name in wire form.
    pub(super) fn apex(&self) -> &[u8] {
        &self.apex
    }

    /// Returns its SOA.
    pub(super) fn soa(&self) -> &Record {
        &self.records[0]
    }

    /// Returns what a copy has: every record, the SOA first.
    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Whether a query is for the catalog or below it.
    pub(super) fn is_asked(&self, query: &Query<'_>) -> bool {
        query.qclass == CLASS_IN && self.place(&query.qname).is_some()
    }

    /// Answers a query for one of its records.
    pub(super) fn answer(&self, query: &Query<'_>, out: &mut Vec<u8>) -> Rcode {
        let below = self.place(&query.qname).unwrap_or_default();
        let mut messages = Messages::to(query);
        let asked = |record: &&Record| *record.owner == *below && record.rtype == query.qtype;
        for record in self.records.iter().filter(asked) {
            messages.push(record);
        }
        out.clear();
        out.extend(messages.take());
        Rcode::NoError
    }

    /// Returns the labels of a name below the catalog; `None` if it is elsewhere.
    fn place<'n>(&self, name: &'n WireName) -> Option<&'n [u8]> {
        let place = name::place(name.as_bytes(), &self.apex)?;
        Some(&name.as_bytes()[..place.owner.len() + place.name.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_says_its_version_and_its_member() {
        // Goal: RFC 9432 sections 4.1 to 4.3, byte for byte.
        let catalog = Catalog::of("catalog.example", b"\x04dgns\x04test\0").unwrap();
        assert_eq!(catalog.apex(), b"\x07catalog\x07example\0");
        let soa = b"\x07invalid\0\x07invalid\0\0\0\0\x01\0\0\x0e\x10\0\0\x02\x58\x7f\xff\xff\xfe\0\0\x0e\x10";
        assert_eq!((&*catalog.soa().owner, &*catalog.soa().rdata), (&b""[..], &soa[..]));
        let [_, ns, version, member] = catalog.records() else { panic!("four records") };
        assert_eq!((ns.rtype, &*ns.rdata), (TYPE_NS, &b"\x07invalid\0"[..]));
        assert_eq!((&*version.owner, version.rtype, &*version.rdata), (&b"\x07version"[..], TYPE_TXT, &b"\x012"[..]));
        assert_eq!((member.rtype, &*member.rdata), (TYPE_PTR, &b"\x04dgns\x04test\0"[..]));
        assert!(member.owner.len() == 1 + 32 + 6 && member.owner.ends_with(b"\x05zones"));
        let other = Catalog::of("catalog.example", b"\x02id\x07example\0").unwrap();
        assert_ne!(other.records()[3].owner, member.owner, "another zone is another member");
        for name in ["", ".", "a..b", "a b", &"x".repeat(64), &"x.".repeat(50)[..95]] {
            assert!(Catalog::of(name, b"\0").is_none(), "{name}");
        }
    }
}

//! The room of hickory-proto: reads every query that is not of the plain shape.
//!
//! Sections are walked record by record with hickory's decoder. Data of records that a query has no use for is skipped by its
//! length and never parsed, so that an unknown or broken one is no reason to refuse. No hickory type leaves this module.

pub(crate) mod zonefile;

use hickory_proto::op::{Header as WireHeader, Query as Question};
use hickory_proto::rr::Name;
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

use super::name::WireName;
use super::query::{Edns, HEADER_BYTES, Header, Query, TYPE_OPT, Unreadable, read_options};
use super::tsig::TYPE_TSIG;

/// The records after the question.
#[derive(Default)]
struct Records {
    edns: Option<Edns>,
    malformed: bool,
    is_signed: bool,
}

/// Returns the query that `message`, whose header is `header`, is; otherwise the OPT that was read before the fault.
pub(crate) fn read(header: Header, message: &[u8]) -> Result<Query<'_>, Unreadable> {
    let malformed = |edns| Unreadable::Malformed(header, edns);
    let mut decoder = BinDecoder::new(message);
    let counts = WireHeader::read(&mut decoder).map_err(|_| malformed(None))?.counts;
    let asked = match counts.queries {
        0 => None,
        1 => Some(Question::read(&mut decoder).map_err(|_| malformed(None))?),
        _ => return Err(malformed(None)),
    };
    let mut records = Records::default();
    let ordinary = u32::from(counts.answers) + u32::from(counts.authorities);
    let walked = records.walk(&mut decoder, ordinary, u32::from(counts.additionals));
    if walked.is_err() || records.malformed || !decoder.is_empty() {
        return Err(malformed(records.edns));
    }
    let Some(asked) = asked else {
        return Err(match records.edns {
            Some(edns) if ordinary == 0 && edns.options.cookie.is_some() => Unreadable::Cookie(header, edns),
            edns => malformed(edns),
        });
    };
    // The question is copied into the answer as it stands, so its name may not point elsewhere.
    let qname = WireName::read(&message[HEADER_BYTES..]).ok_or(malformed(records.edns))?;
    let question = message.get(HEADER_BYTES..HEADER_BYTES + qname.wire_len() + 4).ok_or(malformed(records.edns))?;
    let (qtype, qclass) = (u16::from(asked.query_type()), u16::from(asked.query_class()));
    let Records { edns, is_signed, .. } = records;
    Ok(Query { header, question, qname, qtype, qclass, edns, is_signed })
}

impl Records {
    fn walk(&mut self, decoder: &mut BinDecoder<'_>, ordinary: u32, additional: u32) -> Result<(), DecodeError> {
        for index in 0..ordinary + additional {
            let owner = Name::read(decoder)?;
            let rtype = decoder.read_u16()?.unverified(/* every type may stand here */);
            let class = decoder.read_u16()?.unverified(/* every class may stand here */);
            let ttl = decoder.read_u32()?.unverified(/* every TTL may stand here */);
            let length = decoder.read_u16()?.unverified(/* read_slice checks it */);
            let rdata = decoder.read_slice(usize::from(length))?.unverified(/* looked at only as options */);
            self.is_signed |= rtype == TYPE_TSIG;
            if rtype == TYPE_OPT {
                let options = read_options(rdata);
                self.malformed |= index < ordinary || self.edns.is_some() || !owner.is_root() || options.is_none();
                let ([_, version, flags, _], options) = (ttl.to_be_bytes(), options.unwrap_or_default());
                self.edns.get_or_insert(Edns { udp_bytes: class, version, dnssec_ok: flags & 0x80 != 0, options });
            }
        }
        Ok(())
    }
}

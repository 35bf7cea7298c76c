//! What was asked. The plain shape of nearly every query is read by hand; whatever differs goes to hickory-proto.

use super::cookie::{CLIENT_BYTES, Presented};
use super::hickory;
use super::limits::{QUERY_BYTES_MAX, QUERY_RECORDS_MAX};
use super::name::WireName;

/// The bytes of a DNS header.
pub(crate) const HEADER_BYTES: usize = 12;

pub(crate) const OPCODE_QUERY: u8 = 0;
pub(crate) const OPCODE_NOTIFY: u8 = 4;
pub(crate) const OPCODE_UPDATE: u8 = 5;

pub(crate) const TYPE_OPT: u16 = 41;
pub(crate) const TYPE_IXFR: u16 = 251;
pub(crate) const TYPE_AXFR: u16 = 252;
pub(crate) const TYPE_ANY: u16 = 255;

pub(crate) const OPTION_NSID: u16 = 3;
pub(crate) const OPTION_COOKIE: u16 = 10;
pub(crate) const OPTION_PADDING: u16 = 12;

/// The parts of the header that an answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: u16,
    pub(crate) opcode: u8,
    pub(crate) recursion_desired: bool,
    pub(crate) checking_disabled: bool,
}

/// What an OPT record said (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    pub(crate) udp_bytes: u16,
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
    pub(crate) options: Options,
}

/// The options of an OPT record that mean something here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) cookie: Option<Presented>,
    /// The name of the server is asked for (RFC 5001).
    pub(crate) nsid: bool,
}

/// A readable query with one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Query<'m> {
    pub(crate) header: Header,
    /// The question as it was sent, letter case included: name, type, class.
    pub(crate) question: &'m [u8],
    /// The name, folded.
    pub(crate) qname: WireName,
    pub(crate) qtype: u16,
    pub(crate) qclass: u16,
    pub(crate) edns: Option<Edns>,
    /// It has a TSIG record.
    pub(crate) is_signed: bool,
}

/// A message that is no readable query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Fewer bytes than a header.
    Short,
    /// An answer, not a query: answering it could go on forever.
    Response,
    /// Not the shape of a query; the OPT that was read before the fault.
    Malformed(Header, Option<Edns>),
    /// No question, and a cookie: a client that wants one of ours (RFC 7873 section 5.4).
    Cookie(Header, Edns),
}

impl Header {
    /// Returns the header of `message` if it is at least that long.
    pub(crate) fn read(message: &[u8]) -> Option<(Self, bool)> {
        let [id0, id1, high, low, ..] = *message.first_chunk::<HEADER_BYTES>()?;
        let header = Self {
            id: u16::from_be_bytes([id0, id1]),
            opcode: high >> 3 & 15,
            recursion_desired: high & 1 != 0,
            checking_disabled: low & 0x10 != 0,
        };
        Some((header, high & 0x80 != 0))
    }
}

/// Returns the query that `message` is.
///
/// A message with another opcode than QUERY is read the same way and is malformed just so; the caller looks at the opcode
/// first. One longer than [`QUERY_BYTES_MAX`] or of more than [`QUERY_RECORDS_MAX`] records is malformed, and read no further: reading costs the
/// stranger who sent it nothing.
pub(crate) fn read(message: &[u8]) -> Result<Query<'_>, Unreadable> {
    let (header, is_response) = Header::read(message).ok_or(Unreadable::Short)?;
    if is_response {
        return Err(Unreadable::Response);
    }
    if let Some(query) = read_plain(header, message).filter(|_| message.len() <= QUERY_BYTES_MAX) {
        return Ok(query);
    }
    let records: u32 =
        (6..HEADER_BYTES).step_by(2).map(|at| u32::from(message[at]) << 8 | u32::from(message[at + 1])).sum();
    if message.len() > QUERY_BYTES_MAX || records > QUERY_RECORDS_MAX {
        return Err(Unreadable::Malformed(header, None));
    }
    hickory::read(header, message)
}

/// Reads the plain shape: one question, uncompressed, and at most one record after it, an OPT that ends the message.
///
/// `None` means only that the shape is another one.
pub(crate) fn read_plain(header: Header, message: &[u8]) -> Option<Query<'_>> {
    let extra = match message.get(4..HEADER_BYTES)? {
        [0, 1, 0, 0, 0, 0, 0, extra @ (0 | 1)] => *extra,
        _ => return None,
    };
    if header.opcode != OPCODE_QUERY {
        return None;
    }
    let qname = WireName::read(&message[HEADER_BYTES..])?;
    let end = HEADER_BYTES + qname.wire_len() + 4;
    let question = message.get(HEADER_BYTES..end)?;
    let [t0, t1, c0, c1] = *question.last_chunk()?;
    let edns = match (extra, message.get(end..)?) {
        (0, []) => None,
        (1, opt) => Some(read_opt(opt)?),
        _ => return None,
    };
    let (qtype, qclass) = (u16::from_be_bytes([t0, t1]), u16::from_be_bytes([c0, c1]));
    Some(Query { header, question, qname, qtype, qclass, edns, is_signed: false })
}

fn read_opt(record: &[u8]) -> Option<Edns> {
    let (fixed, rdata) = record.split_first_chunk::<11>()?;
    let [0, 0, 41, s0, s1, _, version, flags, _, n0, n1] = *fixed else { return None };
    if usize::from(u16::from_be_bytes([n0, n1])) != rdata.len() {
        return None;
    }
    let options = read_options(rdata)?;
    Some(Edns { udp_bytes: u16::from_be_bytes([s0, s1]), version, dnssec_ok: flags & 0x80 != 0, options })
}

/// Reads `rdata`, which is exactly a list of EDNS options, each cookie of a length it may have (RFC 7873 section 5.2.2). Of several
/// cookies the first one counts.
pub(crate) fn read_options(mut rdata: &[u8]) -> Option<Options> {
    let mut options = Options::default();
    while let Some((&[c0, c1, n0, n1], rest)) = rdata.split_first_chunk::<4>() {
        let (data, next) = rest.split_at_checked(usize::from(u16::from_be_bytes([n0, n1])))?;
        match u16::from_be_bytes([c0, c1]) {
            OPTION_COOKIE => options.cookie = options.cookie.or(Some(read_cookie(data)?)),
            OPTION_NSID => options.nsid = true,
            _ => {}
        }
        rdata = next;
    }
    rdata.is_empty().then_some(options)
}

fn read_cookie(data: &[u8]) -> Option<Presented> {
    let (client, server) = data.split_first_chunk::<CLIENT_BYTES>()?;
    matches!(server.len(), 0 | 8..=32).then(|| Presented { client: *client, server: server.try_into().ok() })
}

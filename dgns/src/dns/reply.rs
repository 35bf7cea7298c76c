//! The bytes of an answer: header, question, records and OPT, within what the transport carries.

use super::limits::UDP_BYTES_MAX;
use super::query::{Edns, HEADER_BYTES, Header, Query};

/// The response code of an answer, extended ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Rcode {
    /// The answer, or that the name has no record of the type.
    NoError = 0,
    /// Not the shape of a query.
    FormErr = 1,
    /// The server cannot answer now.
    ServFail = 2,
    /// The name does not exist.
    NxDomain = 3,
    /// The opcode or type is none the server serves.
    NotImp = 4,
    /// The server does not answer this to anybody, or not to the client.
    Refused = 5,
    /// The server takes no such message for this zone.
    NotAuth = 9,
    /// An EDNS version above 0.
    BadVers = 16,
}

impl Rcode {
    /// Every code, in order.
    pub const ALL: [Self; 8] = [
        Self::NoError,
        Self::FormErr,
        Self::ServFail,
        Self::NxDomain,
        Self::NotImp,
        Self::Refused,
        Self::NotAuth,
        Self::BadVers,
    ];

    /// Returns the mnemonic of the registry.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoError => "NOERROR",
            Self::FormErr => "FORMERR",
            Self::ServFail => "SERVFAIL",
            Self::NxDomain => "NXDOMAIN",
            Self::NotImp => "NOTIMP",
            Self::Refused => "REFUSED",
            Self::NotAuth => "NOTAUTH",
            Self::BadVers => "BADVERS",
        }
    }
}

/// Why, in more words than a response code has (RFC 8914).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum ExtendedError {
    Other = 0,
    NotReady = 14,
    NotAuthoritative = 20,
    NotSupported = 21,
}

/// A name that stands earlier in the message: where it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pointer(u16);

impl Pointer {
    /// The name of the question.
    pub(crate) const QNAME: Self = Self(HEADER_BYTES as u16);

    /// The last `wire_len` bytes of the name of the question: the zone.
    pub(crate) fn into_qname(query: &Query<'_>, wire_len: usize) -> Self {
        Self((HEADER_BYTES + query.qname.wire_len() - wire_len) as u16)
    }
}

const OPT_BYTES: usize = 11;
const EXTENDED_ERROR_BYTES: usize = 6;
/// The greatest offset a compression pointer can name.
const POINTER_MAX: usize = 0x3FFF;

/// An answer being written.
pub(crate) struct Reply<'o> {
    out: &'o mut Vec<u8>,
    edns: Option<Edns>,
    question_end: usize,
    /// Bytes that records may fill: the limit less what the OPT will take.
    records_end: usize,
    answers: u16,
    authorities: u16,
    authoritative: bool,
    truncated: bool,
}

impl<'o> Reply<'o> {
    /// Begins an answer with the header alone.
    pub(crate) fn bare(header: Header, edns: Option<Edns>, out: &'o mut Vec<u8>) -> Self {
        out.clear();
        out.extend_from_slice(&header.id.to_be_bytes());
        out.push(0x80 | header.opcode << 3 | u8::from(header.recursion_desired));
        out.push(u8::from(header.checking_disabled) << 4);
        out.resize(HEADER_BYTES, 0);
        Self {
            out,
            edns,
            question_end: HEADER_BYTES,
            records_end: HEADER_BYTES,
            answers: 0,
            authorities: 0,
            authoritative: false,
            truncated: false,
        }
    }

    /// Begins an answer with header and question, of at most `bytes_max` bytes.
    pub(crate) fn to(query: &Query<'_>, bytes_max: usize, out: &'o mut Vec<u8>) -> Self {
        let mut reply = Self::bare(query.header, query.edns, out);
        reply.out[5] = 1;
        reply.out.extend_from_slice(query.question);
        reply.question_end = reply.out.len();
        let reserved = if query.edns.is_some() { OPT_BYTES + EXTENDED_ERROR_BYTES } else { 0 };
        reply.records_end = bytes_max - reserved;
        reply
    }

    /// Says that the zone is ours.
    pub(crate) fn set_authoritative(&mut self) {
        self.authoritative = true;
    }

    /// Adds a record to the answer section; returns where a name that its rdata begins with would be found.
    pub(crate) fn answer(&mut self, owner: Pointer, rtype: u16, ttl_s: u32, rdata: &[&[u8]]) -> Option<Pointer> {
        debug_assert_eq!(self.authorities, 0, "answers come before authorities");
        let at = self.record(owner, rtype, ttl_s, rdata)?;
        self.answers += 1;
        (at <= POINTER_MAX).then_some(Pointer(at as u16))
    }

    /// Adds a record to the authority section.
    pub(crate) fn authority(&mut self, owner: Pointer, rtype: u16, ttl_s: u32, rdata: &[&[u8]]) {
        if self.record(owner, rtype, ttl_s, rdata).is_some() {
            self.authorities += 1;
        }
    }

    /// Ends the answer. What did not fit leaves TC = 1 and no record at all: a client must never take a part for the whole.
    pub(crate) fn finish(mut self, rcode: Rcode, error: Option<ExtendedError>) -> Rcode {
        if self.truncated {
            self.out.truncate(self.question_end);
            (self.answers, self.authorities) = (0, 0);
        }
        self.out[2] |= u8::from(self.authoritative) << 2 | u8::from(self.truncated) << 1;
        self.out[3] |= rcode as u8 & 15;
        self.out[6..8].copy_from_slice(&self.answers.to_be_bytes());
        self.out[8..10].copy_from_slice(&self.authorities.to_be_bytes());
        if let Some(edns) = self.edns {
            self.opt(edns, rcode, error);
        }
        rcode
    }

    /// Writes one record and returns where its rdata begins; `None` once something did not fit.
    fn record(&mut self, owner: Pointer, rtype: u16, ttl_s: u32, rdata: &[&[u8]]) -> Option<usize> {
        let length: usize = rdata.iter().map(|part| part.len()).sum();
        let length_u16 = u16::try_from(length).ok();
        self.truncated |= self.out.len() + 12 + length > self.records_end || length_u16.is_none();
        if self.truncated {
            return None;
        }
        self.out.extend_from_slice(&(0xC000 | owner.0).to_be_bytes());
        self.out.extend_from_slice(&rtype.to_be_bytes());
        self.out.extend_from_slice(&[0, 1]);
        self.out.extend_from_slice(&ttl_s.to_be_bytes());
        self.out.extend_from_slice(&length_u16?.to_be_bytes());
        let at = self.out.len();
        for part in rdata {
            self.out.extend_from_slice(part);
        }
        Some(at)
    }

    fn opt(&mut self, edns: Edns, rcode: Rcode, error: Option<ExtendedError>) {
        self.out[11] = 1;
        self.out.extend_from_slice(&[0, 0, 41]);
        self.out.extend_from_slice(&(UDP_BYTES_MAX as u16).to_be_bytes());
        self.out.extend_from_slice(&[rcode as u8 >> 4, 0, u8::from(edns.dnssec_ok) << 7, 0]);
        match error {
            None => self.out.extend_from_slice(&[0, 0]),
            Some(error) => {
                self.out.extend_from_slice(&[0, EXTENDED_ERROR_BYTES as u8, 0, 15, 0, 2]);
                self.out.extend_from_slice(&(error as u16).to_be_bytes());
            }
        }
    }
}

//! The bytes of an answer: header, question, records and OPT, within what the transport carries.

use super::cookie::{CLIENT_BYTES, SERVER_BYTES};
use super::dnssec::{self, Signature, TYPE_RRSIG};
use super::limits::{PADDING_BLOCK_BYTES, STREAM_BYTES_MAX, UDP_BYTES_MAX, UDP_PLAIN_BYTES_MAX};
use super::name::WireName;
use super::query::{Edns, HEADER_BYTES, Header, OPTION_COOKIE, OPTION_NSID, OPTION_PADDING, Query};

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
    /// A name exists that should not.
    YxDomain = 6,
    /// A record set exists that should not.
    YxRrSet = 7,
    /// A record set does not exist that should.
    NxRrSet = 8,
    /// The server takes no such message for this zone, or nobody it knows signed it.
    NotAuth = 9,
    /// A name is not of the zone.
    NotZone = 10,
    /// An EDNS version above 0.
    BadVers = 16,
}

impl Rcode {
    /// Every code, in order.
    pub const ALL: [Self; 12] = [
        Self::NoError,
        Self::FormErr,
        Self::ServFail,
        Self::NxDomain,
        Self::NotImp,
        Self::Refused,
        Self::YxDomain,
        Self::YxRrSet,
        Self::NxRrSet,
        Self::NotAuth,
        Self::NotZone,
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
            Self::YxDomain => "YXDOMAIN",
            Self::YxRrSet => "YXRRSET",
            Self::NxRrSet => "NXRRSET",
            Self::NotAuth => "NOTAUTH",
            Self::NotZone => "NOTZONE",
            Self::BadVers => "BADVERS",
        }
    }
}

/// Why, in more words than a response code has (RFC 8914).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum ExtendedError {
    Other = 0,
    Stale = 3,
    NotReady = 14,
    Prohibited = 18,
    NotAuthoritative = 20,
    NotSupported = 21,
    Unreachable = 22,
    Invalid = 24,
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

    /// The name of these labels in front of that one.
    pub(crate) fn below(self, labels: &[u8]) -> Owner<'_> {
        Owner { labels, rest: self }
    }
}

/// A name as a record begins with it: labels, and the name that stands earlier.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'n> {
    labels: &'n [u8],
    rest: Pointer,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Answer,
    Authority,
    Additional,
}

/// A signature over a record set, as its RRSIG shows it.
#[derive(Clone, Copy)]
pub(crate) struct Signed<'s> {
    pub(crate) rtype: u16,
    pub(crate) ttl_s: u32,
    /// The labels of the owner, the zone's included.
    pub(crate) labels: u8,
    /// `None`: it is not made yet.
    pub(crate) signature: Option<&'s Signature>,
}

/// What all signatures of a zone have alike.
#[derive(Clone, Copy)]
pub(crate) struct Signs<'z> {
    pub(crate) algorithm: u8,
    /// The zone in wire form.
    pub(crate) apex: &'z [u8],
}

const OPT_BYTES: usize = 11;
const OPTION_HEAD_BYTES: usize = 4;
const EXTENDED_ERROR_BYTES: usize = 6;
const OPTION_EXTENDED_ERROR: u16 = 15;
/// A cookie as it stands in an answer: the client's and the server's.
pub(crate) const COOKIE_BYTES: usize = CLIENT_BYTES + SERVER_BYTES;
/// The greatest offset a compression pointer can name.
const POINTER_MAX: usize = 0x3FFF;

/// What the OPT of an answer says to what the OPT of its query asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told<'s> {
    /// The client's cookie and the server's.
    pub(crate) cookie: Option<[u8; COOKIE_BYTES]>,
    /// The name of the server; empty: it has none.
    pub(crate) nsid: &'s [u8],
    /// Whoever asks showed that it is where it says: by a cookie, or by asking over a stream.
    pub(crate) is_there: bool,
    /// The answer gets the length of many others: nobody but its length tells strangers what it says.
    pub(crate) is_padded: bool,
}

impl Told<'_> {
    fn bytes(&self) -> usize {
        let cookie = self.cookie.map_or(0, |cookie| OPTION_HEAD_BYTES + cookie.len());
        let nsid = if self.nsid.is_empty() { 0 } else { OPTION_HEAD_BYTES + self.nsid.len() };
        cookie + nsid
    }
}

/// An answer being written.
pub(crate) struct Reply<'o> {
    out: &'o mut Vec<u8>,
    edns: Option<Edns>,
    told: Told<'o>,
    question_end: usize,
    /// Bytes that records may fill: the limit less what the OPT will take.
    records_end: usize,
    answers: u16,
    authorities: u16,
    additionals: u8,
    authoritative: bool,
    truncated: bool,
    /// Whoever asks wants signatures, and the zone has some.
    signs: Option<Signs<'o>>,
    /// Another server makes the signatures.
    copied: bool,
    /// Why the answer is a failure, whatever was written.
    fails: Option<ExtendedError>,
    /// What is said of an answer that is none.
    note: Option<ExtendedError>,
}

impl<'o> Reply<'o> {
    /// Begins an answer with the header alone.
    pub(crate) fn bare(header: Header, edns: Option<Edns>, told: Told<'o>, out: &'o mut Vec<u8>) -> Self {
        out.clear();
        out.extend_from_slice(&header.id.to_be_bytes());
        out.push(0x80 | header.opcode << 3 | u8::from(header.recursion_desired));
        out.push(u8::from(header.checking_disabled) << 4);
        out.resize(HEADER_BYTES, 0);
        Self {
            out,
            edns,
            told,
            question_end: HEADER_BYTES,
            records_end: HEADER_BYTES,
            answers: 0,
            authorities: 0,
            additionals: 0,
            authoritative: false,
            truncated: false,
            signs: None,
            copied: false,
            fails: None,
            note: None,
        }
    }

    /// Begins an answer with header and question, of at most `bytes_max` bytes.
    pub(crate) fn to(query: &Query<'_>, bytes_max: usize, told: Told<'o>, out: &'o mut Vec<u8>) -> Self {
        let mut reply = Self::bare(query.header, query.edns, told, out);
        reply.out[5] = 1;
        reply.out.extend_from_slice(query.question);
        reply.question_end = reply.out.len();
        let reserved = if query.edns.is_some() { reply.reserved() } else { 0 };
        reply.records_end = bytes_max - reserved;
        reply
    }

    /// Keeps the answer within what fits without EDNS, unless whoever asks showed that it is where it says: proofs are long, and a query
    /// for one is short.
    pub(crate) fn keep_short_for_strangers(&mut self) {
        if !self.told.is_there {
            let reserved = if self.edns.is_some() { self.reserved() } else { 0 };
            self.records_end = self.records_end.min(UDP_PLAIN_BYTES_MAX - reserved);
        }
    }

    fn reserved(&self) -> usize {
        OPT_BYTES + EXTENDED_ERROR_BYTES + self.told.bytes()
    }

    /// Says that the zone is ours.
    pub(crate) fn set_authoritative(&mut self) {
        self.authoritative = true;
    }

    /// Says that another server answers: this is a referral to it.
    pub(crate) fn set_referral(&mut self) {
        self.authoritative = false;
    }

    /// Shows signatures.
    pub(crate) fn set_signed(&mut self, signs: Signs<'o>) {
        self.signs = Some(signs);
    }

    /// Says that another server signs what is answered: what lacks a signature is not true, and nobody is told it.
    pub(crate) fn set_copied(&mut self) {
        self.copied = true;
    }

    /// Returns whether signatures are looked at, shown or not.
    pub(crate) fn looks_at_signatures(&self) -> bool {
        self.is_signed() || self.copied
    }

    /// Returns whether signatures are shown.
    pub(crate) fn is_signed(&self) -> bool {
        self.signs.is_some()
    }

    /// Adds a record to the answer section; returns where a name that its rdata begins with would be found.
    pub(crate) fn answer(&mut self, owner: Pointer, rtype: u16, ttl_s: u32, rdata: &[&[u8]]) -> Option<Pointer> {
        self.add(Section::Answer, owner.below(&[]), rtype, ttl_s, rdata).map(|(_, rdata)| rdata)
    }

    /// Adds a record to the authority section.
    pub(crate) fn authority(&mut self, owner: Pointer, rtype: u16, ttl_s: u32, rdata: &[&[u8]]) {
        self.add(Section::Authority, owner.below(&[]), rtype, ttl_s, rdata);
    }

    /// Adds a record; returns where its owner and its rdata are found.
    pub(crate) fn add(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rtype: u16,
        ttl_s: u32,
        rdata: &[&[u8]],
    ) -> Option<(Pointer, Pointer)> {
        let from = self.out.len();
        let at = self.record(owner, rtype, ttl_s, rdata)?;
        match section {
            Section::Answer => {
                debug_assert_eq!(self.authorities, 0, "answers come before authorities");
                self.answers += 1;
            }
            Section::Authority => {
                debug_assert_eq!(self.additionals, 0, "authorities come before what is additional");
                self.authorities += 1;
            }
            Section::Additional => self.additionals += 1,
        }
        let owner = if owner.labels.is_empty() { owner.rest } else { Pointer(from as u16) };
        (at <= POINTER_MAX).then_some((owner, Pointer(at as u16)))
    }

    /// Adds the RRSIG of the set that was just added, if signatures are shown. One that is not made yet makes the answer a failure.
    pub(crate) fn sign(&mut self, section: Section, owner: Pointer, signed: Signed<'_>) {
        let Some(signature) = signed.signature else {
            if self.looks_at_signatures() {
                self.fail(if self.copied { ExtendedError::Invalid } else { ExtendedError::NotReady });
            }
            return;
        };
        let Some(Signs { algorithm, apex }) = self.signs else { return };
        let Signed { rtype, ttl_s, labels, .. } = signed;
        let Signature { expiration_s, inception_s, key_tag, bytes } = signature;
        let head = dnssec::head(rtype, algorithm, labels, ttl_s, *expiration_s, *inception_s, *key_tag);
        self.add(section, owner.below(&[]), TYPE_RRSIG, ttl_s, &[&head, apex, bytes]);
    }

    /// Makes the answer a failure: what it would say is not signed yet, or not known any more.
    pub(crate) fn fail(&mut self, why: ExtendedError) {
        self.fails = Some(why);
    }

    /// Says something of the answer.
    pub(crate) fn note(&mut self, what: ExtendedError) {
        self.note = Some(what);
    }

    /// Ends the answer. What did not fit leaves TC = 1 and no record at all: a client must never take a part for the whole. What lacks a
    /// signature that was asked for leaves as SERVFAIL.
    pub(crate) fn finish(mut self, rcode: Rcode, error: Option<ExtendedError>) -> Rcode {
        let (rcode, error) = match self.fails {
            Some(why) => (Rcode::ServFail, Some(why)),
            None => (rcode, error.or(self.note)),
        };
        self.truncated &= self.fails.is_none();
        if self.truncated || self.fails.is_some() {
            self.out.truncate(self.question_end);
            (self.answers, self.authorities, self.additionals) = (0, 0, 0);
        }
        self.out[2] |= u8::from(self.authoritative) << 2 | u8::from(self.truncated) << 1;
        self.out[3] |= rcode as u8 & 15;
        self.out[6..8].copy_from_slice(&self.answers.to_be_bytes());
        self.out[8..10].copy_from_slice(&self.authorities.to_be_bytes());
        self.out[11] = self.additionals;
        if let Some(edns) = self.edns {
            self.opt(edns, rcode, error);
        }
        rcode
    }

    /// Writes one record and returns where its rdata begins; `None` once something did not fit.
    fn record(&mut self, owner: Owner<'_>, rtype: u16, ttl_s: u32, rdata: &[&[u8]]) -> Option<usize> {
        let length: usize = rdata.iter().map(|part| part.len()).sum();
        let length_u16 = u16::try_from(length).ok();
        self.truncated |= self.out.len() + owner.labels.len() + 12 + length > self.records_end || length_u16.is_none();
        if self.truncated {
            return None;
        }
        self.out.extend_from_slice(owner.labels);
        self.out.extend_from_slice(&(0xC000 | owner.rest.0).to_be_bytes());
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
        self.out[11] += 1;
        self.out.extend_from_slice(&[0, 0, 41]);
        self.out.extend_from_slice(&(UDP_BYTES_MAX as u16).to_be_bytes());
        self.out.extend_from_slice(&[rcode as u8 >> 4, 0, u8::from(edns.dnssec_ok) << 7, 0]);
        let told = self.told.bytes() + error.map_or(0, |_| EXTENDED_ERROR_BYTES);
        let padding = self.told.is_padded.then(|| padding(self.out.len() + 2 + told)).flatten();
        let length = told + padding.map_or(0, |bytes| OPTION_HEAD_BYTES + bytes);
        self.out.extend_from_slice(&(length as u16).to_be_bytes());
        if let Some(error) = error {
            self.option(OPTION_EXTENDED_ERROR, &(error as u16).to_be_bytes());
        }
        if let Some(cookie) = self.told.cookie {
            self.option(OPTION_COOKIE, &cookie);
        }
        if !self.told.nsid.is_empty() {
            self.option(OPTION_NSID, self.told.nsid);
        }
        if let Some(bytes) = padding {
            self.option(OPTION_PADDING, &ZEROS[..bytes]);
        }
    }

    fn option(&mut self, code: u16, data: &[u8]) {
        self.out.extend_from_slice(&code.to_be_bytes());
        self.out.extend_from_slice(&(data.len() as u16).to_be_bytes());
        self.out.extend_from_slice(data);
    }
}

const ZEROS: [u8; PADDING_BLOCK_BYTES] = [0; PADDING_BLOCK_BYTES];

/// Returns how many bytes pad an answer of `length` bytes to the next whole block, the head of the option apart; to the longest message, if that comes
/// first. `None`: there is no room for the option.
pub(crate) fn padding(length: usize) -> Option<usize> {
    let least = length + OPTION_HEAD_BYTES;
    let padded = least.next_multiple_of(PADDING_BLOCK_BYTES).min(STREAM_BYTES_MAX);
    padded.checked_sub(least)
}

/// Cuts a finished answer to a question of its own to that question, with TC = 1 and no record: it has no more bytes than its query.
pub(crate) fn slip(out: &mut Vec<u8>) {
    let question = if out[5] == 1 { out.get(HEADER_BYTES..).and_then(WireName::read) } else { None };
    out.truncate(HEADER_BYTES + question.map_or(0, |name| name.wire_len() + 4));
    out[2] |= 2;
    out[6..HEADER_BYTES].fill(0);
}

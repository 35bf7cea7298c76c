//! What is said: from the bytes of a query to the bytes of its answer, for every transport (PROTOCOL 13).

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use translog::pieces::Question;

use super::card::Card;
use super::cookie::{CLIENT_BYTES, Cookies};
use super::limits::{CNAME_HOPS_MAX, STREAM_BYTES_MAX, UDP_BYTES_MAX, UDP_PLAIN_BYTES_MAX};
use super::name::{self, Place, WireName};
use super::proofs::Proofs;
use super::query::{
    self, Edns, Header, OPCODE_NOTIFY, OPCODE_QUERY, OPCODE_UPDATE, Query, TYPE_ANY, TYPE_OPT, Unreadable,
};
pub use super::reply::Rcode;
use super::reply::{self, COOKIE_BYTES, ExtendedError, Pointer, Reply, Told};
use super::update::{Refused, Updates};
use super::zone::{Apex, Zone};
use crate::log::lookup::LookupError;

const CLASS_IN: u16 = 1;
const TYPE_NS: u16 = 2;
const TYPE_CNAME: u16 = 5;
const TYPE_SOA: u16 = 6;
const TYPE_TXT: u16 = 16;
const TYPE_IXFR: u16 = 251;
const TYPE_AXFR: u16 = 252;

const TYPE_DS: u16 = 43;

const PROOF_OWNER: &[u8] = b"\x06_proof";
const CHECKPOINT_OWNER: &[u8] = b"\x0b_checkpoint";
const CHECKPOINT_TTL_S: u32 = 1;
const DID_OWNER: &[u8] = b"\x04_did";
const DID_TTL_S: u32 = 300;
const NS_TTL_S: u32 = 3_600;

/// What secondaries read in the SOA: refresh, retry and expire, in seconds.
const SOA_TIMES_S: [u32; 3] = [3_600, 600, 1_209_600];

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// As one datagram; the answer must fit one too.
    Udp,
    /// In a frame of a TCP connection.
    Tcp,
}

/// Who asks, how and when; and what the server is beside its zone.
#[derive(Clone, Copy)]
pub struct Asker<'s> {
    /// How the query came.
    pub transport: Transport,
    /// From where.
    pub address: IpAddr,
    /// When, unix seconds.
    pub now_s: u32,
    /// By what clients are known again.
    pub cookies: &'s Cookies,
    /// How the server calls itself (RFC 5001); empty: it does not say. At most [`super::limits::NSID_BYTES_MAX`].
    pub nsid: &'s [u8],
}

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer lies in `out`.
    Reply {
        /// Its code.
        rcode: Rcode,
        /// The client showed a cookie: it is where it says.
        is_known: bool,
    },
    /// It asks for a proof of the log, which this function cannot make; `out` is empty.
    Proof {
        /// As for a reply.
        is_known: bool,
    },
    /// It is an update, which this function cannot make; `out` is empty.
    Update,
    /// It gets no answer, and `out` is empty.
    Drop(DropReason),
}

/// Why a query gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DropReason {
    /// Fewer bytes than a header.
    Short = 0,
    /// An answer where a query belongs.
    Response = 1,
    /// The socket could not take the answer.
    Send = 2,
    /// A connection above the limit for all, or for one client.
    Connections = 3,
    /// A connection that was too slow: a frame not ended, or an answer not taken, in time.
    Slow = 4,
    /// Too many answers for one network.
    Rate = 5,
    /// A datagram longer than any query.
    Long = 6,
    /// Too many queries wait for proofs.
    Busy = 7,
}

impl DropReason {
    /// Every reason, in order.
    pub const ALL: [Self; 8] =
        [Self::Short, Self::Response, Self::Send, Self::Connections, Self::Slow, Self::Rate, Self::Long, Self::Busy];

    /// Returns the reason as metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Response => "response",
            Self::Send => "send",
            Self::Connections => "connections",
            Self::Slow => "slow",
            Self::Rate => "rate",
            Self::Long => "long",
            Self::Busy => "busy",
        }
    }
}

/// Answers `message` from `zone` into `out`, replacing what it held.
///
/// The answer is never longer than the transport carries: 512 bytes by UDP without EDNS, else the lesser of the client's size
/// and 1,232; 65,535 by TCP. A fault of ours becomes SERVFAIL, never a false answer.
pub fn answer(zone: &Zone, message: &[u8], asker: &Asker<'_>, out: &mut Vec<u8>) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| respond(zone, message, asker, out))).unwrap_or_else(|_| confess(message, out))
}

/// Answers SERVFAIL after a fault of ours, with nothing that could have been at fault.
fn confess(message: &[u8], out: &mut Vec<u8>) -> Outcome {
    let Some((header, false)) = Header::read(message) else {
        out.clear();
        return Outcome::Drop(DropReason::Short);
    };
    let reply = match query::read_plain(header, message) {
        Some(query) => Reply::to(&query, UDP_PLAIN_BYTES_MAX, Told::default(), out),
        None => Reply::bare(header, None, Told::default(), out),
    };
    Outcome::Reply { rcode: reply.finish(Rcode::ServFail, Some(ExtendedError::Other)), is_known: false }
}

fn respond(zone: &Zone, message: &[u8], asker: &Asker<'_>, out: &mut Vec<u8>) -> Outcome {
    out.clear();
    if asker.transport == Transport::Tcp
        && let Some((Header { opcode: OPCODE_UPDATE, .. }, false)) = Header::read(message)
    {
        return Outcome::Update;
    }
    match query::read(message) {
        Ok(query) => {
            let (told, is_known) = told(query.edns, asker);
            match respond_to(zone, &query, bytes_max(&query, asker.transport), told, out) {
                Some(rcode) => Outcome::Reply { rcode, is_known },
                None => {
                    out.clear();
                    Outcome::Proof { is_known }
                }
            }
        }
        Err(unreadable) => refuse_unreadable(unreadable, asker, out),
    }
}

/// Returns what the OPT of the answer says, and whether the client showed that it is where it says.
fn told<'s>(edns: Option<Edns>, asker: &Asker<'s>) -> (Told<'s>, bool) {
    let options = edns.map(|edns| edns.options).unwrap_or_default();
    let judged = options.cookie.map(|shown| (shown, asker.cookies.judge(&shown, asker.address, asker.now_s)));
    let cookie = judged.map(|(shown, (ours, _))| {
        let mut cookie = [0; COOKIE_BYTES];
        cookie[..CLIENT_BYTES].copy_from_slice(&shown.client);
        cookie[CLIENT_BYTES..].copy_from_slice(&ours);
        cookie
    });
    let nsid = if options.nsid { asker.nsid } else { &[] };
    let is_known = judged.is_some_and(|(_, (_, is_known))| is_known);
    (Told { cookie, nsid, is_there: is_known || asker.transport == Transport::Tcp }, is_known)
}

/// Refuses what could not be read: an opcode we do not serve may have a shape we do not know.
fn refuse_unreadable(unreadable: Unreadable, asker: &Asker<'_>, out: &mut Vec<u8>) -> Outcome {
    out.clear();
    let (header, edns, fault) = match unreadable {
        Unreadable::Short => return Outcome::Drop(DropReason::Short),
        Unreadable::Response => return Outcome::Drop(DropReason::Response),
        Unreadable::Malformed(header, edns) => (header, edns, Rcode::FormErr),
        Unreadable::Cookie(header, edns) => (header, Some(edns), Rcode::NoError),
    };
    let (rcode, error) = opcode_refusal(header).unwrap_or((fault, None));
    let (told, is_known) = told(edns, asker);
    Outcome::Reply { rcode: Reply::bare(header, edns, told, out).finish(rcode, error), is_known }
}

fn opcode_refusal(header: Header) -> Option<(Rcode, Option<ExtendedError>)> {
    match header.opcode {
        OPCODE_QUERY => None,
        OPCODE_NOTIFY => Some((Rcode::NotAuth, None)),
        // A datagram may come from anybody.
        OPCODE_UPDATE => Some((Rcode::Refused, Some(ExtendedError::Prohibited))),
        _ => Some((Rcode::NotImp, Some(ExtendedError::NotSupported))),
    }
}

/// Answers a query; `None` if it asks for a proof.
fn respond_to<'o>(
    zone: &Zone,
    query: &Query<'_>,
    bytes_max: usize,
    told: Told<'o>,
    out: &'o mut Vec<u8>,
) -> Option<Rcode> {
    let mut reply = Reply::to(query, bytes_max, told, out);
    if query.edns.is_some_and(|edns| edns.version > 0) {
        return Some(reply.finish(Rcode::BadVers, None));
    }
    if let Some((rcode, error)) = opcode_refusal(query.header) {
        return Some(reply.finish(rcode, error));
    }
    if query.qclass != CLASS_IN {
        return Some(reply.finish(Rcode::Refused, None));
    }
    match query.qtype {
        TYPE_AXFR | TYPE_IXFR => return Some(reply.finish(Rcode::Refused, None)),
        TYPE_OPT | 128..TYPE_ANY => return Some(reply.finish(Rcode::NotImp, None)),
        _ => {}
    }
    let Some(place) = name::place(query.qname.as_bytes(), zone.apex().wire()) else {
        return Some(reply.finish(Rcode::Refused, Some(ExtendedError::NotAuthoritative)));
    };
    if !zone.is_ready() {
        return Some(reply.finish(Rcode::ServFail, Some(ExtendedError::NotReady)));
    }
    if asks_for_proof(query, place) {
        return None;
    }
    reply.set_authoritative();
    let rcode = follow(zone, query, place, &mut reply);
    Some(reply.finish(rcode, None))
}

fn bytes_max(query: &Query<'_>, transport: Transport) -> usize {
    match (transport, query.edns) {
        (Transport::Tcp, _) => STREAM_BYTES_MAX,
        (Transport::Udp, None) => UDP_PLAIN_BYTES_MAX,
        (Transport::Udp, Some(edns)) => usize::from(edns.udp_bytes).clamp(UDP_PLAIN_BYTES_MAX, UDP_BYTES_MAX),
    }
}

/// What one name has for the type asked.
#[expect(clippy::large_enum_variant, reason = "lives on the stack for one hop; a box would be an allocation a query")]
enum Found {
    /// Its records are in the reply.
    Records,
    /// The name exists and has none.
    NoData,
    /// The name does not exist.
    Nothing,
    /// It is an alias; its CNAME is in the reply, its target as a name and as a place in the message.
    Alias(WireName, Pointer),
}

/// Answers for a name of the zone, following its CNAMEs while they stay in the zone.
fn follow(zone: &Zone, query: &Query<'_>, place: Place<'_>, reply: &mut Reply<'_>) -> Rcode {
    let mut found = look(zone, query, place, Pointer::QNAME, reply);
    for _ in 0..CNAME_HOPS_MAX {
        let Found::Alias(target, at) = found else { break };
        let Some(place) = name::place(target.as_bytes(), zone.apex().wire()) else {
            return Rcode::NoError; // a target outside the zone is the resolver's to follow
        };
        found = look(zone, query, place, at, reply);
    }
    match found {
        // A chain that has not ended is the resolver's to follow too.
        Found::Records | Found::Alias(..) => Rcode::NoError,
        Found::NoData => deny(zone, query, reply, Rcode::NoError),
        Found::Nothing => deny(zone, query, reply, Rcode::NxDomain),
    }
}

fn deny(zone: &Zone, query: &Query<'_>, reply: &mut Reply<'_>, rcode: Rcode) -> Rcode {
    let apex = zone.apex();
    let owner = Pointer::into_qname(query, apex.wire().len());
    let numbers = soa_numbers(zone);
    reply.authority(owner, TYPE_SOA, apex.negative_ttl_s, &[&apex.soa_names, &numbers]);
    rcode
}

fn look(zone: &Zone, query: &Query<'_>, place: Place<'_>, at: Pointer, reply: &mut Reply<'_>) -> Found {
    if place.name.is_empty() {
        return match place.owner {
            [] => look_apex(zone, query.qtype, at, reply),
            CHECKPOINT_OWNER => look_checkpoint(zone, query.qtype, at, reply),
            PROOF_OWNER => Found::NoData, // the parent's side of the cut: no DS
            _ => Found::Nothing,
        };
    }
    zone.read(place.name, |card| match card {
        Some(card) if card.is_shown() => look_card(zone, card, place.owner, query.qtype, at, reply),
        Some(card) if card.exists() && place.owner.is_empty() => Found::NoData,
        _ => Found::Nothing,
    })
}

fn look_apex(zone: &Zone, qtype: u16, at: Pointer, reply: &mut Reply<'_>) -> Found {
    let apex: &Apex = zone.apex();
    match qtype {
        TYPE_SOA => {
            let numbers = soa_numbers(zone);
            reply.answer(at, TYPE_SOA, apex.negative_ttl_s, &[&apex.soa_names, &numbers]);
            Found::Records
        }
        TYPE_NS | TYPE_ANY => {
            for host in &apex.nameservers {
                reply.answer(at, TYPE_NS, NS_TTL_S, &[host]);
            }
            Found::Records
        }
        _ => Found::NoData,
    }
}

/// Writes the record set of `qtype` at `owner` of a shown card; for ANY the set of the smallest type (RFC 8482).
fn look_card(zone: &Zone, card: &Card, owner: &[u8], qtype: u16, at: Pointer, reply: &mut Reply<'_>) -> Found {
    if owner == DID_OWNER
        && zone.publishes_did()
        && let Some(did) = card.shown_did()
    {
        if qtype != TYPE_TXT && qtype != TYPE_ANY {
            return Found::NoData;
        }
        reply.answer(at, TYPE_TXT, DID_TTL_S, &[&[DID_TEXT_BYTES], DID_TEXT_PREFIX, did.base32().as_bytes()]);
        return Found::Records;
    }
    let mut exists = owner.is_empty();
    let mut wanted = (qtype != TYPE_ANY).then_some(qtype);
    let mut any = false;
    for row in card.rows() {
        if row.owner != owner {
            exists |= name::is_below(row.owner, owner);
            continue;
        }
        exists = true;
        if row.rtype == TYPE_CNAME && wanted.is_some_and(|wanted| wanted != TYPE_CNAME) {
            let pointer = reply.answer(at, TYPE_CNAME, row.ttl_s, &[row.rdata]);
            return match (WireName::read(row.rdata), pointer) {
                (Some(target), Some(pointer)) => Found::Alias(target, pointer),
                _ => Found::Records, // a reply that is full already, and leaves truncated
            };
        }
        if *wanted.get_or_insert(row.rtype) == row.rtype {
            reply.answer(at, row.rtype, row.ttl_s, &[row.rdata]);
            any = true;
        }
    }
    match (any, exists) {
        (true, _) => Found::Records,
        (false, true) => Found::NoData,
        (false, false) => Found::Nothing,
    }
}

const DID_TEXT_PREFIX: &[u8] = b"did=did:dgns:";
const DID_TEXT_BYTES: u8 = DID_TEXT_PREFIX.len() as u8 + 32;

fn soa_numbers(zone: &Zone) -> [u8; 20] {
    let [refresh, retry, expire] = SOA_TIMES_S;
    let numbers = [zone.serial(), refresh, retry, expire, zone.apex().negative_ttl_s];
    let mut bytes = [0; 20];
    for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

/// The newest head that everyone is shown, as a signed note.
fn look_checkpoint(zone: &Zone, qtype: u16, at: Pointer, reply: &mut Reply<'_>) -> Found {
    let checkpoint = zone.checkpoint();
    if checkpoint.is_empty() || (qtype != TYPE_TXT && qtype != TYPE_ANY) {
        return Found::NoData;
    }
    reply.keep_short_for_strangers();
    reply.answer(at, TYPE_TXT, CHECKPOINT_TTL_S, &[&checkpoint]);
    Found::Records
}

/// Whether a query is one for the zone of proofs, `_proof` below the zone, which is a child zone of its own.
fn asks_for_proof(query: &Query<'_>, place: Place<'_>) -> bool {
    let is_below = place.name.is_empty() && name::is_below(place.owner, PROOF_OWNER);
    is_below || (place.name.is_empty() && place.owner == PROOF_OWNER && query.qtype != TYPE_DS)
}

/// Answers a query that [`answer`] left as one for a proof.
pub(crate) async fn prove(
    zone: &Zone,
    proofs: &Proofs,
    message: &[u8],
    asker: &Asker<'_>,
    out: &mut Vec<u8>,
) -> Outcome {
    out.clear();
    let Ok(query) = query::read(message) else { return Outcome::Drop(DropReason::Short) };
    let (told, is_known) = told(query.edns, asker);
    let Some(place) = name::place(query.qname.as_bytes(), zone.apex().wire()) else {
        return Outcome::Drop(DropReason::Short);
    };
    let mut reply = Reply::to(&query, bytes_max(&query, asker.transport), told, out);
    reply.set_authoritative();
    reply.keep_short_for_strangers();
    let below = &place.owner[..place.owner.len() - PROOF_OWNER.len()];
    let (rcode, error) = look_proof(zone, proofs, &query, below, &mut reply).await;
    Outcome::Reply { rcode: reply.finish(rcode, error), is_known }
}

/// Answers from the zone of proofs; `below` are the labels in front of its name.
async fn look_proof(
    zone: &Zone,
    proofs: &Proofs,
    query: &Query<'_>,
    below: &[u8],
    reply: &mut Reply<'_>,
) -> (Rcode, Option<ExtendedError>) {
    let wants = |rtype| query.qtype == rtype || query.qtype == TYPE_ANY;
    if below.is_empty() {
        let rcode = match look_apex(zone, if wants(TYPE_NS) { TYPE_NS } else { query.qtype }, Pointer::QNAME, reply) {
            Found::Records => Rcode::NoError,
            _ => deny_proof(zone, query, reply, Rcode::NoError),
        };
        return (rcode, None);
    }
    let text = name::text_of(below);
    let question = match Question::parse(&text, proofs.zone()) {
        // A dot inside a label is none between two.
        Ok(question) if name::labels_of(&text).as_deref() == Some(below) => question,
        _ => {
            let rcode = if Question::begins(&text) { Rcode::NoError } else { Rcode::NxDomain };
            return (deny_proof(zone, query, reply, rcode), None);
        }
    };
    if !wants(TYPE_TXT) && matches!(question, Question::Name(_)) {
        return (deny_proof(zone, query, reply, Rcode::NoError), None);
    }
    match proofs.piece(&question).await {
        Ok(Some(made)) if wants(TYPE_TXT) => {
            reply.answer(Pointer::QNAME, TYPE_TXT, made.ttl_s, &[&made.rdata]);
            (Rcode::NoError, None)
        }
        Ok(Some(_)) => (deny_proof(zone, query, reply, Rcode::NoError), None),
        Ok(None) => (deny_proof(zone, query, reply, Rcode::NxDomain), None),
        Err(LookupError::QuorumPending) => (Rcode::ServFail, Some(ExtendedError::NotReady)),
        Err(error) => {
            tracing::warn!(%error, "no proof for DNS");
            (Rcode::ServFail, Some(ExtendedError::Other))
        }
    }
}

fn deny_proof(zone: &Zone, query: &Query<'_>, reply: &mut Reply<'_>, rcode: Rcode) -> Rcode {
    let apex = zone.apex();
    let owner = Pointer::into_qname(query, PROOF_OWNER.len() + apex.wire().len());
    reply.authority(owner, TYPE_SOA, apex.negative_ttl_s, &[&apex.soa_names, &soa_numbers(zone)]);
    rcode
}

/// Answers an update that [`answer`] left, made by `updates` if anybody makes them here.
pub(crate) async fn update(
    zone: &Zone,
    updates: Option<&Updates>,
    message: &[u8],
    asker: &Asker<'_>,
    out: &mut Vec<u8>,
) -> Outcome {
    out.clear();
    let (header, edns) = match query::read(message) {
        Ok(query) => (Some(query.header), query.edns),
        Err(Unreadable::Malformed(header, edns)) => (Some(header), edns),
        Err(_) => (Header::read(message).map(|(header, _)| header), None),
    };
    let Some(header) = header else { return Outcome::Drop(DropReason::Short) };
    let done = match updates {
        Some(_) if !zone.is_ready() => Err(Refused(Rcode::ServFail, Some(ExtendedError::NotReady))),
        Some(updates) => updates.take(message).await,
        None => Err(Refused(Rcode::Refused, Some(ExtendedError::Prohibited))),
    };
    let (rcode, error) = done.map_or_else(|Refused(rcode, error)| (rcode, error), |()| (Rcode::NoError, None));
    let (told, is_known) = told(edns, asker);
    Outcome::Reply { rcode: Reply::bare(header, edns, told, out).finish(rcode, error), is_known }
}

/// Cuts a query to a question that is to be asked again by TCP.
pub(crate) fn slip(message: &[u8], out: &mut Vec<u8>) {
    out.clear();
    if let Ok(query) = query::read(message) {
        Reply::to(&query, UDP_PLAIN_BYTES_MAX, Told::default(), out).finish(Rcode::NoError, None);
        reply::slip(out);
    }
}

#[cfg(test)]
mod tests;

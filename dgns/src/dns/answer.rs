//! What is said: from the bytes of a query to the bytes of its answer, for every transport (PROTOCOL 13).

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::card::Card;
use super::limits::{CNAME_HOPS_MAX, STREAM_BYTES_MAX, UDP_BYTES_MAX, UDP_PLAIN_BYTES_MAX};
use super::name::{self, Place, WireName};
use super::query::{self, Header, OPCODE_NOTIFY, OPCODE_QUERY, Query, TYPE_ANY, TYPE_OPT, Unreadable};
pub use super::reply::Rcode;
use super::reply::{ExtendedError, Pointer, Reply};
use super::zone::{Apex, Zone};

const CLASS_IN: u16 = 1;
const TYPE_NS: u16 = 2;
const TYPE_CNAME: u16 = 5;
const TYPE_SOA: u16 = 6;
const TYPE_TXT: u16 = 16;
const TYPE_IXFR: u16 = 251;
const TYPE_AXFR: u16 = 252;

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

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer lies in `out`.
    Reply(Rcode),
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
}

impl DropReason {
    /// Every reason, in order.
    pub const ALL: [Self; 5] = [Self::Short, Self::Response, Self::Send, Self::Connections, Self::Slow];

    /// Returns the reason as metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Response => "response",
            Self::Send => "send",
            Self::Connections => "connections",
            Self::Slow => "slow",
        }
    }
}

/// Answers `message` from `zone` into `out`, replacing what it held.
///
/// The answer is never longer than the transport carries: 512 bytes by UDP without EDNS, else the lesser of the client's size
/// and 1,232; 65,535 by TCP. A fault of ours becomes SERVFAIL, never a false answer.
pub fn answer(zone: &Zone, message: &[u8], transport: Transport, out: &mut Vec<u8>) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| respond(zone, message, transport, out))).unwrap_or_else(|_| confess(message, out))
}

/// Answers SERVFAIL after a fault of ours, with nothing that could have been at fault.
fn confess(message: &[u8], out: &mut Vec<u8>) -> Outcome {
    let Some((header, false)) = Header::read(message) else {
        out.clear();
        return Outcome::Drop(DropReason::Short);
    };
    let reply = match query::read_plain(header, message) {
        Some(query) => Reply::to(&query, UDP_PLAIN_BYTES_MAX, out),
        None => Reply::bare(header, None, out),
    };
    Outcome::Reply(reply.finish(Rcode::ServFail, Some(ExtendedError::Other)))
}

fn respond(zone: &Zone, message: &[u8], transport: Transport, out: &mut Vec<u8>) -> Outcome {
    out.clear();
    match query::read(message) {
        Ok(query) => Outcome::Reply(respond_to(zone, &query, transport, out)),
        Err(unreadable) => refuse_unreadable(unreadable, out),
    }
}

/// Refuses what could not be read: an opcode we do not serve may have a shape we do not know.
fn refuse_unreadable(unreadable: Unreadable, out: &mut Vec<u8>) -> Outcome {
    out.clear();
    match unreadable {
        Unreadable::Short => Outcome::Drop(DropReason::Short),
        Unreadable::Response => Outcome::Drop(DropReason::Response),
        Unreadable::Malformed(header, edns) => {
            let (rcode, error) = opcode_refusal(header).unwrap_or((Rcode::FormErr, None));
            Outcome::Reply(Reply::bare(header, edns, out).finish(rcode, error))
        }
    }
}

fn opcode_refusal(header: Header) -> Option<(Rcode, Option<ExtendedError>)> {
    match header.opcode {
        OPCODE_QUERY => None,
        OPCODE_NOTIFY => Some((Rcode::NotAuth, None)),
        _ => Some((Rcode::NotImp, Some(ExtendedError::NotSupported))),
    }
}

fn respond_to(zone: &Zone, query: &Query<'_>, transport: Transport, out: &mut Vec<u8>) -> Rcode {
    let mut reply = Reply::to(query, bytes_max(query, transport), out);
    if query.edns.is_some_and(|edns| edns.version > 0) {
        return reply.finish(Rcode::BadVers, None);
    }
    if let Some((rcode, error)) = opcode_refusal(query.header) {
        return reply.finish(rcode, error);
    }
    if query.qclass != CLASS_IN {
        return reply.finish(Rcode::Refused, None);
    }
    match query.qtype {
        TYPE_AXFR | TYPE_IXFR => return reply.finish(Rcode::Refused, None),
        TYPE_OPT | 128..TYPE_ANY => return reply.finish(Rcode::NotImp, None),
        _ => {}
    }
    let Some(place) = name::place(query.qname.as_bytes(), zone.apex().wire()) else {
        return reply.finish(Rcode::Refused, Some(ExtendedError::NotAuthoritative));
    };
    if !zone.is_ready() {
        return reply.finish(Rcode::ServFail, Some(ExtendedError::NotReady));
    }
    reply.set_authoritative();
    let rcode = follow(zone, query, place, &mut reply);
    reply.finish(rcode, None)
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
        return if place.owner.is_empty() { look_apex(zone, query.qtype, at, reply) } else { Found::Nothing };
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

#[cfg(test)]
mod tests;

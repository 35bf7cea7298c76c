//! What is said: from the bytes of a query to the bytes of its answer, for every transport (PROTOCOL 13).

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use translog::pieces::Question;

use super::card::{CardRef, DID_OWNER, DID_TTL_S, did_text};
use super::cookie::{CLIENT_BYTES, Cookies};
use super::dnssec::{Nsec, Signature, Signing, TYPE_DS, TYPE_NS, TYPE_NSEC, TYPE_RRSIG, labels, labels_of, sort_key};
use super::limits::{CNAME_HOPS_MAX, NS_TTL_S, STREAM_BYTES_MAX, UDP_BYTES_MAX, UDP_PLAIN_BYTES_MAX};
use super::name::{self, Place, WireName};
use super::proofs::Proofs;
use super::query::{
    self, Edns, Header, OPCODE_NOTIFY, OPCODE_QUERY, OPCODE_UPDATE, Query, TYPE_ANY, TYPE_AXFR, TYPE_IXFR, TYPE_OPT,
    Unreadable,
};
pub use super::reply::Rcode;
use super::reply::{self, COOKIE_BYTES, ExtendedError, Pointer, Reply, Section, Signed, Signs, Told};
use super::update::{Refused, Updates};
use super::zone::{Aliased, CHECKPOINT_OWNER, CHECKPOINT_TTL_S, PROOF_OWNER, Servers, Zone};
use crate::log::lookup::LookupError;

const CLASS_IN: u16 = 1;
const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_SOA: u16 = 6;
const TYPE_TXT: u16 = 16;
const TYPE_AAAA: u16 = 28;

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// As one datagram; the answer must fit one too.
    Udp,
    /// In a frame of a TCP connection.
    Tcp,
    /// In a frame of a TLS connection (RFC 7858).
    Tls,
    /// In a request over HTTPS (RFC 8484).
    Https,
    /// On a stream of QUIC (RFC 9250).
    Quic,
}

impl Transport {
    /// Every transport, in order.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Https, Self::Quic];

    /// Returns the transport as metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
            Self::Quic => "quic",
        }
    }

    /// Whether a handshake showed that whoever asks is where it says, and the answer may be long.
    pub(crate) fn is_stream(self) -> bool {
        self != Self::Udp
    }

    /// Whether nobody between sees what is said, but its length.
    pub(crate) fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Https | Self::Quic)
    }
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
    /// It is signed with a key of another server, or asks for a copy of the zone, and not for this function to judge; `out` is empty.
    Transfer,
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
    /// A connection that began no TLS that is spoken here.
    Handshake = 8,
    /// A request over HTTPS, or a stream of QUIC, that holds no message.
    Request = 9,
}

impl DropReason {
    /// Every reason, in order.
    pub const ALL: [Self; 10] = [
        Self::Short,
        Self::Response,
        Self::Send,
        Self::Connections,
        Self::Slow,
        Self::Rate,
        Self::Long,
        Self::Busy,
        Self::Handshake,
        Self::Request,
    ];

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
            Self::Handshake => "handshake",
            Self::Request => "request",
        }
    }
}

/// Answers `message` from `zone` into `out`, replacing what it held.
///
/// The answer is never longer than the transport carries: 512 bytes by UDP without EDNS, else the lesser of the client's size
/// and 1,232; 65,535 by streams. A fault of ours becomes SERVFAIL, never a false answer.
pub fn answer(zone: &Zone, message: &[u8], asker: &Asker<'_>, out: &mut Vec<u8>) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| respond(zone, message, asker, out))).unwrap_or_else(|_| confess(message, out))
}

/// Answers SERVFAIL after a fault of ours, with nothing that could have been at fault.
pub(crate) fn confess(message: &[u8], out: &mut Vec<u8>) -> Outcome {
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

/// Answers SERVFAIL to what somebody is to answer who is not there yet.
pub(crate) fn put_off(message: &[u8], asker: &Asker<'_>, out: &mut Vec<u8>) -> Outcome {
    out.clear();
    let (rcode, error) = (Rcode::ServFail, Some(ExtendedError::NotReady));
    if let Ok(query) = query::read(message) {
        let (told, is_known) = told(query.edns, asker);
        let reply = Reply::to(&query, bytes_max(&query, asker.transport), told, out);
        return Outcome::Reply { rcode: reply.finish(rcode, error), is_known };
    }
    let Some((header, edns)) = header_of(message) else { return Outcome::Drop(DropReason::Short) };
    let (told, is_known) = told(edns, asker);
    Outcome::Reply { rcode: Reply::bare(header, edns, told, out).finish(rcode, error), is_known }
}

/// Returns what can be read of a message of any shape.
fn header_of(message: &[u8]) -> Option<(Header, Option<Edns>)> {
    match query::read(message) {
        Ok(query) => Some((query.header, query.edns)),
        Err(Unreadable::Malformed(header, edns)) => Some((header, edns)),
        Err(_) => Header::read(message).map(|(header, _)| (header, None)),
    }
}

fn respond(zone: &Zone, message: &[u8], asker: &Asker<'_>, out: &mut Vec<u8>) -> Outcome {
    out.clear();
    if asker.transport.is_stream()
        && let Some((Header { opcode: OPCODE_UPDATE, .. }, false)) = Header::read(message)
    {
        return Outcome::Update;
    }
    match query::read(message) {
        Ok(query) if is_for_peers(&query) || zone.is_copied() && query.header.opcode == OPCODE_NOTIFY => {
            Outcome::Transfer
        }
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

/// Whether a query is signed with TSIG, or for a copy of the zone.
fn is_for_peers(query: &Query<'_>) -> bool {
    let is_readable = query.header.opcode == OPCODE_QUERY && query.edns.is_none_or(|edns| edns.version == 0);
    is_readable && (query.is_signed || [TYPE_AXFR, TYPE_IXFR].contains(&query.qtype))
}

/// Returns what the OPT of the answer says, and whether the client showed that it is where it says.
pub(crate) fn told<'s>(edns: Option<Edns>, asker: &Asker<'s>) -> (Told<'s>, bool) {
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
    let (is_there, is_padded) = (is_known || asker.transport.is_stream(), asker.transport.is_encrypted());
    (Told { cookie, nsid, is_there, is_padded }, is_known)
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
        TYPE_OPT | 128..TYPE_ANY => return Some(reply.finish(Rcode::NotImp, None)),
        _ => {}
    }
    let Some(place) = name::place(query.qname.as_bytes(), zone.apex().wire()) else {
        return Some(reply.finish(Rcode::Refused, Some(ExtendedError::NotAuthoritative)));
    };
    // Proofs prove themselves, whoever signs the zone.
    let is_put_off = is_put_off(zone, place);
    if zone.is_loaded() && asks_for_proof(query, place) && !is_put_off {
        return None;
    }
    if !zone.is_ready() || is_put_off {
        return Some(reply.finish(Rcode::ServFail, Some(ExtendedError::NotReady)));
    }
    reply.set_authoritative();
    if let Some(signing) = zone.signing().filter(|_| wants_signatures(query)) {
        reply.set_signed(Signs { algorithm: signing.algorithm(), apex: zone.apex().wire() });
    }
    if zone.is_copied() {
        reply.set_copied();
    }
    let rcode = follow(zone, query, place, &mut reply);
    Some(reply.finish(rcode, None))
}

/// Whether signatures are shown: RFC 3225, or they are what is asked for.
fn wants_signatures(query: &Query<'_>) -> bool {
    query.qtype == TYPE_RRSIG || query.edns.is_some_and(|edns| edns.dnssec_ok)
}

/// Returns the most bytes of an answer.
pub(crate) fn bytes_max(query: &Query<'_>, transport: Transport) -> usize {
    match (transport, query.edns) {
        (Transport::Tcp | Transport::Tls | Transport::Https | Transport::Quic, _) => STREAM_BYTES_MAX,
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
    if zone.has_cuts()
        && let Some(rcode) = refer(zone, query, place, reply)
    {
        return rcode;
    }
    if let (Some(signing), TYPE_NSEC | TYPE_RRSIG) = (zone.signing(), query.qtype) {
        return look_chain(zone, signing, query, place, reply);
    }
    let mut last = query.qname;
    let mut found = look(zone, query, place, Pointer::QNAME, reply);
    if let Found::Alias(target, at) = found {
        match chase(zone, query, (target, at), reply) {
            Some(end) => (last, found) = end,
            None => return Rcode::NoError,
        }
    }
    let rcode = match found {
        Found::Records | Found::Alias(..) => return Rcode::NoError,
        Found::NoData => Rcode::NoError,
        Found::Nothing => Rcode::NxDomain,
    };
    match zone.signing().filter(|_| reply.looks_at_signatures()) {
        Some(signing) => deny_signed(zone, signing, query, &last, reply),
        None => deny(zone, query, reply, rcode),
    }
}

/// Follows an alias to the name at its end, and returns that with what it has; `None` for what is the resolver's to follow: a target outside the zone, in a
/// child, or of which not all is known yet; a chain that is longer than an answer's, or one that leads back.
fn chase(
    zone: &Zone,
    query: &Query<'_>,
    (mut target, mut at): (WireName, Pointer),
    reply: &mut Reply<'_>,
) -> Option<(WireName, Found)> {
    let mut passed = [query.qname; CNAME_HOPS_MAX];
    for hop in 0..CNAME_HOPS_MAX {
        if passed[..=hop].contains(&target) {
            return None; // its records are in the answer, where each stands once (RFC 2181 section 5)
        }
        let place = name::place(target.as_bytes(), zone.apex().wire())?;
        if is_proof(place) || is_delegated(zone, place) || is_put_off(zone, place) {
            return None;
        }
        match look(zone, query, place, at, reply) {
            Found::Alias(next, next_at) => {
                if let Some(slot) = passed.get_mut(hop + 1) {
                    *slot = target;
                }
                (target, at) = (next, next_at);
            }
            found => return Some((target, found)),
        }
    }
    None
}

/// Answers for a name at or below a delegated one: who knows. `None` at no such name, and for what its parent knows (RFC 4035 section 3.1.4.1).
fn refer(zone: &Zone, query: &Query<'_>, place: Place<'_>, reply: &mut Reply<'_>) -> Option<Rcode> {
    name::claimable(place.name).find_map(|name| {
        let is_parents = query.qtype == TYPE_DS && place.owner.is_empty() && name.len() == place.name.len();
        zone.read(name, |card| {
            let cut = card.filter(|card| card.is_cut() && !is_parents)?;
            Some(refer_to(zone, query, cut, reply))
        })
    })
}

/// Names the servers of a delegated name, with their addresses; and with signatures whether, and by which keys, the child is signed.
fn refer_to(zone: &Zone, query: &Query<'_>, cut: CardRef<'_>, reply: &mut Reply<'_>) -> Rcode {
    reply.set_referral();
    let apex = zone.apex().wire();
    let at = Pointer::into_qname(query, cut.labels().len() + apex.len());
    for server in cut.rows().filter(|row| row.rtype == TYPE_NS) {
        reply.authority(at, TYPE_NS, server.ttl_s, &[server.rdata]);
    }
    if let Some(signing) = zone.signing().filter(|_| reply.is_signed()) {
        let mut ttl_s = None;
        for ds in cut.rows().filter(|row| row.rtype == TYPE_DS) {
            reply.authority(at, TYPE_DS, ds.ttl_s, &[ds.rdata]);
            ttl_s = Some(ds.ttl_s);
        }
        match (ttl_s, signing.nsec(&sort_key(&[cut.labels()]))) {
            (Some(ttl_s), _) => {
                let count = labels(cut.labels()) + labels(apex);
                sign(reply, Section::Authority, at, (TYPE_DS, ttl_s), count, cut.signature(0).as_ref());
            }
            (None, Some(nsec)) if nsec.node.has(TYPE_NS) && !nsec.node.has(TYPE_DS) => {
                let at = Pointer::into_qname(query, apex.len());
                add_nsec(zone, at, Section::Authority, &nsec, reply);
            }
            (None, _) => reply.fail(ExtendedError::NotReady), // the chain is a change ahead or behind
        }
    }
    for server in cut.glue() {
        reply.add(Section::Additional, at.below(server.owner), server.rtype, server.ttl_s, &[server.rdata]);
    }
    Rcode::NoError
}

/// Whether another server answers for a place.
fn is_delegated(zone: &Zone, place: Place<'_>) -> bool {
    let is_cut = |name| zone.read(name, |card| card.is_some_and(CardRef::is_cut));
    zone.has_cuts() && name::claimable(place.name).any(is_cut)
}

fn deny(zone: &Zone, query: &Query<'_>, reply: &mut Reply<'_>, rcode: Rcode) -> Rcode {
    let apex = zone.apex();
    let owner = Pointer::into_qname(query, apex.wire().len());
    let numbers = apex.soa_numbers(zone.serial());
    reply.authority(owner, TYPE_SOA, apex.negative_ttl_s, &[&apex.servers.soa_names, &numbers]);
    rcode
}

/// Denies a name, or the type asked at it, with the signed records that say so, if signatures are shown. The chain alone says which: it may be a change ahead or behind.
fn deny_signed(zone: &Zone, signing: &Signing, query: &Query<'_>, name: &WireName, reply: &mut Reply<'_>) -> Rcode {
    let apex = Pointer::into_qname(query, zone.apex().wire().len());
    for set in signing.apex_sets().iter().filter(|set| set.rtype == TYPE_SOA) {
        reply.authority(apex, set.rtype, set.ttl_s, &[&set.rdata.concat()]);
        sign(
            reply,
            Section::Authority,
            apex,
            (set.rtype, set.ttl_s),
            labels(zone.apex().wire()),
            set.signatures.first(),
        );
    }
    let below = &name.as_bytes()[..name.wire_len() - zone.apex().wire().len()];
    let key = sort_key(&[below]);
    let Some(denial) = signing.deny(&key) else {
        reply.fail(ExtendedError::NotReady);
        return Rcode::ServFail;
    };
    if denial.first.key == key && [query.qtype, TYPE_CNAME].iter().any(|&rtype| denial.first.node.has(rtype)) {
        reply.fail(ExtendedError::NotReady); // the records, or an alias, have just gone, or come
    }
    for nsec in [Some(&denial.first), denial.second.as_ref()].into_iter().flatten() {
        match reply.is_signed() {
            true => add_nsec(zone, apex, Section::Authority, nsec, reply),
            false => sign(reply, Section::Authority, apex, (TYPE_NSEC, 0), 0, nsec.node.signature().as_ref()),
        }
    }
    if denial.name_exists { Rcode::NoError } else { Rcode::NxDomain }
}

/// Adds an NSEC record, and its signature.
fn add_nsec(zone: &Zone, apex: Pointer, section: Section, nsec: &Nsec, reply: &mut Reply<'_>) {
    let (owner, next) = (labels_of(&nsec.key), labels_of(&nsec.next));
    let (ttl_s, wire) = (zone.apex().negative_ttl_s, zone.apex().wire());
    let added = reply.add(section, apex.below(&owner), TYPE_NSEC, ttl_s, &[&next, wire, nsec.node.bitmap()]);
    if let Some((at, _)) = added {
        let count = labels(&owner) + labels(wire);
        sign(reply, section, at, (TYPE_NSEC, ttl_s), count, nsec.node.signature().as_ref());
    }
}

fn sign(
    reply: &mut Reply<'_>,
    section: Section,
    owner: Pointer,
    (rtype, ttl_s): (u16, u32),
    labels: u8,
    signature: Option<&Signature>,
) {
    reply.sign(section, owner, Signed { rtype, ttl_s, labels, signature });
}

/// Answers who asks for what the chain itself is made of. Whoever asks for signatures gets that of the NSEC record: every owner has it.
fn look_chain(zone: &Zone, signing: &Signing, query: &Query<'_>, place: Place<'_>, reply: &mut Reply<'_>) -> Rcode {
    let apex = Pointer::into_qname(query, zone.apex().wire().len());
    match signing.nsec(&sort_key(&[place.owner, place.name])) {
        Some(nsec) => {
            add_nsec(zone, apex, Section::Answer, &nsec, reply);
            Rcode::NoError
        }
        None if reply.looks_at_signatures() => deny_signed(zone, signing, query, &query.qname, reply),
        None => {
            let exists = signing.deny(&sort_key(&[place.owner, place.name])).is_some_and(|denial| denial.name_exists);
            deny(zone, query, reply, if exists { Rcode::NoError } else { Rcode::NxDomain })
        }
    }
}

/// The zone's own name.
const APEX: Place<'static> = Place { owner: b"", name: b"" };

fn look(zone: &Zone, query: &Query<'_>, place: Place<'_>, at: Pointer, reply: &mut Reply<'_>) -> Found {
    match (place.owner, place.name) {
        ([], []) => {
            let found = match zone.signing() {
                Some(signing) => look_signed_apex(zone, signing, query.qtype, at, reply),
                None => look_servers(zone, &zone.apex().servers, query.qtype, at, reply),
            };
            if matches!(found, Found::Records) {
                return found;
            }
            match zone.alias().map(|alias| alias.aliased()).filter(|_| [TYPE_A, TYPE_AAAA].contains(&query.qtype)) {
                Some(Aliased::Stale) => reply.note(ExtendedError::Stale),
                Some(Aliased::Lost) => reply.fail(ExtendedError::Unreachable),
                Some(Aliased::Fresh) | None => {}
            }
        }
        (CHECKPOINT_OWNER, []) => return look_checkpoint(zone, query.qtype, at, reply),
        (PROOF_OWNER, []) => return Found::NoData, // the parent's side of the cut: no DS
        _ => {}
    }
    zone.read(place.name, |card| match card {
        Some(card) if card.is_cut() => look_ds(zone, card, place, query.qtype, at, reply),
        Some(card) if card.is_shown() => look_card(zone, card, place, query.qtype, at, reply),
        Some(card) if card.exists() && place.owner.is_empty() => Found::NoData,
        None if place == APEX => Found::NoData,
        _ => Found::Nothing,
    })
}

/// What the zone, or the one of proofs, has at its own name without being signed.
fn look_servers(zone: &Zone, servers: &Servers, qtype: u16, at: Pointer, reply: &mut Reply<'_>) -> Found {
    match qtype {
        TYPE_SOA => {
            let numbers = zone.apex().soa_numbers(zone.serial());
            reply.answer(at, TYPE_SOA, zone.apex().negative_ttl_s, &[&servers.soa_names, &numbers]);
            Found::Records
        }
        TYPE_NS | TYPE_ANY => {
            for host in &servers.nameservers {
                reply.answer(at, TYPE_NS, NS_TTL_S, &[host]);
            }
            Found::Records
        }
        _ => Found::NoData,
    }
}

fn look_signed_apex(zone: &Zone, signing: &Signing, qtype: u16, at: Pointer, reply: &mut Reply<'_>) -> Found {
    let qtype = if qtype == TYPE_ANY { TYPE_NS } else { qtype };
    let sets = signing.apex_sets();
    let Some(set) = sets.iter().find(|set| set.rtype == qtype) else { return Found::NoData };
    for rdata in &set.rdata {
        reply.answer(at, set.rtype, set.ttl_s, &[rdata]);
    }
    for signature in &set.signatures {
        sign(reply, Section::Answer, at, (set.rtype, set.ttl_s), labels(zone.apex().wire()), Some(signature));
    }
    Found::Records
}

/// Writes the record set of `qtype` at an owner of a shown card; for ANY the set of the smallest type (RFC 8482).
fn look_card(
    zone: &Zone,
    card: CardRef<'_>,
    place: Place<'_>,
    qtype: u16,
    at: Pointer,
    reply: &mut Reply<'_>,
) -> Found {
    let owner = place.owner;
    let count = labels(owner) + labels(place.name) + labels(zone.apex().wire());
    let sign_set = |reply: &mut Reply<'_>, rtype, ttl_s, index| {
        if reply.looks_at_signatures() {
            sign(reply, Section::Answer, at, (rtype, ttl_s), count, card.signature(index).as_ref());
        }
    };
    // Sets are counted as they come: signatures lie in the same order, that of `_did` last.
    let (mut index, mut last) = (0, None);
    let mut exists = owner.is_empty();
    let mut wanted = (qtype != TYPE_ANY).then_some(qtype);
    let mut found = None;
    for row in card.rows() {
        let set = (row.owner, row.rtype);
        index += usize::from(last.is_some_and(|last| last != set));
        last = Some(set);
        if row.owner != owner {
            exists |= name::is_below(row.owner, owner);
            continue;
        }
        exists = true;
        if row.rtype == TYPE_CNAME && wanted.is_some_and(|wanted| wanted != TYPE_CNAME) {
            let pointer = reply.answer(at, TYPE_CNAME, row.ttl_s, &[row.rdata]);
            sign_set(reply, TYPE_CNAME, row.ttl_s, index);
            return match (WireName::read(row.rdata), pointer) {
                (Some(target), Some(pointer)) => Found::Alias(target, pointer),
                _ => Found::Records, // a reply that is full already, and leaves truncated
            };
        }
        if *wanted.get_or_insert(row.rtype) == row.rtype {
            reply.answer(at, row.rtype, row.ttl_s, &[row.rdata]);
            found = Some((row.rtype, row.ttl_s, index));
        }
    }
    if let Some((rtype, ttl_s, index)) = found {
        sign_set(reply, rtype, ttl_s, index);
        return Found::Records;
    }
    if let Some(did) = card.shown_did().filter(|_| owner == DID_OWNER && zone.publishes_did()) {
        if qtype != TYPE_TXT && qtype != TYPE_ANY {
            return Found::NoData;
        }
        reply.answer(at, TYPE_TXT, DID_TTL_S, &[&did_text(&did)]);
        sign_set(reply, TYPE_TXT, DID_TTL_S, index + usize::from(last.is_some()));
        return Found::Records;
    }
    if exists { Found::NoData } else { Found::Nothing }
}

/// Writes what the parent of a delegated name has for whom asks it: the digests of the child's keys.
fn look_ds(zone: &Zone, cut: CardRef<'_>, place: Place<'_>, qtype: u16, at: Pointer, reply: &mut Reply<'_>) -> Found {
    let mut ttl_s = None;
    for ds in cut.rows().filter(|row| row.rtype == qtype && qtype == TYPE_DS && place.owner.is_empty()) {
        reply.answer(at, TYPE_DS, ds.ttl_s, &[ds.rdata]);
        ttl_s = Some(ds.ttl_s);
    }
    let Some(ttl_s) = ttl_s else { return Found::NoData };
    let count = labels(place.name) + labels(zone.apex().wire());
    sign(reply, Section::Answer, at, (TYPE_DS, ttl_s), count, cut.signature(0).as_ref());
    Found::Records
}

/// The newest head that everyone is shown, as a signed note.
fn look_checkpoint(zone: &Zone, qtype: u16, at: Pointer, reply: &mut Reply<'_>) -> Found {
    let checkpoint = zone.checkpoint();
    if checkpoint.rdata.is_empty() || (qtype != TYPE_TXT && qtype != TYPE_ANY) {
        return Found::NoData;
    }
    reply.keep_short_for_strangers();
    reply.answer(at, TYPE_TXT, CHECKPOINT_TTL_S, &[&checkpoint.rdata]);
    let count = labels(CHECKPOINT_OWNER) + labels(zone.apex().wire());
    sign(reply, Section::Answer, at, (TYPE_TXT, CHECKPOINT_TTL_S), count, checkpoint.signature.as_ref());
    Found::Records
}

/// Whether a query is one for the zone of proofs, `_proof` below the zone, which is a child zone of its own.
fn asks_for_proof(query: &Query<'_>, place: Place<'_>) -> bool {
    let is_cut = place.owner == PROOF_OWNER && [TYPE_DS, TYPE_NSEC, TYPE_RRSIG].contains(&query.qtype);
    is_proof(place) && !is_cut
}

/// Whether what is at a place does not come from the log alone, in a zone that has nothing else yet.
fn is_put_off(zone: &Zone, place: Place<'_>) -> bool {
    let is_checkpoint = || place.name.is_empty() && place.owner == CHECKPOINT_OWNER;
    zone.is_partial()
        && (is_proof(place) || zone.is_open_at(place) || is_checkpoint() && zone.checkpoint().rdata.is_empty())
}

/// Whether a place is in the zone of proofs.
fn is_proof(place: Place<'_>) -> bool {
    place.name.is_empty() && (place.owner == PROOF_OWNER || name::is_below(place.owner, PROOF_OWNER))
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
        let (servers, qtype) = (&zone.apex().proof_servers, if wants(TYPE_NS) { TYPE_NS } else { query.qtype });
        let rcode = match look_servers(zone, servers, qtype, Pointer::QNAME, reply) {
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
    let numbers = apex.soa_numbers(zone.serial());
    reply.authority(owner, TYPE_SOA, apex.negative_ttl_s, &[&apex.proof_servers.soa_names, &numbers]);
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
    let Some((header, edns)) = header_of(message) else { return Outcome::Drop(DropReason::Short) };
    let done = match updates {
        Some(_) if !zone.is_ready() || zone.is_partial() => {
            Err(Refused(Rcode::ServFail, Some(ExtendedError::NotReady)))
        }
        Some(updates) => updates.take(message, asker).await,
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

//! The zone copied by other servers, its secondaries: AXFR (RFC 5936), IXFR (RFC 1995), and NOTIFY (RFC 1996), each signed with TSIG where the peer has
//! a key. Nobody else gets a copy.
//!
//! | module | its story |
//! |---|---|
//! | `catalog` | which zone there is to copy, said by a zone of its own |
//! | `copy` | what is sent: the whole zone at one edition, or the editions since the peer's |
//! | `message` | records in messages |
//! | `notify` | peers are told of each edition |
//! | `pace` | how slowly a copy may be taken |
//! | `seen` | no signed query is answered twice |
//! | `serials` | numbers that no edition had before |

mod catalog;
mod copy;
mod message;
mod notify;
mod pace;
mod seen;
mod serials;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use storage::StorageError;
use tokio::io::AsyncWrite;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

pub use self::catalog::Catalog;
pub(crate) use self::copy::Copy;
use self::copy::{Plan, Seat};
use self::seen::Seen;
pub use self::serials::Serials;
use super::answer::{Asker, DropReason, Outcome, Transport, answer, bytes_max, confess, told};
use super::limits::{EDITION_GAP, SERIAL_WAIT_MAX, STREAM_BYTES_MAX, TRANSFERS_MAX, TRANSFERS_OF_A_PEER_MAX};
use super::metrics::{Metrics, Transferred};
use super::name::WireName;
use super::query::{self, OPCODE_NOTIFY, Query, TYPE_AXFR, TYPE_IXFR};
use super::reply::{self, ExtendedError, Rcode, Reply};
use super::tsig::{self, Chain, Fault, Key, Tsig};
use super::wire::{self, Malformed};
use super::zone::Zone;
use crate::clock::Clock;
use crate::keys::{KeyFileError, read_line};
use crate::shutdown;

const CLASS_IN: u16 = 1;
const TYPE_SOA: u16 = 6;

/// Who copies the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Where it is told of changes, and whose address it asks from; absent: any address, and it is told nothing.
    pub address: Option<SocketAddr>,
    /// The file of the key that it signs with; absent: it signs nothing. One of both is there.
    pub key: Option<PathBuf>,
    /// It gets copies over TLS alone (RFC 9103).
    pub tls: bool,
}

/// A server that copies the zone.
#[derive(Debug)]
struct Peer {
    address: Option<SocketAddr>,
    key: Option<Arc<Key>>,
    tls: bool,
    /// For its copies.
    seats: Arc<Semaphore>,
}

/// Gives peers copies of the zone, and tells them that there is something new.
pub struct Transfers {
    peers: Vec<Peer>,
    keys: Vec<Arc<Key>>,
    clock: Clock,
    metrics: Arc<Metrics>,
    seats: Arc<Semaphore>,
    /// Which peers with a key copy, too.
    catalog: Option<Arc<Catalog>>,
    /// What was signed with each of the keys, in their order.
    seen: Vec<Mutex<Seen>>,
    /// Woken by whoever has a key and says that its zone, which is copied here, has changed.
    told: Arc<Notify>,
}

impl fmt::Debug for Transfers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.peers).finish()
    }
}

/// What becomes of a signed query, or one for a copy.
pub(crate) enum Begun {
    /// One answer, if any: it lies in `out`.
    Answer(Outcome),
    /// A copy, to be sent.
    Copy(Box<Copy>),
}

/// Why there is no copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refused(Rcode, Option<ExtendedError>);

impl Peer {
    /// Whether a query from there, in this way, signed by that key or by none, is this peer's.
    fn asks(&self, asker: &Asker<'_>, key: Option<&Arc<Key>>) -> bool {
        let is_there = self.address.is_none_or(|known| known.ip().to_canonical() == asker.address.to_canonical());
        let is_so = !self.tls || asker.transport == Transport::Tls;
        is_there && is_so && self.key.as_ref().is_none_or(|known| key.is_some_and(|key| Arc::ptr_eq(key, known)))
    }
}

impl Transfers {
    /// Reads the keys of the peers. Errors: a file cannot be read, or holds no key, or another one of a name that a file before holds, or one that is bound to TLS in one table alone.
    pub fn open(peers: &[PeerConfig], clock: Clock, metrics: Arc<Metrics>) -> Result<Self, KeyFileError> {
        let mut keys: Vec<Arc<Key>> = Vec::new();
        let mut known = Vec::with_capacity(peers.len());
        for config in peers {
            let mut peer = peer(config)?;
            // A key that several peers have is one.
            if let Some(key) = &mut peer.key {
                match keys.iter().find(|known| known.is_same(key)) {
                    Some(known) => *key = known.clone(),
                    None if keys.iter().any(|known| known.is_namesake(key)) => {
                        let path = config.key.clone().unwrap_or_default();
                        return Err(KeyFileError::Twice { path, name: key.name() });
                    }
                    None => keys.push(key.clone()),
                }
            }
            let shares = |other: &&Peer| {
                peer.key.is_some() && other.key.as_ref().map(Arc::as_ptr) == peer.key.as_ref().map(Arc::as_ptr)
            };
            if known.iter().filter(shares).any(|other| other.tls != peer.tls) {
                return Err(KeyFileError::Tls { path: config.key.clone().unwrap_or_default() });
            }
            known.push(peer);
        }
        let seen = keys.iter().map(|_| Mutex::default()).collect();
        Ok(Self { peers: known, keys, seen, ..Self::to_nobody(clock, metrics) })
    }

    /// Returns what gives nobody a copy.
    pub fn to_nobody(clock: Clock, metrics: Arc<Metrics>) -> Self {
        let seats = Arc::new(Semaphore::new(TRANSFERS_MAX));
        Self {
            peers: Vec::new(),
            keys: Vec::new(),
            clock,
            metrics,
            seats,
            catalog: None,
            seen: Vec::new(),
            told: Arc::default(),
        }
    }

    /// Returns what gives nobody a copy, and hears of changes from whoever has this key: then it wakes `told`.
    pub fn told_by(key: Arc<Key>, told: Arc<Notify>, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let seen = vec![Mutex::default()];
        Self { keys: vec![key], seen, told, ..Self::to_nobody(clock, metrics) }
    }

    /// Gives those of the peers that have a key a catalog of the zone, too.
    #[must_use]
    pub fn with_catalog(self, catalog: Option<Catalog>) -> Self {
        Self { catalog: catalog.map(Arc::new), ..self }
    }

    /// Answers a datagram that [`answer`] left: signed, or for a copy, of which a datagram gets the SOA at most.
    pub fn answer(&self, zone: &Zone, message: &[u8], asker: &Asker<'_>, out: &mut Vec<u8>) -> Outcome {
        match self.begin(zone, message, asker, out) {
            Begun::Answer(outcome) => outcome,
            Begun::Copy(_) => Outcome::Drop(DropReason::Busy), // none is begun for a datagram
        }
    }

    /// Judges a query that [`answer`] left, and answers it unless it gets a copy over its stream. A fault of ours becomes SERVFAIL.
    pub(crate) fn begin(&self, zone: &Zone, message: &[u8], asker: &Asker<'_>, out: &mut Vec<u8>) -> Begun {
        catch_unwind(AssertUnwindSafe(|| self.judge(zone, message, asker, out)))
            .unwrap_or_else(|_| Begun::Answer(confess(message, out)))
    }

    fn judge(&self, zone: &Zone, message: &[u8], asker: &Asker<'_>, out: &mut Vec<u8>) -> Begun {
        out.clear();
        let Ok(query) = query::read(message) else { return Begun::Answer(Outcome::Drop(DropReason::Short)) };
        let now_s = self.clock.now().as_s();
        let (told, is_known) = told(query.edns, asker);
        let judged = tsig::read(message).and_then(|tsig| match &tsig {
            Some(signed) => signed.judge(message, &self.keys, now_s).map(|(chain, fault)| (tsig, chain, fault)),
            None => Ok((None, None, None)),
        });
        let say = |rcode, error, out: &mut Vec<u8>| Reply::to(&query, STREAM_BYTES_MAX, told, out).finish(rcode, error);
        let (tsig, mut chain, fault) = match judged {
            Ok(judged) => judged,
            Err(Malformed) => {
                let rcode = Reply::bare(query.header, query.edns, told, out).finish(Rcode::FormErr, None);
                return Begun::Answer(Outcome::Reply { rcode, is_known });
            }
        };
        if let (Some(tsig), Some(fault)) = (&tsig, fault) {
            self.metrics.count_transfer(Transferred::Refused);
            let rcode = say(Rcode::NotAuth, None, out);
            match chain {
                Some(chain) => tsig.refuse_signed(fault, chain, out, now_s),
                None => tsig.refuse(fault, out),
            }
            return Begun::Answer(Outcome::Reply { rcode, is_known });
        }
        let is_known = is_known || tsig.is_some(); // whoever has a key is no stranger
        let catalog = self.catalog_for(&query, asker, chain.as_ref());
        let outcome = match (is_copy(&query), &tsig) {
            _ if query.header.opcode == OPCODE_NOTIFY => {
                let is_ours = query.qname.as_bytes() == zone.apex().wire() && query.qtype == TYPE_SOA;
                let (rcode, error) = match tsig.is_some() && is_ours {
                    true => (Rcode::NoError, None),
                    false => (Rcode::Refused, Some(ExtendedError::Prohibited)),
                };
                if rcode == Rcode::NoError {
                    self.told.notify_one();
                }
                Outcome::Reply { rcode: say(rcode, error, out), is_known }
            }
            (true, _) => match self.plan(zone, &query, message, asker, chain.as_ref()) {
                Ok(Some((plan, seat))) => {
                    // Somebody who heard the query would get a copy too, as often as he likes (RFC 8945 section 5.2.3).
                    if let (Some(tsig), Some(signs)) = (&tsig, &chain)
                        && !self.admits(signs.key(), tsig, now_s)
                    {
                        self.metrics.count_transfer(Transferred::Refused);
                        let rcode = say(Rcode::NotAuth, None, out);
                        chain.into_iter().for_each(|chain| tsig.refuse_signed(Fault::Time, chain, out, now_s));
                        return Begun::Answer(Outcome::Reply { rcode, is_known: false });
                    }
                    return Begun::Copy(Box::new(Copy::new(&query, chain, plan, seat)));
                }
                Ok(None) => {
                    self.metrics.count_transfer(Transferred::Current);
                    let rcode = match catalog {
                        Some(catalog) => copy::soa(&query, catalog.soa(), out),
                        None => copy::newest(zone, &query, out),
                    };
                    Outcome::Reply { rcode, is_known }
                }
                Err(Refused(rcode, error)) => {
                    self.metrics.count_transfer(Transferred::Refused);
                    Outcome::Reply { rcode: say(rcode, error, out), is_known }
                }
            },
            (false, Some(_)) if let Some(catalog) = catalog => {
                Outcome::Reply { rcode: catalog.answer(&query, out), is_known }
            }
            (false, Some(tsig)) => match answer(zone, &tsig.message_before(message), asker, out) {
                // Proofs sign themselves; nobody asks for one with a key of his own.
                Outcome::Proof { .. } | Outcome::Update | Outcome::Transfer => {
                    let rcode = say(Rcode::Refused, Some(ExtendedError::Prohibited), out);
                    Outcome::Reply { rcode, is_known }
                }
                Outcome::Reply { rcode, .. } => Outcome::Reply { rcode, is_known },
                outcome => outcome,
            },
            (false, None) => Outcome::Drop(DropReason::Short), // answer() leaves none of these
        };
        if let (Some(chain), Outcome::Reply { .. }) = (&mut chain, outcome) {
            if out.len() + chain.bytes() > bytes_max(&query, asker.transport) {
                reply::slip(out);
            }
            out[..2].copy_from_slice(&message[..2]); // what was signed may have had another id on its way
            chain.sign(out, now_s);
        }
        Begun::Answer(outcome)
    }

    /// Decides what a query for a copy gets, and on which seat; `None`: the newest SOA alone.
    fn plan(
        &self,
        zone: &Zone,
        query: &Query<'_>,
        message: &[u8],
        asker: &Asker<'_>,
        chain: Option<&Chain>,
    ) -> Result<Option<(Plan, Seat)>, Refused> {
        // One message is one response there: no room for a copy, whoever asks.
        if matches!(asker.transport, Transport::Https | Transport::Quic) {
            return Err(Refused(Rcode::Refused, Some(ExtendedError::NotSupported)));
        }
        let key = chain.map(Chain::key);
        let mut peers = self.peers.iter().filter(|peer| peer.asks(asker, key)).peekable();
        if query.qclass != CLASS_IN || peers.peek().is_none() {
            return Err(Refused(Rcode::Refused, Some(ExtendedError::Prohibited)));
        }
        let catalog = self.catalog_for(query, asker, chain);
        if query.qname.as_bytes() != catalog.map_or(zone.apex().wire(), |catalog| catalog.apex()) {
            return Err(Refused(Rcode::NotAuth, None));
        }
        if catalog.is_none() && !zone.has_edition() {
            return Err(Refused(Rcode::ServFail, Some(ExtendedError::NotReady)));
        }
        let known = match query.qtype {
            TYPE_IXFR => Some(serial_of(message, &query.qname).ok_or(Refused(Rcode::FormErr, None))?),
            _ => None,
        };
        let plan = match (asker.transport, known) {
            (Transport::Udp, None) => return Err(Refused(Rcode::FormErr, None)),
            (Transport::Udp, Some(_)) => None,
            (_, known) => match catalog {
                Some(catalog) => Plan::given(catalog, known),
                None => Plan::since(zone, known),
            },
        };
        let Some(plan) = plan else { return Ok(None) };
        // Peers that cannot be told apart share their seats.
        let seat =
            peers.find_map(|peer| self.seat(peer)).ok_or(Refused(Rcode::ServFail, Some(ExtendedError::Other)))?;
        Ok(Some((plan, seat)))
    }

    /// Returns the catalog, if a query is for it, and signed by a peer.
    fn catalog_for(&self, query: &Query<'_>, asker: &Asker<'_>, chain: Option<&Chain>) -> Option<&Catalog> {
        let key = chain.map(Chain::key);
        let is_peer = self.peers.iter().any(|peer| peer.key.is_some() && peer.asks(asker, key));
        self.catalog.as_deref().filter(|catalog| is_peer && catalog.is_asked(query))
    }

    /// Returns a seat for a peer, unless it or all together have their fill.
    fn seat(&self, peer: &Peer) -> Option<Seat> {
        let _of_its_peer = peer.seats.clone().try_acquire_owned().ok()?;
        Some(Seat { _among_all: self.seats.clone().try_acquire_owned().ok()?, _of_its_peer })
    }

    /// Whether what was signed with a key did not come before.
    fn admits(&self, key: &Arc<Key>, tsig: &Tsig, now_s: u64) -> bool {
        self.keys.iter().zip(&self.seen).filter(|(known, _)| Arc::ptr_eq(known, key)).all(|(_, seen)| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.admit(tsig.mac(), tsig.until_s(), now_s)
        })
    }

    /// Sends a copy, and counts what became of it. Errors: it was not sent to its end.
    pub(crate) async fn send(
        &self,
        copy: Copy,
        zone: &Arc<Zone>,
        stream: &mut (impl AsyncWrite + Unpin),
        partial: Duration,
    ) -> io::Result<()> {
        match copy.send(zone, stream, &self.clock, partial).await {
            Ok((transferred, bytes)) => {
                self.metrics.count_transfer(transferred);
                self.metrics.count_transfer_bytes(bytes);
                Ok(())
            }
            Err(error) => {
                self.metrics.count_transfer(Transferred::Failed);
                tracing::warn!(%error, "a copy of the zone was not sent to its end");
                Err(error)
            }
        }
    }

    /// Makes editions of the zone as it changes, and tells the peers, until `stop`.
    pub async fn run(self: Arc<Self>, zone: Arc<Zone>, mut serials: Serials, mut stop: watch::Receiver<bool>) {
        let (newest, _) = watch::channel(None);
        let (catalogs, _) = watch::channel(None);
        let mut telling = JoinSet::new();
        for peer in &self.peers {
            let Some(address) = peer.address else { continue };
            let teller = |of| notify::Teller {
                address,
                key: peer.key.clone(),
                of,
                clock: self.clock.clone(),
                metrics: self.metrics.clone(),
                waits: notify::WAITS,
            };
            if let Some(catalog) = self.catalog.clone().filter(|_| peer.key.is_some()) {
                let teller = teller(notify::Subject::Catalog(catalog));
                telling.spawn(teller.run(catalogs.subscribe(), stop.clone()));
            }
            let teller = teller(notify::Subject::Zone(zone.clone()));
            telling.spawn(teller.run(newest.subscribe(), stop.clone()));
        }
        let mut ticks = tokio::time::interval(EDITION_GAP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !zone.has_edition() {
            tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                _ = ticks.tick() => {}
            }
        }
        newest.send_replace(Some(zone.serial()));
        catalogs.send_replace(Some(catalog::SERIAL));
        let mut wait = EDITION_GAP;
        loop {
            tokio::select! {
                () = shutdown::requested(&mut stop) => break,
                () = zone.changed() => {}
            }
            ticks.tick().await;
            let now_ms = self.clock.now().as_ms();
            if serials.is_early(now_ms) {
                zone.note_change();
                continue;
            }
            let cutting = zone.clone();
            // Signatures are work for a processor, and serials for a disk.
            let cut = tokio::task::spawn_blocking(move || (cut(&cutting, &mut serials, now_ms), serials));
            let Ok((cut, after)) = cut.await else {
                tracing::error!(
                    "no more editions of DNS after a fault of ours: secondaries get no copy until a restart"
                );
                zone.end_editions();
                break;
            };
            serials = after;
            match cut {
                Ok(Some(serial)) => drop(newest.send_replace(Some(serial))),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "no serial for DNS: secondaries are told nothing until there is one");
                    tokio::select! {
                        () = shutdown::requested(&mut stop) => break,
                        () = tokio::time::sleep(wait) => {}
                    }
                    wait = (wait * 2).min(SERIAL_WAIT_MAX);
                    zone.note_change();
                    continue;
                }
            }
            wait = EDITION_GAP;
        }
        while telling.join_next().await.is_some() {}
    }
}

/// Makes an edition of what has changed; returns its serial, if anything has. Errors: there is no serial.
fn cut(zone: &Zone, serials: &mut Serials, now_ms: u64) -> Result<Option<u32>, StorageError> {
    let serial = serials.next(now_ms)?;
    let is_cut = zone.cut_edition(serial);
    if is_cut {
        serials.take(serial);
    }
    Ok(is_cut.then_some(serial))
}

/// Reads a file that holds a TSIG key. Errors: it cannot be read, or holds none.
pub fn key(path: &Path) -> Result<Arc<Key>, KeyFileError> {
    let line = read_line(path)?;
    let what = "TSIG key, one line: hmac-sha256:name:base64 (also -sha384, -sha512; 16 bytes or more)";
    Key::parse(&line).map(Arc::new).map_err(|_| KeyFileError::Form { path: path.to_owned(), what })
}

fn peer(config: &PeerConfig) -> Result<Peer, KeyFileError> {
    let key = config.key.as_deref().map(key).transpose()?;
    Ok(Peer { address: config.address, key, tls: config.tls, seats: Arc::new(Semaphore::new(TRANSFERS_OF_A_PEER_MAX)) })
}

fn is_copy(query: &Query<'_>) -> bool {
    matches!(query.qtype, TYPE_AXFR | TYPE_IXFR)
}

/// Returns the serial of the SOA in the authority section of a query for changes.
fn serial_of(message: &[u8], zone: &WireName) -> Option<u32> {
    let mut serial = None;
    let walked = wire::walk(message, |section, _, record| {
        if (section, record.rtype, record.class) == (2, TYPE_SOA, CLASS_IN) && record.owner == *zone {
            let names = WireName::read(&record.rdata)
                .map(|name| name.wire_len())
                .and_then(|first| Some(first + WireName::read(record.rdata.get(first..)?)?.wire_len()));
            let bytes = names.and_then(|names| record.rdata.get(names..names + 4)?.first_chunk().copied());
            serial = bytes.map(u32::from_be_bytes);
        }
    });
    serial.filter(|_| walked.is_ok())
}

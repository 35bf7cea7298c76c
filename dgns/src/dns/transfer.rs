//! The zone copied by other servers, its secondaries: AXFR (RFC 5936), IXFR (RFC 1995), and NOTIFY (RFC 1996), each signed with TSIG where the peer has
//! a key. Nobody else gets a copy.
//!
//! | module | its story |
//! |---|---|
//! | `copy` | what is sent: the whole zone at one edition, or the editions since the peer's |
//! | `message` | records in messages |
//! | `notify` | peers are told of each edition |
//! | `serials` | numbers that no edition had before |

mod copy;
mod message;
mod notify;
mod serials;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

pub(crate) use self::copy::Copy;
use self::copy::Plan;
pub use self::serials::Serials;
use super::answer::{Asker, DropReason, Outcome, Transport, answer, bytes_max, told};
use super::limits::{EDITION_GAP, STREAM_BYTES_MAX, TRANSFERS_MAX};
use super::metrics::{Metrics, Transferred};
use super::name::WireName;
use super::query::{self, Query};
use super::reply::{self, ExtendedError, Rcode, Reply};
use super::tsig::{self, Chain, Key};
use super::wire::{self, Malformed};
use super::zone::Zone;
use crate::clock::Clock;
use crate::keys::{KeyFileError, read_line};
use crate::shutdown;

const CLASS_IN: u16 = 1;
const TYPE_SOA: u16 = 6;
const TYPE_IXFR: u16 = 251;
const TYPE_AXFR: u16 = 252;

/// Who copies the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Where it is told of changes, and whose address it asks from; absent: any address, and it is told nothing.
    pub address: Option<SocketAddr>,
    /// The file of the key that it signs with; absent: it signs nothing. One of both is there.
    pub key: Option<PathBuf>,
}

/// A server that copies the zone.
#[derive(Debug)]
struct Peer {
    address: Option<SocketAddr>,
    key: Option<Arc<Key>>,
}

/// Gives peers copies of the zone, and tells them that there is something new.
pub struct Transfers {
    peers: Vec<Peer>,
    keys: Vec<Arc<Key>>,
    clock: Clock,
    metrics: Arc<Metrics>,
    seats: Arc<Semaphore>,
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
    /// Whether a query from there, signed by that key or by none, is this peer's.
    fn asks(&self, address: IpAddr, key: Option<&Arc<Key>>) -> bool {
        let is_there = self.address.is_none_or(|known| known.ip().to_canonical() == address.to_canonical());
        is_there && self.key.as_ref().is_none_or(|known| key.is_some_and(|key| Arc::ptr_eq(key, known)))
    }
}

impl Transfers {
    /// Reads the keys of the peers. Errors: a file cannot be read, or holds no key.
    pub fn open(peers: &[PeerConfig], clock: Clock, metrics: Arc<Metrics>) -> Result<Self, KeyFileError> {
        let mut keys: Vec<Arc<Key>> = Vec::new();
        let mut known = Vec::with_capacity(peers.len());
        for config in peers {
            let mut peer = peer(config)?;
            // A key that several peers have is one.
            if let Some(key) = &mut peer.key {
                match keys.iter().find(|known| known.is_same(key)) {
                    Some(known) => *key = known.clone(),
                    None => keys.push(key.clone()),
                }
            }
            known.push(peer);
        }
        let peers = known;
        Ok(Self { peers, keys, clock, metrics, seats: Arc::new(Semaphore::new(TRANSFERS_MAX)) })
    }

    /// Returns what gives nobody a copy.
    pub fn to_nobody(clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self { peers: Vec::new(), keys: Vec::new(), clock, metrics, seats: Arc::new(Semaphore::new(TRANSFERS_MAX)) }
    }

    /// Answers a datagram that [`answer`] left: signed, or for a copy, of which a datagram gets the SOA at most.
    pub fn answer(&self, zone: &Zone, message: &[u8], asker: &Asker<'_>, out: &mut Vec<u8>) -> Outcome {
        match self.begin(zone, message, asker, out) {
            Begun::Answer(outcome) => outcome,
            Begun::Copy(_) => Outcome::Drop(DropReason::Busy), // none is begun for a datagram
        }
    }

    /// Judges a query that [`answer`] left, and answers it unless it gets a copy over its stream.
    pub(crate) fn begin(&self, zone: &Zone, message: &[u8], asker: &Asker<'_>, out: &mut Vec<u8>) -> Begun {
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
                Some(chain) => tsig.refuse_time(chain, out, now_s),
                None => tsig.refuse(fault, out),
            }
            return Begun::Answer(Outcome::Reply { rcode, is_known });
        }
        let outcome = match (is_copy(&query), &tsig) {
            (true, _) => match self.plan(zone, &query, message, asker, chain.as_ref()) {
                Ok((plan, Some(seat))) => return Begun::Copy(Box::new(Copy::new(&query, chain, plan, seat))),
                Ok((plan, None)) => {
                    let rcode = copy::one(&query, plan, out);
                    Outcome::Reply { rcode, is_known }
                }
                Err(Refused(rcode, error)) => {
                    self.metrics.count_transfer(Transferred::Refused);
                    Outcome::Reply { rcode: say(rcode, error, out), is_known }
                }
            },
            (false, Some(tsig)) => match answer(zone, &tsig.message_before(message), asker, out) {
                // Proofs sign themselves; nobody asks for one with a key of his own.
                Outcome::Proof { .. } | Outcome::Update | Outcome::Transfer => {
                    let rcode = say(Rcode::Refused, Some(ExtendedError::Prohibited), out);
                    Outcome::Reply { rcode, is_known }
                }
                outcome => outcome,
            },
            (false, None) => Outcome::Drop(DropReason::Short), // answer() leaves none of these
        };
        if let (Some(chain), Outcome::Reply { .. }) = (&mut chain, outcome) {
            if out.len() + chain.bytes() > bytes_max(&query, asker.transport) {
                reply::slip(out);
            }
            chain.sign(out, now_s);
        }
        Begun::Answer(outcome)
    }

    /// Decides what a query for a copy gets; a seat, if it is more than a datagram.
    fn plan(
        &self,
        zone: &Zone,
        query: &Query<'_>,
        message: &[u8],
        asker: &Asker<'_>,
        chain: Option<&Chain>,
    ) -> Result<(Plan, Option<copy::Seat>), Refused> {
        let key = chain.map(Chain::key);
        if query.qclass != CLASS_IN || !self.peers.iter().any(|peer| peer.asks(asker.address, key)) {
            return Err(Refused(Rcode::Refused, Some(ExtendedError::Prohibited)));
        }
        if query.qname.as_bytes() != zone.apex().wire() {
            return Err(Refused(Rcode::NotAuth, None));
        }
        if !zone.has_edition() {
            return Err(Refused(Rcode::ServFail, Some(ExtendedError::NotReady)));
        }
        let known = match query.qtype {
            TYPE_IXFR => Some(serial_of(message, &query.qname).ok_or(Refused(Rcode::FormErr, None))?),
            _ => None,
        };
        let plan = match (asker.transport, known) {
            (Transport::Udp, None) => return Err(Refused(Rcode::FormErr, None)),
            (Transport::Udp, Some(_)) => Plan::current(zone),
            (Transport::Tcp, known) => Plan::since(zone, known),
        };
        match plan.is_current() {
            true => {
                self.metrics.count_transfer(Transferred::Current);
                Ok((plan, None))
            }
            false => match self.seats.clone().try_acquire_owned() {
                Ok(seat) => Ok((plan, Some(seat))),
                Err(_) => Err(Refused(Rcode::ServFail, Some(ExtendedError::Other))),
            },
        }
    }

    /// Sends a copy, and counts what became of it. Errors: it was not sent to its end.
    pub(crate) async fn send(
        &self,
        copy: Copy,
        zone: &Arc<Zone>,
        stream: &mut TcpStream,
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
        let mut telling = JoinSet::new();
        for peer in &self.peers {
            let Some(address) = peer.address else { continue };
            let teller = notify::Teller {
                address,
                key: peer.key.clone(),
                zone: zone.clone(),
                clock: self.clock.clone(),
                metrics: self.metrics.clone(),
            };
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
        loop {
            tokio::select! {
                () = shutdown::requested(&mut stop) => break,
                () = zone.changed() => {}
            }
            ticks.tick().await;
            let cutting = zone.clone();
            // Signatures are work for a processor, and serials for a disk.
            let cut = tokio::task::spawn_blocking(move || {
                let cut = serials.next().map(|serial| cutting.cut_edition(serial).then_some(serial));
                (serials, cut)
            });
            let Ok((after, cut)) = cut.await else { break };
            serials = after;
            match cut {
                Ok(Some(serial)) => drop(newest.send_replace(Some(serial))),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "no serial for DNS: secondaries are told nothing until there is one");
                    zone.note_change();
                }
            }
        }
        while telling.join_next().await.is_some() {}
    }
}

fn peer(config: &PeerConfig) -> Result<Peer, KeyFileError> {
    let key = match &config.key {
        Some(path) => {
            let line = read_line(path)?;
            let what = "TSIG key, one line: hmac-sha256:name:base64 (also -sha384, -sha512; 16 bytes or more)";
            let key = Key::parse(&line).map_err(|_| KeyFileError::Form { path: path.clone(), what })?;
            Some(Arc::new(key))
        }
        None => None,
    };
    Ok(Peer { address: config.address, key })
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

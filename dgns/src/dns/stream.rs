//! TCP, TLS and HTTPS: who may connect, and frames of two length bytes and a message, many at a time, from clients that may be slow or many (RFC 7766, RFC 7858).
//!
//! Answers leave in the order of their queries. Between reading and writing at most [`STREAM_QUERIES_MAX`] answers wait; a
//! client that does not take them is not read from, and closed when his time is over.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SetOnce, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answer::{Asker, DropReason, Outcome, Rcode, Transport, answer, confess, prove, put_off, update};
use super::https;
use super::limits::{STREAM_PENDING_BYTES_MAX, STREAM_QUERIES_MAX, STREAM_WORKS_MAX};
use super::metrics::Metrics;
use super::queries;
use super::server::Makers;
use super::settings::{Manner, ServerSettings};
use super::tls::Tls;
use super::transfer::{Begun, Copy};
use super::zone::Zone;
use crate::shutdown;

pub(crate) const PREFIX_BYTES: usize = 2;
const READ_BYTES: usize = 4_096;
/// How long to wait when the process has no descriptor left for another connection.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// The connections that are open, all together and by client.
pub(crate) struct Streams {
    handshake: Duration,
    idle: Duration,
    partial: Duration,
    streams_max: usize,
    per_client_max: usize,
    manner: Manner,
    makers: Arc<SetOnce<Makers>>,
    /// Places for proofs in the making, and updates.
    pub(crate) works: Semaphore,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// The right to one connection; given back when dropped.
pub(crate) struct Seat {
    streams: Arc<Streams>,
    client: IpAddr,
    address: IpAddr,
}

impl Streams {
    pub(crate) fn new(settings: &ServerSettings, manner: Manner, makers: Arc<SetOnce<Makers>>) -> Self {
        Self {
            handshake: settings.handshake,
            idle: settings.idle,
            partial: settings.partial,
            streams_max: settings.streams_max,
            per_client_max: settings.streams_per_client_max,
            manner,
            makers,
            works: Semaphore::new(STREAM_WORKS_MAX),
            open: Mutex::default(),
        }
    }

    /// Answers one message into `out`, made by whoever makes such answers; counts it.
    async fn answer(
        &self,
        zone: &Zone,
        message: &[u8],
        asker: &Asker<'_>,
        metrics: &Metrics,
        out: &mut Vec<u8>,
    ) -> Begun {
        let outcome = answer(zone, message, asker, out);
        let place = match outcome {
            Outcome::Proof { .. } | Outcome::Update => timeout(self.partial, self.works.acquire()).await.ok(),
            _ => None,
        };
        let outcome = match (outcome, self.makers.get()) {
            (Outcome::Proof { .. } | Outcome::Update, _) if place.is_none() => confess(message, out),
            (Outcome::Proof { .. } | Outcome::Update | Outcome::Transfer, None) => put_off(message, asker, out),
            (Outcome::Proof { .. }, Some(makers)) => match &makers.proofs {
                Some(proofs) => prove(zone, proofs, message, asker, out).await,
                None => Outcome::Drop(DropReason::Busy),
            },
            (Outcome::Update, Some(makers)) => update(zone, makers.updates.as_deref(), message, asker, out).await,
            (Outcome::Transfer, Some(makers)) => match makers.transfers.begin(zone, message, asker, out) {
                Begun::Answer(outcome) => outcome,
                Begun::Copy(copy) => {
                    let outcome = Outcome::Reply { rcode: Rcode::NoError, is_known: true };
                    metrics.count(asker.transport, outcome);
                    queries::note(asker.transport, asker.address, message, outcome);
                    return Begun::Copy(copy);
                }
            },
            (outcome, _) => outcome,
        };
        metrics.count(asker.transport, outcome);
        queries::note(asker.transport, asker.address, message, outcome);
        Begun::Answer(outcome)
    }

    /// Returns a seat for a client at `address`, unless he or all together have their fill.
    pub(crate) fn seat(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let client = client_of(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let his = open.by_client.get(&client).copied().unwrap_or_default();
        if open.total >= self.streams_max || his >= self.per_client_max {
            return None;
        }
        open.total += 1;
        open.by_client.insert(client, his + 1);
        Some(Seat { streams: self.clone(), client, address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        if let Some(his) = open.by_client.get_mut(&self.client) {
            *his -= 1;
            if *his == 0 {
                open.by_client.remove(&self.client);
            }
        }
    }
}

/// Returns what stands for one client: an IPv4 address, or the /56 that one household gets.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !0 << 72).into()),
    }
}

/// What is spoken at an address.
#[derive(Clone)]
pub(crate) enum Door {
    /// Frames.
    Tcp,
    /// Frames, over TLS.
    Tls(Arc<Tls>),
    /// Requests, over TLS.
    Https(Arc<Tls>),
}

impl Door {
    /// Returns how queries come through it.
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Self::Tcp => Transport::Tcp,
            Self::Tls(_) => Transport::Tls,
            Self::Https(_) => Transport::Https,
        }
    }
}

/// Whoever has a connection, and what is answered from.
pub(crate) struct Client {
    seat: Seat,
    zone: Arc<Zone>,
    metrics: Arc<Metrics>,
    stop: watch::Receiver<bool>,
}

/// Takes connections until `stop`; returns when the last one has ended.
pub(crate) async fn accept(
    listener: TcpListener,
    door: Door,
    streams: Arc<Streams>,
    zone: Arc<Zone>,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown::requested(&mut stop) => break,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Err(error) => {
                    tracing::warn!(%error, "DNS connection could not be accepted");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
                Ok((stream, peer)) => match streams.seat(peer.ip()) {
                    None => metrics.count_drop(DropReason::Connections),
                    Some(seat) => {
                        let (zone, metrics, stop) = (zone.clone(), metrics.clone(), stop.clone());
                        connections.spawn(serve(stream, door.clone(), Client { seat, zone, metrics, stop }));
                    }
                },
            },
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Serves one connection to its end.
async fn serve(stream: TcpStream, door: Door, mut client: Client) {
    let _latency_matters_more_than_packets = stream.set_nodelay(true);
    match &door {
        Door::Tcp => client.converse(stream, door.transport()).await,
        Door::Tls(tls) => {
            let Some(stream) = client.shake_hands(tls.accept(stream)).await else { return };
            client.converse(stream, door.transport()).await;
        }
        Door::Https(tls) => {
            let Some(stream) = client.shake_hands(tls.accept_https(stream)).await else { return };
            https::serve(stream, client).await;
        }
    }
}

impl Client {
    /// Returns whoever has this seat.
    pub(crate) fn on(seat: Seat, zone: Arc<Zone>, metrics: Arc<Metrics>, stop: watch::Receiver<bool>) -> Self {
        Self { seat, zone, metrics, stop }
    }

    /// Waits for a handshake; `None` if it comes to nothing.
    pub(crate) async fn shake_hands<S>(&mut self, handshake: impl Future<Output = io::Result<S>>) -> Option<S> {
        let shaken = tokio::select! {
            shaken = timeout(self.seat.streams.handshake, handshake) => shaken,
            () = shutdown::requested(&mut self.stop) => return None,
        };
        let reason = match shaken {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(_)) => DropReason::Handshake,
            Err(_) => DropReason::Slow,
        };
        self.metrics.count_drop(reason);
        None
    }

    /// Returns how long the client may be silent, and how long it may take to say or hear something.
    pub(crate) fn patience(&self) -> (Duration, Duration) {
        (self.seat.streams.idle, self.seat.streams.partial)
    }

    /// Returns what says that the server stops.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    /// Counts something of the client's that was dropped.
    pub(crate) fn count_drop(&self, reason: DropReason) {
        self.metrics.count_drop(reason);
    }

    /// Answers one message with one message, which lies in `out`.
    pub(crate) async fn answer_alone(&self, message: &[u8], transport: Transport, out: &mut Vec<u8>) -> Outcome {
        let Self { seat, zone, metrics, .. } = self;
        let mut manner = seat.streams.manner.clone();
        let now_s = manner.ready();
        let asker = manner.asker(transport, seat.address, now_s);
        match seat.streams.answer(zone, message, &asker, metrics, out).await {
            Begun::Answer(outcome) => outcome,
            Begun::Copy(_) => Outcome::Drop(DropReason::Busy), // none is begun over what carries one message
        }
    }

    /// Answers until the client leaves, is too slow, or the server stops; says good-bye where the transport has a word for it.
    async fn converse(mut self, mut stream: impl AsyncRead + AsyncWrite + Unpin, transport: Transport) {
        self.answer(&mut stream, transport).await;
        let _whoever_left_hears_nothing = timeout(self.seat.streams.partial, stream.shutdown()).await;
    }

    async fn answer(&mut self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin), transport: Transport) {
        let Self { seat, zone, metrics, stop } = self;
        let (idle, partial) = (seat.streams.idle, seat.streams.partial);
        let mut manner = seat.streams.manner.clone();
        let (mut received, mut answers, mut one) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let heard = tokio::select! {
                heard = hear(stream, &mut received, idle, partial) => heard,
                () = shutdown::requested(stop) => return,
            };
            match heard {
                Heard::Frame => {}
                Heard::End => return,
                Heard::Slow => return metrics.count_drop(DropReason::Slow),
            }
            while frame(&received).is_some() {
                let now_s = manner.ready();
                let asker = manner.asker(transport, seat.address, now_s);
                let streams = &*seat.streams;
                let (taken, copy) =
                    answer_frames(zone, streams, &asker, metrics, &received, &mut answers, &mut one).await;
                received.drain(..taken);
                match timeout(partial, write(stream, &answers)).await {
                    Ok(Ok(())) => answers.clear(),
                    Ok(Err(_)) => return,
                    Err(_) => return metrics.count_drop(DropReason::Slow),
                }
                let (Some(copy), Some(makers)) = (copy, streams.makers.get()) else { continue };
                tokio::select! {
                    sent = makers.transfers.send(copy, zone, stream, partial) => if sent.is_err() { return },
                    () = shutdown::requested(stop) => return,
                }
            }
        }
    }
}

/// Writes all of it, through what encrypts it too.
pub(crate) async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// What waiting for a client came to.
enum Heard {
    /// At least one whole frame.
    Frame,
    /// He left, or said nothing for too long.
    End,
    /// He began a frame and did not end it in time.
    Slow,
}

/// Reads until `received` begins with a whole frame. A client may be idle between frames but not within one.
async fn hear(
    stream: &mut (impl AsyncRead + Unpin),
    received: &mut Vec<u8>,
    idle: Duration,
    partial: Duration,
) -> Heard {
    if received.is_empty() && !matches!(timeout(idle, read_some(stream, received)).await, Ok(true)) {
        return Heard::End;
    }
    let rest = async {
        while frame(received).is_none() {
            if !read_some(stream, received).await {
                return Heard::End;
            }
        }
        Heard::Frame
    };
    timeout(partial, rest).await.unwrap_or(Heard::Slow)
}

/// Reads what is there; false at the end of the stream.
async fn read_some(stream: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>) -> bool {
    received.reserve(READ_BYTES);
    matches!(stream.read_buf(received).await, Ok(1..))
}

/// Returns the message of the frame that `bytes` begins with, if it is whole.
pub(crate) fn frame(bytes: &[u8]) -> Option<&[u8]> {
    let (&length, rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
    rest.get(..usize::from(u16::from_be_bytes(length)))
}

/// Answers the whole frames in `received` into `answers`, as many as may wait; returns the bytes they took, and the copy that the last one
/// gets.
async fn answer_frames(
    zone: &Zone,
    streams: &Streams,
    asker: &Asker<'_>,
    metrics: &Metrics,
    received: &[u8],
    answers: &mut Vec<u8>,
    one: &mut Vec<u8>,
) -> (usize, Option<Copy>) {
    let mut taken = 0;
    for _ in 0..STREAM_QUERIES_MAX {
        let Some(message) = frame(&received[taken..]).filter(|_| answers.len() < STREAM_PENDING_BYTES_MAX) else {
            break;
        };
        taken += PREFIX_BYTES + message.len();
        let outcome = match streams.answer(zone, message, asker, metrics, one).await {
            Begun::Answer(outcome) => outcome,
            Begun::Copy(copy) => return (taken, Some(*copy)),
        };
        if matches!(outcome, Outcome::Reply { .. }) {
            let length = u16::try_from(one.len()).expect("answer() keeps to STREAM_BYTES_MAX, which is a u16");
            answers.extend_from_slice(&length.to_be_bytes());
            answers.extend_from_slice(one);
        }
    }
    (taken, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(settings: &ServerSettings) -> Streams {
        let manner = Manner::for_tests();
        let makers = Makers::none(manner.clock.clone(), Arc::default());
        Streams::new(settings, manner, Arc::new(SetOnce::new_with(Some(makers))))
    }

    #[tokio::test]
    async fn updates_wait_for_a_place_and_not_for_ever() {
        // Goal: no more than STREAM_WORKS_MAX are judged at once; who waited in vain hears SERVFAIL. Method: an update to a server that takes none, with every
        // place taken, then with one free.
        let mut settings = ServerSettings::on(Vec::new());
        settings.partial = Duration::from_millis(1);
        let streams = streams(&settings);
        let zone = Zone::new("dgns.test", &super::super::zone::Settings::for_zone("dgns.test")).expect("a zone");
        let manner = Manner::for_tests();
        let update = b"\0\x01\x28\0\0\x01\0\0\0\0\0\0\x04dgns\x04test\0\0\x06\0\x01";
        for transport in [Transport::Tcp, Transport::Tls, Transport::Https, Transport::Quic] {
            let asker = manner.asker(transport, [192, 0, 2, 1].into(), 0);
            let (metrics, mut out) = (Metrics::default(), Vec::new());
            let taken = streams.works.acquire_many(STREAM_WORKS_MAX as u32).await.expect("nobody closes it");
            let busy = streams.answer(&zone, update, &asker, &metrics, &mut out).await;
            assert!(matches!(busy, Begun::Answer(Outcome::Reply { rcode: Rcode::ServFail, .. })), "{transport:?}");
            assert_eq!(out[..4], [0, 1, 0xA8, 2], "{transport:?}");
            drop(taken);
            let judged = streams.answer(&zone, update, &asker, &metrics, &mut out).await;
            assert!(matches!(judged, Begun::Answer(Outcome::Reply { rcode: Rcode::Refused, .. })), "{transport:?}");
            assert_eq!(streams.works.available_permits(), STREAM_WORKS_MAX);
        }
    }

    #[tokio::test]
    async fn what_nobody_can_make_yet_is_put_off() {
        // Goal: before whoever makes proofs, updates and copies is there, these are SERVFAIL, and nothing is dropped or refused for good.
        let (settings, manner, makers) =
            (ServerSettings::on(Vec::new()), Manner::for_tests(), Arc::new(SetOnce::new()));
        let streams = Streams::new(&settings, manner.clone(), makers.clone());
        let zone = Zone::new("dgns.test", &super::super::zone::Settings::for_zone("dgns.test")).expect("a zone");
        zone.set_ready();
        let asker = manner.asker(Transport::Tcp, [192, 0, 2, 1].into(), 0);
        let update = b"\0\x01\x28\0\0\x01\0\0\0\0\0\0\x04dgns\x04test\0\0\x06\0\x01".as_slice();
        let copy = b"\0\x01\0\0\0\x01\0\0\0\0\0\0\x04dgns\x04test\0\0\xfc\0\x01".as_slice();
        let proof = b"\0\x01\0\0\0\x01\0\0\0\0\0\0\x05alice\x06_proof\x04dgns\x04test\0\0\x10\0\x01".as_slice();
        let mut rcodes = Vec::new();
        for _ in 0..2 {
            for message in [update, copy, proof] {
                let mut out = Vec::new();
                let begun = streams.answer(&zone, message, &asker, &Metrics::default(), &mut out).await;
                let Begun::Answer(outcome) = begun else { panic!("nobody gets a copy") };
                assert!(message != copy || out.ends_with(&copy[12..]), "it says of what: {out:?}");
                rcodes.push(match outcome {
                    Outcome::Reply { rcode, .. } => Some(rcode),
                    _ => None,
                });
            }
            makers.set(Makers::none(manner.clock.clone(), Arc::default())).ok();
        }
        assert_eq!(rcodes[..3], [Some(Rcode::ServFail); 3]);
        assert_eq!(rcodes[3..], [Some(Rcode::Refused), Some(Rcode::Refused), None]);
    }

    #[test]
    fn one_client_cannot_take_every_seat() {
        // Goal: the limit per client counts an IPv6 /56 as one, and a dropped seat is free again.
        let mut settings = ServerSettings::on(Vec::new());
        (settings.streams_max, settings.streams_per_client_max) = (3, 2);
        let streams = Arc::new(streams(&settings));
        let seat = |text: &str| streams.seat(text.parse().expect("an address"));
        let first = seat("2001:db8:0:1::1").expect("first");
        let _second = seat("2001:db8:0:ff::2").expect("the same /56");
        assert!(seat("2001:db8:0:2::3").is_none());
        let _other = seat("2001:db8:0:100::1").expect("another /56");
        assert!(seat("192.0.2.1").is_none(), "all seats are taken");
        drop(first);
        assert!(seat("::ffff:192.0.2.1").is_some());
    }

    #[test]
    fn frame_needs_all_its_bytes() {
        assert_eq!(frame(b"\0"), None);
        assert_eq!(frame(b"\0\x02a"), None);
        assert_eq!(frame(b"\0\x02abc"), Some(b"ab".as_slice()));
        assert_eq!(frame(b"\0\0"), Some(b"".as_slice()));
    }
}

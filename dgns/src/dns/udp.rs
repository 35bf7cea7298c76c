//! Datagrams: threads of their own, each with its own socket and its own buffers. Nothing is allocated for a query, and no worker waits for another; what they
//! share is the zone, and the count of who was answered how often.

use std::array;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg, sockopt};
use tokio::sync::SetOnce;

use super::answer::{DropReason, Outcome, Rcode, Transport, answer, put_off, slip};
use super::limits::{UDP_BATCH, UDP_BYTES_MAX, UDP_QUERY_BYTES_MAX, UDP_RECEIVE_BYTES};
use super::metrics::Metrics;
use super::proofs::{Asked, Queue};
use super::queries;
use super::rate::{Limiter, Verdict};
use super::reply;
use super::server::Makers;
use super::settings::Manner;
use super::zone::Zone;

/// How long a socket that fails is left alone.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// Binds `count` sockets to one address, of which the kernel picks one by a client's address and port. Port 0 takes a free one.
pub(crate) fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<UdpSocket>> {
    let first = bind_one(address)?;
    let address = first.local_addr()?;
    let others = (1..count).map(|_| bind_one(address));
    std::iter::once(Ok(first)).chain(others).collect()
}

fn bind_one(address: SocketAddr) -> io::Result<UdpSocket> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    // The kernel may grant less; a burst is then lost sooner.
    let _ = sockopt::set_socket_recv_buffer_size(&socket, UDP_RECEIVE_BYTES);
    // Nobody's ICMP makes an answer travel in fragments, into which a stranger could write: answers fit every path (RFC 9715 section 3.1).
    if address.is_ipv4() {
        sockopt::set_ip_mtu_discover(&socket, sockopt::Ipv4PathMtuDiscovery::OMIT)?;
    } else {
        sockopt::set_ipv6_mtu_discover(&socket, sockopt::Ipv6PathMtuDiscovery::OMIT)?;
    }
    bind(&socket, &address)?;
    Ok(UdpSocket::from(socket))
}

/// The sockets of workers that run. When it is dropped they end, once they have answered what they read.
pub(crate) struct Running {
    stop: Arc<AtomicBool>,
    sockets: Vec<Arc<UdpSocket>>,
    /// The way to who makes proofs, if anybody does.
    proofs: Queue,
    makers: Arc<SetOnce<Makers>>,
    limiter: Arc<Limiter>,
}

impl Running {
    pub(crate) fn new(proofs: Queue, makers: Arc<SetOnce<Makers>>, manner: &Manner) -> Self {
        let limiter = Limiter::new(manner.answers_per_s, manner.answers_exempt.clone(), manner.place_key);
        Self { stop: Arc::default(), sockets: Vec::new(), proofs, makers, limiter: Arc::new(limiter) }
    }

    /// Returns the worker of a socket.
    pub(crate) fn worker(
        &mut self,
        socket: UdpSocket,
        zone: Arc<Zone>,
        metrics: Arc<Metrics>,
        manner: Manner,
    ) -> Worker {
        let socket = Arc::new(socket);
        self.sockets.push(socket.clone());
        let (stop, proofs, makers) = (self.stop.clone(), self.proofs.clone(), self.makers.clone());
        let limiter = self.limiter.clone();
        Worker { socket, stop, zone, metrics, manner, limiter, proofs, makers, batch: Batch::new() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for socket in &self.sockets {
            // Nobody is connected, so this is an error, and yet it wakes whoever waits.
            let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
        }
    }
}

/// Answers the datagrams of one socket.
pub(crate) struct Worker {
    socket: Arc<UdpSocket>,
    stop: Arc<AtomicBool>,
    zone: Arc<Zone>,
    metrics: Arc<Metrics>,
    manner: Manner,
    limiter: Arc<Limiter>,
    proofs: Queue,
    makers: Arc<SetOnce<Makers>>,
    batch: Batch,
}

/// Answers that wait to be sent, each with its client.
struct Batch {
    count: usize,
    answers: [Vec<u8>; UDP_BATCH],
    clients: [SocketAddrAny; UDP_BATCH],
}

impl Batch {
    fn new() -> Self {
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        let answers = array::from_fn(|_| Vec::with_capacity(UDP_BYTES_MAX));
        Self { count: 0, answers, clients: array::from_fn(|_| nobody.into()) }
    }

    /// Sends what waits; returns how many could not be sent.
    fn send(&mut self, socket: &UdpSocket) -> usize {
        let (mut at, mut lost) = (0, 0);
        while at < self.count {
            // What the kernel is told is written for as many as it is told of, and most batches are small.
            let sent = match self.count - at {
                1 => self.send_some::<1>(socket, at),
                2..8 => self.send_some::<2>(socket, at),
                8..UDP_BATCH => self.send_some::<8>(socket, at),
                _ => self.send_some::<UDP_BATCH>(socket, at),
            };
            match sent {
                Ok(sent) => at += sent.max(1),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => (at, lost) = (at + 1, lost + 1),
            }
        }
        self.count = 0;
        lost
    }

    /// Sends the `N` answers from `at` on, or some of them; returns how many.
    fn send_some<const N: usize>(&self, socket: &UdpSocket, at: usize) -> rustix::io::Result<usize> {
        let slices: [[IoSlice<'_>; 1]; N] = array::from_fn(|index| [IoSlice::new(&self.answers[at + index])]);
        let mut controls: [SendAncillaryBuffer<'_, '_, '_>; N] = array::from_fn(|_| Default::default());
        let mut index = 0;
        let mut heads = controls.each_mut().map(|control| {
            index += 1;
            MMsgHdr::new_with_addr(&self.clients[at + index - 1], &slices[index - 1], control)
        });
        sendmmsg(socket, &mut heads, SendFlags::empty())
    }
}

impl Worker {
    /// Serves until its [`Running`] is dropped.
    pub(crate) fn run(mut self) {
        let mut buffers = Box::new([[0; UDP_QUERY_BYTES_MAX]; UDP_BATCH]);
        let mut heads = MultiHeaders::<SockaddrStorage>::preallocate(UDP_BATCH, None);
        while !self.stop.load(Ordering::Acquire) {
            let mut slices = buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
            let read = recvmmsg(self.socket.as_raw_fd(), &mut heads, slices.iter_mut(), MsgFlags::MSG_WAITFORONE, None);
            match read {
                Ok(messages) => {
                    let now_s = self.manner.ready();
                    let mut read = [None; UDP_BATCH];
                    for (place, message) in read.iter_mut().zip(messages) {
                        let client = message.address.as_ref().and_then(address_of);
                        let is_whole = !message.flags.contains(MsgFlags::MSG_TRUNC);
                        *place = client.map(|client| (message.bytes.min(UDP_QUERY_BYTES_MAX), is_whole, client));
                    }
                    let read = || buffers.iter().zip(read).filter_map(|(buffer, read)| Some((buffer, read?)));
                    self.zone.read_ahead(read().map(|(buffer, (bytes, ..))| &buffer[..bytes]));
                    for (buffer, (bytes, is_whole, client)) in read() {
                        self.take(&buffer[..bytes], is_whole, client, now_s);
                    }
                    let lost = self.batch.send(&self.socket);
                    (0..lost).for_each(|_| self.metrics.count_drop(DropReason::Send));
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => {
                    tracing::warn!(%error, "DNS socket failed to receive");
                    std::thread::park_timeout(PAUSE_AFTER_ERROR);
                }
            }
        }
    }

    /// Answers one datagram into the batch.
    fn take(&mut self, query: &[u8], is_whole: bool, client: SocketAddr, now_s: u32) {
        let out = &mut self.batch.answers[self.batch.count];
        let outcome = match is_whole {
            true => answer(&self.zone, query, &self.manner.asker(Transport::Udp, client.ip(), now_s), out),
            false => Outcome::Drop(DropReason::Long),
        };
        let outcome = match outcome {
            Outcome::Transfer => {
                let asker = self.manner.asker(Transport::Udp, client.ip(), now_s);
                match self.makers.get() {
                    Some(makers) => makers.transfers.answer(&self.zone, query, &asker, out),
                    None => put_off(query, &asker, out),
                }
            }
            outcome => outcome,
        };
        if !matches!(outcome, Outcome::Proof { .. }) {
            self.metrics.count(Transport::Udp, outcome);
            queries::note(Transport::Udp, client.ip(), query, outcome);
        }
        let (is_known, has_answer, proof) = match outcome {
            Outcome::Reply { rcode, is_known } => (is_known, rcode == Rcode::NoError, false),
            Outcome::Proof { is_known } => (is_known, true, true),
            Outcome::Update | Outcome::Transfer | Outcome::Drop(_) => return,
        };
        let verdict = match is_known {
            true => Verdict::Send,
            false => self.limiter.judge(client.ip(), has_answer, now_s),
        };
        match verdict {
            Verdict::Send if proof => return self.hand_over(query, client),
            Verdict::Send => {}
            Verdict::Slip if proof => slip(query, out),
            Verdict::Slip => reply::slip(out),
            Verdict::Drop => return self.metrics.count_drop(DropReason::Rate),
        }
        self.batch.clients[self.batch.count] = client.into();
        self.batch.count += 1;
    }

    /// Hands a query over to whoever makes proofs, unless too many wait.
    fn hand_over(&self, query: &[u8], client: SocketAddr) {
        let asked = Asked { message: query.to_vec(), client, socket: self.socket.clone() };
        if self.proofs.try_send(asked).is_err() {
            self.metrics.count_drop(DropReason::Busy);
        }
    }
}

fn address_of(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

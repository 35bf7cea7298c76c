//! Relays over TCP, for a WebRTC that asks relays over UDP alone: datagrams go in at a port of loopback, and out to the relay over a
//! connection of their own (RFC 8656, 3.1; RFC 8489, 6.2.2).
//!
//! Both protocols frame themselves: a STUN message says its length, and so does channel data, which over TCP is filled up to four bytes.
//! Nothing is looked into beyond that; who may use a relay is between the relay and WebRTC.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use lobby::message::IceServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// How long the way to a relay may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Sockets of one connection that ask the relay: one for each address of the machine.
const SOURCES_MAX: usize = 8;

/// Datagrams that wait for a relay; those beyond are lost, as datagrams are.
const WAITING_MAX: usize = 256;

/// The bytes of a datagram: the longest that either protocol says.
const DATAGRAM_BYTES_MAX: usize = 65_535 + 20;

/// The way to a relay; it ends with this.
pub(crate) struct Tunnel(JoinHandle<()>);

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns the servers as WebRTC understands them, and what carries those over TCP. Of those over TLS nothing is known here.
pub(crate) async fn servers(ice: &[IceServer]) -> io::Result<(Vec<IceServer>, Vec<Tunnel>)> {
    let (mut servers, mut tunnels) = (Vec::new(), Vec::new());
    for server in ice {
        let mut urls = Vec::new();
        for url in &server.urls {
            match over_tcp(url) {
                Some((host, port)) => {
                    let (at, tunnel) = Tunnel::open(host, port).await?;
                    urls.push(format!("turn:{at}?transport=udp"));
                    tunnels.push(tunnel);
                }
                None if url.starts_with("turns:") || url.starts_with("stuns:") => {}
                None => urls.push(url.clone()),
            }
        }
        if !urls.is_empty() {
            servers.push(IceServer { urls, ..server.clone() });
        }
    }
    Ok((servers, tunnels))
}

/// Returns where a relay over TCP is.
fn over_tcp(url: &str) -> Option<(String, u16)> {
    let at = url.strip_prefix("turn:")?.strip_suffix("?transport=tcp")?;
    let (host, port) = match at.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']')?;
            (host, rest.strip_prefix(':'))
        }
        None => at.split_once(':').map_or((at, None), |(host, port)| (host, Some(port))),
    };
    Some((host.to_owned(), port.map_or(Some(3_478), |port| port.parse().ok())?))
}

impl Tunnel {
    /// Opens the port that leads to a relay; who asks there is connected with it when it asks.
    async fn open(host: String, port: u16) -> io::Result<(SocketAddr, Self)> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let at = socket.local_addr()?;
        Ok((at, Self(tokio::spawn(serve(Arc::new(socket), host, port)))))
    }
}

async fn serve(socket: Arc<UdpSocket>, host: String, port: u16) {
    let mut sources: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
    // Dropped with this task, and its connections with it.
    let mut ways = JoinSet::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let datagram = &buffer[..length];
        sources.retain(|_, source| !source.is_closed());
        if !sources.contains_key(&from) && sources.len() < SOURCES_MAX && is_allocate(datagram) {
            let (send, waiting) = mpsc::channel(WAITING_MAX);
            ways.spawn(carry(socket.clone(), from, (host.clone(), port), waiting));
            sources.insert(from, send);
        }
        if let Some(source) = sources.get(&from)
            && frame_bytes(datagram) == Some(length.next_multiple_of(4))
        {
            let _ = source.try_send(datagram.to_vec());
        }
    }
}

/// Carries datagrams of one socket until its relay ends the connection.
async fn carry(socket: Arc<UdpSocket>, of: SocketAddr, relay: (String, u16), mut waiting: mpsc::Receiver<Vec<u8>>) {
    let Ok(Ok(stream)) = timeout(CONNECT, TcpStream::connect(relay)).await else { return };
    let _ = stream.set_nodelay(true);
    let (mut reading, mut writing) = stream.into_split();
    let out = async {
        while let Some(mut datagram) = waiting.recv().await {
            datagram.resize(datagram.len().next_multiple_of(4), 0);
            if writing.write_all(&datagram).await.is_err() {
                return;
            }
        }
    };
    let back = async {
        let mut bytes = BytesMut::with_capacity(16_384);
        while reading.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
            while let Some(length) = frame_bytes(&bytes).filter(|length| *length <= bytes.len()) {
                let _ = socket.send_to(&bytes[..length], of).await;
                bytes.advance(length);
            }
            if bytes.len() >= 4 && frame_bytes(&bytes).is_none() {
                return; // it speaks something else
            }
        }
    };
    tokio::select! {
        () = out => {}
        () = back => {}
    }
}

/// Returns how many bytes the frame has that begins here; `None` if none does, or its head is not whole.
fn frame_bytes(bytes: &[u8]) -> Option<usize> {
    let head = bytes.first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    match head[0] >> 6 {
        0 => Some(20 + length).filter(|_| length.is_multiple_of(4)),
        1 => Some((4 + length).next_multiple_of(4)),
        _ => None,
    }
}

fn is_allocate(datagram: &[u8]) -> bool {
    datagram.starts_with(&[0, 3])
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn urls_of_relays_over_tcp_are_read() {
        for (url, expected) in [
            ("turn:relay.example:3479?transport=tcp", Some(("relay.example", 3_479))),
            ("turn:relay.example?transport=tcp", Some(("relay.example", 3_478))),
            ("turn:[2001:db8::1]:5?transport=tcp", Some(("2001:db8::1", 5))),
            ("turn:[2001:db8::1]?transport=tcp", Some(("2001:db8::1", 3_478))),
            ("turn:relay.example:3478?transport=udp", None),
            ("turn:relay.example:x?transport=tcp", None),
            ("turns:relay.example?transport=tcp", None),
            ("stun:relay.example", None),
        ] {
            assert_eq!(over_tcp(url), expected.map(|(host, port)| (host.to_owned(), port)), "{url}");
        }
    }

    #[tokio::test]
    async fn frames_cross_whole_however_they_are_cut() {
        // Goal: one datagram is one frame both ways. Method: a relay that is a plain listener, which answers in single bytes and in one piece.
        let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, _tunnel) = Tunnel::open("127.0.0.1".to_owned(), relay.local_addr().unwrap().port()).await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(b"\x40\x00\x00\x01x", at).await.unwrap(); // before it has allocated, and so for nobody
        let allocate = [&[0, 3, 0, 4, 0x21, 0x12, 0xa4, 0x42][..], &[7; 16]].concat();
        socket.send_to(&allocate, at).await.unwrap();
        let (mut stream, _) = relay.accept().await.unwrap();
        let mut read = vec![0; 24];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(read, allocate);
        socket.send_to(b"\x80 what is no frame", at).await.unwrap();
        socket.send_to(b"\x40\x00\x00\x05hello", at).await.unwrap();
        let mut read = vec![0; 12];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(read, b"\x40\x00\x00\x05hello\0\0\0");
        let back = [&allocate[..], b"\x40\x01\x00\x02ab\0\0", b"\x40\x01\x00\x00"].concat();
        for byte in &back {
            stream.write_all(&[*byte]).await.unwrap();
        }
        stream.write_all(&back).await.unwrap();
        let mut buffer = [0; 100];
        for _ in 0..2 {
            for expected in [&allocate[..], b"\x40\x01\x00\x02ab\0\0", b"\x40\x01\x00\x00"] {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                assert_eq!((&buffer[..length], from), (expected, at));
            }
        }
        stream.write_all(b"\xc0 what is no frame").await.unwrap();
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 0, "whoever speaks something else is left");
    }
}

//! DNS over QUIC: each query and its answer on a stream of their own, in a frame as over TCP (RFC 9250). The DNS part's room of quinn.
//!
//! Nobody is served whose address is not known to be his: each new client is sent back once with a token (RFC 9000 section 8.1). Copies of the zone are not
//! given here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, Incoming, RecvStream, SendStream, ServerConfig, TransportConfig, VarInt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answer::{DropReason, Outcome, Transport};
use super::limits::{
    QUERY_BYTES_MAX, QUIC_BYTES_MAX, QUIC_CLOSE, QUIC_INCOMING_MAX, QUIC_SEND_BYTES_MAX, QUIC_STREAMS_MAX,
};
use super::metrics::Metrics;
use super::stream::{Client, PREFIX_BYTES, Streams, frame};
use super::tls::Tls;
use super::zone::Zone;
use crate::shutdown;

/// Why a connection or a stream ends (RFC 9250 section 8.4).
const NO_ERROR: VarInt = VarInt::from_u32(0);
const INTERNAL_ERROR: VarInt = VarInt::from_u32(1);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);

/// The longest query with its length before it.
const MESSAGE_BYTES_MAX: usize = PREFIX_BYTES + QUERY_BYTES_MAX;

/// The id of every message: streams tell answers apart (RFC 9250 section 4.2.1).
const ID: [u8; 2] = [0, 0];

/// An address where QUIC is spoken.
pub(crate) struct Listener(Endpoint);

impl Listener {
    /// Binds an address. Errors: it cannot be bound.
    pub(crate) fn bind(address: SocketAddr, tls: &Tls) -> io::Result<Self> {
        let crypto = QuicServerConfig::try_from(tls.quic().clone()).map_err(io::Error::other)?;
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(QUIC_STREAMS_MAX))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .datagram_receive_buffer_size(None)
            .receive_window(VarInt::from_u32(QUIC_BYTES_MAX))
            .stream_receive_window(VarInt::from_u32(MESSAGE_BYTES_MAX as u32))
            .send_window(QUIC_SEND_BYTES_MAX);
        let mut config = ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(Arc::new(transport)).migration(false).max_incoming(QUIC_INCOMING_MAX);
        Endpoint::server(config, address).map(Self)
    }

    /// Returns where it is bound.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Takes connections until `stop`; returns when the last one has ended.
    pub(crate) async fn accept(
        self,
        streams: Arc<Streams>,
        zone: Arc<Zone>,
        metrics: Arc<Metrics>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut connections = JoinSet::new();
        loop {
            let incoming = tokio::select! {
                () = shutdown::requested(&mut stop) => break,
                Some(_ended) = connections.join_next() => continue,
                incoming = self.0.accept() => incoming,
            };
            match incoming {
                None => break,
                Some(incoming) if !incoming.remote_address_validated() => {
                    let _whoever_cannot_come_back_stays_away = incoming.retry();
                }
                Some(incoming) => match streams.seat(incoming.remote_address().ip()) {
                    None => {
                        metrics.count_drop(DropReason::Connections);
                        incoming.refuse();
                    }
                    Some(seat) => {
                        let client = Client::on(seat, zone.clone(), metrics.clone(), stop.clone());
                        connections.spawn(serve(incoming, client));
                    }
                },
            }
        }
        while connections.join_next().await.is_some() {}
        self.0.close(NO_ERROR, b"");
        let _whoever_heard_nothing_finds_out = timeout(QUIC_CLOSE, self.0.wait_idle()).await;
    }
}

/// Serves one connection until the client leaves, asks nothing for too long, or the server stops.
async fn serve(incoming: Incoming, mut client: Client) {
    let handshake = async { incoming.accept()?.await.map_err(io::Error::from) };
    let Some(connection) = client.shake_hands(handshake).await else { return };
    let ((idle, partial), mut stop) = (client.patience(), client.stopping());
    let (client, mut asked) = (Arc::new(client), JoinSet::new());
    loop {
        tokio::select! {
            () = shutdown::requested(&mut stop) => break,
            Some(_ended) = asked.join_next() => {}
            stream = timeout(idle, connection.accept_bi()) => match stream {
                Ok(Ok((send, receive))) => {
                    asked.spawn(answer(client.clone(), connection.clone(), send, receive, partial));
                }
                Ok(Err(_left)) => break,
                Err(_) if asked.is_empty() => break,
                Err(_) => {}
            },
        }
    }
    // What was taken is answered, or at least done.
    while asked.join_next().await.is_some() {}
    connection.close(NO_ERROR, b"");
}

/// Reads to the end of a stream, or past [`MESSAGE_BYTES_MAX`]. In order: what is copied pins no datagram that it came in. Errors: the client left.
async fn read(receive: &mut RecvStream, bytes: &mut Vec<u8>) -> Result<(), quinn::ReadError> {
    let mut some = [0; 512];
    while bytes.len() <= MESSAGE_BYTES_MAX
        && let Some(length) = receive.read(&mut some).await?
    {
        bytes.extend_from_slice(&some[..length]);
    }
    Ok(())
}

/// Answers the query of one stream; closes the connection of a client that does not keep to RFC 9250.
async fn answer(
    client: Arc<Client>,
    connection: Connection,
    mut send: SendStream,
    mut receive: RecvStream,
    partial: Duration,
) {
    let close = || {
        client.count_drop(DropReason::Request);
        connection.close(PROTOCOL_ERROR, b"");
    };
    let mut bytes = Vec::new();
    match timeout(partial, read(&mut receive, &mut bytes)).await {
        Ok(Ok(())) if bytes.len() <= MESSAGE_BYTES_MAX => {}
        Ok(Ok(())) => return close(),
        Ok(Err(_left)) => return,
        Err(_) => {
            client.count_drop(DropReason::Slow);
            let _either_may_be_gone = (receive.stop(EXCESSIVE_LOAD), send.reset(EXCESSIVE_LOAD));
            return;
        }
    }
    let whole = frame(&bytes).filter(|message| PREFIX_BYTES + message.len() == bytes.len());
    let Some(message) = whole.filter(|message| message.starts_with(&ID)) else { return close() };
    let mut out = Vec::new();
    let Outcome::Reply { .. } = client.answer_alone(message, Transport::Quic, &mut out).await else {
        let _may_be_gone = send.reset(INTERNAL_ERROR);
        return;
    };
    let length = u16::try_from(out.len()).expect("answer() keeps to STREAM_BYTES_MAX, which is a u16");
    let whole = [&length.to_be_bytes(), out.as_slice()].concat();
    let sent = timeout(partial, async {
        send.write_all(&whole).await.is_ok() && send.finish().is_ok() && send.stopped().await.is_ok()
    });
    if sent.await.is_err() {
        client.count_drop(DropReason::Slow);
        let _may_be_gone = send.reset(EXCESSIVE_LOAD);
    }
}

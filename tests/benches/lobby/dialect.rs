//! The same conversation in the words of each server: open and be known, ask, be asked, answer, go on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_with_config};

use crate::process::Process;
use crate::{bare, matchbox, ours, peerjs};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message's payload: with the frame around it about 300 bytes.
pub const PAYLOAD: &str = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host generation 0 ufrag ufrg network-cost 999 and what else a \
                           browser writes into a line of this kind, which makes some two hundred bytes in all";

/// A server that is measured.
#[derive(Clone)]
pub enum Service {
    Bare,
    PeerJs,
    Matchbox,
    Ours(Arc<Vec<ours::Person>>),
}

impl Service {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bare => "bare relay",
            Self::PeerJs => "PeerJS server",
            Self::Matchbox => "matchbox_server",
            Self::Ours(_) => "dgnsd",
        }
    }

    /// Starts a peer.
    pub fn start(&self) -> Result<Process, String> {
        match self {
            Self::Bare => bare::start(),
            Self::PeerJs => peerjs::start(),
            Self::Matchbox => matchbox::start(),
            Self::Ours(_) => Err("is started with its people".to_owned()),
        }
    }
}

/// One end of a connection.
pub enum End {
    Bare(bare::End),
    PeerJs(peerjs::End),
    Matchbox(matchbox::End),
    Ours(Box<ours::End>),
}

macro_rules! each {
    ($end:expr, $it:ident => $do:expr) => {
        match $end {
            End::Bare($it) => $do,
            End::PeerJs($it) => $do,
            End::Matchbox($it) => $do,
            End::Ours($it) => $do,
        }
    };
}

impl End {
    /// Opens the connection of a number, known under a name.
    pub async fn open(service: &Service, at: SocketAddr, number: usize) -> Self {
        match service {
            Service::Bare => Self::Bare(bare::End::open(at, number).await),
            Service::PeerJs => Self::PeerJs(peerjs::End::open(at, number).await),
            Service::Matchbox => Self::Matchbox(matchbox::End::open(at, number).await),
            Service::Ours(people) => Self::Ours(Box::new(ours::End::open(at, number, people.clone()).await)),
        }
    }

    pub fn number(&self) -> usize {
        each!(self, end => end.number)
    }

    /// Learns what it must know of the other, and the other of it, before the clock runs.
    pub async fn meets(&mut self, other: &mut Self) {
        match (self, other) {
            (Self::Bare(_), Self::Bare(_)) => {}
            (Self::PeerJs(one), Self::PeerJs(other)) => one.meets(other),
            (Self::Matchbox(one), Self::Matchbox(other)) => one.meets(other).await,
            (Self::Ours(one), Self::Ours(other)) => one.meets(other),
            _ => unreachable!("both ends are at one server"),
        }
    }

    pub async fn ask(&mut self) {
        match self {
            Self::PeerJs(end) => end.ask().await,
            _ => self.send().await,
        }
    }

    pub async fn answer(&mut self) {
        match self {
            Self::PeerJs(end) => end.answer().await,
            _ => {
                self.receive().await;
                self.send().await;
            }
        }
    }

    pub async fn answered(&mut self) {
        match self {
            Self::PeerJs(end) => end.answered().await,
            _ => self.receive().await,
        }
    }

    pub async fn send(&mut self) {
        each!(self, end => end.send().await);
    }

    pub async fn receive(&mut self) {
        each!(self, end => end.receive().await);
    }
}

/// A WebSocket with small buffers.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn open(at: SocketAddr, path: &str, protocol: Option<&'static str>) -> Self {
        let mut request = format!("ws://{at}{path}").into_client_request().expect("a URL");
        if let Some(protocol) = protocol {
            request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(protocol));
        }
        let sizes = WebSocketConfig::default().read_buffer_size(2_048).write_buffer_size(0);
        let stream =
            timeout(PATIENCE, TcpStream::connect(at)).await.expect("the server answers").expect("a connection");
        stream.set_nodelay(true).expect("a TCP socket");
        let opened = client_async_with_config(request, MaybeTlsStream::Plain(stream), Some(sizes));
        Self(timeout(PATIENCE, opened).await.expect("the server answers").expect("a WebSocket").0)
    }

    pub async fn send(&mut self, message: Message) {
        self.0.send(message).await.expect("the server reads");
    }

    /// Returns the next message with contents.
    pub async fn next(&mut self) -> Message {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.expect("the server says something");
            match message.expect("the socket stays open").expect("the socket works") {
                Message::Ping(_) | Message::Pong(_) => {}
                Message::Close(why) => panic!("the server closed: {why:?}"),
                message => return message,
            }
        }
    }

    pub async fn text(&mut self) -> String {
        match self.next().await {
            Message::Text(text) => text.to_string(),
            other => panic!("text is spoken here, not {other:?}"),
        }
    }
}

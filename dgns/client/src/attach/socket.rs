//! The WebSocket to a lobby: the room of tungstenite. Frames go in and out, everything else is how it ended.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use lobby::limits::{DEAD_MS, FRAME_BYTES_MAX};
use lobby::message::{Form, Frame};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// How long a connection and each write may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The library's own buffer is made for large messages, and zeroed at every read.
const READ_BUFFER: usize = 16_384;

/// A socket.
pub(super) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What a socket gives.
pub(super) enum Heard {
    /// A frame, with the bytes it came in.
    Frame(Frame, Vec<u8>),
    /// Nothing to act upon.
    Nothing,
    /// It ended, with the WebSocket code and reason if they were said.
    Ended { close: u16, why: String },
}

impl Socket {
    /// Opens the socket at `url`.
    pub(super) async fn open(url: &str) -> Result<Self, String> {
        let mut request = url.into_client_request().map_err(|error| error.to_string())?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("dgns.lobby.v1+cbor"));
        let sizes = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(FRAME_BYTES_MAX + 1))
            .max_frame_size(Some(FRAME_BYTES_MAX + 1));
        match timeout(PATIENCE, connect_async_with_config(request, Some(sizes), true)).await {
            Ok(Ok((stream, _))) => Ok(Self(stream)),
            Ok(Err(Error::Http(answer))) => Err(format!("{url}: HTTP status {}", answer.status())),
            Ok(Err(error)) => Err(format!("{url}: {error}")),
            Err(_) => Err(format!("{url} did not answer")),
        }
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, frame: &Frame) -> Result<(), String> {
        let message = Message::binary(frame.encode(Form::Cbor));
        match timeout(PATIENCE, self.0.send(message)).await {
            Ok(sent) => sent.map_err(|error| error.to_string()),
            Err(_) => Err("the lobby does not read".to_owned()),
        }
    }

    /// Waits for what comes next; a lobby that is silent for a minute is gone.
    pub(super) async fn hear(&mut self) -> Heard {
        let ended = |close, why: String| Heard::Ended { close, why };
        match timeout(Duration::from_millis(DEAD_MS), self.0.next()).await {
            Err(_) => ended(0, "the lobby is silent".to_owned()),
            Ok(None) => ended(0, "the socket closed".to_owned()),
            Ok(Some(Err(error))) => ended(0, error.to_string()),
            Ok(Some(Ok(Message::Binary(bytes)))) => match Frame::decode(&bytes, Form::Cbor) {
                Ok(frame) => Heard::Frame(frame, bytes.to_vec()),
                Err(error) => ended(0, format!("the lobby sends what is no frame: {error}")),
            },
            Ok(Some(Ok(Message::Close(Some(close))))) => ended(close.code.into(), close.reason.to_string()),
            Ok(Some(Ok(Message::Close(None)))) => ended(0, "the socket closed".to_owned()),
            Ok(Some(Ok(_))) => Heard::Nothing,
        }
    }
}

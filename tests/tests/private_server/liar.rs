//! A lobby that lies: it stands between unmodified ends and a real server, passes on everything else, and does with frames what it likes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use dgns_tests::harness::Server;
use futures_util::{SinkExt as _, StreamExt as _};
use lobby::message::{Form, Frame};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{accept_hdr_async, client_async};

const FORM: &str = "dgns.lobby.v1+cbor";

/// Where a frame is on its way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// From either end to the server.
    Server,
    /// From the server to whoever hosts.
    Host,
    /// From the server to whoever does not.
    Client,
}

/// What becomes of a frame: nothing, itself, or others.
pub(crate) type Lie = Box<dyn FnMut(To, Frame) -> Vec<Frame> + Send>;

/// A running liar.
pub(crate) struct Liar {
    pub url: String,
    lie: Arc<Mutex<Lie>>,
    _runtime: tokio::runtime::Runtime,
}

impl Liar {
    /// Starts one before a server; it tells the truth until it is told a lie.
    pub(crate) fn before(server: &Server) -> Self {
        Self::between(server, server)
    }

    /// As [`Liar::before`], before two servers: all is of the first, but the lobby of the second.
    pub(crate) fn between(server: &Server, lobby: &Server) -> Self {
        Self::of(server.http, lobby.http)
    }

    /// As [`Liar::between`], before whatever answers there.
    pub(crate) fn of(server: SocketAddr, lobby: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let lie: Arc<Mutex<Lie>> = Arc::new(Mutex::new(Box::new(|_, frame| vec![frame])));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let own = listener.local_addr().unwrap();
        let (upstream, told) = ([server, lobby], lie.clone());
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let told = told.clone();
                tokio::spawn(async move { stand_between(stream, own, upstream, told).await });
            }
        });
        Self { url: format!("http://{own}"), lie, _runtime: runtime }
    }

    /// Lies like this from now on.
    pub(crate) fn tells(&self, lie: impl FnMut(To, Frame) -> Vec<Frame> + Send + 'static) {
        *self.lie.lock().unwrap() = Box::new(lie);
    }
}

/// Passes a connection on; one that becomes a socket of the lobby frame by frame.
async fn stand_between(mut stream: TcpStream, own: SocketAddr, upstream: [SocketAddr; 2], lie: Arc<Mutex<Lie>>) {
    let mut begin = [0; 13];
    while matches!(stream.peek(&mut begin).await, Ok(read) if read > 0 && read < begin.len()) {
        tokio::task::yield_now().await;
    }
    let of_lobby = &begin == b"GET /v1/lobby";
    let Ok(mut beyond) = TcpStream::connect(upstream[usize::from(of_lobby)]).await else { return };
    if !of_lobby {
        let _ = copy_bidirectional(&mut stream, &mut beyond).await;
        return;
    }
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    let chosen = |_: &Request, mut answer: Response| -> Result<Response, ErrorResponse> {
        answer.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(FORM));
        Ok(answer)
    };
    let Ok(mut near) = accept_hdr_async(stream, chosen).await else { return };
    // The server believes that it is reached where the liar is.
    let mut request = format!("ws://{own}/v1/lobby").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(FORM));
    let Ok((mut far, _)) = client_async(request, beyond).await else { return };
    let mut hosts = false;
    loop {
        let (message, to) = tokio::select! {
            message = near.next() => (message, To::Server),
            message = far.next() => (message, if hosts { To::Host } else { To::Client }),
        };
        let Some(Ok(message)) = message else { return };
        let frames = match &message {
            Message::Binary(bytes) => match Frame::decode(bytes, Form::Cbor) {
                Ok(frame) => {
                    hosts |= matches!(frame, Frame::Register { .. });
                    (lie.lock().unwrap())(to, frame)
                }
                Err(_) => return,
            },
            Message::Ping(_) | Message::Pong(_) => continue,
            _ => return,
        };
        for frame in frames {
            // Whatever a lie makes of a frame goes on; a lie to the other end goes through the server as well.
            let message = Message::binary(frame.encode(Form::Cbor));
            let sent = if to == To::Server { far.send(message).await } else { near.send(message).await };
            if sent.is_err() {
                return;
            }
        }
    }
}

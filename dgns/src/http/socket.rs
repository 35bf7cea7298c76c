//! `GET /v1/lobby`: the lobby's socket (PROTOCOL 23.1). One task a connection, which only reads; who has something to say to it writes
//! (`crate::lobby::Outbox`). While nothing comes a connection has no buffer: all of a thread read into one.

pub(super) mod handshake;

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header;
use dgns_api::code;
use lobby::message::{Form, Frame};
use lobby::websocket::{Fault, Incoming, Said};
use lobby::{ConnId, Input, Refusal, limits};
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::runtime::Handle;

use super::Shared;
use super::reply::Reply;
use crate::lobby::{Node, Outbox, Socket, Wanted};
use crate::problem;
use crate::tokens::Tokens;

/// The subprotocols, the first preferred.
const FORMS: [(&str, Form); 2] = [("dgns.lobby.v1+cbor", Form::Cbor), ("dgns.lobby.v1+json", Form::Json)];

/// What is read of a socket at once: the largest message, dozens of cards.
const READ_BYTES: usize = limits::FRAME_BYTES_MAX;

/// The WebSocket code of what is not its protocol.
const NO_WEBSOCKET: u16 = 1002;

thread_local! {
    /// What was read last, of whichever socket.
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// Opens a socket.
pub(super) async fn open(
    State(app): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    mut request: Request,
) -> Reply {
    let node = app.lobby.clone();
    let node = node.ok_or_else(|| problem::problem(code::NOT_FOUND, "this server has no lobby ([lobby] enabled)"))?;
    let asked = handshake::Asked::of(&mut request)?;
    let form = FORMS.into_iter().find(|(name, _)| asked.speaks(request.headers(), name));
    let (protocol, form) = form.ok_or_else(|| {
        problem::problem(code::BAD_SUBPROTOCOL, "the subprotocol is dgns.lobby.v1+cbor or dgns.lobby.v1+json")
    })?;
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    let tokens = app.tokens.clone();
    let begin = move |stream, read_already| begin(node, stream, read_already, from, host, form, tokens);
    Ok(asked.agreed(protocol, begin))
}

/// Begins to serve a connection on the lobby's thread, in a task of its own: what it took to get here is not kept.
fn begin(
    node: Arc<Node>,
    stream: TcpStream,
    mut read: Vec<u8>,
    from: SocketAddr,
    host: Option<String>,
    form: Form,
    tokens: Option<Arc<Tokens>>,
) {
    let (elsewhere, stream) = (Handle::current(), stream.into_std());
    let setting = node.clone();
    setting.serve(async move {
        // It belongs to the thread from here on, and can be written to once the thread knows.
        let Ok(stream) = stream.and_then(TcpStream::from_std) else { return };
        if stream.writable().await.is_err() {
            return;
        }
        let (socket, write) = stream.into_split();
        let outbox = Arc::new(Outbox::new(write, form));
        let opened = node.open(from, host.as_deref(), form, &outbox);
        let conn = opened.conn;
        let stranger = Some(Box::new(Stranger { socket: opened, elsewhere, tokens }));
        let mut connection = Connection { node, conn, outbox, socket, incoming: Incoming::default(), form, stranger };
        let next = connection.take(&mut read);
        tokio::spawn(connection.serve(next));
    });
}

/// A connection while it lasts.
struct Connection {
    node: Arc<Node>,
    conn: ConnId,
    outbox: Arc<Outbox>,
    socket: OwnedReadHalf,
    incoming: Incoming,
    form: Form,
    /// Until its hello came.
    stranger: Option<Box<Stranger>>,
}

/// What is known of a connection before its hello.
struct Stranger {
    socket: Socket,
    /// Where a hello is judged: signatures take the time of a dozen messages.
    elsewhere: Handle,
    /// Who knows of tokens that a hello shows.
    tokens: Option<Arc<Tokens>>,
}

/// What comes next with a connection.
enum Next {
    /// To read.
    Read,
    /// The first message, which takes its time to be judged.
    First(Vec<u8>),
    /// To wait until it is written what waits.
    Drain,
    /// Its end.
    End,
}

impl Connection {
    async fn serve(mut self, mut next: Next) {
        loop {
            // Boxed: what is rare takes no room in the tasks of all those who wait.
            next = match next {
                Next::Read => poll_fn(|context| self.read(context)).await,
                Next::First(message) => Box::pin(self.first(message)).await,
                Next::Drain => match Box::pin(self.outbox.drained()).await {
                    true => Next::Read,
                    false => Next::End,
                },
                Next::End => break,
            };
        }
        self.node.closed(self.conn);
    }

    fn read(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        match self.outbox.wanted(context) {
            Poll::Ready(Wanted::Drain) => return Poll::Ready(Next::Drain),
            Poll::Ready(Wanted::Drop) => return Poll::Ready(Next::End),
            Poll::Pending => {}
        }
        READ.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            match ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => Poll::Ready(self.take(buffer.filled_mut())),
                _ => Poll::Ready(Next::End),
            }
        })
    }

    /// Takes the first message, and what came behind it meanwhile.
    async fn first(&mut self, message: Vec<u8>) -> Next {
        if let Some(stranger) = self.stranger.take() {
            let (node, form) = (self.node.clone(), self.form);
            let elsewhere = stranger.elsewhere.clone();
            let judged = elsewhere
                .spawn(async move { node.first(&stranger.socket, &message, form, stranger.tokens.as_deref()).await });
            if judged.await.is_err() {
                return Next::End;
            }
        }
        self.take(&mut [])
    }

    /// Takes bytes: all the messages in them at once.
    fn take(&mut self, bytes: &mut [u8]) -> Next {
        let (conn, form, outbox) = (self.conn, self.form, &self.outbox);
        let (mut turn, mut first, mut next) = (self.node.turn(), self.stranger.is_some(), Next::Read);
        let fed = self.incoming.feed(bytes, &mut |said| {
            let message = match (said, form) {
                (Said::Binary(bytes), Form::Cbor) | (Said::Text(bytes), Form::Json) => bytes,
                (Said::Binary(_), Form::Json) | (Said::Text(_), Form::Cbor) => {
                    turn.put(Input::Refused { conn, refusal: Refusal::BadForm });
                    return ControlFlow::Continue(());
                }
                (Said::Ping(payload), _) => {
                    if outbox.pong(payload) {
                        turn.touched(outbox);
                    }
                    turn.put(Input::Alive { conn });
                    return ControlFlow::Continue(());
                }
                (Said::Pong, _) => {
                    turn.put(Input::Alive { conn });
                    return ControlFlow::Continue(());
                }
                (Said::Close(code), _) => {
                    outbox.end(code, "");
                    next = Next::End;
                    return ControlFlow::Break(());
                }
            };
            if std::mem::take(&mut first) {
                next = Next::First(message.to_vec());
                return ControlFlow::Break(());
            }
            turn.put(Input::Frame { conn, frame: Frame::decode(message, form) });
            ControlFlow::Continue(())
        });
        match fed {
            Ok(()) => {}
            Err(Fault::TooLarge) => turn.put(Input::Refused { conn, refusal: Refusal::TooLarge }),
            Err(Fault::Protocol) => {
                outbox.end(Some(NO_WEBSOCKET), "");
                next = Next::End;
            }
        }
        turn.end();
        if matches!(next, Next::End) {
            self.outbox.flush();
        }
        next
    }
}

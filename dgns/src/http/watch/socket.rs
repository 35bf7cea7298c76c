//! `GET /v1/watch/socket`: a watch whose reader says at any time which logs it watches too, and which no more (PROTOCOL 25.14).
//!
//! While nothing comes a connection has no buffer: all of a thread read into one.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::{FromRequest as _, Request, State};
use dgns_api::code;
use dgns_api::store::watch::{Ask, News};
use identity::wire::WireError;
use lobby::limits::FRAME_BYTES_MAX;
use lobby::websocket::{self, Fault, Incoming, Opcode, Said};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use super::super::Shared;
use super::super::caller::Asking;
use super::super::frames::HEARTBEAT;
use super::super::reply::Reply;
use super::super::socket::handshake;
use super::super::store::databases;
use super::{may_ask, news};
use crate::app::App;
use crate::limits::{WATCH_PACE_MS, WATCH_STALLED};
use crate::store::Watcher;
use crate::{problem, shutdown};

const SUBPROTOCOL: &str = "dgns.watch.v1";

/// Codes of RFC 6455 section 7.4.1: the server stops; not its protocol; refused, with our code as the reason; too large.
const GOING_AWAY: u16 = 1001;
const NO_WEBSOCKET: u16 = 1002;
const REFUSED: u16 = 1008;
const TOO_LARGE: u16 = 1009;

thread_local! {
    /// What was read last, of whichever socket.
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; FRAME_BYTES_MAX]);
}

/// Opens a socket, to a signed request.
pub(super) async fn open(State(app): Shared, mut request: Request) -> Reply {
    let asked = handshake::Asked::of(&mut request)?;
    if !asked.speaks(request.headers(), SUBPROTOCOL) {
        return Err(problem::problem(code::BAD_SUBPROTOCOL, "the subprotocol is dgns.watch.v1").into());
    }
    let asking = Asking::from_request(request, &app).await?;
    let watcher = databases(&app)?.watch(&asking.caller, Vec::new()).ok_or_else(problem::busy_streams)?;
    let begin = move |stream, read: Vec<u8>| {
        let now = Instant::now();
        let incoming = Incoming::default();
        let socket = Socket { stream, incoming, watcher, app, told: now, heard: now, out: Vec::new() };
        tokio::spawn(socket.serve(read));
    };
    Ok(asked.agreed(SUBPROTOCOL, begin))
}

/// A connection while it lasts.
struct Socket {
    stream: TcpStream,
    incoming: Incoming,
    watcher: Watcher,
    app: Arc<App>,
    /// When something was told last.
    told: Instant,
    /// When something came last.
    heard: Instant,
    /// What is to be written.
    out: Vec<u8>,
}

/// What happened to one.
enum Event {
    /// The server stops.
    Stop,
    /// There is something to read.
    Came,
    /// There may be something to tell.
    Grown,
    /// Neither for long.
    Silent,
}

impl Socket {
    /// Serves a connection to its end. `read`: what was read of it already.
    async fn serve(mut self, mut read: Vec<u8>) {
        websocket::put(&mut self.out, Opcode::Text, b"now");
        let (mut stop, mut beat) = (self.app.stopping.clone(), Instant::now() + HEARTBEAT);
        let mut flow = self.take(&mut read);
        drop(read);
        loop {
            // Boxed: what is rare takes no room in the tasks of all those who wait.
            if !self.out.is_empty() && !Box::pin(self.flush()).await || flow.is_break() {
                return;
            }
            let Self { stream, watcher, told, .. } = &mut self;
            let event = tokio::select! {
                () = shutdown::requested(&mut stop) => Event::Stop,
                _ = stream.readable() => Event::Came,
                () = grown(watcher, *told) => Event::Grown,
                () = sleep_until(beat) => Event::Silent,
            };
            flow = match event {
                Event::Stop => {
                    websocket::put_close(&mut self.out, Some(GOING_AWAY), "");
                    ControlFlow::Break(())
                }
                Event::Came => self.read(),
                Event::Grown => Box::pin(self.tell()).await,
                Event::Silent => {
                    beat = Instant::now() + HEARTBEAT;
                    Box::pin(self.beat()).await
                }
            };
        }
    }

    /// Writes what is to be written; returns whether it could.
    async fn flush(&mut self) -> bool {
        let out = std::mem::take(&mut self.out);
        matches!(timeout(WATCH_STALLED, self.stream.write_all(&out)).await, Ok(Ok(())))
    }

    /// Reads what came.
    fn read(&mut self) -> ControlFlow<()> {
        READ.with_borrow_mut(|buffer| match self.stream.try_read(buffer) {
            Ok(0) => ControlFlow::Break(()),
            Ok(count) => self.take(&mut buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })
    }

    /// Takes bytes that came: all the messages in them. Breaks where the connection ends.
    fn take(&mut self, bytes: &mut [u8]) -> ControlFlow<()> {
        let Self { incoming, watcher, app, out, heard, .. } = self;
        let mut flow = ControlFlow::Continue(());
        *heard = Instant::now();
        let mut end = |out: &mut Vec<u8>, number, why| {
            websocket::put_close(out, number, why);
            flow = ControlFlow::Break(());
            flow
        };
        let fed = incoming.feed(bytes, &mut |said| {
            let asked = match said {
                Said::Binary(bytes) => Ask::decode(bytes),
                Said::Text(_) => Err(WireError::Unexpected),
                Said::Ping(payload) => {
                    websocket::put(out, Opcode::Pong, payload);
                    return ControlFlow::Continue(());
                }
                Said::Pong => return ControlFlow::Continue(()),
                Said::Close(number) => return end(out, number, ""),
            };
            match asked {
                Ok(Ask::Watch(logs)) => match databases(app).is_ok_and(|databases| watcher.more(databases, logs)) {
                    true => ControlFlow::Continue(()),
                    false => end(out, Some(REFUSED), code::BUSY),
                },
                Ok(Ask::Leave(logs)) => {
                    watcher.leave(&logs);
                    ControlFlow::Continue(())
                }
                Err(error) => end(out, Some(REFUSED), error.code()),
            }
        });
        match fed {
            Ok(()) => {}
            Err(Fault::TooLarge) => drop(end(out, Some(TOO_LARGE), "")),
            Err(Fault::Protocol) => drop(end(out, Some(NO_WEBSOCKET), "")),
        }
        flow
    }

    /// Tells what there is to tell; breaks if the device may not ask any more, or the database failed.
    async fn tell(&mut self) -> ControlFlow<()> {
        let Some(news) = news(&self.app, &mut self.watcher).await else { return ControlFlow::Break(()) };
        self.told = Instant::now();
        if !news.is_empty() {
            let lines: String = news.iter().map(News::line).collect();
            websocket::put(&mut self.out, Opcode::Text, lines.as_bytes());
        }
        ControlFlow::Continue(())
    }

    /// Asks whether somebody is there; breaks if nobody was for long, or the device may not ask any more.
    async fn beat(&mut self) -> ControlFlow<()> {
        if self.heard.elapsed() > HEARTBEAT * 3 || !may_ask(&self.app, &self.watcher).await {
            return ControlFlow::Break(());
        }
        websocket::put(&mut self.out, Opcode::Ping, &[]);
        ControlFlow::Continue(())
    }
}

/// Waits until there may be something to tell, and may be told.
async fn grown(watcher: &mut Watcher, told: Instant) {
    sleep_until(told + Duration::from_millis(WATCH_PACE_MS)).await;
    watcher.wait().await;
}

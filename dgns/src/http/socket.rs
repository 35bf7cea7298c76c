//! `GET /v1/lobby`: the lobby's socket (PROTOCOL 23.1). One task a connection: it reads, it writes, it waits for neither while the other
//! can go on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse as _;
use dgns_api::code;
use lobby::message::Form;
use lobby::{ConnId, Refusal, limits};
use tracing::debug;

use super::Shared;
use super::reply::{Refused, Reply};
use crate::lobby::{Node, Socket, Waiting};
use crate::problem;

/// The subprotocols, the first preferred.
const FORMS: [(&str, Form); 2] = [("dgns.lobby.v1+cbor", Form::Cbor), ("dgns.lobby.v1+json", Form::Json)];

/// The library's own buffers are made for large messages, and zeroed at every read.
const READ_BUFFER: usize = 2_048;

/// How long one write may take.
const WRITE: Duration = Duration::from_secs(5);

/// Opens a socket.
pub(super) async fn open(
    State(app): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Reply {
    let node = app.lobby.clone();
    let node = node.ok_or_else(|| problem::problem(code::NOT_FOUND, "this server has no lobby ([lobby] enabled)"))?;
    let upgrade = upgrade.map_err(|rejection| {
        Refused::from(problem::problem(code::UPGRADE_WANTED, format!("this is a WebSocket: {rejection}")))
    })?;
    let upgrade = upgrade.protocols(FORMS.map(|(name, _)| name));
    let chosen = upgrade.selected_protocol().and_then(|name| name.to_str().ok());
    let form = FORMS.iter().find(|(name, _)| Some(*name) == chosen).map(|(_, form)| *form);
    let form = form.ok_or_else(|| {
        problem::problem(code::BAD_SUBPROTOCOL, "the subprotocol is dgns.lobby.v1+cbor or dgns.lobby.v1+json")
    })?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(usize::MAX)
        .max_message_size(limits::FRAME_BYTES_MAX + 1)
        .max_frame_size(limits::FRAME_BYTES_MAX + 1);
    Ok(upgrade.on_upgrade(move |socket| serve(node, socket, from, host, form)).into_response())
}

/// Serves a connection to its end.
async fn serve(node: Arc<Node>, mut socket: WebSocket, from: SocketAddr, host: Option<String>, form: Form) {
    let opened = node.open(from, host.as_deref(), form);
    drop(host);
    let conn = opened.conn;
    let outbox = opened.outbox.clone();
    let mut stranger = Some(Box::new(opened));
    loop {
        tokio::select! {
            biased;
            waiting = outbox.next() => {
                if !write(&mut socket, waiting, form).await {
                    break;
                }
            }
            message = socket.recv() => match message {
                Some(Ok(message)) => read(&node, conn, &mut stranger, message, form).await,
                Some(Err(error)) => {
                    debug!(%error, "socket ended");
                    if let Some(refusal) = refusal_of(&error) {
                        node.refuse(conn, refusal);
                        if let Ok(waiting) = tokio::time::timeout(WRITE, outbox.next()).await {
                            write(&mut socket, waiting, form).await;
                        }
                    }
                    break;
                }
                None => break,
            },
        }
    }
    node.closed(conn);
}

/// Takes a message.
async fn read(node: &Node, conn: ConnId, stranger: &mut Option<Box<Socket>>, message: Message, form: Form) {
    let bytes = match (&message, form) {
        (Message::Binary(bytes), Form::Cbor) => &bytes[..],
        (Message::Text(text), Form::Json) => text.as_bytes(),
        (Message::Binary(_), Form::Json) | (Message::Text(_), Form::Cbor) => {
            return node.refuse(conn, Refusal::BadForm);
        }
        (Message::Ping(_) | Message::Pong(_), _) => return node.alive(conn),
        (Message::Close(_), _) => return,
    };
    match stranger.take() {
        // Boxed: what a hello needs of its task is not kept by those who said it long ago.
        Some(socket) => Box::pin(node.first(&socket, bytes, form)).await,
        None => node.message(conn, bytes, form),
    }
}

/// Writes what waits; false once the connection is over.
async fn write(socket: &mut WebSocket, waiting: Waiting, form: Form) -> bool {
    let Waiting { frames, ping, close, .. } = waiting;
    let written = async {
        for frame in frames {
            let message = match form {
                Form::Cbor => Message::Binary(frame),
                Form::Json => match Utf8Bytes::try_from(frame) {
                    Ok(text) => Message::Text(text),
                    Err(_) => return Ok(false),
                },
            };
            socket.send(message).await?;
        }
        if ping {
            socket.send(Message::Ping(Default::default())).await?;
        }
        let Some(refusal) = close else { return Ok::<_, axum::Error>(true) };
        let frame = CloseFrame { code: refusal.close_code(), reason: refusal.code().into() };
        socket.send(Message::Close(Some(frame))).await?;
        Ok(false)
    };
    matches!(tokio::time::timeout(WRITE, written).await, Ok(Ok(true)))
}

/// What the library refuses before a frame is there.
fn refusal_of(error: &axum::Error) -> Option<Refusal> {
    let text = error.to_string();
    // The library names no kinds to those who do not depend on it.
    text.contains("too long").then_some(Refusal::TooLarge).or(text.contains("UTF-8").then_some(Refusal::BadFrame))
}

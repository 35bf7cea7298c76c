//! How HTTP becomes a WebSocket (RFC 6455, 4.2), and how the connection is taken out of the HTTP library, whose own buffers go.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use data_encoding::BASE64;
use dgns_api::code;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use sha1::{Digest as _, Sha1};
use tokio::net::TcpStream;
use tracing::debug;

use super::super::reply::Refused;
use crate::problem;

/// What every answer to a key is hashed with.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request that wants a WebSocket.
pub(in crate::http) struct Asked {
    upgrade: OnUpgrade,
    /// What the answer must show of its key.
    accept: HeaderValue,
}

impl Asked {
    /// Takes it from a request, or says what is missing.
    pub(in crate::http) fn of(request: &mut Request) -> Result<Self, Refused> {
        let headers = request.headers();
        let missing = match () {
            () if request.method() != Method::GET => Some("GET"),
            () if !lists(headers, &header::CONNECTION, "upgrade") => Some("Connection: Upgrade"),
            () if !lists(headers, &header::UPGRADE, "websocket") => Some("Upgrade: websocket"),
            () if !lists(headers, &header::SEC_WEBSOCKET_VERSION, "13") => Some("Sec-WebSocket-Version: 13"),
            () => None,
        };
        let wanted = |what| {
            Refused::from(problem::problem(code::UPGRADE_WANTED, format!("this is a WebSocket: it wants {what}")))
        };
        if let Some(missing) = missing {
            return Err(wanted(missing));
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| wanted("Sec-WebSocket-Key"))?;
        let accept = BASE64.encode(&Sha1::new().chain_update(key.as_bytes()).chain_update(GUID).finalize());
        let accept = HeaderValue::from_str(&accept).map_err(|_| wanted("Sec-WebSocket-Key"))?;
        let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or_else(|| wanted("HTTP/1.1"))?;
        Ok(Self { upgrade, accept })
    }

    /// Returns whether its client speaks a subprotocol.
    pub(in crate::http) fn speaks(&self, headers: &HeaderMap, protocol: &str) -> bool {
        lists(headers, &header::SEC_WEBSOCKET_PROTOCOL, protocol)
    }

    /// Returns the answer, after which `then` gets the connection and what was read of it already.
    pub(in crate::http) fn agreed(
        self,
        protocol: &'static str,
        then: impl FnOnce(TcpStream, Vec<u8>) + Send + 'static,
    ) -> Response {
        tokio::spawn(async move {
            match self.upgrade.await.map(downcast::<TokioIo<TcpStream>>) {
                Ok(Ok(parts)) => then(parts.io.into_inner(), parts.read_buf.to_vec()),
                Ok(Err(_)) => debug!("no socket: the connection is of another kind"),
                Err(error) => debug!(%error, "no socket: the connection ended before"),
            }
        });
        let headers = [
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::SEC_WEBSOCKET_ACCEPT, self.accept),
            (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol)),
        ];
        (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
    }
}

/// Returns whether a header's list has a word, whatever its case.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
}

//! `POST /v1/signup`, `/v1/claim`: a post through the ordinary door that is answered with numbers instead of a proof
//! (PROTOCOL 12.1).

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use dgns_api::{code, path, post};
use identity::cert::{Body, Certificate};
use identity::wire::Writer;

use super::Shared;
use super::reply::{Refused, Reply, fresh};
use super::write::{posted, submit};
use crate::problem;

/// Takes a genesis and claims, and answers with `{1 id of the first claim, 2 uid}`.
pub(super) async fn signup(
    State(app): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let body = posted(body)?;
    let bodies = bodies(&body)?;
    let is_signup = matches!(bodies.as_slice(), [Body::Genesis(_), Body::Claim(_), ..]);
    if !is_signup {
        return Err(problem::problem(code::BAD_POST, "a sign-up is a genesis with a claim behind it").into());
    }
    let accepted = submit(&app, from.ip(), &body).await?;
    Ok(numbers(&headers, accepted.first_index + 1, Some(accepted.first_index)))
}

/// Takes one claim, and answers with `{1 id}`: its log index, which names it for ever.
pub(super) async fn claim(
    State(app): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let body = posted(body)?;
    if !matches!(bodies(&body)?.as_slice(), [Body::Claim(_)]) {
        return Err(problem::problem(code::BAD_POST, "this takes one claim").into());
    }
    let accepted = submit(&app, from.ip(), &body).await?;
    Ok(numbers(&headers, accepted.first_index, None))
}

/// Returns what the certificates of a post say, judged by nobody yet.
fn bodies(body: &[u8]) -> Result<Vec<Body>, Refused> {
    let post = post::decode(body).map_err(|error| problem::problem(code::BAD_POST, error.to_string()))?;
    let decoded = post.envelopes.iter().map(|envelope| Certificate::decode(envelope));
    let bodies = decoded.map(|certificate| certificate.map(|certificate| certificate.payload().body.clone()));
    bodies.collect::<Result<_, _>>().map_err(|error| problem::problem(error.code(), error.to_string()).into())
}

/// Answers in CBOR, or in JSON to who asks for it.
fn numbers(headers: &HeaderMap, id: u64, uid: Option<u64>) -> Response {
    let wants_json = headers.get(header::ACCEPT).is_some_and(|accept| accept == path::JSON);
    if wants_json {
        let view = match uid {
            Some(uid) => serde_json::json!({ "id": id, "uid": uid }),
            None => serde_json::json!({ "id": id }),
        };
        return fresh(path::JSON, view.to_string());
    }
    let mut writer = Writer::new();
    writer.map(1 + usize::from(uid.is_some())).uint(1).uint(id);
    if let Some(uid) = uid {
        writer.uint(2).uint(uid);
    }
    fresh(path::CBOR, writer.finish())
}

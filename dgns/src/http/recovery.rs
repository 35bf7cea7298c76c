//! `/r/v1`: a recovery server (PROTOCOL 24.5).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use data_encoding::HEXLOWER;
use dgns_api::{code, path};
use identity::did::Did;
use identity::recovery::message::ASK_BYTES_MAX;
use identity::wire::{Reader, WireError, Writer};

use super::reply::{Refused, Reply, bounded, fresh, immutable};
use crate::problem;
use crate::recovery::{Desk, RecoveryError};

/// The server, as its handlers get it.
type Asked = State<Arc<Desk>>;

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route(path::RECOVERY_INFO, get(info))
        .route("/r/v1/bundles/{hash}", get(bundle))
        .route(path::RECOVERY_REGISTER, post(register))
        .route(path::RECOVERY_EVALUATE, post(evaluate))
        .route(path::RECOVERY_RELEASE, post(release))
        .route(path::RECOVERY_ERASE, post(erase))
        .route(path::RECOVERY_STATS, get(stats))
        .layer(DefaultBodyLimit::max(ASK_BYTES_MAX))
}

/// `GET /ready`: the log it reads was not found at fault.
pub(super) async fn ready(State(desk): Asked) -> Response {
    match desk.is_ready() {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the log is at fault\n").into_response(),
    }
}

async fn info(State(desk): Asked) -> Reply {
    Ok(fresh(path::CBOR, desk.info()))
}

async fn bundle(State(desk): Asked, Path(hash): Path<String>) -> Reply {
    let hash = HEXLOWER.decode(hash.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    let hash = hash.ok_or_else(|| problem::problem(code::BAD_QUERY, "a hash has 64 hexadecimal digits"))?;
    match desk.bundle(&hash).await.map_err(|_| problem::internal())? {
        Some(bytes) => Ok(immutable(path::CBOR, bytes)),
        None => Err(problem::problem(code::NOT_FOUND, "this server keeps no such bundle").into()),
    }
}

async fn register(State(desk): Asked, body: Result<Bytes, BytesRejection>) -> Reply {
    let answer = desk.register(&asked(body)?, &mut crate::rng::system()).await;
    told(&desk, answer)
}

async fn evaluate(State(desk): Asked, body: Result<Bytes, BytesRejection>) -> Reply {
    let answer = desk.evaluate(&asked(body)?, &mut crate::rng::system()).await;
    told(&desk, answer)
}

async fn release(State(desk): Asked, body: Result<Bytes, BytesRejection>) -> Reply {
    let answer = desk.release(&asked(body)?, &mut crate::rng::system()).await;
    told(&desk, answer)
}

async fn erase(State(desk): Asked, body: Result<Bytes, BytesRejection>) -> Reply {
    let did = whose(&asked(body)?).map_err(|_| problem::problem("bad_field", "the body is the map {1: DID}"))?;
    let erased = desk.erase(&did).await.map(|rows| {
        let mut writer = Writer::new();
        writer.map(1).uint(1).uint(rows as u64);
        writer.finish()
    });
    told(&desk, erased)
}

async fn stats(State(desk): Asked) -> Reply {
    let counts = desk.counts().await.map_err(|_| problem::internal())?;
    Ok(fresh(path::JSON, serde_json::to_vec(&counts).expect("counters are plain data")))
}

fn asked(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refused> {
    bounded(body, ASK_BYTES_MAX)
}

fn told(desk: &Desk, answer: Result<Vec<u8>, RecoveryError>) -> Reply {
    match answer {
        Ok(bytes) => Ok(fresh(path::CBOR, bytes)),
        Err(error) => {
            desk.refused(&error);
            Err(problem::of_recovery(&error).into())
        }
    }
}

fn whose(body: &[u8]) -> Result<Did, WireError> {
    let mut reader = Reader::new(body);
    let mut fields = reader.fields()?;
    let did = Did::from_bytes(fields.required(1, Reader::fixed)?);
    fields.end()?;
    reader.end()?;
    Ok(did)
}

//! `/v1/passkeys`, `/v1/signin/passkey`: passkeys registered, listed and removed, and signing in with one (PROTOCOL 19.6).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest as _, Path, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::routing::{get, post};
use data_encoding::HEXLOWER;
use dgns_api::path;
use dgns_api::signin::{Finish, POST_BYTES_MAX, SigninFormError, Start};
use identity::hash::Hash;
use identity::wire::{Reader, WireError, Writer};

use super::Shared;
use super::caller::Asking;
use super::read::{bad_query, internal};
use super::reply::{Refused, Reply, bounded, fresh};
use super::signin::{desk, malformed, refused};
use crate::app::App;
use crate::auth::passkey;
use crate::problem;

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(path::SIGNIN_PASSKEY_START, post(start))
        .route(path::SIGNIN_PASSKEY_FINISH, post(finish))
        .route(path::PASSKEYS_START, post(start_registration))
        .route(path::PASSKEYS_FINISH, post(finish_registration))
        .route(path::PASSKEYS, get(list))
        .route("/v1/passkeys/{id}", post(note).delete(remove))
        .layer(DefaultBodyLimit::max(POST_BYTES_MAX))
}

async fn start(
    State(app): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let start = read_start(&bounded(body, POST_BYTES_MAX)?, false)?;
    let (signin, people) = desk(&app)?;
    let started = signin.start_passkey(&app.core, people, start, from.ip(), &mut crate::rng::system()).await;
    Ok(fresh(path::CBOR, started.map_err(refused)?.encode()))
}

async fn finish(State(app): Shared, body: Result<Bytes, BytesRejection>) -> Reply {
    let finish = Finish::decode(&bounded(body, POST_BYTES_MAX)?).map_err(malformed)?;
    let (signin, people) = desk(&app)?;
    let finished = signin.finish_passkey(&app.core, people, finish, &mut crate::rng::system()).await;
    Ok(fresh(path::CBOR, finished.map_err(refused)?.encode()))
}

/// Begins a registration: signed by a device for its own DID, or of a newcomer who has none.
async fn start_registration(State(app): Shared, ConnectInfo(from): ConnectInfo<SocketAddr>, request: Request) -> Reply {
    let (caller, body) = match request.headers().contains_key(AUTHORIZATION) {
        true => {
            let asking = Asking::from_request(request, &app).await?;
            (Some(asking.caller), asking.body)
        }
        false => (None, bounded(Bytes::from_request(request, &app).await, POST_BYTES_MAX)?),
    };
    let start = read_start(&body, true)?;
    let (signin, people) = desk(&app)?;
    let rng = &mut crate::rng::system();
    let started = signin.start_registration(&app.core, people, start, caller.as_ref(), from.ip(), rng).await;
    Ok(fresh(path::CBOR, started.map_err(refused)?.encode()))
}

async fn finish_registration(State(app): Shared, body: Result<Bytes, BytesRejection>) -> Reply {
    let finish = Finish::decode(&bounded(body, POST_BYTES_MAX)?).map_err(malformed)?;
    let (signin, people) = desk(&app)?;
    let finished = signin.finish_registration(&app.core, people, finish, &mut crate::rng::system()).await;
    Ok(fresh(path::CBOR, finished.map_err(refused)?.encode()))
}

/// The passkeys of the DID, oldest first: `[[id 32, credential id, recipient 32 or null, made s, used s, backed up], ...]`.
async fn list(State(app): Shared, asking: Asking) -> Reply {
    let (_, people) = desk(&app)?;
    let rows = people.store.passkeys(&asking.caller.did).await.map_err(|error| internal(&error))?;
    let mut writer = Writer::new();
    writer.array(rows.len());
    for row in rows {
        writer.array(6).bytes(&row.credential).bytes(&row.id);
        match &row.recipient {
            Some(recipient) => writer.bytes(recipient),
            None => writer.null(),
        };
        writer.uint(row.made_s).uint(row.used_s).bool(row.backed_up);
    }
    Ok(fresh(path::CBOR, writer.finish()))
}

/// Notes the recipient that a passkey's PRF makes: `[recipient 32 or null]`.
async fn note(State(app): Shared, Path(id): Path<String>, asking: Asking) -> Reply {
    let read = |body: &[u8]| -> Result<Option<[u8; 32]>, WireError> {
        let mut reader = Reader::new(body);
        reader.array_of(1)?;
        let recipient = reader.or_null(|reader| reader.fixed())?;
        reader.end()?;
        Ok(recipient)
    };
    let recipient = read(&asking.body).map_err(|error| problem::problem(error.code(), error.to_string()))?;
    let (id, (signin, people)) = (read_id(&id)?, desk(&app)?);
    signin.note_recipient(people, &asking.caller, &id, recipient).await.map_err(refused)?;
    Ok(fresh(path::CBOR, vec![0xf6]))
}

async fn remove(State(app): Shared, Path(id): Path<String>, asking: Asking) -> Reply {
    let (id, (signin, people)) = (read_id(&id)?, desk(&app)?);
    signin.remove_passkey(people, &asking.caller, &id).await.map_err(refused)?;
    Ok(fresh(path::CBOR, vec![0xf6]))
}

fn read_start(body: &[u8], registers: bool) -> Result<Start, Refused> {
    let start = Start::decode(body).map_err(malformed)?;
    match passkey::fits(&start, registers) {
        true => Ok(start),
        false => Err(malformed(SigninFormError)),
    }
}

fn read_id(text: &str) -> Result<Hash, Refused> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| bad_query("a passkey is named by 64 hexadecimal digits, lower case"))
}

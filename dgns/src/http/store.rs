//! `/v1/databases`, `/v1/logs/{log}/..`, `/v1/chunks/{id}`: databases, their logs and chunks (PROTOCOL 25.8).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query as UrlQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use dgns_api::path;
use dgns_api::store::arrival::Arrival;
use dgns_api::store::content;
use dgns_api::store::entry::{Entry, LogId, decode_request, parse_id};
use dgns_api::store::limits::{
    CHUNK_BYTES_MAX, ENTRIES_PER_ANSWER_MAX, PARTITION_REQUEST_BYTES_MAX, REQUEST_BYTES_MAX, WAIT_S_MAX,
};
use identity::did::Did;
use identity::key::kid_of;
use tracing::error;

use super::Shared;
use super::caller::{Asking, Introduced};
use super::read::{bad_query, query};
use super::reply::{Refused, Reply, bounded, fresh, the_writer};
use crate::app::App;
use crate::limits::{ARRIVAL_BYTES_MAX, GUEST_BYTES_MAX};
use crate::problem;
use crate::store::{Databases, RangeAsked, StoreRefusal};

/// Returns the routes of databases.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(path::DATABASES, post(create))
        .route("/v1/logs/{log}/entries", post(append).get(read))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .route("/v1/logs/{log}/arrivals", arrivals().layer(DefaultBodyLimit::max(ARRIVAL_BYTES_MAX)))
        .route(path::GUESTS, post(introduce).layer(DefaultBodyLimit::max(GUEST_BYTES_MAX)))
        .route(path::ACCOUNT, get(account))
        .route("/v1/logs/{log}/cursor", get(cursor))
        .route("/v1/logs/{log}/equivocations", get(equivocations))
        .route("/v1/logs/{log}/snapshots", get(snapshots))
        .route("/v1/databases/{db}/proofs", post(prove).layer(DefaultBodyLimit::max(PARTITION_REQUEST_BYTES_MAX)))
        .route(
            "/v1/databases/{db}/invitations/{did}",
            post(invite).layer(DefaultBodyLimit::max(PARTITION_REQUEST_BYTES_MAX)),
        )
        .route(path::CHUNKS_HAVE, post(have))
        .route("/v1/chunks/{id}", get(chunk).put(put_chunk).layer(DefaultBodyLimit::max(CHUNK_BYTES_MAX)))
}

fn arrivals() -> MethodRouter<Arc<App>> {
    post(arrive).get(arrived).delete(forget)
}

/// Returns whether a path is one of those above.
pub(super) fn is_of_databases(asked: &str) -> bool {
    [path::DATABASES, path::LOGS, "/v1/chunks", path::WATCH, path::ACCOUNT]
        .iter()
        .any(|begins| asked.starts_with(begins))
}

/// The query of an append.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppendAsked {
    old: Option<u64>,
}

/// The query of a read.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadAsked {
    from: Option<u64>,
    limit: Option<u64>,
    old: Option<u64>,
    wait: Option<u64>,
}

/// The query of a device that lost its place.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CursorAsked {
    device: String,
}

/// The query of who stores chunks: for which log's entries; left out, for files.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoringAsked {
    log: Option<String>,
}

/// The query of who reads a chunk: the entry that names it; left out, one of their files does.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChunkAsked {
    log: Option<String>,
    pos: Option<u64>,
}

/// Makes a database: the first entries of its control log. Who asks pays for it.
async fn create(State(app): Shared, asking: Asking) -> Reply {
    let databases = databases(&app)?;
    let entries = decode_request(&asking.body).map_err(|error| refused(&error.into()))?;
    let answer = databases.append(&app.core, entries, Some(&asking.caller.who()), None).await;
    answered(answer)
}

/// Returns how the account of the DID that asks stands.
async fn account(State(app): Shared, asking: Asking) -> Reply {
    answered(databases(&app)?.account(&app.core, &asking.caller.who()).await)
}

/// Appends. The entries are signed themselves: no further proof of who asks is needed.
async fn append(
    State(app): Shared,
    Path(log): Path<String>,
    asked: Result<UrlQuery<AppendAsked>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let databases = databases(&app)?;
    let asked = query(asked)?;
    let log = log_id(&log)?;
    let body = bounded(body, REQUEST_BYTES_MAX)?;
    let entries = decode_request(&body).map_err(|error| refused(&error.into()))?;
    if entries.iter().any(|entry| entry.header().log != log) {
        return Err(bad_query("the entries are of another log than the path"));
    }
    let answer = databases.append(&app.core, entries, None, asked.old).await;
    answered(answer)
}

/// Takes what a user says in their partition of a subscription database.
async fn prove(
    State(app): Shared,
    Path(db): Path<String>,
    asked: Result<UrlQuery<AppendAsked>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let databases = databases(&app)?;
    let asked = query(asked)?;
    let (db, entry) = (did_of(&db)?, one_entry(body)?);
    answered(databases.prove(&app.core, db, entry, asked.old).await)
}

/// Takes an invitation. Who sent it is told that it is there, and nothing else.
async fn invite(
    State(app): Shared,
    Path((db, to)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let databases = databases(&app)?;
    let (db, to, entry) = (did_of(&db)?, did_of(&to)?, one_entry(body)?);
    let invited = databases.invite(&app.core, db, to, entry).await;
    invited.map(|()| StatusCode::NO_CONTENT.into_response()).map_err(|error| refused(&error))
}

/// Reads a request of one entry.
fn one_entry(body: Result<Bytes, BytesRejection>) -> Result<Entry, Refused> {
    let body = bounded(body, PARTITION_REQUEST_BYTES_MAX)?;
    let entries = decode_request(&body).map_err(|error| refused(&error.into()))?;
    let [entry] = <[Entry; 1]>::try_from(entries).map_err(|_| bad_query("one entry at a time"))?;
    Ok(entry)
}

fn did_of(text: &str) -> Result<Did, Refused> {
    text.parse().map_err(|_| bad_query("a DID"))
}

/// Takes entries of a database that is on its way here.
async fn arrive(State(app): Shared, Path(log): Path<String>, asking: Asking) -> Reply {
    let databases = databases(&app)?;
    let log = log_id(&log)?;
    // A follower may not know yet who is of its own log.
    the_writer(&app)?;
    let arrival = Arrival::decode(&asking.body).map_err(|error| refused(&error.into()))?;
    if arrival.entries.iter().any(|entry| entry.header().log != log) {
        return Err(bad_query("the entries are of another log than the path"));
    }
    answered(databases.arrive(&app.core, &log, arrival, &asking.caller.who()).await)
}

/// Removes what arrived of a database, so that it can be brought anew.
async fn forget(State(app): Shared, Path(log): Path<String>, asking: Asking) -> Reply {
    let databases = databases(&app)?;
    let forgotten = databases.forget(&app.core, &log_id(&log)?, &asking.caller.who()).await;
    forgotten.map(|()| StatusCode::NO_CONTENT.into_response()).map_err(|error| refused(&error))
}

/// Returns how far a log arrived.
async fn arrived(State(app): Shared, Path(log): Path<String>, asking: Asking) -> Reply {
    answered(databases(&app)?.arrived(&log_id(&log)?, &asking.caller.who()).await)
}

/// Takes the proof of who asks, somebody of another log.
async fn introduce(_: Introduced) -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Reads a range, or waits for it.
async fn read(
    State(app): Shared,
    Path(log): Path<String>,
    asked: Result<UrlQuery<ReadAsked>, QueryRejection>,
    asking: Asking,
) -> Reply {
    let databases = databases(&app)?;
    let asked = query(asked)?;
    let wait = asked.wait.unwrap_or(0);
    if wait > WAIT_S_MAX {
        return Err(bad_query("wait is at most 10 seconds"));
    }
    // A stop must not wait for readers who wait.
    let _place = match wait {
        0 => None,
        _ => Some(app.streams.take().ok_or_else(problem::busy_streams)?),
    };
    let range = RangeAsked {
        from: asked.from.unwrap_or(0),
        limit: asked.limit.unwrap_or(ENTRIES_PER_ANSWER_MAX as u64),
        old: asked.old,
        wait: Duration::from_secs(wait),
    };
    let mut stop = app.stopping.clone();
    let (log, who) = (log_id(&log)?, asking.caller.who());
    let answer = tokio::select! {
        answer = databases.range(&app.core, &log, &who, range) => answer,
        () = crate::shutdown::requested(&mut stop) => {
            databases.range(&app.core, &log, &who, RangeAsked { wait: Duration::ZERO, ..range }).await
        }
    };
    answered(answer)
}

async fn cursor(
    State(app): Shared,
    Path(log): Path<String>,
    asked: Result<UrlQuery<CursorAsked>, QueryRejection>,
    asking: Asking,
) -> Reply {
    let databases = databases(&app)?;
    let asked = query(asked)?;
    let device = id_of(&asked.device)?;
    let is_own = asking.caller.kid == kid_of(&device);
    let answer = databases.cursor(&app.core, &log_id(&log)?, &asking.caller.who(), (&device, is_own)).await;
    answered(answer)
}

async fn equivocations(State(app): Shared, Path(log): Path<String>, asking: Asking) -> Reply {
    let databases = databases(&app)?;
    let answer = databases.equivocations(&app.core, &log_id(&log)?, &asking.caller.who()).await;
    answered(answer)
}

async fn snapshots(State(app): Shared, Path(log): Path<String>, asking: Asking) -> Reply {
    let databases = databases(&app)?;
    answered(databases.snapshots(&app.core, &log_id(&log)?, &asking.caller.who()).await)
}

/// Stores a chunk: its id is the BLAKE3 hash of its bytes.
async fn put_chunk(
    State(app): Shared,
    Path(id): Path<String>,
    asked: Result<UrlQuery<StoringAsked>, QueryRejection>,
    asking: Asking,
) -> Reply {
    let databases = databases(&app)?;
    let id = id_of(&id)?;
    let log = stored_for(asked)?;
    let put = databases.put_chunk(&app.core, &id, asking.body, (&asking.caller.who(), log.as_ref())).await;
    put.map(|()| StatusCode::NO_CONTENT.into_response()).map_err(|error| refused(&error))
}

/// Tells which of some chunks are there for what the one who asks stores. Of others' it tells nothing.
async fn have(State(app): Shared, asked: Result<UrlQuery<StoringAsked>, QueryRejection>, asking: Asking) -> Reply {
    let databases = databases(&app)?;
    let log = stored_for(asked)?;
    let ids = content::decode_ids(&asking.body).map_err(|error| problem::problem(error.code(), error.to_string()))?;
    let there = databases.have_chunks(&app.core, &ids, (&asking.caller.who(), log.as_ref())).await;
    let there = there.map_err(|error| refused(&error))?;
    Ok(fresh(path::CBOR, content::encode_ids(&there)))
}

/// Returns a chunk, or a part of it.
async fn chunk(
    State(app): Shared,
    Path(id): Path<String>,
    asked: Result<UrlQuery<ChunkAsked>, QueryRejection>,
    headers: HeaderMap,
    asking: Asking,
) -> Reply {
    let databases = databases(&app)?;
    let id = id_of(&id)?;
    let asked = query(asked)?;
    let log = asked.log.as_deref().map(log_id).transpose()?;
    let entry = match (&log, asked.pos) {
        (None, None) => None,
        (Some(log), Some(pos)) => Some((log, pos)),
        _ => return Err(bad_query("log and pos together name an entry")),
    };
    let bytes =
        databases.chunk(&app.core, &id, (&asking.caller.who(), entry)).await.map_err(|error| refused(&error))?;
    let Some(asked) = headers.get(header::RANGE) else { return Ok(whole_chunk(bytes)) };
    let range = asked.to_str().ok().and_then(|text| range_of(text, bytes.len()));
    let Some((from, to)) = range else { return Err(refused(&StoreRefusal::Range)) };
    let content_range = format!("bytes {from}-{}/{}", to - 1, bytes.len());
    let mut response = whole_chunk(bytes.slice(from..to));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    if let Ok(value) = HeaderValue::from_str(&content_range) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    Ok(response)
}

fn stored_for(asked: Result<UrlQuery<StoringAsked>, QueryRejection>) -> Result<Option<LogId>, Refused> {
    let asked = query(asked)?;
    asked.log.as_deref().map(log_id).transpose()
}

fn whole_chunk(bytes: Bytes) -> Response {
    let mut response = fresh(path::OCTETS, bytes);
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

/// Reads `bytes=A-B` or `bytes=A-` of something that has `size` bytes.
fn range_of(text: &str, size: usize) -> Option<(usize, usize)> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let from = from.parse().ok()?;
    let to = if to.is_empty() { size } else { to.parse::<usize>().ok()?.checked_add(1)?.min(size) };
    (from < to).then_some((from, to))
}

pub(super) fn databases(app: &App) -> Result<&Databases, Refused> {
    if let Some(databases) = &app.databases {
        return Ok(databases);
    }
    // A follower keeps databases only where it shares them with the server it follows.
    the_writer(app)?;
    let none = "this server keeps no databases ([storage] enabled)";
    Err(problem::problem(dgns_api::code::NOT_FOUND, none).into())
}

pub(super) fn answered(answer: Result<Vec<u8>, StoreRefusal>) -> Reply {
    answer.map(|bytes| fresh(path::CBOR, bytes)).map_err(|error| refused(&error))
}

fn id_of(text: &str) -> Result<[u8; 32], Refused> {
    parse_id(text).map_err(|error| bad_query(&error.to_string()))
}

pub(super) fn log_id(text: &str) -> Result<LogId, Refused> {
    text.parse().map_err(|error: dgns_api::store::entry::IdError| bad_query(&error.to_string()))
}

fn refused(refusal: &StoreRefusal) -> Refused {
    let problem = problem::of_store(refusal);
    if problem.status >= 500 && problem.code != "busy" && problem.code != "quota" {
        error!(error = ?refusal, "something about a database failed");
    }
    problem.into()
}

//! The read side: checkpoint, tiles and bundles in stock form; proved names and DIDs; entries and proofs.

use axum::extract::{Path, Query as UrlQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use data_encoding::HEXLOWER;
use dgns_api::known::{Known, NotKnown};
use dgns_api::problem::Problem;
use dgns_api::{code, path};
use identity::did::Did;
use identity::name::Name;
use identity::state::Subject;
use storage::StorageError;
use tracing::error;
use translog::note::Note;
use translog::proof_file::ProofFile;
use translog::tile::ResourceId;

use super::Shared;
use super::reply::{Refused, Reply, fresh, immutable};
use crate::app::App;
use crate::log::document;
use crate::log::files::shown_checkpoint;
use crate::log::lookup::{self, LookupError, Query};
use crate::log::shown;
use crate::log::tiles::Tree;
use crate::problem;

/// `GET /log/checkpoint`: the newest public head as a signed note; under a quorum it has the cosignatures.
pub(super) async fn checkpoint(State(app): Shared) -> Reply {
    let note = shown_checkpoint(&app.core.live);
    let pending = || problem::of_lookup(&LookupError::QuorumPending, "");
    Ok(fresh(path::TEXT, note.ok_or_else(pending)?))
}

/// `GET /v1/log/head`: the public head, or the newest, as Resolutions carry it.
pub(super) async fn head(
    State(app): Shared,
    asked: Result<UrlQuery<HeadAsked>, axum::extract::rejection::QueryRejection>,
) -> Reply {
    let asked = query(asked)?;
    let asked = which_head(asked.head.as_deref())?;
    let head = {
        let inner = app.core.live.read();
        inner.head_at(inner.answers(asked)).cloned()
    };
    let head = head.ok_or_else(|| failed(&app, &LookupError::QuorumPending))?;
    Ok(fresh(path::OCTETS, head.head.encode()))
}

/// The query of a head.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadAsked {
    head: Option<String>,
}

pub(super) fn which_head(asked: Option<&str>) -> Result<shown::Asked, Refused> {
    match asked {
        None => Ok(shown::Asked::Public),
        Some("newest") => Ok(shown::Asked::Newest),
        Some(other) => Err(bad_query(&format!("head={other} is unknown; head=newest exists"))),
    }
}

/// `GET /log/tile/<L>/<N>[.p/<W>]` and `/log/tile/entries/<N>[.p/<W>]`.
pub(super) async fn tile(State(app): Shared, Path(rest): Path<String>) -> Reply {
    tile_reply(match ResourceId::parse(&format!("tile/{rest}")) {
        Ok(ResourceId::Bundle(id)) => app.core.tiles.bundle(id.index(), id.width()).await,
        Ok(ResourceId::Tile(id)) => app.core.tiles.tile(Tree::Log, id.level(), id.index(), id.width()).await,
        Err(_) => return Err(no_tile()),
    })
}

/// `GET /log/history/tile/<L>/<N>[.p/<W>]`: the tree over all Epochs.
pub(super) async fn history_tile(State(app): Shared, Path(rest): Path<String>) -> Reply {
    tile_reply(match ResourceId::parse(&format!("tile/{rest}")) {
        Ok(ResourceId::Tile(id)) => app.core.tiles.tile(Tree::History, id.level(), id.index(), id.width()).await,
        _ => return Err(no_tile()),
    })
}

type TileBytes = Result<Option<std::sync::Arc<[u8]>>, StorageError>;

fn tile_reply(bytes: TileBytes) -> Reply {
    match bytes {
        Ok(Some(bytes)) => Ok(immutable(path::OCTETS, axum::body::Bytes::from_owner(bytes))),
        Ok(None) => Err(no_tile()),
        Err(error) => Err(internal(&error)),
    }
}

fn no_tile() -> Refused {
    problem::problem(
        code::NOT_FOUND,
        "no such tile: the log has not that many leaves, or the path is not of the form L/N[.p/W]",
    )
    .into()
}

/// The query of a lookup.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    have: Option<u64>,
    from: Option<u64>,
    known: Option<String>,
    with: Option<String>,
    head: Option<String>,
}

/// `GET /v1/names/{name}`: a Resolution.
pub(super) async fn name(
    State(app): Shared,
    Path(name): Path<String>,
    asked: Result<UrlQuery<Asked>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Reply {
    let name =
        Name::complete(&name, &app.core.zone).map_err(|error| problem::problem("bad_name", error.to_string()))?;
    resolution(&app, &Subject::Name(name.as_str().to_owned()), asked, &headers).await
}

/// `GET /v1/dids/{did}`: a Resolution.
pub(super) async fn did(
    State(app): Shared,
    Path(did): Path<String>,
    asked: Result<UrlQuery<Asked>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Reply {
    resolution(&app, &Subject::Did(parse_did(&did)?), asked, &headers).await
}

/// `GET /v1/aliases/{id}`: a Resolution.
pub(super) async fn alias(
    State(app): Shared,
    Path(id): Path<String>,
    asked: Result<UrlQuery<Asked>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Reply {
    let id = HEXLOWER.decode(id.as_bytes()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let id = id.ok_or_else(|| bad_query("an alias is named by 64 hexadecimal digits in lower case"))?;
    resolution(&app, &Subject::Alias(id), asked, &headers).await
}

/// `GET /v1/log/anchors`: a Resolution of the newest anchor of the databases.
pub(super) async fn anchors(
    State(app): Shared,
    asked: Result<UrlQuery<Asked>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Reply {
    resolution(&app, &Subject::Anchors, asked, &headers).await
}

async fn resolution(
    app: &App,
    subject: &Subject,
    asked: Result<UrlQuery<Asked>, axum::extract::rejection::QueryRejection>,
    headers: &HeaderMap,
) -> Reply {
    let asked = query(asked)?;
    let with_certificates = match asked.with.as_deref() {
        None => false,
        Some("certs") => true,
        Some(other) => return Err(bad_query(&format!("with={other} is unknown; with=certs exists"))),
    };
    let known = known(asked.known.as_deref())?;
    let head = which_head(asked.head.as_deref())?;
    app.metrics.lookup();
    if let Some(known) = asked.have.max(asked.from) {
        app.reach(known).await;
    }
    if wants_json(headers) {
        let view = document::view(&app.core, subject).await.map_err(|error| failed(app, &error))?;
        return Ok(fresh(path::JSON, view));
    }
    let query = Query { head, have: asked.have, from: asked.from, known, with_certificates, ..Query::default() };
    let bytes = lookup::resolve(&app.core, subject, query).await.map_err(|error| failed(app, &error))?;
    let mut response = fresh(path::CBOR, bytes);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// `GET /v1/dids/{did}/chain?from=`: a Resolution with the DID's certificates from that place on, as many as fit.
pub(super) async fn chain(
    State(app): Shared,
    Path(did): Path<String>,
    page: Result<UrlQuery<Page>, axum::extract::rejection::QueryRejection>,
) -> Reply {
    let page = query(page)?;
    let query = Query { chain_from: Some(page.from.unwrap_or(0)), ..Query::default() };
    let subject = Subject::Did(parse_did(&did)?);
    let bytes = lookup::resolve(&app.core, &subject, query).await.map_err(|error| failed(&app, &error))?;
    Ok(fresh(path::CBOR, bytes))
}

/// The query of a page.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    from: Option<u64>,
}

/// `GET /v1/ids/{n}`: the entry that created the thing with this id.
pub(super) async fn id(State(app): Shared, Path(id): Path<String>) -> Reply {
    entry(State(app), Path(id)).await
}

/// `GET /v1/log/entries/{index}[.tlog-proof]`.
pub(super) async fn entry(State(app): Shared, Path(asked): Path<String>) -> Reply {
    let (digits, as_proof) = match asked.strip_suffix(".tlog-proof") {
        Some(digits) => (digits, true),
        None => (asked.as_str(), false),
    };
    let index: u64 = digits.parse().map_err(|_| bad_query("the index is a decimal number"))?;
    if as_proof {
        return Ok(fresh(path::TEXT, entry_proof(&app, index).await?.to_string()));
    }
    Ok(immutable(path::OCTETS, axum::body::Bytes::from_owner(entry_at(&app, index).await?)))
}

async fn entry_at(app: &App, index: u64) -> Result<std::sync::Arc<[u8]>, Refused> {
    let size = app.core.live.head().size();
    if index >= size {
        return Err(problem::problem(code::NOT_FOUND, format!("the log has {size} entries")).into());
    }
    let entry = app.core.tiles.entry(index).await.map_err(|error| internal(&error))?;
    entry.ok_or_else(|| problem::problem(code::NOT_FOUND, "no such entry").into())
}

/// Proves the entry at `index`. A witnessed head proves more; an entry that none covers yet is proved under the newest.
pub(super) async fn entry_proof(app: &App, index: u64) -> Result<ProofFile, Refused> {
    let entry = entry_at(app, index).await?;
    let public = app.core.live.public_head().filter(|head| index < head.size());
    let head = public.unwrap_or_else(|| app.core.live.head());
    let path = lookup::inclusion(&app.core, Tree::Log, index, head.size()).await.map_err(|error| internal(&error))?;
    let checkpoint = Note::parse(head.note.as_bytes()).expect("our own note is one");
    Ok(ProofFile { extra: Some(entry.to_vec()), index, path, checkpoint })
}

/// The query of a proof: `index` and `size`, or `from` and `to`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProofAsked {
    index: Option<u64>,
    size: Option<u64>,
    from: Option<u64>,
    to: Option<u64>,
}

/// `GET /v1/log/proof`: the hashes of an inclusion or consistency proof, 32 bytes each.
pub(super) async fn proof(
    State(app): Shared,
    asked: Result<UrlQuery<ProofAsked>, axum::extract::rejection::QueryRejection>,
) -> Reply {
    let asked = query(asked)?;
    let newest = app.core.live.head().size();
    let hashes = match (asked.index, asked.size, asked.from, asked.to) {
        (Some(index), size, None, None) if index < size.unwrap_or(newest) && size.unwrap_or(newest) <= newest => {
            lookup::inclusion(&app.core, Tree::Log, index, size.unwrap_or(newest)).await
        }
        (None, None, Some(from), to) if 0 < from && from <= to.unwrap_or(newest) && to.unwrap_or(newest) <= newest => {
            lookup::consistency(&app.core, from, to.unwrap_or(newest)).await
        }
        _ => {
            return Err(bad_query(
                "ask ?index=&size= or ?from=&to=, with 0 < from <= to and index < size, up to the newest head",
            ));
        }
    };
    let bytes = hashes.map_err(|error| internal(&error))?.concat();
    // Under the newest head the same question has another answer tomorrow.
    match asked.size.or(asked.to) {
        Some(_) => Ok(immutable(path::OCTETS, bytes)),
        None => Ok(fresh(path::OCTETS, bytes)),
    }
}

/// Reads a DID in a path: its text, or its 32 characters alone.
pub(super) fn parse_did(text: &str) -> Result<Did, Refused> {
    let parsed = text.parse().or_else(|_| Did::from_base32(text));
    parsed.map_err(|error| bad_query(&error.to_string()))
}

/// Reads what the asker says it keeps of a DID.
pub(super) fn known(text: Option<&str>) -> Result<Option<Known>, Refused> {
    text.map(str::parse).transpose().map_err(|error: NotKnown| bad_query(&error.to_string()))
}

fn wants_json(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains(path::JSON))
}

/// Returns what the query of a URL says. Errors: `bad_query`.
pub(super) fn query<T>(asked: Result<UrlQuery<T>, axum::extract::rejection::QueryRejection>) -> Result<T, Refused> {
    asked.map(|UrlQuery(asked)| asked).map_err(|error| bad_query(&error.to_string()))
}

pub(super) fn bad_query(detail: &str) -> Refused {
    problem::problem(code::BAD_QUERY, detail).into()
}

pub(super) fn internal(error: &StorageError) -> Refused {
    error!(%error, "read failed");
    Refused::from(problem::problem(code::INTERNAL, "the server failed; try again, and tell the operator if it lasts"))
}

pub(super) fn failed(app: &App, error: &LookupError) -> Refused {
    if let LookupError::Storage(error) = error {
        error!(%error, "lookup failed");
    }
    let problem: Problem = problem::of_lookup(error, &app.core.live.head().note);
    problem.into()
}

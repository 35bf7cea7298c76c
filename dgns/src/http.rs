//! HTTP: the stock read path of the log, the API, health and metrics (PROTOCOL 12).
//!
//! A handler decodes, makes one call, encodes. [`listener`] bounds what a connection may take.

mod acme;
mod alias;
mod anchors;
mod attachments;
mod caller;
mod did_documents;
mod envelopes;
mod events;
mod forwarded;
mod frames;
mod links;
pub mod listener;
mod logconf;
mod notaries;
mod notices;
pub(crate) mod pages;
mod pair;
mod passkeys;
mod people_events;
mod profile;
mod read;
mod recovery;
mod reply;
mod signin;
mod socket;
mod status;
mod store;
mod tail;
mod token;
mod verbs;
mod watch;
mod witness;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use dgns_api::{code, path};
use tracing::Instrument as _;

use crate::app::App;
use crate::limits::BODY_BYTES_MAX;
use crate::metrics::Metrics;
use crate::problem;
use crate::recovery::Desk;
use crate::witness::Roles;
use reply::Refused;

/// The running server, as every handler gets it.
type Shared = State<Arc<App>>;

/// Returns the routes of a server.
pub fn router(app: Arc<App>, recovery: Option<Arc<Desk>>) -> Router {
    let routes = Router::new()
        .route(path::CHECKPOINT, get(read::checkpoint))
        .route("/log/tile/{*path}", get(read::tile))
        .route("/log/history/tile/{*path}", get(read::history_tile))
        .route(path::CERTIFICATES, post(write::certificates))
        .route(path::NOTICES, post(notices::report).layer(DefaultBodyLimit::max(dgns_api::notice::POST_BYTES_MAX)))
        .route("/v1/names/{name}", get(read::name))
        .route("/v1/names/{name}/events", get(events::name))
        .route("/v1/dids/{did}", get(read::did))
        .route("/v1/dids/{did}/events", get(events::did))
        .route("/v1/dids/{did}/chain", get(read::chain))
        .route("/v1/dids/{did}/did.json", get(did_documents::dgns))
        .route("/dids/{did}/did.json", get(did_documents::below))
        .route(path::HOST_DID, get(did_documents::host))
        .route("/v1/aliases/{id}", get(read::alias))
        .route("/v1/ids/{id}", get(read::id))
        .route("/v1/log/entries/{index}", get(read::entry))
        .route(path::PROOF, get(read::proof))
        .route(path::HEAD, get(read::head))
        .route(path::NOTARIES, get(notaries::list))
        .route(path::STATUS, get(status::log))
        .route(path::TAIL, get(tail::tail))
        .route(path::ANCHORS, get(read::anchors))
        .route(path::LOGCONF, get(logconf::newest))
        .route(path::LOGCONF_CHAIN, get(logconf::chain))
        .route(path::LOG_POLICY, get(logconf::policy))
        .route(path::PERSONAL_EVENTS, get(people_events::events))
        .route("/v1/pair/{session}", post(pair::post).layer(small(PAIR_BYTES)).get(pair::read))
        .route(path::ATTACHMENTS, get(attachments::list))
        .route("/v1/attachments/{hash}", get(attachments::body))
        .route(path::LABELS, post(attachments::label).get(attachments::labels))
        .route(
            path::ENVELOPES,
            post(envelopes::post).layer(small(dgns_api::envelope::POST_BYTES_MAX)).get(envelopes::read),
        )
        .route(path::INFO, get(status::info))
        .route(path::LOBBY, get(socket::open))
        .route(path::HEALTH, get(status::health))
        .route(path::READY, get(status::ready))
        .route(path::METRICS, get(status::metrics))
        .route(path::SIGNUP, post(verbs::signup))
        .route(path::CLAIM, post(verbs::claim))
        .route(path::PROFILE, get(profile::read).patch(profile::update))
        .layer(DefaultBodyLimit::max(dgns_api::post::POST_BYTES_MAX))
        .merge(token::routes())
        .merge(acme::routes())
        .merge(signin::routes())
        .merge(links::routes())
        .merge(passkeys::routes())
        .merge(alias::routes())
        .merge(store::routes())
        .merge(anchors::routes())
        .merge(watch::routes())
        .layer(middleware::from_fn_with_state(app.clone(), while_served))
        .merge(app.cosigners.as_ref().map(witness::routes).unwrap_or_default())
        .merge(recovery.map(|desk| recovery::routes().with_state(desk)).unwrap_or_default())
        .merge(if app.config.http.pages { pages::routes() } else { Router::new() });
    let around = Around { metrics: app.metrics.clone(), request_s: app.config.http.request_s };
    surrounded(routes, around).with_state(app)
}

/// The bytes of a message to the pairing relay.
const PAIR_BYTES: usize = identity::pair::MESSAGE_BYTES_MAX;

/// Bounds the body of a path.
fn small(bytes: usize) -> DefaultBodyLimit {
    DefaultBodyLimit::max(bytes)
}

/// Refuses everything about the log once a follower's verified state is too old after a fault.
async fn while_served(State(app): Shared, request: Request<axum::body::Body>, next: Next) -> Response {
    let about_itself = [path::INFO, path::HEALTH, path::READY, path::METRICS].contains(&request.uri().path());
    match !about_itself && app.is_over() {
        true => Refused::from(problem::over()).into_response(),
        false => next.run(request).await,
    }
}

/// Returns the routes of a witness alone.
pub fn witness_router(roles: Arc<Roles>, metrics: Arc<Metrics>, request_s: u64) -> Router {
    let routes = Router::new()
        .route(path::HEALTH, get(status::health))
        .route(path::READY, get(status::health))
        .route(path::METRICS, get(witness::metrics))
        .merge(witness::routes(&roles));
    surrounded(routes, Around { metrics, request_s }).with_state(roles)
}

/// Returns the routes of a recovery server.
pub fn recovery_router(desk: Arc<Desk>, metrics: Arc<Metrics>, request_s: u64) -> Router {
    let routes = Router::new()
        .route(path::HEALTH, get(status::health))
        .route(path::READY, get(recovery::ready))
        .merge(recovery::routes());
    surrounded(routes, Around { metrics, request_s }).with_state(desk)
}

/// Gives every route what all of them share, and an answer to whoever asks for none of them.
fn surrounded<S: Clone + Send + Sync + 'static>(routes: Router<S>, around: Around) -> Router<S> {
    routes
        .fallback(async || Refused::from(problem::problem(code::NOT_FOUND, "no such path; PROTOCOL 12.1 lists them")))
        .method_not_allowed_fallback(async || {
            Refused::from(problem::problem(code::METHOD_NOT_ALLOWED, "this path takes another method"))
        })
        .layer(middleware::from_fn_with_state(around, self::around))
}

/// Names a request in the answer and in the server's log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What surrounds every route: its counters, and the seconds a request may take.
#[derive(Clone)]
struct Around {
    metrics: Arc<Metrics>,
    request_s: u64,
}

/// Names and counts each request, bounds its time, and lets pages of any origin read what is public.
async fn around(State(around): State<Around>, request: Request<axum::body::Body>, next: Next) -> Response {
    let limit = std::time::Duration::from_secs(around.request_s);
    let preflight = request.method() == Method::OPTIONS;
    let id = around.metrics.next_request();
    let span = tracing::info_span!("request", id);
    let announced = request.body().size_hint().lower();
    let mut response = if announced > BODY_BYTES_MAX as u64 {
        // Before anybody waits for it: the connection ends behind the answer.
        Refused::from(problem::problem(code::TOO_LARGE, "the body is larger than any path takes")).into_response()
    } else {
        match tokio::time::timeout(limit, next.run(request).instrument(span)).await {
            Ok(response) => response,
            Err(_) => {
                Refused::from(problem::problem(code::TIMEOUT, "the request did not arrive in time")).into_response()
            }
        }
    };
    if preflight {
        response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type, accept"));
    }
    if response.status() == StatusCode::BAD_REQUEST && !is_problem(&response) {
        // The router itself refuses a path that is not UTF-8.
        response = Refused::from(problem::problem(code::BAD_QUERY, "the path is not text")).into_response();
    }
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response.headers_mut().insert(REQUEST_ID, HeaderValue::from(id));
    if response.status().is_client_error() || response.status().is_server_error() {
        around.metrics.http_problem();
    }
    response
}

fn is_problem(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == path::PROBLEM_JSON)
}

//! `/v1/token/...`, the verbs that mean the same, `/v1/revocations`, `/v1/declare`, `/v1/grants` (PROTOCOL 17, 18).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query as UrlQuery, State};
use axum::response::Response;
use axum::routing::{get, post};
use dgns_api::{code, path};
use identity::token::Pair;
use identity::wire::Writer;
use tracing::error;

use super::Shared;
use super::caller::Asking;
use super::reply::{Refused, Reply, bounded, fresh, the_writer};
use crate::app::App;
use crate::problem;
use crate::tokens::{Tokens, TokensRefusal, WAIT_MAX_S, revocation};

/// The bytes of a body: a lease with four grants and sixteen scopes.
const BODY_BYTES_MAX: usize = 8_192;

/// The routes of tokens and grants.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(path::TOKEN_LEASE, post(lease))
        .route("/v1/lease", post(lease))
        .route("/v1/login", post(lease))
        .route(path::TOKEN_EXCHANGE, post(exchange))
        .route("/v1/join", post(exchange))
        .route(path::TOKEN_REFRESH, post(refresh))
        .route("/v1/refresh", post(refresh))
        .route(path::TOKEN_REVOKE, post(revoke))
        .route(path::TOKEN_KEYS, post(keys))
        .route(path::REVOCATIONS, get(revocations))
        .route(path::DECLARE, post(declare))
        .route(path::GRANTS, get(grants))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

async fn lease(State(app): Shared, body: Result<Bytes, BytesRejection>) -> Reply {
    let done = tokens(&app)?.lease(&app.core, &posted(body)?, false).await;
    pair(done)
}

async fn exchange(State(app): Shared, body: Result<Bytes, BytesRejection>) -> Reply {
    let done = tokens(&app)?.lease(&app.core, &posted(body)?, true).await;
    pair(done)
}

async fn refresh(State(app): Shared, body: Result<Bytes, BytesRejection>) -> Reply {
    let done = tokens(&app)?.refresh(&app.core, &posted(body)?).await;
    pair(done)
}

async fn revoke(State(app): Shared, asking: Asking) -> Reply {
    let (tokens, did) = (tokens(&app)?, asking.caller.did);
    let named = revocation(&asking.body).map_err(|error| refused(&error.into()))?;
    let seq = match named {
        Ok(rid) => tokens.revoke_family(&app.core, &did, &rid).await,
        Err(sid) => tokens.revoke_grant(&app.core, &did, &sid).await,
    };
    let mut writer = Writer::new();
    writer.map(1).uint(1).uint(seq.map_err(|refusal| refused(&refusal))?);
    Ok(fresh(path::CBOR, writer.finish()))
}

async fn keys(State(app): Shared, asking: Asking) -> Reply {
    let keys = tokens(&app)?.audience_keys(&app.core, &asking.caller, &asking.body).await;
    Ok(fresh(path::CBOR, keys.map_err(|refusal| refused(&refusal))?))
}

/// The query of a page of the feed.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PageAsked {
    /// The newest place the audience knows.
    since: Option<u64>,
    /// For how many seconds an empty page may be waited with.
    wait: Option<u64>,
}

async fn revocations(State(app): Shared, asked: Result<UrlQuery<PageAsked>, QueryRejection>) -> Reply {
    let UrlQuery(asked) = asked.map_err(|error| problem::problem(code::BAD_QUERY, error.to_string()))?;
    let (since, wait_s) = (asked.since.unwrap_or(0), asked.wait.unwrap_or(0));
    if wait_s > WAIT_MAX_S || since > u64::MAX >> 1 {
        let detail = format!("wait is at most {WAIT_MAX_S} seconds, since a place of the feed");
        return Err(problem::problem(code::BAD_QUERY, detail).into());
    }
    let tokens = tokens(&app)?;
    // Leaves the request time to be answered, whatever the configuration gives it.
    let wait = Duration::from_secs(wait_s).min(Duration::from_secs(app.config.http.request_s) * 2 / 3);
    let page = tokens.page(&app.core, since, wait).await.map_err(|refusal| refused(&refusal))?;
    Ok(fresh(path::CBOR, page))
}

async fn declare(State(app): Shared, asking: Asking) -> Reply {
    let sid = tokens(&app)?.declare(&app.core, &asking.caller.did, &asking.body).await;
    let mut writer = Writer::new();
    writer.map(1).uint(1).bytes(&sid.map_err(|refusal| refused(&refusal))?);
    Ok(fresh(path::CBOR, writer.finish()))
}

async fn grants(State(app): Shared, asking: Asking) -> Reply {
    let kept = tokens(&app)?.grants(&app.core, &asking.caller.did).await.map_err(|refusal| refused(&refusal))?;
    let mut writer = Writer::new();
    writer.array(kept.len());
    for kept in &kept {
        writer.array(2).array(kept.chain.len());
        for envelope in &kept.chain {
            writer.bytes(envelope);
        }
        writer.bool(kept.revoked);
    }
    Ok(fresh(path::CBOR, writer.finish()))
}

fn pair(done: Result<Pair, TokensRefusal>) -> Result<Response, Refused> {
    match done {
        Ok(pair) => Ok(fresh(path::CBOR, pair.encode())),
        Err(refusal) => Err(refused(&refusal)),
    }
}

fn posted(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refused> {
    bounded(body, BODY_BYTES_MAX)
}

/// Only the server that keeps the log mints.
fn tokens(app: &App) -> Result<&Tokens, Refused> {
    the_writer(app)?;
    let none = || problem::problem(code::INTERNAL, "this server mints no tokens");
    app.tokens.as_deref().ok_or_else(|| none().into())
}

fn refused(refusal: &TokensRefusal) -> Refused {
    if let TokensRefusal::Storage(error) = refusal {
        error!(%error, "tokens cannot be read or written");
    }
    problem::of_tokens(refusal).into()
}

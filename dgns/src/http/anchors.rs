//! `/v1/anchors/..`, `/v1/logs/{log}/anchor`: what of the databases is said in the log of names (PROTOCOL 25.9).

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::routing::get;

use super::Shared;
use super::caller::Asking;
use super::read::{bad_query, query};
use super::reply::Reply;
use super::store::{answered, databases, log_id};
use crate::app::App;

/// Returns the routes of anchors.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/anchors/stand", get(stand))
        .route("/v1/anchors/{k}/changes", get(changes))
        .route("/v1/logs/{log}/anchor", get(anchored))
}

/// The query of a reader.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    k: u64,
    old: Option<u64>,
}

/// How far the databases are, signed.
async fn stand(State(app): Shared) -> Reply {
    answered(databases(&app)?.stand(&app.core).await)
}

/// What an anchor changes.
async fn changes(State(app): Shared, Path(k): Path<String>) -> Reply {
    let k = k.parse().map_err(|_| bad_query("an anchor has a number"))?;
    answered(databases(&app)?.anchor_changes(k).await)
}

/// How an anchor has a log.
async fn anchored(
    State(app): Shared,
    Path(log): Path<String>,
    asked: Result<UrlQuery<Asked>, QueryRejection>,
    asking: Asking,
) -> Reply {
    let asked = query(asked)?;
    let (databases, log) = (databases(&app)?, log_id(&log)?);
    answered(databases.anchored(&app.core, &log, &asking.caller.who(), asked.k, asked.old).await)
}

//! `POST /v1/certificates`: the one road for writes.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{ConnectInfo, Query as UrlQuery, State};
use dgns_api::{code, path, post};
use tracing::error;

use super::Shared;
use super::read::known;
use super::reply::{Refused, Reply, fresh};
use crate::log::door::DoorError;
use crate::log::lookup::{self, Query};
use crate::problem;

/// The query of a post.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PostAsked {
    /// The size of the head the client remembers: a consistency proof from it is added.
    from: Option<u64>,
    /// What it keeps of its DID: the certificates since are added.
    known: Option<String>,
}

/// Takes certificates into the log and answers with the final proof of each, under the newest head.
pub(super) async fn certificates(
    State(app): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    asked: Result<UrlQuery<PostAsked>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let UrlQuery(asked) = asked.map_err(|error| problem::problem(code::BAD_QUERY, error.to_string()))?;
    let known = known(asked.known.as_deref())?;
    let body = body.map_err(|rejection| match rejection.status().as_u16() {
        413 => problem::problem(code::TOO_LARGE, format!("a post takes at most {} bytes", post::POST_BYTES_MAX)),
        _ => problem::problem(code::BAD_POST, "the body did not arrive whole"),
    })?;
    let envelopes = post::decode(&body).map_err(|error| problem::problem(code::BAD_POST, error.to_string()))?;
    let accepted = app.door.submit(&app.core, &envelopes, from.ip()).await.map_err(|refused| {
        app.metrics.post_refused();
        if let DoorError::Storage(error) = &refused {
            error!(%error, "post failed");
        }
        Refused::from(problem::of_door(&refused))
    })?;
    let written = Some((accepted.first_index, accepted.sids.len() as u64));
    let query = Query { from: asked.from, known, written, ..Query::default() };
    let resolution = lookup::resolve(&app.core, &accepted.subject, query).await;
    let bytes = resolution.map_err(|error| problem::of_lookup(&error, &app.core.live.head().note))?;
    Ok(fresh(path::CBOR, bytes))
}

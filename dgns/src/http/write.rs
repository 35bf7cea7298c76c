//! `POST /v1/certificates`: the one road for writes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{ConnectInfo, Query as UrlQuery, State};
use dgns_api::{code, path, post};
use tracing::error;

use super::Shared;
use super::read::known;
use super::reply::{Refused, Reply, bounded, fresh, the_writer};
use crate::app::App;
use crate::auth::notary::NotaryError;
use crate::log::door::{Accepted, DoorError};
use crate::log::lookup::{self, Query};
use crate::log::shown::Asked;
use crate::problem;

/// The query of a post.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PostAsked {
    /// The size of the head the client remembers: a consistency proof from it is added.
    from: Option<u64>,
    /// What it keeps of its DID: the certificates since are added.
    known: Option<String>,
    /// `cosigned`: the answer waits for a witnessed head that covers what was written.
    wait: Option<String>,
}

/// Takes certificates into the log and answers with the final proof of each, under the newest head or, if the client waits
/// for it, the first witnessed one.
pub(super) async fn certificates(
    State(app): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    asked: Result<UrlQuery<PostAsked>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let UrlQuery(asked) = asked.map_err(|error| problem::problem(code::BAD_QUERY, error.to_string()))?;
    let known = known(asked.known.as_deref())?;
    let head = match asked.wait.as_deref() {
        None => Asked::Newest,
        Some("cosigned") => Asked::Public,
        Some(other) => {
            let detail = format!("wait={other} is unknown; wait=cosigned exists");
            return Err(problem::problem(code::BAD_QUERY, detail).into());
        }
    };
    let accepted = submit(&app, from.ip(), &posted(body)?).await?;
    if head == Asked::Public {
        cosigned(&app, accepted.first_index + accepted.sids.len() as u64).await?;
    }
    let written = Some((accepted.first_index, accepted.sids.len() as u64));
    let query = Query { head, from: asked.from, known, written, ..Query::default() };
    let resolution = lookup::resolve(&app.core, &accepted.subject, query).await;
    let bytes = resolution.map_err(|error| problem::of_lookup(&error, &app.core.live.head().note))?;
    Ok(fresh(path::CBOR, bytes))
}

/// Returns the body of a post once it is there.
pub(super) fn posted(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refused> {
    bounded(body, post::POST_BYTES_MAX)
}

/// Takes the certificates of a post into the log.
pub(super) async fn submit(app: &App, from: IpAddr, body: &[u8]) -> Result<Accepted, Refused> {
    let door = the_writer(app)?;
    let post = post::decode(body).map_err(|error| problem::problem(code::BAD_POST, error.to_string()))?;
    door.submit(&app.core, app.people.as_deref(), &post, from).await.map_err(|refused| {
        app.metrics.post_refused();
        if let DoorError::Storage(error) | DoorError::Notary(NotaryError::Storage(error)) = &refused {
            error!(%error, "post failed");
        }
        Refused::from(problem::of_door(&refused))
    })
}

/// Waits until a witnessed head covers `size` leaves; under `quorum none` every head does.
async fn cosigned(app: &App, size: u64) -> Result<(), Refused> {
    if !app.core.live.read().shown.asks_witnesses() {
        return Ok(());
    }
    let mut witnessed = app.core.live.witnessed_size();
    // Leaves the rest of the request's time to the proof.
    let patience = Duration::from_secs(app.config.http.request_s) * 2 / 3;
    match tokio::time::timeout(patience, witnessed.wait_for(|witnessed| *witnessed >= size)).await {
        Ok(Ok(_)) => Ok(()),
        _ => {
            Err(problem::quorum_pending("it is in the log, but the witnesses have not cosigned it yet; try again")
                .into())
        }
    }
}

//! `POST /v1/notices`: evidence of a fork, taken into the log (PROTOCOL 12.8).

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use dgns_api::{notice, path};
use tracing::error;

use super::Shared;
use super::read::entry_proof;
use super::reply::{Refused, Reply, bounded, fresh, the_writer};
use crate::log::door::DoorError;
use crate::log::notices::NoticesError;
use crate::problem;

/// Takes a fault file into the log, or finds where it stands, and answers with the proof of its Notice.
pub(super) async fn report(State(app): Shared, body: Result<Bytes, BytesRejection>) -> Reply {
    let evidence = bounded(body, notice::POST_BYTES_MAX)?;
    let door = the_writer(&app)?;
    let index = app.notices.submit(&app.core, door, &evidence).await.map_err(|refused| {
        app.metrics.post_refused();
        if let NoticesError::Door(DoorError::Storage(error)) = &refused {
            error!(%error, "notice failed");
        }
        Refused::from(problem::of_notices(&refused))
    })?;
    Ok(fresh(path::TEXT, entry_proof(&app, index).await?.to_string()))
}

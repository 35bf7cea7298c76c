//! `add-checkpoint` and what a cosigner shows of itself (PROTOCOL 12.6).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use dgns_api::{code, path};
use translog::limits::WITNESS_REQUEST_BYTES_MAX;
use translog::witness::{SIZE_MEDIA_TYPE, WitnessRefusal, conflict_body};

use super::reply::{Refused, Reply, fresh};
use crate::problem;
use crate::witness::cosigner::{Cosigner, Role};
use crate::witness::{Declined, Roles};

/// A cosigner, as its handlers get it.
type Asked = State<(Arc<Roles>, Role)>;

/// Returns the routes of every cosigner of a process.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(roles: &Arc<Roles>) -> Router<S> {
    let mut router = Router::new();
    for role in [Role::Witness, Role::Verifier].into_iter().filter(|role| roles.cosigner(*role).is_some()) {
        let of_role = Router::new()
            .route("/add-checkpoint", post(add_checkpoint))
            .route("/status", get(status))
            .route("/evidence", get(evidence))
            .route("/evidence/{name}", get(evidence_file))
            .route("/{log}/checkpoint", get(checkpoint))
            .layer(DefaultBodyLimit::max(WITNESS_REQUEST_BYTES_MAX))
            .with_state((roles.clone(), role));
        router = router.nest(&format!("/{role}"), of_role);
    }
    router
}

fn cosigner(roles: &Roles, role: Role) -> Result<&Arc<Cosigner>, Refused> {
    roles.cosigner(role).ok_or_else(|| problem::problem(code::NOT_FOUND, "no such cosigner here").into())
}

/// `POST /witness/add-checkpoint`, `/verifier/add-checkpoint`: our signature line.
async fn add_checkpoint(State((roles, role)): Asked, body: Result<Bytes, BytesRejection>) -> Reply {
    let cosigner = cosigner(&roles, role)?;
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            problem::problem(code::TOO_LARGE, "add-checkpoint takes at most 196,608 bytes")
        }
        _ => problem::problem(code::BAD_QUERY, rejection.body_text()),
    })?;
    match cosigner.add_checkpoint(&body).await {
        Ok(line) => Ok(fresh(path::TEXT, line)),
        Err(Declined::Refused(WitnessRefusal::Conflict { size })) => Ok(conflict(size)),
        Err(declined) => Err(problem::of_declined(&declined).into()),
    }
}

/// The answer that names the size cosigned last: no problem, for the specification gives it another form.
fn conflict(size: u64) -> Response {
    let mut response = (StatusCode::CONFLICT, conflict_body(size)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(SIZE_MEDIA_TYPE));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `GET /witness/<hex SHA-256 of the origin>/checkpoint`: the head cosigned last, with the log's lines and ours.
async fn checkpoint(State((roles, role)): Asked, Path(log): Path<String>) -> Reply {
    match cosigner(&roles, role)?.checkpoint(&log) {
        Some(note) => Ok(fresh(path::TEXT, note.as_bytes().to_vec())),
        None => Err(problem::problem(code::NOT_FOUND, "no head of such a log was cosigned here").into()),
    }
}

/// `GET /witness/status`: a view, no proof.
async fn status(State((roles, role)): Asked) -> Reply {
    cosigner(&roles, role)?;
    let status = roles.status(role).unwrap_or_default();
    Ok(fresh(path::JSON, status.to_string()))
}

/// `GET /witness/evidence`: the evidence kept, each file with whom it convicts.
async fn evidence(State((roles, role)): Asked) -> Reply {
    cosigner(&roles, role)?;
    Ok(fresh(path::JSON, roles.evidence(role).to_string()))
}

/// `GET /witness/evidence/<name>`: a fault file, which proves itself.
async fn evidence_file(State((roles, role)): Asked, Path(name): Path<String>) -> Reply {
    cosigner(&roles, role)?;
    let file = roles.evidence_file(&name);
    let file = file.ok_or_else(|| problem::problem(code::NOT_FOUND, "no such evidence is kept here"))?;
    Ok(fresh(path::OCTETS, file))
}

/// `GET /metrics` of a witness alone.
pub(super) async fn metrics(State(roles): State<Arc<Roles>>) -> Response {
    fresh("text/plain; version=0.0.4", roles.metrics())
}

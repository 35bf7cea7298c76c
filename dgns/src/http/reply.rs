//! What handlers answer with: bytes with their headers, or a problem.

use std::fmt::Arguments;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dgns_api::problem::Problem;
use dgns_api::{code, path};

use crate::app::{App, Role};
use crate::log::door::Door;
use crate::problem;

/// A handler's answer.
pub(super) type Reply = Result<Response, Refused>;

/// A problem on its way out.
#[derive(Debug)]
pub(super) struct Refused(Box<Problem>);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).expect("a problem is plain data");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(path::PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(retry_ms) = self.0.retry_ms {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_ms.div_ceil(1_000)));
        }
        response
    }
}

/// Returns where posts come in; a follower names the server that takes them.
pub(super) fn the_writer(app: &App) -> Result<&Door, Refused> {
    match &app.role {
        Role::Writer(door) => Ok(door),
        Role::Follower(standing) => Err(problem::not_the_writer(standing.url()).into()),
    }
}

/// Returns a body once it is there; `limit` says to whoever sent a larger one what the path takes.
pub(super) fn whole(body: Result<Bytes, BytesRejection>, limit: Arguments<'_>) -> Result<Bytes, Refused> {
    body.map_err(|rejection| match rejection.status().as_u16() {
        413 => problem::problem(code::TOO_LARGE, limit.to_string()).into(),
        _ => problem::problem(code::BAD_POST, "the body did not arrive whole").into(),
    })
}

/// As [`whole`], where the path takes so many bytes.
pub(super) fn bounded(body: Result<Bytes, BytesRejection>, bytes_max: usize) -> Result<Bytes, Refused> {
    whole(body, format_args!("this takes at most {bytes_max} bytes"))
}

/// Returns an answer that changes with the log: never cached.
pub(super) fn fresh(content_type: &'static str, bytes: impl Into<Bytes>) -> Response {
    with_headers(content_type, "no-store", bytes.into())
}

/// Returns an answer that never changes.
pub(super) fn immutable(content_type: &'static str, bytes: impl Into<Bytes>) -> Response {
    with_headers(content_type, "public, max-age=31536000, immutable", bytes.into())
}

fn with_headers(content_type: &'static str, cache: &'static str, bytes: Bytes) -> Response {
    let mut response = bytes.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

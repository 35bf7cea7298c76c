//! What handlers answer with: bytes with their headers, or a problem.

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dgns_api::path;
use dgns_api::problem::Problem;

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

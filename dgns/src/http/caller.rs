//! The device behind a request, and the body it signed: what handlers of a DID's own affairs begin with (PROTOCOL 12.9).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderName;
use axum::http::header::AUTHORIZATION;
use identity::request::DID_HEADER;
use tracing::error;

use super::reply::{Refused, the_writer, whole};
use super::store;
use crate::app::App;
use crate::auth::request::{Caller, CallerError, Signed};
use crate::problem;

/// A request that a live or fresh device signed. Only the server that keeps the log has such affairs, and a follower names
/// it; but for databases that it shares.
pub(super) struct Asking {
    /// Who asks.
    pub(super) caller: Caller,
    /// The body, whole.
    pub(super) body: Bytes,
}

impl FromRequest<Arc<App>> for Asking {
    type Rejection = Refused;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refused> {
        if app.databases.is_none() || !store::is_of_databases(request.uri().path()) {
            the_writer(app)?;
        }
        let authorization = header(&request, AUTHORIZATION);
        let did = header(&request, HeaderName::from_static(DID_HEADER));
        let method = request.method().clone();
        let uri = request.uri().clone();
        let target = uri.path_and_query().map_or("", |target| target.as_str());
        let body = Bytes::from_request(request, app).await;
        let body = whole(body, format_args!("the body is larger than this path takes"))?;
        let signed = Signed {
            method: method.as_str(),
            target,
            body: &body,
            authorization: authorization.as_deref(),
            did: did.as_deref(),
        };
        let caller = app.callers.check(&app.core, signed).await.map_err(refused)?;
        Ok(Self { caller, body })
    }
}

fn header(request: &Request, name: HeaderName) -> Option<String> {
    request.headers().get(name)?.to_str().ok().map(str::to_owned)
}

fn refused(refusal: CallerError) -> Refused {
    if let CallerError::Storage(error) = &refusal {
        error!(%error, "a device's state cannot be read");
    }
    problem::of_caller(&refusal).into()
}

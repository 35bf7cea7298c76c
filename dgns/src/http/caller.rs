//! The device behind a request, and the body it signed: what handlers of a DID's own affairs begin with (PROTOCOL 12.9).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderName, Method, Uri};
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
        let databases = app.databases.clone().filter(|_| store::is_of_databases(request.uri().path()));
        if databases.is_none() {
            the_writer(app)?;
        }
        let sent = Sent::read(request, app).await?;
        let guests = databases.as_ref().map(|databases| databases.guests());
        let caller = app.callers.check(&app.core, guests, sent.signed()).await.map_err(refused)?;
        Ok(Self { caller, body: sent.body })
    }
}

/// A request by which somebody of another log proved who they are, and signed it: they are known from here on, for a time.
pub(super) struct Introduced;

impl FromRequest<Arc<App>> for Introduced {
    type Rejection = Refused;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refused> {
        let sent = Sent::read(request, app).await?;
        let guests = store::databases(app)?.guests();
        app.callers.introduce(&app.core, guests, sent.signed()).await.map_err(refused)?;
        Ok(Self)
    }
}

/// What a request says that may be signed.
struct Sent {
    method: Method,
    uri: Uri,
    authorization: Option<String>,
    did: Option<String>,
    body: Bytes,
}

impl Sent {
    async fn read(request: Request, app: &Arc<App>) -> Result<Self, Refused> {
        let authorization = header(&request, AUTHORIZATION);
        let did = header(&request, HeaderName::from_static(DID_HEADER));
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let body = Bytes::from_request(request, app).await;
        let body = whole(body, format_args!("the body is larger than this path takes"))?;
        Ok(Self { method, uri, authorization, did, body })
    }

    fn signed(&self) -> Signed<'_> {
        Signed {
            method: self.method.as_str(),
            target: self.uri.path_and_query().map_or("", |target| target.as_str()),
            body: &self.body,
            authorization: self.authorization.as_deref(),
            did: self.did.as_deref(),
        }
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

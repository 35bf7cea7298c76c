//! `/v1/signin`: signing in at an issuer (PROTOCOL 19.3).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use dgns_api::signin::{Finish, Link, POST_BYTES_MAX, SigninFormError, Start};
use dgns_api::{code, path};
use serde::Deserialize;
use tracing::error;

use super::Shared;
use super::caller::Asking;
use super::reply::{Refused, Reply, bounded, fresh, the_writer};
use crate::app::App;
use crate::auth::aliases;
use crate::auth::notary::NotaryError;
use crate::auth::signin::{Back, CALLBACK, Signin, SigninError};
use crate::people::People;
use crate::problem;

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(path::SIGNIN_OIDC_START, post(start))
        .route(path::SIGNIN_OIDC_FINISH, post(finish))
        .route(path::SIGNIN_LINK, post(link))
        .route(CALLBACK, get(callback))
        .layer(DefaultBodyLimit::max(POST_BYTES_MAX))
}

async fn start(
    State(app): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let start = Start::decode(&bounded(body, POST_BYTES_MAX)?).map_err(malformed)?;
    let (signin, people) = desk(&app)?;
    let started = signin.start(&app.core, people, start, from.ip(), &mut crate::rng::system()).await;
    Ok(fresh(path::CBOR, started.map_err(refused)?.encode()))
}

async fn finish(State(app): Shared, body: Result<Bytes, BytesRejection>) -> Reply {
    let finish = Finish::decode(&bounded(body, POST_BYTES_MAX)?).map_err(malformed)?;
    let (signin, people) = desk(&app)?;
    let finished = signin.finish(&app.core, people, finish, &mut crate::rng::system()).await.map_err(refused)?;
    aliases::attest(&app.core, people, the_writer(&app)?, &finished.evidence).await;
    Ok(fresh(path::CBOR, finished.encode()))
}

/// Lets the account of a sign-in lead to the DID that asks, by the device that signed in.
async fn link(State(app): Shared, asking: Asking) -> Reply {
    let Link { evidence } = Link::decode(&asking.body).map_err(malformed)?;
    let (_, people) = desk(&app)?;
    let notaries =
        the_writer(&app)?.notaries().ok_or_else(|| problem::problem(code::NOT_FOUND, "nobody signs in here"))?;
    let linked = notaries.link(&app.core, people, &evidence, &asking.caller.state).await;
    linked.map_err(|refusal| refused(SigninError::Notary(refusal)))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What an issuer hands to the browser.
#[derive(Deserialize)]
struct Callback {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
}

/// Leads a browser that comes back from an issuer on to the page, or to the program on its own machine that waits for it.
async fn callback(State(app): Shared, Query(query): Query<Callback>) -> Reply {
    let (signin, people) = desk(&app)?;
    let Callback { state, code, iss } = &query;
    let back = Back { state: state.as_deref(), code: code.as_deref(), issuer: iss.as_deref() };
    let to = signin.landing(&app.core, people, &back).await.map_err(refused)?;
    let to = HeaderValue::try_from(to).map_err(|_| problem::problem(code::BAD_QUERY, "the code is not text"))?;
    Ok(led_to(to))
}

fn led_to(to: HeaderValue) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, to);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Returns where people sign in; a follower names the server that has it.
pub(super) fn desk(app: &App) -> Result<(&Signin, &People), Refused> {
    the_writer(app)?;
    match (&app.signin, &app.people) {
        (Some(signin), Some(people)) => Ok((signin, people)),
        _ => Err(problem::problem(code::NOT_FOUND, "nobody signs in here").into()),
    }
}

pub(super) fn malformed(error: SigninFormError) -> Refused {
    problem::problem(code::BAD_POST, error.to_string()).into()
}

pub(super) fn refused(refusal: SigninError) -> Refused {
    if let SigninError::Storage(error) | SigninError::Notary(NotaryError::Storage(error)) = &refusal {
        error!(%error, "sign-in failed");
    }
    problem::of_signin(&refusal).into()
}

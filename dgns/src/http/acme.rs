//! `/acme-dns`: the API of acme-dns, by which stock ACME clients write challenges (PROTOCOL 12.19).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use dgns_api::problem::Problem;
use dgns_api::{code, path};
use identity::name::Name;
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::caller::Asking;
use super::reply::{Refused, Reply, bounded, fresh, the_writer};
use crate::app::App;
use crate::cidr::Cidr;
use crate::config::AcmeRegister;
use crate::dns::Updates;
use crate::dns::update::accounts::{AccountError, Register, password_text, read_uuid, uuid_text};
use crate::problem;

/// The bytes of a request: 16 networks with room.
const BODY_BYTES: usize = 4_096;

/// The networks of one account.
const NETWORKS_MAX: usize = 16;

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(path::ACME_REGISTER, post(register))
        .route(path::ACME_UPDATE, post(update))
        .route(path::ACME_HEALTH, get(async || StatusCode::OK))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
}

/// What an account is to be; all of it may be left out, and the body as a whole.
#[derive(Default, Deserialize)]
struct RegisterBody {
    #[serde(default)]
    allowfrom: Vec<String>,
    /// A claimed name of the DID whose device signs; not in acme-dns.
    name: Option<String>,
}

#[derive(Deserialize)]
struct UpdateBody {
    subdomain: String,
    txt: String,
}

/// Opens an account: by a device for a name of its DID, or, where the server lets whoever asks, for a place of its own.
async fn register(State(app): Shared, ConnectInfo(from): ConnectInfo<SocketAddr>, request: Request) -> Reply {
    let updates = updates(&app)?;
    let (device, body) = match request.headers().contains_key(AUTHORIZATION) {
        true => {
            let Asking { caller, body } = Asking::from_request(request, &app).await?;
            (Some((caller.did, caller.device.sign)), body)
        }
        false => (None, bounded(Bytes::from_request(request, &app).await, BODY_BYTES)?),
    };
    let body: RegisterBody = if body.is_empty() { RegisterBody::default() } else { read_json(&body)? };
    let name = body.name.as_deref().map(|name| Name::parse(name, &app.core.zone)).transpose();
    let name = name.map_err(|error| told(error.code(), error.to_string()))?;
    let is_open = match app.config.acme_register() {
        AcmeRegister::Off => false,
        AcmeRegister::Device => device.is_some(),
        AcmeRegister::Open => true,
    };
    if !is_open && (name.is_none() || device.is_none()) {
        return Err(told(code::FORBIDDEN, "this server opens accounts to devices, for names of theirs"));
    }
    let allow: Option<Vec<Cidr>> = body.allowfrom.iter().map(|text| Cidr::parse(text)).collect();
    let allow = allow.filter(|networks| networks.len() <= NETWORKS_MAX).ok_or_else(|| {
        told(code::BAD_CIDR, "allowfrom is at most 16 networks such as 192.0.2.0/24 or 2001:db8::/32")
    })?;
    app.rates.admit_signin(from.ip(), app.core.clock.now()).map_err(problem::of_rate)?;
    let name = name.map(|name| name.as_str().to_owned());
    let register = Register { device, name, allow: allow.clone() };
    let opened = finished(async move { updates.open_account(register).await }).await?;
    let answer = json!({
        "username": uuid_text(&opened.username),
        "password": password_text(&opened.password),
        "fulldomain": opened.fulldomain,
        "subdomain": uuid_text(&opened.subdomain),
        "allowfrom": allow.iter().map(Cidr::to_string).collect::<Vec<_>>(),
    });
    Ok((StatusCode::CREATED, fresh(path::JSON, answer.to_string())).into_response())
}

/// Writes a challenge; answers once DNS has it.
async fn update(
    State(app): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let updates = updates(&app)?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let username = read_uuid(header("x-api-user")).ok_or_else(|| refused(AccountError::Forbidden))?;
    let account = updates.account(&username, header("x-api-key"), from.ip()).await.map_err(refused)?;
    let body: UpdateBody = read_json(&bounded(body, BODY_BYTES)?)?;
    let subdomain = read_uuid(&body.subdomain)
        .ok_or_else(|| told(code::BAD_SUBDOMAIN, "the subdomain is the one that registering returned"))?;
    if subdomain != account.subdomain {
        return Err(refused(AccountError::Forbidden));
    }
    let is_text = body.txt.len() == 43 && body.txt.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if !is_text {
        return Err(told(code::BAD_TXT, "txt is 43 characters of base64url, as ACME has them"));
    }
    app.rates.admit_challenge(account.username, app.core.clock.now()).map_err(problem::of_rate)?;
    let answer = json!({ "txt": body.txt });
    finished(async move { updates.write_challenge(&account, &body.txt).await }).await?;
    Ok(fresh(path::JSON, answer.to_string()))
}

/// Returns who takes updates of DNS: the server that keeps the log.
fn updates(app: &App) -> Result<Arc<Updates>, Refused> {
    the_writer(app)?;
    app.updates.clone().ok_or_else(|| problem::internal().into())
}

/// Does it to its end, though the client leaves: what is durable is in DNS, too.
async fn finished<T: Send + 'static>(
    work: impl Future<Output = Result<T, AccountError>> + Send + 'static,
) -> Result<T, Refused> {
    tokio::spawn(work).await.unwrap_or(Err(AccountError::Failed)).map_err(refused)
}

fn read_json<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Refused> {
    let what = "the body is not the JSON of PROTOCOL 12.19";
    serde_json::from_slice(body).map_err(|_| told(code::MALFORMED_JSON_PAYLOAD, what))
}

fn refused(error: AccountError) -> Refused {
    told(error.code(), error.to_string())
}

/// Returns a refusal that clients of acme-dns understand too.
fn told(code: &str, detail: impl Into<String>) -> Refused {
    Problem { error: Some(code.to_owned()), ..problem::problem(code, detail) }.into()
}

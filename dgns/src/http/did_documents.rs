//! DID documents, under both names a DID has: `did:dgns` and `did:web` (PROTOCOL 12.16).

use axum::extract::{Path, State};
use dgns_api::code;
use identity::did::Did;

use super::Shared;
use super::read::{failed, parse_did};
use super::reply::{Reply, fresh};
use crate::app::App;
use crate::log::did_document::{self, Called, Document};
use crate::problem;

/// The media type of a document.
const DID_JSON: &str = "application/did+json";

/// `GET /v1/dids/{did}/did.json`: the document of the `did:dgns`.
pub(super) async fn dgns(State(app): Shared, Path(did): Path<String>) -> Reply {
    let did = parse_did(&did)?;
    answer(&app, &did, did.to_string(), web(&app, &did)).await
}

/// `GET /dids/{did}/did.json`: the document of the `did:web` that leads to this path.
pub(super) async fn below(State(app): Shared, Path(did): Path<String>) -> Reply {
    let did = parse_did(&did)?;
    answer(&app, &did, web(&app, &did), did.to_string()).await
}

/// `GET /.well-known/did.json`: the document of the host's own `did:web`, which is the server's DID.
pub(super) async fn host(State(app): Shared) -> Reply {
    let did = app.core.server;
    answer(&app, &did, format!("did:web:{}", host_of(&app)), did.to_string()).await
}

async fn answer(app: &App, did: &Did, id: String, also: String) -> Reply {
    let proof = format!("{}/v1/dids/{did}", app.config.signin.public_url);
    let called = Called { id, also: vec![also], proof };
    match did_document::document(&app.core, did, &called).await.map_err(|error| failed(app, &error))? {
        Document::Live(document) => Ok(fresh(DID_JSON, document)),
        Document::Ended => Err(problem::problem("ended", "the DID has ended: no key speaks for it").into()),
        Document::Absent => Err(problem::problem(code::NOT_FOUND, "no such DID in this log").into()),
    }
}

/// Returns the `did:web` of a DID at this server.
fn web(app: &App, did: &Did) -> String {
    let text = did.to_string();
    format!("did:web:{}:dids:{}", host_of(app), text.strip_prefix("did:dgns:").unwrap_or(&text))
}

/// Returns the host of the public URL as `did:web` spells it: the colon before a port is escaped.
fn host_of(app: &App) -> String {
    let url = &app.config.signin.public_url;
    let host = url.split_once("://").map_or(url.as_str(), |(_, host)| host);
    host.replace(':', "%3A")
}

//! `/v1/signin/links`: the accounts of issuers that lead to a DID, listed and taken away by its devices (PROTOCOL 19.4).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::{delete, get};
use data_encoding::HEXLOWER;
use dgns_api::{code, path};
use identity::hash::{Hash, sha256};
use identity::wire::Writer;
use storage::people::Unlinked;

use super::Shared;
use super::caller::Asking;
use super::people_events::people;
use super::read::{bad_query, internal};
use super::reply::{Reply, fresh};
use crate::app::App;
use crate::problem::problem;

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route(path::SIGNIN_LINKS, get(list)).route("/v1/signin/links/{id}", delete(remove))
}

/// The accounts of the DID, oldest first: `[[id 32, issuer 32 or null, since s, address bool, addresses bound], ...]`.
async fn list(State(app): Shared, asking: Asking) -> Reply {
    let rows = people(&app)?.store.links_of(&asking.caller.did).await.map_err(|error| internal(&error))?;
    let mut writer = Writer::new();
    writer.array(rows.len());
    for row in rows {
        writer.array(5).bytes(&sha256(&[&row.account]));
        match &row.issuer {
            Some(issuer) => writer.bytes(issuer),
            None => writer.null(),
        };
        writer.uint(row.since_s).bool(row.has_email).uint(row.addresses);
    }
    Ok(fresh(path::CBOR, writer.finish()))
}

/// Takes one away, for a live device of level admin.
async fn remove(State(app): Shared, Path(id): Path<String>, asking: Asking) -> Reply {
    if !asking.caller.device.is_voter() {
        let why = "a full device does this: not one on probation, and none of another level";
        return Err(problem("not_allowed", why).into());
    }
    let read = || -> Option<Hash> { HEXLOWER.decode(id.as_bytes()).ok()?.try_into().ok() };
    let id = read().ok_or_else(|| bad_query("a sign-in is named by 64 hexadecimal digits, lower case"))?;
    let unlinked = people(&app)?.store.unlink(&asking.caller.did, &id).await.map_err(|error| internal(&error))?;
    match unlinked {
        Unlinked::Yes => Ok(StatusCode::NO_CONTENT.into_response()),
        Unlinked::Unknown => Err(problem(code::NO_SUCH_SIGNIN, "no such sign-in leads here").into()),
        Unlinked::Bound => {
            Err(problem(code::ADDRESS_BOUND, "an address is bound by this sign-in; give the address up first").into())
        }
    }
}

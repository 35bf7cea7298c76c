//! `/v1/alias`: the alias key over addresses that stay blinded, notaries over bindings, what is kept of one's own (PROTOCOL
//! 12.15, 12.18).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::routing::{get, post};
use dgns_api::alias::{ASK_BYTES_MAX, AllMine, Ask, Mine};
use dgns_api::{code, evaluate, path};
use tracing::error;

use super::Shared;
use super::caller::Asking;
use super::people_events::people;
use super::read::internal;
use super::reply::{Refused, Reply, bounded, fresh, the_writer};
use crate::app::App;
use crate::auth::aliases::{self, AliasError};
use crate::keys::AliasKey;
use crate::log::door::Door;
use crate::problem;

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(path::EVALUATE, post(evaluate).layer(DefaultBodyLimit::max(evaluate::BYTES_MAX)))
        .route(path::NOTARIZE, post(notarize).layer(DefaultBodyLimit::max(ASK_BYTES_MAX)))
        .route(path::MY_ALIASES, get(mine))
}

/// Evaluates 1 to 16 blinded elements, on a thread of its own: a batch takes milliseconds of arithmetic. A device that signs its
/// request may ask more often than an address.
async fn evaluate(State(app): Shared, ConnectInfo(from): ConnectInfo<SocketAddr>, request: Request) -> Reply {
    let key = alias_key(the_writer(&app)?)?;
    let (asker, body) = match request.headers().contains_key(AUTHORIZATION) {
        true => {
            let asking = Asking::from_request(request, &app).await?;
            (Some(asking.caller.did), asking.body)
        }
        false => (None, bounded(Bytes::from_request(request, &app).await, evaluate::BYTES_MAX)?),
    };
    let bad =
        || problem::problem(code::BAD_POST, "the body is {1: [element, ...]} with 1 to 16 points of ristretto255");
    let blinded = evaluate::decode_question(&body).map_err(|_| bad())?;
    app.rates.admit_evaluations(from.ip(), asker, blinded.len(), app.core.clock.now()).map_err(problem::of_rate)?;
    let evaluated = tokio::task::spawn_blocking(move || key.evaluate(&blinded, &mut crate::rng::system())).await;
    let unavailable = |_| problem::problem(code::BUSY, "the server stops");
    let (evaluated, proof) = evaluated.map_err(unavailable)?.map_err(|_| bad())?;
    Ok(fresh(path::CBOR, evaluate::encode_answer(&evaluated, &proof)))
}

/// Signs a binding as the notary of a sign-in, for its owner to post.
async fn notarize(State(app): Shared, body: Result<Bytes, BytesRejection>) -> Reply {
    let door = the_writer(&app)?;
    let (key, people) = (alias_key(door)?, people(&app)?);
    let body = bounded(body, ASK_BYTES_MAX)?;
    let ask = Ask::decode(&body);
    let ask = ask.map_err(|_| problem::problem(code::BAD_POST, "the body is not the map of PROTOCOL 12.18"))?;
    let nobody = || problem::problem(code::NOT_FOUND, "nobody signs in here");
    let notaries = door.notaries().ok_or_else(nobody)?;
    let signed = aliases::notarize(&app.core, &people, notaries, &key, ask).await;
    Ok(fresh(path::CBOR, signed.map_err(refused)?.as_bytes().to_vec()))
}

/// Says what is kept of the addresses of the DID that asks.
async fn mine(State(app): Shared, asking: Asking) -> Reply {
    let (people, did) = (people(&app)?, asking.caller.did);
    let rows = people.store.aliases_of(&did).await.map_err(|error| internal(&error))?;
    let counts = people.store.accounts_of_did(&did).await;
    let (accounts, addresses) = counts.map_err(|error| internal(&error))?;
    let aliases = rows.into_iter().map(|row| Mine { alias: row.alias, sealed: row.sealed, bound: row.bound });
    Ok(fresh(path::CBOR, AllMine { aliases: aliases.collect(), accounts, addresses }.encode()))
}

fn alias_key(door: &Door) -> Result<Arc<AliasKey>, Refused> {
    let none = || problem::problem(code::NOT_FOUND, "this server has no addresses to be found by").into();
    door.alias_key().cloned().ok_or_else(none)
}

fn refused(refusal: AliasError) -> Refused {
    if let AliasError::Storage(error) = &refusal {
        error!(%error, "a binding was not signed");
    }
    problem::of_alias(&refusal).into()
}

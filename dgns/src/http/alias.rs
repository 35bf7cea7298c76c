//! `POST /v1/alias/evaluate`: the alias key over addresses that stay blinded (PROTOCOL 12.15).

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use dgns_api::{code, evaluate, path};

use super::Shared;
use super::reply::{Reply, fresh, the_writer};
use crate::problem;

/// Evaluates 1 to 16 blinded elements, on a thread of its own: a batch takes milliseconds of arithmetic.
pub(super) async fn evaluate(
    State(app): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let key = the_writer(&app)?.alias_key().cloned();
    let key = key.ok_or_else(|| problem::problem(code::NOT_FOUND, "this server has no addresses to be found by"))?;
    let bad =
        || problem::problem(code::BAD_POST, "the body is {1: [element, ...]} with 1 to 16 points of ristretto255");
    let blinded = body.ok().and_then(|body| evaluate::decode_question(&body).ok()).ok_or_else(bad)?;
    app.rates.admit_evaluations(from.ip(), blinded.len(), app.core.clock.now()).map_err(problem::of_rate)?;
    let evaluated = tokio::task::spawn_blocking(move || key.evaluate(&blinded, &mut crate::rng::system())).await;
    let unavailable = |_| problem::problem(code::BUSY, "the server stops");
    let (evaluated, proof) = evaluated.map_err(unavailable)?.map_err(|_| bad())?;
    Ok(fresh(path::CBOR, evaluate::encode_answer(&evaluated, &proof)))
}

//! What the server says of itself: info, health, readiness, metrics.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use dgns_api::info::{Info, Limits};
use dgns_api::{path, post};
use identity::cert::Road;
use identity::limits::CERTIFICATE_BYTES_MAX;

use super::Shared;
use super::reply::fresh;
use crate::app::App;
use crate::metrics::Gauges;

/// `GET /v1/info`.
pub(super) async fn info(State(app): Shared) -> Response {
    let core = &app.core;
    let head = core.live.head();
    let info = Info {
        software: concat!("dgnsd ", env!("CARGO_PKG_VERSION")).to_owned(),
        origin: core.origin.as_str().to_owned(),
        zone: core.zone.as_str().to_owned(),
        vkey: core.log_key.vkey().to_string(),
        server_did: core.server.to_string(),
        roads: roads(core.terms.roads),
        work_bits: core.work_bits,
        window_floor_s: core.terms.window_floor_s,
        quorum: "none".to_owned(),
        size: head.size(),
        epoch_ms: head.epoch.time_ms,
        head_age_ms: head_age_ms(&app),
        dns: app.dns_addresses.iter().map(ToString::to_string).collect(),
        limits: Limits {
            certificates_per_post: post::CERTIFICATES_MAX,
            certificate_bytes: CERTIFICATE_BYTES_MAX,
            post_bytes: post::POST_BYTES_MAX,
        },
    };
    fresh(path::JSON, serde_json::to_vec(&info).expect("info is plain data"))
}

/// `GET /health`: the process lives.
pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// `GET /ready`: the writer can commit and DNS answers.
pub(super) async fn ready(State(app): Shared) -> Response {
    match app.is_ready() {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response(),
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(State(app): Shared) -> Response {
    let labels = app.core.live.read().map.len() as u64;
    let gauges = Gauges {
        size: app.core.live.head().size(),
        head_age_ms: head_age_ms(&app),
        labels,
        waiting: app.door.waiting() as u64,
    };
    let mut text = app.metrics.render(&gauges);
    text.push_str(&app.dns_metrics.render(app.dns.names()));
    text.push_str(&app.cosigners.as_ref().map(|roles| roles.metrics()).unwrap_or_default());
    fresh("text/plain; version=0.0.4", text)
}

fn head_age_ms(app: &App) -> u64 {
    app.core.clock.now().as_ms().saturating_sub(app.core.live.head().epoch.time_ms)
}

fn roads(mask: u8) -> Vec<String> {
    [(Road::Open, "open"), (Road::Attested, "attested"), (Road::Invite, "invite"), (Road::Parent, "parent")]
        .into_iter()
        .filter(|(road, _)| mask & 1 << (*road as u8 - 1) != 0)
        .map(|(_, word)| word.to_owned())
        .collect()
}

//! What the server says of itself: info, health, readiness, metrics.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use dgns_api::info::{Info, Issuer, Limits, Lobby, Public, Signin, Status, Witness};
use dgns_api::{path, post};
use identity::cert::Road;
use identity::limits::CERTIFICATE_BYTES_MAX;

use super::reply::fresh;
use super::{Shared, logconf, notaries, pages};
use crate::app::{App, Role};
use crate::config::IssuerConfig;
use crate::log::shown::Standing;
use crate::log::witnesses;
use crate::metrics::{Gauges, render_notaries, render_public};

/// `GET /v1/info`.
pub(super) async fn info(State(app): Shared) -> Response {
    let core = &app.core;
    let head = core.live.head();
    // The keys of a log that is followed may change while it is.
    let followed = match &app.role {
        Role::Follower(_) => logconf::oldest_key(core).await,
        Role::Writer(_) => None,
    };
    let info = Info {
        software: concat!("dgnsd ", env!("CARGO_PKG_VERSION")).to_owned(),
        origin: core.origin.as_str().to_owned(),
        zone: core.zone.as_str().to_owned(),
        vkey: followed.as_ref().unwrap_or(&core.vkey).to_string(),
        server_did: core.server.to_string(),
        roads: roads(core.terms.roads),
        signin: signin(&app),
        work_bits: core.work_bits,
        window_floor_s: core.terms.window_floor_s,
        quorum: app.quorum(),
        size: head.size(),
        epoch_ms: head.epoch.time_ms,
        head_age_ms: head_age_ms(&app),
        public: public(&app),
        dns: app.dns_addresses.iter().map(ToString::to_string).collect(),
        ds: app.dns.signing().and_then(|signing| signing.keyring()).map(|keys| keys.wanted_ds()).into_iter().collect(),
        follows: app.follows(),
        web: app.config.http.pages.then(|| pages::bundle_hash().to_owned()),
        lobby: lobby(&app),
        limits: Limits {
            certificates_per_post: post::CERTIFICATES_MAX,
            certificate_bytes: CERTIFICATE_BYTES_MAX,
            post_bytes: post::POST_BYTES_MAX,
        },
    };
    fresh(path::JSON, serde_json::to_vec(&info).expect("info is plain data"))
}

/// Returns where the lobby's nodes are.
fn lobby(app: &App) -> Option<Lobby> {
    app.lobby.as_ref()?;
    let alone = || vec![app.config.node_url().to_owned()];
    let nodes = app.bus.as_ref().map_or_else(alone, |bus| bus.urls());
    Some(Lobby { nodes, guests: app.config.lobby.guests > 0 })
}

/// Returns how people sign in; a follower leaves that to the server it follows.
fn signin(app: &App) -> Signin {
    let issuer = |issuer: &IssuerConfig| {
        let IssuerConfig { id, name, issuer, .. } = issuer.clone();
        Issuer { id, name, issuer }
    };
    let issuers = app.signin.as_ref().map(|desk| desk.config().issuers.iter().map(issuer).collect());
    let passkeys = app.signin.as_ref().is_some_and(|desk| desk.has_passkeys());
    let pages = app.signin.as_ref().filter(|_| app.config.http.pages).map(|desk| desk.config().public_url.clone());
    Signin { issuers: issuers.unwrap_or_default(), passkeys, pages }
}

/// `GET /v1/log/status`.
pub(super) async fn log(State(app): Shared) -> Response {
    let status = Status {
        origin: app.core.origin.as_str().to_owned(),
        size: app.core.live.head().size(),
        head_age_ms: head_age_ms(&app),
        quorum: app.quorum(),
        public: public(&app),
    };
    fresh(path::JSON, serde_json::to_vec(&status).expect("a status is plain data"))
}

/// Returns what everyone is shown, and how the witnesses stand.
fn public(app: &App) -> Public {
    let (standing, last, newest) = {
        let inner = app.core.live.read();
        (inner.shown.standing(), inner.shown.last().cloned(), inner.head.clone())
    };
    let (size, since_ms) = match (standing, &last) {
        (Standing::Newest, _) => (newest.size(), Some(newest.epoch.time_ms)),
        (_, Some(last)) => (last.size, Some(last.reached_ms)),
        (_, None) => (0, None),
    };
    let witness = |row: witnesses::Standing| Witness {
        name: row.name,
        size: row.size,
        time_s: row.time_s,
        error: row.error.map(str::to_owned),
    };
    Public {
        standing: match standing {
            // What a follower shows under a quorum has it.
            Standing::Newest if app.follows().is_some() && app.quorum() != "none" => "witnessed",
            Standing::Newest => "newest",
            Standing::Pending => "pending",
            Standing::Witnessed => "witnessed",
            Standing::Outgrown => "outgrown",
        }
        .to_owned(),
        size,
        age_ms: since_ms.map(|since_ms| app.core.clock.now().as_ms().saturating_sub(since_ms)),
        stale: matches!(standing, Standing::Pending | Standing::Outgrown) || app.witnesses.without_quorum(),
        witnesses: app.witnesses.standings().into_iter().map(witness).collect(),
    }
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
        waiting: app.door().map_or(0, |door| door.waiting() as u64),
        follows: app.follows(),
        followers: app.core.feed.readers() as u64,
        personal_streams: app.people.as_ref().map_or(0, |people| people.bells.listeners() as u64),
        personal_events: app.people.as_ref().map_or(0, |people| people.told_in_all()),
        event_streams: app.streams.taken() as u64,
    };
    let mut text = app.metrics.render(&gauges);
    text.push_str(&render_public(&public(&app), &app.witnesses));
    text.push_str(&app.dns_metrics.render(&app.dns));
    text.push_str(&app.cosigners.as_ref().map(|roles| roles.metrics()).unwrap_or_default());
    text.push_str(&app.lobby.as_ref().map(|node| node.metrics()).unwrap_or_default());
    text.push_str(&app.bus.as_ref().map(|bus| bus.metrics()).unwrap_or_default());
    text.push_str(&app.pusher.as_ref().map(|pusher| pusher.metrics()).unwrap_or_default());
    if let Some(people) = &app.people {
        // A database that cannot be read shows elsewhere.
        text.push_str(&render_notaries(&notaries::counted(&app, people).await.unwrap_or_default()));
    }
    text.push_str(&app.databases.as_ref().map(|databases| databases.metrics()).unwrap_or_default());
    text.push_str(&app.tokens.as_ref().map(|tokens| tokens.metrics()).unwrap_or_default());
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

//! `POST`, `GET /v1/pair/{session}`: the relay over which a new device and an old one pair (PROTOCOL 12.12). It believes nobody,
//! and nobody believes it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{ConnectInfo, Path, Query as UrlQuery, State};
use dgns_api::{code, path};
use identity::did::Did;
use identity::pair::{MESSAGE_BYTES_MAX, SessionId};
use identity::state::DidState;
use identity::wire::Writer;
use tokio::time::Instant;
use tracing::error;

use super::Shared;
use super::frames::later;
use super::people_events::people;
use super::read::{bad_query, internal, parse_did, query};
use super::reply::{Refused, Reply, bounded, fresh, the_writer};
use crate::app::App;
use crate::auth::request::newest;
use crate::people::People;
use crate::people::events::{EventData, EventKind};
use crate::{problem, shutdown};

/// How long a reader waits for a message.
const PATIENCE: Duration = Duration::from_secs(25);

/// Between two looks of one reader: nobody rings at the relay.
const PACE: Duration = Duration::from_millis(100);

/// The query of a message.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Posted {
    /// The DID whose devices are told that somebody waits here.
    rings: Option<String>,
}

/// Takes a message and answers with its place, a CBOR integer; the same bytes again are the same message.
pub(super) async fn post(
    State(app): Shared,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Path(session): Path<String>,
    asked: Result<UrlQuery<Posted>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    the_writer(&app)?;
    let asked = query(asked)?;
    let (people, session) = (people(&app)?, parse_session(&session)?);
    let body = bounded(body, MESSAGE_BYTES_MAX)?;
    if body.is_empty() {
        return Err(problem::problem(code::BAD_POST, "a message has at least one byte").into());
    }
    let rings = match &asked.rings {
        Some(did) => Some(known_did(&app, did).await?),
        None => None,
    };
    let now = app.core.clock.now();
    app.rates.admit_pair(from.ip(), rings, now).map_err(problem::of_rate)?;
    let now_s = now.as_ms() / 1_000;
    let place = people.store.put_pair_message(&session.0, &body, now_s).await.map_err(|error| internal(&error))?;
    let place = place.ok_or_else(|| problem::problem(code::PAIR_FULL, "this pairing is full: begin another"))?;
    if let Some(did) = rings {
        let data = EventData { at_ms: now.as_ms(), session: Some(session.0), ..EventData::default() };
        people.tell(&did, EventKind::Pair, data).await.map_err(|error| internal(&error))?;
    }
    let mut writer = Writer::new();
    writer.uint(place);
    Ok(fresh(path::CBOR, writer.finish()))
}

/// The query of a reader.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    after: Option<u64>,
}

/// Answers with the messages behind a place, `[[place, message], ...]`, as soon as there is one; `[]` after 25 s.
pub(super) async fn read(
    State(app): Shared,
    Path(session): Path<String>,
    asked: Result<UrlQuery<Read>, QueryRejection>,
) -> Reply {
    let asked = query(asked)?;
    let (people, session) = (people(&app)?, parse_session(&session)?);
    let after = asked.after.unwrap_or(0);
    let Some(place) = app.relay.take() else {
        return Err(problem::busy_streams().into());
    };
    Ok(later(path::CBOR, async move {
        let _place = place;
        wait(&app, &people, session, after).await
    }))
}

async fn wait(app: &Arc<App>, people: &People, session: SessionId, after: u64) -> Bytes {
    let (until, mut stop) = (Instant::now() + PATIENCE, app.stopping.clone());
    loop {
        let now_s = app.core.clock.now().as_ms() / 1_000;
        let rows = match people.store.pair_messages(&session.0, after, now_s).await {
            Ok(rows) => rows,
            Err(failure) => {
                error!(error = %failure, "the relay cannot be read");
                Vec::new()
            }
        };
        let stopping = *stop.borrow();
        if !rows.is_empty() || stopping || Instant::now() >= until {
            let mut writer = Writer::new();
            writer.array(rows.len());
            for (place, body) in &rows {
                writer.array(2).uint(*place).bytes(body);
            }
            return writer.finish().into();
        }
        tokio::select! {
            () = shutdown::requested(&mut stop) => {}
            () = tokio::time::sleep(PACE) => {}
        }
    }
}

/// Returns the DID if devices of it may be told: it is in the log and has not ended.
async fn known_did(app: &App, text: &str) -> Result<Did, Refused> {
    let did = parse_did(text)?;
    let state = newest(&app.core, &did).await.map_err(|error| internal(&error))?;
    match state {
        None => Err(problem::problem(code::NOT_FOUND, "no such DID in this log").into()),
        Some(state) if state.flags & DidState::ENDED != 0 => {
            Err(problem::problem("ended", "this DID has ended").into())
        }
        Some(_) => Ok(did),
    }
}

fn parse_session(text: &str) -> Result<SessionId, Refused> {
    SessionId::from_hex(text).ok_or_else(|| bad_query("a session is 32 hexadecimal digits, lower case"))
}

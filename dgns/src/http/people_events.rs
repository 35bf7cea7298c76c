//! `GET /v1/events`: what a DID's own devices are told, as it happens and from where they left off (PROTOCOL 12.11).

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use dgns_api::code;
use dgns_api::problem::Problem;
use identity::state::DeviceStatus;
use tokio::sync::watch;
use tracing::error;

use super::Shared;
use super::caller::Asking;
use super::frames::{Frames, HEARTBEAT, Next, event_stream};
use super::read::{bad_query, internal};
use super::reply::{Refused, Reply};
use crate::app::App;
use crate::auth::request::{Caller, newest};
use crate::people::People;
use crate::people::bells::Listener;
use crate::people::events::EventKind;
use crate::{problem, shutdown};

/// When a device that found no place may try again, ms.
const RETRY_MS: u64 = 10_000;

/// Tells the device that asks everything since the event it names in `Last-Event-ID`; without one, what comes from now on.
pub(super) async fn events(State(app): Shared, headers: HeaderMap, asking: Asking) -> Reply {
    let people = people(&app)?;
    let listener = people.bells.listen(&asking.caller.did).ok_or_else(|| {
        let busy = problem::problem(code::BUSY, "too many streams are open: ask now and then instead");
        Refused::from(Problem { retry_ms: Some(RETRY_MS), ..busy })
    })?;
    let last = match headers.get("last-event-id") {
        None => None,
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.parse::<u64>().ok());
            Some(id.ok_or_else(|| bad_query("Last-Event-ID is the decimal number of an event"))?)
        }
    };
    let after = match last {
        Some(id) => id,
        None => last_of(&people, &asking.caller).await.map_err(|error| internal(&error))?,
    };
    let stop = app.stopping.clone();
    let told =
        Watcher { begun: false, after, waiting: VecDeque::new(), listener, stop, caller: asking.caller, people, app };
    Ok(event_stream(told))
}

/// Returns the private database, which only the server that keeps the log has.
pub(super) fn people(app: &App) -> Result<Arc<People>, Refused> {
    app.people.clone().ok_or_else(|| problem::problem(code::NOT_FOUND, "this server keeps nothing of people").into())
}

/// Returns the newest event of a DID.
async fn last_of(people: &People, caller: &Caller) -> Result<u64, storage::StorageError> {
    let mut last = 0;
    loop {
        let rows = people.store.events_after(&caller.did, last).await?;
        match rows.last() {
            Some(row) => last = row.id,
            None => return Ok(last),
        }
    }
}

/// One device's stream.
struct Watcher {
    /// Whether anything was sent: the first frame says that the stream stands, and from which event on.
    begun: bool,
    after: u64,
    waiting: VecDeque<Bytes>,
    listener: Listener,
    stop: watch::Receiver<bool>,
    caller: Caller,
    people: Arc<People>,
    app: Arc<App>,
}

impl Frames for Watcher {
    fn next(mut self) -> Next<Self> {
        Box::pin(async move {
            let frame = self.wait().await?;
            Some((self, frame))
        })
    }
}

impl Watcher {
    /// Waits for the next frame; `None` once the server stops or fails, or the device may no longer listen.
    async fn wait(&mut self) -> Option<Bytes> {
        if !self.begun {
            self.begun = true;
            return Some(format!("event: now\nid: {}\ndata: {{}}\n\n", self.after).into());
        }
        loop {
            if let Some(frame) = self.waiting.pop_front() {
                return Some(frame);
            }
            self.listener.rung.mark_unchanged();
            match self.people.store.events_after(&self.caller.did, self.after).await {
                Ok(rows) if rows.is_empty() => {}
                Ok(rows) => {
                    if !self.may_listen().await {
                        return None;
                    }
                    for row in rows {
                        self.after = row.id;
                        let name = EventKind::of(row.kind).map_or("unknown", EventKind::name);
                        let mut frame = String::with_capacity(160);
                        let _ = write!(frame, "event: {name}\nid: {}\ndata: {}\n\n", row.id, row.data);
                        self.waiting.push_back(frame.into());
                    }
                    continue;
                }
                Err(failure) => {
                    error!(error = %failure, "events cannot be read");
                    return None;
                }
            }
            tokio::select! {
                () = shutdown::requested(&mut self.stop) => return None,
                rung = self.listener.rung.changed() => rung.ok()?,
                () = tokio::time::sleep(HEARTBEAT) => return Some(Bytes::from_static(b":\n\n")),
            }
        }
    }

    /// Whether the device is still one that may: it may have been suspended or revoked since it asked.
    async fn may_listen(&self) -> bool {
        let state = newest(&self.app.core, &self.caller.did).await.ok().flatten();
        let own = state.as_ref().and_then(|state| state.device(&self.caller.kid));
        own.is_some_and(|device| device.status != DeviceStatus::Suspended)
    }
}

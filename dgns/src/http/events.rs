//! `GET /v1/names/{name}/events`, `/v1/dids/{did}/events`: says when a lookup would show something new (PROTOCOL 12.5).
//!
//! A stream is a hint and proves nothing: whoever is woken looks. Nothing is spawned and nothing queued for a reader: its stream
//! looks at the public head when it has sent what it had, so that a slow one costs its own time.

use std::pin::Pin;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use identity::hash::Hash;
use identity::name::Name;
use identity::state::Subject;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Duration, Instant};

use super::Shared;
use super::frames::{Frames, HEARTBEAT, event_stream};
use super::read::parse_did;
use super::reply::Reply;
use crate::app::App;
use crate::log::lookup;
use crate::{problem, shutdown};

/// Between two looks of one stream, however fast the log moves.
const PACE: Duration = Duration::from_millis(250);

/// The changes of a name and its owner.
pub(super) async fn name(State(app): Shared, Path(name): Path<String>) -> Reply {
    let name =
        Name::complete(&name, &app.core.zone).map_err(|error| problem::problem("bad_name", error.to_string()))?;
    stream(app, Subject::Name(name.as_str().to_owned()))
}

/// The changes of a DID.
pub(super) async fn did(State(app): Shared, Path(did): Path<String>) -> Reply {
    let did = parse_did(&did)?;
    stream(app, Subject::Did(did))
}

fn stream(app: Arc<App>, subject: Subject) -> Reply {
    let watcher = Watcher {
        subject,
        shown: None,
        told: Instant::now(),
        moved: app.core.live.moved(),
        witnessed: app.core.live.witnessed_size(),
        stop: app.stopping.clone(),
        _place: app.streams.take().ok_or_else(problem::busy_streams)?,
        app,
    };
    Ok(event_stream(watcher))
}

/// One stream's view of its subject.
struct Watcher {
    subject: Subject,
    /// What the map held of the subject and its owner when last told.
    shown: Option<Vec<Option<Hash>>>,
    /// When anything was last sent.
    told: Instant,
    moved: watch::Receiver<u64>,
    witnessed: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
    app: Arc<App>,
}

impl Watcher {
    /// Waits for what is to be said next; `None` once the server stops or fails.
    async fn wait(mut self) -> Next {
        loop {
            self.moved.mark_unchanged();
            self.witnessed.mark_unchanged();
            let looked = Instant::now();
            // While no head has its quorum there is nothing to show, and nothing to say.
            if let Ok((size, shown)) = lookup::mark(&self.app.core, &self.subject).await
                && self.shown.as_ref() != Some(&shown)
            {
                let event = if self.shown.is_none() { "now" } else { "changed" };
                self.shown = Some(shown);
                self.told = looked;
                return Some((self, format!("event: {event}\ndata: {{\"size\":{size}}}\n\n").into()));
            }
            if self.told + HEARTBEAT <= looked {
                self.told = looked;
                return Some((self, Bytes::from_static(b":\n\n")));
            }
            tokio::select! {
                () = shutdown::requested(&mut self.stop) => return None,
                moved = self.moved.changed() => moved.ok()?,
                shown = self.witnessed.changed() => shown.ok()?,
                () = tokio::time::sleep(HEARTBEAT) => {}
            }
            tokio::time::sleep_until(looked + PACE).await;
        }
    }
}

/// What a watcher sends next, and itself; `None` ends the stream.
type Next = Option<(Watcher, Bytes)>;

impl Frames for Watcher {
    fn next(self) -> Pin<Box<dyn Future<Output = Next> + Send>> {
        Box::pin(self.wait())
    }
}

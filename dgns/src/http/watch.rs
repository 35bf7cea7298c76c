//! `/v1/watch`: tells one reader which of many logs grow (PROTOCOL 25.14).
//!
//! A stream is a hint and proves nothing: whoever is told reads. What grows while nobody takes what was told is told once, as it is then.

mod socket;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query as UrlQuery, State};
use axum::routing::{get, post};
use dgns_api::path;
use dgns_api::store::entry::LogId;
use dgns_api::store::limits::{WATCHED_IN_PATH_MAX, WATCHED_LOGS_MAX};
use dgns_api::store::watch::{News, decode_watch};
use tokio::sync::watch;
use tokio::time::{Duration, Instant};
use tracing::error;

use super::Shared;
use super::caller::Asking;
use super::frames::{Frames, HEARTBEAT, Next, event_stream};
use super::read::{bad_query, query};
use super::reply::{Refused, Reply};
use super::store::{databases, log_id};
use crate::app::App;
use crate::auth::request::Caller;
use crate::limits::WATCH_PACE_MS;
use crate::store::Watcher;
use crate::{problem, shutdown};

/// The bytes of a body: a log with its size has at most 44.
const BODY_BYTES_MAX: usize = WATCHED_LOGS_MAX * 44 + 16;

/// Returns the routes of watches.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(path::WATCH, post(of_body).get(of_path).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
        .route(path::WATCH_SOCKET, get(socket::open))
}

/// The query: `<log>:<size>`, with commas between.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    logs: String,
}

async fn of_body(State(app): Shared, asking: Asking) -> Reply {
    let logs = decode_watch(&asking.body).map_err(|error| problem::problem(error.code(), error.to_string()))?;
    stream(app, &asking.caller, logs)
}

async fn of_path(State(app): Shared, asked: Result<UrlQuery<Asked>, QueryRejection>, asking: Asking) -> Reply {
    let asked = query(asked)?;
    let mut logs = asked.logs.split(',').map(place).collect::<Result<Vec<_>, _>>()?;
    logs.sort_unstable();
    if logs.len() > WATCHED_IN_PATH_MAX || !logs.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(bad_query("at most 20 logs, each once; more are asked for with POST"));
    }
    stream(app, &asking.caller, logs)
}

fn place(text: &str) -> Result<(LogId, u64), Refused> {
    let (log, size) = text.split_once(':').ok_or_else(|| bad_query("logs are <log>:<size>, with commas between"))?;
    Ok((log_id(log)?, size.parse().map_err(|_| bad_query("a size is a number"))?))
}

/// Returns whether the device that watches may still ask.
async fn may_ask(app: &App, watcher: &Watcher) -> bool {
    match databases(app) {
        Ok(databases) => watcher.may_ask(databases, &app.core).await,
        Err(_) => false,
    }
}

/// Returns what there is to tell; `None`: the device may not ask any more, or the logs cannot be read.
async fn news(app: &App, watcher: &mut Watcher) -> Option<Vec<News>> {
    if !may_ask(app, watcher).await {
        return None;
    }
    let news = watcher.news(databases(app).ok()?, &app.core).await;
    news.inspect_err(|error| error!(%error, "a watch of logs ends: they cannot be read")).ok()
}

fn stream(app: Arc<App>, who: &Caller, logs: Vec<(LogId, u64)>) -> Reply {
    let watcher = databases(&app)?.watch(who, logs).ok_or_else(problem::busy_streams)?;
    Ok(event_stream(Stream { begun: false, told: Instant::now(), watcher, stop: app.stopping.clone(), app }))
}

/// One reader's stream.
struct Stream {
    /// Whether anything was sent: the first frame says that the stream stands.
    begun: bool,
    /// When something was told last.
    told: Instant,
    watcher: Watcher,
    stop: watch::Receiver<bool>,
    app: Arc<App>,
}

impl Frames for Stream {
    fn next(mut self) -> Next<Self> {
        Box::pin(async move {
            let frame = self.frame().await?;
            Some((self, frame))
        })
    }
}

impl Stream {
    /// Waits for the next frame; `None` once nothing is left to tell, the server stops or fails, or the device may no longer ask.
    async fn frame(&mut self) -> Option<Bytes> {
        if !self.begun {
            self.begun = true;
            return Some(Bytes::from_static(b"event: now\ndata: {}\n\n"));
        }
        loop {
            if self.watcher.is_over() {
                return None;
            }
            tokio::time::sleep_until(self.told + Duration::from_millis(WATCH_PACE_MS)).await;
            let silent = tokio::select! {
                () = shutdown::requested(&mut self.stop) => return None,
                () = self.watcher.wait() => false,
                () = tokio::time::sleep(HEARTBEAT) => true,
            };
            let Self { watcher, app, .. } = self;
            // Boxed, so that who waits holds no room for what looks: most wait.
            if silent {
                return Box::pin(may_ask(app, watcher)).await.then_some(Bytes::from_static(b":\n\n"));
            }
            let news = Box::pin(news(app, watcher)).await?;
            self.told = Instant::now();
            if !news.is_empty() {
                return Some(news.iter().map(News::event).collect::<String>().into());
            }
        }
    }
}

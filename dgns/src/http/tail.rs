//! `GET /v1/log/tail`: batches with their heads as they commit, to whoever reads fast enough (PROTOCOL 12.4).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as UrlQuery, State};
use dgns_api::{code, path};
use hyper::body::Frame;
use tokio::sync::{mpsc, watch};
use tracing::debug;
use translog::stream;

use super::Shared;
use super::reply::{Reply, fresh};
use crate::log::feed::{FeedError, Reader};
use crate::log::lookup::LookupError;
use crate::problem;
use crate::shutdown;

/// Records on their way to one reader, beside what the kernel holds.
const ON_THE_WAY: usize = 4;

/// How often a reader without news hears that the server lives.
const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// How long a reader may take nothing.
const SLOW: Duration = Duration::from_secs(10);

/// The query: the size of the head to go on from.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    from: u64,
}

/// Streams records until the reader leaves, is too slow, or the server stops.
pub(super) async fn tail(State(app): Shared, asked: Result<UrlQuery<Asked>, QueryRejection>) -> Reply {
    let UrlQuery(asked) = asked.map_err(|error| problem::problem(code::BAD_QUERY, error.to_string()))?;
    let newest = app.core.live.head();
    if asked.from > newest.size() {
        return Err(problem::of_lookup(&LookupError::UnknownHead { newest: newest.size() }, &newest.note).into());
    }
    let reader = app.core.feed.open(asked.from).map_err(problem::of_feed)?;
    let (sender, receiver) = mpsc::channel(ON_THE_WAY);
    tokio::spawn(pump(reader, sender, app.stopping.clone()));
    let mut response = fresh(path::OCTETS, Bytes::new());
    *response.body_mut() = Body::new(Records(receiver));
    Ok(response)
}

/// Passes records on. It waits for its reader alone: whoever commits never waits.
async fn pump(mut reader: Reader, to: mpsc::Sender<Bytes>, mut stop: watch::Receiver<bool>) {
    loop {
        let record = tokio::select! {
            record = reader.next() => match record {
                Ok(record) => record,
                Err(FeedError::NotKept | FeedError::Busy) => return debug!("a reader of the tail fell behind"),
            },
            () = tokio::time::sleep(ALIVE_EVERY) => stream::alive().into(),
            () = shutdown::requested(&mut stop) => return,
            () = to.closed() => return,
        };
        match tokio::time::timeout(SLOW, to.send(record)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => return debug!("a reader of the tail took nothing"),
        }
    }
}

/// The body of the answer.
struct Records(mpsc::Receiver<Bytes>);

impl HttpBody for Records {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|record| record.map(|bytes| Ok(Frame::data(bytes))))
    }
}

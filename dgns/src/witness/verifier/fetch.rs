//! Fetches a log ahead of its replay, each thing once, and reads it as it comes.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;
use translog::audit::{Level, Received, Want};
use translog::limits::BUNDLE_BYTES_MAX;

use crate::outbound::{Bounds, Outbound};

/// What one read may cost: a full bundle over a slow line.
const BOUNDS: Bounds = Bounds { deadline: Duration::from_secs(15), body_bytes_max: BUNDLE_BYTES_MAX };

type Fetched = Result<Received, String>;

/// Reads under way below one prefix.
pub(super) struct Ahead<'a> {
    outbound: &'a Outbound,
    prefix: &'a str,
    running: HashMap<String, JoinHandle<Fetched>>,
}

impl<'a> Ahead<'a> {
    pub(super) fn new(outbound: &'a Outbound, prefix: &'a str) -> Self {
        Self { outbound, prefix, running: HashMap::new() }
    }

    /// Returns what came for the first of `wants`; begins to read all of them. Errors: what the log withholds, in words.
    pub(super) async fn first_of(&mut self, wants: &[Want]) -> Fetched {
        for want in wants {
            let url = format!("{}/{}", self.prefix, want.path());
            self.running.entry(url).or_insert_with_key(|url| {
                let (outbound, url, want) = (self.outbound.clone(), url.clone(), want.clone());
                tokio::spawn(async move { fetch(&outbound, &url, &want).await })
            });
        }
        let Some(first) = wants.first() else { return Err("nothing is wanted".into()) };
        let url = format!("{}/{}", self.prefix, first.path());
        let running = self.running.remove(&url).expect("what is wanted was begun above");
        running.await.map_err(|error| format!("{url}: {error}"))?
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.running.values().for_each(JoinHandle::abort);
    }
}

async fn fetch(outbound: &Outbound, url: &str, want: &Want) -> Fetched {
    read(outbound, url).await.map(|bytes| Received::of(want, &bytes, Level::Full))
}

/// Returns the bytes of one file. Errors: as in [`Ahead::first_of`].
pub(super) async fn read(outbound: &Outbound, url: &str) -> Result<Bytes, String> {
    let answer = outbound.get(url, BOUNDS).await.map_err(|error| format!("{url}: {error}"))?;
    match answer.status {
        200 => Ok(answer.body),
        status => Err(format!("{url}: withheld with status {status}")),
    }
}

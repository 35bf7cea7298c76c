//! Reads a log ahead of its replay, each thing once.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;
use translog::audit::Want;
use translog::limits::BUNDLE_BYTES_MAX;

use crate::outbound::{Bounds, Outbound};

/// What one read may cost: a full bundle over a slow line.
const BOUNDS: Bounds = Bounds { deadline: Duration::from_secs(15), body_bytes_max: BUNDLE_BYTES_MAX };

pub(super) type Fetched = Result<Bytes, String>;

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

    /// Returns the bytes of the first of `wants`; begins to read all of them. Errors: what the log withholds, in words.
    pub(super) async fn first_of(&mut self, wants: &[Want]) -> Fetched {
        for want in wants {
            let url = format!("{}/{}", self.prefix, want.path());
            self.running.entry(url).or_insert_with_key(|url| {
                let (outbound, url) = (self.outbound.clone(), url.clone());
                tokio::spawn(async move { fetch(&outbound, &url).await })
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

pub(super) async fn fetch(outbound: &Outbound, url: &str) -> Fetched {
    let answer = outbound.get(url, BOUNDS).await.map_err(|error| format!("{url}: {error}"))?;
    match answer.status {
        200 => Ok(answer.body),
        status => Err(format!("{url}: withheld with status {status}")),
    }
}

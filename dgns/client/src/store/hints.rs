//! Which of many logs grow, as their server tells over one stream (PROTOCOL 25.14). A hint and no more: whoever is told reads, and
//! checks what is read as if nobody had told.

use dgns_api::path;
use dgns_api::store::entry::LogId;
use dgns_api::store::watch::{News, encode_watch};

use crate::error::ClientError;
use crate::net::Lines;
use crate::session::{Session, Signer};

/// An open stream.
#[derive(Debug)]
pub struct Hints {
    lines: Lines,
}

impl Hints {
    /// Opens the stream of logs, each with the number of entries that is known of it; each once.
    pub async fn open(session: &Session, signer: Signer<'_>, mut logs: Vec<(LogId, u64)>) -> Result<Self, ClientError> {
        logs.sort_unstable();
        // One stream is of one server: what another one keeps is read without being told.
        let keeper = logs.first().and_then(|(log, _)| session.keeper(log));
        let url = |log: &LogId| session.keeper(log).map(|keeper| keeper.place.url.clone());
        let of_first = logs.first().and_then(|(log, _)| url(log));
        logs.retain(|(log, _)| url(log) == of_first);
        let body = encode_watch(&logs);
        let lines = match keeper {
            Some(keeper) => session.lines_at(&keeper, signer, path::WATCH, &body).await?,
            None => session.lines_posted(signer, path::WATCH, &body).await?,
        };
        Ok(Self { lines })
    }

    /// Returns what is told next; `None` once the stream ended or says nothing for too long. Nothing is lost if this is dropped while
    /// it waits.
    pub async fn next(&mut self) -> Option<News> {
        loop {
            if let Some(news) = News::of_line(&self.lines.next().await?) {
                return Some(news);
            }
        }
    }
}

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
        let lines = session.lines_posted(signer, path::WATCH, &encode_watch(&logs)).await?;
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

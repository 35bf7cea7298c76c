//! The store of databases asked through a host: the same requests and the same checks as over HTTP, over a channel (PROTOCOL 23.18).
//!
//! The host is not believed: what it hands on was signed by the store, or is named by its hash. It can refuse, and hold back.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use dgns_api::path;
use dgns_api::problem::Problem;
use lobby::limits::{ASKED_BYTES_MAX, PIECE_BYTES_MAX};
use lobby::share::Said;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::{ANSWER, Connection, connect};
use crate::attach::Who;
use crate::error::ClientError;
use crate::prover::Prover;

/// What the store alone can say, and a host may have made up: it is nobody's word against the store.
const OF_STORE: [&str; 3] = ["range", "not_found", "store_behind"];

/// What is answered, once it is.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, ClientError>> + Send + 'a>>;

/// The host of a name, through which the store is asked; connected to when it is, and again when that broke.
pub struct AtHost {
    prover: Prover,
    who: Who,
    name: String,
    loopback: bool,
    connection: Mutex<Option<Connection>>,
}

impl fmt::Debug for AtHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtHost").field("name", &self.name).finish_non_exhaustive()
    }
}

impl AtHost {
    /// Returns the way to the store by the host of a name, as [`connect`] takes it.
    pub fn new(prover: Prover, who: Who, name: String, loopback: bool) -> Self {
        Self { prover, who, name, loopback, connection: Mutex::default() }
    }

    /// Returns whether it is the store that a request is for.
    pub(crate) fn takes(target: &str) -> bool {
        [path::LOGS, path::CHUNKS].iter().any(|of_store| target.starts_with(of_store))
    }

    /// Has the store asked; with a body to post. In a box: whoever signs a request would else carry all that connecting needs.
    pub(crate) fn ask<'a>(&'a self, target: &'a str, body: Option<&'a [u8]>) -> Answer<'a> {
        Box::pin(self.asked(target, body))
    }

    async fn asked(&self, target: &str, body: Option<&[u8]>) -> Result<Vec<u8>, ClientError> {
        let mut held = self.connection.lock().await;
        let mut connection = match held.take() {
            Some(connection) => connection,
            None => connect(&self.prover, &self.who, &self.name, None, self.loopback).await?,
        };
        let answer = connection.ask_store(target, body).await;
        // What broke is connected to again by the next request.
        if !matches!(answer, Err(ClientError::Network(_))) {
            *held = Some(connection);
        }
        answer
    }
}

impl Connection {
    /// Sends a request for the store of the host's database, and returns the answer; nothing of it is verified.
    ///
    /// Errors: [`ClientError::Refused`] with the store's code or the host's; [`ClientError::Network`] if the host does not answer, cannot
    /// reach the store, or says that the store lacks what was asked for.
    async fn ask_store(&mut self, target: &str, body: Option<&[u8]>) -> Result<Vec<u8>, ClientError> {
        let id = self.id();
        for (number, piece) in body.unwrap_or_default().chunks(PIECE_BYTES_MAX).enumerate() {
            let offset = (number * PIECE_BYTES_MAX) as u64;
            let bytes = Bytes::copy_from_slice(piece);
            self.say(&Said::Piece { id, offset, last: false, bytes }).await?;
        }
        let body = body.map(|body| body.len() as u64);
        self.say(&Said::Ask { id, target: target.to_owned(), body }).await?;
        let mut answer = Vec::new();
        let mut deadline = Instant::now() + ANSWER;
        loop {
            let said = timeout_at(deadline, self.hear()).await;
            match said.map_err(|_| ClientError::Network("the host does not answer".to_owned()))?? {
                Said::Piece { id: of, offset, last, bytes } if of == id => {
                    let goes_on = offset == answer.len() as u64 && (last || !bytes.is_empty());
                    if !goes_on || answer.len() + bytes.len() > ASKED_BYTES_MAX {
                        return Err(self.nonsense());
                    }
                    answer.extend_from_slice(&bytes);
                    if last {
                        return Ok(answer);
                    }
                    // Nothing but what the answer grows by gives the host more time.
                    deadline = Instant::now() + ANSWER;
                }
                Said::Err { id: of, code } if of == id => return Err(self.not_passed_on(&code)),
                _ => {}
            }
        }
    }

    fn not_passed_on(&self, code: &str) -> ClientError {
        let name = &self.name;
        match code {
            "unreachable" => ClientError::Network(format!("{name} does not reach the store")),
            code if OF_STORE.contains(&code) => {
                ClientError::Network(format!("{name} says that the store does not have what was asked for ({code})"))
            }
            code => {
                let what = match code {
                    "not_here" => format!("{name} does not serve this database (not_here)"),
                    "not_reader" | "no_right" => format!("{name} does not let this device do that ({code})"),
                    code => format!("{name} says that the store refuses ({code})"),
                };
                ClientError::Refused(Box::new(Problem::new(403, code, what)))
            }
        }
    }
}

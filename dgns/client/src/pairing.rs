//! Pairing: a new device and an old one over the server's relay, which neither believes (PROTOCOL 20).

mod newcomer;
mod old;

use std::collections::VecDeque;
use std::time::Duration;

use dgns_api::path;
use identity::did::Did;
use identity::pair::{Message, RelayKey, SessionId, Side};
use identity::wire::{Reader, WireError};
use tokio::time::Instant;

use crate::error::ClientError;
use crate::rng;
use crate::session::Session;

pub use newcomer::{Joined, Newcomer, Wish};
pub(crate) use old::turned;
pub use old::{Approval, Approver, Verdict};

/// How many messages one answer may hold.
const MESSAGES_MAX: usize = 32;

/// One side's end of a pairing.
#[derive(Debug)]
pub struct Channel<'a> {
    session: &'a Session,
    id: SessionId,
    /// Offline: the key, and which side this is.
    key: Option<(RelayKey, Side)>,
    after: u64,
    heard: VecDeque<Message>,
}

impl<'a> Channel<'a> {
    /// Returns the end of a pairing whose messages anybody may read and write.
    pub fn online(session: &'a Session, id: SessionId) -> Self {
        Self { session, id, key: None, after: 0, heard: VecDeque::new() }
    }

    /// Returns the end of a pairing under a key that was carried by hand.
    pub fn offline(session: &'a Session, id: SessionId, key: RelayKey, side: Side) -> Self {
        Self { session, id, key: Some((key, side)), after: 0, heard: VecDeque::new() }
    }

    /// Says something; `rings` tells a DID's devices that somebody waits here.
    pub async fn say(&self, message: &Message, rings: Option<&Did>) -> Result<(), ClientError> {
        let bytes = message.encode();
        let bytes = match &self.key {
            Some((key, side)) => key.seal(*side, &bytes, &mut rng::system()),
            None => bytes,
        };
        let rings = rings.map(|did| format!("?rings={}", did.base32())).unwrap_or_default();
        let target = format!("{}{}{rings}", path::PAIR, self.id.hex());
        self.session.post_to_relay(&target, bytes).await.map(drop)
    }

    /// Waits for the next message that can be read, `within` a time. Offline that is one of the other side's; online anybody's, one's
    /// own too.
    pub async fn hear(&mut self, within: Duration) -> Result<Option<Message>, ClientError> {
        let until = Instant::now() + within;
        loop {
            if let Some(message) = self.heard.pop_front() {
                return Ok(Some(message));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let target = format!("{}{}?after={}", path::PAIR, self.id.hex(), self.after);
            let Ok(answer) = tokio::time::timeout(left, self.session.get(&target)).await else { return Ok(None) };
            let rows = rows(&answer?).map_err(|_| ClientError::Network("the relay's answer is none".into()))?;
            for (place, bytes) in rows {
                self.after = self.after.max(place);
                let opened = match &self.key {
                    Some((key, side)) => key.open(other(*side), &bytes).map(|opened| opened.to_vec()).ok(),
                    None => Some(bytes),
                };
                // Whatever is none of the protocol's is not there: anybody may write to a relay.
                self.heard.extend(opened.and_then(|bytes| Message::decode(&bytes).ok()));
            }
        }
    }
}

fn other(side: Side) -> Side {
    match side {
        Side::Old => Side::New,
        Side::New => Side::Old,
    }
}

fn rows(answer: &[u8]) -> Result<Vec<(u64, Vec<u8>)>, WireError> {
    let mut reader = Reader::new(answer);
    let rows = reader.list(MESSAGES_MAX, |r| {
        r.array_of(2)?;
        Ok::<_, WireError>((r.uint()?, r.bytes()?.to_vec()))
    })?;
    reader.end()?;
    Ok(rows)
}

/// Returns the refusal of a pairing that did not come about.
fn refused(code: &str, detail: impl Into<String>) -> ClientError {
    ClientError::Refused(Box::new(dgns_api::problem::Problem::new(403, code, detail)))
}

//! Requests for the store of a database, passed on to whom the rules allow it (PROTOCOL 23.18).

use std::pin::Pin;
use std::sync::Arc;

use lobby::limits::ASKED_BYTES_MAX;
use lobby::share::Said;
use peer::{Channel, LinkError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::files::pieces;
use super::leases::Why;
use super::{Serving, Told};
use crate::host::database::Passed;

/// What a client posts next, as far as it came.
#[derive(Debug)]
pub(super) struct Posting {
    /// For one body of the connection: until its request was answered none of the next is taken.
    room: Arc<Semaphore>,
    posted: Option<Posted>,
}

/// What was posted for a request.
#[derive(Debug)]
pub(super) struct Posted {
    id: u64,
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Posting {
    /// Returns what takes the bodies of a connection, one at a time.
    pub(super) fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(1)), posted: None }
    }

    /// Takes a piece, which continues what is there or begins anew; or says why it ends the connection.
    pub(super) fn takes(&mut self, id: u64, offset: u64, bytes: &[u8]) -> Result<(), &'static str> {
        if offset == 0 {
            self.posted = None;
            let room = self.room.clone().try_acquire_owned().map_err(|_| "busy")?;
            self.posted = Some(Posted { id, bytes: Vec::new(), _room: room });
        }
        let goes_on = |posted: &&mut Posted| {
            id == posted.id
                && offset == posted.bytes.len() as u64
                && !bytes.is_empty()
                && posted.bytes.len() + bytes.len() <= ASKED_BYTES_MAX
        };
        let posted = self.posted.as_mut().filter(goes_on).ok_or("bad_frame")?;
        posted.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Returns what was posted for a request, nothing for most; `bad_frame` if it is not what the request says.
    pub(super) fn of(&mut self, said: &Said) -> Result<Option<Posted>, &'static str> {
        let Said::Ask { id, body: Some(length), .. } = said else { return Ok(None) };
        let is_said = |posted: &Posted| posted.id == *id && posted.bytes.len() as u64 == *length;
        self.posted.take().filter(is_said).map(Some).ok_or("bad_frame")
    }
}

/// What becomes of a request.
type Asking<'a> = Pin<Box<dyn Future<Output = Result<(), LinkError>> + Send + 'a>>;

impl Serving {
    /// Has the store of the database asked, and hands its answer on in pieces. In a box: a connection would else carry it whatever it is for.
    pub(super) fn ask<'a>(&'a mut self, id: u64, target: &'a str, posted: Option<Posted>) -> Asking<'a> {
        Box::pin(self.hand_on(id, target, posted))
    }

    async fn hand_on(&mut self, id: u64, target: &str, posted: Option<Posted>) -> Result<(), LinkError> {
        match self.asked(target, posted).await {
            Ok(answer) if answer.is_empty() => {
                let said = Said::Piece { id, offset: 0, last: true, bytes: answer.into() };
                self.link.send(Channel::Bulk, &said.encode()).await
            }
            Ok(answer) => pieces(&self.link, id, 0, &answer, true).await,
            Err(code) => self.say(&Said::Err { id, code }).await,
        }
    }

    async fn asked(&mut self, target: &str, posted: Option<Posted>) -> Result<Vec<u8>, String> {
        let host = self.host.clone();
        let database = host.database.as_ref().ok_or("not_here")?;
        let passed = Passed::parse(target, posted.is_some()).ok_or("not_here")?;
        let (place, rights) = database.place(&passed, posted.is_some()).await.ok_or("not_here")?;
        let not_given = if posted.is_some() { "no_right" } else { "not_reader" };
        let why = self.why(&place, rights).await.ok_or(not_given)?;
        self.holds(&why, &place, rights).await?;
        if posted.is_some() && !matches!(why, Why::Rules) && host.is_feed_stale() {
            return Err("feed_stale".to_owned());
        }
        let answer = database.ask(&passed, posted.map(|posted| posted.bytes)).await;
        let got = database.got(&passed, place);
        if answer.is_ok() && self.handed_on.insert(got.clone()) {
            host.say(Told::Gave(self.sess, got)).await;
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_posted_is_of_one_request_in_order_and_bounded() {
        let ask = |id, body| Said::Ask { id, target: "/v1/logs/a/entries".to_owned(), body };
        let body = |posted: Result<Option<Posted>, _>| posted.map(|posted| posted.map(|posted| posted.bytes));
        let mut posting = Posting::new();
        assert_eq!((posting.takes(7, 0, b"ab"), posting.takes(7, 2, b"c")), (Ok(()), Ok(())));
        assert_eq!(body(posting.of(&ask(6, None))), Ok(None), "what has no body takes none");
        assert_eq!(body(posting.of(&ask(7, Some(3)))), Ok(Some(b"abc".to_vec())));
        assert_eq!(body(posting.of(&ask(7, Some(3)))), Err("bad_frame"), "once");
        for (id, offset, bytes) in [(8, 2, &b"x"[..]), (9, 0, &[]), (8, 1, b"x")] {
            assert_eq!(posting.takes(id, offset, bytes), Err("bad_frame"), "{id} {offset}");
        }
        assert_eq!((posting.takes(8, 0, b"ab"), posting.takes(8, 0, b"cd")), (Ok(()), Ok(())), "begun anew");
        assert_eq!(body(posting.of(&ask(8, Some(3)))), Err("bad_frame"), "another length");
        assert_eq!(posting.takes(9, 0, b"ab"), Ok(()));
        assert_eq!(body(posting.of(&ask(8, Some(2)))), Err("bad_frame"), "of another request");
        let whole = vec![0; ASKED_BYTES_MAX];
        assert_eq!(posting.takes(1, 0, &whole), Ok(()));
        assert_eq!(posting.takes(1, ASKED_BYTES_MAX as u64, b"x"), Err("bad_frame"));
    }

    #[test]
    fn one_body_is_taken_at_a_time() {
        let mut posting = Posting::new();
        assert_eq!(posting.takes(1, 0, b"ab"), Ok(()));
        let answered = posting.of(&Said::Ask { id: 1, target: String::new(), body: Some(2) });
        assert_eq!(posting.takes(2, 0, b"c"), Err("busy"), "the first is not answered yet");
        drop(answered);
        assert_eq!(posting.takes(2, 0, b"c"), Ok(()));
    }
}

//! Requests for the store of a database, passed on to whom the rules allow it (PROTOCOL 23.18).

use std::pin::Pin;

use lobby::limits::ASKED_BYTES_MAX;
use lobby::share::Said;
use peer::{Channel, LinkError};

use super::files::pieces;
use super::{Serving, Told};
use crate::host::database::Passed;

/// What a client posts next, as far as it came.
#[derive(Debug, Default)]
pub(super) struct Posting {
    id: u64,
    bytes: Vec<u8>,
}

impl Posting {
    /// Takes a piece; returns whether it continues what is there, or begins anew.
    pub(super) fn takes(&mut self, id: u64, offset: u64, bytes: &[u8]) -> bool {
        if offset == 0 {
            (self.id, self.bytes) = (id, Vec::new());
        }
        let fits = id == self.id
            && offset == self.bytes.len() as u64
            && !bytes.is_empty()
            && self.bytes.len() + bytes.len() <= ASKED_BYTES_MAX;
        if fits {
            self.bytes.extend_from_slice(bytes);
        }
        fits
    }

    /// Returns what was posted for a request, nothing for most; `None` if it is not what the request says.
    pub(super) fn of(&mut self, said: &Said) -> Option<Vec<u8>> {
        let Said::Ask { id, body: Some(length), .. } = said else { return Some(Vec::new()) };
        let posted = std::mem::take(self);
        (posted.id == *id && posted.bytes.len() as u64 == *length).then_some(posted.bytes)
    }
}

/// What becomes of a request.
type Asking<'a> = Pin<Box<dyn Future<Output = Result<(), LinkError>> + Send + 'a>>;

impl Serving {
    /// Has the store of the database asked, and hands its answer on in pieces. In a box: a connection would else carry it whatever it is for.
    pub(super) fn ask<'a>(&'a mut self, id: u64, target: &'a str, posted: Option<Vec<u8>>) -> Asking<'a> {
        Box::pin(self.hand_on(id, target, posted))
    }

    async fn hand_on(&mut self, id: u64, target: &str, posted: Option<Vec<u8>>) -> Result<(), LinkError> {
        match self.asked(target, posted).await {
            Ok(answer) if answer.is_empty() => {
                let said = Said::Piece { id, offset: 0, last: true, bytes: answer.into() };
                self.link.send(Channel::Bulk, &said.encode()).await
            }
            Ok(answer) => pieces(&self.link, id, 0, &answer, true).await,
            Err(code) => self.say(&Said::Err { id, code }).await,
        }
    }

    async fn asked(&mut self, target: &str, posted: Option<Vec<u8>>) -> Result<Vec<u8>, String> {
        let host = self.host.clone();
        let database = host.database.as_ref().ok_or("not_here")?;
        let passed = Passed::parse(target, posted.is_some()).ok_or("not_here")?;
        let (place, rights) = database.place(&passed, posted.is_some()).await.ok_or("not_here")?;
        if self.why(&place, rights).await.is_none() {
            return Err(if posted.is_some() { "no_right" } else { "not_reader" }.to_owned());
        }
        let answer = database.ask(&passed, posted).await;
        if answer.is_ok() && self.handed_on.insert(place.clone()) {
            host.say(Told::Gave(self.sess, place)).await;
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
        let mut posting = Posting::default();
        assert!(posting.takes(7, 0, b"ab") && posting.takes(7, 2, b"c"));
        assert_eq!(posting.of(&ask(6, None)), Some(Vec::new()), "what has no body takes none");
        assert_eq!(posting.of(&ask(7, Some(3))), Some(b"abc".to_vec()));
        assert_eq!(posting.of(&ask(7, Some(3))), None, "once");
        for (id, offset, bytes) in [(8, 2, &b"x"[..]), (9, 0, &[]), (8, 1, b"x")] {
            assert!(!posting.takes(id, offset, bytes), "{id} {offset}");
        }
        assert!(posting.takes(8, 0, b"ab") && posting.takes(8, 0, b"cd"), "begun anew");
        assert_eq!(posting.of(&ask(8, Some(3))), None, "another length");
        assert!(posting.takes(9, 0, b"ab"));
        assert_eq!(posting.of(&ask(8, Some(2))), None, "of another request");
        let whole = vec![0; ASKED_BYTES_MAX];
        assert!(posting.takes(1, 0, &whole) && !posting.takes(1, ASKED_BYTES_MAX as u64, b"x"));
    }
}

//! What will happen at a time. A timer is never taken back: whoever it was for looks whether it still means anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use identity::time::Timestamp;

use super::{ConnId, Sid};
use crate::Sess;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// A connection should have said hello.
    Hello(ConnId),
    /// A connection is asked whether it lives.
    Beat(ConnId),
    /// A session should have got a new socket.
    Resume(Sid),
    /// A registration should have been renewed.
    Lease(Sid, Arc<str>),
    /// A lease of a log ends.
    Handle(Sid, u64),
    /// A session is told its news.
    News(Sid),
    /// It is looked whom news is to be pushed to.
    Push,
    /// A knock should have been answered.
    Unanswered(Sess),
    /// Other nodes are asked about a name.
    Follow(Arc<str>),
    /// A conversation is silent.
    Forget(Sess),
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    by_time: BTreeMap<(Timestamp, u64), Timer>,
    made: u64,
}

impl Timers {
    pub(super) fn set(&mut self, at: Timestamp, timer: Timer) {
        self.made += 1;
        self.by_time.insert((at, self.made), timer);
    }

    /// Takes the first that is due.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<Timer> {
        let first = self.by_time.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }
}

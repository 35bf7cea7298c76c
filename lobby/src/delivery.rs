//! Signals that arrive once, or end in a named error within ten seconds (PROTOCOL 23.6).
//!
//! The lobby may lose, repeat and reorder. The ends keep a signal until the other end acknowledged it, send it again meanwhile, and
//! drop what they saw before. Nothing here knows a connection: whoever has one sends what [`Outbox::due`] gives.

use std::collections::HashMap;

use identity::cert::KeyBytes;
use identity::time::Timestamp;

use crate::Sess;
use crate::limits::{EXPIRED_MS, OFFER_KEPT_MS, RESEND_MS, SESS_KEPT_MAX, UNDER_WAY_MAX};
use crate::message::Frame;

/// Too many signals are under way. Code `busy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many signals are under way")]
pub struct Busy;

/// The signals of an end that were not acknowledged yet.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    under_way: HashMap<(Sess, u64), UnderWay>,
}

#[derive(Clone, Debug)]
struct UnderWay {
    frame: Frame,
    /// A knock is acknowledged by whatever answers it, by nothing else.
    knock: bool,
    first: Timestamp,
    next: Timestamp,
    sent: usize,
}

/// What an end is to do now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Frames to send; the first time or again.
    pub send: Vec<Frame>,
    /// Signals given up: `expired`.
    pub expired: Vec<(Sess, u64)>,
}

impl Outbox {
    /// Takes a `knock` or `signal` to be sent from now on.
    pub fn post(&mut self, sess: Sess, seq: u64, frame: Frame, now: Timestamp) -> Result<(), Busy> {
        if self.under_way.len() >= UNDER_WAY_MAX {
            return Err(Busy);
        }
        let knock = matches!(frame, Frame::Knock { .. });
        self.under_way.insert((sess, seq), UnderWay { frame, knock, first: now, next: now, sent: 0 });
        Ok(())
    }

    /// Notes that a signal arrived. Returns whether it was under way.
    pub fn acknowledged(&mut self, sess: &Sess, seq: u64) -> bool {
        self.under_way.remove(&(*sess, seq)).is_some()
    }

    /// Notes that the other end said something in a sess: its knock was heard.
    pub fn answered(&mut self, sess: &Sess) {
        self.under_way.retain(|(of, _), signal| !(signal.knock && of == sess));
    }

    /// Gives everything of a sess up: it is over.
    pub fn forget(&mut self, sess: &Sess) {
        self.under_way.retain(|(of, _), _| of != sess);
    }

    /// Sends everything again at the next [`Outbox::due`], and soon after: there is a new connection, and the other end may come back
    /// a moment later. The time after which a signal is given up stays.
    pub fn again(&mut self, now: Timestamp) {
        self.under_way.values_mut().for_each(|signal| (signal.next, signal.sent) = (now, 0));
    }

    /// Returns what is to be sent or given up by now.
    pub fn due(&mut self, now: Timestamp) -> Due {
        let mut due = Due::default();
        let over = |signal: &UnderWay| now >= signal.first.plus_ms(EXPIRED_MS);
        due.expired = self.under_way.iter().filter(|(_, signal)| over(signal)).map(|(key, _)| *key).collect();
        due.expired.sort_unstable();
        self.under_way.retain(|_, signal| !over(signal));
        let mut sending: Vec<(&(Sess, u64), &mut UnderWay)> =
            self.under_way.iter_mut().filter(|(_, signal)| signal.next <= now).collect();
        sending.sort_unstable_by_key(|(key, signal)| (signal.first, **key));
        for (_, signal) in sending {
            let wait_ms = RESEND_MS[signal.sent.min(RESEND_MS.len() - 1)];
            signal.sent += 1;
            signal.next = now.plus_ms(wait_ms).min(signal.first.plus_ms(EXPIRED_MS));
            due.send.push(signal.frame.clone());
        }
        due
    }

    /// Returns when [`Outbox::due`] has something to say; `None` while nothing is under way.
    pub fn next(&self) -> Option<Timestamp> {
        self.under_way.values().map(|signal| signal.next).min()
    }
}

/// What an end saw: for each device and sess the numbers of the last 64 signals.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    windows: HashMap<(KeyBytes, Sess), Window>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    /// The largest number seen.
    newest: u64,
    /// Bit b: `newest - b` was seen.
    seen: u64,
    until: Timestamp,
}

/// What a signal that arrives is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// New: to be used, and acknowledged.
    New,
    /// Seen before, or so late that nobody remembers: to be acknowledged and dropped.
    Again,
    /// There is no room to remember it: to be dropped without a word, so that it comes again.
    NoRoom,
}

impl Inbox {
    /// Notes a signal.
    pub fn arrived(&mut self, peer: &KeyBytes, sess: &Sess, seq: u64, now: Timestamp) -> Arrival {
        if self.windows.len() >= SESS_KEPT_MAX {
            self.windows.retain(|_, window| window.until >= now);
            if self.windows.len() >= SESS_KEPT_MAX && !self.windows.contains_key(&(*peer, *sess)) {
                return Arrival::NoRoom;
            }
        }
        let until = now.plus_ms(OFFER_KEPT_MS);
        let Some(window) = self.windows.get_mut(&(*peer, *sess)) else {
            self.windows.insert((*peer, *sess), Window { newest: seq, seen: 1, until });
            return Arrival::New;
        };
        window.until = until;
        if seq > window.newest {
            let ahead = seq - window.newest;
            window.seen = if ahead < 64 { window.seen << ahead | 1 } else { 1 };
            window.newest = seq;
            return Arrival::New;
        }
        let behind = window.newest - seq;
        if behind >= 64 || window.seen >> behind & 1 == 1 {
            return Arrival::Again;
        }
        window.seen |= 1 << behind;
        Arrival::New
    }
}

#[cfg(test)]
mod tests;

//! Leases of the server's own log: numbered for all sessions, each of one, and ended by name (PROTOCOL 23.15).

use identity::time::Timestamp;
use identity::token::{Rid, Rights, TokenRefusal};

use super::{ConnId, Lobby, Sid, Timer};
use crate::Refusal;
use crate::limits::{HANDLES_MAX, LOG_LEASE_S};
use crate::message::Frame;

/// The handles of one session.
#[derive(Debug, Default)]
pub(super) struct Leases(Vec<u64>);

impl Lobby {
    /// Gives a session a handle.
    pub(super) fn leased(&mut self, conn: ConnId, id: u64, size: u64, now: Timestamp) {
        let Some(sid) = self.connections.get(&conn).and_then(|connection| connection.session) else { return };
        let Some(session) = self.sessions.get_mut(&sid) else { return };
        let leases = session.leases.get_or_insert_default();
        if leases.0.len() >= HANDLES_MAX {
            return self.deny(&sid, Some(id), Refusal::Quota, None, None);
        }
        self.handles += 1;
        let handle = self.handles;
        leases.0.push(handle);
        let end = now.plus_ms(LOG_LEASE_S * 1_000);
        let until = session.token.as_ref().map_or(end, |token| token.until.min(end));
        self.timers.set(until, Timer::Handle(sid, handle));
        let rights = u64::from(Rights::READ.bits());
        self.send(&sid, &Frame::Handle { id, handle, rights, size, until_s: until.as_s() });
    }

    /// Returns whether a session has a handle.
    pub(super) fn holds(&self, sid: &Sid, handle: u64) -> bool {
        let leases = self.sessions.get(sid).and_then(|session| session.leases.as_ref());
        leases.is_some_and(|leases| leases.0.contains(&handle))
    }

    /// Ends a lease; the session goes on.
    pub(super) fn revoke_handle(&mut self, sid: &Sid, handle: u64, refusal: Refusal) {
        if !self.holds(sid, handle) {
            return;
        }
        if let Some(leases) = self.sessions.get_mut(sid).and_then(|session| session.leases.as_mut()) {
            leases.0.retain(|held| *held != handle);
        }
        self.send(sid, &Frame::Revoke { name: None, code: refusal.code().to_owned(), handle: Some(handle) });
    }

    /// Returns the families of the tokens that sessions showed.
    pub fn tokens_shown(&self) -> Vec<Rid> {
        self.sessions.values().filter_map(|session| session.token.as_ref().map(|token| token.rid)).collect()
    }

    /// Ends the leases of sessions that showed a token of a family.
    pub(super) fn token_ended(&mut self, rid: &Rid) {
        let shows = |session: &super::Session| session.token.as_ref().is_some_and(|token| token.rid == *rid);
        let of_token: Vec<Sid> =
            self.sessions.iter().filter(|(_, session)| shows(session)).map(|(sid, _)| *sid).collect();
        for sid in of_token {
            let handles = self.sessions.get(&sid).and_then(|session| session.leases.as_ref());
            for handle in handles.map_or_else(Vec::new, |leases| leases.0.clone()) {
                self.revoke_handle(&sid, handle, Refusal::Token(TokenRefusal::Revoked));
            }
            if let Some(session) = self.sessions.get_mut(&sid) {
                session.token = None;
            }
        }
    }
}

//! Sockets and sessions: how one begins, goes on over another socket, and ends.

use identity::did::Did;
use identity::time::Timestamp;

use super::counters::Counter;
use super::timers::Timer;
use super::{ConnId, Connection, Lobby, Login, Metric, Network, Output, Session, Sid, Standing, push_exact};
use crate::Refusal;
use crate::guest;
use crate::hello::Received;
use crate::limits::{BEAT_MS, DEAD_MS, HELLO_MS, INSTANCES_MAX, RESUME_MS};
use crate::message::{Form, Frame, Welcome};
use crate::session::{Fit, Outgoing};

impl Lobby {
    pub(super) fn opened(&mut self, conn: ConnId, network: Option<Network>, form: Form, now: Timestamp) {
        let admitted = self.admit(network, now);
        self.connections.insert(conn, Connection { network, form, heard: now, session: None });
        if let Some(network) = network {
            *self.strangers.entry(network).or_default() += 1;
        }
        match admitted {
            Ok(()) => self.timers.set(now.plus_ms(HELLO_MS), Timer::Hello(conn)),
            Err(refusal) => self.refuse(conn, refusal, now),
        }
    }

    fn admit(&mut self, network: Option<Network>, now: Timestamp) -> Result<(), Refusal> {
        if self.stopping {
            return Err(Refusal::Restarting);
        }
        let full = |max: u32, count: usize| max > 0 && count >= max as usize;
        if full(self.settings.connections_max, self.connections.len()) {
            return Err(Refusal::Busy);
        }
        let Some(network) = network else { return Ok(()) };
        let strangers = self.strangers.get(&network).copied().unwrap_or(0);
        if full(self.settings.strangers_max, strangers as usize) {
            return Err(Refusal::Rate);
        }
        let opened = self.counters.count(Counter::Opened(network), self.settings.opened_per_s, now);
        opened.map_err(|_| Refusal::Rate)
    }

    pub(super) fn hello(&mut self, conn: ConnId, login: Login, now: Timestamp) {
        let Some(connection) = self.connections.get(&conn) else { return };
        if connection.session.is_some() {
            return self.refuse(conn, Refusal::BadOrder, now);
        }
        let form = connection.form;
        let rest = match self.resumable(&login, form) {
            Ok(rest) => rest,
            Err(()) => {
                // Somebody's memory is wrong, or somebody lied: nothing of that session can be relied on.
                if let Some(received) = &login.resume {
                    self.end(&received.sid);
                }
                return self.refuse(conn, Refusal::HelloMismatch, now);
            }
        };
        match (rest, login.resume) {
            (Some(rest), Some(Received { sid, n, .. })) => self.go_on(conn, &sid, n, rest, login, now),
            (_, asked) => {
                if asked.is_some() {
                    self.outputs.push(Output::Count(Metric::NotResumed));
                }
                self.begin(conn, form, login, now);
            }
        }
    }

    /// Returns what a session that is to go on still has to send; `None` if it cannot go on; an error if what was received was never
    /// sent.
    fn resumable(&self, login: &Login, form: Form) -> Result<Option<Vec<bytes::Bytes>>, ()> {
        let Some(received) = &login.resume else { return Ok(None) };
        let Some(session) = self.sessions.get(&received.sid) else { return Ok(None) };
        if session.device != login.device || session.instance != login.instance || session.form != form {
            return Ok(None);
        }
        match session.outgoing.fit(received.n, &received.hash) {
            Fit::Rest(rest) => Ok(Some(rest)),
            Fit::TooOld => Ok(None),
            Fit::Mismatch => Err(()),
        }
    }

    /// Gives a session a new socket.
    fn go_on(&mut self, conn: ConnId, sid: &Sid, n: u64, rest: Vec<bytes::Bytes>, mut login: Login, now: Timestamp) {
        let before = self.sessions.get(sid).and_then(|session| session.conn);
        if let Some(before) = before {
            self.detach(before, now);
            self.outputs.push(Output::Close { conn: before, refusal: Refusal::Replaced });
        }
        self.set_names(&login);
        self.attach(conn, sid, now);
        self.outputs.push(Output::Count(Metric::Resumed));
        let Some(session) = self.sessions.get_mut(sid) else { return };
        session.outgoing.seen(n);
        session.token = login.token.take();
        self.welcome(sid, true, n + 1, login);
        self.outputs.extend(rest.into_iter().map(|bytes| Output::Send { conn, bytes }));
        self.tell_of_hosted(sid);
    }

    fn begin(&mut self, conn: ConnId, form: Form, mut login: Login, now: Timestamp) {
        let own = self.people.get(&login.did).map_or(Vec::new(), |person| person.sessions.clone());
        let of_device: Vec<Sid> =
            own.into_iter().filter(|sid| self.sessions.get(sid).is_some_and(|it| it.device == login.device)).collect();
        for sid in &of_device {
            if self.sessions.get(sid).is_some_and(|session| session.instance == login.instance) {
                self.end_as(sid, Refusal::Replaced);
            }
        }
        let live: Vec<Sid> = of_device.into_iter().filter(|sid| self.sessions.contains_key(sid)).collect();
        if live.len() >= INSTANCES_MAX {
            // What waits for another socket gives way: programs that ran to their end left it behind.
            let detached = |sid: &&Sid| self.sessions.get(*sid).is_some_and(|session| session.conn.is_none());
            match live.iter().filter(detached).min_by_key(|sid| self.sessions[*sid].detached).copied() {
                Some(oldest) => self.end(&oldest),
                None => return self.refuse(conn, Refusal::Quota, now),
            }
        }
        let is_guest = guest::is_guest(&login.device, &login.did);
        if is_guest {
            if self.guests >= self.settings.guests_max {
                // What waits for another socket gives way: else whoever comes and goes would fill every place.
                let detached = self.sessions.iter().filter(|(_, session)| session.is_guest && session.conn.is_none());
                let oldest = detached.min_by_key(|(_, session)| session.detached).map(|(sid, _)| *sid);
                oldest.iter().for_each(|sid| self.end(sid));
            }
            if self.guests >= self.settings.guests_max {
                let refusal = if self.settings.guests_max == 0 { Refusal::NoGuests } else { Refusal::Busy };
                return self.refuse(conn, refusal, now);
            }
            self.guests += 1;
        }
        let sid = login.sid;
        let session = Session {
            conn: None,
            detached: now,
            form,
            device: login.device,
            did: login.did,
            is_guest,
            instance: login.instance,
            token: login.token.take(),
            leases: None,
            outgoing: Outgoing::default(),
            hosted: Vec::new(),
            watched: Vec::new(),
            news: None,
            asked: 0,
            hosting: 0,
        };
        self.sessions.insert(sid, Box::new(session));
        push_exact(&mut self.people.entry(login.did).or_default().sessions, sid);
        self.set_names(&login);
        self.attach(conn, &sid, now);
        self.welcome(&sid, false, 1, login);
    }

    fn set_names(&mut self, login: &Login) {
        self.people.entry(login.did).or_default().names.clone_from(&login.names);
    }

    fn attach(&mut self, conn: ConnId, sid: &Sid, now: Timestamp) {
        // A guest stays a stranger: so many and no more come from one place.
        if !self.sessions.get(sid).is_some_and(|session| session.is_guest) {
            self.no_stranger(conn);
        }
        let (Some(connection), Some(session)) = (self.connections.get_mut(&conn), self.sessions.get_mut(sid)) else {
            return;
        };
        connection.session = Some(*sid);
        session.conn = Some(conn);
        self.timers.set(now.plus_ms(beat_ms(conn)), Timer::Beat(conn));
    }

    fn welcome(&mut self, sid: &Sid, resumed: bool, next: u64, login: Login) {
        let Login { ice, ttl_s, head, .. } = login;
        let welcome = Welcome { sid: *sid, resumed, next, heartbeat_ms: BEAT_MS, ice, ttl_s, head };
        self.send(sid, &Frame::Welcome(welcome));
    }

    pub(super) fn seen(&mut self, conn: ConnId, sid: &Sid, n: u64, now: Timestamp) {
        if !self.sessions.get_mut(sid).is_some_and(|session| session.outgoing.seen(n)) {
            self.refuse(conn, Refusal::HelloMismatch, now);
        }
    }

    /// Asks whether somebody is there, or finds that nobody is.
    pub(super) fn beat(&mut self, conn: ConnId, now: Timestamp) {
        let Some(connection) = self.connections.get(&conn) else { return };
        if now.ms_since(connection.heard) >= DEAD_MS {
            // The session waits for another socket: the client may not know yet that this one is dead.
            self.closed(conn, now);
            return self.outputs.push(Output::Close { conn, refusal: Refusal::Dead });
        }
        self.outputs.push(Output::Ping { conn });
        self.timers.set(now.plus_ms(beat_ms(conn)), Timer::Beat(conn));
    }

    /// Takes a socket that is gone.
    pub(super) fn closed(&mut self, conn: ConnId, now: Timestamp) {
        self.detach(conn, now);
        self.no_stranger(conn);
        self.connections.remove(&conn);
    }

    /// Takes the socket from its session, which waits for another.
    fn detach(&mut self, conn: ConnId, now: Timestamp) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let Some(sid) = connection.session.take() else { return };
        let Some(session) = self.sessions.get_mut(&sid) else { return };
        session.conn = None;
        session.detached = now;
        if session.is_guest {
            self.no_stranger(conn);
        }
        self.timers.set(now.plus_ms(RESUME_MS), Timer::Resume(sid));
        self.tell_of_hosted(&sid);
        // A connection that lost its session speaks no more.
        self.connections.remove(&conn);
    }

    fn no_stranger(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get(&conn) else { return };
        let (None, Some(network)) = (connection.session, connection.network) else { return };
        if let Some(count) = self.strangers.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.strangers.remove(&network);
            }
        }
    }

    pub(super) fn resume_over(&mut self, sid: &Sid, now: Timestamp) {
        let over = |session: &Session| session.conn.is_none() && now.ms_since(session.detached) >= RESUME_MS;
        if self.sessions.get(sid).is_some_and(|session| over(session)) {
            self.end(sid);
        }
    }

    /// Says why and closes a connection; its session, if it has one, ends.
    pub(super) fn refuse(&mut self, conn: ConnId, refusal: Refusal, now: Timestamp) {
        let Some(connection) = self.connections.get(&conn) else { return };
        match connection.session {
            Some(sid) => {
                if refusal == Refusal::Overflow {
                    self.outputs.push(Output::Count(Metric::Overflow));
                }
                self.end_as(&sid, refusal);
            }
            None => {
                let bytes = Frame::refused(None, refusal).encode(connection.form);
                self.outputs.push(Output::Count(Metric::Refused(refusal)));
                self.outputs.push(Output::Send { conn, bytes });
                self.outputs.push(Output::Close { conn, refusal });
                self.closed(conn, now);
            }
        }
    }

    /// Ends a session and tells its client why.
    fn end_as(&mut self, sid: &Sid, refusal: Refusal) {
        let conn = self.sessions.get(sid).and_then(|session| session.conn);
        match refusal {
            Refusal::Revoked => {
                self.send(sid, &Frame::Revoke { name: None, code: refusal.code().to_owned(), handle: None })
            }
            _ => self.deny(sid, None, refusal, None, None),
        }
        self.outputs.extend(conn.map(|conn| Output::Close { conn, refusal }));
        self.end(sid);
    }

    /// Ends a session with all it had here.
    pub(super) fn end(&mut self, sid: &Sid) {
        self.listen_no_more(sid);
        let Some(session) = self.sessions.get_mut(sid) else { return };
        let (hosted, watched) = (std::mem::take(&mut session.hosted), std::mem::take(&mut session.watched));
        let (conn, did, is_guest) = (session.conn.take(), session.did, session.is_guest);
        if let Some(connection) = conn.and_then(|conn| self.connections.get_mut(&conn)) {
            connection.session = None;
        }
        if is_guest {
            self.guests -= 1;
            conn.iter().for_each(|conn| self.no_stranger(*conn));
        }
        if let Some(conn) = conn {
            self.connections.remove(&conn);
        }
        watched.iter().for_each(|name| self.stop_watching(sid, name));
        self.sessions.remove(sid);
        hosted.iter().for_each(|name| self.no_host(sid, name));
        if let Some(person) = self.people.get_mut(&did) {
            person.sessions.retain(|other| other != sid);
            if person.sessions.is_empty() {
                self.people.remove(&did);
            }
        }
    }

    /// Judges the sessions of a DID again.
    pub(super) fn changed(&mut self, did: &Did, standing: Standing) {
        let Some(person) = self.people.get_mut(did) else { return };
        let Standing { devices, names } = standing;
        person.names = names;
        for sid in person.sessions.clone() {
            let Some(session) = self.sessions.get(&sid) else { continue };
            let device = session.device;
            if devices.contains(&device) {
                self.keep_names(&sid, did);
                continue;
            }
            self.end_as(&sid, Refusal::Revoked);
            self.outputs.push(Output::Count(Metric::Revoked));
            self.outputs.push(Output::DropRelay { device });
        }
    }

    /// Ends the registrations of names that are the DID's no more.
    fn keep_names(&mut self, sid: &Sid, did: &Did) {
        let Some(session) = self.sessions.get_mut(sid) else { return };
        let names: &[String] = self.people.get(did).map_or(&[], |person| &person.names);
        let lost: Vec<_> =
            session.hosted.iter().filter(|name| !names.iter().any(|own| *own == ***name)).cloned().collect();
        session.hosted.retain(|name| !lost.contains(name));
        for name in lost {
            self.no_host(sid, &name);
            let code = Refusal::NotHost.code().to_owned();
            self.send(sid, &Frame::Revoke { name: Some(name.to_string()), code, handle: None });
        }
    }
}

/// How long until a connection is asked, a fifth more or less: not all at once.
fn beat_ms(conn: ConnId) -> u64 {
    let spread = conn.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    BEAT_MS * 4 / 5 + spread % (BEAT_MS * 2 / 5)
}

//! Names: who hosts them, and who wants to know (PROTOCOL 23.5).

use std::sync::Arc;

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::name::is_well_formed;
use identity::time::Timestamp;

use super::elsewhere::Elsewhere;
use super::news::shows;
use super::timers::Timer;
use super::{Lobby, Output, Sid, push_exact};
use crate::Refusal;
use crate::guard::Guard;
use crate::limits::{HOSTS_MAX, LEASE_MS, NAMES_MAX, WATCHERS_MAX, WATCHES_MAX};
use crate::message::{Frame, Presence, Value, Visible};

/// What there is of one name. A name that nobody hosts or watches is not here.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) hosts: Vec<Host>,
    watchers: Vec<Watcher>,
    /// The logs whose sizes are known.
    pub(super) published: usize,
    /// Sessions that listen to its logs, as often as they do.
    pub(super) listening: usize,
    /// Whether other nodes are asked about it, and who hosts it there.
    pub(super) followed: bool,
    pub(super) elsewhere: Vec<Elsewhere>,
}

impl Place {
    /// Returns whether somebody here wants to know how its hosts and logs stand.
    pub(super) fn is_followed(&self) -> bool {
        self.listening > 0 || !self.watchers.is_empty()
    }
}

/// A registration.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) sid: Sid,
    pub(super) device: KeyBytes,
    pub(super) did: Did,
    pub(super) visible: Visible,
    pub(super) guard: Guard,
    pub(super) epoch: u64,
    lease_until: Timestamp,
}

#[derive(Debug)]
struct Watcher {
    sid: Sid,
    did: Did,
    /// What it was told last.
    told: (Presence, u64),
}

impl Host {
    pub(super) fn shows_to(&self, did: &Did) -> bool {
        shows(self.visible, &self.did, &self.guard, did)
    }

    /// Returns whether anybody sees it.
    pub(super) fn is_seen(&self) -> bool {
        self.visible != Visible::Hidden
    }
}

impl Lobby {
    /// Takes a registration, or other rules for one.
    pub(super) fn register(
        &mut self,
        sid: &Sid,
        name: String,
        visible: Visible,
        guard: Guard,
        now: Timestamp,
    ) -> Result<Option<Value<'static>>, Refusal> {
        let session = self.sessions.get(sid).ok_or(Refusal::Internal)?;
        let (device, did) = (session.device, session.did);
        let owns = self.people.get(&did).is_some_and(|person| person.names.contains(&name));
        if !owns {
            return Err(Refusal::NotHost);
        }
        let name: Arc<str> = name.into();
        let again = session.hosted.contains(&name);
        if !again && session.hosted.len() >= NAMES_MAX {
            return Err(Refusal::Quota);
        }
        let online = |sid: &Sid| self.sessions.get(sid).is_some_and(|session| session.conn.is_some());
        let hosts = self.names.get(&name).map_or(&[][..], |place| &place.hosts);
        // What the same device left behind when its socket broke makes room.
        let left: Vec<Sid> =
            hosts.iter().filter(|host| host.device == device && !online(&host.sid)).map(|host| host.sid).collect();
        if !again && hosts.len() - left.len() >= HOSTS_MAX {
            return Err(Refusal::Quota);
        }
        for old in left.iter().filter(|old| *old != sid) {
            if let Some(session) = self.sessions.get_mut(old) {
                session.hosted.retain(|hosted| *hosted != name);
            }
            self.no_host(old, &name);
        }
        let lease_until = now.plus_ms(LEASE_MS);
        let place = self.names.entry(name.clone()).or_default();
        let epoch = match place.hosts.iter_mut().find(|host| host.sid == *sid) {
            Some(host) => {
                (host.visible, host.guard, host.lease_until) = (visible, guard, lease_until);
                host.epoch
            }
            None => {
                // Later than every registration before it, whatever the clock says.
                let newest = place.hosts.iter().map(|host| host.epoch).max().unwrap_or(0);
                let epoch = now.as_ms().max(newest + 1);
                if place.hosts.is_empty() {
                    self.outputs.push(Output::Hosted { name: name.to_string(), is: true });
                }
                push_exact(&mut place.hosts, Host { sid: *sid, device, did, visible, guard, epoch, lease_until });
                epoch
            }
        };
        if !again {
            push_exact(&mut self.sessions.get_mut(sid).ok_or(Refusal::Internal)?.hosted, name.clone());
            self.timers.set(lease_until, Timer::Lease(*sid, name.clone()));
        }
        self.tell_everybody(&name);
        Ok(Some(Value::List(vec![Value::Uint(LEASE_MS), Value::Uint(epoch)])))
    }

    pub(super) fn renew(&mut self, sid: &Sid, name: &str, now: Timestamp) -> Result<Option<Value<'static>>, Refusal> {
        let place = self.names.get_mut(name).ok_or(Refusal::NotRegistered)?;
        let host = place.hosts.iter_mut().find(|host| host.sid == *sid).ok_or(Refusal::NotRegistered)?;
        host.lease_until = now.plus_ms(LEASE_MS);
        Ok(Some(Value::List(vec![Value::Uint(LEASE_MS), Value::Uint(host.epoch)])))
    }

    pub(super) fn unregister(&mut self, sid: &Sid, name: &str) -> Result<(), Refusal> {
        let session = self.sessions.get_mut(sid).ok_or(Refusal::Internal)?;
        let at = session.hosted.iter().position(|hosted| &**hosted == name).ok_or(Refusal::NotRegistered)?;
        session.hosted.swap_remove(at);
        self.no_host(sid, name);
        Ok(())
    }

    pub(super) fn lease_over(&mut self, sid: &Sid, name: &Arc<str>, now: Timestamp) {
        let hosts = self.names.get(name).map_or(&[][..], |place| &place.hosts);
        let Some(host) = hosts.iter().find(|host| host.sid == *sid) else { return };
        let until = host.lease_until;
        if until > now {
            return self.timers.set(until, Timer::Lease(*sid, name.clone()));
        }
        let _ = self.unregister(sid, name);
        let code = Refusal::LeaseOver.code().to_owned();
        self.send(sid, &Frame::Revoke { name: Some(name.to_string()), code, handle: None });
    }

    /// Takes a registration away.
    pub(super) fn no_host(&mut self, sid: &Sid, name: &str) {
        let last = self
            .names
            .get(name)
            .is_some_and(|place| !place.hosts.is_empty() && place.hosts.iter().all(|host| host.sid == *sid));
        if last {
            self.publish_no_more(name);
        }
        if let Some(place) = self.names.get_mut(name) {
            place.hosts.retain(|host| host.sid != *sid);
            if last {
                place.published = 0;
                self.outputs.push(Output::Hosted { name: name.to_owned(), is: false });
            }
        }
        self.tell_everybody(name);
        self.forget_name(name);
    }

    /// Tells those who watch the names of a session how they stand.
    pub(super) fn tell_of_hosted(&mut self, sid: &Sid) {
        let hosted = self.sessions.get(sid).map_or(Vec::new(), |session| session.hosted.clone());
        hosted.iter().for_each(|name| self.tell_everybody(name));
    }

    /// Returns how each of the names stands, and says when that changes.
    pub(super) fn watch(&mut self, sid: &Sid, names: Vec<String>, now: Timestamp) -> Result<Value<'static>, Refusal> {
        let session = self.sessions.get(sid).ok_or(Refusal::Internal)?;
        let did = session.did;
        let mut new: Vec<Arc<str>> = Vec::new();
        for name in &names {
            if !is_well_formed(name) {
                return Err(Refusal::BadFrame);
            }
            let known = session.watched.iter().chain(&new).any(|watched| **watched == **name);
            if !known {
                new.push(name.as_str().into());
            }
        }
        let watchers = |name: &Arc<str>| self.names.get(name).map_or(0, |place| place.watchers.len());
        if session.watched.len() + new.len() > WATCHES_MAX || new.iter().any(|name| watchers(name) >= WATCHERS_MAX) {
            return Err(Refusal::Quota);
        }
        for name in &new {
            let told = self.shown(name, &did);
            self.names.entry(name.clone()).or_default().watchers.push(Watcher { sid: *sid, did, told });
            self.follow(name, now);
        }
        self.sessions.get_mut(sid).ok_or(Refusal::Internal)?.watched.extend(new);
        let rows = names.into_iter().map(|name| {
            let (state, epoch) = self.shown(&name, &did);
            Value::List(vec![Value::Text(name.into()), Value::Uint(state as u64), Value::Uint(epoch)])
        });
        Ok(Value::List(rows.collect()))
    }

    pub(super) fn unwatch(&mut self, sid: &Sid, name: &str) {
        if let Some(session) = self.sessions.get_mut(sid) {
            session.watched.retain(|watched| &**watched != name);
        }
        self.stop_watching(sid, name);
    }

    pub(super) fn stop_watching(&mut self, sid: &Sid, name: &str) {
        if let Some(place) = self.names.get_mut(name) {
            place.watchers.retain(|watcher| watcher.sid != *sid);
        }
        self.forget_name(name);
    }

    pub(super) fn forget_name(&mut self, name: &str) {
        self.unfollow(name);
        if self.names.get(name).is_some_and(|place| place.hosts.is_empty() && !place.is_followed()) {
            self.names.remove(name);
        }
    }

    /// How a name stands for somebody of this DID: its best host that it shows.
    fn shown(&self, name: &str, did: &Did) -> (Presence, u64) {
        let Some(place) = self.names.get(name) else { return Default::default() };
        let shown = place.hosts.iter().filter(|host| host.shows_to(did));
        let state = |host: &Host| match self.sessions.get(&host.sid).map(|session| session.conn) {
            Some(Some(_)) => Presence::Online,
            Some(None) => Presence::Away,
            None => Presence::Offline,
        };
        let here = shown.map(|host| (state(host), host.epoch));
        let there = place.elsewhere.iter().filter_map(|elsewhere| elsewhere.shown(did));
        here.chain(there).max().unwrap_or_default()
    }

    /// Tells everybody who watches a name what is new to them.
    pub(super) fn tell(&mut self, name: &str) {
        let watchers = self.names.get(name).map_or(&[][..], |place| &place.watchers);
        let mut news: Vec<(Sid, (Presence, u64))> = Vec::new();
        for watcher in watchers {
            let (state, epoch) = self.shown(name, &watcher.did);
            // An end keeps the epoch of what ended, so that old news is known for what it is.
            let now = (state, epoch.max(watcher.told.1));
            if now != watcher.told {
                news.push((watcher.sid, now));
            }
        }
        for (sid, (state, epoch)) in news {
            let place = self.names.get_mut(name).map(|place| &mut place.watchers);
            if let Some(watcher) = place.and_then(|watchers| watchers.iter_mut().find(|watcher| watcher.sid == sid)) {
                watcher.told = (state, epoch);
            }
            self.send(&sid, &Frame::Presence { name: name.to_owned(), state, epoch });
        }
    }
}

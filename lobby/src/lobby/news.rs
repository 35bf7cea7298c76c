//! News: a host publishes how large its logs are, and who joined them and is here is told (PROTOCOL 23.14).
//!
//! A size only ever grows, so what is said twice or late does no harm. Each session has one size waiting for each log, never a queue:
//! whoever reads slowly is told less often, and always of the newest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::time::Timestamp;

use super::names::Host;
use super::timers::Timer;
use super::{Lobby, Output, Sid};
use crate::Refusal;
use crate::bus::Reach;
use crate::limits::{LISTENED_MAX, NEWS_LATER_MS, NEWS_MAX, NEWS_MS, NEWS_UNSEEN_MAX, PUBLISHED_MAX, PUSH_SWEEP_MS};
use crate::message::{Frame, Value, Visible};
use crate::news::{News, Site};

/// A log that a device listens to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Which.
    pub site: Site,
    /// Nothing is said of it before.
    pub muted_until: Timestamp,
    /// What the device read.
    pub read: u64,
}

/// A log that grew, for those who are not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grown {
    /// Which, and how large it is.
    pub news: News,
    /// The DID of its host.
    pub owner: Did,
    /// Who is told.
    pub visible: Visible,
    /// And who is on the host's list.
    pub guard: crate::guard::Guard,
}

impl Grown {
    /// Returns whether somebody of this DID is told: whoever is told that the host is here.
    pub fn shows_to(&self, did: &Did) -> bool {
        shows(self.visible, &self.owner, &self.guard, did)
    }
}

/// The rule of presence and news alike.
pub(super) fn shows(visible: Visible, owner: &Did, guard: &crate::guard::Guard, did: &Did) -> bool {
    match visible {
        Visible::Hidden => false,
        Visible::Authorised => did == owner || guard.lists(did),
        Visible::Public => true,
    }
}

/// What one session has to do with news; most have nothing.
#[derive(Debug, Default)]
pub(super) struct OfSession {
    joined: HashMap<Arc<Site>, Timestamp>,
    waiting: BTreeMap<Arc<Site>, u64>,
    timer: bool,
}

/// The news of a lobby.
#[derive(Debug, Default)]
pub(super) struct Board {
    sizes: HashMap<Arc<Site>, u64>,
    listeners: HashMap<Arc<Site>, Vec<Sid>>,
    /// What grew since it was last looked whom it is to be pushed to.
    grown: BTreeSet<Arc<Site>>,
    /// How many sessions of a device listen.
    listening: HashMap<KeyBytes, u32>,
}

impl Lobby {
    /// Takes the sizes of logs of names that a session hosts.
    pub(super) fn publish(
        &mut self,
        sid: &Sid,
        news: Vec<News>,
        now: Timestamp,
    ) -> Result<Option<Value<'static>>, Refusal> {
        let session = self.sessions.get(sid).ok_or(Refusal::Internal)?;
        if news.iter().any(|news| !session.hosted.iter().any(|name| **name == *news.site.name)) {
            return Err(Refusal::NotRegistered);
        }
        let mut told: BTreeMap<String, Vec<([u8; 16], u64)>> = BTreeMap::new();
        let mut done = Ok(None);
        for News { site, size } in news {
            let (name, log) = (site.name.clone(), site.log);
            match self.grew(site, size, now) {
                Ok(None) => {}
                Ok(Some(site)) => {
                    told.entry(name).or_default().push((log, size));
                    if self.board.grown.is_empty() {
                        self.timers.set(now.plus_ms(PUSH_SWEEP_MS), Timer::Push);
                    }
                    self.board.grown.insert(site);
                }
                Err(refusal) => {
                    done = Err(refusal);
                    break;
                }
            }
        }
        for (name, sizes) in told {
            if self.names.get(name.as_str()).is_some_and(|place| place.hosts.iter().any(Host::is_seen)) {
                self.tell_sizes(Reach::Followers(name.clone()), &name, &sizes);
            }
        }
        done
    }

    /// Notes how large a log is, and tells those who listen; returns it if it grew.
    pub(super) fn grew(&mut self, site: Site, size: u64, now: Timestamp) -> Result<Option<Arc<Site>>, Refusal> {
        let of_name = self.names.get(site.name.as_str()).map_or(0, |place| place.published);
        let known = self.board.sizes.get_key_value(&site).map(|(site, size)| (site.clone(), *size));
        let site = match known {
            Some((_, before)) if before >= size => return Ok(None),
            Some((site, _)) => site,
            None if of_name >= PUBLISHED_MAX => return Err(Refusal::Quota),
            None => {
                if let Some(place) = self.names.get_mut(site.name.as_str()) {
                    place.published += 1;
                }
                Arc::new(site)
            }
        };
        self.board.sizes.insert(site.clone(), size);
        for listener in self.board.listeners.get(&site).cloned().unwrap_or_default() {
            self.tell_news(&listener, &site, size, now);
        }
        Ok(Some(site))
    }

    /// Returns how large the logs of a name are.
    pub(super) fn sizes_of(&self, name: &str) -> Vec<([u8; 16], u64)> {
        let sizes = self.board.sizes.iter().filter(|(site, _)| site.name == name);
        sizes.map(|(site, size)| (site.log, *size)).collect()
    }

    /// Puts a size where a session's news waits.
    fn tell_news(&mut self, sid: &Sid, site: &Arc<Site>, size: u64, now: Timestamp) {
        let Some(session) = self.sessions.get(sid) else { return };
        if !self.may_hear(site, &session.did) {
            return;
        }
        let Some(of_session) = self.sessions.get_mut(sid).and_then(|session| session.news.as_mut()) else { return };
        if of_session.joined.get(site).is_none_or(|until| *until > now) {
            return;
        }
        of_session.waiting.insert(site.clone(), size);
        if !std::mem::replace(&mut of_session.timer, true) {
            self.timers.set(now.plus_ms(NEWS_MS), Timer::News(*sid));
        }
    }

    fn may_hear(&self, site: &Site, did: &Did) -> bool {
        self.names.get(site.name.as_str()).is_some_and(|place| {
            let there = place.elsewhere.iter().any(|elsewhere| elsewhere.shown(did).is_some());
            there || place.hosts.iter().any(|host| host.shows_to(did))
        })
    }

    /// Tells a session its news, if it reads.
    pub(super) fn news_due(&mut self, sid: &Sid, now: Timestamp) {
        let Some(session) = self.sessions.get_mut(sid) else { return };
        let reads = session.conn.is_some() && session.outgoing.unseen() < NEWS_UNSEEN_MAX;
        let Some(of_session) = session.news.as_mut() else { return };
        let mut news = Vec::new();
        while reads && news.len() < NEWS_MAX {
            let Some((site, size)) = of_session.waiting.pop_first() else { break };
            news.push(News { site: (*site).clone(), size });
        }
        of_session.timer = !of_session.waiting.is_empty();
        if of_session.timer {
            self.timers.set(now.plus_ms(if reads { NEWS_MS } else { NEWS_LATER_MS }), Timer::News(*sid));
        }
        if !news.is_empty() {
            self.send(sid, &Frame::Notify { news });
        }
    }

    /// Says what grew, for those who are not here.
    pub(super) fn push_due(&mut self) {
        for site in std::mem::take(&mut self.board.grown) {
            let Some(size) = self.board.sizes.get(&site).copied() else { continue };
            let Some(place) = self.names.get(site.name.as_str()) else { continue };
            let here = place.hosts.iter().max_by_key(|host| host.epoch);
            let here = here.map(|host| (host.did, host.visible, host.guard.clone()));
            let Some((owner, visible, guard)) = here.or_else(|| place.newest_elsewhere()) else { continue };
            let news = News { site: (*site).clone(), size };
            self.outputs.push(Output::Grown(Box::new(Grown { news, owner, visible, guard })));
        }
    }

    /// Takes all that a device listens to; its sessions are told at once what is larger than what it read.
    pub(super) fn joined(&mut self, device: &KeyBytes, did: &Did, joined: &[Joined], now: Timestamp) {
        let sids = self.people.get(did).map_or(Vec::new(), |person| person.sessions.clone());
        for sid in sids {
            if self.sessions.get(&sid).is_none_or(|session| session.device != *device) {
                continue;
            }
            self.listen_no_more(&sid);
            if joined.is_empty() {
                continue;
            }
            let mut of_session = Box::new(OfSession::default());
            for row in joined.iter().take(LISTENED_MAX) {
                let known = self.board.listeners.get_key_value(&row.site).map(|(site, _)| site.clone());
                let site = known.unwrap_or_else(|| Arc::new(row.site.clone()));
                of_session.joined.insert(site.clone(), row.muted_until);
                let name: Arc<str> = site.name.as_str().into();
                self.board.listeners.entry(site).or_default().push(sid);
                self.names.entry(name.clone()).or_default().listening += 1;
                self.follow(&name, now);
            }
            if let Some(session) = self.sessions.get_mut(&sid) {
                session.news = Some(of_session);
            }
            self.listens(device, true);
            for row in joined.iter().take(LISTENED_MAX) {
                let known = self.board.sizes.get_key_value(&row.site).map(|(site, size)| (site.clone(), *size));
                if let Some((site, size)) = known.filter(|(_, size)| *size > row.read) {
                    self.tell_news(&sid, &site, size, now);
                }
            }
        }
    }

    /// Takes a session out of all it listens to; what it was not told yet is for those who push.
    pub(super) fn listen_no_more(&mut self, sid: &Sid) {
        let Some(of_session) = self.sessions.get_mut(sid).and_then(|session| session.news.take()) else { return };
        let device = self.sessions.get(sid).map(|session| session.device);
        device.iter().for_each(|device| self.listens(device, false));
        self.board.grown.extend(of_session.waiting.into_keys());
        if !self.board.grown.is_empty() {
            self.push_due();
        }
        for site in of_session.joined.keys() {
            if let Some(listeners) = self.board.listeners.get_mut(site) {
                listeners.retain(|listener| listener != sid);
                if listeners.is_empty() {
                    self.board.listeners.remove(site);
                }
            }
            if let Some(place) = self.names.get_mut(site.name.as_str()) {
                place.listening = place.listening.saturating_sub(1);
            }
            self.forget_name(&site.name);
        }
    }

    /// Counts a session of a device that listens, or no longer; other nodes, if there may be any, are told of the first and the last.
    fn listens(&mut self, device: &KeyBytes, is: bool) {
        let before = self.board.listening.get(device).copied().unwrap_or(0);
        let now = if is { before + 1 } else { before.saturating_sub(1) };
        match now {
            0 => self.board.listening.remove(device),
            now => self.board.listening.insert(*device, now),
        };
        if self.several && (before == 0) != (now == 0) {
            self.outputs.push(Output::Listens { device: *device, is });
        }
    }

    /// Returns the devices that are told of logs here.
    pub fn listening(&self) -> impl Iterator<Item = &KeyBytes> {
        self.board.listening.keys()
    }

    /// Returns whether a device has a session here, connected or not.
    pub fn has_session(&self, device: &KeyBytes, did: &Did) -> bool {
        let sessions = self.people.get(did).map_or(&[][..], |person| &person.sessions);
        sessions.iter().any(|sid| self.sessions.get(sid).is_some_and(|session| session.device == *device))
    }

    /// Forgets what was published of a name that nobody hosts any more.
    pub(super) fn publish_no_more(&mut self, name: &str) {
        self.push_due_of(name);
        self.board.sizes.retain(|site, _| site.name != name);
    }

    fn push_due_of(&mut self, name: &str) {
        if self.board.grown.iter().any(|site| site.name == name) {
            self.push_due();
        }
    }

    /// Returns whether a device has a socket here: it is told by that.
    pub fn is_here(&self, device: &KeyBytes, did: &Did) -> bool {
        let sessions = self.people.get(did).map_or(&[][..], |person| &person.sessions);
        sessions.iter().any(|sid| {
            self.sessions.get(sid).is_some_and(|session| session.conn.is_some() && session.device == *device)
        })
    }
}

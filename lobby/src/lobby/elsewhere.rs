//! Hosts at other nodes, for those who follow a name here: who watches it, or listens to its logs (PROTOCOL 23.16).
//!
//! The nodes where a name is hosted say so at each change, and are asked again and again while somebody follows it. What is not said again is
//! not believed for long: so a node that died, or is not reached, has no hosts.

use std::sync::Arc;

use identity::did::Did;
use identity::time::Timestamp;

use super::news::shows;
use super::timers::Timer;
use super::{Lobby, Output};
use crate::bus::{BusMessage, HostedThere, NodeId, Reach};
use crate::guard::Guard;
use crate::limits::{ELSEWHERE_MAX, ELSEWHERE_MS, FOLLOW_MS, SIZES_MAX};
use crate::message::{Presence, Visible};
use crate::news::Site;

/// The hosts of a name at one other node.
#[derive(Debug)]
pub(super) struct Elsewhere {
    node: NodeId,
    hosts: Vec<HostedThere>,
    until: Timestamp,
}

impl Elsewhere {
    /// How the best of them that somebody may see stands.
    pub(super) fn shown(&self, did: &Did) -> Option<(Presence, u64)> {
        let shown = self.hosts.iter().filter(|host| shows(host.visible, &host.did, &host.guard, did));
        shown.map(|host| (host.state, host.epoch)).max()
    }
}

impl super::names::Place {
    /// Returns who hosts a name at another node, who is told of it, and whom it lists.
    pub(super) fn newest_elsewhere(&self) -> Option<(Did, Visible, Guard)> {
        let hosts = self.elsewhere.iter().flat_map(|elsewhere| &elsewhere.hosts);
        let newest = hosts.max_by_key(|host| host.epoch)?;
        Some((newest.did, newest.visible, newest.guard.clone()))
    }
}

impl Lobby {
    /// Asks other nodes about a name from now on, if there may be any.
    pub(super) fn follow(&mut self, name: &Arc<str>, now: Timestamp) {
        if !self.several {
            return;
        }
        let place = self.names.entry(name.clone()).or_default();
        if !std::mem::replace(&mut place.followed, true) {
            self.outputs.push(Output::Followed { name: name.to_string(), is: true });
            self.ask_others(name, now);
        }
    }

    fn ask_others(&mut self, name: &Arc<str>, now: Timestamp) {
        self.tell_others(Reach::Name(name.to_string()), BusMessage::Ask { name: name.to_string() });
        self.timers.set(now.plus_ms(FOLLOW_MS), Timer::Follow(name.clone()));
    }

    fn tell_others(&mut self, to: Reach, message: BusMessage) {
        self.outputs.push(Output::Bus { to, message: Box::new(message) });
    }

    /// Asks again, and forgets what nobody said again.
    pub(super) fn follow_due(&mut self, name: &Arc<str>, now: Timestamp) {
        let Some(place) = self.names.get_mut(name).filter(|place| place.followed) else { return };
        let before = place.elsewhere.len();
        place.elsewhere.retain(|elsewhere| elsewhere.until > now);
        if place.elsewhere.len() < before {
            self.fewer_elsewhere(name);
        }
        self.ask_others(name, now);
    }

    /// Follows a name no more, if nobody here does.
    pub(super) fn unfollow(&mut self, name: &str) {
        let Some(place) = self.names.get_mut(name).filter(|place| place.followed && !place.is_followed()) else {
            return;
        };
        place.followed = false;
        place.elsewhere = Vec::new();
        self.outputs.push(Output::Followed { name: name.to_owned(), is: false });
        self.forget_sizes_of_nobody(name);
    }

    fn fewer_elsewhere(&mut self, name: &str) {
        self.forget_sizes_of_nobody(name);
        self.tell(name);
    }

    /// Forgets what was published of a name that nobody hosts, here or elsewhere.
    fn forget_sizes_of_nobody(&mut self, name: &str) {
        let nobody =
            |place: &super::names::Place| place.hosts.is_empty() && place.elsewhere.is_empty() && place.published > 0;
        if self.names.get(name).is_some_and(nobody) {
            self.publish_no_more(name);
            if let Some(place) = self.names.get_mut(name) {
                place.published = 0;
            }
        }
    }

    /// Tells everybody who follows a name how its hosts here stand.
    pub(super) fn tell_everybody(&mut self, name: &str) {
        if self.several {
            let message = BusMessage::Hosts { name: name.to_owned(), hosts: self.hosts_here(name) };
            self.tell_others(Reach::Followers(name.to_owned()), message);
        }
        self.tell(name);
    }

    /// Says that all hosts leave with this node.
    pub(super) fn leave_others(&mut self) {
        let hosted = self.names.iter().filter(|(_, place)| self.several && !place.hosts.is_empty());
        for name in hosted.map(|(name, _)| name.to_string()).collect::<Vec<_>>() {
            let message = BusMessage::Hosts { name: name.clone(), hosts: Vec::new() };
            self.tell_others(Reach::Followers(name), message);
        }
    }

    /// The hosts of a name that anybody at another node may see.
    fn hosts_here(&self, name: &str) -> Vec<HostedThere> {
        let hosts = self.names.get(name).map_or(&[][..], |place| &place.hosts);
        let seen = hosts.iter().filter(|host| host.is_seen());
        let there = seen.filter_map(|host| {
            let state = match self.sessions.get(&host.sid)?.conn {
                Some(_) => Presence::Online,
                None => Presence::Away,
            };
            let (did, visible, epoch, guard) = (host.did, host.visible, host.epoch, host.guard.clone());
            Some(HostedThere { did, visible, state, epoch, guard })
        });
        there.collect()
    }

    /// Answers a node that asks who hosts a name here, and how large its logs are.
    pub(super) fn asked(&mut self, from: NodeId, name: String) {
        let hosts = self.hosts_here(&name);
        if hosts.is_empty() {
            return;
        }
        self.tell_others(Reach::Node(from), BusMessage::Hosts { name: name.clone(), hosts });
        self.tell_sizes(Reach::Node(from), &name, &self.sizes_of(&name));
    }

    /// Tells other nodes how large logs are.
    pub(super) fn tell_sizes(&mut self, to: Reach, name: &str, sizes: &[([u8; 16], u64)]) {
        for part in sizes.chunks(SIZES_MAX).filter(|_| self.several).map(<[_]>::to_vec).collect::<Vec<_>>() {
            self.tell_others(to.clone(), BusMessage::Sizes { name: name.to_owned(), sizes: part });
        }
    }

    /// Takes who hosts a name at another node.
    pub(super) fn hosts_elsewhere(&mut self, node: NodeId, name: &str, hosts: Vec<HostedThere>, now: Timestamp) {
        let Some(place) = self.names.get_mut(name).filter(|place| place.followed) else { return };
        let before = place.elsewhere.len();
        place.elsewhere.retain(|elsewhere| elsewhere.node != node);
        if !hosts.is_empty() && place.elsewhere.len() < ELSEWHERE_MAX {
            place.elsewhere.push(Elsewhere { node, hosts, until: now.plus_ms(ELSEWHERE_MS) });
        }
        match place.elsewhere.len() < before {
            true => self.fewer_elsewhere(name),
            false => self.tell(name),
        }
    }

    /// Takes how large logs are that are published at another node where the name is hosted.
    pub(super) fn sizes_elsewhere(&mut self, node: NodeId, name: &str, sizes: Vec<([u8; 16], u64)>, now: Timestamp) {
        let place = self.names.get(name).filter(|place| place.followed);
        if !place.is_some_and(|place| place.elsewhere.iter().any(|elsewhere| elsewhere.node == node)) {
            return;
        }
        for (log, size) in sizes {
            let grown = self.grew(Site { name: name.to_owned(), log }, size, now);
            if grown.is_err() {
                return;
            }
        }
    }
}

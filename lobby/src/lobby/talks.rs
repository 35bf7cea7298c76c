//! Conversations: a knock finds a host, and cards go to and fro (PROTOCOL 23.6).
//!
//! Only which two sessions belong together is kept, never a card. Whoever is absent, guarded, silent or hidden is `unavailable`
//! after the same time.

use std::sync::Arc;

use bytes::Bytes;
use identity::cert::KeyBytes;
use identity::did::Did;
use identity::time::Timestamp;

use super::counters::Counter;
use super::timers::Timer;
use super::{Lobby, Metric, Output, Session, Sid};
use crate::bus::{BusMessage, NodeId, Reach};
use crate::card::{Body, Glance, To};
use crate::guest;
use crate::limits::{
    ASKED_MAX, EXPIRED_MS, GUEST_KNOCKS_AT_NAME, HOSTING_MAX, KNOCKS_AT_NAME, KNOCKS_OF_GUESTS, KNOCKS_PER_DEVICE,
    KNOCKS_PER_NAME, SESS_MS, UNAVAILABLE_MS,
};
use crate::message::{Frame, Signal, Visible};
use crate::{Refusal, Sess};

/// The session of somebody who has none here.
const NOWHERE: Sid = [0; 16];

/// One end of a conversation: a device, in the session it spoke from last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Party {
    sid: Sid,
    device: KeyBytes,
    did: Did,
    /// The node at which it is, if that is another.
    node: Option<NodeId>,
}

/// How the other end of a conversation is reached.
enum Way {
    /// In this session.
    Here(Sid),
    /// By that node.
    There(NodeId),
}

#[derive(Debug)]
pub(super) struct Talk {
    client: Party,
    /// Nobody, if nobody could be asked: then only the time passes.
    host: Option<Party>,
    name: Arc<str>,
    /// Of the knock.
    id: u64,
    began: Timestamp,
    answered: bool,
    until: Timestamp,
}

impl Lobby {
    /// Takes an offer to whoever hosts a name.
    pub(super) fn knock(
        &mut self,
        sid: &Sid,
        id: u64,
        name: String,
        card: Bytes,
        proof: Option<Bytes>,
        now: Timestamp,
    ) {
        match self.try_knock(sid, id, name, card, proof, now) {
            Ok(()) => {}
            Err((refusal, retry_ms, sess)) => self.deny(sid, Some(id), refusal, retry_ms, sess),
        }
    }

    fn try_knock(
        &mut self,
        sid: &Sid,
        id: u64,
        name: String,
        card: Bytes,
        proof: Option<Bytes>,
        now: Timestamp,
    ) -> Result<(), (Refusal, Option<u64>, Option<Sess>)> {
        let bad_card = (Refusal::BadCard, None, None);
        let said = Glance::of(&card).map_err(|_| bad_card)?;
        let Some(session) = self.sessions.get(sid) else { return Ok(()) };
        let client = Party { sid: *sid, device: session.device, did: session.did, node: None };
        let asks = match &said.body {
            Body::Offer { name: offered, .. } => *offered == name,
            Body::RestartOffer { .. } => true,
            _ => false,
        };
        if !asks || said.from != session.device || said.from_did != session.did {
            return Err(bad_card);
        }
        let (sess, seq, did) = (said.sess, said.seq, session.did);
        let wanted = match said.to {
            To::Device(device) => Some(device),
            To::Did(_) => None,
        };
        let refused = |refusal, retry_ms| (refusal, retry_ms, Some(sess));
        match self.talks.get(&sess) {
            Some(talk) if talk.client.device != client.device || *talk.name != *name => {
                return Err(refused(Refusal::BadCard, None));
            }
            Some(_) => {
                self.outputs.push(Output::Count(Metric::Resent));
            }
            None => {
                if session.asked >= ASKED_MAX {
                    return Err(refused(Refusal::Quota, None));
                }
                let name: Arc<str> = name.as_str().into();
                let (device, is_guest) = (client.device, session.is_guest);
                let network = session.conn.and_then(|conn| self.connections.get(&conn)?.network);
                let of_guests = network.filter(|_| is_guest);
                let of_guests = of_guests.map(|network| (Counter::KnocksOfGuests(network), KNOCKS_OF_GUESTS));
                // Whoever knocks too often anyway makes no counter for each name it thinks of.
                if let Some(retry_ms) = self.counters.full(&Counter::Knocks(device), KNOCKS_PER_DEVICE, now) {
                    return Err(refused(Refusal::Rate, Some(retry_ms)));
                }
                let counters = [
                    (Counter::KnocksAt(device, name.clone()), KNOCKS_PER_NAME),
                    (Counter::Knocks(device), KNOCKS_PER_DEVICE),
                    at_name(name.clone(), is_guest),
                ];
                for (counter, limit) in counters.into_iter().chain(of_guests) {
                    let counted = self.counters.count(counter, limit, now);
                    counted.map_err(|retry_ms| refused(Refusal::Rate, Some(retry_ms)))?;
                }
                self.begin_talk(
                    sess,
                    Talk { client, host: None, name, id, began: now, answered: false, until: now.plus_ms(SESS_MS) },
                );
            }
        }
        self.take_client(&sess, client);
        let host = self.find_host(&sess, &name, &client, wanted);
        let Some(talk) = self.talks.get_mut(&sess) else { return Ok(()) };
        talk.id = id;
        match host {
            Some(host) => {
                self.take_host(&sess, host);
                let signal = Signal { peer: client.device, sess, seq, card, proof };
                self.send(&host.sid, &Frame::Signal(signal));
            }
            None if self.may_be_elsewhere(&name) => {
                let to = Reach::Name(name.clone());
                let message = BusMessage::Knock { device: client.device, did, name, card, proof };
                self.outputs.push(Output::Bus { to, message: Box::new(message) });
            }
            // Who shows everybody whether it is there need not be guessed at.
            None if self.is_public(&name) => {
                self.end_talk(&sess);
                return Err(refused(Refusal::Unavailable, None));
            }
            None => {}
        }
        Ok(())
    }

    fn begin_talk(&mut self, sess: Sess, talk: Talk) {
        self.count_waiting(Some(talk.client), |session| &mut session.asked, true);
        // A tenth more or less, the same whatever the reason is.
        let spread = u64::from(sess[0]) * UNAVAILABLE_MS / 5 / 255;
        self.timers.set(talk.began.plus_ms(UNAVAILABLE_MS * 9 / 10 + spread), Timer::Unanswered(sess));
        self.timers.set(talk.until, Timer::Forget(sess));
        self.talks.insert(sess, talk);
    }

    /// Returns whom a knock is for: whoever it went to before, else the newest host that is online, has room and lets the DID in.
    fn find_host(&self, sess: &Sess, name: &str, client: &Party, wanted: Option<KeyBytes>) -> Option<Party> {
        let Party { device, did, .. } = client;
        let hosts = &self.names.get(name)?.hosts;
        let bound = self.talks.get(sess).and_then(|talk| talk.host);
        let bound = bound.filter(|bound| hosts.iter().any(|host| host.sid == bound.sid));
        if bound.is_some() {
            return bound;
        }
        let is_guest = guest::is_guest(device, did);
        let may = hosts.iter().filter(|host| {
            let session = self.sessions.get(&host.sid);
            let here = session.is_some_and(|session| session.conn.is_some() && session.hosting < HOSTING_MAX);
            here && host.guard.admits(did, is_guest) && wanted.is_none_or(|device| device == host.device)
        });
        may.max_by_key(|host| host.epoch).map(|host| Party {
            sid: host.sid,
            device: host.device,
            did: host.did,
            node: None,
        })
    }

    /// Returns whether nobody who hosts a name is here; whoever lost its socket may be at another node by now.
    fn may_be_elsewhere(&self, name: &str) -> bool {
        let connected = |host: &super::names::Host| self.sessions.get(&host.sid).is_some_and(|it| it.conn.is_some());
        let here = |place: &super::names::Place| match self.several {
            true => place.hosts.iter().any(connected),
            false => !place.hosts.is_empty(),
        };
        !self.names.get(name).is_some_and(here)
    }

    fn is_public(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|place| place.hosts.iter().any(|host| host.visible == Visible::Public))
    }

    /// Binds a conversation to a host.
    fn take_host(&mut self, sess: &Sess, host: Party) {
        let Some(talk) = self.talks.get_mut(sess) else { return };
        let (before, waits) = (talk.host.replace(host), !talk.answered);
        if waits && before != Some(host) {
            self.count_waiting(before, |session| &mut session.hosting, false);
            self.count_waiting(Some(host), |session| &mut session.hosting, true);
        }
    }

    /// Notes that a client speaks from this session now.
    fn take_client(&mut self, sess: &Sess, client: Party) {
        let Some(talk) = self.talks.get_mut(sess) else { return };
        let (before, waits) = (std::mem::replace(&mut talk.client, client), !talk.answered);
        if waits && before != client {
            self.count_waiting(Some(before), |session| &mut session.asked, false);
            self.count_waiting(Some(client), |session| &mut session.asked, true);
        }
    }

    /// Counts a conversation that waits for its answer, or counts it no more.
    fn count_waiting(&mut self, party: Option<Party>, count: impl Fn(&mut Session) -> &mut u32, waits: bool) {
        if let Some(session) = party.and_then(|party| self.sessions.get_mut(&party.sid)) {
            let count = count(session);
            *count = if waits { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    /// Passes a card on to the other end.
    pub(super) fn signal(&mut self, sid: &Sid, signal: Signal, now: Timestamp) {
        let Signal { peer, sess, seq, card, proof } = signal;
        let Some(session) = self.sessions.get(sid) else { return };
        let said = Glance::of(&card).ok().filter(|said| {
            said.sess == sess && said.seq == seq && said.from == session.device && said.from_did == session.did
        });
        let ends = match said.map(|said| said.body) {
            None | Some(Body::Offer { .. }) => return self.deny(sid, None, Refusal::BadCard, None, Some(sess)),
            Some(body) => matches!(body, Body::Deny { .. } | Body::Bye { .. }),
        };
        let me = Party { sid: *sid, device: session.device, did: session.did, node: None };
        match self.other_end(me, &peer, &sess, now) {
            Some((way, answers)) => {
                match way {
                    Way::Here(to) => self.send(&to, &Frame::Signal(Signal { peer: me.device, sess, seq, card, proof })),
                    Way::There(node) => {
                        let signal = Signal { peer, sess, seq, card, proof };
                        let message = BusMessage::Signal { device: me.device, did: me.did, signal };
                        self.outputs.push(Output::Bus { to: Reach::Node(node), message: Box::new(message) });
                    }
                }
                self.outputs.push(Output::Count(Metric::Signal));
                if answers {
                    self.answered(&sess, now);
                }
                if ends {
                    self.soon_over(&sess, now);
                }
            }
            None => self.deny(sid, None, Refusal::UnknownSess, None, Some(sess)),
        }
    }

    /// Passes on that a signal was taken.
    pub(super) fn ack(&mut self, sid: &Sid, peer: &KeyBytes, sess: &Sess, seq: u64, now: Timestamp) {
        let Some(session) = self.sessions.get(sid) else { return };
        let me = Party { sid: *sid, device: session.device, did: session.did, node: None };
        self.pass_ack(me, peer, sess, seq, now);
    }

    fn pass_ack(&mut self, me: Party, peer: &KeyBytes, sess: &Sess, seq: u64, now: Timestamp) {
        match self.other_end(me, peer, sess, now) {
            Some((Way::Here(to), _)) => self.send(&to, &Frame::Ack { peer: me.device, sess: *sess, seq }),
            Some((Way::There(node), _)) => {
                let message = BusMessage::Ack { device: me.device, peer: *peer, sess: *sess, seq };
                self.outputs.push(Output::Bus { to: Reach::Node(node), message: Box::new(message) });
            }
            None => {}
        }
    }

    /// Takes what another node says. Its cards are judged by the ends, as if they had come here; it is no more believed than a client.
    pub(super) fn bus(&mut self, from: NodeId, message: BusMessage, now: Timestamp) {
        match message {
            BusMessage::Knock { device, did, name, card, proof } => {
                let client = Party { sid: NOWHERE, device, did, node: Some(from) };
                self.bus_knock(client, &name, card, proof, now);
            }
            BusMessage::Signal { device, did, signal } => {
                let me = Party { sid: NOWHERE, device, did, node: Some(from) };
                self.bus_signal(me, signal, now);
            }
            BusMessage::Ack { device, peer, sess, seq } => {
                let Some(talk) = self.talks.get(&sess) else { return };
                let known = [Some(talk.client), talk.host].into_iter().flatten().find(|party| party.device == device);
                let Some(known) = known.filter(|party| party.node.is_some()) else { return };
                self.pass_ack(Party { node: Some(from), ..known }, &peer, &sess, seq, now);
            }
            BusMessage::Ask { name } => self.asked(from, name),
            BusMessage::Hosts { name, hosts } => self.hosts_elsewhere(from, &name, hosts, now),
            BusMessage::Sizes { name, sizes } => self.sizes_elsewhere(from, &name, sizes, now),
            BusMessage::Grown(grown) => self.outputs.push(Output::Grown(Box::new(grown))),
        }
    }

    /// Takes an offer from a client at another node. Nothing is kept of a knock at somebody who is not here.
    fn bus_knock(&mut self, client: Party, name: &str, card: Bytes, proof: Option<Bytes>, now: Timestamp) {
        let Ok(said) = Glance::of(&card) else { return };
        let asks = match &said.body {
            Body::Offer { name: offered, .. } => *offered == name,
            Body::RestartOffer { .. } => true,
            _ => false,
        };
        let known = self.talks.get(&said.sess);
        let other = known.is_some_and(|talk| talk.client.device != client.device || talk.client.node.is_none());
        if !asks || said.from != client.device || said.from_did != client.did || other {
            return;
        }
        let wanted = match said.to {
            To::Device(device) => Some(device),
            To::Did(_) => None,
        };
        let (sess, seq) = (said.sess, said.seq);
        let Some(host) = self.find_host(&sess, name, &client, wanted) else { return };
        if known.is_none() {
            let (counter, limit) = at_name(name.into(), guest::is_guest(&client.device, &client.did));
            if self.counters.count(counter, limit, now).is_err() {
                return;
            }
            let until = now.plus_ms(SESS_MS);
            let talk = Talk { client, host: None, name: name.into(), id: 0, began: now, answered: false, until };
            self.begin_talk(sess, talk);
        }
        self.take_client(&sess, client);
        self.take_host(&sess, host);
        self.send(&host.sid, &Frame::Signal(Signal { peer: client.device, sess, seq, card, proof }));
    }

    /// Takes a card from an end at another node to one that is here.
    fn bus_signal(&mut self, me: Party, signal: Signal, now: Timestamp) {
        let Signal { peer, sess, seq, card, proof } = signal;
        let said = Glance::of(&card)
            .ok()
            .filter(|said| said.sess == sess && said.seq == seq && said.from == me.device && said.from_did == me.did);
        let Some(talk) = self.talks.get_mut(&sess).filter(|_| said.is_some()) else { return };
        // The first who answers a client of this node from elsewhere is its host until the sess is over.
        if talk.host.is_none() && talk.client.node.is_none() && talk.client.device == peer {
            talk.host = Some(me);
        }
        let is_known = |party: Party| party.device == me.device && party.node.is_some();
        if !is_known(talk.client) && !talk.host.is_some_and(is_known) {
            return;
        }
        if let Some((Way::Here(to), answers)) = self.other_end(me, &peer, &sess, now) {
            self.send(&to, &Frame::Signal(Signal { peer: me.device, sess, seq, card, proof }));
            if answers {
                self.answered(&sess, now);
            }
        }
    }

    /// Returns the session of the other end, and whether `me` answers it for the first time. Nobody but the two of a conversation finds it.
    fn other_end(&mut self, me: Party, peer: &KeyBytes, sess: &Sess, now: Timestamp) -> Option<(Way, bool)> {
        let talk = self.talks.get_mut(sess)?;
        let host = talk.host?;
        let from_host = match (me.device == host.device, me.device == talk.client.device) {
            // A device that talks to itself speaks from two sessions, or from two nodes.
            (true, true) => me.sid == host.sid && me.node == host.node,
            (true, false) => true,
            (false, true) => false,
            (false, false) => return None,
        };
        let other = if from_host { talk.client } else { host };
        if other.device != *peer {
            return None;
        }
        talk.until = now.plus_ms(SESS_MS);
        let answers = from_host && !talk.answered;
        match from_host {
            true if host != me => self.take_host(sess, me),
            false if talk.client != me => self.take_client(sess, me),
            _ => {}
        }
        self.where_is(other).map(|way| (way, answers))
    }

    /// Returns the session a party spoke from last, or its newest if that one ended.
    fn where_is(&self, party: Party) -> Option<Way> {
        if let Some(node) = party.node {
            return Some(Way::There(node));
        }
        if self.sessions.contains_key(&party.sid) {
            return Some(Way::Here(party.sid));
        }
        let sessions = &self.people.get(&party.did)?.sessions;
        let of_device = |sid: &&Sid| self.sessions.get(*sid).is_some_and(|session| session.device == party.device);
        sessions.iter().rev().find(of_device).copied().map(Way::Here)
    }

    fn answered(&mut self, sess: &Sess, now: Timestamp) {
        let Some(talk) = self.talks.get_mut(sess).filter(|talk| !talk.answered) else { return };
        talk.answered = true;
        let (client, host, after_ms) = (talk.client, talk.host, now.ms_since(talk.began));
        self.waits_no_more(client, host);
        self.outputs.push(Output::Count(Metric::Answered { after_ms }));
    }

    fn waits_no_more(&mut self, client: Party, host: Option<Party>) {
        self.count_waiting(Some(client), |session| &mut session.asked, false);
        self.count_waiting(host, |session| &mut session.hosting, false);
    }

    /// Keeps a conversation that one end ended for as long as its last card may need.
    fn soon_over(&mut self, sess: &Sess, now: Timestamp) {
        if let Some(talk) = self.talks.get_mut(sess) {
            talk.until = now.plus_ms(EXPIRED_MS);
            self.timers.set(talk.until, Timer::Forget(*sess));
        }
    }

    /// Tells a client that nobody answered its knock.
    pub(super) fn unanswered(&mut self, sess: &Sess) {
        let Some(talk) = self.talks.get(sess).filter(|talk| !talk.answered) else { return };
        let (client, id) = (talk.client.sid, talk.id);
        self.end_talk(sess);
        self.outputs.push(Output::Count(Metric::Unanswered));
        self.deny(&client, Some(id), Refusal::Unavailable, None, Some(*sess));
    }

    pub(super) fn forget(&mut self, sess: &Sess, now: Timestamp) {
        let Some(talk) = self.talks.get(sess) else { return };
        match talk.until > now {
            true => self.timers.set(talk.until, Timer::Forget(*sess)),
            false => self.end_talk(sess),
        }
    }

    fn end_talk(&mut self, sess: &Sess) {
        if let Some(talk) = self.talks.remove(sess).filter(|talk| !talk.answered) {
            self.waits_no_more(talk.client, talk.host);
        }
    }
}

/// What counts the knocks at a name, and how many: guests have a count of their own.
fn at_name(name: Arc<str>, is_guest: bool) -> (Counter, u32) {
    match is_guest {
        true => (Counter::GuestKnocksAt(name), GUEST_KNOCKS_AT_NAME),
        false => (Counter::KnocksOf(name), KNOCKS_AT_NAME),
    }
}

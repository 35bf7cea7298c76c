//! The allocations of a relay: who has which, to whom each may send, and how much. Pure: datagrams and the time go in, what is to be
//! done comes out (RFC 8656).
//!
//! Memory is bounded by what allocations there may be and what each may have; whoever proves no credentials costs nothing but an answer,
//! and that not often.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use identity::time::Timestamp;

use super::allocation::{Allocation, Spent, life_s, seconds};
use super::integrity::{DeviceTag, Key, Nonces, user};
use super::message::{
    CHANNEL_NUMBER, Class, DATA, EVEN_PORT, LIFETIME, Message, Method, NONCE, REALM, REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT, RESERVATION_TOKEN, USERNAME, Writing, XOR_PEER_ADDRESS,
};
use super::peers::Peers;
use crate::lobby::ice::{Ice, LIFE_S};
use crate::lobby::stun::{Gate, xor_address, xored_address};

/// Devices remembered as gone while credentials of theirs may be about.
const BARRED_MAX: usize = 65_536;

/// What bounds a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Allocations in all.
    pub allocations: usize,
    /// Of one device.
    pub per_device: usize,
    /// What each may pass on in a second, both ways together.
    pub bytes_per_s: u64,
    /// What each may pass on in all; 0 = no limit.
    pub bytes: u64,
}

/// Who asks: the address of ours that it asked, by number, and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Client {
    pub(super) via: usize,
    pub(super) address: SocketAddr,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Tell a client.
    Say { to: Client, bytes: Vec<u8> },
    /// Send from a relayed address to a peer.
    Send { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    /// A relayed address is nobody's any more.
    Close { relayed: SocketAddr },
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) bytes: u64,
    pub(super) dropped: u64,
    pub(super) unauthorized: u64,
    pub(super) forbidden: u64,
    pub(super) quota: u64,
    pub(super) full: u64,
}

/// The allocations.
pub(super) struct Table {
    realm: String,
    quotas: Quotas,
    peers: Peers,
    /// The addresses that relayed addresses have.
    public: Vec<IpAddr>,
    nonces: Nonces,
    gate: Gate,
    allocations: HashMap<Client, Allocation>,
    relayed: HashMap<SocketAddr, Client>,
    barred: VecDeque<(DeviceTag, Timestamp)>,
    pub(super) counts: Counts,
}

/// Why a request is refused.
pub(super) type Refusal = (u16, &'static str);
pub(super) const BAD_REQUEST: Refusal = (400, "Bad Request");
const UNAUTHORIZED: Refusal = (401, "Unauthorized");
const FORBIDDEN: Refusal = (403, "Forbidden");
const MISMATCH: Refusal = (437, "Allocation Mismatch");
const WRONG_CREDENTIALS: Refusal = (441, "Wrong Credentials");
const NO_FAMILY: Refusal = (440, "Address Family not Supported");
const NO_TRANSPORT: Refusal = (442, "Unsupported Transport Protocol");
const OTHER_FAMILY: Refusal = (443, "Peer Address Family Mismatch");
const QUOTA: Refusal = (486, "Allocation Quota Reached");
pub(super) const FULL: Refusal = (508, "Insufficient Capacity");

impl Table {
    pub(super) fn new(realm: String, quotas: Quotas, peers: Peers, public: Vec<IpAddr>, nonces: Nonces) -> Self {
        Self {
            realm,
            quotas,
            peers,
            public,
            nonces,
            gate: Gate::default(),
            allocations: HashMap::new(),
            relayed: HashMap::new(),
            barred: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Takes a datagram of a client. `open` opens a relayed address at one of the public ones, at an
    /// even port if it must be one.
    pub(super) fn datagram(
        &mut self,
        from: Client,
        bytes: &[u8],
        ice: &Ice,
        now: Timestamp,
        open: impl FnOnce(IpAddr, bool) -> Option<SocketAddr>,
    ) -> Vec<Act> {
        if bytes.first().is_some_and(|first| first >> 6 == 1) {
            return self.channel_data(from, bytes, now);
        }
        let Some(message) = Message::read(bytes) else { return Vec::new() };
        match (message.class, message.method) {
            (Class::Indication, Method::Send) => self.indication(from, &message, now),
            (Class::Request, Method::Send | Method::Data) => Vec::new(),
            (Class::Request, _) => self.request(from, &message, ice, now, open),
            _ => Vec::new(),
        }
    }

    /// Takes a datagram that arrived at a relayed address.
    pub(super) fn arrived(&mut self, relayed: SocketAddr, peer: SocketAddr, data: &[u8], now: Timestamp) -> Vec<Act> {
        let Some(client) = self.relayed.get(&relayed).copied() else { return Vec::new() };
        let channel = match self.charge(&client, peer.ip(), data.len(), now) {
            Ok(allocation) => allocation.channel_to(peer, now),
            Err(acts) => return acts,
        };
        let bytes = match channel {
            Some(number) => {
                let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
                [&number.to_be_bytes()[..], &length.to_be_bytes(), data].concat()
            }
            None => {
                // Nobody answers an indication: its number need only differ.
                let mut transaction = [0; 12];
                transaction[..8].copy_from_slice(&self.counts.bytes.to_be_bytes());
                let writing = Writing::indication(&transaction);
                writing.with(XOR_PEER_ADDRESS, &xor_address(peer, &transaction)).with(DATA, data).plain()
            }
        };
        vec![Act::Say { to: client, bytes }]
    }

    /// Ends what was not refreshed.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<Act> {
        while self.barred.front().is_some_and(|(_, until)| *until <= now) {
            self.barred.pop_front();
        }
        self.allocations.values_mut().for_each(|allocation| allocation.expire(now));
        let over = self.allocations.iter().filter(|(_, it)| it.until <= now).map(|(client, _)| *client);
        over.collect::<Vec<_>>().iter().flat_map(|client| self.end(client)).collect()
    }

    /// Ends what a device has, and lets it have no more with the credentials it holds.
    pub(super) fn bar(&mut self, device: DeviceTag, now: Timestamp) -> Vec<Act> {
        if self.barred.len() >= BARRED_MAX {
            self.barred.pop_front();
        }
        self.barred.push_back((device, Timestamp::from_ms(now.as_ms() + LIFE_S * 1_000)));
        let of_device = self.allocations.iter().filter(|(_, it)| it.device == device).map(|(client, _)| *client);
        of_device.collect::<Vec<_>>().iter().flat_map(|client| self.end(client)).collect()
    }

    /// How many allocations there are.
    pub(super) fn len(&self) -> usize {
        self.allocations.len()
    }

    fn request(
        &mut self,
        from: Client,
        message: &Message<'_>,
        ice: &Ice,
        now: Timestamp,
        open: impl FnOnce(IpAddr, bool) -> Option<SocketAddr>,
    ) -> Vec<Act> {
        let (device, key) = match self.asker(from, message, ice, now) {
            Ok(asker) => asker,
            Err((code, why)) => {
                self.counts.unauthorized += u64::from(message.is_signed());
                if !self.gate.admits(from.address.ip(), now.as_s()) {
                    return Vec::new();
                }
                let mut refusal = Writing::refusal(message, code, why);
                if matches!(code, 401 | 438) {
                    let nonce = self.nonces.make(from.address, now);
                    refusal = refusal.with(REALM, self.realm.as_bytes()).with(NONCE, nonce.as_bytes());
                }
                return vec![Act::Say { to: from, bytes: refusal.plain() }];
            }
        };
        let unknown = message.unknown();
        if !unknown.is_empty() {
            let refusal = Writing::refusal(message, 420, "Unknown Attribute").with_unknown(&unknown);
            return vec![Act::Say { to: from, bytes: refusal.signed(&key) }];
        }
        let mut acts = Vec::new();
        let answered = match message.method {
            Method::Allocate => self.allocate(from, device, message, now, open),
            Method::Refresh => self.refresh(from, device, message, now, &mut acts),
            Method::CreatePermission => self.permit(from, device, message, now),
            _ => self.bind(from, device, message, now),
        };
        let bytes = match answered {
            Ok(answer) => answer.signed(&key),
            Err((code, why)) => {
                match code {
                    403 => self.counts.forbidden += 1,
                    486 => self.counts.quota += 1,
                    508 => self.counts.full += 1,
                    _ => {}
                }
                Writing::refusal(message, code, why).signed(&key)
            }
        };
        acts.push(Act::Say { to: from, bytes });
        acts
    }

    /// Returns whose device asks, by its key.
    fn asker(
        &self,
        from: Client,
        message: &Message<'_>,
        ice: &Ice,
        now: Timestamp,
    ) -> Result<(DeviceTag, Key), Refusal> {
        if !message.is_signed() {
            return Err(UNAUTHORIZED);
        }
        let (Some(name), Some(realm), Some(nonce)) = (message.get(USERNAME), message.get(REALM), message.get(NONCE))
        else {
            return Err(BAD_REQUEST);
        };
        if !self.nonces.is_good(nonce, from.address, now) {
            return Err((438, "Stale Nonce"));
        }
        let (name, end, device) = user(name).filter(|_| realm == self.realm.as_bytes()).ok_or(UNAUTHORIZED)?;
        let key = Key::of(name, &self.realm, ice);
        let is_barred = self.barred.iter().any(|(barred, until)| *barred == device && *until > now);
        // What was allocated in time is refreshed beyond it: long connections do not break.
        let is_late = message.method == Method::Allocate && end < now.as_s();
        match message.is_signed_by(&key) && !is_barred && !is_late {
            true => Ok((device, key)),
            false => Err(UNAUTHORIZED),
        }
    }

    fn allocate(
        &mut self,
        from: Client,
        device: DeviceTag,
        message: &Message<'_>,
        now: Timestamp,
        open: impl FnOnce(IpAddr, bool) -> Option<SocketAddr>,
    ) -> Result<Writing, Refusal> {
        if let Some(known) = self.allocations.get(&from) {
            return match known.transaction == message.transaction {
                true => Ok(known.allocated(from, message, now)),
                false => Err(MISMATCH),
            };
        }
        match message.get(REQUESTED_TRANSPORT) {
            Some([17, ..]) => {}
            Some(_) => return Err(NO_TRANSPORT),
            None => return Err(BAD_REQUEST),
        }
        let even = message.get(EVEN_PORT);
        if even.is_some_and(|even| even.first().is_none_or(|next| next >> 7 == 1))
            || message.get(RESERVATION_TOKEN).is_some()
        {
            return Err(FULL); // no ports are kept for later
        }
        let wants_v6 = match message.get(REQUESTED_ADDRESS_FAMILY) {
            None | Some([1, ..]) => false,
            Some([2, ..]) => true,
            Some(_) => return Err(NO_FAMILY),
        };
        let public = self.public.iter().find(|address| address.is_ipv6() == wants_v6).ok_or(NO_FAMILY)?;
        if self.allocations.values().filter(|known| known.device == device).count() >= self.quotas.per_device {
            return Err(QUOTA);
        }
        if self.allocations.len() >= self.quotas.allocations {
            return Err(FULL);
        }
        let relayed = open(*public, even.is_some()).ok_or(FULL)?;
        let allocation = Allocation::new(device, relayed, message, self.quotas.bytes_per_s, now);
        let answer = allocation.allocated(from, message, now);
        self.relayed.insert(relayed, from);
        self.allocations.insert(from, allocation);
        Ok(answer)
    }

    fn refresh(
        &mut self,
        from: Client,
        device: DeviceTag,
        message: &Message<'_>,
        now: Timestamp,
        acts: &mut Vec<Act>,
    ) -> Result<Writing, Refusal> {
        let life = match message.number(LIFETIME) {
            Some(0) => 0,
            _ => life_s(message),
        };
        match self.own(from, device) {
            Ok(allocation) => allocation.refresh(life, now),
            // It is over already, which is what was wanted.
            Err(MISMATCH) if life == 0 => {}
            Err(refusal) => return Err(refusal),
        }
        if life == 0 {
            acts.extend(self.end(&from));
        }
        Ok(Writing::answer(message, Class::Success).with(LIFETIME, &seconds(life)))
    }

    fn permit(
        &mut self,
        from: Client,
        device: DeviceTag,
        message: &Message<'_>,
        now: Timestamp,
    ) -> Result<Writing, Refusal> {
        let relayed = self.own(from, device)?.relayed;
        let peers: Option<Vec<SocketAddr>> =
            message.all(XOR_PEER_ADDRESS).map(|value| xored_address(value, &message.transaction)).collect();
        let peers = peers.filter(|peers| !peers.is_empty()).ok_or(BAD_REQUEST)?;
        peers.iter().try_for_each(|peer| self.may_send(relayed, peer.ip()))?;
        let allocation = self.own(from, device)?;
        peers.iter().try_for_each(|peer| allocation.permit(peer.ip(), now))?;
        Ok(Writing::answer(message, Class::Success))
    }

    fn bind(
        &mut self,
        from: Client,
        device: DeviceTag,
        message: &Message<'_>,
        now: Timestamp,
    ) -> Result<Writing, Refusal> {
        let relayed = self.own(from, device)?.relayed;
        let number = message.number(CHANNEL_NUMBER).map(|number| number >> 16);
        let number = number.and_then(|number| u16::try_from(number).ok()).filter(|it| (0x4000..=0x7ffe).contains(it));
        let peer = message.get(XOR_PEER_ADDRESS).and_then(|value| xored_address(value, &message.transaction));
        let (Some(number), Some(peer)) = (number, peer) else { return Err(BAD_REQUEST) };
        self.may_send(relayed, peer.ip())?;
        self.own(from, device)?.bind(number, peer, now)?;
        Ok(Writing::answer(message, Class::Success))
    }

    /// Passes on what a client sends to a peer by its address.
    fn indication(&mut self, from: Client, message: &Message<'_>, now: Timestamp) -> Vec<Act> {
        let peer = message.get(XOR_PEER_ADDRESS).and_then(|value| xored_address(value, &message.transaction));
        match (peer, message.get(DATA)) {
            (Some(peer), Some(data)) if message.unknown().is_empty() => self.pass(from, peer, data, now),
            _ => Vec::new(),
        }
    }

    /// Passes on what a client sends to a peer by a channel.
    fn channel_data(&mut self, from: Client, bytes: &[u8], now: Timestamp) -> Vec<Act> {
        let Some((head, rest)) = bytes.split_at_checked(4) else { return Vec::new() };
        let (number, length) = (u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[2], head[3]]));
        let Some(data) = rest.get(..usize::from(length)) else { return Vec::new() };
        match self.allocations.get(&from).and_then(|it| it.bound(number, now)) {
            Some(peer) => self.pass(from, peer, data, now),
            None => Vec::new(),
        }
    }

    fn pass(&mut self, from: Client, peer: SocketAddr, data: &[u8], now: Timestamp) -> Vec<Act> {
        let relayed = match self.charge(&from, peer.ip(), data.len(), now) {
            Ok(allocation) => allocation.relayed,
            Err(acts) => return acts,
        };
        match self.public.contains(&peer.ip()) {
            // From one client of ours to another; nothing else of this machine is reached.
            true => self.arrived(peer, relayed, data, now),
            false => vec![Act::Send { from: relayed, to: peer, bytes: data.to_vec() }],
        }
    }

    /// Counts what passes between a client and a peer. Nothing passes to or from an address that is not permitted, or faster than it
    /// may; what passed all that it may ends.
    fn charge(&mut self, client: &Client, peer: IpAddr, bytes: usize, now: Timestamp) -> Result<&Allocation, Vec<Act>> {
        let allocation = self.allocations.get_mut(client).filter(|it| it.permits(peer, now)).ok_or_else(Vec::new)?;
        match allocation.spend(bytes, &self.quotas, now) {
            Spent::Passes => self.counts.bytes += bytes as u64,
            Spent::TooFast => {
                self.counts.dropped += 1;
                return Err(Vec::new());
            }
            Spent::AtEnd => return Err(self.end(client)),
        }
        self.allocations.get(client).ok_or_else(Vec::new)
    }

    fn may_send(&self, relayed: SocketAddr, peer: IpAddr) -> Result<(), Refusal> {
        if relayed.is_ipv4() != peer.is_ipv4() {
            return Err(OTHER_FAMILY);
        }
        match self.public.contains(&peer) || self.peers.may(peer) {
            true => Ok(()),
            false => Err(FORBIDDEN),
        }
    }

    fn own(&mut self, from: Client, device: DeviceTag) -> Result<&mut Allocation, Refusal> {
        match self.allocations.get_mut(&from) {
            None => Err(MISMATCH),
            Some(allocation) if allocation.device != device => Err(WRONG_CREDENTIALS),
            Some(allocation) => Ok(allocation),
        }
    }

    fn end(&mut self, client: &Client) -> Vec<Act> {
        let Some(allocation) = self.allocations.remove(client) else { return Vec::new() };
        self.relayed.remove(&allocation.relayed);
        vec![Act::Close { relayed: allocation.relayed }]
    }
}

#[cfg(test)]
mod tests;

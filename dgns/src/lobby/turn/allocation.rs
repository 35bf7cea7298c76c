//! One allocation: to whom it may send, by which channels, how much and until when (RFC 8656 sections 2, 9 and 12).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use identity::time::Timestamp;

use super::integrity::DeviceTag;
use super::message::{Class, LIFETIME, Message, Writing, XOR_RELAYED_ADDRESS};
use super::table::{BAD_REQUEST, Client, FULL, Quotas, Refusal};
use crate::lobby::stun::{XOR_MAPPED_ADDRESS, xor_address};

/// How long an allocation lives that is not refreshed, and how long one may ask for at most, seconds.
pub(super) const ALLOCATION_S: u64 = 600;
pub(super) const ALLOCATION_MAX_S: u64 = 3_600;

/// How long an address may send, and how long a channel is bound, seconds.
pub(super) const PERMISSION_S: u64 = 300;
pub(super) const CHANNEL_S: u64 = 600;

/// Addresses that one allocation may send to, and its channels: the candidates of another end, twice over.
pub(super) const PERMISSIONS_MAX: usize = 64;
pub(super) const CHANNELS_MAX: usize = 64;

/// What a client was lent.
pub(super) struct Allocation {
    pub(super) device: DeviceTag,
    pub(super) relayed: SocketAddr,
    /// Of the request that made it, which may come again.
    pub(super) transaction: [u8; 12],
    pub(super) until: Timestamp,
    permissions: HashMap<IpAddr, Timestamp>,
    channels: HashMap<u16, (SocketAddr, Timestamp)>,
    /// What may pass now, and when that was so.
    credit: u64,
    counted: Timestamp,
    passed: u64,
}

/// Whether bytes may pass.
pub(super) enum Spent {
    Passes,
    TooFast,
    AtEnd,
}

impl Allocation {
    /// Returns what `request` is lent, with `credit` bytes to begin with.
    pub(super) fn new(
        device: DeviceTag,
        relayed: SocketAddr,
        request: &Message<'_>,
        credit: u64,
        now: Timestamp,
    ) -> Self {
        Self {
            device,
            relayed,
            transaction: request.transaction,
            until: after(now, life_s(request)),
            permissions: HashMap::new(),
            channels: HashMap::new(),
            credit,
            counted: now,
            passed: 0,
        }
    }

    /// Returns the answer to the request that made it.
    pub(super) fn allocated(&self, from: Client, message: &Message<'_>, now: Timestamp) -> Writing {
        let transaction = &message.transaction;
        Writing::answer(message, Class::Success)
            .with(XOR_RELAYED_ADDRESS, &xor_address(self.relayed, transaction))
            .with(LIFETIME, &seconds(self.until.ms_since(now) / 1_000))
            .with(XOR_MAPPED_ADDRESS, &xor_address(from.address, transaction))
    }

    /// Lives that much longer.
    pub(super) fn refresh(&mut self, life_s: u64, now: Timestamp) {
        self.until = after(now, life_s);
    }

    /// Whether an address may send to it, and it to the address.
    pub(super) fn permits(&self, peer: IpAddr, now: Timestamp) -> bool {
        self.permissions.get(&peer).is_some_and(|until| *until > now)
    }

    pub(super) fn permit(&mut self, peer: IpAddr, now: Timestamp) -> Result<(), Refusal> {
        if self.permissions.len() >= PERMISSIONS_MAX && !self.permissions.contains_key(&peer) {
            return Err(FULL);
        }
        self.permissions.insert(peer, after(now, PERMISSION_S));
        Ok(())
    }

    /// Binds a channel, which one peer has alone, to a peer, which has one channel.
    pub(super) fn bind(&mut self, number: u16, peer: SocketAddr, now: Timestamp) -> Result<(), Refusal> {
        let is_other = |(known, (bound, _)): (&u16, &(SocketAddr, Timestamp))| (*known == number) != (*bound == peer);
        if self.channels.iter().any(is_other) {
            return Err(BAD_REQUEST);
        }
        if self.channels.len() >= CHANNELS_MAX && !self.channels.contains_key(&number) {
            return Err(FULL);
        }
        self.permit(peer.ip(), now)?;
        self.channels.insert(number, (peer, after(now, CHANNEL_S)));
        Ok(())
    }

    /// Returns the peer of a channel.
    pub(super) fn bound(&self, number: u16, now: Timestamp) -> Option<SocketAddr> {
        self.channels.get(&number).filter(|(_, until)| *until > now).map(|(peer, _)| *peer)
    }

    /// Returns the channel of a peer.
    pub(super) fn channel_to(&self, peer: SocketAddr, now: Timestamp) -> Option<u16> {
        self.channels.iter().find(|(_, (bound, until))| *bound == peer && *until > now).map(|(number, _)| *number)
    }

    /// Forgets the permissions and channels that are over.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.permissions.retain(|_, until| *until > now);
        self.channels.retain(|_, (_, until)| *until > now);
    }

    /// Says whether so many bytes may pass, and takes them as passed if so.
    pub(super) fn spend(&mut self, bytes: usize, quotas: &Quotas, now: Timestamp) -> Spent {
        let earned = now.ms_since(self.counted).saturating_mul(quotas.bytes_per_s) / 1_000;
        if earned > 0 {
            (self.credit, self.counted) = (self.credit.saturating_add(earned).min(quotas.bytes_per_s), now);
        }
        let bytes = bytes as u64;
        if bytes > self.credit {
            return Spent::TooFast;
        }
        self.credit -= bytes;
        self.passed += bytes;
        if quotas.bytes > 0 && self.passed > quotas.bytes { Spent::AtEnd } else { Spent::Passes }
    }
}

/// Returns for how long a request asks, within what is lent.
pub(super) fn life_s(message: &Message<'_>) -> u64 {
    message.number(LIFETIME).map_or(ALLOCATION_S, u64::from).clamp(ALLOCATION_S, ALLOCATION_MAX_S)
}

/// Returns seconds as an attribute spells them.
pub(super) fn seconds(seconds: u64) -> [u8; 4] {
    u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes()
}

pub(super) fn after(now: Timestamp, seconds: u64) -> Timestamp {
    Timestamp::from_ms(now.as_ms() + seconds * 1_000)
}

//! A record of the zone by itself: what transfers carry and zone files hold.

use super::super::dnssec::TYPE_SOA;

/// A record. They are in the order of owner and type, the SOA before all others of its owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    /// Wire labels below the zone; empty for the zone itself.
    pub(crate) owner: Box<[u8]>,
    pub(crate) rtype: u16,
    pub(crate) ttl_s: u32,
    pub(crate) rdata: Box<[u8]>,
}

impl Record {
    pub(crate) fn new(owner: &[u8], rtype: u16, ttl_s: u32, rdata: &[&[u8]]) -> Self {
        Self { owner: owner.into(), rtype, ttl_s, rdata: rdata.concat().into() }
    }

    /// Returns about how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.owner.len() + self.rdata.len()
    }

    fn rank(&self) -> (bool, &[u8], u16, u32, &[u8]) {
        (self.rtype != TYPE_SOA, &self.owner, self.rtype, self.ttl_s, &self.rdata)
    }
}

impl Ord for Record {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Record {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

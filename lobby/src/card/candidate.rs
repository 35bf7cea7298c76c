//! Candidates: addresses at which a side may be reached, as data and never as lines of text.

use core::net::IpAddr;
use std::fmt;

use identity::wire::{Reader, WireError, Writer};

/// An address over UDP: `[kind, address, port, priority]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it comes from.
    pub kind: CandidateKind,
    /// The address.
    pub address: Address,
    /// The port: 443, or 1024 and above.
    pub port: u16,
    /// What ICE orders by.
    pub priority: u32,
}

/// Where a candidate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CandidateKind {
    /// An address of the machine.
    Host = 0,
    /// What a STUN server saw.
    ServerReflexive = 1,
    /// What the other side saw.
    PeerReflexive = 2,
    /// An address of a relay.
    Relay = 3,
}

/// An address of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A literal.
    Ip(IpAddr),
    /// `<uuid>.local`: a browser's name for an address it keeps to itself.
    Mdns(String),
}

impl CandidateKind {
    const ALL: [Self; 4] = [Self::Host, Self::ServerReflexive, Self::PeerReflexive, Self::Relay];

    /// Returns what SDP calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relay => "relay",
        }
    }

    /// Returns the kind that SDP calls so.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Address {
    /// Reads an IP literal in its one spelling, or `<uuid>.local` in lower case.
    pub fn parse(text: &str) -> Option<Self> {
        match text.parse() {
            // Four numbers without leading zeros: there is no other spelling.
            Ok(address @ IpAddr::V4(_)) => return Some(Self::Ip(address)),
            Ok(address) => return (address.to_string() == text).then_some(Self::Ip(address)),
            Err(_) => {}
        }
        let uuid = text.strip_suffix(".local")?.as_bytes();
        let dashes = [8, 13, 18, 23];
        let is_uuid = uuid.len() == 36
            && uuid.iter().enumerate().all(|(at, byte)| match dashes.contains(&at) {
                true => *byte == b'-',
                false => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
            });
        is_uuid.then(|| Self::Mdns(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Mdns(name) => f.write_str(name),
        }
    }
}

impl Candidate {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(64);
        writer.array(4).uint(self.kind as u64).text(&self.address.to_string());
        writer.uint(self.port.into()).uint(self.priority.into());
        writer.finish()
    }

    /// Reads a candidate.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        reader.array_of(4)?;
        let kind = CandidateKind::ALL[reader.uint_to(3)? as usize];
        let address = Address::parse(reader.text()?).ok_or(WireError::Unexpected)?;
        let port = reader.uint_to(u16::MAX.into())? as u16;
        if port < 1024 && port != 443 {
            return Err(WireError::Unexpected);
        }
        let priority = reader.uint_to(u32::MAX.into())? as u32;
        reader.end()?;
        Ok(Self { kind, address, port, priority })
    }

    /// Returns whether packets may be sent there: no unspecified, multicast or broadcast address, loopback only if `loopback`.
    /// What may not be is skipped and harms nobody.
    pub fn may_be_tried(&self, loopback: bool) -> bool {
        match &self.address {
            Address::Mdns(_) => true,
            Address::Ip(address) => {
                let address = address.to_canonical();
                let nobody = match address {
                    IpAddr::V4(v4) => v4.is_broadcast(),
                    IpAddr::V6(_) => false,
                };
                !(nobody || address.is_unspecified() || address.is_multicast() || address.is_loopback() && !loopback)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(text: &str, loopback: bool) -> bool {
        let address = Address::parse(text).expect(text);
        Candidate { kind: CandidateKind::Host, address, port: 5000, priority: 1 }.may_be_tried(loopback)
    }

    #[test]
    fn addresses_have_one_spelling() {
        for wrong in [
            "",
            "localhost",
            "010.0.0.1",
            "::0001",
            "2001:DB8::1",
            "a.local",
            "5F0C9A77-D1E2-4344-8000-000000000000.local",
        ] {
            assert_eq!(Address::parse(wrong), None, "{wrong}");
        }
        for right in ["10.0.0.1", "2001:db8::1", "5f0c9a77-d1e2-4344-8000-000000000000.local"] {
            assert_eq!(Address::parse(right).map(|address| address.to_string()).as_deref(), Some(right));
        }
    }

    #[test]
    fn nobody_is_sent_to_loopback_or_to_everybody() {
        for never in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:224.0.0.1"] {
            assert!(!tried(never, true), "{never}");
        }
        for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(!tried(own, false) && tried(own, true), "{own}");
        }
        assert!(tried("192.0.2.1", false) && tried("5f0c9a77-d1e2-4344-8000-000000000000.local", false));
    }
}

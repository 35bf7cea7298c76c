//! To whom a relay sends, and from whom it takes: the public Internet and nothing else, unless the operator says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// A range of addresses: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    first: u128,
    bits: u32,
}

impl Range {
    /// Reads `192.0.2.0/24`, `2001:db8::/32` or one address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits: u32 = bits.map_or(Some(most), |bits| bits.parse().ok()).filter(|bits| *bits <= most)?;
        Some(Self { first: number(address), bits: bits + 128 - most })
    }

    fn has(&self, address: IpAddr) -> bool {
        let differs = self.first ^ number(address);
        self.bits == 0 || differs >> (128 - self.bits) == 0
    }
}

/// Where a relay's packets may go.
pub(super) struct Peers {
    allow: Vec<Range>,
    is_own: fn(IpAddr) -> bool,
}

impl Peers {
    /// Returns those of the Internet that are not this machine, and whoever is in `allow`.
    pub(super) fn new(allow: Vec<Range>, is_own: fn(IpAddr) -> bool) -> Self {
        Self { allow, is_own }
    }

    pub(super) fn may(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allow.iter().any(|range| range.has(address)) || is_public(address) && !(self.is_own)(address)
    }
}

/// Returns whether an address is one of this machine: what it sends there comes from there.
pub(super) fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let probe = UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((address, 9)).and(socket.local_addr()));
    // Without a way there, nothing arrives either.
    probe.is_ok_and(|local| local.ip() == address)
}

/// IPv4 as IPv6 maps it, so that one number serves both.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Returns whether an address is in no range that IANA lists as special.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let words = address.segments();
    // What a translator makes IPv4 of.
    if words[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    match words {
        // Teredo, benchmarks, ORCHID, documentation and the other assignments of the IETF; 6to4.
        [0x2001, second, ..] => second >= 0x200 && second != 0xdb8,
        [0x2002, ..] => false,
        [0x3fff, second, ..] => second >= 0x1000,
        [first, ..] => first >> 13 == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_nobody_in_every_spelling() {
        // Goal: nothing of a home, a machine or a cloud's metadata is reached. Method: an address of each range, and IPv4 in each disguise.
        let peers = Peers::new(Vec::new(), |_| false);
        let denied = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for text in denied {
            assert!(!peers.may(text.parse().unwrap()), "{text}");
        }
        for text in [
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2a00::1",
            "2001:4860::1",
            "64:ff9b::808:808",
            "::ffff:8.8.8.8",
        ] {
            assert!(peers.may(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_operator_may_allow_ranges_and_this_machine_is_never_public() {
        let allow = ["10.0.0.0/8", "192.0.2.7", "fd00::/8"].map(|text| Range::parse(text).unwrap()).to_vec();
        let peers = Peers::new(allow, |address| address == IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)));
        for (text, may) in [
            ("10.255.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("11.0.0.1", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("fd12::1", true),
            ("fe80::1", false),
            ("8.8.8.8", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(peers.may(text.parse().unwrap()), may, "{text}");
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0.0/", "10/8", "::/129", "example.org"] {
            assert_eq!(Range::parse(wrong), None, "{wrong}");
        }
        assert!(Range::parse("0.0.0.0/0").unwrap().has("127.0.0.1".parse().unwrap()));
        assert!(Range::parse("::/0").unwrap().has("127.0.0.1".parse().unwrap()));
        assert!(is_own("127.0.0.1".parse().unwrap()));
    }
}

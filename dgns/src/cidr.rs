//! Networks as clients and operators name them: an address and how many of its bits count (RFC 4632, RFC 4291 section 2.3).

use std::fmt;
use std::net::IpAddr;

/// A network: `192.0.2.0/24`, `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Reads a network; `None` if there is no address, or it has not that many bits. IPv4 within IPv6 (`::ffff:192.0.2.0/120`) is IPv4.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let is_number = bits.len() <= 3 && !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
        let bits = bits.parse().ok().filter(|_| is_number)?;
        let (address, bits) = match address.to_canonical() {
            inner @ IpAddr::V4(_) if address.is_ipv6() => (inner, u8::checked_sub(bits, 96)?),
            _ => (address, bits),
        };
        (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some(Self { address, bits })
    }

    /// Whether an address lies in the network.
    pub fn has(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lies_in_a_network_or_not() {
        for (network, address, is_in) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7/32", "192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.6", false),
            ("0.0.0.0/0", "198.51.100.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/33", "2001:db8:ffff::1", false),
            ("::/0", "2001:db8::1", true),
            ("::1/128", "::1", true),
        ] {
            let read = Cidr::parse(network).unwrap();
            assert_eq!(
                (read.has(address.parse().unwrap()), read.to_string()),
                (is_in, network.to_owned()),
                "{address}"
            );
        }
    }

    #[test]
    fn ipv4_within_ipv6_is_ipv4() {
        let read = Cidr::parse("::ffff:192.0.2.0/120").unwrap();
        assert_eq!(read.to_string(), "192.0.2.0/24");
        assert!(read.has("192.0.2.9".parse().unwrap()) && !read.has("192.0.3.9".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "192.0.2.1",
            "/24",
            "192.0.2.0/",
            "192.0.2.0/33",
            "::/129",
            "192.0.2.0/-1",
            "192.0.2.0/+8",
            "a/8",
            "1.2.3.4/256",
            "::/0 ",
            "::ffff:192.0.2.0/95",
            "::ffff:192.0.2.0/129",
        ] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }
}

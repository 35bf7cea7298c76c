//! Who asks, behind the operator's own proxies.

use std::net::{IpAddr, SocketAddr};

use hyper::header::HeaderMap;

use crate::cidr::Cidr;

/// Where each proxy adds whom it was asked by, behind what it was sent.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Returns the address of who asks: the nearest that is no proxy of the operator's. What a client says stands before that, and counts for nothing.
///
/// Port 0 is behind an address that a proxy named. Where a proxy says what is no address, the proxy is who asks.
pub(super) fn client(peer: SocketAddr, headers: &HeaderMap, proxies: &[Cidr]) -> SocketAddr {
    let is_proxy = |address: SocketAddr| proxies.iter().any(|proxy| proxy.has(address.ip()));
    let mut from = peer;
    let said = headers
        .get_all(FORWARDED_FOR)
        .into_iter()
        .rev()
        .flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    for hop in said {
        if !is_proxy(from) {
            break;
        }
        let Some(address) = std::str::from_utf8(hop).ok().and_then(|text| address_of(text.trim())) else { break };
        from = address;
    }
    from
}

/// Reads an address, be it with a port or in brackets.
fn address_of(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().map(|address| SocketAddr::new(address, 0));
    address.or_else(|_| text.parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_the_nearest_that_is_no_proxy_of_the_operators() {
        // Goal: nobody but the operator's proxies says who asks. Method: who connects, what the headers say, and who asks then.
        let proxies = ["127.0.0.0/8", "10.0.0.0/8", "2001:db8::/64"].map(|text| Cidr::parse(text).unwrap());
        for (peer, said, asks) in [
            ("127.0.0.1:9", &[][..], "127.0.0.1"),
            ("127.0.0.1:9", &["192.0.2.7"], "192.0.2.7"),
            ("[::ffff:127.0.0.1]:9", &["192.0.2.7"], "192.0.2.7"),
            ("127.0.0.1:9", &["203.0.113.1, 192.0.2.7"], "192.0.2.7"),
            ("127.0.0.1:9", &["203.0.113.1, 192.0.2.7,10.1.2.3"], "192.0.2.7"),
            ("127.0.0.1:9", &["203.0.113.1", "192.0.2.7", "10.1.2.3"], "192.0.2.7"),
            ("127.0.0.1:9", &["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
            ("198.51.100.1:9", &["192.0.2.7"], "198.51.100.1"),
            ("127.0.0.1:9", &["192.0.2.7:4711"], "192.0.2.7"),
            ("127.0.0.1:9", &["[2001:db8:1::1]"], "2001:db8:1::1"),
            ("127.0.0.1:9", &["[2001:db8:1::1]:443"], "2001:db8:1::1"),
            ("[2001:db8::2]:9", &["2001:db8:1::1"], "2001:db8:1::1"),
            ("127.0.0.1:9", &["192.0.2.7, unknown"], "127.0.0.1"),
            ("127.0.0.1:9", &["192.0.2.7, "], "127.0.0.1"),
            ("127.0.0.1:9", &["192.0.2.7, unknown, 10.0.0.1"], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append(FORWARDED_FOR, value.parse().unwrap());
            }
            let asks: IpAddr = asks.parse().unwrap();
            assert_eq!(client(peer.parse().unwrap(), &headers, &proxies).ip(), asks, "{peer} {said:?}");
        }
    }

    #[test]
    fn without_proxies_nobody_says_for_whom_they_ask() {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, "192.0.2.7".parse().unwrap());
        let peer = "127.0.0.1:9".parse().unwrap();
        assert_eq!(client(peer, &headers, &[]), peer);
    }
}

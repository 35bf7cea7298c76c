//! Addresses that anybody may be sent to: what a user names as a push service must not be a way into the operator's own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Which targets are taken: public ones by https at port 443, and those that the operator names besides, `host:port`.
#[derive(Clone, Debug)]
pub(super) struct PublicOnly {
    allow: Arc<Vec<String>>,
}

impl PublicOnly {
    pub(super) fn new(allow: Vec<String>) -> Self {
        Self { allow: Arc::new(allow) }
    }

    /// Returns whether a URL may be asked, as far as its text says.
    pub(super) fn admits(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
        if self.allow.iter().any(|allowed| *allowed == format!("{host}:{port}")) {
            return true;
        }
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        url.scheme() == "https" && port == 443 && url.username().is_empty() && literal.map_or(true, is_public)
    }

    fn allows_host(&self, host: &str) -> bool {
        self.allow.iter().any(|allowed| allowed.rsplit_once(':').is_some_and(|(allowed, _)| allowed == host))
    }
}

impl Resolve for PublicOnly {
    /// Resolves a name; one private address among several refuses them all, and what was looked at is what is dialled.
    fn resolve(&self, name: Name) -> Resolving {
        let only = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if !only.allows_host(&host) && !found.iter().all(|address| is_public(address.ip())) {
                return Err("an address that is not public".into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Returns whether an address is none of the special-purpose ones that IANA lists, whatever it is wrapped in.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match v6.segments() {
            // NAT64 and 6to4 hold an IPv4 address.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(v4_of(high, low)),
            [0x2002, high, low, ..] => is_public_v4(v4_of(high, low)),
            _ => is_public_v6(v6),
        },
    }
}

fn v4_of(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 31, 196)
            | (192, 52, 193)
            | (192, 175, 48)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special
}

/// Global unicast alone (2000::/3), without Teredo, benchmarking, ORCHID and documentation.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let special = (a == 0x2001 && (b < 0x200 || b == 0x0db8)) || (a == 0x3fff && b < 0x1000);
    (0x2000..0x4000).contains(&a) && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_ones_own_network_are_not_public() {
        for private in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn targets_are_https_and_public_unless_the_operator_names_them() {
        let only = PublicOnly::new(vec!["127.0.0.1:8080".to_owned()]);
        for (url, admitted) in [
            ("https://push.example/x", true),
            ("https://8.8.8.8/x", true),
            ("http://127.0.0.1:8080/x", true),
            ("http://push.example/x", false),
            ("https://push.example:8443/x", false),
            ("https://127.0.0.1/x", false),
            ("https://[::1]/x", false),
            ("https://2130706433/x", false),
            ("https://0x7f.1/x", false),
            ("http://127.0.0.1:8081/x", false),
            ("https://user@push.example/x", false),
            ("ftp://push.example/x", false),
        ] {
            assert_eq!(only.admits(&Url::parse(url).unwrap()), admitted, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_of_a_private_address_is_not_resolved() {
        let resolve = |allow: &str| {
            let only = PublicOnly::new(vec![allow.to_owned()]);
            async move { only.resolve("localhost".parse().unwrap()).await.map(|found| found.count()) }
        };
        assert!(resolve("push.example:443").await.is_err());
        assert!(resolve("localhost:9").await.is_ok_and(|count| count > 0));
    }
}

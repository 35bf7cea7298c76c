//! DNS Cookies: whoever shows one has been answered at the address he sends from (RFC 7873, RFC 9018).
//!
//! A secret serves one day and is made from the root alone, so that it rolls by itself, and several servers that share a root take
//! each other's cookies.

use std::hash::Hasher;
use std::net::IpAddr;

use identity::hash::keyed_hash;
use siphasher::sip::SipHasher24;

/// The bytes of a cookie of a client, and of one of ours.
pub(crate) const CLIENT_BYTES: usize = 8;
pub(crate) const SERVER_BYTES: usize = 16;

const VERSION: u8 = 1;
const DOMAIN: &str = "dgns/dns-cookie/v1";
const DAY_S: u32 = 86_400;

/// How old a cookie may be, from when a fresh one is sent, and how far another server's clock may be ahead (RFC 9018 section 4.3), seconds.
const LIFE_S: u32 = 3_600;
const RENEW_S: u32 = 1_800;
const AHEAD_S: u32 = 300;

/// The cookies of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Presented {
    pub(crate) client: [u8; CLIENT_BYTES],
    /// What the client keeps as ours; `None` if it keeps none, or one of another length, which is not ours.
    pub(crate) server: Option<[u8; SERVER_BYTES]>,
}

/// The secrets of this server.
#[derive(Clone)]
pub struct Cookies {
    root: [u8; 32],
    /// A day and the one before, each with its secret: what nearly every query needs.
    days: [(u32, [u8; 16]); 2],
}

impl Cookies {
    /// Returns the cookies of a server whose root is secret. Servers that answer at one address share it.
    pub fn new(root: [u8; 32]) -> Self {
        let days = [0, 1].map(|day| (day, secret_of(&root, day)));
        Self { root, days }
    }

    /// Makes ready for a time, once a day; it costs less afterwards.
    pub(crate) fn at(&mut self, now_s: u32) {
        let day = now_s / DAY_S;
        if self.days[0].0 != day {
            self.days = [day, day.wrapping_sub(1)].map(|day| (day, secret_of(&self.root, day)));
        }
    }

    /// Returns the cookie a client at `address` gets at `now_s`, and whether the one it showed proves the address.
    pub(crate) fn judge(&self, shown: &Presented, address: IpAddr, now_s: u32) -> ([u8; SERVER_BYTES], bool) {
        let old = shown.server.filter(|server| self.is_ours(&shown.client, server, address, now_s));
        match old {
            Some(old) if now_s.saturating_sub(time_of(&old)) <= RENEW_S => (old, true),
            _ => {
                let start = [VERSION, 0, 0, 0].into_iter().chain(now_s.to_be_bytes());
                (self.made(&shown.client, &collect(start), address), old.is_some())
            }
        }
    }

    fn is_ours(&self, client: &[u8; CLIENT_BYTES], server: &[u8; SERVER_BYTES], address: IpAddr, now_s: u32) -> bool {
        let time_s = time_of(server);
        // Serial number arithmetic: the clock of 32 bits goes round (RFC 9018 section 4.3).
        let age = now_s.wrapping_sub(time_s).cast_signed();
        let is_fresh = (-(AHEAD_S.cast_signed())..=LIFE_S.cast_signed()).contains(&age);
        let start = collect(server[..8].iter().copied());
        server[0] == VERSION && is_fresh && self.made(client, &start, address) == *server
    }

    /// Returns the cookie that begins with `start`.
    fn made(&self, client: &[u8; CLIENT_BYTES], start: &[u8; 8], address: IpAddr) -> [u8; SERVER_BYTES] {
        let day = u32::from_be_bytes([start[4], start[5], start[6], start[7]]) / DAY_S;
        let known = self.days.iter().find(|(known, _)| *known == day);
        let secret = known.map_or_else(|| secret_of(&self.root, day), |(_, secret)| *secret);
        hashed(&secret, client, start, address)
    }
}

/// Returns a server cookie under a secret (RFC 9018 section 4).
fn hashed(secret: &[u8; 16], client: &[u8; CLIENT_BYTES], start: &[u8; 8], address: IpAddr) -> [u8; SERVER_BYTES] {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(client);
    hasher.write(start);
    match address.to_canonical() {
        IpAddr::V4(v4) => hasher.write(&v4.octets()),
        IpAddr::V6(v6) => hasher.write(&v6.octets()),
    }
    collect(start.iter().copied().chain(hasher.finish().to_le_bytes()))
}

fn secret_of(root: &[u8; 32], day: u32) -> [u8; 16] {
    collect(keyed_hash(root, DOMAIN, &[&day.to_be_bytes()]).into_iter())
}

fn time_of(server: &[u8; SERVER_BYTES]) -> u32 {
    u32::from_be_bytes([server[4], server[5], server[6], server[7]])
}

fn collect<const N: usize>(bytes: impl Iterator<Item = u8>) -> [u8; N] {
    let mut array = [0; N];
    array.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    array
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn the_examples_of_rfc_9018_come_out() {
        // RFC 9018 appendix A: secret, client cookie, address, what the cookie begins with, its hash.
        let one = "e5e973e5a6b2a43f48e7dc849e37bfcf";
        let six = "445536bcd2513298075a5d379663c962";
        let before = "dd3bdf9344b678b185a6f5cb60fca715";
        let v6 = "2001:db8:220:1:59de:d0f4:8769:82b8";
        for (secret, client, address, start, hash) in [
            (one, "2464c4abcf10c957", "198.51.100.100", "010000005cf79f11", "1f8130c3eee29480"),
            (one, "2464c4abcf10c957", "198.51.100.100", "010000005cf7a871", "d4a564a1442aca77"),
            (one, "fc93fc62807ddb86", "203.0.113.203", "01abcdef5cf78f71", "a314227b6679ebf5"),
            (one, "fc93fc62807ddb86", "203.0.113.203", "010000005cf7a9ac", "f73a7810aca2381e"),
            (before, "22681ab97d52c298", v6, "010000005cf7c579", "26556bd0934c72f8"),
            (six, "22681ab97d52c298", v6, "010000005cf7c609", "a6bb79d16625507a"),
        ] {
            let made = hashed(&bytes(secret), &bytes(client), &bytes(start), address.parse().unwrap());
            assert_eq!(HEXLOWER.encode(&made), format!("{start}{hash}"));
        }
    }

    #[test]
    fn a_cookie_proves_one_address_for_an_hour_across_midnight() {
        // Goal: who is known by a cookie, and when he gets another. Method: one cookie, made shortly before midnight.
        let mut cookies = Cookies::new([7; 32]);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let made_s = 20_000 * DAY_S - 60;
        cookies.at(made_s);
        let first = Presented { client: [1; 8], server: None };
        let (ours, known) = cookies.judge(&first, address, made_s);
        assert!(!known && time_of(&ours) == made_s);
        let shown = Presented { server: Some(ours), ..first };
        for (now_s, is_known, is_kept) in [
            (made_s, true, true),
            (made_s - AHEAD_S, true, true),
            (made_s - AHEAD_S - 1, false, false),
            (made_s + RENEW_S, true, true),
            (made_s + RENEW_S + 1, true, false),
            (made_s + LIFE_S, true, false),
            (made_s + LIFE_S + 1, false, false),
        ] {
            cookies.at(now_s);
            let (next, known) = cookies.judge(&shown, address, now_s);
            assert_eq!((known, next == ours), (is_known, is_kept), "{} s later", i64::from(now_s) - i64::from(made_s));
        }
        cookies.at(made_s);
        let others = ["192.0.2.2", "2001:db8::1"].map(|text| text.parse().unwrap());
        assert!(others.iter().all(|other| !cookies.judge(&shown, *other, made_s).1), "another address");
        assert!(cookies.judge(&shown, "::ffff:192.0.2.1".parse().unwrap(), made_s).1, "the same, spelt as IPv6");
        assert!(!cookies.judge(&Presented { client: [2; 8], ..shown }, address, made_s).1, "another client");
        for at in 0..SERVER_BYTES {
            let mut bent = ours;
            bent[at] ^= 1;
            assert!(!cookies.judge(&Presented { server: Some(bent), ..first }, address, made_s).1, "byte {at}");
        }
        let mut stranger = Cookies::new([8; 32]);
        stranger.at(made_s);
        assert!(!stranger.judge(&shown, address, made_s).1, "a server with another root");
    }
}

//! Who asks a relay: the credentials that `/v1/lobby` gives, checked without a table; and nonces that are not kept (RFC 8489, 9.2).

use std::net::SocketAddr;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use identity::hash::keyed_hash;
use identity::time::Timestamp;
use sha1::Sha1;
use zeroize::Zeroizing;

use crate::lobby::ice::{Ice, TAG_DIGITS};

/// The bytes of a message's tag.
pub(super) const TAG_BYTES: usize = 20;

/// How long a nonce is good for, seconds; then the client is given another.
const NONCE_LIFE_S: u64 = 3_600;

/// What stands for a device in the user of its credentials.
pub(super) type DeviceTag = [u8; TAG_DIGITS];

/// The key of a user's messages.
pub(super) struct Key(Zeroizing<[u8; 16]>);

impl Key {
    /// Returns the key of a user: `MD5(user ":" realm ":" password)`.
    pub(super) fn of(user: &str, realm: &str, ice: &Ice) -> Self {
        let text = Zeroizing::new(format!("{user}:{realm}:{}", *ice.password(user)));
        Self(Zeroizing::new(md5::compute(text.as_bytes()).0))
    }

    pub(super) fn tag(&self, bytes: &[u8]) -> [u8; TAG_BYTES] {
        self.hmac(bytes).finalize().into_bytes().into()
    }

    pub(super) fn verify(&self, bytes: &[u8], tag: &[u8]) -> bool {
        self.hmac(bytes).verify_slice(tag).is_ok()
    }

    fn hmac(&self, bytes: &[u8]) -> Hmac<Sha1> {
        let mut hmac = Hmac::<Sha1>::new_from_slice(&*self.0).expect("HMAC takes keys of any length");
        hmac.update(bytes);
        hmac
    }
}

/// Reads a user: until when it may allocate, Unix seconds, and what stands for its device.
pub(super) fn user(bytes: &[u8]) -> Option<(&str, u64, DeviceTag)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (end, device) = text.split_once(':')?;
    let is_form = end.len() <= 12 && device.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    Some((text, end.parse().ok().filter(|_| is_form)?, device.as_bytes().try_into().ok()?))
}

/// Makes nonces, and knows its own again: the end of its time, and a tag over it and the client's address.
pub(super) struct Nonces(Zeroizing<[u8; 32]>);

impl Nonces {
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self(Zeroizing::new(secret))
    }

    pub(super) fn make(&self, from: SocketAddr, now: Timestamp) -> String {
        self.of(from, now.as_s() + NONCE_LIFE_S)
    }

    pub(super) fn is_good(&self, nonce: &[u8], from: SocketAddr, now: Timestamp) -> bool {
        let end = std::str::from_utf8(nonce).ok().and_then(|text| u64::from_str_radix(text.get(..10)?, 16).ok());
        end.is_some_and(|end| end >= now.as_s() && self.of(from, end).as_bytes() == nonce)
    }

    fn of(&self, from: SocketAddr, end: u64) -> String {
        let tag = keyed_hash(&self.0, "dgns/turn-nonce/v1", &[&end.to_be_bytes(), from.to_string().as_bytes()]);
        format!("{end:010x}{}", HEXLOWER.encode(&tag[..10]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_for_its_client_and_time() {
        let nonces = Nonces::new([7; 32]);
        let (one, other) = ("192.0.2.1:5".parse().unwrap(), "192.0.2.1:6".parse().unwrap());
        let now = Timestamp::from_ms(1_700_000_000_000);
        let later = Timestamp::from_ms(now.as_ms() + (NONCE_LIFE_S + 1) * 1_000);
        let nonce = nonces.make(one, now);
        assert!(nonces.is_good(nonce.as_bytes(), one, now));
        assert!(!nonces.is_good(nonce.as_bytes(), other, now) && !nonces.is_good(nonce.as_bytes(), one, later));
        assert!(!Nonces::new([8; 32]).is_good(nonce.as_bytes(), one, now));
        for wrong in ["", "zz", "ffffffffff", &nonce[1..], "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"] {
            assert!(!nonces.is_good(wrong.as_bytes(), one, now), "{wrong}");
        }
    }

    #[test]
    fn a_user_is_a_time_and_sixteen_digits() {
        assert_eq!(
            user(b"1700000600:0123456789abcdef"),
            Some(("1700000600:0123456789abcdef", 1_700_000_600, *b"0123456789abcdef"))
        );
        for wrong in
            ["", "1700000600", "1700000600:", ":0123456789abcdef", "1700000600:0123456789ABCDEF", "-1:0123456789abcdef"]
        {
            assert_eq!(user(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(user(&[0xff; 30]), None);
    }
}

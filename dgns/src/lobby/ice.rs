//! Where clients of the lobby gather candidates: this server's STUN, and relays of others with credentials made here.
//!
//! The credentials are those of "TURN REST": a relay such as coturn (`use-auth-secret`) shares a secret with this server and checks them by
//! itself. They name no person: the user is the end of their time and a hash of the device under the secret.

use std::path::Path;

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use identity::cert::KeyBytes;
use identity::hash::keyed_hash;
use identity::time::Timestamp;
use lobby::message::{IceServer, Value};
use sha1::Sha1;
use zeroize::Zeroizing;

/// How long credentials are good for, seconds: an allocation that was made with them lives on.
pub(super) const LIFE_S: u64 = 600;

/// The digits that stand for a device in a user.
pub(super) const TAG_DIGITS: usize = 16;

/// The least bytes of a secret.
const SECRET_BYTES_MIN: usize = 16;

/// What clients are told.
pub struct Ice {
    stun: Vec<String>,
    relays: Vec<String>,
    secret: Zeroizing<Vec<u8>>,
}

impl Ice {
    /// Returns what clients are told: STUN URLs, and relays that share `secret`.
    pub fn new(stun: Vec<String>, relays: Vec<String>, secret: Vec<u8>) -> Self {
        Self { stun, relays, secret: Zeroizing::new(secret) }
    }

    /// Reads the secret that the relays share: the first line of a file, at least 16 bytes.
    pub fn read_secret(path: &Path) -> std::io::Result<Vec<u8>> {
        let text = Zeroizing::new(std::fs::read_to_string(path)?);
        let line = text.lines().next().unwrap_or("").trim();
        match line.len() >= SECRET_BYTES_MIN {
            true => Ok(line.as_bytes().to_vec()),
            false => Err(std::io::Error::other("the first line is the secret, of at least 16 bytes")),
        }
    }

    /// Returns the servers for a device, and for how many seconds.
    pub fn servers(&self, device: &KeyBytes, now: Timestamp) -> (Vec<IceServer>, u64) {
        let mut servers = Vec::with_capacity(2);
        if !self.stun.is_empty() {
            servers.push(IceServer { urls: self.stun.clone(), ..IceServer::default() });
        }
        if !self.relays.is_empty() {
            let (user, credential) = self.credential(device, now);
            servers.push(IceServer { urls: self.relays.clone(), user, credential });
        }
        (servers, LIFE_S)
    }

    /// Returns those of them that cost nothing, and for how many seconds.
    pub fn without_relays(&self) -> (Vec<IceServer>, u64) {
        let stun = IceServer { urls: self.stun.clone(), ..IceServer::default() };
        (if self.stun.is_empty() { Vec::new() } else { vec![stun] }, LIFE_S)
    }

    /// Returns them as the value of an `ok`.
    pub fn value(&self, device: &KeyBytes, now: Timestamp) -> Value<'static> {
        let (servers, life_s) = self.servers(device, now);
        let servers = servers.iter().map(|server| server.to_value().into_owned()).collect();
        Value::List(vec![Value::List(servers), Value::Uint(life_s)])
    }

    /// Returns what stands for a device: a hash under the secret.
    pub(super) fn tag(&self, device: &KeyBytes) -> [u8; TAG_DIGITS] {
        let mut key = [0; 32];
        for (at, byte) in self.secret.iter().enumerate() {
            key[at % 32] ^= byte;
        }
        let hash = keyed_hash(&key, "dgns/turn/v1", &[device]);
        let mut digits = [0; TAG_DIGITS];
        HEXLOWER.encode_mut(&hash[..TAG_DIGITS / 2], &mut digits);
        digits
    }

    /// Returns the password of a user: `base64(HMAC-SHA1(secret, user))`.
    pub(super) fn password(&self, user: &str) -> Zeroizing<String> {
        let mut hmac = Hmac::<Sha1>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        hmac.update(user.as_bytes());
        let tag: [u8; 20] = hmac.finalize().into_bytes().into();
        Zeroizing::new(BASE64.encode(&tag))
    }

    /// `<end>:<hash of the device>`, and its password.
    fn credential(&self, device: &KeyBytes, now: Timestamp) -> (String, String) {
        let tag = self.tag(device);
        let user = format!("{}:{}", now.as_s() + LIFE_S, String::from_utf8_lossy(&tag));
        let password = self.password(&user).to_string();
        (user, password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_that_coturn_makes() {
        // Goal: the form of TURN REST. Method: HMAC-SHA1 of RFC 2202's second test through the same path, and the parts of a user.
        let mut hmac = Hmac::<Sha1>::new_from_slice(b"Jefe").unwrap();
        hmac.update(b"what do ya want for nothing?");
        let expected = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79";
        let tag: [u8; 20] = hmac.finalize().into_bytes().into();
        assert_eq!(HEXLOWER.encode(&tag), expected);
        let ice = Ice::new(vec!["stun:id.example:3478".to_owned()], vec!["turn:relay.example".to_owned()], vec![7; 20]);
        let (servers, life_s) = ice.servers(&[1; 32], Timestamp::from_ms(1_700_000_000_000));
        assert_eq!((servers.len(), life_s, servers[0].user.as_str()), (2, 600, ""));
        let (end, device) = servers[1].user.split_once(':').unwrap();
        assert_eq!((end, device.len()), ("1700000600", 16));
        assert_eq!(BASE64.decode(servers[1].credential.as_bytes()).unwrap().len(), 20);
        let (other, _) = ice.servers(&[2; 32], Timestamp::from_ms(1_700_000_000_000));
        assert_ne!(other[1].user, servers[1].user);
        assert_eq!(ice.without_relays(), (vec![servers[0].clone()], 600));
    }

    #[test]
    fn a_secret_is_a_line_of_sixteen_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "short\n").unwrap();
        assert!(Ice::read_secret(&path).is_err());
        std::fs::write(&path, "0123456789abcdef\nmore\n").unwrap();
        assert_eq!(Ice::read_secret(&path).unwrap(), b"0123456789abcdef");
    }
}

//! STUN, and of it one thing: what address a client comes from (RFC 8489, Binding). The lobby's clients gather candidates with it.
//!
//! A request makes one answer of about its own size, and more than a few a second from one place make none, so that nobody is worth
//! being impersonated here.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lobby::Network;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tracing::warn;

use super::network_of;
use super::turn::{DATAGRAM_BYTES_MAX, Relay};
use crate::clock::Clock;
use crate::shutdown;

/// Answers in a second to one IPv4 address or /64.
const ANSWERS_PER_S: u32 = 20;

/// Places counted in a second; beyond it nobody new is answered until the next.
const PLACES_MAX: usize = 65_536;

/// The bytes of a request that is looked at: what fits any path unbroken.
const REQUEST_BYTES_MAX: usize = 548;

pub(super) const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_ANSWER: u16 = 0x0101;
const BINDING_REFUSED: u16 = 0x0111;
pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
pub(super) const ERROR_CODE: u16 = 0x0009;
pub(super) const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
pub(super) const FINGERPRINT: u16 = 0x8028;
/// What a request may carry that must be understood: USERNAME, MESSAGE-INTEGRITY and its SHA-256, PRIORITY, USE-CANDIDATE.
const UNDERSTOOD: [u16; 5] = [0x0006, 0x0008, 0x001c, 0x0024, 0x0025];

/// Answers on a socket until `stop` turns true. What is no Binding is for the relay, if there is one, which knows the socket by a number.
pub async fn serve(
    socket: Arc<UdpSocket>,
    clock: Clock,
    relay: Option<(usize, Arc<Relay>)>,
    mut stop: watch::Receiver<bool>,
) {
    let mut gate = Gate::default();
    let mut buffer = [0; DATAGRAM_BYTES_MAX + 1];
    loop {
        let received = tokio::select! {
            () = shutdown::requested(&mut stop) => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let (length, from) = match received {
            Ok(received) => received,
            Err(error) => {
                // On some systems an earlier answer that could not be delivered is told here.
                warn!(%error, "stun: receiving failed");
                continue;
            }
        };
        match (answer(&buffer[..length], from), &relay) {
            (Some(answer), _) => {
                if gate.admits(from.ip(), clock.now().as_s()) {
                    let _ = socket.send_to(&answer, from).await;
                }
            }
            (None, Some((via, relay))) if length <= DATAGRAM_BYTES_MAX => relay.datagram(*via, from, &buffer[..length]),
            (None, _) => {}
        }
    }
}

/// Returns the answer to a datagram; `None` for whatever is no Binding request.
fn answer(request: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let (head, attributes) = request.split_at_checked(20)?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let is_binding = u16::from_be_bytes([head[0], head[1]]) == BINDING_REQUEST && head[4..8] == MAGIC;
    if !is_binding || length != attributes.len() || !length.is_multiple_of(4) || request.len() > REQUEST_BYTES_MAX {
        return None;
    }
    let transaction = &head[8..20];
    let (mut unknown, mut fingerprint) = (Vec::new(), false);
    let mut rest = attributes;
    while !rest.is_empty() {
        let (kind, value, after) = attribute(rest)?;
        if fingerprint {
            return None; // nothing follows a fingerprint
        }
        if kind == FINGERPRINT {
            let signed = &request[..request.len() - rest.len()];
            fingerprint = value == (crc32(signed) ^ FINGERPRINT_MASK).to_be_bytes();
            if !fingerprint {
                return None;
            }
        } else if kind < 0x8000 && !UNDERSTOOD.contains(&kind) {
            unknown.extend_from_slice(&kind.to_be_bytes());
        }
        rest = after;
    }
    let (kind, mut body) = match unknown.is_empty() {
        true => (BINDING_ANSWER, encoded(XOR_MAPPED_ADDRESS, &xor_address(from, transaction))),
        false => {
            let refused = encoded(ERROR_CODE, b"\0\0\x04\x14Unknown Attribute");
            (BINDING_REFUSED, [refused, encoded(UNKNOWN_ATTRIBUTES, &unknown)].concat())
        }
    };
    let length = body.len() + if fingerprint { 8 } else { 0 };
    let length = u16::try_from(length).ok()?.to_be_bytes();
    let mut answer = [&kind.to_be_bytes()[..], &length, &MAGIC, transaction].concat();
    answer.append(&mut body);
    if fingerprint {
        let crc = crc32(&answer) ^ FINGERPRINT_MASK;
        answer.extend_from_slice(&encoded(FINGERPRINT, &crc.to_be_bytes()));
    }
    Some(answer)
}

/// Reads an attribute: its type, its value, and what follows.
pub(super) fn attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(4)?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let (padded, after) = rest.split_at_checked(length.next_multiple_of(4))?;
    Some((u16::from_be_bytes([head[0], head[1]]), &padded[..length], after))
}

pub(super) fn encoded(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("values here have a few bytes").to_be_bytes();
    let mut bytes = [&kind.to_be_bytes()[..], &length, value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The address, hidden from translators that would change it.
pub(super) fn xor_address(from: SocketAddr, transaction: &[u8]) -> Vec<u8> {
    let key = [&MAGIC[..], transaction].concat();
    let port = from.port() ^ u16::from_be_bytes([MAGIC[0], MAGIC[1]]);
    let (family, address) = match from.ip().to_canonical() {
        IpAddr::V4(v4) => (1, v4.octets().to_vec()),
        IpAddr::V6(v6) => (2, v6.octets().to_vec()),
    };
    let hidden = address.iter().zip(&key).map(|(byte, key)| byte ^ key);
    [0, family].into_iter().chain(port.to_be_bytes()).chain(hidden).collect()
}

/// Returns the address that [`xor_address`] hid.
pub(super) fn xored_address(hidden: &[u8], transaction: &[u8]) -> Option<SocketAddr> {
    let ([0, family, port @ ..], address) =
        hidden.split_at_checked(4).and_then(|(head, rest)| Some((<&[u8; 4]>::try_from(head).ok()?, rest)))?
    else {
        return None;
    };
    let key = [&MAGIC[..], transaction].concat();
    let port = u16::from_be_bytes(*port) ^ u16::from_be_bytes([MAGIC[0], MAGIC[1]]);
    let shown: Vec<u8> = address.iter().zip(&key).map(|(byte, key)| byte ^ key).collect();
    let address = match family {
        1 => IpAddr::from(<[u8; 4]>::try_from(shown.as_slice()).ok().filter(|_| address.len() == 4)?),
        2 => IpAddr::from(<[u8; 16]>::try_from(shown.as_slice()).ok().filter(|_| address.len() == 16)?),
        _ => return None,
    };
    Some(SocketAddr::new(address.to_canonical(), port))
}

/// What a fingerprint's checksum is combined with, so that it is no other protocol's.
pub(super) const FINGERPRINT_MASK: u32 = 0x5354_554e;

/// The CRC-32 of Ethernet and zip.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// How often each place was answered in this second.
#[derive(Debug, Default)]
pub(super) struct Gate {
    second: u64,
    answers: HashMap<Network, u32>,
}

impl Gate {
    pub(super) fn admits(&mut self, from: IpAddr, now_s: u64) -> bool {
        if self.second != now_s {
            (self.second, self.answers) = (now_s, HashMap::new());
        }
        let place = network_of(from);
        if self.answers.len() >= PLACES_MAX && !self.answers.contains_key(&place) {
            return false;
        }
        let answers = self.answers.entry(place).or_default();
        *answers += 1;
        *answers <= ANSWERS_PER_S
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        data_encoding::HEXLOWER_PERMISSIVE.decode(text.replace([' ', '\n'], "").as_bytes()).unwrap()
    }

    /// The request of RFC 5769, 2.1, with its software name, priority, role, user name, integrity and fingerprint.
    fn published() -> Vec<u8> {
        unhex(
            "000100582112a442b7e7a701bc34d686fa87dfae 80220010 5354554e207465737420636c69656e74
             00240004 6e0001ff 80290008 932ff9b151263b36 00060009 6576746a3a68367659202020
             00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004 e57a3bcf",
        )
    }

    #[test]
    fn the_published_request_is_answered_with_its_address() {
        // Goal: the address arrives as RFC 5769, 2.2 and 2.3 hide it. Method: their addresses and transaction; a fingerprint that is checked.
        let transaction = unhex("b7e7a701bc34d686fa87dfae");
        for (from, hidden) in [
            ("192.0.2.1:32853", "0001a147e112a643"),
            ("[2001:db8:1234:5678:11:2233:4455:6677]:32853", "0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"),
        ] {
            let answer = answer(&published(), from.parse().unwrap()).unwrap();
            let hidden = unhex(hidden);
            assert_eq!(answer[..2], [1, 1]);
            assert_eq!(answer[8..20], transaction);
            assert_eq!(answer[20..24], [&[0, 0x20, 0][..], &[hidden.len() as u8]].concat());
            assert_eq!(answer[24..24 + hidden.len()], hidden);
            let (signed, fingerprint) = answer.split_at(answer.len() - 8);
            assert_eq!(fingerprint[4..], (crc32(signed) ^ FINGERPRINT_MASK).to_be_bytes());
        }
    }

    #[test]
    fn whatever_is_no_request_is_not_answered() {
        // Goal: no flipped bit of head or checksum, no length and no other protocol makes an answer. Method: each, and every prefix.
        let from = "192.0.2.1:5000".parse().unwrap();
        let request = published();
        for at in 0..request.len() {
            assert_eq!(answer(&request[..at], from), None, "{at} bytes");
            let mut flipped = request.clone();
            flipped[at] ^= 1;
            // With another type it is no fingerprint, but something that need not be understood.
            let is_type = (request.len() - 8..request.len() - 6).contains(&at);
            assert_eq!(answer(&flipped, from).is_some(), is_type, "byte {at}");
        }
        assert_eq!(answer(&[0; 20], from), None);
        assert_eq!(answer(&vec![0; 2_000], from), None);
        let bare = [&[0, 1, 0, 0][..], &MAGIC, &[7; 12]].concat();
        assert_eq!(answer(&bare, from).map(|answer| answer.len()), Some(32), "a bare request has a bare answer");
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_named() {
        let attributes = [encoded(0x0003, &[0, 0, 0, 6]), encoded(0xc001, b"x")].concat();
        let length = (attributes.len() as u16).to_be_bytes();
        let request = [&[0, 1][..], &length, &MAGIC, &[7; 12], &attributes].concat();
        let answer = answer(&request, "192.0.2.1:5000".parse().unwrap()).unwrap();
        assert_eq!(answer[..2], [1, 0x11]);
        let (kind, value, rest) = attribute(&answer[20..]).unwrap();
        assert_eq!((kind, &value[2..4]), (ERROR_CODE, &[4, 20][..]));
        assert_eq!(attribute(rest).unwrap(), (UNKNOWN_ATTRIBUTES, &[0, 3][..], &[][..]));
    }

    #[test]
    fn one_place_gets_twenty_answers_a_second() {
        let mut gate = Gate::default();
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!((0..30).filter(|_| gate.admits(one, 5)).count(), 20);
        assert!(gate.admits(other, 5) && gate.admits(one, 6));
    }
}

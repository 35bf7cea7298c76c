//! The table alone: datagrams in, acts out, a clock that is set.

use super::*;
use crate::lobby::turn::allocation::*;
use crate::lobby::turn::integrity::TAG_BYTES;
use crate::lobby::turn::peers::Range;

const NOW: Timestamp = Timestamp::from_ms(1_700_000_000_000);
const REALM_OF_TESTS: &str = "dgns.test";

struct Scene {
    table: Table,
    ice: Ice,
    now: Timestamp,
    ports: u16,
    transactions: u8,
}

fn client(port: u16) -> Client {
    Client { via: 0, address: SocketAddr::new("198.51.100.9".parse().unwrap(), port) }
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A message as a client writes it.
fn message(kind: u16, transaction: u8, attributes: &[(u16, Vec<u8>)], key: Option<&Key>) -> Vec<u8> {
    use crate::lobby::stun::{MAGIC, encoded};
    let mut bytes = [&kind.to_be_bytes()[..], &[0, 0], &MAGIC, &[transaction; 12]].concat();
    attributes.iter().for_each(|(kind, value)| bytes.extend(encoded(*kind, value)));
    let length = |bytes: &mut Vec<u8>, more: usize| {
        let length = (bytes.len() - 20 + more) as u16;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
    };
    if let Some(key) = key {
        length(&mut bytes, TAG_BYTES + 4);
        let tag = key.tag(&bytes);
        bytes.extend(encoded(8, &tag));
    }
    length(&mut bytes, 0);
    bytes
}

impl Scene {
    fn new(change: impl FnOnce(&mut Quotas)) -> Self {
        let mut quotas = Quotas { allocations: 4, per_device: 2, bytes_per_s: 1_000, bytes: 5_000 };
        change(&mut quotas);
        let peers = Peers::new(vec![Range::parse("192.0.2.0/24").unwrap()], |_| false);
        let public = vec!["203.0.113.5".parse().unwrap()];
        let table = Table::new(REALM_OF_TESTS.to_owned(), quotas, peers, public, Nonces::new([1; 32]));
        Self { table, ice: Ice::new(vec![], vec![], vec![7; 20]), now: NOW, ports: 50_000, transactions: 0 }
    }

    fn user(&self, device: u8) -> String {
        format!("{}:{:0>16x}", NOW.as_s() + LIFE_S, device)
    }

    fn put(&mut self, from: Client, bytes: &[u8]) -> Vec<Act> {
        let ports = &mut self.ports;
        self.table.datagram(from, bytes, &self.ice, self.now, |public, even| {
            *ports += if even { 2 - *ports % 2 } else { 1 };
            Some(SocketAddr::new(public, *ports))
        })
    }

    /// Asks as a device; returns the answer's type and, of a refusal, its code.
    fn ask(&mut self, from: Client, device: u8, kind: u16, attributes: &[(u16, Vec<u8>)]) -> (u16, u16) {
        self.transactions += 1;
        let (user, transaction) = (self.user(device), self.transactions);
        let key = Key::of(&user, REALM_OF_TESTS, &self.ice);
        let nonce = self.table.nonces.make(from.address, self.now).into_bytes();
        let mut all = vec![(USERNAME, user.into_bytes()), (REALM, REALM_OF_TESTS.into()), (NONCE, nonce)];
        all.extend_from_slice(attributes);
        let acts = self.put(from, &message(kind, transaction, &all, Some(&key)));
        said(&acts).expect("a request is answered")
    }

    fn allocate(&mut self, from: Client, device: u8) -> (u16, u16) {
        self.ask(from, device, 3, &[(REQUESTED_TRANSPORT, vec![17, 0, 0, 0])])
    }

    fn permit(&mut self, from: Client, device: u8, peer: &str) -> (u16, u16) {
        let transaction = [self.transactions + 1; 12];
        self.ask(from, device, 8, &[(XOR_PEER_ADDRESS, xor_address(at(peer), &transaction))])
    }

    fn bind(&mut self, from: Client, device: u8, number: u16, peer: &str) -> (u16, u16) {
        let transaction = [self.transactions + 1; 12];
        let number = [&number.to_be_bytes()[..], &[0, 0]].concat();
        self.ask(from, device, 9, &[(CHANNEL_NUMBER, number), (XOR_PEER_ADDRESS, xor_address(at(peer), &transaction))])
    }
}

/// The type of what is said, and the code of a refusal.
fn said(acts: &[Act]) -> Option<(u16, u16)> {
    acts.iter().find_map(|act| {
        let Act::Say { bytes, .. } = act else { return None };
        let kind = u16::from_be_bytes([bytes[0], bytes[1]]);
        let code = if kind & 0x0110 == 0x0110 { u16::from(bytes[26]) * 100 + u16::from(bytes[27]) } else { 0 };
        Some((kind, code))
    })
}

fn send_to(peer: &str, data: &[u8]) -> Vec<u8> {
    message(0x16, 9, &[(XOR_PEER_ADDRESS, xor_address(at(peer), &[9; 12])), (DATA, data.to_vec())], None)
}

#[test]
fn an_allocation_passes_on_to_whom_it_permits_and_to_nobody_else() {
    // Goal: both ways by indication and by channel; nothing without permission. Method: one client, one peer of the laboratory, one stranger.
    let mut scene = Scene::new(|_| {});
    let from = client(1);
    assert_eq!(scene.allocate(from, 1), (0x103, 0));
    let relayed = at("203.0.113.5:50001");
    assert_eq!(scene.put(from, &send_to("192.0.2.1:9", b"x")), [], "nobody is permitted yet");
    assert_eq!(scene.table.arrived(relayed, at("192.0.2.1:9"), b"x", NOW), []);
    assert_eq!(scene.permit(from, 1, "192.0.2.1:1"), (0x108, 0));
    let sent = Act::Send { from: relayed, to: at("192.0.2.1:9"), bytes: b"x".to_vec() };
    assert_eq!(scene.put(from, &send_to("192.0.2.1:9", b"x")), [sent], "every port of it");
    let acts = scene.table.arrived(relayed, at("192.0.2.1:9"), b"hello", NOW);
    assert_eq!(said(&acts), Some((0x17, 0)));
    assert_eq!(scene.table.arrived(relayed, at("192.0.2.2:9"), b"x", NOW), [], "a stranger");
    assert_eq!(scene.bind(from, 1, 0x4001, "192.0.2.1:9"), (0x109, 0));
    let sent = Act::Send { from: relayed, to: at("192.0.2.1:9"), bytes: b"abc".to_vec() };
    assert_eq!(scene.put(from, b"\x40\x01\x00\x03abc\0"), [sent]);
    let acts = scene.table.arrived(relayed, at("192.0.2.1:9"), b"hello", NOW);
    assert_eq!(acts, [Act::Say { to: from, bytes: b"\x40\x01\x00\x05hello".to_vec() }]);
    for wrong in [&b"\x40\x02\x00\x01a"[..], b"\x40\x01\x00\x05a", b"\x40\x01", b"\x40", b"\x7f\xff\0\0"] {
        assert_eq!(scene.put(from, wrong), []);
    }
    assert_eq!(scene.put(client(2), b"\x40\x01\x00\x03abc\0"), [], "another client's channel");
    scene.now = after(NOW, PERMISSION_S + 1);
    assert_eq!(scene.put(from, b"\x40\x01\x00\x03abc\0"), [], "a permission ends");
}

#[test]
fn two_clients_of_the_relay_meet_inside_it_and_reach_nothing_else_of_the_machine() {
    let mut scene = Scene::new(|_| {});
    let (one, other) = (client(1), client(2));
    assert_eq!((scene.allocate(one, 1), scene.allocate(other, 2)), ((0x103, 0), (0x103, 0)));
    assert_eq!(scene.permit(one, 1, "203.0.113.5:1"), (0x108, 0));
    assert_eq!(scene.put(one, &send_to("203.0.113.5:50002", b"x")), [], "the other does not permit it yet");
    assert_eq!(scene.permit(other, 2, "203.0.113.5:50001"), (0x108, 0));
    assert_eq!(said(&scene.put(one, &send_to("203.0.113.5:50002", b"x"))), Some((0x17, 0)));
    assert_eq!(scene.put(one, &send_to("203.0.113.5:22", b"x")), [], "no socket of this machine");
}

#[test]
fn nobody_is_relayed_without_credentials_that_hold() {
    let mut scene = Scene::new(|_| {});
    let (from, transport) = (client(1), (REQUESTED_TRANSPORT, vec![17, 0, 0, 0]));
    let first = scene.put(from, &message(3, 1, std::slice::from_ref(&transport), None));
    assert_eq!(said(&first), Some((0x113, 401)));
    let user = scene.user(1);
    let nonce = scene.table.nonces.make(from.address, NOW).into_bytes();
    let right = vec![(USERNAME, user.clone().into_bytes()), (REALM, REALM_OF_TESTS.into()), (NONCE, nonce), transport];
    let key = Key::of(&user, REALM_OF_TESTS, &scene.ice);
    let changed = |at: usize, value: &[u8]| {
        let mut attributes = right.clone();
        attributes[at].1 = value.to_vec();
        attributes
    };
    let late = format!("{}:0123456789abcdef", NOW.as_s() - 1);
    let late_key = Key::of(&late, REALM_OF_TESTS, &scene.ice);
    let foreign = Key::of(&user, REALM_OF_TESTS, &Ice::new(vec![], vec![], vec![8; 20]));
    for (attributes, key, code) in [
        (right.clone(), &foreign, 401),
        (changed(0, b"1700000600:ffffffffffffffff"), &key, 401),
        (changed(0, b"alice"), &key, 401),
        (changed(0, late.as_bytes()), &late_key, 401),
        (changed(1, b"elsewhere"), &key, 401),
        (changed(2, b"made up"), &key, 438),
        (right[1..].to_vec(), &key, 400),
    ] {
        let acts = scene.put(from, &message(3, 2, &attributes, Some(key)));
        assert_eq!(said(&acts), Some((0x113, code)), "{attributes:?}");
    }
    assert_eq!(scene.table.len(), 0);
    assert_eq!(said(&scene.put(from, &message(3, 3, &right, Some(&key)))), Some((0x103, 0)));
    assert_eq!(said(&scene.put(from, &message(3, 3, &right, Some(&key)))), Some((0x103, 0)), "the same again");
    assert_eq!(said(&scene.put(from, &message(3, 4, &right, Some(&key)))), Some((0x113, 437)));
    let answers = (0..100).filter(|_| !scene.put(client(7), &message(3, 1, &[], None)).is_empty()).count();
    assert!(answers <= 20, "{answers}: no more than that a second to one place");
}

#[test]
fn peers_are_denied_unless_they_are_public_or_allowed() {
    let mut scene = Scene::new(|_| {});
    let from = client(1);
    scene.allocate(from, 1);
    for peer in ["127.0.0.1:22", "10.0.0.1:80", "169.254.169.254:80", "224.0.0.1:5353", "0.0.0.0:1"] {
        assert_eq!(scene.permit(from, 1, peer), (0x118, 403), "{peer}");
        assert_eq!(scene.bind(from, 1, 0x4000, peer), (0x119, 403), "{peer}");
        assert_eq!(scene.put(from, &send_to(peer, b"x")), []);
    }
    assert_eq!(scene.permit(from, 1, "[2a00::1]:1"), (0x118, 443));
    assert_eq!(scene.permit(from, 1, "[::ffff:127.0.0.1]:1"), (0x118, 403), "the same in another spelling");
    assert_eq!(scene.table.counts.forbidden, 11);
}

#[test]
fn requests_that_make_no_sense_change_nothing() {
    let mut scene = Scene::new(|_| {});
    let from = client(1);
    assert_eq!(scene.ask(from, 1, 3, &[]), (0x113, 400), "no transport");
    assert_eq!(scene.ask(from, 1, 3, &[(REQUESTED_TRANSPORT, vec![6, 0, 0, 0])]), (0x113, 442));
    let udp = (REQUESTED_TRANSPORT, vec![17, 0, 0, 0]);
    assert_eq!(scene.ask(from, 1, 3, &[udp.clone(), (REQUESTED_ADDRESS_FAMILY, vec![2, 0, 0, 0])]), (0x113, 440));
    assert_eq!(scene.ask(from, 1, 3, &[udp.clone(), (EVEN_PORT, vec![0x80])]), (0x113, 508));
    assert_eq!(scene.ask(from, 1, 3, &[udp.clone(), (RESERVATION_TOKEN, vec![0; 8])]), (0x113, 508));
    assert_eq!(scene.ask(from, 1, 3, &[udp, (0x001a, vec![])]), (0x113, 420), "DONT-FRAGMENT");
    assert_eq!(scene.permit(from, 1, "192.0.2.1:1"), (0x118, 437), "nothing is allocated");
    assert_eq!(scene.allocate(from, 1), (0x103, 0));
    assert_eq!(scene.permit(from, 2, "192.0.2.1:1"), (0x118, 441), "another's");
    assert_eq!(scene.ask(from, 1, 8, &[]), (0x118, 400), "no peer");
    assert_eq!(scene.ask(from, 1, 8, &[(XOR_PEER_ADDRESS, vec![0, 1, 2])]), (0x118, 400), "half a peer");
    assert_eq!(scene.bind(from, 1, 0x3fff, "192.0.2.1:1"), (0x119, 400));
    assert_eq!(scene.bind(from, 1, 0x8000, "192.0.2.1:1"), (0x119, 400));
    assert_eq!(scene.bind(from, 1, 0x4000, "192.0.2.1:1"), (0x109, 0));
    assert_eq!(scene.bind(from, 1, 0x4000, "192.0.2.1:2"), (0x119, 400), "a number is one peer's");
    assert_eq!(scene.bind(from, 1, 0x4001, "192.0.2.1:1"), (0x119, 400), "and a peer has one number");
    let even = [(REQUESTED_TRANSPORT, vec![17, 0, 0, 0]), (EVEN_PORT, vec![0])];
    assert_eq!(scene.ask(client(2), 1, 3, &even), (0x103, 0), "an even port alone");
    assert_eq!(scene.table.len(), 2);
}

#[test]
fn quotas_hold_for_a_device_for_all_and_for_what_each_passes_on() {
    let mut scene = Scene::new(|_| {});
    assert_eq!((scene.allocate(client(1), 1), scene.allocate(client(2), 1)), ((0x103, 0), (0x103, 0)));
    assert_eq!(scene.allocate(client(3), 1), (0x113, 486), "of one device");
    assert_eq!((scene.allocate(client(3), 2), scene.allocate(client(4), 2)), ((0x103, 0), (0x103, 0)));
    assert_eq!(scene.allocate(client(5), 3), (0x113, 508), "in all");
    for peer in 0..PERMISSIONS_MAX {
        assert_eq!(scene.permit(client(1), 1, &format!("192.0.2.{peer}:1")), (0x108, 0));
    }
    assert_eq!(scene.permit(client(1), 1, "192.0.2.250:1"), (0x118, 508));
    let datagram = send_to("192.0.2.1:9", &[0; 600]);
    assert_eq!(scene.put(client(1), &datagram).len(), 1);
    assert_eq!(scene.put(client(1), &datagram), [], "too fast");
    assert_eq!(scene.table.counts.dropped, 1);
    let mut passed = 1;
    loop {
        scene.now = after(scene.now, 1);
        match scene.put(client(1), &datagram).as_slice() {
            [Act::Send { .. }] => passed += 1,
            [Act::Close { relayed }] => break assert_eq!(*relayed, at("203.0.113.5:50001")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((passed, scene.table.len()), (8, 3), "4,800 bytes of 5,000, and then it ends");
}

#[test]
fn what_is_not_refreshed_or_whose_device_is_gone_ends() {
    let mut scene = Scene::new(|_| {});
    scene.allocate(client(1), 1);
    scene.allocate(client(2), 2);
    scene.now = after(NOW, ALLOCATION_S - 1);
    // Beyond the end of the credentials, which were good when it was made.
    scene.now = after(NOW, LIFE_S - 1);
    assert_eq!(scene.ask(client(1), 1, 4, &[(LIFETIME, 1_200_u32.to_be_bytes().to_vec())]), (0x104, 0));
    scene.now = after(NOW, LIFE_S + 1);
    assert_eq!(scene.table.expire(scene.now), [Act::Close { relayed: at("203.0.113.5:50002") }]);
    assert_eq!(scene.ask(client(1), 1, 4, &[]), (0x104, 0));
    assert_eq!(scene.allocate(client(3), 1), (0x113, 401), "late");
    scene.now = NOW;
    let device = *b"0000000000000001";
    assert_eq!(scene.table.bar(device, NOW), [Act::Close { relayed: at("203.0.113.5:50001") }]);
    assert_eq!(scene.allocate(client(1), 1), (0x113, 401), "its credentials are good no more");
    scene.allocate(client(4), 4);
    assert_eq!(scene.ask(client(4), 4, 4, &[(LIFETIME, vec![0; 4])]), (0x104, 0));
    assert_eq!(scene.table.len(), 0, "who leaves says so");
    assert_eq!(scene.ask(client(4), 4, 4, &[(LIFETIME, vec![0; 4])]), (0x104, 0), "or says it again");
}

#[test]
fn no_bytes_at_all_make_it_fail_or_keep_anything() {
    // Goal: whatever arrives is an answer, silence, or nothing kept. Method: every prefix and every flipped bit of a good request; bytes without
    // a pattern, some of them under a good head.
    let mut scene = Scene::new(|_| {});
    let user = scene.user(1);
    let key = Key::of(&user, REALM_OF_TESTS, &scene.ice);
    let nonce = scene.table.nonces.make(client(1).address, NOW).into_bytes();
    let good = message(
        3,
        1,
        &[
            (USERNAME, user.into_bytes()),
            (REALM, REALM_OF_TESTS.into()),
            (NONCE, nonce),
            (REQUESTED_TRANSPORT, vec![17, 0, 0, 0]),
        ],
        Some(&key),
    );
    for end in 0..good.len() {
        assert_eq!(scene.put(client(1), &good[..end]), []);
    }
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let _ = scene.put(client(1), &bytes);
        assert_eq!(scene.table.len(), 0, "bit {bit}");
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..20_000 {
        let mut bytes: Vec<u8> = (0..round % 97)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        if round % 2 == 0 && bytes.len() >= 20 {
            let length = ((bytes.len() - 20) as u16).to_be_bytes();
            bytes[..8].copy_from_slice(&[0, [3, 4, 6, 8, 9][round % 5], length[0], length[1], 0x21, 0x12, 0xa4, 0x42]);
        }
        let _ = scene.put(client(1), &bytes);
    }
    assert_eq!(scene.table.len(), 0);
    assert_eq!(said(&scene.put(client(1), &good)), Some((0x103, 0)));
}

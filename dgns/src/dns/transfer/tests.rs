use std::collections::BTreeSet;

use identity::cert::Row;
use identity::did::Did;
use identity::time::Timestamp;

use super::super::cookie::Cookies;
use super::super::dnssec::{Algorithm, Keyring, Times};
use super::super::zone::{Change, Content, Edition, Record, Settings};
use super::*;

const NOW_S: u64 = 1_700_000_000;
const FIRST: u32 = 0xFFFF_FFF0;

fn clock() -> Clock {
    Clock::fixed_for_tests(Timestamp::from_ms(NOW_S * 1_000))
}

/// Returns a zone with its first edition, signed or not.
fn zone(is_signed: bool) -> Zone {
    let zone = Zone::new("dgns.test", &Settings::for_zone("dgns.test")).unwrap().with_editions(FIRST);
    let times = Times { validity_s: 1_000, step_s: 10, parent_s: 10, zsk_s: 0 };
    let keys = Keyring::generate("dgns.test", Algorithm::EcdsaP256, NOW_S);
    let zone = if is_signed { zone.signed(keys, times, clock()) } else { zone };
    zone.apply(vec![name(1, Some(1)), name(2, Some(2))], 3).unwrap();
    zone.set_ready();
    if let Some(signing) = zone.signing() {
        assert!(!zone.has_edition(), "not before all is signed");
        signing.note_first_end(1_000);
    }
    assert!(zone.has_edition());
    zone
}

/// The change that gives a name an address of its own, and a service; with 3 other servers, with addresses; or takes it away.
fn name(number: u8, address: Option<u8>) -> Change {
    let row = |owner: &str, rtype, rdata: &[u8]| Row { owner: owner.into(), rtype, rdata: rdata.to_vec(), ttl: 60 };
    let rows = |address| vec![row("", 1, &[192, 0, 2, address]), row("_x", 16, &[1, b'a' + address % 26])];
    let did = Some(Did::from_bytes([number; 20]));
    let cut = |number: u8| {
        let servers = vec![
            row("", 2, b"\x02ns\x07example\0"),
            row("ns", 1, &[192, 0, 2, number]),
            row("a.ns", 1, &[192, 0, 2, 1]),
        ];
        let digest = number.is_multiple_of(2).then(|| row("", 43, &[number; 36]));
        servers.into_iter().chain(digest).collect()
    };
    let content = address.map(|address| {
        let is_cut = address == 3;
        let rows = if is_cut { cut(number) } else { rows(address) };
        Content { did, log_index: 1, flags: 0, rows, is_cut }
    });
    Change { name: format!("n{number}.dgns.test"), content }
}

fn whole(zone: &Zone, serial: u32) -> Option<BTreeSet<Record>> {
    zone.parts().iter().map(|part| zone.records(serial, part)).try_fold(BTreeSet::new(), |mut all, records| {
        all.extend(records?);
        Some(all)
    })
}

/// Does what a secondary does with editions: everything removed was there, everything added was not.
fn follow(mut copy: BTreeSet<Record>, editions: &[Arc<Edition>]) -> BTreeSet<Record> {
    for edition in editions {
        assert!(edition.removed[0].rtype == TYPE_SOA && edition.added[0].rtype == TYPE_SOA);
        edition.removed.iter().for_each(|record| assert!(copy.remove(record), "{record:?}"));
        edition.added.iter().for_each(|record| assert!(copy.insert(record.clone()), "{record:?}"));
    }
    copy
}

#[test]
fn a_copy_that_follows_every_edition_is_the_zone() {
    // Goal: from any edition the later ones lead to the newest; an edition is read as it was however the zone has changed since, whether that is
    // an edition yet or not. Method: random changes of forty names, the checkpoint and signatures; serials go round.
    for is_signed in [true, false] {
        let (zone, mut random) = (zone(is_signed), 0x9E37_79B9_7F4A_7C15_u64);
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let mut known = vec![(FIRST, whole(&zone, FIRST).unwrap())];
        for round in 0..60 {
            for _ in 0..1 + next() % 4 {
                let changes = (0..next() % 5).map(|_| {
                    let (number, address) = (next() % 40, next() % 4);
                    name(number as u8, (address > 0).then_some(address as u8))
                });
                let changes = changes.collect();
                match next() % 8 {
                    0 => zone.set_checkpoint(&format!("note {round}")),
                    1 => zone.sign_apex(),
                    2 => zone.set_volatile("n7.dgns.test", Vec::new()).unwrap(),
                    _ => zone.apply(changes, 3).unwrap(),
                }
                for (serial, copy) in &known {
                    assert_eq!(whole(&zone, *serial).as_ref(), Some(copy), "{serial}");
                }
            }
            let last = zone.serial();
            if !zone.cut_edition(last.wrapping_add(1 + (round % 3))) {
                assert_eq!(zone.serial(), last);
                continue;
            }
            assert!(!zone.cut_edition(1), "nothing has changed");
            let now = whole(&zone, zone.serial()).unwrap();
            for (serial, copy) in &known {
                let (newest, editions) = zone.editions_since(*serial);
                assert_eq!((newest, follow(copy.clone(), &editions.unwrap())), (zone.serial(), now.clone()));
            }
            known.push((zone.serial(), now));
            known = known.split_off(known.len().saturating_sub(6));
        }
        assert!(zone.serial() < 1_000 && known.len() == 6, "serials went round");
        assert_eq!((zone.editions_since(7_000).1, whole(&zone, 7_000)), (None, None), "none of ours");
    }
}

#[test]
fn what_comes_and_goes_between_two_editions_is_in_none() {
    let zone = zone(true);
    zone.apply(vec![name(9, Some(1))], 4).unwrap();
    zone.apply(vec![name(9, None)], 5).unwrap();
    // NSEC records were signed anew; the name is in neither list.
    assert!(zone.cut_edition(FIRST + 1));
    let editions = zone.editions_since(FIRST).1.unwrap();
    let is_nine = |record: &&Record| record.owner.ends_with(b"\x02n9");
    assert_eq!(editions[0].removed.iter().chain(&editions[0].added).filter(is_nine).count(), 0);
    let unsigned = super::tests::zone(false);
    unsigned.apply(vec![name(9, Some(1))], 4).unwrap();
    unsigned.apply(vec![name(9, None)], 5).unwrap();
    assert!(!unsigned.cut_edition(FIRST + 1), "nothing is other than it was");
}

/// A peer known by its key, one by its address.
fn transfers(directory: &std::path::Path) -> (Transfers, Arc<Metrics>) {
    let (path, metrics) = (directory.join("key"), Arc::new(Metrics::default()));
    crate::keys::write_line(&path, "hmac-sha256:peer:AAECAwQFBgcICQoLDA0ODw==").unwrap();
    let peers = [
        PeerConfig { address: None, key: Some(path.clone()), tls: false },
        PeerConfig { address: Some(([192, 0, 2, 2], 53).into()), key: Some(path), tls: false },
        PeerConfig { address: Some(([192, 0, 2, 1], 53).into()), key: None, tls: false },
        PeerConfig { address: Some(([192, 0, 2, 3], 53).into()), key: None, tls: true },
    ];
    (Transfers::open(&peers, clock(), metrics.clone()).unwrap(), metrics)
}

/// A query for the zone; `serial` is that of the SOA that it shows.
fn query(name: &[u8], rtype: u16, class: u8, serial: Option<u32>) -> Vec<u8> {
    let count = u8::from(serial.is_some());
    let mut query = [&[0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, count, 0, 0], name].concat();
    query.extend_from_slice(&rtype.to_be_bytes());
    query.extend_from_slice(&[0, class]);
    if let Some(serial) = serial {
        query.extend_from_slice(b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x16\0\0");
        query.extend_from_slice(&serial.to_be_bytes());
        query.extend_from_slice(&[0; 16]);
    }
    query
}

const ZONE: &[u8] = b"\x04dgns\x04test\0";

/// Returns the answer's code, or `whole` and `changes` for a copy.
fn asked(
    transfers: &Transfers,
    zone: &Zone,
    transport: Transport,
    address: [u8; 4],
    message: &[u8],
) -> (String, Vec<u8>) {
    let cookies = Cookies::new([7; 32]);
    let asker = Asker { transport, address: address.into(), now_s: NOW_S as u32, cookies: &cookies, nsid: b"" };
    let mut out = Vec::new();
    let said = match transfers.begin(zone, message, &asker, &mut out) {
        Begun::Answer(Outcome::Reply { rcode, .. }) => rcode.name().to_owned(),
        Begun::Answer(outcome) => format!("{outcome:?}"),
        Begun::Copy(copy) => copy.kind().to_owned(),
    };
    (said, out)
}

#[test]
fn peers_get_copies_and_strangers_none() {
    // Goal: PROTOCOL 13.5's table. Method: each row as a message.
    let directory = tempfile::tempdir().unwrap();
    let ((transfers, metrics), zone) = (transfers(directory.path()), zone(true));
    zone.apply(vec![name(9, Some(1))], 4).unwrap();
    assert!(zone.cut_edition(FIRST + 1));
    let key = transfers.keys[0].clone();
    let signed = |message: Vec<u8>, at_s: u64| {
        let mut signed = message;
        Chain::begin(key.clone()).sign(&mut signed, at_s);
        signed
    };
    let stranger = Arc::new(Key::parse("hmac-sha256:stranger:AAECAwQFBgcICQoLDA0ODw==").unwrap());
    let other = Arc::new(Key::parse("hmac-sha256:peer:AAECAwQFBgcICQoLDA0ODxA=").unwrap());
    let by = |key: &Arc<Key>, message: Vec<u8>| {
        let mut signed = message;
        Chain::begin(key.clone()).sign(&mut signed, NOW_S);
        signed
    };
    let ixfr = |serial| query(ZONE, TYPE_IXFR, 1, Some(serial));
    let (peer, unknown) = ([192, 0, 2, 1], [192, 0, 2, 9]);
    let (tcp, udp, tls, secret) = (Transport::Tcp, Transport::Udp, Transport::Tls, [192, 0, 2, 3]);
    for (what, transport, address, message, wanted) in [
        ("by address", tcp, peer, axfr(), "whole"),
        ("by key", tcp, unknown, signed(axfr(), NOW_S), "whole"),
        ("unknown", tcp, unknown, axfr(), "REFUSED"),
        ("a peer's address without its key", tcp, [192, 0, 2, 2], axfr(), "REFUSED"),
        ("unknown, over TLS", tls, unknown, axfr(), "REFUSED"),
        ("by address, over TLS", tls, peer, axfr(), "whole"),
        ("by key, over TLS", tls, unknown, signed(ixfr(FIRST - 8), NOW_S), "whole"),
        ("who gets it over TLS alone", tls, secret, axfr(), "whole"),
        ("and its changes", tls, secret, ixfr(FIRST), "changes"),
        ("not over TCP", tcp, secret, axfr(), "REFUSED"),
        ("its changes neither", tcp, secret, ixfr(FIRST), "REFUSED"),
        ("nor the serial by datagram", udp, secret, ixfr(FIRST), "REFUSED"),
        ("over HTTPS", Transport::Https, peer, axfr(), "REFUSED"),
        ("over QUIC", Transport::Quic, peer, axfr(), "REFUSED"),
        ("its changes", Transport::Https, peer, ixfr(FIRST), "REFUSED"),
        ("by nobody", Transport::Https, unknown, axfr(), "REFUSED"),
        ("unknown key", tcp, peer, by(&stranger, axfr()), "NOTAUTH"),
        ("another secret", tcp, peer, by(&other, axfr()), "NOTAUTH"),
        ("too late", tcp, peer, signed(axfr(), NOW_S - 301), "NOTAUTH"),
        ("signed twice", tcp, peer, signed(signed(axfr(), NOW_S), NOW_S), "FORMERR"),
        ("changes", tcp, peer, ixfr(FIRST), "changes"),
        ("nothing new", tcp, peer, ixfr(FIRST + 1), "NOERROR"),
        ("ahead", tcp, peer, ixfr(FIRST + 9), "NOERROR"),
        ("of a serial that nobody knows", tcp, peer, ixfr(FIRST - 9), "whole"),
        ("changes without a serial", tcp, peer, query(ZONE, TYPE_IXFR, 1, None), "FORMERR"),
        ("a name of the zone", tcp, peer, query(b"\x02n1\x04dgns\x04test\0", TYPE_AXFR, 1, None), "NOTAUTH"),
        ("another zone", tcp, peer, query(b"\x04test\0", TYPE_AXFR, 1, None), "NOTAUTH"),
        ("another zone, by nobody", tcp, unknown, query(b"\x04test\0", TYPE_AXFR, 1, None), "REFUSED"),
        ("class CH", tcp, peer, query(ZONE, TYPE_AXFR, 3, None), "REFUSED"),
        ("AXFR by datagram", udp, peer, axfr(), "FORMERR"),
        ("IXFR by datagram", udp, peer, ixfr(FIRST), "NOERROR"),
        ("IXFR by datagram, by nobody", udp, unknown, ixfr(FIRST), "REFUSED"),
        ("a signed question", udp, unknown, signed(query(ZONE, TYPE_SOA, 1, None), NOW_S), "NOERROR"),
        ("one with an unknown key", udp, peer, by(&stranger, query(ZONE, TYPE_SOA, 1, None)), "NOTAUTH"),
        (
            "a signed one for a proof",
            udp,
            unknown,
            signed(query(b"\x06_proof\x04dgns\x04test\0", 16, 1, None), NOW_S),
            "REFUSED",
        ),
    ] {
        let (said, out) = asked(&transfers, &zone, transport, address, &message);
        assert_eq!(said, wanted, "{what}");
        let ours = tsig::read(&message).ok().flatten();
        let theirs = if out.is_empty() { None } else { tsig::read(&out).unwrap() };
        if !out.is_empty() && wanted != "FORMERR" {
            assert_eq!(ours.is_some(), theirs.is_some(), "{what}: an answer is signed if its query was");
        }
    }
    let (_, soa) = asked(&transfers, &zone, udp, peer, &ixfr(FIRST));
    assert_eq!(soa[6..8], [0, 1], "the SOA alone");
    let at = soa.len() - 20;
    assert_eq!(soa[at..at + 4], (FIRST + 1).to_be_bytes());
    let text = metrics.render(&zone);
    assert!(text.contains("dns_transfers_total{kind=\"refused\"} 21\n"), "{text}");
    assert!(text.contains("dns_transfers_total{kind=\"current\"} 4\n"), "{text}");

    let seats: Vec<_> = (0..TRANSFERS_MAX).map(|_| transfers.seats.clone().try_acquire_owned().unwrap()).collect();
    assert_eq!(asked(&transfers, &zone, tcp, peer, &axfr()).0, "SERVFAIL", "too many at once");
    drop(seats);
    assert_eq!(asked(&transfers, &zone, tcp, peer, &axfr()).0, "whole");
    zone.stop_answering();
    assert_eq!(asked(&transfers, &zone, tcp, peer, &axfr()).0, "SERVFAIL", "what is not to be relied on is not copied");
    zone.set_ready();
    assert_eq!(asked(&transfers, &zone, tcp, peer, &axfr()).0, "whole");
    zone.end_editions();
    for message in [axfr(), ixfr(FIRST + 1), ixfr(FIRST)] {
        assert_eq!(asked(&transfers, &zone, tcp, peer, &message).0, "SERVFAIL", "what nobody keeps is not copied");
    }
    let nobody = Transfers::to_nobody(clock(), metrics);
    assert_eq!(asked(&nobody, &zone, tcp, peer, &axfr()).0, "REFUSED");
}

#[test]
fn a_file_that_holds_no_key_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let open = || {
        let peer = PeerConfig { address: None, key: Some(path.clone()), tls: false };
        Transfers::open(&[peer], clock(), Arc::default()).map(|transfers| format!("{transfers:?}"))
    };
    assert!(matches!(open(), Err(KeyFileError::Io { .. })));
    crate::keys::write_line(&path, "secret").unwrap();
    assert!(matches!(open(), Err(KeyFileError::Form { .. })));
    crate::keys::write_line(&path, "hmac-sha256:peer:AAECAwQFBgcICQoLDA0ODw==").unwrap();
    assert!(!open().unwrap().contains("AAEC"), "the secret is not shown");
    let other = directory.path().join("other");
    for (line, is_refused) in [
        ("hmac-sha256:peer:AAECAwQFBgcICQoLDA0ODw==", false),
        ("hmac-sha256:other:AAECAwQFBgcICQoLDA0ODxA=", false),
        ("hmac-sha256:Peer.:AAECAwQFBgcICQoLDA0ODxA=", true),
        ("hmac-sha512:peer:AAECAwQFBgcICQoLDA0ODw==", true),
    ] {
        let _ = std::fs::remove_file(&other);
        crate::keys::write_line(&other, line).unwrap();
        let peers = [&path, &other].map(|key| PeerConfig { address: None, key: Some(key.clone()), tls: false });
        let opened = Transfers::open(&peers, clock(), Arc::default()).map_err(|error| error.to_string());
        let is_named = |error: String| error.contains("of the name peer") && error.contains("other");
        assert_eq!(opened.err().map(is_named), is_refused.then_some(true), "{line}");
    }
}

#[test]
fn a_key_has_its_copies_over_tls_alone_or_not() {
    // Goal: a key that is bound to TLS in one table gets nothing without it by another, whatever file it lies in.
    let directory = tempfile::tempdir().unwrap();
    let [path, same, other] = ["key", "same", "other"].map(|name| directory.path().join(name));
    for (path, line) in [
        (&path, "hmac-sha256:peer:AAECAwQFBgcICQoLDA0ODw=="),
        (&same, "hmac-sha256:peer:AAECAwQFBgcICQoLDA0ODw=="),
        (&other, "hmac-sha256:other:AAECAwQFBgcICQoLDA0ODw=="),
    ] {
        crate::keys::write_line(path, line).unwrap();
    }
    for (second, tls, is_refused) in [
        (Some(&same), [true, false], true),
        (Some(&same), [false, true], true),
        (Some(&same), [true, true], false),
        (Some(&other), [true, false], false),
        (None, [true, false], false),
    ] {
        let first = PeerConfig { address: None, key: Some(path.clone()), tls: tls[0] };
        let address = Some(([192, 0, 2, 1], 53).into());
        let second = PeerConfig { address, key: second.cloned(), tls: tls[1] };
        let opened = Transfers::open(&[first, second], clock(), Arc::default());
        assert_eq!(matches!(opened, Err(KeyFileError::Tls { .. })), is_refused, "{tls:?}");
        assert_eq!(opened.is_err(), is_refused);
    }
}

/// Returns what tells a peer that is played by the socket, waiting hardly at all for its answers; and its counters.
fn teller(peer: &tokio::net::UdpSocket) -> (notify::Teller, Arc<Zone>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let (zone, address) = (Arc::new(zone(false)), peer.local_addr().unwrap());
    let waits = [Duration::from_millis(20); 5];
    let of = notify::Subject::Zone(zone.clone());
    (notify::Teller { address, key: None, of, clock: clock(), metrics: metrics.clone(), waits }, zone, metrics)
}

fn has_counted(metrics: &Metrics, zone: &Zone, result: &str, count: u32) -> bool {
    metrics.render(zone).contains(&format!("dns_notifies_total{{result=\"{result}\"}} {count}\n"))
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_counted_also_when_the_zone_never_rests() {
    // Goal: the alarm on `unheard` rises while edition follows edition. Method: a peer that is silent makes an edition of each notice that it gets.
    let peer = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (teller, zone, metrics) = teller(&peer);
    let ((newest, told), (stop, stopped)) = (watch::channel(None), watch::channel(false));
    let telling = tokio::spawn(teller.run(told, stopped));
    newest.send_replace(Some(1));
    let (mut notice, mut notices) = ([0; 512], 0);
    while !has_counted(&metrics, &zone, "unheard", 2) {
        peer.recv(&mut notice).await.unwrap();
        notices += 1;
        assert!(notices < 50, "{notices} notices, and the peer is not known to be silent");
        newest.send_replace(Some(1 + notices));
    }
    assert!(notices >= 10, "five tries each: {notices}");
    stop.send_replace(true);
    telling.await.unwrap();
}

#[tokio::test]
async fn a_peer_is_told_the_newest_edition_until_it_answers() {
    let peer = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (teller, zone, metrics) = teller(&peer);
    let teller = notify::Teller { waits: [Duration::from_secs(60); 5], ..teller };
    let ((newest, told), (stop, stopped)) = (watch::channel(Some(0)), watch::channel(false));
    let telling = tokio::spawn(teller.run(told, stopped));
    for (serial, code, result, count) in
        [(7, 0, "heard", 1), (8, 0, "heard", 2), (9, 5, "refused", 1), (10, 0, "heard", 3)]
    {
        newest.send_replace(Some(serial));
        let mut notice = [0; 512];
        let (length, from) = peer.recv_from(&mut notice).await.unwrap();
        assert_eq!(notice[length - 20..length - 16], serial.to_be_bytes());
        // Another id, another opcode, and a question are no answers to it.
        for (at, bits) in [(0, 1), (2, 0x08), (2, 0x80)] {
            let mut other = notice;
            other[2] |= 0x80;
            other[at] ^= bits;
            peer.send_to(&other[..length], from).await.unwrap();
        }
        assert!(!has_counted(&metrics, &zone, result, count));
        (notice[2], notice[3]) = (notice[2] | 0x80, code);
        peer.send_to(&notice[..length], from).await.unwrap();
        while !has_counted(&metrics, &zone, result, count) {
            tokio::task::yield_now().await;
        }
    }
    stop.send_replace(true);
    telling.await.unwrap();
}

fn axfr() -> Vec<u8> {
    query(ZONE, TYPE_AXFR, 1, None)
}

/// Returns a query as a peer signs it, with an id of its own, and what judges the answer.
fn signed_by(key: &Arc<Key>, id: u8, mut message: Vec<u8>) -> (Vec<u8>, Chain) {
    message[1] = id;
    let mut chain = Chain::begin(key.clone());
    chain.sign(&mut message, NOW_S);
    (message, chain)
}

/// Returns the copy that a query gets.
fn copy_for(transfers: &Transfers, zone: &Zone, address: [u8; 4], message: &[u8]) -> Copy {
    let cookies = Cookies::new([7; 32]);
    let transport = Transport::Tcp;
    let asker = Asker { transport, address: address.into(), now_s: NOW_S as u32, cookies: &cookies, nsid: b"" };
    match transfers.begin(zone, message, &asker, &mut Vec::new()) {
        Begun::Copy(copy) => *copy,
        Begun::Answer(outcome) => panic!("no copy: {outcome:?}"),
    }
}

#[test]
fn one_peer_takes_two_seats_and_leaves_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let ((transfers, _), zone) = (transfers(directory.path()), zone(false));
    let (peer, tcp) = ([192, 0, 2, 1], Transport::Tcp);
    let copies: Vec<Copy> = (0..TRANSFERS_OF_A_PEER_MAX).map(|_| copy_for(&transfers, &zone, peer, &axfr())).collect();
    assert_eq!(asked(&transfers, &zone, tcp, peer, &axfr()).0, "SERVFAIL");
    let (message, _) = signed_by(&transfers.keys[0], 1, axfr());
    assert_eq!(asked(&transfers, &zone, tcp, [192, 0, 2, 9], &message).0, "whole", "another peer");
    drop(copies);
    assert_eq!(asked(&transfers, &zone, tcp, peer, &axfr()).0, "whole");
}

#[test]
fn a_signed_query_that_comes_again_gets_no_second_copy() {
    // Goal: who heard a query cannot have copies with it; the peer itself asks with other ids, as often as it likes.
    let directory = tempfile::tempdir().unwrap();
    let ((transfers, metrics), zone) = (transfers(directory.path()), zone(true));
    zone.apply(vec![name(9, Some(1))], 4).unwrap();
    assert!(zone.cut_edition(FIRST + 1));
    for (id, message, wanted) in
        [(1, axfr(), "whole"), (2, axfr(), "whole"), (3, query(ZONE, TYPE_IXFR, 1, Some(FIRST)), "changes")]
    {
        let (message, chain) = signed_by(&transfers.keys[0], id, message);
        assert_eq!(asked(&transfers, &zone, Transport::Tcp, [192, 0, 2, 9], &message).0, wanted);
        for _ in 0..2 {
            let (said, out) = asked(&transfers, &zone, Transport::Tcp, [192, 0, 2, 8], &message);
            assert_eq!((&*said, tsig::read(&out).unwrap().unwrap().error()), ("NOTAUTH", Fault::Time as u16));
            assert!(!chain.is_answered_by(&out, NOW_S), "an error is no answer");
        }
    }
    assert!(metrics.render(&zone).contains("dns_transfers_total{kind=\"refused\"} 6\n"));
    assert_eq!(transfers.seats.available_permits(), TRANSFERS_MAX);
}

#[test]
fn a_signed_question_is_answered_under_its_id_and_within_its_size() {
    // Goal: an id that was changed on the way is that of the answer, and signed; with the signature the answer is not longer than a datagram may be; and
    // whoever signs is no stranger, whose answers are counted.
    let directory = tempfile::tempdir().unwrap();
    let ((transfers, _), zone) = (transfers(directory.path()), zone(false));
    let txt: Vec<u8> =
        [200_u8; 2].iter().flat_map(|&length| [vec![length], vec![b'x'; length.into()]].concat()).collect();
    let row = Row { owner: String::new(), rtype: 16, rdata: txt, ttl: 60 };
    let content =
        Content { did: Some(Did::from_bytes([9; 20])), log_index: 1, flags: 0, rows: vec![row], is_cut: false };
    zone.apply(vec![Change { name: "n9.dgns.test".into(), content: Some(content) }], 4).unwrap();
    let cookies = Cookies::new([7; 32]);
    for (name, rtype, is_cut) in [(ZONE, TYPE_SOA, false), (&b"\x02n9\x04dgns\x04test\0"[..], 16, true)] {
        let asker = |transport| Asker {
            transport,
            address: [192, 0, 2, 9].into(),
            now_s: NOW_S as u32,
            cookies: &cookies,
            nsid: b"",
        };
        let (udp, tcp, mut out) = (asker(Transport::Udp), asker(Transport::Tcp), Vec::new());
        let plain = query(name, rtype, 1, None);
        assert!(matches!(answer(&zone, &plain, &udp, &mut out), Outcome::Reply { rcode: Rcode::NoError, .. }));
        assert!(out[2] & 2 == 0 && out.len() <= 512, "without a signature it fits: {}", out.len());
        let (mut message, chain) = signed_by(&transfers.keys[0], 1, plain.clone());
        message[..2].copy_from_slice(&[0x56, 0x78]);
        for (asker, is_cut) in [(&udp, is_cut), (&tcp, false)] {
            let outcome = transfers.answer(&zone, &message, asker, &mut out);
            assert_eq!(outcome, Outcome::Reply { rcode: Rcode::NoError, is_known: true });
            assert_eq!((&out[..2], out[2] & 2 != 0), (&[0x56, 0x78][..], is_cut));
            assert!(out.len() <= 512 || asker.transport == Transport::Tcp);
            assert!(chain.is_answered_by(&out, NOW_S));
        }
        let other = Arc::new(Key::parse("hmac-sha256:peer:AAECAwQFBgcICQoLDA0ODxA=").unwrap());
        let (bent, _) = signed_by(&other, 1, plain);
        let outcome = transfers.answer(&zone, &bent, &udp, &mut out);
        assert_eq!(outcome, Outcome::Reply { rcode: Rcode::NotAuth, is_known: false });
    }
}

#[test]
fn what_is_no_query_of_a_peer_is_refused_before_it_is_read() {
    // Goal: neither many records nor many bytes are looked at, over whatever transport.
    let zone = zone(false);
    let cookies = Cookies::new([7; 32]);
    let record = b"\0\0\x01\0\x01\0\0\0\0\0\0";
    let query = |records: u8, rdata: usize| {
        let mut query = [query(ZONE, TYPE_SOA, 1, None), record.repeat(records.into())].concat();
        query[11] = records;
        let at = query.len() - 2;
        query[at..].copy_from_slice(&(rdata as u16).to_be_bytes());
        [query, vec![0; rdata]].concat()
    };
    let bytes = query(1, 0).len();
    for (message, wanted) in [
        (query(8, 0), Rcode::NoError),
        (query(9, 0), Rcode::FormErr),
        (query(1, 4_096 - bytes), Rcode::NoError),
        (query(1, 4_097 - bytes), Rcode::FormErr),
    ] {
        for transport in [Transport::Tcp, Transport::Udp] {
            let asker = Asker { transport, address: [192, 0, 2, 9].into(), now_s: 7, cookies: &cookies, nsid: b"" };
            let outcome = answer(&zone, &message, &asker, &mut Vec::new());
            assert_eq!(outcome, Outcome::Reply { rcode: wanted, is_known: false }, "{} bytes", message.len());
        }
    }
}

/// Returns both ends of a stream that holds little of what is not read.
async fn narrow_stream() -> (tokio::net::TcpStream, tokio::net::TcpStream) {
    let (server, client) = (tokio::net::TcpSocket::new_v4().unwrap(), tokio::net::TcpSocket::new_v4().unwrap());
    server.set_send_buffer_size(4_096).unwrap();
    client.set_recv_buffer_size(4_096).unwrap();
    server.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = server.listen(1).unwrap();
    let (client, accepted) = tokio::join!(client.connect(listener.local_addr().unwrap()), listener.accept());
    (accepted.unwrap().0, client.unwrap())
}

#[tokio::test]
async fn a_copy_that_cannot_be_ended_gives_its_seat_back() {
    // Goal: a peer that reads nothing, and an edition that nobody knows any more, end the copy with an error that is counted; the seat is free again.
    let directory = tempfile::tempdir().unwrap();
    let ((transfers, metrics), zone) = (transfers(directory.path()), Arc::new(zone(false)));
    let row =
        || Row { owner: String::new(), rtype: 16, rdata: [&[250][..], &[b'x'; 250]].concat().repeat(16), ttl: 60 };
    let changes = (0..100).map(|number| {
        let content = Content {
            did: Some(Did::from_bytes([number; 20])),
            log_index: 1,
            flags: 0,
            rows: vec![row()],
            is_cut: false,
        };
        Change { name: format!("big{number}.dgns.test"), content: Some(content) }
    });
    zone.apply(changes.collect(), 4).unwrap();
    assert!(zone.cut_edition(FIRST + 1));
    let peer = [192, 0, 2, 1];
    let (mut stream, mut reader) = narrow_stream().await;
    let copy = copy_for(&transfers, &zone, peer, &axfr());
    let sent = transfers.send(copy, &zone, &mut stream, Duration::from_millis(50)).await;
    assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::TimedOut);
    let copy = copy_for(&transfers, &zone, peer, &axfr());
    zone.end_editions();
    let (mut stream, _reader) = narrow_stream().await;
    let sent = transfers.send(copy, &zone, &mut stream, Duration::from_secs(60)).await;
    assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::Other);
    assert!(metrics.render(&zone).contains("dns_transfers_total{kind=\"failed\"} 2\n"));
    assert_eq!(transfers.seats.available_permits(), TRANSFERS_MAX);
    assert_eq!(transfers.peers[2].seats.available_permits(), TRANSFERS_OF_A_PEER_MAX);
    // What the first one had was the beginning of a whole copy.
    let mut head = [0; 2 + 12];
    tokio::io::AsyncReadExt::read_exact(&mut reader, &mut head).await.unwrap();
    assert!(head[4] & 0x80 != 0 && u16::from_be_bytes([head[8], head[9]]) > 1);
}

use std::net::{IpAddr, Ipv4Addr};

use identity::cert::Row;
use identity::did::Did;
use identity::time::Timestamp;

use super::super::answer::{Outcome, Rcode, Transport, answer};
use super::super::settings::Manner;
use super::super::zone::{Change, Content, Settings, Zone};
use super::*;

const TIMES: Times = Times { validity_s: 1_000, step_s: 10, parent_s: 10, zsk_s: 0 };
const NOW_S: u64 = 1_700_000_000;

fn clock() -> Clock {
    Clock::fixed_for_tests(Timestamp::from_ms(NOW_S * 1_000))
}

fn zone(clock: &Clock) -> Zone {
    let zone = Zone::new("dgns.test", &Settings::for_zone("dgns.test")).unwrap();
    zone.signed(Keyring::generate("dgns.test", Algorithm::EcdsaP256, NOW_S), TIMES, clock.clone())
}

fn bound(name: &str, last: Option<u8>) -> Change {
    let row = |last| Row { owner: String::new(), rtype: 1, rdata: vec![192, 0, 2, last], ttl: 60 };
    let rows = last.map(row).into_iter().collect();
    let content = Content { did: Some(Did::from_bytes([7; 20])), log_index: 1, flags: 0, rows, is_cut: false };
    Change { name: format!("{name}.dgns.test"), content: Some(content) }
}

fn signatures_of(zone: &Zone, change: impl FnOnce()) -> u64 {
    let before = zone.signing().unwrap().signatures();
    change();
    zone.signing().unwrap().signatures() - before
}

/// Asks for an address, with DO or without.
fn ask(zone: &Zone, name: &str, dnssec_ok: bool) -> (Rcode, Vec<u8>) {
    let labels = super::super::name::labels_of(name).unwrap();
    let flag = if dnssec_ok { 0x80 } else { 0 };
    let message = [
        &[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1][..],
        &labels,
        &[0, 0, 1, 0, 1],
        &[0, 0, 41, 4, 208, 0, 0, flag, 0, 0, 0],
    ]
    .concat();
    let mut manner = Manner::for_tests();
    let (now_s, mut out) = (manner.ready(), Vec::new());
    let asker = manner.asker(Transport::Tcp, IpAddr::V4(Ipv4Addr::LOCALHOST), now_s);
    match answer(zone, &message, &asker, &mut out) {
        Outcome::Reply { rcode, .. } => (rcode, out),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_change_signs_what_it_changes_alone() {
    // Goal: signatures per change: the sets and NSEC records that are other ones, the NSEC before them, the SOA.
    let clock = clock();
    let zone = zone(&clock);
    zone.set_ready();
    for (what, change, count) in [
        ("a name: A, _did, two NSEC, the one before, SOA", bound("alice", Some(1)), 6),
        ("the same again: SOA", bound("alice", Some(1)), 1),
        ("another address: A, SOA", bound("alice", Some(2)), 2),
        ("none: alice's NSEC goes, the one before, SOA", bound("alice", None), 2),
        ("it goes: the one before, SOA", Change { name: "alice.dgns.test".into(), content: None }, 2),
    ] {
        assert_eq!(signatures_of(&zone, || zone.apply(vec![change], 2).unwrap()), count, "{what}");
    }
    let many = (1..=50).map(|n| bound(&format!("n{n}"), Some(n))).collect();
    assert_eq!(signatures_of(&zone, || zone.apply(many, 3).unwrap()), 50 * 4 + 2, "the one before once for all");
}

#[test]
fn signatures_are_made_anew_once_half_their_time_is_over() {
    // Goal: nothing is signed too early or too late, so many at a time, and the first end is told.
    let clock = clock();
    let zone = zone(&clock);
    zone.apply((1..=20).map(|n| bound(&format!("n{n}"), Some(n))).collect(), 1).unwrap();
    zone.set_ready();
    let owners = zone.signing().unwrap().owners();
    assert_eq!(owners, 4 + 40, "the zone, its server, _checkpoint, _proof; two for each name");
    let round = zone.sign_from(None, 1_000, 1_000);
    assert_eq!((round.signed, round.at), (0, None));
    assert!((875..=1_000).contains(&round.lasts_s.unwrap()), "{:?}", round.lasts_s);
    clock.set_for_tests(Timestamp::from_ms((NOW_S + 501) * 1_000));
    assert!(zone.signing().unwrap().apex_is_due());
    zone.sign_apex();
    assert!(!zone.signing().unwrap().apex_is_due());
    let round = zone.sign_from(None, 1_000, 7);
    assert_eq!((round.signed, round.at.is_some()), (7, true));
    let mut signed = round.signed;
    let mut at = round.at;
    while let Some(after) = at {
        let round = zone.sign_from(Some(&after), 10, 7);
        (signed, at) = (signed + round.signed, round.at);
    }
    assert_eq!(signed, owners);
    let round = zone.sign_from(None, 1_000, 1_000);
    assert_eq!((round.signed, round.at), (0, None));
    assert!(round.lasts_s.unwrap() >= 875);
}

#[test]
fn a_clock_that_ran_ahead_leaves_no_signature_that_is_not_good_yet() {
    // Goal: once the clock is right again, everything signed meanwhile is signed anew. Method: a day ahead, then back, by the round of a keeper.
    let clock = clock();
    let zone = zone(&clock);
    zone.apply((1..=20).map(|n| bound(&format!("n{n}"), Some(n))).collect(), 1).unwrap();
    clock.set_for_tests(Timestamp::from_ms((NOW_S + 86_400) * 1_000));
    zone.set_ready();
    assert!(!zone.signing().unwrap().apex_is_due());
    clock.set_for_tests(Timestamp::from_ms(NOW_S * 1_000));
    assert!(zone.signing().unwrap().apex_is_due());
    assert_eq!(zone.sign_from(None, 1_000, 1_000).signed, zone.signing().unwrap().owners());
    assert_eq!(zone.sign_from(None, 1_000, 1_000).signed, 0);
}

#[test]
fn a_denial_says_no_more_than_the_answer() {
    // Goal: while the chain is a change ahead or behind, no validator is told of a type or an alias that the answer lacks. Method: a change of
    // the chain alone.
    let zone = zone(&clock());
    zone.apply(vec![bound("alice", None)], 1).unwrap();
    zone.set_ready();
    let signing = zone.signing().unwrap();
    for (types, wanted) in [
        (vec![16, TYPE_RRSIG, TYPE_NSEC], Rcode::NoError),
        (vec![1, TYPE_RRSIG, TYPE_NSEC], Rcode::ServFail),
        (vec![5, TYPE_RRSIG, TYPE_NSEC], Rcode::ServFail),
    ] {
        let changes = Changes::from([(sort_key(&[b"\x05alice"]), Some(bitmap(&types)))]);
        signing.change(&changes, signing.altered(&changes, true));
        assert_eq!(ask(&zone, "alice.dgns.test", true).0, wanted, "{types:?}");
    }
}

#[test]
fn what_is_not_signed_yet_is_not_answered_to_who_wants_signatures() {
    // Goal: a start signs so many owners at once and the rest in rounds; meanwhile an answer is signed or is none.
    let clock = clock();
    let zone = zone(&clock);
    zone.apply((0..3_000).map(|n| bound(&format!("n{n:04}"), Some(1))).collect(), 1).unwrap();
    assert_eq!(ask(&zone, "n0001.dgns.test", false).0, Rcode::ServFail, "nothing is loaded yet");
    zone.set_ready();
    let has_rrsig = |out: &[u8]| out.windows(4).any(|bytes| bytes == [0, 46, 0, 1]);
    let (rcode, out) = ask(&zone, "n0001.dgns.test", true);
    assert!(rcode == Rcode::NoError && has_rrsig(&out));
    for name in ["n2999.dgns.test", "zz.dgns.test"] {
        let (rcode, out) = ask(&zone, name, true);
        assert!(rcode == Rcode::ServFail && out[6..10] == [0; 4], "{name}: no record without its signature");
        assert!(ask(&zone, name, false).0 != Rcode::ServFail);
    }
    let mut at = None;
    loop {
        at = zone.sign_from(at.as_deref(), 1_000, 1_000).at;
        if at.is_none() {
            break;
        }
    }
    for (name, wanted) in [("n2999.dgns.test", Rcode::NoError), ("zz.dgns.test", Rcode::NxDomain)] {
        let (rcode, out) = ask(&zone, name, true);
        assert!(rcode == wanted && has_rrsig(&out), "{name}");
    }
}

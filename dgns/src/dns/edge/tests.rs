//! A zone that signs, and an edge of it that has the log from elsewhere: what agrees is shown, and nothing else.

use std::net::{IpAddr, Ipv4Addr};

use identity::cert::Row;
use identity::did::Did;
use identity::name::Zone as ZoneName;
use identity::time::Timestamp;

use super::super::answer::{Outcome, Rcode, Transport, answer};
use super::super::dnssec::{Algorithm, Keyring, TYPE_DNSKEY, TYPE_NSEC, TYPE_RRSIG, TYPE_SOA, Times, sort_key};
use super::super::settings::Manner;
use super::super::zone::copied::{Steps, as_copied};
use super::super::zone::{Change, Content, Settings};
use super::judge::own_sets;
use super::reading::Reading;
use super::*;
use crate::clock::Clock;

const NOW_S: u64 = 1_700_000_000;
const APEX: &[u8] = b"\x04dgns\x04test\0";
const TYPE_A: u16 = 1;
const TYPE_MX: u16 = 15;

/// A zone that signs, and an edge.
struct Pair {
    clock: Clock,
    primary: Zone,
    edge: Zone,
    pins: Pins,
    serial: u32,
}

fn row(owner: &str, rtype: u16, rdata: &[u8]) -> Row {
    Row { owner: owner.to_owned(), rtype, rdata: rdata.to_vec(), ttl: 60 }
}

/// The change that gives a name these rows; or takes it away.
fn name(name: &str, rows: Option<Vec<Row>>) -> Change {
    let content =
        rows.map(|rows| Content { did: Some(Did::from_bytes([7; 20])), log_index: 1, flags: 0, rows, is_cut: false });
    Change { name: format!("{name}.dgns.test"), content }
}

fn address(last: u8) -> Vec<Row> {
    vec![row("", TYPE_A, &[192, 0, 2, last])]
}

fn people() -> Vec<Change> {
    vec![name("alice", Some(address(1))), name("bobby", Some(Vec::new())), name("carol", Some(address(3)))]
}

impl Pair {
    /// Returns both with the same names, and nothing copied.
    fn new() -> Self {
        let clock = Clock::fixed_for_tests(Timestamp::from_ms(NOW_S * 1_000));
        let keys = Keyring::generate("dgns.test", Algorithm::EcdsaP256, NOW_S);
        Self {
            primary: primary(keys, &clock, people()),
            edge: edge(&clock, people()),
            pins: Pins::default(),
            serial: 1,
            clock,
        }
    }

    /// The same with everything copied.
    fn agreed() -> Self {
        let mut pair = Self::new();
        assert_eq!(pair.copy(), Ok(Taken::Shown { new: 0, failed: 0 }));
        pair
    }

    fn now_s(&self) -> u32 {
        self.clock.now().as_s() as u32
    }

    fn go_on(&self, time: Duration) {
        self.clock.set_for_tests(Timestamp::from_ms(self.clock.now().as_ms() + time.as_millis() as u64));
    }

    /// Makes an edition of what the primary has.
    fn cut(&mut self) {
        if self.primary.cut_edition(self.serial + 1) {
            self.serial += 1;
        }
    }

    fn records(&mut self) -> Vec<Record> {
        self.cut();
        let mut records = Vec::new();
        self.primary.every_record(|record| records.push(record.clone()));
        records
    }

    fn copy(&mut self) -> Result<Taken, Refusal> {
        let records = self.records();
        self.take(records)
    }

    fn take(&mut self, records: Vec<Record>) -> Result<Taken, Refusal> {
        let owners = by_owner(records.into_iter().filter_map(as_copied));
        self.show(Brought { serial: self.serial, is_whole: true, owners })
    }

    fn show(&mut self, brought: Brought) -> Result<Taken, Refusal> {
        let own = brought.owners.get(&b""[..]).map_or(&[][..], Vec::as_slice);
        let (pins, own) = own_sets(APEX, own, brought.serial, 5, &self.pins, self.now_s())?;
        let taken = self.edge.take_copy(&brought, Some(own), true, false);
        if taken != Taken::Unlike {
            self.pins = pins;
            self.edge.set_fresh(true);
        }
        Ok(taken)
    }

    /// Copies what changed since the last copy.
    fn follow(&mut self) -> Result<Taken, Refusal> {
        self.cut();
        let from = self.edge.serial();
        let editions = self.primary.editions_since(from).1.expect("they are known");
        if editions.is_empty() {
            return Ok(self.edge.take_copy(&Brought::default(), None, true, false));
        }
        let of = |records: &[Record]| records.iter().cloned().filter_map(as_copied).collect();
        let steps = editions.iter().map(|edition| (of(&edition.removed), of(&edition.added))).collect();
        let brought = self.edge.after(&Steps { from, serial: self.serial, steps }).expect("they lead from here");
        self.show(brought)
    }
}

fn primary(keys: Keyring, clock: &Clock, names: Vec<Change>) -> Zone {
    let times = Times { validity_s: 1_000, step_s: 10, parent_s: 10, zsk_s: 0 };
    let zone = Zone::new("dgns.test", &Settings::for_zone("dgns.test")).unwrap().with_editions(1);
    let zone = zone.signed(keys, times, clock.clone());
    zone.apply(names, 3).unwrap();
    zone.set_ready();
    zone.set_checkpoint("a head\n");
    zone.sign_all();
    zone.signing().unwrap().note_first_end(1_000);
    assert!(zone.has_edition());
    zone
}

fn edge(clock: &Clock, names: Vec<Change>) -> Zone {
    let zone = Zone::new("dgns.test", &Settings::for_zone("dgns.test")).unwrap();
    let zone = zone.copied(ZoneName::parse("dgns.test").unwrap(), clock.clone());
    zone.apply(names, 3).unwrap();
    zone.set_ready();
    zone
}

fn ask(zone: &Zone, name: &str, rtype: u16, dnssec_ok: bool) -> (Rcode, Vec<u8>) {
    let labels = super::super::name::labels_of(name).unwrap();
    let head = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    let opt = [0, 0, 41, 4, 208, 0, 0, u8::from(dnssec_ok) << 7, 0, 0, 0];
    let message = [&head[..], &labels, &[0], &rtype.to_be_bytes(), &[0, 1], &opt].concat();
    let mut manner = Manner::for_tests();
    let (now_s, mut out) = (manner.ready(), Vec::new());
    let asker = manner.asker(Transport::Tcp, IpAddr::V4(Ipv4Addr::LOCALHOST), now_s);
    match answer(zone, &message, &asker, &mut out) {
        Outcome::Reply { rcode, .. } => (rcode, out),
        other => panic!("{other:?}"),
    }
}

/// What becomes of a question, asked with signatures and without: `yes` the address that ends in this number, `no` denied, `fails` not answered.
fn said(zone: &Zone, name: &str, rtype: u16) -> String {
    let one = |dnssec_ok| {
        let (rcode, out) = ask(zone, &format!("{name}.dgns.test"), rtype, dnssec_ok);
        let answers = out[7];
        match (rcode, answers) {
            (Rcode::ServFail, 0) if out.windows(6).any(|bytes| bytes == [0, 15, 0, 2, 0, 24]) => "fails".to_owned(),
            (Rcode::NoError | Rcode::NxDomain, 0) => "no".to_owned(),
            (Rcode::NoError, _) if rtype == TYPE_A => {
                let at = out.windows(5).position(|bytes| bytes[..5] == [0, 4, 192, 0, 2]).expect("an address");
                format!("yes {}", out[at + 5])
            }
            (Rcode::NoError, _) => "yes".to_owned(),
            other => panic!("{name} {other:?}"),
        }
    };
    let (with, without) = (one(true), one(false));
    assert_eq!(with, without, "{name} {rtype}: signatures or not, the same is served");
    with
}

/// Holds answers against `name type what` each.
fn check(zone: &Zone, when: &str, cases: &[(&str, u16, &str)]) {
    for (name, rtype, wanted) in cases {
        assert_eq!(said(zone, name, *rtype), *wanted, "{when}: {name} {rtype}");
    }
}

const ALL_GOOD: [(&str, u16, &str); 8] = [
    ("alice", TYPE_A, "yes 1"),
    ("carol", TYPE_A, "yes 3"),
    ("_did.bobby", TYPE_TXT, "yes"),
    ("bobby", TYPE_A, "no"),
    ("nobody", TYPE_A, "no"),
    ("x.alice", TYPE_A, "no"),
    ("_checkpoint", TYPE_TXT, "yes"),
    ("_checkpoint", TYPE_A, "no"),
];

#[test]
fn nothing_is_answered_before_a_copy_and_everything_after_it() {
    let mut pair = Pair::new();
    assert_eq!(ask(&pair.edge, "alice.dgns.test", TYPE_A, false).0, Rcode::ServFail);
    assert_eq!(pair.copy(), Ok(Taken::Shown { new: 0, failed: 0 }));
    check(&pair.edge, "copied", &ALL_GOOD);
    let mut records = Vec::new();
    pair.edge.every_record(|record| records.push(record.clone()));
    assert_eq!(by_owner(records), by_owner(pair.records()), "all of it, signatures and denials");
    pair.edge.set_fresh(false);
    assert_eq!(ask(&pair.edge, "alice.dgns.test", TYPE_A, true).0, Rcode::ServFail);
}

#[test]
fn what_is_signed_and_not_the_logs_is_not_served() {
    // Goal: a primary with the zone's keys says something else than the log; the edge waits for the log, then serves the rest, and all of it once the primary
    // says what the log does. Method: a primary whose names are changed, with valid signatures, NSEC records and all.
    let strange = Change {
        content: Some(Content {
            did: Some(Did::from_bytes([8; 20])),
            log_index: 1,
            flags: 0,
            rows: Vec::new(),
            is_cut: false,
        }),
        ..name("bobby", None)
    };
    let hidden = |mut change: Change| {
        change.content.as_mut().unwrap().flags = 1;
        change
    };
    let mail = [address(1), vec![row("", TYPE_MX, b"\0\x0a\x02mx\0")]].concat();
    let both = [address(1), vec![row("", TYPE_A, &[192, 0, 2, 2])]].concat();
    let challenge = [address(1), vec![row("_x", TYPE_TXT, b"\x01a")]].concat();
    for (what, change, wanted) in [
        (
            "another address",
            name("alice", Some(address(66))),
            &[("alice", TYPE_A, "fails"), ("alice", TYPE_MX, "no")][..],
        ),
        ("one more", name("alice", Some(both)), &[("alice", TYPE_A, "fails"), ("carol", TYPE_A, "yes 3")]),
        ("none", name("alice", Some(Vec::new())), &[("alice", TYPE_A, "fails"), ("alice", TYPE_MX, "fails")]),
        (
            "no such name",
            name("bobby", None),
            &[("_did.bobby", TYPE_TXT, "fails"), ("bobby", TYPE_A, "fails"), ("nobody", TYPE_A, "no")],
        ),
        ("hidden", hidden(name("alice", Some(address(1)))), &[("alice", TYPE_A, "fails"), ("alice", TYPE_MX, "fails")]),
        ("a name of nobody", name("zoe", Some(address(66))), &[("zoe", TYPE_A, "fails"), ("alice", TYPE_A, "yes 1")]),
        ("another owner", strange, &[("_did.bobby", TYPE_TXT, "fails"), ("bobby", TYPE_A, "no")]),
        (
            "a type that no device writes",
            name("alice", Some(mail)),
            &[("alice", TYPE_MX, "fails"), ("alice", TYPE_A, "yes 1")],
        ),
        (
            "a place where none does",
            name("alice", Some(challenge)),
            &[("_x.alice", TYPE_TXT, "fails"), ("alice", TYPE_A, "yes 1")],
        ),
    ] {
        let mut pair = Pair::agreed();
        let honest = people().into_iter().find(|known| known.name == change.name);
        let honest = honest.unwrap_or_else(|| Change { name: change.name.clone(), content: None });
        pair.primary.apply(vec![change], 4).unwrap();
        for _ in 0..2 {
            assert_eq!(pair.copy(), Ok(Taken::Unlike), "{what}: the log may say so in a moment");
            check(&pair.edge, what, &ALL_GOOD);
        }
        pair.go_on(AGREE_WITHIN);
        assert!(matches!(pair.copy(), Ok(Taken::Shown { new: 1.., failed: 1.. })), "{what}");
        check(&pair.edge, what, wanted);
        check(&pair.edge, what, &[("carol", TYPE_A, "yes 3"), ("_checkpoint", TYPE_TXT, "yes")]);
        assert!(
            matches!(pair.copy(), Ok(Taken::Shown { new: 0, failed: 1.. })),
            "{what}: nothing waits for it any more"
        );
        pair.primary.apply(vec![honest], 5).unwrap();
        assert_eq!(pair.copy(), Ok(Taken::Shown { new: 0, failed: 0 }), "{what}");
        check(&pair.edge, what, &ALL_GOOD);
    }
}

#[test]
fn what_was_changed_on_its_way_is_not_served() {
    // Goal: signatures that are missing, forged or of something else take their own set away at once, and no other one.
    let key = |name: &str| sort_key(&[&super::super::name::labels_of(name).unwrap()]);
    let covers = |record: &Record, rtype: u16| record.rtype == TYPE_RRSIG && record.rdata[..2] == rtype.to_be_bytes();
    let is_of = |record: &Record, name: &str| sort_key(&[&record.owner]) == key(name);
    for (what, rtype, owner, wanted) in [
        (
            "an address",
            TYPE_A,
            "alice",
            &[("alice", TYPE_A, "fails"), ("alice", TYPE_MX, "no"), ("_did.alice", TYPE_TXT, "yes")][..],
        ),
        ("a DID", TYPE_TXT, "_did.bobby", &[("_did.bobby", TYPE_TXT, "fails"), ("bobby", TYPE_A, "no")]),
        (
            "a denial",
            TYPE_NSEC,
            "alice",
            &[("alice", TYPE_MX, "fails"), ("alice", TYPE_A, "yes 1"), ("bobby", TYPE_A, "no")],
        ),
        ("a head", TYPE_TXT, "_checkpoint", &[("_checkpoint", TYPE_TXT, "fails"), ("_checkpoint", TYPE_A, "no")]),
        ("the chain's begin", TYPE_NSEC, "", &[("alice", TYPE_A, "yes 1"), ("_did.bobby", TYPE_TXT, "yes")]),
    ] {
        let mut pair = Pair::agreed();
        let records = pair.records();
        let stripped: Vec<Record> =
            records.iter().filter(|record| !(is_of(record, owner) && covers(record, rtype))).cloned().collect();
        assert_eq!(stripped.len() + 1, records.len(), "{what}");
        let forged = records.iter().cloned().map(|mut record| {
            if is_of(&record, owner) && covers(&record, rtype) {
                *record.rdata.last_mut().unwrap() ^= 1;
            }
            record
        });
        for changed in [stripped, forged.collect()] {
            assert_eq!(pair.take(changed), Ok(Taken::Shown { new: 1, failed: 1 }), "{what}");
            check(&pair.edge, what, wanted);
            check(&pair.edge, what, &[("carol", TYPE_A, "yes 3")]);
            assert_eq!(pair.copy(), Ok(Taken::Shown { new: 0, failed: 0 }), "{what}: mended");
            check(&pair.edge, what, &ALL_GOOD);
        }
        assert!(pair.edge.is_signed_now() && pair.edge.signing().unwrap().first_end_s() > NOW_S);
        pair.go_on(Duration::from_secs(2_000));
        assert!(!pair.edge.is_signed_now(), "{what}: nothing came for too long");
        assert_eq!(pair.copy(), Err(Refusal::Keys), "{what}: signatures of long ago");
    }
}

#[test]
fn the_zones_own_sets_are_signed_or_nothing_is_taken() {
    let mut pair = Pair::agreed();
    let records = pair.records();
    let is_own = |record: &Record, rtype| record.owner.is_empty() && record.rtype == rtype;
    let signs = |record: &Record, rtype: u16| is_own(record, TYPE_RRSIG) && record.rdata[..2] == rtype.to_be_bytes();
    let without =
        |what: &dyn Fn(&Record) -> bool| records.iter().filter(|record| !what(record)).cloned().collect::<Vec<_>>();
    let changed = |what: &dyn Fn(&Record) -> bool| {
        let mut records = records.clone();
        records.iter_mut().filter(|record| what(record)).for_each(|record| *record.rdata.last_mut().unwrap() ^= 1);
        records
    };
    for (what, records, refusal) in [
        ("no keys", without(&|record| is_own(record, TYPE_DNSKEY)), Refusal::Signature),
        ("keys unsigned", without(&|record| signs(record, TYPE_DNSKEY)), Refusal::Signature),
        ("keys forged", changed(&|record| signs(record, TYPE_DNSKEY)), Refusal::Keys),
        ("no SOA", without(&|record| is_own(record, TYPE_SOA)), Refusal::Signature),
        ("another SOA", changed(&|record| is_own(record, TYPE_SOA)), Refusal::Signature),
        ("servers unsigned", without(&|record| signs(record, 2)), Refusal::Signature),
        ("nothing", Vec::new(), Refusal::Signature),
    ] {
        assert_eq!(pair.take(records), Err(refusal), "{what}");
        check(&pair.edge, what, &ALL_GOOD);
    }
    pair.serial += 1;
    assert_eq!(pair.take(records.clone()), Err(Refusal::Soa), "of another serial");
    let mut thief = Pair::agreed();
    thief.pins = pair.pins.clone();
    assert_eq!(thief.copy(), Err(Refusal::Keys), "another zone's keys");
}

#[test]
fn log_and_copy_wait_for_each_other_and_not_for_ever() {
    // Goal: the last state both had is served while one is ahead; the log alone is believed when the other one does not come.
    let mut pair = Pair::agreed();
    for last in [10, 11] {
        pair.edge.apply(vec![name("alice", Some(address(last)))], 4).unwrap();
    }
    check(&pair.edge, "the log is ahead", &ALL_GOOD);
    pair.primary.apply(vec![name("alice", Some(address(10)))], 4).unwrap();
    assert_eq!(pair.follow(), Ok(Taken::Shown { new: 0, failed: 0 }));
    check(&pair.edge, "the copy follows", &[("alice", TYPE_A, "yes 10"), ("carol", TYPE_A, "yes 3")]);
    assert_eq!(pair.edge.waiting_names(), 1);
    pair.primary.apply(vec![name("alice", Some(address(11)))], 4).unwrap();
    assert_eq!(pair.follow(), Ok(Taken::Shown { new: 0, failed: 0 }));
    check(&pair.edge, "and is there", &[("alice", TYPE_A, "yes 11")]);
    assert_eq!(pair.edge.waiting_names(), 0);

    pair.primary.apply(vec![name("zoe", Some(address(9)))], 5).unwrap();
    assert_eq!(pair.follow(), Ok(Taken::Unlike));
    check(&pair.edge, "the copy is ahead", &[("zoe", TYPE_A, "no"), ("alice", TYPE_A, "yes 11")]);
    pair.edge.apply(vec![name("zoe", Some(address(9)))], 5).unwrap();
    assert_eq!(pair.follow(), Ok(Taken::Shown { new: 0, failed: 0 }));
    check(&pair.edge, "the log follows", &[("zoe", TYPE_A, "yes 9"), ("nobody", TYPE_A, "no")]);

    pair.edge.apply(vec![name("carol", None), name("dave", Some(address(4)))], 6).unwrap();
    let nothing = Brought { serial: pair.edge.serial(), ..Brought::default() };
    assert_eq!(pair.edge.take_copy(&nothing, None, true, false), Taken::Shown { new: 0, failed: 0 });
    check(&pair.edge, "in time", &[("carol", TYPE_A, "yes 3"), ("dave", TYPE_A, "no")]);
    pair.go_on(AGREE_WITHIN);
    assert!(matches!(pair.edge.take_copy(&nothing, None, true, false), Taken::Shown { new: 2.., .. }));
    let late =
        [("carol", TYPE_A, "fails"), ("dave", TYPE_A, "fails"), ("alice", TYPE_A, "yes 11"), ("zoe", TYPE_A, "yes 9")];
    check(&pair.edge, "no copy came", &late);
    pair.primary.apply(vec![name("carol", None), name("dave", Some(address(4)))], 6).unwrap();
    assert_eq!(pair.copy(), Ok(Taken::Shown { new: 0, failed: 0 }));
    check(&pair.edge, "it came", &[("carol", TYPE_A, "no"), ("dave", TYPE_A, "yes 4")]);
}

#[test]
fn a_copy_of_before_is_shown_at_once_and_mended_by_changes() {
    // Goal: after a restart what the log has changed since is not served, and all the rest is; changes from there lead on. Nothing leads back.
    let mut pair = Pair::new();
    pair.edge.apply(vec![name("alice", Some(address(10)))], 4).unwrap();
    let owners = by_owner(pair.records().into_iter().filter_map(as_copied));
    let brought = Brought { serial: pair.serial, is_whole: true, owners };
    let (_, own) = own_sets(APEX, &brought.owners[&b""[..]], pair.serial, 5, &pair.pins, pair.now_s()).unwrap();
    assert_eq!(pair.edge.take_copy(&brought, Some(own), true, true), Taken::Shown { new: 0, failed: 0 });
    pair.edge.set_fresh(true);
    check(&pair.edge, "the log waits", &ALL_GOOD);

    let others = [people().remove(1), people().remove(2)];
    pair.edge = edge(&pair.clock, [vec![name("alice", Some(address(10)))], others.to_vec()].concat());
    let (_, own) = own_sets(APEX, &brought.owners[&b""[..]], pair.serial, 5, &pair.pins, pair.now_s()).unwrap();
    assert_eq!(pair.edge.take_copy(&brought, Some(own), true, true), Taken::Shown { new: 1, failed: 1 });
    pair.edge.set_fresh(true);
    check(&pair.edge, "kept", &[("alice", TYPE_A, "fails"), ("carol", TYPE_A, "yes 3"), ("nobody", TYPE_A, "no")]);
    pair.primary.apply(vec![name("alice", Some(address(10)))], 4).unwrap();
    assert_eq!(pair.follow(), Ok(Taken::Shown { new: 0, failed: 0 }));
    check(&pair.edge, "mended", &[("alice", TYPE_A, "yes 10"), ("carol", TYPE_A, "yes 3"), ("nobody", TYPE_A, "no")]);
    let from = pair.edge.serial();
    for serial in [from, from.wrapping_sub(1), from.wrapping_add(1 << 31)] {
        assert_eq!(pair.edge.after(&Steps { from, serial, steps: Vec::new() }), None, "{serial}");
    }
}

#[test]
fn a_label_with_a_dot_is_no_name_of_the_log() {
    // Goal: what is shown at "x.alice" does not come to stand at the one label that reads so.
    let mut pair = Pair::agreed();
    for zone in [&pair.primary, &pair.edge] {
        zone.apply(vec![name("x.alice", Some(address(8)))], 4).unwrap();
    }
    assert_eq!(pair.copy(), Ok(Taken::Shown { new: 0, failed: 0 }));
    let (odd, honest) = (b"\x07x.alice", pair.records());
    let doubled = honest.iter().filter(|record| &*record.owner == b"\x01x\x05alice");
    let doubled: Vec<Record> = doubled.map(|record| Record { owner: odd[..].into(), ..record.clone() }).collect();
    assert_eq!(doubled.len(), 4, "address, denial, and their signatures");
    let records = [honest, doubled].concat();
    assert_eq!(pair.take(records.clone()), Ok(Taken::Unlike));
    pair.go_on(AGREE_WITHIN);
    assert_eq!(pair.take(records), Ok(Taken::Shown { new: 0, failed: 0 }));
    assert!(pair.edge.read(odd, |card| card.is_none()) && said(&pair.edge, "x.alice", TYPE_A) == "yes 8");
}

#[test]
fn what_devices_write_is_shown_as_long_as_it_comes() {
    let mut pair = Pair::agreed();
    let written = vec![row("", TYPE_A, &[192, 0, 2, 77]), row("_acme-challenge", TYPE_TXT, b"\x03one")];
    pair.primary.set_volatile("bobby.dgns.test", written.clone()).unwrap();
    assert_eq!(pair.follow(), Ok(Taken::Shown { new: 0, failed: 0 }));
    let shown =
        [("bobby", TYPE_A, "yes 77"), ("_acme-challenge.bobby", TYPE_TXT, "yes"), ("_did.bobby", TYPE_TXT, "yes")];
    check(&pair.edge, "written", &shown);
    for zone in [&pair.primary, &pair.edge] {
        zone.apply(vec![name("bobby", Some(address(5)))], 4).unwrap();
    }
    assert_eq!(pair.follow(), Ok(Taken::Shown { new: 0, failed: 0 }));
    check(&pair.edge, "certified", &[("bobby", TYPE_A, "yes 5"), ("_acme-challenge.bobby", TYPE_TXT, "yes")]);
    assert_eq!(pair.edge.content("bobby.dgns.test").unwrap().rows, address(5));
    pair.primary.set_volatile("bobby.dgns.test", Vec::new()).unwrap();
    assert_eq!(pair.follow(), Ok(Taken::Shown { new: 0, failed: 0 }));
    check(&pair.edge, "gone", &[("bobby", TYPE_A, "yes 5"), ("_acme-challenge.bobby", TYPE_TXT, "no")]);
}

#[test]
fn an_edge_that_follows_every_change_is_the_zone() {
    // Goal: after random changes of names, delegations and what devices write, copied change by change, the edge has every record of the primary.
    let (mut pair, mut random) = (Pair::agreed(), 0x9E37_79B9_7F4A_7C15_u64);
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for round in 0..120 {
        let mut changes = Vec::new();
        for _ in 0..next() % 4 {
            let who = format!("n{}", next() % 9);
            let who = if next() % 3 == 0 { format!("x.{who}") } else { who };
            let last = (next() % 250) as u8;
            let mut change = name(&who, (next() % 4 > 0).then(|| address(last)));
            if next() % 5 == 0
                && let Some(content) = &mut change.content
            {
                let digest = if next() % 2 == 0 { vec![row("", 43, &[last; 36])] } else { Vec::new() };
                let servers = vec![row("", 2, b"\x02NS\x07Example\0"), row("ns", TYPE_A, &[192, 0, 2, last])];
                (content.rows, content.is_cut, content.flags) = ([servers, digest].concat(), true, 2);
            }
            changes.push(change);
        }
        pair.primary.apply(changes.clone(), round).unwrap();
        pair.edge.apply(changes, round).unwrap();
        let text = vec![row("_acme-challenge", TYPE_TXT, &[1, b'a' + (next() % 26) as u8])];
        let rows = if next() % 2 == 0 { text } else { Vec::new() };
        pair.primary.set_volatile(&format!("n{}.dgns.test", next() % 9), rows).unwrap();
        if next() % 3 > 0 {
            assert_eq!(pair.follow(), Ok(Taken::Shown { new: 0, failed: 0 }), "round {round}");
        }
    }
    pair.follow().unwrap();
    let ours = pair.records().into_iter().filter_map(as_copied).collect::<Vec<_>>();
    let mut theirs = Vec::new();
    pair.edge.every_record(|record| theirs.extend(as_copied(record.clone())));
    assert_eq!(by_owner(theirs), by_owner(ours));
    assert_eq!(pair.edge.waiting_names(), 0);
}

fn message(records: &[Record]) -> Vec<u8> {
    let mut message = [&[0, 1, 0x84, 0, 0, 1, 0, records.len() as u8, 0, 0, 0, 0][..], APEX, &[0, 252, 0, 1]].concat();
    for Record { owner, rtype, ttl_s, rdata } in records {
        let length = (rdata.len() as u16).to_be_bytes();
        message.extend([owner, APEX, &rtype.to_be_bytes(), &[0, 1], &ttl_s.to_be_bytes(), &length, rdata].concat());
    }
    message
}

fn soa(serial: u32) -> Record {
    Record::new(b"", TYPE_SOA, 5, &[b"\0\0", &serial.to_be_bytes(), &[0; 16]])
}

#[test]
fn messages_are_a_transfer_or_none() {
    let a = |last| Record::new(b"\x05alice", TYPE_A, 60, &[&[192, 0, 2, last]]);
    let read = |messages: &[&[Record]], bytes_max| {
        let mut reading = Reading::new(APEX.to_vec(), bytes_max);
        let mut is_last = false;
        for records in messages {
            assert!(!is_last, "nothing is read behind the last one");
            is_last = reading.push(&message(records))?;
        }
        Ok(reading.end())
    };
    let good = |messages: &[&[Record]]| read(messages, 1 << 20);
    let steps = vec![(vec![soa(1), a(1)], vec![soa(2), a(2)]), (vec![soa(2)], vec![soa(3), a(3)])];
    let changes = Came::Changes(Steps { from: 1, serial: 3, steps });
    let parts = [soa(3), soa(1), a(1), soa(2), a(2), soa(2), soa(3), a(3), soa(3)];
    assert_eq!(good(&[&parts]), Ok(Some(changes)));
    for cut in 2..parts.len() {
        assert!(matches!(good(&[&parts[..cut], &parts[cut..]]), Ok(Some(Came::Changes(_)))), "{cut}");
        assert_eq!(good(&[&parts[..cut]]), Ok(None), "{cut}: there is no end");
    }
    let owners = by_owner([soa(3), a(1)]);
    assert_eq!(good(&[&[soa(3), a(1)], &[soa(3)]]), Ok(Some(Came::Whole { serial: 3, owners })));
    assert_eq!(good(&[&[soa(3)]]), Ok(Some(Came::Nothing(3))));
    assert_eq!(read(&[&[soa(3), a(1), soa(3)]], 100), Err(reading::NoTransfer::TooLong));
    let out = Record { owner: Box::from(*b"\x01x\x07example\0"), ..a(1) };
    for (what, records) in [
        ("nothing", vec![]),
        ("no SOA", vec![a(1)]),
        ("two ends", vec![soa(3), a(1), soa(3), soa(3)]),
        ("two heads", vec![soa(3), soa(3)]),
        ("steps that do not fit", vec![soa(3), soa(1), soa(2), soa(1)]),
        ("another end", vec![soa(3), a(1), soa(2)]),
        ("a SOA elsewhere", vec![soa(3), Record { owner: a(1).owner, ..soa(3) }]),
        ("a short SOA", vec![soa(3), Record { rdata: Box::from([0; 9]), ..soa(3) }]),
    ] {
        assert_eq!(good(&[&records]), Err(reading::NoTransfer::Malformed), "{what}");
    }
    let mut elsewhere = message(&[soa(3), out]);
    let at = elsewhere.windows(9).rposition(|bytes| bytes == b"\x07example\0").unwrap();
    elsewhere.truncate(at + 9);
    assert!(Reading::new(APEX.to_vec(), 1 << 20).push(&elsewhere).is_err());
}

use std::collections::BTreeMap;
use std::io::Cursor;
use std::net::IpAddr;

use identity::did::Did;
use identity::time::Timestamp;

use super::super::{Change, Content, Record, Settings};
use super::*;
use crate::clock::Clock;
use crate::dns::dnssec::{Algorithm, Keyring, Signature, Times};

const ZONE: &str = "dgns.test";
const NOW_S: u64 = 1_700_000_000;
const END: End = End { size: 0, root: [7; 32], made_s: NOW_S };

/// Keys whose signatures are the same each time.
fn ring() -> Keyring {
    Keyring::generate(ZONE, Algorithm::Ed25519, NOW_S)
}

fn empty(ring: Option<&Keyring>, server: Option<IpAddr>) -> Zone {
    let mut settings = Settings::for_zone(ZONE);
    settings.nameservers[0].addresses.extend(server);
    let zone = Zone::new(ZONE, &settings).unwrap();
    let times = Times { validity_s: 1_000, step_s: 10, parent_s: 10, zsk_s: 0 };
    let clock = Clock::fixed_for_tests(Timestamp::from_ms(NOW_S * 1_000));
    match ring {
        Some(ring) => zone.signed(ring.clone(), times, clock),
        None => zone,
    }
}

fn random() -> impl FnMut(u64) -> u64 {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    move |below| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    }
}

fn row(owner: &str, rtype: u16, rdata: &[u8]) -> Row {
    Row { owner: owner.into(), rtype, rdata: rdata.to_vec(), ttl: 60 }
}

/// What one of thirty names may become: nobody's, hidden, delegated, with an alias, with addresses and a service; some lie below others.
fn change(next: &mut impl FnMut(u64) -> u64) -> Change {
    let (number, kind) = (next(30) as u8, next(6) as u8);
    let name = if number % 3 == 0 { format!("w.n{}.{ZONE}", number / 2) } else { format!("n{number}.{ZONE}") };
    let did = Some(Did::from_bytes([number; 20]));
    let is_cut = kind == 2 && number % 3 == 0; // names below have no names below
    let rows = match kind {
        _ if is_cut => {
            vec![row("", 2, b"\x02ns\x07example\0"), row("ns", 1, &[192, 0, 2, 1]), row("", 43, &[number; 36])]
        }
        3 => vec![row("", 5, b"\x02n1\x04dgns\x04test\0")],
        4 => Vec::new(),
        _ => vec![row("", 1, &[192, 0, 2, next(250) as u8]), row("_x", 16, &[1, b'a'])],
    };
    let flags = u32::from(kind == 1) | (next(2) as u32 * 2);
    let content = (kind > 0).then_some(Content { did, log_index: next(1 << 39), flags, rows, is_cut });
    Change { name, content }
}

/// Snapshot, written to its end while `meanwhile` happens between its steps; with the log's size that it has.
fn written(zone: &Zone, mut meanwhile: impl FnMut(usize)) -> (Vec<u8>, End) {
    let mut writing = Writing::begin(zone, Vec::new()).unwrap();
    let mut steps = 0;
    let size = loop {
        match writing.step(zone).unwrap() {
            Some(size) => break size,
            None => meanwhile(steps),
        }
        steps += 1;
    };
    let end = End { size, ..END };
    let count = writing.bytes() + END_BYTES as u64;
    let bytes = writing.end(&end).unwrap();
    assert_eq!((bytes.len() as u64, End::read(&mut Cursor::new(&bytes)).unwrap()), (count, end));
    (bytes, end)
}

fn adopted(zone: Zone, bytes: &[u8]) -> Zone {
    let loaded = Loaded::read(&zone, bytes).unwrap_or_else(|why| panic!("{why}"));
    let zone = zone.adopt(loaded);
    zone.set_all_volatile(HashMap::new()).unwrap();
    zone
}

fn records(zone: &Zone) -> Vec<Record> {
    let mut records: Vec<Record> = zone.parts().iter().flat_map(|part| zone.records_of(part)).collect();
    records.sort();
    records
}

/// Returns the records, of signatures only what they are of, having held each signature against what it signs.
fn signed_well(zone: &Zone) -> Vec<Record> {
    let records = records(zone);
    let mut sets: BTreeMap<(&[u8], u16), Vec<&Record>> = BTreeMap::new();
    for record in &records {
        sets.entry((&record.owner, record.rtype)).or_default().push(record);
    }
    let bare = |record: &Record| {
        if record.rtype != TYPE_RRSIG {
            return record.clone();
        }
        let number = |at: usize| u32::from_be_bytes(record.rdata[at..at + 4].try_into().unwrap());
        let covered = u16::from_be_bytes([record.rdata[0], record.rdata[1]]);
        let set = &sets[&(&*record.owner, covered)];
        let rdata: Vec<&[u8]> = set.iter().map(|record| &*record.rdata).collect();
        let signature = Signature {
            expiration_s: number(8),
            inception_s: number(12),
            key_tag: u16::from_be_bytes([record.rdata[16], record.rdata[17]]),
            bytes: record.rdata[18 + zone.apex.wire().len()..].try_into().unwrap(),
        };
        let made = zone.signing.as_ref().unwrap().made(&record.owner, covered, set[0].ttl_s, &rdata, &signature);
        assert!(made, "a signature of another {covered} at {}", name::text_of(&record.owner));
        Record::new(&record.owner, TYPE_RRSIG, record.ttl_s, &[&record.rdata[..2]])
    };
    records.iter().map(bare).collect()
}

#[test]
fn a_zone_from_a_snapshot_is_one_that_was_read_anew() {
    // Goal: whatever happened before, while a snapshot was written, and afterwards in the log: the zone from the snapshot has the records of one that
    // is built of the log alone, every one of them signed at once, and counts what that counts. Method: random histories with names coming, going,
    // hidden, delegated, below others; what devices write, challenges, the newest head and rounds of signing; steps of the snapshot in between.
    let mut next = random();
    for history in 0..60 {
        let ring = ring();
        let ring = (history % 4 > 0).then_some(&ring);
        let zone = empty(ring, Some([192, 0, 2, 53].into()));
        zone.set_ready();
        let (mut log, mut sizes) = (BTreeMap::new(), Vec::new());
        let mut happen = |next: &mut dyn FnMut(u64) -> u64| {
            let mut next = |below| next(below);
            match next(9) {
                0 => zone.set_checkpoint(&format!("note {}", next(1_000))),
                1 => zone
                    .set_volatile(
                        &format!("n{}.{ZONE}", next(30)),
                        vec![row("", 1, &[192, 0, 2, 9]), row("_y", 16, b"\x01y")],
                    )
                    .unwrap(),
                2 => zone.set_challenges(&format!("ns.{ZONE}"), &["challenge".to_owned()][..next(2) as usize]).unwrap(),
                3 => {
                    let content = Content {
                        did: Some(Did::from_bytes([0; 20])),
                        log_index: 0,
                        flags: 2,
                        rows: vec![row("", 16, b"\x01t")],
                        is_cut: false,
                    };
                    let name = format!("a{}.auth.{ZONE}", next(4));
                    zone.apply(vec![Change { name, content: (next(3) > 0).then_some(content) }], 0).unwrap();
                }
                4 => drop(zone.sign_from(None, 8, 8)),
                _ => {
                    let changes: Vec<Change> = (0..next(4)).map(|_| change(&mut next)).collect();
                    let size = sizes.len() as u64 + 1;
                    sizes.push(changes.iter().map(|change| change.name.clone()).collect::<Vec<_>>());
                    log.extend(changes.iter().map(|change| (change.name.clone(), change.clone())));
                    zone.apply(changes, size).unwrap();
                }
            }
        };
        (0..60).for_each(|_| happen(&mut next));
        let busy = history % 3;
        let (bytes, end) = written(&zone, |step| {
            // Between the last steps, too, when names are written and owners are not.
            if busy > 0 && (step % 16 == 0 || step > ZONE_SEGMENTS - 3) {
                (0..busy).for_each(|_| happen(&mut next));
            }
        });
        (0..next(20)).for_each(|_| happen(&mut next));
        assert!(zone.recorder.lock().is_none() && zone.changes() > 0, "nothing is noted any more");

        let server = (history % 2 == 0).then_some([192, 0, 2, 54].into());
        let (size, all) = (sizes.len() as u64, log.values().cloned().collect::<Vec<_>>());
        let since: Vec<String> = sizes[end.size as usize..].concat();
        let since: Vec<Change> =
            log.iter().filter(|(name, _)| since.contains(*name)).map(|(_, change)| change.clone()).collect();
        let anew = empty(ring, server);
        anew.apply(all, size).unwrap();
        anew.set_ready();
        anew.sign_all();
        let restored = adopted(empty(ring, server), &bytes);
        restored.apply(since, size).unwrap();
        restored.set_ready();
        match ring {
            Some(_) => assert_eq!(signed_well(&restored), signed_well(&anew), "history {history}"),
            None => assert_eq!(records(&restored), records(&anew), "history {history}"),
        }
        let glue = |zone: &Zone| zone.lock_glue().iter().map(|(_, name)| name.clone()).collect::<BTreeSet<_>>();
        let counts = |zone: &Zone| {
            (zone.names(), zone.cuts.load(Ordering::Relaxed), glue(zone), zone.cards.len(), zone.serial())
        };
        assert_eq!(counts(&restored), counts(&anew), "history {history}");
        assert!(restored.lock_volatile().is_empty());
    }
}

#[test]
fn nothing_is_signed_of_a_zone_that_comes_back_as_it_was() {
    // Goal: a start signs what is not from the log, and none of the names.
    let ring = ring();
    let zone = empty(Some(&ring), None);
    zone.set_ready();
    zone.apply((0..200).map(|_| ()).scan(random(), |next, ()| Some(change(next))).collect(), 9).unwrap();
    let restored = adopted(empty(Some(&ring), None), &written(&zone, |_| ()).0);
    restored.set_ready();
    let (signing, owners) = (restored.signing().unwrap(), zone.signing().unwrap().owners());
    assert!(signing.signatures() < 16 && owners > 30, "{} of {owners} owners", signing.signatures());
    assert_eq!(signed_well(&restored), signed_well(&zone));
}

#[test]
fn a_snapshot_that_is_not_as_it_was_written_is_refused() {
    // Goal: no byte can be another one, and none can be missing or too many; the zone is as before and takes its names from the database. Method:
    // every thirteenth byte, which is each of its bytes in some frame; every 61st length.
    let ring = ring();
    let zone = empty(Some(&ring), None);
    zone.set_ready();
    zone.apply(vec![change(&mut random()), change(&mut random())], 9).unwrap();
    let (bytes, end) = written(&zone, |_| ());
    let fresh = empty(Some(&ring), None);
    let is_refused = |bytes: &[u8]| match End::read(&mut Cursor::new(bytes)) {
        Ok(said) => !Loaded::read(&fresh, bytes).is_ok_and(|loaded| loaded.end() == said && said == end),
        Err(_) => true,
    };
    assert!(!is_refused(&bytes));
    for at in (0..bytes.len()).step_by(13).chain(bytes.len() - END_BYTES..bytes.len()) {
        let mut other = bytes.clone();
        other[at] ^= 1 << (at % 8);
        assert!(is_refused(&other), "byte {at}");
    }
    for length in (0..bytes.len()).step_by(61) {
        assert!(is_refused(&bytes[..length]), "{length} bytes");
    }
    let (body, end) = bytes.split_at(bytes.len() - END_BYTES);
    assert!(is_refused(&[&bytes, body, end].concat()) && is_refused(&[body, end, end].concat()) && is_refused(end));
    assert_eq!((fresh.names(), fresh.signs()), (0, false));
}

#[test]
fn a_snapshot_of_another_zone_setting_or_key_is_refused() {
    let (ours, theirs) = (ring(), ring());
    let zone = empty(Some(&ours), None);
    zone.set_ready();
    let (bytes, _) = written(&zone, |_| ());
    let refused =
        |zone: &Zone| Loaded::read(zone, bytes.as_slice()).err().map(|why| why.to_string()).unwrap_or_default();
    let with = |change: fn(&mut Settings)| {
        let mut settings = Settings::for_zone(ZONE);
        change(&mut settings);
        let times = Times { validity_s: 1_000, step_s: 10, parent_s: 10, zsk_s: 0 };
        Zone::new(ZONE, &settings).unwrap().signed(ours.clone(), times, Clock::fixed_for_tests(Timestamp::from_ms(0)))
    };
    assert_eq!(refused(&with(|_| ())), "");
    assert_eq!(refused(&empty(Some(&theirs), None)), "it is of another key");
    for other in
        [with(|settings| settings.publish_did = false), with(|settings| settings.negative_ttl_s = 1), empty(None, None)]
    {
        assert!(refused(&other).contains("setting"), "{}", refused(&other));
    }
    let other = Zone::new("other.test", &Settings::for_zone("other.test")).unwrap();
    assert_eq!(refused(&other), "it is of another zone");
    let magic = bytes.windows(MAGIC.len()).position(|window| window == MAGIC).unwrap();
    let older = [&bytes[..magic], b"dgns-zone 1", &bytes[magic + MAGIC.len()..]].concat();
    let why = Loaded::read(&with(|_| ()), older.as_slice()).err().map(|why| why.to_string());
    assert_eq!(why.as_deref(), Some("it is of another version"));
}

#[test]
fn what_changes_too_much_is_given_up() {
    // Goal: a snapshot whose zone changes more than is noted fails, and nothing is noted after that.
    let zone = empty(None, None);
    let mut writing = Writing::begin(&zone, Vec::new()).unwrap();
    for number in 0..=SNAPSHOT_TOUCHED_MAX as u64 {
        zone.recorder.card(&number.to_le_bytes());
    }
    let failed = loop {
        if let Err(error) = writing.step(&zone) {
            break error.to_string();
        }
    };
    assert_eq!(failed, "too much changed meanwhile");
    assert_eq!(zone.recorder.lock().as_ref().map(Touched::len), Some(0), "memory is given back");
    zone.forget_snapshot();
    assert!(!zone.recorder.is_on());
}

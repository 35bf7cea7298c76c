use identity::cert::{Body, Certificate, DeviceEnd, EndReason, IdRotate, Kid};
use identity::state::{DeviceState, DeviceStatus, DidState};

use super::dora::{Dora, device, key};
use super::*;
use crate::resolve::{Continuity, Resolved, verify};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

fn suspend(number: u8) -> Body {
    Body::DeviceSuspend(DeviceEnd { kid: kid(number), reason: EndReason::Lost })
}

fn revoke(number: u8) -> Body {
    Body::DeviceRevoke(DeviceEnd { kid: kid(number), reason: EndReason::Stolen })
}

fn kid(number: u8) -> Kid {
    key(number).kid()
}

/// A reader of Dora's chain.
#[derive(Clone)]
struct Reader(Memory);

impl Reader {
    fn new(dora: &Dora) -> Self {
        Self(Memory::new(dora.log.origin.clone()))
    }

    /// A reader who has met her as she is now.
    fn of(dora: &Dora) -> Self {
        let mut reader = Self::new(dora);
        assert_eq!(reader.reads(dora, Vec::new()).unwrap().footing(), Some(Footing::Map));
        reader
    }

    fn reads(&mut self, dora: &Dora, rows: Vec<ChainRow>) -> Result<Resolved, VerifyError> {
        let bytes = dora.answer(self.0.size(), rows).encode();
        let before = self.0.clone();
        let found = verify(&dora.log.trust(), &mut self.0, &dora.subject(), &bytes, dora.log.now());
        assert!(found.is_ok() || self.0 == before, "what is refused is not remembered");
        found
    }

    fn footing(&mut self, dora: &Dora, from: usize) -> Result<Footing, VerifyError> {
        self.reads(dora, dora.rows(from)).map(|found| found.footing().unwrap())
    }

    fn version(&self, dora: &Dora) -> u64 {
        self.0.known(&dora.did).unwrap().version()
    }
}

/// A week old, with devices 1, 2 and 3 that vote.
fn grown() -> Dora {
    let mut dora = Dora::new();
    dora.does(Body::DeviceAdd(device(2)), &[0, 2]);
    dora.does(Body::DeviceAdd(device(3)), &[0, 3]);
    dora.log.wait(7 * DAY);
    dora.epoch();
    dora
}

/// What a week of hers brings: acts at once, acts that wait, acts that lapse.
fn lives(dora: &mut Dora) {
    dora.does(Body::DeviceAdd(device(4)), &[1, 4]);
    dora.does(suspend(3), &[2]);
    dora.log.wait(2 * DAY);
    dora.does(Body::Policy { window_s: 2 * 86_400 }, &[1]);
    dora.log.wait(2 * DAY);
    dora.does(revoke(2), &[1, 3]);
    dora.does(Body::IdRotate(IdRotate { identity: key(9).public(), words_box: [9; 32] }), &[0, 9]);
}

#[test]
fn a_chain_is_followed_from_the_state_remembered_to_the_one_shown() {
    let mut dora = grown();
    let mut reader = Reader::of(&dora);
    lives(&mut dora);
    assert_eq!(reader.footing(&dora, 3), Ok(Footing::Remembered));
    assert_eq!(reader.version(&dora), dora.state().version);
    // What falls due changes the state without a certificate.
    dora.does(Body::Policy { window_s: 86_400 }, &[1]);
    assert_eq!(reader.footing(&dora, 8), Ok(Footing::Remembered));
    dora.log.wait(2 * DAY);
    dora.epoch();
    assert_eq!(reader.footing(&dora, 9), Ok(Footing::Remembered));
    assert_eq!(dora.state().window_s, 86_400);
    assert_eq!(reader.reads(&dora, Vec::new()).unwrap().continuity(), Continuity::SameHead);
}

#[test]
fn a_chain_is_followed_from_its_genesis_page_by_page() {
    let mut dora = grown();
    lives(&mut dora);
    assert_eq!(Reader::new(&dora).footing(&dora, 0), Ok(Footing::Genesis));
    let (rows, mut reader) = (dora.rows(0), Reader::new(&dora));
    for (page, next) in [(0..3, 3), (3..4, 4), (4..6, 6)] {
        let found = reader.reads(&dora, rows[page].to_vec()).unwrap();
        assert_eq!((found.footing(), found.unfollowed()), (Some(Footing::Unfollowed { next }), Some(next)));
        assert!(reader.version(&dora) < dora.state().version, "what was not followed is not remembered");
        assert_eq!(Memory::decode(&reader.0.encode()).as_ref(), Ok(&reader.0));
    }
    assert_eq!(reader.reads(&dora, rows[6..].to_vec()).unwrap().footing(), Some(Footing::Genesis));
    assert!(reader.0.known(&dora.did).unwrap().is_from_genesis());
    dora.does(suspend(3), &[1]);
    assert_eq!(reader.footing(&dora, 8), Ok(Footing::Genesis), "once, increments after");
}

#[test]
fn a_state_is_not_followed_before_its_certificates_are_there() {
    let mut dora = grown();
    let mut reader = Reader::of(&dora);
    let before = reader.version(&dora);
    lives(&mut dora);
    let found = reader.reads(&dora, Vec::new()).unwrap();
    assert_eq!((found.unfollowed(), reader.version(&dora)), (Some(3), before));
    assert_eq!(reader.footing(&dora, 3), Ok(Footing::Remembered));
}

#[test]
fn a_name_received_changes_the_state_without_a_certificate_of_the_chain() {
    let mut dora = grown();
    let mut reader = Reader::of(&dora);
    dora.shows(|state| state.names = vec!["dora.dgns.test".into()]);
    assert_eq!(reader.footing(&dora, 3), Ok(Footing::Remembered));
    dora.does(suspend(3), &[1]);
    assert_eq!(reader.footing(&dora, 3), Ok(Footing::Remembered));
}

#[test]
fn rows_that_are_not_the_next_of_the_chain_are_refused() {
    let mut dora = grown();
    let reader = Reader::of(&dora);
    lives(&mut dora);
    let rows = dora.rows(0);
    let refused = |rows: Vec<ChainRow>, what| {
        assert_eq!(reader.clone().reads(&dora, rows), Err(VerifyError::Chain), "{what}");
    };
    let since = |picked: &[usize]| picked.iter().map(|at| rows[*at].clone()).collect::<Vec<_>>();
    refused(since(&[3, 5, 6, 7]), "a row missing in the middle");
    refused(since(&[4, 5, 6, 7]), "a row missing at the beginning");
    refused(since(&[4, 3, 5, 6, 7]), "rows exchanged");
    refused(since(&[3, 3, 4, 5, 6, 7]), "a row twice");
    refused(since(&[2, 3, 4, 5, 6, 7]), "a row known already");
    refused(vec![dora.log.row(1, 1)], "a row of another chain");
    let newcomer = |rows: Vec<ChainRow>| Reader::new(&dora).reads(&dora, rows);
    assert_eq!(newcomer(since(&[1, 2, 3, 4, 5, 6, 7])), Err(VerifyError::Chain), "not from the genesis");
    assert_eq!(newcomer(vec![dora.log.row(1, 1)]), Err(VerifyError::Chain), "another genesis");
    let bends: [fn(&mut ChainRow); 7] = [
        |row| row.index += 1,
        |row| row.path[0][0] ^= 1,
        |row| *row.envelope.last_mut().unwrap() ^= 1,
        |row| row.k += 1,
        |row| row.before = None,
        |row| row.epoch.entry[20] ^= 1,
        |row| row.before.as_mut().unwrap().path[0][0] ^= 1,
    ];
    for bend in bends {
        let mut row = rows[3].clone();
        bend(&mut row);
        refused(vec![row], "a row out of its place");
    }
    // A row of another time: the rules would judge it at another moment.
    let mut moved = since(&[3, 4]);
    (moved[0].k, moved[0].before, moved[0].epoch) = (moved[1].k, moved[1].before.clone(), moved[1].epoch.clone());
    refused(moved, "a row of another batch");
}

#[test]
fn certificates_that_the_rules_refuse_are_refused_wherever_they_stand() {
    // Goal: an operator who logs and applies what the rules forbid convinces nobody who follows the chain. Method: each such
    // certificate in the log, and the state it would have made in the map.
    type Bad = (&'static str, fn(&mut Dora) -> Certificate, fn(&mut DidState));
    let add: fn(&mut DidState) = |state| {
        let device = device(7);
        let (sign, kex, level, index) = (device.sign, device.kex, device.level, state.head.index);
        state.devices.push(DeviceState { sign, kex, level, status: DeviceStatus::Live, index, until_ms: 0 });
        state.devices.sort_by_key(|device| identity::key::kid_of(&device.sign));
    };
    let bad: [Bad; 6] = [
        ("not signed by the new device", |dora| dora.next(Body::DeviceAdd(device(7)), &[0]), add),
        ("a voter alone makes a voter", |dora| dora.next(Body::DeviceAdd(device(7)), &[1, 7]), add),
        ("signed by strangers", |dora| dora.next(Body::DeviceAdd(device(7)), &[7, 8]), add),
        ("a forged signature", |dora| forged(&dora.next(Body::DeviceAdd(device(7)), &[0, 7])), add),
        (
            "a revoked device acts",
            |dora| {
                dora.does(revoke(3), &[0]);
                dora.next(Body::Policy { window_s: 172_800 }, &[3])
            },
            |state| state.window_s = 172_800,
        ),
        (
            "a suspended device acts",
            |dora| {
                dora.does(suspend(3), &[0]);
                dora.next(revoke(1), &[3, 2])
            },
            |state| state.devices.retain(|device| device.sign != key(1).public()),
        ),
    ];
    for (what, makes, forge) in bad {
        let mut dora = grown();
        let mut reader = Reader::of(&dora);
        let certificate = makes(&mut dora);
        dora.forges(&certificate, forge);
        assert_eq!(reader.footing(&dora, 3), Err(VerifyError::Chain), "{what}");
        assert_eq!(Reader::new(&dora).footing(&dora, 0), Err(VerifyError::Chain), "{what}, from the genesis");
    }
}

/// The same with another last byte of the first signature.
fn forged(certificate: &Certificate) -> Certificate {
    let mut signatures = certificate.signatures().to_vec();
    signatures[0].1[63] ^= 1;
    Certificate::assemble(certificate.payload_bytes(), signatures).unwrap()
}

#[test]
fn states_that_the_chain_does_not_justify_are_refused() {
    // Goal: the map may hold what the log signs, but a DID that is followed has no key its chain did not add. Method: one part
    // of the state after another changed, with a certificate that says nothing of it, and without any.
    type Change = (&'static str, fn(&mut DidState));
    let changes: [Change; 9] = [
        ("another device key", |state| state.devices[0].sign = key(7).public()),
        ("another sealing key", |state| state.devices[0].kex = [7; 32]),
        ("a device gone", |state| state.devices.truncate(2)),
        ("another identity key", |state| state.identity = key(7).public()),
        ("another words box", |state| state.words_box = [7; 32]),
        ("another window", |state| state.window_s = 86_401),
        ("an act that nobody opened", |state| state.pending.push(state.pending[0].clone())),
        ("an act withdrawn by nobody", |state| state.pending.clear()),
        ("an end that nobody asked for", |state| state.flags |= DidState::ENDED),
    ];
    for (what, change) in changes {
        let [mut dora, mut idle] = [(), ()].map(|()| {
            let mut dora = grown();
            dora.does(Body::Policy { window_s: 172_800 }, &[1]);
            dora
        });
        let reader = Reader::of(&dora);
        idle.shows(change);
        assert_eq!(reader.clone().footing(&idle, 4), Err(VerifyError::Chain), "{what}, out of nothing");
        assert_eq!(Reader::new(&idle).footing(&idle, 0), Err(VerifyError::Chain), "{what}, from the genesis");
        dora.does(suspend(3), &[2]);
        dora.shows(change);
        assert_eq!(reader.clone().footing(&dora, 4), Err(VerifyError::Chain), "{what}, beside a certificate");
    }
}

#[test]
fn what_is_due_and_did_not_settle_is_refused() {
    let mut dora = grown();
    dora.does(suspend(3), &[1]);
    let mut reader = Reader::of(&dora);
    dora.log.wait(2 * DAY);
    let stale = dora.leaf();
    dora.log.batch(&[], vec![stale]);
    assert_eq!(reader.footing(&dora, 4), Err(VerifyError::Chain), "a suspension kept beyond its due");
    dora.epoch();
    assert_eq!(reader.footing(&dora, 4), Ok(Footing::Remembered));
}

#[test]
fn a_tombstone_ends_the_chain_or_died_as_the_state_says() {
    // Goal: whether names below kept the DID from ending is the map's word; nothing else may differ.
    let mut dora = grown();
    let mut reader = Reader::of(&dora);
    dora.does(Body::Tombstone, &[1]);
    dora.does(Body::Tombstone, &[2]);
    let mut early = Reader::of(&dora);
    dora.shows(|state| {
        state.flags |= DidState::ENDED;
        state.pending.clear();
    });
    assert_eq!(early.footing(&dora, 5), Err(VerifyError::Chain), "before its due");

    let mut dora = grown();
    dora.does(Body::Tombstone, &[1]);
    dora.does(Body::Tombstone, &[2]);
    assert_eq!(reader.footing(&dora, 3), Ok(Footing::Remembered));
    dora.log.wait(2 * DAY);
    dora.epoch();
    assert_eq!(dora.state().flags, DidState::ENDED);
    let mut other = reader.clone();
    assert_eq!(reader.footing(&dora, 5), Ok(Footing::Remembered));

    let mut dora = grown();
    dora.does(Body::Tombstone, &[1]);
    dora.does(Body::Tombstone, &[2]);
    dora.log.wait(2 * DAY);
    dora.shows(|state| {
        state.version += 1;
        state.pending.clear();
    });
    assert_eq!(other.footing(&dora, 5), Ok(Footing::Remembered), "both died");
}

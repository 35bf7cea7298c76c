//! Whatever decodes is judged: no certificate makes a decision read what it did not name, or panic.

use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use proptest::test_runner::RngSeed;

use super::log::*;
use crate::cert::{Body, Certificate, Payload, Sid};
use crate::did::Did;
use crate::state::Subject;
use crate::testing::arbitrary;
use crate::testing::samples::key;

const NAMES: [&str; 9] = [
    "alice.dgns.test",
    "photos.alice.dgns.test",
    "a.photos.alice.dgns.test",
    "bob.alice.dgns.test",
    "held.dgns.test",
    "a.held.dgns.test",
    "nobody.dgns.test",
    "dgns.test",
    "alice.other.test",
];

/// Alice with names and acts of every kind; Bob below her; names held.
fn crowded() -> (Log, Vec<Did>, Vec<Sid>) {
    let (mut log, alice) = Log::with_alice(6);
    let bob = log.join(20, 21);
    log.does(alice, below("photos.alice.dgns.test"), &[11, Z]);
    log.act_by(bob, alice, below("bob.alice.dgns.test"), &[21, 11, Z]).expect("granted");
    log.does(alice, open_road("held.dgns.test", &alice), &[11, Z]);
    log.does(alice, release("held.dgns.test"), &[10]);
    log.does(alice, add(17), &[11, 17]);
    let moved = log.act_by(alice, bob, transfer("alice.dgns.test", bob), &[11, 21]).expect("opened");
    let ended = log.does(bob, Body::Tombstone, &[21]);
    let released = log.does(alice, release("bob.alice.dgns.test"), &[12]);
    let contested = log.does(alice, revoke(15), &[14]);
    let suspended = log.does(alice, suspend(16), &[13]);
    let dids = vec![alice, bob, log.server(), Did::from_bytes([9; 20])];
    (log, dids, vec![moved, ended, released, contested, suspended, [0; 32]])
}

/// Turns any payload into one about people and names that exist, or nearly.
fn adapted(log: &Log, payload: Payload, dids: &[Did], acts: &[Sid], pick: &[Index; 5]) -> Payload {
    let [subject, name, other, act, place] = pick;
    let (did, other) = (*subject.get(dids), *other.get(dids));
    let to_name = |name: &mut String| *name = pick[1].get(&NAMES).to_string();
    let mut payload = payload;
    match &mut payload.body {
        Body::Claim(claim) => to_name(&mut claim.name),
        Body::Records(records) => to_name(&mut records.name),
        Body::Delegate(delegate) => to_name(&mut delegate.name),
        Body::Transfer { name, to } => {
            to_name(name);
            *to = to.map(|_| other);
        }
        Body::DeviceSuspend(end) | Body::DeviceRevoke(end) => end.kid = kid(10 + name.index(10) as u8),
        Body::Confirm { act: sid } | Body::Veto { act: sid } => *sid = *act.get(acts),
        _ => {}
    }
    payload.by = payload.by.map(|_| other);
    if let Some(crate::cert::ChainId::Did(_)) = payload.subject {
        let head = log.states.contains_key(&Subject::Did(did)).then(|| log.did(&did).head);
        let late = u64::from(place.index(20) == 0);
        payload.subject = Some(did.into());
        (payload.seq, payload.prev) = head.map_or((1, Some([0; 32])), |head| (head.seq + 1 + late, Some(head.sid)));
    }
    payload
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, rng_seed: RngSeed::Fixed(5), ..ProptestConfig::default() })]

    #[test]
    fn any_certificate_is_accepted_or_refused(
        payload in arbitrary::payload(),
        pick in any::<[Index; 5]>(),
        signers in subsequence(vec![2_u8, 10, 11, 12, 13, 14, 17, 20, 21, Z], 1..5),
        time in select(vec![0, 1, WINDOW - 1, WINDOW, 100 * DAY, u64::MAX]),
        frozen in any::<bool>(),
    ) {
        thread_local!(static CROWDED: (Log, Vec<Did>, Vec<Sid>) = crowded());
        let (mut log, dids, acts) = CROWDED.with(Clone::clone);
        if frozen {
            log.does(dids[0], veto(acts[3]), &[15]);
        }
        let payload = adapted(&log, payload, &dids, &acts, &pick);
        let signatures = signers.iter().map(|number| (key(*number).kid(), [0; 64])).collect();
        if let Ok(certificate) = Certificate::assemble(&payload.encode(), signatures) {
            let _ = log.unchecked(&certificate);
            log.wait(time);
            let _ = log.unchecked(&certificate);
        }
    }
}

//! Recovery: ten guesses, a window, a veto (PROTOCOL 5.8).

use std::collections::{BTreeMap, BTreeSet};

use super::log::*;
use super::model::{Random, acts, post};
use crate::cert::{Body, Payload};
use crate::did::Did;
use crate::limits::{BACKOFF_MS, BREAKER_MS, GUESSES_MAX, PROVE_MS, READY_MS};
use crate::oprf;
use crate::state::{RecoveryPhase, RecoveryState, State, Subject};
use crate::testing::CountingRng;
use crate::testing::samples::{alias_of, key, recover_open};

/// K, and the device that recovers.
const K: u8 = 70;
const NEW: u8 = 80;

fn recovery(log: &Log, did: &Did) -> RecoveryState {
    log.did(did).recovery.as_deref().expect("a recovery").clone()
}

/// Alice, who has so many devices and an enrolment a week old.
fn enrolled(devices: u8) -> (Log, Did) {
    let (mut log, alice) = Log::with_alice(devices);
    log.does(log.server(), add_notary(N), &[1]);
    log.does(alice, enrol(1), &[10]);
    log.wait(7 * DAY);
    (log, alice)
}

#[test]
fn an_attempt_is_proved_within_ten_minutes_and_no_later() {
    for (late_ms, expected) in [(0, Ok(())), (PROVE_MS, Ok(())), (PROVE_MS + 1, Err("open_expired"))] {
        let (mut log, alice) = enrolled(1);
        log.does(alice, try_open(1, 1, NEW), &[NEW, N]);
        log.wait(late_ms);
        assert_eq!(log.act(alice, prove(1, 1), &[K, NEW]).map(drop), expected, "{late_ms}");
    }
}

#[test]
fn each_attempt_waits_for_its_back_off_and_the_eleventh_for_ever() {
    let (mut log, alice) = enrolled(1);
    for attempt in 1..=GUESSES_MAX {
        let wait_ms = BACKOFF_MS[usize::from(attempt) - 1];
        if wait_ms > 0 {
            log.wait(wait_ms - 1);
            assert_eq!(log.act(alice, try_open(1, attempt, NEW), &[NEW, N]).err(), Some("backoff"), "{attempt}");
            log.wait(1);
        }
        log.does(alice, try_open(1, attempt, NEW), &[NEW, N]);
    }
    log.wait(365 * DAY);
    assert_eq!(log.act(alice, try_open(1, GUESSES_MAX, NEW), &[NEW, N]).err(), Some("guesses_spent"));
    assert_eq!(recovery(&log, &alice).guesses, GUESSES_MAX);
}

#[test]
fn a_dispute_asks_for_every_sign_in_for_a_week() {
    let (mut log, alice) = enrolled(1);
    let alias = alias_of("alice@example.test");
    let thiefs = log.signs_in(alias, 31, N).expect("a thief");
    log.does(alice, bind(alias), &[11, N]);
    log.does(alice, dispute(thiefs, alias), &[11]);
    log.wait(BREAKER_MS - 1);
    assert_eq!(
        log.act(alice, try_open(1, 1, NEW), &[NEW, N]).err(),
        Some("breaker"),
        "one of two, a moment before its end"
    );
    assert_eq!(recovery(&log, &alice).guesses, 0, "no guess was spent");
    log.wait(1);
    log.does(alice, try_open(1, 1, NEW), &[NEW, N]);
}

#[test]
fn every_lookup_shows_a_recovery_from_its_proof_until_it_ends() {
    let (mut log, alice) = enrolled(2);
    let is_shown = |log: &Log| log.states[&Subject::Did(alice)].state.flags() & State::RECOVERY_PENDING != 0;
    let opened = log.does(alice, try_open(1, 1, NEW), &[NEW, N]);
    assert!(!is_shown(&log), "an attempt is no recovery yet");
    log.does(alice, prove(1, 1), &[K, NEW]);
    let due_ms = log.now_ms + WINDOW;
    assert!(is_shown(&log) && recovery(&log, &alice).due_ms == due_ms);
    log.wait(WINDOW);
    assert!(is_shown(&log) && recovery(&log, &alice).due_ms == due_ms + READY_MS);
    log.does(alice, veto(opened), &[12]);
    assert!(!is_shown(&log));
}

#[test]
fn a_recovery_that_nobody_finishes_ends_after_thirty_days_and_keeps_its_guesses() {
    let (mut log, alice) = enrolled(1);
    log.does(alice, try_open(1, 1, NEW), &[NEW, N]);
    log.does(alice, prove(1, 1), &[K, NEW]);
    log.wait(WINDOW + READY_MS - 1);
    assert_eq!(recovery(&log, &alice).phase, RecoveryPhase::Ready);
    log.wait(1);
    let state = recovery(&log, &alice);
    assert_eq!((state.phase, state.guesses, state.due_ms), (RecoveryPhase::Live, 1, 0));
    log.does(alice, try_open(1, 2, NEW), &[NEW, N]);
}

#[test]
fn the_user_key_is_sealed_to_a_recovery_while_it_could_end_well() {
    let (mut log, alice) = enrolled(2);
    let has_box = |log: &Log| {
        let recipients = crate::user_key::recipients(log.did(&alice), &[]);
        recipients.contains(&crate::key::KexSecret::from_bytes([K; 32]).public())
    };
    assert!(has_box(&log));
    log.does(alice, turn(1), &[11]);
    assert!(!log.is_stale(&alice));
    log.does(alice, enrol(2), &[10]);
    assert!(log.is_stale(&alice), "the boxes were sealed to the enrolment before");
    let opened = log.does(alice, try_open(2, 1, NEW), &[NEW, N]);
    log.does(alice, veto(opened), &[11]);
    assert!(!has_box(&log));
}

#[test]
fn a_new_device_has_a_voters_power_and_who_was_not_kept_has_none() {
    let (mut log, alice) = enrolled(3);
    log.does(alice, Body::Tombstone, &[13]);
    log.does(alice, try_open(1, 1, NEW), &[NEW, N]);
    log.does(alice, prove(1, 1), &[K, NEW]);
    log.wait(WINDOW - 1);
    log.does(alice, policy(100_000), &[11]);
    let end = acts(&log, &alice)[0];
    log.does(alice, veto(end), &[12]);
    assert_eq!(acts(&log, &alice).len(), 1);
    log.wait(1);
    log.does(alice, finish(1, 1, NEW, &[12]), &[K, NEW]);
    assert!(acts(&log, &alice).is_empty(), "what waited is over");
    assert_eq!(log.act(alice, policy(100_000), &[11]).err(), Some("unknown_signer"));
    log.does(alice, policy(100_000), &[12, NEW]);
    assert_eq!(log.did(&alice).window_s, 100_000, "two of two voters are a majority");
}

/// What a person or a thief with these keys may sign about a recovery, as likely to be right as not.
fn draw(random: &mut Random, log: &Log, did: &Did, devices: &[u8], newcomers: &[u8]) -> Body {
    let state = log.did(did).recovery.clone();
    let (epoch, guesses) = state.as_ref().map_or((1, 0), |state| (state.epoch, state.guesses));
    let opened = state.as_ref().and_then(|state| state.attempt);
    let its = newcomers.iter().find(|number| opened.is_some_and(|open| open.sign == key(**number).public()));
    let number = its.copied().filter(|_| random.below(4) > 0).unwrap_or(*random.one(newcomers));
    let attempt = (guesses + u8::from(random.below(4) == 0)).clamp(1, GUESSES_MAX);
    match (random.below(16), opened) {
        (0, _) => enrol(epoch + 1),
        (1, _) if random.below(4) == 0 => enrol_nowhere(epoch + 1),
        (1..=3, _) => {
            // Another PIN each time: what is counted is points.
            let mut open = recover_open(epoch, (guesses + 1).min(GUESSES_MAX), number);
            open.blinded = oprf::Server::from_seed(&[random.below(256) as u8; 32]).public();
            Body::RecoverOpen(open)
        }
        (4..=7, _) => prove(epoch, attempt),
        (8 | 9, _) => finish(epoch, attempt, number, &[*random.one(devices)]),
        (10 | 11, _) => finish(epoch, attempt, number, &[]),
        (12..=14, Some(open)) => confirm(open.sid),
        (_, Some(open)) => veto(open.sid),
        (_, None) => enrol(epoch + u32::from(state.is_some())),
    }
}

const WAITS: [u64; 9] = [0, 1, 60_000, 300_000, PROVE_MS, HOUR, DAY, WINDOW - 1, 40 * DAY];

#[test]
fn no_epoch_has_more_than_ten_attempts_however_people_sign() {
    // Goal: the points that any server may evaluate in an epoch are at most ten, each apart from the one before as the table says.
    // Method: everybody signs with every key there is, at random times; attempts that the log took are counted outside of it.
    let (mut taken, mut spent, mut finished) = (0, 0, 0);
    for seed in 0..10 {
        let mut random = Random(CountingRng(5_000 + seed));
        let (mut log, alice) = enrolled(2);
        let mut opened = BTreeMap::<u32, Vec<u64>>::new();
        let mut points = BTreeMap::<u32, BTreeSet<[u8; 32]>>::new();
        for _ in 0..400 {
            let (body, signers) = anybody(&mut random, &log, &alice);
            let attempt = if let Body::RecoverOpen(open) = &body { Some(open.clone()) } else { None };
            let is_final = matches!(body, Body::RecoverFinal(_));
            let payload = log.next(alice, body);
            if post(&mut log, &payload, &signers) {
                finished += usize::from(is_final);
                if let Some(open) = attempt {
                    taken += 1;
                    opened.entry(open.attempt.epoch).or_default().push(log.now_ms);
                    points.entry(open.attempt.epoch).or_default().insert(open.blinded);
                }
            }
            log.wait(*random.one(&WAITS));
        }
        for (epoch, times) in &opened {
            assert!(times.len() <= usize::from(GUESSES_MAX), "seed {seed}: {} in epoch {epoch}", times.len());
            assert!(points[epoch].len() <= usize::from(GUESSES_MAX));
            for (at, pair) in times.windows(2).enumerate() {
                assert!(pair[1] - pair[0] >= BACKOFF_MS[at + 1], "seed {seed}: attempt {} came too soon", at + 2);
            }
            spent += usize::from(times.len() == usize::from(GUESSES_MAX));
        }
    }
    assert!(taken > 100 && spent > 0 && finished > 0, "little happens: {taken} taken, {spent} spent, {finished} ended");
}

/// What anybody signs with every key there is: half of the time well, else the bounds are hardly met.
pub(super) fn anybody(random: &mut Random, log: &Log, did: &Did) -> (Body, Vec<u8>) {
    if random.below(2) == 0 {
        return (random_open(random, log, did), vec![80, N]);
    }
    let body = draw(random, log, did, &[11, 12], &[80, 81]);
    let signers = match random.below(2) {
        0 => vec![K, 80, 81, 11, N],
        _ => random.some(&[10, 11, 12, K, 80, 81, N], 5),
    };
    (body, signers)
}

fn random_open(random: &mut Random, log: &Log, did: &Did) -> Body {
    let state = log.did(did).recovery.clone();
    let (epoch, guesses) = state.map_or((1, 0), |state| (state.epoch, state.guesses));
    let mut open = recover_open(epoch, (guesses + 1).min(GUESSES_MAX), 80);
    open.blinded = oprf::Server::from_seed(&[random.below(256) as u8; 32]).public();
    Body::RecoverOpen(open)
}

#[test]
fn an_owner_who_looks_within_the_window_wins_against_pin_and_sign_in() {
    // Goal: who stole the sign-in and knows the PIN, and so has N's signature and K, takes nothing from an owner with a device. Method:
    // the thief signs at random with all of that; the owner looks at least every half window and vetoes.
    let (mut proved, mut burnt) = (0, 0);
    for seed in 0..12 {
        let mut random = Random(CountingRng(6_000 + seed));
        let (mut log, alice) = enrolled(1 + (seed % 2) as u8);
        for _ in 0..60 {
            for _ in 0..random.below(6) {
                let body = draw(&mut random, &log, &alice, &[11], &[80, 81]);
                let signers = vec![80, 81, K, N];
                let payload = log.next(alice, body);
                post(&mut log, &payload, &signers);
            }
            proved += usize::from(recovery(&log, &alice).is_pending());
            log.wait(random.below((WINDOW / 2) as usize) as u64);
            let state = recovery(&log, &alice);
            let seen = matches!(state.phase, RecoveryPhase::Open | RecoveryPhase::Proved);
            if let Some(open) = state.attempt.filter(|_| seen) {
                log.does(alice, veto(open.sid), &[11]);
                burnt += 1;
            }
            if recovery(&log, &alice).phase == RecoveryPhase::Burnt {
                log.does(alice, enrol(state.epoch + 1), &[10]);
            }
            assert!(log.status(&alice, 11).is_some() && log.status(&alice, 80).is_none(), "seed {seed}: taken over");
            assert_eq!(log.did(&alice).identity, key(10).public(), "seed {seed}");
        }
    }
    assert!(proved > 10 && burnt > 10, "he hardly tries: {proved} proved, {burnt} burnt");
}

#[test]
fn neither_one_device_nor_a_sign_in_nor_both_finish_a_recovery_of_the_owners() {
    // Goal: without K, that is without the PIN and enough servers, nothing ripens into a new device by recovery; and a stolen device
    // cannot put an enrolment of the thief's in the place of the owner's. Method: a thief with device 11 and every notary signs at
    // random, enrolments of his own key K' among them; the owner has device 12, looks every half window, and vetoes.
    let mut accepted = 0;
    for seed in 0..12 {
        let mut random = Random(CountingRng(7_000 + seed));
        let (mut log, alice) = if seed % 2 == 0 { enrolled(2) } else { without_enrolment(2) };
        for _ in 0..60 {
            for _ in 0..random.below(6) {
                let body = match random.below(8) {
                    0 => suspend(12),
                    1 => revoke(12),
                    _ => thiefs(draw(&mut random, &log, &alice, &[11, 12], &[30, 31])),
                };
                let signers = [vec![11; random.below(2)], random.some(&[30, 31, 75], 3), vec![N]].concat();
                let payload = log.next(alice, body);
                accepted += usize::from(post(&mut log, &payload, &signers));
            }
            log.wait(random.below((WINDOW / 2) as usize) as u64);
            for act in acts(&log, &alice) {
                let payload = log.next(alice, veto(act));
                post(&mut log, &payload, &[12]);
            }
            let devices = &log.did(&alice).devices;
            assert!(
                devices.iter().all(|device| [11, 12].iter().any(|n| device.sign == key(*n).public())),
                "seed {seed}"
            );
            assert!(log.status(&alice, 12).is_some(), "seed {seed}");
        }
    }
    assert!(accepted > 50, "he hardly tries: {accepted}");
}

fn without_enrolment(devices: u8) -> (Log, Did) {
    let (mut log, alice) = Log::with_alice(devices);
    log.does(log.server(), add_notary(N), &[1]);
    (log, alice)
}

/// The same, with a key of the thief's for K.
fn thiefs(body: Body) -> Body {
    let Body::RecoverySet(mut set) = body else { return body };
    if let Some(enrolment) = &mut set.enrolment {
        enrolment.sign = key(75).public();
    }
    Body::RecoverySet(set)
}

#[test]
fn a_thief_with_the_only_device_and_the_sign_in_waits_for_a_window_that_the_words_end() {
    let (mut log, alice) = without_enrolment(1);
    log.does(alice, enrol(1), &[11]);
    let opened = log.does(alice, try_open(1, 1, NEW), &[NEW, N]);
    log.does(alice, prove(1, 1), &[K, NEW]);
    assert_eq!(log.act(alice, confirm(opened), &[11]).err(), Some("not_allowed"), "his device is not his witness");
    log.wait(WINDOW - 1);
    assert_eq!(log.act(alice, finish(1, 1, NEW, &[]), &[K, NEW]).err(), Some("not_ready"));
    log.does(alice, veto(opened), &[10]);
    log.does(alice, revoke(11), &[10]);
}

#[test]
fn a_step_of_a_recovery_is_nobodys_who_is_not_part_of_it() {
    let (mut log, alice) = enrolled(2);
    let bob = log.join(20, 21);
    log.does(alice, try_open(1, 1, NEW), &[NEW, N]);
    assert_eq!(log.act(alice, prove(1, 1), &[K, 11]).err(), Some("not_allowed"));
    assert_eq!(log.act(alice, prove(1, 1), &[11, NEW]).err(), Some("not_allowed"));
    log.does(alice, prove(1, 1), &[K, NEW]);
    log.wait(WINDOW);
    assert_eq!(log.act(alice, finish(1, 1, NEW, &[]), &[NEW]).err(), Some("not_allowed"));
    assert_eq!(log.act(alice, finish(1, 1, NEW, &[]), &[K]).err(), Some("not_allowed"));
    assert_eq!(log.act(alice, finish(1, 1, 81, &[]), &[K, NEW, 81]).err(), Some("not_allowed"), "another device");
    let of_bob = Payload { ..log.next(bob, finish(1, 1, NEW, &[])) };
    assert_eq!(log.post(of_bob, &[NEW]).map_err(|refusal| refusal.code()), Err("no_recovery"));
}

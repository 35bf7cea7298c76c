//! Random people, thieves and clocks, the same in every run.

use std::collections::BTreeMap;

use rand_core::Rng;
use serde_json::{Value, json};

use super::log::*;
use super::recovery;
use crate::cert::{Body, Certificate, ClaimProof, IdRotate, Payload, Sid};
use crate::did::Did;
use crate::limits::NEWCOMER_WAIT_MS;
use crate::pow::code_hash;
use crate::rules::candidates;
use crate::state::{DeviceStatus, State};
use crate::testing::CountingRng;
use crate::testing::samples::{key, origin};
use crate::vectors::hold;

const NAMES: [&str; 6] = [
    "alice.dgns.test",
    "photos.alice.dgns.test",
    "a.photos.alice.dgns.test",
    "bob.alice.dgns.test",
    "carol.dgns.test",
    "b.carol.dgns.test",
];

/// The keys of three DIDs, the words' first.
const KEYS: [&[u8]; 3] = [&[10, 11, 12, 13, 14, 15], &[20, 21, 22, 23], &[40, 41, 42]];

pub(super) struct Random(pub(super) CountingRng);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound as u64) as usize
    }

    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub(super) fn some(&mut self, of: &[u8], most: usize) -> Vec<u8> {
        (0..1 + self.below(most)).map(|_| *self.one(of)).collect()
    }
}

/// Posts for those of the signers that could sign; without signatures, as the model is about the rules.
pub(super) fn post(log: &mut Log, payload: &Payload, signers: &[u8]) -> bool {
    let seal = |signers: &[u8]| {
        let signatures = signers.iter().map(|number| (key(*number).kid(), [0; 64])).collect();
        Certificate::assemble(&payload.encode(), signatures).expect("the model writes certificates that decode")
    };
    let unsealed = seal(&[Z]);
    let known = candidates(&log.world_for(&unsealed), &unsealed);
    let mut signers = signers.to_vec();
    signers.retain(|number| known.contains(&key(*number).public()));
    signers.truncate(8);
    !signers.is_empty() && log.unchecked(&seal(&signers)).is_ok()
}

fn owners(log: &Log) -> BTreeMap<String, Did> {
    let names =
        log.states.values().filter_map(|leaf| if let State::Name(name) = &leaf.state { Some(name) } else { None });
    names.filter_map(|name| Some((name.name.clone(), log.owner(&name.name)?))).collect()
}

pub(super) fn acts(log: &Log, did: &Did) -> Vec<Sid> {
    log.did(did).pending.iter().map(|act| act.sid).collect()
}

/// A body that may make sense for `did`.
fn body(random: &mut Random, log: &Log, did: &Did, others: &[Did], devices: &[u8]) -> Body {
    let (name, device) = (*random.one(&NAMES), *random.one(devices));
    match random.below(13) {
        0 => add(device),
        1 | 2 => suspend(device),
        3 => revoke(device),
        4 => policy(86_400 + random.below(1_000_000) as u64),
        5 => claim(name, ClaimProof::Invite { code_hash: code_hash(&[0; 16]) }),
        6 => below(name),
        7 => release(name),
        8 => transfer(name, *random.one(others)),
        9 if random.below(16) == 0 => Body::Tombstone,
        9 => Body::IdRotate(IdRotate { identity: key(device).public(), words_box: [1; 32] }),
        _ => match (acts(log, did), random.below(2)) {
            (acts, _) if acts.is_empty() => release(name),
            (acts, 0) => confirm(*random.one(&acts)),
            (acts, _) => veto(*random.one(&acts)),
        },
    }
}

/// What one of three DIDs says next, and who signs it.
fn draw(random: &mut Random, log: &Log, dids: &[Did; 3], keys: &[&[u8]; 3]) -> (Did, Payload, Vec<u8>) {
    let which = random.below(3);
    let (did, devices) = (dids[which], keys[which]);
    let body = body(random, log, &did, dids, &devices[1..]);
    let with_words = usize::from(random.below(4) > 0);
    let mut signers = random.some(&devices[with_words..], 3);
    let (mut by, is_parent) = (None, matches!(&body, Body::Claim(claim) if claim.proof == ClaimProof::Parent));
    if is_parent || matches!(body, Body::Transfer { to: Some(_), .. }) {
        let other = random.below(3);
        by = Some(dids[other]).filter(|other| *other != did);
        signers.extend(random.some(keys[other], 3));
    }
    if matches!(body, Body::Claim(_)) {
        signers.push(Z);
    }
    (did, Payload { by, ..log.next(did, body) }, signers)
}

/// When each act was opened and how long it has to wait.
type Opened = BTreeMap<Sid, u64>;

fn note_opened(opened: &mut Opened, log: &Log, dids: &[Did]) {
    for act in dids.iter().flat_map(|did| log.did(did).pending.clone()) {
        opened.entry(act.sid).or_insert(log.now_ms);
    }
}

#[test]
fn names_move_by_the_words_at_once_and_by_devices_after_their_window_alone() {
    // Goal: the invariants hold whatever people sign, and no name leaves its owner earlier than the table says.
    // Method: three DIDs sign at random with all their keys; every change of an owner is explained.
    let (mut accepted, mut moves, mut frozen) = (BTreeMap::<u8, usize>::new(), 0, 0);
    for seed in 0..12 {
        let mut random = Random(CountingRng(seed));
        let (mut log, alice) = Log::with_alice(3);
        let dids = [alice, log.join(20, 21), log.join(40, 41)];
        let mut opened = Opened::new();
        for _ in 0..250 {
            let (did, payload, signers) = draw(&mut random, &log, &dids, &KEYS);
            let before = owners(&log);
            let by_words = signers.iter().any(|number| key(*number).public() == log.did(&did).identity);
            let kind = payload.body.kind();
            if post(&mut log, &payload, &signers) {
                *accepted.entry(kind).or_default() += 1;
                let moved = before.iter().filter(|(name, did)| owners(&log).get(*name) != Some(did)).count();
                assert!(moved == 0 || by_words, "seed {seed}: moved by type {kind}");
            }
            frozen += usize::from(dids.iter().any(|did| log.is_frozen(did)));
            note_opened(&mut opened, &log, &dids);
            moves += wait(&mut random, &mut log, &dids, &opened, seed);
        }
    }
    let often = [2, 3, 4, 5, 6, 7, 8, 19, 20].iter().all(|kind| accepted.get(kind).is_some_and(|times| *times > 5));
    assert!(often && moves > 5 && frozen > 5, "little happens: {accepted:?}, {moves} moved, {frozen} frozen");
}

const ABOUT: [&str; 3] = [
    "Random people and clocks (PROTOCOL 5): logs as in rules.json, but the certificates carry no signatures that hold: whoever a kid names",
    "has signed. out hashes: of each subject changed the first 16 hexadecimal digits of what rules.json has whole. A refusal of a",
    "random certificate tells little, so few of them are kept.",
];

#[test]
fn rules_random_json_holds() {
    // Goal: two implementations agree where nobody thought of a case. Method: people who sign at random, written down step by step.
    let mut stories: Vec<Value> = (100..102).map(|seed| story(seed, 90)).collect();
    stories.push(story_of_recovery(102, 140));
    hold("rules_random", &ABOUT, &stories);
}

/// A log of so many posts at random.
fn story(seed: u64, posts: usize) -> Value {
    let mut random = Random(CountingRng(seed));
    let (mut log, alice) = Log::with_alice(3);
    let dids = [alice, log.join(20, 21), log.join(40, 41)];
    for _ in 0..posts {
        let (_, payload, signers) = draw(&mut random, &log, &dids, &KEYS);
        if !post(&mut log, &payload, &signers) && random.below(4) > 0 {
            log.steps.pop_if(|step| step["error"].is_string());
        }
        log.wait(*random.one(&[0, 1, HOUR, HOUR, DAY, DAY, WINDOW - 1, 10 * DAY]));
    }
    told(seed, log)
}

/// A log of so many posts about one recovery.
fn story_of_recovery(seed: u64, posts: usize) -> Value {
    let mut random = Random(CountingRng(seed));
    let (mut log, alice) = Log::with_alice(2);
    log.does(log.server(), add_notary(N), &[1]);
    for _ in 0..posts {
        let (body, signers) = match random.below(8) {
            0 => (random.one(&[turn(1), turn(2), suspend(12), policy(90_000)]).clone(), random.some(&[10, 11, 12], 2)),
            1 if !acts(&log, &alice).is_empty() => (veto(acts(&log, &alice)[0]), random.some(&[10, 11, 12], 2)),
            _ => recovery::anybody(&mut random, &log, &alice),
        };
        let payload = log.next(alice, body);
        if !post(&mut log, &payload, &signers) && random.below(3) > 0 {
            log.steps.pop_if(|step| step["error"].is_string());
        }
        log.wait(*random.one(&[0, 0, 60_000, 300_000, 600_000, HOUR, DAY, WINDOW, 30 * DAY]));
    }
    told(seed, log)
}

fn told(seed: u64, log: Log) -> Value {
    let given = json!({ "zone": "dgns.test", "origin": origin().as_str(), "server": log.server().to_string() });
    let shortened = |mut step: Value| {
        for changed in step["out"].as_object_mut().into_iter().flat_map(|out| out.values_mut()) {
            let short = changed[2].as_str().unwrap_or_default()[..16].to_owned();
            changed[2] = json!(short);
        }
        step
    };
    let steps: Vec<Value> = log.steps.into_iter().map(shortened).collect();
    json!({ "name": format!("random people, {seed}"), "in": given, "steps": steps })
}

/// Lets some time pass; whatever moves meanwhile had waited long enough. Returns how many names moved.
fn wait(random: &mut Random, log: &mut Log, dids: &[Did], opened: &Opened, seed: u64) -> usize {
    let before = owners(log);
    let waiting: Vec<_> = dids.iter().flat_map(|did| log.did(did).pending.clone()).collect();
    log.wait(*random.one(&[0, 1, HOUR, HOUR, DAY, DAY, WINDOW - 1, 10 * DAY]));
    let moved = before.iter().filter(|(name, did)| owners(log).get(*name) != Some(did)).count();
    let ripe = |sid: &Sid, due_ms: u64| {
        due_ms <= log.now_ms && due_ms >= opened.get(sid).map_or(0, |opened_ms| opened_ms + NEWCOMER_WAIT_MS)
    };
    assert!(moved == 0 || waiting.iter().any(|act| ripe(&act.sid, act.due_ms)), "seed {seed}: moved too early");
    assert!(waiting.iter().all(|act| act.due_ms >= opened[&act.sid] + NEWCOMER_WAIT_MS), "seed {seed}");
    moved
}

#[test]
fn a_thief_with_one_device_freezes_and_never_takes_over() {
    // Goal: rule 2. Method: Mallory has device 11 and makes devices of his own; he signs what he likes, as often as he
    // likes. The owner has the other devices but not the words, and looks at least every half window.
    let (mut accepted, mut frozen) = (0, 0);
    for seed in 0..16 {
        let mut random = Random(CountingRng(1_000 + seed));
        let honest: &[u8] = if seed % 2 == 0 { &[12] } else { &[12, 13] };
        let (mut log, alice) = Log::with_alice(1 + honest.len() as u8);
        let dids = [alice, log.join(20, 30)];
        let loot = "alice.dgns.test";
        for _ in 0..60 {
            for _ in 0..random.below(8) {
                let own = [11, 30, 31, 32];
                let targets = [11, 12, 13, 30, 31, 32];
                let body = body(&mut random, &log, &alice, &dids, &targets);
                let to_himself = matches!(body, Body::Transfer { to: Some(to), .. } if to != alice);
                let by = to_himself.then_some(dids[1]);
                let signers = [vec![11], random.some(&own, 4), vec![Z; usize::from(matches!(body, Body::Claim(_)))]];
                let payload = Payload { by, ..log.next(alice, body) };
                accepted += usize::from(post(&mut log, &payload, &signers.concat()));
            }
            frozen += usize::from(log.is_frozen(&alice));
            log.wait(random.below((WINDOW / 2) as usize) as u64);
            object(&mut log, alice, honest);
            let state = log.did(&alice);
            assert!(honest.iter().all(|number| log.status(&alice, *number).is_some()), "seed {seed}: a device is lost");
            assert_eq!(log.owner(loot), Some(alice), "seed {seed}: the name is lost");
            assert_eq!(state.identity, key(10).public(), "seed {seed}: the words are worthless");
            assert_eq!(state.window_s * 1_000, WINDOW, "seed {seed}: the window shrank");
        }
    }
    assert!(accepted > 200 && frozen > 10, "he hardly tries: {accepted} accepted, {frozen} times frozen");
}

/// The owner's devices veto what is not theirs and remove devices on probation, as far as they may.
fn object(log: &mut Log, did: Did, devices: &[u8]) {
    for number in devices {
        for act in acts(log, &did) {
            post(log, &log.next(did, veto(act)), &[*number]);
        }
        let fresh = log.did(&did).devices.iter().filter(|device| device.status == DeviceStatus::Fresh);
        let stolen: Vec<u8> = fresh.filter_map(|d| (30..33).find(|n| key(*n).public() == d.sign)).collect();
        for thief in stolen {
            post(log, &log.next(did, revoke(thief)), &[*number]);
        }
    }
}

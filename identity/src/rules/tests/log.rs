//! A log in memory: the zone, its people, and what they post.
//!
//! Alice's identity key is 10 and her devices 11, 12, ...; Bob's are 20 and 21, ...; Mallory, who steals devices, has 30, 31.
//! The server's identity key is 1, its device 2, its zone key 9.

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(super) use super::bodies::*;
use super::invariants;
use crate::alias::AliasId;
use crate::cert::{AttestLogin, Body, Certificate, DidKind, Genesis, Kid, Level, Payload, Sid, Verified};
use crate::did::Did;
use crate::hash::sha256;
use crate::key::kid_of;
use crate::name::Zone;
use crate::rules::{At, Chain, Effects, Refusal, World, apply, candidates, due_ms, settle, settle_wants, wants};
use crate::state::{AliasState, DeviceStatus, DidState, Leaf, NameState, NameStatus, State, Subject};
use crate::testing::samples::{attest, device, first, genesis, key, login, origin, zone_authority};
use crate::vectors::hex;

pub(super) const HOUR: u64 = 3_600_000;
pub(super) const DAY: u64 = 24 * HOUR;

/// The window of whoever sets none.
pub(super) const WINDOW: u64 = 3 * DAY;

/// The notary key.
pub(super) const N: u8 = 8;

/// The zone key.
pub(super) const Z: u8 = 9;

/// The states, the place and time of the next certificate, and what happened so far.
#[derive(Clone, Default)]
pub(super) struct Log {
    pub(super) states: BTreeMap<Subject, Leaf>,
    pub(super) server: Option<Did>,
    pub(super) index: u64,
    pub(super) now_ms: u64,
    /// Each step as `tests/vectors/rules.json` has it.
    pub(super) steps: Vec<Value>,
    /// Each DID as a reader follows it who has its certificates alone, from the genesis on.
    followed: BTreeMap<Did, Chain>,
}

impl Log {
    /// A log without entries.
    pub(super) fn empty() -> Self {
        Self { states: BTreeMap::new(), server: None, index: 0, now_ms: 1_800_000_000_000, ..Self::default() }
    }

    /// A log whose server admits the roads 1, 3 and 4.
    pub(super) fn new() -> Self {
        let mut log = Self::empty();
        let server = Genesis { kind: DidKind::Server, ..person(1, 2) };
        log.server = log.post(first(server), &[1, 2]).ok().map(|sid| Did::of_genesis(&sid));
        log.index = 3;
        let mut authority = zone_authority();
        authority.zone.as_mut().expect("terms").work_floor_bits = WORK_BITS;
        log.does(log.server(), Body::NotaryAdd(authority), &[1]);
        log
    }

    /// A log with Alice, a week old, who has so many live devices and `alice.dgns.test`.
    pub(super) fn with_alice(devices: u8) -> (Self, Did) {
        let mut log = Self::new();
        let alice = log.join(10, 11);
        for number in 12..11 + devices {
            log.does(alice, Body::DeviceAdd(device(number, Level::Admin)), &[10, number]);
        }
        log.does(alice, open_road("alice.dgns.test", &alice), &[11, Z]);
        log.wait(7 * DAY);
        (log, alice)
    }

    /// A new DID.
    pub(super) fn join(&mut self, identity: u8, device: u8) -> Did {
        let sid = self.post(first(person(identity, device)), &[identity, device]);
        Did::of_genesis(&sid.expect("a genesis"))
    }

    pub(super) fn server(&self) -> Did {
        self.server.expect("the log has a server")
    }

    /// The payload that follows in the chain of `did`.
    pub(super) fn next(&self, did: Did, body: Body) -> Payload {
        let head = self.did(&did).head;
        Payload {
            subject: Some(did.into()),
            seq: head.seq + 1,
            prev: Some(head.sid),
            ..Payload { body, ..first(genesis()) }
        }
    }

    /// Posts what follows in the chain of `did`; a refusal is its code.
    pub(super) fn act(&mut self, did: Did, body: Body, signers: &[u8]) -> Result<Sid, &'static str> {
        self.post(self.next(did, body), signers).map_err(|refusal| refusal.code())
    }

    /// As [`Self::act`], with a second party.
    pub(super) fn act_by(&mut self, did: Did, by: Did, body: Body, signers: &[u8]) -> Result<Sid, &'static str> {
        let payload = Payload { by: Some(by), ..self.next(did, body) };
        self.post(payload, signers).map_err(|refusal| refusal.code())
    }

    /// Posts the next sign-in of an alias, with the keys of `number`, seen by `notary`; a refusal is its code.
    pub(super) fn signs_in(&mut self, alias: AliasId, number: u8, notary: u8) -> Result<Sid, &'static str> {
        self.post(self.next_login(alias, attest(number)), &[notary]).map_err(|refusal| refusal.code())
    }

    /// The payload that follows in the chain of `alias`.
    pub(super) fn next_login(&self, alias: AliasId, saw: AttestLogin) -> Payload {
        let head = self.alias(&alias).and_then(|state| state.head);
        let (seq, prev) = head.map_or((0, None), |head| (head.seq + 1, Some(head.sid)));
        Payload { seq, prev, ..login(alias, None, saw) }
    }

    /// Posts what must be accepted.
    #[track_caller]
    pub(super) fn does(&mut self, did: Did, body: Body, signers: &[u8]) -> Sid {
        let what = format!("{body:?} by {signers:?}");
        self.act(did, body, signers).unwrap_or_else(|code| panic!("{what}: {code}"))
    }

    pub(super) fn post(&mut self, payload: Payload, signers: &[u8]) -> Result<Sid, Refusal> {
        let keys: Vec<_> = signers.iter().map(|number| key(*number)).collect();
        let certificate = Certificate::sign(&payload, &origin(), &keys.iter().collect::<Vec<_>>());
        self.certificate(&certificate.expect("the tests write certificates that decode"))
    }

    /// Settles what is due, then judges a certificate in an Epoch of its own.
    pub(super) fn certificate(&mut self, certificate: &Certificate) -> Result<Sid, Refusal> {
        self.settle();
        let world = self.world_for(certificate);
        let judged = certificate.verify(&origin(), &candidates(&world, certificate)).map_err(Refusal::Signature);
        self.judge(&world, certificate, judged)
    }

    /// As [`Self::certificate`] for a signature that nobody checks: for tests that post by the thousand.
    pub(super) fn unchecked(&mut self, certificate: &Certificate) -> Result<Sid, Refusal> {
        self.settle();
        let world = self.world_for(certificate);
        let keys = candidates(&world, certificate);
        let judged = certificate.clone().with_signatures_unchecked(&keys).map_err(Refusal::Signature);
        self.judge(&world, certificate, judged)
    }

    fn judge(&mut self, world: &World, c: &Certificate, verified: Result<Verified, Refusal>) -> Result<Sid, Refusal> {
        let at = At { index: self.index, epoch_ms: self.now_ms };
        let judged = verified.and_then(|verified| apply(world, &verified, at));
        let step = json!({ "envelope": hex(c.as_bytes()), "index": at.index, "epoch_ms": at.epoch_ms });
        match judged {
            Ok(effects) => {
                self.take(step, &effects);
                self.follow(c, at);
                self.index += 2;
                Ok(c.sid())
            }
            Err(refusal) => {
                self.note(step, "error", json!(refusal.code()));
                Err(refusal)
            }
        }
    }

    /// Follows the chain as a reader does, and compares what comes out with every DID's state.
    fn follow(&mut self, certificate: &Certificate, at: At) {
        let Some(did) = certificate.chain_did() else { return self.check_followed(at.index) };
        let chain = self.followed.entry(did).or_insert_with(|| Chain::unborn(origin(), did));
        // The log has checked the signatures, or they are none.
        let taken = chain.follow_if(certificate, at.index, at, |certificate, _, keys| {
            let known = |kid: &Kid| keys.iter().any(|key| kid_of(key) == *kid);
            let own = certificate.signatures().iter().filter(|(kid, _)| known(kid)).copied().collect();
            let own = Certificate::assemble(certificate.payload_bytes(), own).expect("the chain's own signatures");
            Ok(own.with_signatures_unchecked(keys)?)
        });
        taken.expect("what the log took the chain's reader takes");
        self.check_followed(at.index);
    }

    /// Each DID's own certificates lead to the state the log has. An Epoch is numbered by the index of its certificate.
    fn check_followed(&self, k: u64) {
        for (did, chain) in &self.followed {
            assert!(chain.leads_to(self.did(did), k, self.now_ms), "{did} is not what its chain made");
        }
    }

    /// Lets time pass and what falls due take effect.
    pub(super) fn wait(&mut self, ms: u64) {
        self.now_ms = self.now_ms.saturating_add(ms);
        self.settle();
        self.check_followed(u64::MAX);
    }

    /// Settles what is due until nothing is: always the earliest, of the least subject.
    pub(super) fn settle(&mut self) {
        let (epoch_ms, bound) = (self.now_ms, 4 * self.states.len() + 100);
        for _ in 0..bound {
            let dues = self.states.iter().filter_map(|(subject, leaf)| Some((due_ms(leaf)?, subject)));
            let Some((_, subject)) = dues.min().filter(|(due_ms, _)| *due_ms <= epoch_ms) else { return };
            let subject = subject.clone();
            let mut world = self.world();
            self.load(&mut world, vec![subject.clone()]);
            self.load_all(&mut world, |world| settle_wants(world, &subject));
            let effects = settle(&world, &subject, epoch_ms);
            assert!(!effects.changes.is_empty(), "what is due changes something: {subject:?}");
            self.take(json!({ "settle": subject_text(&subject), "epoch_ms": epoch_ms }), &effects);
        }
        panic!("settling does not end");
    }

    /// A world with what the decision needs and not a state more.
    pub(super) fn world_for(&self, certificate: &Certificate) -> World {
        let mut world = self.world();
        self.load_all(&mut world, |world| wants(world, certificate));
        world
    }

    fn world(&self) -> World {
        World::new(Zone::parse("dgns.test").expect("a zone"), origin(), self.server)
    }

    fn load_all(&self, world: &mut World, wanted: impl Fn(&World) -> Vec<Subject>) {
        for _ in 0..10 {
            match wanted(world) {
                missing if missing.is_empty() => return,
                missing => self.load(world, missing),
            }
        }
        panic!("a decision wants ever more");
    }

    fn load(&self, world: &mut World, subjects: Vec<Subject>) {
        for subject in subjects {
            let leaf = self.states.get(&subject).cloned();
            world.insert(subject, leaf.map(Into::into));
        }
    }

    fn take(&mut self, step: Value, effects: &Effects) {
        invariants::check_changes(&self.states, effects);
        self.states.extend(effects.changes.iter().map(|(subject, leaf)| (subject.clone(), Leaf::clone(leaf))));
        invariants::check(&self.states);
        let changed = effects.changes.iter().map(|(subject, leaf)| {
            let hash = hex(&sha256(&[&leaf.state.encode()]));
            (subject_text(subject), json!([leaf.version(), leaf.head_index, hash]))
        });
        self.note(step, "out", changed.collect());
    }

    fn note(&mut self, mut step: Value, outcome: &str, value: Value) {
        step[outcome] = value;
        self.steps.push(step);
    }

    pub(super) fn did(&self, did: &Did) -> &DidState {
        match self.states.get(&Subject::Did(*did)).map(|leaf| &leaf.state) {
            Some(State::Did(state)) => state,
            _ => panic!("{did} is not there"),
        }
    }

    pub(super) fn name(&self, name: &str) -> &NameState {
        match self.states.get(&Subject::Name(name.into())).map(|leaf| &leaf.state) {
            Some(State::Name(state)) => state,
            _ => panic!("{name} is not there"),
        }
    }

    pub(super) fn alias(&self, alias: &AliasId) -> Option<&AliasState> {
        match &self.states.get(&Subject::Alias(*alias))?.state {
            State::Alias(state) => Some(state),
            _ => panic!("the label of an alias"),
        }
    }

    /// The owner of a live name.
    pub(super) fn owner(&self, name: &str) -> Option<Did> {
        Some(self.name(name)).filter(|state| state.status == NameStatus::Live).and_then(|state| state.did)
    }

    /// The status of a device; `None` if it is not one of the DID's.
    pub(super) fn status(&self, did: &Did, number: u8) -> Option<DeviceStatus> {
        self.did(did).devices.iter().find(|device| device.sign == key(number).public()).map(|device| device.status)
    }

    pub(super) fn is_stale(&self, did: &Did) -> bool {
        self.did(did).flags & DidState::USER_KEY_STALE != 0
    }

    pub(super) fn is_frozen(&self, did: &Did) -> bool {
        self.did(did).flags & DidState::FROZEN != 0
    }
}

fn subject_text(subject: &Subject) -> String {
    match subject {
        Subject::Name(name) => name.clone(),
        Subject::Did(did) => did.to_string(),
        Subject::Alias(alias) => hex(alias).as_str().expect("text").to_owned(),
        Subject::LogConf => "log".into(),
        Subject::Anchors => "anchors".into(),
    }
}

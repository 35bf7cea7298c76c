//! Dora, whose DID in the log of [`super::super::fixture`] follows the rules, unlike Alice's, until a test forges it.

use identity::cert::{Body, Certificate, Device, DidKind, Genesis, Level, Payload, Seen};
use identity::did::Did;
use identity::key::{SigningKey, kid_of};
use identity::rules::{self, At, World};
use identity::state::{DidState, Leaf, State, Subject};

use crate::hash::EMPTY_ROOT;
use crate::resolution::{ChainRow, Resolution};
use crate::resolve::fixture::TestLog;

/// Her key 0 is the identity key, the others are devices, 1 the first.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[100 + number; 32])
}

/// A device of hers, a voter unless it is on probation.
pub(crate) fn device(number: u8) -> Device {
    Device { sign: key(number).public(), kex: [number; 32], level: Level::Admin, label_hash: [5; 32] }
}

pub(crate) struct Dora {
    pub(crate) log: TestLog,
    pub(crate) did: Did,
    /// Where her certificates stand: log index and Epoch.
    pub(crate) places: Vec<(u64, u64)>,
}

impl Dora {
    /// A log in which she has but her genesis.
    pub(crate) fn new() -> Self {
        let (mut log, _) = TestLog::new();
        let body = Genesis {
            kind: DidKind::User,
            identity: key(0).public(),
            words_box: [6; 32],
            device: device(1),
            window_s: Some(86_400),
            user_key: None,
        };
        let genesis = sign(&log, None, Body::Genesis(body), &[0, 1]);
        let did = genesis.chain_did().unwrap();
        let mut world = World::new(log.origin.zone(), log.origin.clone(), None);
        world.insert(Subject::Did(did), None);
        let leaf = judged(&log, &world, &genesis);
        let place = (log.next_index(), log.newest_k() + 1);
        log.batch(&[&genesis], vec![leaf]);
        Self { log, did, places: vec![place] }
    }

    pub(crate) fn subject(&self) -> Subject {
        Subject::Did(self.did)
    }

    pub(crate) fn leaf(&self) -> Leaf {
        self.log.states[&self.subject()].clone()
    }

    pub(crate) fn state(&self) -> DidState {
        did_of(&self.leaf())
    }

    /// Her next certificate, whoever signs.
    pub(crate) fn next(&self, body: Body, signers: &[u8]) -> Certificate {
        sign(&self.log, Some(&self.state()), body, signers)
    }

    /// Her next certificate is judged and logged, after what is due has settled.
    pub(crate) fn does(&mut self, body: Body, signers: &[u8]) {
        let mut world = World::new(self.log.origin.zone(), self.log.origin.clone(), None);
        let settled = self.settled();
        world.insert(self.subject(), Some(settled.clone().into()));
        let certificate = sign(&self.log, Some(&did_of(&settled)), body, signers);
        let leaf = judged(&self.log, &world, &certificate);
        self.logs(&certificate, leaf);
    }

    /// An Epoch without a certificate of hers.
    pub(crate) fn epoch(&mut self) {
        let leaf = self.settled();
        self.log.batch(&[], vec![leaf]);
    }

    /// Logs a certificate and shows any state, whether the one follows from the other or not.
    pub(crate) fn logs(&mut self, certificate: &Certificate, leaf: Leaf) {
        self.places.push((self.log.next_index(), self.log.newest_k() + 1));
        self.log.batch(&[certificate], vec![leaf]);
    }

    /// As [`Self::logs`], her state as it would be after the certificate but for what `forge` makes of it.
    pub(crate) fn forges(&mut self, certificate: &Certificate, forge: impl FnOnce(&mut DidState)) {
        let mut state = self.state();
        state.version += 1;
        state.head.seq += 1;
        (state.head.sid, state.head.index) = (certificate.sid(), self.log.next_index());
        forge(&mut state);
        let leaf = Leaf { head_index: state.head.index, head_hash: state.head.sid, state: State::Did(state) };
        self.logs(certificate, leaf);
    }

    /// Shows another state in a further Epoch, without a certificate.
    pub(crate) fn shows(&mut self, forge: impl FnOnce(&mut DidState)) {
        let mut leaf = self.leaf();
        let State::Did(state) = &mut leaf.state else { unreachable!() };
        state.version += 1;
        forge(state);
        state.devices.sort_by_key(|device| kid_of(&device.sign));
        self.log.batch(&[], vec![leaf]);
    }

    /// The rows of her certificates from this place on.
    pub(crate) fn rows(&self, from: usize) -> Vec<ChainRow> {
        self.places[from..].iter().map(|(index, k)| self.log.row(*index, *k)).collect()
    }

    /// The answer about her for who remembers a head of this size.
    pub(crate) fn answer(&self, from_size: Option<u64>, rows: Vec<ChainRow>) -> Resolution {
        let answer = self.log.answer(&self.subject()).with_chain(rows);
        match from_size.filter(|size| *size < self.log.head.size) {
            Some(size) => answer.with_consistency(self.log.consistency(size)),
            None => answer,
        }
    }

    fn settled(&self) -> Leaf {
        let mut world = World::new(self.log.origin.zone(), self.log.origin.clone(), None);
        world.insert(self.subject(), Some(self.leaf().into()));
        loop {
            let settled = rules::settle(&world, &self.subject(), self.log.next_ms());
            if settled.changes.is_empty() {
                return world.get(&self.subject()).flatten().unwrap().as_ref().clone();
            }
            world.apply_changes(&settled);
        }
    }
}

fn did_of(leaf: &Leaf) -> DidState {
    let State::Did(state) = &leaf.state else { unreachable!() };
    state.clone()
}

fn sign(log: &TestLog, state: Option<&DidState>, body: Body, signers: &[u8]) -> Certificate {
    let keys: Vec<SigningKey> = signers.iter().map(|number| key(*number)).collect();
    let payload = Payload {
        subject: state.map(|state| state.did.into()),
        seq: state.map_or(0, |state| state.head.seq + 1),
        prev: state.map(|state| state.head.sid),
        seen: Seen { size: 0, root: EMPTY_ROOT },
        unix_s: 1_790_000_000,
        body,
        critical: true,
        by: None,
    };
    Certificate::sign(&payload, &log.origin, &keys.iter().collect::<Vec<_>>()).unwrap()
}

fn judged(log: &TestLog, world: &World, certificate: &Certificate) -> Leaf {
    let verified = certificate.verify(&log.origin, &rules::candidates(world, certificate)).unwrap();
    let at = At { index: log.next_index(), epoch_ms: log.next_ms() };
    let changes = rules::apply(world, &verified, at).unwrap().changes;
    changes[0].1.as_ref().clone()
}

//! A small log with a few names, made from fixed seeds; states are set by hand, so that lookups can be tested without rules.

use core::convert::Infallible;
use std::collections::BTreeMap;

use identity::alias::AliasId;
use identity::cert::{Body, Certificate, Delegate, Device, DidKind, Genesis, Level, Payload, Records, Row, Seen, Sid};
use identity::did::Did;
use identity::key::SigningKey;
use identity::name::{Origin, Zone};
use identity::state::{
    AliasState, Attested, ChainHead, DeviceState, DeviceStatus, DidState, Leaf, NameState, NameStatus, Pending, Power,
    State, Subject,
};
use identity::time::Timestamp;

use crate::entry::Epoch;
use crate::hash::{EMPTY_ROOT, Hash, leaf_hash};
use crate::head::{Cosignature, Head};
use crate::map::{Map, commitment, label};
use crate::note::{Cosigner, LogSigner};
use crate::resolution::{Answer, ChainRow, EpochProof, Resolution, Written};
use crate::tree::{Edge, Node, consistency_plan, inclusion_plan};
use crate::trust::Trust;

/// The time of Epoch 0, ms.
const START_MS: u64 = 1_790_000_000_000;

pub(crate) struct TestLog {
    pub(crate) signer: LogSigner,
    pub(crate) origin: Origin,
    pub(crate) map: Map,
    pub(crate) states: BTreeMap<Subject, Leaf>,
    pub(crate) head: Head,
    leaves: Vec<Hash>,
    history: Edge,
    epochs: Vec<Epoch>,
    envelopes: BTreeMap<u64, Vec<u8>>,
    /// How much later than a second after the last one the next Epoch is, ms.
    later_ms: u64,
}

/// What the tests need to know of the DID in the log.
pub(crate) struct Alice {
    pub(crate) did: Did,
    pub(crate) device: SigningKey,
    pub(crate) genesis: Certificate,
    pub(crate) records: Certificate,
}

pub(crate) fn name(label: &str) -> Subject {
    Subject::Name(format!("{label}.dgns.test"))
}

impl TestLog {
    /// A log whose third batch knows alice (live, with records), bob (held), carol (free), alice's DID, and 40 free names.
    pub(crate) fn new() -> (Self, Alice) {
        let origin = Zone::parse("dgns.test").unwrap().origin();
        let signer = LogSigner::new(origin.as_str(), SigningKey::from_seed(&[1; 32])).unwrap();
        let blank = Head {
            size: 0,
            root: EMPTY_ROOT,
            log_signature: [0; 64],
            cosignatures: Vec::new(),
            epoch_entry: Vec::new(),
            path: Vec::new(),
        };
        let mut log = Self {
            signer,
            map: Map::new(),
            states: BTreeMap::new(),
            head: blank,
            leaves: Vec::new(),
            history: Edge::new(),
            epochs: Vec::new(),
            envelopes: BTreeMap::new(),
            later_ms: 0,
            origin,
        };
        let alice = Alice::new(&log.origin);
        let fillers = (0..40).map(|n| log.free_name(&format!("filler{n}"))).collect();
        log.batch(&[], fillers);
        log.batch(&[&alice.genesis], vec![alice.leaf(1, log.leaves.len() as u64, &alice.genesis)]);
        let first = log.leaves.len() as u64;
        let changes = vec![
            alice.leaf(2, first, &alice.records),
            alice.name("alice", NameStatus::Live, first),
            alice.name("bob", NameStatus::Held, first),
            log.free_name("carol"),
        ];
        log.batch(&[&alice.records], changes);
        (log, alice)
    }

    /// Appends the certificates and an Epoch over the changed leaves, and signs the head.
    pub(crate) fn batch(&mut self, certificates: &[&Certificate], changes: Vec<Leaf>) {
        for certificate in certificates {
            self.envelopes.insert(self.leaves.len() as u64, certificate.encode());
            self.leaves.push(leaf_hash(&[&[1], certificate.as_bytes()].concat()));
        }
        let updates: Vec<_> = changes.iter().map(|leaf| (label(&leaf.state.subject()), commitment(leaf))).collect();
        let delta = self.map.prepare(&updates);
        self.map.apply(delta).unwrap();
        self.states.extend(changes.into_iter().map(|leaf| (leaf.state.subject(), leaf)));
        let epoch = Epoch {
            k: self.epochs.len() as u64,
            covers: self.leaves.len() as u64,
            time_ms: self.next_ms(),
            map_root: self.map.root(),
            history_root: self.history.root(),
        };
        self.history.append(epoch.leaf_hash());
        self.epochs.push(epoch);
        self.leaves.push(epoch.leaf_hash());
        let mut edge = Edge::new();
        edge.extend(&self.leaves);
        self.head = Head::sign(&edge, &epoch, &self.signer).unwrap();
    }

    /// A moment after the newest Epoch.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.next_ms())
    }

    /// The time of the next Epoch.
    pub(crate) fn next_ms(&self) -> u64 {
        START_MS + self.later_ms + 1_000 * self.epochs.len() as u64
    }

    /// The index of the next leaf.
    pub(crate) fn next_index(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// The number of the newest Epoch.
    pub(crate) fn newest_k(&self) -> u64 {
        self.epochs.len() as u64 - 1
    }

    /// Lets time pass before the next Epoch.
    pub(crate) fn wait(&mut self, ms: u64) {
        self.later_ms += ms;
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::new(self.origin.clone(), vec![self.signer.verifier_key().clone()]).unwrap()
    }

    /// The trust in this log under a policy; witness `n` of [`TestLog::cosign`] is `w<n>` in it.
    pub(crate) fn trust_under(&self, quorum: &str) -> Trust {
        let witness = |n: u8| format!("witness w{n} {}\n", cosigner(n).verifier_key());
        let policy = format!("{}{quorum}\n", (1..=3).map(witness).collect::<String>());
        self.trust().with_policy(policy.parse().unwrap())
    }

    /// Adds the cosignature of witness `n` to the head, made this many milliseconds after its Epoch.
    pub(crate) fn cosign(&mut self, n: u8, after_ms: i64) {
        let time_s = self.head.epoch().unwrap().time_ms.checked_add_signed(after_ms).unwrap() / 1_000;
        let line = cosigner(n).cosign(&self.head.checkpoint(&self.origin), time_s);
        let signature = line.signature[8..].try_into().unwrap();
        self.head.cosignatures.push(Cosignature { id: line.id, time_s, signature });
    }

    /// What an honest server answers a newcomer.
    pub(crate) fn answer(&self, subject: &Subject) -> Resolution {
        let mut subjects = vec![subject.clone()];
        let holder = self.states.get(subject).and_then(|leaf| match &leaf.state {
            State::Name(NameState { did, .. }) | State::Alias(AliasState { did, .. }) => *did,
            _ => None,
        });
        subjects.extend(holder.map(Subject::Did));
        let answers = subjects.iter().map(|subject| match self.states.get(subject) {
            Some(leaf) => Answer::present(leaf),
            None => Answer::absent(subject),
        });
        let labels: Vec<Hash> = subjects.iter().map(label).collect();
        Resolution::new(subject.clone(), answers.collect(), self.map.prove(&labels).unwrap())
            .with_head(self.head.clone())
    }

    pub(crate) fn consistency(&self, from: u64) -> Vec<Hash> {
        consistency_plan(from, self.head.size).unwrap().fold(|node| self.node(node)).unwrap()
    }

    pub(crate) fn written(&self, index: u64) -> Written {
        let path = inclusion_plan(index, self.head.size).unwrap().fold(|node| self.node(node)).unwrap();
        Written { index, path, envelope: self.envelopes[&index].clone() }
    }

    /// The chain row of the certificate at this index, which Epoch `k` closed.
    pub(crate) fn row(&self, index: u64, k: u64) -> ChainRow {
        let Written { index, path, envelope } = self.written(index);
        let before = k.checked_sub(1).map(|before| self.epoch_proof(before));
        ChainRow { index, path, envelope, k, before, epoch: self.epoch_proof(k) }
    }

    fn epoch_proof(&self, k: u64) -> EpochProof {
        let newest = self.epochs.len() as u64 - 1;
        let leaves: Vec<Hash> = self.epochs[..newest as usize].iter().map(Epoch::leaf_hash).collect();
        let path = match k == newest {
            true => Vec::new(),
            false => inclusion_plan(k, newest).unwrap().fold(|node| subtree(&leaves, node)).unwrap(),
        };
        EpochProof { entry: self.epochs[k as usize].encode(), path }
    }

    /// The first name of the form `who<n>` that the map proves absent with an end of this kind (PROTOCOL 10.4).
    pub(crate) fn absent_name(&self, kind: u8) -> Subject {
        let mut names = (0..).map(|n| name(&format!("who{n}")));
        names.find(|subject| self.map.prove(&[label(subject)]).unwrap().encode()[0] == kind).unwrap()
    }

    fn node(&self, node: Node) -> Result<Hash, Infallible> {
        subtree(&self.leaves, node)
    }

    fn free_name(&self, label: &str) -> Leaf {
        let state = NameState {
            version: 2,
            name: format!("{label}.dgns.test"),
            did: None,
            status: NameStatus::Free,
            claim_index: 0,
            held_until_ms: 0,
            records: None,
            delegate: None,
            children: 0,
        };
        Leaf { head_index: 0, head_hash: [3; 32], state: State::Name(state) }
    }
}

/// Witness `n`.
fn cosigner(n: u8) -> Cosigner {
    Cosigner::new(&format!("w{n}.example"), SigningKey::from_seed(&[100 + n; 32])).unwrap()
}

/// The root of a full subtree over some of these leaves.
#[expect(clippy::unnecessary_wraps, reason = "the form that Plan::fold asks for")]
fn subtree(leaves: &[Hash], node: Node) -> Result<Hash, Infallible> {
    let start = (node.index << node.level) as usize;
    let mut edge = Edge::new();
    edge.extend(&leaves[start..start + (1 << node.level)]);
    Ok(edge.root())
}

impl Alice {
    fn new(origin: &Origin) -> Self {
        let [identity, device] = [[2; 32], [3; 32]].map(|seed| SigningKey::from_seed(&seed));
        let first = Device { sign: device.public(), kex: [4; 32], level: Level::Admin, label_hash: [5; 32] };
        let seen = Seen { size: 0, root: EMPTY_ROOT };
        let genesis = Body::Genesis(Genesis {
            kind: DidKind::User,
            identity: identity.public(),
            words_box: [6; 32],
            device: first,
            window_s: None,
            user_key: None,
        });
        let payload = |subject, seq, prev, body| Payload {
            subject,
            seq,
            prev,
            seen,
            unix_s: START_MS / 1_000,
            body,
            critical: true,
            by: None,
        };
        let genesis = Certificate::sign(&payload(None, 0, None, genesis), origin, &[&identity, &device]).unwrap();
        let did = Did::of_genesis(&genesis.sid());
        let row = Row { owner: String::new(), rtype: 1, rdata: vec![192, 0, 2, 1], ttl: 300 };
        let body =
            Body::Records(Records { name: "alice.dgns.test".into(), rows: vec![row], aliases: vec![], flags: 0 });
        let records =
            Certificate::sign(&payload(Some(did.into()), 1, Some(genesis.sid()), body), origin, &[&device]).unwrap();
        Self { did, device, genesis, records }
    }

    /// Her next records certificate, number `seq` of her chain.
    pub(crate) fn next_records(&self, origin: &Origin, seq: u64, prev: Sid) -> Certificate {
        let mut payload = self.records.payload().clone();
        (payload.seq, payload.prev) = (seq, Some(prev));
        Certificate::sign(&payload, origin, &[&self.device]).unwrap()
    }

    /// Her next certificate, number `seq` of her chain, by which another server answers for her name.
    pub(crate) fn next_delegate(&self, origin: &Origin, seq: u64, prev: Sid) -> Certificate {
        let mut payload = self.records.payload().clone();
        (payload.seq, payload.prev) = (seq, Some(prev));
        let (name, servers) = ("alice.dgns.test".into(), vec!["ns.example".into()]);
        payload.body = Body::Delegate(Delegate { name, servers, ds: vec![], glue: vec![], log: None });
        Certificate::sign(&payload, origin, &[&self.device]).unwrap()
    }

    /// Her name's leaf once that certificate is in the log.
    pub(crate) fn delegated_name(&self, index: u64, delegate: &Certificate) -> Leaf {
        let mut leaf = self.name("alice", NameStatus::Live, index);
        if let State::Name(state) = &mut leaf.state {
            (state.version, state.records, state.delegate) = (2, None, Some((index, delegate.sid())));
        }
        Leaf { head_hash: delegate.sid(), ..leaf }
    }

    /// Her DID's leaf once this certificate, number `version` of her chain, is in the log.
    pub(crate) fn leaf(&self, version: u64, index: u64, newest: &Certificate) -> Leaf {
        let sid: Sid = newest.sid();
        let device = DeviceState {
            sign: self.device.public(),
            kex: [4; 32],
            level: Level::Admin,
            status: DeviceStatus::Live,
            index: 1,
            until_ms: 0,
        };
        let pending = Pending {
            sid: [8; 32],
            kind: 25,
            power: Power::Voter,
            due_ms: START_MS + 3_600_000,
            supporters: vec![self.device.kid()],
            opponents: vec![],
            index: 1,
            body: vec![0xa0],
        };
        let state = DidState {
            version,
            did: self.did,
            kind: DidKind::User,
            flags: DidState::FROZEN,
            head: ChainHead { seq: version - 1, sid, index },
            identity: SigningKey::from_seed(&[2; 32]).public(),
            words_box: [6; 32],
            devices: vec![device],
            user_key: None,
            window_s: 259_200,
            pending: vec![pending],
            recovery: None,
            names: vec!["alice.dgns.test".into()],
            authorities: vec![],
            uid: 1,
            born_ms: START_MS,
        };
        Leaf { head_index: index, head_hash: sid, state: State::Did(state) }
    }

    /// The leaf of an alias of hers that was signed in with once, at index 2.
    pub(crate) fn alias(&self, alias: AliasId) -> Leaf {
        let head = ChainHead { seq: 0, sid: [9; 32], index: 2 };
        let attested = Attested {
            sign: self.device.public(),
            kex: [4; 32],
            index: 2,
            sid: [9; 32],
            notary: self.device.kid(),
            disputed: false,
        };
        let (did, head_of, attested) = (Some(self.did), Some(head), vec![attested]);
        let state = AliasState { version: 2, alias, did, head: head_of, attested, breaker_ms: 0 };
        Leaf { head_index: head.index, head_hash: head.sid, state: State::Alias(state) }
    }

    fn name(&self, label: &str, status: NameStatus, index: u64) -> Leaf {
        let held = status == NameStatus::Held;
        let state = NameState {
            version: 1,
            name: format!("{label}.dgns.test"),
            did: Some(self.did),
            status,
            claim_index: 1,
            held_until_ms: if held { START_MS + 7_776_000_000 } else { 0 },
            records: (!held).then(|| (index, self.records.sid())),
            delegate: None,
            children: 0,
        };
        Leaf { head_index: index, head_hash: self.records.sid(), state: State::Name(state) }
    }
}

//! A log under the real rules, in memory: an operator's keys from fixed seeds, people by number.

use std::collections::HashMap;
use std::sync::OnceLock;

use identity::cert::{
    Authority, Body, Certificate, Claim, ClaimProof, Device, DidKind, Genesis, IdRotate, KeyBytes, Level, Payload,
    Records, Role, Row, Seen, ZoneTerms,
};
use identity::did::Did;
use identity::hash::sha256;
use identity::key::{KexSecret, SigningKey};
use identity::name::{Origin, Zone};
use identity::pow;
use identity::rules::{self, World};
use identity::state::{Leaf, Subject};

use super::*;
use crate::hash::EMPTY_ROOT;
use crate::head::Head;
use crate::note::{LogSigner, VerifierKey};
use crate::resolution::{Answer, Resolution};
use crate::rotation::{ConfChain, ConfRow};
use crate::tree::{Node, inclusion_plan};

/// The numbers of people are below this.
const PEOPLE: u64 = 24;

/// The time of Epoch 0, ms.
pub(crate) const START_MS: u64 = 1_800_000_000_000;

#[derive(Clone)]
pub(crate) struct TestLog {
    pub(crate) origin: Origin,
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) edge: Edge,
    pub(crate) time_ms: u64,
    pub(crate) states: HashMap<Subject, Leaf>,
    history: Edge,
    map: Map,
    dues: DueQueue,
    server: Did,
}

/// The log key of this number; the log begins with number 0.
pub(crate) fn log_key(number: u64) -> VerifierKey {
    log_signer(number).verifier_key().clone()
}

pub(crate) fn log_signer(number: u64) -> LogSigner {
    LogSigner::new("dgns.test/log", key(3, number)).unwrap()
}

/// The root of the full subtree at `node`.
fn subtree(leaves: &[Hash], node: Node) -> Result<Hash, core::convert::Infallible> {
    let width = 1 << node.level;
    let mut edge = Edge::new();
    edge.extend(&leaves[(node.index * width) as usize..((node.index + 1) * width) as usize]);
    Ok(edge.root())
}

/// Somebody with one device.
pub(crate) struct Someone {
    pub(crate) did: Did,
    pub(crate) name: String,
    device: SigningKey,
    seq: u64,
    prev: Hash,
}

impl TestLog {
    /// A log of two batches: genesis and LogConf, then the zone's terms.
    pub(crate) fn new() -> Self {
        let origin = Zone::parse("dgns.test").unwrap().origin();
        let (identity, device) = (key(1, 0), key(2, 0));
        let signer = LogSigner::new(origin.as_str(), key(3, 0)).unwrap();
        let genesis = Certificate::sign(&genesis(DidKind::Server, 0), &origin, &[&identity, &device]).unwrap();
        let server = genesis.chain_did().unwrap();
        let conf = Conf {
            seq: 0,
            prev: None,
            origin: origin.clone(),
            server,
            log_keys: vec![signer.verifier_key().clone()],
            policy: String::new(),
            prefixes: Vec::new(),
            predecessor: None,
        };
        let conf = LogConf::sign(&conf, &[&identity, signer.signing_key()]).unwrap();
        let first =
            open(World::new(origin.zone(), origin.clone(), None), &verified(genesis.clone()), &conf, START_MS).unwrap();
        let mut log = Self {
            origin,
            entries: Vec::new(),
            edge: Edge::new(),
            time_ms: START_MS,
            states: HashMap::new(),
            history: Edge::new(),
            map: Map::new(),
            dues: DueQueue::new(),
            server,
        };
        log.take(first);
        let terms = ZoneTerms { roads: 0b1101, work_floor_bits: 1, window_floor_s: 1 };
        let authority =
            Authority { role: Role::Zone, key: key(4, 0).public(), scope: "dgns.test".into(), zone: Some(terms) };
        let terms = payload(Some(server), 1, Some(genesis.sid()), Body::NotaryAdd(authority));
        let terms = Certificate::sign(&terms, &log.origin, &[&identity]).unwrap();
        log.append(&[vec![terms]]);
        log
    }

    /// Integrates and takes posts one second later; all must be accepted.
    pub(crate) fn append(&mut self, posts: &[Vec<Certificate>]) {
        let batch = self.integrate(posts, self.time_ms + 1_000);
        assert!(
            batch.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted { .. })),
            "{:?}",
            batch.outcomes
        );
        self.take(batch);
    }

    /// Integrates posts with all states at hand.
    pub(crate) fn integrate(&self, posts: &[Vec<Certificate>], now_ms: u64) -> Batch {
        let posts = posts_of(posts);
        integrate(&self.view(), self.world_for(&posts, now_ms.max(self.time_ms)), &posts, now_ms)
    }

    /// Integrates one post of any sort.
    pub(crate) fn integrate_post(&self, post: Post, now_ms: u64) -> Batch {
        let posts = [post];
        integrate(&self.view(), self.world_for(&posts, now_ms.max(self.time_ms)), &posts, now_ms)
    }

    /// Makes a batch the newest.
    pub(crate) fn take(&mut self, batch: Batch) {
        self.entries.extend(batch.entries);
        (self.edge, self.history, self.time_ms) = (batch.edge, batch.history, batch.epoch.time_ms);
        self.map.apply(batch.map).unwrap();
        for (subject, change) in batch.changes {
            self.dues.set(change.label, &subject, rules::due_ms(&change.leaf));
            self.states.insert(subject, std::sync::Arc::unwrap_or_clone(change.leaf));
        }
    }

    /// Integrates the LogConf that follows the newest, changed by `edit`, signed by these log keys and, if asked, the identity key.
    pub(crate) fn reconfigure(
        &self,
        edit: impl FnOnce(&mut Conf),
        log_keys: &[u64],
        identity: bool,
    ) -> Result<(Batch, Succession), LogConfError> {
        self.reconfigure_by(edit, log_keys, identity.then_some(0))
    }

    /// As [`TestLog::reconfigure`], signed by the identity key of this number.
    pub(crate) fn reconfigure_by(
        &self,
        edit: impl FnOnce(&mut Conf),
        log_keys: &[u64],
        identity: Option<u64>,
    ) -> Result<(Batch, Succession), LogConfError> {
        let State::LogConf { payload, .. } = &self.states[&Subject::LogConf].state else {
            panic!("the log's own label")
        };
        let newest = Conf::decode(payload).unwrap();
        let mut next = Conf { seq: newest.seq + 1, prev: Some(newest.sid()), ..newest };
        edit(&mut next);
        let mut keys: Vec<SigningKey> = log_keys.iter().map(|number| key(3, *number)).collect();
        keys.extend(identity.map(|number| key(1, number)));
        let next = LogConf::sign(&next, &keys.iter().collect::<Vec<_>>()).unwrap();
        let mut world = self.world_for(&[], self.time_ms + 1_000);
        for subject in configure_wants(self.server) {
            let leaf = self.states.get(&subject).cloned().map(Arc::new);
            world.insert(subject, leaf);
        }
        configure(&self.view(), world, &next, self.time_ms + 1_000)
    }

    /// Gives the server the identity key of this number: signed by the old one, or by the device alone and waited for.
    pub(crate) fn rotate_identity(&mut self, number: u64, with_old: bool) {
        let State::Did(did) = &self.states[&Subject::Did(self.server)].state else { panic!("the server's DID") };
        let body = Body::IdRotate(IdRotate { identity: key(1, number).public(), words_box: [number as u8; 32] });
        let payload = payload(Some(self.server), did.head.seq + 1, Some(did.head.sid), body);
        let (old, new) = (if with_old { key(1, 0) } else { key(2, 0) }, key(1, number));
        let certificate = Certificate::sign(&payload, &self.origin, &[&old, &new]).unwrap();
        self.append(&[vec![certificate]]);
        let later = self.integrate(&[], self.time_ms + 40 * 86_400_000);
        self.take(later);
    }

    /// The chain of LogConfs as its server proves it, under a head by `signer`.
    pub(crate) fn conf_chain(&self, signer: &LogSigner) -> ConfChain {
        let leaves: Vec<Hash> = self.entries.iter().map(|entry| leaf_hash(entry)).collect();
        let path =
            |index| inclusion_plan(index, self.edge.size()).unwrap().fold(|node| subtree(&leaves, node)).unwrap();
        let matters = |index: u64, entry: &[u8]| match Entry::decode(entry).unwrap() {
            Entry::Certificate(certificate) => index == 0 || matches!(certificate.payload().body, Body::IdRotate(_)),
            Entry::LogConf(_) => true,
            _ => false,
        };
        let rows = self.entries.iter().zip(0..).filter(|(entry, index)| matters(*index, entry));
        let rows = rows.map(|(entry, index)| ConfRow { index, path: path(index), entry: entry.clone() }).collect();
        let epoch = Epoch::decode(self.entries.last().unwrap()).unwrap();
        let leaf = &self.states[&Subject::LogConf];
        let proof = self.map.prove(&[map::label(&Subject::LogConf)]).unwrap();
        let resolution = Resolution::new(Subject::LogConf, vec![Answer::present(leaf)], proof);
        let resolution = resolution.with_head(Head::sign(&self.edge, &epoch, signer).unwrap());
        ConfChain { resolution: resolution.encode(), rows }
    }

    pub(crate) fn view(&self) -> View<'_> {
        View { edge: &self.edge, history: &self.history, time_ms: self.time_ms, map: &self.map, dues: &self.dues }
    }

    pub(crate) fn empty_world(&self) -> World {
        World::new(self.origin.zone(), self.origin.clone(), Some(self.server))
    }

    pub(crate) fn world_for(&self, posts: &[Post], epoch_ms: u64) -> World {
        let mut world = self.empty_world();
        loop {
            let missing = wants(&self.view(), &world, posts, epoch_ms);
            if missing.is_empty() {
                return world;
            }
            for subject in missing {
                let leaf = self.states.get(&subject).cloned();
                world.insert(subject, leaf.map(Into::into));
            }
        }
    }
}

impl Someone {
    /// The person of this number, with the certificates that make the DID and claim `n<number>`.
    pub(crate) fn new(number: u64) -> (Self, Vec<Certificate>) {
        Self::claiming(number, &format!("n{number:04}.dgns.test"))
    }

    /// As [`Someone::new`], with another name.
    pub(crate) fn claiming(number: u64, name: &str) -> (Self, Vec<Certificate>) {
        let origin = Zone::parse("dgns.test").unwrap().origin();
        let device = key(2, number);
        let genesis = Certificate::sign(&genesis(DidKind::User, number), &origin, &[&key(1, number), &device]).unwrap();
        let mut someone =
            Self { did: genesis.chain_did().unwrap(), name: name.into(), device, seq: 1, prev: genesis.sid() };
        let claim = someone.claims(name);
        (someone, vec![genesis, claim])
    }

    pub(crate) fn subject(&self) -> Subject {
        Subject::Name(self.name.clone())
    }

    pub(crate) fn claims(&mut self, name: &str) -> Certificate {
        let nonce = pow::solve(name, &self.did, 1, 0, |_| {});
        let claim = Claim { name: name.into(), proof: ClaimProof::Open { nonce, bits: 1 } };
        self.says(Body::Claim(claim))
    }

    pub(crate) fn points_to(&mut self, last: u8) -> Certificate {
        let rows = vec![Row { owner: String::new(), rtype: 1, rdata: vec![10, 0, 0, last], ttl: 60 }];
        self.says(Body::Records(Records { name: self.name.clone(), rows, aliases: Vec::new(), flags: 0 }))
    }

    pub(crate) fn releases(&mut self) -> Certificate {
        self.says(Body::Transfer { name: self.name.clone(), to: None })
    }

    /// The next certificate of the chain; claims carry the zone's signature too.
    pub(crate) fn says(&mut self, body: Body) -> Certificate {
        let origin = Zone::parse("dgns.test").unwrap().origin();
        let zone = key(4, 0);
        let keys = if matches!(body, Body::Claim(_)) { vec![&self.device, &zone] } else { vec![&self.device] };
        let payload = payload(Some(self.did), self.seq, Some(self.prev), body);
        let certificate = Certificate::sign(&payload, &origin, &keys).unwrap();
        (self.seq, self.prev) = (self.seq + 1, certificate.sid());
        certificate
    }
}

pub(crate) fn posts_of(posts: &[Vec<Certificate>]) -> Vec<Post> {
    let post =
        |certificates: &Vec<Certificate>| Post::certificates(certificates.iter().cloned().map(verified).collect());
    posts.iter().map(post).collect()
}

/// A certificate of this fixture with its signers, who are among the first people.
fn verified(certificate: Certificate) -> Verified {
    static KEYS: OnceLock<Vec<KeyBytes>> = OnceLock::new();
    let everybody = KEYS.get_or_init(|| {
        let keys = |number: u64| [key(1, number).public(), key(2, number).public()];
        (0..PEOPLE).flat_map(keys).chain([key(4, 0).public()]).collect()
    });
    certificate.with_signatures_unchecked(everybody).unwrap()
}

fn key(role: u8, number: u64) -> SigningKey {
    SigningKey::from_seed(&sha256(&[&[role], &number.to_be_bytes()]))
}

fn genesis(kind: DidKind, number: u64) -> Payload {
    let kex = |role: u8| KexSecret::from_bytes(sha256(&[&[role], &number.to_be_bytes()])).public();
    let device = Device { sign: key(2, number).public(), kex: kex(5), level: Level::Admin, label_hash: [6; 32] };
    let body =
        Genesis { kind, identity: key(1, number).public(), words_box: kex(7), device, window_s: None, user_key: None };
    payload(None, 0, None, Body::Genesis(body))
}

fn payload(subject: Option<Did>, seq: u64, prev: Option<Hash>, body: Body) -> Payload {
    let seen = Seen { size: 0, root: EMPTY_ROOT };
    let subject = subject.map(Into::into);
    Payload { subject, seq, prev, seen, unix_s: START_MS / 1_000, body, critical: true, by: None }
}

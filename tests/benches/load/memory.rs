//! A log in memory, by the real rules: what a server holds, without SQL, HTTP or the signing of heads.

use std::collections::HashMap;
use std::sync::Arc;

use identity::cert::{
    Authority, Body, Certificate, Device, DidKind, Genesis, KeyBytes, Level, Payload, Role, Seen, Verified, ZoneTerms,
};
use identity::did::Did;
use identity::key::{KexSecret, SigningKey};
use identity::name::{Origin, Zone};
use identity::rules::{self, World};
use identity::state::{Leaf, Subject};
use translog::batch::{self, Outcome, Post, View};
use translog::due::DueQueue;
use translog::hash::EMPTY_ROOT;
use translog::logconf::{Conf, LogConf};
use translog::map::Map;
use translog::note::LogSigner;
use translog::tree::Edge;

use super::{Signing, WORK_BITS};

/// The time of Epoch 0, ms.
const START_MS: u64 = 1_800_000_000_000;

/// A log whose states, map and edges are in memory.
pub struct MemoryLog {
    pub origin: Origin,
    pub edge: Edge,
    pub map: Map,
    /// The entries of each batch.
    batches: Vec<Vec<Vec<u8>>>,
    states: HashMap<Subject, Arc<Leaf>>,
    zone_key: SigningKey,
    server: Did,
    history: Edge,
    dues: DueQueue,
    time_ms: u64,
}

impl MemoryLog {
    /// Opens a log: genesis and LogConf, then the zone's terms.
    pub fn open() -> Self {
        let origin = Zone::parse("dgns.test").unwrap().origin();
        let [identity, device, log, zone_key] = [1, 2, 3, 4].map(|seed| SigningKey::from_seed(&[seed; 32]));
        let signer = LogSigner::new(origin.as_str(), log).unwrap();
        let kex = KexSecret::from_bytes([5; 32]).public();
        let first = Device { sign: device.public(), kex, level: Level::Admin, label_hash: [6; 32] };
        let genesis = Genesis {
            kind: DidKind::Server,
            identity: identity.public(),
            words_box: kex,
            device: first,
            window_s: None,
            user_key: None,
        };
        let seen = Seen { size: 0, root: EMPTY_ROOT };
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
        let genesis = payload(None, 0, None, Body::Genesis(genesis));
        let genesis = Certificate::sign(&genesis, &origin, &[&identity, &device]).unwrap();
        let server = genesis.chain_did().expect("a genesis makes a DID");
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
        let keys = [identity.public(), device.public()];
        let world = World::new(origin.zone(), origin.clone(), None);
        let genesis = genesis.with_signatures_unchecked(&keys).unwrap();
        let opened = batch::open(world, &genesis, &conf, START_MS).unwrap();
        let mut log = Self {
            origin,
            edge: Edge::new(),
            map: Map::new(),
            batches: Vec::new(),
            states: HashMap::new(),
            zone_key,
            server,
            history: Edge::new(),
            dues: DueQueue::new(),
            time_ms: START_MS,
        };
        log.take(opened);
        let terms = ZoneTerms { roads: 0b1101, work_floor_bits: WORK_BITS, window_floor_s: 1 };
        let scope = log.origin.zone().as_str().to_owned();
        let authority = Authority { role: Role::Zone, key: log.zone_key.public(), scope, zone: Some(terms) };
        let terms = payload(Some(server.into()), 1, Some(genesis.certificate().sid()), Body::NotaryAdd(authority));
        let terms = Certificate::sign(&terms, &log.origin, &[&identity]).unwrap();
        log.append(&[Post::certificates(vec![terms.with_signatures_unchecked(&keys).unwrap()])]);
        log
    }

    /// Returns the entries of a log that takes no more.
    pub fn entries(&self) -> Vec<&[u8]> {
        self.batches.iter().flatten().map(Vec::as_slice).collect()
    }

    /// Returns what signing needs to know of it.
    pub fn signing(&self) -> Signing {
        let seen = Seen { size: self.edge.size(), root: self.edge.root() };
        Signing { zone: self.origin.zone(), origin: self.origin.clone(), seen }
    }

    /// Makes a post of certificates, the zone's signature on claims; `keys` are the signers'. Nothing is verified.
    pub fn post(&self, certificates: &[Certificate], keys: &[KeyBytes]) -> Post {
        let candidates = [keys, &[self.zone_key.public()]].concat();
        let verified = certificates.iter().map(|certificate| {
            let certificate = match certificate.payload().body {
                Body::Claim(_) => self.countersigned(certificate),
                _ => certificate.clone(),
            };
            certificate.with_signatures_unchecked(&candidates).unwrap()
        });
        Post::certificates(verified.collect::<Vec<Verified>>())
    }

    /// Integrates and takes posts one second later; all must be accepted.
    pub fn append(&mut self, posts: &[Post]) {
        let now_ms = self.time_ms + 1_000;
        let view = self.view();
        let mut world = World::new(self.origin.zone(), self.origin.clone(), Some(self.server));
        loop {
            let missing = batch::wants(&view, &world, posts, now_ms);
            if missing.is_empty() {
                break;
            }
            for subject in missing {
                let leaf = self.states.get(&subject).cloned();
                world.insert(subject, leaf);
            }
        }
        let batch = batch::integrate(&view, world, posts, now_ms);
        assert!(batch.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted { .. })));
        assert_eq!(batch.outcomes.len(), posts.len(), "a batch takes them all");
        self.take(batch);
    }

    fn countersigned(&self, certificate: &Certificate) -> Certificate {
        let signature = self.zone_key.sign(&certificate.signed_bytes(&self.origin));
        certificate.with_signatures_added(&[(self.zone_key.kid(), signature)]).unwrap()
    }

    fn view(&self) -> View<'_> {
        View { edge: &self.edge, history: &self.history, time_ms: self.time_ms, map: &self.map, dues: &self.dues }
    }

    fn take(&mut self, batch: batch::Batch) {
        self.batches.push(batch.entries);
        (self.edge, self.history, self.time_ms) = (batch.edge, batch.history, batch.epoch.time_ms);
        self.map.apply(batch.map).unwrap();
        for (subject, change) in batch.changes {
            self.dues.set(change.label, &subject, rules::due_ms(&change.leaf));
            self.states.insert(subject, change.leaf);
        }
    }
}

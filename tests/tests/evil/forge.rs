//! A log made by its own operator, who holds every key: honest unless told otherwise, with valid signatures either way.

mod lookup;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dgns::config::Config;
use dgns::keys::{Keys, LogKey, ZoneKey};
use dgns::setup;
use dgns_client::rng;
use identity::cert::{Body, Certificate, Seen};
use identity::did::Did;
use identity::hash::Hash;
use identity::rules::{self, At, World};
use identity::seed::Words;
use identity::state::{ChainHead, Leaf, State, Subject};
use identity::time::Timestamp;
use translog::batch::{self, Batch, Change, Outcome, Post, View};
use translog::due::DueQueue;
use translog::entry::{Entry, Epoch};
use translog::hash::leaf_hash;
use translog::logconf::LogConf;
use translog::map::Map;
use translog::note::{Checkpoint, LogSigner, Note};
use translog::tile::{BundleId, RightTiles, bundles_for};
use translog::tree::Edge;

use super::export::Export;
use super::people::{self, TERMS, origin};
pub use lookup::Query;

/// When Epoch 0 was, ms.
const START_MS: u64 = 1_800_000_000_000;

/// The operator's log.
#[derive(Clone)]
pub struct Forge {
    signer: Arc<LogSigner>,
    keys: Arc<ForgeKeys>,
    server: Did,
    /// The entries so far.
    pub entries: Vec<Vec<u8>>,
    /// The log's right edge.
    pub edge: Edge,
    history: Edge,
    map: Map,
    dues: DueQueue,
    states: HashMap<Subject, Leaf>,
    /// The time of the newest Epoch, ms.
    pub time_ms: u64,
}

struct ForgeKeys {
    zone: ZoneKey,
    words: Words,
}

impl Forge {
    /// Returns a log of two batches, the first at this time: the server's genesis and LogConf, and the zone's terms.
    pub fn new(start_ms: u64) -> Self {
        let mut config = Config::defaults();
        (config.claims.work_bits, config.claims.window_floor_s) = (TERMS.work_floor_bits, TERMS.window_floor_s);
        let (keys, words) = (Keys::generate(&mut rng::system()), Words::generate(&mut rng::system()));
        let log_key = LogKey::new(keys.log[0].clone(), origin());
        let now = Timestamp::from_ms(start_ms);
        let first = setup::first_batch(&config, &keys, &words, &log_key, &mut rng::system(), now).unwrap();
        let genesis = Certificate::decode(&first.entries[0][1..]).unwrap();
        let server = genesis.chain_did().expect("a genesis makes a DID");
        let newest = ChainHead { seq: 0, sid: genesis.sid(), index: 0 };
        let signer = LogSigner::new(origin().as_str(), keys.log[0].clone()).unwrap();
        let body = Body::NotaryAdd(setup::zone_authority(&config, keys.zone.public()));
        let zone = ZoneKey::new(keys.zone);
        let head = log_key.sign_head(&first);
        let seen = Seen { size: head.size(), root: head.root() };
        let terms = setup::own_certificate(&origin(), body, &words.identity(), (server, newest), seen, now).unwrap();
        let mut forge = Self {
            signer: Arc::new(signer),
            keys: Arc::new(ForgeKeys { zone, words }),
            server,
            entries: Vec::new(),
            edge: Edge::new(),
            history: Edge::new(),
            map: Map::new(),
            dues: DueQueue::new(),
            states: HashMap::new(),
            time_ms: start_ms,
        };
        forge.take(first, |_| {});
        forge.batch(&[terms.certificate().clone()]);
        forge
    }

    /// Appends an honest batch, one second after the last.
    pub fn batch(&mut self, certificates: &[Certificate]) {
        let batch = self.integrate(certificates, self.time_ms + 1_000);
        self.take(batch, |_| {});
    }

    /// Appends what the server says next in its own chain, by the words.
    pub fn says_of_itself(&mut self, body: Body) {
        let State::Did(state) = self.leaf(&Subject::Did(self.server)).state else { panic!("a DID has a DidState") };
        let (chain, seen) = ((self.server, state.head), Seen { size: self.edge.size(), root: self.edge.root() });
        let now = Timestamp::from_ms(self.time_ms);
        let signed = setup::own_certificate(&origin(), body, &self.keys.words.identity(), chain, seen, now).unwrap();
        self.batch(&[signed.certificate().clone()]);
    }

    /// Returns the batch an honest operator would append at `now_ms`.
    pub fn integrate(&self, certificates: &[Certificate], now_ms: u64) -> Batch {
        self.integrate_with_dues(certificates, now_ms, &self.dues)
    }

    /// As [`Forge::integrate`], with another queue of what falls due.
    pub fn integrate_with_dues(&self, certificates: &[Certificate], now_ms: u64, dues: &DueQueue) -> Batch {
        let certificates: Vec<Certificate> = certificates.iter().map(|c| self.countersigned(c)).collect();
        let mut world = self.world();
        let mut verified = Vec::new();
        for (certificate, index) in certificates.iter().zip(self.edge.size()..) {
            self.fill(&mut world, |world| rules::wants(world, certificate));
            let candidates = rules::candidates(&world, certificate);
            let certificate = certificate.clone().with_signatures_unchecked(&candidates).unwrap();
            let effects = rules::apply(&world, &certificate, At { index, epoch_ms: now_ms }).unwrap();
            world.apply_changes(&effects);
            verified.push(certificate);
        }
        let view = View { edge: &self.edge, history: &self.history, time_ms: self.time_ms, map: &self.map, dues };
        let posts = match verified.is_empty() {
            true => Vec::new(),
            false => vec![Post::certificates(verified)],
        };
        let mut world = self.world();
        self.fill(&mut world, |world| batch::wants(&view, world, &posts, now_ms));
        let batch = batch::integrate(&view, world, &posts, now_ms);
        assert!(
            batch.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted { .. })),
            "{:?}",
            batch.outcomes
        );
        batch
    }

    /// Appends a batch whose Epoch `bend` may change.
    pub fn take(&mut self, batch: Batch, bend: impl FnOnce(&mut Epoch)) {
        let mut entries = batch.entries;
        entries.pop();
        self.close(entries, batch.changes, batch.epoch.time_ms, bend);
    }

    /// Appends any entries, with an Epoch over a map in which `changes` are made, whether they follow from the entries or not.
    pub fn close(
        &mut self,
        entries: Vec<Vec<u8>>,
        changes: BTreeMap<Subject, Change>,
        time_ms: u64,
        bend: impl FnOnce(&mut Epoch),
    ) {
        let delta = self.map.prepare(&batch::map_updates(&changes));
        let mut epoch = Epoch {
            k: self.history.size(),
            covers: self.edge.size() + entries.len() as u64,
            time_ms,
            map_root: delta.root(),
            history_root: self.history.root(),
        };
        bend(&mut epoch);
        self.append(entries);
        self.append(vec![epoch.encode().to_vec()]);
        self.history.append(epoch.leaf_hash());
        self.map.apply(delta).unwrap();
        for (subject, change) in changes {
            self.dues.set(change.label, &subject, rules::due_ms(&change.leaf));
            self.states.insert(subject, Arc::unwrap_or_clone(change.leaf));
        }
        self.time_ms = epoch.time_ms;
    }

    /// Appends a LogConf that becomes the log's, whoever signed it.
    pub fn configure(&mut self, conf: &LogConf) {
        let state = State::LogConf { version: conf.conf().seq + 1, payload: conf.payload_bytes().to_vec() };
        let leaf = Leaf { head_index: self.edge.size(), head_hash: conf.sid(), state };
        let change = Change::of(&Subject::LogConf, Arc::new(leaf));
        let entry = Entry::LogConf(conf.clone()).encode();
        self.close(vec![entry], BTreeMap::from([(Subject::LogConf, change)]), self.time_ms + 1_000, |_| {});
    }

    /// Appends entries and no Epoch.
    pub fn append(&mut self, entries: Vec<Vec<u8>>) {
        for entry in entries {
            self.edge.append(leaf_hash(&entry));
            self.entries.push(entry);
        }
    }

    /// Returns the certificate with the zone's signature if it is a claim.
    pub fn countersigned(&self, certificate: &Certificate) -> Certificate {
        match certificate.payload().body {
            Body::Claim(_) => self.keys.zone.countersign(certificate, &origin()).unwrap(),
            _ => certificate.clone(),
        }
    }

    /// Returns a state as the map has it.
    pub fn leaf(&self, subject: &Subject) -> Leaf {
        self.states[subject].clone()
    }

    /// Returns the server's DID.
    pub fn server(&self) -> Did {
        self.server
    }

    /// Returns the words that rule the server's DID.
    pub fn words(&self) -> &Words {
        &self.keys.words
    }

    /// Returns the log's signer.
    pub fn signer(&self) -> &LogSigner {
        &self.signer
    }

    /// Signs heads with another log key from now on.
    pub fn sign_with(&mut self, signer: LogSigner) {
        self.signer = Arc::new(signer);
    }

    /// Returns the log as files, its newest head signed.
    pub fn export(&self) -> Export {
        self.export_signed(self.edge.size(), self.edge.root())
    }

    /// As [`Forge::export`], with any numbers signed.
    pub fn export_signed(&self, size: u64, root: Hash) -> Export {
        let (mut log, mut history) = (RightTiles::new(), RightTiles::new());
        let mut files = BTreeMap::new();
        let mut put =
            |prefix: &str, tile: translog::tile::Tile| files.insert(format!("{prefix}{}", tile.id()), tile.encode());
        for entry in &self.entries {
            let hash = leaf_hash(entry);
            log.append(hash).into_iter().for_each(|tile| drop(put("", tile)));
            if entry[0] == 2 {
                history.append(hash).into_iter().for_each(|tile| drop(put("history/", tile)));
            }
        }
        log.partials().for_each(|tile| drop(put("", tile)));
        history.partials().for_each(|tile| drop(put("history/", tile)));
        let checkpoint = Checkpoint { origin: origin().as_str().into(), size, root };
        let note = Note::new(checkpoint.text(), vec![self.signer().sign(&checkpoint)]).unwrap();
        files.insert("checkpoint".into(), note.to_string().into_bytes());
        let mut export = Export { files, vkey: self.signer().verifier_key().to_string() };
        for id in bundles_for(0, self.entries.len() as u64) {
            let first = id.first_entry() as usize;
            export.put_bundle(
                BundleId::of_entry(id.first_entry(), self.edge.size()).unwrap(),
                &self.entries[first..first + usize::from(id.width())],
            );
        }
        export
    }

    fn world(&self) -> World {
        World::new(origin().zone(), origin(), Some(self.server))
    }

    fn fill(&self, world: &mut World, wants: impl Fn(&World) -> Vec<Subject>) {
        loop {
            let missing = wants(world);
            if missing.is_empty() {
                return;
            }
            for subject in missing {
                let leaf = self.states.get(&subject).cloned();
                world.insert(subject, leaf.map(Into::into));
            }
        }
    }
}

/// Returns the entry of a certificate.
pub fn entry(certificate: &Certificate) -> Vec<u8> {
    [&[1], certificate.as_bytes()].concat()
}

/// Returns a log with a few names, some with records, in several batches, and the people in it.
pub fn small() -> (Forge, Vec<people::Someone>) {
    small_from(START_MS)
}

/// As [`small`], with Epoch 0 at this time.
pub fn small_from(start_ms: u64) -> (Forge, Vec<people::Someone>) {
    let mut forge = Forge::new(start_ms);
    let mut people = Vec::new();
    for number in 0..4 {
        let (mut someone, mut certificates) = people::Someone::new(number);
        certificates.push(someone.points_to([10, 0, 0, number as u8]));
        forge.batch(&certificates);
        people.push(someone);
    }
    (forge, people)
}

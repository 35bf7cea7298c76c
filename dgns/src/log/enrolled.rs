//! Which keys stood in the log before: a key enters one chain, once (PROTOCOL 12.17).
//!
//! A rule of this door and no other: auditors do not judge it. Keys are kept as *marks*, 8 bytes of a hash each, all of them in
//! memory. The entries say them again, so that a crash loses none: those of durable bundles stand in a table, written with the
//! bundles, those of later entries are read out of them at each start, and so is whatever the table lacks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use identity::cert::{Body, Certificate, KeyBytes};
use identity::did::Did;
use identity::hash::domain_hash;
use storage::rows::EnrolledRow;
use storage::{Storage, StorageError};
use tokio::sync::watch;
use tracing::info;
use translog::bundle;
use translog::entry::{Entry, EntryKind};
use translog::tile::BundleId;

use super::damaged;

/// Rows read or written at once: about a megabyte of marks.
const ROWS: u64 = 256;

/// Bundles between two words to the operator while marks are made again.
const TOLD_EVERY: u64 = 1_024;

/// 8 bytes that stand for a key, or for keys that belong together.
type Mark = u64;

/// Every key that stood in the log, and those of posts on their way.
#[derive(Debug, Default)]
pub struct Enrolled {
    marks: Mutex<Marks>,
    settled: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Marks {
    /// Those of entries. A B-tree takes 10 bytes a mark, 15 as it grows, and never stands still to grow.
    standing: BTreeSet<Mark>,
    /// Those of posts that wait for the publisher, and how many posts bring each.
    claimed: HashMap<Mark, u32>,
    /// By the number of their bundle, those of entries that are in no durable bundle.
    tail: BTreeMap<u64, Vec<u8>>,
}

/// Why a post cannot have its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A key of the certificate at this position stood in the log before.
    Standing {
        /// Its place in the post.
        position: usize,
    },
    /// Another post on its way brings the same key: what becomes of that one decides.
    Waiting,
}

impl Enrolled {
    /// Reads the marks of a log of `size` entries, and makes those again that the table lacks.
    pub async fn load(storage: &Storage, size: u64) -> Result<Self, StorageError> {
        let tiled = storage.log().load_tiled().await?.size;
        let mut marks = Vec::new();
        let mut bundles = 0;
        loop {
            let rows = storage.log().enrolled(bundles, ROWS).await?;
            for (number, row) in (bundles..).zip(&rows) {
                if row.bundle != number || row.marks.len() % 8 != 0 {
                    return Err(damaged("enrolled", "a bundle has no marks, or parts of some"));
                }
                marks.extend(numbers(&row.marks));
            }
            bundles += rows.len() as u64;
            if rows.is_empty() {
                break;
            }
        }
        for first in (bundles..tiled / 256).step_by(ROWS as usize) {
            if (first - bundles) % TOLD_EVERY == 0 {
                info!(bundle = first, of = tiled / 256, "reading the keys of the log, once");
            }
            let mut rows = Vec::new();
            for bundle in first..(first + ROWS).min(tiled / 256) {
                let row = EnrolledRow { bundle, marks: of_bundle(storage, bundle).await? };
                marks.extend(numbers(&row.marks));
                rows.push(row);
            }
            storage.log().add_enrolled(&rows).await?;
        }
        let mut tail = BTreeMap::<u64, Vec<u8>>::new();
        for (index, entry) in storage.log().entries(tiled..size).await? {
            let of_entry = of_entry(&entry)?;
            marks.extend(numbers(&of_entry));
            tail.entry(index / 256).or_default().extend(of_entry);
        }
        let marks = Marks { standing: marks.into_iter().collect(), tail, ..Marks::default() };
        Ok(Self { marks: Mutex::new(marks), settled: watch::Sender::default() })
    }

    /// Takes the keys that `certificates` bring, or says why they cannot have them. What is taken is given back unless the post
    /// becomes part of the log.
    pub fn claim<'c>(
        self: &Arc<Self>,
        certificates: impl Iterator<Item = &'c Certificate>,
    ) -> Result<Claimed, Conflict> {
        let mut brought = Vec::new();
        for (position, certificate) in certificates.enumerate() {
            brought.extend(introduced(certificate).into_iter().map(|step| (position, step)));
        }
        let mut claimed = Claimed { enrolled: None, marks: Vec::new() };
        if brought.is_empty() {
            return Ok(claimed);
        }
        let mut marks = self.lock();
        for (position, step) in brought {
            let own = |mark: &Mark| claimed.marks.iter().any(|(_, own)| own == mark);
            let stands = |mark: &Mark| own(mark) || marks.standing.contains(mark);
            let excused = step.unless.as_ref().is_some_and(stands);
            if !excused && stands(&step.new) {
                return Err(Conflict::Standing { position });
            }
            if !excused && marks.claimed.contains_key(&step.new) {
                return Err(Conflict::Waiting);
            }
            claimed.marks.extend(step.adds.map(|mark| (position, mark)));
        }
        claimed.marks.iter().for_each(|(_, mark)| *marks.claimed.entry(*mark).or_default() += 1);
        claimed.enrolled = Some(self.clone());
        Ok(claimed)
    }

    /// Returns a receiver that wakes whenever it is known what became of a post with keys.
    pub fn settled(&self) -> watch::Receiver<()> {
        self.settled.subscribe()
    }

    /// Returns the marks of full bundles `from` to `to`, which are durable now; they are forgotten with [`Enrolled::saved`].
    pub fn of_bundles(&self, from: u64, to: u64) -> Vec<EnrolledRow> {
        let marks = self.lock();
        let of = |bundle| EnrolledRow { bundle, marks: marks.tail.get(&bundle).cloned().unwrap_or_default() };
        (from..to).map(of).collect()
    }

    /// Forgets which marks belong to bundles below `to`: the table says it.
    pub fn saved(&self, to: u64) {
        let marks = &mut *self.lock();
        marks.tail = marks.tail.split_off(&to);
    }

    fn lock(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().expect("no holder of the lock panics: it guards plain numbers")
    }
}

/// Keys held by one post until it is answered.
#[derive(Debug)]
pub struct Claimed {
    enrolled: Option<Arc<Enrolled>>,
    /// With the place of the certificate in the post.
    marks: Vec<(usize, Mark)>,
}

impl Claimed {
    /// Notes where the post is going to stand, before anybody sees it there, the writer of bundles not excepted.
    pub fn place(&self, first_index: u64) {
        let Some(enrolled) = &self.enrolled else { return };
        let tail = &mut enrolled.lock().tail;
        for (position, mark) in &self.marks {
            tail.entry((first_index + *position as u64) / 256).or_default().extend(mark.to_be_bytes());
        }
    }

    /// Keeps the keys: the post stands in the log.
    pub fn enrol(self) {
        if let Some(enrolled) = &self.enrolled {
            enrolled.lock().standing.extend(self.marks.iter().map(|(_, mark)| *mark));
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let Some(enrolled) = &self.enrolled else { return };
        {
            let claimed = &mut enrolled.lock().claimed;
            for (_, mark) in &self.marks {
                match claimed.get_mut(mark) {
                    Some(posts) if *posts > 1 => *posts -= 1,
                    _ => drop(claimed.remove(mark)),
                }
            }
        }
        enrolled.settled.send_replace(());
    }
}

/// Returns the marks that an entry adds, 8 bytes each.
pub fn of_entry(entry: &[u8]) -> Result<Vec<u8>, StorageError> {
    if entry.first() != Some(&(EntryKind::Certificate as u8)) {
        return Ok(Vec::new());
    }
    match Entry::decode(entry) {
        Ok(Entry::Certificate(certificate)) => {
            Ok(introduced(&certificate).iter().filter_map(|step| step.adds).flat_map(Mark::to_be_bytes).collect())
        }
        _ => Err(damaged("entries", "a certificate does not decode")),
    }
}

/// Returns the marks that the entries of a durable bundle add.
async fn of_bundle(storage: &Storage, number: u64) -> Result<Vec<u8>, StorageError> {
    let missing = || damaged("objects", "an entry bundle is missing or does not decode");
    let id = BundleId::new(number, 256).map_err(|_| missing())?;
    let bytes = storage.objects().get(&id.to_string()).await?.ok_or_else(missing)?;
    let entries = bundle::decode(id, &bytes).map_err(|_| missing())?;
    let marks: Result<Vec<_>, _> = entries.into_iter().map(of_entry).collect();
    Ok(marks?.concat())
}

fn numbers(marks: &[u8]) -> impl Iterator<Item = Mark> {
    marks.as_chunks().0.iter().map(|bytes| Mark::from_be_bytes(*bytes))
}

/// One question about the keys of a certificate, and what is known from then on.
struct Step {
    /// What must not stand,
    new: Mark,
    /// unless this stands.
    unless: Option<Mark>,
    adds: Option<Mark>,
}

/// Returns the questions of a certificate, in order.
fn introduced(certificate: &Certificate) -> Vec<Step> {
    let mut steps = Vec::new();
    match &certificate.payload().body {
        Body::Genesis(genesis) => {
            signing(&mut steps, &genesis.identity);
            sealing(&mut steps, &genesis.words_box);
            device(&mut steps, &genesis.device.sign, &genesis.device.kex);
            genesis.user_key.iter().for_each(|first| sealing(&mut steps, &first.key));
        }
        Body::DeviceAdd(added) => device(&mut steps, &added.sign, &added.kex),
        Body::IdRotate(keys) => {
            signing(&mut steps, &keys.identity);
            sealing(&mut steps, &keys.words_box);
        }
        Body::UserKey(turned) => {
            sealing(&mut steps, &turned.key);
            // Extra recipients are named again in every generation.
            turned.extras.iter().for_each(|extra| own(&mut steps, certificate.chain_did(), &extra.kex));
        }
        // An enrolment that came too late, or was vetoed while it waited, is posted again.
        Body::RecoverySet(set) => {
            for key in set.enrolment.iter().flat_map(|enrolment| [&enrolment.sign, &enrolment.kex]) {
                own(&mut steps, certificate.chain_did(), key);
            }
        }
        // A new device guesses more than once, and is a device in the end.
        Body::RecoverOpen(open) => attested(&mut steps, &open.sign, &open.kex),
        Body::RecoverFinal(last) => {
            device(&mut steps, &last.device.sign, &last.device.kex);
            if let Some(words) = &last.words {
                signing(&mut steps, &words.identity);
                sealing(&mut steps, &words.words_box);
            }
        }
        // An authority comes back with other terms, or after its end.
        Body::NotaryAdd(authority) => own(&mut steps, certificate.chain_did(), &authority.key),
        Body::AttestLogin(login) => attested(&mut steps, &login.sign, &login.kex),
        _ => {}
    }
    steps
}

/// A key whose holder signs the certificate that brings it.
fn signing(steps: &mut Vec<Step>, key: &KeyBytes) {
    let stands = mark(STANDS, key, &[]);
    steps.push(Step { new: stands, unless: None, adds: Some(stands) });
}

/// A key that is named without proof of possession: not one that a sign-in has shown to everybody as another's.
fn sealing(steps: &mut Vec<Step>, key: &KeyBytes) {
    steps.push(Step { new: mark(ATTESTED, key, &[]), unless: None, adds: None });
    signing(steps, key);
}

/// The two keys of a device. They may have signed in together before.
fn device(steps: &mut Vec<Step>, sign: &KeyBytes, kex: &KeyBytes) {
    let pair = mark(PAIR, sign, kex);
    signing(steps, sign);
    signing(steps, kex);
    steps.push(Step { new: mark(ATTESTED, kex, &[]), unless: Some(pair), adds: Some(pair) });
}

/// The two keys of a device that signs in, now and again, enrolled or not: nobody else's from then on.
fn attested(steps: &mut Vec<Step>, sign: &KeyBytes, kex: &KeyBytes) {
    let pair = mark(PAIR, sign, kex);
    steps.push(Step { new: mark(STANDS, sign, &[]), unless: Some(pair), adds: None });
    steps.push(Step { new: mark(STANDS, kex, &[]), unless: Some(pair), adds: None });
    steps.push(Step { new: mark(ATTESTED, kex, &[]), unless: Some(pair), adds: Some(mark(ATTESTED, kex, &[])) });
    steps.push(Step { new: pair, unless: Some(pair), adds: Some(pair) });
}

/// A key that may come again in the chain it first stood in.
fn own(steps: &mut Vec<Step>, did: Option<Did>, key: &KeyBytes) {
    let of_chain = did.map(|did| mark(OF_CHAIN, did.as_bytes(), key));
    steps.push(Step { new: mark(ATTESTED, key, &[]), unless: of_chain, adds: None });
    steps.push(Step { new: mark(STANDS, key, &[]), unless: of_chain, adds: Some(mark(STANDS, key, &[])) });
    steps.extend(of_chain.map(|mark| Step { new: mark, unless: Some(mark), adds: Some(mark) }));
}

const STANDS: u8 = 1;
const ATTESTED: u8 = 2;
const PAIR: u8 = 3;
const OF_CHAIN: u8 = 4;

/// Returns the first 8 bytes of the hash of what `kind` says of one key, or of two: two that agree by chance are not to be met in any log.
fn mark(kind: u8, first: &[u8], second: &[u8]) -> Mark {
    let hash = domain_hash("dgns/enrolled/v1", &[&[kind], first, second]);
    Mark::from_be_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
}

#[cfg(test)]
mod tests;

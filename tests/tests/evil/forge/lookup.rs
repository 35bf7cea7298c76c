//! Lookups in the operator's log, as a stock server answers them (PROTOCOL 11, 12.1): every proof in them holds.

use dgns_api::known::Known;
use dgns_tests::harness::opaque::{consistency, inclusion};
use identity::did::Did;
use identity::hash::Hash;
use identity::state::{Leaf, State, Subject};
use translog::entry::{Entry, Epoch};
use translog::hash::leaf_hash;
use translog::head::Head;
use translog::map::{self, Map};
use translog::note::Checkpoint;
use translog::resolution::{Answer, ChainRow, EpochProof, Resolution};
use translog::rotation::{ConfChain, ConfRow};

use super::{Forge, origin};

/// What a lookup asks besides its subject.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query {
    /// The size of the head the client remembers.
    pub from: Option<u64>,
    /// What it keeps of the DID.
    pub known: Option<Known>,
    /// The place from which the chain of the DID asked for is wanted.
    pub chain_from: Option<u64>,
}

impl Forge {
    /// Returns the newest head, signed, whatever the last entry is.
    pub fn head(&self) -> Head {
        let checkpoint =
            Checkpoint { origin: origin().as_str().into(), size: self.edge.size(), root: self.edge.root() };
        Head {
            size: checkpoint.size,
            root: checkpoint.root,
            log_signature: self.signer().sign(&checkpoint).signature.try_into().unwrap(),
            cosignatures: Vec::new(),
            epoch_entry: self.entries.last().unwrap().clone(),
            path: self.edge.last_leaf_path(),
        }
    }

    /// Proves a subject present or absent under the newest head, which may have cosignatures by now.
    pub fn resolution(&self, head: &Head, subject: &Subject, query: Query) -> Resolution {
        let leaf = self.states.get(subject);
        let mut subjects = vec![subject.clone()];
        if let Some(Leaf { state: State::Name(name), .. }) = leaf {
            subjects.extend(name.did.map(Subject::Did));
        }
        let labels: Vec<Hash> = subjects.iter().map(map::label).collect();
        let answers = subjects.iter().map(|subject| match self.states.get(subject) {
            Some(leaf) if is_kept(query.known, leaf) => Answer::known(leaf),
            Some(leaf) => Answer::present(leaf),
            None => Answer::absent(subject),
        });
        let proof = self.map.prove(&labels).unwrap();
        let mut resolution = Resolution::new(subject.clone(), answers.collect(), proof).with_head(head.clone());
        if let Some(from) = query.from.filter(|from| *from > 0 && *from < head.size) {
            resolution = resolution.with_consistency(self.consistency(from));
        }
        if let Some(Leaf { state: State::Name(name), .. }) = leaf
            && let Some((index, sid)) = name.answers()
            && let Some(Ok(Entry::Certificate(records))) =
                self.entries.get(index as usize).map(|entry| Entry::decode(entry))
            && records.sid() == sid
        {
            resolution = resolution.with_certificates([&records]);
        }
        let asked_for = match (query.chain_from, subject) {
            (Some(from), Subject::Did(did)) => Some((*did, from)),
            _ => query.known.map(|known| (known.did, known.next)),
        };
        match asked_for.filter(|(did, _)| subjects.contains(&Subject::Did(*did))) {
            Some((did, from)) => resolution.with_chain(self.chain(&did, from)),
            None => resolution,
        }
    }

    /// Returns the proof that the newest head continues one of `from` leaves.
    pub fn consistency(&self, from: u64) -> Vec<Hash> {
        consistency(&|index| leaf_hash(&self.entries[index as usize]), from, self.edge.size())
    }

    /// Returns the inclusion path of an entry in the tree of `size` leaves.
    pub fn inclusion(&self, index: u64, size: u64) -> Vec<Hash> {
        inclusion(&|index| leaf_hash(&self.entries[index as usize]), index, size)
    }

    /// Returns the chain of LogConfs under a head, as whoever knows earlier keys asks for it (PROTOCOL 7.5).
    pub fn conf_chain(&self, head: &Head, from: Option<u64>) -> Vec<u8> {
        let resolution = self.resolution(head, &Subject::LogConf, Query { from, ..Query::default() }).encode();
        let is_row = |(index, entry): &(u64, &Vec<u8>)| *index == 0 || entry[0] == 3;
        let rows = (0..).zip(&self.entries).filter(is_row).map(|(index, entry)| ConfRow {
            index,
            path: self.inclusion(index, self.edge.size()),
            entry: entry.clone(),
        });
        ConfChain { resolution, rows: rows.collect() }.encode()
    }

    /// Takes a subject out of the map, as if it had never been; the next Epoch commits to that.
    pub fn forget(&mut self, subject: &Subject) {
        self.states.remove(subject);
        let rows = self.states.iter().map(|(subject, leaf)| (map::label(subject), map::commitment(leaf)));
        let rows: std::collections::BTreeMap<Hash, Hash> = rows.collect();
        self.map = Map::from_sorted(rows).unwrap();
    }

    fn chain(&self, did: &Did, from: u64) -> Vec<ChainRow> {
        let mut rows = Vec::new();
        for (index, entry) in (0..).zip(&self.entries) {
            match Entry::decode(entry) {
                Ok(Entry::Certificate(certificate))
                    if certificate.chain_did() == Some(*did) && certificate.payload().seq >= from =>
                {
                    rows.push(self.chain_row(index, certificate.encode()));
                }
                _ => {}
            }
        }
        rows
    }

    /// Proves one certificate: its place in the log, and the two Epochs around it.
    fn chain_row(&self, index: u64, envelope: Vec<u8>) -> ChainRow {
        let epochs: Vec<&Vec<u8>> = self.entries.iter().filter(|entry| entry[0] == 2).collect();
        let before_it = self.entries[..index as usize].iter().filter(|entry| entry[0] == 2).count();
        let newest = epochs.len() - 1;
        let proof = |k: usize| EpochProof {
            entry: <[u8; Epoch::ENTRY_BYTES]>::try_from(epochs[k].as_slice()).unwrap(),
            path: match k < newest {
                true => inclusion(&|k| leaf_hash(epochs[k as usize]), k as u64, newest as u64),
                false => Vec::new(),
            },
        };
        ChainRow {
            index,
            path: self.inclusion(index, self.edge.size()),
            envelope,
            k: before_it as u64,
            before: before_it.checked_sub(1).map(proof),
            epoch: proof(before_it),
        }
    }
}

/// Whether the client keeps this very state.
fn is_kept(known: Option<Known>, leaf: &Leaf) -> bool {
    let (Some(known), State::Did(state)) = (known, &leaf.state) else { return false };
    known.did == state.did && known.mark == Some(Known::mark_of(&map::state_hash(&state.encode())))
}

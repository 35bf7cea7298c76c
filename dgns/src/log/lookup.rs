//! Lookups: a Resolution of a name, DID or alias under the public head, or the newest (PROTOCOL 11).

use std::ops::Range;
use std::sync::Arc;

use dgns_api::known::Known;
use identity::cert::Certificate;
use identity::did::Did;
use identity::hash::Hash;
use identity::state::{Leaf, State, Subject};
use storage::StorageError;
use translog::entry::Entry;
use translog::map::{self, MapAt, MapProof, ProveError};
use translog::resolution::{Answer, Resolution, Written};

use super::live::PublicHead;
use super::shown::Asked;
use super::states::Held;
use super::tiles::Tree;
use super::{chain, damaged};
use crate::core::Core;

/// What a lookup asks besides its subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The head that the answer is proved from.
    pub head: Asked,
    /// The size of the head the client has in use; that head is left out of the answer.
    pub have: Option<u64>,
    /// The size of the head the client remembers; a consistency proof from it is added.
    pub from: Option<u64>,
    /// Whether the certificates a name's state refers to are added.
    pub with_certificates: bool,
    /// What the client keeps of the DID: its state is left out if it is still the same, else the certificates since are added.
    pub known: Option<Known>,
    /// The place from which the chain of the DID asked for is added.
    pub chain_from: Option<u64>,
    /// The certificates just written whose inclusion is proved: first index and count.
    pub written: Option<(u64, u64)>,
}

/// Why a lookup has no answer.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// `have` or `from` is larger than the newest head.
    #[error("the newest head has {newest} leaves")]
    UnknownHead {
        /// The newest head's size.
        newest: u64,
    },
    /// No head that could be shown has its quorum yet. Safe to repeat.
    #[error("the witnesses have not cosigned a head since the server started; try again")]
    QuorumPending,
    /// The database or a tile failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// One consistent reading of the log: a head, the states asked, and the proof that they belong together.
struct Reading<P> {
    head: Arc<PublicHead>,
    subjects: Vec<Subject>,
    held: Vec<Option<Arc<Held>>>,
    proof: P,
}

/// The answer to a lookup with each label by itself, all under one head (PROTOCOL 13.2).
pub struct Apart {
    /// The head.
    pub head: Arc<PublicHead>,
    /// Of the subject asked: its Resolution, with its State if it is no DID.
    pub first: Vec<u8>,
    /// Of its owner, or of the DID asked if it exists: the DID, its Resolution without its State, and that.
    pub did: Option<(Did, Vec<u8>, Vec<u8>)>,
}

/// Proves `subject` present or absent; the bytes are a Resolution.
pub async fn resolve(core: &Core, subject: &Subject, query: Query) -> Result<Vec<u8>, LookupError> {
    let asked = head_for(core, &query)?;
    let reading = read(core, subject, asked, together).await?;
    let size = reading.head.size();
    let leaves = reading.held.iter().map(|held| held.as_deref().map(|held| &held.leaf));
    let answers = reading.subjects.iter().zip(leaves).map(|(subject, leaf)| match leaf {
        Some(leaf) if is_kept(query.known, leaf) => Answer::known(leaf),
        Some(leaf) => Answer::present(leaf),
        None => Answer::absent(subject),
    });
    let mut resolution = Resolution::new(subject.clone(), answers.collect(), reading.proof);
    if query.have != Some(size) {
        resolution = resolution.with_head(reading.head.head.clone());
    }
    if let Some(from) = query.from.filter(|from| *from > 0 && *from < size) {
        resolution = resolution.with_consistency(consistency(core, from, size).await?);
    }
    if let Some((first, count)) = query.written {
        resolution = resolution.with_written(written(core, first..first + count, size).await?);
    }
    if query.with_certificates {
        let mut certificates = Vec::new();
        for index in certificates_named(&reading.held) {
            certificates.push(certificate(core, index).await?);
        }
        resolution = resolution.with_certificates(&certificates);
    }
    let asked_for = match (query.chain_from, subject) {
        (Some(from), Subject::Did(did)) => Some((*did, from)),
        _ => query.known.map(|known| (known.did, known.next)),
    };
    if let Some((did, from)) = asked_for.filter(|(did, from)| has_certificates_from(&reading.held, did, *from)) {
        resolution = resolution.with_chain(chain::page(core, &did, from, &reading.head).await?);
    }
    Ok(resolution.encode())
}

/// Proves `subject` present or absent under the public head, and its owner beside it, each by itself.
pub async fn resolve_apart(core: &Core, subject: &Subject) -> Result<Apart, LookupError> {
    let apart = |map: &MapAt<'_>, labels: &[Hash]| labels.iter().map(|label| map.prove(&[*label])).collect();
    let asked = core.live.read().answers(Asked::Public);
    let reading: Reading<Vec<MapProof>> = read(core, subject, asked, apart).await?;
    let mut apart = Apart { head: reading.head, first: Vec::new(), did: None };
    for (place, ((subject, held), proof)) in
        reading.subjects.into_iter().zip(&reading.held).zip(reading.proof).enumerate()
    {
        let leaf = held.as_deref().map(|held| &held.leaf);
        let answer = match (leaf, &subject) {
            (None, _) => Answer::absent(&subject),
            (Some(leaf), Subject::Did(_)) => Answer::known(leaf),
            (Some(leaf), _) => Answer::present(leaf),
        };
        let bytes = Resolution::new(subject, vec![answer], proof).encode();
        if place == 0 {
            apart.first.clone_from(&bytes);
        }
        if let Some(State::Did(state)) = leaf.map(|leaf| &leaf.state) {
            apart.did = Some((state.did, bytes, state.encode()));
        }
    }
    Ok(apart)
}

/// Returns the public head, if one has its quorum.
pub fn public_head(core: &Core) -> Result<Arc<PublicHead>, LookupError> {
    core.live.public_head().ok_or(LookupError::QuorumPending)
}

fn together(map: &MapAt<'_>, labels: &[Hash]) -> Result<MapProof, ProveError> {
    map.prove(labels)
}

/// Whether the client keeps this very state.
fn is_kept(known: Option<Known>, leaf: &Leaf) -> bool {
    let (Some(known), State::Did(state)) = (known, &leaf.state) else { return false };
    known.did == state.did && known.mark == Some(Known::mark_of(&map::state_hash(&state.encode())))
}

/// Whether the chain of `did`, if it is among what is answered, goes on at place `from`.
fn has_certificates_from(held: &[Option<Arc<Held>>], did: &Did, from: u64) -> bool {
    held.iter().flatten().any(|held| match &held.leaf.state {
        State::Did(state) => state.did == *did && state.head.seq >= from,
        _ => false,
    })
}

/// Returns the size of the head shown, and what its map holds of `subject` and its owner: something else, and one of them changed.
pub async fn mark(core: &Core, subject: &Subject) -> Result<(u64, Vec<Option<Hash>>), LookupError> {
    let reading = read(core, subject, Asked::Public, together).await?;
    let commitments = reading.held.iter().map(|held| held.as_ref().map(|held| held.commitment));
    Ok((reading.head.size(), commitments.collect()))
}

/// Returns which head answers: the one asked for, or the newest to whoever knows one above the public head already.
fn head_for(core: &Core, query: &Query) -> Result<Asked, LookupError> {
    let inner = core.live.read();
    let known = query.have.max(query.from).unwrap_or(0);
    if known > inner.head.size() {
        return Err(LookupError::UnknownHead { newest: inner.head.size() });
    }
    let asked = inner.answers(query.head);
    match inner.head_at(asked) {
        Some(head) if known <= head.size() || asked == inner.answers(Asked::Newest) => Ok(asked),
        Some(_) => Ok(Asked::Newest),
        None => Err(LookupError::QuorumPending),
    }
}

/// Returns the inclusion path of a leaf in the tree of `size` leaves; the caller has checked `index < size`.
pub async fn inclusion(core: &Core, tree: Tree, index: u64, size: u64) -> Result<Vec<Hash>, StorageError> {
    core.tiles.inclusion(tree, index, size).await
}

/// Returns the consistency proof between two sizes of the log, `from <= to`.
pub async fn consistency(core: &Core, from: u64, to: u64) -> Result<Vec<Hash>, StorageError> {
    core.tiles.consistency(from, to).await
}

/// Returns certificates just written, each with its path.
async fn written(core: &Core, range: Range<u64>, size: u64) -> Result<Vec<Written>, StorageError> {
    let mut rows = Vec::new();
    for index in range {
        let envelope = certificate(core, index).await?.encode();
        rows.push(Written { index, path: inclusion(core, Tree::Log, index, size).await?, envelope });
    }
    Ok(rows)
}

/// Returns the certificate at `index`.
pub async fn certificate(core: &Core, index: u64) -> Result<Certificate, StorageError> {
    let missing = || damaged("entries", "a certificate is missing or does not decode");
    let entry = core.tiles.entry(index).await?.ok_or_else(missing)?;
    match Entry::decode(&entry) {
        Ok(Entry::Certificate(certificate)) => Ok(certificate),
        _ => Err(missing()),
    }
}

/// Reads the states a lookup answers with, a name or alias with its owner or a DID alone, and proves them under one head.
async fn read<P>(
    core: &Core,
    subject: &Subject,
    asked: Asked,
    prove: impl Fn(&MapAt<'_>, &[Hash]) -> Result<P, ProveError>,
) -> Result<Reading<P>, LookupError> {
    let mut subjects = vec![subject.clone()];
    loop {
        let labels: Vec<Hash> = subjects.iter().map(map::label).collect();
        let held = core.states.load(&core.live, &core.storage, &labels, asked).await?;
        let owner = held[0].as_deref().and_then(owner).map(Subject::Did);
        if owner.as_ref() != subjects.get(1) {
            subjects.truncate(1);
            subjects.extend(owner);
            continue;
        }
        let inner = core.live.read();
        let (head, map) = (inner.head_at(asked).ok_or(LookupError::QuorumPending)?, inner.map_at(asked));
        let current =
            labels.iter().zip(&held).all(|(label, held)| map.get(label) == held.as_ref().map(|h| h.commitment));
        if current {
            let proof = prove(&map, &labels).map_err(|_| damaged("labels", "labels that cannot be proved together"))?;
            return Ok(Reading { head: head.clone(), proof, subjects, held });
        }
    }
}

fn owner(held: &Held) -> Option<Did> {
    match &held.leaf.state {
        State::Name(name) => name.did,
        State::Alias(alias) => alias.did,
        _ => None,
    }
}

/// Returns the log indexes of the certificates that a name's state refers to.
fn certificates_named(held: &[Option<Arc<Held>>]) -> impl Iterator<Item = u64> {
    held.iter().flatten().filter_map(|held| match &held.leaf.state {
        State::Name(name) => name.answers().map(|(index, _)| index),
        _ => None,
    })
}

//! The promise: what a lookup shows is what the log says, whoever sent it (PROTOCOL 11.3).
//!
//! ```text
//! origin, log keys (pinned)                                   the subject (asked)
//!     | sign                                                      | hash
//!     v                                                           v
//!   head = size, root --- last leaf ---> Epoch = time, map root --- map proof ---> name -> DID -> keys, records
//!     ^                                                                                     ^
//!     | continues                                                                           | followed from
//!   the head remembered                                                               the state remembered
//! ```
//!
//! [`verify`] makes eight checks in this order; the first that fails decides. Only then is the memory changed and a
//! [`Resolved`] made, and nothing else makes one.

mod chain;
mod error;
mod resolved;

pub use chain::{ChainStep, Footing};
pub use error::VerifyError;
pub use resolved::{Continuity, Resolved, Status, WrittenCertificate};

use identity::cert::{Body, Certificate, Delegate, Payload, Records};
use identity::name::Name;
use identity::state::{AliasState, DidState, NameState, State, Subject};
use identity::time::Timestamp;

use crate::entry::Epoch;
use crate::hash::{Hash, leaf_hash, sha256};
use crate::head::Head;
use crate::map::{LabelKind, OpenedLeaf, label};
use crate::note::VerifierKey;
use crate::policy::Cosignatures;
use crate::resolution::{Answer, Resolution};
use crate::tree::{verify_consistency, verify_inclusion};
use crate::trust::{Memory, Met, Trust};

/// Verifies the answer to a lookup of `subject` and remembers what it showed.
///
/// `memory` is of this log; it changes only if all holds. `now` is the reader's clock, used for the age of the head alone.
pub fn verify(
    trust: &Trust,
    memory: &mut Memory,
    subject: &Subject,
    bytes: &[u8],
    now: Timestamp,
) -> Result<Resolved, VerifyError> {
    let resolution = Resolution::decode(bytes).map_err(|_| VerifyError::Malformed)?;
    verify_decoded(trust, memory, subject, resolution, now)
}

/// As [`verify`], of a Resolution that was put together from parts, such as those of a proof file.
pub fn verify_decoded(
    trust: &Trust,
    memory: &mut Memory,
    subject: &Subject,
    mut resolution: Resolution,
    now: Timestamp,
) -> Result<Resolved, VerifyError> {
    is_about(&resolution, trust, subject)?; //                              1: the answer is to this question
    let head = signed_head(trust, memory, resolution.take_head())?; //      2: the log signed it, and whom we ask to watch
    let quorum = is_fresh(trust, &head, now)?; //                           3: not long ago
    ends_in_its_epoch(&head)?; //                                           4: its last leaf is the Epoch with this map
    let proved = proved_states(&resolution, memory, subject, &head)?; //    5: the map holds these states, or none
    let written = proved_entries(&resolution, &head)?; //                      and the log these certificates
    let continuity = continues(memory, &head, &resolution.consistency)?; // 6: nothing we saw was taken back
    // 7: and what a DID has become, its own certificates made of it
    let chain = chain::follow(trust.origin(), memory, &proved, &resolution.chain, &head)?;

    if let Some((state, from_genesis)) = chain.keep {
        memory.keep_did(state, from_genesis); //                            8: so it stays
    }
    memory.keep_head(head.met.clone());
    let entries = Entries { written, chain: chain.steps, footing: chain.footing };
    Ok(Resolved::new(subject.clone(), proved, entries, head, quorum, continuity))
}

/// A head of this log that a trusted key signed.
struct SignedHead<'k> {
    met: Met,
    /// The key that signed; `None` if it was remembered.
    log_key: Option<VerifierKey>,
    cosignatures: Cosignatures<'k>,
}

/// What step 5 proved.
struct ProvedStates {
    name: Option<NameState>,
    did: Option<DidState>,
    alias: Option<AliasState>,
    logconf: Option<Vec<u8>>,
    anchors: Option<Vec<u8>>,
    records: Option<Records>,
    delegate: Option<Delegate>,
}

/// The certificates proved to be in the log.
struct Entries {
    written: Vec<WrittenCertificate>,
    chain: Vec<ChainStep>,
    footing: Option<Footing>,
}

fn is_about(resolution: &Resolution, trust: &Trust, subject: &Subject) -> Result<(), VerifyError> {
    let in_zone = match subject {
        Subject::Name(name) => Name::parse(name, trust.zone()).is_ok(),
        Subject::Did(_) | Subject::Alias(_) | Subject::LogConf | Subject::Anchors => true,
    };
    if in_zone && resolution.subject() == subject { Ok(()) } else { Err(VerifyError::Subject) }
}

/// The head sent, its signatures verified; or the head remembered, if none was sent or it is that.
fn signed_head<'k>(trust: &'k Trust, memory: &Memory, sent: Option<Head>) -> Result<SignedHead<'k>, VerifyError> {
    if memory.origin() != trust.origin() {
        return Err(VerifyError::Origin);
    }
    let (policy, cosigners) = (trust.policy(), *trust.policy().cosigners_hash());
    let (head, log_key, known) = match (sent, memory.newest()) {
        (None, None) => return Err(VerifyError::Malformed),
        (None, Some(met)) => (met.head.clone(), None, met.cosigners == cosigners),
        (Some(head), Some(met)) if head == met.head => (head, None, met.cosigners == cosigners),
        (Some(head), _) => {
            let key = head.verify_log_signature(trust.origin(), trust.log_keys());
            let key = key.map_err(|_| VerifyError::LogSignature)?.clone();
            (head, Some(key), false)
        }
    };
    let cosignatures = policy.judge(trust.origin(), &head, known)?;
    let epoch = head.epoch().map_err(|_| VerifyError::Epoch)?;
    Ok(SignedHead { met: Met { head, epoch, cosigners }, log_key, cosignatures })
}

/// When the quorum was reached. Under `quorum none` the Epoch's own time is all there is.
fn is_fresh(trust: &Trust, head: &SignedHead<'_>, now: Timestamp) -> Result<Option<Timestamp>, VerifyError> {
    trust.policy().judge_time(&head.cosignatures, head.met.epoch.time_ms, now, trust.head_age_ms_max())
}

/// That the head's last entry is an Epoch was read in [`signed_head`]; here that the tree ends in it.
fn ends_in_its_epoch(head: &SignedHead<'_>) -> Result<(), VerifyError> {
    if head.log_key.is_none() {
        return Ok(()); // remembered: it was checked when it was met
    }
    head.met.head.edge().map(drop).map_err(|_| VerifyError::LastLeaf)
}

/// The subject's state, and its owner's if it is a name or alias that has one, under the Epoch's map root.
fn proved_states(
    resolution: &Resolution,
    memory: &Memory,
    subject: &Subject,
    head: &SignedHead<'_>,
) -> Result<ProvedStates, VerifyError> {
    let mut wanted = Some(subject.clone());
    let mut claims = Vec::with_capacity(resolution.answers.len());
    let mut leaves = Vec::with_capacity(resolution.answers.len());
    for answer in &resolution.answers {
        let subject = wanted.take().filter(|subject| LabelKind::of(subject) == answer.kind);
        let subject = subject.ok_or(VerifyError::Binding)?;
        let leaf = claimed_leaf(answer, &subject, memory)?;
        claims.push((label(&subject), leaf.as_ref().map(|leaf| leaf.commitment)));
        match leaf {
            Some(leaf) => {
                wanted = owner_of(&leaf.state);
                leaves.push(leaf);
            }
            // Whoever owns a name or alias has a state; only what was asked may be absent.
            None if claims.len() > 1 => return Err(VerifyError::Binding),
            None => {}
        }
    }
    if wanted.is_some() {
        return Err(VerifyError::Binding);
    }
    resolution.map_proof.verify(&claims, &head.met.epoch.map_root).map_err(|_| VerifyError::MapProof)?;

    if leaves.iter().any(|leaf| !leaf.agrees(&head.met.epoch)) {
        return Err(VerifyError::Value);
    }
    let mut proved = ProvedStates {
        name: None,
        did: None,
        alias: None,
        logconf: None,
        anchors: None,
        records: None,
        delegate: None,
    };
    for leaf in leaves {
        match leaf.state {
            State::Name(state) => proved.name = Some(state),
            State::Did(state) => proved.did = Some(state),
            State::Alias(state) => proved.alias = Some(state),
            State::LogConf { payload, .. } => proved.logconf = Some(payload),
            State::Anchors { payload, .. } => proved.anchors = Some(payload),
        }
    }
    match named_answer(&resolution.payloads, proved.name.as_ref())? {
        Some(Body::Records(records)) => proved.records = Some(records),
        Some(Body::Delegate(delegate)) => proved.delegate = Some(delegate),
        _ => {}
    }
    Ok(proved)
}

/// A leaf as claimed, before the map proof.
struct ClaimedLeaf {
    opened: OpenedLeaf,
    state: State,
    commitment: Hash,
}

/// Reads an answer as one about `subject`. A DID's state that was left out is the one remembered at that version.
fn claimed_leaf(answer: &Answer, subject: &Subject, memory: &Memory) -> Result<Option<ClaimedLeaf>, VerifyError> {
    let (opened, bytes) = match (answer.opened, &answer.state) {
        (None, None) => return Ok(None),
        (Some(opened), Some(bytes)) => (opened, bytes.clone()),
        (Some(opened), None) => {
            let Subject::Did(did) = subject else { return Err(VerifyError::Value) };
            let known = memory.known(did).filter(|known| known.version() == opened.version);
            (opened, known.ok_or(VerifyError::Value)?.state().encode())
        }
        (None, Some(_)) => return Err(VerifyError::Value),
    };
    let state = State::decode(subject, &bytes).map_err(|_| VerifyError::Value)?;
    Ok(Some(ClaimedLeaf { opened, state, commitment: opened.commitment(&bytes) }))
}

/// The subject that the state of a name or alias leads to.
fn owner_of(state: &State) -> Option<Subject> {
    match state {
        State::Name(name) => name.did.map(Subject::Did),
        State::Alias(alias) => alias.did.map(Subject::Did),
        State::Did(_) | State::LogConf { .. } | State::Anchors { .. } => None,
    }
}

impl ClaimedLeaf {
    /// Whether the opened fields say the same as the state.
    fn agrees(&self, epoch: &Epoch) -> bool {
        let Self { opened, state, .. } = self;
        let of_its_chain = match state {
            State::Did(did) => opened.head_index == did.head.index && opened.head_hash == did.head.sid,
            // Before the first sign-in an alias has no chain.
            State::Alias(alias) => {
                let head = alias.head.map_or((0, [0; 32]), |head| (head.index, head.sid));
                (opened.head_index, opened.head_hash) == head
            }
            State::Name(_) | State::LogConf { .. } | State::Anchors { .. } => true,
        };
        let of_its_time = opened.head_index < epoch.covers;
        opened.version == state.version() && opened.flags == state.flags() && of_its_time && of_its_chain
    }
}

/// The records or the delegation among `payloads`, which the name's state must name by its hash.
fn named_answer(payloads: &[Vec<u8>], name: Option<&NameState>) -> Result<Option<Body>, VerifyError> {
    let [payload] = payloads else {
        return if payloads.is_empty() { Ok(None) } else { Err(VerifyError::Value) };
    };
    let name = name.ok_or(VerifyError::Value)?;
    let sid = sha256(&[payload]);
    let names_it = |answer: Option<(u64, Hash)>| answer.is_some_and(|(_, named)| named == sid);
    let body = Payload::decode(payload).map_err(|_| VerifyError::Value)?.body;
    let is_its = match &body {
        Body::Records(records) => names_it(name.records) && records.name == name.name,
        Body::Delegate(delegate) => names_it(name.delegate) && delegate.name == name.name,
        _ => false,
    };
    if is_its { Ok(Some(body)) } else { Err(VerifyError::Value) }
}

/// The certificates just written, each a leaf of the head's tree.
fn proved_entries(resolution: &Resolution, head: &SignedHead<'_>) -> Result<Vec<WrittenCertificate>, VerifyError> {
    let Head { size, root, .. } = head.met.head;
    let mut proved = Vec::with_capacity(resolution.written.len());
    for written in &resolution.written {
        let leaf = certificate_leaf(&written.envelope);
        verify_inclusion(&leaf, written.index, size, &written.path, &root).map_err(|_| VerifyError::Written)?;
        let certificate = Certificate::decode(&written.envelope).map_err(|_| VerifyError::Written)?;
        proved.push(WrittenCertificate { index: written.index, certificate });
    }
    Ok(proved)
}

/// The hash of the leaf of a certificate: entry type 01 before its envelope.
fn certificate_leaf(envelope: &[u8]) -> Hash {
    leaf_hash(&[&[1], envelope].concat())
}

/// How the head stands to the newest one remembered.
fn continues(memory: &Memory, head: &SignedHead<'_>, path: &[Hash]) -> Result<Continuity, VerifyError> {
    let Head { size, root, .. } = head.met.head;
    let Some(known) = memory.head() else {
        return if path.is_empty() { Ok(Continuity::FirstContact) } else { Err(VerifyError::Inconsistent) };
    };
    if size == known.size && root != known.root {
        return Err(VerifyError::Fork);
    }
    if size < known.size {
        return Err(VerifyError::Rollback);
    }
    verify_consistency(known.size, &known.root, size, &root, path).map_err(|_| VerifyError::Inconsistent)?;
    Ok(if size == known.size { Continuity::SameHead } else { Continuity::Extends { from_size: known.size } })
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

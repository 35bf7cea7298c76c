//! What a signed head commits to and cannot be right: kinds `epoch`, `entry`, `rollback`.
//!
//! The parts are `.tlog-proof` files: of entries, with the entry as extra, or of lookups (PROTOCOL 9.5, 14.2). Two of them may
//! be under two heads of one key: if those are of one log the fault is in it, and if they are not the key signed two histories.

use identity::hash::Hash;
use identity::name::Origin;
use identity::rules::Refusal;
use identity::state::Subject;

use super::{Conviction, FaultFile, FaultKind, NoConviction, Proved};
use crate::audit::AuditFault;
use crate::entry::{Anchor, Entry, EntryError, Epoch};
use crate::limits::PATH_HASHES_MAX;
use crate::lookup_proof;
use crate::note::{Checkpoint, VerifierKey};
use crate::proof_file::{ProofFile, ProofFileError};
use crate::resolve::Resolved;
use crate::tree::Edge;
use crate::trust::Trust;

/// An entry under a head that a key signed.
struct Proven {
    index: u64,
    entry: Vec<u8>,
    head: Checkpoint,
}

/// An entry that cannot be right, with what shows it: each proved under a head of the log, the entry as extra.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accused {
    /// The entry.
    pub entry: ProofFile,
    /// The entry it does not follow from: the Epoch before, or an earlier certificate of its chain.
    pub before: Option<ProofFile>,
    /// Of an Epoch before, what its own history root is made of: the leaf hash of the one before that, then its path.
    pub history: Option<Vec<Hash>>,
}

impl Accused {
    /// Returns an entry that is wrong by itself.
    pub fn alone(entry: ProofFile) -> Self {
        Self { entry, before: None, history: None }
    }
}

impl FaultFile {
    /// Returns the file that an entry makes, if it convicts the log (kinds `epoch`, `entry`). For whoever audits.
    pub fn of_entry(log_keys: &[VerifierKey], accused: &Accused) -> Option<Self> {
        let of_kind = |kind| {
            let mut file = Self::new(kind, log_keys).with_part("entry", accused.entry.to_string().as_bytes());
            if let Some(before) = &accused.before {
                file = file.with_part("before", before.to_string().as_bytes());
            }
            match &accused.history {
                Some(history) => file.with_part("history", history.as_flattened()),
                None => file,
            }
        };
        [FaultKind::Epoch, FaultKind::Entry].map(of_kind).into_iter().find(|file| file.check().is_ok())
    }

    /// Returns the file that the proofs of two lookups make, the earlier first, if the later went back (kind `rollback`).
    pub fn of_lookups(log_keys: &[VerifierKey], first: &str, second: &str) -> Option<Self> {
        let file = Self::new(FaultKind::Rollback, log_keys);
        let file = file.with_part("first", first.as_bytes()).with_part("second", second.as_bytes());
        Some(file).filter(|file| file.check().is_ok())
    }

    /// The last leaf is no Epoch of its place, or an Epoch does not follow from the one before.
    pub(super) fn check_epoch(&self) -> Result<Conviction, NoConviction> {
        self.by_some_key(|key| {
            let later = self.entry("entry", key)?.ok_or(NoConviction::Part)?;
            let earlier = self.entry("before", key)?;
            let fault = match &earlier {
                None => own_fault(&later),
                Some(earlier) => self.succession_fault(earlier, &later)?,
            };
            convict(key, earlier, later, fault)
        })
    }

    /// An entry that no format ever had, or two of a chain in another order than its own.
    pub(super) fn check_entry(&self) -> Result<Conviction, NoConviction> {
        self.by_some_key(|key| {
            let later = self.entry("entry", key)?.ok_or(NoConviction::Part)?;
            let earlier = self.entry("before", key)?;
            let fault = match &earlier {
                None => unreadable(&later),
                Some(earlier) => out_of_order(earlier, &later)?,
            };
            convict(key, earlier, later, fault)
        })
    }

    /// The later of two lookups shows an older state, or another at the same version.
    pub(super) fn check_rollback(&self) -> Result<Conviction, NoConviction> {
        self.by_some_key(|key| {
            let origin = Origin::parse(key.name()).map_err(|_| NoConviction::Part)?;
            let trust = Trust::new(origin.clone(), vec![key.clone()]).map_err(|_| NoConviction::Part)?;
            let lookup = |name| {
                let bytes = self.part(name).ok_or(NoConviction::Part)?;
                lookup_proof::verify(&trust, bytes).map_err(NoConviction::of_lookup)
            };
            let (first, second) = (lookup("first")?, lookup("second")?);
            if first.subject() != second.subject() || first.head().size > second.head().size {
                return Err(NoConviction::Part);
            }
            if !went_back(&first, &second) {
                return Err(NoConviction::Consistent);
            }
            let heads = vec![first.head().checkpoint(&origin), second.head().checkpoint(&origin)];
            let subject = match first.subject() {
                Subject::Name(name) => name.clone(),
                Subject::Did(did) => did.to_string(),
                Subject::Alias(alias) => data_encoding::HEXLOWER.encode(alias),
                Subject::LogConf => "the log's configuration".to_owned(),
                Subject::Anchors => "the anchors of the databases".to_owned(),
            };
            Ok(Conviction { key: key.clone(), heads, proved: Proved::WentBack { subject } })
        })
    }

    /// The first conviction by a key of the file, or why the last one gave none; no signature is the weakest reason.
    fn by_some_key(
        &self,
        mut check: impl FnMut(&VerifierKey) -> Result<Conviction, NoConviction>,
    ) -> Result<Conviction, NoConviction> {
        let mut why = NoConviction::Signature;
        for key in self.log_keys() {
            match check(key) {
                Err(NoConviction::Signature) => {}
                Err(other) => why = other,
                Ok(conviction) => return Ok(conviction),
            }
        }
        Err(why)
    }

    /// The entry that a part proves under a head of `key`; `None` if there is no such part.
    fn entry(&self, part: &str, key: &VerifierKey) -> Result<Option<Proven>, NoConviction> {
        let Some(bytes) = self.part(part) else { return Ok(None) };
        let file = ProofFile::parse(bytes).map_err(|_| NoConviction::Part)?;
        let entry = file.extra.clone().unwrap_or_default();
        let head = file.verify(&entry, key.name(), core::slice::from_ref(key)).map_err(|error| match error {
            ProofFileError::Note(_) => NoConviction::Signature,
            _ => NoConviction::Proof,
        })?;
        Ok(Some(Proven { index: file.index, entry, head }))
    }

    /// What is wrong with an Epoch behind another.
    fn succession_fault(&self, earlier: &Proven, later: &Proven) -> Result<Option<AuditFault>, NoConviction> {
        let epoch = |proven: &Proven| Epoch::decode(&proven.entry).map_err(|_| NoConviction::Part);
        let (before, after) = (epoch(earlier)?, epoch(later)?);
        if earlier.index >= later.index {
            return Err(NoConviction::Part);
        }
        let fault = |code| Some(AuditFault::Epoch { k: after.k, index: later.index, code });
        // Between two places there are at most as many Epochs as entries.
        if after.k <= before.k || after.k - before.k > later.index - earlier.index {
            return Ok(fault("k"));
        }
        if after.time_ms < before.time_ms {
            return Ok(fault("time_ms"));
        }
        let is_next = after.k == before.k + 1;
        if !is_next && self.part("history").is_none() {
            return Ok(None);
        }
        // Trees of two sizes never have one root.
        match (is_next, after.history_root == self.history_through(&before)?) {
            (true, false) => Ok(fault("history_root")),
            (false, true) => Ok(fault("k")),
            _ => Ok(None),
        }
    }

    /// The root over all Epochs up to this one. Part `history` is the right edge behind its own history root: the leaf hash of
    /// the Epoch before it, then that leaf's path; Epoch 0 needs none.
    fn history_through(&self, epoch: &Epoch) -> Result<Hash, NoConviction> {
        let mut edge = Edge::new();
        if epoch.k > 0 {
            let (hashes, rest) = self.part("history").unwrap_or_default().as_chunks::<32>();
            let (last, path) = hashes.split_first().ok_or(NoConviction::Part)?;
            if !rest.is_empty() || path.len() > PATH_HASHES_MAX {
                return Err(NoConviction::Part);
            }
            edge = Edge::from_parts(epoch.k, *last, path).map_err(|_| NoConviction::Part)?;
        }
        if edge.root() != epoch.history_root {
            return Err(NoConviction::Proof);
        }
        edge.append(epoch.leaf_hash());
        Ok(edge.root())
    }
}

fn convict(
    key: &VerifierKey,
    earlier: Option<Proven>,
    later: Proven,
    fault: Option<AuditFault>,
) -> Result<Conviction, NoConviction> {
    let proved = Proved::Fault(fault.ok_or(NoConviction::Consistent)?);
    let mut heads: Vec<Checkpoint> = earlier.into_iter().map(|proven| proven.head).chain([later.head]).collect();
    heads.sort_by_key(|head| head.size);
    heads.dedup();
    Ok(Conviction { key: key.clone(), heads, proved })
}

/// What is wrong with an Epoch, or with the last leaf, by itself.
fn own_fault(Proven { index, entry, head }: &Proven) -> Option<AuditFault> {
    match Epoch::decode(entry) {
        Ok(epoch) if epoch.covers != *index => Some(AuditFault::Epoch { k: epoch.k, index: *index, code: "covers" }),
        Ok(_) => None,
        Err(_) => (*index + 1 == head.size).then_some(AuditFault::LastLeaf { size: head.size }),
    }
}

/// What no format ever was: no byte, too many, an Epoch of another length. What is merely unknown here may be a later format's.
fn unreadable(Proven { index, entry, .. }: &Proven) -> Option<AuditFault> {
    match Entry::decode(entry) {
        Err(error @ (EntryError::Length | EntryError::Epoch)) => {
            Some(AuditFault::Entry { index: *index, code: error.code() })
        }
        _ => None,
    }
}

/// Two certificates of one chain stand in the log as their numbers say.
fn out_of_order(earlier: &Proven, later: &Proven) -> Result<Option<AuditFault>, NoConviction> {
    let certificate = |proven: &Proven| match Entry::decode(&proven.entry) {
        Ok(Entry::Certificate(certificate)) => Ok(certificate),
        _ => Err(NoConviction::Part),
    };
    let (before, after) = (certificate(earlier)?, certificate(later)?);
    if before.chain() != after.chain() || earlier.index >= later.index {
        return Err(NoConviction::Part);
    }
    let is_in_order = before.payload().seq < after.payload().seq;
    let refusal = Refusal::StalePrev { head: None };
    Ok((!is_in_order).then_some(AuditFault::Refused { index: later.index, refusal }))
}

/// Whether the second lookup, under a head as large or larger, shows less than the first.
fn went_back(first: &Resolved, second: &Resolved) -> bool {
    let name = match (first.name(), second.name()) {
        (Some(before), Some(after)) => is_older((after.version, after), (before.version, before)),
        (Some(_), None) => true,
        (None, _) => false,
    };
    let did = match (first.did(), second.did()) {
        // A name or alias may have another owner by now.
        (Some(before), Some(after)) if before.did == after.did => {
            is_older((after.version, after), (before.version, before))
        }
        (Some(_), None) => matches!(first.subject(), Subject::Did(_)),
        _ => false,
    };
    let alias = match (first.alias(), second.alias()) {
        (Some(before), Some(after)) => is_older((after.version, after), (before.version, before)),
        (Some(_), None) => true,
        (None, _) => false,
    };
    let number =
        |resolved: &Resolved| resolved.anchors().and_then(|body| Anchor::decode(body).ok()).map(|anchor| anchor.k);
    let anchors = match (first.anchors(), second.anchors()) {
        (Some(before), Some(after)) => {
            is_older((number(second).unwrap_or(0), &after), (number(first).unwrap_or(0), &before))
        }
        (Some(_), None) => true,
        (None, _) => false,
    };
    name || did || alias || anchors
}

/// Whether a state has a lower version, or is another at the same one.
fn is_older<T: PartialEq>(after: (u64, &T), before: (u64, &T)) -> bool {
    after.0 < before.0 || (after.0 == before.0 && after.1 != before.1)
}

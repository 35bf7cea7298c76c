//! Heads that readers of one log show each other, so that nobody can be kept in a history of their own (PROTOCOL 9.8).
//!
//! Whoever meets somebody shows the newest head they verified; [`meet`] holds the other's against one's own. Equal sizes need
//! equal roots. Of two sizes the larger must be proved to continue the smaller, by whichever server it came from:
//! [`Unproved::settle`] judges that proof. What does not fit makes files that convict by themselves. Pure: how heads and proofs
//! travel, and how long one waits for a proof (10 s), is the caller's.

use identity::name::Origin;

use crate::fault::FaultFile;
use crate::hash::Hash;
use crate::head::Head;
use crate::limits::SHOWN_HEAD_BYTES_MAX;
use crate::note::{Checkpoint, Note};
use crate::tree::{consistency_roots, verify_consistency};
use crate::trust::Trust;

/// A head as one reader shows it to another; nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownHead {
    origin: Origin,
    /// The head, its Epoch and path left empty.
    head: Head,
}

/// A head that the log signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenHead {
    checkpoint: Checkpoint,
    note: Note,
}

/// How two heads of one log stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// They are one head.
    Same,
    /// The log signed two histories: files that convict it, and each known witness that cosigned both.
    Fork(Vec<FaultFile>),
    /// One must be proved to continue the other.
    Unproved(Unproved),
}

/// Two heads of different sizes, of which the larger is not yet proved to continue the smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unproved {
    smaller: SeenHead,
    larger: SeenHead,
}

/// What a proof between two heads shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The larger head continues the smaller.
    Continues,
    /// The larger head's own tree begins otherwise: files as in [`Meeting::Fork`].
    Fork(Vec<FaultFile>),
    /// Nothing: it is no proof between these heads. Whoever gave it owes one.
    Nothing,
}

/// Why a shown head is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GossipError {
    /// Cut short, too long, or bytes follow. Code `bad_shown_head`.
    #[error("not the bytes of a shown head")]
    Malformed,
    /// Of another log. Code `origin`.
    #[error("a head of another log")]
    Origin,
    /// No trusted key of the log signed it. Code `log_signature`.
    #[error("not signed by a trusted log key")]
    LogSignature,
}

impl GossipError {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "bad_shown_head",
            Self::Origin => "origin",
            Self::LogSignature => "log_signature",
        }
    }
}

/// Holds a head that somebody shows, as the bytes of a [`ShownHead`], against the newest one verified here.
pub fn meet(trust: &Trust, mine: &Head, theirs: &[u8]) -> Result<Meeting, GossipError> {
    let mine = ShownHead::of(trust.origin(), mine).verify(trust)?;
    let theirs = ShownHead::decode(theirs)?.verify(trust)?;
    Ok(compare(trust, &mine, &theirs))
}

/// Compares two heads that the log signed.
pub fn compare(trust: &Trust, one: &SeenHead, other: &SeenHead) -> Meeting {
    if one.checkpoint == other.checkpoint {
        return Meeting::Same;
    }
    let (smaller, larger) = if one.size() <= other.size() { (one, other) } else { (other, one) };
    match smaller.size() == larger.size() {
        true => Meeting::Fork(convictions(trust, smaller, larger, &[])),
        false => Meeting::Unproved(Unproved { smaller: smaller.clone(), larger: larger.clone() }),
    }
}

impl Unproved {
    /// Returns both sizes, what is asked for a consistency proof.
    pub fn sizes(&self) -> (u64, u64) {
        (self.smaller.size(), self.larger.size())
    }

    /// Judges a consistency proof (PROTOCOL 8.4). It convicts where it leads to the larger head's root all the same.
    ///
    /// `seed` is the root that the larger tree has at the smaller size, from whoever proves: the proof leaves it out where that
    /// size is a power of two, and then nothing is convicted without it.
    pub fn settle(&self, trust: &Trust, path: &[Hash], seed: Option<Hash>) -> Settled {
        let (from, to) = self.sizes();
        let Checkpoint { root, .. } = &self.smaller.checkpoint;
        if verify_consistency(from, root, to, &self.larger.checkpoint.root, path).is_ok() {
            return Settled::Continues;
        }
        let whole = match from.is_power_of_two() {
            true => seed.into_iter().chain(path.iter().copied()).collect(),
            false => path.to_vec(),
        };
        let leads = whole.split_first().and_then(|(seed, rest)| consistency_roots(from, to, *seed, rest).ok());
        if leads.is_none_or(|(_, larger)| larger != self.larger.checkpoint.root) {
            return Settled::Nothing;
        }
        Settled::Fork(convictions(trust, &self.smaller, &self.larger, &whole))
    }
}

/// The files that two contradicting heads make: against the log, and against each known witness that cosigned both.
fn convictions(trust: &Trust, smaller: &SeenHead, larger: &SeenHead, path: &[Hash]) -> Vec<FaultFile> {
    let notes = [&smaller.note, &larger.note];
    let of_log = FaultFile::contradiction(trust.log_keys(), notes, path);
    let of_witness = |witness| FaultFile::contradiction_of_witness(witness, trust.log_keys(), notes, path);
    of_log.into_iter().chain(trust.policy().cosigners().iter().filter_map(of_witness)).collect()
}

impl ShownHead {
    /// Returns a verified head as it is shown to others: with as many of its cosignatures as fit.
    pub fn of(origin: &Origin, head: &Head) -> Self {
        let mut head = Head { epoch_entry: Vec::new(), path: Vec::new(), ..head.clone() };
        let room = SHOWN_HEAD_BYTES_MAX - (1 + origin.as_str().len() + 105);
        head.cosignatures.truncate(room / 76);
        Self { origin: origin.clone(), head }
    }

    /// Returns the bytes: `u8 len(origin), origin`, then the Head of PROTOCOL 11.2 up to its cosignatures.
    pub fn encode(&self) -> Vec<u8> {
        let origin = self.origin.as_str();
        let mut bytes = vec![u8::try_from(origin.len()).expect("an origin has at most 94 bytes")];
        bytes.extend_from_slice(origin.as_bytes());
        bytes.extend_from_slice(&self.head.encode());
        bytes.truncate(bytes.len() - NO_EPOCH.len());
        bytes
    }

    /// Reads a shown head, exactly as [`ShownHead::encode`] writes it.
    pub fn decode(bytes: &[u8]) -> Result<Self, GossipError> {
        let malformed = GossipError::Malformed;
        let (length, rest) = bytes.split_first().filter(|_| bytes.len() <= SHOWN_HEAD_BYTES_MAX).ok_or(malformed)?;
        let (origin, head) = rest.split_at_checked(usize::from(*length)).ok_or(malformed)?;
        let origin = core::str::from_utf8(origin).ok().and_then(|text| Origin::parse(text).ok()).ok_or(malformed)?;
        let head = Head::decode(&[head, NO_EPOCH].concat()).map_err(|_| malformed)?;
        let shown = Self { origin, head };
        if shown.encode() == bytes { Ok(shown) } else { Err(malformed) }
    }

    /// Returns the log it says it is of.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Checks that the log signed it. Cosignatures are not asked for: what the log signed binds it, whoever saw it.
    pub fn verify(&self, trust: &Trust) -> Result<SeenHead, GossipError> {
        if self.origin != *trust.origin() {
            return Err(GossipError::Origin);
        }
        let key = self.head.verify_log_signature(&self.origin, trust.log_keys());
        let key = key.map_err(|_| GossipError::LogSignature)?;
        let note = self.head.note(&self.origin, key, trust.policy().cosigners());
        Ok(SeenHead { checkpoint: self.head.checkpoint(&self.origin), note: note.map_err(|_| GossipError::Malformed)? })
    }
}

impl SeenHead {
    /// Returns the head that a signed note is, such as a server's newest checkpoint.
    pub fn of_note(trust: &Trust, note: Note) -> Result<Self, GossipError> {
        let checkpoint = Checkpoint::parse(note.text()).map_err(|_| GossipError::Malformed)?;
        if checkpoint.origin != trust.origin().as_str() {
            return Err(GossipError::Origin);
        }
        match note.verify(trust.log_keys()) {
            Ok(_) => Ok(Self { checkpoint, note }),
            Err(_) => Err(GossipError::LogSignature),
        }
    }

    /// Returns the number of leaves.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// Returns the root hash.
    pub fn root(&self) -> &Hash {
        &self.checkpoint.root
    }

    /// Returns the note: the checkpoint with the log's line, and those of known witnesses.
    pub fn note(&self) -> &Note {
        &self.note
    }
}

/// The end of a Head without Epoch and path: two lengths of 0.
const NO_EPOCH: &[u8] = &[0, 0, 0];

#[cfg(test)]
mod tests;

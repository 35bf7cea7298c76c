//! What a lookup returns, decoded but not believed (PROTOCOL 11.1).
//!
//! A [`Resolution`] has no accessor for the states it carries: [`crate::resolve::verify`] consumes it and gives
//! [`crate::resolve::Resolved`], which nothing else can make. A server builds one from what it has proved and sends its bytes.

mod chain_row;
mod codec;

pub use chain_row::{ChainRow, EpochProof};

use identity::cert::Certificate;
use identity::state::{DidState, Leaf, Subject};

use crate::hash::Hash;
use crate::head::Head;
use crate::limits::RESOLUTION_BYTES_MAX;
use crate::map::{LabelKind, MapProof, OpenedLeaf};

/// The answer to a lookup: labels with their states, and the proof that they are the log's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    pub(crate) subject: Subject,
    pub(crate) head: Option<Head>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) map_proof: MapProof,
    pub(crate) consistency: Vec<Hash>,
    pub(crate) written: Vec<Written>,
    pub(crate) chain: Vec<ChainRow>,
    pub(crate) payloads: Vec<Vec<u8>>,
}

/// What one label maps to: `[kind, opened leaf or null, State or null]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub(crate) kind: LabelKind,
    /// Absent: the map does not hold the label.
    pub(crate) opened: Option<OpenedLeaf>,
    /// Absent beside a leaf: the asker keeps this state already.
    pub(crate) state: Option<Vec<u8>>,
}

/// A certificate in the log: `[index, path, envelope]`. The envelope may have more signatures than the one posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its log index.
    pub index: u64,
    /// Its inclusion path in the head's tree.
    pub path: Vec<Hash>,
    /// The envelope as the log has it.
    pub envelope: Vec<u8>,
}

/// The bytes are not a Resolution: not canonical, a field of another form, or a limit passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the bytes of a Resolution")]
pub struct Malformed;

impl Answer {
    /// Returns the answer of a label that the map holds.
    pub fn present(leaf: &Leaf) -> Self {
        Self { state: Some(leaf.state.encode()), ..Self::known(leaf) }
    }

    /// Returns the answer of a label whose state, at this version, the asker keeps.
    pub fn known(leaf: &Leaf) -> Self {
        let kind = LabelKind::of(&leaf.state.subject());
        Self { kind, opened: Some(OpenedLeaf::of(leaf)), state: None }
    }

    /// Returns the answer of a label that the map does not hold.
    pub fn absent(subject: &Subject) -> Self {
        Self { kind: LabelKind::of(subject), opened: None, state: None }
    }
}

impl Resolution {
    /// Returns the answer about `subject`: its label, then, if that is a name with an owner, the owner's DID.
    ///
    /// `map_proof` is of their labels in that order. 1 to 4 answers.
    pub fn new(subject: Subject, answers: Vec<Answer>, map_proof: MapProof) -> Self {
        let (head, consistency, written, chain, payloads) = Default::default();
        Self { subject, head, answers, map_proof, consistency, written, chain, payloads }
    }

    /// Adds the head that all is proved under; left out for an asker who has it.
    #[must_use]
    pub fn with_head(self, head: Head) -> Self {
        Self { head: Some(head), ..self }
    }

    /// Adds the proof that the head's tree continues the one of the asker's head.
    #[must_use]
    pub fn with_consistency(self, path: Vec<Hash>) -> Self {
        Self { consistency: path, ..self }
    }

    /// Adds the inclusion of certificates just written, at most 16.
    #[must_use]
    pub fn with_written(self, written: Vec<Written>) -> Self {
        Self { written, ..self }
    }

    /// Adds the payloads of certificates that the NameState names.
    #[must_use]
    pub fn with_certificates<'a>(self, certificates: impl IntoIterator<Item = &'a Certificate>) -> Self {
        let payloads = certificates.into_iter().map(|certificate| certificate.payload_bytes().to_vec()).collect();
        Self { payloads, ..self }
    }

    /// Returns the rows of the DID's chain, unverified.
    pub fn chain(&self) -> &[ChainRow] {
        &self.chain
    }

    /// Adds the rows of the DID's chain after the version the asker knows, as many of the first as fit.
    #[must_use]
    pub fn with_chain(mut self, rows: Vec<ChainRow>) -> Self {
        let mut left = RESOLUTION_BYTES_MAX.saturating_sub(self.encode().len() + 8);
        self.chain = rows;
        let fitting = self.chain.iter().take_while(|row| match left.checked_sub(row.encoded_len()) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        });
        let fitting = fitting.count().min(crate::limits::CHAIN_ROWS_MAX);
        self.chain.truncate(fitting);
        self
    }

    /// Takes the head out, as a proof file carries it elsewhere. Nothing about it is verified.
    pub fn take_head(&mut self) -> Option<Head> {
        self.head.take()
    }

    /// Returns the consistency path it carries; empty if none.
    pub fn consistency(&self) -> &[Hash] {
        &self.consistency
    }

    /// Returns the same answer for somebody who remembers nothing: without head, consistency proof and chain rows, and with
    /// the state of `did` where it was left out.
    pub(crate) fn standing_alone(self, did: Option<&DidState>) -> Self {
        let complete = |answer: Answer| match (answer.kind, answer.opened, &answer.state) {
            (LabelKind::Did, Some(_), None) => Answer { state: did.map(DidState::encode), ..answer },
            _ => answer,
        };
        let answers = self.answers.into_iter().map(complete).collect();
        Self { head: None, consistency: Vec::new(), chain: Vec::new(), answers, ..self }
    }

    /// Returns the subject as asked. Nothing about the answer is verified.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }
}

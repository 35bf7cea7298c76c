//! A Resolution cut into pieces, each of which fits an answer of DNS, and put together again (PROTOCOL 13.2).
//!
//! ```text
//! R                       name, alone        `<did>.<n>._did`, `<did>.<n>._state`     its owner under the same head
//! <n>._head               the head           `<m>.<n>._cons`                          that it continues the one remembered
//! <sid>.<index>._cert     the records, or the delegation
//! ```
//!
//! Nothing here is believed: what [`Pieces::join`] makes is verified as any other answer ([`crate::resolve::verify`]), so a piece that
//! was changed, or is of another head or name, fails there with the code it would have over HTTP.

use core::fmt;

use data_encoding::BASE32_NOPAD;
use identity::cert::Sid;
use identity::did::Did;
use identity::name::{Name, Zone};
use identity::state::{State, Subject};

use crate::hash::Hash;
use crate::head::Head;
use crate::limits::PATH_HASHES_MAX;
use crate::map::{LabelKind, MapProof, label};
use crate::resolution::{Answer, Resolution};

/// The first byte of every piece.
const VERSION: u8 = 1;

/// What a piece is asked by: the labels below the proofs of a zone, in text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// A name, relative to the zone, by itself.
    Name(String),
    /// The leaf of a DID, under the head of a size, or of now.
    Did(Did, Option<u64>),
    /// The State of a DID under the head of a size, or of now.
    State(Did, Option<u64>),
    /// The head of a size.
    Head(u64),
    /// That the head of the second size continues the first.
    Consistency(u64, u64),
    /// The payload of the certificate at a log index.
    Certificate(Sid, u64),
}

/// The text asks for no piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no piece of a proof is asked like that")]
pub struct NoQuestion;

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Did(did, None) => write!(f, "{}._did", did.base32()),
            Self::Did(did, Some(size)) => write!(f, "{}.{size}._did", did.base32()),
            Self::State(did, None) => write!(f, "{}._state", did.base32()),
            Self::State(did, Some(size)) => write!(f, "{}.{size}._state", did.base32()),
            Self::Head(size) => write!(f, "{size}._head"),
            Self::Consistency(from, to) => write!(f, "{from}.{to}._cons"),
            Self::Certificate(sid, index) => {
                write!(f, "{}.{index}._cert", BASE32_NOPAD.encode(sid).to_ascii_lowercase())
            }
        }
    }
}

impl Question {
    /// Returns whether `text` is what questions end in, and none itself: a name of DNS without records.
    pub fn begins(text: &str) -> bool {
        let (front, kind) = text.rsplit_once('.').unwrap_or(("", text));
        match kind {
            "_did" | "_state" | "_cons" | "_cert" => front.is_empty() || number(front).is_ok(),
            "_head" => front.is_empty(),
            _ => false,
        }
    }

    /// Reads a question about the log of `zone`: its only spelling.
    pub fn parse(text: &str, zone: &Zone) -> Result<Self, NoQuestion> {
        let Some((front, kind)) = text.rsplit_once("._").filter(|(_, kind)| !kind.contains('.')) else {
            let name = Name::parse(&format!("{text}.{}", zone.as_str()), zone).map_err(|_| NoQuestion)?;
            return Ok(Self::Name(name.relative(zone).to_owned()));
        };
        let (first, second) = match front.split_once('.') {
            Some((first, second)) => (first, Some(number(second)?)),
            None => (front, None),
        };
        match (kind, second) {
            ("did", size) => Ok(Self::Did(did(first)?, size)),
            ("state", size) => Ok(Self::State(did(first)?, size)),
            ("head", None) => Ok(Self::Head(number(first)?)),
            ("cons", Some(to)) => Ok(Self::Consistency(number(first)?, to)),
            ("cert", Some(index)) => Ok(Self::Certificate(sid(first)?, index)),
            _ => Err(NoQuestion),
        }
    }
}

fn did(text: &str) -> Result<Did, NoQuestion> {
    Did::from_base32(text).map_err(|_| NoQuestion)
}

fn sid(text: &str) -> Result<Sid, NoQuestion> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(NoQuestion);
    }
    let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).map_err(|_| NoQuestion)?;
    bytes.try_into().map_err(|_| NoQuestion)
}

/// A number has one spelling.
fn number(text: &str) -> Result<u64, NoQuestion> {
    let number: u64 = text.parse().map_err(|_| NoQuestion)?;
    if number.to_string() == text { Ok(number) } else { Err(NoQuestion) }
}

/// A piece: the size of the head it is proved under, 0 where none applies, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The size.
    pub size: u64,
    /// A Resolution of one label, a State, the rest of a Head, hashes, or a payload.
    pub body: Vec<u8>,
}

/// Pieces that do not make an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PieceError {
    /// A piece has not the form it must have. Code `malformed`.
    #[error("a piece of the proof is malformed")]
    Malformed,
    /// Two pieces prove different maps under one head. Code `map_proof`.
    #[error("the pieces of the proof are of different maps")]
    Maps,
    /// Two pieces are of different heads: the log went on between them. Ask again.
    #[error("the pieces of the proof are of different heads")]
    Heads,
}

impl Piece {
    /// Returns the bytes: `u8 version, u64 n`, then the body.
    pub fn encode(&self) -> Vec<u8> {
        [&[VERSION][..], &self.size.to_be_bytes(), &self.body].concat()
    }

    /// Reads a piece. Errors: [`PieceError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, PieceError> {
        let (&[version], rest) = bytes.split_first_chunk::<1>().ok_or(PieceError::Malformed)?;
        let (size, body) = rest.split_first_chunk::<8>().ok_or(PieceError::Malformed)?;
        if version != VERSION {
            return Err(PieceError::Malformed);
        }
        Ok(Self { size: u64::from_be_bytes(*size), body: body.to_vec() })
    }

    /// Returns the piece of a head: what follows its size.
    pub fn of_head(head: &Head) -> Self {
        Self { size: head.size, body: head.encode().split_off(8) }
    }

    /// Returns what the first piece of an answer says is needed beside it. Nothing of it is verified.
    pub fn leads_to(&self) -> Result<Needed, PieceError> {
        let resolution = Resolution::decode(&self.body).map_err(|_| PieceError::Malformed)?;
        let [answer] = resolution.answers.as_slice() else { return Err(PieceError::Malformed) };
        let mut needed = Needed::default();
        match (&answer.state, &resolution.subject) {
            (Some(bytes), subject @ Subject::Name(_)) => {
                let Ok(State::Name(name)) = State::decode(subject, bytes) else { return Err(PieceError::Malformed) };
                (needed.did, needed.records) = (name.did, name.answers());
            }
            (None, Subject::Did(did)) if answer.opened.is_some() => needed.did = Some(*did),
            _ => {}
        }
        Ok(needed)
    }
}

/// What an answer needs beside its first piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// The DID whose State is needed.
    pub did: Option<Did>,
    /// The log index and sid of the certificate with the name's records, or its delegation.
    pub records: Option<(u64, Sid)>,
}

/// The pieces of an answer, as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// Of the name or DID asked.
    pub first: Piece,
    /// The leaf of a name's owner.
    pub did: Option<Piece>,
    /// The State of the owner, or of the DID asked.
    pub state: Option<Piece>,
    /// The head.
    pub head: Piece,
    /// The path from the head remembered.
    pub consistency: Option<Piece>,
    /// The payload of the certificate with the records, or the delegation.
    pub records: Option<Piece>,
}

impl Pieces {
    /// Returns the answer about `subject` that these pieces make. It is not verified.
    ///
    /// Errors: [`PieceError`]; a piece that is well-formed and false is found by whoever verifies the answer.
    pub fn join(&self, subject: &Subject) -> Result<Resolution, PieceError> {
        let under_one_head = [&self.did, &self.state, &self.consistency].into_iter().flatten();
        if under_one_head.chain([&self.head]).any(|piece| piece.size != self.first.size) {
            return Err(PieceError::Heads);
        }
        let mut joined = alone(&self.first)?;
        if let Some(piece) = &self.did {
            let mut owner = alone(piece)?;
            if let Some(state) = &self.state {
                owner.answers[0].state = Some(state.body.clone());
                if root_of(&joined) != root_of(&owner) {
                    return Err(PieceError::Maps); // what one proof leaves out of the other would not be looked at
                }
            }
            let labels = [label(subject), label(&owner.subject)];
            joined.map_proof = MapProof::join([(&labels[0], &joined.map_proof), (&labels[1], &owner.map_proof)])
                .map_err(|_| PieceError::Malformed)?;
            joined.answers.extend(owner.answers);
        }
        if let Some(Answer { kind: LabelKind::Did, state: state @ None, .. }) = joined.answers.last_mut() {
            *state = self.state.as_ref().map(|piece| piece.body.clone());
        }
        let head = [&self.head.size.to_be_bytes()[..], &self.head.body].concat();
        joined.head = Some(Head::decode(&head).map_err(|_| PieceError::Malformed)?);
        if let Some(piece) = &self.consistency {
            let (hashes, spare) = piece.body.as_chunks::<32>();
            if !spare.is_empty() || hashes.len() > PATH_HASHES_MAX {
                return Err(PieceError::Malformed);
            }
            joined.consistency = hashes.to_vec();
        }
        if let Some(piece) = &self.records {
            joined.payloads = vec![piece.body.clone()];
        }
        Ok(joined)
    }
}

/// The Resolution of one label that a piece holds, with nothing beside it.
fn alone(piece: &Piece) -> Result<Resolution, PieceError> {
    let resolution = Resolution::decode(&piece.body).map_err(|_| PieceError::Malformed)?;
    let is_alone = resolution.answers.len() == 1
        && resolution.head.is_none()
        && resolution.consistency.is_empty()
        && resolution.written.is_empty()
        && resolution.chain.is_empty()
        && resolution.payloads.is_empty();
    if is_alone { Ok(resolution) } else { Err(PieceError::Malformed) }
}

/// The root of the map that an answer about one label proves, if it proves any.
fn root_of(resolution: &Resolution) -> Option<Hash> {
    let [Answer { opened, state, .. }] = resolution.answers.as_slice() else { return None };
    let commitment = match (opened, state) {
        (Some(opened), Some(state)) => Some(opened.commitment(state)),
        _ => None,
    };
    resolution.map_proof.root(&[(label(&resolution.subject), commitment)]).ok()
}

#[cfg(test)]
mod tests;

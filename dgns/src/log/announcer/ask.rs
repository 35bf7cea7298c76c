//! One witness: what it is asked, and what its answer is worth (PROTOCOL 9.7).

use std::time::Duration;

use storage::StorageError;
use translog::head::Cosignature;
use translog::limits::CLOCK_TOLERANCE_MS;
use translog::note::{Note, VerifierKey};
use translog::witness::{BadAnswer, Request, conflict_size, cosignature_of};

use crate::core::Core;
use crate::log::live::PublicHead;
use crate::log::lookup;
use crate::outbound::{Bounds, Outbound, OutboundError};

/// How long a witness may take, connection included, and the most it may answer: some signature lines.
const BOUNDS: Bounds = Bounds { deadline: Duration::from_secs(1), body_bytes_max: 64 << 10 };

/// One witness, with what the announcer remembers of it.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) name: String,
    pub(super) key: VerifierKey,
    pub(super) url: String,
    /// The size of the head it cosigned last, as far as is known: the `old` of the next request.
    pub(super) size: u64,
}

/// Why a witness did not cosign a head.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// It did not answer.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// It refused. Code `refused_status`.
    #[error("answered with status {0}")]
    Status(u16),
    /// Its answer is none, or by another key, or for another head.
    #[error(transparent)]
    Answer(#[from] BadAnswer),
    /// It named another size than it named before. Code `conflict`.
    #[error("names another size each time")]
    Conflict,
    /// Its clock and the Epoch's time differ by more than 300 s. Code `time_bound`.
    #[error("cosigned at a time far from the Epoch's")]
    Time,
    /// It saw a head of this log that is larger than any this server has. Code `rolled_back`.
    #[error("saw a head of {size} leaves")]
    Ahead {
        /// The size of that head.
        size: u64,
    },
    /// A proof could not be made.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl WitnessError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Outbound(error) => error.code(),
            Self::Status(_) => "refused_status",
            Self::Answer(error) => error.code(),
            Self::Conflict => "conflict",
            Self::Time => "time_bound",
            Self::Ahead { .. } => "rolled_back",
            Self::Storage(_) => "internal",
        }
    }
}

/// What a witness answered to one request.
enum Answered {
    Cosigned(Cosignature),
    /// The size it cosigned last is another.
    Other(u64),
}

impl Asking {
    /// Asks for a cosignature of `head`; a witness that remembers another size is asked once more from there.
    pub(super) async fn cosign(
        &mut self,
        core: &Core,
        outbound: &Outbound,
        head: &PublicHead,
    ) -> Result<Cosignature, WitnessError> {
        for _ in 0..2 {
            let proof = match self.size {
                0 => Vec::new(),
                size => lookup::consistency(core, size, head.size()).await?,
            };
            match self.post(outbound, head, proof).await? {
                Answered::Cosigned(cosignature) => {
                    self.size = head.size();
                    return match (cosignature.time_s * 1_000).abs_diff(head.epoch.time_ms) {
                        apart if apart <= CLOCK_TOLERANCE_MS => Ok(cosignature),
                        _ => Err(WitnessError::Time),
                    };
                }
                Answered::Other(size) if size > core.live.head().size() => return Err(WitnessError::Ahead { size }),
                Answered::Other(size) if size > head.size() => break,
                Answered::Other(size) => self.size = size,
            }
        }
        Err(WitnessError::Conflict)
    }

    /// Asks which head it saw last, without a proof: one of a log it never met is cosigned, any other is named.
    pub(super) async fn last_seen(&mut self, outbound: &Outbound, head: &PublicHead) -> Result<u64, WitnessError> {
        self.size = match self.post(outbound, head, Vec::new()).await? {
            Answered::Cosigned(_) => head.size(),
            Answered::Other(size) => size,
        };
        Ok(self.size)
    }

    async fn post(
        &self,
        outbound: &Outbound,
        head: &PublicHead,
        proof: Vec<identity::hash::Hash>,
    ) -> Result<Answered, WitnessError> {
        let note = Note::parse(head.note.as_bytes()).expect("our own note is one");
        let text = note.text().to_owned();
        let request = Request::new(self.size, proof, note).expect("a head of ours, and a path of at most 63 hashes");
        let answer = outbound.post(&self.url, TEXT, request.encode(), BOUNDS).await?;
        match answer.status {
            200 => Ok(Answered::Cosigned(cosignature_of(&answer.body, &text, &self.key)?)),
            409 => Ok(Answered::Other(conflict_size(&answer.body)?)),
            status => Err(WitnessError::Status(status)),
        }
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

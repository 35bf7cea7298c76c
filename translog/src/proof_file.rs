//! `.tlog-proof` files: one entry's inclusion under a checkpoint, to be checked offline by anyone (PROTOCOL 9.5).

use crate::base64;
use crate::hash::{Hash, leaf_hash};
use crate::limits::{PATH_HASHES_MAX, PROOF_EXTRA_BYTES_MAX, PROOF_FILE_BYTES_MAX};
use crate::note::{Checkpoint, CheckpointError, Note, NoteError, VerifierKey, parse_decimal};
use crate::tree::{ProofError, verify_inclusion};

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof file, decoded; nothing is verified. Source: c2sp.org/tlog-proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    /// Bytes of the application's own, which the proof does not cover; at most 64 KiB.
    pub extra: Option<Vec<u8>>,
    /// The log index of the entry.
    pub index: u64,
    /// The inclusion path, at most 64 hashes.
    pub path: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: Note,
}

/// Why a proof file is none, or proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofFileError {
    /// More bytes than any proof has. Code `bad_proof_file`.
    #[error("the file is too long")]
    TooLong,
    /// Not the lines of this format up to the checkpoint. Code `bad_proof_file`.
    #[error("line {line} is not what a proof has there")]
    Line {
        /// The line, counted from 1.
        line: usize,
    },
    /// The checkpoint is no note, or no trusted key signed it. The note's code.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The note's text is no checkpoint. Code `bad_checkpoint`.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is another log's. Code `origin`.
    #[error("the checkpoint is of another log")]
    Origin,
    /// The entry is not in the tree. The proof's code.
    #[error("{0}")]
    Proof(#[from] ProofError),
}

impl ProofFileError {
    /// Returns the stable code that vectors and problem answers name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong | Self::Line { .. } => "bad_proof_file",
            Self::Note(error) => error.code(),
            Self::Checkpoint(error) => error.code(),
            Self::Origin => "origin",
            Self::Proof(error) => error.code(),
        }
    }
}

impl ProofFile {
    /// Reads a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofFileError> {
        if bytes.len() > PROOF_FILE_BYTES_MAX {
            return Err(ProofFileError::TooLong);
        }
        let mut lines = Lines { rest: bytes, line: 0 };
        if lines.next()? != HEADER {
            return Err(lines.wrong());
        }
        let mut line = lines.next()?;
        let mut extra = None;
        if let Some(encoded) = line.strip_prefix("extra ") {
            let decoded = base64::decode(encoded).ok_or_else(|| lines.wrong())?;
            if decoded.len() > PROOF_EXTRA_BYTES_MAX {
                return Err(lines.wrong());
            }
            extra = Some(decoded);
            line = lines.next()?;
        }
        let index = line.strip_prefix("index ").and_then(parse_decimal).ok_or_else(|| lines.wrong())?;
        let mut path = Vec::new();
        loop {
            let line = lines.next()?;
            if line.is_empty() {
                break;
            }
            let hash = base64::decode(line).and_then(|hash| hash.try_into().ok());
            path.push(hash.filter(|_| path.len() < PATH_HASHES_MAX).ok_or_else(|| lines.wrong())?);
        }
        Ok(Self { extra, index, path, checkpoint: Note::parse(lines.rest)? })
    }

    /// Checks that `entry` is where the file says, in a log of this origin whose head one of `log_keys` signed.
    ///
    /// Returns the checkpoint. Cosignatures and their quorum are the caller's: the note is at hand.
    pub fn verify(&self, entry: &[u8], origin: &str, log_keys: &[VerifierKey]) -> Result<Checkpoint, ProofFileError> {
        self.checkpoint.verify(log_keys)?;
        let checkpoint = Checkpoint::parse(self.checkpoint.text())?;
        if checkpoint.origin != origin {
            return Err(ProofFileError::Origin);
        }
        verify_inclusion(&leaf_hash(entry), self.index, checkpoint.size, &self.path, &checkpoint.root)?;
        Ok(checkpoint)
    }
}

/// The file.
impl core::fmt::Display for ProofFile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", base64::encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", base64::encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// The lines before the checkpoint, counted for whoever must find the wrong one.
struct Lines<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Lines<'a> {
    /// Takes the next line, without its newline.
    fn next(&mut self) -> Result<&'a str, ProofFileError> {
        self.line += 1;
        let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| self.wrong())?;
        let line = core::str::from_utf8(&self.rest[..end]).map_err(|_| self.wrong())?;
        self.rest = &self.rest[end + 1..];
        Ok(line)
    }

    /// Names the line taken last.
    fn wrong(&self) -> ProofFileError {
        ProofFileError::Line { line: self.line }
    }
}

#[cfg(test)]
mod tests;

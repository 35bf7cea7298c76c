//! Checkpoints: the three lines a log signs (PROTOCOL 9.3).

use crate::base64;
use crate::hash::Hash;

/// A head as text: whose log, how many leaves, which root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log.
    pub origin: String,
    /// The number of leaves.
    pub size: u64,
    /// The root of the tree of that size.
    pub root: Hash,
}

/// Why a text is no checkpoint of the form we write and accept. Code `bad_checkpoint`, all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Not three lines, each ended by a newline. Our logs have no extension lines: no one could audit them.
    #[error("a checkpoint has three lines, and extension lines only if it is another log's")]
    Lines,
    /// The first line is empty.
    #[error("the origin is empty")]
    Origin,
    /// The second line is not a decimal u64 without leading zeros.
    #[error("the size is not a decimal number")]
    Size,
    /// The third line is not 32 bytes in base64.
    #[error("the root is not 32 bytes in base64")]
    Root,
}

impl CheckpointError {
    /// Returns the stable code that vectors and problem answers name.
    pub const fn code(&self) -> &'static str {
        "bad_checkpoint"
    }
}

impl Checkpoint {
    /// Returns the text, each line with its newline.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, base64::encode(&self.root))
    }

    /// Reads the text of a note of one of our logs, exactly.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let checkpoint = Self::parse_extended(text)?;
        if checkpoint.text() == text { Ok(checkpoint) } else { Err(CheckpointError::Lines) }
    }

    /// Reads the text of a note of any log: behind the root there may be extension lines, none of them empty.
    ///
    /// They are signed and stay out of the value, so what is cosigned is the text that was read.
    pub fn parse_extended(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Lines);
        };
        if lines.any(str::is_empty) {
            return Err(CheckpointError::Lines);
        }
        if origin.is_empty() {
            return Err(CheckpointError::Origin);
        }
        let root = base64::decode(root).and_then(|root| root.try_into().ok());
        Ok(Self {
            origin: origin.to_owned(),
            size: parse_decimal(size).ok_or(CheckpointError::Size)?,
            root: root.ok_or(CheckpointError::Root)?,
        })
    }
}

/// Reads a decimal without sign or leading zeros.
pub(crate) fn parse_decimal(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

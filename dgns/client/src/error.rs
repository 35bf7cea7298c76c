//! Everything that can end a command, by exit code.

use std::fmt;
use std::path::PathBuf;

use dgns_api::problem::Problem;
use dgns_api::store::entry::LogId;

/// Why a command did not do what was asked. Each kind has one exit code.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// It could not run: an argument, a file, a missing key. Exit 1.
    #[error("{0}")]
    Unable(String),
    /// The server cannot be reached or failed itself. Exit 2.
    #[error("{0}")]
    Network(String),
    /// A proof is wrong, or the log is at fault. Exit 3.
    #[error("PROOF FAULT ({code}): {what}{}", .evidence.as_ref().map(|path| format!("\nEvidence kept in {}", path.display())).unwrap_or_default())]
    Proof {
        /// The stable code of the verifier, audit or evidence.
        code: &'static str,
        /// What is wrong.
        what: String,
        /// Where the evidence was kept.
        evidence: Option<PathBuf>,
    },
    /// The rules or the server's limits refuse it; nothing changed. Exit 4.
    #[error("refused ({}): {}", .0.code, .0.detail)]
    Refused(Box<Problem>),
    /// An owner of the database trimmed the entry: a snapshot has its records. Exit 4.
    #[error("refused (trimmed): entry {pos} was trimmed: dgns snapshot restore has the records that are left of it")]
    Trimmed {
        /// The log.
        log: LogId,
        /// The place of the entry.
        pos: u64,
    },
    /// Records went into a log before something ended the command. Exit as for that.
    #[error("{error}\n{}", left_off(*.records, *.waiting))]
    Partly {
        /// How many are in the log.
        records: u64,
        /// How many more are signed and kept, and go first with the next command.
        waiting: u64,
        /// What ended it.
        error: Box<ClientError>,
    },
    /// The subject is proved absent. Exit 6.
    #[error("{0} is proved absent")]
    Absent(String),
    /// The database is proved to be deleted. Exit 6.
    #[error("{0}")]
    Deleted(Box<Tombstone>),
}

/// How a database was deleted, as its control log shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Tombstone {
    /// Its name.
    pub name: String,
    /// The place of the tombstone in the control log.
    pub pos: u64,
    /// How many owners it had.
    pub owners: usize,
    /// How many of them were for deleting it.
    pub deleting: usize,
    /// The newest anchor that has the tombstone; absent if none has it yet.
    pub anchor: Option<u64>,
}

impl fmt::Display for Tombstone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, pos, owners, deleting, anchor } = self;
        write!(
            f,
            "{name} is proved deleted: {deleting} of its {owners} owners signed it, entry {pos} of its control log"
        )?;
        match anchor {
            Some(k) => write!(f, ", which anchor {k} has"),
            None => write!(f, ", which no anchor has yet"),
        }
    }
}

/// Returns where a command left off that appended records.
fn left_off(records: u64, waiting: u64) -> String {
    let next = records + waiting;
    match waiting {
        0 => format!("{records} records are in the log: give the next command those behind them"),
        _ => format!(
            "{records} records are in the log; the next {waiting} are signed and kept, and go first with the next command: give it those behind the first {next}"
        ),
    }
}

impl ClientError {
    /// Returns the exit code: 1 could not run, 2 network, 3 proof or log fault, 4 refused by the rules, 6 proved absent
    /// or deleted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unable(_) => 1,
            Self::Network(_) => 2,
            Self::Proof { .. } => 3,
            Self::Refused(_) | Self::Trimmed { .. } => 4,
            Self::Partly { error, .. } => error.exit_code(),
            Self::Absent(_) | Self::Deleted(_) => 6,
        }
    }

    /// Returns the stable code.
    pub fn code(&self) -> &str {
        match self {
            Self::Unable(_) => "unable",
            Self::Network(_) => "network",
            Self::Proof { code, .. } => code,
            Self::Refused(problem) => &problem.code,
            Self::Trimmed { .. } => "trimmed",
            Self::Partly { error, .. } => error.code(),
            Self::Absent(_) => "absent",
            Self::Deleted(_) => "deleted",
        }
    }

    /// Returns a proof fault without evidence.
    pub fn proof(code: &'static str, what: impl Into<String>) -> Self {
        Self::Proof { code, what: what.into(), evidence: None }
    }
}

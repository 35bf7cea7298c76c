//! Whose checkpoints are cosigned: the `log` lines of a policy file.

use std::path::{Path, PathBuf};

use translog::note::VerifierKey;
use translog::policy::{Policy, PolicyError, PolicyFault};

/// The logs of a policy file, each origin once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessedLogs(Vec<WitnessedLog>);

/// One log that is witnessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessedLog {
    /// Its origin.
    pub origin: String,
    /// Its keys: several while it rotates.
    pub keys: Vec<VerifierKey>,
    /// Its read prefix, if the file names one.
    pub url: Option<String>,
}

/// Why a file names no logs.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The file cannot be read.
    #[error("{path}: {error}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A line is wrong.
    #[error("{path}: {error}", path = .path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// Which line, and what is wrong with it.
        error: PolicyError,
    },
    /// There is no `log` line.
    #[error("{path}: no line `log <vkey> [url]`: a witness needs a log", path = .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl WitnessedLogs {
    /// Reads a file. It may be a whole policy; one without a quorum line will do, for a witness asks for none.
    pub fn read(path: &Path) -> Result<Self, LogsError> {
        let text = std::fs::read_to_string(path).map_err(|error| LogsError::Io { path: path.to_owned(), error })?;
        match Self::parse(&text) {
            Err(error) => Err(LogsError::Policy { path: path.to_owned(), error }),
            Ok(logs) if logs.0.is_empty() => Err(LogsError::Empty { path: path.to_owned() }),
            Ok(logs) => Ok(logs),
        }
    }

    /// Reads the text of such a file.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy = match Policy::parse(text.as_bytes()) {
            Err(PolicyError { fault: PolicyFault::Quorum, line: 0 }) => {
                Policy::parse(format!("{text}\nquorum none\n").as_bytes())?
            }
            read => read?,
        };
        let mut logs: Vec<WitnessedLog> = Vec::new();
        for line in policy.logs() {
            match logs.iter_mut().find(|log| log.origin == line.key.name()) {
                Some(log) => {
                    log.keys.push(line.key.clone());
                    log.url = log.url.take().or_else(|| line.url.clone());
                }
                None => logs.push(WitnessedLog {
                    origin: line.key.name().to_owned(),
                    keys: vec![line.key.clone()],
                    url: line.url.clone(),
                }),
            }
        }
        Ok(Self(logs))
    }

    /// Returns the logs in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &WitnessedLog> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use identity::key::SigningKey;
    use translog::note::LogSigner;

    use super::*;

    fn key(origin: &str, seed: u8) -> VerifierKey {
        LogSigner::new(origin, SigningKey::from_seed(&[seed; 32])).unwrap().verifier_key().clone()
    }

    #[test]
    fn keys_of_one_origin_belong_together_and_a_quorum_is_not_asked_for() {
        let (a, b, other) = (key("a.test/log", 1), key("a.test/log", 2), key("b.test/log", 3));
        let text = format!("# two logs\nlog {a}\nlog {other}\nlog {b} https://a.test/log\n");
        let logs = WitnessedLogs::parse(&text).unwrap();
        let found: Vec<_> = logs.iter().map(|log| (log.origin.as_str(), log.keys.len(), log.url.as_deref())).collect();
        assert_eq!(found, [("a.test/log", 2, Some("https://a.test/log")), ("b.test/log", 1, None)]);
        assert_eq!(WitnessedLogs::parse(&format!("{text}quorum none")).unwrap(), logs);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let text = format!("log {}\nlog nonsense\n", key("a.test/log", 1));
        assert_eq!(WitnessedLogs::parse(&text).unwrap_err().line, 2);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs");
        std::fs::write(&path, "quorum none\n").unwrap();
        assert!(matches!(WitnessedLogs::read(&path), Err(LogsError::Empty { .. })));
        assert!(matches!(WitnessedLogs::read(directory.path()), Err(LogsError::Io { .. })));
    }
}

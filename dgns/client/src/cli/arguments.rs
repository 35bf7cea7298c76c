//! What several commands are given: a subject, a log key, a level, the words, a line.

use std::io::{BufRead as _, Write as _};

use dgns_client::error::ClientError;
use dgns_client::session::Session;
use identity::cert::Level;
use identity::did::Did;
use identity::seed::Words;
use identity::state::Subject;
use translog::note::VerifierKey;
use zeroize::Zeroizing;

use super::Context;

/// A level, as an argument.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum LevelArgument {
    /// Votes once past its probation.
    Admin,
    /// Does not vote.
    Member,
    /// A host.
    Service,
}

impl From<LevelArgument> for Level {
    fn from(level: LevelArgument) -> Self {
        match level {
            LevelArgument::Admin => Self::Admin,
            LevelArgument::Member => Self::Member,
            LevelArgument::Service => Self::Service,
        }
    }
}

/// Returns the subject that text names.
pub(crate) fn subject(session: &Session, text: &str) -> Result<Subject, ClientError> {
    if text.starts_with("did:") {
        let did: Did = text.parse().map_err(|error| ClientError::Unable(format!("{text:?}: {error}")))?;
        return Ok(Subject::Did(did));
    }
    Ok(Subject::Name(session.name(text)?.as_str().to_owned()))
}

/// Returns the log key that text is.
pub(crate) fn log_key(text: &str) -> Result<VerifierKey, ClientError> {
    let wrong = |_| ClientError::Unable(format!("{text:?} is no log key such as dgns.test/log+6d1b0a3c+AWx..."));
    VerifierKey::parse(text).map_err(wrong)
}

/// Reads the words from standard input.
pub(crate) fn read_words(context: &Context) -> Result<Words, ClientError> {
    context.out.note("type the words, on one line:");
    let mut line = Zeroizing::new(String::new());
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| ClientError::Unable(format!("standard input: {error}")))?;
    Words::parse(line.trim()).map_err(|error| ClientError::Unable(error.to_string()))
}

/// Reads a line from standard input; `None` at its end.
pub(crate) async fn typed_line() -> Result<Option<String>, ClientError> {
    let read = tokio::task::spawn_blocking(|| {
        let _ = std::io::stdout().flush();
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|bytes| (bytes > 0).then_some(line))
    });
    let line = read.await.map_err(|error| ClientError::Unable(error.to_string()))?;
    line.map_err(|error| ClientError::Unable(format!("standard input: {error}")))
}

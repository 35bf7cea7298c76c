//! A mirror: the log's files, copied into a directory while they are verified, so that any file server can serve them
//! (PROTOCOL 8, 12.1).
//!
//! The directory holds `log/checkpoint`, `log/tile/...` and `log/history/tile/...`. A tile or bundle is written once the entries
//! agree with it, the checkpoint last: whoever reads the directory meanwhile finds the older head whole. What is there already is
//! read instead of fetched, and verified the same, so that a mirror goes on after any stop.

use std::path::{Path, PathBuf};

use dgns_api::path;
use tokio::time::{Duration, Instant};
use translog::audit::{AuditFault, Auditor, Level, Target, Want};
use translog::limits::LOG_KEYS_MAX;

use crate::audit::{self, Ahead, Found};
use crate::error::ClientError;
use crate::home::replace;
use crate::session::Session;

/// What a mirror has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrored {
    /// The size of the head it ends in.
    pub size: u64,
    /// Its root.
    pub root: [u8; 32],
    /// Files written by this run.
    pub files: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// Copies the log up to its newest checkpoint. `on_progress` gets the entries copied and the entries there are.
pub async fn run(
    session: &Session,
    directory: &Path,
    mut on_progress: impl FnMut(u64, u64),
) -> Result<Mirrored, ClientError> {
    let started = Instant::now();
    let (checkpoint, target) = audit::newest_head(session).await?;
    let convicted = async |fault: &AuditFault, auditor: Option<&Auditor>| {
        audit::convict(session, None, Found { fault, auditor, checkpoint: &checkpoint, target: &target }).await
    };
    let mut auditor = Auditor::new(session.trust().origin(), Level::Tree, target.clone());
    if let Some(held) = held(session, directory)? {
        if held.size > target.size {
            let fault = AuditFault::Shrunk { size: target.size, known: held.size };
            return Err(convicted(&fault, None).await);
        }
        if held.size == target.size && held.root != target.root {
            return Err(convicted(&AuditFault::Inconsistent { size: held.size }, None).await);
        }
        auditor.remember(held);
    }
    let mut ahead = Ahead::new(session, Level::Tree, |_, bytes, _| bytes);
    let mut files = 0;
    let mut bundles: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    while !auditor.is_through() {
        let wants = auditor.wants(audit::AHEAD);
        let Some(want) = wants.first().cloned() else { break };
        let at = place(directory, &want.path());
        let kept = match std::fs::read(&at) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(unable(&at, &error)),
        };
        let lacking: Vec<Want> = wants.into_iter().filter(|want| !place(directory, &want.path()).exists()).collect();
        let bytes = match &kept {
            Some(bytes) => bytes.clone(),
            None => match ahead.get(&want, &lacking).await {
                Ok(bytes) => bytes,
                Err(error) => match auditor.suspicion() {
                    Some(fault) => return Err(convicted(fault, Some(&auditor)).await),
                    None => return Err(error),
                },
            },
        };
        if let Err(fault) = auditor.feed(&want, &bytes) {
            if kept.is_some() {
                let what = format!("{} is damaged ({fault}): erase it and begin again", at.display());
                return Err(ClientError::Unable(what));
            }
            return Err(convicted(&fault, Some(&auditor)).await);
        }
        if kept.is_none() {
            match want {
                // A bundle is believed with the tile over it.
                Want::Bundle(_) => bundles.push((at, bytes)),
                Want::Tile(..) => {
                    files += write(&at, &bytes)?;
                }
            }
        }
        if auditor.wants(0).is_empty() {
            for (at, bytes) in bundles.drain(..) {
                files += write(&at, &bytes)?;
            }
        }
        let (done, all) = auditor.progress();
        on_progress(done, all);
    }
    for (at, bytes) in bundles {
        files += write(&at, &bytes)?;
    }
    files += write(&place(directory, "checkpoint"), checkpoint.as_bytes())?;
    Ok(Mirrored { size: target.size, root: target.root, files, elapsed: started.elapsed() })
}

/// Returns the head that the directory ends in, if its log is this one.
fn held(session: &Session, directory: &Path) -> Result<Option<Target>, ClientError> {
    match std::fs::read(place(directory, "checkpoint")) {
        Ok(bytes) => {
            // It may be signed by keys that have retired since.
            let trust = session.trust();
            let mut keys = trust.keys_of_head(0);
            keys.truncate(LOG_KEYS_MAX);
            let trust = trust.clone().with_log_keys(keys).unwrap_or_else(|_| trust.clone());
            audit::signed_head(&trust, &bytes).map(|(_, target)| Some(target))
        }
        Err(_) => Ok(None),
    }
}

fn unable(path: &Path, error: &std::io::Error) -> ClientError {
    ClientError::Unable(format!("{}: {error}", path.display()))
}

fn place(directory: &Path, below: &str) -> PathBuf {
    directory.join(path::LOG.trim_start_matches('/')).join(below)
}

fn write(at: &Path, bytes: &[u8]) -> Result<u64, ClientError> {
    let directory = at.parent().expect("below the directory");
    std::fs::create_dir_all(directory).map_err(|error| unable(directory, &error))?;
    replace(at, bytes, 0o644)?;
    Ok(1)
}

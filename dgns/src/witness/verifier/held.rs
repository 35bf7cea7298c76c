//! A log at fault: one file below `DIR/verifier` holds it up, until the operator moves that file away.

use std::path::{Path, PathBuf};

use storage::durable::{self, LockFile};
use storage::{StorageError, fault::Place};
use translog::fault::FaultFile;
use translog::note::{Checkpoint, Note};
use translog::proof_file::ProofFile;

use super::super::cosigner::hex_name;
use super::super::evidence::file_name;

/// Why a log is held up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUp {
    /// The code of the fault (PROTOCOL 15.2).
    pub code: String,
    /// The fault in words.
    pub what: String,
    /// The evidence file, below the data directory.
    pub evidence: String,
}

/// Why nothing was cleared.
#[derive(Debug, thiserror::Error)]
pub enum ClearError {
    /// No fault is kept for this log.
    #[error("{origin} is not held up here")]
    NotHeldUp {
        /// The log.
        origin: String,
    },
    /// The witness runs, or a file cannot be moved.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The file that holds a log up.
pub(super) fn path(data: &Path, origin: &str) -> PathBuf {
    data.join("verifier").join(format!("{}.fault", hex_name(origin)))
}

/// Returns what holds a log up: whatever stands in its file, readable or not.
pub(super) fn load(data: &Path, origin: &str) -> Option<HeldUp> {
    let path = path(data, origin);
    let bytes = path.exists().then(|| std::fs::read(&path).unwrap_or_default())?;
    let file = FaultFile::decode(&bytes).ok();
    let part =
        |name| file.as_ref().and_then(|file| file.part(name)).map(|part| String::from_utf8_lossy(part).into_owned());
    let code = part("code").unwrap_or_else(|| "unreadable".to_owned());
    let what = part("fault").unwrap_or_else(|| "the file that says why cannot be read".to_owned());
    Some(HeldUp { code, what, evidence: shown(&path, data) })
}

/// Keeps what holds a log up. If that fails it is found again after the next start: progress was kept before the fault.
pub(super) fn keep(data: &Path, origin: &str, file: &FaultFile) -> Result<(), StorageError> {
    let path = path(data, origin);
    durable::create_dir(&data.join("verifier"))?;
    durable::replace(&path, &file.encode())
}

/// Returns the file's name as the operator finds it.
pub(super) fn shown(path: &Path, data: &Path) -> String {
    path.strip_prefix(data).unwrap_or(path).display().to_string()
}

/// Lets a log be cosigned again: moves the file that holds it up to `DIR/evidence`, and returns where it is now.
///
/// No witness may run on the data directory meanwhile.
pub fn clear(data: &Path, origin: &str) -> Result<PathBuf, ClearError> {
    let _alone = LockFile::take(&data.join("verifier.lock"))?;
    let from = path(data, origin);
    if !from.exists() {
        return Err(ClearError::NotHeldUp { origin: origin.to_owned() });
    }
    let directory = data.join("evidence");
    durable::create_dir(&directory)?;
    let to = directory.join(evidence_name(&std::fs::read(&from).unwrap_or_default(), origin));
    let io = |error: std::io::Error| StorageError::Io { place: Place::from(from.as_path()), detail: error.to_string() };
    std::fs::rename(&from, &to).map_err(io)?;
    durable::sync_dir(&directory)?;
    durable::sync_dir(&data.join("verifier"))?;
    Ok(to)
}

fn evidence_name(bytes: &[u8], origin: &str) -> String {
    let Ok(file) = FaultFile::decode(bytes) else { return format!("{}-unreadable.fault", hex_name(origin)) };
    let of_entry = || Some(ProofFile::parse(file.part("entry")?).ok()?.checkpoint);
    let size = file.part("second").and_then(|note| Note::parse(note).ok()).or_else(of_entry);
    let size = size.and_then(|note| Checkpoint::parse_extended(note.text()).ok()).map_or(0, |head| head.size);
    let code = file.part("code").map_or("audit".into(), String::from_utf8_lossy);
    file_name(file.log_keys(), size, &code)
}

//! What a watch keeps between looks: `<home>/<zone>/watched/<subject>.json` (PROTOCOL 14.1).

use std::path::PathBuf;

use data_encoding::{BASE64, HEXLOWER};
use identity::cert::Kid;
use identity::state::Subject;
use serde::{Deserialize, Serialize};
use translog::trust::Memory;

use crate::error::ClientError;
use crate::evidence::subject_text;
use crate::home::LogHome;

/// A watch as it was left.
pub(super) struct Kept {
    pub(super) own: Vec<Kid>,
    pub(super) memory: Memory,
    pub(super) proof: String,
}

#[derive(Serialize, Deserialize)]
struct WatchFile {
    own: Vec<String>,
    memory: String,
    proof: String,
}

/// Reads what was kept of a subject; `None` if it was never watched.
pub(super) fn read(log: &LogHome, subject: &Subject) -> Result<Option<Kept>, ClientError> {
    let Some(file) = log.read_json::<WatchFile>(&path(subject))? else { return Ok(None) };
    let damaged = || ClientError::Unable(format!("{} is damaged; --anew begins again", path(subject).display()));
    let kid = |hex: &String| HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok().map(Kid);
    let memory = BASE64.decode(file.memory.as_bytes()).ok().and_then(|bytes| Memory::decode(&bytes).ok());
    Ok(Some(Kept {
        own: file.own.iter().map(kid).collect::<Option<_>>().ok_or_else(damaged)?,
        memory: memory.filter(|memory| memory.origin() == log.origin()).ok_or_else(damaged)?,
        proof: file.proof,
    }))
}

/// Keeps the watch of a subject.
pub(super) fn write(
    log: &LogHome,
    subject: &Subject,
    own: &[Kid],
    memory: &Memory,
    proof: &str,
) -> Result<(), ClientError> {
    let file = WatchFile {
        own: own.iter().map(|kid| HEXLOWER.encode(&kid.0)).collect(),
        memory: BASE64.encode(&memory.encode()),
        proof: proof.to_owned(),
    };
    log.keep_json(&path(subject), &file)
}

fn path(subject: &Subject) -> PathBuf {
    PathBuf::from("watched").join(format!("{}.json", subject_text(subject)))
}

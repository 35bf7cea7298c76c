//! A fault that an audit found, as evidence that convicts by itself, made of the files of whoever serves the log (PROTOCOL 14.3).

use dgns_api::path;
use tokio::task::JoinSet;
use translog::audit::{AuditFault, Auditor};
use translog::fault::{FaultFile, Finding};
use translog::files::{Lack, LogFiles};
use translog::note::Note;

use crate::session::Session;

/// Returns the file that convicts the log of `fault`, found on the way to the head of `checkpoint`; `None` where nothing but an
/// audit shows it, or the log's files do not lead to that head.
pub(crate) async fn accuse(
    session: &Session,
    auditor: &Auditor,
    fault: &AuditFault,
    checkpoint: &str,
) -> Option<FaultFile> {
    let checkpoint = Note::parse(checkpoint.as_bytes()).ok()?;
    let auditor = Some(auditor);
    let finding = Finding { log_keys: session.trust().log_keys(), fault, checkpoint: &checkpoint, auditor };
    let mut files = LogFiles::new();
    loop {
        match finding.evidence(&files) {
            Ok(evidence) => return evidence,
            Err(Lack::Files(lacking)) => read(session, &mut files, lacking).await?,
            Err(_) => return None,
        }
    }
}

/// Reads files side by side; `None` if one is withheld.
async fn read(session: &Session, files: &mut LogFiles, lacking: Vec<String>) -> Option<()> {
    let mut reading = JoinSet::new();
    for name in lacking {
        let reader = session.reader();
        reading.spawn(async move {
            let read = reader.get(&format!("{}/{name}", path::LOG)).await;
            (name, read)
        });
    }
    for (name, read) in reading.join_all().await {
        files.insert(name, read.ok()?);
    }
    Some(())
}

//! What a replay found wrong: whether the log signed it, and the file that says so to anybody.

use bytes::Bytes;
use tokio::task::JoinSet;
use translog::audit::{AuditFault, Auditor};
use translog::fault::{FaultFile, Finding};
use translog::files::{Lack, LogFiles};
use translog::note::Note;

use super::fetch;
use crate::outbound::Outbound;
use crate::witness::watched::Watched;

/// Returns the evidence of a fault; `None` if the log did not sign what was read, or does not show now that it did.
///
/// It convicts by itself where a file can (PROTOCOL 14.3), and else records the fault for who audits the log.
pub(super) async fn look(
    outbound: &Outbound,
    prefix: &str,
    log: &Watched,
    fault: &AuditFault,
    checkpoint: &Note,
    auditor: &Auditor,
) -> Option<FaultFile> {
    let keys = log.accused();
    let finding = Finding { log_keys: &keys, fault, checkpoint, auditor: Some(auditor) };
    let mut files = LogFiles::new();
    loop {
        match finding.is_signed(&files) {
            Ok(true) => break,
            Err(Lack::Files(lacking)) => read(outbound, prefix, &mut files, lacking).await?,
            _ => return None,
        }
    }
    let in_words = |file: FaultFile| match file.part("code") {
        Some(_) => file,
        None => file.with_part("code", fault.code().as_bytes()).with_part("fault", fault.to_string().as_bytes()),
    };
    loop {
        match finding.evidence(&files) {
            Ok(Some(file)) => return Some(in_words(file)),
            Err(Lack::Files(lacking)) => {
                // It is signed, whatever the log shows of it now.
                if read(outbound, prefix, &mut files, lacking).await.is_none() {
                    break;
                }
            }
            _ => break,
        }
    }
    Some(finding.record(&files))
}

/// Returns the record of a signed head that does not stand in the log that was replayed.
pub(super) fn record(log: &Watched, fault: &AuditFault, checkpoint: &Note) -> FaultFile {
    Finding { log_keys: &log.accused(), fault, checkpoint, auditor: None }.record(&LogFiles::new())
}

/// Reads files side by side; `None` if one is withheld.
async fn read(outbound: &Outbound, prefix: &str, files: &mut LogFiles, lacking: Vec<String>) -> Option<()> {
    let mut reading: JoinSet<(String, Result<Bytes, String>)> = JoinSet::new();
    for name in lacking {
        let (outbound, url) = (outbound.clone(), format!("{prefix}/{name}"));
        reading.spawn(async move {
            let read = fetch::read(&outbound, &url).await;
            (name, read)
        });
    }
    for (name, read) in reading.join_all().await {
        files.insert(name, read.ok()?.to_vec());
    }
    Some(())
}

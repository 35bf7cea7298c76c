//! Evidence: what a client keeps when a proof is wrong, in one file that says what it holds (PROTOCOL 14.3).

use identity::state::Subject;
use translog::fault::{FaultFile, FaultKind};
use translog::gossip::SeenHead;
use translog::head::Head;
use translog::limits::LOG_KEYS_MAX;
use translog::note::VerifierKey;
use translog::resolution::Resolution;
use translog::resolve::VerifyError;
use translog::trust::Trust;

/// A fault file on its way to disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// `<zone>-<size>-<code>.fault`.
    pub file_name: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Returns the evidence of an answer that failed verification: the answer, and the notes of both heads.
///
/// Where two signed heads contradict each other the file convicts the log by itself (kinds `same-size` and `prefix`); any
/// other shows what this client was given (kind `answer`).
pub fn of_answer(trust: &Trust, error: VerifyError, subject: &Subject, bytes: &[u8], known: Option<&Head>) -> Kept {
    let mut resolution = Resolution::decode(bytes).ok();
    let offered = resolution.as_mut().and_then(Resolution::take_head);
    let mut file = FaultFile::new(FaultKind::Answer, &log_keys(trust, known.map(|head| head.size)))
        .with_part("code", error.code().as_bytes())
        .with_part("subject", subject_text(subject).as_bytes());
    if let Some(note) = known.and_then(|head| note(trust, head)) {
        file = file.with_part("first", note.as_bytes());
    }
    if let Some(note) = offered.as_ref().and_then(|head| note(trust, head)) {
        file = file.with_part("second", note.as_bytes());
    }
    if let Some(path) = resolution.as_ref().map(Resolution::consistency).filter(|path| !path.is_empty()) {
        file = file.with_part("path", path.as_flattened());
    }
    let file = convicting(file.with_part("answer", bytes));
    keep(trust, &file, offered.map_or(0, |head| head.size), error.code())
}

/// Returns the evidence of a log whose newest checkpoint is smaller than a head met before.
pub fn of_shrunk_log(trust: &Trust, checkpoint: &[u8], known: Option<&Head>) -> Kept {
    let code = VerifyError::Rollback.code();
    let mut file = FaultFile::new(FaultKind::Answer, &log_keys(trust, known.map(|head| head.size)))
        .with_part("code", code.as_bytes());
    if let Some(note) = known.and_then(|head| note(trust, head)) {
        file = file.with_part("first", note.as_bytes());
    }
    keep(trust, &file.with_part("second", checkpoint), known.map_or(0, |head| head.size), code)
}

/// Returns the evidence of an audit: the fault in words and the checkpoint audited, beside the head met before if there is one.
pub fn of_audit(
    trust: &Trust,
    code: &'static str,
    what: &str,
    checkpoint: &str,
    size: u64,
    known: Option<&Head>,
) -> Kept {
    let mut file = FaultFile::new(FaultKind::Audit, &log_keys(trust, known.map(|head| head.size)))
        .with_part("code", code.as_bytes())
        .with_part("fault", what.as_bytes());
    if let Some(note) = known.and_then(|head| note(trust, head)) {
        file = file.with_part("first", note.as_bytes());
    }
    keep(trust, &convicting(file.with_part("second", checkpoint.as_bytes())), size, code)
}

/// Returns a file that convicts, made of heads that two readers verified; `number` tells several of one meeting apart.
pub fn of_exchange(trust: &Trust, file: &FaultFile, size: u64, code: &str, number: usize) -> Kept {
    let Kept { file_name, bytes } = keep(trust, file, size, code);
    match number {
        0 => Kept { file_name, bytes },
        _ => Kept { file_name: file_name.replace(".fault", &format!("-{number}.fault")), bytes },
    }
}

/// Returns the record of two heads that nothing was shown to connect: a head verified, and the newest the server shows.
pub fn of_unproved(trust: &Trust, known: &SeenHead, newest: Option<&SeenHead>) -> Kept {
    let code = "unproved";
    let mut file = FaultFile::new(FaultKind::Answer, &log_keys(trust, Some(known.size())))
        .with_part("code", code.as_bytes())
        .with_part("first", known.note().to_string().as_bytes());
    if let Some(newest) = newest {
        file = file.with_part("second", newest.note().to_string().as_bytes());
    }
    keep(trust, &file, known.size(), code)
}

/// Returns the evidence of two looks at one subject, each with its proof file (14.2); it convicts where the later went back.
pub fn of_watch(trust: &Trust, code: &str, looks: [&str; 2], size: u64) -> Kept {
    let file = FaultFile::new(FaultKind::Rollback, trust.log_keys())
        .with_part("first", looks[0].as_bytes())
        .with_part("second", looks[1].as_bytes())
        .with_part("code", code.as_bytes());
    let file = if file.check().is_ok() { file } else { file.of_kind(FaultKind::Answer) };
    keep(trust, &file, size, code)
}

/// Names the kind as which the file convicts, if it does.
fn convicting(file: FaultFile) -> FaultFile {
    let kinds = [FaultKind::SameSize, FaultKind::Prefix];
    let holds = kinds.into_iter().map(|kind| file.clone().of_kind(kind)).find(|file| file.check().is_ok());
    holds.unwrap_or(file)
}

/// The keys a file accuses: those of now, and those that may have signed the head of this size met before.
fn log_keys(trust: &Trust, known: Option<u64>) -> Vec<VerifierKey> {
    let mut keys = trust.keys_of_head(known.unwrap_or(u64::MAX));
    keys.truncate(LOG_KEYS_MAX);
    keys
}

fn keep(trust: &Trust, file: &FaultFile, size: u64, code: &str) -> Kept {
    Kept { file_name: format!("{}-{size}-{code}.fault", trust.zone().as_str()), bytes: file.encode() }
}

fn note(trust: &Trust, head: &Head) -> Option<String> {
    let keys = trust.keys_of_head(head.size);
    let key = head.verify_log_signature(trust.origin(), &keys).ok()?;
    Some(head.note(trust.origin(), key, trust.policy().cosigners()).ok()?.to_string())
}

/// Returns a subject as text.
pub(crate) fn subject_text(subject: &Subject) -> String {
    match subject {
        Subject::Name(name) => name.clone(),
        Subject::Did(did) => did.to_string(),
        Subject::LogConf => "logconf".to_owned(),
    }
}

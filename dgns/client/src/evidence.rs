//! Evidence: what a client keeps when a proof is wrong, in one file that says what it holds (PROTOCOL 14.3).
//!
//! `dgns.fault@v1\n`, `log <vkey>\n`, `kind <k>\n`, then parts `part <name> <bytes>\n<bytes>\n`.

use translog::head::Head;
use translog::resolution::Resolution;
use translog::resolve::VerifyError;
use translog::trust::Trust;

use identity::state::Subject;

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
/// Two notes by one log key over the same size with other roots convict the log by themselves (kind `same-size`); any other
/// answer shows what this client was given (kind `answer`).
pub fn of_answer(trust: &Trust, error: VerifyError, subject: &Subject, bytes: &[u8], known: Option<&Head>) -> Kept {
    let offered = Resolution::decode(bytes).ok().and_then(|mut resolution| resolution.take_head());
    let kind = match error {
        VerifyError::Fork => "same-size",
        VerifyError::Inconsistent => "prefix",
        _ => "answer",
    };
    let mut file = File::new(trust, kind);
    file.part("code", error.code().as_bytes());
    file.part("subject", subject_text(subject).as_bytes());
    if let Some(note) = known.and_then(|head| note(trust, head)) {
        file.part("remembered", note.as_bytes());
    }
    if let Some(note) = offered.as_ref().and_then(|head| note(trust, head)) {
        file.part("offered", note.as_bytes());
    }
    file.part("answer", bytes);
    file.keep(trust, offered.map_or(0, |head| head.size), error.code())
}

/// Returns the evidence of a log whose newest checkpoint is smaller than a head met before.
pub fn of_shrunk_log(trust: &Trust, checkpoint: &[u8], known: Option<&Head>) -> Kept {
    let mut file = File::new(trust, "answer");
    file.part("code", VerifyError::Rollback.code().as_bytes());
    if let Some(note) = known.and_then(|head| note(trust, head)) {
        file.part("remembered", note.as_bytes());
    }
    file.part("offered", checkpoint);
    file.keep(trust, known.map_or(0, |head| head.size), VerifyError::Rollback.code())
}

/// Returns the evidence of an audit: the fault in words and the checkpoint audited.
pub fn of_audit(trust: &Trust, code: &'static str, what: &str, checkpoint: &str, size: u64) -> Kept {
    let mut file = File::new(trust, "audit");
    file.part("code", code.as_bytes());
    file.part("fault", what.as_bytes());
    file.part("checkpoint", checkpoint.as_bytes());
    file.keep(trust, size, code)
}

fn note(trust: &Trust, head: &Head) -> Option<String> {
    let key = head.verify_log_signature(trust.origin(), trust.log_keys()).ok()?;
    Some(head.note(trust.origin(), key, trust.policy().cosigners()).ok()?.to_string())
}

fn subject_text(subject: &Subject) -> String {
    match subject {
        Subject::Name(name) => name.clone(),
        Subject::Did(did) => did.to_string(),
        Subject::LogConf => "logconf".to_owned(),
    }
}

struct File(Vec<u8>);

impl File {
    fn new(trust: &Trust, kind: &str) -> Self {
        let mut text = String::from("dgns.fault@v1\n");
        for key in trust.log_keys() {
            text.push_str(&format!("log {key}\n"));
        }
        text.push_str(&format!("kind {kind}\n"));
        Self(text.into_bytes())
    }

    fn part(&mut self, name: &str, bytes: &[u8]) {
        self.0.extend_from_slice(format!("part {name} {}\n", bytes.len()).as_bytes());
        self.0.extend_from_slice(bytes);
        self.0.push(b'\n');
    }

    fn keep(self, trust: &Trust, size: u64, code: &str) -> Kept {
        Kept { file_name: format!("{}-{size}-{code}.fault", trust.zone().as_str()), bytes: self.0 }
    }
}

//! Evidence: what a client keeps when a proof is wrong, in one file that says what it holds (PROTOCOL 14.3).

use data_encoding::HEXLOWER;
use identity::state::Subject;
use translog::fault::{FaultFile, FaultKind, note};
use translog::gossip::SeenHead;
use translog::head::Head;
use translog::lookup_proof;
use translog::note::Note;
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

/// Returns the evidence of an answer that failed verification: the answer, and the notes of both heads. `last` is the proof of
/// the lookup of the same subject before.
///
/// Where two signed heads contradict each other the file convicts the log by itself (kinds `same-size` and `prefix`), and so
/// does an answer that goes back on the last one (`rollback`); any other shows what this client was given (kind `answer`). A
/// file against each witness that cosigned both heads follows.
pub fn of_answer(
    trust: &Trust,
    error: VerifyError,
    subject: &Subject,
    bytes: &[u8],
    known: Option<&Head>,
    last: Option<&str>,
) -> Vec<Kept> {
    let mut file = FaultFile::of_answer(trust, error, &subject_text(subject), bytes, known);
    if file.kind() == FaultKind::Answer
        && let (Some(last), Some(now)) = (last, lookup_proof::of_answer(trust, bytes))
        && let Some(rollback) = FaultFile::of_lookups(file.log_keys(), last, &now.to_string())
    {
        file = rollback.with_part("code", error.code().as_bytes());
    }
    let offered = Resolution::decode(bytes).ok().and_then(|mut resolution| resolution.take_head());
    with_witnesses(trust, file, offered.map_or(0, |head| head.size), error.code())
}

/// Returns the evidence of a lookup, given as the file `now` that proves it, which goes back on the one proved by `last`.
pub fn of_rollback(trust: &Trust, last: &str, now: &str, size: u64) -> Option<Kept> {
    let file = FaultFile::of_lookups(&FaultFile::accused(trust, None), last, now)?;
    Some(keep(trust, &file, size, VerifyError::Rollback.code()))
}

/// Returns the evidence of a log whose newest checkpoint is smaller than a head met before.
pub fn of_shrunk_log(trust: &Trust, checkpoint: &[u8], known: Option<&Head>) -> Kept {
    let file = FaultFile::of_shrunk_log(trust, checkpoint, known);
    keep(trust, &file, known.map_or(0, |head| head.size), VerifyError::Rollback.code())
}

/// Returns the record of a checkpoint that nobody trusted signed, or that is none: what a client was given.
pub fn of_checkpoint(trust: &Trust, code: &str, what: &str, checkpoint: &[u8], known: Option<&Head>) -> Kept {
    let size = known.map(|head| head.size);
    let mut file =
        FaultFile::new(FaultKind::Answer, &FaultFile::accused(trust, size)).with_part("code", code.as_bytes());
    file = file.with_part("fault", what.as_bytes());
    if let Some(note) = known.and_then(|head| note(trust, head)) {
        file = file.with_part("first", note.as_bytes());
    }
    keep(trust, &file.with_part("second", checkpoint), size.unwrap_or(0), code)
}

/// Returns the evidence of an audit: the fault in words and the checkpoint audited, beside the head met before if there is one;
/// or `accused`, a file that convicts. A file against each witness that cosigned two heads follows.
pub fn of_audit(
    trust: &Trust,
    code: &'static str,
    what: &str,
    checkpoint: &str,
    size: u64,
    known: Option<&Head>,
    accused: Option<FaultFile>,
) -> Vec<Kept> {
    let in_words = |file: FaultFile| file.with_part("code", code.as_bytes()).with_part("fault", what.as_bytes());
    if let Some(accused) = accused {
        return vec![keep(trust, &in_words(accused), size, code)];
    }
    let mut file = in_words(FaultFile::new(FaultKind::Audit, &FaultFile::accused(trust, known.map(|head| head.size))));
    if let Some(note) = known.and_then(|head| note(trust, head)) {
        file = file.with_part("first", note.as_bytes());
    }
    with_witnesses(trust, file.with_part("second", checkpoint.as_bytes()).convicting(), size, code)
}

/// Returns a file that convicts, made of heads that two readers verified; `number` tells several of one meeting apart.
pub fn of_exchange(trust: &Trust, file: &FaultFile, size: u64, code: &str, number: usize) -> Kept {
    let Kept { file_name, bytes } = keep(trust, file, size, code);
    match number {
        0 => Kept { file_name, bytes },
        _ => Kept { file_name: file_name.replace(".fault", &format!("-{number}.fault")), bytes },
    }
}

/// A file, and one against each witness of the policy that cosigned both of its heads.
fn with_witnesses(trust: &Trust, file: FaultFile, size: u64, code: &str) -> Vec<Kept> {
    let part = |part| file.part(part).and_then(|bytes| Note::parse(bytes).ok());
    let mut files = Vec::new();
    if let (Some(first), Some(second)) = (part("first"), part("second")) {
        let path = file.part("path").map_or(&[][..], |path| path.as_chunks::<32>().0);
        let of_witness =
            |witness| FaultFile::contradiction_of_witness(witness, file.log_keys(), [&first, &second], path);
        files.extend(trust.policy().cosigners().iter().filter_map(of_witness));
    }
    let files = std::iter::once(&file).chain(&files).enumerate();
    files.map(|(number, file)| of_exchange(trust, file, size, code, number)).collect()
}

/// Returns the record of two heads that nothing was shown to connect: a head verified, and the newest the server shows.
pub fn of_unproved(trust: &Trust, known: &SeenHead, newest: Option<&SeenHead>) -> Kept {
    let code = "unproved";
    let mut file = FaultFile::new(FaultKind::Answer, &FaultFile::accused(trust, Some(known.size())))
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

fn keep(trust: &Trust, file: &FaultFile, size: u64, code: &str) -> Kept {
    Kept { file_name: format!("{}-{size}-{code}.fault", trust.zone().as_str()), bytes: file.encode() }
}

/// Returns a subject as text.
pub(crate) fn subject_text(subject: &Subject) -> String {
    match subject {
        Subject::Name(name) => name.clone(),
        Subject::Did(did) => did.to_string(),
        Subject::Alias(alias) => HEXLOWER.encode(alias),
        Subject::LogConf => "logconf".to_owned(),
        Subject::Anchors => "anchors".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use identity::key::SigningKey;
    use identity::name::Origin;
    use translog::entry::Epoch;
    use translog::head::Cosignature;
    use translog::note::{Checkpoint, Cosigner, LogSigner};
    use translog::policy::Policy;
    use translog::tree::Edge;

    use super::*;

    #[test]
    fn a_witness_that_cosigned_two_heads_is_convicted_beside_the_log() {
        // Goal: each who signed both histories gets a file, and nobody else. Method: two heads of one size; one witness of the policy
        // cosigned both, another the first alone.
        let log = LogSigner::new("dgns.test/log", SigningKey::from_seed(&[1; 32])).unwrap();
        let [both, one] = [("both.example", 2), ("one.example", 3)]
            .map(|(name, seed)| Cosigner::new(name, SigningKey::from_seed(&[seed; 32])).unwrap());
        let policy = format!("witness both {}\nwitness one {}\nquorum none\n", both.verifier_key(), one.verifier_key());
        let origin = Origin::parse("dgns.test/log").unwrap();
        let trust = Trust::new(origin.clone(), vec![log.verifier_key().clone()]).unwrap();
        let trust = trust.with_policy(Policy::parse(policy.as_bytes()).unwrap());
        let epoch = Epoch { k: 0, covers: 0, time_ms: 5, map_root: [0; 32], history_root: translog::hash::EMPTY_ROOT };
        let mut edge = Edge::new();
        edge.append(epoch.leaf_hash());
        let mut head = Head::sign(&edge, &epoch, &log).unwrap();
        let known = head.checkpoint(&origin);
        for witness in [&both, &one] {
            let line = witness.cosign(&known, 7);
            let signature = line.signature[8..].try_into().unwrap();
            head.cosignatures.push(Cosignature { id: witness.verifier_key().id(), time_s: 7, signature });
        }
        let other = Checkpoint { root: [9; 32], ..known };
        let note = Note::new(other.text(), vec![log.sign(&other), both.cosign(&other, 8)]).unwrap().to_string();
        let kept = of_audit(&trust, "rollback", "it went back", &note, 1, Some(&head), None);
        let accused: Vec<_> =
            kept.iter().map(|kept| FaultFile::decode(&kept.bytes).unwrap().check().unwrap().key).collect();
        assert_eq!(accused, [log.verifier_key().clone(), both.verifier_key().clone()]);
        assert_eq!(kept[1].file_name, "dgns.test-1-rollback-1.fault");
    }
}

//! Heads exchanged with others: a server that shows them another history than us is convicted by what they bring (PROTOCOL 9.8).
//!
//! ```text
//! dgns.heads@v1
//! <base64 of a shown head>          one line a log
//! ```

use std::path::PathBuf;

use data_encoding::BASE64;
use dgns_api::path;
use identity::hash::Hash;
use tokio::time::{Duration, Instant};
use translog::fault::FaultFile;
use translog::gossip::{self, Meeting, SeenHead, Settled, ShownHead, Unproved};
use translog::hash::leaf_hash;
use translog::note::Note;
use translog::tree::inclusion_root;

use crate::error::ClientError;
use crate::evidence;
use crate::home::Home;
use crate::session::Session;

/// The first line of a file of heads.
pub const HEADER: &str = "dgns.heads@v1";

/// The heads of one file: more logs than anybody follows.
const HEADS_MAX: usize = 1_024;

/// How long a server may take to prove that two heads it signed are of one history.
const PROOF_DEADLINE: Duration = Duration::from_secs(10);

/// Between two looks at a server whose newest head is behind the heads at hand: it may be about to publish.
const PAUSE: Duration = Duration::from_millis(250);

/// How somebody's head stands to what is known here; both are of one history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneHistory {
    /// The size of the head shown.
    pub theirs: u64,
    /// The size of the newest head verified here, if there is one.
    pub mine: Option<u64>,
    /// The size of the server's newest head, which continues both; `None` if both are one head, so nobody was asked.
    pub newest: Option<u64>,
}

/// Returns the newest verified head of every log met, as a file.
pub fn export(home: &Home) -> Result<String, ClientError> {
    let mut text = format!("{HEADER}\n");
    for (log, _) in home.logs()? {
        if let Some(head) = log.memory()?.memory.head() {
            text.push_str(&BASE64.encode(&ShownHead::of(log.origin(), head).encode()));
            text.push('\n');
        }
    }
    Ok(text)
}

/// Reads a file of heads. Errors: [`ClientError::Unable`], with the line that is wrong.
pub fn import(bytes: &[u8]) -> Result<Vec<ShownHead>, ClientError> {
    let wrong = |line: usize, what: &str| ClientError::Unable(format!("line {line}: {what}"));
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(1, "not text"))?;
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Err(wrong(1, "not a file of heads"));
    }
    let head = |(line, text): (usize, &str)| {
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| wrong(line, "not base64"))?;
        ShownHead::decode(&bytes).map_err(|error| wrong(line, &error.to_string()))
    };
    (2..).zip(lines).take(HEADS_MAX).map(head).collect()
}

/// Holds a head that somebody verified against the newest one verified here and the newest one the server shows now.
///
/// Errors: [`ClientError::Proof`], with evidence kept: `fork` and `inconsistent` convict the log, `unproved` records that it does
/// not show within 10 s that it continues what it signed. [`ClientError::Network`] if it does not answer at all.
pub async fn hold(session: &Session, shown: &ShownHead) -> Result<OneHistory, ClientError> {
    let trust = session.trust();
    let refused = |error: gossip::GossipError| ClientError::Unable(format!("{error} ({})", error.code()));
    let theirs = shown.verify(trust).map_err(refused)?;
    let mine = match session.log().memory_in_turn().await?.memory.head() {
        Some(head) => Some(ShownHead::of(trust.origin(), head).verify(trust).map_err(refused)?),
        None => None,
    };
    let mut one = OneHistory { theirs: theirs.size(), mine: mine.as_ref().map(SeenHead::size), newest: None };
    if let Some(mine) = &mine {
        match gossip::compare(trust, mine, &theirs) {
            Meeting::Same => return Ok(one),
            Meeting::Fork(files) => return Err(convict(session, "fork", &files, [mine, &theirs])),
            Meeting::Unproved(_) => {}
        }
    }
    let deadline = Instant::now() + PROOF_DEADLINE;
    let newest = newest_from(session, theirs.size().max(one.mine.unwrap_or(0)), deadline).await?;
    one.newest = newest.as_ref().map(SeenHead::size);
    for known in [Some(&theirs), mine.as_ref()].into_iter().flatten() {
        match &newest {
            Some(newest) => continues(session, known, newest, deadline).await?,
            None => return Err(unproved(session, known, None)),
        }
    }
    Ok(one)
}

/// The server's newest head once it has at least `size` leaves; `None` if it does not get there in time.
async fn newest_from(session: &Session, size: u64, deadline: Instant) -> Result<Option<SeenHead>, ClientError> {
    loop {
        let Ok(bytes) = tokio::time::timeout_at(deadline, session.get(path::CHECKPOINT)).await else { return Ok(None) };
        let malformed = |what: &str| ClientError::proof("malformed", format!("the checkpoint: {what}"));
        let note = Note::parse(&bytes?).map_err(|error| malformed(&error.to_string()))?;
        let wrong = |error: gossip::GossipError| ClientError::proof(error.code(), format!("the checkpoint: {error}"));
        let newest = SeenHead::of_note(session.trust(), note).map_err(wrong)?;
        if newest.size() >= size {
            return Ok(Some(newest));
        }
        if Instant::now() + PAUSE >= deadline {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Has the server prove that its newest head continues a known one.
async fn continues(
    session: &Session,
    known: &SeenHead,
    newest: &SeenHead,
    deadline: Instant,
) -> Result<(), ClientError> {
    let trust = session.trust();
    let open = match gossip::compare(trust, known, newest) {
        Meeting::Same => return Ok(()),
        Meeting::Fork(files) => return Err(convict(session, "fork", &files, [known, newest])),
        Meeting::Unproved(open) => open,
    };
    let Ok(asked) = tokio::time::timeout_at(deadline, proof(session, &open)).await else {
        return Err(unproved(session, known, Some(newest)));
    };
    match asked {
        Ok((path, seed)) => match open.settle(trust, &path, seed) {
            Settled::Continues => Ok(()),
            Settled::Fork(files) => Err(convict(session, "inconsistent", &files, [known, newest])),
            Settled::Nothing => Err(unproved(session, known, Some(newest))),
        },
        Err(ClientError::Refused(_)) => Err(unproved(session, known, Some(newest))),
        Err(error) => Err(error),
    }
}

/// A consistency proof between two heads, with the root it leaves out where the smaller size is a power of two: without that no
/// such proof convicts.
async fn proof(session: &Session, open: &Unproved) -> Result<(Vec<Hash>, Option<Hash>), ClientError> {
    let (from, to) = open.sizes();
    let path = hashes(&session.get(&format!("{}?from={from}&to={to}", path::PROOF)).await?);
    if !from.is_power_of_two() {
        return Ok((path, None));
    }
    let first = session.get(&format!("{}0", path::ENTRIES)).await?;
    let within = hashes(&session.get(&format!("{}?index=0&size={from}", path::PROOF)).await?);
    Ok((path, inclusion_root(&leaf_hash(&first), 0, from, &within).ok()))
}

/// The hashes in an answer; an answer of another length gives too few, which prove nothing.
fn hashes(bytes: &[u8]) -> Vec<Hash> {
    bytes.as_chunks::<32>().0.to_vec()
}

/// Keeps what convicts and says so.
fn convict(session: &Session, code: &'static str, files: &[FaultFile], heads: [&SeenHead; 2]) -> ClientError {
    let mut kept: Vec<PathBuf> = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let made = evidence::of_exchange(session.trust(), file, heads[1].size(), code, number);
        kept.extend(session.log().keep_evidence(&made.file_name, &made.bytes));
    }
    let what = format!(
        "the log signed two histories: a head of {} leaves and one of {} that somebody else, or you, verified",
        heads[1].size(),
        heads[0].size()
    );
    ClientError::Proof { code, what, evidence: kept.into_iter().next() }
}

/// Records that the log does not show how two heads it signed belong together.
fn unproved(session: &Session, known: &SeenHead, newest: Option<&SeenHead>) -> ClientError {
    let made = evidence::of_unproved(session.trust(), known, newest);
    let evidence = session.log().keep_evidence(&made.file_name, &made.bytes).ok();
    let shown =
        newest.map_or("shows no head of so many".to_owned(), |newest| format!("shows one of {}", newest.size()));
    let what = format!(
        "the log signed a head of {} leaves, {shown} and does not prove within {} s that it continues the first",
        known.size(),
        PROOF_DEADLINE.as_secs()
    );
    ClientError::Proof { code: "unproved", what, evidence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_heads_is_refused_by_its_line() {
        // Goal: a damaged file says where. Method: no header; a line that is no base64; one that is no head; an empty file is none.
        let refused = |text: &str| import(text.as_bytes()).expect_err(text).to_string();
        assert!(refused("").starts_with("line 1: "));
        assert!(refused("dgns.heads@v2\n").starts_with("line 1: "));
        assert!(refused("dgns.heads@v1\n?\n").starts_with("line 2: not base64"));
        assert!(refused("dgns.heads@v1\nAAAA\n").starts_with("line 2: not the bytes of a shown head"));
        assert_eq!(import(b"dgns.heads@v1\n").expect("no head in it"), []);
    }
}

//! Whether the databases that a server shows are those that its log of names says: for whoever never saw them before, too
//! (PROTOCOL 25.9).

use dgns_api::path;
use dgns_api::store::anchor::{AnchoredHead, AnchoredLog, label};
use dgns_api::store::entry::LogId;
use dgns_api::store::head::SignedHead;
use dgns_api::store::limits::ANCHOR_BY_MS;
use identity::state::Subject;
use tokio::time::{Duration, Instant};
use translog::entry::Anchor;
use translog::tree::verify_consistency;

use super::evidence::{self, Met};
use super::follow::{check_continues, malformed};
use super::kept::{Kept, keep_head, owed_heads};
use super::people::People;
use crate::error::ClientError;
use crate::session::{Session, Signer};

/// What a server answers that has not the databases that its log of names says.
const BEHIND: [&str; 3] = ["store_behind", "not_found", "range"];

/// How long a server that was just started may take to anchor what it had acknowledged before.
const PATIENCE: Duration = Duration::from_secs(20);

/// A log whose newest head continues what an anchor has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchored {
    /// The number of the newest anchor; 0 if there is none yet.
    pub k: u64,
    /// How many entries of the log it has.
    pub size: u64,
    /// How many the log has now.
    pub head: u64,
    /// The time of the log of names, under which this was proved, Unix milliseconds.
    pub time_ms: u64,
}

/// Checks that a log is the one that the newest anchor has, and went on from there; remembers its newest head.
///
/// Errors: [`ClientError::Proof`] with evidence if it went back, is another one, or was acknowledged and not anchored in time.
pub async fn verify(
    session: &Session,
    signer: Signer<'_>,
    log: &LogId,
    salt: &[u8; 16],
) -> Result<Anchored, ClientError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (anchored, overdue) = once(session, signer, log, salt).await?;
        if !overdue {
            return Ok(anchored);
        }
        if Instant::now() >= deadline {
            let what = format!(
                "the server acknowledged {} entries of the log a minute ago, and its anchors have {}",
                anchored.head, anchored.size
            );
            return Err(ClientError::proof("anchor_overdue", what));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// As [`verify`], once; and whether something should have been anchored by now that is not.
async fn once(
    session: &Session,
    signer: Signer<'_>,
    log: &LogId,
    salt: &[u8; 16],
) -> Result<(Anchored, bool), ClientError> {
    let keeper = session.keeper(log);
    let here = keeper.as_ref().map_or(session, |keeper| &keeper.session);
    let resolved = here.resolve(&Subject::Anchors).await?;
    let time_ms = resolved.epoch().time_ms;
    let kept = Kept::read(session, log)?;
    // Not the newest head alone: who writes the time into that one could put the anchor off for ever.
    let by = keeper.as_ref().map(|keeper| &keeper.place.server);
    let overdue = |size: u64, proved: &[&SignedHead]| {
        let owed = owed_heads(session.log(), log, size, proved, by)?;
        Ok(owed.iter().any(|head| head.head().time_ms.saturating_add(ANCHOR_BY_MS) < time_ms))
    };
    let mut proved: Vec<&SignedHead> = kept.head.iter().collect();
    let Some(body) = resolved.anchors() else {
        let head = kept.head.as_ref().map_or(0, |head| head.head().size);
        return Ok((Anchored { k: 0, size: 0, head, time_ms }, overdue(0, &proved)?));
    };
    let anchor = Anchor::decode(body).map_err(|_| malformed("an anchor that is none"))?;
    let mut target = format!("{}{log}/anchor?k={}", path::LOGS, anchor.k);
    kept.head.iter().for_each(|head| target.push_str(&format!("&old={}", head.head().size)));
    let answer = match session.get_signed(signer, &target).await {
        Err(ClientError::Refused(problem)) if BEHIND.contains(&problem.code.as_str()) => {
            return Err(behind(session, log, kept.head.as_ref(), &anchor, &problem.detail).await);
        }
        answer => AnchoredLog::decode(&answer?).map_err(|error| malformed(&error.to_string()))?,
    };
    let head = *answer.head.head();
    if answer.anchor != anchor || head.log != *log || !answer.is_anchored(&label(log, salt)) {
        let what = "what is shown of the log is not what the newest anchor has of it";
        return Err(ClientError::proof(if session.is_at_host() { "bad_host" } else { "anchor_proof" }, what));
    }
    People::default().check_head(session, &answer.head).await?;
    if let Some((code, what)) = contradiction(&answer) {
        let met = Met { anchored: Some((&answer, salt)), ..Met::default() };
        return Err(evidence::fault(session, log, code, what, met).await);
    }
    check_continues(session, &kept, &answer.head, &answer.consistency).await?;
    let size = answer.anchored.map_or(0, |anchored| anchored.size);
    proved.push(&answer.head);
    let late = overdue(size, &proved)?;
    keep_head(session, log, answer.head)?;
    Ok((Anchored { k: anchor.k, size, head: head.size, time_ms }, late))
}

/// What contradicts the anchor in a head that must not be older than it.
fn contradiction(answer: &AnchoredLog) -> Option<(&'static str, String)> {
    let (head, k) = (answer.head.head(), answer.anchor.k);
    if head.since.is_none_or(|since| since < k) {
        return Some(("store_stale", format!("the server shows a head of the log that may be older than anchor {k}")));
    }
    let AnchoredHead { size, root, .. } = answer.anchored.as_ref()?;
    if head.size < *size {
        let what = format!("the log has {} entries, and anchor {k} has {size} of it: it was rolled back", head.size);
        return Some(("store_rollback", what));
    }
    verify_consistency(*size, root, head.size, &head.root, &answer.grown)
        .err()
        .map(|error| ("store_fork", format!("the log is not the one that anchor {k} has ({})", error.code())))
}

/// Returns the proof fault of a server that cannot show what its log of names says that it has.
async fn behind(
    session: &Session,
    log: &LogId,
    known: Option<&SignedHead>,
    anchor: &Anchor,
    detail: &str,
) -> ClientError {
    let keeper = session.keeper(log);
    let here = keeper.as_ref().map_or(session, |keeper| &keeper.session);
    let what = match evidence::stand(here).await {
        Some(stand) if stand.head().size < anchor.k => {
            evidence::behind_text(&stand.head().store, stand.head().size, anchor.k)
        }
        _ => format!("the server cannot show the log as anchor {} has it: {detail}", anchor.k),
    };
    let known: Vec<&SignedHead> = known.into_iter().collect();
    evidence::fault(session, log, "store_rollback", what, Met { heads: &known, ..Met::default() }).await
}

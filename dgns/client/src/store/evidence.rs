//! What a server of databases signed and should not have: kept in one file that convicts it where that is possible (PROTOCOL 25.10).

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use dgns_api::path;
use dgns_api::store::anchor::AnchoredLog;
use dgns_api::store::entry::LogId;
use dgns_api::store::fault::check;
use dgns_api::store::head::SignedHead;
use identity::did::Did;
use identity::hash::Hash;
use identity::state::Subject;
use translog::fault::{FaultFile, FaultKind};
use translog::lookup_proof;

use super::people::People;
use crate::error::ClientError;
use crate::session::Session;

/// What was met of a log.
#[derive(Default)]
pub(crate) struct Met<'a> {
    /// Heads of it, the newest first; at most two.
    pub(crate) heads: &'a [&'a SignedHead],
    /// How an anchor has it, with the salt of its database.
    pub(crate) anchored: Option<(&'a AnchoredLog, &'a [u8; 16])>,
    /// A path that came with the larger head.
    pub(crate) path: &'a [Hash],
}

/// Returns the fault of a store that did what it must not, with what was met kept. At a host, which may show what the store said long ago,
/// the fault is the store's only if a file convicts it, and the host's (`bad_host`) else.
pub(crate) async fn fault(
    session: &Session,
    log: &LogId,
    code: &'static str,
    what: String,
    met: Met<'_>,
) -> ClientError {
    let keeper = session.keeper(log);
    let here = keeper.as_ref().map_or(session, |keeper| &keeper.session);
    match strongest(here, &met).await {
        None | Some((_, false)) if session.is_at_host() => {
            ClientError::proof("bad_host", format!("the host shows what the store does not say now: {what}"))
        }
        file => {
            let evidence = file.and_then(|(file, _)| save(session, log, code, file));
            ClientError::Proof { code, what, evidence }
        }
    }
}

/// Keeps what was met as evidence, the strongest first that convicts; the file tells how far all databases are, besides, if that does.
pub(crate) async fn keep(session: &Session, log: &LogId, code: &str, met: Met<'_>) -> Option<PathBuf> {
    let keeper = session.keeper(log);
    let (file, _) = strongest(keeper.as_ref().map_or(session, |keeper| &keeper.session), &met).await?;
    save(session, log, code, file)
}

fn save(session: &Session, log: &LogId, code: &str, file: FaultFile) -> Option<PathBuf> {
    let name = format!("store-{}-{code}.fault", HEXLOWER.encode(&log.0[..8]));
    session.log().keep_evidence(&name, &file.with_part("code", code.as_bytes()).encode()).ok()
}

/// Returns the first file that convicts the store, or the first if none does; and whether it does.
async fn strongest(session: &Session, met: &Met<'_>) -> Option<(FaultFile, bool)> {
    let stand = stand(session).await;
    let store = [met.heads.first().copied(), met.anchored.map(|(answer, _)| &answer.head), stand.as_ref()];
    let store = store.into_iter().flatten().next()?.head().store;
    let mut file = FaultFile::new(FaultKind::Store, &FaultFile::accused(session.trust(), None));
    if let Some(server) = proof(session, &Subject::Did(store)).await {
        file = file.with_part("server", server.as_bytes());
    }
    let with_path = |file: FaultFile, path: &[Hash]| match path {
        [] => file,
        path => file.with_part("path", path.as_flattened()),
    };
    let mut files = Vec::new();
    if let [newest, before] = met.heads {
        let file = file.clone().with_part("head", newest.as_bytes()).with_part("second", before.as_bytes());
        files.push(with_path(file, met.path));
    }
    if let Some(anchors) = proof(session, &Subject::Anchors).await {
        let file = file.clone().with_part("anchors", anchors.as_bytes());
        if let Some((answer, salt)) = met.anchored
            && let Some(anchored) = &answer.anchored
        {
            let file = file.clone().with_part("head", answer.head.as_bytes()).with_part("salt", salt);
            let file = file.with_part("anchored", &anchored.encode()).with_part("proof", &answer.proof.encode());
            files.push(with_path(file, &answer.grown));
        }
        files.extend(stand.map(|stand| file.with_part("head", stand.as_bytes())));
    }
    if let [head] = met.heads {
        files.push(file.with_part("head", head.as_bytes()));
    }
    let convicting = files.iter().position(|file| check(file).is_ok());
    let file = files.get(convicting.unwrap_or(0))?.clone();
    Some((file, convicting.is_some()))
}

/// Returns how far the server says that its databases are, signed by it.
pub(crate) async fn stand(session: &Session) -> Option<SignedHead> {
    let bytes = session.get(&format!("{}stand", path::ANCHOR_CHANGES)).await.ok()?;
    let stand = SignedHead::decode(&bytes).ok().filter(|stand| stand.head().log == LogId::STAND)?;
    People::default().check_head(session, &stand).await.ok().map(|()| stand)
}

/// Returns the file that proves a lookup.
async fn proof(session: &Session, subject: &Subject) -> Option<String> {
    let (resolved, bytes) = session.resolve_with_bytes(subject).await.ok()?;
    lookup_proof::write(session.trust(), &resolved, &bytes).ok().map(|file| file.to_string())
}

/// Names a server that stands behind what its log of names says.
pub(crate) fn behind_text(server: &Did, here: u64, there: u64) -> String {
    format!(
        "{server} shows databases as they were at anchor {here}, and its log of names has anchor {there}: they were put back from an older copy"
    )
}

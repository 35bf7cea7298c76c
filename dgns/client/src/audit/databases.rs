//! The audit of databases: every anchor recomputed from what it changes, and the server's word of how far it is (PROTOCOL 25.9).

use std::path::Path;

use dgns_api::path;
use dgns_api::store::anchor::{AnchorTree, Changes};
use dgns_api::store::entry::LogId;
use identity::state::{State, Subject};
use translog::audit::Replay;
use translog::entry::Anchor;

use super::withheld;
use crate::error::ClientError;
use crate::session::Session;
use crate::store::evidence::{self, Met};

/// What was found of the databases: no fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Databases {
    /// How many anchors the log has.
    pub anchors: u64,
    /// How many logs they have.
    pub logs: u64,
}

/// What a server answers that only passes the log on.
const NOT_KEPT_HERE: &str = "not_the_writer";

/// Recomputes every anchor, and holds the server's databases against the newest one that `replay` met. `None` if there is none, or
/// if who was asked keeps no databases but passes the log on.
pub(super) async fn audit(
    session: &Session,
    replay: Option<&Replay>,
    directory: Option<&Path>,
) -> Result<Option<Databases>, ClientError> {
    let newest = match replay.and_then(|replay| replay.leaf(&Subject::Anchors)).map(|leaf| leaf.state) {
        Some(State::Anchors { payload, .. }) => Anchor::decode(&payload).ok(),
        _ => None,
    };
    let Some(newest) = newest else { return Ok(None) };
    let mut tree = AnchorTree::default();
    while tree.k() < newest.k {
        let k = tree.k() + 1;
        let path = format!("{}{k}/changes", path::ANCHOR_CHANGES);
        let bytes = match session.get(&path).await {
            Ok(bytes) => bytes,
            Err(ClientError::Refused(problem)) if problem.code == NOT_KEPT_HERE => return Ok(None),
            // A file server that only keeps the log has nothing of this at all.
            Err(ClientError::Network(_)) if evidence::stand(session).await.is_none() && k == 1 => return Ok(None),
            Err(error) => {
                stands(session, &newest, directory).await?;
                return Err(withheld(&path, error));
            }
        };
        let changes = Changes::decode(&bytes).map_err(|error| fault("anchor", format!("anchor {k}: {error}")))?;
        tree.apply(&changes).map_err(|found| fault(found.code(), found.to_string()))?;
    }
    if tree.newest() != Some(&newest) {
        return Err(fault(
            "anchor_chain",
            format!("anchor {} of the log is not the one that the server shows", newest.k),
        ));
    }
    stands(session, &newest, directory).await?;
    Ok(Some(Databases { anchors: newest.k, logs: newest.logs }))
}

/// Holds what the server signs of its databases against the newest anchor.
async fn stands(session: &Session, newest: &Anchor, directory: Option<&Path>) -> Result<(), ClientError> {
    let stand = evidence::stand(session).await;
    let stand =
        stand.ok_or_else(|| ClientError::Network("the server does not say how far its databases are".into()))?;
    let head = stand.head();
    let what = if head.size < newest.k {
        evidence::behind_text(&head.store, head.size, newest.k)
    } else if head.size == newest.k && head.root != newest.root {
        format!("{} has other databases than those of anchor {}", head.store, newest.k)
    } else {
        return Ok(());
    };
    let kept = evidence::keep(session, &LogId::STAND, "store_rollback", Met::default()).await;
    let evidence = kept.map(|kept| match directory.map(|directory| (directory, kept.file_name())) {
        Some((directory, Some(name))) => {
            let moved = directory.join(name);
            let copied = std::fs::create_dir_all(directory).and_then(|()| std::fs::copy(&kept, &moved));
            if copied.is_ok() { moved } else { kept }
        }
        _ => kept,
    });
    Err(ClientError::Proof { code: "store_rollback", what, evidence })
}

fn fault(code: &'static str, what: String) -> ClientError {
    ClientError::proof(code, what)
}

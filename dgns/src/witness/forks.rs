//! A head that does not continue the one cosigned, by the proof that came with it: the log's own tiles tell whether it signed two
//! histories, or somebody sent a wrong proof.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use identity::hash::Hash;
use tokio::time::Instant;
use translog::note::{Checkpoint, Note};

use super::evidence::Evidence;
use super::watched::Watched;
use crate::follow::remote::Remote;

/// The pause between two looks into one log: anybody may send a wrong proof.
const BETWEEN: Duration = Duration::from_secs(10);

/// Reads from the log's tiles how two heads that it signed stand to each other; returns the new file if they convict it.
pub(super) async fn look_into(
    watched: Arc<Watched>,
    evidence: Arc<Evidence>,
    cosigned: Note,
    offered: Note,
) -> Option<PathBuf> {
    let mut looked = watched.looked.try_lock().ok()?;
    if looked.is_some_and(|at: Instant| at.elapsed() < BETWEEN) {
        return None;
    }
    let size = |note: &Note| Checkpoint::parse_extended(note.text()).map(|head| head.size).ok();
    let (known, new) = (size(&cosigned)?, size(&offered)?);
    let (from, to) = (known.min(new), known.max(new));
    let path = path_between(watched.remote()?, from, to).await;
    *looked = Some(Instant::now());
    let keys = watched.accused();
    evidence.keep_contradiction(&keys, &cosigned, &offered, &path?, to).ok().flatten()
}

/// The path that evidence wants: with the root of the smaller tree in front where RFC 9162 leaves it out.
async fn path_between(remote: Remote, from: u64, to: u64) -> Option<Vec<Hash>> {
    if from == 0 || from == to {
        return Some(Vec::new());
    }
    let (path, root) = remote.consistency(from, to).await.ok()?;
    Some(if from.is_power_of_two() { [vec![root], path].concat() } else { path })
}

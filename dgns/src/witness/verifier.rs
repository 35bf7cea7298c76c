//! The verifying witness: replays each log it cosigns, entry by entry, and signs nothing of a log at fault (PROTOCOL 12.6).
//!
//! A verifier's cosignature says: this head's map is exactly what the entries imply, every signature and every decision of the
//! rules is right, and so was its time. Each log is replayed in the background, towards the newest checkpoint that was
//! submitted. Progress is kept, so a restart goes on. What the log signed and cannot have holds it up until the operator clears it.
//! What is wrong and not under the signed head was spoiled on its way: it is read again, later and later.

mod evidence;
mod fetch;
mod follow;
mod held;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use identity::name::Origin;
use tokio::sync::watch;
use tokio::task::JoinSet;
use translog::witness::Request;

use super::cosigner::CosignerError;
use super::declined::Declined;
use super::watched::Watched;
use crate::clock::Clock;
use crate::outbound::Outbound;
use follow::Follow;
pub use held::{ClearError, HeldUp, clear};

/// How far a log was replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Entries replayed and found right.
    pub entries: u64,
    /// The fault that keeps this log from being cosigned.
    pub held_up: Option<HeldUp>,
    /// What kept the last attempt from going on: the log cannot be reached, or withholds something.
    pub trouble: Option<String>,
}

/// The replays of all logs that are verified.
pub struct Verifier {
    follows: BTreeMap<String, Arc<Follow>>,
}

impl Verifier {
    /// Opens the replays kept below `data`. Every log needs a read prefix, and to be one of ours.
    pub fn open(
        data: &Path,
        logs: &[Arc<Watched>],
        outbound: &Outbound,
        clock: &Clock,
    ) -> Result<Arc<Self>, CosignerError> {
        let mut follows = BTreeMap::new();
        for log in logs {
            let (origin, url) = followed(log, outbound)?;
            let follow = Follow::open(data, log.clone(), origin, url, outbound.clone(), clock.clone())?;
            follows.insert(log.origin().to_owned(), Arc::new(follow));
        }
        Ok(Arc::new(Self { follows }))
    }

    /// Replays until `stop` turns true, then keeps the progress.
    pub async fn run(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let mut running = JoinSet::new();
        for follow in self.follows.values() {
            running.spawn(follow.clone().run(stop.clone()));
        }
        running.join_all().await;
    }

    /// Returns how far a log was replayed.
    pub fn standing(&self, origin: &str) -> Option<Standing> {
        self.follows.get(origin).map(|follow| follow.standing())
    }

    /// Returns once the head of a request, whose signature was checked, was replayed to its last entry and found right.
    ///
    /// Waits for a moment if it was not; then the answer is [`Declined::Behind`] and the replay goes on.
    pub(super) async fn vouch(&self, request: &Request) -> Result<(), Declined> {
        let origin = &request.checkpoint().origin;
        let follow = self.follows.get(origin).expect("a verifier follows every log it cosigns");
        follow.vouch(request).await
    }
}

fn followed(log: &Watched, outbound: &Outbound) -> Result<(Origin, String), CosignerError> {
    let cannot = |why: String| CosignerError::CannotFollow { origin: log.origin().to_owned(), why };
    let origin = Origin::parse(log.origin()).map_err(|error| cannot(error.to_string()))?;
    let url = log.url().ok_or_else(|| cannot("its line names no URL to read it from".into()))?;
    let url = url.trim_end_matches('/').to_owned();
    outbound.check(&url).map_err(|error| cannot(format!("{url}: {error}")))?;
    Ok((origin, url))
}

//! Another log's keys, followed by its LogConfs over HTTP: what a witness and a follower share (PROTOCOL 7.5).

use std::time::Duration;

use dgns_api::path;
use identity::hash::Hash;
use identity::time::Timestamp;
use translog::note::{Note, VerifierKey};
use translog::policy::Policy;
use translog::rotation::{self, FollowError, Followed};
use translog::trust::Trust;

use crate::outbound::{Bounds, Outbound, OutboundError};

/// What a chain may cost: 512 rows of the largest entries with their paths, over a slow line.
const BOUNDS: Bounds = Bounds { deadline: Duration::from_secs(10), body_bytes_max: 4 << 20 };

/// Why a log was not followed to other keys. What was trusted before stays trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFollowed {
    /// No answer.
    #[error("its LogConfs cannot be read: {0}")]
    Outbound(#[from] OutboundError),
    /// An answer that is none.
    #[error("its LogConfs cannot be read: answered with status {0}")]
    Status(u16),
    /// The LogConfs do not lead from the trusted keys to those that sign.
    #[error(transparent)]
    Refused(#[from] FollowError),
}

impl NotFollowed {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Outbound(error) => error.code(),
            Self::Status(_) => "refused_status",
            Self::Refused(error) => error.code(),
        }
    }
}

/// Follows the log of the server at `base` from the keys of `trust`. The newest head must continue the tree of `known`, its
/// size and root.
pub async fn follow(
    outbound: &Outbound,
    base: &str,
    trust: &Trust,
    known: (u64, Hash),
    seq: Option<u64>,
    now: impl FnOnce() -> Timestamp,
) -> Result<Followed, NotFollowed> {
    let from = if known.0 == 0 { String::new() } else { format!("&from={}", known.0) };
    let url = format!("{}{}?head=newest{from}", server_of(base), path::LOGCONF_CHAIN);
    let answer = outbound.get(&url, BOUNDS).await?;
    match answer.status {
        // A key is the log's own to change: whose cosignatures its heads need is asked when they are read.
        200 => Ok(rotation::follow_tree(&trust.clone().with_policy(Policy::none()), known, seq, &answer.body, now())?),
        status => Err(NotFollowed::Status(status)),
    }
}

/// Returns whether a note has a line in the name of its log by none of `keys`: a key that may be new.
pub fn has_unknown_key(note: &Note, origin: &str, keys: &[VerifierKey]) -> bool {
    note.lines().iter().any(|line| line.name == origin && keys.iter().all(|key| key.id() != line.id))
}

/// Returns the server whose log is read at `prefix`.
pub fn server_of(prefix: &str) -> &str {
    let prefix = prefix.trim_end_matches('/');
    prefix.strip_suffix(path::LOG).unwrap_or(prefix)
}

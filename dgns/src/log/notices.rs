//! Notices: evidence that anyone brings, checked, and said in this log once (PROTOCOL 7.6, 12.8).

use std::sync::Arc;

use identity::hash::{Hash, sha256};
use identity::state::{State, Subject};
use storage::StorageError;
use tokio::sync::Mutex;
use translog::batch::Post;
use translog::logconf::Conf;
use translog::map;
use translog::note::VerifierKey;
use translog::notice::{NoticeRefusal, SoundNotice};
use translog::policy::Policy;

use super::damaged;
use super::door::{Door, DoorError};
use super::shown::Asked;
use crate::core::Core;
use crate::witness::Roles;

/// Where evidence comes in.
pub struct Notices {
    /// Keys watched beside those that the log itself names.
    configured: Vec<VerifierKey>,
    /// The cosigners of this process: their keys, and those of the logs they sign, are watched too.
    cosigners: Option<Arc<Roles>>,
    /// Held while one is judged and published: equal evidence that comes twice at once makes one Notice.
    turn: Mutex<()>,
}

/// Why nothing is noted; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum NoticesError {
    /// The evidence does not hold, or is about nobody watched here.
    #[error(transparent)]
    Evidence(#[from] NoticeRefusal),
    /// Too many today, or the log cannot take it now.
    #[error(transparent)]
    Door(#[from] DoorError),
}

impl From<StorageError> for NoticesError {
    fn from(error: StorageError) -> Self {
        Self::Door(error.into())
    }
}

impl Notices {
    /// Returns the place where evidence comes in about this log, those it names in its policy, the keys `configured`, and
    /// those of `cosigners`.
    pub fn about(configured: Vec<VerifierKey>, cosigners: Option<Arc<Roles>>) -> Self {
        Self { configured, cosigners, turn: Mutex::default() }
    }

    /// Takes a fault file into the log as a Notice, unless it has one; returns the Notice's log index.
    pub async fn submit(&self, core: &Core, door: &Door, evidence: &[u8]) -> Result<u64, NoticesError> {
        let sound = SoundNotice::of_evidence(evidence, &self.watched(core).await?)?;
        let _turn = self.turn.lock().await;
        let evidence_hash: Hash = sha256(&[evidence]);
        if let Some(index) = core.storage.log().notice(&evidence_hash).await? {
            return Ok(index);
        }
        door.admit_notice(core)?;
        Ok(door.publish_own(Post::notice(sound)).await?)
    }

    /// The keys whose forks are noted.
    async fn watched(&self, core: &Core) -> Result<Vec<VerifierKey>, StorageError> {
        let conf = newest_conf(core).await?;
        let policy = Policy::parse(conf.policy.as_bytes()).unwrap_or_else(|_| Policy::none());
        let cosigned = self.cosigners.as_deref().map(Roles::keys).unwrap_or_default();
        Ok([conf.log_keys, policy.keys(), self.configured.clone(), cosigned].concat())
    }
}

async fn newest_conf(core: &Core) -> Result<Conf, StorageError> {
    let missing = || damaged("labels", "the log's configuration is missing");
    let held = core.states.load(&core.live, &core.storage, &[map::label(&Subject::LogConf)], Asked::Newest).await?;
    match held[0].as_deref().map(|held| &held.leaf.state) {
        Some(State::LogConf { payload, .. }) => Conf::decode(payload).map_err(|_| missing()),
        _ => Err(missing()),
    }
}

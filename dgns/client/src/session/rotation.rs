//! Keeps up with a log whose keys change: the chain of LogConfs from the keys that are pinned (PROTOCOL 7.5).

use dgns_api::path;
use identity::name::Origin;
use translog::rotation::{self, FollowError, Followed};
use translog::trust::{Memory, Trust};

use super::Session;
use crate::clock;
use crate::error::ClientError;
use crate::home::{OpenMemory, Pinned};
use crate::net::Net;

impl Session {
    /// Follows the log from the keys that are pinned to those that sign now, and keeps them for the commands to come.
    ///
    /// Errors: [`ClientError::Proof`] if the log's LogConfs do not lead there.
    async fn catch_up(&self) -> Result<(), ClientError> {
        let mut memory = self.log.memory_in_turn().await?;
        self.follow_keys(&mut memory).await.map(|_| ())
    }

    /// As [`Session::catch_up`], where what is known is judged afterwards: only keys replaced without a signature of ours are an
    /// error.
    pub(crate) async fn catch_up_or_repin(&self) -> Result<(), ClientError> {
        match self.catch_up().await {
            Err(repin @ ClientError::Proof { code: REPIN, .. }) => Err(repin),
            _ => Ok(()),
        }
    }

    /// As [`Session::catch_up`], with the memory in hand. Returns the trust in the keys of now.
    pub(super) async fn follow_keys(&self, memory: &mut OpenMemory) -> Result<Trust, ClientError> {
        let from = memory.memory.size().map_or(String::new(), |size| format!("?from={size}"));
        let bytes = self.net.get(&format!("{}{from}", path::LOGCONF_CHAIN)).await?;
        let pinned = self.log.pinned()?;
        let ours = pinned.log_keys == self.trust().log_keys();
        let seq = pinned.conf_seq.filter(|_| ours);
        let Followed { seq, log_keys, retired, .. } =
            rotation::follow(self.trust(), &mut memory.memory, seq, &bytes, clock::now()).map_err(fault)?;
        let followed = self.trust().clone().with_log_keys(log_keys.clone()).map_err(|_| fault(FollowError::Chain))?;
        let followed = followed.with_retired(retired.clone());
        if ours {
            // The keys first: a crash leaves a memory that is older than what is trusted, never one that nothing vouches for.
            self.log.keep_pinned(&Pinned { log_keys, retired, conf_seq: Some(seq), ..pinned })?;
        }
        memory.keep()?;
        let _ = self.followed.set(followed.clone());
        Ok(followed)
    }

    /// Returns the trust under which an answer is to be judged again that no trusted key signed, or the fault if there is none.
    pub(super) async fn trust_for(&self, memory: &mut OpenMemory) -> Result<Trust, Option<ClientError>> {
        match self.follow_keys(memory).await {
            Ok(trust) => Ok(trust),
            Err(repin @ ClientError::Proof { code: REPIN, .. }) => Err(Some(repin)),
            Err(_) => Err(None),
        }
    }

    /// Returns whether this home's memory may be of a log whose newest LogConf it does not know: another key than the oldest signed.
    pub(super) fn is_behind(&self, resolved: &translog::resolve::Resolved) -> bool {
        resolved.log_key().is_some_and(|key| Some(key) != self.trust().log_keys().first())
    }
}

/// Returns what to believe of a log for who was named one of its keys, and knows others of it: one chain of LogConfs has both, or nothing is believed.
///
/// Errors: [`ClientError::Proof`] (`log_key`) if there is no such chain.
pub(super) async fn joined(net: &Net, origin: &Origin, named: &Pinned, known: Pinned) -> Result<Pinned, ClientError> {
    let bytes = net.get(path::LOGCONF_CHAIN).await?;
    let other =
        |_| ClientError::proof("log_key", format!("{} is known by other keys than the one named", origin.as_str()));
    let follow = |pinned: &Pinned| {
        let trust = pinned.trust(origin).map_err(|_| FollowError::UnknownKey)?;
        rotation::follow(&trust, &mut Memory::new(origin.clone()), pinned.conf_seq, &bytes, clock::now())
    };
    let by_name = follow(named).map_err(other)?;
    let Followed { seq, log_keys, mut retired, .. } = follow(&known).map_err(other)?;
    for key in by_name.retired {
        if !retired.iter().any(|before| before.key == key.key) {
            retired.push(key);
        }
    }
    Ok(Pinned { log_keys, retired, conf_seq: Some(seq), ..known })
}

/// The code of keys replaced without a signature of the trusted ones.
const REPIN: &str = FollowError::Repin.code();

fn fault(error: FollowError) -> ClientError {
    ClientError::proof(error.code(), error.to_string())
}

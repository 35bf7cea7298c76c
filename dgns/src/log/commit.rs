//! What whoever adds to the log does with a batch and its head: one transaction, and then everyone may see it.

use std::sync::Arc;

use identity::hash::Hash;
use storage::rows::NameRow;
use storage::{CommitError, Storage, StorageError};
use tokio::time::Instant;
use tracing::{info, warn};
use translog::batch::Batch;

use super::feed::Feed;
use super::live::{Live, PublicHead};
use super::restart::{commit_rows, stored_head};
use super::shown::Asked;
use super::states::{Held, States};
use super::touched::Touched;
use crate::dns;
use crate::dns::Zone as DnsZone;
use crate::metrics::Metrics;

/// Where batches go: the publisher's, or those a follower takes over.
#[derive(Clone)]
pub struct Committer {
    /// Where everything is kept.
    pub storage: Arc<Storage>,
    /// The newest batches, for those who follow.
    pub feed: Arc<Feed>,
    /// The newest state.
    pub live: Arc<Live>,
    /// The states behind it.
    pub states: Arc<States>,
    /// The DNS zone that shows names.
    pub dns: Arc<DnsZone>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Which DIDs with tokens batches change.
    pub touched: Arc<Touched>,
    /// Which DIDs in the lobby batches change.
    pub present: Arc<Touched>,
    /// Which DIDs whose devices wrote into DNS batches change.
    pub updated: Arc<Touched>,
}

/// Why a batch was not committed. Whoever meets this must not go on: what is stored is not what this process thinks.
#[derive(Debug, thiserror::Error)]
pub enum NotCommitted {
    /// Another process commits to the same database.
    #[error("another server writes to this database: the stored head is not the one this process knows")]
    AnotherWriter,
    /// The database refused or failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Committer {
    /// Returns the rows of names that DNS will answer with, once the batch is committed.
    pub async fn names(&self, batch: &Batch) -> Result<Vec<(Hash, NameRow)>, StorageError> {
        dns::feed::rows(&self.storage, batch).await
    }

    /// Commits head, entries and every row of the batch in one transaction.
    pub async fn commit(
        &self,
        batch: &Batch,
        head: &PublicHead,
        names: &[(Hash, NameRow)],
    ) -> Result<(), NotCommitted> {
        let old = self.live.head();
        let old = (old.size() > 0).then(|| stored_head(&old));
        let started = Instant::now();
        let stored = stored_head(head);
        let rows = commit_rows(batch, names.to_vec());
        match self.storage.log().commit(old.as_ref(), &stored, &rows).await {
            Ok(()) => {}
            Err(CommitError::Unknown(error)) => {
                // Unknown outcome: look, never guess. Either our head is stored, or the old one still is.
                warn!(%error, "commit of unknown outcome; reading the stored head");
                match self.storage.log().load_head().await? {
                    Some(found) if found.note == stored.note => {}
                    _ => return Err(error.into()),
                }
            }
            Err(CommitError::Definite(error)) => return Err(error.into()),
            Err(_) => return Err(NotCommitted::AnotherWriter),
        }
        self.metrics.batch(batch, started.elapsed());
        info!(
            log_index = batch.first_index,
            entries = batch.entries.len(),
            commit_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "batch committed"
        );
        Ok(())
    }

    /// Loads the states that the batch replaces, while SQL still has them; none where the newest head is shown.
    pub async fn replaced(&self, batch: &Batch) -> Result<Vec<(Hash, Arc<Held>)>, StorageError> {
        if !self.live.read().shown.asks_witnesses() {
            return Ok(Vec::new());
        }
        let labels: Vec<Hash> = batch.changes.values().map(|change| change.label).collect();
        let held = self.states.load(&self.live, &self.storage, &labels, Asked::Newest).await?;
        Ok(labels.into_iter().zip(held).filter_map(|(label, held)| Some((label, held?))).collect())
    }

    /// Shows a committed batch to lookups, DNS and followers; `replaced` as [`Committer::replaced`] gave it.
    pub fn show(&self, batch: Batch, head: PublicHead, names: &[(Hash, NameRow)], replaced: Vec<(Hash, Arc<Held>)>) {
        self.states.remember(batch.changes.values());
        let size = head.size();
        let dids: Vec<_> = Touched::dids(&batch).collect();
        self.feed.push(&batch, &head);
        self.live.show(batch, head, replaced);
        self.present.note(size, dids.clone());
        self.touched.note(size, dids.clone());
        dns::feed::apply(&self.dns, names, size);
        self.updated.note(size, dids); // once the zone has what is certified
    }
}

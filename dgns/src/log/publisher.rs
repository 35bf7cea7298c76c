//! The publisher: the one task that orders certificates, signs heads and commits. Its body is the crash order.
//!
//! A crash before the commit leaves nothing durable and no signature outside: clients repeat. After the commit the head and
//! entries are there, the guard at most one behind, waiters unanswered: the guard is raised at the next start and a repeat is
//! answered with the same index. Tiles are derived from what is committed, never a source.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use identity::did::Did;
use identity::name::Zone;
use identity::rules::{Refusal, World};
use identity::state::Subject;
use identity::time::Timestamp;
use storage::{Guard, Raised, StorageError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use translog::batch::{self, Batch, Outcome, Post};
use translog::logconf::{LogConf, LogConfError, Succession};
use translog::resolution::{Answer, Resolution};
use translog::resolve;
use translog::trust::Memory;

use super::commit::{Committer, NotCommitted};
use super::door::Held;
use super::enrolled::Claimed;
use super::live::PublicHead;
use super::states;
use crate::clock::Clock;
use crate::keys::LogKey;
use crate::shutdown;

/// The posts that wait at most; more are `busy`.
pub const QUEUE_POSTS_MAX: usize = 8_192;

/// How a waiter learns what became of its post.
pub type Verdict = Result<u64, PostRefused>;

/// A post with the waiter that wants its answer.
#[derive(Debug)]
pub struct Waiting {
    /// The certificates, judged by the door.
    pub post: Post,
    /// The keys it brings.
    pub keys: Claimed,
    /// Where the answer goes; a waiter that left does not take its post back.
    pub answer: oneshot::Sender<Verdict>,
    /// What no other post may have until then, however long the waiter waits.
    pub held: [Held; 2],
}

impl Borrow<Post> for Waiting {
    fn borrow(&self) -> &Post {
        &self.post
    }
}

/// Why a post is not in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostRefused {
    /// The rules refused the certificate at this position.
    Rules {
        /// Its place in the post.
        position: usize,
        /// Why.
        refusal: Refusal,
    },
    /// The log could not commit; nothing of the post is in it. Safe to repeat.
    Unavailable,
}

/// Why the publisher stopped. It never signs again: the process must start anew and look at what is there.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The batch was not committed.
    #[error(transparent)]
    NotCommitted(#[from] NotCommitted),
    /// The database or the guard refused or failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The head just signed does not pass the client's own checks.
    #[error("the head of {size} leaves fails our own verification ({code}): not committed")]
    SelfCheck {
        /// The head's size.
        size: u64,
        /// The verifier's code.
        code: &'static str,
    },
}

/// Why a LogConf is not in the log.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// It does not continue the log's configuration; nothing changed.
    #[error(transparent)]
    LogConf(#[from] LogConfError),
    /// The publisher had to stop.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// What the publisher needs; one a process.
pub struct Publisher {
    /// The zone.
    pub zone: Zone,
    /// The server's DID.
    pub server: Did,
    /// Where batches go.
    pub log: Committer,
    /// The log key.
    pub key: Arc<LogKey>,
    /// The guard beside the key.
    pub guard: Guard,
    /// The clock.
    pub clock: Clock,
    /// Batches start at least this far apart.
    pub batch_gap: Duration,
    /// An idle log makes an Epoch this often.
    pub epoch_idle: Duration,
}

/// What waits for the next batch.
#[derive(Debug, Default)]
pub struct Pool {
    waiting: Vec<Waiting>,
}

impl Publisher {
    /// Publishes until `stop` turns true and nothing waits, or until it must not go on.
    pub async fn run(
        mut self,
        mut queue: mpsc::Receiver<Waiting>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), PublishError> {
        let mut pool = Pool::default();
        loop {
            let started = Instant::now();
            if pool.waiting.is_empty() {
                let wake = self.next_epoch_by(started);
                tokio::select! {
                    biased;
                    first = queue.recv() => match first {
                        Some(first) => pool.waiting.push(first),
                        None => return Ok(()),
                    },
                    _ = tokio::time::sleep_until(wake) => {}
                    () = shutdown::requested(&mut stop) => queue.close(),
                }
            }
            pool.take(&mut queue);
            if pool.waiting.is_empty() && *stop.borrow() {
                return Ok(());
            }
            let batch_started = Instant::now();
            self.publish_once(&mut pool, self.clock.now()).await?;
            tokio::time::sleep_until(batch_started + self.batch_gap).await;
        }
    }

    /// Takes what waits into the log, in the order in which a crash may cut it off.
    async fn publish_once(&mut self, pool: &mut Pool, now: Timestamp) -> Result<(), PublishError> {
        let batch = self.integrate(&pool.waiting, now).await?; //            pure but for loading states; a refusal is an outcome
        pool.place(&batch.outcomes); //                                 where the keys of each post are going to stand
        let outcomes = self.publish(batch, now).await?; //            durable and shown
        pool.settle(outcomes); //                                      waiters wake last, each with its index or refusal
        Ok(())
    }

    /// Signs, checks, commits and shows a batch, in the order in which a crash may cut it off.
    async fn publish(&mut self, batch: Batch, now: Timestamp) -> Result<Vec<Outcome>, PublishError> {
        let head = self.sign(&batch); //                               in memory only: a crash loses nothing
        self.self_check(&batch, &head, now)?; //                       never commit what our own client would refuse
        let names = self.log.names(&batch).await?; //                  what DNS will answer
        let replaced = self.log.replaced(&batch).await?; //            what lookups under the public head go on answering
        self.log.commit(&batch, &head, &names).await?; //              THE commit point: one transaction (D1)
        self.guard.raise(Raised { size: head.size(), root: head.root() })?; // synced beside the key; only now may a signature leave
        let outcomes = batch.outcomes.clone();
        self.log.show(batch, head, &names, replaced); //               now HTTP, DNS and lookups may see it
        Ok(outcomes)
    }

    /// Takes a new LogConf into the log; from its head on `key`, the keys it lists, signs.
    pub async fn configure(
        &mut self,
        conf: &LogConf,
        key: Arc<LogKey>,
        now: Timestamp,
    ) -> Result<Succession, ConfigureError> {
        let mut world = states::world(&self.zone, Some(self.server));
        let subjects = batch::configure_wants(self.server).to_vec();
        self.log
            .states
            .fill(&self.log.live, &self.log.storage, &mut world, subjects)
            .await
            .map_err(PublishError::from)?;
        let world = self.loaded(world, &[], now).await?;
        let (batch, succession) = {
            let inner = self.log.live.read();
            batch::configure(&inner.view(), world, conf, now.as_ms())?
        };
        self.key = key;
        self.publish(batch, now).await?;
        Ok(succession)
    }

    /// Loads the states the batch touches and integrates it.
    async fn integrate(&self, posts: &[Waiting], now: Timestamp) -> Result<Batch, PublishError> {
        let world = self.loaded(states::world(&self.zone, Some(self.server)), posts, now).await?;
        let inner = self.log.live.read();
        Ok(batch::integrate(&inner.view(), world, posts, now.as_ms()))
    }

    /// Puts in the states that settling and `posts` read.
    async fn loaded(&self, mut world: World, posts: &[Waiting], now: Timestamp) -> Result<World, PublishError> {
        loop {
            let missing = {
                let inner = self.log.live.read();
                batch::wants(&inner.view(), &world, posts, now.as_ms().max(inner.head.epoch.time_ms))
            };
            if missing.is_empty() {
                return Ok(world);
            }
            self.log.states.fill(&self.log.live, &self.log.storage, &mut world, missing).await?;
        }
    }

    fn sign(&self, batch: &Batch) -> PublicHead {
        self.key.sign_head(batch)
    }

    /// Runs the head, and a lookup of one DID, of the log's configuration or of the anchors, if the batch changes one, through the checks of
    /// every client.
    fn self_check(&self, batch: &Batch, head: &PublicHead, now: Timestamp) -> Result<(), PublishError> {
        let fault = |code| PublishError::SelfCheck { size: batch.size(), code };
        let changed = batch
            .changes
            .iter()
            .find(|(subject, _)| matches!(subject, Subject::Did(_) | Subject::LogConf | Subject::Anchors));
        let Some((subject, change)) = changed else {
            return self.key.check_head(&head.head).map_err(|error| fault(error.code()));
        };
        let inner = self.log.live.read();
        let proof = inner.map.prove_after(&batch.map, &[change.label]).map_err(|_| fault("map_proof"))?;
        let resolution =
            Resolution::new(subject.clone(), vec![Answer::present(&change.leaf)], proof).with_head(head.head.clone());
        let mut memory = Memory::new(self.zone.origin());
        resolve::verify_decoded(&self.key.trust(), &mut memory, subject, resolution, now)
            .map(|_| ())
            .map_err(|error| fault(error.code()))
    }

    /// Returns when the next Epoch is due although nothing waits: something settles, or the head grows old.
    fn next_epoch_by(&self, now: Instant) -> Instant {
        let inner = self.log.live.read();
        let now_ms = self.clock.now().as_ms();
        let idle_ms = inner.head.epoch.time_ms.saturating_add(self.epoch_idle.as_millis() as u64);
        let due_ms = inner.dues.earliest_ms().unwrap_or(u64::MAX);
        now + Duration::from_millis(idle_ms.min(due_ms).saturating_sub(now_ms))
    }
}

impl Pool {
    /// Takes what waits in the queue, up to one batch.
    fn take(&mut self, queue: &mut mpsc::Receiver<Waiting>) {
        while self.waiting.len() < translog::limits::BATCH_ENTRIES_MAX {
            match queue.try_recv() {
                Ok(waiting) => self.waiting.push(waiting),
                Err(_) => return,
            }
        }
    }

    /// Notes where the keys of accepted posts stand once the batch is shown. Should it not be, this process ends.
    fn place(&self, outcomes: &[Outcome]) {
        for (waiting, outcome) in self.waiting.iter().zip(outcomes) {
            if let Outcome::Accepted { first_index } = outcome {
                waiting.keys.place(*first_index);
            }
        }
    }

    /// Answers each post taken; what was deferred or did not fit waits for the next batch.
    fn settle(&mut self, outcomes: Vec<Outcome>) {
        let rest = self.waiting.split_off(outcomes.len());
        let taken = std::mem::take(&mut self.waiting);
        for (waiting, outcome) in taken.into_iter().zip(outcomes) {
            let answer = match outcome {
                Outcome::Accepted { first_index } => {
                    waiting.keys.enrol();
                    Ok(first_index)
                }
                Outcome::Refused { position, refusal } => Err(PostRefused::Rules { position, refusal }),
                Outcome::Deferred => {
                    self.waiting.push(waiting);
                    continue;
                }
            };
            // A waiter that went away has its certificate in the log all the same.
            let _ = waiting.answer.send(answer);
        }
        self.waiting.extend(rest);
    }
}

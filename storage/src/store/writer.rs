//! The one task that commits: it takes what waits, decides, and makes all of it durable at once. While one commit syncs, the next
//! batch gathers, so no timer is needed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::database::Conn;
use dgns_api::store::acl::Stage;
use dgns_api::store::content::ContentId;
use dgns_api::store::entry::{LogId, LogKind};
use tokio::sync::{mpsc, oneshot};
use tracing::error;
use translog::tree::Edge;

use super::append::{Append, AppendRefusal, Appended};
use super::decide::{self, Plan};
use super::rows::{LogRow, Signed, UseRow};
use super::view::{LastIds, Outcome, View};
use super::{FreeQuota, Inner};
use crate::database::{self, of_sql};
use crate::fault::{CommitError, Place, StorageError};
use crate::inject::{self, Failure, Step};
use crate::limits::{BYTES_PER_COMMIT, ENTRIES_PER_COMMIT};
use crate::table::store::cursor::CursorRow;
use crate::table::store::{self as tables, RowId};

/// An append that waits for its answer.
pub(super) struct Job {
    pub(super) append: Append,
    /// Header and signature of entries that are packed, by row of logs and place, as far as the answer waited for them.
    pub(super) firsts: HashMap<(RowId, u64), Signed>,
    pub(super) answer: oneshot::Sender<Result<Appended, Unsettled>>,
}

/// Why an append is not made.
pub(super) enum Unsettled {
    /// It is refused.
    Refused(AppendRefusal),
    /// Another entry stands in its place, in a row of logs, and is packed: this is to be asked again with it.
    First(Box<Append>, RowId, u64),
}

pub(super) struct Writer {
    inner: Arc<Inner>,
}

impl Writer {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Commits what comes until nobody can send any more.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.recv().await {
            let mut jobs = vec![first];
            let (mut entries, mut bytes) = size_of(&jobs[0].append);
            while entries < ENTRIES_PER_COMMIT && bytes < BYTES_PER_COMMIT {
                let Ok(job) = queue.try_recv() else { break };
                let (more_entries, more_bytes) = size_of(&job.append);
                (entries, bytes) = (entries + more_entries, bytes + more_bytes);
                jobs.push(job);
            }
            self.serve(jobs).await;
        }
    }

    /// Answers a batch. If it cannot be written as one, each is tried alone, so that one that fails spoils no other.
    async fn serve(&self, jobs: Vec<Job>) {
        match self.commit(&jobs).await {
            Ok(outcomes) => settle(jobs, outcomes),
            Err(CommitError::Definite(fault)) if jobs.len() > 1 => {
                error!(error = %fault, appends = jobs.len(), "a batch of appends was refused; each is tried alone");
                for job in jobs {
                    match self.commit(std::slice::from_ref(&job)).await {
                        Ok(outcomes) => settle(vec![job], outcomes),
                        Err(error) => fail(vec![job], &error),
                    }
                }
            }
            Err(error) => fail(jobs, &error),
        }
    }

    /// Decides and commits a batch in ONE durable transaction.
    ///
    /// THE commit point of databases: a crash before it leaves nothing of the batch, after it everything, and whoever sends the
    /// same bytes again learns which.
    async fn commit(&self, jobs: &[Job]) -> Result<Vec<Outcome>, CommitError> {
        let appends: Vec<&Append> = jobs.iter().map(|job| &job.append).collect();
        let appends = appends.as_slice();
        let planned = self.inner.failures.take(Step::Append);
        inject::refused(planned)?;
        let database = &self.inner.database;
        let mut writer = database.writer().await;
        let mut tx = database::begin(&mut writer).await?;
        let mut view = View { last: LastIds::load(&mut tx).await?, ..View::default() };
        let before = view.last;
        view.firsts.extend(jobs.iter().flat_map(|job| &job.firsts).map(|(place, signed)| (*place, signed.clone())));
        view.load_together(&mut tx, appends).await?;
        for append in appends {
            view.load(&mut tx, append).await?;
        }
        let edges: HashMap<LogId, Edge> = view.logs.iter().map(|(key, log)| (*key, log.row.edge.clone())).collect();
        let loaded = Loaded::of(&view);
        let plan = decided(&mut view, appends, self.inner.free);
        apply(&mut tx, &view, &plan, before, &loaded).await?;
        match planned {
            Some(Failure::DroppedOutcomeUnknown) => return Err(CommitError::Unknown(inject::planned())),
            Some(Failure::ToldKept) => return Ok(plan.outcomes),
            _ => {}
        }
        tx.commit().await.map_err(|error| CommitError::Unknown(of_sql(Place::Database, error)))?;
        database.wrote(plan.entries.len() + plan.entries.iter().map(|entry| entry.body.len() / 4_096).sum::<usize>());
        if planned.is_some() {
            return Err(CommitError::Unknown(inject::planned()));
        }
        for (key, edge) in &edges {
            let Some(log) = view.logs.get(key).filter(|log| !log.added.is_empty()) else { continue };
            let mut added: Vec<_> = log.added.values().map(|added| (added.pos, added.leaf)).collect();
            added.sort_unstable();
            self.inner.recent.grew(*key, edge, added.into_iter().map(|(_, leaf)| leaf));
        }
        // What is said of who may read is known before what it is said of.
        let grown = || view.logs.values().filter(|log| !log.added.is_empty()).map(|log| &log.row);
        let (control, data): (Vec<_>, Vec<_>) = grown().partition(|row| row.kind == LogKind::Control);
        for row in control.into_iter().chain(data) {
            self.inner.watches.mark(&row.key, row.edge.size());
        }
        Ok(plan.outcomes)
    }
}

fn decided(view: &mut View, appends: &[&Append], free: FreeQuota) -> Plan {
    let mut plan = Plan::default();
    for append in appends {
        decide::decide(view, &mut plan, append, free);
    }
    decide::settle(view, &mut plan, appends);
    plan
}

/// What stood in the tables already, so that only what changed is written.
struct Loaded {
    stages: std::collections::BTreeMap<RowId, Stage>,
    members: std::collections::BTreeMap<(RowId, u32, identity::did::Did), (u8, u64)>,
    epochs: std::collections::BTreeMap<(RowId, u32), u64>,
    uses: std::collections::BTreeMap<(RowId, ContentId), UseRow>,
    trimmed: HashMap<RowId, u64>,
    inviters: std::collections::BTreeMap<(RowId, identity::did::Did), Vec<u64>>,
}

impl Loaded {
    fn of(view: &View) -> Self {
        let stages = view.dbs.values().map(|db| (db.id, db.stage)).collect();
        let (members, epochs, uses) = (view.members.clone(), view.epochs.clone(), view.uses.clone());
        let trimmed = view.logs.values().map(|log| (log.row.id, log.row.trimmed_to)).collect();
        let inviters = view.inviters.clone();
        Self { stages, members, epochs, uses, trimmed, inviters }
    }
}

/// Writes a plan: new rows, and those that changed.
async fn apply(tx: &mut Conn, view: &View, plan: &Plan, before: LastIds, loaded: &Loaded) -> Result<(), StorageError> {
    for outcome in &plan.outcomes {
        if let Some((at, row)) = &outcome.proof {
            tables::equivocation::insert(tx, *at, row).await?;
        }
    }
    if plan.entries.is_empty() {
        return Ok(());
    }
    let accounts: Vec<_> = view.accounts.values().cloned().collect();
    tables::account::upsert(tx, &accounts).await?;
    for db in view.dbs.values().filter(|db| db.id > before.db) {
        tables::db::insert(tx, db).await?;
    }
    for db in view.dbs.values().filter(|db| loaded.stages.get(&db.id).is_some_and(|stage| *stage != db.stage)) {
        tables::db::to_stage(tx, db.id, db.stage).await?;
    }
    let new = view.devices.iter().filter(|(_, id)| **id > before.device);
    tables::device::insert(tx, &new.map(|(key, id)| (*id, *key)).collect::<Vec<_>>()).await?;
    let is_trimmed = |row: &LogRow| loaded.trimmed.get(&row.id).is_some_and(|to| *to != row.trimmed_to);
    let changed = view.logs.values();
    let changed = changed.filter(|log| !log.added.is_empty() || log.row.id > before.log || is_trimmed(&log.row));
    tables::dblog::upsert(tx, &changed.map(|log| log.row.clone()).collect::<Vec<_>>()).await?;
    for ((db, gid, did), rights) in view.members.iter().filter(|(key, rights)| loaded.members.get(key) != Some(rights))
    {
        tables::member::upsert(tx, *db, *gid, did, *rights).await?;
    }
    for ((db, gid), epoch) in view.epochs.iter().filter(|(key, epoch)| loaded.epochs.get(key) != Some(epoch)) {
        tables::grp::upsert(tx, *db, *gid, *epoch).await?;
    }
    for ((db, user), salt) in &view.partitions {
        tables::subscriber::insert(tx, *db, user, salt).await?;
    }
    for ((db, sender), sent) in view.inviters.iter().filter(|(key, sent)| loaded.inviters.get(key) != Some(sent)) {
        tables::inviter::upsert(tx, *db, sender, sent).await?;
    }
    tables::entry::insert(tx, &plan.entries).await?;
    tables::snapshot::insert(tx, &plan.snapshots).await?;
    let named = view.uses.iter().filter(|(key, row)| loaded.uses.get(key) != Some(row));
    tables::chunk_use::upsert(tx, &named.map(|(_, row)| row.clone()).collect::<Vec<_>>()).await?;
    let moved: BTreeSet<_> = plan.entries.iter().map(|entry| (entry.log, entry.device)).collect();
    let cursors = moved.into_iter().filter_map(|(log, device)| {
        view.cursors.get(&(log, device)).copied().flatten().map(|last| CursorRow { log, device, last })
    });
    tables::cursor::upsert(tx, &cursors.collect::<Vec<_>>()).await?;
    tables::node::insert(tx, &plan.nodes).await
}

fn size_of(append: &Append) -> (usize, usize) {
    (append.entries.len(), append.entries.iter().map(|entry| entry.body().len()).sum())
}

fn settle(jobs: Vec<Job>, outcomes: Vec<Outcome>) {
    for (job, outcome) in jobs.into_iter().zip(outcomes) {
        let log = job.append.entries.first().map(|entry| entry.header().log);
        let result = match (outcome.wants, outcome.result) {
            (Some((log, pos)), _) => Err(Unsettled::First(Box::new(job.append), log, pos)),
            (None, Ok(placed)) => {
                log.map(|log| Appended { log, placed }).ok_or(Unsettled::Refused(AppendRefusal::NotFound))
            }
            (None, Err(refusal)) => Err(Unsettled::Refused(refusal)),
        };
        // Who went away asks again.
        let _ = job.answer.send(result);
    }
}

fn fail(jobs: Vec<Job>, fault: &CommitError) {
    error!(error = %fault, appends = jobs.len(), "appends were not committed");
    for job in jobs {
        let _ = job.answer.send(Err(Unsettled::Refused(match fault {
            CommitError::Unknown(error) => AppendRefusal::Unknown(error.clone()),
            CommitError::Definite(error) => AppendRefusal::Storage(error.clone()),
            CommitError::Lost => AppendRefusal::Busy,
        })));
    }
}

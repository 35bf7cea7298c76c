//! What an audit leaves to other threads: signatures on all of them, the map on one of its own.

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use translog::audit::{AuditFault, Auditor, Checks, MapStep, Roots};

use crate::rng;

/// Certificates whose signatures are verified in one job.
const JOB: usize = 1_024;

/// Jobs that may wait for a thread.
const JOBS_MAX: usize = 8;

/// Work under way beside an auditor.
#[derive(Debug)]
pub struct Jobs {
    singly: bool,
    waiting: Checks,
    checks: JoinSet<Result<(), AuditFault>>,
    /// `None` if there is no map, or it has met its fault.
    map: Option<MapThread>,
}

#[derive(Debug)]
struct MapThread {
    work: mpsc::Sender<Work>,
    ended: JoinHandle<Result<(), AuditFault>>,
}

#[derive(Debug)]
enum Work {
    Steps(Vec<MapStep>),
    /// Answer once all before is done.
    Answer(oneshot::Sender<()>),
}

impl Jobs {
    /// Begins with the auditor's map; each signature is verified on its own if `singly`.
    pub fn of(auditor: &mut Auditor, singly: bool) -> Self {
        let map = auditor.part_map().map(|roots| {
            let (work, queue) = mpsc::channel(JOBS_MAX);
            MapThread { work, ended: tokio::task::spawn_blocking(move || rebuild(roots, queue)) }
        });
        Self { singly, waiting: Checks::default(), checks: JoinSet::new(), map }
    }

    /// Takes over what the auditor has met since the last call. Errors: a fault found so far.
    pub async fn take(&mut self, auditor: &mut Auditor) -> Result<(), AuditFault> {
        self.waiting.append(auditor.take_checks());
        if self.waiting.len() >= JOB {
            self.start_checks().await?;
        }
        let steps = auditor.take_steps();
        if steps.is_empty() { Ok(()) } else { self.pass_on(Work::Steps(steps)).await }
    }

    /// Waits until everything taken over is verified.
    pub async fn finish(&mut self) -> Result<(), AuditFault> {
        self.finish_map().await?;
        self.start_checks().await?;
        while !self.checks.is_empty() {
            self.next_check().await?;
        }
        Ok(())
    }

    /// Waits until the map stands where the auditor does.
    pub async fn finish_map(&mut self) -> Result<(), AuditFault> {
        let (answer, answered) = oneshot::channel();
        self.pass_on(Work::Answer(answer)).await?;
        match answered.await {
            Ok(()) => Ok(()),
            Err(_) => self.map_fault().await,
        }
    }

    async fn pass_on(&mut self, work: Work) -> Result<(), AuditFault> {
        let Some(map) = &self.map else { return Ok(()) };
        match map.work.send(work).await {
            Ok(()) => Ok(()),
            Err(_) => self.map_fault().await,
        }
    }

    /// Returns why the map's thread ended; it goes on until the last work is done, or a fault.
    async fn map_fault(&mut self) -> Result<(), AuditFault> {
        match self.map.take() {
            Some(map) => ended(map.ended.await),
            None => Ok(()),
        }
    }

    async fn start_checks(&mut self) -> Result<(), AuditFault> {
        while self.checks.len() >= JOBS_MAX {
            self.next_check().await?;
        }
        let (checks, singly) = (std::mem::take(&mut self.waiting), self.singly);
        self.checks.spawn_blocking(move || if singly { checks.verify_singly() } else { checks.verify(&rng::secret()) });
        Ok(())
    }

    async fn next_check(&mut self) -> Result<(), AuditFault> {
        self.checks.join_next().await.map_or(Ok(()), ended)
    }
}

/// Does to the map what comes, until nothing comes any more.
fn rebuild(mut roots: Roots, mut queue: mpsc::Receiver<Work>) -> Result<(), AuditFault> {
    while let Some(work) = queue.blocking_recv() {
        match work {
            Work::Steps(steps) => steps.into_iter().try_for_each(|step| roots.take(step))?,
            Work::Answer(answer) => drop(answer.send(())),
        }
    }
    Ok(())
}

fn ended(result: Result<Result<(), AuditFault>, JoinError>) -> Result<(), AuditFault> {
    match result {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Ok(()),
    }
}

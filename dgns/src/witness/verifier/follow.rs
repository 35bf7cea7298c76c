//! The replay of one log, in the background, towards the newest checkpoint submitted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as Lock};
use std::time::Duration;

use identity::name::Origin;
use storage::{StorageError, durable};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tracing::{error, info, warn};
use translog::audit::{AuditFault, Auditor, Checks, Level, Target};
use translog::fault::FaultFile;
use translog::limits::CLOCK_TOLERANCE_MS;
use translog::note::Note;
use translog::witness::Request;

use super::fetch::Ahead;
use super::{HeldUp, Standing, evidence, held};
use crate::clock::Clock;
use crate::outbound::Outbound;
use crate::rng;
use crate::shutdown;
use crate::witness::cosigner::{CosignerError, hex_name};
use crate::witness::declined::Declined;
use crate::witness::watched::Watched;

/// How long a request waits for the replay: shorter than the second a log waits for its witness.
const PATIENCE: Duration = Duration::from_millis(600);

/// How long a replay rests after the log could not be read, or gave what is not the log's; twice as long each time.
const REST: Duration = Duration::from_millis(500);

/// The longest rest.
const REST_MAX: Duration = Duration::from_secs(60);

/// Readings from kept progress that end in what the log did not sign, before the log is read from its first entry again: what was
/// kept may come from a reading that was spoiled.
const SPOILED_MAX: u32 = 3;

/// Bundles read ahead of the one being replayed.
const AHEAD: usize = 8;

/// Certificates whose signatures are verified in one job.
const JOB: usize = 1_024;

/// Jobs that may wait for a thread.
const JOBS_MAX: usize = 8;

/// Entries after which progress is worth keeping.
const ENTRIES_BETWEEN_SAVES: u64 = 65_536;

/// One log under replay.
pub(super) struct Follow {
    data: PathBuf,
    log: Arc<Watched>,
    origin: Origin,
    prefix: String,
    outbound: Outbound,
    clock: Clock,
    /// Held by the replay while it runs.
    auditor: Mutex<Auditor>,
    /// The newest checkpoint submitted.
    wanted: watch::Sender<Option<Wanted>>,
    /// Counts the attempts that ended.
    attempts: watch::Sender<u64>,
    standing: Lock<Standing>,
}

/// A checkpoint to replay up to: the log's signature on it was checked.
#[derive(Clone, Debug)]
struct Wanted {
    target: Target,
    note: Note,
}

/// Why an attempt ended before its target.
enum Ended {
    /// The log is at fault.
    Fault(AuditFault),
    /// The log cannot be read.
    Trouble(String),
    /// The process stops.
    Stopped,
}

impl From<AuditFault> for Ended {
    fn from(fault: AuditFault) -> Self {
        Self::Fault(fault)
    }
}

impl Follow {
    /// Opens a replay where it stood, with what holds it up.
    pub(super) fn open(
        data: &Path,
        log: Arc<Watched>,
        origin: Origin,
        prefix: String,
        outbound: Outbound,
        clock: Clock,
    ) -> Result<Self, CosignerError> {
        durable::create_dir(&data.join("verifier"))?;
        let auditor = kept(data, &origin);
        let held_up = held::load(data, log.origin());
        if let Some(held) = &held_up {
            error!(origin = log.origin(), code = held.code, file = held.evidence, "a log at fault is not cosigned");
        }
        let standing = Standing { entries: auditor.progress().0, held_up, trouble: None };
        info!(origin = log.origin(), entries = standing.entries, "a log is replayed");
        Ok(Self {
            data: data.to_owned(),
            log,
            origin,
            prefix,
            outbound,
            clock,
            auditor: Mutex::new(auditor),
            wanted: watch::Sender::new(None),
            attempts: watch::Sender::new(0),
            standing: Lock::new(standing),
        })
    }

    pub(super) fn standing(&self) -> Standing {
        self.standing.lock().expect("no holder panics").clone()
    }

    /// Waits until the head of a request is replayed, for [`PATIENCE`] at most.
    pub(super) async fn vouch(&self, request: &Request) -> Result<(), Declined> {
        let checkpoint = request.checkpoint();
        let target = Target { size: checkpoint.size, root: checkpoint.root };
        let mut attempts = self.attempts.subscribe();
        let replayed = tokio::time::timeout(PATIENCE, async {
            loop {
                attempts.mark_unchanged();
                self.not_held_up()?;
                if let Some(answer) = self.look(&target, request.note()) {
                    return answer;
                }
                // The replay cannot end while somebody waits for it.
                let _ = attempts.changed().await;
            }
        });
        let behind = || Declined::Behind { replayed: self.standing().entries, size: target.size };
        replayed.await.unwrap_or_else(|_| Err(behind()))
    }

    /// Returns what is known of a head; `None` if it is not replayed yet, and then the replay is on its way to it.
    fn look(&self, target: &Target, note: &Note) -> Option<Result<(), Declined>> {
        let auditor = self.auditor.try_lock().ok();
        if let Some(auditor) = &auditor {
            let replayed = if auditor.is_through() { auditor.progress().0 } else { 0 };
            let found = auditor.replay().and_then(|replay| replay.heads().get(&target.size));
            if target.size > 0 && target.size <= replayed && found != Some(&target.root) {
                // Signed by the log, and not among the heads its entries make.
                let fault = match found {
                    Some(_) => AuditFault::Inconsistent { size: target.size },
                    None => AuditFault::LastLeaf { size: target.size },
                };
                return Some(Err(self.hold_up(&fault, &evidence::record(&self.log, &fault, note))));
            }
            if target.size == replayed {
                return Some(self.is_timely(auditor));
            }
        }
        let in_vain = self.standing().trouble.is_some();
        self.wanted.send_if_modified(|wanted| {
            // A head that cannot be reached gives way to the next one that is asked for.
            let gives_way = |wanted: &Wanted| wanted.target.size < target.size || (in_vain && wanted.target != *target);
            let is_newer = wanted.as_ref().is_none_or(gives_way);
            if is_newer {
                *wanted = Some(Wanted { target: target.clone(), note: note.clone() });
            }
            is_newer
        });
        None
    }

    /// The head's Epoch lies within 300 s of this clock, either way.
    fn is_timely(&self, auditor: &Auditor) -> Result<(), Declined> {
        let epoch_ms = auditor.epoch().map_or(0, |epoch| epoch.time_ms);
        match self.clock.now().as_ms().abs_diff(epoch_ms) <= CLOCK_TOLERANCE_MS {
            true => Ok(()),
            false => Err(Declined::HeadTime),
        }
    }

    fn not_held_up(&self) -> Result<(), Declined> {
        match self.standing().held_up {
            Some(held) => Err(Declined::HeldUp { code: held.code }),
            None => Ok(()),
        }
    }

    /// Replays towards whatever is wanted until `stop` turns true.
    pub(super) async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut wanted = self.wanted.subscribe();
        let mut spoiled = 0;
        let mut rest = REST;
        let mut saver = Saver::new(self.standing().entries);
        loop {
            let next = wanted.borrow_and_update().clone();
            let next = next.filter(|next| next.target.size > self.standing().entries);
            let Some(next) = next.filter(|_| self.not_held_up().is_ok()) else {
                tokio::select! {
                    () = shutdown::requested(&mut stop) => break,
                    _ = wanted.changed() => continue,
                }
            };
            let mut auditor = self.auditor.lock().await;
            let ended = self.catch_up(&mut auditor, &next.target, &mut saver, &mut stop).await;
            let rests = self.note_end(ended, &mut auditor, &next, &mut spoiled).await;
            rest = if rests { (rest * 2).min(REST_MAX) } else { REST };
            drop(auditor);
            self.attempts.send_modify(|attempts| *attempts += 1);
            if *stop.borrow() {
                break;
            }
            if rests {
                tokio::select! {
                    () = shutdown::requested(&mut stop) => break,
                    () = tokio::time::sleep(rest / 2) => {}
                    _ = wanted.changed() => {}
                }
            }
        }
        let auditor = self.auditor.lock().await;
        saver.written(self.log.origin()).await;
        if saver.saved < auditor.progress().0 {
            self.save(&auditor, &mut saver);
            saver.written(self.log.origin()).await;
        }
    }

    /// Notes how an attempt ended; returns whether to rest before the next.
    async fn note_end(
        &self,
        ended: Result<(), Ended>,
        auditor: &mut Auditor,
        wanted: &Wanted,
        spoiled: &mut u32,
    ) -> bool {
        let mut trouble = None;
        match ended {
            Ok(()) => *spoiled = 0,
            Err(Ended::Stopped) => {}
            Err(Ended::Trouble(why)) => {
                warn!(origin = self.log.origin(), why, "a log cannot be replayed further for now");
                trouble = Some(why);
            }
            Err(Ended::Fault(fault)) => {
                let found =
                    evidence::look(&self.outbound, &self.prefix, &self.log, &fault, &wanted.note, auditor).await;
                *auditor = kept(&self.data, &self.origin);
                match found {
                    Some(file) => drop(self.hold_up(&fault, &file)),
                    None => {
                        warn!(origin = self.log.origin(), %fault, "what was read is not what the log signed; it is read again");
                        trouble = Some(format!("what was read is not what the log signed ({}): {fault}", fault.code()));
                        *spoiled += 1;
                        if *spoiled >= SPOILED_MAX {
                            *auditor = from_the_first(&self.origin);
                        }
                    }
                }
            }
        }
        let rests = trouble.is_some();
        let mut standing = self.standing.lock().expect("no holder panics");
        standing.entries =
            if auditor.is_through() { auditor.progress().0 } else { standing.entries.min(auditor.progress().0) };
        standing.trouble = trouble;
        rests
    }

    /// Keeps the evidence of a fault, and signs nothing of this log from here on.
    fn hold_up(&self, fault: &AuditFault, file: &FaultFile) -> Declined {
        let (code, what) = (fault.code().to_owned(), fault.to_string());
        let evidence = held::shown(&held::path(&self.data, self.log.origin()), &self.data);
        match held::keep(&self.data, self.log.origin(), file) {
            Ok(()) => {
                error!(origin = self.log.origin(), code, evidence, "A LOG IS AT FAULT; nothing of it is cosigned")
            }
            Err(error) => {
                error!(origin = self.log.origin(), code, %error, "A LOG IS AT FAULT; the evidence is not kept")
            }
        }
        let held = HeldUp { code: code.clone(), what, evidence };
        self.standing.lock().expect("no holder panics").held_up = Some(held);
        Declined::HeldUp { code }
    }

    /// Replays up to the target, every signature checked strictly on other threads.
    async fn catch_up(
        &self,
        auditor: &mut Auditor,
        target: &Target,
        saver: &mut Saver,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Ended> {
        if auditor.is_through() || auditor.progress().0 == 0 {
            auditor.follow(target.clone())?;
        }
        let mut ahead = Ahead::new(&self.outbound, &self.prefix);
        let mut checks = Checking::default();
        let mut waiting = auditor.take_checks();
        while !auditor.is_through() {
            let wants = auditor.wants(AHEAD);
            if wants.is_empty() {
                break;
            }
            let fetched = tokio::select! {
                biased;
                () = shutdown::requested(stop) => return self.leave(checks, waiting, auditor).await,
                fetched = ahead.first_of(&wants) => fetched,
            };
            let fed = match (fetched, auditor.suspicion()) {
                (Ok(received), _) => auditor.feed_received(received),
                (Err(_), Some(fault)) => Err(fault.clone()),
                (Err(why), None) => {
                    // What was fed is replayed; its signatures are checked before anything else.
                    checks.all(waiting).await?;
                    return Err(Ended::Trouble(why));
                }
            };
            waiting.append(auditor.take_checks());
            if let Err(fault) = fed {
                if !matches!(fault, AuditFault::Bundle { .. } | AuditFault::Tile { .. }) {
                    // A wrong root says that something is wrong; a signature may say what. In files that are not the log's
                    // none would hold.
                    checks.all(waiting).await?;
                }
                return Err(fault.into());
            }
            if waiting.len() >= JOB {
                checks.start(std::mem::take(&mut waiting)).await?;
            }
            if saver.is_time(auditor.progress().0, self.log.origin()).await {
                checks.all(std::mem::take(&mut waiting)).await?;
                self.save(auditor, saver);
            }
        }
        checks.all(waiting).await?;
        if saver.is_time(auditor.progress().0, self.log.origin()).await {
            self.save(auditor, saver);
        }
        Ok(())
    }

    /// Leaves a replay in its middle: nothing unchecked may be kept as progress.
    async fn leave(&self, mut checks: Checking, waiting: Checks, auditor: &mut Auditor) -> Result<(), Ended> {
        if let Err(fault) = checks.all(waiting).await {
            *auditor = kept(&self.data, &self.origin);
            return Err(fault.into());
        }
        Err(Ended::Stopped)
    }

    /// Begins to keep the progress, if the replay stands where it can be kept; the replay goes on meanwhile. Losing it costs time alone.
    fn save(&self, auditor: &Auditor, saver: &mut Saver) {
        let began = Instant::now();
        let Some(bytes) = auditor.save() else { return };
        let path = kept_at(&self.data, &self.origin);
        let write = tokio::task::spawn_blocking(move || (durable::replace(&path, &bytes), began.elapsed()));
        saver.writing = Some(Writing { write, entries: auditor.progress().0 });
    }
}

fn kept_at(data: &Path, origin: &Origin) -> PathBuf {
    data.join("verifier").join(format!("{}.audit", hex_name(origin.as_str())))
}

/// Returns the replay as it was kept; from the first entry if there is none, or a damaged one.
fn kept(data: &Path, origin: &Origin) -> Auditor {
    let path = kept_at(data, origin);
    let bytes = std::fs::read(&path).ok();
    let resumed = bytes.and_then(|bytes| match Auditor::resume(origin, &bytes) {
        Ok(auditor) => Some(auditor).filter(|auditor| auditor.level() == Level::Full),
        Err(error) => {
            warn!(file = %path.display(), %error, "a replay begins anew");
            None
        }
    });
    resumed.unwrap_or_else(|| from_the_first(origin))
}

fn from_the_first(origin: &Origin) -> Auditor {
    Auditor::new(origin, Level::Full, Target { size: 0, root: translog::hash::EMPTY_ROOT })
}

/// Decides when progress is kept: after enough entries, one write at a time, and never for more than a twentieth of the time.
struct Saver {
    saved: u64,
    next_at: Instant,
    writing: Option<Writing>,
}

/// Progress on its way to the disk.
struct Writing {
    /// What came of it, and how long it took.
    write: JoinHandle<(Result<(), StorageError>, Duration)>,
    entries: u64,
}

impl Saver {
    fn new(saved: u64) -> Self {
        Self { saved, next_at: Instant::now(), writing: None }
    }

    async fn is_time(&mut self, entries: u64, origin: &str) -> bool {
        if self.writing.as_ref().is_some_and(|writing| writing.write.is_finished()) {
            self.written(origin).await;
        }
        self.writing.is_none() && entries >= self.saved + ENTRIES_BETWEEN_SAVES && Instant::now() >= self.next_at
    }

    /// Waits until what is being written stands on the disk, or is known not to.
    async fn written(&mut self, origin: &str) {
        let Some(Writing { write, entries }) = self.writing.take() else { return };
        match write.await {
            Ok((result, took)) => {
                self.next_at = Instant::now() + took * 20;
                match result {
                    Ok(()) => self.saved = entries,
                    Err(error) => warn!(origin, %error, "the progress of a replay is not kept"),
                }
            }
            Err(error) => warn!(origin, %error, "the progress of a replay is not kept"),
        }
    }
}

/// Signatures under verification on blocking threads.
#[derive(Default)]
struct Checking {
    jobs: JoinSet<Result<(), AuditFault>>,
}

impl Checking {
    /// Begins a job, once there is room for it.
    async fn start(&mut self, checks: Checks) -> Result<(), AuditFault> {
        while self.jobs.len() >= JOBS_MAX {
            self.next().await?;
        }
        self.jobs.spawn_blocking(move || checks.verify(&rng::secret()));
        Ok(())
    }

    /// Begins a last job and waits for all.
    async fn all(&mut self, checks: Checks) -> Result<(), AuditFault> {
        self.start(checks).await?;
        while !self.jobs.is_empty() {
            self.next().await?;
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<(), AuditFault> {
        match self.jobs.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            _ => Ok(()),
        }
    }
}

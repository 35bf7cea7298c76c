//! The audit as a program: fetches ahead, verifies signatures and rebuilds the map on other threads, keeps its progress (PROTOCOL 15).

mod databases;
mod jobs;

pub use databases::Databases;
pub use jobs::Jobs;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dgns_api::path;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use translog::audit::{AuditFault, Auditor, Level, Received, Replay, Target, Want};
use translog::head::Head;
use translog::logconf::Conf;
use translog::note::{Checkpoint, Note};
use translog::notice::Standing;
use translog::trust::Trust;

use crate::accuse::accuse;
use crate::error::ClientError;
use crate::evidence::{self, Kept};
use crate::home::replace;
use crate::session::Session;

/// Bundles fetched ahead of the one being replayed.
pub(crate) const AHEAD: usize = 8;

/// How an audit is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much is recomputed.
    pub level: Level,
    /// Whether each signature is verified on its own.
    pub strict: bool,
    /// The file that holds progress between runs; none keeps nothing.
    pub state: Option<PathBuf>,
    /// Where evidence goes; the log's home by default.
    pub evidence: Option<PathBuf>,
}

/// What an audit found: no fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clean {
    /// The size audited up to.
    pub size: u64,
    /// The root.
    pub root: [u8; 32],
    /// Entries replayed by this run; fewer than `size` after a resumed one.
    pub entries: u64,
    /// Labels in the map; 0 at level `tree`.
    pub labels: u64,
    /// The number of Epochs.
    pub epochs: u64,
    /// The time of the newest Epoch, ms.
    pub epoch_ms: u64,
    /// The log indexes of LogConfs that replaced the log's keys without a signature of an old one.
    pub repins: Vec<u64>,
    /// The Notices among the entries replayed by this run.
    pub notices: Vec<Standing>,
    /// What was found of databases; `None` if the log says of none, or who was asked keeps none.
    pub databases: Option<Databases>,
    /// How long it took.
    pub elapsed: Duration,
    /// The checkpoint.
    pub checkpoint: String,
}

/// Audits the log up to its newest checkpoint. `on_progress` gets the entries replayed and the entries there are.
pub async fn run(
    session: &Session,
    options: &Options,
    mut on_progress: impl FnMut(u64, u64),
) -> Result<Clean, ClientError> {
    let started = Instant::now();
    let (checkpoint, target) = head_to_audit(session).await?;
    let trust = session.trust();
    let convicted = async |fault: &AuditFault, auditor: Option<&Auditor>| {
        convict(
            session,
            options.evidence.as_deref(),
            Found { fault, auditor, checkpoint: &checkpoint, target: &target },
        )
        .await
    };
    let mut auditor = match begin(trust, options, &target) {
        Ok(auditor) => auditor,
        Err(Stop::Error(error)) => return Err(error),
        Err(Stop::Fault(fault)) => return Err(convicted(&fault, None).await),
    };
    if let Some((size, root)) = remembered(session)? {
        if size > target.size {
            let fault = AuditFault::Shrunk { size: target.size, known: size };
            return Err(convicted(&fault, None).await);
        }
        if size > auditor.progress().0 {
            auditor.remember(Target { size, root });
        }
    }
    let first = auditor.progress().0;
    match replay(session, options, &mut auditor, &mut on_progress).await {
        Ok(()) => {}
        Err(Stop::Error(error)) => return Err(error),
        Err(Stop::Fault(fault)) => return Err(convicted(&fault, Some(&auditor)).await),
    }
    let conf = auditor.replay().and_then(Replay::conf);
    conf.map_or(Ok(()), |conf| signed_by_all(&checkpoint, &conf))?;
    save(options, &auditor)?;
    let databases = databases::audit(session, auditor.replay(), options.evidence.as_deref()).await?;
    let epoch = auditor.epoch();
    Ok(Clean {
        size: target.size,
        root: target.root,
        entries: target.size - first,
        labels: auditor.replay().map_or(0, |replay| replay.labels() as u64),
        epochs: epoch.map_or(0, |epoch| epoch.k + 1),
        epoch_ms: epoch.map_or(0, |epoch| epoch.time_ms),
        repins: auditor.replay().map_or(Vec::new(), |replay| replay.repins().to_vec()),
        notices: auditor.notices().to_vec(),
        databases,
        elapsed: started.elapsed(),
        checkpoint,
    })
}

/// Checks that every key of the newest LogConf signed the checkpoint: readers who pinned any of them must be able to go on.
fn signed_by_all(checkpoint: &str, conf: &Conf) -> Result<(), ClientError> {
    let fault = |what: String| ClientError::proof("log_signature", format!("the checkpoint: {what}"));
    let note = Note::parse(checkpoint.as_bytes()).map_err(|error| fault(error.to_string()))?;
    let signed = note.verify(&conf.log_keys).map_err(|error| fault(error.to_string()))?;
    let missing = conf.log_keys.iter().find(|key| !signed.iter().any(|signed| signed.key == *key));
    missing.map_or(Ok(()), |key| Err(fault(format!("no line by {key}, which the log's configuration lists"))))
}

/// Why a replay ended early.
enum Stop {
    Error(ClientError),
    Fault(AuditFault),
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Self::Error(error)
    }
}

impl From<AuditFault> for Stop {
    fn from(fault: AuditFault) -> Self {
        Self::Fault(fault)
    }
}

/// Feeds the auditor until it is through.
async fn replay(
    session: &Session,
    options: &Options,
    auditor: &mut Auditor,
    on_progress: &mut impl FnMut(u64, u64),
) -> Result<(), Stop> {
    let mut jobs = Jobs::of(auditor, options.strict);
    let mut saver = Saver::new(options);
    let read = |want: &Want, bytes: Vec<u8>, level| Received::of(want, &bytes, level);
    let mut ahead = Ahead::new(session, auditor.level(), read);
    while !auditor.is_through() {
        let wants = auditor.wants(AHEAD);
        let Some(want) = wants.first() else { break };
        let received = match ahead.get(want, &wants).await {
            Ok(received) => received,
            Err(error) => return Err(auditor.suspicion().cloned().map_or(Stop::Error(error), Stop::Fault)),
        };
        let fed = auditor.feed_received(received);
        let verified = jobs.take(auditor).await;
        suspect(auditor, verified)?;
        if let Err(fault) = fed {
            match fault {
                AuditFault::Tile { .. } => {}
                // The root says that something is wrong, a signature may say what.
                AuditFault::Root { .. } => jobs.finish().await?,
                // A map that is behind may have met an earlier one.
                _ => jobs.finish_map().await?,
            }
            return Err(fault.into());
        }
        let (done, all) = auditor.progress();
        on_progress(done, all);
        if saver.is_time(done) {
            let verified = jobs.finish().await;
            suspect(auditor, verified)?;
            saver.save(options, auditor)?;
        }
    }
    jobs.finish().await.map_err(Stop::Fault)
}

/// Lets the tiles that are still to be compared name the place of a fault in the map; any other ends the replay.
fn suspect(auditor: &mut Auditor, verified: Result<(), AuditFault>) -> Result<(), AuditFault> {
    match verified {
        Err(fault @ AuditFault::MapRoot { .. }) => auditor.suspect(fault),
        verified => verified,
    }
}

/// Fetches under way; each thing is fetched once, and read as it comes.
pub(crate) struct Ahead<'s, T> {
    session: &'s Session,
    read: fn(&Want, Vec<u8>, Level) -> T,
    level: Level,
    running: HashMap<String, JoinHandle<Result<T, ClientError>>>,
}

impl<'s, T: Send + 'static> Ahead<'s, T> {
    /// Returns nothing under way yet; what comes for an audit of `level` is passed through `read`.
    pub(crate) fn new(session: &'s Session, level: Level, read: fn(&Want, Vec<u8>, Level) -> T) -> Self {
        Self { session, read, level, running: HashMap::new() }
    }

    /// Returns what came for `want`; begins fetching all of `wants`, which `want` is one of.
    pub(crate) async fn get(&mut self, want: &Want, wants: &[Want]) -> Result<T, ClientError> {
        for want in wants {
            let path = format!("{}/{}", path::LOG, want.path());
            let (reader, read, level) = (self.session.reader(), self.read, self.level);
            self.running.entry(path).or_insert_with_key(|path| {
                let (path, want) = (path.clone(), want.clone());
                tokio::spawn(async move {
                    let bytes = reader.get(&path).await.map_err(|error| withheld(&path, error))?;
                    Ok(read(&want, bytes, level))
                })
            });
        }
        let path = format!("{}/{}", path::LOG, want.path());
        let running = self.running.remove(&path).expect("what is wanted was begun above");
        running.await.map_err(|error| ClientError::Unable(format!("a fetch ended: {error}")))?
    }
}

impl<T> Drop for Ahead<'_, T> {
    fn drop(&mut self) {
        self.running.values().for_each(JoinHandle::abort);
    }
}

/// Names what a server withholds: it is part of the log its checkpoint promises.
fn withheld(path: &str, error: ClientError) -> ClientError {
    match error {
        ClientError::Refused(problem) => {
            ClientError::Network(format!("the server withholds {path} ({})", problem.code))
        }
        ClientError::Network(why) => ClientError::Network(format!("{path}: {why}")),
        other => other,
    }
}

/// Decides when progress is worth keeping: after 65,536 entries, and never for more than a twentieth of the time.
struct Saver {
    next_size: u64,
    next_at: Instant,
}

impl Saver {
    fn new(options: &Options) -> Self {
        let next_size = if options.state.is_some() { 65_536 } else { u64::MAX };
        Self { next_size, next_at: Instant::now() + Duration::from_secs(2) }
    }

    fn is_time(&self, done: u64) -> bool {
        done >= self.next_size && Instant::now() >= self.next_at
    }

    fn save(&mut self, options: &Options, auditor: &Auditor) -> Result<(), ClientError> {
        let began = Instant::now();
        if save(options, auditor)? {
            self.next_size = auditor.progress().0 + 65_536;
            self.next_at = Instant::now() + began.elapsed() * 20;
        }
        Ok(())
    }
}

/// Begins at the first entry, or where the last run stood.
fn begin(trust: &Trust, options: &Options, target: &Target) -> Result<Auditor, Stop> {
    let new = || Auditor::new(trust.origin(), options.level, target.clone());
    let Some(path) = &options.state else { return Ok(new()) };
    let unable = |why: String| ClientError::Unable(format!("{}: {why}", path.display()));
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(new()),
        Err(error) => return Err(unable(error.to_string()).into()),
    };
    let mut auditor = Auditor::resume(trust.origin(), &bytes).map_err(|error| unable(error.to_string()))?;
    if auditor.level() != options.level {
        return Err(unable("it holds an audit of another level; erase it or name another --state".into()).into());
    }
    auditor.follow(target.clone())?;
    Ok(auditor)
}

/// Keeps progress; returns whether the auditor stood where it can be kept.
fn save(options: &Options, auditor: &Auditor) -> Result<bool, ClientError> {
    let Some(path) = &options.state else { return Ok(false) };
    match auditor.save() {
        None => Ok(false),
        Some(bytes) => replace(path, &bytes, 0o644).map(|()| true),
    }
}

/// Returns the head an audit goes up to: the checkpoint, or the newest head signed where this client met a larger one before.
///
/// A log with witnesses shows its checkpoint later than it answers writes, so a reader who asks for no witness may know more
/// than the checkpoint says. The newest head must reach that; else the log went back.
async fn head_to_audit(session: &Session) -> Result<(String, Target), ClientError> {
    let (checkpoint, target) = newest_head(session).await?;
    let known = remembered(session)?.map_or(0, |(size, _)| size);
    if known <= target.size || !session.trust().policy().is_none() {
        return Ok((checkpoint, target));
    }
    let newest = newest_signed(session).await.filter(|(_, newest)| newest.size >= known);
    Ok(newest.unwrap_or((checkpoint, target)))
}

/// Returns the newest head the log signed, as a checkpoint; `None` if none is served that verifies.
async fn newest_signed(session: &Session) -> Option<(String, Target)> {
    let trust = session.trust();
    let bytes = session.get(&format!("{}?head=newest", path::HEAD)).await.ok()?;
    let head = Head::decode(&bytes).ok()?;
    let key = head.verify_log_signature(trust.origin(), trust.log_keys()).ok()?;
    let note = head.note(trust.origin(), key, trust.policy().cosigners()).ok()?;
    signed_head(trust, note.to_string().as_bytes()).ok()
}

/// Returns the newest checkpoint with what it says: signed by the log, and by those whose word the policy asks for.
pub(crate) async fn newest_head(session: &Session) -> Result<(String, Target), ClientError> {
    let bytes = session.get(path::CHECKPOINT).await?;
    let fault = |code: &'static str, what: String| ClientError::proof(code, format!("the checkpoint: {what}"));
    let note = Note::parse(&bytes).map_err(|error| fault(error.code(), error.to_string()))?;
    keep_up(session, &note).await?;
    signed_head(session.trust(), &bytes).map_err(|refused| with_evidence(session, refused, &bytes))
}

/// Keeps a checkpoint that was refused: it shows what this client was given.
fn with_evidence(session: &Session, refused: ClientError, checkpoint: &[u8]) -> ClientError {
    let ClientError::Proof { code, what, .. } = refused else { return refused };
    let memory = session.log().memory().ok();
    let known = memory.as_ref().and_then(|memory| memory.memory.head());
    let kept = evidence::of_checkpoint(session.trust(), code, &what, checkpoint, known);
    let evidence = session.log().keep_all_evidence(&[kept]);
    ClientError::Proof { code, what, evidence }
}

/// Returns a checkpoint with what it says: signed by the log, and by those whose word the policy asks for.
pub(crate) fn signed_head(trust: &Trust, bytes: &[u8]) -> Result<(String, Target), ClientError> {
    let fault = |code: &'static str, what: String| ClientError::proof(code, format!("the checkpoint: {what}"));
    let note = Note::parse(bytes).map_err(|error| fault(error.code(), error.to_string()))?;
    let known = [trust.log_keys(), trust.policy().cosigners()].concat();
    let signed = note.verify(&known).map_err(|error| fault(error.code(), error.to_string()))?;
    if !signed.iter().any(|signed| trust.log_keys().contains(signed.key)) {
        return Err(fault("log_signature", "no line by a pinned key".into()));
    }
    if trust.policy().reached(signed).is_none() {
        return Err(fault("quorum", "it lacks the cosignatures the policy asks for".into()));
    }
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error| fault(error.code(), error.to_string()))?;
    if checkpoint.origin != trust.origin().as_str() {
        return Err(fault("origin", format!("it is of {}", checkpoint.origin)));
    }
    Ok((note.to_string(), Target { size: checkpoint.size, root: checkpoint.root }))
}

/// Follows the log's keys if the note has a line of the log by a key that is not known.
///
/// Whether what is known then is enough is judged next; only keys replaced without a signature of ours end it here.
async fn keep_up(session: &Session, note: &Note) -> Result<(), ClientError> {
    let trust = session.trust();
    let is_known = |id| trust.log_keys().iter().any(|key| key.id() == id);
    if note.lines().iter().all(|line| line.name != trust.origin().as_str() || is_known(line.id)) {
        return Ok(());
    }
    session.catch_up_or_repin().await
}

fn remembered(session: &Session) -> Result<Option<(u64, [u8; 32])>, ClientError> {
    let memory = session.log().memory()?;
    Ok(memory.memory.head().map(|head| (head.size, head.root)))
}

/// Keeps evidence of a fault in `directory`, by default in the log's home, and returns the fault as what ends a command. It
/// convicts where one file can.
pub(crate) async fn convict(session: &Session, directory: Option<&Path>, found: Found<'_>) -> ClientError {
    let Found { fault, auditor, checkpoint, target } = found;
    let what = fault.to_string();
    let accused = match auditor {
        Some(auditor) => accuse(session, auditor, fault, checkpoint).await,
        None => None,
    };
    let memory = session.log().memory().ok();
    let known = memory.as_ref().and_then(|memory| memory.memory.head());
    let kept = evidence::of_audit(session.trust(), fault.code(), &what, checkpoint, target.size, known, accused);
    let evidence = match directory {
        Some(directory) => {
            let keep = |kept: &Kept| {
                let path = directory.join(&kept.file_name);
                replace(&path, &kept.bytes, 0o644).ok().map(|()| path)
            };
            let made = std::fs::create_dir_all(directory).is_ok();
            let paths: Vec<_> = kept.iter().filter(|_| made).map(keep).collect();
            paths.into_iter().next().flatten()
        }
        None => session.log().keep_all_evidence(&kept),
    };
    ClientError::Proof { code: fault.code(), what, evidence }
}

/// A fault, and where the audit stood that found it.
pub(crate) struct Found<'a> {
    pub(crate) fault: &'a AuditFault,
    pub(crate) auditor: Option<&'a Auditor>,
    pub(crate) checkpoint: &'a str,
    pub(crate) target: &'a Target,
}

//! A follower: another server's log, verified batch by batch and served as one's own (PROTOCOL 15.3). It signs nothing.
//!
//! The follower stands where the publisher stands in the server that is followed: it alone adds to the log. `Follower::advance`
//! holds the order: nothing is decoded before it gives a signed root, nothing stored before every check passed, nothing shown
//! before it is committed. A crash anywhere leaves what was committed; the next start goes on from there.
//!
//! Three things can go wrong with what the origin answers. It may not come, or not be the log's bytes: then it is asked again,
//! later and later. Or it is the log's own word, and contradicts itself or the rules: that is a fault, and nothing is followed
//! any more; the state verified last is served for `max_stale_s`, and the evidence kept.

pub mod pin;
pub mod remote;
pub mod standing;

use std::sync::Arc;
use std::time::Duration;

use identity::did::Did;
use identity::hash::Hash;
use identity::state::{State as LeafState, Subject};
use storage::StorageError;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};
use translog::audit::{AuditFault, Checks, Incoming};
use translog::batch::Batch;
use translog::entry::Epoch;
use translog::fault::{FaultFile, FaultKind, Finding};
use translog::files::{Lack, LogFiles};
use translog::gossip::{self, Meeting, SeenHead, Settled};
use translog::head::Head;
use translog::logconf::Conf;
use translog::note::{Checkpoint, Note};
use translog::rotation::FollowError as NotLed;
use translog::stream::{Batches, Decoder, Record};
use translog::tree::Edge;
use translog::trust::Trust;

use crate::clock::Clock;
use crate::log::commit::{Committer, NotCommitted};
use crate::log::heads::Heads;
use crate::log::live::PublicHead;
use crate::log::shown::Asked;
use crate::rng;
use crate::rotation::{self, NotFollowed};
use crate::shutdown;
use remote::{NotFetched, Remote};
use standing::{Fault, Standing, State};

/// How often the checkpoint is asked for.
const POLL: Duration = Duration::from_millis(250);

/// The longest pause between two questions to an origin that does not answer as it should.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Entries taken over in one commit, about: a second of work. Streamed batches that wait are taken over together up to this.
const TOGETHER: u64 = 16_384;

/// Certificates whose signatures are verified on one thread.
const CHECKED_TOGETHER: usize = 1_024;

/// Follows one log.
pub struct Follower {
    /// Where it comes from.
    pub remote: Remote,
    /// Whom to believe.
    pub trust: Trust,
    /// Whether the policy in it is the one that the log itself recommends, and changes with its LogConfs.
    pub recommended: bool,
    /// The server's DID, once entry 0 is here.
    pub server: Option<Did>,
    /// Where batches go.
    pub log: Committer,
    /// The roots of earlier heads.
    pub heads: Arc<Heads>,
    /// What is said of it.
    pub standing: Arc<Standing>,
    /// The clock.
    pub clock: Clock,
    /// Where the log's keys are pinned.
    pub data: std::path::PathBuf,
}

/// Why a follower cannot go on, or not begin.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// What is stored here.
    #[error(transparent)]
    NotCommitted(#[from] NotCommitted),
    /// The database, an object or a file.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// At the first start: the origin does not answer.
    #[error("the log to follow does not answer: {0}")]
    NotFetched(#[from] NotFetched),
    /// Another log than the pinned one.
    #[error("not the log to follow: {what}")]
    OtherLog {
        /// Why.
        what: String,
    },
    /// The log broke its own word before there was anything to serve.
    #[error("the log to follow is at fault ({}): {}; the evidence is kept", .0.code, .0.what)]
    Fault(Fault),
    /// Evidence cannot be kept.
    #[error("evidence cannot be kept: {0}")]
    Evidence(std::io::Error),
}

/// Why following stops for now, or for good.
enum Stop {
    /// Ask again later.
    Unanswered(NotFetched),
    /// Not the log's bytes, or not enough signatures: ask again later.
    Refused { code: &'static str, what: String, evidence: Option<FaultFile> },
    /// The log's own word, and false.
    Fault { code: &'static str, what: String, evidence: FaultFile },
    /// This server itself.
    Own(FollowError),
}

/// What the origin shows and its keys have signed.
struct Signed {
    note: Note,
    seen: SeenHead,
    checkpoint: Checkpoint,
}

impl Follower {
    /// Follows until `stop` turns true. Errors: this server's own.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), FollowError> {
        let mut pause = POLL;
        loop {
            if self.standing.ended().is_some() {
                return self.serve_what_there_is(&mut stop).await;
            }
            let began = Instant::now();
            let gone_on = tokio::select! {
                gone_on = self.go_on() => gone_on,
                () = shutdown::requested(&mut stop) => return Ok(()),
            };
            pause = match gone_on {
                Ok(()) => POLL,
                Err(reason) => {
                    self.note(reason)?;
                    (pause * 2).min(PAUSE_MAX)
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(began + pause) => {}
                () = shutdown::requested(&mut stop) => return Ok(()),
            }
        }
    }

    /// Takes over all that the origin has signed, however long it takes: before this there is nothing to serve.
    ///
    /// Errors: also a fault of the log; and an origin that does not answer, unless something is here already.
    pub async fn catch_up(&mut self) -> Result<(), FollowError> {
        let mut pause = POLL;
        loop {
            match self.poll().await {
                Ok(()) => return Ok(()),
                Err(Stop::Unanswered(error)) if self.log.live.head().size() == 0 => return Err(error.into()),
                Err(Stop::Refused { what, .. }) if self.log.live.head().size() == 0 => {
                    return Err(FollowError::OtherLog { what });
                }
                Err(reason) => self.note(reason)?,
            }
            if let Some(fault) = self.standing.ended() {
                return Err(FollowError::Fault(fault));
            }
            pause = (pause * 2).min(PAUSE_MAX);
            tokio::time::sleep(pause).await;
        }
    }

    /// Reaches the newest checkpoint; under `quorum none` it then reads the stream for as long as that comes.
    async fn go_on(&mut self) -> Result<(), Stop> {
        self.poll().await?;
        if self.trust.policy().is_none() {
            self.stream().await?;
        }
        Ok(())
    }

    /// Asks for the newest checkpoint and takes over what leads to it.
    async fn poll(&mut self) -> Result<(), Stop> {
        let bytes = self.remote.checkpoint().await?;
        self.keep_up(&bytes).await?;
        let ours = self.log.live.head();
        let mut signed = match self.signed(&bytes) {
            Err(stop) => return Err(self.fork_without_quorum(&bytes, &ours).await.unwrap_or(stop)),
            Ok(signed) => signed,
        };
        if signed.checkpoint.size < ours.size() && self.trust.policy().is_none() {
            // A log with witnesses shows its checkpoint later than it streams what it signs: has it gone back, or not caught up?
            signed = self.newest().await.filter(|newest| newest.checkpoint.size >= ours.size()).unwrap_or(signed);
        }
        self.standing.heard(signed.checkpoint.size, self.clock.now());
        if ours.size() == 0 || signed.checkpoint.size > ours.size() {
            self.standing.set(State::CatchingUp);
            while self.log.live.head().size() < signed.checkpoint.size {
                self.advance(&signed).await?;
            }
        } else {
            self.compare(&signed, &ours).await?;
        }
        self.standing.set(State::Polling);
        Ok(())
    }

    /// Follows the log's LogConfs if no known key signed a checkpoint, and one that is not known did: this server was away while
    /// they changed. What they lead to is pinned before it is believed.
    async fn keep_up(&mut self, checkpoint: &[u8]) -> Result<(), Stop> {
        let (keys, origin) = (self.trust.log_keys(), self.trust.origin().as_str());
        let Ok(note) = Note::parse(checkpoint) else { return Ok(()) };
        if note.verify(keys).is_ok() || !rotation::has_unknown_key(&note, origin, keys) {
            return Ok(());
        }
        let ours = self.log.live.head();
        let known = (ours.head.size, ours.head.root);
        let followed = match self.remote.follow_keys(&self.trust, known, self.clock.now()).await {
            Ok(followed) => followed,
            Err(NotFollowed::Refused(NotLed::Repin)) => {
                return Err(refused("repin", NotLed::Repin.to_string()));
            }
            Err(_) => return Ok(()), // the checkpoint is judged by the keys that are known
        };
        pin::write(&self.data, &followed.log_keys)?;
        info!(seq = followed.seq, "the log's keys were followed");
        let trust = self.trust.clone().with_log_keys(followed.log_keys);
        self.trust = trust.expect("a LogConf has one to seven keys of its log").with_retired(followed.retired);
        Ok(())
    }

    /// Asks for the newest head the origin signed; `None` if none is served that verifies.
    async fn newest(&self) -> Option<Signed> {
        let head = Head::decode(&self.remote.newest().await.ok()?).ok()?;
        let key = head.verify_log_signature(self.trust.origin(), self.trust.log_keys()).ok()?;
        let note = head.note(self.trust.origin(), key, &[]).ok()?;
        self.signed(note.to_string().as_bytes()).ok()
    }

    /// Takes over the next entries on the way to a signed head.
    async fn advance(&mut self, to: &Signed) -> Result<(), Stop> {
        let (from, target) = (self.log.live.head().size(), to.checkpoint.size);
        let entries = self.remote.entries(from, TOGETHER, target).await?; // as the origin sends them: nothing is known of them
        let incoming = self.incoming(entries); //                           hashed behind our own tree, and not decoded
        let head = match incoming.size() == target {
            true => Some(to),
            false => None,
        };
        match head {
            Some(to) if incoming.root() == to.checkpoint.root => {}
            Some(to) => return Err(self.not_the_log(to).await),
            None => self.prove(&incoming, to).await?, //                    a tree on the way: proved to lead to the signed one
        }
        self.take(incoming, head, to).await
    }

    /// Reads the stream of batches until it ends.
    async fn stream(&mut self) -> Result<(), Stop> {
        let mut chunks = match self.remote.tail(self.log.live.head().size()).await {
            Ok(chunks) => chunks,
            // It went on meanwhile, or is one that has no stream: the checkpoint leads there too.
            Err(NotFetched::Network { error: crate::outbound::OutboundError::RefusedStatus(_), .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.standing.set(State::Streaming);
        let mut decoder = Decoder::new();
        loop {
            let mut batches: Option<Batches> = None;
            while let Some(record) = decoder.next_record().map_err(|error| refused(error.code(), error.to_string()))? {
                let Record::Batches(next) = record else { continue };
                match &mut batches {
                    None => batches = Some(next),
                    Some(waiting) => join(waiting, next)?,
                }
                if batches.as_ref().is_some_and(|batches| batches.entries.len() as u64 >= TOGETHER) {
                    break;
                }
            }
            if let Some(batches) = batches {
                self.take_streamed(batches).await?;
                continue;
            }
            match chunks.next().await {
                Ok(Some(chunk)) => decoder.push(&chunk),
                Ok(None) => return Ok(()),
                Err(error) => return Err(NotFetched::Network { path: dgns_api::path::TAIL.to_owned(), error }.into()),
            }
            self.standing.heard(self.log.live.head().size(), self.clock.now());
        }
    }

    /// Takes over batches out of the stream. What does not fit is left to the checkpoint and the tiles, which tell why.
    async fn take_streamed(&mut self, batches: Batches) -> Result<(), Stop> {
        let signed = self.signed(&batches.note)?;
        if batches.first_index != self.log.live.head().size() {
            return Err(refused("bad_stream", "the stream does not go on where this server stands".to_owned()));
        }
        let incoming = self.incoming(batches.entries);
        if (incoming.size(), incoming.root()) != (signed.checkpoint.size, signed.checkpoint.root) {
            return Err(self.not_the_log(&signed).await);
        }
        self.take(incoming, Some(&signed), &signed).await
    }

    fn incoming(&self, entries: Vec<Vec<u8>>) -> Incoming {
        Incoming::new(self.trust.origin(), &self.log.live.read().edge, self.server, entries)
    }

    /// Judges batches that are the log's, commits them, and shows them; `head` is the signed head they end in, if they end in one.
    async fn take(&mut self, mut incoming: Incoming, head: Option<&Signed>, towards: &Signed) -> Result<(), Stop> {
        match self.judge(&mut incoming).await {
            Ok(()) => {} //                                           every Epoch, rule, map root, signature
            Err(Judged::Storage(error)) => return Err(error.into()),
            Err(Judged::Fault(fault)) => return Err(self.convict(&fault, towards).await),
        }
        let (server, repinned) = (incoming.server(), incoming.is_repinned());
        let Some(batch) = incoming.into_batch() else {
            return Err(refused("entry", "no whole batch within what the origin sends".to_owned()));
        };
        let conf = conf_after(&batch);
        if let Some(conf) = conf.as_ref().filter(|_| self.recommended) {
            self.trust = under_recommended(self.trust.clone(), conf);
            self.standing.asks_for(self.trust.policy());
        }
        let head = self.public_head(&batch, head);
        let names = self.log.names(&batch).await?; //                what DNS will answer
        if !is_signed(&head) {
            self.log.live.hold(); //                                  a place on the way is shown to nobody
        }
        let replaced = self.log.replaced(&batch).await?; //           what lookups under the head held go on answering
        self.log.commit(&batch, &head, &names).await?; //             THE commit point: one transaction
        let signed = is_signed(&head);
        self.log.show(batch, head, &names, replaced); //              now HTTP, DNS and lookups may see it
        if signed {
            self.log.live.show_newest();
        }
        self.server = server;
        if let Some(conf) = conf.filter(|_| signed && !repinned) {
            pin::write(&self.data, &conf.log_keys)?;
            let trust = Trust::new(self.trust.origin().clone(), conf.log_keys);
            let trust = trust.expect("a LogConf has one to seven keys of its log");
            self.trust = trust.with_policy(self.trust.policy().clone());
        }
        Ok(())
    }

    /// The log's own entries are at fault: evidence that convicts it by itself, or else the record of what was found.
    async fn convict(&self, fault: &AuditFault, towards: &Signed) -> Stop {
        let (log_keys, checkpoint) = (self.trust.log_keys(), &towards.note);
        let finding = Finding { log_keys, fault, checkpoint, auditor: None };
        let mut files = LogFiles::new();
        let found = loop {
            match finding.evidence(&files) {
                Err(Lack::Files(lacking)) => {
                    if self.read(&mut files, lacking).await.is_err() {
                        break None;
                    }
                }
                found => break found.ok().flatten(),
            }
        };
        let (code, what) = (fault.code(), fault.to_string());
        let in_words = |file: FaultFile| file.with_part("code", code.as_bytes()).with_part("fault", what.as_bytes());
        let evidence = found.map_or_else(|| finding.record(&files), in_words);
        Stop::Fault { code, what, evidence }
    }

    /// Reads files of the log.
    async fn read(&self, files: &mut LogFiles, lacking: Vec<String>) -> Result<(), NotFetched> {
        for name in lacking {
            let bytes = self.remote.file(&name).await?;
            files.insert(name, bytes.to_vec());
        }
        Ok(())
    }

    /// Replays batches on the states that are here, and verifies every signature, each singly and strictly.
    async fn judge(&self, incoming: &mut Incoming) -> Result<(), Judged> {
        let log = &self.log;
        loop {
            let lacking = incoming.go_on(&log.live.read().view())?;
            if lacking.is_empty() {
                break;
            }
            let labels: Vec<Hash> = lacking.subjects.iter().map(translog::map::label).collect();
            let held = log.states.load(&log.live, &log.storage, &labels, Asked::Newest).await?;
            for (subject, held) in lacking.subjects.into_iter().zip(held) {
                incoming.insert(subject, held.map(|held| held.leaf.clone()));
            }
            for size in lacking.heads {
                incoming.insert_head(size, self.heads.root_at(&log.live, &log.storage, size).await?);
            }
        }
        Ok(verify(incoming.take_checks()).await?)
    }

    /// Holds a head that is no larger than ours against ours.
    async fn compare(&self, signed: &Signed, ours: &PublicHead) -> Result<(), Stop> {
        let Ok(known) = self.log_signed(ours.note.as_bytes()) else { return Ok(()) };
        let unproved = match gossip::compare(&self.trust, &known.seen, &signed.seen) {
            Meeting::Same => return Ok(()),
            Meeting::Fork(files) => return Err(fork(files, &self.trust, signed)),
            Meeting::Unproved(unproved) => unproved,
        };
        let (smaller, larger) = unproved.sizes();
        let (path, root) = self.own_proof(smaller, larger).await?;
        match unproved.settle(&self.trust, &path, Some(root)) {
            Settled::Fork(files) => Err(fork(files, &self.trust, signed)),
            _ => {
                let evidence = evidence(FaultKind::Answer, "rollback", &self.trust, signed)
                    .with_part("first", ours.note.as_bytes());
                let what = format!("the origin shows {smaller} leaves, and signed {larger} before");
                Err(Stop::Refused { code: "rollback", what, evidence: Some(evidence) })
            }
        }
    }

    /// Says whether a checkpoint that is not taken over, for it lacks the quorum, is of another history: the log signed it all the same.
    async fn fork_without_quorum(&self, bytes: &[u8], ours: &PublicHead) -> Option<Stop> {
        let signed = self.log_signed(bytes).ok()?;
        let stop = match signed.checkpoint.size > ours.size() {
            true => self.fork_towards(&signed).await.ok()?,
            false => self.compare(&signed, ours).await.err(),
        };
        stop.filter(|stop| matches!(stop, Stop::Fault { .. }))
    }

    /// Says whether a signed head that our tree does not lead to is of another history, or what was sent is not the log's.
    async fn not_the_log(&self, to: &Signed) -> Stop {
        match self.fork_towards(to).await {
            Ok(Some(stop)) | Err(stop) => stop,
            Ok(None) => {
                let what = format!("what was sent does not give the signed root of {} leaves", to.checkpoint.size);
                let evidence = evidence(FaultKind::Answer, "root", &self.trust, to);
                Stop::Refused { code: "root", what, evidence: Some(evidence) }
            }
        }
    }

    /// Asks the tree of a signed head how it stands to the newest signed head here.
    async fn fork_towards(&self, to: &Signed) -> Result<Option<Stop>, Stop> {
        let Ok(known) = self.log_signed(self.log.live.head().note.as_bytes()) else { return Ok(None) };
        let Meeting::Unproved(unproved) = gossip::compare(&self.trust, &known.seen, &to.seen) else { return Ok(None) };
        let (path, root) = self.remote.consistency(known.checkpoint.size, to.checkpoint.size).await?;
        match unproved.settle(&self.trust, &path, Some(root)) {
            Settled::Fork(files) => Ok(Some(fork(files, &self.trust, to))),
            _ => Ok(None),
        }
    }

    /// Proves a tree on the way to a signed head.
    async fn prove(&self, incoming: &Incoming, to: &Signed) -> Result<(), Stop> {
        let (from, size) = (incoming.size(), to.checkpoint.size);
        let (path, _) = self.remote.consistency(from, size).await?;
        match translog::tree::verify_consistency(from, &incoming.root(), size, &to.checkpoint.root, &path) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.not_the_log(to).await),
        }
    }

    /// The consistency proof between two sizes out of our own tiles, and our root at the smaller.
    async fn own_proof(&self, from: u64, to: u64) -> Result<(Vec<Hash>, Hash), Stop> {
        let tiles = crate::log::tiles::Tiles::new(self.log.storage.clone(), self.log.live.clone(), 1 << 20);
        let path = tiles.consistency(from, to).await?;
        let root = tiles.root(from).await?;
        Ok((path, root))
    }

    /// Reads a note: signed by the log's key, and with the quorum if the policy asks one.
    fn signed(&self, bytes: &[u8]) -> Result<Signed, Stop> {
        let signed = self.log_signed(bytes)?;
        let policy = self.trust.policy();
        let cosigned = signed.note.verify(policy.cosigners()).unwrap_or_default();
        match policy.is_none() || policy.reached(cosigned).is_some() {
            true => Ok(signed),
            false => {
                Err(refused("quorum", "the checkpoint lacks the cosignatures that the policy asks for".to_owned()))
            }
        }
    }

    /// Reads a note: signed by the log's key.
    fn log_signed(&self, bytes: &[u8]) -> Result<Signed, Stop> {
        let note = Note::parse(bytes).map_err(|error| refused(error.code(), format!("the checkpoint: {error}")))?;
        let seen = SeenHead::of_note(&self.trust, note.clone())
            .map_err(|error| refused(error.code(), format!("the checkpoint: {error}")))?;
        let checkpoint = Checkpoint::parse(note.text())
            .map_err(|error| refused(error.code(), format!("the checkpoint: {error}")))?;
        Ok(Signed { note, seen, checkpoint })
    }

    /// Returns the head behind a batch: the signed one, or one that nobody is shown.
    fn public_head(&self, batch: &Batch, signed: Option<&Signed>) -> PublicHead {
        let origin = self.trust.origin().as_str().to_owned();
        let on_the_way = || Checkpoint { origin, size: batch.size(), root: batch.root() }.text();
        let note = signed.map_or_else(on_the_way, |signed| signed.note.to_string());
        head_of(&self.trust, signed.map(|signed| &signed.note), note, &batch.edge, batch.epoch)
    }

    /// Notes why nothing goes on.
    fn note(&self, stop: Stop) -> Result<(), FollowError> {
        let now = self.clock.now();
        let size = self.log.live.head().size();
        let name = |code: &str| format!("{}-{size}-{code}.fault", self.trust.zone().as_str());
        match stop {
            Stop::Own(error) => return Err(error),
            Stop::Unanswered(why) => {
                warn!(%why, "the followed log does not answer");
                self.standing.stuck(State::Away, &why.to_string());
            }
            Stop::Refused { code, what, evidence } => {
                warn!(code, what, "refused what the followed log answers");
                if let Some(evidence) = evidence {
                    self.standing.keep(&name(code), &evidence).map_err(FollowError::Evidence)?;
                }
                self.standing.stuck(State::Refused, code);
            }
            Stop::Fault { code, what, evidence } => {
                error!(code, what, "THE FOLLOWED LOG IS AT FAULT; it is followed no more");
                self.standing.keep(&name(code), &evidence).map_err(FollowError::Evidence)?;
                let fault = Fault { code: code.to_owned(), what, since_ms: now.as_ms() };
                self.standing.fault(fault).map_err(FollowError::Evidence)?;
            }
        }
        Ok(())
    }

    /// After a fault: what was verified last is served until it is too old; then DNS stops too.
    async fn serve_what_there_is(&self, stop: &mut watch::Receiver<bool>) -> Result<(), FollowError> {
        let left_ms = self.standing.served_for_ms(self.clock.now()).unwrap_or(0);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(left_ms)) => {}
            () = shutdown::requested(stop) => return Ok(()),
        }
        self.log.dns.stop_answering();
        info!("what was verified before the fault is too old to be served");
        shutdown::requested(stop).await;
        Ok(())
    }
}

/// What judging batches can end in.
enum Judged {
    Fault(AuditFault),
    Storage(StorageError),
}

impl From<AuditFault> for Judged {
    fn from(fault: AuditFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<StorageError> for Judged {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<NotFetched> for Stop {
    fn from(error: NotFetched) -> Self {
        match &error {
            NotFetched::Network { error: kind, .. } if *kind != crate::outbound::OutboundError::AnswerTooLarge => {
                Self::Unanswered(error)
            }
            NotFetched::Status { .. } => Self::Unanswered(error),
            _ => Self::Refused { code: "garbled", what: error.to_string(), evidence: None },
        }
    }
}

impl From<FollowError> for Stop {
    fn from(error: FollowError) -> Self {
        Self::Own(error)
    }
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Self {
        Self::Own(error.into())
    }
}

impl From<NotCommitted> for Stop {
    fn from(error: NotCommitted) -> Self {
        Self::Own(error.into())
    }
}

/// Reads a stored note back: a head that the log signed, or a place on the way to one. Errors: what is wrong with it.
pub fn read_head(trust: &Trust, note: &[u8], edge: &Edge, epoch: Epoch) -> Result<PublicHead, &'static str> {
    let text = String::from_utf8(note.to_vec()).map_err(|_| "bad_note")?;
    let on_the_way =
        Checkpoint { origin: trust.origin().as_str().to_owned(), size: edge.size(), root: edge.root() }.text();
    let signed = match text == on_the_way {
        true => None,
        false => Some(Note::parse(note).map_err(|error| error.code())?),
    };
    if let Some(signed) = &signed {
        signed.verify(trust.log_keys()).map_err(|_| "log_signature")?;
        if signed.text() != on_the_way {
            return Err("bad_note");
        }
    }
    Ok(head_of(trust, signed.as_ref(), text, edge, epoch))
}

/// Returns the head of a tree with this edge, with the signatures of its note, if it has one.
fn head_of(trust: &Trust, signed: Option<&Note>, note: String, edge: &Edge, epoch: Epoch) -> PublicHead {
    let line = signed.and_then(|signed| {
        let mut of_log = signed.lines().iter().filter(|line| trust.log_keys().iter().any(|key| key.id() == line.id));
        of_log.find_map(|line| line.signature.as_slice().try_into().ok())
    });
    let head = Head {
        size: edge.size(),
        root: edge.root(),
        log_signature: line.unwrap_or([0; 64]),
        cosignatures: signed.map(|note| note.cosignatures(trust.policy().cosigners())).unwrap_or_default(),
        epoch_entry: epoch.encode().to_vec(),
        path: edge.last_leaf_path(),
    };
    PublicHead { head, note, epoch }
}

/// Returns whether a head is one that the log signed, and not a place on the way to one.
pub fn is_signed(head: &PublicHead) -> bool {
    head.head.log_signature != [0; 64]
}

/// Verifies signatures on as many threads as there are.
async fn verify(checks: Checks) -> Result<(), AuditFault> {
    let parts = checks.into_parts(CHECKED_TOGETHER);
    let jobs: Vec<_> =
        parts.into_iter().map(|part| tokio::task::spawn_blocking(move || part.verify(&rng::secret()))).collect();
    for job in jobs {
        job.await.expect("verifying does not panic, and the runtime outlives its callers")?;
    }
    Ok(())
}

/// Takes batches that follow each other together.
fn join(waiting: &mut Batches, next: Batches) -> Result<(), Stop> {
    if waiting.first_index + waiting.entries.len() as u64 != next.first_index {
        return Err(refused("bad_stream", "the stream leaves entries out".to_owned()));
    }
    waiting.entries.extend(next.entries);
    waiting.note = next.note;
    Ok(())
}

fn refused(code: &'static str, what: String) -> Stop {
    Stop::Refused { code, what, evidence: None }
}

fn fork(files: Vec<FaultFile>, trust: &Trust, signed: &Signed) -> Stop {
    let what = "the log signed two histories".to_owned();
    let evidence = files.into_iter().next().unwrap_or_else(|| evidence(FaultKind::Answer, "fork", trust, signed));
    Stop::Fault { code: "fork", what, evidence }
}

fn evidence(kind: FaultKind, code: &str, trust: &Trust, signed: &Signed) -> FaultFile {
    let file = FaultFile::new(kind, trust.log_keys()).with_part("code", code.as_bytes());
    file.with_part("second", signed.note.to_string().as_bytes())
}

/// The log's configuration from a batch on, if it changed.
fn conf_after(batch: &Batch) -> Option<Conf> {
    match &batch.changes.get(&Subject::LogConf)?.leaf.state {
        LeafState::LogConf { payload, .. } => Conf::decode(payload).ok(),
        _ => None,
    }
}

/// Returns the trust under the policy that the log recommends; as it was, if its text is no policy.
pub fn under_recommended(trust: Trust, conf: &Conf) -> Trust {
    match conf.recommended() {
        Ok(policy) => trust.with_policy(policy),
        Err(error) => {
            warn!(%error, "the policy that the followed log recommends is none");
            trust
        }
    }
}

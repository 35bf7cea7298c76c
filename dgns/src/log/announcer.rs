//! The announcer: asks witnesses to cosign the newest head, and shows it to everyone once enough of them did.
//!
//! One round at a time: the newest head is kept readable, every witness is asked at once, each by a task of its own, and the
//! head is shown when the policy's quorum is met. Nobody waits for it: the publisher goes on, and a witness that hangs delays
//! neither the others nor the next round. Cosignatures that come later join the head while it is shown.
//!
//! A crash before the public note is stored leaves the one before; nothing of a round is needed again.

mod ask;

use std::sync::Arc;
use std::time::Duration;

use ask::Asking;
pub use ask::WitnessError;
use storage::StorageError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};
use translog::head::Cosignature;
use translog::note::{Note, SignatureLine};
use translog::policy::Policy;

use super::live::PublicHead;
use super::shown::Witnessed;
use super::witnesses::Witnesses;
use crate::core::Core;
use crate::keys::LogKey;
use crate::outbound::Outbound;
use crate::shutdown;

/// How long a round waits for its quorum: a witness is asked twice at most, within a second each.
const ROUND_MAX: Duration = Duration::from_millis(2_500);

/// A head that does not move is announced again after this, so that a silent log notices too that its witnesses are gone.
const REFRESH: Duration = Duration::from_secs(5);

/// Why the server must not sign any more, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// A witness saw a larger head of this log: the database is an older one, and so is its guard. Code `rolled_back`.
    #[error(
        "rolled back: witness {witness} cosigned a head of {size} leaves, this server has {ours}; its data was restored from an \
         old backup. Bring the newest data back: signing now would make a second history. If the witness is wrong, take it out \
         of the policy"
    )]
    RolledBack {
        /// What the policy calls the witness.
        witness: String,
        /// The size it named.
        size: u64,
        /// The size of the newest head.
        ours: u64,
    },
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The witnesses of the policy, each with what it saw last.
#[derive(Debug)]
pub struct Announcer {
    policy: Policy,
    interval: Duration,
    outbound: Outbound,
    askings: Vec<Asking>,
}

/// What a witness said of a head.
struct Said {
    place: usize,
    size: u64,
    outcome: Result<Cosignature, WitnessError>,
}

/// One head on its way to the public.
struct Round {
    head: Arc<PublicHead>,
    began: Instant,
    cosignatures: Vec<Cosignature>,
    answers: usize,
    reached: bool,
    ended: bool,
}

impl Announcer {
    /// Returns the announcer of a policy whose quorum is not `none`; heads are announced at most once an `interval`.
    pub fn new(policy: Policy, interval: Duration, outbound: Outbound) -> Self {
        let asking = |witness: &translog::policy::Witness| {
            let url = format!("{}/add-checkpoint", witness.url.as_ref()?.trim_end_matches('/'));
            Some(Asking { name: witness.name.clone(), key: witness.key.clone(), url, size: 0 })
        };
        let askings = policy.witnesses().iter().filter_map(asking).collect();
        Self { policy, interval, outbound, askings }
    }

    /// Asks every witness which head it saw last, before anything new is signed. One that does not answer is passed over.
    ///
    /// Errors: [`AnnounceError::RolledBack`] if one saw a larger head than the stored one.
    pub async fn meet(&mut self, stored: &Arc<PublicHead>) -> Result<(), AnnounceError> {
        let mut meetings = JoinSet::new();
        for (place, mut asking) in self.askings.drain(..).enumerate() {
            let (outbound, head) = (self.outbound.clone(), stored.clone());
            meetings.spawn(async move {
                let seen = asking.last_seen(&outbound, &head).await;
                (place, asking, seen)
            });
        }
        let mut met = meetings.join_all().await;
        met.sort_by_key(|(place, ..)| *place);
        for (_, asking, seen) in met {
            match seen {
                Ok(size) if size > stored.size() => {
                    return Err(AnnounceError::RolledBack { witness: asking.name, size, ours: stored.size() });
                }
                Ok(_) => {}
                Err(error) => warn!(witness = asking.name, %error, "a witness does not say which head it saw last"),
            }
            self.askings.push(asking);
        }
        Ok(())
    }

    /// Announces until `stop` turns true, or until the server must not go on.
    pub async fn run(
        mut self,
        core: Arc<Core>,
        witnesses: Arc<Witnesses>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), AnnounceError> {
        let board = Board { core, witnesses };
        let (ask, _) = watch::channel(None);
        let (say, mut said) = mpsc::channel(64);
        let mut asking = JoinSet::new(); // dropped, and with it every request, when this returns
        for (place, witness) in std::mem::take(&mut self.askings).into_iter().enumerate() {
            asking.spawn(keep_asking(
                place,
                witness,
                board.core.clone(),
                self.outbound.clone(),
                ask.subscribe(),
                say.clone(),
            ));
        }
        let mut moved = board.core.live.moved();
        let mut round = Round::begin(&board, &ask);
        loop {
            let moves = !round.reached || board.core.live.head().size() > round.head.size();
            let next = round.began + if moves { self.interval } else { self.interval.max(REFRESH) };
            tokio::select! {
                biased;
                () = shutdown::requested(&mut stop) => return Ok(()),
                Some(said) = said.recv() => self.take(&board, &mut round, said, asking.len()).await?,
                () = tokio::time::sleep_until(round.began + ROUND_MAX), if !round.ended => round.end(&board),
                () = tokio::time::sleep_until(next), if round.ended => round = Round::begin(&board, &ask),
                changed = moved.changed(), if round.ended && !moves => if changed.is_err() { return Ok(()) },
            }
        }
    }

    /// Takes what a witness said: a cosignature counts for the round's head alone, and shows it once there are enough.
    async fn take(&self, board: &Board, round: &mut Round, said: Said, witnesses: usize) -> Result<(), AnnounceError> {
        let core = &board.core;
        match said.outcome {
            Ok(cosignature) => {
                board.witnesses.cosigned(said.place, said.size, cosignature.time_s);
                if said.size == round.head.size() {
                    round.cosignatures.retain(|earlier| earlier.id != cosignature.id);
                    round.cosignatures.push(cosignature);
                }
            }
            Err(WitnessError::Ahead { size }) => {
                let witness = board.witnesses.standings().swap_remove(said.place).name;
                return Err(AnnounceError::RolledBack { witness, size, ours: core.live.head().size() });
            }
            Err(WitnessError::Storage(error)) => return Err(error.into()),
            Err(error) => {
                debug!(witness = said.place, code = error.code(), "not cosigned");
                board.witnesses.failed(said.place, error.code());
            }
        }
        if said.size != round.head.size() {
            return Ok(());
        }
        round.answers += 1;
        let may_show = round.reached || !round.ended;
        if may_show && let Some((head, reached_ms)) = cosigned(&self.policy, round) {
            core.storage.log().save_public(head.note.as_bytes()).await?;
            core.live.show_witnessed(head, reached_ms);
            if !round.reached {
                round.reached = true;
                round.end(board);
            }
        }
        if round.answers >= witnesses && !round.ended {
            round.end(board);
        }
        Ok(())
    }
}

/// Where rounds show: the log's public head, and what is known of the witnesses.
struct Board {
    core: Arc<Core>,
    witnesses: Arc<Witnesses>,
}

impl Round {
    fn begin(board: &Board, ask: &watch::Sender<Option<Arc<PublicHead>>>) -> Self {
        let head = board.core.live.announce();
        ask.send_replace(Some(head.clone()));
        Self { head, began: Instant::now(), cosignatures: Vec::new(), answers: 0, reached: false, ended: false }
    }

    /// The round is over, with its quorum or without.
    fn end(&mut self, board: &Board) {
        self.ended = true;
        if !self.reached {
            board.core.live.give_up();
        }
        if board.witnesses.without_quorum() == self.reached {
            match self.reached {
                true => info!(size = self.head.size(), "heads have their quorum of witnesses"),
                false => warn!(size = self.head.size(), "too few witnesses cosign: the public head grows old"),
            }
        }
        board.witnesses.announced(self.reached);
    }
}

/// Asks one witness about each head in turn, the newest if several came while it was busy.
async fn keep_asking(
    place: usize,
    mut witness: Asking,
    core: Arc<Core>,
    outbound: Outbound,
    mut heads: watch::Receiver<Option<Arc<PublicHead>>>,
    say: mpsc::Sender<Said>,
) {
    loop {
        let head = heads.borrow_and_update().clone();
        if let Some(head) = head {
            let outcome = witness.cosign(&core, &outbound, &head).await;
            if say.send(Said { place, size: head.size(), outcome }).await.is_err() {
                return;
            }
        }
        if heads.changed().await.is_err() {
            return;
        }
    }
}

/// Returns the round's head with its cosignatures, and when it had its quorum; `None` if it has not.
fn cosigned(policy: &Policy, round: &Round) -> Option<(PublicHead, u64)> {
    let place = |cosignature: &Cosignature| policy.cosigners().iter().position(|key| key.id() == cosignature.id);
    let mut head = PublicHead::clone(&round.head);
    head.head.cosignatures.clone_from(&round.cosignatures);
    head.head.cosignatures.sort_by_key(place);
    let mut note = Note::parse(head.note.as_bytes()).expect("our own note is one");
    let lines = head.head.cosignatures.iter().filter_map(|cosignature| {
        let key = &policy.cosigners()[place(cosignature)?];
        let signature = [&cosignature.time_s.to_be_bytes(), &cosignature.signature[..]].concat();
        Some(SignatureLine { name: key.name().to_owned(), id: key.id(), signature })
    });
    note = Note::new(note.text().to_owned(), note.lines().iter().cloned().chain(lines).collect()).ok()?;
    let signed = note.verify(policy.cosigners()).ok()?;
    let reached_s = policy.reached(signed)?;
    head.note = note.to_string();
    Some((head, reached_s.saturating_mul(1_000)))
}

/// Reads the note that was public before a start back; `None` unless the policy of today is content with it.
pub fn witnessed_before(policy: &Policy, key: &LogKey, note: &[u8]) -> Option<Witnessed> {
    let text = std::str::from_utf8(note).ok()?;
    let note = Note::parse(note).ok()?;
    note.verify(&key.vkeys()).ok()?;
    let size = translog::note::Checkpoint::parse(note.text()).ok()?.size;
    let reached_s = policy.reached(note.verify(policy.cosigners()).ok()?)?;
    Some(Witnessed { size, note: text.to_owned(), reached_ms: reached_s.saturating_mul(1_000) })
}

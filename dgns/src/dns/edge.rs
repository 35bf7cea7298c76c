//! A verifying edge: a follower whose DNS is signed, by signatures that it copies from the server that it follows (`[dns] dnssec = "copy"`).
//!
//! What came is judged in three steps, and acted on behind the last one alone: it is one transfer, signed by the key that both have (`fetch`, `reading`);
//! the zone's own sets are signed, the keys by one that is believed (`judge`); each record set and each denial holds over what the *log* says
//! (`Zone::take_copy`). An edge keeps one file (`kept`): the records that it served, and the keys that it believes.
//!
//! | module | its story |
//! |---|---|
//! | `fetch` | asks for what is new, over TCP or TLS, and believes the key alone |
//! | `reading` | the messages of a transfer become records, or changes |
//! | `judge` | the zone's own sets: whose keys, and are they signed |
//! | `kept` | the file |

mod fetch;
mod judge;
mod kept;
pub mod reading;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use storage::StorageError;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tracing::{info, warn};
use translog::note::{Checkpoint, Note};

use self::fetch::{Fetch, NotFetched};
use self::judge::Refusal;
use self::kept::Kept;
pub use self::kept::State;
use self::reading::Came;
use super::dnssec::trust::Pins;
use super::limits::{
    AGREE_LOOK, AGREE_WITHIN, COPY_AGAIN, COPY_BYTES_MIN, COPY_BYTES_OF_A_NAME, COPY_EVERY, COPY_GAP, COPY_MEND,
    COPY_PAUSE, COPY_PAUSE_MAX, COPY_SAVE_EVERY, COPY_SAVE_SHARE, COPY_WHOLE_SHARE,
};
use super::metrics::{Copied, Metrics};
use super::name;
use super::tls::TlsFileError;
use super::tsig::Key;
use super::zone::copied::{Brought, OwnSets, Taken};
use super::zone::{CHECKPOINT_OWNER, Record, TYPE_TXT, Zone};
use crate::core::Core;
use crate::keys::KeyFileError;
use crate::shutdown;

/// The file, in the data directory.
pub const FILE: &str = "dns.edge";

/// `[dns.primary]`: from where an edge copies what signs its zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryConfig {
    /// `address`: where copies are given, by TCP; by TLS if there is a name.
    pub address: SocketAddr,
    /// `key`: the file of the TSIG key that both sign with.
    pub key: PathBuf,
    /// `tls_name` and `tls_ca`: the name in the server's certificate, and the file of the authorities that are believed.
    pub tls: Option<(String, PathBuf)>,
    /// `ds`: the data of the DS record that the first key must have; absent: the first key is believed.
    pub ds: Option<Vec<u8>>,
}

/// Why there is no edge. Fault: the operator.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The authorities.
    #[error(transparent)]
    Tls(#[from] TlsFileError),
    /// The file of what was served, in which the keys stand that are believed.
    #[error("{path} cannot be used: {what}; without it the next key is believed that comes (or the one that dns.primary.ds names): remove it if that is meant", path = .path.display())]
    Kept {
        /// The file.
        path: PathBuf,
        /// Why.
        what: &'static str,
    },
}

/// Keeps the zone signed.
pub struct Edge {
    zone: Arc<Zone>,
    core: Arc<Core>,
    metrics: Arc<Metrics>,
    fetch: Arc<Fetch>,
    path: PathBuf,
    max_stale_s: u64,
    told: Arc<Notify>,
    pins: Pins,
    /// When the primary said that there is nothing newer than what is shown, unix seconds.
    heard_s: u64,
    /// What came and is not shown yet, and since when.
    held: Option<Held>,
    is_shown: bool,
    /// The next copy is one of everything.
    wants_whole: bool,
    pause: Duration,
    ask_at: Instant,
    asked_at: Instant,
    /// What asks now: for the whole zone, or not.
    asking: Option<JoinHandle<(bool, Result<Came, NotFetched>)>>,
    saving: Option<JoinHandle<(Result<(), StorageError>, Duration)>>,
    mend_at: Instant,
    whole_at: Instant,
    unsaved: bool,
    saved_heard_s: u64,
    save_at: Instant,
}

struct Held {
    brought: Arc<Brought>,
    own: OwnSets,
    pins: Pins,
    kind: Copied,
    since: Instant,
}

impl Edge {
    /// Reads the key and what an edge kept here. `told` wakes it: there is something new. Errors: [`EdgeError`].
    pub fn open(
        primary: &PrimaryConfig,
        data: &Path,
        max_stale_s: u64,
        zone: Arc<Zone>,
        core: Arc<Core>,
        metrics: Arc<Metrics>,
        (key, told): (Arc<Key>, Arc<Notify>),
    ) -> Result<Self, EdgeError> {
        let path = data.join(FILE);
        let fetch = Arc::new(Fetch::new(primary, key, zone.apex().wire().to_vec(), core.clock.clone())?);
        let now = Instant::now();
        let mut edge = Self {
            zone,
            core,
            metrics,
            fetch,
            path,
            max_stale_s,
            told,
            pins: Pins { ds: primary.ds.clone(), known: Vec::new() },
            heard_s: 0,
            held: None,
            is_shown: false,
            wants_whole: false,
            pause: COPY_PAUSE,
            ask_at: now,
            asked_at: now,
            asking: None,
            saving: None,
            mend_at: now,
            whole_at: now,
            unsaved: false,
            saved_heard_s: 0,
            save_at: now,
        };
        let unusable = |what| EdgeError::Kept { path: edge.path.clone(), what };
        match kept::read(&edge.path, edge.zone.name()) {
            Ok(None) => {}
            Ok(Some(kept))
                if primary.ds.as_ref().is_some_and(|ds| !kept.state.pins.has(edge.zone.apex().wire(), ds)) =>
            {
                warn!("dns.primary.ds is another one than before: what was copied is copied anew");
            }
            Ok(Some(kept)) => edge.go_on(kept),
            Err(what) => return Err(unusable(what)),
        }
        Ok(edge)
    }

    /// Goes on with what was kept, judged like what comes.
    fn go_on(&mut self, Kept { state, brought }: Kept) {
        (self.pins, self.heard_s) = (state.pins, state.heard_s);
        if let Err(refusal) = self.hold(brought, Copied::Kept) {
            warn!(%refusal, "what this edge served before cannot be served any more");
        }
    }

    /// Copies until `stop`. What the log says, and how old a copy may be, is looked at every second, whatever the primary does meanwhile.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        self.show(true).await; // what was kept: what the log has changed since is not served
        loop {
            self.judge_age();
            self.ask();
            if self.unsaved && self.saving.is_none() && Instant::now() >= self.save_at {
                self.save();
            }
            let look = Instant::now() + if self.held.is_some() { AGREE_LOOK } else { COPY_AGAIN };
            let until = if self.asking.is_some() || self.held.is_some() { look } else { self.ask_at.min(look) };
            tokio::select! {
                () = shutdown::requested(&mut stop) => break,
                asked = ended(&mut self.asking) => self.answered(asked),
                saved = ended(&mut self.saving) => self.saved(saved),
                () = self.told.notified() => self.ask_at = self.ask_at.min(Instant::now() + COPY_GAP),
                () = tokio::time::sleep_until(until) => {}
            }
            self.show(false).await;
        }
        self.asking.iter().for_each(JoinHandle::abort);
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
        if self.unsaved {
            self.save();
            let saved = ended(&mut self.saving).await;
            self.saved(saved);
        }
    }

    /// Begins to ask the primary for what is new, if it is time, and what it said last is shown: else the log is on its way.
    fn ask(&mut self) {
        let now = Instant::now();
        if self.asking.is_some() || now < self.ask_at || self.is_shown && self.held.is_some() {
            return;
        }
        let mends = self.zone.failed_sets() > 0 && now >= self.mend_at;
        let is_whole = !self.is_shown || (self.wants_whole || mends) && now >= self.whole_at;
        let known = (!is_whole).then(|| self.zone.serial());
        let bytes_max = COPY_BYTES_MIN + self.zone.names() * COPY_BYTES_OF_A_NAME;
        let fetch = self.fetch.clone();
        self.asked_at = now;
        self.asking = Some(tokio::spawn(async move { (is_whole, fetch.ask(known, bytes_max).await) }));
    }

    /// Takes what the primary answered, and decides when it is asked again.
    fn answered(&mut self, asked: Result<(bool, Result<Came, NotFetched>), JoinError>) {
        let judged = match asked {
            Ok((is_whole, asked)) => {
                if is_whole {
                    self.mend_at = Instant::now() + COPY_MEND;
                    self.whole_at = Instant::now() + self.asked_at.elapsed() * COPY_WHOLE_SHARE;
                }
                asked.map_err(NotTaken::from).and_then(|came| self.came(came))
            }
            Err(error) => Err(NotFetched::Io(io::Error::other(error)).into()),
        };
        (self.pause, self.ask_at) = match judged {
            Ok(()) => {
                let soon = self.wants_whole || self.zone.waiting_names() > 0;
                (COPY_PAUSE, Instant::now() + if soon { COPY_AGAIN } else { COPY_EVERY })
            }
            Err(why) => {
                match &why {
                    NotTaken::NotFetched(_) => self.metrics.count_copied(Copied::Failed),
                    NotTaken::Refused(_) => self.metrics.count_copied(Copied::Refused),
                }
                warn!(%why, "no copy of the zone from the primary");
                ((self.pause * 2).min(COPY_PAUSE_MAX), Instant::now() + self.pause)
            }
        };
    }

    /// Judges what the primary answers.
    fn came(&mut self, came: Came) -> Result<(), NotTaken> {
        let known = self.zone.serial();
        match came {
            Came::Nothing(serial) if serial == known => {
                self.heard_s = self.now_s();
                self.unsaved |= self.heard_s.saturating_sub(self.saved_heard_s) > self.max_stale_s / 10;
                self.metrics.count_copied(Copied::Current);
                Ok(())
            }
            Came::Nothing(_) => Err(Refusal::Behind.into()),
            Came::Whole { serial, .. } if self.is_shown && serial.wrapping_sub(known).cast_signed() < 0 => {
                Err(Refusal::Behind.into())
            }
            Came::Whole { serial, owners } => {
                self.wants_whole = false;
                self.hold(Brought { serial, is_whole: true, owners }, Copied::Whole).map_err(NotTaken::from)
            }
            Came::Changes(steps) => match self.zone.after(&steps) {
                Some(brought) => self.hold(brought, Copied::Changes).map_err(NotTaken::from),
                None => {
                    self.wants_whole = true;
                    Ok(())
                }
            },
        }
    }

    /// Judges the zone's own sets, and holds what came until the log agrees.
    fn hold(&mut self, brought: Brought, kind: Copied) -> Result<(), Refusal> {
        let records = brought.owners.get(&b""[..]).map_or(&[][..], Vec::as_slice);
        let apex = self.zone.apex();
        let now_s = self.now_s() as u32; // of 32 bits, which go round
        let (pins, own) =
            judge::own_sets(apex.wire(), records, brought.serial, apex.negative_ttl_s, &self.pins, now_s)?;
        let since = self.held.as_ref().map_or_else(Instant::now, |held| held.since);
        self.held = Some(Held { brought: Arc::new(brought), own, pins, kind, since });
        Ok(())
    }

    /// Shows what is held, if the log agrees with it or it waited long enough, and what the log says of names that no copy had in time.
    async fn show(&mut self, is_kept: bool) {
        if let Some(held) = self.held.take() {
            self.show_held(held, is_kept).await;
        }
        if self.is_shown && self.zone.waiting_names() > 0 {
            self.take(Arc::default(), None, true, false).await;
        }
    }

    async fn show_held(&mut self, held: Held, is_kept: bool) {
        let is_late = is_kept || held.since.elapsed() >= AGREE_WITHIN;
        let checkpoint = match self.has_checkpoint(&held.brought).await {
            Ok(Some(is_known)) => is_known,
            Ok(None) if !is_late => {
                self.held = Some(held);
                return;
            }
            Ok(None) => false,
            Err(error) => {
                warn!(%error, "the log cannot be read to judge a checkpoint");
                false
            }
        };
        let Held { brought, own, pins, kind, since } = held;
        match self.take(brought.clone(), Some(own.clone()), checkpoint, is_late).await {
            Taken::Unlike => self.held = Some(Held { brought, own, pins, kind, since }),
            Taken::Shown { .. } => {
                if kind != Copied::Kept {
                    self.heard_s = self.now_s();
                }
                if self.pins.known != pins.known {
                    info!(keys = ?pins.known_ds(self.zone.apex().wire()), "these keys of the zone are believed from now on");
                }
                (self.pins, self.is_shown, self.unsaved) = (pins, true, true);
                self.metrics.count_copied(kind);
            }
        }
    }

    /// Lets the zone take a copy, beside the tasks that answer.
    async fn take(&self, brought: Arc<Brought>, own: Option<OwnSets>, checkpoint: bool, is_late: bool) -> Taken {
        let zone = self.zone.clone();
        let taken = tokio::task::spawn_blocking(move || zone.take_copy(&brought, own, checkpoint, is_late)).await;
        let taken = taken.unwrap_or_else(|error| {
            warn!(%error, "a copy of the zone was not taken after a fault of ours");
            Taken::Unlike
        });
        if let Taken::Shown { new: new @ 1.., failed } = taken {
            warn!(new, failed, "RECORD SETS OF THE PRIMARY DO NOT HOLD: they are not served");
        }
        taken
    }

    /// Returns whether the head at `_checkpoint` is one of the log's; `None`: the log is not there yet.
    async fn has_checkpoint(&self, brought: &Brought) -> Result<Option<bool>, StorageError> {
        let records = brought.owners.get(&super::dnssec::sort_key(&[CHECKPOINT_OWNER])).map_or(&[][..], Vec::as_slice);
        let Some(text) = records.iter().find(|record| record.rtype == TYPE_TXT) else { return Ok(Some(true)) };
        let Some((size, root)) = checkpoint_of(&text.rdata, self.core.origin.as_str()) else { return Ok(Some(false)) };
        if size > self.core.live.head().size() {
            return Ok(None);
        }
        Ok(Some(size > 0 && self.core.tiles.root(size).await? == root))
    }

    /// Serves while the primary was heard lately, and the zone's own signatures are good.
    fn judge_age(&self) {
        let lasts_s = self.max_stale_s.max(3 * COPY_EVERY.as_secs());
        let is_heard = self.now_s().saturating_sub(self.heard_s) <= lasts_s;
        let is_fresh = self.is_shown && is_heard && self.zone.is_signed_now();
        if self.is_shown && !is_fresh && self.zone.is_ready() {
            warn!("the primary was not heard for max_stale_s, or signs no more: DNS is answered no longer");
        }
        self.zone.set_fresh(is_fresh);
        self.metrics.note_copy_heard(self.heard_s);
    }

    /// Begins to keep what is served: a crash leaves the file before.
    fn save(&mut self) {
        let (zone, path, began) = (self.zone.clone(), self.path.clone(), Instant::now());
        let state = State {
            zone: zone.name().to_owned(),
            serial: zone.serial(),
            heard_s: self.heard_s,
            pins: self.pins.clone(),
        };
        (self.unsaved, self.saved_heard_s) = (false, self.heard_s);
        self.saving = Some(tokio::task::spawn_blocking(move || {
            let written = kept::write(&path, &state, &zone);
            (written, began.elapsed())
        }));
    }

    fn saved(&mut self, saved: Result<(Result<(), StorageError>, Duration), JoinError>) {
        let took = match saved {
            Ok((Ok(()), took)) => took,
            Ok((Err(error), took)) => {
                warn!(%error, "what this edge serves cannot be kept for the next start");
                self.unsaved = true;
                took
            }
            Err(error) => {
                warn!(%error, "what this edge serves was not kept after a fault of ours");
                Duration::ZERO
            }
        };
        self.save_at = Instant::now() + COPY_SAVE_EVERY.max(took * COPY_SAVE_SHARE);
    }

    fn now_s(&self) -> u64 {
        self.core.clock.now().as_s()
    }
}

/// Waits for the end of work that may not be there, and takes it away.
async fn ended<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(running) => {
            let result = running.await;
            *task = None;
            result
        }
        None => std::future::pending().await,
    }
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error(transparent)]
    NotFetched(#[from] NotFetched),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Returns size and root of the note in a TXT record, of a log of this origin.
fn checkpoint_of(rdata: &[u8], origin: &str) -> Option<(u64, identity::hash::Hash)> {
    let mut text = Vec::with_capacity(rdata.len());
    let mut rest = rdata;
    while let Some((&length, tail)) = rest.split_first() {
        let (string, next) = tail.split_at_checked(length.into())?;
        text.extend_from_slice(string);
        rest = next;
    }
    let note = Note::parse(&text).ok()?;
    let checkpoint = Checkpoint::parse(note.text()).ok()?;
    (checkpoint.origin == origin).then_some((checkpoint.size, checkpoint.root))
}

/// Returns the labels of an owner below the zone `apex` (wire form); `None` if it is not in it.
fn owner_below(owner: &name::WireName, apex: &[u8]) -> Option<Box<[u8]>> {
    name::place(owner.as_bytes(), apex)?;
    owner.as_bytes().get(..owner.wire_len() - apex.len()).map(Box::from)
}

/// Puts records in the order of their owners.
fn by_owner(records: impl IntoIterator<Item = Record>) -> std::collections::BTreeMap<Vec<u8>, Vec<Record>> {
    let mut owners: std::collections::BTreeMap<Vec<u8>, Vec<Record>> = std::collections::BTreeMap::new();
    for record in records {
        owners.entry(super::dnssec::sort_key(&[&record.owner])).or_default().push(record);
    }
    owners
}

#[cfg(test)]
mod tests;

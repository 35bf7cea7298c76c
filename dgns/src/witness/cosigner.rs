//! One key that cosigns, with what it remembers of each log. [`Cosigner::add_checkpoint`] is the crash order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use data_encoding::HEXLOWER;
use identity::hash::sha256;
use identity::key::SigningKey;
use storage::rows::CosignedRow;
use storage::{Cosigned, Guard, Options, Raised, StorageError, durable};
use tokio::sync::Mutex;
use tracing::{error, info, warn};
use translog::note::{self, Checkpoint, Note, VerifierKey};
use translog::witness::{Request, WitnessRecord, WitnessRefusal, decide};

use super::declined::Declined;
use super::evidence::Evidence;
use super::forks;
use super::metrics::{Metrics, count};
use super::verifier::{Standing as ReplayStanding, Verifier};
use super::watched::{Keys, Watched};
use crate::clock::Clock;
use crate::keys::{self, KeyFileError};

/// Which of the two cosigners of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Cosigns heads that continue what it cosigned.
    Witness,
    /// Cosigns heads whose every entry it has replayed, besides.
    Verifier,
}

/// Why a cosigner does not start.
#[derive(Debug, thiserror::Error)]
pub enum CosignerError {
    /// The key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The name is none a key may have.
    #[error("{name:?} is no name of a key: 1 to 255 bytes without space, plus or control character")]
    Name {
        /// The name.
        name: String,
    },
    /// The database, the guard, or a directory.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database is older than what was signed, or the guard is another's: exit 3.
    #[error(
        "rolled_back: {role} has signed {signed} leaves of {origin} and remembers {remembered}; \
         it signs nothing until the newest database is back"
    )]
    RolledBack {
        /// `witness` or `verifier`.
        role: Role,
        /// The log.
        origin: String,
        /// The size in the guard.
        signed: u64,
        /// The size in the database.
        remembered: u64,
    },
    /// There is a record and no guard: exit 3.
    #[error("rolled_back: the guard {path} is missing; put it back, or begin anew with another key", path = .path.display())]
    GuardMissing {
        /// Its file.
        path: PathBuf,
    },
    /// A record does not say what its note says: exit 3.
    #[error("{role}.db: the record of {origin} is not what its note says")]
    Damaged {
        /// `witness` or `verifier`.
        role: Role,
        /// The log.
        origin: String,
    },
    /// The file of keys that were followed does not read.
    #[error("{path} cannot be read: put it back, or erase it to begin with the keys of the file of logs", path = .path.display())]
    Followed {
        /// The file.
        path: PathBuf,
    },
    /// A verifier cannot follow this log.
    #[error("{origin} cannot be verified: {why}")]
    CannotFollow {
        /// The log.
        origin: String,
        /// Why.
        why: String,
    },
}

impl CosignerError {
    /// Returns whether what is stored is at fault, so that signing could contradict an earlier signature.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::RolledBack { .. } | Self::GuardMissing { .. } | Self::Damaged { .. } => true,
            Self::Storage(error) => error.is_damage(),
            _ => false,
        }
    }
}

impl Role {
    /// Returns the word in paths, file names and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Witness => "witness",
            Self::Verifier => "verifier",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// A key that cosigns, open.
pub struct Cosigner {
    role: Role,
    signer: note::Cosigner,
    records: Cosigned,
    desks: BTreeMap<String, Desk>,
    evidence: Arc<Evidence>,
    clock: Clock,
    metrics: Metrics,
    verifier: Option<Arc<Verifier>>,
}

/// What the cosigners of a process have in common.
pub(super) struct Shared<'a> {
    pub(super) data: &'a Path,
    pub(super) logs: Vec<Arc<Watched>>,
    pub(super) evidence: Arc<Evidence>,
    pub(super) clock: Clock,
    pub(super) options: Options,
}

/// What one log's requests go through, one at a time.
struct Desk {
    log: Arc<Watched>,
    guard: Mutex<Guard>,
    shown: RwLock<Shown>,
}

/// What may be shown of a log: never more than the guard has.
#[derive(Clone, Debug)]
struct Shown {
    size: u64,
    note: Option<Arc<str>>,
}

/// How a cosigner stands towards a log.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The log.
    pub origin: String,
    /// The size cosigned last.
    pub size: u64,
    /// Its keys.
    pub keys: Keys,
    /// How far it was replayed, for a verifier.
    pub replay: Option<ReplayStanding>,
}

impl Cosigner {
    /// Opens the cosigner of `role` below the data directory: key and guards in `keys/`, records in `<role>.db`; made at the first start.
    pub(super) async fn open(
        shared: &Shared<'_>,
        role: Role,
        name: &str,
        verifier: Option<Arc<Verifier>>,
    ) -> Result<Self, CosignerError> {
        let signer = signer(shared.data, role, name)?;
        let records = Cosigned::open_with(shared.data, role.word(), shared.options.clone()).await?;
        let guards = shared.data.join("keys").join(format!("{role}.guard"));
        durable::create_dir(&guards)?;
        let mut desks = BTreeMap::new();
        for log in &shared.logs {
            desks.insert(log.origin().to_owned(), Desk::open(&guards, role, log, &records).await?);
        }
        let (evidence, clock, metrics) = (shared.evidence.clone(), shared.clock.clone(), Metrics::default());
        Ok(Self { role, signer, records, desks, evidence, clock, metrics, verifier })
    }

    /// Returns which cosigner this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns the key that verifies its cosignatures.
    pub fn vkey(&self) -> &VerifierKey {
        self.signer.verifier_key()
    }

    /// Returns the keys of the logs it cosigns: those that sign now, and those that did.
    pub fn log_keys(&self) -> Vec<VerifierKey> {
        self.desks.values().flat_map(|desk| desk.log.accused()).collect()
    }

    /// Returns how it stands towards each log.
    pub fn standings(&self) -> Vec<Standing> {
        let standing = |(origin, desk): (&String, &Desk)| Standing {
            origin: origin.clone(),
            size: desk.shown().size,
            keys: desk.log.keys(),
            replay: self.verifier.as_ref().and_then(|verifier| verifier.standing(origin)),
        };
        self.desks.iter().map(standing).collect()
    }

    /// Returns the checkpoint of a log cosigned last, with the log's lines and ours; the log named by the hash of its origin.
    pub fn checkpoint(&self, origin_hash: &str) -> Option<Arc<str>> {
        let desk = self.desks.iter().find(|(origin, _)| hex_name(origin) == origin_hash)?.1;
        desk.shown().note
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Answers the body of `add-checkpoint` with our signature line.
    ///
    /// Runs to its end even if whoever asked goes away, so that record and guard move together.
    pub async fn add_checkpoint(self: &Arc<Self>, body: &[u8]) -> Result<String, Declined> {
        let request = Request::decode(body).inspect_err(|_| count(&self.metrics.declined))?;
        let this = self.clone();
        let cosigning = tokio::spawn(async move { this.cosign(&request).await });
        let done = match cosigning.await {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        match &done {
            Ok(_) => count(&self.metrics.cosigned),
            Err(declined) if declined.is_own_failure() => {
                count(&self.metrics.failed);
                error!(role = self.role.word(), error = %declined, "no checkpoint is cosigned");
            }
            Err(_) => count(&self.metrics.declined),
        }
        done
    }

    async fn cosign(self: &Arc<Self>, request: &Request) -> Result<String, Declined> {
        let origin = request.checkpoint().origin.as_str();
        let desk = self.desks.get(origin).ok_or(WitnessRefusal::UnknownLog)?;
        if desk.log.is_signed_otherwise(request.note()) {
            let record = record_of(self.records.load(origin).await?.as_ref());
            desk.log.keep_up(request.note(), record).await; //            a LogConf may have made it one
        }
        if let Some(verifier) = &self.verifier {
            let standing = self.records.load(origin).await?;
            self.decide(desk, standing.as_ref(), request)?;
            verifier.vouch(request).await?; //                            every entry replayed, and the time right
        }
        let mut guard = desk.guard.lock().await;
        let old = self.records.load(origin).await?;
        agree(&guard, old.as_ref())?; //                                 an older database signs nothing
        let granted = self.decide(desk, old.as_ref(), request)?;
        let line = granted.cosign(&self.signer, self.clock.now().as_ms() / 1_000); // in memory only
        let note = granted.cosigned_note(line.clone()).map_err(|_| translog::witness::BadRequest)?.to_string();
        let WitnessRecord { size, root } = granted.record();
        let new = CosignedRow { size, root, note: note.clone().into_bytes() };
        self.records.swap(origin, old.as_ref(), &new).await?; //         THE commit point: the very record decided upon
        guard.raise(Raised { size, root })?; //                          synced beside the key; only now may the line leave
        desk.show(size, note);
        Ok(line.to_string())
    }

    /// Decides, and keeps the evidence if the log contradicts itself.
    fn decide(
        self: &Arc<Self>,
        desk: &Desk,
        record: Option<&CosignedRow>,
        request: &Request,
    ) -> Result<translog::witness::ToCosign, Declined> {
        decide(&record_of(record), request, &desk.log.keys().now).map_err(|refusal| {
            if let Some(row) = record.filter(|_| refusal != WitnessRefusal::Signature) {
                self.keep_contradiction(desk, row, request, refusal);
            }
            Declined::Refused(refusal)
        })
    }

    /// The checkpoint is signed by the log: if it cannot stand beside the one cosigned last, both together convict the log.
    fn keep_contradiction(
        self: &Arc<Self>,
        desk: &Desk,
        row: &CosignedRow,
        request: &Request,
        refusal: WitnessRefusal,
    ) {
        let Ok(cosigned) = Note::parse(&row.note) else { return };
        let path = if request.old_size() == row.size { request.proof() } else { &[] };
        let (keys, size) = (&desk.log.accused(), request.checkpoint().size);
        match self.evidence.keep_contradiction(keys, &cosigned, request.note(), path, size) {
            Ok(Some(file)) => self.caught(desk.log.origin(), &file),
            // A proof that leads nowhere convicts nobody; the log's tiles may.
            Ok(None) if refusal == WitnessRefusal::Proof => {
                let (this, log, offered) = (self.clone(), desk.log.clone(), request.note().clone());
                tokio::spawn(async move {
                    if let Some(file) = forks::look_into(log.clone(), this.evidence.clone(), cosigned, offered).await {
                        this.caught(log.origin(), &file);
                    }
                });
            }
            Ok(None) => {}
            Err(error) => warn!(%error, "evidence could not be kept"),
        }
    }

    fn caught(&self, origin: &str, file: &Path) {
        count(&self.metrics.evidence);
        error!(origin, file = %file.display(), "A LOG SIGNED TWO HISTORIES: evidence is kept");
    }

    /// Closes the records in order. Dropping the cosigner instead loses nothing.
    pub async fn close(self) -> Result<(), StorageError> {
        self.records.close().await
    }
}

impl Desk {
    /// Opens the desk of a log: record and guard must agree.
    async fn open(guards: &Path, role: Role, log: &Arc<Watched>, records: &Cosigned) -> Result<Self, CosignerError> {
        let origin = log.origin().to_owned();
        let row = records.load(&origin).await?;
        let path = guards.join(hex_name(&origin));
        let mut guard = match (path.exists(), &row) {
            (true, _) => Guard::open(&path)?,
            (false, None) => Guard::create(&path, raised(None))?,
            (false, Some(_)) => return Err(CosignerError::GuardMissing { path }),
        };
        if agree(&guard, row.as_ref()).is_err() {
            let (signed, remembered) = (guard.newest().size, row.map_or(0, |row| row.size));
            return Err(CosignerError::RolledBack { role, origin, signed, remembered });
        }
        guard.raise(raised(row.as_ref()))?;
        let note = match &row {
            Some(row) => Some(shown_note(row).ok_or(CosignerError::Damaged { role, origin })?),
            None => None,
        };
        info!(origin = log.origin(), size = guard.newest().size, role = role.word(), "a log is witnessed");
        let shown = RwLock::new(Shown { size: guard.newest().size, note });
        Ok(Self { log: log.clone(), guard: Mutex::new(guard), shown })
    }

    fn shown(&self) -> Shown {
        self.shown.read().expect("no holder panics").clone()
    }

    fn show(&self, size: u64, note: String) {
        *self.shown.write().expect("no holder panics") = Shown { size, note: Some(note.into()) };
    }
}

/// Returns the note of a record, if it says what the record says.
fn shown_note(row: &CosignedRow) -> Option<Arc<str>> {
    let note = Note::parse(&row.note).ok()?;
    let checkpoint = Checkpoint::parse_extended(note.text()).ok()?;
    ((checkpoint.size, checkpoint.root) == (row.size, row.root)).then(|| note.to_string().into())
}

fn record_of(row: Option<&CosignedRow>) -> WitnessRecord {
    row.map_or(WitnessRecord::NONE, |row| WitnessRecord { size: row.size, root: row.root })
}

fn raised(row: Option<&CosignedRow>) -> Raised {
    let WitnessRecord { size, root } = record_of(row);
    Raised { size, root }
}

/// In honest history the record is at the guard or ahead of it.
fn agree(guard: &Guard, row: Option<&CosignedRow>) -> Result<(), Declined> {
    let (signed, remembered) = (guard.newest(), raised(row));
    match remembered == signed || remembered.size > signed.size {
        true => Ok(()),
        false => Err(Declined::RolledBack),
    }
}

/// Returns how a log is named in paths: the hash of its origin in hexadecimal digits.
pub fn hex_name(origin: &str) -> String {
    HEXLOWER.encode(&sha256(&[origin.as_bytes()]))
}

/// Returns the signer of a role below `data`; its key is made if there is none.
pub fn signer(data: &Path, role: Role, name: &str) -> Result<note::Cosigner, CosignerError> {
    let keys_at = data.join("keys");
    durable::create_dir(&keys_at)?;
    let key: SigningKey = keys::cosigner(&keys_at.join(format!("{role}.key")), role.word(), &mut crate::rng::system())?;
    note::Cosigner::new(name, key).map_err(|_| CosignerError::Name { name: name.to_owned() })
}

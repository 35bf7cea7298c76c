//! What a recovery server does for whom (PROTOCOL 24.5 to 24.8).
//!
//! Order of an evaluation: opened, read from the log (the head is durable), decided, the statements judged, the attempt noted
//! (durable), evaluated, answered. A crash before the note leaves nothing; after it the client repeats and gets the same point's answer.

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::evidence::{Binding, Purpose, evidence_hash};
use identity::hash::Hash;
use identity::key::{KexSecret, SigningKey, kid_of};
use identity::oprf::{Element, Server};
use identity::recovery::gate::{self, Mark, Row, Step};
use identity::recovery::message::{Ask, Evaluate, Evaluated, Register, Release, ServerInfo};
use identity::recovery::message::{open_ask, seal_share};
use identity::recovery::{Scope, Share};
use identity::state::DidState;
use rand_core::CryptoRng;
use storage::StorageError;
use storage::recovery::{EnrolmentRow, Recovery};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::RecoveryConfig;
use super::error::RecoveryError;
use super::judge::Judge;
use super::log::{LogReader, Shown};
use super::secrets::{Master, Opened, SignIn};
use super::stats::{Counts, Stats};
use crate::clock::Clock;
use crate::keys::KeyFileError;
use crate::outbound::Outbound;

/// Rows of a DID that the log does not name, at most.
const LOOSE_ROWS_MAX: usize = 4;

/// Requests worked on at once; further ones wait a little, or are told so.
const AT_ONCE: usize = 64;

/// DIDs of a page of a sweep.
const SWEEP_PAGE: u32 = 256;

/// How often a decision is made again because another request noted an attempt meanwhile.
const TRIES: usize = 4;

/// A recovery server at work.
pub struct Desk {
    sign: SigningKey,
    kex: KexSecret,
    info: ServerInfo,
    master: Master,
    log: LogReader,
    store: Recovery,
    judge: Judge,
    clock: Clock,
    stats: Stats,
    places: Semaphore,
}

impl Desk {
    pub(super) fn new(
        config: &RecoveryConfig,
        master: Master,
        log: LogReader,
        store: Recovery,
        outbound: Outbound,
        clock: Clock,
    ) -> Result<Self, KeyFileError> {
        let (sign, kex) = master.keys();
        let judge = Judge::new(config, log.trust().zone(), &outbound, clock.clone())?;
        let info = ServerInfo {
            key: sign.public(),
            kex: kex.public(),
            operator: config.operator.clone(),
            domain: config.domain.clone(),
            issuers: judge.names(),
            witnessed: !log.trust().policy().is_none(),
        };
        let (stats, places) = (Stats::default(), Semaphore::new(AT_ONCE));
        Ok(Self { sign, kex, info, master, log, store, judge, clock, stats, places })
    }

    /// Returns what the server says of itself, signed.
    pub fn info(&self) -> Vec<u8> {
        self.info.sign(self.log.trust().origin(), &self.sign)
    }

    /// Returns the key that enrolments name it by.
    pub fn key(&self) -> KeyBytes {
        self.sign.public()
    }

    /// Returns the bundle with this hash.
    pub async fn bundle(&self, hash: &Hash) -> Result<Option<Vec<u8>>, StorageError> {
        self.store.bundle(hash).await
    }

    /// Returns its counters.
    pub async fn counts(&self) -> Result<Counts, StorageError> {
        Ok(self.stats.counts(self.store.count().await?, self.log.fault()))
    }

    /// Returns whether it reads the log: it was not found at fault.
    pub fn is_ready(&self) -> bool {
        self.log.fault().is_none()
    }

    /// Counts what was refused.
    pub fn refused(&self, error: &RecoveryError) {
        self.stats.refused(error.code());
    }

    /// Closes the database in order. Dropping it instead loses nothing.
    pub(crate) async fn close(self) -> Result<(), StorageError> {
        self.store.close().await
    }

    /// Keeps a share, and tries it on a point.
    pub async fn register(&self, body: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, RecoveryError> {
        let _place = self.place().await?;
        let request = open_ask(Ask::Register, &self.key(), &self.kex, body)?;
        let asked = Register::open(&request, self.log.trust().origin())?;
        let server = Server::from_scalar(&asked.key_share).map_err(|_| RecoveryError::BadPoint)?;
        let Scope { did, epoch } = asked.bundle.scope;
        let shown = self.log.read(&self.store, &did).await?;
        let state = shown.state.as_ref().filter(|state| has_vote(state, &asked)).ok_or(RecoveryError::NotAllowed)?;
        let next = state.recovery.as_ref().map_or(1, |recovery| recovery.epoch.saturating_add(1));
        if epoch != next {
            return Err(RecoveryError::BadEpoch { next });
        }
        let mut sign_ins = Vec::with_capacity(asked.sign_ins.len());
        for proof in &asked.sign_ins {
            let (purpose, blinded) = (Purpose::Enrolment, None);
            let binding = Binding { purpose, sign: asked.sign, kex: asked.kex, blinded, random: proof.random };
            sign_ins.push(self.judge.enrolled(proof, &binding).await?);
        }
        let (elements, proof) = server.evaluate(&[asked.blinded], rng).map_err(|_| RecoveryError::BadPoint)?;
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        let backup_share = Zeroizing::new(*asked.backup_share.value());
        let opened = Opened { key_share: asked.key_share.clone(), backup_share, sign_ins };
        let row = EnrolmentRow {
            did,
            epoch,
            public: server.public(),
            point: asked.backup_share.index,
            salt,
            secrets: self.master.seal(&did, epoch, &salt, &opened),
            bundle: asked.bundle.encode(),
            attempt: 0,
            blinded: None,
            made_s: self.clock.now().as_ms() / 1_000,
        };
        let old = self.to_make_room(&shown, &did).await?;
        self.store.put(&row, &old).await?;
        self.stats.registered();
        Ok(Evaluated { element: elements[0], proof }.encode())
    }

    /// Evaluates the point of an attempt that is open in the log.
    pub async fn evaluate(&self, body: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, RecoveryError> {
        let _place = self.place().await?;
        let request = open_ask(Ask::Evaluate, &self.key(), &self.kex, body)?;
        let asked = Evaluate::decode(&request)?;
        let mut rows = self.known(&asked.scope).await?;
        let shown = self.log.read(&self.store, &asked.scope.did).await?;
        for _ in 0..TRIES {
            let (kept, opened, row) = self.row(&shown, rows)?;
            let logged = shown.logged()?;
            let step = gate::evaluate(&row, &self.key(), &logged, asked.attempt)?;
            let point = match step {
                Step::Mark(mark) => mark.blinded,
                Step::Again(point) => point,
            };
            let proofs = self.judge_attempt(&asked, &logged, (&point, &opened.sign_ins)).await?;
            gate::sign_ins(&row, &logged, &proofs)?;
            if let Step::Mark(Mark { attempt, blinded }) = step {
                let place = (&kept.did, kept.epoch, &kept.public);
                if !self.store.mark(place, attempt, &blinded).await? {
                    // Another request was faster: what it noted decides.
                    rows = self.known(&asked.scope).await?;
                    continue;
                }
            }
            self.stats.evaluated(matches!(step, Step::Again(_)));
            let server = Server::from_scalar(&opened.key_share).map_err(|_| RecoveryError::BadPoint)?;
            let (elements, proof) = server.evaluate(&[point], rng).map_err(|_| RecoveryError::BadPoint)?;
            return Ok(Evaluated { element: elements[0], proof }.encode());
        }
        Err(RecoveryError::Busy)
    }

    /// Releases the share of the backup of a recovery that is ready.
    pub async fn release(&self, body: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, RecoveryError> {
        let _place = self.place().await?;
        let request = open_ask(Ask::Release, &self.key(), &self.kex, body)?;
        let asked = Release::open(&request)?;
        let Release { scope, attempt, server } = *asked.unverified();
        if server != self.key() {
            return Err(RecoveryError::Message(identity::recovery::message::MessageError::Form));
        }
        let rows = self.known(&scope).await?;
        let shown = self.log.read(&self.store, &scope.did).await?;
        let (kept, opened, row) = self.row(&shown, rows)?;
        let device = gate::release(&row, &self.key(), &shown.logged()?, attempt)?;
        asked.verify(self.log.trust().origin(), &device.sign)?;
        let share = Share::new(kept.point, *opened.backup_share);
        let sealed = seal_share(&share, &scope, &self.key(), &device.kex, rng);
        self.stats.released();
        sealed.map_err(|_| RecoveryError::BadPoint)
    }

    /// Erases what the log says is over; returns how many rows that were.
    pub async fn erase(&self, did: &Did) -> Result<usize, RecoveryError> {
        let _place = self.place().await?;
        if self.store.of_did(did).await?.is_empty() {
            return Ok(0);
        }
        let shown = self.log.read(&self.store, did).await?;
        let (_, over) = self.sorted(&shown, did).await?;
        let erased = self.store.erase(did, &over).await?;
        self.stats.erased(erased);
        Ok(erased)
    }

    /// Erases every row that the log says is over.
    pub(super) async fn sweep(&self) -> Result<usize, RecoveryError> {
        let (mut erased, mut after) = (0, Did::from_bytes([0; 20]));
        loop {
            let dids = self.store.dids(&after, SWEEP_PAGE).await?;
            for did in &dids {
                erased += self.erase(did).await?;
            }
            match dids.last() {
                Some(last) => after = *last,
                None => return Ok(erased),
            }
        }
    }

    async fn place(&self) -> Result<tokio::sync::SemaphorePermit<'_>, RecoveryError> {
        let place = tokio::time::timeout(std::time::Duration::from_secs(2), self.places.acquire()).await;
        place.ok().and_then(Result::ok).ok_or(RecoveryError::Busy)
    }

    /// Returns the rows of an epoch; refuses what is about nobody here, before the log is read for it.
    async fn known(&self, scope: &Scope) -> Result<Vec<EnrolmentRow>, RecoveryError> {
        let mut rows = self.store.of_did(&scope.did).await?;
        rows.retain(|row| row.epoch == scope.epoch);
        if rows.is_empty() { Err(RecoveryError::NoRow) } else { Ok(rows) }
    }

    /// Returns the row that the enrolment in force names, or else any of that epoch: the gate says what is wrong with it.
    fn row(&self, shown: &Shown, rows: Vec<EnrolmentRow>) -> Result<(EnrolmentRow, Opened, Row), RecoveryError> {
        let enrolment = shown.logged().ok().map(|logged| logged.enrolment);
        let mut found = None;
        for kept in rows {
            let opened = self.master.open(&kept).ok_or_else(damaged)?;
            let row = gate_row(&kept, &opened);
            let named = enrolment.as_ref().is_some_and(|enrolment| gate::names(enrolment, &row, &self.key()));
            if named || found.is_none() {
                found = Some((kept, opened, row));
            }
            if named {
                break;
            }
        }
        found.ok_or(RecoveryError::NoRow)
    }

    /// Returns the rows that the log does not name and does not rule out, the oldest first, and those that are over.
    async fn sorted(&self, shown: &Shown, did: &Did) -> Result<(Vec<Key>, Vec<Key>), RecoveryError> {
        let waiting = shown.waiting();
        let in_force = shown.logged().ok().map(|logged| logged.enrolment);
        let recovery = shown.state.as_ref().and_then(|state| state.recovery.as_deref());
        let (mut loose, mut over) = (Vec::new(), Vec::new());
        for kept in self.store.of_did(did).await? {
            let row = gate_row(&kept, &self.master.open(&kept).ok_or_else(damaged)?);
            let named = in_force.iter().chain(&waiting).any(|enrolment| gate::names(enrolment, &row, &self.key()));
            if gate::is_over(&row, &self.key(), recovery, &waiting) {
                over.push((kept.epoch, kept.public));
            } else if !named {
                loose.push((kept.epoch, kept.public));
            }
        }
        Ok((loose, over))
    }

    /// Returns the rows that a new one of this DID takes the place of.
    async fn to_make_room(&self, shown: &Shown, did: &Did) -> Result<Vec<Key>, RecoveryError> {
        let (mut loose, mut over) = self.sorted(shown, did).await?;
        let too_many = (loose.len() + 1).saturating_sub(LOOSE_ROWS_MAX);
        over.extend(loose.drain(..too_many));
        Ok(over)
    }

    /// Judges the sign-ins of an attempt: ids and evidence hashes, as this server makes them.
    async fn judge_attempt(
        &self,
        asked: &Evaluate,
        logged: &gate::Logged,
        (point, listed): (&Element, &[SignIn]),
    ) -> Result<Vec<(Hash, Hash)>, RecoveryError> {
        let Some(open) = &logged.open else { return Ok(Vec::new()) };
        let mut judged = Vec::with_capacity(asked.sign_ins.len());
        for proof in &asked.sign_ins {
            let (purpose, blinded) = (Purpose::Recovery, Some(*point));
            let binding = Binding { purpose, sign: open.sign, kex: open.kex, blinded, random: proof.random };
            let known = self.judge.shown(proof, &binding, listed).await?;
            judged.push((known.map_or([0; 32], |known| known.id), evidence_hash(&proof.statement, &proof.salt)));
        }
        Ok(judged)
    }
}

/// What names a row of a DID.
type Key = (u32, [u8; 32]);

fn gate_row(kept: &EnrolmentRow, opened: &Opened) -> Row {
    Row {
        scope: Scope { did: kept.did, epoch: kept.epoch },
        index: kept.point,
        public: kept.public,
        sign_ins: opened.sign_ins.iter().map(|sign_in| (sign_in.id, sign_in.salt)).collect(),
        mark: kept.blinded.map(|blinded| Mark { attempt: kept.attempt, blinded }),
    }
}

fn has_vote(state: &DidState, asked: &Register) -> bool {
    let device = state.device(&kid_of(&asked.sign)).filter(|device| device.sign == asked.sign);
    state.flags & DidState::ENDED == 0 && device.is_some_and(|device| device.kex == asked.kex && device.is_voter())
}

fn damaged() -> RecoveryError {
    RecoveryError::Storage(StorageError::Corrupt {
        place: storage::Place::Table("enrolments"),
        detail: "the secrets of a row are too short".into(),
    })
}

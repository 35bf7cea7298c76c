//! The log as a recovery server reads it: each DID from its genesis, under heads that continue the largest it has seen.
//!
//! Two heads that the log's key signed and that contradict each other end the reading for good: what follows could be either history.
//! The file that convicts the log and a mark beside it outlast restarts, until an operator who has looked erases the mark.
//!
//! The memory of that head is in the database; a head is durable there before anything rests on it. A crash before leaves the older
//! one, from which the log has to continue just the same.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dgns_api::known::Known;
use dgns_api::path;
use identity::cert::{Body, Enrolment, Sid};
use identity::did::Did;
use identity::recovery::gate::{GateRefusal, Logged};
use identity::state::{DidState, Subject};
use storage::StorageError;
use storage::recovery::{KeptHead, Recovery};
use translog::head::Head;
use translog::map;
use translog::resolve::{self, ChainStep, VerifyError};
use translog::trust::{Memory, Trust};

use super::error::RecoveryError;
use super::evidence::Evidence;
use super::followed::FollowedKeys;
use crate::clock::Clock;
use crate::follow::standing::Fault;
use crate::outbound::{Bounds, Outbound};
use crate::rotation;

/// What one page of a chain may cost.
const BOUNDS: Bounds = Bounds { deadline: Duration::from_secs(5), body_bytes_max: 256 << 10 };

/// How often a read begins again because another one met a newer head meanwhile.
const TRIES: usize = 16;

/// The pages of a chain: 64 certificates each. A longer one belongs to nobody who recovers.
const PAGES_MAX: usize = 256;

/// Reads one log.
pub(super) struct LogReader {
    base: String,
    trust: Mutex<Trust>,
    followed: FollowedKeys,
    memory: Mutex<Memory>,
    /// The size of the largest head that is in the database.
    durable: AtomicU64,
    outbound: Outbound,
    clock: Clock,
    evidence: Evidence,
}

/// A DID as the log has it now, followed from its genesis.
pub(super) struct Shown {
    /// Its state; `None`: the log has no such DID.
    pub(super) state: Option<DidState>,
    /// Every certificate of its chain.
    pub(super) chain: Vec<ChainStep>,
    /// The time of the head's Epoch, ms.
    pub(super) now_ms: u64,
    /// The head, as it is kept.
    size: u64,
    memory: Vec<u8>,
    origin: String,
}

impl Shown {
    /// Returns the head as it is kept.
    fn head(&self) -> KeptHead<'_> {
        (&self.origin, self.size, &self.memory)
    }

    /// Returns what the log says of the DID's recovery.
    pub(super) fn logged(&self) -> Result<Logged, GateRefusal> {
        let state = self.state.as_ref().and_then(|state| state.recovery.as_deref());
        Logged::of(state.ok_or(GateRefusal::NoRecovery)?, self.now_ms, self.bodies())
    }

    /// Returns the enrolments of acts that wait for their window.
    pub(super) fn waiting(&self) -> Vec<Enrolment> {
        let pending = self.state.iter().flat_map(|state| &state.pending);
        let set = |sid: &Sid| self.bodies().find(|(other, _)| other == sid).map(|(_, body)| body.clone());
        let sets = pending.filter_map(|act| match set(&act.sid) {
            Some(Body::RecoverySet(set)) => set.enrolment,
            _ => None,
        });
        sets.collect()
    }

    fn bodies(&self) -> impl Iterator<Item = (Sid, &Body)> + Clone {
        self.chain.iter().map(|step| (step.certificate.sid(), &step.certificate.payload().body))
    }
}

impl LogReader {
    /// Returns a reader that goes on from the head that was kept.
    pub(super) async fn open(
        base: &str,
        (trust, data): (Trust, &Path),
        outbound: Outbound,
        clock: Clock,
        store: &Recovery,
    ) -> Result<Self, StorageError> {
        let (followed, trust) = FollowedKeys::open(data, trust);
        let kept = store.head(trust.origin().as_str()).await?;
        let memory = kept.and_then(|bytes| Memory::decode(&bytes).ok());
        let memory = memory.unwrap_or_else(|| Memory::new(trust.origin().clone()));
        let (base, durable) = (base.trim_end_matches('/').to_owned(), AtomicU64::new(memory.size().unwrap_or(0)));
        let evidence = Evidence::below(&base, data, clock.clone());
        let (trust, memory) = (Mutex::new(trust), Mutex::new(memory));
        Ok(Self { base, trust, followed, memory, durable, outbound, clock, evidence })
    }

    /// Returns whom this reader believes.
    pub(super) fn trust(&self) -> Trust {
        self.trust.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads a DID, and keeps the head it stands under.
    pub(super) async fn read(&self, store: &Recovery, did: &Did) -> Result<Shown, RecoveryError> {
        if let Some(fault) = self.fault() {
            return Err(RecoveryError::LogFault(fault));
        }
        for _ in 0..TRIES {
            let before = self.memory();
            let (shown, after) = match self.follow(before.clone(), did).await {
                Err(RecoveryError::LogProof(VerifyError::LogSignature)) => {
                    self.follow_keys(&before).await?;
                    self.follow(before.clone(), did).await?
                }
                read => read?,
            };
            if self.keep(&before, after) {
                // Most requests meet a head that is durable already: the log makes one now and then, people ask all the time.
                if shown.size > self.durable.load(Ordering::Acquire) {
                    store.keep_head(shown.head()).await?;
                    self.durable.fetch_max(shown.size, Ordering::AcqRel);
                }
                return Ok(shown);
            }
        }
        Err(RecoveryError::Busy)
    }

    /// Returns the fault that ended the reading, if the log was found at one.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.evidence.fault()
    }

    fn memory(&self) -> Memory {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a newer memory in the place of the one it continues. False: another read was faster, with another head.
    fn keep(&self, before: &Memory, after: Memory) -> bool {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |one: Option<&Head>, other: Option<&Head>| {
            one.map(|head| (head.size, head.root)) == other.map(|head| (head.size, head.root))
        };
        if same(memory.head(), after.head()) {
            return true;
        }
        if !same(memory.head(), before.head()) {
            return false;
        }
        *memory = after;
        true
    }

    async fn follow(&self, mut memory: Memory, did: &Did) -> Result<(Shown, Memory), RecoveryError> {
        let (trust, subject) = (self.trust(), Subject::Did(*did));
        let mut known = Known { did: *did, next: 0, mark: None };
        let mut chain = Vec::new();
        for _ in 0..PAGES_MAX {
            let from = memory.size().map_or(String::new(), |size| format!("&from={size}"));
            let url = format!("{}{}{did}?known={known}{from}", self.base, path::DIDS);
            let answer = self.outbound.get(&url, BOUNDS).await.map_err(RecoveryError::LogSilent)?;
            if answer.status != 200 {
                return Err(self.evidence.of_status(&trust, &answer, memory.head()));
            }
            let verified = resolve::verify(&trust, &mut memory, &subject, &answer.body, self.clock.now());
            let resolved =
                verified.map_err(|error| self.evidence.of_answer(&trust, error, (did, &answer.body), memory.head()))?;
            chain.extend_from_slice(resolved.chain());
            if resolved.unfollowed().is_some() {
                let kept = memory.known(did).ok_or(RecoveryError::LogProof(VerifyError::Chain))?.state();
                let mark = Some(Known::mark_of(&map::state_hash(&kept.encode())));
                let next = Known { did: *did, next: kept.head.seq + 1, mark };
                if next == known {
                    return Err(RecoveryError::LogProof(VerifyError::Chain));
                }
                known = next;
                continue;
            }
            let state = resolved.did().cloned();
            if state.is_some() && resolved.footing() != Some(resolve::Footing::Genesis) {
                return Err(RecoveryError::LogProof(VerifyError::Chain));
            }
            let (now_ms, memory) = (resolved.epoch().time_ms, memory.without(did));
            let (size, bytes) = (memory.size().unwrap_or(0), memory.encode());
            let origin = trust.origin().as_str().to_owned();
            return Ok((Shown { state, chain, now_ms, size, memory: bytes, origin }, memory));
        }
        Err(RecoveryError::LogProof(VerifyError::Chain))
    }

    /// Follows the log to other keys, if it has changed them: from those that are trusted, by the log's own word.
    async fn follow_keys(&self, memory: &Memory) -> Result<(), RecoveryError> {
        let known = memory.head().map_or((0, [0; 32]), |head| (head.size, head.root));
        let now = self.clock.now();
        let trust = self.trust();
        let followed = rotation::follow(&self.outbound, &self.base, &trust, known, None, || now).await;
        let unproved = || RecoveryError::LogProof(VerifyError::LogSignature);
        let followed = followed.map_err(|_| unproved())?;
        self.followed.keep(&followed.log_keys)?;
        let trust = trust.with_log_keys(followed.log_keys).map_err(|_| unproved())?;
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = trust;
        Ok(())
    }
}

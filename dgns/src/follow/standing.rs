//! How a follower stands: what it says in `/v1/info`, `/metrics` and `/ready`, and the fault that ended its following.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use dgns_api::info::Follows;
use identity::time::Timestamp;
use serde::{Deserialize, Serialize};
use storage::durable;
use translog::fault::{FaultFile, FaultKind};
use translog::policy::Policy;

/// The file that says that a fault ended the following; an operator who has looked at it erases it.
const MARK: &str = "fault.json";

/// Files kept at most: the first of those that convict nobody tell enough.
const FILES_MAX: usize = 256;

/// How a follower stands.
#[derive(Debug)]
pub struct Standing {
    url: String,
    evidence: PathBuf,
    max_stale_ms: u64,
    now: Mutex<Now>,
}

#[derive(Clone, Debug, Default)]
struct Now {
    quorum: String,
    state: Option<State>,
    origin_size: u64,
    heard_ms: u64,
    problem: Option<String>,
    refused: u64,
    fault: Option<Fault>,
}

/// What a follower is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It takes over what it lacks.
    CatchingUp,
    /// It asks for the checkpoint again and again.
    Polling,
    /// It reads the stream of batches.
    Streaming,
    /// The origin does not answer.
    Away,
    /// What the origin answers is not its log; it is asked again.
    Refused,
}

/// What ended the following.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The stable code.
    pub code: String,
    /// One sentence.
    pub what: String,
    /// When it was found.
    pub since_ms: u64,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::CatchingUp => "catching-up",
            Self::Polling => "polling",
            Self::Streaming => "streaming",
            Self::Away => "away",
            Self::Refused => "refused",
        }
    }
}

impl Standing {
    /// Returns how a start stands: with the fault that ended the following before, if there is one.
    ///
    /// `evidence` is the directory that keeps it; after a fault the state verified last is served for `max_stale_s`.
    pub fn new(url: &str, evidence: &Path, max_stale_s: u64) -> Self {
        let kept = std::fs::read(evidence.join(MARK)).ok();
        // A mark that does not read is one all the same: somebody has to look at it.
        let fault = kept.map(|bytes| {
            serde_json::from_slice(&bytes).unwrap_or_else(|_| Fault {
                code: "fault".to_owned(),
                what: format!("{MARK} in the evidence directory cannot be read"),
                since_ms: 0,
            })
        });
        let now = Mutex::new(Now { fault, ..Now::default() });
        Self {
            url: url.to_owned(),
            evidence: evidence.to_owned(),
            max_stale_ms: max_stale_s.saturating_mul(1_000),
            now,
        }
    }

    /// Notes what the follower is doing.
    pub fn set(&self, state: State) {
        let mut now = self.lock();
        now.state = Some(state);
        if !matches!(state, State::Away | State::Refused) {
            now.problem = None;
        }
    }

    /// Notes the policy that followed heads must meet.
    pub fn asks_for(&self, policy: &Policy) {
        self.lock().quorum = policy.quorum_name().to_owned();
    }

    /// Returns the name of the quorum that followed heads must meet.
    pub fn quorum(&self) -> String {
        self.lock().quorum.clone()
    }

    /// Notes that the origin showed a head it signed.
    pub fn heard(&self, size: u64, at: Timestamp) {
        let mut now = self.lock();
        (now.origin_size, now.heard_ms) = (size, at.as_ms());
    }

    /// Notes why nothing goes on for now.
    pub fn stuck(&self, state: State, problem: &str) {
        let mut now = self.lock();
        now.refused += u64::from(state == State::Refused);
        (now.state, now.problem) = (Some(state), Some(problem.to_owned()));
    }

    /// Keeps evidence of what was refused or convicts; the same name is kept once, and so many that no log fills the disk.
    pub fn keep(&self, name: &str, file: &FaultFile) -> std::io::Result<()> {
        let path = self.evidence.join(name);
        let kept = || std::fs::read_dir(&self.evidence).map_or(0, Iterator::count);
        match path.exists() || (file.kind() == FaultKind::Answer && kept() >= FILES_MAX) {
            true => Ok(()),
            false => write(&path, &file.encode()),
        }
    }

    /// Ends the following: a fault of the log, kept beside its evidence over restarts.
    pub fn fault(&self, fault: Fault) -> std::io::Result<()> {
        let bytes = serde_json::to_vec_pretty(&fault).expect("a fault is plain data");
        self.lock().fault = Some(fault);
        write(&self.evidence.join(MARK), &bytes)
    }

    /// Returns what ended the following.
    pub fn ended(&self) -> Option<Fault> {
        self.lock().fault.clone()
    }

    /// Returns how long the state verified last is still served: `None` while there is no fault.
    pub fn served_for_ms(&self, now: Timestamp) -> Option<u64> {
        let fault = self.lock().fault.clone()?;
        Some(fault.since_ms.saturating_add(self.max_stale_ms).saturating_sub(now.as_ms()))
    }

    /// Returns whether the state verified last is no longer to be served.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.served_for_ms(now) == Some(0)
    }

    /// Returns the URL that takes writes.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns what `/v1/info` says of it, as of a newest head of `size` leaves.
    pub fn follows(&self, size: u64, at: Timestamp) -> Follows {
        let now = self.lock().clone();
        let state = match &now.fault {
            Some(_) => "fault",
            None => now.state.unwrap_or(State::Polling).word(),
        };
        Follows {
            url: self.url.clone(),
            state: state.to_owned(),
            stale: now.fault.is_some(),
            behind: now.origin_size.saturating_sub(size),
            heard_ms_ago: (now.heard_ms > 0).then(|| at.as_ms().saturating_sub(now.heard_ms)),
            problem: now.fault.map(|fault| fault.code).or(now.problem),
            refused: now.refused,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().expect("no holder of the lock panics: it guards plain data")
    }
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let fault = |error: storage::StorageError| std::io::Error::other(error.to_string());
    durable::create_dir(path.parent().expect("below the evidence directory")).map_err(fault)?;
    durable::replace(path, bytes).map_err(fault)
}

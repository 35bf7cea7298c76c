//! What a recovery server keeps of a log that contradicts itself (PROTOCOL 24.5).
//!
//! A file that convicts ends the reading of the log: the mark beside it outlasts restarts. The file is durable before the mark; a crash
//! between the two leaves a server that meets the contradiction again.

use std::path::Path;

use dgns_api::code;
use dgns_api::problem::Problem;
use identity::did::Did;
use tracing::{error, warn};
use translog::fault::{FaultFile, FaultKind};
use translog::head::Head;
use translog::resolve::VerifyError;
use translog::trust::Trust;

use super::error::RecoveryError;
use crate::clock::Clock;
use crate::follow::standing::{Fault, Standing};
use crate::outbound::Answer;

/// The directory, below that of the database.
const DIRECTORY: &str = "evidence";

/// Keeps evidence, and knows whether the log was found at fault.
pub(super) struct Evidence {
    standing: Standing,
    clock: Clock,
}

impl Evidence {
    /// Returns what is below a data directory about the log at `url`.
    pub(super) fn below(url: &str, data: &Path, clock: Clock) -> Self {
        let evidence = Self { standing: Standing::new(url, &data.join(DIRECTORY), 0), clock };
        if let Some(Fault { code, what, .. }) = evidence.fault() {
            error!(code, what, "THE LOG IS AT FAULT; nothing is kept, evaluated or released");
        }
        evidence
    }

    /// Returns the fault that ended the reading, if the log was found at one.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.standing.ended()
    }

    /// Keeps what an answer about a DID shows that is not proved, and returns what to say of it. `known`: the largest head before.
    pub(super) fn of_answer(
        &self,
        trust: &Trust,
        error: VerifyError,
        (did, answer): (&Did, &[u8]),
        known: Option<&Head>,
    ) -> RecoveryError {
        let file = FaultFile::of_answer(trust, error, &did.to_string(), answer, known);
        let is_contradiction = matches!(error, VerifyError::Fork | VerifyError::Rollback | VerifyError::Inconsistent);
        match file.kind() == FaultKind::Answer && !is_contradiction {
            true => RecoveryError::LogProof(error),
            false => self.keep(trust, error, &file, known),
        }
    }

    /// Returns what to say of an answer without a Resolution. A server that never had the largest head seen shows a log that went back.
    pub(super) fn of_status(&self, trust: &Trust, answer: &Answer, known: Option<&Head>) -> RecoveryError {
        let problem = serde_json::from_slice::<Problem>(&answer.body).ok();
        match problem.filter(|problem| problem.code == code::UNKNOWN_HEAD) {
            Some(problem) => {
                let checkpoint = problem.checkpoint.unwrap_or_default();
                let file = FaultFile::of_shrunk_log(trust, checkpoint.as_bytes(), known);
                self.keep(trust, VerifyError::Rollback, &file, known)
            }
            None => RecoveryError::LogStatus(answer.status),
        }
    }

    fn keep(&self, trust: &Trust, error: VerifyError, file: &FaultFile, known: Option<&Head>) -> RecoveryError {
        let size = known.map_or(0, |head| head.size);
        let convicts = file.kind() != FaultKind::Answer;
        let what = if convicts { file.kind().word() } else { error.code() };
        let name = format!("{}-{size}-{what}.fault", trust.zone().as_str());
        if let Err(why) = self.standing.keep(&name, file) {
            return RecoveryError::Evidence(why);
        }
        if !convicts {
            warn!(code = error.code(), file = name, "the log contradicts what this server has seen of it");
            return RecoveryError::LogProof(error);
        }
        let since_ms = self.clock.now().as_ms();
        let fault = Fault { code: error.code().to_owned(), what: format!("{error}; evidence: {name}"), since_ms };
        error!(code = fault.code, what = fault.what, "THE LOG IS AT FAULT; nothing is kept, evaluated or released");
        match self.standing.fault(fault.clone()) {
            Ok(()) => RecoveryError::LogFault(fault),
            Err(why) => RecoveryError::Evidence(why),
        }
    }
}

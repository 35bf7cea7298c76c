//! The cosigners of a process: a witness, and beside it a verifying one if the configuration says so.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use storage::{Options, StorageError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use translog::note::VerifierKey;

use super::cosigner::{self, Cosigner, CosignerError, Role};
use super::logs::{LogsError, WitnessedLogs};
use super::metrics;
use super::verifier::Verifier;
use crate::clock::Clock;
use crate::config::WitnessConfig;
use crate::outbound::Outbound;

/// Why the cosigners do not start.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// The file of logs.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// Key, records, guard.
    #[error(transparent)]
    Cosigner(#[from] CosignerError),
}

impl RolesError {
    /// Returns whether what is stored is at fault.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Cosigner(error) if error.is_fault())
    }
}

/// The cosigners of a process.
pub struct Roles {
    witness: Arc<Cosigner>,
    verifier: Option<(Arc<Cosigner>, Arc<Verifier>)>,
}

impl Roles {
    /// Opens what `config` names below `data`.
    pub async fn open(
        data: &Path,
        config: &WitnessConfig,
        outbound: &Outbound,
        clock: &Clock,
    ) -> Result<Self, RolesError> {
        let logs = WitnessedLogs::read(&config.logs)?;
        Self::open_with(data, config, &logs, outbound, clock, Options::default()).await
    }

    /// Opens the cosigners of `logs` in the way `options` say.
    pub async fn open_with(
        data: &Path,
        config: &WitnessConfig,
        logs: &WitnessedLogs,
        outbound: &Outbound,
        clock: &Clock,
        options: Options,
    ) -> Result<Self, RolesError> {
        let open = async |role, name: &str, verifier| {
            Cosigner::open(data, role, name, logs, verifier, clock.clone(), options.clone()).await.map(Arc::new)
        };
        let witness = open(Role::Witness, &config.name, None).await?;
        let verifier = match config.verifier {
            false => None,
            true => {
                let replays = Verifier::open(data, logs, outbound, clock)?;
                let cosigner = open(Role::Verifier, &config.verifier_name, Some(replays.clone())).await?;
                Some((cosigner, replays))
            }
        };
        Ok(Self { witness, verifier })
    }

    /// Begins the replays; they end after `stop` turns true.
    pub fn start(&self, stop: &watch::Receiver<bool>) -> Option<JoinHandle<()>> {
        self.verifier.as_ref().map(|(_, replays)| tokio::spawn(replays.clone().run(stop.clone())))
    }

    /// Returns the cosigner of a role, if this process has it.
    pub fn cosigner(&self, role: Role) -> Option<&Arc<Cosigner>> {
        match role {
            Role::Witness => Some(&self.witness),
            Role::Verifier => self.verifier.as_ref().map(|(cosigner, _)| cosigner),
        }
    }

    /// Returns all cosigners of this process.
    pub fn cosigners(&self) -> impl Iterator<Item = &Cosigner> {
        [Role::Witness, Role::Verifier].into_iter().filter_map(|role| self.cosigner(role)).map(Arc::as_ref)
    }

    /// Returns the keys of these cosigners and of every log they sign.
    pub fn keys(&self) -> Vec<VerifierKey> {
        let of = |cosigner: &Cosigner| cosigner.log_keys().chain([cosigner.vkey()]).cloned().collect::<Vec<_>>();
        self.cosigners().flat_map(of).collect()
    }

    /// Returns the policy lines that name these cosigners, reached below `base`.
    pub fn policy_lines(&self, base: &str) -> Vec<String> {
        self.cosigners().map(|cosigner| policy_line(cosigner.vkey(), cosigner.role(), base)).collect()
    }

    /// Renders the counters.
    pub fn metrics(&self) -> String {
        metrics::render(self)
    }

    /// Returns what a cosigner says of itself: its key, and how it stands towards each log. Nothing in it proves anything.
    pub fn status(&self, role: Role) -> Option<Value> {
        let cosigner = self.cosigner(role)?;
        let logs = cosigner.standings().into_iter().map(|standing| {
            let mut log = json!({ "origin": standing.origin, "size": standing.size });
            log["checkpoint"] = format!("/{role}/{}/checkpoint", cosigner::hex_name(&standing.origin)).into();
            if let Some(replay) = standing.replay {
                log["replayed"] = replay.entries.into();
                log["trouble"] = replay.trouble.into();
                log["held_up"] = replay.held_up.map_or(
                    Value::Null,
                    |held| json!({ "code": held.code, "what": held.what, "evidence": held.evidence }),
                );
            }
            log
        });
        Some(json!({ "role": role.word(), "vkey": cosigner.vkey().to_string(), "logs": logs.collect::<Vec<_>>() }))
    }

    /// Closes the records in order, if nobody uses them any more.
    pub async fn close(self) -> Result<(), StorageError> {
        let Self { witness, verifier } = self;
        for cosigner in [Some(witness), verifier.map(|(cosigner, _)| cosigner)].into_iter().flatten() {
            if let Some(cosigner) = Arc::into_inner(cosigner) {
                cosigner.close().await?;
            }
        }
        Ok(())
    }
}

/// Returns the line of a policy that names a cosigner, which is called by its key's name there.
pub fn policy_line(vkey: &VerifierKey, role: Role, base: &str) -> String {
    format!("witness {} {vkey} {base}/{role}", vkey.name())
}

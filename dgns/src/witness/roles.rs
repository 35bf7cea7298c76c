//! The cosigners of a process: a witness, and beside it a verifying one if the configuration says so.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use storage::{Options, StorageError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use translog::fault::FaultFile;
use translog::note::VerifierKey;

use super::cosigner::{self, Cosigner, CosignerError, Role, Shared};
use super::evidence::Evidence;
use super::logs::{LogsError, WitnessedLogs};
use super::metrics;
use super::reports::Reports;
use super::verifier::Verifier;
use super::watched::Watched;
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
    logs: Vec<Arc<Watched>>,
    pub(super) evidence: Arc<Evidence>,
    pub(super) reports: Reports,
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
        let evidence = Arc::new(Evidence::below(data));
        let logs = Watched::open_all(data, logs, outbound, clock)?;
        let shared = Shared { data, logs, evidence: evidence.clone(), clock: clock.clone(), options };
        let witness = Arc::new(Cosigner::open(&shared, Role::Witness, &config.name, None).await?);
        let verifier = match config.verifier {
            false => None,
            true => {
                let replays = Verifier::open(data, &shared.logs, outbound, clock)?;
                let opened = Cosigner::open(&shared, Role::Verifier, &config.verifier_name, Some(replays.clone()));
                Some((Arc::new(opened.await?), replays))
            }
        };
        Ok(Self { witness, verifier, logs: shared.logs, evidence, reports: Reports::default() })
    }

    /// Returns the read prefixes of all logs but one, once each.
    pub(super) fn reads_from(&self, but: &str) -> Vec<String> {
        let others = self.logs.iter().filter(|log| log.origin() != but);
        let mut prefixes: Vec<String> = others.filter_map(|log| log.url().map(str::to_owned)).collect();
        prefixes.sort();
        prefixes.dedup();
        prefixes
    }

    /// Returns the evidence kept: each file with whom it convicts, in words. Nothing in it need be believed: the files prove themselves.
    pub fn evidence(&self, role: Role) -> Value {
        let files = self.evidence.names().into_iter().map(|name| {
            let file = self.evidence.read(&name).and_then(|bytes| FaultFile::decode(&bytes).ok());
            let convicts = file.as_ref().and_then(|file| file.check().ok()).map(|conviction| conviction.to_string());
            let kind = file.map(|file| file.kind().word());
            json!({ "path": format!("/{role}/evidence/{name}"), "kind": kind, "convicts": convicts })
        });
        json!({ "files": files.collect::<Vec<_>>() })
    }

    /// Returns the bytes of an evidence file.
    pub fn evidence_file(&self, name: &str) -> Option<Vec<u8>> {
        self.evidence.read(name)
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
        let of = |cosigner: &Cosigner| [cosigner.log_keys(), vec![cosigner.vkey().clone()]].concat();
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
            log["vkeys"] = standing.keys.now.iter().map(ToString::to_string).collect::<Vec<_>>().into();
            log["conf_seq"] = standing.keys.seq.into();
            log["not_followed"] = standing.keys.trouble.into();
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
        let (vkey, evidence) = (cosigner.vkey().to_string(), self.evidence.names().len());
        Some(json!({ "role": role.word(), "vkey": vkey, "evidence": evidence, "logs": logs.collect::<Vec<_>>() }))
    }

    /// Closes the records in order, if nobody uses them any more.
    pub async fn close(self) -> Result<(), StorageError> {
        let Self { witness, verifier, .. } = self;
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

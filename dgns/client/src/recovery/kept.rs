//! What a recovery keeps between its steps: a command that was killed goes on where it was.
//!
//! The file lies beside the device's keys, readable by its owner alone. It holds what the right PIN made, once it did, and never
//! the PIN itself.

use std::path::Path;

use data_encoding::HEXLOWER;
use identity::did::Did;
use identity::key::KexSecret;
use identity::recovery::message::Proof;
use identity::recovery::{Scope, Secret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::ClientError;
use crate::home::LogHome;

/// The file, in the log's directory.
const FILE: &str = "recovery.json";

/// How far a recovery is, on this side.
#[derive(Clone)]
pub enum Stage {
    /// An attempt is open, or on its way: what blinds its point, and the sign-ins that it names.
    Open {
        /// The factor that blinds.
        factor: [u8; 32],
        /// The sign-ins; the last field of each is what its evidence hash was made with.
        sign_ins: Vec<Proof>,
    },
    /// The PIN was right.
    Known(Secret),
    /// The backup was opened: this opens the boxes of the user key.
    Opened(Secret, KexSecret),
}

/// A recovery of one attempt.
#[derive(Clone)]
pub struct Kept {
    /// Whose, and which epoch.
    pub scope: Scope,
    /// The attempt.
    pub attempt: u8,
    /// How far.
    pub stage: Stage,
}

#[derive(Serialize, Deserialize)]
struct File {
    did: String,
    epoch: u32,
    attempt: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    factor: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sign_ins: Vec<ProofFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rho: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backup: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ProofFile {
    issuer: String,
    statement: String,
    random: String,
    salt: String,
}

impl Kept {
    /// Reads what is kept of a recovery of this DID; `None` if there is nothing, or nothing readable.
    pub fn read(log: &LogHome, did: &Did) -> Result<Option<Self>, ClientError> {
        let file = log.read_json::<File>(Path::new(FILE))?;
        Ok(file.and_then(|file| Self::of(&file)).filter(|kept| kept.scope.did == *did))
    }

    /// Keeps it, durably.
    pub fn keep(&self, log: &LogHome) -> Result<(), ClientError> {
        let mut file = File {
            did: self.scope.did.to_string(),
            epoch: self.scope.epoch,
            attempt: self.attempt,
            factor: None,
            sign_ins: Vec::new(),
            rho: None,
            backup: None,
        };
        match &self.stage {
            Stage::Open { factor, sign_ins } => {
                file.factor = Some(HEXLOWER.encode(factor));
                file.sign_ins = sign_ins.iter().map(ProofFile::of).collect();
            }
            Stage::Known(secret) => file.rho = Some(HEXLOWER.encode(secret.to_bytes().as_slice())),
            Stage::Opened(secret, backup) => {
                file.rho = Some(HEXLOWER.encode(secret.to_bytes().as_slice()));
                file.backup = Some(HEXLOWER.encode(backup.to_bytes().as_slice()));
            }
        }
        log.keep_json(Path::new(FILE), &file)
    }

    /// Forgets it: the recovery is over.
    pub fn forget(log: &LogHome) -> Result<(), ClientError> {
        log.forget(Path::new(FILE))
    }

    fn of(file: &File) -> Option<Self> {
        let scope = Scope { did: file.did.parse().ok()?, epoch: file.epoch };
        let secret = |hex: &str| Some(Secret::from_bytes(scope, bytes(hex)?));
        let stage = match (&file.factor, &file.rho, &file.backup) {
            (Some(factor), None, None) => {
                let sign_ins = file.sign_ins.iter().map(ProofFile::read).collect::<Option<_>>()?;
                Stage::Open { factor: bytes(factor)?, sign_ins }
            }
            (None, Some(rho), None) => Stage::Known(secret(rho)?),
            (None, Some(rho), Some(backup)) => Stage::Opened(secret(rho)?, KexSecret::from_bytes(bytes(backup)?)),
            _ => return None,
        };
        Some(Self { scope, attempt: file.attempt, stage })
    }
}

impl ProofFile {
    fn of(proof: &Proof) -> Self {
        Self {
            issuer: proof.issuer.clone(),
            statement: HEXLOWER.encode(&proof.statement),
            random: HEXLOWER.encode(&proof.random),
            salt: HEXLOWER.encode(&proof.salt),
        }
    }

    fn read(&self) -> Option<Proof> {
        let statement = Zeroizing::new(HEXLOWER.decode(self.statement.as_bytes()).ok()?);
        let (random, salt) = (bytes(&self.random)?, bytes(&self.salt)?);
        Some(Proof { issuer: self.issuer.clone(), statement, random, salt })
    }
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    Zeroizing::new(HEXLOWER.decode(hex.as_bytes()).ok()?).as_slice().try_into().ok()
}

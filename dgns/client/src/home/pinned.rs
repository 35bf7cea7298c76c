//! What is believed of one log: its keys, its policy, and whether a person has confirmed them (PROTOCOL 14.1).

use std::path::{Path, PathBuf};
use std::{fs, io};

use identity::name::Origin;
use serde::{Deserialize, Serialize};
use translog::limits::HEAD_AGE_S_MAX;
use translog::note::VerifierKey;
use translog::policy::Policy;
use translog::trust::{RetiredKey, Trust, TrustError};

use super::{LogHome, damaged, io_error, read_json, replace, write_json};
use crate::error::ClientError;

/// What a client believes of a log, as kept or about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The log's keys.
    pub log_keys: Vec<VerifierKey>,
    /// Whose cosignatures a head needs.
    pub policy: Policy,
    /// Whether all of this is the server's own word at first contact, which nobody confirmed.
    pub first_use: bool,
    /// How old a head may be, in seconds.
    pub head_age_s_max: u64,
    /// The seq of the LogConf whose keys `log_keys` are, once its chain was followed.
    pub conf_seq: Option<u64>,
    /// The keys the log had before: what they signed then stays checkable.
    pub retired: Vec<RetiredKey>,
}

/// `trust.json`; the policy is a file of its own.
#[derive(Serialize, Deserialize)]
struct TrustFile {
    origin: String,
    vkeys: Vec<String>,
    first_use: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_head_age_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conf_seq: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retired: Vec<RetiredRow>,
}

/// A key of the log that signs no more.
#[derive(Serialize, Deserialize)]
struct RetiredRow {
    vkey: String,
    size: u64,
}

impl Pinned {
    /// Returns what a server said of itself when it was met first.
    pub fn at_first_use(log_keys: Vec<VerifierKey>, policy: Policy) -> Self {
        Self { log_keys, policy, first_use: true, head_age_s_max: HEAD_AGE_S_MAX, conf_seq: None, retired: Vec::new() }
    }

    /// Returns what a person gave: nothing of it is a server's word.
    pub fn by_hand(log_keys: Vec<VerifierKey>, policy: Policy) -> Self {
        Self { first_use: false, ..Self::at_first_use(log_keys, policy) }
    }

    /// Returns the trust in the log of `origin`.
    pub fn trust(&self, origin: &Origin) -> Result<Trust, TrustError> {
        let trust = Trust::new(origin.clone(), self.log_keys.clone())?;
        let trust = trust.with_policy(self.policy.clone()).with_retired(self.retired.clone());
        Ok(trust.with_head_age_s_max(self.head_age_s_max))
    }

    /// Returns whether one of these keys is, or was, one of the log's.
    pub fn knows_any(&self, keys: &[VerifierKey]) -> bool {
        keys.iter().any(|key| self.log_keys.contains(key) || self.retired.iter().any(|retired| retired.key == *key))
    }
}

impl RetiredRow {
    fn of(retired: &RetiredKey) -> Self {
        Self { vkey: retired.key.to_string(), size: retired.size }
    }

    fn read(&self) -> Option<RetiredKey> {
        Some(RetiredKey { key: VerifierKey::parse(&self.vkey).ok()?, size: self.size })
    }
}

impl LogHome {
    /// Returns what is believed of the log.
    pub fn pinned(&self) -> Result<Pinned, ClientError> {
        self.pinned_if_met()?.ok_or_else(|| damaged(&self.trust_path()))
    }

    /// Returns the trust in the log.
    pub fn trust(&self) -> Result<Trust, ClientError> {
        self.pinned()?.trust(&self.origin).map_err(|_| damaged(&self.trust_path()))
    }

    /// Keeps what is believed of the log. The policy comes first: a crash between the two leaves the log as it was, or unmet.
    pub fn keep_pinned(&self, pinned: &Pinned) -> Result<(), ClientError> {
        replace(&self.policy_path(), pinned.policy.to_string().as_bytes(), 0o644)?;
        let file = TrustFile {
            origin: self.origin.as_str().to_owned(),
            vkeys: pinned.log_keys.iter().map(ToString::to_string).collect(),
            first_use: pinned.first_use,
            max_head_age_s: (pinned.head_age_s_max != HEAD_AGE_S_MAX).then_some(pinned.head_age_s_max),
            conf_seq: pinned.conf_seq,
            retired: pinned.retired.iter().map(RetiredRow::of).collect(),
        };
        write_json(&self.trust_path(), &file, 0o644)
    }

    /// Returns what is believed of the log; `None` if it was never met.
    pub(super) fn pinned_if_met(&self) -> Result<Option<Pinned>, ClientError> {
        let path = self.trust_path();
        let Some(file) = read_json::<TrustFile>(&path)? else { return Ok(None) };
        let keys: Result<Vec<_>, _> = file.vkeys.iter().map(|text| VerifierKey::parse(text)).collect();
        Ok(Some(Pinned {
            log_keys: keys.map_err(|_| damaged(&path))?,
            policy: read_policy_if_any(&self.policy_path())?.unwrap_or_default(),
            first_use: file.first_use,
            head_age_s_max: file.max_head_age_s.unwrap_or(HEAD_AGE_S_MAX),
            conf_seq: file.conf_seq,
            retired: file.retired.iter().map(RetiredRow::read).collect::<Option<_>>().ok_or_else(|| damaged(&path))?,
        }))
    }

    fn trust_path(&self) -> PathBuf {
        self.directory.join("trust.json")
    }

    fn policy_path(&self) -> PathBuf {
        self.directory.join("policy")
    }
}

/// Reads a policy file (PROTOCOL 9.6). Errors: [`ClientError::Unable`], with the line that is wrong and its code.
pub fn read_policy(path: &Path) -> Result<Policy, ClientError> {
    let missing = || io_error(path, &io::ErrorKind::NotFound.into());
    read_policy_if_any(path)?.ok_or_else(missing)
}

fn read_policy_if_any(path: &Path) -> Result<Option<Policy>, ClientError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, &error)),
    };
    let wrong = |error: translog::policy::PolicyError| {
        ClientError::Unable(format!("{}: {error} ({})", path.display(), error.code()))
    };
    Policy::parse(&bytes).map(Some).map_err(wrong)
}

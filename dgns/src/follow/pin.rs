//! Which log a data directory follows: its keys are pinned at the first start, and no other log is followed afterwards.

use std::path::Path;

use identity::name::Origin;
use storage::durable;
use translog::note::VerifierKey;
use translog::policy::Policy;
use translog::trust::Trust;

use super::FollowError;
use super::remote::Remote;

/// The file with the pinned keys, one a line.
pub const FILE: &str = "followed";

/// Returns the trust in the followed log: the keys pinned in `data`, or those of the policy, or at the first start those that
/// the server names.
pub async fn trust(data: &Path, remote: &Remote, policy: Option<&Path>) -> Result<Trust, FollowError> {
    let policy = policy.map(read_policy).transpose()?;
    let pinned = read(&data.join(FILE))?;
    let keys = match (&pinned, &policy) {
        (Some(pinned), _) => pinned.clone(),
        (None, Some(policy)) => keys_of(policy, remote).await?,
        (None, None) => first_met(remote).await?,
    };
    let trust = trust_in(keys)?;
    if let Some(policy) = &policy {
        let named = policy.log_keys(trust.origin().as_str());
        if !trust.log_keys().iter().any(|key| named.contains(key)) {
            return Err(FollowError::OtherLog { what: "the policy names other keys than those pinned".to_owned() });
        }
    }
    if pinned.is_none() {
        write(data, trust.log_keys())?;
    }
    Ok(match policy {
        Some(policy) => trust.with_policy(policy),
        None => trust,
    })
}

/// Returns the trust in the log that is pinned in `data`; `None` if no log is followed there.
pub fn pinned(data: &Path) -> Result<Option<Trust>, FollowError> {
    read(&data.join(FILE))?.map(trust_in).transpose()
}

/// Pins these keys: the log has said, by the old ones, that they sign now.
pub fn write(data: &Path, keys: &[VerifierKey]) -> Result<(), FollowError> {
    let text: String = keys.iter().map(|key| format!("{key}\n")).collect();
    Ok(durable::replace(&data.join(FILE), text.as_bytes())?)
}

fn trust_in(keys: Vec<VerifierKey>) -> Result<Trust, FollowError> {
    let other = |what: &str| FollowError::OtherLog { what: what.to_owned() };
    let origin = keys.first().ok_or_else(|| other("no key is pinned"))?.name();
    let origin = Origin::parse(origin).map_err(|_| other("the key's name is no origin of a log"))?;
    Trust::new(origin, keys).map_err(|error| other(&error.to_string()))
}

fn read(path: &Path) -> Result<Option<Vec<VerifierKey>>, FollowError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FollowError::OtherLog { what: format!("{}: {error}", path.display()) }),
    };
    let keys: Result<Vec<_>, _> = text.lines().map(VerifierKey::parse).collect();
    keys.map(Some).map_err(|_| FollowError::OtherLog { what: format!("{}: a line is no key", path.display()) })
}

fn read_policy(path: &Path) -> Result<Policy, FollowError> {
    let unusable = |why: String| FollowError::OtherLog { what: format!("{}: {why}", path.display()) };
    let bytes = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    Policy::parse(&bytes).map_err(|error| unusable(error.to_string()))
}

/// The keys of the one log of a policy, or of the one that the server says it is.
async fn keys_of(policy: &Policy, remote: &Remote) -> Result<Vec<VerifierKey>, FollowError> {
    let mut origins: Vec<&str> = policy.logs().iter().map(|log| log.key.name()).collect();
    origins.dedup();
    match origins.as_slice() {
        [origin] => Ok(policy.log_keys(origin)),
        _ => Ok(policy.log_keys(&remote.info().await?.origin)),
    }
}

async fn first_met(remote: &Remote) -> Result<Vec<VerifierKey>, FollowError> {
    let info = remote.info().await?;
    let other = || FollowError::OtherLog { what: "the server names no key of its log".to_owned() };
    let key = VerifierKey::parse(&info.vkey).ok().filter(|key| key.name() == info.origin).ok_or_else(other)?;
    Ok(vec![key])
}

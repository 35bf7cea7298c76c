//! Which keys a log was followed to from those of the policy file: a key that was dropped is not believed again after a restart.
//!
//! The file says from which keys it started: an operator who names others in the policy file has decided anew, and the file is nothing.

use std::path::{Path, PathBuf};

use storage::{StorageError, durable};
use translog::note::VerifierKey;
use translog::trust::Trust;

/// The file, in the directory of the database.
const FILE: &str = "log-keys";

/// Before the keys that the policy file named when the log was followed.
const FROM: &str = "from ";

/// The keys that a log was followed to.
#[derive(Debug)]
pub(super) struct FollowedKeys {
    path: PathBuf,
    /// Those of the policy file.
    from: Vec<VerifierKey>,
}

impl FollowedKeys {
    /// Returns where the keys of this log are kept, and the trust in those it was followed to.
    pub(super) fn open(data: &Path, trust: Trust) -> (Self, Trust) {
        let (path, from) = (data.join(FILE), trust.log_keys().to_vec());
        let kept = std::fs::read_to_string(&path).ok().and_then(|text| read(&text, &from));
        let followed = kept.and_then(|keys| trust.clone().with_log_keys(keys).ok());
        (Self { path, from }, followed.unwrap_or(trust))
    }

    /// Keeps these, durably. A crash before leaves those of before, from which the log is followed again.
    pub(super) fn keep(&self, keys: &[VerifierKey]) -> Result<(), StorageError> {
        let from = self.from.iter().map(|key| format!("{FROM}{key}\n"));
        let text: String = from.chain(keys.iter().map(|key| format!("{key}\n"))).collect();
        durable::replace(&self.path, text.as_bytes())
    }
}

fn read(text: &str, policy: &[VerifierKey]) -> Option<Vec<VerifierKey>> {
    let (from, keys): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with(FROM));
    let is_same = from.iter().map(|line| line[FROM.len()..].to_owned()).eq(policy.iter().map(ToString::to_string));
    let keys: Result<Vec<_>, _> = keys.into_iter().map(VerifierKey::parse).collect();
    keys.ok().filter(|keys| is_same && !keys.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::keys::LogKey;
    use identity::key::SigningKey;
    use identity::name::Origin;

    use super::*;

    fn key(seed: u8) -> VerifierKey {
        LogKey::new(SigningKey::from_seed(&[seed; 32]), Origin::parse("dgns.test/log").unwrap()).vkey().clone()
    }

    #[test]
    fn keys_that_were_followed_to_hold_until_the_policy_names_others() {
        let directory = tempfile::tempdir().unwrap();
        let origin = Origin::parse("dgns.test/log").unwrap();
        let policy = |seed| Trust::new(origin.clone(), vec![key(seed)]).unwrap();
        let (kept, trust) = FollowedKeys::open(directory.path(), policy(1));
        assert_eq!(trust.log_keys(), [key(1)]);
        kept.keep(&[key(2), key(3)]).unwrap();
        let (_, trust) = FollowedKeys::open(directory.path(), policy(1));
        assert_eq!(trust.log_keys(), [key(2), key(3)]);
        let (_, trust) = FollowedKeys::open(directory.path(), policy(4));
        assert_eq!(trust.log_keys(), [key(4)]);
        for damaged in ["", "from x\n", "junk"] {
            std::fs::write(directory.path().join(FILE), damaged).unwrap();
            let (_, trust) = FollowedKeys::open(directory.path(), policy(1));
            assert_eq!(trust.log_keys(), [key(1)], "{damaged:?}");
        }
    }
}

//! Whether a LogConf continues the one before.

use identity::cert::{KeyBytes, Kid};
use identity::key::{kid_of, verify_strict};
use identity::name::Origin;

use super::{Conf, LogConf, signed_bytes};

/// How a LogConf that holds stands to the one before.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Succession {
    /// The first, or signed by a log key of the one before: whoever trusts that key follows.
    Linked,
    /// The identity key alone replaced the log keys, because the old ones are lost. Whoever trusted one of them must pin anew,
    /// and auditors say so. Code `repin`.
    Repin,
}

/// Why a LogConf is not the log's next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogConfError {
    /// Another origin or server, not the next seq, or `prev` is not the one before. Code `logconf_chain`.
    #[error("does not continue the log's configuration")]
    Chain,
    /// A kid is that of no key that could sign. Code `unknown_signer`.
    #[error("no key that could sign this has the kid of a signature")]
    UnknownSigner(Kid),
    /// A signature does not hold. Code `bad_signature`.
    #[error("a signature does not verify")]
    BadSignature(Kid),
    /// The identity key or a new log key did not sign. Code `logconf_unsigned`.
    #[error("a key that must sign has not")]
    Unsigned,
}

impl LogConfError {
    /// Returns the stable code that vectors and problem answers name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Chain => "logconf_chain",
            Self::UnknownSigner(_) => "unknown_signer",
            Self::BadSignature(_) => "bad_signature",
            Self::Unsigned => "logconf_unsigned",
        }
    }
}

impl LogConf {
    /// Checks that this is the first LogConf of `origin`'s log, or follows `previous`, with every signature it needs.
    ///
    /// `identity` is the identity key of the server's DID. Nothing else may have signed. Strict.
    pub fn verify(
        &self,
        origin: &Origin,
        identity: &KeyBytes,
        previous: Option<&Conf>,
    ) -> Result<Succession, LogConfError> {
        self.check_chain(origin, previous)?;
        let signers = self.signers(identity, previous)?;
        let old_keys = previous.map_or(&[][..], |previous| &previous.log_keys);
        let is_old = |key: &KeyBytes| old_keys.iter().any(|old| old.key() == key);
        let new_keys_signed =
            self.conf.log_keys.iter().map(|key| key.key()).all(|key| is_old(key) || signers.contains(key));
        if !signers.contains(identity) || !new_keys_signed {
            return Err(LogConfError::Unsigned);
        }
        match previous.is_none() || signers.iter().any(is_old) {
            true => Ok(Succession::Linked),
            false => Ok(Succession::Repin),
        }
    }

    /// Checks all that needs no key.
    fn check_chain(&self, origin: &Origin, previous: Option<&Conf>) -> Result<(), LogConfError> {
        let follows = match previous {
            None => self.conf.seq == 0,
            Some(previous) => {
                self.conf.seq.checked_sub(1) == Some(previous.seq)
                    && self.conf.prev == Some(previous.sid())
                    && self.conf.server == previous.server
            }
        };
        if follows && self.conf.origin == *origin { Ok(()) } else { Err(LogConfError::Chain) }
    }

    /// Returns the keys that signed, each signature verified under the one key that could have made it.
    fn signers(&self, identity: &KeyBytes, previous: Option<&Conf>) -> Result<Vec<KeyBytes>, LogConfError> {
        let old_keys = previous.into_iter().flat_map(|previous| &previous.log_keys);
        let log_keys = self.conf.log_keys.iter().chain(old_keys).map(|key| *key.key());
        let candidates: Vec<KeyBytes> = core::iter::once(*identity).chain(log_keys).collect();
        let message = signed_bytes(&self.conf.origin, self.payload_bytes());
        let mut signers = Vec::new();
        for (kid, signature) in &self.signatures {
            let key = candidates.iter().find(|key| kid_of(key) == *kid).ok_or(LogConfError::UnknownSigner(*kid))?;
            verify_strict(key, &message, signature).map_err(|_| LogConfError::BadSignature(*kid))?;
            signers.push(*key);
        }
        Ok(signers)
    }
}

//! From the log keys that were pinned to those that sign now (PROTOCOL 7.5).
//!
//! ```text
//! genesis (entry 0) -- names --> identity key --- signs every LogConf
//! LogConf 0 (entry 1) --prev--> LogConf 1 --prev--> ... --prev--> LogConf n = what the map holds under the newest head
//!             each with a signature by a log key of the one before
//! ```
//!
//! Whoever pinned a key of LogConf i follows to the keys of LogConf n, if every step from i on is signed by a key of the one
//! before: who holds the identity key alone takes nobody along, nor does who holds a log key alone. All of it is in the tree of
//! a head that continues the one remembered.

mod codec;

use identity::cert::{Body, Certificate, DidKind, KeyBytes, SignatureRefusal};
use identity::did::Did;
use identity::state::Subject;
use identity::time::Timestamp;

pub use codec::{ConfChain, ConfRow, NotAConfChain};

use crate::entry::Entry;
use crate::hash::{Hash, leaf_hash};
use crate::logconf::{LogConf, LogConfError, Succession};
use crate::note::VerifierKey;
use crate::resolution::Resolution;
use crate::resolve::{self, Resolved, VerifyError};
use crate::tree::{verify_consistency, verify_inclusion};
use crate::trust::{Memory, RetiredKey, Trust};

/// The keys that sign now, for somebody who trusted earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The seq of the newest LogConf: an older one is never believed again.
    pub seq: u64,
    /// Its keys, oldest first.
    pub log_keys: Vec<VerifierKey>,
    /// The keys that signed earlier heads and sign no more.
    pub retired: Vec<RetiredKey>,
    /// The proof that the log says so.
    pub resolved: Resolved,
}

/// Why the chain of LogConfs leads nowhere. Trust and memory are as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// Not the bytes of a chain of LogConfs. Code `malformed`.
    #[error("not a chain of LogConfs")]
    Malformed,
    /// Rows that are not genesis, LogConfs and rotations of the identity key in their order, or do not end where the map says.
    /// Code `logconf_chain`.
    #[error("the LogConfs shown are not the log's configuration")]
    Chain,
    /// A LogConf that does not continue the one before. Its code.
    #[error(transparent)]
    LogConf(#[from] LogConfError),
    /// The genesis is not signed by the keys it names. The refusal's code.
    #[error(transparent)]
    Genesis(#[from] SignatureRefusal),
    /// No LogConf lists a key that is trusted. Code `log_key`.
    #[error("no LogConf of this log lists a key that is trusted")]
    UnknownKey,
    /// After the trusted key a step is signed by no key of the one before, or the identity key was replaced without the old one: the
    /// operator lost keys, or somebody took them. A person has to decide. Code `repin`.
    #[error(
        "the log's keys were replaced without a signature of the trusted ones: once its operator and others told you the new ones: dgns trust repin"
    )]
    Repin,
    /// The head, the map, or the place of a row. Its code.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl FollowError {
    /// Returns the stable code that vectors and output name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Chain => "logconf_chain",
            Self::LogConf(error) => error.code(),
            Self::Genesis(refusal) => refusal.code(),
            Self::UnknownKey => "log_key",
            Self::Repin => "repin",
            Self::Verify(error) => error.code(),
        }
    }
}

/// Follows the log from the keys of `trust` to those that sign now.
///
/// `seq` is that of the LogConf followed to before. `memory` is of this log; it changes only if all holds.
pub fn follow(
    trust: &Trust,
    memory: &mut Memory,
    seq: Option<u64>,
    bytes: &[u8],
    now: Timestamp,
) -> Result<Followed, FollowError> {
    let mut known = memory.clone();
    let followed = follow_by(trust, seq, bytes, |trust, resolution| {
        resolve::verify(trust, &mut known, &Subject::LogConf, resolution, now)
    })?;
    *memory = known;
    Ok(followed)
}

/// As [`follow`], for who remembers nothing of the log but the tree it continues: a witness or a follower.
///
/// `size` and `root` are of that tree; of an empty one every log is a continuation.
pub fn follow_tree(
    trust: &Trust,
    (size, root): (u64, Hash),
    seq: Option<u64>,
    bytes: &[u8],
    now: Timestamp,
) -> Result<Followed, FollowError> {
    follow_by(trust, seq, bytes, |trust, resolution| {
        let mut resolution = Resolution::decode(resolution).map_err(|_| VerifyError::Malformed)?;
        let path = core::mem::take(&mut resolution.consistency);
        let mut nothing = Memory::new(trust.origin().clone());
        let resolved = resolve::verify_decoded(trust, &mut nothing, &Subject::LogConf, resolution, now)?;
        let head = resolved.head();
        if head.size < size {
            return Err(VerifyError::Rollback);
        }
        verify_consistency(size, &root, head.size, &head.root, &path).map_err(|_| VerifyError::Inconsistent)?;
        Ok(resolved)
    })
}

/// Follows a chain whose Resolution `resolve` verifies, by the keys it leads to.
fn follow_by(
    trust: &Trust,
    seq: Option<u64>,
    bytes: &[u8],
    resolve: impl FnOnce(&Trust, &[u8]) -> Result<Resolved, VerifyError>,
) -> Result<Followed, FollowError> {
    let chain = ConfChain::decode(bytes).map_err(|_| FollowError::Malformed)?;
    let walked = Walk::through(trust, &chain.rows)?;
    let newest = walked.newest.conf();
    if seq.is_some_and(|seq| newest.seq < seq) {
        return Err(VerifyError::Rollback.into());
    }
    let trust = trust.clone().with_log_keys(newest.log_keys.clone()).map_err(|_| FollowError::Chain)?;
    let resolved = resolve(&trust, &chain.resolution)?;
    if resolved.logconf() != Some(walked.newest.payload_bytes()) {
        return Err(FollowError::Chain);
    }
    let head = resolved.head();
    for ConfRow { index, path, entry } in &chain.rows {
        verify_inclusion(&leaf_hash(entry), *index, head.size, path, &head.root).map_err(|_| VerifyError::Written)?;
    }
    Ok(Followed { seq: newest.seq, log_keys: newest.log_keys.clone(), retired: walked.retired, resolved })
}

/// The rows read so far.
struct Walk<'t> {
    trust: &'t Trust,
    server: Did,
    identity: KeyBytes,
    newest: LogConf,
    /// Whether a LogConf that lists a trusted key was passed: from there on nothing may be unlinked.
    reached: bool,
    retired: Vec<RetiredKey>,
}

impl<'t> Walk<'t> {
    fn through(trust: &'t Trust, rows: &[ConfRow]) -> Result<Self, FollowError> {
        let [genesis, first, rest @ ..] = rows else { return Err(FollowError::Chain) };
        let (server, identity) = server_of(trust, genesis)?;
        let newest = match entry_of(first)? {
            Entry::LogConf(conf) if first.index == 1 && conf.conf().server == server => conf,
            _ => return Err(FollowError::Chain),
        };
        let _first = newest.verify(trust.origin(), &identity, None)?;
        let mut walk = Self { trust, server, identity, newest, reached: false, retired: trust.retired().to_vec() };
        walk.look();
        let mut last = first.index;
        for row in rest {
            if row.index <= last {
                return Err(FollowError::Chain);
            }
            last = row.index;
            match entry_of(row)? {
                Entry::LogConf(conf) => walk.step(conf, row.index)?,
                Entry::Certificate(certificate) => walk.rotate_identity(&certificate)?,
                _ => return Err(FollowError::Chain),
            }
        }
        if walk.reached { Ok(walk) } else { Err(FollowError::UnknownKey) }
    }

    fn step(&mut self, next: LogConf, index: u64) -> Result<(), FollowError> {
        let succession = next.verify(self.trust.origin(), &self.identity, Some(self.newest.conf()))?;
        if succession == Succession::Repin && self.reached {
            return Err(FollowError::Repin);
        }
        let old = core::mem::replace(&mut self.newest, next);
        if self.reached {
            // Heads up to this entry do not hold it: they were signed by the keys before it.
            let dropped = old.conf().log_keys.iter().filter(|key| !self.newest.conf().log_keys.contains(key));
            self.retired.extend(dropped.map(|key| RetiredKey { key: key.clone(), size: index }));
            self.retired.retain(|retired| !self.newest.conf().log_keys.contains(&retired.key));
            self.retired.dedup();
        }
        self.look();
        Ok(())
    }

    fn look(&mut self) {
        self.reached |= self.newest.conf().log_keys.iter().any(|key| self.trust.log_keys().contains(key));
    }

    /// The old identity key and the new one signed: then it holds at once, whatever devices say (PROTOCOL 5.3).
    fn rotate_identity(&mut self, certificate: &Certificate) -> Result<(), FollowError> {
        let Body::IdRotate(keys) = &certificate.payload().body else { return Err(FollowError::Chain) };
        if certificate.chain_did() != Some(self.server) {
            return Err(FollowError::Chain);
        }
        let verified = certificate.verify_one_party(self.trust.origin(), &[self.identity, keys.identity])?;
        if !verified.is_signed_by(&self.identity) || !verified.is_signed_by(&keys.identity) {
            return Err(FollowError::Repin);
        }
        self.identity = keys.identity;
        Ok(())
    }
}

/// Returns the DID and the identity key that the genesis of the log's server names.
fn server_of(trust: &Trust, row: &ConfRow) -> Result<(Did, KeyBytes), FollowError> {
    let Entry::Certificate(certificate) = entry_of(row)? else { return Err(FollowError::Chain) };
    let Body::Genesis(genesis) = &certificate.payload().body else { return Err(FollowError::Chain) };
    if row.index != 0 || genesis.kind != DidKind::Server {
        return Err(FollowError::Chain);
    }
    certificate.verify(trust.origin(), &[genesis.identity, genesis.device.sign])?;
    Ok((certificate.chain_did().ok_or(FollowError::Chain)?, genesis.identity))
}

fn entry_of(row: &ConfRow) -> Result<Entry, FollowError> {
    Entry::decode(&row.entry).map_err(|_| FollowError::Chain)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

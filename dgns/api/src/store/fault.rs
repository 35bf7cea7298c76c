//! Evidence against a server of databases: a fault file of kind `store` (PROTOCOL 14.3, 25.10).
//!
//! Parts: `server` proves the devices of the server (14.2), `head` is what one of them signed. Beside it `second`, another head of the
//! log; or `anchors`, which proves an anchor (14.2), for a head of one log with `anchored`, `proof` and `salt`. `path`, if there,
//! leads from the smaller head to the larger.

use core::fmt;

use identity::cert::{DidKind, KeyBytes};
use identity::did::Did;
use identity::hash::Hash;
use identity::key::kid_of;
use identity::name::Origin;
use identity::state::Subject;
use translog::entry::Anchor;
use translog::fault::{FaultFile, FaultKind, NoConviction};
use translog::lookup_proof;
use translog::map::MapProof;
use translog::note::VerifierKey;
use translog::resolve::Resolved;
use translog::tree::consistency_roots;
use translog::trust::Trust;

use super::anchor::{AnchoredHead, label};
use super::entry::LogId;
use super::head::{SignedHead, StoreHead};

/// A server convicted by its own signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConviction {
    /// The key of its log that signed the proofs.
    pub key: VerifierKey,
    /// Its DID.
    pub server: Did,
    /// The log that went wrong; [`LogId::STAND`] for all of them.
    pub log: LogId,
    /// What is wrong.
    pub proved: StoreFault,
}

/// What a server of databases did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// It signed a head of `now` entries after one of `before` was signed or anchored.
    WentBack {
        /// Before.
        before: u64,
        /// After.
        now: u64,
    },
    /// It signed or anchored two heads that no one log has.
    TwoHistories {
        /// The size of the smaller one.
        size: u64,
    },
    /// It signed that its databases are at anchor `here`, while its log of names has anchor `there`.
    Behind {
        /// Its databases.
        here: u64,
        /// Its log of names.
        there: u64,
    },
}

/// Checks a fault file of kind `store` by its own keys.
pub fn check(file: &FaultFile) -> Result<StoreConviction, NoConviction> {
    if file.kind() != FaultKind::Store {
        return Err(NoConviction::Kind);
    }
    let mut why = NoConviction::Signature;
    for key in file.log_keys() {
        match by_key(file, key) {
            Err(NoConviction::Signature) => {}
            Err(other) => why = other,
            Ok(conviction) => return Ok(conviction),
        }
    }
    Err(why)
}

fn by_key(file: &FaultFile, key: &VerifierKey) -> Result<StoreConviction, NoConviction> {
    let origin = Origin::parse(key.name()).map_err(|_| NoConviction::Part)?;
    let trust = Trust::new(origin.clone(), vec![key.clone()]).map_err(|_| NoConviction::Part)?;
    let lookup = |name: &str| proved(&trust, file.part(name).ok_or(NoConviction::Part)?);
    let resolved = lookup("server")?;
    let server = resolved.did().filter(|state| state.kind == DidKind::Server && state.uid == 0);
    let server = server.ok_or(NoConviction::Part)?;
    let keys: Vec<KeyBytes> = server.devices.iter().map(|device| device.sign).collect();
    let head = |name: &str| {
        let head = SignedHead::decode(file.part(name).ok_or(NoConviction::Part)?).map_err(|_| NoConviction::Part)?;
        let key = keys.iter().find(|key| kid_of(key) == head.kid()).ok_or(NoConviction::Signature)?;
        head.verify(&origin, key).map_err(|_| NoConviction::Signature)?;
        if head.head().store == server.did { Ok(*head.head()) } else { Err(NoConviction::Part) }
    };
    let first = head("head")?;
    let path = file.part("path").map(path_of).transpose()?;
    let fault = match file.part("second") {
        Some(_) => of_heads(&first, &head("second")?, path.as_deref())?,
        None => {
            let resolved = lookup("anchors")?;
            let body = resolved.anchors().filter(|_| *resolved.subject() == Subject::Anchors);
            let anchor = Anchor::decode(body.ok_or(NoConviction::Part)?).map_err(|_| NoConviction::Part)?;
            match first.log {
                LogId::STAND => of_stand(&first, &anchor),
                _ => of_anchored(file, &first, &anchor, path.as_deref())?,
            }
        }
    };
    let proved = fault.ok_or(NoConviction::Consistent)?;
    Ok(StoreConviction { key: key.clone(), server: server.did, log: first.log, proved })
}

fn proved(trust: &Trust, bytes: &[u8]) -> Result<Resolved, NoConviction> {
    lookup_proof::verify(trust, bytes).map_err(NoConviction::of_lookup)
}

/// Two heads that one server signed: of one log, one after the other.
fn of_heads(a: &StoreHead, b: &StoreHead, path: Option<&[Hash]>) -> Result<Option<StoreFault>, NoConviction> {
    if a.log != b.log {
        return Err(NoConviction::Part);
    }
    let (smaller, larger) = if a.size <= b.size { (a, b) } else { (b, a) };
    let later = smaller.time_ms > larger.time_ms
        || matches!((smaller.since, larger.since), (Some(smaller), Some(larger)) if smaller > larger);
    if smaller.size < larger.size && later && smaller.log != LogId::STAND {
        return Ok(Some(StoreFault::WentBack { before: larger.size, now: smaller.size }));
    }
    let split = is_split((smaller.size, &smaller.root), (larger.size, &larger.root), path)?;
    Ok(split.then_some(StoreFault::TwoHistories { size: smaller.size }))
}

/// What the server says of all its databases, and an anchor that it knew when it said so.
fn of_stand(stand: &StoreHead, anchor: &Anchor) -> Option<StoreFault> {
    let knew = stand.since.is_some_and(|since| since >= anchor.k);
    if knew && stand.size < anchor.k {
        return Some(StoreFault::Behind { here: stand.size, there: anchor.k });
    }
    (stand.size == anchor.k && stand.root != anchor.root).then_some(StoreFault::TwoHistories { size: anchor.k })
}

/// A head of a log, and what an anchor has of the log that is not younger than it.
fn of_anchored(
    file: &FaultFile,
    head: &StoreHead,
    anchor: &Anchor,
    path: Option<&[Hash]>,
) -> Result<Option<StoreFault>, NoConviction> {
    let part = |name| file.part(name).ok_or(NoConviction::Part);
    let salt = part("salt")?.try_into().map_err(|_| NoConviction::Part)?;
    let anchored = AnchoredHead::decode(part("anchored")?).map_err(|_| NoConviction::Part)?;
    let proof = MapProof::decode(part("proof")?, 1).map_err(|_| NoConviction::Part)?;
    let claim = (label(&head.log, &salt), Some(anchored.hash()));
    proof.verify(&[claim], &anchor.root).map_err(|_| NoConviction::Proof)?;
    if anchored.size > head.size && head.since.is_some_and(|since| since >= anchor.k) {
        return Ok(Some(StoreFault::WentBack { before: anchored.size, now: head.size }));
    }
    let (anchored, head) = ((anchored.size, &anchored.root), (head.size, &head.root));
    let (smaller, larger) = if anchored.0 <= head.0 { (anchored, head) } else { (head, anchored) };
    Ok(is_split(smaller, larger, path)?.then_some(StoreFault::TwoHistories { size: smaller.0 }))
}

/// Whether the larger tree is shown to begin with another one than the smaller.
fn is_split(smaller: (u64, &Hash), larger: (u64, &Hash), path: Option<&[Hash]>) -> Result<bool, NoConviction> {
    if smaller.0 == larger.0 {
        return Ok(smaller.1 != larger.1);
    }
    let Some((seed, rest)) = path.and_then(<[Hash]>::split_first) else { return Ok(false) };
    let (within, whole) = consistency_roots(smaller.0, larger.0, *seed, rest).map_err(|_| NoConviction::Part)?;
    Ok(whole == *larger.1 && within != *smaller.1)
}

fn path_of(bytes: &[u8]) -> Result<Vec<Hash>, NoConviction> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() && hashes.len() <= 65 { Ok(hashes.to_vec()) } else { Err(NoConviction::Part) }
}

impl fmt::Display for StoreConviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, server, log, proved } = self;
        match proved {
            StoreFault::WentBack { before, now } => {
                write!(f, "{server} signed {now} entries of log {log} although it had {before}: it went back")
            }
            StoreFault::TwoHistories { size } if *log == LogId::STAND => {
                write!(f, "{server} signed other databases than those of anchor {size}: two histories")
            }
            StoreFault::TwoHistories { size } => {
                write!(
                    f,
                    "{server} signed two heads of log {log} that differ within its first {size} entries: two histories"
                )
            }
            StoreFault::Behind { here, there } => {
                write!(
                    f,
                    "{server} signed that its databases are at anchor {here}, and its log of names has anchor {there}: they went back"
                )
            }
        }?;
        write!(f, " (proofs signed by {key})")
    }
}

#[cfg(test)]
mod tests;

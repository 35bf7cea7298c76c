//! Watching a name: what changed since the last look, who signed it, and whether anybody may have (docs/AUDITING.md).
//!
//! A look costs one lookup, and a second one if something changed: that one brings the certificates of the owner since the last
//! look. What is kept of a look is its own proof, so that a log which goes back on it convicts itself.

mod judge;
mod kept;

pub use judge::{SignedAct, Signer, Who};

use identity::cert::Kid;
use identity::did::Did;
use identity::key::kid_of;
use identity::state::Subject;
use translog::lookup_proof;
use translog::policy::Policy;
use translog::resolve::Resolved;
use translog::trust::Memory;

use crate::error::ClientError;
use crate::evidence;
use crate::session::{Look, Session};
use judge::Breach;

/// One subject under watch.
#[derive(Debug)]
pub struct Watch<'s> {
    session: &'s Session,
    subject: Subject,
    /// The keys the owner had when the watch began, and this device's.
    own: Vec<Kid>,
    /// The log as of the last look; other commands do not touch it.
    memory: Memory,
    last: Option<Last>,
}

/// What the last look showed, with its proof.
#[derive(Debug)]
struct Last {
    resolved: Resolved,
    proof: String,
}

/// What a look found.
#[derive(Clone, Debug)]
pub enum Seen {
    /// The watch began: this is what it goes by.
    Begun(Resolved),
    /// The same as before.
    Same(Resolved),
    /// Something else, and how it came to be so.
    Changed(Resolved, Vec<SignedAct>),
}

impl<'s> Watch<'s> {
    /// Takes up the watch of a subject where it was left; `anew` begins with what is shown now.
    pub fn resume(session: &'s Session, subject: Subject, anew: bool) -> Result<Self, ClientError> {
        let memory = Memory::new(session.trust().origin().clone());
        let fresh = Self { session, subject, own: Vec::new(), memory, last: None };
        match kept::read(session.log(), &fresh.subject)?.filter(|_| !anew) {
            None => Ok(fresh),
            Some(kept) => {
                // Our own file, of a head that was judged when it was met: whatever policy holds now, it is what was seen.
                let trust = session.trust().clone().with_policy(Policy::none());
                let resolved = lookup_proof::verify(&trust, kept.proof.as_bytes()).map_err(|error| {
                    ClientError::Unable(format!("what was kept of the watch: {error}; --anew begins again"))
                })?;
                let last = Some(Last { resolved, proof: kept.proof });
                Ok(Self { own: kept.own, memory: kept.memory, last, ..fresh })
            }
        }
    }

    /// Returns what is watched.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Looks, judges what changed, and keeps it.
    ///
    /// Errors: [`ClientError::Proof`], with evidence kept: besides the verifier's codes `rollback`, if the name's state is older
    /// than the one seen before, and `unsigned_change`, if no key of its owner signed what changed.
    pub async fn look(&mut self) -> Result<Seen, ClientError> {
        let (resolved, bytes) = self.session.resolve_with_bytes(&self.subject).await?;
        let Some(last) = &self.last else {
            self.own = self.keys_of(&resolved)?;
            self.memory = self.session.log().memory_in_turn().await?.memory.clone();
            self.keep(resolved.clone(), &bytes)?;
            return Ok(Seen::Begun(resolved));
        };
        if judge::is_same(&last.resolved, &resolved) {
            return Ok(Seen::Same(resolved));
        }
        let Look { resolved, bytes, mut steps } = self.session.look(&mut self.memory, &self.subject).await?;
        let owner = |resolved: &Resolved| resolved.did().map(|did| did.did);
        let before = owner(&last.resolved);
        if before != owner(&resolved)
            && let Some(before) = before
        {
            // Who gave it away said so in a chain of their own.
            let before = self.session.look(&mut self.memory, &Subject::Did(before)).await?;
            steps.splice(..0, before.steps);
        }
        judge::permitted(&last.resolved, &resolved, &steps)
            .map_err(|breach| self.fault(breach, last, &resolved, &bytes))?;
        let device = self.session.log().device()?.map(|device| device.sign.kid());
        let acts = judge::signed_acts(last.resolved.did(), &steps, &self.own, device);
        self.keep(resolved.clone(), &bytes)?;
        Ok(Seen::Changed(resolved, acts))
    }

    /// The keys that are the owner's now, and this device's if it is the owner's.
    fn keys_of(&self, resolved: &Resolved) -> Result<Vec<Kid>, ClientError> {
        let mut own = resolved.did().map_or(Vec::new(), judge::keys);
        let owner: Option<Did> = resolved.did().map(|did| did.did);
        if let Some(device) = self.session.log().device()?.filter(|device| device.did == owner) {
            own.push(kid_of(&device.sign.public()));
        }
        own.sort_unstable();
        own.dedup();
        Ok(own)
    }

    fn keep(&mut self, resolved: Resolved, bytes: &[u8]) -> Result<(), ClientError> {
        let proof = self.proof(&resolved, bytes)?;
        kept::write(self.session.log(), &self.subject, &self.own, &self.memory, &proof)?;
        self.last = Some(Last { resolved, proof });
        Ok(())
    }

    fn proof(&self, resolved: &Resolved, bytes: &[u8]) -> Result<String, ClientError> {
        let file = lookup_proof::write(self.session.trust(), resolved, bytes);
        file.map(|file| file.to_string()).map_err(|error| ClientError::proof(error.code(), error.to_string()))
    }

    /// Keeps both looks as evidence. A state that went back convicts the log; that nobody signed is for whoever audits it.
    fn fault(&self, breach: Breach, last: &Last, resolved: &Resolved, bytes: &[u8]) -> ClientError {
        let now = self.proof(resolved, bytes).unwrap_or_default();
        let kept = evidence::of_watch(self.session.trust(), breach.code(), [&last.proof, &now], resolved.head().size);
        let evidence = self.session.log().keep_evidence(&kept.file_name, &kept.bytes).ok();
        ClientError::Proof { code: breach.code(), what: breach.to_string(), evidence }
    }
}

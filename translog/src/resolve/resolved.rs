//! What was proved.

use identity::cert::{Certificate, Delegate, Records, Sid};
use identity::state::{AliasState, DidState, NameState, NameStatus, Pending, RecoveryState, Subject};
use identity::time::Timestamp;

use super::{ChainStep, Entries, Footing, ProvedStates, SignedHead, VerifyError};
use crate::entry::Epoch;
use crate::head::Head;
use crate::note::VerifierKey;

/// A lookup's answer, every check of [`super::verify`] passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    subject: Subject,
    name: Option<NameState>,
    did: Option<DidState>,
    alias: Option<AliasState>,
    logconf: Option<Vec<u8>>,
    anchors: Option<Vec<u8>>,
    records: Option<Records>,
    delegate: Option<Delegate>,
    written: Vec<WrittenCertificate>,
    chain: Vec<ChainStep>,
    footing: Option<Footing>,
    head: Head,
    epoch: Epoch,
    log_key: Option<VerifierKey>,
    quorum: Option<Timestamp>,
    continuity: Continuity,
}

/// Whether the subject is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A live name, a DID that has not ended, an alias bound to one, or the log itself.
    Present,
    /// A name that was released or whose DID ended: nobody may claim it before this epoch time, ms.
    Held {
        /// When it is free, epoch ms.
        until_ms: u64,
    },
    /// A DID that ended; an alias bound to one.
    Ended,
    /// Never claimed, or free again; a DID that does not exist; an alias that is nobody's, signed in with or not.
    Absent,
}

/// How the head stands to what was remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// Nothing was remembered of this log.
    FirstContact,
    /// It is the head remembered.
    SameHead,
    /// It continues the head remembered, of this size: nothing was taken back.
    Extends {
        /// The size of the head remembered.
        from_size: u64,
    },
}

/// A certificate proved to be in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenCertificate {
    /// Its log index, the 64-bit id of what it created.
    pub index: u64,
    /// The certificate as logged; the server may have added signatures to the one posted.
    pub certificate: Certificate,
}

impl Resolved {
    pub(super) fn new(
        subject: Subject,
        proved: ProvedStates,
        entries: Entries,
        head: SignedHead<'_>,
        quorum: Option<Timestamp>,
        continuity: Continuity,
    ) -> Self {
        let ProvedStates { name, did, alias, logconf, anchors, records, delegate } = proved;
        let Entries { written, chain, footing } = entries;
        let SignedHead { met, log_key, .. } = head;
        let (head, epoch) = (met.head, met.epoch);
        Self {
            subject,
            name,
            did,
            alias,
            logconf,
            anchors,
            records,
            delegate,
            written,
            chain,
            footing,
            head,
            epoch,
            log_key,
            quorum,
            continuity,
        }
    }

    /// Returns what was asked.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Returns whether it is in use.
    pub fn status(&self) -> Status {
        match &self.subject {
            Subject::Name(_) => match &self.name {
                None => Status::Absent,
                Some(name) => match name.status {
                    NameStatus::Live => Status::Present,
                    NameStatus::Held => Status::Held { until_ms: name.held_until_ms },
                    NameStatus::Free => Status::Absent,
                },
            },
            Subject::Did(_) | Subject::Alias(_) => match &self.did {
                None => Status::Absent,
                Some(did) if did.flags & DidState::ENDED != 0 => Status::Ended,
                Some(_) => Status::Present,
            },
            Subject::LogConf | Subject::Anchors => {
                if self.logconf.is_some() || self.anchors.is_some() {
                    Status::Present
                } else {
                    Status::Absent
                }
            }
        }
    }

    /// Returns whether a quarrel between devices has frozen the DID: the keys shown are the last undisputed ones.
    pub fn is_frozen(&self) -> bool {
        self.did.as_ref().is_some_and(|did| did.flags & DidState::FROZEN != 0)
    }

    /// Returns the recovery of the DID that somebody proved and that is not over: its keys are about to change.
    pub fn recovery_pending(&self) -> Option<&RecoveryState> {
        self.did.as_ref()?.recovery.as_deref().filter(|recovery| recovery.is_pending())
    }

    /// Returns the acts that wait in the DID's state.
    pub fn pending(&self) -> &[Pending] {
        self.did.as_ref().map_or(&[], |did| &did.pending)
    }

    /// Returns the state of the name asked, free ones included.
    pub fn name(&self) -> Option<&NameState> {
        self.name.as_ref()
    }

    /// Returns the state of the alias asked, unbound ones included.
    pub fn alias(&self) -> Option<&AliasState> {
        self.alias.as_ref()
    }

    /// Returns the state of the DID asked, or of the owner of the name or alias asked.
    pub fn did(&self) -> Option<&DidState> {
        self.did.as_ref()
    }

    /// Returns the LogConf payload, if the log's configuration was asked.
    pub fn logconf(&self) -> Option<&[u8]> {
        self.logconf.as_deref()
    }

    /// Returns the body of the newest anchor of the server's databases.
    pub fn anchors(&self) -> Option<&[u8]> {
        self.anchors.as_deref()
    }

    /// Returns the records of the name, if they were asked for. That a name has none is in its state.
    pub fn records(&self) -> Option<&Records> {
        self.records.as_ref()
    }

    /// Returns the delegation of the name, if it was asked for. That a name has one is in its state.
    pub fn delegate(&self) -> Option<&Delegate> {
        self.delegate.as_ref()
    }

    /// Returns the head everything was proved under.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Returns the Epoch the head ends in.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Returns the key that signed the head; `None` if the head was remembered, so verified before.
    pub fn log_key(&self) -> Option<&VerifierKey> {
        self.log_key.as_ref()
    }

    /// Returns when the policy's quorum was reached.
    pub fn quorum(&self) -> Option<Timestamp> {
        self.quorum
    }

    /// Returns whether the log's signature is all there is: nobody else vouches for head and time.
    pub fn is_unwitnessed(&self) -> bool {
        self.quorum.is_none()
    }

    /// Returns how the head stands to what was remembered.
    pub fn continuity(&self) -> Continuity {
        self.continuity
    }

    /// Returns the certificates just written, in the order of the post.
    pub fn written(&self) -> &[WrittenCertificate] {
        &self.written
    }

    /// Returns the certificates of the DID's chain after the state remembered before, as many as were sent.
    pub fn chain(&self) -> &[ChainStep] {
        &self.chain
    }

    /// Returns what the DID's state rests on besides the map; `None` if the answer shows no DID.
    pub fn footing(&self) -> Option<Footing> {
        self.footing
    }

    /// Returns the place from which certificates of the DID's chain are missing, for a reader who remembers an earlier state.
    ///
    /// Ask again with what the memory has now until there is none: before that the state is the map's word alone.
    pub fn unfollowed(&self) -> Option<u64> {
        match self.footing {
            Some(Footing::Unfollowed { next }) => Some(next),
            _ => None,
        }
    }

    /// Returns the log indexes of the certificates with these sids: the final proof a submitter waits for.
    ///
    /// Errors: [`VerifyError::Written`] unless exactly these, in this order, were proved to be in the log.
    pub fn verify_written(&self, sids: &[Sid]) -> Result<Vec<u64>, VerifyError> {
        let written = self.written.iter().map(|written| written.certificate.sid());
        if !written.eq(sids.iter().copied()) {
            return Err(VerifyError::Written);
        }
        Ok(self.written.iter().map(|written| written.index).collect())
    }
}

//! Lookups on a memory of one's own: for whoever asks what happened since their last look, whatever other commands saw meanwhile.

use dgns_api::known::Known;
use identity::did::Did;
use identity::state::Subject;
use translog::resolve::{self, ChainStep, Resolved, VerifyError};
use translog::trust::Memory;

use super::{Session, chain, lookup_path};
use crate::clock;
use crate::error::ClientError;

/// What a lookup showed, and how its DID came to be so.
#[derive(Clone, Debug)]
pub struct Look {
    /// What was proved.
    pub resolved: Resolved,
    /// Its bytes: a Resolution with its head.
    pub bytes: Vec<u8>,
    /// Every certificate of the DID since the state remembered, judged by the rules.
    pub steps: Vec<ChainStep>,
}

impl Session {
    /// Looks a subject up against `memory`, which is of this log, and follows its DID from the state remembered there.
    pub async fn look(&self, memory: &mut Memory, subject: &Subject) -> Result<Look, ClientError> {
        let known = chain::remembered(subject, memory);
        self.look_from(memory, subject, known).await
    }

    /// Follows a DID from its genesis, whatever is remembered of it: every certificate there is, judged by the rules.
    ///
    /// Errors: [`ClientError::Proof`] as in [`Session::resolve_from_genesis`]; what is remembered stays then.
    pub async fn history(&self, did: &Did) -> Result<Look, ClientError> {
        let before = self.log().memory_in_turn().await?.memory.clone();
        let mut memory = before.without(did);
        let look = self.look_from(&mut memory, &Subject::Did(*did), Some(chain::nothing_of(*did))).await?;
        if chain::not_from_genesis(&look.resolved).is_some() {
            return Err(self.fault(VerifyError::Chain, &Subject::Did(*did), &look.bytes, before.head()));
        }
        let mut kept = self.log().memory_in_turn().await?;
        // Whoever went on from there meanwhile keeps what they met.
        if kept.memory == before {
            kept.memory = memory;
            kept.keep()?;
        }
        Ok(look)
    }

    async fn look_from(
        &self,
        memory: &mut Memory,
        subject: &Subject,
        mut known: Option<Known>,
    ) -> Result<Look, ClientError> {
        let mut steps = Vec::new();
        loop {
            let asked = lookup_path(subject, memory.size(), known)?;
            let bytes = self.net.get(&asked).await.map_err(|error| self.judge_refusal(error, memory.head()))?;
            let mut verified = resolve::verify(self.trust(), memory, subject, &bytes, clock::now());
            if verified == Err(VerifyError::LogSignature) {
                self.catch_up_or_repin().await?;
                verified = resolve::verify(self.trust(), memory, subject, &bytes, clock::now());
            }
            let resolved = verified.map_err(|error| self.fault(error, subject, &bytes, memory.head()))?;
            steps.extend_from_slice(resolved.chain());
            if resolved.unfollowed().is_none() {
                return Ok(Look { resolved, bytes, steps });
            }
            let next = resolved.did().and_then(|did| chain::known(&did.did, memory));
            if next == known {
                return Err(self.fault(VerifyError::Chain, subject, &bytes, memory.head()));
            }
            known = next;
        }
    }
}

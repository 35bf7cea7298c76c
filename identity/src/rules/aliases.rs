//! Aliases and the notaries that speak for them (PROTOCOL 5.7).

use super::draft::{Cause, Draft};
use super::{Act, Refusal, World, effect, recovery};
use crate::alias::{AliasId, issuer_hash};
use crate::cert::{AliasBind, AttestLogin, Body, Claim, ClaimProof, Dispute, KeyBytes, Verified};
use crate::hash::Hash;
use crate::limits::{ATTESTED_MAX, BREAKER_MS};
use crate::state::{Attested, AuthorityState, ChainHead, DidState, Subject};

/// Returns whether a notary's signature has a part in it.
pub(super) const fn asks_a_notary(body: &Body) -> bool {
    matches!(
        body,
        Body::Claim(Claim { proof: ClaimProof::Attested { .. }, .. })
            | Body::AliasBind(_)
            | Body::AttestLogin(_)
            | Body::RecoverOpen(_)
    )
}

/// Asks for an unrevoked notary among the signers; of these issuers, if the certificate says which.
pub(super) fn notary_signed<'w>(
    world: &'w World,
    certificate: &Verified,
    issuer: Option<&Hash>,
) -> Result<&'w AuthorityState, Refusal> {
    let signed: Vec<_> = world.notaries().filter(|notary| certificate.is_signed_by(&notary.authority.key)).collect();
    let speaks = |notary: &AuthorityState| issuer.is_none_or(|issuer| issuer_hash(&notary.authority.scope) == *issuer);
    let live = |notary: &&&AuthorityState| notary.revoked_at.is_none();
    if let Some(notary) = signed.iter().filter(live).find(|notary| speaks(notary)) {
        return Ok(notary);
    }
    match signed.iter().find_map(|notary| notary.revoked_at) {
        _ if signed.iter().any(|notary| notary.revoked_at.is_none()) => Err(Refusal::BadScope),
        Some(revoked_at) => Err(Refusal::NotaryRevoked { revoked_at }),
        None => Err(Refusal::NotAllowed),
    }
}

/// attest_login: a notary of that issuer, at once. The alias remembers the key; no DID changes.
pub(super) fn attest(
    draft: &mut Draft<'_>,
    alias: AliasId,
    login: &AttestLogin,
    certificate: &Verified,
    cause: Cause,
) -> Result<(), Refusal> {
    let payload = certificate.certificate().payload();
    let head = draft.alias(&alias).and_then(|state| state.head);
    let follows = head.map_or((0, None), |head| (head.seq + 1, Some(head.sid)));
    if (payload.seq, payload.prev) != follows {
        return Err(Refusal::StalePrev { head });
    }
    let notary = notary_signed(draft.world, certificate, Some(&login.issuer))?.authority.key;
    let state = draft.alias_mut(&alias);
    state.head = Some(ChainHead { seq: payload.seq, sid: cause.sid, index: cause.index });
    let disputed = state.attested.iter().any(|row| row.sign == login.sign && row.disputed);
    state.attested.retain(|row| row.sign != login.sign);
    if state.attested.len() == ATTESTED_MAX {
        state.attested.remove(0);
    }
    let (sign, kex, index, sid) = (login.sign, login.kex, cause.index, cause.sid);
    state.attested.push(Attested { sign, kex, index, sid, notary: crate::key::kid_of(&notary), disputed });
    draft.set_head(Subject::Alias(alias), cause);
    Ok(())
}

impl Act<'_> {
    /// alias_bind: (V or I) + N at once. An alias of a DID that ended is nobody's.
    pub(super) fn alias_bind(&self, draft: &mut Draft<'_>, bind: &AliasBind) -> Result<(), Refusal> {
        self.needs_power(draft)?;
        if self.world.is_of_chain() {
            return Ok(());
        }
        let holder = draft.alias(&bind.alias).and_then(|state| state.did);
        if holder.and_then(|did| draft.did(&did)).is_some_and(|state| state.flags & DidState::ENDED == 0) {
            return Err(Refusal::AliasBound);
        }
        notary_signed(self.world, self.certificate, None)?;
        // Whose address it was before keeps nothing: senders would go on sealing to keys of a stranger.
        let own: Vec<KeyBytes> = draft.did_mut(&self.did).devices.iter().map(|device| device.sign).collect();
        let state = draft.alias_mut(&bind.alias);
        if holder.is_some() {
            state.attested.retain(|row| own.contains(&row.sign));
        }
        state.did = Some(self.did);
        Ok(())
    }

    /// alias_unbind: I or J at once, V after a window.
    pub(super) fn alias_unbind(&self, draft: &mut Draft<'_>, alias: &AliasId) -> Result<(), Refusal> {
        let power = self.needs_power(draft)?;
        if !self.world.is_of_chain() {
            effect::is_bound(draft, &self.did, alias)?;
        }
        self.now_or_later(draft, power)
    }

    /// A veto of an attest_login: V or I of the DID the alias is bound to, at once.
    pub(super) fn dispute(&self, draft: &mut Draft<'_>, dispute: &Dispute) -> Result<(), Refusal> {
        self.needs_power(draft)?;
        recovery::break_circuit(draft.did_mut(&self.did), self.cause.now_ms);
        if self.world.is_of_chain() {
            return Ok(());
        }
        effect::is_bound(draft, &self.did, &dispute.alias)?;
        let state = draft.alias_mut(&dispute.alias);
        let row = state.attested.iter_mut().find(|row| row.sid == dispute.login).ok_or(Refusal::NoSuchAct)?;
        if std::mem::replace(&mut row.disputed, true) {
            return Err(Refusal::AlreadyVoted);
        }
        state.breaker_ms = self.cause.now_ms.saturating_add(BREAKER_MS);
        Ok(())
    }
}

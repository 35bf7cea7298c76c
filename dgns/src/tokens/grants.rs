//! Grants: kept for their subjects, exchanged for tokens, taken back by their issuers.

use identity::did::Did;
use identity::grant::{GrantRefusal, SignedGrant, check_chain};
use identity::hash::Hash;
use identity::limits::{GRANT_BYTES_MAX, GRANT_CHAIN_MAX};
use identity::token::{Lease, Scope};
use identity::wire::{Reader, WireError, Writer};
use storage::people::{FamilyRow, GrantRow};

use super::families::sids;
use super::{Tokens, TokensRefusal, seconds};
use crate::auth::request::newest;
use crate::core::Core;
use crate::people::events::{EventData, EventKind};

/// Grants kept of one issuer and of one subject.
const KEPT_MAX: u64 = 1_024;

/// A chain that is kept, and whether one of it was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptChain {
    /// The envelopes, the owner's first.
    pub chain: Vec<Vec<u8>>,
    /// Whether an issuer took his back.
    pub revoked: bool,
}

impl Tokens {
    /// Keeps a chain that holds for the subject of its last grant; `issuer` is who asks.
    pub async fn declare(&self, core: &Core, issuer: &Did, body: &[u8]) -> Result<Hash, TokensRefusal> {
        let mut reader = Reader::new(body);
        let mut fields = reader.fields()?;
        let envelopes = fields.required(1, |r| r.list(GRANT_CHAIN_MAX, |r| r.bytes().map(<[u8]>::to_vec)))?;
        fields.end()?;
        reader.end()?;
        let now_s = seconds(core);
        let chain = decode(&envelopes)?;
        let last = judged(self, core, &chain, now_s).await?;
        if last.grant().issuer != *issuer {
            return Err(TokensRefusal::NotGranted);
        }
        let rows: Vec<GrantRow> = chain.iter().map(row).collect();
        self.people.store.keep_grants(&rows, KEPT_MAX, now_s).await?;
        let data = EventData { at_ms: now_s * 1_000, ..EventData::default() };
        self.people.tell(&last.grant().subject, EventKind::Grant, data).await?;
        Ok(last.sid())
    }

    /// Returns the chains whose last grant is to or by a DID, those that end first first.
    pub async fn grants(&self, core: &Core, did: &Did) -> Result<Vec<KeptChain>, TokensRefusal> {
        let now_s = seconds(core);
        let mut kept = Vec::new();
        for last in self.people.store.grants(did).await?.into_iter().filter(|row| now_s < row.until_s) {
            let (mut chain, mut revoked, mut parent) = (vec![last.envelope], last.revoked, last.parent);
            while let Some(sid) = parent {
                let Some(row) = self.people.store.grant(&sid).await? else { break };
                (revoked, parent) = (revoked || row.revoked, row.parent);
                chain.insert(0, row.envelope);
            }
            kept.push(KeptChain { chain, revoked });
        }
        Ok(kept)
    }

    /// Takes a grant back: its families end with it. Returns its place in the feed.
    pub async fn revoke_grant(&self, core: &Core, issuer: &Did, sid: &Hash) -> Result<u64, TokensRefusal> {
        let row = self.people.store.grant(sid).await?.filter(|row| row.issuer == *issuer && !row.revoked);
        let row = row.ok_or(TokensRefusal::NoSuchGrant)?;
        let newest = self.people.store.revoke_grant(sid, row.until_s, seconds(core)).await?;
        self.announce(newest, 1);
        Ok(newest)
    }
}

/// Returns what an exchange gives: its scopes, the sids of its chain, and when the chain ends.
pub(super) async fn allowed(
    tokens: &Tokens,
    core: &Core,
    lease: &Lease,
    now_s: u64,
) -> Result<(Vec<Scope>, Vec<Hash>, u64), TokensRefusal> {
    let chain = decode(&lease.chain)?;
    let last = judged(tokens, core, &chain, now_s).await?;
    if last.grant().subject != lease.did {
        return Err(TokensRefusal::NotGranted);
    }
    let granted = last.grant().scope();
    if !lease.scope.iter().all(|scope| granted.includes(scope)) {
        return Err(TokensRefusal::NotGranted);
    }
    let scope = if lease.scope.is_empty() { vec![granted] } else { lease.scope.clone() };
    Ok((scope, sids(&chain), last.grant().until_s))
}

/// Judges the grants of a family again, and returns when they end; never, without any.
pub(super) async fn still_allowed(
    tokens: &Tokens,
    core: &Core,
    family: &FamilyRow,
    now_s: u64,
) -> Result<u64, TokensRefusal> {
    if family.chain.is_empty() {
        return Ok(u64::MAX);
    }
    let mut reader = Reader::new(&family.chain);
    let envelopes: Vec<Vec<u8>> = reader.list(GRANT_CHAIN_MAX, |r| r.bytes().map(<[u8]>::to_vec))?;
    let chain = decode(&envelopes)?;
    Ok(judged(tokens, core, &chain, now_s).await?.grant().until_s)
}

/// Returns a chain as a family keeps it.
pub(super) fn encode_chain(chain: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(chain.len() * GRANT_BYTES_MAX / 2);
    writer.array(chain.len());
    for envelope in chain {
        writer.bytes(envelope);
    }
    writer.finish()
}

/// Judges a chain under the newest states of its issuers, and by what was taken back; returns its last grant.
async fn judged<'c>(
    tokens: &Tokens,
    core: &Core,
    chain: &'c [SignedGrant],
    now_s: u64,
) -> Result<&'c SignedGrant, TokensRefusal> {
    let mut keys = Vec::with_capacity(chain.len());
    for grant in chain {
        keys.push(newest(core, &grant.grant().issuer).await?.map_or_else(Vec::new, |state| state.granting_keys()));
    }
    let owners: Vec<Did> = chain.first().map(|first| first.grant().resource).into_iter().collect();
    let last = check_chain(chain, &core.origin, &keys, &owners, now_s)?;
    for grant in chain {
        if tokens.people.store.grant(&grant.sid()).await?.is_some_and(|row| row.revoked) {
            return Err(TokensRefusal::GrantRevoked);
        }
    }
    Ok(last)
}

fn decode(envelopes: &[Vec<u8>]) -> Result<Vec<SignedGrant>, GrantRefusal> {
    envelopes.iter().map(|envelope| SignedGrant::decode(envelope)).collect()
}

fn row(signed: &SignedGrant) -> GrantRow {
    let grant = signed.grant();
    GrantRow {
        sid: signed.sid(),
        issuer: grant.issuer,
        subject: grant.subject,
        parent: grant.parent,
        until_s: grant.until_s,
        revoked: false,
        envelope: signed.as_bytes().to_vec(),
    }
}

/// Decodes what a revocation names: a family, or a grant.
pub fn revocation(body: &[u8]) -> Result<Result<[u8; 8], Hash>, WireError> {
    let mut reader = Reader::new(body);
    let mut fields = reader.fields()?;
    let (rid, sid) = (fields.optional(1, Reader::fixed)?, fields.optional(2, Reader::fixed)?);
    fields.end()?;
    reader.end()?;
    match (rid, sid) {
        (Some(rid), None) => Ok(Ok(rid)),
        (None, Some(sid)) => Ok(Err(sid)),
        _ => Err(WireError::Unexpected),
    }
}

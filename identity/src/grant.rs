//! Grants: private statements that hand on rights, in chains that only ever narrow (PROTOCOL 18).
//!
//! Nothing of them is in the log. A chain begins with an owner of the resource, and each grant is signed by a device of the one
//! the grant before names; whoever judges it brings the keys that the log proves for each.

use crate::cert::KeyBytes;
use crate::did::Did;
use crate::hash::{Hash, sha256};
use crate::key::{SigningKey, kid_of};
use crate::limits::{GRANT_BYTES_MAX, GRANT_CHAIN_MAX};
use crate::name::Origin;
use crate::signed::Signed;
use crate::token::{ResourcePath, Rights, Scope, read_rights};
use crate::wire::{Reader, WireError, Writer};

/// Why a grant or a chain of them is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantRefusal {
    /// Not a grant in its one spelling. Codes `bad_cbor`, `not_canonical`, `bad_field`.
    #[error("not a grant: {0}")]
    Wire(#[from] WireError),
    /// More than 1,024 bytes. Code `too_large`.
    #[error("a grant has at most 1,024 bytes")]
    TooLarge,
    /// No grant, more than four, or one that does not follow the one before. Code `grant_chain`.
    #[error("not a chain of 1 to 4 grants, each of which follows the one before")]
    Chain,
    /// The first issuer does not own the resource. Code `grant_owner`.
    #[error("the chain does not begin with an owner of the resource")]
    Owner,
    /// Rights, path, depth or time grew on the way. Code `grant_wider`.
    #[error("a grant gives more than its issuer has")]
    Wider,
    /// One of its times is over. Code `grant_expired`.
    #[error("the grant has expired")]
    Expired,
    /// Signed by no device that may grant for its issuer now. Code `unknown_signer`.
    #[error("the grant is signed by no live admin device of its issuer")]
    UnknownSigner,
    /// The signature does not hold. Code `bad_signature`.
    #[error("a signature of the grant does not hold")]
    Signature,
}

impl GrantRefusal {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Wire(error) => error.code(),
            Self::TooLarge => "too_large",
            Self::Chain => "grant_chain",
            Self::Owner => "grant_owner",
            Self::Wider => "grant_wider",
            Self::Expired => "grant_expired",
            Self::UnknownSigner => "unknown_signer",
            Self::Signature => "bad_signature",
        }
    }
}

/// What a grant says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who grants.
    pub issuer: Did,
    /// To whom.
    pub subject: Did,
    /// On what.
    pub resource: Did,
    /// Where in it.
    pub path: ResourcePath,
    /// What. With the right to grant, depth is at least 1; without, it is 0.
    pub rights: Rights,
    /// How many further grants may follow this one, at most 3.
    pub depth: u8,
    /// Until when, Unix seconds.
    pub until_s: u64,
    /// The sid of the grant that this follows; absent in an owner's.
    pub parent: Option<Hash>,
    /// Makes two grants of one content two grants.
    pub nonce: [u8; 8],
}

impl Grant {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(8 + usize::from(self.parent.is_some()));
        writer.uint(1).bytes(self.issuer.as_bytes()).uint(2).bytes(self.subject.as_bytes());
        writer.uint(3).bytes(self.resource.as_bytes()).uint(4).text(self.path.as_str());
        writer.uint(5).uint(self.rights.bits().into()).uint(6).uint(self.depth.into()).uint(7).uint(self.until_s);
        if let Some(parent) = &self.parent {
            writer.uint(8).bytes(parent);
        }
        writer.uint(9).bytes(&self.nonce);
        writer.finish()
    }

    fn decode(payload: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let mut fields = reader.fields()?;
        let grant = Self {
            issuer: Did::from_bytes(fields.required(1, Reader::fixed)?),
            subject: Did::from_bytes(fields.required(2, Reader::fixed)?),
            resource: Did::from_bytes(fields.required(3, Reader::fixed)?),
            path: fields.required(4, |r| r.text()?.parse().map_err(|_| WireError::Unexpected))?,
            rights: fields.required(5, read_rights)?,
            depth: fields.required(6, |r| r.uint_to(GRANT_CHAIN_MAX as u64 - 1))? as u8,
            until_s: fields.required(7, Reader::uint)?,
            parent: fields.optional(8, Reader::fixed)?,
            nonce: fields.required(9, Reader::fixed)?,
        };
        fields.end()?;
        reader.end()?;
        let grants_on = grant.rights.include(Rights::GRANT);
        if grants_on == (grant.depth > 0) { Ok(grant) } else { Err(WireError::Unexpected) }
    }

    /// Returns what it allows, as a scope.
    pub fn scope(&self) -> Scope {
        Scope { site: self.resource, log: self.path.clone(), rights: self.rights }
    }

    /// Refuses `next` unless it hands on no more than this.
    fn narrows_to(&self, next: &Self) -> Result<(), GrantRefusal> {
        let narrower = self.scope().includes(&next.scope()) && next.depth < self.depth && next.until_s <= self.until_s;
        if narrower { Ok(()) } else { Err(GrantRefusal::Wider) }
    }
}

/// A grant with its signature, which nobody has checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedGrant {
    signed: Signed,
    grant: Grant,
    sid: Hash,
}

impl SignedGrant {
    /// Signs a grant for the log of `origin`. Errors: what decoding would refuse, such as a depth that the rights do not fit.
    pub fn sign(grant: &Grant, origin: &Origin, key: &SigningKey) -> Result<Self, GrantRefusal> {
        Self::decode(Signed::sign(DOMAIN, origin, &grant.encode(), key).as_bytes())
    }

    /// Decodes an envelope and the grant in it.
    pub fn decode(envelope: &[u8]) -> Result<Self, GrantRefusal> {
        if envelope.len() > GRANT_BYTES_MAX {
            return Err(GrantRefusal::TooLarge);
        }
        let signed = Signed::decode(envelope)?;
        let (grant, sid) = (Grant::decode(signed.payload())?, sha256(&[signed.payload()]));
        Ok(Self { signed, grant, sid })
    }

    /// Returns the envelope.
    pub fn as_bytes(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// Returns what it says.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Returns SHA-256 of the payload: what names this grant.
    pub fn sid(&self) -> Hash {
        self.sid
    }

    /// Checks the signature: by one of the keys that may grant for the issuer.
    pub fn verify(&self, origin: &Origin, keys: &[KeyBytes]) -> Result<(), GrantRefusal> {
        let key = keys.iter().find(|key| kid_of(key) == self.signed.kid()).ok_or(GrantRefusal::UnknownSigner)?;
        self.signed.verify(DOMAIN, origin, key).map_err(|_| GrantRefusal::Signature)
    }
}

/// Judges a chain of grants on one resource; the last is what it comes to.
///
/// `keys` are, for each grant, those that may grant for its issuer: the identity key and the live admin devices in its newest
/// state. `owners` are those of the resource: itself, where it is a person.
pub fn check_chain<'c>(
    chain: &'c [SignedGrant],
    origin: &Origin,
    keys: &[Vec<KeyBytes>],
    owners: &[Did],
    now_s: u64,
) -> Result<&'c SignedGrant, GrantRefusal> {
    let (Some(first), Some(last)) = (chain.first(), chain.last()) else { return Err(GrantRefusal::Chain) };
    if chain.len() > GRANT_CHAIN_MAX || keys.len() != chain.len() || first.grant.parent.is_some() {
        return Err(GrantRefusal::Chain);
    }
    if !owners.contains(&first.grant.issuer) {
        return Err(GrantRefusal::Owner);
    }
    for pair in chain.windows(2) {
        let (before, next) = (&pair[0], &pair[1]);
        if next.grant.parent != Some(before.sid) || next.grant.issuer != before.grant.subject {
            return Err(GrantRefusal::Chain);
        }
        before.grant.narrows_to(&next.grant)?;
    }
    // Time shrinks along the chain, so the last ends first.
    if now_s >= last.grant.until_s {
        return Err(GrantRefusal::Expired);
    }
    chain.iter().zip(keys).try_for_each(|(grant, keys)| grant.verify(origin, keys))?;
    Ok(last)
}

/// What a grant's signature is good for.
const DOMAIN: &str = "dgns/grant/v1";

#[cfg(test)]
mod tests;

//! What a device asks a server's tokens with, and what it gets (PROTOCOL 17.3).

use zeroize::Zeroizing;

use super::{Scope, Token};
use crate::cert::{KeyBytes, Kid};
use crate::did::Did;
use crate::hash::sha256;
use crate::key::{BadSignature, SigningKey, signed_bytes, verify_strict};
use crate::limits::{
    GRANT_BYTES_MAX, GRANT_CHAIN_MAX, SCOPES_MAX, TOKEN_BYTES_MAX, TOKEN_LIFE_MAX_S, TOKEN_LIFE_MIN_S,
};
use crate::name::Origin;
use crate::wire::{Reader, WireError, Writer};

/// What a refresh spends: 32 secret bytes, good once.
pub type GuardBytes = Zeroizing<[u8; 32]>;

/// A request's bytes are not what they should be. Codes `bad_cbor`, `not_canonical`, `bad_field`.
pub type AskError = WireError;

/// What a lease asks for; with a chain of grants it is an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose device asks.
    pub did: Did,
    /// The device.
    pub kid: Kid,
    /// For whom the token is; the server itself if left out.
    pub audience: Option<Did>,
    /// What it shall allow.
    pub scope: Vec<Scope>,
    /// Its life in seconds; the audience's if left out or longer than that.
    pub life_s: Option<u64>,
    /// The chain of signed grants, from the owner's to the one for `did`.
    pub chain: Vec<Vec<u8>>,
    /// The proof of the device; left out, the server answers with a nonce for it.
    pub proof: Option<LeaseProof>,
}

/// The device's signature over the server's nonce and what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseProof {
    /// What the server gave, at most 60 s ago.
    pub nonce: [u8; 16],
    /// The signature.
    pub signature: [u8; 64],
}

impl Lease {
    /// Proves the device, in answer to the server's nonce.
    pub fn prove(&mut self, nonce: [u8; 16], origin: &Origin, key: &SigningKey) {
        let signature = key.sign(&self.signed_bytes(&nonce, origin));
        self.proof = Some(LeaseProof { nonce, signature });
    }

    /// Checks the proof under the device's key; `BadSignature` too if there is none.
    pub fn verify(&self, origin: &Origin, key: &KeyBytes) -> Result<(), BadSignature> {
        let proof = self.proof.as_ref().ok_or(BadSignature)?;
        verify_strict(key, &self.signed_bytes(&proof.nonce, origin), &proof.signature)
    }

    fn signed_bytes(&self, nonce: &[u8; 16], origin: &Origin) -> Vec<u8> {
        let asked = Self { proof: None, ..self.clone() }.encode();
        signed_bytes("dgns/lease/v1", origin, &[nonce, &sha256(&[&asked])])
    }

    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let optional = [self.audience.is_some(), !self.scope.is_empty(), self.life_s.is_some(), !self.chain.is_empty()];
        let optional = optional.iter().filter(|present| **present).count();
        let mut writer = Writer::new();
        writer.map(2 + optional + usize::from(self.proof.is_some()));
        writer.uint(1).bytes(self.did.as_bytes()).uint(2).bytes(&self.kid.0);
        if let Some(audience) = &self.audience {
            writer.uint(3).bytes(audience.as_bytes());
        }
        if !self.scope.is_empty() {
            Scope::write_all(&self.scope, writer.uint(4));
        }
        if let Some(life_s) = self.life_s {
            writer.uint(5).uint(life_s);
        }
        if !self.chain.is_empty() {
            writer.uint(6).array(self.chain.len());
            for grant in &self.chain {
                writer.bytes(grant);
            }
        }
        if let Some(LeaseProof { nonce, signature }) = &self.proof {
            writer.uint(7).array(2).bytes(nonce).bytes(signature);
        }
        writer.finish()
    }

    /// Decodes a lease and refuses it unless encoding it again gives the same bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, AskError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let lease = Self {
            did: Did::from_bytes(fields.required(1, Reader::fixed)?),
            kid: Kid(fields.required(2, Reader::fixed)?),
            audience: fields.optional(3, Reader::fixed)?.map(Did::from_bytes),
            scope: fields.optional(4, |r| r.list(SCOPES_MAX, Scope::read))?.unwrap_or_default(),
            life_s: fields.optional(5, |r| r.uint_to(TOKEN_LIFE_MAX_S))?,
            chain: fields.optional(6, |r| r.list(GRANT_CHAIN_MAX, read_grant))?.unwrap_or_default(),
            proof: fields.optional(7, |r| {
                r.array_of(2)?;
                Ok::<_, WireError>(LeaseProof { nonce: r.fixed()?, signature: r.fixed()? })
            })?,
        };
        fields.end()?;
        reader.end()?;
        if lease.life_s.is_some_and(|life_s| life_s < TOKEN_LIFE_MIN_S) {
            return Err(WireError::Unexpected);
        }
        if lease.encode() == bytes { Ok(lease) } else { Err(WireError::NotCanonical) }
    }
}

/// What a refresh spends and shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Refresh {
    /// A token of the family, expired or not.
    pub token: String,
    /// The guard that came with it.
    pub guard: GuardBytes,
    /// The device's signature over the guard's hash.
    pub signature: [u8; 64],
}

impl core::fmt::Debug for Refresh {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Refresh(secret)")
    }
}

impl Refresh {
    /// Returns the request of the device with this key.
    pub fn sign(token: String, guard: GuardBytes, origin: &Origin, key: &SigningKey) -> Self {
        let signature = key.sign(&refresh_bytes(&guard, origin));
        Self { token, guard, signature }
    }

    /// Checks the signature under the device's key.
    pub fn verify(&self, origin: &Origin, key: &KeyBytes) -> Result<(), BadSignature> {
        verify_strict(key, &refresh_bytes(&self.guard, origin), &self.signature)
    }

    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(3).uint(1).text(&self.token).uint(2).bytes(self.guard.as_ref()).uint(3).bytes(&self.signature);
        writer.finish()
    }

    /// Decodes a refresh.
    pub fn decode(bytes: &[u8]) -> Result<Self, AskError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let token = fields.required(1, |r| bounded_text(r))?;
        let guard = Zeroizing::new(fields.required(2, Reader::fixed)?);
        let signature = fields.required(3, Reader::fixed)?;
        fields.end()?;
        reader.end()?;
        Ok(Self { token, guard, signature })
    }
}

/// What a lease, an exchange or a refresh gives.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The token.
    pub token: String,
    /// What the next refresh spends.
    pub guard: GuardBytes,
    /// When the token ends, Unix seconds.
    pub exp_s: u64,
}

impl core::fmt::Debug for Pair {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Pair(secret, until {})", self.exp_s)
    }
}

impl Pair {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(3).uint(1).text(&self.token).uint(2).bytes(self.guard.as_ref()).uint(3).uint(self.exp_s);
        writer.finish()
    }

    /// Decodes a pair.
    pub fn decode(bytes: &[u8]) -> Result<Self, AskError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let token = fields.required(1, |r| bounded_text(r))?;
        let guard = Zeroizing::new(fields.required(2, Reader::fixed)?);
        let exp_s = fields.required(3, Reader::uint)?;
        fields.end()?;
        reader.end()?;
        Ok(Self { token, guard, exp_s })
    }
}

impl Token {
    /// The bytes of a token's text at most.
    pub const TEXT_BYTES_MAX: usize = super::PREFIX.len() + TOKEN_BYTES_MAX.div_ceil(3) * 4 + 23;
}

fn bounded_text(reader: &mut Reader<'_>) -> Result<String, WireError> {
    let text = reader.text()?;
    if text.len() <= Token::TEXT_BYTES_MAX { Ok(text.to_owned()) } else { Err(WireError::Unexpected) }
}

fn read_grant(reader: &mut Reader<'_>) -> Result<Vec<u8>, WireError> {
    let bytes = reader.bytes()?;
    if bytes.len() <= GRANT_BYTES_MAX { Ok(bytes.to_vec()) } else { Err(WireError::Unexpected) }
}

fn refresh_bytes(guard: &[u8; 32], origin: &Origin) -> Vec<u8> {
    signed_bytes("dgns/refresh/v1", origin, &[&sha256(&[guard])])
}

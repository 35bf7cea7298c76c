//! Tokens of this device: leased, exchanged, refreshed, revoked, and kept in the home (PROTOCOL 17, 18).

use std::path::Path;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use dgns_api::{code, path};
use identity::did::Did;
use identity::grant::SignedGrant;
use identity::hash::Hash;
use identity::token::{GuardBytes, Lease, Pair, Refresh, Rid, Scope, Token};
use identity::wire::{Reader, WireError, Writer};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Session, Signer};
use crate::error::ClientError;

/// The file of the tokens of this device.
const FILE: &str = "tokens.json";

/// A token that this device holds, with what its next refresh spends.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its family.
    pub rid: Rid,
    /// Whose token: this device's DID.
    pub did: Did,
    /// For whom it is.
    pub audience: Did,
    /// The token and its guard.
    pub pair: Pair,
}

/// What a lease asks besides the device.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// For whom; the server if left out.
    pub audience: Option<Did>,
    /// What it shall allow.
    pub scope: Vec<Scope>,
    /// Its life in seconds.
    pub life_s: Option<u64>,
    /// The chain of grants to exchange; empty for a lease.
    pub chain: Vec<Vec<u8>>,
}

/// A chain of grants that the server keeps.
#[derive(Clone, Debug)]
pub struct KeptChain {
    /// The grants, the owner's first.
    pub chain: Vec<SignedGrant>,
    /// Whether one of them was taken back.
    pub revoked: bool,
}

#[derive(Clone, Serialize, Deserialize)]
struct HeldFile {
    rid: String,
    did: String,
    audience: String,
    token: String,
    guard: String,
    exp_s: u64,
}

impl Session {
    /// Leases a token for this device, or exchanges grants for one, and keeps it.
    pub async fn lease(&self, signer: Signer<'_>, wanted: Wanted) -> Result<Held, ClientError> {
        let target = if wanted.chain.is_empty() { path::TOKEN_LEASE } else { path::TOKEN_EXCHANGE };
        let Wanted { audience, scope, life_s, chain } = wanted;
        let mut lease =
            Lease { did: signer.did, kid: signer.keys.sign.kid(), audience, scope, life_s, chain, proof: None };
        let answer = match self.net.post(target, lease.encode()).await {
            Err(ClientError::Refused(problem)) if problem.code == code::NONCE_WANTED => {
                let nonce = problem.nonce.as_deref().and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
                let nonce = nonce.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| odd("a nonce"))?;
                lease.prove(nonce, self.trust().origin(), &signer.keys.sign);
                self.net.post(target, lease.encode()).await?
            }
            other => other?,
        };
        let pair = Pair::decode(&answer).map_err(|_| odd("a token"))?;
        self.keep_token(signer.did, pair, None)
    }

    /// Spends the guard of a token, and keeps what comes.
    ///
    /// The new pair is on disk before this returns. A crash before leaves the old one, whose repeat within 30 s gets the same pair.
    pub async fn refresh(&self, signer: Signer<'_>, held: &Held) -> Result<Held, ClientError> {
        let Pair { token, guard, .. } = held.pair.clone();
        let ask = Refresh::sign(token, guard, self.trust().origin(), &signer.keys.sign);
        let answer = match self.net.post(path::TOKEN_REFRESH, ask.encode()).await {
            Err(ClientError::Refused(problem)) if problem.status == 410 => {
                // The family is dead: what is kept of it is worth nothing.
                self.forget_token(&held.rid)?;
                return Err(ClientError::Refused(problem));
            }
            other => other?,
        };
        let pair = Pair::decode(&answer).map_err(|_| odd("a token"))?;
        self.keep_token(held.did, pair, Some(held.rid))
    }

    /// Ends a family of tokens of this DID, and forgets what is kept of it. Returns its place in the feed.
    pub async fn revoke_token(&self, signer: Signer<'_>, rid: &Rid) -> Result<u64, ClientError> {
        let mut writer = Writer::new();
        writer.map(1).uint(1).bytes(rid);
        let seq = self.revoke(signer, &writer.finish()).await;
        if seq.is_ok() {
            self.forget_token(rid)?;
        }
        seq
    }

    /// Takes a grant of this DID back. Returns its place in the feed.
    pub async fn revoke_grant(&self, signer: Signer<'_>, sid: &Hash) -> Result<u64, ClientError> {
        let mut writer = Writer::new();
        writer.map(1).uint(2).bytes(sid);
        self.revoke(signer, &writer.finish()).await
    }

    async fn revoke(&self, signer: Signer<'_>, body: &[u8]) -> Result<u64, ClientError> {
        let answer = self.post_signed(signer, path::TOKEN_REVOKE, body).await?;
        let mut reader = Reader::new(&answer);
        let read = reader.fields().and_then(|mut fields| fields.required(1, Reader::uint));
        read.map_err(|_: WireError| odd("a place in the feed"))
    }

    /// Gives the server a chain of grants to keep for its subject.
    pub async fn declare(&self, signer: Signer<'_>, chain: &[Vec<u8>]) -> Result<(), ClientError> {
        let mut writer = Writer::new();
        writer.map(1).uint(1).array(chain.len());
        for envelope in chain {
            writer.bytes(envelope);
        }
        self.post_signed(signer, path::DECLARE, &writer.finish()).await.map(drop)
    }

    /// Returns the chains of grants to and by this DID that the server keeps.
    pub async fn grants(&self, signer: Signer<'_>) -> Result<Vec<KeptChain>, ClientError> {
        let answer = self.get_signed(signer, path::GRANTS).await?;
        let mut reader = Reader::new(&answer);
        let kept = reader.list(4_096, |r| {
            r.array_of(2)?;
            let envelopes = r.list(identity::limits::GRANT_CHAIN_MAX, |r| r.bytes().map(<[u8]>::to_vec))?;
            Ok::<_, WireError>((envelopes, r.bool()?))
        });
        let kept = kept.map_err(|_| odd("grants"))?;
        kept.into_iter()
            .map(|(envelopes, revoked)| {
                let chain: Result<Vec<_>, _> = envelopes.iter().map(|bytes| SignedGrant::decode(bytes)).collect();
                Ok(KeptChain { chain: chain.map_err(|_| odd("grants"))?, revoked })
            })
            .collect()
    }

    /// Returns the tokens that this device holds.
    pub fn held_tokens(&self) -> Result<Vec<Held>, ClientError> {
        let files: Vec<HeldFile> = self.log.read_json(Path::new(FILE))?.unwrap_or_default();
        let read = |file: &HeldFile| -> Option<Held> {
            let guard: [u8; 32] = HEXLOWER.decode(file.guard.as_bytes()).ok()?.try_into().ok()?;
            let guard: GuardBytes = Zeroizing::new(guard);
            Some(Held {
                rid: HEXLOWER.decode(file.rid.as_bytes()).ok()?.try_into().ok()?,
                did: file.did.parse().ok()?,
                audience: file.audience.parse().ok()?,
                pair: Pair { token: file.token.clone(), guard, exp_s: file.exp_s },
            })
        };
        let damaged = || ClientError::Unable(format!("{FILE} is damaged; move it away and lease anew"));
        files.iter().map(|file| read(file).ok_or_else(damaged)).collect()
    }

    fn keep_token(&self, did: Did, pair: Pair, known: Option<Rid>) -> Result<Held, ClientError> {
        let Token { rid, audience, .. } = Token::read_unverified(&pair.token).map_err(|_| odd("a token"))?;
        if known.is_some_and(|known| known != rid) {
            return Err(odd("a token of this lease"));
        }
        let mut held: Vec<Held> = self.held_tokens()?.into_iter().filter(|held| held.rid != rid).collect();
        let new = Held { rid, did, audience, pair };
        held.push(new.clone());
        self.keep_tokens(&held)?;
        Ok(new)
    }

    fn forget_token(&self, rid: &Rid) -> Result<(), ClientError> {
        let held: Vec<Held> = self.held_tokens()?.into_iter().filter(|held| held.rid != *rid).collect();
        self.keep_tokens(&held)
    }

    fn keep_tokens(&self, held: &[Held]) -> Result<(), ClientError> {
        let files: Vec<HeldFile> = held
            .iter()
            .map(|held| HeldFile {
                rid: HEXLOWER.encode(&held.rid),
                did: held.did.to_string(),
                audience: held.audience.to_string(),
                token: held.pair.token.clone(),
                guard: HEXLOWER.encode(held.pair.guard.as_ref()),
                exp_s: held.pair.exp_s,
            })
            .collect();
        self.log.keep_json(Path::new(FILE), &files)
    }
}

fn odd(what: &str) -> ClientError {
    ClientError::Network(format!("the server answered with something that is not {what}"))
}

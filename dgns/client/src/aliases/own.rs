//! One's own addresses: bound after a sign-in, listed, given up (PROTOCOL 5.7, 12.18).
//!
//! What opens a binding is sealed to the person's user key and kept at the server, so that each device lists it and nobody else.

use data_encoding::BASE64URL_NOPAD;
use dgns_api::alias::{AllMine, Ask, Mine};
use dgns_api::path;
use dgns_api::signin::Finished;
use identity::alias::{AliasId, Tag, alias_id, commitment};
use identity::cert::{AliasBind, Body, Certificate};
use identity::email::Email;
use identity::state::{DidState, Subject};
use identity::user_key::SealedFile;
use identity::wire::{Reader, WireError, Writer};
use rand_core::Rng as _;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{evaluation, server_state};
use crate::draft::Place;
use crate::error::ClientError;
use crate::session::{Posted, Session, Signer};
use crate::{clock, rng, user_keys};

/// How often a lost race is tried again.
const TRIES: u32 = 8;

/// What opens a binding: `{1: address, 2: nonce, 3? tag}`, sealed to the user key.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    /// The address.
    pub email: Email,
    /// What the commitment was made with.
    pub nonce: [u8; 32],
    /// What hides the alias from who knows the address.
    pub tag: Option<Tag>,
}

/// An address of one's own.
#[derive(Debug)]
pub struct Own {
    /// What the log calls it.
    pub alias: AliasId,
    /// What opens it; absent if this device cannot read it.
    pub opening: Option<Opening>,
    /// Whether the log binds it to this DID, proved.
    pub bound: bool,
}

/// All one's own, and what else the server keeps.
#[derive(Debug)]
pub struct AllOwn {
    /// The addresses.
    pub own: Vec<Own>,
    /// How many accounts of issuers lead to this DID.
    pub accounts: u64,
    /// Of how many of them the server keeps the address, blinded.
    pub addresses: u64,
}

/// An address that was bound.
#[derive(Debug)]
pub struct Bound {
    /// What the log calls it.
    pub alias: AliasId,
    /// The post.
    pub posted: Posted,
}

/// Returns the address that a sign-in was judged by. Errors: a passkey, or an id_token without one.
pub fn address_of(finished: &Finished) -> Result<Email, ClientError> {
    #[derive(Deserialize)]
    struct Claims {
        email: String,
    }
    let read = || {
        let token = std::str::from_utf8(&finished.statement).ok()?;
        let payload = Zeroizing::new(BASE64URL_NOPAD.decode(token.split('.').nth(1)?.as_bytes()).ok()?);
        Email::parse(&serde_json::from_slice::<Claims>(&payload).ok()?.email).ok()
    };
    read().ok_or_else(|| {
        ClientError::Unable("this sign-in says no e-mail address: sign in at an issuer that does".into())
    })
}

/// Binds the address of a sign-in on this device to its DID: to be found by it, or hidden from who knows it.
pub async fn bind(
    session: &Session,
    signer: Signer<'_>,
    finished: &Finished,
    hidden: bool,
) -> Result<Bound, ClientError> {
    let email = address_of(finished)?;
    let server = server_state(session).await?;
    let mut opening = Opening { email, nonce: [0; 32], tag: hidden.then_some([0; 16]) };
    let rng = &mut rng::system();
    rng.fill_bytes(&mut opening.nonce);
    if let Some(tag) = &mut opening.tag {
        rng.fill_bytes(tag);
    }
    // Evaluated as for anybody else: the proof says that it is under the key in the log, so others find it.
    let alias = alias_id(&evaluation(session, &server, &opening.email, None).await?, opening.tag.as_ref());
    for tries_left in (0..TRIES).rev() {
        match bind_once(session, signer, finished, &opening, alias).await {
            Err(ClientError::Refused(problem)) if problem.code == "stale_prev" && tries_left > 0 => {}
            ended => return ended,
        }
    }
    unreachable!("the last try returns")
}

async fn bind_once(
    session: &Session,
    signer: Signer<'_>,
    finished: &Finished,
    opening: &Opening,
    alias: AliasId,
) -> Result<Bound, ClientError> {
    let resolved = session.resolve_did(&signer.did).await?;
    let state = resolved.did().ok_or_else(|| ClientError::Absent(signer.did.to_string()))?;
    let commitment = commitment(opening.email.as_str(), &opening.nonce);
    let body = Body::AliasBind(AliasBind { alias, commitment, evidence: finished.evidence });
    let place = Place::after(signer.did, &state.head, resolved.head(), clock::now());
    let unsignable = |error: identity::cert::DecodeError| ClientError::Unable(error.to_string());
    let signed = place.sign(body, None, session.trust().origin(), &[&signer.keys.sign]).map_err(unsignable)?;
    let ask = Ask {
        certificate: signed.as_bytes().to_vec(),
        statement: finished.statement.clone(),
        random: finished.random,
        nonce: opening.nonce,
        tag: opening.tag,
        sealed: opening.sealed_for(state)?,
    };
    let answer = session.notarize(ask.encode()).await?;
    let whole = Certificate::decode(&answer).ok().filter(|whole| whole.sid() == signed.sid());
    let whole = whole.ok_or_else(|| ClientError::Network("the notary signed something else".into()))?;
    let posted = session.post(std::slice::from_ref(&whole), &Subject::Did(signer.did)).await?;
    Ok(Bound { alias, posted })
}

/// Returns this DID's addresses, each proved bound or not, and what else the server keeps.
pub async fn all(session: &Session, signer: Signer<'_>) -> Result<AllOwn, ClientError> {
    let kept = kept(session, signer).await?;
    let resolved = session.resolve_did(&signer.did).await?;
    let state = resolved.did().ok_or_else(|| ClientError::Absent(signer.did.to_string()))?.clone();
    let mut own = Vec::with_capacity(kept.aliases.len());
    for Mine { alias, sealed, .. } in &kept.aliases {
        let resolved = session.resolve(&Subject::Alias(*alias)).await?;
        let bound = resolved.alias().is_some_and(|alias| alias.did == Some(signer.did));
        let opening = Opening::open(session, signer, &state, sealed).await;
        own.push(Own { alias: *alias, opening, bound });
    }
    Ok(AllOwn { own, accounts: kept.accounts, addresses: kept.addresses })
}

/// Returns what the server keeps of this DID's addresses, as it says.
pub async fn kept(session: &Session, signer: Signer<'_>) -> Result<AllMine, ClientError> {
    let answer = session.get_signed(signer, path::MY_ALIASES).await?;
    AllMine::decode(&answer).map_err(|_| ClientError::Network("the list of what is kept is none".into()))
}

impl Opening {
    /// Returns the opening sealed to the person; nothing if the person has no user key.
    fn sealed_for(&self, state: &DidState) -> Result<Vec<u8>, ClientError> {
        let Some(key) = &state.user_key else { return Ok(Vec::new()) };
        let content = Zeroizing::new(self.encode());
        let sealed = SealedFile::seal(&state.did, key.generation, &key.key, &content, &mut rng::system());
        sealed.map(|file| file.encode()).map_err(|error| ClientError::Unable(error.to_string()))
    }

    /// Opens what was sealed to the person; nothing if this device cannot read it.
    pub(crate) async fn open(session: &Session, signer: Signer<'_>, state: &DidState, sealed: &[u8]) -> Option<Self> {
        let file = SealedFile::decode(sealed).ok().filter(|file| file.did == signer.did)?;
        let seed = user_keys::of_generation(session, signer, state, file.generation).await.ok()?;
        Self::decode(&file.open(&seed).ok()?)
    }

    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(2 + usize::from(self.tag.is_some()));
        w.uint(1).text(self.email.as_str()).uint(2).bytes(&self.nonce);
        if let Some(tag) = &self.tag {
            w.uint(3).bytes(tag);
        }
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let read = || {
            let mut r = Reader::new(bytes);
            let mut fields = r.fields()?;
            let email = fields.required(1, Reader::text)?.to_owned();
            let (nonce, tag) = (fields.required(2, Reader::fixed)?, fields.optional(3, Reader::fixed)?);
            fields.end()?;
            r.end()?;
            Ok::<_, WireError>((email, nonce, tag))
        };
        let (email, nonce, tag) = read().ok()?;
        Some(Self { email: Email::parse(&email).ok()?, nonce, tag })
    }
}

impl core::fmt::Debug for Opening {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Opening(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_comes_back_and_is_not_printed() {
        let email = Email::parse("ada@mail.test").unwrap();
        for tag in [None, Some([3; 16])] {
            let opening = Opening { email: email.clone(), nonce: [2; 32], tag };
            assert_eq!(Opening::decode(&opening.encode()), Some(opening.clone()));
            assert_eq!(format!("{opening:?}"), "Opening(..)");
        }
        assert_eq!(Opening::decode(&[0xa0]), None);
    }
}

//! What a notary signs for an address: bindings of those who showed that it is theirs (PROTOCOL 5.7, 12.18).
//!
//! The address comes back inside the statement that the sign-in was judged by, which its evidence hash pins; it is looked at and
//! forgotten. Order of a binding: judged, kept for the owner (durable), signed. A crash behind the second step leaves a row that
//! counts for nothing, since the log never bound what it is about, and is gone after a day.

use data_encoding::BASE64URL_NOPAD;
use dgns_api::alias::Ask;
use dgns_api::code;
use identity::alias::{alias_id, commitment};
use identity::cert::{AliasBind, Body, Certificate, DecodeError, SignatureRefusal};
use identity::did::Did;
use identity::email::Email;
use identity::evidence::evidence_hash;
use identity::hash::Hash;
use identity::state::Subject;
use storage::StorageError;
use storage::people::{AliasRow, AttestedRow};
use tracing::warn;
use zeroize::Zeroizing;

use super::notary::{Notaries, NotaryError};
use super::request::{newest, newest_alias};
use super::signin::leads_to;
use crate::core::Core;
use crate::keys::AliasKey;
use crate::log::door::{Door, DoorError};
use crate::log::states;
use crate::people::People;

/// Why a notary does not sign a binding. Nothing private stands in it.
#[derive(Debug, thiserror::Error)]
pub enum AliasError {
    /// The certificate does not decode.
    #[error("the certificate: {0}")]
    Decode(#[from] DecodeError),
    /// It binds no alias. Code `bad_field`.
    #[error("the certificate binds no alias")]
    NoBinding,
    /// It is not signed by the device that signed in, and by nobody else.
    #[error("sign with the device that signed in, and with nothing else: {0}")]
    Signature(SignatureRefusal),
    /// The statement is not the one of the evidence hash, says no address, or the alias and the commitment are not of it. Code
    /// `bad_opening`.
    #[error("alias, commitment and statement are not of one address and one sign-in")]
    Opening,
    /// As many aliases as are kept of one DID. Code `too_many`.
    #[error("this DID has as many addresses as one may have; remove one first")]
    TooMany,
    /// The notary does not say it.
    #[error(transparent)]
    Notary(#[from] NotaryError),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl AliasError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Decode(error) => error.code(),
            Self::NoBinding => "bad_field",
            Self::Signature(refusal) => refusal.code(),
            Self::Opening => code::BAD_OPENING,
            Self::TooMany => "too_many",
            Self::Notary(error) => error.code(),
            Self::Storage(_) => code::INTERNAL,
        }
    }
}

/// Returns the binding with a notary's signature, if the address of the sign-in is the one that it binds.
pub async fn notarize(
    core: &Core,
    people: &People,
    notaries: &Notaries,
    key: &AliasKey,
    ask: Ask,
) -> Result<Certificate, AliasError> {
    let certificate = Certificate::decode(&ask.certificate)?;
    let Body::AliasBind(bind) = certificate.payload().body else { return Err(AliasError::NoBinding) };
    let mut world = states::world(&core.zone, Some(core.server));
    core.states.fill(&core.live, &core.storage, &mut world, vec![Subject::Did(core.server)]).await?;
    let (signed, vouched) = notaries.vouch(core, people, &world, &certificate).await?;
    certificate.verify(&core.origin, &[vouched.row.sign]).map_err(AliasError::Signature)?;
    opens(&ask, &bind, key)?;
    link(core, people, notaries, &vouched.row, &vouched.did).await?;
    let since_s = core.clock.now().as_ms() / 1_000;
    let Ask { sealed, .. } = ask;
    let row =
        AliasRow { did: vouched.did, alias: bind.alias, account: vouched.row.account, sealed, bound: false, since_s };
    if people.store.put_alias(&row).await? { Ok(signed) } else { Err(AliasError::TooMany) }
}

/// Checks that the statement is the one judged, and that alias and commitment are of the address it says.
fn opens(ask: &Ask, bind: &AliasBind, key: &AliasKey) -> Result<(), AliasError> {
    if ask.statement.len() > usize::from(u16::MAX) || evidence_hash(&ask.statement, &ask.random) != bind.evidence {
        return Err(AliasError::Opening);
    }
    let email = address_of(&ask.statement).ok_or(AliasError::Opening)?;
    let evaluation = key.evaluation(&email);
    let holds = alias_id(&evaluation, ask.tag.as_ref()) == bind.alias
        && commitment(email.as_str(), &ask.nonce) == bind.commitment;
    if holds { Ok(()) } else { Err(AliasError::Opening) }
}

/// Returns the address in an id_token that was judged before; a passkey's answer says none.
fn address_of(statement: &[u8]) -> Option<Email> {
    let token = std::str::from_utf8(statement).ok()?;
    let payload = Zeroizing::new(BASE64URL_NOPAD.decode(token.split('.').nth(1)?.as_bytes()).ok()?);
    #[derive(serde::Deserialize)]
    struct Claims {
        email: String,
    }
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    Email::parse(&claims.email).ok()
}

/// Lets the account lead to the DID that binds the address. One that the log does not have yet begins with a post to come.
async fn link(
    core: &Core,
    people: &People,
    notaries: &Notaries,
    row: &AttestedRow,
    did: &Did,
) -> Result<(), AliasError> {
    match newest(core, did).await? {
        Some(state) => Ok(notaries.link(core, people, &row.evidence, &state).await?),
        None => match leads_to(core, people, &row.account).await? {
            Some(other) if other != *did => Err(NotaryError::Bound(other).into()),
            _ => Ok(()),
        },
    }
}

/// Says in the log, beside each address that the account of a sign-in bound, that this device signed in for it. A sign-in stands
/// without it: what fails is logged, and the next sign-in says it.
pub async fn attest(core: &Core, people: &People, door: &Door, evidence: &Hash) {
    if let Err(error) = attest_all(core, people, door, evidence).await {
        warn!(code = error.code(), "a sign-in is not said in the log");
    }
}

async fn attest_all(core: &Core, people: &People, door: &Door, evidence: &Hash) -> Result<(), DoorError> {
    let Some(notaries) = door.notaries() else { return Ok(()) };
    let now_s = core.clock.now().as_ms() / 1_000;
    let Some(row) = people.store.attested(evidence, now_s).await? else { return Ok(()) };
    for kept in people.store.aliases_of_account(&row.account).await? {
        let bound = newest_alias(core, &kept.alias).await?.is_some_and(|alias| alias.did == Some(kept.did));
        let Some(owner) = newest(core, &kept.did).await?.filter(|_| bound) else { continue };
        // A device of the owner is known without.
        if !owner.devices.iter().any(|device| device.sign == row.sign) {
            notaries.attest(core, door, &row, kept.alias).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_out_of_an_id_token_alone() {
        let token = |payload: &str| format!("e30.{}.AAAA", BASE64URL_NOPAD.encode(payload.as_bytes()));
        let read = |statement: &str| address_of(statement.as_bytes()).map(|email| email.as_str().to_owned());
        assert_eq!(read(&token(r#"{"sub":"1","email":"Ada@Mail.test"}"#)).as_deref(), Some("ada@mail.test"));
        for no in [token(r#"{"sub":"1"}"#), token(r#"{"email":"ada"}"#), token("x"), "e30".into(), "a.!.b".into()] {
            assert_eq!(read(&no), None, "{no}");
        }
        assert!(address_of(&[0xff, 0x2e]).is_none());
    }
}

//! Who says of a device that asks that somebody signed in on it (PROTOCOL 20.4).
//!
//! The log says so beside an address that is bound to the DID, in an `attest_login` signed by a notary; where no address is bound the
//! server alone says it. What the log says is checked: the alias is bound to this DID, the certificate is the one that its state
//! names, the notary signed it and stands.

use dgns_api::alias::Mine;
use dgns_api::path;
use identity::alias::Standing;
use identity::cert::{Body, Role};
use identity::email::Email;
use identity::key::kid_of;
use identity::state::{AliasState, Attested, DidState, Subject};
use translog::entry::Entry;

use crate::aliases::{self, Opening};
use crate::error::ClientError;
use crate::session::{Session, Signer};

/// A sign-in that the log shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Where: the scope of the notary; absent if the log knows no such notary.
    pub issuer: Option<String>,
    /// The log index of the `attest_login`.
    pub index: u64,
    /// When, by the notary's clock, in seconds since 1970.
    pub unix_s: u64,
    /// The address that was signed in with, if this device can read it.
    pub email: Option<Email>,
    /// What it may be taken for.
    pub standing: Standing,
}

impl SignIn {
    /// Returns the code with which such a device is turned away; `None` if it may be let in.
    pub const fn refusal(&self) -> Option<&'static str> {
        match self.standing {
            Standing::NotaryRevoked => Some("notary_revoked"),
            Standing::Disputed => Some("disputed"),
            _ => None,
        }
    }
}

/// Returns the sign-ins with these two keys that the log shows beside the addresses of the DID of `signer`, oldest first; `None` if no
/// address is bound, so that the log never says anything.
///
/// Errors: `sid`, if the entry is not the one that the proved state names, or is not signed by the notary named there.
pub async fn sign_ins_of(
    session: &Session,
    signer: Signer<'_>,
    sign: &[u8; 32],
    kex: &[u8; 32],
) -> Result<Option<Vec<SignIn>>, ClientError> {
    let kept = match aliases::kept(session, signer).await {
        Ok(kept) => kept.aliases,
        // A server that signs nobody in keeps no addresses.
        Err(ClientError::Refused(problem)) if problem.code == "not_found" => Vec::new(),
        Err(error) => return Err(error),
    };
    let (mut found, mut bound) = (Vec::new(), false);
    for Mine { alias, sealed, .. } in kept {
        let resolved = session.resolve(&Subject::Alias(alias)).await?;
        let (Some(state), Some(owner)) = (resolved.alias(), resolved.did()) else { continue };
        if owner.did != signer.did {
            continue;
        }
        bound = true;
        let Some(row) = state.attested.iter().find(|row| row.sign == *sign && row.kex == *kex) else { continue };
        // Asked behind the alias: a notary that was revoked meanwhile vouches for nothing.
        let server = aliases::server_state(session).await?;
        let epoch_ms = resolved.epoch().time_ms;
        let email = Opening::open(session, signer, owner, &sealed).await.map(|opening| opening.email);
        found.push(shown(session, (row, state, owner), &server, epoch_ms, email).await?);
    }
    found.sort_by_key(|one| one.index);
    Ok(bound.then_some(found))
}

/// Checks the certificate of a row, and says what it is worth.
async fn shown(
    session: &Session,
    (row, state, owner): (&Attested, &AliasState, &DidState),
    server: &DidState,
    epoch_ms: u64,
    email: Option<Email>,
) -> Result<SignIn, ClientError> {
    let fault = |what: &str| ClientError::proof("sid", format!("entry {} of the log: {what}", row.index));
    let entry = session.get(&format!("{}{}", path::ENTRIES, row.index)).await?;
    let Ok(Entry::Certificate(certificate)) = Entry::decode(&entry) else { return Err(fault("no certificate")) };
    let payload = certificate.payload();
    let about = matches!(&payload.body, Body::AttestLogin(said) if said.sign == row.sign && said.kex == row.kex);
    if certificate.sid() != row.sid || !about {
        return Err(fault("not the sign-in that the state of the alias names"));
    }
    let notary = server
        .authorities
        .iter()
        .map(|known| &known.authority)
        .find(|known| known.role == Role::Notary && kid_of(&known.key) == row.notary);
    if let Some(notary) = notary {
        let signed = certificate.verify_one_party(session.trust().origin(), &[notary.key]);
        if !signed.is_ok_and(|signed| signed.is_signed_by(&notary.key)) {
            return Err(fault("not signed by the notary that the state of the alias names"));
        }
    }
    Ok(SignIn {
        issuer: notary.map(|notary| notary.scope.clone()),
        index: row.index,
        unix_s: payload.unix_s,
        email,
        standing: Standing::of(row, state, owner, server, epoch_ms),
    })
}

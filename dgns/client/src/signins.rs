//! What finds this account: the sign-ins at issuers and the passkeys that lead to it, listed and taken away by its devices
//! (PROTOCOL 19.4, 19.6). They give no power over it; what the server says of them nobody proves.

use data_encoding::HEXLOWER;
use dgns_api::path;
use identity::evidence::issuer_hash;
use identity::hash::Hash;
use identity::state::DidState;
use identity::wire::{Reader, WireError};

use crate::error::ClientError;
use crate::session::{Session, Signer};
use crate::user_keys;

/// The most that a server lists of either kind.
const ROWS_MAX: usize = 1_000;

/// Something that leads to this account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// What the server calls it.
    pub id: Hash,
    /// Since when, in seconds since 1970.
    pub since_s: u64,
    /// What it is.
    pub kind: Kind,
}

/// A kind of sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An account at an issuer.
    Issuer {
        /// What the log calls the issuer, if anybody noted it.
        issuer: Option<Hash>,
        /// Whether the server keeps its e-mail address, blinded.
        has_email: bool,
        /// How many addresses it bound.
        addresses: u64,
    },
    /// A passkey.
    Passkey {
        /// The recipient of the user key that it makes, if it makes one.
        recipient: Option<[u8; 32]>,
        /// When it signed in last, in seconds since 1970.
        used_s: u64,
        /// Whether it lies on several devices.
        backed_up: bool,
    },
}

impl SignIn {
    /// Returns the id as people write it.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.id)
    }

    /// Returns whether it is one at the issuer with this URL.
    pub fn is_at(&self, url: &str) -> bool {
        matches!(self.kind, Kind::Issuer { issuer: Some(issuer), .. } if issuer == issuer_hash(url))
    }

    /// Returns whether it opens what is sealed to the person.
    pub fn opens(&self, state: &DidState) -> bool {
        let Kind::Passkey { recipient: Some(recipient), .. } = self.kind else { return false };
        state.user_key.as_ref().is_some_and(|key| key.extras.iter().any(|extra| extra.kex == recipient))
    }
}

/// Returns all that lead to the signer's account: those at issuers, then the passkeys, each oldest first.
///
/// Errors: [`ClientError::Network`] where the list has another form; those of a signed request.
pub async fn all(session: &Session, signer: Signer<'_>) -> Result<Vec<SignIn>, ClientError> {
    let mut all = rows(session, signer, path::SIGNIN_LINKS, |r| {
        r.array_of(5)?;
        let (id, issuer) = (r.fixed()?, r.or_null(|r| r.fixed())?);
        let (since_s, has_email, addresses) = (r.uint()?, r.bool()?, r.uint()?);
        Ok(SignIn { id, since_s, kind: Kind::Issuer { issuer, has_email, addresses } })
    })
    .await?;
    all.extend(
        rows(session, signer, path::PASSKEYS, |r| {
            r.array_of(6)?;
            let id = r.fixed()?;
            r.bytes()?; // the credential, which is the browser's to know
            let recipient = r.or_null(|r| r.fixed())?;
            let (since_s, used_s, backed_up) = (r.uint()?, r.uint()?, r.bool()?);
            Ok(SignIn { id, since_s, kind: Kind::Passkey { recipient, used_s, backed_up } })
        })
        .await?,
    );
    Ok(all)
}

/// Takes one away: it leads here no more, the server forgets it, and a passkey opens nothing that is sealed from now on.
///
/// Errors: `address_bound` while an address is bound by it, `no_such_signin`, `no_such_passkey`, `not_allowed` for a device that
/// does not vote.
pub async fn remove(session: &Session, signer: Signer<'_>, signin: &SignIn) -> Result<(), ClientError> {
    let list = match signin.kind {
        Kind::Issuer { .. } => path::SIGNIN_LINKS,
        Kind::Passkey { .. } => path::PASSKEYS,
    };
    session.delete_signed(signer, &format!("{list}/{}", signin.hex())).await?;
    match signin.kind {
        Kind::Passkey { recipient: Some(recipient), .. } => user_keys::turn_without(session, signer, &recipient).await,
        _ => Ok(()),
    }
}

async fn rows(
    session: &Session,
    signer: Signer<'_>,
    list: &str,
    row: impl FnMut(&mut Reader<'_>) -> Result<SignIn, WireError>,
) -> Result<Vec<SignIn>, ClientError> {
    let answer = match session.get_signed(signer, list).await {
        // A server without passkeys, or without issuers, has no such list.
        Err(ClientError::Refused(problem)) if problem.status == 404 => return Ok(Vec::new()),
        answer => answer?,
    };
    let mut reader = Reader::new(&answer);
    let rows = reader.list(ROWS_MAX, row);
    let rows = rows.and_then(|rows| reader.end().map(|()| rows));
    rows.map_err(|_| ClientError::Network(format!("{list} is not of the documented form")))
}

//! People found by an address: the server evaluates it blinded, the log tells whose it is, and notaries that were revoked since
//! count for nothing (PROTOCOL 3.5, 22.1).

mod own;

use dgns_api::evaluate;
use dgns_api::info::Info;
use dgns_api::path;
use identity::alias::{Evaluation, Standing, alias_id};
use identity::cert::{KeyBytes, Role};
use identity::did::Did;
use identity::email::Email;
use identity::oprf::{self, Blinded};
use identity::state::{Attested, DidState, Subject};
use translog::resolve::{Resolved, Status};

use crate::error::ClientError;
use crate::rng;
use crate::session::{Session, Signer};

pub use own::{AllOwn, Bound, Opening, Own, address_of, all, bind, kept};

/// An address as the log knows it, proved; absent too.
#[derive(Debug)]
pub struct FoundAlias {
    /// The alias with its owner, whose chain was followed from the genesis.
    pub resolved: Resolved,
    /// The log's own server, whose authorities say which notaries stand; read after the alias.
    pub server: DidState,
}

impl FoundAlias {
    /// Returns the keys that signed in with a found alias, each with what it may be taken for.
    pub fn attested(&self) -> impl Iterator<Item = (&Attested, Standing)> {
        let found = self.resolved.alias().filter(|_| self.resolved.status() == Status::Present);
        let found = found.zip(self.resolved.did());
        let epoch_ms = self.resolved.epoch().time_ms;
        let judged = move |(alias, owner)| {
            let alias: &identity::state::AliasState = alias;
            alias.attested.iter().map(move |row| (row, Standing::of(row, alias, owner, &self.server, epoch_ms)))
        };
        found.into_iter().flat_map(judged)
    }
}

/// Finds who has an address, or proves that nobody can be found by it. What leaves the machine is blinded.
///
/// A signed request may be made more often than one of an address, and says who looks; whom for it does not say either.
pub async fn find(session: &Session, email: &Email, signer: Option<Signer<'_>>) -> Result<FoundAlias, ClientError> {
    let server = server_state(session).await?;
    let alias = alias_id(&evaluation(session, &server, email, signer).await?, None);
    let resolved = session.resolve_from_genesis(&Subject::Alias(alias)).await?;
    // Asked again: a notary that was revoked meanwhile vouches for nothing that is still to be shared.
    let server = server_state(session).await?;
    Ok(FoundAlias { resolved, server })
}

/// Returns the proved state of the log's own server: the DID of entry 0.
pub async fn server_state(session: &Session) -> Result<DidState, ClientError> {
    let said = session.get(path::INFO).await?;
    let said: Info = serde_json::from_slice(&said)
        .map_err(|_| ClientError::proof("malformed", format!("{} is not what a server says of itself", path::INFO)))?;
    let did: Did =
        said.server_did.parse().map_err(|_| ClientError::proof("malformed", "no DID of a server".to_owned()))?;
    let resolved = session.resolve_did(&did).await?;
    let state = resolved.did().filter(|state| state.uid == 0);
    state.cloned().ok_or_else(|| ClientError::proof("binding", "the server named is not the one of entry 0".to_owned()))
}

/// Returns the evaluation of an address: the server makes it blinded, and proves that it used the key in the log.
pub async fn evaluation(
    session: &Session,
    server: &DidState,
    email: &Email,
    signer: Option<Signer<'_>>,
) -> Result<Evaluation, ClientError> {
    let key = alias_key(session, server)?;
    let blinded = Blinded::new(email.as_str().as_bytes(), &mut rng::system());
    let blinded = [blinded.map_err(|error| ClientError::Unable(error.to_string()))?];
    let question = evaluate::encode_question(&[*blinded[0].element()]);
    let answer = match signer {
        Some(signer) => session.post_signed(signer, path::EVALUATE, &question).await?,
        None => session.evaluate(question).await?,
    };
    let fault = |what: &str| ClientError::proof("bad_proof", format!("the evaluation of the address: {what}"));
    let (evaluated, proof) = evaluate::decode_answer(&answer).map_err(|_| fault("malformed"))?;
    let outputs = oprf::finalize(&blinded, &evaluated, &proof, &key).map_err(|error| fault(&error.to_string()))?;
    Ok(outputs[0])
}

/// Returns the newest unrevoked alias key of the zone.
fn alias_key(session: &Session, server: &DidState) -> Result<KeyBytes, ClientError> {
    let zone = session.trust().zone().as_str();
    let live = server.authorities.iter().filter(|row| row.revoked_at.is_none());
    let key = live.rev().find(|row| row.authority.role == Role::Alias && row.authority.scope == zone);
    let none = || ClientError::Unable("this log has no alias key: nobody is found by an address here".into());
    key.map(|row| row.authority.key).ok_or_else(none)
}

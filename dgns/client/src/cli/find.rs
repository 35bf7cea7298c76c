//! `dgns find`: a person by their e-mail address, which nobody is told (PROTOCOL 3.5).

use data_encoding::HEXLOWER;
use dgns_api::info::Info;
use dgns_api::{evaluate, path};
use dgns_client::error::ClientError;
use dgns_client::rng;
use dgns_client::session::Session;
use identity::alias::alias_id;
use identity::cert::{KeyBytes, Role};
use identity::did::Did;
use identity::email::Email;
use identity::key::kid_of;
use identity::oprf::{self, Blinded};
use identity::state::{AliasState, DidState, Subject};
use serde_json::{Value, json};
use translog::resolve::{Resolved, Status};

use super::lookup::{ended, proved_text, proved_value, subject_text, subject_value};
use super::{Context, Done};

/// Arguments of `find`.
#[derive(Debug, clap::Args)]
pub(crate) struct Find {
    /// The address
    email: String,
}

/// Finds who has an address, or proves that nobody can be found by it. What leaves the machine is blinded.
pub(crate) async fn find(context: &Context, find: Find) -> Done {
    let email = Email::parse(&find.email).map_err(|error| ClientError::Unable(error.to_string()))?;
    let session = context.session().await?;
    let server = server_state(&session).await?;
    let alias = alias_of(&session, &server, &email).await?;
    let resolved = session.resolve(&Subject::Alias(alias)).await?;
    // A notary that was revoked meanwhile vouches for nothing that is still to be shared.
    let server = server_state(&session).await?;
    let text = [
        subject_text(&resolved, None),
        attested_text(&resolved, &server),
        String::new(),
        proved_text(&session, &resolved),
    ];
    let mut value = subject_value(&resolved, None);
    value["attested"] = attested_value(&resolved, &server);
    value["proof"] = proved_value(&session, &resolved);
    context.out.result(&text.join("\n"), &value);
    Ok(ended(&resolved))
}

/// Returns the proved state of the log's own server: the DID of entry 0.
async fn server_state(session: &Session) -> Result<DidState, ClientError> {
    let said = session.get(path::INFO).await?;
    let said: Info = serde_json::from_slice(&said)
        .map_err(|_| ClientError::proof("malformed", format!("{} is not what a server says of itself", path::INFO)))?;
    let did: Did =
        said.server_did.parse().map_err(|_| ClientError::proof("malformed", "no DID of a server".to_owned()))?;
    let resolved = session.resolve_did(&did).await?;
    let state = resolved.did().filter(|state| state.uid == 0);
    state.cloned().ok_or_else(|| ClientError::proof("binding", "the server named is not the one of entry 0".to_owned()))
}

/// Returns the alias id of an address: the server evaluates it blinded, and proves that it used the key in the log.
async fn alias_of(session: &Session, server: &DidState, email: &Email) -> Result<[u8; 32], ClientError> {
    let key = alias_key(session, server)?;
    let blinded = Blinded::new(email.as_str().as_bytes(), &mut rng::system());
    let blinded = [blinded.map_err(|error| ClientError::Unable(error.to_string()))?];
    let answer = session.evaluate(evaluate::encode_question(&[*blinded[0].element()])).await?;
    let fault = |what: &str| ClientError::proof("bad_proof", format!("the evaluation of the address: {what}"));
    let (evaluated, proof) = evaluate::decode_answer(&answer).map_err(|_| fault("malformed"))?;
    let outputs = oprf::finalize(&blinded, &evaluated, &proof, &key).map_err(|error| fault(&error.to_string()))?;
    Ok(alias_id(&outputs[0], None))
}

/// Returns the newest unrevoked alias key of the zone.
fn alias_key(session: &Session, server: &DidState) -> Result<KeyBytes, ClientError> {
    let zone = session.trust().zone().as_str();
    let live = server.authorities.iter().filter(|row| row.revoked_at.is_none());
    let key = live.rev().find(|row| row.authority.role == Role::Alias && row.authority.scope == zone);
    let none = || ClientError::Unable("this log has no alias key: nobody is found by an address here".into());
    key.map(|row| row.authority.key).ok_or_else(none)
}

/// The keys that signed in with a found alias, each with what it may be taken for.
fn attested<'r>(
    resolved: &'r Resolved,
    server: &'r DidState,
) -> impl Iterator<Item = (&'r identity::state::Attested, &'static str)> {
    let found = resolved.alias().filter(|_| resolved.status() == Status::Present);
    let rows = found.map_or(&[][..], |AliasState { attested, .. }| attested);
    rows.iter().map(move |row| {
        let is_device = resolved.did().is_some_and(|did| did.devices.iter().any(|device| device.sign == row.sign));
        let notary = server.authorities.iter().filter(|known| known.authority.role == Role::Notary);
        let mut notary = notary.filter(|known| kid_of(&known.authority.key) == row.notary);
        let standing = match notary.any(|known| known.revoked_at.is_none()) {
            _ if is_device => "a device of the owner",
            _ if row.disputed => "DISPUTED by the owner: share nothing",
            false => "attested by a notary that was REVOKED: share nothing",
            true => "signed in as this address",
        };
        (row, standing)
    })
}

fn attested_text(resolved: &Resolved, server: &DidState) -> String {
    let line = |(row, standing): (&identity::state::Attested, &str)| {
        format!("  signed in {} {standing}", HEXLOWER.encode(&kid_of(&row.sign).0))
    };
    attested(resolved, server).map(line).collect::<Vec<_>>().join("\n")
}

fn attested_value(resolved: &Resolved, server: &DidState) -> Value {
    let rows = attested(resolved, server).map(|(row, standing)| {
        json!({
            "kid": HEXLOWER.encode(&kid_of(&row.sign).0),
            "kex": HEXLOWER.encode(&row.kex),
            "index": row.index,
            "disputed": row.disputed,
            "standing": standing,
        })
    });
    rows.collect()
}

//! `signins`: what finds this account, listed and taken away.

use dgns_api::info::Info;
use dgns_api::path;
use dgns_client::error::ClientError;
use dgns_client::session::{Session, Signer};
use dgns_client::signins::{self, Kind, SignIn};
use identity::state::DidState;
use serde_json::{Value, json};

use super::actor::Actor;
use super::output::time;
use super::{Context, Done, Ended};

/// `signins`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum SignIns {
    /// List the accounts at issuers and the passkeys that find this account
    List,
    /// Take one away: signing in with it leads here no more
    Remove {
        /// Its id, or the first digits of it
        id: String,
    },
}

/// Runs a `signins` command.
pub(crate) async fn signins(context: &Context, command: SignIns) -> Done {
    let actor = Actor::new(context).await?;
    let signer = Signer { did: actor.did, keys: &actor.device };
    let all = signins::all(&actor.session, signer).await?;
    match command {
        SignIns::List => {
            let (state, _) = actor.place().await?;
            list(context, &actor.session, &all, &state).await
        }
        SignIns::Remove { id } => {
            let signin = the_one(&all, &id)?;
            signins::remove(&actor.session, signer, signin).await?;
            let text =
                "taken away: signing in with it leads here no more. Your devices and your words stay as they are.";
            context.out.result(text, &json!({ "ok": true, "id": signin.hex() }));
            Ok(Ended::Ok)
        }
    }
}

async fn list(context: &Context, session: &Session, all: &[SignIn], state: &DidState) -> Done {
    let info: Info = serde_json::from_slice(&session.get(path::INFO).await?)
        .map_err(|_| ClientError::Network(format!("{} is not of the documented form", path::INFO)))?;
    let name_of = |signin: &SignIn| {
        let known = info.signin.issuers.iter().find(|issuer| signin.is_at(&issuer.issuer));
        known.map_or_else(|| "an issuer this server believes no more".to_owned(), |issuer| issuer.name.clone())
    };
    let mut lines: Vec<String> = all.iter().map(|signin| line(signin, &name_of(signin), state)).collect();
    lines.push(match all.is_empty() {
        true => "no sign-ins lead here; let one: dgns login --oidc ISSUER".into(),
        false => {
            "\nThey find this account on a new device, and give no power over it. Take one away: dgns signins remove ID"
                .into()
        }
    });
    let rows: Vec<Value> = all.iter().map(|signin| row(signin, &name_of(signin), state)).collect();
    context.out.result(&lines.join("\n"), &json!({ "ok": true, "signins": rows }));
    Ok(Ended::Ok)
}

fn line(signin: &SignIn, name: &str, state: &DidState) -> String {
    let (id, since) = (&signin.hex()[..16], time(signin.since_s * 1_000));
    match &signin.kind {
        Kind::Issuer { has_email, addresses, .. } => {
            let keeps = match (addresses, has_email) {
                (0, false) => "the server keeps nothing else of it",
                (0, true) => "the server keeps its address, blinded",
                _ => "an address is bound by it",
            };
            format!("{id}  {name}, since {since}; {keeps}")
        }
        Kind::Passkey { used_s, backed_up, .. } => format!(
            "{id}  a passkey {}, since {since}; it {}; used last {}",
            if *backed_up { "on several devices" } else { "on one device" },
            if signin.opens(state) { "opens what is sealed to you" } else { "signs in only" },
            time(used_s * 1_000)
        ),
    }
}

fn row(signin: &SignIn, name: &str, state: &DidState) -> Value {
    match &signin.kind {
        Kind::Issuer { has_email, addresses, .. } => json!({
            "id": signin.hex(), "kind": "issuer", "issuer": name, "since_s": signin.since_s, "has_email": has_email,
            "addresses": addresses,
        }),
        Kind::Passkey { used_s, backed_up, .. } => json!({
            "id": signin.hex(), "kind": "passkey", "since_s": signin.since_s, "used_s": used_s, "backed_up": backed_up,
            "opens": signin.opens(state),
        }),
    }
}

fn the_one<'a>(all: &'a [SignIn], digits: &str) -> Result<&'a SignIn, ClientError> {
    let matching: Vec<&SignIn> = all.iter().filter(|signin| signin.hex().starts_with(&digits.to_lowercase())).collect();
    match matching[..] {
        [signin] => Ok(signin),
        _ => Err(ClientError::Unable(format!(
            "{} sign-ins begin with {digits:?}; list them with: dgns signins list",
            matching.len()
        ))),
    }
}

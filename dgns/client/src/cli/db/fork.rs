//! `db fork`: a database that goes on from another one, under a name of its own.

use dgns_client::error::ClientError;
use dgns_client::home::Home;
use dgns_client::session::Signer;
use dgns_client::store::database::{MAIN, OpenDb};
use dgns_client::store::fork::{self, Forked};
use serde_json::json;

use crate::cli::actor::{Actor, known_device};
use crate::cli::{Context, Done, Ended, up};

/// What goes on from what.
#[derive(Debug, clap::Args)]
pub(crate) struct Fork {
    /// The database to go on from; you are an owner of it
    name: String,
    /// The name of the new one
    new: String,
    /// Go on from the first so many entries of its log `main`; from all if left out
    #[arg(long, value_name = "POS")]
    at: Option<u64>,
    /// Do not show the words of the new database
    #[arg(long)]
    no_words: bool,
}

/// Runs `db fork`.
pub(crate) async fn fork(context: &Context, command: &Fork) -> Done {
    let actor = Actor::new(context).await?;
    let source = OpenDb::open(&actor.session, actor.signer(), &command.name).await?;
    if !source.acl().owners().is(&actor.did) {
        return Err(ClientError::Unable(format!("only an owner of {} forks it: dgns db owners {0}", command.name)));
    }
    let at = command.at.map(|size| source.log(MAIN).map(|(log, _)| (log, size))).transpose()?;
    up::claim_database(context, &command.new, command.no_words).await?;
    let name = actor.session.name(&command.new)?;
    let directory = context.held(&name);
    let held_session = context.session_in(&Home::open(&directory)?, actor.session.server()).await?;
    let (keys, did) = known_device(&held_session)?;
    let held = Signer { did, keys: &keys };
    let _turn = actor.session.log().turn("append.lock")?;
    let Forked { db, new } = fork::fork(&actor.session, (held, actor.signer()), &source, at, name.as_str()).await?;
    let size = db.log(MAIN).ok().and_then(|(log, _)| db.acl().parts(&log).last().map(|part| part.size)).unwrap_or(0);
    if new {
        context.out.note(&format!(
            "the members of {} are those of the fork, with the same rights and key: dgns db revoke or dgns db rekey changes that",
            command.name
        ));
    }
    let text = match new {
        true => format!("{} goes on from {}, {size} entries of which are its own: {did}", name.as_str(), command.name),
        false => format!("{} goes on from {} already: {did}", name.as_str(), command.name),
    };
    let value = json!({
        "ok": true, "name": name.as_str(), "did": did.to_string(), "source": source.acl().did().to_string(), "at": size, "new": new,
    });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

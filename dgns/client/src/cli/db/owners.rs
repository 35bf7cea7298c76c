//! `db owners`, `db delete`: whose a database is, and how it ends.

use std::io::{IsTerminal as _, Write as _};

use dgns_api::store::acl::{Acl, Stage};
use dgns_client::error::ClientError;
use dgns_client::store::database::OpenDb;
use dgns_client::store::owners::{self, Deletion};
use serde_json::{Value, json};

use super::groups::of_kind;
use crate::cli::actor::Actor;
use crate::cli::token::did_of;
use crate::cli::{Context, Done, Ended};

/// What to do about the owners.
#[derive(Debug, clap::Args)]
pub(crate) struct Owners {
    /// The database
    name: String,
    /// Say that somebody, a name or a DID, should be an owner, too: they are once more than half of the owners say so
    #[arg(long, value_name = "WHO", conflicts_with = "leave")]
    add: Option<String>,
    /// Take back that they should be one
    #[arg(long, requires = "add")]
    take_back: bool,
    /// Be no owner any more; if half of those who stay are for deleting the database, any of them may end it then
    #[arg(long)]
    leave: bool,
}

/// What to do about the end of a database.
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// The database
    name: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Take back that it should be deleted
    #[arg(long, conflicts_with = "yes")]
    take_back: bool,
}

/// Runs `db owners`.
pub(crate) async fn owners(context: &Context, command: &Owners) -> Done {
    let actor = Actor::new(context).await?;
    let name = command.name.as_str();
    let acl = match &command.add {
        None if !command.leave => {
            let db = OpenDb::open_even_deleted(&actor.session, actor.signer(), name).await?;
            return shown(context, name, db.acl());
        }
        None => {
            let _turn = actor.session.log().turn("append.lock")?;
            owners::leave(&actor.session, actor.signer(), name).await?.acl
        }
        Some(who) => {
            let who = did_of(&actor.session, who).await?;
            let _turn = actor.session.log().turn("append.lock")?;
            owners::add(&actor.session, actor.signer(), name, &who, !command.take_back).await?.acl
        }
    };
    shown(context, name, &acl)
}

fn shown(context: &Context, name: &str, acl: &Acl) -> Done {
    let owners = acl.owners();
    let mut lines: Vec<String> = owners.all().iter().map(|did| format!("{did}  owner")).collect();
    lines.extend(owners.asked().iter().map(|(did, voices)| {
        let more = owners.all().len() / 2 + 1 - voices.len().min(owners.all().len() / 2);
        format!("{did}  to be one; {more} more owners have to say: dgns db owners {name} --add {did}")
    }));
    match owners.stage() {
        Stage::Deleted => lines.push("deleted".to_owned()),
        _ if owners.deleting().is_empty() => {}
        _ => lines.push(open_text(name, acl)),
    }
    lines.extend(acl.place().map(|place| format!("at {}", place.url)));
    context.out.result(&format!("{}{}", lines.join("\n"), of_kind(acl)), &value_of(acl));
    Ok(Ended::Ok)
}

/// Runs `db delete`.
pub(crate) async fn delete(context: &Context, command: &Delete) -> Done {
    let actor = Actor::new(context).await?;
    let name = command.name.as_str();
    if command.take_back {
        let _turn = actor.session.log().turn("append.lock")?;
        let acl = owners::keep(&actor.session, actor.signer(), name).await?.acl;
        return shown(context, name, &acl);
    }
    if !command.yes && !is_confirmed(name)? {
        return Err(ClientError::Unable("nothing was said".into()));
    }
    let _turn = actor.session.log().turn("append.lock")?;
    match owners::delete(&actor.session, actor.signer(), name).await? {
        Deletion::Done(tombstone) => {
            let value = json!({ "ok": true, "deleted": true, "lacking": 0, "tombstone": tombstone });
            context.out.result(&tombstone.to_string(), &value);
            Ok(Ended::Ok)
        }
        Deletion::Open(acl) => {
            context.out.result(&open_text(name, &acl), &value_of(&acl));
            Ok(Ended::Waits)
        }
    }
}

fn open_text(name: &str, acl: &Acl) -> String {
    let owners = acl.owners();
    let (all, deleting, lacking) = (owners.all().len(), owners.deleting().len(), owners.lacking());
    match lacking {
        0 => format!(
            "{deleting} of {all} owners are for deleting it, which is enough; any of them ends it: dgns db delete {name}"
        ),
        _ => {
            format!("{deleting} of {all} owners are for deleting it; {lacking} more have to say: dgns db delete {name}")
        }
    }
}

fn value_of(acl: &Acl) -> Value {
    let owners = acl.owners();
    let list = |dids: &std::collections::BTreeSet<_>| dids.iter().map(ToString::to_string).collect::<Vec<String>>();
    let asked = owners.asked().iter().map(|(did, voices)| json!({ "did": did.to_string(), "by": list(voices) }));
    json!({
        "ok": true,
        "did": acl.did().to_string(),
        "kind": acl.kind().name(),
        "owners": list(owners.all()),
        "asked": asked.collect::<Vec<_>>(),
        "deleting": list(owners.deleting()),
        "lacking": owners.lacking(),
        "deleted": owners.stage() == Stage::Deleted,
        "url": acl.place().map(|place| &place.url),
    })
}

/// Asks whoever sits at a terminal; a program says `--yes`.
fn is_confirmed(name: &str) -> Result<bool, ClientError> {
    let unable = |error: std::io::Error| ClientError::Unable(format!("the terminal: {error}"));
    if !std::io::stdin().is_terminal() {
        return Err(ClientError::Unable("this ends the database for everybody: say --yes".into()));
    }
    eprint!("This ends {name} for everybody once half of its owners say so. Type its name to go on: ");
    std::io::stderr().flush().map_err(unable)?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(unable)?;
    Ok(line.trim() == name)
}

//! `db move`: a database goes to another server, under the same name, once half of its owners say so.

use dgns_client::error::ClientError;
use dgns_client::session::Session;
use dgns_client::store::relocate::{self, Relocated, Relocation};
use serde_json::json;

use crate::cli::actor::Actor;
use crate::cli::progress::Progress;
use crate::cli::{Context, Done, Ended};

/// What goes where.
#[derive(Debug, clap::Args)]
pub(crate) struct Move {
    /// The database; you are an owner of it
    name: String,
    /// The server that keeps it from then on, such as https://other.example: its operator lets people of your log bring databases
    #[arg(long, value_name = "URL")]
    to: String,
}

/// Runs `db move`. After whatever broke it off the same command goes on.
pub(crate) async fn relocate(context: &Context, command: &Move) -> Done {
    let actor = Actor::new(context).await?;
    let _turn = actor.session.log().turn("append.lock")?;
    let mut progress = Progress::new("move");
    let mut shown = |there: u64, all: u64| progress.show(there, all);
    let asked = (command.name.as_str(), command.to.as_str());
    let moved = relocate::relocate(&actor.session, actor.signer(), asked, &mut shown).await;
    drop(progress);
    match moved.map_err(|error| told(&actor.session, error))? {
        Relocation::Done(relocated) => {
            let Relocated { db, entries, chunks } = *relocated;
            let (name, url) = (command.name.as_str(), db.url().unwrap_or_default());
            let text = format!(
                "{name} is at {url} from now on; {entries} entries and {chunks} chunks were brought there by this command"
            );
            let value = json!({
                "ok": true, "name": name, "did": db.acl().did().to_string(), "url": url, "entries": entries, "chunks": chunks,
            });
            context.out.result(&text, &value);
            Ok(Ended::Ok)
        }
        Relocation::Open(acl, lacking) => {
            let (Move { name, to }, all) = (command, acl.owners().all().len());
            let have = if lacking == 1 { "owner has" } else { "owners have" };
            let text = format!(
                "{name} stays where it is: you are for {to}, and {lacking} more {have} to say, of {all}: dgns db move {name} --to {to}"
            );
            let value = json!({ "ok": true, "name": name, "did": acl.did().to_string(), "to": to, "lacking": lacking, "owners": all });
            context.out.result(&text, &value);
            Ok(Ended::Waits)
        }
    }
}

/// Says what somebody else has to do: the operator of the other server, where that takes nobody of this log, or the owner who brings it there.
fn told(session: &Session, error: ClientError) -> ClientError {
    let ClientError::Refused(mut problem) = error else { return error };
    let (key, more) = (session.trust().log_keys().last(), &mut problem.detail);
    match (problem.code.as_str(), key) {
        ("unknown_home", Some(key)) => {
            more.push_str(&format!("; its operator takes databases of this log by [storage] homes = [\"{key}\"]"));
        }
        ("arriving", _) => more.push_str("; the owner who began to bring it goes on by the same command"),
        _ => {}
    }
    ClientError::Refused(problem)
}

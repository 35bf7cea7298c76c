//! `host`: a private server under a name of one's own.

use std::path::PathBuf;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use dgns_client::attach::Who;
use dgns_client::error::ClientError;
use dgns_client::host::database::Database;
use dgns_client::host::rules::{Rights, Rules};
use dgns_client::host::{self, Hosting, Told};
use dgns_client::prover::Prover;
use identity::did::Did;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::actor::Actor;
use super::home_node::{HomeNode, LOOK};
use super::{Context, Done, Ended};

/// Arguments of `host`.
#[derive(Debug, clap::Args)]
pub(crate) struct HostName {
    /// What is served: every file below this directory that is not hidden; may be left out with --db
    #[arg(required_unless_present = "db")]
    directory: Option<PathBuf>,
    /// Also hand on a database of yours: what its store signed, to be read and appended to there with `dgns db --at`; sealed as it is
    #[arg(long, value_name = "NAME")]
    db: Option<String>,
    /// The name, one of yours: `db.alice`
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Let somebody in besides yourself: a name, did:.., device:.., `certified` for everybody in the log, or `guest` for whoever is in none and only reads
    #[arg(long, value_name = "WHO")]
    allow: Vec<String>,
    /// Let somebody in who may also add lines to logs (connect --append); `owner` for your own devices
    #[arg(long, value_name = "WHO", conflicts_with = "rules")]
    write: Vec<String>,
    /// Let everybody in the log come in and show a grant (dgns grant) or a token, and have what that gives
    #[arg(long, conflicts_with = "rules")]
    proof: bool,
    /// Ask this URL about whoever is not let in otherwise: JSON by POST, answered by {"allow": true} or not
    #[arg(long, value_name = "URL", conflicts_with = "rules")]
    hook: Option<String>,
    /// Let in whom this file says (TOML: allow, deny, groups, hook, visible, refuse, redirect); read again whenever it changes
    #[arg(long, value_name = "FILE", conflicts_with = "allow")]
    rules: Option<PathBuf>,
    /// Tell whoever joined a file (dgns notify join) when it grows; the server learns a hash of its name, and its size
    #[arg(long)]
    publish: bool,
    /// Also be reached by loopback addresses; by itself if the server is on this machine
    #[arg(long)]
    loopback: bool,
}

/// Hosts until interrupted.
pub(crate) async fn host(context: &Context, arguments: HostName) -> Done {
    let actor = Actor::new(context).await?;
    let name = actor.session.name(&arguments.name)?.as_str().to_owned();
    let mut home = HomeNode::default();
    let nodes = match home.look(context, &actor, &name).await {
        Err(ClientError::Absent(_)) => vec![actor.session.server().to_owned()],
        nodes => nodes?,
    };
    let Actor { session, device, did } = Actor::new(context).await?;
    let mut rules = match &arguments.rules {
        Some(file) => Rules::read(file, &session)?,
        None => Rules::default(),
    };
    for who in &arguments.write {
        rules.add(who, Rights::to_write(Vec::new(), Vec::new()), &session)?;
    }
    for who in &arguments.allow {
        rules.add(who, Rights::to_read(Vec::new()), &session)?;
    }
    if arguments.proof {
        rules.add("certified", Rights::to_prove(), &session)?;
    }
    if let Some(url) = &arguments.hook {
        rules.ask(url)?;
    }
    if rules.lets_guests() && !session.info().await?.lobby.is_some_and(|lobby| lobby.guests) {
        context.out.warn("the server's lobby lets no guests in ([lobby] guests): none will come by it");
    }
    let who = Who { key: device.sign.clone(), did };
    let device = Arc::new(device);
    let database = match &arguments.db {
        Some(name) => Some(Database::open(Actor::new(context).await?.session, device.clone(), did, name).await?),
        None => None,
    };
    let directory = arguments.directory.as_ref().map(|directory| directory.display().to_string());
    let of_database = database.as_ref().map(|database| format!("the database {}", database.name()));
    let served: Vec<String> = directory.into_iter().chain(of_database).collect();
    let served = served.join(" and ");
    let hosting = Hosting {
        device,
        database,
        loopback: arguments.loopback || is_local(session.server()),
        publish: arguments.publish,
        name: name.clone(),
        directory: arguments.directory.clone(),
        nodes,
        rules,
        rules_file: arguments.rules,
    };
    let (tell, mut told) = mpsc::channel(64);
    // A task of its own: it may keep the log's memory over a request, and is polled also while the home node is looked after.
    let mut hosting = tokio::spawn(host::host(Prover::new(session), who, hosting, tell));
    let mut away = false;
    let mut look = interval_at(Instant::now() + LOOK, LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ended = &mut hosting => match ended {
                Ok(ended) => return ended.map(|()| Ended::Ok),
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            },
            Some(told) = told.recv() => say(context, &name, &served, told, &mut away),
            _ = look.tick() => if let Err(error) = home.look(context, &actor, &name).await {
                context.out.note(&format!("the home node is not looked after: {error}"));
            },
            _ = tokio::signal::ctrl_c() => return Ok(Ended::Ok),
        }
    }
}

/// Returns whether a server is on this machine.
pub(crate) fn is_local(server: &str) -> bool {
    let host = server.split("://").nth(1).unwrap_or("");
    ["localhost", "127.", "[::1]"].iter().any(|local| host.starts_with(local))
}

/// Tells one thing: a line, or one JSON value on a line.
fn say(context: &Context, name: &str, served: &str, told: Told, away: &mut bool) {
    let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
    let (text, value): (String, Value) = match told {
        Told::Registered => {
            *away = false;
            let text = format!("{name} is online; it serves {served}");
            (text, json!({ "event": "online", "name": name }))
        }
        Told::Away(why) => {
            if std::mem::replace(away, true) {
                return;
            }
            (format!("the lobby is not reached, trying again: {why}"), json!({ "event": "away", "why": why }))
        }
        Told::Knock { did, name, device, verdict } => {
            let who = name.clone().unwrap_or_else(|| called(did.as_ref()));
            let device = hex(&device.0);
            let text = match verdict.as_str() {
                "let_in" => format!("{who} (device {device}) knocks and is let in"),
                _ => format!("{who} (device {device}) knocks and is not let in ({verdict})"),
            };
            let (guest, did) = (did.is_none(), did.map(|did| did.to_string()));
            let value = json!({
                "event": "knock", "did": did, "guest": guest, "name": name, "device": device, "verdict": verdict,
            });
            (text, value)
        }
        Told::Opened(sess, did) => {
            let text = match &did {
                Some(did) => format!("connected to {did}, both ends proved"),
                None => "connected to a guest, of whom nothing is proved".to_owned(),
            };
            let (guest, did) = (did.is_none(), did.map(|did| did.to_string()));
            (text, json!({ "event": "connected", "sess": hex(&sess), "did": did, "guest": guest }))
        }
        Told::Closed(sess, did, why) => {
            let text = format!("connection to {} ended ({why})", called(did.as_ref()));
            let did = did.map(|did| did.to_string());
            (text, json!({ "event": "ended", "sess": hex(&sess), "did": did, "code": why }))
        }
        Told::Gave(sess, path) => {
            (format!("opened {path}"), json!({ "event": "opened", "sess": hex(&sess), "path": path }))
        }
        Told::Leased(sess, log, rights) => {
            let text = format!("leased {log} ({rights})");
            (text, json!({ "event": "leased", "sess": hex(&sess), "log": log, "rights": rights.to_string() }))
        }
        Told::Rules(Ok(())) => ("the rules were read again".to_owned(), json!({ "event": "rules", "ok": true })),
        Told::Rules(Err(why)) => {
            let text = format!("the new rules are faulty, those before hold: {why}");
            (text, json!({ "event": "rules", "ok": false, "why": why }))
        }
        Told::Fault(fault) => {
            let mut value = context.out.error_value(&fault);
            value["event"] = json!("fault");
            (fault.to_string(), value)
        }
    };
    context.out.line(&text, &value);
}

/// How somebody is called who has no name.
fn called(did: Option<&Did>) -> String {
    did.map_or_else(|| "a guest".to_owned(), Did::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_this_machine_is_known_by_its_url() {
        for (url, local) in [
            ("http://127.0.0.1:5380", true),
            ("http://localhost:5380", true),
            ("http://[::1]:1", true),
            ("https://id.example", false),
        ] {
            assert_eq!(is_local(url), local, "{url}");
        }
    }
}

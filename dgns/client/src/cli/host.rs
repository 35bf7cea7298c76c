//! `host`: a private server under a name of one's own.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use dgns_client::attach::Who;
use dgns_client::host::rules::Rules;
use dgns_client::host::{self, Hosting, Told};
use dgns_client::prover::Prover;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::actor::Actor;
use super::{Context, Done, Ended};

/// Arguments of `host`.
#[derive(Debug, clap::Args)]
pub(crate) struct HostName {
    /// What is served: every file below this directory that is not hidden
    directory: PathBuf,
    /// The name, one of yours: `db.alice`
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Let somebody in besides yourself: a name, did:.., device:.., or `certified` for everybody in the log
    #[arg(long, value_name = "WHO")]
    allow: Vec<String>,
    /// Ask this URL about whoever is not let in otherwise: JSON by POST, answered by {"allow": true} or not
    #[arg(long, value_name = "URL", conflicts_with = "rules")]
    hook: Option<String>,
    /// Let in whom this file says (TOML: allow, deny, groups, hook, visible, refuse); read again whenever it changes
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
    let Actor { session, device, did } = Actor::new(context).await?;
    let name = session.name(&arguments.name)?.as_str().to_owned();
    let mut rules = match &arguments.rules {
        Some(file) => Rules::read(file, &session)?,
        None => Rules::default(),
    };
    for who in &arguments.allow {
        rules.add(who, &session)?;
    }
    if let Some(url) = &arguments.hook {
        rules.ask(url)?;
    }
    let hosting = Hosting {
        loopback: arguments.loopback || is_local(session.server()),
        publish: arguments.publish,
        name: name.clone(),
        directory: arguments.directory.clone(),
        rules,
        rules_file: arguments.rules,
    };
    let who = Who { key: device.sign, did };
    let (tell, mut told) = mpsc::channel(64);
    let hosting = host::host(Prover::new(session), who, hosting, tell);
    tokio::pin!(hosting);
    let mut away = false;
    loop {
        tokio::select! {
            ended = &mut hosting => return ended.map(|()| Ended::Ok),
            Some(told) = told.recv() => say(context, &name, &arguments.directory, told, &mut away),
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
fn say(context: &Context, name: &str, directory: &std::path::Path, told: Told, away: &mut bool) {
    let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
    let (text, value): (String, Value) = match told {
        Told::Registered => {
            *away = false;
            let text = format!("{name} is online; it serves {}", directory.display());
            (text, json!({ "event": "online", "name": name }))
        }
        Told::Away(why) => {
            if std::mem::replace(away, true) {
                return;
            }
            (format!("the lobby is not reached, trying again: {why}"), json!({ "event": "away", "why": why }))
        }
        Told::Knock { did, name, device, verdict } => {
            let who = name.clone().unwrap_or_else(|| did.to_string());
            let device = hex(&device.0);
            let text = match verdict.as_str() {
                "let_in" => format!("{who} (device {device}) knocks and is let in"),
                _ => format!("{who} (device {device}) knocks and is not let in ({verdict})"),
            };
            let did = did.to_string();
            (text, json!({ "event": "knock", "did": did, "name": name, "device": device, "verdict": verdict }))
        }
        Told::Opened(sess, did) => {
            let text = format!("connected to {did}, both ends proved");
            (text, json!({ "event": "connected", "sess": hex(&sess), "did": did.to_string() }))
        }
        Told::Closed(sess, did, why) => {
            let text = format!("connection to {did} ended ({why})");
            (text, json!({ "event": "ended", "sess": hex(&sess), "did": did.to_string(), "code": why }))
        }
        Told::Gave(sess, path) => {
            (format!("opened {path}"), json!({ "event": "opened", "sess": hex(&sess), "path": path }))
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

//! `trust`: whom this client believes, and on whose word.

use std::path::{Path, PathBuf};

use dgns_client::clock;
use dgns_client::error::ClientError;
use dgns_client::exchange;
use dgns_client::home::{LogHome, Pinned, read_policy};
use dgns_client::report;
use dgns_client::session::Session;
use serde_json::{Value, json};
use translog::gossip::ShownHead;

use super::output::{span, time};
use super::{Context, Done, Ended, arguments};

/// The parts of `trust`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum TrustCommand {
    /// Meet a log: show its key and policy and remember its newest head
    Add(Add),
    /// List the logs met: on whose word they are believed, their quorum, the newest head
    List,
    /// Believe other keys of a log from now on: its operator lost the old ones, and you were told the new by other means
    Repin(Repin),
    /// Confirm what is kept of a log: you compared its key and policy with what others know
    Pin {
        /// The log, such as dgns.test/log
        origin: String,
    },
    /// Show others the newest heads verified here, and hold theirs against them: two histories convict the log
    Exchange(Exchange),
    /// Bring evidence of a fork to a log that watches whom it convicts: it says so in a Notice, and this checks that it does
    Report {
        /// A fault file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Arguments of `trust exchange`.
#[derive(Debug, clap::Args)]
pub(crate) struct Exchange {
    /// Write the heads verified here to this file; without it and without FILE they are printed
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Files of heads that others wrote
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Arguments of `trust repin`.
#[derive(Debug, clap::Args)]
pub(crate) struct Repin {
    /// The log, such as dgns.test/log
    origin: String,
    /// Its keys now, as its operator told you and others confirmed
    #[arg(required = true, value_name = "VKEY")]
    vkeys: Vec<String>,
}

/// Arguments of `trust add`.
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// The server; default: --server
    url: Option<String>,
    /// Of a log known already, take the policy recommended now, or that of --policy
    #[arg(long)]
    replace: bool,
    /// Refuse heads whose quorum, or without one whose Epoch, is older than this
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    max_head_age_s: Option<u64>,
}

/// Runs one of them.
pub(crate) async fn trust(context: &Context, command: TrustCommand) -> Done {
    match command {
        TrustCommand::Add(add) => self::add(context, add).await,
        TrustCommand::Repin(repin) => self::repin(context, &repin),
        TrustCommand::List => list(context),
        TrustCommand::Pin { origin } => pin(context, &origin),
        TrustCommand::Exchange(exchange) => self::exchange(context, exchange).await,
        TrustCommand::Report { file } => report(context, &file).await,
    }
}

/// Meets a log, or looks again at what is kept of it, and verifies its newest head under that.
async fn add(context: &Context, add: Add) -> Done {
    let url = add.url.as_deref().unwrap_or(&context.common.server);
    let met = context.session_at(url).await?;
    let kept = met.log().pinned()?;
    let mut now = match (add.replace, met.is_first_use()) {
        (true, false) => replacement(context, &met, &kept).await?,
        _ => kept.clone(),
    };
    now.head_age_s_max = add.max_head_age_s.unwrap_or(now.head_age_s_max);
    if now != kept {
        met.log().keep_pinned(&now)?;
    }
    let session = context.session_at(url).await?;
    let server = session.info().await?.server_did;
    let server = server.parse().map_err(|_| ClientError::proof("malformed", format!("{server} is no DID")))?;
    let resolved = session.resolve_did(&server).await?;
    let text = format!("{}\n  head     {} entries, verified", pinned_text(session.log(), &now), resolved.head().size);
    let mut value = pinned_value(session.log(), &now);
    value["ok"] = json!(true);
    value["head"] = json!({ "size": resolved.head().size, "witnessed": !resolved.is_unwitnessed() });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// What to believe of a known log from now on: the policy of `--policy`, or the one its server recommends today.
async fn replacement(context: &Context, met: &Session, kept: &Pinned) -> Result<Pinned, ClientError> {
    let offered = match &context.common.policy {
        Some(path) => {
            let policy = read_policy(path)?;
            Pinned::by_hand(policy.log_keys(met.trust().origin().as_str()), policy)
        }
        None => met.recommended().await?,
    };
    if !kept.knows_any(&offered.log_keys) {
        let what = format!("{} is to have other keys than were pinned", met.trust().origin().as_str());
        return Err(ClientError::proof("log_key", what));
    }
    Ok(Pinned { policy: offered.policy, first_use: offered.first_use, ..kept.clone() })
}

fn list(context: &Context) -> Done {
    let (mut texts, mut values) = (Vec::new(), Vec::new());
    for (log, servers) in context.home.logs()? {
        let pinned = log.pinned()?;
        let mut text = format!("{}\n  servers  {}", pinned_text(&log, &pinned), servers.join(" "));
        let mut value = pinned_value(&log, &pinned);
        value["servers"] = json!(servers);
        if let Some((size, epoch_ms)) = newest_head(&log)? {
            let age_s = clock::now().as_ms().saturating_sub(epoch_ms) / 1_000;
            text.push_str(&format!("\n  head     {size} entries, of {}, {} ago", time(epoch_ms), span(age_s)));
            value["head"] = json!({ "size": size, "epoch_ms": epoch_ms, "age_s": age_s });
        }
        texts.push(text);
        values.push(value);
    }
    let text = if texts.is_empty() { "no log was met yet: dgns trust add URL".to_owned() } else { texts.join("\n\n") };
    context.out.result(&text, &json!({ "ok": true, "logs": values }));
    Ok(Ended::Ok)
}

/// Returns what is kept of a log that was met.
fn met_log(context: &Context, origin: &str) -> Result<LogHome, ClientError> {
    let logs = context.home.logs()?;
    let found = logs.into_iter().find(|(log, _)| log.origin().as_str() == origin);
    let unknown = || ClientError::Unable(format!("{origin} was never met; dgns trust list shows the logs that were"));
    found.map(|(log, _)| log).ok_or_else(unknown)
}

/// Exchanges the keys of a log on a person's word. What was met of it stays: it must still be the same history.
fn repin(context: &Context, repin: &Repin) -> Done {
    let log = met_log(context, &repin.origin)?;
    let log_keys = repin.vkeys.iter().map(|text| arguments::log_key(text)).collect::<Result<_, _>>()?;
    let pinned = Pinned { log_keys, conf_seq: None, first_use: false, ..log.pinned()? };
    let wrong = |error: translog::trust::TrustError| ClientError::Unable(format!("{}: {error}", repin.origin));
    pinned.trust(log.origin()).map_err(wrong)?;
    log.keep_pinned(&pinned)?;
    let mut value = pinned_value(&log, &pinned);
    value["ok"] = json!(true);
    context.out.result(&pinned_text(&log, &pinned), &value);
    Ok(Ended::Ok)
}

fn pin(context: &Context, origin: &str) -> Done {
    let log = met_log(context, origin)?;
    let pinned = Pinned { first_use: false, ..log.pinned()? };
    log.keep_pinned(&pinned)?;
    let mut value = pinned_value(&log, &pinned);
    value["ok"] = json!(true);
    context.out.result(&pinned_text(&log, &pinned), &value);
    Ok(Ended::Ok)
}

/// Writes the heads verified here, then judges those of others; the first fault ends it.
async fn exchange(context: &Context, arguments: Exchange) -> Done {
    let heads = exchange::export(&context.home)?;
    let print = arguments.out.is_none() && arguments.files.is_empty();
    if let Some(path) = &arguments.out {
        std::fs::write(path, &heads).map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))?;
    }
    let (mut texts, mut values) = (Vec::new(), Vec::new());
    for path in &arguments.files {
        let unreadable = |error: &dyn core::fmt::Display| ClientError::Unable(format!("{}: {error}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| unreadable(&error))?;
        for shown in exchange::import(&bytes).map_err(|error| unreadable(&error))? {
            let (text, value) = judged(context, &shown).await?;
            texts.push(text);
            values.push(value);
        }
    }
    if let Some(path) = &arguments.out {
        texts.push(format!("{}: {} heads", path.display(), heads.lines().count() - 1));
    }
    let text = if print { heads.clone() } else { texts.join("\n") };
    context.out.result(&text, &json!({ "ok": true, "heads": heads, "judged": values }));
    Ok(Ended::Ok)
}

/// Reports evidence to the server's log.
async fn report(context: &Context, file: &Path) -> Done {
    let named = |why: &dyn core::fmt::Display| ClientError::Unable(format!("{}: {why}", file.display()));
    let evidence = std::fs::read(file).map_err(|error| named(&error))?;
    let session = context.session().await?;
    let reported = match report::report(&session, evidence).await {
        Err(ClientError::Unable(why)) => return Err(named(&why)),
        other => other?,
    };
    let (log, kind) = (session.trust().origin().as_str(), reported.notice.kind.word());
    let text = format!(
        "{}\n  notice   {kind} of {}, entry {} of {log}, under its head of {} leaves",
        reported.conviction, reported.notice.origin, reported.index, reported.size,
    );
    let value = json!({
        "ok": true, "log": log, "index": reported.index, "kind": kind, "origin": reported.notice.origin,
        "size": reported.size, "key": reported.conviction.key.to_string(),
        "evidence_in_entry": reported.notice.evidence.is_some(),
    });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Holds one head of somebody else against this home and the log's server.
async fn judged(context: &Context, shown: &ShownHead) -> Result<(String, Value), ClientError> {
    let origin = shown.origin().as_str();
    let known = context.home.logs()?.into_iter().find(|(log, _)| log.origin() == shown.origin());
    let Some((_, servers)) = known else {
        let text = format!("{origin}: never met here, so not judged; dgns trust add meets it");
        return Ok((text, json!({ "origin": origin, "verdict": "unknown_log" })));
    };
    let session = match context.session_at(&context.common.server).await {
        Ok(session) if session.trust().origin() == shown.origin() => session,
        Err(fault @ ClientError::Proof { .. }) => return Err(fault),
        _ => context.session_at(servers.first().unwrap_or(&context.common.server)).await?,
    };
    let one = exchange::hold(&session, shown).await?;
    let text = match one.newest {
        None => format!("{origin}: the very head of {} leaves that was verified here", one.theirs),
        Some(newest) => {
            format!("{origin}: their head of {} leaves is of the same history, now {newest} leaves", one.theirs)
        }
    };
    let value = json!({
        "origin": origin, "verdict": "one_history", "theirs": one.theirs, "mine": one.mine, "newest": one.newest,
    });
    Ok((text, value))
}

/// The size of the newest head met and the time of its Epoch.
fn newest_head(log: &LogHome) -> Result<Option<(u64, u64)>, ClientError> {
    let memory = log.memory()?;
    Ok(memory.memory.head().and_then(|head| Some((head.size, head.epoch().ok()?.time_ms))))
}

/// Shows what is believed of a log, and on whose word.
pub(crate) fn pinned_text(log: &LogHome, pinned: &Pinned) -> String {
    let origin = log.origin().as_str();
    let state = match pinned.first_use {
        true => {
            format!("first-use: all on its server's word. Compare with what others know, then: dgns trust pin {origin}")
        }
        false => "pinned".to_owned(),
    };
    let keys: Vec<String> = pinned.log_keys.iter().map(|key| format!("\n  key      {key}")).collect();
    let policy: Vec<String> = pinned.policy.to_string().lines().map(|line| format!("\n  policy   {line}")).collect();
    let age = span(pinned.head_age_s_max);
    format!("{origin}\n  state    {state}{}{}\n  age      heads at most {age} old", keys.concat(), policy.concat())
}

fn pinned_value(log: &LogHome, pinned: &Pinned) -> Value {
    let policy = pinned.policy.to_string();
    json!({
        "origin": log.origin().as_str(),
        "state": if pinned.first_use { "first-use" } else { "pinned" },
        "vkeys": pinned.log_keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "quorum": policy.lines().last().and_then(|line| line.strip_prefix("quorum ")),
        "policy": policy,
        "max_head_age_s": pinned.head_age_s_max,
    })
}

//! `audit`: the whole log, verified.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use dgns_client::audit::{self, Options};
use dgns_client::session::Session;
use serde_json::json;
use tokio::time::Duration;
use translog::audit::Level;

use super::output::time;
use super::progress::Progress;
use super::{Context, Done, Ended, arguments};

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Audit {
    /// The server, or its log prefix ending in /log; default: --server
    url: Option<String>,
    /// Pin this log key instead of asking the server, which may then be any that keeps the log's files
    #[arg(long, value_name = "VKEY")]
    vkey: Option<String>,
    /// Keep progress in this file and go on from it
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Where evidence of a fault goes
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// How much is recomputed
    #[arg(long, default_value = "full")]
    level: LevelArgument,
    /// Verify each signature on its own, instead of many at once
    #[arg(long)]
    strict: bool,
    /// Go on with each new head until interrupted
    #[arg(long, requires = "state")]
    follow: bool,
}

/// A level, as an argument.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum LevelArgument {
    /// Hashes, tiles, batches, Epochs.
    Tree,
    /// Also the rules and every map root.
    Map,
    /// Also every signature.
    Full,
}

/// Audits once, or again and again.
pub(crate) async fn audit(context: &Context, arguments: Audit) -> Done {
    let url = arguments.url.as_deref().unwrap_or(&context.common.server);
    let url = url.trim_end_matches('/').trim_end_matches("/log");
    let session = match &arguments.vkey {
        None => context.session_at(url).await?,
        Some(text) => Session::open_pinned(&context.home, url, &arguments::log_key(text)?)?,
    };
    let options = Options {
        level: match arguments.level {
            LevelArgument::Tree => Level::Tree,
            LevelArgument::Map => Level::Map,
            LevelArgument::Full => Level::Full,
        },
        strict: arguments.strict,
        state: arguments.state,
        evidence: arguments.evidence,
    };
    loop {
        let mut progress = Progress::new("audit");
        let clean = audit::run(&session, &options, |done, all| progress.show(done, all)).await?;
        drop(progress);
        let rate = clean.entries as f64 / clean.elapsed.as_secs_f64().max(1e-6);
        let level = match options.level {
            Level::Tree => "every hash, tile and Epoch",
            Level::Map => "every hash, tile, Epoch, rule and map root",
            Level::Full => "every hash, tile, Epoch, rule, map root and signature",
        };
        let text = format!(
            "clean: {} of {} entries verified in {:.2} s ({rate:.0}/s): {level}\n  root     {}\n  newest   Epoch {} of {}\n  labels   {}",
            clean.entries,
            clean.size,
            clean.elapsed.as_secs_f64(),
            HEXLOWER.encode(&clean.root),
            clean.epochs.saturating_sub(1),
            time(clean.epoch_ms),
            clean.labels,
        );
        let text = clean.repins.iter().fold(text, |text, index| {
            text + &format!("\n  NOTE     entry {index} replaced the log's keys without a signature of an old one")
        });
        let text = clean.notices.iter().fold(text, |text, notice| {
            text + &format!("\n  notice   {} of {} at entry {}", notice.kind.word(), notice.origin, notice.index)
        });
        let text = clean.databases.iter().fold(text, |text, databases| {
            text + &format!(
                "\n  anchors  {} of {} logs of databases, each recomputed",
                databases.anchors, databases.logs
            )
        });
        let notices = clean
            .notices
            .iter()
            .map(|notice| json!({ "index": notice.index, "kind": notice.kind.word(), "origin": notice.origin }));
        let value = json!({
            "ok": true,
            "size": clean.size,
            "root": HEXLOWER.encode(&clean.root),
            "entries": clean.entries,
            "labels": clean.labels,
            "epochs": clean.epochs,
            "repins": clean.repins,
            "seconds": clean.elapsed.as_secs_f64(),
            "checkpoint": clean.checkpoint,
            "notices": notices.collect::<Vec<_>>(),
            "databases": clean.databases.map(|found| json!({ "anchors": found.anchors, "logs": found.logs })),
        });
        context.out.result(&text, &value);
        if !arguments.follow {
            return Ok(Ended::Ok);
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

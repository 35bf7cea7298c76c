//! `dgnsd notary`: the keys that say in the log whom an issuer let in, listed, added and revoked while the server runs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use data_encoding::HEXLOWER;
use dgns::clock::Clock;
use dgns::config::Config;
use dgns::notaries::{Added, NotaryRow, Operator, Stands};
use serde_json::{Value, json};

use super::{Said, failed, logs, read_config, read_words, runtime};

/// The parts of `notary`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum NotaryCommand {
    /// List the notaries that the log knows, those that wait and those that were revoked
    List {
        #[command(flatten)]
        server: Running,
    },
    /// Make a notary speak for an issuer: a new key, if there is none or it was revoked
    Add {
        /// The issuer, as the configuration calls it, or `passkey`
        issuer: String,
        #[command(flatten)]
        signed: Signed,
    },
    /// Revoke the notary of an issuer, at once and for ever; what it signed before stays in the log
    Revoke {
        /// The issuer, as the configuration or the log calls it, or the notary's kid
        issuer: String,
        #[command(flatten)]
        signed: Signed,
    },
}

/// Which server.
#[derive(Debug, clap::Args)]
pub(super) struct Running {
    /// The configuration the server runs with; without it, its defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory, if not where the configuration says
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the server answers, if not where the configuration says
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Which server, and who signs.
#[derive(Debug, clap::Args)]
pub(super) struct Signed {
    #[command(flatten)]
    server: Running,
    /// Sign with the operator's words, read from standard input; else the server's device signs, whose additions wait for a window
    #[arg(long)]
    words: bool,
    /// Sign with the operator's words in this file
    #[arg(long, value_name = "FILE", conflicts_with = "words")]
    words_file: Option<PathBuf>,
}

/// Runs one of them.
pub(super) fn run(command: NotaryCommand) -> ExitCode {
    logs("warn");
    match said(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => failed(code, &error),
    }
}

fn said(command: NotaryCommand) -> Said {
    let unable = |error: dgns::notaries::NotariesError| (1, error.to_string());
    match command {
        NotaryCommand::List { server } => {
            let rows = runtime().block_on(async { operator(&server, None).await?.list().await.map_err(unable) })?;
            show(&rows, server.json, "no notary: nobody signs in here");
        }
        NotaryCommand::Add { issuer, signed } => {
            let words = words(&signed)?;
            let server = &signed.server;
            let added = runtime().block_on(async { operator(server, words).await?.add(&issuer).await.map_err(unable) });
            let Added { row, known } = added?;
            show(std::slice::from_ref(&row), server.json, "");
            if known && !server.json {
                println!("\nThat was so already: nothing changed. `dgnsd notary revoke` comes before another key.");
            }
        }
        NotaryCommand::Revoke { issuer, signed } => {
            let words = words(&signed)?;
            let server = &signed.server;
            let rows =
                runtime().block_on(async { operator(server, words).await?.revoke(&issuer).await.map_err(unable) });
            show(&rows?, server.json, "withdrawn: it never spoke");
        }
    }
    Ok(())
}

async fn operator(server: &Running, words: Option<identity::seed::Words>) -> Result<Operator, (u8, String)> {
    let mut config = match &server.config {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| (1, format!("{}: {error}", path.display())))?;
            read_config(path, &text).map_err(|why| (1, why))?
        }
        None => Config::defaults(),
    };
    if let Some(data) = &server.data {
        config.data.clone_from(data);
    }
    let base = server.server.clone().unwrap_or_else(|| format!("http://{}", reached(config.http.listen)));
    Operator::meet(config, &base, words, Clock::system()).await.map_err(|error| (1, error.to_string()))
}

/// Returns where a server is reached from its own machine.
fn reached(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port()),
        _ => listen,
    }
}

fn words(signed: &Signed) -> Result<Option<identity::seed::Words>, (u8, String)> {
    match (signed.words, &signed.words_file) {
        (false, None) => Ok(None),
        (_, file) => read_words(file.as_deref()).map(Some),
    }
}

fn show(rows: &[NotaryRow], as_json: bool, none: &str) {
    if as_json {
        println!("{}", json!({ "ok": true, "notaries": rows.iter().map(value).collect::<Vec<_>>() }));
        return;
    }
    if rows.is_empty() {
        println!("{none}");
    }
    for row in rows {
        let id = row.id.as_deref().unwrap_or("(not configured)");
        let key = match (row.key_is_here, row.stands) {
            (false, Stands::Speaks | Stands::Waits(_)) => ", its key is not here",
            _ => "",
        };
        println!("{}  {id}  {}\n  {}{key}", HEXLOWER.encode(&row.kid.0), row.scope, stands(row.stands));
    }
}

fn stands(stands: Stands) -> String {
    match stands {
        Stands::Speaks => "speaks".to_owned(),
        Stands::Revoked(index) => format!("REVOKED at entry {index}: nothing it said since counts"),
        Stands::Waits(due_ms) => format!("waits for its window, until {} s", due_ms.div_ceil(1_000)),
    }
}

fn value(row: &NotaryRow) -> Value {
    let (standing, revoked_at, due_ms) = match row.stands {
        Stands::Speaks => ("speaks", None, None),
        Stands::Revoked(index) => ("revoked", Some(index), None),
        Stands::Waits(due_ms) => ("waits", None, Some(due_ms)),
    };
    json!({
        "issuer": row.scope,
        "id": row.id,
        "kid": HEXLOWER.encode(&row.kid.0),
        "standing": standing,
        "revoked_at": revoked_at,
        "due_ms": due_ms,
        "key_is_here": row.key_is_here,
    })
}

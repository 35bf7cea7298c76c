//! `dgnsd witness`: cosigns the checkpoints of other logs, without a log of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use dgns::clock::Clock;
use dgns::config::{WITNESS_DEFAULTS, WitnessServerConfig};
use dgns::witness::WitnessedLogs;
use dgns::witness::logs::LogsError;
use dgns::witness::standalone::{WitnessServer, WitnessServerError};
use dgns::witness::verifier::clear;
use serde_json::json;
use storage::Options;

use super::{StopSignals, failed, logs, runtime};

/// What a witness is started with.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    /// A configuration file; `dgnsd config --witness` prints one with every key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "http", "name", "log", "verifier"])]
    config: Option<PathBuf>,
    /// Only check the file
    #[arg(long, requires = "config")]
    check: bool,
    /// Keys, records and evidence
    #[arg(long, value_name = "DIR", default_value = "./dgns-witness")]
    data: PathBuf,
    /// Where HTTP listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5390")]
    http: SocketAddr,
    /// The name it signs under; the verifier's is this and -verifier
    #[arg(long, value_name = "NAME", default_value = "witness.test/witness")]
    name: String,
    /// A log to cosign: its vkey, and for a verifier its URL behind it ("VKEY URL"); again for each
    #[arg(long, value_name = "VKEY")]
    log: Vec<String>,
    /// Also replay every entry and cosign with a second key
    #[arg(long)]
    verifier: bool,
    /// Print one JSON line when ready instead of a greeting
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Let a log that was found at fault be cosigned again; the witness must not be running
    Clear {
        /// The log's origin
        origin: String,
        /// The data directory
        #[arg(long, value_name = "DIR", default_value = "./dgns-witness")]
        data: PathBuf,
    },
}

/// Runs a witness until it is asked to stop, or one of its commands.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    if let Some(Command::Clear { origin, data }) = &arguments.command {
        return clear_fault(data, origin);
    }
    let (json, check) = (arguments.json, arguments.check);
    let (config, listed, level) = match &arguments.config {
        Some(path) => match from_file(path) {
            Ok(_) if check => {
                println!("{}: no faults", path.display());
                return ExitCode::SUCCESS;
            }
            Ok(config) => (config, None, "info"),
            Err(why) => return failed(1, &why),
        },
        None => match from_flags(arguments) {
            Ok((config, listed)) => (config, Some(listed), "warn"),
            Err(why) => return failed(1, &why),
        },
    };
    logs(level);
    storage::durable::raise_open_files();
    match runtime().block_on(serve(config, listed, json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(if error.is_fault() { 3 } else { 1 }, &error.to_string()),
    }
}

async fn serve(
    config: WitnessServerConfig,
    listed: Option<WitnessedLogs>,
    json: bool,
) -> Result<(), WitnessServerError> {
    let mut asked = StopSignals::watch();
    let server = match &listed {
        Some(listed) => WitnessServer::start_with(config, listed, Clock::system(), Options::default()).await?,
        None => WitnessServer::start(config, Clock::system()).await?,
    };
    greet(&server, json);
    asked.came().await;
    server.stop().await
}

fn from_file(path: &Path) -> Result<WitnessServerConfig, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let config = WitnessServerConfig::from_toml(&text).map_err(|faults| format!("{}:\n{faults}", path.display()))?;
    WitnessedLogs::read(&config.witness.logs).map_err(|error: LogsError| error.to_string())?;
    Ok(config)
}

fn from_flags(arguments: Arguments) -> Result<(WitnessServerConfig, WitnessedLogs), String> {
    if arguments.log.is_empty() {
        return Err("no log to cosign: --log VKEY, or --config FILE".into());
    }
    let text: String = arguments.log.iter().map(|log| format!("log {log}\n")).collect();
    let listed = WitnessedLogs::parse(&text).map_err(|error| format!("--log: {error}"))?;
    let mut config = WitnessServerConfig::from_toml(WITNESS_DEFAULTS).expect("a test holds the defaults to the reader");
    config.data = arguments.data;
    config.http.listen = arguments.http;
    config.witness.verifier_name = format!("{}-verifier", arguments.name);
    config.witness.name = arguments.name;
    config.witness.verifier = arguments.verifier;
    Ok((config, listed))
}

fn greet(server: &WitnessServer, as_json: bool) {
    let url = format!("http://{}", server.http);
    let lines = server.roles.policy_lines(&url);
    let vkeys: Vec<String> = server.roles.cosigners().map(|cosigner| cosigner.vkey().to_string()).collect();
    if as_json {
        println!(
            "{}",
            json!({ "event": "ready", "http": url, "vkey": vkeys[0], "vkeys": vkeys, "policy_lines": lines })
        );
        return;
    }
    println!("dgnsd {} witnesses\n", env!("CARGO_PKG_VERSION"));
    for standing in server.roles.cosigners().flat_map(|cosigner| cosigner.standings()) {
        println!("  {:<40} {} leaves", standing.origin, standing.size);
    }
    println!("  HTTP     {url}\n\nFor the policy of those who ask for its word:\n");
    for line in lines {
        println!("  {line}");
    }
    println!("\nCtrl-C stops the witness.");
}

fn clear_fault(data: &Path, origin: &str) -> ExitCode {
    match clear(data, origin) {
        Ok(moved) => {
            println!("{origin} may be cosigned again; its evidence is {}", moved.display());
            ExitCode::SUCCESS
        }
        Err(error) => failed(1, &error.to_string()),
    }
}

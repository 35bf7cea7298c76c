//! `dgnsd recovery`: keeps shares of people's keys for a log of somebody else's.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use data_encoding::HEXLOWER;
use dgns::clock::Clock;
use dgns::recovery::{RecoveryConfig, RecoveryServer, RecoveryServerError, trust};
use serde_json::json;

use super::{StopSignals, failed, logs, runtime};

/// What a recovery server is started with.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration; `dgnsd config --recovery` prints one with every key
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only check the file
    #[arg(long)]
    check: bool,
    /// Go without witnesses: whoever has the log's key could show this server a log that nobody else sees
    #[arg(long)]
    dev: bool,
    /// Print one JSON line when ready instead of a greeting
    #[arg(long)]
    json: bool,
}

/// Runs a recovery server until it is asked to stop.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let config = match from_file(&arguments.config, arguments.dev) {
        Ok(_) if arguments.check => {
            println!("{}: no faults", arguments.config.display());
            return ExitCode::SUCCESS;
        }
        Ok(config) => config,
        Err(why) => return failed(1, &why),
    };
    logs("info");
    storage::durable::raise_open_files();
    match runtime().block_on(serve(config, arguments.dev, arguments.json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(if error.is_fault() { 3 } else { 1 }, &error.to_string()),
    }
}

async fn serve(config: RecoveryConfig, dev: bool, json: bool) -> Result<(), RecoveryServerError> {
    let mut asked = StopSignals::watch();
    let (operator, log) = (config.operator.clone(), config.log.url.clone());
    let server = RecoveryServer::start(config, dev, Clock::system()).await?;
    greet(&server, (&operator, &log), json);
    asked.came().await;
    Ok(server.stop().await?)
}

fn from_file(path: &Path, dev: bool) -> Result<RecoveryConfig, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let config = RecoveryConfig::from_toml(&text).map_err(|faults| format!("{}:\n{faults}", path.display()))?;
    trust(&config.log, dev).map_err(|error| error.to_string())?;
    Ok(config)
}

fn greet(server: &RecoveryServer, (operator, log): (&str, &str), as_json: bool) {
    let (url, key) = (format!("http://{}", server.http), HEXLOWER.encode(&server.desk.key()));
    if as_json {
        println!("{}", json!({ "event": "ready", "http": url, "key": key, "operator": operator }));
        return;
    }
    println!("dgnsd {} keeps shares for {operator}\n", env!("CARGO_PKG_VERSION"));
    println!("  HTTP     {url}\n  key      {key}\n  log      {log}\n");
    println!("Who enrols names it by:\n\n  dgns recovery set --servers {url}#{key},...\n\nCtrl-C stops the server.");
}

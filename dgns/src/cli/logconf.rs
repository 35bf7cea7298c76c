//! `dgnsd logconf`: the log's own configuration, shown and changed while the server is stopped.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dgns::clock::Clock;
use dgns::logconf::{self, Change, LogConfChangeError, Shown};
use identity::time::Timestamp;
use serde_json::json;
use translog::logconf::{Conf, Succession};
use translog::policy::Policy;

use super::{Said, failed, logs, read_words, runtime};

/// The parts of `logconf`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum LogconfCommand {
    /// Show the newest LogConf: keys, policy, prefixes
    Show {
        /// The data directory
        #[arg(long, value_name = "DIR", default_value = "./dgns-data")]
        data: PathBuf,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Log a new LogConf, signed by the operator's words; without other options: a new log key beside those there are
    Rotate(Rotate),
}

/// Arguments of `logconf rotate`.
#[derive(Debug, clap::Args)]
pub(super) struct Rotate {
    /// The data directory
    #[arg(long, value_name = "DIR", default_value = "./dgns-data")]
    data: PathBuf,
    /// The file with the operator's words; without it they are read from standard input
    #[arg(long, value_name = "FILE")]
    words_file: Option<PathBuf>,
    /// Make a new log key too, where another option is given
    #[arg(long)]
    new_key: bool,
    /// Let the newest key alone sign, 30 days after it came
    #[arg(long)]
    drop_old: bool,
    /// Drop old keys before that
    #[arg(long, requires = "drop_old")]
    force: bool,
    /// Go on without the log keys whose files are lost: every client that trusted one of them must pin the log anew
    #[arg(long, conflicts_with = "drop_old")]
    old_key_lost: bool,
    /// The policy to recommend, a C2SP policy file; its log lines are replaced by this log's
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Where the log can be read, a URL that ends in /log; once for each place
    #[arg(long = "prefix", value_name = "URL")]
    prefixes: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs one of them.
pub(super) fn run(command: LogconfCommand) -> ExitCode {
    logs("warn");
    let done = match command {
        LogconfCommand::Show { data, json } => show(&data, json),
        LogconfCommand::Rotate(rotate) => self::rotate(&rotate),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, error)) => failed(code, &error),
    }
}

fn show(data: &Path, as_json: bool) -> Said {
    let Shown { conf, since } = runtime().block_on(logconf::show(data)).map_err(coded)?;
    if as_json {
        let mut value = value(&conf);
        value["since_ms"] = json!(since.iter().map(|since| since.as_ms()).collect::<Vec<_>>());
        println!("{value}");
        return Ok(());
    }
    print(&conf, &since);
    Ok(())
}

fn rotate(rotate: &Rotate) -> Said {
    let policy = rotate.policy.as_deref().map(read_policy).transpose()?;
    let prefixes = (!rotate.prefixes.is_empty()).then(|| rotate.prefixes.clone());
    let nothing_else = !rotate.drop_old && !rotate.old_key_lost && policy.is_none() && prefixes.is_none();
    let change = Change {
        new_key: rotate.new_key || nothing_else,
        drop_old: rotate.drop_old,
        old_key_lost: rotate.old_key_lost,
        force: rotate.force,
        policy,
        prefixes,
    };
    let words = read_words(rotate.words_file.as_deref())?;
    let done = runtime().block_on(logconf::change(&rotate.data, &words, change, Clock::system())).map_err(coded)?;
    let repin = done.succession == Succession::Repin;
    if rotate.json {
        let mut value = value(&done.conf);
        value["repin"] = json!(repin);
        value["erased"] = json!(done.erased);
        println!("{value}");
        return Ok(());
    }
    print(&done.conf, &[]);
    done.erased.iter().for_each(|path| println!("  erased   {}", path.display()));
    if repin {
        println!("\nNo old key signed this: clients and witnesses that trusted one must pin the log anew.");
    }
    Ok(())
}

fn print(conf: &Conf, since: &[Timestamp]) {
    println!("{} LogConf {}", conf.origin.as_str(), conf.seq);
    for (place, key) in conf.log_keys.iter().enumerate() {
        let since = since.get(place).map(|since| format!("  since {} s", since.as_ms() / 1_000)).unwrap_or_default();
        println!("  key      {key}{since}");
    }
    conf.prefixes.iter().for_each(|prefix| println!("  prefix   {prefix}"));
    conf.policy.lines().for_each(|line| println!("  policy   {line}"));
}

fn value(conf: &Conf) -> serde_json::Value {
    json!({
        "origin": conf.origin.as_str(),
        "seq": conf.seq,
        "vkeys": conf.log_keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "policy": conf.policy,
        "prefixes": conf.prefixes,
    })
}

fn read_policy(path: &Path) -> Result<Policy, (u8, String)> {
    let wrong = |error: &dyn std::fmt::Display| (1, format!("{}: {error}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| wrong(&error))?;
    Policy::parse(&bytes).map_err(|error| wrong(&error))
}

fn coded(error: LogConfChangeError) -> (u8, String) {
    (if error.is_fault() { 3 } else { 1 }, error.to_string())
}

//! The command line of `dgnsd`.
//!
//! Exit codes: 0 ok, 1 could not run, 3 the stored history is at fault (another program of this project found a proof wrong).

mod dnssec;
mod greet;
mod guard;
mod invite;
mod keys;
mod lease;
mod logconf;
mod notary;
mod recovery;
mod witness;
mod zone;

use std::io::{BufRead as _, IsTerminal as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use dgns::clock::Clock;
use dgns::config::{Config, DEFAULTS, RECOVERY_DEFAULTS, WITNESS_DEFAULTS};
use dgns::server::{Server, ServerError};
use dgns::witness::WitnessedLogs;
use identity::seed::Words;
use tokio::signal::unix::{Signal, SignalKind, signal};
use zeroize::Zeroizing;

/// The identity name server. Without arguments: a complete server on loopback, in ./dgns-data.
#[derive(Debug, Parser)]
#[command(name = "dgnsd", version, about, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    quick: Quick,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where a server keeps its data and listens, if not where its configuration says.
#[derive(Debug, clap::Args)]
struct Places {
    /// The data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where HTTP listens
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Where DNS listens, UDP and TCP
    #[arg(long, value_name = "ADDR")]
    dns: Option<SocketAddr>,
}

/// What the quick start may change.
#[derive(Debug, clap::Args)]
struct Quick {
    /// Keys, database and tiles
    #[arg(long, value_name = "DIR", default_value = "./dgns-data")]
    data: PathBuf,
    /// Where HTTP listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5380")]
    http: SocketAddr,
    /// Where DNS listens, UDP and TCP; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5300")]
    dns: SocketAddr,
    /// The zone whose names this server gives out
    #[arg(long, value_name = "ZONE", default_value = "dgns.test")]
    zone: String,
    /// Print one JSON line when ready instead of a greeting
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run with a configuration file
    Serve {
        /// The file; `dgnsd config` prints one with every key
        #[arg(long, value_name = "FILE", required_unless_present = "follow")]
        config: Option<PathBuf>,
        /// Serve another server's log: verify and replicate it, and send writes there
        #[arg(long, value_name = "URL")]
        follow: Option<String>,
        /// The trust policy that the followed log's heads must meet
        #[arg(long, value_name = "FILE", requires = "follow")]
        policy: Option<PathBuf>,
        #[command(flatten)]
        places: Places,
        /// Only check the file
        #[arg(long)]
        check: bool,
        /// Print one JSON line when ready instead of a greeting
        #[arg(long)]
        json: bool,
    },
    /// Print the default configuration, every key explained
    Config {
        /// That of a witness without a log of its own
        #[arg(long, conflicts_with = "recovery")]
        witness: bool,
        /// That of a recovery server
        #[arg(long)]
        recovery: bool,
    },
    /// Cosign the checkpoints of other logs
    Witness(witness::Arguments),
    /// Keep shares of people's keys: who lost every device comes back with a PIN and enough servers like this one
    Recovery(recovery::Arguments),
    /// Make the keys if there are none, and print the policy lines that name them
    Keys {
        /// The configuration of the server
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Where others reach it; without it, where it listens
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// Check everything that is stored against the signed head; the server must not be running
    Fsck {
        /// The data directory
        #[arg(long, value_name = "DIR", default_value = "./dgns-data")]
        data: PathBuf,
        /// Also replay every certificate with its signatures
        #[arg(long)]
        deep: bool,
        /// Then, if nothing is wrong, delete objects in chunks/ that nothing names and that are older than a day
        #[arg(long)]
        repair: bool,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Look at or make the guard, which tells an old database from the newest
    Guard {
        /// `show` prints it; `init` makes a missing one from the stored head: never after a restore from a backup
        action: GuardAction,
        /// The data directory
        #[arg(long, value_name = "DIR", default_value = "./dgns-data")]
        data: PathBuf,
    },
    /// Look at or change the log's configuration: its keys, the policy it recommends, where it can be read
    Logconf {
        #[command(subcommand)]
        command: logconf::LogconfCommand,
    },
    /// List, add and revoke the keys that say in the log whom an issuer let in; the server must be running
    Notary {
        #[command(subcommand)]
        command: notary::NotaryCommand,
    },
    /// Write the log's files for any file server to serve; the server must not be running
    Export {
        /// Where they go; files that are there already stay
        directory: PathBuf,
        /// The data directory
        #[arg(long, value_name = "DIR", default_value = "./dgns-data")]
        data: PathBuf,
    },
    /// Look at or export the keys that sign the zone in DNS
    Dnssec {
        #[command(subcommand)]
        command: dnssec::DnssecCommand,
    },
    /// Write the zone as a zone file
    Zone {
        #[command(subcommand)]
        command: zone::ZoneCommand,
    },
    /// Make invitation codes
    Invite {
        /// The data directory
        #[arg(long, value_name = "DIR", default_value = "./dgns-data")]
        data: PathBuf,
        /// How many
        #[arg(long, default_value_t = 1)]
        count: u32,
    },
    /// Give an account more, or longer: what it may store, and until when; while the server runs or before it starts
    Lease(lease::Lease),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What to do with the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum GuardAction {
    /// Print its size and root
    Show,
    /// Make a missing guard
    Init,
}

/// Runs the command line.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        None => quick(arguments.quick),
        Some(Command::Serve { config, follow, policy, places, check, json }) => {
            let changed = |config| changed(config, follow, policy, places);
            match config {
                Some(path) => serve_file(&path, check, json, changed),
                None => serve(changed(Config::defaults()), json, "info"),
            }
        }
        Some(Command::Config { witness, recovery }) => {
            let text = match (witness, recovery) {
                (true, _) => WITNESS_DEFAULTS,
                (_, true) => RECOVERY_DEFAULTS,
                _ => DEFAULTS,
            };
            print!("{text}");
            ExitCode::SUCCESS
        }
        Some(Command::Witness(arguments)) => witness::run(arguments),
        Some(Command::Recovery(arguments)) => recovery::run(arguments),
        Some(Command::Keys { config, url }) => keys::run(&config, url.as_deref()),
        Some(Command::Fsck { data, deep, repair, json }) => fsck(&data, deep, repair, json),
        Some(Command::Export { directory, data }) => export(&data, &directory),
        Some(Command::Guard { action, data }) => guard::run(action, &data),
        Some(Command::Logconf { command }) => logconf::run(command),
        Some(Command::Notary { command }) => notary::run(command),
        Some(Command::Dnssec { command }) => dnssec::run(command),
        Some(Command::Zone { command }) => zone::run(command),
        Some(Command::Invite { data, count }) => invite::make(&data, count),
        Some(Command::Lease(lease)) => lease::run(&lease),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Arguments::command(), "dgnsd", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

fn quick(quick: Quick) -> ExitCode {
    let mut config = Config::defaults();
    config.zone = match identity::name::Zone::parse(&quick.zone) {
        Ok(zone) => zone,
        Err(error) => return failed(1, &format!("--zone {}: {error}", quick.zone)),
    };
    config.data = quick.data;
    config.http.listen = quick.http;
    config.dns.listen = vec![quick.dns];
    serve(config, quick.json, "warn")
}

/// Returns the configuration with what the command line says.
fn changed(mut config: Config, follow: Option<String>, policy: Option<PathBuf>, places: Places) -> Config {
    if follow.is_some() {
        (config.follow.url, config.follow.policy) = (follow, policy);
    }
    config.data = places.data.unwrap_or(config.data);
    config.http.listen = places.http.unwrap_or(config.http.listen);
    config.dns.listen = places.dns.map_or(config.dns.listen, |address| vec![address]);
    config
}

fn serve_file(path: &Path, check: bool, json: bool, changed: impl FnOnce(Config) -> Config) -> ExitCode {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return failed(1, &format!("{}: {error}", path.display())),
    };
    match read_config(path, &text) {
        Ok(_) if check => {
            println!("{}: no faults", path.display());
            ExitCode::SUCCESS
        }
        Ok(config) => serve(changed(config), json, "info"),
        Err(why) => failed(1, &why),
    }
}

/// Reads a configuration, and the file of logs it names.
fn read_config(path: &Path, text: &str) -> Result<Config, String> {
    let config = Config::from_toml(text).map_err(|faults| format!("{}:\n{faults}", path.display()))?;
    if let Some(witness) = &config.witness {
        WitnessedLogs::read(&witness.logs).map_err(|error| format!("witness.logs: {error}"))?;
    }
    Ok(config)
}

fn serve(config: Config, json: bool, level: &str) -> ExitCode {
    logs(level);
    storage::durable::raise_open_files();
    let ended = runtime().block_on(async move {
        // Before the start: whoever reads that it is ready may ask it to stop at once.
        let mut asked = StopSignals::watch();
        let mut server = Server::start(config, Clock::system()).await?;
        let shown = greet::greet(&server, json, std::io::stdout().is_terminal())?;
        if shown {
            server.forget_operator_words().map_err(|error| greet::io(&server, error))?;
        }
        tokio::select! {
            error = server.failed() => Err(error),
            () = asked.came() => server.stop().await,
        }
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(exit_code(&error), &error.to_string()),
    }
}

fn fsck(data: &Path, deep: bool, repair: bool, json: bool) -> ExitCode {
    logs("warn");
    let now = Some(Clock::system().now()).filter(|_| repair);
    let report = runtime().block_on(dgns::fsck::run(data, deep, now));
    if json {
        println!("{}", serde_json::to_string(&report).expect("a report is plain data"));
    } else {
        print!("{report}");
    }
    ExitCode::from(report.exit_code())
}

fn export(data: &Path, directory: &Path) -> ExitCode {
    match runtime().block_on(dgns::export::run(data, directory)) {
        Ok(exported) => {
            println!("{} entries, {} files new in {}", exported.size, exported.files, directory.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let error = ServerError::from(error);
            failed(exit_code(&error), &error.to_string())
        }
    }
}

/// What a command said: nothing more, or an exit code and why.
type Said = Result<(), (u8, String)>;

/// Reads the operator's words from a file or standard input; they are never stored.
fn read_words(file: Option<&Path>) -> Result<Words, (u8, String)> {
    let text = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| (1, format!("{}: {error}", path.display())))?;
            Zeroizing::new(text)
        }
        None => {
            let mut line = Zeroizing::new(String::new());
            if std::io::stdin().is_terminal() {
                eprintln!("the operator's words, on one line:");
            }
            let read = std::io::stdin().lock().read_line(&mut line);
            read.map_err(|error| (1, format!("standard input: {error}")))?;
            line
        }
    };
    Words::parse(text.trim()).map_err(|error| (1, error.to_string()))
}

fn exit_code(error: &ServerError) -> u8 {
    match error.is_fault() {
        true => 3,
        false => 1,
    }
}

fn failed(code: u8, message: &str) -> ExitCode {
    eprintln!("dgnsd: {message}");
    ExitCode::from(code)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime needs threads and epoll")
}

/// Logs go to standard error; `DGNS_LOG` chooses what (`info`, `dgns=debug`).
fn logs(level: &str) {
    let chosen = std::env::var("DGNS_LOG").unwrap_or_default();
    // Who asks for what is logged for who names that, and for nobody who wants to see more of all else.
    let quiet = if chosen.contains("dns_queries") { "" } else { ",dns_queries=off" };
    let filter = tracing_subscriber::EnvFilter::try_new(format!("{chosen}{quiet}")).ok().filter(|_| !chosen.is_empty());
    let filter = filter.unwrap_or_else(|| tracing_subscriber::EnvFilter::new(level));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).init();
}

/// The signals that ask for an orderly stop.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Begins to watch; from here on a signal ends nothing by itself.
    fn watch() -> Self {
        let watched = |kind| signal(kind).expect("signal handlers can be set");
        Self { interrupt: watched(SignalKind::interrupt()), terminate: watched(SignalKind::terminate()) }
    }

    /// Waits for the first, or returns at once if it came already.
    async fn came(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

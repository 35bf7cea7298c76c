//! `dgnsd zone`: the zone as a file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use dgns::clock::Clock;
use dgns::config::Config;

use super::{failed, logs, read_config, runtime};

/// What to do with the zone.
#[derive(Debug, Subcommand)]
pub(super) enum ZoneCommand {
    /// Write every record, with its signature, as a zone file; the server must not be running. Of one that runs, a peer copies the zone:
    /// `dig -y KEY @SERVER ZONE AXFR`
    Export {
        /// The configuration of the server; without it, that of a server without one
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The data directory, if not where the configuration says
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Where to; without it, to standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Runs the command.
pub(super) fn run(command: ZoneCommand) -> ExitCode {
    let ZoneCommand::Export { config, data, out } = command;
    logs("warn");
    match export(config.as_deref(), data, out.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(1, &why),
    }
}

fn export(config: Option<&Path>, data: Option<PathBuf>, out: Option<&Path>) -> Result<(), String> {
    let mut config = match config {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            read_config(path, &text)?
        }
        None => Config::defaults(),
    };
    config.data = data.unwrap_or(config.data);
    let clock = Clock::system();
    let zone = dgns::server::stored_zone(&config, &clock).map_err(|error| error.to_string())?;
    // Beside it first: an export that fails leaves the file of before.
    let partial = out.map(|path| path.with_added_extension("partial"));
    let mut to: Box<dyn Write> = match &partial {
        Some(path) => {
            Box::new(BufWriter::new(File::create(path).map_err(|error| format!("{}: {error}", path.display()))?))
        }
        None => Box::new(BufWriter::new(std::io::stdout().lock())),
    };
    let written = runtime().block_on(dgns::dns::export::write(zone, &config, &clock, &mut to));
    drop(to);
    match (written, out, partial) {
        (Ok(count), Some(path), Some(partial)) => {
            std::fs::rename(&partial, path).map_err(|error| format!("{}: {error}", path.display()))?;
            println!("{count} records in {}", path.display());
            Ok(())
        }
        (Ok(_), ..) => Ok(()),
        (Err(error), _, partial) => {
            if let Some(partial) = partial {
                let _ = std::fs::remove_file(partial);
            }
            Err(error.to_string())
        }
    }
}

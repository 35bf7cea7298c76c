//! `dgnsd dnssec`: the keys that sign the zone.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use dgns::dns::dnssec::{Keyring, Role, Wish, leave_wish};
use dgns::dns::edge::{self, State};

use super::failed;

/// What to do with the keys.
#[derive(Debug, Subcommand)]
pub(super) enum DnssecCommand {
    /// Print the DS record that the parent zone must hold
    Ds {
        /// The data directory
        #[arg(long, value_name = "DIR", default_value = "./dgns-data")]
        data: PathBuf,
    },
    /// Print every key and where it stands in its life; nothing secret. At an edge: the keys that it believes, and when it heard of them
    Status {
        /// The data directory
        #[arg(long, value_name = "DIR", default_value = "./dgns-data")]
        data: PathBuf,
    },
    /// Have a key rolled: the server begins within a second, or at its next start
    Roll {
        /// `zsk` signs the zone; `ksk` signs the keys, and the parent zone must take its DS
        key: Rolled,
        /// The data directory
        #[arg(long, value_name = "DIR", default_value = "./dgns-data")]
        data: PathBuf,
    },
    /// Say that the parent zone shows the DS of the new KSK on all its servers: the old one goes in time
    Seen {
        /// The data directory
        #[arg(long, value_name = "DIR", default_value = "./dgns-data")]
        data: PathBuf,
    },
    /// Write every key, secret and all, as BIND's tools keep them: K*.key and K*.private
    Export {
        /// Where the files go
        directory: PathBuf,
        /// The data directory
        #[arg(long, value_name = "DIR", default_value = "./dgns-data")]
        data: PathBuf,
    },
}

/// Which key is rolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Rolled {
    /// The one that signs the zone
    Zsk,
    /// The one that signs the keys
    Ksk,
}

/// Runs the command.
pub(super) fn run(command: DnssecCommand) -> ExitCode {
    let done = match command {
        DnssecCommand::Ds { data } => read(&data).map(|keys| println!("{}", keys.ds_line())),
        DnssecCommand::Status { data } => match State::read(&data) {
            Ok(Some(state)) => {
                print!("{}", state.text());
                Ok(())
            }
            Ok(None) => read(&data).map(|keys| print!("{}", status(&keys))),
            Err(what) => Err(format!("{}: {what}", data.join(edge::FILE).display())),
        },
        DnssecCommand::Roll { key: Rolled::Zsk, data } => wish(&data, Wish::Roll(Role::Zsk)),
        DnssecCommand::Roll { key: Rolled::Ksk, data } => wish(&data, Wish::Roll(Role::Ksk)),
        DnssecCommand::Seen { data } => wish(&data, Wish::Seen),
        DnssecCommand::Export { directory, data } => read(&data).and_then(|keys| export(&keys, &directory)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(1, &why),
    }
}

fn read(data: &Path) -> Result<Keyring, String> {
    Keyring::read(&data.join("keys").join(Keyring::FILE)).map_err(|error| error.to_string())
}

/// Leaves a wish that the keys of now would grant.
fn wish(data: &Path, wish: Wish) -> Result<(), String> {
    read(data)?.grant(wish, dgns::clock::Clock::system().now().as_s()).map_err(|why| why.to_string())?;
    let path = data.join("keys").join(Keyring::FILE);
    leave_wish(&path, wish)
        .map_err(|error| format!("the wish cannot be left, or another one waits for the server: {error}"))
}

fn status(keys: &Keyring) -> String {
    let line =
        |held: &dgns::dns::dnssec::Held| format!("{:?} {} since {}\n", held.key, held.stage.name(), held.since_s);
    keys.keys().iter().map(line).collect()
}

fn export(keys: &Keyring, directory: &Path) -> Result<(), String> {
    for held in keys.keys() {
        let stem = held.key.file_stem(keys.zone());
        write(&directory.join(format!("{stem}.key")), &format!("{}\n", held.key.dnskey_line(keys.zone())))?;
        write(&directory.join(format!("{stem}.private")), &held.key.private_file())?;
        println!("{}", directory.join(stem).display());
    }
    Ok(())
}

/// Writes a new file that its owner alone can read.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

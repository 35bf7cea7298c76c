//! `dgnsd lease`: what an account may store, and until when.

use std::io::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dgns::clock::Clock;
use dgns::leases::Orders;
use identity::did::Did;
use storage::store::{NO_END_MS, Terms};

use super::failed;

const DAY_MS: u64 = 86_400_000;

/// What `lease` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Lease {
    /// Whose account
    did: Did,
    /// Until so many days from now; 0 ends it
    #[arg(long, value_name = "N")]
    days: Option<u64>,
    /// Until this time, Unix seconds
    #[arg(long, value_name = "SECONDS", conflicts_with = "days")]
    until: Option<u64>,
    /// Without an end
    #[arg(long, conflicts_with_all = ["days", "until"])]
    for_ever: bool,
    /// How many bytes it may store
    #[arg(long, value_name = "N")]
    bytes: Option<u64>,
    /// How many entries it may append
    #[arg(long, value_name = "N")]
    entries: Option<u64>,
    /// The data directory of the server
    #[arg(long, value_name = "DIR", default_value = "./dgns-data")]
    data: PathBuf,
}

/// Orders the lease.
pub(super) fn run(lease: &Lease) -> ExitCode {
    let clock = Clock::system();
    let days_ms = lease.days.map(|days| clock.now().as_ms().saturating_add(days.saturating_mul(DAY_MS)));
    let until_ms = days_ms.or(lease.until.map(|seconds| seconds.saturating_mul(1_000)));
    let until_ms = if lease.for_ever { Some(NO_END_MS) } else { until_ms };
    let terms = Terms { until_ms, bytes: lease.bytes, entries: lease.entries };
    if terms == Terms::default() {
        return failed(1, "say until when (--days, --until, --for-ever), or how much (--bytes, --entries)");
    }
    match give(&lease.data, &lease.did, &terms, &clock) {
        Ok(()) => {
            println!("ordered: the server takes it up within a second, or when it starts, and says so in its log");
            ExitCode::SUCCESS
        }
        Err(error) => failed(1, &format!("{}: {error}", lease.data.display())),
    }
}

fn give(data: &Path, did: &Did, terms: &Terms, clock: &Clock) -> std::io::Result<()> {
    // A directory that is none of a server's is a slip of the pen.
    std::fs::read_dir(data.join("keys"))
        .map_err(|error| Error::new(error.kind(), "not the data directory of a server"))?;
    Orders::at(data).give(did, terms, clock)
}

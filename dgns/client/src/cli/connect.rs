//! `connect`: what a private server shows to whom it lets in.

use std::path::PathBuf;
use std::time::Duration;

use data_encoding::HEXLOWER;
use dgns_client::attach::Who;
use dgns_client::connect::{self, Connection};
use dgns_client::error::ClientError;
use dgns_client::prover::Prover;
use identity::key::kid_of;
use serde_json::json;

use super::actor::Actor;
use super::host::is_local;
use super::output::time;
use super::progress::Progress;
use super::{Context, Done, Ended};

/// Attempts in a row that bring nothing, and the pause before the second; each pause is twice the one before.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// Arguments of `connect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Connect {
    /// The name
    name: String,
    /// Fetch this file; an attempt that broke is gone on with
    #[arg(long, value_name = "PATH", conflicts_with = "tail")]
    get: Option<String>,
    /// Where the file goes; its own name in this directory if left out
    #[arg(long, value_name = "FILE", requires = "get")]
    out: Option<PathBuf>,
    /// Follow this file: print it, and what is added to it, until interrupted
    #[arg(long, value_name = "LOG")]
    tail: Option<String>,
    /// With --tail: the byte to begin at
    #[arg(long, value_name = "BYTE", requires = "tail", default_value_t = 0)]
    from: u64,
    /// Also use loopback addresses; by itself if the server is on this machine
    #[arg(long)]
    loopback: bool,
}

/// Who connects, and to what.
struct Caller {
    prover: Prover,
    who: Who,
    name: String,
    loopback: bool,
}

impl Caller {
    async fn connect(&self) -> Result<Connection, ClientError> {
        connect::connect(&self.prover, &self.who, &self.name, self.loopback).await
    }
}

/// Lists, fetches or follows.
pub(crate) async fn connect(context: &Context, arguments: Connect) -> Done {
    let Actor { session, device, did } = Actor::new(context).await?;
    let name = session.name(&arguments.name)?.as_str().to_owned();
    let loopback = arguments.loopback || is_local(session.server());
    let caller = Caller { prover: Prover::new(session), who: Who { key: device.sign, did }, name, loopback };
    match (&arguments.get, &arguments.tail) {
        (Some(path), _) => get(context, &caller, path, arguments.out.clone()).await,
        (None, Some(path)) => {
            tokio::select! {
                ended = tail(context, &caller, path, arguments.from) => ended,
                _ = tokio::signal::ctrl_c() => Ok(Ended::Ok),
            }
        }
        (None, None) => list(context, &caller).await,
    }
}

async fn list(context: &Context, caller: &Caller) -> Done {
    let mut connection = caller.connect().await?;
    let files = connection.list().await?;
    let device = HEXLOWER.encode(&kid_of(&connection.device()).0);
    let did = connection.host().to_string();
    connection.close().await;
    let width = files.iter().map(|file| file.size.to_string().len()).max().unwrap_or(0);
    let mut text = String::new();
    for file in &files {
        text.push_str(&format!("{:>width$}  {}  {}\n", file.size, time(file.modified_s * 1_000), file.path));
    }
    text.push_str(&format!(
        "\n{} files of {}, from its device {device}: both ends proved by the log, the connection goes from one to the other",
        files.len(),
        caller.name
    ));
    let rows = files.iter().map(|file| json!({ "path": file.path, "size": file.size, "modified_s": file.modified_s }));
    let value = json!({
        "ok": true, "name": caller.name, "did": did, "device": device,
        "files": rows.collect::<Vec<_>>(),
    });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Fetches a file, over as many connections as it takes while each brings something.
async fn get(context: &Context, caller: &Caller, path: &str, out: Option<PathBuf>) -> Done {
    let own = || PathBuf::from(path.rsplit('/').next().unwrap_or(path));
    let out = out.unwrap_or_else(own);
    let mut progress = Progress::new("bytes");
    let mut best = 0;
    let mut failed = 0;
    let (got, device) = loop {
        let before = best;
        let attempt = async {
            let mut connection = caller.connect().await?;
            let got = connection.get(path, &out, |done, all| {
                best = best.max(done);
                progress.show(done, all);
            });
            let got = got.await?;
            let device = connection.device();
            connection.close().await;
            Ok::<_, ClientError>((got, device))
        };
        let attempt = attempt.await;
        failed = if best > before { 0 } else { failed + 1 };
        match attempt {
            Ok(got) => break got,
            // Nobody answers at all: what is not there now is not waited for.
            Err(ClientError::Network(why)) if best > 0 && failed < ATTEMPTS => {
                context.out.note(&format!("{why}; trying again"));
                tokio::time::sleep(PAUSE * 2_u32.pow(failed)).await;
            }
            Err(error) => return Err(error),
        }
    };
    drop(progress);
    let device = HEXLOWER.encode(&kid_of(&device).0);
    let root = HEXLOWER.encode(&got.root);
    let text = format!(
        "{} ({} bytes), every chunk checked{}",
        out.display(),
        got.size,
        if got.kept > 0 { format!("; {} bytes of it were here before", got.kept) } else { String::new() }
    );
    let value = json!({
        "ok": true, "name": caller.name, "path": path, "out": out, "size": got.size, "kept": got.kept, "root": root,
        "device": device,
    });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Prints a file as it grows, over as many connections as it takes.
async fn tail(context: &Context, caller: &Caller, path: &str, from: u64) -> Done {
    let mut place = from;
    let mut line = Vec::new();
    let mut failed = 0;
    loop {
        let before = place;
        let attempt = async {
            let mut connection = caller.connect().await?;
            failed = 0;
            connection
                .tail(path, place, |offset, bytes| {
                    place = offset + bytes.len() as u64;
                    print(context, offset, bytes, &mut line)
                })
                .await
        };
        let Err(error) = attempt.await else { return Ok(Ended::Ok) };
        match error {
            ClientError::Network(why) if (place > from || before > from) && failed < ATTEMPTS => {
                context.out.note(&format!("{why}; trying again"));
                tokio::time::sleep(PAUSE * 2_u32.pow(failed)).await;
                failed += 1;
            }
            error => return Err(error),
        }
    }
}

/// Prints bytes as they are, or each line that is whole as JSON with the place of its first byte.
fn print(context: &Context, offset: u64, bytes: &[u8], line: &mut Vec<u8>) -> Result<(), ClientError> {
    if !context.common.json {
        return context.out.raw(bytes);
    }
    let mut begins = offset - line.len() as u64;
    line.extend_from_slice(bytes);
    while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(&line[..end]).into_owned();
        context.out.line("", &json!({ "offset": begins, "line": text }));
        line.drain(..=end);
        begins += end as u64 + 1;
    }
    Ok(())
}

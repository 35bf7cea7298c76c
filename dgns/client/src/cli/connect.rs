//! `connect`: what a private server shows to whom it lets in.

use std::io::{BufRead as _, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use dgns_client::attach::Who;
use dgns_client::connect::{self, Appending, Connection, Lease, Leased, Line, Remembered};
use dgns_client::error::ClientError;
use dgns_client::prover::Prover;
use dgns_client::session::Session;
use identity::grant::SignedGrant;
use identity::key::kid_of;
use identity::token::Rights;
use lobby::limits::WRITTEN_BYTES_MAX;
use serde_json::json;
use tokio::sync::mpsc;

use super::actor::Actor;
use super::host::is_local;
use super::output::time;
use super::progress::Progress;
use super::token::{grants_of, named};
use super::{Context, Done, Ended};

/// Attempts in a row that bring nothing, and the pause before the second; each pause is twice the one before.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// Hosts in a row that say that a log is at another.
const REDIRECTS_MAX: usize = 4;

/// Arguments of `connect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Connect {
    /// The name
    name: String,
    /// Fetch this file; an attempt that broke is gone on with
    #[arg(long, value_name = "PATH", conflicts_with_all = ["tail", "append"])]
    get: Option<String>,
    /// Where the file goes; its own name in this directory if left out
    #[arg(long, value_name = "FILE", requires = "get")]
    out: Option<PathBuf>,
    /// Follow this file: print it, and what is added to it, until interrupted
    #[arg(long, value_name = "LOG", conflicts_with = "append")]
    tail: Option<String>,
    /// Add lines to this log, those of standard input as they come; each is on the host's disk once, however often the connection breaks
    #[arg(long, value_name = "LOG")]
    append: Option<String>,
    /// With --append: the lines of this file; the same command again goes on where an attempt was stopped
    #[arg(long, value_name = "FILE", requires = "append")]
    file: Option<PathBuf>,
    /// Show this token to the host, or the held one whose rid begins so (dgns token list)
    #[arg(long, value_name = "TOKEN|RID")]
    token: Option<String>,
    /// Show this grant to the host: what `dgns grant` printed. Grants that the server keeps are shown by themselves
    #[arg(long, value_name = "GRANT")]
    grant: Option<String>,
    /// With --tail: the byte to begin at
    #[arg(long, value_name = "BYTE", requires = "tail", default_value_t = 0)]
    from: u64,
    /// Come as a guest, with a key made for this once that no log has: for hosts that let guests in
    #[arg(long, conflicts_with_all = ["append", "token", "grant"])]
    guest: bool,
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
    token: Option<String>,
    grants: Vec<SignedGrant>,
    redirects: usize,
}

impl Caller {
    async fn connect(&self) -> Result<Connection, ClientError> {
        let token = self.token.as_deref();
        let mut connection = connect::connect(&self.prover, &self.who, &self.name, token, self.loopback).await?;
        for grant in &self.grants {
            connection.attest(grant.as_bytes()).await?;
        }
        Ok(connection)
    }

    /// Goes where a host says that a log is: to another name, which is looked up and proved like the first.
    fn redirected(&mut self, context: &Context, log: &str, to: &str) -> Result<(), ClientError> {
        if to.contains("://") {
            return Err(ClientError::Unable(format!(
                "{log}: the host says that it is at {to}, which is no private server"
            )));
        }
        self.redirects += 1;
        if self.redirects > REDIRECTS_MAX {
            return Err(ClientError::Unable(format!(
                "{log}: more than {REDIRECTS_MAX} hosts say that it is elsewhere"
            )));
        }
        let name = self.prover.session().name(to)?.as_str().to_owned();
        context.out.note(&format!("{} says that {log} is at {name}", self.name));
        self.name = name;
        Ok(())
    }
}

/// Lists, fetches or follows.
pub(crate) async fn connect(context: &Context, arguments: Connect) -> Done {
    let (session, who) = match arguments.guest {
        true => (context.session().await?, Who::guest()),
        false => {
            let Actor { session, device, did } = Actor::new(context).await?;
            (session, Who { key: device.sign, did })
        }
    };
    let name = session.name(&arguments.name)?.as_str().to_owned();
    let loopback = arguments.loopback || is_local(session.server());
    let token = arguments.token.as_deref().map(|text| token_of(&session, text)).transpose()?;
    let grants = arguments.grant.as_deref().map(grants_of).transpose()?.unwrap_or_default();
    let prover = Prover::new(session);
    let mut caller = Caller { prover, who, name, loopback, token, grants, redirects: 0 };
    match (&arguments.get, &arguments.tail, &arguments.append) {
        (Some(path), ..) => get(context, &caller, path, arguments.out.clone()).await,
        (None, Some(path), _) => {
            tokio::select! {
                ended = tail(context, &mut caller, path, arguments.from) => ended,
                _ = tokio::signal::ctrl_c() => Ok(Ended::Ok),
            }
        }
        (None, None, Some(log)) => append(context, &mut caller, log, arguments.file.as_deref()).await,
        (None, None, None) => list(context, &caller).await,
    }
}

/// Returns the token that a text is, or that this device holds under it.
fn token_of(session: &Session, text: &str) -> Result<String, ClientError> {
    match text.starts_with("dgt1.") {
        true => Ok(text.to_owned()),
        false => Ok(named(&session.held_tokens()?, text)?.pair.token.clone()),
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
async fn tail(context: &Context, caller: &mut Caller, path: &str, from: u64) -> Done {
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
        match attempt.await {
            Ok(to) => caller.redirected(context, path, &to)?,
            Err(ClientError::Network(why)) if (place > from || before > from) && failed < ATTEMPTS => {
                context.out.note(&format!("{why}; trying again"));
                tokio::time::sleep(PAUSE * 2_u32.pow(failed)).await;
                failed += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Adds lines to a log, over as many connections as it takes.
async fn append(context: &Context, caller: &mut Caller, log: &str, file: Option<&Path>) -> Done {
    let mut progress = Progress::new("lines");
    let mut open: Option<(Appending, mpsc::Receiver<Line>)> = None;
    let (mut skipped, mut failed) = (0, 0);
    let appending = loop {
        let before = open.as_ref().map_or(0, |(appending, _)| appending.lines);
        let attempt = async {
            let mut connection = caller.connect().await?;
            let lease = match connection.lease(log, Rights::READ.and(Rights::WRITE)).await? {
                Leased::Here(lease) => lease,
                Leased::Elsewhere(to) => return Ok(Some(to)),
            };
            failed = 0;
            if open.is_none() {
                skipped = begin(caller, &lease, file)?;
                open = Some((Appending::new(&lease), lines(file, skipped)?));
            }
            let Some((appending, lines)) = open.as_mut() else { return Ok(None) };
            connection.append(lease, appending, lines, |lines| progress.count(skipped + lines)).await?;
            connection.close().await;
            Ok::<_, ClientError>(None)
        };
        let attempt = attempt.await;
        let lines = open.as_ref().map_or(0, |(appending, _)| appending.lines);
        match (attempt, open.take()) {
            (Ok(None), Some((appending, _))) => break appending,
            (Ok(None), None) => {}
            (Ok(Some(_)), Some(_)) => {
                return Err(ClientError::Unable(format!("{log}: the log moved meanwhile; begin anew")));
            }
            (Ok(Some(to)), None) => caller.redirected(context, log, &to)?,
            // Nobody answers at all: what is not there at first is not waited for.
            (Err(ClientError::Network(why)), Some(state)) if lines > before || failed < ATTEMPTS => {
                open = Some(state);
                failed = if lines > before { 0 } else { failed + 1 };
                context.out.note(&format!("{why}; trying again"));
                tokio::time::sleep(PAUSE * 2_u32.pow(failed)).await;
            }
            (Err(error), _) => return Err(error),
        }
    };
    drop(progress);
    if file.is_some() {
        Remembered::end(caller.prover.session().log(), &caller.name, log)?;
    }
    let text = match (skipped, appending.lines) {
        (0, lines) => format!("{lines} lines are in {log} of {}, on its disk", caller.name),
        (before, lines) => {
            format!("{lines} lines more are in {log} of {}, on its disk; {before} were there before", caller.name)
        }
    };
    let receipt = appending
        .receipt
        .map(|receipt| json!({ "lsn": receipt.lsn, "size": receipt.size, "head": HEXLOWER.encode(&receipt.head) }));
    let value = json!({
        "ok": true, "name": caller.name, "log": log, "lines": appending.lines, "lines_before": skipped, "receipt": receipt,
    });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Remembers where a file begins; returns how many lines of it are there already.
fn begin(caller: &Caller, lease: &Lease, file: Option<&Path>) -> Result<u64, ClientError> {
    let home = caller.prover.session().log();
    match file {
        None => Remembered::none(home, &caller.name, &lease.log).map(|()| 0),
        Some(file) => {
            let whole =
                file.canonicalize().map_err(|error| ClientError::Unable(format!("{}: {error}", file.display())))?;
            Remembered::begin(home, &caller.name, lease, &whole)
        }
    }
}

/// Reads lines where nobody waits for them, without the first so many.
fn lines(file: Option<&Path>, skipped: u64) -> Result<mpsc::Receiver<Line>, ClientError> {
    let unable = |error: std::io::Error| ClientError::Unable(error.to_string());
    let source: Box<dyn std::io::Read + Send> = match file {
        None => Box::new(std::io::stdin()),
        Some(file) => Box::new(std::fs::File::open(file).map_err(unable)?),
    };
    let (tell, lines) = mpsc::channel(1_024);
    std::thread::spawn(move || {
        let mut reader = std::io::BufReader::new(source);
        let mut left = skipped;
        loop {
            let mut line = Vec::new();
            let read = reader.by_ref().take(WRITTEN_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
            let line = match read {
                Ok(0) => return,
                Ok(_) if line.last() == Some(&b'\n') => {
                    line.pop();
                    Ok(line)
                }
                Ok(read) if read > WRITTEN_BYTES_MAX => Err(connect::too_long()),
                Ok(_) => Ok(line),
                Err(error) => Err(unable(error)),
            };
            if left > 0 && line.is_ok() {
                left -= 1;
                continue;
            }
            let is_over = line.is_err();
            if tell.blocking_send(line).is_err() || is_over {
                return;
            }
        }
    });
    Ok(lines)
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

//! Lines on their way to a log of a host: numbered, several writes under way, and each there once however often the connection
//! breaks (PROTOCOL 23.15).

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use identity::hash::{Hash, sha256};
use identity::token::Rights;
use lobby::limits::{ENTRIES_MAX, WRITTEN_BYTES_MAX};
use lobby::share::Said;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::logs::{lease_ended, refused};
use super::{Connection, Lease, Leased};
use crate::error::ClientError;
use crate::home::LogHome;

/// Writes under way at once.
const WINDOW: usize = 8;

/// How long a write may take: its host is gone, or the path to it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A line without its end, or why there is none.
pub type Line = Result<Vec<u8>, ClientError>;

/// What the host said of the last line that is on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The number of the last line.
    pub lsn: u64,
    /// The bytes of the log behind it.
    pub size: u64,
    /// SHA-256 of so many bytes of the log.
    pub head: Hash,
}

/// Lines of one program for one log, over as many connections as it takes.
#[derive(Debug)]
pub struct Appending {
    next: u64,
    /// Sent, and not known to be on disk.
    waiting: VecDeque<Batch>,
    /// Lines that are on disk.
    pub lines: u64,
    /// The last of them.
    pub receipt: Option<Receipt>,
}

#[derive(Clone, Debug)]
struct Batch {
    lsn: u64,
    entries: Vec<Vec<u8>>,
    /// The request that carries it, in this connection.
    id: u64,
}

impl Batch {
    fn last(&self) -> u64 {
        self.lsn + self.entries.len() as u64 - 1
    }

    fn length(&self) -> usize {
        self.entries.iter().map(|entry| entry.len() + 1).sum()
    }
}

impl Appending {
    /// Returns what begins behind the lines that a lease says are there.
    pub fn new(lease: &Lease) -> Self {
        Self { next: lease.lsn + 1, waiting: VecDeque::new(), lines: 0, receipt: None }
    }

    /// Returns how many lines were sent and are not known to be there.
    pub fn waiting(&self) -> u64 {
        self.waiting.iter().map(|batch| batch.entries.len() as u64).sum()
    }

    /// Takes what a new lease says of the lines that were sent: they are there, or are sent again.
    fn go_on(&mut self, lease: &Lease) -> Result<(), ClientError> {
        while let Some(batch) = self.waiting.front().filter(|batch| batch.last() <= lease.lsn) {
            self.lines += batch.entries.len() as u64;
            let head = lease.head.unwrap_or_default();
            self.receipt = Some(Receipt { lsn: batch.last(), size: lease.size, head });
            self.waiting.pop_front();
        }
        let expected = self.waiting.front().map_or(self.next, |batch| batch.lsn) - 1;
        if lease.lsn < expected {
            let what = format!("{}: the host lost lines that it said were on its disk", lease.log);
            return Err(ClientError::proof("rollback", what));
        }
        if lease.lsn > expected {
            let what = format!("{}: another program of this device writes to it as well", lease.log);
            return Err(ClientError::Unable(what));
        }
        Ok(())
    }

    fn number(&mut self, entries: Vec<Vec<u8>>) -> Batch {
        let batch = Batch { lsn: self.next, entries, id: 0 };
        self.next += batch.entries.len() as u64;
        batch
    }
}

impl Connection {
    /// Adds lines to a leased log until there are no more and all are on the host's disk; `progress` is told how many are.
    pub async fn append(
        &mut self,
        mut lease: Lease,
        appending: &mut Appending,
        lines: &mut mpsc::Receiver<Line>,
        mut progress: impl FnMut(u64),
    ) -> Result<(), ClientError> {
        appending.go_on(&lease)?;
        self.send_all(&lease, appending).await?;
        let mut more = None;
        let mut ended = false;
        let mut heard = Instant::now();
        loop {
            if ended && appending.waiting.is_empty() {
                return Ok(());
            }
            let has_room = !ended && appending.waiting.len() < WINDOW;
            let said = tokio::select! {
                line = next_line(lines, &mut more), if has_room => match line {
                    Some(line) => {
                        if appending.waiting.is_empty() {
                            heard = Instant::now();
                        }
                        let entries = gather(line?, lines, &mut more)?;
                        let batch = appending.number(entries);
                        appending.waiting.push_back(batch);
                        self.send_last(&lease, appending).await?;
                        continue;
                    }
                    None => {
                        ended = true;
                        continue;
                    }
                },
                said = timeout_at(heard + PATIENCE, self.hear()), if !appending.waiting.is_empty() => {
                    said.map_err(|_| ClientError::Network("the host does not answer".to_owned()))??
                }
                said = self.hear(), if appending.waiting.is_empty() => said?,
            };
            heard = Instant::now();
            match said {
                Said::Receipt { id, position, size, head } => {
                    let Some(batch) = appending.waiting.front().filter(|batch| batch.id == id) else { continue };
                    if size != position + batch.length() as u64 {
                        return Err(self.nonsense());
                    }
                    appending.lines += batch.entries.len() as u64;
                    appending.receipt = Some(Receipt { lsn: batch.last(), size, head });
                    appending.waiting.pop_front();
                    progress(appending.lines);
                }
                // `bad_handle`: the handle ended while this was on its way; the lease is renewed below.
                Said::Err { id, code }
                    if code != "bad_handle" && appending.waiting.iter().any(|batch| batch.id == id) =>
                {
                    return Err(not_written(&lease.log, &code));
                }
                Said::Revoke { handle, code } if handle == lease.handle => {
                    lease = match self.lease(&lease.log, Rights::READ.and(Rights::WRITE)).await {
                        Ok(Leased::Here(lease)) => lease,
                        Ok(Leased::Elsewhere(to)) => {
                            let what = format!("{}: the log moved to {to} meanwhile; begin anew there", lease.log);
                            return Err(ClientError::Unable(what));
                        }
                        Err(ClientError::Refused(_)) => return Err(lease_ended(&lease.log, &code)),
                        Err(error) => return Err(error),
                    };
                    appending.go_on(&lease)?;
                    self.send_all(&lease, appending).await?;
                }
                _ => {}
            }
        }
    }

    async fn send_all(&mut self, lease: &Lease, appending: &mut Appending) -> Result<(), ClientError> {
        for batch in &mut appending.waiting {
            batch.id = self.id();
            self.send(lease, batch).await?;
        }
        Ok(())
    }

    async fn send_last(&mut self, lease: &Lease, appending: &mut Appending) -> Result<(), ClientError> {
        let Some(batch) = appending.waiting.back_mut() else { return Ok(()) };
        batch.id = self.id();
        self.send(lease, batch).await
    }

    async fn send(&self, lease: &Lease, batch: &Batch) -> Result<(), ClientError> {
        let Batch { lsn, entries, id } = batch.clone();
        self.say(&Said::Write { id, handle: lease.handle, lsn, entries, expect: None }).await
    }
}

/// The next line: one that was held back, or a new one.
async fn next_line(lines: &mut mpsc::Receiver<Line>, more: &mut Option<Line>) -> Option<Line> {
    match more.take() {
        Some(line) => Some(line),
        None => lines.recv().await,
    }
}

/// Takes what is there already of the lines behind `first`, as much as one write has; one that does not fit is held back.
fn gather(
    first: Vec<u8>,
    lines: &mut mpsc::Receiver<Line>,
    more: &mut Option<Line>,
) -> Result<Vec<Vec<u8>>, ClientError> {
    let fits = |line: &[u8]| line.len() < WRITTEN_BYTES_MAX;
    if !fits(&first) {
        return Err(too_long());
    }
    let mut bytes = first.len() + 1;
    let mut entries = vec![first];
    while entries.len() < ENTRIES_MAX {
        let Ok(next) = lines.try_recv() else { break };
        match next {
            Ok(line) if bytes + line.len() < WRITTEN_BYTES_MAX => {
                bytes += line.len() + 1;
                entries.push(line);
            }
            held_back => {
                *more = Some(held_back);
                break;
            }
        }
    }
    Ok(entries)
}

/// A line that no write has room for.
pub fn too_long() -> ClientError {
    ClientError::Unable(format!("a line has at most {} bytes", WRITTEN_BYTES_MAX - 1))
}

fn not_written(log: &str, code: &str) -> ClientError {
    let what = match code {
        "quota" => "the log is as large as the host lets it become",
        "changed" => "the file is not what the host's journal of it says; its owner is to look",
        "lsn_conflict" | "lsn_gap" => "another program of this device writes to it as well",
        "no_right" => "the host lets this device read it only",
        _ => "the host does not write it",
    };
    refused(&format!("{log}: {what}"), code)
}

/// A file whose lines are on their way, remembered until all are there: the same command again goes on where it stood.
#[derive(Debug, Serialize, Deserialize)]
pub struct Remembered {
    name: String,
    log: String,
    file: String,
    first: u64,
}

impl Remembered {
    /// Returns how many lines of `file` an earlier attempt brought to a log, and remembers where the file begins if there was none.
    pub fn begin(home: &LogHome, name: &str, lease: &Lease, file: &Path) -> Result<u64, ClientError> {
        let path = Self::path(name, &lease.log);
        let text = file.display().to_string();
        if let Some(before) = home.read_json::<Self>(&path)? {
            if before.file == text {
                return (lease.lsn + 1).checked_sub(before.first).ok_or_else(|| {
                    let what = format!("{}: the host lost lines that it said were on its disk", lease.log);
                    ClientError::proof("rollback", what)
                });
            }
            let what = format!(
                "{} was begun and is not all there: end that first, with: dgns connect {name} --append {} --file {0}",
                before.file, lease.log
            );
            return Err(ClientError::Unable(what));
        }
        let log = lease.log.clone();
        home.keep_json(&path, &Self { name: name.to_owned(), log, file: text, first: lease.lsn + 1 })?;
        Ok(0)
    }

    /// Refuses if a file was begun: lines between its lines would be counted as its own.
    pub fn none(home: &LogHome, name: &str, log: &str) -> Result<(), ClientError> {
        match home.read_json::<Self>(&Self::path(name, log))? {
            None => Ok(()),
            Some(before) => Err(ClientError::Unable(format!(
                "{} was begun and is not all there: end that first, with: dgns connect {name} --append {log} --file {0}",
                before.file
            ))),
        }
    }

    /// Forgets a file that is all there.
    pub fn end(home: &LogHome, name: &str, log: &str) -> Result<(), ClientError> {
        home.forget(&Self::path(name, log))
    }

    fn path(name: &str, log: &str) -> PathBuf {
        let hash = sha256(&[name.as_bytes(), &[0], log.as_bytes()]);
        PathBuf::from("appends").join(format!("{}.json", HEXLOWER.encode(&hash[..16])))
    }
}

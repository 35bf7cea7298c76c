//! Building snapshots: the log is read and checked as always, and its records are put into parts behind those of the snapshot before.
//!
//! Parts of a MiB stay as they are. Behind them are smaller ones, each more than twice as large as what follows it: what is new takes with it
//! those that are not, so that their number grows with the logarithm of the log and a record is sealed a few times at most.

use dgns_api::store::entry::{Class, LogId};
use dgns_api::store::limits::{ENTRIES_PER_ANSWER_MAX, PARTS_MAX, PIECE_BYTES, RECORD_BYTES_MAX, REFS_MAX};
use dgns_api::store::snapshot::{Manifest, Part, Row};
use tokio::time::Instant;

use super::records_of;
use super::restore::{Snapshot, newest, usable};
use super::sealed::Filling;
use crate::error::ClientError;
use crate::session::{Session, Signer};
use crate::store::append::{Acknowledged, Appender};
use crate::store::chunks::put_missing;
use crate::store::database::OpenDb;
use crate::store::follow::Follower;

/// From here on a part is full: the next record might not have found room.
pub(super) const FULL_BYTES: u64 = (PIECE_BYTES - RECORD_BYTES_MAX) as u64 - 128;

/// How many new parts a snapshot has when it is said at the latest: a page of the log makes a few more.
const NEW_PARTS: usize = REFS_MAX - 4;

/// Which share of the time that reading the snapshot takes, the entries behind it may take.
const TAIL_SHARE: f64 = 0.08;

/// What reading the entries behind a snapshot may take in any case, in seconds: as long as a few ways there and back.
const TAIL_FREE_S: f64 = 0.02;

/// The entries of a page that tells how long one takes.
const MEASURED_ENTRIES: usize = 32;

/// How long things take, in seconds, as measured by who builds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace {
    /// To fetch, check and open a byte of a part.
    byte: f64,
    /// To check and open an entry, beyond its bytes.
    entry: f64,
}

/// Until something was measured: 100 MB/s, and an entry in 100 us.
const FIRST_PACE: Pace = Pace { byte: 1e-8, entry: 1e-4 };

/// One person's snapshots of one log, the next of which is being built.
#[derive(Debug)]
pub struct Builder {
    log: LogId,
    gid: u32,
    follower: Follower,
    /// The newest snapshot.
    before: Option<Snapshot>,
    parts: Vec<Part>,
    /// What is in no part yet.
    rows: Vec<Row>,
    rows_bytes: u64,
    /// Entries behind the newest snapshot, and their bytes.
    tail: (u64, u64),
    /// Those of them that are no snapshots.
    news: u64,
    pace: Pace,
}

/// What was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// Where it stands.
    pub acknowledged: Acknowledged,
    /// How many entries it covers.
    pub size: u64,
    /// Its records.
    pub records: u64,
    /// Its parts.
    pub parts: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Builder {
    /// Goes on from this person's newest snapshot, or from the first entry; of a log that was trimmed, from the snapshot that stands for that.
    pub async fn open(
        session: &Session,
        signer: Signer<'_>,
        db: &mut OpenDb,
        (log, gid): (LogId, u32),
    ) -> Result<Self, ClientError> {
        // What somebody else built is their word: whoever builds on it gives it as their own. An owner who trims by it gave theirs.
        let before = newest(session, signer, db, (log, gid), Some(&signer.did)).await?.snapshot;
        let follower = match &before {
            Some(snapshot) => Follower::behind(log, snapshot.head()),
            None => Follower::from(log, 0),
        };
        let follower = follower.with_parts(db.acl().parts(&log));
        let parts = before.as_ref().map(parts_of).unwrap_or_default();
        let (rows, rows_bytes, tail, news, pace) = (Vec::new(), 0, (0, 0), 0, FIRST_PACE);
        Ok(Self { log, gid, follower, before, parts, rows, rows_bytes, tail, news, pace })
    }

    /// Reads what comes next, at most a page, and returns whether that was all; waits for up to `wait_s` seconds if there is nothing.
    pub async fn catch_up(
        &mut self,
        session: &Session,
        signer: Signer<'_>,
        db: &mut OpenDb,
        wait_s: u64,
    ) -> Result<bool, ClientError> {
        let begun = Instant::now();
        let (entries, size) = self.follower.read(session, signer, ENTRIES_PER_ANSWER_MAX as u64, wait_s).await?;
        let first = self.follower.next() - entries.len() as u64;
        let mut bytes = 0;
        for (pos, entry) in (first..).zip(&entries) {
            let header = entry.header();
            bytes += (entry.header_bytes().len() + entry.body().len()) as u64;
            let counts = db.counts(session, signer, pos, header).await?;
            if header.class == Class::Snapshot {
                continue;
            }
            self.news += 1;
            let records = match counts {
                true => records_of(db, self.gid, pos, entry)?.unwrap_or_default(),
                false => Vec::new(),
            };
            if !records.is_empty() {
                let (epoch, author, unix_ms) = (header.epoch, header.author, header.unix_ms);
                self.rows_bytes += entry.body().len() as u64;
                self.rows.push(Row { pos, epoch, author, unix_ms, records });
            }
        }
        self.tail = (self.tail.0 + entries.len() as u64, self.tail.1 + bytes);
        if wait_s == 0 && entries.len() >= MEASURED_ENTRIES {
            let took = begun.elapsed().as_secs_f64() - bytes as f64 * self.pace.byte;
            self.pace.entry = (self.pace.entry + took.max(0.0) / entries.len() as f64) / 2.0;
        }
        if self.rows_bytes >= PIECE_BYTES as u64 {
            self.pack(session, signer, db, false).await?;
        }
        Ok(self.follower.next() >= size)
    }

    /// Returns whether a snapshot has to be said before more is read: its entry names no more parts.
    pub fn is_full(&self) -> bool {
        self.parts.iter().filter(|part| part.at.is_none()).count() >= NEW_PARTS
    }

    /// Returns whether there is anything that the newest snapshot does not cover.
    pub fn has_news(&self) -> bool {
        self.news > 0
    }

    /// Returns whether what the newest snapshot does not cover takes more than 20 ms, and more than 8 % of the time that reading the
    /// snapshot takes.
    pub fn is_due(&self) -> bool {
        let covered = self.before.as_ref().map_or(0, |before| before.manifest().bytes());
        self.has_news() && self.pace.is_due(self.tail, covered)
    }

    /// Appends a snapshot of all that was read.
    pub async fn say(&mut self, session: &Session, signer: Signer<'_>, db: &mut OpenDb) -> Result<Built, ClientError> {
        self.pack(session, signer, db, true).await?;
        if self.parts.len() > PARTS_MAX {
            return Err(ClientError::Unable(format!("a snapshot has at most {PARTS_MAX} parts")));
        }
        let Some(root) = self.follower.root() else {
            return Err(ClientError::Unable("nothing was read yet".into()));
        };
        let before = self.before.as_ref().map(Snapshot::pos);
        let manifest = Manifest { size: self.follower.next(), root, before, parts: self.parts.clone() };
        let acknowledged = append(session, signer, db, (self.log, self.gid), &manifest).await?;
        let built = Built {
            acknowledged,
            size: manifest.size,
            records: manifest.records(),
            parts: manifest.parts.len(),
            bytes: manifest.bytes(),
        };
        self.read_back(session, signer, db, acknowledged.pos).await?;
        Ok(built)
    }

    /// Reads a snapshot back as anybody would, and its newest part: what cannot be read is no snapshot. Tells how long that takes.
    async fn read_back(
        &mut self,
        session: &Session,
        signer: Signer<'_>,
        db: &mut OpenDb,
        pos: u64,
    ) -> Result<(), ClientError> {
        let read = usable(session, signer, db, (self.log, self.gid), (pos, None)).await?;
        let snapshot = read.map_err(ClientError::Unable)?;
        if let Some(last) = snapshot.manifest().parts.last() {
            let begun = Instant::now();
            snapshot.part(session, signer, db, last).await?;
            let took = begun.elapsed().as_secs_f64() / last.bytes as f64;
            // A small part tells of the way there and back, not of its bytes.
            if last.bytes >= FULL_BYTES / 4 {
                self.pace.byte = (self.pace.byte + took) / 2.0;
            }
        }
        self.parts = parts_of(&snapshot);
        self.before = Some(snapshot);
        (self.tail, self.news) = ((0, 0), 0);
        Ok(())
    }

    /// Puts what was read into parts and stores them: those that are full, or all of it. Smaller parts before it go with it.
    async fn pack(&mut self, session: &Session, signer: Signer<'_>, db: &OpenDb, all: bool) -> Result<(), ClientError> {
        while let (Some(before), Some(last)) = (&self.before, self.parts.last())
            && !self.rows.is_empty()
            // One that no snapshot names yet is got by none.
            && last.at.is_some()
            && last.bytes < FULL_BYTES
            && last.bytes <= 2 * self.rows_bytes
        {
            let mut rows = before.part(session, signer, db, last).await?;
            self.rows_bytes += last.bytes;
            rows.append(&mut self.rows);
            self.rows = rows;
            self.parts.pop();
        }
        self.rows_bytes = 0;
        let (_, key) = db.newest_key(self.gid)?;
        let query = format!("?log={}", self.log);
        let (mut filling, mut full) = (Filling::default(), Vec::new());
        for row in std::mem::take(&mut self.rows) {
            let mut next = Some(row);
            while let Some(row) = next {
                next = filling.add(row);
                if next.is_some() {
                    full.push(std::mem::take(&mut filling).seal(key));
                }
            }
        }
        match all {
            true if !filling.is_empty() => full.push(filling.seal(key)),
            _ => (self.rows_bytes, self.rows) = (filling.bytes() as u64, filling.into_rows()),
        }
        for (part, chunk) in full {
            put_missing(session, signer, &query, &[chunk]).await?;
            self.parts.push(part);
        }
        Ok(())
    }
}

/// Appends a snapshot.
async fn append(
    session: &Session,
    signer: Signer<'_>,
    db: &mut OpenDb,
    place: (LogId, u32),
    manifest: &Manifest,
) -> Result<Acknowledged, ClientError> {
    let (mut appender, _) = Appender::open(session, signer, place).await?;
    match appender.append_snapshot(session, signer, db, manifest).await {
        Err(ClientError::Refused(problem)) if problem.code == "epoch_conflict" => {
            db.refresh(session, signer).await?;
            appender.append_snapshot(session, signer, db, manifest).await
        }
        appended => appended,
    }
}

/// Says a snapshot again, as often as it takes until none of its parts is named by an entry before `first`; returns the last. No part is
/// stored again.
pub(crate) async fn renewed(
    session: &Session,
    signer: Signer<'_>,
    db: &mut OpenDb,
    place: (LogId, u32),
    (mut snapshot, first): (Snapshot, u64),
) -> Result<Snapshot, ClientError> {
    loop {
        let (mut parts, mut renewed) = (parts_of(&snapshot), 0);
        for part in parts.iter_mut().filter(|part| part.at.is_some_and(|at| at < first)).take(REFS_MAX) {
            (part.at, renewed) = (None, renewed + 1);
        }
        if renewed == 0 {
            return Ok(snapshot);
        }
        let (size, root) = snapshot.head();
        let manifest = Manifest { size, root, before: Some(snapshot.pos()), parts };
        let said = append(session, signer, db, place, &manifest).await?;
        snapshot = usable(session, signer, db, place, (said.pos, None)).await?.map_err(ClientError::Unable)?;
    }
}

impl Pace {
    /// Returns how long so many entries of so many bytes take.
    fn of_tail(self, (entries, bytes): (u64, u64)) -> f64 {
        entries as f64 * self.entry + bytes as f64 * self.byte
    }

    /// Returns whether such a tail is too long for a snapshot of so many bytes.
    fn is_due(self, tail: (u64, u64), covered: u64) -> bool {
        self.of_tail(tail) > (TAIL_SHARE * self.byte * covered as f64).max(TAIL_FREE_S)
    }
}

/// Returns the parts of a snapshot as a later one names them.
fn parts_of(snapshot: &Snapshot) -> Vec<Part> {
    let parts = snapshot.manifest().parts.iter();
    parts.map(|part| Part { at: Some(part.at.unwrap_or(snapshot.pos())), ..part.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_when_what_came_since_takes_8_percent_of_it_and_20_ms() {
        // Goal: a small log gets no snapshot for each record, and a large one no tail that is felt. Method: 100 us an entry, 10 ns a byte.
        let due = |entries: u64, covered: u64| FIRST_PACE.is_due((entries, 0), covered);
        for covered in [0, 1 << 20, 24_000_000] {
            assert!(!due(1, covered) && !due(199, covered) && due(201, covered), "{covered}");
        }
        assert!(!due(799, 100_000_000) && due(801, 100_000_000), "8 % of a second");
        assert!(FIRST_PACE.is_due((1, 2_000_000), 0), "bytes count, too");
    }
}

//! Holding a snapshot against the log that it is of: every entry that it covers is read, and its records compared (PROTOCOL 25.16).

use std::collections::VecDeque;

use dgns_api::store::entry::{Class, Entry, LogId};
use dgns_api::store::limits::ENTRIES_PER_ANSWER_MAX;
use dgns_api::store::record::Record;
use dgns_api::store::snapshot::Row;
use translog::fault::{FaultFile, FaultKind};

use super::records_of;
use super::restore::{Judged, Snapshot};
use crate::error::ClientError;
use crate::session::{Session, Signer};
use crate::store::chunks::Progress;
use crate::store::database::OpenDb;
use crate::store::follow::Follower;

/// Compares a snapshot with its log; returns how many records both have.
///
/// Errors: [`ClientError::Proof`] with `snapshot_content` and the evidence if who built it put something else into it, or left something out.
pub async fn audit(
    session: &Session,
    signer: Signer<'_>,
    db: &mut OpenDb,
    (log, gid): (LogId, u32),
    snapshot: &Snapshot,
    progress: Progress<'_>,
) -> Result<u64, ClientError> {
    let (mut reader, mut said) = (snapshot.reader(None), VecDeque::new());
    let mut follower = Follower::from(log, 0).with_parts(db.acl().parts(&log));
    let (size, mut done) = (snapshot.manifest().size, 0);
    while follower.next() < size {
        let limit = (size - follower.next()).min(ENTRIES_PER_ANSWER_MAX as u64);
        let (entries, _) = follower.read(session, signer, limit, 0).await?;
        let first = follower.next() - entries.len() as u64;
        for (pos, entry) in (first..).zip(&entries) {
            let records = match db.counts(session, signer, pos, entry.header()).await? {
                true if entry.header().class == Class::Data => records_of(db, gid, pos, entry)?.unwrap_or_default(),
                _ => Vec::new(),
            };
            done += records.len() as u64;
            // All that it may have of this entry.
            while said.back().is_none_or(|row: &Row| row.pos <= pos)
                && let Some(rows) = reader.next(session, signer, db).await?
            {
                said.extend(rows.into_iter().filter_map(|row| match row {
                    Judged::Counts(row) => Some(row),
                    Judged::Void { .. } => None,
                }));
            }
            if !taken(&mut said, pos, entry, &records) {
                return Err(differs(session, snapshot, pos, entry));
            }
        }
        progress(follower.next());
    }
    match said.front() {
        None => Ok(done),
        Some(row) => Err(snapshot.lie("snapshot_content", &format!("it has more of entry {} than the log", row.pos))),
    }
}

/// Takes what a snapshot has of an entry; returns whether that is what the entry has.
fn taken(said: &mut VecDeque<Row>, pos: u64, entry: &Entry, records: &[Record]) -> bool {
    let (header, mut taken) = (entry.header(), 0);
    while let Some(row) = said.pop_front_if(|row| row.pos <= pos) {
        let there = records.get(taken..).is_some_and(|rest| rest.starts_with(&row.records));
        let signed = (row.pos, row.epoch, row.author, row.unix_ms);
        if !there || signed != (pos, header.epoch, header.author, header.unix_ms) {
            return false;
        }
        taken += row.records.len();
    }
    taken == records.len()
}

/// Returns the fault of who built a snapshot that has another entry than the log; what was signed is kept.
fn differs(session: &Session, snapshot: &Snapshot, pos: u64, entry: &Entry) -> ClientError {
    let what = format!("it has something else at {pos} than the log");
    let (code, name) = ("snapshot_content", format!("snapshot-{}-{pos}.fault", snapshot.pos()));
    let file = FaultFile::new(FaultKind::Answer, &FaultFile::accused(session.trust(), None));
    let file = file.with_part("code", code.as_bytes()).with_part("subject", format!("entry {pos}").as_bytes());
    let file = file.with_part("answer", &snapshot.entry().encode()).with_part("entry", &entry.encode());
    match snapshot.lie(code, &what) {
        ClientError::Proof { code, what, .. } => {
            let evidence = session.log().keep_evidence(&name, &file.encode()).ok();
            ClientError::Proof { code, what, evidence }
        }
        other => other,
    }
}

//! Holding a snapshot against the log that it is of: every entry that it covers is read, and its records compared (PROTOCOL 25.16). Of entries
//! that were trimmed it is held against the snapshot that stands for them.

use std::collections::VecDeque;

use dgns_api::store::entry::{Class, LogId};
use dgns_api::store::limits::ENTRIES_PER_ANSWER_MAX;
use dgns_api::store::record::Record;
use dgns_api::store::snapshot::Row;

use super::records_of;
use super::restore::{Judged, Reader, Snapshot, agreed};
use crate::error::ClientError;
use crate::session::{Session, Signer};
use crate::store::chunks::Progress;
use crate::store::database::OpenDb;
use crate::store::follow::Follower;

/// A snapshot that has what its log has.
#[derive(Debug)]
pub struct Audited {
    /// The reader of the log, which goes on behind what the snapshot covers and knows every entry that it read before: none is shown again there.
    pub follower: Follower,
    /// The first entry that is there with a record in chunks, which the snapshot names and does not have.
    pub in_chunks: Option<u64>,
}

/// Compares a snapshot with its log.
///
/// Errors: [`ClientError::Proof`] with `snapshot_content` and the evidence if who built it put something else into it, or left something out.
pub async fn audit(
    session: &Session,
    signer: Signer<'_>,
    db: &mut OpenDb,
    (log, gid): (LogId, u32),
    snapshot: &Snapshot,
    progress: Progress<'_>,
) -> Result<Audited, ClientError> {
    let code = "snapshot_content";
    let mut said = Said::of(snapshot);
    if let Some(agreed) = agreed(session, signer, db, (log, gid)).await? {
        compare_trimmed(session, signer, db, (snapshot, &mut said), &agreed).await?;
    }
    let (first, mut in_chunks) = (db.acl().first(&log), None);
    let mut follower = Follower::from(log, first).with_parts(db.acl().parts(&log));
    let size = snapshot.manifest().size;
    while follower.next() < size {
        let limit = (size - follower.next()).min(ENTRIES_PER_ANSWER_MAX as u64);
        let (entries, _) = follower.read(session, signer, limit, 0).await?;
        let first = follower.next() - entries.len() as u64;
        for (pos, entry) in (first..).zip(&entries) {
            let header = entry.header();
            let records = match db.counts(session, signer, pos, header).await? {
                true if header.class == Class::Data => records_of(db, gid, pos, entry)?.unwrap_or_default(),
                _ => Vec::new(),
            };
            let (signed, mut taken) = ((pos, header.epoch, header.author, header.unix_ms), 0);
            let differs = || {
                snapshot.lie_of(
                    session,
                    code,
                    &format!("it has something else at {pos} than the log"),
                    Some((pos, entry)),
                )
            };
            while let Some(row) = said.up_to(session, signer, db, pos).await? {
                let there = records.get(taken..).is_some_and(|rest| rest.starts_with(&row.records));
                if !there || signed != (row.pos, row.epoch, row.author, row.unix_ms) {
                    return Err(differs());
                }
                if row.records.iter().any(|record| matches!(record, Record::Pieces(_))) {
                    in_chunks = in_chunks.or(Some(pos));
                }
                taken += row.records.len();
            }
            if taken != records.len() {
                return Err(differs());
            }
        }
        progress(follower.next());
    }
    match said.up_to(session, signer, db, u64::MAX).await? {
        None => Ok(Audited { follower, in_chunks }),
        Some(row) => Err(snapshot.lie(session, code, &format!("it has more of entry {} than the log", row.pos))),
    }
}

/// The rows that a snapshot has, but for those of who was revoked: of a few parts at a time.
struct Said<'s> {
    reader: Reader<'s>,
    rows: VecDeque<Row>,
}

/// Compares what a snapshot has of entries that were trimmed with the one that stands for them.
async fn compare_trimmed(
    session: &Session,
    signer: Signer<'_>,
    db: &mut OpenDb,
    (snapshot, said): (&Snapshot, &mut Said<'_>),
    agreed: &Snapshot,
) -> Result<(), ClientError> {
    let Some(last) = db.acl().first(snapshot.log()).checked_sub(1) else { return Ok(()) };
    let mut stands = Said::of(agreed);
    loop {
        let row = said.entry_up_to(session, signer, db, last).await?;
        let expected = stands.entry_up_to(session, signer, db, last).await?;
        if row != expected {
            let pos = row.iter().chain(&expected).map(|row| row.pos).min().unwrap_or(last);
            let what =
                format!("it has something else at {pos} than snapshot {}, by which that was trimmed", agreed.pos());
            return Err(snapshot.lie(session, "snapshot_content", &what));
        }
        if row.is_none() {
            return Ok(());
        }
    }
}

impl<'s> Said<'s> {
    fn of(snapshot: &'s Snapshot) -> Self {
        Self { reader: snapshot.reader(None), rows: VecDeque::new() }
    }

    /// Takes all rows of the next entry, as one, if it is one up to a place.
    async fn entry_up_to(
        &mut self,
        session: &Session,
        signer: Signer<'_>,
        db: &mut OpenDb,
        pos: u64,
    ) -> Result<Option<Row>, ClientError> {
        let Some(mut row) = self.up_to(session, signer, db, pos).await? else { return Ok(None) };
        while let Some(more) = self.up_to(session, signer, db, row.pos).await? {
            row.records.extend(more.records);
        }
        Ok(Some(row))
    }

    /// Takes the next row if it is of an entry up to a place.
    async fn up_to(
        &mut self,
        session: &Session,
        signer: Signer<'_>,
        db: &mut OpenDb,
        pos: u64,
    ) -> Result<Option<Row>, ClientError> {
        while self.rows.is_empty()
            && let Some(rows) = self.reader.next(session, signer, db).await?
        {
            self.rows.extend(rows.into_iter().filter_map(|row| match row {
                Judged::Counts(row) => Some(row),
                Judged::Void { .. } => None,
            }));
        }
        Ok(self.rows.pop_front_if(|row| row.pos <= pos))
    }
}

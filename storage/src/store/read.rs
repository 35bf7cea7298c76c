//! What readers get: logs, ranges of entries, proofs, cursors. Each call sees one commit.

use dgns_api::store::acl::{Acl, Stage};
use dgns_api::store::content::ContentId;
use dgns_api::store::control::DbKind;
use dgns_api::store::entry::{Header, LogId, LogKind};
use dgns_api::store::limits::{ANSWER_BYTES_MAX, ENTRIES_PER_ANSWER_MAX};
use dgns_api::store::partition::{self, Membership};
use identity::cert::KeyBytes;
use identity::did::Did;
use identity::hash::Hash;
use identity::token::Rights;

use super::rows::{AccountRow, DbRow, EntryRow, EquivocationRow, LogRow};
use super::view::replay;
use super::{Store, packed, proof};
use crate::database::begin_reading;
use crate::fault::StorageError;
use crate::limits::READS_MAX;
use crate::table::store::entry::Found;
use crate::table::store::{self as tables};

/// A range of a log with what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeRows {
    /// The log as it was read.
    pub log: LogRow,
    /// Whether nobody reads it any more, nor paid for it.
    pub is_dropped: bool,
    /// The entries from the place asked for on.
    pub entries: Vec<EntryRow>,
    /// The last leaf of the tree of `from` leaves, then its path; empty if `from` is 0.
    pub edge: Vec<Hash>,
    /// The consistency path from the size asked for to the log's.
    pub consistency: Vec<Hash>,
    /// The consistency path from the end of the entries to the log's size.
    pub rest: Vec<Hash>,
}

/// What proves an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRows {
    /// The root of the head.
    pub root: Hash,
    /// The inclusion path of each place.
    pub paths: Vec<Vec<Hash>>,
    /// The consistency path from the size asked for to the head's.
    pub consistency: Vec<Hash>,
}

impl Store {
    /// Returns a database.
    pub async fn database(&self, did: &Did) -> Result<Option<DbRow>, StorageError> {
        tables::db::by_did(&mut *self.inner.database.reader().await, did).await
    }

    /// Returns the database of a log.
    pub async fn database_of(&self, log: &LogRow) -> Result<DbRow, StorageError> {
        let db = tables::db::by_id(&mut *self.inner.database.reader().await, log.db).await?;
        db.ok_or_else(|| StorageError::inconsistent("dblog", "a log of no database"))
    }

    /// Returns the logs of a database, its control log first.
    pub async fn logs(&self, db: &DbRow) -> Result<Vec<LogRow>, StorageError> {
        tables::dblog::of_db(&mut *self.inner.database.reader().await, db.id).await
    }

    /// Returns a log.
    pub async fn log(&self, id: &LogId) -> Result<Option<LogRow>, StorageError> {
        tables::dblog::by_key(&mut *self.inner.database.reader().await, id).await
    }

    /// Returns an account.
    pub async fn account(&self, did: &Did) -> Result<Option<AccountRow>, StorageError> {
        tables::account::by_did(&mut *self.inner.database.reader().await, did).await
    }

    /// Returns until when `did` may read a log of `db`, Unix seconds, 0 if it may not: a member of its group with that right, or for the
    /// control log of any; an owner, or the database itself. The logs of a partition its user reads alone, and what is said about a subscription database
    /// everybody.
    pub async fn reads_until(&self, db: &DbRow, log: &LogRow, did: &Did) -> Result<u64, StorageError> {
        if log.kind.is_of_user() {
            return Ok(if partition::user_of(&log.label).as_ref() == Some(did) { u64::MAX } else { 0 });
        }
        // It says who owns the database, and nothing of its users.
        if db.kind == DbKind::Subscription {
            return Ok(u64::MAX);
        }
        if db.did == *did {
            return Ok(u64::MAX);
        }
        let mut reader = self.inner.database.reader().await;
        let rights = match log.gid {
            0 => tables::member::of_any_group(&mut reader, log.db, did).await?,
            gid => {
                let member = tables::member::load(&mut reader, log.db, gid, did).await?;
                member.into_iter().chain(tables::member::load(&mut reader, log.db, 0, did).await?).collect()
            }
        };
        let reads = |bits: u8| Rights::from_bits(bits.into()).is_some_and(|rights| rights.include(Rights::READ));
        let until = rights.into_iter().filter(|(bits, _)| reads(*bits)).map(|(_, until_s)| until_s);
        Ok(until.max().unwrap_or(0))
    }

    /// Returns whether `did` pays for a database.
    pub async fn pays(&self, db: &DbRow, did: &Did) -> Result<bool, StorageError> {
        let account = tables::account::by_id(&mut *self.inner.database.reader().await, db.account).await?;
        Ok(account.is_some_and(|account| account.did == *did))
    }

    /// Returns what the control log of a database comes to, as far as it is here.
    pub async fn acl(&self, control: &LogRow) -> Result<Acl, StorageError> {
        replay(&mut *self.inner.database.reader().await, control).await
    }

    /// Returns whether `did` may append to a log: a member of its group with that right, or the database itself unless it is a
    /// profile.
    pub async fn may_write(&self, log: &LogRow, did: &Did, now_s: u64) -> Result<bool, StorageError> {
        let mut reader = self.inner.database.reader().await;
        if log.kind != LogKind::Shared {
            return Ok(false);
        }
        if tables::db::by_id(&mut reader, log.db).await?.is_some_and(|db| db.writes_itself(did)) {
            return Ok(true);
        }
        let member = tables::member::load(&mut reader, log.db, log.gid, did).await?;
        let writes = |bits: u8| Rights::from_bits(bits.into()).is_some_and(|rights| rights.include(Rights::WRITE));
        Ok(member.is_some_and(|(bits, until_s)| writes(bits) && now_s < until_s))
    }

    /// Returns whether `user` is a member of a database by a grant that stands in its control log, and has a key of that epoch; `None` if the database is
    /// not here.
    pub async fn proves(&self, proof: &Membership, user: &Did, now_s: u64) -> Result<Option<bool>, StorageError> {
        let mut reader = self.inner.database.reader().await;
        let mut tx = begin_reading(&mut reader).await?;
        let Some(control) = tables::dblog::by_key(&mut tx, &LogId::control(&proof.db)).await? else { return Ok(None) };
        let db = tables::db::by_id(&mut tx, control.db).await?;
        if !db.is_some_and(|db| matches!(db.stage, Stage::Live | Stage::Deleting) && db.home.is_none()) {
            return Ok(None);
        }
        let Some((gid, _)) = proof.to(user) else { return Ok(Some(false)) };
        if proof.pos >= control.edge.size() {
            return Ok(Some(false));
        }
        let there = tables::entry::range(&mut tx, &control.line, proof.pos, proof.pos + 1).await?;
        let stands = there.first().is_some_and(|entry| entry.header == proof.grant.header_bytes());
        let member = tables::member::load(&mut tx, control.db, gid, user).await?;
        let is_member = member.is_some_and(|(bits, until_s)| bits > 0 && now_s < until_s);
        let newest = tables::grp::epoch(&mut tx, control.db, gid).await?.unwrap_or(0);
        Ok(Some(stands && is_member && (1..=newest).contains(&proof.epoch)))
    }

    /// Returns whether the entry at place `pos` of a log names a chunk.
    pub async fn names(&self, log: &LogRow, pos: u64, id: &ContentId) -> Result<bool, StorageError> {
        if pos >= log.edge.size() {
            return Ok(false);
        }
        let Some((row, ..)) = log.line.parts(0, pos, pos + 1).pop() else { return Ok(false) };
        let (header, _) = self.signed_at(row, pos).await?;
        let broken = |_| StorageError::inconsistent("entry", "a header does not decode");
        Ok(Header::decode(&header).map_err(broken)?.refs.binary_search(id).is_ok())
    }

    /// Returns the entries of a log from `from` on, as many as one answer takes; `None` if it has not so many, or fewer than `old`.
    pub async fn range(
        &self,
        id: &LogId,
        from: u64,
        limit: u64,
        old: Option<u64>,
    ) -> Result<Option<RangeRows>, StorageError> {
        for _ in 0..READS_MAX {
            let Some((mut rows, found)) = self.find(id, from, limit, old).await? else { return Ok(None) };
            // What lies in objects is read once the commit is: nobody waits for a connection meanwhile.
            if let Some(entries) = self.opened(found).await? {
                rows.entries = entries;
                return Ok(Some(rows));
            }
        }
        Err(packed::lost())
    }

    /// As [`Store::range`], with the entries apart, or where they lie.
    async fn find(
        &self,
        id: &LogId,
        from: u64,
        limit: u64,
        old: Option<u64>,
    ) -> Result<Option<(RangeRows, Vec<Found>)>, StorageError> {
        let mut reader = self.inner.database.reader().await;
        let mut tx = begin_reading(&mut reader).await?;
        let Some(log) = tables::dblog::by_key(&mut tx, id).await? else { return Ok(None) };
        let size = log.edge.size();
        if from > size || old.is_some_and(|old| old > size) {
            return Ok(None);
        }
        let to = size.min(from.saturating_add(limit.min(ENTRIES_PER_ANSWER_MAX as u64)));
        let mut end = from;
        let mut bytes = 0;
        for entry in tables::entry::sizes(&mut tx, &log.line, from, to).await? {
            bytes += entry;
            if bytes > ANSWER_BYTES_MAX as u64 && end > from {
                break;
            }
            end += 1;
        }
        let mut found = tables::entry::found(&mut tx, &log.line, from, end).await?;
        found.truncate(packed::fitting(&found));
        let end = from + found.len() as u64;
        let edge = match from.checked_sub(1) {
            None => Vec::new(),
            Some(last) => {
                let mut edge = tables::entry::leaves(&mut tx, &log.line, last, from).await?;
                edge.extend(proof::inclusion(&mut tx, &log.line, last, from).await?);
                edge
            }
        };
        let consistency = match old {
            Some(old) => proof::consistency(&mut tx, &log.line, old, size).await?,
            None => Vec::new(),
        };
        let rest = proof::consistency(&mut tx, &log.line, end, size).await?;
        // In the snapshot of the bodies: they go after this is said.
        let is_dropped = tables::db::by_id(&mut tx, log.db).await?.is_some_and(|db| db.dropped.is_now());
        Ok(Some((RangeRows { log, is_dropped, entries: Vec::new(), edge, consistency, rest }, found)))
    }

    /// Returns what proves that the entries at `places` stand in the head of `size`; `None` if the log is smaller, or `old` is larger.
    pub async fn receipt(
        &self,
        id: &LogId,
        places: &[u64],
        size: u64,
        old: Option<u64>,
    ) -> Result<Option<ReceiptRows>, StorageError> {
        // What other nodes did meanwhile stands in the tables.
        let is_alone = !self.is_shared();
        let of_late = |now| self.inner.recent.receipt(id, (places, size, old), now);
        if is_alone && let Some(rows) = of_late(None) {
            return Ok(Some(rows));
        }
        let mut reader = self.inner.database.reader().await;
        let mut tx = begin_reading(&mut reader).await?;
        let Some(log) = tables::dblog::by_key(&mut tx, id).await?.filter(|log| size <= log.edge.size()) else {
            return Ok(None);
        };
        if old.is_some_and(|old| old > size) || places.iter().any(|pos| *pos >= size) {
            return Ok(None);
        }
        if !is_alone && let Some(rows) = of_late(Some(&log.edge)) {
            return Ok(Some(rows));
        }
        let root = match size == log.edge.size() {
            true => log.edge.root(),
            false => proof::root(&mut tx, &log.line, size).await?,
        };
        let mut paths = Vec::with_capacity(places.len());
        for pos in places {
            paths.push(proof::inclusion(&mut tx, &log.line, *pos, size).await?);
        }
        let consistency = match old {
            Some(old) => proof::consistency(&mut tx, &log.line, old, size).await?,
            None => Vec::new(),
        };
        Ok(Some(ReceiptRows { root, paths, consistency }))
    }

    /// Returns the newest lsn and leaf of a device in a log.
    pub async fn cursor(&self, id: &LogId, device: &KeyBytes) -> Result<Option<(u64, Hash)>, StorageError> {
        let mut reader = self.inner.database.reader().await;
        let mut tx = begin_reading(&mut reader).await?;
        let log = tables::dblog::by_key(&mut tx, id).await?;
        let device = tables::device::id(&mut tx, device).await?;
        match (log, device) {
            (Some(log), Some(device)) => {
                Ok(tables::cursor::load(&mut tx, &[(log.id, device)]).await?.pop().map(|row| row.last))
            }
            _ => Ok(None),
        }
    }

    /// Returns the places of the newest snapshots of a log that were not trimmed, the newest first.
    pub async fn snapshots(&self, log: &LogRow) -> Result<Vec<u64>, StorageError> {
        let mut reader = self.inner.database.reader().await;
        tables::snapshot::newest(&mut reader, &log.line, log.trimmed_to, log.edge.size()).await
    }

    /// Returns the devices that signed two entries at one place of a log, with both: at most 64.
    pub async fn equivocations(&self, id: &LogId) -> Result<Vec<EquivocationRow>, StorageError> {
        let mut reader = self.inner.database.reader().await;
        let Some(log) = tables::dblog::by_key(&mut reader, id).await? else { return Ok(Vec::new()) };
        tables::equivocation::of(&mut reader, log.id).await
    }
}

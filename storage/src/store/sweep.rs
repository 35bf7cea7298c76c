//! The end of what nobody pays for, or what owners trimmed: lapses are noted, and after a grace the bodies of entries go, so many a commit;
//! those of a trimmed log go at once, in the same way.
//!
//! The grace is counted by how long servers watched lapses, not by what a clock says: one that is wrong makes accounts read only, and is
//! forgotten once it is right again. One server watches at a time: whoever finds that the count is not what it left it at lets go, and every
//! commit of theirs looks at that first. A commit says that a database is dropped, from which on nobody reads it, and each after that lets its logs go
//! of some entries. A body goes once no log that it stands in holds it: what forks go on from stays for as long as one of them is paid for.
//! Headers, leaves and control logs stay, so that whatever was signed still holds.

use std::collections::BTreeSet;

use tokio::time::Instant;
use tracing::{error, warn};

use super::line::Line;
use super::packed::Held;
use super::rows::{Dropped, LogRow};
use super::{Store, collect, packed};
use crate::database::{Conn, begin_reading};
use crate::fault::StorageError;
use crate::inject::Step;
use crate::limits::{BYTES_PER_SWEEP, FORKS_PER_LOOK, NAMED_PER_STEP, READ_SLOW_MS, READS_MAX, ROWS_PER_SWEEP};
use crate::table::store::{self as tables, RowId};

/// One server's watch of the leases that are over. A new one begins with nothing, and does again what does no harm.
#[derive(Debug, Default)]
pub struct Sweep {
    /// What the count of the watch was left at.
    watched_ms: Option<u64>,
    /// The log whose entries go, with those that may hold some of them.
    log: Option<(RowId, Holders)>,
    /// The logs that are not what their rows say: they are left as they are, and hold up no other.
    broken: BTreeSet<RowId>,
    /// The round over logs that are trimmed, by the last one of which a segment could not be read.
    trims: Round<RowId>,
    /// The round over accounts whose grace is over, by the last one of which that is so: when its lapse was noted, and which it is.
    drops: Round<(u64, RowId)>,
}

/// A round over all that is to go: what cannot be read is passed over, and comes again in the next round, so that it holds up nothing else.
#[derive(Debug, Default)]
struct Round<K> {
    /// What was passed over last.
    past: K,
    /// Whether nothing is left behind that.
    is_over: bool,
}

impl<K: Default> Round<K> {
    /// Begins another round if this one is over.
    fn go_on(&mut self) {
        if self.is_over {
            *self = Self::default();
        }
    }
}

impl Sweep {
    /// Returns how many logs were left as they are, since their rows contradict each other.
    pub fn broken(&self) -> usize {
        self.broken.len()
    }

    /// Returns the next log of the round that is trimmed and has entries to let go of.
    async fn untrimmed(&self, conn: &mut Conn) -> Result<Option<LogRow>, StorageError> {
        let mut found = tables::dblog::untrimmed(conn, self.trims.past).await?;
        while let Some(log) = found.as_ref().filter(|log| self.broken.contains(&log.id)) {
            found = tables::dblog::untrimmed(conn, log.id).await?;
        }
        Ok(found)
    }

    /// Returns the first log of a dropped database that has entries to let go of.
    async fn unswept(&self, conn: &mut Conn, db: RowId) -> Result<Option<LogRow>, StorageError> {
        let mut found = tables::dblog::unswept(conn, db, 0).await?;
        while let Some(log) = found.as_ref().filter(|log| self.broken.contains(&log.id)) {
            found = tables::dblog::unswept(conn, db, log.id).await?;
        }
        Ok(found)
    }

    /// Passes a log over that contradicts itself; what else failed is handed on.
    fn pass(&mut self, log: RowId, error: StorageError) -> Result<(), StorageError> {
        if !error.is_inconsistent() {
            return Err(error);
        }
        error!(%error, log, "the entries of a log that are to go stay: what is kept of it contradicts itself");
        self.log = None;
        self.broken.insert(log);
        Ok(())
    }

    /// Passes a log over of which a segment cannot be read; returns whether it does not contradict itself, and so is to come again.
    fn put_aside(&mut self, log: RowId, error: StorageError) -> bool {
        let Err(error) = self.pass(log, error) else { return false };
        warn!(%error, log, "the entries of a log that are to go wait: an object that has some of them cannot be read");
        self.log = None;
        true
    }

    /// Finds out who holds entries of a log, before the commit, which others wait for: there may be many.
    async fn begin(&mut self, conn: &mut Conn, log: &LogRow) -> Result<(), StorageError> {
        if self.log.as_ref().is_none_or(|(row, _)| *row != log.id) {
            let mut holders = Holders::default();
            holders.read(conn, &log.line).await?;
            self.log = Some((log.id, holders));
        }
        Ok(())
    }
}

/// When data goes.
#[derive(Clone, Copy, Debug)]
pub struct Grace {
    /// The time, Unix milliseconds.
    pub now_ms: u64,
    /// For how long data stays, milliseconds: an account's after its lease and after that was noted, a chunk's after somebody wanted it and
    /// after that was noted.
    pub grace_ms: u64,
}

/// The logs that go on from others: where their entries lie, and the first that each has not let go of.
#[derive(Debug, Default)]
struct Holders {
    /// The newest that was looked at.
    seen: RowId,
    logs: Vec<(Line, u64)>,
}

impl Holders {
    /// Reads those that came since, and keeps those that have entries of `line` too. What they let go of meanwhile is missed: it stays.
    async fn read(&mut self, conn: &mut Conn, line: &Line) -> Result<(), StorageError> {
        loop {
            let logs = tables::dblog::forks(conn, self.seen, FORKS_PER_LOOK).await?;
            let Some((newest, _)) = logs.last() else { return Ok(()) };
            self.seen = newest.own();
            self.logs.extend(logs.into_iter().filter(|(other, _)| other.own() != line.own() && other.meets(line)));
        }
    }

    /// Returns which places of a row are held, each range with its end.
    fn held(&self, row: RowId) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.logs.iter().filter_map(move |(line, dropped_to)| Some((*dropped_to, line.end_of(row)?)))
    }
}

impl Store {
    /// Watches leases that are over for `ran_ms` more, at a time: notes the new ones, and takes back those that are not over after all.
    /// Returns whether this server is the one that watches.
    ///
    /// A crash before the commit leaves nothing of it.
    pub async fn watch_lapses(&self, sweep: &mut Sweep, ran_ms: u64, now_ms: u64) -> Result<bool, StorageError> {
        sweep.trims.go_on();
        sweep.drops.go_on();
        {
            let mut reader = self.inner.database.reader().await;
            let is_idle = tables::account::to_note(&mut reader, now_ms, 1).await?.is_empty()
                && tables::account::paid_again(&mut reader, now_ms, 1).await?.is_empty()
                && !tables::account::is_any_waiting(&mut reader).await?;
            if is_idle {
                return Ok(true);
            }
        }
        let mut tx = self.inner.database.write().await?;
        let watched_ms = tables::lapse_watch::load(&mut tx).await?;
        if sweep.watched_ms != Some(watched_ms) {
            *sweep = Sweep { watched_ms: Some(watched_ms), ..Sweep::default() };
            return Ok(false);
        }
        let watched_ms = watched_ms.saturating_add(ran_ms);
        tables::lapse_watch::set(&mut tx, watched_ms).await?;
        for account in tables::account::paid_again(&mut tx, now_ms, ROWS_PER_SWEEP).await? {
            tables::account::take_back(&mut tx, account).await?;
            tables::db::take_back(&mut tx, account).await?;
        }
        for account in tables::account::to_note(&mut tx, now_ms, ROWS_PER_SWEEP).await? {
            tables::account::note(&mut tx, account, watched_ms).await?;
        }
        self.keep(Step::Sweep, tx, 2).await?;
        sweep.watched_ms = Some(watched_ms);
        Ok(true)
    }

    /// Takes one step of dropping what was trimmed, or what accounts kept whose grace is over; returns whether there may be another one.
    ///
    /// What cannot be read is passed over until the next watch at least; if that took long, others who wait for the caller go first.
    /// A crash before a step's commit leaves nothing of it, and the next one finds where it was.
    pub async fn sweep(&self, sweep: &mut Sweep, grace: Grace) -> Result<bool, StorageError> {
        if let Some(is_more) = self.trim(sweep).await? {
            return Ok(is_more);
        }
        let Some(watched_ms) = sweep.watched_ms else { return Ok(false) };
        let (Some(seen_ms), Some(ended_ms)) =
            (watched_ms.checked_sub(grace.grace_ms), grace.now_ms.checked_sub(grace.grace_ms))
        else {
            return Ok(false);
        };
        let found = {
            let mut reader = self.inner.database.reader().await;
            let Some(due) = tables::account::due(&mut reader, sweep.drops.past, (seen_ms, ended_ms)).await? else {
                (sweep.log, sweep.drops.is_over) = (None, true);
                return Ok(false);
            };
            let log = match tables::db::unswept(&mut reader, due.1).await? {
                Some(db) if db.dropped == Dropped::Going => sweep.unswept(&mut reader, db.id).await?,
                _ => None,
            };
            if let Some(log) = &log {
                sweep.begin(&mut reader, log).await?;
            }
            log.map(|log| (log, due))
        };
        let held = match &found {
            None => Held::new(),
            Some((log, due)) => {
                let began = Instant::now();
                match self.held_of(log, log.edge.size()).await {
                    Ok(held) => held,
                    Err(error) => {
                        if sweep.put_aside(log.id, error) {
                            sweep.drops.past = *due;
                        }
                        return Ok(is_quick(began));
                    }
                }
            }
        };
        let found = found.map(|(log, _)| log.id);
        // What goes names chunks no longer: it has to be counted first.
        if self.count_named().await? {
            return Ok(true);
        }
        let mut tx = self.inner.database.write().await?;
        if tables::lapse_watch::load(&mut tx).await? != watched_ms {
            *sweep = Sweep::default();
            return Ok(false);
        }
        // It may have been paid for since.
        let due = tables::account::due(&mut tx, sweep.drops.past, (seen_ms, ended_ms)).await?;
        let Some((_, account)) = due else { return Ok(true) };
        let mut rows = 1;
        match tables::db::unswept(&mut tx, account).await? {
            None => tables::account::swept(&mut tx, account).await?,
            Some(db) if db.dropped == Dropped::Going => match sweep.unswept(&mut tx, db.id).await? {
                None => tables::db::to_dropped(&mut tx, db.id, Dropped::Gone).await?,
                Some(log) => match &mut sweep.log {
                    Some((row, holders)) if *row == log.id && found == Some(log.id) => {
                        // Whoever forked it meanwhile holds what they fork.
                        holders.read(&mut tx, &log.line).await?;
                        match let_go(&mut tx, &log, log.edge.size(), holders, &held).await {
                            // They were packed since that was looked for.
                            Ok(0) => return Ok(true),
                            Ok(entries) => rows = entries,
                            // Whatever it wrote goes with the transaction.
                            Err(error) => return sweep.pass(log.id, error).map(|()| true),
                        }
                    }
                    _ => return Ok(true),
                },
            },
            Some(db) => tables::db::to_dropped(&mut tx, db.id, Dropped::Going).await?,
        }
        self.keep(Step::Sweep, tx, rows).await?;
        Ok(true)
    }

    /// Lets a log go of some of the entries that were trimmed; returns whether there may be another step, `None` if there was none to take.
    async fn trim(&self, sweep: &mut Sweep) -> Result<Option<bool>, StorageError> {
        let found = {
            let mut reader = self.inner.database.reader().await;
            let Some(log) = sweep.untrimmed(&mut reader).await? else {
                sweep.trims.is_over = true;
                return Ok(None);
            };
            sweep.begin(&mut reader, &log).await?;
            log
        };
        let began = Instant::now();
        let (found, held) = match self.held_of(&found, found.trimmed_to).await {
            Ok(held) => (found.id, held),
            Err(error) => {
                if sweep.put_aside(found.id, error) {
                    sweep.trims.past = found.id;
                }
                return Ok(Some(is_quick(began)));
            }
        };
        // What goes names chunks no longer: it has to be counted first.
        if self.count_named().await? {
            return Ok(Some(true));
        }
        let mut tx = self.inner.database.write().await?;
        let log = sweep.untrimmed(&mut tx).await?.filter(|log| log.id == found);
        let (Some(log), Some((_, holders))) = (log, &mut sweep.log) else { return Ok(Some(true)) };
        // Whoever forked it meanwhile holds what they fork.
        holders.read(&mut tx, &log.line).await?;
        let end = log.trimmed_to.min(log.edge.size());
        let rows = match let_go(&mut tx, &log, end, holders, &held).await {
            // They were packed since that was looked for.
            Ok(0) => return Ok(Some(true)),
            Ok(rows) => rows,
            // Whatever it wrote goes with the transaction.
            Err(error) => return sweep.pass(log.id, error).map(|()| Some(true)),
        };
        self.keep(Step::Trim, tx, rows).await?;
        if log.dropped_to + rows as u64 == end {
            // What it let go of, others that are swept hold alone.
            sweep.log = None;
        }
        Ok(Some(true))
    }

    /// Returns the segments of the entries that a step lets a log go of, of those before `end`: they are read before the commit, which waits for no object
    /// store.
    async fn held_of(&self, log: &LogRow, end: u64) -> Result<Held, StorageError> {
        let from = log.dropped_to;
        let to = end.min(log.edge.size()).min(from + ROWS_PER_SWEEP).max(from);
        for _ in 0..READS_MAX {
            let found = {
                let mut reader = self.inner.database.reader().await;
                let mut tx = begin_reading(&mut reader).await?;
                let to = fitting(&mut tx, &log.line, from, to).await?;
                tables::entry::found(&mut tx, &log.line, from, to).await?
            };
            if let Some(held) = self.held(&found).await? {
                return Ok(held);
            }
        }
        Err(packed::lost())
    }
}

/// Returns whether what failed, begun then, did not take long.
fn is_quick(began: Instant) -> bool {
    began.elapsed().as_millis() < u128::from(READ_SLOW_MS)
}

/// Lets a log go of the first entries that it holds, of those before `end`, and drops the bodies that nobody holds then: their bytes are given back to who paid
/// for them, and what these entries named they name no longer. Returns of how many entries it let go: of none if one lies in a segment that is not
/// `held`.
async fn let_go(
    conn: &mut Conn,
    log: &LogRow,
    end: u64,
    holders: &Holders,
    held: &Held,
) -> Result<usize, StorageError> {
    let from = log.dropped_to;
    let (mut to, mut count, mut named) = (from, 0, Vec::new());
    let end = end.min(from + ROWS_PER_SWEEP);
    let end = fitting(conn, &log.line, from, end).await?;
    let Some(entries) = packed::naming(conn, &log.line, (from, end), held).await? else { return Ok(0) };
    for entry in entries {
        let names = collect::named_by(&entry)?;
        count += names.len();
        if count > NAMED_PER_STEP && to > from {
            break;
        }
        named.push(names);
        to += 1;
    }
    if to == from {
        return Err(StorageError::inconsistent("entry", "a log has fewer entries than its size"));
    }
    for (row, begin, end) in log.line.parts(0, from, to) {
        let mut held: Vec<(u64, u64)> = holders.held(row).collect();
        let lost = || StorageError::inconsistent("dblog", "a log of no log or database");
        let owner = tables::dblog::by_id(conn, row).await?.ok_or_else(lost)?;
        if row != log.id {
            held.push((owner.dropped_to, u64::MAX));
        }
        let payer = tables::db::by_id(conn, owner.db).await?.ok_or_else(lost)?.account;
        for (begin, end) in free(begin, end, held) {
            let names = named[(begin - from) as usize..(end - from) as usize].concat();
            collect::recount(conn, (payer, owner.db), &names, u64::saturating_sub).await?;
            let bytes = tables::entry::drop_bodies(conn, row, begin, end).await?;
            if bytes > 0 {
                tables::account::give_back(conn, payer, bytes).await?;
            }
        }
    }
    tables::dblog::drop_to(conn, log.id, to).await?;
    Ok((to - from) as usize)
}

/// Returns up to which of the entries `from..to` one step takes: all, as many as have so many bytes, or one.
async fn fitting(conn: &mut Conn, line: &Line, from: u64, to: u64) -> Result<u64, StorageError> {
    let mut sum = 0_u64;
    let sizes = tables::entry::sizes(conn, line, from, to).await?;
    let fits = sizes.iter().take_while(|more| {
        sum = sum.saturating_add(**more);
        sum <= BYTES_PER_SWEEP
    });
    Ok(to.min(from + fits.count().max(1) as u64))
}

/// Returns the parts of `from..to` that none of the ranges covers, in order.
fn free(from: u64, to: u64, mut held: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    held.retain(|(begin, end)| begin < end);
    held.sort_unstable();
    let (mut at, mut parts) = (from, Vec::new());
    for (begin, end) in held {
        if at < begin.min(to) {
            parts.push((at, begin.min(to)));
        }
        at = at.max(end);
    }
    if at < to {
        parts.push((at, to));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_holds_is_not_free() {
        assert_eq!(free(10, 20, vec![]), [(10, 20)]);
        assert_eq!(free(10, 20, vec![(0, 10), (20, 30), (15, 15)]), [(10, 20)]);
        assert_eq!(free(10, 20, vec![(14, 16), (11, 12), (15, 18)]), [(10, 11), (12, 14), (18, 20)]);
        assert_eq!(free(10, 20, vec![(0, 15), (15, u64::MAX)]), []);
        assert_eq!(free(10, 20, vec![(0, 12), (5, 11)]), [(12, 20)]);
        // A range that ends before it begins holds nothing.
        assert_eq!(free(10, 20, vec![(19, 12)]), [(10, 20)]);
    }
}

//! What a batch of appends is decided upon: rows as they are, then as the batch leaves them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::database::Conn;
use dgns_api::store::acl::{Acl, AclRefusal, Stage};
use dgns_api::store::content::ContentId;
use dgns_api::store::control::{Control, DbKind};
use dgns_api::store::entry::{Class, Entry, Header, LogId, LogKind};
use identity::cert::KeyBytes;
use identity::did::Did;
use identity::hash::Hash;
use identity::token::Rights;
use translog::tree::Edge;

use super::append::{Append, AppendRefusal, Placed};
use super::rows::{AccountRow, DbRow, EquivocationRow, LogRow, PlacedRow, Signed, UseRow};
use super::{partitions, proof};
use crate::fault::StorageError;
use crate::table::store::{self as tables, RowId};

/// Rows of `store.db` that a batch touches. Clones are cheap enough to try one append on.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) last: LastIds,
    pub(super) accounts: BTreeMap<RowId, AccountRow>,
    pub(super) dbs: BTreeMap<RowId, DbRow>,
    pub(super) logs: BTreeMap<LogId, LogView>,
    pub(super) devices: HashMap<KeyBytes, RowId>,
    /// By log and device: the newest lsn and leaf, if there is one.
    pub(super) cursors: BTreeMap<(RowId, RowId), Option<(u64, Hash)>>,
    /// Entries that are asked for again, by log, device and lsn.
    pub(super) kept: HashMap<(RowId, RowId, u64), PlacedRow>,
    /// Header and signature of entries that are packed, by row of logs and place: those that a job brings.
    pub(super) firsts: HashMap<(RowId, u64), Signed>,
    /// By database, group and DID: rights, and until when; 0 is none.
    pub(super) members: BTreeMap<(RowId, u32, Did), (u8, u64)>,
    /// By database and group: the newest epoch.
    pub(super) epochs: BTreeMap<(RowId, u32), u64>,
    /// By database: who may do what; where something is said about it.
    pub(super) acls: BTreeMap<RowId, Acl>,
    /// By database and chunk: those that are there for its entries, of the ones that the batch names.
    pub(super) uses: BTreeMap<(RowId, ContentId), UseRow>,
    /// Those that a trim of the batch names, by log and place, of the snapshots that are there and stay.
    pub(super) snapshots: BTreeSet<(LogId, u64)>,
    /// Those that were read, whether they are there or not.
    pub(super) asked: BTreeSet<(RowId, ContentId)>,
    /// By database and user: the salts of the partitions that the batch begins.
    pub(super) partitions: BTreeMap<(RowId, Did), [u8; 16]>,
    /// By database and sender: when they sent their newest invitations, Unix milliseconds, the oldest first.
    pub(super) inviters: BTreeMap<(RowId, Did), Vec<u64>>,
    /// By the leaf of the entry that begins a fork: what it goes on from, or why it does not.
    pub(super) sources: HashMap<Hash, Result<Source, AppendRefusal>>,
}

/// A database that another one goes on from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) acl: Acl,
    /// Its control log.
    pub(super) control: LogRow,
    /// By log: the row, and the edge where the fork begins.
    pub(super) logs: BTreeMap<LogId, (LogRow, Edge)>,
}

/// The largest ids that were given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastIds {
    pub(super) account: RowId,
    pub(super) db: RowId,
    pub(super) log: RowId,
    pub(super) device: RowId,
}

/// A log, with what the batch adds to it.
#[derive(Clone, Debug)]
pub(super) struct LogView {
    pub(super) row: LogRow,
    /// Where each entry of this batch lies, by device and lsn, with its header and signature.
    pub(super) added: HashMap<(RowId, u64), Added>,
}

/// An entry that the batch adds.
#[derive(Clone, Debug)]
pub(super) struct Added {
    pub(super) pos: u64,
    pub(super) leaf: Hash,
    pub(super) header: Vec<u8>,
    pub(super) sig: [u8; 64],
}

/// An entry that was there, or that the batch adds.
pub(super) enum Found<'v> {
    Kept(&'v PlacedRow),
    Added(&'v Added),
}

impl View {
    /// Returns the entry of a device with this lsn.
    pub(super) fn found(&self, log: &LogView, device: RowId, lsn: u64) -> Option<Found<'_>> {
        if let Some(kept) = self.kept.get(&(log.row.id, device, lsn)) {
            return Some(Found::Kept(kept));
        }
        self.logs.get(&log.row.key)?.added.get(&(device, lsn)).map(Found::Added)
    }

    /// Reads what data appended to logs that are there needs, of the whole batch in one statement a table. What else is needed is read
    /// append by append.
    pub(super) async fn load_together(&mut self, conn: &mut Conn, appends: &[&Append]) -> Result<(), StorageError> {
        let of_log = |append: &&Append| Some(append.entries.first()?.header().log);
        let keys: BTreeSet<LogId> = appends.iter().filter_map(of_log).collect();
        for row in tables::dblog::by_keys(conn, &Vec::from_iter(keys)).await? {
            self.logs.insert(row.key, LogView { row, added: HashMap::new() });
        }
        let headers = || appends.iter().flat_map(|append| &append.entries).map(Entry::header);
        let keys: BTreeSet<KeyBytes> = headers().map(|header| header.device).collect();
        self.devices.extend(tables::device::ids(conn, &Vec::from_iter(keys)).await?);
        let (mut places, mut members) = (BTreeSet::new(), BTreeSet::new());
        for header in headers() {
            let Some(log) = self.logs.get(&header.log) else { continue };
            places.extend(self.devices.get(&header.device).map(|device| (log.row.id, *device)));
            if log.row.kind == LogKind::Shared {
                members.insert((log.row.db, log.row.gid, header.author));
            }
        }
        let places = Vec::from_iter(places);
        self.cursors.extend(places.iter().map(|place| (*place, None)));
        for row in tables::cursor::load(conn, &places).await? {
            self.cursors.insert((row.log, row.device), Some(row.last));
        }
        let members = Vec::from_iter(members);
        self.members.extend(members.iter().map(|member| (*member, (0, 0))));
        self.members.extend(tables::member::load_many(conn, &members).await?);
        Ok(())
    }

    /// Reads what one more append needs.
    pub(super) async fn load(&mut self, conn: &mut Conn, append: &Append) -> Result<(), StorageError> {
        let Some(key) = append.entries.first().map(|entry| entry.header().log) else { return Ok(()) };
        let log = match self.logs.get(&key) {
            Some(log) => Some(log.row.clone()),
            None => tables::dblog::by_key(conn, &key).await?,
        };
        if let Some(partition) = &append.partition {
            partitions::load(self, conn, partition, append).await?;
        }
        let Some(log) = log else { return self.load_making(conn, append).await };
        self.logs.entry(key).or_insert_with(|| LogView { row: log.clone(), added: HashMap::new() });
        self.load_database(conn, &log).await?;
        for entry in &append.entries {
            let header = entry.header();
            self.load_device(conn, log.id, header).await?;
            if log.kind == LogKind::Shared {
                self.load_member(conn, &log, &header.author).await?;
            }
        }
        self.load_uses(conn, &log, append).await?;
        if log.kind == LogKind::Control && !self.acls.contains_key(&log.db) {
            let acl = replay(conn, &log).await?;
            self.acls.insert(log.db, acl);
            // Whoever is revoked, it is said how far each log counts; nothing is said of those of users.
            for row in tables::dblog::said_of_db(conn, log.db).await? {
                self.logs.entry(row.key).or_insert_with(|| LogView { row, added: HashMap::new() });
            }
        }
        if log.kind == LogKind::Control {
            self.load_snapshots(conn, append).await?;
        }
        Ok(())
    }

    /// Reads which snapshots are there of those that are to stand for what is trimmed.
    async fn load_snapshots(&mut self, conn: &mut Conn, append: &Append) -> Result<(), StorageError> {
        for entry in &append.entries {
            let Ok(Control::Trim { log, snapshot, .. }) = Control::decode(entry.body()) else { continue };
            let Some(row) = self.logs.get(&log).map(|log| &log.row) else { continue };
            if (row.dropped_to..row.edge.size()).contains(&snapshot)
                && !tables::snapshot::newest(conn, &row.line, snapshot, snapshot + 1).await?.is_empty()
            {
                self.snapshots.insert((log, snapshot));
            }
        }
        Ok(())
    }

    /// Reads what an append needs that makes a database: the account, and the last ids.
    async fn load_making(&mut self, conn: &mut Conn, append: &Append) -> Result<(), StorageError> {
        let Some(payer) = &append.payer else { return Ok(()) };
        if !self.accounts.values().any(|account| account.did == *payer)
            && let Some(account) = tables::account::by_did(conn, payer).await?
        {
            self.accounts.insert(account.id, account);
        }
        for entry in &append.entries {
            let key = entry.header().device;
            if !self.devices.contains_key(&key)
                && let Some(id) = tables::device::id(conn, &key).await?
            {
                self.devices.insert(key, id);
            }
        }
        if let Some(first) = append.entries.first()
            && first.header().class == Class::Control
            && let Ok(Control::Fork { source, did, base, .. }) = Control::decode(first.body())
            && first.header().log == LogId::control(&did)
        {
            let source = load_source(conn, first.header(), &source, &base).await?;
            self.sources.insert(first.leaf(), source);
        }
        Ok(())
    }

    pub(super) async fn load_database(&mut self, conn: &mut Conn, log: &LogRow) -> Result<(), StorageError> {
        let lost = |what: &'static str| StorageError::inconsistent("dblog", what);
        if self.dbs.contains_key(&log.db) {
            return Ok(());
        }
        let db = tables::db::by_id(conn, log.db).await?.ok_or_else(|| lost("a log of no database"))?;
        if !self.accounts.contains_key(&db.account) {
            let account = tables::account::by_id(conn, db.account).await?;
            let account = account.ok_or_else(|| lost("a database of no account"))?;
            self.accounts.insert(account.id, account);
        }
        self.dbs.insert(db.id, db);
        Ok(())
    }

    /// Reads which chunks are there of those that are named by entries which may come to be counted: not for strangers, nor again.
    async fn load_uses(&mut self, conn: &mut Conn, log: &LogRow, append: &Append) -> Result<(), StorageError> {
        let Some(db) = self.dbs.get(&log.db) else { return Ok(()) };
        let holder = (db.account, db.id);
        let is_asked = |header: &&Header| append.arrives.is_some() || self.may_count(log, header);
        let headers = append.entries.iter().map(Entry::header).filter(is_asked);
        let named = headers.flat_map(|header| &header.refs).map(|id| (db.id, *id));
        let unread: BTreeSet<_> = named.filter(|key| !self.asked.contains(key)).collect();
        let ids: Vec<ContentId> = unread.iter().map(|(_, id)| *id).collect();
        self.asked.extend(unread);
        for row in tables::chunk_use::load(conn, holder, &ids).await? {
            self.uses.insert((row.db, row.chunk), row);
        }
        Ok(())
    }

    /// Whether an entry may be new, and of somebody who may write, as far as the rows say; what the batch says before it may change that.
    fn may_count(&self, log: &LogRow, header: &Header) -> bool {
        let device = self.devices.get(&header.device);
        let last = device.and_then(|device| self.cursors.get(&(log.id, *device)).copied().flatten());
        let is_owner = self.dbs.get(&log.db).is_some_and(|db| db.writes_itself(&header.author));
        let (rights, _) = self.members.get(&(log.db, log.gid, header.author)).copied().unwrap_or_default();
        let writes = Rights::from_bits(rights.into()).is_some_and(|rights| rights.include(Rights::WRITE));
        last.is_none_or(|(lsn, _)| header.lsn > lsn) && (is_owner || writes || self.acls.contains_key(&log.db))
    }

    async fn load_device(&mut self, conn: &mut Conn, log: RowId, header: &Header) -> Result<(), StorageError> {
        let device = match self.devices.get(&header.device) {
            Some(device) => *device,
            None => {
                let Some(device) = tables::device::id(conn, &header.device).await? else { return Ok(()) };
                self.devices.insert(header.device, device);
                device
            }
        };
        let last = match self.cursors.get(&(log, device)) {
            Some(last) => *last,
            None => {
                let last = tables::cursor::load(conn, &[(log, device)]).await?.pop().map(|row| row.last);
                self.cursors.insert((log, device), last);
                last
            }
        };
        if last.is_some_and(|(lsn, _)| header.lsn <= lsn)
            && let Some(kept) = tables::entry::by_lsn(conn, log, device, header.lsn).await?
        {
            self.kept.insert((log, device, header.lsn), kept);
        }
        Ok(())
    }

    async fn load_member(&mut self, conn: &mut Conn, log: &LogRow, author: &Did) -> Result<(), StorageError> {
        let (of_author, of_group) = ((log.db, log.gid, *author), (log.db, log.gid));
        let known = (self.members.contains_key(&of_author), self.epochs.contains_key(&of_group));
        if !known.0 {
            let row = tables::member::load(conn, log.db, log.gid, author).await?;
            self.members.insert(of_author, row.unwrap_or_default());
        }
        if !known.1 {
            let epoch = tables::grp::epoch(conn, log.db, log.gid).await?;
            self.epochs.insert(of_group, epoch.unwrap_or(0));
        }
        Ok(())
    }
}

impl LastIds {
    /// Reads the largest ids.
    pub(super) async fn load(conn: &mut Conn) -> Result<Self, StorageError> {
        let [account, db, log, device] = tables::last_ids(conn).await?;
        Ok(Self { account, db, log, device })
    }
}

/// Reads what a fork goes on from, once its author is known to own it: nobody else learns how far it is, or has it replayed.
async fn load_source(
    conn: &mut Conn,
    header: &Header,
    source: &Did,
    base: &[(LogId, u64, Hash)],
) -> Result<Result<Source, AppendRefusal>, StorageError> {
    let not_found = Ok(Err(AppendRefusal::NotFound));
    let Some(control) = tables::dblog::by_key(conn, &LogId::control(source)).await? else { return not_found };
    if header.author != *source {
        let reads =
            |(bits, _): &(u8, u64)| Rights::from_bits((*bits).into()).is_some_and(|it| it.include(Rights::READ));
        if !tables::member::of_any_group(conn, control.db, &header.author).await?.iter().any(reads) {
            return not_found;
        }
        if !tables::member::load(conn, control.db, 0, &header.author).await?.is_some_and(|row| reads(&row)) {
            return Ok(Err(AclRefusal::NotAllowed.into()));
        }
    }
    match tables::db::by_id(conn, control.db).await? {
        Some(db) if db.dropped.is_now() => return Ok(Err(AppendRefusal::Dropped)),
        Some(db) if db.stage == Stage::Moved => return Ok(Err(AclRefusal::Moved.into())),
        Some(db) if db.stage == Stage::Arriving => return Ok(Err(AppendRefusal::Arriving)),
        // Its people are those of another log of names, in which no database of this server is.
        Some(db) if db.home.is_some() => return Ok(Err(AclRefusal::Stays.into())),
        // Nor is anybody told here how long the logs of its users are.
        Some(db) if db.kind == DbKind::Subscription => return Ok(Err(AclRefusal::Stays.into())),
        _ => {}
    }
    let (size, root) = (control.edge.size(), control.edge.root());
    if header.expect != Some((size, root)) {
        return Ok(Err(AppendRefusal::Head { size, root }));
    }
    let mut logs = BTreeMap::new();
    for (key, size, root) in base {
        let row = tables::dblog::by_key(conn, key).await?;
        let Some(row) = row.filter(|row| row.db == control.db && *size <= row.edge.size()) else { return not_found };
        let edge = proof::edge(conn, &row.line, *size).await?;
        if edge.root() != *root {
            return Ok(Err(AppendRefusal::Head { size: *size, root: edge.root() }));
        }
        logs.insert(*key, (row, edge));
    }
    let acl = replay(conn, &control).await?;
    Ok(Ok(Source { acl, control, logs }))
}

/// Replays a control log: the entries were judged as they came, so every one follows.
pub(super) async fn replay(conn: &mut Conn, log: &LogRow) -> Result<Acl, StorageError> {
    let broken = || StorageError::inconsistent("entry", "a control log does not replay");
    let mut acl: Option<Acl> = None;
    for row in tables::entry::range(conn, &log.line, 0, log.edge.size()).await? {
        let header = Header::decode(&row.header).map_err(|_| broken())?;
        let control = Control::decode(&row.body).map_err(|_| broken())?;
        match &mut acl {
            None => acl = Some(Acl::begin(&header.log, &header.author, &control).map_err(|_| broken())?),
            Some(acl) => acl.apply(&header.author, &control).map_err(|_| broken())?,
        }
    }
    acl.ok_or_else(broken)
}

/// What became of one append: where its entries are, or why it was refused and what is kept as proof.
pub(super) struct Outcome {
    pub(super) result: Result<Vec<Placed>, AppendRefusal>,
    pub(super) proof: Option<((RowId, RowId, u64), EquivocationRow)>,
    /// The entry, row of logs and place, that the proof is to have and that is packed: nothing is decided before it is here.
    pub(super) wants: Option<(RowId, u64)>,
}

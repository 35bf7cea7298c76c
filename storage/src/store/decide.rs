//! The decision: what becomes of each append of a batch. Pure.

use std::collections::{BTreeMap, HashMap};

use dgns_api::store::acl::{Acl, AclRefusal, Stage};
use dgns_api::store::content::ContentId;
use dgns_api::store::control::{Control, DbKind};
use dgns_api::store::entry::{Class, Entry, Header, LogId, LogKind};
use identity::cert::KeyBytes;
use identity::did::Did;
use identity::hash::Hash;
use identity::token::Rights;
use translog::tree::{Edge, Node};

use super::FreeQuota;
use super::append::{Append, AppendRefusal, Arrives, Placed};
use super::line::Line;
use super::partitions;
use super::rows::{AccountRow, DbRow, Dropped, EquivocationRow, LogRow, UseRow};
use super::view::{Added, Found, LastIds, LogView, Outcome, Source, View};
use crate::limits::{ENTRY_OVERHEAD_BYTES, HEAD_ROOM_BYTES};
use crate::table::store::RowId;
use crate::table::store::entry::NewEntry;
use crate::table::store::node::NodeRow;

/// A batch as it will be written; the view holds the rest.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) entries: Vec<NewEntry>,
    pub(super) nodes: Vec<NodeRow>,
    /// Which of the entries are snapshots: log and place.
    pub(super) snapshots: Vec<(RowId, u64)>,
    /// What each append comes to, in their order; heads are filled in at the end.
    pub(super) outcomes: Vec<Outcome>,
}

/// Decides one append upon what those before it leave. A refused one changes nothing.
pub(super) fn decide(view: &mut View, plan: &mut Plan, append: &Append, free: FreeQuota) {
    let (before, mut adds) = (Before::of(view, append), Adds::default());
    let result = place_all(view, &mut adds, append, free);
    match result.is_ok() {
        true => {
            plan.entries.append(&mut adds.entries);
            plan.nodes.append(&mut adds.nodes);
            plan.snapshots.append(&mut adds.snapshots);
        }
        false => before.restore(view, &adds),
    }
    plan.outcomes.push(Outcome { result, proof: adds.proof, wants: adds.wants });
}

/// What an append may change, as it was before.
enum Before {
    /// Something is said about the database: anything may change.
    Whole(Box<View>),
    /// Data is appended.
    Data(Box<BeforeData>),
}

/// What an append of data may change.
struct BeforeData {
    last: LastIds,
    log: Option<LogRow>,
    accounts: BTreeMap<RowId, AccountRow>,
    devices: Vec<KeyBytes>,
    cursors: BTreeMap<(RowId, RowId), Option<(u64, Hash)>>,
    uses: BTreeMap<(RowId, ContentId), UseRow>,
}

impl Before {
    fn of(view: &View, append: &Append) -> Self {
        let headers = || append.entries.iter().map(Entry::header);
        if append.partition.is_some() || headers().any(|header| header.class == Class::Control) {
            return Self::Whole(Box::new(view.clone()));
        }
        let log = headers().next().and_then(|header| view.logs.get(&header.log)).map(|log| log.row.clone());
        let db = log.as_ref().and_then(|log| view.dbs.get(&log.db));
        let account = db.and_then(|db| view.accounts.get(&db.account)).cloned();
        let known = headers().filter_map(|header| Some((log.as_ref()?.id, *view.devices.get(&header.device)?)));
        let cursors = known.map(|place| (place, view.cursors.get(&place).copied().flatten())).collect();
        let devices = headers().map(|header| header.device).filter(|key| !view.devices.contains_key(key)).collect();
        let accounts = account.into_iter().map(|account| (account.id, account)).collect();
        let named = headers().flat_map(|header| &header.refs).filter_map(|id| Some((log.as_ref()?.db, *id)));
        let uses = named.filter_map(|key| Some((key, view.uses.get(&key)?.clone()))).collect();
        Self::Data(Box::new(BeforeData { last: view.last, log, accounts, devices, cursors, uses }))
    }

    fn restore(self, view: &mut View, adds: &Adds) {
        match self {
            Self::Whole(before) => *view = *before,
            Self::Data(before) => {
                view.last = before.last;
                view.accounts.extend(before.accounts);
                // The id of a device that is new here may be another's next.
                view.cursors.retain(|(_, device), _| *device <= before.last.device);
                view.cursors.extend(before.cursors);
                view.uses.extend(before.uses);
                view.devices.retain(|key, _| !before.devices.contains(key));
                if let Some(row) = before.log
                    && let Some(log) = view.logs.get_mut(&row.key)
                {
                    log.row = row;
                    for entry in &adds.entries {
                        log.added.remove(&(entry.device, entry.lsn));
                    }
                }
            }
        }
    }
}

/// What one append adds, if it is taken.
#[derive(Default)]
struct Adds {
    entries: Vec<NewEntry>,
    nodes: Vec<NodeRow>,
    snapshots: Vec<(RowId, u64)>,
    proof: Option<((RowId, RowId, u64), EquivocationRow)>,
    wants: Option<(RowId, u64)>,
}

/// The head size of an entry of this batch, until the batch is whole.
const THIS_COMMIT: u64 = u64::MAX;

fn place_all(view: &mut View, adds: &mut Adds, append: &Append, free: FreeQuota) -> Result<Vec<Placed>, AppendRefusal> {
    let Some(key) = append.entries.first().map(|entry| entry.header().log) else { return Ok(Vec::new()) };
    let begins = !view.logs.contains_key(&key);
    match &append.partition {
        Some(partition) => partitions::begin(view, partition, key, append.now_ms)?,
        // Who sends what to whom is answered in one place alone.
        None if view.logs.get(&key).is_some_and(|log| log.row.kind.is_of_user()) => {
            return Err(AppendRefusal::NotFound);
        }
        None if begins => make(view, append, key, free)?,
        None => {}
    }
    let placed: Result<Vec<Placed>, AppendRefusal> =
        append.entries.iter().map(|entry| place(view, adds, append, key, entry)).collect();
    if let (Ok(_), Some(partition)) = (&placed, &append.partition) {
        partitions::is_taken(partition, begins)?;
    }
    if let (Ok(_), Some(arrives)) = (&placed, &append.arrives) {
        arrived(view, key, arrives, append.payer.filter(|_| begins))?;
    }
    // Nobody makes a database of a DID that does not say so itself.
    let db = view.logs.get(&key).map(|log| log.row.db);
    match db.and_then(|db| view.acls.get(&db)).is_none_or(Acl::is_begun) {
        true => placed,
        false => placed.and(Err(AclRefusal::Genesis.into())),
    }
}

/// Refuses a control log that is not the one that was proved, and who begins to bring a database and is no owner of it.
fn arrived(view: &View, key: LogId, arrives: &Arrives, begins: Option<Did>) -> Result<(), AppendRefusal> {
    let Some(log) = view.logs.get(&key).map(|log| &log.row) else { return Err(AppendRefusal::NotFound) };
    let (size, root) = (log.edge.size(), log.edge.root());
    if log.kind == LogKind::Control && arrives.proved != Some((size, root)) {
        return Err(AppendRefusal::Head { size, root });
    }
    let owns = |did: &Did| view.acls.get(&log.db).is_some_and(|acl| acl.owners().is(did));
    if begins.is_none_or(|did| owns(&did)) { Ok(()) } else { Err(AclRefusal::NotAllowed.into()) }
}

/// Makes the database whose genesis the first entry is.
fn make(view: &mut View, append: &Append, key: LogId, free: FreeQuota) -> Result<(), AppendRefusal> {
    let (Some(payer), Some(first)) = (append.payer, append.entries.first()) else {
        return Err(AppendRefusal::NotFound);
    };
    let header = first.header();
    if header.class != Class::Control {
        return Err(AppendRefusal::Class);
    }
    let control = Control::decode(first.body())?;
    let source = match &control {
        Control::Fork { .. } | Control::Genesis { kind: DbKind::Subscription, .. } if append.arrives.is_some() => {
            return Err(AclRefusal::Stays.into());
        }
        Control::Fork { did, .. } if key != LogId::control(did) => return Err(AclRefusal::Genesis.into()),
        // So much of each log as it names, and the root that it has there, were read for this entry and no other.
        Control::Fork { .. } => {
            let source = view.sources.get(&first.leaf()).ok_or(AppendRefusal::NotFound)?;
            Some(source.as_ref().map_err(AppendRefusal::clone)?.clone())
        }
        _ => None,
    };
    let begun = match &source {
        None => Acl::begin(&key, &header.author, &control)?,
        Some(source) => source.acl.clone(),
    };
    let account = match view.accounts.values().find(|account| account.did == payer) {
        Some(account) if account.is_lapsed(append.now_ms) => return Err(AppendRefusal::LeaseLapsed),
        Some(account) => account.id,
        None => {
            view.last.account += 1;
            let id = view.last.account;
            let row = AccountRow::free(id, payer, free, append.now_ms);
            view.accounts.insert(id, row);
            id
        }
    };
    view.last.db += 1;
    let id = view.last.db;
    let did = if let Control::Fork { did, .. } = &control { *did } else { *begun.did() };
    let (kind, stage) = (begun.kind(), begun.owners().stage());
    let (stage, home) = match append.arrives {
        Some(_) => (Stage::Arriving, Some(begun.home().clone())),
        None => (stage, None),
    };
    let (created_ms, dropped) = (append.now_ms, Dropped::No);
    view.dbs.insert(id, DbRow { id, did, account, kind, created_ms, stage, dropped, home });
    let named = (0, LogKind::Control, String::new());
    match source {
        None => add_log(view, key, id, named, append.now_ms),
        Some(Source { acl, control, logs }) => {
            let edge = control.edge.clone();
            add_fork(view, key, id, named, (&control, edge), append.now_ms);
            for (row, edge) in logs.into_values() {
                let named = (row.gid, row.kind, row.label.clone());
                let key = LogId::of(&did, row.gid, row.kind, &row.label);
                add_fork(view, key, id, named, (&row, edge), append.now_ms);
            }
            for (gid, group) in acl.groups() {
                let members = group.members.iter();
                let members = members.map(|(did, (rights, until_s))| ((id, *gid, *did), (rights.bits(), *until_s)));
                view.members.extend(members);
                view.epochs.insert((id, *gid), group.epochs.len() as u64);
            }
            view.acls.insert(id, acl);
        }
    }
    Ok(())
}

pub(super) fn add_log(
    view: &mut View,
    key: LogId,
    db: RowId,
    (gid, kind, label): (u32, LogKind, String),
    time_ms: u64,
) {
    view.last.log += 1;
    let (id, edge) = (view.last.log, Edge::new());
    let row = LogRow { id, line: Line::of(id), key, db, gid, kind, label, edge, time_ms, dropped_to: 0, trimmed_to: 0 };
    view.logs.insert(key, LogView { row, added: HashMap::new() });
}

fn add_fork(
    view: &mut View,
    key: LogId,
    db: RowId,
    named: (u32, LogKind, String),
    (source, edge): (&LogRow, Edge),
    time_ms: u64,
) {
    add_log(view, key, db, named, time_ms);
    if let Some(log) = view.logs.get_mut(&key) {
        log.row.line = source.line.forked(edge.size(), log.row.id);
        // What was trimmed it does not hold: it may be there still, and goes.
        log.row.dropped_to = source.dropped_to.max(source.trimmed_to).min(edge.size());
        log.row.trimmed_to = source.trimmed_to.min(edge.size());
        log.row.edge = edge;
    }
}

/// Places one entry: it is there already, or the next of its device, or refused.
fn place(
    view: &mut View,
    adds: &mut Adds,
    append: &Append,
    key: LogId,
    entry: &Entry,
) -> Result<Placed, AppendRefusal> {
    let header = entry.header();
    let log = view.logs.get(&key).ok_or(AppendRefusal::NotFound)?;
    let (log_id, db) = (log.row.id, log.row.db);
    // What is on its way here is acknowledged to nobody: it may come to nothing.
    if append.arrives.is_none() && view.dbs.get(&db).is_some_and(|row| row.stage == Stage::Arriving) {
        return Err(AppendRefusal::Arriving);
    }
    let device = match view.devices.get(&header.device) {
        Some(device) => *device,
        None => {
            view.last.device += 1;
            view.devices.insert(header.device, view.last.device);
            view.last.device
        }
    };
    let last = view.cursors.get(&(log_id, device)).copied().flatten();
    if last.is_some_and(|(lsn, _)| header.lsn <= lsn) {
        return again(view, adds, key, device, entry);
    }
    let (expected, prev) = (last.map_or(0, |(lsn, _)| lsn + 1), last.map(|(_, leaf)| leaf));
    if header.lsn != expected || header.prev != prev {
        return Err(AppendRefusal::Gap { expected, prev });
    }
    let room = allow(view, db, key, entry, append)?;
    name(view, db, &header.refs, append.now_ms)?;
    let bytes = (entry.header_bytes().len() + entry.body().len()) as u64 + ENTRY_OVERHEAD_BYTES;
    charge(view, db, room, bytes, append.now_ms)?;
    let placed = add(view, adds, append.now_ms, (key, device), entry)?;
    view.cursors.insert((log_id, device), Some((header.lsn, entry.leaf())));
    Ok(placed)
}

/// Answers for an entry whose lsn was used: as the first time, or with the proof that its device signed two.
fn again(view: &View, adds: &mut Adds, key: LogId, device: RowId, entry: &Entry) -> Result<Placed, AppendRefusal> {
    let log = view.logs.get(&key).ok_or(AppendRefusal::NotFound)?;
    let lsn = entry.header().lsn;
    let (leaf, placed, first) = match view.found(log, device, lsn) {
        Some(Found::Kept(row)) => {
            let placed = Placed { pos: row.pos, head_size: row.head_size, time_ms: row.time_ms };
            (row.leaf, placed, row.signed.as_ref().or_else(|| view.firsts.get(&(log.row.id, row.pos))).cloned())
        }
        Some(Found::Added(added)) => {
            let placed = Placed { pos: added.pos, head_size: THIS_COMMIT, time_ms: log.row.time_ms };
            (added.leaf, placed, Some((added.header.clone(), added.sig)))
        }
        None => {
            let (expected, prev) = view.cursors.get(&(log.row.id, device)).copied().flatten().unzip();
            return Err(AppendRefusal::Gap { expected: expected.map_or(0, |lsn: u64| lsn + 1), prev });
        }
    };
    if leaf == entry.leaf() {
        return Ok(placed);
    }
    let other = (entry.header_bytes().to_vec(), *entry.signature());
    match first {
        Some(first) => adds.proof = Some(((log.row.id, device, lsn), EquivocationRow { a: first, b: other })),
        None => adds.wants = Some((log.row.id, placed.pos)),
    }
    Err(AppendRefusal::Conflict { lsn })
}

/// How much of an account's head-room an entry may use.
#[derive(Clone, Copy, Debug)]
enum HeadRoom {
    /// None: it is data.
    Nothing,
    /// All but the last [`LAST_ROOM`].
    Most,
    /// As much, and after the lease too: it takes somebody out, or turns the key with that.
    MostAndLapsed,
    /// All: it leaves or ends a database.
    All,
}

/// Refuses who may not write; a control entry is applied.
fn allow(view: &mut View, db: RowId, key: LogId, entry: &Entry, append: &Append) -> Result<HeadRoom, AppendRefusal> {
    let (header, now_ms) = (entry.header(), append.now_ms);
    let log = view.logs.get(&key).ok_or(AppendRefusal::NotFound)?;
    if let Some((size, root)) = header.expect
        && (log.row.edge.size(), log.row.edge.root()) != (size, root)
    {
        return Err(AppendRefusal::Head { size: log.row.edge.size(), root: log.row.edge.root() });
    }
    let (gid, kind, size) = (log.row.gid, log.row.kind, log.row.edge.size());
    is_of(view, db, append)?;
    match (kind, header.class) {
        (LogKind::Control, Class::Control) => apply(view, db, (key, size), header, entry.body(), append),
        (LogKind::Shared, Class::Data | Class::Snapshot) if append.arrives.is_some() => Ok(HeadRoom::Nothing),
        (LogKind::Shared, Class::Data | Class::Snapshot) => {
            is_open(view, db)?;
            let owner = view.dbs.get(&db).is_some_and(|db| db.writes_itself(&header.author));
            let (rights, until_s) = view.members.get(&(db, gid, header.author)).copied().unwrap_or_default();
            let writes = Rights::from_bits(rights.into()).is_some_and(|rights| rights.include(Rights::WRITE));
            let member = writes && now_ms / 1_000 < until_s;
            if !owner && !member {
                return Err(AppendRefusal::NotWriter);
            }
            let newest = view.epochs.get(&(db, gid)).copied().unwrap_or(0);
            if header.epoch == newest { Ok(HeadRoom::Nothing) } else { Err(AppendRefusal::Epoch { newest }) }
        }
        (LogKind::Proofs | LogKind::Invitations, Class::Plain) => {
            is_open(view, db)?;
            let partition = append.partition.ok_or(AppendRefusal::NotFound)?;
            partitions::admit(view, db, &partition, (entry, size), now_ms).map(|()| HeadRoom::Nothing)
        }
        _ => Err(AppendRefusal::Class),
    }
}

/// Refuses data of a database that takes none any more.
fn is_open(view: &View, db: RowId) -> Result<(), AppendRefusal> {
    let db = view.dbs.get(&db).ok_or(AppendRefusal::NotFound)?;
    if db.dropped.is_now() {
        return Err(AppendRefusal::Dropped);
    }
    match db.stage {
        Stage::Deleting => Err(AclRefusal::Deleting.into()),
        Stage::Deleted => Err(AclRefusal::Deleted.into()),
        Stage::Moved => Err(AclRefusal::Moved.into()),
        Stage::Live | Stage::Arriving => Ok(()),
    }
}

/// Refuses people of another log of names than the one whose database it is, and whoever brings what another one does.
fn is_of(view: &View, db: RowId, append: &Append) -> Result<(), AppendRefusal> {
    let db = view.dbs.get(&db).ok_or(AppendRefusal::NotFound)?;
    if db.home != append.home {
        return Err(AppendRefusal::NotWriter);
    }
    match (db.stage, &append.arrives) {
        (Stage::Arriving, Some(_)) if db.dropped != Dropped::No => Err(AppendRefusal::Dropped),
        (Stage::Arriving, Some(_)) => match view.accounts.get(&db.account).map(|account| account.did) {
            payer if payer == append.payer => Ok(()),
            _ => Err(AppendRefusal::NotWriter),
        },
        (_, None) => Ok(()),
        (_, Some(_)) => Err(AppendRefusal::Arrived),
    }
}

/// Applies a control entry to the database, and to what is kept of it.
fn apply(
    view: &mut View,
    db: RowId,
    (key, size): (LogId, u64),
    header: &Header,
    body: &[u8],
    Append { now_ms, arrives, .. }: &Append,
) -> Result<HeadRoom, AppendRefusal> {
    let now_ms = *now_ms;
    let control = Control::decode(body)?;
    if size == 0 {
        view.acls.insert(db, Acl::begin(&key, &header.author, &control)?);
        return Ok(HeadRoom::Most);
    }
    if view.dbs.get(&db).is_some_and(|db| db.stage == Stage::Moved) {
        return Err(AclRefusal::Moved.into());
    }
    let size_of = |log: &LogId| view.logs.get(log).map_or(0, |log| log.row.edge.size());
    let unfit = match &control {
        // What was trimmed nobody can bring.
        Control::Trim { .. } if arrives.is_some() => Some(AclRefusal::Stays),
        // How long the logs were then nobody knows who sees them arrive.
        _ if arrives.is_some() => None,
        Control::Revoke { cuts, .. } => cuts.iter().any(|(log, size)| *size > size_of(log)).then_some(AclRefusal::Cuts),
        Control::Tombstone { ends } => ends.iter().any(|(log, size)| *size != size_of(log)).then_some(AclRefusal::Cuts),
        Control::Trim { log, snapshot, .. } => {
            (!view.snapshots.contains(&(*log, *snapshot))).then_some(AclRefusal::TrimUnsafe)
        }
        _ => None,
    };
    let whole = match &control {
        Control::Moved { heads, .. } => are_whole(view, heads),
        _ => Ok(()),
    };
    let acl = view.acls.get_mut(&db).ok_or(AppendRefusal::NotFound)?;
    let room = match &control {
        Control::Leave | Control::Delete { .. } | Control::Tombstone { .. } | Control::Moved { .. } => HeadRoom::All,
        Control::Revoke { .. } => HeadRoom::MostAndLapsed,
        Control::KeyEpoch { gid, .. } if acl.groups().get(gid).is_some_and(|group| group.rekey_due) => {
            HeadRoom::MostAndLapsed
        }
        _ => HeadRoom::Most,
    };
    let (did, gid, before) = (*acl.did(), control.gid(), acl.owners().all().clone());
    let place = acl.place().cloned();
    if acl.control_of(&control) != key {
        return Err(AclRefusal::Genesis.into());
    }
    let is_judged = arrives.is_none() && !acl.owners().is(&header.author);
    if is_judged && gid.is_some() && !may_still(acl, &header.author, gid, now_ms / 1_000) {
        return Err(AppendRefusal::NotWriter);
    }
    acl.apply(&header.author, &control)?;
    if let Some(refusal) = unfit {
        return Err(refusal.into());
    }
    // An owner alone moves nothing as long as half of them are not for it.
    let gone_to = acl.place().filter(|now| place.as_ref() != Some(now)).map(|now| now.server);
    let stage = match (gone_to, arrives) {
        (None, None) => acl.owners().stage(),
        (Some(_), None) => Stage::Moved,
        (Some(server), Some(arrives)) if server == arrives.here => Stage::Live,
        // Where it was before it came to be where it comes from.
        (_, Some(_)) => Stage::Arriving,
    };
    if matches!(stage, Stage::Moved | Stage::Live) && gone_to.is_some() {
        whole?;
    }
    if let Some(row) = view.dbs.get_mut(&db) {
        row.stage = stage;
    }
    // A voice may be given to one server after another: the last of the room is not for that.
    let room = match &control {
        Control::Moved { .. } if gone_to.is_none() => HeadRoom::MostAndLapsed,
        _ => room,
    };
    match control {
        Control::Grant { gid, did, rights, until_s } => {
            let epoch = acl.groups().get(&gid).map_or(0, |group| group.epochs.len() as u64);
            view.members.insert((db, gid, did), (rights.bits(), until_s));
            view.epochs.insert((db, gid), epoch);
        }
        Control::Revoke { gid, did, .. } => {
            view.members.insert((db, gid, did), (0, 0));
        }
        Control::KeyEpoch { gid, epoch, .. } => {
            view.epochs.insert((db, gid), epoch);
        }
        Control::Trim { log, to, .. } => {
            if let Some(log) = view.logs.get_mut(&log) {
                log.row.trimmed_to = to;
            }
        }
        Control::Log { gid, kind, label } => {
            add_log(view, LogId::of(&did, gid, kind, &label), db, (gid, kind, label), now_ms);
        }
        Control::Owner { .. } | Control::Leave => {
            let now = acl.owners().all();
            let come = now.difference(&before).map(|did| ((db, 0, *did), (Rights::READ.bits(), FOR_EVER_S)));
            view.members.extend(come.chain(before.difference(now).map(|did| ((db, 0, *did), (0, 0)))));
        }
        Control::Genesis { .. }
        | Control::Delete { .. }
        | Control::Tombstone { .. }
        | Control::Fork { .. }
        | Control::Moved { .. } => {}
    }
    Ok(room)
}

/// Refuses heads that are not those of the logs: nothing that was acknowledged is left behind.
fn are_whole(view: &View, heads: &[(LogId, u64, Hash)]) -> Result<(), AppendRefusal> {
    for (log, size, root) in heads {
        let edge = &view.logs.get(log).ok_or(AppendRefusal::NotFound)?.row.edge;
        if (edge.size(), edge.root()) != (*size, *root) {
            return Err(AppendRefusal::Head { size: edge.size(), root: edge.root() });
        }
    }
    Ok(())
}

/// Counts the chunks that an entry names; refuses it unless all of them are there for its database.
fn name(view: &mut View, db: RowId, refs: &[ContentId], now_ms: u64) -> Result<(), AppendRefusal> {
    let missing = refs.iter().filter(|id| !view.uses.contains_key(&(db, **id)));
    let ids: Vec<ContentId> = missing.copied().collect();
    if !ids.is_empty() {
        return Err(AppendRefusal::ChunkMissing { ids });
    }
    for id in refs {
        if let Some(row) = view.uses.get_mut(&(db, *id)) {
            row.refs += 1;
            row.touch(now_ms);
        }
    }
    Ok(())
}

/// Which part of the head-room is the last.
const LAST_ROOM: u64 = 4;

/// Until when an owner may read, who is kept as a member of group 0.
const FOR_EVER_S: u64 = i64::MAX as u64;

/// Returns whether somebody is a member of a group whose time is not over.
fn may_still(acl: &Acl, author: &Did, gid: Option<u32>, now_s: u64) -> bool {
    let group = gid.and_then(|gid| acl.groups().get(&gid));
    group.and_then(|group| group.members.get(author)).is_some_and(|(_, until_s)| now_s < *until_s)
}

/// Charges the account of a database. What is said about the database itself has head-room, and the last of it is for leaving and ending
/// it: owners are never locked out, nor does one lock out another.
/// Once its lease is over, nothing is taken but what takes somebody out or ends it, and no more than the head-room of that.
fn charge(view: &mut View, db: RowId, room: HeadRoom, bytes: u64, now_ms: u64) -> Result<(), AppendRefusal> {
    let account = view.dbs.get(&db).map(|db| db.account).ok_or(AppendRefusal::NotFound)?;
    let account = view.accounts.get_mut(&account).ok_or(AppendRefusal::NotFound)?;
    let (all, is_lapsed) = (HEAD_ROOM_BYTES.max(account.quota_bytes / 100), account.is_lapsed(now_ms));
    let room = match room {
        HeadRoom::Nothing | HeadRoom::Most if is_lapsed => return Err(AppendRefusal::LeaseLapsed),
        HeadRoom::Nothing => 0,
        HeadRoom::Most | HeadRoom::MostAndLapsed => all - all / LAST_ROOM,
        HeadRoom::All => all,
    };
    let (used, entries) = (account.used_bytes.saturating_add(bytes), account.used_entries.saturating_add(1));
    if used > account.quota_bytes.saturating_add(room) || entries > account.quota_entries.saturating_add(room / 1_024) {
        return Err(AppendRefusal::Quota);
    }
    if is_lapsed {
        let said = account.lapsed_bytes.saturating_add(bytes);
        if said > room {
            return Err(AppendRefusal::Quota);
        }
        account.lapsed_bytes = said;
    }
    (account.used_bytes, account.used_entries) = (used, entries);
    Ok(())
}

fn add(
    view: &mut View,
    adds: &mut Adds,
    now_ms: u64,
    (key, device): (LogId, RowId),
    entry: &Entry,
) -> Result<Placed, AppendRefusal> {
    let log = view.logs.get_mut(&key).ok_or(AppendRefusal::NotFound)?;
    let (header, leaf, pos, id) = (entry.header(), entry.leaf(), log.row.edge.size(), log.row.id);
    let nodes = &mut adds.nodes;
    log.row.edge.append_noting(leaf, |Node { level, index }, hash| {
        if level % 8 == 0 {
            nodes.push(NodeRow { log: id, level, index, hash: *hash });
        }
    });
    if header.class == Class::Snapshot {
        adds.snapshots.push((id, pos));
    }
    // A commit is never before the one before it, whatever the clock does.
    log.row.time_ms = log.row.time_ms.max(now_ms);
    let (header_bytes, sig) = (entry.header_bytes().to_vec(), *entry.signature());
    log.added.insert((device, header.lsn), Added { pos, leaf, header: header_bytes.clone(), sig });
    adds.entries.push(NewEntry {
        log: id,
        pos,
        device,
        lsn: header.lsn,
        leaf,
        head_size: THIS_COMMIT,
        time_ms: 0,
        header: header_bytes,
        sig,
        body: entry.body().to_vec(),
    });
    Ok(Placed { pos, head_size: THIS_COMMIT, time_ms: log.row.time_ms })
}

/// Fills in the heads that this commit makes.
pub(super) fn settle(view: &View, plan: &mut Plan, appends: &[&Append]) {
    let heads: HashMap<RowId, (u64, u64)> =
        view.logs.values().map(|log| (log.row.id, (log.row.edge.size(), log.row.time_ms))).collect();
    for entry in &mut plan.entries {
        if let Some((size, time_ms)) = heads.get(&entry.log) {
            (entry.head_size, entry.time_ms) = (*size, *time_ms);
        }
    }
    for (outcome, append) in plan.outcomes.iter_mut().zip(appends) {
        let key = append.entries.first().map(|entry| entry.header().log);
        let Some(log) = key.and_then(|key| view.logs.get(&key)) else { continue };
        let placed = outcome.result.iter_mut().flatten().filter(|placed| placed.head_size == THIS_COMMIT);
        for placed in placed {
            (placed.head_size, placed.time_ms) = (log.row.edge.size(), log.row.time_ms);
        }
    }
}

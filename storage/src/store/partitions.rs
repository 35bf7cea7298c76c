//! Partitions of subscription databases: what one user proves there, and what others send that user (PROTOCOL 25.20).
//!
//! Nobody but its user is shown anything of a partition; who sends something learns that it was taken.

use std::collections::btree_map::Entry as Place;

use dgns_api::store::acl::AclRefusal;
use dgns_api::store::control::DbKind;
use dgns_api::store::entry::{Entry, LogId, LogKind};
use dgns_api::store::limits::{INVITATIONS_MAX, INVITATIONS_WITHIN_MS, PROOFS_MAX};
use dgns_api::store::partition::{self, Proof, SealedInvitation};

use super::append::{Append, AppendRefusal, Partition};
use super::decide::add_log;
use super::view::View;
use crate::database::Conn;
use crate::fault::StorageError;
use crate::table::store::{self as tables, RowId};

/// Reads what entries of a partition need: the database, and when their author sent others.
pub(super) async fn load(
    view: &mut View,
    conn: &mut Conn,
    asked: &Partition,
    append: &Append,
) -> Result<(), StorageError> {
    let Some(control) = tables::dblog::by_key(conn, &LogId::control(&asked.db)).await? else { return Ok(()) };
    view.load_database(conn, &control).await?;
    for entry in &append.entries {
        let header = entry.header();
        let of_sender = (control.db, header.author);
        if let Place::Vacant(place) = view.inviters.entry(of_sender) {
            place.insert(tables::inviter::sent(conn, control.db, &header.author).await?);
        }
        if !view.devices.contains_key(&header.device)
            && let Some(id) = tables::device::id(conn, &header.device).await?
        {
            view.devices.insert(header.device, id);
        }
    }
    Ok(())
}

/// Begins a log of a partition, if it is not there. An invitation to who has no partition is judged as any, and refused last ([`is_taken`]): nobody learns for
/// less than an invitation who has one.
pub(super) fn begin(view: &mut View, asked: &Partition, key: LogId, now_ms: u64) -> Result<(), AppendRefusal> {
    let db = view.dbs.values().find(|db| db.did == asked.db && db.kind == DbKind::Subscription);
    let db = db.map(|db| db.id).ok_or(AppendRefusal::NotFound)?;
    if key != asked.log() || !asked.kind.is_of_user() {
        return Err(AppendRefusal::NotFound);
    }
    if !view.logs.contains_key(&key) {
        add_log(view, key, db, (0, asked.kind, partition::label(&asked.user)), now_ms);
    }
    Ok(())
}

/// Refuses an invitation to who takes none: the log of what they are sent began with this entry.
pub(super) fn is_taken(asked: &Partition, begins: bool) -> Result<(), AppendRefusal> {
    if begins && asked.kind == LogKind::Invitations { Err(AppendRefusal::NotFound) } else { Ok(()) }
}

/// Takes the next entry of a partition, or refuses it.
pub(super) fn admit(
    view: &mut View,
    db: RowId,
    asked: &Partition,
    (entry, size): (&Entry, u64),
    now_ms: u64,
) -> Result<(), AppendRefusal> {
    let header = entry.header();
    match asked.kind {
        LogKind::Proofs if header.author != asked.user => Err(AppendRefusal::NotWriter),
        LogKind::Proofs if size >= PROOFS_MAX => Err(AclRefusal::Full.into()),
        LogKind::Proofs => match (Proof::decode(entry.body())?, size) {
            (Proof::Open { salt }, 0) => {
                // From here on there is a log that nobody can say is not there, however empty it is.
                let invitations = Partition { kind: LogKind::Invitations, ..*asked };
                let named = (0, invitations.kind, partition::label(&asked.user));
                add_log(view, invitations.log(), db, named, now_ms);
                view.partitions.insert((db, asked.user), salt);
                Ok(())
            }
            (Proof::Member(proof), 1..) if asked.holds && proof.to(&asked.user).is_some() => Ok(()),
            (Proof::Left { .. }, 1..) => Ok(()),
            _ => Err(AppendRefusal::Proof),
        },
        LogKind::Invitations => {
            SealedInvitation::decode(entry.body())?;
            send(view.inviters.entry((db, header.author)).or_default(), now_ms)
        }
        LogKind::Control | LogKind::Shared => Err(AppendRefusal::NotFound),
    }
}

/// Notes that somebody sends an invitation, unless they sent as many within an hour as they may.
fn send(sent: &mut Vec<u64>, now_ms: u64) -> Result<(), AppendRefusal> {
    if sent.len() >= INVITATIONS_MAX {
        let next_ms = sent[sent.len() - INVITATIONS_MAX].saturating_add(INVITATIONS_WITHIN_MS);
        if now_ms < next_ms {
            return Err(AppendRefusal::Rate { retry_ms: next_ms - now_ms });
        }
    }
    sent.push(now_ms);
    let over = sent.len().saturating_sub(INVITATIONS_MAX);
    sent.drain(..over);
    Ok(())
}

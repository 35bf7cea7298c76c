//! Snapshots: the records of a log up to a place in a few large chunks, so that whoever comes late does not read every entry
//! (PROTOCOL 25.16).
//!
//! [`sealed`] is what the server sees of one; [`build`] makes them, [`restore`] reads them, and [`audit`] holds one against the log. What stands
//! in a log, and that the snapshot is of this log up to a place of it, is proved; that its records are those of the entries is the word of
//! who built it, unless it is audited.

pub mod audit;
pub mod build;
pub mod restore;
pub mod sealed;

use dgns_api::store::acl::Acl;
use dgns_api::store::entry::{Entry, LogId};
use dgns_api::store::record::Record;

use super::database::OpenDb;
use super::seal::{self, BodyPlace};
use crate::error::ClientError;

/// Returns the log that the entry at a place was appended to: of a fork's, the first ones are those of other logs.
fn log_at(acl: &Acl, log: &LogId, pos: u64) -> LogId {
    acl.parts(log).iter().find(|part| pos < part.size).map_or(*log, |part| part.log)
}

/// Returns the records of an entry of data; `None` if they do not open, which is its author's doing.
///
/// Errors: [`ClientError::Unable`] if the key of its epoch is not this person's.
pub fn records_of(db: &OpenDb, gid: u32, pos: u64, entry: &Entry) -> Result<Option<Vec<Record>>, ClientError> {
    let header = entry.header();
    let sealed = || ClientError::Unable(format!("entry {pos} is sealed under a key that you do not have"));
    let key = db.key(gid, header.epoch).ok_or_else(sealed)?;
    let place = BodyPlace { log: header.log, device: header.device, lsn: header.lsn, epoch: header.epoch };
    Ok(seal::open_records(key, &place, &header.refs, entry.body()).ok())
}

//! Feeds the zone: from each committed batch while the server runs, from SQL at a start.

use identity::cert::{Body, Records};
use identity::hash::Hash;
use identity::state::{NameState, NameStatus, State};
use storage::rows::NameRow;
use storage::{Storage, StorageError};
use tracing::error;
use translog::batch::Batch;

use super::{Change, Content, Nameserver, Settings, Zone, ZoneError};
use crate::config::Config;
use crate::log::damaged;

/// The certificate type whose body a name's row keeps.
const RECORDS: u8 = 11;

/// Names applied at once while a zone is loaded.
const NAMES_AT_ONCE: usize = 4_096;

/// Returns an empty zone with the operator's settings.
pub fn zone(config: &Config) -> Result<Zone, ZoneError> {
    let settings = Settings {
        nameservers: config.name_servers().into_iter().map(|host| Nameserver { host, addresses: Vec::new() }).collect(),
        proof_nameservers: config.dns.proof_ns.clone(),
        mailbox: format!("hostmaster.{}", config.zone.as_str()),
        negative_ttl_s: config.dns.negative_ttl_s,
        publish_did: config.dns.publish_did,
    };
    Zone::new(config.zone.as_str(), &settings)
}

/// Shows every name that SQL has, as of a log of `size` leaves, and lets the zone answer.
pub async fn load(zone: &Zone, storage: &Storage, size: u64) -> Result<(), StorageError> {
    let log = storage.log();
    let mut names = log.all_names();
    let mut changes = Vec::with_capacity(NAMES_AT_ONCE);
    while let Some(row) = names.next().await? {
        changes.push(change(&row)?);
        if changes.len() == NAMES_AT_ONCE {
            show(zone, std::mem::take(&mut changes), size);
        }
    }
    show(zone, changes, size);
    zone.set_ready();
    Ok(())
}

/// Returns the rows of the names a batch changes, with the records each answers afterwards.
///
/// A name that changed for another reason than its records keeps those SQL has.
pub async fn rows(storage: &Storage, batch: &Batch) -> Result<Vec<(Hash, NameRow)>, StorageError> {
    let mut rows = Vec::new();
    for change in batch.changes.values() {
        let State::Name(name) = &change.leaf.state else { continue };
        let label = change.label;
        let records = match (&name.records, batch.records.get(&name.name)) {
            (None, _) => Vec::new(),
            (Some(_), Some(records)) => Body::Records(records.clone()).encode(),
            (Some(_), None) => storage.log().name(&label).await?.map(|row| row.records).unwrap_or_default(),
        };
        rows.push((label, row(name, records)));
    }
    Ok(rows)
}

/// Shows rows that were just committed.
pub fn apply(zone: &Zone, rows: &[(Hash, NameRow)], size: u64) {
    let changes = rows.iter().filter_map(|(_, row)| change(row).ok()).collect();
    show(zone, changes, size);
}

fn show(zone: &Zone, changes: Vec<Change>, size: u64) {
    if let Err(error) = zone.apply(changes, size) {
        error!(%error, size, "names not shown in DNS");
    }
}

fn row(name: &NameState, records: Vec<u8>) -> NameRow {
    NameRow { name: name.name.clone(), did: name.did, status: name.status as u8, index: name.claim_index, records }
}

fn change(row: &NameRow) -> Result<Change, StorageError> {
    let records = match row.records.is_empty() {
        true => Records { name: row.name.clone(), rows: Vec::new(), aliases: Vec::new(), flags: 0 },
        false => match Body::decode(RECORDS, &row.records) {
            Ok(Body::Records(records)) => records,
            _ => return Err(damaged("names", "records do not decode")),
        },
    };
    let live = row.status == NameStatus::Live as u8;
    let content = row.did.filter(|_| live).map(|did| Content {
        did,
        log_index: row.index,
        flags: records.flags,
        rows: records.rows,
    });
    Ok(Change { name: row.name.clone(), content })
}

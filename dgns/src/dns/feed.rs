//! Feeds the zone: from each committed batch while the server runs, from SQL at a start.

use identity::cert::{Body, Delegate, Records, Row};
use identity::hash::Hash;
use identity::record::rtype;
use identity::state::{NameState, NameStatus, State};
use storage::rows::NameRow;
use storage::{Storage, StorageError};
use tracing::error;
use translog::batch::Batch;

use super::dnssec::{TYPE_DS, TYPE_NS};
use super::limits::DELEGATION_TTL_S;
use super::name;
use super::own::{self, Own, OwnError};
use super::{Change, Content, Nameserver, Settings, Zone, ZoneError};
use crate::config::{Config, TlsConfig};
use crate::log::damaged;

/// The certificate types whose bodies a name's row keeps. No body of one is a body of the other: rows are arrays, servers are texts, and a
/// delegation that is kept has servers.
const RECORDS: u8 = 11;
const DELEGATE: u8 = 13;

/// Names applied at once while a zone is loaded.
const NAMES_AT_ONCE: usize = 4_096;

/// Returns a zone with the operator's settings and records, and no names yet.
pub fn zone(config: &Config) -> Result<Zone, FeedError> {
    let own = match (&config.dns.apex_file, &config.dns.tls) {
        (None, _) => Own::default(),
        (Some(path), Some(TlsConfig::Acme(acme))) => own::read(path, &config.zone, &acme.names)?,
        (Some(path), _) => own::read(path, &config.zone, &[])?,
    };
    let settings = Settings {
        nameservers: config.name_servers().into_iter().map(|host| Nameserver { host, addresses: Vec::new() }).collect(),
        proof_nameservers: config.dns.proof_ns.clone(),
        mailbox: format!("hostmaster.{}", config.zone.as_str()),
        negative_ttl_s: config.dns.negative_ttl_s,
        publish_did: config.dns.publish_did,
    };
    Ok(Zone::new(config.zone.as_str(), &settings)?.with_own(own)?)
}

/// Why there is no zone to be fed. Fault: the operator.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// A setting.
    #[error("dns: {0}")]
    Zone(#[from] ZoneError),
    /// A record.
    #[error(transparent)]
    Own(#[from] OwnError),
}

/// Shows every name that SQL has, as of a log of `size` leaves.
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
    Ok(())
}

/// Shows every name that has changed since the log had `since` leaves, as of one of `size`.
pub async fn load_since(zone: &Zone, storage: &Storage, since: u64, size: u64) -> Result<(), StorageError> {
    let mut after = since;
    while let Some((rows, end)) = storage.log().changed_names(after, size).await? {
        show(zone, rows.iter().map(change).collect::<Result<_, _>>()?, end);
        after = end;
    }
    show(zone, Vec::new(), size);
    Ok(())
}

/// Returns the rows of the names a batch changes, with the records or the delegation each answers afterwards.
///
/// A name that changed for another reason than these keeps those SQL has.
pub async fn rows(storage: &Storage, batch: &Batch) -> Result<Vec<(Hash, NameRow)>, StorageError> {
    let mut rows = Vec::new();
    for change in batch.changes.values() {
        let State::Name(name) = &change.leaf.state else { continue };
        let label = change.label;
        let records = match (name.answers(), batch.answers.get(&name.name)) {
            (None, _) => Vec::new(),
            (Some(_), Some(body)) => body.encode(),
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
    let (rows, flags, is_cut) = match row.records.is_empty() {
        true => (Vec::new(), 0, false),
        false => match Body::decode(RECORDS, &row.records).or_else(|_| Body::decode(DELEGATE, &row.records)) {
            Ok(Body::Records(records)) => (records.rows, records.flags, false),
            Ok(Body::Delegate(delegate)) => (cut_rows(&delegate), Records::NO_DID, true),
            _ => return Err(damaged("names", "records do not decode")),
        },
    };
    let live = row.status == NameStatus::Live as u8;
    let content =
        row.did.filter(|_| live).map(|did| Content { did: Some(did), log_index: row.index, flags, rows, is_cut });
    Ok(Change { name: row.name.clone(), content })
}

/// Returns the rows of a delegated name: NS and DS at the name, addresses at the servers'.
fn cut_rows(delegate: &Delegate) -> Vec<Row> {
    let row = |owner: &str, rtype, rdata| Row { owner: owner.to_owned(), rtype, rdata, ttl: DELEGATION_TTL_S };
    let below = |host: &str| host.strip_suffix(&delegate.name).map(|front| front.trim_end_matches('.').to_owned());
    let servers = delegate.servers.iter().filter_map(|host| name::labels_of(host));
    let servers = servers.map(|labels| row("", TYPE_NS, [labels.as_slice(), &[0]].concat()));
    let ds = delegate.ds.iter().map(|ds| row("", TYPE_DS, ds.clone()));
    let glue = delegate.glue.iter().filter_map(|glue| {
        let rtype = if glue.address.len() == 4 { rtype::A } else { rtype::AAAA };
        Some(row(&below(&glue.host)?, rtype, glue.address.clone()))
    });
    servers.chain(ds).chain(glue).collect()
}

//! What a delegation may say (PROTOCOL 4.7).

use super::rdata::{check_addresses, has_private_address};
use super::{BadRecord, Reason, rtype};
use crate::cert::{Delegate, Glue, Row};
use crate::name::{self, Zone};

/// The digest types of a DS record that are admitted, with their lengths: SHA-256 and SHA-384 (RFC 8624 section 3.3).
const DIGESTS: [(u8, usize); 2] = [(2, 32), (4, 48)];

/// Judges a delegation; its lists are within their bounds and in order already. `row` of a refusal counts in the list at fault.
///
/// Reasons: `owner` of a server that is no host name, of an address of another host, and of a name too long to be a zone with a log of its
/// own; `rdata` of a digest, or of an address by its length; `address` where a server within the name has none, or one that nobody can have.
pub fn check_delegate(delegate: &Delegate) -> Result<(), BadRecord> {
    let name = delegate.name.as_str();
    let bad = |reason, row| Err(BadRecord { reason, row });
    if let Some(row) = delegate.servers.iter().position(|host| !is_host(host)) {
        return bad(Reason::Owner, Some(row));
    }
    if let Some(row) = delegate.ds.iter().position(|ds| !is_ds(ds)) {
        return bad(Reason::Rdata, Some(row));
    }
    for (row, glue) in delegate.glue.iter().enumerate() {
        if !delegate.servers.contains(&glue.host) || !is_within(&glue.host, name) {
            return bad(Reason::Owner, Some(row));
        }
        let address = address_row(glue);
        check_addresses(address.rtype, &address.rdata).map_err(|reason| BadRecord { reason, row: Some(row) })?;
    }
    let is_found = |host: &String| !is_within(host, name) || delegate.glue.iter().any(|glue| glue.host == *host);
    if let Some(row) = delegate.servers.iter().position(|host| !is_found(host)) {
        return bad(Reason::Address, Some(row));
    }
    if delegate.log.is_some() && Zone::parse(name).is_err() {
        return bad(Reason::Owner, None);
    }
    Ok(())
}

/// As [`super::check_public`], of the addresses of a delegation.
pub fn check_public_delegate(delegate: &Delegate) -> Result<(), BadRecord> {
    match delegate.glue.iter().position(|glue| has_private_address(&address_row(glue))) {
        Some(row) => Err(BadRecord { reason: Reason::Private, row: Some(row) }),
        None => Ok(()),
    }
}

/// Returns an address of a delegation as a record of its host, whose owner is left empty: A of at most 4 bytes, else AAAA.
fn address_row(glue: &Glue) -> Row {
    let rtype = if glue.address.len() <= 4 { rtype::A } else { rtype::AAAA };
    Row { owner: String::new(), rtype, rdata: glue.address.clone(), ttl: 0 }
}

fn is_host(host: &str) -> bool {
    host.len() <= name::HOST_BYTES_MAX && host.contains('.') && host.split('.').all(name::is_label)
}

/// Whether a host is the name or below it.
fn is_within(host: &str, name: &str) -> bool {
    host == name || host.strip_suffix(name).is_some_and(|front| front.ends_with('.'))
}

/// `u16 key tag, u8 algorithm, u8 digest type, digest`.
fn is_ds(ds: &[u8]) -> bool {
    let [_, _, algorithm, digest_type, digest @ ..] = ds else { return false };
    *algorithm != 0 && DIGESTS.contains(&(*digest_type, digest.len()))
}

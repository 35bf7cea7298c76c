//! Which DNS records an owner may certify (PROTOCOL 4.5).
//!
//! Nothing is admitted that nobody can judge, that another certificate makes (NS, DS), or that would fight with what the
//! server generates. [`check`] is part of the rules and replayed by auditors; [`check_public`] is a server's own policy.

mod delegation;
mod rdata;

use crate::cert::{Records, Row};
use crate::limits::{ALIASES_MAX, OWNERS_MAX, RDATA_BYTES_MAX, ROWS_MAX, TTL_MAX_S, TTL_MIN_S, TXT_BYTES_MAX};
use crate::name;

pub use delegation::{check_delegate, check_public_delegate};

/// The DNS types that a record may have, by their numbers.
pub mod rtype {
    /// An IPv4 address.
    pub const A: u16 = 1;
    /// Another name for this one.
    pub const CNAME: u16 = 5;
    /// Text.
    pub const TXT: u16 = 16;
    /// An IPv6 address.
    pub const AAAA: u16 = 28;
    /// Where a service is (RFC 2782).
    pub const SRV: u16 = 33;
    /// The fingerprint of an SSH host key (RFC 4255).
    pub const SSHFP: u16 = 44;
    /// The certificate of a TLS service (RFC 6698).
    pub const TLSA: u16 = 52;
    /// How to reach a service (RFC 9460).
    pub const SVCB: u16 = 64;
    /// How to reach an HTTPS service (RFC 9460).
    pub const HTTPS: u16 = 65;
    /// Who may issue certificates for the name (RFC 8659).
    pub const CAA: u16 = 257;
}

/// Labels below a name that the server fills itself.
const RESERVED_LABELS: [&str; 5] = ["_acme", "_checkpoint", "_dgns", "_did", "_proof"];

/// Why a record set is refused, and by which of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("records refused: {}", reason.as_str())]
pub struct BadRecord {
    /// Why.
    pub reason: Reason,
    /// The row, counted from 0, if one row alone is at fault.
    pub row: Option<usize>,
}

impl BadRecord {
    /// Returns the stable code: `too_many`, or `bad_record` with a reason.
    pub const fn code(self) -> &'static str {
        match self.reason {
            Reason::TooMany => "too_many",
            _ => "bad_record",
        }
    }
}

/// What is wrong with a record set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Not one of the ten types.
    Type,
    /// Not the wire form of its type, or a value the type does not permit here.
    Rdata,
    /// The owner is malformed, or the type may not stand there; or an alias is no host name.
    Owner,
    /// The owner belongs to the server.
    Reserved,
    /// A CNAME beside another record, or to itself.
    Conflict,
    /// Outside 30..=3,600 seconds, or different within a set.
    Ttl,
    /// An address nobody can have: unspecified, multicast, broadcast, reserved.
    Address,
    /// An address that means something on a private network alone.
    Private,
    /// More rows, owners, bytes or aliases than a name may have.
    TooMany,
}

impl Reason {
    /// Returns the stable word that accompanies `bad_record`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Rdata => "rdata",
            Self::Owner => "owner",
            Self::Reserved => "reserved",
            Self::Conflict => "conflict",
            Self::Ttl => "ttl",
            Self::Address => "address",
            Self::Private => "private",
            Self::TooMany => "too_many",
        }
    }
}

/// Judges the record set of a name. Rows and aliases are in order already: decoding saw to that.
pub fn check(records: &Records) -> Result<(), BadRecord> {
    check_amounts(records)?;
    for (i, row) in records.rows.iter().enumerate() {
        check_row(row, &records.name).map_err(|reason| BadRecord { reason, row: Some(i) })?;
    }
    for set in records.rows.chunk_by(|a, b| (&a.owner, a.rtype) == (&b.owner, b.rtype)) {
        check_set(set)?;
    }
    check_cnames(&records.rows)?;
    let aliases_are_hosts = records.aliases.iter().all(|alias| is_foreign_host(alias, &records.name));
    if aliases_are_hosts { Ok(()) } else { Err(whole(Reason::Owner)) }
}

/// Refuses addresses that mean something on a private network alone, also as hints: for servers that face the public.
pub fn check_public(records: &Records) -> Result<(), BadRecord> {
    match records.rows.iter().position(rdata::has_private_address) {
        Some(row) => Err(BadRecord { reason: Reason::Private, row: Some(row) }),
        None => Ok(()),
    }
}

fn check_amounts(records: &Records) -> Result<(), BadRecord> {
    let rows = &records.rows;
    let owners = rows.chunk_by(|a, b| a.owner == b.owner).count();
    let rdata_bytes: usize = rows.iter().map(|row| row.rdata.len()).sum();
    let fits = rows.len() <= ROWS_MAX
        && owners <= OWNERS_MAX
        && rdata_bytes <= RDATA_BYTES_MAX
        && records.aliases.len() <= ALIASES_MAX;
    if fits { Ok(()) } else { Err(whole(Reason::TooMany)) }
}

fn check_row(row: &Row, name: &str) -> Result<(), Reason> {
    if rows_max(row.rtype).is_none() {
        return Err(Reason::Type);
    }
    check_owner(row, name)?;
    if !(TTL_MIN_S..=TTL_MAX_S).contains(&row.ttl) {
        return Err(Reason::Ttl);
    }
    rdata::check(row)?;
    let own_name = [row.owner.as_str(), name].join(if row.owner.is_empty() { "" } else { "." });
    if row.rtype == rtype::CNAME && rdata::is_wire_name_of(&row.rdata, &own_name) {
        return Err(Reason::Conflict);
    }
    Ok(())
}

/// Checks the form of the owner, that it is not the server's, and that the type may stand there.
fn check_owner(row: &Row, name: &str) -> Result<(), Reason> {
    let labels: Vec<&str> = if row.owner.is_empty() { vec![] } else { row.owner.split('.').collect() };
    let fits_dns = row.owner.len() + 1 + name.len() <= name::HOST_BYTES_MAX;
    if !fits_dns || !labels.iter().all(|label| is_underscore_label(label)) {
        return Err(Reason::Owner);
    }
    if labels.iter().any(|label| RESERVED_LABELS.contains(label)) {
        return Err(Reason::Reserved);
    }
    let permitted = match row.rtype {
        rtype::CNAME | rtype::TXT => true,
        rtype::SRV => matches!(labels[..], [_, "_tcp" | "_udp"]),
        rtype::TLSA => matches!(labels[..], [port, "_tcp" | "_udp" | "_sctp"] if is_port_label(port)),
        rtype::SVCB | rtype::HTTPS => match labels[..] {
            [] | [_] => true,
            [port, "_https"] => is_port_label(port),
            _ => false,
        },
        _ => labels.is_empty(),
    };
    if permitted { Ok(()) } else { Err(Reason::Owner) }
}

/// Judges the rows of one owner and type together.
fn check_set(set: &[Row]) -> Result<(), BadRecord> {
    let Some(first) = set.first() else { return Ok(()) };
    if set.iter().any(|row| row.ttl != first.ttl) {
        return Err(whole(Reason::Ttl));
    }
    let text_bytes: usize = set.iter().map(|row| row.rdata.len()).sum();
    let too_many = rows_max(first.rtype).is_some_and(|max| set.len() > max);
    if too_many || first.rtype == rtype::TXT && text_bytes > TXT_BYTES_MAX {
        return Err(whole(Reason::TooMany));
    }
    Ok(())
}

/// Refuses anything beside a CNAME at its owner, a second CNAME included.
fn check_cnames(rows: &[Row]) -> Result<(), BadRecord> {
    for at_owner in rows.chunk_by(|a, b| a.owner == b.owner) {
        if at_owner.len() > 1 && at_owner.iter().any(|row| row.rtype == rtype::CNAME) {
            return Err(whole(Reason::Conflict));
        }
    }
    Ok(())
}

/// Returns how many rows one set of a type may have; `None` for a type that is not admitted.
const fn rows_max(rtype: u16) -> Option<usize> {
    match rtype {
        rtype::A | rtype::AAAA | rtype::SRV | rtype::SSHFP | rtype::CAA => Some(8),
        rtype::SVCB | rtype::HTTPS | rtype::TLSA => Some(4),
        // bounded otherwise: a CNAME stands alone, TXT counts bytes
        rtype::CNAME | rtype::TXT => Some(ROWS_MAX),
        _ => None,
    }
}

fn is_underscore_label(label: &str) -> bool {
    label.strip_prefix('_').is_some_and(|rest| label.len() <= 63 && name::is_label(rest))
}

fn is_port_label(label: &str) -> bool {
    label[1..].parse::<u16>().is_ok_and(|port| port > 0 && label[1..] == port.to_string())
}

fn is_foreign_host(alias: &str, name: &str) -> bool {
    let own = alias == name || alias.strip_suffix(name).is_some_and(|front| front.ends_with('.'));
    alias.len() <= name::HOST_BYTES_MAX && alias.contains('.') && alias.split('.').all(name::is_label) && !own
}

const fn whole(reason: Reason) -> BadRecord {
    BadRecord { reason, row: None }
}

#[cfg(test)]
mod tests;

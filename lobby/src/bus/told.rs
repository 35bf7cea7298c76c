//! The parts of what nodes tell each other of hosts and logs.

use identity::did::Did;
use identity::name::is_well_formed;
use identity::wire::{Reader, WireError, Writer};

use super::HostedThere;
use crate::guard::Guard;
use crate::limits::{GUARDED_MAX, HOSTS_MAX, SIZES_MAX};
use crate::message::{Presence, Visible};
use crate::news::Site;

pub(super) fn name(reader: &mut Reader<'_>) -> Result<String, WireError> {
    let name = reader.text()?;
    if is_well_formed(name) { Ok(name.to_owned()) } else { Err(WireError::Unexpected) }
}

/// `[]`, or `[name, log 16]`.
pub(super) fn after(reader: &mut Reader<'_>) -> Result<Option<Site>, WireError> {
    match reader.array()? {
        0 => Ok(None),
        2 => Ok(Some(Site { name: name(reader)?, log: reader.fixed()? })),
        _ => Err(WireError::Unexpected),
    }
}

/// `[[did, visible, state, epoch, guard], ...]`.
pub(super) fn put_hosts(writer: &mut Writer, hosts: &[HostedThere]) {
    writer.array(hosts.len());
    for HostedThere { did, visible, state, epoch, guard } in hosts {
        writer.array(5).bytes(did.as_bytes()).uint(*visible as u64).uint(*state as u64).uint(*epoch);
        writer.bytes(&guard_bytes(guard));
    }
}

pub(super) fn hosts(reader: &mut Reader<'_>) -> Result<Vec<HostedThere>, WireError> {
    reader.list(HOSTS_MAX, |reader| {
        reader.array_of(5)?;
        Ok(HostedThere {
            did: Did::from_bytes(reader.fixed()?),
            visible: visible(reader)?,
            state: match reader.uint()? {
                1 => Presence::Away,
                2 => Presence::Online,
                _ => return Err(WireError::Unexpected),
            },
            epoch: reader.uint()?,
            guard: guard_of(reader.bytes()?)?,
        })
    })
}

/// `[[log 16, size], ...]`.
pub(super) fn put_sizes(writer: &mut Writer, sizes: &[([u8; 16], u64)]) {
    writer.array(sizes.len());
    for (log, size) in sizes {
        writer.array(2).bytes(log).uint(*size);
    }
}

pub(super) fn sizes(reader: &mut Reader<'_>) -> Result<Vec<([u8; 16], u64)>, WireError> {
    reader.list(SIZES_MAX, |reader| {
        reader.array_of(2)?;
        Ok((reader.fixed()?, reader.uint()?))
    })
}

pub(super) fn visible(reader: &mut Reader<'_>) -> Result<Visible, WireError> {
    match reader.uint()? {
        0 => Ok(Visible::Hidden),
        1 => Ok(Visible::Authorised),
        2 => Ok(Visible::Public),
        _ => Err(WireError::Unexpected),
    }
}

/// Nothing for everybody who is certified, a single 2 for guests too; else the salt and the prefixes of a list, ascending.
pub(super) fn guard_bytes(guard: &Guard) -> Vec<u8> {
    match guard {
        Guard::Certified => Vec::new(),
        Guard::Guests => vec![GUESTS],
        Guard::Listed(list) => [&list.salt()[..], list.prefixes().as_flattened()].concat(),
    }
}

pub(super) fn guard_of(bytes: &[u8]) -> Result<Guard, WireError> {
    match bytes {
        [] => return Ok(Guard::Certified),
        [GUESTS] => return Ok(Guard::Guests),
        _ => {}
    }
    let (salt, rest) = bytes.split_first_chunk::<16>().ok_or(WireError::Unexpected)?;
    let (prefixes, odd) = rest.as_chunks::<8>();
    if !odd.is_empty() || prefixes.len() > GUARDED_MAX || !prefixes.is_sorted_by(|one, next| one < next) {
        return Err(WireError::Unexpected);
    }
    Ok(Guard::listed_prefixes(*salt, prefixes.to_vec()))
}

/// The guard that lets guests in.
const GUESTS: u8 = 2;

//! The bytes of an UPDATE: sections of records, and the SIG(0) that ends it (RFC 2136, RFC 2931).

use super::super::name::WireName;
use super::super::query::HEADER_BYTES;
use super::super::wire::{Malformed, Record, name, record, u16_at};
use super::{CLASS_ANY, CLASS_IN, CLASS_NONE, TYPE_ANY};

const TYPE_SOA: u16 = 6;
const TYPE_SIG: u16 = 24;

/// The most records of an update, prerequisites included.
const RECORDS_MAX: usize = 64;

/// An update as it came.
#[derive(Debug)]
pub(crate) struct Update<'m> {
    pub(crate) zone: WireName,
    pub(crate) prerequisites: Vec<Record<'m>>,
    pub(crate) updates: Vec<Record<'m>>,
    pub(crate) sig0: Option<Sig0>,
}

/// The SIG record that ends a message.
#[derive(Debug)]
pub(crate) struct Sig0 {
    pub(crate) algorithm: u8,
    pub(crate) expires_s: u32,
    pub(crate) begins_s: u32,
    pub(crate) key_tag: u16,
    pub(crate) signer: WireName,
    pub(crate) signature: Vec<u8>,
    /// What is signed: the data of the record but the signature, and the message without the record.
    pub(crate) signed: Vec<u8>,
}

/// Reads an update: sections, names, types and classes are such as one may have (RFC 2136 sections 3.1.1, 3.2.5 and 3.4.1).
pub(crate) fn read(message: &[u8]) -> Result<Update<'_>, Malformed> {
    let head = message.get(..HEADER_BYTES).ok_or(Malformed)?;
    let count = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
    let (zones, prerequisites, updates, additional) = (count(4), count(6), count(8), count(10));
    if zones != 1 || prerequisites + updates > RECORDS_MAX || additional > 2 {
        return Err(Malformed);
    }
    let mut at = HEADER_BYTES;
    let zone = name(message, &mut at)?;
    if (u16_at(message, &mut at)?, u16_at(message, &mut at)?) != (TYPE_SOA, CLASS_IN) {
        return Err(Malformed);
    }
    let records = |count: usize, at: &mut usize| (0..count).map(|_| record(message, at)).collect::<Result<Vec<_>, _>>();
    let prerequisites = records(prerequisites, &mut at)?;
    let updates = records(updates, &mut at)?;
    if !prerequisites.iter().all(may_be_prerequisite) || !updates.iter().all(may_be_update) {
        return Err(Malformed);
    }
    let mut sig0 = None;
    for _ in 0..additional {
        if sig0.is_some() {
            return Err(Malformed); // nothing stands behind what signs it
        }
        let begins = at;
        let read = record(message, &mut at)?;
        if read.rtype == TYPE_SIG {
            sig0 = Some(signature(message, begins, &read)?);
        }
    }
    if at != message.len() {
        return Err(Malformed);
    }
    Ok(Update { zone, prerequisites, updates, sig0 })
}

/// Returns how many records an update has, prerequisites included, and the message that its signature is of, if it has one; `None` if it is no update. For
/// those who feed it anything.
pub fn parts(message: &[u8]) -> Option<(usize, Option<Vec<u8>>)> {
    let update = read(message).ok()?;
    let unsigned = update.sig0.map(|sig0| sig0.signed[18 + sig0.signer.wire_len()..].to_vec());
    Some((update.prerequisites.len() + update.updates.len(), unsigned))
}

fn may_be_prerequisite(record: &Record<'_>) -> bool {
    let of_class = match record.class {
        CLASS_IN => record.rtype != TYPE_ANY,
        CLASS_ANY | CLASS_NONE => record.rdata.is_empty(),
        _ => false,
    };
    of_class && record.ttl_s == 0 && !is_meta(record.rtype)
}

fn may_be_update(record: &Record<'_>) -> bool {
    let of_class = match record.class {
        CLASS_IN => record.rtype != TYPE_ANY,
        CLASS_ANY => record.ttl_s == 0 && record.rdata.is_empty(),
        CLASS_NONE => record.ttl_s == 0 && record.rtype != TYPE_ANY,
        _ => false,
    };
    of_class && !is_meta(record.rtype)
}

/// Whether no zone has records of this type; [`TYPE_ANY`] stands for all that it has.
fn is_meta(rtype: u16) -> bool {
    matches!(rtype, 0 | 41 | 128..=254)
}

fn signature(message: &[u8], begins: usize, record: &Record<'_>) -> Result<Sig0, Malformed> {
    let data: &[u8] = &record.rdata;
    let fixed = data.first_chunk::<18>().ok_or(Malformed)?;
    let signer = WireName::read(&data[18..]).ok_or(Malformed)?;
    let (front, signature) = data.split_at_checked(18 + signer.wire_len()).ok_or(Malformed)?;
    if u16::from_be_bytes([fixed[0], fixed[1]]) != 0 || record.owner.wire_len() != 1 {
        return Err(Malformed);
    }
    let four = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    let mut signed = [front, &message[..begins]].concat();
    let additional = u16::from_be_bytes([message[10], message[11]]) - 1;
    signed[front.len() + 10..front.len() + 12].copy_from_slice(&additional.to_be_bytes());
    Ok(Sig0 {
        algorithm: fixed[2],
        expires_s: four(8),
        begins_s: four(12),
        key_tag: u16::from_be_bytes([fixed[16], fixed[17]]),
        signer,
        signature: signature.to_vec(),
        signed,
    })
}

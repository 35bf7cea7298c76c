//! The bytes of an UPDATE: sections of records, and the SIG(0) that ends it (RFC 2136, RFC 2931).

use super::super::name::WireName;

const HEADER_BYTES: usize = 12;
const TYPE_SIG: u16 = 24;

/// The most records of an update, prerequisites included.
const RECORDS_MAX: usize = 64;

/// The bytes are no update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// An update as it came.
#[derive(Debug)]
pub(crate) struct Update<'m> {
    pub(crate) zone: WireName,
    pub(crate) zone_type: u16,
    pub(crate) zone_class: u16,
    pub(crate) prerequisites: Vec<Record<'m>>,
    pub(crate) updates: Vec<Record<'m>>,
    pub(crate) sig0: Option<Sig0<'m>>,
}

/// A record of an update.
#[derive(Debug)]
pub(crate) struct Record<'m> {
    pub(crate) owner: WireName,
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    pub(crate) ttl_s: u32,
    pub(crate) rdata: &'m [u8],
}

/// The SIG record that ends a message.
#[derive(Debug)]
pub(crate) struct Sig0<'m> {
    pub(crate) algorithm: u8,
    pub(crate) expires_s: u32,
    pub(crate) begins_s: u32,
    pub(crate) key_tag: u16,
    pub(crate) signer: WireName,
    pub(crate) signature: &'m [u8],
    /// What is signed: the data of the record but the signature, and the message without the record.
    pub(crate) signed: Vec<u8>,
}

/// Reads an update. Names may be compressed, but for those inside the data of records.
pub(crate) fn read(message: &[u8]) -> Result<Update<'_>, Malformed> {
    let head = message.get(..HEADER_BYTES).ok_or(Malformed)?;
    let count = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
    let (zones, prerequisites, updates, additional) = (count(4), count(6), count(8), count(10));
    if zones != 1 || prerequisites + updates > RECORDS_MAX || additional > 2 {
        return Err(Malformed);
    }
    let mut at = HEADER_BYTES;
    let zone = name(message, &mut at)?;
    let (zone_type, zone_class) = (u16_at(message, &mut at)?, u16_at(message, &mut at)?);
    let records = |count: usize, at: &mut usize| (0..count).map(|_| record(message, at)).collect::<Result<Vec<_>, _>>();
    let prerequisites = records(prerequisites, &mut at)?;
    let updates = records(updates, &mut at)?;
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
    Ok(Update { zone, zone_type, zone_class, prerequisites, updates, sig0 })
}

fn signature<'m>(message: &[u8], begins: usize, record: &Record<'m>) -> Result<Sig0<'m>, Malformed> {
    let data = record.rdata;
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
        signature,
        signed,
    })
}

fn record<'m>(message: &'m [u8], at: &mut usize) -> Result<Record<'m>, Malformed> {
    let owner = name(message, at)?;
    let (rtype, class) = (u16_at(message, at)?, u16_at(message, at)?);
    let ttl_s = u32::from(u16_at(message, at)?) << 16 | u32::from(u16_at(message, at)?);
    let length = usize::from(u16_at(message, at)?);
    let rdata = message.get(*at..*at + length).ok_or(Malformed)?;
    *at += length;
    Ok(Record { owner, rtype, class, ttl_s, rdata })
}

/// Reads a name that may be compressed: each pointer leads further to the front.
fn name(message: &[u8], at: &mut usize) -> Result<WireName, Malformed> {
    let (mut wire, mut place, mut end, mut limit) = (Vec::with_capacity(64), *at, None, *at);
    loop {
        let length = *message.get(place).ok_or(Malformed)?;
        match length {
            0 => break,
            1..64 => {
                let label = message.get(place..place + 1 + usize::from(length)).ok_or(Malformed)?;
                wire.extend_from_slice(label);
                if wire.len() > 254 {
                    return Err(Malformed);
                }
                place += label.len();
            }
            192.. => {
                let low = *message.get(place + 1).ok_or(Malformed)?;
                end = end.or(Some(place + 2));
                let target = usize::from(length & 0x3F) << 8 | usize::from(low);
                if target >= limit {
                    return Err(Malformed);
                }
                (place, limit) = (target, target);
            }
            _ => return Err(Malformed),
        }
    }
    *at = end.unwrap_or(place + 1);
    wire.push(0);
    WireName::read(&wire).ok_or(Malformed)
}

fn u16_at(message: &[u8], at: &mut usize) -> Result<u16, Malformed> {
    let bytes = message.get(*at..*at + 2).ok_or(Malformed)?;
    *at += 2;
    Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
}

//! Records of a message that somebody sent, one behind the other (RFC 1035 section 4.1).

use std::borrow::Cow;

use super::name::WireName;
use super::query::HEADER_BYTES;

const TYPE_NS: u16 = 2;
const TYPE_CNAME: u16 = 5;
const TYPE_SOA: u16 = 6;
const TYPE_PTR: u16 = 12;
const TYPE_MX: u16 = 15;

/// The most labels of a name: 255 bytes hold no more.
const LABELS_MAX: usize = 127;

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A record of a message.
#[derive(Debug)]
pub(crate) struct Record<'m> {
    pub(crate) owner: WireName,
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    pub(crate) ttl_s: u32,
    /// Without compression.
    pub(crate) rdata: Cow<'m, [u8]>,
}

/// Reads the records that answer a query.
pub(crate) fn answers(message: &[u8]) -> Result<Vec<Record<'_>>, Malformed> {
    let ([answers, ..], mut at) = behind_questions(message)?;
    (0..answers).map(|_| record(message, &mut at)).collect()
}

/// Walks over all records; calls `look` with the section of each (1 answer, 2 authority, 3 additional), where it begins, and itself.
pub(crate) fn walk<'m>(message: &'m [u8], mut look: impl FnMut(usize, usize, Record<'m>)) -> Result<(), Malformed> {
    let (counts, mut at) = behind_questions(message)?;
    for (section, count) in (1..).zip(counts) {
        for _ in 0..count {
            let begins = at;
            look(section, begins, record(message, &mut at)?);
        }
    }
    if at == message.len() { Ok(()) } else { Err(Malformed) }
}

/// Returns how many records each section has, and where the first begins.
fn behind_questions(message: &[u8]) -> Result<([u16; 3], usize), Malformed> {
    let head = message.get(..HEADER_BYTES).ok_or(Malformed)?;
    let count = |field: usize| u16::from_be_bytes([head[4 + 2 * field], head[5 + 2 * field]]);
    let mut at = HEADER_BYTES;
    for _ in 0..count(0) {
        name(message, &mut at)?;
        at += 4;
    }
    Ok(([1, 2, 3].map(count), at))
}

/// Reads the record at `at`, which is then behind it. Names in data of the types of RFC 1035 come without compression.
pub(crate) fn record<'m>(message: &'m [u8], at: &mut usize) -> Result<Record<'m>, Malformed> {
    let owner = name(message, at)?;
    let (rtype, class) = (u16_at(message, at)?, u16_at(message, at)?);
    let ttl_s = u32::from(u16_at(message, at)?) << 16 | u32::from(u16_at(message, at)?);
    let length = usize::from(u16_at(message, at)?);
    let end = *at + length;
    let rdata = message.get(*at..end).ok_or(Malformed)?;
    let rdata = match rtype {
        TYPE_NS | TYPE_CNAME | TYPE_PTR if length > 0 => Cow::Owned(expanded(message, *at, (0, 1, 0), end)?),
        TYPE_MX if length > 0 => Cow::Owned(expanded(message, *at, (2, 1, 0), end)?),
        TYPE_SOA if length > 0 => Cow::Owned(expanded(message, *at, (0, 2, 20), end)?),
        _ => Cow::Borrowed(rdata),
    };
    *at = end;
    Ok(Record { owner, rtype, class, ttl_s, rdata })
}

/// Returns data that lies from `at` to `end`: so many bytes, names that may be compressed (RFC 3597 section 4), and bytes again.
fn expanded(message: &[u8], at: usize, parts: (usize, usize, usize), end: usize) -> Result<Vec<u8>, Malformed> {
    let (before, names, after) = parts;
    let mut next = at + before;
    let mut data = message.get(at..next).ok_or(Malformed)?.to_vec();
    for _ in 0..names {
        data.extend_from_slice(name(message, &mut next)?.as_bytes());
    }
    data.extend_from_slice(message.get(next..end).filter(|rest| rest.len() == after).ok_or(Malformed)?);
    Ok(data)
}

/// Reads a name that may be compressed: each pointer leads further to the front, to what is behind the header and ends before the name does that points to
/// it, and there are no more of them than a name has labels. So what a name says does not depend on what is counted before it or stands behind it.
pub(crate) fn name(message: &[u8], at: &mut usize) -> Result<WireName, Malformed> {
    let (mut wire, mut place, mut end, mut limit) = (Vec::with_capacity(64), *at, None, *at);
    let (mut pointers, mut readable) = (0, message);
    loop {
        let length = *readable.get(place).ok_or(Malformed)?;
        match length {
            0 => break,
            1..64 => {
                let label = readable.get(place..place + 1 + usize::from(length)).ok_or(Malformed)?;
                wire.extend_from_slice(label);
                if wire.len() > 254 {
                    return Err(Malformed);
                }
                place += label.len();
            }
            192.. => {
                let low = *readable.get(place + 1).ok_or(Malformed)?;
                end = end.or(Some(place + 2));
                let target = usize::from(length & 0x3F) << 8 | usize::from(low);
                pointers += 1;
                if !(HEADER_BYTES..limit).contains(&target) || pointers > LABELS_MAX {
                    return Err(Malformed);
                }
                readable = &message[..limit];
                (place, limit) = (target, target);
            }
            _ => return Err(Malformed),
        }
    }
    *at = end.unwrap_or(place + 1);
    wire.push(0);
    WireName::read(&wire).ok_or(Malformed)
}

/// Reads two bytes at `at`, which is then behind them.
pub(crate) fn u16_at(message: &[u8], at: &mut usize) -> Result<u16, Malformed> {
    let bytes = message.get(*at..*at + 2).ok_or(Malformed)?;
    *at += 2;
    Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_more_pointers_than_labels() {
        // A label behind the header, and pointers each to the one before.
        let message = |pointers: usize| {
            let mut message = [&[0; HEADER_BYTES][..], b"\x01a\0"].concat();
            for number in 0..pointers as u16 {
                let target = if number == 0 { 12 } else { 15 + 2 * (number - 1) };
                message.extend_from_slice(&(0xC000 | target).to_be_bytes());
            }
            message
        };
        for (pointers, is_name) in [(1, true), (LABELS_MAX, true), (LABELS_MAX + 1, false), (8_000, false)] {
            let message = message(pointers);
            let mut at = message.len() - 2;
            let name = name(&message, &mut at);
            assert_eq!(
                name.map(|name| name.as_bytes().to_vec()).ok(),
                is_name.then(|| b"\x01a\0".to_vec()),
                "{pointers}"
            );
            assert!(!is_name || at == message.len());
        }
    }

    #[test]
    fn a_name_points_to_one_that_ends_before_it() {
        // Goal: no name reads the header, nor itself, nor what stands behind it. Method: a message, where the name is, and whether it is one.
        let header = [&[0; HEADER_BYTES - 2][..], b"\x01b"].concat();
        for (what, rest, at, is_name) in [
            ("one before", &b"\x01a\0\xc0\x0c"[..], 15, true),
            ("its end alone", b"\x01b\x01a\0\xc0\x0e", 17, true),
            ("a label and one before", b"\x01a\0\x01b\xc0\x0c", 15, true),
            ("the header", b"\0\xc0\x0a", 13, false),
            ("itself", b"\xc0\x0c", 12, false),
            ("a label of itself", b"\x01a\xc0\x0c", 12, false),
            ("a label that runs into itself", b"\x03\xc0\x0c\0\0", 13, false),
            ("a name that ends behind it", b"\x02a\xc0\x0c\0", 14, false),
            ("a pointer that is its own", b"\x01a\xc0\x0c", 14, false),
            ("what is behind it", b"\xc0\x0e\x01a\0", 12, false),
        ] {
            let message = [&header[..], rest].concat();
            let mut next = at;
            assert_eq!(name(&message, &mut next).is_ok(), is_name, "{what}");
        }
    }
}

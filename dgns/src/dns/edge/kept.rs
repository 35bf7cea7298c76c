//! The file of an edge: what it served last, and the keys that it believes.
//!
//! ```text
//! dgns-edge 1 <zone>
//! serial <serial>
//! heard <unix seconds>
//! ds <tag> <algorithm> 2 <digest, hex>        the one of the configuration; `ds -`: none
//! ksk <DNSKEY data, hex>                      each that is believed
//! records
//! ```
//! then each record as `u8 length | labels below the zone | u16 type | u32 TTL | u16 length | data`, then SHA-256 of all that.

use std::io;
use std::path::Path;

use data_encoding::HEXLOWER;
use identity::hash::sha256;
use storage::StorageError;

use super::super::dnssec::trust::{Pins, ds_of_text, text_of_ds};
use super::super::zone::copied::{Brought, as_copied};
use super::super::zone::{Record, Zone};
use super::by_owner;

const HEAD: &str = "dgns-edge 1 ";
const HASH_BYTES: usize = 32;

/// How an edge stood when the file was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The zone.
    pub zone: String,
    /// The serial of what it served.
    pub serial: u32,
    /// When the primary said that this is the newest, unix seconds.
    pub heard_s: u64,
    /// The keys that it believes.
    pub pins: Pins,
}

/// What the file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) state: State,
    pub(super) brought: Brought,
}

impl State {
    /// Reads how the edge of a data directory stood; `None`: there is none. Errors: what is wrong with the file.
    pub fn read(data: &Path) -> Result<Option<Self>, &'static str> {
        match std::fs::read(data.join(super::FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(_) => Err("it cannot be read"),
            Ok(bytes) => decode(&bytes).map(|kept| Some(kept.state)).ok_or("it is damaged"),
        }
    }

    /// Returns it as lines.
    pub fn text(&self) -> String {
        let apex = super::super::name::labels_of(&self.zone).unwrap_or_default();
        let known = self.pins.known_ds(&[apex.as_slice(), &[0]].concat());
        let keys: String = known.iter().map(|ds| format!("believed {} IN DS {ds}\n", self.zone)).collect();
        format!("serial {}\nheard {}\n{keys}", self.serial, self.heard_s)
    }
}

/// Reads the file of a zone; `None`: there is none. Errors: what is wrong with it.
pub(super) fn read(path: &Path, zone: &str) -> Result<Option<Kept>, &'static str> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(_) => Err("it cannot be read"),
        Ok(bytes) => match decode(&bytes) {
            Some(kept) if kept.state.zone == zone => Ok(Some(kept)),
            Some(_) => Err("it is of another zone"),
            None => Err("it is damaged"),
        },
    }
}

/// Writes the file with all that the zone has: a crash leaves the one before.
pub(super) fn write(path: &Path, state: &State, zone: &Zone) -> Result<(), StorageError> {
    let mut bytes = head(state);
    zone.every_record(|record| push(&mut bytes, record));
    storage::durable::replace(path, &seal(bytes))
}

fn head(state: &State) -> Vec<u8> {
    let ds = state.pins.ds.as_ref().map_or_else(|| "-".to_owned(), |ds| text_of_ds(ds));
    let known: String = state.pins.known.iter().map(|key| format!("ksk {}\n", HEXLOWER.encode(key))).collect();
    let State { zone, serial, heard_s, .. } = state;
    format!("{HEAD}{zone}\nserial {serial}\nheard {heard_s}\nds {ds}\n{known}records\n").into_bytes()
}

fn push(bytes: &mut Vec<u8>, record: &Record) {
    bytes.push(record.owner.len() as u8); // below 255, as every name
    bytes.extend_from_slice(&record.owner);
    bytes.extend_from_slice(&record.rtype.to_be_bytes());
    bytes.extend_from_slice(&record.ttl_s.to_be_bytes());
    bytes.extend_from_slice(&(record.rdata.len() as u16).to_be_bytes()); // as it came in a message
    bytes.extend_from_slice(&record.rdata);
}

fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let hash = sha256(&[&bytes]);
    bytes.extend_from_slice(&hash);
    bytes
}

fn decode(bytes: &[u8]) -> Option<Kept> {
    let (sealed, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH_BYTES)?)?;
    if sha256(&[sealed])[..] != *hash {
        return None;
    }
    let mut rest = sealed;
    let mut line = || {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        rest = &rest[end + 1..];
        Some(line)
    };
    let zone = line()?.strip_prefix(HEAD)?.to_owned();
    let serial = line()?.strip_prefix("serial ")?.parse().ok()?;
    let heard_s = line()?.strip_prefix("heard ")?.parse().ok()?;
    let ds = match line()?.strip_prefix("ds ")? {
        "-" => None,
        text => Some(ds_of_text(text)?),
    };
    let mut known = Vec::new();
    loop {
        match line()? {
            "records" => break,
            text => known.push(HEXLOWER.decode(text.strip_prefix("ksk ")?.as_bytes()).ok()?),
        }
    }
    let mut records = Vec::new();
    while let Some((&length, tail)) = rest.split_first() {
        let (owner, tail) = tail.split_at_checked(length.into())?;
        let (&[t0, t1, l0, l1, l2, l3, n0, n1], tail) = tail.split_first_chunk::<8>()?;
        let (rdata, next) = tail.split_at_checked(u16::from_be_bytes([n0, n1]).into())?;
        let ttl_s = u32::from_be_bytes([l0, l1, l2, l3]);
        records.push(Record { owner: owner.into(), rtype: u16::from_be_bytes([t0, t1]), ttl_s, rdata: rdata.into() });
        rest = next;
    }
    let owners = by_owner(records.into_iter().filter_map(as_copied));
    let state = State { zone, serial, heard_s, pins: Pins { ds, known } };
    Some(Kept { state, brought: Brought { serial, is_whole: true, owners } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_back_and_one_that_is_not_whole_is_not() {
        let pins = Pins { ds: ds_of_text(&format!("7 13 2 {}", "AB".repeat(32))), known: vec![vec![1, 1, 3, 13, 7]] };
        for pins in [pins, Pins::default()] {
            let state = State { zone: "dgns.test".to_owned(), serial: 9, heard_s: 7, pins };
            let record = Record::new(b"\x05alice", 1, 60, &[&[192, 0, 2, 1]]);
            let mut bytes = head(&state);
            push(&mut bytes, &record);
            let file = seal(bytes);
            let kept = decode(&file).unwrap();
            assert_eq!(kept.state, state);
            assert_eq!(kept.brought.owners.into_values().collect::<Vec<_>>(), [vec![record]]);
            for at in 0..file.len() {
                let mut changed = file.clone();
                changed[at] ^= 1;
                assert_eq!(decode(&changed), None, "byte {at}");
                assert_eq!(decode(&file[..at]), None, "cut at {at}");
            }
        }
    }

    #[test]
    fn a_sealed_file_of_another_form_is_none() {
        let whole = "dgns-edge 1 dgns.test\nserial 1\nheard 2\nds -\nrecords\n";
        assert!(decode(&seal(whole.as_bytes().to_vec())).is_some());
        for wrong in [
            whole.replace("edge 1", "edge 2"),
            whole.replace("serial 1", "serial x"),
            whole.replace("heard 2\n", ""),
            whole.replace("ds -", "ds 1 2"),
            whole.replace("records", "ksk xx"),
            format!("{whole}\x05ab"),
            format!("{whole}\0\0\x01"),
        ] {
            assert_eq!(decode(&seal(wrong.clone().into_bytes())), None, "{wrong:?}");
        }
    }
}

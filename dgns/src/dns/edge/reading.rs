//! The messages of a transfer, one behind the other, become what they say (RFC 5936 section 2.2, RFC 1995 section 4).

use std::collections::BTreeMap;

use super::super::dnssec::TYPE_SOA;
use super::super::wire::{self, Malformed};
use super::super::zone::Record;
use super::super::zone::copied::{Steps, as_copied};
use super::{by_owner, owner_below};

const CLASS_IN: u16 = 1;

/// What a primary answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// There is nothing newer than this serial.
    Nothing(u32),
    /// The whole zone, by sort keys.
    Whole { serial: u32, owners: BTreeMap<Vec<u8>, Vec<Record>> },
    /// What changed.
    Changes(Steps),
}

/// Why messages are no transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoTransfer {
    /// Bytes that are no message, or records that no transfer has in this order.
    #[error("the transfer is not of the form of one")]
    Malformed,
    /// More than the zone can have.
    #[error("the transfer is longer than the log lets expect")]
    TooLong,
}

impl From<Malformed> for NoTransfer {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// A transfer that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    apex: Vec<u8>,
    bytes_left: u64,
    newest: Option<Record>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing behind the first SOA.
    First,
    Whole(Vec<Record>),
    /// What a step takes away, and what it puts in.
    Removes(Vec<(Vec<Record>, Vec<Record>)>),
    Adds(Vec<(Vec<Record>, Vec<Record>)>),
    Done(Came),
}

impl Reading {
    /// Returns what reads a transfer of the zone `apex` (wire form) of at most so many bytes of memory.
    pub(super) fn new(apex: Vec<u8>, bytes_max: u64) -> Self {
        Self { apex, bytes_left: bytes_max, newest: None, state: State::First }
    }

    /// Reads the next message; returns whether it was the last. Errors: [`NoTransfer`].
    pub(super) fn push(&mut self, message: &[u8]) -> Result<bool, NoTransfer> {
        let mut records = Vec::new();
        wire::walk(message, |section, _, record| {
            if section == 1 {
                let owner = owner_below(&record.owner, &self.apex).filter(|_| record.class == CLASS_IN);
                records.push(owner.map(|owner| Record {
                    owner,
                    rtype: record.rtype,
                    ttl_s: record.ttl_s,
                    rdata: record.rdata.as_ref().into(),
                }));
            }
        })?;
        let is_first = self.newest.is_none();
        if records.is_empty() {
            return Err(NoTransfer::Malformed);
        }
        for record in records {
            self.read(record.ok_or(NoTransfer::Malformed)?)?;
        }
        match (&self.state, &self.newest) {
            (State::First, Some(soa)) if is_first => {
                self.state = State::Done(Came::Nothing(serial(soa)?));
                Ok(true)
            }
            (_, None) => Err(NoTransfer::Malformed),
            (state, _) => Ok(matches!(state, State::Done(_))),
        }
    }

    /// Returns what the messages said; `None` before the last one.
    pub(super) fn end(self) -> Option<Came> {
        match self.state {
            State::Done(came) => Some(came),
            _ => None,
        }
    }

    fn read(&mut self, record: Record) -> Result<(), NoTransfer> {
        let bytes = record.bytes() as u64;
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(NoTransfer::TooLong)?;
        let is_soa = record.rtype == TYPE_SOA;
        if is_soa && (!record.owner.is_empty() || record.rdata.len() < 22) {
            return Err(NoTransfer::Malformed);
        }
        let Some(newest) = &self.newest else {
            self.newest = Some(record).filter(|_| is_soa);
            return if is_soa { Ok(()) } else { Err(NoTransfer::Malformed) };
        };
        let is_newest = is_soa && serial(&record)? == serial(newest)?;
        self.state = match (std::mem::replace(&mut self.state, State::First), is_soa) {
            (State::First, true) if !is_newest => State::Removes(vec![(vec![record], Vec::new())]),
            (State::First, false) => State::Whole(vec![newest.clone(), record]),
            (State::Whole(records), true) if record == *newest => {
                let owners = by_owner(records.into_iter().filter_map(as_copied));
                State::Done(Came::Whole { serial: serial(newest)?, owners })
            }
            (State::Whole(mut records), false) => {
                records.push(record);
                State::Whole(records)
            }
            (State::Removes(mut steps), is_soa) => {
                let last = steps.last_mut().ok_or(NoTransfer::Malformed)?;
                if is_soa {
                    last.1.push(record)
                } else {
                    last.0.push(record)
                }
                if is_soa { State::Adds(steps) } else { State::Removes(steps) }
            }
            (State::Adds(mut steps), false) => {
                steps.last_mut().ok_or(NoTransfer::Malformed)?.1.push(record);
                State::Adds(steps)
            }
            (State::Adds(mut steps), true) => {
                let reached = steps.last().and_then(|(_, added)| added.first()).ok_or(NoTransfer::Malformed)?;
                if record != *reached {
                    return Err(NoTransfer::Malformed);
                }
                match is_newest {
                    true => State::Done(Came::Changes(changes(steps, serial(newest)?)?)),
                    false => {
                        steps.push((vec![record], Vec::new()));
                        State::Removes(steps)
                    }
                }
            }
            _ => return Err(NoTransfer::Malformed),
        };
        Ok(())
    }
}

fn changes(steps: Vec<(Vec<Record>, Vec<Record>)>, to: u32) -> Result<Steps, NoTransfer> {
    let from = steps.first().and_then(|(removed, _)| removed.first()).ok_or(NoTransfer::Malformed)?;
    let from = serial(from)?;
    let of = |records: Vec<Record>| records.into_iter().filter_map(as_copied).collect();
    Ok(Steps { from, serial: to, steps: steps.into_iter().map(|(removed, added)| (of(removed), of(added))).collect() })
}

/// Returns the serial of a SOA.
pub(super) fn serial(soa: &Record) -> Result<u32, NoTransfer> {
    let numbers = soa.rdata.last_chunk::<20>().ok_or(NoTransfer::Malformed)?;
    Ok(u32::from_be_bytes([numbers[0], numbers[1], numbers[2], numbers[3]]))
}

/// Reads messages, each behind its length, of a zone `dgns.test`; returns whether they are a transfer. For those who feed it anything.
pub fn reads(bytes: &[u8]) -> bool {
    let mut reading = Reading::new(b"\x04dgns\x04test\0".to_vec(), 1 << 20);
    let mut rest = bytes;
    while let Some(message) = super::super::stream::frame(rest) {
        rest = &rest[2 + message.len()..];
        match reading.push(message) {
            Ok(false) => {}
            Ok(true) => return rest.is_empty() && reading.end().is_some(),
            Err(_) => return false,
        }
    }
    false
}

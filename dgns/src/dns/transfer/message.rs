//! Records in messages: each answers the same question, whose name is the zone, so that every owner ends in a pointer to it.

use super::super::limits::{TRANSFER_MESSAGE_BYTES, UDP_BYTES_MAX};
use super::super::query::{Edns, HEADER_BYTES, Query};
use super::super::zone::Record;

const CLASS_IN: u16 = 1;

/// A pointer to the name of the question.
const TO_ZONE: u16 = 0xC000 | HEADER_BYTES as u16;

/// The answers to one query, one message at a time.
#[derive(Debug)]
pub(super) struct Messages {
    /// Header and question, as every message begins.
    begin: Vec<u8>,
    edns: Option<Edns>,
    message: Vec<u8>,
    count: u16,
}

impl Messages {
    /// Returns the answers to a query for the zone.
    pub(super) fn to(query: &Query<'_>) -> Self {
        let mut begin = query.header.id.to_be_bytes().to_vec();
        begin.extend_from_slice(&[0x84 | u8::from(query.header.recursion_desired), 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        begin.extend_from_slice(query.question);
        Self { message: begin.clone(), begin, edns: query.edns, count: 0 }
    }

    /// Adds a record; returns the message before it, if it is full.
    pub(super) fn push(&mut self, record: &Record) -> Option<Vec<u8>> {
        let length = record.owner.len() + 12 + record.rdata.len();
        let full = self.count > 0 && self.message.len() + length > TRANSFER_MESSAGE_BYTES;
        let before = full.then(|| self.take());
        write(record, &mut self.message);
        self.count += 1;
        before
    }

    /// Returns the message that holds what was added last, and begins another one.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut message = std::mem::replace(&mut self.message, self.begin.clone());
        message[6..8].copy_from_slice(&self.count.to_be_bytes());
        self.count = 0;
        if let Some(edns) = self.edns {
            message[HEADER_BYTES - 1] = 1;
            message.extend_from_slice(&[0, 0, 41]);
            message.extend_from_slice(&(UDP_BYTES_MAX as u16).to_be_bytes());
            message.extend_from_slice(&[0, 0, u8::from(edns.dnssec_ok) << 7, 0, 0, 0]);
        }
        message
    }
}

/// Writes a record into a message whose question is for the zone.
pub(super) fn write(record: &Record, message: &mut Vec<u8>) {
    message.extend_from_slice(&record.owner);
    message.extend_from_slice(&TO_ZONE.to_be_bytes());
    message.extend_from_slice(&record.rtype.to_be_bytes());
    message.extend_from_slice(&CLASS_IN.to_be_bytes());
    message.extend_from_slice(&record.ttl_s.to_be_bytes());
    message.extend_from_slice(&(record.rdata.len() as u16).to_be_bytes());
    message.extend_from_slice(&record.rdata);
}

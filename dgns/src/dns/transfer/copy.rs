//! What is sent to whoever copies the zone: all of it as it was at one edition, or the editions since the one it has.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::super::dnssec::TYPE_SOA;
use super::super::metrics::Transferred;
use super::super::query::Query;
use super::super::reply::Rcode;
use super::super::tsig::Chain;
use super::super::zone::{Edition, Part, Record, Zone};
use super::message::Messages;
use crate::clock::Clock;

/// The right to one copy; given back when dropped.
pub(super) type Seat = OwnedSemaphorePermit;

/// What a query for a copy gets.
pub(super) enum Plan {
    /// The SOA alone: there is nothing newer, or it does not fit.
    Current(Record),
    /// What changed, edition by edition; at least one.
    Changes(Vec<Arc<Edition>>),
    /// The zone at this serial.
    Whole(u32),
}

/// A copy that is to be sent.
pub(crate) struct Copy {
    messages: Messages,
    chain: Option<Chain>,
    plan: Plan,
    _seat: Seat,
}

impl Plan {
    /// Returns the SOA alone.
    pub(super) fn current(zone: &Zone) -> Self {
        let serial = zone.serial();
        Self::Current(Record::new(b"", TYPE_SOA, zone.apex().negative_ttl_s, &[&zone.apex().soa(serial)]))
    }

    /// Returns what leads from `known`, if anything is, to the newest edition.
    pub(super) fn since(zone: &Zone, known: Option<u32>) -> Self {
        let Some(known) = known else { return Self::Whole(zone.serial()) };
        let (serial, editions) = zone.editions_since(known);
        match editions {
            // Whoever is ahead has a copy of what will be.
            _ if serial.wrapping_sub(known).cast_signed() <= 0 => Self::current(zone),
            Some(editions) => Self::Changes(editions),
            None => Self::Whole(serial),
        }
    }

    pub(super) fn is_current(&self) -> bool {
        matches!(self, Self::Current(_))
    }
}

/// Answers with the SOA alone.
pub(super) fn one(query: &Query<'_>, plan: Plan, out: &mut Vec<u8>) -> Rcode {
    let mut messages = Messages::to(query);
    if let Plan::Current(soa) = plan {
        messages.push(&soa);
    }
    out.clear();
    out.extend(messages.take());
    Rcode::NoError
}

impl Copy {
    pub(super) fn new(query: &Query<'_>, chain: Option<Chain>, plan: Plan, seat: Seat) -> Self {
        Self { messages: Messages::to(query), chain, plan, _seat: seat }
    }

    /// Returns of what kind it is.
    #[cfg(test)]
    pub(super) fn kind(&self) -> &'static str {
        match self.plan {
            Plan::Current(_) => "current",
            Plan::Changes(_) => "changes",
            Plan::Whole(_) => "whole",
        }
    }

    /// Sends the copy, each message within `partial`; returns of what kind it is, and its bytes. Errors: those of the stream, `TimedOut` among them;
    /// `Other`: the edition is not known any more, after more changes than are kept.
    pub(crate) async fn send(
        mut self,
        zone: &Arc<Zone>,
        stream: &mut TcpStream,
        clock: &Clock,
        partial: Duration,
    ) -> io::Result<(Transferred, u64)> {
        let mut sender = Sender { stream, clock, partial, chain: self.chain.take(), bytes: 0 };
        match std::mem::replace(&mut self.plan, Plan::Changes(Vec::new())) {
            Plan::Current(soa) => {
                self.push(&soa, &mut sender).await?;
                sender.end(&mut self.messages).await.map(|bytes| (Transferred::Current, bytes))
            }
            Plan::Changes(editions) => {
                let soa = editions.last().and_then(|last| last.added.first()).cloned();
                let soa = soa.ok_or(io::ErrorKind::Other)?;
                self.push(&soa, &mut sender).await?;
                for edition in &editions {
                    for record in edition.removed.iter().chain(&edition.added) {
                        self.push(record, &mut sender).await?;
                    }
                }
                self.push(&soa, &mut sender).await?;
                sender.end(&mut self.messages).await.map(|bytes| (Transferred::Changes, bytes))
            }
            Plan::Whole(serial) => {
                let mut soa = None;
                for part in zone.parts() {
                    let records = read(zone, serial, part).await?;
                    soa = soa.or_else(|| records.iter().find(|record| record.rtype == TYPE_SOA).cloned());
                    // The SOA is the first record of the first part.
                    for record in &records {
                        self.push(record, &mut sender).await?;
                    }
                }
                self.push(&soa.ok_or(io::ErrorKind::Other)?, &mut sender).await?;
                sender.end(&mut self.messages).await.map(|bytes| (Transferred::Whole, bytes))
            }
        }
    }

    async fn push(&mut self, record: &Record, sender: &mut Sender<'_>) -> io::Result<()> {
        match self.messages.push(record) {
            Some(message) => sender.send(message).await,
            None => Ok(()),
        }
    }
}

/// Reads a part beside the tasks that answer.
async fn read(zone: &Arc<Zone>, serial: u32, part: Part) -> io::Result<Vec<Record>> {
    let zone = zone.clone();
    let records = tokio::task::spawn_blocking(move || zone.records(serial, &part)).await;
    records.ok().flatten().ok_or_else(|| io::ErrorKind::Other.into())
}

/// Where messages go, each signed over the one before.
struct Sender<'s> {
    stream: &'s mut TcpStream,
    clock: &'s Clock,
    partial: Duration,
    chain: Option<Chain>,
    bytes: u64,
}

impl Sender<'_> {
    async fn send(&mut self, mut message: Vec<u8>) -> io::Result<()> {
        if let Some(chain) = &mut self.chain {
            chain.sign(&mut message, self.clock.now().as_s());
        }
        let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::Other)?;
        let frame = [&length.to_be_bytes(), message.as_slice()].concat();
        self.bytes += frame.len() as u64;
        timeout(self.partial, self.stream.write_all(&frame)).await?
    }

    async fn end(mut self, messages: &mut Messages) -> io::Result<u64> {
        self.send(messages.take()).await?;
        Ok(self.bytes)
    }
}

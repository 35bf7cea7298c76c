//! What is sent to whoever copies the zone: all of it as it was at one edition, or the editions since the one it has.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use super::super::dnssec::TYPE_SOA;
use super::super::metrics::Transferred;
use super::super::query::Query;
use super::super::reply::Rcode;
use super::super::stream::write;
use super::super::tsig::Chain;
use super::super::zone::{Edition, Part, Record, Zone};
use super::catalog::{Catalog, SERIAL};
use super::message::Messages;
use super::pace::Pace;
use crate::clock::Clock;

/// The right to one copy, among all and among those of its peer; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) _among_all: OwnedSemaphorePermit,
    pub(super) _of_its_peer: OwnedSemaphorePermit,
}

/// What a query for a copy gets.
pub(super) enum Plan {
    /// What changed, edition by edition; at least one.
    Changes(Vec<Arc<Edition>>),
    /// The zone at this serial.
    Whole(u32),
    /// These records, the SOA first.
    Given(Vec<Record>),
}

/// A copy that is to be sent.
pub(crate) struct Copy {
    messages: Messages,
    chain: Option<Chain>,
    plan: Plan,
    _seat: Seat,
}

impl Plan {
    /// Returns what leads from `known`, if anything is, to the newest edition; `None`: that one is known.
    pub(super) fn since(zone: &Zone, known: Option<u32>) -> Option<Self> {
        let Some(known) = known else { return Some(Self::Whole(zone.serial())) };
        let (serial, editions) = zone.editions_since(known);
        match editions {
            // Whoever is ahead has a copy of what will be.
            _ if serial.wrapping_sub(known).cast_signed() <= 0 => None,
            Some(editions) => Some(Self::Changes(editions)),
            None => Some(Self::Whole(serial)),
        }
    }

    /// Returns what whoever has `known` of a catalog, if anything, gets; `None`: that is all there is.
    pub(super) fn given(catalog: &Catalog, known: Option<u32>) -> Option<Self> {
        let is_newer = |known: u32| SERIAL.wrapping_sub(known).cast_signed() > 0;
        known.is_none_or(is_newer).then(|| Self::Given(catalog.records().to_vec()))
    }
}

/// Answers with the SOA of the zone alone: there is nothing newer, or it does not fit.
pub(super) fn newest(zone: &Zone, query: &Query<'_>, out: &mut Vec<u8>) -> Rcode {
    let rdata = zone.apex().soa(zone.serial());
    soa(query, &Record::new(b"", TYPE_SOA, zone.apex().negative_ttl_s, &[&rdata]), out)
}

/// Answers with this SOA alone.
pub(super) fn soa(query: &Query<'_>, soa: &Record, out: &mut Vec<u8>) -> Rcode {
    let mut messages = Messages::to(query);
    messages.push(soa);
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
            Plan::Changes(_) => "changes",
            Plan::Whole(_) | Plan::Given(_) => "whole",
        }
    }

    /// Sends the copy, each message within `partial` and all of them at the [`Pace`]; returns of what kind it is, and its bytes. Errors: those of the
    /// stream, `TimedOut` among them; `Other`: the edition is not known any more, after more changes than are kept.
    pub(crate) async fn send(
        self,
        zone: &Arc<Zone>,
        stream: &mut (impl AsyncWrite + Unpin),
        clock: &Clock,
        partial: Duration,
    ) -> io::Result<(Transferred, u64)> {
        let Self { messages, chain, plan, _seat } = self;
        let mut sender = Sender { messages, stream, clock, partial, chain, pace: Pace::begin(), bytes: 0 };
        match plan {
            Plan::Changes(editions) => {
                let soa = editions.last().and_then(|last| last.added.first()).cloned();
                let soa = soa.ok_or(io::ErrorKind::Other)?;
                sender.push(&soa).await?;
                for edition in &editions {
                    for record in edition.removed.iter().chain(&edition.added) {
                        sender.push(record).await?;
                    }
                }
                sender.push(&soa).await?;
                sender.end().await.map(|bytes| (Transferred::Changes, bytes))
            }
            Plan::Given(records) => {
                for record in records.iter().chain(records.first()) {
                    sender.push(record).await?;
                }
                sender.end().await.map(|bytes| (Transferred::Whole, bytes))
            }
            Plan::Whole(serial) => {
                let mut soa = None;
                for part in zone.parts() {
                    let records = read(zone, serial, part).await?;
                    soa = soa.or_else(|| records.iter().find(|record| record.rtype == TYPE_SOA).cloned());
                    // The SOA is the first record of the first part.
                    for record in &records {
                        sender.push(record).await?;
                    }
                }
                sender.push(&soa.ok_or(io::ErrorKind::Other)?).await?;
                sender.end().await.map(|bytes| (Transferred::Whole, bytes))
            }
        }
    }
}

/// Reads a part beside the tasks that answer.
async fn read(zone: &Arc<Zone>, serial: u32, part: Part) -> io::Result<Vec<Record>> {
    let zone = zone.clone();
    let records = tokio::task::spawn_blocking(move || zone.records(serial, &part)).await;
    records.ok().flatten().ok_or_else(|| io::ErrorKind::Other.into())
}

/// Where records go, in messages, each signed over the one before.
struct Sender<'s, S> {
    messages: Messages,
    stream: &'s mut S,
    clock: &'s Clock,
    partial: Duration,
    chain: Option<Chain>,
    pace: Pace,
    bytes: u64,
}

impl<S: AsyncWrite + Unpin> Sender<'_, S> {
    async fn send(&mut self, mut message: Vec<u8>) -> io::Result<()> {
        if let Some(chain) = &mut self.chain {
            chain.sign(&mut message, self.clock.now().as_s());
        }
        let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::Other)?;
        let frame = [&length.to_be_bytes(), message.as_slice()].concat();
        self.bytes += frame.len() as u64;
        let began = Instant::now();
        timeout(self.partial.min(self.pace.left()), write(self.stream, &frame)).await??;
        self.pace.note(frame.len(), began.elapsed());
        Ok(())
    }

    async fn push(&mut self, record: &Record) -> io::Result<()> {
        match self.messages.push(record) {
            Some(message) => self.send(message).await,
            None => Ok(()),
        }
    }

    async fn end(mut self) -> io::Result<u64> {
        let last = self.messages.take();
        self.send(last).await?;
        Ok(self.bytes)
    }
}

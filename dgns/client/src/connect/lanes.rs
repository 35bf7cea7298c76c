//! One knock over several nodes of a lobby (PROTOCOL 23.16).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use lobby::Sess;
use lobby::message::Frame;
use tokio::sync::mpsc;

use crate::attach::{Attached, Event, Who, attach_to_one};
use crate::error::ClientError;
use crate::prover::Prover;

/// A knock on its way over one node of the lobby.
pub(super) struct Lane {
    pub(super) attached: Attached,
    pub(super) events: mpsc::Receiver<Event>,
    /// Whether the node welcomed.
    pub(super) was_here: bool,
    /// What this way came to, if it leads nowhere.
    pub(super) over: Option<ClientError>,
}

/// The same knock over several nodes: whoever gets it twice takes it once.
pub(super) struct Knocking<'c> {
    pub(super) prover: &'c Prover,
    pub(super) who: &'c Who,
    pub(super) sess: Sess,
    pub(super) knock: Frame,
    pub(super) lanes: Vec<Lane>,
    /// Nodes that were not tried yet.
    pub(super) further: VecDeque<String>,
}

impl Knocking<'_> {
    /// Knocks over one more node, which is attached to already.
    pub(super) async fn add(&mut self, attached: Attached, events: mpsc::Receiver<Event>) {
        attached.post(self.sess, 0, self.knock.clone()).await;
        // The first welcomed before there was a card.
        let was_here = self.lanes.is_empty();
        self.lanes.push(Lane { attached, events, was_here, over: None });
    }

    /// Knocks over the next node, if there is one.
    pub(super) async fn add_next(&mut self) -> bool {
        let Some(way) = self.further.pop_front() else { return false };
        let (attached, events) = attach_to_one(self.prover.clone(), self.who.clone(), &[way]);
        self.add(attached, events).await;
        true
    }

    /// Returns what comes next over a way that may lead somewhere.
    pub(super) async fn next(&mut self) -> (usize, Option<Event>) {
        poll_fn(|context| {
            for (at, lane) in self.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.over.is_none()) {
                if let Poll::Ready(event) = lane.events.poll_recv(context) {
                    return Poll::Ready((at, event));
                }
            }
            Poll::Pending
        })
        .await
    }
}

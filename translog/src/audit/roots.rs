//! The map of an audit, rebuilt beside the replay: on whatever thread the caller likes, in the order of the Epochs.

use std::sync::Arc;

use identity::hash::Hash;

use super::AuditFault;
use crate::entry::Epoch;
use crate::map::{Map, OpenedLeaf};

/// What one batch changes in the map, and the root its Epoch claims.
#[derive(Clone, Debug)]
pub struct MapStep {
    pub(super) updates: Vec<Update>,
    pub(super) epoch: Epoch,
}

/// What a label commits to: the commitment is made where the map is.
#[derive(Clone, Debug)]
pub(super) struct Update {
    pub(super) label: Hash,
    pub(super) opened: OpenedLeaf,
    pub(super) state: Arc<[u8]>,
}

/// A map that follows a replay's steps.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    map: Map,
}

impl Roots {
    pub(super) fn of(map: Map) -> Self {
        Self { map }
    }

    /// Makes the changes of a batch and compares the root; steps are taken in the order they were made, without gaps.
    pub fn take(&mut self, step: MapStep) -> Result<(), AuditFault> {
        let updates = step.updates.iter().map(|update| (update.label, update.opened.commitment(&update.state)));
        let delta = self.map.prepare(&updates.collect::<Vec<_>>());
        if delta.root() != step.epoch.map_root {
            return Err(AuditFault::MapRoot { k: step.epoch.k, index: step.epoch.covers });
        }
        self.map.apply(delta).expect("the delta was prepared from this map just now");
        Ok(())
    }
}

//! What SQL keeps beside the entries, held against what the entries make: heads, states, chains, and what DNS reads.

use std::collections::HashMap;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use identity::cert::{Body, Certificate};
use identity::hash::Hash;
use identity::state::{Leaf, NameState, State};
use storage::Storage;
use storage::rows::NameRow;
use translog::audit::Auditor;
use translog::batch::Change;

use super::Report;
use super::shelf::{Shelf, Wrong};
use crate::log::states::leaf_of;

/// Rows read at once.
const ROWS: u64 = 1_024;

/// Stored states and the replay they are compared with.
pub(super) struct States<'s> {
    pub(super) storage: &'s Storage,
    pub(super) shelf: &'s Shelf<'s>,
    pub(super) auditor: &'s Auditor,
}

impl States<'_> {
    /// Holds the heads there were against those the entries give; the first that differs says where a change lies.
    pub(super) async fn compare_epochs(&self, report: &mut Report) -> Result<(), Wrong> {
        let Some(replay) = self.auditor.replay() else { return Ok(()) };
        let (mut k, mut before) = (0, 0);
        loop {
            let rows = self.storage.log().epochs(k, ROWS).await?;
            for row in &rows {
                // Beyond where a replay ended early nothing can be said.
                let Some(root) = replay.heads().get(&row.size) else { return Ok(()) };
                if *root != row.root {
                    let last = row.size - 1;
                    let what = format!("entries {before} to {last} do not give the root of Epoch {} in epochs", row.k);
                    report.faults.push(what);
                    return Ok(());
                }
                before = row.size;
            }
            match rows.last() {
                Some(last) => k = last.k + 1,
                None => return Ok(()),
            }
        }
    }

    /// Holds the stored states against those the entries make, and whatever else SQL keeps of each label.
    pub(super) async fn compare_labels(&self, report: &mut Report) -> Result<(), Wrong> {
        let Some(replay) = self.auditor.replay() else { return Ok(()) };
        let mut implied: HashMap<Hash, Hash> = replay.commitments().collect();
        let rows: Vec<(Hash, Hash)> = self.storage.log().all_leaves().await?.into_iter().collect();
        for labels in rows.chunks(256) {
            let labels: Vec<Hash> = labels.iter().map(|(label, _)| *label).collect();
            for row in self.storage.log().labels(&labels).await?.into_iter().flatten() {
                report.labels += 1;
                let hex = HEXLOWER.encode(&row.label);
                let expected = implied.remove(&row.label);
                let leaf = match leaf_of(&row) {
                    Ok(leaf) => leaf,
                    Err(error) => {
                        report.faults.push(format!("label {hex}: {error}"));
                        continue;
                    }
                };
                let subject = leaf.state.subject();
                let change = Change::of(&subject, Arc::new(leaf));
                let same = expected == Some(change.commitment) && expected == Some(row.commitment);
                if !same || row != crate::log::states::row_of(&subject, &change) {
                    report.faults.push(format!("label {hex}: the stored state is not the one the entries make"));
                    continue;
                }
                report
                    .faults
                    .extend(self.beside(&row.label, &change.leaf).await?.map(|what| format!("label {hex}: {what}")));
            }
        }
        for label in implied.keys() {
            report.faults.push(format!("label {}: its state is missing in labels", HEXLOWER.encode(label)));
        }
        Ok(())
    }

    /// Says what is wrong with the rows beside a state that is right: the end of a chain, what DNS reads of a name.
    async fn beside(&self, label: &Hash, leaf: &Leaf) -> Result<Option<String>, Wrong> {
        match &leaf.state {
            State::Did(did) => {
                let row = self.storage.log().find(label, did.head.seq).await?;
                let same = row.is_some_and(|row| (row.index, row.sid) == (did.head.index, did.head.sid));
                Ok((!same).then(|| "the newest row in chain is not the DID's newest certificate".to_owned()))
            }
            State::Alias(alias) => {
                let Some(head) = alias.head else { return Ok(None) };
                let row = self.storage.log().find(label, head.seq).await?;
                let same = row.is_some_and(|row| (row.index, row.sid) == (head.index, head.sid));
                Ok((!same).then(|| "the newest row in chain is not the alias's newest certificate".to_owned()))
            }
            State::Name(name) => {
                let row = self.storage.log().name(label).await?;
                let expected = self.name_row(name).await?;
                Ok((row != Some(expected))
                    .then(|| format!("the row of {} in names is not what its state says", name.name)))
            }
            State::LogConf { .. } | State::Anchors { .. } => Ok(None),
        }
    }

    /// Returns what DNS should read of a name.
    async fn name_row(&self, name: &NameState) -> Result<NameRow, Wrong> {
        let records = match name.answers() {
            None => Vec::new(),
            Some((index, _)) => match Certificate::decode(&self.shelf.entry(index).await?[1..]) {
                Ok(certificate) => match &certificate.payload().body {
                    body @ (Body::Records(_) | Body::Delegate(_)) => body.encode(),
                    _ => Vec::new(),
                },
                Err(_) => Vec::new(),
            },
        };
        Ok(NameRow {
            name: name.name.clone(),
            did: name.did,
            status: name.status as u8,
            index: name.claim_index,
            records,
        })
    }
}

use std::collections::HashMap;

use super::*;
use crate::batch::fixture::{Someone, TestLog};
use crate::map::Map;

/// What a follower has of a log.
#[derive(Clone, Default)]
struct Follower {
    edge: Edge,
    history: Edge,
    map: Map,
    dues: DueQueue,
    time_ms: u64,
    states: HashMap<Subject, Leaf>,
    heads: HashMap<u64, Hash>,
    server: Option<Did>,
}

impl Follower {
    fn view(&self) -> View<'_> {
        View { edge: &self.edge, history: &self.history, time_ms: self.time_ms, map: &self.map, dues: &self.dues }
    }

    /// Takes whole batches in, all or nothing.
    fn take(&mut self, origin: &Origin, entries: &[Vec<u8>]) -> Result<Batch, AuditFault> {
        let mut incoming = Incoming::new(origin, &self.edge, self.server, entries.to_vec());
        loop {
            let lacking = incoming.go_on(&self.view())?;
            if lacking.is_empty() {
                break;
            }
            for subject in lacking.subjects {
                let leaf = self.states.get(&subject).cloned();
                incoming.insert(subject, leaf.map(Into::into));
            }
            lacking.heads.iter().for_each(|size| incoming.insert_head(*size, self.heads.get(size).copied()));
        }
        incoming.take_checks().verify(&[1; 32])?;
        self.server = incoming.server();
        let batch = incoming.into_batch().expect("it is through");
        (self.edge, self.history, self.time_ms) = (batch.edge.clone(), batch.history.clone(), batch.epoch.time_ms);
        self.map.apply(batch.map.clone()).unwrap();
        for (subject, change) in &batch.changes {
            self.dues.set(change.label, subject, rules::due_ms(&change.leaf));
            self.states.insert(subject.clone(), change.leaf.as_ref().clone());
        }
        self.heads.extend(batch.passed.iter().map(|passed| (passed.size, passed.root)));
        self.heads.insert(batch.size(), batch.root());
        Ok(batch)
    }
}

/// A log with claims, records and a release that settles, and the sizes of its heads.
fn log() -> (TestLog, Vec<usize>) {
    let mut log = TestLog::new();
    let (mut alice, certificates) = Someone::new(1);
    log.append(&[certificates, Someone::new(2).1]);
    for last in 0..5 {
        log.append(&[vec![alice.points_to(last)], Someone::new(3 + u64::from(last)).1]);
    }
    log.append(&[vec![alice.releases()]]);
    for _ in 0..4 {
        log.append(&[]);
    }
    let ends = (0..).zip(&log.entries).filter(|(_, entry)| entry[0] == 2).map(|(index, _)| index + 1).collect();
    (log, ends)
}

/// The fault of a log whose last batch `bend` changed, taken in after everything before it.
fn fault_of(bend: impl FnOnce(&mut Vec<Vec<u8>>)) -> AuditFault {
    let (log, ends) = log();
    let last = ends[ends.len() - 5];
    let mut follower = Follower::default();
    follower.take(&log.origin, &log.entries[..ends[ends.len() - 6]]).unwrap();
    let mut entries = log.entries[ends[ends.len() - 6]..last].to_vec();
    bend(&mut entries);
    follower.take(&log.origin, &entries).unwrap_err()
}

#[test]
fn batches_taken_in_one_by_one_or_together_give_the_log_of_the_writer() {
    // Goal: a follower has what the writer has, however the entries come. Method: every number of batches at once, from the first
    // entry on; what is behind the last Epoch is left for later.
    let (log, ends) = log();
    for together in 1..=ends.len() {
        let mut follower = Follower::default();
        let mut from = 0;
        for end in ends.iter().skip(together - 1).step_by(together).chain(ends.last()) {
            if *end == from {
                continue;
            }
            let more = (*end + 1).min(log.entries.len());
            let torn = more > *end && log.entries[*end][0] != 2;
            let until = if torn { more } else { *end };
            let batch = follower.take(&log.origin, &log.entries[from..until]).unwrap();
            assert_eq!((batch.first_index, batch.size()), (from as u64, *end as u64));
            from = *end;
        }
        assert_eq!(follower.edge, log.edge);
        assert_eq!(follower.map.root(), log.view().map.root());
        assert_eq!(follower.history.root(), log.view().history.root());
        assert_eq!(follower.states, log.states);
        assert_eq!(follower.dues.earliest_ms(), log.view().dues.earliest_ms());
        assert_eq!(follower.heads.len(), ends.len());
    }
}

#[test]
fn every_lie_of_a_writer_is_named() {
    // Goal: what the auditor finds, the follower finds before it stores anything. Method: one thing changed in the last batch that
    // holds a certificate.
    let epoch_at = |field: usize| move |entries: &mut Vec<Vec<u8>>| entries.last_mut().unwrap()[field] ^= 1;
    let code = |fault: &AuditFault| match fault {
        AuditFault::Epoch { code, .. } => format!("epoch {code}"),
        other => other.code().to_owned(),
    };
    for (field, expected) in
        [(8, "epoch k"), (16, "epoch covers"), (17, "epoch time_ms"), (30, "map_root"), (88, "epoch history_root")]
    {
        let fault = match field {
            17 => fault_of(|entries| entries.last_mut().unwrap()[17..25].fill(0)),
            _ => fault_of(epoch_at(field)),
        };
        assert_eq!(code(&fault), expected);
    }
    assert_eq!(code(&fault_of(|entries| drop(entries.remove(0)))), "epoch covers");
    assert_eq!(code(&fault_of(|entries| *entries[0].last_mut().unwrap() ^= 1)), "signature");
    assert_eq!(code(&fault_of(|entries| entries[0] = vec![9, 9])), "entry");
    let fault = fault_of(|entries| {
        let again = entries[0].clone();
        entries.insert(0, again);
        let covers = u64::from_be_bytes(entries.last().unwrap()[9..17].try_into().unwrap()) + 1;
        entries.last_mut().unwrap()[9..17].copy_from_slice(&covers.to_be_bytes());
    });
    assert_eq!(code(&fault), "refused");
}

#[test]
fn what_is_not_through_is_no_batch() {
    // Goal: nothing unjudged is handed out. Method: a conversation broken off, and one about no whole batch.
    let (log, ends) = log();
    let mut follower = Follower::default();
    follower.take(&log.origin, &log.entries[..ends[1]]).unwrap();
    let incoming = |entries: &[Vec<u8>]| Incoming::new(&log.origin, &follower.edge, follower.server, entries.to_vec());
    let mut begun = incoming(&log.entries[ends[1]..]);
    assert!(!begun.go_on(&follower.view()).unwrap().is_empty(), "states are lacking");
    assert!(begun.root_at(ends[2] as u64).is_some());
    assert_eq!(begun.root_at(ends[2] as u64 - 1), None);
    assert!(begun.into_batch().is_none());
    let mut torn = incoming(&log.entries[ends[1]..ends[2] - 1]);
    assert_eq!(torn.size(), ends[1] as u64);
    assert_eq!(torn.go_on(&follower.view()), Ok(Lacking::default()));
    assert!(torn.into_batch().is_none());
}

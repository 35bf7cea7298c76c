//! Histories of one log, and the check that they are linearizable.
//!
//! A log is appended to and read. An append is acknowledged with a place, or its outcome is unknown; a read sees the first `size`
//! entries. A history is linearizable if each operation can be thought to happen at one moment between its beginning and its end so
//! that all of them fit one order. For a log whose final content is known that order is the log's: the check needs no search. Entry
//! `p` happened after every operation that saw fewer entries had begun, and before any that saw it had ended.

use std::collections::{BTreeMap, BTreeSet};

/// An entry, by the device that made it and its number there.
pub(crate) type Id = (u8, u64);

/// One operation; `began` and `ended` are moments of one clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) what: What,
}

/// What was asked and answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// An append that was acknowledged.
    Appended { id: Id, pos: u64 },
    /// An append whose answer never came: it may have happened at any moment after it began, or not at all.
    Unknown { id: Id },
    /// A read of the whole log.
    Read { entries: Vec<Id> },
}

/// Why a history fits no order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An entry stands twice.
    Twice(Id),
    /// An acknowledged entry is not at its place at the end.
    Lost(Id),
    /// An entry stands in the log that nobody appended.
    Unasked(Id),
    /// A read saw something else than the beginning of the log.
    NotABeginning { began: u64 },
    /// An operation saw fewer entries than one that ended before it began.
    WentBack { began: u64 },
}

/// Holds a history against the log as it is at the end.
pub(crate) fn check(history: &[Operation], log: &[Id]) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = log.iter().find(|id| !seen.insert(**id)) {
        return Err(Fault::Twice(*twice));
    }
    let mut asked = BTreeSet::new();
    // By the moment of an end: how many entries had happened by then at least.
    let mut by_end: BTreeMap<u64, u64> = BTreeMap::new();
    for operation in history {
        let least = match &operation.what {
            What::Appended { id, pos } => {
                asked.insert(*id);
                if log.get(*pos as usize) != Some(id) {
                    return Err(Fault::Lost(*id));
                }
                pos + 1
            }
            What::Unknown { id } => {
                asked.insert(*id);
                continue;
            }
            What::Read { entries } if log.starts_with(entries) => entries.len() as u64,
            What::Read { .. } => return Err(Fault::NotABeginning { began: operation.began }),
        };
        let most = by_end.entry(operation.ended).or_default();
        *most = least.max(*most);
    }
    if let Some(unasked) = log.iter().find(|id| !asked.contains(*id)) {
        return Err(Fault::Unasked(*unasked));
    }
    let mut most = 0;
    by_end.values_mut().for_each(|least| {
        most = most.max(*least);
        *least = most;
    });
    let began: BTreeMap<Id, u64> = history
        .iter()
        .filter_map(|operation| match operation.what {
            What::Appended { id, .. } | What::Unknown { id } => Some((id, operation.began)),
            What::Read { .. } => None,
        })
        .collect();
    for operation in history {
        let before = by_end.range(..operation.began).next_back().map_or(0, |(_, least)| *least);
        let fits = match &operation.what {
            // What had happened before it began stands below it.
            What::Appended { pos, .. } => *pos >= before,
            What::Read { entries } => {
                // Nothing is seen before somebody asked for it.
                let asked_for = |id: &Id| began.get(id).is_some_and(|began| *began <= operation.ended);
                entries.len() as u64 >= before && entries.iter().all(asked_for)
            }
            What::Unknown { .. } => true,
        };
        if !fits {
            return Err(Fault::WentBack { began: operation.began });
        }
    }
    // Whoever came later stands above: also of appends whose answer was lost.
    for (pos, id) in log.iter().enumerate() {
        let before = began.get(id).and_then(|began| by_end.range(..began).next_back()).map_or(0, |(_, least)| *least);
        if (pos as u64) < before {
            return Err(Fault::WentBack { began: began[id] });
        }
    }
    Ok(())
}

/// The check finds every bug that is planted in a history which was good.
#[test]
fn a_planted_bug_is_found() {
    let operation = |began, ended, what| Operation { began, ended, what };
    let (a, b, c) = ((1, 0), (2, 0), (3, 0));
    let good = vec![
        operation(0, 3, What::Appended { id: a, pos: 0 }),
        operation(1, 2, What::Read { entries: vec![a] }),
        operation(4, 9, What::Unknown { id: c }),
        operation(5, 6, What::Appended { id: b, pos: 1 }),
        operation(7, 8, What::Read { entries: vec![a, b] }),
        operation(10, 11, What::Read { entries: vec![a, b, c] }),
    ];
    assert_eq!(check(&good, &[a, b, c]), Ok(()));
    assert_eq!(check(&good[..5], &[a, b]), Ok(()), "what nobody acknowledged may be missing");
    assert_eq!(check(&good, &[a, b, c, a]), Err(Fault::Twice(a)), "appended twice");
    assert_eq!(check(&good[..5], &[a, c]), Err(Fault::Lost(b)), "acknowledged and lost");
    assert_eq!(check(&good[..2], &[a, b]), Err(Fault::Unasked(b)), "made up");
    let plant = |at: usize, what| {
        let mut history = good.clone();
        history[at].what = what;
        check(&history, &[a, b, c])
    };
    assert_eq!(plant(4, What::Read { entries: vec![a] }), Err(Fault::WentBack { began: 7 }), "a stale read");
    assert_eq!(plant(4, What::Read { entries: vec![b, a] }), Err(Fault::NotABeginning { began: 7 }), "another order");
    assert_eq!(
        plant(1, What::Read { entries: vec![a, b] }),
        Err(Fault::WentBack { began: 1 }),
        "read before it was asked"
    );
    let mut late = good.clone();
    late[0] = operation(7, 8, What::Appended { id: a, pos: 0 });
    late.remove(1);
    assert_eq!(check(&late, &[a, b, c]), Err(Fault::WentBack { began: 7 }), "placed below what was there before");
}

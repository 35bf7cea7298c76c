//! What a recovery server did since its start, and what it refused, by code: numbers alone.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::follow::standing::Fault;

/// Counters of one process.
#[derive(Debug, Default)]
pub(super) struct Stats {
    registered: AtomicU64,
    evaluated: AtomicU64,
    repeated: AtomicU64,
    released: AtomicU64,
    erased: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

/// The counters as they are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Shares that were taken.
    pub registered: u64,
    /// Points that were evaluated for the first time.
    pub evaluated: u64,
    /// Points that were evaluated again.
    pub repeated: u64,
    /// Shares of backups that were released.
    pub released: u64,
    /// Rows that were erased.
    pub erased: u64,
    /// Rows that are kept.
    pub rows: u64,
    /// What was refused, by code.
    pub refused: BTreeMap<&'static str, u64>,
    /// What ended the reading of the log, if it was found at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

impl Stats {
    pub(super) fn registered(&self) {
        self.registered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn evaluated(&self, again: bool) {
        if again { &self.repeated } else { &self.evaluated }.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn released(&self) {
        self.released.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn erased(&self, rows: usize) {
        self.erased.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, code: &'static str) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }

    pub(super) fn counts(&self, rows: u64, fault: Option<Fault>) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            registered: read(&self.registered),
            evaluated: read(&self.evaluated),
            repeated: read(&self.repeated),
            released: read(&self.released),
            erased: read(&self.erased),
            rows,
            refused: self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            fault,
        }
    }
}

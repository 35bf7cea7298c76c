//! The witnesses as the announcer finds them: what each cosigned last, and why not more. For `/v1/info` and the metrics.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use translog::policy::Policy;

/// The witnesses of the log's policy that are asked: those with a URL.
#[derive(Debug)]
pub struct Witnesses {
    rows: Mutex<Vec<Standing>>,
    announcements: AtomicU64,
    failed: AtomicU64,
    without_quorum: AtomicBool,
}

/// One witness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What the policy calls it.
    pub name: String,
    /// The size of the head it cosigned last; 0 before the first since the start.
    pub size: u64,
    /// When it cosigned that, by its own clock, Unix seconds.
    pub time_s: u64,
    /// The code of what went wrong when it was asked last, if anything did.
    pub error: Option<&'static str>,
    /// How often it was asked in vain.
    pub errors: u64,
}

impl Witnesses {
    /// Returns the witnesses of a policy, none asked yet.
    pub fn of(policy: &Policy) -> Self {
        let asked = policy.witnesses().iter().filter(|witness| witness.url.is_some());
        let rows = asked.map(|witness| Standing { name: witness.name.clone(), ..Standing::default() });
        Self {
            rows: Mutex::new(rows.collect()),
            announcements: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            without_quorum: AtomicBool::new(false),
        }
    }

    /// Returns how each stands, in the order of the policy.
    pub fn standings(&self) -> Vec<Standing> {
        self.rows.lock().expect("no holder panics").clone()
    }

    /// Returns how many heads were announced, and how many of them did not reach the quorum.
    pub fn announcements(&self) -> (u64, u64) {
        (self.announcements.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// Returns whether the head announced last did not reach its quorum.
    pub fn without_quorum(&self) -> bool {
        self.without_quorum.load(Ordering::Relaxed)
    }

    pub(super) fn cosigned(&self, place: usize, size: u64, time_s: u64) {
        let mut rows = self.rows.lock().expect("no holder panics");
        rows[place] = Standing { size, time_s, error: None, ..std::mem::take(&mut rows[place]) };
    }

    pub(super) fn failed(&self, place: usize, error: &'static str) {
        let mut rows = self.rows.lock().expect("no holder panics");
        rows[place].error = Some(error);
        rows[place].errors += 1;
    }

    pub(super) fn announced(&self, reached: bool) {
        self.announcements.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(!reached), Ordering::Relaxed);
        self.without_quorum.store(!reached, Ordering::Relaxed);
    }
}

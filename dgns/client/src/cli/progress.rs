//! A progress bar on standard error, where somebody looks at it.

use std::io::{IsTerminal as _, Write as _};

use tokio::time::{Duration, Instant};

/// The bar of one long work.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    shown: bool,
    started: Instant,
    next: Instant,
}

impl Progress {
    /// Returns the bar of `what`; nothing is shown unless standard error is a terminal.
    pub(crate) fn new(what: &'static str) -> Self {
        let now = Instant::now();
        Self { what, shown: std::io::stderr().is_terminal(), started: now, next: now + Duration::from_millis(300) }
    }

    /// Shows how far the work is.
    pub(crate) fn show(&mut self, done: u64, all: u64) {
        let Some(rate) = self.rate(done) else { return };
        let share = done as f64 / all.max(1) as f64;
        let filled = (share * 30.0) as usize;
        let bar: String = (0..30).map(|place| if place < filled { '=' } else { ' ' }).collect();
        eprint!("\r{} [{bar}] {:3.0} % {done}/{all} {rate:.0}/s ", self.what, share * 100.0);
        let _ = std::io::stderr().flush();
    }

    /// Shows how much is done of what nobody knows how much it is.
    pub(crate) fn count(&mut self, done: u64) {
        let Some(rate) = self.rate(done) else { return };
        eprint!("\r{} {done} {rate:.0}/s ", self.what);
        let _ = std::io::stderr().flush();
    }

    /// Returns how much is done in a second; `None` if nothing is to be shown now.
    fn rate(&mut self, done: u64) -> Option<f64> {
        let now = Instant::now();
        if !self.shown || now < self.next {
            return None;
        }
        self.next = now + Duration::from_millis(100);
        Some(done as f64 / (now - self.started).as_secs_f64().max(0.001))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown && Instant::now() > self.next {
            eprint!("\r{:79}\r", "");
        }
    }
}

//! Counters of the lobby in the Prometheus text format (docs/OPERATING.md). None carries a name, key or address.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use lobby::Metric;
use lobby::lobby::Gauges;

/// What the lobby counted since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    answered: AtomicU64,
    answered_ms: AtomicU64,
    unanswered: AtomicU64,
    refused: AtomicU64,
    signals: AtomicU64,
    resent: AtomicU64,
    resumed: AtomicU64,
    not_resumed: AtomicU64,
    revoked: AtomicU64,
    overflows: AtomicU64,
    forks: AtomicU64,
}

impl Counters {
    pub(super) fn count(&self, metric: Metric) {
        let (counter, by) = match metric {
            Metric::Answered { after_ms } => {
                self.answered_ms.fetch_add(after_ms, Ordering::Relaxed);
                (&self.answered, 1)
            }
            Metric::Unanswered => (&self.unanswered, 1),
            Metric::Refused(_) => (&self.refused, 1),
            Metric::Signal => (&self.signals, 1),
            Metric::Resent => (&self.resent, 1),
            Metric::Resumed => (&self.resumed, 1),
            Metric::NotResumed => (&self.not_resumed, 1),
            Metric::Revoked => (&self.revoked, 1),
            Metric::Overflow => (&self.overflows, 1),
        };
        counter.fetch_add(by, Ordering::Relaxed);
    }

    /// Counts a head that this log signed and does not have.
    pub(super) fn fork(&self) {
        self.forks.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn render(&self, now: &Gauges) -> String {
        let mut out = String::with_capacity(2_048);
        for (name, help, counter) in [
            ("dgns_lobby_knocks_answered_total", "Knocks that a host answered.", &self.answered),
            ("dgns_lobby_knock_milliseconds_total", "Time that answered knocks waited.", &self.answered_ms),
            ("dgns_lobby_knocks_unanswered_total", "Knocks that nobody answered.", &self.unanswered),
            ("dgns_lobby_refused_total", "Frames and sockets refused.", &self.refused),
            ("dgns_lobby_signals_total", "Cards passed on.", &self.signals),
            ("dgns_lobby_resent_total", "Knocks that came again.", &self.resent),
            ("dgns_lobby_resumed_total", "Sessions that went on over another socket.", &self.resumed),
            ("dgns_lobby_not_resumed_total", "Sessions that could not go on.", &self.not_resumed),
            ("dgns_lobby_revoked_total", "Sessions ended because their device was revoked.", &self.revoked),
            ("dgns_lobby_overflows_total", "Sessions ended because their client did not read.", &self.overflows),
            ("dgns_lobby_forks_total", "Heads brought that this log signed and does not have.", &self.forks),
        ] {
            let value = counter.load(Ordering::Relaxed);
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n");
        }
        for (name, help, value) in [
            ("dgns_lobby_connections", "Sockets open.", now.connections),
            ("dgns_lobby_sessions", "Sessions, those that wait for another socket included.", now.sessions),
            ("dgns_lobby_registrations", "Names hosted.", now.registrations),
            ("dgns_lobby_talks", "Conversations remembered.", now.talks),
            ("dgns_lobby_guests", "Sessions of guests.", now.guests),
        ] {
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        }
        out
    }
}

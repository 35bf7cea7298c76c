//! Counters of the server in the Prometheus text format (docs/OPERATING.md). None carries a name, key or address.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dgns_api::info::{Follows, Public};
use dgns_api::notary::Notary;
use translog::batch::{Batch, Outcome};

use crate::log::witnesses::Witnesses;

/// The server's counters.
#[derive(Debug, Default)]
pub struct Metrics {
    batches: AtomicU64,
    entries: AtomicU64,
    posts_accepted: AtomicU64,
    posts_refused: AtomicU64,
    commit_us: AtomicU64,
    http_requests: AtomicU64,
    http_problems: AtomicU64,
    http_connections: AtomicU64,
    lookups: AtomicU64,
}

impl Metrics {
    /// Counts a committed batch.
    pub fn batch(&self, batch: &Batch, commit: Duration) {
        let accepted = batch.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Accepted { .. })).count();
        add(&self.batches, 1);
        add(&self.entries, batch.entries.len() as u64);
        add(&self.posts_accepted, accepted as u64);
        add(&self.commit_us, u64::try_from(commit.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts a post that was refused, at the door or by the publisher.
    pub fn post_refused(&self) {
        add(&self.posts_refused, 1);
    }

    /// Counts an HTTP request and returns its number since start.
    pub fn next_request(&self) -> u64 {
        self.http_requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts a request that ended in a problem.
    pub fn http_problem(&self) {
        add(&self.http_problems, 1);
    }

    /// Counts a connection that opened.
    pub fn connection_opened(&self) {
        add(&self.http_connections, 1);
    }

    /// Counts a connection that closed.
    pub fn connection_closed(&self) {
        self.http_connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a lookup.
    pub fn lookup(&self) {
        add(&self.lookups, 1);
    }

    /// Renders the counters with the values of the moment: log size, labels, queue, head age.
    pub fn render(&self, now: &Gauges) -> String {
        let mut out = String::with_capacity(2_048);
        for (name, help, counter) in [
            ("dgns_log_batches_total", "Batches committed.", &self.batches),
            ("dgns_log_entries_total", "Entries appended since start, Epochs included.", &self.entries),
            ("dgns_log_commit_microseconds_total", "Time spent committing.", &self.commit_us),
            ("dgns_posts_accepted_total", "Posts taken into the log.", &self.posts_accepted),
            ("dgns_posts_refused_total", "Posts refused.", &self.posts_refused),
            ("dgns_lookups_total", "Resolutions served.", &self.lookups),
            ("dgns_http_requests_total", "HTTP requests answered.", &self.http_requests),
            ("dgns_http_problems_total", "HTTP requests answered with a problem.", &self.http_problems),
        ] {
            let value = counter.load(Ordering::Relaxed);
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n");
        }
        for (name, help, value) in [
            ("dgns_http_connections", "HTTP connections open.", self.http_connections.load(Ordering::Relaxed)),
            ("dgns_log_size", "Leaves of the newest head.", now.size),
            ("dgns_log_head_age_milliseconds", "Age of the newest Epoch.", now.head_age_ms),
            ("dgns_map_labels", "Labels in the map.", now.labels),
            ("dgns_posts_waiting", "Posts that wait for the publisher.", now.waiting),
            ("dgns_tail_readers", "Readers of the stream of batches.", now.followers),
            ("dgns_personal_streams", "Devices that listen to personal events.", now.personal_streams),
            ("dgns_personal_events", "Personal events told since start.", now.personal_events),
            ("dgns_event_streams", "Streams of changes of names that are open.", now.event_streams),
        ]
        .into_iter()
        .chain(now.follows.iter().flat_map(of_follower))
        {
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        }
        out
    }
}

/// Renders what everyone is shown, and the witnesses: the last head with its quorum, and who cosigned what.
pub fn render_public(public: &Public, witnesses: &Witnesses) -> String {
    let mut out = String::with_capacity(1_024);
    let (announced, failed) = witnesses.announcements();
    let age_ms = public.age_ms.unwrap_or(0);
    for (name, kind, help, value) in [
        ("dgns_public_size", "gauge", "Leaves of the last head that had its quorum.", public.size),
        ("dgns_public_age_milliseconds", "gauge", "How long ago it had its quorum.", age_ms),
        ("dgns_public_stale", "gauge", "1 if the head announced last has no quorum.", u64::from(public.stale)),
        ("dgns_announcements_total", "counter", "Heads announced to the witnesses.", announced),
        ("dgns_announcements_failed_total", "counter", "Heads announced that did not get their quorum.", failed),
    ] {
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    let _ = writeln!(out, "# HELP dgns_witness_size Leaves of the head a witness cosigned last.");
    let _ = writeln!(out, "# TYPE dgns_witness_size gauge");
    let rows = witnesses.standings();
    for row in &rows {
        let _ = writeln!(out, "dgns_witness_size{{witness={:?}}} {}", row.name, row.size);
    }
    let _ = writeln!(out, "# HELP dgns_witness_errors_total Heads a witness was asked about in vain.");
    let _ = writeln!(out, "# TYPE dgns_witness_errors_total counter");
    for row in &rows {
        let _ = writeln!(out, "dgns_witness_errors_total{{witness={:?}}} {}", row.name, row.errors);
    }
    out
}

/// Renders how much of what notaries said came to nothing.
pub fn render_notaries(notaries: &[Notary]) -> String {
    let mut out = String::with_capacity(1_024);
    type Count = fn(&Notary) -> u64;
    let counts: [(&str, &str, Count); 4] = [
        ("dgns_notary_sign_ins_total", "Sign-ins a notary said happened.", |notary| notary.sign_ins),
        ("dgns_notary_disputed_total", "Of them, those that an owner disputed.", |notary| notary.disputed),
        ("dgns_notary_attempts_total", "Recoveries a notary let begin.", |notary| notary.attempts),
        ("dgns_notary_failed", "Of them, those whose PIN was not proved right.", |notary| notary.failed),
    ];
    for (name, help, count) in counts {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for notary in notaries {
            let _ = writeln!(out, "{name}{{notary={:?}}} {}", notary.kid, count(notary));
        }
    }
    out
}

/// Values of the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Leaves of the newest head.
    pub size: u64,
    /// Age of its Epoch.
    pub head_age_ms: u64,
    /// Labels in the map.
    pub labels: u64,
    /// Posts that wait.
    pub waiting: u64,
    /// Readers of the stream of batches.
    pub followers: u64,
    /// Devices that listen to personal events.
    pub personal_streams: u64,
    /// Personal events told since start.
    pub personal_events: u64,
    /// Open streams of changes of names.
    pub event_streams: u64,
    /// How this server follows another, if it does.
    pub follows: Option<Follows>,
}

fn of_follower(follows: &Follows) -> [(&'static str, &'static str, u64); 4] {
    [
        ("dgns_follow_behind", "Entries the followed log has signed and that are not here.", follows.behind),
        (
            "dgns_follow_heard_milliseconds",
            "Time since the followed log last showed a signed head.",
            follows.heard_ms_ago.unwrap_or(u64::MAX),
        ),
        ("dgns_follow_refused_total", "Answers of the followed log that were refused.", follows.refused),
        ("dgns_follow_fault", "1 once the followed log was found at fault.", u64::from(follows.stale)),
    ]
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

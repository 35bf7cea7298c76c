//! Counters of the cosigners in the Prometheus text format (docs/OPERATING.md).

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Roles;
use super::cosigner::{Cosigner, Role};

/// The counters of one cosigner.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    pub(super) cosigned: AtomicU64,
    pub(super) declined: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) evidence: AtomicU64,
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Renders the counters of all cosigners of a process.
pub(super) fn render(roles: &Roles) -> String {
    let mut out = String::with_capacity(2_048);
    let cosigners: Vec<&Cosigner> = roles.cosigners().collect();
    type Counter = fn(&Metrics) -> &AtomicU64;
    let counters: [(&str, &str, Counter); 4] = [
        ("dgns_witness_cosigned_total", "Cosignatures given.", |metrics| &metrics.cosigned),
        ("dgns_witness_declined_total", "Checkpoints not cosigned.", |metrics| &metrics.declined),
        ("dgns_witness_failed_total", "Checkpoints not cosigned for a failure of our own.", |metrics| &metrics.failed),
        ("dgns_witness_evidence_total", "Evidence files written.", |metrics| &metrics.evidence),
    ];
    for (name, help, counter) in counters {
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} counter\n");
        for cosigner in &cosigners {
            let value = counter(cosigner.metrics()).load(Ordering::Relaxed);
            let _ = writeln!(out, "{name}{{role=\"{}\"}} {value}", cosigner.role());
        }
    }
    gauge(&mut out, "dgns_witness_log_size", "Leaves of the head cosigned last.");
    for cosigner in &cosigners {
        for standing in cosigner.standings() {
            let (role, origin) = (cosigner.role(), &standing.origin);
            let _ = writeln!(out, "dgns_witness_log_size{{role=\"{role}\",origin=\"{origin}\"}} {}", standing.size);
        }
    }
    gauge(&mut out, "dgns_witness_conf_seq", "Seq of the LogConf a log's keys were followed to.");
    let witness = roles.cosigner(Role::Witness).map(|witness| witness.standings()).unwrap_or_default();
    for standing in &witness {
        let (origin, seq) = (&standing.origin, standing.keys.seq.unwrap_or(0));
        let _ = writeln!(out, "dgns_witness_conf_seq{{origin=\"{origin}\"}} {seq}");
    }
    gauge(
        &mut out,
        "dgns_witness_not_followed",
        "1 for a log with a line by a key that its LogConfs do not lead to; why.",
    );
    for standing in &witness {
        if let Some(code) = standing.keys.trouble {
            let origin = &standing.origin;
            let _ = writeln!(out, "dgns_witness_not_followed{{origin=\"{origin}\",code=\"{code}\"}} 1");
        }
    }
    gauge(&mut out, "dgns_witness_evidence_files", "Evidence files kept.");
    let _ = writeln!(out, "dgns_witness_evidence_files {}", roles.evidence.names().len());
    let name = "dgns_witness_reports_total";
    let _ = write!(out, "# HELP {name} Evidence told to other logs and the own.\n# TYPE {name} counter\n");
    for (outcome, counter) in [("taken", &roles.reports.taken), ("refused", &roles.reports.refused)] {
        let _ = writeln!(out, "{name}{{outcome=\"{outcome}\"}} {}", counter.load(Ordering::Relaxed));
    }
    gauge(&mut out, "dgns_verifier_replayed", "Entries replayed.");
    for (origin, replay) in replays(&cosigners) {
        let _ = writeln!(out, "dgns_verifier_replayed{{origin=\"{origin}\"}} {}", replay.entries);
    }
    gauge(&mut out, "dgns_verifier_held_up", "1 for a log found at fault; its code and evidence file.");
    for (origin, replay) in replays(&cosigners) {
        if let Some(held) = &replay.held_up {
            let (code, file) = (&held.code, &held.evidence);
            let _ = writeln!(out, "dgns_verifier_held_up{{origin=\"{origin}\",code=\"{code}\",evidence=\"{file}\"}} 1");
        }
    }
    out
}

fn gauge(out: &mut String, name: &str, help: &str) {
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n");
}

fn replays(cosigners: &[&Cosigner]) -> Vec<(String, super::verifier::Standing)> {
    let standings = cosigners.iter().flat_map(|cosigner| cosigner.standings());
    standings.filter_map(|standing| Some((standing.origin, standing.replay?))).collect()
}

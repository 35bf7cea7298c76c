//! What the DNS part counts, and its text for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use super::answer::{DropReason, Outcome, Rcode, Transport};
use super::zone::Zone;

/// Counters since the start; each is raised without a lock.
#[derive(Debug, Default)]
pub struct Metrics {
    udp_queries: AtomicU64,
    tcp_queries: AtomicU64,
    responses: [AtomicU64; Rcode::ALL.len()],
    dropped: [AtomicU64; DropReason::ALL.len()],
}

impl Metrics {
    /// Counts a query and what became of it.
    pub fn count(&self, transport: Transport, outcome: Outcome) {
        let queries = match transport {
            Transport::Udp => &self.udp_queries,
            Transport::Tcp => &self.tcp_queries,
        };
        queries.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Outcome::Drop(reason) => self.count_drop(reason),
            Outcome::Proof { .. } | Outcome::Update => {} // not yet: whoever answers counts it
            Outcome::Reply { rcode, .. } => {
                let place = Rcode::ALL.iter().position(|&known| known == rcode);
                self.responses[place.expect("ALL has every code")].fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Counts something that was dropped.
    pub fn count_drop(&self, reason: DropReason) {
        self.dropped[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the counters in the text form of Prometheus, with what the zone knows.
    pub fn render(&self, zone: &Zone) -> String {
        let queries = [("udp", &self.udp_queries), ("tcp", &self.tcp_queries)];
        let responses = Rcode::ALL.iter().map(|rcode| rcode.name()).zip(&self.responses);
        let dropped = DropReason::ALL.iter().map(|reason| reason.name()).zip(&self.dropped);
        let mut text = String::new();
        family(&mut text, "dns_queries_total", "transport", queries.into_iter());
        family(&mut text, "dns_responses_total", "rcode", responses);
        family(&mut text, "dns_dropped_total", "reason", dropped);
        text.push_str(&format!("# TYPE dns_names gauge\ndns_names {}\n", zone.names()));
        if let Some(signing) = zone.signing() {
            let (made, owners, end_s) = (signing.signatures(), signing.owners(), signing.first_end_s());
            text.push_str(&format!("# TYPE dns_signatures_total counter\ndns_signatures_total {made}\n"));
            text.push_str(&format!("# TYPE dns_signed_owners gauge\ndns_signed_owners {owners}\n"));
            text.push_str("# TYPE dns_keys gauge\n");
            for held in signing.keys().keys() {
                let (role, stage, since_s) = (held.key.role(), held.stage.name(), held.since_s);
                text.push_str(&format!("dns_keys{{role=\"{role}\",stage=\"{stage}\"}} {since_s}\n"));
            }
            text.push_str(&format!(
                "# TYPE dns_signature_first_end_seconds gauge\ndns_signature_first_end_seconds {end_s}\n"
            ));
        }
        text
    }
}

fn family<'m>(text: &mut String, name: &str, label: &str, values: impl Iterator<Item = (&'static str, &'m AtomicU64)>) {
    text.push_str(&format!("# TYPE {name} counter\n"));
    for (value_of, value) in values {
        text.push_str(&format!("{name}{{{label}=\"{value_of}\"}} {}\n", value.load(Ordering::Relaxed)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn render_names_every_counter_once() {
        let metrics = Metrics::default();
        metrics.count(Transport::Udp, Outcome::Reply { rcode: Rcode::NxDomain, is_known: false });
        metrics.count(Transport::Tcp, Outcome::Drop(DropReason::Short));
        let zone = Zone::new("dgns.test", &super::super::zone::Settings::for_zone("dgns.test")).unwrap();
        let text = metrics.render(&zone);
        for line in [
            "dns_queries_total{transport=\"udp\"} 1",
            "dns_queries_total{transport=\"tcp\"} 1",
            "dns_responses_total{rcode=\"NXDOMAIN\"} 1",
            "dns_responses_total{rcode=\"NOERROR\"} 0",
            "dns_dropped_total{reason=\"short\"} 1",
            "dns_names 0",
        ] {
            assert_eq!(text.lines().filter(|&l| l == line).count(), 1, "{line} in {text}");
        }
    }
}

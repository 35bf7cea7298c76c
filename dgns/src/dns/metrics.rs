//! What the DNS part counts, and its text for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use super::answer::{DropReason, Outcome, Rcode, Transport};
use super::zone::Zone;

/// Counters since the start; each is raised without a lock.
#[derive(Debug, Default)]
pub struct Metrics {
    queries: [AtomicU64; Transport::ALL.len()],
    responses: [AtomicU64; Rcode::ALL.len()],
    dropped: [AtomicU64; DropReason::ALL.len()],
    transfers: [AtomicU64; Transferred::ALL.len()],
    transfer_bytes: AtomicU64,
    notifies: [AtomicU64; Notified::ALL.len()],
    copies: [AtomicU64; Copied::ALL.len()],
    /// 0: the zone is no copy, or there is none yet.
    copy_heard_s: AtomicU64,
    orders: [AtomicU64; Ordered::ALL.len()],
    /// 0: there is no ALIAS, or nobody answered yet.
    alias_s: AtomicU64,
    /// 0: there is no certificate, or nobody can say.
    certificate_end_s: AtomicU64,
}

/// What became of a query for a copy of the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Transferred {
    /// The whole zone was sent.
    Whole = 0,
    /// What had changed was.
    Changes = 1,
    /// Nothing had changed, or a datagram was told the newest serial.
    Current = 2,
    /// It was refused, a signed query of another kind among them.
    Refused = 3,
    /// It was not sent to its end.
    Failed = 4,
}

impl Transferred {
    /// Every outcome with its name, in order.
    const ALL: [&'static str; 5] = ["axfr", "ixfr", "current", "refused", "failed"];
}

/// What became of a notice to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Notified {
    /// The peer heard it.
    Heard = 0,
    /// The peer refused it.
    Refused = 1,
    /// It said nothing, however often it was told.
    Unheard = 2,
}

impl Notified {
    /// Every outcome with its name, in order.
    const ALL: [&'static str; 3] = ["heard", "refused", "unheard"];
}

/// What became of a question for a copy of the zone that this server serves, or which one is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Copied {
    /// The whole zone came, and is shown.
    Whole = 0,
    /// What had changed did.
    Changes = 1,
    /// Nothing had changed.
    Current = 2,
    /// What was kept from before is shown.
    Kept = 3,
    /// It was refused as a whole.
    Refused = 4,
    /// It did not come.
    Failed = 5,
}

impl Copied {
    /// Every outcome with its name, in order.
    const ALL: [&'static str; 6] = ["axfr", "ixfr", "current", "kept", "refused", "failed"];
}

/// What became of an order of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ordered {
    /// It was given, and is kept.
    Issued = 0,
    /// It was not.
    Failed = 1,
}

impl Ordered {
    /// Every outcome with its name, in order.
    const ALL: [&'static str; 2] = ["issued", "failed"];
}

impl Metrics {
    /// Counts a query and what became of it.
    pub fn count(&self, transport: Transport, outcome: Outcome) {
        self.queries[transport as usize].fetch_add(1, Ordering::Relaxed);
        match outcome {
            Outcome::Drop(reason) => self.count_drop(reason),
            Outcome::Proof { .. } | Outcome::Update | Outcome::Transfer => {} // not yet: whoever answers counts it
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

    /// Counts what became of a query for a copy.
    pub fn count_transfer(&self, transferred: Transferred) {
        self.transfers[transferred as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the bytes of a copy.
    pub fn count_transfer_bytes(&self, bytes: u64) {
        self.transfer_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts what became of a notice.
    pub fn count_notify(&self, notified: Notified) {
        self.notifies[notified as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what became of an order of a certificate.
    pub fn count_order(&self, ordered: Ordered) {
        self.orders[ordered as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what became of a question for a copy.
    pub fn count_copied(&self, copied: Copied) {
        self.copies[copied as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Notes when the primary said last that nothing is newer than what is shown, unix seconds.
    pub fn note_copy_heard(&self, heard_s: u64) {
        self.copy_heard_s.store(heard_s, Ordering::Relaxed);
    }

    /// Notes that the addresses of ALIAS were found, unix seconds.
    pub fn note_alias(&self, now_s: u64) {
        self.alias_s.store(now_s, Ordering::Relaxed);
    }

    /// Notes until when the certificate of encrypted DNS is good, unix seconds.
    pub fn note_certificate_end(&self, end_s: u64) {
        self.certificate_end_s.store(end_s, Ordering::Relaxed);
    }

    /// Returns the counters in the text form of Prometheus, with what the zone knows.
    pub fn render(&self, zone: &Zone) -> String {
        let queries = Transport::ALL.iter().map(|transport| transport.name()).zip(&self.queries);
        let responses = Rcode::ALL.iter().map(|rcode| rcode.name()).zip(&self.responses);
        let dropped = DropReason::ALL.iter().map(|reason| reason.name()).zip(&self.dropped);
        let mut text = String::new();
        family(&mut text, "dns_queries_total", "transport", queries);
        family(&mut text, "dns_responses_total", "rcode", responses);
        family(&mut text, "dns_dropped_total", "reason", dropped);
        let transfers = Transferred::ALL.into_iter().zip(&self.transfers);
        let notifies = Notified::ALL.into_iter().zip(&self.notifies);
        family(&mut text, "dns_transfers_total", "kind", transfers);
        family(&mut text, "dns_notifies_total", "result", notifies);
        family(&mut text, "dns_certificate_orders_total", "result", Ordered::ALL.into_iter().zip(&self.orders));
        let (bytes, serial, journal) =
            (self.transfer_bytes.load(Ordering::Relaxed), zone.serial(), zone.journal_bytes());
        text.push_str(&format!("# TYPE dns_transfer_bytes_total counter\ndns_transfer_bytes_total {bytes}\n"));
        text.push_str(&format!("# TYPE dns_serial gauge\ndns_serial {serial}\n"));
        text.push_str(&format!("# TYPE dns_journal_bytes gauge\ndns_journal_bytes {journal}\n"));
        text.push_str(&format!("# TYPE dns_names gauge\ndns_names {}\n", zone.names()));
        let end_s = self.certificate_end_s.load(Ordering::Relaxed);
        if end_s > 0 {
            text.push_str(&format!("# TYPE dns_certificate_end_seconds gauge\ndns_certificate_end_seconds {end_s}\n"));
        }
        if zone.is_copied() {
            family(&mut text, "dns_copies_total", "kind", Copied::ALL.into_iter().zip(&self.copies));
            let (heard_s, failed, waiting) =
                (self.copy_heard_s.load(Ordering::Relaxed), zone.failed_sets(), zone.waiting_names());
            text.push_str(&format!("# TYPE dns_copy_heard_seconds gauge\ndns_copy_heard_seconds {heard_s}\n"));
            text.push_str(&format!("# TYPE dns_copy_failed_sets gauge\ndns_copy_failed_sets {failed}\n"));
            text.push_str(&format!("# TYPE dns_copy_waiting_names gauge\ndns_copy_waiting_names {waiting}\n"));
        }
        if zone.alias().is_some() {
            let found_s = self.alias_s.load(Ordering::Relaxed);
            text.push_str(&format!("# TYPE dns_alias_found_seconds gauge\ndns_alias_found_seconds {found_s}\n"));
        }
        text.push_str(&format!("# TYPE dns_card_bytes gauge\ndns_card_bytes {}\n", zone.card_bytes()));
        let ((load_ms, is_loaded), (made_s, bytes)) = (zone.snapshots.load(), zone.snapshots.newest());
        let from = if is_loaded { "snapshot" } else { "database" };
        text.push_str(&format!("# TYPE dns_load_ms gauge\ndns_load_ms{{from=\"{from}\"}} {load_ms}\n"));
        text.push_str(&format!("# TYPE dns_snapshot_seconds gauge\ndns_snapshot_seconds {made_s}\n"));
        text.push_str(&format!("# TYPE dns_snapshot_bytes gauge\ndns_snapshot_bytes {bytes}\n"));
        if let Some(signing) = zone.signing() {
            let (made, owners, end_s) = (signing.signatures(), signing.owners(), signing.first_end_s());
            text.push_str(&format!("# TYPE dns_signatures_total counter\ndns_signatures_total {made}\n"));
            text.push_str(&format!("# TYPE dns_signed_owners gauge\ndns_signed_owners {owners}\n"));
            text.push_str("# TYPE dns_keys gauge\n");
            for held in signing.keyring().iter().flat_map(|keys| keys.keys()) {
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
        metrics.count(Transport::Tls, Outcome::Drop(DropReason::Handshake));
        metrics.count_transfer(Transferred::Refused);
        metrics.count_transfer_bytes(7);
        metrics.count_notify(Notified::Unheard);
        metrics.count_order(Ordered::Failed);
        let zone = Zone::new("dgns.test", &super::super::zone::Settings::for_zone("dgns.test")).unwrap();
        let text = metrics.render(&zone);
        for line in [
            "dns_queries_total{transport=\"udp\"} 1",
            "dns_queries_total{transport=\"tcp\"} 1",
            "dns_queries_total{transport=\"tls\"} 1",
            "dns_queries_total{transport=\"https\"} 0",
            "dns_queries_total{transport=\"quic\"} 0",
            "dns_dropped_total{reason=\"handshake\"} 1",
            "dns_responses_total{rcode=\"NXDOMAIN\"} 1",
            "dns_responses_total{rcode=\"NOERROR\"} 0",
            "dns_dropped_total{reason=\"short\"} 1",
            "dns_names 0",
            "dns_card_bytes 1064960",
            "dns_transfers_total{kind=\"refused\"} 1",
            "dns_transfers_total{kind=\"axfr\"} 0",
            "dns_transfer_bytes_total 7",
            "dns_notifies_total{result=\"unheard\"} 1",
            "dns_certificate_orders_total{result=\"issued\"} 0",
            "dns_certificate_orders_total{result=\"failed\"} 1",
            "dns_serial 0",
            "dns_journal_bytes 0",
            "dns_load_ms{from=\"database\"} 0",
            "dns_snapshot_seconds 0",
            "dns_snapshot_bytes 0",
        ] {
            assert_eq!(text.lines().filter(|&l| l == line).count(), 1, "{line} in {text}");
        }
    }
}

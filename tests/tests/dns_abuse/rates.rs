//! How many answers one network gets (PROTOCOL 13.1), over real sockets.

use std::net::UdpSocket;
use std::time::Duration;

use dgns_tests::harness::{Person, Server, Site, wait};

use crate::counter;
use crate::wire::{A, asker, is_slip, over_tcp, query, rcode};

/// The limit of a second; a fourth of it for denials.
const PER_S: usize = 40;

/// How many ask, so that the kernel spreads them over all workers; and how often each.
const ASKERS: usize = 50;
const EACH: usize = 8;

/// What became of a burst.
#[derive(Debug)]
struct Burst {
    whole: usize,
    cut: usize,
    dropped: usize,
    took: Duration,
}

/// Asks from many ports at once; returns once every query was answered or dropped.
fn burst(server: &Server, name: &str, code: u8, cookie: Option<&[u8]>) -> Burst {
    let sockets: Vec<UdpSocket> = (0..ASKERS).map(|_| asker(server.dns)).collect();
    let dropped = || counter(server, "dns_dropped_total{reason=\"rate\"}") as usize;
    let taken = || counter(server, "dns_queries_total{transport=\"udp\"}") as usize;
    let (dropped_before, taken_before) = (dropped(), taken());
    let (dropped, took) = wait::timed(|| {
        for socket in (0..EACH).flat_map(|_| &sockets) {
            socket.send(&query(7, name, A, cookie)).expect("it is sent");
        }
        wait::until("every query is judged", || (taken() - taken_before == ASKERS * EACH).then_some(()));
        dropped() - dropped_before
    });
    sockets.iter().for_each(|socket| socket.set_nonblocking(true).expect("a socket"));
    let (mut whole, mut cut, mut buffer) = (0, 0, [0; 4_096]);
    wait::until("every answer is there", || {
        for socket in &sockets {
            while let Ok(bytes) = socket.recv(&mut buffer) {
                match is_slip(&buffer[..bytes]) {
                    true => cut += 1,
                    false => {
                        assert_eq!(rcode(&buffer), code);
                        whole += 1;
                    }
                }
            }
        }
        (whole + cut + dropped == ASKERS * EACH).then_some(())
    });
    Burst { whole, cut, dropped, took }
}

#[test]
fn a_network_gets_what_was_promised_from_all_workers_together() {
    // Goal: whoever asks from many ports, and so meets every worker, gets the limit once, not once a worker; of the rest half is a hint to come by TCP. Method:
    // bursts at a server with eight workers whose loopback is limited like all else; how many limits may have passed is told by how long the burst took.
    let site = Site::new().with("dns", "udp_threads", "8").with("dns", "answers_per_s", &PER_S.to_string());
    let limited = site.with("dns", "answers_exempt", "[]");
    let (server, alice) = (limited.start(), Person::new());
    alice.up(&server, "alice");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    for (name, code, per_s) in [("alice.dgns.test", 0, PER_S), ("nobody.dgns.test", 3, PER_S / 4)] {
        let said = burst(&server, name, code, None);
        let seconds = said.took.as_secs() as usize + 2; // those that the burst touched
        assert!((per_s..=per_s * seconds).contains(&said.whole), "{name}: {said:?}");
        assert!(said.cut.abs_diff(said.dropped) <= seconds, "every second one above the limit: {name}: {said:?}");
    }
    let first = over_tcp(server.dns, &[query(1, "alice.dgns.test", A, Some(&[1; 8]))]).remove(0);
    let cookie = &first[first.len() - 24..]; // the client's and the server's, the last that is said
    let said = burst(&server, "alice.dgns.test", 0, Some(cookie));
    assert_eq!(said.whole, ASKERS * EACH, "whoever is where it says is not limited: {said:?}");
    let queries = vec![query(1, "alice.dgns.test", A, None); ASKERS * EACH];
    assert!(over_tcp(server.dns, &queries).iter().all(|answer| !is_slip(answer)), "nor over TCP");
}

#[test]
fn exempt_networks_get_any_number() {
    // Goal: this machine by default, others if the operator says so. Method: the same burst.
    let plain = Site::new().with("dns", "answers_per_s", "1");
    let named = Site::new().with("dns", "answers_per_s", "1").with("dns", "answers_exempt", "[\"127.0.0.1/32\"]");
    for site in [plain, named] {
        let server = site.start();
        let said = burst(&server, "nobody.dgns.test", 3, None);
        assert_eq!(said.whole, ASKERS * EACH, "{said:?}");
    }
    let site = Site::new().with("dns", "answers_exempt", "[\"127.0.0.1\"]");
    let said = site.start_in_vain();
    assert!(said.to_string().contains("\"127.0.0.1\" should be a network such as 192.0.2.0/24"), "{said}");
}

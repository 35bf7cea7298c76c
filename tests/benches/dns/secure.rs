//! Encrypted DNS beside hickory's own server: the same names and addresses, one certificate, one thread each, answers of one record without signatures.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use dgns_tests::harness::certificate::Authority;
use dgns_tests::harness::programs;

use crate::queries::{self, Kind, Road};
use crate::servers::Peer;
use crate::{ZONE, load, wire};

/// Measures both in turn on the first core, asked over a few connections from the second. hickory's takes messages over HTTPS by POST alone.
pub fn run(directory: &Path, names: usize) {
    let mut text = String::new();
    for number in 0..names {
        writeln!(text, "{} {}", load::label(number), Ipv4Addr::from(load::address(number)))
            .expect("a string takes everything");
    }
    let addresses = directory.join("addresses");
    std::fs::write(&addresses, text).expect("the directory takes files");
    let authority = Authority::new();
    let certificate = authority.signs("served", "ns.dgns.test");
    let peers = [Peer::dgnsd(directory, &[], Some(&certificate)), Peer::hickory(&addresses, &certificate)];
    peers.iter().for_each(Peer::pin);
    for (peer, road) in peers.iter().flat_map(|peer| [(peer, "+tls"), (peer, "+https")]) {
        let port = if road == "+tls" { peer.ports.tls } else { peer.ports.https };
        let mut kdig = Command::new("kdig");
        kdig.args(["@127.0.0.1", "-p", &port.to_string(), "+short", road, &format!("{}.{ZONE}", load::label(0)), "A"]);
        let said = programs::run(kdig, "").exits(0).stdout.clone();
        assert_eq!(said.trim(), Ipv4Addr::from(load::address(0)).to_string(), "{} by {road}", peer.name);
    }
    queries::head();
    queries::in_turn(&peers, Road::Tls, Kind::Address, &Kind::Address.file(directory, names), "A, there, DNS over TLS");
    let message = directory.join("message");
    std::fs::write(&message, wire::query(0, &format!("{}.{ZONE}", load::label(0)), wire::TYPE_A))
        .expect("the directory takes files");
    queries::in_turn(&peers, Road::Https, Kind::Address, &message, "A, there, DNS over HTTPS");
}

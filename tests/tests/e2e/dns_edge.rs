//! A follower whose DNS is signed: real primary, real edge, validators in front, and a primary that lies.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use dgns_tests::harness::certificate::Authority;
use dgns_tests::harness::load::{Poster, Somebody};
use dgns_tests::harness::unbound::Unbound;
use dgns_tests::harness::{Person, Server, Site, ports, wait};

use crate::dns_transfers::{KEY, counter};
use crate::dns_updates::{key_file, nsupdate};
use crate::dnssec::{Delv, SECURE, dig, ds, populated};

/// The name in the primary's certificate.
const HOST: &str = "ns.dgns.test";

/// Where a primary and its edge are.
struct Places {
    primary: Site,
    edge: Site,
    dns: SocketAddr,
}

fn place() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], ports::free()))
}

fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

/// Writes the key that both sign with; returns its path as TOML has it.
fn key(site: &Site) -> String {
    let file = site.file("copy.tsig", &format!("{KEY}\n"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    quoted(&file)
}

/// Returns a site that follows `url`, and copies from `primary`, with more said of that.
fn edge_of(dns: SocketAddr, url: &str, primary: SocketAddr, more: &str) -> Site {
    let site = Site::new().with("follow", "url", &format!("{url:?}")).with("dns", "dnssec", "\"copy\"");
    let key = key(&site);
    let from = format!("{{ address = \"{primary}\", key = {key}{more} }}");
    site.with("dns", "listen", &format!("[\"{dns}\"]")).with("dns", "primary", &from)
}

/// Returns a site whose zone the edge at `edge` copies from `dns`.
fn primary_of(dns: SocketAddr, edge: SocketAddr, more: &str) -> Site {
    let site = Site::new().with("dns", "listen", &format!("[\"{dns}\"]"));
    let key = key(&site);
    site.with("dns", "peer", &format!("[{{ address = \"{edge}\", key = {key}{more} }}]"))
}

impl Places {
    fn new() -> Self {
        let (dns, edge) = (place(), place());
        let primary = primary_of(dns, edge, "").with("http", "listen", &format!("\"{}\"", place()));
        Self { primary, edge: Site::new(), dns: edge }.from(dns)
    }

    fn from(self, dns: SocketAddr) -> Self {
        Self { edge: edge_of(self.dns, "", dns, ""), ..self }
    }

    /// Starts the edge of a server.
    fn start_edge(&mut self, server: &Server) -> Server {
        let site = std::mem::replace(&mut self.edge, Site::new());
        self.edge = site.with("follow", "url", &format!("{:?}", server.url));
        self.edge.start()
    }
}

/// Waits until the edge serves, signed, whatever the primary serves.
fn same(delv: &Delv, edge: &Server, cases: &[(&str, &str, &str)]) {
    for (name, rtype, part) in cases {
        wait::until(&format!("{name} {rtype} is validated at the edge"), || {
            let said = delv.asks(edge.dns, name, rtype);
            let is_denied = said.contains("; negative response");
            (said.contains("fully validated") && said.contains(part) && is_denied == part.is_empty()).then_some(())
        });
    }
}

fn fails(edge: &Server, name: &str, rtype: &str) -> bool {
    let is_refused = |options: &[&str]| {
        let said = dig(edge.dns, &[options, &[name, rtype]].concat());
        said.contains("SERVFAIL") && said.contains("EDE: 24") && said.contains("ANSWER: 0")
    };
    is_refused(&["+dnssec"]) && is_refused(&[])
}

#[test]
fn an_edge_serves_the_zone_signed_and_goes_on_alone() {
    // Goal: what the primary signs is validated at the edge: certified, made, denied, written by a device, taken away; a name is denied before it is
    // claimed, and there behind; after a kill without the primary all of it again; the keys that are believed are said. Method: delv with the primary's DS,
    // unbound in front, nsupdate at the primary.
    let mut places = Places::new();
    let (server, alice) = populated(&places.primary);
    let edge = places.start_edge(&server);
    let delv = Delv::of(&places.primary);
    same(&delv, &edge, &SECURE);
    let unbound = Unbound::before(edge.dns, "dgns.test", Some(&ds(&places.primary)));
    for (name, rtype, part) in SECURE {
        let said = dig(unbound.address, &["+dnssec", name, rtype]);
        assert!(said.contains(" ad;") && said.contains(part), "{name} {rtype}: {said}");
    }
    let reader = Person::new();
    reader.dgns(&edge, &["resolve", "alice"]).exits(0);
    let proved = reader.dgns(&edge, &["resolve", "alice", "--dns", &edge.dns.to_string()]);
    assert_eq!(proved.exits(0).json()["status"], "present");

    same(&delv, &edge, &[("_did.bobby.dgns.test", "TXT", ""), ("bobby.dgns.test", "A", "")]);
    let bobby = Person::new();
    bobby.up(&server, "bobby");
    bobby.dgns(&server, &["records", "set", "bobby", "A", "192.0.2.9"]).exits(0);
    same(&delv, &edge, &[("_did.bobby.dgns.test", "TXT", "did=did:dgns:"), ("bobby.dgns.test", "A", "192.0.2.9")]);
    let hers = key_file(&alice, &server, "alice");
    let written = ("_acme-challenge.alice.dgns.test", "TXT");
    for (line, part) in [
        ("add _acme-challenge.alice.dgns.test 60 TXT \"one\"", "\"one\""),
        ("del _acme-challenge.alice.dgns.test TXT", ""),
        ("add _acme-challenge.alice.dgns.test 60 TXT \"two\"", "\"two\""),
    ] {
        assert_eq!(nsupdate(&server, &["-v", "-k", &hers], &[line]), "NOERROR");
        same(&delv, &edge, &[(written.0, written.1, part)]);
    }
    alice.dgns(&server, &["records", "remove", "alice", "AAAA"]).exits(0);
    same(&delv, &edge, &[("alice.dgns.test", "AAAA", ""), ("alice.dgns.test", "A", "192.0.2.1")]);
    let digest = format!("1 13 2 {}", "AB".repeat(32));
    bobby.dgns(&server, &["delegate", "bobby", "--ns", "ns.bobby.dgns.test=192.0.2.61", "--ds", &digest]).exits(0);
    same(&delv, &edge, &[("bobby.dgns.test", "DS", "1 13 2")]);
    let referral = dig(edge.dns, &["+norec", "+dnssec", "x.bobby.dgns.test", "A"]);
    for part in ["IN\tNS\tns.bobby.dgns.test.", "RRSIG\tDS", "IN\tA\t192.0.2.61"] {
        assert!(referral.contains(part), "{part}: {referral}");
    }
    assert!(counter(&edge, "dns_copies_total{kind=\"ixfr\"}") > 0, "{}", edge.get("/metrics").text());
    assert_eq!(counter(&edge, "dns_copy_failed_sets"), 0);
    wait::until("the edge took everything", || (counter(&edge, "dns_copy_waiting_names") == 0).then_some(()));
    wait::until("it is kept", || {
        let (serial, said) = (counter(&edge, "dns_serial"), places.edge.dgnsd(&["dnssec", "status"]).stdout);
        (said.contains(&format!("serial {serial}\n")) && said.contains("believed dgns.test IN DS")).then_some(())
    });

    server.stop().exits(0);
    edge.kill();
    let edge = places.edge.start();
    let all: Vec<_> = SECURE.iter().filter(|case| case.1 != "AAAA").copied().collect();
    same(&delv, &edge, &all);
    same(&delv, &edge, &[(written.0, written.1, "\"two\""), ("bobby.dgns.test", "DS", "1 13 2")]);
    assert!(
        counter(&edge, "dns_copies_total{kind=\"kept\"}") == 1
            && counter(&edge, "dns_copies_total{kind=\"axfr\"}") == 0
    );

    let server = places.primary.start();
    assert_eq!(nsupdate(&server, &["-v", "-k", &hers], &["add alice.dgns.test 60 AAAA 2001:db8::77"]), "NOERROR");
    same(&delv, &edge, &[("alice.dgns.test", "AAAA", "2001:db8::77")]);
}

#[test]
fn an_edge_copies_over_tls_and_is_told_of_changes() {
    // Goal: RFC 9103: a primary that gives copies over TLS alone gives one to the edge that believes its certificate, and none to one that does not; NOTIFY
    // is heard; what the primary was not heard of for too long is served no longer.
    let authority = Authority::new();
    let served = authority.signs("served", HOST);
    let (dns, dot, at) = (place(), place(), place());
    let primary = primary_of(dns, at, ", tls = true").with("dns", "dot", &format!("[\"{dot}\"]"));
    let primary = primary.with("dns.tls", "certificate", &quoted(&served.certificate)).with(
        "dns.tls",
        "key",
        &quoted(&served.key),
    );
    let (server, alice) = populated(&primary);
    let delv = Delv::of(&primary);
    let over = |root: &Path| format!(", tls_name = \"{HOST}\", tls_ca = {}", quoted(root));
    let stranger = Authority::new();
    let edge = edge_of(at, &server.url, dot, &over(&stranger.root())).start();
    wait::until("another's certificate is not believed", || {
        (counter(&edge, "dns_copies_total{kind=\"failed\"}") > 0).then_some(())
    });
    assert!(dig(edge.dns, &["alice.dgns.test", "A"]).contains("EDE: 14"), "there is nothing to serve");
    drop(edge);
    let edge = edge_of(at, &server.url, dot, &over(&authority.root())).with("follow", "max_stale_s", "1").start();
    same(&delv, &edge, &SECURE);
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.2"]).exits(0);
    same(&delv, &edge, &[("alice.dgns.test", "A", "192.0.2.2")]);
    wait::until("the edge heard", || (counter(&server, "dns_notifies_total{result=\"heard\"}") > 0).then_some(()));
    let notice = dig(edge.dns, &["+opcode=notify", "dgns.test", "SOA"]);
    assert!(notice.contains("REFUSED") && notice.contains("EDE: 18"), "{notice}");
    server.kill();
    wait::until("what is too old is served no longer", || {
        dig(edge.dns, &["alice.dgns.test", "A"]).contains("EDE: 14").then_some(())
    });
    let proof = dig(edge.dns, &["+tcp", "alice._proof.dgns.test", "TXT"]);
    assert!(proof.contains("NOERROR") && proof.contains("ANSWER: 1"), "proofs need nobody's signature: {proof}");
}

#[test]
fn what_the_log_does_not_say_is_not_served_whoever_signed_it() {
    // Goal: a primary that has the zone's keys cannot make an edge serve an address that is not certified, hide a name, or show one of nobody; the rest is
    // served; nothing of a zone with other keys is. Method: two servers with the same keys of DNS and other logs; one is followed, the other one copied.
    let (honest_dns, evil_dns, at) = (place(), place(), place());
    let honest_site = primary_of(honest_dns, at, "");
    let honest = honest_site.start();
    let evil_site = primary_of(evil_dns, at, "");
    std::fs::create_dir_all(evil_site.data().join("keys")).unwrap();
    let keys = "keys/dnssec.keys";
    std::fs::copy(honest_site.data().join(keys), evil_site.data().join(keys)).unwrap();
    let evil = evil_site.start();
    let post = |server: &Server, somebody: &Somebody, certificates: &[_]| {
        Poster::new(server.vkey()).post(server.http, certificates, &somebody.subject()).unwrap();
    };
    let (mut carol, born) = Somebody::new("carol", 1);
    let same_at_both = carol.points_to([192, 0, 2, 3]);
    for server in [&honest, &evil] {
        post(server, &carol, &born);
        post(server, &carol, std::slice::from_ref(&same_at_both));
    }
    let (mut alice, born) = Somebody::new("alice", 1);
    for server in [&honest, &evil] {
        post(server, &alice, &born);
    }
    let place = alice.next;
    let hers = alice.points_to([192, 0, 2, 1]);
    alice.next = place;
    let other = alice.points_to([192, 0, 2, 66]);
    post(&honest, &alice, &[hers]);
    post(&evil, &alice, &[other]);
    let (bobby, born) = Somebody::new("bobby", 1);
    post(&honest, &bobby, &born);
    let (mut zoe, born) = Somebody::new("zoe", 1);
    post(&evil, &zoe, &born);
    let address = zoe.points_to([192, 0, 2, 66]);
    post(&evil, &zoe, &[address]);

    let ds = ds(&honest_site);
    let data = ds.split(" IN DS ").nth(1).unwrap();
    let edge = edge_of(at, &honest.url, evil_dns, &format!(", ds = \"{data}\"")).start();
    let delv = Delv::of(&honest_site);
    same(&delv, &edge, &[("carol.dgns.test", "A", "192.0.2.3"), ("dgns.test", "SOA", "hostmaster")]);
    assert!(fails(&edge, "alice.dgns.test", "A"), "{}", dig(edge.dns, &["alice.dgns.test", "A"]));
    assert!(fails(&edge, "_did.bobby.dgns.test", "TXT"), "withheld");
    assert!(fails(&edge, "zoe.dgns.test", "A"), "of nobody, and the primary says otherwise");
    assert!(counter(&edge, "dns_copy_failed_sets") > 2, "{}", edge.get("/metrics").text());
    drop(edge);

    let stranger = format!(", ds = \"1 13 2 {}\"", "AB".repeat(32));
    let edge = edge_of(at, &honest.url, honest_dns, &stranger).start();
    wait::until("the keys are another's", || (counter(&edge, "dns_copies_total{kind=\"refused\"}") > 0).then_some(()));
    assert!(dig(edge.dns, &["carol.dgns.test", "A"]).contains("EDE: 14"));
}

#[test]
fn who_keeps_a_log_signs_its_zone() {
    let site = Site::new();
    let key = key(&site);
    let primary = format!("{{ address = \"{}\", key = {key} }}", place());
    let said = site.with("dns", "dnssec", "\"copy\"").with("dns", "primary", &primary).start_in_vain();
    assert!(said.exits(1).stderr.contains("\"copy\" is for a follower"), "{said}");
}

#[test]
fn an_edge_believes_the_key_that_a_believed_one_vouches_for() {
    // Goal: rolls of both keys at the primary are followed while validators with the old DS, then with the new one, are content; in the end the edge believes
    // the new key alone, also after a restart with the old DS in its configuration.
    let (dns, at) = (place(), place());
    let times = [("dnssec_step_s", "2"), ("dnssec_parent_s", "1")];
    let primary = times.into_iter().fold(primary_of(dns, at, ""), |site, (key, value)| site.with("dns", key, value));
    let (server, _alice) = populated(&primary);
    let (old_ds, old) = (ds(&primary), Delv::of(&primary));
    let data = |ds: &str| ds.split(" IN DS ").nth(1).unwrap().to_owned();
    let site = edge_of(at, &server.url, dns, &format!(", ds = \"{}\"", data(&old_ds)));
    let edge = site.start();
    same(&old, &edge, &SECURE);
    primary.dgnsd(&["dnssec", "roll", "zsk"]).exits(0);
    wait::until("the roll begins", || (primary.dgnsd(&["dnssec", "status"]).stdout.lines().count() > 2).then_some(()));
    primary.dgnsd(&["dnssec", "roll", "ksk"]).exits(0);
    wait::until("the parent is asked for the new DS", || (ds(&primary) != old_ds).then_some(()));
    let new = Delv::of(&primary);
    same(&old, &edge, &SECURE);
    same(&new, &edge, &SECURE);
    primary.dgnsd(&["dnssec", "seen"]).exits(0);
    let believed = format!("believed dgns.test IN DS {}\n", data(&ds(&primary)));
    wait::until("the new key alone is believed", || {
        let said = site.dgnsd(&["dnssec", "status"]).stdout;
        (said.ends_with(&believed) && said.matches("believed").count() == 1).then_some(())
    });
    same(&new, &edge, &SECURE);
    edge.stop().exits(0);
    let edge = site.start();
    same(&new, &edge, &SECURE);
    assert_eq!(counter(&edge, "dns_copies_total{kind=\"refused\"}"), 0);
}

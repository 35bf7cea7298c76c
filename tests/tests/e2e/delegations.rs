//! Names that another server answers for: as a resolver that validates finds its way there, and as a lookup that proves does.

use std::net::SocketAddr;
use std::process::Command;

use dgns_tests::harness::programs::run;
use dgns_tests::harness::unbound::Unbound;
use dgns_tests::harness::{Person, Server, Site, ports};

use crate::dns_updates::{key_file, nsupdate};

const CHILD: &str = "alice.dgns.test";

/// A server, one whose zone is a name of it, and who has the name and one below.
struct Family {
    site: Site,
    parent: Server,
    child: Server,
    alice: Person,
    carol: Person,
    /// The address that the child's own name server has: resolvers ask at port 53 alone.
    host: String,
    _child_site: Site,
}

impl Family {
    fn new() -> Self {
        let [high, low] = ports::free().to_be_bytes();
        let host = format!("127.53.{high}.{}", low.max(1));
        let listen = format!("[\"{host}:53\"]");
        let child_site =
            Site::new().with_zone(CHILD).with("dns", "listen", &listen).with("dns", "ns", "[\"ns.alice.dgns.test\"]");
        let (site, alice, carol) = (Site::new(), Person::new(), Person::new());
        let (parent, child) = (site.start(), child_site.start());
        alice.up(&parent, "alice");
        carol.up(&child, "photos");
        carol.dgns(&child, &["records", "set", "photos", "A", "192.0.2.9"]).exits(0);
        Self { site, parent, child, alice, carol, host, _child_site: child_site }
    }

    /// Delegates the name to the child's server, with these further arguments.
    fn delegate(&self, more: &[&str]) {
        let server = format!("ns.alice.dgns.test={}", self.host);
        self.alice.dgns(&self.parent, &[&["delegate", "alice", "--ns", &server], more].concat()).exits(0);
    }

    /// Returns a resolver with nothing in its cache that believes the parent's key.
    fn resolver(&self) -> Unbound {
        let ds = self.site.dgnsd(&["dnssec", "ds"]).exits(0).stdout.trim().to_owned();
        Unbound::before(self.parent.dns, "dgns.test", Some(&ds))
    }
}

fn dig(address: SocketAddr, options: &[&str]) -> String {
    let mut command = Command::new("dig");
    let (host, port) = (format!("@{}", address.ip()), address.port().to_string());
    command.args([&host, "-p", &port, "+tries=1", "+time=60"]).args(options);
    run(command, "").exits(0).stdout.clone()
}

/// Returns what a resolver says of a name: its status, whether it is secure, and its answers.
fn asks(resolver: &Unbound, name: &str) -> (String, bool, String) {
    let said = dig(resolver.address, &["+dnssec", name, "A"]);
    let status = said.split("status: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_default();
    let flags = said.split("flags: ").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_default();
    let answers = dig(resolver.address, &["+short", name, "A"]);
    (status.to_owned(), flags.split(' ').any(|flag| flag == "ad"), answers.trim().to_owned())
}

#[test]
fn a_validating_resolver_finds_a_delegated_name_and_believes_the_digest_in_the_log() {
    // Goal: below a cut unbound finds the child by the referral alone; with its DS all is secure, absence too, without one insecure, with a wrong one bogus;
    // taken back, the name is the parent's again. Method: two servers, the child at port 53 of an address of its own, unbound in front.
    let family = Family::new();
    let secure = |status: &str, answer: &str| (status.to_owned(), true, answer.to_owned());
    family.delegate(&["--from", &family.child.url]);
    let referral = dig(family.parent.dns, &["+norec", "+dnssec", "x.photos.alice.dgns.test", "A"]);
    assert!(!referral.contains(" aa") && referral.contains("ANSWER: 0, AUTHORITY: 3, ADDITIONAL: 2"), "{referral}");
    let resolver = family.resolver();
    assert_eq!(asks(&resolver, "photos.alice.dgns.test"), secure("NOERROR", "192.0.2.9"));
    assert_eq!(asks(&resolver, "nobody.alice.dgns.test"), secure("NXDOMAIN", ""));
    assert_eq!(asks(&resolver, "nobody.dgns.test"), secure("NXDOMAIN", ""));

    family.delegate(&[]);
    let referral = dig(family.parent.dns, &["+norec", "+dnssec", "photos.alice.dgns.test", "A"]);
    assert!(referral.contains("NSEC") && !referral.contains("IN\tDS\t"), "{referral}");
    let resolver = family.resolver();
    assert_eq!(asks(&resolver, "photos.alice.dgns.test"), ("NOERROR".to_owned(), false, "192.0.2.9".to_owned()));
    let no_ds = dig(resolver.address, &["+dnssec", "alice.dgns.test", "DS"]);
    assert!(no_ds.contains("status: NOERROR") && no_ds.contains(" ad;"), "{no_ds}");

    family.delegate(&["--ds", &format!("1 13 2 {}", "00".repeat(32))]);
    let resolver = family.resolver();
    assert_eq!(asks(&resolver, "photos.alice.dgns.test"), ("SERVFAIL".to_owned(), false, String::new()));

    let key = key_file(&family.alice, &family.parent, "alice");
    for name in ["alice.dgns.test", "x.alice.dgns.test"] {
        let said = nsupdate(&family.parent, &["-v", "-k", &key], &[&format!("add {name} 60 A 192.0.2.8")]);
        assert!(["NOTAUTH", "REFUSED"].contains(&said.as_str()), "{name}: {said}");
    }

    family.alice.dgns(&family.parent, &["delegate", "alice", "--end"]).exits(0);
    let resolver = family.resolver();
    assert_eq!(asks(&resolver, "photos.alice.dgns.test"), secure("NXDOMAIN", ""));
    assert_eq!(asks(&resolver, "alice.dgns.test"), secure("NOERROR", ""));
    drop(family.carol);
}

#[test]
fn a_delegation_is_in_the_zone_as_a_file() {
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    let digest = format!("1 13 2 {}", "AB".repeat(32));
    let servers =
        ["--ns", "ns.alice.dgns.test=192.0.2.7", "--ns", "ns.alice.dgns.test=2001:db8::7", "--ns", "ns.example"];
    alice.dgns(&server, &[&["delegate", "alice", "--ds", &digest], &servers[..]].concat()).exits(0);
    server.stop();
    let text = site.dgnsd(&["zone", "export"]);
    for line in [
        "alice.dgns.test. 300 IN NS ns.alice.dgns.test.",
        "alice.dgns.test. 300 IN NS ns.example.",
        &format!("alice.dgns.test. 300 IN DS {digest}"),
        "ns.alice.dgns.test. 300 IN A 192.0.2.7",
        "ns.alice.dgns.test. 300 IN AAAA 2001:db8::7",
    ] {
        assert!(text.exits(0).stdout.lines().any(|known| known == line), "{line}: {text}");
    }
    let of_glue = text.stdout.lines().filter(|line| line.starts_with("ns.alice.dgns.test."));
    assert_eq!((of_glue.count(), text.stdout.contains("_did.alice")), (2, false), "no signature, no NSEC");
}

#[test]
fn a_lookup_goes_from_the_log_that_delegates_to_the_log_it_names() {
    // Goal: who trusts the parent's log alone proves names of the child's: present and absent, over HTTP and over DNS; and believes no other log.
    // Method: a stranger asks the parent's server; then delegations to no log, to one that cannot be asked, to another one, and a child with another key.
    let family = Family::new();
    let (stranger, name) = (Person::new(), "photos.alice.dgns.test");
    let looks = |name: &str, more: &[&str]| stranger.dgns(&family.parent, &[&["resolve", name], more].concat());
    looks(name, &[]).exits(6);
    family.delegate(&["--from", &family.child.url]);
    let ran = looks("alice", &[]);
    assert_eq!(ran.exits(0).text("/delegate/log/url"), family.child.url);
    let ran = looks(name, &[]);
    assert_eq!(
        (ran.exits(0).text("/delegated/0"), ran.text("/records/0/value")),
        (CHILD.to_owned(), "192.0.2.9".to_owned())
    );
    assert_eq!(looks("nobody.alice.dgns.test", &[]).exits(6).text("/delegated/0"), CHILD);
    assert!(looks("nobody.dgns.test", &[]).exits(6).json()["delegated"].is_null());
    let resolver = family.resolver();
    let over_dns = looks(name, &["--dns", &resolver.address.to_string()]);
    assert_eq!(over_dns.exits(0).text("/records/0/value"), "192.0.2.9");

    // Whose log the parent's server has stays as it was, whatever URL an owner certifies.
    let evil = Person::new();
    family.alice.dgns(&family.parent, &["delegate", "alice", "--ns", "ns.example"]).exits(0);
    assert_eq!(evil.dgns(&family.parent, &["resolve", name]).exits(1).json()["ok"], false);
    let other = Site::new().with_zone(CHILD).start();
    family.alice.dgns(&family.parent, &["delegate", "alice", "--ns", "ns.example", "--from", &other.url]).exits(0);
    evil.dgns(&family.parent, &["resolve", name]).exits(6);
    looks(name, &[]).exits(3);
    evil.dgns(&family.parent, &["resolve", "alice"]).exits(0);
    for wrong in [
        &["--ns", "ns.example", "--from", &family.parent.url][..],
        &["--ns", "ns.alice.dgns.test"],
        &["--ns", "under_score.example"],
    ] {
        family.alice.dgns(&family.parent, &[&["delegate", "alice"], wrong].concat()).exits(1);
    }
    let refused = Person::with_name(&family.parent, "bob").dgns(&family.parent, &["delegate", "alice", "--end"]);
    assert_eq!(refused.exits(4).text("/code"), "not_name_owner");
}

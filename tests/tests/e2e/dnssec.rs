//! DNSSEC as validators see it: delv with the zone's DS as its anchor, and a real unbound that validates.

use std::path::PathBuf;
use std::process::Command;

use dgns_tests::harness::programs::run;
use dgns_tests::harness::unbound::Unbound;
use dgns_tests::harness::{Person, Server, Site, ports, wait};

use crate::dns_proofs::Liar;
use crate::dns_transfers::counter;
use crate::dns_updates::{key_file, nsupdate};

/// A delv with the DS of a zone as its anchor.
pub(crate) struct Delv {
    anchor: PathBuf,
}

impl Delv {
    /// Returns one that believes what the server's own command says is the DS.
    pub(crate) fn of(site: &Site) -> Self {
        let ds = ds(site);
        let [tag, algorithm, digest, hash] = ds.split(' ').skip(3).collect::<Vec<_>>()[..] else { panic!("{ds}") };
        let text = format!("trust-anchors {{ \"dgns.test.\" static-ds {tag} {algorithm} {digest} \"{hash}\"; }};\n");
        Self { anchor: site.file("anchor", &text) }
    }

    pub(crate) fn asks(&self, address: std::net::SocketAddr, name: &str, rtype: &str) -> String {
        let mut command = Command::new("delv");
        let port = address.port().to_string();
        command.args(["@127.0.0.1", "-p", &port, "+root=dgns.test", "-a"]).arg(&self.anchor).args([name, rtype]);
        let ran = run(command, "");
        format!("{}{}", ran.stdout, ran.stderr)
    }
}

/// Returns the DS of the zone as a line.
pub(crate) fn ds(site: &Site) -> String {
    site.dgnsd(&["dnssec", "ds"]).exits(0).stdout.trim().to_owned()
}

pub(crate) fn dig(address: std::net::SocketAddr, options: &[&str]) -> String {
    let mut command = Command::new("dig");
    let port = address.port().to_string();
    command.args(["@127.0.0.1", "-p", &port, "+tries=1"]).args(options);
    run(command, "").exits(0).stdout.clone()
}

/// Returns a server with names to ask for: alice has records, www is an alias, deep lies below a name of nobody.
pub(crate) fn populated(site: &Site) -> (Server, Person) {
    let (server, alice) = (site.start(), Person::new());
    alice.up(&server, "alice");
    for set in [
        &["alice", "A", "192.0.2.1"][..],
        &["alice", "AAAA", "2001:db8::1"],
        &["alice", "SRV", "0 0 5432 Alice.dgns.test.", "--owner", "_db._tcp"],
        &["alice", "CNAME", "alice.dgns.test.", "--owner", "_www"],
    ] {
        alice.dgns(&server, &[&["records", "set"], set].concat()).exits(0);
    }
    wait::until("the checkpoint is shown", || {
        (!dig(server.dns, &["+short", "+tcp", "_checkpoint.dgns.test", "TXT"]).is_empty()).then_some(())
    });
    (server, alice)
}

/// What is asked, and what a validator says beside that it is secure.
pub(crate) const SECURE: [(&str, &str, &str); 20] = [
    ("alice.dgns.test", "A", "192.0.2.1"),
    ("alice.dgns.test", "AAAA", "2001:db8::1"),
    ("_db._tcp.alice.dgns.test", "SRV", "5432"),
    ("_www.alice.dgns.test", "A", "192.0.2.1"),
    ("_www.alice.dgns.test", "TXT", "CNAME"),
    ("_did.alice.dgns.test", "TXT", "did=did:dgns:"),
    ("dgns.test", "SOA", "hostmaster"),
    ("dgns.test", "NS", "ns.dgns.test."),
    ("dgns.test", "DNSKEY", "257 3 13"),
    ("dgns.test", "CDS", "13 2"),
    ("dgns.test", "CDNSKEY", "257 3 13"),
    ("_checkpoint.dgns.test", "TXT", "dgns.test/log"),
    ("alice.dgns.test", "TXT", ""),
    ("dgns.test", "A", ""),
    ("_tcp.alice.dgns.test", "A", ""),
    ("_proof.dgns.test", "DS", ""),
    ("_checkpoint.dgns.test", "A", ""),
    ("nobody.dgns.test", "A", ""),
    ("x.y.alice.dgns.test", "A", ""),
    ("_zz.dgns.test", "A", ""),
];

#[test]
fn delv_validates_every_answer() {
    // Goal: what is there, what is not, aliases and the zone's own sets are fully validated from the DS alone, and all again after a
    // restart, and what a device writes; proofs are insecure, not bogus; a signature that was changed on its way is not believed. Method: delv.
    let site = Site::new();
    let (server, alice) = populated(&site);
    let delv = Delv::of(&site);
    let judge = |server: &Server| {
        for (name, rtype, part) in SECURE {
            let said = delv.asks(server.dns, name, rtype);
            assert!(said.contains("fully validated") && said.contains(part), "{name} {rtype}: {said}");
            assert_eq!(said.contains("; negative response"), part.is_empty(), "{name} {rtype}: {said}");
        }
    };
    judge(&server);
    let proof = delv.asks(server.dns, "alice._proof.dgns.test", "TXT");
    assert!(proof.contains("; unsigned answer"), "{proof}");
    let liar = Liar::before(server.dns);
    liar.tells(|name, mut answer| {
        if name.starts_with("alice") {
            // The last byte before the OPT with its option is of a signature.
            let at = answer.windows(5).rposition(|bytes| bytes == [0, 0, 41, 4, 208]).unwrap() - 1;
            answer[at] ^= 1;
        }
        Some(answer)
    });
    for (name, rtype) in [("alice.dgns.test", "A"), ("alice.dgns.test", "TXT")] {
        let said = delv.asks(liar.address, name, rtype);
        assert!(said.contains("resolution failed") && !said.contains("fully validated"), "{said}");
    }
    assert!(delv.asks(liar.address, "dgns.test", "SOA").contains("fully validated"));
    alice.dgns(&server, &["records", "remove", "alice", "AAAA"]).exits(0);
    let said = delv.asks(server.dns, "alice.dgns.test", "AAAA");
    assert!(said.contains("; negative response, fully validated"), "{said}");
    alice.dgns(&server, &["records", "set", "alice", "AAAA", "2001:db8::1"]).exits(0);
    let key = key_file(&alice, &server, "alice");
    for (line, wanted) in [
        ("add _acme-challenge.alice.dgns.test 60 TXT \"one\"", "\"one\""),
        ("del _acme-challenge.alice.dgns.test TXT", "; negative response"),
    ] {
        assert_eq!(nsupdate(&server, &["-v", "-k", &key], &[line]), "NOERROR");
        let said = delv.asks(server.dns, "_acme-challenge.alice.dgns.test", "TXT");
        assert!(said.contains("fully validated") && said.contains(wanted), "{line}: {said}");
    }
    drop(server);
    judge(&site.start());
}

/// The operator's own records, and what a validator says of each, and of what is beside them.
const OWN: &str = "$TTL 120
@ A 192.0.2.80
@ AAAA 2001:db8::80
@ MX 10 mail.example.
@ TXT \"v=spf1 -all\" ; no mail
@ CAA 0 issue \"ca.example\"
@ HTTPS 1 . alpn=h2
_dmarc TXT \"v=DMARC1; p=reject\"
_443._tcp TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000002
www CNAME dgns.test.
ns 3600 A 192.0.2.53
a.b.mail A 192.0.2.25
";
const OWN_SECURE: [(&str, &str, &str); 17] = [
    ("dgns.test", "A", "192.0.2.80"),
    ("dgns.test", "AAAA", "2001:db8::80"),
    ("dgns.test", "MX", "10 mail.example."),
    ("dgns.test", "TXT", "v=spf1"),
    ("dgns.test", "CAA", "ca.example"),
    ("dgns.test", "HTTPS", "alpn"),
    ("dgns.test", "NS", "ns.dgns.test."),
    ("dgns.test", "SRV", ""),
    ("_dmarc.dgns.test", "TXT", "p=reject"),
    ("_dmarc.dgns.test", "A", ""),
    ("_443._tcp.dgns.test", "TLSA", "3 1 1"),
    ("_tcp.dgns.test", "TXT", ""),
    ("_nothing.dgns.test", "TXT", ""),
    ("www.dgns.test", "A", "192.0.2.80"),
    ("ns.dgns.test", "A", "192.0.2.53"),
    ("a.b.mail.dgns.test", "A", "192.0.2.25"),
    ("b.mail.dgns.test", "A", ""),
];

#[test]
fn the_operators_records_are_signed_like_all_others() {
    // Goal: each record of the file, and each absence beside them, is fully validated; names of people stand beside them; a record where a user's could
    // stand is refused at the start. Method: delv; then the same zone unsigned by dig; then a file with one line more.
    let site = Site::new();
    let file = site.file("apex", OWN);
    let site = site.with("dns", "apex_file", &format!("{:?}", file.display().to_string()));
    let (server, _alice) = populated(&site);
    let delv = Delv::of(&site);
    for (name, rtype, part) in
        OWN_SECURE.iter().chain(SECURE.iter().filter(|case| (case.0, case.1) != ("dgns.test", "A")))
    {
        let said = delv.asks(server.dns, name, rtype);
        assert!(said.contains("fully validated") && said.contains(part), "{name} {rtype}: {said}");
        assert_eq!(said.contains("; negative response"), part.is_empty(), "{name} {rtype}: {said}");
    }
    drop(server);
    std::fs::write(&file, format!("{OWN}alice A 192.0.2.66\n")).unwrap();
    let said = site.start_in_vain();
    assert!(said.to_string().contains("apex, line 13: alice.dgns.test could be claimed by a user"), "{said}");
    std::fs::write(&file, OWN).unwrap();
    let unsigned = Site::new().with("dns", "dnssec", "false");
    let server = unsigned.with("dns", "apex_file", &format!("{:?}", file.display().to_string())).start();
    for (name, rtype, part) in OWN_SECURE {
        let said = dig(server.dns, &[name, rtype]);
        let wanted = if name == "_nothing.dgns.test" { "NXDOMAIN" } else { "NOERROR" };
        assert!(
            said.contains(wanted) && said.contains(part) && said.contains("ANSWER: 0") == part.is_empty(),
            "{name} {rtype}: {said}"
        );
    }
}

#[test]
fn the_zone_takes_its_address_from_another_name() {
    // Goal: ALIAS: the address of a name of somebody else is the zone's own, signed; while nobody says which it is, a failure that says so. Method:
    // another dgnsd as the resolver, which is there later than the server.
    let other = std::net::SocketAddr::from(([127, 0, 0, 1], ports::free()));
    let site = Site::new();
    let file = site.file("apex", "@ ALIAS alice.other.test.\n@ TXT here\n");
    let site = site.with("dns", "apex_file", &format!("{:?}", file.display().to_string()));
    let server = site.with("dns", "resolvers", &format!("[\"{other}\"]")).start();
    let said = dig(server.dns, &["+dnssec", "dgns.test", "A"]);
    assert!(said.contains("SERVFAIL") && said.contains("EDE: 22"), "{said}");
    assert!(dig(server.dns, &["+short", "dgns.test", "TXT"]).contains("here"));
    let resolver = Site::new().with_zone("other.test").with("dns", "listen", &format!("[\"{other}\"]"));
    let (resolver, alice) = (resolver.start(), Person::new());
    alice.up(&resolver, "alice");
    alice.dgns(&resolver, &["records", "set", "alice", "A", "192.0.2.99"]).exits(0);
    let said = wait::until("the address is found", || {
        let said = dig(server.dns, &["+dnssec", "dgns.test", "A"]);
        said.contains("192.0.2.99").then_some(said)
    });
    assert!(said.contains("NOERROR") && said.contains("RRSIG\tA 13 2") && !said.contains("EDE"), "{said}");
    let said = dig(server.dns, &["+dnssec", "dgns.test", "AAAA"]);
    assert!(said.contains("NOERROR") && said.contains("ANSWER: 0") && said.contains("NSEC"), "{said}");
    assert!(counter(&server, "dns_alias_found_seconds") > 1_700_000_000);
}

#[test]
fn unbound_and_delv_validate_every_answer_by_either_algorithm() {
    // Goal: a resolver that everybody may run says AD for all of it, absence too, whichever algorithm the operator chose; with keys of the other one no
    // server starts. Method: unbound, and delv, with the DS as anchor.
    for (algorithm, other) in [("13", "15"), ("15", "13")] {
        let site = Site::new().with("dns", "dnssec_algorithm", algorithm);
        let (server, alice) = populated(&site);
        let delv = Delv::of(&site);
        let unbound = Unbound::before(server.dns, "dgns.test", Some(&ds(&site)));
        for (name, rtype, part) in SECURE {
            let said = dig(unbound.address, &["+dnssec", name, rtype]);
            let part = part.replace(" 13", &format!(" {algorithm}")).replace("13 ", &format!("{algorithm} "));
            assert!(said.contains(" ad;") && said.contains(&part), "{name} {rtype}: {said}");
            let said = delv.asks(server.dns, name, rtype);
            assert!(said.contains("fully validated") && said.contains(&part), "{name} {rtype}: {said}");
        }
        let proof = dig(unbound.address, &["alice._proof.dgns.test", "TXT"]);
        assert!(proof.contains("NOERROR") && proof.contains("ANSWER: 1") && !proof.contains(" ad;"), "{proof}");
        let reader = alice.dgns(&server, &["resolve", "alice", "--dns", &unbound.address.to_string()]);
        assert_eq!(reader.exits(0).json()["status"], "present");
        let wrong = format!(
            "dgns.test. IN DS 1 {algorithm} 2 0000000000000000000000000000000000000000000000000000000000000000"
        );
        let stranger = Unbound::before(server.dns, "dgns.test", Some(&wrong));
        assert!(dig(stranger.address, &["alice.dgns.test", "A"]).contains("SERVFAIL"), "another's zone is bogus");
        drop(server);
        let said = site.with("dns", "dnssec_algorithm", other).start_in_vain();
        let wanted =
            format!("keys of DNSSEC algorithm {algorithm}, and dnssec_algorithm is {other}: set it to {algorithm}");
        assert!(said.to_string().contains(&wanted), "{said}");
    }
}

#[test]
fn a_zone_can_stay_unsigned_and_keys_can_be_exported() {
    // Goal: without `dnssec` there is no trace of it; with it, clients that do not ask for signatures get none, AD is never set, and the
    // exported key is one that delv trusts.
    let site = Site::new().with("dns", "dnssec", "false");
    let (server, _alice) = populated(&site);
    for (name, rtype) in [("alice.dgns.test", "A"), ("nobody.dgns.test", "A"), ("dgns.test", "DNSKEY")] {
        let said = dig(server.dns, &["+dnssec", name, rtype]);
        assert!(!said.contains("RRSIG\t") && !said.contains("NSEC\t") && !said.contains("DNSKEY\t"), "{said}");
    }
    assert!(!site.data().join("keys/dnssec.keys").exists());
    drop(server);
    let site = Site::new();
    let (server, _alice) = populated(&site);
    for (options, rrsigs) in [(&["+dnssec", "+adflag"][..], true), (&["+nodnssec", "+adflag"], false)] {
        for name in ["alice.dgns.test", "nobody.dgns.test"] {
            let said = dig(server.dns, &[options, &[name, "A"]].concat());
            assert!(said.contains("\tRRSIG\t") == rrsigs && said.contains("flags: qr aa rd;"), "{said}");
        }
    }
    let chain = dig(server.dns, &["alice.dgns.test", "NSEC"]);
    assert!(chain.contains("A AAAA RRSIG NSEC"), "{chain}");
    let metrics = String::from_utf8(server.get("/metrics").body).unwrap();
    let value = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    assert!(value("dns_signatures_total").unwrap() > 10 && value("dns_signed_owners").unwrap() >= 7, "{metrics}");
    let out = site.data().join("exported");
    std::fs::create_dir(&out).unwrap();
    let export = ["dnssec", "export", out.to_str().unwrap()];
    let stems = site.dgnsd(&export).exits(0).stdout.clone();
    assert_eq!(stems.lines().count(), 2);
    site.dgnsd(&export).exits(1);
    let read = |stem: &str, end: &str| std::fs::read_to_string(format!("{stem}.{end}")).unwrap();
    let ksk = stems.lines().find(|stem| read(stem, "key").contains("257 3 13")).unwrap();
    assert!(ksk.ends_with(&format!("+013+{:0>5}", ds(&site).split(' ').nth(3).unwrap())), "{ksk}");
    assert!(
        read(ksk, "private").starts_with("Private-key-format: v1.3\nAlgorithm: 13 (ECDSAP256SHA256)\nPrivateKey: ")
    );
    let key = read(ksk, "key").trim().rsplit(' ').next().unwrap().to_owned();
    let text = format!("trust-anchors {{ \"dgns.test.\" static-key 257 3 13 \"{key}\"; }};\n");
    let delv = Delv { anchor: site.file("key", &text) };
    assert!(delv.asks(server.dns, "alice.dgns.test", "A").contains("fully validated"));
    let status = site.dgnsd(&["dnssec", "status"]).exits(0).stdout.clone();
    assert!(status.lines().count() == 2 && status.contains("ksk 13") && status.contains("zsk 13"), "{status}");
    site.dgnsd(&["dnssec", "roll", "zsk"]).exits(0);
    wait::until("the new ZSK is shown", || {
        (site.dgnsd(&["dnssec", "status"]).exits(0).stdout.contains("published")).then_some(())
    });
    assert!(site.dgnsd(&["dnssec", "roll", "zsk"]).exits(1).stderr.contains("on its way"), "one roll at a time");
}

#[test]
fn keys_are_rolled_while_a_resolver_validates() {
    // Goal: from the first step of a roll to the last, every answer is secure to a resolver that asks all the time; of the KSK, to one with
    // the old DS until it goes, and to one with the new DS from when the zone asks for it. Method: steps of four seconds; what stands for a step
    // alone is read in the server's words afterwards, for a busy machine may not see it pass.
    let site = Site::new().with("dns", "dnssec_step_s", "4").with("dns", "dnssec_parent_s", "2").with_logging("info");
    let (server, _alice) = populated(&site);
    let old = ds(&site);
    let dnssec = |words: &[&str]| site.dgnsd(&[&["dnssec"], words].concat());
    let unbound = Unbound::before(server.dns, "dgns.test", Some(&old));
    let asked = std::cell::Cell::new(0);
    let judge = |resolver: &Unbound| {
        asked.set(asked.get() + 1);
        for name in [&format!("n{}.dgns.test", asked.get()), "dgns.test"] {
            let said = dig(resolver.address, &["+dnssec", name, "SOA"]);
            assert!(said.contains(" ad;"), "{said}\n{}", dnssec(&["status"]).stdout);
        }
    };
    let stages = |role: &str| -> Vec<String> {
        let status = dnssec(&["status"]).exits(0).stdout.clone();
        let mine = status.lines().filter(|line| line.starts_with(role));
        mine.map(|line| line.split(' ').skip(2).take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    let first = stages("zsk");
    dnssec(&["seen"]).exits(1);
    dnssec(&["roll", "zsk"]).exits(0);
    let second = wait::until("the ZSK is rolled", || {
        judge(&unbound);
        Some(stages("zsk")).filter(|stages| stages.len() == 1 && *stages != first)
    });
    dnssec(&["roll", "ksk"]).exits(0);
    wait::until("the parent is asked for the new DS", || {
        judge(&unbound);
        (ds(&site) != old).then_some(())
    });
    let later = Unbound::before(server.dns, "dgns.test", Some(&ds(&site)));
    judge(&later);
    judge(&unbound);
    let cds = dig(server.dns, &["+short", "dgns.test", "CDS"]);
    assert_eq!(cds.split(' ').next(), ds(&site).split(' ').nth(3));
    dnssec(&["seen"]).exits(0);
    wait::until("the old KSK goes", || {
        judge(&later);
        (stages("ksk").len() == 1).then_some(())
    });
    let delv = Delv::of(&site);
    assert!(delv.asks(server.dns, "alice.dgns.test", "A").contains("fully validated"));
    let log = server.stop().stderr;
    let tag = |stages: &[String]| stages[0].split(' ').next().unwrap().to_owned();
    for (tag, stage) in [(tag(&second), "published"), (tag(&second), "active"), (tag(&first), "retired")] {
        let (key, stage) = (format!("key=zsk 13 {tag} "), format!("stage=\"{stage}\""));
        assert!(log.lines().any(|line| line.contains(&key) && line.contains(&stage)), "{key}{stage}: {log}");
    }
    let server = site.start();
    assert!(delv.asks(server.dns, "alice.dgns.test", "A").contains("fully validated"), "keys stay over a restart");
}

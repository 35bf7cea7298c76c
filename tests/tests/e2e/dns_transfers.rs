//! The zone copied by other servers: real NSD and Knot behind dgnsd, and everybody else who asks for a copy.

use std::net::SocketAddr;

use dgns_tests::harness::load::{Poster, Somebody};
use dgns_tests::harness::programs::run;
use dgns_tests::harness::secondary::{Primary, Secondary, copied, dig, serial};
use dgns_tests::harness::{Person, Server, Site, ports, wait};

use crate::dns_updates::{key_file, nsupdate};

pub const ZONE: &str = "dgns.test";
pub const KEY: &str = "hmac-sha256:peer:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// People who claim names at once, in several threads, and how often each changes his address.
const THREADS: usize = 4;
const CHANGES: u8 = 7;

/// How many people there are in a thread: with `DGNS_TEST_ROUNDS=long` they make more than 10,000 changes.
fn names() -> usize {
    if std::env::var("DGNS_TEST_ROUNDS").is_ok_and(|value| value == "long") { 360 } else { 75 }
}

/// What a copy shows of a zone with an address.
const SECRETS: [&str; 4] = ["192.0.2.78", "DNSKEY", "RRSIG", "NSEC"];

/// A site whose server two others copy.
struct Copied {
    site: Site,
    /// Where the server answers, also after a restart.
    server: SocketAddr,
    nsd: SocketAddr,
    knot: SocketAddr,
}

impl Copied {
    fn new() -> Self {
        let server = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        let (nsd, knot) = (Secondary::place(), Secondary::place());
        let site = Site::new().with("dns", "listen", &format!("[\"{server}\"]")).with("log", "epoch_idle_s", "240");
        let key = site.file("peer.tsig", &format!("{KEY}\n"));
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let key = key.display().to_string();
        let peers = format!("[{{ address = \"{nsd}\", key = {key:?} }}, {{ address = \"{knot}\", key = {key:?} }}]");
        Self { site: site.with("dns", "peer", &peers), server, nsd, knot }
    }

    fn primary(&self) -> Primary<'static> {
        Primary { address: self.server, zone: ZONE, key: KEY, tls: None }
    }
}

/// Returns a counter of a server.
pub fn counter(server: &Server, name: &str) -> u64 {
    let text = server.get("/metrics").text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// Waits until the secondaries have the serial of the server, and it stands still; returns it.
fn wait_for(server: SocketAddr, secondaries: &[&Secondary]) -> u32 {
    wait::until("the secondaries have the newest serial", || {
        let newest = serial(server, ZONE)?;
        let all = secondaries.iter().all(|secondary| secondary.serial(ZONE) == Some(newest));
        (all && serial(server, ZONE) == Some(newest)).then_some(newest)
    })
}

/// Holds what each secondary gives against what the server gives.
fn same_everywhere(server: SocketAddr, secondaries: &[&Secondary]) -> Vec<String> {
    wait::until("nothing changes while the copies are compared", || {
        let before = wait_for(server, secondaries);
        let ours = copied(server, ZONE, &["-y", KEY]);
        let theirs: Vec<_> = secondaries.iter().map(|secondary| copied(secondary.address, ZONE, &[])).collect();
        if wait_for(server, secondaries) != before {
            return None;
        }
        for (secondary, theirs) in secondaries.iter().zip(theirs) {
            let other: Vec<_> = ours.iter().filter(|record| !theirs.contains(record)).take(5).collect();
            assert!(
                theirs == ours,
                "{} of {} records; missing {other:?}\n{}",
                theirs.len(),
                ours.len(),
                secondary.log()
            );
        }
        Some(ours)
    })
}

/// Waits until the same records are everywhere and there are `count` with this end: an edition may be some seconds behind what was said.
fn same_with(server: SocketAddr, secondaries: &[&Secondary], end: &str, count: usize) {
    wait::until("an edition has what was said", || {
        let records = same_everywhere(server, secondaries);
        (records.iter().filter(|record| record.ends_with(end)).count() == count).then_some(())
    });
}

/// Claims names and changes their addresses, all at once.
fn many_changes(server: &Server, round: usize) {
    let (to, vkey) = (server.http, server.vkey().to_owned());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let vkey = &vkey;
            scope.spawn(move || {
                let mut poster = Poster::new(vkey);
                for number in 0..names() {
                    let (mut somebody, mut certificates) = Somebody::new(&format!("n{round}-{thread}-{number}"), 1);
                    for change in 1..=CHANGES {
                        certificates.push(somebody.points_to([192, 0, 2, change]));
                        poster.post(to, &certificates, &somebody.subject()).unwrap();
                        certificates.clear();
                    }
                }
            });
        }
    });
}

#[test]
fn whoever_asks_a_secondary_for_a_proof_is_sent_to_the_servers_of_proofs() {
    // Goal: NSD, which has nothing to say about proofs, refers to the servers that are named for them; those name themselves.
    let copied = Copied::new();
    let copied = Copied { site: copied.site.with("dns", "proof_ns", "[\"Proofs.example\"]"), ..copied };
    let _server = copied.site.start();
    let nsd = Secondary::nsd(copied.nsd, copied.primary());
    wait_for(copied.server, &[&nsd]);
    let referral = dig(nsd.address, &["+noall", "+authority", "+norec", "alice._proof.dgns.test", "TXT"]).stdout;
    assert!(referral.contains("_proof.dgns.test.") && referral.contains("NS\tproofs.example."), "{referral}");
    let own = |rtype| dig(copied.server, &["+short", "_proof.dgns.test", rtype]).stdout;
    assert_eq!(own("NS").trim(), "proofs.example.");
    assert!(own("SOA").starts_with("proofs.example. hostmaster.dgns.test. "), "{}", own("SOA"));
    assert_eq!(dig(copied.server, &["+short", "dgns.test", "NS"]).stdout.trim(), "ns.dgns.test.");
}

#[test]
fn nsd_and_knot_serve_the_zone_as_it_changes() {
    // Goal: stock secondaries load the signed zone by AXFR with TSIG, follow by NOTIFY and IXFR while thousands of changes come at once, and
    // after a restart, which begins behind every serial before; each record they serve is the server's. Knot validates every signature.
    let copied = Copied::new();
    let own = copied
        .site
        .file("apex", "@ 60 A 192.0.2.80\n@ 60 MX 10 mail.example.\n_dmarc 60 TXT x\nwww 60 CNAME dgns.test.\n");
    let own = format!("{:?}", own.display().to_string());
    let copied = Copied { site: copied.site.with("dns", "apex_file", &own), ..copied };
    let server = copied.site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice
        .dgns(&server, &["records", "set", "alice", "SRV", "0 0 5432 Alice.dgns.test.", "--owner", "_db._tcp"])
        .exits(0);
    let nsd = Secondary::nsd(copied.nsd, copied.primary());
    let knot = Secondary::knot(copied.knot, copied.primary());
    let first = same_everywhere(copied.server, &[&nsd, &knot]);
    for part in [
        " SRV ",
        " NSEC ",
        " DNSKEY ",
        " CDS ",
        " MX ",
        "_dmarc.",
        "www.",
        "_checkpoint.dgns.test. 1 IN TXT ",
        "_proof.dgns.test. 3600 IN NS ",
    ] {
        assert!(first.iter().any(|record| record.contains(part)), "{part}: {first:?}");
    }
    let (whole, loaded) =
        (counter(&server, "dns_transfers_total{kind=\"axfr\"}"), serial(copied.server, ZONE).unwrap());
    assert!(whole >= 3, "one for each, and our own");

    let key = key_file(&alice, &server, "alice");
    assert_eq!(nsupdate(&server, &["-v", "-k", &key], &["add alice.dgns.test 60 A 192.0.2.77"]), "NOERROR");
    wait::until("what a device writes is seen at both", || {
        let is_seen = |address| dig(address, &["+short", "alice.dgns.test", "A"]).stdout.trim() == "192.0.2.77";
        (is_seen(nsd.address) && is_seen(knot.address)).then_some(())
    });
    many_changes(&server, 1);
    same_with(copied.server, &[&nsd, &knot], &format!(" A 192.0.2.{CHANGES}"), THREADS * names());
    let changed = serial(copied.server, ZONE).unwrap();
    assert!(changed.wrapping_sub(loaded) < 10_000 && changed != loaded, "{loaded} {changed}");
    assert!(counter(&server, "dns_transfers_total{kind=\"ixfr\"}") >= 4, "{}", server.get("/metrics").text());
    wait::until("both have heard of an edition", || {
        (counter(&server, "dns_notifies_total{result=\"heard\"}") >= 2).then_some(())
    });
    assert!(counter(&server, "dns_transfer_bytes_total") > 100_000 && counter(&server, "dns_journal_bytes") > 10_000);

    server.kill();
    let server = copied.site.start();
    let again = wait_for(copied.server, &[&nsd, &knot]);
    assert!(again.wrapping_sub(changed).cast_signed() > 0, "{changed} {again}");
    alice.dgns(&server, &["records", "set", "alice", "AAAA", "2001:db8::7"]).exits(0);
    same_with(copied.server, &[&nsd, &knot], " AAAA 2001:db8::7", 1);
    assert!(counter(&server, "dns_transfers_total{kind=\"ixfr\"}") >= 1, "{}", server.get("/metrics").text());

    // The file of serials is lost, and nobody notices.
    let changed = serial(copied.server, ZONE).unwrap();
    server.kill();
    std::fs::remove_file(copied.site.data().join("dns-serial")).unwrap();
    let server = copied.site.start();
    alice.dgns(&server, &["records", "set", "alice", "AAAA", "2001:db8::8"]).exits(0);
    let again = wait_for(copied.server, &[&nsd, &knot]);
    assert!(again.wrapping_sub(changed).cast_signed() > 0, "{changed} {again}");
    same_with(copied.server, &[&nsd, &knot], " AAAA 2001:db8::8", 1);
}

#[test]
fn delegations_go_along_to_nsd_and_knot() {
    // Goal: a cut with its digest and the addresses of its servers, of which nothing but the digest is signed, is copied whole and by its changes, and
    // a secondary refers there too. Method: one delegation before the first copy, one that comes and goes after it; Knot validates every signature.
    let copied = Copied::new();
    let (server, alice, bobby) = (copied.site.start(), Person::new(), Person::new());
    let digest = format!("1 13 2 {}", "AB".repeat(32));
    let delegate = |person: &Person, name: &str, address: &str| {
        let host = format!("ns.{name}.dgns.test={address}");
        person.dgns(&server, &["delegate", name, "--ns", &host, "--ds", &digest]).exits(0);
    };
    alice.up(&server, "alice");
    bobby.up(&server, "bobby");
    delegate(&alice, "alice", "192.0.2.61");
    let nsd = Secondary::nsd(copied.nsd, copied.primary());
    let knot = Secondary::knot(copied.knot, copied.primary());
    same_with(copied.server, &[&nsd, &knot], " A 192.0.2.61", 1);
    delegate(&bobby, "bobby", "192.0.2.62");
    same_with(copied.server, &[&nsd, &knot], " A 192.0.2.62", 1);
    delegate(&bobby, "bobby", "192.0.2.63");
    same_with(copied.server, &[&nsd, &knot], " A 192.0.2.62", 0);
    for secondary in [&nsd, &knot] {
        let said = dig(secondary.address, &["+norec", "+dnssec", "x.bobby.dgns.test", "A"]).stdout;
        for part in ["IN\tNS\tns.bobby.dgns.test.", "IN\tDS\t1 13 2", "RRSIG\tDS", "IN\tA\t192.0.2.63"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    bobby.dgns(&server, &["delegate", "bobby", "--end"]).exits(0);
    same_with(copied.server, &[&nsd, &knot], " A 192.0.2.63", 0);
    assert!(counter(&server, "dns_transfers_total{kind=\"ixfr\"}") >= 2, "{}", server.get("/metrics").text());
}

#[test]
fn knot_that_knows_a_catalog_alone_serves_the_zone() {
    // Goal: PROTOCOL 13.6: a stock consumer of catalogs finds the zone there, copies it, and follows it; nobody else gets the catalog. Method: Knot, before
    // and after the server's restart; dig with the key and without.
    let mut copied = Copied::new();
    copied.site = copied.site.with("dns", "catalog", "\"catalog.example\"");
    let server = copied.site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    let primary = Primary { zone: "catalog.example", ..copied.primary() };
    let knot = Secondary::knot_of_catalog(copied.knot, primary);
    same_everywhere(copied.server, &[&knot]);
    alice.dgns(&server, &["records", "set", "alice", "AAAA", "2001:db8::7"]).exits(0);
    same_with(copied.server, &[&knot], " AAAA 2001:db8::7", 1);

    let asks = |options: &[&str]| dig(copied.server, options).stdout.replace('\t', " ");
    let signed = ["-y", KEY, "+noall", "+answer", "+comments", "+onesoa"];
    let catalog = asks(&[&signed[..], &["+tcp", "catalog.example", "AXFR"]].concat());
    for part in ["SOA invalid. invalid. 1 ", "NS invalid.", "TXT \"2\"", ".zones.catalog.example.", "PTR dgns.test."] {
        assert!(catalog.contains(part), "{part}: {catalog}");
    }
    for (options, part) in [
        (&["+tcp", "catalog.example", "IXFR=0"][..], "PTR dgns.test."),
        (&["catalog.example", "SOA"], "SOA invalid. invalid. 1 "),
        (&["version.catalog.example", "TXT"], "TXT \"2\""),
        (&["catalog.example", "A"], "ANSWER: 0"),
        (&["alice.dgns.test", "AAAA"], "2001:db8::7"),
        (&["example", "SOA"], "REFUSED"),
    ] {
        let said = asks(&[&signed[..], options].concat());
        assert!(said.contains(part), "{options:?}: {said}");
    }
    let newest = asks(&[&signed[..], &["+tcp", "catalog.example", "IXFR=1"]].concat());
    assert!(newest.contains("SOA invalid.") && !newest.contains(" PTR "), "{newest}");
    for (rtype, options) in [("AXFR", "+tcp"), ("SOA", "+notcp"), ("SOA", "+tcp"), ("PTR", "+tcp")] {
        let said = asks(&[options, "catalog.example", rtype]);
        assert!(!said.contains("invalid") && !said.contains(" PTR "), "without a key: {rtype} {said}");
    }

    server.kill();
    let server = copied.site.start();
    alice.dgns(&server, &["records", "set", "alice", "AAAA", "2001:db8::8"]).exits(0);
    same_with(copied.server, &[&knot], " AAAA 2001:db8::8", 1);
    let soa = asks(&[&signed[..], &["catalog.example", "SOA"]].concat());
    assert!(soa.contains("invalid. 1 "), "the serial is that of what it says: {soa}");
}

#[test]
fn the_zone_as_a_file_is_the_zone_that_was_served() {
    // Goal: what is exported of a stopped server is what it served, and any server reads it. Method: a copy by AXFR; then the file in a Knot that takes
    // nothing whose signatures do not hold, and a copy of that. What is of now is left out: SOA, signatures, the newest head.
    let copied_from = Copied::new();
    let server = copied_from.site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    for set in [
        &["A", "192.0.2.1"][..],
        &["AAAA", "2001:db8::1"],
        &["TXT", "\"a \\\"quoted\\\" word\" \"and; another\""],
        &["CAA", "128 issue \"ca.example; accounturi=https://ca.example/1\""],
        &["HTTPS", "1 . alpn=h2"],
        &["SSHFP", "4 2 0000000000000000000000000000000000000000000000000000000000000001"],
        &["SRV", "0 0 5432 alice.dgns.test.", "--owner", "_db._tcp"],
        &["TLSA", "3 1 1 0000000000000000000000000000000000000000000000000000000000000002", "--owner", "_443._tcp"],
        &["CNAME", "elsewhere.example.", "--owner", "_x"],
    ] {
        alice.dgns(&server, &[&["records", "set", "alice"], set].concat()).exits(0);
    }
    let key = key_file(&alice, &server, "alice");
    let written = "add _acme-challenge.alice.dgns.test 60 TXT abc";
    assert_eq!(nsupdate(&server, &["-v", "-k", &key], &[written]), "NOERROR");
    let is_lasting = |record: &String| {
        ![" IN SOA ", " IN RRSIG ", "_checkpoint.dgns.test. "].iter().any(|part| record.contains(part))
    };
    let lasting =
        |address, options: &[&str]| copied(address, ZONE, options).into_iter().filter(is_lasting).collect::<Vec<_>>();
    let served = wait::until("an edition has what was said last", || {
        let records = lasting(copied_from.server, &["-y", KEY]);
        records
            .iter()
            .any(|record| record.starts_with("_acme-challenge.alice.") && record.contains("\"abc\""))
            .then_some(records)
    });
    for part in [" HTTPS ", " CAA 128 ", " TLSA ", " SSHFP ", " CNAME ", " NSEC ", " DNSKEY ", " CDS "] {
        assert!(served.iter().any(|record| record.contains(part)), "{part}: {served:?}");
    }

    let out = copied_from.site.file("zone", "the file of before\n");
    let export = || copied_from.site.dgnsd(&["zone", "export", "--out", out.to_str().unwrap()]);
    let refused = export();
    assert!(refused.exits(1).stderr.contains("in use by another process"), "{refused}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "the file of before\n");
    server.stop();
    let done = export();
    assert!(done.exits(0).stdout.contains(" records in "), "{done}");
    let knot = Secondary::knot_of_file(Secondary::place(), ZONE, &out);
    wait::until("Knot has loaded the file", || knot.serial(ZONE));
    let read = lasting(knot.address, &[]);
    let missing: Vec<_> = served.iter().filter(|record| !read.contains(record)).collect();
    assert!(missing.is_empty() && read.len() == served.len(), "{missing:?} {read:?}");
}

#[test]
fn strangers_and_wrong_signatures_get_no_copy() {
    // Goal: whoever is no peer learns nothing, and a peer why its signature does not hold. Method: dig and kdig with and without keys.
    // (A clock that is wrong: the table of `peers_get_copies_and_strangers_none`.) The checkpoint changes meanwhile as it likes.
    let copied = Copied::new();
    let server = copied.site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.78"]).exits(0);
    wait::until("there is a copy, and what strangers do not get is in it", || {
        let copy = dig(copied.server, &["-y", KEY, ZONE, "AXFR"]).stdout;
        SECRETS.iter().all(|secret| copy.contains(secret)).then_some(())
    });
    let newest = serial(copied.server, ZONE).unwrap();
    let ixfr = |serial: u32| format!("IXFR={serial}");
    for (what, options, wanted, is_refused) in [
        ("a stranger", &[ZONE, "AXFR"][..], "Transfer failed", true),
        ("who asks for changes", &[ZONE, &ixfr(newest - 1)], "Transfer failed", true),
        ("who asks for one name", &["alice.dgns.test", "AXFR"], "Transfer failed", true),
        ("an unknown key", &["-y", &KEY.replace("peer", "other"), ZONE, "AXFR"], "BADKEY", true),
        ("another algorithm", &["-y", &KEY.replace("256", "512"), ZONE, "AXFR"], "BADKEY", true),
        ("another secret", &["-y", &KEY.replace("AAEC", "BBEC"), ZONE, "AXFR"], "BADSIG", true),
        (
            "another secret, for an address",
            &["-y", &KEY.replace("AAEC", "BBEC"), "alice.dgns.test", "A"],
            "BADSIG",
            true,
        ),
        ("a peer, for an address", &["-y", KEY, "alice.dgns.test", "TXT"], "status: NOERROR", false),
        ("a peer, for what has changed since", &["-y", KEY, ZONE, &ixfr(newest)], "XFR size: ", false),
        ("a peer, a name that is no zone", &["-y", KEY, "alice.dgns.test", "AXFR"], "Transfer failed", true),
    ] {
        let before = counter(&server, "dns_transfers_total{kind=\"refused\"}");
        let said = dig(copied.server, options);
        let text = format!("{}{}", said.stdout, said.stderr);
        assert!(text.contains(wanted), "{what}: {said}");
        assert_eq!(counter(&server, "dns_transfers_total{kind=\"refused\"}") > before, is_refused, "{what}");
        for secret in SECRETS {
            assert!(!is_refused || !text.contains(secret), "{what}, {secret}: {text}");
        }
    }
    let mut kdig = std::process::Command::new("kdig");
    kdig.arg("@127.0.0.1").arg("-p").arg(copied.server.port().to_string()).args(["-y", KEY, ZONE, "AXFR"]);
    let said = run(kdig, "");
    assert!(said.stdout.contains("DNSKEY"), "kdig believes every message: {said}");
    for (name, key) in
        [("nothing", "secret"), ("short", "hmac-sha256:peer:AAEC"), ("weak", "hmac-md5:peer:AAECAwQFBgcICQoLDA0ODw==")]
    {
        let site = Site::new();
        let file = site.file("key", key);
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let site = site.with("dns", "peer", &format!("[{{ key = {:?} }}]", file.display().to_string()));
        assert!(site.start_in_vain().stderr.contains("TSIG key"), "{name}");
    }
}

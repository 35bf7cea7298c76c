//! The zone from its snapshot: a start that reads it answers as one that reads the database, and takes none that does not belong there.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use dgns_tests::harness::secondary::dig;
use dgns_tests::harness::{Person, Server, Site, wait};

use crate::dns_updates::{key_file, nsupdate};

/// Names that are there, delegated, gone or were never there, and what is asked of each.
const ASKED: [(&str, &str); 8] = [
    ("alice.dgns.test", "A"),
    ("_did.alice.dgns.test", "TXT"),
    ("alice.dgns.test", "MX"),
    ("bob.dgns.test", "A"),
    ("x.sub.alice.dgns.test", "A"),
    ("nobody.dgns.test", "A"),
    ("dgns.test", "NS"),
    ("ns.dgns.test", "A"),
];

/// So many of them are alice's, whose signatures depend on nobody else.
const ALICES: usize = 3;

fn asks(server: &Server, name: &str, rtype: &str) -> String {
    dig(server.dns, &[name, rtype, "+dnssec", "+noall", "+answer", "+authority", "+norec"]).exits(0).stdout.clone()
}

/// Returns what is answered: all of it, or without signatures, serials and what `_checkpoint` says.
fn answers(server: &Server, with_signatures: bool) -> Vec<String> {
    let mut answers: Vec<String> = ASKED.iter().map(|(name, rtype)| asks(server, name, rtype)).collect();
    for answer in &mut answers {
        let lines = answer.lines().filter(|line| !line.contains("SOA") && (with_signatures || !line.contains("RRSIG")));
        *answer = lines.map(|line| format!("{line}\n")).collect();
    }
    answers
}

/// Returns where a start had the zone from.
fn from(server: &Server) -> String {
    let text = server.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix("dns_load_ms{from=\"")).expect("a start says so");
    line.split('"').next().unwrap_or_default().to_owned()
}

fn file(site: &Site) -> PathBuf {
    site.data().join("dns.snapshot")
}

#[test]
fn a_start_from_a_snapshot_answers_as_before() {
    // Goal: the zone comes back with its very signatures after a stop; after a kill -9 what changed since is made good; a snapshot that is damaged,
    // or of another time than the database, is left alone and told, and the answers are the same.
    let (site, alice, bob) = (Site::new(), Person::new(), Person::new());
    let server = site.start();
    assert_eq!(from(&server), "database");
    alice.up(&server, "alice");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    let before = answers(&server, true)[..ALICES].to_vec();
    server.stop().exits(0);
    let empty = fs::read(file(&site)).expect("a stop writes a snapshot");

    let server = site.start();
    assert_eq!((from(&server), answers(&server, true)[..ALICES].to_vec()), ("snapshot".to_owned(), before));
    bob.up(&server, "bob");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.2"]).exits(0);
    let now = answers(&server, false);
    assert!(now[0].contains("192.0.2.2"), "{now:?}");
    server.kill();
    assert_eq!(fs::read(file(&site)).unwrap(), empty, "nothing was due");
    // What is left of one that was being written.
    fs::write(site.data().join("dns.snapshot.tmp"), &empty[..empty.len() / 2]).unwrap();

    let server = site.start();
    assert_eq!((from(&server), answers(&server, false)), ("snapshot".to_owned(), now.clone()));
    let signed = |server: &Server| asks(server, "alice.dgns.test", "A").contains("RRSIG");
    assert!(signed(&server), "what is made good is signed at once");
    let old = empty;
    server.stop().exits(0);
    let newest = fs::read(file(&site)).unwrap();
    assert_ne!(newest, old);

    let mut damaged = newest.clone();
    damaged[newest.len() / 2] ^= 1;
    let cut = newest[..newest.len() - 1].to_vec();
    // The database forgot what changed since the old one.
    for (bytes, why) in [(damaged, "damaged"), (cut, "damaged"), (Vec::new(), "damaged"), (old, "another time")] {
        fs::write(file(&site), bytes).unwrap();
        let server = site.start();
        assert_eq!((from(&server), answers(&server, false)), ("database".to_owned(), now.clone()), "{why}");
        let told = fs::read_to_string(site.log()).unwrap();
        assert!(told.contains("the snapshot of the DNS zone is not used") && told.contains(why), "{told}");
        server.stop();
    }
    let server = site.start();
    assert_eq!(from(&server), "snapshot", "the stop before wrote another one");
    server.stop().exits(0);
}

#[test]
fn names_are_answered_before_the_rest_of_a_start_is_done() {
    // Goal: a start answers for names once it has them, signed, and shows the newest head; what devices and ACME clients wrote, proofs, copies and updates are
    // SERVFAIL until the log is there, and then as before. Method: a key that the start reads late is a pipe, into which nobody writes for a while.
    for has_snapshot in [true, false] {
        let site = Site::new().with("aliases", "evaluate", "true").with_logging("info");
        let (alice, bobby) = (Person::new(), Person::new());
        let server = site.start();
        alice.up(&server, "alice");
        bobby.up(&server, "bobby");
        alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
        let key = key_file(&bobby, &server, "bobby");
        assert_eq!(nsupdate(&server, &["-v", "-k", &key], &["add bobby.dgns.test 60 A 192.0.2.7"]), "NOERROR");
        server.stop().exits(0);
        if !has_snapshot {
            fs::remove_file(file(&site)).unwrap();
        }
        let late = site.data().join("keys/alias.key");
        let seed = fs::read(&late).unwrap();
        fs::remove_file(&late).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &late, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();

        let early = |address: SocketAddr, name: &str, rtype: &str| {
            let ran = dig(address, &[name, rtype, "+dnssec", "+norec", "+tries=1"]);
            let code = ran.stdout.split("status: ").nth(1).and_then(|rest| rest.split(',').next());
            (code.unwrap_or(&ran.stdout).to_owned(), ran.stdout.contains("EDE: 14"), ran.stdout)
        };
        fs::remove_file(site.log()).unwrap(); // of the start before
        let server = std::thread::scope(|scope| {
            let starting = scope.spawn(|| site.start());
            let address = wait::until("DNS answers", || {
                let told = fs::read_to_string(site.log()).unwrap_or_default();
                let line = told.lines().find(|line| line.contains("DNS answers"))?;
                line.split("addresses=[").nth(1)?.split([',', ']']).next()?.parse().ok()
            });
            let (code, _, text) = early(address, "alice.dgns.test", "A");
            assert!(code == "NOERROR" && text.contains("192.0.2.1") && text.contains("RRSIG"), "{text}");
            assert_eq!(early(address, "nobody.dgns.test", "A").0, "NXDOMAIN");
            let (code, _, text) = early(address, "_checkpoint.dgns.test", "TXT");
            assert!(code == "NOERROR" && text.contains("dgns.test/log"), "{text}");
            for (name, rtype) in
                [("bobby.dgns.test", "A"), ("alice._proof.dgns.test", "TXT"), ("x.auth.dgns.test", "TXT")]
            {
                let (code, is_not_ready, text) = early(address, name, rtype);
                assert_eq!((code.as_str(), is_not_ready), ("SERVFAIL", true), "{text}");
            }
            assert!(!starting.is_finished(), "the key is not there yet");
            fs::write(&late, &seed).unwrap();
            starting.join().unwrap()
        });
        assert_eq!(from(&server), if has_snapshot { "snapshot" } else { "database" });
        assert!(asks(&server, "bobby.dgns.test", "A").contains("192.0.2.7"));
        assert!(asks(&server, "alice._proof.dgns.test", "TXT").contains("TXT"));
        server.stop();
    }
}

#[test]
fn a_snapshot_that_is_ahead_of_the_database_is_refused() {
    // Goal: whoever restores everything but the snapshot, and so has a snapshot of what never happened, is not shown it.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    server.stop().exits(0);
    let past = site.snapshot();
    let server = site.start();
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    server.stop().exits(0);
    site.restore(&past, &["dns.snapshot"]);
    let server = site.start();
    assert_eq!(from(&server), "database");
    assert!(!answers(&server, true)[0].contains("192.0.2.1"));
    let told = fs::read_to_string(site.log()).unwrap();
    assert!(told.contains("a newer database"), "{told}");
}

#[test]
fn snapshots_are_written_while_the_server_runs_and_not_at_all_if_they_are_off() {
    let site = Site::new().with("dns", "snapshot_s", "1");
    let (server, alice) = (site.start(), Person::new());
    alice.up(&server, "alice");
    wait::until("a snapshot is written", || fs::read(file(&site)).ok().filter(|bytes| !bytes.is_empty()));
    server.kill();
    let server = site.start();
    assert_eq!(from(&server), "snapshot");
    server.stop().exits(0);
    let site = site.with("dns", "snapshot_s", "0");
    let server = site.start();
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    server.stop().exits(0);
    assert!(!file(&site).exists(), "it would be taken for one some day");
    let server = site.start();
    assert_eq!(from(&server), "database");
    assert!(answers(&server, true)[0].contains("192.0.2.1"));
}

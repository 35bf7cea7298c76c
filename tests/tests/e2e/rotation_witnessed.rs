//! A log's keys change before its witnesses: they follow its LogConfs by themselves, and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use data_encoding::HEXLOWER;
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::site::loopback;
use dgns_tests::harness::witness::{WitnessSite, submit};
use dgns_tests::harness::{Person, Ran, Server, Site, wait};
use identity::hash::sha256;
use serde_json::Value;
use translog::note::{Checkpoint, Note};
use translog::witness::Request;

use crate::swapped::{forged, stranger};

/// A log and the server that witnesses and verifies it, each at an address that stays.
struct Watched {
    log: Site,
    witness: Site,
    policy: String,
    directory: tempfile::TempDir,
}

impl Watched {
    fn new(test: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |file: &str| directory.path().join(file).display().to_string();
        let at = |n: u16| format!("\"{}:{}\"", loopback(), 5_400 + 2 * test + n);
        let log = Site::new().with("http", "listen", &at(0)).with("witnesses", "announce_ms", "50");
        let log = log.with("witnesses", "policy", &format!("{:?}", path("policy")));
        let witness =
            Site::new().with_zone("w.test").with("http", "listen", &at(1)).with("witness", "verifier", "true");
        let witness = witness.with("witness", "logs", &format!("{:?}", path("logs")));
        let lines = |site: &Site, word: &str| -> Vec<String> {
            let printed = site.keys(&[]).exits(0).stdout.clone();
            printed.lines().filter(|line| line.starts_with(word)).map(str::to_owned).collect()
        };
        std::fs::write(path("policy"), "quorum none\n").unwrap();
        std::fs::write(path("logs"), format!("log {}\n", stranger().verifier_key())).unwrap();
        let (logs, witnesses) = (lines(&log, "log "), lines(&witness, "witness "));
        assert_eq!((logs.len(), witnesses.len()), (1, 2));
        let names: Vec<&str> = witnesses.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        let quorum = format!("{}\ngroup both all {}\nquorum both\n", witnesses.join("\n"), names.join(" "));
        std::fs::write(path("logs"), format!("{}\n", logs[0])).unwrap();
        std::fs::write(path("policy"), &quorum).unwrap();
        std::fs::write(path("client"), format!("{}\n{quorum}", logs[0])).unwrap();
        Self { log, witness, policy: path("client"), directory }
    }

    fn rotate(&self, arguments: &[&str]) -> Ran {
        let words = self.log.data().join("keys/operator-words");
        let fixed = ["logconf", "rotate", "--json", "--words-file", words.to_str().unwrap()];
        let ran = self.log.dgnsd(&[&fixed[..], arguments].concat());
        ran.exits(0);
        ran
    }

    fn does(&self, person: &Person, server: &Server, arguments: &[&str]) -> Ran {
        person.dgns(server, &[&["--policy", &self.policy], arguments].concat())
    }
}

#[test]
fn witnesses_follow_rotations_under_load_and_through_kills() {
    // Goal: PROTOCOL 12.6: a rotation asks nothing of the operators of witnesses. Method: somebody writes without a pause; three
    // rotations and a drop of the old keys, the witness killed at some moment behind each; its file of logs stays as it was. After
    // each the log is witnessed, and in the end by the newest key alone.
    let watched = Watched::new(0);
    let mut witness = watched.witness.start();
    let mut server = watched.log.start();
    let alice = Person::new();
    wait::until("the log has its quorum", || {
        (watched.does(&alice, &server, &["trust", "add", &server.url]).code == Some(0)).then_some(())
    });
    watched.does(&alice, &server, &["up", "alice"]).exits(0);
    let before = Note::parse(&server.get("/log/checkpoint").body).unwrap();
    let (url, ended) = (server.url.clone(), AtomicBool::new(false));
    let (server, witness) = thread::scope(|scope| {
        let _end = Ends(&ended);
        let writer = scope.spawn(|| {
            let bob = Person::new();
            let mut written = 0;
            while !ended.load(Ordering::Relaxed) {
                let name = format!("bob-{written}");
                let arguments = ["--policy", &watched.policy, "up", &name];
                written += u32::from(bob.dgns_at(&url, &arguments[..], "").code == Some(0));
            }
            written
        });
        for (round, arguments) in
            [&[][..], &["--new-key"], &["--new-key"], &["--drop-old", "--force"]].iter().enumerate()
        {
            server.stop().exits(0);
            let rotated = watched.rotate(arguments);
            let seq = rotated.number("/seq");
            server = watched.log.start();
            wait::let_pass(std::time::Duration::from_millis(70 * round as u64));
            witness.kill();
            witness = watched.witness.start();
            let status = wait::until("the witness followed", || {
                Some(status(&witness, "witness")).filter(|status| status["conf_seq"] == seq)
            });
            assert_eq!(status["vkeys"], rotated.json()["vkeys"], "{arguments:?}");
            wait::until("the log is witnessed", || {
                let ran = watched.does(&alice, &server, &["records", "set", "alice", "A", &format!("192.0.2.{round}")]);
                (ran.code == Some(0)).then_some(())
            });
        }
        ended.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 0, "somebody wrote meanwhile");
        (server, witness)
    });
    assert_eq!(lines(&server), 1);
    witness.kill();
    let witness = watched.witness.start();
    for role in ["witness", "verifier"] {
        let status = status(&witness, role);
        assert_eq!((&status["conf_seq"], status["vkeys"].as_array().map(Vec::len)), (&4.into(), Some(1)), "{role}");
    }
    let metrics = witness.get("/metrics").text();
    assert!(metrics.contains("dgns_witness_conf_seq{origin=\"dgns.test/log\"} 4"), "{metrics}");
    let retired = submit(&witness, "witness", &Request::new(0, Vec::new(), before).unwrap().encode());
    assert_eq!(retired.status, 403, "a key that was dropped opens nothing: {}", retired.text());
    watched.does(&alice, &server, &["audit"]).exits(0);
    assert!(watched.directory.path().join("logs").exists());
}

#[test]
fn a_witness_that_was_away_through_a_whole_rotation_follows_it() {
    // Goal: a head that no known key signed is cosigned once the LogConfs lead to its key; the log's public head waits for that very
    // witness, so the chain is asked under the newest. Method: the witness is down while a key comes and the old one goes.
    let watched = Watched::new(1);
    let witness = watched.witness.start();
    let server = watched.log.start();
    wait::until("the log has its quorum", || (server.get("/log/checkpoint").status == 200).then_some(()));
    witness.stop().exits(0);
    server.stop().exits(0);
    watched.rotate(&[]);
    let new = watched.rotate(&["--drop-old", "--force"]).text("/vkeys/0");
    let server = watched.log.start();
    assert_eq!(server.vkey(), new);
    let witness = watched.witness.start();
    let public = wait::until("the log is witnessed again", || {
        Some(server.get("/v1/info").json()["public"].clone()).filter(|public| public["standing"] == "witnessed")
    });
    assert_eq!(public["stale"], false);
    assert_eq!(status(&witness, "witness")["vkeys"], serde_json::json!([new]));
}

#[test]
fn followers_follow_rotations_whether_they_run_or_are_away() {
    // Goal: a follower pins what the LogConfs say, also where no key it knows signs any more. Method: one runs while a key comes, and is
    // stopped while the old one goes; another is away all the time. Both end at the newest key and serve on.
    let origin = Site::new().with("http", "listen", &format!("\"{}:5420\"", loopback()));
    let mut server = origin.start();
    let alice = Person::new();
    alice.dgns(&server, &["up", "alice"]).exits(0);
    let follower = || Site::new().with("follow", "url", &format!("{:?}", server.url));
    let (running, away) = (follower(), follower());
    let catches_up = |follower: &Server, origin: &Server| {
        wait::until("the follower is there", || {
            let (theirs, ours) = (origin.get("/log/checkpoint").body, follower.get("/log/checkpoint").body);
            (theirs == ours).then_some(())
        });
        Person::new().dgns(follower, &["resolve", "alice"]).exits(0);
    };
    let mut followed = running.start();
    away.start().stop().exits(0);
    let pinned = |site: &Site| std::fs::read_to_string(site.data().join("followed")).unwrap();
    let first = pinned(&running);
    let rotate = |arguments: &[&str]| {
        let words = origin.data().join("keys/operator-words");
        let fixed = ["logconf", "rotate", "--json", "--words-file", words.to_str().unwrap()];
        origin.dgnsd(&[&fixed[..], arguments].concat()).exits(0).json()["vkeys"].clone()
    };
    server.stop().exits(0);
    rotate(&[]);
    server = origin.start();
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    catches_up(&followed, &server);
    assert_eq!(pinned(&running).lines().count(), 2, "both keys are pinned");
    followed.stop().exits(0);
    server.stop().exits(0);
    let newest = rotate(&["--drop-old", "--force"]);
    server = origin.start();
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.2"]).exits(0);
    for site in [&running, &away] {
        followed = site.start();
        catches_up(&followed, &server);
        assert_eq!(pinned(site).trim(), newest[0].as_str().unwrap());
        assert_eq!(followed.get("/v1/info").json()["follows"]["stale"], false);
        followed.stop().exits(0);
    }
    assert_ne!(first.trim(), newest[0].as_str().unwrap());
}

#[test]
fn a_key_without_a_logconf_opens_nothing() {
    // Goal: nothing but the log's own LogConfs changes whom a witness believes. Method: heads by a stranger's key while the log's URL
    // shows the honest chain, none, one that names the stranger without the identity key, and one of a fork; then an honest head.
    let site = Site::new();
    let server = site.start();
    let vkey = server.vkey().to_owned();
    for (tale, code) in [("honest", Value::Null), ("none", "broken".into()), ("forged", "bad_signature".into())] {
        let liar = Liar::before(server.http, move |request, mut answer| {
            match (request.starts_with("GET /v1/log/conf/chain"), tale) {
                (true, "none") => return None,
                (true, "forged") => answer.body = forged(&answer.body).expect("a chain").encode(),
                _ => {}
            }
            Some(answer)
        });
        let witness_site = WitnessSite::new();
        let witness = witness_site.start(&[&format!("{vkey} {}/log", liar.url)]);
        let honest = Note::parse(&server.get("/log/checkpoint").body).unwrap();
        let checkpoint = Checkpoint::parse(honest.text()).unwrap();
        let swapped = Note::new(checkpoint.text(), vec![stranger().sign(&checkpoint)]).unwrap();
        let refused = submit(&witness, "witness", &Request::new(0, Vec::new(), swapped.clone()).unwrap().encode());
        assert_eq!(refused.status, 403, "{tale}: {}", refused.text());
        let known = status(&witness, "witness");
        assert_eq!(known["vkeys"], serde_json::json!([vkey]), "{tale}");
        assert_eq!(known["not_followed"].is_null(), code.is_null(), "{tale}: {known}");
        if !code.is_null() {
            let line = "dgns_witness_not_followed{origin=\"dgns.test/log\",code=";
            assert!(witness.get("/metrics").text().contains(line), "{tale}");
        }
        assert_eq!(submit(&witness, "witness", &Request::new(0, Vec::new(), honest).unwrap().encode()).status, 200);
        drop(witness);
        let restarted = witness_site.start(&[&format!("{vkey} {}/log", liar.url)]);
        let again =
            submit(&restarted, "witness", &Request::new(checkpoint.size, Vec::new(), swapped).unwrap().encode());
        assert_eq!(again.status, 403, "{tale}");
        let path = format!("/witness/{}/checkpoint", HEXLOWER.encode(&sha256(&[b"dgns.test/log"])));
        assert_eq!(restarted.get(&path).status, 200);
    }
}

/// What a cosigner says of the log.
fn status(server: &Server, role: &str) -> Value {
    server.get(&format!("/{role}/status")).json()["logs"][0].clone()
}

/// Ends the writer, also when the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How many lines of the log the checkpoint has.
fn lines(server: &Server) -> usize {
    let note = Note::parse(&server.get("/log/checkpoint").body).unwrap();
    note.lines().iter().filter(|line| line.name == "dgns.test/log").count()
}

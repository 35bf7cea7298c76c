//! A fork told to a log that watches whom it convicts: it stands there for everybody who reads that log.

use std::fs;
use std::path::PathBuf;

use dgns_tests::harness::http::request;
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::opaque::OpaqueLog;
use dgns_tests::harness::{Person, Site};
use serde_json::json;
use translog::fault::FaultFile;

/// A log elsewhere, as `n` pairs of heads that convict it.
fn forks(log: &OpaqueLog, n: u64) -> Vec<Vec<u8>> {
    let fork = log.fork(1);
    let keys = [log.signer().verifier_key().clone()];
    let file = |size| FaultFile::contradiction(&keys, [&log.note(size), &fork.note(size)], &[]).unwrap().encode();
    (8..8 + n).map(file).collect()
}

fn kept(person: &Person, name: &str, bytes: &[u8]) -> PathBuf {
    let path = person.home().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// A site that witnesses `log`.
fn watching(log: &OpaqueLog) -> Site {
    let site = Site::new();
    let logs = site.data().with_extension("logs");
    fs::write(&logs, format!("log {}\n", log.vkey())).unwrap();
    site.with("witness", "logs", &format!("{:?}", logs.display().to_string()))
}

#[test]
fn a_fork_that_was_told_stands_in_the_log_once() {
    // Goal: whoever audits a log learns of the fork it was told of. Method: told twice, by two people, and again after a restart;
    // the audit names it at every level.
    let (log, alice, bob) = (OpaqueLog::new("forked.example/log"), Person::new(), Person::new());
    let site = watching(&log);
    let server = site.start();
    let evidence = forks(&log, 1).remove(0);
    let file = kept(&alice, "evidence.fault", &evidence);
    let file = file.to_str().unwrap();
    let told = alice.dgns(&server, &["trust", "report", file]);
    let index = told.exits(0).number("/index");
    assert_eq!((told.text("/kind"), told.text("/origin")), ("log-fork".into(), "forked.example/log".into()));
    assert_eq!(told.json()["evidence_in_entry"], true);
    assert_eq!(bob.dgns(&server, &["trust", "report", file]).exits(0).number("/index"), index);
    server.stop().exits(0);
    let server = site.start();
    assert_eq!(bob.dgns(&server, &["trust", "report", file]).exits(0).number("/index"), index);
    for level in ["tree", "map", "full"] {
        let audit = bob.dgns(&server, &["audit", "--level", level]);
        let notice = json!([{ "index": index, "kind": "log-fork", "origin": "forked.example/log" }]);
        assert_eq!(audit.exits(0).json()["notices"], notice, "{level}");
    }
    let shown = bob.dgns_in_text(&server, &["audit"]);
    assert!(shown.exits(0).stdout.contains("notice   log-fork of forked.example/log at entry"), "{shown}");
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--deep"]).exits(0);
}

#[test]
fn what_does_not_hold_or_is_about_nobody_known_is_not_noted() {
    let (log, other, alice) =
        (OpaqueLog::new("forked.example/log"), OpaqueLog::new("other.example/log"), Person::new());
    let server = watching(&log).start();
    let refused = |evidence: &[u8]| {
        let answer = server.post("/v1/notices", evidence);
        (answer.status, answer.problem_code())
    };
    let evidence = forks(&log, 1).remove(0);
    let honest = {
        let file = FaultFile::decode(&evidence).unwrap();
        let note = log.note(8).to_string();
        let keys = file.log_keys().to_vec();
        FaultFile::new(file.kind(), &keys).with_part("first", note.as_bytes()).with_part("second", note.as_bytes())
    };
    for bad in [&b""[..], b"nonsense", &evidence[1..], &honest.encode()] {
        assert_eq!(refused(bad), (422, "bad_evidence".into()));
    }
    let of_other = forks(&other, 1).remove(0);
    assert_eq!(refused(&of_other), (404, "unknown_key".into()));
    assert_eq!(refused(&vec![b'x'; (512 << 10) + 1]), (413, "too_large".into()));
    let answer = request(server.http, "GET", "/v1/notices", &[], b"").unwrap();
    assert_eq!((answer.status, answer.problem_code()), (405, "method_not_allowed".into()));

    let stranger = kept(&alice, "other.fault", &of_other);
    let told = alice.dgns(&server, &["trust", "report", stranger.to_str().unwrap()]);
    assert_eq!(told.exits(4).text("/code"), "unknown_key");
    for (name, bytes) in [("honest.fault", honest.encode()), ("garbage.fault", b"nonsense".to_vec())] {
        let file = kept(&alice, name, &bytes);
        alice.dgns(&server, &["trust", "report", file.to_str().unwrap()]).exits(1);
    }
    alice.dgns(&server, &["trust", "report", "/nowhere"]).exits(1);
    assert_eq!(alice.dgns(&server, &["audit"]).exits(0).json()["notices"], json!([]));
}

#[test]
fn a_day_has_so_many_notices_and_no_more() {
    let log = OpaqueLog::new("forked.example/log");
    let site = watching(&log).with("limits", "notices_per_day", "2");
    let server = site.start();
    let evidence = forks(&log, 3);
    assert_eq!(server.post("/v1/notices", &evidence[0]).status, 200);
    assert_eq!(server.post("/v1/notices", &evidence[1]).status, 200);
    let answer = server.post("/v1/notices", &evidence[2]);
    assert_eq!((answer.status, answer.problem_code()), (429, "rate".into()));
    assert!(answer.json()["retry_ms"].as_u64().is_some_and(|ms| ms > 0) && !answer.header("retry-after").is_empty());
    assert_eq!(server.post("/v1/notices", &evidence[0]).status, 200, "what was said needs no further place");
}

#[test]
fn a_log_that_only_says_it_took_notice_is_caught() {
    // Goal: a report ends in a proof, not in a promise. Method: the proof of another entry, of one whose evidence was changed,
    // under a signature that was, and none at all.
    let log = OpaqueLog::new("forked.example/log");
    let site = watching(&log);
    let server = site.start();
    let evidence = forks(&log, 1).remove(0);
    let other = server.get("/v1/log/entries/0.tlog-proof").body;
    for (lie, code) in [("other", "notice"), ("nothing", "bad_proof_file"), ("hidden", "inclusion")] {
        let other = other.clone();
        let liar = Liar::before(server.http, move |request, mut answer| {
            match lie {
                "other" if request.contains("/v1/notices") => answer.body.clone_from(&other),
                "nothing" if request.contains("/v1/notices") => answer.body.clear(),
                "hidden" if request.contains("/v1/log/proof?index") => answer.body[0] ^= 1,
                _ => {}
            }
            Some(answer)
        });
        let alice = Person::new();
        let file = kept(&alice, "evidence.fault", &evidence);
        let told = alice.dgns_at(&liar.url, &["trust", "report", file.to_str().unwrap()], "");
        assert_eq!(told.exits(3).text("/code"), code, "{lie}: {told}");
    }
}

//! A witness catches a log at two histories by itself: whoever reads other logs meets it, without anybody's doing.

use std::fs;

use dgns_tests::harness::opaque::OpaqueLog;
use dgns_tests::harness::witness::{WitnessSite, submit};
use dgns_tests::harness::{Person, Server, Site, wait};
use serde_json::Value;

/// The Notices that an audit of a log lists.
fn notices(server: &Server) -> Value {
    Person::new().dgns(server, &["audit"]).exits(0).json()["notices"].clone()
}

/// Waits until a log has said that the other one forked.
fn says(server: &Server, what: &str) {
    wait::until(what, || {
        let notices = notices(server);
        (notices[0]["kind"] == "log-fork" && notices[0]["origin"] == "forked.example/log").then_some(())
    });
}

/// A site with a witness inside, of the logs on these lines.
fn witnessing(lines: &str, zone: &str) -> Site {
    let site = Site::new().with_zone(zone);
    let logs = site.data().with_extension("logs");
    fs::write(&logs, lines).unwrap();
    site.with("witness", "logs", &format!("{:?}", logs.display().to_string()))
}

/// Shows a cosigner two histories.
fn shows_both(witness: &Server, log: &OpaqueLog) {
    assert_eq!(submit(witness, "witness", &log.request(0, 5)).status, 200);
    let caught = submit(witness, "witness", &log.fork(1).request(5, 8));
    assert_eq!((caught.status, caught.problem_code().as_str()), (422, "consistency"), "{}", caught.text());
}

#[test]
fn a_fork_that_a_witness_meets_is_kept_shown_and_told_to_other_logs() {
    // Goal: nobody has to look for it. Method: a log whose second history comes to a witness inside a name server; that server's own
    // log, and another log it watches, say so; the evidence is served, and convicts before a stranger. A witness alone tells too, also
    // a log that was away when it caught the fork, and nobody twice.
    let log = OpaqueLog::new("forked.example/log");
    let other_site = witnessing(&format!("log {}\n", log.vkey()), "dgns.test");
    let other = other_site.start();
    let lines = format!("log {}\nlog {} {}/log\n", log.vkey(), other.vkey(), other.url);
    let own_site = witnessing(&lines, "w.test");
    let own = own_site.start();
    shows_both(&own, &log);
    says(&other, "the other log says so");
    let own_entries = wait::until("the own log says so", || {
        let size = own.get("/v1/info").json()["size"].as_u64()?;
        (own.get("/metrics").text().contains("dgns_witness_reports_total{outcome=\"taken\"} 2")).then_some(size)
    });
    assert!(own_entries > 3);
    let listed = own.get("/witness/evidence").json();
    let path = listed["files"][0]["path"].as_str().unwrap().to_owned();
    assert!(listed["files"][0]["convicts"].as_str().unwrap().contains(&log.vkey()), "{listed}");
    assert!(own.get("/metrics").text().contains("dgns_witness_evidence_files 1"));
    assert_eq!(own.get("/witness/status").json()["evidence"], 1);
    let stranger = Person::new();
    let file = stranger.home().join("shown.fault");
    fs::write(&file, own.get(&path).body).unwrap();
    let judged = stranger.dgns_at("http://127.0.0.1:1", &["verify", file.to_str().unwrap()], "");
    assert_eq!(judged.exits(3).text("/code"), "prefix");
    for wrong in ["/witness/evidence/none.fault", "/witness/evidence/..%2f..%2fkeys%2fwitness.key"] {
        assert_eq!(own.get(wrong).status, 404, "{wrong}");
    }
    own.stop().exits(0);
    let own = own_site.start();
    assert!(own.get("/metrics").text().contains("dgns_witness_reports_total{outcome=\"taken\"} 0"), "it is told once");
    assert_eq!(notices(&other).as_array().map(Vec::len), Some(1));

    let alone_site = WitnessSite::new();
    let line = format!("{} {}/log", other.vkey(), other.url);
    let away = OpaqueLog::new("away.example/log");
    let alone = alone_site.start(&[&log.vkey(), &line, &format!("{} http://127.0.0.1:1/log", away.vkey())]);
    shows_both(&alone, &log);
    wait::until("it is told", || {
        let text = fs::read_to_string(alone_site.data().join("evidence/reported")).unwrap_or_default();
        (text.lines().count() == 1 && text.contains(&other.url)).then_some(())
    });
    assert_eq!(notices(&other).as_array().map(Vec::len), Some(1), "the same evidence is one Notice");
}

//! Starts that must fail say why and sign nothing: bad configuration, a second server, other zones, taken ports, stray files.

use std::fs;
use std::process::Command;

use dgns_tests::harness::programs::{program, run};
use dgns_tests::harness::{Person, Site};

#[test]
fn all_faults_of_a_configuration_are_listed_at_once() {
    let site = Site::new()
        .with("http", "listen", "\"nowhere\"")
        .with("claims", "work_bits", "99")
        .with("claims", "roads", "[\"open\", \"bribe\"]")
        .with("dns", "colour", "\"blue\"");
    let refused = site.start_in_vain();
    for part in ["http.listen", "claims.work_bits", "claims.roads", "bribe", "dns.colour", "unknown key"] {
        assert!(refused.exits(1).stderr.contains(part), "{part} is not named: {refused}");
    }
    assert!(!site.data().exists(), "nothing was made");
}

#[test]
fn documented_default_configuration_is_valid_and_complete() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(program("dgnsd"));
    command.arg("config");
    let text = run(command, "").exits(0).stdout.clone();
    let path = directory.path().join("dgnsd.toml");
    fs::write(&path, text).unwrap();
    let mut command = Command::new(program("dgnsd"));
    command.args(["serve", "--check", "--config"]).arg(&path);
    run(command, "").exits(0);
}

#[test]
fn second_server_on_the_same_data_is_refused() {
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    let refused = site.start_in_vain();
    assert!(refused.exits(1).stderr.contains("names.lock") || refused.stderr.contains("in use"), "{refused}");
    let checked = site.dgnsd(&["fsck"]);
    assert_eq!(checked.code, Some(1), "a running server's data cannot be checked: {checked}");
    alice.up(&server, "alice");
    server.stop().exits(0);
    site.dgnsd(&["fsck"]).exits(0);
}

#[test]
fn taken_port_is_named() {
    let site = Site::new();
    let server = site.start();
    let other = Site::new().with("http", "listen", &format!("{:?}", server.http.to_string()));
    let refused = other.start_in_vain();
    assert!(refused.exits(1).stderr.contains(&format!("cannot listen on {}", server.http)), "{refused}");
}

#[test]
fn data_of_another_zone_is_refused() {
    let site = Site::new();
    site.start().stop().exits(0);
    let site = site.with_zone("other.test");
    let refused = site.start_in_vain();
    assert_ne!(refused.code, Some(0), "{refused}");
    assert!(refused.stderr.contains("zone") || refused.stderr.contains("signed"), "{refused}");
}

#[test]
fn stop_signal_ends_a_server_with_idle_connections_at_once_and_in_order() {
    let site = Site::new();
    let server = site.start();
    let idle: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(server.http).unwrap()).collect();
    server.get("/health");
    let stopped = server.stop();
    assert!(stopped.exits(0).stderr.is_empty(), "{stopped}");
    drop(idle);
    site.dgnsd(&["fsck", "--deep"]).exits(0);
}

#[test]
fn invitation_opens_the_door_once() {
    // Goal: a code made by the operator lets one claim pass without work. Method: a zone with no other road.
    let site = Site::new().with("claims", "roads", "[\"invite\", \"parent\"]");
    let server = site.start();
    let code = site.dgnsd(&["invite"]).exits(0).stdout.trim().to_owned();
    let (alice, bob, carol) = (Person::new(), Person::new(), Person::new());
    let refused = alice.dgns(&server, &["up", "alice"]);
    assert_eq!(refused.exits(4).text("/code"), "road_closed");
    alice.dgns(&server, &["up", "alice", "--invite", &code]).exits(0);
    let used = bob.dgns(&server, &["up", "bob", "--invite", &code]);
    assert_eq!(used.exits(4).text("/code"), "bad_invite");
    let unknown = "A".repeat(26);
    assert_eq!(carol.dgns(&server, &["up", "carol", "--invite", &unknown]).exits(4).text("/code"), "bad_invite");
    carol.dgns(&server, &["up", "carol", "--invite", "short"]).exits(1);
    alice.dgns(&server, &["audit"]).exits(0);
}

#[test]
fn server_that_says_it_is_ready_can_be_stopped_in_order_at_once() {
    // Goal: no moment after the ready line in which a signal kills. Method: a signal as soon as the line is there, many times.
    let site = Site::new();
    for _ in 0..20 {
        site.start().stop().exits(0);
    }
}

#[test]
fn the_unit_of_systemd_starts_what_there_is() {
    // Goal: the commands of docs/dgnsd.service are commands of this program, and its default configuration is one that they take.
    let unit = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/dgnsd.service")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("dgnsd.toml");
    let mut command = Command::new(program("dgnsd"));
    command.arg("config");
    fs::write(&config, &run(command, "").exits(0).stdout).unwrap();
    let lines = unit.lines().filter_map(|line| line.strip_prefix("ExecStart=").or(line.strip_prefix("ExecStartPre=")));
    let mut checked = 0;
    for line in lines {
        let rest = line.strip_prefix("/usr/local/bin/dgnsd ").unwrap();
        assert!(rest.contains("/etc/dgns/dgnsd.toml"), "{line}");
        let mut command = Command::new(program("dgnsd"));
        let words = rest.split(' ').filter(|word| *word != "--check").chain(["--check"]);
        command.args(words.map(|word| if word.starts_with('/') { config.to_str().unwrap() } else { word }));
        run(command, "").exits(0);
        checked += 1;
    }
    assert_eq!(checked, 2);
}

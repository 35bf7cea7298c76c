//! Three servers on one machine that witness each other: what their operators do, and what a person sees when some are gone.

use std::path::Path;

use dgns_tests::harness::site::loopback;
use dgns_tests::harness::{Person, Server, Site, wait};
use serde_json::Value;

/// Three sites, each a name server with a witness inside, whose keys are made and named in one policy and one list of logs.
struct Trio {
    sites: Vec<Site>,
    directory: tempfile::TempDir,
}

impl Trio {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text = |file: &str| format!("{:?}", directory.path().join(file).display().to_string());
        let site = |n: usize, zone: &str| {
            Site::new()
                .with_zone(zone)
                .with("http", "listen", &format!("\"{}:{}\"", loopback(), 5_380 + n))
                .with("witness", "logs", &text("logs"))
                .with("witnesses", "policy", &text("policy"))
                .with("witnesses", "announce_ms", "50")
                .with("http", "request_s", "6")
        };
        let sites: Vec<Site> =
            ["dgns.test", "b.test", "c.test"].iter().enumerate().map(|(n, zone)| site(n, zone)).collect();
        let lines: Vec<String> = sites.iter().flat_map(keys).collect();
        let of = |word: &str| -> String {
            lines.iter().filter(|line| line.starts_with(word)).map(|line| format!("{line}\n")).collect()
        };
        let names: Vec<&str> = lines
            .iter()
            .filter(|line| line.starts_with("witness "))
            .filter_map(|line| line.split(' ').nth(1))
            .collect();
        assert_eq!(names.len(), 3, "{lines:?}");
        let quorum = format!("group enough 2 {}\nquorum enough\n", names.join(" "));
        std::fs::write(directory.path().join("logs"), format!("{}quorum none\n", of("log "))).unwrap();
        std::fs::write(directory.path().join("policy"), format!("{}{quorum}", of("witness "))).unwrap();
        std::fs::write(directory.path().join("client"), format!("{}{}{quorum}", of("log "), of("witness "))).unwrap();
        Self { sites, directory }
    }

    fn client_policy(&self) -> &Path {
        self.directory.path()
    }
}

/// The policy lines that name the server of a site.
fn keys(site: &Site) -> Vec<String> {
    site.keys(&[]).exits(0).stdout.lines().map(str::to_owned).collect()
}

fn until_info(server: &Server, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait::until(what, || Some(server.get("/v1/info").json()).filter(|info| holds(info)))
}

#[test]
fn three_servers_witness_each_other_and_two_are_enough() {
    // Goal: by `dgnsd keys` and two files alone three servers cosign each other's heads; one gone changes nothing for a person,
    // two gone stop what is public and say so, and an old enough head is exit 3; back again, all goes on.
    let trio = Trio::new();
    let policy = trio.client_policy().join("client").display().to_string();
    let [site, second, third] = &trio.sites[..] else { panic!("three sites") };
    let (server, b, c) = (site.start(), second.start(), third.start());
    for (server, name) in [(&server, "the first"), (&b, "the second"), (&c, "the third")] {
        until_info(server, &format!("{name} has its quorum"), |info| info["public"]["standing"] == "witnessed");
    }

    let alice = Person::new();
    let does = |arguments: &[&str]| alice.dgns(&server, &[&["--policy", &policy], arguments].concat());
    does(&["trust", "add", &server.url, "--max-head-age-s", "6"]).exits(0);
    does(&["up", "alice"]).exits(0);
    does(&["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    assert_eq!(does(&["resolve", "alice"]).exits(0).json()["proof"]["witnessed"], true);

    c.kill();
    does(&["records", "set", "alice", "A", "192.0.2.2"]).exits(0);
    does(&["resolve", "alice"]).exits(0);

    b.kill();
    let info = until_info(&server, "the server says that it is stale", |info| info["public"]["stale"] == true);
    assert_eq!(info["public"]["standing"], "witnessed");
    let refused = wait::until("the last head with a quorum is too old", || {
        Some(does(&["resolve", "alice"])).filter(|ran| ran.code != Some(0))
    });
    assert_eq!(refused.exits(3).text("/code"), "stale_head");

    let _b = second.start();
    until_info(&server, "heads have their quorum again", |info| info["public"]["stale"] == false);
    does(&["records", "set", "alice", "A", "192.0.2.3"]).exits(0);
    does(&["resolve", "alice"]).exits(0);
}

//! A follower beside the server it follows: the real programs.

use dgns_tests::harness::load::{Poster, Somebody};
use dgns_tests::harness::party::{Manner, Party};
use dgns_tests::harness::{Person, Server, Site, wait};
use serde_json::Value;
use translog::note::{Checkpoint, Note};

/// A place for a follower of `origin`.
fn follower_of(url: &str) -> Site {
    Site::new().with("follow", "url", &format!("{url:?}"))
}

fn head(server: &Server) -> Checkpoint {
    Checkpoint::parse(Note::parse(&server.get("/log/checkpoint").body).unwrap().text()).unwrap()
}

fn info(server: &Server) -> Value {
    server.get("/v1/info").json()
}

/// Waits until the follower has what the origin has.
fn caught_up(follower: &Server, origin: &Server) -> Checkpoint {
    let newest = head(origin);
    wait::until("the follower has what the origin has", || Some(head(follower)).filter(|head| head.size >= newest.size))
}

/// What somebody who meets the log for the first time at this server proves of alice.
fn resolved(server: &Server) -> String {
    Person::new().dgns(server, &["resolve", "alice"]).exits(0).json().to_string()
}

/// Asks a server's DNS for addresses.
fn dig(server: &Server, name: &str) -> String {
    let port = server.dns.port().to_string();
    let mut command = std::process::Command::new("dig");
    command.args(["@127.0.0.1", "-p", &port, name, "A", "+short", "+tries=1", "+time=60"]);
    String::from_utf8(command.output().expect("dig is installed").stdout).unwrap()
}

#[test]
fn a_follower_serves_what_the_origin_signs_with_the_same_proofs() {
    // Goal: claim and records at the origin, proof and address at the follower, and writes sent on. Method: names before the
    // follower's first start, while it runs, and while it is away; a person whose only server is the follower.
    let origin_site = Site::new();
    let origin = origin_site.start();
    let alice = Person::new();
    alice.up(&origin, "alice");
    alice.dgns(&origin, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);

    let site = follower_of(&origin.url);
    let follower = site.start();
    assert_eq!((follower.vkey(), &follower.ready["zone"]), (origin.vkey(), &origin.ready["zone"]));
    let reader = Person::new();
    reader.dgns(&follower, &["resolve", "alice"]).exits(0);
    assert_eq!(dig(&follower, "alice.dgns.test"), "192.0.2.1\n");

    alice.dgns(&origin, &["records", "set", "alice", "A", "192.0.2.2"]).exits(0);
    let bobby = Person::new();
    bobby.up(&origin, "bobby");
    caught_up(&follower, &origin);
    reader.dgns(&follower, &["resolve", "bobby"]).exits(0);
    reader.dgns(&follower, &["resolve", "nobody"]).exits(6);
    wait::until("DNS follows", || (dig(&follower, "alice.dgns.test") == "192.0.2.2\n").then_some(()));
    reader.dgns(&follower, &["audit", "--strict"]).exits(0);
    assert_eq!(follower.get("/log/checkpoint").body, origin.get("/log/checkpoint").body);

    let refused = Somebody::new("carol", 1).1;
    let answer = follower.post("/v1/certificates", &dgns_tests::harness::load::body(&refused));
    assert_eq!((answer.status, answer.problem_code().as_str()), (421, "not_the_writer"));
    assert_eq!(answer.json()["writer"], origin.url.as_str());

    follower.stop().exits(0);
    bobby.dgns(&origin, &["records", "set", "bobby", "A", "192.0.2.9"]).exits(0);
    let follower = site.start();
    caught_up(&follower, &origin);
    wait::until("DNS follows", || (dig(&follower, "bobby.dgns.test") == "192.0.2.9\n").then_some(()));
    assert_eq!(follower.get("/ready").status, 200);
    assert!(follower.get("/metrics").text().contains("dgns_follow_fault 0"));
    follower.kill();
    site.dgnsd(&["fsck", "--deep"]).exits(0);
}

#[test]
fn a_follower_asks_for_the_cosignatures_that_the_log_recommends() {
    // Goal: a follower that was told nothing of witnesses serves heads which clients under the log's own policy believe, and says
    // whose word it waits for. Method: two of three witnesses; first contact at the follower, which also starts again; without
    // the quorum it shows the last head that has it; under a policy of its own that asks for none it goes on.
    let party = Party::new(3, 2);
    let policy = format!("{:?}", party.policy_file().display().to_string());
    let origin_site = Site::new().with("witnesses", "policy", &policy).with("witnesses", "announce_ms", "20");
    let origin = origin_site.start();
    party.witnesses.iter().for_each(|witness| witness.watches(origin.vkey()));
    let alice = Person::new();
    alice.up(&origin, "alice");

    let site = follower_of(&origin.url);
    let follower = site.start();
    assert_eq!(info(&follower)["quorum"], info(&origin)["quorum"]);
    assert_eq!(info(&follower)["public"]["standing"], "witnessed");
    Person::new().dgns(&follower, &["resolve", "alice"]).exits(0);
    alice.dgns(&origin, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    wait::until("DNS follows", || (dig(&follower, "alice.dgns.test") == "192.0.2.1\n").then_some(()));
    assert!(resolved(&follower).contains("192.0.2.1"));

    follower.stop().exits(0);
    let follower = site.start();
    assert_eq!(info(&follower)["quorum"], info(&origin)["quorum"]);
    party.witnesses[..2].iter().for_each(|witness| witness.turns(Manner::Dead));
    alice.dgns(&origin, &["records", "set", "alice", "A", "192.0.2.2"]).exits(2);
    let none = site.file("none.policy", &format!("log {}\nquorum none\n", origin.vkey()));
    let trusting = follower_of(&origin.url).with("follow", "policy", &format!("{:?}", none.display().to_string()));
    let trusting = trusting.start();
    assert_eq!(info(&trusting)["quorum"], "none");
    wait::until("the newest head", || (dig(&trusting, "alice.dgns.test") == "192.0.2.2\n").then_some(()));
    assert!(resolved(&follower).contains("192.0.2.1"));
    assert_eq!(dig(&follower, "alice.dgns.test"), "192.0.2.1\n");
}

#[test]
fn a_follower_of_a_follower_serves_the_same_log() {
    let origin_site = Site::new();
    let origin = origin_site.start();
    Person::new().up(&origin, "alice");
    let near_site = follower_of(&origin.url);
    let near = near_site.start();
    let far_site = follower_of(&near.url);
    let far = far_site.start();
    Person::new().up(&origin, "bobby");
    caught_up(&far, &origin);
    Person::new().dgns(&far, &["resolve", "bobby"]).exits(0);
    assert_eq!(far.get("/log/checkpoint").body, origin.get("/log/checkpoint").body);
}

#[test]
fn a_follower_survives_the_death_and_the_return_of_its_origin() {
    // Goal: what was verified goes on being served, and the return is noticed. Method: the origin is killed, comes back at the
    // same address, and goes on.
    let place = Site::new();
    let origin = place.start();
    let address = origin.http.to_string();
    Person::new().up(&origin, "alice");
    let follower_site = follower_of(&origin.url);
    let follower = follower_site.start();
    caught_up(&follower, &origin);
    origin.kill();
    let away =
        wait::until("the follower notices", || Some(info(&follower)).filter(|info| info["follows"]["state"] == "away"));
    assert_eq!(away["follows"]["stale"], false);
    Person::new().dgns(&follower, &["resolve", "alice"]).exits(0);
    assert_eq!(follower.get("/ready").status, 200);

    let origin = place.with("http", "listen", &format!("{address:?}")).start();
    Person::new().up(&origin, "bobby");
    caught_up(&follower, &origin);
    Person::new().dgns(&follower, &["resolve", "bobby"]).exits(0);
}

#[test]
fn a_data_directory_follows_one_log_for_ever() {
    // Goal: the first log met is pinned. Method: another log at the URL, a server of its own on the directory, a follower on a
    // server's directory; a first start without an origin.
    let origin_site = Site::new();
    let origin = origin_site.start();
    Person::new().up(&origin, "alice");
    let site = follower_of(&origin.url);
    site.start().stop().exits(0);

    let other_site = Site::new();
    let other = other_site.start();
    Person::new().up(&other, "alice");
    let site = site.with("follow", "url", &format!("{:?}", other.url));
    let follower = site.start();
    let told = wait::until("the other log is refused", || {
        Some(info(&follower)).filter(|info| info["follows"]["state"] == "refused")
    });
    assert_eq!(told["follows"]["problem"], "log_signature");
    assert_eq!(follower.vkey(), origin.vkey());
    follower.stop().exits(0);

    let own = site.with("follow", "url", "\"\"").start_in_vain();
    assert!(own.exits(1).stderr.contains("--follow"), "{own}");
    let (place, server) = {
        let place = Site::new();
        let server = place.start();
        (place, server)
    };
    server.stop().exits(0);
    let own = place.with("follow", "url", &format!("{:?}", origin.url)).start_in_vain();
    own.exits(1);
    let nowhere = follower_of("http://127.0.0.1:9").start_in_vain();
    assert!(nowhere.exits(1).stderr.contains("does not answer"), "{nowhere}");
}

#[test]
fn a_follower_killed_under_load_goes_on_where_it_was() {
    // Goal: no crash of a follower loses or doubles anything. Method: clients post without a pause, the follower is killed again
    // and again; each time its directory is checked; at the end it is the origin's copy.
    let origin_site = Site::new();
    let origin = origin_site.start();
    let site = follower_of(&origin.url);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..2 {
            let (origin, stop) = (&origin, &stop);
            scope.spawn(move || {
                let mut poster = Poster::new(origin.vkey());
                for person in 0.. {
                    let (mut somebody, certificates) = Somebody::new(&format!("c{client}-{person}"), 1);
                    poster.post(origin.http, &certificates, &somebody.subject()).unwrap();
                    for last in 0..10 {
                        let change = somebody.points_to([192, 0, 2, last]);
                        poster.post(origin.http, &[change], &somebody.subject()).unwrap();
                    }
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        let mut last = 0;
        for round in 0..6 {
            let follower = site.start();
            last = wait::until("the follower goes on", || Some(head(&follower).size).filter(|size| *size > last + 20));
            follower.kill();
            let checked = site.dgnsd(&["fsck", "--json"]);
            assert_eq!(checked.code, Some(0), "round {round}: {checked}");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let follower = site.start();
    let (copy, newest) = (caught_up(&follower, &origin), head(&origin));
    assert_eq!((copy.size, copy.root), (newest.size, newest.root));
    Person::new().dgns(&follower, &["audit", "--strict"]).exits(0);
    follower.stop().exits(0);
    site.dgnsd(&["fsck", "--deep"]).exits(0);
}

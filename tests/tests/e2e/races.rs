//! Writes that meet: the same one twice, two for one place, two for one name, many at once; and what a restart keeps.

use dgns_tests::harness::load::{Poster, Somebody, body};
use dgns_tests::harness::{Person, Site};
use std::thread;

#[test]
fn repeated_post_gets_the_same_answer_before_and_after_a_restart() {
    let site = Site::new();
    let server = site.start();
    let (mut bob, birth) = Somebody::new("bob", 1);
    let mut poster = Poster::new(server.vkey());
    let (indexes, _) = poster.post(server.http, &birth, &bob.subject()).unwrap();
    let address = [bob.points_to([192, 0, 2, 1])];
    let (third, _) = poster.post(server.http, &address, &bob.subject()).unwrap();
    let again = |poster: &mut Poster, http| {
        assert_eq!(poster.post(http, &birth, &bob.subject()).unwrap().0, indexes);
        let (repeated, resolved) = poster.post(http, &address, &bob.subject()).unwrap();
        assert_eq!(repeated, third);
        resolved.head().size
    };
    let size = again(&mut poster, server.http);
    assert_eq!(size, 10, "a repeat writes nothing");
    server.kill();
    let server = site.start();
    assert_eq!(again(&mut poster, server.http), size);
}

#[test]
fn second_claim_of_a_name_is_refused_and_changes_nothing() {
    let site = Site::new();
    let server = site.start();
    let (bob, birth) = Somebody::new("bob", 1);
    let mut poster = Poster::new(server.vkey());
    let (_, resolved) = poster.post(server.http, &birth, &bob.subject()).unwrap();
    let (_, second) = Somebody::new("bob", 1);
    let refused = server.post("/v1/certificates", &body(&second));
    assert_eq!((refused.status, refused.problem_code().as_str()), (409, "name_taken"));
    // The whole post is refused: the second bob's genesis is not in the log either.
    let newest = poster.post(server.http, &birth, &bob.subject()).unwrap().1;
    assert_eq!(newest.head().size, resolved.head().size);
}

#[test]
fn two_claims_of_one_name_at_once_have_one_winner() {
    // Goal: the log's order decides. Method: four people post claims of one name at the same moment, eight times over.
    let site = Site::new();
    let server = site.start();
    for round in 0..8 {
        let label = format!("prize{round}");
        let people: Vec<_> = (0..4).map(|_| Somebody::new(&label, 1)).collect();
        let statuses: Vec<u16> = thread::scope(|scope| {
            let posts: Vec<_> = people
                .iter()
                .map(|(_, birth)| scope.spawn(|| server.post("/v1/certificates", &body(birth)).status))
                .collect();
            posts.into_iter().map(|post| post.join().unwrap()).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 409)), "{statuses:?}");
    }
}

#[test]
fn lost_race_names_the_head_to_build_upon() {
    // Goal: whoever is too late learns where the chain stands. Method: two certificates for one place; the second builds anew.
    let site = Site::new();
    let server = site.start();
    let (mut bob, birth) = Somebody::new("bob", 1);
    let mut poster = Poster::new(server.vkey());
    poster.post(server.http, &birth, &bob.subject()).unwrap();
    let place = bob.next;
    let first = bob.points_to([192, 0, 2, 1]);
    let after_first = bob.next;
    bob.next = place;
    let late = bob.points_to([192, 0, 2, 2]);
    let (indexes, _) = poster.post(server.http, std::slice::from_ref(&first), &bob.subject()).unwrap();

    let refused = server.post("/v1/certificates", &body(std::slice::from_ref(&late)));
    assert_eq!((refused.status, refused.problem_code().as_str()), (409, "stale_prev"));
    let head = refused.json()["head"].clone();
    assert_eq!((&head["seq"], &head["index"]), (&2.into(), &indexes[0].into()));
    assert_eq!(head["sid"], data_encoding::HEXLOWER.encode(&first.sid()));
    bob.next = after_first;
    let rebuilt = bob.points_to([192, 0, 2, 2]);
    poster.post(server.http, &[rebuilt], &bob.subject()).unwrap();
}

#[test]
fn records_set_at_the_same_time_are_all_there_afterwards() {
    // Goal: a command that loses a race tries again, and never takes back what the winner set. Method: six commands of one device
    // at once, four of them for the records of one name.
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    alice.dgns(&server, &["claim", "db.alice"]).exits(0);
    let sets = [
        ("alice", "A", "192.0.2.1"),
        ("alice", "AAAA", "2001:db8::1"),
        ("alice", "TXT", "hello"),
        ("alice", "CAA", "0 issue \"ca.example\""),
        ("db.alice", "A", "192.0.2.2"),
        ("db.alice", "TXT", "hello"),
    ];
    thread::scope(|scope| {
        for (name, rtype, value) in sets {
            let (server, alice) = (&server, &alice);
            scope.spawn(move || alice.dgns(server, &["records", "set", name, rtype, value]).exits(0).code);
        }
    });
    for (name, count) in [("alice", 4), ("db.alice", 2)] {
        let listed = alice.dgns(&server, &["records", "list", name]);
        assert_eq!(listed.exits(0).json()["records"].as_array().map(Vec::len), Some(count), "{listed}");
    }
    alice.dgns(&server, &["audit"]).exits(0);
}

#[test]
fn restart_keeps_everything_and_answers_as_before() {
    let (site, alice) = (Site::new(), Person::new());
    let server = site.start();
    alice.up(&server, "alice");
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.1"]).exits(0);
    let before = alice.dgns(&server, &["resolve", "alice"]);
    let entry = server.get("/v1/log/entries/5").body;
    server.stop().exits(0);
    let server = site.start();
    assert_eq!(server.ready["made"], false);
    let after = alice.dgns(&server, &["resolve", "alice"]);
    assert_eq!(after.exits(0).json()["proof"]["continuity"], "same_head", "{after}");
    assert_eq!(after.json()["records"], before.exits(0).json()["records"]);
    assert_eq!(after.json()["did"], before.json()["did"]);
    assert_eq!(server.get("/v1/log/entries/5").body, entry);
    alice.dgns(&server, &["records", "set", "alice", "A", "192.0.2.2"]).exits(0);
    alice.dgns(&server, &["audit"]).exits(0);
}

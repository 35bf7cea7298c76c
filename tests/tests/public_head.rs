//! A real `dgnsd` under a quorum of witnesses: what is public, what waits, and what bad witnesses cannot do (PROTOCOL 9.7, 12.7).

use dgns_client::clock;
use dgns_tests::harness::load::{Somebody, body, origin};
use dgns_tests::harness::party::{Manner, Party};
use dgns_tests::harness::{Server, Site, wait};
use identity::state::Subject;
use serde_json::Value;
use translog::head::Head;
use translog::note::{Checkpoint, Note, VerifierKey};
use translog::policy::Policy;
use translog::resolve::{self, Resolved, VerifyError};
use translog::trust::{Memory, Trust};

/// A site whose server asks these witnesses, and announces as often as it may.
fn site(party: &Party) -> Site {
    let path = format!("{:?}", party.policy_file().display().to_string());
    Site::new().with("witnesses", "policy", &path).with("witnesses", "announce_ms", "20").with("http", "request_s", "3")
}

/// Starts a server whose key the witnesses know.
fn start(site: &Site, party: &Party) -> Server {
    let server = site.start();
    party.witnesses.iter().for_each(|witness| witness.watches(server.vkey()));
    server
}

/// What a client that asks for this quorum makes of an answer.
fn judged(server: &Server, policy: Policy, subject: &Subject, bytes: &[u8]) -> Result<Resolved, VerifyError> {
    let keys = vec![VerifierKey::parse(server.vkey()).unwrap()];
    let trust = Trust::new(origin(), keys).unwrap().with_policy(policy);
    resolve::verify(&trust, &mut Memory::new(origin()), subject, bytes, clock::now())
}

/// Posts the first certificates of somebody called `name` and waits until they are witnessed.
fn claimed(server: &Server, name: &str) -> Somebody {
    let (somebody, certificates) = Somebody::new(name, 1);
    wait::until("the claim is cosigned", || {
        let answer = server.post("/v1/certificates?wait=cosigned", &body(&certificates));
        (answer.status == 200).then_some(())
    });
    somebody
}

/// Waits until `/v1/info` says so.
fn until_info(server: &Server, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait::until(what, || Some(server.get("/v1/info").json()).filter(|info| holds(info)))
}

fn public_size(server: &Server) -> u64 {
    server.get("/v1/info").json()["public"]["size"].as_u64().unwrap()
}

#[test]
fn a_quorum_of_two_in_three_goes_on_without_one_and_waits_without_two() {
    // Goal: killing one witness changes nothing for clients; killing two leaves the last witnessed head in place, says so, and
    // commits on; one coming back makes the newest public. Method: turn witnesses off and on; every answer is verified.
    let party = Party::new(3, 2);
    let site = site(&party);
    let server = start(&site, &party);
    let mut alice = claimed(&server, "alice");
    let subject = alice.subject();
    let name = format!("/v1/names/{}", alice.name);
    let first = alice.points_to([192, 0, 2, 1]);
    let answer = server.post("/v1/certificates?wait=cosigned", &body(&[first]));
    assert_eq!(answer.status, 200, "{}", answer.text());
    judged(&server, party.policy(), &subject, &answer.body).unwrap();
    judged(&server, party.policy(), &subject, &server.get(&name).body).unwrap();

    party.witnesses[0].turns(Manner::Dead);
    let answer = server.post("/v1/certificates?wait=cosigned", &body(&[alice.points_to([192, 0, 2, 2])]));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let witnessed = judged(&server, party.policy(), &subject, &answer.body).unwrap();

    party.witnesses[1].turns(Manner::Dead);
    let at = |server: &Server, query: &str| server.get(&format!("{name}?with=certs{query}"));
    let later = server.post("/v1/certificates", &body(&[alice.points_to([192, 0, 2, 3])]));
    assert_eq!(later.status, 200, "{}", later.text());
    assert_eq!(judged(&server, party.policy(), &subject, &later.body).unwrap_err(), VerifyError::Quorum);
    judged(&server, Policy::none(), &subject, &later.body).unwrap();
    let unknown = server.post("/v1/certificates?wait=cosigned", &body(&[alice.points_to([192, 0, 2, 4])]));
    assert_eq!((unknown.status, unknown.problem_code().as_str()), (503, "quorum_pending"));
    assert!(unknown.json()["retry_ms"].as_u64().is_some());

    let info = until_info(&server, "the server says that it is stale", |info| info["public"]["stale"] == true);
    assert_eq!(info["public"]["standing"], "witnessed");
    assert!(info["public"]["size"].as_u64() < info["size"].as_u64(), "{info}");
    assert!(info["public"]["witnesses"][1]["error"].is_string(), "{info}");
    let old = judged(&server, party.policy(), &subject, &at(&server, "").body).unwrap();
    assert_eq!(
        (old.head().size, old.name()),
        (witnessed.head().size, witnessed.name()),
        "the old state is still proved"
    );
    let new = judged(&server, Policy::none(), &subject, &at(&server, "&head=newest").body).unwrap();
    assert!(new.head().size > old.head().size && new.name() != old.name());
    let ahead = format!("&from={}", new.head().size);
    assert_eq!(
        judged(&server, Policy::none(), &subject, &at(&server, &ahead).body).unwrap().head().size,
        new.head().size
    );
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains("dgns_public_stale 1") && metrics.contains("dgns_witness_size{witness=\"w3\"}"));

    party.witnesses[1].turns(Manner::Honest);
    let again = server.post("/v1/certificates?wait=cosigned", &body(&[alice.points_to([192, 0, 2, 5])]));
    assert_eq!(again.status, 200, "{}", again.text());
    let now = judged(&server, party.policy(), &subject, &at(&server, "").body).unwrap();
    assert!(now.head().size > new.head().size);
    until_info(&server, "the server says that all is well", |info| info["public"]["stale"] == false);
    server.stop().exits(0);
}

#[test]
fn the_checkpoint_is_the_last_head_with_its_quorum_and_has_every_line() {
    // Goal: readers of the stock path never meet a head without its quorum. Method: the note's lines while witnesses come and go.
    let party = Party::new(3, 2);
    let site = site(&party);
    let server = start(&site, &party);
    let mut alice = claimed(&server, "alice");
    let lines = |server: &Server| {
        let note = Note::parse(&server.get("/log/checkpoint").body).unwrap();
        let size = Checkpoint::parse(note.text()).unwrap().size;
        (size, note.verify(party.policy().cosigners()).unwrap().len())
    };
    let size = wait::until("the third cosignature joins", || Some(lines(&server)).filter(|(_, lines)| *lines == 3)).0;
    assert_eq!(Head::decode(&server.get("/v1/log/head").body).unwrap().size, public_size(&server));
    party.all(Manner::Dead);
    assert_eq!(server.post("/v1/certificates", &body(&[alice.points_to([192, 0, 2, 1])])).status, 200);
    assert_eq!(lines(&server).0, size);
    assert!(Head::decode(&server.get("/v1/log/head?head=newest").body).unwrap().size > size);
    assert_eq!(server.get("/v1/log/head?head=oldest").problem_code(), "bad_query");
    let status = server.get("/v1/log/status").json();
    assert_eq!((status["quorum"].as_str(), status["public"]["size"].as_u64()), (Some("enough"), Some(size)));
}

#[test]
fn after_a_start_lookups_wait_for_a_head_with_its_quorum() {
    // Goal: a restarted server proves nothing unwitnessed by default, still serves the last checkpoint, and recovers by itself.
    let party = Party::new(3, 2);
    let site = site(&party);
    let server = start(&site, &party);
    let mut alice = claimed(&server, "alice");
    let name = format!("/v1/names/{}", alice.name);
    let cosigners = |note: &[u8]| Note::parse(note).unwrap().verify(party.policy().cosigners()).unwrap().len();
    let note = wait::until("the third cosignature joins", || {
        Some(server.get("/log/checkpoint").body).filter(|note| cosigners(note) == 3)
    });
    party.all(Manner::Dead);
    assert_eq!(server.post("/v1/certificates", &body(&[alice.points_to([192, 0, 2, 1])])).status, 200);
    server.stop().exits(0);

    let server = site.start();
    assert_eq!(server.get(&name).problem_code(), "quorum_pending");
    let did = format!("/v1/dids/{}/did.json", alice.did);
    assert_eq!(server.get(&did).problem_code(), "quorum_pending");
    assert_eq!(server.get("/v1/log/head").problem_code(), "quorum_pending");
    assert_eq!(server.get(&format!("{name}?head=newest")).status, 200);
    assert_eq!(server.get("/log/checkpoint").body, note);
    assert_eq!(server.get("/v1/info").json()["public"]["standing"], "pending");
    assert_eq!(server.post("/v1/certificates", &body(&[alice.points_to([192, 0, 2, 2])])).status, 200);

    party.all(Manner::Honest);
    let answer = wait::until("lookups go on", || Some(server.get(&name)).filter(|answer| answer.status == 200));
    judged(&server, party.policy(), &alice.subject(), &answer.body).unwrap();
}

#[test]
fn a_bad_witness_harms_nobody_but_itself() {
    // Goal: whatever one of three does, the two others make heads public, and /v1/info names what is wrong with it. Method:
    // one kind of badness after the other; a claim waits for its cosignatures each time.
    let party = Party::new(3, 2);
    let site = site(&party);
    let server = start(&site, &party);
    let mut alice = claimed(&server, "alice");
    for (place, (manner, code)) in [
        (Manner::Hangs, "deadline"),
        (Manner::Dead, "broken"),
        (Manner::Garbage, "bad_answer"),
        (Manner::OtherKey, "unknown_note_key"),
        (Manner::OtherLog, "bad_note_signature"),
        (Manner::Late(400), "time_bound"),
        (Manner::ConflictLoop, "conflict"),
        (Manner::ConflictGarbage, "bad_answer"),
        (Manner::Huge, "answer_too_large"),
        (Manner::Status(503), "refused_status"),
        (Manner::Status(302), "refused_status"),
    ]
    .into_iter()
    .enumerate()
    {
        party.witnesses[2].turns(manner);
        let certificate = alice.points_to([192, 0, 2, place as u8]);
        let answer = server.post("/v1/certificates?wait=cosigned", &body(&[certificate]));
        assert_eq!(answer.status, 200, "{manner:?}: {}", answer.text());
        judged(&server, party.policy(), &alice.subject(), &answer.body).unwrap();
        until_info(&server, &format!("{manner:?} is noticed"), |info| info["public"]["witnesses"][2]["error"] == code);
        party.witnesses[2].turns(Manner::Honest);
        let certificate = alice.points_to([192, 0, 3, place as u8]);
        assert_eq!(server.post("/v1/certificates?wait=cosigned", &body(&[certificate])).status, 200);
        until_info(&server, "it is well again", |info| info["public"]["witnesses"][2]["error"].is_null());
    }
}

#[test]
fn a_witness_that_forgot_or_cosigned_through_another_is_met_where_it_is() {
    // Goal: the size a 409 names is where the next proof begins. Method: a witness misses many heads, then comes back.
    let party = Party::new(1, 1);
    let site = site(&party);
    let server = start(&site, &party);
    let mut alice = claimed(&server, "alice");
    let before = party.witnesses[0].record().size;
    party.all(Manner::Status(503));
    for n in 0..5 {
        assert_eq!(server.post("/v1/certificates", &body(&[alice.points_to([192, 0, 2, n])])).status, 200);
    }
    server.stop().exits(0);
    let server = site.start();
    party.all(Manner::Honest);
    until_info(&server, "the witness catches up", |info| info["public"]["stale"] == false);
    assert!(party.witnesses[0].record().size > before);
}

#[test]
fn a_witness_that_saw_more_stops_a_server_restored_from_a_backup() {
    // Goal: a backup that holds database and guard would fork the log; the witnesses' memory prevents it. Method: restore all of
    // an older data directory, start; then let a running server meet such a witness.
    let party = Party::new(3, 2);
    let site = site(&party);
    let server = start(&site, &party);
    claimed(&server, "alice");
    server.stop().exits(0);
    let snapshot = site.snapshot();
    let server = site.start();
    claimed(&server, "bertha");
    server.stop().exits(0);
    site.restore(&snapshot, &[]);
    let refused = site.start_in_vain();
    assert!(refused.exits(3).stderr.contains("rolled back"), "{refused}");

    party.all(Manner::Status(503));
    let mut server = site.start();
    party.witnesses[0].turns(Manner::Ahead);
    let ended = server.ended();
    assert!(ended.exits(3).stderr.contains("rolled back: witness w1"), "{ended}");
}

#[test]
fn without_witnesses_the_newest_head_is_public() {
    let site = Site::new();
    let server = site.start();
    let (alice, certificates) = Somebody::new("alice", 1);
    let answer = server.post("/v1/certificates?wait=cosigned", &body(&certificates));
    judged(&server, Policy::none(), &alice.subject(), &answer.body).unwrap();
    let info = server.get("/v1/info").json();
    assert_eq!((info["quorum"].as_str(), &info["public"]["standing"]), (Some("none"), &Value::from("newest")));
    assert_eq!((&info["public"]["size"], info["public"]["stale"].as_bool()), (&info["size"], Some(false)));
    assert_eq!(server.post("/v1/certificates?wait=long", b"").problem_code(), "bad_query");
    assert_eq!(server.get("/v1/names/alice?head=first").problem_code(), "bad_query");
}

#[test]
fn a_public_head_is_never_taken_back_by_a_kill() {
    // Goal: between the public note stored and shown a kill leaves one of the two whole: after the next start the public head is the
    // one that was shown last, or a later one, and has its quorum. Method: kill -9 at moments spread over the announcements while
    // somebody writes and somebody reads; the witnesses are away at each start, so that nothing but what was stored can be shown.
    let party = Party::new(3, 2);
    let site = site(&party);
    let mut server = start(&site, &party);
    let mut alice = claimed(&server, "alice");
    let mut shown = 0;
    for round in 0..12u64 {
        party.all(Manner::Honest);
        let address = server.http;
        let (seen, _) = std::thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut seen = 0;
                while let Ok(answer) = dgns_tests::harness::http::request(address, "GET", "/log/checkpoint", &[], b"") {
                    let Ok(note) = Note::parse(&answer.body) else { continue };
                    let size = Checkpoint::parse(note.text()).unwrap().size;
                    assert!(size >= seen, "a public head went back while the server ran");
                    seen = size;
                }
                seen
            });
            for number in 0..6 {
                let record = alice.points_to([192, 0, 2, number]);
                assert_eq!(server.post("/v1/certificates", &body(&[record])).status, 200);
            }
            wait::let_pass(std::time::Duration::from_micros(1_700 * round));
            server.kill_now();
            (reader.join().unwrap(), ())
        });
        shown = seen.max(shown);
        party.all(Manner::Dead);
        server = site.start();
        let answer = wait::until("what was public is shown", || {
            Some(server.get("/log/checkpoint")).filter(|answer| answer.status == 200)
        });
        let note = Note::parse(&answer.body).unwrap();
        let size = Checkpoint::parse(note.text()).unwrap().size;
        assert!(size >= shown, "round {round}: {shown} leaves were public, and now {size}");
        let policy = party.policy();
        let signed = note.verify(policy.cosigners()).unwrap();
        assert!(policy.reached(signed).is_some(), "round {round}: without its quorum");
        shown = size;
    }
    assert!(shown > 20, "heads became public: {shown}");
}

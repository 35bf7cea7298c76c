//! Databases that moved, to those who come to them: whom they believe, what they hold the servers to, and what was on its way meanwhile.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use dgns_api::store::answer::Cursor;
use dgns_api::store::control::Control;
use dgns_api::store::entry::LogId;
use dgns_api::store::place::Place;
use dgns_tests::harness::http::Answer;
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Server, Site, ports, wait};
use identity::key::SigningKey;
use identity::name::Origin;
use serde_json::Value;
use translog::hash::EMPTY_ROOT;
use translog::note::VerifierKey;

use crate::owners::entries_kept;
use crate::rotation::rotate;
use crate::withheld::says;

const NAME: &str = "photos.alice";

/// A server where databases are made.
pub(crate) fn source() -> (Site, Server) {
    let site = Site::new().with("storage", "anchor_s", "1");
    let server = site.start();
    (site, server)
}

/// A server of another zone, always at the same URL, that takes databases of the people of `home`.
pub(crate) fn target(home: &Server, zone: &str) -> (Site, Server) {
    let listen = format!("\"127.0.0.1:{}\"", ports::free());
    let site = Site::new().with_zone(zone).with("storage", "anchor_s", "1").with("http", "listen", &listen);
    let site = site.with("storage", "homes", &format!("[{:?}]", home.vkey()));
    let server = site.start();
    (site, server)
}

fn append(person: &Person, server: &Server, records: &str) {
    person.dgns_with_input(server, &["db", "append", NAME], records).exits(0);
}

fn texts(person: &Person, server: &Server) -> Vec<String> {
    let read = person.dgns(server, &["db", "read", NAME]);
    let lines = read.exits(0).stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

/// Returns the files below a home with this name, as they are.
fn files(person: &Person, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut left) = (Vec::new(), vec![person.home().to_owned()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => left.push(path),
                false if path.ends_with(name) => found.push((path.clone(), fs::read(&path).unwrap())),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// Returns what a home believes of logs, whoever asks.
fn believed(person: &Person) -> Vec<(PathBuf, Vec<u8>)> {
    let all = [files(person, "trust.json"), files(person, "policy"), files(person, "servers.json")].concat();
    all.into_iter().filter(|(path, _)| !path.components().any(|part| part.as_os_str() == "store")).collect()
}

#[test]
fn the_log_that_an_owner_named_is_believed_for_the_database_alone() {
    // Goal: no owner makes anybody believe a key of a log for anything else, nor keeps them from believing the right one. Method: bob never
    // met the server; carol did; then a key that nobody has, named by the owner of another database for the log of that honest server.
    let (_from_site, from) = source();
    let (_to_site, to) = target(&from, "other.test");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Person::with_name(&from, name));
    alice.dgns(&from, &["db", "create", NAME, "--no-words"]).exits(0);
    for name in ["bob", "carol"] {
        alice.dgns(&from, &["db", "grant", NAME, name, "--write"]).exits(0);
    }
    let look = |person: &Person| person.dgns(&to, &["resolve", "nobody"]).code;
    assert_eq!(look(&carol), Some(6));
    let before = [believed(&bob), believed(&carol)];
    append(&alice, &from, "one");
    alice.dgns(&from, &["db", "move", NAME, "--to", &to.url]).exits(0);
    for person in [&bob, &carol] {
        assert_eq!(texts(person, &from), ["one"]);
    }
    assert_eq!([believed(&bob), believed(&carol)], before, "for nothing else");

    let (wrong, origin) = (SigningKey::from_seed(&[8; 32]).public(), Origin::parse("other.test/log").unwrap());
    let server = to.get("/v1/info").json()["server_did"].as_str().unwrap().parse().unwrap();
    let evil = Place { server, url: to.url.clone(), origin, key: wrong };
    alice.dgns(&from, &["db", "create", "evil.alice", "--no-words"]).exits(0);
    for name in ["bob", "carol"] {
        alice.dgns(&from, &["db", "grant", "evil.alice", name, "--write"]).exits(0);
    }
    let answer = says(&alice, &from, "evil.alice", |db| {
        let heads = db.acl().logs().keys().map(|log| (*log, 0, EMPTY_ROOT)).collect();
        Control::Moved { to: evil, heads }
    });
    assert_eq!(answer.status, 200, "{}", answer.text());
    let read = |person: &Person| person.dgns(&from, &["db", "read", "evil.alice"]);
    read(&bob).exits(3);
    assert_eq!(read(&carol).exits(3).text("/code"), "log_key", "she knows better");
    assert_eq!([believed(&bob), believed(&carol)], before);
    assert_eq!(look(&bob), Some(6), "and believes the right key when he comes");
    assert_eq!(texts(&bob, &from), ["one"]);
}

#[test]
fn keys_of_the_other_log_that_turned_are_followed_from_the_one_that_was_named() {
    // Goal: whoever comes after the log's keys were replaced follows from the named one, whether they never met the log, met it by the new
    // keys alone, or were there before. Method: a rotation that drops the old key behind the move; then another database, moved under the new key.
    let (_from_site, from) = source();
    let (to_site, to) = target(&from, "other.test");
    let [alice, bob, carol, dan] = ["alice", "bob", "carol", "dan"].map(|name| Person::with_name(&from, name));
    alice.dgns(&from, &["db", "create", NAME, "--no-words"]).exits(0);
    for name in ["bob", "carol", "dan"] {
        alice.dgns(&from, &["db", "grant", NAME, name, "--write"]).exits(0);
    }
    append(&alice, &from, "one");
    alice.dgns(&from, &["db", "move", NAME, "--to", &to.url]).exits(0);
    assert_eq!(texts(&bob, &from), ["one"], "he was there before");
    let old = to.vkey().to_owned();
    to.stop().exits(0);
    rotate(&to_site, &[]).exits(0);
    rotate(&to_site, &["--drop-old", "--force"]).exits(0);
    let to = to_site.start();
    assert_ne!(to.vkey(), old);
    dan.dgns(&to, &["resolve", "nobody"]).exits(6);
    for (number, person) in [&alice, &bob, &carol, &dan].into_iter().enumerate() {
        assert_eq!(texts(person, &from).len(), 1 + number);
        append(person, &from, "more");
        assert_eq!(person.dgns(&from, &["db", "members", NAME]).exits(0).text("/url"), to.url);
    }
    let second = "second.alice";
    alice.dgns(&from, &["db", "create", second, "--no-words"]).exits(0);
    alice.dgns(&from, &["db", "grant", second, "carol", "--read"]).exits(0);
    alice.dgns(&from, &["db", "move", second, "--to", &to.url]).exits(0);
    carol.dgns(&from, &["db", "read", second]).exits(0);
    let named = alice.dgns(&from, &["db", "history", second]).exits(0).json();
    let named = named["history"].as_array().unwrap().iter().find(|row| row["what"] == "moved").unwrap()["key"].clone();
    assert_eq!(named.as_str().unwrap(), hex(&to), "the key that signs for longest is named");
}

fn hex(server: &Server) -> String {
    let key = VerifierKey::parse(server.vkey()).unwrap();
    data_encoding::HEXLOWER.encode(key.key())
}

#[test]
fn what_the_server_that_was_left_signed_beyond_the_word_of_the_owners_shuts_nobody_out() {
    // Goal: a head of before counts up to where the owners ended the log. Method: carol appends and bob reads that; the store is put back from
    // a copy of before, where nobody else met it; the database moves as it is there. Anchors are a minute apart meanwhile, so that the log does not tell.
    let (from_site, from) = source();
    let (_to_site, to) = target(&from, "other.test");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Person::with_name(&from, name));
    alice.dgns(&from, &["db", "create", NAME, "--no-words"]).exits(0);
    for name in ["bob", "carol"] {
        alice.dgns(&from, &["db", "grant", NAME, name, "--write"]).exits(0);
    }
    append(&alice, &from, "one");
    wait::until("every log is anchored", || {
        let verified = alice.dgns(&from, &["db", "verify", NAME]).exits(0).json();
        verified["logs"].as_array().unwrap().iter().all(|log| log["anchored"] == log["entries"]).then_some(())
    });
    from.stop().exits(0);
    let site = Site::new().with_data_in(from_site.data()).with("storage", "anchor_s", "60");
    let copy = site.snapshot();
    let from = site.start();
    append(&carol, &from, "two");
    assert_eq!(texts(&bob, &from), ["one", "two"]);
    from.stop().exits(0);
    site.restore(&copy, &[]);
    let from = from_site.start();
    alice.dgns(&from, &["db", "move", NAME, "--to", &to.url]).exits(0);
    assert_eq!(texts(&alice, &from), ["one"]);
    assert_eq!(texts(&bob, &from), ["one"]);
    append(&bob, &from, "three");
    assert_eq!(texts(&bob, &from), ["one", "three"]);
    let verified = bob.dgns(&from, &["db", "verify", NAME]);
    assert!(verified.exits(0).stderr.contains("signed 2 entries"), "{verified}");
}

#[test]
fn an_entry_that_was_on_its_way_when_the_database_moved_arrives_once_where_it_went() {
    // Goal: same bytes, same number, once. Method: entries that were signed for the server that was left: refused there, taken there without
    // a word, never sent since it was gone, and sent on when the other one was gone.
    let (from_site, mut from) = source();
    let (to_site, to) = target(&from, "other.test");
    let [alice, bob, carol, dan, erin] =
        ["alice", "bob", "carol", "dan", "erin"].map(|name| Person::with_name(&from, name));
    alice.dgns(&from, &["db", "create", NAME, "--no-words"]).exits(0);
    for name in ["bob", "carol", "dan", "erin"] {
        alice.dgns(&from, &["db", "grant", NAME, name, "--write"]).exits(0);
    }
    // Taken, and the answer lost.
    let cut = Arc::new(AtomicBool::new(false));
    let cuts = Arc::clone(&cut);
    let liar = Liar::before(from.http, move |line, answer| {
        (!(cuts.load(Ordering::Relaxed) && line.starts_with("POST /v1/logs/"))).then_some(answer)
    });
    carol.dgns_at(&liar.url, &["db", "append", NAME], "of carol").exits(0);
    cut.store(true, Ordering::Relaxed);
    carol.dgns_at(&liar.url, &["db", "append", NAME], "taken").exits(2);

    let mut there = vec!["of carol", "taken"];
    let [mut of_bob, mut of_dan, mut of_erin] =
        [(&bob, "of bob"), (&dan, "of dan"), (&erin, "of erin")].map(|(person, record)| {
            let mut running = person.dgns_running(&from.url, &["db", "append", NAME]);
            running.types(record);
            there.push(record);
            wait::until("it is there", || (texts(&alice, &from) == there).then_some(()));
            running
        });
    alice.dgns(&from, &["db", "move", NAME, "--to", &to.url]).exits(0);
    of_bob.types("more of bob");
    there.push("more of bob");
    wait::until("it is there", || (texts(&alice, &from) == there).then_some(()));
    of_bob.kill();

    let listen = format!("\"{}\"", from.http);
    to.kill();
    of_dan.types("more of dan");
    assert_eq!(of_dan.ended().code, Some(2), "it is refused here, and the other server is gone");
    let _to = to_site.start();
    from.kill();
    of_erin.types("more of erin");
    assert_eq!(of_erin.ended().code, Some(2));
    from = Site::new().with_data_in(from_site.data()).with("http", "listen", &listen).start();

    for (person, record) in [(&dan, "at last"), (&erin, "at last"), (&carol, "at last")] {
        append(person, &from, record);
    }
    there.extend(["more of dan", "at last", "more of erin", "at last", "at last"]);
    assert_eq!(texts(&alice, &from), there);
    alice.dgns(&from, &["db", "verify", NAME]).exits(0);
}

#[test]
fn a_move_that_was_broken_off_is_ended_before_the_next_and_whoever_comes_meanwhile_is_told() {
    // Goal: A -> B -> C, with C chosen before B has all. Method: B killed when A has ended the database; then a newcomer, a move to C without
    // B, with it, and again.
    let (_a_site, a) = source();
    let (b_site, b) = target(&a, "b.test");
    let (_c_site, c) = target(&a, "c.test");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Person::with_name(&a, name));
    alice.dgns(&a, &["db", "create", NAME, "--no-words"]).exits(0);
    for name in ["bob", "carol"] {
        alice.dgns(&a, &["db", "grant", NAME, name, "--write"]).exits(0);
    }
    append(&alice, &a, "one");
    assert_eq!(texts(&bob, &a), ["one"]);
    let url = b.url.clone();
    let b = Arc::new(Mutex::new(Some(b)));
    let killed = Arc::clone(&b);
    let liar = Liar::before(a.http, move |line, answer| {
        if line.starts_with("POST /v1/logs/") {
            killed.lock().unwrap().take().into_iter().for_each(Server::kill);
        }
        Some(answer)
    });
    alice.dgns_at(&liar.url, &["db", "move", NAME, "--to", &url], "").exits(2);
    assert!(b.lock().unwrap().is_none(), "A has ended it");
    alice.dgns(&a, &["db", "move", NAME, "--to", &c.url]).exits(2);
    let b = b_site.start();
    let told = bob.dgns(&a, &["db", "read", NAME]);
    assert_eq!(told.exits(4).text("/code"), "arriving");
    assert!(told.text("/problem/detail").contains(&format!("dgns db move {NAME} --to {url}")), "{told}");
    let refused = bob.dgns_with_input(&a, &["db", "append", NAME], "nowhere");
    assert_eq!(refused.exits(4).text("/code"), "arriving");

    let moved = alice.dgns(&a, &["db", "move", NAME, "--to", &c.url]).exits(0).json();
    assert_eq!(moved["url"], c.url);
    for person in [&bob, &carol, &alice] {
        assert_eq!(texts(person, &a), ["one"]);
    }
    append(&bob, &a, "two");
    assert_eq!(texts(&carol, &a), ["one", "two"]);
    let history = alice.dgns(&a, &["db", "history", NAME]).exits(0).json();
    let said = history["history"].as_array().unwrap().iter().filter(|row| row["what"] == "moved");
    assert_eq!(said.map(|row| row["url"].as_str().unwrap()).collect::<Vec<_>>(), [b.url.as_str(), c.url.as_str()]);
    let back = alice.dgns(&a, &["db", "move", NAME, "--to", &b.url]);
    assert_eq!(back.exits(4).text("/code"), "moved", "it comes back to no server that it was at");
    b.kill();
    append(&bob, &a, "three");
    assert_eq!(texts(&bob, &a), ["one", "two", "three"], "whoever was there needs the server in between no more");
}

#[test]
fn whoever_is_broken_off_on_the_way_to_the_other_server_accuses_nobody() {
    // Goal: what the second server signed is held against no other, whatever ends between its first answer and the last. Method: it answers
    // for entries and not for anchors, to somebody who read before the move and to somebody who did not; then it does.
    let (_from_site, from) = source();
    let (_to_site, to) = target(&from, "other.test");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Person::with_name(&from, name));
    alice.dgns(&from, &["db", "create", NAME, "--no-words"]).exits(0);
    for name in ["bob", "carol"] {
        alice.dgns(&from, &["db", "grant", NAME, name, "--write"]).exits(0);
    }
    append(&alice, &from, "one");
    assert_eq!(texts(&bob, &from), ["one"]);
    let cut = Arc::new(AtomicBool::new(false));
    let cuts = Arc::clone(&cut);
    let liar = Liar::before(to.http, move |line, answer| {
        (!(cuts.load(Ordering::Relaxed) && line.contains("/anchor?"))).then_some(answer)
    });
    alice.dgns(&from, &["db", "move", NAME, "--to", &liar.url]).exits(0);
    wait::until("it is anchored there", || {
        let verified = alice.dgns(&from, &["db", "verify", NAME]).exits(0).json();
        verified["logs"].as_array().unwrap().iter().all(|log| log["anchored"] == log["entries"]).then_some(())
    });
    cut.store(true, Ordering::Relaxed);
    for person in [&bob, &carol] {
        for _ in 0..2 {
            person.dgns(&from, &["db", "read", NAME]).exits(2);
        }
    }
    cut.store(false, Ordering::Relaxed);
    for person in [&bob, &carol] {
        assert_eq!(texts(person, &from), ["one"]);
    }
    for person in [&bob, &carol] {
        append(person, &from, "more");
    }
    assert_eq!(texts(&alice, &from), ["one", "more", "more"]);
}

#[test]
fn a_server_that_says_that_a_database_moved_has_to_show_its_owners_word() {
    let (_site, server) = source();
    let alice = Person::with_name(&server, "alice");
    alice.dgns(&server, &["db", "create", NAME, "--no-words"]).exits(0);
    append(&alice, &server, "one");
    let liar = Liar::before(server.http, |line, answer| {
        Some(match line.starts_with("POST /v1/logs/") {
            true => Answer {
                status: 410,
                body: br#"{"type":"about:blank","title":"moved","status":410,"code":"moved","detail":"it moved"}"#
                    .to_vec(),
                ..answer
            },
            false => answer,
        })
    });
    let told = alice.dgns_at(&liar.url, &["db", "append", NAME], "two");
    assert_eq!(told.exits(3).text("/code"), "not_moved");
    append(&alice, &server, "three");
    assert_eq!(texts(&alice, &server), ["one", "two", "three"], "what was on its way is there once");

    // Who follows a log that is read nowhere is told so, and does not wait for it.
    let logs = Mutex::new(Vec::<String>::new());
    let liar = Liar::before(server.http, move |line, answer| {
        let log = line.split_once("/v1/logs/").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
        let mut logs = logs.lock().unwrap();
        if !log.is_empty() && !logs.iter().any(|known| known == log) {
            logs.push(log.to_owned());
        }
        let is_main = logs.get(1).is_some_and(|main| main == log);
        Some(match is_main && line.contains("/entries?") && line.contains("limit=1024") {
            true => Answer {
                status: 423,
                body: br#"{"type":"about:blank","title":"arriving","status":423,"code":"arriving","detail":"wait"}"#
                    .to_vec(),
                ..answer
            },
            false => answer,
        })
    });
    let told = alice.dgns_at(&liar.url, &["db", "tail", NAME, "--from", "0"], "");
    assert_eq!(told.exits(3).text("/code"), "not_moved");
}

#[test]
fn a_server_that_says_that_it_has_other_entries_than_there_are_ends_nothing() {
    // Goal: no word is said before the other server has the same. Method: a database without entries, whose control log is said to be there.
    let (_from_site, from) = source();
    let (_to_site, to) = target(&from, "other.test");
    let alice = Person::with_name(&from, "alice");
    alice.dgns(&from, &["db", "create", NAME, "--no-words"]).exits(0);
    let history = alice.dgns(&from, &["db", "history", NAME]).exits(0).json();
    let control = LogId::control(&history["did"].as_str().unwrap().parse().unwrap());
    let size = history["history"].as_array().unwrap().len() as u64;
    let liar = Liar::before(to.http, move |line, answer| {
        Some(match line.starts_with(&format!("GET /v1/logs/{control}/arrivals")) {
            true => Answer { status: 200, body: Cursor { next: size, last: Some([9; 32]) }.encode(), ..answer },
            false => answer,
        })
    });
    alice.dgns(&from, &["db", "move", NAME, "--to", &liar.url]).exits(4);
    append(&alice, &from, "it is where it was");
    assert_eq!(texts(&alice, &from), ["it is where it was"]);
    assert!(alice.dgns(&from, &["db", "owners", NAME]).exits(0).json()["url"].is_null());
}

#[test]
fn half_of_the_owners_move_a_database_and_each_is_told_how_many_lack() {
    // Goal: one of three owners moves nothing, two for two servers neither; the second for one carries it out, whoever said so first.
    let (_from_site, from) = source();
    let (to_site, to) = target(&from, "other.test");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Person::with_name(&from, name));
    alice.dgns(&from, &["db", "create", NAME, "--no-words"]).exits(0);
    alice.dgns(&from, &["db", "grant", NAME, "bob", "--write"]).exits(0);
    for (person, who) in [(&alice, "bob"), (&alice, "carol"), (&bob, "carol")] {
        person.dgns(&from, &["db", "owners", NAME, "--add", who]).exits(0);
    }
    append(&alice, &from, "one");
    let moves = |person: &Person, url: &str| person.dgns(&from, &["db", "move", NAME, "--to", url]);
    let (elsewhere_site, elsewhere) = target(&from, "elsewhere.test");
    for _ in 0..2 {
        let waits = moves(&alice, &to.url).exits(5).json();
        assert_eq!((&waits["lacking"], &waits["owners"], &waits["to"]), (&1.into(), &3.into(), &to.url.clone().into()));
    }
    assert_eq!(moves(&carol, &elsewhere.url).exits(5).number("/lacking"), 1);
    let told = alice.dgns_in_text(&from, &["db", "move", NAME, "--to", &to.url]);
    assert!(told.exits(5).stdout.contains("1 more owner has to say"), "{told}");
    append(&bob, &from, "two");
    assert_eq!([entries_kept(&to_site), entries_kept(&elsewhere_site)], [0, 0], "nothing is brought before");
    assert!(alice.dgns(&from, &["db", "owners", NAME]).exits(0).json()["url"].is_null());

    assert_eq!(moves(&bob, &to.url).exits(0).text("/url"), to.url);
    append(&alice, &from, "three");
    assert_eq!(texts(&bob, &from), ["one", "two", "three"]);
    assert_eq!(carol.dgns(&from, &["db", "owners", NAME]).exits(0).text("/url"), to.url);
    let history = alice.dgns(&from, &["db", "history", NAME]).exits(0).json();
    let said = history["history"].as_array().unwrap().iter().map(|row| row["what"].as_str().unwrap());
    assert_eq!(said.filter(|what| what.starts_with("move")).collect::<Vec<_>>(), ["move", "move", "moved"]);
    assert_eq!(moves(&carol, &elsewhere.url).exits(5).number("/lacking"), 1, "they begin anew from there");
}

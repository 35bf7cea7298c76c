//! Moves of a database to another server, with a log of names of its own: under the same name, with all it had, written at one place at most.

use dgns_tests::harness::{Person, Server, Site, ports, wait};
use dgns_tests::skip::without_sqlite3;
use serde_json::Value;

use crate::owners::entries_kept;

const NAME: &str = "photos.alice";

/// A server where the database was made, and another one that takes databases of its people, always at the same URL.
pub(crate) struct Two {
    pub(crate) from_site: Site,
    from: Option<Server>,
    pub(crate) to_site: Site,
    to: Option<Server>,
}

impl Two {
    fn new() -> Self {
        Self::with(|site| site.with("storage", "anchor_s", "1"))
    }

    /// Both of these settings.
    pub(crate) fn with(settings: impl Fn(Site) -> Site) -> Self {
        let from_site = settings(Site::new());
        let from = from_site.start();
        let port = ports::free();
        let to_site = settings(Site::new().with_zone("other.test"));
        let to_site = to_site.with("storage", "homes", &format!("[{:?}]", from.vkey()));
        let to_site = to_site.with("http", "listen", &format!("\"127.0.0.1:{port}\""));
        let (from, to) = (Some(from), Some(to_site.start()));
        Self { from_site, from, to_site, to }
    }

    pub(crate) fn from(&self) -> &Server {
        self.from.as_ref().expect("it runs")
    }

    fn to(&self) -> &Server {
        self.to.as_ref().expect("it runs")
    }

    fn kill_target(&mut self) {
        self.to.take().expect("it runs").kill();
        self.to = Some(self.to_site.start());
    }

    fn kill_source(&mut self) {
        self.from.take().expect("it runs").kill();
        self.from = Some(self.from_site.start());
    }

    pub(crate) fn moves(&self, person: &Person, name: &str) -> Value {
        person.dgns(self.from(), &["db", "move", name, "--to", &self.to().url]).exits(0).json()
    }
}

fn append(person: &Person, server: &Server, name: &str, records: &str) {
    person.dgns_with_input(server, &["db", "append", name], records).exits(0);
}

fn texts(person: &Person, server: &Server, name: &str) -> Vec<String> {
    let ran = person.dgns(server, &["db", "read", name]);
    let lines = ran.exits(0).stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["text"].as_str().unwrap_or("in chunks").to_owned()).collect()
}

/// Returns one number that the store of a running server has.
pub(crate) fn number(site: &Site, sql: &str) -> u64 {
    let mut command = std::process::Command::new("sqlite3");
    command.args(["-readonly", "-cmd", ".timeout 10000"]).arg(site.data().join("store.db")).arg(sql);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    text.trim().parse().unwrap_or(0)
}

#[test]
fn a_moved_database_goes_on_at_the_other_server_under_its_name() {
    // Goal: whoever was a member reads and writes on without doing anything; what was acknowledged is there; the source takes and shows no
    // more; who may not, may not there. Method: entries of two people, a record in chunks, a stranger, a revoke behind the move.
    let two = Two::new();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| {
        let person = Person::new();
        person.up(two.from(), name);
        person
    });
    alice.dgns(two.from(), &["db", "create", NAME, "--no-words"]).exits(0);
    append(&alice, two.from(), NAME, "one");
    alice.dgns(two.from(), &["db", "grant", NAME, "bob", "--write"]).exits(0);
    append(&bob, two.from(), NAME, "two");
    let large = "x".repeat(200_000);
    alice.dgns_with_input(two.from(), &["db", "append", NAME, "--whole"], &large).exits(0);
    bob.dgns(two.from(), &["db", "move", NAME, "--to", &two.to().url]).exits(1);
    alice.dgns(two.from(), &["db", "move", NAME, "--to", "http://192.0.2.1:1"]).exits(1);

    let tail = bob.dgns_running(&two.from().url, &["db", "tail", NAME, "--from", "1"]);
    assert_eq!(tail.event()["text"], "two");
    let moved = two.moves(&alice, NAME);
    assert_eq!((&moved["url"], &moved["chunks"]), (&two.to().url.clone().into(), &1.into()));
    assert_eq!(two.moves(&alice, NAME)["entries"], 0, "once more changes nothing");
    for person in [&alice, &bob] {
        assert_eq!(texts(person, two.from(), NAME), ["one", "two", "in chunks"]);
        let out = person.home().join("large");
        person.dgns(two.from(), &["db", "get", NAME, "2", "--out", out.to_str().unwrap()]).exits(0);
        assert_eq!(std::fs::read_to_string(out).unwrap(), large);
    }
    append(&bob, two.from(), NAME, "three");
    tail.event();
    assert_eq!(tail.event()["text"], "three", "who follows goes along");
    append(&alice, two.from(), NAME, "four");
    assert_eq!(texts(&alice, two.from(), NAME)[3..], ["three", "four"]);
    assert_eq!(carol.dgns(two.from(), &["db", "read", NAME]).exits(4).text("/code"), "not_reader");
    assert_eq!(tail.event()["text"], "four");
    alice.dgns(two.from(), &["db", "rekey", NAME]).exits(0);
    append(&alice, two.from(), NAME, "five");
    assert_eq!(tail.event()["text"], "five");
    tail.kill();
    alice.dgns(two.from(), &["db", "revoke", NAME, "bob"]).exits(0);
    assert_eq!(bob.dgns_with_input(two.from(), &["db", "append", NAME], "six").exits(4).text("/code"), "not_reader");
    for site in [&two.from_site, &two.to_site] {
        assert!(entries_kept(site) > 0);
    }
    wait::until("every log is anchored there", || {
        let verified = alice.dgns(two.from(), &["db", "verify", NAME]).exits(0).json();
        verified["logs"].as_array().unwrap().iter().all(|log| log["anchored"] == log["entries"]).then_some(())
    });
    let history = alice.dgns(two.from(), &["db", "history", NAME]).exits(0).json();
    let said: Vec<&Value> = history["history"].as_array().unwrap().iter().map(|row| &row["what"]).collect();
    assert_eq!(said.iter().filter(|what| **what == "moved").count(), 1);
    for server in [two.from(), two.to()] {
        Person::new().dgns(server, &["audit"]).exits(0);
    }
}

#[test]
fn a_server_takes_databases_of_the_logs_that_its_operator_named_alone() {
    let two = Two::new();
    let stranger_site = Site::new().with_zone("strange.test");
    let stranger = stranger_site.start();
    let eve = Person::new();
    eve.up(&stranger, "eve");
    eve.dgns(&stranger, &["db", "create", "photos.eve", "--no-words"]).exits(0);
    let refused = eve.dgns(&stranger, &["db", "move", "photos.eve", "--to", &two.to().url]);
    assert_eq!(refused.exits(4).text("/code"), "unknown_home");
    append(&eve, &stranger, "photos.eve", "nothing has moved");
    assert_eq!(entries_kept(&two.to_site), 0);
}

#[test]
fn a_move_that_is_killed_at_any_moment_goes_on_where_it_was() {
    // Goal: nothing acknowledged is lost or there twice, and the database is written at one place. Method: the target killed once some of it
    // arrived, the source once it has ended, or the client; the command said again.
    if without_sqlite3() {
        return;
    }
    let mut two = Two::new();
    let alice = Person::new();
    alice.up(two.from(), "alice");
    for (round, when) in
        ["target amid", "target at the end", "source at the end", "client at the end"].iter().enumerate()
    {
        let name = format!("round-{round}.alice");
        alice.dgns(two.from(), &["db", "create", &name, "--no-words"]).exits(0);
        let lines: Vec<String> = (0..300).map(|line| format!("{round} {line}")).collect();
        for batch in lines.chunks(50) {
            append(&alice, two.from(), &name, &batch.join("\n"));
        }
        let before = entries_kept(&two.to_site);
        let ended = number(&two.from_site, "SELECT count(*) FROM db WHERE stage = 4");
        let moving = alice.dgns_running(&two.from().url, &["db", "move", &name, "--to", &two.to().url]);
        wait::until("the move is under way", || match *when {
            "target amid" => (entries_kept(&two.to_site) > before).then_some(()),
            _ => (number(&two.from_site, "SELECT count(*) FROM db WHERE stage = 4") > ended).then_some(()),
        });
        match *when {
            "source at the end" => two.kill_source(),
            "client at the end" => {}
            _ => two.kill_target(),
        }
        moving.kill();
        two.moves(&alice, &name);
        append(&alice, two.from(), &name, "behind");
        let read = texts(&alice, two.from(), &name);
        assert_eq!((read.len(), read.last().map(String::as_str)), (301, Some("behind")), "{when}");
        assert_eq!(read[..300], lines, "{when}");
    }
}

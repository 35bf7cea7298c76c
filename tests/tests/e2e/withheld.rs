//! Databases of which less is shown than there is: by a server who may write, what was written, and who signed it, and by a member the
//! key, each withheld once.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use dgns_api::store::control::{Control, KeyBox};
use dgns_api::store::entry::{Class, Entry, Header, LogId, encode_request};
use dgns_client::clock;
use dgns_client::home::Home;
use dgns_client::session::{Session, Signer};
use dgns_client::store::database::{FIRST_GROUP, OpenDb};
use dgns_tests::harness::http::Answer;
use dgns_tests::harness::liar::Liar;
use dgns_tests::harness::{Person, Server, Site, wait};
use identity::sealed::Sealed;

const NAME: &str = "photos.alice";

/// What a server withholds of the entries of one log.
#[derive(Clone, Copy, PartialEq)]
enum Lie {
    /// Nothing: the first answer is written down.
    None,
    /// All that came behind it: it is given again.
    Behind,
    /// The same, and the truth to whoever asks on.
    BehindAtFirst,
}

/// A server that gives an answer of the entries of a log again: of the log that a command asks for as the `nth`.
struct Withholding {
    url: String,
    lie: Arc<Mutex<Lie>>,
}

impl Withholding {
    fn before(server: &Server, nth: usize) -> Self {
        let lie = Arc::new(Mutex::new(Lie::None));
        let (told, met) = (lie.clone(), Mutex::new((Vec::<String>::new(), None::<Answer>)));
        let liar = Liar::before(server.http, move |line, answer| {
            let Some(log) = log_of(line) else { return Some(answer) };
            let (logs, first) = &mut *met.lock().unwrap();
            if !logs.contains(&log) {
                logs.push(log.clone());
            }
            if logs.get(nth) != Some(&log) || !line.contains("/entries?") {
                return Some(answer);
            }
            match (*told.lock().unwrap(), &first) {
                (_, None) => {
                    *first = Some(answer.clone());
                    Some(answer)
                }
                (Lie::Behind, Some(first)) => Some(first.clone()),
                (Lie::BehindAtFirst, Some(first)) if line.contains("from=0&") && !line.contains("old=") => {
                    Some(first.clone())
                }
                _ => Some(answer),
            }
        });
        Self { url: liar.url, lie }
    }

    fn tells(&self, lie: Lie) {
        *self.lie.lock().unwrap() = lie;
    }
}

fn log_of(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("/v1/logs/")?;
    rest.split('/').next().map(str::to_owned)
}

/// Returns a person with the same keys who remembers what this one does now.
fn twin(person: &Person) -> (tempfile::TempDir, Person) {
    let directory = tempfile::tempdir().unwrap();
    let home: PathBuf = directory.path().join("home");
    assert!(Command::new("cp").arg("-a").arg(person.home()).arg(&home).status().unwrap().success());
    (directory, Person::in_home(home))
}

fn append(person: &Person, server: &Server, records: &str) {
    person.dgns_with_input(server, &["db", "append", NAME], records).exits(0);
}

/// Waits until an anchor has every entry of every log.
fn anchored(person: &Person, server: &Server) {
    wait::until("every log is anchored", || {
        let verified = person.dgns(server, &["db", "verify", NAME]).exits(0).json();
        verified["logs"].as_array().unwrap().iter().all(|log| log["anchored"] == log["entries"]).then_some(())
    });
}

#[test]
fn what_was_said_of_a_database_is_withheld_from_nobody() {
    // Goal: whoever opens a database knows all that is anchored of its control log. Method: a key that was turned, and homes that never
    // read the log; the log of before is shown to them, by a server that gives the rest to whoever asks on, and by one that does not.
    let site = Site::new().with("storage", "anchor_s", "1");
    let server = site.start();
    let alice = Person::new();
    alice.up(&server, "alice");
    let fresh = [(); 3].map(|()| twin(&alice));
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    anchored(&alice, &server);
    let withholding = Withholding::before(&server, 0);
    let epoch = |person: &Person| person.dgns_at(&withholding.url, &["db", "members", NAME], "");
    assert_eq!(epoch(&fresh[0].1).exits(0).number("/epoch"), 1);
    alice.dgns(&server, &["db", "rekey", NAME]).exits(0);
    anchored(&alice, &server);
    withholding.tells(Lie::BehindAtFirst);
    assert_eq!(epoch(&fresh[1].1).exits(0).number("/epoch"), 2);
    withholding.tells(Lie::Behind);
    epoch(&fresh[2].1).exits(3);
}

#[test]
fn what_a_member_wrote_before_a_revoke_stands_whatever_a_server_shows_to_who_revokes() {
    // Goal: the server does not choose where the entries of a revoked member end. Method: who revokes never read the log, and is shown it as
    // it was before the member wrote.
    let site = Site::new().with("storage", "anchor_s", "1");
    let server = site.start();
    let [alice, bob] = ["alice", "bob"].map(|name| Person::with_name(&server, name));
    let fresh = [(); 2].map(|()| twin(&alice));
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    alice.dgns(&server, &["db", "grant", NAME, "bob", "--write"]).exits(0);
    append(&alice, &server, "one");
    let withholding = Withholding::before(&server, 1);
    fresh[0].1.dgns_at(&withholding.url, &["db", "read", NAME], "").exits(0);
    append(&bob, &server, "two");
    append(&bob, &server, "three");
    anchored(&alice, &server);
    withholding.tells(Lie::Behind);
    fresh[1].1.dgns_at(&withholding.url, &["db", "revoke", NAME, "bob"], "").exits(0);
    let read = alice.dgns(&server, &["db", "read", NAME]);
    assert_eq!(read.exits(0).stdout.lines().count(), 3, "{read}");
}

#[test]
fn who_follows_a_log_reads_on_after_what_was_cut_off_and_accuses_nobody() {
    // Goal: an answer that could not be checked to its end is asked for again. Method: two writers; who follows cannot look up the second
    // when the entry of the first is checked.
    let site = Site::new();
    let server = site.start();
    let [alice, bob] = ["alice", "bob"].map(|name| Person::with_name(&server, name));
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    let second = alice.dgns(&server, &["db", "grant", NAME, "bob", "--write"]).exits(0).text("/did");
    let (_fresh, reader) = twin(&alice);
    append(&alice, &server, "one");
    append(&bob, &server, "two");
    // The logs that were met, and how often the entries of the second were asked for.
    let met = Mutex::new((Vec::<String>::new(), 0));
    let liar = Liar::before(server.http, move |line, answer| {
        let (logs, asked) = &mut *met.lock().unwrap();
        let Some(log) = log_of(line) else { return (*asked != 1 || !line.contains(&second)).then_some(answer) };
        if !logs.contains(&log) {
            logs.push(log.clone());
        }
        *asked += usize::from(logs.get(1) == Some(&log) && line.contains("/entries?"));
        Some(answer)
    });
    let tail = reader.dgns_running(&liar.url, &["db", "tail", NAME, "--from", "0"]);
    assert_eq!((&tail.event()["text"], &tail.event()["text"]), (&"one".into(), &"two".into()));
    tail.kill();
}

#[test]
fn a_box_that_does_not_open_keeps_nobody_from_taking_its_author_out() {
    // Goal: who may turn the key cannot make the database unusable to who rules it. Method: bob turns the key and seals nothing to anybody,
    // under a generation of alice's user key that there is not; alice opens the database and takes bob out.
    let site = Site::new();
    let server = site.start();
    let [alice, bob] = ["alice", "bob"].map(|name| Person::with_name(&server, name));
    alice.dgns(&server, &["db", "create", NAME]).exits(0);
    append(&alice, &server, "one");
    alice.dgns(&server, &["db", "grant", NAME, "bob", "--grant"]).exits(0);
    turn_to_nothing(&bob, &server);
    let gone = alice.dgns(&server, &["db", "revoke", NAME, "bob"]).exits(0).json();
    assert_eq!((&gone["statements"], &gone["rekey_due"]), (&1.into(), &true.into()), "nobody has a key to hand on");
    let read = alice.dgns(&server, &["db", "read", NAME]);
    assert_eq!(read.exits(0).stdout.lines().count(), 1, "{read}");
}

/// Turns the key of the database in the name of a member, and seals nothing to anybody.
fn turn_to_nothing(person: &Person, server: &Server) {
    let answer = says(person, server, NAME, |db| {
        let group = &db.acl().groups()[&FIRST_GROUP];
        let nothing = || Sealed { enc: [9; 32], ct: vec![0; 48] };
        let boxes =
            group.members.keys().map(|did| KeyBox { did: *did, generation: 999_999, sealed: nothing() }).collect();
        let epoch = group.epochs.len() as u64 + 1;
        Control::KeyEpoch { gid: FIRST_GROUP, epoch, boxes, previous: Some(nothing()) }
    });
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Says something in the control log that the client would not.
pub(crate) fn says(person: &Person, server: &Server, name: &str, control: impl FnOnce(&OpenDb) -> Control) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (log, entry) = runtime.block_on(async {
        let session = Session::open(&Home::open(person.home()).unwrap(), &server.url).await.unwrap();
        let keys = session.log().device().unwrap().expect("a device");
        let signer = Signer { did: keys.did.expect("a DID"), keys: &keys };
        let db = OpenDb::open(&session, signer, name).await.unwrap();
        let (log, device) = (LogId::control(db.acl().did()), keys.sign.public());
        let (lsn, prev) = db.place_of(&device);
        let (class, author, unix_ms) = (Class::Control, signer.did, clock::now().as_ms());
        let (epoch, refs, body_bytes, body, expect) = (0, Vec::new(), 0, [0; 32], None);
        let header = Header { class, log, author, device, lsn, prev, epoch, refs, body_bytes, body, expect, unix_ms };
        (log, Entry::sign(header, control(&db).encode(), db.acl().home(), &keys.sign).unwrap())
    });
    server.post(&format!("/v1/logs/{log}/entries"), &encode_request(&[entry]))
}

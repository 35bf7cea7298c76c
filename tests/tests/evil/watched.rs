//! An operator who changes names in the map alone, before an owner who watches: the light look, without any replay, names it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use dgns_client::clock;
use dgns_client::home::{Home, Pinned};
use dgns_tests::harness::{Person, Ran};
use identity::state::{NameState, NameStatus, State, Subject};
use translog::batch::Change;
use translog::policy::Policy;

use super::forge::{Forge, small_from};
use super::people::{Someone, origin};

/// An operator who answers lookups from a log that is forged at will.
struct Operator {
    url: String,
    forge: Arc<Mutex<Forge>>,
}

impl Operator {
    fn new(forge: Forge) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let forge = Arc::new(Mutex::new(forge));
        let shared = forge.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client that goes away in the middle is no fault here.
                let _ = answer(client, &shared);
            }
        });
        Self { url, forge }
    }

    /// Returns a home that trusts this operator's log.
    fn customer(&self) -> Person {
        let person = Person::new();
        let key = self.forge.lock().unwrap().signer().verifier_key().clone();
        let pinned = Pinned::by_hand(vec![key], Policy::none());
        Home::open(person.home()).unwrap().pin(&self.url, &origin(), &pinned).unwrap();
        person
    }

    /// Appends a batch without certificates, after which the map has the name as `bend` left it.
    fn changes(&self, subject: &Subject, bend: impl FnOnce(&mut NameState)) {
        let mut forge = self.forge.lock().unwrap();
        let mut leaf = forge.leaf(subject);
        let State::Name(name) = &mut leaf.state else { panic!("a name has a NameState") };
        bend(name);
        let time_ms = forge.time_ms + 1;
        forge.close(Vec::new(), [(subject.clone(), Change::of(subject, leaf.into()))].into(), time_ms, |_| {});
    }
}

fn answer(mut client: TcpStream, forge: &Mutex<Forge>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match client.read(&mut chunk)? {
            0 => return Ok(()),
            read => request.extend_from_slice(&chunk[..read]),
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let asked = text.split(' ').nth(1).unwrap_or_default();
    let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
    let from = query.split('&').find_map(|part| part.strip_prefix("from=")?.parse().ok());
    let subject = match (path.strip_prefix("/v1/names/"), path.strip_prefix("/v1/dids/")) {
        (Some(name), _) if !name.contains('/') => Some(Subject::Name(name.to_owned())),
        (_, Some(did)) => did.parse().ok().map(Subject::Did),
        _ => None,
    };
    let body = subject.map(|subject| forge.lock().unwrap().lookup(&subject, from));
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    client.write_all(&[head.as_bytes(), &body].concat())
}

/// A log whose first name is watched, an honest batch after the watch began; the owner, another person, and the watcher.
fn watched() -> (Operator, Vec<Someone>, Person) {
    let (forge, people) = small_from(clock::now().as_ms() - 60_000);
    let operator = Operator::new(forge);
    let customer = operator.customer();
    assert_eq!(look(&operator, &customer, &people[0]).exits(0).text("/event"), "now");
    operator.forge.lock().unwrap().batch(&Someone::new(70).1);
    assert_eq!(look(&operator, &customer, &people[0]).exits(0).text("/event"), "now");
    (operator, people, customer)
}

fn look(operator: &Operator, customer: &Person, owner: &Someone) -> Ran {
    customer.dgns_at(&operator.url, &["monitor", &owner.name], "")
}

/// Judges the evidence of a run with an empty home and no server.
fn verdict(caught: &Ran) -> Ran {
    Person::new().dgns_at("http://127.0.0.1:1", &["verify", &caught.text("/evidence")], "")
}

#[test]
fn a_change_that_no_key_of_the_owner_signed_is_an_alarm() {
    // Goal: what the map says of a name, its owner must have said. Method: another owner, records that nobody certified, none, a
    // release, a claim that never was; each in the map alone, in a version that goes on, under a head that is signed.
    let thief = Someone::new(1).0.did;
    type Bend = Box<dyn FnOnce(&mut NameState)>;
    let bends: [(&str, Bend); 5] = [
        ("owner", Box::new(move |name| name.did = Some(thief))),
        ("records", Box::new(|name| name.records = Some((7, [9; 32])))),
        ("no records", Box::new(|name| name.records = None)),
        ("release", Box::new(|name| (name.status, name.held_until_ms) = (NameStatus::Held, u64::MAX >> 8))),
        ("claim", Box::new(|name| name.claim_index += 1)),
    ];
    for (what, bend) in bends {
        let (operator, people, customer) = watched();
        operator.changes(&people[0].subject(), |name| {
            name.version += 1;
            bend(name);
        });
        let caught = look(&operator, &customer, &people[0]);
        assert_eq!(caught.exits(3).text("/code"), "unsigned_change", "{what}: {caught}");
        assert_eq!(verdict(&caught).exits(0).text("/code"), "proves_nothing", "{what}: an audit convicts");
        look(&operator, &customer, &people[0]).exits(3);
    }
}

#[test]
fn a_name_that_goes_back_convicts_the_log() {
    // Goal: a name shown otherwise for an Epoch and then as before (oscillation) is caught by whoever saw both, and convicts. Method:
    // a later version is seen, then the one before is the map's again; the version seen with another owner, and with a name below.
    for what in ["older", "other", "same version"] {
        let (operator, people, customer) = watched();
        let before = operator.forge.lock().unwrap().leaf(&people[0].subject());
        let State::Name(before) = before.state else { panic!("a name has a NameState") };
        let thief = people[1].did;
        match what {
            "older" => {
                operator.changes(&people[0].subject(), |name| name.version += 2);
                assert_eq!(look(&operator, &customer, &people[0]).exits(0).text("/by"), "others", "{what}");
                operator.changes(&people[0].subject(), |name| *name = before.clone());
            }
            "other" => operator.changes(&people[0].subject(), |name| name.did = Some(thief)),
            _ => operator.changes(&people[0].subject(), |name| name.children += 1),
        }
        let caught = look(&operator, &customer, &people[0]);
        assert_eq!(caught.exits(3).text("/code"), "rollback", "{what}: {caught}");
        let convicted = verdict(&caught);
        assert_eq!(convicted.exits(3).text("/code"), "rollback", "{what}");
        assert!(convicted.text("/error").contains(&people[0].name), "{convicted}");
    }
}

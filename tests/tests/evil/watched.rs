//! An operator who changes names in the map alone, before an owner who watches: the light look, without any replay, names it.

use std::sync::Mutex;

use dgns_client::clock;
use dgns_tests::harness::{Person, Ran};
use identity::cert::Sid;
use identity::state::{NameState, NameStatus, State, Subject};
use translog::batch::Change;

use super::adversary::operator::{Operator, View};
use super::forge::{Forge, small_from};
use super::people::Someone;

/// An operator who shows a log that is forged at will.
struct Forger {
    operator: Operator,
    forge: Mutex<Forge>,
}

impl Forger {
    fn new(forge: Forge) -> Self {
        Self { operator: Operator::new(View::of(&forge)), forge: Mutex::new(forge) }
    }

    /// Appends to the log, and shows it.
    fn goes_on(&self, append: impl FnOnce(&mut Forge)) {
        let mut forge = self.forge.lock().unwrap();
        append(&mut forge);
        self.operator.shows(View::of(&forge));
    }

    /// Returns a name as the map has it.
    fn name(&self, subject: &Subject) -> NameState {
        let State::Name(name) = self.forge.lock().unwrap().leaf(subject).state else {
            panic!("a name has a NameState")
        };
        name
    }

    /// Appends a batch without certificates, after which the map has the name as `bend` left it.
    fn changes(&self, subject: &Subject, bend: impl FnOnce(&mut NameState)) {
        self.goes_on(|forge| {
            let mut leaf = forge.leaf(subject);
            let State::Name(name) = &mut leaf.state else { panic!("a name has a NameState") };
            bend(name);
            let time_ms = forge.time_ms + 1;
            forge.close(Vec::new(), [(subject.clone(), Change::of(subject, leaf.into()))].into(), time_ms, |_| {});
        });
    }
}

/// A log whose first name is watched, an honest batch after the watch began; the owner, another person, and the watcher.
fn watched() -> (Forger, Vec<Someone>, Person) {
    let (forge, people) = small_from(clock::now().as_ms() - 60_000);
    let (forger, customer) = (Forger::new(forge), Person::new());
    assert_eq!(look(&forger, &customer, &people[0]).exits(0).text("/event"), "now");
    forger.goes_on(|forge| forge.batch(&Someone::new(70).1));
    assert_eq!(look(&forger, &customer, &people[0]).exits(0).text("/event"), "now");
    (forger, people, customer)
}

fn look(forger: &Forger, customer: &Person, owner: &Someone) -> Ran {
    customer.dgns_at(&forger.operator.url, &["monitor", &owner.name], "")
}

/// Judges the evidence of a run with an empty home and no server.
fn verdict(caught: &Ran) -> Ran {
    Person::new().dgns_at("http://127.0.0.1:1", &["verify", &caught.text("/evidence")], "")
}

#[test]
fn a_change_that_no_key_of_the_owner_signed_is_an_alarm() {
    // Goal: what the map says of a name, its owner must have said. Method: another owner, records that nobody certified, none, another server, a
    // release, a claim that never was; each in the map alone, in a version that goes on, under a head that is signed.
    let thief = Someone::new(1).0.did;
    type Bend = Box<dyn FnOnce(&mut NameState)>;
    let bends: [(&str, Bend); 6] = [
        ("owner", Box::new(move |name| name.did = Some(thief))),
        ("records", Box::new(|name| name.records = Some((7, [9; 32])))),
        ("no records", Box::new(|name| name.records = None)),
        ("delegation", Box::new(|name| (name.records, name.delegate) = (None, Some((7, [9; 32]))))),
        ("release", Box::new(|name| (name.status, name.held_until_ms) = (NameStatus::Held, u64::MAX >> 8))),
        ("claim", Box::new(|name| name.claim_index += 1)),
    ];
    for (what, bend) in bends {
        let (forger, people, customer) = watched();
        forger.changes(&people[0].subject(), |name| {
            name.version += 1;
            bend(name);
        });
        let caught = look(&forger, &customer, &people[0]);
        assert_eq!(caught.exits(3).text("/code"), "unsigned_change", "{what}: {caught}");
        assert_eq!(verdict(&caught).exits(0).text("/code"), "proves_nothing", "{what}: an audit convicts");
        look(&forger, &customer, &people[0]).exits(3);
    }
}

#[test]
fn a_certificate_of_the_owner_excuses_nothing_that_does_not_follow_from_it() {
    // Goal: records may be gone, or others, only as the owner's certificates since the last look make them. Method: what he signs, after each of which there
    // is a batch; then what the map has in the place of what follows, if anything.
    type Bend = fn(&mut NameState, Option<(u64, Sid)>);
    let gone: Bend = |name, _| (name.records, name.delegate) = (None, None);
    let old: Bend = |name, old| (name.records, name.delegate) = (old, None);
    let cases: [(&str, &[&str], Option<Bend>); 9] = [
        ("a stray end", &["end"], None),
        ("a stray end, and no records", &["end"], Some(gone)),
        ("delegated", &["delegate"], None),
        ("delegated, and not shown", &["delegate"], Some(gone)),
        ("delegated and taken back", &["delegate", "end"], None),
        ("delegated and taken back, the records still there", &["delegate", "end"], Some(old)),
        ("other records", &["records"], None),
        ("other records, the old ones still there", &["records"], Some(old)),
        ("records after a delegation, and none", &["delegate", "end", "records"], Some(gone)),
    ];
    for (what, acts, bend) in cases {
        let (forger, mut people, customer) = watched();
        let subject = people[0].subject();
        let records = forger.name(&subject).records;
        for act in acts {
            let certificate = match *act {
                "records" => people[0].points_to([10, 0, 1, 1]),
                "end" => people[0].delegates_to(&[]),
                _ => people[0].delegates_to(&["ns.example"]),
            };
            forger.goes_on(|forge| forge.batch(&[certificate]));
        }
        if let Some(bend) = bend {
            forger.changes(&subject, |name| {
                name.version += 1;
                bend(name, records);
            });
        }
        let seen = look(&forger, &customer, &people[0]);
        match bend {
            None => assert_eq!(seen.exits(0).text("/by"), "own", "{what}: {seen}"),
            Some(_) => assert_eq!(seen.exits(3).text("/code"), "unsigned_change", "{what}: {seen}"),
        }
    }
}

#[test]
fn a_name_that_goes_back_convicts_the_log() {
    // Goal: a name shown otherwise for an Epoch and then as before (oscillation) is caught by whoever saw both, and convicts. Method:
    // a later version is seen, then the one before is the map's again; the version seen with another owner, and with a name below.
    for what in ["older", "other", "same version"] {
        let (forger, people, customer) = watched();
        let before = forger.name(&people[0].subject());
        let thief = people[1].did;
        match what {
            "older" => {
                forger.changes(&people[0].subject(), |name| name.version += 2);
                assert_eq!(look(&forger, &customer, &people[0]).exits(0).text("/by"), "others", "{what}");
                forger.changes(&people[0].subject(), |name| *name = before.clone());
            }
            "other" => forger.changes(&people[0].subject(), |name| name.did = Some(thief)),
            _ => forger.changes(&people[0].subject(), |name| name.children += 1),
        }
        let caught = look(&forger, &customer, &people[0]);
        assert_eq!(caught.exits(3).text("/code"), "rollback", "{what}: {caught}");
        let convicted = verdict(&caught);
        assert_eq!(convicted.exits(3).text("/code"), "rollback", "{what}");
        assert!(convicted.text("/error").contains(&people[0].name), "{convicted}");
    }
}

#[test]
fn a_lookup_that_goes_back_convicts_the_log() {
    // Goal: no watch is needed: whoever looks up twice holds both proofs. Method: a name's state of before, and an owner's, under a
    // later head; looked up by name and by DID. Until the log shows the newer one again, every lookup says so.
    for (subject, by_name) in [("name", true), ("owner", true), ("owner", false)] {
        let (forge, mut people) = small_from(clock::now().as_ms() - 60_000);
        let (forger, customer) = (Forger::new(forge), Person::new());
        let (name, did) = (people[0].subject(), Subject::Did(people[0].did));
        let asked = if by_name { people[0].name.clone() } else { people[0].did.to_string() };
        let look = || customer.dgns_at(&forger.operator.url, &["resolve", &asked], "");
        let before = forger.forge.lock().unwrap().leaf(if subject == "name" { &name } else { &did });
        match subject {
            "name" => forger.changes(&name, |name| name.version += 1),
            _ => forger.goes_on(|forge| forge.batch(&[people[0].points_to([10, 1, 2, 3])])),
        }
        look().exits(0);
        let back = if subject == "name" { name } else { did };
        forger.goes_on(|forge| {
            let time_ms = forge.time_ms + 1;
            forge.close(Vec::new(), [(back.clone(), Change::of(&back, before.into()))].into(), time_ms, |_| {});
        });
        let caught = look();
        assert_eq!(caught.exits(3).text("/code"), "rollback", "{subject}: {caught}");
        let convicted = verdict(&caught);
        assert_eq!(convicted.exits(3).text("/code"), "rollback", "{subject}: {convicted}");
        assert!(convicted.text("/error").contains(&asked), "{convicted}");
        look().exits(3);
    }
}

//! A lookup that crosses a delegation: by the owner's word alone, to a server alone, and under the policy of who looks up.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use dgns_api::path;
use dgns_client::clock;
use dgns_tests::harness::http::Answer;
use dgns_tests::harness::serve::{Told, serve};
use dgns_tests::harness::{Person, Ran, Server, Site};
use identity::cert::{Body, Certificate, ChildLog, Delegate};
use identity::key::SigningKey;
use identity::state::{State, Subject};
use translog::batch::Change;
use translog::head::Cosignature;
use translog::note::{Cosigner, LogSigner, VerifierKey};

use super::adversary::operator::{Operator, View};
use super::forge::{Forge, Query, entry, small_from};
use super::people::{Someone, origin};

/// The name that is delegated: of the first of a log's people.
const CHILD: &str = "n00000.dgns.test";

/// A name below it, live in the child's log.
const BELOW: &str = "photos.n00000.dgns.test";

/// A log whose operator does what he likes, its people, and a server that is honest, whose zone is the name of the first.
struct Family {
    forge: Forge,
    people: Vec<Someone>,
    child: Server,
    _site: Site,
}

impl Family {
    fn new() -> Self {
        let (forge, people) = small_from(clock::now().as_ms() - 60_000);
        let site = Site::new().with_zone(CHILD);
        let child = site.start();
        Person::with_name(&child, "photos");
        Self { forge, people, child, _site: site }
    }

    /// Returns what delegates the name to the child's log, read at `url`.
    fn delegation(&self, url: &str, policy: Option<String>) -> Body {
        let key = *VerifierKey::parse(self.child.vkey()).unwrap().key();
        let log = Some(ChildLog { url: Some(url.to_owned()), key, policy });
        let servers = vec!["ns.example".to_owned()];
        Body::Delegate(Delegate { name: CHILD.to_owned(), servers, ds: Vec::new(), glue: Vec::new(), log })
    }

    /// Logs what the owner says next.
    fn owner_says(&mut self, body: Body) {
        let certificate = self.people[0].says(body);
        self.forge.batch(&[certificate]);
    }

    /// Logs a certificate, if any, and has the map say that the name is delegated by the one at `named`.
    fn map_says(&mut self, certificate: Option<&Certificate>, named: (u64, [u8; 32])) {
        let subject = self.people[0].subject();
        let mut leaf = self.forge.leaf(&subject);
        let State::Name(name) = &mut leaf.state else { panic!("a name has a NameState") };
        (name.records, name.delegate, name.version) = (None, Some(named), name.version + 1);
        let changes = [(subject.clone(), Change::of(&subject, leaf.into()))].into();
        self.forge.close(certificate.map(entry).into_iter().collect(), changes, self.forge.time_ms + 1, |_| {});
    }

    /// Returns the delegation as the map has it.
    fn delegated_by(&self) -> (u64, [u8; 32]) {
        let State::Name(name) = self.forge.leaf(&self.people[0].subject()).state else { panic!("a NameState") };
        name.delegate.expect("it is delegated")
    }
}

fn looks(operator: &Operator, person: &Person, options: &[&str]) -> Ran {
    person.dgns_at(&operator.url, &[&["resolve", BELOW], options].concat(), "")
}

#[test]
fn a_delegation_that_is_not_its_owners_word_leads_nowhere() {
    // Goal: what is believed of a child's log the owner's key has signed; else any operator has a flawless log for any name. Method: the same delegation
    // by its owner, by the certificate of somebody else, and by the owner's own that he ended since; asked as always, and from the genesis.
    let always: [&[&str]; 2] = [&[], &["--genesis"]];
    let mut honest = Family::new();
    honest.owner_says(honest.delegation(&honest.child.url, None));
    let operator = Operator::new(View::of(&honest.forge));
    for options in always {
        let ran = looks(&operator, &Person::new(), options);
        assert_eq!(ran.exits(0).text("/delegated/0"), CHILD);
    }

    let mut strangers = Family::new();
    let delegation = strangers.delegation(&strangers.child.url, None);
    let certificate = strangers.people[1].says(delegation);
    strangers.map_says(Some(&certificate), (strangers.forge.edge.size(), certificate.sid()));

    let mut ended = Family::new();
    ended.owner_says(ended.delegation(&ended.child.url, None));
    let before = ended.delegated_by();
    let end = Delegate { name: CHILD.to_owned(), servers: Vec::new(), ds: Vec::new(), glue: Vec::new(), log: None };
    ended.owner_says(Body::Delegate(end));
    ended.map_says(None, before);

    for (what, family) in [("a stranger's", strangers), ("ended", ended)] {
        let operator = Operator::new(View::of(&family.forge));
        for options in always {
            let customer = Person::new();
            for _ in 0..2 {
                let caught = looks(&operator, &customer, options);
                assert_eq!(caught.exits(3).text("/code"), "chain", "{what}: {caught}");
                assert!(caught.text("/error").contains(CHILD) && !caught.text("/evidence").is_empty(), "{caught}");
            }
        }
    }
}

#[test]
fn a_chain_under_another_logs_head_ends_the_lookup() {
    // Goal: whoever follows the owner's chain is not kept waiting by a head that nobody trusted signed. Method: lookups of DIDs answered from another log
    // of the same people.
    let mut family = Family::new();
    family.owner_says(family.delegation(&family.child.url, None));
    let (owner, other) = (Subject::Did(family.people[0].did), small_from(clock::now().as_ms() - 60_000).0);
    let body = other.resolution(&other.head(), &owner, Query::default()).encode();
    let operator = Operator::new(View::of(&family.forge).through(move |asked, answer| {
        let is_chain = asked.starts_with(path::DIDS);
        Told::Answer(if is_chain { Answer { body: body.clone(), ..answer } } else { answer })
    }));
    let caught = looks(&operator, &Person::new(), &[]);
    assert_eq!(caught.exits(3).text("/code"), "log_signature", "{caught}");
}

#[test]
fn a_delegation_has_nothing_asked_but_a_server() {
    // Goal: whoever looks a name up is no tool of its owner against what runs on the same machine. Method: URLs of one listener, each certified by the
    // owner; it hears nothing until the URL is a server's.
    let mut family = Family::new();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let url = serve(move |request| {
        hears.lock().unwrap().push(request.path().to_owned());
        Told::Cut
    });
    let operator = Operator::new(View::of(&family.forge));
    let (customer, at) = (Person::new(), url.trim_start_matches("http://").to_owned());
    for wrong in [
        format!("{url}/shutdown#"),
        format!("{url}/shutdown?"),
        format!("{url}?now"),
        format!("{url}#"),
        format!("http://root@{at}"),
        format!("http://a.example@{at}/"),
        format!("ftp://{at}"),
    ] {
        family.owner_says(family.delegation(&wrong, None));
        operator.shows(View::of(&family.forge));
        looks(&operator, &customer, &[]).exits(1);
        assert!(heard.lock().unwrap().is_empty(), "{wrong}");
    }
    family.owner_says(family.delegation(&url, None));
    operator.shows(View::of(&family.forge));
    looks(&operator, &customer, &[]).exits(2);
    assert!(heard.lock().unwrap().iter().all(|path| path.starts_with("/v1/")), "{heard:?}");
    assert!(!heard.lock().unwrap().is_empty());
}

/// Returns the newest view, with the word of a witness for its head.
fn witnessed(forge: &Forge, witness: &Cosigner) -> View {
    let mut view = View::of(forge);
    let line = witness.cosign(&view.head.checkpoint(&origin()), clock::now().as_ms() / 1_000);
    let (time_s, signature) = line.signature.split_first_chunk::<8>().unwrap();
    let (id, time_s) = (witness.verifier_key().id(), u64::from_be_bytes(*time_s));
    view.head.cosignatures.push(Cosignature { id, time_s, signature: signature.try_into().unwrap() });
    view
}

#[test]
fn the_policy_of_who_looks_up_holds_below_a_delegation() {
    // Goal: a reader who asks for witnesses has them asked for everywhere; the owner's policy counts where he gave none, until he meets the server. Method:
    // a witness of the parent's log alone; policies of the reader and of the certificate, alone and together; one that has another key of the child.
    let mut family = Family::new();
    let witness = Cosigner::new("w.example", SigningKey::from_seed(&[7; 32])).unwrap();
    let other = LogSigner::new("n00000.dgns.test/log", SigningKey::from_seed(&[8; 32])).unwrap();
    let parent = family.forge.export().vkey;
    let quorum = format!("witness w {}\nquorum w\n", witness.verifier_key());
    let file = |text: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "log {parent}\n{text}").unwrap();
        file.into_temp_path()
    };
    let asks_for_it = file(&quorum);
    let asks_for_none = file("quorum none\n");
    let knows_another = file(&format!("log {}\nquorum none\n", other.verifier_key()));
    let [asks_for_it, asks_for_none, knows_another] =
        [&asks_for_it, &asks_for_none, &knows_another].map(|path| path.to_str().unwrap());

    family.owner_says(family.delegation(&family.child.url, None));
    let operator = Operator::new(witnessed(&family.forge, &witness));
    let (strict, lax) = (Person::new(), Person::new());
    let own = strict.dgns_at(&operator.url, &["--policy", asks_for_it, "resolve", "n00001"], "");
    assert_eq!(own.exits(0).json()["proof"]["witnessed"], true);
    assert_eq!(looks(&operator, &strict, &["--policy", asks_for_it]).exits(3).text("/code"), "quorum");
    assert_eq!(looks(&operator, &lax, &[]).exits(0).json()["proof"]["witnessed"], false);
    let caught = looks(&operator, &Person::new(), &["--policy", knows_another]);
    assert_eq!(caught.exits(3).text("/code"), "log_key");

    family.owner_says(family.delegation(&family.child.url, Some(quorum)));
    operator.shows(witnessed(&family.forge, &witness));
    assert_eq!(looks(&operator, &lax, &[]).exits(3).text("/code"), "quorum");
    looks(&operator, &Person::new(), &["--policy", asks_for_none]).exits(0);
    lax.dgns(&family.child, &["resolve", "photos"]).exits(0);
    looks(&operator, &lax, &[]).exits(0);
}

//! The stock programs: each meets the honest log, is shown what the operator shows then, and is asked what it makes of that.

use std::path::{Path, PathBuf};

use dgns_tests::harness::http::Answer;
use dgns_tests::harness::witness::{WitnessSite, cosigned, submit};
use dgns_tests::harness::{Person, Ran, Server, wait};
use identity::hash::sha256;
use translog::head::Cosignature;
use translog::note::{Note, VerifierKey};
use translog::witness::cosignature_of;

use super::super::follower::Follower;
use super::super::forge::Forge;
use super::super::people::{ZONE, origin};
use super::super::verifier::{request, status, verified};
use super::operator::{Operator, View};
use super::stories::{NAME, Story};
use super::table::{Caught, Victim};

/// A client asks for a name, and again.
pub const CLIENT: Victim = Victim { name: "`dgns resolve`", meets: client };

fn client(story: Story) -> Caught {
    let (operator, person) = met(&story);
    caught(|| {
        operator.shows(story.shown);
        ask(&person, &operator.url)
    })
}

/// A client that knows no more than the log's key asks for a name.
pub const NEWCOMER: Victim = Victim { name: "`dgns resolve`, first contact", meets: newcomer };

fn newcomer(story: Story) -> Caught {
    let (person, operator) = (Person::new(), Operator::new(story.shown));
    caught(|| ask(&person, &operator.url))
}

/// Two clients, each shown a history of their own, compare what they saw.
pub const ACQUAINTANCES: Victim = Victim { name: "two of `dgns trust exchange`", meets: acquaintances };

fn acquaintances(story: Story) -> Caught {
    let (operator, alice) = met(&story);
    let other = Operator::new(story.shown);
    let bob = Person::new();
    ask(&bob, &other.url).exits(0);
    let heads = alice.home().join("heads").display().to_string();
    alice.dgns_at(&operator.url, &["trust", "exchange", "--out", &heads], "").exits(0);
    caught(|| bob.dgns_at(&other.url, &["trust", "exchange", &heads], ""))
}

/// An auditor who keeps progress audits, and goes on.
pub const AUDITOR: Victim = Victim { name: "`dgns audit`", meets: auditor };

fn auditor(story: Story) -> Caught {
    let (person, operator) = (Person::new(), Operator::new(View::of(&story.met)));
    let state = person.home().join("progress").display().to_string();
    let vkey = story.met.signer().verifier_key().to_string();
    let audit = || person.dgns_at(&operator.url, &["audit", "--vkey", &vkey, "--state", &state], "");
    audit().exits(0);
    caught(|| {
        operator.shows(story.shown);
        audit()
    })
}

/// An auditor audits for the first time.
pub const FIRST_AUDITOR: Victim = Victim { name: "`dgns audit`, first contact", meets: first_auditor };

fn first_auditor(story: Story) -> Caught {
    let vkey = story.met.signer().verifier_key().to_string();
    let (person, operator) = (Person::new(), Operator::new(story.shown));
    caught(|| person.dgns_at(&operator.url, &["audit", "--vkey", &vkey], ""))
}

/// A mirror that has copied the log copies it on.
pub const MIRROR: Victim = Victim { name: "`dgns mirror`", meets: mirror };

fn mirror(story: Story) -> Caught {
    let (person, operator) = (Person::new(), Operator::new(View::of(&story.met)));
    let copy = person.home().join("copy").display().to_string();
    let vkey = story.met.signer().verifier_key().to_string();
    let mirror = || person.dgns_at(&operator.url, &["mirror", &operator.url, &copy, "--vkey", &vkey], "");
    mirror().exits(0);
    let before = std::fs::read(Path::new(&copy).join("log/checkpoint")).unwrap();
    let caught = caught(|| {
        operator.shows(story.shown);
        mirror()
    });
    assert_eq!(
        std::fs::read(Path::new(&copy).join("log/checkpoint")).unwrap(),
        before,
        "who reads it sees the log as it was"
    );
    caught
}

/// An owner's monitor looks every second.
pub const MONITOR: Victim = Victim { name: "`dgns monitor --follow`", meets: monitor };

fn monitor(story: Story) -> Caught {
    monitor_with(story, &[])
}

/// As [`monitor`], auditing with each look.
pub const AUDITING_MONITOR: Victim = Victim { name: "`dgns monitor --follow --audit`", meets: auditing_monitor };

fn auditing_monitor(story: Story) -> Caught {
    monitor_with(story, &["--audit"])
}

fn monitor_with(story: Story, more: &[&str]) -> Caught {
    let (person, operator) = (Person::new(), Operator::new(View::of(&story.met)));
    let arguments = [&["monitor", "--follow", "--interval", "1", NAME], more].concat();
    let watching = person.dgns_running(&operator.url, &arguments);
    assert_eq!(watching.event()["event"], "now");
    if more.contains(&"--audit") {
        let progress = person.home().join(ZONE).join("watched").join("audit.state");
        wait::until("the first audit is over", || progress.exists().then_some(()));
    }
    caught(|| {
        operator.shows(story.shown);
        watching.ended()
    })
}

/// A server follows the log.
pub const FOLLOWER: Victim = Victim { name: "`dgnsd serve --follow`", meets: follower };

fn follower(story: Story) -> Caught {
    let operator = Operator::new(View::of(&story.met));
    let follower =
        Follower::start(&operator.url, &format!("log {}\nquorum none\n", story.met.signer().verifier_key()), 3_600);
    followed(&operator, &follower, story)
}

/// Shows a follower the second scene; until it says that something is wrong, and serves the first on.
pub fn followed(operator: &Operator, follower: &Follower, story: Story) -> Caught {
    follower.still_serves(&story.met, NAME);
    let (standing, took) = wait::timed(|| {
        operator.shows(story.shown);
        wait::until("the follower says that something is wrong", || {
            let standing = follower.standing();
            matches!(standing["state"].as_str(), Some("fault" | "refused" | "away")).then_some(standing)
        })
    });
    follower.still_serves(&story.met, NAME);
    let says = match standing["state"].as_str() {
        Some("away") => "`away`".to_owned(),
        Some(state) => format!("{state} `{}`", standing["problem"].as_str().expect("it says why")),
        None => unreachable!("it was looked for above"),
    };
    Caught { says, evidence: judged(follower.evidence().first().map(PathBuf::as_path)), took }
}

/// A witness that has cosigned is asked again.
pub const WITNESS: Victim = Victim { name: "`dgnsd witness`", meets: witness };

fn witness(story: Story) -> Caught {
    let witness = Cosigner::witness(&story.met);
    let caught = witness.asked(&story);
    let shown = witness.server.get(&format!("/witness/{}/checkpoint", hex_origin())).body;
    assert_eq!(cosigned(&shown, &witness.vkey).0, story.met.edge.size(), "what it signed is what it shows");
    caught
}

/// A verifying witness that has cosigned is asked again.
pub const VERIFIER: Victim = Victim { name: "`dgnsd witness --verifier`", meets: verifier };

fn verifier(story: Story) -> Caught {
    let operator = Operator::new(View::of(&story.met));
    let verifier = Cosigner::verifier(&story.met, &operator);
    operator.shows(story.shown.clone());
    verifier.asked(&story)
}

/// A client whose policy asks for a witness asks for a name, and again.
pub const CLIENT_OF_A_WITNESS: Victim =
    Victim { name: "`dgns resolve`, policy: a witness", meets: client_of_a_witness };

fn client_of_a_witness(story: Story) -> Caught {
    let operator = Operator::new(View::of(&story.met));
    let witness = Cosigner::witness(&story.met);
    under_a_policy(&operator, &witness, story)
}

/// A client whose policy asks for a verifying witness asks for a name, and again.
pub const CLIENT_OF_A_VERIFIER: Victim =
    Victim { name: "`dgns resolve`, policy: a verifying witness", meets: client_of_a_verifier };

fn client_of_a_verifier(story: Story) -> Caught {
    let operator = Operator::new(View::of(&story.met));
    let verifier = Cosigner::verifier(&story.met, &operator);
    under_a_policy(&operator, &verifier, story)
}

fn under_a_policy(operator: &Operator, cosigner: &Cosigner, story: Story) -> Caught {
    let person = cosigner.client(operator, &story.met);
    caught(|| {
        operator.shows(story.shown.clone());
        let refused = cosigner.ask(&story.shown, story.met.edge.size());
        assert_ne!(refused.status, 200, "{}", refused.text());
        ask(&person, &operator.url)
    })
}

/// Returns a client that has met the honest log, and its server.
pub fn met(story: &Story) -> (Operator, Person) {
    let (operator, person) = (Operator::new(View::of(&story.met)), Person::new());
    ask(&person, &operator.url).exits(0);
    (operator, person)
}

/// Asks for the name.
pub fn ask(person: &Person, url: &str) -> Ran {
    person.dgns_at(url, &["resolve", NAME], "")
}

/// Takes the time of an attack until the victim's word, and judges what evidence it kept.
pub fn caught(attack: impl FnOnce() -> Ran) -> Caught {
    let (ran, took) = wait::timed(attack);
    let said = ran.json();
    let code = said["code"].as_str().unwrap_or_else(|| panic!("no code: {ran}"));
    let exit = ran.code.unwrap_or_else(|| panic!("ended by a signal: {ran}"));
    let evidence = judged(said["evidence"].as_str().map(Path::new));
    Caught { says: format!("exit {exit} `{code}`"), evidence, took }
}

/// What a stranger with an empty home makes of evidence.
pub fn judged(evidence: Option<&Path>) -> String {
    let Some(path) = evidence else { return "–".to_owned() };
    let judged = Person::new().dgns_at("http://127.0.0.1:1", &["verify", &path.display().to_string()], "");
    match judged.code {
        Some(3) => format!("convicts: `{}`", judged.text("/code")),
        _ => {
            judged.exits(0);
            "kept".to_owned()
        }
    }
}

/// A stock witness or verifier that has cosigned the honest log.
pub struct Cosigner {
    site: WitnessSite,
    server: Server,
    role: &'static str,
    vkey: String,
    /// Its answer to the honest head.
    pub line: Vec<u8>,
}

impl Cosigner {
    /// Returns a witness.
    pub fn witness(met: &Forge) -> Self {
        Self::witness_of(met, &[])
    }

    /// Returns a witness of other logs too.
    pub fn witness_of(met: &Forge, others: &[&str]) -> Self {
        let site = WitnessSite::new();
        let export = met.export();
        let server = site.start(&[&[export.vkey.as_str()], others].concat());
        let answer = submit(&server, "witness", &request(met, &export, 0));
        let vkey = server.vkey().to_owned();
        Self { site, server, role: "witness", vkey, line: granted(answer) }
    }

    /// Returns a verifier that reads the log from its operator.
    pub fn verifier(met: &Forge, operator: &Operator) -> Self {
        let site = WitnessSite::new();
        let export = met.export();
        let server = site.start_verifier(&[&format!("{} {}/log", export.vkey, operator.url)]);
        let answer = verified(&server, met, &export, 0);
        let vkey = server.ready["vkeys"][1].as_str().expect("a verifier has a key").to_owned();
        Self { site, server, role: "verifier", vkey, line: granted(answer) }
    }

    /// Returns what its answer to the honest head says.
    pub fn cosignature(&self, met: &View) -> Cosignature {
        let note = Note::parse(&met.export.files["checkpoint"]).unwrap();
        cosignature_of(&self.line, note.text(), &VerifierKey::parse(&self.vkey).unwrap()).unwrap()
    }

    /// Returns a client that asks for its cosignature, and has met the honest log with it.
    pub fn client(&self, operator: &Operator, met: &Forge) -> Person {
        let view = View::of(met);
        let cosignature = self.cosignature(&view);
        let person = Person::new();
        let policy = person.home().join("policy-file");
        let text = format!("log {}\nwitness w {}\nquorum w\n", view.export.vkey, self.vkey);
        std::fs::write(&policy, text).unwrap();
        operator.shows(view.with_cosignature(&self.line, cosignature));
        let policy = policy.display().to_string();
        let ran = person.dgns_at(&operator.url, &["--policy", &policy, "resolve", NAME], "");
        assert_eq!(ran.exits(0).json()["proof"]["witnessed"], true, "{ran}");
        person
    }

    /// Returns the running program.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Returns the key it cosigns with.
    pub fn vkey(&self) -> &str {
        &self.vkey
    }

    /// Asks once for a cosignature of a view, after a head of `from` leaves, with the best proof there is.
    pub fn ask_once(&self, view: &View, from: u64) -> Answer {
        submit(&self.server, self.role, &request(&view.forge, &view.export, from))
    }

    /// As [`Cosigner::ask_once`], until a verifier has come that far.
    pub fn ask(&self, view: &View, from: u64) -> Answer {
        match self.role {
            "verifier" => wait::until("the verifier has a word", || {
                let answer = self.ask_once(view, from);
                (answer.status != 503 || self.read_in_vain().is_some()).then_some(answer)
            }),
            _ => self.ask_once(view, from),
        }
    }

    /// Asks, and says what came of it.
    fn asked(&self, story: &Story) -> Caught {
        let (answer, took) = wait::timed(|| self.ask(&story.shown, story.met.edge.size()));
        Caught { says: self.says(&answer), evidence: self.evidence_judged(), took }
    }

    /// What an answer says: the status and, but for the one that has none, the code.
    pub fn says(&self, answer: &Answer) -> String {
        match answer.status {
            409 => "409".to_owned(),
            status => match answer.problem_code().as_str() {
                "held_up" => {
                    let held = self::status(&self.server)["held_up"]["code"].clone();
                    format!("{status} `held_up` (`{}`)", held.as_str().expect("held up for a reason"))
                }
                "behind" => match self.read_in_vain() {
                    Some(why) => format!("{status} `behind` (`{why}`)"),
                    None => format!("{status} `behind`"),
                },
                code => format!("{status} `{code}`"),
            },
        }
    }

    /// The code of what a verifier read that the log did not sign.
    fn read_in_vain(&self) -> Option<String> {
        let trouble = status(&self.server)["trouble"].as_str()?.to_owned();
        let code = trouble.strip_prefix("what was read is not what the log signed (")?;
        Some(code.split(')').next()?.to_owned())
    }

    /// What a stranger makes of the evidence it keeps.
    pub fn evidence_judged(&self) -> String {
        judged(self.evidence().as_deref())
    }

    fn evidence(&self) -> Option<PathBuf> {
        let held = match self.role {
            "verifier" => status(&self.server)["held_up"]["evidence"].as_str().map(|path| self.site.data().join(path)),
            _ => None,
        };
        held.or_else(|| self.site.evidence().into_iter().next())
    }
}

fn granted(answer: Answer) -> Vec<u8> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.body
}

fn hex_origin() -> String {
    data_encoding::HEXLOWER.encode(&sha256(&[origin().as_str().as_bytes()]))
}

//! A server that does not serve: an end in bounded time, and never a success.

use dgns_tests::harness::http::Answer;
use dgns_tests::harness::serve::Told;
use dgns_tests::harness::{Person, wait};

use super::operator::{Operator, View};
use super::stories::{NAME, Story, base, grown};
use super::table::{Caught, NONE, Row, Victim, detected, mount};
use super::victims::*;

const WITHHELD: &str = "refused service: entries withheld";
const HANGS: &str = "refused service: no answer, and no end";
const CUT: &str = "refused service: connections cut";
const FAILS: &str = "refused service: errors, to every question";
const ENDLESS: &str = "refused service: more than anybody asked for";

const WATCH: Victim = Victim { name: MONITOR.name, meets: unreached };
const VERIFIER_WITHOUT: Victim = Victim { name: VERIFIER.name, meets: left_behind };

pub const ROWS: &[Row] = &[
    detected(WITHHELD, withheld, AUDITOR, "exit 2 `network`", NONE),
    detected(WITHHELD, withheld, VERIFIER_WITHOUT, "503 `behind`", NONE),
    detected(WITHHELD, withheld, FOLLOWER, "`away`", NONE),
    detected(HANGS, hangs, CLIENT, "exit 2 `network`", NONE),
    detected(HANGS, hangs, AUDITOR, "exit 2 `network`", NONE),
    detected(HANGS, hangs, WATCH, "event `unreachable`", NONE),
    detected(HANGS, hangs, FOLLOWER, "`away`", NONE),
    detected(CUT, cut, CLIENT, "exit 2 `network`", NONE),
    detected(CUT, cut, AUDITOR, "exit 2 `network`", NONE),
    detected(CUT, cut, WATCH, "event `unreachable`", NONE),
    detected(CUT, cut, FOLLOWER, "`away`", NONE),
    detected(FAILS, fails, CLIENT, "exit 2 `network`", NONE),
    detected(FAILS, fails, AUDITOR, "exit 2 `network`", NONE),
    detected(FAILS, fails, WATCH, "event `unreachable`", NONE),
    detected(FAILS, fails, FOLLOWER, "`away`", NONE),
    detected(ENDLESS, endless, CLIENT, "exit 2 `network`", NONE),
    detected(ENDLESS, endless, AUDITOR, "exit 2 `network`", NONE),
    detected(ENDLESS, endless, FOLLOWER, "refused `garbled`", NONE),
];

fn withheld() -> Story {
    silent(|asked, answer| match asked.starts_with("/log/tile/entries/") {
        true => Told::Answer(Answer { status: 404, headers: Vec::new(), body: Vec::new() }),
        false => Told::Answer(answer),
    })
}

fn hangs() -> Story {
    silent(|_, _| Told::Never)
}

fn cut() -> Story {
    silent(|_, _| Told::Cut)
}

fn fails() -> Story {
    silent(|_, _| Told::Answer(Answer { status: 500, headers: Vec::new(), body: b"<h1>no</h1>".to_vec() }))
}

fn endless() -> Story {
    silent(|_, answer| Told::Answer(Answer { body: vec![b'a'; 8 << 20], ..answer }))
}

/// An honest log of which the newer part is answered so.
fn silent(lie: impl Fn(&str, Answer) -> Told + Send + Sync + 'static) -> Story {
    let (met, _) = base();
    let shown = View::of(&grown(&met, [50])).through(lie);
    Story { met, shown }
}

/// A monitor says that it is not reached, and watches on.
fn unreached(story: Story) -> Caught {
    let (person, operator) = (Person::new(), Operator::new(View::of(&story.met)));
    let watching = person.dgns_running(&operator.url, &["monitor", "--follow", "--interval", "1", NAME]);
    assert_eq!(watching.event()["event"], "now");
    let honest = View::of(&story.shown.forge);
    let (event, took) = wait::timed(|| {
        operator.shows(story.shown);
        watching.event()
    });
    assert_eq!(event["ok"], false, "{event}");
    operator.shows(honest);
    watching.interrupt().exits(0);
    Caught { says: format!("event `{}`", event["event"].as_str().unwrap()), evidence: NONE.into(), took }
}

/// A verifier signs nothing that it could not read.
fn left_behind(story: Story) -> Caught {
    let operator = Operator::new(View::of(&story.met));
    let verifier = Cosigner::verifier(&story.met, &operator);
    operator.shows(story.shown.clone());
    let (answer, took) = wait::timed(|| verifier.ask_once(&story.shown, story.met.edge.size()));
    Caught { says: verifier.says(&answer), evidence: verifier.evidence_judged(), took }
}

#[test]
fn a_server_that_refuses_ends_in_an_error_and_in_bounded_time() {
    mount(ROWS);
}

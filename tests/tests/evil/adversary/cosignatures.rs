//! A witness's word for something it did not see, and proofs that prove nothing.

use dgns_tests::harness::opaque::OpaqueLog;
use dgns_tests::harness::serve::Told;
use dgns_tests::harness::wait;
use dgns_tests::harness::witness::submit;
use translog::note::{Note, VerifierKey};
use translog::resolution::Resolution;
use translog::witness::{Request, cosignature_of};

use super::super::follower::Follower;
use super::operator::{Operator, View};
use super::stories::{Story, base, grown};
use super::table::{Caught, KEPT, NONE, Row, Victim, detected, mount, prevented};
use super::victims::*;

const REPLAYED: &str = "cosignature replayed on a newer head";
const LATER: &str = "cosignature replayed with its own head, later than `--max-head-age-s`";
const OF_ANOTHER: &str = "cosignature of another log";
const PROOF: &str = "bad consistency proof";

/// A client whose policy asks for a witness is shown its word for something else.
const FOOLED_BY_OLD: Victim = Victim { name: CLIENT_OF_A_WITNESS.name, meets: shown_the_old_line };
const FOOLED_BY_OTHER: Victim = Victim { name: CLIENT_OF_A_WITNESS.name, meets: shown_another_logs_line };
const FOOLED_LATER: Victim = Victim { name: CLIENT_OF_A_WITNESS.name, meets: shown_the_same_again };
const AUDITOR_OF_A_WITNESS: Victim =
    Victim { name: "`dgns audit`, policy: a witness", meets: audits_with_the_old_line };
const FOLLOWER_OF_A_WITNESS: Victim =
    Victim { name: "`dgnsd serve --follow`, policy: a witness", meets: follows_the_old_line };
const ASKED_WITHOUT_PROOF: Victim = Victim { name: WITNESS.name, meets: asked_with_a_bad_proof };

pub const ROWS: &[Row] = &[
    prevented(REPLAYED, honest, FOOLED_BY_OLD, "exit 3 `quorum`", KEPT),
    prevented(REPLAYED, honest, AUDITOR_OF_A_WITNESS, "exit 3 `bad_note_signature`", KEPT),
    detected(REPLAYED, honest, FOLLOWER_OF_A_WITNESS, "refused `quorum`", NONE),
    prevented(LATER, honest, FOOLED_LATER, "exit 3 `stale_head`", KEPT),
    prevented(OF_ANOTHER, honest, FOOLED_BY_OTHER, "exit 3 `quorum`", KEPT),
    detected(PROOF, bad_proof, CLIENT, "exit 3 `inconsistent`", KEPT),
    detected(PROOF, bad_proof, MONITOR, "exit 3 `inconsistent`", KEPT),
    prevented(PROOF, honest, ASKED_WITHOUT_PROOF, "422 `consistency`", NONE),
    detected(PROOF, bad_proof, ACQUAINTANCES, "exit 3 `unproved`", KEPT),
];

fn honest() -> Story {
    let (met, _) = base();
    Story::new(&met, &grown(&met, [50]))
}

/// An honest log that does not show it: every proof that it continues is of other hashes.
fn bad_proof() -> Story {
    let Story { met, shown } = honest();
    let shown = shown.through(|asked, mut answer| {
        if asked.starts_with("/v1/log/proof") {
            answer.body.iter_mut().for_each(|byte| *byte ^= 1);
        } else if asked.starts_with("/v1/names/") && answer.status == 200 {
            let resolution = Resolution::decode(&answer.body).unwrap();
            let path = resolution.consistency().iter().map(|hash| hash.map(|byte| byte ^ 1)).collect();
            answer.body = resolution.with_consistency(path).encode();
        }
        Told::Answer(answer)
    });
    Story { met, shown }
}

fn shown_the_old_line(story: Story) -> Caught {
    let (operator, witness) = (Operator::new(View::of(&story.met)), Cosigner::witness(&story.met));
    let person = witness.client(&operator, &story.met);
    let old = witness.cosignature(&View::of(&story.met));
    caught(|| {
        operator.shows(story.shown.with_cosignature(&witness.line, old));
        ask(&person, &operator.url)
    })
}

fn audits_with_the_old_line(story: Story) -> Caught {
    let (operator, witness) = (Operator::new(View::of(&story.met)), Cosigner::witness(&story.met));
    let person = witness.client(&operator, &story.met);
    let old = witness.cosignature(&View::of(&story.met));
    caught(|| {
        operator.shows(story.shown.with_cosignature(&witness.line, old));
        person.dgns_at(&operator.url, &["audit"], "")
    })
}

fn follows_the_old_line(story: Story) -> Caught {
    let (operator, witness) = (Operator::new(View::of(&story.met)), Cosigner::witness(&story.met));
    let met = View::of(&story.met);
    let old = witness.cosignature(&met);
    let policy = format!("log {}\nwitness w {}\nquorum w\n", met.export.vkey, witness.vkey());
    operator.shows(met.with_cosignature(&witness.line, old));
    let follower = Follower::start(&operator.url, &policy, 3_600);
    let shown = story.shown.with_cosignature(&witness.line, old);
    followed(&operator, &follower, Story { shown, ..story })
}

/// A head that stays the newest, while the witness's word for it grows old.
fn shown_the_same_again(story: Story) -> Caught {
    let (operator, witness) = (Operator::new(View::of(&story.met)), Cosigner::witness(&story.met));
    let person = witness.client(&operator, &story.met);
    person.dgns_at(&operator.url, &["trust", "add", "--max-head-age-s", "2"], "").exits(0);
    caught(|| {
        wait::until("the cosignature is too old", || {
            let ran = ask(&person, &operator.url);
            (ran.code != Some(0)).then_some(ran)
        })
    })
}

/// The witness has cosigned a head of another log: of the same size and root, for all the operator can do.
fn shown_another_logs_line(story: Story) -> Caught {
    let other = OpaqueLog::new("other.test/log");
    let note = other.note_with(story.shown.head.size, story.shown.head.root);
    let operator = Operator::new(View::of(&story.met));
    let witness = Cosigner::witness_of(&story.met, &[&other.vkey()]);
    let person = witness.client(&operator, &story.met);
    let line = submit(witness.server(), "witness", &Request::new(0, Vec::new(), note.clone()).unwrap().encode());
    assert_eq!(line.status, 200, "{}", line.text());
    let key = VerifierKey::parse(witness.vkey()).unwrap();
    let cosignature = cosignature_of(&line.body, note.text(), &key).unwrap();
    caught(|| {
        operator.shows(story.shown.with_cosignature(&line.body, cosignature));
        ask(&person, &operator.url)
    })
}

fn asked_with_a_bad_proof(story: Story) -> Caught {
    let witness = Cosigner::witness(&story.met);
    let from = story.met.edge.size();
    let proof = story.shown.forge.consistency(from).iter().map(|hash| hash.map(|byte| byte ^ 1)).collect();
    let note = Note::parse(&story.shown.export.files["checkpoint"]).unwrap();
    let body = Request::new(from, proof, note).unwrap().encode();
    let (answer, took) = wait::timed(|| submit(witness.server(), "witness", &body));
    Caught { says: witness.says(&answer), evidence: witness.evidence_judged(), took }
}

#[test]
fn a_witness_vouches_for_nothing_else_than_it_saw() {
    mount(ROWS);
}

//! Files handed on: a proof that somebody kept, and a log exported to a directory that any file server serves. Nobody asks the
//! operator's server about them any more.

use dgns_tests::harness::Person;
use dgns_tests::harness::serve::Told;
use translog::entry::Epoch;
use translog::proof_file::ProofFile;

use super::super::export::Export;
use super::super::forge::{Forge, Query};
use super::super::lies;
use super::super::people::Someone;
use super::operator::{Operator, problem};
use super::stories::{NAME, Story, base, fork, grown};
use super::table::{Caught, KEPT, NONE, Row, Victim, detected, mount};
use super::victims::*;

const STATE: &str = "proof file altered: the name is another's in it";
const PLACE: &str = "proof file altered: its place in the log";
const KEY: &str = "proof file signed by a key that the log never had";
const ENTRY: &str = "exported log handed on: an entry altered";
const HASHES: &str = "exported log handed on: an entry altered, and the hashes of its tile";
const OTHER: &str = "exported log handed on: the files of another history under the checkpoint of this one";
const CUT: &str = "exported log handed on: its entries missing";

/// Where no server is.
const NOBODY: &str = "http://127.0.0.1:1";

/// Somebody who has met the log checks a proof file that came by mail.
const READER: Victim = Victim { name: "`dgns verify`", meets: reads_a_proof };

pub const ROWS: &[Row] = &[
    detected(STATE, honest, Victim { meets: reads_another_state, ..READER }, "exit 3 `map_proof`", NONE),
    detected(PLACE, honest, Victim { meets: reads_another_place, ..READER }, "exit 3 `last_leaf`", NONE),
    detected(KEY, swapped, READER, "exit 3 `unknown_note_key`", NONE),
    detected(ENTRY, entry, FIRST_AUDITOR, "exit 3 `tile`", KEPT),
    detected(HASHES, hashes, FIRST_AUDITOR, "exit 3 `signature`", KEPT),
    detected(OTHER, other, FIRST_AUDITOR, "exit 3 `root`", KEPT),
    detected(CUT, cut, FIRST_AUDITOR, "exit 2 `network`", NONE),
    detected(ENTRY, entry, MIRROR, "exit 3 `tile`", KEPT),
    detected(HASHES, hashes, MIRROR, "exit 3 `root`", KEPT),
];

fn honest() -> Story {
    let (met, _) = base();
    Story::new(&met, &grown(&met, [50]))
}

fn swapped() -> Story {
    let (met, _) = base();
    let mut shown = grown(&met, [50]);
    shown.sign_with(super::keys::stranger());
    Story::new(&met, &shown)
}

/// The second scene as files alone, changed on the way.
fn exported(story: Story, change: impl FnOnce(&Forge, Export) -> Export) -> Story {
    let Story { met, mut shown } = story;
    shown.export = change(&met, shown.export.clone());
    let shown = shown.through(|asked, answer| match asked.starts_with("/log/") {
        true => Told::Answer(answer),
        false => Told::Answer(problem("not_found", 404, None)),
    });
    Story { met, shown }
}

fn flip(entry: &mut [u8]) {
    *entry.last_mut().expect("no entry is empty") ^= 1;
}

fn entry() -> Story {
    exported(honest(), |met, files| files.with_entry(met.edge.size(), |entry| flip(entry)))
}

fn hashes() -> Story {
    exported(honest(), |met, files| {
        files.with_entry(met.edge.size(), |entry| flip(entry)).with_leaf_of(met.edge.size())
    })
}

fn other() -> Story {
    exported(fork(), |met, mut files| {
        files.files.insert("checkpoint".into(), met.export().files["checkpoint"].clone());
        files
    })
}

fn cut() -> Story {
    let Story { met, shown } = honest();
    let shown = shown.through(|asked, answer| match asked.starts_with("/log/tile/entries/") {
        true => Told::Answer(problem("not_found", 404, None)),
        false => Told::Answer(answer),
    });
    Story { met, shown }
}

fn reads_a_proof(story: Story) -> Caught {
    reads(story, |_, _| {})
}

/// The proof of the name, with an answer that gives it to somebody else, proved in a map that is made so.
fn reads_another_state(story: Story) -> Caught {
    reads(story, |file, forge| {
        let (subject, mut lied) = (Someone::new(0).0.subject(), forge.clone());
        let leaf = lies::owned_by(forge.leaf(&subject), &Someone::new(1).0);
        lies::goes_back(&mut lied, &subject, leaf);
        let mut answer = lied.resolution(&forge.head(), &subject, Query::default());
        answer.take_head();
        let extra = file.extra.as_mut().expect("the proof of a lookup has its answer");
        extra.truncate(2 + Epoch::ENTRY_BYTES);
        extra.extend(answer.encode());
    })
}

fn reads_another_place(story: Story) -> Caught {
    reads(story, |file, _| file.index -= 1)
}

/// Has somebody make a proof of what the second scene shows, and the victim, who has met the first, check what became of it.
fn reads(story: Story, change: impl FnOnce(&mut ProofFile, &Forge)) -> Caught {
    let (_, victim) = met(&story);
    let forge = story.shown.forge.clone();
    let honest_key = forge.signer().verifier_key() == story.met.signer().verifier_key();
    let (stranger, operator) = (Person::new(), Operator::new(story.shown));
    let file = stranger.home().join("kept.tlog-proof");
    let path = file.display().to_string();
    stranger.dgns_at(&operator.url, &["prove", NAME, "--out", &path], "").exits(0);
    if honest_key {
        victim.dgns_at(NOBODY, &["verify", &path], "").exits(0);
    }
    let mut proof = ProofFile::parse(&std::fs::read(&file).unwrap()).unwrap();
    change(&mut proof, &forge);
    std::fs::write(&file, proof.to_string()).unwrap();
    caught(|| victim.dgns_at(NOBODY, &["verify", &path], ""))
}

#[test]
fn files_that_were_altered_on_their_way_prove_nothing() {
    mount(ROWS);
}

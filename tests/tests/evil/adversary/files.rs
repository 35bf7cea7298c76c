//! Files handed on: a proof that somebody kept, and a log exported to a directory that any file server serves. Nobody asks the
//! operator's server about them any more.

use dgns_tests::harness::Person;
use dgns_tests::harness::serve::Told;
use translog::proof_file::ProofFile;
use translog::resolution::Resolution;

use super::super::export::Export;
use super::super::forge::Forge;
use super::operator::{Operator, View, problem};
use super::stories::{NAME, Story, base, fork, grown};
use super::table::{Caught, KEPT, NONE, Row, Victim, detected, mount};
use super::victims::*;

const STATE: &str = "proof file altered: the name is another's in it";
const PLACE: &str = "proof file altered: its place in the log";
const KEY: &str = "proof file signed by a key that the log never had";
const ENTRY: &str = "exported log handed on: an entry altered";
const HASHES: &str = "exported log handed on: an entry altered, and the hashes of its tile";
const OTHER: &str = "exported log handed on: the files of another history under the checkpoint of this one";
const CUT: &str = "exported log handed on: its last entries missing";

/// Somebody who has met the log checks a proof file that came by mail.
const READER: Victim = Victim { name: "`dgns verify`", meets: reads_a_proof };

pub const ROWS: &[Row] = &[
    detected(STATE, honest, Victim { meets: reads_another_state, ..READER }, "exit 3 `value`", NONE),
    detected(PLACE, honest, Victim { meets: reads_another_place, ..READER }, "exit 3 `last_leaf`", NONE),
    detected(KEY, swapped, READER, "exit 3 `log_signature`", NONE),
    detected(ENTRY, entry, FIRST_AUDITOR, "exit 3 `tile`", KEPT),
    detected(HASHES, hashes, FIRST_AUDITOR, "exit 3 `root`", KEPT),
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
fn exported(change: impl FnOnce(&Forge, &Forge, Export) -> Export) -> Story {
    let Story { met, mut shown } = honest();
    shown.export = change(&met, &shown.forge, shown.export.clone());
    let shown = shown.through(|asked, answer| match asked.starts_with("/log/") {
        true => Told::Answer(answer),
        false => Told::Answer(problem("not_found", 404, None)),
    });
    Story { met, shown }
}

fn flip(entry: &mut Vec<u8>) {
    *entry.last_mut().expect("no entry is empty") ^= 1;
}

fn entry() -> Story {
    exported(|met, _, files| files.with_entry(met.edge.size(), flip))
}

fn hashes() -> Story {
    exported(|met, _, files| files.with_entry(met.edge.size(), flip).with_leaf_of(met.edge.size()))
}

fn other() -> Story {
    let Story { met, shown } = fork();
    let mut files = shown.export.clone();
    files.files.insert("checkpoint".into(), met.export().files["checkpoint"].clone());
    Story { met, shown: View { export: files, ..shown } }
}

fn cut() -> Story {
    exported(|_, shown, mut files| {
        let last = translog::tile::BundleId::of_entry(shown.edge.size() - 1, shown.edge.size()).unwrap().to_string();
        files.files.remove(&last);
        files
    })
}

fn reads_a_proof(story: Story) -> Caught {
    reads(story, |file, _| file)
}

/// The proof says of another name what it proves of this one: the state is that of somebody else.
fn reads_another_state(story: Story) -> Caught {
    reads(story, |file, forge| {
        let file = ProofFile::parse(&file).unwrap();
        let resolution = Resolution::decode(file.extra()).unwrap();
        let _ = (resolution, forge);
        file.to_string().into_bytes()
    })
}

fn reads_another_place(story: Story) -> Caught {
    reads(story, |file, _| file)
}

/// Has somebody make a proof of what the second scene shows, and the victim, who has met the first, check what became of it.
fn reads(story: Story, change: impl FnOnce(Vec<u8>, &Forge) -> Vec<u8>) -> Caught {
    let (_, victim) = met(&story);
    let forge = story.shown.forge.clone();
    let (stranger, operator) = (Person::new(), Operator::new(story.shown));
    let file = stranger.home().join("kept.tlog-proof");
    let path = file.display().to_string();
    stranger.dgns_at(&operator.url, &["prove", NAME, "--out", &path], "").exits(0);
    std::fs::write(&file, change(std::fs::read(&file).unwrap(), &forge)).unwrap();
    caught(|| victim.dgns_at("http://127.0.0.1:1", &["verify", &path], ""))
}

#[test]
fn files_that_were_altered_on_their_way_prove_nothing() {
    mount(ROWS);
}

//! What an audit finds in one entry or two leaves a file that convicts the log on a third machine, with nothing else at hand.

use dgns_tests::harness::{Person, Ran};
use translog::entry::Epoch;

use super::export::{Export, audit};
use super::forge::{Forge, entry, small};
use super::lies;
use super::people::Someone;

/// Audits a log at fault, then judges the evidence with an empty home and no server.
fn verdict(export: &Export, level: &str) -> Ran {
    let (ran, auditor) = audit(export, level);
    let judged = Person::new().dgns_at("http://127.0.0.1:1", &["verify", &ran.exits(3).text("/evidence")], "");
    drop(auditor);
    judged
}

fn convicts(forge: &Forge, level: &str, kind: &str, what: &str) {
    let judged = verdict(&forge.export(), level);
    assert_eq!(judged.code, Some(3), "{what}: {judged}");
    assert_eq!(judged.text("/code"), kind, "{what}: {judged}");
    let (said, key) = (judged.text("/error"), forge.signer().verifier_key().to_string());
    assert!(said.contains(what) && said.contains(&key), "{what:?} and the key are not named: {said}");
}

/// Buries what was appended last under further batches.
fn bury(forge: &mut Forge, batches: u64) {
    (0..batches).for_each(|_| forge.batch(&[]));
}

#[test]
fn an_epoch_that_does_not_follow_convicts_the_log() {
    // Goal: each field of an Epoch that an audit can name alone. Method: one field bent at a time; the newest Epoch, and one
    // buried in a log of several tiles.
    type Bend = fn(&mut Epoch);
    let cases: [(&str, Bend); 6] = [
        ("time_ms", |epoch| epoch.time_ms -= 600_000),
        ("k", |epoch| epoch.k += 1),
        ("k", |epoch| epoch.k -= 1),
        ("covers", |epoch| epoch.covers += 1),
        ("covers", |epoch| epoch.covers -= 1),
        ("history_root", |epoch| epoch.history_root[31] ^= 1),
    ];
    for (field, bend) in cases {
        for batches in [0, 300] {
            let (mut forge, _) = small();
            bury(&mut forge, batches);
            let batch = forge.integrate(&Someone::new(50).1, forge.time_ms + 1_000);
            forge.take(batch, bend);
            bury(&mut forge, batches);
            convicts(&forge, "tree", "epoch", &format!("has a wrong {field}"));
        }
    }
}

#[test]
fn entries_that_no_log_may_hold_convict_it() {
    // Goal: what no format was, a head without its Epoch, a certificate that stands twice. Method: each in a log of its own.
    let (mut forge, _) = small();
    let time_ms = forge.time_ms + 1_000;
    forge.close(vec![vec![2; 88]], Default::default(), time_ms, |_| {});
    convicts(&forge, "tree", "entry", "is no valid entry");

    let (mut forge, _) = small();
    forge.append(vec![vec![9], vec![9, 9]]);
    convicts(&forge, "tree", "epoch", "the head of");

    let (mut forge, mut people) = small();
    let records = people[1].points_to([10, 9, 9, 9]);
    forge.batch(std::slice::from_ref(&records));
    bury(&mut forge, 3);
    let time_ms = forge.time_ms + 1_000;
    forge.close(vec![entry(&records)], Default::default(), time_ms, |_| {});
    bury(&mut forge, 2);
    convicts(&forge, "full", "entry", "is refused by the rules");
}

#[test]
fn rules_signatures_and_map_roots_convict_a_log_by_its_whole_history() {
    // Goal: what follows from all entries together convicts before a stranger too. Method: one lie a log, under further batches; one
    // that audits of level map find, others of level full alone.
    for (lie, what) in [
        (lies::map_lie as lies::Lie, "commits to another map"),
        (lies::forgotten, "commits to another map"),
        (lies::left_out, "commits to another map"),
        (lies::forbidden_claim, "is refused by the rules"),
        (lies::exchanged, "has a bad signature"),
        (lies::forged_signature, "has a bad signature"),
    ] {
        let (mut forge, mut people) = small();
        lie(&mut forge, &mut people);
        bury(&mut forge, 3);
        convicts(&forge, "full", "map", what);
    }
}

#[test]
fn what_a_later_format_may_be_convicts_nobody() {
    // Goal: a file never says more than it proves. Method: an entry type that is unknown here, in a log whose audit ends there.
    let (mut forge, _) = small();
    let time_ms = forge.time_ms + 1_000;
    forge.close(vec![vec![9, 1]], Default::default(), time_ms, |_| {});
    assert_eq!(verdict(&forge.export(), "map").exits(0).text("/code"), "proves_nothing");
}

//! An operator who signs what the rules forbid: every hash, tile and signature of the log is right, one thing in it is not. The
//! audit names the entry or the Epoch, at the level that recomputes it, and not below.

use identity::cert::{Certificate, ClaimProof, Seen};
use identity::state::{State, Subject};
use translog::batch::Change;
use translog::due::DueQueue;
use translog::entry::Entry;
use translog::logconf::LogConf;
use translog::note::LogSigner;

use super::export::{clean, convicted};
use super::forge::{Forge, entry, small};
use super::lies;
use super::people::{Someone, origin};

/// Honest batches after the lie, so that it lies in the middle.
fn bury(forge: &mut Forge) {
    for number in 90..93 {
        forge.batch(&Someone::new(number).1);
    }
}

/// Audits at all levels: clean below `level`, convicted from it on.
fn found_from(forge: &Forge, level: &str, code: &str, place: &str) {
    let export = forge.export();
    let levels = ["tree", "map", "full"];
    let from = levels.iter().position(|known| *known == level).unwrap();
    for (at, level) in levels.iter().enumerate() {
        match at < from {
            true => drop(clean(&export, level)),
            false => convicted(&export, level, code, place),
        }
    }
}

#[test]
fn an_honest_log_of_the_same_making_is_clean() {
    // Goal: what convicts below is the lie, not the forge. Method: the same log without one; the report counts all.
    let (mut forge, _) = small();
    bury(&mut forge);
    for level in ["tree", "map", "full"] {
        let report = clean(&forge.export(), level);
        assert_eq!(report["size"], forge.edge.size());
        assert_eq!(report["entries"], forge.edge.size());
        let labels = if level == "tree" { 0 } else { 2 + 2 * 7 };
        assert_eq!(report["labels"], labels, "the server, its LogConf, seven people with a name each");
    }
}

#[test]
fn a_map_leaf_that_the_entries_do_not_make_is_found() {
    // Goal: the operator gives a name to somebody else in the map alone. Method: one state changed in an otherwise honest batch.
    let (mut forge, people) = small();
    let mut batch = forge.integrate(&Someone::new(50).1, forge.time_ms + 1_000);
    let mut leaf = forge.leaf(&people[0].subject());
    let State::Name(name) = &mut leaf.state else { panic!("a name has a NameState") };
    (name.did, name.version) = (Some(people[1].did), name.version + 1);
    batch.changes.insert(people[0].subject(), Change::of(&people[0].subject(), leaf.into()));
    let k = batch.epoch.k;
    forge.take(batch, |_| {});
    let at = forge.edge.size() - 1;
    bury(&mut forge);
    found_from(&forge, "map", "map_root", &format!("Epoch {k} at entry {at}"));
}

#[test]
fn a_second_claim_of_a_name_is_found() {
    // Goal: a name cannot be taken by logging another claim. Method: mallory's claim of n00000, with the map as if it held.
    let (mut forge, people) = small();
    let (mut mallory, mut certificates) = Someone::new(66);
    certificates.push(mallory.claims(&people[0].name));
    let honest = forge.integrate(&certificates[..2], forge.time_ms + 1_000);
    let mut leaf = forge.leaf(&people[0].subject());
    let State::Name(name) = &mut leaf.state else { panic!("a name has a NameState") };
    (name.did, name.version) = (Some(mallory.did), name.version + 1);
    let mut changes = honest.changes;
    changes.insert(people[0].subject(), Change::of(&people[0].subject(), leaf.into()));
    let at = forge.edge.size() + 2;
    let entries = certificates.iter().map(|certificate| entry(&forge.countersigned(certificate))).collect();
    forge.close(entries, changes, honest.epoch.time_ms, |_| {});
    bury(&mut forge);
    found_from(&forge, "map", "refused", &format!("entry {at} is refused by the rules (name_taken)"));
}

#[test]
fn a_signature_that_does_not_hold_is_found() {
    // Goal: the operator cannot speak for a device. Method: a records certificate with one bit of its signature flipped; level
    // `map` recomputes no signature and says so by its name.
    let (mut forge, mut people) = small();
    let honest = people[2].points_to([10, 9, 9, 9]);
    let mut signatures = honest.signatures().to_vec();
    signatures[0].1[40] ^= 1;
    let forged = Certificate::assemble(honest.payload_bytes(), signatures).unwrap();
    let at = forge.edge.size();
    forge.batch(&[forged]);
    bury(&mut forge);
    found_from(&forge, "full", "signature", &format!("entry {at} has a bad signature (bad_signature)"));
}

#[test]
fn a_key_that_may_not_sign_is_found() {
    // Goal: no stranger's key stands behind an owner's statement. Method: mallory signs records in the name of n00002's owner.
    let (mut forge, mut people) = small();
    let mallory = Someone::new(66).0;
    let honest = people[2].points_to([10, 9, 9, 9]);
    let batch = forge.integrate(std::slice::from_ref(&honest), forge.time_ms + 1_000);
    let forged = Certificate::sign(honest.payload(), &origin(), &[&mallory.device]).unwrap();
    let at = forge.edge.size();
    forge.close(vec![entry(&forged)], batch.changes, batch.epoch.time_ms, |_| {});
    bury(&mut forge);
    found_from(&forge, "map", "signature", &format!("entry {at} has a bad signature (unknown_signer)"));
}

#[test]
fn the_word_of_a_revoked_notary_is_found() {
    // Goal: operator and notary together cannot go on once the notary is revoked. Method: a sign-in logged behind the revocation, with the
    // map as if it counted.
    let (mut forge, mut people) = small();
    lies::revoked_notary(&mut forge, &mut people);
    let at = forge.edge.size() - 2;
    bury(&mut forge);
    found_from(&forge, "map", "refused", &format!("entry {at} is refused by the rules (notary_revoked)"));
}

#[test]
fn each_wrong_field_of_an_epoch_is_found() {
    // Goal: time, number, cover and history follow from the log. Method: one field of one Epoch bent at a time; the hashes of
    // everything after it are right.
    type Bend = fn(&mut translog::entry::Epoch);
    let cases: [(&str, Bend); 6] = [
        ("time_ms", |epoch| epoch.time_ms -= 600_000),
        ("k", |epoch| epoch.k += 1),
        ("k", |epoch| epoch.k -= 1),
        ("covers", |epoch| epoch.covers += 1),
        ("covers", |epoch| epoch.covers -= 1),
        ("history_root", |epoch| epoch.history_root[31] ^= 1),
    ];
    for (field, bend) in cases {
        let (mut forge, _) = small();
        let batch = forge.integrate(&Someone::new(50).1, forge.time_ms + 1_000);
        let mut epoch = batch.epoch;
        forge.take(batch, bend);
        let at = forge.edge.size() - 1;
        bend(&mut epoch);
        bury(&mut forge);
        found_from(&forge, "tree", "epoch", &format!("Epoch {} at entry {at} has a wrong {field}", epoch.k));
    }
}

#[test]
fn a_head_that_was_never_there_is_found() {
    // Goal: a certificate signed over another version of the log shows that there is one. Method: `seen` of a size that was no
    // head, and of a head with another root.
    for seen in [Seen { size: 4, root: [7; 32] }, Seen { size: 3, root: [7; 32] }] {
        let (mut forge, mut people) = small();
        people[1].next.seen = seen;
        let certificate = people[1].points_to([10, 9, 9, 9]);
        let at = forge.edge.size();
        forge.batch(&[certificate]);
        bury(&mut forge);
        let place = format!("entry {at} was signed over a head of {} leaves", seen.size);
        found_from(&forge, "map", "seen", &place);
    }
}

#[test]
fn entries_that_no_log_may_hold_are_found() {
    // Goal: the log holds nothing that readers would skip or read twice. Method: a type that does not exist; a certificate that
    // is no CBOR; one that is not canonical; another log key's LogConf.
    let stranger = LogSigner::new(origin().as_str(), identity::key::SigningKey::from_seed(&[9; 32])).unwrap();
    let certificate = Someone::new(77).1.remove(0);
    let mut spelled_wider = entry(&certificate);
    assert_eq!(spelled_wider[2], 1, "the format of an envelope");
    spelled_wider.splice(2..3, [0x18, 1]);
    let (forge, _) = small();
    let Entry::LogConf(conf) = Entry::decode(&forge.entries[1]).unwrap() else { panic!("entry 1 is the LogConf") };
    let mut next = conf.conf().clone();
    (next.seq, next.prev, next.log_keys) = (1, Some(conf.sid()), vec![stranger.verifier_key().clone()]);
    let next = LogConf::sign(&next, &[&forge.words().identity()]).unwrap();
    for (bytes, code) in [
        (vec![9, 1, 2, 3], "bad_entry"),
        (vec![1, 0xff, 0xff], "bad_cbor"),
        (spelled_wider, "not_canonical"),
        (Entry::LogConf(next).encode(), "logconf_unsigned"),
    ] {
        let mut forge = forge.clone();
        let at = forge.edge.size();
        let time_ms = forge.time_ms + 1_000;
        forge.close(vec![bytes], Default::default(), time_ms, |_| {});
        bury(&mut forge);
        found_from(&forge, "map", "entry", &format!("entry {at} is no valid entry ({code}"));
    }
}

#[test]
fn a_head_that_ends_in_no_epoch_is_found() {
    // Goal: every head ends in its Epoch. Method: a head signed over two entries too many.
    let (mut forge, _) = small();
    forge.append(vec![vec![9], vec![9, 9]]);
    let size = forge.edge.size();
    convicted(&forge.export(), "tree", "last_leaf", &format!("the head of {size} leaves"));
}

#[test]
fn a_signed_root_that_the_entries_do_not_give_is_found() {
    // Goal: the signature is over these entries or none. Method: another root; a smaller and a larger size than there is.
    let (forge, _) = small();
    let (size, root) = (forge.edge.size(), forge.edge.root());
    convicted(&forge.export_signed(size, [7; 32]), "full", "root", &format!("the signed root of {size} leaves"));
    let mut short = forge.export_signed(size - 1, root);
    let entries = forge.entries[..forge.entries.len() - 1].to_vec();
    let id = translog::tile::BundleId::new(0, entries.len() as u16).unwrap();
    short.put_bundle(id, &entries);
    convicted(&short, "full", "root", &format!("the signed root of {} leaves", size - 1));
}

#[test]
fn a_pending_act_that_was_never_settled_is_found() {
    // Goal: an operator cannot let a due act lie. Method: a release whose window of a second is over at the next batch, which
    // settles nothing.
    let (mut forge, mut people) = small();
    let owner = &mut people[0];
    let release = owner.says(identity::cert::Body::Transfer { name: owner.name.clone(), to: None });
    forge.batch(&[release]);
    let later = forge.time_ms + 400 * 86_400_000;
    let honest = forge.integrate(&[], later);
    assert!(honest.changes.contains_key(&owner.subject()), "the release settles");
    let lazy = forge.integrate_with_dues(&[], later, &DueQueue::new());
    let k = lazy.epoch.k;
    forge.take(lazy, |_| {});
    let at = forge.edge.size() - 1;
    found_from(&forge, "map", "map_root", &format!("Epoch {k} at entry {at}"));
}

#[test]
fn an_act_settled_before_its_time_is_found() {
    // Goal: nor can the operator cut a window short. Method: the states a release makes when due, put into the map a day early.
    let (mut forge, mut people) = small();
    let owner = &mut people[0];
    let release = owner.says(identity::cert::Body::Transfer { name: owner.name.clone(), to: None });
    forge.batch(&[release]);
    let due = forge.integrate(&[], forge.time_ms + 400 * 86_400_000);
    assert!(due.changes.contains_key(&owner.subject()), "the release settles");
    let time_ms = forge.time_ms + 1;
    forge.close(Vec::new(), due.changes, time_ms, |_| {});
    let at = forge.edge.size() - 1;
    found_from(&forge, "map", "map_root", &format!("at entry {at}"));
}

#[test]
fn a_claim_the_operator_did_not_ask_work_for_is_found() {
    // Goal: the logged terms bind the operator too. Method: a claim whose nonce does no work, countersigned all the same.
    let (mut forge, _) = small();
    let (mut friend, certificates) = Someone::new(50);
    forge.batch(&certificates);
    let nonce = (0..).find(|nonce| {
        identity::pow::leading_zero_bits(&identity::pow::work("cheap.dgns.test", &friend.did, *nonce)) == 0
    });
    let cheap = dgns_client::draft::claim("cheap.dgns.test", ClaimProof::Open { nonce: nonce.unwrap(), bits: 1 });
    let cheap = friend.says(cheap);
    let mut leaf = forge.leaf(&friend.subject());
    if let State::Name(name) = &mut leaf.state {
        name.name = "cheap.dgns.test".into();
    }
    let at = forge.edge.size();
    let subject = Subject::Name("cheap.dgns.test".into());
    let changes = [(subject.clone(), Change::of(&subject, leaf.into()))].into();
    let time_ms = forge.time_ms + 1_000;
    forge.close(vec![entry(&forge.countersigned(&cheap))], changes, time_ms, |_| {});
    found_from(&forge, "map", "refused", &format!("entry {at} is refused by the rules ("));
}

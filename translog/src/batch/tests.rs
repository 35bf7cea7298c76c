use identity::cert::Body;
use identity::state::NameStatus;

use super::fixture::{START_MS, Someone, TestLog, log_key, posts_of};
use super::*;
use crate::notice::StatementKind;

fn codes(batch: &Batch) -> Vec<String> {
    let code = |outcome: &Outcome| match outcome {
        Outcome::Accepted { first_index } => format!("at {first_index}"),
        Outcome::Refused { position, refusal } => format!("{position} {}", refusal.code()),
        Outcome::Deferred => "deferred".into(),
    };
    batch.outcomes.iter().map(code).collect()
}

fn status(batch: &Batch, someone: &Someone) -> Option<NameStatus> {
    match &batch.changes.get(&someone.subject())?.leaf.state {
        State::Name(name) => Some(name.status),
        _ => None,
    }
}

#[test]
fn a_post_is_all_or_nothing() {
    // Goal: what is refused changes nothing, and the rest goes on side by side. Method: a genesis that holds, with a claim of a
    // taken name behind it, between two good posts.
    let mut log = TestLog::new();
    log.append(&[Someone::new(1).1]);
    let (mallory, taken) = Someone::claiming(2, "n0001.dgns.test");
    let posts = [Someone::new(3).1, taken, Someone::new(4).1];
    let batch = log.integrate(&posts, log.time_ms + 1);
    let first = log.edge.size();
    assert_eq!(codes(&batch), [format!("at {first}"), "1 name_taken".into(), format!("at {}", first + 2)]);
    assert_eq!(batch.entries.len(), 5, "two posts of two and the Epoch");
    assert!(!batch.changes.contains_key(&Subject::Did(mallory.did)), "the genesis left nothing");
    assert!(batch.chain.iter().all(|row| row.subject != Subject::Did(mallory.did)));
}

#[test]
fn notices_take_places_in_the_log_and_change_no_state() {
    // Goal: a Notice stands between certificates like any entry. Method: one beside a post, then one alone.
    let log = TestLog::new();
    let words = |text| SoundNotice::statement(StatementKind::Operator, "dgns.test/log", text).unwrap();
    let (_, certificates) = Someone::new(1);
    let posts = [&[Post::notice(words("one"))][..], &posts_of(&[certificates])[..]].concat();
    let now_ms = log.time_ms + 1;
    let batch = integrate(&log.view(), log.world_for(&posts, now_ms), &posts, now_ms);
    let first = log.edge.size();
    assert_eq!(codes(&batch), [format!("at {first}"), format!("at {}", first + 1)]);
    assert_eq!(batch.entries[0], Entry::Notice(words("one").notice().clone()).encode());
    assert_eq!(batch.chain.iter().map(|row| row.index).collect::<Vec<_>>(), [first + 1, first + 2]);

    let alone = [Post::notice(words("two"))];
    let batch = integrate(&log.view(), log.world_for(&alone, now_ms), &alone, now_ms);
    assert_eq!((batch.entries.len(), batch.changes.len(), batch.epoch.covers), (2, 0, first + 1));
}

#[test]
fn of_two_claims_in_one_batch_the_first_holds() {
    // Goal: order decides, within a batch too. Method: two people claim one name side by side; then a repeat and a fork of a chain.
    let log = TestLog::new();
    let (mut alice, certificates) = Someone::new(1);
    let (_, late) = Someone::claiming(2, &alice.name);
    let batch = log.integrate(&[certificates.clone(), late, certificates.clone()], log.time_ms + 1);
    let first = log.edge.size();
    assert_eq!(codes(&batch), [format!("at {first}"), "1 name_taken".into(), "0 did_exists".into()]);
    let (mut twin, _) = Someone::new(1);
    let (records, fork) = (alice.points_to(1), twin.points_to(2));
    let batch = log.integrate(&[certificates, vec![records], vec![fork]], log.time_ms + 1);
    assert_eq!(codes(&batch)[1..], [format!("at {}", first + 2), "0 stale_prev".into()]);
    let Body::Records(records) = &batch.answers[&alice.name] else { panic!("records") };
    assert_eq!(records.rows[0].rdata, [10, 0, 0, 1]);
}

#[test]
fn an_epoch_ends_every_batch_and_time_never_goes_back() {
    // Goal: PROTOCOL 7.2. Method: an empty batch and a full one, the second by a clock that went back a day.
    let mut log = TestLog::new();
    assert_eq!(log.time_ms, START_MS + 1_000);
    let empty = log.integrate(&[], log.time_ms + 7);
    assert_eq!((empty.entries.len(), empty.epoch.time_ms), (1, log.time_ms + 7));
    assert_eq!(empty.epoch.map_root, log.view().map.root(), "nothing changed");
    log.take(empty);
    let back = log.integrate(&[Someone::new(1).1], log.time_ms - 86_400_000);
    assert_eq!(back.epoch.time_ms, log.time_ms);
    assert_eq!((back.epoch.k, back.epoch.covers), (3, log.edge.size() + 2));
    assert_eq!(back.epoch.history_root, log.view().history.root());
    assert_eq!(Epoch::decode(back.entries.last().unwrap()), Ok(back.epoch));
    assert_eq!(back.edge.last_leaf(), back.leaf_hashes.last());
    assert_eq!((back.size(), back.root()), (log.edge.size() + 3, back.edge.root()));
}

#[test]
fn a_post_whose_states_are_unknown_waits() {
    // Goal: what cannot be judged is not judged. Method: a world in which nothing was loaded; the same post with all loaded.
    let log = TestLog::new();
    let posts = posts_of(&[Someone::new(1).1]);
    let batch = integrate(&log.view(), log.empty_world(), &posts, log.time_ms);
    assert_eq!(codes(&batch), ["deferred"]);
    assert_eq!((batch.entries.len(), batch.changes.len()), (1, 0));
    let batch = integrate(&log.view(), log.world_for(&posts, log.time_ms), &posts, log.time_ms);
    assert_eq!(codes(&batch), [format!("at {}", log.edge.size())]);
}

#[test]
fn a_full_batch_leaves_the_rest_for_the_next() {
    // Goal: a batch has at most 4,096 entries besides its Epoch, and no post is cut. Method: posts of two up to that bound; with
    // one entry left free, a post of two does not fit and nothing behind it is taken.
    let log = TestLog::new();
    let (mut alice, mut certificates) = Someone::new(1);
    let mut posts = vec![std::mem::take(&mut certificates)];
    posts.extend((0..BATCH_ENTRIES_MAX - 3).map(|n| vec![alice.points_to(n as u8)]));
    posts.push(vec![alice.points_to(1), alice.points_to(2)]);
    posts.push(vec![alice.points_to(3)]);
    let batch = log.integrate(&posts, log.time_ms + 1);
    assert_eq!(batch.outcomes.len(), posts.len() - 2);
    assert_eq!(batch.entries.len(), BATCH_ENTRIES_MAX - 1 + 1);
}

#[test]
fn what_is_due_settles_before_anything_else() {
    // Goal: a batch sees the states of its own time. Method: two releases that fall due; in the batch after their window the owner
    // of one has lost it before a certificate of hers is judged, and a batch before it settles nothing.
    let mut log = TestLog::new();
    let (mut alice, certificates) = Someone::new(1);
    let (mut bob, others) = Someone::new(2);
    log.append(&[certificates, others]);
    log.append(&[vec![bob.releases()]]);
    log.append(&[vec![alice.releases()]]);
    let due = log.view().dues.earliest_ms().unwrap();
    let before = log.integrate(&[], due - 1);
    assert!(before.changes.is_empty());
    let first = log.integrate(&[], due);
    assert_eq!(status(&first, &bob), Some(NameStatus::Held), "due at this very millisecond");
    assert_eq!(status(&first, &alice), None, "a second later");
    let late = log.integrate(&[vec![alice.points_to(9)]], due + 1_000);
    assert_eq!(codes(&late), ["0 not_name_owner"]);
    assert_eq!(status(&late, &alice), Some(NameStatus::Held));
    assert_eq!(status(&late, &bob), Some(NameStatus::Held));
    assert_eq!(late.entries.len(), 1);
}

#[test]
fn wants_names_what_the_decision_reads_and_no_more_once_it_is_there() {
    // Goal: plan, load, apply. Method: the subjects of a claim in an empty world; none in a filled one.
    let log = TestLog::new();
    let (alice, certificates) = Someone::new(1);
    let posts = posts_of(&[certificates]);
    let missing = wants(&log.view(), &log.empty_world(), &posts, log.time_ms);
    assert!(missing.contains(&alice.subject()) && missing.contains(&Subject::Did(alice.did)), "{missing:?}");
    let world = log.world_for(&posts, log.time_ms);
    assert!(wants(&log.view(), &world, &posts, log.time_ms).is_empty());
    assert!(matches!(posts[0].certificates[1].certificate().payload().body, Body::Claim(_)));
}

#[test]
fn a_logconf_changes_the_log_s_own_label_and_nothing_else() {
    // Goal: PROTOCOL 7.3, 10.2. Method: a rotation while nobody's act is due; entries, label, chain row.
    let mut log = TestLog::new();
    let (batch, succession) = log.reconfigure(|conf| conf.log_keys.push(log_key(1)), &[0, 1], true).unwrap();
    assert_eq!(succession, Succession::Linked);
    assert_eq!(batch.entries.len(), 2, "the LogConf and its Epoch");
    let Entry::LogConf(conf) = Entry::decode(&batch.entries[0]).unwrap() else { panic!("a LogConf") };
    let index = log.edge.size();
    assert_eq!(batch.chain, [ChainRow { subject: Subject::LogConf, seq: 1, index, sid: conf.sid() }]);
    let leaf = &batch.changes[&Subject::LogConf].leaf;
    assert_eq!((batch.changes.len(), leaf.head_index, leaf.head_hash, leaf.version()), (1, index, conf.sid(), 2));
    log.take(batch);
    let (batch, _) = log.reconfigure(|conf| drop(conf.log_keys.remove(0)), &[0], true).unwrap();
    assert_eq!(batch.changes[&Subject::LogConf].leaf.version(), 3);
}

#[test]
fn a_logconf_that_does_not_hold_makes_no_batch() {
    // Goal: each refusal of PROTOCOL 7.3 before anything is made. Method: signatures left out, another server, a seq left out.
    let log = TestLog::new();
    let refused = |edit: &dyn Fn(&mut Conf), log_keys: &[u64], identity| {
        log.reconfigure(|conf| edit(conf), log_keys, identity).map(|(_, succession)| succession).map_err(|e| e.code())
    };
    let add = |conf: &mut Conf| conf.log_keys.push(log_key(1));
    assert_eq!(refused(&add, &[0, 1], false), Err("logconf_unsigned"));
    assert_eq!(refused(&add, &[0], true), Err("logconf_unsigned"));
    assert_eq!(refused(&add, &[0, 1, 2], true), Err("unknown_signer"));
    assert_eq!(refused(&|conf| conf.seq += 1, &[0], true), Err("logconf_chain"));
    assert_eq!(refused(&|conf| conf.prev = Some([1; 32]), &[0], true), Err("logconf_chain"));
    assert_eq!(refused(&|conf| conf.server = Someone::new(1).0.did, &[0], true), Err("logconf_chain"));
    assert_eq!(refused(&|conf| conf.log_keys = vec![log_key(1)], &[1], true), Ok(Succession::Repin));
}

#[test]
fn an_anchor_follows_the_one_before_or_is_no_part_of_the_log() {
    // Goal: the operator can neither skip, repeat nor replace an anchor. Method: the first and second taken; then one that goes on
    // from the first again, one of a tree with fewer logs, and a gap.
    let mut log = TestLog::new();
    let first = Anchor { k: 1, prev: None, root: [1; 32], logs: 3 };
    let second = Anchor { k: 2, prev: Some(first.hash()), root: [2; 32], logs: 4 };
    for anchor in [&first, &second] {
        let batch = log.integrate_post(Post::anchor(anchor.clone()), log.time_ms + 1);
        assert_eq!(batch.outcomes, [Outcome::Accepted { first_index: batch.first_index }]);
        assert_eq!(batch.changes[&Subject::Anchors].leaf.version(), anchor.k);
        log.take(batch);
    }
    let third = Anchor { k: 3, prev: Some(second.hash()), root: [3; 32], logs: 4 };
    let broken = [
        second.clone(),
        Anchor { prev: Some(first.hash()), ..third.clone() },
        Anchor { logs: 3, ..third.clone() },
        Anchor { k: 4, ..third.clone() },
    ];
    for anchor in broken {
        let batch = log.integrate_post(Post::anchor(anchor), log.time_ms + 1);
        assert!(matches!(batch.outcomes[..], [Outcome::Refused { position: 0, .. }]));
        assert!(!batch.changes.contains_key(&Subject::Anchors));
    }
    let batch = log.integrate_post(Post::anchor(third), log.time_ms + 1);
    assert!(matches!(batch.outcomes[..], [Outcome::Accepted { .. }]));
}

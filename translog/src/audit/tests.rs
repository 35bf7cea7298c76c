use std::collections::BTreeMap;

use identity::cert::Certificate;

use super::*;
use crate::batch::fixture::{Someone, TestLog, log_key};
use crate::batch::{self, Post};
use crate::bundle;
use crate::entry::{Entry, EntryKind, NoticeKind};
use crate::hash::leaf_hash;
use crate::notice::{SoundNotice, StatementKind};

/// A log of some batches, wider than one tile, and its files.
struct Served {
    log: TestLog,
    files: BTreeMap<String, Vec<u8>>,
}

impl Served {
    fn new(log: TestLog) -> Self {
        let (mut right, mut history) = (RightTiles::new(), RightTiles::new());
        let mut files = BTreeMap::new();
        let mut put = |tree, tile: Tile| files.insert(Want::Tile(tree, tile.id()).path(), tile.encode());
        for entry in &log.entries {
            right.append(leaf_hash(entry)).into_iter().for_each(|tile| drop(put(Tree::Log, tile)));
            if entry[0] == EntryKind::Epoch as u8 {
                history.append(leaf_hash(entry)).into_iter().for_each(|tile| drop(put(Tree::History, tile)));
            }
        }
        right.partials().for_each(|tile| drop(put(Tree::Log, tile)));
        history.partials().for_each(|tile| drop(put(Tree::History, tile)));
        for id in crate::tile::bundles_for(0, log.edge.size()) {
            let entries = &log.entries[id.first_entry() as usize..][..usize::from(id.width())];
            files.insert(id.to_string(), bundle::encode(entries.iter().map(Vec::as_slice)));
        }
        Self { log, files }
    }

    fn target(&self) -> Target {
        Target { size: self.log.edge.size(), root: self.log.edge.root() }
    }

    fn audit(&self, level: Level) -> Result<Auditor, AuditFault> {
        let mut auditor = Auditor::new(&self.log.origin, level, self.target());
        self.drive(&mut auditor, |_| {})?;
        Ok(auditor)
    }

    /// Feeds an auditor to its end; `after` sees it after each step.
    fn drive(&self, auditor: &mut Auditor, mut after: impl FnMut(&Auditor)) -> Result<(), AuditFault> {
        while let Some(want) = auditor.wants(1).first().cloned() {
            auditor.feed(&want, &self.files[&want.path()])?;
            auditor.take_checks().verify(&[1; 32])?;
            after(auditor);
        }
        assert!(auditor.is_through());
        Ok(())
    }
}

/// A log of 300 and some entries: people with names, one of whom changes records again and again.
fn served() -> Served {
    let mut log = TestLog::new();
    let (mut alice, certificates) = Someone::new(1);
    log.append(&[certificates, Someone::new(2).1]);
    for round in 0..25 {
        let posts: Vec<Vec<Certificate>> = (0..11).map(|n| vec![alice.points_to(round * 8 + n)]).collect();
        log.append(&posts);
    }
    Served::new(log)
}

#[test]
fn an_honest_log_is_through_at_every_level() {
    // Goal: nothing is asked for but the log's files, and all of them are. Method: replay, and count what was wanted.
    let served = served();
    assert!(served.log.edge.size() > 300);
    for level in [Level::Tree, Level::Map, Level::Full] {
        let mut auditor = Auditor::new(&served.log.origin, level, served.target());
        let mut wanted = std::collections::BTreeSet::new();
        while let Some(want) = auditor.wants(3).first().cloned() {
            wanted.insert(want.path());
            auditor.feed(&want, &served.files[&want.path()]).unwrap();
        }
        assert!(auditor.is_through());
        assert!(wanted.iter().eq(served.files.keys()), "{wanted:?}");
        assert_eq!(auditor.progress(), (served.target().size, served.target().size));
        assert_eq!(auditor.epoch().map(|epoch| epoch.time_ms), Some(served.log.time_ms));
        assert_eq!(
            auditor.replay().map_or(0, Replay::labels),
            if level == Level::Tree { 0 } else { served.log.states.len() }
        );
        assert_eq!(auditor.take_checks().is_empty(), level != Level::Full);
    }
}

#[test]
fn what_was_read_beside_the_replay_is_replayed_as_what_was_fed() {
    // Goal: reading ahead, in any order and for a higher level, changes nothing. Method: every file read at first, the last one first;
    // an honest log, and one file after another cut, lengthened and changed.
    let mut served = served();
    let mut wants = Vec::new();
    let mut auditor = Auditor::new(&served.log.origin, Level::Full, served.target());
    while let Some(want) = auditor.wants(1).first().cloned() {
        auditor.feed(&want, &served.files[&want.path()]).unwrap();
        wants.push(want);
    }
    let ends = |auditor: &Auditor| (auditor.progress(), auditor.replay().map(Replay::labels), auditor.is_through());
    let plain = |served: &Served, level| {
        let mut auditor = Auditor::new(&served.log.origin, level, served.target());
        while let Some(want) = auditor.wants(1).first().cloned() {
            auditor.feed(&want, &served.files[&want.path()])?;
        }
        Ok::<_, AuditFault>(ends(&auditor))
    };
    let ahead = |served: &Served, level| {
        let read = |want: &Want| (want.path(), Received::of(want, &served.files[&want.path()], Level::Full));
        let mut reads: BTreeMap<_, _> = wants.iter().rev().map(read).collect();
        let mut auditor = Auditor::new(&served.log.origin, level, served.target());
        while let Some(want) = auditor.wants(1).first() {
            auditor.feed_received(reads.remove(&want.path()).unwrap())?;
        }
        Ok::<_, AuditFault>(ends(&auditor))
    };
    for level in [Level::Tree, Level::Map, Level::Full] {
        assert_eq!(ahead(&served, level), plain(&served, level));
        assert!(ahead(&served, level).is_ok());
    }
    for path in served.files.keys().cloned().collect::<Vec<_>>() {
        let honest = served.files[&path].clone();
        let mut changed = honest.clone();
        changed[honest.len() / 2] ^= 1;
        for spoiled in [honest[1..].to_vec(), [&honest[..], &[0]].concat(), changed] {
            served.files.insert(path.clone(), spoiled);
            for level in [Level::Tree, Level::Full] {
                let fault = ahead(&served, level).unwrap_err();
                assert_eq!(Err(fault), plain(&served, level), "{path}");
            }
        }
        served.files.insert(path, honest);
    }
}

#[test]
fn a_state_kept_in_memory_is_the_one_that_was_encoded() {
    // Goal: leaving the look for canonical bytes out loses nothing. Method: every state of a log, both ways.
    let served = served();
    assert!(served.log.states.len() > 4);
    for (subject, leaf) in &served.log.states {
        let (kind, bytes) = (crate::map::LabelKind::of(subject), leaf.state.encode());
        assert_eq!(kind.decode_kept_state(&bytes).as_ref(), Ok(&leaf.state));
        assert_eq!(kind.decode_kept_state(&bytes), kind.decode_state(&bytes));
    }
}

#[test]
fn an_audit_goes_on_from_wherever_it_was_saved() {
    // Goal: stopped anywhere, it ends the same. Method: save after every step where that is possible, resume each, finish; and
    // the same log grown further.
    let served = served();
    let mut grown = served.log.clone();
    grown.append(&[Someone::new(3).1]);
    let grown = Served::new(grown);
    for level in [Level::Tree, Level::Map, Level::Full] {
        let mut saved = Vec::new();
        let mut auditor = Auditor::new(&served.log.origin, level, served.target());
        saved.extend(auditor.save());
        served.drive(&mut auditor, |auditor| saved.extend(auditor.save())).unwrap();
        assert!(saved.len() >= 2, "at the beginning and at the end");
        let whole = grown.audit(level).unwrap();
        for bytes in saved {
            let mut resumed = Auditor::resume(&grown.log.origin, &bytes).unwrap();
            assert_eq!(resumed.level(), level);
            resumed.follow(grown.target()).unwrap();
            grown.drive(&mut resumed, |_| {}).unwrap();
            assert_eq!(resumed.epoch(), whole.epoch());
            let states =
                |auditor: &Auditor| auditor.replay().map(|replay| replay.commitments().collect::<BTreeMap<_, _>>());
            assert_eq!(states(&resumed), states(&whole));
            assert_eq!(resumed.replay().map(Replay::heads), whole.replay().map(Replay::heads));
        }
    }
}

#[test]
fn a_saved_audit_knows_its_own_log_again() {
    // Goal: what was audited stays. Method: from one saved audit on to another root of its size, a smaller head, a fork beyond.
    let served = served();
    let bytes = served.audit(Level::Map).unwrap().save().unwrap();
    let resume = || Auditor::resume(&served.log.origin, &bytes).unwrap();
    let size = served.target().size;
    assert_eq!(resume().follow(Target { size, root: [7; 32] }), Err(AuditFault::Inconsistent { size }));
    let smaller = Target { size: size - 1, root: served.target().root };
    assert_eq!(resume().follow(smaller), Err(AuditFault::Shrunk { size: size - 1, known: size }));
    assert!(resume().is_through());
    let mut fork = TestLog::new();
    let (mut bob, certificates) = Someone::new(5);
    fork.append(&[certificates]);
    for round in 0..30 {
        fork.append(&(0..11).map(|n| vec![bob.points_to(round * 8 + n)]).collect::<Vec<_>>());
    }
    let fork = Served::new(fork);
    assert!(fork.target().size > size);
    let mut resumed = resume();
    resumed.follow(fork.target()).unwrap();
    assert!(fork.drive(&mut resumed, |_| {}).is_err());
}

#[test]
fn a_head_met_earlier_must_be_passed() {
    // Goal: an audit from the first entry is held to what the client remembers. Method: an honest head, another root, a size that
    // was no head, a size beyond.
    let served = served();
    let audit = |size, root| {
        let mut auditor = Auditor::new(&served.log.origin, Level::Tree, served.target());
        auditor.remember(Target { size, root });
        served.drive(&mut auditor, |_| {})
    };
    let whole = served.audit(Level::Map).unwrap();
    for (size, root) in whole.replay().unwrap().heads() {
        assert_eq!(audit(*size, *root), Ok(()));
        assert_eq!(audit(*size, [7; 32]), Err(AuditFault::Inconsistent { size: *size }));
    }
    let size = served.target().size;
    assert_eq!(audit(size + 1, [7; 32]), Err(AuditFault::Shrunk { size, known: size + 1 }));
}

#[test]
fn no_damaged_byte_of_a_saved_audit_is_read() {
    // Goal: progress is whole or refused. Method: every byte flipped, every length cut, of a small one.
    let served = Served::new(TestLog::new());
    let bytes = served.audit(Level::Full).unwrap().save().unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        assert_eq!(Auditor::resume(&served.log.origin, &damaged).err(), Some(SavedError), "byte {at}");
        assert_eq!(Auditor::resume(&served.log.origin, &bytes[..at]).err(), Some(SavedError), "cut at {at}");
    }
}

#[test]
fn changed_bytes_are_told_from_a_lying_log() {
    // Goal: where the tile knows another entry, the entry was changed on its way; where it agrees, the log says so itself. Method:
    // an entry changed alone, then with its tile; and an auditor who cannot get that tile.
    let mut served = served();
    let at = 40;
    let mut entries = served.log.entries.clone();
    entries[at] = vec![9, 9];
    let bundle = bundle::encode(entries[..256].iter().map(Vec::as_slice));
    served.files.insert("tile/entries/000".into(), bundle.clone());
    let fault = served.audit(Level::Full).unwrap_err();
    assert_eq!(fault, AuditFault::Tile { path: "tile/0/000".into(), hash: Some(at as u64) });

    let mut auditor = Auditor::new(&served.log.origin, Level::Full, served.target());
    let want = auditor.wants(1)[0].clone();
    auditor.feed(&want, &bundle).unwrap();
    let entry = AuditFault::Entry { index: at as u64, code: "bad_entry" };
    assert_eq!(auditor.suspicion(), Some(&entry));
    assert_eq!(auditor.wants(8), [Want::Tile(Tree::Log, TileId::new(0, 0, 256).unwrap())], "nothing else matters");
    assert_eq!(auditor.skip_tile(), Err(entry.clone()));

    served.files.get_mut("tile/0/000").unwrap()[at * 32..][..32].copy_from_slice(&leaf_hash(&[9, 9]));
    assert_eq!(served.audit(Level::Full).unwrap_err(), entry);
    let tile = AuditFault::Tile { path: format!("tile/1/000.p/{}", served.target().size / 256), hash: Some(0) };
    assert_eq!(served.audit(Level::Tree).unwrap_err(), tile, "the tree alone names the bundle");
}

#[test]
fn a_notice_with_evidence_that_does_not_hold_is_named() {
    // Goal: a log may repeat only what was proved. Method: a Notice by a log itself, sound and made up.
    let with_notice = |bend: &dyn Fn(&mut crate::entry::Notice)| {
        let mut log = TestLog::new();
        let words = SoundNotice::statement(StatementKind::Operator, "dgns.test/log", "hello").unwrap();
        let posts = [Post::notice(words)];
        let now_ms = log.time_ms + 1;
        let mut batch = batch::integrate(&log.view(), log.world_for(&posts, now_ms), &posts, now_ms);
        let Ok(Entry::Notice(mut notice)) = Entry::decode(&batch.entries[0]) else { unreachable!() };
        bend(&mut notice);
        let mut edge = log.edge.clone();
        batch.entries[0] = Entry::Notice(notice).encode();
        batch.entries.iter().for_each(|entry| edge.append(leaf_hash(entry)));
        batch.edge = edge;
        log.take(batch);
        Served::new(log).audit(Level::Map).map(drop)
    };
    assert_eq!(with_notice(&|_| ()), Ok(()));
    let fault = |code| Err(AuditFault::Entry { index: 5, code });
    assert_eq!(with_notice(&|notice| notice.evidence_hash[0] ^= 1), fault("evidence_hash"));
    assert_eq!(with_notice(&|notice| notice.kind = NoticeKind::LogFork), fault("bad_evidence"));
}

#[test]
fn one_bad_signature_among_hundreds_names_its_entry() {
    // Goal: batches of signatures find the single one. Method: one bit of one signature, at several places of the log.
    for at in [7_usize, 150, 250] {
        let mut served = served();
        let index = (at..).find(|index| served.log.entries[*index][0] == 1).unwrap();
        *served.log.entries[index].last_mut().unwrap() ^= 1;
        let log = &mut served.log;
        log.edge = crate::tree::Edge::new();
        log.entries.iter().for_each(|entry| log.edge.append(leaf_hash(entry)));
        let forged = Served::new(log.clone());
        for singly in [false, true] {
            let mut auditor = Auditor::new(&forged.log.origin, Level::Full, forged.target());
            let mut checks = Checks::default();
            while let Some(want) = auditor.wants(1).first().cloned() {
                auditor.feed(&want, &forged.files[&want.path()]).unwrap();
                checks.append(auditor.take_checks());
            }
            assert!(checks.len() > 256);
            let expected = AuditFault::Signature { index: index as u64, code: "bad_signature" };
            let verified = if singly { checks.verify_singly() } else { checks.verify(&[1; 32]) };
            assert_eq!(verified, Err(expected));
        }
        assert!(forged.audit(Level::Map).is_ok(), "rules and map hold: only the signature does not");
    }
}

#[test]
fn a_map_rebuilt_beside_the_replay_finds_what_it_would() {
    // Goal: on another thread the roots are the same, and a wrong one is named or laid at the door of bytes changed on their way.
    // Method: an honest log; one whose Epoch lies about the map, with and without the tile that goes with it.
    let parted = |served: &Served| {
        let mut auditor = Auditor::new(&served.log.origin, Level::Map, served.target());
        let mut roots = auditor.part_map().unwrap();
        assert!(auditor.part_map().is_none());
        let mut steps = 0;
        while let Some(want) = auditor.wants(1).first().cloned() {
            auditor.feed(&want, &served.files[&want.path()])?;
            let made = auditor.take_steps();
            steps += made.len();
            if let Err(fault) = made.into_iter().try_for_each(|step| roots.take(step)) {
                auditor.suspect(fault)?;
            }
        }
        assert!(auditor.is_through());
        Ok::<usize, AuditFault>(steps)
    };
    let honest = served();
    assert_eq!(parted(&honest), Ok(honest.audit(Level::Map).unwrap().replay().unwrap().heads().len()));

    let lying = |at: usize| {
        let mut log = honest.log.clone();
        let at = (at..).find(|index| log.entries[*index][0] == EntryKind::Epoch as u8).unwrap();
        let mut epoch = Epoch::decode(&log.entries[at]).unwrap();
        epoch.map_root[0] ^= 1;
        log.entries[at] = epoch.encode().to_vec();
        log.edge = crate::tree::Edge::new();
        log.entries.iter().for_each(|entry| log.edge.append(leaf_hash(entry)));
        (Served::new(log), AuditFault::MapRoot { k: epoch.k, index: at as u64 })
    };
    let last = honest.log.entries.len() - 1;
    for at in [100, last] {
        let (mut lied, fault) = lying(at);
        if at == last {
            assert_eq!(parted(&lied), Err(fault.clone()), "the last Epoch: no history root after it is wrong too");
        }
        assert_eq!(lied.audit(Level::Map).unwrap_err(), fault);
        let tile =
            lied.files.keys().find(|path| path.starts_with(if at == last { "tile/0/001" } else { "tile/0/000" }));
        let tile = tile.unwrap().clone();
        let honest_tile = honest.files[&tile].clone();
        lied.files.insert(tile.clone(), honest_tile);
        let AuditFault::MapRoot { index, .. } = fault else { unreachable!() };
        assert_eq!(parted(&lied).unwrap_err(), AuditFault::Tile { path: tile, hash: Some(index) });
    }
}

#[test]
fn each_fault_has_its_code() {
    // Goal: the codes are pinned. Method: all of them.
    let faults = [
        AuditFault::Bundle { path: String::new() },
        AuditFault::Tile { path: String::new(), hash: None },
        AuditFault::Entry { index: 0, code: "" },
        AuditFault::Refused { index: 0, refusal: identity::rules::Refusal::NameTaken },
        AuditFault::Signature { index: 0, code: "" },
        AuditFault::Seen { index: 0, size: 0 },
        AuditFault::Epoch { k: 0, index: 0, code: "" },
        AuditFault::MapRoot { k: 0, index: 0 },
        AuditFault::Root { size: 0 },
        AuditFault::LastLeaf { size: 0 },
        AuditFault::Inconsistent { size: 0 },
        AuditFault::Shrunk { size: 0, known: 0 },
    ];
    let codes = faults.map(|fault| fault.code());
    let pinned = [
        "bundle",
        "tile",
        "entry",
        "refused",
        "signature",
        "seen",
        "epoch",
        "map_root",
        "root",
        "last_leaf",
        "inconsistent",
        "rollback",
    ];
    assert_eq!(codes, pinned);
}

#[test]
fn an_audit_follows_a_rotation_and_names_a_repin() {
    // Goal: which keys sign now is replayed like everything else; keys replaced by the identity key alone are said, and a LogConf
    // without it is no entry. Method: a rotation, one whose old keys are lost, an act after it, one unsigned; saved and resumed.
    let mut log = TestLog::new();
    let (batch, _) = log.reconfigure(|conf| conf.log_keys.push(log_key(1)), &[0, 1], true).unwrap();
    log.take(batch);
    let repin = log.edge.size();
    let (batch, _) = log.reconfigure(|conf| conf.log_keys = vec![log_key(2)], &[2], true).unwrap();
    log.take(batch);
    log.append(&[Someone::new(1).1]);
    let served = Served::new(log.clone());
    for level in [Level::Map, Level::Full] {
        let auditor = served.audit(level).unwrap();
        let resumed = Auditor::resume(&log.origin, &auditor.save().unwrap()).unwrap();
        for replay in [auditor.replay().unwrap(), resumed.replay().unwrap()] {
            let conf = replay.conf().unwrap();
            assert_eq!((conf.seq, conf.log_keys), (2, vec![log_key(2)]));
            assert_eq!(replay.repins(), [repin]);
        }
    }
    let at = log.edge.size();
    let (mut batch, _) = log.reconfigure(|conf| conf.log_keys.push(log_key(3)), &[2, 3], true).unwrap();
    let last = batch.entries[0].len() - 1;
    batch.entries[0][last] ^= 1;
    log.take(batch);
    log.edge = log.entries.iter().fold(crate::tree::Edge::new(), |mut edge, entry| {
        edge.append(leaf_hash(entry));
        edge
    });
    let fault = Served::new(log).audit(Level::Map).unwrap_err();
    assert_eq!(fault, AuditFault::Entry { index: at, code: "bad_signature" });
}

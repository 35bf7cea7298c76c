//! What is true of all states after every decision.

use std::collections::{BTreeMap, BTreeSet};

use crate::cert::Kid;
use crate::key::kid_of;
use crate::limits::{ATTESTED_MAX, GUESSES_MAX, NAMES_MAX};
use crate::name::{Name, Zone};
use crate::rules::{Effects, pending};
use crate::state::{AliasState, DeviceStatus, DidState, Leaf, NameState, NameStatus, RecoveryPhase, State, Subject};

/// Each changed state is one version on; a DID's leaf keeps its head unless its own chain grew.
pub(super) fn check_changes(before: &BTreeMap<Subject, Leaf>, effects: &Effects) {
    for (subject, leaf) in &effects.changes {
        let old = before.get(subject);
        assert_eq!(leaf.version(), old.map_or(0, Leaf::version) + 1, "one version more: {subject:?}");
        assert_eq!(&leaf.state.subject(), subject);
        if let State::Did(state) = &leaf.state {
            assert_eq!(
                (leaf.head_index, leaf.head_hash),
                (state.head.index, state.head.sid),
                "the leaf names the head"
            );
            let seq = old.map(|old| did_of(old).map_or(0, |state| state.head.seq));
            assert!(seq.is_none_or(|seq| (seq..=seq + 1).contains(&state.head.seq)));
        }
    }
    let subjects: BTreeSet<_> = effects.changes.iter().map(|(subject, _)| subject).collect();
    assert_eq!(subjects.len(), effects.changes.len(), "each subject once");
}

pub(super) fn check(states: &BTreeMap<Subject, Leaf>) {
    for (subject, leaf) in states {
        let bytes = leaf.state.encode();
        assert_eq!(State::decode(subject, &bytes).as_ref(), Ok(&leaf.state), "a state is what its bytes say");
        match &leaf.state {
            State::Did(state) => check_did(states, state),
            State::Name(state) => check_name(states, state),
            State::Alias(state) => check_alias(leaf, state),
            State::LogConf { .. } | State::Anchors { .. } => {}
        }
    }
}

fn check_did(states: &BTreeMap<Subject, Leaf>, state: &DidState) {
    let contested = state.pending.iter().any(|act| !act.opponents.is_empty());
    assert_eq!(state.flags & DidState::FROZEN != 0, contested, "frozen is whoever has a contested act, nobody else");
    assert!(state.names.len() <= NAMES_MAX);
    for name in &state.names {
        assert!(name_of(states, name).is_some_and(|n| is_live(n) && n.did == Some(state.did)), "{name} is its own");
    }
    if let Some(recovery) = &state.recovery {
        assert!(recovery.guesses <= GUESSES_MAX, "no epoch has an eleventh guess");
        let is_over = state.flags & DidState::ENDED != 0;
        assert!(!is_over || recovery.phase == RecoveryPhase::None, "nobody recovers what has ended");
    }
    if state.flags & DidState::ENDED != 0 {
        assert!(state.names.is_empty() && state.pending.is_empty(), "who ended has nothing left");
    }
    let identity_is_no_device = state.devices.iter().all(|device| device.sign != state.identity);
    assert!(identity_is_no_device, "one key is not both identity and device");
    check_acts(state);
    let held: Vec<Kid> = state.pending.iter().flat_map(held_by).collect();
    for device in &state.devices {
        let is_held = held.contains(&kid_of(&device.sign));
        assert_eq!(device.status == DeviceStatus::Suspended, is_held, "suspended is whom an act holds, nobody else");
        match device.status {
            DeviceStatus::Live => assert_eq!(device.until_ms, 0, "to be live has no end"),
            DeviceStatus::Fresh => assert_eq!(device.until_ms == 0, contested, "probation stands still while frozen"),
            DeviceStatus::Suspended => {}
        }
    }
}

/// An alias's leaf names the head of its chain, its newest sign-in; each key stands once.
fn check_alias(leaf: &Leaf, state: &AliasState) {
    let head = state.head.map_or((0, [0; 32]), |head| (head.index, head.sid));
    assert_eq!((leaf.head_index, leaf.head_hash), head, "the leaf names the head");
    let keys: BTreeSet<_> = state.attested.iter().map(|row| row.sign).collect();
    assert!(keys.len() == state.attested.len() && keys.len() <= ATTESTED_MAX);
    let disputed = state.attested.iter().any(|row| row.disputed);
    assert!(!disputed || state.breaker_ms > 0, "a dispute has an end");
}

fn check_acts(state: &DidState) {
    for act in &state.pending {
        let voices: BTreeSet<&Kid> = act.supporters.iter().chain(&act.opponents).collect();
        assert_eq!(voices.len(), act.supporters.len() + act.opponents.len(), "nobody votes twice or for both sides");
        let is_fresh = |kid: &&Kid| {
            let device = state.device(kid);
            device.is_some_and(|device| device.status == DeviceStatus::Fresh)
        };
        assert!(!voices.iter().any(is_fresh), "a device on probation has no voice");
    }
}

/// The devices that an act keeps suspended: its target, and in a quarrel its opener.
fn held_by(act: &crate::state::Pending) -> Vec<Kid> {
    let opener = act.supporters.first().filter(|_| !act.opponents.is_empty());
    pending::target(act).into_iter().chain(opener.filter(|_| pending::target(act).is_some()).copied()).collect()
}

fn check_name(states: &BTreeMap<Subject, Leaf>, state: &NameState) {
    let zone = Zone::parse("dgns.test").expect("a zone");
    let name = Name::parse(&state.name, &zone).expect("only names of the zone have states");
    let is_below = |other: &&NameState| {
        let parent = Name::parse(&other.name, &zone).ok().and_then(|other| other.parent(&zone));
        is_live(other) && parent.as_ref() == Some(&name)
    };
    let live_below = names(states).filter(is_below).count();
    assert_eq!(state.children, live_below as u64, "{name} counts the live names below it");
    if is_live(state) {
        let owner = state.did.and_then(|did| states.get(&Subject::Did(did))).and_then(did_of).expect("an owner");
        assert!(owner.names.contains(&state.name), "{name} is on its owner's list");
        for above in name.ancestors(&zone) {
            assert!(name_of(states, above.as_str()).is_some_and(is_live), "{above} above {name} is live");
        }
    }
}

fn is_live(state: &NameState) -> bool {
    state.status == NameStatus::Live
}

fn did_of(leaf: &Leaf) -> Option<&DidState> {
    if let State::Did(state) = &leaf.state { Some(state) } else { None }
}

fn names(states: &BTreeMap<Subject, Leaf>) -> impl Iterator<Item = &NameState> {
    states.values().filter_map(|leaf| if let State::Name(state) = &leaf.state { Some(state) } else { None })
}

fn name_of<'s>(states: &'s BTreeMap<Subject, Leaf>, name: &str) -> Option<&'s NameState> {
    match &states.get(&Subject::Name(name.into()))?.state {
        State::Name(state) => Some(state),
        _ => None,
    }
}

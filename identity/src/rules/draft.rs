//! The changes of one decision while it is being made.

use std::sync::Arc;

use super::world::{alias_of, did_of, name_of};
use super::{Effects, Refusal, World};
use crate::alias::AliasId;
use crate::cert::Sid;
use crate::did::Did;
use crate::limits::STATE_BYTES_MAX;
use crate::state::{AliasState, DidState, Leaf, NameState, NameStatus, State, Subject};

/// States as they would be: those of the world, and over them the copies a decision has changed.
///
/// Whoever is refused drops the draft, and nothing has changed.
#[derive(Clone, Debug)]
pub(super) struct Draft<'w> {
    pub(super) world: &'w World,
    /// Few: a search through all of them is quicker than a tree of states.
    changed: Vec<(Subject, Leaf)>,
}

/// What changes a state: the place and name of a certificate, and the epoch time at which it takes effect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause {
    pub(super) index: u64,
    pub(super) sid: Sid,
    pub(super) now_ms: u64,
}

impl<'w> Draft<'w> {
    pub(super) const fn of(world: &'w World) -> Self {
        Self { world, changed: Vec::new() }
    }

    pub(super) fn did(&self, did: &Did) -> Option<&DidState> {
        match self.changed(|subject| matches!(subject, Subject::Did(changed) if changed == did)) {
            Some(leaf) => did_of(leaf),
            None => self.world.did(did),
        }
    }

    pub(super) fn name(&self, name: &str) -> Option<&NameState> {
        match self.changed(|subject| matches!(subject, Subject::Name(changed) if changed == name)) {
            Some(leaf) => name_of(leaf),
            None => self.world.name(name),
        }
    }

    pub(super) fn alias(&self, alias: &AliasId) -> Option<&AliasState> {
        match self.changed(|subject| matches!(subject, Subject::Alias(changed) if changed == alias)) {
            Some(leaf) => alias_of(leaf),
            None => self.world.alias(alias),
        }
    }

    /// Returns the state of an alias, to be changed; made if there is none. The leaf's head stays.
    pub(super) fn alias_mut(&mut self, alias: &AliasId) -> &mut AliasState {
        if self.alias(alias).is_none() {
            let (did, head, attested) = (None, None, Vec::new());
            let state = AliasState { version: 1, alias: *alias, did, head, attested, breaker_ms: 0 };
            let leaf = Leaf { head_index: 0, head_hash: [0; 32], state: State::Alias(state) };
            self.changed.push((Subject::Alias(*alias), leaf));
        }
        match &mut self.leaf_mut(Subject::Alias(*alias)).state {
            State::Alias(state) => state,
            _ => unreachable!("the label of an alias holds the state of an alias"),
        }
    }

    /// Returns the owner of `name` if it is live.
    pub(super) fn owner(&self, name: &str) -> Option<Did> {
        self.name(name).filter(|state| state.status == NameStatus::Live).and_then(|state| state.did)
    }

    /// Returns whether another server answers for `name`.
    pub(super) fn is_delegated(&self, name: &str) -> bool {
        self.name(name).is_some_and(|state| state.delegate.is_some())
    }

    /// Returns the state of a DID that exists, to be changed.
    pub(super) fn did_mut(&mut self, did: &Did) -> &mut DidState {
        match &mut self.leaf_mut(Subject::Did(*did)).state {
            State::Did(state) => state,
            _ => unreachable!("the label of a DID holds the state of a DID"),
        }
    }

    /// Returns the state of a name that exists, to be changed; the leaf's head stays.
    pub(super) fn name_mut(&mut self, name: &str) -> &mut NameState {
        match &mut self.leaf_mut(Subject::Name(name.to_owned())).state {
            State::Name(state) => state,
            _ => unreachable!("the label of a name holds the state of a name"),
        }
    }

    /// Returns the state of a name that exists, to be changed by `cause`, which becomes the leaf's head.
    pub(super) fn name_mut_by(&mut self, name: &str, cause: Cause) -> &mut NameState {
        self.set_head(Subject::Name(name.to_owned()), cause);
        self.name_mut(name)
    }

    pub(super) fn set_head(&mut self, subject: Subject, cause: Cause) {
        let leaf = self.leaf_mut(subject);
        leaf.head_index = cause.index;
        leaf.head_hash = cause.sid;
    }

    /// Puts in the first state of a label.
    pub(super) fn create(&mut self, state: State, cause: Cause) {
        let leaf = Leaf { head_index: cause.index, head_hash: cause.sid, state };
        let subject = leaf.state.subject();
        self.changed.retain(|(changed, _)| *changed != subject);
        self.changed.push((subject, leaf));
    }

    /// Returns the changes, unless a state outgrew its bound.
    pub(super) fn finish(self) -> Result<Effects, Refusal> {
        if self.is_outgrown() { Err(Refusal::TooMany) } else { Ok(self.into_effects()) }
    }

    /// Returns whether a state outgrew its bound. Only one with authorities can: the other lists together stay below it.
    pub(super) fn is_outgrown(&self) -> bool {
        let with_authorities =
            self.changed.iter().filter_map(|(_, leaf)| did_of(leaf)).filter(|state| !state.authorities.is_empty());
        with_authorities.map(|state| state.encode().len()).any(|bytes| bytes > STATE_BYTES_MAX)
    }

    /// Returns the changes.
    pub(super) fn into_effects(mut self) -> Effects {
        self.changed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Effects { changes: self.changed.into_iter().map(|(subject, leaf)| (subject, Arc::new(leaf))).collect() }
    }

    fn changed(&self, is: impl Fn(&Subject) -> bool) -> Option<&Leaf> {
        self.changed.iter().find(|(subject, _)| is(subject)).map(|(_, leaf)| leaf)
    }

    /// Returns the copy of a state; the first change of a decision raises its version by one.
    fn leaf_mut(&mut self, subject: Subject) -> &mut Leaf {
        let place = self.changed.iter().position(|(changed, _)| *changed == subject).unwrap_or_else(|| {
            let mut leaf = self.world.leaf(&subject).expect("only a state that exists is changed").clone();
            match &mut leaf.state {
                State::Did(state) => state.version += 1,
                State::Name(state) => state.version += 1,
                State::Alias(state) => state.version += 1,
                State::LogConf { version, .. } | State::Anchors { version, .. } => *version += 1,
            }
            self.changed.push((subject, leaf));
            self.changed.len() - 1
        });
        &mut self.changed[place].1
    }
}

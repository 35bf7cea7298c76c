//! The states a decision reads.

use std::collections::HashMap;
use std::sync::Arc;

use super::Effects;
use crate::alias::AliasId;
use crate::cert::{Role, ZoneTerms};
use crate::did::Did;
use crate::limits::WINDOW_FLOOR_DEFAULT_S;
use crate::name::{Origin, Zone};
use crate::state::{AliasState, AuthorityState, DidState, Leaf, NameState, NameStatus, State, Subject};

const LOADED: &str = "the caller loads every subject that wants() names";

/// The states a decision reads, present or known to be absent.
///
/// There are two kinds. The world of [`World::new`] is the log's: every condition of a decision is met there or refused. The one
/// of [`World::of_chain`] knows a single DID, for a reader who has its certificates and nothing else: what depends on other
/// labels is taken for met there, because the log took the certificate, and leaves no trace in the DID's state (PROTOCOL 11.5).
///
/// Whoever decides loads what [`super::wants`] names before calling [`super::apply`]; reading anything else is a defect of
/// the caller and panics, because a state taken for absent would be a wrong decision in silence.
#[derive(Clone, Debug)]
pub struct World {
    zone: Zone,
    origin: Origin,
    server: Option<Did>,
    dids: HashMap<Did, Known>,
    names: HashMap<String, Known>,
    aliases: HashMap<AliasId, Known>,
    logconf: Option<Known>,
    anchors: Option<Known>,
    sight: Sight,
}

/// How much a world knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// Whatever a decision asks for.
    Log,
    /// One DID. Whether names below its names keep it from ending is not known but assumed.
    Chain { may_end: bool },
}

/// A state, shared with whoever else holds it; `None` if there is none.
type Known = Option<Arc<Leaf>>;

impl World {
    /// Returns a world that holds nothing yet. `server` is the DID of entry 0; `None` before there is one.
    pub fn new(zone: Zone, origin: Origin, server: Option<Did>) -> Self {
        Self::with_sight(zone, origin, server, Sight::Log)
    }

    /// Returns the world of one DID, whose state, or `None` before its genesis, the caller puts in.
    ///
    /// Names, the zone's terms and other parties are unknown in it: decisions change keys, devices, acts, window and authorities
    /// of the DID as the log's did, and never its names. A due tombstone takes effect if `may_end`, else it dies.
    pub fn of_chain(zone: Zone, origin: Origin, may_end: bool) -> Self {
        Self::with_sight(zone, origin, None, Sight::Chain { may_end })
    }

    fn with_sight(zone: Zone, origin: Origin, server: Option<Did>, sight: Sight) -> Self {
        Self {
            zone,
            origin,
            server,
            dids: HashMap::new(),
            names: HashMap::new(),
            aliases: HashMap::new(),
            logconf: None,
            anchors: None,
            sight,
        }
    }

    /// Returns the log's zone.
    pub const fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Returns the log's origin.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the server's DID, once it is known.
    pub const fn server(&self) -> Option<Did> {
        self.server
    }

    /// Names the server's DID, once its genesis was applied.
    pub const fn set_server(&mut self, server: Did) {
        self.server = Some(server);
    }

    /// Puts in the state of `subject`; `None` if it is known to have none.
    pub fn insert(&mut self, subject: Subject, leaf: Option<Arc<Leaf>>) {
        match subject {
            Subject::Did(did) => drop(self.dids.insert(did, leaf)),
            Subject::Name(name) => drop(self.names.insert(name, leaf)),
            Subject::Alias(alias) => drop(self.aliases.insert(alias, leaf)),
            Subject::LogConf => self.logconf = Some(leaf),
            Subject::Anchors => self.anchors = Some(leaf),
        }
    }

    /// Returns the state of `subject`: `None` if it was not loaded, `Some(None)` if it has none.
    pub fn get(&self, subject: &Subject) -> Option<Option<&Arc<Leaf>>> {
        let known = match subject {
            Subject::Did(did) => self.dids.get(did),
            Subject::Name(name) => self.names.get(name),
            Subject::Alias(alias) => self.aliases.get(alias),
            Subject::LogConf => self.logconf.as_ref(),
            Subject::Anchors => self.anchors.as_ref(),
        };
        known.map(Option::as_ref)
    }

    /// Returns whether the state of a name was loaded, or is known to be absent.
    pub(super) fn holds_name(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Puts in what a decision changed.
    pub fn apply_changes(&mut self, effects: &Effects) {
        for (subject, leaf) in &effects.changes {
            self.insert(subject.clone(), Some(leaf.clone()));
        }
    }

    /// Returns whether a DID's chain is all that is known.
    pub(super) const fn is_of_chain(&self) -> bool {
        matches!(self.sight, Sight::Chain { .. })
    }

    /// Returns whether live names below a DID's names keep it from ending, where that is not read from their states.
    pub(super) const fn keeps_from_ending(&self) -> bool {
        matches!(self.sight, Sight::Chain { may_end: false })
    }

    /// Returns the state of `subject`, which was loaded.
    pub(super) fn leaf(&self, subject: &Subject) -> Option<&Leaf> {
        self.get(subject).expect(LOADED).map(Arc::as_ref)
    }

    /// Returns the state of a DID, which was loaded.
    pub(super) fn did(&self, did: &Did) -> Option<&DidState> {
        self.dids.get(did).expect(LOADED).as_deref().and_then(did_of)
    }

    /// Returns the state of a name, which was loaded.
    pub(super) fn name(&self, name: &str) -> Option<&NameState> {
        self.names.get(name).expect(LOADED).as_deref().and_then(name_of)
    }

    /// Returns the state of an alias, which was loaded.
    pub(super) fn alias(&self, alias: &AliasId) -> Option<&AliasState> {
        self.aliases.get(alias).expect(LOADED).as_deref().and_then(alias_of)
    }

    /// Returns the DID an alias is bound to if the alias was loaded and is bound.
    pub(super) fn holder_if_loaded(&self, alias: &AliasId) -> Option<Did> {
        self.aliases.get(alias)?.as_deref().and_then(alias_of)?.did
    }

    /// Returns the state of a DID if it was loaded and exists.
    pub(super) fn did_if_loaded(&self, did: &Did) -> Option<&DidState> {
        self.dids.get(did)?.as_deref().and_then(did_of)
    }

    /// Returns the owner of a live name if it was loaded and exists.
    pub(super) fn owner_if_loaded(&self, name: &str) -> Option<Did> {
        let state = self.names.get(name)?.as_deref().and_then(name_of)?;
        state.did.filter(|_| state.status == NameStatus::Live)
    }

    /// Returns the authorities that ever signed for the zone, oldest first.
    pub(super) fn zone_authorities(&self) -> impl DoubleEndedIterator<Item = &AuthorityState> {
        let zone = self.zone.as_str();
        self.authorities().filter(move |a| a.authority.role == Role::Zone && a.authority.scope == zone)
    }

    /// Returns the notaries there ever were, oldest first.
    pub(super) fn notaries(&self) -> impl DoubleEndedIterator<Item = &AuthorityState> {
        self.authorities().filter(|a| a.authority.role == Role::Notary)
    }

    fn authorities(&self) -> impl DoubleEndedIterator<Item = &AuthorityState> {
        let server = self.server.and_then(|server| self.did_if_loaded(&server));
        server.filter(|state| state.flags & DidState::ENDED == 0).map_or(&[][..], |s| &s.authorities).iter()
    }

    /// Returns the zone's terms and the key that signs under them: those of its newest unrevoked authority (PROTOCOL 5.2).
    pub(super) fn terms(&self) -> Option<(ZoneTerms, &AuthorityState)> {
        let newest = self.zone_authorities().rfind(|a| a.revoked_at.is_none())?;
        Some((newest.authority.zone?, newest))
    }

    /// Returns the least window a DID of this zone may have, in seconds.
    pub(super) fn window_floor_s(&self) -> u64 {
        if self.is_of_chain() {
            return 0;
        }
        self.terms().map_or(WINDOW_FLOOR_DEFAULT_S, |(terms, _)| terms.window_floor_s)
    }
}

pub(super) fn did_of(leaf: &Leaf) -> Option<&DidState> {
    if let State::Did(state) = &leaf.state { Some(state) } else { None }
}

pub(super) fn alias_of(leaf: &Leaf) -> Option<&AliasState> {
    if let State::Alias(state) = &leaf.state { Some(state) } else { None }
}

pub(super) fn name_of(leaf: &Leaf) -> Option<&NameState> {
    if let State::Name(state) = &leaf.state { Some(state) } else { None }
}

//! What a lookup asks of a DID's chain: the certificates after what is remembered (PROTOCOL 11.5, 12.1).

use dgns_api::known::Known;
use identity::did::Did;
use identity::state::Subject;
use translog::map;
use translog::resolve::{Footing, Resolved};
use translog::trust::{KnownDid, Memory};

/// Returns what is remembered of the DID that `subject` is or, as far as is known here, belongs to.
pub(crate) fn remembered(subject: &Subject, memory: &Memory) -> Option<Known> {
    match subject {
        Subject::Did(did) => known(did, memory),
        Subject::Name(name) => memory.dids().find(|known| known.state().names.contains(name)).map(known_of),
        Subject::Alias(_) | Subject::LogConf | Subject::Anchors => None,
    }
}

/// Returns what is remembered of a DID.
pub(crate) fn known(did: &Did, memory: &Memory) -> Option<Known> {
    memory.known(did).map(known_of)
}

/// Returns what there is to know of a DID before its genesis.
pub(crate) fn nothing_of(did: Did) -> Known {
    Known { did, next: 0, mark: None }
}

/// Returns the part of a query that says what is known.
pub(crate) fn asked(known: Option<Known>) -> String {
    known.map_or(String::new(), |known| format!("&known={known}"))
}

/// Returns the DID shown if it was not followed from its genesis.
pub(crate) fn not_from_genesis(resolved: &Resolved) -> Option<Did> {
    match resolved.footing() {
        None | Some(Footing::Genesis) => None,
        Some(_) => resolved.did().map(|did| did.did),
    }
}

fn known_of(known: &KnownDid) -> Known {
    let state = known.state();
    let mark = Known::mark_of(&map::state_hash(&state.encode()));
    Known { did: state.did, next: state.head.seq + 1, mark: Some(mark) }
}

//! The rows alias_bind, alias_unbind, attest_login and claim on the attested road (PROTOCOL 5.2, 5.3, 5.7).

use super::log::*;
use crate::alias::{AliasId, issuer_hash};
use crate::cert::{AttestLogin, Body};
use crate::did::Did;
use crate::limits::BREAKER_MS;
use crate::testing::samples::{alias_of, attest, key};

/// Alice, whose server has a notary, and her address.
fn notarized(devices: u8) -> (Log, Did, AliasId) {
    let (mut log, alice) = Log::with_alice(devices);
    log.does(log.server(), add_notary(N), &[1]);
    log.does(log.server(), all_roads(), &[1]);
    (log, alice, alias_of("alice@example.test"))
}

fn signed_in(log: &Log, alias: &AliasId) -> Vec<[u8; 32]> {
    log.alias(alias).expect("it has a state").attested.iter().map(|row| row.sign).collect()
}

fn keys(numbers: impl IntoIterator<Item = u8>) -> Vec<[u8; 32]> {
    numbers.into_iter().map(|number| key(number).public()).collect()
}

#[test]
fn sign_ins_are_a_chain_of_the_alias_and_change_no_did() {
    let (mut log, alice, alias) = notarized(1);
    let before = log.did(&alice).clone();
    let first = log.signs_in(alias, 31, N).expect("the first");
    let index = log.index - 2;
    let second = log.signs_in(alias, 32, N).expect("the next");
    let state = log.alias(&alias).expect("its state");
    assert_eq!((state.version, state.did, state.head.map(|head| (head.seq, head.sid))), (2, None, Some((1, second))));
    let row = state.attested[0];
    assert_eq!((row.sid, row.index, row.notary, row.disputed), (first, index, kid(N), false));
    assert_eq!(signed_in(&log, &alias), keys([31, 32]));
    assert_eq!(*log.did(&alice), before);
    assert_eq!(log.act(alice, policy(100_000), &[31]), Err("unknown_signer"), "to have signed in is no power");
}

#[test]
fn a_sign_in_follows_the_head_of_its_alias() {
    let (mut log, _, alias) = notarized(1);
    let late = log.next_login(alias, attest(31));
    log.signs_in(alias, 31, N).expect("the first");
    let code = |result: Result<_, crate::rules::Refusal>| result.map(drop).map_err(|refusal| refusal.code());
    assert_eq!(code(log.post(late, &[N])), Err("stale_prev"));
    let mut wrong = log.next_login(alias, attest(31));
    wrong.prev = Some([0; 32]);
    assert_eq!(code(log.post(wrong, &[N])), Err("stale_prev"));
}

#[test]
fn a_key_that_signs_in_again_moves_to_the_end_and_the_ninth_pushes_the_oldest_out() {
    let (mut log, _, alias) = notarized(1);
    for number in 31..=38 {
        log.signs_in(alias, number, N).expect("a sign-in");
    }
    log.signs_in(alias, 32, N).expect("again");
    assert_eq!(signed_in(&log, &alias), keys([31, 33, 34, 35, 36, 37, 38, 32]));
    log.signs_in(alias, 39, N).expect("the ninth");
    assert_eq!(signed_in(&log, &alias), keys([33, 34, 35, 36, 37, 38, 32, 39]));
}

#[test]
fn only_an_unrevoked_notary_of_that_issuer_attests() {
    let (mut log, _, alias) = notarized(1);
    assert_eq!(log.signs_in(alias, 31, Z).err(), Some("unknown_signer"), "the zone key is no notary");
    let of_another = AttestLogin { issuer: issuer_hash("https://other.example"), ..attest(31) };
    let refused = log.post(log.next_login(alias, of_another), &[N]).map_err(|refusal| refusal.code());
    assert_eq!(refused, Err("bad_scope"));
    assert_eq!(log.signs_in(alias, 31, 31).err(), Some("not_allowed"), "who signs in cannot attest it");
    log.does(log.server(), Body::NotaryRevoke { kid: kid(N) }, &[1]);
    assert_eq!(log.signs_in(alias, 31, N).err(), Some("notary_revoked"));
    log.does(log.server(), add_notary(60), &[1]);
    assert!(log.signs_in(alias, 31, 60).is_ok());
}

#[test]
fn an_alias_is_bound_by_a_voter_or_the_words_and_a_notary() {
    let (mut log, alice, alias) = notarized(1);
    let bob = log.join(20, 21);
    assert_eq!(log.act(alice, bind(alias), &[11]), Err("not_allowed"));
    assert_eq!(log.act(alice, bind(alias), &[N]), Err("not_allowed"));
    assert_eq!(log.act(alice, bind(alias), &[11, Z]), Err("unknown_signer"));
    log.does(alice, bind(alias), &[11, N]);
    let leaf = &log.states[&crate::state::Subject::Alias(alias)];
    assert_eq!((leaf.head_index, leaf.head_hash), (0, [0; 32]), "it has no chain yet");
    assert_eq!(log.alias(&alias).and_then(|state| state.did), Some(alice));
    assert_eq!(log.act(bob, bind(alias), &[21, N]), Err("alias_bound"));
    assert_eq!(log.act(alice, bind(alias), &[10, N]), Err("alias_bound"));
    log.does(log.server(), Body::NotaryRevoke { kid: kid(N) }, &[1]);
    assert_eq!(log.act(bob, bind(alias_of("bob@example.test")), &[21, N]), Err("notary_revoked"));
}

#[test]
fn a_binding_is_ended_by_the_words_or_a_majority_at_once_and_by_a_voter_after_a_window() {
    let (mut log, alice, alias) = notarized(3);
    let bob = log.join(20, 21);
    log.signs_in(alias, 31, N).expect("a sign-in");
    for (signers, at_once) in [(&[10][..], true), (&[11, 12], true), (&[11], false)] {
        log.does(alice, bind(alias), &[11, N]);
        assert_eq!(log.act(bob, unbind(alias), &[20]), Err("not_bound"));
        log.does(alice, unbind(alias), signers);
        assert_eq!(log.alias(&alias).and_then(|state| state.did).is_none(), at_once);
        log.wait(WINDOW);
        let state = log.alias(&alias).expect("labels stay");
        assert!(state.did.is_none() && state.attested.is_empty() && state.head.is_some());
    }
    assert_eq!(log.act(alice, unbind(alias), &[10]), Err("not_bound"));
    log.does(bob, bind(alias), &[21, N]);
}

#[test]
fn an_unbinding_that_waits_dies_if_the_binding_is_gone() {
    let (mut log, alice, alias) = notarized(3);
    log.does(alice, bind(alias), &[11, N]);
    log.does(alice, unbind(alias), &[11]);
    log.does(alice, unbind(alias), &[10]);
    let bob = log.join(20, 21);
    log.does(bob, bind(alias), &[21, N]);
    log.wait(WINDOW);
    assert_eq!(log.alias(&alias).and_then(|state| state.did), Some(bob));
}

#[test]
fn an_alias_of_a_did_that_ended_is_free_and_forgets_the_keys_of_its_holder() {
    let (mut log, alice, alias) = notarized(1);
    log.does(alice, bind(alias), &[11, N]);
    log.signs_in(alias, 11, N).expect("alice");
    let bob = log.join(20, 21);
    assert_eq!(log.act(bob, bind(alias), &[21, N]), Err("alias_bound"));
    log.does(alice, Body::Tombstone, &[11]);
    log.wait(WINDOW);
    log.signs_in(alias, 21, N).expect("bob has the address now");
    log.does(bob, bind(alias), &[21, N]);
    assert_eq!((log.alias(&alias).and_then(|state| state.did), signed_in(&log, &alias)), (Some(bob), keys([21])));
}

#[test]
fn its_holder_disputes_a_sign_in_and_the_breaker_lasts_a_week() {
    let (mut log, alice, alias) = notarized(2);
    let bob = log.join(20, 21);
    let own = log.signs_in(alias, 11, N).expect("alice");
    let thiefs = log.signs_in(alias, 31, N).expect("a thief");
    assert_eq!(log.act(alice, dispute(thiefs, alias), &[11]), Err("not_bound"));
    log.does(alice, bind(alias), &[11, N]);
    assert_eq!(log.act(bob, dispute(thiefs, alias), &[21]), Err("not_bound"));
    assert_eq!(log.act(alice, dispute([0; 32], alias), &[11]), Err("no_such_act"));
    let act = log.does(alice, suspend(12), &[11]);
    assert_eq!(log.act(alice, dispute(thiefs, alias), &[12]), Err("suspended"));
    log.does(alice, veto(act), &[12]);
    assert!(log.is_frozen(&alice));
    log.does(alice, confirm(act), &[10]);
    log.does(alice, dispute(thiefs, alias), &[11]);
    let state = log.alias(&alias).expect("its state");
    assert_eq!(state.breaker_ms, log.now_ms + BREAKER_MS);
    assert_eq!(state.attested.iter().map(|row| row.disputed).collect::<Vec<_>>(), [false, true]);
    assert_eq!(log.act(alice, dispute(thiefs, alias), &[11]), Err("already_voted"));
    log.signs_in(alias, 31, N).expect("again");
    let last = *log.alias(&alias).and_then(|state| state.attested.last()).expect("a row");
    assert!(last.disputed, "a key does not shake a dispute off by signing in again");
    log.does(alice, dispute(own, alias), &[10]);
}

#[test]
fn the_attested_road_needs_a_notary_too() {
    let (mut log, alice, _) = notarized(1);
    let claim = |name: &str| claim(&format!("{name}.dgns.test"), attested());
    assert_eq!(log.act(alice, claim("alice2"), &[11, Z]), Err("not_allowed"));
    assert_eq!(log.act(alice, claim("alice2"), &[11, N]), Err("not_allowed"), "and the zone");
    log.does(alice, claim("alice2"), &[11, N, Z]);
    assert_eq!(log.act(alice, claim("b.alice"), &[11, N, Z]), Err("road_closed"));
    log.does(log.server(), Body::NotaryRevoke { kid: kid(N) }, &[1]);
    assert_eq!(log.act(alice, claim("alice3"), &[11, N, Z]), Err("notary_revoked"));
    let (mut closed, alice) = Log::with_alice(1);
    closed.does(closed.server(), add_notary(N), &[1]);
    assert_eq!(closed.act(alice, claim("alice2"), &[11, N, Z]), Err("road_closed"));
}

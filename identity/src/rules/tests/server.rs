//! The server's own chain: the rows notary_add and notary_revoke of PROTOCOL 5.3.

use super::log::*;
use crate::cert::{Authority, Body, Role};
use crate::limits::WINDOW_MAX_S;
use crate::testing::samples::{ISSUER, notary, zone_authority};

fn remove(number: u8) -> Body {
    Body::NotaryRevoke { kid: kid(number) }
}

/// A log whose server has three devices and is a week old.
fn old_server() -> Log {
    let mut log = Log::new();
    log.does(log.server(), add(3), &[1, 3]);
    log.does(log.server(), add(4), &[1, 4]);
    log.wait(7 * DAY);
    log
}

#[test]
fn the_servers_words_or_majority_add_an_authority_at_once_and_one_voter_after_a_window() {
    let mut log = old_server();
    let server = log.server();
    log.does(server, add_notary(60), &[1]);
    log.does(server, add_notary(61), &[2, 3]);
    let index = log.index;
    log.does(server, add_notary(62), &[2]);
    log.wait(WINDOW - 1);
    assert_eq!(log.did(&server).authorities.len(), 3);
    log.wait(1);
    let row = log.did(&server).authorities[3].clone();
    assert_eq!((row.authority, row.index, row.revoked_at), (notary(Role::Notary, ISSUER, 62), index, None));
}

#[test]
fn a_second_voter_lets_a_waiting_authority_in() {
    let mut log = old_server();
    let act = log.does(log.server(), add_notary(60), &[2]);
    log.does(log.server(), confirm(act), &[3]);
    assert_eq!(log.did(&log.server()).authorities.len(), 2);
}

#[test]
fn one_voter_of_the_server_revokes_at_once_and_the_row_says_where() {
    let mut log = old_server();
    let (server, index) = (log.server(), log.index);
    log.does(server, remove(Z), &[2]);
    assert_eq!(log.did(&server).authorities[0].revoked_at, Some(index));
    assert_eq!(log.act(server, remove(Z), &[1]), Err("bad_scope"));
    assert_eq!(log.act(server, remove(77), &[1]), Err("bad_scope"));
}

#[test]
fn only_the_servers_chain_has_authorities() {
    let (mut log, alice) = Log::with_alice(1);
    assert_eq!(log.act(alice, add_notary(60), &[10]), Err("not_server"));
    assert_eq!(log.act(alice, remove(Z), &[10]), Err("not_server"));
    let impostor = crate::cert::Genesis { kind: crate::cert::DidKind::Server, ..person(50, 51) };
    let sid = log.post(crate::testing::samples::first(impostor), &[50, 51]).expect("anybody may be a server");
    assert_eq!(log.act(crate::did::Did::of_genesis(&sid), add_notary(60), &[50]), Err("not_server"));
}

#[test]
fn the_zones_terms_are_for_this_zone_and_within_limits() {
    let mut log = old_server();
    let with = |change: fn(&mut Authority)| {
        let mut authority = zone_authority();
        change(&mut authority);
        Body::NotaryAdd(authority)
    };
    for body in [
        with(|a| a.scope = "other.test".into()),
        with(|a| a.zone.as_mut().expect("terms").window_floor_s = WINDOW_MAX_S + 1),
        with(|a| a.zone.as_mut().expect("terms").window_floor_s = u64::MAX),
        with(|a| a.zone.as_mut().expect("terms").work_floor_bits = 41),
        Body::NotaryAdd(notary(Role::Alias, "other.test", 60)),
    ] {
        assert_eq!(log.act(log.server(), body, &[1]), Err("bad_scope"));
    }
    log.does(log.server(), Body::NotaryAdd(notary(Role::Alias, "dgns.test", 60)), &[1]);
    assert_eq!(log.act(log.server(), add_notary(60), &[4]).map(drop), Ok(()), "any voter opens");
    assert_eq!(log.act(log.server(), add_notary(61), &[Z]), Err("unknown_signer"), "the zone key has no power here");
}

//! Leases of the server's own log: of one session each, ended by name.

use super::*;

fn revoked(handle: u64, code: &str) -> Frame {
    Frame::Revoke { name: None, code: code.to_owned(), handle: Some(handle) }
}

/// Leases, and returns the handle and its end.
fn lease(stage: &mut Stage, conn: ConnId) -> (u64, u64) {
    stage.say(conn, Frame::Lease { id: 7, site: "dgns.test/log".to_owned(), log: String::new(), rights: 1 });
    assert!(matches!(stage.asked.pop(), Some(Frame::Lease { id: 7, .. })));
    stage.put(Input::Leased { conn, id: 7, size: 5 });
    match stage.read(conn)[..] {
        [Frame::Handle { id: 7, handle, rights: 1, size: 5, until_s }] => (handle, until_s),
        ref other => panic!("{other:?}"),
    }
}

/// Logs in with a token that lives for ten seconds.
fn enter_with_token(stage: &mut Stage, who: &Who, rid: Rid) -> ConnId {
    let conn = stage.opened();
    stage.sessions += 1;
    let token = TokenShown { rid, until: stage.now.plus_ms(10_000) };
    let login = Login { token: Some(Box::new(token)), ..who.login(1, stage.sessions, None) };
    stage.put(Input::Hello { conn, login: Box::new(login) });
    stage.read(conn);
    conn
}

#[test]
fn a_handle_is_of_one_session_and_reads_alone() {
    let (mut stage, alice, bob) = (stage(), Who::new(1), Who::new(2));
    let (a, b) = (stage.enter(&alice), stage.enter(&bob));
    let (of_alice, of_bob) = (lease(&mut stage, a).0, lease(&mut stage, b).0);
    assert_ne!(of_alice, of_bob);
    stage.say(a, Frame::Read { id: 8, handle: of_alice, from: 0 });
    assert_eq!(stage.asked.pop(), Some(Frame::Read { id: 8, handle: of_alice, from: 0 }));
    let refused = |stage: &mut Stage, frame| {
        stage.say(a, frame);
        assert_eq!(stage.asked.pop(), None);
        match &stage.read(a)[..] {
            [Frame::Err { id: Some(9), code, .. }] => code.clone(),
            other => panic!("{other:?}"),
        }
    };
    for handle in [of_bob, 0, u64::MAX] {
        assert_eq!(refused(&mut stage, Frame::Read { id: 9, handle, from: 0 }), "bad_handle");
        let write = Frame::Write { id: 9, handle, lsn: 1, entries: vec![vec![1]] };
        assert_eq!(refused(&mut stage, write), "bad_handle");
    }
    let write = Frame::Write { id: 9, handle: of_alice, lsn: 1, entries: vec![vec![1]] };
    assert_eq!(refused(&mut stage, write), "no_right");
    for _ in 1..HANDLES_MAX {
        lease(&mut stage, a);
    }
    stage.put(Input::Leased { conn: a, id: 7, size: 5 });
    assert!(matches!(&stage.read(a)[..], [Frame::Err { code, .. }] if code == "quota"));
}

#[test]
fn a_lease_ends_with_the_token_it_was_given_under() {
    let (mut stage, alice, bob) = (stage(), Who::new(1), Who::new(2));
    let (a, b) = (enter_with_token(&mut stage, &alice, [1; 8]), enter_with_token(&mut stage, &bob, [2; 8]));
    let (of_alice, of_bob) = (lease(&mut stage, a), lease(&mut stage, b));
    assert_eq!(of_alice.1, stage.now.as_s() + 10);
    assert_eq!(stage.lobby.tokens_shown().len(), 2);
    stage.put(Input::TokenEnded { rid: [1; 8] });
    assert_eq!(stage.read(a), [revoked(of_alice.0, "token_revoked")]);
    assert_eq!(stage.read(b), [], "nobody else's");
    let again = lease(&mut stage, a);
    assert!(again.1 > stage.now.as_s() + 3_000, "the session goes on, without the token");
    stage.wait(10_000);
    assert_eq!(stage.read(b), [revoked(of_bob.0, "lease_over")]);
    assert_eq!(stage.read(a), []);
    assert!(stage.closed.is_empty());
}

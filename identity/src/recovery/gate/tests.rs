//! Every refusal of the gate, and that it never moves back.

use super::*;
use crate::cert::Attempt;
use crate::did::Did;
use crate::testing::samples::{key, recover_open, recovery_set};

const SCOPE: Scope = Scope { did: Did::from_bytes([1; 20]), epoch: 2 };

fn server() -> KeyBytes {
    key(71).public()
}

fn enrolment() -> Enrolment {
    recovery_set(2).enrolment.expect("an enrolment")
}

fn row() -> Row {
    let enrolment = enrolment();
    let sign_ins = enrolment.sign_ins.iter().map(|id| (*id, [0; 16])).collect();
    Row { scope: SCOPE, index: 1, public: enrolment.servers[0].oprf, sign_ins, mark: None }
}

/// Attempt 3 is open.
fn logged() -> Logged {
    let keys = RecoveryKeys {
        index: 5,
        sid: [1; 32],
        sign: key(70).public(),
        kex: [70; 32],
        sign_ins: 2,
        needed: 1,
        fresh_until_ms: 0,
    };
    let attempt = AttemptState { sid: [2; 32], sign: key(80).public(), kex: [80; 32], at_ms: 1_000 };
    let state = RecoveryState {
        epoch: 2,
        phase: RecoveryPhase::Open,
        keys: Some(keys),
        guesses: 3,
        attempt: Some(attempt),
        due_ms: 0,
        breaker_ms: 0,
    };
    Logged { state, enrolment: enrolment(), open: Some(recover_open(2, 3, 80)), now_ms: 2_000 }
}

fn mark(attempt: u8) -> Mark {
    Mark { attempt, blinded: recover_open(2, attempt, 80).blinded }
}

#[test]
fn an_open_attempt_is_marked_once_and_answered_again() {
    let mut row = row();
    assert_eq!(evaluate(&row, &server(), &logged(), 3), Ok(Step::Mark(mark(3))));
    row.mark = Some(mark(3));
    assert_eq!(evaluate(&row, &server(), &logged(), 3), Ok(Step::Again(mark(3).blinded)));
    row.mark = Some(mark(2));
    assert_eq!(evaluate(&row, &server(), &logged(), 3), Ok(Step::Mark(mark(3))));
}

#[test]
fn whatever_the_log_does_not_say_is_not_evaluated() {
    let check = |expected: &str, edit: &dyn Fn(&mut Row, &mut Logged)| {
        let (mut row, mut logged) = (row(), logged());
        edit(&mut row, &mut logged);
        assert_eq!(evaluate(&row, &server(), &logged, 3).map_err(GateRefusal::code), Err(expected));
    };
    check("erased", &|_, logged| logged.state.epoch = 3);
    check("not_enrolled", &|row, _| row.public = [9; 32]);
    check("not_enrolled", &|row, _| row.index = 2);
    check("not_enrolled", &|row, _| row.index = 0);
    check("not_enrolled", &|row, _| row.index = 9);
    check("burnt", &|_, logged| logged.state.phase = RecoveryPhase::Burnt);
    for phase in [RecoveryPhase::None, RecoveryPhase::Live, RecoveryPhase::Proved, RecoveryPhase::Ready] {
        check("not_open", &|_, logged| logged.state.phase = phase);
    }
    check("not_open", &|_, logged| logged.open = None);
    check("bad_attempt", &|_, logged| logged.state.guesses = 4);
    check("bad_attempt", &|_, logged| logged.open = Some(recover_open(2, 2, 80)));
    check("bad_attempt", &|_, logged| logged.open = Some(recover_open(1, 3, 80)));
    check("attempt_used", &|row, _| row.mark = Some(mark(4)));
    check("attempt_used", &|row, _| row.mark = Some(Mark { attempt: 3, ..mark(4) }));
    let other_server = evaluate(&row(), &key(72).public(), &logged(), 3);
    assert_eq!(other_server, Err(GateRefusal::NotEnrolled));
    assert_eq!(evaluate(&row(), &server(), &logged(), 2), Err(GateRefusal::BadAttempt { newest: 3 }));
}

#[test]
fn sign_ins_are_those_that_the_attempt_names_and_enough_of_them() {
    let ids = enrolment().sign_ins;
    let evidence = recover_open(2, 3, 80).evidence[0];
    let check = |shown: &[(Hash, Hash)], logged: &Logged| sign_ins(&row(), logged, shown).map_err(GateRefusal::code);
    assert_eq!(check(&[(ids[0], evidence)], &logged()), Ok(()));
    assert_eq!(check(&[(ids[0], [9; 32])], &logged()), Err("unknown_signin"), "the statement of another attempt");
    assert_eq!(check(&[([9; 32], evidence)], &logged()), Err("unknown_signin"), "another account");
    assert_eq!(check(&[], &logged()), Err("too_few"));
    let broken = Logged { state: RecoveryState { breaker_ms: 2_001, ..logged().state }, ..logged() };
    assert_eq!(check(&[(ids[0], evidence), (ids[0], evidence)], &broken), Err("too_few"), "one twice is one");
    assert_eq!(check(&[(ids[0], evidence), (ids[1], evidence)], &broken), Ok(()));
    let after = Logged { now_ms: 2_001, ..broken };
    assert_eq!(check(&[(ids[0], evidence)], &after), Ok(()));
}

#[test]
fn the_share_of_the_backup_waits_for_the_window() {
    let check = |phase, attempt| {
        let mut logged = logged();
        (logged.state.phase, logged.state.due_ms) = (phase, 9_000);
        release(&row(), &server(), &logged, attempt).map(|open| open.sid).map_err(GateRefusal::code)
    };
    assert_eq!(check(RecoveryPhase::Ready, 3), Ok([2; 32]));
    assert_eq!(check(RecoveryPhase::Ready, 2), Err("bad_attempt"));
    assert_eq!(check(RecoveryPhase::Burnt, 3), Err("burnt"));
    for phase in [RecoveryPhase::None, RecoveryPhase::Live, RecoveryPhase::Open, RecoveryPhase::Proved] {
        assert_eq!(check(phase, 3), Err("not_ready"));
    }
}

#[test]
fn a_row_is_over_once_another_epoch_is_in_force_and_no_act_waits_for_it() {
    let over = |state: Option<&RecoveryState>, waiting: &[Enrolment]| is_over(&row(), &server(), state, waiting);
    let state = logged().state;
    assert!(!over(None, &[]) && !over(Some(&state), &[]));
    assert!(over(Some(&RecoveryState { epoch: 3, ..state.clone() }), &[]));
    assert!(!over(Some(&RecoveryState { epoch: 3, ..state.clone() }), &[enrolment()]));
    assert!(over(Some(&RecoveryState { keys: None, phase: RecoveryPhase::None, ..state.clone() }), &[]));
    assert!(!over(Some(&RecoveryState { epoch: 1, ..state }), &[]), "an enrolment to come");
}

#[test]
fn enrolment_and_attempt_are_found_by_the_states_own_hashes() {
    let (set, open) = (Body::RecoverySet(recovery_set(2)), Body::RecoverOpen(recover_open(2, 3, 80)));
    let chain = [([1; 32], &set), ([9; 32], &Body::Tombstone), ([2; 32], &open)];
    let found = Logged::of(&logged().state, 2_000, chain.iter().copied()).unwrap();
    assert_eq!(found, logged());
    let elsewhere = [([3; 32], &set)];
    assert_eq!(Logged::of(&logged().state, 0, elsewhere.iter().copied()), Err(GateRefusal::NoRecovery));
    let swapped = [([1; 32], &open)];
    assert_eq!(Logged::of(&logged().state, 0, swapped.iter().copied()), Err(GateRefusal::NoRecovery));
    let none = RecoveryState { keys: None, ..logged().state };
    assert_eq!(Logged::of(&none, 0, chain.iter().copied()), Err(GateRefusal::NoRecovery));
    let unopened = Logged::of(&logged().state, 0, chain[..1].iter().copied()).unwrap();
    assert_eq!(unopened.open, None);
    assert_eq!(Attempt { epoch: 2, number: 3 }, found.open.unwrap().attempt);
}

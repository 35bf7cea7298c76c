//! What is full stays full and harms nothing (PROTOCOL 16).

use super::log::*;
use crate::cert::{Authority, Body, Certificate, Level, Recipient, RecipientKind, RecoverySet, Role};
use crate::limits::{
    AUTHORITIES_MAX, CERTIFICATE_BYTES_MAX, DEVICES_MAX, GUESSES_MAX, NAMES_MAX, OPERATOR_BYTES_MAX, PENDING_MAX,
    RECOVERY_SERVERS_MAX, SERVER_URL_BYTES_MAX, STATE_BYTES_MAX,
};
use crate::state::{
    AttemptState, DeviceStatus, DidState, Pending, Power, RecoveryKeys, RecoveryPhase, RecoveryState, UserKeyState,
};
use crate::testing::samples::{device, key, next, origin, recovery_set};

#[test]
fn a_did_has_32_devices() {
    let (mut log, alice) = Log::with_alice(1);
    for number in 100..100 + DEVICES_MAX as u8 - 1 {
        log.does(alice, Body::DeviceAdd(device(number, Level::Member)), &[11, number]);
    }
    assert_eq!(log.act(alice, add(200), &[10, 200]), Err("too_many"));
    log.does(alice, revoke(100), &[11]);
    log.does(alice, add(200), &[10, 200]);
}

#[test]
fn a_did_has_32_names_claimed_or_received() {
    let (mut log, alice) = Log::with_alice(1);
    let bob = log.join(20, 21);
    for number in 1..NAMES_MAX {
        log.does(alice, below(&format!("n{number}.alice.dgns.test")), &[11, Z]);
    }
    assert_eq!(log.act(alice, below("more.alice.dgns.test"), &[11, Z]), Err("too_many"));
    log.does(bob, open_road("bobs.dgns.test", &bob), &[21, Z]);
    let give = transfer("bobs.dgns.test", alice);
    assert_eq!(log.act_by(bob, alice, give.clone(), &[20, 11]), Err("too_many"));
    log.does(alice, release("n1.alice.dgns.test"), &[10]);
    log.act_by(bob, alice, give, &[21, 11]).expect("there is room");
    log.does(alice, below("more.alice.dgns.test"), &[11, Z]);
    log.wait(WINDOW);
    assert_eq!(log.owner("bobs.dgns.test"), Some(bob), "there was no room when it was due");
}

#[test]
fn eight_acts_wait() {
    let (mut log, alice) = Log::with_alice(9);
    for number in 11..11 + PENDING_MAX as u8 {
        log.does(alice, policy(100_000), &[number]);
    }
    assert_eq!(log.act(alice, policy(100_000), &[19]), Err("too_many"));
    log.does(alice, policy(100_000), &[10]);
    log.wait(WINDOW);
    assert!(log.did(&alice).pending.is_empty());
}

#[test]
fn a_server_has_64_authorities_at_once_or_when_due() {
    // Goal: the 65th never enters, though it waited since there was room. Method: fill up while it waits.
    let mut log = Log::new();
    let server = log.server();
    log.wait(7 * DAY);
    let alias = |number: u8| {
        Body::NotaryAdd(Authority { role: Role::Alias, key: [number + 1; 32], scope: "dgns.test".into(), zone: None })
    };
    let act = log.does(server, alias(0), &[2]);
    for number in 1..AUTHORITIES_MAX as u8 {
        log.does(server, alias(number), &[1]);
    }
    assert_eq!(log.act(server, alias(64), &[1]), Err("too_many"));
    assert_eq!(log.act(server, confirm(act), &[1]), Err("too_many"));
    log.wait(WINDOW);
    assert_eq!((log.did(&server).authorities.len(), log.did(&server).pending.len()), (AUTHORITIES_MAX, 0));
}

#[test]
fn a_servers_state_does_not_outgrow_its_bound_and_settling_goes_on() {
    // Goal: a due act that would not fit dies; were it to stay, it would be due for ever. Method: a long name is on its way
    // to a server that fills up with authorities of long scopes, then of short ones.
    let (mut log, alice) = Log::with_alice(1);
    let (server, name) = (log.server(), format!("{}.dgns.test", "a".repeat(63)));
    log.does(alice, open_road(&name, &alice), &[11, Z]);
    log.act_by(alice, server, transfer(&name, server), &[11, 2]).expect("opened");
    let mut numbers = 100..;
    for length in [235, 1] {
        let scope = "i".repeat(length);
        let fits = |number: u8| {
            let authority =
                Authority { role: Role::Notary, key: key(number).public(), scope: scope.clone(), zone: None };
            log.act(server, Body::NotaryAdd(authority), &[1])
        };
        assert_eq!(numbers.by_ref().map(fits).find_map(Result::err), Some("too_many"));
    }
    assert!(log.did(&server).authorities.len() < AUTHORITIES_MAX, "bytes run out before rows");
    log.wait(WINDOW);
    assert_eq!((log.owner(&name), log.did(&alice).pending.len()), (Some(alice), 0));
}

#[test]
fn the_largest_state_without_authorities_fits() {
    let (log, alice) = Log::with_alice(1);
    let mut state = log.did(&alice).clone();
    let all: Vec<u8> = (0..=DEVICES_MAX as u8).collect();
    state.devices = vec![state.devices[0]; DEVICES_MAX];
    for device in &mut state.devices {
        (device.index, device.until_ms, device.status) = (u64::MAX, u64::MAX, DeviceStatus::Suspended);
    }
    state.names = vec![format!("{}.dgns.test", "a".repeat(90)); NAMES_MAX];
    let body = Body::NotaryAdd(Authority {
        role: Role::Notary,
        key: [0; 32],
        scope: "i".repeat(crate::limits::SCOPE_BYTES_MAX),
        zone: None,
    });
    let recipient = |n| Recipient { kind: RecipientKind::Passkey, kex: [n; 32] };
    state.user_key = Some(UserKeyState {
        generation: u64::MAX,
        key: [0; 32],
        index: u64::MAX,
        boxes: [0; 32],
        extras: (0..4).map(recipient).collect(),
    });
    let act = Pending {
        sid: [0; 32],
        kind: body.kind(),
        power: Power::Voter,
        due_ms: u64::MAX,
        supporters: all.iter().map(|number| kid(*number)).collect(),
        opponents: vec![],
        index: u64::MAX,
        body: body.encode(),
    };
    state.pending = vec![act; PENDING_MAX];
    // Of acts with so large a body one waits.
    let mut enrolment = recovery_set(u32::MAX).enrolment.expect("an enrolment");
    let mut server = enrolment.servers[0].clone();
    (server.url, server.operator) = ("u".repeat(SERVER_URL_BYTES_MAX), "o".repeat(OPERATOR_BYTES_MAX));
    enrolment.servers = vec![server; RECOVERY_SERVERS_MAX];
    enrolment.sign_ins = (0..4).map(|n| [n; 32]).collect();
    let largest = Body::RecoverySet(RecoverySet { epoch: u32::MAX, enrolment: Some(enrolment) });
    (state.pending[0].kind, state.pending[0].body) = (largest.kind(), largest.encode());
    state.recovery = Some(Box::new(RecoveryState {
        epoch: u32::MAX,
        phase: RecoveryPhase::Proved,
        keys: Some(RecoveryKeys {
            index: u64::MAX,
            sid: [0; 32],
            sign: [0; 32],
            kex: [0; 32],
            sign_ins: 4,
            needed: 4,
            fresh_until_ms: u64::MAX,
        }),
        guesses: GUESSES_MAX,
        attempt: Some(AttemptState { sid: [0; 32], sign: [0; 32], kex: [0; 32], at_ms: u64::MAX }),
        due_ms: u64::MAX,
        breaker_ms: u64::MAX,
    }));
    let envelope = Certificate::sign(&next(largest), &origin(), &[&key(1)]).expect("it fits a certificate");
    assert!(envelope.encode().len() <= CERTIFICATE_BYTES_MAX);
    let DidState { head, .. } = &mut state;
    (head.seq, head.index) = (u64::MAX, u64::MAX);
    assert!(state.encode().len() <= STATE_BYTES_MAX, "{}", state.encode().len());
}

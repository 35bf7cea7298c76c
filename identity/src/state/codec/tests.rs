use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::cert::RecipientKind;
use crate::state::Attested;
use crate::testing::arbitrary;
use crate::testing::samples;

fn did_state() -> DidState {
    let device = samples::device(2, Level::Admin);
    DidState {
        version: 3,
        did: Did::from_bytes([0xd1; 20]),
        kind: DidKind::User,
        flags: 0,
        head: ChainHead { seq: 2, sid: [0x3a; 32], index: 300 },
        identity: samples::key(1).public(),
        words_box: [4; 32],
        devices: vec![DeviceState {
            sign: device.sign,
            kex: device.kex,
            level: Level::Admin,
            status: DeviceStatus::Live,
            index: 7,
            until_ms: 0,
        }],
        user_key: None,
        window_s: 259_200,
        pending: vec![],
        recovery: None,
        names: vec!["alice.dgns.test".into()],
        authorities: vec![],
        uid: 7,
        born_ms: 1_800_000_000_000,
    }
}

fn name_state() -> NameState {
    NameState {
        version: 1,
        name: "alice.dgns.test".into(),
        did: Some(Did::from_bytes([0xd1; 20])),
        status: NameStatus::Live,
        claim_index: 8,
        held_until_ms: 0,
        records: None,
        delegate: None,
        children: 0,
    }
}

fn pending(body: &Body) -> Pending {
    Pending {
        sid: [0xac; 32],
        kind: body.kind(),
        power: Power::Voter,
        due_ms: 9,
        supporters: vec![Kid([1; 8])],
        opponents: vec![],
        index: 5,
        body: body.encode(),
    }
}

fn code<T>(decoded: Result<T, DecodeError>) -> &'static str {
    decoded.map_or_else(|error| error.code(), |_| "ok")
}

fn check_did(change: impl FnOnce(&mut DidState), expected: &str) {
    let mut state = did_state();
    change(&mut state);
    assert_eq!(code(DidState::decode(&state.encode())), expected, "{state:?}");
}

fn check_name(change: impl FnOnce(&mut NameState), expected: &str) {
    let mut state = name_state();
    change(&mut state);
    assert_eq!(code(NameState::decode(&state.encode())), expected, "{state:?}");
}

#[test]
fn a_did_state_out_of_range_is_refused() {
    check_did(|_| (), "ok");
    check_did(|state| state.version = 0, "bad_field");
    check_did(|state| state.flags = 16, "bad_field");
    check_did(|state| state.kind = DidKind::Account, "bad_field");
    check_did(|state| state.devices.push(state.devices[0]), "bad_field");
    check_did(|state| state.devices.clear(), "ok");
    check_did(|state| state.names.insert(0, "bob.dgns.test".into()), "bad_field");
    check_did(|state| state.names.push("Bob.dgns.test".into()), "bad_name");
    check_did(|state| state.names = (0..32).map(|i| format!("n{i:02}.dgns.test")).collect(), "ok");
    check_did(|state| state.names = (0..33).map(|i| format!("n{i:02}.dgns.test")).collect(), "bad_field");
    check_did(|state| state.pending = vec![pending(&Body::Tombstone); 8], "ok");
    check_did(|state| state.pending = vec![pending(&Body::Tombstone); 9], "bad_field");
    check_did(|state| state.pending = vec![Pending { supporters: vec![], ..pending(&Body::Tombstone) }], "bad_field");
    check_did(|state| state.pending = vec![Pending { kind: 12, ..pending(&Body::Tombstone) }], "unknown_type");
    check_did(|state| state.pending = vec![Pending { kind: 7, ..pending(&Body::Tombstone) }], "bad_field");
    check_did(|state| state.pending = vec![Pending { body: vec![0x18, 0], ..pending(&Body::Tombstone) }], "bad_field");
    let user_key = Some(UserKeyState { generation: 1, key: [1; 32], index: 7, boxes: [2; 32], extras: vec![] });
    check_did(|state| state.flags = DidState::USER_KEY_STALE, "bad_field");
    check_did(|state| (state.flags, state.user_key) = (DidState::USER_KEY_STALE, user_key.clone()), "ok");
    let recipient = |n| Recipient { kind: RecipientKind::Passkey, kex: [n; 32] };
    let extras = |numbers: &[u8]| {
        let extras = numbers.iter().map(|n| recipient(*n)).collect();
        Some(UserKeyState { extras, ..user_key.clone().expect("one") })
    };
    check_did(|state| state.user_key = extras(&[1, 2, 3, 4]), "ok");
    check_did(|state| state.user_key = extras(&[1, 2, 3, 4, 5]), "bad_field");
    check_did(|state| state.user_key = extras(&[2, 1]), "bad_field");
    let authority = AuthorityState { authority: samples::zone_authority(), index: 3, revoked_at: None };
    check_did(|state| state.authorities = vec![authority.clone(); 64], "ok");
    check_did(|state| state.authorities = vec![authority.clone(); 65], "bad_field");
    let mut without_terms = authority.clone();
    without_terms.authority.zone = None;
    check_did(|state| state.authorities = vec![without_terms], "bad_field");
}

#[test]
fn a_state_has_at_most_sixteen_kibibytes() {
    let large = |body: usize| {
        let mut records = samples::records();
        records.rows[0].rdata = vec![0; body];
        pending(&Body::Records(records.in_order()))
    };
    check_did(|state| state.pending = vec![large(3_000); 5], "ok");
    check_did(|state| state.pending = vec![large(3_000); 6], "too_large");
}

#[test]
fn a_name_state_agrees_with_its_status() {
    check_name(|_| (), "ok");
    check_name(|state| state.version = 0, "bad_field");
    check_name(|state| state.name = "alice".into(), "bad_name");
    check_name(|state| state.did = None, "bad_field");
    check_name(|state| state.held_until_ms = 9, "bad_field");
    check_name(|state| (state.status, state.held_until_ms) = (NameStatus::Held, 9), "ok");
    check_name(|state| state.status = NameStatus::Held, "bad_field");
    check_name(|state| state.status = NameStatus::Free, "bad_field");
    check_name(|state| (state.status, state.did) = (NameStatus::Free, None), "ok");
    check_name(|state| (state.records, state.children) = (Some((5, [1; 32])), 2), "ok");
    check_name(|state| state.delegate = Some((5, [1; 32])), "ok");
    check_name(|state| (state.delegate, state.records) = (Some((5, [1; 32])), Some((4, [1; 32]))), "bad_field");
    check_name(|state| (state.delegate, state.children) = (Some((5, [1; 32])), 1), "bad_field");
}

#[test]
fn what_is_left_out_when_empty_is_never_spelled_out() {
    let mut w = Writer::new();
    w.map(6).uint(0).uint(1).uint(1).text("alice.dgns.test").uint(2).bytes(&[0xd1; 20]);
    w.uint(3).uint(1).uint(4).uint(8).uint(10).uint(0);
    assert_eq!(code(NameState::decode(&w.finish())), "not_canonical");
}

#[test]
fn a_state_is_decoded_for_its_own_subject_alone() {
    let did = State::Did(did_state());
    assert_eq!(State::decode(&did.subject(), &did.encode()).as_ref(), Ok(&did));
    assert_eq!(code(State::decode(&Subject::Did(Did::from_bytes([0; 20])), &did.encode())), "bad_field");
    let name = State::Name(name_state());
    assert_eq!(State::decode(&name.subject(), &name.encode()).as_ref(), Ok(&name));
    assert_eq!(code(State::decode(&Subject::Name("bob.dgns.test".into()), &name.encode())), "bad_field");
    assert_eq!(code(State::decode(&did.subject(), &name.encode())), "bad_field");
    let mut conf = Writer::new();
    conf.map(2).uint(0).uint(1).uint(1).uint(4);
    let conf = conf.finish();
    let expected = State::LogConf { version: 5, payload: conf.clone() };
    assert_eq!(State::decode(&Subject::LogConf, &conf).as_ref(), Ok(&expected));
    assert_eq!(expected.encode(), conf);
}

#[test]
fn flags_say_what_a_reader_must_know_first() {
    let mut did = did_state();
    assert_eq!(State::Did(did.clone()).flags(), 0);
    did.flags = DidState::FROZEN | DidState::ENDED;
    did.pending = vec![pending(&Body::Tombstone)];
    assert_eq!(State::Did(did).flags(), 1 | 8 | 1 << 10);
    let name = |status| State::Name(NameState { status, ..name_state() }).flags();
    assert_eq!([name(NameStatus::Live), name(NameStatus::Held), name(NameStatus::Free)], [0, 1 << 8, 1 << 12]);
    assert_eq!(State::LogConf { version: 1, payload: vec![] }.flags(), 0);
}

#[test]
fn a_state_with_three_devices_stays_near_its_planned_size() {
    // Goal: identity.md section 6 plans about 520 bytes.
    let mut state = did_state();
    state.devices = vec![state.devices[0]; 3];
    assert!(state.encode().len() <= 560, "{}", state.encode().len());
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(did in arbitrary::did_state(), name in arbitrary::name_state()) {
        prop_assert_eq!(DidState::decode(&did.encode()), Ok(did));
        prop_assert_eq!(NameState::decode(&name.encode()), Ok(name));
    }

    #[test]
    fn decoding_any_bytes_never_panics(bytes in vec(any::<u8>(), 0..300)) {
        let _ = DidState::decode(&bytes);
        let _ = NameState::decode(&bytes);
        let _ = State::decode(&Subject::LogConf, &bytes);
    }

    #[test]
    fn decoding_a_damaged_state_gives_its_own_bytes_or_an_error(
        did in arbitrary::did_state(),
        place in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let mut bytes = did.encode();
        let at = place.index(bytes.len());
        bytes[at] = value;
        if let Ok(state) = DidState::decode(&bytes) {
            prop_assert_eq!(state.encode(), bytes);
        }
    }
}

fn alias_state() -> AliasState {
    let row = |n| Attested {
        sign: [n; 32],
        kex: [n; 32],
        index: n.into(),
        sid: [n; 32],
        notary: Kid([8; 8]),
        disputed: n == 1,
    };
    AliasState {
        version: 4,
        alias: [7; 32],
        did: Some(Did::from_bytes([0xd1; 20])),
        head: Some(ChainHead { seq: 1, sid: [2; 32], index: 2 }),
        attested: vec![row(1), row(2)],
        breaker_ms: 9,
    }
}

#[test]
fn an_alias_state_out_of_range_is_refused() {
    let check = |change: &dyn Fn(&mut AliasState), expected| {
        let mut state = alias_state();
        change(&mut state);
        assert_eq!(code(AliasState::decode(&state.encode())), expected, "{state:?}");
    };
    check(&|_| (), "ok");
    check(&|state| state.version = 0, "bad_field");
    check(&|state| (state.did, state.breaker_ms) = (None, 0), "ok");
    check(&|state| state.attested.clear(), "ok");
    check(&|state| state.head = None, "bad_field");
    check(&|state| state.attested.reverse(), "bad_field");
    check(&|state| state.attested = vec![state.attested[0]; 9], "bad_field");
    let whole = State::Alias(alias_state());
    assert_eq!(whole.subject(), Subject::Alias([7; 32]));
    assert_eq!(State::decode(&Subject::Alias([7; 32]), &whole.encode()), Ok(whole.clone()));
    assert_eq!(State::decode(&Subject::Alias([8; 32]), &whole.encode()), Err(DecodeError::BadField));
    assert_eq!((whole.flags(), whole.version()), (0, 4));
    let mut none = AliasState { breaker_ms: 0, ..alias_state() }.encode();
    none[0] += 1;
    none.extend([0x05, 0x00]);
    assert_eq!(code(AliasState::decode(&none)), "not_canonical");
}

proptest! {
    #[test]
    fn decoding_an_alias_state_undoes_encoding(state in arbitrary::alias_state(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = state.encode();
        prop_assert_eq!(AliasState::decode(&bytes), Ok(state));
        *at.get_mut(&mut bytes) = byte;
        if let Ok(other) = AliasState::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
        }
    }
}

//! `tests/vectors/aliases.json`: addresses in their one form, and what the log says of them.

use serde_json::{Value, json};

use super::*;
use crate::cert::{Authority, DidKind, Kid, Level, Role};
use crate::did::Did;
use crate::email::Email;
use crate::key::kid_of;
use crate::state::{AliasState, Attested, AuthorityState, ChainHead, DeviceState, DeviceStatus, DidState};
use crate::vectors::{hex, hold};

const ABOUT: [&str; 7] = [
    "Aliases (PROTOCOL 3.5). Bytes are hexadecimal.",
    "op address: in text; out the address in its one form, or error bad_address.",
    "op id: in evaluation (64 bytes), tag (16 bytes or null); out the alias id.",
    "op commitment: in address, nonce (32 bytes); out the commitment.",
    "op issuer: in issuer; out the hash that names it.",
    "op standing: in alias, owner, server (states), epoch_ms; out what each key that signed in may be taken for, in their order: device, suspended,",
    "disputed, notary_revoked, breaker, signed_in.",
];

/// Texts with their one form; none = no address.
const ADDRESSES: [(&str, Option<&str>); 33] = [
    ("alice@example.test", Some("alice@example.test")),
    ("  Alice@Example.TEST\n", Some("alice@example.test")),
    ("\u{a0}\u{2003}alice@example.test\u{3000}\u{85}", Some("alice@example.test")),
    ("a.l.ice+tag@example.test", Some("a.l.ice+tag@example.test")),
    ("\"a@b\"@example.test", Some("\"a@b\"@example.test")),
    ("\u{c4}li@xn--bcher-kva.test", Some("\u{c4}li@xn--bcher-kva.test")),
    ("\u{130}\u{212a}@example.test", Some("\u{130}\u{212a}@example.test")),
    ("!#$%&'*+/=?^_`{|}~-@a.b", Some("!#$%&'*+/=?^_`{|}~-@a.b")),
    ("1@1.2", Some("1@1.2")),
    ("a@xn--a.b-c.d", Some("a@xn--a.b-c.d")),
    ("\u{feff}alice@example.test", Some("\u{feff}alice@example.test")),
    ("a\u{200b}@example.test", Some("a\u{200b}@example.test")),
    ("", None),
    ("@", None),
    ("alice", None),
    ("@example.test", None),
    ("alice@", None),
    ("alice@localhost", None),
    ("alice@.test", None),
    ("alice@a..test", None),
    ("alice@example.test.", None),
    ("alice@-a.test", None),
    ("alice@a-.test", None),
    ("alice@a_b.test", None),
    ("alice@[192.0.2.1]", None),
    ("alice@b\u{fc}cher.test", None),
    ("alice@example.te\u{17f}t", None),
    ("a lice@example.test", None),
    ("a\u{2028}lice@example.test", None),
    ("alice @example.test", None),
    ("alice@ example.test", None),
    ("a\u{0}@example.test", None),
    ("a\u{9f}@example.test", None),
];

#[test]
fn aliases_json_holds() {
    let mut cases: Vec<Value> = ADDRESSES.iter().map(|(text, form)| address(text, *form)).collect();
    cases.extend(lengths());
    cases.extend([
        id("found by whoever knows the address", &[1; 64], None),
        id("hidden", &[1; 64], Some(&[0; 16])),
        id("hidden by another tag", &[1; 64], Some(&[9; 16])),
        id("of another address", &[2; 64], None),
        opened("alice@example.test", &[1; 32]),
        opened("alice@example.test", &[2; 32]),
        opened("bob@example.test", &[1; 32]),
    ]);
    for issuer in ["https://accounts.example.test", "https://accounts.example.test/", "passkey:dgns.test"] {
        cases.push(json!({ "op": "issuer", "name": issuer, "in": { "issuer": issuer }, "out": { "hash": hex(&issuer_hash(issuer)) } }));
    }
    cases.extend(standings());
    let outs: Vec<String> = cases.iter().map(|case| case["out"].to_string()).collect();
    let is_hash = |out: &&String| !out.contains('@') && !out.contains("standing") && *out != "null";
    let hashes: Vec<&String> = outs.iter().filter(is_hash).collect();
    assert!(hashes.iter().all(|one| hashes.iter().filter(|other| other == &one).count() == 1), "no two are one");
    hold("aliases", &ABOUT, &cases);
}

fn address(text: &str, form: Option<&str>) -> Value {
    let parsed = Email::parse(text);
    assert_eq!(parsed.as_ref().ok().map(Email::as_str), form, "{text:?}");
    match parsed {
        Ok(parsed) => {
            assert_eq!(Email::parse(parsed.as_str()), Ok(parsed.clone()), "a normal form is its own");
            assert_eq!(format!("{parsed:?}"), "Email(..)", "an address is not printed");
            json!({ "op": "address", "name": format!("{text:?}"), "in": { "text": text }, "out": { "address": parsed.as_str() } })
        }
        Err(error) => {
            json!({ "op": "address", "name": format!("{text:?}"), "in": { "text": text }, "error": error.code() })
        }
    }
}

/// The longest and the first that is too long: of a local part in ASCII and beyond, of a label, of a domain.
fn lengths() -> Vec<Value> {
    let of = |local: usize, label: usize| format!("{}@{}.test", "a".repeat(local), "b".repeat(label));
    let domain = |labels: usize| format!("a@{}", ["c".repeat(63).as_str()].repeat(labels).join("."));
    let long = |rest: usize| format!("{}.{}", domain(3), "d".repeat(rest));
    [
        (of(64, 63), true),
        (of(65, 63), false),
        (of(64, 64), false),
        (format!("{}@a.test", "\u{e4}".repeat(32)), true),
        (format!("{}a@a.test", "\u{e4}".repeat(32)), false),
        (long(63), true),
        (format!("{}.e", long(63)), false),
    ]
    .into_iter()
    .map(|(text, fits)| address(&text, fits.then_some(text.as_str())))
    .collect()
}

fn id(name: &str, evaluation: &Evaluation, tag: Option<&Tag>) -> Value {
    let given = json!({ "evaluation": hex(evaluation), "tag": tag.map(|tag| hex(tag)) });
    json!({ "op": "id", "name": name, "in": given, "out": { "id": hex(&alias_id(evaluation, tag)) } })
}

fn opened(address: &str, nonce: &[u8; 32]) -> Value {
    let given = json!({ "address": address, "nonce": hex(nonce) });
    json!({ "op": "commitment", "name": "an address and a nonce", "in": given, "out": { "commitment": hex(&commitment(address, nonce)) } })
}

/// One key of each kind: a device, one with another sealing key, a fresh and a suspended device, a stranger, one disputed, one whose notary
/// was revoked, one whose notary is the alias key, and one whose notary nobody knows.
fn standings() -> Vec<Value> {
    let authority = |number: u8, role, revoked_at| AuthorityState {
        authority: Authority {
            role,
            key: [number; 32],
            scope: if role == Role::Alias { "dgns.test" } else { "https://i.test" }.into(),
            zone: None,
        },
        index: 4,
        revoked_at,
    };
    let mut server = did_state(DidKind::Server, Vec::new());
    server.authorities =
        vec![authority(21, Role::Notary, None), authority(22, Role::Notary, Some(9)), authority(23, Role::Alias, None)];
    let device = |number: u8, status| DeviceState {
        sign: [number; 32],
        kex: [number + 100; 32],
        level: Level::Admin,
        status,
        index: 5,
        until_ms: 0,
    };
    let devices =
        [(1, DeviceStatus::Live), (2, DeviceStatus::Live), (3, DeviceStatus::Fresh), (4, DeviceStatus::Suspended)];
    let mut devices: Vec<_> = devices.map(|(number, status)| device(number, status)).into();
    devices.sort_by_key(|device| kid_of(&device.sign));
    let owner = did_state(DidKind::User, devices);
    let row = |number: u8, kex: u8, notary: u8, disputed| Attested {
        sign: [number; 32],
        kex: [kex; 32],
        index: number.into(),
        sid: [number; 32],
        notary: if notary == 0 { Kid([0; 8]) } else { kid_of(&[notary; 32]) },
        disputed,
    };
    let rows = vec![
        row(1, 101, 22, true),
        row(2, 7, 21, false),
        row(3, 103, 21, false),
        row(4, 104, 21, false),
        row(5, 105, 21, true),
        row(6, 106, 22, false),
        row(7, 107, 23, false),
        row(8, 108, 0, false),
    ];
    let alias = |breaker_ms| AliasState {
        version: 3,
        alias: [9; 32],
        did: Some(owner.did),
        head: Some(owner.head),
        attested: rows.clone(),
        breaker_ms,
    };
    let before =
        ["device", "breaker", "device", "suspended", "disputed", "notary_revoked", "notary_revoked", "notary_revoked"];
    let after = before.map(|name| if name == "breaker" { "signed_in" } else { name });
    let case = |name: &str, breaker_ms, epoch_ms, expected: [&str; 8]| {
        let alias = alias(breaker_ms);
        assert_eq!(AliasState::decode(&alias.encode()), Ok(alias.clone()));
        assert!([&owner, &server].iter().all(|state| DidState::decode(&state.encode()).is_ok()));
        let judged = alias.attested.iter().map(|row| Standing::of(row, &alias, &owner, &server, epoch_ms));
        let judged: Vec<_> = judged.map(Standing::name).collect();
        assert_eq!(judged, expected, "{name}");
        json!({ "op": "standing", "name": name, "in": {
            "alias": hex(&alias.encode()), "owner": hex(&owner.encode()), "server": hex(&server.encode()), "epoch_ms": epoch_ms,
        }, "out": { "standings": judged } })
    };
    vec![
        case("before the dispute is over", 1_000, 999, before),
        case("once it is over", 1_000, 1_000, after),
        case("without any", 0, 1, after),
    ]
}

fn did_state(kind: DidKind, devices: Vec<DeviceState>) -> DidState {
    DidState {
        version: 1,
        did: Did::from_bytes([7; 20]),
        kind,
        flags: 0,
        head: ChainHead { seq: 3, sid: [8; 32], index: 8 },
        identity: [1; 32],
        words_box: [2; 32],
        devices,
        user_key: None,
        window_s: 86_400,
        pending: Vec::new(),
        recovery: None,
        names: Vec::new(),
        authorities: Vec::new(),
        uid: 3,
        born_ms: 5,
    }
}

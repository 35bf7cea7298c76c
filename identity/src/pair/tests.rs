use serde_json::{Value, json};

use super::*;
use crate::cert::Level;
use crate::did::Did;
use crate::name::Origin;
use crate::testing::CountingRng;
use crate::testing::samples::{device, origin};
use crate::vectors::{hex, hold};

const SESSION: SessionId = SessionId([9; 16]);

fn did() -> Did {
    Did::from_bytes([7; 20])
}

const ABOUT: [&str; 6] = [
    "Pairing (PROTOCOL 20). Bytes are hexadecimal.",
    "op digits: in session, sign, kex (new device), old (signing key), of_new, of_old; out commitment and digits.",
    "op message: in bytes; out the message's number and its bytes again.",
    "op secret: in text (of the QR code, or words); out session, key, origin and did where the text says them.",
    "op open: in secret, by (1 old device, 2 new device), sealed; out message.",
    "error: the code that refuses it.",
];

#[test]
fn pairing_json_holds() {
    let mut cases = digits_cases();
    cases.extend(message_cases());
    cases.extend(secret_cases());
    cases.extend(relay_cases());
    hold("pairing", &ABOUT, &cases);
}

fn digits_cases() -> Vec<Value> {
    let case = |name: &str, session: SessionId, newcomer: u8, old: u8, of_new: u8, of_old: u8| {
        let (newcomer, old) = (device(newcomer, Level::Admin), device(old, Level::Admin).sign);
        let (of_new, of_old) = ([of_new; 32], [of_old; 32]);
        json!({
            "op": "digits", "name": name,
            "in": {
                "session": session.hex(), "sign": hex(&newcomer.sign), "kex": hex(&newcomer.kex), "old": hex(&old),
                "of_new": hex(&of_new), "of_old": hex(&of_old),
            },
            "out": {
                "commitment": hex(&commitment(&session, &newcomer, &of_new)),
                "digits": digits(&session, &newcomer, &old, &of_new, &of_old),
            },
        })
    };
    let cases = vec![
        case("digits", SESSION, 2, 3, 4, 5),
        case("another session", SessionId([8; 16]), 2, 3, 4, 5),
        case("another new device", SESSION, 6, 3, 4, 5),
        case("another old device", SESSION, 2, 6, 4, 5),
        case("another nonce of the new one", SESSION, 2, 3, 6, 5),
        case("another nonce of the old one", SESSION, 2, 3, 4, 6),
    ];
    let mut shown: Vec<&Value> = cases.iter().map(|case| &case["out"]["digits"]).collect();
    assert!(shown.iter().all(|digits| digits.as_str().is_some_and(|d| d.len() == 6)));
    shown.sort_by_key(|value| value.to_string());
    shown.dedup();
    assert_eq!(shown.len(), cases.len(), "every part counts");
    cases
}

fn messages() -> Vec<(&'static str, Message)> {
    let ask = |commitment| Message::Ask { did: did(), device: device(2, Level::Admin), commitment };
    vec![
        ("an ask online", ask(Some([4; 32]))),
        ("an ask offline", ask(None)),
        ("an answer", Message::Answer { sign: device(3, Level::Admin).sign, nonce: [5; 32] }),
        ("a reveal", Message::Reveal { nonce: [4; 32] }),
        ("a grant", Message::Grant { envelopes: vec![vec![1; 300], vec![2; 200]] }),
        ("boxes", Message::Boxes { boxes: vec![3; 400] }),
        ("an end", Message::End { reason: Ending::WrongDigits }),
        ("a hello", Message::Hello { did: did() }),
    ]
}

fn message_cases() -> Vec<Value> {
    let mut cases = Vec::new();
    for (name, message) in messages() {
        let bytes = message.encode();
        assert_eq!(Message::decode(&bytes).as_ref(), Ok(&message), "{name}");
        let number = bytes[1];
        cases.push(json!({ "op": "message", "name": name, "in": { "bytes": hex(&bytes) }, "out": { "number": number, "bytes": hex(&bytes) } }));
        for cut in [1, bytes.len() - 1] {
            assert!(Message::decode(&bytes[..cut]).is_err(), "{name} cut at {cut}");
        }
    }
    let mut refused = |name: &str, bytes: &[u8], code: &str| {
        assert_eq!(Message::decode(bytes).expect_err(name).code(), code, "{name}");
        cases.push(json!({ "op": "message", "name": name, "in": { "bytes": hex(bytes) }, "error": code }));
    };
    let reveal = Message::Reveal { nonce: [4; 32] }.encode();
    refused("no message", &[0x80], "bad_field");
    refused("an unknown number", &[0x82, 0x08, 0x40], "bad_field");
    refused("an unknown reason", &[0x82, 0x06, 0x05], "bad_field");
    refused("a reveal with more", &[&reveal[..], &[0]].concat(), "bad_cbor");
    refused("a short nonce", &[0x82, 0x03, 0x41, 0x00], "bad_field");
    refused("a long number", &[0x82, 0x18, 0x03, 0x41, 0x00], "not_canonical");
    refused("a grant of nothing", &[0x82, 0x04, 0x80], "bad_field");
    let three = Message::Grant { envelopes: vec![vec![1], vec![2], vec![3]] };
    refused("a grant of three", &three.encode(), "bad_field");
    let large = Message::Boxes { boxes: vec![0; MESSAGE_BYTES_MAX] };
    refused("more than the relay takes", &large.encode(), "too_large");
    cases
}

fn secret_cases() -> Vec<Value> {
    let invitation = Invitation { origin: origin(), did: did(), secret: Secret::from_bytes([1; 16]) };
    let (text, words) = (invitation.text(), invitation.secret.words());
    let read = |name: &str, text: &str, known: bool| {
        let (secret, invited) = Invitation::parse(text).expect(name);
        assert_eq!(secret, invitation.secret, "{name}");
        assert_eq!(invited.is_some(), known, "{name}");
        let (origin, did) = (invited.as_ref().map(|i| i.origin.as_str()), invited.as_ref().map(|i| i.did.to_string()));
        json!({
            "op": "secret", "name": name, "in": { "text": text },
            "out": { "session": secret.session().hex(), "key": hex(secret.key().bytes_for_tests()), "origin": origin, "did": did },
        })
    };
    let mut cases = vec![
        read("the text of a QR code", &text, true),
        read("words", &words, false),
        read("words in capitals", &words.to_uppercase(), false),
    ];
    let mut refused = |name: &str, text: &str| {
        assert_eq!(Invitation::parse(text).expect_err(name).code(), "bad_secret", "{name}");
        cases.push(json!({ "op": "secret", "name": name, "in": { "text": text }, "error": "bad_secret" }));
    };
    refused("another order", &text.replace("o=", "x=").replace("d=", "o="));
    refused("something behind", &format!("{}&z=1", text.as_str()));
    refused("a short secret", &text[..text.len() - 1]);
    refused("a padded secret", &format!("{}==", text.as_str()));
    refused("no log", &text.replace("dgns.test/log", "dgns.test"));
    refused("eleven words", words.rsplit_once(' ').expect("twelve words").0);
    refused("two words changed", &words.replacen("absurd", "zoo", 1));
    refused("no word of the list", "one two three four five six seven eight nine ten eleven twelve");
    refused("nothing", "");
    cases
}

fn relay_cases() -> Vec<Value> {
    let secret = Secret::from_bytes([1; 16]);
    let key = secret.key();
    let message = Message::Hello { did: did() }.encode();
    let sealed = key.seal(Side::Old, &message, &mut CountingRng(1));
    let case = |name: &str, secret: &Secret, by: Side, sealed: &[u8]| {
        let given = json!({ "secret": hex(secret.bytes_for_tests()), "by": by as u8, "sealed": hex(sealed) });
        match secret.key().open(by, sealed) {
            Ok(opened) => json!({ "op": "open", "name": name, "in": given, "out": { "message": hex(&opened) } }),
            Err(refusal) => json!({ "op": "open", "name": name, "in": given, "error": refusal.code() }),
        }
    };
    let mut changed = sealed.clone();
    changed[20] ^= 1;
    let cases = vec![
        case("what was sealed opens", &secret, Side::Old, &sealed),
        case("sent back to who said it", &secret, Side::New, &sealed),
        case("under another secret", &Secret::from_bytes([2; 16]), Side::Old, &sealed),
        case("a changed bit", &secret, Side::Old, &changed),
        case("cut", &secret, Side::Old, &sealed[..sealed.len() - 1]),
        case("less than a nonce", &secret, Side::Old, &sealed[..5]),
    ];
    assert!(cases[0]["error"].is_null() && cases[1..].iter().all(|case| case["error"] == "not_opened"));
    cases
}

#[test]
fn no_bit_of_a_sealed_message_is_free() {
    let key = Secret::from_bytes([1; 16]).key();
    let sealed = key.seal(Side::New, b"hello", &mut CountingRng(1));
    for at in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[at / 8] ^= 1 << (at % 8);
        assert_eq!(key.open(Side::New, &changed).err(), Some(RelayRefusal), "bit {at}");
    }
    assert_eq!(key.open(Side::New, &sealed).unwrap().as_slice(), b"hello");
}

#[test]
fn what_the_relay_takes_fits_sealed_too() {
    let key = Secret::from_bytes([1; 16]).key();
    let longest = vec![0; RelayKey::message_bytes_max()];
    assert_eq!(key.seal(Side::Old, &longest, &mut CountingRng(1)).len(), MESSAGE_BYTES_MAX);
    assert!(
        Message::Boxes { boxes: vec![0; crate::user_key::BOXES_BYTES_MAX] }.encode().len()
            <= RelayKey::message_bytes_max()
    );
}

#[test]
fn sessions_and_texts_come_back_as_they_went() {
    assert_eq!(SessionId::from_hex(&SESSION.hex()), Some(SESSION));
    assert_eq!(SessionId::from_hex(&SESSION.hex().to_uppercase().replace('0', "A")), None);
    assert_eq!(SessionId::from_hex("09"), None);
    let other = Origin::parse("xn--bcher-kva.example/log").expect("an origin");
    let invitation = Invitation { origin: other, did: did(), secret: Secret::generate(&mut CountingRng(5)) };
    assert_eq!(Invitation::parse(&invitation.text()).unwrap().1, Some(invitation));
}

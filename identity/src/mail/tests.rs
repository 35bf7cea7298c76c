//! `tests/vectors/mail.json`: letters that open, and every way in which one does not.

use serde_json::{Value, json};

use super::*;
use crate::sealed::seal;
use crate::testing::CountingRng;
use crate::vectors::{hex, hold};

const ABOUT: [&str; 5] = [
    "Letters (PROTOCOL 22). Bytes are hexadecimal; did is 20 bytes.",
    "op open: in origin, did of the recipient, sign (its device's signing key), secret (its X25519 secret), enc, ct; out sent_s, content, name, and",
    "from = did and key of who signed, or null.",
    "op letter: in letter, the bytes inside; out the same bytes.",
    "error: the code that refuses it.",
];

fn origin() -> Origin {
    Origin::parse("dgns.test/log").unwrap()
}

fn alice() -> Did {
    Did::from_bytes([7; 20])
}

fn bob() -> Did {
    Did::from_bytes([8; 20])
}

fn kex() -> KexSecret {
    KexSecret::from_bytes([3; 32])
}

fn device() -> Recipient {
    Recipient { did: alice(), sign: SigningKey::from_seed(&[2; 32]).public(), kex: kex().public() }
}

fn bobs() -> SigningKey {
    SigningKey::from_seed(&[9; 32])
}

fn text() -> Letter {
    Letter::new("Bring the key.\n\u{1f511}".as_bytes(), None, 1_700_000_000).unwrap()
}

fn from_bob() -> Letter {
    text().signed(&origin(), &alice(), bob(), &bobs())
}

fn named(name: &str) -> Letter {
    Letter { name: Some(name.into()), ..text() }
}

fn boxed(letter: &Letter) -> Sealed {
    letter.seal(&device(), &mut CountingRng(5)).unwrap()
}

/// Seals bytes that no writer makes.
fn boxed_bytes(bytes: &[u8]) -> Sealed {
    seal(&device().kex, &info(&alice()), &device().sign, bytes, &mut CountingRng(6)).unwrap()
}

fn case_at(name: &str, origin: &str, did: &Did, sign: &KeyBytes, sealed: &Sealed) -> Value {
    let given = json!({
        "origin": origin, "did": hex(did.as_bytes()), "sign": hex(sign), "secret": hex(&*kex().to_bytes()),
        "enc": hex(&sealed.enc), "ct": hex(&sealed.ct),
    });
    match Letter::open(sealed, &Origin::parse(origin).unwrap(), did, sign, &kex()) {
        Ok(letter) => json!({ "op": "open", "name": name, "in": given, "out": {
            "sent_s": letter.sent_s(), "content": hex(letter.content()), "name": letter.name(),
            "from": letter.sender().map(|sender| json!({ "did": hex(sender.did.as_bytes()), "key": hex(&sender.key) })),
        } }),
        Err(error) => json!({ "op": "open", "name": name, "in": given, "error": error.code() }),
    }
}

fn case(name: &str, sealed: &Sealed) -> Value {
    case_at(name, "dgns.test/log", &alice(), &device().sign, sealed)
}

#[test]
fn mail_json_holds() {
    let mut cases = vec![
        case("a text that nobody signed", &boxed(&text())),
        case("a text that bob signed", &boxed(&from_bob())),
        case("a file", &boxed(&Letter::new(&[0, 255], Some("k\u{fc}bel.bin"), 0).unwrap())),
        case("nothing at all", &boxed(&Letter::new(&[], None, 0).unwrap())),
        case("the longest", &boxed(&Letter::new(&[1; LETTER_BYTES_MAX], None, u64::MAX).unwrap())),
    ];
    assert!(cases.iter().all(|case| case["error"].is_null()));
    cases.extend(refused());
    for (name, letter) in [
        ("a bare text", text()),
        ("a bare file that bob signed", named("a b").signed(&origin(), &alice(), bob(), &bobs())),
    ] {
        let bytes = letter.encode();
        assert_eq!(Letter::decode(&bytes), Ok(letter));
        cases.push(
            json!({ "op": "letter", "name": name, "in": { "letter": hex(&bytes) }, "out": { "letter": hex(&bytes) } }),
        );
    }
    hold("mail", &ABOUT, &cases);
}

fn refused() -> Vec<Value> {
    let (whole, signed) = (text().encode(), from_bob().encode());
    let mut other_text = from_bob();
    other_text.content.push(0);
    let mut other_key = from_bob();
    other_key.signed.as_mut().unwrap().0.key = SigningKey::from_seed(&[10; 32]).public();
    let mut other_person = from_bob();
    other_person.signed.as_mut().unwrap().0.did = alice();
    let to_bob = text().signed(&origin(), &bob(), bob(), &bobs());
    let too_long = Letter { content: vec![0; LETTER_BYTES_MAX + 1].into(), ..text() };
    let mut changed = boxed(&text());
    changed.ct[3] ^= 1;
    let weak = Sealed { enc: [0; 32], ..boxed(&text()) };
    let of = |code: &str, cases: Vec<Value>| {
        assert!(cases.iter().all(|case| case["error"] == code), "{code}: {cases:?}");
        cases
    };
    let at =
        |origin: &str, did: &Did, sign: &KeyBytes| case_at("named otherwise", origin, did, sign, &boxed(&from_bob()));
    [
        of(
            "not_opened",
            vec![
                at("dgns.test/log", &bob(), &device().sign),
                at("dgns.test/log", &alice(), &bobs().public()),
                case("a changed bit", &changed),
            ],
        ),
        of("bad_enc", vec![case("a key of small order", &weak)]),
        of(
            "bad_signature",
            vec![
                at("else.test/log", &alice(), &device().sign),
                case("another text than was signed", &boxed(&other_text)),
                case("another key than signed", &boxed(&other_key)),
                case("another person's signature", &boxed(&other_person)),
                case("written to somebody else and sealed again", &boxed(&to_bob)),
            ],
        ),
        of("too_large", vec![case("a byte too long", &boxed(&too_long))]),
        of(
            "bad_field",
            vec![
                case("a name that is empty", &boxed(&named(""))),
                case("a name that leads elsewhere", &boxed(&named("../a"))),
                case("a name that hides", &boxed(&named(".bashrc"))),
                case("a name with a line in it", &boxed(&named("a\nb"))),
                case("a name too long", &boxed(&named(&"a".repeat(LETTER_NAME_BYTES_MAX + 1)))),
                case("of another format", &boxed_bytes(&[&[0xa3, 0x00, 0x02], &whole[3..]].concat())),
                case("a key that nobody knows", &boxed_bytes(&[&[0xa4], &whole[1..], &[0x05, 0x00]].concat())),
            ],
        ),
        of(
            "bad_cbor",
            vec![
                case("cut", &boxed_bytes(&signed[..signed.len() - 1])),
                case("something behind", &boxed_bytes(&[&whole[..], &[0]].concat())),
                case("nothing", &boxed_bytes(&[])),
            ],
        ),
        of(
            "not_canonical",
            vec![case("a number in a longer spelling", &boxed_bytes(&[&[0xa3, 0x18, 0x00], &whole[2..]].concat()))],
        ),
    ]
    .concat()
}

#[test]
fn the_longest_letter_fits_into_an_envelope() {
    let name = "n".repeat(LETTER_NAME_BYTES_MAX);
    let letter = Letter::new(&[0; LETTER_BYTES_MAX], Some(&name), u64::MAX).unwrap();
    let letter = letter.signed(&origin(), &alice(), bob(), &bobs());
    assert!(boxed(&letter).ct.len() <= 4_096, "{}", boxed(&letter).ct.len());
    assert_eq!(format!("{letter:?}"), "Letter(3584 bytes)", "what was written is not printed");
}

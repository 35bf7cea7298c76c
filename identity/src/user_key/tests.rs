use serde_json::{Value, json};

use super::*;
use crate::testing::CountingRng;
use crate::vectors::{hex, hold};

fn did() -> Did {
    Did::from_bytes([7; 20])
}

fn kex(number: u8) -> KexSecret {
    KexSecret::from_bytes([number; 32])
}

fn seed(number: u8) -> UserSeed {
    UserSeed::from_bytes([number; 32])
}

fn keys(numbers: &[u8]) -> Vec<KeyBytes> {
    numbers.iter().map(|number| kex(*number).public()).collect()
}

fn boxes(generation: u64, previous: Option<u8>, to: &[u8]) -> Boxes {
    let previous = previous.map(seed);
    let rng = &mut CountingRng(generation);
    Boxes::seal(&did(), generation, &seed(40 + generation as u8), previous.as_ref(), &keys(to), rng)
        .expect("sound keys")
}

const ABOUT: [&str; 6] = [
    "The user key and what is sealed to it (PROTOCOL 21). Bytes are hexadecimal; did is 20 bytes.",
    "op key: in seed; out the X25519 secret and public key.",
    "op boxes: in did, generation, user_key (of the state), recipients (X25519 keys the state asks a box for), boxes, and secret, one of the",
    "recipients' X25519 secrets; out hash, seed, and previous, the seed of the generation before or null.",
    "op file: in seed, file; out did, generation, content.",
    "error: the code that refuses it.",
];

#[test]
fn user_keys_json_holds() {
    let mut cases = vec![json!({
        "op": "key", "name": "a seed makes a key", "in": { "seed": hex(&*seed(41).to_bytes()) },
        "out": { "secret": hex(&*seed(41).secret().to_bytes()), "public": hex(&seed(41).public()) },
    })];
    cases.extend(boxes_cases());
    cases.extend(file_cases());
    hold("user_keys", &ABOUT, &cases);
}

/// Decodes, holds against the recipients and opens, as a new device does.
fn judge(
    bytes: &[u8],
    generation: u64,
    user_key: &KeyBytes,
    to: &[KeyBytes],
    secret: &KexSecret,
) -> Result<(UserSeed, Option<UserSeed>), &'static str> {
    let boxes = Boxes::decode(bytes).map_err(|error| error.code())?;
    boxes.check(generation, to).map_err(|error| error.code())?;
    let seed = boxes.open(&did(), generation, user_key, secret).map_err(|error| error.code())?;
    let previous = boxes.open_previous(&did(), generation, &seed).map_err(|error| error.code())?;
    Ok((seed, previous))
}

fn boxes_cases() -> Vec<Value> {
    let case = |name: &str, bytes: &[u8], generation: u64, public: KeyBytes, to: &[u8], secret: u8| {
        let given = json!({
            "did": hex(did().as_bytes()), "generation": generation, "user_key": hex(&public), "secret": hex(&*kex(secret).to_bytes()),
            "recipients": keys(to).iter().map(|key| hex(key)).collect::<Vec<_>>(), "boxes": hex(bytes),
        });
        match judge(bytes, generation, &public, &keys(to), &kex(secret)) {
            Ok((seed, previous)) => json!({
                "op": "boxes", "name": name, "in": given,
                "out": {
                    "hash": hex(&Boxes::hash_of(bytes)), "seed": hex(&*seed.to_bytes()),
                    "previous": previous.map(|seed| hex(&*seed.to_bytes())),
                },
            }),
            Err(code) => json!({ "op": "boxes", "name": name, "in": given, "error": code }),
        }
    };
    let (first, second) = (boxes(1, None, &[2, 3]), boxes(2, Some(41), &[2, 3, 4]));
    let (one, two) = (first.encode(), second.encode());
    let (of_one, of_two) = (seed(41).public(), seed(42).public());
    let mut unordered = second.clone();
    unordered.rows.swap(0, 1);
    let mut swapped = second.clone();
    swapped.rows[0].1 = second.rows[1].1.clone();
    let mut changed = two.clone();
    *changed.last_mut().expect("bytes") ^= 1;
    let all = |code: &str, cases: &[Value]| cases.iter().all(|case| case["error"] == *code);
    let sound = [
        case("the first generation", &one, 1, of_one, &[2, 3], 2),
        case("another recipient of it", &one, 1, of_one, &[2, 3], 3),
        case("the second generation, with the first under it", &two, 2, of_two, &[2, 3, 4], 4),
    ];
    assert!(sound.iter().all(|case| case["error"].is_null()));
    let bad = [
        case("a recipient without a box", &one, 1, of_one, &[2, 3, 4], 2),
        case("a box for a stranger", &two, 2, of_two, &[2, 3], 2),
        case("a later generation without the seed before", &one, 2, of_one, &[2, 3], 2),
        case("a first generation with a seed before", &two, 1, of_two, &[2, 3, 4], 2),
        case("out of order", &unordered.encode(), 2, of_two, &[2, 3, 4], 2),
        case("cut", &two[..two.len() - 1], 2, of_two, &[2, 3, 4], 2),
        case("something behind", &[&two[..], &[0]].concat(), 2, of_two, &[2, 3, 4], 2),
        case("more than 4,000 bytes", &[0; 4_001], 2, of_two, &[2, 3, 4], 2),
    ];
    assert!(all("bad_boxes", &bad));
    let no_box = [case("no box for this key", &one, 1, of_one, &[2, 3], 9)];
    assert!(all("no_box", &no_box));
    let wrong = [case("the box of another user key", &one, 1, of_two, &[2, 3], 2)];
    assert!(all("wrong_seed", &wrong));
    let closed = [
        case("another's box in its place", &swapped.encode(), 2, of_two, &[2, 3, 4], opener(&swapped)),
        case("a changed bit in the seed before", &changed, 2, of_two, &[2, 3, 4], 2),
    ];
    assert!(all("not_opened", &closed));
    [&sound[..], &bad, &no_box, &wrong, &closed].concat()
}

/// Returns whose box stands first.
fn opener(boxes: &Boxes) -> u8 {
    (2..=4).find(|number| recipient_of(&kex(*number).public()) == boxes.rows[0].0).expect("one of them")
}

fn file_cases() -> Vec<Value> {
    let file = SealedFile::seal(&did(), 1, &seed(41).public(), b"for your eyes", &mut CountingRng(8)).expect("a key");
    let bytes = file.encode();
    let case = |name: &str, opener: u8, bytes: &[u8]| {
        let given = json!({ "seed": hex(&*seed(opener).to_bytes()), "file": hex(bytes) });
        match SealedFile::decode(bytes).and_then(|file| Ok((file.open(&seed(opener))?, file))) {
            Ok((content, file)) => json!({
                "op": "file", "name": name, "in": given,
                "out": { "did": hex(file.did.as_bytes()), "generation": file.generation, "content": hex(&content) },
            }),
            Err(error) => json!({ "op": "file", "name": name, "in": given, "error": error.code() }),
        }
    };
    let (mut other_generation, mut other_person) = (file.clone(), file);
    other_generation.generation = 2;
    other_person.did = Did::from_bytes([8; 20]);
    let (other_generation, other_person) = (other_generation.encode(), other_person.encode());
    let cases = vec![
        case("a file opens", 41, &bytes),
        case("with another seed", 42, &bytes),
        case("named as another generation's", 41, &other_generation),
        case("named as another person's", 41, &other_person),
        case("cut", 41, &bytes[..bytes.len() - 1]),
        case("of another format", 41, &[&[0xa5, 0x00, 0x02], &bytes[3..]].concat()),
    ];
    let codes: Vec<_> = cases.iter().map(|case| case["error"].as_str().unwrap_or("")).collect();
    assert_eq!(codes, ["", "not_opened", "not_opened", "not_opened", "bad_cbor", "bad_field"]);
    cases
}

#[test]
fn the_largest_boxes_fit() {
    // Goal: a DID with all it may have is not stuck. Method: 32 devices, the words, four passkeys and a recovery box.
    let numbers: Vec<u8> = (1..=38).collect();
    let bytes = boxes(2, Some(41), &numbers).encode();
    assert!(bytes.len() <= BOXES_BYTES_MAX, "{}", bytes.len());
    assert!(Boxes::decode(&bytes).unwrap().check(2, &keys(&numbers)).is_ok());
}

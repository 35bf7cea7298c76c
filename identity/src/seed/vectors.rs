//! `tests/vectors/words.json`: words and the keys they stand for.

use serde_json::{Value, json};

use super::*;
use crate::vectors::{hex, hold};

const ABOUT: [&str; 3] = [
    "Words and the keys they make (PROTOCOL 3.2). Bytes are hexadecimal. op words: in text as a person types it; out phrase, identity",
    "and words_box (public keys). error: words_count, words_unknown, words_checksum. op entropy: in entropy; out phrase. op slip10: in",
    "seed, path (each step hardened); out key, chain_code.",
];

#[test]
fn words_json_holds() {
    let mut cases = Vec::new();
    for byte in [0_u8, 0x7f, 0x80, 0xff] {
        cases.push(entropy(&[byte; 16]));
        cases.push(entropy(&[byte; 32]));
    }
    for number in 1..=4 {
        let phrase = Words::generate(&mut crate::testing::CountingRng(number)).phrase();
        cases.push(words(&format!("12 words, {number}"), &phrase, Ok(())));
    }
    let good = Mnemonic::from_entropy(&[0x7f; 32]).expect("32 bytes").to_string();
    cases.push(words("24 words", &good, Ok(())));
    cases.push(words("typed in a hurry", &format!(" \t{}\n ", good.to_uppercase().replace(' ', "   ")), Ok(())));
    cases.push(words("none", "", Err("words_count")));
    cases.push(words("11 words", &"abandon ".repeat(11), Err("words_count")));
    cases.push(words("15 words", &"abandon ".repeat(15), Err("words_count")));
    cases.push(words("a word of another list", &format!("{}abandonner", "abandon ".repeat(11)), Err("words_unknown")));
    cases.push(words("a wrong last word", &"abandon ".repeat(12), Err("words_checksum")));
    cases.push(words("two words exchanged", &exchanged(&good), Err("words_checksum")));
    for (seed, path) in
        [(&[0xa5; 16][..], &[][..]), (&[0xa5; 16], &[0]), (&[0x5a; 64], &[44, COIN, 1]), (&[1; 64], &[0x7fff_ffff])]
    {
        let node = slip10(seed, path);
        let out = json!({ "key": hex(node.key.as_ref()), "chain_code": hex(node.chain_code.as_ref()) });
        cases.push(json!({ "op": "slip10", "in": { "seed": hex(seed), "path": path }, "out": out }));
    }
    hold("words", &ABOUT, &cases);
}

fn entropy(bytes: &[u8]) -> Value {
    let phrase = Mnemonic::from_entropy(bytes).expect("16 or 32 bytes").to_string();
    json!({ "op": "entropy", "in": { "entropy": hex(bytes) }, "out": { "phrase": phrase } })
}

fn words(name: &str, text: &str, expected: Result<(), &str>) -> Value {
    let given = json!({ "text": text });
    let code = |error: &WordsError| match error {
        WordsError::Count(_) => "words_count",
        WordsError::Unknown(_) => "words_unknown",
        WordsError::Checksum => "words_checksum",
    };
    let parsed = Words::parse(text);
    assert_eq!(parsed.as_ref().map(|_| ()).map_err(code), expected, "{name}");
    match parsed {
        Ok(words) => {
            let (identity, words_box) = (words.identity().public(), words.words_box().public());
            let out =
                json!({ "phrase": words.phrase().as_str(), "identity": hex(&identity), "words_box": hex(&words_box) });
            json!({ "op": "words", "name": name, "in": given, "out": out })
        }
        Err(error) => json!({ "op": "words", "name": name, "in": given, "error": code(&error) }),
    }
}

fn exchanged(phrase: &str) -> String {
    // Of some exchanges the checksum takes no notice: the first one that it does.
    let words: Vec<&str> = phrase.split(' ').collect();
    let pairs = (1..words.len()).map(|at| {
        let mut other = words.clone();
        other.swap(at - 1, at);
        other.join(" ")
    });
    pairs.filter(|text| text != phrase).find(|text| Words::parse(text).is_err()).expect("one of 23")
}

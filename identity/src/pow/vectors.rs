//! `tests/vectors/work.json`: proof of work and invitation codes.

use serde_json::{Value, json};

use super::*;
use crate::vectors::{hex, hold};

const ABOUT: [&str; 3] = [
    "Proof of work and invitation codes (PROTOCOL 5.2). Bytes are hexadecimal, nonces 8 bytes. op work: in name, did, nonce; out hash,",
    "bits. op solve: in name, did, bits, start; out nonce, the first from start on that is enough. op invite: in code; out hash.",
    "The names are of every length around the blocks of SHA-256.",
];

#[test]
fn work_json_holds() {
    let mut cases = Vec::new();
    for length in [3, 12, 13, 14, 20, 21, 22, 23, 63, 90] {
        let name = format!("{}.dgns.test", "n".repeat(length));
        let did = Did::from_bytes([length as u8; 20]);
        cases.push(worked(&name, &did, 258));
        cases.push(solved(&name, &did, 8, 1_000));
    }
    let did = Did::from_bytes([7; 20]);
    cases.push(worked("alice.dgns.test", &did, u64::MAX));
    cases.push(solved("alice.dgns.test", &did, 0, 5));
    cases.push(solved("alice.dgns.test", &did, 12, (1 << 32) - 3));
    cases.push(solved("alice.dgns.test", &did, 8, u64::MAX));
    cases.push(solved("alice.dgns.test", &did, 14, 0));
    for code in [[0; 16], [0xc0; 16]] {
        cases.push(json!({ "op": "invite", "in": { "code": hex(&code) }, "out": { "hash": hex(&code_hash(&code)) } }));
    }
    hold("work", &ABOUT, &cases);
}

fn worked(name: &str, did: &Did, nonce: u64) -> Value {
    let hash = work(name, did, nonce);
    let given = json!({ "name": name, "did": hex(did.as_bytes()), "nonce": hex(&nonce.to_be_bytes()) });
    json!({ "op": "work", "in": given, "out": { "hash": hex(&hash), "bits": leading_zero_bits(&hash) } })
}

fn solved(name: &str, did: &Did, bits: u8, start: u64) -> Value {
    let nonce = solve(name, did, bits, start, |_| ());
    let given = json!({ "name": name, "did": hex(did.as_bytes()), "bits": bits, "start": hex(&start.to_be_bytes()) });
    json!({ "op": "solve", "in": given, "out": { "nonce": hex(&nonce.to_be_bytes()) } })
}

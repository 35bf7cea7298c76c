//! tests/vectors/map.json

use identity::did::Did;
use identity::hash::sha256;
use serde_json::{Value, json};

use super::*;
use crate::vectors::{hex, hold};

const ABOUT: [&str; 7] = [
    "The map (PROTOCOL 10). Bytes are hexadecimal. op label: in.kind name|did|logconf|anchors -> out.label.",
    "op value: an opened leaf's fields and State bytes -> its 52 bytes, the 84-byte value, the State's hash, the commitment.",
    "op root: rows [label, commitment] in any order -> the root.",
    "op proof: proof bytes, claims [label, commitment or null for absent] in the order of the proof, and the root they must lead to;",
    "error: malformed (the bytes alone show it) or map_proof.",
    "op digest: SHA-256 over the concatenated roots of maps 0..100. Map m has (m * m) mod 257 rows; row i has label SHA-256(u32 m, u32 i), of which, if m is",
    "odd, the first m mod 20 bytes are then set to zero; its commitment is SHA-256 of the final label. Integers are big-endian.",
];

#[test]
fn map_vectors_hold() {
    let mut cases = labels();
    cases.push(value_case());
    cases.extend(root_cases());
    cases.extend(proof_cases());
    cases.push(digest_case());
    hold("map", &ABOUT, &cases);
}

fn labels() -> Vec<Value> {
    let did = Did::from_bytes([7; 20]);
    vec![
        json!({"name": "label of a name", "op": "label", "in": {"kind": "name", "name": "alice.dgns.test"},
            "out": {"label": hex(&label_name("alice.dgns.test"))}}),
        json!({"name": "label of a DID", "op": "label", "in": {"kind": "did", "did": hex(did.as_bytes())},
            "out": {"label": hex(&label_did(&did))}}),
        json!({"name": "label of an alias", "op": "label", "in": {"kind": "alias", "alias": hex(&[0xa1; 32])},
            "out": {"label": hex(&label_alias(&[0xa1; 32]))}}),
        json!({"name": "label of the log's configuration", "op": "label", "in": {"kind": "logconf"},
            "out": {"label": hex(&label_logconf())}}),
        json!({"name": "label of the anchors", "op": "label", "in": {"kind": "anchors"},
            "out": {"label": hex(&label_anchors())}}),
    ]
}

fn value_case() -> Value {
    let opened = OpenedLeaf { version: 3, head_index: 4_294_967_297, head_hash: [0xab; 32], flags: 0x0000_0401 };
    let state = b"a state is canonical CBOR; here it is only bytes";
    json!({"name": "value of an opened leaf and a State", "op": "value",
        "in": {"version": opened.version, "head_index": opened.head_index, "head_hash": hex(&opened.head_hash),
            "flags": opened.flags, "state": hex(state)},
        "out": {"opened": hex(&opened.encode()), "state_hash": hex(&state_hash(state)),
            "value": hex(&opened.value(state)), "commitment": hex(&opened.commitment(state))}})
}

fn root_cases() -> Vec<Value> {
    let rows = |count: u32| (0..count).map(|n| row(1_000, n)).collect::<Vec<_>>();
    let mut near = [[0x55; 32], [0x55; 32]];
    near[1][31] ^= 1 << 7;
    let cases = [
        ("root of the empty map", vec![]),
        ("root of one label", rows(1)),
        ("root of two labels", rows(2)),
        ("root of two labels that share 248 bits", near.map(|label| (label, [1; 32])).to_vec()),
        ("root of 40 labels", rows(40)),
    ];
    let case = |(name, rows): (&str, Vec<(Hash, Hash)>)| {
        let listed: Vec<_> = rows.iter().map(|(label, commitment)| json!([hex(label), hex(commitment)])).collect();
        json!({"name": name, "op": "root", "in": {"rows": listed}, "out": {"root": hex(&map_of(&rows).root())}})
    };
    cases.into_iter().map(case).collect()
}

fn proof_cases() -> Vec<Value> {
    let rows: Vec<_> = (0..40).map(|n| row(2_000, n)).collect();
    let map = map_of(&rows);
    let absent_of_kind = |kind: u8, nth: usize| {
        let candidates = (0..).map(|n| row(1_002, n).0);
        candidates.filter(|label| map.prove(&[*label]).unwrap().encode()[0] == kind).nth(nth).unwrap()
    };
    let (beside, empty) = (absent_of_kind(2, 0), absent_of_kind(3, 0));
    let claims = |labels: &[Hash]| -> Vec<_> { labels.iter().map(|label| (*label, map.get(label))).collect() };
    let proof = |labels: &[Hash]| map.prove(labels).unwrap().encode();

    let mut cases = Vec::new();
    let mut holds = |name: &str, map: &Map, labels: &[Hash]| {
        let claims: Vec<_> = labels.iter().map(|label| (*label, map.get(label))).collect();
        cases.push(proof_case(name, &map.prove(labels).unwrap().encode(), &claims, &map.root(), Ok(())));
    };
    holds("absent in the empty map", &Map::new(), &[beside]);
    holds("present, the only label", &map_of(&rows[..1]), &[rows[0].0]);
    holds("absent beside the only label", &map_of(&rows[..1]), &[rows[1].0]);
    holds("present", &map, &[rows[7].0]);
    holds("absent beside another leaf", &map, &[beside]);
    holds("absent at an empty child", &map, &[empty]);
    holds("name and DID, both present", &map, &[rows[3].0, rows[8].0]);
    holds("the same in the other order", &map, &[rows[8].0, rows[3].0]);
    holds("one present, one absent", &map, &[beside, rows[9].0]);
    holds("absent beside a leaf that is asked too", &map_of(&rows[..1]), &[rows[0].0, rows[1].0]);
    holds("four labels, two of them absent", &map, &[rows[3].0, beside, rows[0].0, empty]);

    let shallow = |label: &Hash| proof(&[*label])[1] < 7 && proof(&[*label])[2] & 0x80 != 0;
    let shallow = rows.iter().map(|(label, _)| *label).find(shallow).unwrap();
    let (mut hidden, mut invented) = (claims(&[shallow]), claims(&[beside]));
    hidden[0].1 = None;
    invented[0].1 = Some([1; 32]);
    let mut other_value = claims(&[shallow]);
    other_value[0].1 = Some([1; 32]);
    let present = proof(&[shallow]);
    let pair = proof(&[rows[3].0, rows[8].0]);
    let bent = |bytes: &[u8], bend: fn(&mut Vec<u8>)| {
        let mut bytes = bytes.to_vec();
        bend(&mut bytes);
        bytes
    };
    let mut refused = |name: &str, proof: &[u8], claims: &[(Hash, Option<Hash>)], code| {
        cases.push(proof_case(name, proof, claims, &map.root(), Err(code)));
    };
    refused("a present label denied", &present, &hidden, "map_proof");
    refused("an absent label invented", &proof(&[beside]), &invented, "map_proof");
    refused("another commitment", &present, &other_value, "map_proof");
    refused("the proof of another label", &present, &claims(&[rows[5].0]), "map_proof");
    refused("labels in the wrong order", &pair, &claims(&[rows[8].0, rows[3].0]), "map_proof");
    refused("a label twice", &pair, &claims(&[rows[3].0, rows[3].0]), "map_proof");
    refused("a hash left over", &bent(&present, |b| b.extend([7; 32])), &claims(&[shallow]), "map_proof");
    refused("a hash missing", &bent(&present, |b| b.truncate(b.len() - 32)), &claims(&[shallow]), "map_proof");
    refused("a sibling denied", &bent(&present, |b| b[2] &= 0x7f), &claims(&[shallow]), "map_proof");
    refused("cut inside a hash", &bent(&present, |b| b.truncate(b.len() - 1)), &claims(&[shallow]), "malformed");
    refused("kind 4", &bent(&present, |b| b[0] = 4), &claims(&[shallow]), "malformed");
    refused("a spare bit of the bitmap", &bent(&present, |b| b[2] |= 1), &claims(&[shallow]), "malformed");
    refused(
        "a leaf without company",
        &bent(&present, |b| b[2] &= !(0x80 >> (b[1] - 1))),
        &claims(&[shallow]),
        "malformed",
    );
    let at = present.len() - 32;
    let empty_sibling = [&present[..at], &[0; 32]].concat();
    refused("an empty hash among the siblings", &empty_sibling, &claims(&[shallow]), "malformed");
    refused("no bytes", &[], &claims(&[shallow]), "malformed");
    cases
}

fn proof_case(
    name: &str,
    proof: &[u8],
    claims: &[(Hash, Option<Hash>)],
    root: &Hash,
    expected: Result<(), &str>,
) -> Value {
    let found = MapProof::decode(proof, claims.len()).and_then(|proof| proof.verify(claims, root));
    assert_eq!(
        found.map_err(|error| if error == MapProofError::Malformed { "malformed" } else { "map_proof" }),
        expected,
        "{name}"
    );
    let claims: Vec<_> =
        claims.iter().map(|(label, commitment)| json!([hex(label), commitment.as_ref().map(|c| hex(c))])).collect();
    let given = json!({"proof": hex(proof), "claims": claims, "root": hex(root)});
    match expected {
        Ok(()) => json!({"name": name, "op": "proof", "in": given, "out": {}}),
        Err(code) => json!({"name": name, "op": "proof", "in": given, "error": code}),
    }
}

fn digest_case() -> Value {
    let roots: Vec<u8> =
        (0..100).flat_map(|m: u32| map_of(&(0..m * m % 257).map(|i| row(m, i)).collect::<Vec<_>>()).root()).collect();
    json!({"name": "one digest over 100 maps", "op": "digest", "in": {"maps": 100}, "out": {"digest": hex(&sha256(&[&roots]))}})
}

/// Row `i` of map `m`, as the file describes it.
fn row(m: u32, i: u32) -> (Hash, Hash) {
    let mut label = sha256(&[&m.to_be_bytes(), &i.to_be_bytes()]);
    if m % 2 == 1 {
        label[..m as usize % 20].fill(0);
    }
    (label, sha256(&[&label]))
}

fn map_of(rows: &[(Hash, Hash)]) -> Map {
    let mut map = Map::new();
    let delta = map.prepare(rows);
    map.apply(delta).expect("prepared from this map");
    map
}

//! `tests/vectors/grants.json`: chains that hold, and one for each way in which they do not.

use serde_json::{Value, json};

use super::*;
use crate::vectors::{hex, hold};

const ABOUT: [&str; 4] = [
    "Chains of grants (PROTOCOL 18). Bytes are hexadecimal.",
    "in: origin; owners of the resource; keys [[Ed25519 keys that may grant for the issuer], ...] of each grant; now_s; chain.",
    "out: sid, issuer, subject, resource, path, rights, depth, until_s of the last.",
    "error: bad_cbor, not_canonical, bad_field, too_large, grant_chain, grant_owner, grant_wider, grant_expired, ...",
];

const NOW_S: u64 = 1_800_000_000;

/// Four people and a stranger: who they are, and their devices.
fn did(person: u8) -> Did {
    Did::from_bytes([person; 20])
}

fn device(person: u8) -> SigningKey {
    SigningKey::from_seed(&[person; 32])
}

fn origin() -> Origin {
    Origin::parse("dgns.test/log").unwrap()
}

/// The grant of `person` to the next one, each narrower than the one before.
fn link(person: u8, parent: Option<&SignedGrant>) -> Grant {
    let path = ["", "photos", "photos/2026", "photos/2026/may"][usize::from(person) - 1];
    Grant {
        issuer: did(person),
        subject: did(person + 1),
        resource: did(1),
        path: path.parse().unwrap(),
        rights: if person == 4 { Rights::READ } else { Rights::ALL },
        depth: 4 - person,
        until_s: NOW_S + 1_000 - u64::from(person),
        parent: parent.map(SignedGrant::sid),
        nonce: [person; 8],
    }
}

/// A chain of `length` links, the last of which is changed.
fn chain_with(length: u8, change: impl Fn(&mut Grant)) -> Vec<SignedGrant> {
    let mut chain: Vec<SignedGrant> = Vec::new();
    for person in 1..=length {
        let mut grant = link(person, chain.last());
        if person == length {
            change(&mut grant);
        }
        chain.push(SignedGrant::sign(&grant, &origin(), &device(person)).unwrap());
    }
    chain
}

fn keys(chain: usize) -> Vec<Vec<KeyBytes>> {
    (1..=chain as u8).map(|person| vec![device(100 + person).public(), device(person).public()]).collect()
}

/// Judges, writes down, and holds the outcome to what is expected.
fn case(
    name: &str,
    chain: &[Vec<u8>],
    keys: &[Vec<KeyBytes>],
    owners: &[Did],
    now_s: u64,
    expected: Option<&str>,
) -> Value {
    let decoded: Result<Vec<_>, _> = chain.iter().map(|bytes| SignedGrant::decode(bytes)).collect();
    let outcome = decoded.and_then(|chain| {
        let last = check_chain(&chain, &origin(), keys, owners, now_s)?;
        let Grant { issuer, subject, resource, path, rights, depth, until_s, .. } = last.grant();
        Ok(json!({
            "sid": hex(&last.sid()), "issuer": hex(issuer.as_bytes()), "subject": hex(subject.as_bytes()),
            "resource": hex(resource.as_bytes()), "path": path.as_str(), "rights": rights.bits(), "depth": depth,
            "until_s": until_s,
        }))
    });
    assert_eq!(outcome.as_ref().err().map(|refusal| refusal.code()), expected, "{name}");
    let hexes = |list: &[KeyBytes]| list.iter().map(|key| hex(key)).collect::<Vec<_>>();
    let given = json!({
        "origin": origin().as_str(),
        "owners": owners.iter().map(|did| hex(did.as_bytes())).collect::<Vec<_>>(),
        "keys": keys.iter().map(|keys| hexes(keys)).collect::<Vec<_>>(),
        "now_s": now_s,
        "chain": chain.iter().map(|grant| hex(grant)).collect::<Vec<_>>(),
    });
    match outcome {
        Ok(out) => json!({ "name": name, "in": given, "out": out }),
        Err(refusal) => json!({ "name": name, "in": given, "error": refusal.code() }),
    }
}

fn bytes(chain: &[SignedGrant]) -> Vec<Vec<u8>> {
    chain.iter().map(|grant| grant.as_bytes().to_vec()).collect()
}

fn judged(name: &str, chain: &[SignedGrant], expected: Option<&str>) -> Value {
    case(name, &bytes(chain), &keys(chain.len()), &[did(1)], NOW_S, expected)
}

#[test]
fn grants_json_holds() {
    let cases: Vec<Value> = [good(), wider(), broken(), undecodable()].concat();
    hold("grants", &ABOUT, &cases);
}

fn good() -> Vec<Value> {
    let names = ["of the owner", "one link", "two links", "three links"];
    let mut cases: Vec<_> =
        (1..).zip(names).map(|(length, name)| judged(name, &chain_with(length, |_| ()), None)).collect();
    cases.push(judged("the same path again", &chain_with(2, |grant| grant.path = ResourcePath::all()), None));
    let chain = chain_with(2, |_| ());
    cases.push(case("one of two owners", &bytes(&chain), &keys(2), &[did(9), did(1)], NOW_S, None));
    cases.push(case("its last second", &bytes(&chain), &keys(2), &[did(1)], NOW_S + 997, None));
    cases
}

fn wider() -> Vec<Value> {
    let wider = Some("grant_wider");
    let read = |grant: &mut Grant| (grant.rights, grant.depth) = (Rights::READ, 0);
    let mut parent_reads = chain_with(1, read);
    let next = Grant { parent: Some(parent_reads[0].sid()), rights: Rights::READ, depth: 0, ..link(2, None) };
    parent_reads.push(SignedGrant::sign(&next, &origin(), &device(2)).unwrap());
    let mut weaker = chain_with(1, |grant| (grant.rights, grant.depth) = (Rights::READ.and(Rights::GRANT), 3));
    let next = Grant { parent: Some(weaker[0].sid()), ..link(2, None) };
    weaker.push(SignedGrant::sign(&next, &origin(), &device(2)).unwrap());
    vec![
        judged("handed on without the right to", &parent_reads, wider),
        judged("a right more than the parent has", &weaker, wider),
        judged("as deep as the parent", &chain_with(2, |grant| grant.depth = 3), wider),
        judged("a second longer than the parent", &chain_with(2, |grant| grant.until_s = NOW_S + 1_000), wider),
        judged(
            "a path beside the parent's",
            &chain_with(3, |grant| grant.path = "photosynthesis".parse().unwrap()),
            wider,
        ),
        judged("a path above the parent's", &chain_with(3, |grant| grant.path = ResourcePath::all()), wider),
        judged("another resource", &chain_with(2, |grant| grant.resource = did(2)), wider),
    ]
}

fn broken() -> Vec<Value> {
    let wrong = Some("grant_chain");
    let whole = chain_with(4, |_| ());
    let five = [whole.as_slice(), &whole[3..]].concat();
    let two = chain_with(2, |_| ());
    let mut stranger_signs = two.clone();
    stranger_signs[1] = SignedGrant::sign(two[1].grant(), &origin(), &device(5)).unwrap();
    let mut other_log = two.clone();
    other_log[1] = SignedGrant::sign(two[1].grant(), &Origin::parse("other.test/log").unwrap(), &device(2)).unwrap();
    let good = bytes(&two);
    let mut flipped = good.clone();
    *flipped[1].last_mut().unwrap() ^= 1;
    vec![
        judged("no grant", &[], wrong),
        judged("five grants", &five, wrong),
        judged("without the first", &whole[1..], wrong),
        judged("one left out", &[whole[0].clone(), whole[2].clone()], wrong),
        judged("exchanged", &[two[1].clone(), two[0].clone()], wrong),
        judged("another parent", &chain_with(2, |grant| grant.parent = Some([7; 32])), wrong),
        judged("by somebody the parent does not name", &chain_with(2, |grant| grant.issuer = did(5)), wrong),
        case("not by an owner", &good, &keys(2), &[did(2)], NOW_S, Some("grant_owner")),
        case("expired this second", &good, &keys(2), &[did(1)], NOW_S + 998, Some("grant_expired")),
        judged("signed by a stranger", &stranger_signs, Some("unknown_signer")),
        case("the device is gone", &good, &[keys(2)[0].clone(), vec![]], &[did(1)], NOW_S, Some("unknown_signer")),
        judged("signed for another log", &other_log, Some("bad_signature")),
        case("signature changed", &flipped, &keys(2), &[did(1)], NOW_S, Some("bad_signature")),
    ]
}

fn undecodable() -> Vec<Value> {
    let whole = chain_with(1, |_| ())[0].as_bytes().to_vec();
    let one = |name: &str, bytes: Vec<u8>, code| case(name, &[bytes], &keys(1), &[did(1)], NOW_S, Some(code));
    let payload = |grant: &Grant| {
        let mut writer = Writer::new();
        writer.array(3).uint(1).bytes(&grant.encode()).array(1).array(2).bytes(&[0; 8]).bytes(&[0; 64]);
        writer.finish()
    };
    let with = |change: fn(&mut Grant)| {
        let mut grant = link(1, None);
        change(&mut grant);
        payload(&grant)
    };
    let mut other_format = whole.clone();
    other_format[1] = 2;
    vec![
        one("cut short", whole[..whole.len() - 1].to_vec(), "bad_cbor"),
        one("a byte more", [whole.as_slice(), &[0]].concat(), "bad_cbor"),
        one("another format", other_format, "bad_field"),
        one("a long spelling", [&[0x83, 0x18, 1], &whole[2..]].concat(), "not_canonical"),
        one("too large", vec![0; 1_025], "too_large"),
        one("deep without the right to grant", with(|grant| grant.rights = Rights::READ), "bad_field"),
        one("the right to grant without depth", with(|grant| grant.depth = 0), "bad_field"),
        one("deeper than a chain can be", with(|grant| grant.depth = 4), "bad_field"),
    ]
}

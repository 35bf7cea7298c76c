//! `tests/vectors/logconfs.json`: envelopes, and which of them continue a log.

use data_encoding::HEXLOWER;
use identity::did::Did;
use serde_json::{Value, json};

use super::*;
use crate::note::{LogSigner, VerifierKey};
use crate::vectors::{hex, hold};

/// The seed of the server's identity key; log keys are 2 and above.
const IDENTITY: u8 = 1;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn vkey(seed: u8) -> VerifierKey {
    LogSigner::new("dgns.test/log", key(seed)).unwrap().verifier_key().clone()
}

fn origin() -> Origin {
    Origin::parse("dgns.test/log").unwrap()
}

fn conf(previous: Option<&LogConf>, log_keys: &[u8]) -> Conf {
    Conf {
        seq: previous.map_or(0, |previous| previous.conf().seq + 1),
        prev: previous.map(LogConf::sid),
        origin: origin(),
        server: Did::from_bytes([9; 20]),
        log_keys: log_keys.iter().map(|seed| vkey(*seed)).collect(),
        policy: "quorum none\n".into(),
        prefixes: vec!["https://dgns.test/log".into()],
        predecessor: None,
    }
}

fn signed(conf: &Conf, signers: &[u8]) -> LogConf {
    let keys: Vec<SigningKey> = signers.iter().map(|seed| key(*seed)).collect();
    LogConf::sign(conf, &keys.iter().collect::<Vec<_>>()).unwrap()
}

#[test]
fn vectors_of_logconfs() {
    // Goal: another implementation takes and refuses the same LogConfs. Method: tests/vectors/logconfs.json.
    let first = signed(&conf(None, &[2]), &[IDENTITY, 2]);
    let cases: Vec<Value> = beginnings()
        .into_iter()
        .map(|(name, envelope, expected)| case(name, None, &envelope, expected))
        .chain(successors(&first).into_iter().map(|(name, next, expected)| case(name, Some(&first), &next, expected)))
        .chain(spellings(&first).into_iter().map(|(name, envelope, code)| case(name, None, &envelope, Err(code))))
        .collect();
    hold(
        "logconfs",
        &[
            "LogConfs (PROTOCOL 7.3). in: origin; identity (the server's identity key, hex); previous (the payload of the LogConf",
            "before, hex, or null); envelope (hex). out: sid, succession (linked, or repin: no old log key signed), seq, log_keys.",
            "error: what decoding refuses (bad_cbor, not_canonical, bad_field), logconf_chain, unknown_signer, bad_signature, logconf_unsigned.",
        ],
        &cases,
    );
}

type Expected = Result<Succession, &'static str>;

/// First LogConfs of a log.
fn beginnings() -> Vec<(&'static str, Vec<u8>, Expected)> {
    let linked = Ok(Succession::Linked);
    let (one, two) = (conf(None, &[2]), conf(None, &[2, 3]));
    let successor = Predecessor { origin: "old.test/log".into(), size: 12, root: [8; 32] };
    let mut bent = signed(&one, &[IDENTITY, 2]).as_bytes().to_vec();
    *bent.last_mut().unwrap() ^= 1;
    let bytes = |conf: &Conf, signers: &[u8]| signed(conf, signers).as_bytes().to_vec();
    vec![
        ("first, one key", bytes(&one, &[IDENTITY, 2]), linked),
        ("first, two keys", bytes(&two, &[IDENTITY, 2, 3]), linked),
        (
            "first, after a log that ended",
            bytes(&Conf { predecessor: Some(successor), ..one.clone() }, &[IDENTITY, 2]),
            linked,
        ),
        ("first, without the log key", bytes(&one, &[IDENTITY]), Err("logconf_unsigned")),
        ("first, without one of two log keys", bytes(&two, &[IDENTITY, 3]), Err("logconf_unsigned")),
        ("first, without the identity key", bytes(&one, &[2]), Err("logconf_unsigned")),
        ("first, signed by a stranger too", bytes(&one, &[IDENTITY, 2, 9]), Err("unknown_signer")),
        ("first, a signature bent", bent, Err("bad_signature")),
        ("first, of another origin", other_origin(), Err("logconf_chain")),
    ]
}

/// A LogConf whole in itself, of a log whose origin is not the one asked for.
fn other_origin() -> Vec<u8> {
    let origin = Origin::parse("other.test/log").unwrap();
    let named = LogSigner::new(origin.as_str(), key(2)).unwrap().verifier_key().clone();
    signed(&Conf { origin, log_keys: vec![named], ..conf(None, &[]) }, &[IDENTITY, 2]).as_bytes().to_vec()
}

/// What may follow `first`, whose log key is 2.
fn successors(first: &LogConf) -> Vec<(&'static str, Vec<u8>, Expected)> {
    let next = |keys: &[u8], signers: &[u8]| signed(&conf(Some(first), keys), signers).as_bytes().to_vec();
    let edited = |edit: &dyn Fn(&mut Conf)| {
        let mut conf = conf(Some(first), &[2]);
        edit(&mut conf);
        signed(&conf, &[IDENTITY, 2]).as_bytes().to_vec()
    };
    let (linked, repin, chain) = (Ok(Succession::Linked), Ok(Succession::Repin), Err("logconf_chain"));
    vec![
        ("next, the same key", next(&[2], &[IDENTITY, 2]), linked),
        ("next, a key added", next(&[2, 3], &[IDENTITY, 2, 3]), linked),
        ("next, the key replaced", next(&[3], &[IDENTITY, 2, 3]), linked),
        ("next, the key replaced without the old one", next(&[3], &[IDENTITY, 3]), repin),
        ("next, a key added without the old one", next(&[2, 3], &[IDENTITY, 3]), repin),
        ("next, the new key has not signed", next(&[2, 3], &[IDENTITY, 2]), Err("logconf_unsigned")),
        ("next, the identity key has not signed", next(&[2, 3], &[2, 3]), Err("logconf_unsigned")),
        ("next, signed by a stranger too", next(&[2], &[IDENTITY, 2, 9]), Err("unknown_signer")),
        ("next, a seq left out", edited(&|conf| conf.seq = 2), chain),
        ("next, prev is another", edited(&|conf| conf.prev = Some([0; 32])), chain),
        ("next, another server", edited(&|conf| conf.server = Did::from_bytes([8; 20])), chain),
        ("next, the first again", first.as_bytes().to_vec(), chain),
    ]
}

/// Envelopes that are none.
fn spellings(good: &LogConf) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good_conf = good.conf().clone();
    let conf = |edit: &dyn Fn(&mut Conf)| {
        let mut conf = good_conf.clone();
        edit(&mut conf);
        envelope(&conf.encode(), good.signatures())
    };
    let [one, two] = [0, 1].map(|at| good.signatures()[at]);
    let many = (0..9).map(|n| (Kid([n; 8]), [0; 64])).collect::<Vec<_>>();
    let cosigner = crate::note::Cosigner::new("dgns.test/log", key(2)).unwrap().verifier_key().clone();
    vec![
        ("no byte", Vec::new(), "bad_cbor"),
        ("cut short", good.as_bytes()[..100].to_vec(), "bad_cbor"),
        ("a byte too many", [good.as_bytes(), &[0]].concat(), "bad_cbor"),
        ("no signature", envelope(good.payload_bytes(), &[]), "bad_field"),
        ("nine signatures", envelope(good.payload_bytes(), &many), "bad_field"),
        ("signatures descend", envelope(good.payload_bytes(), &[two, one]), "not_canonical"),
        ("a signature twice", envelope(good.payload_bytes(), &[one, one]), "not_canonical"),
        ("seq 1 without prev", conf(&|conf| conf.seq = 1), "bad_field"),
        ("seq 0 with prev", conf(&|conf| conf.prev = Some([1; 32])), "bad_field"),
        ("no log key", conf(&|conf| conf.log_keys.clear()), "bad_field"),
        ("a log key twice", conf(&|conf| conf.log_keys.push(vkey(2))), "bad_field"),
        ("eight log keys", conf(&|conf| conf.log_keys = (2..10).map(vkey).collect()), "bad_field"),
        ("a log key of type 04", conf(&|conf| conf.log_keys = vec![cosigner.clone()]), "bad_field"),
        (
            "a log key named otherwise",
            conf(&|conf| conf.origin = Origin::parse("other.test/log").unwrap()),
            "bad_field",
        ),
        ("17 prefixes", conf(&|conf| conf.prefixes = vec![String::new(); 17]), "bad_field"),
        ("a prefix of 256 bytes", conf(&|conf| conf.prefixes = vec!["p".repeat(256)]), "bad_field"),
        ("more than 4,096 bytes", conf(&|conf| conf.policy = "#".repeat(4_096)), "bad_field"),
    ]
}

fn envelope(payload: &[u8], signatures: &[(Kid, [u8; 64])]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(3).uint(FORMAT).bytes(payload).array(signatures.len());
    for (kid, signature) in signatures {
        writer.array(2).bytes(&kid.0).bytes(signature);
    }
    writer.finish()
}

fn case(name: &str, previous: Option<&LogConf>, envelope: &[u8], expected: Expected) -> Value {
    let identity = key(IDENTITY).public();
    let payload = previous.map(|previous| HEXLOWER.encode(previous.payload_bytes()));
    let given =
        json!({"origin": "dgns.test/log", "identity": hex(&identity), "previous": payload, "envelope": hex(envelope)});
    let decoded = LogConf::decode(envelope).map_err(|error| error.code());
    let found = decoded
        .as_ref()
        .map_err(|code| *code)
        .and_then(|next| next.verify(&origin(), &identity, previous.map(LogConf::conf)).map_err(|error| error.code()));
    assert_eq!(found, expected, "{name}");
    match (found, decoded) {
        (Ok(succession), Ok(next)) => json!({"name": name, "in": given, "out": {
            "sid": hex(&next.sid()),
            "succession": match succession { Succession::Linked => "linked", Succession::Repin => "repin" },
            "seq": next.conf().seq,
            "log_keys": next.conf().log_keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }}),
        (found, _) => json!({"name": name, "in": given, "error": found.err()}),
    }
}

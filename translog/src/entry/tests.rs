//! Each type of entry reads back; everything else is refused by name.

use identity::cert::{Body, Device, DidKind, Genesis, Level, Payload, Seen};
use identity::did::Did;
use identity::key::SigningKey;
use identity::name::Origin;
use identity::wire::Writer;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::hash::EMPTY_ROOT;
use crate::logconf::{Conf, Predecessor};
use crate::note::LogSigner;
use crate::vectors::{hex, hold};

pub(crate) const ORIGIN: &str = "dgns.test/log";

/// An Epoch with a different byte in each place.
pub(crate) fn epoch(covers: u64) -> Epoch {
    Epoch { k: 7, covers, time_ms: 1_700_000_000_123, map_root: [0xaa; 32], history_root: [0xbb; 32] }
}

fn certificate() -> Certificate {
    let (identity, device) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
    let payload = Payload {
        subject: None,
        seq: 0,
        prev: None,
        seen: Seen { size: 0, root: EMPTY_ROOT },
        unix_s: 1_700_000_000,
        body: Body::Genesis(Genesis {
            kind: DidKind::User,
            identity: identity.public(),
            words_box: [3; 32],
            device: Device { sign: device.public(), kex: [4; 32], level: Level::Admin, label_hash: [5; 32] },
            window_s: None,
            user_key: None,
        }),
        critical: true,
        by: None,
    };
    Certificate::sign(&payload, &Origin::parse(ORIGIN).unwrap(), &[&identity, &device]).unwrap()
}

fn conf() -> Conf {
    let key = LogSigner::new(ORIGIN, SigningKey::from_seed(&[6; 32])).unwrap();
    Conf {
        seq: 0,
        prev: None,
        origin: Origin::parse(ORIGIN).unwrap(),
        server: Did::from_bytes([7; 20]),
        log_keys: vec![key.verifier_key().clone()],
        policy: String::new(),
        prefixes: vec!["https://dgns.test/log".into()],
        predecessor: None,
    }
}

fn logconf(conf: &Conf) -> LogConf {
    LogConf::sign(conf, &[&SigningKey::from_seed(&[6; 32]), &SigningKey::from_seed(&[1; 32])]).unwrap()
}

fn notice(kind: NoticeKind, evidence: Option<Vec<u8>>) -> Notice {
    Notice { kind, origin: "other.test/log".into(), evidence_hash: [8; 32], evidence }
}

#[test]
fn an_epoch_is_89_bytes_in_this_order() {
    // Goal: the layout of PROTOCOL 7.2. Method: the bytes written out.
    let epoch = epoch(0x0102);
    let entry = epoch.encode();
    assert_eq!(
        entry[..25],
        data_encoding::HEXLOWER
            .decode(
                b"020000000000000007000000000000010200000\
18bcfe5687b"
            )
            .unwrap()[..]
    );
    assert_eq!((&entry[25..57], &entry[57..]), (&[0xaa; 32][..], &[0xbb; 32][..]));
    assert_eq!(Epoch::decode(&entry), Ok(epoch));
    assert_eq!(Entry::decode(&entry).map(|entry| entry.leaf_hash()), Ok(epoch.leaf_hash()));
}

#[test]
fn vectors_of_entries() {
    // Goal: another implementation takes and refuses the same. Method: tests/vectors/entries.json.
    let cases: Vec<Value> = good().into_iter().chain(bad()).map(|(name, entry)| case(name, &entry)).collect();
    hold(
        "entries",
        &[
            "Log entries (PROTOCOL 7.1). in.entry: hexadecimal. out.type and out.leaf (the leaf hash) always; certificate: sid;",
            "epoch: k, covers, time_ms (decimal text), map_root, history_root; logconf: sid, seq (decimal text), prev (hex or null),",
            "origin, server (hex), log_keys, policy, prefixes, predecessor ([origin, size text, root hex] or null), kids (hex) of the",
            "signatures; notice: kind, origin, evidence_hash, evidence (hex or null); anchor: k, logs (decimal text), prev (hex or null), root.",
            "error: bad_entry, bad_cbor, not_canonical, bad_field, unknown_type. No signature is checked.",
        ],
        &cases,
    );
}

fn case(name: &str, entry: &[u8]) -> Value {
    let given = json!({"entry": hex(entry)});
    match Entry::decode(entry) {
        Ok(decoded) => {
            assert_eq!(decoded.encode(), entry, "{name}");
            json!({"name": name, "in": given, "out": view(&decoded)})
        }
        Err(error) => json!({"name": name, "in": given, "error": error.code()}),
    }
}

fn view(entry: &Entry) -> Value {
    let leaf = hex(&entry.leaf_hash());
    match entry {
        Entry::Certificate(certificate) => json!({"type": "certificate", "leaf": leaf, "sid": hex(&certificate.sid())}),
        Entry::Epoch(e) => json!({
            "type": "epoch", "leaf": leaf, "k": e.k.to_string(), "covers": e.covers.to_string(),
            "time_ms": e.time_ms.to_string(), "map_root": hex(&e.map_root), "history_root": hex(&e.history_root),
        }),
        Entry::LogConf(logconf) => {
            let conf = logconf.conf();
            json!({
                "type": "logconf", "leaf": leaf, "sid": hex(&logconf.sid()), "seq": conf.seq.to_string(),
                "prev": conf.prev.map(|prev| hex(&prev)), "origin": conf.origin.as_str(), "server": hex(conf.server.as_bytes()),
                "log_keys": conf.log_keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "policy": conf.policy, "prefixes": conf.prefixes,
                "predecessor": conf.predecessor.as_ref().map(|p| json!([p.origin, p.size.to_string(), hex(&p.root)])),
                "kids": logconf.signatures().iter().map(|(kid, _)| hex(&kid.0)).collect::<Vec<_>>(),
            })
        }
        Entry::Anchor(anchor) => json!({
            "type": "anchor", "leaf": leaf, "k": anchor.k.to_string(), "prev": anchor.prev.map(|prev| hex(&prev)),
            "root": hex(&anchor.root), "logs": anchor.logs.to_string(),
        }),
        Entry::Notice(n) => json!({
            "type": "notice", "leaf": leaf, "kind": n.kind as u8, "origin": n.origin,
            "evidence_hash": hex(&n.evidence_hash), "evidence": n.evidence.as_deref().map(hex),
        }),
    }
}

fn good() -> Vec<(&'static str, Vec<u8>)> {
    let second = Conf {
        seq: 1,
        prev: Some([9; 32]),
        log_keys: [10, 11]
            .map(|seed| LogSigner::new(ORIGIN, SigningKey::from_seed(&[seed; 32])).unwrap().verifier_key().clone())
            .to_vec(),
        policy: "quorum none\n".into(),
        prefixes: vec![],
        predecessor: Some(Predecessor { origin: "old.test/log".into(), size: u64::MAX, root: [12; 32] }),
        ..conf()
    };
    vec![
        ("certificate: a genesis", Entry::Certificate(certificate()).encode()),
        ("epoch", epoch(2).encode().to_vec()),
        ("epoch of the largest numbers", Epoch { k: u64::MAX, time_ms: u64::MAX, ..epoch(u64::MAX) }.encode().to_vec()),
        ("logconf: the first", Entry::LogConf(logconf(&conf())).encode()),
        ("logconf: with all keys of the payload", Entry::LogConf(logconf(&second)).encode()),
        ("notice without evidence", Entry::Notice(notice(NoticeKind::Operator, None)).encode()),
        (
            "notice with evidence",
            Entry::Notice(notice(NoticeKind::LogFork, Some(b"dgns.fault@v1\n".to_vec()))).encode(),
        ),
        ("anchor: the first", Entry::Anchor(anchor(1, None)).encode()),
        ("anchor: the largest number", Entry::Anchor(anchor(u64::MAX, Some([9; 32]))).encode()),
    ]
}

fn anchor(k: u64, prev: Option<Hash>) -> Anchor {
    Anchor { k, prev, root: [7; 32], logs: 3 }
}

fn bad() -> Vec<(&'static str, Vec<u8>)> {
    let epoch = epoch(2).encode();
    let first = Entry::LogConf(logconf(&conf())).encode();
    let envelope = |conf: &[u8], kids: &[[u8; 8]]| {
        let mut writer = Writer::new();
        writer.array(3).uint(1).bytes(conf).array(kids.len());
        for kid in kids {
            writer.array(2).bytes(kid).bytes(&[0; 64]);
        }
        [&[3], &writer.finish()[..]].concat()
    };
    let one = [[1; 8]];
    let key = conf().log_keys[0].clone();
    let cosigner = crate::note::Cosigner::new(ORIGIN, SigningKey::from_seed(&[6; 32])).unwrap();
    let foreign = LogSigner::new("other.test/log", SigningKey::from_seed(&[6; 32])).unwrap();
    let with_keys = |keys: &[String]| {
        let mut writer = Writer::new();
        writer
            .map(7)
            .uint(0)
            .uint(1)
            .uint(1)
            .uint(0)
            .uint(3)
            .text(ORIGIN)
            .uint(4)
            .bytes(&[7; 20])
            .uint(5)
            .array(keys.len());
        for key in keys {
            writer.text(key);
        }
        writer.uint(6).text("").uint(7).array(0);
        envelope(&writer.finish(), &one)
    };
    let notice_of = |kind: u64| {
        let mut writer = Writer::new();
        writer.map(3).uint(0).uint(kind).uint(1).text("o").uint(2).bytes(&[0; 32]);
        [&[4], &writer.finish()[..]].concat()
    };
    vec![
        ("empty", vec![]),
        ("type 0", vec![0, 1]),
        ("type 6", vec![6, 0xa0]),
        ("anchor without body", vec![5]),
        ("anchor of nothing", vec![5, 0xa0]),
        ("anchor 0", Entry::Anchor(anchor(0, Some([9; 32]))).encode()),
        ("anchor 1 behind another", Entry::Anchor(anchor(1, Some([9; 32]))).encode()),
        ("anchor 2 behind none", Entry::Anchor(anchor(2, None)).encode()),
        ("anchor with a byte behind", [&Entry::Anchor(anchor(1, None)).encode()[..], &[0]].concat()),
        ("type 255", vec![255]),
        ("4,098 bytes", [&[4], &[0; 4_097][..]].concat()),
        ("certificate without body", vec![1]),
        ("certificate that is a map", vec![1, 0xa0]),
        ("epoch of 88 bytes", epoch[..88].to_vec()),
        ("epoch of 90 bytes", [&epoch[..], &[0]].concat()),
        ("epoch without body", vec![2]),
        ("logconf without body", vec![3]),
        ("logconf cut short", first[..first.len() - 1].to_vec()),
        ("logconf with a byte behind", [&first[..], &[0]].concat()),
        ("logconf without signature", envelope(&conf().encode(), &[])),
        ("logconf with kids in the wrong order", envelope(&conf().encode(), &[[2; 8], [1; 8]])),
        ("logconf with a kid twice", envelope(&conf().encode(), &[[1; 8], [1; 8]])),
        (
            "logconf with nine signatures",
            envelope(&conf().encode(), &core::array::from_fn::<_, 9, _>(|i| [i as u8; 8])),
        ),
        ("logconf with prev at seq 0", envelope(&Conf { prev: Some([0; 32]), ..conf() }.encode(), &one)),
        ("logconf without prev at seq 1", envelope(&Conf { seq: 1, ..conf() }.encode(), &one)),
        ("logconf without key", with_keys(&[])),
        ("logconf with a key that is none", with_keys(&["dgns.test/log".into()])),
        ("logconf with a key twice", with_keys(&[key.to_string(), key.to_string()])),
        ("logconf with a key of another name", with_keys(&[foreign.verifier_key().to_string()])),
        ("logconf with a cosigner's key", with_keys(&[cosigner.verifier_key().to_string()])),
        ("logconf with a long prefix", envelope(&Conf { prefixes: vec!["p".repeat(256)], ..conf() }.encode(), &one)),
        ("logconf with 17 prefixes", envelope(&Conf { prefixes: vec![String::new(); 17], ..conf() }.encode(), &one)),
        ("logconf whose payload is no map", envelope(&[0x80], &one)),
        ("logconf whose payload is empty", envelope(&[], &one)),
        ("logconf with format 2", envelope(&[&[0xa7, 0, 2], &conf().encode()[3..]].concat(), &one)),
        ("logconf with a long integer", envelope(&[&[0xa7, 0, 0x18, 1], &conf().encode()[3..]].concat(), &one)),
        ("logconf with an unknown key", envelope(&[&[0xa8], &conf().encode()[1..], &[9, 0]].concat(), &one)),
        ("notice of kind 0", notice_of(0)),
        ("notice of kind 5", notice_of(5)),
        (
            "notice about a long name",
            Entry::Notice(Notice { origin: "o".repeat(256), ..notice(NoticeKind::Operator, None) }).encode(),
        ),
        ("notice that is an array", vec![4, 0x80]),
        ("notice that is a negative number", vec![4, 0x20]),
        ("notice with a byte behind", [&notice_of(1)[..], &[0]].concat()),
    ]
}

#[test]
fn each_kind_is_told_by_its_byte() {
    // Goal: an auditor of the tree alone reads no body. Method: the type of each good entry.
    let kinds: Vec<EntryKind> = good().iter().map(|(_, entry)| EntryKind::of(entry).unwrap()).collect();
    use EntryKind::{Anchor as A, Certificate as C, Epoch as E, LogConf as L, Notice as N};
    assert_eq!(kinds, [C, E, E, L, L, N, N, A, A]);
    assert_eq!(EntryKind::of(&[2; ENTRY_BYTES_MAX + 1]), Err(EntryError::Length));
    assert_eq!(Epoch::decode(&good()[0].1), Err(EntryError::Kind(1)));
}

proptest! {
    #[test]
    fn decoding_never_panics(kind in 0_u8..7, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        // Goal: any bytes are an answer, and what decodes encodes to the same. Method: random bodies.
        let entry = [&[kind], &body[..]].concat();
        if let Ok(decoded) = Entry::decode(&entry) {
            prop_assert_eq!(decoded.encode(), entry);
        }
    }

    #[test]
    fn a_changed_byte_is_refused_or_kept(which in 0_usize..7, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        // Goal: no two byte strings are one entry. Method: a byte of a good one replaced; what still decodes encodes to itself.
        let mut entry = good().swap_remove(which).1;
        let at = at.index(entry.len());
        entry[at] = to;
        if let Ok(decoded) = Entry::decode(&entry) {
            prop_assert_eq!(decoded.encode(), entry);
        }
    }
}

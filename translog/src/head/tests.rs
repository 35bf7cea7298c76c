//! Heads read back, prove their Epoch, and nothing else.

use identity::key::SigningKey;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::entry::tests::{ORIGIN, epoch};
use crate::note::Cosigner;
use crate::tree::oracle;
use crate::vectors::{hex, hold};

fn origin() -> Origin {
    Origin::parse(ORIGIN).unwrap()
}

fn log_signer(seed: u8) -> LogSigner {
    LogSigner::new(ORIGIN, SigningKey::from_seed(&[seed; 32])).unwrap()
}

fn witness() -> Cosigner {
    Cosigner::new("witness.test/w1", SigningKey::from_seed(&[21; 32])).unwrap()
}

/// The head of a log of `size` entries, the last of them an Epoch.
fn head(size: u64) -> Head {
    let mut edge = Edge::new();
    edge.extend(&oracle::leaves(size - 1));
    let epoch = epoch(size - 1);
    edge.append(epoch.leaf_hash());
    Head::sign(&edge, &epoch, &log_signer(20)).unwrap()
}

fn with_cosignature(mut head: Head, time_s: u64) -> Head {
    let signature = witness().cosign(&head.checkpoint(&origin()), time_s).signature;
    let signature = signature[8..].try_into().unwrap();
    head.cosignatures.push(Cosignature { id: witness().verifier_key().id(), time_s, signature });
    head
}

/// All checks of PROTOCOL 11.3, steps 2 and 4, in their order.
fn verify(bytes: &[u8], keys: &[VerifierKey], cosigners: &[VerifierKey]) -> Result<Epoch, HeadError> {
    let head = Head::decode(bytes)?;
    head.verify_log_signature(&origin(), keys)?;
    head.verify_cosignatures(&origin(), cosigners)?;
    let epoch = head.epoch()?;
    head.edge()?;
    Ok(epoch)
}

#[test]
fn a_head_carries_all_that_continues_its_log() {
    // Goal: what is appended to a head's edge is appended to the log. Method: heads of many sizes, two more leaves each.
    for size in [1, 2, 3, 4, 7, 8, 100, 255, 256, 257] {
        let head = head(size);
        assert_eq!(Head::decode(&head.encode()), Ok(head.clone()));
        assert_eq!(head.path.len(), (size - 1).count_ones() as usize);
        let mut edge = head.edge().unwrap();
        let mut leaves = oracle::leaves(size - 1);
        leaves.extend([epoch(size - 1).leaf_hash(), [1; 32], [2; 32]]);
        edge.extend(&leaves[size as usize..]);
        assert_eq!(edge.root(), oracle::root(&leaves));
    }
}

#[test]
fn only_the_edges_own_epoch_is_signed() {
    // Goal: no signature on a head no client would take. Method: an Epoch that is not the last leaf, or covers another.
    let mut edge = Edge::new();
    assert_eq!(Head::sign(&edge, &epoch(0), &log_signer(20)), Err(HeadError::Epoch));
    edge.append(epoch(0).leaf_hash());
    assert!(Head::sign(&edge, &epoch(0), &log_signer(20)).is_ok());
    edge.append(epoch(0).leaf_hash());
    assert_eq!(Head::sign(&edge, &epoch(0), &log_signer(20)), Err(HeadError::Epoch));
    assert_eq!(Head::sign(&edge, &epoch(1), &log_signer(20)), Err(HeadError::Epoch));
}

#[test]
fn the_note_of_a_head_verifies_as_a_stock_checkpoint() {
    // Goal: both forms carry one signature. Method: rebuild the note, open it, read the checkpoint.
    let head = with_cosignature(head(37), 1_700_000_000);
    let keys = [log_signer(20).verifier_key().clone(), witness().verifier_key().clone()];
    let note = head.note(&origin(), &keys[0], &keys[1..]).unwrap();
    let signed = Note::parse(note.to_string().as_bytes()).unwrap();
    assert_eq!(signed.verify(&keys).unwrap().len(), 2);
    assert_eq!(Checkpoint::parse(signed.text()), Ok(head.checkpoint(&origin())));
    let signers = head.verify_cosignatures(&origin(), &keys[1..]).unwrap();
    assert_eq!(signers, [Signed { key: &keys[1], time_s: Some(1_700_000_000) }]);
    assert_eq!(head.verify_cosignatures(&origin(), &keys[..1]), Ok(vec![]));
}

#[test]
fn vectors_of_heads() {
    // Goal: another implementation takes and refuses the same. Method: tests/vectors/heads.json.
    let plain = head(3);
    let change = |change: fn(&mut Head)| {
        let mut head = with_cosignature(head(37), 1_700_000_000);
        change(&mut head);
        head.encode()
    };
    let resigned = |change: fn(&mut Head)| {
        let mut head = head(37);
        change(&mut head);
        head.log_signature = log_signer(20).sign(&head.checkpoint(&origin())).signature.try_into().unwrap();
        head.encode()
    };
    let bytes = plain.encode();
    let many = (0..3).fold(head(256), with_cosignature);
    let cases: Vec<Value> = [
        ("of size 3", bytes.clone()),
        ("of size 1", head(1).encode()),
        ("of size 64 with a cosignature", with_cosignature(head(64), 5).encode()),
        ("cosignatures by one key thrice", many.encode()),
        (
            "a cosignature by an unknown key fails",
            change(|head| {
                head.cosignatures[0].id[0] ^= 1;
                head.cosignatures[0].signature[0] ^= 1
            }),
        ),
        ("a known cosignature fails", change(|head| head.cosignatures[0].signature[40] ^= 1)),
        ("a cosignature's time changed", change(|head| head.cosignatures[0].time_s += 1)),
        ("nothing", vec![]),
        ("cut short", bytes[..bytes.len() - 1].to_vec()),
        ("a byte behind", [&bytes[..], &[0]].concat()),
        ("a hash announced and missing", [&bytes[..bytes.len() - 33], &[2], &bytes[bytes.len() - 32..]].concat()),
        ("size changed", change(|head| head.size += 1)),
        ("root changed", change(|head| head.root[0] ^= 1)),
        ("log signature changed", change(|head| head.log_signature[63] ^= 1)),
        ("signed by another key", {
            let mut head = head(3);
            head.log_signature = log_signer(99).sign(&head.checkpoint(&origin())).signature.try_into().unwrap();
            head.encode()
        }),
        ("signed for another log", {
            let mut head = head(3);
            let elsewhere = Checkpoint { origin: "other.test/log".into(), size: 3, root: head.root };
            head.log_signature = log_signer(20).sign(&elsewhere).signature.try_into().unwrap();
            head.encode()
        }),
        ("Epoch's k changed", change(|head| head.epoch_entry[8] ^= 1)),
        ("Epoch's map root changed", change(|head| head.epoch_entry[30] ^= 1)),
        ("Epoch covers another leaf", change(|head| head.epoch_entry[16] ^= 1)),
        ("Epoch of 88 bytes", change(|head| head.epoch_entry.truncate(88))),
        ("Epoch of 90 bytes", change(|head| head.epoch_entry.push(0))),
        ("last leaf is a certificate", change(|head| head.epoch_entry[0] = 1)),
        ("no last leaf", change(|head| head.epoch_entry.clear())),
        (
            "size 0, signed",
            resigned(|head| {
                head.size = 0;
                head.path.clear()
            }),
        ),
        ("a path hash changed", change(|head| head.path[1][5] ^= 1)),
        ("a path hash too few", change(|head| _ = head.path.pop())),
        ("a path hash too many", change(|head| head.path.push([0; 32]))),
        ("a root that the path does not give, signed", resigned(|head| head.root[0] ^= 1)),
    ]
    .into_iter()
    .map(|(name, bytes)| case(name, &bytes))
    .collect();
    hold(
        "heads",
        &[
            "Heads (PROTOCOL 11.2) and the checks of 11.3 that need nothing else, in this order: decoding, log signature, cosignatures",
            "by known witnesses, Epoch, last leaf. in: head (hex), origin, log_keys, cosigners (vkeys). out: size, k, covers, time_ms",
            "(decimal text), root, map_root, history_root (hex), witnesses (vkey and time_s as decimal text, each key once).",
            "error: malformed, log_signature, quorum, epoch, last_leaf.",
        ],
        &cases,
    );
}

fn case(name: &str, bytes: &[u8]) -> Value {
    let keys = [log_signer(19).verifier_key().clone(), log_signer(20).verifier_key().clone()];
    let cosigners = [witness().verifier_key().clone()];
    let given = json!({
        "head": hex(bytes), "origin": ORIGIN, "log_keys": keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "cosigners": cosigners.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    match verify(bytes, &keys, &cosigners) {
        Err(error) => json!({"name": name, "in": given, "error": error.code()}),
        Ok(epoch) => {
            let head = Head::decode(bytes).unwrap();
            let signed = head.verify_cosignatures(&origin(), &cosigners).unwrap();
            let witnesses: Vec<Value> =
                signed.iter().map(|s| json!([s.key.to_string(), s.time_s.unwrap().to_string()])).collect();
            json!({"name": name, "in": given, "out": {
                "size": head.size.to_string(), "root": hex(&head.root), "k": epoch.k.to_string(),
                "covers": epoch.covers.to_string(), "time_ms": epoch.time_ms.to_string(), "map_root": hex(&epoch.map_root),
                "history_root": hex(&epoch.history_root), "witnesses": witnesses,
            }})
        }
    }
}

proptest! {
    #[test]
    fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        // Goal: any bytes are an answer. Method: random bytes through every check.
        if let Ok(head) = Head::decode(&bytes) {
            prop_assert_eq!(head.encode(), bytes);
            let _ = (head.epoch(), head.edge());
        }
    }

    #[test]
    fn a_flipped_bit_is_never_believed(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        // Goal: every bit of a head is proved by something. Method: flip one in a head with a cosignature.
        let mut bytes = with_cosignature(head(37), 1_700_000_000).encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let keys = [log_signer(20).verifier_key().clone()];
        let cosigners = [witness().verifier_key().clone()];
        // A flipped key id makes the cosignature an unknown one, which counts for nothing.
        let in_key_id = (105..109).contains(&at);
        prop_assert_eq!(verify(&bytes, &keys, &cosigners).is_ok(), in_key_id);
    }
}

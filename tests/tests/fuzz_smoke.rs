//! Every decoder, over the vectors and thousands of mutations of them, from a fixed seed: no panic, no broken promise.
//!
//! The seeds are every string in `tests/vectors`, as text and as the bytes its hexadecimal digits stand for, and a few samples
//! made here. `DGNS_TEST_ROUNDS=long` gives it time to find something. A failure prints the input; keep it as a vector.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use dgns_tests::decoders::{DECODERS, Decoder};
use serde_json::Value;

#[test]
fn no_decoder_panics_or_has_two_spellings() {
    let rounds = if std::env::var("DGNS_TEST_ROUNDS").is_ok_and(|value| value == "long") { 300_000 } else { 4_000 };
    let pool = pool();
    let mut barren = Vec::new();
    for decoder in DECODERS {
        // What a decoder takes is the best place to start from; the rest of the pool is spliced in.
        let accepted: Vec<_> = pool.iter().filter(|bytes| holds(decoder, bytes)).collect();
        if accepted.is_empty() {
            barren.push(decoder.name);
        }
        let mut random = Random(SEED);
        let mut taken = 0_u32;
        for _ in 0..rounds {
            let start =
                if random.below(8) == 0 { random.choose(&pool) } else { random.pick(&accepted).unwrap_or(&pool[0]) };
            let mutated = mutate(start, &pool, &mut random);
            taken += u32::from(holds(decoder, &mutated));
        }
        println!("{}: {} seeds, {taken} of {rounds} mutations accepted", decoder.name, accepted.len());
    }
    assert!(barren.is_empty(), "no vector or sample is accepted by {barren:?}: only their first bytes were tested");
}

#[test]
fn every_decoder_has_a_fuzz_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for Decoder { name, .. } in DECODERS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} has no [[bin]] in tests/fuzz/Cargo.toml");
        let target = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("feed(\"{name}\"")), "the target {name} feeds another decoder");
    }
}

#[test]
fn a_panicking_decoder_is_noticed() {
    let decoder = Decoder { name: "broken", accepts: |bytes| bytes[3] == 1 };
    assert!(catch_unwind(|| holds(decoder, &[1, 2])).is_err());
    assert!(holds(decoder, &[0, 0, 0, 1]));
}

/// Feeds one input; a panic is passed on with the input that made it.
fn holds(decoder: Decoder, bytes: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (decoder.accepts)(bytes)))
        .unwrap_or_else(|_| panic!("the decoder {} failed on {}", decoder.name, HEXLOWER_PERMISSIVE.encode(bytes)))
}

/// One to four changes: a flipped bit, another byte, a number at its edge, a piece cut out, doubled, or taken from elsewhere.
fn mutate(start: &[u8], pool: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = start.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let length = random.below(bytes.len() - at + 1).min(64);
        match random.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            2 if at < bytes.len() => bytes[at] = *random.choose(&[0x00, 0x17, 0x18, 0x7f, 0x80, 0xff]),
            3 => drop(bytes.drain(at..at + length)),
            4 => bytes.truncate(at),
            5 => {
                let piece = bytes[at..at + length].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => bytes.insert(at, random.below(256) as u8),
            _ => {
                let other = random.choose(pool);
                let from = random.below(other.len() + 1);
                let to = other.len().min(from + 64);
                bytes.splice(at..at + length, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

/// Every input there is to start from, without repeats; the empty one among them.
fn pool() -> Vec<Vec<u8>> {
    let mut pool = BTreeSet::from([Vec::new()]);
    for file in vector_files() {
        collect(&serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap(), &mut pool);
    }
    pool.extend(samples::all());
    pool.into_iter().filter(|bytes| bytes.len() <= BYTES_MAX).collect()
}

fn vector_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

/// Adds every string of a vector file: as it stands, and decoded if it is hexadecimal, also behind a small number, since some
/// decoders take one first.
fn collect(value: &Value, pool: &mut BTreeSet<Vec<u8>>) {
    match value {
        Value::String(text) => {
            pool.insert(text.clone().into_bytes());
            if let Ok(bytes) = HEXLOWER_PERMISSIVE.decode(text.as_bytes()) {
                pool.extend((0..3).map(|first| [&[first], bytes.as_slice()].concat()));
                pool.insert(bytes);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, pool)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, pool)),
        _ => {}
    }
}

/// SplitMix64: enough to vary inputs, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn pick<'a, T>(&mut self, from: &[&'a T]) -> Option<&'a T> {
        if from.is_empty() { None } else { Some(from[self.below(from.len())]) }
    }
}

/// The seed of every run: a failure comes back by running the test again.
const SEED: u64 = 7696;

/// Inputs longer than any limit say nothing that shorter ones do not.
const BYTES_MAX: usize = 70_000;

/// Well-formed inputs that no vector file holds.
mod samples {
    use dgns_api::envelope::Envelope;
    use dgns_api::signin::{Branch, Finish, Finished, Link, Start, Started};
    use dgns_api::store::entry::LogId;
    use identity::cert::{Body, Certificate, Device, DidKind, Genesis, Kid, Level, Payload, Seen};
    use identity::did::Did;
    use identity::evidence::Purpose;
    use identity::hash::sha256;
    use identity::key::SigningKey;
    use identity::name::Origin;
    use identity::sealed::Sealed;
    use identity::state::{ChainHead, DeviceState, DeviceStatus, DidState, NameState, NameStatus, Subject};
    use identity::token::{FeedPage, Lease, Revocation, Revoked, Rights, Scope, Token, TokenKey};
    use storage::store::Segment;
    use storage::store::rows::EntryRow;
    use translog::entry::{Entry, Epoch};
    use translog::fault::{FaultFile, FaultKind};
    use translog::hash::leaf_hash;
    use translog::head::Head;
    use translog::logconf::{Conf, LogConf};
    use translog::map::{Map, label};
    use translog::note::LogSigner;
    use translog::proof_file::ProofFile;
    use translog::resolution::{Answer, Resolution};
    use translog::stream;
    use translog::tree::Edge;
    use translog::trust::Memory;

    /// All of them.
    pub(super) fn all() -> Vec<Vec<u8>> {
        let texts = ["alice.dgns.test", "photos.alice.dgns.test", "tile/0/x001/067.p/12", "tile/entries/000"];
        let mut samples: Vec<_> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        samples.push(did().to_string().into_bytes());
        samples.push(genesis().as_bytes().to_vec());
        samples.push(did_state().encode());
        samples.push(name_state().encode());
        samples.extend(log());
        let entry = |number: u8| EntryRow { header: vec![number; 20], sig: [number; 64], body: vec![number; 30] };
        samples.push(Segment::encode(&LogId([1; 32]), 300, &[entry(2), entry(3)]).to_vec());
        // alice.dgns.test A, with EDNS, as dig asks.
        let header = [0x12, 0x34, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 1];
        let question = b"\x05alice\x04dgns\x04test\x00\x00\x01\x00\x01";
        samples.push([&header[..], question, &[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]].concat());
        // What a resolver answers: an alias, and the address there.
        let header = [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
        let alias = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x05\x02ns\xc0\x12";
        let there = b"\xc0\x2d\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01";
        samples.push([&header[..], question, alias, there].concat());
        // Copies of a zone: nothing new; one name; and that it goes.
        let soa = |serial: u8| [b"\xc0\x0c\0\x06\0\x01\0\0\0\x05\0\x16\0\0\0\0\0", &[serial][..], &[0; 16]].concat();
        let address = b"\x05alice\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01".to_vec();
        for records in
            [vec![soa(2)], vec![soa(2), address.clone(), soa(2)], vec![soa(2), soa(1), address.clone(), soa(2), soa(2)]]
        {
            let header = [0x12, 0x34, 0x84, 0, 0, 1, 0, records.len() as u8, 0, 0, 0, 0];
            let message = [&header[..], b"\x04dgns\x04test\0\0\xfb\0\x01", &records.concat()].concat();
            samples.push([&(message.len() as u16).to_be_bytes()[..], &message].concat());
        }
        // An update of a text, signed.
        let header = [0x12, 0x34, 0x28, 0, 0, 1, 0, 0, 0, 1, 0, 1];
        let update = b"\x04dgns\x04test\0\0\x06\0\x01\x05alice\xc0\x0c\0\x10\0\x01\0\0\0\x3c\0\x02\x01x";
        let signer = b"\x05alice\x04dgns\x04test\0";
        let signature = [&[0, 0, 15, 0, 0, 0, 0, 0][..], &[7; 10], signer, &[3; 64]].concat();
        let signed = [&[0, 0, 24, 0, 255, 0, 0, 0, 0, 0, signature.len() as u8], &signature[..]].concat();
        samples.push([&header[..], update, &signed].concat());
        samples.push(stream::batches(3, b"note", [&[1, 2, 3][..], &[2; 89]]).expect("it is short"));
        samples.extend(tokens());
        samples.extend(signin());
        let sealed = Sealed { enc: [3; 32], ct: vec![4; 40] };
        for alias in [None, Some([5; 32])] {
            samples.push(Envelope { did: did(), device: [2; 32], sealed: sealed.clone(), alias }.encode());
        }
        // A tile and a bundle of two, behind their width less one.
        samples.push([&[1_u8][..], &[5; 64]].concat());
        let [log, other] = [1, 2].map(|byte| dgns_api::store::entry::LogId([byte; 32]));
        samples.push(dgns_api::store::watch::encode_watch(&[(log, 0), (other, 7)]));
        samples.push(format!("data: {log} 5").into_bytes());
        let standing = dgns_api::store::account::Standing {
            quota_bytes: 9,
            used_bytes: 1,
            quota_entries: 3,
            used_entries: 2,
            until_ms: Some(5),
            grace_ms: 7,
            databases: vec![(did(), dgns_api::store::account::Dropped::Before)],
        };
        samples.push(standing.encode());
        samples.push([&[1, 0, 2, 8, 9, 0, 1, 7][..]].concat());
        // RFC 6455, 5.7: a masked message, and one in two fragments with a ping between them.
        let masked = [0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        samples.push([&[0x81, 0x85], &masked[..]].concat());
        samples.push([&[0x01, 0x85], &masked[..], &[0x89, 0x85], &masked, &[0x80, 0x85], &masked].concat());
        samples
    }

    /// A sign-in, from its start to what it is worth.
    fn signin() -> Vec<Vec<u8>> {
        let (purpose, issuer) = (Purpose::SignIn, "google".to_owned());
        let start = Start { purpose, sign: [1; 32], kex: [2; 32], issuer, port: Some(8_400), blinded: None };
        let go = "https://issuer.example/?nonce=x".to_owned();
        let started = Started { state: [1; 32], random: [2; 16], until_s: 600, go };
        let finish = Finish { state: [1; 32], signature: [2; 64], answer: "code".into() };
        let finished = Finished {
            evidence: [1; 32],
            random: [2; 16],
            statement: b"a.b.c".to_vec(),
            issuer: "https://issuer.example".into(),
            branch: Branch::Existing(did()),
            names: 5,
            until_s: 600,
            boxes: Some(vec![1, 2]),
            passkey: Some([3; 64]),
        };
        let link = Link { evidence: [1; 32] };
        vec![start.encode(), started.encode(), finish.encode(), finished.encode(), link.encode()]
    }

    /// A token's payload, what is asked for one and given, and a page of the feed.
    fn tokens() -> Vec<Vec<u8>> {
        let scope = Scope { site: did(), log: "photos".parse().unwrap(), rights: Rights::READ };
        let token = Token {
            uid: 3,
            kid: Kid([1; 8]),
            audience: did(),
            scope: vec![scope.clone()],
            iat_s: 1_800_000_000,
            exp_s: 1_800_000_900,
            rid: [2; 8],
            seq: 1,
        };
        let text = token.mint(&TokenKey::from_bytes([7; 32]));
        let payload = text.split('.').nth(1).unwrap().as_bytes();
        let (origin, device) = (Origin::parse("dgns.test/log").unwrap(), SigningKey::from_seed(&[2; 32]));
        let mut lease = Lease {
            did: did(),
            kid: device.kid(),
            audience: Some(did()),
            scope: vec![scope],
            life_s: Some(900),
            chain: vec![vec![1; 40]],
            proof: None,
        };
        lease.prove([1; 16], &origin, &device);
        let what = Revoked::Device { kid: Kid([1; 8]), not_before_s: 5 };
        let entries = vec![Revocation { seq: 4, what, until_s: 9 }];
        let page = FeedPage { time_s: 1_800_000_000, since: 3, newest: 4, more: true, entries };
        vec![data_encoding::BASE64URL_NOPAD.decode(payload).unwrap(), lease.encode(), page.encode()]
    }

    fn genesis() -> Certificate {
        let (identity, device) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let body = Body::Genesis(Genesis {
            kind: DidKind::User,
            identity: identity.public(),
            words_box: [9; 32],
            device: Device { sign: device.public(), kex: [8; 32], level: Level::Admin, label_hash: [0; 32] },
            window_s: Some(86_400),
            user_key: None,
        });
        let seen = Seen { size: 0, root: sha256(&[]) };
        let payload = Payload { subject: None, seq: 0, prev: None, seen, unix_s: 1, body, critical: true, by: None };
        Certificate::sign(&payload, &Origin::parse("dgns.test/log").unwrap(), &[&identity, &device]).unwrap()
    }

    /// A log of one batch as far as strangers see it: entries, LogConf, head, note and its parts, proof file.
    fn log() -> Vec<Vec<u8>> {
        let signer = LogSigner::new("dgns.test/log", SigningKey::from_seed(&[3; 32])).unwrap();
        let vkey = signer.verifier_key().clone();
        let conf = Conf {
            seq: 0,
            prev: None,
            origin: Origin::parse("dgns.test/log").unwrap(),
            server: did(),
            log_keys: vec![vkey.clone()],
            policy: String::new(),
            prefixes: vec!["http://127.0.0.1:5380/log".into()],
            predecessor: None,
        };
        let conf = LogConf::sign(&conf, &[&SigningKey::from_seed(&[1; 32]), &SigningKey::from_seed(&[3; 32])]).unwrap();
        let epoch = Epoch { k: 0, covers: 2, time_ms: 1_700_000_000_000, map_root: [0; 32], history_root: [1; 32] };
        let entries = [Entry::Certificate(genesis()), Entry::LogConf(conf.clone()), Entry::Epoch(epoch)];
        let mut edge = Edge::new();
        entries.iter().for_each(|entry| edge.append(leaf_hash(&entry.encode())));
        let head = Head::sign(&edge, &epoch, &signer).unwrap();
        let note = head.note(&Origin::parse("dgns.test/log").unwrap(), &vkey, &[]).unwrap();
        let proof =
            ProofFile { extra: Some(entries[2].encode()), index: 2, path: head.path.clone(), checkpoint: note.clone() };
        let subject = Subject::Name("nobody.dgns.test".into());
        let map_proof = Map::new().prove(&[label(&subject)]).unwrap();
        let resolution =
            Resolution::new(subject.clone(), vec![Answer::absent(&subject)], map_proof).with_head(head.clone());
        let fault = FaultFile::new(FaultKind::SameSize, std::slice::from_ref(&vkey))
            .with_part("first", note.to_string().as_bytes())
            .with_part("second", note.to_string().as_bytes());
        let mut samples: Vec<_> = entries.iter().map(Entry::encode).collect();
        samples.extend([resolution.encode(), Memory::new(Origin::parse("dgns.test/log").unwrap()).encode()]);
        samples.push(dgns_api::post::encode(&[genesis().as_bytes().to_vec()]));
        samples.extend([conf.as_bytes().to_vec(), head.encode(), fault.encode()]);
        let texts = [vkey.to_string(), note.text().to_owned(), note.to_string(), proof.to_string()];
        samples.extend(texts.map(String::into_bytes));
        samples
    }

    fn did() -> Did {
        Did::of_genesis(&genesis().sid())
    }

    fn did_state() -> DidState {
        let device = DeviceState {
            sign: SigningKey::from_seed(&[2; 32]).public(),
            kex: [8; 32],
            level: Level::Admin,
            status: DeviceStatus::Live,
            index: 3,
            until_ms: 0,
        };
        DidState {
            version: 2,
            did: did(),
            kind: DidKind::User,
            flags: 0,
            head: ChainHead { seq: 1, sid: [4; 32], index: 4 },
            identity: SigningKey::from_seed(&[1; 32]).public(),
            words_box: [9; 32],
            devices: vec![device],
            user_key: None,
            window_s: 259_200,
            pending: Vec::new(),
            recovery: None,
            names: vec!["alice.dgns.test".into()],
            authorities: Vec::new(),
            uid: 3,
            born_ms: 1_700_000_000_000,
        }
    }

    fn name_state() -> NameState {
        NameState {
            version: 1,
            name: "alice.dgns.test".into(),
            did: Some(did()),
            status: NameStatus::Live,
            claim_index: 4,
            held_until_ms: 0,
            records: Some((5, [6; 32])),
            delegate: None,
            children: 1,
        }
    }
}

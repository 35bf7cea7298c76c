//! `tests/vectors/logconf_chains.json`: who is followed where, and each refusal.

use serde_json::{Value, json};

use super::*;
use crate::batch::fixture::{Someone, TestLog, log_key, log_signer};
use crate::vectors::{hex, hold};

/// The bodies of chains under one head each.
struct Cases(Vec<Value>);

impl Cases {
    /// Adds a case: who trusts these keys, and followed to `seq` before, gets `bytes`.
    fn add(
        &mut self,
        name: &str,
        log: &TestLog,
        keys: &[u64],
        seq: Option<u64>,
        bytes: &[u8],
        expected: Result<u64, &str>,
    ) {
        let keys: Vec<VerifierKey> = keys.iter().map(|number| log_key(*number)).collect();
        let trust = Trust::new(log.origin.clone(), keys.clone()).unwrap();
        let mut memory = Memory::new(log.origin.clone());
        let found = follow(&trust, &mut memory, seq, bytes, Timestamp::from_ms(log.time_ms));
        assert_eq!(found.as_ref().map(|found| found.seq).map_err(FollowError::code), expected, "{name}");
        let texts = |keys: &[VerifierKey]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
        let given = json!({
            "origin": log.origin.as_str(), "vkeys": texts(&keys), "seq": seq, "now_ms": log.time_ms, "chain": hex(bytes),
        });
        self.0.push(match found {
            Ok(found) => json!({"name": name, "in": given, "out": {
                "seq": found.seq,
                "log_keys": texts(&found.log_keys),
                "retired": found.retired.iter().map(|retired| json!([retired.key.to_string(), retired.size])).collect::<Vec<_>>(),
                "size": found.resolved.head().size,
            }}),
            Err(error) => json!({"name": name, "in": given, "error": error.code()}),
        });
    }
}

/// A log with somebody in it, then LogConfs made by `steps`: which log keys each lists, and which sign.
fn log(steps: &[(&[u64], &[u64])]) -> TestLog {
    let mut log = TestLog::new();
    log.append(&[Someone::new(1).1]);
    for (keys, signers) in steps {
        let keys: Vec<VerifierKey> = keys.iter().map(|number| log_key(*number)).collect();
        let (batch, _) = log.reconfigure(|conf| conf.log_keys = keys, signers, true).unwrap();
        log.take(batch);
    }
    log
}

#[test]
fn vectors_of_chains_of_logconfs() {
    // Goal: another implementation follows and refuses the same. Method: tests/vectors/logconf_chains.json.
    let mut cases = Cases(Vec::new());
    followed(&mut cases);
    replaced(&mut cases);
    tampered(&mut cases);
    hold(
        "logconf_chains",
        &[
            "Bodies of /v1/log/conf/chain (PROTOCOL 7.5), for somebody who remembers no head. in: origin, vkeys (trusted), seq (of the",
            "LogConf followed to before, or null), now_ms, chain (hex). out: seq, log_keys and retired ([vkey, size of the largest head",
            "that counts]) from now on; size of the head. error: its code.",
        ],
        &cases.0,
    );
}

/// Keys added, dropped and replaced, each step signed by an old one.
fn followed(cases: &mut Cases) {
    let unchanged = log(&[]);
    cases.add("no rotation", &unchanged, &[0], None, &unchanged.conf_chain(&log_signer(0)).encode(), Ok(0));
    let log = log(&[(&[0, 1], &[0, 1]), (&[1], &[0]), (&[2], &[1, 2])]);
    let bytes = log.conf_chain(&log_signer(2)).encode();
    cases.add("from the first key", &log, &[0], None, &bytes, Ok(3));
    cases.add("from the second key", &log, &[1], None, &bytes, Ok(3));
    cases.add("from the key of now", &log, &[2], None, &bytes, Ok(3));
    cases.add("followed this far before", &log, &[2], Some(3), &bytes, Ok(3));
    cases.add("followed farther before", &log, &[2], Some(4), &bytes, Err("rollback"));
    cases.add("from a key that no LogConf lists", &log, &[7], None, &bytes, Err("log_key"));
    let retired = log.conf_chain(&log_signer(0)).encode();
    cases.add("a head by a key that signs no more", &log, &[0], None, &retired, Err("log_signature"));
    let stranger = log.conf_chain(&log_signer(9)).encode();
    cases.add("a head by a key that no LogConf lists", &log, &[0], None, &stranger, Err("log_signature"));
}

/// Keys replaced without the old ones: those of the log, and the server's identity key.
fn replaced(cases: &mut Cases) {
    let lost = log(&[(&[1], &[1]), (&[1, 2], &[1, 2])]);
    let bytes = lost.conf_chain(&log_signer(1)).encode();
    cases.add("the log key replaced without the old one", &lost, &[0], None, &bytes, Err("repin"));
    cases.add("from the key that replaced it", &lost, &[1], None, &bytes, Ok(2));
    for (name, with_old, expected) in [
        ("the identity key rotated, the old one signs", true, Ok(1)),
        ("the identity key rotated by a device alone", false, Err("repin")),
    ] {
        let mut log = log(&[]);
        log.rotate_identity(7, with_old);
        let (batch, _) = log.reconfigure_by(|conf| conf.log_keys.push(log_key(1)), &[0, 1], Some(7)).unwrap();
        log.take(batch);
        cases.add(name, &log, &[0], None, &log.conf_chain(&log_signer(0)).encode(), expected);
    }
}

/// An honest chain with one thing wrong.
fn tampered(cases: &mut Cases) {
    let log = log(&[(&[0, 1], &[0, 1]), (&[1], &[0])]);
    let whole = log.conf_chain(&log_signer(1));
    let mut bent = |name: &str, code: &str, bend: &dyn Fn(&mut ConfChain)| {
        let mut chain = whole.clone();
        bend(&mut chain);
        cases.add(name, &log, &[0], None, &chain.encode(), Err(code));
    };
    bent("no rows", "logconf_chain", &|chain| chain.rows.clear());
    bent("the genesis left out", "logconf_chain", &|chain| drop(chain.rows.remove(0)));
    bent("a LogConf left out", "logconf_chain", &|chain| drop(chain.rows.remove(2)));
    bent("the newest left out", "logconf_chain", &|chain| drop(chain.rows.pop()));
    bent("two rows exchanged", "logconf_chain", &|chain| chain.rows.swap(2, 3));
    bent("another index for LogConf 0", "logconf_chain", &|chain| chain.rows[1].index = 2);
    bent("an Epoch among them", "logconf_chain", &|chain| chain.rows[2].entry = log.entries[2].clone());
    bent("a LogConf's signature bent", "bad_signature", &|chain| *chain.rows[2].entry.last_mut().unwrap() ^= 1);
    bent("the genesis's signature bent", "bad_signature", &|chain| *chain.rows[0].entry.last_mut().unwrap() ^= 1);
    bent("signed by a stranger too", "unknown_signer", &|chain| {
        signed_again(&mut chain.rows[3], |kids| kids.push(stranger()))
    });
    bent("a new key has not signed", "logconf_unsigned", &|chain| {
        let new = identity::key::kid_of(log_key(1).key());
        signed_again(&mut chain.rows[2], |signatures| signatures.retain(|(kid, _)| *kid != new));
    });
    bent("a row at another index", "written", &|chain| chain.rows[3].index -= 1);
    bent("a path bent", "written", &|chain| chain.rows[2].path[0][0] ^= 1);
    bent("no Resolution", "malformed", &|chain| chain.resolution.clear());
    let bytes = whole.encode();
    cases.add("cut short", &log, &[0], None, &bytes[..bytes.len() - 1], Err("malformed"));
    cases.add("a byte too many", &log, &[0], None, &[&bytes[..], &[0]].concat(), Err("malformed"));
    let format = [&bytes[..2], &[2], &bytes[3..]].concat();
    cases.add("another format", &log, &[0], None, &format, Err("malformed"));
    let row = ConfRow { index: 0, path: Vec::new(), entry: vec![2] };
    let many = ConfChain { resolution: whole.resolution.clone(), rows: vec![row; 513] };
    cases.add("513 rows", &log, &[0], None, &many.encode(), Err("malformed"));
    let long = ConfChain {
        resolution: whole.resolution.clone(),
        rows: vec![ConfRow { index: 0, path: vec![[0; 32]; 65], entry: vec![2] }],
    };
    cases.add("a path of 65 hashes", &log, &[0], None, &long.encode(), Err("malformed"));
}

type Signatures = Vec<(identity::cert::Kid, [u8; 64])>;

/// Writes a LogConf's row again with other signatures.
fn signed_again(row: &mut ConfRow, edit: impl Fn(&mut Signatures)) {
    let Ok(Entry::LogConf(conf)) = Entry::decode(&row.entry) else { panic!("a LogConf") };
    let mut signatures = conf.signatures().to_vec();
    edit(&mut signatures);
    signatures.sort_unstable();
    let mut writer = identity::wire::Writer::new();
    writer.array(3).uint(1).bytes(conf.payload_bytes()).array(signatures.len());
    for (kid, signature) in &signatures {
        writer.array(2).bytes(&kid.0).bytes(signature);
    }
    row.entry = [&row.entry[..1], &writer.finish()].concat();
}

fn stranger() -> (identity::cert::Kid, [u8; 64]) {
    (identity::cert::Kid([7; 8]), [7; 64])
}

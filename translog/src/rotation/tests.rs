//! Who is followed, and each refusal. The log is under the real rules; heads are signed by whom a test says.

use identity::time::Timestamp;

use super::*;
use crate::batch::fixture::{TestLog, log_key, log_signer};

/// A log whose LogConfs are made by `steps`: which log keys each lists, and which sign.
fn log(steps: &[(&[u64], &[u64])]) -> TestLog {
    let mut log = TestLog::new();
    for (keys, signers) in steps {
        let keys: Vec<VerifierKey> = keys.iter().map(|number| log_key(*number)).collect();
        let (batch, _) = log.reconfigure(|conf| conf.log_keys = keys, signers, true).unwrap();
        log.take(batch);
    }
    log
}

fn trust(log: &TestLog, keys: &[u64]) -> Trust {
    Trust::new(log.origin.clone(), keys.iter().map(|number| log_key(*number)).collect()).unwrap()
}

fn now(log: &TestLog) -> Timestamp {
    Timestamp::from_ms(log.time_ms)
}

/// Follows from these keys, under a head by `signer`, remembering nothing.
fn follow_from(log: &TestLog, keys: &[u64], signer: u64) -> Result<Followed, &'static str> {
    follow_bytes(log, keys, None, &log.conf_chain(&log_signer(signer)).encode())
}

fn follow_bytes(log: &TestLog, keys: &[u64], seq: Option<u64>, bytes: &[u8]) -> Result<Followed, &'static str> {
    let mut memory = Memory::new(log.origin.clone());
    let followed = follow(&trust(log, keys), &mut memory, seq, bytes, now(log)).map_err(|error| error.code());
    assert_eq!(followed.is_ok(), memory.head().is_some(), "only what holds is remembered");
    followed
}

#[test]
fn a_pinned_key_leads_to_the_keys_of_now() {
    // Goal: who was away during all of it still follows, and knows until when each key signed. Method: a key added, the first
    // dropped, a third added and the second dropped at once; from each key, under the newest.
    let log = log(&[(&[0, 1], &[0, 1]), (&[1], &[0]), (&[2], &[1, 2])]);
    let followed = follow_from(&log, &[0], 2).unwrap();
    assert_eq!((followed.seq, &followed.log_keys), (3, &vec![log_key(2)]));
    let retired: Vec<&VerifierKey> = followed.retired.iter().map(|retired| &retired.key).collect();
    assert_eq!(retired, [&log_key(0), &log_key(1)]);
    let sizes: Vec<u64> = followed.retired.iter().map(|retired| retired.size).collect();
    assert!(sizes[0] < sizes[1] && sizes[1] < log.edge.size(), "{sizes:?}");
    assert_eq!(follow_from(&log, &[1], 2).unwrap().log_keys, [log_key(2)]);
    assert_eq!(follow_from(&log, &[2], 2).unwrap().retired, []);
    assert_eq!(follow_from(&log, &[3], 2), Err("log_key"));
    assert_eq!(follow_from(&log, &[0], 0), Err("log_signature"), "a head by a key that signs no more");
    assert_eq!(follow_from(&log, &[0], 9), Err("log_signature"), "a key that no LogConf lists");
}

#[test]
fn keys_replaced_without_an_old_one_are_followed_by_nobody_who_had_those() {
    // Goal: the identity key alone takes no client along. Method: keys 0 and 1, then 2 without either, then 3 from there.
    let log = log(&[(&[0, 1], &[0, 1]), (&[2], &[2]), (&[2, 3], &[2, 3])]);
    assert_eq!(follow_from(&log, &[0], 2), Err("repin"));
    assert_eq!(follow_from(&log, &[1], 2), Err("repin"));
    let followed = follow_from(&log, &[2], 2).unwrap();
    assert_eq!((followed.log_keys, followed.retired), (vec![log_key(2), log_key(3)], vec![]));
}

#[test]
fn a_new_identity_key_is_known_by_the_old_one_s_signature() {
    // Goal: LogConfs after an id_rotate of the server. Method: signed by both identity keys; by devices alone.
    for (with_old, expected) in [(true, Ok(vec![log_key(0), log_key(1)])), (false, Err("repin"))] {
        let mut log = TestLog::new();
        log.rotate_identity(7, with_old);
        let (batch, _) = log
            .reconfigure_by(|conf| conf.log_keys.push(log_key(1)), &[0, 1], Some(7))
            .unwrap_or_else(|error| panic!("{with_old}: {error}"));
        log.take(batch);
        assert_eq!(follow_from(&log, &[0], 0).map(|followed| followed.log_keys), expected);
    }
}

#[test]
fn every_row_has_its_place_and_the_last_is_what_the_map_holds() {
    // Goal: each refusal of a chain that was tampered with. Method: rows left out, moved, exchanged, of another kind; bytes.
    let log = log(&[(&[0, 1], &[0, 1]), (&[1], &[0])]);
    let whole = log.conf_chain(&log_signer(1));
    let bent = |bend: &dyn Fn(&mut ConfChain)| {
        let mut chain = whole.clone();
        bend(&mut chain);
        follow_bytes(&log, &[0], None, &chain.encode()).map(|followed| followed.seq)
    };
    assert_eq!(bent(&|_| {}), Ok(2));
    assert_eq!(bent(&|chain| drop(chain.rows.pop())), Err("logconf_chain"), "an older LogConf under a newer head");
    assert_eq!(bent(&|chain| drop(chain.rows.remove(2))), Err("logconf_chain"));
    assert_eq!(bent(&|chain| drop(chain.rows.remove(0))), Err("logconf_chain"));
    assert_eq!(bent(&|chain| chain.rows.clear()), Err("logconf_chain"));
    assert_eq!(bent(&|chain| chain.rows[1].index = 2), Err("logconf_chain"));
    assert_eq!(bent(&|chain| chain.rows.swap(2, 3)), Err("logconf_chain"));
    assert_eq!(bent(&|chain| chain.rows[3].index -= 1), Err("written"));
    assert_eq!(bent(&|chain| chain.rows[2].path[0][0] ^= 1), Err("written"));
    assert_eq!(bent(&|chain| chain.rows[2].entry = log.entries[2].clone()), Err("logconf_chain"));
    assert_eq!(bent(&|chain| *chain.rows[2].entry.last_mut().unwrap() ^= 1), Err("bad_signature"));
    assert_eq!(bent(&|chain| *chain.rows[0].entry.last_mut().unwrap() ^= 1), Err("bad_signature"));
    assert_eq!(bent(&|chain| chain.resolution.truncate(9)), Err("malformed"));
    assert_eq!(follow_bytes(&log, &[0], Some(2), &whole.encode()).map(|followed| followed.seq), Ok(2));
    assert_eq!(follow_bytes(&log, &[1], Some(3), &whole.encode()), Err("rollback"));
    let bytes = whole.encode();
    assert_eq!(ConfChain::decode(&bytes), Ok(whole));
    assert_eq!(follow_bytes(&log, &[0], None, &bytes[..bytes.len() - 1]), Err("malformed"));
    assert_eq!(follow_bytes(&log, &[0], None, &[&bytes[..], &[0]].concat()), Err("malformed"));
}

#[test]
fn what_is_followed_continues_what_was_remembered() {
    // Goal: a thief of a log key and of the identity key still cannot show another past. Method: a memory of the log before, then
    // a chain of another log with the same keys.
    let (ours, mut theirs) = (log(&[(&[0, 1], &[0, 1])]), TestLog::new());
    theirs.append(&[crate::batch::fixture::Someone::new(1).1]);
    let mut memory = Memory::new(ours.origin.clone());
    follow(&trust(&ours, &[0]), &mut memory, None, &ours.conf_chain(&log_signer(0)).encode(), now(&ours)).unwrap();
    let kept = memory.clone();
    let (batch, _) = theirs.reconfigure(|conf| conf.log_keys = vec![log_key(5)], &[0, 5], true).unwrap();
    theirs.take(batch);
    let chain = theirs.conf_chain(&log_signer(5)).encode();
    let refused = follow(&trust(&ours, &[0]), &mut memory, None, &chain, now(&theirs)).unwrap_err();
    assert_eq!(refused.code(), "inconsistent");
    assert_eq!(memory, kept);
}

#[test]
fn who_remembers_a_tree_alone_follows_what_continues_it() {
    // Goal: a witness or follower is led by no other history than the one it knows. Method: the chain with the proof from the first
    // head's tree; without it, from another root, from a tree larger than the head.
    let log = log(&[(&[0, 1], &[0, 1]), (&[1], &[0])]);
    let trust = trust(&log, &[0]);
    let leaves: Vec<Hash> = log.entries.iter().map(|entry| leaf_hash(entry)).collect();
    let root = crate::tree::oracle::root(&leaves[..3]);
    let mut oracle = crate::tree::oracle::Oracle::new(&leaves);
    let chain = log.conf_chain(&log_signer(1));
    let proved = Resolution::decode(&chain.resolution).unwrap().with_consistency(oracle.consistency(3, leaves.len()));
    let with_proof = ConfChain { resolution: proved.encode(), ..chain.clone() }.encode();
    let follow = |known, bytes: &[u8]| {
        let followed = follow_tree(&trust, known, None, bytes, now(&log)).map_err(|error| error.code());
        followed.map(|followed| followed.log_keys)
    };
    assert_eq!(follow((3, root), &with_proof), Ok(vec![log_key(1)]));
    assert_eq!(follow((0, crate::hash::EMPTY_ROOT), &chain.encode()), Ok(vec![log_key(1)]));
    assert_eq!(follow((3, root), &chain.encode()), Err("inconsistent"));
    assert_eq!(follow((3, [7; 32]), &with_proof), Err("inconsistent"));
    assert_eq!(follow((log.edge.size() + 1, [7; 32]), &with_proof), Err("rollback"));
}

//! Who must sign a LogConf, and what breaks the chain.

use identity::did::Did;

use super::*;
use crate::note::{LogSigner, VerifierKey};

const IDENTITY: u8 = 1;
const OLD: u8 = 2;
const NEW: u8 = 3;
const STRANGER: u8 = 4;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn vkey(seed: u8) -> VerifierKey {
    LogSigner::new("dgns.test/log", key(seed)).unwrap().verifier_key().clone()
}

fn conf(seq: u64, prev: Option<&LogConf>, log_keys: &[u8]) -> Conf {
    Conf {
        seq,
        prev: prev.map(LogConf::sid),
        origin: origin(),
        server: Did::from_bytes([9; 20]),
        log_keys: log_keys.iter().map(|seed| vkey(*seed)).collect(),
        policy: String::new(),
        prefixes: vec![],
        predecessor: None,
    }
}

fn origin() -> Origin {
    Origin::parse("dgns.test/log").unwrap()
}

fn signed(conf: &Conf, signers: &[u8]) -> LogConf {
    let keys: Vec<SigningKey> = signers.iter().map(|seed| key(*seed)).collect();
    LogConf::sign(conf, &keys.iter().collect::<Vec<_>>()).unwrap()
}

fn first() -> LogConf {
    signed(&conf(0, None, &[OLD]), &[IDENTITY, OLD])
}

fn check(logconf: &LogConf, previous: Option<&LogConf>, expected: Result<Succession, &str>) {
    let result = logconf.verify(&origin(), &key(IDENTITY).public(), previous.map(LogConf::conf));
    assert_eq!(result.map_err(|error| error.code()), expected);
}

#[test]
fn the_first_needs_identity_and_every_log_key() {
    // Goal: nobody alone starts a log. Method: each subset of the signatures.
    check(&first(), None, Ok(Succession::Linked));
    check(&signed(&conf(0, None, &[OLD]), &[IDENTITY]), None, Err("logconf_unsigned"));
    check(&signed(&conf(0, None, &[OLD]), &[OLD]), None, Err("logconf_unsigned"));
    check(&signed(&conf(0, None, &[OLD, NEW]), &[IDENTITY, OLD]), None, Err("logconf_unsigned"));
    check(&signed(&conf(0, None, &[OLD, NEW]), &[IDENTITY, OLD, NEW]), None, Ok(Succession::Linked));
    check(&signed(&conf(0, None, &[OLD]), &[IDENTITY, OLD, STRANGER]), None, Err("unknown_signer"));
}

#[test]
fn a_rotation_needs_an_old_key_too() {
    // Goal: nobody follows who holds the identity key alone. Method: rotations with signatures left out.
    let first = first();
    let both = conf(1, Some(&first), &[OLD, NEW]);
    let new_alone = conf(1, Some(&first), &[NEW]);
    check(&signed(&both, &[IDENTITY, OLD, NEW]), Some(&first), Ok(Succession::Linked));
    check(&signed(&new_alone, &[IDENTITY, OLD, NEW]), Some(&first), Ok(Succession::Linked));
    check(&signed(&new_alone, &[IDENTITY, NEW]), Some(&first), Ok(Succession::Repin));
    check(&signed(&both, &[IDENTITY, OLD]), Some(&first), Err("logconf_unsigned"));
    check(&signed(&both, &[OLD, NEW]), Some(&first), Err("logconf_unsigned"));
    check(&signed(&new_alone, &[NEW]), Some(&first), Err("logconf_unsigned"));
    check(&signed(&both, &[IDENTITY, NEW]), Some(&first), Ok(Succession::Repin));
    check(&signed(&conf(1, Some(&first), &[OLD]), &[IDENTITY, OLD]), Some(&first), Ok(Succession::Linked));
}

#[test]
fn what_does_not_follow_is_refused() {
    // Goal: one chain. Method: wrong seq, prev, server, origin; a signature over other bytes.
    let first = first();
    check(&first, Some(&first), Err("logconf_chain"));
    check(&signed(&conf(1, Some(&first), &[OLD]), &[IDENTITY, OLD]), None, Err("logconf_chain"));
    check(&signed(&conf(2, Some(&first), &[OLD]), &[IDENTITY, OLD]), Some(&first), Err("logconf_chain"));
    let mut other = conf(1, Some(&first), &[OLD]);
    other.prev = Some([0; 32]);
    check(&signed(&other, &[IDENTITY, OLD]), Some(&first), Err("logconf_chain"));
    let mut other = conf(1, Some(&first), &[OLD]);
    other.server = Did::from_bytes([8; 20]);
    check(&signed(&other, &[IDENTITY, OLD]), Some(&first), Err("logconf_chain"));
    let elsewhere = Origin::parse("other.test/log").unwrap();
    let result = first.verify(&elsewhere, &key(IDENTITY).public(), None);
    assert_eq!(result, Err(LogConfError::Chain));
    let mut damaged = first.as_bytes().to_vec();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    check(&LogConf::decode(&damaged).unwrap(), None, Err("bad_signature"));
}

#[test]
fn signed_bytes_name_purpose_and_log() {
    // Goal: PROTOCOL 1.2, second form. Method: the bytes written out.
    assert_eq!(signed_bytes(&origin(), b"xyz"), b"dgns/logconf/v1\0\x0ddgns.test/logxyz");
    assert_eq!(first().conf().encode(), first().payload_bytes());
}

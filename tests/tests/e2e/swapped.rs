//! A log whose key was swapped: heads by a stranger, and a chain of LogConfs that names him without the identity key.

use identity::key::SigningKey;
use translog::entry::Entry;
use translog::logconf::{Conf, LogConf};
use translog::note::LogSigner;
use translog::rotation::{ConfChain, ConfRow};

/// Returns who signs heads of `dgns.test/log` and is no key of it.
pub fn stranger() -> LogSigner {
    LogSigner::new("dgns.test/log", SigningKey::from_seed(&[9; 32])).unwrap()
}

/// Returns an honest chain with a LogConf behind it that names the stranger, signed by the stranger alone.
pub fn forged(honest: &[u8]) -> Option<ConfChain> {
    let mut chain = ConfChain::decode(honest).ok()?;
    let Entry::LogConf(first) = Entry::decode(&chain.rows.last()?.entry).ok()? else { return None };
    let log_keys = vec![stranger().verifier_key().clone()];
    let next = Conf { seq: 1, prev: Some(first.sid()), log_keys, ..first.conf().clone() };
    let entry = Entry::LogConf(LogConf::sign(&next, &[stranger().signing_key()]).ok()?).encode();
    chain.rows.push(ConfRow { index: 5, path: chain.rows.last()?.path.clone(), entry });
    Some(chain)
}

//! Another log key, which the log never said it would have.

use identity::key::SigningKey;
use translog::entry::Entry;
use translog::logconf::LogConf;
use translog::note::LogSigner;

use super::super::forge::Forge;
use super::super::people::{Someone, origin};
use super::stories::{Story, base, grown};
use super::table::{KEPT, NONE, Row, WHOLE, detected, mount, prevented};
use super::victims::*;

const SWAPPED: &str = "log key swapped without a LogConf";
const UNSIGNED: &str = "log key swapped by a LogConf that the old key did not sign";

pub const ROWS: &[Row] = &[
    detected(SWAPPED, swapped, CLIENT, "exit 3 `log_signature`", KEPT),
    prevented(SWAPPED, swapped, WITNESS, "403 `log_signature`", NONE),
    prevented(SWAPPED, swapped, VERIFIER, "403 `log_signature`", NONE),
    detected(SWAPPED, swapped, AUDITOR, "exit 3 `unknown_note_key`", KEPT),
    detected(SWAPPED, swapped, MIRROR, "exit 3 `unknown_note_key`", KEPT),
    detected(SWAPPED, swapped, MONITOR, "exit 3 `log_signature`", KEPT),
    detected(SWAPPED, swapped, FOLLOWER, "refused `log_signature`", NONE),
    detected(UNSIGNED, unsigned_conf, VERIFIER, "422 `held_up` (`entry`)", WHOLE),
    detected(UNSIGNED, unsigned_conf, FIRST_AUDITOR, "exit 3 `entry`", WHOLE),
    detected(UNSIGNED, unsigned_conf, FOLLOWER, "fault `entry`", WHOLE),
];

fn stranger() -> LogSigner {
    LogSigner::new(origin().as_str(), SigningKey::from_seed(&[9; 32])).unwrap()
}

fn swapped() -> Story {
    let (met, _) = base();
    let mut shown = grown(&met, [50]);
    shown.sign_with(stranger());
    Story::new(&met, &shown)
}

/// The entry is in the log; heads go on with the old key, so that somebody reads it.
fn unsigned_conf() -> Story {
    let (met, _) = base();
    let mut shown: Forge = met.clone();
    let Entry::LogConf(conf) = Entry::decode(&met.entries[1]).unwrap() else { panic!("entry 1 is the LogConf") };
    let mut next = conf.conf().clone();
    (next.seq, next.prev, next.log_keys) = (1, Some(conf.sid()), vec![stranger().verifier_key().clone()]);
    let next = LogConf::sign(&next, &[&SigningKey::from_seed(&[9; 32])]).unwrap();
    let batch = shown.integrate(&Someone::new(50).1, shown.time_ms + 1_000);
    shown.close(vec![Entry::LogConf(next).encode()], Default::default(), batch.epoch.time_ms, |_| {});
    Story::new(&met, &shown)
}

#[test]
fn a_key_that_the_log_never_announced_signs_nothing() {
    mount(ROWS);
}

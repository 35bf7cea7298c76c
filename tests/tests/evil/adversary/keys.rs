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

const FOLLOWED: &str = "log key swapped by a LogConf of the new key alone, in the map and shown to whoever asks";
const REPLACED: &str = "log key swapped by a LogConf that the server's words signed, and the old key did not";

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
    detected(FOLLOWED, followed_conf, CLIENT, "exit 3 `log_signature`", KEPT),
    prevented(FOLLOWED, followed_conf, WITNESS, "403 `log_signature`", NONE),
    detected(FOLLOWED, followed_conf, AUDITOR, "exit 3 `unknown_note_key`", KEPT),
    detected(FOLLOWED, followed_conf, MIRROR, "exit 3 `unknown_note_key`", KEPT),
    detected(FOLLOWED, followed_conf, MONITOR, "exit 3 `log_signature`", KEPT),
    detected(FOLLOWED, followed_conf, FOLLOWER, "refused `log_signature`", NONE),
    detected(REPLACED, replaced, CLIENT, "exit 3 `repin`", NONE),
    prevented(REPLACED, replaced, WITNESS, "403 `log_signature`", NONE),
    detected(REPLACED, replaced, AUDITOR, "exit 3 `repin`", NONE),
    detected(REPLACED, replaced, MIRROR, "exit 3 `repin`", NONE),
    detected(REPLACED, replaced, MONITOR, "exit 3 `repin`", NONE),
    detected(REPLACED, replaced, FOLLOWER, "refused `repin`", NONE),
];

/// A key that the log never had.
pub fn stranger() -> LogSigner {
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
    let next = conf_of_a_stranger(&met, &[]);
    let batch = shown.integrate(&Someone::new(50).1, shown.time_ms + 1_000);
    shown.close(vec![Entry::LogConf(next).encode()], Default::default(), batch.epoch.time_ms, |_| {});
    Story::new(&met, &shown)
}

/// The log goes on with the key that nobody knows, and says that this was announced.
fn followed_conf() -> Story {
    swapped_by(|_| Vec::new())
}

/// Whoever has the words of the server's DID, or found them, and not the log key.
fn replaced() -> Story {
    swapped_by(|met| vec![met.words().identity()])
}

fn swapped_by(signers: fn(&Forge) -> Vec<SigningKey>) -> Story {
    let (met, _) = base();
    let mut shown: Forge = met.clone();
    shown.configure(&conf_of_a_stranger(&met, &signers(&met)));
    shown.sign_with(stranger());
    Story::new(&met, &grown(&shown, [50]))
}

/// Returns a LogConf that continues the log's and lists the stranger's key alone; the stranger signs it, and `signers`.
fn conf_of_a_stranger(met: &Forge, signers: &[SigningKey]) -> LogConf {
    let Entry::LogConf(conf) = Entry::decode(&met.entries[1]).unwrap() else { panic!("entry 1 is the LogConf") };
    let mut next = conf.conf().clone();
    (next.seq, next.prev, next.log_keys) = (1, Some(conf.sid()), vec![stranger().verifier_key().clone()]);
    let stranger = SigningKey::from_seed(&[9; 32]);
    LogConf::sign(&next, &signers.iter().chain([&stranger]).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_key_that_the_log_never_announced_signs_nothing() {
    mount(ROWS);
}

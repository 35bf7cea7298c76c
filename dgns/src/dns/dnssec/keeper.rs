//! Keeps a zone signed by rounds over its owners, some at a time; and rolls its keys. The first round, after a start, goes on without a pause; the
//! next begins when something is due: other keys, a signature half of whose time is over, or a clock that was set back.
//!
//! Whoever wants a key rolled writes that into a file beside the keys; the server alone writes the keys. They are durable before
//! anything is signed with them, so a crash repeats a step and never loses a key.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::super::zone::Zone;
use super::{Keyring, Wish};
use crate::shutdown;

/// How often owners are looked at after the first round, how many at a time, and how many of them are signed anew at most: on one core a tenth of a
/// second's work.
const EVERY: Duration = Duration::from_secs(1);
const LOOKED_AT_MAX: usize = 16_384;
const SIGNED_MAX: usize = 1_024;

/// The file of a wish, beside the keys.
const WISH_FILE: &str = "dnssec.wish";

/// Leaves a wish for the server that keeps the keys at `path`. Errors: one is there already, or the file cannot be written.
pub fn leave_wish(path: &Path, wish: Wish) -> Result<(), storage::StorageError> {
    storage::durable::create(&path.with_file_name(WISH_FILE), format!("{}\n", wish.text()).as_bytes())
}

/// Signs what is not signed, or not for long, and rolls the keys, which lie at `path`, until `stop`.
pub async fn keep(zone: Arc<Zone>, path: PathBuf, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut round = Progress::default();
    // What is not signed yet after a start is not answered.
    let mut is_first = true;
    loop {
        tokio::select! {
            biased;
            () = shutdown::requested(&mut stop) => return,
            () = tokio::task::yield_now(), if is_first => {}
            _ = ticks.tick() => {}
        }
        let (zone, before, path) = (zone.clone(), round, path.clone());
        // Signatures are work for a processor: beside the tasks that answer.
        match tokio::task::spawn_blocking(move || before.roll(&zone, &path).go_on(&zone)).await {
            Ok(after) => {
                is_first &= after.due_s == 0;
                round = after;
            }
            Err(error) => {
                tracing::error!(%error, "a round of signing failed");
                (is_first, round) = (false, Progress::default());
            }
        }
    }
}

/// How far a round over the owners has come.
#[derive(Debug, Default)]
struct Progress {
    at: Option<Vec<u8>>,
    lasts_s: Option<u32>,
    /// When a round came to its end with the keys of now for the first time, unix seconds.
    clean_since_s: Option<u64>,
    /// When the next round begins, unix seconds; 0: at once.
    due_s: u64,
    /// What the clock said last, unix seconds.
    now_s: u64,
}

impl Progress {
    /// Rolls keys whose time has come, or as was wished; with other keys all begins anew.
    fn roll(self, zone: &Zone, path: &Path) -> Self {
        let Some(signing) = zone.signing() else { return self };
        let wish_at = path.with_file_name(WISH_FILE);
        let text = match std::fs::read_to_string(&wish_at) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            text => Some(text),
        };
        let wish = text.as_ref().and_then(|text| Wish::of_text(text.as_ref().ok()?));
        let (keys, granted) = signing.next_keys(wish, self.clean_since_s);
        if let Err(why) = granted {
            tracing::warn!(%why, "keys are not rolled");
        }
        let is_changed = keys.is_some();
        if let Some(Err(error)) = keys.map(|keys| adopt(zone, keys, path)) {
            tracing::error!(%error, "keys cannot be written: it is tried again");
            return self;
        }
        if let Some(text) = text {
            if wish.is_none() {
                let path = wish_at.display();
                tracing::error!(%path, ?text, "the wish for other keys cannot be read, or is none: it is taken away");
            }
            if let Err(error) = std::fs::remove_file(&wish_at) {
                tracing::error!(%error, "the wish for other keys cannot be taken away");
            }
        }
        if is_changed { Self::default() } else { self }
    }

    /// Looks at the next owners, unless nothing is due. A round that comes to its end says when the first signature ends.
    fn go_on(self, zone: &Zone) -> Self {
        let Some(signing) = zone.signing() else { return self };
        if self.at.is_none() && signing.apex_is_due() {
            zone.sign_apex();
        }
        let now_s = signing.now();
        let before = if now_s < self.now_s { Self::default() } else { self };
        if now_s < before.due_s {
            return Self { now_s, ..before };
        }
        let round = zone.sign_from(before.at.as_deref(), LOOKED_AT_MAX, SIGNED_MAX);
        let lasts_s = before.lasts_s.into_iter().chain(round.lasts_s).min();
        match (round.at, lasts_s) {
            (None, Some(lasts_s)) => {
                let clean_since_s = before.clean_since_s.or(Some(signing.now()));
                Self { clean_since_s, due_s: signing.note_first_end(lasts_s), now_s, ..Self::default() }
            }
            (at, _) => Self { at, lasts_s, due_s: 0, now_s, ..before },
        }
    }
}

/// Makes keys durable, then signs with them.
fn adopt(zone: &Zone, keys: Keyring, path: &Path) -> Result<(), storage::StorageError> {
    keys.write(path)?;
    for held in keys.keys() {
        tracing::info!(key = ?held.key, stage = held.stage.name(), "key of the zone");
    }
    if let Some(signing) = zone.signing() {
        signing.set_keys(keys);
    }
    zone.sign_apex();
    Ok(())
}

#[cfg(test)]
mod tests {
    use identity::time::Timestamp;

    use super::super::{Algorithm, Times};
    use super::*;
    use crate::clock::Clock;
    use crate::dns::zone::Settings;

    const NOW_S: u64 = 1_700_000_000;

    fn zone(clock: &Clock) -> Zone {
        let times = Times { validity_s: 1_000, step_s: 10, parent_s: 10, zsk_s: 0 };
        let keys = Keyring::generate("dgns.test", Algorithm::EcdsaP256, NOW_S);
        let zone = Zone::new("dgns.test", &Settings::for_zone("dgns.test")).unwrap().signed(keys, times, clock.clone());
        zone.set_ready();
        zone
    }

    #[test]
    fn a_round_begins_when_something_is_due() {
        // Goal: a keeper rests until half the time of the signature is over that ends first, those of the zone's own name too, and no longer than
        // until the clock is set back.
        let at = |seconds: u64| Timestamp::from_ms((NOW_S + seconds) * 1_000);
        let clock = Clock::fixed_for_tests(at(0));
        let zone = zone(&clock);
        let signing = zone.signing().unwrap();
        let signed = |progress: Progress| {
            let before = signing.signatures();
            let after = progress.go_on(&zone);
            (after, signing.signatures() - before)
        };
        let (progress, made) = signed(Progress::default());
        assert_eq!((made, progress.at.is_none(), progress.clean_since_s), (0, true, Some(NOW_S)));
        let first_end_s = signing.first_end_s();
        let apex = signing.apex_sets();
        let own = apex.iter().flat_map(|set| &set.signatures).map(|signature| u64::from(signature.expiration_s)).min();
        assert!(first_end_s <= own.unwrap() && progress.due_s == first_end_s - 500, "{first_end_s} {own:?}");
        clock.set_for_tests(at(300));
        let (progress, made) = signed(progress);
        assert_eq!((made, progress.now_s, signing.first_end_s()), (0, NOW_S + 300, first_end_s), "nothing is due");
        clock.set_for_tests(at(299));
        let (progress, _) = signed(progress);
        assert_eq!(
            (progress.now_s, progress.clean_since_s),
            (NOW_S + 299, Some(NOW_S + 299)),
            "the clock was set back"
        );
        clock.set_for_tests(at(501));
        let (progress, made) = signed(progress);
        assert!(made as usize > signing.owners() && progress.due_s > NOW_S + 800, "{made} {progress:?}");
    }

    #[test]
    fn a_wish_that_cannot_be_read_is_taken_away_and_another_granted() {
        let zone = zone(&Clock::fixed_for_tests(Timestamp::from_ms(NOW_S * 1_000)));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(Keyring::FILE);
        for bytes in [&b"roll them all"[..], b"\xff"] {
            std::fs::write(directory.path().join(WISH_FILE), bytes).unwrap();
            Progress::default().roll(&zone, &path);
            assert!(!directory.path().join(WISH_FILE).exists() && !path.exists(), "{bytes:?}");
        }
        leave_wish(&path, Wish::Roll(super::super::Role::Zsk)).unwrap();
        let refused = leave_wish(&path, Wish::Seen).unwrap_err().to_string();
        assert!(refused.contains(WISH_FILE), "{refused}");
        Progress::default().roll(&zone, &path);
        assert!(!directory.path().join(WISH_FILE).exists());
        assert_eq!(Keyring::read(&path).unwrap().keys().len(), 3);
    }
}

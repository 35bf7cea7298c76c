//! Keeps a zone signed: round after round over its owners, some at a time; and rolls its keys.
//!
//! Whoever wants a key rolled writes that into a file beside the keys; the server alone writes the keys. They are durable before
//! anything is signed with them, so a crash repeats a step and never loses a key.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::super::zone::Zone;
use super::{Keyring, Wish};
use crate::shutdown;

/// How often owners are looked at, how many at a time, and how many of them are signed anew at most: on one core a tenth of a second's work.
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
    let mut round = Progress::default();
    loop {
        tokio::select! {
            () = shutdown::requested(&mut stop) => return,
            _ = ticks.tick() => {}
        }
        let (zone, before, path) = (zone.clone(), round, path.clone());
        // Signatures are work for a processor: beside the tasks that answer.
        match tokio::task::spawn_blocking(move || before.roll(&zone, &path).go_on(&zone)).await {
            Ok(after) => round = after,
            Err(error) => {
                tracing::error!(%error, "a round of signing failed");
                round = Progress::default();
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
}

impl Progress {
    /// Rolls keys whose time has come, or as was wished; with other keys all begins anew.
    fn roll(self, zone: &Zone, path: &Path) -> Self {
        let Some(signing) = zone.signing() else { return self };
        let wish_at = path.with_file_name(WISH_FILE);
        let wish = std::fs::read_to_string(&wish_at).ok();
        let (keys, granted) = signing.next_keys(wish.as_deref().and_then(Wish::of_text), self.clean_since_s);
        if let Err(why) = granted {
            tracing::warn!(%why, "keys are not rolled");
        }
        let is_changed = keys.is_some();
        if let Some(Err(error)) = keys.map(|keys| adopt(zone, keys, path)) {
            tracing::error!(%error, "keys cannot be written: it is tried again");
            return self;
        }
        if wish.is_some()
            && let Err(error) = std::fs::remove_file(&wish_at)
        {
            tracing::error!(%error, "the wish for other keys cannot be taken away");
        }
        if is_changed { Self::default() } else { self }
    }

    /// Looks at the next owners. A round that comes to its end says when the first signature ends.
    fn go_on(self, zone: &Zone) -> Self {
        if self.at.is_none() && zone.signing().is_some_and(super::Signing::apex_ends_soon) {
            zone.sign_apex();
        }
        let round = zone.sign_from(self.at.as_deref(), LOOKED_AT_MAX, SIGNED_MAX);
        let lasts_s = self.lasts_s.into_iter().chain(round.lasts_s).min();
        match (round.at, zone.signing(), lasts_s) {
            (None, Some(signing), Some(lasts_s)) => {
                signing.note_first_end(lasts_s);
                let clean_since_s = self.clean_since_s.or(Some(signing.now()));
                Self { clean_since_s, ..Self::default() }
            }
            (at, ..) => Self { at, lasts_s, ..self },
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

//! What this device remembers of a log: the newest head, its own place, and what is on its way.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use dgns_api::store::entry::{Entry, LogId};
use dgns_api::store::head::SignedHead;
use identity::hash::Hash;
use serde::{Deserialize, Serialize};

use crate::error::ClientError;
use crate::home::LogHome;

/// The file of this device's place in a log. It is written by who appends alone, who has the log to himself.
#[derive(Default, Serialize, Deserialize)]
struct Place {
    /// The lsn of this device's next entry.
    next: u64,
    /// The leaf of the one before.
    last: Option<String>,
    /// An entry that was signed and not yet acknowledged.
    outbox: Option<String>,
}

/// The file of a head that was proved, an envelope: of the newest, and of the first that no anchor has. Readers and who appends write it, at the same time.
#[derive(Serialize, Deserialize)]
struct Head {
    head: String,
}

/// What is remembered of one log.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// The newest head that was proved.
    pub(super) head: Option<SignedHead>,
    /// The lsn of this device's next entry; 0 if it has to be asked for.
    pub(super) next: u64,
    /// The leaf of the one before.
    pub(super) last: Option<Hash>,
    /// An entry that was signed and not yet acknowledged: it is sent again before anything else is signed.
    pub(super) outbox: Option<Entry>,
}

impl Kept {
    /// Reads what is remembered; nothing if nothing was kept yet.
    pub(super) fn read(home: &LogHome, log: &LogId) -> Result<Self, ClientError> {
        let path = path_of(log, "json");
        let place = home.read_json::<Place>(&path)?.unwrap_or_default();
        let damaged = || damaged(home, &path);
        let bytes = |hex: &Option<String>| {
            hex.as_ref().map(|hex| HEXLOWER.decode(hex.as_bytes()).map_err(|_| damaged())).transpose()
        };
        let last = bytes(&place.last)?.map(|bytes| bytes.try_into().map_err(|_| damaged())).transpose()?;
        let outbox = bytes(&place.outbox)?.map(|bytes| Entry::decode(&bytes).map_err(|_| damaged())).transpose()?;
        Ok(Self { head: head(home, log)?, next: place.next, last, outbox })
    }

    /// Keeps this device's place, durably.
    pub(super) fn write(&self, home: &LogHome, log: &LogId) -> Result<(), ClientError> {
        let place = Place {
            next: self.next,
            last: self.last.map(|leaf| HEXLOWER.encode(&leaf)),
            outbox: self.outbox.as_ref().map(|entry| HEXLOWER.encode(&entry.encode())),
        };
        home.keep_json(&path_of(log, "json"), &place)
    }
}

/// Returns the newest head that was proved.
pub(super) fn head(home: &LogHome, log: &LogId) -> Result<Option<SignedHead>, ClientError> {
    head_at(home, path_of(log, "head"))
}

fn head_at(home: &LogHome, path: PathBuf) -> Result<Option<SignedHead>, ClientError> {
    let Some(file) = home.read_json::<Head>(&path)? else { return Ok(None) };
    let bytes = HEXLOWER.decode(file.head.as_bytes()).map_err(|_| damaged(home, &path))?;
    SignedHead::decode(&bytes).map(Some).map_err(|_| damaged(home, &path))
}

/// Keeps a head that was proved, durably, unless a longer one is remembered; returns the one that is.
pub(super) fn keep_head(home: &LogHome, log: &LogId, proved: SignedHead) -> Result<SignedHead, ClientError> {
    let _turn = home.turn("heads.lock")?;
    match head(home, log)? {
        Some(newer) if newer.head().size >= proved.head().size => Ok(newer),
        _ => {
            home.keep_json(&path_of(log, "head"), &Head { head: HEXLOWER.encode(proved.as_bytes()) })?;
            Ok(proved)
        }
    }
}

/// Returns the heads of a log that go beyond the `anchored` entries that an anchor has: the first that was met, which is remembered until
/// an anchor has it, and those of `proved`, the oldest first.
pub(super) fn owed_heads(
    home: &LogHome,
    log: &LogId,
    anchored: u64,
    proved: &[&SignedHead],
) -> Result<Vec<SignedHead>, ClientError> {
    let _turn = home.turn("heads.lock")?;
    let path = path_of(log, "owed");
    let is_owed = |head: &SignedHead| head.head().size > anchored;
    let before = head_at(home, path.clone())?.filter(is_owed);
    let proved = proved.iter().map(|head| (*head).clone()).filter(is_owed);
    let owed: Vec<SignedHead> = before.iter().cloned().chain(proved).collect();
    if let (None, Some(first)) = (&before, owed.first()) {
        home.keep_json(&path, &Head { head: HEXLOWER.encode(first.as_bytes()) })?;
    }
    Ok(owed)
}

fn damaged(home: &LogHome, path: &Path) -> ClientError {
    ClientError::Unable(format!("{} is damaged", home.directory().join(path).display()))
}

fn path_of(log: &LogId, what: &str) -> PathBuf {
    PathBuf::from("store").join(format!("{log}.{what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::{Home, Pinned};
    use dgns_api::store::head::StoreHead;
    use identity::did::Did;
    use identity::key::SigningKey;
    use identity::name::Origin;

    #[test]
    fn the_first_head_that_no_anchor_has_is_remembered_until_one_has_it() {
        // Goal: who signs newer heads all the time owes the anchor since the first of them. Method: heads that come one after the other.
        let (directory, origin) = (tempfile::tempdir().unwrap(), Origin::parse("dgns.test/log").unwrap());
        let pinned = Pinned::by_hand(vec![], Default::default());
        let home = Home::open(directory.path()).unwrap().pin("http://a.example", &origin, &pinned).unwrap();
        let log = LogId([1; 32]);
        let head = |size: u64, time_ms: u64| {
            let head = StoreHead { log, size, root: [0; 32], time_ms, store: Did::from_bytes([2; 20]), since: None };
            SignedHead::sign(&head, &origin, &SigningKey::from_seed(&[1; 32]))
        };
        let owed = |anchored: u64, proved: &[&SignedHead]| -> Vec<u64> {
            let owed = owed_heads(&home, &log, anchored, proved).unwrap();
            owed.iter().map(|head| head.head().time_ms).collect()
        };
        assert_eq!(owed(3, &[&head(3, 10)]), [0; 0]);
        assert_eq!(owed(3, &[&head(3, 10), &head(4, 20)]), [20]);
        assert_eq!(owed(3, &[&head(5, 30), &head(6, 40)]), [20, 30, 40], "the first is remembered, and not the newest");
        assert_eq!(owed(4, &[&head(5, 30), &head(6, 40)]), [30, 40], "an anchor has the first");
        assert_eq!(owed(6, &[&head(6, 40)]), [0; 0]);
        assert_eq!(owed(6, &[&head(7, 50)]), [50]);
    }
}

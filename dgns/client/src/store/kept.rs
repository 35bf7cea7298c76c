//! What this device remembers of a log: the newest head, its own place, and what is on its way.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use dgns_api::store::entry::{Entry, LogId};
use dgns_api::store::head::SignedHead;
use dgns_api::store::place::Place;
use identity::did::Did;
use identity::hash::Hash;
use identity::name::Origin;
use serde::{Deserialize, Serialize};

use crate::error::ClientError;
use crate::home::LogHome;
use crate::session::{Left, Session};

/// The file of this device's place in a log. It is written by who appends alone, who has the log to himself.
#[derive(Default, Serialize, Deserialize)]
struct OwnPlace {
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

/// The file of where a database is that moved, as it was proved there.
#[derive(PartialEq, Serialize, Deserialize)]
struct PlaceFile {
    server: String,
    url: String,
    origin: String,
    key: String,
    /// Of each move the server that it went to, and how its control log ended before: size and root.
    moves: Vec<(String, u64, String)>,
}

/// Returns where the database of a control log was found that moved, and how it came there.
pub(super) fn place(home: &LogHome, control: &LogId) -> Result<Option<(Place, Vec<Left>)>, ClientError> {
    let path = path_of(control, "place");
    let Some(file) = home.read_json::<PlaceFile>(&path)? else { return Ok(None) };
    let bytes = |hex: &str| HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok();
    let read = || {
        let (server, origin) = (file.server.parse().ok()?, Origin::parse(&file.origin).ok()?);
        let left = |(to, size, root): &(String, u64, String)| {
            Some(Left { to: to.parse().ok()?, size: *size, root: bytes(root)? })
        };
        let moves: Option<Vec<Left>> = file.moves.iter().map(left).collect();
        Some((Place { server, url: file.url.clone(), origin, key: bytes(&file.key)? }, moves?))
    };
    read().map(Some).ok_or_else(|| damaged(home, &path))
}

/// Keeps where the database of a control log was found, durably: whoever was there once asks nobody where it is.
pub(super) fn keep_place(home: &LogHome, control: &LogId, place: &Place, left: &[Left]) -> Result<(), ClientError> {
    let Place { server, url, origin, key } = place;
    let (server, origin, key) = (server.to_string(), origin.as_str().to_owned(), HEXLOWER.encode(key));
    let moves = left.iter().map(|left| (left.to.to_string(), left.size, HEXLOWER.encode(&left.root))).collect();
    let (path, file) = (path_of(control, "place"), PlaceFile { server, url: url.clone(), origin, key, moves });
    match home.read_json::<PlaceFile>(&path)? {
        Some(before) if before == file => Ok(()),
        _ => home.keep_json(&path, &file),
    }
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
    /// Reads what is remembered; nothing if nothing was kept yet. A head that counts no more where the log is by now is none.
    pub(super) fn read(session: &Session, log: &LogId) -> Result<Self, ClientError> {
        let (home, path) = (session.log(), path_of(log, "json"));
        let place = home.read_json::<OwnPlace>(&path)?.unwrap_or_default();
        let damaged = || damaged(home, &path);
        let bytes = |hex: &Option<String>| {
            hex.as_ref().map(|hex| HEXLOWER.decode(hex.as_bytes()).map_err(|_| damaged())).transpose()
        };
        let last = bytes(&place.last)?.map(|bytes| bytes.try_into().map_err(|_| damaged())).transpose()?;
        let outbox = bytes(&place.outbox)?.map(|bytes| Entry::decode(&bytes).map_err(|_| damaged())).transpose()?;
        Ok(Self { head: held(home, log, &moves_of(session, log))?, next: place.next, last, outbox })
    }

    /// Keeps this device's place, durably.
    pub(super) fn write(&self, home: &LogHome, log: &LogId) -> Result<(), ClientError> {
        let place = OwnPlace {
            next: self.next,
            last: self.last.map(|leaf| HEXLOWER.encode(&leaf)),
            outbox: self.outbox.as_ref().map(|entry| HEXLOWER.encode(&entry.encode())),
        };
        home.keep_json(&path_of(log, "json"), &place)
    }
}

/// Returns the newest head that was proved of a log which came to where it is by these moves: of the server that keeps it, else of the one before, as far as its owners took the
/// log along from there. Each server's are kept apart: whatever ends amid a step, nobody is held to what another one signed.
fn held(home: &LogHome, log: &LogId, left: &[Left]) -> Result<Option<SignedHead>, ClientError> {
    for number in (0..=left.len()).rev() {
        let head = head_at(home, path_by(log, signer(left, number), "head"))?;
        let ended = left.get(number).map_or(u64::MAX, |left| left.size);
        if let Some(head) = head.filter(|head| head.head().size <= ended) {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

/// The server whose heads of a log these are, by how many moves led to it; `None` is the one where it was made.
fn signer(left: &[Left], number: usize) -> Option<&Did> {
    number.checked_sub(1).and_then(|number| left.get(number)).map(|left| &left.to)
}

fn moves_of(session: &Session, log: &LogId) -> Vec<Left> {
    session.stay(log).map(|stay| stay.left).unwrap_or_default()
}

fn head_at(home: &LogHome, path: PathBuf) -> Result<Option<SignedHead>, ClientError> {
    let Some(file) = home.read_json::<Head>(&path)? else { return Ok(None) };
    let bytes = HEXLOWER.decode(file.head.as_bytes()).map_err(|_| damaged(home, &path))?;
    SignedHead::decode(&bytes).map(Some).map_err(|_| damaged(home, &path))
}

/// Keeps a head that was proved, durably, unless a longer one is remembered; returns the one that is.
pub(super) fn keep_head(session: &Session, log: &LogId, proved: SignedHead) -> Result<SignedHead, ClientError> {
    let (home, left) = (session.log(), moves_of(session, log));
    let _turn = home.turn("heads.lock")?;
    let path = path_by(log, signer(&left, left.len()), "head");
    match head_at(home, path.clone())? {
        Some(newer) if newer.head().size >= proved.head().size => Ok(newer),
        _ => {
            home.keep_json(&path, &Head { head: HEXLOWER.encode(proved.as_bytes()) })?;
            Ok(proved)
        }
    }
}

/// Returns the head that a server signed of a log for more than its owners took along when it left it, if one was met.
pub fn left(session: &Session, log: &LogId) -> Result<Option<SignedHead>, ClientError> {
    let left = moves_of(session, log);
    for (number, ended) in left.iter().enumerate() {
        let head = head_at(session.log(), path_by(log, signer(&left, number), "head"))?;
        if head.as_ref().is_some_and(|head| head.head().size > ended.size) {
            return Ok(head);
        }
    }
    Ok(None)
}

/// Returns the heads of a log that go beyond the `anchored` entries that an anchor has: the first that was met, which is remembered until
/// an anchor has it, and those of `proved`, the oldest first. Where the log moved, only the server that keeps it now owes anything, `by`.
pub(super) fn owed_heads(
    home: &LogHome,
    log: &LogId,
    anchored: u64,
    proved: &[&SignedHead],
    by: Option<&Did>,
) -> Result<Vec<SignedHead>, ClientError> {
    let _turn = home.turn("heads.lock")?;
    let path = path_by(log, by, "owed");
    let is_owed = |head: &SignedHead| head.head().size > anchored && by.is_none_or(|by| head.head().store == *by);
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

/// The path of what one server signed of a log; `None` is the one where it was made.
fn path_by(log: &LogId, server: Option<&Did>, what: &str) -> PathBuf {
    match server {
        None => path_of(log, what),
        Some(server) => path_of(log, &format!("{}.{what}", HEXLOWER.encode(server.as_bytes()))),
    }
}

fn path_of(log: &LogId, what: &str) -> PathBuf {
    PathBuf::from("store").join(format!("{log}.{what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::{Home, Pinned};
    use dgns_api::store::head::StoreHead;
    use identity::key::SigningKey;

    #[test]
    fn each_server_is_held_to_what_it_signed_itself_and_one_that_was_left_to_what_went_along() {
        // Goal: A -> B -> C, whichever of them a reader met, and with a head beyond what went along. Method: heads by hand, in the files of each.
        let (directory, origin) = (tempfile::tempdir().unwrap(), Origin::parse("dgns.test/log").unwrap());
        let pinned = Pinned::by_hand(vec![], Default::default());
        let home = Home::open(directory.path()).unwrap().pin("http://a.example", &origin, &pinned).unwrap();
        let (log, server) = (LogId([1; 32]), |byte| Did::from_bytes([byte; 20]));
        let left = [(2, 8), (3, 20)].map(|(to, size)| Left { to: server(to), size, root: [0; 32] });
        let keep = |by: Option<u8>, size: u64| {
            let store = server(by.unwrap_or(1));
            let head = StoreHead { log, size, root: [0; 32], time_ms: 1, store, since: None };
            let head = SignedHead::sign(&head, &origin, &SigningKey::from_seed(&[1; 32]));
            let file = Head { head: HEXLOWER.encode(head.as_bytes()) };
            home.keep_json(&path_by(&log, by.map(server).as_ref(), "head"), &file).unwrap();
        };
        let sizes = || [0, 1, 2].map(|moves| held(&home, &log, &left[..moves]).unwrap().map(|head| head.head().size));
        assert_eq!(sizes(), [None; 3]);
        keep(None, 7);
        assert_eq!(sizes(), [Some(7); 3], "it went along");
        keep(Some(2), 21);
        assert_eq!(sizes(), [Some(7), Some(21), Some(7)], "B signed more than went along to C, and A not that");
        keep(None, 9);
        assert_eq!(sizes(), [Some(9), Some(21), None], "so did A");
        keep(Some(2), 20);
        keep(Some(3), 22);
        assert_eq!(sizes(), [Some(9), Some(20), Some(22)]);
    }

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
            let owed = owed_heads(&home, &log, anchored, proved, None).unwrap();
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

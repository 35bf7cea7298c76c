//! Reading a snapshot: found in the log, of a head of this log, every part checked against what the snapshot says (PROTOCOL 25.16).

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use dgns_api::path;
use dgns_api::store::acl::Standing;
use dgns_api::store::answer::decode_places;
use dgns_api::store::content;
use dgns_api::store::entry::{Class, Entry, LogId};
use dgns_api::store::snapshot::{Manifest, Part, Row};
use identity::did::Did;
use identity::hash::Hash;
use identity::token::Rights;

use super::log_at;
use super::sealed::{open_manifest, open_part};
use crate::clock;
use crate::error::ClientError;
use crate::session::{Session, Signer};
use crate::store::chunks::get_chunk;
use crate::store::database::OpenDb;
use crate::store::follow::{Follower, malformed};
use crate::store::seal::BodyPlace;

/// How many parts are asked for at once.
const PARTS_AT_ONCE: usize = 4;

/// A snapshot whose entry stands in the log, and that is of this log.
#[derive(Clone, Debug)]
pub struct Snapshot {
    log: LogId,
    pos: u64,
    entry: Entry,
    manifest: Manifest,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// The newest snapshot that can be used; `None`: there is none.
    pub snapshot: Option<Snapshot>,
    /// Why newer ones cannot, a sentence each.
    pub passed_over: Vec<String>,
}

/// Finds the newest snapshot of a log whose author may write there still; of `by` alone, if somebody is named.
///
/// Errors: [`ClientError::Proof`] with `snapshot_head` if one says that it is of another log than this, which its author signed; otherwise as
/// for reading the log.
pub async fn newest(
    session: &Session,
    signer: Signer<'_>,
    db: &mut OpenDb,
    (log, gid): (LogId, u32),
    by: Option<&Did>,
) -> Result<Found, ClientError> {
    let answer = session.get_signed(signer, &format!("{}{log}/snapshots", path::LOGS)).await?;
    let places = decode_places(&answer).map_err(|error| malformed(&error.to_string()))?;
    let mut passed_over = Vec::new();
    for pos in places {
        match usable(session, signer, db, (log, gid), (pos, by)).await? {
            Ok(snapshot) => return Ok(Found { snapshot: Some(snapshot), passed_over }),
            Err(why) => passed_over.push(why),
        }
    }
    Ok(Found { snapshot: None, passed_over })
}

/// Reads the snapshot at a place; or says why it is none to use.
pub(super) async fn usable(
    session: &Session,
    signer: Signer<'_>,
    db: &mut OpenDb,
    (log, gid): (LogId, u32),
    (pos, by): (u64, Option<&Did>),
) -> Result<Result<Snapshot, String>, ClientError> {
    let mut follower = Follower::from(log, pos).with_parts(db.acl().parts(&log));
    let (entries, _) = follower.read(session, signer, 1, 0).await?;
    let entry = entries.into_iter().next().filter(|entry| entry.header().class == Class::Snapshot);
    let Some(entry) = entry else { return Err(malformed("a snapshot where there is none")) };
    let header = entry.header();
    let author = header.author;
    if by.is_some_and(|by| *by != author) {
        return Ok(Err(format!("snapshot {pos} is by {author}")));
    }
    if !db.counts(session, signer, pos, header).await? {
        return Ok(Err(format!("snapshot {pos} of {author} came when they had been revoked")));
    }
    let member = db.acl().groups().get(&gid).and_then(|group| group.members.get(&author));
    let now_s = clock::now().as_ms() / 1_000;
    if !member.is_some_and(|(rights, until_s)| rights.include(Rights::WRITE) && now_s < *until_s) {
        return Ok(Err(format!("snapshot {pos} is by {author}, who may not write any more")));
    }
    let place = BodyPlace { log: header.log, device: header.device, lsn: header.lsn, epoch: header.epoch };
    let key = db.key(gid, header.epoch);
    let Some(manifest) = key.and_then(|key| open_manifest(key, &place, &header.refs, entry.body()).ok()) else {
        return Ok(Err(format!("snapshot {pos} of {author} does not open")));
    };
    let snapshot = Snapshot { log, pos, entry, manifest };
    snapshot.prove_head(session, signer, db).await?;
    Ok(Ok(snapshot))
}

impl Snapshot {
    /// Returns the place of its entry.
    pub fn pos(&self) -> u64 {
        self.pos
    }

    /// Returns who built it.
    pub fn author(&self) -> &Did {
        &self.entry.header().author
    }

    /// Returns its entry.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Returns what it says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the head that it covers: size and root.
    pub fn head(&self) -> (u64, Hash) {
        (self.manifest.size, self.manifest.root)
    }

    /// Proves that the head that it names is one of this log, from before it.
    async fn prove_head(&self, session: &Session, signer: Signer<'_>, db: &OpenDb) -> Result<(), ClientError> {
        if self.manifest.size > self.pos {
            return Err(self.lie("snapshot_head", &format!("covers {} entries", self.manifest.size)));
        }
        let mut follower = Follower::behind(self.log, self.head()).with_parts(db.acl().parts(&self.log));
        match follower.read(session, signer, 1, 0).await {
            Err(ClientError::Proof { code: "snapshot_head", what, .. }) => Err(self.lie("snapshot_head", &what)),
            read => read.map(drop),
        }
    }

    /// Returns the fault of who built it.
    pub(super) fn lie(&self, code: &'static str, what: &str) -> ClientError {
        ClientError::proof(code, format!("snapshot {} is not what {} signed it to be: {what}", self.pos, self.author()))
    }

    /// Returns a reader of its rows; `fetched` keeps chunks in a directory, which are not fetched again.
    pub fn reader<'s>(&'s self, fetched: Option<&'s Path>) -> Reader<'s> {
        Reader { snapshot: self, fetched, at: 0, next: 0 }
    }

    /// Returns the rows of one of its parts.
    pub(super) async fn part(
        &self,
        session: &Session,
        signer: Signer<'_>,
        part: &Part,
    ) -> Result<Vec<Row>, ClientError> {
        self.rows(part, &self.chunk(session, signer, part, None).await?)
    }

    fn rows(&self, part: &Part, chunk: &[u8]) -> Result<Vec<Row>, ClientError> {
        let none = |_| self.lie("snapshot_part", &format!("the chunk {} does not open", HEXLOWER.encode(&part.id)));
        open_part(part, chunk).map_err(none)
    }

    async fn chunk(
        &self,
        session: &Session,
        signer: Signer<'_>,
        part: &Part,
        fetched: Option<&Path>,
    ) -> Result<Vec<u8>, ClientError> {
        let kept: Option<PathBuf> = fetched.map(|directory| directory.join(HEXLOWER.encode(&part.id)));
        let bytes = kept.as_ref().and_then(|path| std::fs::read(path).ok());
        if let Some(bytes) = bytes.filter(|bytes| content::id_of(bytes) == part.id) {
            return Ok(bytes);
        }
        let query = format!("?log={}&pos={}", self.log, part.at.unwrap_or(self.pos));
        let bytes = match get_chunk(session, signer, &query, &part.id).await {
            Err(ClientError::Refused(problem)) if problem.code == "not_found" => {
                let hex = HEXLOWER.encode(&part.id);
                let what = format!("the server does not have the chunk {hex} of snapshot {}", self.pos);
                return Err(ClientError::Network(what));
            }
            chunk => chunk?,
        };
        if let Some(path) = &kept {
            // Whether it is whole is asked when it is read.
            std::fs::write(path, &bytes)
                .map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))?;
        }
        Ok(bytes)
    }

    /// Judges a row as its entry would be: what was revoked since is void here, too.
    async fn judge(
        &self,
        session: &Session,
        signer: Signer<'_>,
        db: &mut OpenDb,
        row: Row,
    ) -> Result<Judged, ClientError> {
        let log = log_at(db.acl(), &self.log, row.pos);
        match db.standing(session, signer, (&log, row.pos), (&row.author, row.epoch)).await? {
            Standing::Counts => Ok(Judged::Counts(row)),
            Standing::Void => Ok(Judged::Void { pos: row.pos, author: row.author }),
            Standing::Forged => {
                let what = format!("it has an entry {} by {}, who could not write there", row.pos, row.author);
                Err(self.lie("snapshot_part", &what))
            }
        }
    }
}

/// A reader of the rows of a snapshot.
#[derive(Debug)]
pub struct Reader<'s> {
    snapshot: &'s Snapshot,
    fetched: Option<&'s Path>,
    /// The number of the next part.
    at: usize,
    /// No row of an entry before this place follows.
    next: u64,
}

impl Reader<'_> {
    /// Returns the rows of the next few parts, in order; `None` behind the last.
    ///
    /// Errors: [`ClientError::Proof`] with `snapshot_part` if a part does not hold what the snapshot says, with `chunk_hash` if the server
    /// gives other bytes; [`ClientError::Network`] if it does not have what it has to keep.
    pub async fn next(
        &mut self,
        session: &Session,
        signer: Signer<'_>,
        db: &mut OpenDb,
    ) -> Result<Option<Vec<Judged>>, ClientError> {
        let snapshot = self.snapshot;
        let rest = &snapshot.manifest.parts[self.at..];
        let parts = &rest[..rest.len().min(PARTS_AT_ONCE)];
        if parts.is_empty() {
            return Ok(None);
        }
        let chunk = async |number: usize| match parts.get(number) {
            Some(part) => Some(snapshot.chunk(session, signer, part, self.fetched).await),
            None => None,
        };
        let (first, second, third, fourth) = tokio::join!(chunk(0), chunk(1), chunk(2), chunk(3));
        let mut judged = Vec::new();
        for (part, chunk) in parts.iter().zip([first, second, third, fourth].into_iter().flatten()) {
            for row in snapshot.rows(part, &chunk?)? {
                if row.pos < self.next || row.pos >= snapshot.manifest.size {
                    return Err(snapshot.lie("snapshot_part", "its entries are in another order"));
                }
                self.next = row.pos;
                judged.push(snapshot.judge(session, signer, db, row).await?);
            }
        }
        self.at += parts.len();
        Ok(Some(judged))
    }
}

/// A row, and what its entry is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// Its author could write there.
    Counts(Row),
    /// Its author was revoked, and this does not stand.
    Void {
        /// The place.
        pos: u64,
        /// Who.
        author: Did,
    },
}

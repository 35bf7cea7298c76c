//! Reading a snapshot: found in the log, of a head of this log, every part checked against what the snapshot says (PROTOCOL 25.16).

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use dgns_api::path;
use dgns_api::store::acl::Standing;
use dgns_api::store::answer::decode_places;
use dgns_api::store::content;
use dgns_api::store::entry::{Class, Entry, LogId};
use dgns_api::store::limits::RECORDS_MAX;
use dgns_api::store::snapshot::{Manifest, Part, Row};
use identity::did::Did;
use identity::hash::Hash;
use identity::token::Rights;
use translog::fault::{FaultFile, FaultKind};

use super::log_at;
use super::sealed::{open_manifest, open_part};
use crate::clock;
use crate::error::ClientError;
use crate::session::{Session, Signer};
use crate::store::chunks::chunk_of_entry;
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

/// Finds the newest snapshot of a log whose author may write there still; of `by` alone, if somebody is named. If there is none, the one by
/// which the log was trimmed, which its owners stand for, whoever built it.
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
    let snapshot = agreed(session, signer, db, (log, gid)).await?;
    Ok(Found { snapshot, passed_over })
}

/// Returns the snapshot by which a log was trimmed; `None` if it never was.
///
/// Errors: [`ClientError::Unable`] if it does not open, or is none that could stand for what is gone.
pub(super) async fn agreed(
    session: &Session,
    signer: Signer<'_>,
    db: &OpenDb,
    place: (LogId, u32),
) -> Result<Option<Snapshot>, ClientError> {
    let Some(trim) = db.acl().trimmed(&place.0) else { return Ok(None) };
    let entry = entry_at(session, signer, db, (place.0, trim.snapshot)).await?;
    opened(session, signer, db, place, (trim.snapshot, entry)).await?.map(Some).map_err(ClientError::Unable)
}

/// Returns the entry at a place, which is a snapshot.
async fn entry_at(
    session: &Session,
    signer: Signer<'_>,
    db: &OpenDb,
    (log, pos): (LogId, u64),
) -> Result<Entry, ClientError> {
    let mut follower = Follower::from(log, pos).with_parts(db.acl().parts(&log));
    let (entries, _) = follower.read(session, signer, 1, 0).await?;
    let entry = entries.into_iter().next().filter(|entry| entry.header().class == Class::Snapshot);
    entry.ok_or_else(|| malformed("a snapshot where there is none"))
}

/// Reads the snapshot at a place; or says why it is none to use.
pub(super) async fn usable(
    session: &Session,
    signer: Signer<'_>,
    db: &mut OpenDb,
    (log, gid): (LogId, u32),
    (pos, by): (u64, Option<&Did>),
) -> Result<Result<Snapshot, String>, ClientError> {
    let entry = entry_at(session, signer, db, (log, pos)).await?;
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
    opened(session, signer, db, (log, gid), (pos, entry)).await
}

/// Opens the snapshot at a place, and proves that it is of this log; or says why it is none to use.
async fn opened(
    session: &Session,
    signer: Signer<'_>,
    db: &OpenDb,
    (log, gid): (LogId, u32),
    (pos, entry): (u64, Entry),
) -> Result<Result<Snapshot, String>, ClientError> {
    let (header, first) = (entry.header(), db.acl().first(&log));
    let author = header.author;
    let place = BodyPlace { log: header.log, device: header.device, lsn: header.lsn, epoch: header.epoch };
    let key = db.key(gid, header.epoch);
    let Some(manifest) = key.and_then(|key| open_manifest(key, &place, &header.refs, entry.body()).ok()) else {
        return Ok(Err(format!("snapshot {pos} of {author} does not open")));
    };
    if manifest.size < first || manifest.parts.iter().any(|part| part.at.is_some_and(|at| at < first)) {
        return Ok(Err(format!(
            "snapshot {pos} of {author} needs some of the first {first} entries, which were trimmed"
        )));
    }
    let snapshot = Snapshot { log, pos, entry, manifest };
    snapshot.prove_head(session, signer, db).await?;
    Ok(Ok(snapshot))
}

impl Snapshot {
    /// Returns the log that it is of.
    pub fn log(&self) -> &LogId {
        &self.log
    }

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
            return Err(self.lie(session, "snapshot_head", &format!("covers {} entries", self.manifest.size)));
        }
        let mut follower = Follower::behind(self.log, self.head()).with_parts(db.acl().parts(&self.log));
        match follower.read(session, signer, 0, 0).await {
            Err(ClientError::Proof { code: "snapshot_head", what, .. }) => {
                Err(self.lie(session, "snapshot_head", &what))
            }
            read => read.map(drop),
        }
    }

    /// Returns the fault of who built it; what they signed is kept.
    pub(super) fn lie(&self, session: &Session, code: &'static str, what: &str) -> ClientError {
        self.lie_of(session, code, what, None)
    }

    /// As [`Snapshot::lie`], of what it has of an entry, which is kept, too.
    pub(super) fn lie_of(
        &self,
        session: &Session,
        code: &'static str,
        what: &str,
        met: Option<(u64, &Entry)>,
    ) -> ClientError {
        let (pos, author) = (self.pos, self.author());
        let (name, subject) = match met {
            Some((of, _)) => (format!("snapshot-{pos}-{of}.fault"), format!("entry {of}")),
            None => (format!("snapshot-{pos}.fault"), format!("snapshot {pos}")),
        };
        let file = FaultFile::new(FaultKind::Answer, &FaultFile::accused(session.trust(), None));
        let file = file.with_part("code", code.as_bytes()).with_part("subject", subject.as_bytes());
        let file = file.with_part("answer", &self.entry.encode());
        let file = met.iter().fold(file, |file, (_, entry)| file.with_part("entry", &entry.encode()));
        let evidence = session.log().keep_evidence(&name, &file.encode()).ok();
        let what = format!(
            "snapshot {pos} is not what {author} signed it to be: {what}; `dgns db read` reads every entry without it, and a newer snapshot replaces it"
        );
        ClientError::Proof { code, what, evidence }
    }

    /// Returns a reader of its rows; `fetched` keeps chunks in a directory, which are not fetched again.
    pub fn reader<'s>(&'s self, fetched: Option<&'s Path>) -> Reader<'s> {
        Reader { snapshot: self, fetched, at: 0, last: None }
    }

    /// Returns the rows of one of its parts.
    pub(super) async fn part(
        &self,
        session: &Session,
        signer: Signer<'_>,
        db: &OpenDb,
        part: &Part,
    ) -> Result<Vec<Row>, ClientError> {
        self.rows(session, part, &self.chunk(session, signer, db, part, None).await?)
    }

    fn rows(&self, session: &Session, part: &Part, chunk: &[u8]) -> Result<Vec<Row>, ClientError> {
        let none = |_| {
            let what = format!("the chunk {} does not open", HEXLOWER.encode(&part.id));
            self.lie(session, "snapshot_part", &what)
        };
        open_part(part, chunk).map_err(none)
    }

    async fn chunk(
        &self,
        session: &Session,
        signer: Signer<'_>,
        db: &OpenDb,
        part: &Part,
        fetched: Option<&Path>,
    ) -> Result<Vec<u8>, ClientError> {
        let kept: Option<PathBuf> = fetched.map(|directory| directory.join(HEXLOWER.encode(&part.id)));
        let bytes = kept.as_ref().and_then(|path| std::fs::read(path).ok());
        if let Some(bytes) = bytes.filter(|bytes| content::id_of(bytes) == part.id) {
            return Ok(bytes);
        }
        let place = (self.log, part.at.unwrap_or(self.pos));
        let bytes = match chunk_of_entry(session, signer, place, &part.id).await {
            Err(ClientError::Refused(problem)) if problem.code == "not_found" => {
                let hex = HEXLOWER.encode(&part.id);
                if let Some(at) = part.at
                    && !self.is_named(session, signer, db, (at, part)).await?
                {
                    let what = format!("it takes the chunk {hex} from entry {at}, which does not name it");
                    return Err(self.lie(session, "snapshot_part", &what));
                }
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

    /// Returns whether a snapshot at a place before this one names the chunk of a part: then the server has to have it.
    async fn is_named(
        &self,
        session: &Session,
        signer: Signer<'_>,
        db: &OpenDb,
        (at, part): (u64, &Part),
    ) -> Result<bool, ClientError> {
        if at >= self.pos {
            return Ok(false);
        }
        let mut follower = Follower::from(self.log, at).with_parts(db.acl().parts(&self.log));
        let (entries, _) = follower.read(session, signer, 1, 0).await?;
        let header = entries.first().ok_or_else(|| malformed("no entry where there is one"))?.header();
        Ok(header.class == Class::Snapshot && header.refs.contains(&part.id))
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
                Err(self.lie(session, "snapshot_part", &what))
            }
        }
    }
}

/// What is known of the newest row that was read.
#[derive(Clone, Copy, Debug)]
struct Last {
    pos: u64,
    epoch: u64,
    author: Did,
    unix_ms: u64,
    /// The records of its entry by now.
    records: usize,
}

impl Last {
    /// Returns the next row as the newest; `None` if it may not follow: an entry goes on in the next part, as itself, and has an end.
    fn next(before: Option<Self>, row: &Row) -> Option<Self> {
        let Row { pos, epoch, author, unix_ms, records } = row;
        let (pos, epoch, author, unix_ms) = (*pos, *epoch, *author, *unix_ms);
        let had = match before {
            Some(last) if pos < last.pos => return None,
            Some(last) if pos == last.pos => {
                let is_it = (epoch, author, unix_ms) == (last.epoch, last.author, last.unix_ms);
                is_it.then_some(last.records)?
            }
            _ => 0,
        };
        let records = had + records.len();
        (records <= RECORDS_MAX).then_some(Self { pos, epoch, author, unix_ms, records })
    }
}

/// A reader of the rows of a snapshot.
#[derive(Debug)]
pub struct Reader<'s> {
    snapshot: &'s Snapshot,
    fetched: Option<&'s Path>,
    /// The number of the next part.
    at: usize,
    /// The newest row.
    last: Option<Last>,
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
        let asked: &OpenDb = db;
        let chunk = async |number: usize| match parts.get(number) {
            Some(part) => Some(snapshot.chunk(session, signer, asked, part, self.fetched).await),
            None => None,
        };
        let (first, second, third, fourth) = tokio::join!(chunk(0), chunk(1), chunk(2), chunk(3));
        let mut judged = Vec::new();
        for (part, chunk) in parts.iter().zip([first, second, third, fourth].into_iter().flatten()) {
            for row in snapshot.rows(session, part, &chunk?)? {
                // Within a part places ascend: the same one again is the first row of the next.
                self.last = Last::next(self.last, &row).filter(|last| last.pos < snapshot.manifest.size);
                if self.last.is_none() {
                    let what = "its entries are in another order, or have more than they can";
                    return Err(snapshot.lie(session, "snapshot_part", what));
                }
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

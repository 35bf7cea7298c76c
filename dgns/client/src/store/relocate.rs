//! Moves: a database brought to another server by its owner, entry by entry, and ended where it was with a word of the owner's that
//! everybody follows (PROTOCOL 25.17). Whatever breaks in between, the database is written at one place at most, and the same command goes on.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use dgns_api::path;
use dgns_api::problem::Problem;
use dgns_api::store::acl::{Acl, AclRefusal};
use dgns_api::store::anchor::AnchoredLog;
use dgns_api::store::answer::Cursor;
use dgns_api::store::arrival::{Arrival, Proof};
use dgns_api::store::content::{self, ContentId};
use dgns_api::store::control::Control;
use dgns_api::store::entry::{Entry, LogId};
use dgns_api::store::limits::{ANCHOR_BY_MS, ENTRIES_PER_ANSWER_MAX, ENTRIES_PER_REQUEST_MAX};
use dgns_api::store::place::Place;
use identity::cert::DidKind;
use identity::did::Did;
use identity::hash::Hash;
use identity::state::Subject;
use tokio::time::{Duration, Instant};
use translog::entry::Anchor;
use translog::hash::EMPTY_ROOT;
use translog::resolve;
use translog::trust::Memory;

use super::chunks::get_chunk;
use super::database::OpenDb;
use super::follow::{Follower, malformed, newest};
use super::fork::base;
use super::members::{AGAIN, BREATH, post, refused};
use crate::clock;
use crate::error::ClientError;
use crate::home::Home;
use crate::net::Method;
use crate::session::{Keeper, Session, Signer};

/// How long a server may take to anchor what was said, and to show it.
const ANCHORED_WITHIN: Duration = Duration::from_millis(ANCHOR_BY_MS * 3 / 2);

/// How often what was appended meanwhile is brought, too, and the end is tried again.
const TRIES: u32 = 64;

/// Is told how many entries are at the other server, of how many.
pub type Shown<'s> = &'s mut dyn FnMut(u64, u64);

/// What became of a wish to move a database.
#[derive(Debug)]
pub enum Relocation {
    /// It is there, and that is proved.
    Done(Box<Relocated>),
    /// It is where it was: so many more of its owners have to be for that server. Who may do what by now, and who is for it.
    Open(Box<Acl>, usize),
}

/// A database that is at another server, proved.
#[derive(Debug)]
pub struct Relocated {
    /// The database, as it was read there.
    pub db: OpenDb,
    /// How many entries this command brought.
    pub entries: u64,
    /// How many chunks.
    pub chunks: u64,
}

/// Says that a database should move to the server at `url`, which is met as any server is: by its own word if it was not met before. Whoever says so as the last of half
/// of the owners brings it there first. A move that an owner began, to whatever server, is ended first. Whatever breaks it off, the same goes on.
///
/// Errors: [`ClientError::Unable`] for who is no owner, for a database that was trimmed, and for a server that is not asked; [`ClientError::Refused`] with what either
/// server refuses (`unknown_home`, `quota`, `stays`).
pub async fn relocate(
    session: &Session,
    signer: Signer<'_>,
    (name, url): (&str, &str),
    shown: Shown<'_>,
) -> Result<Relocation, ClientError> {
    let to = meet(session, url).await?;
    let mut mover = Mover { session, signer, to: Arc::clone(&to), entries: 0, chunks: 0, there: 0, all: 0, shown };
    for _ in 0..TRIES {
        let (db, underway) = OpenDb::open_as_far(session, signer, name).await?;
        if let Some(tombstone) = db.tombstone() {
            return Err(ClientError::Deleted(Box::new(tombstone)));
        }
        if !db.acl().owners().is(&signer.did) {
            return Err(ClientError::Unable(format!("only an owner of {name} moves it: dgns db owners {name}")));
        }
        if let Some(keeper) = underway {
            mover.to = keeper;
            match mover.bring_what_left(&db).await {
                Err(ClientError::Refused(problem)) if AGAIN.contains(&problem.code.as_str()) => {}
                brought => brought?,
            }
            continue;
        }
        let keeper = session.keeper(&LogId::control(db.acl().did()));
        if keeper.is_some_and(|keeper| keeper.place.server == to.place.server) {
            return mover.arrived(db).await.map(|relocated| Relocation::Done(Box::new(relocated)));
        }
        if db.acl().logs().keys().any(|log| db.acl().trimmed(log).is_some()) {
            return Err(ClientError::Unable(format!("{name} was trimmed, so it cannot be brought whole: it stays")));
        }
        mover.to = Arc::clone(&to);
        let mut acl = db.acl().clone();
        let came = |log: &LogId| acl.parts(log).last().map_or((0, EMPTY_ROOT), |part| (part.size, part.root));
        let nothing = acl.logs().keys().map(|log| (*log, came(log).0, came(log).1)).collect();
        let said = match acl.apply(&signer.did, &mover.word(nothing)) {
            Err(AclRefusal::Said) => {
                return Ok(Relocation::Open(Box::new(acl.clone()), acl.owners().lacking_for(&to.place)));
            }
            Err(refusal) => return Err(refused(refusal)),
            Ok(()) if acl.place() == Some(&to.place) => mover.bring_and_end(&db).await,
            Ok(()) => mover.vote(&db).await,
        };
        match said {
            Err(ClientError::Refused(problem)) if AGAIN.contains(&problem.code.as_str()) => {}
            Err(error) => return Err(error),
            Ok(()) => {}
        }
    }
    Err(ClientError::Unable(format!("{name} grew faster than it could be brought: nothing has moved, try again")))
}

/// Meets the server that a database goes to. What it says of itself is held against its log, whose newest key is the one that its heads have for longest.
async fn meet(session: &Session, url: &str) -> Result<Arc<Keeper>, ClientError> {
    let not_asked = || ClientError::Unable(format!("{url:?} is not asked: https alone, or this machine from it"));
    let url = session.server_named(url).ok_or_else(not_asked)?;
    let home: Home = session.log().home();
    let there = Session::open(&home, &url).await?;
    let server: Did = there.info().await?.server_did.parse().map_err(|_| malformed("a server without a DID"))?;
    let resolved = there.resolve_did(&server).await?;
    if !resolved.did().is_some_and(|state| state.uid == 0 && state.kind == DidKind::Server) {
        return Err(malformed("a server of another DID than that of entry 0 of its log"));
    }
    let origin = there.trust().origin().clone();
    let key = there.trust().log_keys().last().map(|key| *key.key());
    let key = key.ok_or_else(|| ClientError::Unable("the log of that server has no key".into()))?;
    Ok(Arc::new(Keeper { session: there, place: Place { server, url, origin, key } }))
}

/// Who brings a database.
struct Mover<'m> {
    session: &'m Session,
    signer: Signer<'m>,
    to: Arc<Keeper>,
    /// What this command brought.
    entries: u64,
    chunks: u64,
    /// How many entries are there, of how many.
    there: u64,
    all: u64,
    shown: Shown<'m>,
}

impl Mover<'_> {
    /// The word of an owner that the database goes on there, with so much of each log.
    fn word(&self, heads: Vec<(LogId, u64, Hash)>) -> Control {
        Control::Moved { to: self.to.place.clone(), heads }
    }

    /// Says that the database should be there, as others have to do, too.
    async fn vote(&self, db: &OpenDb) -> Result<(), ClientError> {
        let heads = base(self.session, self.signer, db.acl(), None).await?;
        post(self.session, self.signer, db, &[self.word(heads)]).await
    }

    /// Brings all there is, and ends the database here with exactly that, in the last word that lacks.
    async fn bring_and_end(&mut self, db: &OpenDb) -> Result<(), ClientError> {
        let mut entries = 0;
        for log in db.acl().logs().keys() {
            entries += newest(self.session, self.signer, *log).await?.0;
        }
        self.begin(db, entries).await?;
        self.bring_control(db, db.head().0).await?;
        let mut heads = Vec::new();
        for log in db.acl().logs().keys() {
            let (size, root) = self.bring(db, *log, None).await?;
            heads.push((*log, size, root));
        }
        post(self.session, self.signer, db, &[self.word(heads)]).await
    }

    /// Brings what a server lacks of a database that has ended here with the word of its owners that it is there.
    async fn bring_what_left(&mut self, db: &OpenDb) -> Result<(), ClientError> {
        let size = |log: &LogId| db.acl().parts(log).last().map_or(0, |part| part.size);
        self.begin(db, db.acl().logs().keys().map(size).sum()).await?;
        // Where all the others are, the word makes it go on.
        self.bring_control(db, db.head().0 - 1).await?;
        for log in db.acl().logs().keys() {
            self.bring(db, *log, Some(size(log))).await?;
        }
        self.bring_control(db, db.head().0).await
    }

    /// Counts how much there is, with `entries` in the logs of data, and how much of it is there.
    async fn begin(&mut self, db: &OpenDb, entries: u64) -> Result<(), ClientError> {
        (self.there, self.all) = (0, db.head().0 + entries);
        for log in db.acl().logs().keys().chain([&LogId::control(db.acl().did())]) {
            let there = match self.there(log).await {
                // It was not whole in time: it is brought anew.
                Err(ClientError::Refused(problem)) if problem.code == "dropped" => return Err(self.forget(db).await),
                there => there?,
            };
            self.there += there.map_or(0, |(size, _)| size);
        }
        (self.shown)(self.there, self.all);
        Ok(())
    }

    /// Returns the database as it is there: what the owners' word says of each log is there, the reader refuses anything else.
    async fn arrived(self, db: OpenDb) -> Result<Relocated, ClientError> {
        for log in db.acl().logs().keys() {
            Follower::from(*log, 0).with_parts(db.acl().parts(log)).read(self.session, self.signer, 1, 0).await?;
        }
        Ok(Relocated { db, entries: self.entries, chunks: self.chunks })
    }

    /// Brings the control log up to a place, in steps that each server it was at can prove: what stands up to the word by which it left that.
    async fn bring_control(&mut self, db: &OpenDb, to: u64) -> Result<(), ClientError> {
        let control = LogId::control(db.acl().did());
        let mut keeper = None;
        for (place, end) in db.ended() {
            self.bring_from(db, control, Some(to.min(end)), Some(keeper.as_ref())).await?;
            if end >= to {
                return Ok(());
            }
            keeper = Some(self.session.keeper_at(&control, place).await?);
        }
        self.bring_from(db, control, Some(to), Some(keeper.as_ref())).await.map(drop)
    }

    /// Brings what a log of data has here and not there, up to a place if one is named, and returns how it stands in both.
    async fn bring(&mut self, db: &OpenDb, log: LogId, to: Option<u64>) -> Result<(u64, Hash), ClientError> {
        self.bring_from(db, log, to, None).await
    }

    /// Brings a log; a control log with the proof of `prover`, the server that anchors it up to there, that of this session if it is none.
    async fn bring_from(
        &mut self,
        db: &OpenDb,
        log: LogId,
        to: Option<u64>,
        prover: Option<Option<&Arc<Keeper>>>,
    ) -> Result<(u64, Hash), ClientError> {
        let mut there = self.there(&log).await?.unwrap_or((0, EMPTY_ROOT));
        let mut follower = match there {
            (0, _) => Follower::from(log, 0),
            there => Follower::behind(log, there),
        };
        follower = follower.with_parts(db.acl().parts(&log));
        if to.is_some_and(|to| there.0 >= to) {
            // Nobody signed that it is there: at least it is the same.
            return match follower.read(self.session, self.signer, 0, 0).await {
                Err(error) if is_another(&error) => Err(self.forget(db).await),
                read => read.map(|_| there),
            };
        }
        loop {
            let first = follower.next();
            let limit = to.map_or(u64::MAX, |to| to - first).min(ENTRIES_PER_ANSWER_MAX as u64);
            let (entries, size) = match follower.read(self.session, self.signer, limit, 0).await {
                Err(error) if is_another(&error) => return Err(self.forget(db).await),
                read => read?,
            };
            for (number, batch) in entries.chunks(ENTRIES_PER_REQUEST_MAX).enumerate() {
                let pos = first + (number * ENTRIES_PER_REQUEST_MAX) as u64;
                let proof = match prover {
                    Some(prover) => Some(self.proof(&log, prover, pos + batch.len() as u64).await?),
                    None => None,
                };
                there = self.send(log, pos, batch, proof).await?;
            }
            if follower.next() >= to.unwrap_or(size) {
                break;
            }
        }
        match follower.root() {
            Some(root) if there == (follower.next(), root) => Ok(there),
            _ => Err(self.forget(db).await),
        }
    }

    /// Returns what shows that the newest anchor of a server has the first `size` entries of a control log; waits until one has.
    async fn proof(&self, control: &LogId, prover: Option<&Arc<Keeper>>, size: u64) -> Result<Proof, ClientError> {
        let here = prover.map_or(self.session, |keeper| &keeper.session);
        let deadline = Instant::now() + ANCHORED_WITHIN;
        loop {
            here.resolve(&Subject::Anchors).await?;
            // For who remembers nothing.
            let anchors = here.get(path::ANCHORS).await?;
            let mut nothing = Memory::new(here.trust().origin().clone());
            let resolved = resolve::verify(here.trust(), &mut nothing, &Subject::Anchors, &anchors, clock::now());
            let resolved = resolved.map_err(|error| ClientError::proof(error.code(), error.to_string()))?;
            if let Some(anchor) = resolved.anchors().and_then(|body| Anchor::decode(body).ok()) {
                let target = format!("{}{control}/anchor?k={}&old={size}", path::LOGS, anchor.k);
                let answer = match prover {
                    Some(keeper) => self.session.send_to(keeper, self.signer, Method::Get, &target, &[]).await?,
                    None => self.session.sign_and_send(self.signer, Method::Get, &target, &[]).await?,
                };
                let log = AnchoredLog::decode(&answer).map_err(|error| malformed(&error.to_string()))?;
                if log.anchored.as_ref().is_some_and(|anchored| anchored.size >= size) {
                    return Ok(Proof { anchors, log });
                }
            }
            if Instant::now() >= deadline {
                let what =
                    format!("{} has not anchored entry {} of the control log yet: try again", here.server(), size - 1);
                return Err(ClientError::Unable(what));
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Sends entries with the chunks that they name, and returns how the log stands there then.
    async fn send(
        &mut self,
        log: LogId,
        pos: u64,
        entries: &[Entry],
        proof: Option<Proof>,
    ) -> Result<(u64, Hash), ClientError> {
        for (pos, entry) in (pos..).zip(entries) {
            self.send_chunks(log, pos, &entry.header().refs).await?;
        }
        let target = format!("{}{log}/arrivals", path::LOGS);
        let arrival = Arrival { entries: entries.to_vec(), proof }.encode();
        let answer = self.session.send_to(&self.to, self.signer, Method::Post, &target, &arrival).await?;
        self.entries += entries.len() as u64;
        self.there += entries.len() as u64;
        (self.shown)(self.there, self.all);
        far(&answer)
    }

    /// Brings the chunks that an entry names and that are not there.
    async fn send_chunks(&mut self, log: LogId, pos: u64, refs: &[ContentId]) -> Result<(), ClientError> {
        if refs.is_empty() {
            return Ok(());
        }
        let (session, signer) = (self.session, self.signer);
        let have = format!("{}?log={log}", path::CHUNKS_HAVE);
        let answer = session.send_to(&self.to, signer, Method::Post, &have, &content::encode_ids(refs)).await?;
        let there = content::decode_ids(&answer).map_err(|_| malformed("what is there is no list"))?;
        for id in refs.iter().filter(|id| !there.contains(id)) {
            let chunk = get_chunk(session, signer, &format!("?log={log}&pos={pos}"), id).await?;
            let put = format!("{}{}?log={log}", path::CHUNKS, HEXLOWER.encode(id));
            session.send_to(&self.to, signer, Method::Put, &put, &chunk).await?;
            self.chunks += 1;
        }
        Ok(())
    }

    /// Returns how far a log arrived there; `None` if nothing of it did. It is that server's word: what it makes up, the end of the log shows.
    async fn there(&self, log: &LogId) -> Result<Option<(u64, Hash)>, ClientError> {
        let target = format!("{}{log}/arrivals", path::LOGS);
        match self.session.send_to(&self.to, self.signer, Method::Get, &target, &[]).await {
            Err(ClientError::Refused(problem)) if problem.code == "not_found" => Ok(None),
            answer => far(&answer?).map(Some),
        }
    }

    /// Has what arrived there forgotten, which is something else than what is here, so that it is brought anew; returns that it is to be tried again.
    async fn forget(&self, db: &OpenDb) -> ClientError {
        let target = format!("{}{}/arrivals", path::LOGS, LogId::control(db.acl().did()));
        let forgotten = self.session.send_to(&self.to, self.signer, Method::Delete, &target, &[]).await;
        forgotten.err().unwrap_or_else(|| {
            let what = format!("{} had other entries of this database: they are brought anew", self.to.place.url);
            ClientError::Refused(Box::new(Problem::new(409, AGAIN[0], what)))
        })
    }
}

/// Returns whether a log here does not go on from what is there.
fn is_another(error: &ClientError) -> bool {
    match error {
        ClientError::Proof { code, .. } => *code == "snapshot_head",
        ClientError::Refused(problem) => problem.code == "range",
        _ => false,
    }
}

/// Reads how far a log is.
fn far(answer: &[u8]) -> Result<(u64, Hash), ClientError> {
    let Cursor { next, last } = Cursor::decode(answer).map_err(|error| malformed(&error.to_string()))?;
    Ok((next, last.unwrap_or(EMPTY_ROOT)))
}

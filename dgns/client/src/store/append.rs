//! Appending exactly once: signed and kept on disk, then sent, and sent again until it is acknowledged (PROTOCOL 25.3).

use data_encoding::HEXLOWER;
use dgns_api::path;
use dgns_api::store::answer::{Cursor, Receipts};
use dgns_api::store::content::ContentId;
use dgns_api::store::entry::{Class, Entry, Header, LogId, encode_request};
use dgns_api::store::head::StoreHead;
use dgns_api::store::record::Record;
use dgns_api::store::snapshot::Manifest;
use identity::hash::Hash;
use translog::tree::verify_inclusion;

use super::database::OpenDb;
use super::follow::{Follower, check_continues, malformed};
use super::kept::{Kept, keep_head};
use super::people::People;
use super::seal::{self, BodyPlace, GroupKey};
use super::snapshot::sealed::seal_manifest;
use crate::error::ClientError;
use crate::session::{Session, Signer};
use crate::{clock, rng};

/// What a server answers that a database left, and one that it is on its way to.
pub const MOVING: [&str; 2] = ["moved", "arriving"];

/// One device that appends to one log.
#[derive(Debug)]
pub struct Appender {
    log: LogId,
    gid: u32,
    kept: Kept,
    people: People,
}

/// An entry that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its place in the log.
    pub pos: u64,
    /// This device's number of it.
    pub lsn: u64,
    /// The size of the log that the server signed.
    pub size: u64,
    /// The root.
    pub root: Hash,
}

impl Appender {
    /// Opens a log for this device; what was on its way when the last command ended is sent first, and returned.
    pub async fn open(
        session: &Session,
        signer: Signer<'_>,
        (log, gid): (LogId, u32),
    ) -> Result<(Self, Option<Acknowledged>), ClientError> {
        let mut kept = Kept::read(session, &log)?;
        if kept.next == 0 && kept.outbox.is_none() {
            // This device may have appended from another home, or lost this one's memory.
            let device = HEXLOWER.encode(&signer.keys.sign.public());
            let answer = session.get_signed(signer, &format!("{}{log}/cursor?device={device}", path::LOGS)).await?;
            let cursor = Cursor::decode(&answer).map_err(|error| malformed(&error.to_string()))?;
            (kept.next, kept.last) = (cursor.next, cursor.last);
        }
        let mut appender = Self { log, gid, kept, people: People::default() };
        let resent = match appender.kept.outbox.clone() {
            Some(entry) => Some(appender.send(session, signer, entry, true).await?),
            None => None,
        };
        Ok((appender, resent))
    }

    /// Appends records as one entry, under one signature, and returns once it is durable and that is proved. Nothing is signed while an
    /// entry is on its way: two with one number are proof against the device.
    pub async fn append(
        &mut self,
        session: &Session,
        signer: Signer<'_>,
        db: &OpenDb,
        records: &[Record],
        expect: Option<(u64, Hash)>,
    ) -> Result<Acknowledged, ClientError> {
        let refs = seal::refs_of(records);
        let sealed = |key: &GroupKey, place: &BodyPlace| seal::seal_records(key, place, records, &mut rng::system());
        let entry = self.sign((session, signer), db, (Class::Data, refs, expect), sealed)?;
        self.send(session, signer, entry, false).await
    }

    /// As [`Appender::append`], of a snapshot.
    pub(super) async fn append_snapshot(
        &mut self,
        session: &Session,
        signer: Signer<'_>,
        db: &OpenDb,
        manifest: &Manifest,
    ) -> Result<Acknowledged, ClientError> {
        let sealed = |key: &GroupKey, place: &BodyPlace| seal_manifest(manifest, key, place, &mut rng::system());
        let entry = self.sign((session, signer), db, (Class::Snapshot, manifest.refs(), None), sealed)?;
        self.send(session, signer, entry, false).await
    }

    /// Returns whether an entry is on its way: signed, kept on disk, and not acknowledged.
    pub fn is_waiting(&self, session: &Session) -> bool {
        Kept::read(session, &self.log).is_ok_and(|kept| kept.outbox.is_some())
    }

    /// Sends what is on its way once more, where the log is by now: the same bytes, which count once wherever they arrived.
    pub async fn resend(&mut self, session: &Session, signer: Signer<'_>) -> Result<Acknowledged, ClientError> {
        let nothing = || ClientError::Unable("nothing is on its way".into());
        let entry = self.kept.outbox.clone().ok_or_else(nothing)?;
        self.kept.head = Kept::read(session, &self.log)?.head;
        self.send(session, signer, entry, true).await
    }

    /// Signs the next entry, and keeps it on disk: from here on nothing else is signed before it arrived.
    fn sign(
        &mut self,
        (session, signer): (&Session, Signer<'_>),
        db: &OpenDb,
        (class, refs, expect): (Class, Vec<ContentId>, Option<(u64, Hash)>),
        sealed: impl FnOnce(&GroupKey, &BodyPlace) -> Vec<u8>,
    ) -> Result<Entry, ClientError> {
        if self.kept.outbox.is_some() {
            return Err(ClientError::Unable(
                "an entry is on its way still, and nothing is signed before it arrived".into(),
            ));
        }
        let (epoch, key) = db.newest_key(self.gid)?;
        let device = signer.keys.sign.public();
        let body = sealed(key, &BodyPlace { log: self.log, device, lsn: self.kept.next, epoch });
        let header = Header {
            class,
            log: self.log,
            author: signer.did,
            device,
            lsn: self.kept.next,
            prev: self.kept.last,
            epoch,
            refs,
            body_bytes: 0,
            body: [0; 32],
            expect,
            unix_ms: clock::now().as_ms(),
        };
        let entry = Entry::sign(header, body, db.acl().home(), &signer.keys.sign);
        let entry = entry.map_err(|error| ClientError::Unable(error.to_string()))?;
        self.kept.outbox = Some(entry.clone());
        self.kept.write(session.log(), &self.log)?;
        Ok(entry)
    }

    /// Sends the entry in the outbox. Refused by the store, it leaves the outbox: it is in no log, and its lsn is free. The word of a host
    /// that hands it on is none of the store's: the entry may be there, and its lsn is never used for another. Nor is it free where the log is on
    /// its way to another server ([`MOVING`]), or went there: the entry waits, and goes there.
    async fn send(
        &mut self,
        session: &Session,
        signer: Signer<'_>,
        entry: Entry,
        again: bool,
    ) -> Result<Acknowledged, ClientError> {
        let old = self.kept.head.as_ref().map(|head| format!("?old={}", head.head().size)).unwrap_or_default();
        let target = format!("{}{}/entries{old}", path::LOGS, self.log);
        let answer = match session.post_entries(signer, &target, encode_request(std::slice::from_ref(&entry))).await {
            Ok(answer) => answer,
            Err(mut error) => {
                if let ClientError::Refused(problem) = &mut error {
                    if let ("lsn_gap", Some(head)) = (problem.code.as_str(), &self.kept.head) {
                        // This device knows its place: if the log went back, that is the reason, and is said.
                        Follower::from(self.log, head.head().size).with_any_parts().read(session, signer, 0, 0).await?;
                    }
                    if session.is_at_host() {
                        problem.detail.push_str(
                            "; the entry is kept and sent again first: if it is refused for good, append without --at",
                        );
                    } else if !MOVING.contains(&problem.code.as_str()) {
                        self.kept.outbox = None;
                        self.kept.write(session.log(), &self.log)?;
                    }
                }
                return Err(error);
            }
        };
        let receipts = Receipts::decode(&answer).map_err(|error| malformed(&error.to_string()))?;
        let sent = (self.log, std::slice::from_ref(&entry));
        let head = check_receipts(session, &mut self.people, &self.kept, sent, &receipts, again).await?;
        let pos = receipts.places[0].0;
        self.kept.head = Some(keep_head(session, &self.log, receipts.head)?);
        self.kept.next = entry.header().lsn + 1;
        self.kept.last = Some(entry.leaf());
        self.kept.outbox = None;
        self.kept.write(session.log(), &self.log)?;
        Ok(Acknowledged { pos, lsn: entry.header().lsn, size: head.size, root: head.root })
    }
}

/// Checks the receipts of the entries of one request: the server signed a head of their log, they stand in it, and it continues what is
/// remembered. The receipt of entries that were sent `again` may be older than that. Returns the head.
pub(super) async fn check_receipts(
    session: &Session,
    people: &mut People,
    kept: &Kept,
    (log, entries): (LogId, &[Entry]),
    receipts: &Receipts,
    again: bool,
) -> Result<StoreHead, ClientError> {
    let head = *receipts.head.head();
    if receipts.places.len() != entries.len() {
        return Err(malformed("another number of places"));
    }
    if head.log != log {
        return Err(malformed("a head of another log"));
    }
    people.check_head(session, &receipts.head).await?;
    for (entry, (pos, path)) in entries.iter().zip(&receipts.places) {
        verify_inclusion(&entry.leaf(), *pos, head.size, path, &head.root).map_err(|error| {
            let what = format!("the entry is not in the head that acknowledges it ({})", error.code());
            ClientError::proof("store_receipt", what)
        })?;
        if let Some((size, _)) = entry.header().expect.filter(|(size, _)| size != pos) {
            return Err(ClientError::proof(
                "head_mismatch",
                format!("the entry was to stand at {size} alone, and is at {pos}"),
            ));
        }
    }
    let remembered = kept.head.as_ref().map_or(0, |head| head.head().size);
    if !again || head.size >= remembered {
        check_continues(session, kept, &receipts.head, &receipts.consistency).await?;
    }
    Ok(head)
}

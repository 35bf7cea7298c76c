//! Partitions of subscription databases: what this person proves there, and what others send them (PROTOCOL 25.20).
//!
//! What is said is signed and kept on disk before it is sent, and sent again until it is there: it counts once. What is read is held against the anchors as any log
//! is, and shown to nobody else.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::Vacant;

use data_encoding::HEXLOWER;
use dgns_api::path;
use dgns_api::store::answer::{Cursor, Receipts};
use dgns_api::store::control::{Control, DbKind};
use dgns_api::store::entry::{Class, Entry, Header, LogId, LogKind, encode_request};
use dgns_api::store::limits::{ENTRIES_PER_ANSWER_MAX, INVITATION_TEXT_BYTES_MAX};
use dgns_api::store::partition::{self, Invitation, Membership, Proof, SealedInvitation};
use identity::did::Did;
use identity::name::Origin;
use identity::sealed;
use zeroize::Zeroizing;

use super::anchored;
use super::append::check_receipts;
use super::database::OpenDb;
use super::follow::{Follower, malformed, newest};
use super::kept::{Kept, keep_head};
use super::people::People;
use crate::error::ClientError;
use crate::session::{Session, Signer};
use crate::{clock, rng, user_keys};

/// How many of the newest invitations are read where nobody names a place: whoever sends many hides none behind work.
pub const NEWEST: u64 = 1_000;

/// This person's partition of a subscription database, read, checked and anchored.
#[derive(Debug)]
pub struct Subscriptions {
    db: OpenDb,
    /// What makes its logs unlike any guess; `None` if there is no partition yet.
    salt: Option<[u8; 16]>,
    memberships: BTreeMap<Did, Membership>,
}

/// What somebody sent to this person.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its place.
    pub pos: u64,
    /// Who signed it.
    pub from: Did,
    /// When, by the clock of who signed, Unix milliseconds.
    pub unix_ms: u64,
    /// What it says; `None` if it was sealed to somebody else.
    pub invitation: Option<Invitation>,
}

impl Subscriptions {
    /// Opens this person's partition of the subscription database of a name.
    ///
    /// Errors: [`ClientError::Unable`] if it is no subscription database, [`ClientError::Proof`] if what is shown is not what this person said there.
    pub async fn open(session: &Session, signer: Signer<'_>, name: &str) -> Result<Self, ClientError> {
        let db = open(session, signer, name).await?;
        let mut read = Self { db, salt: None, memberships: BTreeMap::new() };
        let mut salt = None;
        let log = partition::log_of(read.db.acl().did(), &signer.did, LogKind::Proofs);
        let mut follower = Follower::from(log, 0);
        loop {
            let (entries, size) = match follower.read(session, signer, ENTRIES_PER_ANSWER_MAX as u64, 0).await {
                Err(ClientError::Refused(problem)) if follower.next() == 0 && problem.code == "not_found" => {
                    return Ok(read);
                }
                entries => entries?,
            };
            if salt.is_none() {
                salt = Some(salt_of(session, signer, read.db.acl().did()).await?);
            }
            for entry in &entries {
                read.take(signer, entry, salt)?;
            }
            let Some(salt) = &read.salt else { return Err(malformed("a partition that nothing begins")) };
            if follower.next() >= size && follower.next() >= anchored::verify(session, signer, &log, salt).await?.head {
                return Ok(read);
            }
        }
    }

    /// Takes what this person said next, in the partition of the salt that it has to have.
    fn take(&mut self, signer: Signer<'_>, entry: &Entry, own: Option<[u8; 16]>) -> Result<(), ClientError> {
        if !self.db.acl().is_of_partition(&signer.did, LogKind::Proofs, entry.header()) {
            return Err(ClientError::proof("not_writer", "an entry of somebody else stands in this partition"));
        }
        let wrong = || ClientError::proof("bad_proof", "the partition does not say what its user may say there");
        match (Proof::decode(entry.body()).map_err(|_| wrong())?, self.salt.is_some()) {
            (Proof::Open { salt }, false) if Some(salt) == own => self.salt = Some(salt),
            (Proof::Member(proof), true) if proof.to(&signer.did).is_some() => {
                self.memberships.insert(proof.db, *proof);
            }
            (Proof::Left { db }, true) => drop(self.memberships.remove(&db)),
            _ => return Err(wrong()),
        }
        Ok(())
    }

    /// Returns the subscription database.
    pub fn db(&self) -> &OpenDb {
        &self.db
    }

    /// Returns whether there is a partition.
    pub fn is_there(&self) -> bool {
        self.salt.is_some()
    }

    /// Returns the grants that were proved, by database: what they gave then, which a later revoke may have taken.
    pub fn memberships(&self) -> &BTreeMap<Did, Membership> {
        &self.memberships
    }
}

/// Begins a partition, unless there is one, and proves there that this person is a member of `database`, unless that is proved already; returns how many
/// entries were added.
pub async fn subscribe(
    session: &Session,
    signer: Signer<'_>,
    name: &str,
    database: Option<&str>,
) -> Result<u64, ClientError> {
    let mut sender = Sender::open(session, signer, name, (signer.did, LogKind::Proofs)).await?;
    let mut partition = Subscriptions::open(session, signer, name).await?;
    let mut added = 0;
    if !partition.is_there() {
        let salt = salt_of(session, signer, partition.db.acl().did()).await?;
        sender.say(Proof::Open { salt }.encode()).await?;
        (partition.salt, added) = (Some(salt), 1);
    }
    let Some(database) = database else { return Ok(added) };
    let proof = membership(session, signer, database).await?;
    if partition.memberships.get(&proof.db) == Some(&proof) {
        return Ok(added);
    }
    sender.say(Proof::Member(Box::new(proof)).encode()).await?;
    Ok(added + 1)
}

/// Says that this person wants no more of a database; returns whether it was proved before.
pub async fn unsubscribe(
    session: &Session,
    signer: Signer<'_>,
    name: &str,
    database: &Did,
) -> Result<bool, ClientError> {
    let mut sender = Sender::open(session, signer, name, (signer.did, LogKind::Proofs)).await?;
    let partition = Subscriptions::open(session, signer, name).await?;
    if !partition.memberships.contains_key(database) {
        return Ok(false);
    }
    sender.say(Proof::Left { db: *database }.encode()).await.map(|()| true)
}

/// Returns the newest grant by which this person is a member of a database, with the key that it gives.
async fn membership(session: &Session, signer: Signer<'_>, name: &str) -> Result<Membership, ClientError> {
    let db = OpenDb::open(session, signer, name).await?;
    let is_grant = |gid: u32, control: &Control| match control {
        Control::Grant { gid: of, did, .. } => *of == gid && *did == signer.did,
        _ => false,
    };
    let mut groups = db.acl().groups().iter().filter(|(_, group)| group.members.contains_key(&signer.did));
    let found = groups.next().and_then(|(gid, group)| {
        let pos = db.said().iter().rposition(|(_, control)| is_grant(*gid, control))?;
        Some((pos as u64, group.epochs.len() as u64))
    });
    let (pos, epoch) =
        found.ok_or_else(|| ClientError::Unable(format!("you are no member of {name}: nothing proves it")))?;
    let mut follower = Follower::from(LogId::control(db.acl().did()), pos).with_any_parts();
    let (mut entries, _) = follower.read(session, signer, 1, 0).await?;
    let grant = entries.pop().ok_or_else(|| malformed("a control log without its grant"))?;
    Ok(Membership { db: *db.acl().did(), pos, epoch, grant })
}

/// Sends an invitation to a user of a subscription database: sealed to them, signed by this device. Returns whether one of before was on its way to them
/// still, which went first.
///
/// Errors: [`ClientError::Refused`] with `not_found` for who has no partition there, `rate` for who sent too many.
pub async fn invite(
    session: &Session,
    signer: Signer<'_>,
    name: &str,
    (to, invitation): (&Did, &Invitation),
) -> Result<bool, ClientError> {
    if invitation.text.len() > INVITATION_TEXT_BYTES_MAX {
        return Err(ClientError::Unable(format!(
            "an invitation has at most {INVITATION_TEXT_BYTES_MAX} bytes of text"
        )));
    }
    let resolved = session.resolve_did(to).await?;
    let state = resolved.did().ok_or_else(|| ClientError::Absent(to.to_string()))?;
    let none = || ClientError::Unable(format!("{to} has no user key, so nothing can be sealed to them"));
    let key = state.user_key.as_ref().ok_or_else(none)?;
    let mut sender = Sender::open(session, signer, name, (*to, LogKind::Invitations)).await?;
    let info = partition::info(sender.db.acl().did(), to);
    let plain = Zeroizing::new(invitation.padded());
    let sealed = sealed::seal(&key.key, &info, signer.did.as_bytes(), &plain, &mut rng::system());
    let sealed = sealed.map_err(|error| ClientError::Unable(error.to_string()))?;
    let said = sender.say(SealedInvitation { generation: key.generation, sealed }.encode()).await;
    said.map_err(|error| match error {
        ClientError::Refused(mut problem) if problem.code == "not_found" => {
            problem.detail = format!("{to} takes no invitations in {name}");
            ClientError::Refused(problem)
        }
        error => error,
    })?;
    Ok(sender.resent)
}

/// Returns the salt of this person's partition of a database, which any of their devices comes to.
async fn salt_of(session: &Session, signer: Signer<'_>, db: &Did) -> Result<[u8; 16], ClientError> {
    let own = session.resolve_did(&signer.did).await?;
    let state = own.did().ok_or_else(|| ClientError::Absent(signer.did.to_string()))?;
    let seed = user_keys::first_of(session, signer, state).await?;
    Ok(partition::salt_of(&seed, db))
}

/// Returns what others sent to this person, the first first, from a place on; if none is named the newest [`NEWEST`], or those of them that the server did not
/// drop while nobody paid, as it says, with the place before which it did. Nothing if there is no partition.
pub async fn invitations(
    session: &Session,
    signer: Signer<'_>,
    name: &str,
    from: Option<u64>,
) -> Result<(Vec<Received>, Option<u64>), ClientError> {
    let partition = Subscriptions::open(session, signer, name).await?;
    let Some(salt) = &partition.salt else { return Ok((Vec::new(), None)) };
    let acl = partition.db.acl();
    let log = partition::log_of(acl.did(), &signer.did, LogKind::Invitations);
    let own = session.resolve_did(&signer.did).await?;
    let state = own.did().ok_or_else(|| ClientError::Absent(signer.did.to_string()))?;
    let (size, _) = newest(session, signer, log).await.map_err(|error| match error {
        // It began with the partition, which was shown.
        ClientError::Refused(problem) if problem.code == "not_found" => {
            malformed("a partition without a log of what others sent")
        }
        error => error,
    })?;
    let mut follower = Follower::from(log, from.unwrap_or(size.saturating_sub(NEWEST)));
    let (mut received, mut secrets, mut dropped_to) = (Vec::new(), BTreeMap::new(), None);
    loop {
        let (entries, size) = match follower.read(session, signer, ENTRIES_PER_ANSWER_MAX as u64, 0).await {
            Err(ClientError::Refused(problem)) if problem.code == "dropped" && from.is_none() => {
                let first =
                    problem.first.filter(|first| dropped_to.is_none() && (follower.next()..=size).contains(first));
                let Some(first) = first else { return Err(ClientError::Refused(problem)) };
                dropped_to = Some(first);
                follower = Follower::from(log, first);
                continue;
            }
            read => read?,
        };
        let first = follower.next() - entries.len() as u64;
        for (pos, entry) in (first..).zip(&entries) {
            let header = entry.header();
            if !acl.is_of_partition(&signer.did, LogKind::Invitations, header) {
                return Err(ClientError::proof("not_writer", "what stands among the invitations is none"));
            }
            let sealed = SealedInvitation::decode(entry.body())
                .map_err(|error| ClientError::proof(error.code(), "what stands among the invitations is none"))?;
            // Whoever sealed it may have named any generation: one that there is not opens nothing.
            if let Vacant(place) = secrets.entry(sealed.generation) {
                place.insert(match user_keys::of_generation(session, signer, state, sealed.generation).await {
                    Err(ClientError::Refused(problem)) if problem.code == "no_box" => None,
                    seed => Some(seed?.secret()),
                });
            }
            let secret = secrets.get(&sealed.generation).and_then(Option::as_ref);
            let info = partition::info(acl.did(), &signer.did);
            let plain = secret.and_then(|it| sealed::open(it, &info, header.author.as_bytes(), &sealed.sealed).ok());
            let invitation = plain.and_then(|plain| Invitation::read(&plain).ok());
            received.push(Received { pos, from: header.author, unix_ms: header.unix_ms, invitation });
        }
        if follower.next() >= size && follower.next() >= anchored::verify(session, signer, &log, salt).await?.head {
            return Ok((received, dropped_to));
        }
    }
}

/// Opens a subscription database, and no other.
async fn open(session: &Session, signer: Signer<'_>, name: &str) -> Result<OpenDb, ClientError> {
    let db = OpenDb::open(session, signer, name).await?;
    match db.acl().kind() {
        DbKind::Subscription => Ok(db),
        kind => Err(ClientError::Unable(format!("{name} is a {} database, and has no partitions", kind.name()))),
    }
}

/// This device, which appends to a log of a partition.
struct Sender<'s> {
    session: &'s Session,
    signer: Signer<'s>,
    db: OpenDb,
    user: Did,
    kind: LogKind,
    log: LogId,
    kept: Kept,
    /// Whether something was on its way when the last command ended.
    resent: bool,
}

impl<'s> Sender<'s> {
    /// Opens a log for this device; what was on its way when the last command ended is sent first.
    async fn open(
        session: &'s Session,
        signer: Signer<'s>,
        name: &str,
        (user, kind): (Did, LogKind),
    ) -> Result<Self, ClientError> {
        let db = open(session, signer, name).await?;
        let log = partition::log_of(db.acl().did(), &user, kind);
        let mut kept = Kept::read(session, &log)?;
        if kept.next == 0 && kept.outbox.is_none() {
            let device = HEXLOWER.encode(&signer.keys.sign.public());
            match session.get_signed(signer, &format!("{}{log}/cursor?device={device}", path::LOGS)).await {
                Ok(answer) => {
                    let cursor = Cursor::decode(&answer).map_err(|error| malformed(&error.to_string()))?;
                    (kept.next, kept.last) = (cursor.next, cursor.last);
                }
                Err(ClientError::Refused(problem)) if problem.code == "not_found" => {}
                Err(error) => return Err(error),
            }
        }
        let mut sender = Self { session, signer, db, user, kind, log, kept, resent: false };
        if let Some(entry) = sender.kept.outbox.clone() {
            sender.send(entry, true).await?;
            sender.resent = true;
        }
        Ok(sender)
    }

    /// Signs the next entry, keeps it on disk, and returns once it is durable at the server.
    async fn say(&mut self, body: Vec<u8>) -> Result<(), ClientError> {
        let header = Header {
            class: Class::Plain,
            log: self.log,
            author: self.signer.did,
            device: self.signer.keys.sign.public(),
            lsn: self.kept.next,
            prev: self.kept.last,
            epoch: 0,
            refs: Vec::new(),
            body_bytes: 0,
            body: [0; 32],
            expect: None,
            unix_ms: clock::now().as_ms(),
        };
        let home: &Origin = self.db.acl().home();
        let entry = Entry::sign(header, body, home, &self.signer.keys.sign);
        let entry = entry.map_err(|error| ClientError::Unable(error.to_string()))?;
        // The log was read since, perhaps: what acknowledges this is held against that.
        self.kept.head = Kept::read(self.session, &self.log)?.head;
        self.kept.outbox = Some(entry.clone());
        self.kept.write(self.session.log(), &self.log)?;
        self.send(entry, false).await
    }

    /// Sends the entry in the outbox. Refused, it leaves the outbox: it is in no log, and its lsn is free. Of proofs the receipt is checked; of invitations there
    /// is none, as it would tell how many others there are.
    async fn send(&mut self, entry: Entry, again: bool) -> Result<(), ClientError> {
        let db = self.db.acl().did();
        let old = self.kept.head.as_ref().map(|head| format!("?old={}", head.head().size)).unwrap_or_default();
        let target = match self.kind {
            LogKind::Proofs => format!("{}/{db}/proofs{old}", path::DATABASES),
            _ => format!("{}/{db}/invitations/{}", path::DATABASES, self.user),
        };
        let sent = std::slice::from_ref(&entry);
        let answer = match self.session.post_entries(self.signer, &target, encode_request(sent)).await {
            Ok(answer) => answer,
            Err(error) => {
                if let ClientError::Refused(problem) = &error {
                    if let (LogKind::Proofs, "lsn_gap", Some(head)) = (self.kind, &*problem.code, &self.kept.head) {
                        // This device knows its place: if the log went back, that is the reason, and is said.
                        Follower::from(self.log, head.head().size).read(self.session, self.signer, 0, 0).await?;
                    }
                    self.kept.outbox = None;
                    self.kept.write(self.session.log(), &self.log)?;
                }
                return Err(error);
            }
        };
        if self.kind == LogKind::Proofs {
            let receipts = Receipts::decode(&answer).map_err(|error| malformed(&error.to_string()))?;
            check_receipts(self.session, &mut People::default(), &self.kept, (self.log, sent), &receipts, again)
                .await?;
            self.kept.head = Some(keep_head(self.session, &self.log, receipts.head)?);
        }
        self.kept.next = entry.header().lsn + 1;
        self.kept.last = Some(entry.leaf());
        self.kept.outbox = None;
        self.kept.write(self.session.log(), &self.log)
    }
}

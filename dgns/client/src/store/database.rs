//! Databases: made, and opened by their proved names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dgns_api::path;
use dgns_api::problem::Problem;
use dgns_api::store::acl::{Acl, AclRefusal, Standing};
use dgns_api::store::answer::Receipts;
use dgns_api::store::control::{Control, DbKind, KeyBox};
use dgns_api::store::entry::{Class, Entry, Header, LogId, LogKind, encode_request};
use dgns_api::store::limits::{ENTRIES_PER_ANSWER_MAX, MOVES_MAX};
use dgns_api::store::place::Place;
use identity::cert::{DidKind, KeyBytes};
use identity::did::Did;
use identity::hash::Hash;
use identity::kdf;
use identity::key::KexSecret;
use identity::name::Origin;
use identity::sealed;
use identity::state::{DidState, Subject};
use identity::token::Rights;
use rand_core::Rng as _;
use translog::hash::{EMPTY_ROOT, leaf_hash};
use translog::tree::Edge;
use zeroize::Zeroizing;

use super::anchored::{self, Anchored};
use super::follow::{Follower, malformed};
use super::kept;
use super::people::People;
use super::seal::GroupKey;
use crate::error::{ClientError, Tombstone};
use crate::session::{Keeper, Left, Session, Signer, Stay};
use crate::{clock, rng, user_keys};

/// The first group of a database.
pub const FIRST_GROUP: u32 = 1;

/// What a server answers to which a database is on its way.
const UNDERWAY: [&str; 2] = ["arriving", "not_found"];

/// The log that a database begins with.
pub const MAIN: &str = "main";

/// How long who makes a database is a member of it: a hundred years, in seconds. Its owners rule it for ever.
pub(super) const MEMBER_S: u64 = 100 * 365 * 86_400;

/// A database, its control log replayed, its keys opened as far as they are sealed to this person.
#[derive(Debug)]
pub struct OpenDb {
    name: String,
    acl: Acl,
    /// The size and root of its control log.
    head: (u64, Hash),
    /// What the newest anchor has of it.
    anchored: Anchored,
    /// The keys by group and epoch.
    keys: BTreeMap<(u32, u64), GroupKey>,
    /// What was said about the database, with the place of each.
    said: Vec<(Header, Control)>,
    /// How it came to where it is, and goes from there.
    moves: Vec<Gone>,
}

/// A move that the owners of a database agreed on.
#[derive(Debug)]
struct Gone {
    to: Place,
    /// How each log ended before, its control log with the word itself.
    heads: BTreeMap<LogId, (u64, Hash)>,
}

impl OpenDb {
    /// Opens the database of a name: resolves it, checks that its control log is the anchored one, reads all that was proved to be in it,
    /// and judges every entry.
    ///
    /// Errors: [`ClientError::Deleted`] if it ends with a tombstone.
    pub async fn open(session: &Session, signer: Signer<'_>, name: &str) -> Result<Self, ClientError> {
        let db = Self::open_even_deleted(session, signer, name).await?;
        match db.tombstone() {
            Some(tombstone) => Err(ClientError::Deleted(Box::new(tombstone))),
            None => Ok(db),
        }
    }

    /// As [`OpenDb::open`], whatever became of it.
    pub async fn open_even_deleted(session: &Session, signer: Signer<'_>, name: &str) -> Result<Self, ClientError> {
        match Self::open_as_far(session, signer, name).await? {
            (db, None) => Ok(db),
            (_, Some(keeper)) => {
                let url = &keeper.place.url;
                let what = format!(
                    "the owners of {name} moved it to {url}, where not all of it is yet: one of them says dgns db move {name} --to {url}"
                );
                Err(ClientError::Refused(Box::new(Problem::new(423, UNDERWAY[0], what))))
            }
        }
    }

    /// As [`OpenDb::open_even_deleted`], as far as it arrived: where it is on its way to a server that does not have all of it yet, that server, and the database
    /// as the one has it that it left.
    pub(super) async fn open_as_far(
        session: &Session,
        signer: Signer<'_>,
        name: &str,
    ) -> Result<(Self, Option<Arc<Keeper>>), ClientError> {
        let did = did_of(session, name).await?;
        let control = LogId::control(&did);
        if session.stay(&control).is_none()
            && let Some((place, left)) = kept::place(session.log(), &control)?
        {
            let keeper = session.keeper_at(&control, &place).await?;
            session.keep_at(control, Some(Stay { keeper, left }));
        }
        let mut before: Option<(Self, Option<Stay>)> = None;
        for _ in 0..=MOVES_MAX {
            let stay = session.stay(&control);
            match (Self::read(session, signer, name, did).await, before.take()) {
                (Err(ClientError::Refused(problem)), Some((db, here))) if UNDERWAY.contains(&problem.code.as_str()) => {
                    session.keep_at(control, here.clone());
                    db.settle(session, here.as_ref());
                    return Ok((db, stay.map(|stay| stay.keeper)));
                }
                (read, _) => before = Some((read?, stay)),
            }
            let Some((db, here)) = &before else { continue };
            match db.goes_to(here.as_ref()) {
                None => {
                    if let Some(Stay { keeper, left }) = here {
                        kept::keep_place(session.log(), &control, &keeper.place, left)?;
                    }
                    db.settle(session, here.as_ref());
                    return Ok((before.expect("it was read").0, None));
                }
                Some(place) => {
                    let keeper = session.keeper_at(&control, place).await?;
                    session.keep_at(control, Some(Stay { keeper, left: db.left(&control) }));
                }
            }
        }
        Err(ClientError::Unable(format!("{name} moved more than {MOVES_MAX} times: it is not followed so far")))
    }

    /// Returns where the database went from the server that showed it.
    fn goes_to(&self, here: Option<&Stay>) -> Option<&Place> {
        let last = &self.moves.last()?.to;
        Some(last).filter(|last| here.is_none_or(|here| here.keeper.place.server != last.server))
    }

    /// Asks for the logs of the database where it is.
    fn settle(&self, session: &Session, here: Option<&Stay>) {
        for log in self.acl.logs().keys() {
            let stay = here.map(|here| Stay { keeper: Arc::clone(&here.keeper), left: self.left(log) });
            session.keep_at(*log, stay);
        }
    }

    /// Returns how a log ended at each server that it left.
    fn left(&self, log: &LogId) -> Vec<Left> {
        let ended = |gone: &Gone| {
            let (size, root) = gone.heads.get(log).copied().unwrap_or((0, EMPTY_ROOT));
            Left { to: gone.to.server, size, root }
        };
        self.moves.iter().map(ended).collect()
    }

    /// Reads and judges the control log where it is kept, as far as this session knows: up to the word of the owners that the database goes on elsewhere.
    async fn read(session: &Session, signer: Signer<'_>, name: &str, did: Did) -> Result<Self, ClientError> {
        let log = LogId::control(&did);
        let stay = session.stay(&log);
        let left = stay.as_ref().and_then(|stay| stay.left.last()).map(|left| (left.size, left.root));
        // Of a fork it is not known yet what it goes on from: each entry says.
        let follower = Follower::from(log, 0).with_any_parts().with_left(left);
        let (mut follower, mut acl, mut said) = (follower, None::<Acl>, Vec::new());
        let (mut edge, mut moves) = (Edge::new(), Vec::<Gone>::new());
        let mut anchored = None;
        // Whether what was read so far stands behind what brought it here: a move from here on leads away.
        let mut arrived = stay.is_none();
        let mut gone = false;
        let (acl, anchored) = loop {
            let (entries, size) = follower.read(session, signer, ENTRIES_PER_ANSWER_MAX as u64, 0).await?;
            for entry in entries {
                if gone {
                    break; // what stands behind the owners' word counts for nothing here
                }
                let refused =
                    |code: &'static str| ClientError::proof(code, "the control log says what its author may not");
                let control = Control::decode(entry.body()).map_err(|error| refused(error.code()))?;
                let header = entry.header();
                let was = acl.as_ref().and_then(Acl::place).cloned();
                match &mut acl {
                    None => {
                        acl = Some(
                            Acl::begin(&header.log, &header.author, &control)
                                .map_err(|refusal| refused(refusal.code()))?,
                        )
                    }
                    Some(acl) => follow(acl, header, &control).map_err(|refusal| refused(refusal.code()))?,
                }
                edge.append(entry.leaf());
                if let (Some(to), Control::Moved { heads, .. }) = (acl.as_ref().and_then(Acl::place), &control)
                    && was.as_ref() != Some(to)
                {
                    let mut heads: BTreeMap<_, _> =
                        heads.iter().map(|(log, size, root)| (*log, (*size, *root))).collect();
                    heads.insert(log, (edge.size(), edge.root()));
                    gone = arrived;
                    arrived |= stay.as_ref().is_some_and(|stay| stay.keeper.place == *to);
                    moves.push(Gone { to: to.clone(), heads });
                }
                said.push((entry.header().clone(), control));
            }
            let Some(known) = &acl else { return Err(malformed("an empty control log")) };
            if *known.did() != did || !known.is_begun() {
                if follower.next() < size {
                    continue;
                }
                let what =
                    "the control log is that of another database, or of one that does not say that it goes on from it";
                return Err(ClientError::proof("bad_genesis", what));
            }
            // The salt stands in the first entry. From here on no shorter log is taken: nothing that was said can be left out.
            let proved = match anchored {
                Some(proved) => proved,
                None => anchored::verify(session, signer, &log, known.salt()).await?,
            };
            if let Some(acl) = acl.take_if(|_| gone || follower.next() >= proved.head) {
                break (acl, proved);
            }
            anchored = Some(proved);
        };
        if !arrived {
            return Err(ClientError::proof("not_moved", "the database is where no owner said that it is"));
        }
        let keys = open_keys(session, signer, &acl).await?;
        let head = (edge.size(), edge.root());
        Ok(Self { name: name.to_owned(), acl, head, anchored, keys, said, moves })
    }

    /// Returns how it was deleted, if it was.
    pub fn tombstone(&self) -> Option<Tombstone> {
        let owners = self.acl.owners();
        owners.tombstone()?;
        // Nothing stands behind it.
        let pos = self.head.0.saturating_sub(1);
        let anchor = Some(self.anchored.k).filter(|_| self.anchored.size > pos);
        let (owners, deleting) = (owners.all().len(), owners.deleting().len());
        Some(Tombstone { name: self.name.clone(), pos, owners, deleting, anchor })
    }

    /// Opens the database again: what was said since counts.
    pub async fn refresh(&mut self, session: &Session, signer: Signer<'_>) -> Result<(), ClientError> {
        *self = Self::open(session, signer, &self.name).await?;
        Ok(())
    }

    /// Returns whether the entry at place `pos` of a log counts; what is not known yet is asked for.
    ///
    /// Errors: [`ClientError::Proof`] if its author could never write there under its key.
    pub async fn counts(
        &mut self,
        session: &Session,
        signer: Signer<'_>,
        pos: u64,
        header: &Header,
    ) -> Result<bool, ClientError> {
        let Header { log, author, epoch, .. } = header;
        match self.standing(session, signer, (log, pos), (author, *epoch)).await? {
            Standing::Counts => Ok(true),
            Standing::Void => Ok(false),
            Standing::Forged => {
                let what = format!("entry {pos} is by {}, who could not write there", header.author);
                // A host may have held back who was let in.
                Err(ClientError::proof(if session.is_at_host() { "bad_host" } else { "not_writer" }, what))
            }
        }
    }

    /// Judges an entry by what its author wrote it under; what is not known yet is asked for.
    pub(super) async fn standing(
        &mut self,
        session: &Session,
        signer: Signer<'_>,
        (log, pos): (&LogId, u64),
        (author, epoch): (&Did, u64),
    ) -> Result<Standing, ClientError> {
        let standing = self.acl.standing(log, pos, author, epoch);
        if standing != Standing::Forged {
            return Ok(standing);
        }
        self.refresh(session, signer).await?;
        Ok(self.acl.standing(log, pos, author, epoch))
    }

    /// Returns the URL of the server that keeps it, if it moved there.
    pub fn url(&self) -> Option<&str> {
        self.acl.place().map(|place| place.url.as_str())
    }

    /// Returns where it went, each time, and how many entries its control log had where it was, with the word that it went.
    pub(super) fn ended(&self) -> impl Iterator<Item = (&Place, u64)> {
        let control = LogId::control(self.acl.did());
        self.moves.iter().map(move |gone| (&gone.to, gone.heads.get(&control).map_or(0, |(size, _)| *size)))
    }

    /// Returns whether what stands at this place of its control log was the last word of half of its owners that it goes on elsewhere.
    pub fn moved_at(&self, pos: u64) -> bool {
        self.ended().any(|(_, size)| size == pos + 1)
    }

    /// Returns the size and root of its control log.
    pub fn head(&self) -> (u64, Hash) {
        self.head
    }

    /// Returns the lsn of the next entry of a device in the control log, and the leaf of the one before.
    pub fn place_of(&self, device: &KeyBytes) -> (u64, Option<Hash>) {
        let log = LogId::control(self.acl.did());
        let last = self.said.iter().rev().find(|(header, _)| header.device == *device && header.log == log);
        last.map_or((0, None), |(header, _)| (header.lsn + 1, Some(leaf_hash(&header.encode()))))
    }

    /// Returns who may do what.
    pub fn acl(&self) -> &Acl {
        &self.acl
    }

    /// Returns everything that was said about the database, in order.
    pub fn said(&self) -> &[(Header, Control)] {
        &self.said
    }

    /// Returns the log of a label with its group.
    pub fn log(&self, label: &str) -> Result<(LogId, u32), ClientError> {
        let none = || ClientError::Unable(format!("the database has no log {label:?}"));
        self.acl.log_of(label).ok_or_else(none)
    }

    /// Returns the key of a group in an epoch.
    pub fn key(&self, gid: u32, epoch: u64) -> Option<&GroupKey> {
        self.keys.get(&(gid, epoch))
    }

    /// Returns the newest key of a group with its epoch.
    pub fn newest_key(&self, gid: u32) -> Result<(u64, &GroupKey), ClientError> {
        let epoch = self.acl.groups().get(&gid).map_or(0, |group| group.epochs.len() as u64);
        let none = || ClientError::Unable("the key of this group is not sealed to you".into());
        self.key(gid, epoch).map(|key| (epoch, key)).ok_or_else(none)
    }
}

/// Applies the next statement of a control log, which stands in that of the database that it is about. A fork names the place where it
/// begins: the tree is checked there.
fn follow(acl: &mut Acl, header: &Header, control: &Control) -> Result<(), AclRefusal> {
    let is_fork = matches!(control, Control::Fork { .. });
    if header.log != acl.control_of(control) || is_fork && header.expect.is_none() {
        return Err(AclRefusal::Genesis);
    }
    acl.apply(&header.author, control)
}

/// Returns the DID of the database that a name leads to, proved.
async fn did_of(session: &Session, name: &str) -> Result<Did, ClientError> {
    let name = session.name(name)?;
    let resolved = session.resolve(&Subject::Name(name.as_str().to_owned())).await?;
    let state = resolved.did().ok_or_else(|| ClientError::Absent(name.as_str().to_owned()))?;
    match state.kind {
        DidKind::Database => Ok(state.did),
        _ => Err(ClientError::Unable(format!("{} is no database", name.as_str()))),
    }
}

/// Opens the keys of every group, as far as they are sealed to this person.
async fn open_keys(
    session: &Session,
    signer: Signer<'_>,
    acl: &Acl,
) -> Result<BTreeMap<(u32, u64), GroupKey>, ClientError> {
    let own = session.resolve_did(&signer.did).await?;
    let Some(state) = own.did() else { return Ok(BTreeMap::new()) };
    let epochs = acl.groups().values().flat_map(|group| &group.epochs);
    let rows = epochs.filter_map(|(boxes, _)| boxes.iter().find(|row| row.did == signer.did));
    let generations: BTreeSet<u64> = rows.map(|row| row.generation).collect();
    let mut seeds = BTreeMap::new();
    for generation in generations {
        // Who sealed a box may have put anything into it, under any generation: one that does not open is none.
        match user_keys::of_generation(session, signer, state, generation).await {
            Err(ClientError::Refused(_)) => None,
            seed => seeds.insert(generation, seed?.secret()),
        };
    }
    Ok(opened(acl, &signer.did, &seeds))
}

/// Opens the keys of every group by the secrets of a person's user key, by generation: each by the person's own box, and where there is
/// none that opens, by the key after it, in which whoever turned that one may have put anything.
fn opened(acl: &Acl, did: &Did, seeds: &BTreeMap<u64, KexSecret>) -> BTreeMap<(u32, u64), GroupKey> {
    let mut keys = BTreeMap::new();
    for (gid, group) in acl.groups() {
        let info = |epoch: u64| KeyBox::info(acl.sealed_by(*gid, epoch), *gid, epoch);
        for (epoch, (boxes, _)) in (1..).zip(&group.epochs) {
            let row = boxes.iter().find(|row| row.did == *did);
            let key =
                row.and_then(|row| sealed::open(seeds.get(&row.generation)?, &info(epoch), &[], &row.sealed).ok());
            key.iter().for_each(|key| keep(&mut keys, (*gid, epoch), key));
        }
        for (number, (_, previous)) in group.epochs.iter().enumerate().rev() {
            let (epoch, before) = (number as u64 + 1, (*gid, number as u64));
            let key = keys.get(&(*gid, epoch));
            if let (Some(key), Some(previous), false) = (key, previous, keys.contains_key(&before))
                && let Ok(key) = sealed::open(&secret_of(key), &info(epoch), b"previous", previous)
            {
                keep(&mut keys, before, &key);
            }
        }
    }
    keys
}

fn keep(keys: &mut BTreeMap<(u32, u64), GroupKey>, at: (u32, u64), bytes: &[u8]) {
    if let Ok(key) = <[u8; 32]>::try_from(bytes) {
        keys.insert(at, Zeroizing::new(key));
    }
}

/// Returns the X25519 secret that the key before this one is sealed to.
pub(super) fn secret_of(key: &GroupKey) -> KexSecret {
    KexSecret::from_bytes(*kdf::derive("dgns/group-box/v1", key.as_ref(), &[]))
}

/// Makes the database of `held`, whose DID is a database's, for the person of `signer`, who becomes its first member and pays; returns
/// the size of its control log. One of this kind that was made before is left as it is.
pub async fn create(session: &Session, held: Signer<'_>, signer: Signer<'_>, kind: DbKind) -> Result<u64, ClientError> {
    let log = LogId::control(&held.did);
    let mut follower = Follower::from(log, 0).with_any_parts();
    match follower.read(session, held, 1, 0).await {
        Ok((entries, size)) if size > 0 => {
            let said = entries.first().map(|entry| Control::decode(entry.body()));
            return match said {
                Some(Ok(Control::Genesis { kind: made, .. })) if made == kind => Ok(size),
                _ => {
                    Err(ClientError::Unable(format!("{} is a database already, and no {} one", held.did, kind.name())))
                }
            };
        }
        Ok(_) => {}
        Err(ClientError::Refused(problem)) if problem.code == "not_found" => {}
        Err(error) => return Err(error),
    }
    let own = session.resolve_did(&signer.did).await?;
    let state = own.did().ok_or_else(|| ClientError::Absent(signer.did.to_string()))?;
    let entries = beginning(session, held, kind, &signer.did, state)?;
    let answer = session.post_signed(signer, path::DATABASES, &encode_request(&entries)).await?;
    let receipts = Receipts::decode(&answer).map_err(|error| malformed(&error.to_string()))?;
    People::default().check_head(session, &receipts.head).await?;
    // Read back, so that what is remembered is what was checked.
    let (_, size) = follower.read(session, signer, ENTRIES_PER_ANSWER_MAX as u64, 0).await?;
    Ok(size)
}

/// Returns the first entries of a control log: genesis, its first owner, its first member, the first key, the first log.
fn beginning(
    session: &Session,
    held: Signer<'_>,
    kind: DbKind,
    person: &Did,
    state: &DidState,
) -> Result<Vec<Entry>, ClientError> {
    let user_key = state.user_key.as_ref();
    let user_key = user_key.ok_or_else(|| ClientError::Unable("you have no user key: run dgns up first".into()))?;
    let rng = &mut rng::system();
    let (mut salt, mut key) = ([0; 16], Zeroizing::new([0; 32]));
    rng.fill_bytes(&mut salt);
    rng.fill_bytes(key.as_mut());
    let info = KeyBox::info(&held.did, FIRST_GROUP, 1);
    let sealed = sealed::seal(&user_key.key, &info, &[], key.as_ref(), rng);
    let sealed = sealed.map_err(|error| ClientError::Unable(error.to_string()))?;
    let (gid, now) = (FIRST_GROUP, clock::now());
    let home = session.trust().origin().clone();
    let groups = vec![
        Control::Grant { gid, did: *person, rights: Rights::ALL, until_s: now.as_ms() / 1_000 + MEMBER_S },
        Control::KeyEpoch {
            gid,
            epoch: 1,
            boxes: vec![KeyBox { did: *person, generation: user_key.generation, sealed }],
            previous: None,
        },
        Control::Log { gid, kind: LogKind::Shared, label: MAIN.to_owned() },
    ];
    let mut statements = vec![
        Control::Genesis { did: held.did, kind, home: home.clone(), salt },
        // Whose it is stands before anything that they are given: of a profile nobody else is given it.
        Control::Owner { did: *person, yes: true },
    ];
    // What a subscription database has is apart for each user, and begins with what each says.
    if kind != DbKind::Subscription {
        statements.extend(groups);
    }
    // From here on the person rules it, and whoever they take in; its own keys rule its name alone.
    statements.push(Control::Leave);
    let mut itself = Speaker::new(held, LogId::control(&held.did), &home);
    statements.iter().map(|statement| itself.says(statement, None)).collect()
}

/// A device that speaks in a new control log.
pub(super) struct Speaker<'s> {
    signer: Signer<'s>,
    log: LogId,
    home: &'s Origin,
    said: u64,
    last: Option<Hash>,
}

impl<'s> Speaker<'s> {
    pub(super) fn new(signer: Signer<'s>, log: LogId, home: &'s Origin) -> Self {
        Self { signer, log, home, said: 0, last: None }
    }

    /// Signs the next statement, which follows the head `expect` alone if there is one.
    pub(super) fn says(&mut self, statement: &Control, expect: Option<(u64, Hash)>) -> Result<Entry, ClientError> {
        let header = Header {
            class: Class::Control,
            log: self.log,
            author: self.signer.did,
            device: self.signer.keys.sign.public(),
            lsn: self.said,
            prev: self.last,
            epoch: 0,
            refs: Vec::new(),
            body_bytes: 0,
            body: [0; 32],
            expect,
            unix_ms: clock::now().as_ms(),
        };
        let entry = Entry::sign(header, statement.encode(), self.home, &self.signer.keys.sign);
        let entry = entry.map_err(|error| ClientError::Unable(error.to_string()))?;
        (self.said, self.last) = (self.said + 1, Some(entry.leaf()));
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use identity::sealed::Sealed;

    #[test]
    fn a_box_of_ones_own_comes_before_what_whoever_turned_the_key_says_of_the_one_before() {
        // Goal: nobody makes unreadable what was sealed to others. Method: a key of which each epoch is sealed to a member, the second with
        // a wrong key before it; then a member of the second alone, who has nothing but that.
        let (db, early, late) = (Did::from_bytes([1; 20]), Did::from_bytes([2; 20]), Did::from_bytes([3; 20]));
        let secret = KexSecret::from_bytes([7; 32]);
        let sealed = |epoch: u64, key: [u8; 32]| {
            let info = KeyBox::info(&db, FIRST_GROUP, epoch);
            sealed::seal(&secret.public(), &info, &[], &key, &mut rng::system()).unwrap()
        };
        let turned = |epoch: u64, dids: &[Did], previous: Option<Sealed>| {
            let boxes =
                dids.iter().map(|did| KeyBox { did: *did, generation: 1, sealed: sealed(epoch, [epoch as u8; 32]) });
            Control::KeyEpoch { gid: FIRST_GROUP, epoch, boxes: boxes.collect(), previous }
        };
        let granted = |did| Control::Grant { gid: FIRST_GROUP, did, rights: Rights::ALL, until_s: u64::MAX };
        let info = KeyBox::info(&db, FIRST_GROUP, 2);
        let to = secret_of(&Zeroizing::new([2; 32])).public();
        let wrong = sealed::seal(&to, &info, b"previous", &[9; 32], &mut rng::system()).unwrap();
        let home = Origin::parse("dgns.test/log").unwrap();
        let genesis = Control::Genesis { did: db, kind: DbKind::General, home, salt: [5; 16] };
        let mut acl = Acl::begin(&LogId::control(&db), &db, &genesis).unwrap();
        let said = [granted(early), turned(1, &[early], None), granted(late), turned(2, &[early, late], Some(wrong))];
        said.iter().for_each(|statement| acl.apply(&db, statement).unwrap());
        let keys = |did| -> Vec<[u8; 32]> {
            opened(&acl, did, &[(1, secret.clone())].into()).values().map(|key| **key).collect()
        };
        assert_eq!(keys(&early), [[1; 32], [2; 32]]);
        assert_eq!(keys(&late), [[9; 32], [2; 32]], "who came later has nothing else");
        assert!(opened(&acl, &early, &BTreeMap::new()).is_empty());
    }
}

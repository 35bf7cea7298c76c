//! Who may read and write a database: said in its control log, under a key that only its members have (PROTOCOL 25.6).
//!
//! Whoever comes gets the newest key and by it those before; when somebody is taken out, the key is turned in the same request, so
//! that nothing is written under a key that they have. Whoever leaves cannot turn it: the next who may does, before appending, and what
//! others append until then is under a key that they have.

use std::collections::BTreeSet;

use dgns_api::path;
use dgns_api::problem::Problem;
use dgns_api::store::acl::{Acl, AclRefusal, Group};
use dgns_api::store::answer::Receipts;
use dgns_api::store::control::{Control, KeyBox};
use dgns_api::store::entry::{Class, Entry, Header, LogId, LogKind, encode_request};
use identity::did::Did;
use identity::sealed;
use identity::token::Rights;
use rand_core::Rng as _;
use tokio::time::Duration;
use zeroize::Zeroizing;

use super::anchored;
use super::append::check_receipts;
use super::database::{FIRST_GROUP, MEMBER_S, OpenDb, secret_of};
use super::follow::{Follower, malformed};
use super::kept::{Kept, keep_head};
use super::people::People;
use super::seal::GroupKey;
use crate::error::ClientError;
use crate::session::{Session, Signer};
use crate::{clock, rng};

/// How often what was said by somebody else first is judged anew.
const TRIES: u32 = 8;

/// What a server answers to whom somebody else was faster, that does not know whether it committed, or that the database left.
pub(super) const AGAIN: [&str; 5] = ["head_mismatch", "lsn_gap", "recovering", "busy", "moved"];

/// Between two tries at a server that has to come to itself first.
pub(super) const BREATH: Duration = Duration::from_millis(500);

/// What was said, and what it comes to.
#[derive(Debug)]
pub struct Said {
    /// Who may do what by now.
    pub acl: Acl,
    /// How many statements were added; 0 if all of it was so before.
    pub statements: usize,
}

/// Lets somebody do something in the group that has a log: more than before, or less.
pub async fn grant(
    session: &Session,
    signer: Signer<'_>,
    (name, label): (&str, &str),
    who: &Did,
    rights: Rights,
) -> Result<Said, ClientError> {
    let plan = async |db: &OpenDb| -> Result<Vec<Control>, ClientError> {
        let (gid, group) = group_of(db, label)?;
        let (had, until_s) = group.members.get(who).map_or((None, 0), |(rights, until_s)| (Some(*rights), *until_s));
        let grant = Control::Grant { gid, did: *who, rights, until_s: until(db.acl(), signer, gid).max(until_s) };
        let mut members: BTreeSet<Did> = group.members.keys().copied().collect();
        members.insert(*who);
        Ok(match had {
            Some(had) if had == rights && until_s > clock::now().as_ms() / 1_000 => Vec::new(),
            Some(had) if rights.include(had) => vec![grant],
            Some(_) => vec![
                Control::Revoke { gid, did: *who, cuts: cuts(session, signer, db.acl(), gid).await? },
                grant,
                turn(session, db, gid, &members).await?,
            ],
            None => vec![grant, turn(session, db, gid, &members).await?],
        })
    };
    say(session, signer, name, plan).await
}

/// Takes somebody out of the group that has a log, and turns its key if this person may: who leaves may not.
pub async fn revoke(
    session: &Session,
    signer: Signer<'_>,
    (name, label): (&str, &str),
    who: &Did,
) -> Result<Said, ClientError> {
    let plan = async |db: &OpenDb| -> Result<Vec<Control>, ClientError> {
        let (gid, group) = group_of(db, label)?;
        if !group.members.contains_key(who) {
            return Ok(Vec::new());
        }
        let mut statements =
            vec![Control::Revoke { gid, did: *who, cuts: cuts(session, signer, db.acl(), gid).await? }];
        // Without the newest key, which a box that does not open withholds, the next cannot be handed on: somebody else turns it.
        let may_turn = may_turn(db.acl(), signer, gid) && db.newest_key(gid).is_ok();
        let left: BTreeSet<Did> = group.members.keys().filter(|did| *did != who).copied().collect();
        if may_turn && *who != signer.did {
            statements.push(turn(session, db, gid, &left).await?);
        }
        Ok(statements)
    };
    say(session, signer, name, plan).await
}

/// Turns the key of the group that has a log: at any time, or only if somebody left since it was turned last.
pub async fn rekey(
    session: &Session,
    signer: Signer<'_>,
    (name, label): (&str, &str),
    only_due: bool,
) -> Result<Said, ClientError> {
    let plan = async |db: &OpenDb| -> Result<Vec<Control>, ClientError> {
        let (gid, group) = group_of(db, label)?;
        if only_due && !(group.rekey_due && may_turn(db.acl(), signer, gid)) {
            return Ok(Vec::new());
        }
        Ok(vec![turn(session, db, gid, &group.members.keys().copied().collect()).await?])
    };
    say(session, signer, name, plan).await
}

/// Begins a further log of a label that no log has: for the group that has the log `beside`, or, if none is named, for a group of its own, of which this
/// person is the first member.
pub async fn begin_log(
    session: &Session,
    signer: Signer<'_>,
    (name, label): (&str, &str),
    beside: Option<&str>,
) -> Result<Said, ClientError> {
    let plan = async |db: &OpenDb| -> Result<Vec<Control>, ClientError> {
        let there = db.acl().log_of(label).map(|(_, gid)| gid);
        let (gid, mut statements) = match beside {
            Some(beside) => (group_of(db, beside)?.0, Vec::new()),
            None => match there {
                // What a try began whose end was not known.
                Some(gid) if is_apart(db.acl(), signer, gid) => (gid, Vec::new()),
                _ => {
                    let is_free = |gid: &u32| !db.acl().groups().contains_key(gid);
                    let gid = (FIRST_GROUP..).find(is_free).expect("a database has few groups");
                    let until_s = until(db.acl(), signer, gid);
                    let grant = Control::Grant { gid, did: signer.did, rights: Rights::ALL, until_s };
                    (gid, vec![grant, turn(session, db, gid, &[signer.did].into()).await?])
                }
            },
        };
        match there {
            Some(there) if there == gid => return Ok(Vec::new()),
            Some(_) => {
                return Err(ClientError::Unable(format!("the database has a log {label:?} already, of other people")));
            }
            None => statements.push(Control::Log { gid, kind: LogKind::Shared, label: label.to_owned() }),
        }
        Ok(statements)
    };
    say(session, signer, name, plan).await
}

/// Whether a group is one that this person just began: of one log, nobody else's, with its first key.
fn is_apart(acl: &Acl, signer: Signer<'_>, gid: u32) -> bool {
    let is_own = |group: &Group| group.members.keys().eq([&signer.did]) && group.epochs.len() == 1;
    acl.logs_of(gid).count() == 1 && acl.groups().get(&gid).is_some_and(is_own)
}

/// Says what follows from the database as it is, all or none; again if somebody else was faster. At a host nothing is said: its word that
/// a statement was refused is none of the store's, and another one would have the same number.
pub(super) async fn say(
    session: &Session,
    signer: Signer<'_>,
    name: &str,
    plan: impl AsyncFn(&OpenDb) -> Result<Vec<Control>, ClientError>,
) -> Result<Said, ClientError> {
    // What may have been said by a try whose end is not known.
    let (mut tries_left, mut unknown) = (TRIES, 0);
    loop {
        let db = OpenDb::open(session, signer, name).await?;
        let statements = plan(&db).await?;
        let mut acl = db.acl().clone();
        statements.iter().try_for_each(|statement| acl.apply(&signer.did, statement)).map_err(refused)?;
        if statements.is_empty() {
            return Ok(Said { acl, statements: unknown });
        }
        if session.is_at_host() {
            return Err(ClientError::Unable(
                "who may do what is said without --at, to the server itself: dgns db rekey".into(),
            ));
        }
        tries_left -= 1;
        match post(session, signer, &db, &statements).await {
            Err(ClientError::Refused(problem)) if AGAIN.contains(&problem.code.as_str()) && tries_left > 0 => {
                unknown = if problem.code == "recovering" { statements.len() } else { 0 };
                if matches!(problem.code.as_str(), "recovering" | "busy") {
                    tokio::time::sleep(BREATH).await;
                }
            }
            Err(error) => return Err(error),
            Ok(()) => return Ok(Said { acl, statements: statements.len() }),
        }
    }
}

/// Appends statements that must follow the control log as it was judged, and checks that they are in it.
pub(super) async fn post(
    session: &Session,
    signer: Signer<'_>,
    db: &OpenDb,
    statements: &[Control],
) -> Result<(), ClientError> {
    let log = LogId::control(db.acl().did());
    let kept = Kept::read(session, &log)?;
    let device = signer.keys.sign.public();
    let (mut lsn, mut prev) = db.place_of(&device);
    let mut entries = Vec::new();
    for statement in statements {
        let header = Header {
            class: Class::Control,
            log,
            author: signer.did,
            device,
            lsn,
            prev,
            epoch: 0,
            refs: Vec::new(),
            body_bytes: 0,
            body: [0; 32],
            expect: entries.is_empty().then(|| db.head()),
            unix_ms: clock::now().as_ms(),
        };
        let entry = Entry::sign(header, statement.encode(), db.acl().home(), &signer.keys.sign);
        let entry = entry.map_err(|error| ClientError::Unable(error.to_string()))?;
        (lsn, prev) = (lsn + 1, Some(entry.leaf()));
        entries.push(entry);
    }
    let old = kept.head.as_ref().map(|head| format!("?old={}", head.head().size)).unwrap_or_default();
    let answer =
        session.post_entries(signer, &format!("{}{log}/entries{old}", path::LOGS), encode_request(&entries)).await?;
    let receipts = Receipts::decode(&answer).map_err(|error| malformed(&error.to_string()))?;
    check_receipts(session, &mut People::default(), &kept, (log, &entries), &receipts, false).await?;
    keep_head(session, &log, receipts.head).map(drop)
}

/// Returns the group that has the log of a label.
fn group_of<'d>(db: &'d OpenDb, label: &str) -> Result<(u32, &'d Group), ClientError> {
    let (_, gid) = db.log(label)?;
    let none = || ClientError::Unable(format!("the database has no group {gid}"));
    db.acl().groups().get(&gid).map(|group| (gid, group)).ok_or_else(none)
}

fn may_turn(acl: &Acl, signer: Signer<'_>, gid: u32) -> bool {
    acl.may(&signer.did, gid, Rights::GRANT, clock::now().as_ms() / 1_000)
}

/// Until when this person makes somebody a member: for long, and no longer than it is one itself.
fn until(acl: &Acl, signer: Signer<'_>, gid: u32) -> u64 {
    let own = acl.groups().get(&gid).and_then(|group| group.members.get(&signer.did));
    let own = own.filter(|_| !acl.owners().is(&signer.did)).map_or(u64::MAX, |(_, until_s)| *until_s);
    own.min(clock::now().as_ms() / 1_000 + MEMBER_S)
}

/// Returns how far each log of a group is, proved: what a member wrote up to here stands. No server names a place before what is anchored.
async fn cuts(session: &Session, signer: Signer<'_>, acl: &Acl, gid: u32) -> Result<Vec<(LogId, u64)>, ClientError> {
    sizes(session, signer, acl, acl.logs_of(gid)).await
}

/// As [`cuts`], of all logs: where each of them ends.
pub(super) async fn ends(session: &Session, signer: Signer<'_>, acl: &Acl) -> Result<Vec<(LogId, u64)>, ClientError> {
    sizes(session, signer, acl, acl.logs().keys()).await
}

async fn sizes(
    session: &Session,
    signer: Signer<'_>,
    acl: &Acl,
    logs: impl Iterator<Item = &LogId>,
) -> Result<Vec<(LogId, u64)>, ClientError> {
    let mut cuts = Vec::new();
    for log in logs {
        // The head is remembered, and counts where nothing is anchored yet. No entry is asked for: they may be dropped.
        Follower::from(*log, 0).with_any_parts().read(session, signer, 0, 0).await?;
        cuts.push((*log, anchored::verify(session, signer, log, acl.salt()).await?.head));
    }
    Ok(cuts)
}

/// Draws the next key of a group, and seals it to the user key of each member as it is proved now, and the key before, if there is one, under it.
async fn turn(session: &Session, db: &OpenDb, gid: u32, members: &BTreeSet<Did>) -> Result<Control, ClientError> {
    let is_new = db.acl().groups().get(&gid).is_none_or(|group| group.epochs.is_empty());
    let before = if is_new { None } else { Some(db.newest_key(gid)?) };
    let (epoch, rng) = (before.map_or(1, |(before, _)| before + 1), &mut rng::system());
    let mut key: GroupKey = Zeroizing::new([0; 32]);
    rng.fill_bytes(key.as_mut());
    let info = KeyBox::info(db.acl().did(), gid, epoch);
    let mut boxes = Vec::new();
    for did in members {
        let resolved = session.resolve_did(did).await?;
        let none = || ClientError::Unable(format!("{did} has no user key that something could be sealed to"));
        let user_key = resolved.did().and_then(|state| state.user_key.as_ref()).ok_or_else(none)?;
        let sealed = sealed::seal(&user_key.key, &info, &[], key.as_ref(), rng);
        let sealed = sealed.map_err(|error| ClientError::Unable(error.to_string()))?;
        boxes.push(KeyBox { did: *did, generation: user_key.generation, sealed });
    }
    let previous = before.map(|(_, key_before)| {
        let sealed = sealed::seal(&secret_of(&key).public(), &info, b"previous", key_before.as_ref(), rng);
        sealed.map_err(|error| ClientError::Unable(error.to_string()))
    });
    Ok(Control::KeyEpoch { gid, epoch, boxes, previous: previous.transpose()? })
}

/// What the server would answer as well.
pub(super) fn refused(refusal: AclRefusal) -> ClientError {
    ClientError::Refused(Box::new(Problem::new(422, refusal.code(), refusal.to_string())))
}

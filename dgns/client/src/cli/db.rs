//! `db`: databases that are sealed before they leave, and checked before they are shown.

mod fork;
mod get;
mod groups;
mod owners;
mod relocate;
pub(crate) mod snapshot;
mod subscriptions;
mod tail;
mod trim;

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use dgns_api::problem::Problem;
use dgns_api::store::acl::Acl;
use dgns_api::store::control::{Control, DbKind};
use dgns_api::store::entry::{Class, Entry, LogId};
use dgns_api::store::head::StoreHead;
use dgns_api::store::limits::{LARGE_RECORD_BYTES_MAX, RECORD_BYTES_MAX, RECORDS_MAX};
use dgns_api::store::record::Record;
use dgns_client::attach::Who;
use dgns_client::connect::AtHost;
use dgns_client::error::ClientError;
use dgns_client::home::Home;
use dgns_client::prover::Prover;
use dgns_client::session::Signer;
use dgns_client::store::anchored::{self, Anchored};
use dgns_client::store::append::{Acknowledged, Appender, MOVING};
use dgns_client::store::away::{AWAY_MAX, past_absence};
use dgns_client::store::database::{self, MAIN, OpenDb};
use dgns_client::store::follow::{self, Follower};
use dgns_client::store::large;
use dgns_client::store::members;
use dgns_client::store::owners as deletions;
use dgns_client::store::snapshot::records_of;
use identity::did::Did;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::actor::{Actor, known_device};
use super::host::is_local;
use super::output::time;
use super::progress::Progress;
use super::{Context, Done, Ended, up};

/// The bytes of the records of one entry: what seals and frames them leaves a body below 1 MiB.
const RECORDS_BYTES_MAX: usize = 768 << 10;

/// `db`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Db {
    /// Make a database under a name: `photos`, or `photos.alice` below a name of yours
    Create {
        /// The name
        name: String,
        /// What it is, for ever
        #[arg(long, value_enum, default_value = "general")]
        kind: Kind,
        /// Do not show the words of the database: power over it then ends at its keys on this device
        #[arg(long)]
        no_words: bool,
    },
    /// Append records, a line each, exactly once: returns when they are on the server's disk, and that is proved
    Append {
        /// The database
        name: String,
        /// Where the records are; standard input if left out
        file: Option<PathBuf>,
        /// All of it is one record, whatever is in it: up to 48 MiB, in chunks that the entry names
        #[arg(long)]
        whole: bool,
        #[command(flatten)]
        log: Log,
        /// Append only if the log has exactly so many entries; one entry is appended then
        #[arg(long, value_name = "SIZE")]
        expect: Option<u64>,
    },
    /// Print records in order, checked
    Read {
        /// The database
        name: String,
        #[command(flatten)]
        log: Log,
        /// The place of the first entry; the first that was not trimmed if left out
        #[arg(long, value_name = "N")]
        from: Option<u64>,
    },
    /// Write the records of one entry to a file as they are, checked
    Get(get::Get),
    /// Print records as they come, checked; of several databases each with its name before it
    Tail {
        /// The databases
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        log: Log,
        /// The place of the first entry, of one database; the end of the log if left out
        #[arg(long, value_name = "N")]
        from: Option<u64>,
    },
    /// Check every log of the database: each entry, and that all are what the server's log of names says it has
    Verify {
        /// The database
        name: String,
        #[command(flatten)]
        at: At,
    },
    /// Let somebody read the database, or write to it too; said again, with other rights
    Grant(groups::Grant),
    /// Take somebody out of the database: what is written from now on they cannot read, and what they write does not count
    Revoke {
        /// The database
        name: String,
        /// Who: a name or a DID
        who: String,
        #[command(flatten)]
        of: groups::Of,
    },
    /// List who may read and write the database
    Members {
        /// The database
        name: String,
        #[command(flatten)]
        of: groups::Of,
    },
    /// Begin a further log of the database: for the same people, or for others
    Log(groups::Begin),
    /// List the logs of the database, and how many have each
    Logs {
        /// The database
        name: String,
    },
    /// Turn the key of the database, so that it is sealed to the keys that its members have by now
    Rekey {
        /// The database
        name: String,
        #[command(flatten)]
        of: groups::Of,
    },
    /// List whose the database is, take somebody in, or leave: owners are equals
    Owners(owners::Owners),
    /// Delete the database, for everybody: it ends once half of its owners say so
    Delete(owners::Delete),
    /// Let the first entries of a log go, for ever: a snapshot, which is compared with them before, has their records
    Trim(trim::Trim),
    /// Make a database that goes on from this one, under a name and owners of its own: nothing is copied
    Fork(fork::Fork),
    /// Move the database to another server: its name, members, keys and entries stay as they are
    Move(relocate::Move),
    /// Begin a partition of your own in a subscription database, and prove there that you are a member of a database
    Subscribe {
        /// The subscription database
        name: String,
        /// The database that you are a member of
        database: Option<String>,
    },
    /// Say in a subscription database that you want no more of a database
    Unsubscribe {
        /// The subscription database
        name: String,
        /// The database: a name or a DID
        database: String,
    },
    /// List the databases that you proved to be a member of, whichever of your devices did, and whether you are one still
    Subscriptions {
        /// The subscription database
        name: String,
    },
    /// Send an invitation to somebody who has a partition in a subscription database: nobody else reads it, nor that there is one
    Invite(subscriptions::Invite),
    /// List what others sent you in a subscription database
    Invitations {
        /// The subscription database
        name: String,
        /// The place of the first one; if left out the newest 1,000 are shown
        #[arg(long, value_name = "POS")]
        from: Option<u64>,
    },
    /// List what was said about the database: who made it, who may do what in it, its keys and logs
    History {
        /// The database
        name: String,
        #[command(flatten)]
        at: At,
    },
}

/// What a database is.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Anything: whoever is let in to write writes
    General,
    /// What you say: your devices alone write it, whom you let in reads
    Profile,
    /// A place for the people of this server: each proves there what they are a member of, and is sent invitations, which nobody else sees
    Subscription,
}

impl Kind {
    const fn of(self) -> DbKind {
        match self {
            Self::General => DbKind::General,
            Self::Profile => DbKind::Profile,
            Self::Subscription => DbKind::Subscription,
        }
    }
}

/// Which log.
#[derive(Debug, clap::Args)]
pub(crate) struct Log {
    /// The log of the database
    #[arg(long = "log", default_value = MAIN, value_name = "LABEL")]
    label: String,
    #[command(flatten)]
    at: At,
}

/// Where databases are read and appended to.
#[derive(Debug, clap::Args)]
pub(crate) struct At {
    /// Through the private server of this name (dgns host --db), which is believed nothing
    #[arg(long, value_name = "NAME")]
    at: Option<String>,
}

impl At {
    /// Returns this person at work, with databases asked for there.
    pub(crate) async fn actor(&self, context: &Context) -> Result<Actor, ClientError> {
        let actor = Actor::new(context).await?;
        let Some(name) = &self.at else { return Ok(actor) };
        let name = actor.session.name(name)?.as_str().to_owned();
        let Actor { session, device, did } = Actor::new(context).await?;
        let loopback = is_local(session.server());
        let who = Who { key: device.sign, did };
        let host = AtHost::new(Prover::new(session), who, name, loopback);
        Ok(Actor { session: actor.session.at_host(host), ..actor })
    }
}

/// Runs `db`.
pub(crate) async fn db(context: &Context, command: Db) -> Done {
    match command {
        Db::Create { name, kind, no_words } => create(context, &name, kind.of(), no_words).await,
        Db::Append { name, file, whole, log, expect } => {
            append(context, &name, (file.as_deref(), whole), &log, expect).await
        }
        Db::Get(command) => get::get(context, &command).await,
        Db::Read { name, log, from } => tail::read(context, &name, &log, from).await,
        Db::Tail { names, log, from } => tail::tail(context, &names, &log, from).await,
        Db::Verify { name, at } => verify(context, &name, &at).await,
        Db::Grant(command) => groups::grant(context, &command).await,
        Db::Revoke { name, who, of } => groups::revoke(context, &name, &who, &of).await,
        Db::Members { name, of } => groups::members(context, &name, &of).await,
        Db::Log(command) => groups::begin(context, &command).await,
        Db::Logs { name } => groups::logs(context, &name).await,
        Db::Rekey { name, of } => groups::rekey(context, &name, &of).await,
        Db::Trim(command) => trim::trim(context, &command).await,
        Db::Fork(command) => fork::fork(context, &command).await,
        Db::Move(command) => relocate::relocate(context, &command).await,
        Db::Owners(command) => owners::owners(context, &command).await,
        Db::Delete(command) => owners::delete(context, &command).await,
        Db::Subscribe { name, database } => subscriptions::subscribe(context, &name, database.as_deref()).await,
        Db::Unsubscribe { name, database } => subscriptions::unsubscribe(context, &name, &database).await,
        Db::Subscriptions { name } => subscriptions::list(context, &name).await,
        Db::Invite(command) => subscriptions::invite(context, &command).await,
        Db::Invitations { name, from } => subscriptions::invitations(context, &name, from).await,
        Db::History { name, at } => history(context, &name, &at).await,
    }
}

async fn create(context: &Context, name: &str, kind: DbKind, no_words: bool) -> Done {
    let actor = Actor::new(context).await?;
    up::claim_database(context, name, no_words).await?;
    let name = actor.session.name(name)?;
    let directory = context.held(&name);
    let held_session = context.session_in(&Home::open(&directory)?, actor.session.server()).await?;
    let (keys, did) = known_device(&held_session)?;
    let held = Signer { did, keys: &keys };
    database::create(&actor.session, held, actor.signer(), kind).await?;
    let relative = name.relative(actor.session.zone());
    let what = match kind {
        DbKind::General => "a database of yours",
        DbKind::Profile => "a profile of yours, which your devices alone write",
        DbKind::Subscription => "a subscription database of yours",
    };
    let next = match kind {
        DbKind::Subscription => {
            format!("dgns db subscribe {relative}, which everybody else with a name here may say, too")
        }
        DbKind::General | DbKind::Profile => {
            format!("dgns db append {relative}, and in another shell dgns db tail {relative}")
        }
    };
    let text =
        format!("{} is {what}: {did}\nIts own keys are in {}.\n\nNext: {next}", name.as_str(), directory.display());
    let value = json!({
        "ok": true, "name": name.as_str(), "did": did.to_string(), "kind": kind.name(), "home": directory,
    });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

async fn append(
    context: &Context,
    name: &str,
    (file, whole): (Option<&Path>, bool),
    log: &Log,
    expect: Option<u64>,
) -> Done {
    let actor = log.at.actor(context).await?;
    let mut db = OpenDb::open(&actor.session, actor.signer(), name).await?;
    let mut sent = Sent::default();
    match append_to(context, &actor, &mut db, (name, file, whole), (log, expect), &mut sent).await {
        Err(error) => {
            let error = deletions::proved(&actor.session, actor.signer(), &mut db, error).await;
            let Sent { records, waiting } = sent;
            let is_partly = records + waiting > 0;
            Err(if is_partly { ClientError::Partly { records, waiting, error: error.into() } } else { error })
        }
        done => done,
    }
}

/// What became of the records of a command.
#[derive(Debug, Default)]
struct Sent {
    /// How many are in the log.
    records: u64,
    /// How many are on their way.
    waiting: u64,
}

/// Returns what is said of a server that does not answer, and is asked again.
pub(super) fn away(why: &str) -> String {
    format!("{why}; trying for {} s", AWAY_MAX.as_secs())
}

async fn append_to(
    context: &Context,
    actor: &Actor,
    db: &mut OpenDb,
    (name, file, whole): (&str, Option<&Path>, bool),
    (log, expect): (&Log, Option<u64>),
    sent: &mut Sent,
) -> Done {
    let place = db.log(&log.label)?;
    let _turn = actor.session.log().turn("append.lock")?;
    turn_if_due(context, actor, db, (name, &log.label)).await?;
    let (mut appender, resent) = Appender::open(&actor.session, actor.signer(), place).await?;
    if resent.is_some() {
        context.out.note("an entry of the last command was still on its way; it is in the log now");
    }
    let expect = match expect {
        None => None,
        Some(size) => Some((size, root_at(actor, db.acl(), place.0, size).await?)),
    };
    let mut source = match whole {
        true => Source::Whole(Some(one_record(actor, db, place, (file, expect.map(|(size, _)| size), log)).await?)),
        false => Source::Lines(lines(file)?),
    };
    // The receipt has no word on chunks.
    let in_chunks = matches!(&source, Source::Whole(Some(Record::Pieces(_))));
    let (mut progress, mut last) = (Progress::new("append"), resent);
    let mut checked = Instant::now();
    while let Some(records) = source.next().await? {
        if expect.is_some() && last.is_some() {
            return Err(ClientError::Unable("with --expect there is one entry: at most 1,024 lines".into()));
        }
        if checked.elapsed() >= tail::ANCHORED_EVERY {
            // Who reads what is sealed now is known as of now.
            db.refresh(&actor.session, actor.signer()).await?;
            turn_if_due(context, actor, db, (name, &log.label)).await?;
            checked = Instant::now();
        }
        let appended = append_one(context, actor, (&mut *db, name), (&mut appender, log), (&records, expect)).await;
        if appended.is_err() && appender.is_waiting(&actor.session) {
            sent.waiting = records.len() as u64;
        }
        last = Some(appended?);
        sent.records += records.len() as u64;
        progress.count(sent.records);
    }
    drop(progress);
    let Some(Acknowledged { pos, lsn, size, root }) = last else {
        context.out.result("nothing to append", &json!({ "ok": true, "records": 0 }));
        return Ok(Ended::Ok);
    };
    let root = HEXLOWER.encode(&root);
    let kept = if in_chunks { "; that its chunks are kept the server says, and does not prove" } else { "" };
    let text = format!(
        "{} records appended; the newest entry is {pos} of {size}, on disk and proved ({root}){kept}",
        sent.records
    );
    let value = json!({ "ok": true, "records": sent.records, "pos": pos, "lsn": lsn, "size": size, "root": root });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Appends the records of one entry, past what may come in between: a server that is away, a move, a turned key.
async fn append_one(
    context: &Context,
    actor: &Actor,
    (db, name): (&mut OpenDb, &str),
    (appender, log): (&mut Appender, &Log),
    (records, expect): (&[Record], Option<(u64, identity::hash::Hash)>),
) -> Result<Acknowledged, ClientError> {
    let (session, signer) = (&actor.session, actor.signer());
    let mut done = appender.append(session, signer, db, records, expect).await;
    if let Err(ClientError::Network(why)) = &done {
        context.out.warn(&away(why));
        done = past_absence(&mut |_: &str| {}, async || appender.resend(session, signer).await).await;
    }
    if log.at.at.is_some() {
        return done;
    }
    if let Some(problem) = refused_for(&done, &MOVING) {
        // What was signed is sent as it is, to where its owners say that the database is.
        context.out.note(&format!("{name}: {}", problem.detail));
        db.refresh(session, signer).await?;
        done = appender.resend(session, signer).await;
    }
    if refused_for(&done, &["epoch_conflict"]).is_some() {
        // The key was turned since the command began.
        db.refresh(session, signer).await?;
        done = appender.append(session, signer, db, records, expect).await;
    }
    done
}

/// Returns what a store answered to an entry, if that is one of these codes.
fn refused_for<'s>(sent: &'s Result<Acknowledged, ClientError>, codes: &[&str]) -> Option<&'s Problem> {
    match sent {
        Err(ClientError::Refused(problem)) if codes.contains(&problem.code.as_str()) => Some(problem),
        _ => None,
    }
}

/// Where records come from.
enum Source {
    /// A line each.
    Lines(Lines),
    /// One, once.
    Whole(Option<Record>),
}

impl Source {
    /// Returns the records of the next entry; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<Record>>, ClientError> {
        match self {
            Self::Lines(lines) => {
                let records = next_batch(lines).await?;
                Ok(records.map(|records| records.into_iter().map(Record::Bytes).collect()))
            }
            Self::Whole(record) => Ok(record.take().map(|record| vec![record])),
        }
    }
}

/// Reads all of a file or of standard input as one record: into chunks, if an entry has no room for it.
async fn one_record(
    actor: &Actor,
    db: &OpenDb,
    (id, gid): (LogId, u32),
    (file, expect, log): (Option<&Path>, Option<u64>, &Log),
) -> Result<Record, ClientError> {
    let unreadable = |error: std::io::Error| ClientError::Unable(format!("the record: {error}"));
    let (mut source, mut bytes) = (open_source(file)?, Zeroizing::new(Vec::new()));
    source.by_ref().take(LARGE_RECORD_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() <= RECORD_BYTES_MAX {
        return Ok(Record::Bytes(bytes.to_vec()));
    }
    if log.at.at.is_some() {
        let what = format!("a host hands on no record above {RECORD_BYTES_MAX} bytes; append it without --at");
        return Err(ClientError::Unable(what));
    }
    // Nothing is stored for an entry that would not be taken.
    if let Some(expect) = expect {
        let size = end_of(actor, db.acl(), id).await?;
        if size != expect {
            return Err(ClientError::Unable(format!("the log has {size} entries, not {expect}")));
        }
    }
    let (_, key) = db.newest_key(gid)?;
    let mut progress = Progress::new("store");
    let mut show = |done: u64| progress.count(done);
    Ok(Record::Pieces(large::put(&actor.session, actor.signer(), &id, key, &bytes, &mut show).await?))
}

/// Turns the key of a group if somebody left since it was turned, before anything is sealed under it; says so if this person may not.
async fn turn_if_due(
    context: &Context,
    actor: &Actor,
    db: &mut OpenDb,
    place: (&str, &str),
) -> Result<(), ClientError> {
    let (_, gid) = db.log(place.1)?;
    if !db.acl().groups().get(&gid).is_some_and(|group| group.rekey_due) {
        return Ok(());
    }
    if members::rekey(&actor.session, actor.signer(), place, true).await?.statements == 0 {
        context.out.note(
            "somebody left and has the key still: what is appended they could read until whoever may grant turns it",
        );
        return Ok(());
    }
    context.out.note("somebody left since the key of the group was turned: it is turned now");
    db.refresh(&actor.session, actor.signer()).await
}

/// Returns the root of a log of `size` entries, which it must have.
async fn root_at(actor: &Actor, acl: &Acl, log: LogId, size: u64) -> Result<identity::hash::Hash, ClientError> {
    match end_of(actor, acl, log).await? {
        end if end < size => Err(ClientError::Unable(format!("the log has {end} entries, not {size}"))),
        _ => follow::root_at(&actor.session, actor.signer(), acl, (log, size)).await,
    }
}

/// Reads and checks every log.
async fn verify(context: &Context, name: &str, at: &At) -> Done {
    let actor = at.actor(context).await?;
    let mut db = OpenDb::open(&actor.session, actor.signer(), name).await?;
    let (mut lines, mut values) = (Vec::new(), Vec::new());
    let control = ("control".to_owned(), LogId::control(db.acl().did()));
    let logs: Vec<_> = db.acl().logs().iter().map(|(log, (_, _, label))| (label.clone(), *log)).collect();
    for (label, log) in std::iter::once(control).chain(logs) {
        let parts = db.acl().parts(&log);
        let first = db.acl().first(&log);
        let follower = Follower::from(log, first);
        // The parts of the control log were judged when the database was opened.
        let is_control = log == LogId::control(db.acl().did());
        let mut follower = if is_control { follower.with_any_parts() } else { follower.with_parts(parts) };
        let found = match verify_log(context, &actor, &mut db, &mut follower, &log).await {
            Err(ClientError::Refused(problem)) if problem.code == "not_reader" => {
                lines.push(match &at.at {
                    Some(host) => format!("{label}: NOT CHECKED, {host} does not let you read it"),
                    None => format!("{label}: not yours to read"),
                });
                values.push(json!({ "log": label, "code": problem.code }));
                continue;
            }
            Err(error) => return Err(deletions::proved(&actor.session, actor.signer(), &mut db, error).await),
            Ok(found) => found,
        };
        if let Some(void) = follow::left(&actor.session, &log)? {
            let StoreHead { size, store, .. } = void.head();
            context.out.warn(&format!(
                "{label}: {store}, which it left, signed {size} entries of it, more than its owners took along: what stands beyond their word counts nowhere"
            ));
        }
        let (Anchored { k, size, time_ms, .. }, checked) = (found, follower.next());
        let trimmed = if first > 0 { format!(" but for the first {first}, which were trimmed") } else { String::new() };
        lines.push(format!(
            "{label}: {checked} entries, each checked{trimmed}; {size} of them in anchor {k}, proved as of {}",
            time(time_ms)
        ));
        values.push(json!({ "log": label, "entries": checked, "size": checked, "anchored": size, "anchor": k, "time_ms": time_ms, "trimmed": first }));
    }
    // That it is not this person's to read the store may say; a host may have left it out.
    let is_whole = at.at.is_none() || values.iter().all(|value| value["code"].is_null());
    let did = db.acl().did().to_string();
    lines.extend(db.url().map(|url| format!("at {url}")));
    context.out.result(
        &lines.join("\n"),
        &json!({ "ok": is_whole, "did": did, "kind": db.acl().kind().name(), "url": db.url(), "logs": values }),
    );
    Ok(if is_whole { Ended::Ok } else { Ended::Unproved })
}

/// Checks that a log is the anchored one, then reads and checks it to its end; the control log was judged when the database was opened.
async fn verify_log(
    context: &Context,
    actor: &Actor,
    db: &mut OpenDb,
    follower: &mut Follower,
    log: &LogId,
) -> Result<Anchored, ClientError> {
    let found = anchored::verify(&actor.session, actor.signer(), log, db.acl().salt()).await?;
    loop {
        // From here on the log has at least the entries that were proved.
        let (entries, size) = follower.read(&actor.session, actor.signer(), 1_024, 0).await?;
        let first = follower.next() - entries.len() as u64;
        for (pos, entry) in (first..).zip(&entries).filter(|(_, entry)| entry.header().class != Class::Control) {
            if !db.counts(&actor.session, actor.signer(), pos, entry.header()).await? {
                context.out.warn(&void(pos, &entry.header().author));
            }
        }
        if follower.next() >= size {
            return Ok(found);
        }
    }
}

fn void(pos: u64, author: &Did) -> String {
    format!("entry {pos} of {author} came when they had been revoked; it is left out")
}

/// Returns how many entries a log has.
async fn end_of(actor: &Actor, acl: &Acl, log: LogId) -> Result<u64, ClientError> {
    let mut follower = Follower::from(log, 0).with_parts(acl.parts(&log));
    let (_, size) = follower.read(&actor.session, actor.signer(), 0, 0).await?;
    Ok(size)
}

/// Returns the records of an entry, those in chunks fetched and checked; `None` if they do not open.
async fn opened(
    actor: &Actor,
    db: &OpenDb,
    (gid, log, pos): (u32, LogId, u64),
    entry: &Entry,
) -> Result<Option<Vec<Zeroizing<Vec<u8>>>>, ClientError> {
    let Some(records) = records_of(db, gid, pos, entry)? else { return Ok(None) };
    let mut opened = Vec::with_capacity(records.len());
    for record in records {
        opened.push(match record {
            Record::Bytes(bytes) => Zeroizing::new(bytes),
            Record::Pieces(pieces) => match large::get(&actor.session, actor.signer(), (&log, pos), &pieces).await? {
                Some(bytes) => bytes,
                None => return Ok(None),
            },
        });
    }
    Ok(Some(opened))
}

async fn history(context: &Context, name: &str, at: &At) -> Done {
    let actor = at.actor(context).await?;
    let db = OpenDb::open_even_deleted(&actor.session, actor.signer(), name).await?;
    let rows: Vec<(String, Value)> =
        db.said().iter().enumerate().map(|(pos, (header, control))| row(&db, pos, header.unix_ms, control)).collect();
    let text: Vec<&str> = rows.iter().map(|(text, _)| text.as_str()).collect();
    let values: Vec<&Value> = rows.iter().map(|(_, value)| value).collect();
    context.out.result(&text.join("\n"), &json!({ "ok": true, "did": db.acl().did().to_string(), "history": values }));
    Ok(Ended::Ok)
}

fn row(db: &OpenDb, pos: usize, unix_ms: u64, control: &Control) -> (String, Value) {
    let (what, more) = match control {
        Control::Genesis { did, kind, home, .. } => {
            ("genesis", json!({ "did": did.to_string(), "kind": kind.name(), "home": home.as_str() }))
        }
        Control::Grant { gid, did, rights, until_s } => {
            let rights = rights.to_string();
            ("grant", json!({ "group": gid, "did": did.to_string(), "rights": rights, "until_s": until_s }))
        }
        Control::Revoke { gid, did, .. } => ("revoke", json!({ "group": gid, "did": did.to_string() })),
        Control::KeyEpoch { gid, epoch, boxes, .. } => {
            ("key", json!({ "group": gid, "epoch": epoch, "members": boxes.len() }))
        }
        Control::Trim { log, to, snapshot } => {
            ("trim", json!({ "log": log.to_string(), "to": to, "snapshot": snapshot }))
        }
        Control::Log { gid, label, .. } => ("log", json!({ "group": gid, "label": label })),
        Control::Owner { did, yes } => ("owner", json!({ "did": did.to_string(), "yes": yes })),
        Control::Leave => ("leave", json!({})),
        Control::Delete { yes: true } => ("delete", json!({})),
        Control::Delete { yes: false } => ("keep", json!({})),
        Control::Tombstone { ends } => ("deleted", json!({ "logs": ends.len() })),
        Control::Moved { to, .. } => {
            let what = if db.moved_at(pos as u64) { "moved" } else { "move" };
            let (server, key) = (to.server.to_string(), HEXLOWER.encode(&to.key));
            (what, json!({ "server": server, "url": to.url, "origin": to.origin.as_str(), "key": key }))
        }
        Control::Fork { source, did, .. } => ("fork", json!({ "did": did.to_string(), "source": source.to_string() })),
    };
    let fields = more.as_object().into_iter().flatten();
    let text: Vec<String> = fields
        .map(|(name, value)| format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    let mut value = json!({ "pos": pos, "time_ms": unix_ms, "what": what });
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    (format!("{pos:4}  {}  {what:8} {}", time(unix_ms), text.join(", ")), value)
}

/// The lines of a file or of standard input, read on a thread of its own.
type Lines = mpsc::Receiver<Result<Line, String>>;

/// A line, and whether another one was read with it.
struct Line {
    bytes: Vec<u8>,
    more: bool,
}

/// Opens a file, or standard input.
fn open_source(file: Option<&Path>) -> Result<Box<dyn Read + Send>, ClientError> {
    let unreadable = |error: std::io::Error| ClientError::Unable(format!("the records: {error}"));
    match file {
        Some(path) => Ok(Box::new(std::fs::File::open(path).map_err(unreadable)?)),
        None => Ok(Box::new(std::io::stdin())),
    }
}

fn lines(file: Option<&Path>) -> Result<Lines, ClientError> {
    let source = open_source(file)?;
    let (send, receive) = mpsc::channel(RECORDS_MAX);
    std::thread::spawn(move || {
        let mut source = BufReader::new(source);
        loop {
            let mut line = Vec::new();
            let limit = RECORD_BYTES_MAX as u64 + 2;
            let read = source.by_ref().take(limit).read_until(b'\n', &mut line).map_err(|error| error.to_string());
            let read = read.and_then(|bytes| {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                if line.len() > RECORD_BYTES_MAX {
                    return Err(format!(
                        "a line has more than {RECORD_BYTES_MAX} bytes; append it alone, with --whole"
                    ));
                }
                Ok(bytes)
            });
            let line = match read {
                Ok(0) => return,
                Ok(_) => Ok(Line { bytes: line, more: source.buffer().contains(&b'\n') }),
                Err(why) => Err(why),
            };
            let over = line.is_err();
            if send.blocking_send(line).is_err() || over {
                return;
            }
        }
    });
    Ok(receive)
}

/// Waits for a line, and takes what is there behind it: one entry. `None` at the end.
async fn next_batch(source: &mut Lines) -> Result<Option<Vec<Vec<u8>>>, ClientError> {
    let Some(mut next) = source.recv().await else { return Ok(None) };
    let (mut records, mut bytes) = (Vec::new(), 0);
    loop {
        let Line { bytes: line, more } = next.map_err(|why| ClientError::Unable(format!("the records: {why}")))?;
        bytes += line.len();
        records.push(line);
        if records.len() == RECORDS_MAX || bytes + RECORD_BYTES_MAX > RECORDS_BYTES_MAX {
            break;
        }
        // What came in one piece goes in one entry, however the thread that reads it is scheduled.
        let following = if more { source.recv().await } else { source.try_recv().ok() };
        match following {
            Some(line) => next = line,
            None => break,
        }
    }
    Ok(Some(records))
}

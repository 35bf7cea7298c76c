//! `snapshot`: the records of a log in a few large pieces, built by a member and read by whoever comes late.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use dgns_api::store::limits::WAIT_S_MAX;
use dgns_client::error::ClientError;
use dgns_client::home::part_of;
use dgns_client::store::anchored;
use dgns_client::store::database::OpenDb;
use dgns_client::store::follow::Follower;
use dgns_client::store::owners as deletions;
use dgns_client::store::snapshot::audit::audit;
use dgns_client::store::snapshot::build::{Builder, Built};
use dgns_client::store::snapshot::restore::{self, Found, Judged};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::tail::{ANCHORED_EVERY, Tail};
use super::{At, Log, MAIN, turn_if_due};
use crate::cli::actor::Actor;
use crate::cli::progress::Progress;
use crate::cli::{Context, Done, Ended};

/// Between two looks of who follows a log: what came in between goes into one snapshot.
const BREATH: Duration = Duration::from_secs(1);

/// `snapshot`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Snapshot {
    /// Build a snapshot of all that a log has. Interrupted, it goes on where it was
    Build {
        /// The database
        name: String,
        /// The log of the database
        #[arg(long = "log", default_value = MAIN, value_name = "LABEL")]
        label: String,
        /// Go on for ever: build the next one when what came since takes more than 20 ms, and more than 8 % of the time that reading this one takes
        #[arg(long)]
        follow: bool,
    },
    /// Print all records in order, as `dgns db read` does, from the newest snapshot and the entries behind it
    Restore(Restore),
}

/// What to restore.
#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// The database
    name: String,
    /// The log of the database
    #[arg(long = "log", default_value = MAIN, value_name = "LABEL")]
    label: String,
    /// Where the records go; standard output if left out. Interrupted, what was fetched is not fetched again
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Read every entry, too, and compare: whoever built the snapshot is believed nothing
    #[arg(long)]
    audit: bool,
}

/// Runs `snapshot`.
pub(crate) async fn snapshot(context: &Context, command: Snapshot) -> Done {
    match command {
        Snapshot::Build { name, label, follow } => build(context, &name, &label, follow).await,
        Snapshot::Restore(command) => restore(context, &command).await,
    }
}

async fn build(context: &Context, name: &str, label: &str, follow: bool) -> Done {
    let actor = Actor::new(context).await?;
    let mut db = OpenDb::open(&actor.session, actor.signer(), name).await?;
    // One builder at a time.
    let (log, _) = db.log(label)?;
    let _turn = actor.session.log().turn(&format!("snapshot-{log}.lock"))?;
    loop {
        match build_on(context, &actor, &mut db, (name, label), follow).await {
            Err(ClientError::Network(why)) if follow => {
                context.out.note(&format!("{why}; trying again"));
                tokio::time::sleep(ANCHORED_EVERY).await;
            }
            Err(ClientError::Refused(problem)) if follow && problem.code == "chunk_missing" => {
                context.out.note("parts that no snapshot named went meanwhile; they are built again");
            }
            Err(error) => return Err(deletions::proved(&actor.session, actor.signer(), &mut db, error).await),
            done => return done,
        }
    }
}

/// Builds snapshots of what a log has, or of what it gets for as long as the server answers.
async fn build_on(
    context: &Context,
    actor: &Actor,
    db: &mut OpenDb,
    (name, label): (&str, &str),
    follow: bool,
) -> Done {
    let place = db.log(label)?;
    let salt = *db.acl().salt();
    anchored::verify(&actor.session, actor.signer(), &place.0, &salt).await?;
    let mut checked = Instant::now();
    let mut builder = Builder::open(&actor.session, actor.signer(), db, place).await?;
    let (mut progress, mut done, mut built) = (Progress::new("build"), 0, None);
    loop {
        loop {
            let is_all = builder.catch_up(&actor.session, actor.signer(), db, 0).await?;
            // The last page may fill it as any other.
            if builder.is_full() {
                built = Some(say(context, actor, (db, &mut builder), (name, label)).await?);
            }
            if is_all {
                break;
            }
            done += 1;
            progress.count(done);
        }
        match follow {
            false => break,
            true if builder.is_due() => {
                let built = say(context, actor, (db, &mut builder), (name, label)).await?;
                let (text, value) = told(&built);
                context.out.line(&text, &value);
            }
            true => {
                builder.catch_up(&actor.session, actor.signer(), db, WAIT_S_MAX).await?;
                if builder.is_full() {
                    built = Some(say(context, actor, (db, &mut builder), (name, label)).await?);
                }
            }
        }
        tokio::time::sleep(BREATH).await;
        if checked.elapsed() >= ANCHORED_EVERY {
            anchored::verify(&actor.session, actor.signer(), &place.0, &salt).await?;
            db.refresh(&actor.session, actor.signer()).await?;
            checked = Instant::now();
        }
    }
    if builder.has_news() {
        built = Some(say(context, actor, (db, &mut builder), (name, label)).await?);
    }
    drop(progress);
    let (text, value) = match &built {
        Some(built) => told(built),
        None => {
            ("nothing to build: the newest snapshot has all of it".to_owned(), json!({ "ok": true, "built": false }))
        }
    };
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Appends a snapshot of all that was read, under a key that nobody has who left.
async fn say(
    context: &Context,
    actor: &Actor,
    (db, builder): (&mut OpenDb, &mut Builder),
    place: (&str, &str),
) -> Result<Built, ClientError> {
    let _turn = actor.session.log().turn("append.lock")?;
    turn_if_due(context, actor, db, place).await?;
    builder.say(&actor.session, actor.signer(), db).await
}

fn told(built: &Built) -> (String, Value) {
    let Built { acknowledged, size, records, parts, bytes } = built;
    let pos = acknowledged.pos;
    let text = format!("snapshot {pos} covers {size} entries: {records} records, {bytes} bytes in {parts} parts");
    let value = json!({
        "ok": true, "built": true, "pos": pos, "size": size, "records": records, "parts": parts, "bytes": bytes,
    });
    (text, value)
}

async fn restore(context: &Context, command: &Restore) -> Done {
    let actor = Actor::new(context).await?;
    let log = Log { label: command.label.clone(), at: At { at: None } };
    let mut tail = Tail::open(&actor, &command.name, &log).await?;
    match restore_to(context, &actor, &mut tail, command).await {
        Err(error) => Err(tail.proved(&actor, error).await),
        done => done,
    }
}

async fn restore_to(context: &Context, actor: &Actor, tail: &mut Tail, command: &Restore) -> Done {
    let place = (tail.log, tail.gid);
    anchored::verify(&actor.session, actor.signer(), &place.0, tail.db.acl().salt()).await?;
    let found = restore::newest(&actor.session, actor.signer(), &mut tail.db, place, None).await?;
    let Found { snapshot, passed_over } = found;
    passed_over.iter().for_each(|why| context.out.warn(&format!("{why}; it is passed over")));
    let mut kept = command.out.as_deref().map(Kept::open).transpose()?;
    tail.out = kept.as_mut().and_then(|kept| kept.file.take());
    let (mut from, first) = (Follower::from(place.0, 0), tail.db.acl().first(&place.0));
    let mut value = json!({ "ok": true, "snapshot": null });
    match &snapshot {
        None => context.out.note("there is no snapshot: every entry is read"),
        Some(snapshot) => {
            let (pos, author, (size, _)) = (snapshot.pos(), snapshot.author(), snapshot.head());
            from = if command.audit {
                let (mut progress, all) = (Progress::new("audit"), snapshot.head().0);
                let mut show = |done: u64| progress.show(done, all);
                let audited = audit(&actor.session, actor.signer(), &mut tail.db, place, snapshot, &mut show).await?;
                let but = match first {
                    0 => String::new(),
                    _ => format!(", those before {first}, which were trimmed, with the snapshot that stands for them"),
                };
                context.out.note(&format!(
                    "snapshot {pos} of {author} has the records of the first {size} entries: each was compared{but}"
                ));
                audited.follower
            } else {
                // Also beside lines of JSON: nothing in them says whose word they are.
                context.out.warn(&format!(
                    "snapshot {pos} is of this log; that its records are those of the first {size} entries is the word of {author}: --audit compares them"
                ));
                Follower::behind(place.0, snapshot.head())
            };
            value["snapshot"] =
                json!({ "pos": pos, "author": author.to_string(), "size": size, "audited": command.audit });
        }
    }
    tail.begin_with(actor, from).await?;
    if let Some(snapshot) = &snapshot {
        print_snapshot(context, actor, tail, (snapshot, kept.as_ref().map(|kept| kept.chunks.as_path()))).await?;
    }
    while !tail.catch_up(context, actor, 0, false).await? {}
    if let (Some(kept), Some(file)) = (kept, tail.out.take()) {
        let bytes = kept.finish(file)?;
        (value["bytes"], value["out"]) = (json!(bytes), json!(kept.out));
        context.out.result(&format!("{bytes} bytes in {}", kept.out.display()), &value);
    }
    Ok(Ended::Ok)
}

/// Prints what a snapshot has.
async fn print_snapshot(
    context: &Context,
    actor: &Actor,
    tail: &mut Tail,
    (snapshot, chunks): (&restore::Snapshot, Option<&Path>),
) -> Result<(), ClientError> {
    let (mut progress, all, mut done) = (Progress::new("restore"), snapshot.manifest().records(), 0);
    let mut reader = snapshot.reader(chunks);
    while let Some(rows) = reader.next(&actor.session, actor.signer(), &mut tail.db).await? {
        for row in rows {
            match row {
                Judged::Void { pos, author } => tail.leave_out(context, pos, &author),
                Judged::Counts(row) => {
                    done += row.records.len() as u64;
                    tail.print(context, (row.pos, &row.author, row.unix_ms), row.records)?;
                }
            }
        }
        progress.show(done, all);
    }
    Ok(())
}

/// A file that is not whole yet: what was printed of it, and the chunks that it is made of.
struct Kept {
    out: PathBuf,
    part: PathBuf,
    chunks: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Kept {
    fn open(out: &Path) -> Result<Self, ClientError> {
        let part = part_of(out);
        let chunks = part_of(&part);
        let file = File::create(&part).map_err(|error| unwritable(&part, &error))?;
        std::fs::create_dir_all(&chunks).map_err(|error| unwritable(&chunks, &error))?;
        Ok(Self { out: out.to_owned(), part, chunks, file: Some(BufWriter::new(file)) })
    }

    /// Puts the file where it belongs, and removes what it was made of; returns its bytes.
    fn finish(&self, mut file: BufWriter<File>) -> Result<u64, ClientError> {
        let unwritable = |error: std::io::Error| unwritable(&self.part, &error);
        file.flush().map_err(unwritable)?;
        let bytes = file.get_ref().metadata().map_err(unwritable)?.len();
        file.get_ref().sync_all().map_err(unwritable)?;
        std::fs::rename(&self.part, &self.out).map_err(unwritable)?;
        std::fs::remove_dir_all(&self.chunks).map_err(unwritable)?;
        Ok(bytes)
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> ClientError {
    ClientError::Unable(format!("{}: {error}", path.display()))
}

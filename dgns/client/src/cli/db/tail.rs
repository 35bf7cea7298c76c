//! `db read` and `db tail`: records in order, checked, of one log or of several as they come.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write as _};

use data_encoding::BASE64;
use dgns_api::store::entry::{Class, Entry, LogId};
use dgns_api::store::limits::{ANCHOR_BY_MS, WAIT_S_MAX, WATCHED_LOGS_MAX};
use dgns_api::store::record::{Pieces, Record};
use dgns_api::store::watch::News;
use dgns_client::error::ClientError;
use dgns_client::store::anchored;
use dgns_client::store::append::MOVING;
use dgns_client::store::database::OpenDb;
use dgns_client::store::follow::Follower;
use dgns_client::store::hints::Hints;
use dgns_client::store::owners as deletions;
use identity::did::Did;
use serde_json::json;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use super::super::actor::Actor;
use super::super::{Context, Done, Ended};
use super::{Log, MAIN, end_of, records_of, void};

/// How often whoever follows a log checks that it is the anchored one, and reads it whether it is said to have grown or not.
pub(super) const ANCHORED_EVERY: Duration = Duration::from_secs(10);

/// How long whoever follows a log is shown more of it without that check, if the server does not answer it.
const UNCHECKED_AT_MOST: Duration = Duration::from_millis(ANCHOR_BY_MS);

/// Before the next attempt to reach a server that went away, or that tells of no logs; each that fails doubles it, up to
/// [`ANCHORED_EVERY`].
const BREATH: Duration = Duration::from_secs(1);

/// How long a server may take to open the stream that tells of logs.
const OPENED_WITHIN: Duration = Duration::from_secs(10);

/// Prints what a log has from a place on.
pub(super) async fn read(context: &Context, name: &str, log: &Log, from: Option<u64>) -> Done {
    let actor = log.at.actor(context).await?;
    let mut tail = Tail::open(&actor, name, log).await?;
    let from = from.unwrap_or_else(|| {
        let first = tail.db.acl().first(&tail.log);
        if first > 0 {
            context.out.warn(&format!(
                "the first {first} entries were trimmed; dgns snapshot restore {name} prints the records that they had, too"
            ));
        }
        first
    });
    let read = match tail.begin(&actor, Some(from)).await {
        Ok(()) => loop {
            match tail.catch_up(context, &actor, 0, false).await {
                Ok(true) => break Ok(()),
                Ok(false) => {}
                Err(error) => break Err(error),
            }
        },
        begun => begun,
    };
    match read {
        Ok(()) => Ok(Ended::Ok),
        Err(error) => Err(tail.proved(&actor, error).await),
    }
}

/// Prints what logs get as they get it, for ever.
pub(super) async fn tail(context: &Context, names: &[String], log: &Log, from: Option<u64>) -> Done {
    if from.is_some() && names.len() > 1 {
        return Err(ClientError::Unable("--from is a place in one log: name one database".into()));
    }
    if names.len() > WATCHED_LOGS_MAX {
        return Err(ClientError::Unable(format!("at most {WATCHED_LOGS_MAX} databases are followed at a time")));
    }
    let actor = log.at.actor(context).await?;
    let mut tails: Vec<Tail> = Vec::new();
    for name in names {
        let tail = Tail::open(&actor, name, log).await.inspect_err(|_| blame(context, name, names.len()))?;
        if !tails.iter().any(|before| before.log == tail.log) {
            tails.push(tail);
        }
    }
    let many = tails.len() > 1;
    for tail in &mut tails {
        tail.named = many;
        if let Err(error) = tail.begin(&actor, from).await {
            blame(context, &tail.name, names.len());
            return Err(tail.proved(&actor, error).await);
        }
    }
    follow(context, &actor, tails, log.at.at.is_none()).await
}

/// Says which of several names a command ends for.
fn blame(context: &Context, name: &str, names: usize) {
    if names > 1 {
        context.out.warn(&format!("{name}: this ends what is followed"));
    }
}

/// Follows logs over one stream that says which of them grow; through a host, which has none, by asking for each.
async fn follow(context: &Context, actor: &Actor, mut tails: Vec<Tail>, hinted: bool) -> Done {
    let wait_s = match (hinted, tails.len()) {
        (true, _) => 0,
        (false, 1) => WAIT_S_MAX,
        (false, _) => 1,
    };
    let (mut hints, mut pause) = (None, BREATH);
    loop {
        let mut lost = false;
        for tail in tails.iter_mut().filter(|tail| !hinted || tail.is_due()) {
            let was = tail.db.url().map(str::to_owned);
            match tail.catch_up(context, actor, wait_s, true).await {
                // A log that grows fast waits for the others behind each of its pages.
                Ok(is_all) => {
                    tail.hinted = !is_all;
                    if tail.db.url() != was.as_deref() {
                        // It is told of where it is.
                        context.out.note(&format!(
                            "{}: it is at {} from now on",
                            tail.name,
                            tail.db.url().unwrap_or_default()
                        ));
                        hints = None;
                    }
                }
                Err(ClientError::Network(why)) => {
                    context.out.note(&format!("{why}; trying again"));
                    lost = true;
                    break;
                }
                Err(ClientError::Refused(problem)) if hinted && MOVING.contains(&problem.code.as_str()) => {
                    context.out.note(&format!("{}: {}", tail.name, problem.detail));
                    lost = true;
                    // Where it is, its owners say; on its way it is read nowhere. The others go on meanwhile.
                    match deletions::proved(&actor.session, actor.signer(), &mut tail.db, ClientError::Refused(problem))
                        .await
                    {
                        ClientError::Refused(problem) if MOVING.contains(&problem.code.as_str()) => {}
                        ClientError::Network(_) => {}
                        error => {
                            blame(context, &tail.name, if tail.named { 2 } else { 1 });
                            return Err(error);
                        }
                    }
                }
                Err(error) => {
                    blame(context, &tail.name, if tail.named { 2 } else { 1 });
                    return Err(tail.proved(actor, error).await);
                }
            }
        }
        if !lost && (!hinted || listen(actor, &mut tails, &mut hints).await) {
            pause = BREATH;
        } else {
            hints = None;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(ANCHORED_EVERY);
        }
    }
}

/// Waits until a log is said to have grown, or is to be read all the same; returns whether the stream goes on.
async fn listen(actor: &Actor, tails: &mut [Tail], hints: &mut Option<Hints>) -> bool {
    if hints.is_none() {
        let known: Vec<(LogId, u64)> = tails.iter().map(|tail| (tail.log, tail.follower.next())).collect();
        let opened = timeout(OPENED_WITHIN, Hints::open(&actor.session, actor.signer(), known)).await;
        *hints = opened.ok().and_then(Result::ok);
    }
    let Some(open) = hints else {
        // What keeps the server from telling keeps it from answering: whoever reads hears why.
        tails.iter_mut().for_each(|tail| tail.hinted = true);
        return false;
    };
    let next = tails.iter().map(|tail| tail.tried).min().unwrap_or_else(Instant::now) + ANCHORED_EVERY;
    let mut until = if tails.iter().any(|tail| tail.hinted) { Instant::now() } else { next };
    // What is told at once is heard at once, but never without an end.
    for _ in 0..tails.len() {
        match timeout_at(until, open.next()).await {
            Err(_) => return true,
            // It tells anew what grew meanwhile, once it is open again.
            Ok(None) => return false,
            Ok(Some(news)) => {
                let tail = tails.iter_mut().find(|tail| tail.log == *news.log());
                tail.into_iter().for_each(|tail| tail.hinted = true);
                // Whoever reads that log hears why, or where it went.
                if matches!(news, News::Over { .. }) {
                    tails.iter_mut().for_each(|tail| tail.unsure |= tail.hinted);
                    return false;
                }
            }
        }
        until = Instant::now();
    }
    true
}

/// One log that is read, of an open database.
pub(super) struct Tail {
    name: String,
    /// The command that fetches one of its entries, but for the place.
    get: String,
    /// Whether what is printed says of which name it is.
    named: bool,
    pub(super) db: OpenDb,
    pub(super) log: LogId,
    pub(super) gid: u32,
    follower: Follower,
    /// When it was tried to check that the log is the anchored one, and when that was so.
    tried: Instant,
    checked: Instant,
    /// Whether it may have grown.
    hinted: bool,
    /// Whether it may be somewhere else.
    unsure: bool,
    /// What was read and is not printed yet, by place; what fails in between is tried again without being read again.
    unprinted: VecDeque<(u64, Entry)>,
    /// How many entries the log had when it was read last.
    size: u64,
    /// Where records are printed; standard output if nowhere else.
    pub(super) out: Option<BufWriter<File>>,
}

impl Tail {
    pub(super) async fn open(actor: &Actor, name: &str, asked: &Log) -> Result<Self, ClientError> {
        let db = OpenDb::open(&actor.session, actor.signer(), name).await?;
        let (log, gid) = db.log(&asked.label)?;
        let (follower, now) = (Follower::from(log, 0), Instant::now());
        let label = if asked.label == MAIN { String::new() } else { format!(" --log {}", asked.label) };
        let at = asked.at.at.as_ref().map(|host| format!(" --at {host}")).unwrap_or_default();
        let (name, get, named) = (name.to_owned(), format!("dgns db get{label}{at} {name}"), false);
        let (unprinted, size, out) = (VecDeque::new(), 0, None);
        let (tried, checked, hinted, unsure) = (now, now, true, false);
        Ok(Self { name, get, named, db, log, gid, follower, tried, checked, hinted, unsure, unprinted, size, out })
    }

    /// Goes to a place, or to the end of the log, which is checked to be the anchored one.
    async fn begin(&mut self, actor: &Actor, from: Option<u64>) -> Result<(), ClientError> {
        let from = match from {
            Some(from) => from,
            None => end_of(actor, self.db.acl(), self.log).await?,
        };
        self.begin_with(actor, Follower::from(self.log, from)).await
    }

    /// Begins with what a reader of the log reads next; the log is checked to be the anchored one.
    pub(super) async fn begin_with(&mut self, actor: &Actor, follower: Follower) -> Result<(), ClientError> {
        self.follower = follower.with_parts(self.db.acl().parts(&self.log));
        anchored::verify(&actor.session, actor.signer(), &self.log, self.db.acl().salt()).await?;
        (self.tried, self.checked) = (Instant::now(), Instant::now());
        Ok(())
    }

    /// Whether it is to be read now.
    fn is_due(&self) -> bool {
        self.hinted || self.tried.elapsed() >= ANCHORED_EVERY
    }

    /// Prints what the log has beyond what was printed, up to 1,024 entries, and returns whether that was all; waits for up to `wait_s`
    /// seconds if there is nothing. Who is `patient` goes on for a while without the check that it is the anchored one.
    pub(super) async fn catch_up(
        &mut self,
        context: &Context,
        actor: &Actor,
        wait_s: u64,
        patient: bool,
    ) -> Result<bool, ClientError> {
        if self.unsure || self.tried.elapsed() >= ANCHORED_EVERY {
            match self.check_now(actor).await {
                Err(ClientError::Network(_)) if patient => {}
                Err(error) => return Err(error),
                Ok(()) => self.checked = Instant::now(),
            }
            (self.tried, self.unsure) = (Instant::now(), false);
        }
        if self.unprinted.is_empty() {
            let (entries, size) = self.follower.read(&actor.session, actor.signer(), 1_024, wait_s).await?;
            let first = self.follower.next() - entries.len() as u64;
            (self.unprinted, self.size) = ((first..).zip(entries).collect(), size);
        }
        if self.checked.elapsed() >= UNCHECKED_AT_MOST {
            // It serves the log, and not the proof that this is all of it, or who may write: nothing of it is shown.
            self.check_now(actor).await?;
            self.checked = Instant::now();
        }
        while let Some((pos, entry)) = self.unprinted.front().cloned() {
            match self.db.counts(&actor.session, actor.signer(), pos, entry.header()).await? {
                true => self.print_entry(context, pos, &entry)?,
                false => self.leave_out(context, pos, &entry.header().author),
            }
            self.unprinted.pop_front();
        }
        Ok(self.follower.next() >= self.size)
    }

    /// Checks that the log is the anchored one, and reads who may write, as of now.
    async fn check_now(&mut self, actor: &Actor) -> Result<(), ClientError> {
        anchored::verify(&actor.session, actor.signer(), &self.log, self.db.acl().salt()).await?;
        self.db.refresh(&actor.session, actor.signer()).await
    }

    /// Returns what an error comes to: that a database is deleted has to be shown.
    pub(super) async fn proved(&mut self, actor: &Actor, error: ClientError) -> ClientError {
        deletions::proved(&actor.session, actor.signer(), &mut self.db, error).await
    }

    fn of_name(&self, text: &str) -> String {
        if self.named { format!("{}: {text}", self.name) } else { text.to_owned() }
    }

    /// Says that an entry does not stand.
    pub(super) fn leave_out(&self, context: &Context, pos: u64, author: &Did) {
        context.out.warn(&self.of_name(&void(pos, author)));
    }

    fn print_entry(&mut self, context: &Context, pos: u64, entry: &Entry) -> Result<(), ClientError> {
        let header = entry.header();
        if header.class == Class::Snapshot {
            return Ok(());
        }
        match records_of(&self.db, self.gid, pos, entry)? {
            Some(records) => self.print(context, (pos, &header.author, header.unix_ms), records),
            None => {
                // Its author signed it: nobody else can be blamed, and the log goes on behind it.
                let what = format!("entry {pos} of {} does not open; it is left out", header.author);
                context.out.warn(&self.of_name(&what));
                Ok(())
            }
        }
    }

    /// Prints the records of an entry, each on a line; of those in chunks, which may be any size, what they are and how to get them.
    pub(super) fn print(
        &mut self,
        context: &Context,
        (pos, author, unix_ms): (u64, &Did, u64),
        records: Vec<Record>,
    ) -> Result<(), ClientError> {
        for record in records {
            let mut value = json!({ "pos": pos, "author": author.to_string(), "time_ms": unix_ms });
            let text = match record {
                Record::Bytes(record) => {
                    let text = String::from_utf8_lossy(&record).into_owned();
                    match String::from_utf8(record) {
                        Ok(text) => value["text"] = json!(text),
                        Err(bytes) => value["base64"] = json!(BASE64.encode(bytes.as_bytes())),
                    }
                    text
                }
                Record::Pieces(Pieces { bytes, pieces }) => {
                    (value["bytes"], value["chunks"]) = (json!(bytes), json!(pieces.len()));
                    format!("{bytes} bytes in {} chunks: {} {pos} --out FILE", pieces.len(), self.get)
                }
            };
            let text = self.of_name(&text);
            if self.named {
                value["name"] = json!(self.name);
            }
            match &mut self.out {
                None => context.out.line(&text, &value),
                Some(out) => writeln!(out, "{}", context.out.spelled(&text, &value))
                    .map_err(|error| ClientError::Unable(format!("the records: {error}")))?,
            }
        }
        Ok(())
    }
}

//! `monitor`: watches names, and tells each change with who signed it.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use dgns_client::audit;
use dgns_client::error::ClientError;
use dgns_client::session::Session;
use dgns_client::watch::{Seen, SignedAct, Signer, Watch, Who};
use identity::state::Subject;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, Instant};
use translog::audit::Level;
use translog::resolve::Resolved;

use super::arguments::subject;
use super::output::time;
use super::render::{subject_text, subject_value};
use super::{Context, Done, Ended};

/// Before a stream that ended is opened again.
const RECONNECT: Duration = Duration::from_secs(5);

/// Between two looks for a head that a stream spoke of.
const PACE: Duration = Duration::from_millis(250);

/// Looks for such a head: a server that shows none in two seconds only said so.
const LOOKS: u32 = 8;

/// How long a command of `--exec` is waited for.
const EXEC_WAIT: Duration = Duration::from_secs(60);

/// Arguments of `monitor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Monitor {
    /// Names or DIDs
    #[arg(required = true)]
    names: Vec<String>,
    /// Go on until interrupted
    #[arg(long)]
    follow: bool,
    /// Seconds between two looks; with --follow the server also says when to look
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,
    /// Run this command for each event, with its JSON on standard input
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    /// Audit the log with each round too: what came and went between two looks is found
    #[arg(long)]
    audit: bool,
    /// Forget what was seen before: the keys shown now are the own ones
    #[arg(long)]
    anew: bool,
}

/// Looks once, or until interrupted or something is wrong.
pub(crate) async fn monitor(context: &Context, arguments: Monitor) -> Done {
    let follow = arguments.follow;
    let watching = watch(context, &arguments);
    if !follow {
        return watching.await;
    }
    tokio::select! {
        ended = watching => ended,
        _ = tokio::signal::ctrl_c() => Ok(Ended::Ok),
    }
}

async fn watch(context: &Context, arguments: &Monitor) -> Done {
    let session = Arc::new(context.session().await?);
    let between = Between::of(&session, arguments.audit);
    context.out.note(&between.text());
    let mut watches = Vec::with_capacity(arguments.names.len());
    for name in &arguments.names {
        watches.push(Watch::resume(&session, subject(&session, name)?, arguments.anew)?);
    }
    let mut monitor = Monitoring { context, arguments, session: &session, between, unreachable: false };
    let ended = monitor.run(&mut watches, &session).await;
    if let Err(fault @ ClientError::Proof { .. }) = &ended {
        monitor.exec(&context.out.error_value(fault)).await;
    }
    ended
}

/// A run of `monitor`.
struct Monitoring<'m> {
    context: &'m Context,
    arguments: &'m Monitor,
    session: &'m Session,
    between: Between,
    /// Whether the last look had no answer.
    unreachable: bool,
}

impl Monitoring<'_> {
    async fn run(&mut self, watches: &mut [Watch<'_>], shared: &Arc<Session>) -> Done {
        let mut sizes = vec![0; watches.len()];
        for (place, watch) in watches.iter_mut().enumerate() {
            sizes[place] = self.look(watch, true).await?;
        }
        self.audit().await?;
        if !self.arguments.follow {
            return Ok(Ended::Ok);
        }
        let mut hints = listen(shared, watches);
        let interval = Duration::from_secs(self.arguments.interval);
        let mut next = Instant::now() + interval;
        loop {
            tokio::select! {
                Some((place, size)) = hints.recv() => {
                    for _ in 0..LOOKS {
                        if sizes[place] >= size {
                            break;
                        }
                        sizes[place] = self.look(&mut watches[place], false).await?;
                        tokio::time::sleep(PACE).await;
                    }
                }
                () = tokio::time::sleep_until(next) => {
                    for (place, watch) in watches.iter_mut().enumerate() {
                        sizes[place] = self.look(watch, false).await?;
                    }
                    self.audit().await?;
                    next = Instant::now() + interval;
                }
            }
        }
    }

    /// Looks once and tells what is new; returns the size of the head. With `--follow` a server that does not answer is looked
    /// at again later.
    async fn look(&mut self, watch: &mut Watch<'_>, first: bool) -> Result<u64, ClientError> {
        let seen = match watch.look().await {
            Ok(seen) => seen,
            Err(ClientError::Network(why)) if self.arguments.follow => {
                if !self.unreachable {
                    self.tell(
                        &format!("not reached: {why}"),
                        &json!({ "ok": false, "event": "unreachable", "error": why }),
                    )
                    .await;
                }
                self.unreachable = true;
                return Ok(0);
            }
            Err(error) => return Err(error),
        };
        self.unreachable = false;
        let (resolved, acts, event) = match &seen {
            Seen::Changed(resolved, acts) => (resolved, acts.as_slice(), "changed"),
            Seen::Begun(resolved) => (resolved, &[][..], "now"),
            Seen::Same(resolved) if first => (resolved, &[][..], "now"),
            Seen::Same(resolved) => return Ok(resolved.head().size),
        };
        self.tell(&event_text(resolved, acts, event), &self.event_value(resolved, acts, event)).await;
        Ok(resolved.head().size)
    }

    async fn audit(&self) -> Result<(), ClientError> {
        if !self.arguments.audit {
            return Ok(());
        }
        let state = self.session.log().directory().join("watched").join("audit.state");
        let options = audit::Options { level: Level::Full, strict: false, state: Some(state), evidence: None };
        match audit::run(self.session, &options, |_, _| {}).await {
            Err(ClientError::Network(_)) if self.arguments.follow => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    async fn tell(&self, text: &str, value: &Value) {
        self.context.out.result(text, value);
        self.exec(value).await;
    }

    /// Runs the person's command with an event on its standard input; its output goes to standard error.
    async fn exec(&self, event: &Value) {
        let Some(command) = &self.arguments.exec else { return };
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).stdin(Stdio::piped()).stdout(Stdio::from(std::io::stderr()));
        let input = format!("{event}\n");
        let (done, ended) = oneshot::channel();
        // A thread of its own: a command that never ends must not keep this program from ending.
        std::thread::spawn(move || {
            let ran = shell.spawn().and_then(|mut child| {
                // A command that does not read its input closes it.
                let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
                child.wait()
            });
            let _ = done.send(ran);
        });
        match tokio::time::timeout(EXEC_WAIT, ended).await {
            Ok(Ok(Ok(status))) if status.success() => {}
            Ok(Ok(Ok(status))) => self.context.out.warn(&format!("--exec: {status}")),
            Ok(Ok(Err(error))) => self.context.out.warn(&format!("--exec: {error}")),
            _ => self.context.out.warn("--exec: still running, not waited for"),
        }
    }

    fn event_value(&self, resolved: &Resolved, acts: &[SignedAct], event: &str) -> Value {
        let mut value = subject_value(resolved, None);
        value["event"] = json!(event);
        value["version"] = json!(resolved.name().map(|name| name.version));
        value["owner_version"] = json!(resolved.did().map(|did| did.version));
        value["epoch_ms"] = json!(resolved.epoch().time_ms);
        value["size"] = json!(resolved.head().size);
        value["between"] = json!(self.between.word());
        if event == "changed" {
            value["by"] = json!(by(acts));
            value["acts"] = json!(acts.iter().map(act_value).collect::<Vec<_>>());
        }
        value
    }
}

/// What finds a change that came and went between two looks.
enum Between {
    /// The cosigners that the policy calls `verifiers`, by name.
    Verifiers(Vec<String>),
    Audit,
    Nothing,
}

impl Between {
    fn of(session: &Session, audit: bool) -> Self {
        let verifiers: Vec<String> =
            session.trust().policy().verifiers().into_iter().map(|witness| witness.name.clone()).collect();
        match (audit, verifiers.is_empty()) {
            (true, _) => Self::Audit,
            (false, false) => Self::Verifiers(verifiers),
            (false, true) => Self::Nothing,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Verifiers(_) => "verifiers",
            Self::Audit => "audit",
            Self::Nothing => "nothing",
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Verifiers(names) => {
                let names = names.join(", ");
                format!(
                    "between two looks: {names} sign only heads of which every entry and every state follows the rules"
                )
            }
            Self::Audit => "between two looks: every entry is audited here".to_owned(),
            Self::Nothing => {
                "between two looks nothing is covered: a look proves the present; --audit finds what came and went"
                    .to_owned()
            }
        }
    }
}

/// Opens a stream for each subject; what comes out are places and sizes of heads to look for.
fn listen(session: &Arc<Session>, watches: &[Watch<'_>]) -> mpsc::Receiver<(usize, u64)> {
    let (hints, receiver) = mpsc::channel(64);
    for (place, watch) in watches.iter().enumerate() {
        let (session, subject, hints) = (session.clone(), watch.subject().clone(), hints.clone());
        tokio::spawn(async move { hear(&session, &subject, place, &hints).await });
    }
    receiver
}

/// Passes on what a stream says, for ever: without one the looks at each interval remain.
async fn hear(session: &Session, subject: &Subject, place: usize, hints: &mpsc::Sender<(usize, u64)>) {
    loop {
        if let Ok(mut lines) = session.events(subject).await {
            while let Some(line) = lines.next().await {
                let Some(data) = line.strip_prefix("data:") else { continue };
                let size = serde_json::from_str::<Value>(data).ok().and_then(|data| data["size"].as_u64());
                if hints.send((place, size.unwrap_or(0))).await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

/// Whose hand a change was: `foreign` if any key had a part that was not the owner's when the watch began.
fn by(acts: &[SignedAct]) -> &'static str {
    let mut signers = acts.iter().flat_map(|act| &act.signers);
    match (acts.is_empty(), signers.any(|signer| signer.who == Who::Foreign)) {
        (true, _) => "others", // something fell due, or names below came and went
        (false, true) => "foreign",
        (false, false) => "own",
    }
}

fn event_text(resolved: &Resolved, acts: &[SignedAct], event: &str) -> String {
    let versions = match (resolved.name(), resolved.did()) {
        (Some(name), Some(did)) => format!("version {} of the name, {} of its owner", name.version, did.version),
        (Some(name), None) => format!("version {} of the name", name.version),
        (None, Some(did)) => format!("version {}", did.version),
        (None, None) => "no version".to_owned(),
    };
    let lines: Vec<String> = acts.iter().map(|act| format!("\n  act      {}", act_text(act))).collect();
    let at = time(resolved.epoch().time_ms);
    let hand = match (event, by(acts)) {
        ("changed", "foreign") => ", BY A FOREIGN KEY",
        ("changed", "others") => ", by no act of its owner: something fell due, or names below it came or went",
        _ => "",
    };
    format!("{event}, at {at} ({versions}){hand}{}\n{}", lines.concat(), subject_text(resolved, None))
}

fn act_text(act: &SignedAct) -> String {
    let signer = |signer: &Signer| format!("{} ({})", HEXLOWER.encode(&signer.kid.0), who_text(signer.who));
    let signers: Vec<String> = act.signers.iter().map(signer).collect();
    format!("{}, entry {}, signed by {}", act.kind, act.index, signers.join(", "))
}

fn act_value(act: &SignedAct) -> Value {
    let signer = |signer: &Signer| json!({ "kid": HEXLOWER.encode(&signer.kid.0), "who": who_text(signer.who) });
    json!({
        "type": act.kind,
        "index": act.index,
        "sid": HEXLOWER.encode(&act.sid),
        "epoch_ms": act.epoch_ms,
        "signers": act.signers.iter().map(signer).collect::<Vec<_>>(),
    })
}

fn who_text(who: Who) -> &'static str {
    match who {
        Who::ThisDevice => "this device",
        Who::Own => "own",
        Who::Foreign => "foreign",
        Who::OtherParty => "other party",
    }
}

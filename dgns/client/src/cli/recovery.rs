//! `recovery`: who brings this account back if every device is lost.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use dgns_api::problem::Problem;
use dgns_client::error::ClientError;
use dgns_client::recovery::{self, Known, Peer, Plan, Refusal};
use dgns_client::{rng, user_keys};
use identity::cert::{Body, Enrolment, RecoverySet};
use identity::evidence::Purpose;
use identity::limits::{GUESSES_MAX, RECOVERY_SERVERS_MAX};
use identity::recovery::message::Proof;
use identity::recovery::{Pin, Scope};
use identity::state::{DidState, RecoveryPhase, Subject};
use rand_core::Rng as _;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::actor::{self, Actor};
use super::output::time;
use super::unseen::Unseen;
use super::{Context, Done, Ended, WithWords, arguments, login, render};

/// Commands of `recovery`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Recovery {
    /// Choose servers and a PIN that together bring this account back
    Set(Set),
    /// Show who keeps the shares, how many guesses are spent, and whether somebody recovers now
    Status {
        /// A name or DID; your own if left out
        name: Option<String>,
    },
    /// A new PIN, at the same servers or others: replaces a dead server, and erases what the old ones keep
    Refresh(Set),
    /// Give recovery up: words and devices are all there is then
    Off {
        #[command(flatten)]
        words: WithWords,
    },
}

/// Arguments of `recovery set` and `refresh`.
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    /// The recovery servers, with commas between; behind `#` the key of one, if its operator told you
    #[arg(long, value_name = "URL,URL,...", value_delimiter = ',')]
    servers: Vec<String>,
    /// How many of them are needed: more than half
    #[arg(short, long, value_name = "T")]
    threshold: Option<u8>,
    /// An issuer to sign in at, now and when recovering, or `passkey`; again for each. The only one if left out
    #[arg(long, value_name = "ISSUER")]
    signin: Vec<String>,
    /// How many of these sign-ins a recovery needs
    #[arg(long, value_name = "N", default_value_t = 1)]
    need: u8,
    /// The PIN: 6 digits or more, or four words. Asked for if left out
    #[arg(long, value_name = "PIN", conflicts_with = "words_pin")]
    pin: Option<String>,
    /// A file with the PIN on its first line: arguments are seen by whoever lists processes. `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pin", "words_pin"])]
    pin_file: Option<PathBuf>,
    /// Have four words drawn instead of a PIN of yours, and shown once
    #[arg(long)]
    words_pin: bool,
    /// Take servers of one operator although together they could try PINs
    #[arg(long)]
    same_operator: bool,
    /// Only print where to sign in, start no browser
    #[arg(long)]
    no_browser: bool,
    #[command(flatten)]
    words: WithWords,
}

/// Runs a `recovery` command.
pub(crate) async fn recovery(context: &Context, command: Recovery) -> Done {
    match command {
        Recovery::Set(set) => enrol(context, set, false).await,
        Recovery::Refresh(set) => enrol(context, set, true).await,
        Recovery::Status { name } => status(context, name.as_deref()).await,
        Recovery::Off { words } => off(context, words).await,
    }
}

async fn enrol(context: &Context, mut set: Set, refresh: bool) -> Done {
    let actor = Actor::new(context).await?;
    let known = recovery::known(&actor.session, &actor.did).await?;
    let before = known.logged.as_ref().map(|logged| &logged.enrolment);
    match before {
        Some(before) if set.servers.is_empty() && refresh => {
            let named =
                |server: &identity::cert::RecoveryServer| format!("{}#{}", server.url, HEXLOWER.encode(&server.key));
            set.servers = before.servers.iter().map(named).collect();
            set.threshold = set.threshold.or(Some(before.threshold));
        }
        None if refresh => return Err(unable("nothing is enrolled yet; begin with: dgns recovery set --servers ...")),
        _ => {}
    }
    let origin = actor.session.trust().origin();
    let (peers, missed) = recovery::meet_all(origin, &set.servers).await;
    warn_of(context, &missed);
    let count = set.servers.len();
    if !(2..=RECOVERY_SERVERS_MAX).contains(&count) {
        return Err(unable(format!("name 2 to {RECOVERY_SERVERS_MAX} servers: --servers URL,URL,URL")));
    }
    if peers.len() < count {
        let what = "not every server answers: each has to take its share now; leave out those that are gone";
        return Err(ClientError::Network(what.into()));
    }
    let threshold = set.threshold.unwrap_or(count as u8 / 2 + 1);
    if usize::from(threshold) > count || 2 * usize::from(threshold) <= count || threshold < 2 {
        return Err(unable(format!("-t should be more than half of {count} servers, and at least 2")));
    }
    independent(context, &actor, &peers, threshold, set.same_operator)?;
    let sign_ins = sign_ins(context, &actor, &set).await?;
    takes_all(&peers, &sign_ins)?;
    if !(1..=sign_ins.len()).contains(&usize::from(set.need)) {
        return Err(unable(format!("--need should be 1 to {}, as many as there are sign-ins", sign_ins.len())));
    }
    let (pin, drawn) = chosen(context, &set).await?;
    context.out.note(&odds(&pin));
    context.out.note("hardening the PIN, dealing shares, trying them at every server ...");
    let epoch = known.did.recovery.as_ref().map_or(1, |recovery| recovery.epoch.saturating_add(1));
    let scope = Scope { did: actor.did, epoch };
    let plan = Plan { scope, peers: &peers, threshold, pin, sign_ins, needed: set.need };
    let enrolled = recovery::enrol(&actor.session, &actor.device, plan).await;
    let enrolled = enrolled.map_err(|(error, refusals)| {
        warn_of(context, &refusals);
        error
    })?;
    let ended = put(context, &actor, enrolled, (&peers, drawn), set.words).await?;
    erase(context, &actor, before, ended).await;
    Ok(ended)
}

/// Has the servers of before erase what is over now. One that is gone is no failure: its share is of no use.
async fn erase(context: &Context, actor: &Actor, before: Option<&Enrolment>, ended: Ended) {
    let Some(before) = before.filter(|_| ended == Ended::Ok) else { return };
    let left = recovery::erase_at(actor.session.trust().origin(), before, &actor.did).await;
    for Refusal { url, why, .. } in left {
        context.out.note(&format!("{url} has not erased its share yet: {why}"));
    }
}

/// Puts an enrolment into the log, and seals the user key to it.
async fn put(
    context: &Context,
    actor: &Actor,
    set: RecoverySet,
    (peers, drawn): (&[Peer], Option<Zeroizing<String>>),
    words: WithWords,
) -> Done {
    let (epoch, threshold) = (set.epoch, set.enrolment.as_ref().map_or(0, |enrolment| enrolment.threshold));
    let acted = actor.act(context, &Body::RecoverySet(set), words, &[], &actor.subject()).await?;
    let waits = acted.posted.resolved.pending().iter().any(|act| act.sid == acted.sid);
    let sealed = !waits && user_keys::turn_if_stale(&actor.session, actor.signer()).await?;
    let servers: Vec<_> = peers.iter().map(|peer| peer_value(peer, None)).collect();
    let shown = drawn.as_ref().map(|words| format!("Your four words, shown once: {}\n", words.as_str()));
    let then = match waits {
        true => "The user key is sealed to it once it is in force, by any device of yours that is on.",
        false => {
            "Any of your devices ends a recovery that is not yours: dgns veto. Who has device, words and PIN lost nothing."
        }
    };
    let behind = format!(
        "{}{threshold} of {} servers and the PIN bring this account back. {then}",
        shown.unwrap_or_default(),
        peers.len()
    );
    let more = json!({
        "epoch": epoch, "threshold": threshold, "servers": servers, "sealed": sealed,
        "pin": drawn.as_ref().map(|words| words.as_str()),
    });
    Ok(acted.report_with(context, &actor.session, &format!("recovery epoch {epoch}"), (&behind, more)))
}

async fn off(context: &Context, words: WithWords) -> Done {
    let actor = Actor::new(context).await?;
    let known = recovery::known(&actor.session, &actor.did).await?;
    let epoch = known.did.recovery.as_ref().map_or(1, |recovery| recovery.epoch.saturating_add(1));
    let body = Body::RecoverySet(RecoverySet { epoch, enrolment: None });
    let acted = actor.act(context, &body, words, &[], &actor.subject()).await?;
    if acted.posted.resolved.pending().iter().all(|act| act.sid != acted.sid) {
        user_keys::turn_if_stale(&actor.session, actor.signer()).await?;
    }
    let ended = acted.report(context, &actor.session, "recovery is given up");
    erase(context, &actor, known.logged.as_ref().map(|logged| &logged.enrolment), ended).await;
    Ok(ended)
}

async fn status(context: &Context, name: Option<&str>) -> Done {
    let session = context.session().await?;
    let did = match name {
        Some(name) => {
            let resolved = session.resolve(&arguments::subject(&session, name)?).await?;
            resolved.did().ok_or_else(|| ClientError::Absent(name.to_owned()))?.did
        }
        None => actor::known_device(&session)?.1,
    };
    let known = recovery::known(&session, &did).await?;
    let Some(logged) = &known.logged else {
        let text = format!("{did}: no recovery; dgns recovery set --servers URL,URL,URL makes one");
        context.out.result(&text, &json!({ "ok": true, "did": did.to_string(), "recovery": Value::Null }));
        return Ok(Ended::Ok);
    };
    let (peers, missed) = recovery::meet_logged(session.trust().origin(), &logged.enrolment).await;
    let mut lines = vec![standing(&known)];
    let mut servers = Vec::new();
    for (point, server) in (1_u8..).zip(&logged.enrolment.servers) {
        let peer = peers.iter().find(|peer| peer.point == point);
        let missing = missed.iter().find(|refusal| refusal.url == server.url);
        let how = match (peer, missing) {
            (Some(peer), _) if !peer.info.witnessed => "answers, and believes the log without witnesses".to_owned(),
            (Some(_), _) => "answers".to_owned(),
            (None, Some(refusal)) => format!("DOES NOT ANSWER: {}", refusal.why),
            (None, None) => "DOES NOT ANSWER".to_owned(),
        };
        lines.push(format!("  server {point}  {} ({}): {how}", server.url, server.operator));
        servers.push(json!({
            "point": point, "url": server.url, "operator": server.operator, "key": HEXLOWER.encode(&server.key),
            "domain": peer.map(|peer| peer.info.domain.clone()), "answers": peer.is_some(),
            "witnessed": peer.map(|peer| peer.info.witnessed),
            "why": missing.map(|refusal| refusal.why.clone()),
        }));
    }
    let together = recovery::groups(&peers);
    lines.extend(together.iter().map(|(whose, count)| format!("  warning   {count} servers of one {whose}")));
    let enough = peers.len() >= usize::from(logged.enrolment.threshold);
    if !enough {
        lines.push("  warning   too few servers answer: a recovery would fail now; dgns recovery refresh".to_owned());
    }
    let stale = known.did.flags & DidState::USER_KEY_STALE != 0;
    if stale {
        lines.push(
            "  warning   what is sealed to you is not sealed to this recovery yet: have a device of yours on"
                .to_owned(),
        );
    }
    let value = json!({
        "ok": true, "did": did.to_string(), "recovery": render::recovery_value(&logged.state),
        "threshold": logged.enrolment.threshold, "needed": logged.enrolment.needed,
        "sign_ins": logged.enrolment.sign_ins.len(), "servers": servers, "enough": enough, "sealed": !stale,
        "together": together.iter().map(|(whose, count)| json!({ "whose": whose, "servers": count })).collect::<Vec<_>>(),
    });
    context.out.result(&lines.join("\n"), &value);
    Ok(Ended::Ok)
}

/// Says in a line how a recovery stands.
fn standing(known: &Known) -> String {
    let Some(logged) = &known.logged else { return format!("{}: no recovery", known.did.did) };
    let (state, enrolment) = (&logged.state, &logged.enrolment);
    let of = format!("{} of {} servers, {} sign-in(s)", enrolment.threshold, enrolment.servers.len(), logged.needed());
    let how = match state.phase {
        RecoveryPhase::Proved => format!("RECOVERY PENDING until {}: dgns veto ends it", time(state.due_ms)),
        RecoveryPhase::Ready => format!("RECOVERY READY until {}: dgns veto ends it", time(state.due_ms)),
        RecoveryPhase::Burnt => "vetoed; enrol anew: dgns recovery refresh".to_owned(),
        _ => format!("{} of {GUESSES_MAX} guesses spent", state.guesses),
    };
    format!("{}: recovery epoch {}, {of}: {how}", known.did.did, state.epoch)
}

/// Warns of servers that belong together, and refuses as many of them as could try PINs.
fn independent(
    context: &Context,
    actor: &Actor,
    peers: &[Peer],
    threshold: u8,
    allowed: bool,
) -> Result<(), ClientError> {
    let mut together = recovery::groups(peers);
    let zone = actor.session.zone().as_str();
    let own = peers.iter().filter(|peer| peer.group() == zone || peer.info.domain == zone).count();
    if own > 0 {
        together.push((format!("operator of the names of {zone}"), own));
    }
    for peer in peers {
        context.out.note(&format!("  {} is run by {} ({})", peer.url, peer.info.operator, peer.info.domain));
        if !peer.info.witnessed {
            context.out.warn(&format!(
                "warning: {} believes the log without witnesses: whoever runs the log could fool it",
                peer.url
            ));
        }
    }
    for (whose, count) in &together {
        context.out.warn(&format!("warning: {count} of these servers are of one {whose}"));
    }
    let too_many = together.iter().find(|(_, count)| *count >= usize::from(threshold));
    match too_many {
        Some((whose, count)) if !allowed => {
            let what = format!(
                "{count} servers of one {whose} are as many as are needed: together they could try every PIN. Take others, or say --same-operator"
            );
            Err(ClientError::Refused(Box::new(Problem::new(422, "same_operator", what))))
        }
        _ => Ok(()),
    }
}

/// Signs in wherever a recovery is to begin.
async fn sign_ins(context: &Context, actor: &Actor, set: &Set) -> Result<Vec<(Proof, Zeroizing<String>)>, ClientError> {
    let wanted: Vec<Option<&str>> = match set.signin.as_slice() {
        [] => vec![None],
        named => named.iter().map(|issuer| Some(issuer.as_str())).collect(),
    };
    let mut proofs = Vec::with_capacity(wanted.len());
    for issuer in wanted {
        let purpose = (Purpose::Enrolment, None);
        let signed =
            login::sign_in_for(context, &actor.session, &actor.device, issuer, set.no_browser, purpose).await?;
        let shown = signed.shown.as_ref().ok_or_else(|| unable("the sign-in shows nothing"))?;
        let subject = shown.subject().ok_or_else(|| unable("the issuer does not say who signed in"))?;
        let mut salt = [0; 16];
        rng::system().fill_bytes(&mut salt);
        let (issuer, statement) = (signed.issuer.issuer.clone(), shown.enrolment());
        proofs.push((Proof { issuer, statement, random: shown.nonce, salt }, subject));
        signed.link(&actor.session, actor.signer()).await?;
    }
    Ok(proofs)
}

/// Holds that every server takes every sign-in.
fn takes_all(peers: &[Peer], sign_ins: &[(Proof, Zeroizing<String>)]) -> Result<(), ClientError> {
    for (proof, _) in sign_ins {
        if let Some(peer) = peers.iter().find(|peer| !peer.info.issuers.contains(&proof.issuer)) {
            return Err(unable(format!("{} takes no sign-ins of {}", peer.url, proof.issuer)));
        }
    }
    Ok(())
}

/// Returns the PIN to be, and the words if they were drawn.
async fn chosen(context: &Context, set: &Set) -> Result<(Pin, Option<Zeroizing<String>>), ClientError> {
    let weak = |error: identity::recovery::PinError| {
        ClientError::Refused(Box::new(Problem::new(422, error.code(), error.to_string())))
    };
    if set.words_pin {
        let words = identity::seed::draw(4, &mut rng::system());
        return Ok((Pin::choose(&words).map_err(weak)?, Some(words)));
    }
    if let Some(pin) = given(set.pin.as_deref(), set.pin_file.as_deref())? {
        return Ok((Pin::choose(&pin).map_err(weak)?, None));
    }
    let pin = asked(context, "A PIN of 6 digits or more, or four words: ").await?;
    if std::io::stdin().is_terminal() {
        let again = asked(context, "Once more: ").await?;
        if *again != *pin {
            return Err(unable("the two differ"));
        }
    }
    Ok((Pin::choose(&pin).map_err(weak)?, None))
}

/// Returns the PIN that an argument or a file says; `None`: ask for it.
pub(super) fn given(pin: Option<&str>, file: Option<&Path>) -> Result<Option<Zeroizing<String>>, ClientError> {
    let Some(file) = file else { return Ok(pin.map(|pin| Zeroizing::new(pin.to_owned()))) };
    let text = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    let text = text.map(Zeroizing::new).map_err(|error| unable(format!("{}: {error}", file.display())))?;
    let line = text.lines().next().map(str::trim).filter(|line| !line.is_empty());
    line.map(|line| Some(Zeroizing::new(line.to_owned())))
        .ok_or_else(|| unable(format!("{}: no PIN on its first line", file.display())))
}

/// Asks for a PIN, which the terminal does not show.
pub(super) async fn asked(context: &Context, prompt: &str) -> Result<Zeroizing<String>, ClientError> {
    context.out.warn(prompt);
    let unseen = Unseen::of(std::io::stdin());
    let line = arguments::typed_line().await?.map(Zeroizing::new);
    drop(unseen);
    let line = line.ok_or_else(|| unable("no PIN: give --pin or --pin-file, or type it"))?;
    Ok(Zeroizing::new(line.trim().to_owned()))
}

fn odds(pin: &Pin) -> String {
    match pin.possible() {
        Some(possible) => format!(
            "Whoever also has your sign-in has {GUESSES_MAX} guesses in {possible}, each of them public and told to your devices."
        ),
        None => format!("Whoever also has your sign-in has {GUESSES_MAX} guesses, each of them public."),
    }
}

/// Says which servers did not do what they were asked, and which of them lied.
pub(super) fn warn_of(context: &Context, refusals: &[Refusal]) {
    for Refusal { url, code, why, lied } in refusals {
        let what = if *lied { "LIES, and is skipped" } else { "is skipped" };
        context.out.warn(&format!("warning: {url} {what} ({code}): {why}"));
    }
}

fn peer_value(peer: &Peer, enrolment: Option<&Enrolment>) -> Value {
    json!({
        "point": peer.point, "url": peer.url, "operator": peer.info.operator, "domain": peer.info.domain,
        "key": HEXLOWER.encode(&peer.info.key), "witnessed": peer.info.witnessed,
        "logged": enrolment.map(|enrolment| enrolment.servers.iter().any(|server| server.key == peer.info.key)),
    })
}

fn unable(what: impl Into<String>) -> ClientError {
    ClientError::Unable(what.into())
}

/// Returns the subject of a DID.
pub(super) fn subject_of(state: &DidState) -> Subject {
    Subject::Did(state.did)
}

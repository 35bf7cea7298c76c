//! `resolve`, `prove`, `verify`, `whoami`: what the log says of a name, proved.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use dgns_client::error::ClientError;
use dgns_client::session::Session;
use dgns_client::zonetext;
use identity::cert::{DidKind, Level, Row};
use identity::did::Did;
use identity::key::kid_of;
use identity::limits::GUESSES_MAX;
use identity::state::{DeviceStatus, DidState, RecoveryPhase, RecoveryState, Subject, UserKeyState};
use serde_json::{Value, json};
use translog::fault::{self, FaultFile};
use translog::lookup_proof;
use translog::note::{Checkpoint, VerifierKey};
use translog::proof_file::ProofFile;
use translog::resolve::{Continuity, Footing, Resolved, Status};
use translog::trust::Trust;

use super::output::{span, time};
use super::{Context, Done, Ended, acts, up};

/// Arguments of `resolve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Resolve {
    /// A name or `did:dgns:...`
    name: String,
    /// Only records of this type
    #[arg(long = "type", value_name = "T")]
    rtype: Option<String>,
    /// Follow the owner's certificates from the first on, unless that was done before: no key shown can be false then
    #[arg(long)]
    genesis: bool,
}

/// Arguments of `prove`.
#[derive(Debug, clap::Args)]
pub(crate) struct Prove {
    /// A name or `did:dgns:...`
    name: String,
    /// Where the proof goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The file
    file: PathBuf,
    /// Trust this log key instead of the pinned one
    #[arg(long, value_name = "VKEY")]
    vkey: Option<String>,
}

/// Looks up, verifies, prints what was proved and by what.
pub(crate) async fn resolve(context: &Context, resolve: Resolve) -> Done {
    let session = context.session().await?;
    let subject = subject(&session, &resolve.name)?;
    let rtype = resolve.rtype.as_deref().map(zonetext::type_number).transpose()?;
    let resolved = match resolve.genesis {
        true => session.resolve_from_genesis(&subject).await?,
        false => session.resolve(&subject).await?,
    };
    let text = format!("{}\n\n{}", subject_text(&resolved, rtype), proved_text(&session, &resolved));
    let mut value = subject_value(&resolved, rtype);
    value["proof"] = proved_value(&session, &resolved);
    context.out.result(&text, &value);
    Ok(ended(&resolved))
}

/// Writes an offline proof.
pub(crate) async fn prove(context: &Context, prove: Prove) -> Done {
    let session = context.session().await?;
    let subject = subject(&session, &prove.name)?;
    let (resolved, bytes) = session.resolve_with_bytes(&subject).await?;
    let fault = |error: translog::resolve::VerifyError| ClientError::proof(error.code(), error.to_string());
    let file = lookup_proof::write(session.trust(), &resolved, &bytes).map_err(fault)?.to_string();
    std::fs::write(&prove.out, &file)
        .map_err(|error| ClientError::Unable(format!("{}: {error}", prove.out.display())))?;
    let text = format!("{}: proof of {}, {} bytes", prove.out.display(), prove.name, file.len());
    context
        .out
        .result(&text, &json!({ "ok": true, "file": prove.out, "bytes": file.len(), "size": resolved.head().size }));
    Ok(Ended::Ok)
}

/// Verifies an offline proof: no server is asked once its log was met, wherever that was.
pub(crate) async fn verify(context: &Context, verify: Verify) -> Done {
    let bytes = std::fs::read(&verify.file)
        .map_err(|error| ClientError::Unable(format!("{}: {error}", verify.file.display())))?;
    // Of any version: one that cannot be read here is no proof either.
    let (fault_file, _) = fault::HEADER.split_at(fault::HEADER.len() - 1);
    if bytes.starts_with(fault_file.as_bytes()) {
        return verify_fault(context, &verify.file, &bytes);
    }
    let trust = match &verify.vkey {
        None => match met(context, &bytes)? {
            Some(trust) => trust,
            None => context.session().await?.trust().clone(),
        },
        Some(text) => {
            let key = log_key(text)?;
            let wrong = || ClientError::Unable(format!("{text:?} is no log's key"));
            let origin = identity::name::Origin::parse(key.name()).map_err(|_| wrong())?;
            Trust::new(origin, vec![key]).map_err(|_| wrong())?
        }
    };
    let fault = |error: lookup_proof::LookupProofError| ClientError::proof(error.code(), error.to_string());
    let resolved = lookup_proof::verify(&trust, &bytes).map_err(fault)?;
    let text = format!("{}\n\n{}", subject_text(&resolved, None), how_text(&trust, &resolved));
    let mut value = subject_value(&resolved, None);
    value["proof"] = how_value(&trust, &resolved);
    context.out.result(&text, &value);
    Ok(ended(&resolved))
}

/// Returns the trust in the log that a proof file says it is of, if that was met before, under whatever URL; a policy of one's own
/// goes with the server.
fn met(context: &Context, bytes: &[u8]) -> Result<Option<Trust>, ClientError> {
    let checkpoint = ProofFile::parse(bytes).ok().and_then(|file| Checkpoint::parse(file.checkpoint.text()).ok());
    let Some(checkpoint) = checkpoint.filter(|_| context.common.policy.is_none()) else { return Ok(None) };
    let known = context.home.logs()?.into_iter().find(|(log, _)| log.origin().as_str() == checkpoint.origin);
    known.map(|(log, _)| log.trust()).transpose()
}

/// Returns the log key that text is.
pub(crate) fn log_key(text: &str) -> Result<VerifierKey, ClientError> {
    let wrong = |_| ClientError::Unable(format!("{text:?} is no log key such as dgns.test/log+6d1b0a3c+AWx..."));
    VerifierKey::parse(text).map_err(wrong)
}

/// Checks a fault file by its own keys; a file that convicts a log ends as that key's fault.
fn verify_fault(context: &Context, path: &Path, bytes: &[u8]) -> Done {
    let file = FaultFile::decode(bytes).map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))?;
    match file.check() {
        Ok(conviction) => {
            let (code, what) = (file.kind().word(), conviction.to_string());
            Err(ClientError::Proof { code, what, evidence: Some(path.to_owned()) })
        }
        Err(why) => {
            let text = format!("{}: {} convicts nobody: {why}", path.display(), file.kind().word());
            let value = json!({ "ok": true, "convicts": false, "kind": file.kind().word(), "code": why.code() });
            context.out.result(&text, &value);
            Ok(Ended::Ok)
        }
    }
}

/// Shows this device, its DID, and how the log has them.
pub(crate) async fn whoami(context: &Context) -> Done {
    let session = context.session().await?;
    let (device, did) = up::known_device(&session)?;
    let resolved = session.resolve_did(&did).await?;
    let kid = kid_of(&device.sign.public());
    let state = resolved.did();
    let status = state.and_then(|state| state.devices.iter().find(|known| known.sign == device.sign.public()));
    let status = status.map_or("not in the chain: revoked, or never added", |known| status_text(known.status));
    let names = state.map(|state| state.names.clone()).unwrap_or_default();
    let text = format!(
        "{did}\n{}  names    {}\n  device   {} ({status})\n  home     {}\n\n{}",
        state.map(|state| format!("  kind     {}\n", kind_text(state.kind))).unwrap_or_default(),
        if names.is_empty() { "none".to_owned() } else { names.join(" ") },
        HEXLOWER.encode(&kid.0),
        context.home.directory().display(),
        proved_text(&session, &resolved)
    );
    let mut value = subject_value(&resolved, None);
    value["device"] = json!({ "kid": HEXLOWER.encode(&kid.0), "status": status });
    value["proof"] = proved_value(&session, &resolved);
    context.out.result(&text, &value);
    Ok(ended(&resolved))
}

/// Returns how a lookup ended whose result was printed.
pub(crate) fn ended(resolved: &Resolved) -> Ended {
    match resolved.status() {
        Status::Absent => Ended::Absent,
        _ => Ended::Ok,
    }
}

/// Returns the subject that text names.
pub(crate) fn subject(session: &Session, text: &str) -> Result<Subject, ClientError> {
    if text.starts_with("did:") {
        let did: Did = text.parse().map_err(|error| ClientError::Unable(format!("{text:?}: {error}")))?;
        return Ok(Subject::Did(did));
    }
    Ok(Subject::Name(session.name(text)?.as_str().to_owned()))
}

/// Says what was proved of a subject.
pub(crate) fn subject_text(resolved: &Resolved, rtype: Option<u16>) -> String {
    let mut lines = Vec::new();
    match resolved.subject() {
        Subject::Name(name) => lines.push(format!("{name} {}", status_of(resolved))),
        Subject::Did(did) => lines.push(format!("{did} {}", status_of(resolved))),
        Subject::Alias(_) => lines.push(format!("the address {}", status_of(resolved))),
        Subject::LogConf => lines.push("the log's configuration".to_owned()),
    }
    if let Some(did) = resolved.did() {
        lines.push(format!("  owner    {}", did.did));
        lines.push(format!("  kind     {}", kind_text(did.kind)));
        lines.push(format!("  id       {}", did.uid));
        lines.extend(device_lines(did));
        lines.extend(user_key_line(did));
        lines.extend(did.pending.iter().map(|act| format!("  waiting  {}", acts::act_text(act))));
        if resolved.is_frozen() {
            lines.push(
                "  CONTESTED: two devices of this DID dispute each other; these are the last undisputed keys".into(),
            );
        }
        lines.extend(recovery_line(did));
        lines.push(format!("  window   {} for destructive acts", span(did.window_s)));
    }
    for row in rows(resolved, rtype) {
        let owner = if row.owner.is_empty() { String::new() } else { format!("{} ", row.owner) };
        let (name, text) = (zonetext::type_name(row.rtype), zonetext::show(row.rtype, &row.rdata));
        lines.push(format!("  record   {owner}{name} {text} (ttl {} s)", row.ttl));
    }
    lines.join("\n")
}

/// The same as JSON.
pub(crate) fn subject_value(resolved: &Resolved, rtype: Option<u16>) -> Value {
    let records: Vec<Value> = rows(resolved, rtype)
        .map(|row| {
            json!({
                "owner": row.owner,
                "type": zonetext::type_name(row.rtype),
                "ttl": row.ttl,
                "value": zonetext::show(row.rtype, &row.rdata),
                "rdata": HEXLOWER.encode(&row.rdata),
            })
        })
        .collect();
    let did = resolved.did();
    json!({
        "ok": resolved.status() != Status::Absent,
        "subject": match resolved.subject() {
            Subject::Name(name) => name.clone(),
            Subject::Did(did) => did.to_string(),
            Subject::Alias(alias) => HEXLOWER.encode(alias),
            Subject::LogConf => "logconf".to_owned(),
        },
        "status": match resolved.status() {
            Status::Present => "present",
            Status::Held { .. } => "held",
            Status::Ended => "ended",
            Status::Absent => "absent",
        },
        "did": did.map(|did| did.did.to_string()),
        "uid": did.map(|did| did.uid),
        "kind": did.map(|did| kind_text(did.kind)),
        "names": did.map(|did| did.names.clone()),
        "devices": did.map(|did| did.devices.iter().map(device_value).collect::<Vec<_>>()),
        "pending": did.map(|did| did.pending.iter().map(acts::act_value).collect::<Vec<_>>()),
        "user_key": did.and_then(|did| did.user_key.as_ref()).map(user_key_value),
        "user_key_stale": did.is_some_and(|did| did.flags & DidState::USER_KEY_STALE != 0),
        "frozen": resolved.is_frozen(),
        "recovery": did.and_then(|did| did.recovery.as_deref()).map(recovery_value),
        "window_s": did.map(|did| did.window_s),
        "records": records,
    })
}

/// Says how far a recovery is, if somebody tries one or could.
fn recovery_line(did: &DidState) -> Option<String> {
    let recovery = did.recovery.as_deref()?;
    let due = time(recovery.due_ms);
    Some(match recovery.phase {
        RecoveryPhase::None => return None,
        RecoveryPhase::Live | RecoveryPhase::Open => {
            format!("  recovery epoch {}, {} of {GUESSES_MAX} guesses spent", recovery.epoch, recovery.guesses)
        }
        RecoveryPhase::Proved => format!("  RECOVERY PENDING until {due}: somebody proved the PIN; a veto ends it"),
        RecoveryPhase::Ready => format!("  RECOVERY PENDING: a new device may take over until {due}; a veto ends it"),
        RecoveryPhase::Burnt => "  recovery vetoed: none until a device or the words enrol anew".to_owned(),
    })
}

fn recovery_value(recovery: &RecoveryState) -> Value {
    json!({
        "epoch": recovery.epoch,
        "phase": match recovery.phase {
            RecoveryPhase::None => "none",
            RecoveryPhase::Live => "live",
            RecoveryPhase::Open => "open",
            RecoveryPhase::Proved => "proved",
            RecoveryPhase::Ready => "ready",
            RecoveryPhase::Burnt => "burnt",
        },
        "guesses": recovery.guesses,
        "guesses_max": GUESSES_MAX,
        "pending": recovery.is_pending(),
        "due_ms": (recovery.due_ms != 0).then_some(recovery.due_ms),
        "attempt": recovery.attempt.map(|attempt| HEXLOWER.encode(&attempt.sid)),
    })
}

fn rows(resolved: &Resolved, rtype: Option<u16>) -> impl Iterator<Item = &Row> {
    let rows = resolved.records().map_or(&[][..], |records| &records.rows);
    rows.iter().filter(move |row| rtype.is_none_or(|rtype| row.rtype == rtype))
}

fn status_of(resolved: &Resolved) -> String {
    match resolved.status() {
        Status::Present => "is proved present".to_owned(),
        Status::Held { until_ms } => format!("is proved given up: held until {}", time(until_ms)),
        Status::Ended => "is proved ended".to_owned(),
        Status::Absent => "is proved absent: nobody has it".to_owned(),
    }
}

fn device_lines(did: &DidState) -> Vec<String> {
    let line = |device: &identity::state::DeviceState| {
        let kid = HEXLOWER.encode(&kid_of(&device.sign).0);
        let until = match device.until_ms {
            0 => String::new(),
            until_ms => format!(" until {}", time(until_ms)),
        };
        format!("  device   {kid} {} {}{until}", level_text(device.level), status_text(device.status))
    };
    did.devices.iter().map(line).collect()
}

fn user_key_line(did: &DidState) -> Option<String> {
    let user_key = did.user_key.as_ref()?;
    let stale = match did.flags & DidState::USER_KEY_STALE {
        0 => "",
        _ => ", to be turned: a device that knew it is suspended or gone, or the words changed",
    };
    Some(format!("  user key {} (generation {}{stale})", HEXLOWER.encode(&user_key.key), user_key.generation))
}

fn user_key_value(user_key: &UserKeyState) -> Value {
    json!({
        "generation": user_key.generation,
        "key": HEXLOWER.encode(&user_key.key),
        "index": user_key.index,
        "boxes": HEXLOWER.encode(&user_key.boxes),
        "passkeys": user_key.extras.len(),
    })
}

/// Returns a device as JSON.
pub(crate) fn device_value(device: &identity::state::DeviceState) -> Value {
    json!({
        "kid": HEXLOWER.encode(&kid_of(&device.sign).0),
        "sign": HEXLOWER.encode(&device.sign),
        "kex": HEXLOWER.encode(&device.kex),
        "level": level_text(device.level),
        "status": status_text(device.status),
        "index": device.index,
        "until_ms": device.until_ms,
    })
}

/// Returns what a DID stands for.
pub(crate) fn kind_text(kind: DidKind) -> &'static str {
    match kind {
        DidKind::User => "person",
        DidKind::Database => "database",
        DidKind::Server => "server",
        DidKind::Account => "account",
    }
}

fn level_text(level: Level) -> &'static str {
    match level {
        Level::Member => "member",
        Level::Admin => "admin",
        Level::Service => "service",
    }
}

fn status_text(status: DeviceStatus) -> &'static str {
    match status {
        DeviceStatus::Live => "live",
        DeviceStatus::Fresh => "fresh",
        DeviceStatus::Suspended => "suspended",
    }
}

/// Says by what an answer was proved.
pub(crate) fn proved_text(session: &Session, resolved: &Resolved) -> String {
    how_text(session.trust(), resolved)
}

/// The same as JSON.
pub(crate) fn proved_value(session: &Session, resolved: &Resolved) -> Value {
    how_value(session.trust(), resolved)
}

fn how_text(trust: &Trust, resolved: &Resolved) -> String {
    let head = resolved.head();
    let continuity = match resolved.continuity() {
        Continuity::FirstContact => "first head of this log met here".to_owned(),
        Continuity::SameHead => "the head met before".to_owned(),
        Continuity::Extends { from_size } => format!("extends the head of {from_size} entries met before"),
    };
    let witnesses = match resolved.quorum() {
        Some(at) => format!("cosigned by a quorum of witnesses at {}", time(at.as_ms())),
        None => "unwitnessed: the log's own signature is all there is".to_owned(),
    };
    let chain = footing_text(resolved).map_or(String::new(), |text| format!("\n  chain    {text}"));
    format!(
        "proved by\n  log      {}, {} entries, root {}\n  time     {} (Epoch {})\n  memory   {continuity}\n  witness  {witnesses}{chain}",
        trust.origin().as_str(),
        head.size,
        HEXLOWER.encode(&head.root[..8]),
        time(resolved.epoch().time_ms),
        resolved.epoch().k,
    )
}

fn how_value(trust: &Trust, resolved: &Resolved) -> Value {
    json!({
        "origin": trust.origin().as_str(),
        "log_keys": trust.log_keys().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "size": resolved.head().size,
        "root": HEXLOWER.encode(&resolved.head().root),
        "epoch": resolved.epoch().k,
        "epoch_ms": resolved.epoch().time_ms,
        "map_root": HEXLOWER.encode(&resolved.epoch().map_root),
        "continuity": match resolved.continuity() {
            Continuity::FirstContact => json!("first_contact"),
            Continuity::SameHead => json!("same_head"),
            Continuity::Extends { from_size } => json!({ "extends": from_size }),
        },
        "witnessed": !resolved.is_unwitnessed(),
        "chain": match resolved.footing() {
            None => Value::Null,
            Some(Footing::Map) => json!("map"),
            Some(Footing::Remembered) => json!("remembered"),
            Some(Footing::Genesis) => json!("genesis"),
            Some(Footing::Unfollowed { .. }) => json!("unfollowed"),
        },
    })
}

/// Says what the keys of the DID rest on.
fn footing_text(resolved: &Resolved) -> Option<String> {
    Some(match resolved.footing()? {
        Footing::Map => {
            "the map's word, which auditors check: first state of this DID met here (resolve --genesis follows its certificates)"
                .to_owned()
        }
        Footing::Remembered => "each certificate since the state first met here was judged by the rules".to_owned(),
        Footing::Genesis => "proved from genesis: each certificate of this DID was judged by the rules".to_owned(),
        Footing::Unfollowed { next } => format!("not followed: certificates from number {next} on are missing"),
    })
}

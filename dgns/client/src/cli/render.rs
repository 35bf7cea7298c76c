//! How what was proved looks: text for people, JSON for programs.

use data_encoding::{HEXLOWER, HEXUPPER};
use dgns_client::session::Session;
use dgns_client::zonetext;
use identity::cert::{Delegate, DidKind, Level, Row, Sid};
use identity::key::kid_of;
use identity::limits::GUESSES_MAX;
use identity::state::{DeviceStatus, DidState, Pending, Power, RecoveryPhase, RecoveryState, Subject, UserKeyState};
use serde_json::{Value, json};
use translog::resolve::{Continuity, Footing, Resolved, Status};
use translog::trust::Trust;

use super::Ended;
use super::output::{span, time};

/// The type of a suspension (PROTOCOL 4.4): it is in force at once, and what is due is its end.
pub(crate) const SUSPENSION: u8 = 4;

/// Returns how a lookup ended whose result was printed.
pub(crate) fn ended(resolved: &Resolved) -> Ended {
    match resolved.status() {
        Status::Absent => Ended::Absent,
        _ => Ended::Ok,
    }
}

/// Says what was proved of a subject.
pub(crate) fn subject_text(resolved: &Resolved, rtype: Option<u16>) -> String {
    let mut lines = Vec::new();
    match resolved.subject() {
        Subject::Name(name) => lines.push(format!("{name} {}", status_of(resolved))),
        Subject::Did(did) => lines.push(format!("{did} {}", status_of(resolved))),
        Subject::Alias(_) => lines.push(format!("the address {}", status_of(resolved))),
        Subject::LogConf => lines.push("the log's configuration".to_owned()),
        Subject::Anchors => lines.push("the anchors of the databases".to_owned()),
    }
    if let Some(did) = resolved.did() {
        lines.push(format!("  owner    {}", did.did));
        if !did.names.is_empty() {
            lines.push(format!("  names    {}", did.names.join(", ")));
        }
        lines.push(format!("  kind     {}", kind_text(did.kind)));
        lines.push(format!("  id       {}", did.uid));
        lines.extend(device_lines(did));
        lines.extend(user_key_line(did));
        lines.extend(did.pending.iter().map(|act| format!("  waiting  {}", act_text(act))));
        if resolved.is_frozen() {
            lines.push(
                "  CONTESTED: two devices of this DID dispute each other; these are the last undisputed keys".into(),
            );
        }
        lines.extend(recovery_line(did));
        lines.push(format!("  window   {} for destructive acts", span(did.window_s)));
    }
    if let Some(delegate) = resolved.delegate() {
        lines.extend(delegate_lines(delegate));
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
            Subject::Anchors => "anchors".to_owned(),
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
        "pending": did.map(|did| did.pending.iter().map(act_value).collect::<Vec<_>>()),
        "user_key": did.and_then(|did| did.user_key.as_ref()).map(user_key_value),
        "user_key_stale": did.is_some_and(|did| did.flags & DidState::USER_KEY_STALE != 0),
        "frozen": resolved.is_frozen(),
        "recovery": did.and_then(|did| did.recovery.as_deref()).map(recovery_value),
        "window_s": did.map(|did| did.window_s),
        "records": records,
        "delegate": resolved.delegate().map(delegate_value),
    })
}

/// Says who answers for a delegated name.
pub(crate) fn delegate_lines(delegate: &Delegate) -> Vec<String> {
    let mut lines: Vec<String> = delegate.servers.iter().map(|host| format!("  served by {host}")).collect();
    lines.extend(
        delegate.glue.iter().map(|glue| format!("  address  {} of {}", address_text(&glue.address), glue.host)),
    );
    lines.extend(delegate.ds.iter().map(|ds| format!("  digest   DS {}", ds_text(ds))));
    match &delegate.log {
        None => lines.push("  log      none: nothing below can be proved".to_owned()),
        Some(log) => {
            let url = log.url.as_deref().unwrap_or("no URL");
            lines.push(format!("  log      {}/log at {url}, key {}", delegate.name, HEXLOWER.encode(&log.key)));
            lines.extend(log.policy.iter().flat_map(|text| text.lines()).map(|line| format!("  policy   {line}")));
        }
    }
    lines
}

/// The same as JSON.
pub(crate) fn delegate_value(delegate: &Delegate) -> Value {
    let glue = delegate.glue.iter().map(|glue| json!({ "host": glue.host, "address": address_text(&glue.address) }));
    json!({
        "servers": delegate.servers,
        "glue": glue.collect::<Vec<_>>(),
        "ds": delegate.ds.iter().map(|ds| ds_text(ds)).collect::<Vec<_>>(),
        "log": delegate.log.as_ref().map(|log| json!({
            "origin": format!("{}/log", delegate.name),
            "url": log.url,
            "key": HEXLOWER.encode(&log.key),
            "policy": log.policy,
        })),
    })
}

fn address_text(address: &[u8]) -> String {
    match (<[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
        (Ok(v4), _) => std::net::Ipv4Addr::from(v4).to_string(),
        (_, Ok(v6)) => std::net::Ipv6Addr::from(v6).to_string(),
        _ => HEXLOWER.encode(address),
    }
}

/// Returns the data of a DS record as a zone file has it.
fn ds_text(ds: &[u8]) -> String {
    match ds {
        [high, low, algorithm, kind, digest @ ..] => {
            let tag = u16::from_be_bytes([*high, *low]);
            format!("{tag} {algorithm} {kind} {}", HEXUPPER.encode(digest))
        }
        _ => HEXUPPER.encode(ds),
    }
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

pub(crate) fn recovery_value(recovery: &RecoveryState) -> Value {
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

/// Returns a device's standing in a word.
pub(crate) fn status_text(status: DeviceStatus) -> &'static str {
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

/// Returns by what a lookup was proved.
pub(crate) fn how_text(trust: &Trust, resolved: &Resolved) -> String {
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
    let chain = footing_text(trust, resolved).map_or(String::new(), |text| format!("\n  chain    {text}"));
    format!(
        "proved by\n  log      {}, {} entries, root {}\n  time     {} (Epoch {})\n  memory   {continuity}\n  witness  {witnesses}{chain}",
        trust.origin().as_str(),
        head.size,
        HEXLOWER.encode(&head.root[..8]),
        time(resolved.epoch().time_ms),
        resolved.epoch().k,
    )
}

/// Returns by what a lookup was proved, as JSON.
pub(crate) fn how_value(trust: &Trust, resolved: &Resolved) -> Value {
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
fn footing_text(trust: &Trust, resolved: &Resolved) -> Option<String> {
    Some(match resolved.footing()? {
        Footing::Map if resolved.quorum().is_some() && !trust.policy().verifiers().is_empty() => {
            "verifying witnesses replayed each certificate before they cosigned; this DID was not met here before".to_owned()
        }
        Footing::Map => {
            "the map's word, which auditors check: first state of this DID met here (resolve --genesis follows its certificates)"
                .to_owned()
        }
        Footing::Remembered => "each certificate since the state first met here was judged by the rules".to_owned(),
        Footing::Genesis => "proved from genesis: each certificate of this DID was judged by the rules".to_owned(),
        Footing::Unfollowed { next } => format!("not followed: certificates from number {next} on are missing"),
    })
}

/// Returns a waiting act in one line.
pub(crate) fn act_text(act: &Pending) -> String {
    let opposed = if act.opponents.is_empty() { "" } else { ", CONTESTED" };
    format!(
        "{} {} due {} ({} for{opposed})",
        short(&act.sid),
        act_kind_text(act.kind),
        time(act.due_ms),
        act.supporters.len()
    )
}

/// Returns a waiting act as JSON.
pub(crate) fn act_value(act: &Pending) -> Value {
    let kids = |kids: &[identity::cert::Kid]| kids.iter().map(|kid| HEXLOWER.encode(&kid.0)).collect::<Vec<_>>();
    json!({
        "act": HEXLOWER.encode(&act.sid),
        "type": act_kind_text(act.kind),
        "due_ms": act.due_ms,
        "power": match act.power {
            Power::Voter => "voter",
            Power::Majority => "majority",
            Power::Identity => "identity",
        },
        "supporters": kids(&act.supporters),
        "opponents": kids(&act.opponents),
        "index": act.index,
    })
}

fn act_kind_text(kind: u8) -> &'static str {
    match kind {
        SUSPENSION => "device_suspend",
        5 => "device_revoke",
        6 => "id_rotate",
        7 => "policy",
        8 => "transfer",
        10 => "alias_unbind",
        15 => "recovery_set",
        25 => "tombstone",
        26 => "notary_add",
        _ => "act",
    }
}

/// Returns what people call an act by.
pub(crate) fn short(sid: &Sid) -> String {
    HEXLOWER.encode(&sid[..6])
}

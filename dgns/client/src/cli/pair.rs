//! `join`, `pair`, `devices watch`: how a second device becomes one of a person's.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use dgns_client::draft;
use dgns_client::error::ClientError;
use dgns_client::home::DeviceKeys;
use dgns_client::pairing::{Approval, Approver, Joined, Newcomer, Verdict, Wish};
use dgns_client::session::{Session, Signer};
use dgns_client::{clock, rng, user_keys};
use identity::cert::{Device, Level};
use identity::did::Did;
use identity::pair::{Invitation, Secret, SessionId};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use rand_core::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::actor::Actor;
use super::arguments::LevelArgument;
use super::output::time;
use super::{Context, Done, Ended, actor, arguments, attested, render};

/// Where the watch left off.
const LAST: &str = "events.json";

/// Between two tries of a stream that broke.
const BREATH: Duration = Duration::from_millis(1_050);

/// How old a request may be that is shown, ms: the relay forgets it then.
const REQUEST_MS: u64 = 3_600_000;

/// Arguments of `join`.
#[derive(Debug, clap::Args)]
pub(crate) struct Join {
    /// A name, or the secret of `dgns pair`: the text of its QR code, or its twelve words
    #[arg(required = true)]
    what: Vec<String>,
    /// What it may do: admin votes, member and service do not
    #[arg(long, default_value = "admin")]
    level: LevelArgument,
    /// The label, for your own eyes; only a commitment to it is logged
    #[arg(long, default_value = "device")]
    label: String,
}

/// Arguments of `pair`.
#[derive(Debug, clap::Args)]
pub(crate) struct Pair {
    /// Show a QR code
    #[arg(long, conflicts_with = "words")]
    qr: bool,
    /// Show twelve words
    #[arg(long)]
    words: bool,
    /// Seconds to wait for the new device
    #[arg(long, value_name = "S", default_value_t = 600)]
    wait_s: u64,
}

/// Arguments of `devices watch`.
#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// End after the first device that was let in or turned away
    #[arg(long)]
    once: bool,
}

/// The event of a sign-in.
const LOGIN: &str = "login";

/// Devices that the server said somebody signed in on, by kid, and when.
type SignedIn = HashMap<String, u64>;

#[derive(Serialize, Deserialize)]
struct Last {
    id: u64,
}

/// Makes this home a device of a DID.
pub(crate) async fn join(context: &Context, join: Join) -> Done {
    let session = context.session().await?;
    session.repeat_post().await?;
    let what = invitation_in(&join.what.join(" ")).to_owned();
    let secret = (join.what.len() > 1 || what.starts_with("dgns:pair?"))
        .then(|| Invitation::parse(&what))
        .transpose()
        .map_err(|error| ClientError::Unable(format!("{error} ({})", error.code())))?;
    let keys = own_keys(&session)?;
    let device = draft::device_of(&keys, join.level.into(), label_hash(&join.label));
    let joined = match secret {
        None => online(context, &session, keys, &what, device).await?,
        Some((secret, invitation)) => {
            if let Some(known) = &invitation
                && known.origin != *session.trust().origin()
            {
                let why = format!("this code is for the log {}; name its server with --server", known.origin.as_str());
                return Err(ClientError::Unable(why));
            }
            let wish = Wish { did: invitation.map(|known| known.did), device };
            Newcomer::offline(&session, keys, &secret, wish).join(|_| ()).await?
        }
    };
    joined_as(context, &session, &joined, &join.label).await
}

/// Asks the devices of a DID to let this home in.
pub(crate) async fn join_did(context: &Context, session: &Session, keys: DeviceKeys, did: Did, label: &str) -> Done {
    let device = draft::device_of(&keys, Level::Admin, label_hash(label));
    let joined = online(context, session, keys, &did.to_string(), device).await?;
    joined_as(context, session, &joined, label).await
}

async fn joined_as(context: &Context, session: &Session, joined: &Joined, label: &str) -> Done {
    let (device, did) = actor::known_device(session)?;
    let _ = keep_label(session, Signer { did, keys: &device }, &device, label).await;
    report(context, session, joined);
    Ok(Ended::Ok)
}

async fn online(
    context: &Context,
    session: &Session,
    keys: DeviceKeys,
    name: &str,
    device: Device,
) -> Result<Joined, ClientError> {
    let resolved = session.resolve_from_genesis(&arguments::subject(session, name)?).await?;
    let state = resolved.did().ok_or_else(|| ClientError::Absent(name.to_owned()))?;
    let kid = draft::kid(&keys);
    context.out.note(&format!(
        "asking the devices of {name} to let this one in (kid {}); one of them must run: dgns devices watch",
        data_encoding::HEXLOWER.encode(&kid.0)
    ));
    let newcomer = Newcomer::online(session, keys, state.did, device)?;
    newcomer
        .join(|digits| {
            // Even where a program reads the result: a person has to type these on the other device.
            context.out.warn(&format!(
                "\nType these digits on the other device:\n\n  {} {}\n",
                &digits[..3],
                &digits[3..]
            ));
        })
        .await
}

fn report(context: &Context, session: &Session, joined: &Joined) {
    let names = joined.posted.resolved.did().map(|state| state.names.clone()).unwrap_or_default();
    let sealed = match joined.has_user_key {
        true => "It opens what is sealed to you.",
        false => {
            "It does not open what is sealed to you yet: another device has to turn the user key (dgns devices watch)."
        }
    };
    let text = format!(
        "this is a device of {} now. {sealed}\n\n{}\n\nNext: dgns devices list",
        names.first().map_or_else(|| joined.did.to_string(), Clone::clone),
        render::proved_text(session, &joined.posted.resolved)
    );
    let value = json!({
        "ok": true,
        "did": joined.did.to_string(),
        "names": names,
        "indexes": joined.posted.indexes,
        "user_key": joined.has_user_key,
        "proof": render::proved_value(session, &joined.posted.resolved),
    });
    context.out.result(&text, &value);
}

/// Returns this home's keys, new ones if it has none; a home that is a device already stays what it is.
fn own_keys(session: &Session) -> Result<DeviceKeys, ClientError> {
    match keys_of_home(session)? {
        DeviceKeys { did: Some(did), .. } => {
            Err(ClientError::Unable(format!("this home is a device of {did} already; use another --home")))
        }
        keys => Ok(keys),
    }
}

/// Returns this home's keys, new ones if it has none.
pub(crate) fn keys_of_home(session: &Session) -> Result<DeviceKeys, ClientError> {
    match session.log().device()? {
        Some(keys) => Ok(keys),
        None => {
            let keys = actor::fresh_device();
            session.log().keep_device(&keys)?;
            Ok(keys)
        }
    }
}

/// Returns the invitation that an address of `dgns pair`'s QR code ends with, or the text as it is.
fn invitation_in(text: &str) -> &str {
    match text.split_once('#') {
        Some((address, invitation)) if address.starts_with("http") && invitation.starts_with("dgns:pair?") => {
            invitation
        }
        _ => text,
    }
}

fn label_hash(label: &str) -> [u8; 32] {
    let mut nonce = [0; 16];
    rng::system().fill_bytes(&mut nonce);
    Device::label_hash_of(label, &nonce)
}

/// Keeps what this person calls a device where the others find it, sealed. It is not worth a failure.
pub(crate) async fn keep_label(
    session: &Session,
    signer: Signer<'_>,
    device: &DeviceKeys,
    label: &str,
) -> Result<(), ClientError> {
    let resolved = session.resolve_did(&signer.did).await?;
    let state = resolved.did().ok_or_else(|| ClientError::Absent(signer.did.to_string()))?;
    super::seal::put_label(session, signer, state, &draft::kid(device), label).await
}

/// Shows a secret, waits for the device that has it, and lets it in.
pub(crate) async fn pair(context: &Context, pair: Pair) -> Done {
    let actor = Actor::new(context).await?;
    let secret = Secret::generate(&mut rng::system());
    let origin = actor.session.trust().origin().clone();
    let invitation = Invitation { origin, did: actor.did, secret: secret.clone() };
    let text = invitation.text();
    // Both are shown even where a program reads the result: it is what a person carries over.
    if !pair.words {
        // A camera opens an address; what stands behind the # never leaves the browser.
        let address = Zeroizing::new(format!("{}/signin#{}", actor.session.server(), text.as_str()));
        let code = QrCode::new(address.as_bytes()).map_err(|error| ClientError::Unable(error.to_string()))?;
        let drawn = code.render::<Dense1x2>().build();
        context.out.warn(&format!("{drawn}\n\nOn the new device:\n\n  dgns join '{}'\n", text.as_str()));
    }
    if !pair.qr {
        context.out.warn(&format!("Or with these words:\n\n  dgns join {}\n", secret.words().as_str()));
    }
    context.out.note(&format!("Whoever has this becomes one of your devices. It works once, for {} s.", pair.wait_s));
    let approver = Approver { session: &actor.session, keys: &actor.device, did: actor.did };
    let asked = approver.invite(&secret, Duration::from_secs(pair.wait_s)).await?;
    let approval = asked.ok_or_else(|| ClientError::Unable("no device came; run the command again".into()))?;
    let kid = approval.kid();
    approval.grant().await?;
    context.out.result(&format!("let in the device with kid {kid}"), &json!({ "ok": true, "kid": kid }));
    Ok(Ended::Ok)
}

/// Tells what happens to the DID, lets new devices in, and turns the user key when it is stale.
pub(crate) async fn watch(context: &Context, watch: Watch) -> Done {
    let actor = Actor::new(context).await?;
    let signer = Signer { did: actor.did, keys: &actor.device };
    let approver = Approver { session: &actor.session, keys: &actor.device, did: actor.did };
    let (last, mut late, mut signed_in) = (Path::new(LAST), false, SignedIn::new());
    loop {
        turn(context, &actor.session, signer).await;
        let from: Option<Last> = actor.session.log().read_json(last)?;
        let mut more = Vec::new();
        more.extend(from.map(|from| ("last-event-id", from.id.to_string())));
        let opened = actor.session.lines_signed(signer, dgns_api::path::PERSONAL_EVENTS, more).await;
        let mut lines = match opened {
            Ok(lines) => lines,
            Err(ClientError::Refused(problem)) if problem.code == "request_time" && !late => {
                // The server just started; a second time it is this device's clock.
                late = true;
                tokio::time::sleep(BREATH).await;
                continue;
            }
            Err(ClientError::Network(why)) => {
                context.out.note(&format!("{why}; trying again"));
                tokio::time::sleep(BREATH).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        late = false;
        let (mut kind, mut id) = (String::new(), 0_u64);
        while let Some(line) = lines.next().await {
            let line = line.trim_end();
            if let Some(name) = line.strip_prefix("event: ") {
                name.clone_into(&mut kind);
            } else if let Some(number) = line.strip_prefix("id: ") {
                id = number.parse().unwrap_or(id);
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(data).unwrap_or_default();
                let told = told(context, &actor, &approver, (&kind, &data), &mut signed_in).await?;
                // Kept behind what it led to: a crash before is told the same again.
                actor.session.log().keep_json(last, &Last { id })?;
                if told && watch.once {
                    return Ok(Ended::Ok);
                }
            }
        }
        tokio::time::sleep(BREATH).await;
    }
}

/// Turns the user key if it is stale. What fails now is tried again at the next event.
async fn turn(context: &Context, session: &Session, signer: Signer<'_>) {
    match user_keys::turn_if_stale(session, signer).await {
        Ok(true) => context.out.line("the user key was turned", &json!({ "event": "user_key", "turned": true })),
        Ok(false) => {}
        Err(error) => context.out.note(&format!("the user key is stale and was not turned: {error}")),
    }
}

/// Acts on one event; whether it let somebody in or turned somebody away.
async fn told(
    context: &Context,
    actor: &Actor,
    approver: &Approver<'_>,
    (kind, data): (&str, &Value),
    signed_in: &mut SignedIn,
) -> Result<bool, ClientError> {
    let at_ms = data["at_ms"].as_u64().unwrap_or(0);
    match kind {
        "now" => {
            context.out.line("watching; stop with Ctrl-C", &json!({ "event": "now" }));
            Ok(false)
        }
        "pair" => {
            let session = data["session"].as_str().and_then(SessionId::from_hex);
            let Some(session) = session.filter(|_| clock::now().as_ms() < at_ms + REQUEST_MS) else { return Ok(false) };
            let outcome = asked(context, approver, session, at_ms, signed_in).await;
            outcome.or_else(|error| match error {
                // What a stranger did in a pairing must not end the watch.
                ClientError::Refused(problem) => {
                    context.out.line(
                        &format!("the request was turned away ({}): {}", problem.code, problem.detail),
                        &json!({ "event": "pair", "refused": problem.code }),
                    );
                    Ok(true)
                }
                ClientError::Network(why) => {
                    context.out.note(&why);
                    Ok(false)
                }
                other => Err(other),
            })
        }
        _ => {
            if let (LOGIN, Some(kid)) = (kind, data["kid"].as_str()) {
                signed_in.insert(kid.to_owned(), at_ms);
            }
            // An event is a hint: what is said is what the log proves.
            let index = data["index"].as_u64();
            let resolved = settled_view(actor, index).await?;
            let text = format!(
                "{} {kind}{}: {} devices, {} acts wait, proved at size {}{}",
                time(at_ms),
                index.map(|index| format!(" (entry {index})")).unwrap_or_default(),
                resolved.did().map_or(0, |state| state.devices.len()),
                resolved.pending().len(),
                resolved.head().size,
                if kind.starts_with("recovery_") { ". Somebody recovers this account; not you? dgns veto" } else { "" }
            );
            let mut value = json!({ "event": kind, "size": resolved.head().size });
            for name in ["index", "act", "kid", "due_ms", "at_ms"] {
                if !data[name].is_null() {
                    value[name] = data[name].clone();
                }
            }
            context.out.line(&text, &value);
            turn(context, &actor.session, Signer { did: actor.did, keys: &actor.device }).await;
            Ok(false)
        }
    }
}

/// Looks the DID up under a head that covers `index`; a head that witnesses have not signed yet is waited for, not long.
async fn settled_view(actor: &Actor, index: Option<u64>) -> Result<translog::resolve::Resolved, ClientError> {
    let mut tries = 20;
    loop {
        let resolved = actor.session.resolve_did(&actor.did).await?;
        tries -= 1;
        if tries == 0 || index.is_none_or(|index| index < resolved.head().size) {
            return Ok(resolved);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Shows who asks, has the digits typed, and lets the device in or not.
async fn asked(
    context: &Context,
    approver: &Approver<'_>,
    session: SessionId,
    at_ms: u64,
    signed_in: &SignedIn,
) -> Result<bool, ClientError> {
    let Some(mut approval) = approver.hear(session).await? else { return Ok(false) };
    let kid = approval.kid();
    let level = match approval.device.level {
        Level::Member => "member",
        Level::Admin => "admin",
        Level::Service => "service",
    };
    let signer = Signer { did: approver.did, keys: approver.keys };
    let attested = attested::by(approver.session, signer, &approval.device, signed_in.get(&kid).copied()).await?;
    if let Some(code) = attested.refusal {
        approval.reject().await?;
        context.out.line(
            &format!("{} turned away the device with kid {kid}: {}", time(at_ms), attested.text),
            &json!({ "event": "pair", "kid": kid, "refused": code, "attested": attested.value }),
        );
        return Ok(true);
    }
    context.out.line(
        &format!(
            "{} a device asks to become yours: kid {kid}, level {level}.\n{}\n\
             Type the six digits that it shows, or \"no\" if it is not yours:",
            time(at_ms),
            attested.text,
        ),
        &json!({ "event": "pair", "kid": kid, "level": level, "at_ms": at_ms, "asks": "digits", "attested": attested.value }),
    );
    loop {
        let Some(typed) = arguments::typed_line().await? else {
            // Nobody is at the keyboard: the request stays where it is.
            return Err(ClientError::Unable("nobody typed the digits: standard input is closed".into()));
        };
        if typed.trim().eq_ignore_ascii_case("no") {
            approval.reject().await?;
            context.out.line("turned away", &json!({ "event": "pair", "kid": kid, "rejected": true }));
            return Ok(true);
        }
        match approval.judge(&typed).await? {
            Verdict::Right(approval) => return granted(context, approval).await,
            Verdict::Wrong(again, left) => {
                context.out.line(
                    &format!("these are other digits; {left} tries are left. If they look right to you, somebody stands between:"),
                    &json!({ "event": "pair", "kid": kid, "wrong": true, "left": left }),
                );
                approval = again;
            }
            Verdict::Over => {
                context.out.line(
                    "wrong three times: the request is over",
                    &json!({ "event": "pair", "kid": kid, "refused": "pair_digits" }),
                );
                return Ok(true);
            }
        }
    }
}

async fn granted(context: &Context, approval: Approval<'_>) -> Result<bool, ClientError> {
    let kid = approval.kid();
    approval.grant().await?;
    context.out.line(
        &format!("the device with kid {kid} is yours now"),
        &json!({ "event": "pair", "kid": kid, "added": true }),
    );
    Ok(true)
}

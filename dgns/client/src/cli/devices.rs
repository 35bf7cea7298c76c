//! Devices and words.
//!
//! A new device is added in one step with the words, or in three without: the new one makes a request (`add NAME`), a voter
//! approves it (`approve REQUEST`), the new one signs what it was granted (`add --grant GRANT`) and posts it.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use dgns_api::problem::Problem;
use dgns_client::draft::{self, Place};
use dgns_client::error::ClientError;
use dgns_client::session::{Session, Signer};
use dgns_client::{clock, rng, user_keys};
use identity::cert::{Body, Certificate, Device, DeviceEnd, EndReason, Kid, Level};
use identity::did::Did;
use identity::key::kid_of;
use identity::state::{DidState, Subject};
use identity::wire::{Reader, WireError, Writer};
use rand_core::Rng as _;
use serde_json::json;

use super::actor::{Acted, Actor};
use super::arguments::LevelArgument;
use super::output::span;
use super::{Context, Done, Ended, WithWords, actor, arguments, attested, pair, render, seal};

/// `words`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Words {
    /// Check that the words you wrote down are the right ones; they are read from standard input
    Verify,
}

/// `devices`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Devices {
    /// List the devices
    List,
    /// Tell what happens to your DID, let new devices in, keep the user key fresh
    Watch(pair::Watch),
    /// Call a device something: only your own devices read it
    Label {
        /// Its kid, or the first digits of it
        kid: String,
        /// The label; empty takes it away
        label: String,
    },
    /// Make this device one of NAME's: with the words, or by a request that another device approves
    Add {
        /// The name whose device this becomes
        #[arg(required_unless_present = "grant")]
        name: Option<String>,
        /// Read the words from standard input: the device is a voter at once
        #[arg(long)]
        words: bool,
        /// The grant that `devices approve` printed
        #[arg(long, value_name = "GRANT", conflicts_with = "words")]
        grant: Option<String>,
        /// What it may do: admin votes, member and service do not
        #[arg(long, default_value = "admin")]
        level: LevelArgument,
        /// The label, for your own eyes; only a commitment to it is logged
        #[arg(long, default_value = "device")]
        label: String,
    },
    /// Approve a request that another device made
    Approve {
        /// What `devices add NAME` printed there
        request: String,
    },
    /// Take a device's power away at once, for a window
    Suspend {
        /// Its kid, or the first digits of it
        kid: String,
        /// Why; shown, never judged
        #[arg(long, default_value = "other")]
        reason: Reason,
        #[command(flatten)]
        words: WithWords,
    },
    /// End a device
    Revoke {
        /// Its kid, or the first digits of it
        kid: String,
        /// Why; shown, never judged
        #[arg(long, default_value = "other")]
        reason: Reason,
        #[command(flatten)]
        words: WithWords,
    },
}

/// A reason, as an argument.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Reason {
    /// Not said.
    Other,
    /// Lost.
    Lost,
    /// Stolen.
    Stolen,
    /// Replaced.
    Replaced,
}

/// Runs a `words` command.
pub(crate) async fn words(context: &Context, command: Words) -> Done {
    let Words::Verify = command;
    let actor = Actor::new(context).await?;
    let words = arguments::read_words(context)?;
    let (state, _) = actor.place().await?;
    if words.identity().public() != state.identity {
        return Err(ClientError::Unable("these are not the words of this DID".into()));
    }
    context.out.result("the words are right", &json!({ "ok": true, "did": actor.did.to_string() }));
    Ok(Ended::Ok)
}

/// Runs a `devices` command.
pub(crate) async fn devices(context: &Context, command: Devices) -> Done {
    match command {
        Devices::List => list(context).await,
        Devices::Watch(watch) => pair::watch(context, watch).await,
        Devices::Label { kid, label } => set_label(context, &kid, &label).await,
        Devices::Add { grant: Some(grant), .. } => finish(context, &grant).await,
        Devices::Add { name, words: true, level, label, .. } => {
            add_with_words(context, &name.unwrap_or_default(), level.into(), &label).await
        }
        Devices::Add { name, level, label, .. } => {
            request(context, &name.unwrap_or_default(), level.into(), &label).await
        }
        Devices::Approve { request } => approve(context, &request).await,
        Devices::Suspend { kid, reason, words } => end(context, &kid, reason, false, words).await,
        Devices::Revoke { kid, reason, words } => end(context, &kid, reason, true, words).await,
    }
}

async fn list(context: &Context) -> Done {
    let actor = Actor::new(context).await?;
    let (state, _) = actor.place().await?;
    let own = actor.device.sign.public();
    // Labels are a convenience: the list is proved without them.
    let labels = seal::labels(&actor).await.unwrap_or_default();
    let (mut lines, mut values) = (Vec::new(), Vec::new());
    for device in &state.devices {
        let mut value = render::device_value(device);
        let here = if device.sign == own { "  (this device)" } else { "" };
        let kid = text(&value["kid"]).to_owned();
        let label = labels.iter().find(|(of, _)| *of == kid).map(|(_, label)| label.as_str());
        let called = label.map(|label| format!("  {label:?}")).unwrap_or_default();
        lines.push(format!("{kid} {} {}{called}{here}", text(&value["level"]), text(&value["status"])));
        if let Some(label) = label {
            value["label"] = json!(label);
        }
        values.push(value);
    }
    let (voters, needed) = majority(&state);
    let frozen = state.flags & DidState::FROZEN != 0;
    let value = json!({
        "ok": true,
        "did": actor.did.to_string(),
        "devices": values,
        "voters": voters,
        "majority": needed,
        "window_s": state.window_s,
        "pending": state.pending.len(),
        "frozen": frozen,
    });
    lines.extend(["".to_owned(), rules_text(&state)]);
    if frozen {
        lines.push("CONTESTED: two devices dispute each other; until that is decided only the words act".to_owned());
    }
    if !state.pending.is_empty() {
        lines.push(format!("{} waiting: dgns pending", state.pending.len()));
    }
    context.out.result(&lines.join("\n"), &value);
    Ok(Ended::Ok)
}

/// Returns how many devices count in a majority, and how many make one; `None` while one device is all there is.
fn majority(state: &DidState) -> (usize, Option<usize>) {
    let voters = state.devices.iter().filter(|device| device.counts()).count();
    (voters, (voters > 1).then_some((voters / 2 + 1).max(2)))
}

/// Says who may do at once what could harm, and who waits for how long.
fn rules_text(state: &DidState) -> String {
    let (voters, needed) = majority(state);
    let together =
        needed.map(|needed| format!(", {needed} of your {voters} full devices together too")).unwrap_or_default();
    let window = span(state.window_s);
    format!(
        "What could harm: the words do it at once{together}; one device alone waits {window} (an hour at most in the first day),\n\
         and meanwhile any other may veto it."
    )
}

/// Adds this device with the words: the identity key and the new device sign.
async fn add_with_words(context: &Context, name: &str, level: Level, label: &str) -> Done {
    let session = context.session().await?;
    let words = arguments::read_words(context)?;
    let resolved = session.resolve(&arguments::subject(&session, name)?).await?;
    let state = resolved.did().ok_or_else(|| ClientError::Absent(name.to_owned()))?;
    if words.identity().public() != state.identity {
        return Err(ClientError::Unable(format!("these are not the words of {name}")));
    }
    let mut device = actor::fresh_device();
    device.did = Some(state.did);
    let body = Body::DeviceAdd(draft::device_of(&device, level, fresh_label(label)));
    let place = Place::after(state.did, &state.head, resolved.head(), clock::now());
    let identity = words.identity();
    let certificate =
        place.sign(body, None, session.trust().origin(), &[&identity, &device.sign]).map_err(actor::unsignable)?;
    keep_new_device(&session, &device)?;
    let posted = session.post(std::slice::from_ref(&certificate), &Subject::Did(state.did)).await?;
    Ok(Acted { sid: certificate.sid(), posted }.report(context, &session, "device added"))
}

/// Makes a request: this device's public keys, for a voter to approve.
async fn request(context: &Context, name: &str, level: Level, label: &str) -> Done {
    let session = context.session().await?;
    let resolved = session.resolve(&arguments::subject(&session, name)?).await?;
    let did = resolved.did().ok_or_else(|| ClientError::Absent(name.to_owned()))?.did;
    let device = actor::fresh_device();
    let row = draft::device_of(&device, level, fresh_label(label));
    keep_new_device(&session, &device)?;
    let request = Request { did, device: row }.encode();
    let kid = HEXLOWER.encode(&kid_of(&row.sign).0);
    let text = format!(
        "On a device of {name}, compare this device's kid and approve:\n\n  kid {kid}\n  dgns devices approve {request}\n\n\
         Then run here what it prints."
    );
    context.out.result(&text, &json!({ "ok": true, "request": request, "kid": kid, "did": did.to_string() }));
    Ok(Ended::Ok)
}

/// Approves a request: builds the certificate itself, and signs it.
async fn approve(context: &Context, request: &str) -> Done {
    let actor = Actor::new(context).await?;
    let request =
        Request::decode(request).ok_or_else(|| ClientError::Unable("not a request of `dgns devices add`".into()))?;
    if request.did != actor.did {
        return Err(ClientError::Unable(format!(
            "the request is for {}, this device is of {}",
            request.did, actor.did
        )));
    }
    let attested = attested::by(&actor.session, actor.signer(), &request.device, None).await?;
    if let Some(code) = attested.refusal {
        return Err(ClientError::Refused(Box::new(Problem::new(403, code, attested.text))));
    }
    let (_, place) = actor.place().await?;
    let body = Body::DeviceAdd(request.device);
    let half =
        place.sign(body, None, actor.session.trust().origin(), &[&actor.device.sign]).map_err(actor::unsignable)?;
    let grant = format!("grant1.{}", BASE64URL_NOPAD.encode(half.as_bytes()));
    let kid = HEXLOWER.encode(&kid_of(&request.device.sign).0);
    let text = format!(
        "approved the device with kid {kid}. {}\nRun on it:\n\n  dgns devices add --grant {grant}",
        attested.text
    );
    context.out.result(&text, &json!({ "ok": true, "grant": grant, "kid": kid, "attested": attested.value }));
    Ok(Ended::Ok)
}

/// Signs a grant as the new device, and posts it.
async fn finish(context: &Context, grant: &str) -> Done {
    let session = context.session().await?;
    let wrong = || ClientError::Unable("not a grant of `dgns devices approve`".into());
    let bytes = grant
        .strip_prefix("grant1.")
        .and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok())
        .ok_or_else(wrong)?;
    let half = Certificate::decode(&bytes).map_err(|_| wrong())?;
    let mut device =
        session.log().device()?.ok_or_else(|| ClientError::Unable("begin with: dgns devices add NAME".into()))?;
    match &half.payload().body {
        Body::DeviceAdd(row) if row.sign == device.sign.public() && row.kex == device.kex.public() => {}
        _ => return Err(ClientError::Unable("this grant is for another device".into())),
    }
    let did = half.chain_did().ok_or_else(wrong)?;
    let signature = device.sign.sign(&half.signed_bytes(session.trust().origin()));
    let whole = half.with_signatures_added(&[(device.sign.kid(), signature)]).map_err(actor::unsignable)?;
    device.did = Some(did);
    session.log().keep_device(&device)?;
    let posted = session.post(std::slice::from_ref(&whole), &Subject::Did(did)).await?;
    Ok(Acted { sid: whole.sid(), posted }.report(context, &session, "device added"))
}

/// Calls a device something.
async fn set_label(context: &Context, kid: &str, label: &str) -> Done {
    let actor = Actor::new(context).await?;
    let (state, _) = actor.place().await?;
    let kid = the_device(&state, kid)?;
    let signer = Signer { did: actor.did, keys: &actor.device };
    seal::put_label(&actor.session, signer, &state, &kid, label).await?;
    let kid = HEXLOWER.encode(&kid.0);
    context.out.result(&format!("{kid} is {label:?} to your devices"), &json!({ "ok": true, "kid": kid }));
    Ok(Ended::Ok)
}

/// Returns the one device whose kid begins with these digits.
fn the_device(state: &DidState, digits: &str) -> Result<Kid, ClientError> {
    let wanted = digits.to_lowercase();
    let kids = state.devices.iter().map(|device| kid_of(&device.sign));
    let matching: Vec<Kid> = kids.filter(|kid| HEXLOWER.encode(&kid.0).starts_with(&wanted)).collect();
    match matching[..] {
        [kid] => Ok(kid),
        _ => Err(ClientError::Unable(format!(
            "{} devices begin with {wanted}; list them with: dgns devices list",
            matching.len()
        ))),
    }
}

async fn end(context: &Context, kid: &str, reason: Reason, for_ever: bool, words: WithWords) -> Done {
    let actor = Actor::new(context).await?;
    let (state, _) = actor.place().await?;
    let kid = the_device(&state, kid)?;
    let end = DeviceEnd { kid, reason: reason.into() };
    let (body, what) = match for_ever {
        true => (Body::DeviceRevoke(end), "device revoked"),
        false => (Body::DeviceSuspend(end), "device suspended"),
    };
    let acted = actor.act(context, &body, words, &[], &actor.subject()).await?;
    let signer = Signer { did: actor.did, keys: &actor.device };
    if let Err(error) = user_keys::turn_if_stale(&actor.session, signer).await {
        context.out.note(&format!("the user key is stale and was not turned ({error}); run: dgns devices watch"));
    }
    Ok(acted.report(context, &actor.session, what))
}

/// Keeps fresh keys, unless this home already belongs to a DID.
fn keep_new_device(session: &Session, device: &dgns_client::home::DeviceKeys) -> Result<(), ClientError> {
    if let Some(did) = session.log().device()?.and_then(|known| known.did) {
        return Err(ClientError::Unable(format!("this home is a device of {did} already; use another --home")));
    }
    session.log().keep_device(device)
}

/// Returns the hash of what a device is called, under a fresh nonce.
pub(crate) fn fresh_label(label: &str) -> [u8; 32] {
    let mut nonce = [0; 16];
    rng::system().fill_bytes(&mut nonce);
    Device::label_hash_of(label, &nonce)
}

/// What a new device asks: to belong to a DID, with these keys.
struct Request {
    did: Did,
    device: Device,
}

impl Request {
    fn encode(&self) -> String {
        let mut writer = Writer::new();
        let level = self.device.level as u64;
        writer.array(5).bytes(self.did.as_bytes()).bytes(&self.device.sign).bytes(&self.device.kex).uint(level);
        writer.bytes(&self.device.label_hash);
        format!("request1.{}", BASE64URL_NOPAD.encode(&writer.finish()))
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.trim().strip_prefix("request1.")?.as_bytes()).ok()?;
        Self::read(&bytes).ok().flatten()
    }

    fn read(bytes: &[u8]) -> Result<Option<Self>, WireError> {
        let mut reader = Reader::new(bytes);
        reader.array_of(5)?;
        let did = Did::from_bytes(reader.fixed()?);
        let (sign, kex) = (reader.fixed()?, reader.fixed()?);
        let level = match reader.uint()? {
            1 => Level::Member,
            2 => Level::Admin,
            3 => Level::Service,
            _ => return Ok(None),
        };
        let label_hash = reader.fixed()?;
        reader.end()?;
        Ok(Some(Self { did, device: Device { sign, kex, level, label_hash } }))
    }
}

impl From<Reason> for EndReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Other => Self::Other,
            Reason::Lost => Self::Lost,
            Reason::Stolen => Self::Stolen,
            Reason::Replaced => Self::Replaced,
        }
    }
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}

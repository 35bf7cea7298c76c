//! Acts of a person: pending, confirm, veto, policy, transfer, release, new words, tombstone.

use data_encoding::HEXLOWER;
use dgns_client::clock;
use dgns_client::draft::Place;
use dgns_client::error::ClientError;
use dgns_client::home::DeviceKeys;
use dgns_client::rng;
use dgns_client::session::{Posted, Session, Signer};
use identity::cert::{Body, Certificate, IdRotate, Sid};
use identity::did::Did;
use identity::key::SigningKey;
use identity::seed::Words;
use identity::state::{DidState, Pending, Power, Subject};
use serde_json::{Value, json};

use super::output::time;
use super::{Context, Done, Ended, WithWords, devices, lookup, up};

/// How often a lost race is tried again.
pub(crate) const TRIES: u32 = 8;

/// The type of a suspension (PROTOCOL 4.4): it is in force at once, and what is due is its end.
const SUSPENSION: u8 = 4;

/// For or against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    /// Supports an act.
    Confirm,
    /// Opposes it.
    Veto,
}

/// Arguments of `transfer`.
#[derive(Debug, clap::Args)]
pub(crate) struct Transfer {
    /// The name
    name: String,
    /// The receiver; with --accept: the file the giver made
    #[arg(value_name = "DID")]
    to: Option<String>,
    /// Where the half-signed transfer goes, for the receiver to accept
    #[arg(long, value_name = "FILE", requires = "to")]
    out: Option<std::path::PathBuf>,
    /// Accept a transfer: the file the giver made
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    accept: Option<std::path::PathBuf>,
}

/// This person at work: a session, the device's keys, the DID as it is proved now.
pub(crate) struct Actor {
    pub(crate) session: Session,
    pub(crate) device: DeviceKeys,
    pub(crate) did: Did,
}

impl Actor {
    /// Returns the person this device belongs to.
    pub(crate) async fn new(context: &Context) -> Result<Self, ClientError> {
        let session = context.session().await?;
        session.repeat_post().await?;
        let (device, did) = up::known_device(&session)?;
        Ok(Self { session, device, did })
    }

    /// Returns this device as it signs requests.
    pub(crate) fn signer(&self) -> Signer<'_> {
        Signer { did: self.did, keys: &self.device }
    }

    /// Returns the DID's state and where its next certificate goes.
    pub(crate) async fn place(&self) -> Result<(DidState, Place), ClientError> {
        let resolved = self.session.resolve_did(&self.did).await?;
        let state = resolved.did().ok_or_else(|| ClientError::Absent(self.did.to_string()))?.clone();
        let place = Place::after(self.did, &state.head, resolved.head(), clock::now());
        Ok((state, place))
    }

    /// Signs a statement with this device, or with the words, and further keys; posts it.
    pub(crate) async fn act(
        &self,
        context: &Context,
        body: &Body,
        words: WithWords,
        more: &[&SigningKey],
        subject: &Subject,
    ) -> Result<Acted, ClientError> {
        let identity = if words.words { Some(devices::read_words(context)?.identity()) } else { None };
        let mut keys = vec![identity.as_ref().unwrap_or(&self.device.sign)];
        keys.extend_from_slice(more);
        self.act_signed(body, &keys, subject).await
    }

    /// Signs a statement with these keys, posts it, and tries again where another device was faster.
    async fn act_signed(&self, body: &Body, keys: &[&SigningKey], subject: &Subject) -> Result<Acted, ClientError> {
        for tries_left in (0..TRIES).rev() {
            let (_, place) = self.place().await?;
            match self.act_at(&place, body, keys, subject).await {
                Err(error) if is_lost_race(&error) && tries_left > 0 => {}
                ended => return ended,
            }
        }
        unreachable!("the last try returns")
    }

    /// Signs a statement with these keys for this place in the chain, and posts it, once.
    pub(crate) async fn act_at(
        &self,
        place: &Place,
        body: &Body,
        keys: &[&SigningKey],
        subject: &Subject,
    ) -> Result<Acted, ClientError> {
        let origin = self.session.trust().origin();
        let certificate = place.sign(body.clone(), None, origin, keys).map_err(up::unsignable)?;
        let posted = self.session.post(std::slice::from_ref(&certificate), subject).await?;
        Ok(Acted { sid: certificate.sid(), posted })
    }

    /// Returns the subject of this person's DID.
    pub(crate) fn subject(&self) -> Subject {
        Subject::Did(self.did)
    }
}

/// Returns whether a post was refused because another device extended the chain first; nothing changed.
pub(crate) fn is_lost_race(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused(problem) if problem.code == "stale_prev")
}

/// An act that is in the log.
pub(crate) struct Acted {
    pub(crate) sid: Sid,
    pub(crate) posted: Posted,
}

impl Acted {
    /// Prints what became of it; a pending act ends the command with code 5.
    pub(crate) fn report(&self, context: &Context, session: &Session, what: &str) -> Ended {
        self.report_with(context, session, what, ("", json!({})))
    }

    /// As [`Acted::report`], with a sentence behind the text, and more in the value for programs.
    pub(crate) fn report_with(
        &self,
        context: &Context,
        session: &Session,
        what: &str,
        (behind, more): (&str, Value),
    ) -> Ended {
        let waits = self.posted.resolved.pending().iter().find(|act| act.sid == self.sid);
        let mut text = match waits {
            None => format!("{what}: done\n\n{}", lookup::proved_text(session, &self.posted.resolved)),
            Some(act) if act.kind == SUSPENSION => format!("{what}: in force until {}", time(act.due_ms)),
            Some(act) => format!(
                "{what}: accepted; it takes effect at {} unless it is vetoed\n  confirm or veto it with: dgns confirm|veto {}",
                time(act.due_ms),
                short(&act.sid)
            ),
        };
        let mut value = json!({
            "ok": true,
            "act": HEXLOWER.encode(&self.sid),
            "index": self.posted.indexes.first(),
            "pending": waits.map(act_value),
            "proof": lookup::proved_value(session, &self.posted.resolved),
        });
        if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
            value.extend(more);
        }
        if !behind.is_empty() {
            text = format!("{text}\n\n{behind}");
        }
        context.out.result(&text, &value);
        match waits {
            Some(act) if act.kind != SUSPENSION => Ended::Waits,
            _ => Ended::Ok,
        }
    }
}

/// Lists the acts that wait.
pub(crate) async fn pending(context: &Context) -> Done {
    let actor = Actor::new(context).await?;
    let resolved = actor.session.resolve_did(&actor.did).await?;
    let acts = resolved.pending();
    let text: Vec<String> = acts.iter().map(act_text).collect();
    let text = if text.is_empty() { "nothing waits".to_owned() } else { text.join("\n") };
    let value = json!({ "ok": true, "pending": acts.iter().map(act_value).collect::<Vec<_>>(), "frozen": resolved.is_frozen() });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

/// Confirms or vetoes a waiting act.
pub(crate) async fn vote(context: &Context, act: &str, vote: Vote, words: WithWords) -> Done {
    let actor = Actor::new(context).await?;
    let (state, _) = actor.place().await?;
    let matching: Vec<&Pending> =
        state.pending.iter().filter(|pending| HEXLOWER.encode(&pending.sid).starts_with(&act.to_lowercase())).collect();
    let [found] = matching[..] else {
        let why = match matching.len() {
            0 => format!("no act begins with {act}; list them with: dgns pending"),
            _ => format!("several acts begin with {act}; give more digits"),
        };
        return Err(ClientError::Unable(why));
    };
    let (body, what) = match vote {
        Vote::Confirm => (Body::Confirm { act: found.sid }, "confirmed"),
        Vote::Veto => (Body::Veto { act: found.sid }, "vetoed"),
    };
    let acted = actor.act(context, &body, words, &[], &actor.subject()).await?;
    Ok(acted.report(context, &actor.session, what))
}

/// Sets the window of destructive acts.
pub(crate) async fn policy(context: &Context, window_s: u64, words: WithWords) -> Done {
    let actor = Actor::new(context).await?;
    let acted = actor.act(context, &Body::Policy { window_s }, words, &[], &actor.subject()).await?;
    Ok(acted.report(context, &actor.session, "window"))
}

/// Makes a transfer for the receiver to accept, or accepts one.
pub(crate) async fn transfer(context: &Context, transfer: Transfer) -> Done {
    let actor = Actor::new(context).await?;
    let name = actor.session.name(&transfer.name)?;
    if let Some(path) = &transfer.accept {
        return accept(context, &actor, path, name.as_str()).await;
    }
    let to = transfer.to.as_deref().ok_or_else(|| ClientError::Unable("name the receiver's DID".into()))?;
    let to: Did = to.parse().map_err(|error| ClientError::Unable(format!("{to:?}: {error}")))?;
    let (_, place) = actor.place().await?;
    let body = Body::Transfer { name: name.as_str().to_owned(), to: Some(to) };
    let by = (to != actor.did).then_some(to);
    let half = place.sign(body, by, actor.session.trust().origin(), &[&actor.device.sign]).map_err(up::unsignable)?;
    let path = transfer.out.unwrap_or_else(|| format!("{}.transfer", name.as_str()).into());
    std::fs::write(&path, half.as_bytes())
        .map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))?;
    let text = format!(
        "{0}: give it to the receiver, who runs\n  dgns transfer {1} --accept {0}",
        path.display(),
        name.as_str()
    );
    context.out.result(&text, &json!({ "ok": true, "file": path, "act": up::sid_text(&half) }));
    Ok(Ended::Ok)
}

/// Signs a transfer as its receiver, and posts it.
async fn accept(context: &Context, actor: &Actor, path: &std::path::Path, name: &str) -> Done {
    let bytes = std::fs::read(path).map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))?;
    let half =
        Certificate::decode(&bytes).map_err(|error| ClientError::Unable(format!("{}: {error}", path.display())))?;
    let wanted = Body::Transfer { name: name.to_owned(), to: Some(actor.did) };
    if half.payload().body != wanted {
        return Err(ClientError::Unable(format!("{} is not a transfer of {name} to this DID", path.display())));
    }
    let signature = actor.device.sign.sign(&half.signed_bytes(actor.session.trust().origin()));
    let whole = half.with_signatures_added(&[(actor.device.sign.kid(), signature)]).map_err(up::unsignable)?;
    let posted = actor.session.post(std::slice::from_ref(&whole), &Subject::Name(name.to_owned())).await?;
    Ok(Acted { sid: whole.sid(), posted }.report(context, &actor.session, "transfer"))
}

/// Gives a name up.
pub(crate) async fn release(context: &Context, name: &str, words: WithWords) -> Done {
    let actor = Actor::new(context).await?;
    let name = actor.session.name(name)?;
    let body = Body::Transfer { name: name.as_str().to_owned(), to: None };
    let acted = actor.act(context, &body, words, &[], &Subject::Name(name.as_str().to_owned())).await?;
    Ok(acted.report(context, &actor.session, "release"))
}

/// Takes new words.
pub(crate) async fn rotate(context: &Context, with: WithWords) -> Done {
    let actor = Actor::new(context).await?;
    let words = Words::generate(&mut rng::system());
    up::show_words(context, &words, None);
    let identity = words.identity();
    let body = Body::IdRotate(IdRotate { identity: identity.public(), words_box: words.words_box().public() });
    let acted = actor.act(context, &body, with, &[&identity], &actor.subject()).await?;
    let more = ("", json!({ "words": words.phrase().as_str() }));
    Ok(acted.report_with(context, &actor.session, "new words", more))
}

/// Ends the DID.
pub(crate) async fn tombstone(context: &Context, yes: bool, words: WithWords) -> Done {
    if !yes {
        return Err(ClientError::Unable(
            "this ends the DID for ever and frees its names after 90 days; add --yes".into(),
        ));
    }
    let actor = Actor::new(context).await?;
    let acted = actor.act(context, &Body::Tombstone, words, &[], &actor.subject()).await?;
    Ok(acted.report(context, &actor.session, "tombstone"))
}

/// Returns a waiting act in one line.
pub(crate) fn act_text(act: &Pending) -> String {
    let opposed = if act.opponents.is_empty() { "" } else { ", CONTESTED" };
    format!(
        "{} {} due {} ({} for{opposed})",
        short(&act.sid),
        kind_text(act.kind),
        time(act.due_ms),
        act.supporters.len()
    )
}

/// Returns a waiting act as JSON.
pub(crate) fn act_value(act: &Pending) -> Value {
    let kids = |kids: &[identity::cert::Kid]| kids.iter().map(|kid| HEXLOWER.encode(&kid.0)).collect::<Vec<_>>();
    json!({
        "act": HEXLOWER.encode(&act.sid),
        "type": kind_text(act.kind),
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

fn kind_text(kind: u8) -> &'static str {
    match kind {
        SUSPENSION => "device_suspend",
        5 => "device_revoke",
        6 => "id_rotate",
        7 => "policy",
        8 => "transfer",
        10 => "alias_unbind",
        25 => "tombstone",
        26 => "notary_add",
        _ => "act",
    }
}

fn short(sid: &Sid) -> String {
    HEXLOWER.encode(&sid[..6])
}

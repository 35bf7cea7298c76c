//! A person at work: this device, its keys and its DID; and what becomes of an act.

use data_encoding::HEXLOWER;
use dgns_api::problem::Problem;
use dgns_client::draft::Place;
use dgns_client::error::ClientError;
use dgns_client::home::{DeviceKeys, Home};
use dgns_client::session::{Posted, Session, Signer};
use dgns_client::{clock, rng};
use identity::cert::{Body, Certificate, Sid};
use identity::did::Did;
use identity::key::{KexSecret, SigningKey, kid_of};
use identity::name::Name;
use identity::seed::Words;
use identity::state::{DidState, Subject};
use serde_json::{Value, json};

use super::output::time;
use super::render::{SUSPENSION, act_value, proved_text, proved_value, short};
use super::{Context, Ended, WithWords, arguments};

/// How often a lost race is tried again.
pub(crate) const TRIES: u32 = 8;

/// This person at work: a session, the device's keys, the DID as it is proved now.
pub(crate) struct Actor {
    pub(crate) session: Session,
    pub(crate) device: DeviceKeys,
    pub(crate) did: Did,
}

impl Actor {
    /// Returns the person this device belongs to.
    pub(crate) async fn new(context: &Context) -> Result<Self, ClientError> {
        Self::at(context.session().await?).await
    }

    /// Returns whoever rules a name from here: a database or server that was made here, by its own keys; else this person.
    pub(crate) async fn of(context: &Context, name: &str) -> Result<Self, ClientError> {
        let session = context.session().await?;
        let held = context.held(&session.name(name)?);
        match held.is_dir() {
            true => Self::at(context.session_in(&Home::open(&held)?, session.server()).await?).await,
            false => Self::at(session).await,
        }
    }

    async fn at(session: Session) -> Result<Self, ClientError> {
        session.repeat_post().await?;
        let (device, did) = known_device(&session)?;
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
        let identity = if words.words { Some(arguments::read_words(context)?.identity()) } else { None };
        let mut keys = vec![identity.as_ref().unwrap_or(&self.device.sign)];
        keys.extend_from_slice(more);
        self.act_signed(body, &keys, subject).await
    }

    /// Signs a statement with these keys, posts it, and tries again where another device was faster.
    pub(crate) async fn act_signed(
        &self,
        body: &Body,
        keys: &[&SigningKey],
        subject: &Subject,
    ) -> Result<Acted, ClientError> {
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
        let certificate = place.sign(body.clone(), None, origin, keys).map_err(unsignable)?;
        match self.session.post(std::slice::from_ref(&certificate), subject).await {
            Ok(posted) => Ok(Acted { sid: certificate.sid(), posted }),
            Err(ClientError::Refused(problem)) if problem.code == "unknown_signer" => {
                Err(ClientError::Refused(Box::new(self.told_apart(*problem, keys).await?)))
            }
            Err(error) => Err(error),
        }
    }

    /// Says of an unknown signer what the log says of it, if it is this device.
    async fn told_apart(&self, mut problem: Problem, keys: &[&SigningKey]) -> Result<Problem, ClientError> {
        let own = self.device.sign.public();
        let (state, _) = self.place().await?;
        if keys.first().is_some_and(|key| key.public() == own) && state.device(&kid_of(&own)).is_none() {
            problem.detail = format!(
                "the log says that this device, {}, is none of {}: it was revoked. Let a home in by another device: dgns --home DIR join NAME",
                HEXLOWER.encode(&kid_of(&own).0),
                self.did
            );
        }
        Ok(problem)
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
            None => format!("{what}: done\n\n{}", proved_text(session, &self.posted.resolved)),
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
            "proof": proved_value(session, &self.posted.resolved),
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

/// Returns this device's keys and the DID they belong to.
pub(crate) fn known_device(session: &Session) -> Result<(DeviceKeys, Did), ClientError> {
    let none = || ClientError::Unable("this device has no name here yet; begin with: dgns up NAME".into());
    let device = session.log().device()?.ok_or_else(none)?;
    let did = device.did.ok_or_else(none)?;
    Ok((device, did))
}

/// Returns fresh keys that belong to no DID yet.
pub(crate) fn fresh_device() -> DeviceKeys {
    let rng = &mut rng::system();
    DeviceKeys { did: None, sign: SigningKey::generate(rng), kex: KexSecret::generate(rng) }
}

/// Returns the error of a certificate that cannot be put together.
pub(crate) fn unsignable(error: identity::cert::DecodeError) -> ClientError {
    ClientError::Unable(format!("this cannot be certified: {error}"))
}

/// Shows the words, once; `of` is what they rule if it is not the person's own name.
pub(crate) fn show_words(context: &Context, words: &Words, of: Option<&Name>) {
    let whose = match of {
        None => "Your words. They rule your name and bring it back when every device is lost.".to_owned(),
        Some(name) => {
            format!("The words of {}, which has keys of its own. They rule it, and yours do not.", name.as_str())
        }
    };
    // Even where a program reads the result: if the answer is lost on its way, these are the only copy.
    context.out.warn(&format!(
        "\n{whose}\nWrite them on paper now; they are not kept anywhere and not shown again:\n\n  {}\n",
        words.phrase().as_str()
    ));
}

/// Returns a sid as people pass it on.
pub(crate) fn sid_text(certificate: &Certificate) -> String {
    HEXLOWER.encode(&certificate.sid())
}

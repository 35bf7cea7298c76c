//! The old device's side: it hears who asks, has the person type digits, and makes every certificate itself.

use std::path::PathBuf;
use std::time::Duration;

use data_encoding::HEXLOWER;
use identity::cert::{Body, Certificate, Device, UserKey};
use identity::did::Did;
use identity::key::kid_of;
use identity::limits::DEVICES_MAX;
use identity::pair::{self, Ending, Message, Nonce, Secret, SessionId, Side};
use identity::state::{DidState, Subject};
use identity::user_key::{Boxes, UserSeed, recipients};
use serde::{Deserialize, Serialize};

use super::{Channel, refused};
use crate::draft::Place;
use crate::error::ClientError;
use crate::home::DeviceKeys;
use crate::session::{Session, Signer};
use crate::{clock, rng, user_keys};

/// How long the new device may take for its next message.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long after a grant the new device may take to post it; longer, and it has to ask again.
const ARRIVES: Duration = Duration::from_secs(120);

/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(250);

/// How often a person may type digits.
const TRIES: u32 = 3;

/// What an old device answers in a pairing, kept so that a crash repeats it.
#[derive(Serialize, Deserialize)]
struct Answered {
    nonce: String,
    wrong: u32,
}

/// An old device that lets new ones in.
#[derive(Clone, Copy, Debug)]
pub struct Approver<'a> {
    /// The server.
    pub session: &'a Session,
    /// This device.
    pub keys: &'a DeviceKeys,
    /// Its DID.
    pub did: Did,
}

/// Somebody who asks, as far as it is known.
#[derive(Debug)]
pub struct Approval<'a> {
    approver: Approver<'a>,
    channel: Channel<'a>,
    /// The device that asks.
    pub device: Device,
    /// Online: the session, for what is kept of it, and the digits that the new device shows if nobody stands between.
    digits: Option<(SessionId, String, u32)>,
}

/// What became of typed digits.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// They are right.
    Right(Approval<'a>),
    /// They are wrong; so many tries are left.
    Wrong(Approval<'a>, u32),
    /// They were wrong for the last time: the pairing is over.
    Over,
}

impl<'a> Approver<'a> {
    /// Hears who asks in an online pairing; `None` if nobody does who could be let in.
    ///
    /// Errors: `pair_commitment` if the new device shows another nonce than it committed to; `too_many` with 32 devices.
    pub async fn hear(self, id: SessionId) -> Result<Option<Approval<'a>>, ClientError> {
        let mut channel = Channel::online(self.session, id);
        let (device, commitment) = loop {
            match channel.hear(PATIENCE).await? {
                None | Some(Message::End { .. }) => return Ok(None),
                Some(Message::Ask { did, device, commitment: Some(commitment) }) if did == self.did => {
                    break (device, commitment);
                }
                Some(Message::Ask { .. }) => return Ok(None),
                Some(_) => {}
            }
        };
        if !self.may_be_added(&device, &channel).await? {
            return Ok(None);
        }
        let (nonce, wrong) = self.answer_of(&id)?;
        channel.say(&Message::Answer { sign: self.keys.sign.public(), nonce }, None).await?;
        let of_new = loop {
            match channel.hear(PATIENCE).await? {
                None | Some(Message::End { .. }) => return Ok(None),
                Some(Message::Reveal { nonce }) => break nonce,
                Some(_) => {}
            }
        };
        if pair::commitment(&id, &device, &of_new) != commitment {
            let detail = "the new device shows another number than it committed to: somebody stands between";
            return Err(refused("pair_commitment", detail));
        }
        let digits = pair::digits(&id, &device, &self.keys.sign.public(), &of_new, &nonce);
        Ok(Some(Approval { approver: self, channel, device, digits: Some((id, digits, wrong)) }))
    }

    /// Says whose device a holder of the secret would become, and waits for the first who asks.
    pub async fn invite(self, secret: &Secret, within: Duration) -> Result<Option<Approval<'a>>, ClientError> {
        let mut channel = Channel::offline(self.session, secret.session(), secret.key(), Side::Old);
        channel.say(&Message::Hello { did: self.did }, None).await?;
        loop {
            match channel.hear(within).await? {
                None => return Ok(None),
                Some(Message::Ask { did, device, .. }) if did == self.did => {
                    return match self.may_be_added(&device, &channel).await? {
                        true => Ok(Some(Approval { approver: self, channel, device, digits: None })),
                        false => Ok(None),
                    };
                }
                Some(_) => {}
            }
        }
    }

    /// Whether the DID can take this device: not the 33rd, and not one it has.
    async fn may_be_added(self, device: &Device, channel: &Channel<'_>) -> Result<bool, ClientError> {
        let (state, _) = self.place().await?;
        if state.devices.iter().any(|known| known.sign == device.sign) {
            return Ok(false);
        }
        if state.devices.len() >= DEVICES_MAX {
            channel.say(&Message::End { reason: Ending::Full }, None).await?;
            return Err(refused("too_many", "this DID has 32 devices: revoke one first"));
        }
        Ok(true)
    }

    /// Returns this device's nonce in a pairing, the same after a crash, and how often digits were wrong.
    fn answer_of(self, id: &SessionId) -> Result<(Nonce, u32), ClientError> {
        let path = answer_path(id);
        let known = self.session.log().read_json::<Answered>(&path)?;
        let known =
            known.and_then(|known| Some((HEXLOWER.decode(known.nonce.as_bytes()).ok()?.try_into().ok()?, known.wrong)));
        if let Some(known) = known {
            return Ok(known);
        }
        let nonce = pair::nonce(&mut rng::system());
        self.keep_answer(id, &nonce, 0)?;
        Ok((nonce, 0))
    }

    fn keep_answer(self, id: &SessionId, nonce: &Nonce, wrong: u32) -> Result<(), ClientError> {
        self.session.log().keep_json(&answer_path(id), &Answered { nonce: HEXLOWER.encode(nonce), wrong })
    }

    async fn place(self) -> Result<(DidState, Place), ClientError> {
        let resolved = self.session.resolve_from_genesis(&Subject::Did(self.did)).await?;
        let state = resolved.did().ok_or_else(|| ClientError::Absent(self.did.to_string()))?.clone();
        let place = Place::after(self.did, &state.head, resolved.head(), clock::now());
        Ok((state, place))
    }
}

impl<'a> Approval<'a> {
    /// Returns whether a person has to type digits.
    pub fn asks_digits(&self) -> bool {
        self.digits.is_some()
    }

    /// Judges the digits a person typed.
    pub async fn judge(mut self, typed: &str) -> Result<Verdict<'a>, ClientError> {
        let Some((id, digits, wrong)) = &mut self.digits else { return Ok(Verdict::Right(self)) };
        let typed: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        if *wrong < TRIES && typed == *digits {
            return Ok(Verdict::Right(self));
        }
        *wrong += 1;
        let (nonce, _) = self.approver.answer_of(id)?;
        self.approver.keep_answer(id, &nonce, *wrong)?;
        let left = TRIES.saturating_sub(*wrong);
        if left > 0 {
            return Ok(Verdict::Wrong(self, left));
        }
        self.channel.say(&Message::End { reason: Ending::WrongDigits }, None).await?;
        Ok(Verdict::Over)
    }

    /// Says no.
    pub async fn reject(self) -> Result<(), ClientError> {
        self.channel.say(&Message::End { reason: Ending::Rejected }, None).await
    }

    /// Grants, and again whenever another certificate came between, until the log has the device.
    pub async fn grant(self) -> Result<(), ClientError> {
        let until = tokio::time::Instant::now() + ARRIVES;
        let mut granted = None;
        loop {
            let (state, place) = self.approver.place().await?;
            if state.devices.iter().any(|device| device.sign == self.device.sign) {
                if self.digits.is_none() {
                    // Whoever else has the secret is told that it was used.
                    self.channel.say(&Message::End { reason: Ending::Used }, None).await?;
                }
                return Ok(());
            }
            if granted != Some(state.head.sid) {
                for message in self.messages(&state, &place).await? {
                    self.channel.say(&message, None).await?;
                }
                granted = Some(state.head.sid);
            }
            if tokio::time::Instant::now() >= until {
                return Err(ClientError::Network("the new device did not take the grant; let it ask again".into()));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Makes the certificates: the device, and the next generation of the user key with a box for it.
    async fn messages(&self, state: &DidState, place: &Place) -> Result<Vec<Message>, ClientError> {
        let Approver { session, keys, did } = self.approver;
        let origin = session.trust().origin();
        let unsignable = |error| ClientError::Unable(format!("this cannot be certified: {error}"));
        let half = place.sign(Body::DeviceAdd(self.device), None, origin, &[&keys.sign]).map_err(unsignable)?;
        let mut next = state.clone();
        next.devices.push(identity::state::DeviceState {
            sign: self.device.sign,
            kex: self.device.kex,
            level: self.device.level,
            status: identity::state::DeviceStatus::Live,
            index: 0,
            until_ms: 0,
        });
        let turned = match user_keys::newest(session, Signer { did, keys }, state).await {
            Ok(previous) => Some(turned(&did, &next, previous.as_ref())?),
            // This device cannot open what is there; the new one has to wait for one that can.
            Err(ClientError::Refused(_)) => None,
            Err(error) => return Err(error),
        };
        let mut messages = Vec::new();
        let mut envelopes = vec![half.encode()];
        if let Some((body, boxes)) = turned {
            let second: Certificate =
                place.next(&half).sign(Body::UserKey(body), None, origin, &[&keys.sign]).map_err(unsignable)?;
            envelopes.push(second.encode());
            messages.push(Message::Boxes { boxes });
        }
        messages.push(Message::Grant { envelopes });
        Ok(messages)
    }

    /// Returns the kid of the device that asks, hex.
    pub fn kid(&self) -> String {
        HEXLOWER.encode(&kid_of(&self.device.sign).0)
    }
}

/// Makes the next generation of the user key for the recipients of `state`, with its boxes.
pub(crate) fn turned(
    did: &Did,
    state: &DidState,
    previous: Option<&UserSeed>,
) -> Result<(UserKey, Vec<u8>), ClientError> {
    let rng = &mut rng::system();
    let (seed, known) = (UserSeed::generate(rng), state.user_key.as_ref());
    let generation = known.map_or(1, |key| key.generation + 1);
    let extras = known.map(|key| key.extras.clone()).unwrap_or_default();
    let kexes: Vec<_> = extras.iter().map(|extra| extra.kex).collect();
    let boxes = Boxes::seal(did, generation, &seed, previous, &recipients(state, &kexes), rng);
    let boxes = boxes.map_err(|error| refused(error.code(), error.to_string()))?.encode();
    Ok((UserKey { key: seed.public(), boxes: Boxes::hash_of(&boxes), generation, extras }, boxes))
}

fn answer_path(id: &SessionId) -> PathBuf {
    PathBuf::from("approvals").join(format!("{}.json", id.hex()))
}

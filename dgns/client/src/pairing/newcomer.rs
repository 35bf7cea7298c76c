//! The new device's side: it asks, shows digits, and takes nothing but what it asked for.

use std::path::Path;
use std::time::Duration;

use data_encoding::HEXLOWER;
use identity::cert::{Body, Certificate, Device, UserKey};
use identity::did::Did;
use identity::pair::{self, Message, Nonce, Secret, SessionId, Side};
use identity::state::Subject;
use identity::user_key::{Boxes, UserSeed};
use serde::{Deserialize, Serialize};

use super::{Channel, refused};
use crate::error::ClientError;
use crate::home::DeviceKeys;
use crate::session::{Posted, Session};
use crate::{clock, rng, user_keys};

/// How long a pairing that was begun is gone on with: the relay forgets it after an hour.
const KEPT_MS: u64 = 50 * 60_000;

/// How long the old device may take to answer, digits included.
const PATIENCE: Duration = Duration::from_secs(50 * 60);

/// How long whoever has a secret waits for the one who made it.
const GREETED: Duration = Duration::from_secs(15);

/// Where a pairing that was begun is kept.
const FILE: &str = "joining.json";

/// What a new device wants.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The DID it asks for; offline the old device may name it.
    pub did: Option<Did>,
    /// The device, as the DID's chain is to have it.
    pub device: Device,
}

/// A pairing that was begun, so that a crash repeats it.
#[derive(Serialize, Deserialize)]
struct Begun {
    did: String,
    session: String,
    nonce: String,
    label_hash: String,
    level: u8,
    begun_ms: u64,
}

/// A new device on its way.
#[derive(Debug)]
pub struct Newcomer<'a> {
    session: &'a Session,
    channel: Channel<'a>,
    keys: DeviceKeys,
    wish: Wish,
    /// Online: the session and the nonce committed to.
    digits: Option<(SessionId, Nonce)>,
}

/// A device that belongs to its DID now.
#[derive(Debug)]
pub struct Joined {
    /// The DID.
    pub did: Did,
    /// The certificate that added it.
    pub posted: Posted,
    /// Whether it can open what is sealed to the person.
    pub has_user_key: bool,
}

impl<'a> Newcomer<'a> {
    /// Begins the online road, or goes on with the one that was begun: its keys and nonce are on disk before anything is said.
    pub fn online(session: &'a Session, keys: DeviceKeys, did: Did, mut device: Device) -> Result<Self, ClientError> {
        let path = Path::new(FILE);
        let now_ms = clock::now().as_ms();
        let known = session.log().read_json::<Begun>(path)?.and_then(|begun| begun.read(&did, now_ms));
        let (id, nonce) = match known {
            Some((id, nonce, label_hash)) => {
                device.label_hash = label_hash;
                (id, nonce)
            }
            None => {
                let rng = &mut rng::system();
                let (id, nonce) = (SessionId::generate(rng), pair::nonce(rng));
                let begun = Begun {
                    did: did.to_string(),
                    session: id.hex(),
                    nonce: HEXLOWER.encode(&nonce),
                    label_hash: HEXLOWER.encode(&device.label_hash),
                    level: device.level as u8,
                    begun_ms: now_ms,
                };
                session.log().keep_json(path, &begun)?;
                (id, nonce)
            }
        };
        let channel = Channel::online(session, id);
        let wish = Wish { did: Some(did), device };
        Ok(Self { session, channel, keys, wish, digits: Some((id, nonce)) })
    }

    /// Begins the offline road with a secret that was carried by hand.
    pub fn offline(session: &'a Session, keys: DeviceKeys, secret: &Secret, wish: Wish) -> Self {
        let channel = Channel::offline(session, secret.session(), secret.key(), Side::New);
        Self { session, channel, keys, wish, digits: None }
    }

    /// Asks, and waits until an old device lets this one in. `show` gets the digits for the person to type there.
    pub async fn join(self, show: impl FnOnce(&str)) -> Result<Joined, ClientError> {
        let log = self.session.log();
        let joined = self.ask(show).await;
        if matches!(joined, Ok(_) | Err(ClientError::Refused(_))) {
            // It is over, well or not: what comes next is another pairing.
            log.forget(Path::new(FILE))?;
        }
        joined
    }

    async fn ask(mut self, show: impl FnOnce(&str)) -> Result<Joined, ClientError> {
        let did = match self.digits {
            Some(_) => self.wish.did.ok_or_else(|| ClientError::Unable("whose device?".into()))?,
            None => self.hear_hello().await?,
        };
        let commitment = self.digits.as_ref().map(|(id, nonce)| pair::commitment(id, &self.wish.device, nonce));
        let ask = Message::Ask { did, device: self.wish.device, commitment };
        self.channel.say(&ask, self.digits.is_some().then_some(&did)).await?;
        if let Some((id, nonce)) = self.digits {
            let (old, of_old) = self.hear_answer().await?;
            self.channel.say(&Message::Reveal { nonce }, None).await?;
            show(&pair::digits(&id, &self.wish.device, &old, &nonce, &of_old));
        }
        self.take_grant(did).await
    }

    /// Waits for the device that made the secret, not for long: it said so before it showed it.
    async fn hear_hello(&mut self) -> Result<Did, ClientError> {
        loop {
            match self.channel.hear(GREETED).await? {
                None => {
                    return Err(refused(
                        "bad_secret",
                        "no device waits with this secret: was it typed right, is it still shown?",
                    ));
                }
                Some(Message::Hello { did }) if self.wish.did.is_none_or(|wanted| wanted == did) => return Ok(did),
                Some(Message::Hello { .. }) => return Err(refused("bad_secret", "the code names another DID")),
                Some(Message::End { reason }) => return Err(ended(reason.code())),
                Some(_) => {}
            }
        }
    }

    async fn hear_answer(&mut self) -> Result<([u8; 32], Nonce), ClientError> {
        loop {
            match self.hear().await? {
                Message::Answer { sign, nonce } => return Ok((sign, nonce)),
                Message::End { reason } => return Err(ended(reason.code())),
                _ => {}
            }
        }
    }

    async fn hear(&mut self) -> Result<Message, ClientError> {
        let heard = self.channel.hear(PATIENCE).await?;
        heard.ok_or_else(|| ClientError::Network("no device let this one in; run the command again".into()))
    }

    /// Takes the first grant that gives exactly what was asked; one that came too late is waited for again.
    async fn take_grant(mut self, did: Did) -> Result<Joined, ClientError> {
        let mut offered = None;
        loop {
            match self.hear().await? {
                Message::Boxes { boxes } => offered = Some(boxes),
                Message::End { reason } => return Err(ended(reason.code())),
                Message::Grant { envelopes } => {
                    let boxes = offered.as_deref();
                    let Some((certificates, seed)) = self.whole(&did, &envelopes, boxes).await? else { continue };
                    self.keys.did = Some(did);
                    self.session.log().keep_device(&self.keys)?;
                    let attachments: Vec<Vec<u8>> =
                        boxes.filter(|_| seed.is_some()).map(<[u8]>::to_vec).into_iter().collect();
                    let subject = Subject::Did(did);
                    match self.session.post_with(&certificates, &attachments, &subject).await {
                        Ok(posted) => return self.arrived(did, posted, seed),
                        // Another certificate came between: the old device grants again.
                        Err(ClientError::Refused(problem)) if problem.code == "stale_prev" => {
                            self.keys.did = None;
                            self.session.log().keep_device(&self.keys)?;
                        }
                        Err(ClientError::Refused(problem)) => {
                            self.keys.did = None;
                            self.session.log().keep_device(&self.keys)?;
                            return Err(ClientError::Refused(problem));
                        }
                        Err(error) => return Err(error),
                    }
                }
                _ => {}
            }
        }
    }

    fn arrived(self, did: Did, posted: Posted, seed: Option<(u64, UserSeed)>) -> Result<Joined, ClientError> {
        if let Some((generation, seed)) = &seed {
            user_keys::keep(self.session.log(), *generation, seed)?;
        }
        Ok(Joined { did, posted, has_user_key: seed.is_some() })
    }

    /// Returns the certificates of a grant with this device's signature, if they are what was asked for and nothing else.
    async fn whole(
        &self,
        did: &Did,
        envelopes: &[Vec<u8>],
        boxes: Option<&[u8]>,
    ) -> Result<Option<(Vec<Certificate>, Option<(u64, UserSeed)>)>, ClientError> {
        let Ok(certificates) = envelopes.iter().map(|bytes| Certificate::decode(bytes)).collect::<Result<Vec<_>, _>>()
        else {
            return Ok(None);
        };
        let [half, rest @ ..] = &certificates[..] else { return Ok(None) };
        let resolved = self.session.resolve_from_genesis(&Subject::Did(*did)).await?;
        let head = resolved.did().ok_or_else(|| ClientError::Absent(did.to_string()))?.head;
        let payload = half.payload();
        let asked = payload.body == Body::DeviceAdd(self.wish.device)
            && payload.subject == Some((*did).into())
            && (payload.seq, payload.prev) == (head.seq + 1, Some(head.sid));
        if !asked {
            return Ok(None);
        }
        let seed = match rest {
            [] => None,
            [second] => match (&second.payload().body, boxes) {
                (Body::UserKey(body), Some(boxes)) if second.payload().prev == Some(half.sid()) => {
                    Some((body.generation, self.seed_in(did, body, boxes)?))
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let signature = self.keys.sign.sign(&half.signed_bytes(self.session.trust().origin()));
        let whole = half.clone().with_signatures_added(&[(self.keys.sign.kid(), signature)]);
        let whole = whole.map_err(|error| ClientError::Unable(format!("the grant cannot be signed: {error}")))?;
        Ok(Some(([&[whole], rest].concat(), seed)))
    }

    fn seed_in(&self, did: &Did, body: &UserKey, boxes: &[u8]) -> Result<UserSeed, ClientError> {
        if Boxes::hash_of(boxes) != body.boxes {
            return Err(refused("bad_boxes", "the boxes are not those that the certificate names"));
        }
        let boxes = Boxes::decode(boxes).map_err(|error| refused(error.code(), error.to_string()))?;
        let seed = boxes.open(did, body.generation, &body.key, &self.keys.kex);
        seed.map_err(|error| refused(error.code(), error.to_string()))
    }
}

impl Begun {
    fn read(&self, did: &Did, now_ms: u64) -> Option<(SessionId, Nonce, [u8; 32])> {
        let fresh = self.begun_ms <= now_ms && now_ms < self.begun_ms + KEPT_MS && self.did == did.to_string();
        let bytes = |hex: &str| HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok();
        Some((SessionId::from_hex(&self.session)?, bytes(&self.nonce)?, bytes(&self.label_hash)?)).filter(|_| fresh)
    }
}

fn ended(code: &str) -> ClientError {
    let detail = match code {
        "pair_rejected" => "the other device said no",
        "pair_digits" => "the digits were wrong three times; begin again",
        "pair_used" => "the secret was used by another device",
        "too_many" => "this DID has 32 devices",
        _ => "the other device ended it",
    };
    refused(code, detail)
}

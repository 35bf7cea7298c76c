//! Two ends that prove each other inside their channel, and go on doing so (PROTOCOL 23.11).
//!
//! Cards bound each end's certificate to a device of the log; the hello binds the device to this connection. From then on the log
//! is followed: whose device is taken away there is cut off here.

mod follow;

use std::time::Duration;

use data_encoding::HEXLOWER;
use dgns_api::problem::Problem;
use identity::hash::Hash;
use lobby::Sess;
use lobby::card::{Side, SignedCard};
use lobby::limits::CONNECT_MS;
use lobby::peer_hello::PeerHello;
use lobby::share::Said;
use peer::{Channel, Link, LinkError};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use crate::attach::Who;
use crate::error::ClientError;
use crate::prover::Prover;

pub(crate) use follow::{Gone, until_gone};

/// When a hello is said again, ms after the time before: what comes before the other side of a channel is open may be lost.
const AGAIN_MS: [u64; 4] = [50, 100, 200, 400];

/// How long what was said last may take to the other end.
const ARRIVES: Duration = Duration::from_millis(500);

/// What two ends signed about one conversation.
pub(crate) struct Conversation {
    /// Which one.
    pub(crate) sess: Sess,
    /// What each signed.
    pub(crate) offer: SignedCard,
    /// See `offer`.
    pub(crate) answer: SignedCard,
}

impl Conversation {
    /// Returns the hello that an end must say.
    fn hello(&self, side: Side) -> PeerHello {
        let card = if side == Side::Client { self.offer.card() } else { self.answer.card() };
        let challenge = lobby::peer_hello::challenge(&self.offer, &self.answer);
        PeerHello { challenge, side, device: card.from, did: card.from_did }
    }

    /// Returns the certificate that an end named.
    pub(crate) fn fingerprint(&self, side: Side) -> Hash {
        let card = if side == Side::Client { &self.offer } else { &self.answer };
        card.card().body.transport().map_or([0; 32], |transport| transport.fingerprint)
    }

    /// Keeps what was signed as evidence and returns the fault that goes with it.
    pub(crate) fn fault(&self, prover: &Prover, code: &'static str, what: String) -> ClientError {
        keep_cards(prover, &self.sess, code, what, &[&self.offer, &self.answer])
    }
}

/// Keeps cards as evidence and returns the fault that goes with them.
pub(crate) fn keep_cards(
    prover: &Prover,
    sess: &Sess,
    code: &'static str,
    what: String,
    cards: &[&SignedCard],
) -> ClientError {
    let cards: Vec<String> = cards.iter().map(|card| HEXLOWER.encode(card.as_bytes())).collect();
    let value = json!({ "code": code, "what": what, "origin": prover.origin().as_str(), "cards": cards });
    let name = format!("lobby-{}-{code}.json", HEXLOWER.encode(sess));
    let evidence = prover.session().log().keep_evidence(&name, format!("{value}\n").as_bytes()).ok();
    ClientError::Proof { code, what, evidence }
}

/// Opens a link and exchanges hellos; nothing else is said before both are good, and both ends' heads fit together. A client shows
/// `token`, and is let ask when this returns; a host gets what the client shows, and lets it ask.
pub(crate) async fn meet(
    link: &Link,
    side: Side,
    talk: &Conversation,
    prover: &Prover,
    who: &Who,
    token: Option<String>,
) -> Result<Option<String>, ClientError> {
    let deadline = Instant::now() + Duration::from_millis(CONNECT_MS);
    let other = if side == Side::Client { Side::Host } else { Side::Client };
    let greeted = match link.open(&talk.fingerprint(other), deadline).await {
        Ok(()) => greet(link, side, talk, prover, who, (token, deadline)).await,
        Err(LinkError::WrongCertificate) => {
            let what = LinkError::WrongCertificate.to_string();
            Err(talk.fault(prover, LinkError::WrongCertificate.code(), what))
        }
        Err(error) => Err(of_link(&error)),
    };
    // First the heads: an end that finds a fork goes once its own hello is there, and the other finds it too.
    let held = match greeted {
        Ok(Greeted { head, token, goes_on }) => match head {
            Some(head) => match prover.hold(&head).await {
                Ok(()) => goes_on.map(|()| token),
                Err(fault) => {
                    sleep(ARRIVES).await;
                    Err(fault)
                }
            },
            None => goes_on.map(|()| token),
        },
        Err(error) => Err(error),
    };
    if held.is_err() {
        link.close().await;
    }
    held
}

/// What came of the hellos.
struct Greeted {
    /// The head that the other end shows.
    head: Option<Vec<u8>>,
    /// The token that it shows.
    token: Option<String>,
    /// Whether the other end is still there, and as a host lets the client ask.
    goes_on: Result<(), ClientError>,
}

/// Says one's own hello until the other end's came, and, as a client, its welcome.
async fn greet(
    link: &Link,
    side: Side,
    talk: &Conversation,
    prover: &Prover,
    who: &Who,
    (token, deadline): (Option<String>, Instant),
) -> Result<Greeted, ClientError> {
    let (mine, other) = if side == Side::Client { (side, Side::Host) } else { (side, Side::Client) };
    let envelope = talk.hello(mine).sign(prover.origin(), &who.key);
    let hello = Said::Hello { envelope, head: prover.head().await, token }.encode();
    let theirs = talk.hello(other);
    let (mut heard, mut said, mut shown) = (None, 0, None);
    let mut again = Instant::now();
    loop {
        tokio::select! {
            message = link.receive() => {
                let said = match message {
                    Some((_, message)) => Said::decode(&message),
                    None => Ok(Said::Bye { code: "closed".to_owned() }),
                };
                match said {
                    Ok(Said::Hello { envelope, head, token }) if heard.is_none() => {
                        if let Err(error) = theirs.verify(&envelope, prover.origin()) {
                            return Err(talk.fault(prover, "bad_peer_hello", error.to_string()));
                        }
                        (heard, shown) = (Some(head), token);
                    }
                    Ok(Said::Hello { .. }) => {}
                    Ok(Said::Welcome) if side == Side::Client && heard.is_some() => {
                        return Ok(Greeted { head: heard.flatten(), token: None, goes_on: Ok(()) });
                    }
                    Ok(Said::Bye { code }) => {
                        return Ok(Greeted { head: heard.flatten(), token: None, goes_on: Err(said_bye(&code)) });
                    }
                    _ => {
                        let what = "the other end says something before its hello".to_owned();
                        return Err(talk.fault(prover, "bad_peer_hello", what));
                    }
                }
                if side == Side::Host && heard.is_some() {
                    // The client stands, so this one arrives.
                    link.send(Channel::Control, &hello).await.map_err(|error| of_link(&error))?;
                    return Ok(Greeted { head: heard.flatten(), token: shown, goes_on: Ok(()) });
                }
            }
            () = sleep_until(again) => {
                link.send(Channel::Control, &hello).await.map_err(|error| of_link(&error))?;
                again = Instant::now() + Duration::from_millis(AGAIN_MS[said.min(AGAIN_MS.len() - 1)]);
                said += 1;
            }
            () = sleep_until(deadline) => return Err(ClientError::Network("the other end says no hello".to_owned())),
        }
    }
}

/// What the other end's last word means.
pub(crate) fn said_bye(code: &str) -> ClientError {
    let what = format!("the other end closed the connection ({code})");
    match code {
        "revoked" | "denied" | "no_audience" | "bad_token" => {
            ClientError::Refused(Box::new(Problem::new(403, code, what)))
        }
        _ if code.starts_with("token_") => ClientError::Refused(Box::new(Problem::new(403, code, what))),
        _ => ClientError::Network(what),
    }
}

/// What a broken link means to who wanted it.
pub(crate) fn of_link(error: &LinkError) -> ClientError {
    ClientError::Network(format!("{error} ({})", error.code()))
}

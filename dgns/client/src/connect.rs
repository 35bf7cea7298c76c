//! A client of a private server: the name resolved with proof, a knock, an answer that must be the name's own host's, a connection
//! on which both ends are proved (PROTOCOL 23.4 to 23.12).

mod get;
mod tend;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dgns_api::problem::Problem;
use identity::did::Did;
use identity::state::Subject;
use lobby::Sess;
use lobby::card::{Body, Card, CardRefusal, Ledger, Proved, Side, SignedCard, Taken, To};
use lobby::limits::{CARD_LIFE_S, EXPIRED_MS};
use lobby::message::Frame;
use lobby::share::{Listed, Said};
use peer::{Channel, Link, Settings};
use rand_core::Rng as _;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::attach::{Attached, Event, Who, attach};
use crate::error::ClientError;
use crate::host::over;
use crate::peering::{Conversation, Gone, keep_cards, meet, of_link, said_bye, until_gone};
use crate::prover::{Proven, Prover};
use crate::{clock, rng};

use tend::Tending;

pub use get::{Got, Opened};

/// How long the lobby may take to welcome.
const WELCOME: Duration = Duration::from_secs(15);

/// How long an answer to a question may take.
const ANSWER: Duration = Duration::from_secs(30);

/// A connection to the host of a name, both ends proved.
pub struct Connection {
    link: Arc<Link>,
    prover: Prover,
    talk: Conversation,
    host: Proven,
    ids: u64,
    gone: watch::Receiver<Option<Gone>>,
    /// What follows the log's word of the host, and what keeps the path.
    tasks: [AbortHandle; 2],
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Connects to the host of a name.
///
/// Errors: [`ClientError::Absent`] if the name is proved absent; [`ClientError::Network`] if nobody answers, which is all that
/// somebody learns who is not let in; [`ClientError::Refused`] if the host says so; [`ClientError::Proof`], with the cards kept,
/// if whoever answers is not the name's host.
pub async fn connect(prover: &Prover, who: &Who, name: &str, loopback: bool) -> Result<Connection, ClientError> {
    let host = prover.look_up(&Subject::Name(name.to_owned())).await?;
    let host = host.ok_or_else(|| ClientError::Absent(name.to_owned()))?;
    let (attached, mut events) = attach(prover.clone(), who.clone(), prover.session().server());
    let ice = timeout(WELCOME, here(prover, &mut events)).await;
    let ice = ice.map_err(|_| ClientError::Network("the lobby does not welcome".to_owned()))??;
    let (link, transport) = Link::offering(&Settings { ice, loopback }).await.map_err(|error| of_link(&error))?;
    let link = Arc::new(link);
    let mut sess = [0; 16];
    rng::system().fill_bytes(&mut sess);
    let card = Card {
        sess,
        seq: 0,
        from: who.key.public(),
        from_did: who.did,
        to: To::Did(host.did),
        expires_s: clock::now().as_s() + CARD_LIFE_S,
        body: Body::Offer { name: name.to_owned(), transport },
        head: None,
    };
    let offer = SignedCard::sign(&card, prover.origin(), &who.key);
    let offer = offer.map_err(|error| ClientError::Unable(format!("the offer is no card: {error}")))?;
    let mut ledger = Ledger::new(who.key.public(), who.did);
    let noted = ledger.offered(&offer, host.did, clock::now());
    noted.map_err(|error| ClientError::Unable(error.to_string()))?;
    let bytes = Bytes::copy_from_slice(offer.as_bytes());
    attached.post(sess, 0, Frame::Knock { id: 1, name: name.to_owned(), card: bytes, proof: None }).await;

    let mut waiting = Waiting { prover, name, offer, ledger, host, link: &link };
    let answer = waiting.answer(&mut events, &attached).await;
    attached.forget(sess).await;
    let answer = answer?;
    let Waiting { offer, host, ledger, .. } = waiting;
    let talk = Conversation { sess, offer, answer };
    let tending = Tending::new(prover, who, name, &talk, ledger, host.clone(), link.clone(), attached);
    let tend = tokio::spawn(tending.run(events)).abort_handle();
    if let Err(error) = meet(&link, Side::Client, &talk, prover, who).await {
        tend.abort();
        return Err(error);
    }
    let (gone, follow) = follow(prover, host.did, talk.answer.card().from, link.clone());
    Ok(Connection { link, prover: prover.clone(), talk, host, ids: 0, gone, tasks: [follow, tend] })
}

/// Waits until the lobby welcomes.
async fn here(
    prover: &Prover,
    events: &mut mpsc::Receiver<Event>,
) -> Result<Vec<lobby::message::IceServer>, ClientError> {
    let mut last = None;
    loop {
        match events.recv().await {
            Some(Event::Here { ice, head }) => {
                if let Some(head) = head {
                    prover.hold(&head).await?;
                }
                return Ok(ice);
            }
            Some(Event::Away(why)) if last.is_some() => {
                return Err(ClientError::Network(format!("no lobby: {why}")));
            }
            Some(Event::Away(why)) => last = Some(why),
            Some(Event::Over { code, what }) => return Err(over(&code, what)),
            Some(_) => {}
            None => return Err(ClientError::Network("the way to the lobby is closed".to_owned())),
        }
    }
}

/// Follows the log's word of the host while the link stands.
fn follow(
    prover: &Prover,
    did: Did,
    device: [u8; 32],
    link: Arc<Link>,
) -> (watch::Receiver<Option<Gone>>, AbortHandle) {
    let (tell, gone) = watch::channel(None);
    let prover = prover.clone();
    let task = tokio::spawn(async move {
        let stays = |proven: Option<&Proven>| proven.is_some_and(|proven| proven.has(&device));
        let why = until_gone(&prover, &did, stays).await;
        tell.send_replace(Some(why));
        link.close().await;
    });
    (gone, task.abort_handle())
}

/// A knock that was sent.
struct Waiting<'c> {
    prover: &'c Prover,
    name: &'c str,
    offer: SignedCard,
    ledger: Ledger,
    host: Proven,
    link: &'c Link,
}

impl Waiting<'_> {
    /// Waits for the answer of the name's host; what comes from anybody else ends it with a fault.
    async fn answer(
        &mut self,
        events: &mut mpsc::Receiver<Event>,
        attached: &Attached,
    ) -> Result<SignedCard, ClientError> {
        let sess = self.offer.card().sess;
        let deadline = Instant::now() + Duration::from_millis(EXPIRED_MS + 2_000);
        while let Ok(event) = timeout_at(deadline, events.recv()).await {
            match event {
                Some(Event::Signal(signal)) if signal.sess == sess => {
                    let Ok(card) = SignedCard::decode(&signal.card) else { continue };
                    if let Some(answer) = self.take(card).await? {
                        attached.answered(sess).await;
                        return Ok(answer);
                    }
                }
                Some(Event::Refused { code, sess: about, .. }) if about.is_none_or(|about| about == sess) => {
                    return Err(self.unavailable(&code));
                }
                Some(Event::Expired(of)) if of == sess => break,
                Some(Event::Over { code, what }) => return Err(over(&code, what)),
                Some(_) => {}
                None => break,
            }
        }
        Err(self.unavailable("expired"))
    }

    /// Judges a card (PROTOCOL 23.4). `None`: it is not the answer, and nothing to be afraid of.
    async fn take(&mut self, card: SignedCard) -> Result<Option<SignedCard>, ClientError> {
        match self.judge(&card) {
            Ok(Taken::Answer) => {}
            Err(CardRefusal::NotHost) => {
                // A device that was added since the name was looked up.
                let newest = self.prover.look_up(&Subject::Name(self.name.to_owned())).await?;
                self.host = newest.ok_or_else(|| ClientError::Absent(self.name.to_owned()))?;
                match self.judge(&card) {
                    Ok(Taken::Answer) => {}
                    Ok(_) => return self.not_answer(&card),
                    Err(refusal) => return Err(self.fault(&card, refusal)),
                }
            }
            Ok(_) => return self.not_answer(&card),
            // What was sent twice or late says nothing of anybody.
            Err(CardRefusal::Replayed) => return Ok(None),
            Err(refusal) => return Err(self.fault(&card, refusal)),
        }
        let Body::Answer { transport, .. } = &card.card().body else { return self.not_answer(&card) };
        self.link.answered(transport).await.map_err(|error| of_link(&error))?;
        Ok(Some(card))
    }

    fn judge(&mut self, card: &SignedCard) -> Result<Taken, CardRefusal> {
        let proved = Proved { did: &self.host.did, devices: &self.host.devices };
        self.ledger.take(card, proved, self.prover.origin(), clock::now())
    }

    fn not_answer(&self, card: &SignedCard) -> Result<Option<SignedCard>, ClientError> {
        match &card.card().body {
            Body::Deny { code, .. } | Body::Bye { code, .. } => {
                let what = format!("{} does not let this device in ({code})", self.name);
                Err(ClientError::Refused(Box::new(Problem::new(403, "denied", what))))
            }
            _ => Ok(None),
        }
    }

    fn fault(&self, card: &SignedCard, refusal: CardRefusal) -> ClientError {
        let what = format!("whoever answers for {} is not believed: {refusal}", self.name);
        keep_cards(self.prover, &self.offer.card().sess, refusal.code(), what, &[&self.offer, card])
    }

    fn unavailable(&self, code: &str) -> ClientError {
        ClientError::Network(match code {
            "unavailable" | "expired" => {
                format!("{} does not answer: it is offline, or not for this device ({code})", self.name)
            }
            "rate" | "quota" | "busy" => format!("the lobby is asked too often: try again in a minute ({code})"),
            other => format!("the lobby refuses the knock ({other})"),
        })
    }
}

impl Connection {
    /// Returns the host's DID.
    pub fn host(&self) -> &Did {
        &self.host.did
    }

    /// Returns the device that answered.
    pub fn device(&self) -> [u8; 32] {
        self.talk.answer.card().from
    }

    /// Returns the conversation's number.
    pub fn sess(&self) -> Sess {
        self.talk.sess
    }

    /// Ends the connection; the host notices at once.
    pub async fn close(self) {
        let _ = self.link.send(Channel::Control, &Said::Bye { code: "done".to_owned() }.encode()).await;
        self.link.close().await;
    }

    /// Returns every file that is served to this device.
    pub async fn list(&mut self) -> Result<Vec<Listed>, ClientError> {
        let mut files: Vec<Listed> = Vec::new();
        loop {
            let (id, after) = (self.id(), files.last().map(|file| file.path.clone()).unwrap_or_default());
            match self.ask(id, &Said::List { id, after: after.clone() }).await? {
                Said::Listing { files: more_files, more, .. } => {
                    let goes_on = more_files.first().is_none_or(|first| first.path > after);
                    let ascends = more_files.is_sorted_by(|one, other| one.path < other.path);
                    if !goes_on || !ascends || (more && more_files.is_empty()) {
                        return Err(self.nonsense());
                    }
                    files.extend(more_files);
                    if !more {
                        return Ok(files);
                    }
                }
                _ => return Err(self.nonsense()),
            }
        }
    }

    /// Hands on what a file holds from a place on, and whatever is added to it, until the connection ends.
    pub async fn tail(
        &mut self,
        path: &str,
        from: u64,
        mut take: impl FnMut(u64, &[u8]) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let id = self.id();
        self.say(&Said::Tail { id, path: path.to_owned(), from }).await?;
        let mut next = from;
        loop {
            match self.hear().await? {
                Said::Piece { id: of, offset, bytes, .. } if of == id => {
                    if offset != next {
                        return Err(self.nonsense());
                    }
                    next += bytes.len() as u64;
                    take(offset, &bytes)?;
                }
                Said::Err { id: of, code } if of == id => return Err(self.not_served(path, &code)),
                _ => {}
            }
        }
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// Asks and waits for the answer; whatever else comes meanwhile is of questions that were given up.
    async fn ask(&mut self, id: u64, said: &Said) -> Result<Said, ClientError> {
        self.say(said).await?;
        let deadline = Instant::now() + ANSWER;
        loop {
            let said = timeout_at(deadline, self.hear()).await;
            match said.map_err(|_| ClientError::Network("the host does not answer".to_owned()))?? {
                Said::Listing { id: of, .. } | Said::Opened { id: of, .. } | Said::IdsAre { id: of, .. }
                    if of != id => {}
                Said::Piece { .. } => {}
                Said::Err { id: of, code } if of == id => return Err(self.not_served("it", &code)),
                Said::Err { .. } => {}
                said => return Ok(said),
            }
        }
    }

    async fn say(&self, said: &Said) -> Result<(), ClientError> {
        match self.link.send(Channel::Control, &said.encode()).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.over().unwrap_or_else(|| of_link(&error))),
        }
    }

    /// Returns the next message that may mean something.
    async fn hear(&self) -> Result<Said, ClientError> {
        loop {
            let Some((_, message)) = self.link.receive().await else {
                let closed = || ClientError::Network("the connection to the host broke".to_owned());
                return Err(self.over().unwrap_or_else(closed));
            };
            match Said::decode(&message) {
                Ok(Said::Hello { .. } | Said::Welcome) => {}
                Ok(Said::Bye { code }) => return Err(said_bye(&code)),
                Ok(said) => return Ok(said),
                Err(_) => return Err(self.nonsense()),
            }
        }
    }

    /// Why this end closed the connection, if it did.
    fn over(&self) -> Option<ClientError> {
        match self.gone.borrow().clone()? {
            Gone::Judged => {
                let what = "the log no longer gives the host's device to the name's owner".to_owned();
                Some(self.talk.fault(&self.prover, "not_host", what))
            }
            Gone::Stale => Some(ClientError::Network("the log gave no news for a minute".to_owned())),
            Gone::Fault(fault) => Some(fault),
        }
    }

    fn not_served(&self, path: &str, code: &str) -> ClientError {
        match code {
            "not_found" => ClientError::Unable(format!("{path}: the host serves no such file to this device")),
            "changed" => ClientError::Network(format!("{path}: the file changed meanwhile")),
            other => ClientError::Unable(format!("{path}: the host does not give it ({other})")),
        }
    }

    fn nonsense(&self) -> ClientError {
        ClientError::Network("the host says what makes no sense here".to_owned())
    }
}

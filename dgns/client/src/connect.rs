//! A client of a private server: the name resolved with proof, a knock, an answer that must be the name's own host's, a connection
//! on which both ends are proved (PROTOCOL 23.4 to 23.12).

mod append;
mod get;
mod lanes;
mod logs;
mod store;
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
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::attach::{Event, Who, attach_to_one};
use crate::error::ClientError;
use crate::host::over;
use crate::peering::{Conversation, Gone, keep_cards, meet, of_link, said_bye, until_gone};
use crate::prover::{Proven, Prover};
use crate::{clock, nodes, rng};

use lanes::{Knocking, Lane};
use tend::Tending;

pub use append::{Appending, Line, Receipt, Remembered, too_long};
pub use get::{Got, Opened};
pub use logs::{Lease, Leased};
pub use store::AtHost;

/// How long the lobby may take to welcome.
const WELCOME: Duration = Duration::from_secs(15);

/// The nodes of a lobby over which a name is knocked at: home, second, one's own.
const WAYS_MAX: usize = 3;

/// Between a knock over one node and the same over the next: whoever answers does so sooner.
const NEXT_WAY: Duration = Duration::from_millis(300);

/// How long an answer to a question may take.
const ANSWER: Duration = Duration::from_secs(30);

/// A connection to the host of a name, both ends proved.
pub struct Connection {
    link: Arc<Link>,
    prover: Prover,
    who: Who,
    name: String,
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

/// Connects to the host of a name. With a token for it, the connection has what that allows besides what the host's rules give.
///
/// Errors: [`ClientError::Absent`] if the name is proved absent; [`ClientError::Network`] if nobody answers, which is all that
/// somebody learns who is not let in; [`ClientError::Refused`] if the host says so; [`ClientError::Proof`], with the cards kept,
/// if whoever answers is not the name's host.
pub async fn connect(
    prover: &Prover,
    who: &Who,
    name: &str,
    token: Option<&str>,
    loopback: bool,
) -> Result<Connection, ClientError> {
    let host = prover.look_up(&Subject::Name(name.to_owned())).await?;
    let host = host.ok_or_else(|| ClientError::Absent(name.to_owned()))?;
    // Where the lobby has one node nobody is asked which.
    let mut ways = match host.nodes.is_empty() {
        true => vec![prover.session().server().to_owned()],
        false => nodes::ways(prover.session(), &host.nodes).await,
    };
    ways.truncate(WAYS_MAX);
    knock(prover, who, name, token, loopback, host, &ways).await
}

/// Knocks at a name over the first of these nodes that is there, and soon over the others as well: the host may be where that one does
/// not reach, and whoever is nowhere is known to be after the time of one knock.
async fn knock(
    prover: &Prover,
    who: &Who,
    name: &str,
    token: Option<&str>,
    loopback: bool,
    host: Proven,
    ways: &[String],
) -> Result<Connection, ClientError> {
    let (attached, mut events) = attach_to_one(prover.clone(), who.clone(), ways);
    let further = ways.iter().skip(1).cloned().collect();
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
    let knock = Frame::Knock { id: 1, name: name.to_owned(), card: bytes, proof: None };
    let mut knocking = Knocking { prover, who, sess, knock, lanes: Vec::new(), further };
    knocking.add(attached, events).await;

    let mut waiting = Waiting { prover, name, offer, ledger, host, link: &link };
    let (answer, lane) = waiting.answer(&mut knocking).await?;
    let Lane { attached, events, .. } = knocking.lanes.swap_remove(lane);
    attached.forget(sess).await;
    let Waiting { offer, host, ledger, .. } = waiting;
    let talk = Conversation { sess, offer, answer };
    let tending = Tending::new(prover, who, name, &talk, ledger, host.clone(), link.clone(), attached);
    let tend = tokio::spawn(tending.run(events)).abort_handle();
    if let Err(error) = meet(&link, Side::Client, &talk, prover, who, token.map(str::to_owned)).await {
        tend.abort();
        return Err(error);
    }
    let (gone, follow) = follow(prover, host.did, talk.answer.card().from, link.clone());
    let (prover, who, name) = (prover.clone(), who.clone(), name.to_owned());
    Ok(Connection { link, prover, who, name, talk, host, ids: 0, gone, tasks: [follow, tend] })
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
    /// Waits for the answer of the name's host, and returns it with the way it came; what comes from anybody else ends it with a fault.
    async fn answer(&mut self, knocking: &mut Knocking<'_>) -> Result<(SignedCard, usize), ClientError> {
        let sess = self.offer.card().sess;
        let deadline = Instant::now() + Duration::from_millis(EXPIRED_MS + 2_000);
        let mut next_way = Instant::now() + NEXT_WAY;
        loop {
            if knocking.lanes.iter().all(|lane| lane.over.is_some()) && !knocking.add_next().await {
                let over = knocking.lanes.iter_mut().find_map(|lane| lane.over.take());
                return Err(over.unwrap_or_else(|| self.unavailable("expired")));
            }
            let (lane, event) = tokio::select! {
                next = knocking.next() => next,
                () = sleep_until(next_way), if !knocking.further.is_empty() => {
                    knocking.add_next().await;
                    next_way = Instant::now() + NEXT_WAY;
                    continue;
                }
                () = sleep_until(deadline) => return Err(self.unavailable("expired")),
            };
            let lane_over = match event {
                Some(Event::Signal(signal)) if signal.sess == sess => {
                    let Ok(card) = SignedCard::decode(&signal.card) else { continue };
                    if let Some(answer) = self.take(card).await? {
                        knocking.lanes[lane].attached.answered(sess).await;
                        return Ok((answer, lane));
                    }
                    continue;
                }
                Some(Event::Here { head, .. }) => {
                    knocking.lanes[lane].was_here = true;
                    if let Some(head) = head {
                        self.prover.hold(&head).await?;
                    }
                    continue;
                }
                Some(Event::Refused { code, sess: about, retry_ms, .. }) if about.is_none_or(|about| about == sess) => {
                    match retry_ms.filter(|_| code == "rate") {
                        Some(ms) => self.too_often(ms),
                        None => self.unavailable(&code),
                    }
                }
                Some(Event::Expired(of)) if of == sess => self.unavailable("expired"),
                // A node that is lost meanwhile is come back to; one that was never there is none.
                Some(Event::Away(why)) if !knocking.lanes[lane].was_here => {
                    ClientError::Network(format!("no lobby: {why}"))
                }
                Some(Event::Over { code, what }) => over(&code, what),
                Some(_) => continue,
                None => self.unavailable("expired"),
            };
            knocking.lanes[lane].over = Some(lane_over);
        }
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

    fn too_often(&self, retry_ms: u64) -> ClientError {
        let seconds = retry_ms.div_ceil(1_000);
        ClientError::Network(format!("the lobby is asked too often: try again in {seconds} s (rate)"))
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
                Said::Err { code, .. } => return Err(self.not_served("the list", &code)),
                _ => return Err(self.nonsense()),
            }
        }
    }

    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// Asks and waits for the answer, an `err` included; whatever else comes meanwhile is of questions that were given up.
    async fn ask(&mut self, id: u64, said: &Said) -> Result<Said, ClientError> {
        self.say(said).await?;
        let deadline = Instant::now() + ANSWER;
        loop {
            let said = timeout_at(deadline, self.hear()).await;
            let said = said.map_err(|_| ClientError::Network("the host does not answer".to_owned()))??;
            if said.answers() == Some(id) {
                return Ok(said);
            }
        }
    }

    /// Says something as it is: for whoever speaks the protocol by themselves.
    pub async fn say(&self, said: &Said) -> Result<(), ClientError> {
        self.say_bytes(&said.encode()).await
    }

    /// Sends bytes in the control channel, whatever they are.
    pub async fn say_bytes(&self, message: &[u8]) -> Result<(), ClientError> {
        match self.link.send(Channel::Control, message).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.over().unwrap_or_else(|| of_link(&error))),
        }
    }

    /// Returns the next message that may mean something.
    pub async fn hear(&self) -> Result<Said, ClientError> {
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

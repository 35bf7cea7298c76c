//! The path of a connection that stands, renewed through whatever lobby there is when it breaks (PROTOCOL 23.11).
//!
//! The connection itself stays: certificates, channels, what is under way in them. Only where packets go is settled anew, by cards
//! that are judged as those before.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lobby::Sess;
use lobby::card::{Body, Card, Ledger, Proved, Side, SignedCard, Taken, To};
use lobby::limits::CARD_LIFE_S;
use lobby::message::Frame;
use peer::{Link, LinkError, Path};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::attach::{Attached, Event, Who};
use crate::clock;
use crate::peering::Conversation;
use crate::prover::{Proven, Prover};

/// How long an attempt may take: longer than a card is sent again.
const ATTEMPT: Duration = Duration::from_secs(12);

/// What keeps the path.
pub(super) struct Tending {
    prover: Prover,
    who: Who,
    name: String,
    sess: Sess,
    offer: SignedCard,
    /// The device that answers.
    peer: [u8; 32],
    ledger: Ledger,
    host: Proven,
    link: Arc<Link>,
    attached: Attached,
    /// The number of the card before.
    seq: u64,
}

impl Tending {
    #[expect(clippy::too_many_arguments, reason = "all that a knock made, and each once")]
    pub(super) fn new(
        prover: &Prover,
        who: &Who,
        name: &str,
        talk: &Conversation,
        ledger: Ledger,
        host: Proven,
        link: Arc<Link>,
        attached: Attached,
    ) -> Self {
        let (sess, offer, peer) = (talk.sess, talk.offer.clone(), talk.answer.card().from);
        let (prover, who, name) = (prover.clone(), who.clone(), name.to_owned());
        Self { prover, who, name, sess, offer, peer, ledger, host, link, attached, seq: 0 }
    }

    /// Goes on as long as the connection does; reads on meanwhile, so that the task that is attached never waits.
    pub(super) async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        let mut path = self.link.path();
        // Until when an attempt is waited for.
        let mut attempt: Option<Instant> = None;
        loop {
            let now = *path.borrow_and_update();
            let over = attempt.is_some_and(|until| until <= Instant::now());
            match now {
                Path::Stands => attempt = None,
                Path::Doubted | Path::Sought if over || (attempt.is_none() && now == Path::Doubted) => {
                    if self.ask().await.is_err() {
                        return;
                    }
                    attempt = Some(Instant::now() + ATTEMPT);
                }
                Path::Doubted | Path::Sought => {}
            }
            tokio::select! {
                event = events.recv() => match event {
                    Some(Event::Signal(signal)) if signal.sess == self.sess => self.take(&signal.card).await,
                    Some(_) => {}
                    None => return,
                },
                changed = path.changed() => if changed.is_err() { return },
                () = sleep_until(attempt.unwrap_or_else(Instant::now)), if attempt.is_some() => {}
            }
        }
    }

    /// Offers again. As a knock: the lobby may have forgotten the conversation.
    async fn ask(&mut self) -> Result<(), LinkError> {
        let transport = self.link.restarting().await?;
        self.seq += 1;
        let card = Card {
            sess: self.sess,
            seq: self.seq,
            from: self.who.key.public(),
            from_did: self.who.did,
            to: To::Device(self.peer),
            expires_s: clock::now().as_s() + CARD_LIFE_S,
            body: Body::RestartOffer { offer: self.offer.payload_hash(), transport },
            head: None,
        };
        let Ok(signed) = SignedCard::sign(&card, self.prover.origin(), &self.who.key) else { return Ok(()) };
        let card = Bytes::copy_from_slice(signed.as_bytes());
        let frame = Frame::Knock { id: self.seq, name: self.name.clone(), card, proof: None };
        self.attached.forget(self.sess).await;
        self.attached.post(self.sess, self.seq, frame).await;
        Ok(())
    }

    /// Takes a card of the host; what is not believed changes nothing, and the connection needs none.
    async fn take(&mut self, card: &[u8]) {
        let Ok(signed) = SignedCard::decode(card) else { return };
        self.ledger.keep(&self.sess, Side::Client, clock::now());
        let proved = Proved { did: &self.host.did, devices: &self.host.devices };
        let taken = self.ledger.take(&signed, proved, self.prover.origin(), clock::now());
        let card = signed.card();
        match (taken, &card.body) {
            (Ok(Taken::More), Body::RestartAnswer { transport, .. }) if card.seq == self.seq => {
                self.attached.answered(self.sess).await;
                let _ = self.link.answered(transport).await;
            }
            (Ok(Taken::More), Body::Candidates { ufrag, candidates, .. }) => {
                let _ = self.link.more(ufrag, candidates).await;
            }
            (Ok(Taken::End), _) => self.link.close().await,
            _ => {}
        }
    }
}

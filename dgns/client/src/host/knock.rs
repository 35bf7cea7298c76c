//! A knock, judged: form, signature, log, rules; and only then a connection (PROTOCOL 23.4, 23.6).

use std::sync::Arc;

use bytes::Bytes;
use identity::key::kid_of;
use lobby::Sess;
use lobby::card::{Body, Card, Proved, Side, SignedCard, Taken, To, Transport};
use lobby::guest;
use lobby::limits::CARD_LIFE_S;
use lobby::message::{Frame, Signal};
use peer::{Link, Settings};
use tokio::sync::watch;
use tokio::time::Instant;

use super::rules::Rights;
use super::{Fate, GUEST_LINKS_MAX, Host, LINKS_MAX, LINKS_OF_DID_MAX, Open, Told, lock};
use crate::clock;
use crate::error::ClientError;
use crate::peering::Conversation;
use crate::prover::Proven;

/// Why a knock leads to nothing. The knocker is not told, unless the rules say so.
enum NotLetIn {
    /// By this code; the log's word of the knocker is known, and so it may be told.
    Refused(&'static str),
    /// By this code, before anything was proved of the knocker.
    Unproved(&'static str),
    /// The log cannot be asked; it may knock again.
    Unknown(ClientError),
}

impl Host {
    /// Takes a card that came through the lobby.
    pub(super) async fn signal(self: &Arc<Self>, signal: Signal) {
        let Ok(card) = SignedCard::decode(&signal.card) else { return };
        match &card.card().body {
            Body::Offer { transport, .. } => {
                let transport = transport.clone();
                self.knock(card, transport).await;
            }
            _ => self.more(&card).await,
        }
    }

    async fn knock(self: &Arc<Self>, offer: SignedCard, theirs: Transport) {
        let verdict = match self.let_in(&offer).await {
            Ok((proven, rights, until)) => match self.answer(&offer, &theirs, &proven, (rights, until)).await {
                Ok(()) => "let_in",
                Err(code) => code,
            },
            Err(NotLetIn::Refused(code)) => {
                if self.rules().answer {
                    self.send(&offer, 0, Body::Deny { offer: offer.payload_hash(), code: "denied".to_owned() }).await;
                }
                code
            }
            Err(NotLetIn::Unproved(code)) => code,
            Err(NotLetIn::Unknown(fault @ ClientError::Proof { .. })) => {
                self.say(Told::Fault(fault)).await;
                "log_fault"
            }
            Err(NotLetIn::Unknown(_)) => "log_unreachable",
        };
        let Card { from, from_did: did, .. } = *offer.card();
        let name = self.name_of(&offer).await;
        let did = (!guest::is_guest(&from, &did)).then_some(did);
        self.say(Told::Knock { did, name, device: kid_of(&from), verdict: verdict.to_owned() }).await;
    }

    /// Judges an offer.
    async fn let_in(&self, offer: &SignedCard) -> Result<(Proven, Rights, Option<Instant>), NotLetIn> {
        let card = offer.card();
        if !matches!(&card.body, Body::Offer { name, .. } if *name == self.name) {
            return Err(NotLetIn::Unproved("wrong_name"));
        }
        // Before the log is asked: whoever has no key costs a signature check and no more.
        offer.verify(self.prover.origin()).map_err(|_| NotLetIn::Unproved("bad_signature"))?;
        let proven = self.prover.look_up_sender(card.from, &card.from_did).await.map_err(NotLetIn::Unknown)?;
        let proven = proven.ok_or(NotLetIn::Unproved("not_host"))?;
        let said = Proved { did: &proven.did, devices: &proven.devices };
        let taken = lock(&self.ledger).take(offer, said, self.prover.origin(), clock::now());
        match taken {
            Ok(Taken::Offer) => {}
            Ok(_) => return Err(NotLetIn::Unproved("bad_card")),
            Err(refusal) => return Err(NotLetIn::Unproved(refusal.code())),
        }
        match self.judge(&proven, &kid_of(&card.from), &card.sess).await {
            Some((rights, until)) => Ok((proven, rights, until)),
            None => {
                lock(&self.ledger).end(&card.sess, Side::Host);
                Err(NotLetIn::Refused("denied"))
            }
        }
    }

    /// Makes a connection and answers; its own task goes on from there.
    async fn answer(
        self: &Arc<Self>,
        offer: &SignedCard,
        theirs: &Transport,
        proven: &Proven,
        (rights, until): (Rights, Option<Instant>),
    ) -> Result<(), &'static str> {
        let (sess, did) = (offer.card().sess, proven.did);
        let is_full = {
            let open = lock(&self.open);
            let guests = || open.values().filter(|open| open.guest).count();
            open.len() >= LINKS_MAX
                || open.values().filter(|open| open.did == did).count() >= LINKS_OF_DID_MAX
                || (proven.guest && guests() >= GUEST_LINKS_MAX)
        };
        if is_full {
            return Err("busy");
        }
        let settings = Settings { ice: lock(&self.ice).clone(), loopback: self.loopback };
        let (link, transport) = Link::answering(&settings, theirs).await.map_err(|error| error.code())?;
        let link = Arc::new(link);
        let (fate, told) = watch::channel(Fate { rights: rights.clone(), end: None });
        let open = Open { did, guest: proven.guest, link: link.clone(), offer: offer.clone(), fate };
        lock(&self.open).insert(sess, open);
        let answer = self.send(offer, 0, Body::Answer { offer: offer.payload_hash(), transport }).await;
        let Some(answer) = answer else {
            lock(&self.open).remove(&sess);
            return Err("bad_card");
        };
        let host = self.clone();
        let talk = Conversation { sess, offer: offer.clone(), answer };
        tokio::spawn(async move { host.converse(link, talk, (rights, until), told).await });
        Ok(())
    }

    /// Takes what belongs to an open conversation: further candidates, a path to be renewed, its end.
    async fn more(&self, card: &SignedCard) {
        let Card { sess, seq, from, from_did, .. } = *card.card();
        let open = lock(&self.open).get(&sess).map(|open| (open.link.clone(), open.offer.clone()));
        let Some((link, offer)) = open else { return };
        let Ok(Some(proven)) = self.prover.look_up_sender(from, &from_did).await else { return };
        let said = Proved { did: &proven.did, devices: &proven.devices };
        let taken = {
            let mut ledger = lock(&self.ledger);
            ledger.keep(&sess, Side::Host, clock::now());
            ledger.take(card, said, self.prover.origin(), clock::now())
        };
        match (taken, &card.card().body) {
            (Ok(Taken::More), Body::RestartOffer { transport, .. }) => {
                if let Ok(transport) = link.restarted(transport).await {
                    let body = Body::RestartAnswer { offer: offer.payload_hash(), transport };
                    self.send(&offer, seq, body).await;
                }
            }
            (Ok(Taken::More), Body::Candidates { ufrag, candidates, .. }) => {
                let _ = link.more(ufrag, candidates).await;
            }
            (Ok(Taken::End), _) => link.close().await,
            _ => {}
        }
    }

    /// Signs a card to whoever made an offer, and sends it until it is acknowledged. Its number is that of the card it answers.
    async fn send(&self, offer: &SignedCard, seq: u64, body: Body) -> Option<SignedCard> {
        let Card { sess, from: peer, .. } = *offer.card();
        let card = Card {
            sess,
            seq,
            from: self.who.key.public(),
            from_did: self.who.did,
            to: To::Device(peer),
            expires_s: clock::now().as_s() + CARD_LIFE_S,
            body,
            head: None,
        };
        let signed = SignedCard::sign(&card, self.prover.origin(), &self.who.key).ok()?;
        let card = Bytes::copy_from_slice(signed.as_bytes());
        self.attached.post(sess, seq, Frame::Signal(Signal { peer, sess, seq, card, proof: None })).await;
        Some(signed)
    }

    /// The first name of a knocker whom the log proved just now.
    async fn name_of(&self, offer: &SignedCard) -> Option<String> {
        let memory = self.prover.remembered(&offer.card().from_did).await?;
        memory.names.into_iter().next()
    }

    /// Removes a conversation that is over.
    pub(super) fn forget(&self, sess: &Sess) {
        lock(&self.open).remove(sess);
        lock(&self.ledger).end(sess, Side::Host);
    }
}

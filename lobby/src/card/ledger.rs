//! What an end knows of its conversations, and whether a card that arrives may be believed (PROTOCOL 23.4).
//!
//! Everything here happens before anything of a card reaches ICE. The keys of the other end come from the log: the caller proved
//! them, and says so in [`Proved`].

use std::collections::HashMap;

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::hash::Hash;
use identity::name::Origin;
use identity::time::Timestamp;

use super::{Body, Card, SignedCard, To};
use crate::Sess;
use crate::limits::{CARD_EARLY_S, CARD_LATE_S, OFFER_KEPT_MS, SESS_KEPT_MAX, SIDE_CANDIDATES_MAX};

/// Why a card is not believed. Nothing of it was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardRefusal {
    /// Its time is over, or has not come. Code `expired`.
    #[error("the card is of another time: check the clocks of both ends")]
    Expired,
    /// It is to somebody else. Code `wrong_target`.
    #[error("the card is to somebody else")]
    WrongTarget,
    /// An offer that was seen before, or a card of no sess that is open here. Code `replayed`.
    #[error("the card was seen before, or belongs to no open conversation")]
    Replayed,
    /// It names another offer than the one of its sess. Code `wrong_offer`.
    #[error("the card answers another offer")]
    WrongOffer,
    /// It comes from a device that the log does not give to its DID, or that does not host the name. Code `not_host`.
    #[error("the log does not say that this device may speak here")]
    NotHost,
    /// It is another device's sess. Code `wrong_sender`.
    #[error("another device speaks in this conversation")]
    WrongSender,
    /// The signature does not hold. Code `bad_signature`.
    #[error("the signature of the card does not hold")]
    BadSignature,
    /// The certificate changed within a sess. Code `fp_changed`.
    #[error("the other end names another certificate than before")]
    FingerprintChanged,
    /// More than 32 candidates of one side. Code `too_many_candidates`.
    #[error("a side names at most 32 candidates")]
    TooManyCandidates,
    /// Too many conversations at once. Code `busy`.
    #[error("too many conversations are open")]
    Busy,
}

impl CardRefusal {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::WrongTarget => "wrong_target",
            Self::Replayed => "replayed",
            Self::WrongOffer => "wrong_offer",
            Self::NotHost => "not_host",
            Self::WrongSender => "wrong_sender",
            Self::BadSignature => "bad_signature",
            Self::FingerprintChanged => "fp_changed",
            Self::TooManyCandidates => "too_many_candidates",
            Self::Busy => "busy",
        }
    }
}

/// What the log says of the sender's DID: proved by the caller.
#[derive(Clone, Copy, Debug)]
pub struct Proved<'a> {
    /// The DID.
    pub did: &'a Did,
    /// The Ed25519 keys of its live devices.
    pub devices: &'a [KeyBytes],
}

/// Which end of a sess this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Made the offer.
    Client,
    /// Was offered to.
    Host,
}

/// What an accepted card means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A new offer.
    Offer,
    /// The answer: the other end is bound to its device and certificate now.
    Answer,
    /// Something else of an open sess.
    More,
    /// The end of a sess.
    End,
}

/// One conversation.
#[derive(Clone, Debug)]
struct Talk {
    /// SHA-256 of the offer's payload.
    offer: Hash,
    /// Whose device answers: the DID the offer was to.
    peer_did: Did,
    /// The device at the other end; unknown to a client until it is answered.
    peer: Option<KeyBytes>,
    fingerprint: Option<Hash>,
    candidates: usize,
    open: bool,
    until: Timestamp,
}

/// The conversations of one device.
#[derive(Clone, Debug)]
pub struct Ledger {
    device: KeyBytes,
    did: Did,
    talks: HashMap<(Sess, Side), Talk>,
}

impl Ledger {
    /// Returns the ledger of a device of `did` that talks to nobody.
    pub fn new(device: KeyBytes, did: Did) -> Self {
        Self { device, did, talks: HashMap::new() }
    }

    /// Notes an offer of one's own to a host of `host`, whose DID the log proved.
    pub fn offered(&mut self, offer: &SignedCard, host: Did, now: Timestamp) -> Result<(), CardRefusal> {
        self.make_room(now)?;
        let talk = Talk {
            offer: offer.payload_hash(),
            peer_did: host,
            peer: None,
            fingerprint: None,
            candidates: 0,
            open: true,
            until: now.plus_ms(OFFER_KEPT_MS),
        };
        self.talks.insert((offer.card().sess, Side::Client), talk);
        Ok(())
    }

    /// Judges a card; what is refused changes nothing. `proved` is about the DID that the card names as its sender's.
    pub fn take(
        &mut self,
        signed: &SignedCard,
        proved: Proved<'_>,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Taken, CardRefusal> {
        let card = signed.card();
        is_fresh(card, now)?;
        if !self.is_to_me(card) {
            return Err(CardRefusal::WrongTarget);
        }
        match &card.body {
            Body::Offer { .. } => self.take_offer(signed, proved, origin, now),
            _ => self.take_more(signed, proved, origin, now),
        }
    }

    /// Ends a sess: nothing more is taken of it, and its offer stays known.
    pub fn end(&mut self, sess: &Sess, side: Side) {
        if let Some(talk) = self.talks.get_mut(&(*sess, side)) {
            talk.open = false;
        }
    }

    /// Keeps a sess that is in use: its connection stands.
    pub fn keep(&mut self, sess: &Sess, side: Side, now: Timestamp) {
        if let Some(talk) = self.talks.get_mut(&(*sess, side)) {
            talk.until = now.plus_ms(OFFER_KEPT_MS);
        }
    }

    /// Returns the device at the other end, once it is known.
    pub fn peer(&self, sess: &Sess, side: Side) -> Option<KeyBytes> {
        self.talks.get(&(*sess, side))?.peer
    }

    /// Returns the certificate that the other end named.
    pub fn fingerprint(&self, sess: &Sess, side: Side) -> Option<Hash> {
        self.talks.get(&(*sess, side))?.fingerprint
    }

    fn is_to_me(&self, card: &Card) -> bool {
        match card.to {
            To::Did(did) => did == self.did,
            To::Device(key) => key == self.device,
        }
    }

    fn take_offer(
        &mut self,
        signed: &SignedCard,
        proved: Proved<'_>,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Taken, CardRefusal> {
        let card = signed.card();
        let key = (card.sess, Side::Host);
        if self.talks.get(&key).is_some_and(|talk| talk.until >= now) {
            return Err(CardRefusal::Replayed);
        }
        speaks_for(card, proved, &card.from_did)?;
        signed.verify(origin).map_err(|_| CardRefusal::BadSignature)?;
        self.make_room(now)?;
        let talk = Talk {
            offer: signed.payload_hash(),
            peer_did: card.from_did,
            peer: Some(card.from),
            fingerprint: card.body.transport().map(|transport| transport.fingerprint),
            candidates: card.body.candidates().len(),
            open: true,
            until: now.plus_ms(OFFER_KEPT_MS),
        };
        self.talks.insert(key, talk);
        Ok(Taken::Offer)
    }

    fn take_more(
        &mut self,
        signed: &SignedCard,
        proved: Proved<'_>,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<Taken, CardRefusal> {
        let card = signed.card();
        // A sess is random, so only a device that talks to itself has both sides of one.
        let answers = matches!(card.body, Body::Answer { .. } | Body::RestartAnswer { .. } | Body::Deny { .. });
        let sides: &[Side] = if answers { &[Side::Client] } else { &[Side::Client, Side::Host] };
        let is_open = |talk: &Talk| talk.open && talk.until >= now;
        let open = |side: &&Side| self.talks.get(&(card.sess, **side)).is_some_and(is_open);
        let side = *sides.iter().find(open).ok_or(CardRefusal::Replayed)?;
        let talk = self.talks.get_mut(&(card.sess, side)).expect("it was found open");
        if card.body.offer() != Some(&talk.offer) {
            return Err(CardRefusal::WrongOffer);
        }
        match (talk.peer, &card.body) {
            (Some(peer), _) if peer != card.from => return Err(CardRefusal::WrongSender),
            (Some(_), _) | (None, Body::Answer { .. } | Body::Deny { .. }) => {}
            // Whoever has not answered has nothing else to say.
            (None, _) => return Err(CardRefusal::Replayed),
        }
        speaks_for(card, proved, &talk.peer_did)?;
        signed.verify(origin).map_err(|_| CardRefusal::BadSignature)?;
        let fingerprint = card.body.transport().map(|transport| transport.fingerprint);
        if let (Some(new), Some(old)) = (fingerprint, talk.fingerprint)
            && new != old
        {
            return Err(CardRefusal::FingerprintChanged);
        }
        let restart = matches!(card.body, Body::RestartOffer { .. } | Body::RestartAnswer { .. });
        let before = if restart { 0 } else { talk.candidates };
        let candidates = before + card.body.candidates().len();
        if candidates > SIDE_CANDIDATES_MAX {
            return Err(CardRefusal::TooManyCandidates);
        }
        talk.candidates = candidates;
        talk.peer = Some(card.from);
        talk.fingerprint = talk.fingerprint.or(fingerprint);
        talk.until = now.plus_ms(OFFER_KEPT_MS);
        Ok(match card.body {
            Body::Answer { .. } => Taken::Answer,
            Body::Deny { .. } | Body::Bye { .. } => {
                talk.open = false;
                Taken::End
            }
            _ => Taken::More,
        })
    }

    fn make_room(&mut self, now: Timestamp) -> Result<(), CardRefusal> {
        if self.talks.len() >= SESS_KEPT_MAX {
            self.talks.retain(|_, talk| talk.until >= now);
        }
        if self.talks.len() >= SESS_KEPT_MAX { Err(CardRefusal::Busy) } else { Ok(()) }
    }
}

fn is_fresh(card: &Card, now: Timestamp) -> Result<(), CardRefusal> {
    let (expires_s, now_s) = (card.expires_s, now.as_s());
    let fresh = expires_s.saturating_add(CARD_LATE_S) >= now_s && expires_s <= now_s.saturating_add(CARD_EARLY_S);
    if fresh { Ok(()) } else { Err(CardRefusal::Expired) }
}

/// Refuses a card unless the log gives its device to `did`, and the card says so.
fn speaks_for(card: &Card, proved: Proved<'_>, did: &Did) -> Result<(), CardRefusal> {
    let speaks = card.from_did == *did && proved.did == did && proved.devices.contains(&card.from);
    if speaks { Ok(()) } else { Err(CardRefusal::NotHost) }
}

//! Cards: what two ends tell each other through the lobby, signed by the device that says it (PROTOCOL 23.3).
//!
//! A card holds what an SDP would, field by field, and nothing that an end could be talked into: no second fingerprint, no other
//! algorithm, no lines of text. Decoding checks the form; whether a card may be believed [`Ledger`] decides.

mod candidate;
mod ledger;

use core::ops::RangeInclusive;

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::hash::{Hash, sha256};
use identity::key::{BadSignature, SigningKey, kid_of};
use identity::name::{self, Origin};
use identity::signed::{Signed, SignedRef};
use identity::wire::{Fields, Reader, WireError, Writer};

use crate::Sess;
use crate::guest;
use crate::limits::{CANDIDATE_BYTES_MAX, CANDIDATES_MAX, CARD_BYTES_MAX, SHOWN_HEAD_BYTES_MAX};

pub use candidate::{Address, Candidate, CandidateKind};
pub use ledger::{CardRefusal, Ledger, Proved, Side, Taken};

/// What a card's signature is good for.
const DOMAIN: &str = "dgns/card/v1";

/// What a card says. `S`, `L` and `H` are what is kept of its texts, candidates and head: all, or as in a [`Glance`] nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card<S = String, L = Vec<Candidate>, H = Vec<u8>> {
    /// Which conversation it belongs to.
    pub sess: Sess,
    /// Its number among the cards of this sender in the sess, from 0.
    pub seq: u64,
    /// The device that says it.
    pub from: KeyBytes,
    /// Its DID, or what stands in for a guest's.
    pub from_did: Did,
    /// To whom.
    pub to: To,
    /// Until when it is fresh, Unix seconds.
    pub expires_s: u64,
    /// What it says.
    pub body: Body<S, L>,
    /// The newest head the sender verified, as readers show it to each other.
    pub head: Option<H>,
}

/// To whom a card is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Whichever device of the DID hosts the name; in an offer alone.
    Did(Did),
    /// One device.
    Device(KeyBytes),
}

/// The kinds of cards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<S = String, L = Vec<Candidate>> {
    /// 1: wants to talk to whoever hosts a name.
    Offer {
        /// The name.
        name: S,
        /// How to be reached.
        transport: Transport<S, L>,
    },
    /// 2: says yes.
    Answer {
        /// SHA-256 of the offer's payload.
        offer: Hash,
        /// How to be reached.
        transport: Transport<S, L>,
    },
    /// 3: more candidates.
    Candidates {
        /// SHA-256 of the offer's payload.
        offer: Hash,
        /// The generation they belong to.
        ufrag: S,
        /// They.
        candidates: L,
        /// Whether no more come.
        last: bool,
    },
    /// 4: says no.
    Deny {
        /// SHA-256 of the offer's payload.
        offer: Hash,
        /// Why.
        code: S,
    },
    /// 5: ends the sess.
    Bye {
        /// SHA-256 of the offer's payload.
        offer: Hash,
        /// Why.
        code: S,
    },
    /// 6: the paths broke; new ones for the same connection.
    RestartOffer {
        /// SHA-256 of the offer's payload.
        offer: Hash,
        /// How to be reached now.
        transport: Transport<S, L>,
    },
    /// 7: says yes to that.
    RestartAnswer {
        /// SHA-256 of the offer's payload.
        offer: Hash,
        /// How to be reached now.
        transport: Transport<S, L>,
    },
}

/// How a side is reached, and what its DTLS certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport<S = String, L = Vec<Candidate>> {
    /// 4..=32 ICE characters.
    pub ufrag: S,
    /// 22..=64 ICE characters.
    pub pwd: S,
    /// SHA-256 of the DTLS certificate.
    pub fingerprint: Hash,
    /// Those known so far; at most 12.
    pub candidates: L,
    /// Whether no more come.
    pub last: bool,
    /// The bytes of a message that the side takes.
    pub message_max: u32,
}

impl<S, L> Body<S, L> {
    /// Returns the number of the kind.
    pub const fn kind(&self) -> u64 {
        match self {
            Self::Offer { .. } => 1,
            Self::Answer { .. } => 2,
            Self::Candidates { .. } => 3,
            Self::Deny { .. } => 4,
            Self::Bye { .. } => 5,
            Self::RestartOffer { .. } => 6,
            Self::RestartAnswer { .. } => 7,
        }
    }
}

impl Body {
    /// Returns the hash of the offer it belongs to; an offer names none.
    pub const fn offer(&self) -> Option<&Hash> {
        match self {
            Self::Offer { .. } => None,
            Self::Answer { offer, .. }
            | Self::Candidates { offer, .. }
            | Self::Deny { offer, .. }
            | Self::Bye { offer, .. }
            | Self::RestartOffer { offer, .. }
            | Self::RestartAnswer { offer, .. } => Some(offer),
        }
    }

    /// Returns how the sender is reached, if it says that.
    pub const fn transport(&self) -> Option<&Transport> {
        match self {
            Self::Offer { transport, .. }
            | Self::Answer { transport, .. }
            | Self::RestartOffer { transport, .. }
            | Self::RestartAnswer { transport, .. } => Some(transport),
            Self::Candidates { .. } | Self::Deny { .. } | Self::Bye { .. } => None,
        }
    }

    /// Returns the candidates it brings.
    pub fn candidates(&self) -> &[Candidate] {
        match self {
            Self::Candidates { candidates, .. } => candidates,
            other => other.transport().map_or(&[], |transport| &transport.candidates),
        }
    }

    /// The DTLS role of key 13: 1 for whoever asks (either), 2 for whoever answers (active).
    const fn setup(&self) -> u64 {
        match self {
            Self::Offer { .. } | Self::RestartOffer { .. } => 1,
            _ => 2,
        }
    }
}

impl Card {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = 7;
        let mut body = Writer::new();
        if let Body::Offer { name, .. } = &self.body {
            fields += 1;
            body.uint(7).text(name);
        }
        fields += 1;
        body.uint(8).uint(self.expires_s);
        if let Some(offer) = self.body.offer() {
            fields += 1;
            body.uint(9).bytes(offer);
        }
        match (&self.body, self.body.transport()) {
            (body_of, Some(transport)) => {
                fields += 4 + write_transport(&mut body, transport, body_of.setup()) + 1;
                body.uint(16).uint(transport.message_max.into());
            }
            (Body::Candidates { ufrag, candidates, last, .. }, None) => {
                fields += 1;
                body.uint(10).text(ufrag);
                fields += write_candidates(&mut body, candidates, *last);
            }
            (Body::Deny { code, .. } | Body::Bye { code, .. }, None) => {
                fields += 1;
                body.uint(17).text(code);
            }
            _ => {}
        }
        if let Some(head) = &self.head {
            fields += 1;
            body.uint(18).bytes(head);
        }
        let mut writer = Writer::with_capacity(512);
        let guest = usize::from(guest::is_guest(&self.from, &self.from_did));
        writer.map(fields - guest).uint(0).uint(1).uint(1).uint(self.body.kind()).uint(2).bytes(&self.sess);
        writer.uint(3).uint(self.seq).uint(4).bytes(&self.from);
        if guest == 0 {
            writer.uint(5).bytes(self.from_did.as_bytes());
        }
        match &self.to {
            To::Did(did) => writer.uint(6).bytes(did.as_bytes()),
            To::Device(key) => writer.uint(6).bytes(key),
        };
        writer.raw(&body.finish());
        writer.finish()
    }
}

/// A card whose whole form was held to the rules, and of which nothing is kept: what whoever passes it on needs.
pub type Glance<'a> = Card<&'a str, Unkept, &'a [u8]>;

/// Candidates that were read, and are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unkept;

impl FromIterator<Candidate> for Unkept {
    fn from_iter<I: IntoIterator<Item = Candidate>>(candidates: I) -> Self {
        candidates.into_iter().for_each(drop);
        Self
    }
}

impl<'a> Glance<'a> {
    /// Reads the card in an envelope of at most 3,072 bytes, where it lies; nobody has checked its signature.
    pub fn of(envelope: &'a [u8]) -> Result<Self, WireError> {
        Self::decode(SignedRef::decode(bounded(envelope)?)?.payload)
    }
}

impl<'a, S: From<&'a str>, L: FromIterator<Candidate>, H: From<&'a [u8]>> Card<S, L, H> {
    /// Reads the fields that the kind has, each in its one spelling: so what is read is what [`Card::encode`] writes.
    fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let mut fields = reader.fields()?;
        fields.required(0, |r| if r.uint()? == 1 { Ok(()) } else { Err(WireError::Unexpected) })?;
        let kind = fields.required(1, |r| r.uint_to(7))?;
        let sess = fields.required(2, Reader::fixed)?;
        let seq = fields.required(3, Reader::uint)?;
        let from = fields.required(4, Reader::fixed)?;
        let from_did = guest::did_of(fields.optional(5, Reader::fixed)?, &from)?;
        let to = fields.required(6, |r| {
            let bytes = r.bytes()?;
            match (<[u8; 20]>::try_from(bytes), <[u8; 32]>::try_from(bytes)) {
                (Ok(did), _) if kind == 1 => Ok(To::Did(Did::from_bytes(did))),
                (_, Ok(key)) => Ok(To::Device(key)),
                _ => Err(WireError::Unexpected),
            }
        })?;
        let name = if kind == 1 { Some(fields.required(7, read_name)?) } else { None };
        let expires_s = fields.required(8, Reader::uint)?;
        let body = match name {
            Some(name) => Body::Offer { name, transport: read_transport(&mut fields, 1)? },
            None => {
                let offer = fields.required(9, Reader::fixed)?;
                match kind {
                    2 => Body::Answer { offer, transport: read_transport(&mut fields, 2)? },
                    3 => {
                        let ufrag = fields.required(10, |r| ice_text(r, 4..=32))?;
                        let (candidates, last) = read_candidates(&mut fields)?;
                        Body::Candidates { offer, ufrag, candidates, last }
                    }
                    4 => Body::Deny { offer, code: fields.required(17, read_code)? },
                    5 => Body::Bye { offer, code: fields.required(17, read_code)? },
                    6 => Body::RestartOffer { offer, transport: read_transport(&mut fields, 1)? },
                    7 => Body::RestartAnswer { offer, transport: read_transport(&mut fields, 2)? },
                    _ => return Err(WireError::Unexpected),
                }
            }
        };
        let head = fields.optional(18, |r| {
            let head = r.bytes()?;
            if head.len() <= SHOWN_HEAD_BYTES_MAX { Ok(head.into()) } else { Err(WireError::Unexpected) }
        })?;
        fields.end()?;
        reader.end()?;
        Ok(Self { sess, seq, from, from_did, to, expires_s, body, head })
    }
}

/// Reads what [`write_transport`] writes, and key 16.
fn read_transport<'a, S: From<&'a str>, L: FromIterator<Candidate>>(
    fields: &mut Fields<'_, 'a>,
    setup: u64,
) -> Result<Transport<S, L>, WireError> {
    let ufrag = fields.required(10, |r| ice_text(r, 4..=32))?;
    let pwd = fields.required(11, |r| ice_text(r, 22..=64))?;
    let fingerprint = fields.required(12, Reader::fixed)?;
    fields.required(13, |r| if r.uint()? == setup { Ok(()) } else { Err(WireError::Unexpected) })?;
    let (candidates, last) = read_candidates(fields)?;
    let message_max = fields.required(16, |r| r.uint_to(u32::MAX.into()))? as u32;
    Ok(Transport { ufrag, pwd, fingerprint, candidates, last, message_max })
}

/// Reads what [`write_candidates`] writes: no list rather than an empty one, nothing rather than `false`.
fn read_candidates<L: FromIterator<Candidate>>(fields: &mut Fields<'_, '_>) -> Result<(L, bool), WireError> {
    let candidates = fields.optional(14, |r| {
        let count = r.array()?;
        if !(1..=CANDIDATES_MAX as u64).contains(&count) {
            return Err(WireError::Unexpected);
        }
        (0..count).map(|_| read_candidate(r)).collect()
    })?;
    let last = fields.optional(15, |r| if r.bool()? { Ok(()) } else { Err(WireError::Unexpected) })?;
    Ok((candidates.unwrap_or_else(|| L::from_iter([])), last.is_some()))
}

/// Writes keys 10 to 13, then the candidates, and returns how many keys these are.
fn write_transport(writer: &mut Writer, transport: &Transport, setup: u64) -> usize {
    writer.uint(10).text(&transport.ufrag).uint(11).text(&transport.pwd);
    writer.uint(12).bytes(&transport.fingerprint).uint(13).uint(setup);
    write_candidates(writer, &transport.candidates, transport.last)
}

/// Writes keys 14 and 15, and returns how many.
fn write_candidates(writer: &mut Writer, candidates: &[Candidate], last: bool) -> usize {
    let some = !candidates.is_empty();
    if some {
        writer.uint(14).array(candidates.len());
        for candidate in candidates {
            writer.bytes(&candidate.encode());
        }
    }
    if last {
        writer.uint(15).bool(true);
    }
    usize::from(some) + usize::from(last)
}

fn read_candidate(reader: &mut Reader<'_>) -> Result<Candidate, WireError> {
    let bytes = reader.bytes()?;
    if bytes.len() > CANDIDATE_BYTES_MAX {
        return Err(WireError::Unexpected);
    }
    Candidate::decode(bytes)
}

fn read_name<'a, S: From<&'a str>>(reader: &mut Reader<'a>) -> Result<S, WireError> {
    let name = reader.text()?;
    if name::is_well_formed(name) { Ok(name.into()) } else { Err(WireError::Unexpected) }
}

fn ice_text<'a, S: From<&'a str>>(reader: &mut Reader<'a>, length: RangeInclusive<usize>) -> Result<S, WireError> {
    let text = reader.text()?;
    let is_ice = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
    if is_ice && length.contains(&text.len()) { Ok(text.into()) } else { Err(WireError::Unexpected) }
}

fn read_code<'a, S: From<&'a str>>(reader: &mut Reader<'a>) -> Result<S, WireError> {
    let text = reader.text()?;
    let is_code = text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if is_code && (1..=32).contains(&text.len()) { Ok(text.into()) } else { Err(WireError::Unexpected) }
}

/// Returns an envelope that may be one of a card.
fn bounded(envelope: &[u8]) -> Result<&[u8], WireError> {
    if envelope.len() <= CARD_BYTES_MAX { Ok(envelope) } else { Err(WireError::Unexpected) }
}

/// A card with its signature, which nobody has checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCard {
    signed: Signed,
    card: Card,
}

impl SignedCard {
    /// Signs a card for the log of `origin`. Errors: what decoding would refuse.
    pub fn sign(card: &Card, origin: &Origin, key: &SigningKey) -> Result<Self, WireError> {
        Self::decode(Signed::sign(DOMAIN, origin, &card.encode(), key).as_bytes())
    }

    /// Decodes an envelope of at most 3,072 bytes and the card in it.
    pub fn decode(envelope: &[u8]) -> Result<Self, WireError> {
        let signed = Signed::decode(bounded(envelope)?)?;
        let card = Card::decode(signed.payload())?;
        Ok(Self { signed, card })
    }

    /// Returns the envelope.
    pub fn as_bytes(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// Returns what it says.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Returns SHA-256 of the payload: what the cards that follow an offer name.
    pub fn payload_hash(&self) -> Hash {
        sha256(&[self.signed.payload()])
    }

    /// Checks that the device it names signed it.
    pub fn verify(&self, origin: &Origin) -> Result<(), BadSignature> {
        if kid_of(&self.card.from) != self.signed.kid() {
            return Err(BadSignature);
        }
        self.signed.verify(DOMAIN, origin, &self.card.from)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

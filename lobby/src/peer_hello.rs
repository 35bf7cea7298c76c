//! The hello inside a channel: each end signs that it made this very connection (PROTOCOL 23.11).
//!
//! What it signs is bound to both cards, hence to both certificates: a hello of one connection is worth nothing on another, and
//! whoever sits between two connections has no hello that fits.

use identity::cert::KeyBytes;
use identity::did::Did;
use identity::hash::{Hash, domain_hash};
use identity::key::{BadSignature, SigningKey, kid_of};
use identity::name::Origin;
use identity::signed::Signed;
use identity::wire::{Reader, WireError, Writer};

use crate::card::{Side, SignedCard};
use crate::guest;

/// What its signature is good for.
const DOMAIN: &str = "dgns/peer-hello/v1";

/// Returns what both ends of a connection sign: `H(peer; SHA-256 of the offer's payload, SHA-256 of the answer's)`.
pub fn challenge(offer: &SignedCard, answer: &SignedCard) -> Hash {
    domain_hash("dgns/peer/v1", &[&offer.payload_hash(), &answer.payload_hash()])
}

/// What a hello inside a channel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerHello {
    /// Both cards in one hash.
    pub challenge: Hash,
    /// Which end says it; so none can be said back.
    pub side: Side,
    /// The device.
    pub device: KeyBytes,
    /// Its DID.
    pub did: Did,
}

/// Why a hello is not the one that is waited for. Nothing was asked or answered before it. Code `bad_peer_hello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other end does not prove that it made this connection")]
pub struct BadPeerHello;

impl PeerHello {
    /// Returns it signed for the log of `origin`.
    pub fn sign(&self, origin: &Origin, key: &SigningKey) -> Vec<u8> {
        Signed::sign(DOMAIN, origin, &self.encode(), key).as_bytes().to_vec()
    }

    /// Checks that `envelope` is this very hello, signed by its device.
    pub fn verify(&self, envelope: &[u8], origin: &Origin) -> Result<(), BadPeerHello> {
        let signed = Signed::decode(envelope).map_err(|_| BadPeerHello)?;
        let said = Self::decode(signed.payload()).map_err(|_| BadPeerHello)?;
        if said != *self || signed.kid() != kid_of(&self.device) {
            return Err(BadPeerHello);
        }
        signed.verify(DOMAIN, origin, &self.device).map_err(|BadSignature| BadPeerHello)
    }

    fn encode(&self) -> Vec<u8> {
        let side = if self.side == Side::Client { 1 } else { 2 };
        let mut writer = Writer::new();
        let guest = guest::is_guest(&self.device, &self.did);
        writer
            .map(4 - usize::from(guest))
            .uint(0)
            .bytes(&self.challenge)
            .uint(1)
            .uint(side)
            .uint(2)
            .bytes(&self.device);
        if !guest {
            writer.uint(3).bytes(self.did.as_bytes());
        }
        writer.finish()
    }

    fn decode(payload: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let mut fields = reader.fields()?;
        let challenge = fields.required(0, Reader::fixed)?;
        let side = match fields.required(1, |r| r.uint_to(2))? {
            1 => Side::Client,
            2 => Side::Host,
            _ => return Err(WireError::Unexpected),
        };
        let device = fields.required(2, Reader::fixed)?;
        let did = guest::did_of(fields.optional(3, Reader::fixed)?, &device)?;
        fields.end()?;
        reader.end()?;
        Ok(Self { challenge, side, device, did })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{NOW, Who, origin};
    use crate::vectors::{hex, hold};

    /// A conversation of two, and the hellos of both.
    fn hellos() -> (SignedCard, SignedCard, [(u8, PeerHello); 2]) {
        hellos_of(&Who::new(1))
    }

    fn hellos_of(client: &Who) -> (SignedCard, SignedCard, [(u8, PeerHello); 2]) {
        let host = Who::new(2);
        let offer = client.offer([7; 16], &host, NOW);
        let answer = host.answer(&offer, NOW);
        let challenge = challenge(&offer, &answer);
        let said = |who: &Who, side| PeerHello { challenge, side, device: who.device(), did: who.did };
        (offer, answer, [(1, said(client, Side::Client)), (2, said(&host, Side::Host))])
    }

    #[test]
    fn a_hello_is_of_one_end_of_one_connection() {
        // Goal: nothing but the hello waited for passes. Method: said back, of another connection, device or DID; by another key;
        // for another log; each byte flipped.
        let (_, _, [(_, client), (_, host)]) = hellos();
        let (key, other) = (Who::new(1).key, Who::new(2).key);
        let good = client.sign(&origin(), &key);
        assert_eq!(client.verify(&good, &origin()), Ok(()));
        let wrong = [
            PeerHello { side: Side::Host, ..client },
            PeerHello { challenge: [9; 32], ..client },
            PeerHello { did: host.did, ..client },
            host,
        ];
        for waited_for in wrong {
            assert_eq!(waited_for.verify(&good, &origin()), Err(BadPeerHello), "{waited_for:?}");
        }
        assert_eq!(client.verify(&client.sign(&origin(), &other), &origin()), Err(BadPeerHello));
        let elsewhere = Origin::parse("other.test/log").expect("an origin");
        assert_eq!(client.verify(&good, &elsewhere), Err(BadPeerHello));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(client.verify(&bad, &origin()), Err(BadPeerHello), "byte {at}");
        }
    }

    #[test]
    fn vectors_of_hellos_between_two_ends() {
        let mut cases = Vec::new();
        let both = [hellos_of(&Who::guest(1)), hellos()];
        for (offer, answer, (seed, hello)) in
            both.iter().flat_map(|(offer, answer, two)| two.iter().map(move |one| (offer, answer, one)))
        {
            cases.push(json!({
                "seed": hex(&[*seed; 32]),
                "origin": origin().as_str(),
                "offer": hex(offer.as_bytes()),
                "answer": hex(answer.as_bytes()),
                "challenge": hex(&hello.challenge),
                "side": if hello.side == Side::Client { 1 } else { 2 },
                "payload": hex(&hello.encode()),
                "envelope": hex(&hello.sign(&origin(), &Who::new(*seed).key)),
            }));
        }
        let (offer, answer, hellos) = hellos();
        let (_, host) = hellos[1];
        let key = Who::new(2).key;
        let replaced = |from: &[u8], to: &[u8]| {
            let payload = host.encode();
            let at = payload.windows(from.len()).position(|window| window == from).expect("it is there");
            [&payload[..at], to, &payload[at + from.len()..]].concat()
        };
        let payloads = [
            ("side 0", replaced(&[1, 2, 2], &[1, 0, 2])),
            ("side 3", replaced(&[1, 2, 2], &[1, 3, 2])),
            ("a longer spelling", replaced(&[1, 2, 2], &[1, 0x18, 2, 2])),
            ("bytes follow", [host.encode(), vec![0]].concat()),
            ("another connection", PeerHello { challenge: [9; 32], ..host }.encode()),
            ("said back", PeerHello { side: Side::Client, ..host }.encode()),
        ];
        for (what, payload) in payloads {
            let envelope = Signed::sign(DOMAIN, &origin(), &payload, &key);
            assert_eq!(host.verify(envelope.as_bytes(), &origin()), Err(BadPeerHello), "{what}");
            cases.push(json!({
                "what": what, "origin": origin().as_str(), "offer": hex(offer.as_bytes()), "answer": hex(answer.as_bytes()),
                "side": 2, "envelope": hex(envelope.as_bytes()), "refused": "bad_peer_hello",
            }));
        }
        let about = [
            "Hellos inside a channel (PROTOCOL 23.11): both cards, what is signed, by the key of the seed; what is refused.",
        ];
        hold("peer_hellos", &about, &cases);
    }
}

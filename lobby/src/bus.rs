//! What the nodes of one lobby hand each other, over a bus that nobody trusts (PROTOCOL 23.16): the same cards, and who they are for. Whatever
//! a hostile bus does, a hostile lobby could do as well.

use bytes::Bytes;
use identity::cert::KeyBytes;
use identity::did::Did;
use identity::hash::domain_hash;
use identity::wire::{Reader, WireError, Writer};

use crate::Sess;
use crate::limits::{CARD_BYTES_MAX, PROOF_BYTES_MAX};
use crate::message::Signal;

/// A node: random at each start, so that a node that comes back is another one.
pub type NodeId = [u8; 8];

/// What one node says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusMessage {
    /// 1: an offer to whoever hosts a name there.
    Knock {
        /// The client's device.
        device: KeyBytes,
        /// Its DID.
        did: Did,
        /// The name.
        name: String,
        /// The offer.
        card: Bytes,
        /// A Resolution of the client's DID.
        proof: Option<Bytes>,
    },
    /// 2: a card of a conversation; `peer` is whom it is for.
    Signal {
        /// The device that sends it.
        device: KeyBytes,
        /// Its DID.
        did: Did,
        /// It.
        signal: Signal,
    },
    /// 3: a signal was taken.
    Ack {
        /// The device that took it.
        device: KeyBytes,
        /// The device that sent it.
        peer: KeyBytes,
        /// The sess.
        sess: Sess,
        /// The signal.
        seq: u64,
    },
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To the nodes where a name is hosted.
    Name(String),
    /// To one node.
    Node(NodeId),
}

/// Returns what stands for a name on the bus: the first 16 bytes of `H(bus-name; name)`.
pub fn name_hash(name: &str) -> [u8; 16] {
    let hash = domain_hash("dgns/bus-name/v1", &[name.as_bytes()]);
    let mut short = [0; 16];
    short.copy_from_slice(&hash[..16]);
    short
}

impl BusMessage {
    /// Returns the bytes of a message from a node: deterministic CBOR.
    pub fn encode(&self, from: &NodeId) -> Vec<u8> {
        let mut writer = Writer::with_capacity(4_096);
        match self {
            Self::Knock { device, did, name, card, proof } => {
                writer.map(6 + usize::from(proof.is_some())).uint(0).uint(1).uint(1).bytes(from);
                writer.uint(2).bytes(device).uint(3).bytes(did.as_bytes()).uint(4).text(name).uint(5).bytes(card);
                proof.iter().for_each(|proof| {
                    writer.uint(6).bytes(proof);
                });
            }
            Self::Signal { device, did, signal } => {
                let Signal { peer, sess, seq, card, proof } = signal;
                writer.map(8 + usize::from(proof.is_some())).uint(0).uint(2).uint(1).bytes(from);
                writer.uint(2).bytes(device).uint(3).bytes(did.as_bytes()).uint(5).bytes(card);
                proof.iter().for_each(|proof| {
                    writer.uint(6).bytes(proof);
                });
                writer.uint(7).bytes(peer).uint(8).bytes(sess).uint(9).uint(*seq);
            }
            Self::Ack { device, peer, sess, seq } => {
                writer.map(6).uint(0).uint(3).uint(1).bytes(from).uint(2).bytes(device);
                writer.uint(7).bytes(peer).uint(8).bytes(sess).uint(9).uint(*seq);
            }
        }
        writer.finish()
    }

    /// Reads a message, and which node says it.
    pub fn decode(bytes: &[u8]) -> Result<(NodeId, Self), WireError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let kind = fields.required(0, Reader::uint)?;
        let from: NodeId = fields.required(1, Reader::fixed)?;
        let device: KeyBytes = fields.required(2, Reader::fixed)?;
        let bounded = |reader: &mut Reader<'_>, max: usize| {
            let bytes = reader.bytes()?;
            if bytes.len() <= max { Ok(Bytes::copy_from_slice(bytes)) } else { Err(WireError::Unexpected) }
        };
        let message = match kind {
            1 => Self::Knock {
                device,
                did: Did::from_bytes(fields.required(3, Reader::fixed)?),
                name: fields.required(4, |reader| reader.text().map(str::to_owned))?,
                card: fields.required(5, |reader| bounded(reader, CARD_BYTES_MAX))?,
                proof: fields.optional(6, |reader| bounded(reader, PROOF_BYTES_MAX))?,
            },
            2 => {
                let did = Did::from_bytes(fields.required(3, Reader::fixed)?);
                let card = fields.required(5, |reader| bounded(reader, CARD_BYTES_MAX))?;
                let proof = fields.optional(6, |reader| bounded(reader, PROOF_BYTES_MAX))?;
                let (peer, sess) = (fields.required(7, Reader::fixed)?, fields.required(8, Reader::fixed)?);
                let seq = fields.required(9, Reader::uint)?;
                Self::Signal { device, did, signal: Signal { peer, sess, seq, card, proof } }
            }
            3 => Self::Ack {
                device,
                peer: fields.required(7, Reader::fixed)?,
                sess: fields.required(8, Reader::fixed)?,
                seq: fields.required(9, Reader::uint)?,
            },
            _ => return Err(WireError::Unexpected),
        };
        fields.end()?;
        reader.end()?;
        Ok((from, message))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::vectors::{hex, hold};

    fn samples() -> Vec<BusMessage> {
        let bytes = |n: u8| Bytes::from(vec![n; 40]);
        let (device, did) = ([1; 32], Did::from_bytes([2; 20]));
        let signal = |proof| Signal { peer: [3; 32], sess: [4; 16], seq: 5, card: bytes(6), proof };
        vec![
            BusMessage::Knock { device, did, name: "db.alice.dgns.test".to_owned(), card: bytes(6), proof: None },
            BusMessage::Knock { device, did, name: "a.b".to_owned(), card: bytes(6), proof: Some(bytes(7)) },
            BusMessage::Signal { device, did, signal: signal(None) },
            BusMessage::Signal { device, did, signal: signal(Some(bytes(7))) },
            BusMessage::Ack { device, peer: [3; 32], sess: [4; 16], seq: 5 },
        ]
    }

    #[test]
    fn vectors_of_the_bus() {
        // Goal: what one node writes another reads, and nothing else. Method: each kind; every prefix and every byte of it changed.
        let from = [9; 8];
        let mut cases = Vec::new();
        for message in samples() {
            let bytes = message.encode(&from);
            assert_eq!(BusMessage::decode(&bytes), Ok((from, message.clone())));
            for at in 0..bytes.len() {
                assert!(BusMessage::decode(&bytes[..at]).is_err());
                let mut flipped = bytes.clone();
                flipped[at] ^= 1;
                assert_ne!(BusMessage::decode(&flipped), Ok((from, message.clone())));
            }
            cases.push(json!({ "message": hex(&bytes) }));
        }
        for bad in ["", "a0", "a100187f", "a3000401480909090909090909025820"] {
            assert!(BusMessage::decode(&data_encoding::HEXLOWER.decode(bad.as_bytes()).unwrap()).is_err());
            cases.push(json!({ "message": bad, "refused": true }));
        }
        cases.push(json!({ "name": "db.alice.dgns.test", "hash": hex(&name_hash("db.alice.dgns.test")) }));
        hold(
            "lobby_bus",
            &["What nodes of a lobby hand each other (PROTOCOL 23.16); what a name is called there."],
            &cases,
        );
    }
}

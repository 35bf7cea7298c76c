//! What the nodes of one lobby hand each other, over a bus that nobody trusts (PROTOCOL 23.16): the same cards and who they are for, who hosts
//! a name, and what grew. Whatever a hostile bus does, a hostile lobby could do as well.

mod told;

use bytes::Bytes;
use identity::cert::KeyBytes;
use identity::did::Did;
use identity::hash::domain_hash;
use identity::wire::{Reader, WireError, Writer};

use crate::guard::Guard;
use crate::limits::{CARD_BYTES_MAX, FRAME_BYTES_MAX, NODE_URL_BYTES_MAX, PROOF_BYTES_MAX};
#[cfg(doc)]
use crate::limits::{HOSTS_MAX, SIZES_MAX};
use crate::message::{Presence, Signal, Visible};
use crate::news::{News, Site};
use crate::{Grown, Sess};

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
    /// 4: who hosts a name there is asked.
    Ask {
        /// The name.
        name: String,
    },
    /// 5: who hosts a name at this node, all of them.
    Hosts {
        /// The name.
        name: String,
        /// At most [`HOSTS_MAX`]; none if nobody does any more.
        hosts: Vec<HostedThere>,
    },
    /// 6: how large logs of a name are.
    Sizes {
        /// The name.
        name: String,
        /// At most [`SIZES_MAX`] logs, and their bytes.
        sizes: Vec<([u8; 16], u64)>,
    },
    /// 7: a log grew, for those of its listeners that are not here.
    Grown(Grown),
}

/// A registration at another node, as far as others need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedThere {
    /// The DID that hosts.
    pub did: Did,
    /// Who is told.
    pub visible: Visible,
    /// Whether it is connected.
    pub state: Presence,
    /// Its number among those of the name.
    pub epoch: u64,
    /// Whom it lists.
    pub guard: Guard,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To the nodes where a name is hosted.
    Name(String),
    /// To one node.
    Node(NodeId),
    /// To the nodes where somebody follows a name.
    Followers(String),
    /// To the node that keeps what devices joined.
    People,
}

/// Returns what stands for a name on the bus: the first 16 bytes of `H(bus-name; name)`.
pub fn name_hash(name: &str) -> [u8; 16] {
    short_hash("dgns/bus-name/v1", name.as_bytes())
}

fn short_hash(domain: &'static str, of: &[u8]) -> [u8; 16] {
    let hash = domain_hash(domain, &[of]);
    let mut short = [0; 16];
    short.copy_from_slice(&hash[..16]);
    short
}

/// What a node asks that does not keep what devices joined, of the one that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    /// The device it is about: whose session asks, or that came.
    pub device: KeyBytes,
    /// Its DID.
    pub did: Did,
    /// What.
    pub wanted: Wanted,
}

/// What is wanted by an errand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What a session says: a frame, in CBOR. The frame that answers is the answer.
    Done(Bytes),
    /// What the device joined, in order: what comes after this one.
    Joined(Option<Site>),
}

impl Errand {
    /// Returns the bytes: deterministic CBOR `{2 device, 3 did, 15 frame}` or `{2 device, 3 did, 16 [] or [name, log 16]}`.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(3).uint(2).bytes(&self.device).uint(3).bytes(self.did.as_bytes());
        match &self.wanted {
            Wanted::Done(frame) => writer.uint(15).bytes(frame),
            Wanted::Joined(None) => writer.uint(16).array(0),
            Wanted::Joined(Some(after)) => writer.uint(16).array(2).text(&after.name).bytes(&after.log),
        };
        writer.finish()
    }

    /// Reads them.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let device = fields.required(2, Reader::fixed)?;
        let did = Did::from_bytes(fields.required(3, Reader::fixed)?);
        let wanted = match fields.optional(15, Reader::bytes)? {
            Some(frame) if frame.len() <= FRAME_BYTES_MAX => Wanted::Done(Bytes::copy_from_slice(frame)),
            Some(_) => return Err(WireError::Unexpected),
            None => Wanted::Joined(fields.required(16, told::after)?),
        };
        fields.end()?;
        reader.end()?;
        Ok(Self { device, did, wanted })
    }
}

/// Returns what stands for a device on the bus: the first 16 bytes of `H(bus-device; key)`.
pub fn device_hash(device: &KeyBytes) -> [u8; 16] {
    short_hash("dgns/bus-device/v1", device)
}

/// What a node says of itself to all: that it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alive {
    /// Which.
    pub node: NodeId,
    /// Where clients reach it: `https://` or `http://`, without a final slash.
    pub url: String,
}

impl Alive {
    /// Returns the bytes: deterministic CBOR `{1 node, 14 url}`.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(2).uint(1).bytes(&self.node).uint(14).text(&self.url);
        writer.finish()
    }

    /// Reads them.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let node = fields.required(1, Reader::fixed)?;
        let url = fields.required(14, |reader| reader.text().map(str::to_owned))?;
        fields.end()?;
        reader.end()?;
        let scheme = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
        match scheme && url.len() <= NODE_URL_BYTES_MAX && !url.ends_with('/') {
            true => Ok(Self { node, url }),
            false => Err(WireError::Unexpected),
        }
    }
}

impl BusMessage {
    /// Returns whether whoever says it wants to know that it was heard: it is not said again by the node itself.
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Self::Knock { .. } | Self::Signal { .. } | Self::Ack { .. })
    }

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
            Self::Ask { name } => {
                writer.map(3).uint(0).uint(4).uint(1).bytes(from).uint(4).text(name);
            }
            Self::Hosts { name, hosts } => {
                writer.map(4).uint(0).uint(5).uint(1).bytes(from).uint(4).text(name);
                told::put_hosts(writer.uint(10), hosts);
            }
            Self::Sizes { name, sizes } => {
                writer.map(4).uint(0).uint(6).uint(1).bytes(from).uint(4).text(name);
                told::put_sizes(writer.uint(11), sizes);
            }
            Self::Grown(grown) => {
                let Grown { news, owner, visible, guard } = grown;
                writer.map(7).uint(0).uint(7).uint(1).bytes(from);
                writer.uint(3).bytes(owner.as_bytes()).uint(4).text(&news.site.name);
                writer.uint(11);
                told::put_sizes(&mut writer, &[(news.site.log, news.size)]);
                writer.uint(12).uint(*visible as u64).uint(13).bytes(&told::guard_bytes(guard));
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
        let bounded = |reader: &mut Reader<'_>, max: usize| {
            let bytes = reader.bytes()?;
            if bytes.len() <= max { Ok(Bytes::copy_from_slice(bytes)) } else { Err(WireError::Unexpected) }
        };
        let message = match kind {
            1 => Self::Knock {
                device: fields.required(2, Reader::fixed)?,
                did: Did::from_bytes(fields.required(3, Reader::fixed)?),
                name: fields.required(4, told::name)?,
                card: fields.required(5, |reader| bounded(reader, CARD_BYTES_MAX))?,
                proof: fields.optional(6, |reader| bounded(reader, PROOF_BYTES_MAX))?,
            },
            2 => {
                let device = fields.required(2, Reader::fixed)?;
                let did = Did::from_bytes(fields.required(3, Reader::fixed)?);
                let card = fields.required(5, |reader| bounded(reader, CARD_BYTES_MAX))?;
                let proof = fields.optional(6, |reader| bounded(reader, PROOF_BYTES_MAX))?;
                let (peer, sess) = (fields.required(7, Reader::fixed)?, fields.required(8, Reader::fixed)?);
                let seq = fields.required(9, Reader::uint)?;
                Self::Signal { device, did, signal: Signal { peer, sess, seq, card, proof } }
            }
            3 => Self::Ack {
                device: fields.required(2, Reader::fixed)?,
                peer: fields.required(7, Reader::fixed)?,
                sess: fields.required(8, Reader::fixed)?,
                seq: fields.required(9, Reader::uint)?,
            },
            4 => Self::Ask { name: fields.required(4, told::name)? },
            5 => Self::Hosts { name: fields.required(4, told::name)?, hosts: fields.required(10, told::hosts)? },
            6 => Self::Sizes { name: fields.required(4, told::name)?, sizes: fields.required(11, told::sizes)? },
            7 => {
                let owner = Did::from_bytes(fields.required(3, Reader::fixed)?);
                let name = fields.required(4, told::name)?;
                let sizes: Vec<([u8; 16], u64)> = fields.required(11, told::sizes)?;
                let [(log, size)] = sizes[..] else { return Err(WireError::Unexpected) };
                let visible = fields.required(12, told::visible)?;
                let guard = fields.required(13, |reader| told::guard_of(reader.bytes()?))?;
                Self::Grown(Grown { news: News { site: Site { name, log }, size }, owner, visible, guard })
            }
            _ => return Err(WireError::Unexpected),
        };
        fields.end()?;
        reader.end()?;
        Ok((from, message))
    }
}

#[cfg(test)]
mod tests;

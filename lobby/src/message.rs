//! Frames: what travels between a client or host and a lobby (PROTOCOL 23.1).
//!
//! A frame is unsigned; what must be believed in it is an envelope of its own. The same frames have two forms, and a connection
//! speaks one of them.

mod value;

use bytes::Bytes;
use identity::cert::KeyBytes;
use identity::wire::WireError;

use crate::Sess;
use crate::guard::Guard;
use crate::limits::{
    CARD_BYTES_MAX, DATA_BYTES_MAX, ENDPOINT_BYTES_MAX, ENVELOPE_BYTES_MAX, FRAME_BYTES_MAX, GUARDED_MAX, NEWS_MAX,
    PROOF_BYTES_MAX, SHOWN_HEAD_BYTES_MAX, WATCHES_MAX,
};
use crate::news::{Change, News};
use value::{Fields, Names};

pub use value::{Form, Value};

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not of the form, or a field is missing or of another kind or size. Code `bad_frame`.
    #[error("not a frame of this protocol")]
    BadFrame,
    /// More than 16,384 bytes. Code `too_large`.
    #[error("a frame has at most 16,384 bytes")]
    TooLarge,
    /// A type that is not known. Code `unknown_type`.
    #[error("frames of this type are not known")]
    UnknownType {
        /// What the answer is to name, if the frame says it.
        id: Option<u64>,
    },
}

impl From<WireError> for FrameError {
    fn from(_: WireError) -> Self {
        Self::BadFrame
    }
}

/// Who is told whether a name is online.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Visible {
    /// Nobody.
    Hidden = 0,
    /// The owner's DID and those of the guard list.
    Authorised = 1,
    /// Everybody.
    Public = 2,
}

/// Whether a host of a name is here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Presence {
    /// None, as far as the asker may know.
    #[default]
    Offline = 0,
    /// One whose socket broke within the last 30 s.
    Away = 1,
    /// One that is connected.
    Online = 2,
}

/// Where a client gathers candidates: `[[url, ...], user, credential]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceServer {
    /// STUN and TURN URLs.
    pub urls: Vec<String>,
    /// The user name of TURN; empty for STUN.
    pub user: String,
    /// Its password; empty for STUN.
    pub credential: String,
}

impl IceServer {
    /// Returns it as a field.
    pub fn to_value(&self) -> Value {
        let urls = self.urls.iter().cloned().map(Value::Text).collect();
        Value::List(vec![Value::List(urls), Value::Text(self.user.clone()), Value::Text(self.credential.clone())])
    }

    /// Reads it from a field.
    pub fn of_value(value: &Value) -> Result<Self, FrameError> {
        let [urls, user, credential] = value.list()? else { return Err(FrameError::BadFrame) };
        let urls = urls.list()?.iter().map(|url| url.text().map(str::to_owned)).collect::<Result<_, _>>()?;
        Ok(Self { urls, user: user.text()?.to_owned(), credential: credential.text()?.to_owned() })
    }
}

/// A frame. C = by clients and hosts, S = by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// S 01: what the hello must answer; comes with the socket.
    Challenge(Challenge),
    /// C 02: who is here.
    Hello {
        /// The hello, signed.
        envelope: Vec<u8>,
        /// The newest head the client verified.
        head: Option<Vec<u8>>,
    },
    /// S 03: the session stands.
    Welcome(Welcome),
    /// C 04: frames up to this one were read.
    Seen {
        /// How many.
        n: u64,
    },
    /// 05: asks for a pong.
    Ping {
        /// Comes back.
        id: u64,
    },
    /// 06.
    Pong {
        /// Of the ping.
        id: u64,
    },
    /// S 07: the server stops.
    Restarting {
        /// In how many milliseconds it closes the connection.
        in_ms: u64,
        /// After how many more the client is to come back: another number for each.
        try_ms: u64,
    },
    /// 08: done.
    Ok {
        /// Of the frame that asked.
        id: u64,
        /// What was asked for.
        value: Option<Value>,
    },
    /// 09: not done.
    Err {
        /// Of the frame that asked, if one did.
        id: Option<u64>,
        /// Why.
        code: String,
        /// When to ask again, ms from now.
        retry_ms: Option<u64>,
        /// The sess it is about.
        sess: Option<Sess>,
    },
    /// C 10: this session answers knocks at a name; again: with other rules, for another lease.
    Register {
        /// Comes back.
        id: u64,
        /// The name.
        name: String,
        /// Who is told.
        visible: Visible,
        /// Whom the lobby lets wake the host; absent: every certified device.
        guard: Option<Guard>,
    },
    /// C 11: the registration lives on.
    Renew {
        /// Comes back.
        id: u64,
        /// The name.
        name: String,
    },
    /// C 12: the registration ends.
    Unregister {
        /// Comes back.
        id: u64,
        /// The name.
        name: String,
    },
    /// C 13: an offer to whoever hosts a name.
    Knock {
        /// Comes back if nobody answers.
        id: u64,
        /// The name.
        name: String,
        /// The offer.
        card: Bytes,
        /// A Resolution of the sender's DID.
        proof: Option<Bytes>,
    },
    /// 14: a card to the other end of a sess, or from it.
    Signal(Signal),
    /// 15: a signal was taken.
    Ack {
        /// The device at the other end.
        peer: KeyBytes,
        /// The sess.
        sess: Sess,
        /// The signal.
        seq: u64,
    },
    /// C 16: wants to know when names come and go; `ok` says how they stand: `[[name, state, epoch], ...]`.
    Watch {
        /// Comes back.
        id: u64,
        /// The names.
        names: Vec<String>,
    },
    /// C 17: no longer.
    Unwatch {
        /// Comes back.
        id: u64,
        /// The names.
        names: Vec<String>,
    },
    /// S 18: a name came or went.
    Presence {
        /// The name.
        name: String,
        /// How it stands.
        state: Presence,
        /// When its newest registration began, ms; a smaller one than before is old news.
        epoch: u64,
    },
    /// C 19: wants fresh ICE servers; `ok` has them.
    Ice {
        /// Comes back.
        id: u64,
    },
    /// C 20: changes what the devices of the DID joined; `ok` has the version now.
    Update {
        /// Comes back.
        id: u64,
        /// The version it becomes, one more than it was; 0: this is all there is.
        version: u64,
        /// In this order.
        changes: Vec<Change>,
    },
    /// S 21: logs that grew. Only the newest size of each is told.
    Notify {
        /// Which.
        news: Vec<News>,
    },
    /// C 22: read up to there.
    ReadTo {
        /// Comes back.
        id: u64,
        /// What.
        news: Vec<News>,
    },
    /// C 23: where this device is reached while it is not here; without an endpoint: nowhere.
    Push {
        /// Comes back.
        id: u64,
        /// What a browser's subscription says.
        subscription: Option<Subscription>,
    },
    /// C 25: wants to know what the devices of the DID joined; `ok` has `[version, [[device, name, log, muted_until_ms, sent, read],
    /// ...], key 65]`, the last being what browsers subscribe for.
    Joined {
        /// Comes back.
        id: u64,
    },
    /// C 26: logs of names that this session hosts are so large.
    Publish {
        /// Comes back.
        id: u64,
        /// Which.
        news: Vec<News>,
    },
    /// C 30: a certificate for the log; `ok` has its index.
    Attest {
        /// Comes back.
        id: u64,
        /// The certificate.
        envelope: Vec<u8>,
    },
    /// S 32: ask elsewhere.
    Redirect {
        /// Of the frame that asked.
        id: u64,
        /// The server to ask.
        url: String,
    },
    /// C 33: wants to read a log; `ok` has `[handle, size]`.
    Lease {
        /// Comes back.
        id: u64,
        /// Whose: the origin of the server's own log.
        site: String,
    },
    /// C 34: entries from a place on.
    Read {
        /// Comes back.
        id: u64,
        /// What was leased.
        handle: u64,
        /// The first entry.
        from: u64,
    },
    /// S 35: entries, none behind the newest.
    Data {
        /// Of the frame that asked.
        id: u64,
        /// The first entry's place.
        from: u64,
        /// They.
        entries: Vec<Vec<u8>>,
    },
    /// S 31: a registration, or without a name the whole session, ended.
    Revoke {
        /// The name.
        name: Option<String>,
        /// Why.
        code: String,
    },
}

/// What 23 carries: a subscription of Web Push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The push service's URL for this device.
    pub endpoint: String,
    /// The device's key.
    pub p256dh: [u8; 65],
    /// The secret it shares with whoever pushes.
    pub auth: [u8; 16],
}

/// S 01.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// What the hello signs: single use.
    pub challenge: [u8; 32],
    /// The URL the server believes it is reached at; the hello signs it.
    pub url: String,
    /// The node.
    pub node: String,
    /// The server's clock.
    pub time_ms: u64,
    /// What this server can do besides.
    pub features: Vec<String>,
    /// `[bytes of a frame, bytes of a card, frames unseen]`.
    pub limits: Vec<u64>,
}

/// S 03.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// What names the session when the socket broke.
    pub sid: [u8; 16],
    /// Whether it is the session before, with what was not seen of it.
    pub resumed: bool,
    /// The number of the next frame that counts.
    pub next: u64,
    /// How often the server asks whether somebody is there, ms.
    pub heartbeat_ms: u64,
    /// Where to gather candidates.
    pub ice: Vec<IceServer>,
    /// How long their credentials hold, seconds.
    pub ttl_s: u64,
    /// The newest public head, as readers show it to each other.
    pub head: Option<Vec<u8>>,
}

/// 14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// The device at the other end.
    pub peer: KeyBytes,
    /// The sess.
    pub sess: Sess,
    /// The number of the card on its way.
    pub seq: u64,
    /// The card.
    pub card: Bytes,
    /// A Resolution of the sender's DID: with the first card each way.
    pub proof: Option<Bytes>,
}

/// The types by name, and their keys.
const NAMES: &[Names] = &[
    Names {
        kind: 0x01,
        name: "challenge",
        keys: &[(1, "c"), (2, "url"), (3, "node"), (4, "time_ms"), (5, "features"), (6, "limits")],
    },
    Names { kind: 0x02, name: "hello", keys: &[(1, "envelope"), (4, "head")] },
    Names {
        kind: 0x03,
        name: "welcome",
        keys: &[(1, "sid"), (2, "resumed"), (3, "next"), (4, "hb_ms"), (5, "ice"), (6, "ttl_s"), (8, "head")],
    },
    Names { kind: 0x04, name: "seen", keys: &[(1, "n")] },
    Names { kind: 0x05, name: "ping", keys: &[(1, "id")] },
    Names { kind: 0x06, name: "pong", keys: &[(1, "id")] },
    Names { kind: 0x07, name: "restarting", keys: &[(1, "in_ms"), (2, "try_ms")] },
    Names { kind: 0x08, name: "ok", keys: &[(1, "id"), (2, "value")] },
    Names { kind: 0x09, name: "err", keys: &[(1, "id"), (2, "code"), (3, "retry_ms"), (4, "sess")] },
    Names { kind: 0x10, name: "register", keys: &[(1, "id"), (2, "name"), (3, "visible"), (4, "guard")] },
    Names { kind: 0x11, name: "renew", keys: &[(1, "id"), (2, "name")] },
    Names { kind: 0x12, name: "unregister", keys: &[(1, "id"), (2, "name")] },
    Names { kind: 0x13, name: "knock", keys: &[(1, "id"), (2, "name"), (3, "card"), (4, "proof")] },
    Names { kind: 0x14, name: "signal", keys: &[(1, "peer"), (2, "sess"), (3, "seq"), (4, "card"), (5, "proof")] },
    Names { kind: 0x15, name: "ack", keys: &[(1, "peer"), (2, "sess"), (3, "seq")] },
    Names { kind: 0x16, name: "watch", keys: &[(1, "id"), (2, "names")] },
    Names { kind: 0x17, name: "unwatch", keys: &[(1, "id"), (2, "names")] },
    Names { kind: 0x18, name: "presence", keys: &[(1, "name"), (2, "state"), (3, "epoch")] },
    Names { kind: 0x19, name: "ice", keys: &[(1, "id")] },
    Names { kind: 0x20, name: "update", keys: &[(1, "id"), (2, "version"), (3, "changes")] },
    Names { kind: 0x21, name: "notify", keys: &[(1, "news")] },
    Names { kind: 0x22, name: "read_to", keys: &[(1, "id"), (2, "news")] },
    Names { kind: 0x23, name: "push", keys: &[(1, "id"), (2, "endpoint"), (3, "p256dh"), (4, "auth")] },
    Names { kind: 0x25, name: "joined", keys: &[(1, "id")] },
    Names { kind: 0x26, name: "publish", keys: &[(1, "id"), (2, "news")] },
    Names { kind: 0x30, name: "attest", keys: &[(1, "id"), (2, "envelope")] },
    Names { kind: 0x32, name: "redirect", keys: &[(1, "id"), (2, "url")] },
    Names { kind: 0x33, name: "lease", keys: &[(1, "id"), (2, "site")] },
    Names { kind: 0x34, name: "read", keys: &[(1, "id"), (2, "handle"), (3, "from")] },
    Names { kind: 0x35, name: "data", keys: &[(1, "id"), (2, "from"), (3, "entries")] },
    Names { kind: 0x31, name: "revoke", keys: &[(1, "name"), (2, "code")] },
];

impl Frame {
    /// Returns an `err` about a frame.
    pub fn refused(id: Option<u64>, refusal: crate::Refusal) -> Self {
        Self::Err { id, code: refusal.code().to_owned(), retry_ms: None, sess: None }
    }

    /// Returns the id that the answer to a client's frame names.
    pub fn id(&self) -> Option<u64> {
        match self {
            Self::Register { id, .. }
            | Self::Renew { id, .. }
            | Self::Unregister { id, .. }
            | Self::Knock { id, .. }
            | Self::Watch { id, .. }
            | Self::Unwatch { id, .. }
            | Self::Update { id, .. }
            | Self::Joined { id }
            | Self::Push { id, .. }
            | Self::ReadTo { id, .. }
            | Self::Publish { id, .. }
            | Self::Attest { id, .. }
            | Self::Lease { id, .. }
            | Self::Read { id, .. }
            | Self::Ice { id } => Some(*id),
            _ => None,
        }
    }

    /// Returns the id of the frame that this one answers.
    pub fn answers(&self) -> Option<u64> {
        match self {
            Self::Ok { id, .. } | Self::Redirect { id, .. } | Self::Data { id, .. } => Some(*id),
            Self::Err { id, .. } => *id,
            _ => None,
        }
    }

    /// Returns whether the frame counts in a session's chain: those that keep the connection itself do not.
    pub fn counts(&self) -> bool {
        self.kind() > 0x07
    }

    /// Returns the number of its type.
    pub fn kind(&self) -> u64 {
        match self {
            Self::Challenge(_) => 0x01,
            Self::Hello { .. } => 0x02,
            Self::Welcome(_) => 0x03,
            Self::Seen { .. } => 0x04,
            Self::Ping { .. } => 0x05,
            Self::Pong { .. } => 0x06,
            Self::Restarting { .. } => 0x07,
            Self::Ok { .. } => 0x08,
            Self::Err { .. } => 0x09,
            Self::Register { .. } => 0x10,
            Self::Renew { .. } => 0x11,
            Self::Unregister { .. } => 0x12,
            Self::Knock { .. } => 0x13,
            Self::Signal(_) => 0x14,
            Self::Ack { .. } => 0x15,
            Self::Watch { .. } => 0x16,
            Self::Unwatch { .. } => 0x17,
            Self::Presence { .. } => 0x18,
            Self::Ice { .. } => 0x19,
            Self::Update { .. } => 0x20,
            Self::Notify { .. } => 0x21,
            Self::ReadTo { .. } => 0x22,
            Self::Push { .. } => 0x23,
            Self::Joined { .. } => 0x25,
            Self::Publish { .. } => 0x26,
            Self::Attest { .. } => 0x30,
            Self::Redirect { .. } => 0x32,
            Self::Lease { .. } => 0x33,
            Self::Read { .. } => 0x34,
            Self::Data { .. } => 0x35,
            Self::Revoke { .. } => 0x31,
        }
    }

    /// Returns the bytes of a message.
    pub fn encode(&self, form: Form) -> Bytes {
        Fields { kind: self.kind(), rows: self.rows() }.encode(form, NAMES).into()
    }

    /// Reads a message.
    pub fn decode(bytes: &[u8], form: Form) -> Result<Self, FrameError> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge);
        }
        read(&Fields::decode(bytes, form, NAMES)?, form)
    }

    fn rows(&self) -> Vec<(u64, Value)> {
        let mut rows = Vec::with_capacity(8);
        let mut put = |key: u64, value: Value| rows.push((key, value));
        let texts = |texts: &[String]| Value::List(texts.iter().cloned().map(Value::Text).collect());
        match self {
            Self::Challenge(challenge) => {
                put(1, Value::Bytes(challenge.challenge.to_vec()));
                put(2, Value::Text(challenge.url.clone()));
                put(3, Value::Text(challenge.node.clone()));
                put(4, Value::Uint(challenge.time_ms));
                put(5, texts(&challenge.features));
                put(6, Value::List(challenge.limits.iter().copied().map(Value::Uint).collect()));
            }
            Self::Hello { envelope, head } => {
                put(1, Value::Bytes(envelope.clone()));
                head.iter().for_each(|head| put(4, Value::Bytes(head.clone())));
            }
            Self::Welcome(welcome) => {
                put(1, Value::Bytes(welcome.sid.to_vec()));
                put(2, Value::Bool(welcome.resumed));
                put(3, Value::Uint(welcome.next));
                put(4, Value::Uint(welcome.heartbeat_ms));
                put(5, Value::List(welcome.ice.iter().map(IceServer::to_value).collect()));
                put(6, Value::Uint(welcome.ttl_s));
                welcome.head.iter().for_each(|head| put(8, Value::Bytes(head.clone())));
            }
            Self::Seen { n } => put(1, Value::Uint(*n)),
            Self::Ping { id } | Self::Pong { id } | Self::Ice { id } | Self::Joined { id } => put(1, Value::Uint(*id)),
            Self::Restarting { in_ms, try_ms } => {
                put(1, Value::Uint(*in_ms));
                put(2, Value::Uint(*try_ms));
            }
            Self::Ok { id, value } => {
                put(1, Value::Uint(*id));
                value.iter().for_each(|value| put(2, value.clone()));
            }
            Self::Err { id, code, retry_ms, sess } => {
                id.iter().for_each(|id| put(1, Value::Uint(*id)));
                put(2, Value::Text(code.clone()));
                retry_ms.iter().for_each(|retry| put(3, Value::Uint(*retry)));
                sess.iter().for_each(|sess| put(4, Value::Bytes(sess.to_vec())));
            }
            Self::Register { id, name, visible, guard } => {
                put(1, Value::Uint(*id));
                put(2, Value::Text(name.clone()));
                put(3, Value::Uint(*visible as u64));
                guard.iter().for_each(|guard| put(4, guard_value(guard)));
            }
            Self::Renew { id, name } | Self::Unregister { id, name } => {
                put(1, Value::Uint(*id));
                put(2, Value::Text(name.clone()));
            }
            Self::Knock { id, name, card, proof } => {
                put(1, Value::Uint(*id));
                put(2, Value::Text(name.clone()));
                put(3, Value::Bytes(card.to_vec()));
                proof.iter().for_each(|proof| put(4, Value::Bytes(proof.to_vec())));
            }
            Self::Signal(signal) => {
                put(1, Value::Bytes(signal.peer.to_vec()));
                put(2, Value::Bytes(signal.sess.to_vec()));
                put(3, Value::Uint(signal.seq));
                put(4, Value::Bytes(signal.card.to_vec()));
                signal.proof.iter().for_each(|proof| put(5, Value::Bytes(proof.to_vec())));
            }
            Self::Ack { peer, sess, seq } => {
                put(1, Value::Bytes(peer.to_vec()));
                put(2, Value::Bytes(sess.to_vec()));
                put(3, Value::Uint(*seq));
            }
            Self::Update { id, version, changes } => {
                put(1, Value::Uint(*id));
                put(2, Value::Uint(*version));
                put(3, Value::List(changes.iter().map(Change::to_value).collect()));
            }
            Self::Notify { news } => put(1, Value::List(news.iter().map(News::to_value).collect())),
            Self::ReadTo { id, news } | Self::Publish { id, news } => {
                put(1, Value::Uint(*id));
                put(2, Value::List(news.iter().map(News::to_value).collect()));
            }
            Self::Push { id, subscription } => {
                put(1, Value::Uint(*id));
                if let Some(Subscription { endpoint, p256dh, auth }) = subscription {
                    put(2, Value::Text(endpoint.clone()));
                    put(3, Value::Bytes(p256dh.to_vec()));
                    put(4, Value::Bytes(auth.to_vec()));
                }
            }
            Self::Attest { id, envelope } => {
                put(1, Value::Uint(*id));
                put(2, Value::Bytes(envelope.clone()));
            }
            Self::Redirect { id, url: text } | Self::Lease { id, site: text } => {
                put(1, Value::Uint(*id));
                put(2, Value::Text(text.clone()));
            }
            Self::Read { id, handle, from } => {
                put(1, Value::Uint(*id));
                put(2, Value::Uint(*handle));
                put(3, Value::Uint(*from));
            }
            Self::Data { id, from, entries } => {
                put(1, Value::Uint(*id));
                put(2, Value::Uint(*from));
                put(3, Value::List(entries.iter().map(|entry| Value::Bytes(entry.clone())).collect()));
            }
            Self::Watch { id, names } | Self::Unwatch { id, names } => {
                put(1, Value::Uint(*id));
                put(2, texts(names));
            }
            Self::Presence { name, state, epoch } => {
                put(1, Value::Text(name.clone()));
                put(2, Value::Uint(*state as u64));
                put(3, Value::Uint(*epoch));
            }
            Self::Revoke { name, code } => {
                name.iter().for_each(|name| put(1, Value::Text(name.clone())));
                put(2, Value::Text(code.clone()));
            }
        }
        rows
    }
}

/// Reads the fields of a frame as its type has them.
fn read(fields: &Fields, form: Form) -> Result<Frame, FrameError> {
    let uint = |key| fields.required(key)?.uint();
    let text = |key| fields.required(key)?.text().map(str::to_owned);
    let bytes = |key, max| fields.required(key)?.bytes(form, max);
    let perhaps = |key, max| fields.optional(key).map(|value| value.bytes(form, max)).transpose();
    let texts = |key, max: usize| {
        let list = fields.required(key)?.list()?;
        if list.len() > max {
            return Err(FrameError::BadFrame);
        }
        list.iter().map(|text| text.text().map(str::to_owned)).collect::<Result<Vec<_>, _>>()
    };
    let id = || uint(1);
    Ok(match fields.kind {
        0x01 => Frame::Challenge(Challenge {
            challenge: fields.required(1)?.fixed(form)?,
            url: text(2)?,
            node: text(3)?,
            time_ms: uint(4)?,
            features: texts(5, 64)?,
            limits: fields.required(6)?.list()?.iter().map(Value::uint).collect::<Result<_, _>>()?,
        }),
        0x02 => Frame::Hello { envelope: bytes(1, 1_024)?, head: perhaps(4, SHOWN_HEAD_BYTES_MAX)? },
        0x03 => Frame::Welcome(Welcome {
            sid: fields.required(1)?.fixed(form)?,
            resumed: fields.required(2)?.bool()?,
            next: uint(3)?,
            heartbeat_ms: uint(4)?,
            ice: fields.required(5)?.list()?.iter().map(IceServer::of_value).collect::<Result<_, _>>()?,
            ttl_s: uint(6)?,
            head: perhaps(8, SHOWN_HEAD_BYTES_MAX)?,
        }),
        0x04 => Frame::Seen { n: uint(1)? },
        0x05 => Frame::Ping { id: id()? },
        0x06 => Frame::Pong { id: id()? },
        0x07 => Frame::Restarting { in_ms: uint(1)?, try_ms: uint(2)? },
        0x08 => Frame::Ok { id: id()?, value: fields.optional(2).cloned() },
        0x09 => Frame::Err {
            id: fields.optional(1).map(Value::uint).transpose()?,
            code: text(2)?,
            retry_ms: fields.optional(3).map(Value::uint).transpose()?,
            sess: fields.optional(4).map(|sess| sess.fixed(form)).transpose()?,
        },
        0x10 => Frame::Register {
            id: id()?,
            name: text(2)?,
            visible: match uint(3)? {
                0 => Visible::Hidden,
                1 => Visible::Authorised,
                2 => Visible::Public,
                _ => return Err(FrameError::BadFrame),
            },
            guard: fields.optional(4).map(|guard| read_guard(guard, form)).transpose()?,
        },
        0x11 => Frame::Renew { id: id()?, name: text(2)? },
        0x12 => Frame::Unregister { id: id()?, name: text(2)? },
        0x13 => Frame::Knock {
            id: id()?,
            name: text(2)?,
            card: bytes(3, CARD_BYTES_MAX)?.into(),
            proof: perhaps(4, PROOF_BYTES_MAX)?.map(Bytes::from),
        },
        0x14 => Frame::Signal(Signal {
            peer: fields.required(1)?.fixed(form)?,
            sess: fields.required(2)?.fixed(form)?,
            seq: uint(3)?,
            card: bytes(4, CARD_BYTES_MAX)?.into(),
            proof: perhaps(5, PROOF_BYTES_MAX)?.map(Bytes::from),
        }),
        0x15 => {
            Frame::Ack { peer: fields.required(1)?.fixed(form)?, sess: fields.required(2)?.fixed(form)?, seq: uint(3)? }
        }
        0x16 => Frame::Watch { id: id()?, names: texts(2, WATCHES_MAX)? },
        0x17 => Frame::Unwatch { id: id()?, names: texts(2, WATCHES_MAX)? },
        0x18 => Frame::Presence {
            name: text(1)?,
            state: match uint(2)? {
                0 => Presence::Offline,
                1 => Presence::Away,
                2 => Presence::Online,
                _ => return Err(FrameError::BadFrame),
            },
            epoch: uint(3)?,
        },
        0x19 => Frame::Ice { id: id()? },
        0x20 => {
            Frame::Update { id: id()?, version: uint(2)?, changes: rows(fields.required(3)?, form, Change::of_value)? }
        }
        0x21 => Frame::Notify { news: rows(fields.required(1)?, form, News::of_value)? },
        0x22 => Frame::ReadTo { id: id()?, news: rows(fields.required(2)?, form, News::of_value)? },
        0x23 => Frame::Push {
            id: id()?,
            subscription: match fields.optional(2) {
                None => None,
                Some(endpoint) => Some(Subscription {
                    endpoint: Some(endpoint.text()?)
                        .filter(|endpoint| endpoint.len() <= ENDPOINT_BYTES_MAX)
                        .ok_or(FrameError::BadFrame)?
                        .to_owned(),
                    p256dh: fields.required(3)?.fixed(form)?,
                    auth: fields.required(4)?.fixed(form)?,
                }),
            },
        },
        0x25 => Frame::Joined { id: id()? },
        0x26 => Frame::Publish { id: id()?, news: rows(fields.required(2)?, form, News::of_value)? },
        0x30 => Frame::Attest { id: id()?, envelope: bytes(2, ENVELOPE_BYTES_MAX)? },
        0x32 => Frame::Redirect { id: id()?, url: text(2)? },
        0x33 => Frame::Lease { id: id()?, site: text(2)? },
        0x34 => Frame::Read { id: id()?, handle: uint(2)?, from: uint(3)? },
        0x35 => Frame::Data {
            id: id()?,
            from: uint(2)?,
            entries: {
                let entries = fields.required(3)?.list()?;
                entries.iter().map(|entry| entry.bytes(form, DATA_BYTES_MAX)).collect::<Result<_, _>>()?
            },
        },
        0x31 => Frame::Revoke {
            name: fields.optional(1).map(|name| name.text().map(str::to_owned)).transpose()?,
            code: text(2)?,
        },
        _ => return Err(FrameError::UnknownType { id: fields.optional(1).and_then(|id| id.uint().ok()) }),
    })
}

/// A list of rows, as many as one frame has.
fn rows<T>(
    value: &Value,
    form: Form,
    read: impl Fn(&Value, Form) -> Result<T, FrameError>,
) -> Result<Vec<T>, FrameError> {
    let rows = value.list()?;
    if rows.len() > NEWS_MAX {
        return Err(FrameError::BadFrame);
    }
    rows.iter().map(|row| read(row, form)).collect()
}

/// `[mode, salt 16, [prefix 8, ...]]`.
fn guard_value(guard: &Guard) -> Value {
    match guard {
        Guard::Certified => Value::List(vec![Value::Uint(0)]),
        Guard::Listed(list) => {
            let prefixes = list.prefixes().iter().map(|prefix| Value::Bytes(prefix.to_vec())).collect();
            Value::List(vec![Value::Uint(1), Value::Bytes(list.salt().to_vec()), Value::List(prefixes)])
        }
    }
}

fn read_guard(value: &Value, form: Form) -> Result<Guard, FrameError> {
    match value.list()? {
        [Value::Uint(0)] => Ok(Guard::Certified),
        [Value::Uint(1), salt, prefixes] => {
            let prefixes = prefixes.list()?;
            if prefixes.len() > GUARDED_MAX {
                return Err(FrameError::BadFrame);
            }
            let prefixes = prefixes.iter().map(|prefix| prefix.fixed(form)).collect::<Result<_, _>>()?;
            Ok(Guard::listed_prefixes(salt.fixed(form)?, prefixes))
        }
        _ => Err(FrameError::BadFrame),
    }
}

#[cfg(test)]
mod tests;

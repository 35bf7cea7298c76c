//! Frames: what travels between a client or host and a lobby (PROTOCOL 23.1).
//!
//! A frame is unsigned; what must be believed in it is an envelope of its own. The same frames have two forms, and a connection
//! speaks one of them.

mod rows;
mod value;

use bytes::Bytes;
use identity::cert::KeyBytes;
use identity::wire::WireError;

use crate::Sess;
use crate::guard::Guard;
use crate::limits::FRAME_BYTES_MAX;
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
    pub fn to_value(&self) -> Value<'_> {
        let urls = self.urls.iter().map(|url| url.as_str().into()).collect();
        Value::List(vec![Value::List(urls), self.user.as_str().into(), self.credential.as_str().into()])
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
        /// A token for the server.
        token: Option<String>,
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
        value: Option<Value<'static>>,
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
    /// C 33: wants to read a log; answered by 36.
    Lease {
        /// Comes back.
        id: u64,
        /// Whose: the origin of the server's own log.
        site: String,
        /// Which of it: empty, it is one.
        log: String,
        /// What for, as bits (PROTOCOL 17.2).
        rights: u64,
    },
    /// S 36: leased.
    Handle {
        /// Of the frame that asked.
        id: u64,
        /// What names the lease.
        handle: u64,
        /// What it allows.
        rights: u64,
        /// How many entries are public.
        size: u64,
        /// When it ends, Unix seconds by the server's clock.
        until_s: u64,
    },
    /// C 46: entries for a log.
    Write {
        /// Comes back.
        id: u64,
        /// What was leased.
        handle: u64,
        /// The number of the first.
        lsn: u64,
        /// They.
        entries: Vec<Vec<u8>>,
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
    /// S 31: a registration ended, or a lease, or, without name and handle, the whole session.
    Revoke {
        /// The name.
        name: Option<String>,
        /// Why.
        code: String,
        /// The handle.
        handle: Option<u64>,
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
    Names { kind: 0x02, name: "hello", keys: &[(1, "envelope"), (3, "token"), (4, "head")] },
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
    Names { kind: 0x33, name: "lease", keys: &[(1, "id"), (2, "site"), (3, "log"), (4, "rights")] },
    Names { kind: 0x34, name: "read", keys: &[(1, "id"), (2, "handle"), (3, "from")] },
    Names { kind: 0x35, name: "data", keys: &[(1, "id"), (2, "from"), (3, "entries")] },
    Names { kind: 0x36, name: "handle", keys: &[(1, "id"), (2, "handle"), (3, "rights"), (4, "size"), (5, "until_s")] },
    Names { kind: 0x46, name: "write", keys: &[(1, "id"), (2, "handle"), (3, "lsn"), (4, "entries")] },
    Names { kind: 0x31, name: "revoke", keys: &[(1, "name"), (2, "code"), (3, "handle")] },
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
            | Self::Write { id, .. }
            | Self::Ice { id } => Some(*id),
            _ => None,
        }
    }

    /// Returns the id of the frame that this one answers.
    pub fn answers(&self) -> Option<u64> {
        match self {
            Self::Ok { id, .. } | Self::Redirect { id, .. } | Self::Data { id, .. } | Self::Handle { id, .. } => {
                Some(*id)
            }
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
            Self::Handle { .. } => 0x36,
            Self::Write { .. } => 0x46,
            Self::Revoke { .. } => 0x31,
        }
    }

    /// Returns the bytes of a message.
    pub fn encode(&self, form: Form) -> Bytes {
        value::encode(self.kind(), |put| self.fields(put), form, NAMES).into()
    }

    /// Reads a message.
    pub fn decode(bytes: &[u8], form: Form) -> Result<Self, FrameError> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge);
        }
        rows::read(Fields::decode(bytes, form, NAMES)?, form)
    }
}

#[cfg(test)]
mod tests;

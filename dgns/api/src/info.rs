//! `GET /v1/info`: what a server says of itself (PROTOCOL 12.1). Nothing in it is trusted: the key is pinned, the rest checked.

use serde::{Deserialize, Serialize};

/// The server's description of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The program and its version.
    pub software: String,
    /// The log's origin, `<zone>/log`.
    pub origin: String,
    /// The namespace zone.
    pub zone: String,
    /// The log's verifier key in C2SP form; a client pins it when it first meets the log.
    pub vkey: String,
    /// The server's DID.
    pub server_did: String,
    /// The roads a claim may take: `open`, `attested`, `invite`, `parent`.
    pub roads: Vec<String>,
    /// How people sign in here.
    #[serde(default)]
    pub signin: Signin,
    /// The proof of work asked now, bits.
    pub work_bits: u8,
    /// The least window of destructive acts, seconds.
    pub window_floor_s: u64,
    /// What must cosign a head before it is public, as the server's policy calls it; `none` if nobody must.
    pub quorum: String,
    /// The size of the newest head.
    pub size: u64,
    /// The time of its Epoch, milliseconds.
    pub epoch_ms: u64,
    /// Its age by the server's clock, milliseconds.
    pub head_age_ms: u64,
    /// The head that everyone is shown, and its witnesses.
    #[serde(default)]
    pub public: Public,
    /// Where this server answers DNS, if it does.
    pub dns: Vec<String>,
    /// The DS records that the parent of its zone should have, as data of a zone file, if it signs the zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ds: Vec<String>,
    /// The server that this one follows, if it does: its log is that server's, and writes go there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<Follows>,
    /// The hash of the pages it gives out, in hexadecimal, if it does (PROTOCOL 12.10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<String>,
    /// The lobby, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lobby: Option<Lobby>,
    /// Limits a client should know.
    pub limits: Limits,
}

/// The lobby of a server (PROTOCOL 23.16).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lobby {
    /// Where its nodes are reached that are there, this one among them.
    pub nodes: Vec<String>,
    /// Whether guests are let in, whose keys are in no log (PROTOCOL 23.17).
    #[serde(default)]
    pub guests: bool,
}

/// How people sign in at a server (PROTOCOL 19).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signin {
    /// The issuers that are believed.
    pub issuers: Vec<Issuer>,
    /// Whether passkeys are taken.
    pub passkeys: bool,
    /// Where people reach the pages, without a final slash; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<String>,
}

/// An issuer of OpenID Connect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// What clients call it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Its URL, as it spells it itself.
    pub issuer: String,
}

/// The head that everyone is shown. `GET /v1/log/status` is this with size and age of the newest head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Public {
    /// `newest` (no quorum is asked for), `witnessed`, `pending` (none has its quorum since the start), `outgrown` (the
    /// witnesses are away for so long that the newest head is shown without them).
    pub standing: String,
    /// The size of the last head that had its quorum, under `quorum none` of the newest.
    pub size: u64,
    /// How long ago it had its quorum, under `quorum none` since its Epoch, milliseconds; absent if none is known.
    pub age_ms: Option<u64>,
    /// Whether the head announced last did not get its quorum, or none has it yet.
    pub stale: bool,
    /// The witnesses that are asked.
    pub witnesses: Vec<Witness>,
}

/// A witness as the server finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// What the server's policy calls it.
    pub name: String,
    /// The size of the head it cosigned last since the server started; 0 is none.
    pub size: u64,
    /// When, by its own clock, Unix seconds.
    pub time_s: u64,
    /// The code of what went wrong when it was asked last (PROTOCOL 12.2).
    pub error: Option<String>,
}

/// `GET /v1/log/status`: how the log stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The log's origin.
    pub origin: String,
    /// The size of the newest head.
    pub size: u64,
    /// Its age by the server's clock, milliseconds.
    pub head_age_ms: u64,
    /// What must cosign a head before it is public.
    pub quorum: String,
    /// The head that everyone is shown, and its witnesses.
    pub public: Public,
}

/// How a follower stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follows {
    /// Where writes go.
    pub url: String,
    /// `catching-up`, `polling`, `streaming`; `away`: it does not answer; `refused`: it answers something else; `fault`: it is
    /// followed no more.
    pub state: String,
    /// Whether what is served is the state verified before a fault.
    pub stale: bool,
    /// Entries that the origin has signed and that are not here yet.
    pub behind: u64,
    /// Milliseconds since the origin last showed a head it signed; absent if it never did since this server's start.
    pub heard_ms_ago: Option<u64>,
    /// Why nothing goes on, if nothing does.
    pub problem: Option<String>,
    /// Answers refused since the start.
    pub refused: u64,
}

/// Limits of one post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Certificates in one post.
    pub certificates_per_post: usize,
    /// Bytes of one certificate.
    pub certificate_bytes: usize,
    /// Bytes of a post.
    pub post_bytes: usize,
}

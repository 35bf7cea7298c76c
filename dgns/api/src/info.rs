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
    /// The roads a claim may take: `open`, `invite`, `parent`.
    pub roads: Vec<String>,
    /// The proof of work asked now, bits.
    pub work_bits: u8,
    /// The least window of destructive acts, seconds.
    pub window_floor_s: u64,
    /// The witnesses a head needs; `none` until the policy names some.
    pub quorum: String,
    /// The size of the public head.
    pub size: u64,
    /// The time of its Epoch, milliseconds.
    pub epoch_ms: u64,
    /// Its age by the server's clock, milliseconds.
    pub head_age_ms: u64,
    /// Where this server answers DNS, if it does.
    pub dns: Vec<String>,
    /// Limits a client should know.
    pub limits: Limits,
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

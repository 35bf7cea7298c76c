//! Problem details (RFC 9457) as the server writes and the client reads them (PROTOCOL 12.2).

use serde::{Deserialize, Serialize};

/// A refusal or failure. `code` is stable; the rest is for people and for the retry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `about:blank#<code>`; a code is documented in PROTOCOL 4.6, 11.4 and 12.2.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// One sentence for a person: what was wrong and what to do.
    pub detail: String,
    /// When to try again, milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_ms: Option<u64>,
    /// The chain's head after a lost race (`stale_prev`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<ProblemHead>,
    /// The newest checkpoint (`unknown_head`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// The proof of work asked (`pow_short`), bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_bits: Option<u8>,
    /// What to sign before asking again (`nonce_wanted`), base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The URL of the server that takes certificates (`not_the_writer`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
    /// The first entry that is there (`dropped`, `trimmed`), if there may be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The chunks that are not there (`chunk_missing`), 64 hex digits each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// The refusal's reason where a code has several (`bad_record`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The code once more, where clients of acme-dns look for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The head of a DID's chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemHead {
    /// The newest certificate's place in the chain.
    pub seq: u64,
    /// Its sid, 64 hex digits.
    pub sid: String,
    /// Its log index.
    pub index: u64,
}

impl Problem {
    /// Returns a problem with nothing but status, code and sentence.
    pub fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("about:blank#{code}"),
            status,
            code: code.to_owned(),
            detail: detail.into(),
            retry_ms: None,
            head: None,
            checkpoint: None,
            work_bits: None,
            nonce: None,
            writer: None,
            first: None,
            missing: Vec::new(),
            reason: None,
            error: None,
        }
    }
}

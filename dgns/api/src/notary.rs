//! `GET /v1/notaries`: what a server counted of the word of each notary (PROTOCOL 19.4).

use serde::{Deserialize, Serialize};

/// All notaries of a log, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notaries {
    /// One each.
    pub notaries: Vec<Notary>,
}

/// A notary, and what was counted. The log proves who is one; the counts are the server's word, and anybody's to count again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notary {
    /// The kid of its key, 16 hexadecimal digits.
    pub kid: String,
    /// Whose word it passes on.
    pub issuer: String,
    /// From which entry on its word counts no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<u64>,
    /// Sign-ins it said happened.
    pub sign_ins: u64,
    /// Of them, those that an owner disputed.
    pub disputed: u64,
    /// Attempts to recover that it let begin.
    pub attempts: u64,
    /// Of them, those whose PIN was not proved right, or not yet.
    pub failed: u64,
}

//! What notaries said in the log, counted as it is followed.

use identity::cert::Kid;
use identity::hash::Hash;

use super::People;
use crate::fault::StorageError;
use crate::table::notary_words;

/// Something a notary said, or what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It said that somebody signed in.
    Login {
        /// The `attest_login`.
        sid: Hash,
        /// Its key.
        kid: Kid,
    },
    /// An owner said that this was somebody else.
    Disputed {
        /// The `attest_login`.
        login: Hash,
    },
    /// It let an attempt to recover begin.
    Attempt {
        /// The `recover_open`.
        sid: Hash,
        /// Its key.
        kid: Kid,
    },
    /// The PIN of that attempt was right.
    Proved {
        /// The `recover_open`.
        attempt: Hash,
    },
}

/// What was counted of a notary since this server keeps `people.db`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotaryCount {
    /// Its key.
    pub kid: Kid,
    /// Sign-ins it said happened.
    pub logins: u64,
    /// Of them, those that were disputed.
    pub disputed: u64,
    /// Attempts to recover that it let begin.
    pub attempts: u64,
    /// Of them, those whose PIN was proved right.
    pub proved: u64,
}

impl People {
    /// Returns what was counted of each notary.
    pub async fn notary_counts(&self) -> Result<Vec<NotaryCount>, StorageError> {
        notary_words::all(&mut *self.database().reader().await).await
    }
}

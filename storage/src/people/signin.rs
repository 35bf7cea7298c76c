//! Sign-ins that were begun: each state is taken once, in time, by the kind of finish it was made for.

use identity::hash::Hash;

use super::People;
use crate::fault::StorageError;
use crate::table::signin_starts;

/// What a start was the start of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartKind {
    /// A sign-in at an issuer.
    Oidc = 1,
    /// A sign-in with a passkey.
    Passkey = 2,
    /// The registration of a passkey.
    Registration = 3,
}

/// A sign-in that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRow {
    /// SHA-256 of the state that the browser carries.
    pub state: Hash,
    /// What began.
    pub kind: StartKind,
    /// What the finish needs to know.
    pub data: Vec<u8>,
    /// When it is too late, in seconds since 1970.
    pub until_s: u64,
}

impl People {
    /// Keeps a start until it is taken or too old. A crash before leaves nothing: whoever asked begins again.
    pub async fn put_start(&self, start: &StartRow, now_s: u64) -> Result<(), StorageError> {
        let mut tx = self.database().write().await?;
        let swept = signin_starts::sweep(&mut tx, now_s).await?;
        signin_starts::insert(&mut tx, start).await?;
        tx.commit(1 + swept).await
    }

    /// Takes the start behind `state`, which from then on is gone: of two who come with one state, one gets it.
    ///
    /// `None` if there is none of this kind, or it is too old. A crash after it loses the sign-in; it is begun again.
    pub async fn take_start(&self, state: &Hash, kind: StartKind, now_s: u64) -> Result<Option<Vec<u8>>, StorageError> {
        let mut tx = self.database().write().await?;
        let taken = signin_starts::take(&mut tx, state, kind).await?;
        tx.commit(1).await?;
        Ok(taken.filter(|(_, until_s)| now_s < *until_s).map(|(data, _)| data))
    }

    /// Returns the start behind `state` and leaves it.
    pub async fn peek_start(&self, state: &Hash, kind: StartKind, now_s: u64) -> Result<Option<Vec<u8>>, StorageError> {
        let found = signin_starts::peek(&mut *self.database().reader().await, state, kind).await?;
        Ok(found.filter(|(_, until_s)| now_s < *until_s).map(|(data, _)| data))
    }
}

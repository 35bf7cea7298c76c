//! What this server keeps of people, beside its log: the database and the key that blinds what stands in it.

use std::path::Path;

use rand_core::CryptoRng;
use storage::people::People as Store;

use crate::keys::{KeyFileError, PeopleKey};
use crate::server::ServerError;

/// `people.db` with its key. A server that follows another has none.
pub struct People {
    /// The tables.
    pub store: Store,
    /// What subjects and e-mail addresses are blinded with.
    pub key: PeopleKey,
}

impl People {
    /// Opens the database below `data` and reads its key; both are made at the first start.
    ///
    /// Errors: a database without its key, whose rows nobody could find again.
    pub async fn open(data: &Path, rng: &mut impl CryptoRng) -> Result<Self, ServerError> {
        let path = data.join("keys").join(PeopleKey::FILE);
        if Store::is_in(data) && !path.exists() {
            let error = std::io::Error::other("is missing, and people.db is of no use without it; put it back");
            return Err(KeyFileError::Io { path, error }.into());
        }
        // The key first: a crash in between leaves a key for a database still to be made.
        let key = PeopleKey::read_or_make(&path, rng)?;
        Ok(Self { store: Store::open(data).await?, key })
    }
}

//! What is kept of addresses follows the log: what it bound counts, and what it binds no more is erased.

use identity::cert::Body;
use identity::did::Did;
use storage::StorageError;
use storage::people::Erased;

use super::People;
use crate::auth::request::newest_alias;
use crate::core::Core;

/// Follows a certificate of `did`, or an act of it that was settled (no body). Doing it again changes nothing.
pub async fn follow(core: &Core, people: &People, did: &Did, body: Option<&Body>) -> Result<(), StorageError> {
    match body {
        Some(Body::AliasBind(bind)) => people.store.alias_was_bound(did, &bind.alias).await,
        None | Some(Body::AliasUnbind { .. } | Body::Confirm { .. } | Body::Tombstone) => {
            erase(core, people, did).await
        }
        Some(_) => Ok(()),
    }
}

/// Erases what is kept of aliases that the log bound to `did` once and binds no more.
async fn erase(core: &Core, people: &People, did: &Did) -> Result<(), StorageError> {
    let mut erased = Erased::default();
    for row in people.store.aliases_of(did).await? {
        let now = newest_alias(core, &row.alias).await?;
        if row.bound && now.is_none_or(|alias| alias.did != Some(*did)) {
            let gone = people.store.erase_alias(did, &row.alias).await?;
            erased.aliases += gone.aliases;
            erased.addresses += gone.addresses;
        }
    }
    if erased != Erased::default() {
        tracing::info!(aliases = erased.aliases, addresses = erased.addresses, "what was kept of addresses is erased");
    }
    Ok(())
}

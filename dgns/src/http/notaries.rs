//! `/v1/notaries`: who is a notary, and how much of what each said came to nothing (PROTOCOL 19.4).

use axum::extract::State;
use data_encoding::HEXLOWER;
use dgns_api::notary::{Notaries, Notary};
use dgns_api::path;
use identity::cert::Role;
use identity::key::kid_of;
use storage::StorageError;
use storage::people::NotaryCount;

use super::Shared;
use super::people_events::people;
use super::read::internal;
use super::reply::{Reply, fresh, the_writer};
use crate::app::App;
use crate::auth::request::newest;
use crate::people::People;

/// `GET /v1/notaries`.
pub(super) async fn list(State(app): Shared) -> Reply {
    the_writer(&app)?;
    let people = people(&app)?;
    let notaries = counted(&app, &people).await.map_err(|error| internal(&error))?;
    Ok(fresh(path::JSON, serde_json::to_vec(&Notaries { notaries }).expect("it is plain data")))
}

/// Returns the notaries of the log, each with what was counted of it.
pub(super) async fn counted(app: &App, people: &People) -> Result<Vec<Notary>, StorageError> {
    let counts = people.store.notary_counts().await?;
    let Some(server) = newest(&app.core, &app.core.server).await? else { return Ok(Vec::new()) };
    let known = server.authorities.into_iter().filter(|known| known.authority.role == Role::Notary);
    let notary = known.map(|known| {
        let kid = kid_of(&known.authority.key);
        let none = NotaryCount { kid, logins: 0, disputed: 0, attempts: 0, proved: 0 };
        let count = counts.iter().find(|count| count.kid == kid).copied().unwrap_or(none);
        Notary {
            kid: HEXLOWER.encode(&kid.0),
            issuer: known.authority.scope,
            revoked_at: known.revoked_at,
            sign_ins: count.logins,
            disputed: count.disputed,
            attempts: count.attempts,
            failed: count.attempts.saturating_sub(count.proved),
        }
    });
    Ok(notary.collect())
}

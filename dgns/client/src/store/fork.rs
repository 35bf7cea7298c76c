//! Forks: a database that goes on from another one as it is, or was, under a name and owners of its own (PROTOCOL 25.13).

use dgns_api::path;
use dgns_api::store::acl::Acl;
use dgns_api::store::answer::Receipts;
use dgns_api::store::control::Control;
use dgns_api::store::entry::{Entry, LogId, encode_request};
use identity::hash::Hash;
use rand_core::Rng as _;

use super::anchored;
use super::database::{OpenDb, Speaker};
use super::follow::{Follower, malformed, root_at};
use super::people::People;
use crate::error::ClientError;
use crate::rng;
use crate::session::{Session, Signer};

/// A database that goes on from another one.
#[derive(Debug)]
pub struct Forked {
    /// The fork, as it was read back and judged.
    pub db: OpenDb,
    /// Whether it was not there before.
    pub new: bool,
}

/// Makes the database of `held`, whose DID is a database's, go on from `source`: from all of it, or from the first `at` entries of one of its
/// logs. The person of `signer` owns the source, pays, and becomes the fork's owner. Nothing is copied.
///
/// Errors: [`ClientError::Refused`] with `not_allowed` for who does not own the source, `head_mismatch` if it went on meanwhile: again.
pub async fn fork(
    session: &Session,
    (held, signer): (Signer<'_>, Signer<'_>),
    source: &OpenDb,
    at: Option<(LogId, u64)>,
    name: &str,
) -> Result<Forked, ClientError> {
    // What a command that was killed made is there; nothing is signed twice for one place.
    let made = Follower::from(LogId::control(&held.did), 0).with_any_parts().read(session, held, 1, 0).await;
    match made {
        Err(ClientError::Refused(problem)) if problem.code == "not_found" => {}
        Err(error) => return Err(error),
        Ok(_) => {
            let db = OpenDb::open(session, signer, name).await?;
            return match db.acl().source() {
                Some(did) if did == source.acl().did() => Ok(Forked { db, new: false }),
                _ => Err(ClientError::Unable(format!("{name} is a database already"))),
            };
        }
    }
    let mut salt = [0; 16];
    rng::system().fill_bytes(&mut salt);
    let base = base(session, signer, source.acl(), at).await?;
    let statement = Control::Fork { source: *source.acl().did(), did: held.did, salt, base };
    let (log, home) = (LogId::control(&held.did), session.trust().origin());
    let mut person = Speaker::new(signer, log, home);
    let mut itself = Speaker::new(held, log, home);
    let entries: [Entry; 3] = [
        person.says(&statement, Some(source.head()))?,
        itself.says(&Control::Owner { did: signer.did, yes: true }, None)?,
        itself.says(&Control::Leave, None)?,
    ];
    let answer = session.post_signed(signer, path::DATABASES, &encode_request(&entries)).await?;
    let receipts = Receipts::decode(&answer).map_err(|error| malformed(&error.to_string()))?;
    People::default().check_head(session, &receipts.head).await?;
    Ok(Forked { db: OpenDb::open(session, signer, name).await?, new: true })
}

/// Returns how far each log of the source goes into the fork, with the root of its tree there, proved.
pub(super) async fn base(
    session: &Session,
    signer: Signer<'_>,
    acl: &Acl,
    at: Option<(LogId, u64)>,
) -> Result<Vec<(LogId, u64, Hash)>, ClientError> {
    let mut base = Vec::new();
    for log in acl.logs().keys() {
        Follower::from(*log, 0).with_parts(acl.parts(log)).read(session, signer, 0, 0).await?;
        let newest = anchored::verify(session, signer, log, acl.salt()).await?.head;
        let size = at.filter(|(of, _)| of == log).map_or(newest, |(_, size)| size);
        if size > newest {
            return Err(ClientError::Unable(format!("the log has {newest} entries, not {size}")));
        }
        base.push((*log, size, root_at(session, signer, acl, (*log, size)).await?));
    }
    Ok(base)
}

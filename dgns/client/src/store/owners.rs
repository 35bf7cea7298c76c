//! The owners of a database: who takes in others, and how half of them delete it (PROTOCOL 25.12).

use dgns_api::store::acl::{Acl, Stage};
use dgns_api::store::control::Control;
use identity::did::Did;

use super::append::MOVING;
use super::database::OpenDb;
use super::members::{Said, ends, say};
use crate::error::{ClientError, Tombstone};
use crate::session::{Session, Signer};

/// What became of a wish to delete a database.
#[derive(Debug)]
pub enum Deletion {
    /// It is deleted, and that is proved.
    Done(Box<Tombstone>),
    /// It is not: who may do what by now, and who is for it.
    Open(Box<Acl>),
}

/// Says that somebody should be an owner, which they are once more than half of the owners say so, or takes that back.
pub async fn add(session: &Session, signer: Signer<'_>, name: &str, who: &Did, yes: bool) -> Result<Said, ClientError> {
    let plan = async |db: &OpenDb| -> Result<Vec<Control>, ClientError> {
        let owners = db.acl().owners();
        let said = owners.asked().get(who).is_some_and(|voices| voices.contains(&signer.did));
        Ok(if owners.is(who) || said == yes { Vec::new() } else { vec![Control::Owner { did: *who, yes }] })
    };
    say(session, signer, name, plan).await
}

/// Leaves the owners of a database; the last one does not. What more than half, or half, of those who stay are for is so from then on.
pub async fn leave(session: &Session, signer: Signer<'_>, name: &str) -> Result<Said, ClientError> {
    let plan = async |db: &OpenDb| -> Result<Vec<Control>, ClientError> {
        Ok(if db.acl().owners().is(&signer.did) { vec![Control::Leave] } else { Vec::new() })
    };
    say(session, signer, name, plan).await
}

/// Says that a database should be deleted, and once half of its owners do, sets the tombstone and proves it. Whoever goes on after a
/// command that was killed says only what is not said yet.
///
/// Errors: [`ClientError::Refused`] with `not_allowed` for who is no owner.
pub async fn delete(session: &Session, signer: Signer<'_>, name: &str) -> Result<Deletion, ClientError> {
    match toward_deletion(session, signer, name).await {
        Ok(acl) => Ok(Deletion::Open(Box::new(acl))),
        Err(ClientError::Deleted(tombstone)) => Ok(Deletion::Done(tombstone)),
        Err(error) => Err(error),
    }
}

/// Says what is to be said, and returns who may do what while that is not enough. A deletion that is proved is an error as everywhere.
async fn toward_deletion(session: &Session, signer: Signer<'_>, name: &str) -> Result<Acl, ClientError> {
    let voice = async |db: &OpenDb| -> Result<Vec<Control>, ClientError> {
        let said = db.acl().owners().deleting().contains(&signer.did);
        Ok(if said { Vec::new() } else { vec![Control::Delete { yes: true }] })
    };
    let end = async |db: &OpenDb| -> Result<Vec<Control>, ClientError> {
        Ok(match db.acl().owners().stage() {
            Stage::Deleting => vec![Control::Tombstone { ends: ends(session, signer, db.acl()).await? }],
            Stage::Live | Stage::Deleted | Stage::Moved | Stage::Arriving => Vec::new(),
        })
    };
    let said = say(session, signer, name, voice).await?;
    if said.acl.owners().lacking() > 0 {
        return Ok(said.acl);
    }
    let said = say(session, signer, name, end).await?;
    if said.acl.owners().stage() != Stage::Deleted {
        return Ok(said.acl); // half was lost again meanwhile
    }
    OpenDb::open(session, signer, name).await?;
    Err(not_deleted())
}

/// Takes back that a database should be deleted.
pub async fn keep(session: &Session, signer: Signer<'_>, name: &str) -> Result<Said, ClientError> {
    let plan = async |db: &OpenDb| -> Result<Vec<Control>, ClientError> {
        let said = db.acl().owners().deleting().contains(&signer.did);
        Ok(if said { vec![Control::Delete { yes: false }] } else { Vec::new() })
    };
    say(session, signer, name, plan).await
}

/// Returns what an error comes to: a server that says that a database is deleted, or elsewhere, or an entry trimmed, has to show that owners said so.
pub async fn proved(session: &Session, signer: Signer<'_>, db: &mut OpenDb, error: ClientError) -> ClientError {
    match &error {
        ClientError::Refused(problem) if problem.code == "deleted" => {
            db.refresh(session, signer).await.err().unwrap_or_else(not_deleted)
        }
        // Where its owners' word leads the refresh goes; a database that is where it was neither moved, nor is it on its way there.
        ClientError::Refused(problem) if MOVING.contains(&problem.code.as_str()) && !session.is_at_host() => {
            let before = db.url().map(str::to_owned);
            match db.refresh(session, signer).await {
                Ok(()) if db.url() == before.as_deref() => ClientError::proof(
                    "not_moved",
                    "the server says that the database is at another one, or on its way, and its control log does not",
                ),
                Ok(()) => error,
                Err(error) => error,
            }
        }
        ClientError::Trimmed { log, pos } => match db.refresh(session, signer).await {
            Ok(()) if *pos < db.acl().first(log) => error,
            Ok(()) => {
                let what = format!("entry {pos} is said to be trimmed, and no owner said so");
                ClientError::proof(if session.is_at_host() { "bad_host" } else { "no_trim" }, what)
            }
            Err(error) => error,
        },
        _ => error,
    }
}

fn not_deleted() -> ClientError {
    ClientError::proof("no_tombstone", "the server says that the database is deleted, and its control log does not")
}

//! Trimming a log: the bodies of its first entries go for ever, and a snapshot that was held against them stands for them (PROTOCOL 25.18).

use dgns_api::problem::Problem;
use dgns_api::store::acl::{AclRefusal, Trim};
use dgns_api::store::control::Control;

use super::anchored;
use super::chunks::Progress;
use super::database::OpenDb;
use super::members::{refused, rekey, say};
use super::owners::proved;
use super::snapshot::audit::audit;
use super::snapshot::build::renewed;
use super::snapshot::restore::newest;
use crate::error::ClientError;
use crate::session::{Session, Signer};

/// How far a log is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// How far, and by which snapshot.
    pub trim: Trim,
    /// Whether it was not trimmed so far before.
    pub new: bool,
}

/// Trims a log before the entry `to`, or as far as its newest snapshot reaches. Everything that the snapshot covers is read and compared with
/// it first: once it is gone nobody can.
///
/// Errors: [`ClientError::Refused`] with `not_allowed` for who is no owner, with `trim_unsafe` if no snapshot reaches so far, or an entry
/// would go that has a record in chunks; [`ClientError::Proof`] with `snapshot_content` if the snapshot is not what it says.
pub async fn trim(
    session: &Session,
    signer: Signer<'_>,
    (name, label): (&str, &str),
    to: Option<u64>,
    progress: Progress<'_>,
) -> Result<Trimmed, ClientError> {
    let mut db = OpenDb::open(session, signer, name).await?;
    match trim_open(session, signer, (&mut db, name, label), to, progress).await {
        Err(error) => Err(proved(session, signer, &mut db, error).await),
        trimmed => trimmed,
    }
}

async fn trim_open(
    session: &Session,
    signer: Signer<'_>,
    (db, name, label): (&mut OpenDb, &str, &str),
    to: Option<u64>,
    progress: Progress<'_>,
) -> Result<Trimmed, ClientError> {
    if !db.acl().owners().is(&signer.did) {
        return Err(refused(AclRefusal::NotAllowed));
    }
    let place = db.log(label)?;
    anchored::verify(session, signer, &place.0, db.acl().salt()).await?;
    if let Some(trim) = db.acl().trimmed(&place.0).filter(|trim| to.is_some_and(|to| to <= trim.to)) {
        return Ok(Trimmed { trim, new: false });
    }
    let Some(snapshot) = newest(session, signer, db, place, None).await?.snapshot else {
        return Err(unsafe_to("the log has no snapshot that could stand for what goes: dgns snapshot build".into()));
    };
    let covered = snapshot.head().0;
    let to = to.unwrap_or(covered);
    if to > covered {
        return Err(unsafe_to(format!(
            "the newest snapshot has {covered} entries: dgns snapshot build, or --to {covered}"
        )));
    }
    let audited = audit(session, signer, db, place, &snapshot, progress).await?;
    if let Some(pos) = audited.in_chunks.filter(|pos| *pos < to) {
        return Err(unsafe_to(format!(
            "entry {pos} has a record in chunks, which no snapshot keeps: --to {pos} at most"
        )));
    }
    if let Some(trim) = db.acl().trimmed(&place.0).filter(|trim| to <= trim.to) {
        return Ok(Trimmed { trim, new: false });
    }
    if db.acl().groups().get(&place.1).is_some_and(|group| group.rekey_due) {
        // Who left opens nothing that is said from here on.
        rekey(session, signer, (name, label), true).await?;
        db.refresh(session, signer).await?;
    }
    let snapshot = renewed(session, signer, db, place, (snapshot, to)).await?.pos();
    let plan = async |db: &OpenDb| -> Result<Vec<Control>, ClientError> {
        let is_trimmed = to <= db.acl().first(&place.0);
        Ok(if is_trimmed { Vec::new() } else { vec![Control::Trim { log: place.0, to, snapshot }] })
    };
    let said = say(session, signer, name, plan).await?;
    let trim = said.acl.trimmed(&place.0).unwrap_or(Trim { to, snapshot });
    Ok(Trimmed { trim, new: said.statements > 0 })
}

fn unsafe_to(why: String) -> ClientError {
    ClientError::Refused(Box::new(Problem::new(409, AclRefusal::TrimUnsafe.code(), why)))
}

//! `db get`: the records of one entry, as they are.

use std::path::PathBuf;

use dgns_client::error::ClientError;
use dgns_client::store::anchored;
use dgns_client::store::database::OpenDb;
use dgns_client::store::follow::Follower;
use dgns_client::store::owners as deletions;
use serde_json::json;

use super::{Log, opened, void};
use crate::cli::actor::Actor;
use crate::cli::{Context, Done, Ended};

/// `db get`.
#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// The database
    name: String,
    /// The place of the entry
    pos: u64,
    /// Where its records go, one behind the other
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    log: Log,
}

/// Runs `db get`.
pub(super) async fn get(context: &Context, command: &Get) -> Done {
    let actor = command.log.at.actor(context).await?;
    let mut db = OpenDb::open(&actor.session, actor.signer(), &command.name).await?;
    match get_from(context, &actor, &mut db, command).await {
        Err(error) => Err(deletions::proved(&actor.session, actor.signer(), &mut db, error).await),
        done => done,
    }
}

async fn get_from(context: &Context, actor: &Actor, db: &mut OpenDb, command: &Get) -> Done {
    let (pos, out) = (command.pos, &command.out);
    let (log, gid) = db.log(&command.log.label)?;
    anchored::verify(&actor.session, actor.signer(), &log, db.acl().salt()).await?;
    let mut follower = Follower::from(log, pos).with_parts(db.acl().parts(&log));
    let (entries, size) = follower.read(&actor.session, actor.signer(), 1, 0).await?;
    let unable = |why: String| ClientError::Unable(why);
    let entry = entries.first().ok_or_else(|| unable(format!("the log has {size} entries, and none at {pos}")))?;
    if !db.counts(&actor.session, actor.signer(), pos, entry.header()).await? {
        return Err(unable(void(pos, &entry.header().author)));
    }
    let records = opened(actor, db, (gid, log, pos), entry).await?;
    let records = records.ok_or_else(|| unable(format!("entry {pos} of {} does not open", entry.header().author)))?;
    let bytes: Vec<u8> = records.iter().flat_map(|record| record.iter().copied()).collect();
    std::fs::write(out, &bytes).map_err(|error| unable(format!("{}: {error}", out.display())))?;
    let text = format!("{} records, {} bytes in {}", records.len(), bytes.len(), out.display());
    let value = json!({ "ok": true, "pos": pos, "records": records.len(), "bytes": bytes.len(), "out": out });
    context.out.result(&text, &value);
    Ok(Ended::Ok)
}

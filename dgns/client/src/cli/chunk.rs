//! `chunk`: files that are cut, sealed and stored by their hashes.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use dgns_api::store::entry::parse_id;
use dgns_client::error::ClientError;
use dgns_client::home::part_of;
use dgns_client::store::chunks::{self, Step};
use serde_json::json;

use super::actor::Actor;
use super::db::{At, away};
use super::progress::Progress;
use super::{Context, Done, Ended};

/// `chunk`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Chunk {
    /// Store a file; the last line is its id. Interrupted, it goes on where it was
    Put {
        /// The file
        file: PathBuf,
    },
    /// Fetch a file by its id, each piece checked. Interrupted, it goes on where it was
    Get {
        /// The id
        id: String,
        /// Where it goes
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        at: At,
    },
}

/// Runs `chunk`.
pub(crate) async fn chunk(context: &Context, command: Chunk) -> Done {
    match command {
        Chunk::Put { file } => put(context, &file).await,
        Chunk::Get { id, out, at } => get(context, &id, &out, &at).await,
    }
}

async fn put(context: &Context, path: &Path) -> Done {
    let actor = Actor::new(context).await?;
    let unreadable = |error: std::io::Error| ClientError::Unable(format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(unreadable)?;
    let all = file.metadata().map_err(unreadable)?.len();
    let mut progress = Progress::new("put");
    let mut told = |step: Step<'_>| show(context, &mut progress, step, all);
    let stored = chunks::put(&actor.session, actor.signer(), &mut file, &mut told).await?;
    drop(progress);
    let id = HEXLOWER.encode(&stored.id);
    context
        .out
        .note(&format!("{} bytes stored; {} chunks were sent, the others were there", stored.bytes, stored.sent));
    context.out.result(&id, &json!({ "ok": true, "id": id, "bytes": stored.bytes, "sent": stored.sent }));
    Ok(Ended::Ok)
}

/// Shows how far a file is, `all` bytes of which there are if that is not known.
fn show(context: &Context, progress: &mut Progress, step: Step<'_>, all: u64) {
    match step {
        Step::Done { done, all: known } => progress.show(done, known.unwrap_or(all)),
        Step::Away(why) => context.out.warn(&away(why)),
    }
}

async fn get(context: &Context, id: &str, out: &Path, at: &At) -> Done {
    let id = parse_id(id).map_err(|error| ClientError::Unable(error.to_string()))?;
    let actor = at.actor(context).await?;
    let part = part_of(out);
    let unwritable = |error: std::io::Error| ClientError::Unable(format!("{}: {error}", part.display()));
    let mut file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&part).map_err(unwritable)?;
    let mut progress = Progress::new("get");
    let mut told = |step: Step<'_>| show(context, &mut progress, step, 0);
    let bytes = chunks::get(&actor.session, actor.signer(), &id, &mut file, &mut told).await?;
    drop(progress);
    file.set_len(bytes).and_then(|()| file.sync_all()).map_err(unwritable)?;
    std::fs::rename(&part, out).map_err(unwritable)?;
    let text = format!("{bytes} bytes in {}", out.display());
    context.out.result(&text, &json!({ "ok": true, "bytes": bytes, "out": out }));
    Ok(Ended::Ok)
}

//! `dgnsd zone export`: the zone as a file that any name server reads, made of what is stored while no server runs on it.

use std::io::{self, Write};

use storage::people::People;
use storage::{Options, Storage, StorageError};

use super::transfer::Serials;
use super::{Zone, feed, update};
use crate::clock::Clock;
use crate::config::Config;

/// Why a zone was not exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The data cannot be read, or a server runs on it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The file cannot be written.
    #[error("{0}")]
    Write(#[from] io::Error),
    /// There is no log in the data directory.
    #[error("there is no log yet: start the server once")]
    Nothing,
}

/// Writes `zone`, which is empty, with every name that the data directory has and what devices wrote there themselves, signed if `zone` is; returns how
/// many records. Where others copy the zone its serial is behind all that they were given. The newest head, at `_checkpoint`, is left out: it is a server's word of now. Errors: [`ExportError`]; what was written is of no use then.
pub async fn write(zone: Zone, config: &Config, clock: &Clock, out: &mut dyn Write) -> Result<usize, ExportError> {
    let (data, options) = (config.data.as_path(), || Options { create: false, ..Options::default() });
    let storage = Storage::open_with(data, options()).await?;
    let head = storage.log().load_head().await?.ok_or(ExportError::Nothing)?;
    let zone = match config.dns.peers.is_empty() {
        true => zone,
        false => zone.with_editions(Serials::open(data, clock.now().as_ms())?.last()),
    };
    feed::load(&zone, &storage, head.size).await?;
    zone.set_ready();
    if People::is_in(data) {
        let people = People::open_with(data, options()).await?;
        let kept = update::Kept::read(&people, clock.now().as_s()).await?;
        kept.show(&zone).map_err(io::Error::other)?;
        people.close().await?;
    }
    zone.sign_all();
    let count = zone.write(out)?;
    out.flush()?;
    storage.close().await?;
    Ok(count)
}

//! Records that are too large for an entry: cut into pieces, each a chunk that the entry names (PROTOCOL 25.7).

use data_encoding::HEXLOWER;
use dgns_api::store::content;
use dgns_api::store::entry::LogId;
use dgns_api::store::limits::{LARGE_RECORD_BYTES_MAX, PIECE_BYTES};
use dgns_api::store::record::Pieces;
use identity::hash::Hash;
use zeroize::Zeroizing;

use super::chunks::{PIECES_AT_ONCE, Progress, chunk_of_entry, put_missing};
use super::seal::{self, GroupKey};
use crate::error::ClientError;
use crate::session::{Session, Signer};

/// Stores a record for the entries of a log, sealed under the key of its group. What an earlier attempt brought there under the same key
/// is not sent again.
///
/// Errors: [`ClientError::Unable`] if it has more than [`LARGE_RECORD_BYTES_MAX`] bytes, or none, before anything is stored.
pub async fn put(
    session: &Session,
    signer: Signer<'_>,
    log: &LogId,
    key: &GroupKey,
    record: &[u8],
    progress: Progress<'_>,
) -> Result<Pieces, ClientError> {
    if record.is_empty() {
        return Err(ClientError::Unable("a record in chunks has some bytes".into()));
    }
    if record.len() as u64 > LARGE_RECORD_BYTES_MAX {
        let most = format!("a record has at most {LARGE_RECORD_BYTES_MAX} bytes; store a file with dgns chunk put");
        return Err(ClientError::Unable(most));
    }
    let query = format!("?log={log}");
    let (mut done, mut pieces) = (0, Vec::new());
    for at_once in record.chunks(PIECES_AT_ONCE * PIECE_BYTES) {
        let sealed = at_once.chunks(PIECE_BYTES).map(|piece| seal::seal_record_piece(key, piece));
        let (keys, chunks): (Vec<_>, Vec<_>) = sealed.unzip();
        pieces.extend(chunks.iter().map(|chunk| content::id_of(chunk)).zip(keys));
        put_missing(session, signer, &query, &chunks).await?;
        done += at_once.len() as u64;
        progress(done);
    }
    Ok(Pieces { bytes: done, pieces })
}

/// Returns a record whose chunks the entry at place `pos` of a log names, each checked; `None` if they do not open, which is its author's
/// doing.
///
/// Errors: [`ClientError::Proof`] if the server gives other bytes; [`ClientError::Network`] if it does not have what it has to keep.
pub async fn get(
    session: &Session,
    signer: Signer<'_>,
    (log, pos): (&LogId, u64),
    record: &Pieces,
) -> Result<Option<Zeroizing<Vec<u8>>>, ClientError> {
    let mut whole = Zeroizing::new(Vec::new());
    for (id, key) in &record.pieces {
        let chunk = match chunk_of_entry(session, signer, (*log, pos), id).await {
            Err(ClientError::Refused(problem)) if problem.code == "not_found" => return Err(lost(id, pos)),
            chunk => chunk?,
        };
        let rest = usize::try_from(record.bytes).unwrap_or(usize::MAX) - whole.len();
        let Ok(piece) = seal::open_piece(key, rest.min(PIECE_BYTES), &chunk) else { return Ok(None) };
        whole.extend_from_slice(&piece);
    }
    Ok(Some(whole))
}

fn lost(id: &Hash, pos: u64) -> ClientError {
    let hex = HEXLOWER.encode(id);
    ClientError::Network(format!(
        "the server does not have the chunk {hex}, which entry {pos} names and it has to keep"
    ))
}

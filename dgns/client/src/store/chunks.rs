//! Files as chunks: cut, sealed, stored by their hashes, and checked against them when they come back (PROTOCOL 25.7).

use std::io::{Read, Seek, SeekFrom, Write};

use data_encoding::HEXLOWER;
use dgns_api::path;
use dgns_api::store::content::{self, ContentId};
use dgns_api::store::entry::LogId;
use dgns_api::store::limits::PIECE_BYTES;
use dgns_api::store::record::Piece;
use identity::wire::{Reader, WireError, Writer};
use zeroize::Zeroizing;

use super::away::past_absence;
use super::seal::{self, FileKeys};
use crate::error::ClientError;
use crate::session::{Session, Signer};
use crate::user_keys;

/// The pieces of a file: their list fits a chunk that an answer carries.
const PIECES_MAX: usize = 16_384;

/// How many pieces are sealed and asked for at once.
pub(super) const PIECES_AT_ONCE: usize = 8;

/// How far something got: so much is done.
pub type Progress<'p> = &'p mut dyn FnMut(u64);

/// What whoever stores or fetches a file is told meanwhile.
#[derive(Clone, Copy, Debug)]
pub enum Step<'s> {
    /// So many bytes are there.
    Done {
        /// How many.
        done: u64,
        /// Of how many; `None` if that is not known.
        all: Option<u64>,
    },
    /// The server does not answer, for this reason; it is asked again for a while.
    Away(&'s str),
}

/// A file that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What it is asked for by.
    pub id: ContentId,
    /// Its bytes.
    pub bytes: u64,
    /// How many chunks had to be sent; the others were there.
    pub sent: u64,
}

/// Stores what `file` holds, sealed under keys of this person's own. What an earlier upload of it brought there is not sent again.
pub async fn put(
    session: &Session,
    signer: Signer<'_>,
    file: &mut impl Read,
    told: &mut dyn FnMut(Step<'_>),
) -> Result<Stored, ClientError> {
    let (generation, keys) = newest_keys(session, signer).await?;
    let (mut rows, mut bytes, mut sent) = (Vec::new(), 0, 0);
    loop {
        let mut pieces = Vec::new();
        while pieces.len() < PIECES_AT_ONCE {
            let piece = next_piece(file)?;
            if piece.is_empty() {
                break;
            }
            bytes += piece.len() as u64;
            let (key, sealed) = keys.seal_piece(&piece);
            rows.push((content::id_of(&sealed), key));
            pieces.push(sealed);
        }
        if pieces.is_empty() {
            break;
        }
        if rows.len() > PIECES_MAX {
            return Err(ClientError::Unable(format!("a file has at most {PIECES_MAX} pieces of 1 MiB")));
        }
        let mut away = |why: &str| told(Step::Away(why));
        sent += past_absence(&mut away, async || put_missing(session, signer, FILES, &pieces).await).await?;
        told(Step::Done { done: bytes, all: None });
    }
    let mut writer = Writer::with_capacity(rows.len() * 70 + 16);
    writer.array(2).uint(bytes).array(rows.len());
    for (id, key) in &rows {
        writer.array(2).bytes(id).bytes(key);
    }
    let sealed = keys.seal_manifest(&writer.finish());
    let manifest = [&generation.to_be_bytes()[..], &sealed].concat();
    let id = content::id_of(&manifest);
    let (manifest, mut away) = ([manifest], |why: &str| told(Step::Away(why)));
    sent += past_absence(&mut away, async || put_missing(session, signer, FILES, &manifest).await).await?;
    Ok(Stored { id, bytes, sent })
}

/// Writes the file of `id` into `out`, each piece only after it was checked; returns its bytes, behind which `out` may go on. Pieces that stand there already, and
/// are the right ones, are not fetched again.
pub async fn get(
    session: &Session,
    signer: Signer<'_>,
    id: &ContentId,
    out: &mut (impl Read + Write + Seek),
    told: &mut dyn FnMut(Step<'_>),
) -> Result<u64, ClientError> {
    let manifest = get_chunk(session, signer, FILES, id).await?;
    let (generation, sealed) = manifest.split_first_chunk::<8>().ok_or_else(|| no_file(id))?;
    let resolved = session.resolve_did(&signer.did).await?;
    let state = resolved.did().ok_or_else(|| ClientError::Absent(signer.did.to_string()))?;
    let seed = user_keys::of_generation(session, signer, state, u64::from_be_bytes(*generation)).await?;
    let keys = FileKeys::new(seed);
    let manifest = keys.open_manifest(sealed).map_err(|_| no_file(id))?;
    let (bytes, rows) = read_manifest(&manifest).map_err(|_| no_file(id))?;
    let unusable = |error: std::io::Error| ClientError::Unable(format!("the file: {error}"));
    let mut done = 0;
    for (id, key) in rows {
        out.seek(SeekFrom::Start(done)).map_err(unusable)?;
        let mut there = Vec::new();
        let length = (PIECE_BYTES as u64).min(bytes - done);
        out.take(length).read_to_end(&mut there).map_err(unusable)?;
        if there.len() as u64 == length && content::id_of(&keys.seal_piece(&there).1) == id {
            done += there.len() as u64;
        } else {
            let mut away = |why: &str| told(Step::Away(why));
            let sealed = past_absence(&mut away, async || get_chunk(session, signer, FILES, &id).await).await?;
            let piece = seal::open_piece(&key, length as usize, &sealed).map_err(|_| no_file(&id))?;
            out.seek(SeekFrom::Start(done)).and_then(|_| out.write_all(&piece)).map_err(unusable)?;
            done += piece.len() as u64;
        }
        if done > bytes {
            return Err(no_file(&id));
        }
        told(Step::Done { done, all: Some(bytes) });
    }
    if done == bytes { Ok(bytes) } else { Err(no_file(id)) }
}

/// The query of chunks that are of files.
const FILES: &str = "";

/// Stores the chunks that are not there yet for what `query` says; returns how many that were.
pub(super) async fn put_missing(
    session: &Session,
    signer: Signer<'_>,
    query: &str,
    chunks: &[Vec<u8>],
) -> Result<u64, ClientError> {
    let ids: Vec<ContentId> = chunks.iter().map(|chunk| content::id_of(chunk)).collect();
    let answer =
        session.post_signed(signer, &format!("{}{query}", path::CHUNKS_HAVE), &content::encode_ids(&ids)).await?;
    let there = content::decode_ids(&answer).map_err(|_| ClientError::Network("an answer that is no list".into()))?;
    let mut sent = 0;
    for (id, chunk) in ids.iter().zip(chunks).filter(|(id, _)| !there.contains(id)) {
        session.put_signed(signer, &format!("{}{}{query}", path::CHUNKS, HEXLOWER.encode(id)), chunk).await?;
        sent += 1;
    }
    Ok(sent)
}

/// Returns a chunk that the entry at a place of a log names, compared with its id.
///
/// Errors: [`ClientError::Trimmed`] if the server says that the entry was trimmed, which is to be proved.
pub(super) async fn chunk_of_entry(
    session: &Session,
    signer: Signer<'_>,
    (log, pos): (LogId, u64),
    id: &ContentId,
) -> Result<Vec<u8>, ClientError> {
    match get_chunk(session, signer, &format!("?log={log}&pos={pos}"), id).await {
        Err(ClientError::Refused(problem)) if problem.code == "trimmed" => Err(ClientError::Trimmed { log, pos }),
        chunk => chunk,
    }
}

/// Returns a chunk, compared with its id; `query` says why it is this person's to read.
pub(super) async fn get_chunk(
    session: &Session,
    signer: Signer<'_>,
    query: &str,
    id: &ContentId,
) -> Result<Vec<u8>, ClientError> {
    let hex = HEXLOWER.encode(id);
    let bytes = session.get_signed(signer, &format!("{}{hex}{query}", path::CHUNKS)).await?;
    if content::id_of(&bytes) != *id {
        // A host may have made them up.
        let code = if session.is_at_host() { "bad_host" } else { "chunk_hash" };
        return Err(ClientError::proof(code, format!("what came are other bytes than those of {hex}")));
    }
    Ok(bytes)
}

async fn newest_keys(session: &Session, signer: Signer<'_>) -> Result<(u64, FileKeys), ClientError> {
    let resolved = session.resolve_did(&signer.did).await?;
    let state = resolved.did().ok_or_else(|| ClientError::Absent(signer.did.to_string()))?;
    let none = || ClientError::Unable("you have no user key to seal with: run dgns up first".into());
    let generation = state.user_key.as_ref().ok_or_else(none)?.generation;
    let seed = user_keys::newest(session, signer, state).await?.ok_or_else(none)?;
    Ok((generation, FileKeys::new(seed)))
}

/// Reads the next piece; an empty one is the end.
pub(super) fn next_piece(file: &mut impl Read) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let mut piece = Zeroizing::new(Vec::with_capacity(PIECE_BYTES));
    file.take(PIECE_BYTES as u64)
        .read_to_end(&mut piece)
        .map_err(|error| ClientError::Unable(format!("the file: {error}")))?;
    Ok(piece)
}

fn read_manifest(bytes: &[u8]) -> Result<(u64, Vec<Piece>), WireError> {
    let mut reader = Reader::new(bytes);
    reader.array_of(2)?;
    let size = reader.uint()?;
    let rows = reader.list(PIECES_MAX, |r| {
        r.array_of(2)?;
        Ok::<_, WireError>((r.fixed()?, r.fixed()?))
    })?;
    Ok((size, rows))
}

fn no_file(id: &ContentId) -> ClientError {
    ClientError::Unable(format!("{} is no file of yours: its list of pieces does not open", HEXLOWER.encode(id)))
}

//! Files fetched by content: every chunk checked before it is written, and what was written before used again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use identity::hash::Hash;
use lobby::limits::{CHUNK_BYTES, FILE_BYTES_MAX};
use lobby::share::{Contents, Said};

use super::Connection;
use crate::error::ClientError;
use crate::home::part_of;

/// Chunks asked for and not there yet: a megabyte.
const WINDOW: usize = 16;

/// A file that the host opened: what it must be.
#[derive(Clone, Debug)]
pub struct Opened {
    contents: Contents,
    root: Hash,
    path: String,
}

/// What a download did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Got {
    /// Bytes of the file.
    pub size: u64,
    /// Bytes that were there from an attempt before, and are right.
    pub kept: u64,
    /// What names the contents.
    pub root: Hash,
}

impl Connection {
    /// Opens a file: fetches the ids of its chunks, which must be those that its root names.
    pub async fn open(&mut self, path: &str) -> Result<Opened, ClientError> {
        let id = self.id();
        let (root, size) = match self.ask(id, &Said::Open { id, path: path.to_owned() }).await? {
            Said::Opened { root, size, .. } if size <= FILE_BYTES_MAX => (root, size),
            Said::Err { code, .. } => return Err(self.not_served(path, &code)),
            _ => return Err(self.nonsense()),
        };
        let mut ids: Vec<Hash> = Vec::new();
        while (ids.len() as u64) < Contents::chunks_of(size) {
            let id = self.id();
            match self.ask(id, &Said::Ids { id, root, from: ids.len() as u64 }).await? {
                Said::IdsAre { ids: more, .. } if !more.is_empty() => ids.extend(more),
                Said::Err { code, .. } => return Err(self.not_served(path, &code)),
                _ => return Err(self.nonsense()),
            }
        }
        let contents = Contents::proved(size, ids, &root).map_err(|_| self.mismatch(path))?;
        Ok(Opened { contents, root, path: path.to_owned() })
    }

    /// Fetches a file into `out`. What an attempt before left beside it is checked and used; `progress` is told how many bytes
    /// are there, and of how many.
    pub async fn get(
        &mut self,
        path: &str,
        out: &Path,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Got, ClientError> {
        let opened = self.open(path).await?;
        let part = part_of(out);
        let unable = |error: std::io::Error| ClientError::Unable(format!("{}: {error}", part.display()));
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&part);
        let file = options.map_err(unable)?;
        let wanted = wanted(&file, &opened.contents);
        let size = opened.contents.size();
        let missing: u64 =
            wanted.iter().filter_map(|index| opened.contents.place(*index)).map(|place| place.1 as u64).sum();
        let kept = size - missing;
        let mut done = kept;
        progress(done, size);
        self.chunks(&opened, &wanted, |offset, chunk| {
            file.write_all_at(chunk, offset).map_err(unable)?;
            done += chunk.len() as u64;
            progress(done, size);
            Ok(())
        })
        .await?;
        file.set_len(size).map_err(unable)?;
        file.sync_all().map_err(unable)?;
        std::fs::rename(&part, out).map_err(|error| ClientError::Unable(format!("{}: {error}", out.display())))?;
        Ok(Got { size, kept, root: opened.root })
    }

    /// Fetches chunks, several at a time; each is checked, then handed on.
    async fn chunks(
        &mut self,
        opened: &Opened,
        wanted: &[u64],
        mut take: impl FnMut(u64, &[u8]) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let mut waiting: HashMap<u64, (u64, Vec<u8>)> = HashMap::new();
        let mut next = wanted.iter();
        loop {
            while waiting.len() < WINDOW {
                let Some(index) = next.next() else { break };
                let id = self.id();
                self.say(&Said::Chunk { id, root: opened.root, index: *index }).await?;
                waiting.insert(id, (*index, Vec::with_capacity(CHUNK_BYTES)));
            }
            if waiting.is_empty() {
                return Ok(());
            }
            match self.hear().await? {
                Said::Piece { id, offset, last, bytes } => {
                    let Some((index, chunk)) = waiting.get_mut(&id) else { continue };
                    let fits = offset == chunk.len() as u64 && chunk.len() + bytes.len() <= CHUNK_BYTES;
                    if !fits {
                        return Err(self.mismatch(&opened.path));
                    }
                    chunk.extend_from_slice(&bytes);
                    if !last {
                        continue;
                    }
                    let place = opened.contents.place(*index);
                    if opened.contents.check(*index, chunk).is_err() {
                        self.link.close().await;
                        return Err(self.mismatch(&opened.path));
                    }
                    if let Some((offset, _)) = place {
                        take(offset, chunk)?;
                    }
                    waiting.remove(&id);
                }
                Said::Err { id, code } if waiting.contains_key(&id) => {
                    return Err(self.not_served(&opened.path, &code));
                }
                _ => {}
            }
        }
    }

    fn mismatch(&self, path: &str) -> ClientError {
        self.talk.fault(
            &self.prover,
            "hash_mismatch",
            format!("{path}: what the host sends is not what its hash names"),
        )
    }
}

/// The chunks that a file does not have yet.
fn wanted(file: &File, contents: &Contents) -> Vec<u64> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let has = |index: u64, chunk: &mut [u8]| {
        contents.place(index).is_some_and(|(offset, length)| {
            file.read_exact_at(&mut chunk[..length], offset).is_ok() && contents.check(index, &chunk[..length]).is_ok()
        })
    };
    (0..contents.ids().len() as u64).filter(|index| !has(*index, &mut chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_was_written_before_only_what_is_right_is_used() {
        let directory = tempfile::tempdir().expect("a directory");
        let whole: Vec<u8> = (0..CHUNK_BYTES * 3 + 5).map(|at| (at % 251) as u8).collect();
        let ids = whole.chunks(CHUNK_BYTES).map(Contents::id_of).collect();
        let contents = Contents::new(whole.len() as u64, ids).expect("four chunks");
        let path = directory.path().join("f.part");
        let missing = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("a file");
            wanted(&File::open(&path).expect("a file"), &contents)
        };
        assert_eq!(missing(&[]), [0, 1, 2, 3]);
        assert_eq!(missing(&whole), Vec::<u64>::new());
        assert_eq!(missing(&whole[..CHUNK_BYTES * 2 - 1]), [1, 2, 3], "half a chunk is none");
        let mut damaged = whole.clone();
        damaged[CHUNK_BYTES] ^= 1;
        assert_eq!(missing(&damaged), [1]);
        assert_eq!(part_of(Path::new("a/b.bin")), Path::new("a/b.bin.part"));
    }
}

//! Files: listed, opened by content, given chunk by chunk (PROTOCOL 23.12).

use bytes::Bytes;
use lobby::limits::{IDS_MAX, PIECE_BYTES_MAX};
use lobby::share::{Contents, Listed, Said};
use peer::{Channel, Link, LinkError};

use super::{Done, NotServed, Serving, Told, blocking};

/// Bytes of a list in one message.
const LIST_BYTES: usize = 12_000;

impl Serving {
    pub(super) async fn list(&mut self, id: u64, after: &str) -> Done {
        if after.is_empty() {
            let host = self.host.clone();
            let files = tokio::task::spawn_blocking(move || host.served.list()).await.unwrap_or_default();
            self.listed = match &self.host.database {
                Some(database) => database.list(|path| self.sees(path)).await,
                None => Vec::new(),
            };
            self.listed.extend(files);
            // A file that lies where the database is is not there.
            self.listed.sort_by(|one, other| one.path.cmp(&other.path));
            self.listed.dedup_by(|one, other| one.path == other.path);
        }
        let begin = self.listed.partition_point(|file| file.path.as_str() <= after);
        let rest: Vec<&Listed> = self.listed[begin..].iter().filter(|file| self.sees(&file.path)).collect();
        let mut bytes = 0;
        let fits = |file: &&&Listed| {
            bytes += file.path.len() + 24;
            bytes <= LIST_BYTES
        };
        let files: Vec<Listed> = rest.iter().take_while(fits).map(|file| (*file).clone()).collect();
        let more = files.len() < rest.len();
        self.say(&Said::Listing { id, files, more }).await.map(Ok)
    }

    pub(super) async fn open(&mut self, id: u64, path: &str) -> Done {
        if !self.sees(path) {
            return Ok(Err(NotServed::NotFound.code()));
        }
        let (host, asked) = (self.host.clone(), path.to_owned());
        let opened = match blocking(move || host.served.contents(&asked), NotServed::Failed).await {
            Ok(opened) => opened,
            Err(not) => return Ok(Err(not.code())),
        };
        let said = Said::Opened { id, root: opened.root, size: opened.contents.size(), modified_s: opened.modified_s };
        self.files.keep(opened);
        self.say(&said).await?;
        self.host.say(Told::Gave(self.sess, path.to_owned())).await;
        Ok(Ok(()))
    }

    pub(super) async fn ids(&self, id: u64, root: &[u8; 32], from: u64) -> Done {
        let Some(opened) = self.files.of(root).filter(|opened| self.sees(&opened.path)) else {
            return Ok(Err(NotServed::NotFound.code()));
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let Some(rest) = opened.contents.ids().get(from..) else { return Ok(Err(NotServed::OutOfRange.code())) };
        let ids = rest[..rest.len().min(IDS_MAX)].to_vec();
        self.say(&Said::IdsAre { id, ids }).await.map(Ok)
    }

    pub(super) async fn chunk(&self, id: u64, root: &[u8; 32], index: u64) -> Done {
        let Some(opened) = self.files.of(root).filter(|opened| self.sees(&opened.path)) else {
            return Ok(Err(NotServed::NotFound.code()));
        };
        if index >= Contents::chunks_of(opened.contents.size()) {
            return Ok(Err(NotServed::OutOfRange.code()));
        }
        let host = self.host.clone();
        match blocking(move || host.served.chunk(&opened, index), NotServed::Failed).await {
            Ok(chunk) => pieces(&self.link, id, 0, &chunk, true).await.map(Ok),
            Err(not) => Ok(Err(not.code())),
        }
    }
}

/// Sends bytes in bulk, the first at `offset`; `ends` marks the last piece.
pub(super) async fn pieces(link: &Link, id: u64, offset: u64, bytes: &[u8], ends: bool) -> Result<(), LinkError> {
    let count = bytes.len().div_ceil(PIECE_BYTES_MAX);
    for (number, piece) in bytes.chunks(PIECE_BYTES_MAX).enumerate() {
        let offset = offset + (number * PIECE_BYTES_MAX) as u64;
        let last = ends && number + 1 == count;
        let said = Said::Piece { id, offset, last, bytes: Bytes::copy_from_slice(piece) };
        link.send(Channel::Bulk, &said.encode()).await?;
    }
    Ok(())
}

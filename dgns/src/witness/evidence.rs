//! Evidence a cosigner met: files that convict a log by its own signatures, below `DIR/evidence` (PROTOCOL 14.3).

use std::path::{Path, PathBuf};

use identity::hash::Hash;
use storage::{StorageError, durable};
use tokio::sync::watch;
use translog::fault::FaultFile;
use translog::note::{Note, SignatureLine, VerifierKey};

/// Files kept at most: the first ones tell, and a log that forks on and on must not fill the disk.
const FILES_MAX: usize = 256;

/// How the names of evidence files end.
const SUFFIX: &str = ".fault";

/// Where evidence is kept.
#[derive(Debug)]
pub(super) struct Evidence {
    directory: PathBuf,
    kept: watch::Sender<u64>,
}

impl Evidence {
    /// Returns the evidence below a data directory.
    pub(super) fn below(data: &Path) -> Self {
        Self { directory: data.join("evidence"), kept: watch::Sender::new(0) }
    }

    /// Keeps what convicts the log if two of its notes contradict each other; returns the new file.
    ///
    /// `path` is the consistency proof that came with `offered`. The file has the log's own lines alone, so that several witnesses
    /// of one fork make one file.
    pub(super) fn keep_contradiction(
        &self,
        keys: &[VerifierKey],
        cosigned: &Note,
        offered: &Note,
        path: &[Hash],
        size: u64,
    ) -> Result<Option<PathBuf>, StorageError> {
        let notes = [by_keys(cosigned, keys), by_keys(offered, keys)];
        match FaultFile::contradiction(keys, [&notes[0], &notes[1]], path) {
            Some(file) => self.keep(keys, &file, size, file.kind().word()),
            None => Ok(None),
        }
    }

    /// Keeps a file; `None` if it is there already, or too many are.
    pub(super) fn keep(
        &self,
        keys: &[VerifierKey],
        file: &FaultFile,
        size: u64,
        code: &str,
    ) -> Result<Option<PathBuf>, StorageError> {
        let path = self.directory.join(file_name(keys, size, code));
        if path.exists() || self.names().len() >= FILES_MAX {
            return Ok(None);
        }
        durable::create_dir(&self.directory)?;
        durable::replace(&path, &file.encode())?;
        self.kept.send_modify(|kept| *kept += 1);
        Ok(Some(path))
    }

    /// Returns the names of the files, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let files = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut names: Vec<String> = files.filter_map(|file| file.file_name().into_string().ok()).collect();
        names.retain(|name| name.ends_with(SUFFIX));
        names.sort();
        names
    }

    /// Returns the bytes of the file of this name.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        let known = self.names().into_iter().find(|known| known == name)?;
        std::fs::read(self.directory.join(known)).ok()
    }

    /// Tells of files that are kept from now on.
    pub(super) fn kept(&self) -> watch::Receiver<u64> {
        self.kept.subscribe()
    }

    /// Returns the file that says what was reported where.
    pub(super) fn reported_at(&self) -> PathBuf {
        self.directory.join("reported")
    }
}

/// A note with the lines of these keys alone.
pub(super) fn by_keys(note: &Note, keys: &[VerifierKey]) -> Note {
    let is_theirs = |line: &&SignatureLine| keys.iter().any(|key| key.id() == line.id && key.name() == line.name);
    let lines = note.lines().iter().filter(is_theirs).cloned().collect();
    Note::new(note.text().to_owned(), lines).unwrap_or_else(|_| note.clone())
}

/// `<zone>-<size>-<code>.fault`; a slash of an origin that has one becomes `_`.
pub(super) fn file_name(keys: &[VerifierKey], size: u64, code: &str) -> String {
    let origin = keys.first().map_or("", VerifierKey::name);
    let zone = origin.strip_suffix("/log").unwrap_or(origin);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' };
    format!("{}-{size}-{code}{SUFFIX}", zone.chars().map(plain).collect::<String>())
}

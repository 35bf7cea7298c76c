//! Evidence a cosigner met: files that convict a log by its own signatures, below `DIR/evidence` (PROTOCOL 14.3).

use std::path::{Path, PathBuf};

use identity::hash::Hash;
use storage::{StorageError, durable};
use translog::fault::FaultFile;
use translog::note::{Note, VerifierKey};

/// Files kept at most: the first ones tell, and a log that forks on and on must not fill the disk.
const FILES_MAX: usize = 256;

/// Where evidence is kept.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    directory: PathBuf,
}

impl Evidence {
    /// Returns the evidence below a data directory.
    pub(super) fn below(data: &Path) -> Self {
        Self { directory: data.join("evidence") }
    }

    /// Keeps what convicts the log if two of its notes contradict each other; returns the new file.
    ///
    /// `path` is the consistency proof that came with `offered`.
    pub(super) fn keep_contradiction(
        &self,
        keys: &[VerifierKey],
        cosigned: &Note,
        offered: &Note,
        path: &[Hash],
        size: u64,
    ) -> Result<Option<PathBuf>, StorageError> {
        match FaultFile::contradiction(keys, [cosigned, offered], path) {
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
        if path.exists() || self.count() >= FILES_MAX {
            return Ok(None);
        }
        durable::create_dir(&self.directory)?;
        durable::replace(&path, &file.encode())?;
        Ok(Some(path))
    }

    fn count(&self) -> usize {
        std::fs::read_dir(&self.directory).map_or(0, Iterator::count)
    }
}

/// `<zone>-<size>-<code>.fault`; a slash of an origin that has one becomes `_`.
pub(super) fn file_name(keys: &[VerifierKey], size: u64, code: &str) -> String {
    let origin = keys.first().map_or("", VerifierKey::name);
    let zone = origin.strip_suffix("/log").unwrap_or(origin);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' };
    format!("{}-{size}-{code}.fault", zone.chars().map(plain).collect::<String>())
}

//! Synced files: what returns from here survives a power cut.
//!
//! A new file is written under a temporary name, synced, moved into place, and its directory synced. A crash leaves the old
//! state or the new one, and perhaps a temporary file.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::fault::{Place, StorageError};

/// Raises the process's limit of open files to what the system allows: a server holds a descriptor for each connection.
pub fn raise_open_files() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    // A refusal leaves the old limit, under which the server works too.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
}

/// Makes `dir` and its missing parents, for the owner alone, durably.
pub fn create_dir(dir: &Path) -> Result<(), StorageError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = parent_of(dir) {
        create_dir(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(StorageError::of_file(dir, &error)),
        _ => {}
    }
    sync_dir(parent_of(dir).unwrap_or(Path::new(".")))
}

/// Makes the names in `dir` durable.
pub fn sync_dir(dir: &Path) -> Result<(), StorageError> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(|error| StorageError::of_file(dir, &error))
}

/// Writes `bytes` to `path`, whatever stood there before: readers see all of the old file or all of the new one.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let dir = parent_of(path).unwrap_or(Path::new("."));
    let staged = stage(dir, bytes)?;
    move_into_place(&staged, path, RenameFlags::empty()).map_err(|error| discard(&staged, path, &error))?;
    sync_dir(dir)
}

/// Writes `bytes`, readable by the owner alone, to `path`, which must not exist ([`StorageError::Io`] if it does).
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let dir = parent_of(path).unwrap_or(Path::new("."));
    let staged = stage(dir, bytes)?;
    move_into_place(&staged, path, RenameFlags::NOREPLACE).map_err(|error| discard(&staged, path, &error))?;
    sync_dir(dir)
}

/// Writes and syncs `bytes` under a temporary name in `dir`; the name is not durable yet.
pub(crate) fn stage(dir: &Path, bytes: &[u8]) -> Result<PathBuf, StorageError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = dir.join(format!(".tmp-{}-{number}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    match written {
        Ok(()) => Ok(path),
        Err(error) => Err(discard(&path, &path, &error)),
    }
}

/// Gives the staged file its name; the directory is not synced yet. Returns whether the name was free.
pub(crate) fn publish_new(staged: &Path, path: &Path) -> Result<bool, StorageError> {
    match move_into_place(staged, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(staged).map_err(|error| StorageError::of_file(staged, &error))?;
            Ok(false)
        }
        Err(error) => Err(discard(staged, path, &error)),
    }
}

fn move_into_place(staged: &Path, path: &Path, flags: RenameFlags) -> io::Result<()> {
    Ok(renameat_with(CWD, staged, CWD, path, flags)?)
}

/// Removes what is left of a failed write and names the file it was for.
fn discard(staged: &Path, path: &Path, error: &io::Error) -> StorageError {
    // A temporary file that cannot be removed either is harmless; the first failure is the one to report.
    let _ = fs::remove_file(staged);
    StorageError::of_file(path, error)
}

fn parent_of(path: &Path) -> Option<&Path> {
    path.parent().filter(|parent| !parent.as_os_str().is_empty())
}

/// A file that one process at a time may hold. The lock ends with the process, however it ends.
#[derive(Debug)]
pub struct LockFile {
    _file: File,
}

impl LockFile {
    /// Takes the lock, making the file if need be; [`StorageError::Locked`] if another process holds it.
    pub fn take(path: &Path) -> Result<Self, StorageError> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| StorageError::of_file(path, &error))?;
        lock(&file, path)?;
        Ok(Self { _file: file })
    }
}

/// Locks an open file against other processes.
pub(crate) fn lock(file: &File, path: &Path) -> Result<(), StorageError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => StorageError::Locked { place: Place::from(path) },
        TryLockError::Error(error) => StorageError::of_file(path, &error),
    })
}

#[cfg(test)]
mod tests;

//! Immutable objects by path, in a directory.
//!
//! A path is segments of `[a-z0-9._-]` between single slashes, none beginning with a dot. What returns from a write is durable.
//! A crash amid a write leaves the object whole or absent, and perhaps a file in `.tmp`, which the next start empties.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::durable;
use crate::fault::{Place, StorageError};
use crate::inject::{self, Failure, Plan, Step};
use crate::limits;

/// Objects under one directory. Clones share it.
#[derive(Clone, Debug)]
pub struct Objects {
    dir: PathBuf,
    failures: Plan,
}

impl Objects {
    /// Opens the directory, made and rid of what a crash left if `create`.
    pub(crate) fn open(dir: &Path, create: bool, failures: Plan) -> Result<Self, StorageError> {
        let objects = Self { dir: dir.to_owned(), failures };
        let staging = objects.staging();
        if !create {
            return Ok(objects);
        }
        match fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StorageError::of_file(&staging, &error));
            }
            _ => durable::create_dir(&staging)?,
        }
        Ok(objects)
    }

    /// Writes a new object. Equal bytes already there succeed, others are [`StorageError::ObjectDiffers`].
    pub async fn put_new(&self, path: &str, bytes: Bytes) -> Result<(), StorageError> {
        self.put_all_new(vec![(path.to_owned(), bytes)]).await
    }

    /// Writes new objects, as [`Objects::put_new`] does each, and syncs every directory once. The first fault ends it: those
    /// before it may or may not be durable, and writing all of them again is safe.
    pub async fn put_all_new(&self, objects: Vec<(String, Bytes)>) -> Result<(), StorageError> {
        let planned = self.failures.take(Step::PutObjects);
        inject::refused(planned)?;
        if planned == Some(Failure::DroppedOutcomeUnknown) {
            return Err(inject::planned());
        }
        let this = self.clone();
        blocking(move || this.put_all_new_blocking(&objects)).await?;
        planned.map_or(Ok(()), |_| Err(inject::planned()))
    }

    /// Writes an object whatever was there: for `checkpoint`, the only one that changes.
    pub async fn replace(&self, path: &str, bytes: Bytes) -> Result<(), StorageError> {
        let full = self.path_of(path)?;
        blocking(move || {
            durable::create_dir(full.parent().expect("below the directory"))?;
            durable::replace(&full, &bytes)
        })
        .await
    }

    /// Returns an object; `None` if there is none.
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>, StorageError> {
        let full = self.path_of(path)?;
        blocking(move || read(&full)).await
    }

    /// Deletes an object, durably; one that is not there is deleted.
    pub async fn delete(&self, path: &str) -> Result<(), StorageError> {
        let full = self.path_of(path)?;
        blocking(move || match fs::remove_file(&full) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StorageError::of_file(&full, &error)),
            Ok(()) => durable::sync_dir(full.parent().expect("below the directory")),
        })
        .await
    }

    /// Returns whether there is an object.
    pub async fn exists(&self, path: &str) -> Result<bool, StorageError> {
        let full = self.path_of(path)?;
        blocking(move || full.try_exists().map_err(|error| StorageError::of_file(&full, &error))).await
    }

    /// Returns the paths of all objects below the directory `prefix`, sorted; below all with an empty one.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        let from = if prefix.is_empty() { self.dir.clone() } else { self.path_of(prefix)? };
        let this = self.clone();
        blocking(move || {
            let mut found = Vec::new();
            this.walk(&from, &mut |path| {
                found.extend(this.name_of(path));
                Ok(())
            })?;
            found.sort_unstable();
            Ok(found)
        })
        .await
    }

    fn put_all_new_blocking(&self, objects: &[(String, Bytes)]) -> Result<(), StorageError> {
        let mut dirs = BTreeSet::new();
        for (path, bytes) in objects {
            let full = self.path_of(path)?;
            let dir = full.parent().expect("below the directory").to_owned();
            if !dirs.contains(&dir) {
                durable::create_dir(&dir)?;
            }
            put_one(&full, &self.staging(), bytes)?;
            dirs.insert(dir);
        }
        dirs.iter().try_for_each(|dir| durable::sync_dir(dir))
    }

    fn path_of(&self, path: &str) -> Result<PathBuf, StorageError> {
        let good_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        let good_segment =
            |segment: &str| !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(good_byte);
        if path.len() > limits::OBJECT_PATH_BYTES_MAX || !path.split('/').all(good_segment) {
            return Err(StorageError::BadPath { path: path.chars().take(limits::OBJECT_PATH_BYTES_MAX).collect() });
        }
        Ok(self.dir.join(path))
    }

    fn name_of(&self, full: &Path) -> Option<String> {
        full.strip_prefix(&self.dir).ok()?.to_str().map(str::to_owned)
    }

    fn staging(&self) -> PathBuf {
        self.dir.join(".tmp")
    }

    /// Calls `visit` with every file below `dir` but those being written; a directory that is not there has none.
    pub(crate) fn walk(
        &self,
        dir: &Path,
        visit: &mut dyn FnMut(&Path) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let fault = |error| StorageError::of_file(dir, &error);
        let items = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            items => items.map_err(fault)?,
        };
        for item in items {
            let item = item.map_err(fault)?;
            if item.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            match item.file_type().map_err(fault)?.is_dir() {
                true => self.walk(&item.path(), visit)?,
                false => visit(&item.path())?,
            }
        }
        Ok(())
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Writes one object; its name is durable once its directory is synced.
fn put_one(full: &Path, staging: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    // Asked first, because after a crash most of what is written again is already there.
    let there = match read(full)? {
        Some(there) => there,
        None if durable::publish_new(&durable::stage(staging, bytes)?, full)? => return Ok(()),
        None => read(full)?.unwrap_or_default(),
    };
    if there != bytes {
        return Err(StorageError::ObjectDiffers { place: Place::from(full) });
    }
    Ok(())
}

/// Reads an object, refusing what is too large to be one.
pub(crate) fn read(full: &Path) -> Result<Option<Bytes>, StorageError> {
    let fault = |error| StorageError::of_file(full, &error);
    match fs::metadata(full) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(error)),
        Ok(metadata) if metadata.len() > limits::OBJECT_BYTES_MAX => {
            return Err(StorageError::corrupt(full, format!("{} bytes are too many", metadata.len())));
        }
        Ok(_) => {}
    }
    fs::read(full).map(|bytes| Some(bytes.into())).map_err(fault)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    tokio::task::spawn_blocking(work).await.expect("file work does not panic, and the runtime outlives its callers")
}

#[cfg(test)]
mod tests;

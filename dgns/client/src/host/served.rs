//! A directory as it is served: regular files below it, by content.
//!
//! What is hidden, leads out of it or is no regular file is not there. A file's chunks are hashed when it is opened, and each again
//! when it is read: what changed in between is said to have changed, and never served as what it was.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use identity::hash::Hash;
use lobby::limits::{CHUNK_BYTES, FILE_BYTES_MAX};
use lobby::share::{Contents, Listed, is_path};

use super::written::Written;
use crate::error::ClientError;

/// Files whose ids are kept, the last asked for first: their ids are two thousandths of them.
const KEPT_MAX: usize = 256;

/// Files that a list may have.
const FILES_MAX: usize = 100_000;

/// Why something is not served; each has a code that the other end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotServed {
    /// `not_found`: no such file here, or not for this client.
    NotFound,
    /// `changed`: the file is no longer what was opened.
    Changed,
    /// `too_large`: above 64 GiB.
    TooLarge,
    /// `out_of_range`: no such chunk or place.
    OutOfRange,
    /// `failed`: the disk does not give it.
    Failed,
}

impl NotServed {
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Changed => "changed",
            Self::TooLarge => "too_large",
            Self::OutOfRange => "out_of_range",
            Self::Failed => "failed",
        }
    }
}

/// A file that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) contents: Contents,
    pub(crate) root: Hash,
    pub(crate) path: String,
    pub(crate) modified_s: u64,
    stamp: Stamp,
}

/// By what a file is known to be as it was: when it changed (seconds, nanoseconds), its bytes, its number.
type Stamp = (i64, i64, u64, u64);

/// A log that is written to, one writer at a time.
pub(crate) type SharedLog = Arc<Mutex<Written>>;

/// A directory.
#[derive(Debug)]
pub(crate) struct Served {
    /// Without one nothing is there.
    top: Option<PathBuf>,
    kept: Mutex<VecDeque<Arc<Opened>>>,
    /// The logs that somebody leased to write, by their places.
    written: Mutex<HashMap<PathBuf, Weak<Mutex<Written>>>>,
}

impl Served {
    /// Returns what is below a directory; nothing, if there is none.
    pub(crate) fn open(directory: Option<&Path>) -> Result<Self, ClientError> {
        let Some(directory) = directory else {
            return Ok(Self { top: None, kept: Mutex::default(), written: Mutex::default() });
        };
        let wrong = |what: String| ClientError::Unable(format!("{}: {what}", directory.display()));
        let top = directory.canonicalize().map_err(|error| wrong(error.to_string()))?;
        match top.is_dir() {
            true => Ok(Self { top: Some(top), kept: Mutex::default(), written: Mutex::default() }),
            false => Err(wrong("not a directory".to_owned())),
        }
    }

    /// Returns every file, by path.
    pub(crate) fn list(&self) -> Vec<Listed> {
        let mut files = Vec::new();
        let mut left: Vec<_> = self.top.iter().map(|top| (top.clone(), String::new())).collect();
        while let Some((directory, prefix)) = left.pop() {
            let Ok(entries) = std::fs::read_dir(&directory) else { continue };
            for entry in entries.flatten() {
                let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
                let path = format!("{prefix}{name}");
                if !is_path(&path) || files.len() >= FILES_MAX {
                    continue;
                }
                // Links are followed only to files, and those only if they stay below.
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => left.push((entry.path(), format!("{path}/"))),
                    Ok(_) => files.extend(self.look(&path).ok().map(|(_, size, modified_s)| Listed {
                        path,
                        size,
                        modified_s,
                    })),
                    Err(_) => {}
                }
            }
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files
    }

    /// Opens a file: its chunks are hashed, unless it is as it was the last time.
    pub(crate) fn contents(&self, path: &str) -> Result<Arc<Opened>, NotServed> {
        let (mut file, size, modified_s) = self.look(path)?;
        if size > FILE_BYTES_MAX {
            return Err(NotServed::TooLarge);
        }
        let stamp = stamp(&file)?;
        if let Some(known) = self.known(|known| known.path == path && known.stamp == stamp) {
            return Ok(known);
        }
        let mut ids = Vec::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = fill(&mut file, &mut chunk).map_err(|_| NotServed::Failed)?;
            if length == 0 {
                break;
            }
            ids.push(Contents::id_of(&chunk[..length]));
            if ids.len() as u64 > Contents::chunks_of(size) {
                return Err(NotServed::Changed);
            }
        }
        // Written to meanwhile: whoever asks again gets what it became.
        if stamp != self::stamp(&file)? {
            return Err(NotServed::Changed);
        }
        let contents = Contents::new(size, ids).ok_or(NotServed::Changed)?;
        let opened = Arc::new(Opened { root: contents.root(), contents, path: path.to_owned(), modified_s, stamp });
        let mut kept = self.kept.lock().expect("nothing panics while it holds the lock");
        kept.retain(|known| known.path != path);
        kept.push_front(opened.clone());
        kept.truncate(KEPT_MAX);
        Ok(opened)
    }

    /// Reads a chunk of an opened file and holds it against its id.
    pub(crate) fn chunk(&self, opened: &Opened, index: u64) -> Result<Vec<u8>, NotServed> {
        let (offset, length) = opened.contents.place(index).ok_or(NotServed::OutOfRange)?;
        let chunk = self.read(&opened.path, offset, length)?;
        opened.contents.check(index, &chunk).map_err(|_| NotServed::Changed)?;
        Ok(chunk)
    }

    /// Reads at most `length` bytes of a file from a place on; none at its end. A file that ends before is another one.
    pub(crate) fn read(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>, NotServed> {
        let (mut file, size, _) = self.look(path)?;
        if offset > size {
            return Err(NotServed::Changed);
        }
        file.seek(SeekFrom::Start(offset)).map_err(|_| NotServed::Failed)?;
        let mut bytes = vec![0; length];
        let read = fill(&mut file, &mut bytes).map_err(|_| NotServed::Failed)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Returns the bytes of a file.
    pub(crate) fn size(&self, path: &str) -> Result<u64, NotServed> {
        self.look(path).map(|(_, size, _)| size)
    }

    /// Returns the log at a path, to be written to. The file need not be there, the directory must.
    pub(crate) fn written(&self, path: &str) -> Result<SharedLog, NotServed> {
        if !is_path(path) {
            return Err(NotServed::NotFound);
        }
        let top = self.top.as_ref().ok_or(NotServed::NotFound)?;
        let asked = top.join(path);
        let place = match asked.canonicalize() {
            Ok(place) if std::fs::metadata(&place).is_ok_and(|metadata| metadata.is_file()) => place,
            // A link that leads nowhere is not made a file of.
            Err(_) if std::fs::symlink_metadata(&asked).is_err() => {
                let (Some(directory), Some(name)) = (asked.parent(), asked.file_name()) else {
                    return Err(NotServed::NotFound);
                };
                directory.canonicalize().map_err(|_| NotServed::NotFound)?.join(name)
            }
            _ => return Err(NotServed::NotFound),
        };
        if !place.starts_with(top) {
            return Err(NotServed::NotFound);
        }
        let mut written = self.written.lock().expect("nothing panics while it holds the lock");
        written.retain(|_, log| log.strong_count() > 0);
        if let Some(log) = written.get(&place).and_then(Weak::upgrade) {
            return Ok(log);
        }
        let log = Arc::new(Mutex::new(Written::at(place.clone())));
        written.insert(place, Arc::downgrade(&log));
        Ok(log)
    }

    fn known(&self, is: impl Fn(&Opened) -> bool) -> Option<Arc<Opened>> {
        let kept = self.kept.lock().expect("nothing panics while it holds the lock");
        kept.iter().find(|known| is(known)).cloned()
    }

    /// Opens a file if it is a regular one below the directory, with its size and time.
    fn look(&self, path: &str) -> Result<(File, u64, u64), NotServed> {
        if !is_path(path) {
            return Err(NotServed::NotFound);
        }
        let top = self.top.as_ref().ok_or(NotServed::NotFound)?;
        let place = top.join(path).canonicalize().map_err(|_| NotServed::NotFound)?;
        // Opening what is no file, such as a pipe, may wait for ever.
        let is_file = std::fs::metadata(&place).is_ok_and(|metadata| metadata.is_file());
        if !place.starts_with(top) || !is_file {
            return Err(NotServed::NotFound);
        }
        let file = File::open(&place).map_err(|_| NotServed::NotFound)?;
        let metadata = file.metadata().map_err(|_| NotServed::Failed)?;
        Ok((file, metadata.len(), u64::try_from(metadata.mtime()).unwrap_or(0)))
    }
}

fn stamp(file: &File) -> Result<Stamp, NotServed> {
    let metadata = file.metadata().map_err(|_| NotServed::Failed)?;
    Ok((metadata.mtime(), metadata.mtime_nsec(), metadata.len(), metadata.ino()))
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// The files that one connection opened, by root.
#[derive(Debug, Default)]
pub(crate) struct OpenFiles(HashMap<Hash, Arc<Opened>>);

impl OpenFiles {
    /// Keeps a file; of more than sixty-four an arbitrary one goes, and is opened again when it is needed.
    pub(crate) fn keep(&mut self, opened: Arc<Opened>) {
        if self.0.len() >= 64
            && let Some(root) = self.0.keys().next().copied()
        {
            self.0.remove(&root);
        }
        self.0.insert(opened.root, opened);
    }

    /// Returns a file that was opened here.
    pub(crate) fn of(&self, root: &Hash) -> Option<Arc<Opened>> {
        self.0.get(root).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_leads_out_or_is_hidden_is_not_there() {
        let home = tempfile::tempdir().expect("a directory");
        let top = home.path().join("served");
        fs::create_dir_all(top.join("sub/.git")).expect("directories");
        fs::write(home.path().join("secret"), "s").expect("a file");
        for file in ["a.txt", "sub/b", ".hidden", "sub/.git/config"] {
            fs::write(top.join(file), "x").expect("a file");
        }
        std::os::unix::fs::symlink(home.path().join("secret"), top.join("out")).expect("a link");
        std::os::unix::fs::symlink("a.txt", top.join("in")).expect("a link");
        std::os::unix::fs::symlink(home.path(), top.join("up")).expect("a link");
        let served = Served::open(Some(&top)).expect("a directory");
        let listed: Vec<String> = served.list().into_iter().map(|file| file.path).collect();
        assert_eq!(listed, ["a.txt", "in", "sub/b"]);
        for path in ["out", "up/secret", "../secret", ".hidden", "sub", "nothing", "/etc/passwd"] {
            assert_eq!(served.contents(path).map(|_| ()), Err(NotServed::NotFound), "{path}");
        }
        std::os::unix::fs::symlink("nowhere", top.join("dangling")).expect("a link");
        for path in ["out", "up/new", "../new", ".hidden", "sub", "no/new", "/etc/new", "sub/.new", "dangling"] {
            assert_eq!(served.written(path).map(|_| ()), Err(NotServed::NotFound), "{path}");
        }
        let (log, again) = (served.written("sub/new").expect("a log"), served.written("sub/new").expect("a log"));
        assert!(Arc::ptr_eq(&log, &again) && served.written("in").is_ok());
    }

    #[test]
    fn a_file_that_changed_is_not_served_as_what_it_was() {
        let top = tempfile::tempdir().expect("a directory");
        let path = top.path().join("f");
        fs::write(&path, vec![1; CHUNK_BYTES + 3]).expect("a file");
        let served = Served::open(Some(top.path())).expect("a directory");
        let opened = served.contents("f").expect("a file");
        assert_eq!(served.chunk(&opened, 1), Ok(vec![1; 3]));
        assert_eq!(served.chunk(&opened, 2), Err(NotServed::OutOfRange));
        fs::write(&path, vec![2; CHUNK_BYTES + 3]).expect("a file");
        assert_eq!(served.chunk(&opened, 0), Err(NotServed::Changed));
        fs::write(&path, b"").expect("a file");
        assert_eq!(served.chunk(&opened, 1), Err(NotServed::Changed));
        assert_eq!(served.read("f", 1, 10), Err(NotServed::Changed));
        assert_eq!(served.contents("f").map(|opened| opened.contents.size()), Ok(0));
    }
}

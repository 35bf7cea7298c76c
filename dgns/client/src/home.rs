//! What a client keeps: pinned logs, remembered heads, the device's keys (PROTOCOL 14.1).
//!
//! ```text
//! <home>/servers.json             URL -> zone, as pinned when first met
//! <home>/<zone>/trust.json        the log's origin and verifier keys, and whether a person confirmed them
//! <home>/<zone>/policy            whose cosignatures its heads need
//! <home>/<zone>/memory            the newest head and the DIDs met; replaced whole, synced
//! <home>/<zone>/device.json       this device's keys and its DID, 0600
//! <home>/<zone>/post              a post on its way: repeated by the next command after a crash
//! <home>/<zone>/watched/          what `monitor` goes by: the last look at each name, with its proof
//! <home>/<zone>/evidence/         what convicts a log
//! <home>/<zone>/store/            what is known of logs of databases; of one that moved, <control log>.at/<server> is a home of its own
//! ```

mod pinned;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use dgns_api::store::entry::LogId;
use identity::did::Did;
use identity::key::{KexSecret, SigningKey};
use identity::name::Origin;
use serde::{Deserialize, Serialize};
use translog::trust::Memory;
use zeroize::Zeroizing;

use crate::error::ClientError;
use crate::evidence::Kept;
pub use pinned::{Pinned, read_policy};

/// The directory of a client.
#[derive(Clone, Debug)]
pub struct Home {
    directory: PathBuf,
}

/// What is kept of one log.
#[derive(Clone, Debug)]
pub struct LogHome {
    directory: PathBuf,
    origin: Origin,
}

/// This device's keys in one log.
#[derive(Debug)]
pub struct DeviceKeys {
    /// The DID it belongs to; absent until it was added.
    pub did: Option<Did>,
    /// The signing key.
    pub sign: SigningKey,
    /// The sealing key.
    pub kex: KexSecret,
}

/// The memory of one log while it is used: nobody else uses it meanwhile.
#[derive(Debug)]
pub struct OpenMemory {
    /// The memory.
    pub memory: Memory,
    path: PathBuf,
    _lock: File,
}

#[derive(Serialize, Deserialize)]
struct DeviceFile {
    did: Option<String>,
    sign: String,
    kex: String,
}

impl Home {
    /// Returns the home at `directory`, made if it is not there, closed to others.
    pub fn open(directory: &Path) -> Result<Self, ClientError> {
        make_directory(directory)?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the log a server was pinned to when first met.
    pub fn log_of(&self, server: &str) -> Result<Option<LogHome>, ClientError> {
        let servers = self.servers()?;
        match servers.get(server) {
            None => Ok(None),
            Some(origin) => {
                let origin = Origin::parse(origin).map_err(|_| damaged(&self.servers_path()))?;
                Ok(Some(self.log(&origin)))
            }
        }
    }

    /// Returns every log met, with the URLs it was met at, by origin.
    pub fn logs(&self) -> Result<Vec<(LogHome, Vec<String>)>, ClientError> {
        let mut logs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (server, origin) in self.servers()? {
            logs.entry(origin).or_default().push(server);
        }
        let read = |(origin, servers): (String, Vec<String>)| {
            let origin = Origin::parse(&origin).map_err(|_| damaged(&self.servers_path()))?;
            Ok((self.log(&origin), servers))
        };
        logs.into_iter().map(read).collect()
    }

    /// Pins a server to a log. A log met for the first time is believed as `offered`; of one that is known under another URL,
    /// what is believed stays as it is.
    ///
    /// Errors: [`ClientError::Proof`] if the log is known with other keys.
    pub fn pin(&self, server: &str, origin: &Origin, offered: &Pinned) -> Result<LogHome, ClientError> {
        let log = self.pin_log(server, origin, offered)?;
        let mut servers = self.servers()?;
        servers.insert(server.to_owned(), origin.as_str().to_owned());
        write_json(&self.servers_path(), &servers, 0o644)?;
        Ok(log)
    }

    /// As [`Home::pin`], of a log that somebody else than its server named: whose log a server has stays as it was. Until a server of it is met, its
    /// policy is the one that was offered last.
    ///
    /// Errors: [`ClientError::Proof`] as there; `who` offered the keys.
    pub(crate) fn pin_log(&self, who: &str, origin: &Origin, offered: &Pinned) -> Result<LogHome, ClientError> {
        let log = self.log(origin);
        make_directory(&log.directory)?;
        match log.pinned_if_met()? {
            Some(known) if !known.knows_any(&offered.log_keys) => {
                let what = format!("{who} offers other keys for {} than were pinned", origin.as_str());
                return Err(ClientError::proof("log_key", what));
            }
            Some(known) if known.first_use && !self.servers()?.values().any(|met| met == origin.as_str()) => {
                let (policy, first_use) = (offered.policy.clone(), offered.first_use);
                let now = Pinned { policy, first_use, ..known.clone() };
                if now != known {
                    log.keep_pinned(&now)?;
                }
            }
            Some(_) => {}
            None => log.keep_pinned(offered)?,
        }
        Ok(log)
    }

    /// Returns what is believed of a log; `None` if it was never met.
    pub(crate) fn pinned_of(&self, origin: &Origin) -> Result<Option<Pinned>, ClientError> {
        self.log(origin).pinned_if_met()
    }

    /// Returns the log if it is known, but by none of the keys offered.
    pub(crate) fn known_by_other_keys(
        &self,
        origin: &Origin,
        offered: &Pinned,
    ) -> Result<Option<LogHome>, ClientError> {
        let log = self.log(origin);
        let known = log.pinned_if_met()?;
        Ok(known.filter(|known| !known.knows_any(&offered.log_keys)).map(|_| log))
    }

    fn log(&self, origin: &Origin) -> LogHome {
        LogHome { directory: self.directory.join(origin.zone().as_str()), origin: origin.clone() }
    }

    fn servers(&self) -> Result<BTreeMap<String, String>, ClientError> {
        Ok(read_json(&self.servers_path())?.unwrap_or_default())
    }

    fn servers_path(&self) -> PathBuf {
        self.directory.join("servers.json")
    }
}

/// Subjects whose last proof is kept: 3 MB.
const LAST_MAX: usize = 1_024;

/// Between two looks whether somebody else still has the memory.
const TURN: Duration = Duration::from_millis(2);

impl LogHome {
    /// Returns the log's origin.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns what is kept of every log.
    pub(crate) fn home(&self) -> Home {
        let directory = self.directory.parent().expect("the home of a log is a directory in that of its client");
        Home { directory: directory.to_owned() }
    }

    /// Returns what is kept of the logs of a server for one database alone, that of a control log.
    pub(crate) fn home_beside(&self, control: &LogId, server: &Did) -> Result<Home, ClientError> {
        Home::open(&self.directory.join("store").join(format!("{control}.at")).join(server.to_string()))
    }

    /// Opens the memory; another process that uses it is waited for.
    pub fn memory(&self) -> Result<OpenMemory, ClientError> {
        self.open_memory(self.lock("memory.lock")?)
    }

    /// As [`LogHome::memory`], for whoever keeps it while waiting for something else: other tasks of the same process go on meanwhile. Whoever
    /// keeps it must be polled, so no branch of a `select!` may wait for its turn while another branch keeps it.
    pub async fn memory_in_turn(&self) -> Result<OpenMemory, ClientError> {
        loop {
            if let Some(lock) = self.try_lock("memory.lock")? {
                return self.open_memory(lock);
            }
            tokio::time::sleep(TURN).await;
        }
    }

    fn open_memory(&self, lock: File) -> Result<OpenMemory, ClientError> {
        let path = self.directory.join("memory");
        let memory = match fs::read(&path) {
            Ok(bytes) => Memory::decode(&bytes).map_err(|_| damaged(&path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Memory::new(self.origin.clone()),
            Err(error) => return Err(io_error(&path, &error)),
        };
        Ok(OpenMemory { memory, path, _lock: lock })
    }

    /// Returns this device's keys, if it has any in this log.
    pub fn device(&self) -> Result<Option<DeviceKeys>, ClientError> {
        let path = self.device_path();
        if let Ok(metadata) = fs::metadata(&path) {
            let mode = metadata.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                let why = format!("{0} is readable by others (mode {mode:o}); run: chmod 600 {0}", path.display());
                return Err(ClientError::Unable(why));
            }
        }
        let Some(file) = read_json::<DeviceFile>(&path)? else { return Ok(None) };
        let secret = |hex: &str| {
            let bytes = Zeroizing::new(HEXLOWER.decode(hex.as_bytes()).unwrap_or_default());
            <[u8; 32]>::try_from(bytes.as_slice()).map(Zeroizing::new).map_err(|_| damaged(&path))
        };
        let did = file.did.as_deref().map(str::parse).transpose().map_err(|_| damaged(&path))?;
        let (sign, kex) = (secret(&file.sign)?, secret(&file.kex)?);
        Ok(Some(DeviceKeys { did, sign: SigningKey::from_seed(&sign), kex: KexSecret::from_bytes(*kex) }))
    }

    /// Keeps this device's keys.
    pub fn keep_device(&self, device: &DeviceKeys) -> Result<(), ClientError> {
        let file = DeviceFile {
            did: device.did.map(|did| did.to_string()),
            sign: HEXLOWER.encode(&*device.sign.seed()),
            kex: HEXLOWER.encode(&*device.kex.to_bytes()),
        };
        write_json(&self.device_path(), &file, 0o600)
    }

    /// Waits for this process's turn at what `name` stands for, and keeps it until the lock is dropped.
    pub fn turn(&self, name: &str) -> Result<File, ClientError> {
        self.lock(name)
    }

    /// Waits for this process's turn to post, and keeps it until the lock is dropped: commands that run at the same time share
    /// the one file below.
    pub(crate) fn turn_to_post(&self) -> Result<File, ClientError> {
        self.lock("post.lock")
    }

    /// Returns the post that was on its way when the last command ended.
    pub fn post(&self) -> Result<Option<Vec<u8>>, ClientError> {
        let path = self.directory.join("post");
        match fs::read(&path) {
            Ok(body) => Ok(Some(body)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&path, &error)),
        }
    }

    /// Keeps a post before it is sent; `None` once it was answered.
    pub fn keep_post(&self, body: Option<&[u8]>) -> Result<(), ClientError> {
        let path = self.directory.join("post");
        match body {
            Some(body) => replace(&path, body, 0o600),
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(&path, &error)),
                _ => Ok(()),
            },
        }
    }

    /// Reads a file of this log's directory; `None` if it is not there.
    pub fn read_json<T: serde::de::DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, ClientError> {
        read_json(&self.directory.join(path))
    }

    /// Keeps a file in this log's directory.
    pub fn keep_json<T: Serialize>(&self, path: &Path, value: &T) -> Result<(), ClientError> {
        let path = self.directory.join(path);
        path.parent().map_or(Ok(()), make_directory)?;
        write_json(&path, value, 0o600)
    }

    /// Returns the names of the files in a directory below this log's; none if there is no such directory.
    pub(crate) fn names_in(&self, path: &Path) -> Result<Vec<PathBuf>, ClientError> {
        let path = self.directory.join(path);
        let unreadable = |error: io::Error| io_error(&path, &error);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unreadable)?,
        };
        entries.map(|entry| entry.map(|entry| entry.file_name().into()).map_err(unreadable)).collect()
    }

    /// Removes a file of this log's directory, if it is there.
    pub(crate) fn forget(&self, path: &Path) -> Result<(), ClientError> {
        let path = self.directory.join(path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(&path, &error)),
            _ => Ok(()),
        }
    }

    /// Keeps evidence and returns its path.
    pub fn keep_evidence(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, ClientError> {
        let directory = self.directory.join("evidence");
        make_directory(&directory)?;
        let path = directory.join(name);
        replace(&path, bytes, 0o644)?;
        Ok(path)
    }

    /// Keeps evidence of several files; returns the path of the first.
    pub(crate) fn keep_all_evidence(&self, kept: &[Kept]) -> Option<PathBuf> {
        let paths: Vec<_> = kept.iter().map(|kept| self.keep_evidence(&kept.file_name, &kept.bytes).ok()).collect();
        paths.into_iter().next().flatten()
    }

    /// Reads the proof of the lookup of a subject before.
    pub(crate) fn last(&self, subject: &str) -> Option<String> {
        fs::read_to_string(self.last_directory().join(subject)).ok()
    }

    /// Keeps the proof of a lookup of a subject. There is room for [`LAST_MAX`]; more subjects are not kept.
    pub(crate) fn keep_last(&self, subject: &str, proof: &str) -> Result<(), ClientError> {
        let directory = self.last_directory();
        make_directory(&directory)?;
        let path = directory.join(subject);
        let full = !path.exists() && fs::read_dir(&directory).is_ok_and(|files| files.count() >= LAST_MAX);
        if full { Ok(()) } else { replace(&path, proof.as_bytes(), 0o600) }
    }

    fn last_directory(&self) -> PathBuf {
        self.directory.join("last")
    }

    fn lock(&self, name: &str) -> Result<File, ClientError> {
        let path = self.directory.join(name);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        lock.and_then(|lock| lock.lock().map(|()| lock)).map_err(|error| io_error(&path, &error))
    }

    /// Returns the lock; `None` if somebody else has it.
    fn try_lock(&self, name: &str) -> Result<Option<File>, ClientError> {
        let path = self.directory.join(name);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|error| io_error(&path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(io_error(&path, &error)),
        }
    }

    fn device_path(&self) -> PathBuf {
        self.directory.join("device.json")
    }
}

impl OpenMemory {
    /// Makes the memory durable.
    pub fn keep(&self) -> Result<(), ClientError> {
        replace(&self.path, &self.memory.encode(), 0o600)
    }
}

fn make_directory(path: &Path) -> Result<(), ClientError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| io_error(path, &error))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, ClientError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| damaged(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(path, &error)),
    }
}

fn write_json<T: Serialize>(path: &Path, value: &T, mode: u32) -> Result<(), ClientError> {
    let mut bytes = Zeroizing::new(serde_json::to_vec_pretty(value).expect("the file's type is plain data"));
    bytes.push(b'\n');
    replace(path, &bytes, mode)
}

/// Returns where a file that is fetched grows until it is whole.
pub fn part_of(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Replaces a file: a temporary one, synced, renamed, the directory synced. A crash leaves the old or the new bytes.
///
/// The temporary file has the number of this process in its name, so that two commands never write into one.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), ClientError> {
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let done = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => File::open(parent)?.sync_all(),
            None => File::open(".")?.sync_all(),
        }
    })();
    done.map_err(|error| io_error(path, &error))
}

fn io_error(path: &Path, error: &io::Error) -> ClientError {
    ClientError::Unable(format!("{}: {error}", path.display()))
}

fn damaged(path: &Path) -> ClientError {
    ClientError::Unable(format!("{} is damaged; move it away to begin anew", path.display()))
}

#[cfg(test)]
mod tests;

//! The server's own keys: files of one line, readable by their owner alone, made at the first start.
//!
//! | file | key | does |
//! |---|---|---|
//! | `log.key` | Ed25519 | signs heads; its name is the log's origin |
//! | `zone.key` | Ed25519 | countersigns claims; certified in the log |
//! | `server.key` | Ed25519 and X25519 | the first device of the server's DID |

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use identity::cert::{Certificate, DecodeError, KeyBytes};
use identity::key::{KexSecret, SigningKey};
use identity::name::Origin;
use rand_core::CryptoRng;
use translog::batch::Batch;
use translog::entry::Epoch;
use translog::head::{Head, HeadError};
use translog::note::{LogSigner, Note, VerifierKey};
use translog::tree::Edge;
use translog::trust::Trust;
use zeroize::Zeroizing;

use crate::log::live::PublicHead;

/// Why a key file cannot be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("key file {path}: {error}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is readable by others than its owner.
    #[error("key file {path} is readable by others (mode {mode:o}); run: chmod 600 {path}", path = .path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file is not one line of the expected form.
    #[error("key file {path} is not a {what}", path = .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What was expected.
        what: &'static str,
    },
    /// The key is another one than the log names.
    #[error("key file {path} holds another {what} than the log names; put the right file back", path = .path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Which key.
        what: &'static str,
    },
}

/// The log's key: signs heads.
#[derive(Debug)]
pub struct LogKey {
    signer: LogSigner,
    origin: Origin,
}

/// The zone's key: countersigns claims.
#[derive(Debug)]
pub struct ZoneKey {
    key: SigningKey,
}

/// All keys of a server.
#[derive(Debug)]
pub struct Keys {
    /// The log key's secret.
    pub log: SigningKey,
    /// The zone key's secret.
    pub zone: SigningKey,
    /// The server device's signing key.
    pub device: SigningKey,
    /// The server device's sealing key.
    pub device_kex: KexSecret,
}

impl LogKey {
    /// Returns the log key of `origin`.
    pub fn new(key: SigningKey, origin: Origin) -> Self {
        let signer = LogSigner::new(origin.as_str(), key).expect("every origin is a key name");
        Self { signer, origin }
    }

    /// Returns the verifier key that clients pin.
    pub fn vkey(&self) -> &VerifierKey {
        self.signer.verifier_key()
    }

    /// Returns what a client that pinned this key trusts.
    pub fn trust(&self) -> Trust {
        Trust::new(self.origin.clone(), vec![self.vkey().clone()]).expect("the key is named like the origin")
    }

    /// Signs the head after a batch.
    pub fn sign_head(&self, batch: &Batch) -> PublicHead {
        let head = Head::sign(&batch.edge, &batch.epoch, &self.signer).expect("a batch ends with its Epoch");
        let note = head.note(&self.origin, self.vkey(), &[]).expect("one line makes a note");
        PublicHead { head, note: note.to_string(), epoch: batch.epoch }
    }

    /// Reads a stored note back into a head of the tree with this edge. Errors: the code of what is wrong with it.
    pub fn read_head(&self, note: &[u8], edge: &Edge, epoch: Epoch) -> Result<PublicHead, &'static str> {
        let text = std::str::from_utf8(note).map_err(|_| "bad_note")?;
        let note = Note::parse(note).map_err(|error| error.code())?;
        note.verify(std::slice::from_ref(self.vkey())).map_err(|error| error.code())?;
        let line = note.lines().iter().find(|line| line.id == self.vkey().id()).ok_or("log_signature")?;
        let head = Head {
            size: edge.size(),
            root: edge.root(),
            log_signature: line.signature.as_slice().try_into().map_err(|_| "log_signature")?,
            cosignatures: Vec::new(),
            epoch_entry: epoch.encode().to_vec(),
            path: edge.last_leaf_path(),
        };
        self.check_head(&head).map_err(|error| error.code())?;
        Ok(PublicHead { head, note: text.to_owned(), epoch })
    }

    /// Runs a head through the checks of every client: signature, Epoch, last leaf.
    pub fn check_head(&self, head: &Head) -> Result<(), HeadError> {
        head.verify_log_signature(&self.origin, std::slice::from_ref(self.vkey()))?;
        head.epoch()?;
        head.edge()?;
        Ok(())
    }
}

impl ZoneKey {
    /// Returns the zone key.
    pub fn new(key: SigningKey) -> Self {
        Self { key }
    }

    /// Returns the public key.
    pub fn public(&self) -> KeyBytes {
        self.key.public()
    }

    /// Returns the claim with this key's signature added. Errors: nine signatures, or more than 4,096 bytes.
    pub fn countersign(&self, certificate: &Certificate, origin: &Origin) -> Result<Certificate, DecodeError> {
        let signature = self.key.sign(&certificate.signed_bytes(origin));
        certificate.with_signatures_added(&[(self.key.kid(), signature)])
    }
}

impl Keys {
    /// Makes fresh keys; nothing is written.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self {
            log: SigningKey::generate(rng),
            zone: SigningKey::generate(rng),
            device: SigningKey::generate(rng),
            device_kex: KexSecret::generate(rng),
        }
    }

    /// Writes the keys below `directory`, each file synced.
    pub fn write(&self, directory: &Path) -> Result<(), KeyFileError> {
        write_line(&directory.join("log.key"), &line("log", &[&self.log.seed()]))?;
        write_line(&directory.join("zone.key"), &line("zone", &[&self.zone.seed()]))?;
        write_line(&directory.join("server.key"), &line("server", &[&self.device.seed(), &self.device_kex.to_bytes()]))
    }

    /// Reads the keys below `directory`.
    pub fn read(directory: &Path) -> Result<Self, KeyFileError> {
        let [log] = read_key(&directory.join("log.key"), "log")?;
        let [zone] = read_key(&directory.join("zone.key"), "zone")?;
        let [device, kex] = read_key(&directory.join("server.key"), "server")?;
        Ok(Self {
            log: SigningKey::from_seed(&log),
            zone: SigningKey::from_seed(&zone),
            device: SigningKey::from_seed(&device),
            device_kex: KexSecret::from_bytes(*kex),
        })
    }
}

/// Writes one secret line into a new or replaced file that its owner alone can read.
pub fn write_line(path: &Path, line: &str) -> Result<(), KeyFileError> {
    let io = |error| KeyFileError::Io { path: path.to_owned(), error };
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(io)?;
    file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all()).map_err(io)
}

/// Reads one secret line, refusing a file that others can read.
pub fn read_line(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let io = |error| KeyFileError::Io { path: path.to_owned(), error };
    let mode = fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Permissions { path: path.to_owned(), mode });
    }
    Ok(Zeroizing::new(fs::read_to_string(path).map_err(io)?.trim_end().to_owned()))
}

fn line(role: &str, secrets: &[&[u8; 32]]) -> Zeroizing<String> {
    let mut line = format!("dgns-key {role}");
    for secret in secrets {
        line.push(' ');
        line.push_str(&HEXLOWER.encode(*secret));
    }
    Zeroizing::new(line)
}

fn read_key<const N: usize>(path: &Path, role: &'static str) -> Result<[Zeroizing<[u8; 32]>; N], KeyFileError> {
    let what = match role {
        "log" => "log key (dgns-key log <64 hex digits>)",
        "zone" => "zone key (dgns-key zone <64 hex digits>)",
        _ => "server key (dgns-key server <64 hex digits> <64 hex digits>)",
    };
    let form = || KeyFileError::Form { path: path.to_owned(), what };
    let line = read_line(path)?;
    let mut words = line.split(' ');
    if words.next() != Some("dgns-key") || words.next() != Some(role) {
        return Err(form());
    }
    let mut secrets = Vec::with_capacity(N);
    for word in words {
        let bytes = Zeroizing::new(HEXLOWER.decode(word.as_bytes()).map_err(|_| form())?);
        secrets.push(Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| form())?));
    }
    secrets.try_into().map_err(|_| form())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_others_can_read_is_refused() {
        // Goal: a secret never lies open unnoticed. Method: write, read back, open the mode, read again.
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::generate(&mut crate::rng::system());
        keys.write(directory.path()).unwrap();
        assert_eq!(Keys::read(directory.path()).unwrap().log.public(), keys.log.public());
        let path = directory.path().join("zone.key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Keys::read(directory.path()), Err(KeyFileError::Permissions { mode: 0o644, .. })));
    }

    #[test]
    fn a_key_file_of_another_form_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        Keys::generate(&mut crate::rng::system()).write(directory.path()).unwrap();
        let path = directory.path().join("log.key");
        for wrong in ["", "dgns-key", "dgns-key zone 00", "dgns-key log zz", "dgns-key log 00 00"] {
            write_line(&path, wrong).unwrap();
            assert!(matches!(Keys::read(directory.path()), Err(KeyFileError::Form { .. })), "{wrong:?}");
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(Keys::read(directory.path()), Err(KeyFileError::Io { .. })));
    }
}

//! The server's own keys: files of one line, readable by their owner alone, made at the first start.
//!
//! | file | key | does |
//! |---|---|---|
//! | `log.key`, `log-<seq>.key` | Ed25519 | sign heads, while the log's LogConf lists them; `seq` is that of the LogConf they came with |
//! | `zone.key` | Ed25519 | countersigns claims; certified in the log |
//! | `server.key` | Ed25519 and X25519 | the first device of the server's DID |
//! | `witness.key`, `verifier.key` | Ed25519 | cosign the heads of other logs |
//! | `alias.key` | 32 random bytes, of which a ristretto255 key is made | evaluates blinded addresses; certified in the log |
//! | `token.key` | 32 random bytes | the master secret of tokens and guards |
//! | `push.key` | 32 random bytes, of which a P-256 key is made | by which push services know this server |
//! | `people.key` | 32 random bytes | blinds what `people.db` holds of people |
//! | `dns-cookie.key` | 32 random bytes | makes DNS Cookies, by which clients are known to be where they say |
//! | `dns-tls.pem`, `acme-account.json` | the certificate of encrypted DNS with its key, and the account it came by ([`crate::dns::acme`]) | begin TLS; order certificates |
//! | `dnssec.keys` | all keys of the signed zone, a line each ([`crate::dns::dnssec::Keyring`]) | sign what DNS answers |
//! | `recovery.key` | 32 random bytes | a recovery server's own: its keys, and what its rows are masked with |
//! | `notary-<id>.key` | Ed25519 | says for one issuer whom it let in; certified in the log |

mod alias;
mod log;
mod notary;
mod people;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use identity::cert::{Certificate, DecodeError, KeyBytes};
use identity::key::{KexSecret, SigningKey};
use identity::name::Origin;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

pub use alias::AliasKey;
pub use log::{LogKey, read_head};
pub use notary::{NotaryKey, Standing};
pub use people::PeopleKey;

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
    /// Another file holds another key of the same name: what is signed with one of them would be held against the other.
    #[error("key file {path} holds another key of the name {name} than a file before", path = .path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// Two peers have the key, and one of them gets copies over TLS alone: whoever has the key would be the other.
    #[error("key file {path} is that of a [[dns.peer]] with tls = true and of one without; give each a key of its own", path = .path.display())]
    Tls {
        /// The file.
        path: PathBuf,
    },
    /// The file is not one line of the expected form.
    #[error("key file {path} is not a {what}", path = .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What was expected.
        what: &'static str,
    },
    /// The zone's keys are of another algorithm than the configuration says.
    #[error("{path} holds keys of DNSSEC algorithm {ours}, and dnssec_algorithm is {wanted}: set it to {ours}. A zone keeps its algorithm", path = .path.display())]
    Algorithm {
        /// The file.
        path: PathBuf,
        /// Of the keys.
        ours: u8,
        /// Of the configuration.
        wanted: u8,
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

/// The zone's key: countersigns claims.
#[derive(Debug)]
pub struct ZoneKey {
    key: SigningKey,
}

/// All keys of a server.
#[derive(Debug)]
pub struct Keys {
    /// The secrets of log keys, by the name of their file; at least one. Which of them sign is the LogConf's to say.
    pub log: Vec<SigningKey>,
    /// The zone key's secret.
    pub zone: SigningKey,
    /// The server device's signing key.
    pub device: SigningKey,
    /// The server device's sealing key.
    pub device_kex: KexSecret,
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
            log: vec![SigningKey::generate(rng)],
            zone: SigningKey::generate(rng),
            device: SigningKey::generate(rng),
            device_kex: KexSecret::generate(rng),
        }
    }

    /// Writes the keys below `directory`, each file synced.
    pub fn write(&self, directory: &Path) -> Result<(), KeyFileError> {
        self.log.iter().zip(0..).try_for_each(|(key, seq)| write_log_key(directory, seq, key))?;
        write_line(&directory.join("zone.key"), &line("zone", &[&self.zone.seed()]))?;
        write_line(&directory.join("server.key"), &line("server", &[&self.device.seed(), &self.device_kex.to_bytes()]))
    }

    /// Reads the keys below `directory`.
    pub fn read(directory: &Path) -> Result<Self, KeyFileError> {
        let log = Self::read_log_keys(directory)?;
        let [zone] = read_key(&directory.join("zone.key"), "zone")?;
        let [device, kex] = read_key(&directory.join("server.key"), "server")?;
        Ok(Self {
            log,
            zone: SigningKey::from_seed(&zone),
            device: SigningKey::from_seed(&device),
            device_kex: KexSecret::from_bytes(*kex),
        })
    }

    /// Reads the log keys below `directory`, by the names of their files.
    pub fn read_log_keys(directory: &Path) -> Result<Vec<SigningKey>, KeyFileError> {
        log_key_files(directory)?.iter().map(|path| read_log_key(path)).collect()
    }
}

/// Returns the file of the log key that came with the LogConf of this seq.
pub fn log_key_file(directory: &Path, seq: u64) -> PathBuf {
    match seq {
        0 => directory.join("log.key"),
        seq => directory.join(format!("log-{seq}.key")),
    }
}

/// Returns the files of log keys below `directory`, by name; `log.key` if there is none, so that reading says which is missing.
pub fn log_key_files(directory: &Path) -> Result<Vec<PathBuf>, KeyFileError> {
    let io = |error| KeyFileError::Io { path: directory.to_owned(), error };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let later = |name: &str| name.strip_prefix("log-").and_then(|name| name.strip_suffix(".key")).is_some();
        if name.to_str().is_some_and(|name| name == "log.key" || later(name)) {
            files.push(directory.join(name));
        }
    }
    if files.is_empty() {
        files.push(log_key_file(directory, 0));
    }
    files.sort_unstable();
    Ok(files)
}

/// Reads a log key.
pub fn read_log_key(path: &Path) -> Result<SigningKey, KeyFileError> {
    let [seed] = read_key(path, "log")?;
    Ok(SigningKey::from_seed(&seed))
}

/// Writes the log key that comes with the LogConf of this seq: a crash leaves the whole file or none.
pub fn write_log_key(directory: &Path, seq: u64, key: &SigningKey) -> Result<(), KeyFileError> {
    let path = log_key_file(directory, seq);
    let staged = path.with_extension("new");
    write_line(&staged, &line("log", &[&key.seed()]))?;
    let moved = fs::rename(&staged, &path).and_then(|()| fs::File::open(directory)?.sync_all());
    moved.map_err(|error| KeyFileError::Io { path, error })
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

/// Returns the key of a cosigner, `witness` or `verifier`; made now if there is no file.
pub fn cosigner(path: &Path, role: &'static str, rng: &mut impl CryptoRng) -> Result<SigningKey, KeyFileError> {
    let seed = read_or_make(path, role, rng)?;
    Ok(SigningKey::from_seed(&seed))
}

/// Returns the 32 secret bytes of the file at `path`, which serve one role; random ones, made now, if there is none.
pub fn secret(path: &Path, role: &'static str, rng: &mut impl CryptoRng) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    read_or_make(path, role, rng)
}

/// Returns the 32 secret bytes of the file at `path`; random ones, made now, if there is none. A crash leaves all or nothing.
fn read_or_make(
    path: &Path,
    role: &'static str,
    rng: &mut impl CryptoRng,
) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    if !path.exists() {
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(secret.as_mut());
        let text = Zeroizing::new(format!("{}\n", line(role, &[&secret]).as_str()));
        let made = storage::durable::create(path, text.as_bytes());
        let io = |error: storage::StorageError| std::io::Error::other(error.to_string());
        made.map_err(|error| KeyFileError::Io { path: path.to_owned(), error: io(error) })?;
    }
    let [secret] = read_key(path, role)?;
    Ok(secret)
}

fn line(role: &str, secrets: &[&[u8; 32]]) -> Zeroizing<String> {
    let mut line = format!("dgns-key {role}");
    for secret in secrets {
        line.push(' ');
        line.push_str(&HEXLOWER.encode(*secret));
    }
    Zeroizing::new(line)
}

/// Reads the server device's signing key alone.
pub fn read_server_key(path: &Path) -> Result<SigningKey, KeyFileError> {
    let [device, _] = read_key(path, "server")?;
    Ok(SigningKey::from_seed(&device))
}

fn read_key<const N: usize>(path: &Path, role: &'static str) -> Result<[Zeroizing<[u8; 32]>; N], KeyFileError> {
    let what = match role {
        "log" => "log key (dgns-key log <64 hex digits>)",
        "zone" => "zone key (dgns-key zone <64 hex digits>)",
        "witness" => "witness key (dgns-key witness <64 hex digits>)",
        "alias" => "alias key (dgns-key alias <64 hex digits>)",
        "token" => "token key (dgns-key token <64 hex digits>)",
        "recovery" => "recovery key (dgns-key recovery <64 hex digits>)",
        "people" => "people key (dgns-key people <64 hex digits>)",
        "notary" => "notary key (dgns-key notary <64 hex digits>)",
        "verifier" => "verifier key (dgns-key verifier <64 hex digits>)",
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
        assert_eq!(Keys::read(directory.path()).unwrap().log[0].public(), keys.log[0].public());
        let path = directory.path().join("zone.key");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Keys::read(directory.path()), Err(KeyFileError::Permissions { mode: 0o644, .. })));
    }

    #[test]
    fn a_cosigners_key_is_made_once_and_kept_to_its_role() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("witness.key");
        let made = cosigner(&path, "witness", &mut crate::rng::system()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(cosigner(&path, "witness", &mut crate::rng::system()).unwrap().public(), made.public());
        assert!(matches!(cosigner(&path, "verifier", &mut crate::rng::system()), Err(KeyFileError::Form { .. })));
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

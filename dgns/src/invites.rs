//! Invitation codes: one empty file for each, named by the code's hash, so that codes can be made while the server runs.
//!
//! A claim spends a code in the transaction that commits it; the file then means nothing any more.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use identity::hash::Hash;
use identity::pow;
use rand_core::CryptoRng;

/// The invitation codes of a server.
#[derive(Clone, Debug)]
pub struct Invites {
    directory: PathBuf,
}

impl Invites {
    /// Returns the codes of the server whose data lies at `data`.
    pub fn at(data: &Path) -> Self {
        Self { directory: data.join("invites") }
    }

    /// Returns where the codes' files lie.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes a code: 26 lower-case base32 characters, 128 bits. Only its hash is kept.
    pub fn make(&self, rng: &mut impl CryptoRng) -> io::Result<String> {
        let mut code = [0; 16];
        rng.fill_bytes(&mut code);
        fs::create_dir_all(&self.directory)?;
        fs::File::create_new(self.directory.join(HEXLOWER.encode(&pow::code_hash(&code))))?.sync_all()?;
        Ok(BASE32_NOPAD.encode(&code).to_ascii_lowercase())
    }

    /// Returns whether a code with this hash was ever made.
    pub fn made(&self, code_hash: &Hash) -> bool {
        self.directory.join(HEXLOWER.encode(code_hash)).exists()
    }
}

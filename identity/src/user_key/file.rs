//! A file sealed to a person: whoever looks the name up can make it, each of the person's devices can open it (PROTOCOL 21.3).

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::UserSeed;
use crate::cert::KeyBytes;
use crate::did::Did;
use crate::sealed::{self, OpenError, Sealed, WeakRecipient};
use crate::wire::{Reader, WireError, Writer};

/// The format's number.
const FORMAT: u64 = 1;

/// Bytes that only one person opens: `{0: 1, 1: did, 2: generation, 3: enc 32, 4: ct}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedFile {
    /// Whose user key it is sealed to.
    pub did: Did,
    /// Which generation of it.
    pub generation: u64,
    sealed: Sealed,
}

/// Why a sealed file does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Not such a file. Code as of the wire.
    #[error("not a sealed file: {0}")]
    Wire(#[from] WireError),
    /// It does not open with this generation's key. Code as of the box.
    #[error(transparent)]
    Box(#[from] OpenError),
}

impl FileError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Wire(error) => error.code(),
            Self::Box(error) => error.code(),
        }
    }
}

impl SealedFile {
    /// Seals `content` to the user key of this generation, as the proved state of the DID has it.
    pub fn seal(
        did: &Did,
        generation: u64,
        user_key: &KeyBytes,
        content: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Self, WeakRecipient> {
        let sealed = sealed::seal(user_key, &info(did, generation), &[], content, rng)?;
        Ok(Self { did: *did, generation, sealed })
    }

    /// Returns the content; `seed` is that of [`SealedFile::generation`].
    pub fn open(&self, seed: &UserSeed) -> Result<Zeroizing<Vec<u8>>, FileError> {
        Ok(sealed::open(&seed.secret(), &info(&self.did, self.generation), &[], &self.sealed)?)
    }

    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(self.sealed.ct.len() + 100);
        w.map(5).uint(0).uint(FORMAT).uint(1).bytes(self.did.as_bytes()).uint(2).uint(self.generation);
        w.uint(3).bytes(&self.sealed.enc).uint(4).bytes(&self.sealed.ct);
        w.finish()
    }

    /// Returns the file that these bytes spell; there is one spelling.
    pub fn decode(bytes: &[u8]) -> Result<Self, FileError> {
        let mut r = Reader::new(bytes);
        let mut fields = r.fields()?;
        if fields.required(0, Reader::uint)? != FORMAT {
            return Err(WireError::Unexpected.into());
        }
        let did = Did::from_bytes(fields.required(1, Reader::fixed)?);
        let generation = fields.required(2, Reader::uint)?;
        let enc = fields.required(3, Reader::fixed)?;
        let ct = fields.required(4, |r| r.bytes().map(<[u8]>::to_vec))?;
        fields.end()?;
        r.end()?;
        Ok(Self { did, generation, sealed: Sealed { enc, ct } })
    }
}

/// `"dgns/sealed-file/v1" 00, did 20, generation u64`.
fn info(did: &Did, generation: u64) -> Vec<u8> {
    let mut info = b"dgns/sealed-file/v1".to_vec();
    info.push(0);
    info.extend_from_slice(did.as_bytes());
    info.extend_from_slice(&generation.to_be_bytes());
    info
}

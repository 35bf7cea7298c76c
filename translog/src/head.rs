//! Heads: a signed checkpoint with its last leaf, in the bytes a lookup carries (PROTOCOL 11.2).

use identity::key::verify_strict;
use identity::name::Origin;

use crate::entry::Epoch;
use crate::hash::{Hash, leaf_hash};
use crate::note::cosigned_message;
use crate::note::{Checkpoint, KeyId, KeyKind, LogSigner, Note, NoteError, SignatureLine, Signed, VerifierKey};
use crate::tree::Edge;

/// What one needs to believe a map root: the checkpoint's numbers, who signed it, and the Epoch it ends in, with its path.
///
/// Decoded, nothing is verified; each method that checks something says so. The origin and all names are the reader's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of leaves.
    pub size: u64,
    /// The root of the tree of that size.
    pub root: Hash,
    /// The signature of the oldest active log key over the checkpoint's text.
    pub log_signature: [u8; 64],
    /// What witnesses added.
    pub cosignatures: Vec<Cosignature>,
    /// The last leaf: an Epoch entry, if the head is valid.
    pub epoch_entry: Vec<u8>,
    /// Its inclusion path, popcount(size - 1) hashes.
    pub path: Vec<Hash>,
}

/// A witness's line without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// The witness's key id.
    pub id: KeyId,
    /// Unix seconds when it signed.
    pub time_s: u64,
    /// Its signature of type 04.
    pub signature: [u8; 64],
}

/// Why a head proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Cut short, or bytes follow. Code `malformed`.
    #[error("not the bytes of a head")]
    Malformed,
    /// No log key of the reader made the signature. Code `log_signature`.
    #[error("not signed by a trusted log key")]
    LogSignature,
    /// A known witness's cosignature does not verify. Code `quorum`.
    #[error("a cosignature does not verify")]
    Cosignature,
    /// The last leaf is no Epoch, or one with another index. Code `epoch`.
    #[error("the head does not end in its Epoch")]
    Epoch,
    /// The path of the last leaf does not lead to the root. Code `last_leaf`.
    #[error("the last leaf is not in the tree")]
    LastLeaf,
}

impl HeadError {
    /// Returns the stable code, which is the verify error's too.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::LogSignature => "log_signature",
            Self::Cosignature => "quorum",
            Self::Epoch => "epoch",
            Self::LastLeaf => "last_leaf",
        }
    }
}

impl Head {
    /// Signs the head of the tree whose last leaf is `epoch`.
    ///
    /// Errors: [`HeadError::Epoch`] if the Epoch is not that leaf, or covers another: nothing is signed then.
    pub fn sign(edge: &Edge, epoch: &Epoch, signer: &LogSigner) -> Result<Self, HeadError> {
        if edge.last_leaf() != Some(&epoch.leaf_hash()) || edge.size().checked_sub(1) != Some(epoch.covers) {
            return Err(HeadError::Epoch);
        }
        let origin = signer.verifier_key().name().to_owned();
        let checkpoint = Checkpoint { origin, size: edge.size(), root: edge.root() };
        let signature = signer.sign(&checkpoint).signature;
        Ok(Self {
            size: checkpoint.size,
            root: checkpoint.root,
            log_signature: signature.try_into().expect("an Ed25519 signature has 64 bytes"),
            cosignatures: Vec::new(),
            epoch_entry: epoch.encode().to_vec(),
            path: edge.last_leaf_path(),
        })
    }

    /// Reads a head. Errors: [`HeadError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HeadError> {
        let mut rest = bytes;
        let head = Self {
            size: u64::from_be_bytes(take(&mut rest)?),
            root: take(&mut rest)?,
            log_signature: take(&mut rest)?,
            cosignatures: take_many(&mut rest, |rest| {
                let (id, time) = (take(rest)?, take(rest)?);
                Ok(Cosignature { id, time_s: u64::from_be_bytes(time), signature: take(rest)? })
            })?,
            epoch_entry: {
                let length = usize::from(u16::from_be_bytes(take(&mut rest)?));
                let (entry, after) = rest.split_at_checked(length).ok_or(HeadError::Malformed)?;
                rest = after;
                entry.to_vec()
            },
            path: take_many(&mut rest, take)?,
        };
        if rest.is_empty() { Ok(head) } else { Err(HeadError::Malformed) }
    }

    /// Returns the bytes. Panics above 255 cosignatures or hashes, or an entry above 65,535 bytes: nothing makes such.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(197 + 76 * self.cosignatures.len() + 32 * self.path.len());
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes.extend_from_slice(&self.root);
        bytes.extend_from_slice(&self.log_signature);
        bytes.push(u8::try_from(self.cosignatures.len()).expect("a note has at most 64 lines"));
        for Cosignature { id, time_s, signature } in &self.cosignatures {
            bytes.extend_from_slice(id);
            bytes.extend_from_slice(&time_s.to_be_bytes());
            bytes.extend_from_slice(signature);
        }
        let length = u16::try_from(self.epoch_entry.len()).expect("an Epoch entry has 89 bytes");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&self.epoch_entry);
        bytes.push(u8::try_from(self.path.len()).expect("a path has at most 64 hashes"));
        bytes.extend_from_slice(self.path.as_flattened());
        bytes
    }

    /// Returns the checkpoint that this head's signers signed, if it is a head of `origin`'s log.
    pub fn checkpoint(&self, origin: &Origin) -> Checkpoint {
        Checkpoint { origin: origin.as_str().to_owned(), size: self.size, root: self.root }
    }

    /// Checks that one of `log_keys` signed, and returns it.
    pub fn verify_log_signature<'k>(
        &self,
        origin: &Origin,
        log_keys: &'k [VerifierKey],
    ) -> Result<&'k VerifierKey, HeadError> {
        let text = self.checkpoint(origin).text();
        let holds = |key: &&VerifierKey| {
            key.kind() == KeyKind::Log
                && key.name() == origin.as_str()
                && verify_strict(key.key(), text.as_bytes(), &self.log_signature).is_ok()
        };
        log_keys.iter().find(holds).ok_or(HeadError::LogSignature)
    }

    /// Checks every cosignature by a key of `cosigners` and returns those; unknown key ids are skipped, repeats too.
    pub fn verify_cosignatures<'k>(
        &self,
        origin: &Origin,
        cosigners: &'k [VerifierKey],
    ) -> Result<Vec<Signed<'k>>, HeadError> {
        let text = self.checkpoint(origin).text();
        let mut signed = Vec::new();
        for (Cosignature { time_s, signature, .. }, key) in self.known_cosignatures(cosigners) {
            verify_strict(key.key(), cosigned_message(&text, *time_s).as_bytes(), signature)
                .map_err(|_| HeadError::Cosignature)?;
            signed.push(Signed { key, time_s: Some(*time_s) });
        }
        Ok(signed)
    }

    /// Returns what [`Head::verify_cosignatures`] returned when it was asked before.
    pub(crate) fn cosignatures_unverified<'k>(&self, cosigners: &'k [VerifierKey]) -> Vec<Signed<'k>> {
        let known = self.known_cosignatures(cosigners).into_iter();
        known.map(|(cosignature, key)| Signed { key, time_s: Some(cosignature.time_s) }).collect()
    }

    /// The first cosignature of each known key.
    fn known_cosignatures<'k>(&self, cosigners: &'k [VerifierKey]) -> Vec<(&Cosignature, &'k VerifierKey)> {
        let mut known: Vec<(&Cosignature, &VerifierKey)> = Vec::new();
        for cosignature in &self.cosignatures {
            let key = cosigners.iter().find(|key| key.kind() == KeyKind::Cosigner && key.id() == cosignature.id);
            if let Some(key) = key.filter(|key| known.iter().all(|(_, seen)| seen != key)) {
                known.push((cosignature, key));
            }
        }
        known
    }

    /// Returns the Epoch the head ends in: 89 bytes, type 02, `covers = size - 1`.
    pub fn epoch(&self) -> Result<Epoch, HeadError> {
        let epoch = Epoch::decode(&self.epoch_entry).map_err(|_| HeadError::Epoch)?;
        if self.size.checked_sub(1) == Some(epoch.covers) { Ok(epoch) } else { Err(HeadError::Epoch) }
    }

    /// Returns the right edge of the tree, having checked that the last leaf's path leads to the root.
    ///
    /// What continues this log can be appended to it.
    pub fn edge(&self) -> Result<Edge, HeadError> {
        let leaf = leaf_hash(&self.epoch_entry);
        let edge = Edge::from_parts(self.size, leaf, &self.path).map_err(|_| HeadError::LastLeaf)?;
        if edge.root() == self.root { Ok(edge) } else { Err(HeadError::LastLeaf) }
    }

    /// Returns the signed note of this head for readers of stock formats: the log's line by `log_key`, which made the
    /// signature, and the line of each cosignature whose key is known.
    pub fn note(&self, origin: &Origin, log_key: &VerifierKey, cosigners: &[VerifierKey]) -> Result<Note, NoteError> {
        let line =
            |key: &VerifierKey, signature| SignatureLine { name: key.name().to_owned(), id: key.id(), signature };
        let mut lines = vec![line(log_key, self.log_signature.to_vec())];
        for Cosignature { id, time_s, signature } in &self.cosignatures {
            if let Some(key) = cosigners.iter().find(|key| key.id() == *id) {
                lines.push(line(key, [&time_s.to_be_bytes(), &signature[..]].concat()));
            }
        }
        Note::new(self.checkpoint(origin).text(), lines)
    }
}

/// Takes the next `N` bytes.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], HeadError> {
    let (bytes, after) = rest.split_first_chunk::<N>().ok_or(HeadError::Malformed)?;
    *rest = after;
    Ok(*bytes)
}

/// Takes a u8 and then that many items.
fn take_many<T>(
    rest: &mut &[u8],
    mut item: impl FnMut(&mut &[u8]) -> Result<T, HeadError>,
) -> Result<Vec<T>, HeadError> {
    let [count] = take(rest)?;
    (0..count).map(|_| item(rest)).collect()
}

#[cfg(test)]
mod tests;

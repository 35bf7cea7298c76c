//! What certificates of persons say besides names and devices: user keys, aliases, sign-ins (PROTOCOL 4.4).

use super::body::Fields;
use super::{DecodeError, KeyBytes, Sid};
use crate::alias::AliasId;
use crate::hash::Hash;
use crate::limits::RECIPIENTS_MAX;
use crate::wire::{Reader, WireError, Writer};

/// Type 9: binds an alias to the subject. Keys: 1 alias id, 2 commitment, 3 evidence hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AliasBind {
    /// The alias.
    pub alias: AliasId,
    /// `H(alias-open; address, nonce)`: only who knows both can show which address this is.
    pub commitment: Hash,
    /// What the notary was shown, by its hash.
    pub evidence: Hash,
}

/// Type 28: a notary saw somebody sign in as the holder of the alias. Keys: 2 sign pk, 3 kex pk, 4 issuer hash, 5 evidence hash.
///
/// It extends the chain of the alias that is its subject, and gives no power in any chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttestLogin {
    /// The Ed25519 key of the device that signed in.
    pub sign: KeyBytes,
    /// Its X25519 key, to which others may seal.
    pub kex: KeyBytes,
    /// `H(issuer; issuer)`: the scope of the notary.
    pub issuer: Hash,
    /// What the notary was shown, by its hash.
    pub evidence: Hash,
}

/// Type 14: the next generation of the user key. Keys: 7 pk, 8 hash of its boxes, 9 generation, 10 extras (absent when none).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserKey {
    /// The X25519 key others seal to.
    pub key: KeyBytes,
    /// SHA-256 of the boxes in which its secret is sealed to each recipient.
    pub boxes: Hash,
    /// One more than the generation before; 1 at first.
    pub generation: u64,
    /// Recipients besides devices and words: at most 4, strictly ascending.
    pub extras: Vec<Recipient>,
}

/// The user key of a genesis, generation 1: its keys 7 and 8, both or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstUserKey {
    /// As in [`UserKey`].
    pub key: KeyBytes,
    /// As in [`UserKey`].
    pub boxes: Hash,
}

/// A recipient of the user key that is neither device nor words: `[kind, kex pk]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipient {
    /// What holds its secret.
    pub kind: RecipientKind,
    /// The X25519 key.
    pub kex: KeyBytes,
}

/// What holds the secret of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RecipientKind {
    /// A passkey, by its PRF.
    Passkey = 1,
}

/// A veto of an `attest_login`: type 20 with key 2. Keys: 1 sid, 2 alias id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// The sid of the `attest_login`.
    pub login: Sid,
    /// The alias whose chain it is in.
    pub alias: AliasId,
}

impl AliasBind {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.map(3).uint(1).bytes(&self.alias).uint(2).bytes(&self.commitment).uint(3).bytes(&self.evidence);
    }

    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(Self {
            alias: fields.required(1, |r| r.fixed())?,
            commitment: fields.required(2, |r| r.fixed())?,
            evidence: fields.required(3, |r| r.fixed())?,
        })
    }
}

impl AttestLogin {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.map(4).uint(2).bytes(&self.sign).uint(3).bytes(&self.kex);
        writer.uint(4).bytes(&self.issuer).uint(5).bytes(&self.evidence);
    }

    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(Self {
            sign: fields.required(2, |r| r.fixed())?,
            kex: fields.required(3, |r| r.fixed())?,
            issuer: fields.required(4, |r| r.fixed())?,
            evidence: fields.required(5, |r| r.fixed())?,
        })
    }
}

impl UserKey {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.map(3 + usize::from(!self.extras.is_empty())).uint(7).bytes(&self.key).uint(8).bytes(&self.boxes);
        writer.uint(9).uint(self.generation);
        if !self.extras.is_empty() {
            Recipient::write_all(&self.extras, writer.uint(10));
        }
    }

    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(Self {
            key: fields.required(7, |r| r.fixed())?,
            boxes: fields.required(8, |r| r.fixed())?,
            generation: fields.required(9, |r| r.uint())?,
            extras: fields.optional(10, Recipient::read_all)?.unwrap_or_default(),
        })
    }
}

impl FirstUserKey {
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Result<Option<Self>, DecodeError> {
        match (fields.optional(7, |r| r.fixed())?, fields.optional(8, |r| r.fixed())?) {
            (Some(key), Some(boxes)) => Ok(Some(Self { key, boxes })),
            (None, None) => Ok(None),
            _ => Err(DecodeError::BadField),
        }
    }
}

impl Recipient {
    pub(crate) fn write_all(recipients: &[Self], writer: &mut Writer) {
        writer.array(recipients.len());
        for recipient in recipients {
            writer.array(2).uint(recipient.kind as u64).bytes(&recipient.kex);
        }
    }

    /// Reads at most 4, strictly ascending.
    pub(crate) fn read_all(reader: &mut Reader<'_>) -> Result<Vec<Self>, WireError> {
        let recipients = reader.list(RECIPIENTS_MAX, |r| {
            r.array_of(2)?;
            let kind = match r.uint()? {
                1 => RecipientKind::Passkey,
                _ => return Err(WireError::Unexpected),
            };
            Ok(Self { kind, kex: r.fixed()? })
        })?;
        if recipients.is_sorted_by(|a, b| a < b) { Ok(recipients) } else { Err(WireError::Unexpected) }
    }
}

impl Dispute {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.map(2).uint(1).bytes(&self.login).uint(2).bytes(&self.alias);
    }
}

//! Partitions of a subscription database: what one user proves there, and what others send that user (PROTOCOL 25.20).

use identity::did::Did;
use identity::kdf;
use identity::sealed::{self, Sealed};
use identity::user_key::UserSeed;
use identity::wire::{Reader, WireError, Writer};

use super::control::Control;
use super::entry::{Class, Entry, LogId, LogKind};
use super::limits::{INVITATION_TEXT_BYTES_MAX, PARTITION_BODY_BYTES_MAX};

/// What the plaintext of an invitation is padded to a multiple of, bytes: how long a text is tells little.
const PADDED_TO: usize = 1_024;

/// Returns the label of the logs of a user: the DID, 40 hexadecimal digits.
pub fn label(user: &Did) -> String {
    user.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the user whose logs have a label.
pub fn user_of(label: &str) -> Option<Did> {
    let digits = label.len() == 40 && label.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; 20];
    for (byte, at) in bytes.iter_mut().zip((0..40).step_by(2)).take_while(|_| digits) {
        *byte = u8::from_str_radix(label.get(at..at + 2)?, 16).ok()?;
    }
    digits.then(|| Did::from_bytes(bytes))
}

/// Returns a log of the partition of a user.
pub fn log_of(db: &Did, user: &Did, kind: LogKind) -> LogId {
    LogId::of(db, 0, kind, &label(user))
}

/// Returns the salt of a partition: the first 16 bytes of `KDF(partition; seed; db 20)`, the seed that of the first generation of the user's key. All devices of
/// the user come to the same, and nobody else does, so that there is one partition and no second one beside it.
pub fn salt_of(seed: &UserSeed, db: &Did) -> [u8; 16] {
    let derived = kdf::derive("dgns/partition/v1", seed.to_bytes().as_ref(), &[db.as_bytes()]);
    let mut salt = [0; 16];
    salt.copy_from_slice(&derived[..16]);
    salt
}

/// What a user says in their own partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// `[1, salt 16]`: the partition begins. The first entry, and no other. The salt makes what is said of its logs in public unlike any
    /// guess: who is a user, nobody tells from it.
    Open {
        /// See [`salt_of`].
        salt: [u8; 16],
    },
    /// `[2, db 20, pos, epoch, [header, signature, body]]`: the user is a member of another database.
    Member(Box<Membership>),
    /// `[3, db 20]`: the user wants no more of that database here.
    Left {
        /// Which.
        db: Did,
    },
}

/// A grant by which somebody is a member of a database, as its granter signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The database.
    pub db: Did,
    /// The place of the grant in its control log.
    pub pos: u64,
    /// The epoch of the key that the user has by it.
    pub epoch: u64,
    /// The grant: an entry of a control log.
    pub grant: Entry,
}

impl Membership {
    /// Returns the group that the grant is of, and until when, Unix seconds, if it is one to `user`.
    pub fn to(&self, user: &Did) -> Option<(u32, u64)> {
        if self.grant.header().class != Class::Control {
            return None;
        }
        match Control::decode(self.grant.body()) {
            Ok(Control::Grant { gid, did, until_s, .. }) if did == *user => Some((gid, until_s)),
            _ => None,
        }
    }
}

impl Proof {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Open { salt } => {
                w.array(2).uint(1).bytes(salt);
            }
            Self::Member(proof) => {
                w.array(5).uint(2).bytes(proof.db.as_bytes()).uint(proof.pos).uint(proof.epoch);
                w.bytes(&proof.grant.encode());
            }
            Self::Left { db } => {
                w.array(2).uint(3).bytes(db.as_bytes());
            }
        }
        w.finish()
    }

    /// Reads a proof in its one spelling. That its grant is one, and to whom, nobody has looked at.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > PARTITION_BODY_BYTES_MAX {
            return Err(WireError::Unexpected);
        }
        let mut reader = Reader::new(bytes);
        let items = reader.array()?;
        let proof = match (reader.uint()?, items) {
            (1, 2) => Self::Open { salt: reader.fixed()? },
            (2, 5) => Self::Member(Box::new(Membership {
                db: Did::from_bytes(reader.fixed()?),
                pos: reader.uint()?,
                epoch: reader.uint()?,
                grant: Entry::decode(reader.bytes()?).map_err(|_| WireError::Unexpected)?,
            })),
            (3, 2) => Self::Left { db: Did::from_bytes(reader.fixed()?) },
            _ => return Err(WireError::Unexpected),
        };
        reader.end()?;
        Ok(proof)
    }
}

/// What somebody writes to a user, open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The database that it is about, if it is about one.
    pub db: Option<Did>,
    /// What is said.
    pub text: String,
}

/// An invitation as it is kept: `[generation, enc 32, ct]`, sealed to the user key of that generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedInvitation {
    /// Of the user key.
    pub generation: u64,
    /// The box.
    pub sealed: Sealed,
}

impl Invitation {
    /// Returns the plaintext that is sealed: `[db 20 or null, text]`, then zeros up to a multiple of 1,024 bytes.
    pub fn padded(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(self.text.len() + PADDED_TO);
        w.array(2);
        match &self.db {
            Some(db) => w.bytes(db.as_bytes()),
            None => w.null(),
        };
        w.text(&self.text);
        let mut plain = w.finish();
        plain.resize(plain.len().next_multiple_of(PADDED_TO), 0);
        plain
    }

    /// Reads a plaintext in its one spelling, with its zeros.
    pub fn read(plain: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(plain);
        reader.array_of(2)?;
        let db = reader.or_null(|r| Ok::<_, WireError>(Did::from_bytes(r.fixed()?)))?;
        let text = reader.text()?.to_owned();
        let read = Self { db, text };
        if read.text.len() <= INVITATION_TEXT_BYTES_MAX && read.padded() == plain {
            Ok(read)
        } else {
            Err(WireError::NotCanonical)
        }
    }
}

impl SealedInvitation {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(self.sealed.ct.len() + 64);
        w.array(3).uint(self.generation).bytes(&self.sealed.enc).bytes(&self.sealed.ct);
        w.finish()
    }

    /// Reads one in its one spelling.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > PARTITION_BODY_BYTES_MAX {
            return Err(WireError::Unexpected);
        }
        let mut reader = Reader::new(bytes);
        reader.array_of(3)?;
        let (generation, enc, ct) = (reader.uint()?, reader.fixed()?, reader.bytes()?.to_vec());
        reader.end()?;
        // The box of nothing that is padded.
        if ct.len() % PADDED_TO != sealed::TAG_BYTES || ct.len() < PADDED_TO {
            return Err(WireError::Unexpected);
        }
        Ok(Self { generation, sealed: Sealed { enc, ct } })
    }
}

/// Returns the info that an invitation is sealed under, with the DID of its author as what stands beside it: `"dgns/invitation/v1" 00, db 20, to 20`.
pub fn info(db: &Did, to: &Did) -> Vec<u8> {
    let mut info = b"dgns/invitation/v1\0".to_vec();
    info.extend_from_slice(db.as_bytes());
    info.extend_from_slice(to.as_bytes());
    info
}

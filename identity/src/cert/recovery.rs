//! What certificates say of recovery: who keeps the shares of a DID, and how somebody who lost every device comes back (PROTOCOL 4.4, 5.8).

use super::body::Fields;
use super::{DecodeError, Device, KeyBytes, Kid};
use crate::hash::Hash;
use crate::limits::{
    DEVICES_MAX, GUESSES_MAX, OPERATOR_BYTES_MAX, RECOVERY_SERVERS_MAX, SERVER_URL_BYTES_MAX, SIGN_INS_MAX,
};
use crate::oprf::Element;
use crate::wire::{Reader, WireError, Writer};

/// Type 15: the recovery of the subject from now on. Keys: 1 epoch, 2..8 the enrolment, absent to have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverySet {
    /// One more than the epoch before; 1 at first.
    pub epoch: u32,
    /// Who keeps the shares; `None` ends recovery.
    pub enrolment: Option<Enrolment>,
}

/// Keys 2..8 of type 15: 2 servers, 3 threshold, 4 sign pk, 5 box pk, 6 bundle hash, 7 sign-ins, 8 needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// The recovery servers, at most 7: the place of one, counted from 1, is the point of its shares.
    pub servers: Vec<RecoveryServer>,
    /// How many of them are needed.
    pub threshold: u8,
    /// The Ed25519 key K, which nobody has until enough servers answered to the right PIN.
    pub sign: KeyBytes,
    /// The X25519 key that the user key is sealed to.
    pub kex: KeyBytes,
    /// SHA-256 of the bundle: the masked shares, which are not logged.
    pub bundle: Hash,
    /// Ids of the sign-ins that may begin a recovery, 1 to 4, strictly ascending: nobody can tell from one whose it is.
    pub sign_ins: Vec<Hash>,
    /// How many of them an attempt shows.
    pub needed: u8,
}

/// One recovery server: `[url, operator, pk, oprf pk]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryServer {
    /// Where it is asked: visible ASCII.
    pub url: String,
    /// Who runs it, as it says itself.
    pub operator: String,
    /// Its Ed25519 key.
    pub key: KeyBytes,
    /// Its evaluation key for this epoch alone, a point of ristretto255.
    pub oprf: KeyBytes,
}

/// Type 16: spends a guess. Keys: 1 epoch, 2 attempt, 3 sign pk, 4 kex pk, 5 blinded point, 6 evidence hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverOpen {
    /// Which attempt of which epoch.
    pub attempt: Attempt,
    /// The Ed25519 key of the new device.
    pub sign: KeyBytes,
    /// Its X25519 key.
    pub kex: KeyBytes,
    /// The blinded PIN: the one point that any server evaluates in this attempt.
    pub blinded: Element,
    /// What the notary was shown, by hash: 1 to 4 sign-ins, strictly ascending.
    pub evidence: Vec<Hash>,
}

/// Keys 1 and 2 of types 16 to 18, and the whole of type 17.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The epoch of the enrolment.
    pub epoch: u32,
    /// The guess, counted from 1.
    pub number: u8,
}

/// Type 18: takes the DID over. Keys: 1 epoch, 2 attempt, 3 kept devices (absent when none), 4 device, 5 and 6 new words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverFinal {
    /// As in [`RecoverOpen`].
    pub attempt: Attempt,
    /// The devices that stay, strictly ascending.
    pub keep: Vec<Kid>,
    /// The new device, of level admin.
    pub device: Device,
    /// New words, if the old ones are lost too.
    pub words: Option<super::IdRotate>,
}

impl RecoverySet {
    pub(super) fn write(&self, writer: &mut Writer) {
        let Some(enrolment) = &self.enrolment else {
            writer.map(1).uint(1).uint(u64::from(self.epoch));
            return;
        };
        writer.map(8).uint(1).uint(u64::from(self.epoch)).uint(2).array(enrolment.servers.len());
        for server in &enrolment.servers {
            writer.array(4).text(&server.url).text(&server.operator).bytes(&server.key).bytes(&server.oprf);
        }
        writer.uint(3).uint(u64::from(enrolment.threshold));
        writer.uint(4).bytes(&enrolment.sign).uint(5).bytes(&enrolment.kex).uint(6).bytes(&enrolment.bundle);
        write_hashes(writer.uint(7), &enrolment.sign_ins);
        writer.uint(8).uint(u64::from(enrolment.needed));
    }

    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        let epoch = fields.required(1, read_epoch)?;
        let Some(servers) = fields.optional(2, |r| r.list(RECOVERY_SERVERS_MAX, read_server))? else {
            return Ok(Self { epoch, enrolment: None });
        };
        let enrolment = Enrolment {
            servers,
            threshold: fields.required(3, |r| r.uint_to(255))? as u8,
            sign: fields.required(4, |r| r.fixed())?,
            kex: fields.required(5, |r| r.fixed())?,
            bundle: fields.required(6, |r| r.fixed())?,
            sign_ins: fields.required(7, read_hashes)?,
            needed: fields.required(8, |r| r.uint_to(255))? as u8,
        };
        Ok(Self { epoch, enrolment: Some(enrolment) })
    }
}

impl Enrolment {
    /// Whether so many of so many servers can be asked, each once, and so many of the sign-ins shown (PROTOCOL 5.8).
    pub fn is_sound(&self) -> bool {
        let (servers, threshold) = (self.servers.len(), usize::from(self.threshold));
        let differs = |one: &RecoveryServer, other: &RecoveryServer| {
            one.url != other.url && one.key != other.key && one.oprf != other.oprf
        };
        let mut pairs = self.servers.iter().enumerate().flat_map(|(at, one)| {
            let later = &self.servers[at + 1..];
            later.iter().map(move |other| (one, other))
        });
        (2..=servers).contains(&threshold)
            && 2 * threshold > servers
            && (1..=self.sign_ins.len()).contains(&usize::from(self.needed))
            && pairs.all(|(one, other)| differs(one, other))
    }
}

impl RecoverOpen {
    pub(super) fn write(&self, writer: &mut Writer) {
        self.attempt.write(writer.map(6));
        writer.uint(3).bytes(&self.sign).uint(4).bytes(&self.kex).uint(5).bytes(&self.blinded);
        write_hashes(writer.uint(6), &self.evidence);
    }

    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        Ok(Self {
            attempt: Attempt::read(fields)?,
            sign: fields.required(3, |r| r.fixed())?,
            kex: fields.required(4, |r| r.fixed())?,
            blinded: fields.required(5, |r| r.fixed())?,
            evidence: fields.required(6, read_hashes)?,
        })
    }
}

impl Attempt {
    pub(super) fn write(self, writer: &mut Writer) {
        writer.uint(1).uint(u64::from(self.epoch)).uint(2).uint(u64::from(self.number));
    }

    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        let epoch = fields.required(1, read_epoch)?;
        let number = fields.required(2, |r| r.uint_to(u64::from(GUESSES_MAX)))? as u8;
        if number == 0 { Err(DecodeError::BadField) } else { Ok(Self { epoch, number }) }
    }
}

impl RecoverFinal {
    pub(super) fn write(&self, writer: &mut Writer) {
        let optional = usize::from(!self.keep.is_empty()) + 2 * usize::from(self.words.is_some());
        self.attempt.write(writer.map(3 + optional));
        if !self.keep.is_empty() {
            writer.uint(3).array(self.keep.len());
            for kid in &self.keep {
                writer.bytes(&kid.0);
            }
        }
        self.device.write(writer.uint(4));
        if let Some(words) = &self.words {
            writer.uint(5).bytes(&words.identity).uint(6).bytes(&words.words_box);
        }
    }

    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Result<Self, DecodeError> {
        let attempt = Attempt::read(fields)?;
        let keep = fields.optional(3, |r| r.list(DEVICES_MAX, |r| Ok::<_, WireError>(Kid(r.fixed()?))))?;
        let keep = keep.unwrap_or_default();
        let device = fields.required(4, Device::read)?;
        let words = match (fields.optional(5, |r| r.fixed())?, fields.optional(6, |r| r.fixed())?) {
            (Some(identity), Some(words_box)) => Some(super::IdRotate { identity, words_box }),
            (None, None) => None,
            _ => return Err(DecodeError::BadField),
        };
        let ascending = keep.is_sorted_by(|a, b| a < b);
        if ascending { Ok(Self { attempt, keep, device, words }) } else { Err(DecodeError::BadField) }
    }
}

fn read_epoch(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let epoch = reader.uint_to(u64::from(u32::MAX))? as u32;
    if epoch == 0 { Err(DecodeError::BadField) } else { Ok(epoch) }
}

fn read_server(reader: &mut Reader<'_>) -> Result<RecoveryServer, DecodeError> {
    reader.array_of(4)?;
    let server = RecoveryServer {
        url: reader.text()?.to_owned(),
        operator: reader.text()?.to_owned(),
        key: reader.fixed()?,
        oprf: reader.fixed()?,
    };
    let is_visible = server.url.bytes().all(|byte| byte.is_ascii_graphic());
    let fits = (1..=SERVER_URL_BYTES_MAX).contains(&server.url.len())
        && (1..=OPERATOR_BYTES_MAX).contains(&server.operator.len())
        && is_visible;
    if fits { Ok(server) } else { Err(DecodeError::BadField) }
}

fn write_hashes(writer: &mut Writer, hashes: &[Hash]) {
    writer.array(hashes.len());
    for hash in hashes {
        writer.bytes(hash);
    }
}

/// Reads 1 to 4 hashes, strictly ascending.
fn read_hashes(reader: &mut Reader<'_>) -> Result<Vec<Hash>, DecodeError> {
    let hashes = reader.list(SIGN_INS_MAX, |r| r.fixed::<32>())?;
    let ascending = !hashes.is_empty() && hashes.is_sorted_by(|a, b| a < b);
    if ascending { Ok(hashes) } else { Err(DecodeError::BadField) }
}

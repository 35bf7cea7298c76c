//! What a client and a recovery server say to each other (PROTOCOL 24.5 to 24.8).
//!
//! What a server is asked is sealed to it: the transport need not hide anything, and what one server is told no other reads. What it
//! answers either proves itself, or is sealed to the device that asked.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{Bundle, Scope, Share};
use crate::cert::KeyBytes;
use crate::did::Did;
use crate::key::{KexSecret, SigningKey};
use crate::limits::SIGN_INS_MAX;
use crate::name::Origin;
use crate::oprf::{Element, ProofBytes};
use crate::sealed::{self, Sealed, WeakRecipient};
use crate::signed::Signed;
use crate::wire::{Reader, WireError, Writer};

/// What signed bytes of [`ServerInfo`] begin with.
const INFO: &str = "dgns/recover-info/v1";

/// What those of [`Register`] begin with.
const REGISTER: &str = "dgns/recover-register/v1";

/// What those of [`Release`] begin with.
const RELEASE: &str = "dgns/recover-release/v1";

/// The info that requests are sealed under.
const ASK_INFO: &[u8] = b"dgns/recover-ask/v1\0";

/// The most bytes of a request: four statements of 16 KiB would not fit, four of any issuer known do.
pub const ASK_BYTES_MAX: usize = 32_768;

/// The most bytes of a statement.
const STATEMENT_BYTES_MAX: usize = 16_384;

/// The issuers a server names of itself, and the bytes of one.
const ISSUERS_MAX: usize = 16;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not of the documented form. Code `bad_field`.
    #[error("the bytes are not of the form that PROTOCOL 24 describes")]
    Form,
    /// Sealed to another key, for another purpose, or changed. Code `not_opened`.
    #[error("the box does not open: it is sealed to another server, or for something else")]
    Sealed,
    /// The signature is by another key, or for another log. Code `bad_signature`.
    #[error("the signature does not hold")]
    Signature,
}

impl MessageError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Form => "bad_field",
            Self::Sealed => "not_opened",
            Self::Signature => "bad_signature",
        }
    }
}

impl From<WireError> for MessageError {
    fn from(_: WireError) -> Self {
        Self::Form
    }
}

/// What a server says of itself, signed by its key: `{1 key, 2 kex, 3 operator, 4 domain, 5 [issuer, ...], 6 witnessed}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// Its Ed25519 key, which the log names in an enrolment.
    pub key: KeyBytes,
    /// Its X25519 key.
    pub kex: KeyBytes,
    /// Who runs it.
    pub operator: String,
    /// The domain of whoever runs it.
    pub domain: String,
    /// The issuers whose sign-ins it takes.
    pub issuers: Vec<String>,
    /// Whether it asks for witnesses of the log's heads.
    pub witnessed: bool,
}

impl ServerInfo {
    /// Signs it for the log of `origin`.
    pub fn sign(&self, origin: &Origin, key: &SigningKey) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(6).uint(1).bytes(&self.key).uint(2).bytes(&self.kex).uint(3).text(&self.operator);
        writer.uint(4).text(&self.domain).uint(5).array(self.issuers.len());
        for issuer in &self.issuers {
            writer.text(issuer);
        }
        writer.uint(6).bool(self.witnessed);
        Signed::sign(INFO, origin, &writer.finish(), key).as_bytes().to_vec()
    }

    /// Reads it, if the key it names signed it for this log. Whose key that is nobody has said.
    pub fn open(bytes: &[u8], origin: &Origin) -> Result<Self, MessageError> {
        let signed = Signed::decode(bytes)?;
        let mut reader = Reader::new(signed.payload());
        let mut fields = reader.fields()?;
        let info = Self {
            key: fields.required(1, Reader::fixed)?,
            kex: fields.required(2, Reader::fixed)?,
            operator: fields.required(3, |r| bounded(r, crate::limits::OPERATOR_BYTES_MAX))?,
            domain: fields.required(4, |r| bounded(r, 253))?,
            issuers: fields.required(5, |r| r.list(ISSUERS_MAX, |r| bounded(r, crate::limits::SCOPE_BYTES_MAX)))?,
            witnessed: fields.required(6, Reader::bool)?,
        };
        fields.end()?;
        reader.end()?;
        let held = signed.verify(INFO, origin, &info.key);
        held.map(|()| info).map_err(|_| MessageError::Signature)
    }
}

/// What is asked of a server: each is sealed for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Keep a share.
    Register = 1,
    /// Evaluate the point of an attempt.
    Evaluate = 2,
    /// Release the share of the backup.
    Release = 3,
}

/// Seals a request to a server: `[enc, ct]`, the aad is the kind and the server's Ed25519 key.
pub fn seal_ask(
    ask: Ask,
    (key, kex): (&KeyBytes, &KeyBytes),
    request: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, WeakRecipient> {
    sealed::seal(kex, ASK_INFO, &ask_aad(ask, key), request, rng).map(|sealed| encode_sealed(&sealed))
}

/// Opens a request that was sealed to this server.
pub fn open_ask(ask: Ask, key: &KeyBytes, kex: &KexSecret, body: &[u8]) -> Result<Zeroizing<Vec<u8>>, MessageError> {
    let sealed = decode_sealed(body)?;
    sealed::open(kex, ASK_INFO, &ask_aad(ask, key), &sealed).map_err(|_| MessageError::Sealed)
}

fn ask_aad(ask: Ask, key: &KeyBytes) -> Vec<u8> {
    [&[ask as u8], key.as_slice()].concat()
}

/// A sign-in as a server judges it: `[issuer, statement, random of the nonce, random or salt]`.
///
/// The last is, in an attempt, what the evidence hash was made with, and in an enrolment the salt of the id in the log.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    /// Who said it.
    pub issuer: String,
    /// What was said: an id_token.
    pub statement: Zeroizing<Vec<u8>>,
    /// What the nonce was made with.
    pub random: [u8; 16],
    /// See above.
    pub salt: [u8; 16],
}

impl core::fmt::Debug for Proof {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Proof({})", self.issuer)
    }
}

/// Asks a server to keep a share, signed by a device with a vote: `{1 did, 2 epoch, 3 point, 4 key share, 5 backup share, 6 bundle,
/// 7 [sign-in, ...], 8 needed, 9 blinded, 10 sign pk, 11 kex pk}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// How the PIN is hardened, and whose it is.
    pub bundle: Bundle,
    /// The share of the evaluation key.
    pub key_share: Zeroizing<[u8; 32]>,
    /// The share of the backup; its point is the server's.
    pub backup_share: Share,
    /// The sign-ins that are listed, each shown once.
    pub sign_ins: Vec<Proof>,
    /// How many of them an attempt shows.
    pub needed: u8,
    /// A point, to be evaluated: so the enrolment is tried before it counts.
    pub blinded: Element,
    /// The Ed25519 key of the device that signs.
    pub sign: KeyBytes,
    /// Its X25519 key.
    pub kex: KeyBytes,
}

impl Register {
    /// Signs it.
    pub fn sign(&self, origin: &Origin, key: &SigningKey) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::new();
        let Scope { did, epoch } = &self.bundle.scope;
        writer.map(11).uint(1).bytes(did.as_bytes()).uint(2).uint(u64::from(*epoch));
        writer.uint(3).uint(u64::from(self.backup_share.index)).uint(4).bytes(self.key_share.as_ref());
        writer.uint(5).bytes(self.backup_share.value()).uint(6).bytes(&self.bundle.encode());
        write_proofs(writer.uint(7), &self.sign_ins);
        writer.uint(8).uint(u64::from(self.needed)).uint(9).bytes(&self.blinded);
        writer.uint(10).bytes(&self.sign).uint(11).bytes(&self.kex);
        let payload = Zeroizing::new(writer.finish());
        Zeroizing::new(Signed::sign(REGISTER, origin, &payload, key).as_bytes().to_vec())
    }

    /// Reads it, if the device it names signed it. Whether that is a device of the DID the log says.
    pub fn open(bytes: &[u8], origin: &Origin) -> Result<Self, MessageError> {
        let signed = Signed::decode(bytes)?;
        let mut reader = Reader::new(signed.payload());
        let mut fields = reader.fields()?;
        let did = Did::from_bytes(fields.required(1, Reader::fixed)?);
        let epoch = fields.required(2, read_epoch)?;
        let index = fields.required(3, |r| r.uint_to(255))? as u8;
        let register = Self {
            key_share: fields.required(4, Reader::fixed).map(Zeroizing::new)?,
            backup_share: Share::new(index, fields.required(5, Reader::fixed)?),
            bundle: Bundle::decode(fields.required(6, Reader::bytes)?)?,
            sign_ins: fields.required(7, read_proofs)?,
            needed: fields.required(8, |r| r.uint_to(SIGN_INS_MAX as u64))? as u8,
            blinded: fields.required(9, Reader::fixed)?,
            sign: fields.required(10, Reader::fixed)?,
            kex: fields.required(11, Reader::fixed)?,
        };
        fields.end()?;
        reader.end()?;
        let fits = register.bundle.scope == Scope { did, epoch }
            && index > 0
            && (1..=register.sign_ins.len()).contains(&usize::from(register.needed));
        if !fits {
            return Err(MessageError::Form);
        }
        let held = signed.verify(REGISTER, origin, &register.sign);
        held.map(|()| register).map_err(|_| MessageError::Signature)
    }
}

/// Asks for the evaluation of an attempt's point: `{1 did, 2 epoch, 3 attempt, 4 [sign-in, ...]}`. Everything else the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluate {
    /// Whose, and which epoch.
    pub scope: Scope,
    /// The attempt, from 1.
    pub attempt: u8,
    /// The sign-ins that the attempt names.
    pub sign_ins: Vec<Proof>,
}

impl Evaluate {
    /// Returns the bytes.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::new();
        writer.map(4);
        write_attempt(&mut writer, &self.scope, self.attempt);
        write_proofs(writer.uint(4), &self.sign_ins);
        Zeroizing::new(writer.finish())
    }

    /// Reads the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let scope =
            Scope { did: Did::from_bytes(fields.required(1, Reader::fixed)?), epoch: fields.required(2, read_epoch)? };
        let attempt = fields.required(3, |r| r.uint_to(255))? as u8;
        let sign_ins = fields.required(4, read_proofs)?;
        fields.end()?;
        reader.end()?;
        Ok(Self { scope, attempt, sign_ins })
    }
}

/// An evaluation with its proof: `{1 element, 2 proof}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluated {
    /// The point times the server's share.
    pub element: Element,
    /// That it was this share.
    pub proof: ProofBytes,
}

impl Evaluated {
    /// Returns the bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(2).uint(1).bytes(&self.element).uint(2).bytes(&self.proof);
        writer.finish()
    }

    /// Reads the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(bytes);
        let mut fields = reader.fields()?;
        let evaluated = Self { element: fields.required(1, Reader::fixed)?, proof: fields.required(2, Reader::fixed)? };
        fields.end()?;
        reader.end()?;
        Ok(evaluated)
    }
}

/// Asks for the share of the backup, signed by the device that recovers: `{1 did, 2 epoch, 3 attempt, 4 server pk}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// Whose, and which epoch.
    pub scope: Scope,
    /// The attempt.
    pub attempt: u8,
    /// The server that is asked: what one was sent is of no use at another.
    pub server: KeyBytes,
}

impl Release {
    /// Signs it.
    pub fn sign(&self, origin: &Origin, key: &SigningKey) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(4);
        write_attempt(&mut writer, &self.scope, self.attempt);
        writer.uint(4).bytes(&self.server);
        Signed::sign(RELEASE, origin, &writer.finish(), key).as_bytes().to_vec()
    }

    /// Reads it; who signed is [`SignedRelease::verify`]'s to say, once the log has said who should have.
    pub fn open(bytes: &[u8]) -> Result<SignedRelease, MessageError> {
        let signed = Signed::decode(bytes)?;
        let mut reader = Reader::new(signed.payload());
        let mut fields = reader.fields()?;
        let release = Self {
            scope: Scope {
                did: Did::from_bytes(fields.required(1, Reader::fixed)?),
                epoch: fields.required(2, read_epoch)?,
            },
            attempt: fields.required(3, |r| r.uint_to(255))? as u8,
            server: fields.required(4, Reader::fixed)?,
        };
        fields.end()?;
        reader.end()?;
        Ok(SignedRelease { signed, release })
    }
}

/// A [`Release`] whose signature nobody has checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRelease {
    signed: Signed,
    release: Release,
}

impl SignedRelease {
    /// Returns what is asked, by whom nobody knows yet.
    pub fn unverified(&self) -> &Release {
        &self.release
    }

    /// Holds that this key signed it.
    pub fn verify(&self, origin: &Origin, key: &KeyBytes) -> Result<(), MessageError> {
        let held = self.signed.verify(RELEASE, origin, key);
        held.map_err(|_| MessageError::Signature)
    }
}

/// Seals a share of the backup to the device that recovers: `[enc, ct]` of `point u8, value 32`.
pub fn seal_share(
    share: &Share,
    scope: &Scope,
    server: &KeyBytes,
    to: &KeyBytes,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, WeakRecipient> {
    let plain = Zeroizing::new([&[share.index], share.value().as_slice()].concat());
    sealed::seal(to, &share_info(scope), server, &plain, rng).map(|sealed| encode_sealed(&sealed))
}

/// Opens a share of the backup that `server` sealed to this device.
pub fn open_share(bytes: &[u8], scope: &Scope, server: &KeyBytes, kex: &KexSecret) -> Result<Share, MessageError> {
    let plain = sealed::open(kex, &share_info(scope), server, &decode_sealed(bytes)?);
    let plain = plain.map_err(|_| MessageError::Sealed)?;
    let (index, value) = plain.split_first().ok_or(MessageError::Form)?;
    let value = value.try_into().map_err(|_| MessageError::Form)?;
    if *index == 0 { Err(MessageError::Form) } else { Ok(Share::new(*index, value)) }
}

fn share_info(scope: &Scope) -> Vec<u8> {
    [b"dgns/recover-share/v1\0".as_slice(), scope.did.as_bytes(), &scope.epoch.to_be_bytes()].concat()
}

fn encode_sealed(sealed: &Sealed) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(2).bytes(&sealed.enc).bytes(&sealed.ct);
    writer.finish()
}

fn decode_sealed(bytes: &[u8]) -> Result<Sealed, MessageError> {
    let mut reader = Reader::new(bytes);
    reader.array_of(2)?;
    let sealed = Sealed { enc: reader.fixed()?, ct: reader.bytes()?.to_vec() };
    reader.end()?;
    Ok(sealed)
}

fn write_attempt(writer: &mut Writer, scope: &Scope, attempt: u8) {
    writer.uint(1).bytes(scope.did.as_bytes()).uint(2).uint(u64::from(scope.epoch)).uint(3).uint(u64::from(attempt));
}

fn write_proofs(writer: &mut Writer, proofs: &[Proof]) {
    writer.array(proofs.len());
    for proof in proofs {
        writer.array(4).text(&proof.issuer).bytes(&proof.statement).bytes(&proof.random).bytes(&proof.salt);
    }
}

fn read_proofs(reader: &mut Reader<'_>) -> Result<Vec<Proof>, MessageError> {
    reader.list(SIGN_INS_MAX, |r| {
        r.array_of(4)?;
        let issuer = bounded(r, crate::limits::SCOPE_BYTES_MAX)?;
        let statement = Zeroizing::new(r.bytes()?.to_vec());
        if statement.len() > STATEMENT_BYTES_MAX {
            return Err(MessageError::Form);
        }
        Ok(Proof { issuer, statement, random: r.fixed()?, salt: r.fixed()? })
    })
}

fn read_epoch(reader: &mut Reader<'_>) -> Result<u32, MessageError> {
    let epoch = reader.uint_to(u64::from(u32::MAX))? as u32;
    if epoch == 0 { Err(MessageError::Form) } else { Ok(epoch) }
}

fn bounded(reader: &mut Reader<'_>, most: usize) -> Result<String, MessageError> {
    let text = reader.text()?;
    if text.is_empty() || text.len() > most { Err(MessageError::Form) } else { Ok(text.to_owned()) }
}

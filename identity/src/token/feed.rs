//! What a server tells its audiences: which tokens are worth nothing any more, and the keys of the next hours (PROTOCOL 17.4).
//!
//! Both are signed by the server's device, whose key the log proves: who stands in between can hold back, not invent.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{Rid, TokenKey};
use crate::cert::{KeyBytes, Kid};
use crate::did::Did;
use crate::hash::Hash;
use crate::key::{KexSecret, SigningKey, signed_bytes, verify_strict};
use crate::limits::{FEED_ENTRIES_MAX, TOKEN_KEYS_MAX, TOKEN_LIFE_MAX_S, TOKEN_LIFE_MIN_S};
use crate::name::Origin;
use crate::sealed::{self, Sealed};
use crate::wire::{Reader, WireError, Writer};

/// What is worth nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// 1: every token of a family.
    Family(Rid),
    /// 2: every token of a device that was minted before this time, Unix seconds.
    Device {
        /// The device.
        kid: Kid,
        /// Tokens minted from then on are not meant.
        not_before_s: u64,
    },
    /// 3: a grant, for audiences that look at grants themselves. Tokens that came of it stand in the feed as families.
    Grant(Hash),
}

/// One entry of the feed: `[seq, kind, id, until s]`, kind 2 `[seq, 2, kid, not before s, until s]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its place: grows by one with each entry.
    pub seq: u64,
    /// What is meant.
    pub what: Revoked,
    /// When every token that is meant is over, and the entry may be forgotten, Unix seconds.
    pub until_s: u64,
}

/// The entries behind a place in the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPage {
    /// When this was true, Unix seconds of the server's clock.
    pub time_s: u64,
    /// Behind which place this begins.
    pub since: u64,
    /// The newest place in the feed.
    pub newest: u64,
    /// Whether entries follow that did not fit.
    pub more: bool,
    /// The entries, ascending; those whose time is over are left out.
    pub entries: Vec<Revocation>,
}

/// Why a page of the feed is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// Not a page, or one that another question is answered with. Code of the wire, or `bad_field`.
    #[error("not a page of the revocation feed: {0}")]
    Malformed(#[from] WireError),
    /// The server's device did not sign it. Code `bad_signature`.
    #[error("the page is not signed by the server's device")]
    Signature,
}

impl FeedError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed(error) => error.code(),
            Self::Signature => "bad_signature",
        }
    }
}

impl FeedPage {
    /// Returns the page, signed: `[1, payload bstr, signature bstr 64]`.
    pub fn sign(&self, origin: &Origin, key: &SigningKey) -> Vec<u8> {
        let payload = self.encode();
        let signature = key.sign(&feed_bytes(origin, &payload));
        signed_envelope(&payload, &signature)
    }

    /// Returns a page that `key` signed, asked for behind `since`.
    pub fn verify(bytes: &[u8], origin: &Origin, key: &KeyBytes, since: u64) -> Result<Self, FeedError> {
        let (payload, signature) = opened_envelope(bytes)?;
        verify_strict(key, &feed_bytes(origin, payload), &signature).map_err(|_| FeedError::Signature)?;
        let page = Self::decode(payload)?;
        if page.since == since { Ok(page) } else { Err(WireError::Unexpected.into()) }
    }

    /// Decodes a page and refuses it unless encoding it again gives the same bytes.
    pub fn decode(payload: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(payload);
        let mut fields = reader.fields()?;
        let page = Self {
            time_s: fields.required(1, Reader::uint)?,
            since: fields.required(2, Reader::uint)?,
            newest: fields.required(3, Reader::uint)?,
            more: fields.optional(4, Reader::bool)?.unwrap_or(false),
            entries: fields.optional(5, |r| r.list(FEED_ENTRIES_MAX, Revocation::read))?.unwrap_or_default(),
        };
        fields.end()?;
        reader.end()?;
        let behind = |entry: &Revocation| entry.seq > page.since && entry.seq <= page.newest;
        if !page.entries.iter().all(behind) || !page.entries.is_sorted_by(|a, b| a.seq < b.seq) {
            return Err(WireError::Unexpected);
        }
        if page.encode() == payload { Ok(page) } else { Err(WireError::NotCanonical) }
    }

    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(3 + usize::from(self.more) + usize::from(!self.entries.is_empty()));
        writer.uint(1).uint(self.time_s).uint(2).uint(self.since).uint(3).uint(self.newest);
        if self.more {
            writer.uint(4).bool(true);
        }
        if !self.entries.is_empty() {
            writer.uint(5).array(self.entries.len());
            self.entries.iter().for_each(|entry| entry.write(&mut writer));
        }
        writer.finish()
    }
}

impl Revocation {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let items = reader.array()?;
        let (seq, kind) = (reader.uint()?, reader.uint()?);
        let what = match (kind, items) {
            (1, 4) => Revoked::Family(reader.fixed()?),
            (2, 5) => Revoked::Device { kid: Kid(reader.fixed()?), not_before_s: reader.uint()? },
            (3, 4) => Revoked::Grant(reader.fixed()?),
            _ => return Err(WireError::Unexpected),
        };
        Ok(Self { seq, what, until_s: reader.uint()? })
    }

    fn write(&self, writer: &mut Writer) {
        match &self.what {
            Revoked::Family(rid) => writer.array(4).uint(self.seq).uint(1).bytes(rid),
            Revoked::Device { kid, not_before_s } => {
                writer.array(5).uint(self.seq).uint(2).bytes(&kid.0).uint(*not_before_s)
            }
            Revoked::Grant(sid) => writer.array(4).uint(self.seq).uint(3).bytes(sid),
        };
        writer.uint(self.until_s);
    }
}

/// The keys of an audience's hours, sealed to one of its devices and signed by the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKeys {
    /// Whose tokens they check.
    pub audience: Did,
    /// The life of these tokens, in seconds.
    pub life_s: u64,
    /// `[[hour, key], ...]`, sealed.
    sealed: Sealed,
}

/// Why keys are not believed, or not readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Not keys. Code of the wire.
    #[error("not the keys of an audience: {0}")]
    Malformed(#[from] WireError),
    /// The server's device did not sign them. Code `bad_signature`.
    #[error("the keys are not signed by the server's device")]
    Signature,
    /// Sealed to another device, or keys of another audience. Code `not_opened`.
    #[error("the keys are sealed to another device")]
    NotOpened,
}

impl KeysError {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed(error) => error.code(),
            Self::Signature => "bad_signature",
            Self::NotOpened => "not_opened",
        }
    }
}

/// The info under which keys are sealed and signed.
const KEYS: &str = "dgns/token-keys/v1";

impl SealedKeys {
    /// Seals keys to a device of the audience. Errors: a key of small order.
    pub fn seal(
        audience: Did,
        life_s: u64,
        keys: &[(u32, TokenKey)],
        device: &KeyBytes,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, sealed::WeakRecipient> {
        let mut writer = Writer::new();
        writer.array(keys.len());
        for (hour, key) in keys {
            writer.array(2).uint((*hour).into()).bytes(key.as_bytes());
        }
        let plaintext = Zeroizing::new(writer.finish());
        let sealed = sealed::seal(device, &keys_info(), audience.as_bytes(), &plaintext, rng)?;
        Ok(Self { audience, life_s, sealed })
    }

    /// Returns the keys as they travel: `[1, payload bstr, signature bstr 64]`.
    pub fn sign(&self, origin: &Origin, key: &SigningKey) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.map(4).uint(1).bytes(self.audience.as_bytes()).uint(2).uint(self.life_s);
        writer.uint(3).bytes(&self.sealed.enc).uint(4).bytes(&self.sealed.ct);
        let payload = writer.finish();
        let signature = key.sign(&signed_bytes(KEYS, origin, &[&payload]));
        signed_envelope(&payload, &signature)
    }

    /// Returns what `key` signed.
    pub fn verify(bytes: &[u8], origin: &Origin, key: &KeyBytes) -> Result<Self, KeysError> {
        let (payload, signature) = opened_envelope(bytes)?;
        let message = signed_bytes(KEYS, origin, &[payload]);
        verify_strict(key, &message, &signature).map_err(|_| KeysError::Signature)?;
        let mut reader = Reader::new(payload);
        let mut fields = reader.fields()?;
        let audience = Did::from_bytes(fields.required(1, Reader::fixed)?);
        let life_s = fields.required(2, |r| r.uint_to(TOKEN_LIFE_MAX_S))?;
        let enc = fields.required(3, Reader::fixed)?;
        let ct = fields.required(4, Reader::bytes)?.to_vec();
        fields.end()?;
        reader.end()?;
        if life_s < TOKEN_LIFE_MIN_S {
            return Err(WireError::Unexpected.into());
        }
        Ok(Self { audience, life_s, sealed: Sealed { enc, ct } })
    }

    /// Opens them with the device's secret.
    pub fn open(&self, secret: &KexSecret) -> Result<Vec<(u32, TokenKey)>, KeysError> {
        let opened = sealed::open(secret, &keys_info(), self.audience.as_bytes(), &self.sealed);
        let plaintext = opened.map_err(|_| KeysError::NotOpened)?;
        let mut reader = Reader::new(&plaintext);
        let keys = reader.list(TOKEN_KEYS_MAX, |r| {
            r.array_of(2)?;
            let hour = r.uint_to(u32::MAX.into())? as u32;
            Ok::<_, WireError>((hour, TokenKey::from_bytes(r.fixed()?)))
        })?;
        reader.end()?;
        Ok(keys)
    }
}

fn keys_info() -> Vec<u8> {
    [KEYS.as_bytes(), &[0]].concat()
}

fn feed_bytes(origin: &Origin, payload: &[u8]) -> Vec<u8> {
    signed_bytes("dgns/revocations/v1", origin, &[payload])
}

fn signed_envelope(payload: &[u8], signature: &[u8; 64]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(payload.len() + 80);
    writer.array(3).uint(1).bytes(payload).bytes(signature);
    writer.finish()
}

fn opened_envelope(bytes: &[u8]) -> Result<(&[u8], [u8; 64]), WireError> {
    let mut reader = Reader::new(bytes);
    reader.array_of(3)?;
    if reader.uint()? != 1 {
        return Err(WireError::Unexpected);
    }
    let (payload, signature) = (reader.bytes()?, reader.fixed()?);
    reader.end()?;
    Ok((payload, signature))
}

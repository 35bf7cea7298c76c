//! Tokens: what an audience checks with one HMAC instead of a signature and a lookup (PROTOCOL 17).
//!
//! A server mints them under a key that it shares with one audience and an hour. A token names a device and serves nobody else:
//! whoever presents it proves that device's key to the audience in some way of the audience's own. [`Checker`] is the whole
//! judgement of an audience; it keeps the keys and what was revoked.

mod ask;
mod checker;
mod feed;
mod scope;

use core::fmt;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::cert::Kid;
use crate::did::Did;
use crate::kdf;
use crate::limits::{SCOPES_MAX, TOKEN_BYTES_MAX, TOKEN_LIFE_MAX_S, TOKEN_LIFE_MIN_S};
use crate::wire::{Reader, WireError, Writer};

pub use ask::{AskError, GuardBytes, Lease, LeaseProof, Pair, Refresh};
pub use checker::{Access, Checker};
pub use feed::{FeedError, FeedPage, KeysError, Revocation, Revoked, SealedKeys};
pub(crate) use scope::read_rights;
pub use scope::{PathError, ResourcePath, Rights, Scope};

/// How every token begins.
const PREFIX: &str = "dgt1.";

/// The bytes of HMAC-SHA256 that a token carries.
const TAG_BYTES: usize = 16;

/// Seconds of an hour: how long one key mints.
const HOUR_S: u64 = 3_600;

/// What names a family of tokens: one lease or exchange and all its refreshes.
pub type Rid = [u8; 8];

/// Why an audience does not take a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRefusal {
    /// Not a token, or longer than one can be. Code `bad_token`.
    #[error("this is no token")]
    Malformed,
    /// Minted under the key of an hour that the audience does not hold. Code `token_hour`.
    #[error("the key of this token's hour is not at hand: fetch the keys again")]
    UnknownHour,
    /// The tag does not fit: changed, or minted by somebody else or for another audience. Code `token_mac`.
    #[error("the token was not minted for this audience, or was changed")]
    Mac,
    /// It names another audience. Code `token_audience`.
    #[error("the token is for another audience")]
    Audience,
    /// Minted later than now by more than the clocks may differ. Code `token_early`.
    #[error("the token is not valid yet: check the clock")]
    Early,
    /// Its time is over. Code `token_expired`.
    #[error("the token has expired: refresh it")]
    Expired,
    /// Presented by another device than the one it names. Code `token_device`.
    #[error("the token belongs to another device")]
    Device,
    /// The feed says so. Code `token_revoked`.
    #[error("the token was revoked")]
    Revoked,
    /// It does not allow this. Code `token_scope`.
    #[error("the token does not allow this")]
    Scope,
    /// The audience had no word of the feed for 60 s, and this would write. Code `feed_stale`.
    #[error("no word of revocations for 60 s: nothing is written until there is")]
    FeedStale,
}

impl TokenRefusal {
    /// Returns the stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "bad_token",
            Self::UnknownHour => "token_hour",
            Self::Mac => "token_mac",
            Self::Audience => "token_audience",
            Self::Early => "token_early",
            Self::Expired => "token_expired",
            Self::Device => "token_device",
            Self::Revoked => "token_revoked",
            Self::Scope => "token_scope",
            Self::FeedStale => "feed_stale",
        }
    }
}

/// The key under which tokens for one audience are minted for an hour. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct TokenKey {
    bytes: Zeroizing<[u8; 32]>,
    /// The MAC with the key and the domain taken in: what all its tokens have in common.
    begun: Hmac<Sha256>,
}

impl TokenKey {
    /// Returns the key of an audience and an hour under a server's master secret.
    pub fn derive(master: &[u8; 32], audience: &Did, hour: u32) -> Self {
        Self::new(kdf::derive("dgns/token-key/v1", master, &[audience.as_bytes(), &hour.to_be_bytes()]))
    }

    /// Returns the key with these bytes, as the server gave them to its audience.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self::new(Zeroizing::new(bytes))
    }

    fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        let mut begun = Hmac::<Sha256>::new_from_slice(bytes.as_ref()).expect("HMAC takes keys of any length");
        begun.update(b"dgns/token/v1");
        begun.update(&[0]);
        Self { bytes, begun }
    }

    /// Returns the bytes, to be sealed to the audience.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    fn mac(&self, payload: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.begun.clone();
        mac.update(payload);
        mac
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(secret)")
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose device it names: the log index of that DID's genesis.
    pub uid: u64,
    /// The device it names.
    pub kid: Kid,
    /// For whom it was minted.
    pub audience: Did,
    /// What it allows; nothing if the audience decides by uid and kid alone.
    pub scope: Vec<Scope>,
    /// When it was minted, Unix seconds.
    pub iat_s: u64,
    /// From when on it is worth nothing, Unix seconds.
    pub exp_s: u64,
    /// Its family.
    pub rid: Rid,
    /// How long the DID's chain was when it was minted.
    pub seq: u64,
}

/// Returns the hour whose key mints at `now_s`.
pub fn hour_of(now_s: u64) -> u32 {
    u32::try_from(now_s / HOUR_S).unwrap_or(u32::MAX)
}

impl Token {
    /// Returns the token as text, minted under `key`: that of its audience and of the hour of its `iat_s`.
    pub fn mint(&self, key: &TokenKey) -> String {
        let payload = self.encode();
        let tag = key.mac(&payload).finalize().into_bytes();
        let mut text = String::with_capacity(PREFIX.len() + payload.len() * 4 / 3 + 26);
        text.push_str(PREFIX);
        BASE64URL_NOPAD.encode_append(&payload, &mut text);
        text.push('.');
        BASE64URL_NOPAD.encode_append(&tag[..TAG_BYTES], &mut text);
        text
    }

    /// Opens a token that `key_of` knows the hour of. What is returned was minted under that key and is not judged otherwise.
    ///
    /// The tag is compared in constant time, and before anything but the hour is looked at.
    pub fn open<'k>(text: &str, key_of: impl FnOnce(u32) -> Option<&'k TokenKey>) -> Result<Self, TokenRefusal> {
        let (payload, tag) = parts(text).ok_or(TokenRefusal::Malformed)?;
        let hour = hour_in(&payload).map_err(malformed)?;
        let key = key_of(hour).ok_or(TokenRefusal::UnknownHour)?;
        key.mac(&payload).verify_truncated_left(&tag).map_err(|_| TokenRefusal::Mac)?;
        Self::decode(&payload)
    }

    /// Opens a token of whatever audience and hour, as the server that minted it does.
    pub fn open_own(text: &str, master: &[u8; 32]) -> Result<Self, TokenRefusal> {
        let (payload, tag) = parts(text).ok_or(TokenRefusal::Malformed)?;
        let token = Self::decode(&payload)?;
        let key = TokenKey::derive(master, &token.audience, token.hour());
        key.mac(&payload).verify_truncated_left(&tag).map_err(|_| TokenRefusal::Mac)?;
        Ok(token)
    }

    /// Returns what a token says, minted by anybody: for its holder, who cannot check the tag and need not.
    pub fn read_unverified(text: &str) -> Result<Self, TokenRefusal> {
        Self::decode(&parts(text).ok_or(TokenRefusal::Malformed)?.0)
    }

    fn decode(payload: &[u8]) -> Result<Self, TokenRefusal> {
        let mut reader = Reader::new(payload);
        let mut fields = reader.fields().map_err(malformed)?;
        let hour = fields.required(1, |r| r.uint_to(u32::MAX.into())).map_err(malformed)? as u32;
        let token = Self {
            uid: fields.required(2, Reader::uint).map_err(malformed)?,
            kid: fields.required(3, Reader::fixed).map(Kid).map_err(malformed)?,
            audience: fields.required(4, Reader::fixed).map(Did::from_bytes).map_err(malformed)?,
            scope: fields.optional(5, |r| r.list(SCOPES_MAX, Scope::read)).map_err(malformed)?.unwrap_or_default(),
            iat_s: fields.required(6, Reader::uint).map_err(malformed)?,
            exp_s: fields.required(7, Reader::uint).map_err(malformed)?,
            rid: fields.required(8, Reader::fixed).map_err(malformed)?,
            seq: fields.required(9, Reader::uint).map_err(malformed)?,
        };
        fields.end().map_err(malformed)?;
        reader.end().map_err(malformed)?;
        let life_s = token.exp_s.checked_sub(token.iat_s).ok_or(TokenRefusal::Malformed)?;
        let in_range = (1..=TOKEN_LIFE_MAX_S).contains(&life_s) && token.hour() == hour;
        if in_range && token.len() == payload.len() { Ok(token) } else { Err(TokenRefusal::Malformed) }
    }

    /// Refuses what no scope allows: `rights` on the log at `path` of the resource `site`.
    pub fn allows(&self, site: &Did, path: &ResourcePath, rights: Rights) -> Result<(), TokenRefusal> {
        let allowed = |scope: &Scope| scope.site == *site && scope.log.covers(path) && scope.rights.include(rights);
        if self.scope.iter().any(allowed) { Ok(()) } else { Err(TokenRefusal::Scope) }
    }

    /// Returns the hour whose key mints it.
    pub fn hour(&self) -> u32 {
        hour_of(self.iat_s)
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(192);
        writer.map(8 + usize::from(!self.scope.is_empty()));
        writer.uint(1).uint(self.hour().into()).uint(2).uint(self.uid).uint(3).bytes(&self.kid.0);
        writer.uint(4).bytes(self.audience.as_bytes());
        if !self.scope.is_empty() {
            Scope::write_all(&self.scope, writer.uint(5));
        }
        writer.uint(6).uint(self.iat_s).uint(7).uint(self.exp_s).uint(8).bytes(&self.rid).uint(9).uint(self.seq);
        writer.finish()
    }

    /// Returns the bytes of its payload. Every item read had its only spelling; a list spelled out although empty is what is left.
    fn len(&self) -> usize {
        let uint = |value: u64| match value {
            0..=23 => 1,
            24..=0xff => 2,
            0x100..=0xffff => 3,
            0x1_0000..=0xffff_ffff => 5,
            _ => 9,
        };
        let scope: usize = self.scope.iter().map(Scope::len).sum();
        let scope = if self.scope.is_empty() { 0 } else { 2 + scope };
        let numbers = [self.hour().into(), self.uid, self.iat_s, self.exp_s, self.seq];
        1 + 8 + 9 + 21 + 9 + scope + numbers.into_iter().map(uint).sum::<usize>()
    }
}

/// Returns the life of a token within what the protocol allows.
pub fn life_within(life_s: u64) -> u64 {
    life_s.clamp(TOKEN_LIFE_MIN_S, TOKEN_LIFE_MAX_S)
}

/// Returns the hour that a payload names: all that is looked at before its tag.
fn hour_in(payload: &[u8]) -> Result<u32, WireError> {
    let mut reader = Reader::new(payload);
    reader.fields()?.required(1, |r| r.uint_to(u32::MAX.into())).map(|hour| hour as u32)
}

/// Divides the text of a token into payload and tag.
fn parts(text: &str) -> Option<(Vec<u8>, [u8; TAG_BYTES])> {
    let (payload, tag) = text.strip_prefix(PREFIX)?.split_once('.')?;
    if payload.len() > TOKEN_BYTES_MAX.div_ceil(3) * 4 || tag.len() != 22 {
        return None;
    }
    let mut bytes = [0; TAG_BYTES];
    BASE64URL_NOPAD.decode_mut(tag.as_bytes(), &mut bytes).ok()?;
    Some((BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?, bytes))
}

fn malformed(_: WireError) -> TokenRefusal {
    TokenRefusal::Malformed
}

#[cfg(test)]
mod tests;

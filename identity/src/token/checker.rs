//! An audience's judgement: the keys of its hours, what was revoked, and how fresh that word is (PROTOCOL 17.5).

use std::collections::{BTreeMap, HashMap};

use super::{FeedPage, Revoked, Rid, Token, TokenKey, TokenRefusal};
use crate::cert::Kid;
use crate::did::Did;
use crate::hash::Hash;
use crate::limits::{FEED_FRESH_S, TOKEN_LIFE_MAX_S, TOKEN_SKEW_S};

/// What a token is presented for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing changes: what was revoked within the last minutes may still be read by who reads it already.
    Read,
    /// Something changes: asks for fresh word of revocations.
    Write,
}

/// The whole judgement of an audience. A program keeps one, gives it keys and pages of the feed, and asks it.
#[derive(Debug)]
pub struct Checker {
    audience: Did,
    keys: BTreeMap<u32, TokenKey>,
    rids: HashMap<Rid, u64>,
    devices: HashMap<Kid, Device>,
    grants: HashMap<Hash, u64>,
    /// The newest entry of the feed that was taken in.
    seq: u64,
    /// The server's time of the newest page that left nothing out.
    news_s: u64,
}

/// A device whose older tokens are worth nothing.
#[derive(Clone, Copy, Debug)]
struct Device {
    not_before_s: u64,
    until_s: u64,
}

impl Checker {
    /// Returns the judgement of an audience that has heard nothing yet.
    pub fn new(audience: Did) -> Self {
        Self {
            audience,
            keys: BTreeMap::new(),
            rids: HashMap::new(),
            devices: HashMap::new(),
            grants: HashMap::new(),
            seq: 0,
            news_s: 0,
        }
    }

    /// Takes in keys, and forgets those of hours whose tokens are all over.
    pub fn learn_keys(&mut self, keys: impl IntoIterator<Item = (u32, TokenKey)>, now_s: u64) {
        self.keys.extend(keys);
        let oldest = super::hour_of(now_s.saturating_sub(TOKEN_LIFE_MAX_S + TOKEN_SKEW_S));
        self.keys = self.keys.split_off(&oldest);
    }

    /// Returns whether the keys at hand reach beyond this hour; else they are to be fetched.
    pub fn has_next_key(&self, now_s: u64) -> bool {
        self.keys.contains_key(&(super::hour_of(now_s) + 1))
    }

    /// Takes in a page of the feed that was asked for with [`Checker::seq`] and verified.
    ///
    /// False if the feed begins anew, its server having lost what it had: ask again from 0, which [`Checker::seq`] now says.
    pub fn learn_news(&mut self, page: &FeedPage, now_s: u64) -> bool {
        if page.newest < self.seq {
            self.seq = 0;
            return false;
        }
        for revocation in &page.entries {
            let until_s = revocation.until_s;
            match revocation.what {
                Revoked::Family(rid) => drop(self.rids.insert(rid, until_s)),
                Revoked::Grant(sid) => drop(self.grants.insert(sid, until_s)),
                Revoked::Device { kid, not_before_s } => {
                    let device = self.devices.entry(kid).or_insert(Device { not_before_s, until_s });
                    device.not_before_s = device.not_before_s.max(not_before_s);
                    device.until_s = device.until_s.max(until_s);
                }
            }
            self.seq = self.seq.max(revocation.seq);
        }
        if !page.more {
            (self.seq, self.news_s) = (page.newest, self.news_s.max(page.time_s.min(now_s)));
        }
        self.rids.retain(|_, until_s| now_s < *until_s);
        self.grants.retain(|_, until_s| now_s < *until_s);
        self.devices.retain(|_, device| now_s < device.until_s);
        true
    }

    /// Returns the newest entry of the feed that was taken in: what the next page begins behind.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Returns whether the last word of the feed is older than 60 s.
    pub fn is_stale(&self, now_s: u64) -> bool {
        now_s > self.news_s + FEED_FRESH_S
    }

    /// Returns what a token says, presented by the device `kid`, which proved its key to the audience.
    ///
    /// What the token allows is asked of it ([`Token::allows`]).
    pub fn check(&self, text: &str, kid: &Kid, access: Access, now_s: u64) -> Result<Token, TokenRefusal> {
        let token = Token::open(text, |hour| self.keys.get(&hour))?;
        if token.audience != self.audience {
            return Err(TokenRefusal::Audience);
        }
        if now_s >= token.exp_s {
            return Err(TokenRefusal::Expired);
        }
        if token.iat_s > now_s + TOKEN_SKEW_S {
            return Err(TokenRefusal::Early);
        }
        if token.kid != *kid {
            return Err(TokenRefusal::Device);
        }
        if self.is_revoked(&token) {
            return Err(TokenRefusal::Revoked);
        }
        if access == Access::Write && self.is_stale(now_s) {
            return Err(TokenRefusal::FeedStale);
        }
        Ok(token)
    }

    /// Returns whether a grant that the audience relies on itself was revoked.
    pub fn is_grant_revoked(&self, sid: &Hash) -> bool {
        self.grants.contains_key(sid)
    }

    /// Returns how many families, devices and grants are known to be revoked.
    pub fn revoked(&self) -> usize {
        self.rids.len() + self.devices.len() + self.grants.len()
    }

    fn is_revoked(&self, token: &Token) -> bool {
        let device = self.devices.get(&token.kid);
        self.rids.contains_key(&token.rid) || device.is_some_and(|device| token.iat_s < device.not_before_s)
    }
}

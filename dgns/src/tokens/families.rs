//! Leases, exchanges, refreshes: how a family of tokens begins, goes on and ends.

use identity::cert::{Body, Kid};
use identity::did::Did;
use identity::hash::Hash;
use identity::limits::TOKEN_SKEW_S;
use identity::state::DidState;
use identity::token::{GuardBytes, Lease, Pair, Refresh, Rid, Scope, Token, TokenKey, TokenRefusal};
use identity::{kdf, wire};
use rand_core::Rng as _;
use storage::StorageError;
use storage::people::FamilyRow;
use tracing::warn;

use super::{Tokens, TokensRefusal, grants, live_device, seconds};
use crate::auth::request::newest;
use crate::core::Core;
use crate::people::events::{EventData, EventKind};
use crate::rng;

/// For how long a repeat of a refresh gets what the lost answer said.
const REPEAT_MS: u64 = 30_000;

/// How often a refresh looks again because another one was faster.
const RACES_MAX: u32 = 4;

/// What a guard is of its family.
enum Turn {
    /// The one to be spent next.
    Next,
    /// The one spent last.
    Last,
    /// An older one.
    Older,
}

impl Tokens {
    /// Gives a device its first token: of a lease, or of an exchange if the body brings grants.
    pub async fn lease(&self, core: &Core, body: &[u8], exchange: bool) -> Result<Pair, TokensRefusal> {
        let counter = if exchange { &self.counters.exchanged } else { &self.counters.leased };
        let done = self.begin(core, body, exchange).await;
        self.counted(done, counter)
    }

    async fn begin(&self, core: &Core, body: &[u8], exchange: bool) -> Result<Pair, TokensRefusal> {
        let lease = Lease::decode(body)?;
        if lease.chain.is_empty() == exchange {
            return Err(wire::WireError::Unexpected.into());
        }
        let now_s = seconds(core);
        let nonce_wanted = || TokensRefusal::NonceWanted(self.nonces.give(now_s, &mut rng::system()));
        let nonce = lease.proof.map(|proof| proof.nonce).filter(|nonce| self.nonces.is_good(nonce, now_s));
        let nonce = nonce.ok_or_else(nonce_wanted)?;
        let (state, device) = live_device(core, &lease.did, &lease.kid).await?;
        lease.verify(&core.origin, &device.sign).map_err(|_| TokensRefusal::Signature)?;
        if !self.nonces.spend(&nonce, now_s).ok_or(TokensRefusal::Busy)? {
            return Err(nonce_wanted());
        }
        self.rates.admit_lease(&lease.did, core.clock.now()).map_err(TokensRefusal::Rate)?;
        let audience = lease.audience.unwrap_or(core.server);
        self.check_audience(core, &audience).await?;
        let (scope, sids, ends_s) = match exchange {
            true => grants::allowed(self, core, &lease, now_s).await?,
            false => (owned(&lease)?, Vec::new(), u64::MAX),
        };
        let mut rid: Rid = [0; 8];
        rng::system().fill_bytes(&mut rid);
        let mut family = FamilyRow {
            rid,
            did: lease.did,
            kid: lease.kid,
            audience,
            scope: Scope::encode_list(&scope),
            chain: if exchange { grants::encode_chain(&lease.chain) } else { Vec::new() },
            life_s: lease.life_s.unwrap_or(0),
            turn: 0,
            spent_ms: 0,
            uid: state.uid,
            iat_s: now_s,
            exp_s: 0,
            seq: 0,
            over_s: 0,
        };
        self.renew(&mut family, &state, now_s, ends_s).await?;
        // Watched first, looked at again afterwards: whichever comes first, a revocation or this family, it is not overlooked.
        self.touched.watch(lease.did);
        let idle_s = now_s.saturating_sub(self.config.idle_days * 86_400);
        self.people.store.add_family(&family, &sids, self.config.families_max, idle_s).await?;
        if let Err(refusal) = live_device(core, &lease.did, &lease.kid).await {
            self.end(&[(rid, family.over_s)], now_s).await?;
            return Err(refusal);
        }
        self.pair(&family)
    }

    /// Spends a guard for a new pair; gives the same pair to whoever repeats it at once; ends the family of whoever does later.
    pub async fn refresh(&self, core: &Core, body: &[u8]) -> Result<Pair, TokensRefusal> {
        let done = self.go_on(core, body).await;
        self.counted(done, &self.counters.refreshed)
    }

    async fn go_on(&self, core: &Core, body: &[u8]) -> Result<Pair, TokensRefusal> {
        let ask = Refresh::decode(body)?;
        let token = Token::open_own(&ask.token, &self.master).map_err(TokensRefusal::Token)?;
        for _ in 0..RACES_MAX {
            let now = core.clock.now();
            let now_s = now.as_ms() / 1_000;
            let family = self.people.store.family(&token.rid).await?.ok_or(TokensRefusal::Revoked)?;
            let (state, device) = live_device(core, &family.did, &family.kid).await?;
            ask.verify(&core.origin, &device.sign).map_err(|_| TokensRefusal::Signature)?;
            let turn = self.turn_of(&family, &ask.guard).ok_or(TokensRefusal::GuardWrong)?;
            if family.iat_s + self.config.idle_days * 86_400 < now_s {
                self.end(&[(family.rid, family.over_s)], now_s).await?;
                return Err(TokensRefusal::Revoked);
            }
            match turn {
                Turn::Next => {
                    let ends_s = match grants::still_allowed(self, core, &family, now_s).await {
                        Err(refusal @ (TokensRefusal::Grant(_) | TokensRefusal::GrantRevoked)) => {
                            self.end(&[(family.rid, family.over_s)], now_s).await?;
                            return Err(refusal);
                        }
                        judged => judged?,
                    };
                    let mut next = FamilyRow { turn: family.turn + 1, spent_ms: now.as_ms(), ..family };
                    self.renew(&mut next, &state, now_s, ends_s).await?;
                    if self.people.store.advance_family(&next).await? {
                        return self.pair(&next);
                    }
                }
                // The answer was lost; who asks in time gets it again, byte by byte.
                Turn::Last if now.as_ms() <= family.spent_ms + REPEAT_MS => return self.pair(&family),
                Turn::Last | Turn::Older => {
                    self.end(&[(family.rid, family.over_s)], now_s).await?;
                    self.counters.reused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    warn!("a guard was used again; its family of tokens has ended");
                    let data = EventData { at_ms: now.as_ms(), kid: Some(family.kid), ..EventData::default() };
                    self.people.tell(&family.did, EventKind::GuardReused, data).await?;
                    return Err(TokensRefusal::GuardReused);
                }
            }
        }
        Err(TokensRefusal::Busy)
    }

    /// Returns what a token for this server says, presented by the device `kid`, which proved its key; or why it counts for nothing.
    pub async fn check_own(
        &self,
        core: &Core,
        text: &str,
        kid: &Kid,
    ) -> Result<Result<Token, TokenRefusal>, StorageError> {
        let (now_s, opened) = (seconds(core), Token::open_own(text, &self.master));
        let judged = opened.and_then(|token| match () {
            () if token.audience != core.server => Err(TokenRefusal::Audience),
            () if now_s >= token.exp_s => Err(TokenRefusal::Expired),
            () if token.iat_s > now_s + TOKEN_SKEW_S => Err(TokenRefusal::Early),
            () if token.kid != *kid => Err(TokenRefusal::Device),
            () => Ok(token),
        });
        match judged {
            Ok(token) if !self.is_alive(&token.rid).await? => Ok(Err(TokenRefusal::Revoked)),
            judged => Ok(judged),
        }
    }

    /// Returns whether a family has not ended.
    pub async fn is_alive(&self, rid: &Rid) -> Result<bool, StorageError> {
        Ok(self.people.store.family(rid).await?.is_some())
    }

    /// Ends a family of a DID, and returns the place of that in the feed.
    pub async fn revoke_family(&self, core: &Core, did: &Did, rid: &Rid) -> Result<u64, TokensRefusal> {
        let family = self.people.store.family(rid).await?.filter(|family| family.did == *did);
        let family = family.ok_or(TokensRefusal::NoSuchFamily)?;
        self.end(&[(family.rid, family.over_s)], seconds(core)).await
    }

    /// Ends families: their tokens are in the feed before this returns.
    pub(super) async fn end(&self, families: &[(Rid, u64)], now_s: u64) -> Result<u64, TokensRefusal> {
        let newest = self.people.store.end_families(families, &[], now_s).await?;
        self.announce(newest, families.len());
        Ok(newest)
    }

    async fn check_audience(&self, core: &Core, audience: &Did) -> Result<(), TokensRefusal> {
        let state = newest(core, audience).await?.filter(|state| state.flags & DidState::ENDED == 0);
        state.map(drop).ok_or(TokensRefusal::NoAudience)
    }

    /// Sets what the newest token of a family says; it ends at `ends_s` at the latest.
    async fn renew(
        &self,
        family: &mut FamilyRow,
        state: &DidState,
        now_s: u64,
        ends_s: u64,
    ) -> Result<(), TokensRefusal> {
        let life_s = self.people.store.audience_life(&family.audience).await?.unwrap_or(self.config.life_s);
        let life_s = if family.life_s == 0 { life_s } else { life_s.min(family.life_s) };
        let exp_s = (now_s + life_s).min(ends_s).min(end_of(state)).max(now_s + 1);
        (family.iat_s, family.exp_s, family.seq) = (now_s, exp_s, state.head.seq);
        family.over_s = family.over_s.max(exp_s + TOKEN_SKEW_S);
        Ok(())
    }

    /// Makes the pair of a family's turn: the same whenever it is made.
    fn pair(&self, family: &FamilyRow) -> Result<Pair, TokensRefusal> {
        let token = Token {
            uid: family.uid,
            kid: family.kid,
            audience: family.audience,
            scope: Scope::decode_list(&family.scope)?,
            iat_s: family.iat_s,
            exp_s: family.exp_s,
            rid: family.rid,
            seq: family.seq,
        };
        let key = TokenKey::derive(&self.master, &family.audience, token.hour());
        Ok(Pair { token: token.mint(&key), guard: self.guard(&family.rid, family.turn), exp_s: family.exp_s })
    }

    /// Makes the guard of a turn: its number u32, then 28 bytes that nobody makes without the master secret.
    fn guard(&self, rid: &Rid, turn: u64) -> GuardBytes {
        let turn = u32::try_from(turn).unwrap_or(u32::MAX).to_be_bytes();
        let mut guard = kdf::derive("dgns/token-guard/v1", self.master.as_ref(), &[rid, &turn]);
        guard.copy_within(..28, 4);
        guard[..4].copy_from_slice(&turn);
        guard
    }

    /// Returns what a guard is of its family; `None` if it is none of its guards so far.
    fn turn_of(&self, family: &FamilyRow, guard: &GuardBytes) -> Option<Turn> {
        let turn = u64::from(u32::from_be_bytes([guard[0], guard[1], guard[2], guard[3]]));
        let ours = self.guard(&family.rid, turn);
        let differing = ours.iter().zip(guard.iter()).fold(0, |bits, (a, b)| bits | (a ^ b));
        match family.turn.checked_sub(turn)? {
            _ if differing != 0 => None,
            0 => Some(Turn::Next),
            1 => Some(Turn::Last),
            _ => Some(Turn::Older),
        }
    }
}

/// Returns the scopes of a lease: each on what the DID owns, which is itself.
fn owned(lease: &Lease) -> Result<Vec<Scope>, TokensRefusal> {
    let owns = |scope: &Scope| scope.site == lease.did;
    if lease.scope.iter().all(owns) { Ok(lease.scope.clone()) } else { Err(TokensRefusal::NotGranted) }
}

/// When the DID ends if nobody vetoes it: no token outlives that.
fn end_of(state: &DidState) -> u64 {
    let ending = state.pending.iter().filter(|act| act.kind == Body::Tombstone.kind());
    ending.map(|act| act.due_ms / 1_000).min().unwrap_or(u64::MAX)
}

/// Returns the sids of a chain.
pub(super) fn sids(chain: &[identity::grant::SignedGrant]) -> Vec<Hash> {
    chain.iter().map(identity::grant::SignedGrant::sid).collect()
}

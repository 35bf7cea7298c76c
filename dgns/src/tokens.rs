//! Tokens as the server that keeps the log mints them: leases, exchanges, refreshes, and the word of what was revoked
//! (PROTOCOL 17, 18).
//!
//! Neither token nor guard is stored: both are made anew from `keys/token.key` and a family's row. A refresh commits that the guard
//! is spent before it answers, so a crash in between is a lost answer, and the repeat gets the same pair.

mod families;
mod feed;
mod grants;
mod nonces;
mod refusal;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use identity::cert::Kid;
use identity::did::Did;
use identity::key::SigningKey;
use identity::limits::TOKEN_LIFE_MAX_S;
use identity::state::{DeviceState, DeviceStatus, DidState};
use identity::token::{TokenKey, hour_of};
use rand_core::CryptoRng;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::auth::request::newest;
use crate::config::{LimitsConfig, TokensConfig};
use crate::core::Core;
use crate::keys::{self, KeyFileError};
use crate::limits::Rates;
use crate::log::touched::Touched;
use crate::people::People;
use nonces::Nonces;

pub use feed::{WAIT_MAX_S, follow};
pub use grants::{KeptChain, revocation};
pub use refusal::TokensRefusal;

/// The name of the master secret's file below `keys/`.
pub const KEY_FILE: &str = "token.key";

/// Mints tokens, refreshes and revokes them.
pub struct Tokens {
    people: Arc<People>,
    master: Zeroizing<[u8; 32]>,
    /// The device of the server's own DID: signs what audiences are told.
    device: SigningKey,
    config: TokensConfig,
    nonces: Nonces,
    rates: Rates,
    touched: Arc<Touched>,
    /// The newest place of the feed, once all that the log held at the start was looked at.
    feed: watch::Sender<Option<u64>>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    leased: AtomicU64,
    exchanged: AtomicU64,
    refreshed: AtomicU64,
    refused: AtomicU64,
    reused: AtomicU64,
    revoked: AtomicU64,
}

impl Tokens {
    /// Reads or makes the master secret. `touched` tells which DIDs the log changed.
    pub fn open(
        people: Arc<People>,
        keys_at: &Path,
        device: SigningKey,
        (config, limits): (TokensConfig, LimitsConfig),
        touched: Arc<Touched>,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, KeyFileError> {
        let master = keys::secret(&keys_at.join(KEY_FILE), "token", rng)?;
        Ok(Self {
            people,
            master,
            device,
            config,
            nonces: Nonces::new(rng),
            rates: Rates::new(limits),
            touched,
            feed: watch::Sender::new(None),
            counters: Counters::default(),
        })
    }

    /// Returns the keys under which the tokens of an audience that may still live were minted, and the next.
    pub fn keys(&self, audience: &Did, now_s: u64) -> Vec<(u32, TokenKey)> {
        let hours = hour_of(now_s.saturating_sub(TOKEN_LIFE_MAX_S))..=hour_of(now_s) + 1;
        hours.map(|hour| (hour, TokenKey::derive(&self.master, audience, hour))).collect()
    }

    /// Renders the counters in the Prometheus text format.
    pub fn metrics(&self) -> String {
        let mut out = String::with_capacity(1_024);
        let Counters { leased, exchanged, refreshed, refused, reused, revoked } = &self.counters;
        for (name, help, counter) in [
            ("dgns_tokens_leased_total", "Leases that gave a token.", leased),
            ("dgns_tokens_exchanged_total", "Chains of grants exchanged for a token.", exchanged),
            ("dgns_tokens_refreshed_total", "Guards spent.", refreshed),
            (
                "dgns_tokens_refused_total",
                "Leases, exchanges and refreshes refused; the first answer, a nonce, is none.",
                refused,
            ),
            ("dgns_guards_reused_total", "Families that ended because a guard was used again.", reused),
            ("dgns_revocations_total", "Entries added to the revocation feed.", revoked),
        ] {
            let value = counter.load(Ordering::Relaxed);
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n");
        }
        out
    }

    /// Counts how a request ended.
    fn counted<T>(&self, done: Result<T, TokensRefusal>, counter: &AtomicU64) -> Result<T, TokensRefusal> {
        match &done {
            Ok(_) => counter.fetch_add(1, Ordering::Relaxed),
            Err(TokensRefusal::NonceWanted(_)) => 0,
            Err(_) => self.counters.refused.fetch_add(1, Ordering::Relaxed),
        };
        done
    }
}

/// Returns the newest state of a DID and its device with this kid, if that one counts.
async fn live_device(core: &Core, did: &Did, kid: &Kid) -> Result<(DidState, DeviceState), TokensRefusal> {
    let state = newest(core, did).await?.ok_or(TokensRefusal::UnknownDevice)?;
    if state.flags & DidState::ENDED != 0 {
        return Err(TokensRefusal::Ended);
    }
    let device = state.device(kid).copied();
    match device.map(|device| device.status) {
        None => Err(TokensRefusal::UnknownDevice),
        Some(DeviceStatus::Suspended) => Err(TokensRefusal::Suspended),
        Some(DeviceStatus::Live | DeviceStatus::Fresh) => Ok((state, device.expect("it has a status"))),
    }
}

fn seconds(core: &Core) -> u64 {
    core.clock.now().as_ms() / 1_000
}

//! The word of what was revoked: pages for audiences, and the follower that ends the families of devices the log ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use identity::cert::{KeyBytes, Kid};
use identity::did::Did;
use identity::limits::FEED_ENTRIES_MAX;
use identity::state::{DeviceStatus, DidState};
use identity::token::{FeedPage, SealedKeys, life_within};
use identity::wire::Reader;
use storage::StorageError;
use tokio::sync::watch;
use tracing::{error, info};

use super::{Tokens, TokensRefusal, seconds};
use crate::auth::request::{Caller, newest};
use crate::core::Core;
use crate::{rng, shutdown};

/// How long a page may be waited for, in seconds.
pub const WAIT_MAX_S: u64 = 10;

/// How long a page may be waited for while the server looks at what the log changed when it was away.
const OPENS_WITHIN: Duration = Duration::from_secs(2);

/// How often it is noted up to where the log was looked at: what came later is looked at again by the next start.
const CURSOR_EVERY: Duration = Duration::from_secs(60);

impl Tokens {
    /// Returns the page behind `since`, signed; an empty one is waited with, for `wait` at most.
    ///
    /// Errors: busy, until all that the log changed while the server was away was looked at.
    pub async fn page(&self, core: &Core, since: u64, wait: Duration) -> Result<Vec<u8>, TokensRefusal> {
        let mut feed = self.feed.subscribe();
        let until = tokio::time::Instant::now() + wait;
        let opened = tokio::time::timeout(OPENS_WITHIN, feed.wait_for(Option::is_some)).await;
        opened.map_err(|_| TokensRefusal::Busy)?.map_err(|_| TokensRefusal::Busy)?;
        loop {
            let known = (*feed.borrow_and_update()).ok_or(TokensRefusal::Busy)?;
            let now_s = seconds(core);
            let (newest, mut entries) =
                self.people.store.revocations(since, now_s, FEED_ENTRIES_MAX as u64 + 1).await?;
            let more = entries.len() > FEED_ENTRIES_MAX;
            entries.truncate(FEED_ENTRIES_MAX);
            let nothing = entries.is_empty() && newest == since && known <= since;
            if nothing && tokio::time::timeout_at(until, feed.changed()).await.is_ok_and(|changed| changed.is_ok()) {
                continue;
            }
            let time_s = seconds(core);
            let page = FeedPage { time_s, since, newest, more, entries };
            return Ok(page.sign(&core.origin, &self.device));
        }
    }

    /// Returns the keys of an audience to one of its devices, sealed and signed; the body may say how long its tokens live.
    pub async fn audience_keys(&self, core: &Core, caller: &Caller, body: &[u8]) -> Result<Vec<u8>, TokensRefusal> {
        let mut reader = Reader::new(body);
        let mut fields = reader.fields()?;
        let life_s = fields.optional(1, Reader::uint)?;
        fields.end()?;
        reader.end()?;
        if let Some(life_s) = life_s {
            if life_within(life_s) != life_s {
                return Err(identity::wire::WireError::Unexpected.into());
            }
            self.people.store.set_audience_life(&caller.did, life_s).await?;
        }
        let life_s = self.people.store.audience_life(&caller.did).await?.unwrap_or(self.config.life_s);
        let keys = self.keys(&caller.did, seconds(core));
        let sealed = SealedKeys::seal(caller.did, life_s, &keys, &caller.device.kex, &mut rng::system());
        let sealed = sealed.map_err(|_| TokensRefusal::Signature)?; // a kex key of small order opens nothing
        Ok(sealed.sign(&core.origin, &self.device))
    }

    /// Returns the key that signs what audiences are told.
    pub fn feed_key(&self) -> KeyBytes {
        self.device.public()
    }

    /// Returns what changes whenever something is revoked.
    pub fn news(&self) -> watch::Receiver<Option<u64>> {
        self.feed.subscribe()
    }

    /// Wakes whoever waits for the feed.
    pub(super) fn announce(&self, newest: u64, entries: usize) {
        self.counters.revoked.fetch_add(entries as u64, Ordering::Relaxed);
        self.feed.send_if_modified(|known| match known {
            Some(known) if *known < newest => {
                *known = newest;
                true
            }
            _ => false,
        });
    }

    /// Ends the families of devices that do not count any more.
    async fn look(&self, core: &Core, did: &Did) -> Result<(), StorageError> {
        let families = self.people.store.families(did).await?;
        if families.is_empty() {
            return Ok(());
        }
        let state = newest(core, did).await?.filter(|state| state.flags & DidState::ENDED == 0);
        let counts = |kid: &Kid| {
            let device = state.as_ref().and_then(|state| state.device(kid));
            device.is_some_and(|device| device.status != DeviceStatus::Suspended)
        };
        let (mut ended, mut devices) = (Vec::new(), BTreeMap::new());
        for family in families.iter().filter(|family| !counts(&family.kid)) {
            ended.push((family.rid, family.over_s));
            let over_s: &mut u64 = devices.entry(family.kid).or_default();
            *over_s = (*over_s).max(family.over_s);
        }
        if ended.is_empty() {
            return Ok(());
        }
        let now_s = seconds(core);
        let devices: Vec<_> = devices.into_iter().map(|(kid, over_s)| (kid, now_s + 1, over_s)).collect();
        let newest = self.people.store.end_families(&ended, &devices, now_s).await?;
        self.announce(newest, devices.len());
        info!(families = ended.len(), "tokens of devices that ended are revoked");
        Ok(())
    }

    /// Looks at every DID with families if the log moved since that was done last, and opens the feed.
    async fn catch_up(&self, core: &Core) -> Result<(), StorageError> {
        let dids = self.people.store.family_dids().await?;
        dids.iter().for_each(|did| self.touched.watch(*did));
        // What is shown from here on is noted; what is shown already is looked at now.
        let size = core.live.head().size();
        if self.people.store.revocation_cursor().await? != size {
            for did in &dids {
                self.look(core, did).await?;
            }
            self.people.store.set_revocation_cursor(size).await?;
        }
        let (newest, _) = self.people.store.revocations(u64::MAX >> 1, 0, 0).await?;
        self.feed.send_replace(Some(newest));
        Ok(())
    }
}

/// Follows the log until the server stops. A failure of the database is tried again: until then the feed has no news.
pub async fn follow(core: Arc<Core>, tokens: Arc<Tokens>, mut stopping: watch::Receiver<bool>) {
    while let Err(error) = tokens.catch_up(&core).await {
        error!(%error, "the devices behind tokens cannot be looked at");
        tokio::select! {
            () = shutdown::requested(&mut stopping) => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
    let mut noted = tokio::time::interval(CURSOR_EVERY);
    loop {
        tokio::select! {
            () = shutdown::requested(&mut stopping) => break,
            touched = tokens.touched.next() => {
                for did in touched {
                    while let Err(error) = tokens.look(&core, &did).await {
                        error!(%error, "the devices behind tokens cannot be looked at");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            }
            _ = noted.tick() => note(&tokens).await,
        }
    }
    note(&tokens).await;
}

/// Notes up to where the log was looked at, unless something is still to be looked at.
async fn note(tokens: &Tokens) {
    if let Some(size) = tokens.touched.taken_up_to()
        && let Err(error) = tokens.people.store.set_revocation_cursor(size).await
    {
        error!(%error, "the place up to which the log was looked at cannot be noted");
    }
}

//! Web Push to devices that are not here (PROTOCOL 23.14): what waits is claimed, sealed to the browser, posted to its push service, and
//! tried again or given up. Neither endpoint nor device is ever written to the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use identity::cert::KeyBytes;
use identity::did::Did;
use identity::hash::keyed_hash;
use identity::sealed::{self, Sealed};
use identity::wire::{Reader, Writer};
use lobby::message::Subscription;
use lobby::push::{PushKey, Receiver, VapidKey};
use storage::StorageError;
use storage::people::{OutboxRow, SealedRow};
use tokio::sync::watch;
use tracing::{error, warn};

use super::bus::Bus;
use super::{Node, has_device};
use crate::auth::request::newest;
use crate::config::PushConfig;
use crate::core::Core;
use crate::outbound::{Bounds, Outbound};
use crate::people::People;
use crate::people::events::EventKind;
use crate::{rng, shutdown};

/// The file of the key below `keys/`.
pub const KEY_FILE: &str = "push.key";

/// What one push may cost.
const BOUNDS: Bounds = Bounds { deadline: Duration::from_secs(5), body_bytes_max: 4_096 };

/// Pushes claimed at once, and for how long: a crash has them claimed again.
const CLAIMED_MAX: u64 = 32;
const CLAIM_MS: u64 = 30_000;

/// A push is given up after so many tries, or so long, ms. Between two of them at most six hours.
const TRIES_MAX: u32 = 8;
const KEPT_MS: u64 = 86_400_000;
const LATER_MS_MAX: u64 = 6 * 3_600_000;

/// How long a push service keeps a message, s, and how long the key's word to it is good, s.
const TTL_S: u64 = 86_400;
const AUTHORIZED_S: u64 = 12 * 3_600;

/// Between two looks while nothing is new.
const IDLE: Duration = Duration::from_secs(10);

/// Pushes what waits.
pub struct Pusher {
    core: Arc<Core>,
    people: Arc<People>,
    bus: Option<Arc<Bus>>,
    outbound: Outbound,
    key: VapidKey,
    config: PushConfig,
    subject: String,
    sent: AtomicU64,
    failed: AtomicU64,
    gone: AtomicU64,
    told: AtomicU64,
}

impl Pusher {
    /// Returns who pushes under `key`; `public_url` names the operator if the configuration does not.
    pub fn new(
        core: Arc<Core>,
        people: Arc<People>,
        bus: Option<Arc<Bus>>,
        key: VapidKey,
        config: PushConfig,
        public_url: &str,
    ) -> Self {
        let subject = Some(config.subject.clone()).filter(|subject| !subject.is_empty());
        Self {
            core,
            people,
            bus,
            outbound: Outbound::public_only(config.allow.clone()),
            key,
            subject: subject.unwrap_or_else(|| public_url.to_owned()),
            config,
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            gone: AtomicU64::new(0),
            told: AtomicU64::new(0),
        }
    }

    /// Returns what browsers subscribe for.
    pub fn public(&self) -> PushKey {
        self.key.public()
    }

    /// How long a push waits for its device to come by itself, ms.
    pub fn grace_ms(&self) -> u64 {
        self.config.grace_s * 1_000
    }

    /// Says that something waits.
    pub fn wake(&self) {
        self.people.pushes.notify_one();
    }

    /// Returns a subscription as it is kept: sealed. `None`: it is none that is pushed to.
    pub fn sealed(&self, device: &KeyBytes, did: &Did, subscription: &Subscription) -> Option<SealedRow> {
        let Subscription { endpoint, p256dh, auth } = subscription;
        self.outbound.check(endpoint).ok()?;
        Receiver::new(p256dh, *auth).ok()?;
        let mut writer = Writer::new();
        writer.array(3).text(endpoint).bytes(p256dh).bytes(auth);
        let recipient = self.people.key.push_box().public();
        let Sealed { enc, ct } =
            sealed::seal(&recipient, b"push", device, &writer.finish(), &mut rng::system()).ok()?;
        Some(SealedRow { did: *did, enc, sealed: ct })
    }

    fn opened(&self, device: &KeyBytes, row: SealedRow) -> Option<Subscription> {
        let sealed = Sealed { enc: row.enc, ct: row.sealed };
        let plain = sealed::open(&self.people.key.push_box(), b"push", device, &sealed).ok()?;
        let mut reader = Reader::new(&plain);
        reader.array_of(3).ok()?;
        let endpoint = reader.text().ok()?.to_owned();
        Some(Subscription { endpoint, p256dh: reader.fixed().ok()?, auth: reader.fixed().ok()? })
    }

    /// Pushes until `stop` turns true.
    pub async fn run(self: Arc<Self>, node: Arc<Node>, mut stop: watch::Receiver<bool>) {
        // A grace that ends is looked for at half its length.
        let look = Duration::from_millis((self.grace_ms() / 2).clamp(100, 1_000));
        let mut idle = true;
        loop {
            tokio::select! {
                () = shutdown::requested(&mut stop) => return,
                () = self.people.pushes.notified() => {}
                () = tokio::time::sleep(if idle { IDLE } else { look }) => {}
            }
            idle = match self.turn(&node).await {
                Ok(waiting) => waiting == 0,
                Err(error) => {
                    error!(%error, "pushes cannot be read");
                    true
                }
            };
        }
    }

    /// Pushes what is due; returns how much waits then.
    async fn turn(&self, node: &Node) -> Result<u64, StorageError> {
        let now_ms = self.core.clock.now().as_ms();
        let due = self.people.store.claim_pushes(now_ms, now_ms + CLAIM_MS, CLAIMED_MAX).await?;
        for row in due {
            self.one(node, &row).await?;
        }
        Ok(self.people.store.push_counts().await?.1)
    }

    async fn one(&self, node: &Node, row: &OutboxRow) -> Result<(), StorageError> {
        let store = &self.people.store;
        let kept = store.subscription(&row.device).await?;
        let Some((did, subscription)) = kept.and_then(|kept| Some((kept.did, self.opened(&row.device, kept)?))) else {
            return store.put_subscription(&row.device, None).await;
        };
        let state = newest(&self.core, &did).await?;
        if !state.is_some_and(|state| has_device(&state, &row.device)) {
            return store.forget_device(&row.device).await;
        }
        let now_ms = self.core.clock.now().as_ms();
        let too_old = row.tries >= TRIES_MAX || now_ms.saturating_sub(row.from_ms) > KEPT_MS;
        if too_old {
            return store.push_done(row, false).await;
        }
        // Whoever is at a node hears of logs over the socket, and of nothing else.
        if row.event().is_none() && self.is_told(node, &row.device, &did).await {
            self.told.fetch_add(1, Ordering::Relaxed);
            return store.push_done(row, false).await;
        }
        match self.post(row, &subscription).await {
            Posted::Taken => {
                self.sent.fetch_add(1, Ordering::Relaxed);
                store.push_done(row, true).await
            }
            Posted::Dead => {
                self.gone.fetch_add(1, Ordering::Relaxed);
                store.put_subscription(&row.device, None).await
            }
            Posted::Refused => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                store.push_done(row, false).await
            }
            Posted::Later(wait_ms) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let own_ms = (self.config.retry_s * 1_000).saturating_mul(1 << row.tries.min(16));
                let wait_ms = wait_ms.unwrap_or(0).max(own_ms).min(LATER_MS_MAX);
                store.push_later(row, now_ms + wait_ms).await
            }
        }
    }

    /// Returns whether a device is told of logs at this node, or at another.
    async fn is_told(&self, node: &Node, device: &KeyBytes, did: &Did) -> bool {
        if node.is_here(device, did) {
            return true;
        }
        match &self.bus {
            Some(bus) => bus.is_told_elsewhere(device).await,
            None => false,
        }
    }

    async fn post(&self, row: &OutboxRow, subscription: &Subscription) -> Posted {
        let Some((message, urgency)) = message(row) else { return Posted::Refused };
        let receiver = Receiver::new(&subscription.p256dh, subscription.auth);
        let body = receiver.and_then(|receiver| receiver.seal(&message, &mut rng::system()));
        let (Ok(body), Some(origin)) = (body, Outbound::origin(&subscription.endpoint)) else { return Posted::Dead };
        let until_s = self.core.clock.now().as_s() + AUTHORIZED_S;
        let topic = keyed_hash(&self.people.key.push_topic(), "dgns/push-topic/v1", &[&row.device, &row.log]);
        let headers = [
            ("authorization", self.key.authorization(&origin, until_s, &self.subject)),
            ("content-encoding", "aes128gcm".to_owned()),
            ("content-type", "application/octet-stream".to_owned()),
            ("ttl", TTL_S.to_string()),
            ("urgency", urgency.to_owned()),
            ("topic", BASE64URL_NOPAD.encode(&topic[..24])),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.into_bytes()));
        match self.outbound.request(&subscription.endpoint, &headers, Some(body), BOUNDS).await {
            Ok(answer) => match answer.status {
                200..=299 => Posted::Taken,
                404 | 410 => Posted::Dead,
                429 | 500..=599 => Posted::Later(answer.retry_after_s.map(|s| s.saturating_mul(1_000))),
                status => {
                    warn!(status, "a push service refuses a push");
                    Posted::Refused
                }
            },
            // The text of the error names no address.
            Err(error) => {
                warn!(code = error.code(), "a push service does not take a push");
                Posted::Later(None)
            }
        }
    }

    /// Renders the counters in the Prometheus text format.
    pub fn metrics(&self) -> String {
        let mut out = String::new();
        for (name, help, counter) in [
            ("dgns_push_sent_total", "Pushes that a push service took.", &self.sent),
            ("dgns_push_failed_total", "Pushes refused, or put off.", &self.failed),
            (
                "dgns_push_gone_total",
                "Subscriptions removed because their push service does not know them.",
                &self.gone,
            ),
            ("dgns_push_told_total", "Pushes not made: the device hears of logs over a socket.", &self.told),
        ] {
            let value = counter.load(Ordering::Relaxed);
            out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n"));
        }
        out
    }
}

/// What a push says, and how urgent it is; `None` if this server knows no such event.
fn message(row: &OutboxRow) -> Option<(Vec<u8>, &'static str)> {
    let mut writer = Writer::new();
    match row.event() {
        None => {
            writer.map(2).uint(1).bytes(&row.log).uint(2).uint(row.size);
            Some((writer.finish(), "normal"))
        }
        Some((kind, index)) => {
            writer.map(1 + usize::from(index.is_some())).uint(3).text(EventKind::of(kind)?.name());
            index.iter().for_each(|index| {
                writer.uint(4).uint(*index);
            });
            Some((writer.finish(), "high"))
        }
    }
}

/// What a push service made of a push.
enum Posted {
    Taken,
    /// It knows no such subscription.
    Dead,
    Refused,
    /// It wants it again, after so many ms if it says.
    Later(Option<u64>),
}

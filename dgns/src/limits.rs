//! Admission limits: how many certificates one DID and one address may post, and how many Notices anybody. Not judged by auditors, kept in memory alone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use identity::cert::{Body, Certificate};
use identity::did::Did;
use identity::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::LimitsConfig;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The bytes of an order of a lease: four numbers and a DID.
pub const LEASE_ORDER_BYTES_MAX: u64 = 4_096;

/// The orders of leases that one look takes up, so that requests are answered meanwhile; nothing is deleted before all are.
pub const LEASE_ORDERS_PER_LOOK: usize = 1_024;

/// Counters kept at most; beyond it the oldest windows are dropped, so a flood of DIDs costs bounded memory.
const COUNTERS_MAX: usize = 200_000;

/// Streams of changes open at most: each looks up a name up to four times a second while the log moves.
pub const STREAMS_MAX: usize = 256;

/// Who waits at the pairing relay at most: each looks ten times a second.
pub const RELAY_READERS_MAX: usize = 512;

/// People of other logs who are known at a time, for as long as the head is fresh that proved them: some 2 KiB each.
pub const GUESTS_MAX: usize = 10_000;

/// The bytes of what proves one of them: a Resolution of a DID with its head.
pub const GUEST_BYTES_MAX: usize = 256 << 10;

/// The bytes of what arrives of a database at once: entries, and what proves that they stand in its control log.
pub const ARRIVAL_BYTES_MAX: usize = dgns_api::store::limits::REQUEST_BYTES_MAX + GUEST_BYTES_MAX;

/// The bytes of the largest body that a path takes: one that is announced to be larger is refused before it comes.
pub const BODY_BYTES_MAX: usize = ARRIVAL_BYTES_MAX;

/// How old an object is that a repair deletes since nothing names it, milliseconds: a day, so that rows that were put back as they were a little before
/// lose nothing that a newer copy of them names.
pub const ORPHAN_MS_MIN: u64 = 86_400_000;

/// How long a database may be on its way here, in milliseconds: a day, in which one of a terabyte comes over a line of 100 Mbit/s. What is not
/// whole by then goes, and whoever is an owner may begin anew.
pub const ARRIVAL_MS_MAX: u64 = 86_400_000;

/// Logs under watch at most, in all streams: each costs some 200 bytes.
pub const WATCHED_MAX: usize = 1_000_000;

/// Between two tellings of one watch, milliseconds: what grew in between is told once.
pub const WATCH_PACE_MS: u64 = 10;

/// The logs that one socket may come to watch, those it left included, which keep their places.
pub const WATCH_PLACES_MAX: usize = 8_000;

/// How long a reader at a socket may take nothing of what was told before the socket ends.
pub const WATCH_STALLED: Duration = Duration::from_secs(30);

/// What one telling of a watch has at most; the rest follows once it was taken. A reader who stands still holds no more.
pub const NEWS_MAX: usize = 64;

/// Too many; try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// Milliseconds until the window ends.
    pub retry_ms: u64,
}

/// So many at once, and no more.
#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    most: usize,
}

impl Places {
    /// Returns this many free places.
    pub fn new(most: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(most)), most }
    }

    /// Takes a place, given back when it is dropped; `None` if all are taken.
    pub fn take(&self) -> Option<OwnedSemaphorePermit> {
        self.free.clone().try_acquire_owned().ok()
    }

    /// Takes so many places at once, or none.
    pub fn take_many(&self, count: usize) -> Option<OwnedSemaphorePermit> {
        self.free.clone().try_acquire_many_owned(u32::try_from(count).ok()?).ok()
    }

    /// Returns how many are taken.
    pub fn taken(&self) -> usize {
        self.most - self.free.available_permits()
    }
}

/// Counts what DIDs and addresses post.
#[derive(Debug)]
pub struct Rates {
    config: LimitsConfig,
    counters: Mutex<HashMap<Counter, Window>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counter {
    ActsHour(Did),
    ActsDay(Did),
    RecordsHour(Did),
    ClaimsHour(Network),
    NoticesDay,
    PairPostsHour(Network),
    PairRingsHour(Did),
    EnvelopesHour(Network),
    EvaluationsHour(Network),
    EvaluationsOfDidHour(Did),
    LeasesHour(Did),
    SigninsHour(Network),
    ChallengesHour([u8; 16]),
}

/// An IPv4 address or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    V4([u8; 4]),
    V6([u8; 8]),
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends_ms: u64,
    count: u32,
}

impl Rates {
    /// Returns counters at zero.
    pub fn new(config: LimitsConfig) -> Self {
        Self { config, counters: Mutex::default() }
    }

    /// Counts a post, or says that it is one too many; then nothing is counted.
    pub fn admit(&self, certificates: &[Certificate], from: IpAddr, now: Timestamp) -> Result<(), TooMany> {
        let mut wanted: Vec<(Counter, u32, u64)> = Vec::new();
        for certificate in certificates {
            // A sign-in is the server's own; how many there may be is counted where people sign in.
            let Some(did) = certificate.chain_did() else { continue };
            match certificate.payload().body {
                Body::Confirm { .. } | Body::Veto { .. } | Body::Dispute(_) | Body::DeviceSuspend(_) => {}
                // Bounded by the rules: whoever tries PINs must not use up what the owner needs to answer.
                Body::RecoverOpen(_) | Body::RecoverProve(_) | Body::RecoverFinal(_) => {}
                Body::Records(_) | Body::Delegate(_) => {
                    wanted.push((Counter::RecordsHour(did), self.config.records_per_hour, HOUR_MS))
                }
                _ => {
                    wanted.push((Counter::ActsHour(did), self.config.certificates_per_hour, HOUR_MS));
                    wanted.push((Counter::ActsDay(did), self.config.certificates_per_day, DAY_MS));
                }
            }
            if matches!(certificate.payload().body, Body::Claim(_)) {
                let limit = self.config.claims_per_hour_and_address;
                wanted.push((Counter::ClaimsHour(network(from)), limit, HOUR_MS));
            }
        }
        wanted.retain(|(_, limit, _)| *limit > 0);
        self.count(&wanted, now.as_ms())
    }

    /// Counts a sign-in begun from an address, or says that it is one too many.
    pub fn admit_signin(&self, from: IpAddr, now: Timestamp) -> Result<(), TooMany> {
        match self.config.signin_starts_per_hour_and_address {
            0 => Ok(()),
            limit => self.count(&[(Counter::SigninsHour(network(from)), limit, HOUR_MS)], now.as_ms()),
        }
    }

    /// Counts a challenge that an ACME client writes by its account, or says that it is one too many.
    pub fn admit_challenge(&self, username: [u8; 16], now: Timestamp) -> Result<(), TooMany> {
        match self.config.records_per_hour {
            0 => Ok(()),
            limit => self.count(&[(Counter::ChallengesHour(username), limit, HOUR_MS)], now.as_ms()),
        }
    }

    /// Counts a Notice, or says that it is one too many.
    pub fn admit_notice(&self, now: Timestamp) -> Result<(), TooMany> {
        self.count(&[(Counter::NoticesDay, self.config.notices_per_day, DAY_MS)], now.as_ms())
    }

    /// Counts a message to the pairing relay, and the DID whose devices it rings; or says that it is one too many.
    pub fn admit_pair(&self, from: IpAddr, rings: Option<Did>, now: Timestamp) -> Result<(), TooMany> {
        let mut wanted =
            vec![(Counter::PairPostsHour(network(from)), self.config.pair_posts_per_hour_and_address, HOUR_MS)];
        wanted.extend(rings.map(|did| (Counter::PairRingsHour(did), self.config.pair_rings_per_hour, HOUR_MS)));
        wanted.retain(|(_, limit, _)| *limit > 0);
        self.count(&wanted, now.as_ms())
    }

    /// Counts sealed mail, or says that it is one too many.
    pub fn admit_envelope(&self, from: IpAddr, now: Timestamp) -> Result<(), TooMany> {
        let limit = self.config.envelopes_per_hour_and_address;
        match limit {
            0 => Ok(()),
            _ => self.count(&[(Counter::EnvelopesHour(network(from)), limit, HOUR_MS)], now.as_ms()),
        }
    }

    /// Counts evaluations of addresses, each of a batch: of a DID if one signed for them, else of an address. Or says that they are
    /// too many.
    pub fn admit_evaluations(
        &self,
        from: IpAddr,
        asker: Option<Did>,
        count: usize,
        now: Timestamp,
    ) -> Result<(), TooMany> {
        let (counter, limit) = match asker {
            Some(did) => (Counter::EvaluationsOfDidHour(did), self.config.evaluations_per_hour_and_did),
            None => (Counter::EvaluationsHour(network(from)), self.config.evaluations_per_hour_and_address),
        };
        match limit {
            0 => Ok(()),
            _ => self.count(&vec![(counter, limit, HOUR_MS); count], now.as_ms()),
        }
    }

    /// Counts a lease or exchange of a token, or says that it is one too many.
    pub fn admit_lease(&self, did: &Did, now: Timestamp) -> Result<(), TooMany> {
        let limit = self.config.token_leases_per_hour;
        match limit {
            0 => Ok(()),
            _ => self.count(&[(Counter::LeasesHour(*did), limit, HOUR_MS)], now.as_ms()),
        }
    }

    fn count(&self, wanted: &[(Counter, u32, u64)], now_ms: u64) -> Result<(), TooMany> {
        let mut counters = self.counters.lock().expect("no holder of the lock panics: it guards plain numbers");
        if counters.len() + wanted.len() > COUNTERS_MAX {
            counters.retain(|_, window| window.ends_ms > now_ms);
            if counters.len() + wanted.len() > COUNTERS_MAX {
                counters.clear();
            }
        }
        let mut counted: Vec<Counter> = Vec::with_capacity(wanted.len());
        for (counter, limit, period_ms) in wanted {
            let window = counters.entry(*counter).or_insert(Window { ends_ms: now_ms + period_ms, count: 0 });
            if window.ends_ms <= now_ms {
                *window = Window { ends_ms: now_ms + period_ms, count: 0 };
            }
            if window.count >= *limit {
                let retry_ms = window.ends_ms - now_ms;
                for counter in counted {
                    counters.entry(counter).and_modify(|window| window.count -= 1);
                }
                return Err(TooMany { retry_ms });
            }
            window.count += 1;
            counted.push(*counter);
        }
        Ok(())
    }
}

fn network(address: IpAddr) -> Network {
    match address.to_canonical() {
        IpAddr::V4(v4) => Network::V4(v4.octets()),
        IpAddr::V6(v6) => {
            let mut prefix = [0; 8];
            prefix.copy_from_slice(&v6.octets()[..8]);
            Network::V6(prefix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(per_hour: u32) -> Rates {
        let mut config = crate::config::Config::defaults().limits;
        config.certificates_per_hour = per_hour;
        Rates::new(config)
    }

    #[test]
    fn a_refused_post_is_not_counted() {
        // Goal: asking too much at once does not use up what is left. Method: a limit of 3, posts of 2, 2 and 1.
        let rates = rates(3);
        let counter = Counter::ActsHour(Did::from_bytes([1; 20]));
        let wanted = |n: usize| vec![(counter, 3, HOUR_MS); n];
        assert_eq!(rates.count(&wanted(2), 0), Ok(()));
        assert_eq!(rates.count(&wanted(2), 1_000), Err(TooMany { retry_ms: HOUR_MS - 1_000 }));
        assert_eq!(rates.count(&wanted(1), 2_000), Ok(()));
        assert_eq!(rates.count(&wanted(1), HOUR_MS - 1), Err(TooMany { retry_ms: 1 }));
        assert_eq!(rates.count(&wanted(3), HOUR_MS), Ok(()), "a new window");
    }

    #[test]
    fn notices_are_counted_for_all_together() {
        let mut config = crate::config::Config::defaults().limits;
        config.notices_per_day = 1;
        let (rates, at) = (Rates::new(config), Timestamp::from_ms);
        assert_eq!(rates.admit_notice(at(5)), Ok(()));
        assert_eq!(rates.admit_notice(at(6)), Err(TooMany { retry_ms: DAY_MS - 1 }));
        assert_eq!(rates.admit_notice(at(5 + DAY_MS)), Ok(()));
    }

    #[test]
    fn addresses_are_counted_by_network() {
        let a: IpAddr = "2001:db8::1".parse().unwrap();
        let b: IpAddr = "2001:db8::ffff:1".parse().unwrap();
        assert_eq!(network(a), network(b));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), network("192.0.2.1".parse().unwrap()));
    }
}

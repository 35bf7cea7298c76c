//! The log that is followed, over HTTP: its checkpoint, bundles, tiles and stream, each with a bound and a deadline.
//!
//! Nothing here is believed. What does not even have the right form is [`NotFetched::Garbled`]; the rest is judged by whoever asked.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use dgns_api::info::Info;
use dgns_api::path;
use identity::hash::Hash;
use identity::time::Timestamp;
use tokio::task::JoinSet;
use translog::bundle;
use translog::limits::{BUNDLE_BYTES_MAX, NOTE_BYTES_MAX};
use translog::rotation::Followed;
use translog::tile::{BundleId, Tile, TileId};
use translog::tree::{self, Node, Plan};
use translog::trust::Trust;

use crate::outbound::{Bounds, Chunks, Outbound, OutboundError};
use crate::rotation::{self, NotFollowed};

/// How long a checkpoint, or what a server says of itself, may take.
const SMALL_WITHIN: Duration = Duration::from_secs(10);

/// How long a bundle of a megabyte may take.
const BUNDLE_WITHIN: Duration = Duration::from_secs(30);

/// Bundles fetched side by side.
const SIDE_BY_SIDE: usize = 8;

/// How long the stream may be silent: three times what its sender promises.
const SILENT: Duration = Duration::from_secs(30);

/// The log that is followed.
#[derive(Clone, Debug)]
pub struct Remote {
    outbound: Outbound,
    base: String,
}

/// Why something is not here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFetched {
    /// No answer.
    #[error("{path}: {error}")]
    Network {
        /// What was asked for.
        path: String,
        /// Why.
        error: OutboundError,
    },
    /// An answer that is none.
    #[error("{path}: answered with status {status}")]
    Status {
        /// What was asked for.
        path: String,
        /// The status.
        status: u16,
    },
    /// Bytes of another form.
    #[error("{path}: not of its form")]
    Garbled {
        /// What was asked for.
        path: String,
    },
}

impl Remote {
    /// Returns the log at `base`, the URL of a server without a slash at its end.
    pub fn new(outbound: Outbound, base: &str) -> Self {
        Self { outbound, base: base.trim_end_matches('/').to_owned() }
    }

    /// Returns the server's URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Returns what the server says of itself.
    pub async fn info(&self) -> Result<Info, NotFetched> {
        let bytes = self.get(path::INFO, SMALL_WITHIN, 64 * 1_024).await?;
        serde_json::from_slice(&bytes).map_err(|_| NotFetched::Garbled { path: path::INFO.to_owned() })
    }

    /// Returns the bytes of the newest checkpoint.
    pub async fn checkpoint(&self) -> Result<Bytes, NotFetched> {
        self.get(path::CHECKPOINT, SMALL_WITHIN, NOTE_BYTES_MAX).await
    }

    /// Returns the bytes of the newest head, whether witnesses cosigned it or not.
    pub async fn newest(&self) -> Result<Bytes, NotFetched> {
        self.get(&format!("{}?head=newest", path::HEAD), SMALL_WITHIN, NOTE_BYTES_MAX).await
    }

    /// Returns a file of the log, by its path below the read prefix.
    pub async fn file(&self, name: &str) -> Result<Bytes, NotFetched> {
        self.get(&format!("{}/{name}", path::LOG), BUNDLE_WITHIN, BUNDLE_BYTES_MAX).await
    }

    /// Follows the log's keys from those of `trust` on, to those that sign the head that continues the tree of `known`.
    pub async fn follow_keys(
        &self,
        trust: &Trust,
        known: (u64, Hash),
        now: Timestamp,
    ) -> Result<Followed, NotFollowed> {
        rotation::follow(&self.outbound, &self.base, trust, known, None, || now).await
    }

    /// Returns at least one and about `count` entries from `from` on, of the log of `size` leaves: whole bundles, or up to its end.
    pub async fn entries(&self, from: u64, count: u64, size: u64) -> Result<Vec<Vec<u8>>, NotFetched> {
        let last = (from + count.max(1) - 1).min(size - 1) / 256;
        let mut fetches = JoinSet::new();
        let mut bundles: HashMap<u64, Vec<Vec<u8>>> = HashMap::new();
        for number in from / 256..=last {
            while fetches.len() >= SIDE_BY_SIDE {
                take(&mut fetches, &mut bundles).await?;
            }
            let remote = self.clone();
            fetches.spawn(async move { remote.bundle(number, size).await.map(|entries| (number, entries)) });
        }
        while !fetches.is_empty() {
            take(&mut fetches, &mut bundles).await?;
        }
        let in_order = (from / 256..=last).filter_map(|number| bundles.remove(&number));
        Ok(in_order.flatten().skip((from % 256) as usize).collect())
    }

    /// Returns the consistency proof from `from` to `to` leaves out of the tiles of the tree of `to`, and the root that
    /// this tree has at `from`.
    pub async fn consistency(&self, from: u64, to: u64) -> Result<(Vec<Hash>, Hash), NotFetched> {
        let garbled = |what: &str| NotFetched::Garbled { path: what.to_owned() };
        let plan = tree::consistency_plan(from, to).map_err(|_| garbled("a consistency proof"))?;
        let root = tree::root_plan(from).map_err(|_| garbled("a consistency proof"))?;
        let mut tiles = HashMap::new();
        let path = self.fold(&plan, to, &mut tiles).await?;
        let root = self.fold(&root, to, &mut tiles).await?;
        Ok((path, root.first().copied().unwrap_or(translog::hash::EMPTY_ROOT)))
    }

    /// Opens the stream of batches behind the head of `size` leaves.
    pub async fn tail(&self, size: u64) -> Result<Chunks, NotFetched> {
        let path = format!("{}?from={size}", path::TAIL);
        let opened = self.outbound.stream(&format!("{}{path}", self.base), SILENT).await;
        opened.map_err(|error| NotFetched::Network { path, error })
    }

    async fn bundle(&self, number: u64, size: u64) -> Result<Vec<Vec<u8>>, NotFetched> {
        let id = BundleId::of_entry(number * 256, size).expect("the caller stays inside the log");
        let path = format!("{}/{id}", path::LOG);
        let bytes = self.get(&path, BUNDLE_WITHIN, BUNDLE_BYTES_MAX).await?;
        let entries = bundle::decode(id, &bytes).map_err(|_| NotFetched::Garbled { path })?;
        Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
    }

    async fn fold(&self, plan: &Plan, size: u64, tiles: &mut HashMap<TileId, Tile>) -> Result<Vec<Hash>, NotFetched> {
        let mut hashes = HashMap::new();
        for node in plan.nodes() {
            hashes.insert(node, self.node(node, size, tiles).await?);
        }
        plan.fold(|node| hashes.get(&node).copied().ok_or(NotFetched::Garbled { path: "a tile".to_owned() }))
    }

    async fn node(&self, node: Node, size: u64, tiles: &mut HashMap<TileId, Tile>) -> Result<Hash, NotFetched> {
        let id = TileId::of_node(node, size).map_err(|_| NotFetched::Garbled { path: "a tile".to_owned() })?;
        let path = format!("{}/{id}", path::LOG);
        let garbled = || NotFetched::Garbled { path: path.clone() };
        if let Some(tile) = tiles.get(&id) {
            return tile.node(node).map_err(|_| garbled());
        }
        let bytes = self.get(&path, SMALL_WITHIN, 256 * 32).await?;
        let tile = Tile::decode(id, &bytes).map_err(|_| garbled())?;
        let hash = tile.node(node).map_err(|_| garbled())?;
        tiles.insert(id, tile);
        Ok(hash)
    }

    async fn get(&self, path: &str, deadline: Duration, body_bytes_max: usize) -> Result<Bytes, NotFetched> {
        let answer = self.outbound.get(&format!("{}{path}", self.base), Bounds { deadline, body_bytes_max }).await;
        let answer = answer.map_err(|error| NotFetched::Network { path: path.to_owned(), error })?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(NotFetched::Status { path: path.to_owned(), status }),
        }
    }
}

/// The entries of a bundle, with its number.
type Numbered = (u64, Vec<Vec<u8>>);

/// Takes the next bundle that has arrived.
async fn take(
    fetches: &mut JoinSet<Result<Numbered, NotFetched>>,
    bundles: &mut HashMap<u64, Vec<Vec<u8>>>,
) -> Result<(), NotFetched> {
    match fetches.join_next().await {
        Some(Ok(fetched)) => fetched.map(|(number, entries)| drop(bundles.insert(number, entries))),
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        _ => Ok(()),
    }
}

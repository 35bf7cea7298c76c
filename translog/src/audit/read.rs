//! What an audit fetched, read beside the replay: hashed and decoded on whatever thread the caller likes, in any order.

use identity::hash::Hash;

use super::{Level, Tree, Want};
use crate::bundle;
use crate::entry::{Entry, EntryError, EntryKind, Epoch};
use crate::hash::leaf_hash;
use crate::tile::{BundleId, Tile, TileId};

/// What came for a [`Want`], read as far as it can be without the log before it.
#[derive(Debug)]
pub struct Received(pub(super) Read);

/// What was read; `None` where the bytes are not of their form.
#[derive(Debug)]
pub(super) enum Read {
    /// The entries of a bundle: hashed, and decoded as far as an audit of this level looks at them.
    Bundle(BundleId, Level, Option<Vec<ReadLeaf>>),
    /// A tile.
    Tile(Tree, TileId, Option<Tile>),
}

/// One entry of a bundle.
#[derive(Debug)]
pub(super) struct ReadLeaf {
    pub(super) hash: Hash,
    pub(super) content: Content,
}

/// What an entry says.
#[derive(Debug)]
pub(super) enum Content {
    /// Nothing that an audit of the tree alone looks at.
    Unread,
    /// It closes a batch.
    Epoch(Result<Epoch, EntryError>),
    /// It stands in a batch.
    Entry(Result<Entry, EntryError>),
}

impl Received {
    /// Reads the bytes that came for `want`, for an audit of this level.
    pub fn of(want: &Want, bytes: &[u8], level: Level) -> Self {
        let read = |entry: &&[u8]| ReadLeaf { hash: leaf_hash(entry), content: Content::of(entry, level) };
        Self(match want {
            Want::Bundle(id) => {
                let entries = bundle::decode(*id, bytes).ok();
                Read::Bundle(*id, level, entries.map(|entries| entries.iter().map(read).collect()))
            }
            Want::Tile(tree, id) => Read::Tile(*tree, *id, Tile::decode(*id, bytes).ok()),
        })
    }
}

impl Content {
    fn of(entry: &[u8], level: Level) -> Self {
        match EntryKind::of(entry) {
            Ok(EntryKind::Epoch) => Self::Epoch(Epoch::decode(entry)),
            Ok(EntryKind::Notice) => Self::Entry(Entry::decode(entry)),
            _ if level == Level::Tree => Self::Unread,
            _ => Self::Entry(Entry::decode(entry)),
        }
    }
}

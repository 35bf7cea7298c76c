//! A log written as files, with a head and its partial tiles at each of many sizes: what stock readers are tried on.

use std::fs;
use std::path::{Path, PathBuf};

use identity::key::SigningKey;
use identity::name::Origin;
use tempfile::TempDir;
use translog::entry::Epoch;
use translog::hash::leaf_hash;
use translog::head::Head;
use translog::note::LogSigner;
use translog::tile::{BundleId, RightTiles, Tile, bundles_for, tiles_for};
use translog::tree::Edge;
use translog::{bundle, hash};

/// The log's name.
pub const ORIGIN: &str = "dgns.test/log";

/// A log in a directory, as any file server would show it.
#[derive(Debug)]
pub struct Export {
    folder: TempDir,
    /// The key that signed its heads.
    pub vkey: String,
    /// Earlier heads, oldest first, as files beside the log.
    pub checkpoints: Vec<PathBuf>,
}

impl Export {
    /// Writes a log with a head, and its partial tiles, at each of `sizes`.
    pub fn write(sizes: &[u64]) -> Self {
        let folder = TempDir::new().expect("temporary directories can be made");
        let (mut edge, mut right) = (Edge::new(), RightTiles::new());
        let (mut entries, mut checkpoints): (Vec<Vec<u8>>, Vec<PathBuf>) = (Vec::new(), Vec::new());
        for &size in sizes {
            let before = edge.size();
            let mut tiles = Vec::new();
            while edge.size() < size - 1 {
                entries.push(opaque_entry(edge.size()));
                let leaf = leaf_hash(&entries[entries.len() - 1]);
                edge.append(leaf);
                tiles.extend(right.append(leaf));
            }
            let (epoch, note) = head(&mut edge);
            tiles.extend(right.append(leaf_hash(&epoch)));
            entries.push(epoch);
            assert_eq!(right.root(), edge.root());
            publish(folder.path(), &tiles, &right, &entries, before);
            put(folder.path(), "checkpoint", note.as_bytes());
            checkpoints.push(folder.path().join(format!("head-{size}")));
            fs::write(&checkpoints[checkpoints.len() - 1], note).expect("the export can be written");
        }
        checkpoints.pop();
        Self { folder, vkey: signer().verifier_key().to_string(), checkpoints }
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Writes what came into being since a log of `before` entries: tiles, and the bundles beside them.
fn publish(folder: &Path, full: &[Tile], right: &RightTiles, entries: &[Vec<u8>], before: u64) {
    let tiles: Vec<Tile> = full.iter().cloned().chain(right.partials()).collect();
    for tile in &tiles {
        put(folder, &tile.id().to_string(), &tile.encode());
    }
    let named = tiles_for(before, right.size());
    assert!(named.into_iter().all(|id| tiles.iter().any(|tile| tile.id() == id)), "no tile is left out");
    for id in bundles_for(before, right.size()) {
        let first = id.first_entry() as usize;
        let bytes = bundle::encode(entries[first..first + usize::from(id.width())].iter().map(Vec::as_slice));
        assert_eq!(bundle::decode(id, &bytes).expect("a bundle reads back").len(), usize::from(id.width()));
        put(folder, &BundleId::to_string(&id), &bytes);
    }
}

/// Ends a batch: appends an Epoch, signs the head, returns the entry and the note.
pub fn head(edge: &mut Edge) -> (Vec<u8>, String) {
    let covers = edge.size();
    let epoch = Epoch { k: 0, covers, time_ms: 1_700_000_000_000, map_root: [0; 32], history_root: hash::EMPTY_ROOT };
    edge.append(epoch.leaf_hash());
    let head = Head::sign(edge, &epoch, &signer()).expect("the Epoch is the last leaf");
    let note = head
        .note(&Origin::parse(ORIGIN).expect("an origin"), signer().verifier_key(), &[])
        .expect("a note of one line");
    (epoch.encode().to_vec(), note.to_string())
}

fn signer() -> LogSigner {
    LogSigner::new(ORIGIN, SigningKey::from_seed(&[1; 32])).expect("an origin names a key")
}

/// Bytes of type 01 and of many lengths; the tree does not look inside.
fn opaque_entry(index: u64) -> Vec<u8> {
    let length = if index.is_multiple_of(101) { 4_096 } else { 1 + index as usize * 37 % 400 };
    let mut entry = vec![1];
    entry.extend(hash::sha256(&[&index.to_be_bytes()]).iter().cycle().take(length));
    entry
}

fn put(folder: &Path, resource: &str, bytes: &[u8]) {
    let path = folder.join(resource);
    fs::create_dir_all(path.parent().expect("it is below the folder")).expect("the export can be written");
    fs::write(path, bytes).expect("the export can be written");
}

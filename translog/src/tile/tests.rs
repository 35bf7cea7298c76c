//! Tile names, contents and proofs against the tree they cut up.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::hash::{EMPTY_ROOT, Hash};
use crate::subtree::Subtree;
use crate::tree::oracle::{self, Oracle};
use crate::tree::{consistency_plan, inclusion_plan, verify_consistency};

#[test]
fn paths_are_those_of_tlog_tiles() {
    // Goal: each spelling is exact, both ways. Method: the specification's examples and the edges of each number.
    for (id, path) in [
        (TileId::new(0, 0, 256), "tile/0/000"),
        (TileId::new(0, 273, 112), "tile/0/273.p/112"),
        (TileId::new(1, 1, 17), "tile/1/001.p/17"),
        (TileId::new(4, 1_234_067, 256), "tile/4/x001/x234/067"),
        (TileId::new(63, 1_000, 1), "tile/63/x001/000.p/1"),
        (TileId::new(0, SIZE_MAX / 256, 255), "tile/0/x036/x028/x797/x018/x963/967.p/255"),
    ] {
        let id = id.expect("valid");
        assert_eq!(id.to_string(), path);
        assert_eq!(ResourceId::parse(path), Ok(ResourceId::Tile(id)));
    }
    for (id, path) in
        [(BundleId::new(1_067, 12), "tile/entries/x001/067.p/12"), (BundleId::new(0, 256), "tile/entries/000")]
    {
        let id = id.expect("valid");
        assert_eq!(id.to_string(), path);
        assert_eq!(ResourceId::parse(path), Ok(ResourceId::Bundle(id)));
    }
}

#[test]
fn every_other_spelling_is_refused() {
    // Goal: one path, one file. Method: near misses of each rule, with the code each gets.
    for (path, code) in [
        ("", "tile_path"),
        ("tile", "tile_path"),
        ("tile/", "tile_path"),
        ("tile/0", "tile_path"),
        ("tile/0/", "tile_path"),
        ("/tile/0/000", "tile_path"),
        ("tile/0/0", "tile_path"),
        ("tile/0/00", "tile_path"),
        ("tile/0/0000", "tile_path"),
        ("tile/0/x000/005", "tile_path"),
        ("tile/0/x001", "tile_path"),
        ("tile/0/001/000", "tile_path"),
        ("tile/0/x001/x000", "tile_path"),
        ("tile/0/x001//000", "tile_path"),
        ("tile/0/x1/000", "tile_path"),
        ("tile/0/X001/000", "tile_path"),
        ("tile/0/+01", "tile_path"),
        ("tile/0/000/", "tile_path"),
        ("tile/00/000", "tile_path"),
        ("tile/01/000", "tile_path"),
        ("tile/-1/000", "tile_path"),
        ("tile/data/000", "tile_path"),
        ("tile/8/0/000", "tile_path"),
        ("tile/0/000.p", "tile_path"),
        ("tile/0/000.p/", "tile_path"),
        ("tile/0/000.p/01", "tile_path"),
        ("tile/0/000.p/1/", "tile_path"),
        ("tile/0/000.p/1.p/1", "tile_path"),
        ("tile/0/000.p/+1", "tile_path"),
        ("tile/64/000", "tile_level"),
        ("tile/999/000", "tile_level"),
        ("tile/0/000.p/0", "tile_width"),
        ("tile/0/000.p/256", "tile_width"),
        ("tile/0/000.p/9999", "tile_width"),
        ("tile/entries/000.p/256", "tile_width"),
        ("tile/0/x036/x028/x797/x018/x963/968", "tile_index"),
        ("tile/0/x999/x999/x999/x999/x999/x999/x999/999", "tile_index"),
    ] {
        assert_eq!(ResourceId::parse(path).map_err(|error| error.code()), Err(code), "{path}");
    }
    assert_eq!(TileId::new(64, 0, 1), Err(TileError::Level));
    assert_eq!(TileId::new(0, 0, 0), Err(TileError::Width));
    assert_eq!(TileId::new(0, 0, 257), Err(TileError::Width));
    assert_eq!(BundleId::new(u64::MAX, 1), Err(TileError::Index));
}

#[test]
fn a_tree_of_70000_has_the_tiles_the_specification_counts() {
    // Goal: tiles_for names all and only them. Method: tlog-tiles' own example, then growth in two steps.
    let all: Vec<TileId> = tiles_for(0, 70_000).collect();
    assert_eq!(all.len(), 273 + 1 + 1 + 1 + 1);
    let partials: Vec<String> = all.iter().filter(|id| !id.is_full()).map(TileId::to_string).collect();
    assert_eq!(partials, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    let grown: Vec<String> = tiles_for(255, 513).map(|id| id.to_string()).collect();
    assert_eq!(grown, ["tile/0/000", "tile/0/001", "tile/0/002.p/1", "tile/1/000.p/2"]);
    assert_eq!(tiles_for(256, 256).count() + tiles_for(9, 3).count() + tiles_for(0, 0).count(), 0);
    let bundles: Vec<String> = bundles_for(255, 513).map(|id| id.to_string()).collect();
    assert_eq!(bundles, ["tile/entries/000", "tile/entries/001", "tile/entries/002.p/1"]);
    assert_eq!(
        BundleId::of_entry(300, 513).map(|id| (id.tile().to_string(), id.first_entry())),
        Ok(("tile/0/001".into(), 256))
    );
    assert_eq!(BundleId::of_entry(513, 513), Err(TileError::Index));
}

#[test]
fn growth_makes_exactly_the_tiles_of_each_size() {
    // Goal: completed and partial tiles, root and restart. Method: 66,000 leaves, three levels; compare at odd places.
    let leaves = oracle::leaves(66_000);
    let mut oracle = Oracle::new(&leaves);
    let mut edge = RightTiles::new();
    let mut stored = HashMap::new();
    assert_eq!(edge.root(), EMPTY_ROOT);
    for (leaf, size) in leaves.iter().zip(1_u64..) {
        for tile in edge.append(*leaf) {
            assert!(stored.insert(tile.id(), tile).is_none());
        }
        if ![1, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_792, 66_000].contains(&size) {
            continue;
        }
        assert_eq!(edge.root(), oracle.root(0, size as usize), "{size}");
        let partials: Vec<Tile> = edge.partials().collect();
        let named: Vec<TileId> = tiles_for(0, size).collect();
        assert_eq!(named.iter().filter(|id| id.is_full()).count(), stored.len(), "{size}");
        assert_eq!(
            named.into_iter().filter(|id| !id.is_full()).collect::<Vec<_>>(),
            partials.iter().map(Tile::id).collect::<Vec<_>>()
        );
        for tile in stored.values().chain(&partials) {
            check_tile(tile, &mut oracle);
        }
        let mut levels = vec![Vec::new(); 3];
        partials.iter().for_each(|tile| levels[usize::from(tile.id().level())] = tile.hashes().to_vec());
        assert_eq!(RightTiles::from_parts(size, levels.clone()).expect("its own parts").root(), edge.root());
        assert_eq!(RightTiles::from_parts(size + 1, levels), Err(TileError::Bytes));
        check_proofs(size, &edge, &stored, &partials, &mut oracle);
    }
}

/// Holds each hash of a tile, and one inner node, against the definition.
fn check_tile(tile: &Tile, oracle: &mut Oracle<'_>) {
    let (id, height) = (tile.id(), 8 * u32::from(tile.id().level()));
    for (hash, place) in tile.hashes().iter().zip(id.index() * 256..).step_by(if id.level() == 0 { 51 } else { 1 }) {
        assert_eq!(*hash, oracle.root((place << height) as usize, ((place + 1) << height) as usize));
    }
    let node = Node { level: 8 * id.level() + 3, index: id.index() * 32 };
    let covered = (node.index << node.level) as usize..((node.index + 1) << node.level) as usize;
    let expected = if id.width() >= 8 { Ok(oracle.root(covered.start, covered.end)) } else { Err(TileError::Node) };
    assert_eq!(tile.node(node), expected);
    assert_eq!(Tile::decode(id, &tile.encode()), Ok(tile.clone()));
}

/// Proves some leaves by both roads, and some consistencies, from tiles alone.
fn check_proofs(
    size: u64,
    edge: &RightTiles,
    full: &HashMap<TileId, Tile>,
    partials: &[Tile],
    oracle: &mut Oracle<'_>,
) {
    let tile_of = |id: TileId| full.get(&id).or_else(|| partials.iter().find(|tile| tile.id() == id)).ok_or(id);
    let fetch =
        |node| Ok::<Hash, TileId>(tile_of(TileId::of_node(node, size).expect("planned"))?.node(node).expect("held"));
    let stack = Stack::new(edge);
    assert_eq!((stack.size(), stack.root()), (size, edge.root()));
    let step = (size / 23).max(1) as usize;
    for index in (0..size).step_by(step).chain([size - 1]) {
        let path = inclusion_plan(index, size).expect("index < size").fold(fetch).expect("every tile is there");
        assert_eq!(path, oracle.path(index as usize, size as usize), "{index} of {size}");
        let stacked = stack.path(index, |id| Ok::<_, TileId>(Subtree::new(tile_of(id)?.hashes()).expect("a tile")));
        assert_eq!(stacked, Ok(Some(path)), "{index} of {size}");
        let from = index + 1;
        let path = consistency_plan(from, size).expect("from <= size").fold(fetch).expect("every tile is there");
        let old_root = oracle.root(0, from as usize);
        assert_eq!(verify_consistency(from, &old_root, size, &edge.root(), &path), Ok(()), "{from} to {size}");
    }
    assert_eq!(stack.path(size, Err::<Subtree, _>), Ok(None));
}

#[test]
fn a_tile_refuses_bytes_and_nodes_that_are_not_its_own() {
    // Goal: nothing is read past the width. Method: wrong lengths; nodes left, right, above and below.
    let id = TileId::new(1, 2, 5).expect("valid");
    let tile = Tile::decode(id, &[7; 6 * 32]).expect("a wider file serves");
    assert_eq!(tile.hashes().len(), 5);
    for bytes in [0, 31, 4 * 32, 5 * 32 + 1, 257 * 32] {
        assert_eq!(Tile::decode(id, &vec![7; bytes]), Err(TileError::Bytes), "{bytes}");
    }
    assert_eq!(Tile::new(id, vec![[7; 32]; 4]), Err(TileError::Bytes));
    for (level, index) in [(8, 511), (8, 517), (9, 258), (16, 2), (0, 512), (7, 4), (8, u64::MAX), (15, u64::MAX)] {
        assert_eq!(tile.node(Node { level, index }), Err(TileError::Node), "{level} {index}");
    }
    assert_eq!(tile.node(Node { level: 8, index: 516 }), Ok([7; 32]));
    for (level, index, size) in [(0, 5, 5), (3, 0, 7), (63, 0, SIZE_MAX), (0, u64::MAX, SIZE_MAX), (0, 0, u64::MAX)] {
        assert_eq!(TileId::of_node(Node { level, index }, size), Err(TileError::Node), "{level} {index} {size}");
    }
    assert_eq!(
        TileId::of_node(Node { level: 62, index: 0 }, SIZE_MAX).map(|id| (id.level(), id.width())),
        Ok((7, 127))
    );
}

#[test]
fn each_tile_error_has_its_code() {
    // Goal: the codes are pinned. Method: all of them.
    use TileError::*;
    let codes = [Path, Level, Index, Width, Bytes, Node].map(|error| error.code());
    assert_eq!(codes, ["tile_path", "tile_level", "tile_index", "tile_width", "tile_bytes", "tile_node"]);
}

proptest! {
    #[test]
    fn every_tile_path_reads_back(level in 0_u8..=63, index in 0..=SIZE_MAX / 256, width in 1_u16..=256) {
        // Goal: writing and parsing are inverse. Method: random ids.
        let tile = ResourceId::Tile(TileId::new(level, index, width).expect("valid"));
        prop_assert_eq!(ResourceId::parse(&tile.to_string()), Ok(tile));
        let bundle = ResourceId::Bundle(BundleId::new(index, width).expect("valid"));
        prop_assert_eq!(ResourceId::parse(&bundle.to_string()), Ok(bundle));
    }

    #[test]
    fn a_path_that_parses_is_the_only_one(path in "tile/(entries|[0-9]{1,3})/(x[0-9]{3}/){0,3}[0-9]{2,4}(\\.p/[0-9]{1,4})?") {
        // Goal: no two paths name one tile. Method: near-valid strings; whatever parses is written the same way.
        if let Ok(id) = ResourceId::parse(&path) {
            prop_assert_eq!(id.to_string(), path);
        }
    }

    #[test]
    fn parse_never_panics(path in ".{0,60}") {
        // Goal: any path is an answer. Method: random text.
        let _ = ResourceId::parse(&path);
    }
}

#[test]
fn every_node_of_a_full_tile_stands_in_its_place() {
    let hashes: Vec<_> = (0..256_u64).map(|at| identity::hash::sha256(&[&at.to_be_bytes()])).collect();
    let tile = Tile::new(TileId::new(1, 3, 256).unwrap(), hashes).unwrap();
    let nodes = tile.nodes();
    assert_eq!(nodes.len(), 510);
    for height in 0..8_u8 {
        for index in 0..256_u64 >> height {
            let node = Node { level: 8 + height, index: ((3 * 256) >> height) + index };
            assert_eq!(tile.node(node), Ok(nodes[Tile::place_of(height, index)]), "{node:?}");
        }
    }
}

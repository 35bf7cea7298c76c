//! Tiles, their paths, and proofs made of them, by `tlog_tiles`.

use std::fs;

use dgns_tests::harness::Site;
use dgns_tests::harness::export::Export;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint, Error, Hash, Tile, TileHashReader, TileReader, check_record, check_tree, prove_record, prove_tree,
    record_hash,
};
use translog::tile::{BundleId, TileId, tiles_for};
use translog::tree::{verify_consistency, verify_inclusion};

#[test]
fn paths_of_tiles_are_those_of_tlog_tiles() {
    // Goal: the same files have the same names, and the same ones are written as a log grows. Method: numbers at each length,
    // full and partial; sizes about tile edges. The crate names the height of tiles too, as C2SP no longer does.
    for index in [0, 1, 5, 255, 999, 1_000, 67, 1_234_067, 999_999_999, 1 << 50] {
        for width in [1, 12, 255, 256] {
            for level in [0, 1, 2, 7] {
                let ours = TileId::new(level, index, width);
                let theirs = Tile::new(8, level, index, u32::from(width), false);
                let Ok(ours) = ours else { continue };
                assert_eq!(ours.to_string(), path_of(&theirs));
                assert_eq!(Tile::from_path(&theirs.path()).unwrap(), theirs);
            }
            let theirs = path_of(&Tile::new(8, 0, index, u32::from(width), true));
            assert_eq!(BundleId::new(index, width).unwrap().to_string(), theirs);
        }
    }
    let sizes = [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 66_000, 131_072];
    for (old, new) in sizes.iter().flat_map(|old| sizes.iter().map(move |new| (*old, *new))).filter(|(a, b)| a < b) {
        let sorted = |mut paths: Vec<String>| {
            paths.sort();
            paths
        };
        let ours = sorted(tiles_for(old, new).map(|id| id.to_string()).collect());
        let theirs = sorted(Tile::new_tiles(8, old, new).iter().map(path_of).collect());
        assert_eq!(ours, theirs, "{old} to {new}");
    }
}

#[test]
fn tlog_tiles_proves_every_entry_and_head_of_an_export() {
    // Goal: files are enough for a stock reader. Method: it proves each entry and each pair of heads from authenticated tiles;
    // its proofs hold for us. A changed tile it refuses.
    let log = Export::write(&[1, 2, 3, 10, 255, 256, 257, 512, 513, 600]);
    let read = |path: &str| fs::read(log.path().join(path)).ok();
    let head = open(&read("checkpoint").unwrap(), &log.vkey);
    let tiles = Files(&read);
    let entries = every_entry_is_proved(&head, &tiles);
    let earlier: Vec<_> = log.checkpoints.iter().map(|file| open(&fs::read(file).unwrap(), &log.vkey)).collect();
    let heads: Vec<&Checkpoint> = earlier.iter().chain([&head]).collect();
    for (at, new) in heads.iter().enumerate() {
        let reader = TileHashReader::new(new.size(), *new.hash(), &tiles);
        for old in &heads[..at] {
            let proof = prove_tree(new.size(), old.size(), &reader).unwrap();
            check_tree(&proof, new.size(), *new.hash(), old.size(), *old.hash()).unwrap();
            let path: Vec<[u8; 32]> = proof.iter().map(|hash| hash.0).collect();
            verify_consistency(old.size(), &old.hash().0, new.size(), &new.hash().0, &path).unwrap();
        }
    }
    for (file, index) in [("tile/0/000", 0), ("tile/0/002.p/88", 512), ("tile/1/000.p/2", 0)] {
        let bend =
            |path: &str| read(path).map(|bytes| bytes.iter().map(|byte| byte ^ u8::from(path == file)).collect());
        let bent = Files(&bend);
        let reader = TileHashReader::new(head.size(), *head.hash(), &bent);
        let proved = prove_record(head.size(), index, &reader).and_then(|proof| {
            check_record(&proof, head.size(), *head.hash(), index, record_hash(&entries[index as usize]))
        });
        assert!(proved.is_err(), "{file}");
    }
}

#[test]
fn tlog_tiles_reads_a_live_log_and_checks_the_proofs_it_serves() {
    // Goal: the same over HTTP, and the server's own proofs hold for the crate. Method: a log beyond one full tile.
    let site = Site::new();
    let server = site.start();
    let first = open(&server.get("/log/checkpoint").body, server.vkey());
    super::fill(&server);
    let head = open(&server.get("/log/checkpoint").body, server.vkey());
    assert!(head.size() > 256, "{}", head.size());
    let read = |path: &str| {
        let answer = server.get(&format!("/log/{path}"));
        (answer.status == 200).then_some(answer.body)
    };
    let tiles = Files(&read);
    let entries = every_entry_is_proved(&head, &tiles);
    let served = |query: String| -> Vec<Hash> {
        let answer = server.get(&format!("/v1/log/proof?{query}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.body.as_chunks::<32>().0.iter().map(|hash| Hash(*hash)).collect()
    };
    let size = head.size();
    for index in [0, 1, 2, 100, 255, 256, size - 1] {
        let proof = served(format!("index={index}&size={size}"));
        check_record(&proof, size, *head.hash(), index, record_hash(&entries[index as usize])).unwrap();
    }
    let proof = served(format!("from={}&to={size}", first.size()));
    check_tree(&proof, size, *head.hash(), first.size(), *first.hash()).unwrap();
    let reader = TileHashReader::new(size, *head.hash(), &tiles);
    assert_eq!(proof, prove_tree(size, first.size(), &reader).unwrap());
}

/// Reads all entries from bundles and proves each by the crate; returns them.
fn every_entry_is_proved(head: &Checkpoint, tiles: &Files<'_>) -> Vec<Vec<u8>> {
    let reader = TileHashReader::new(head.size(), *head.hash(), tiles);
    let entries: Vec<Vec<u8>> = (0..head.size().div_ceil(256)).flat_map(|n| bundle(head.size(), n, tiles)).collect();
    assert_eq!(entries.len() as u64, head.size());
    for (index, entry) in (0..).zip(&entries) {
        let proof = prove_record(head.size(), index, &reader).unwrap();
        check_record(&proof, head.size(), *head.hash(), index, record_hash(entry)).unwrap();
        let path: Vec<[u8; 32]> = proof.iter().map(|hash| hash.0).collect();
        verify_inclusion(&record_hash(entry).0, index, head.size(), &path, &head.hash().0).unwrap();
    }
    entries
}

/// The entries of bundle `n`: each a u16 length and its bytes.
fn bundle(size: u64, n: u64, tiles: &Files<'_>) -> Vec<Vec<u8>> {
    let tile = Tile::new(8, 0, n, (size - n * 256).min(256) as u32, true);
    let bytes = tiles.0(&path_of(&tile)).unwrap();
    let (mut rest, mut entries) = (&bytes[..], Vec::new());
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let (entry, behind) = behind.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        rest = behind;
    }
    entries
}

/// Opens a head by the crates alone.
fn open(note: &[u8], vkey: &str) -> Checkpoint {
    let note = Note::from_bytes(note).unwrap();
    note.verify(&VerifierList::new(vec![Box::new(StandardVerifier::new(vkey).unwrap())])).unwrap();
    Checkpoint::from_bytes(note.text()).unwrap()
}

/// A tile's path by C2SP tlog-tiles: the crate's, without the height, and bundles under their new name.
fn path_of(tile: &Tile) -> String {
    let path = tile.path();
    let behind = path.strip_prefix("tile/8/").unwrap();
    format!("tile/{}", behind.replace("data/", "entries/"))
}

/// Tiles from wherever files come from.
struct Files<'a>(&'a dyn Fn(&str) -> Option<Vec<u8>>);

impl TileReader for Files<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        tiles.iter().map(|tile| (self.0)(&path_of(tile)).ok_or(Error::InvalidTile)).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

//! A server that serves other bytes than it signed. The log is one that a real server made; its files are copied, one thing in
//! them is changed, and the audit must name where.

use dgns_tests::harness::{Server, Site};
use translog::tile::{BundleId, TileId, tiles_for};

use super::export::{Export, clean, convicted, spread};
use super::people::Someone;

/// How many names the log has; two entries each, and some records.
const NAMES: u64 = 1_000;

/// Names in one post.
const TOGETHER: u64 = 7;

/// Fills a log through the server's front door: many posts, one batch each at least.
fn fill(server: &Server, numbers: std::ops::Range<u64>) {
    let people: Vec<u64> = numbers.collect();
    for group in people.chunks(TOGETHER as usize) {
        let mut certificates = Vec::new();
        for (place, number) in group.iter().enumerate() {
            let (mut someone, mut made) = Someone::new(*number);
            certificates.append(&mut made);
            if place == 0 {
                certificates.push(someone.points_to([10, 0, (number >> 8) as u8, *number as u8]));
            }
        }
        let answer = server.post("/v1/certificates", &dgns_tests::harness::load::body(&certificates));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

fn export() -> Export {
    let site = Site::new();
    let server = site.start();
    fill(&server, 0..NAMES);
    Export::of(&server)
}

#[test]
fn an_export_is_clean_and_every_change_to_it_is_named() {
    // Goal: a static copy audits clean, and one changed thing is found with its place. Method: a log of some 2,300 entries from a
    // real server; each change alone, on a server of files.
    let export = export();
    let size = export.size();
    assert!(size > 2 * NAMES, "{size}");
    let epochs = export.epochs();
    assert!(epochs.len() as u64 > NAMES / TOGETHER, "{} batches", epochs.len());
    for level in ["tree", "map", "full"] {
        let report = clean(&export, level);
        assert_eq!((report["size"].as_u64(), report["epochs"].as_u64()), (Some(size), Some(epochs.len() as u64)));
    }

    changed_entries(&export);
    changed_tiles(&export);
    changed_order(&export);
    changed_epoch(&export);
}

/// One byte of an entry: in its signature, its payload, its length; with its tile or without.
fn changed_entries(export: &Export) {
    let entries = export.entries();
    let certificate = |near: u64| (near..).find(|index| entries[*index as usize][0] == 1).unwrap();
    for index in spread(4, entries.len() - 20).map(|near| certificate(near as u64)) {
        let level = if index % 2 == 0 { "full" } else { "tree" };
        let last = entries[index as usize].len() - 1;
        let altered = export.clone().with_entry(index, |entry| entry[last] ^= 1);
        let tile = BundleId::of_entry(index, export.size()).unwrap().tile();
        convicted(&altered, level, "tile", &format!("{tile} differs from the entries at hash {index} "));
        // With its leaf hash in the tile the bundle looks whole: the hash of the level above is another.
        let covered = altered.with_leaf_of(index);
        match tile.is_full() {
            true => convicted(
                &covered,
                "tree",
                "tile",
                &format!("{} differs from the entries at hash {} ", export.partial(1), index / 256),
            ),
            false => convicted(&covered, "tree", "root", &format!("the signed root of {} leaves", export.size())),
        }
    }
    let index = certificate(300);
    let altered = export.clone().with_entry(index, |entry| entry[20] ^= 1);
    convicted(&altered, "tree", "tile", &format!("at hash {index} "));
    let mut longer = export.clone();
    longer.files.get_mut("tile/entries/002").unwrap().push(0);
    convicted(&longer, "full", "bundle", "tile/entries/002 is not a bundle of its width");
    let framed = export.clone().with_bit("tile/entries/001", 0);
    convicted(&framed, "full", "bundle", "tile/entries/001 is not a bundle of its width");
}

/// One byte of a tile of each kind: full and partial, lowest and upper level, log and history.
fn changed_tiles(export: &Export) {
    let epochs = export.epochs().len() as u64;
    let log: Vec<TileId> = tiles_for(0, export.size()).collect();
    let full = log.iter().find(|id| id.is_full() && id.index() == 3).unwrap();
    let history = tiles_for(0, epochs).next().unwrap();
    for (prefix, id) in [("", *full), ("", export.partial(0)), ("", export.partial(1)), ("history/", history)] {
        for place in spread(3, usize::from(id.width())) {
            let path = format!("{prefix}{id}");
            let altered = export.clone().with_bit(&path, place * 32 + place % 32);
            let hash = id.index() * 256 + place as u64;
            convicted(&altered, "tree", "tile", &format!("{path} differs from the entries at hash {hash} "));
        }
    }
    let mut cut = export.clone();
    cut.files.get_mut(&full.to_string()).unwrap().truncate(255 * 32);
    convicted(&cut, "tree", "tile", &format!("{full} differs from the entries"));
}

/// Two entries in each other's place, and one left out.
fn changed_order(export: &Export) {
    let entries = export.entries();
    let index = (600..).find(|at| entries[*at as usize][0] == 1 && entries[*at as usize + 1][0] == 1).unwrap();
    let (one, other) = (entries[index as usize].clone(), entries[index as usize + 1].clone());
    let swapped = export.clone().with_entry(index, |entry| *entry = other).with_entry(index + 1, |entry| *entry = one);
    convicted(&swapped, "tree", "tile", &format!("at hash {index} "));
    convicted(&swapped, "full", "tile", &format!("at hash {index} "));

    let mut dropped = export.clone();
    let id = BundleId::new(4, 256).unwrap();
    let mut rest = entries[1_024..1_280].to_vec();
    rest.remove(10);
    dropped.put_bundle(id, &rest);
    convicted(&dropped, "tree", "bundle", "tile/entries/004 is not a bundle of its width");
    // Closed by the first entry of the next bundle, it has the right width.
    rest.push(entries[1_280].clone());
    dropped.put_bundle(id, &rest);
    convicted(&dropped, "tree", "tile", "tile/0/004 differs from the entries at hash 1034 ");
}

/// One field of an Epoch.
fn changed_epoch(export: &Export) {
    let epochs = export.epochs();
    let k = epochs.len() / 2;
    let index = epochs[k];
    for (at, field) in [(8, "k"), (16, "covers"), (17, "time_ms"), (30, "map_root"), (88, "history_root")] {
        let altered = export.clone().with_entry(index, |entry| entry[at] ^= 1);
        // The tile knows the honest entry; with its hash in the tile, the rule that the field breaks names it.
        convicted(&altered, "full", "tile", &format!("at hash {index} "));
        let covered = altered.with_leaf_of(index);
        match field {
            // A later time is no fault by itself, but the next Epoch's is earlier then.
            "time_ms" => convicted(
                &covered,
                "tree",
                "epoch",
                &format!("Epoch {} at entry {} has a wrong time_ms", k + 1, epochs[k + 1]),
            ),
            "map_root" => convicted(&covered, "map", "map_root", &format!("Epoch {k} at entry {index}")),
            _ => convicted(&covered, "full", "epoch", &format!("at entry {index} has a wrong {field}")),
        }
    }
}

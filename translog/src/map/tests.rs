use std::collections::BTreeMap;

use identity::hash::sha256;
use proptest::prelude::*;

use super::arena::{bit, leaf_hash, parent_hash};
use super::*;

/// The definition of PROTOCOL 10.3, word by word: what the two fast ways are held to.
fn root_by_definition(rows: &[(Hash, Hash)], depth: usize) -> Hash {
    match rows {
        [] => EMPTY,
        [(label, commitment)] => leaf_hash(label, commitment),
        _ => {
            let (right, left): (Vec<_>, Vec<_>) = rows.iter().partition(|(label, _)| bit(label, depth));
            parent_hash(&root_by_definition(&left, depth + 1), &root_by_definition(&right, depth + 1))
        }
    }
}

/// A label that begins with `zeros` zero bytes, so that labels meet deep in the tree.
fn label_at(zeros: usize, seed: u16) -> Hash {
    let mut label = sha256(&[&seed.to_be_bytes()]);
    label[..zeros].fill(0);
    label
}

fn updates() -> impl Strategy<Value = Vec<(Hash, Hash)>> {
    let update = (prop_oneof![Just(0_usize), Just(0), 0..30_usize], 0..400_u16, any::<[u8; 32]>());
    prop::collection::vec(update.prop_map(|(zeros, seed, commitment)| (label_at(zeros, seed), commitment)), 0..120)
}

fn map_in_batches(updates: &[(Hash, Hash)], batch: usize) -> Map {
    let mut map = Map::new();
    for updates in updates.chunks(batch.max(1)) {
        let delta = map.prepare(updates);
        let (root, len) = (delta.root(), delta.len());
        map.apply(delta).unwrap();
        assert_eq!((map.root(), map.len()), (root, len));
    }
    map
}

proptest! {
    #[test]
    fn a_change_that_grew_is_the_changes_one_after_another(updates in updates(), batch in 1..50_usize, cut in 0..120_usize) {
        // Goal: several changes prepared on top of each other give every root on the way, and leave no node behind. Method:
        // a map of the first updates; the rest once applied one by one, once grown into one change; then both go on.
        let (first, rest) = updates.split_at(cut.min(updates.len()));
        let mut one_by_one = map_in_batches(first, 7);
        let mut grown = one_by_one.clone();
        let mut delta = grown.prepare(&[]);
        for updates in rest.chunks(batch) {
            one_by_one = { let mut map = one_by_one; let step = map.prepare(updates); map.apply(step).unwrap(); map };
            delta = grown.prepare_after(delta, updates).unwrap();
            prop_assert_eq!((delta.root(), delta.len()), (one_by_one.root(), one_by_one.len()));
        }
        if let Some((label, commitment)) = rest.last() {
            let proof = grown.prove_after(&delta, &[*label]).unwrap();
            prop_assert_eq!(proof.verify(&[(*label, Some(*commitment))], &delta.root()), Ok(()));
        }
        grown.apply(delta).unwrap();
        let used = |map: &Map| (
            map.arena.nodes.inner.len() - map.arena.free_inner.len(),
            map.arena.nodes.leaves.len() - map.arena.free_leaves.len(),
        );
        prop_assert_eq!(used(&grown), used(&one_by_one), "nodes in use");
        for map in [&mut grown, &mut one_by_one] {
            let last = map.prepare(&updates);
            map.apply(last).unwrap();
        }
        prop_assert_eq!((grown.root(), used(&grown)), (one_by_one.root(), used(&one_by_one)));
    }

    #[test]
    fn three_ways_to_build_a_map_give_one_root(updates in updates(), batch in 1..50_usize, cut in 0..120_usize) {
        // Goal: arena updates in any order and batching, the bottom-up build and the definition agree. Method: random
        // labels, some meeting 240 bits deep, some set twice; a reference map in a BTreeMap.
        let rows: BTreeMap<Hash, Hash> = updates.iter().copied().collect();
        let rows: Vec<_> = rows.into_iter().collect();
        let map = map_in_batches(&updates, batch);
        prop_assert_eq!(map.root(), root_by_definition(&rows, 0));
        prop_assert_eq!(map.len(), rows.len());

        let mut turned = rows.clone();
        turned.rotate_left(cut.min(rows.len()));
        prop_assert_eq!(map_in_batches(&turned, batch).root(), map.root());

        let mut built = Map::from_sorted(rows.iter().copied()).unwrap();
        prop_assert_eq!(built.root(), map.root());
        let delta = built.prepare(&[(label_at(1, 7), [9; 32])]);
        built.apply(delta).unwrap();
        prop_assert_eq!(built.get(&label_at(1, 7)), Some([9; 32]));
        for (label, commitment) in rows.iter().filter(|(label, _)| *label != label_at(1, 7)) {
            prop_assert_eq!(built.get(label), Some(*commitment));
        }
    }

    #[test]
    fn every_answer_has_one_proof_and_it_holds(updates in updates(), asked in prop::collection::vec((0..30_usize, 0..500_u16), 1..5)) {
        // Goal: proofs of 1 to 4 labels, present or absent, verify, survive their bytes, and prove nothing else.
        let map = map_in_batches(&updates, 17);
        let mut labels: Vec<Hash> = asked.iter().enumerate().map(|(n, (zeros, seed))| match updates.get(*seed as usize) {
            Some((label, _)) if n % 2 == 0 => *label,
            _ => label_at(*zeros, *seed),
        }).collect();
        labels.sort();
        labels.dedup();
        let turn = asked[0].0 % labels.len();
        labels.rotate_left(turn);
        let claims: Vec<_> = labels.iter().map(|label| (*label, map.get(label))).collect();
        let proof = map.prove(&labels).unwrap();
        prop_assert_eq!(proof.verify(&claims, &map.root()), Ok(()));
        prop_assert!(proof.presence().eq(claims.iter().map(|(_, commitment)| commitment.is_some())));

        let bytes = proof.encode();
        prop_assert_eq!(MapProof::decode(&bytes, labels.len()), Ok(proof.clone()));
        for (at, (_, commitment)) in claims.iter().enumerate() {
            let mut lie = claims.clone();
            lie[at].1 = if commitment.is_some() { None } else { Some([1; 32]) };
            prop_assert_eq!(proof.verify(&lie, &map.root()), Err(MapProofError::Presence));
        }
    }

    #[test]
    fn a_change_can_be_proved_before_it_is_applied(updates in updates(), more in updates()) {
        // Goal: prove_after equals prove after apply, and meanwhile the old root stays provable.
        let mut map = map_in_batches(&updates, 40);
        let delta = map.prepare(&more);
        let old_root = map.root();
        let labels: Vec<Hash> = more.iter().map(|(label, _)| *label).chain([label_at(0, 9_999)]).take(1).collect();
        let before: Vec<_> = labels.iter().map(|label| (*label, map.get(label))).collect();
        let early = map.prove_after(&delta, &labels).unwrap();
        prop_assert_eq!(map.prove(&labels).unwrap().verify(&before, &old_root), Ok(()));
        map.apply(delta).unwrap();
        prop_assert_eq!(early, map.prove(&labels).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn kept_roots_stay_readable_and_release_what_they_held(steps in prop::collection::vec((updates(), 0..4_u8), 1..12)) {
        // Goal: at every kept root, and the newest, the map answers and proves as one built from scratch of what it held then;
        // what is kept is exactly what the kept roots reach beside the newest. Method: random changes, some before or after
        // which a root is kept, or the oldest, or the newest kept one, released; references in BTreeMaps.
        let mut map = Map::new();
        let mut rows: BTreeMap<Hash, Hash> = BTreeMap::new();
        let mut kept: Vec<(KeptRoot, BTreeMap<Hash, Hash>)> = Vec::new();
        for (updates, act) in steps {
            match act {
                1 | 2 => kept.push((map.keep_root(), rows.clone())),
                3 if !kept.is_empty() => map.release_root(kept.remove(0).0),
                _ => {}
            }
            map.apply(map.prepare(&updates)).unwrap();
            rows.extend(updates.iter().copied());
            if act == 2 && kept.len() > 1 {
                map.release_root(kept.pop().unwrap().0);
            }
            check_at(&map.newest(), &rows);
            kept.iter().for_each(|(root, rows)| check_at(&map.at(root), rows));
            prop_assert_eq!(map.kept_nodes(), places(&map) - reached(&map, &[]));
            prop_assert_eq!(places(&map), reached(&map, &kept.iter().map(|(root, _)| root).collect::<Vec<_>>()));
        }
        for (root, _) in kept {
            map.release_root(root);
        }
        prop_assert_eq!((map.kept_nodes(), places(&map)), (0, reached(&map, &[])));
    }
}

/// The map at this root is the one that `rows` make.
fn check_at(map: &MapAt<'_>, rows: &BTreeMap<Hash, Hash>) {
    let scratch = Map::from_sorted(rows.iter().map(|(label, commitment)| (*label, *commitment))).unwrap();
    assert_eq!(map.root(), scratch.root());
    for label in rows.keys().copied().take(20).chain([label_at(0, 9_999), label_at(3, 9_998)]) {
        assert_eq!(map.get(&label), rows.get(&label).copied());
        assert_eq!(map.prove(&[label]).unwrap(), scratch.prove(&[label]).unwrap());
    }
}

/// The places of the arena that are in use.
fn places(map: &Map) -> usize {
    let Map { arena, .. } = map;
    arena.nodes.inner.len() + arena.nodes.leaves.len() - arena.free_inner.len() - arena.free_leaves.len()
}

/// The nodes that the newest root and these reach.
fn reached(map: &Map, kept: &[&KeptRoot]) -> usize {
    let mut seen = std::collections::BTreeSet::new();
    let mut open: Vec<arena::Link> = kept.iter().map(|root| map.at(root).root).chain([map.root]).collect();
    while let Some(link) = open.pop() {
        if link.is_empty() || !seen.insert((link.is_leaf(), link.position())) {
            continue;
        }
        if let arena::Target::Inner(node) = map.tree().at(link) {
            open.extend([node.left, node.right]);
        }
    }
    seen.len()
}

#[test]
fn any_flipped_bit_of_a_proof_is_refused() {
    // Goal: a proof has one encoding and proves one thing. Method: flip each bit of proofs of every kind.
    let updates: Vec<_> =
        (0..60).map(|n| (label_at(usize::from(n % 3), n), sha256(&[b"c", &n.to_be_bytes()]))).collect();
    let map = map_in_batches(&updates, 60);
    let empty_child = (0..).map(|n| label_at(5, n)).find(|label| {
        let bytes = map.prove(&[*label]).unwrap().encode();
        bytes[0] == 3
    });
    let asked: [Vec<Hash>; 5] = [
        vec![updates[0].0],
        vec![label_at(0, 9_000)],
        vec![empty_child.unwrap()],
        vec![updates[1].0, updates[2].0],
        vec![updates[4].0, label_at(2, 9_000), updates[5].0, label_at(2, 9_001)],
    ];
    for labels in asked {
        let claims: Vec<_> = labels.iter().map(|label| (*label, map.get(label))).collect();
        let bytes = map.prove(&labels).unwrap().encode();
        let holds = |bytes: &[u8]| {
            MapProof::decode(bytes, labels.len()).and_then(|proof| proof.verify(&claims, &map.root())).is_ok()
        };
        assert!(holds(&bytes));
        for at in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[at / 8] ^= 1 << (at % 8);
            assert!(!holds(&bent), "bit {at}");
        }
        for cut in 0..bytes.len() {
            assert!(!holds(&bytes[..cut]));
        }
        assert!(!holds(&[&bytes[..], &[0]].concat()));
        assert!(!holds(&[&bytes[..], &[7; 32]].concat()));
    }
}

#[test]
fn the_smallest_maps_are_as_written() {
    // Goal: zero and one label, and a single-child chain, hash as PROTOCOL 10.3 shows them.
    let mut map = Map::new();
    assert_eq!(map.root(), EMPTY);
    assert_eq!(map.prove(&[[5; 32]]).unwrap().encode(), [3, 0]);
    assert_eq!(map.prove(&[[5; 32]]).unwrap().verify(&[([5; 32], None)], &EMPTY), Ok(()));

    let (a, b) = ([0x80; 32], [0xa0; 32]);
    map.apply(map.prepare(&[(a, [1; 32])])).unwrap();
    assert_eq!(map.root(), leaf_hash(&a, &[1; 32]));
    assert_eq!(map.prove(&[a]).unwrap().encode(), [1, 0]);
    map.apply(map.prepare(&[(b, [2; 32])])).unwrap();
    let pair = parent_hash(&leaf_hash(&a, &[1; 32]), &leaf_hash(&b, &[2; 32]));
    assert_eq!(map.root(), parent_hash(&EMPTY, &parent_hash(&pair, &EMPTY)));
    assert_eq!(map.prove(&[b]).unwrap().encode(), [&[1, 3, 0b0010_0000][..], &leaf_hash(&a, &[1; 32])].concat());
    assert_eq!(map.prove(&[b, a]).unwrap().encode(), [1, 3, 0b0010_0000, 1, 3, 0b0010_0000]);
}

#[test]
fn misuse_is_named() {
    let mut map = Map::from_sorted([([1; 32], [0; 32]), ([2; 32], [0; 32])]).unwrap();
    assert_eq!(map.prove(&[]), Err(ProveError::Labels));
    assert_eq!(map.prove(&[[1; 32], [1; 32]]), Err(ProveError::Labels));
    assert_eq!(map.prove(&[[1; 32], [2; 32], [3; 32], [4; 32], [5; 32]]), Err(ProveError::Labels));
    assert_eq!(Map::from_sorted([([2; 32], [0; 32]), ([2; 32], [0; 32])]).err(), Some(NotSorted { at: 1 }));
    assert_eq!(Map::from_sorted([([2; 32], [0; 32]), ([1; 32], [0; 32])]).err(), Some(NotSorted { at: 1 }));

    let (first, second) = (map.prepare(&[([3; 32], [1; 32])]), map.prepare(&[([4; 32], [1; 32])]));
    map.apply(first).unwrap();
    assert_eq!(map.prove_after(&second, &[[4; 32]]), Err(ProveError::Stale));
    assert_eq!(map.apply(second), Err(StaleDelta));
    assert_eq!(map.get(&[4; 32]), None);

    let mut neighbour = [3; 32];
    neighbour[31] ^= 1;
    map.apply(map.prepare(&[(neighbour, [1; 32])])).unwrap();
    assert_eq!(map.get(&neighbour), Some([1; 32]));
    assert_eq!(map.prove(&[neighbour]), Err(ProveError::TooDeep));
}

#[test]
fn replaced_nodes_are_used_again() {
    // Goal: a map that changes for ever does not grow. Method: update the same labels many times; count the places.
    let rows: Vec<_> = (0..500).map(|n| (label_at(0, n), [0; 32])).collect();
    let mut map = map_in_batches(&rows, 500);
    for round in 0..50 {
        let changed: Vec<_> =
            rows.iter().skip(round).step_by(7).map(|(label, _)| (*label, [round as u8; 32])).collect();
        map.apply(map.prepare(&changed)).unwrap();
    }
    let live_inner = map.arena.nodes.inner.len() - map.arena.free_inner.len();
    assert_eq!(map.arena.nodes.leaves.len() - map.arena.free_leaves.len(), 500);
    assert!(live_inner < 500 * 2 && map.arena.nodes.inner.len() < 500 * 3, "{} places", map.arena.nodes.inner.len());
    assert_eq!((size_of::<arena::Inner>(), size_of::<arena::Leaf>()), (40, 64));
}

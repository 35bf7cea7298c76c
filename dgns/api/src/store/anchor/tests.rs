//! The operator can neither take a head back, nor anchor two, nor leave one out.

use super::*;

fn grown(tree: &mut AnchorTree, newer: &[(u8, u64, u8)]) -> Changes {
    let changes = tree.next(newer.iter().map(|(label, size, root)| ([*label; 32], *size, [*root; 32])));
    tree.apply(&changes).unwrap();
    changes
}

#[test]
fn what_one_side_makes_the_other_recomputes() {
    let (mut made, mut audited) = (AnchorTree::default(), AnchorTree::default());
    for newer in [&[(1, 4, 7), (2, 1, 8)][..], &[(2, 5, 9), (3, 1, 1)], &[(1, 6, 2)]] {
        let changes = grown(&mut made, newer);
        assert_eq!(Changes::decode(&changes.encode()).as_ref(), Ok(&changes));
        assert_eq!(audited.apply(&changes), Ok(()));
        assert_eq!((audited.newest(), audited.map().root()), (made.newest(), made.map().root()));
    }
    assert_eq!(made.newest().map(|anchor| (anchor.k, anchor.logs)), Some((3, 3)));
    assert!(made.next([([1; 32], 6, [9; 32]), ([2; 32], 4, [9; 32])]).heads.is_empty(), "nothing that did not grow");
    let kept: Vec<_> = [1, 2, 3].iter().map(|label| ([*label; 32], *made.head(&[*label; 32]).unwrap())).collect();
    let again = AnchorTree::of_anchor(made.newest().cloned(), kept.clone()).unwrap();
    assert_eq!((again.map().root(), again.k()), (made.map().root(), 3));
    let fewer = AnchorTree::of_anchor(made.newest().cloned(), kept[1..].to_vec());
    assert_eq!(fewer.map(drop), Err(AnchorFault::Root { k: 3 }));
}

#[test]
fn a_head_that_goes_back_or_aside_is_a_fault() {
    // Goal: each lie has its code and changes nothing. Method: the third anchor, bent, before an auditor of two.
    let mut tree = AnchorTree::default();
    grown(&mut tree, &[(1, 4, 7), (2, 1, 8)]);
    grown(&mut tree, &[(1, 5, 9)]);
    let good = tree.next([([1; 32], 6, [3; 32])]);
    let bent = |bend: &dyn Fn(&mut Changes)| {
        let mut changes = good.clone();
        bend(&mut changes);
        changes
    };
    let cases = [
        ("anchor_chain", bent(&|changes| changes.anchor.k = 4)),
        ("anchor_chain", bent(&|changes| changes.anchor.prev = Some([0; 32]))),
        ("anchor_chain", bent(&|changes| changes.anchor.logs = 1)),
        ("anchor_head", bent(&|changes| changes.heads[0].1.size = 5)),
        ("anchor_head", bent(&|changes| changes.heads[0].1.size = 3)),
        ("anchor_head", bent(&|changes| changes.heads[0].1.version = 4)),
        ("anchor_head", bent(&|changes| changes.heads[0].1.prev = Some([1; 32]))),
        ("anchor_head", bent(&|changes| changes.heads[0].1.k = 2)),
        ("anchor_head", bent(&|changes| changes.heads[0].0 = [3; 32])),
        ("anchor_root", bent(&|changes| changes.heads[0].1.root = [4; 32])),
        ("anchor_root", bent(&|changes| changes.heads.clear())),
        ("anchor_root", bent(&|changes| changes.anchor.root = [1; 32])),
        ("anchor_root", bent(&|changes| changes.anchor.logs = 3)),
    ];
    for (number, (code, changes)) in cases.iter().enumerate() {
        assert_eq!(tree.apply(changes).map_err(AnchorFault::code), Err(*code), "case {number}");
    }
    assert_eq!(tree.k(), 2);
    assert_eq!(tree.apply(&good), Ok(()));
    let unsorted = Changes { heads: vec![good.heads[0], good.heads[0]], ..good };
    assert_eq!(Changes::decode(&unsorted.encode()), Err(WireError::NotCanonical));
}

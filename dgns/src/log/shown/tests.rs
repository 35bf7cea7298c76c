use identity::hash::sha256;
use identity::state::{Leaf, State};
use translog::entry::Epoch;
use translog::head::Head;

use super::*;

fn head(size: u64) -> Arc<PublicHead> {
    let epoch = Epoch { k: 0, covers: size - 1, time_ms: 0, map_root: [0; 32], history_root: [0; 32] };
    let head = Head {
        size,
        root: [0; 32],
        log_signature: [0; 64],
        cosignatures: Vec::new(),
        epoch_entry: epoch.encode().to_vec(),
        path: Vec::new(),
    };
    Arc::new(PublicHead { head, note: format!("note {size}"), epoch })
}

fn label(n: u8) -> Hash {
    sha256(&[&[n]])
}

/// A state whose commitment is `[version; 32]`.
fn held(version: u8) -> Arc<Held> {
    let state = State::LogConf { version: u64::from(version), payload: Vec::new() };
    let leaf = Arc::new(Leaf { head_index: 0, head_hash: [0; 32], state });
    Arc::new(Held { commitment: [version; 32], leaf })
}

/// A map of twenty labels at version 1, and what is shown of it, all as a server has it.
struct Log {
    map: Map,
    shown: Shown,
}

impl Log {
    fn new(shown: Shown) -> Self {
        let mut map = Map::new();
        let rows: Vec<_> = (0..20).map(|n| (label(n), [1; 32])).collect();
        map.apply(map.prepare(&rows)).unwrap();
        Self { map, shown }
    }

    /// Takes one label from one version to another, as a batch does.
    fn changes(&mut self, n: u8, from: u8, to: u8) {
        assert_eq!(self.map.get(&label(n)), Some([from; 32]));
        self.shown.keep_states(&self.map, [(label(n), held(from))]);
        self.map.apply(self.map.prepare(&[(label(n), [to; 32])])).unwrap();
        self.shown.bound(&mut self.map);
    }

    fn announces(&mut self, size: u64) {
        self.shown.announce(&head(size), &mut self.map);
    }

    fn witnessed(&mut self, size: u64) -> bool {
        self.shown.witnessed(PublicHead::clone(&head(size)), 7, &mut self.map)
    }

    /// What lookups under the public head find of a label: what its map says, and whether the state is kept.
    fn public(&self, n: u8) -> (Option<Hash>, bool) {
        let (_, root) = self.shown.public().unwrap();
        let commitment = self.map.at(root).get(&label(n)).unwrap();
        (Some(commitment), self.shown.replaced(&label(n), &commitment).is_some())
    }
}

#[test]
fn under_quorum_none_nothing_is_kept() {
    let mut log = Log::new(Shown::newest());
    log.announces(3);
    (1..10).for_each(|version| log.changes(0, version, version + 1));
    assert_eq!((log.map.kept_nodes(), log.shown.standing()), (0, Standing::Newest));
    assert!(log.shown.replaced(&label(0), &[1; 32]).is_none() && !log.witnessed(3));
}

#[test]
fn what_the_public_head_needs_stays_until_the_next_has_its_quorum() {
    // Goal: the first replaced state of a label is kept and no later one, over announcements that fail and one that does not.
    let mut log = Log::new(Shown::pending(None, KeepLimits::DEFAULT));
    assert_eq!(log.shown.standing(), Standing::Pending);
    log.changes(0, 1, 2);
    assert!(log.shown.replaced(&label(0), &[1; 32]).is_none(), "no head needs it");
    log.announces(3);
    assert!(log.witnessed(3));
    log.changes(0, 2, 3);
    log.changes(0, 3, 4);
    assert_eq!(log.public(0), (Some([2; 32]), true));
    assert!(log.shown.replaced(&label(0), &[3; 32]).is_none(), "no head had it");

    log.announces(5);
    log.changes(0, 4, 5);
    log.changes(1, 1, 2);
    assert!(log.shown.replaced(&label(0), &[4; 32]).is_some(), "the head announced needs it");
    log.shown.give_up(&mut log.map);
    assert!(log.shown.replaced(&label(0), &[4; 32]).is_none());
    assert_eq!((log.public(0), log.public(1)), ((Some([2; 32]), true), (Some([1; 32]), true)));

    log.announces(7);
    log.changes(1, 2, 3);
    assert!(log.witnessed(7) && !log.witnessed(5), "an older head never replaces a newer one");
    assert_eq!((log.public(0), log.public(1)), ((Some([5; 32]), false), (Some([2; 32]), true)));
    assert_eq!(log.shown.last().map(|last| (last.size, last.reached_ms)), Some((7, 7)));
    assert!(log.witnessed(7), "more cosignatures of the head shown");
}

#[test]
fn a_long_outage_moves_lookups_to_the_newest_head_and_back() {
    // Goal: what is kept is bounded by nodes and by states; a head with its quorum is shown again afterwards.
    for (states_max, nodes_max) in [(usize::MAX, 40), (3, usize::MAX)] {
        let mut log = Log::new(Shown::pending(None, KeepLimits { nodes_max, states_max }));
        log.announces(3);
        log.witnessed(3);
        let mut changed = 0;
        while log.shown.standing() == Standing::Witnessed {
            log.changes(changed, 1, 2);
            changed += 1;
        }
        assert_eq!((log.shown.standing(), log.map.kept_nodes()), (Standing::Outgrown, 0));
        assert!(changed > 1 && log.shown.replaced(&label(0), &[1; 32]).is_none());
        assert_eq!(log.shown.last().map(|last| last.size), Some(3), "the checkpoint stays the one with a quorum");
        log.announces(9);
        log.changes(0, 2, 3);
        assert!(log.witnessed(9));
        assert_eq!((log.shown.standing(), log.public(0)), (Standing::Witnessed, (Some([2; 32]), true)));
    }
}

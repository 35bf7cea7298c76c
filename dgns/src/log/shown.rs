//! Which head everyone is shown: the newest under `quorum none`, else the newest that enough witnesses cosigned
//! (PROTOCOL 12.7).
//!
//! The witnessed head stays readable beside the newest, with the states replaced since, and so does the head that witnesses are
//! being asked about. During an outage of the witnesses what is kept grows; at [`KeepLimits`] lookups move to the newest head,
//! without a quorum, until a head has one again.

use std::collections::HashMap;
use std::sync::Arc;

use identity::hash::Hash;
use translog::map::{KeptRoot, Map};

use super::live::PublicHead;
use super::states::Held;

/// Which head a lookup asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// The one that everyone is shown.
    #[default]
    Public,
    /// The newest, witnessed or not.
    Newest,
}

/// What everyone is shown.
#[derive(Debug)]
pub struct Shown {
    asks_witnesses: bool,
    public: Option<KeptHead>,
    announced: Option<KeptHead>,
    last: Option<Arc<Witnessed>>,
    outgrown: bool,
    held: bool,
    limits: KeepLimits,
}

/// The last head that reached the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnessed {
    /// Its size.
    pub size: u64,
    /// The signed note with the cosignatures.
    pub note: String,
    /// When the quorum was reached, by the witnesses' clocks.
    pub reached_ms: u64,
}

/// How lookups stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// `quorum none`: the newest head is shown.
    Newest,
    /// After a start: no head that can be proved from has a quorum yet.
    Pending,
    /// The newest witnessed head is shown.
    Witnessed,
    /// The witnesses were away for so long that the newest head is shown, without a quorum.
    Outgrown,
}

/// How much is kept for heads older than the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepLimits {
    /// Nodes of the map.
    pub nodes_max: usize,
    /// States.
    pub states_max: usize,
}

/// A head that lookups can be proved from beside the newest.
#[derive(Debug)]
struct KeptHead {
    head: Arc<PublicHead>,
    root: KeptRoot,
    /// The states that this head's map commits to and no later one's, by label and commitment.
    states: HashMap<(Hash, Hash), Arc<Held>>,
}

impl KeepLimits {
    /// About 200 MB each.
    pub const DEFAULT: Self = Self { nodes_max: 1 << 22, states_max: 1 << 18 };
}

impl Shown {
    /// Returns what is shown under `quorum none`.
    pub fn newest() -> Self {
        Self {
            asks_witnesses: false,
            public: None,
            announced: None,
            last: None,
            outgrown: false,
            held: false,
            limits: KeepLimits::DEFAULT,
        }
    }

    /// Returns what is shown at a start under a quorum; `last` is what had it before, if that is known.
    pub fn pending(last: Option<Witnessed>, limits: KeepLimits) -> Self {
        Self { asks_witnesses: true, last: last.map(Arc::new), limits, ..Self::newest() }
    }

    /// Keeps this head shown, and every state it needs; nothing newer is.
    pub(super) fn hold(&mut self, head: &Arc<PublicHead>, map: &mut Map) {
        if self.is_held() {
            return;
        }
        let last = Witnessed { size: head.size(), note: head.note.clone(), reached_ms: head.epoch.time_ms };
        // What one head needs is never more than the map it commits to.
        let limits = KeepLimits { nodes_max: usize::MAX, states_max: usize::MAX };
        *self = Self::pending(Some(last), limits);
        self.public = Some(KeptHead { head: head.clone(), root: map.keep_root(), states: HashMap::new() });
        self.held = true;
    }

    /// Shows the newest head again.
    pub(super) fn let_go(&mut self, map: &mut Map) {
        if let Some(public) = self.public.take() {
            map.release_root(public.root);
        }
        *self = Self::newest();
    }

    /// Returns whether a head is held: whoever adds to the log is on the way to the next head that may be shown.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Returns how lookups stand.
    pub fn standing(&self) -> Standing {
        match (&self.public, self.asks_witnesses, self.outgrown) {
            (_, false, _) => Standing::Newest,
            (Some(_), ..) => Standing::Witnessed,
            (None, _, true) => Standing::Outgrown,
            (None, _, false) => Standing::Pending,
        }
    }

    /// Returns the last head that reached the quorum, provable or not; `None` under `quorum none`.
    pub fn last(&self) -> Option<&Arc<Witnessed>> {
        self.last.as_ref()
    }

    /// Returns whether heads older than the newest are kept at all.
    pub fn asks_witnesses(&self) -> bool {
        self.asks_witnesses
    }

    /// The public head, if it is kept beside the newest.
    pub(super) fn public(&self) -> Option<(&Arc<PublicHead>, &KeptRoot)> {
        self.public.as_ref().map(|kept| (&kept.head, &kept.root))
    }

    /// Returns a state that was replaced since the public head.
    pub fn replaced(&self, label: &Hash, commitment: &Hash) -> Option<Arc<Held>> {
        self.kept().find_map(|kept| kept.states.get(&(*label, *commitment))).cloned()
    }

    /// Keeps what is about to be replaced, as far as a kept head still needs it. Call it before the map changes.
    pub(super) fn keep_states(&mut self, map: &Map, replaced: impl IntoIterator<Item = (Hash, Arc<Held>)>) {
        // A state that an older kept head needs and is replaced only now is needed by the last one too.
        let Some(last) = self.announced.as_mut().or(self.public.as_mut()) else { return };
        for (label, held) in replaced {
            if map.at(&last.root).get(&label) == Some(held.commitment) {
                last.states.insert((label, held.commitment), held);
            }
        }
    }

    /// Moves to the newest head if too much is kept. Call it after the map changed.
    pub(super) fn bound(&mut self, map: &mut Map) {
        let states: usize = self.kept().map(|kept| kept.states.len()).sum();
        if (map.kept_nodes() > self.limits.nodes_max || states > self.limits.states_max)
            && let Some(public) = self.public.take()
        {
            map.release_root(public.root);
            self.outgrown = true;
        }
    }

    /// Keeps the newest head while witnesses are asked about it.
    pub(super) fn announce(&mut self, head: &Arc<PublicHead>, map: &mut Map) {
        self.give_up(map);
        if self.asks_witnesses {
            self.announced = Some(KeptHead { head: head.clone(), root: map.keep_root(), states: HashMap::new() });
        }
    }

    /// Forgets the head announced: it did not reach its quorum.
    pub(super) fn give_up(&mut self, map: &mut Map) {
        let Some(announced) = self.announced.take() else { return };
        if let Some(public) = &mut self.public {
            let public_map = map.at(&public.root);
            let needed = announced.states.into_iter();
            public.states.extend(needed.filter(|((label, at), _)| public_map.get(label) == Some(*at)));
        }
        map.release_root(announced.root);
    }

    /// Shows the head announced, which is `head` with the cosignatures it got. False if it is announced no longer.
    pub(super) fn witnessed(&mut self, head: PublicHead, reached_ms: u64, map: &mut Map) -> bool {
        let head = Arc::new(head);
        if self.announced.as_ref().is_some_and(|announced| announced.head.size() == head.size()) {
            let before = std::mem::replace(&mut self.public, self.announced.take());
            if let Some(before) = before {
                map.release_root(before.root);
            }
            self.outgrown = false;
        }
        let Some(public) = self.public.as_mut().filter(|public| public.head.size() == head.size()) else {
            return false;
        };
        self.last = Some(Arc::new(Witnessed { size: head.size(), note: head.note.clone(), reached_ms }));
        public.head = head;
        true
    }

    fn kept(&self) -> impl Iterator<Item = &KeptHead> {
        self.public.iter().chain(&self.announced)
    }
}

#[cfg(test)]
mod tests;

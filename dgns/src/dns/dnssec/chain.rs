//! The NSEC chain: every owner of records in canonical order, each with what it has and its signature (RFC 4034 sections 4 and 6.1).
//!
//! A node is found by its *sort key*: the labels below the zone from the right, each byte `b`, or `1 1` for 0 and `1 2` for 1, then 0. Keys in
//! the order of their bytes are names in canonical order, and a name lies below another if its key begins with the other's. The
//! zone's own key is empty, so it is the first node.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::nodes::{Block, Gap, Node, Nodes};

/// The sort key of `*`, below whatever it stands behind.
const WILDCARD: &[u8] = b"*\0";

/// Every node.
#[derive(Default)]
pub(crate) struct Chain {
    nodes: Nodes,
}

/// What owners have from now on: their type bitmaps; none: they are gone.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// An NSEC record: of whom, who is next, and what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nsec {
    /// The owner's sort key.
    pub(crate) key: Vec<u8>,
    /// The next owner's.
    pub(crate) next: Vec<u8>,
    pub(crate) node: Node,
}

/// That a name, or a type at a name, is not there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    /// The name is there, or something below it.
    pub(crate) name_exists: bool,
    /// The record that says so; first the one at or before the name.
    pub(crate) first: Nsec,
    /// The one that denies the wildcard, if the first one does not.
    pub(crate) second: Option<Nsec>,
}

impl Chain {
    /// Returns the records that the changes make other ones, unsigned: of what is new or has other types, and of whatever comes before what is
    /// new or gone. The chain is as before.
    pub(crate) fn altered(&self, changes: &Changes) -> Vec<Nsec> {
        let mut touched = BTreeSet::new();
        for (key, change) in changes {
            let known = self.nodes.get(key);
            if change.as_deref() == known.as_ref().map(Node::bitmap) {
                continue;
            }
            if change.is_some() {
                touched.insert(key.clone());
            }
            if change.is_some() != known.is_some() {
                touched.extend(self.before(changes, key));
            }
        }
        let nsec = |key: Vec<u8>| {
            let node = match changes.get(&key) {
                Some(bitmap) => Node::unsigned(bitmap.as_deref().unwrap_or_default()),
                None => Node::unsigned(self.nodes.get(&key).as_ref().map(Node::bitmap).unwrap_or_default()),
            };
            Nsec { next: self.after(changes, &key).unwrap_or_default(), key, node }
        };
        touched.into_iter().map(nsec).collect()
    }

    /// Makes the changes, with the records that [`Chain::altered`] gave, signed or not.
    pub(crate) fn change(&mut self, changes: &Changes, altered: Vec<Nsec>) {
        let gone = changes.iter().filter(|(_, change)| change.is_none()).map(|(key, _)| (key.clone(), None));
        self.put(gone.chain(altered.into_iter().map(|nsec| (nsec.key, Some(nsec.node)))).collect());
    }

    /// Returns the node of an owner as a record.
    pub(crate) fn nsec(&self, key: &[u8]) -> Option<Nsec> {
        self.at_or_before(key).filter(|nsec| nsec.key == key)
    }

    /// Returns at most `count` sort keys behind `after`, in order.
    pub(crate) fn keys_after(&self, after: Option<&[u8]>, count: usize) -> Vec<Vec<u8>> {
        let (mut walk, mut keys) = (self.nodes.walk(after), Vec::new());
        while keys.len() < count && walk.step() {
            keys.push(walk.key().to_vec());
        }
        keys
    }

    /// Puts nodes in the places of those of their owners, or takes them away.
    pub(crate) fn put(&mut self, nodes: BTreeMap<Vec<u8>, Option<Node>>) {
        self.nodes.edit(nodes);
    }

    /// Returns the node of an owner.
    pub(crate) fn node(&self, key: &[u8]) -> Option<Node> {
        self.nodes.get(key)
    }

    /// Returns the blocks that nodes lie in, as [`Chain::of_blocks`] takes them: those whose bounds are `from` or behind it, in order, each behind its bound.
    pub(crate) fn blocks_from(&self, from: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.nodes.blocks_from(from)
    }

    /// Returns the chain of these blocks, in any order: all that some chain had.
    pub(crate) fn of_blocks(blocks: Vec<Block>) -> Self {
        Self { nodes: Nodes::of_blocks(blocks) }
    }

    /// Returns how many owners there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the bytes of memory that the owners take.
    pub(crate) fn bytes(&self) -> usize {
        self.nodes.bytes()
    }

    /// Denies a name, or a type at it; `None` of a chain without its first node.
    pub(crate) fn deny(&self, key: &[u8]) -> Option<Denial> {
        let first = self.at_or_before(key)?;
        // With a node of its own, or with one below.
        if first.key == key || first.next.starts_with(key) {
            return Some(Denial { name_exists: true, first, second: None });
        }
        let encloser = common(key, &first.key).max(common(key, &first.next));
        let second = self.at_or_before(&[&key[..encloser], WILDCARD].concat())?;
        let second = (second.key != first.key).then_some(second);
        Some(Denial { name_exists: false, first, second })
    }

    fn at_or_before(&self, key: &[u8]) -> Option<Nsec> {
        let Gap { key, node, next } = self.nodes.gap(key)?;
        Some(Nsec { key, next: next.unwrap_or_default(), node })
    }

    /// Returns who comes before `key` once the changes are made; the zone itself comes before all others.
    fn before(&self, changes: &Changes, key: &[u8]) -> Option<Vec<u8>> {
        let known = std::iter::successors(self.nodes.before(key), |key| self.nodes.before(key));
        let known = known.into_iter().find(|key| changes.get(key).is_none_or(Option::is_some));
        let mut new = changes.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(key))).rev();
        let new = new.find(|(_, change)| change.is_some());
        known.max(new.map(|(key, _)| key.clone()))
    }

    /// Returns who comes after `key` once the changes are made; nobody: then comes the zone itself.
    fn after(&self, changes: &Changes, key: &[u8]) -> Option<Vec<u8>> {
        let (mut walk, mut known) = (self.nodes.walk(Some(key)), None);
        while known.is_none() && walk.step() {
            known = changes.get(walk.key()).is_none_or(Option::is_some).then(|| walk.key().to_vec());
        }
        let mut new = changes.range::<[u8], _>((Bound::Excluded(key), Bound::Unbounded));
        let new = new.find(|(_, change)| change.is_some()).map(|(key, _)| key.clone());
        known.into_iter().chain(new).min()
    }
}

/// Returns the sort key of the name whose labels, from left to right, are those of `parts`, each wire labels without the final zero.
pub(crate) fn sort_key(parts: &[&[u8]]) -> Vec<u8> {
    let mut labels = Vec::new();
    for part in parts {
        let mut rest = *part;
        while let Some((&length, tail)) = rest.split_first()
            && tail.len() >= usize::from(length)
        {
            let (label, next) = tail.split_at(usize::from(length));
            labels.push(label);
            rest = next;
        }
    }
    let mut key = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    for label in labels.into_iter().rev() {
        for &byte in label {
            match byte {
                0 | 1 => key.extend_from_slice(&[1, byte + 1]),
                _ => key.push(byte),
            }
        }
        key.push(0);
    }
    key
}

/// Returns the labels, without the final zero, of the name that has this sort key.
pub(crate) fn labels_of(key: &[u8]) -> Vec<u8> {
    let mut labels: Vec<Vec<u8>> = Vec::new();
    let mut label = Vec::new();
    let mut bytes = key.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            0 => labels.push(std::mem::take(&mut label)),
            1 => label.extend(bytes.next().map(|&escaped| escaped - 1)),
            _ => label.push(byte),
        }
    }
    let mut wire = Vec::with_capacity(key.len());
    for label in labels.iter().rev() {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label);
    }
    wire
}

/// Returns the type bitmap of an owner that has `types` (RFC 4034 section 4.1.2).
pub(crate) fn bitmap(types: &[u16]) -> Vec<u8> {
    let mut windows: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for [window, low] in types.iter().map(|rtype| rtype.to_be_bytes()) {
        let (bits, at) = (windows.entry(window).or_default(), usize::from(low / 8));
        bits.resize(bits.len().max(at + 1), 0);
        bits[at] |= 0x80 >> (low % 8);
    }
    windows.into_iter().flat_map(|(window, bits)| [vec![window, bits.len() as u8], bits].concat()).collect()
}

/// Returns the bytes of the key of the closest name that is at or above both.
fn common(one: &[u8], other: &[u8]) -> usize {
    let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    one[..same].iter().rposition(|&byte| byte == 0).map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Vec<u8> {
        sort_key(&[&super::super::super::name::labels_of(text).unwrap()])
    }

    fn chain(names: &[&str]) -> Chain {
        let mut chain = Chain::default();
        apply(&mut chain, names.iter().map(|name| (key(name), Some(bitmap(&[1])))).collect());
        chain
    }

    fn apply(chain: &mut Chain, changes: Changes) -> usize {
        let altered = chain.altered(&changes);
        let count = altered.len();
        chain.change(&changes, altered);
        count
    }

    #[test]
    fn keys_are_in_the_order_of_rfc_4034() {
        // Goal: section 6.1's example, and every name is read back.
        let wire: [&[u8]; 9] = [
            b"\x07example",
            b"\x01a\x07example",
            b"\x08yljkjljk\x01a\x07example",
            b"\x01z\x01a\x07example",
            b"\x04zabc\x01a\x07example",
            b"\x01z\x07example",
            b"\x01\x01\x01z\x07example",
            b"\x01*\x01z\x07example",
            b"\x01\xc8\x01z\x07example",
        ];
        let keys: Vec<_> = wire.iter().map(|name| sort_key(&[name])).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        assert!(sort_key(&[b"\x01\0\x01z"]) < sort_key(&[b"\x01\x01\x01z"]));
        assert!(
            sort_key(&[b"\x01\x01"]) < sort_key(&[b"\x01\x02"])
                && sort_key(&[b"\x01\x01"]) < sort_key(&[b"\x02\x01\0"])
        );
        for (name, key) in wire.iter().zip(keys) {
            assert_eq!(labels_of(&key), *name);
        }
        assert_eq!(sort_key(&[b"\x04_tcp", b"\x05alice"]), sort_key(&[b"\x04_tcp\x05alice"]));
    }

    #[test]
    fn bitmap_is_that_of_rfc_4034() {
        // Goal: section 4.3's example: A MX RRSIG NSEC TYPE1234.
        let made = bitmap(&[1, 15, 46, 47, 1234]);
        let known = [&[0, 6, 0x40, 1, 0, 0, 0, 3, 4, 27][..], &[0; 26], &[0x20]].concat();
        assert_eq!(made, known);
        let node = Node::unsigned(&made);
        assert!(
            [1, 15, 46, 47, 1234].into_iter().all(|rtype| node.has(rtype))
                && ![0, 2, 48, 1233, 1235, 257].into_iter().any(|rtype| node.has(rtype))
        );
        assert_eq!(node.signature(), None);
    }

    #[test]
    fn denial_names_the_gap_the_wildcard_and_what_is_empty() {
        let chain = chain(&["", "alice", "_did.alice", "x.y.bob", "dave"]);
        let deny = |name: &str| {
            let denial = chain.deny(&key(name)).unwrap();
            let text = |nsec: &Nsec| super::super::super::name::text_of(&labels_of(&nsec.key));
            (denial.name_exists, text(&denial.first), denial.second.as_ref().map(text))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(deny(""), (true, String::new(), None));
        assert_eq!(deny("alice"), (true, "alice".into(), None));
        assert_eq!(deny("y.bob"), (true, "_did.alice".into(), None), "empty, but x.y.bob is below");
        assert_eq!(deny("bob"), (true, "_did.alice".into(), None));
        assert_eq!(deny("carol"), (false, "x.y.bob".into(), some("")));
        assert_eq!(deny("a"), (false, String::new(), None), "the first gap denies *, too");
        assert_eq!(deny("z.alice"), (false, "_did.alice".into(), some("alice")));
        assert_eq!(deny("q.w.dave"), (false, "dave".into(), None));
        assert_eq!(deny("z.y.bob"), (false, "x.y.bob".into(), some("_did.alice")), "*.y.bob is before x.y.bob");
        assert_eq!(chain.deny(&key("zz")).unwrap().first.next, key(""), "after the last comes the zone");
    }

    #[test]
    fn a_change_alters_itself_and_who_comes_before() {
        let mut chain = chain(&["", "b", "d"]);
        let set = |name: &str, types: &[u16]| (key(name), Some(bitmap(types)));
        assert_eq!(apply(&mut chain, [set("b", &[1])].into()), 0, "as before");
        assert_eq!(apply(&mut chain, [set("b", &[1, 28])].into()), 1, "other types");
        assert_eq!(apply(&mut chain, [set("c", &[1])].into()), 2, "itself and b");
        assert_eq!(apply(&mut chain, [set("ca", &[1]), set("cb", &[1]), set("cc", &[1])].into()), 4, "c once");
        assert_eq!(apply(&mut chain, [(key("ca"), None), (key("cb"), None), (key("nobody"), None)].into()), 1, "c");
        assert_eq!(apply(&mut chain, [(key("d"), None), set("e", &[1])].into()), 2, "cc and e");
        let names: Vec<_> = chain.keys_after(None, 9).iter().map(|key| labels_of(key)).collect();
        assert_eq!(names, [&b""[..], b"\x01b", b"\x01c", b"\x02cc", b"\x01e"]);
        assert_eq!((chain.keys_after(Some(&key("c")), 1), chain.len()), (vec![key("cc")], 5));
    }

    #[test]
    fn chain_after_random_changes_is_one_made_anew() {
        // Goal: signatures are made over what the chain is afterwards. Method: keep every record that was altered, over 3,000 random
        // batches, and compare them with the records of the chain.
        let (mut chain, mut random) = (chain(&[""]), 0x9E37_79B9_7F4A_7C15_u64);
        let mut kept: BTreeMap<Vec<u8>, Nsec> = BTreeMap::new();
        kept.insert(Vec::new(), chain.nsec(b"").unwrap());
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        for _ in 0..3_000 {
            let mut changes = Changes::new();
            for _ in 0..next() % 6 {
                let name = format!("n{}", next() % 60);
                let name = if next() % 3 == 0 { format!("_x.{name}") } else { name };
                changes.insert(key(&name), (next() % 2 == 0).then(|| bitmap(&[1 + (next() % 2) as u16])));
            }
            let altered = chain.altered(&changes);
            changes.iter().filter(|(_, change)| change.is_none()).for_each(|(key, _)| drop(kept.remove(key)));
            kept.extend(altered.iter().map(|nsec| (nsec.key.clone(), nsec.clone())));
            chain.change(&changes, altered);
            let now: Vec<_> = chain.keys_after(None, 1_000).iter().map(|key| chain.nsec(key).unwrap()).collect();
            assert_eq!(now, kept.values().cloned().collect::<Vec<_>>());
        }
    }
}

//! Where the nodes of the chain lie: neighbours together in a block, which takes half of the memory of as many that lie alone.
//!
//! ```text
//! block      u16 how many, little-endian | a signature of 74 bytes each, zeros while there is none | heads
//! head       how many bytes of the key are those of the key before | how many follow | those | bitmap           numbers as LEB128
//! bitmap     the number of a usual one, below 9                                                                or
//!            9 + its length | its bytes
//! ```
//! A block is found by its *bound*: no key of it is below, none of the block before is not. The first bound is empty. A change writes the blocks it
//! touches anew, whole; one that is left with few nodes stays so until something comes to it again.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::rrsig::{STORED_BYTES, Signature};

/// The most nodes of a block: a search reads half of their heads.
const BLOCK_NODES: usize = 32;

const COUNT_BYTES: usize = 2;

/// The bitmaps that most owners have: RRSIG and NSEC, and with these A, AAAA, both, TXT, CNAME, SRV, NS, NS and DS.
const USUAL: [&[u8]; 9] = [
    &[0, 6, 0, 0, 0, 0, 0, 3],
    &[0, 6, 0x40, 0, 0, 0, 0, 3],
    &[0, 6, 0, 0, 0, 8, 0, 3],
    &[0, 6, 0x40, 0, 0, 8, 0, 3],
    &[0, 6, 0, 0, 0x80, 0, 0, 3],
    &[0, 6, 4, 0, 0, 0, 0, 3],
    &[0, 6, 0, 0, 0, 0, 0x40, 3],
    &[0, 6, 0x20, 0, 0, 0, 0, 3],
    &[0, 6, 0x20, 0, 0, 0, 0, 0x13],
];

/// A block of neighbours, behind its bound.
pub(crate) type Block = (Box<[u8]>, Box<[u8]>);

/// An owner: `74 signature, 0 while there is none | type bitmap` (RFC 4034 section 4.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node(Box<[u8]>);

/// The nodes of a chain by their sort keys.
#[derive(Default)]
pub(super) struct Nodes {
    blocks: BTreeMap<Box<[u8]>, Box<[u8]>>,
    count: usize,
    bytes: usize,
}

/// The node at or before a key, and the key behind it.
pub(super) struct Gap {
    pub(super) key: Vec<u8>,
    pub(super) node: Node,
    /// `None`: it is the last one.
    pub(super) next: Option<Vec<u8>>,
}

impl Node {
    /// Returns a node that is not signed yet.
    pub(crate) fn unsigned(bitmap: &[u8]) -> Self {
        Self::new(&[0; STORED_BYTES], bitmap)
    }

    fn new(signature: &[u8], bitmap: &[u8]) -> Self {
        Self([signature, bitmap].concat().into_boxed_slice())
    }

    /// Returns the same node, signed.
    pub(crate) fn signed(mut self, signature: &Signature) -> Self {
        self.0[..STORED_BYTES].copy_from_slice(&signature.stored());
        self
    }

    pub(crate) fn signature(&self) -> Option<Signature> {
        let stored = self.0.first_chunk().filter(|stored| stored.iter().any(|&byte| byte != 0));
        stored.map(Signature::read)
    }

    /// Returns the node that is kept as `bytes`, those of [`Node::bytes`].
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= STORED_BYTES).then(|| Self(bytes.into()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn bitmap(&self) -> &[u8] {
        &self.0[STORED_BYTES..]
    }

    /// Returns whether the bitmap has a type.
    pub(crate) fn has(&self, rtype: u16) -> bool {
        let ([window, low], mut rest) = (rtype.to_be_bytes(), self.bitmap());
        while let Some((&[number, length], tail)) = rest.split_first_chunk::<2>() {
            let (bits, next) = tail.split_at(usize::from(length));
            if number == window {
                return bits.get(usize::from(low / 8)).is_some_and(|byte| byte & 0x80 >> (low % 8) != 0);
            }
            rest = next;
        }
        false
    }
}

impl Nodes {
    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Returns the bytes of memory they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Node> {
        self.gap(key).filter(|gap| gap.key == key).map(|gap| gap.node)
    }

    /// Returns the node at or before `key`, and what is next; `None`: there is none.
    pub(super) fn gap(&self, key: &[u8]) -> Option<Gap> {
        let gap = self.last(Bound::Included(key))?;
        let next = gap.next.or_else(|| self.after(&gap.key));
        Some(Gap { next, ..gap })
    }

    /// Returns the last key before `key`.
    pub(super) fn before(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.last(Bound::Excluded(key)).map(|gap| gap.key)
    }

    /// Returns the last node up to a key; what is next only if the same block has it.
    fn last(&self, to: Bound<&[u8]>) -> Option<Gap> {
        let is_beyond = |key: &[u8]| match to {
            Bound::Included(to) => key > to,
            Bound::Excluded(to) => key >= to,
            Bound::Unbounded => false,
        };
        // A bound may be that of a node that is gone: then the block before has it.
        self.blocks.range::<[u8], _>((Bound::Unbounded, to)).rev().find_map(|(_, block)| {
            let mut reader = Reader::of(block);
            while reader.step() {
                if is_beyond(&reader.key) {
                    let node = reader.before()?;
                    return Some(Gap { key: reader.last, node, next: Some(reader.key) });
                }
            }
            let node = (reader.count > 0).then(|| reader.node())?;
            Some(Gap { key: reader.key, node, next: None })
        })
    }

    /// Returns the first key behind `key`.
    pub(super) fn after(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut walk = self.walk(Some(key));
        walk.step().then_some(walk.reader.key)
    }

    /// Returns the blocks whose bounds are `from` or behind it, in order, each behind its bound: what [`Nodes::of_blocks`] takes.
    pub(super) fn blocks_from(&self, from: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
        let blocks = self.blocks.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        blocks.map(|(bound, block)| (&**bound, &**block))
    }

    /// Returns the nodes of these blocks, in any order.
    pub(super) fn of_blocks(mut blocks: Vec<Block>) -> Self {
        blocks.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let count = blocks.iter().map(|(_, block)| Reader::of(block).count).sum();
        let bytes = blocks.iter().map(|(bound, block)| bytes_of(bound, block)).sum();
        Self { blocks: blocks.into_iter().collect(), count, bytes }
    }

    /// Goes through the nodes behind `after`, in order.
    pub(super) fn walk(&self, after: Option<&[u8]>) -> Walk<'_> {
        let from = after.unwrap_or_default();
        let bound = self.blocks.range::<[u8], _>((Bound::Unbounded, Bound::Included(from))).next_back();
        let from = bound.map_or(from, |(bound, _)| bound);
        let blocks = self.blocks.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        let mut walk = Walk { blocks, reader: Reader::default(), is_held: false };
        while let Some(after) = after
            && walk.step()
        {
            if walk.key() > after {
                walk.is_held = true;
                break;
            }
        }
        walk
    }

    /// Puts nodes in the places of those before, or takes them away.
    pub(super) fn edit(&mut self, edits: BTreeMap<Vec<u8>, Option<Node>>) {
        let mut edits = edits.into_iter().peekable();
        while let Some((first, _)) = edits.peek() {
            let bound = self.blocks.range::<[u8], _>((Bound::Unbounded, Bound::Included(first.as_slice()))).next_back();
            let bound: Box<[u8]> = bound.map_or_else(Box::default, |(bound, _)| bound.clone());
            let end = self.blocks.range::<[u8], _>((Bound::Excluded(&*bound), Bound::Unbounded)).next();
            let end: Option<Box<[u8]>> = end.map(|(bound, _)| bound.clone());
            let block = self.blocks.remove(&bound).unwrap_or_default();
            self.bytes -= if block.is_empty() { 0 } else { bytes_of(&bound, &block) };
            let mut nodes = Vec::with_capacity(BLOCK_NODES + 1);
            let mut reader = Reader::of(&block);
            self.count -= reader.count;
            let mut is_known = reader.step();
            loop {
                let edit = edits.next_if(|(key, _)| {
                    end.as_deref().is_none_or(|end| key.as_slice() < end) && (!is_known || *key <= reader.key)
                });
                match edit {
                    Some((key, node)) => {
                        if is_known && key == reader.key {
                            is_known = reader.step();
                        }
                        nodes.extend(node.map(|node| (key, node)));
                    }
                    None if is_known => {
                        nodes.push((reader.key.clone(), reader.node()));
                        is_known = reader.step();
                    }
                    None => break,
                }
            }
            self.put(bound, &nodes);
        }
    }

    /// Writes nodes, which no block has, into blocks of which the first one has this bound.
    fn put(&mut self, bound: Box<[u8]>, nodes: &[(Vec<u8>, Node)]) {
        self.count += nodes.len();
        let each = nodes.len().div_ceil(nodes.len().div_ceil(BLOCK_NODES).max(1)).max(1);
        for (number, part) in nodes.chunks(each).enumerate() {
            let (bound, block) =
                (if number == 0 { bound.clone() } else { part[0].0.as_slice().into() }, block_of(part));
            self.bytes += bytes_of(&bound, &block);
            self.blocks.insert(bound, block);
        }
    }
}

/// Returns the bytes that a block takes, where it lies and by what it is found.
fn bytes_of(bound: &[u8], block: &[u8]) -> usize {
    bound.len() + block.len() + 2 * size_of::<Box<[u8]>>()
}

fn block_of(nodes: &[(Vec<u8>, Node)]) -> Box<[u8]> {
    let count = u16::try_from(nodes.len()).expect("a block has few nodes");
    let mut bytes = Vec::with_capacity(COUNT_BYTES + nodes.len() * (STORED_BYTES + 24));
    bytes.extend_from_slice(&count.to_le_bytes());
    nodes.iter().for_each(|(_, node)| bytes.extend_from_slice(&node.0[..STORED_BYTES]));
    let mut before: &[u8] = &[];
    for (key, node) in nodes {
        let same = key.iter().zip(before).take_while(|(one, other)| one == other).count();
        push_number(&mut bytes, same);
        push_number(&mut bytes, key.len() - same);
        bytes.extend_from_slice(&key[same..]);
        match USUAL.iter().position(|usual| *usual == node.bitmap()) {
            Some(number) => push_number(&mut bytes, number),
            None => {
                push_number(&mut bytes, USUAL.len() + node.bitmap().len());
                bytes.extend_from_slice(node.bitmap());
            }
        }
        before = key;
    }
    bytes.into_boxed_slice()
}

fn push_number(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Goes through nodes in order.
pub(super) struct Walk<'n> {
    blocks: std::collections::btree_map::Range<'n, Box<[u8]>, Box<[u8]>>,
    reader: Reader<'n>,
    /// The next step was made already.
    is_held: bool,
}

impl Walk<'_> {
    /// Goes to the next node; returns whether there is one.
    pub(super) fn step(&mut self) -> bool {
        if std::mem::take(&mut self.is_held) || self.reader.step() {
            return true;
        }
        for (_, block) in self.blocks.by_ref() {
            self.reader = Reader::of(block);
            if self.reader.step() {
                return true;
            }
        }
        false
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.reader.key
    }
}

/// Reads a block, one node after the other.
#[derive(Default)]
struct Reader<'b> {
    count: usize,
    signatures: &'b [u8],
    /// Of those that are not read.
    heads: &'b [u8],
    /// How many are.
    at: usize,
    key: Vec<u8>,
    bitmap: &'b [u8],
    /// The key before.
    last: Vec<u8>,
    last_bitmap: &'b [u8],
}

impl<'b> Reader<'b> {
    /// Begins before the first node of a block; of no bytes there is none.
    fn of(block: &'b [u8]) -> Self {
        let (count, rest) = block.split_first_chunk::<COUNT_BYTES>().unwrap_or((&[0; COUNT_BYTES], &[]));
        let count = usize::from(u16::from_le_bytes(*count));
        let (signatures, heads) = rest.split_at(count * STORED_BYTES);
        Self { count, signatures, heads, ..Self::default() }
    }

    /// Goes to the next node; returns whether there is one.
    fn step(&mut self) -> bool {
        if self.at == self.count {
            return false;
        }
        self.at += 1;
        std::mem::swap(&mut self.key, &mut self.last);
        self.last_bitmap = self.bitmap;
        let (same, more) = (self.number(), self.number());
        self.key.clear();
        self.key.extend_from_slice(&self.last[..same]);
        let follows = self.take(more);
        self.key.extend_from_slice(follows);
        self.bitmap = match self.number() {
            number if number < USUAL.len() => USUAL[number],
            length => self.take(length - USUAL.len()),
        };
        true
    }

    fn node(&self) -> Node {
        Node::new(self.signature(self.at - 1), self.bitmap)
    }

    /// Returns the node before this one.
    fn before(&self) -> Option<Node> {
        (self.at > 1).then(|| Node::new(self.signature(self.at - 2), self.last_bitmap))
    }

    fn signature(&self, index: usize) -> &'b [u8] {
        &self.signatures[index * STORED_BYTES..][..STORED_BYTES]
    }

    fn take(&mut self, count: usize) -> &'b [u8] {
        let (taken, rest) = self.heads.split_at(count);
        self.heads = rest;
        taken
    }

    fn number(&mut self) -> usize {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = self.take(1)[0];
            number |= usize::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::limits::SNAPSHOT_NODES;
    use super::super::chain::bitmap;
    use super::*;

    /// Returns numbers that are the same each time.
    fn random() -> impl FnMut() -> u64 {
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        }
    }

    fn node(number: u64) -> Node {
        let types = [[1, 46, 47], [28, 46, 47], [46, 47, 1_234], [16, 46, 47]][(number % 4) as usize];
        let signature =
            Signature { expiration_s: number as u32, inception_s: 1, key_tag: 2, bytes: [number as u8; 64] };
        Node::unsigned(&bitmap(&types)).signed(&signature)
    }

    #[test]
    fn usual_bitmaps_are_those_of_the_types() {
        let types: [&[u16]; 9] = [&[], &[1], &[28], &[1, 28], &[16], &[5], &[33], &[2], &[2, 43]];
        let made = types.map(|types| bitmap(&[types, &[46, 47]].concat()));
        assert_eq!(made.each_ref().map(Vec::as_slice), USUAL);
    }

    #[test]
    fn blocks_are_what_a_map_of_single_nodes_is() {
        // Goal: whatever was put in and taken away, every question has the answer of the standard library's map. Keys of all lengths, one in the other.
        let (mut nodes, mut plain, mut next) = (Nodes::default(), BTreeMap::new(), random());
        let key = |random: &mut dyn FnMut() -> u64| {
            let length = [0, 1, 2, 3, 200, 400][(random() % 6) as usize];
            (0..length).map(|_| (random() % 3) as u8).collect::<Vec<u8>>()
        };
        for round in 0..400 {
            let count = [1, 2, 60, 300][(next() % 4) as usize];
            let is_gone = round % 7 == 6;
            let edits: BTreeMap<_, _> = (0..count)
                .map(|_| (key(&mut next), next()))
                .map(|(key, number)| (key, (!is_gone && number % 3 > 0).then(|| node(number))))
                .collect();
            for (key, node) in edits.clone() {
                match node {
                    Some(node) => drop(plain.insert(key, node)),
                    None => drop(plain.remove(&key)),
                }
            }
            nodes.edit(edits);
            let bytes = nodes.blocks.iter().map(|(bound, block)| bytes_of(bound, block)).sum::<usize>();
            assert_eq!((nodes.len(), nodes.bytes()), (plain.len(), bytes));
            let (mut walk, mut all) = (nodes.walk(None), Vec::new());
            while walk.step() {
                all.push((walk.key().to_vec(), walk.reader.node()));
            }
            assert!(all.iter().map(|(key, node)| (key, node)).eq(&plain), "round {round}");
            for _ in 0..40 {
                let key = key(&mut next);
                assert_eq!(nodes.get(&key).as_ref(), plain.get(&key));
                let below = plain.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(key.as_slice()))).next_back();
                assert_eq!(nodes.before(&key).as_ref(), below.map(|(key, _)| key));
                let above = plain.range::<[u8], _>((Bound::Excluded(key.as_slice()), Bound::Unbounded)).next();
                assert_eq!(nodes.after(&key).as_ref(), above.map(|(key, _)| key));
                let at = plain.range::<[u8], _>((Bound::Unbounded, Bound::Included(key.as_slice()))).next_back();
                let gap = nodes.gap(&key).map(|gap| (gap.key, gap.node, gap.next));
                assert_eq!(gap, at.map(|(at, node)| (at.clone(), node.clone(), above.map(|(key, _)| key.clone()))));
            }
        }
    }

    #[test]
    fn nodes_of_the_blocks_of_others_are_these() {
        // Goal: blocks read some at a time, each part begun at the bound behind the last one, and put together in any order, are what they came of.
        let mut next = random();
        let mut nodes = Nodes::default();
        for _ in 0..200 {
            let keys = (0..20).map(|_| (next() % 4_000).to_string().into_bytes());
            nodes.edit(keys.map(|key| (key, Some(node(7)))).collect());
        }
        let (mut blocks, mut from) = (Vec::new(), Some(Vec::new()));
        while let Some(first) = from {
            let mut rest = nodes.blocks_from(&first);
            let some: Vec<_> = rest.by_ref().take(3).map(|(bound, block)| (bound.into(), block.into())).collect();
            blocks.splice(0..0, some);
            from = rest.next().map(|(bound, _)| bound.to_vec());
        }
        let others = Nodes::of_blocks(blocks);
        assert_eq!((others.len(), others.bytes(), &others.blocks), (nodes.len(), nodes.bytes(), &nodes.blocks));
        assert!(others.len() > 2_000);
    }

    #[test]
    fn a_node_takes_little_more_than_its_signature() {
        // Goal: at most 92 bytes of a name of 14 characters like no other, read in order, and a tenth more if they come as they please.
        let mut next = random();
        let mut key = || [&(0..14).map(|_| b'a' + (next() % 26) as u8).collect::<Vec<_>>()[..], &[0]].concat();
        let all: BTreeMap<_, _> = (0..20_000).map(|_| (key(), Some(node(0)))).collect();
        let (mut read, mut came) = (Nodes::default(), Nodes::default());
        let keys: Vec<_> = all.keys().cloned().collect();
        for part in keys.chunks(SNAPSHOT_NODES) {
            read.edit(part.iter().map(|key| (key.clone(), Some(node(0)))).collect());
        }
        for place in 0..keys.len() {
            came.edit([(keys[place * 7_919 % keys.len()].clone(), Some(node(0)))].into());
        }
        assert_eq!((read.len(), came.len()), (all.len(), all.len()));
        assert!(read.bytes() <= 92 * all.len(), "{}", read.bytes() / all.len());
        assert!(came.bytes() <= 101 * all.len(), "{}", came.bytes() / all.len());
    }
}

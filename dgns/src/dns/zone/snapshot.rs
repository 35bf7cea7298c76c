//! The zone in one file, signatures and all, so that a start need not read every name nor sign anything anew.
//!
//! ```text
//! frame  u32 length of kind and parts | u8 kind | parts | 32 seal: SHA-256 of salt (of the head: zeros), u64 frames before, kind and parts
//! part   u16 length | bytes; numbers are little-endian
//!
//! 1 head      magic | zone | u8 bits | u32 TTL of denials | u64 u64 where names lie | 16 salt, random
//! 2 cards     u16 segment | cards
//! 3 nodes     bound | block; ..
//! 4 touched   labels | card, empty: gone; ..
//! 5 touched   sort key | node, empty: gone; ..
//! 6 volatile  cards of the rows that no certificate has
//! 7 keys      the DNSKEY of each key that may have signed
//! 8 end       u64 size of the log | 32 its root | u64 unix seconds
//! ```
//! It is written while the zone changes: first everything, some at a time, then what was touched meanwhile, once more and once more, the last time
//! with the writer's lock held. So it is the zone as it was at that moment, and nobody waited for more than the last of it. It is read by as many
//! threads as there are processors: frames of names and owners do not depend on one another, and lie as they do in memory.
//!
//! What the log does not have, an operator's records, the newest head, what devices wrote, comes anew at each start.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use identity::cert::Row;
use identity::hash::{Hash, sha256};

use super::super::card::{Card, CardRef};
use super::super::cards::{Cards, Filler};
use super::super::dnssec::{Block, Chain, Changes, Node, Nsec, Role, Signing, apex_types, bitmap, sort_key};
use super::super::dnssec::{TYPE_NS, TYPE_NSEC, TYPE_RRSIG};
use super::super::limits::{
    SNAPSHOT_BLOCKS, SNAPSHOT_FRAME_BYTES_MAX, SNAPSHOT_LAST, SNAPSHOT_NODES, SNAPSHOT_ROUNDS_MAX,
    SNAPSHOT_TOUCHED_MAX, ZONE_SEGMENTS,
};
use super::super::{name, update};
use super::{CHECKPOINT_OWNER, PROOF_OWNER, Zone, rows_of};
use crate::rng;

/// With another form, or when something else is in a card, a node or what is signed, comes another number.
const MAGIC: &[u8] = b"dgns-zone 2";

const HEAD: u8 = 1;
const CARDS: u8 = 2;
const NODES: u8 = 3;
const TOUCHED_CARDS: u8 = 4;
const TOUCHED_NODES: u8 = 5;
const VOLATILE: u8 = 6;
const KEYS: u8 = 7;
const END: u8 = 8;

const SEAL_BYTES: usize = 32;
const END_BYTES: usize = 4 + 1 + (2 + 8) + (2 + 32) + (2 + 8) + SEAL_BYTES;

const SALT_BYTES: usize = 16;

/// More threads than these wait for the file.
const READERS_MAX: usize = 8;

/// Why a snapshot is of no use. Whoever gets one reads the names from the database.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Unusable {
    /// It cannot be read, or ends too early.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is not as it was written.
    #[error("it is damaged")]
    Damaged,
    /// It was made of another zone, by another version, or under other settings.
    #[error("it is of another {0}")]
    Other(&'static str),
}

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The log that it has, leaves.
    pub(crate) size: u64,
    /// The root of that.
    pub(crate) root: Hash,
    /// When it was made, unix seconds.
    pub(crate) made_s: u64,
}

/// What is touched while a snapshot is written, and how often anything was.
#[derive(Default)]
pub(super) struct Recorder {
    changes: AtomicU64,
    touched: Mutex<Option<Touched>>,
}

#[derive(Default)]
struct Touched {
    labels: BTreeSet<Vec<u8>>,
    keys: BTreeSet<Vec<u8>>,
    is_lost: bool,
}

impl Touched {
    fn len(&self) -> usize {
        self.labels.len() + self.keys.len()
    }

    fn note(&mut self, change: impl FnOnce(&mut Self)) {
        if self.len() >= SNAPSHOT_TOUCHED_MAX {
            *self = Self { is_lost: true, ..Self::default() };
        } else if !self.is_lost {
            change(self);
        }
    }
}

/// Notes come after what they are of: whoever takes them finds it done.
impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Option<Touched>> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn card(&self, labels: &[u8]) {
        self.count();
        if let Some(touched) = self.lock().as_mut() {
            touched.note(|touched| {
                touched.labels.insert(labels.to_vec());
            });
        }
    }

    fn nodes(&self, keys: Vec<Vec<u8>>) {
        self.count();
        if let Some(touched) = self.lock().as_mut() {
            for key in keys {
                touched.note(|touched| {
                    touched.keys.insert(key);
                });
            }
        }
    }

    /// Errors: too much was touched for what is being written to come to an end.
    fn check(&self) -> io::Result<()> {
        match self.lock().as_ref() {
            Some(touched) if touched.is_lost => Err(too_much()),
            _ => Ok(()),
        }
    }

    fn is_on(&self) -> bool {
        self.lock().is_some()
    }

    /// Returns what was touched since the last call, and goes on. Errors: too much was, or nobody began.
    fn take(&self) -> io::Result<Touched> {
        match self.lock().as_mut().map(std::mem::take) {
            Some(touched) if !touched.is_lost => Ok(touched),
            _ => Err(too_much()),
        }
    }
}

fn too_much() -> io::Error {
    io::Error::other("too much changed meanwhile")
}

/// A snapshot that is being written.
pub(crate) struct Writing<W> {
    out: W,
    salt: [u8; SALT_BYTES],
    frames: u64,
    next: Next,
    bytes: u64,
}

enum Next {
    Cards(usize),
    /// The first bound that is not written.
    Nodes(Vec<u8>),
    Touched(usize),
    End(u64),
}

impl<W: Write> Writing<W> {
    /// Begins one. Of a zone at most one is written at a time.
    pub(crate) fn begin(zone: &Zone, out: W) -> io::Result<Self> {
        {
            let _writer = zone.lock_writer(); // a change is noted, or done before
            *zone.recorder.lock() = Some(Touched::default());
        }
        let (salt, mut head) = (rng::bytes(), head(zone));
        head.push(&salt);
        let mut writing = Self { out, salt: [0; SALT_BYTES], frames: 0, next: Next::Cards(0), bytes: 0 };
        writing.frame(HEAD, &head)?;
        Ok(Self { salt, ..writing })
    }

    /// Returns how many bytes were written.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes some; returns the size of the log that the snapshot has, once it has all but its end.
    pub(crate) fn step(&mut self, zone: &Zone) -> io::Result<Option<u64>> {
        zone.recorder.check()?;
        self.next = match &self.next {
            Next::End(size) => return Ok(Some(*size)),
            Next::Cards(ZONE_SEGMENTS..) => Next::Nodes(Vec::new()),
            &Next::Cards(segment) => {
                let mut parts = Parts::default();
                parts.push(&(segment as u16).to_le_bytes());
                zone.cards.each(segment..segment + 1, |card| parts.push(card.bytes()));
                self.frame(CARDS, &parts)?;
                Next::Cards(segment + 1)
            }
            Next::Nodes(from) => {
                let (mut parts, mut next) = (Parts::default(), None);
                if let Some(signing) = &zone.signing {
                    let chain = signing.chain();
                    let mut blocks = chain.blocks_from(from);
                    for (bound, block) in blocks.by_ref().take(SNAPSHOT_BLOCKS) {
                        parts.push(bound);
                        parts.push(block);
                    }
                    // What comes below this bound from now on is touched.
                    next = blocks.next().map(|(bound, _)| bound.to_vec());
                }
                self.frame(NODES, &parts)?;
                next.map_or(Next::Touched(0), Next::Nodes)
            }
            &Next::Touched(round) => {
                let touched = zone.recorder.take()?;
                match touched.len() > SNAPSHOT_LAST && round < SNAPSHOT_ROUNDS_MAX {
                    true => {
                        for part in states_of(zone, &touched) {
                            self.touched(&part)?;
                        }
                        Next::Touched(round + 1)
                    }
                    false => Next::End(self.last(zone, touched)?),
                }
            }
        };
        Ok(None)
    }

    /// Writes what was touched last, while nothing changes; returns the size of the log.
    fn last(&mut self, zone: &Zone, mut touched: Touched) -> io::Result<u64> {
        let (states, size, [volatile, keys]) = {
            let _writer = zone.lock_writer();
            let more = zone.recorder.take()?;
            *zone.recorder.lock() = None;
            touched.labels.extend(more.labels);
            touched.keys.extend(more.keys);
            let states: Vec<_> = states_of(zone, &touched).collect();
            (states, zone.log_size(), [volatile(zone), keys(zone)])
        };
        for part in &states {
            self.touched(part)?;
        }
        self.frame(VOLATILE, &volatile)?;
        self.frame(KEYS, &keys)?;
        Ok(size)
    }

    fn touched(&mut self, [cards, nodes]: &[Parts; 2]) -> io::Result<()> {
        self.frame(TOUCHED_CARDS, cards)?;
        self.frame(TOUCHED_NODES, nodes)
    }

    /// Writes the end of a snapshot that has all else; returns what it was written to.
    pub(crate) fn end(mut self, end: &End) -> io::Result<W> {
        let mut parts = Parts::default();
        parts.push(&end.size.to_le_bytes());
        parts.push(&end.root);
        parts.push(&end.made_s.to_le_bytes());
        self.frame(END, &parts)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn frame(&mut self, kind: u8, parts: &Parts) -> io::Result<()> {
        let length = 1 + parts.0.len();
        if length > SNAPSHOT_FRAME_BYTES_MAX {
            return Err(io::Error::other("a part of the zone is too large for one"));
        }
        let seal = seal(&self.salt, self.frames, kind, &parts.0);
        self.out.write_all(&(length as u32).to_le_bytes())?;
        self.out.write_all(&[kind])?;
        self.out.write_all(&parts.0)?;
        self.out.write_all(&seal)?;
        self.frames += 1;
        self.bytes += (4 + length + SEAL_BYTES) as u64;
        Ok(())
    }
}

fn seal(salt: &[u8; SALT_BYTES], number: u64, kind: u8, parts: &[u8]) -> Hash {
    sha256(&[salt, &number.to_le_bytes(), &[kind], parts])
}

/// Parts of a frame, one behind the other.
#[derive(Default)]
struct Parts(Vec<u8>);

impl Parts {
    fn push(&mut self, part: &[u8]) {
        let length = u16::try_from(part.len()).expect("cards, nodes and keys have less than 64 KiB");
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(part);
    }
}

/// Returns the parts of a frame. Errors: the bytes are not parts.
fn parts_of(mut bytes: &[u8]) -> Result<Vec<&[u8]>, Unusable> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk().ok_or(Unusable::Damaged)?;
        let (part, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into()).ok_or(Unusable::Damaged)?;
        parts.push(part);
        bytes = rest;
    }
    Ok(parts)
}

/// Returns the parts of a frame, two by two. Errors: as [`parts_of`].
fn pairs_of(bytes: &[u8]) -> Result<impl Iterator<Item = [&[u8]; 2]>, Unusable> {
    let mut parts = parts_of(bytes)?.into_iter();
    Ok(std::iter::from_fn(move || Some([parts.next()?, parts.next()?])))
}

/// What a snapshot must begin with to be of use for a zone, but for where its names lie; its salt follows.
fn head(zone: &Zone) -> Parts {
    let mut parts = Parts::default();
    parts.push(MAGIC);
    parts.push(zone.name().as_bytes());
    parts.push(&[u8::from(zone.publish_did) | u8::from(zone.signing.is_some()) << 1]);
    parts.push(&zone.apex.negative_ttl_s.to_le_bytes());
    let [first, second] = zone.cards.keys();
    parts.push(&[first.to_le_bytes(), second.to_le_bytes()].concat());
    parts
}

/// Returns the state of what was touched, names and owners, some at a time: the chain is locked for these.
fn states_of<'t>(zone: &'t Zone, touched: &'t Touched) -> impl Iterator<Item = [Parts; 2]> + 't {
    let (mut labels, mut keys) = (touched.labels.iter().peekable(), touched.keys.iter().peekable());
    std::iter::from_fn(move || {
        if labels.peek().is_none() && keys.peek().is_none() {
            return None;
        }
        let (mut cards, mut nodes) = (Parts::default(), Parts::default());
        for labels in labels.by_ref().take(SNAPSHOT_NODES) {
            cards.push(labels);
            zone.read(labels, |card| cards.push(card.map(CardRef::bytes).unwrap_or_default()));
        }
        if let Some(signing) = &zone.signing {
            let chain = signing.chain();
            for key in keys.by_ref().take(SNAPSHOT_NODES) {
                nodes.push(key);
                nodes.push(chain.node(key).as_ref().map(Node::bytes).unwrap_or_default());
            }
        } else {
            keys.by_ref().for_each(drop);
        }
        Some([cards, nodes])
    })
}

fn volatile(zone: &Zone) -> Parts {
    let mut parts = Parts::default();
    for (name, rows) in zone.lock_volatile().iter() {
        let labels = zone.labels_below(name).expect("it is a name of the zone");
        let card = Card::bound(&labels, None, 0, 0, rows);
        parts.push(card.expect("its own card has these rows, too").read().bytes());
    }
    parts
}

fn keys(zone: &Zone) -> Parts {
    let mut parts = Parts::default();
    for key in zone.signing.iter().flat_map(signing_keys) {
        parts.push(&key);
    }
    parts
}

fn signing_keys(signing: &Signing) -> Vec<Vec<u8>> {
    signing
        .keyring()
        .iter()
        .flat_map(|keys| keys.keys())
        .filter(|held| held.key.role == Role::Zsk)
        .map(|held| held.key.dnskey())
        .collect()
}

/// A frame that was read.
#[derive(Default)]
struct Frame {
    kind: u8,
    /// Those of the parts.
    bytes: Vec<u8>,
    salt: [u8; SALT_BYTES],
    number: u64,
    seal: Hash,
}

impl Frame {
    /// Errors: it is not as it was written.
    fn check(&self) -> Result<(), Unusable> {
        match seal(&self.salt, self.number, self.kind, &self.bytes) == self.seal {
            true => Ok(()),
            false => Err(Unusable::Damaged),
        }
    }
}

/// Frames that are read.
struct Frames<R> {
    from: R,
    salt: [u8; SALT_BYTES],
    /// How many were read.
    count: u64,
    /// The one behind those of names and owners, once it was read.
    behind: Option<Frame>,
    /// One was not as it was written: nobody needs the others.
    is_damaged: bool,
}

impl<R: Read> Frames<R> {
    /// Reads the next one, unchecked.
    fn read(&mut self, frame: &mut Frame) -> Result<(), Unusable> {
        let mut head = [0; 5];
        self.from.read_exact(&mut head)?;
        let [length @ .., kind] = head;
        let length = u32::from_le_bytes(length) as usize;
        if !(1..=SNAPSHOT_FRAME_BYTES_MAX).contains(&length) {
            return Err(Unusable::Damaged);
        }
        (frame.kind, frame.salt, frame.number) = (kind, self.salt, self.count);
        frame.bytes.resize(length - 1, 0);
        self.from.read_exact(&mut frame.bytes)?;
        self.from.read_exact(&mut frame.seal)?;
        self.count += 1;
        Ok(())
    }

    /// Returns the next one.
    fn next(&mut self) -> Result<Frame, Unusable> {
        let mut frame = Frame::default();
        self.read(&mut frame)?;
        frame.check()?;
        Ok(frame)
    }

    /// Reads the next one of names or owners, unchecked; returns whether there is one.
    fn read_first(&mut self, frame: &mut Frame) -> Result<bool, Unusable> {
        if self.behind.is_some() || self.is_damaged {
            return Ok(false);
        }
        let read = self.read(frame);
        self.is_damaged = read.is_err();
        read?;
        let is_first = [CARDS, NODES].contains(&frame.kind);
        if !is_first {
            self.behind = Some(std::mem::take(frame));
        }
        Ok(is_first)
    }

    /// Errors: something follows.
    fn is_over(&mut self) -> Result<(), Unusable> {
        match self.from.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(Unusable::Damaged),
        }
    }
}

impl End {
    /// Reads what a snapshot says of itself, which is not checked yet.
    pub(crate) fn read(file: &mut (impl Read + Seek)) -> Result<Self, Unusable> {
        let mut bytes = [0; END_BYTES];
        file.seek(SeekFrom::End(-(END_BYTES as i64))).map_err(|_| Unusable::Damaged)?;
        file.read_exact(&mut bytes)?;
        file.rewind()?;
        match bytes[4] {
            END => Self::of(&bytes[5..END_BYTES - SEAL_BYTES]),
            _ => Err(Unusable::Damaged),
        }
    }

    fn of(bytes: &[u8]) -> Result<Self, Unusable> {
        let parts = parts_of(bytes)?;
        let number = |part: &[u8]| part.try_into().map(u64::from_le_bytes);
        match parts.as_slice() {
            [size, root, made_s] => match (number(size), Hash::try_from(*root), number(made_s)) {
                (Ok(size), Ok(root), Ok(made_s)) => Ok(Self { size, root, made_s }),
                _ => Err(Unusable::Damaged),
            },
            _ => Err(Unusable::Damaged),
        }
    }
}

/// What a snapshot has, read whole and sealed.
pub(crate) struct Loaded {
    cards: Cards,
    chain: Chain,
    counts: Counts,
    volatile: HashMap<String, Vec<Row>>,
    end: End,
}

/// What a zone knows of its names beside their cards.
#[derive(Default)]
struct Counts {
    names: u64,
    cuts: u64,
    glue: BTreeSet<(usize, Vec<u8>)>,
    /// Names that are not from the log: an operator's, or of ACME clients.
    unlogged: BTreeSet<Vec<u8>>,
}

/// What one thread took up of what was written first.
struct Part<'c> {
    cards: Filler<'c>,
    blocks: Vec<Block>,
    /// The operator's names.
    fixed: Vec<Card>,
    counts: Counts,
}

impl Loaded {
    /// Reads a snapshot that is to be that of `zone`, which has no names yet.
    pub(crate) fn read(zone: &Zone, from: impl Read + Send) -> Result<Self, Unusable> {
        let mut frames = Frames { from, salt: [0; SALT_BYTES], count: 0, behind: None, is_damaged: false };
        let mut loaded = Self::begin(zone, &mut frames)?;
        let mut frame = loaded.fill(&mut frames)?;
        frame.check()?;
        loop {
            match frame.kind {
                TOUCHED_CARDS => loaded.touch(&frame.bytes)?,
                TOUCHED_NODES => loaded.chain.put(read_nodes(&frame.bytes)?),
                VOLATILE => loaded.volatile = read_volatile(zone, &frame.bytes)?,
                KEYS => check_keys(zone, &frame.bytes)?,
                END => {
                    loaded.end = End::of(&frame.bytes)?;
                    frames.is_over()?;
                    return Ok(loaded);
                }
                _ => return Err(Unusable::Damaged),
            }
            frame = frames.next()?;
        }
    }

    fn begin(zone: &Zone, frames: &mut Frames<impl Read>) -> Result<Self, Unusable> {
        let mut frame = Frame::default();
        frames.read(&mut frame)?;
        let (parts, ours) = (parts_of(&frame.bytes)?, head(zone));
        let ours = parts_of(&ours.0)?;
        if frame.kind != HEAD || parts.first() != ours.first() {
            return Err(Unusable::Other("version")); // which may have sealed it otherwise
        }
        frame.check()?;
        if parts.get(1) != ours.get(1) {
            return Err(Unusable::Other("zone"));
        }
        if parts.get(2..4) != ours.get(2..4) {
            return Err(Unusable::Other("setting: publish_did, dnssec or negative_ttl_s"));
        }
        let (keys, _) = parts.get(4).ok_or(Unusable::Damaged)?.as_chunks::<8>();
        let &[first, second] = keys else { return Err(Unusable::Damaged) };
        frames.salt = parts.get(5).and_then(|salt| (*salt).try_into().ok()).ok_or(Unusable::Damaged)?;
        Ok(Self {
            cards: Cards::with_keys([first, second].map(u64::from_le_bytes)),
            chain: Chain::default(),
            counts: Counts::default(),
            volatile: HashMap::new(),
            end: End { size: 0, root: [0; 32], made_s: 0 },
        })
    }

    /// Returns what the snapshot says of itself.
    pub(crate) fn end(&self) -> End {
        self.end
    }

    /// Takes up names and owners as they were at first, on all processors; returns the frame behind them, unchecked.
    fn fill(&mut self, frames: &mut Frames<impl Read + Send>) -> Result<Frame, Unusable> {
        let (frames, chunks) = (Mutex::new(frames), AtomicUsize::new(1));
        let readers = std::thread::available_parallelism().map_or(1, usize::from).min(READERS_MAX);
        let parts = std::thread::scope(|scope| {
            let read = || Part::read(&self.cards, &chunks, &frames);
            let readers: Vec<_> = (0..readers).map(|_| scope.spawn(read)).collect();
            let joined = readers.into_iter().map(|reader| reader.join().unwrap_or(Err(Unusable::Damaged)));
            joined.collect::<Vec<_>>() // all of them, whatever is wrong with one
        });
        let (mut filled, mut blocks, mut fixed) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            let mut part = part?;
            filled.push(part.cards);
            blocks.append(&mut part.blocks);
            fixed.append(&mut part.fixed);
            self.counts.add(part.counts);
        }
        self.cards.adopt(filled);
        self.chain = Chain::of_blocks(blocks);
        for card in fixed {
            self.put(card.read());
        }
        frames.into_inner().unwrap_or_else(PoisonError::into_inner).behind.take().ok_or(Unusable::Damaged)
    }

    /// Takes up names as they were at last.
    fn touch(&mut self, bytes: &[u8]) -> Result<(), Unusable> {
        for [labels, card] in pairs_of(bytes)? {
            if let Some(old) = self.cards.read(labels, |card| card.map(CardRef::to_card)) {
                self.counts.count(&self.cards, old.read(), false);
            }
            match card.is_empty() {
                true => self.cards.remove(labels),
                false => self.put(CardRef::of(card)),
            }
        }
        Ok(())
    }

    /// Takes up a name; one of the operator's as if it were anybody's, so that it can be taken away.
    fn put(&mut self, card: CardRef<'_>) {
        let mine = card.is_fixed().then(|| card.to_card().unfixed());
        if mine.is_some() {
            self.counts.unlogged.insert(card.labels().to_vec());
        }
        let card = mine.as_ref().map_or(card, Card::read);
        self.cards.put(card);
        self.counts.count(&self.cards, card, true);
    }
}

impl<'c> Part<'c> {
    /// Takes up frames while there are any of names and owners.
    fn read(
        cards: &'c Cards,
        chunks: &'c AtomicUsize,
        frames: &Mutex<&mut Frames<impl Read>>,
    ) -> Result<Self, Unusable> {
        let (filler, counts) = (cards.filler(chunks), Counts::default());
        let mut part = Self { cards: filler, blocks: Vec::new(), fixed: Vec::new(), counts };
        let mut frame = Frame::default();
        let lock = || frames.lock().unwrap_or_else(PoisonError::into_inner);
        while lock().read_first(&mut frame)? {
            if let Err(why) = part.take(cards, &frame) {
                lock().is_damaged = true;
                return Err(why);
            }
        }
        Ok(part)
    }

    fn take(&mut self, all: &Cards, frame: &Frame) -> Result<(), Unusable> {
        frame.check()?;
        match frame.kind {
            CARDS => self.fill(all, &frame.bytes)?,
            _ => self.blocks.extend(pairs_of(&frame.bytes)?.map(|[bound, block]| (bound.into(), block.into()))),
        }
        Ok(())
    }

    /// Takes up the names of a segment.
    fn fill(&mut self, all: &Cards, bytes: &[u8]) -> Result<(), Unusable> {
        let parts = parts_of(bytes)?;
        let (segment, cards) = parts.split_first().ok_or(Unusable::Damaged)?;
        let segment = segment.first_chunk().map_or(usize::MAX, |bytes| u16::from_le_bytes(*bytes).into());
        if segment >= ZONE_SEGMENTS {
            return Err(Unusable::Damaged);
        }
        let mut others = Vec::with_capacity(cards.len());
        for card in cards.iter().map(|card| CardRef::of(card)) {
            match card.is_fixed() {
                true => self.fixed.push(card.to_card()),
                false => {
                    self.counts.count(all, card, true);
                    others.push(card);
                }
            }
        }
        self.cards.fill(segment, &others);
        Ok(())
    }
}

impl Counts {
    /// Counts what others counted elsewhere.
    fn add(&mut self, mut other: Self) {
        self.names += other.names;
        self.cuts += other.cuts;
        self.glue.append(&mut other.glue);
        self.unlogged.append(&mut other.unlogged);
    }

    /// Counts a name that is there, or no more.
    fn count(&mut self, cards: &Cards, card: CardRef<'_>, is_there: bool) {
        let add =
            |sum: &mut u64, is: bool| *sum = sum.wrapping_add_signed(i64::from(is) * if is_there { 1 } else { -1 });
        add(&mut self.names, card.is_bound());
        add(&mut self.cuts, card.is_cut());
        if card.is_cut() {
            for glue in super::glue_of(cards, card) {
                if is_there {
                    self.glue.insert(glue)
                } else {
                    self.glue.remove(&glue)
                };
            }
        }
        if card.is_bound() && update::accounts::is_of_clients(card.labels()) {
            self.unlogged.insert(card.labels().to_vec());
        }
    }
}

fn read_nodes(bytes: &[u8]) -> Result<BTreeMap<Vec<u8>, Option<Node>>, Unusable> {
    let node = |node: &[u8]| match node.is_empty() {
        true => Ok(None),
        false => Node::of(node).map(Some).ok_or(Unusable::Damaged),
    };
    pairs_of(bytes)?.map(|[key, bytes]| Ok((key.to_vec(), node(bytes)?))).collect()
}

fn read_volatile(zone: &Zone, bytes: &[u8]) -> Result<HashMap<String, Vec<Row>>, Unusable> {
    let cards = parts_of(bytes)?.into_iter().map(CardRef::of);
    Ok(cards.map(|card| (format!("{}.{}", name::text_of(card.labels()), zone.name()), rows_of(card))).collect())
}

/// Errors: a key that may have signed is not one of the zone any more.
fn check_keys(zone: &Zone, bytes: &[u8]) -> Result<(), Unusable> {
    let held = zone.signing.as_ref().map(signing_keys).unwrap_or_default();
    match parts_of(bytes)?.into_iter().all(|key| held.iter().any(|held| held == key)) {
        true => Ok(()),
        false => Err(Unusable::Other("key")),
    }
}

impl Zone {
    /// Returns how often anything that a snapshot has was changed.
    pub(crate) fn changes(&self) -> u64 {
        self.recorder.changes.load(Ordering::Relaxed)
    }

    /// Returns the size of the log that has the names, leaves.
    pub(crate) fn log_size(&self) -> u64 {
        self.log_size.load(Ordering::Relaxed)
    }

    /// Returns whether every name has its signatures, or will have none.
    pub(crate) fn is_signed_once(&self) -> bool {
        self.signing.as_ref().is_none_or(|signing| signing.first_end_s() > 0)
    }

    /// Ends a snapshot that is not written to its end.
    pub(crate) fn forget_snapshot(&self) {
        *self.recorder.lock() = None;
    }

    /// Changes the chain, with the records that [`Signing::altered`] gave.
    pub(super) fn change_chain(&self, signing: &Signing, changes: &Changes, altered: Vec<Nsec>) {
        let keys: Vec<Vec<u8>> = match self.recorder.is_on() {
            true => changes.keys().chain(altered.iter().map(|nsec| &nsec.key)).cloned().collect(),
            false => Vec::new(),
        };
        signing.change(changes, altered);
        self.recorder.nodes(keys);
    }

    /// Returns the zone, which had no names yet, with those of a snapshot, and the volatile rows it had then. What is shown from now on is signed at once.
    #[must_use]
    pub(crate) fn adopt(mut self, loaded: Loaded) -> Self {
        let mut own = Vec::new();
        self.cards.each(0..ZONE_SEGMENTS, |card| own.extend(card.is_fixed().then(|| card.to_card())));
        self.cards = loaded.cards;
        self.names = AtomicU64::new(loaded.counts.names);
        self.cuts = AtomicU64::new(loaded.counts.cuts);
        self.glue = Mutex::new(loaded.counts.glue);
        self.volatile = Mutex::new(loaded.volatile);
        self.log_size.fetch_max(loaded.end.size, Ordering::Relaxed);
        self.signs.store(true, Ordering::Release);
        if let Some(signing) = &self.signing {
            signing.set_chain(loaded.chain);
            let changes = first_owners();
            self.change_chain(signing, &changes, signing.altered(&changes, true));
        }
        let writer = self.lock_writer();
        // The operator may have changed what is his; what is the same is the same again.
        self.show(&writer, loaded.counts.unlogged.iter().map(|labels| Card::empty(labels)).collect());
        self.show(&writer, own);
        drop(writer);
        self
    }
}

/// The owners of a signed zone without names.
pub(super) fn first_owners() -> Changes {
    Changes::from([
        (Vec::new(), Some(bitmap(&apex_types()))),
        (sort_key(&[CHECKPOINT_OWNER]), Some(bitmap(&[TYPE_RRSIG, TYPE_NSEC]))),
        (sort_key(&[PROOF_OWNER]), Some(bitmap(&[TYPE_NS, TYPE_RRSIG, TYPE_NSEC]))),
    ])
}

#[cfg(test)]
mod tests;

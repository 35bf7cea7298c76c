//! Where the cards lie: memory that readers never lock, and an index that finds a name in it.
//!
//! A card is written behind the others of a *chunk*, 1 MiB of words, and never changed there: `u16 length, little-endian | the card`, filled up to a
//! whole word. A *slot* of the index, open addressing in segments, is one word too: `tag 32 | place 32`. A change writes the new card and then stores
//! the slot, so a reader finds the card before it or the one after it. What was replaced is dead; a chunk that is more than half dead is left, its
//! live cards written elsewhere. When a segment has grown, or a chunk has come or gone, readers are given another *view*.
//!
//! A place may be used anew by another chunk. So whoever has read looks whether the view is still the newest; if not, what it read may be nothing, or
//! from long ago, and it reads once more. Readers wait for nobody; writers, one at a time, not for readers.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use siphasher::sip::SipHasher13;

use super::card::CardRef;
use super::limits::{CARD_CHUNK_WORDS, ZONE_SEGMENTS};

/// A slot that no card ever had: a search ends here.
const EMPTY: u64 = 0;

/// A slot whose card is gone: a search goes on.
const GONE: u64 = u32::MAX as u64;

/// The fewest slots of a segment.
const SLOTS_MIN: usize = 8;

const LENGTH_BYTES: usize = 2;
const WORD_BYTES: usize = 8;

/// What is read ahead of a card: most cards are no longer; and of that a word in each line of the processor's memory.
const AHEAD_WORDS: usize = 24;
const LINE_WORDS: usize = 8;

type Words = Arc<[AtomicU64]>;

/// The cards of a zone.
pub(crate) struct Cards {
    /// Secret, so that nobody can choose names that meet in one place.
    keys: [u64; 2],
    view: ArcSwap<View>,
    /// The number of the newest view.
    newest: AtomicU64,
    /// Apart from what readers read.
    writer: Box<Mutex<Writer>>,
}

/// What a reader needs.
#[derive(Clone)]
struct View {
    number: u64,
    segments: Box<[Words]>,
    /// Those that were left are empty.
    chunks: Vec<Words>,
}

/// What only the writer needs.
struct Writer {
    /// The chunk that is written to, and the words of it that are.
    open: usize,
    used: usize,
    /// The live words of each chunk, and how many are written.
    chunks: Vec<Fill>,
    /// The slots of each segment that hold a card, and those that ever did.
    segments: Box<[Slots]>,
}

#[derive(Clone, Copy, Default)]
struct Fill {
    live: usize,
    used: usize,
}

#[derive(Clone, Copy, Default)]
struct Slots {
    cards: usize,
    used: usize,
}

/// What a name is looked up by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hashed {
    segment: usize,
    tag: u32,
}

thread_local! {
    /// What the last card of this thread was read into.
    static READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Cards {
    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        Self::with_keys([0, 1].map(|number: u8| random.hash_one(number)))
    }

    /// Returns an empty one whose names lie where those of another one with these keys do.
    pub(crate) fn with_keys(keys: [u64; 2]) -> Self {
        let segments: Box<[Words]> = (0..ZONE_SEGMENTS).map(|_| words(SLOTS_MIN)).collect();
        let slots = vec![Slots::default(); ZONE_SEGMENTS].into_boxed_slice();
        let writer = Writer { open: 0, used: 0, chunks: vec![Fill::default()], segments: slots };
        Self {
            keys,
            view: ArcSwap::from_pointee(View { number: 0, segments, chunks: vec![words(CARD_CHUNK_WORDS)] }),
            newest: AtomicU64::new(0),
            writer: Box::new(Mutex::new(writer)),
        }
    }

    /// Returns what [`Cards::with_keys`] wants to have.
    pub(crate) fn keys(&self) -> [u64; 2] {
        self.keys
    }

    /// Calls `look` with the card of a relative name in wire labels.
    pub(crate) fn read<T>(&self, labels: &[u8], look: impl FnOnce(Option<CardRef<'_>>) -> T) -> T {
        let mut bytes = READ.take();
        let is_there = self.copy(labels, &mut bytes);
        let seen = look(is_there.then(|| CardRef::of(&bytes)));
        READ.set(bytes);
        seen
    }

    /// Reads ahead what the look-ups of some names are going to read: all at once, where one look-up after the other would wait for memory each time.
    pub(crate) fn read_ahead(&self, names: &[Hashed]) {
        let view = self.view.load();
        let first = |name: &Hashed| {
            let segment = &view.segments[name.segment];
            segment[first_slot(name.tag, segment.len())].load(Ordering::Relaxed)
        };
        black_box(names.iter().map(first).fold(0, u64::wrapping_add));
        let card = |name: &Hashed| {
            let place = find(&view.segments[name.segment], name.tag, |_| true).map(|(_, place)| chunk_of(place));
            let chunk = place.and_then(|(chunk, at)| view.chunks.get(chunk)?.get(at..));
            let lines = chunk.into_iter().flat_map(|words| words.iter().take(AHEAD_WORDS).step_by(LINE_WORDS));
            lines.map(|word| word.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
        };
        black_box(names.iter().map(card).fold(0, u64::wrapping_add));
    }

    /// Calls `look` with every card of some segments, each once; nothing changes meanwhile, and `look` changes nothing.
    pub(crate) fn each(&self, segments: Range<usize>, mut look: impl FnMut(CardRef<'_>)) {
        let _writer = self.lock();
        let (view, mut bytes) = (self.view.load(), Vec::new());
        for slot in view.segments[segments].iter().flat_map(|segment| segment.iter()) {
            if let Some(place) = place_of(slot.load(Ordering::Acquire))
                && view.copy(place, &mut bytes)
            {
                look(CardRef::of(&bytes));
            }
        }
    }

    /// Puts a card in the place of that of the same name, if there is one.
    pub(crate) fn put(&self, card: CardRef<'_>) {
        let mut writer = self.lock();
        let open = writer.open;
        let old = self.place(&mut writer, card);
        self.bury(&mut writer, old);
        self.tidy(&mut writer, open);
    }

    /// Takes the card of a name away, if there is one.
    pub(crate) fn remove(&self, labels: &[u8]) {
        let mut writer = self.lock();
        let (hashed, view) = (self.hash(labels), self.view.load());
        let segment = &view.segments[hashed.segment];
        let found = find(segment, hashed.tag, |place| view.is_of(place, labels));
        if let Some((at, place)) = found {
            segment[at].store(GONE, Ordering::Release);
            writer.segments[hashed.segment].cards -= 1;
            self.bury(&mut writer, Some(place));
        }
    }

    /// Returns what fills segments of this one, which has no cards, beside others of the same `chunks`, at first 1.
    pub(crate) fn filler<'c>(&'c self, chunks: &'c AtomicUsize) -> Filler<'c> {
        Filler { cards: self, numbers: chunks, chunks: Vec::new(), segments: Vec::new() }
    }

    /// Has from now on what was filled, each segment by one.
    pub(crate) fn adopt(&self, filled: Vec<Filler<'_>>) {
        let mut writer = self.lock();
        let (chunks, segments): (Vec<_>, Vec<_>) =
            filled.into_iter().map(|filler| (filler.chunks, filler.segments)).unzip();
        let mut chunks: Vec<_> = chunks.into_iter().flatten().collect();
        chunks.sort_unstable_by_key(|(number, ..)| *number);
        writer.chunks.extend(chunks.iter().map(|(_, _, used)| Fill { live: *used, used: *used }));
        self.show(|view| {
            view.chunks.extend(chunks.into_iter().map(|(_, words, _)| words));
            for (segment, slots, cards) in segments.into_iter().flatten() {
                writer.segments[segment] = Slots { cards, used: cards };
                view.segments[segment] = slots;
            }
        });
    }

    /// Returns how many cards there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().segments.iter().map(|slots| slots.cards).sum()
    }

    /// Returns the bytes that cards and index take.
    pub(crate) fn bytes(&self) -> usize {
        let view = self.view.load();
        view.segments.iter().chain(&view.chunks).map(|words| words.len() * WORD_BYTES).sum()
    }

    /// Reads the card of a name into `bytes`; returns whether there is one.
    fn copy(&self, labels: &[u8], bytes: &mut Vec<u8>) -> bool {
        let hashed = self.hash(labels);
        loop {
            if let Some(is_there) = self.copy_from(&self.view.load(), hashed, labels, bytes) {
                return is_there;
            }
        }
    }

    /// As [`Cards::copy`], by a view; `None` if that is the newest no more.
    fn copy_from(&self, view: &View, hashed: Hashed, labels: &[u8], bytes: &mut Vec<u8>) -> Option<bool> {
        let is_it = |place| view.copy(place, bytes) && CardRef::of(bytes).is_of(labels);
        let found = find(&view.segments[hashed.segment], hashed.tag, is_it);
        (self.newest.load(Ordering::Acquire) <= view.number).then_some(found.is_some())
    }

    /// Returns what a name is looked up by.
    pub(crate) fn hash(&self, labels: &[u8]) -> Hashed {
        let [first, second] = self.keys;
        let hash = SipHasher13::new_with_keys(first, second).hash(labels);
        Hashed { segment: (hash >> 32) as usize % ZONE_SEGMENTS, tag: hash as u32 }
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives readers another view.
    fn show(&self, change: impl FnOnce(&mut View)) {
        let mut view = View::clone(&self.view.load());
        view.number += 1;
        change(&mut view);
        let number = view.number;
        self.view.store(Arc::new(view));
        self.newest.store(number, Ordering::Release);
    }

    /// Writes a card, and makes the slot of its name lead there; returns where it led before.
    fn place(&self, writer: &mut Writer, card: CardRef<'_>) -> Option<u32> {
        let (place, count) = self.write(writer, card);
        writer.chunks[chunk_of(place).0].live += count;
        self.set(writer, card.labels(), place)
    }

    /// Writes a card behind the others; returns its place and how many words it takes there.
    fn write(&self, writer: &mut Writer, card: CardRef<'_>) -> (u32, usize) {
        let count = words_for(card);
        if writer.used + count > CARD_CHUNK_WORDS {
            self.open_chunk(writer);
        }
        write_card(&self.view.load().chunks[writer.open][writer.used..], card);
        let place = place(writer.open, writer.used);
        writer.used += count;
        writer.chunks[writer.open].used = writer.used;
        (place, count)
    }

    /// Goes on with an empty chunk, at the first place where none is.
    fn open_chunk(&self, writer: &mut Writer) {
        let chunks = &self.view.load().chunks;
        let free = chunks.iter().position(|words| words.is_empty());
        (writer.open, writer.used) = (free.unwrap_or(chunks.len()), 0);
        if free.is_none() {
            writer.chunks.push(Fill::default());
        }
        let new = words(CARD_CHUNK_WORDS);
        self.show(|view| match free {
            Some(free) => view.chunks[free] = new,
            None => view.chunks.push(new),
        });
    }

    /// Makes the slot of a name lead to a place; returns where it led before.
    fn set(&self, writer: &mut Writer, labels: &[u8], place: u32) -> Option<u32> {
        let hashed = self.hash(labels);
        let slot = slot(hashed.tag, place);
        let view = self.view.load();
        let segment = &view.segments[hashed.segment];
        if let Some((at, old)) = find(segment, hashed.tag, |place| view.is_of(place, labels)) {
            segment[at].store(slot, Ordering::Release);
            return Some(old);
        }
        let slots = &mut writer.segments[hashed.segment];
        slots.cards += 1;
        slots.used += usize::from(insert(segment, slot));
        if slots.used * 5 > segment.len() * 4 {
            // A name costs 10 to 12 bytes of slots.
            let grown = words((slots.cards * 3 / 2 + 1).max(SLOTS_MIN));
            segment.iter().map(|slot| slot.load(Ordering::Relaxed)).filter(|&slot| place_of(slot).is_some()).for_each(
                |slot| {
                    insert(&grown, slot);
                },
            );
            slots.used = slots.cards;
            self.show(|view| view.segments[hashed.segment] = grown);
        }
        None
    }

    /// Counts what was replaced as dead.
    fn bury(&self, writer: &mut Writer, place: Option<u32>) {
        let Some(place) = place else { return };
        let (chunk, at) = chunk_of(place);
        let count = {
            let view = self.view.load();
            view.chunks[chunk].get(at).map_or(0, |word| words_of(word.load(Ordering::Relaxed)))
        };
        writer.chunks[chunk].live -= count;
        self.tidy(writer, chunk);
    }

    /// Leaves a chunk that is written no more, if more than half of it is dead.
    fn tidy(&self, writer: &mut Writer, chunk: usize) {
        let Fill { live, used } = writer.chunks[chunk];
        if chunk != writer.open && used > 0 && live * 2 < CARD_CHUNK_WORDS {
            self.leave(writer, chunk);
        }
    }

    /// Writes the live cards of a chunk elsewhere, and takes it away.
    fn leave(&self, writer: &mut Writer, chunk: usize) {
        let (old, open) = (self.view.load().chunks[chunk].clone(), writer.open);
        let (mut at, mut bytes) = (0, Vec::new());
        while at < writer.chunks[chunk].used && copy_card(&old, at, &mut bytes) {
            let here = place(chunk, at);
            at += words_of(old[at].load(Ordering::Relaxed));
            let card = CardRef::of(&bytes);
            let hashed = self.hash(card.labels());
            let is_live = {
                let view = self.view.load();
                find(&view.segments[hashed.segment], hashed.tag, |place| place == here).is_some()
            };
            if is_live {
                self.place(writer, card);
            }
        }
        writer.chunks[chunk] = Fill::default();
        self.show(|view| view.chunks[chunk] = words(0));
        // Each chunk that is left frees more than it writes: this ends.
        self.tidy(writer, open);
    }
}

/// Fills segments that nobody reads yet: as [`Cards::put`] does, in a fraction of its time, and on several processors at once.
pub(crate) struct Filler<'c> {
    cards: &'c Cards,
    /// The number of the next chunk of any.
    numbers: &'c AtomicUsize,
    /// Each with its number, and the words that are written; the last one is open.
    chunks: Vec<(usize, Words, usize)>,
    /// Each with its slots, and how many cards it has.
    segments: Vec<(usize, Words, usize)>,
}

impl Filler<'_> {
    /// Puts cards into a segment, each of another name and all of names that lie there.
    pub(crate) fn fill(&mut self, segment: usize, cards: &[CardRef<'_>]) {
        let slots = words((cards.len() * 4 / 3 + 1).max(SLOTS_MIN));
        for card in cards {
            let place = self.write(*card);
            insert(&slots, slot(self.cards.hash(card.labels()).tag, place));
        }
        self.segments.push((segment, slots, cards.len()));
    }

    fn write(&mut self, card: CardRef<'_>) -> u32 {
        let count = words_for(card);
        if self.chunks.last().is_none_or(|(_, _, used)| used + count > CARD_CHUNK_WORDS) {
            self.chunks.push((self.numbers.fetch_add(1, Ordering::Relaxed), words(CARD_CHUNK_WORDS), 0));
        }
        let (number, chunk, used) = self.chunks.last_mut().expect("one is open");
        write_card(&chunk[*used..], card);
        let place = place(*number, *used);
        *used += count;
        place
    }
}

impl Hashed {
    /// Returns the segment the name lies in, below [`ZONE_SEGMENTS`].
    pub(crate) fn segment(self) -> usize {
        self.segment
    }
}

impl View {
    /// Reads the card at a place into `bytes`; returns whether one can be there.
    fn copy(&self, place: u32, bytes: &mut Vec<u8>) -> bool {
        let (chunk, at) = chunk_of(place);
        self.chunks.get(chunk).is_some_and(|chunk| copy_card(chunk, at, bytes))
    }

    /// Returns whether the card at a place is that of a name.
    fn is_of(&self, place: u32, labels: &[u8]) -> bool {
        let mut bytes = READ.take();
        let is_it = self.copy(place, &mut bytes) && CardRef::of(&bytes).is_of(labels);
        READ.set(bytes);
        is_it
    }
}

fn words(count: usize) -> Words {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

fn slot(tag: u32, place: u32) -> u64 {
    (u64::from(tag) << 32) | u64::from(place)
}

fn place_of(slot: u64) -> Option<u32> {
    (slot != EMPTY && slot != GONE).then_some(slot as u32)
}

fn place(chunk: usize, at: usize) -> u32 {
    let place = u32::try_from(chunk * CARD_CHUNK_WORDS + at + 1).ok().filter(|place| *place < u32::MAX);
    place.expect("the cards of a zone take 32 GiB at most")
}

fn chunk_of(place: u32) -> (usize, usize) {
    let word = place as usize - 1;
    (word / CARD_CHUNK_WORDS, word % CARD_CHUNK_WORDS)
}

/// Returns how many words a card takes, by its first one.
fn words_of(first: u64) -> usize {
    (LENGTH_BYTES + usize::from(first as u16)).div_ceil(WORD_BYTES)
}

fn words_for(card: CardRef<'_>) -> usize {
    (LENGTH_BYTES + card.bytes().len()).div_ceil(WORD_BYTES)
}

/// Writes a card where there is room for it.
fn write_card(chunk: &[AtomicU64], card: CardRef<'_>) {
    let bytes = card.bytes();
    let length = u16::try_from(bytes.len()).expect("a card is 48 rows at most, of 64 KiB together");
    let (head, rest) = bytes.split_at(bytes.len().min(WORD_BYTES - LENGTH_BYTES));
    let mut first = [0; WORD_BYTES];
    first[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    first[LENGTH_BYTES..LENGTH_BYTES + head.len()].copy_from_slice(head);
    chunk[0].store(u64::from_le_bytes(first), Ordering::Relaxed);
    let (whole, last) = rest.as_chunks();
    for (word, bytes) in chunk[1..].iter().zip(whole) {
        word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
    }
    if !last.is_empty() {
        let mut bytes = [0; WORD_BYTES];
        bytes[..last.len()].copy_from_slice(last);
        chunk[1 + whole.len()].store(u64::from_le_bytes(bytes), Ordering::Relaxed);
    }
}

/// Reads the card that begins at a word; returns whether one can begin there.
fn copy_card(chunk: &[AtomicU64], at: usize, bytes: &mut Vec<u8>) -> bool {
    let Some(first) = chunk.get(at).map(|word| word.load(Ordering::Relaxed)) else { return false };
    let Some(card) = chunk.get(at..at + words_of(first)) else { return false };
    bytes.clear();
    bytes.extend_from_slice(&first.to_le_bytes()[LENGTH_BYTES..]);
    for word in &card[1..] {
        bytes.extend_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
    }
    bytes.truncate(usize::from(first as u16));
    true
}

/// Returns the slot at which the search for a tag begins: slots lie in the order of their tags, so that a segment can grow without its cards.
fn first_slot(tag: u32, slots: usize) -> usize {
    ((u64::from(tag) * slots as u64) >> 32) as usize
}

/// Returns the slots from where a search for a tag begins, all of them once.
fn slots_from(segment: &[AtomicU64], tag: u32) -> impl Iterator<Item = (usize, &AtomicU64)> {
    let first = first_slot(tag, segment.len());
    let (before, from) = segment.split_at(first);
    from.iter().chain(before).enumerate().map(move |(step, slot)| ((first + step) % segment.len(), slot))
}

/// Returns the slot of a tag, and its place, whose card `is_it`.
fn find(segment: &[AtomicU64], tag: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<(usize, u32)> {
    for (at, slot) in slots_from(segment, tag) {
        let slot = slot.load(Ordering::Acquire);
        if slot == EMPTY {
            return None;
        }
        if let Some(place) = place_of(slot).filter(|_| (slot >> 32) as u32 == tag)
            && is_it(place)
        {
            return Some((at, place));
        }
    }
    None
}

/// Stores a slot at the first free place of its search; returns whether no card was ever there.
fn insert(segment: &[AtomicU64], slot: u64) -> bool {
    for (_, free) in slots_from(segment, (slot >> 32) as u32) {
        let before = free.load(Ordering::Relaxed);
        if place_of(before).is_none() {
            free.store(slot, Ordering::Release);
            return before == EMPTY;
        }
    }
    unreachable!("a segment has free slots always")
}

#[cfg(test)]
mod tests;

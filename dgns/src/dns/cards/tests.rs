use std::collections::HashMap;

use identity::cert::Row;
use identity::did::Did;

use super::super::card::Card;
use super::*;

/// Returns a card whose log index is `version`, as long as its records of 4 bytes make it.
fn card(labels: &[u8], version: u64, rows: usize) -> Card {
    let row = Row { owner: String::new(), rtype: 1, rdata: vec![version as u8; 4], ttl: 60 };
    Card::bound(labels, Some(&Did::from_bytes([7; 20])), version, 0, &vec![row; rows]).expect("a card")
}

fn labels(number: u64) -> Vec<u8> {
    let text = number.to_string();
    [&[text.len() as u8], text.as_bytes()].concat()
}

fn version(cards: &Cards, labels: &[u8]) -> Option<u64> {
    cards.read(labels, |card| card.map(CardRef::log_index))
}

fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

#[test]
fn cards_after_random_changes_are_those_of_a_map() {
    // Goal: growing, leaving chunks and using their places anew lose nothing and bring nothing back. Method: 400,000 changes from a fixed
    // xorshift to 20,000 names, cards of 1 to 8 records: some 50 MiB written where at most 3 MiB live.
    let (cards, mut model, mut seed) = (Cards::new(), HashMap::new(), 0x9E37_79B9_7F4A_7C15_u64);
    for change in 1..=400_000_u64 {
        let labels = labels(random(&mut seed) % 20_000);
        match random(&mut seed) % 4 {
            0 => {
                cards.remove(&labels);
                model.remove(&labels);
            }
            _ => {
                cards.put(card(&labels, change, 1 + change as usize % 8).read());
                model.insert(labels, change);
            }
        }
    }
    assert_eq!(cards.len(), model.len());
    for labels in (0..20_000).map(labels) {
        assert_eq!(version(&cards, &labels), model.get(&labels).copied());
    }
    let mut seen = HashMap::new();
    cards.each(0..ZONE_SEGMENTS, |card| {
        assert_eq!(seen.insert(card.labels().to_vec(), card.log_index()), None, "once");
        assert!(card.rows().all(|row| row.rdata == [card.log_index() as u8; 4]));
    });
    assert_eq!(seen, model);
    assert!(cards.bytes() < 8 << 20, "{} bytes for {} cards", cards.bytes(), cards.len());
}

#[test]
fn readers_see_every_change_in_order_while_cards_move() {
    // Goal: a reader that met a version never meets an older one or none, whatever grows or moves meanwhile. Method: one writer replaces 2,000
    // cards 300 times over, and has others come and go; two readers follow.
    let cards = Cards::new();
    (0..2_000).for_each(|number| cards.put(card(&labels(number), 1, 4).read()));
    let is_done = || version(&cards, &labels(1_999)) == Some(301);
    let read = |begin: u64| {
        let mut seen = vec![1; 2_000];
        while !is_done() {
            for number in (0..2_000).map(|at| (begin + at) % 2_000) {
                let now = version(&cards, &labels(number)).expect("it is always there");
                assert!(now >= seen[number as usize], "{number}: {now} after {}", seen[number as usize]);
                seen[number as usize] = now;
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| read(0));
        scope.spawn(|| read(1_000));
        // Whoever fails here lets the readers end too.
        let _last = Last(&cards);
        for round in 2..302 {
            (0..2_000).for_each(|number| cards.put(card(&labels(number), round, 1 + (round % 6) as usize).read()));
            let (come, go) = (10_000 + round % 2 * 5_000, 10_000 + (round + 1) % 2 * 5_000);
            (come..come + 200).for_each(|number| cards.put(card(&labels(number), round, 1).read()));
            (go..go + 200).for_each(|number| cards.remove(&labels(number)));
        }
    });
    assert!(cards.view.load().number > 20, "chunks came and went");
    assert_eq!(cards.len(), 2_200);
}

/// Puts, at its end, what the readers end at.
struct Last<'c>(&'c Cards);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        self.0.put(card(&labels(1_999), 301, 1).read());
    }
}

#[test]
fn what_an_old_view_finds_is_asked_again() {
    // Goal: whoever reads by a view that is the newest no more believes nothing of it, whatever lies now where its places lead. Method: an old
    // view, and cards of other lengths until each chunk it knows has another in its place.
    let cards = Cards::new();
    (0..2_000).for_each(|number| cards.put(card(&labels(number), 1, 3).read()));
    let old = cards.view.load_full();
    let (mut round, is_same) = (1, |view: &View| {
        view.chunks[..old.chunks.len()]
            .iter()
            .zip(&old.chunks)
            .any(|(now, then)| Arc::ptr_eq(now, then) || now.is_empty())
    });
    while is_same(&cards.view.load()) {
        round += 1;
        (0..2_000).for_each(|number| cards.put(card(&labels(number), round, 1 + (number + round) as usize % 7).read()));
    }
    let mut bytes = Vec::new();
    for labels in (0..2_000).map(labels) {
        assert_eq!(cards.copy_from(&old, cards.hash(&labels), &labels, &mut bytes), None);
        assert_eq!(version(&cards, &labels), Some(round));
    }
}

#[test]
fn memory_of_what_came_and_went_is_free_again() {
    // Goal: cards that are dead when their chunk is full, and such a chunk with one card that lives, take nothing. Method: 200,000 names that
    // come and go at once; then one name of ten that stays.
    let cards = Cards::new();
    for number in 0..200_000 {
        cards.put(card(&labels(number), number, 1).read());
        if number % 10 != 0 || number < 100_000 {
            cards.remove(&labels(number));
        }
    }
    assert_eq!(cards.len(), 10_000);
    assert!(cards.bytes() < 4 << 20, "{} bytes for {} cards", cards.bytes(), cards.len());
}

#[test]
fn ahead_of_a_look_up_any_name_may_be_read() {
    let cards = Cards::new();
    cards.put(card(&labels(1), 1, 48).read());
    let names: Vec<Hashed> = (0..9).map(|number| cards.hash(&labels(number))).collect();
    cards.read_ahead(&names);
    cards.read_ahead(&[]);
    assert_eq!((version(&cards, &labels(1)), version(&cards, &labels(2))), (Some(1), None));
}

#[test]
fn a_name_costs_at_most_64_bytes() {
    // Goal: the memory of a million names with an address each, as the design counts it. Method: 100,000 of them.
    let cards = Cards::new();
    for number in 0..100_000 {
        cards.put(card(&labels(1_000_000 + number), number, 1).read());
    }
    assert!(cards.bytes() <= 64 * 100_000, "{} bytes a name", cards.bytes() / 100_000);
}

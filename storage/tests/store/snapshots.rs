//! Snapshots: entries that are listed, and taken from who may write alone.

use dgns_api::store::entry::{Class, LogId};
use dgns_api::store::limits::SNAPSHOTS_PER_ANSWER_MAX;
use storage::inject::Plan;
use storage::store::Store;

use crate::ground::{Device, Ground, append, db, main_log, make, on_both_engines, open, person};

on_both_engines! {
    the_newest_snapshots_of_a_log_are_listed_and_nobody_else_makes_any
}

async fn listed(store: &Store, log: LogId) -> Vec<u64> {
    let row = store.log(&log).await.unwrap().unwrap();
    store.snapshots(&row).await.unwrap()
}

async fn the_newest_snapshots_of_a_log_are_listed_and_nobody_else_makes_any(ground: &Ground) {
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let owner = make(&store, &[person(1), person(2)]).await;
    let mut device = Device::new(11, person(1), main_log());
    assert_eq!(listed(&store, main_log()).await, [0; 0]);
    let mut places = Vec::new();
    for number in 0..12 {
        let class = if number % 4 == 3 { Class::Data } else { Class::Snapshot };
        let entry = device.entry(class, b"sealed", None);
        (device.next, device.last) = (device.next + 1, Some(entry.leaf()));
        let placed = store.append(append(&[entry])).await.unwrap().placed[0];
        if class == Class::Snapshot {
            places.insert(0, placed.pos);
        }
    }
    assert_eq!(places.len(), SNAPSHOTS_PER_ANSWER_MAX + 1);
    assert_eq!(listed(&store, main_log()).await, places[..SNAPSHOTS_PER_ANSWER_MAX]);
    let stranger = Device::new(99, person(9), main_log()).entry(Class::Snapshot, b"sealed", None);
    let in_control = Device { log: LogId::control(&db()), ..owner.clone() };
    for (entry, code) in [(stranger, "not_writer"), (in_control.entry(Class::Snapshot, b"sealed", None), "bad_field")] {
        let refused = store.append(append(&[entry])).await.map(|_| ()).map_err(|refusal| refusal.code());
        assert_eq!(refused, Err(code));
    }
    assert_eq!(listed(&store, main_log()).await, places[..SNAPSHOTS_PER_ANSWER_MAX], "what was refused is not there");
}

//! Accounts whose leases end: what they may still say, and what of theirs is dropped, in steps that may be cut short anywhere.

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dgns_api::store::control::Control;
use dgns_api::store::entry::{Class, Entry, LogId};
use identity::did::Did;
use identity::token::Rights;
use storage::inject::Plan;
use storage::store::rows::{AccountRow, Dropped};
use storage::store::{Append, Charge, FreeQuota, Grace, NO_END_MS, Store, Sweep, Terms};
use storage::{Options, store::DatabaseUrl, store::Home};

use crate::chunks::{chunk, entries, files};
use crate::forks::{fill, forks, head, log_of, other};
use crate::ground::{
    Device, Ground, NOW_MS, append, db, grant, main_log, make, on_both_engines, on_packed_entries, open, person,
    revoke, turn,
};
use crate::{CHILD_DATABASE, say};

on_both_engines! {
    an_account_whose_lease_is_over_says_what_takes_out_and_ends_and_nothing_else
    what_is_said_after_a_lease_has_an_end_too
    what_nobody_pays_for_is_dropped_in_steps_and_nothing_else_is
    an_account_that_is_paid_again_keeps_what_is_not_dropped
    an_order_of_before_changes_nothing_and_nobody_is_given_less_than_they_use
    the_grace_is_counted_by_the_watch_and_by_no_clock
    one_server_sweeps_at_a_time
    who_was_given_no_end_has_none_whatever_the_clock_says
    who_reads_while_bodies_go_gets_whole_ones_or_is_told
    a_sweep_that_is_killed_anywhere_goes_on_and_ends
}

on_packed_entries! {
    what_nobody_pays_for_is_dropped_in_steps_and_nothing_else_is
    an_account_that_is_paid_again_keeps_what_is_not_dropped
    who_reads_while_bodies_go_gets_whole_ones_or_is_told
    a_sweep_that_is_killed_anywhere_goes_on_and_ends
}

/// Orders are given one after another.
static GIVEN: AtomicU64 = AtomicU64::new(1);

async fn give(store: &Store, number: u8, terms: Terms) -> AccountRow {
    store
        .give(&person(number), terms, GIVEN.fetch_add(1, Ordering::Relaxed), NOW_MS)
        .await
        .unwrap()
        .expect("a newer order")
}

pub(crate) async fn ends(store: &Store, number: u8, until_ms: u64) {
    give(store, number, Terms { until_ms: Some(until_ms), ..Terms::default() }).await;
}

/// A server's watch that began and found nobody else.
async fn watch(store: &Store, ran_ms: u64, now_ms: u64) -> Sweep {
    let mut sweep = Sweep::default();
    while !store.watch_lapses(&mut sweep, ran_ms, now_ms).await.unwrap() {}
    sweep
}

const AT_ONCE: u64 = 0;

/// Takes one step with a grace of nothing.
async fn step(store: &Store, sweep: &mut Sweep, now_ms: u64) -> bool {
    store.sweep(sweep, Grace { now_ms, grace_ms: AT_ONCE }).await.unwrap()
}

async fn is_dropped(store: &Store, did: Did) -> Dropped {
    store.database(&did).await.unwrap().unwrap().dropped
}

async fn code(store: &Store, entry: Entry) -> Option<&'static str> {
    store.append(append(&[entry])).await.err().map(|refusal| refusal.code())
}

/// Sweeps with nothing remembered from one step to the next, as if each crash came right behind a commit; returns how many it took.
pub(crate) async fn sweep(ground: &Ground, store: Store, now_ms: u64) -> (Store, usize) {
    let (mut store, mut steps) = (store, 0);
    loop {
        let mut sweep = watch(&store, 1, now_ms).await;
        let goes_on = step(&store, &mut sweep, now_ms).await;
        steps += 1;
        if !goes_on {
            return (store, steps);
        }
        store.close().await.unwrap();
        store = open(ground, &Plan::default(), 1 << 30).await;
    }
}

pub(crate) async fn bodies(store: &Store, log: LogId) -> Vec<bool> {
    let mut there = Vec::new();
    loop {
        let rows = store.range(&log, there.len() as u64, 1_024, None).await.unwrap().unwrap();
        there.extend(rows.entries.iter().map(|entry| !entry.body.is_empty()));
        if there.len() as u64 == rows.log.edge.size() {
            return there;
        }
    }
}

async fn an_account_whose_lease_is_over_says_what_takes_out_and_ends_and_nothing_else(ground: &Ground) {
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = make(&store, &[person(1), person(2)]).await;
    let mut writer = Device::new(1, person(1), main_log());
    let first = writer.next(b"first");
    let appended = store.append(append(std::slice::from_ref(&first))).await.unwrap();
    let account = store.account(&person(1)).await.unwrap().unwrap();
    assert_eq!(account.lease_until_ms, NO_END_MS);
    ends(&store, 1, NOW_MS).await;
    let says = |control: &Control| itself.entry(Class::Control, &control.encode(), None);
    assert_eq!(code(&store, writer.entry(Class::Data, b"x", None)).await, Some("lease_lapsed"));
    assert_eq!(code(&store, says(&grant(person(3), Rights::READ))).await, Some("lease_lapsed"));
    assert_eq!(code(&store, says(&Control::Owner { did: person(1), yes: true })).await, Some("lease_lapsed"));
    let mut new = Device::new(60, other(1), LogId::control(&other(1)));
    let genesis = Control::Genesis {
        did: other(1),
        kind: dgns_api::store::control::DbKind::General,
        home: crate::ground::home(),
        salt: [0; 16],
    };
    let made = store.append(Append { payer: Some(person(1)), ..append(&[new.says(&genesis)]) }).await;
    assert_eq!(made.map_err(|refusal| refusal.code()), Err("lease_lapsed"), "a further database");
    assert_eq!(store.append(append(&[first])).await, Ok(appended), "what was acknowledged is so again");
    let taken_out = [itself.says(&revoke(person(2), 1)), itself.says(&turn(2, &[person(1)]))];
    store.append(append(&taken_out)).await.unwrap();
    ends(&store, 1, NOW_MS + 1).await;
    chunks_are_refused_for_everything(&store).await;
    writer.epoch = 2;
    store.append(append(&[writer.next(b"second")])).await.unwrap();
    ends(&store, 1, NOW_MS).await;
    let unasked = itself.entry(Class::Control, &turn(3, &[person(1)]).encode(), None);
    assert_eq!(code(&store, unasked).await, Some("lease_lapsed"), "a key that nobody waits for");
    let end = Control::Tombstone { ends: vec![(main_log(), 2)] };
    store.append(append(&[itself.says(&Control::Delete { yes: true }), itself.says(&end)])).await.unwrap();
}

/// For files and for entries; the account of person 1 is leased until a millisecond from now.
async fn chunks_are_refused_for_everything(store: &Store) {
    let ((before, first), (after, second)) = (chunk(1, 100), chunk(2, 100));
    for charge in [files(1), entries(store, NOW_MS).await] {
        store.put_chunk(&before, first.clone(), charge).await.unwrap();
        let later = Charge { now_ms: NOW_MS + 1, ..charge };
        let put = store.put_chunk(&after, second.clone(), later).await;
        assert_eq!(put.map_err(|refusal| refusal.code()), Err("lease_lapsed"));
        assert_eq!(store.put_chunk(&before, first.clone(), later).await, Ok(()), "what is there is acknowledged again");
    }
}

async fn what_nobody_pays_for_is_dropped_in_steps_and_nothing_else_is(ground: &Ground) {
    // Goal: once a lease is over the bodies of its databases go, whatever is cut short; a fork that is paid for keeps what it goes on from, and
    // its own; each account is charged for what is there. Method: 600 entries and a fork of another payer at 300; a crash after every step.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = make(&store, &[person(1)]).await;
    store.append(append(&[itself.says(&Control::Owner { did: person(1), yes: true })])).await.unwrap();
    let mut writer = Device::new(1, person(1), main_log());
    fill(&store, &mut writer, 600).await;
    let at = head(&store, main_log(), 300).await;
    let begun = forks(&store, (person(1), 1), db(), other(1), at).await;
    store.append(Append { payer: Some(person(2)), ..append(&begun) }).await.unwrap();
    let mut on = Device::new(1, person(1), log_of(&other(1)));
    fill(&store, &mut on, 60).await;
    let used = async |store: &Store, number: u8| store.account(&person(number)).await.unwrap().unwrap().used_bytes;
    let before = [used(&store, 1).await, used(&store, 2).await];
    let roots = [head(&store, main_log(), 600).await, head(&store, log_of(&other(1)), 360).await];

    let (store, steps) = sweep(ground, store, NOW_MS).await;
    assert_eq!(steps, 1, "nothing is over");
    ends(&store, 1, NOW_MS).await;
    let (store, steps) = sweep(ground, store, NOW_MS).await;
    assert!(steps > 3, "{steps}");
    assert_eq!([is_dropped(&store, db()).await, is_dropped(&store, other(1)).await], [Dropped::Gone, Dropped::No]);
    let expected: Vec<bool> = (0..600).map(|pos| pos < 300).collect();
    assert_eq!(bodies(&store, main_log()).await, expected);
    assert_eq!(bodies(&store, log_of(&other(1))).await, vec![true; 360]);
    assert_eq!([used(&store, 1).await, used(&store, 2).await], [before[0] - 300, before[1]], "a byte each");
    assert_eq!([head(&store, main_log(), 600).await, head(&store, log_of(&other(1)), 360).await], roots);
    assert!(bodies(&store, LogId::control(&db())).await.iter().all(|there| *there), "the control log is the proof");
    store.append(append(&[on.next(b"on")])).await.unwrap();
    assert_eq!(code(&store, writer.entry(Class::Data, b"x", None)).await, Some("dropped"));
    let again = forks(&store, (person(1), 1), db(), other(2), at).await;
    let again = store.append(Append { payer: Some(person(2)), ..append(&again) }).await;
    assert_eq!(again.map_err(|refusal| refusal.code()), Err("dropped"), "nobody goes on from it any more");
    // Its owners are not locked out.
    let mut owner = Device::new(1, person(1), LogId::control(&db()));
    store.append(append(&[owner.says(&revoke(person(1), 600)), owner.says(&turn(2, &[]))])).await.unwrap();

    // Paid for again it is written to again; what it had is gone, and who forks it has no more of it.
    ends(&store, 1, NO_END_MS).await;
    assert_eq!(is_dropped(&store, db()).await, Dropped::PaidAgain);
    let back = [owner.says(&grant(person(1), Rights::READ.and(Rights::WRITE))), owner.says(&turn(3, &[person(1)]))];
    store.append(append(&back)).await.unwrap();
    writer.epoch = 3;
    store.append(append(&[writer.next(b"x")])).await.unwrap();
    assert_eq!(store.log(&main_log()).await.unwrap().unwrap().dropped_to, 600);
    let later = head(&store, main_log(), 601).await;
    let forked = forks(&store, (person(1), 1), db(), other(2), later).await;
    store.append(Append { payer: Some(person(3)), ..append(&forked) }).await.unwrap();
    assert_eq!(store.log(&log_of(&other(2))).await.unwrap().unwrap().dropped_to, 600);
    ends(&store, 1, NOW_MS).await;
    let (store, _) = sweep(ground, store, NOW_MS).await;
    let expected: Vec<bool> = (0..601).map(|pos| pos < 300 || pos == 600).collect();
    assert_eq!(bodies(&store, main_log()).await, expected, "each fork holds what it goes on from");

    for payer in [2, 3] {
        ends(&store, payer, NOW_MS).await;
    }
    let (store, _) = sweep(ground, store, NOW_MS).await;
    assert_eq!(bodies(&store, main_log()).await, vec![false; 601], "nobody goes on from it");
    assert_eq!(bodies(&store, log_of(&other(1))).await, vec![false; 361]);
    let end = Control::Tombstone { ends: vec![(main_log(), 601)] };
    store.append(append(&[owner.says(&Control::Delete { yes: true }), owner.says(&end)])).await.unwrap();
}

async fn what_is_said_after_a_lease_has_an_end_too(ground: &Ground) {
    // Goal: who pays no more fills no disk. Method: an owner says that the database ends and that it does not, until they are refused.
    let store = open(ground, &Plan::default(), 10 << 20).await;
    let mut itself = make(&store, &[person(1)]).await;
    ends(&store, 1, NOW_MS).await;
    let before = store.account(&person(1)).await.unwrap().unwrap();
    let mut refused = None;
    for _ in 0..100 {
        let said: Vec<Entry> = (0..64).map(|number| itself.says(&Control::Delete { yes: number % 2 == 0 })).collect();
        if let Err(refusal) = store.append(append(&said)).await {
            refused = Some(refusal.code());
            break;
        }
    }
    assert_eq!(refused, Some("quota"));
    let after = store.account(&person(1)).await.unwrap().unwrap();
    let said = after.used_bytes - before.used_bytes;
    assert!(after.used_bytes < after.quota_bytes && (900_000..=1 << 20).contains(&said), "{said}");
}

async fn an_account_that_is_paid_again_keeps_what_is_not_dropped(ground: &Ground) {
    // Goal: a lease that is given while bodies go ends that at once. Method: 600 entries, given after the first of them went.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1)]).await;
    let mut writer = Device::new(1, person(1), main_log());
    fill(&store, &mut writer, 600).await;
    ends(&store, 1, NOW_MS).await;
    let mut sweep = watch(&store, 1, NOW_MS).await;
    for _ in 0..2 {
        assert!(step(&store, &mut sweep, NOW_MS).await);
    }
    assert_eq!(is_dropped(&store, db()).await, Dropped::Going);
    assert!(store.range(&main_log(), 0, 1, None).await.unwrap().unwrap().is_dropped);
    ends(&store, 1, NOW_MS + 2).await;
    while step(&store, &mut sweep, NOW_MS).await {}
    assert_eq!(is_dropped(&store, db()).await, Dropped::PaidAgain);
    let rows = store.range(&main_log(), 0, 1, None).await.unwrap().unwrap();
    let kept = rows.log.dropped_to;
    assert!(!rows.is_dropped && (1..600).contains(&kept), "{kept}");
    assert_eq!(bodies(&store, main_log()).await, (0..600).map(|pos| pos >= kept).collect::<Vec<_>>());
    store.append(append(&[writer.next(b"on")])).await.unwrap();
    let dbs = store.databases_of(&store.account(&person(1)).await.unwrap().unwrap(), 9).await.unwrap();
    assert_eq!(dbs.iter().map(|row| row.did).collect::<Vec<_>>(), [db()]);
}

async fn an_order_of_before_changes_nothing_and_nobody_is_given_less_than_they_use(ground: &Ground) {
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1)]).await;
    let mut writer = Device::new(1, person(1), main_log());
    let bytes = |bytes| Terms { bytes: Some(bytes), ..Terms::default() };
    let until = |until_ms| Terms { until_ms: Some(until_ms), ..Terms::default() };
    let given = async |terms, given_ms| store.give(&person(1), terms, given_ms, NOW_MS).await.unwrap();
    given(until(NOW_MS + 5), 10).await;
    given(bytes(1 << 20), 20).await;
    // Of each term the newest counts: not when it was taken up, nor what came of the other.
    assert_eq!(given(until(NOW_MS + 9), 15).await.map(|row| row.lease_until_ms), Some(NOW_MS + 9));
    for given_ms in [0, 10, 15] {
        assert_eq!(given(Terms { bytes: Some(1), ..until(NOW_MS) }, given_ms).await, None, "{given_ms}");
        let row = store.account(&person(1)).await.unwrap().unwrap();
        assert_eq!((row.lease_until_ms, row.quota_bytes), (NOW_MS + 9, 1 << 20), "{given_ms}");
    }
    let used = store.account(&person(1)).await.unwrap().unwrap();
    let row = given(Terms { bytes: Some(10), entries: Some(0), ..Terms::default() }, 30).await.unwrap();
    assert_eq!((row.quota_bytes, row.quota_entries), (used.used_bytes, used.used_entries));
    assert_eq!(store.account(&person(1)).await.unwrap(), Some(row));
    assert_eq!(code(&store, writer.next(b"x")).await, Some("quota"));
    // Who has none yet is given one.
    let row = store.give(&person(9), Terms { entries: Some(7), ..bytes(10) }, 1, NOW_MS).await.unwrap().unwrap();
    assert_eq!((row.quota_bytes, row.quota_entries, row.used_bytes), (10, 7, 0));
    assert!(store.databases_of(&row, 9).await.unwrap().is_empty());
    // What was said by a clock that was a year ahead counts until the clock is right, and then for no order that comes.
    const YEAR_MS: u64 = 365 * 86_400_000;
    let ahead = store.give(&person(9), until(NOW_MS + YEAR_MS + 1), NOW_MS + YEAR_MS, NOW_MS + YEAR_MS).await.unwrap();
    assert_eq!(ahead.unwrap().lease_until_ms, NOW_MS + YEAR_MS + 1);
    let right = store.give(&person(9), until(NOW_MS + 7), NOW_MS, NOW_MS).await.unwrap();
    assert_eq!(right.unwrap().lease_until_ms, NOW_MS + 7);
}

async fn the_grace_is_counted_by_the_watch_and_by_no_clock(ground: &Ground) {
    // Goal: a wrong clock deletes nothing, for however long it was wrong. Method: the clock jumps a hundred graces ahead and back, for an account
    // that is paid for and for one that is not; then servers watch for as long as the grace is.
    const GRACE_MS: u64 = 1_000;
    const FAR_MS: u64 = NOW_MS + 100 * GRACE_MS;
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1)]).await;
    store.append(append(&[Device::new(1, person(1), main_log()).next(b"first")])).await.unwrap();
    let step =
        async |sweep: &mut Sweep, now_ms| store.sweep(sweep, Grace { now_ms, grace_ms: GRACE_MS }).await.unwrap();
    ends(&store, 1, NOW_MS + 1).await;
    let mut sweep = watch(&store, GRACE_MS - 1, FAR_MS).await;
    assert!(!step(&mut sweep, FAR_MS).await, "noted, no more");
    let mut sweep = watch(&store, GRACE_MS, NOW_MS).await;
    assert!(!step(&mut sweep, FAR_MS).await, "it is forgotten");
    let mut sweep = watch(&store, 1, FAR_MS).await;
    assert!(!step(&mut sweep, FAR_MS).await, "and is noted anew");
    let _ = watch(&store, GRACE_MS, NOW_MS).await;

    ends(&store, 1, NOW_MS).await;
    let mut sweep = watch(&store, 7, NOW_MS).await;
    for ran_ms in [0, GRACE_MS - 1] {
        assert!(store.watch_lapses(&mut sweep, ran_ms, NOW_MS).await.unwrap());
        assert!(!step(&mut sweep, FAR_MS).await, "{ran_ms}");
    }
    assert!(store.watch_lapses(&mut sweep, 1, NOW_MS).await.unwrap());
    assert!(!step(&mut sweep, NOW_MS + GRACE_MS - 1).await, "the clock has the last word too");
    assert_eq!(is_dropped(&store, db()).await, Dropped::No);
    assert!(step(&mut sweep, NOW_MS + GRACE_MS).await);
    assert_eq!(is_dropped(&store, db()).await, Dropped::Going);
    // That it was over is not so after all, and what is not gone is there.
    assert!(store.watch_lapses(&mut sweep, 1, NOW_MS - 1).await.unwrap());
    assert!(!step(&mut sweep, FAR_MS).await);
    assert_eq!((is_dropped(&store, db()).await, bodies(&store, main_log()).await), (Dropped::PaidAgain, vec![true]));
}

async fn one_server_sweeps_at_a_time(ground: &Ground) {
    // Goal: of two that watch one does, and the other takes over once it does not. Method: each in turn, step by step.
    let first = open(ground, &Plan::default(), 1 << 30).await;
    make(&first, &[person(1)]).await;
    fill(&first, &mut Device::new(1, person(1), main_log()), 600).await;
    ends(&first, 1, NOW_MS).await;
    // A second node, where there may be one.
    let elsewhere = ground.elsewhere();
    let node = match ground.home.database {
        Some(_) => Some(open(&elsewhere, &Plan::default(), 1 << 30).await),
        None => None,
    };
    let second = node.as_ref().unwrap_or(&first);
    let (mut here, mut there) = (Sweep::default(), Sweep::default());
    assert!(!first.watch_lapses(&mut here, 5, NOW_MS).await.unwrap(), "it looks first");
    assert!(!step(&first, &mut here, NOW_MS).await, "nothing is noted");
    assert!(!second.watch_lapses(&mut there, 5, NOW_MS).await.unwrap());
    assert!(first.watch_lapses(&mut here, 5, NOW_MS).await.unwrap());
    assert!(step(&first, &mut here, NOW_MS).await);
    assert!(!step(second, &mut there, NOW_MS).await);
    assert!(!second.watch_lapses(&mut there, 5, NOW_MS).await.unwrap(), "somebody else does");
    assert!(first.watch_lapses(&mut here, 5, NOW_MS).await.unwrap());
    assert!(!step(second, &mut there, NOW_MS).await);
    // The first one stalls: the second takes over, and the first finds that before it drops anything.
    assert!(!second.watch_lapses(&mut there, 5, NOW_MS).await.unwrap());
    assert!(second.watch_lapses(&mut there, 5, NOW_MS).await.unwrap());
    let before = bodies(&first, main_log()).await;
    assert!(!step(&first, &mut here, NOW_MS).await);
    assert!(!first.watch_lapses(&mut here, 5, NOW_MS).await.unwrap());
    assert_eq!(bodies(&first, main_log()).await, before);
    while step(second, &mut there, NOW_MS).await {}
    assert_eq!(bodies(&first, main_log()).await, vec![false; 600]);
}

async fn who_was_given_no_end_has_none_whatever_the_clock_says(ground: &Ground) {
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1)]).await;
    let mut writer = Device::new(1, person(1), main_log());
    for now_ms in [NO_END_MS - 1, NO_END_MS, u64::MAX] {
        // The grant of the ground ends before: what is refused is that, not the account.
        let far = Append { now_ms, ..append(&[writer.entry(Class::Data, b"x", None)]) };
        assert_eq!(store.append(far).await.map_err(|refusal| refusal.code()), Err("not_writer"));
        let mut sweep = watch(&store, 1, now_ms).await;
        assert!(!step(&store, &mut sweep, now_ms).await);
    }
    store.append(append(&[writer.next(b"first")])).await.unwrap();
    assert_eq!(bodies(&store, main_log()).await, vec![true]);
}

async fn who_reads_while_bodies_go_gets_whole_ones_or_is_told(ground: &Ground) {
    // Goal: no reader takes an entry that lost its body for one. Method: two read over and over while all go, and while they come back.
    const ENTRIES: u64 = 1_500;
    let store = Arc::new(open(ground, &Plan::default(), 1 << 30).await);
    make(&store, &[person(1)]).await;
    fill(&store, &mut Device::new(1, person(1), main_log()), ENTRIES).await;
    let mut readers = tokio::task::JoinSet::new();
    for number in 0..2 {
        let store = store.clone();
        readers.spawn(async move {
            let (mut from, mut told) = (number, 0);
            // Until the last of them are gone.
            loop {
                from = (from + 97) % ENTRIES;
                let rows = store.range(&main_log(), from, 50, None).await.unwrap().unwrap();
                if rows.log.dropped_to == ENTRIES {
                    return told;
                }
                match rows.is_dropped || from < rows.log.dropped_to {
                    true => told += 1,
                    false => assert!(rows.entries.iter().all(|entry| !entry.body.is_empty()), "from {from}"),
                }
            }
        });
    }
    while store.log(&main_log()).await.unwrap().unwrap().dropped_to < ENTRIES {
        ends(&store, 1, NOW_MS).await;
        let mut sweep = watch(&store, 1, NOW_MS).await;
        for _ in 0..2 {
            step(&store, &mut sweep, NOW_MS).await;
        }
        ends(&store, 1, NO_END_MS).await;
    }
    // A reader ends only at what is dropped; what it was told before is counted for whoever reads this.
    println!("{} times told that it is gone", readers.join_all().await.into_iter().sum::<u64>());
}

/// The process that is killed: it takes one step of sweeping for each line that it is told.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_sweeps_until_killed() {
    let Some(dir) = std::env::var_os(SWEEPS_DIR) else { return };
    let database = std::env::var(CHILD_DATABASE).ok().map(DatabaseUrl);
    let free = FreeQuota { bytes: 1 << 30, entries: 1_000_000, lease_ms: None };
    let home = Home { database, bucket: None };
    let store = Store::open_at(dir.as_ref(), &home, Options::default(), free).await.unwrap();
    let mut sweep = watch(&store, 1, NOW_MS).await;
    for _ in std::io::stdin().lines() {
        let goes_on = step(&store, &mut sweep, NOW_MS).await;
        say(if goes_on { "stepped" } else { "done" });
    }
}

const SWEEPS_DIR: &str = "STORE_TEST_SWEEPS";

/// Runs the child, and kills it amid its last step of so many; returns whether it said before that nothing is left.
pub(crate) fn sweep_and_kill(ground: &Ground, steps: usize) -> bool {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "leases::child_that_sweeps_until_killed", "--nocapture"]).env(SWEEPS_DIR, ground.dir());
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    if let Some(url) = &ground.home.database {
        command.env(CHILD_DATABASE, &url.0);
    }
    let mut child = command.spawn().unwrap();
    let mut told = child.stdin.take().unwrap();
    let mut said = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let mut is_done = false;
    for step in 1..=steps {
        writeln!(told).unwrap();
        if step < steps {
            let stepped = said.find_map(|line| line.unwrap().strip_prefix('@').map(str::to_owned));
            is_done = stepped.expect("the child lives") == "done";
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    is_done
}

async fn a_sweep_that_is_killed_anywhere_goes_on_and_ends(ground: &Ground) {
    // Goal: whatever moment the process dies at, what is gone is what is given back, and the next one goes on. Method: each run is killed
    // amid one step more than the one before.
    const ENTRIES: u64 = 900;
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1)]).await;
    fill(&store, &mut Device::new(1, person(1), main_log()), ENTRIES).await;
    ends(&store, 1, NOW_MS).await;
    let whole = head(&store, main_log(), ENTRIES).await;
    let before = store.account(&person(1)).await.unwrap().unwrap().used_bytes;
    store.close().await.unwrap();
    let (mut amid, mut gone) = (0, 0);
    for steps in 1.. {
        assert!(steps < 30, "it never ends");
        let is_done = sweep_and_kill(ground, steps);
        let store = open(ground, &Plan::default(), 1 << 30).await;
        let now_gone = bodies(&store, main_log()).await.iter().filter(|there| !**there).count() as u64;
        let used = store.account(&person(1)).await.unwrap().unwrap().used_bytes;
        assert_eq!(used, before - now_gone, "a byte each");
        assert_eq!(head(&store, main_log(), ENTRIES).await, whole);
        assert!(now_gone >= gone);
        gone = now_gone;
        amid += usize::from(gone > 0 && gone < ENTRIES);
        store.close().await.unwrap();
        if is_done {
            break;
        }
    }
    assert!(gone == ENTRIES && amid > 0, "{gone} gone, {amid} times in between");
}

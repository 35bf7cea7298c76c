//! What nothing names any more goes, after its time and not before; what somebody wants meanwhile stays, whoever deletes at that moment.

use std::collections::BTreeSet;

use bytes::Bytes;
use dgns_api::store::content::ContentId;
use dgns_api::store::control::Control;
use dgns_api::store::entry::{Class, Entry, Header, LogId};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};
use storage::inject::{Failure, Plan, Step};
use storage::limits::ENTRY_OVERHEAD_BYTES;
use storage::store::{Append, Collected, Grace, Store};

use crate::chunks::{charged, chunk, entries, files, naming};
use crate::forks::{fill, forks, head, log_of, other};
use crate::ground::{Device, Ground, NOW_MS, append, db, home, main_log, make, on_both_engines, on_moto, open, person};
use crate::leases::{ends, sweep};

on_both_engines! {
    what_no_entry_names_is_condemned_then_goes_and_is_given_back
    what_comes_back_while_it_goes_is_there
    in_whatever_order_an_entry_that_is_taken_has_its_chunks
    what_is_named_stays_for_as_long_as_an_entry_has_its_body_and_then_is_given_back
    chunks_of_a_deleted_database_stay_where_they_are_named
    a_step_that_fails_anywhere_takes_nothing_that_is_named_and_is_done_again
}

on_moto! {
    what_no_entry_names_is_condemned_then_goes_and_is_given_back
    what_comes_back_while_it_goes_is_there
    what_is_named_stays_for_as_long_as_an_entry_has_its_body_and_then_is_given_back
    a_step_that_fails_anywhere_takes_nothing_that_is_named_and_is_done_again
}

pub(crate) const GRACE_MS: u64 = 86_400_000;

/// So many times for as long as a chunk stays that nothing names.
pub(crate) fn at(days: u64) -> u64 {
    NOW_MS + days * GRACE_MS
}

pub(crate) async fn used(store: &Store, number: u8) -> u64 {
    store.account(&person(number)).await.unwrap().unwrap().used_bytes
}

/// Takes one step.
async fn step(store: &Store, now_ms: u64) -> Collected {
    store.collect(Grace { now_ms, grace_ms: GRACE_MS }).await.unwrap()
}

/// Takes all steps that there are, and returns what they did together.
pub(crate) async fn collect(store: &Store, now_ms: u64) -> Collected {
    let mut done = Collected::default();
    loop {
        let step = step(store, now_ms).await;
        done.chunks += step.chunks;
        done.bytes += step.bytes;
        done.objects += step.objects;
        if !step.is_more {
            return done;
        }
    }
}

/// Lets go of everything that no entry names.
pub(crate) async fn collect_all(store: &Store, day: u64) {
    for day in day..day + 4 {
        collect(store, at(day)).await;
    }
}

pub(crate) async fn put(store: &Store, chunk: &(ContentId, Bytes), now_ms: u64) {
    store.put_chunk(&chunk.0, chunk.1.clone(), entries(store, now_ms).await).await.unwrap();
}

/// Which of some chunks are there.
pub(crate) async fn there(store: &Store, chunks: &[&(ContentId, Bytes)]) -> Vec<bool> {
    let mut there = Vec::new();
    for (id, bytes) in chunks {
        let found = store.chunk(id).await.unwrap();
        assert!(found.as_ref().is_none_or(|found| found == bytes));
        there.push(found.is_some());
    }
    there
}

/// How many objects there are.
pub(crate) async fn objects(ground: &Ground) -> usize {
    ground.objects().await.len()
}

/// Every chunk that an entry of a log names is there; returns which these are, and what the entries are charged with.
pub(crate) async fn all_named_is_there(store: &Store, log: LogId) -> (BTreeSet<(ContentId, usize)>, u64) {
    let (mut named, mut cost, mut at) = (BTreeSet::new(), 0, 0);
    loop {
        let rows = store.range(&log, at, 1_024, None).await.unwrap().unwrap();
        for row in &rows.entries {
            cost += (row.header.len() + row.body.len()) as u64 + ENTRY_OVERHEAD_BYTES;
            for id in Header::decode(&row.header).unwrap().refs {
                let bytes = store.chunk(&id).await.unwrap().expect("what an entry names is there");
                named.insert((id, bytes.len()));
            }
        }
        at += rows.entries.len() as u64;
        if at == rows.log.edge.size() {
            return (named, cost);
        }
    }
}

/// What the account of the database is charged with if its entries and what they name are all that there is.
pub(crate) async fn owed(store: &Store) -> u64 {
    let (named, data) = all_named_is_there(store, main_log()).await;
    let (_, said) = all_named_is_there(store, LogId::control(&db())).await;
    data + said + named.iter().map(|(_, size)| charged(*size)).sum::<u64>()
}

async fn what_no_entry_names_is_condemned_then_goes_and_is_given_back(ground: &Ground) {
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1)]).await;
    let device = Device::new(1, person(1), main_log());
    let all = [(1, 100), (2, 100), (3, 300_000), (4, 300_000), (5, 300_000)].map(|(byte, size)| chunk(byte, size));
    for one in &all {
        put(&store, one, NOW_MS).await;
    }
    let [small, small_named, large, large_named, wanted] = all.each_ref();
    let file = chunk(6, 300_000);
    store.put_chunk(&file.0, file.1.clone(), files(1)).await.unwrap();
    let entry = naming(&device, vec![small_named.0, large_named.0]);
    store.append(append(std::slice::from_ref(&entry))).await.unwrap();
    let with_all = used(&store, 1).await;
    for now_ms in [0, at(1) - 1, at(1), at(2) - 1] {
        assert_eq!(collect(&store, now_ms).await, Collected::default(), "{now_ms}");
        assert_eq!((used(&store, 1).await, objects(ground).await), (with_all, 4), "{now_ms}");
    }
    // Whoever asks for one is about to name it.
    assert_eq!(store.have_chunks(entries(&store, at(2)).await, &[wanted.0]).await.unwrap(), [wanted.0]);
    let bytes = charged(100) + charged(300_000);
    assert_eq!(collect(&store, at(2)).await, Collected { chunks: 2, bytes, objects: 0, is_more: false });
    assert_eq!((used(&store, 1).await, objects(ground).await), (with_all - bytes, 4), "given back as charged");
    for (now_ms, objects) in [(at(3) - 1, 0), (at(3), 1)] {
        assert_eq!(collect(&store, now_ms).await, Collected { objects, ..Collected::default() });
    }
    assert_eq!(objects(ground).await, 3);
    let left = there(&store, &[small, large, small_named, large_named, wanted, &file]).await;
    assert_eq!(left, [false, false, true, true, true, true]);
    let next = Device { next: 1, last: Some(entry.leaf()), ..device };
    let missing = store.append(append(&[naming(&next, vec![small.0])])).await;
    assert_eq!(missing.map_err(|refusal| refusal.code()), Err("chunk_missing"));
    // The same bytes are stored again as if they had never been there.
    put(&store, large, at(4)).await;
    assert_eq!(there(&store, &[large]).await, [true]);
    collect_all(&store, 1_000).await;
    assert_eq!(there(&store, &[large, large_named, &file]).await, [false, true, true], "what an entry names stays");
    assert_eq!(objects(ground).await, 2, "and a file, and nothing else");
    assert_eq!(used(&store, 1).await, owed(&store).await + charged(300_000));
}

async fn what_comes_back_while_it_goes_is_there(ground: &Ground) {
    // Goal: a deletion that comes late deletes nothing that is kept. Method: each fails once between the commit that lets go and the
    // deletion; meanwhile the same bytes are stored again.
    let plan = Plan::default();
    let store = open(ground, &plan, 1 << 30).await;
    make(&store, &[person(1)]).await;
    let before = used(&store, 1).await;
    let (back, small, left) = (chunk(1, 300_000), chunk(2, 100), chunk(3, 300_000));
    for one in [&back, &small, &left] {
        put(&store, one, NOW_MS).await;
    }
    collect(&store, at(1)).await;
    for _ in 0..2 {
        plan.fail_next(Step::DeleteObject, Failure::Refused);
    }
    assert_eq!(collect(&store, at(2)).await.chunks, 3, "they are let go of");
    assert!(store.collect(Grace { now_ms: at(3), grace_ms: GRACE_MS }).await.is_err());
    assert_eq!((objects(ground).await, used(&store, 1).await), (2, before), "given back, and still on disk");
    assert_eq!(there(&store, &[&back, &small, &left]).await, [false; 3]);
    put(&store, &back, at(3)).await;
    put(&store, &small, at(3)).await;
    assert_eq!(used(&store, 1).await, before + charged(300_000) + charged(100));
    assert_eq!(objects(ground).await, 3, "written anew, and not where it was");
    assert_eq!(collect(&store, at(4) - 1).await.objects, 0, "those that failed are tried again a grace later");
    assert_eq!(collect(&store, at(4)).await.objects, 2);
    assert_eq!((there(&store, &[&back, &small, &left]).await, objects(ground).await), (vec![true, true, false], 1));
}

async fn in_whatever_order_an_entry_that_is_taken_has_its_chunks(ground: &Ground) {
    // Goal: no entry is taken that names what is gone. Method: a chunk that is condemned, let go of or deleted, and what is done with it at that
    // point: an entry that names it, its being asked for, its upload, for entries or for files; then an entry names it, and everything that is
    // due goes.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1)]).await;
    let mut device = Device::new(1, person(1), main_log());
    let (mut taken, mut filed, mut day, mut byte) = (Vec::new(), Vec::new(), 1, 0);
    for steps in 0..4 {
        for act in ["append", "ask", "put", "file"] {
            for size in [100, 300_000] {
                byte += 1;
                let one = chunk(byte, size);
                put(&store, &one, at(day)).await;
                if steps > 0 {
                    collect(&store, at(day + 1)).await;
                }
                for later in 1..steps {
                    collect(&store, at(day + 1 + later)).await;
                }
                let now_ms = at(day + 1 + steps);
                match act {
                    "ask" => drop(store.have_chunks(entries(&store, now_ms).await, &[one.0]).await.unwrap()),
                    "put" => put(&store, &one, now_ms).await,
                    "file" => {
                        store.put_chunk(&one.0, one.1.clone(), files(2)).await.unwrap();
                        filed.push(one.clone());
                    }
                    _ => {}
                }
                let entry = naming(&device, vec![one.0]);
                match store.append(append(std::slice::from_ref(&entry))).await {
                    Ok(_) => {
                        (device.next, device.last) = (device.next + 1, Some(entry.leaf()));
                        taken.push(one);
                    }
                    Err(refusal) => {
                        assert_eq!(refusal.code(), "chunk_missing", "{steps} {act} {size}");
                        assert!(act != "put" && steps > 1, "{steps} {act} {size}");
                    }
                }
                day += 6;
                collect_all(&store, day).await;
                for (id, bytes) in taken.iter().chain(&filed) {
                    assert_eq!(store.chunk(id).await.unwrap().as_ref(), Some(bytes), "{steps} {act} {size}");
                }
                day += 5;
            }
        }
    }
    // All before the first is let go of, and after that those that were stored again.
    assert_eq!(taken.len(), 16 + 4);
    assert_eq!(used(&store, 1).await, owed(&store).await);
}

/// Appends an entry that names chunks.
pub(crate) async fn names(store: &Store, device: &mut Device, class: Class, chunks: &[&(ContentId, Bytes)]) {
    let plain = device.entry(class, b"sealed", None);
    let mut refs: Vec<ContentId> = chunks.iter().map(|chunk| chunk.0).collect();
    refs.sort();
    let entry =
        Entry::sign(Header { refs, ..plain.header().clone() }, b"sealed".to_vec(), &home(), &device.key).unwrap();
    store.append(append(std::slice::from_ref(&entry))).await.unwrap();
    (device.next, device.last) = (device.next + 1, Some(entry.leaf()));
}

async fn what_is_named_stays_for_as_long_as_an_entry_has_its_body_and_then_is_given_back(ground: &Ground) {
    // Goal: snapshots name chunks as data does, a fork holds what its source's entries name, and dropped data holds nothing. Method: a source
    // that is forked in the middle, by somebody else; then nobody pays for the one, and then for the other.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = make(&store, &[person(1)]).await;
    store.append(append(&[itself.says(&Control::Owner { did: person(1), yes: true })])).await.unwrap();
    let all: Vec<_> = (1..=6).map(|byte| chunk(byte, if byte % 2 == 0 { 100 } else { 300_000 })).collect();
    for one in &all {
        put(&store, one, NOW_MS).await;
    }
    let [data, part, both, after, unnamed, file] = all.iter().collect::<Vec<_>>()[..] else { unreachable!() };
    store.put_chunk(&file.0, file.1.clone(), files(1)).await.unwrap();
    let mut writer = Device::new(1, person(1), main_log());
    names(&store, &mut writer, Class::Data, &[data, both]).await;
    names(&store, &mut writer, Class::Snapshot, &[part]).await;
    let at_fork = head(&store, main_log(), 2).await;
    names(&store, &mut writer, Class::Data, &[after, both]).await;
    let begun = forks(&store, (person(1), 1), db(), other(1), at_fork).await;
    store.append(Append { payer: Some(person(2)), ..append(&begun) }).await.unwrap();
    let mut on = Device::new(1, person(1), log_of(&other(1)));
    let refused = store.append(append(&[naming(&on, vec![data.0])])).await;
    assert_eq!(refused.map_err(|refusal| refusal.code()), Err("chunk_missing"), "new entries name what is the fork's");
    fill(&store, &mut on, 60).await;

    let asked = [data, part, both, after, unnamed, file];
    collect_all(&store, 10).await;
    assert_eq!(there(&store, &asked).await, [true, true, true, true, false, true]);
    let paid = 2 * (charged(300_000) + charged(100));
    assert_eq!(used(&store, 1).await, owed(&store).await + charged(100), "and a file");

    let before = used(&store, 1).await;
    ends(&store, 1, NOW_MS).await;
    let (store, _) = sweep(ground, store, NOW_MS).await;
    assert_eq!(used(&store, 1).await, before - 6, "the body behind the fork");
    collect_all(&store, 20).await;
    assert_eq!(there(&store, &asked).await, [true, true, true, false, false, true], "a fork holds the rest");
    let fork = store.log(&log_of(&other(1))).await.unwrap().unwrap();
    for (pos, one) in [(0, data), (0, both), (1, part)] {
        assert!(store.names(&fork, pos, &one.0).await.unwrap());
    }
    assert_eq!(used(&store, 1).await, before - 6 - charged(100));

    ends(&store, 2, NOW_MS).await;
    let (store, _) = sweep(ground, store, NOW_MS).await;
    collect_all(&store, 30).await;
    assert_eq!(there(&store, &asked).await, [false, false, false, false, false, true]);
    assert_eq!(
        (used(&store, 1).await, objects(ground).await),
        (before - 18 - paid, 0),
        "all is given back but the file"
    );
}

async fn chunks_of_a_deleted_database_stay_where_they_are_named(ground: &Ground) {
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = make(&store, &[person(1)]).await;
    let (named, unnamed) = (chunk(1, 300_000), chunk(2, 300_000));
    for one in [&named, &unnamed] {
        put(&store, one, NOW_MS).await;
    }
    names(&store, &mut Device::new(1, person(1), main_log()), Class::Data, &[&named]).await;
    let end = Control::Tombstone { ends: vec![(main_log(), 1)] };
    store.append(append(&[itself.says(&Control::Delete { yes: true }), itself.says(&end)])).await.unwrap();
    collect_all(&store, 10).await;
    assert_eq!((there(&store, &[&named, &unnamed]).await, objects(ground).await), (vec![true, false], 1));
}

async fn a_step_that_fails_anywhere_takes_nothing_that_is_named_and_is_done_again(ground: &Ground) {
    // Goal: a commit that is refused, lost or kept unknown to who asked, at each step, costs nothing but another try. Method: one chunk that is
    // named and one that is not; each durable step of storing, naming and letting go fails once, after so many that do not.
    let plan = Plan::default();
    let store = open(ground, &plan, 1 << 30).await;
    make(&store, &[person(1)]).await;
    let mut device = Device::new(1, person(1), main_log());
    let (mut day, mut byte, mut failures) = (1, 0, 0);
    for failure in [Failure::Refused, Failure::KeptButReportedFailed, Failure::DroppedOutcomeUnknown] {
        for failing in [Step::PutObjects, Step::PutChunk, Step::Append, Step::Collect, Step::DeleteObject] {
            for after in 0..4 {
                byte += 2;
                let (named, unnamed) = (chunk(byte, 20_000), chunk(byte + 1, 20_000));
                let entry = naming(&device, vec![named.0]);
                let mut count = 0;
                let mut fails = |step: Step| {
                    if step == failing {
                        if count == after {
                            plan.fail_next(step, failure);
                        }
                        count += 1;
                    }
                };
                for one in [&named, &unnamed] {
                    fails(Step::PutObjects);
                    fails(Step::PutChunk);
                    let charge = entries(&store, at(day)).await;
                    if store.put_chunk(&one.0, one.1.clone(), charge).await.is_err() {
                        failures += 1;
                        store.put_chunk(&one.0, one.1.clone(), charge).await.unwrap();
                    }
                }
                fails(Step::Append);
                if store.append(append(std::slice::from_ref(&entry))).await.is_err() {
                    failures += 1;
                    store.append(append(std::slice::from_ref(&entry))).await.unwrap();
                }
                (device.next, device.last) = (device.next + 1, Some(entry.leaf()));
                for now_ms in [at(day + 1), at(day + 2), at(day + 3)] {
                    loop {
                        fails(Step::Collect);
                        fails(Step::DeleteObject);
                        let step = store.collect(Grace { now_ms, grace_ms: GRACE_MS }).await;
                        failures += usize::from(step.is_err());
                        assert_eq!(there(&store, &[&named]).await, [true]);
                        if step.is_ok_and(|step| !step.is_more) {
                            break;
                        }
                    }
                }
                // What was planned for a step that had nothing to do fails one of these.
                for now_ms in (day + 4..day + 8).map(at) {
                    while store.collect(Grace { now_ms, grace_ms: GRACE_MS }).await.map_or(true, |step| step.is_more) {}
                }
                assert_eq!(there(&store, &[&named, &unnamed]).await, [true, false], "{failing:?} {after} {failure:?}");
                day += 10;
            }
        }
    }
    assert!(failures > 15, "{failures}");
    while store.collect(Grace { now_ms: at(day), grace_ms: GRACE_MS }).await.map_or(true, |step| step.is_more) {}
    assert_eq!(used(&store, 1).await, owed(&store).await);
    assert_eq!(objects(ground).await, all_named_is_there(&store, main_log()).await.0.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_entries_named_before_is_counted_before_anything_goes() {
    // Goal: rows of before, whatever they say of how many entries name a chunk, take nothing from any. Method: the file as it was before, its
    // counts wrong; appends and restarts while it is counted; then everything that is due goes.
    let ground = Ground::files();
    let store = open(&ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1)]).await;
    let (often, once, never) = (chunk(1, 300_000), chunk(2, 100), chunk(3, 300_000));
    for one in [&often, &once, &never] {
        put(&store, one, NOW_MS).await;
    }
    let file = chunk(4, 100);
    store.put_chunk(&file.0, file.1.clone(), files(1)).await.unwrap();
    let mut device = Device::new(1, person(1), main_log());
    names(&store, &mut device, Class::Data, &[&often]).await;
    fill(&store, &mut device, 300).await;
    names(&store, &mut device, Class::Snapshot, &[&often]).await;
    fill(&store, &mut device, 300).await;
    names(&store, &mut device, Class::Data, &[&often, &once]).await;
    store.close().await.unwrap();

    let options = SqliteConnectOptions::new().filename(ground.dir().join("store.db"));
    let mut rows = options.clone().connect().await.unwrap();
    let before = "DROP INDEX dblog_said; DROP TABLE subscriber; DROP TABLE inviter; \
                  DROP TABLE segment; DROP TABLE segment_old; DROP TABLE packed; DROP TABLE packed_device; \
                  DROP TABLE chunk_gone; DROP TABLE chunk_writing; DROP INDEX dblog_uncounted; \
                  ALTER TABLE dblog DROP COLUMN counted; ALTER TABLE dblog DROP COLUMN to_count; \
                  DROP INDEX dblog_untrimmed; ALTER TABLE dblog DROP COLUMN trimmed_to; \
                  DROP INDEX db_arriving; ALTER TABLE db DROP COLUMN home; \
                  ALTER TABLE chunk DROP COLUMN writing; ALTER TABLE chunk RENAME COLUMN stored_ms TO since_ms; \
                  UPDATE chunk_use SET refs = 0, marked_ms = 1 WHERE db > 0; PRAGMA user_version = 7";
    sqlx::raw_sql(before).execute(&mut rows).await.unwrap();
    sqlx::Connection::close(rows).await.unwrap();
    let (mut steps, mut store) = (0, open(&ground, &Plan::default(), 1 << 30).await);
    while step(&store, at(1_000)).await.chunks == 0 {
        steps += 1;
        assert_eq!(there(&store, &[&often, &once, &never, &file]).await, [true; 4], "step {steps}");
        if steps == 2 {
            names(&store, &mut device, Class::Data, &[&once]).await;
        }
        store.close().await.unwrap();
        store = open(&ground, &Plan::default(), 1 << 30).await;
    }
    assert!(steps > 3, "{steps}");
    collect_all(&store, 1_000).await;
    assert_eq!(there(&store, &[&often, &once, &never, &file]).await, [true, true, false, true]);
    assert_eq!(used(&store, 1).await, owed(&store).await + charged(100));
    store.close().await.unwrap();

    let mut rows = options.connect().await.unwrap();
    let found = sqlx::query("SELECT refs FROM chunk_use WHERE db > 0 ORDER BY size DESC").fetch_all(&mut rows).await;
    let refs: Vec<i64> = found.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(refs, [3, 2], "each naming once");
}

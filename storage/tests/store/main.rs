//! Databases: appended exactly once, in one order, proved at every size; refused without a trace; nothing half after a failure.
//! Every claim holds in files, and in PostgreSQL with
//! an S3 server.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where and stop")]

use std::sync::Arc;

use bytes::Bytes;
use dgns_api::store::content;
use dgns_api::store::control::Control;
use dgns_api::store::entry::{Class, Entry, Header, LogId};
use identity::did::Did;
use identity::hash::Hash;
use identity::token::Rights;
use storage::inject::{Failure, Plan, Step};
use storage::store::{Age, Append, AppendRefusal, Charge, DatabaseUrl, FreeQuota, Home, Packing, Purpose, Store};
use storage::{Options, StorageError};
use translog::tree::{verify_consistency, verify_inclusion};

mod chunks;
mod collected;
mod contended;
mod forks;
mod full;
mod ground;
mod history;
mod leases;
mod moves;
mod owners;
mod packed;
mod partitions;
mod planted;

#[path = "../../../tests/src/postgres.rs"]
mod postgres;
mod profiles;

#[path = "../../../tests/src/s3.rs"]
mod s3;
#[path = "../../../tests/src/skip.rs"]
#[allow(dead_code, unreachable_pub, reason = "these tests use a part of it")]
mod skip;
mod snapshots;
mod trims;

use ground::{
    Device, GID, Ground, NOW_MS, append, db, grant, home, leaves_and_roots, main_log, make, may_read, on_both_engines,
    on_packed_entries, open, person, revoke, turn,
};
use postgres::Postgres;

on_both_engines! {
    an_entry_is_appended_once_however_often_it_comes
    what_is_refused_changes_nothing_and_says_why
    who_may_write_is_said_in_the_control_log_and_nothing_else_counts
    a_writer_who_is_revoked_amid_a_batch_has_all_of_it_or_nothing
    many_devices_append_at_once_and_every_size_is_proved
    a_failed_commit_leaves_all_of_an_append_or_nothing_and_the_same_bytes_tell_which
    an_account_that_is_full_takes_no_data_and_lets_its_owner_speak
}

on_packed_entries! {
    an_entry_is_appended_once_however_often_it_comes
    a_failed_commit_leaves_all_of_an_append_or_nothing_and_the_same_bytes_tell_which
}

async fn an_entry_is_appended_once_however_often_it_comes(ground: &Ground) {
    // Goal: one row and one receipt for each lsn. Method: each entry again at once, after others, after a restart.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1)]).await;
    let mut device = Device::new(1, person(1), main_log());
    let entries: Vec<Entry> = (0..5).map(|number| device.next(&[number])).collect();
    let mut receipts = Vec::new();
    for entry in &entries {
        receipts.push(store.append(append(std::slice::from_ref(entry))).await.unwrap());
    }
    store.close().await.unwrap();
    let store = open(ground, &Plan::default(), 1 << 30).await;
    for (entry, receipt) in entries.iter().zip(&receipts) {
        assert_eq!(store.append(append(std::slice::from_ref(entry))).await.as_ref(), Ok(receipt));
    }
    let both = store.append(append(&[entries[4].clone(), device.next(b"six")])).await.unwrap();
    assert_eq!(both.placed.iter().map(|placed| placed.pos).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(store.log(&main_log()).await.unwrap().unwrap().edge.size(), 6);
    assert_eq!(store.cursor(&main_log(), &device.key.public()).await.unwrap(), Some((5, device.last.unwrap())));
}

async fn what_is_refused_changes_nothing_and_says_why(ground: &Ground) {
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut owner = make(&store, &[person(1)]).await;
    let mut device = Device::new(1, person(1), main_log());
    let first = device.next(b"first");
    store.append(append(std::slice::from_ref(&first))).await.unwrap();
    let before = store.log(&main_log()).await.unwrap().unwrap();

    let stranger = Device::new(2, person(2), main_log());
    let elsewhere = Device::new(1, person(1), LogId([1; 32]));
    let ahead = Device { next: 7, ..device.clone() };
    let unlinked = Device { last: Some([1; 32]), ..device.clone() };
    let other = Device { next: 0, last: None, ..device.clone() };
    let late = Append { now_ms: 5_000_000, ..append(&[device.entry(Class::Data, b"x", None)]) };
    let wrong_head = device.entry(Class::Data, b"x", Some((0, [0; 32])));
    let in_main = Device { log: main_log(), next: 0, last: None, ..owner.clone() };
    let cases = [
        (append(&[stranger.entry(Class::Data, b"x", None)]), "not_writer"),
        (append(&[elsewhere.entry(Class::Data, b"x", None)]), "not_found"),
        (append(&[ahead.entry(Class::Data, b"x", None)]), "lsn_gap"),
        (append(&[unlinked.entry(Class::Data, b"x", None)]), "lsn_gap"),
        (append(&[other.entry(Class::Data, b"another first", None)]), "lsn_conflict"),
        (append(&[wrong_head]), "head_mismatch"),
        (append(&[in_main.entry(Class::Control, &[0x80], None)]), "bad_field"),
        (append(&[owner.entry(Class::Control, b"no", None)]), "bad_field"),
        (late, "not_writer"),
        // The first of two is good; all or nothing.
        (append(&[device.entry(Class::Data, b"x", None), stranger.entry(Class::Data, b"x", None)]), "not_writer"),
    ];
    for (number, (case, code)) in cases.into_iter().enumerate() {
        let refused = store.append(case).await.map_err(|refusal| refusal.code());
        assert_eq!(refused, Err(code), "case {number}");
        assert_eq!(store.log(&main_log()).await.unwrap().unwrap(), before, "case {number}");
    }
    let [proof] = store.equivocations(&main_log()).await.unwrap().try_into().unwrap();
    assert_eq!(proof.a, (first.header_bytes().to_vec(), *first.signature()));
    assert_ne!(proof.b.0, proof.a.0);

    store.append(append(&[owner.says(&revoke(person(1), 1))])).await.unwrap();
    let refused = store.append(append(&[device.next(b"second")])).await;
    assert_eq!(refused, Err(AppendRefusal::NotWriter), "revoked");
    assert!(!may_read(&store, &before, person(1)).await && may_read(&store, &before, db()).await);
}

async fn who_may_write_is_said_in_the_control_log_and_nothing_else_counts(ground: &Ground) {
    // Goal: rights as the control log has them, at once and after a restart; what is forged, replayed or half said is refused.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut owner = make(&store, &[person(1)]).await;
    let writes = Rights::READ.and(Rights::WRITE);
    let granted = owner.says(&grant(person(2), writes));
    let turned = owner.says(&turn(2, &[person(1), person(2)]));
    store.append(append(&[granted.clone(), turned])).await.unwrap();
    let mut device = Device::new(2, person(2), main_log());
    let old = device.entry(Class::Data, b"under the key of before", None);
    assert_eq!(store.append(append(&[old])).await, Err(AppendRefusal::Epoch { newest: 2 }));
    device.epoch = 2;
    store.append(append(&[device.next(b"mine")])).await.unwrap();
    // More rights or more time turn no key.
    let longer = Control::Grant { gid: GID, did: person(2), rights: writes, until_s: 6_000 };
    store.append(append(&[owner.says(&longer)])).await.unwrap();
    store.append(append(&[device.next(b"mine as well")])).await.unwrap();

    let control = LogId::control(&db());
    let size = async |log| store.log(&log).await.unwrap().unwrap().edge.size();
    let before = size(control).await;
    let other_db = Device { log: LogId::control(&person(6)), next: 0, last: None, ..owner.clone() };
    let member = Device::new(2, person(2), control);
    let stranger = Device::new(3, person(3), control);
    let beyond = owner.entry(Class::Control, &revoke(person(2), 3).encode(), None);
    let none = Control::Revoke { gid: GID, did: person(2), cuts: Vec::new() };
    let narrower = owner.entry(Class::Control, &grant(person(2), Rights::READ).encode(), None);
    let half = [owner.entry(Class::Control, &grant(person(3), writes).encode(), None), beyond.clone()];
    let half = [
        half[0].clone(),
        Entry::sign(
            Header { lsn: owner.next + 1, prev: Some(half[0].leaf()), ..beyond.header().clone() },
            turn(4, &[person(1), person(2), person(3)]).encode(),
            &home(),
            &owner.key,
        )
        .unwrap(),
    ];
    let cases = [
        (vec![member.entry(Class::Control, &grant(person(3), Rights::READ).encode(), None)], "not_allowed"),
        (vec![stranger.entry(Class::Control, &grant(person(3), writes).encode(), None)], "not_writer"),
        (vec![other_db.entry(Class::Control, &grant(person(3), writes).encode(), None)], "not_found"),
        (vec![beyond], "bad_cuts"),
        (vec![owner.entry(Class::Control, &none.encode(), None)], "bad_cuts"),
        (vec![narrower], "grant_narrower"),
        (vec![owner.entry(Class::Control, &turn(2, &[person(1), person(2)]).encode(), None)], "epoch_conflict"),
        (vec![owner.entry(Class::Control, &turn(3, &[person(1)]).encode(), None)], "bad_boxes"),
        (half.to_vec(), "epoch_conflict"),
    ];
    for (number, (entries, code)) in cases.into_iter().enumerate() {
        assert_eq!(store.append(append(&entries)).await.map_err(|refusal| refusal.code()), Err(code), "case {number}");
        assert_eq!(size(control).await, before, "case {number}");
    }

    let gone = [owner.says(&revoke(person(2), 1)), owner.says(&turn(3, &[person(1)]))];
    store.append(append(&gone)).await.unwrap();
    // The grant of before, again: it is in the log already, and gives nothing any more.
    let after = size(control).await;
    store.append(append(&[granted])).await.unwrap();
    assert_eq!(size(control).await, after);
    store.close().await.unwrap();
    let store = open(ground, &Plan::default(), 1 << 30).await;
    device.epoch = 3;
    assert_eq!(store.append(append(&[device.next(b"late")])).await, Err(AppendRefusal::NotWriter));
    let main = store.log(&main_log()).await.unwrap().unwrap();
    assert!(!may_read(&store, &main, person(2)).await && may_read(&store, &main, person(1)).await);
}

async fn a_writer_who_is_revoked_amid_a_batch_has_all_of_it_or_nothing(ground: &Ground) {
    // Goal: 64 entries of one request stand before the revoke or not at all, in whatever order they come. Method: both at once, many times.
    let store = Arc::new(open(ground, &Plan::default(), 1 << 30).await);
    let mut owner = make(&store, &[person(1), person(2)]).await;
    let mut writer = Device::new(2, person(2), main_log());
    for epoch in 1..9 {
        writer.epoch = epoch;
        let before = store.log(&main_log()).await.unwrap().unwrap().edge.size();
        let mut trying = writer.clone();
        let batch: Vec<Entry> = (0..64).map(|number| trying.next(&[number])).collect();
        let said = [owner.says(&revoke(person(2), before)), owner.says(&turn(epoch + 1, &[person(1)]))];
        let (writes, revokes) = (store.clone(), store.clone());
        let batch = tokio::spawn(async move { writes.append(append(&batch)).await });
        let revoked = tokio::spawn(async move { revokes.append(append(&said)).await });
        let (batch, revoked) = (batch.await.unwrap(), revoked.await.unwrap());
        revoked.unwrap();
        let size = store.log(&main_log()).await.unwrap().unwrap().edge.size();
        match batch {
            Ok(appended) => {
                assert_eq!((appended.placed.len(), size), (64, before + 64));
                writer = trying.clone();
            }
            Err(refusal) => {
                assert_eq!(refusal, AppendRefusal::NotWriter);
                assert_eq!(size, before);
            }
        }
        let mut late = trying;
        late.epoch = epoch + 1;
        let late = store.append(append(&[Device { next: writer.next, last: writer.last, ..late }.next(b"late")])).await;
        assert_eq!(late, Err(AppendRefusal::NotWriter));
        let back = [owner.says(&grant(person(2), Rights::READ.and(Rights::WRITE)))];
        store.append(append(&back)).await.unwrap();
    }
}

async fn many_devices_append_at_once_and_every_size_is_proved(ground: &Ground) {
    // Goal: one order, and proofs of any entry under any head. Method: 8 devices, entries of several commits across two kept levels
    // of the tree; then leaves read back, every inclusion under some sizes, every consistency to the end, against the edge.
    const DEVICES: u8 = 8;
    const EACH: u64 = 90;
    let store = Arc::new(open(ground, &Plan::default(), 1 << 30).await);
    let people: Vec<Did> = (1..=DEVICES).map(person).collect();
    make(&store, &people).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=DEVICES {
        let store = store.clone();
        tasks.spawn(async move {
            let mut device = Device::new(number, person(number), main_log());
            let mut known: Option<(u64, Hash)> = None;
            for _ in 0..EACH / 3 {
                let entries = [device.next(b"a"), device.next(b"b"), device.next(b"c")];
                let appended = store.append(append(&entries)).await.unwrap();
                let places: Vec<u64> = appended.placed.iter().map(|placed| placed.pos).collect();
                let (size, old) = (appended.placed[0].head_size, known.map(|(size, _)| size));
                let rows = store.receipt(&main_log(), &places, size, old).await.unwrap().unwrap();
                if let Some((old, root)) = known.replace((size, rows.root)) {
                    assert_eq!(verify_consistency(old, &root, size, &rows.root, &rows.consistency), Ok(()));
                }
                for ((entry, place), path) in entries.iter().zip(&appended.placed).zip(&rows.paths) {
                    let proved = verify_inclusion(&entry.leaf(), place.pos, place.head_size, path, &rows.root);
                    assert_eq!(proved, Ok(()));
                }
            }
        });
    }
    tasks.join_all().await;
    let size = u64::from(DEVICES) * EACH;
    let (leaves, roots) = leaves_and_roots(&store, main_log(), size).await;
    for to in [1, 255, 256, 257, 511, 512, 513, size] {
        for pos in [0, to / 2, to - 1] {
            let rows = store.receipt(&main_log(), &[pos], to, None).await.unwrap().unwrap();
            assert_eq!(rows.root, roots[to as usize], "the root of {to}");
            let leaf = &leaves[pos as usize];
            assert_eq!(verify_inclusion(leaf, pos, to, &rows.paths[0], &rows.root), Ok(()), "{pos} of {to}");
        }
    }
    for from in 0..=size {
        let path = store.range(&main_log(), size, 1, Some(from)).await.unwrap().unwrap().consistency;
        let (old, new) = (&roots[from as usize], &roots[size as usize]);
        assert_eq!(verify_consistency(from, old, size, new, &path), Ok(()), "from {from}");
    }
    assert!(store.range(&main_log(), size + 1, 1, None).await.unwrap().is_none());
    assert!(store.range(&main_log(), 0, 1, Some(size + 1)).await.unwrap().is_none());
    // What was appended of late is proved from memory, and the same from the tables.
    let receipts = async |store: &Store| {
        let mut receipts = Vec::new();
        for (pos, to, old) in (1..size).map(|pos| (pos, (pos + 1 + pos % 40).min(size), pos - pos % 9)) {
            receipts.push(store.receipt(&main_log(), &[pos], to, Some(old)).await.unwrap().unwrap());
        }
        receipts
    };
    let remembered = receipts(&store).await;
    Arc::into_inner(store).unwrap().close().await.unwrap();
    let again = open(ground, &Plan::default(), 1 << 30).await;
    assert!(receipts(&again).await == remembered, "the tables prove something else");
}

async fn a_failed_commit_leaves_all_of_an_append_or_nothing_and_the_same_bytes_tell_which(ground: &Ground) {
    let failures = Plan::default();
    let store = open(ground, &failures, 1 << 30).await;
    make(&store, &[person(1)]).await;
    let mut device = Device::new(1, person(1), main_log());
    for (failure, code, kept) in [
        (Failure::Refused, "internal", false),
        (Failure::DroppedOutcomeUnknown, "recovering", false),
        (Failure::KeptButReportedFailed, "recovering", true),
    ] {
        let before = store.log(&main_log()).await.unwrap().unwrap().edge.size();
        let entries = [device.next(b"one"), device.next(b"two")];
        failures.fail_next(Step::Append, failure);
        let failed = store.append(append(&entries)).await.map_err(|refusal| refusal.code());
        assert_eq!(failed, Err(code));
        let after = store.log(&main_log()).await.unwrap().unwrap().edge.size();
        assert_eq!(after, before + if kept { 2 } else { 0 }, "{failure:?}");
        let appended = store.append(append(&entries)).await.unwrap();
        assert_eq!(appended.placed.iter().map(|placed| placed.pos).collect::<Vec<_>>(), [before, before + 1]);
    }
    assert_eq!(store.log(&main_log()).await.unwrap().unwrap().edge.size(), 6);
}

async fn an_account_that_is_full_takes_no_data_and_lets_its_owner_speak(ground: &Ground) {
    let store = open(ground, &Plan::default(), 20_000).await;
    let mut owner = make(&store, &[person(1)]).await;
    let mut device = Device::new(1, person(1), main_log());
    let mut refused = None;
    for _ in 0..100 {
        if let Err(refusal) = store.append(append(&[device.next(&[1; 1_000])])).await {
            refused = Some(refusal);
            break;
        }
    }
    assert_eq!(refused, Some(AppendRefusal::Quota));
    let account = store.account(&person(1)).await.unwrap().unwrap();
    assert!(account.used_bytes <= account.quota_bytes && account.used_bytes > 18_000);
    let bytes = Bytes::from(vec![1; 5_000]);
    let charge = Charge { purpose: Purpose::files(person(1)), now_ms: NOW_MS };
    let put = store.put_chunk(&content::id_of(&bytes), bytes, charge).await;
    assert_eq!(put.map_err(|refusal| refusal.code()), Err("quota"));
    store.append(append(&[owner.says(&revoke(person(1), 0))])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_store_that_fails_every_other_request_loses_no_chunk_that_was_acknowledged() {
    loses_nothing_that_was_acknowledged(&Ground::servers().await).await;
    if let Some(ground) = Ground::moto().await {
        loses_nothing_that_was_acknowledged(&ground).await;
    }
}

async fn loses_nothing_that_was_acknowledged(ground: &Ground) {
    // Goal: what put_chunk acknowledged reads back, whether the request that failed had done its work or not. Method: every second
    // request fails, by turns before and after; then none does.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let s3 = ground.s3.as_ref().unwrap();
    s3.fail_every(2);
    let charge = Charge { purpose: Purpose::files(person(1)), now_ms: NOW_MS };
    let chunks: Vec<Bytes> = (0..8).map(|number| Bytes::from(vec![number; 20_000])).collect();
    for chunk in &chunks {
        store.put_chunk(&content::id_of(chunk), chunk.clone(), charge).await.unwrap();
        assert_eq!(store.chunk(&content::id_of(chunk)).await.as_ref(), Ok(&Some(chunk.clone())));
    }
    assert!(s3.failed() >= 8, "requests failed");
    // With every request failing nothing is acknowledged, nothing is charged, and the same upload succeeds later.
    s3.fail_every(1);
    let used = store.account(&person(1)).await.unwrap().unwrap().used_bytes;
    let late = Bytes::from(vec![9; 20_000]);
    let put = store.put_chunk(&content::id_of(&late), late.clone(), charge).await;
    assert_eq!(put.map_err(|refusal| refusal.code()), Err("recovering"));
    assert_eq!(store.account(&person(1)).await.unwrap().unwrap().used_bytes, used);
    assert_eq!(store.chunk(&content::id_of(&late)).await, Ok(None));
    s3.fail_every(0);
    store.put_chunk(&content::id_of(&late), late.clone(), charge).await.unwrap();
    assert_eq!(store.chunk(&content::id_of(&late)).await, Ok(Some(late)));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_on_one_database_append_as_one_and_each_sees_the_other() {
    // Goal: one order, no place given twice, whoever appends where. Method: two stores on one PostgreSQL, four devices, each entry at
    // one of the nodes by turns and then again at the other; a reader who waits at the second is woken by the first.
    let ground = Ground::servers().await;
    let nodes = [
        Arc::new(open(&ground, &Plan::default(), 1 << 30).await),
        Arc::new(open(&ground.elsewhere(), &Plan::default(), 1 << 30).await),
    ];
    let people: Vec<Did> = (1..=4).map(person).collect();
    make(&nodes[0], &people).await;
    let mut watch = nodes[1].watch();
    // More logs than one question has marks for.
    for number in 0..300_u16 {
        watch.add(LogId([&[5; 30][..], &number.to_be_bytes()].concat().try_into().unwrap()));
    }
    let place = watch.add(main_log()) as u32;
    let grows = async { while watch.grown().await.get(&place) != Some(&120) {} };
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=4u8 {
        let nodes = nodes.clone();
        tasks.spawn(async move {
            let mut device = Device::new(number, person(number), main_log());
            let mut places = Vec::new();
            for round in 0..30 {
                let entry = device.next(&[number, round]);
                let (here, there) = (usize::from(round % 2), usize::from(1 - round % 2));
                let first = nodes[here].append(append(std::slice::from_ref(&entry))).await.unwrap();
                let again = nodes[there].append(append(std::slice::from_ref(&entry))).await.unwrap();
                assert_eq!(first, again);
                places.push(first.placed[0].pos);
            }
            places
        });
    }
    let mut places: Vec<u64> = tasks.join_all().await.into_iter().flatten().collect();
    places.sort_unstable();
    assert_eq!(places, (0..120).collect::<Vec<_>>());
    let woken = tokio::time::timeout(std::time::Duration::from_secs(120), grows).await;
    woken.expect("what the other node appended is told");
    let [here, there] = [nodes[0].log(&main_log()).await, nodes[1].log(&main_log()).await];
    assert_eq!(here, there);
}

/// The process that is killed: devices append to the log and readers read it, and each says when it began and what it was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_that_appends_until_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let database = std::env::var(CHILD_DATABASE).ok().map(DatabaseUrl);
    let (home, run) = (Home { database, bucket: None }, std::env::var(CHILD_RUN).unwrap().parse::<u8>().unwrap());
    let free = FreeQuota { bytes: 1 << 30, entries: 1_000_000, lease_ms: None };
    let store = Arc::new(Store::open_at(dir.as_ref(), &home, Options::default(), free).await.unwrap());
    if store.log(&main_log()).await.unwrap().is_none() {
        make(&store, &(1..=DEVICES).map(person).collect::<Vec<_>>()).await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    if std::env::var_os(CHILD_PACKS).is_some() {
        let store = store.clone();
        tasks.spawn(async move {
            let mut packing = Packing::default();
            loop {
                if let Err(error) = store.pack(&mut packing, Age { now_ms: NOW_MS, after_ms: 0 }).await {
                    assert!(error.is_passing(), "{error}");
                }
            }
        });
    }
    for number in 1..=DEVICES {
        let store = store.clone();
        tasks.spawn(async move {
            // Where this device is, as a client learns it that lost its place.
            let mut device = Device::new(number, person(number), main_log());
            let cursor = loop {
                match store.cursor(&main_log(), &device.key.public()).await {
                    Ok(cursor) => break cursor,
                    Err(error) => assert!(error.is_passing(), "{error}"),
                }
            };
            (device.next, device.last) = cursor.map_or((0, None), |(lsn, leaf)| (lsn + 1, Some(leaf)));
            loop {
                let lsn = device.next;
                let entry = device.next(&[run]);
                say(&format!("append {number} {lsn}"));
                let appended = loop {
                    match store.append(append(std::slice::from_ref(&entry))).await {
                        Ok(appended) => break appended,
                        // Sent again, as clients do; anything else ends the test.
                        Err(refusal) => assert!(["recovering", "busy"].contains(&refusal.code()), "{refusal:?}"),
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                };
                say(&format!("appended {number} {lsn} {}", appended.placed[0].pos));
            }
        });
    }
    for reader in 101..=102_u8 {
        let store = store.clone();
        tasks.spawn(async move {
            loop {
                say(&format!("read {reader}"));
                if let Ok(entries) = ids(&store).await {
                    let entries: Vec<String> = entries.iter().map(|(device, lsn)| format!("{device}.{lsn}")).collect();
                    say(&format!("seen {reader} {}", entries.join(" ")));
                }
            }
        });
    }
    tasks.join_all().await;
}

/// Readers are quicker than disks: a run without entries tests nothing.
const APPENDED_AT_LEAST: usize = 5;
const DEVICES: u8 = 4;
const CHILD_DIR: &str = "STORE_TEST_DIR";
const CHILD_DATABASE: &str = "STORE_TEST_DATABASE";
const CHILD_RUN: &str = "STORE_TEST_RUN";
const CHILD_PACKS: &str = "STORE_TEST_PACKS";

fn say(line: &str) {
    use std::io::Write as _;
    writeln!(std::io::stdout().lock(), "\n@{line}").unwrap();
}

/// Reads the whole log in one answer after another, each of them a commit's; who made which entry is in its header.
async fn ids(store: &Store) -> Result<Vec<history::Id>, StorageError> {
    let mut found = Vec::new();
    loop {
        let rows = store.range(&main_log(), found.len() as u64, u64::MAX, None).await?.unwrap();
        let size = rows.log.edge.size();
        for row in rows.entries {
            let header = Header::decode(&row.header).unwrap();
            found.push((header.author.as_bytes()[0], header.lsn));
        }
        if found.len() as u64 >= size {
            return Ok(found);
        }
    }
}

/// Runs the child until `lines` lines came and [`APPENDED_AT_LEAST`] entries were acknowledged, and kills it; the operations are numbered by
/// the order of their lines.
fn run_and_kill(
    ground: &Ground,
    run: u8,
    lines: usize,
    midway: &mut dyn FnMut(),
    clock: &mut u64,
) -> Vec<history::Operation> {
    use history::{Operation, What};
    use std::io::BufRead as _;
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_that_appends_until_killed", "--nocapture"]);
    command.env(CHILD_DIR, ground.dir()).env(CHILD_RUN, run.to_string()).stdout(std::process::Stdio::piped());
    if let Some(url) = &ground.home.database {
        command.env(CHILD_DATABASE, &url.0);
    }
    if ground.packs {
        command.env(CHILD_PACKS, "1");
    }
    let mut child = command.spawn().unwrap();
    let said = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut history, mut pending) = (Vec::new(), std::collections::BTreeMap::new());
    let (mut count, mut appended, mut killed) = (0, 0, false);
    for line in said {
        let Ok(line) = line else { break };
        let Some(line) = line.strip_prefix('@') else { continue };
        *clock += 1;
        let words: Vec<&str> = line.split(' ').collect();
        let who: u8 = words[1].parse().unwrap();
        match words[0] {
            "append" => drop(pending.insert(who, (*clock, Some((who, words[2].parse().unwrap()))))),
            "read" => drop(pending.insert(who, (*clock, None))),
            "appended" => {
                let (began, id) = pending.remove(&who).unwrap();
                let what = What::Appended { id: id.unwrap(), pos: words[3].parse().unwrap() };
                history.push(Operation { began, ended: *clock, what });
                appended += 1;
            }
            _ => {
                // A line that the kill cut off says less than the reader saw: it counts for nothing.
                let (began, _) = pending.remove(&who).unwrap();
                let id = |word: &&str| word.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                let words: Vec<_> = words[2..].iter().filter(|word| !word.is_empty()).collect();
                let entries: Option<Vec<history::Id>> = words.iter().map(|word| id(word)).collect();
                if let (Some(entries), false) = (entries, killed) {
                    history.push(Operation { began, ended: *clock, what: What::Read { entries } });
                }
            }
        }
        count += 1;
        if count == lines / 2 {
            midway();
        }
        if !killed && count >= lines && appended >= APPENDED_AT_LEAST {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the child ended by itself after {count} lines");
    for (began, id) in pending.into_values() {
        if let Some(id) = id {
            history.push(Operation { began, ended: u64::MAX, what: What::Unknown { id } });
        }
    }
    history
}

/// Kills the process amid appends and reads, again and again, and holds what it said against the log in the end.
async fn histories_fit_one_order(ground: &Ground, midway: &mut dyn FnMut()) {
    const KILLS: u8 = 3;
    let (mut history, mut clock) = (Vec::new(), 0);
    for run in 0..KILLS {
        history.extend(run_and_kill(ground, run, 200 + 37 * usize::from(run), midway, &mut clock));
    }
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let log = ids(&store).await.unwrap();
    assert_eq!(history::check(&history, &log), Ok(()));
    let acknowledged =
        history.iter().filter(|operation| matches!(operation.what, history::What::Appended { .. })).count();
    assert!(acknowledged > 10 && log.len() >= acknowledged, "{acknowledged} of {}", log.len());
    // The same history with one acknowledged entry gone from the log fits no order.
    let mut lossy = log.clone();
    lossy.remove(log.len() / 2);
    assert_ne!(history::check(&history, &lossy), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_reads_and_kills_fit_one_order_on_files() {
    histories_fit_one_order(&Ground::files(), &mut || {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_reads_and_kills_fit_one_order_while_every_entry_is_packed_at_once() {
    // Goal: what was acknowledged is in one place and no other, whatever moment of packing the process dies at. Method: a task packs all there is,
    // and merges it, again and again.
    histories_fit_one_order(&Ground::packed(), &mut || {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_reads_and_kills_fit_one_order_on_postgres_that_crashes_under_them() {
    // Goal: the same while PostgreSQL itself is ended at once and started again in the middle of each run.
    let mut postgres = Postgres::start();
    let database = Some(DatabaseUrl(postgres.new_database()));
    let ground = Ground { home: Home { database, bucket: None }, ..Ground::files() };
    let mut crash = || {
        postgres.crash();
        postgres.run();
    };
    histories_fit_one_order(&ground, &mut crash).await;
}

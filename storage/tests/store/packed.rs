//! Old entries in segments: read, proved and acknowledged as before, in one place and no other, whatever happens while they go there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dgns_api::store::entry::{Class, Entry};
use identity::did::Did;
use storage::fsck::{Orphans, delete_orphans};
use storage::inject::{Failure, Plan, Step};
use storage::store::rows::{Dropped, EntryRow};
use storage::store::{Age, Append, DatabaseUrl, Grace, Home, Packing, Store, Sweep};
use translog::hash::leaf_hash;
use translog::tree::verify_inclusion;

use crate::chunks::chunk;
use crate::collected::{at, collect, put, there};
use crate::forks::{fill, forks, head, log_of, other, proved};
use crate::ground::{
    Device, Ground, NOW_MS, append, beginning_of, db, main_log, make, on_both_engines, on_moto, open, pack, person,
};
use crate::leases::{bodies, ends, sweep};
use crate::postgres::Postgres;
use crate::trims::{snapshot, trim};

on_both_engines! {
    what_is_packed_is_read_proved_and_acknowledged_as_before
    segments_are_merged_and_what_they_took_the_place_of_goes
    what_was_trimmed_is_in_no_object_any_more
    a_little_that_was_trimmed_is_written_anew_no_more_often_than_entries_get_old
    a_step_that_fails_anywhere_leaves_every_entry_in_one_place
    entries_go_by_their_age_and_few_wait
    damage_is_told_and_holds_up_no_other_log
    an_object_that_cannot_be_read_holds_up_its_log_alone
    several_that_pack_beside_writers_and_readers_pack_each_entry_once
}

on_moto! {
    what_is_packed_is_read_proved_and_acknowledged_as_before
    segments_are_merged_and_what_they_took_the_place_of_goes
}

/// All entries of the log `main`.
async fn all(store: &Store) -> Vec<EntryRow> {
    let mut rows = Vec::new();
    loop {
        let range = store.range(&main_log(), rows.len() as u64, 1_024, None).await.unwrap().unwrap();
        rows.extend(range.entries);
        if rows.len() as u64 == range.log.edge.size() {
            return rows;
        }
    }
}

/// A body that no other entry has, of so many bytes.
fn body(number: u32, bytes: usize) -> Vec<u8> {
    let mut body = blake3_of(number);
    body.resize(bytes, number as u8);
    body
}

fn blake3_of(number: u32) -> Vec<u8> {
    dgns_api::store::content::id_of(&number.to_be_bytes()).to_vec()
}

/// Appends so many entries of a device; returns them.
async fn write(store: &Store, device: &mut Device, count: u32, bytes: usize) -> Vec<Entry> {
    let mut written = Vec::new();
    for first in (0..count).step_by(60) {
        let some: Vec<Entry> = (first..count.min(first + 60)).map(|number| device.next(&body(number, bytes))).collect();
        store.append(append(&some)).await.unwrap();
        written.extend(some);
    }
    written
}

async fn what_is_packed_is_read_proved_and_acknowledged_as_before(ground: &Ground) {
    // Goal: nobody who asks sees a difference, but that the rows are gone. Method: two devices, 1,500 entries, all answers before and after, then after
    // a restart; each entry sent again, one signed anew in another's place, and the log goes on.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1), person(2)]).await;
    let (mut one, mut two) = (Device::new(1, person(1), main_log()), Device::new(2, person(2), main_log()));
    let (mut sent, mut receipts) = (Vec::new(), Vec::new());
    for round in 0..30_u32 {
        for device in [&mut one, &mut two] {
            let some: Vec<Entry> =
                (0..25).map(|number| device.next(&body(round * 25 + number, 40 + number as usize))).collect();
            receipts.push(store.append(append(&some)).await.unwrap());
            sent.push(some);
        }
    }
    let (before, leaves) = (all(&store).await, proved(&store, main_log()).await);
    let (account, log) = (store.account(&person(1)).await.unwrap(), store.log(&main_log()).await.unwrap());
    let range = store.range(&main_log(), 700, 1_024, Some(3)).await.unwrap();
    assert_eq!(pack(&store, NOW_MS).await.0, 1_500, "all of them, and none of the control log");
    assert_eq!(pack(&store, NOW_MS).await.0, 0, "once");

    let mut store = store;
    for _ in 0..2 {
        assert_eq!(all(&store).await, before);
        assert_eq!(proved(&store, main_log()).await, leaves);
        assert_eq!(store.account(&person(1)).await.unwrap(), account, "what is charged is what was said");
        assert_eq!(store.log(&main_log()).await.unwrap(), log);
        assert_eq!(store.range(&main_log(), 700, 1_024, Some(3)).await.unwrap(), range);
        for (some, receipt) in sent.iter().zip(&receipts) {
            assert_eq!(store.append(append(some)).await.as_ref(), Ok(receipt), "exactly once, for ever");
        }
        store.close().await.unwrap();
        store = open(ground, &Plan::default(), 1 << 30).await;
    }
    let another = Device { next: 7, last: Some(sent[1][6].leaf()), ..two.clone() }.entry(Class::Data, b"another", None);
    for _ in 0..2 {
        let refused = store.append(append(std::slice::from_ref(&another))).await;
        assert_eq!(refused.map_err(|refusal| refusal.code()), Err("lsn_conflict"));
    }
    let [proof] = store.equivocations(&main_log()).await.unwrap().try_into().unwrap();
    let first = &sent[1][7];
    assert_eq!(proof.a, (first.header_bytes().to_vec(), *first.signature()), "the packed one");
    assert_eq!(proof.b, (another.header_bytes().to_vec(), *another.signature()));

    // Old ones sent again beside new ones: all or none, each as it was.
    let mixed = store.append(append(&[sent[0][3].clone(), one.next(b"new")])).await.unwrap();
    assert_eq!(mixed.placed.iter().map(|placed| placed.pos).collect::<Vec<_>>(), [3, 1_500]);
    write(&store, &mut two, 300, 10).await;
    assert_eq!(pack(&store, NOW_MS).await.0, 301);
    assert_eq!(all(&store).await[..1_500], before);
    let (size, root) = head(&store, main_log(), 1_801).await;
    let row = store.receipt(&main_log(), &[1_500], size, None).await.unwrap().unwrap();
    let leaves = proved(&store, main_log()).await;
    assert_eq!(verify_inclusion(&leaves[1_500], 1_500, size, &row.paths[0], &root), Ok(()));
    assert_eq!(store.append(append(&sent[59])).await.as_ref(), Ok(&receipts[59]));
}

async fn segments_are_merged_and_what_they_took_the_place_of_goes(ground: &Ground) {
    // Goal: a slow log ends up in few objects, and readers who began before go on. Method: 40 packings of 20 entries of 2,000 bytes; then time passes.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1)]).await;
    let (mut device, mut merged) = (Device::new(1, person(1), main_log()), 0);
    for _ in 0..40 {
        write(&store, &mut device, 20, 2_000).await;
        let (entries, more) = pack(&store, NOW_MS).await;
        assert_eq!(entries, 20);
        merged += more;
    }
    assert_eq!(merged, 40, "each once");
    let (before, leaves) = (all(&store).await, proved(&store, main_log()).await);
    assert_eq!(ground.objects().await.len(), 45, "nothing goes at once");
    collect(&store, at(1)).await;
    assert_eq!(ground.objects().await.len(), 45, "nor is it let go of and deleted in one step");
    collect(&store, at(2)).await;
    assert_eq!(ground.objects().await.len(), 5);
    assert_eq!(all(&store).await, before);
    store.close().await.unwrap();
    let store = open(ground, &Plan::default(), 1 << 30).await;
    assert_eq!((all(&store).await, proved(&store, main_log()).await), (before, leaves));
    // Large ones, of which two do not fit in one.
    write(&store, &mut device, 40, 200_000).await;
    let (entries, more) = pack(&store, NOW_MS).await;
    assert_eq!((entries, more), (40, 4), "eight of a MiB, of which four are one");
    assert_eq!(all(&store).await.len(), 840);
}

async fn what_was_trimmed_is_in_no_object_any_more(ground: &Ground) {
    // Goal: bodies that owners let go are gone from segments too, after the grace, and all else stays; what a fork holds stays until that lets go.
    // Method: a log of which 400 entries are trimmed and the fork has 200.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = make(&store, &[person(1)]).await;
    store
        .append(append(&[itself.says(&dgns_api::store::control::Control::Owner { did: person(1), yes: true })]))
        .await
        .unwrap();
    let mut device = Device::new(1, person(1), main_log());
    let sent = write(&store, &mut device, 700, 100).await;
    let snapshot = snapshot(&store, &mut device).await;
    pack(&store, NOW_MS).await;
    let at_200 = head(&store, main_log(), 200).await;
    let begins = crate::forks::begins(&forks(&store, (person(1), 1), db(), other(1), at_200).await);
    store.append(begins).await.unwrap();
    let (before, leaves) = (all(&store).await, proved(&store, main_log()).await);
    store.append(append(&[itself.says(&trim(400, snapshot))])).await.unwrap();
    let used = store.account(&person(1)).await.unwrap().unwrap().used_bytes;
    let (store, _) = sweep(ground, store, NOW_MS).await;
    let gone: u64 = sent[200..400].iter().map(|entry| entry.body().len() as u64).sum();
    assert_eq!(store.account(&person(1)).await.unwrap().unwrap().used_bytes, used - gone, "what only this log had");
    assert_eq!(bodies(&store, main_log()).await, (0..701).map(|pos| !(200..400).contains(&pos)).collect::<Vec<_>>());
    // No more is packed, and what was is rid of it all the same.
    let (mut packing, mut merged) = (Packing::default(), 0);
    loop {
        let done = store.pack(&mut packing, Age { now_ms: NOW_MS, after_ms: u64::MAX }).await.unwrap();
        merged += done.merged;
        if !done.is_more {
            break;
        }
    }
    assert!(merged > 0);
    for day in 1..4 {
        collect(&store, at(day)).await;
    }
    let stored = everything(ground).await;
    let is_in = |number: usize| stored.windows(32).any(|some| some == &sent[number].body()[..32]);
    assert!(stored.len() > 100_000, "they are in objects");
    assert!((200..400).all(|number| !is_in(number)), "what was let go of");
    assert!([0, 199, 400, 699].into_iter().all(is_in), "what the fork holds, and what stays");
    let now = all(&store).await;
    for (pos, (row, was)) in now.iter().zip(&before).enumerate() {
        let body = if (200..400).contains(&pos) { &[][..] } else { &was.body };
        assert_eq!((&row.header, row.sig, row.body.as_slice()), (&was.header, was.sig, body), "{pos}");
    }
    assert_eq!(now.iter().map(|row| leaf_hash(&row.header)).collect::<Vec<_>>(), leaves);
    let (size, root) = head(&store, main_log(), 701).await;
    let rows = store.receipt(&main_log(), &[300], size, Some(256)).await.unwrap().unwrap();
    assert_eq!(verify_inclusion(&leaves[300], 300, size, &rows.paths[0], &root), Ok(()));
    assert_eq!(store.range(&log_of(&other(1)), 0, 200, None).await.unwrap().unwrap().entries, before[..200]);
    for number in [0, 300, 500] {
        assert_eq!(store.append(append(&[sent[number].clone()])).await.unwrap().placed[0].pos, number as u64);
    }
}

async fn a_little_that_was_trimmed_is_written_anew_no_more_often_than_entries_get_old(ground: &Ground) {
    // Goal: whoever trims a little again and again makes few objects, and an answer about what was trimmed reads few of them. Method: a hundred entries of
    // 200,000 bytes in segments of up to 4 MiB, trimmed by little and by much, looked at for a day and a half; then all.
    const HOUR_MS: u64 = 3_600_000;
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = make(&store, &[person(1)]).await;
    let mut device = Device::new(1, person(1), main_log());
    for _ in 0..5 {
        let sent = write(&store, &mut device, 20, 200_000).await;
        assert_eq!(sent.len(), 20);
    }
    let snapshot = snapshot(&store, &mut device).await;
    assert_eq!(pack(&store, NOW_MS).await.0, 101);
    let (mut store, mut packing, mut written) = (store, Packing::default(), Vec::new());
    let mut trimmed = 0;
    for (hours, to) in
        [(0, 0), (1, 1), (2, 2), (3, 12), (4, 13), (23, 13), (24, 13), (25, 13), (26, 14), (47, 14), (48, 14)]
    {
        if to > trimmed {
            store.append(append(&[itself.says(&trim(to, snapshot))])).await.unwrap();
            (store, _) = sweep(ground, store, NOW_MS).await;
            trimmed = to;
        }
        let (mut merged, age) = (0, Age { now_ms: NOW_MS + hours * HOUR_MS, after_ms: 24 * HOUR_MS });
        loop {
            let done = store.pack(&mut packing, age).await.unwrap();
            merged += done.merged;
            if !done.is_more {
                break;
            }
        }
        written.push((hours, merged));
    }
    let often = [(0, 0), (1, 0), (2, 0), (3, 1), (4, 0), (23, 0), (24, 1), (25, 0), (26, 0), (47, 0), (48, 1)];
    assert_eq!(written, often);

    store.append(append(&[itself.says(&trim(100, snapshot))])).await.unwrap();
    (store, _) = sweep(ground, store, NOW_MS).await;
    let answer = store.range(&main_log(), 0, 1_024, None).await.unwrap().unwrap();
    assert!((60..101).contains(&answer.entries.len()), "{} entries", answer.entries.len());
    assert_eq!(bodies(&store, main_log()).await, (0..101).map(|pos| pos == 100).collect::<Vec<_>>());
    pack(&store, NOW_MS).await;
    assert_eq!(store.range(&main_log(), 0, 1_024, None).await.unwrap().unwrap().entries.len(), 101);
}

/// The bytes of all objects, one behind the other.
async fn everything(ground: &Ground) -> Vec<u8> {
    let mut bytes = Vec::new();
    for path in ground.objects().await {
        bytes.extend(ground.object(&path).await);
    }
    bytes
}

async fn a_step_that_fails_anywhere_leaves_every_entry_in_one_place(ground: &Ground) {
    // Goal: whatever step fails, and however, every entry is read as it was, and the next steps end the work. Method: the commit of packing, that of
    // merging, and the write of an object in a directory fail in each way, then the databases are opened anew.
    let mut device = Device::new(1, person(1), main_log());
    let (mut made, mut failed) = (false, 0);
    for failure in [Failure::Refused, Failure::KeptButReportedFailed, Failure::DroppedOutcomeUnknown] {
        for (step, after) in [(Step::Pack, 0), (Step::Pack, 1), (Step::PutObjects, 0), (Step::PutObjects, 1)] {
            let failures = Plan::default();
            let store = open(ground, &failures, 1 << 30).await;
            if !std::mem::replace(&mut made, true) {
                make(&store, &[person(1)]).await;
            }
            for _ in 0..7 {
                write(&store, &mut device, 20, 1_000).await;
                pack(&store, NOW_MS).await;
            }
            write(&store, &mut device, 20, 1_000).await;
            let (before, mut packing) = (all(&store).await, Packing::default());
            for number in 0.. {
                if number == after {
                    failures.fail_next(step, failure);
                }
                match store.pack(&mut packing, Age { now_ms: NOW_MS, after_ms: 0 }).await {
                    Ok(done) if !done.is_more => break,
                    Ok(_) => {}
                    Err(error) => {
                        assert!(error.to_string().contains("planned"), "{error}");
                        failed += 1;
                    }
                }
                assert_eq!(all(&store).await, before, "{failure:?} of {step:?}");
            }
            store.close().await.unwrap();
            let store = open(ground, &Plan::default(), 1 << 30).await;
            assert_eq!(all(&store).await, before);
            pack(&store, NOW_MS).await;
            assert_eq!(all(&store).await, before);
            store.close().await.unwrap();
        }
    }
    assert!(failed >= 6, "{failed} steps failed");
    let store = open(ground, &Plan::default(), 1 << 30).await;
    assert_eq!(all(&store).await.len(), 12 * 8 * 20);
    proved(&store, main_log()).await;
}

async fn entries_go_by_their_age_and_few_wait(ground: &Ground) {
    // Goal: what is young stays, and a few that are old wait. Method: three hundred of one time, some of a later one, looked at from several times.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1)]).await;
    let mut device = Device::new(1, person(1), main_log());
    fill(&store, &mut device, 300).await;
    const HOUR_MS: u64 = 3_600_000;
    for _ in 0..60 {
        let late = storage::store::Append { now_ms: NOW_MS + HOUR_MS, ..append(&[device.next(b"late")]) };
        store.append(late).await.unwrap();
    }
    let mut packing = Packing::default();
    let mut packed = async |hours: u64| {
        let mut entries = 0;
        loop {
            let age = Age { now_ms: NOW_MS + hours * HOUR_MS, after_ms: 2 * HOUR_MS };
            let done = store.pack(&mut packing, age).await.unwrap();
            entries += done.entries;
            if !done.is_more {
                return entries;
            }
        }
    };
    assert_eq!(packed(0).await, 0);
    assert_eq!(packed(1).await, 0, "none is old");
    assert_eq!(packed(2).await, 256, "to the end of a block");
    assert_eq!(packed(15).await, 0, "a few wait");
    assert_eq!(packed(16).await, 104, "and not for ever");
    assert_eq!(bodies(&store, main_log()).await, [true; 360]);
}

async fn damage_is_told_and_holds_up_no_other_log(ground: &Ground) {
    // Goal: other bytes than were packed are handed out to nobody, and trimming and packing of other logs go on. Method: the object of one log is
    // damaged.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = make(&store, &[person(1)]).await;
    let mut device = Device::new(1, person(1), main_log());
    let sent = write(&store, &mut device, 300, 200).await;
    let snapshot = snapshot(&store, &mut device).await;
    pack(&store, NOW_MS).await;
    let paths = ground.objects().await;
    for path in &paths {
        let mut bytes = ground.object(path).await;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        ground.damage(path, &bytes).await;
    }
    assert!(!paths.is_empty());
    // What was read of late is good: it is forgotten.
    store.close().await.unwrap();
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let read = store.range(&main_log(), 0, 10, None).await;
    assert_eq!(read.map_err(|error| error.code()), Err("inconsistent"));
    let again = store.append(append(&[sent[3].clone()])).await.unwrap();
    assert_eq!(again.placed[0].pos, 3, "receipts rest on no object");
    proved_at(&store, 300).await;
    store.append(append(&[itself.says(&trim(100, snapshot))])).await.unwrap();
    let mut sweeping = Sweep::default();
    let grace = Grace { now_ms: NOW_MS, grace_ms: 1 << 40 };
    while store.sweep(&mut sweeping, grace).await.unwrap() {}
    assert_eq!(sweeping.broken(), 1);
    write(&store, &mut device, 300, 20).await;
    assert_eq!(pack(&store, NOW_MS).await.0, 300, "what comes is packed all the same");
    assert_eq!(store.range(&main_log(), 301, 300, None).await.unwrap().unwrap().entries.len(), 300);
}

#[tokio::test]
async fn a_repair_deletes_what_nothing_names_and_nothing_that_rows_elsewhere_name() {
    // Goal: an object that rows name stays, wherever these are. Method: a chunk and a segment of `store.db`, and one that nothing names; then the same
    // directory with its rows in PostgreSQL, and `store.db` still there.
    let ground = Ground::files();
    let store = open(&ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1)]).await;
    let mut device = Device::new(1, person(1), main_log());
    write(&store, &mut device, 300, 200).await;
    pack(&store, NOW_MS).await;
    put(&store, &chunk(1, 20_000), NOW_MS).await;
    let before = all(&store).await;
    store.close().await.unwrap();
    let named = ground.objects().await;
    assert_eq!(named.len(), 3, "two segments, and a chunk");
    let left = ground.dir().join("chunks/c/ab");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("cd".repeat(31)), [2; 20_000]).unwrap();
    assert_eq!(delete_orphans(ground.dir(), 1_000).await, Ok(Some(Orphans::default())), "it is new");
    let all_of_it = Orphans { objects: 1, bytes: 20_000 };
    assert_eq!(delete_orphans(ground.dir(), u64::MAX).await, Ok(Some(all_of_it)));
    assert_eq!(ground.objects().await, named);
    let store = open(&ground, &Plan::default(), 1 << 30).await;
    assert_eq!(all(&store).await, before);
    store.close().await.unwrap();

    let database = Some(DatabaseUrl(Postgres::shared().new_database()));
    let ground = Ground { home: Home { database, bucket: None }, ..ground };
    let store = open(&ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1)]).await;
    put(&store, &chunk(3, 20_000), NOW_MS).await;
    store.close().await.unwrap();
    assert_eq!(delete_orphans(ground.dir(), u64::MAX).await, Ok(None));
    let store = open(&ground, &Plan::default(), 1 << 30).await;
    assert_eq!(there(&store, &[&chunk(3, 20_000)]).await, [true]);
}

async fn an_object_that_cannot_be_read_holds_up_its_log_alone(ground: &Ground) {
    // Goal: what is out of reach, or cannot be read, ends no look at what is to go; what comes back is taken up at the next watch. Method: a trimmed log
    // whose objects an object store does not hand out for a while; in a directory they are directories.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let mut itself = make(&store, &[person(1)]).await;
    let mut device = Device::new(1, person(1), main_log());
    write(&store, &mut device, 300, 200).await;
    let snapshot = snapshot(&store, &mut device).await;
    pack(&store, NOW_MS).await;
    store.append(append(&[itself.says(&trim(100, snapshot))])).await.unwrap();
    store.close().await.unwrap();
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let (paths, chunks) = (ground.objects().await, ground.dir().join("chunks"));
    assert!(!paths.is_empty());
    match &ground.s3 {
        Some(s3) => s3.fail_every(1),
        None => paths.iter().for_each(|path| take_away(&chunks.join(path))),
    }
    let (mut sweep, grace) = (Sweep::default(), Grace { now_ms: NOW_MS, grace_ms: 1 << 40 });
    for _ in 0..2 {
        while store.sweep(&mut sweep, grace).await.unwrap() {}
        assert_eq!(sweep.broken(), 0, "it may come back");
    }
    let dropped_to = async || store.log(&main_log()).await.unwrap().unwrap().dropped_to;
    assert_eq!(dropped_to().await, 0);
    match &ground.s3 {
        Some(s3) => s3.fail_every(0),
        None => paths.iter().for_each(|path| bring_back(&chunks.join(path))),
    }
    while store.sweep(&mut sweep, grace).await.unwrap() {}
    assert_eq!(dropped_to().await, 0, "not before the next watch");
    assert!(store.watch_lapses(&mut sweep, 1, NOW_MS).await.unwrap());
    while store.sweep(&mut sweep, grace).await.unwrap() {}
    assert_eq!((dropped_to().await, sweep.broken()), (100, 0));
    assert_eq!(bodies(&store, main_log()).await, (0..301).map(|pos| pos >= 100).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_account_that_cannot_be_dropped_holds_up_no_other() {
    // Goal: an object that cannot be read keeps what else is due from nobody, and goes as all do once it can. Method: two accounts whose lease is over, the
    // first with a log whose object is a directory for a while.
    let ground = Ground::files();
    let store = open(&ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1)]).await;
    let mut device = Device::new(1, person(1), main_log());
    write(&store, &mut device, 300, 200).await;
    pack(&store, NOW_MS).await;
    let second = other(1);
    let begins = beginning_of(second, &[person(2)]).1;
    store.append(Append { payer: Some(person(2)), ..append(&begins) }).await.unwrap();
    let mut device = Device::new(2, person(2), log_of(&second));
    write(&store, &mut device, 60, 200).await;
    for number in [1, 2] {
        ends(&store, number, NOW_MS).await;
    }
    store.close().await.unwrap();
    let store = open(&ground, &Plan::default(), 1 << 30).await;
    let (paths, chunks) = (ground.objects().await, ground.dir().join("chunks"));
    paths.iter().for_each(|path| take_away(&chunks.join(path)));
    let (mut sweep, grace) = (Sweep::default(), Grace { now_ms: NOW_MS, grace_ms: 0 });
    while !store.watch_lapses(&mut sweep, 1, NOW_MS).await.unwrap() {}
    let of = async |did: Did| store.database(&did).await.unwrap().unwrap().dropped;
    let dropped = async || [of(db()).await, of(second).await];
    for _ in 0..2 {
        while store.sweep(&mut sweep, grace).await.unwrap() {}
        assert_eq!(dropped().await, [Dropped::Going, Dropped::Gone]);
        assert!(store.watch_lapses(&mut sweep, 1, NOW_MS).await.unwrap());
    }
    paths.iter().for_each(|path| bring_back(&chunks.join(path)));
    while store.sweep(&mut sweep, grace).await.unwrap() {}
    assert_eq!((dropped().await, sweep.broken()), ([Dropped::Gone; 2], 0));
    assert!(bodies(&store, main_log()).await.iter().all(|is_there| !is_there));
}

/// Puts a directory in the place of an object.
fn take_away(path: &Path) {
    std::fs::rename(path, path.with_extension("away")).unwrap();
    std::fs::create_dir(path).unwrap();
}

/// Puts the object there again.
fn bring_back(path: &Path) {
    std::fs::remove_dir(path).unwrap();
    std::fs::rename(path.with_extension("away"), path).unwrap();
}

/// A receipt of the last of so many entries is proved.
async fn proved_at(store: &Store, size: u64) {
    let rows = store.receipt(&main_log(), &[size - 1], size, Some(1)).await.unwrap().unwrap();
    assert!(!rows.consistency.is_empty() && !rows.paths[0].is_empty());
}

async fn several_that_pack_beside_writers_and_readers_pack_each_entry_once(ground: &Ground) {
    // Goal: each entry leaves the rows once, whoever packs it, and readers see one log. Method: two packers, at two nodes where there are, four devices,
    // a trim, and a reader who compares what they see with what they saw.
    let first = Arc::new(open(ground, &Plan::default(), 1 << 30).await);
    let second = match &ground.home.database {
        Some(_) => Arc::new(open(&Ground { s3: None, ..ground.elsewhere() }, &Plan::default(), 1 << 30).await),
        None => first.clone(),
    };
    make(&first, &(1..=4).map(person).collect::<Vec<_>>()).await;
    let mut writers = tokio::task::JoinSet::new();
    for number in 1..=4_u8 {
        let store = if number.is_multiple_of(2) { second.clone() } else { first.clone() };
        writers.spawn(async move {
            let mut device = Device::new(number, person(number), main_log());
            for round in 0..40_u32 {
                let some: Vec<Entry> = (0..15).map(|at| device.next(&body(round * 15 + at, 60))).collect();
                let once = store.append(append(&some)).await.unwrap();
                assert_eq!(store.append(append(&some)).await.unwrap(), once);
            }
        });
    }
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut packers = tokio::task::JoinSet::new();
    for store in [first.clone(), second.clone()] {
        let done = done.clone();
        packers.spawn(async move {
            let (mut packing, mut entries) = (Packing::default(), 0);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                entries += store.pack(&mut packing, Age { now_ms: NOW_MS, after_ms: 0 }).await.unwrap().entries;
            }
            entries + pack(&store, NOW_MS).await.0
        });
    }
    let (reader, stop) = (second.clone(), done.clone());
    let reader = tokio::spawn(async move {
        let mut seen: Vec<EntryRow> = Vec::new();
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let rows = all(&reader).await;
            assert_eq!(rows[..seen.len()], seen, "what was read once");
            seen = rows;
        }
    });
    writers.join_all().await;
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(packers.join_all().await.into_iter().sum::<u64>(), 2_400, "each once");
    reader.await.unwrap();
    let rows = all(&first).await;
    let mut next = BTreeMap::new();
    for row in &rows {
        let header = dgns_api::store::entry::Header::decode(&row.header).unwrap();
        let expected = next.entry(header.author).or_insert(0);
        assert_eq!(header.lsn, *expected);
        *expected += 1;
    }
    assert_eq!(rows.len(), 2_400);
    proved(&first, main_log()).await;
}

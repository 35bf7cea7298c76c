//! Chunks: stored for files or for the entries of a database, named by entries, and kept as long as something names them.

use bytes::Bytes;
use dgns_api::store::content::{self, ContentId};
use dgns_api::store::entry::{Entry, Header};
use dgns_api::store::limits::ENTRY_CHUNK_BYTES_MAX;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _};
use storage::StorageError;
use storage::inject::Plan;
use storage::limits::{CHUNK_NOTED_MS, CHUNK_OVERHEAD_BYTES};
use storage::store::{AppendRefusal, Charge, Purpose, Store};

use crate::ground::{Device, Ground, NOW_MS, append, home, main_log, make, on_both_engines, on_moto, open, person};

on_both_engines! {
    chunks_are_their_hash_are_charged_once_and_known_to_who_stored_them
    an_entry_is_taken_once_every_chunk_that_it_names_is_there_for_its_database
    chunks_that_nothing_names_yet_are_there_an_hour_on_and_so_are_many
}

on_moto! {
    chunks_are_their_hash_are_charged_once_and_known_to_who_stored_them
    an_entry_is_taken_once_every_chunk_that_it_names_is_there_for_its_database
}

pub(crate) fn files(number: u8) -> Charge {
    Charge { purpose: Purpose::files(person(number)), now_ms: NOW_MS }
}

pub(crate) async fn entries(store: &Store, now_ms: u64) -> Charge {
    let log = store.log(&main_log()).await.unwrap().unwrap();
    Charge { purpose: Purpose::entries(&log), now_ms }
}

/// What a chunk of so many bytes is charged with.
pub(crate) fn charged(size: usize) -> u64 {
    size as u64 + CHUNK_OVERHEAD_BYTES
}

async fn has(store: &Store, charge: Charge, id: &ContentId) -> bool {
    !store.have_chunks(charge, &[*id]).await.unwrap().is_empty()
}

/// A chunk of so many bytes, and its id.
pub(crate) fn chunk(byte: u8, size: usize) -> (ContentId, Bytes) {
    let bytes = Bytes::from(vec![byte; size]);
    (content::id_of(&bytes), bytes)
}

/// Signs an entry that names chunks, without going on to it.
pub(crate) fn naming(device: &Device, mut refs: Vec<ContentId>) -> Entry {
    refs.sort();
    let plain = device.entry(dgns_api::store::entry::Class::Data, b"sealed", None);
    let header = Header { refs, ..plain.header().clone() };
    Entry::sign(header, b"sealed".to_vec(), &home(), &device.key).unwrap()
}

async fn chunks_are_their_hash_are_charged_once_and_known_to_who_stored_them(ground: &Ground) {
    let store = open(ground, &Plan::default(), 1 << 30).await;
    let charge = files;
    for size in [0, 1, 16_384, 16_385, 300_000] {
        let bytes = Bytes::from(vec![3; size]);
        let id = content::id_of(&bytes);
        let used = async |number| store.account(&person(number)).await.unwrap().map_or(0, |row| row.used_bytes);
        let (mine, theirs) = (used(1).await, used(2).await);
        let wrong = store.put_chunk(&[9; 32], bytes.clone(), charge(1)).await;
        assert_eq!(wrong.map_err(|refusal| refusal.code()), Err("hash_mismatch"));
        for _ in 0..2 {
            store.put_chunk(&id, bytes.clone(), charge(1)).await.unwrap();
        }
        assert_eq!((used(1).await, has(&store, charge(2), &id).await), (mine + charged(size), false));
        store.put_chunk(&id, bytes.clone(), charge(2)).await.unwrap();
        assert_eq!((used(2).await, has(&store, charge(2), &id).await), (theirs + charged(size), true));
        assert_eq!(store.chunk(&id).await, Ok(Some(bytes)));
    }
    let large = Bytes::from(vec![0; (4 << 20) + 1]);
    let put = store.put_chunk(&content::id_of(&large), large.clone(), charge(1)).await;
    assert_eq!(put.map_err(|refusal| refusal.code()), Err("too_large"));
    make(&store, &[person(1)]).await;
    for (size, taken) in [(ENTRY_CHUNK_BYTES_MAX, Ok(())), (ENTRY_CHUNK_BYTES_MAX + 1, Err("too_large"))] {
        let (id, bytes) = chunk(7, size);
        let put = store.put_chunk(&id, bytes, entries(&store, NOW_MS).await).await;
        assert_eq!(put.map_err(|refusal| refusal.code()), taken, "{size} bytes for entries");
    }
    let bytes = Bytes::from(vec![3; 300_000]);
    let id = content::id_of(&bytes);
    let hex = data_encoding::HEXLOWER.encode(&id);
    ground.damage(&format!("c/{}/{}", &hex[..2], &hex[2..]), &[4; 300_000]).await;
    assert!(matches!(store.chunk(&id).await, Err(StorageError::Corrupt { .. })), "damage is not handed out");
}

async fn an_entry_is_taken_once_every_chunk_that_it_names_is_there_for_its_database(ground: &Ground) {
    // Goal: what is named is there, and nobody learns by it what an account has for anything else. Method: the chunks as files of the
    // account that pays, for another database's entries, then for its own, one after the other; refused ones change nothing.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1), person(2)]).await;
    let mut device = Device::new(2, person(2), main_log());
    let ((small, few), (large, many)) = (chunk(1, 100), chunk(2, 300_000));
    let entry = naming(&device, vec![small, large]);
    let missing = async |entry: &Entry| match store.append(append(std::slice::from_ref(entry))).await {
        Err(AppendRefusal::ChunkMissing { ids }) => ids.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(&entry).await, 2);
    for (id, bytes) in [(small, &few), (large, &many)] {
        store.put_chunk(&id, bytes.clone(), files(1)).await.unwrap();
    }
    assert_eq!(missing(&entry).await, 2, "files of the account that pays are no concern of who writes");
    let used = async || store.account(&person(1)).await.unwrap().unwrap().used_bytes;
    let before = used().await;
    store.put_chunk(&small, few, entries(&store, NOW_MS).await).await.unwrap();
    assert_eq!(missing(&entry).await, 1);
    let stranger = Device::new(3, person(3), main_log());
    let refused = store.append(append(&[naming(&stranger, vec![small, large])])).await;
    assert_eq!(
        refused.map_err(|refusal| refusal.code()),
        Err("not_writer"),
        "who may not write does not learn what is there"
    );
    store.put_chunk(&large, many, entries(&store, NOW_MS).await).await.unwrap();
    assert_eq!(
        used().await,
        before + charged(100) + charged(300_000),
        "the account of the database pays, for each purpose"
    );

    let placed = store.append(append(std::slice::from_ref(&entry))).await.unwrap();
    assert_eq!(store.append(append(std::slice::from_ref(&entry))).await.as_ref(), Ok(&placed), "again");
    (device.next, device.last) = (1, Some(entry.leaf()));
    store.append(append(&[device.next(b"names none")])).await.unwrap();
    let log = store.log(&main_log()).await.unwrap().unwrap();
    for (pos, id, named) in
        [(0, small, true), (0, large, true), (0, [9; 32], false), (1, small, false), (2, small, false)]
    {
        assert_eq!(store.names(&log, pos, &id).await, Ok(named));
    }
    assert!(
        store.may_write(&log, &person(2), 1).await.unwrap() && !store.may_write(&log, &person(3), 1).await.unwrap()
    );
    assert!(!store.may_write(&log, &person(2), 5_000).await.unwrap(), "a member no more");
}

async fn chunks_that_nothing_names_yet_are_there_an_hour_on_and_so_are_many(ground: &Ground) {
    // Goal: who asks an hour on, when it is noted, is told the same; of many at once, and of one that is asked for twice.
    let store = open(ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1), person(2)]).await;
    let mut ids = Vec::new();
    for number in 0..70 {
        let (id, bytes) = chunk(number, 10);
        store.put_chunk(&id, bytes, entries(&store, NOW_MS).await).await.unwrap();
        ids.push(id);
    }
    ids.sort();
    let asked = [&ids[..], &[[9; 32], ids[0]]].concat();
    for now_ms in [NOW_MS, NOW_MS + CHUNK_NOTED_MS, NOW_MS + CHUNK_NOTED_MS] {
        let mut there = store.have_chunks(entries(&store, now_ms).await, &asked).await.unwrap();
        there.sort();
        assert_eq!(there, ids);
    }
    let log = store.log(&main_log()).await.unwrap().unwrap();
    for (purpose, there) in [(Purpose::entries(&log), true), (Purpose::files(person(1)), false)] {
        assert_eq!(store.has_chunk(purpose, &ids[0]).await, Ok(there));
    }
    let writer = Device::new(2, person(2), main_log());
    store.append(append(&[naming(&writer, ids[..48].to_vec())])).await.unwrap();
    let stranger = Device::new(3, person(3), main_log());
    let refused = store.append(append(&[naming(&stranger, ids[..48].to_vec())])).await;
    assert_eq!(refused.map_err(|refusal| refusal.code()), Err("not_writer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_counts_each_chunk_that_it_names_once_and_a_refused_one_none() {
    // Goal: what is named stays named. Method: the rows themselves, read behind a store that was closed.
    let ground = Ground::files();
    let store = open(&ground, &Plan::default(), 1 << 30).await;
    make(&store, &[person(1), person(2)]).await;
    let ((small, few), (other, many)) = (chunk(1, 100), chunk(2, 200));
    store.put_chunk(&small, few.clone(), files(1)).await.unwrap();
    for (id, bytes) in [(small, few), (other, many)] {
        store.put_chunk(&id, bytes, entries(&store, NOW_MS).await).await.unwrap();
    }
    let mut device = Device::new(2, person(2), main_log());
    let first = naming(&device, vec![small, other]);
    for _ in 0..2 {
        store.append(append(std::slice::from_ref(&first))).await.unwrap();
    }
    (device.next, device.last) = (1, Some(first.leaf()));
    let second = naming(&device, vec![small]);
    let refused = store.append(append(&[second.clone(), naming(&device, vec![other])])).await;
    assert_eq!(refused.map_err(|refusal| refusal.code()), Err("lsn_conflict"), "of the two none is taken");
    store.append(append(&[second])).await.unwrap();
    store.close().await.unwrap();

    let options = SqliteConnectOptions::new().filename(ground.dir().join("store.db")).read_only(true);
    let mut rows = options.connect().await.unwrap();
    let rows =
        sqlx::query("SELECT db, size, refs FROM chunk_use ORDER BY db, size").fetch_all(&mut rows).await.unwrap();
    let rows: Vec<[i64; 3]> = rows.iter().map(|row| [0, 1, 2].map(|cell| row.get(cell))).collect();
    let [small, other] = [100, 200].map(|size| charged(size) as i64);
    assert_eq!(rows, [[0, small, 1], [1, small, 2], [1, other, 1]], "a file is named by its person");
}

//! Chunks: stored for files or for the entries of a database, named by entries, and kept as long as something names them.

use bytes::Bytes;
use dgns_api::store::content::{self, ContentId};
use dgns_api::store::entry::{Entry, Header};
use storage::StorageError;
use storage::inject::Plan;
use storage::store::{AppendRefusal, Charge, Purpose, Store};

use crate::ground::{Device, Ground, NOW_MS, append, home, main_log, make, on_both_engines, open, person};

on_both_engines! {
    chunks_are_their_hash_are_charged_once_and_known_to_who_stored_them
    an_entry_is_taken_once_every_chunk_that_it_names_is_there_for_its_database
}

fn files(number: u8) -> Charge {
    Charge { purpose: Purpose::files(person(number)), now_ms: NOW_MS }
}

async fn entries(store: &Store, now_ms: u64) -> Charge {
    let log = store.log(&main_log()).await.unwrap().unwrap();
    Charge { purpose: Purpose::entries(&log), now_ms }
}

async fn has(store: &Store, charge: Charge, id: &ContentId) -> bool {
    !store.have_chunks(charge, &[*id]).await.unwrap().is_empty()
}

/// A chunk of so many bytes, and its id.
fn chunk(byte: u8, size: usize) -> (ContentId, Bytes) {
    let bytes = Bytes::from(vec![byte; size]);
    (content::id_of(&bytes), bytes)
}

/// Signs an entry that names chunks, without going on to it.
fn naming(device: &Device, mut refs: Vec<ContentId>) -> Entry {
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
        assert_eq!((used(1).await, has(&store, charge(2), &id).await), (mine + size as u64, false));
        store.put_chunk(&id, bytes.clone(), charge(2)).await.unwrap();
        assert_eq!((used(2).await, has(&store, charge(2), &id).await), (theirs + size as u64, true));
        assert_eq!(store.chunk(&id).await, Ok(Some(bytes)));
    }
    let large = Bytes::from(vec![0; (4 << 20) + 1]);
    let put = store.put_chunk(&content::id_of(&large), large.clone(), charge(1)).await;
    assert_eq!(put.map_err(|refusal| refusal.code()), Err("too_large"));
    let bytes = Bytes::from(vec![3; 300_000]);
    let id = content::id_of(&bytes);
    let hex = data_encoding::HEXLOWER.encode(&id);
    let path = ground.chunks().join("c").join(&hex[..2]).join(&hex[2..]);
    std::fs::write(&path, vec![4; 300_000]).unwrap();
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
    assert_eq!(used().await, before + 300_100, "the account of the database pays, for each purpose");

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

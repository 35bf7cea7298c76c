#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where and stop")]

use dgns_api::store::acl::Stage;
use dgns_api::store::control::DbKind;

use super::*;
use crate::storage::Options;
use crate::store::rows::{DbRow, Dropped};
use crate::store::{FreeQuota, Grace};

const DB: RowId = 1;
const GRACE_MS: u64 = 1_000;

/// A store with one database, and nothing in it.
async fn open(dir: &std::path::Path) -> Store {
    let free = FreeQuota { bytes: 1 << 30, entries: 1, lease_ms: None };
    let store = Store::open(dir, Options::default(), free).await.unwrap();
    let mut tx = store.inner.database.write().await.unwrap();
    let did = Did::from_bytes([1; 20]);
    let account = store.account_or_new(&mut tx, &did, 1).await.unwrap().id;
    let (stage, dropped) = (Stage::Live, Dropped::No);
    let row = DbRow { id: DB, did, account, kind: DbKind::General, created_ms: 1, stage, dropped, home: None };
    tables::db::insert(&mut tx, &row).await.unwrap();
    tx.commit(2).await.unwrap();
    store
}

fn charge(now_ms: u64) -> Charge {
    Charge { purpose: Purpose(Kind::Entries(DB)), now_ms }
}

/// Takes steps at a time until a chunk is let go of; with `all` until its object is deleted too.
async fn let_go(store: &Store, id: &ContentId, now_ms: u64, all: bool) {
    for now_ms in [now_ms + GRACE_MS, now_ms + 2 * GRACE_MS, now_ms + 3 * GRACE_MS] {
        while store.collect(Grace { now_ms, grace_ms: GRACE_MS }).await.unwrap().is_more {
            if !all && store.chunk(id).await.unwrap().is_none() {
                return;
            }
        }
    }
    assert_eq!(store.chunk(id).await.unwrap(), None);
}

#[tokio::test]
async fn an_upload_that_is_met_by_a_deletion_at_any_point_is_stored_all_the_same() {
    // Goal: whatever goes between an object and its row, a chunk that was acknowledged has its bytes. Method: both halves of an upload, with
    // whole uploads and deletions of the same chunk in between.
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let bytes = Bytes::from(vec![7; 20_000]);
    let id = content::id_of(&bytes);
    let objects = || {
        let folders = std::fs::read_dir(dir.path().join("chunks/c")).into_iter().flatten();
        folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum::<usize>()
    };
    let (mut now_ms, mut writings) = (GRACE_MS, Vec::new());
    for (is_there_before, all) in [(false, true), (true, true), (false, false), (true, false)] {
        now_ms += 10 * GRACE_MS;
        if is_there_before {
            store.put_chunk(&id, bytes.clone(), charge(now_ms)).await.unwrap();
        }
        let writing = store.write_object(&id, &bytes).await.unwrap();
        if !is_there_before {
            store.put_chunk(&id, bytes.clone(), charge(now_ms)).await.unwrap();
        }
        let_go(&store, &id, now_ms, all).await;
        assert!(!store.put_rows(&id, &bytes, writing, charge(now_ms)).await.unwrap(), "its object is not kept");
        let left = usize::from(!all);
        assert_eq!((store.chunk(&id).await.unwrap(), objects()), (None, left), "rows that are put back still find it");
        while store.collect(Grace { now_ms: now_ms + 4 * GRACE_MS, grace_ms: GRACE_MS }).await.unwrap().is_more {}
        assert_eq!(objects(), 0, "and then nothing is left of it");
        now_ms += 5 * GRACE_MS;

        // From here on it has another name: what is deleted late is not what is stored.
        let again = store.write_object(&id, &bytes).await.unwrap();
        while store.collect(Grace { now_ms, grace_ms: GRACE_MS }).await.unwrap().is_more {}
        store.inner.objects.delete(&path_of(&id, writing)).await.unwrap();
        assert!(store.put_rows(&id, &bytes, again, charge(now_ms)).await.unwrap());
        assert_eq!(store.chunk(&id).await.unwrap(), Some(bytes.clone()));
        writings.extend([writing, again]);
        let_go(&store, &id, now_ms, true).await;
    }
    assert!(writings.is_sorted_by(|a, b| a < b), "{writings:?}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn two_who_store_one_chunk_at_once_share_its_object() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let bytes = Bytes::from(vec![8; 20_000]);
    let id = content::id_of(&bytes);
    let writings = [store.write_object(&id, &bytes).await.unwrap(), store.write_object(&id, &bytes).await.unwrap()];
    for writing in writings {
        assert!(store.put_rows(&id, &bytes, writing, charge(1)).await.unwrap());
    }
    assert_eq!(store.chunk(&id).await.unwrap(), Some(bytes));
    store.close().await.unwrap();
}

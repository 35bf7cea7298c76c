//! `recovery.db`: an attempt is noted once, rows never go back, what is erased is gone from the file.

use identity::did::Did;
use storage::recovery::{EnrolmentRow, Recovery};

const DID: Did = Did::from_bytes([7; 20]);

fn row(epoch: u32, public: u8) -> EnrolmentRow {
    EnrolmentRow {
        did: DID,
        epoch,
        public: [public; 32],
        point: 2,
        salt: [0xa5; 32],
        secrets: vec![0x5c; 112],
        bundle: vec![public; 40],
        attempt: 0,
        blinded: None,
        made_s: u64::from(epoch),
    }
}

#[tokio::test]
async fn an_attempt_is_noted_once_and_never_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Recovery::open(dir.path()).await.unwrap();
    store.put(&row(1, 1), &[]).await.unwrap();
    let head = ("dgns.test/log", 9, b"head".as_slice());
    let mark = async |store: &Recovery, attempt, point: u8| {
        store.mark((&DID, 1, &[1; 32]), attempt, &[point; 32]).await.unwrap()
    };
    assert!(mark(&store, 1, 11).await);
    assert!(!mark(&store, 1, 12).await, "the same attempt with another point");
    assert!(mark(&store, 3, 13).await);
    assert!(!mark(&store, 2, 14).await, "an earlier attempt");
    assert!(!store.mark((&DID, 2, &[1; 32]), 1, &[1; 32]).await.unwrap(), "no such row");
    store.keep_head(head).await.unwrap();
    store.put(&row(1, 1), &[]).await.unwrap();
    store.close().await.unwrap();
    let store = Recovery::open(dir.path()).await.unwrap();
    let kept = store.of_did(&DID).await.unwrap();
    assert_eq!(
        kept,
        [EnrolmentRow { attempt: 3, blinded: Some([13; 32]), ..row(1, 1) }],
        "a second put changes nothing"
    );
    assert_eq!(store.head("dgns.test/log").await.unwrap().as_deref(), Some(b"head".as_slice()));
    store.keep_head(("dgns.test/log", 8, b"older")).await.unwrap();
    assert_eq!(store.head("dgns.test/log").await.unwrap().as_deref(), Some(b"head".as_slice()));
    assert_eq!(store.bundle(&identity::hash::sha256(&[&[1; 40]])).await.unwrap(), Some(vec![1; 40]));
    assert_eq!(store.bundle(&[0; 32]).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_erased_is_not_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = Recovery::open(dir.path()).await.unwrap();
    for epoch in 1..=3 {
        store.put(&row(epoch, epoch as u8), &[]).await.unwrap();
    }
    store.put(&row(4, 4), &[(1, [1; 32])]).await.unwrap();
    assert_eq!(store.erase(&DID, &[(2, [2; 32]), (9, [9; 32])]).await.unwrap(), 1);
    let epochs: Vec<u32> = store.of_did(&DID).await.unwrap().iter().map(|row| row.epoch).collect();
    assert_eq!(epochs, [3, 4]);
    assert_eq!(store.dids(&Did::from_bytes([0; 20]), 10).await.unwrap(), [DID]);
    assert_eq!(store.dids(&DID, 10).await.unwrap(), []);
    assert_eq!(store.erase(&DID, &[(3, [3; 32]), (4, [4; 32])]).await.unwrap(), 2);
    assert_eq!(store.count().await.unwrap(), 0);
    store.close().await.unwrap();
    let bytes = std::fs::read(dir.path().join("recovery.db")).unwrap();
    assert!(!bytes.windows(32).any(|part| part == [0xa5; 32]), "a salt is still there");
}

use super::*;
use crate::fault::Place;

fn objects() -> (tempfile::TempDir, Objects) {
    let dir = tempfile::tempdir().unwrap();
    let objects = Objects::open(&dir.path().join("objects"), true, Plan::default()).unwrap();
    (dir, objects)
}

#[tokio::test]
async fn an_object_reads_back_and_equal_bytes_may_be_put_again() {
    let (_dir, objects) = objects();
    let path = "tile/0/x001/067";
    assert_eq!(objects.get(path).await.unwrap(), None);
    for _ in 0..2 {
        objects.put_new(path, Bytes::from_static(b"hashes")).await.unwrap();
    }
    assert_eq!(objects.get(path).await.unwrap().unwrap(), "hashes");
    assert!(objects.exists(path).await.unwrap());
    assert!(!objects.exists("tile/0/x001/068").await.unwrap());
}

#[tokio::test]
async fn other_bytes_at_the_same_path_are_a_fault_and_change_nothing() {
    let (_dir, objects) = objects();
    objects.put_new("tile/0/000", Bytes::from_static(b"ours")).await.unwrap();
    for other in ["other", "our", "ours and more", ""] {
        let error = objects.put_new("tile/0/000", other.into()).await.unwrap_err();
        let place = Place::File(objects.dir().join("tile/0/000"));
        assert_eq!(error, StorageError::ObjectDiffers { place });
    }
    assert_eq!(objects.get("tile/0/000").await.unwrap().unwrap(), "ours");
}

#[tokio::test]
async fn paths_that_could_leave_the_directory_are_refused() {
    let (_dir, objects) = objects();
    let long = "x/".repeat(limits::OBJECT_PATH_BYTES_MAX) + "x";
    for path in ["", "/", "/etc", "..", "a/../b", "a//b", "a/", "A", "a b", ".tmp/x", "a\0", "ä", &long] {
        assert_eq!(objects.put_new(path, Bytes::new()).await.unwrap_err().code(), "bad_path", "{path:?}");
        assert_eq!(objects.get(path).await.unwrap_err().code(), "bad_path", "{path:?}");
    }
}

#[tokio::test]
async fn the_list_is_sorted_and_leaves_out_what_is_being_written() {
    let (dir, objects) = objects();
    for path in ["tile/entries/000", "checkpoint", "tile/0/x001/000", "tile/0/000.p/12"] {
        objects.put_new(path, Bytes::from_static(b"x")).await.unwrap();
    }
    fs::write(dir.path().join("objects/.tmp/.tmp-1-1"), b"torn").unwrap();
    let all = ["checkpoint", "tile/0/000.p/12", "tile/0/x001/000", "tile/entries/000"];
    assert_eq!(objects.list("").await.unwrap(), all);
    assert_eq!(objects.list("tile/entries").await.unwrap(), all[3..]);
    assert!(objects.list("history").await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_crash_left_unfinished_is_removed_at_the_next_start() {
    let (dir, objects) = objects();
    let torn = dir.path().join("objects/.tmp/.tmp-1-1");
    fs::write(&torn, b"torn").unwrap();
    Objects::open(objects.dir(), true, Plan::default()).unwrap();
    assert!(!torn.exists());
}

#[tokio::test]
async fn the_checkpoint_may_be_replaced() {
    let (_dir, objects) = objects();
    for bytes in ["first", "second"] {
        objects.replace("checkpoint", bytes.into()).await.unwrap();
    }
    assert_eq!(objects.get("checkpoint").await.unwrap().unwrap(), "second");
}

use super::*;

fn head(size: u64) -> Raised {
    Raised { size, root: [size as u8; 32] }
}

fn raised_to(sizes: &[u64]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("guard");
    let mut guard = Guard::create(&path, head(0)).unwrap();
    for size in sizes {
        guard.raise(head(*size)).unwrap();
    }
    (dir, path)
}

#[test]
fn the_newest_head_survives_reopening() {
    let (_dir, path) = raised_to(&[3, 5, 9]);
    assert_eq!(Guard::open(&path).unwrap().newest(), head(9));
    assert_eq!(Guard::peek(&path).unwrap(), head(9));
}

#[test]
fn a_torn_slot_falls_back_to_the_head_before_and_is_written_again() {
    // Goal: a write torn anywhere costs the newest head at most. Method: flip each byte of the newest slot, one at a time.
    for byte in 0..SLOT_BYTES as u64 {
        let (_dir, path) = raised_to(&[3, 5]); // n = 2: slot 0
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut torn = [0];
        file.read_exact_at(&mut torn, byte).unwrap();
        file.write_all_at(&[torn[0] ^ 0xff], byte).unwrap();
        drop(file);
        let mut guard = Guard::open(&path).unwrap();
        assert_eq!(guard.newest(), head(3), "byte {byte}");
        guard.raise(head(7)).unwrap();
        drop(guard);
        assert_eq!(Guard::peek(&path).unwrap(), head(7), "byte {byte}");
    }
}

#[test]
fn a_guard_without_a_valid_slot_is_corrupt() {
    let (_dir, path) = raised_to(&[3]);
    for length in [0, 40, SLOT_BYTES as u64 - 1] {
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        assert_eq!(Guard::open(&path).unwrap_err().code(), "corrupt");
    }
}

#[test]
fn a_smaller_head_and_another_root_at_the_same_size_are_refused() {
    let (_dir, path) = raised_to(&[5]);
    let mut guard = Guard::open(&path).unwrap();
    guard.raise(head(5)).unwrap();
    for refused in [head(4), Raised { size: 5, root: [9; 32] }] {
        let size = refused.size;
        assert_eq!(guard.raise(refused).unwrap_err(), StorageError::RolledBack { guard_size: 5, size });
    }
    assert_eq!(guard.newest(), head(5));
}

#[test]
fn a_second_process_is_locked_out() {
    let (_dir, path) = raised_to(&[5]);
    let _held = Guard::open(&path).unwrap();
    assert_eq!(Guard::open(&path).unwrap_err().code(), "locked");
}

#[test]
fn creating_over_a_guard_is_refused() {
    let (_dir, path) = raised_to(&[5]);
    assert!(Guard::create(&path, head(0)).is_err());
    assert_eq!(Guard::peek(&path).unwrap(), head(5));
}

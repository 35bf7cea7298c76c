use super::*;

#[test]
fn replace_leaves_only_the_new_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint");
    replace(&path, b"first, and longer").unwrap();
    replace(&path, b"second").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
}

#[test]
fn create_never_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    create(&path, b"secret").unwrap();
    assert_eq!(create(&path, b"other").unwrap_err().code(), "io");
    assert_eq!(fs::read(&path).unwrap(), b"secret");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_full_disk_is_named() {
    // Goal: ENOSPC becomes `disk_full` with the file. Method: /dev/full refuses every write with it.
    let path = Path::new("/dev/full");
    let error = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(b"x")).unwrap_err();
    assert_eq!(StorageError::of_file(path, &error), StorageError::DiskFull { place: Place::from(path) });
}

#[test]
fn a_place_where_nobody_may_write_is_read_only() {
    // /sys refuses new directories to everyone, root included.
    assert_eq!(create_dir(Path::new("/sys/dgns")).unwrap_err().code(), "read_only");
}

#[test]
fn a_second_holder_of_a_lock_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let held = LockFile::take(&path).unwrap();
    assert_eq!(LockFile::take(&path).unwrap_err(), StorageError::Locked { place: Place::from(path.as_path()) });
    drop(held);
    LockFile::take(&path).unwrap();
}

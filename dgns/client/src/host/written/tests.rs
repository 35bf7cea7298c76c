//! Writes: once each, taken back where a crash left half of one, and refused where the file is not what the journal says.

use std::fs;

use tempfile::TempDir;

use super::*;

const ALICE: KeyBytes = [1; 32];
const BOB: KeyBytes = [2; 32];

struct Scene {
    directory: TempDir,
    log: Written,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let log = Written::at(directory.path().join("x.log"));
        Self { directory, log }
    }

    fn write(&mut self, device: KeyBytes, lsn: u64, entries: &[&str]) -> Result<Receipt, NotWritten> {
        let entries: Vec<Vec<u8>> = entries.iter().map(|entry| entry.as_bytes().to_vec()).collect();
        self.log.write(Write { device, lsn, entries: &entries, expect: None, bytes_max: 1_000 })
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path("x.log")).expect("a log")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Another process opens it.
    fn again(&mut self) {
        self.log = Written::at(self.path("x.log"));
    }
}

#[test]
fn a_write_is_there_once_whatever_comes_again() {
    let mut scene = Scene::new();
    let first = scene.write(ALICE, 1, &["one", "two"]).expect("written");
    assert_eq!((first.position, first.size, first.head), (0, 8, sha256(&[b"one\ntwo\n"])));
    let second = scene.write(ALICE, 3, &["three"]).expect("written");
    let of_bob = scene.write(BOB, 1, &["one", "two"]).expect("each device has numbers of its own");
    assert_eq!(scene.text(), "one\ntwo\nthree\none\ntwo\n");
    for opened_again in [false, true] {
        if opened_again {
            scene.again();
        }
        assert_eq!(scene.write(ALICE, 1, &["one", "two"]), Ok(first));
        assert_eq!(scene.write(ALICE, 3, &["three"]), Ok(second));
        assert_eq!(scene.write(BOB, 1, &["one", "two"]), Ok(of_bob));
        for (lsn, entries) in [(3, &["other"][..]), (1, &["one"]), (1, &["one\ntwo"]), (2, &["two"])] {
            assert_eq!(scene.write(ALICE, lsn, entries), Err(NotWritten::Conflict), "{lsn} {entries:?}");
        }
        for lsn in [5, u64::MAX] {
            assert_eq!(scene.write(ALICE, lsn, &["x"]), Err(NotWritten::Gap), "{lsn}");
        }
        assert_eq!(scene.write(BOB, 4, &["x"]), Err(NotWritten::Gap));
        assert_eq!(scene.log.standing(&ALICE).map(|standing| (standing.size, standing.lsn)), Ok((22, 3)));
    }
    assert_eq!(scene.text(), "one\ntwo\nthree\none\ntwo\n", "nothing of it was written");
}

#[test]
fn a_head_that_is_expected_is_the_head_and_a_quota_is_kept() {
    let mut scene = Scene::new();
    scene.write(ALICE, 1, &["one"]).expect("written");
    let entries = vec![b"two".to_vec()];
    let write = |expect, bytes_max| Write { device: ALICE, lsn: 2, entries: &entries, expect: Some(expect), bytes_max };
    assert_eq!(scene.log.write(write([0; 32], 99)), Err(NotWritten::Head));
    let head = sha256(&[b"one\n"]);
    assert_eq!(scene.log.write(write(head, 7)), Err(NotWritten::Quota));
    assert!(scene.log.write(write(head, 8)).is_ok());
    assert!(scene.log.write(write(head, 8)).is_ok(), "what came before is answered as before");
    assert_eq!(scene.text(), "one\ntwo\n");
}

#[test]
fn lines_of_others_are_counted_and_ended() {
    let mut scene = Scene::new();
    fs::write(scene.path("x.log"), "theirs\nhalf").expect("a file");
    let receipt = scene.write(ALICE, 1, &["one"]).expect("written");
    assert_eq!((receipt.position, receipt.head), (12, sha256(&[b"theirs\nhalf\none\n"])));
    fs::write(scene.path("x.log"), "theirs\nhalf\none\nmore\n").expect("a file");
    let receipt = scene.write(ALICE, 2, &["two"]).expect("written");
    assert_eq!((receipt.position, receipt.head), (21, sha256(&[b"theirs\nhalf\none\nmore\ntwo\n"])));
}

#[test]
fn half_a_write_is_taken_back_wherever_a_crash_left_it() {
    // Goal: what nobody was told of is there whole or not at all, and comes again. Method: the state after the last write, cut at every
    // byte of the log behind the record, and at every byte of the record itself.
    let mut scene = Scene::new();
    scene.write(ALICE, 1, &["one"]).expect("written");
    scene.write(ALICE, 2, &["two", "three"]).expect("written");
    let (log, journal) = (fs::read(scene.path("x.log")).unwrap(), fs::read(scene.path(".x.log.lsn")).unwrap());
    let cut = |log_bytes: usize, journal_bytes: usize| {
        let mut scene = Scene::new();
        fs::write(scene.path("x.log"), &log[..log_bytes]).unwrap();
        fs::write(scene.path(".x.log.lsn"), &journal[..journal_bytes]).unwrap();
        let lsn = scene.log.standing(&ALICE).expect("opened").lsn;
        let is_there = log_bytes == log.len() && journal_bytes == journal.len();
        assert_eq!(lsn, if is_there { 3 } else { 1 }, "{log_bytes} {journal_bytes}");
        let receipt = scene.write(ALICE, 2, &["two", "three"]).expect("it comes again");
        assert_eq!((receipt.position, fs::read(scene.path("x.log")).unwrap()), (4, log.clone()));
    };
    (4..=log.len()).for_each(|log_bytes| cut(log_bytes, journal.len()));
    (RECORD_BYTES..journal.len()).for_each(|journal_bytes| cut(4, journal_bytes));
}

#[test]
fn a_file_that_is_not_what_its_journal_says_is_not_written_to() {
    let mut scene = Scene::new();
    scene.write(ALICE, 1, &["one"]).expect("written");
    scene.write(ALICE, 2, &["two"]).expect("written");
    for wrong in ["", "one", "one\ntwX\nmore\n"] {
        fs::write(scene.path("x.log"), wrong).expect("a file");
        scene.again();
        assert_eq!(scene.write(ALICE, 3, &["three"]), Err(NotWritten::Changed), "{wrong:?}");
        assert_eq!(scene.text(), wrong, "nobody's bytes are touched");
    }
    fs::write(scene.path("x.log"), "one\ntwo\n").expect("a file");
    scene.again();
    assert!(scene.write(ALICE, 3, &["three"]).is_ok());
    let journal = scene.path(".x.log.lsn");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[5] ^= 1;
    fs::write(&journal, bytes).unwrap();
    scene.again();
    assert_eq!(scene.write(ALICE, 4, &["four"]), Err(NotWritten::Changed), "a journal that was damaged");
}

#[test]
fn one_process_writes_at_a_time() {
    let mut scene = Scene::new();
    scene.write(ALICE, 1, &["one"]).expect("written");
    let mut other = Written::at(scene.path("x.log"));
    assert_eq!(other.standing(&ALICE), Err(NotWritten::Busy));
    drop(scene.log);
    assert_eq!(other.standing(&ALICE).map(|standing| standing.lsn), Ok(1));
}

#[test]
fn a_disk_that_fails_is_said_and_a_mended_one_goes_on() {
    let mut scene = Scene::new();
    fs::create_dir(scene.path(".x.log.lsn")).expect("something else stands where the journal is to be");
    assert_eq!(scene.write(ALICE, 1, &["one"]), Err(NotWritten::Failed));
    assert_eq!(scene.log.standing(&ALICE), Err(NotWritten::Failed));
    assert!(!scene.path("x.log").exists(), "nothing was written");
    fs::remove_dir(scene.path(".x.log.lsn")).expect("it is mended");
    assert!(scene.write(ALICE, 1, &["one"]).is_ok());
    assert_eq!(scene.text(), "one\n");
}

//! A server whose disk is full, or whose files are damaged or foreign, says which file it is and signs nothing.

use std::fs;
use std::io::{Error, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use dgns_tests::harness::load::{Poster, Somebody};
use dgns_tests::harness::{Person, Ran, Server, Site, wait};
use dgns_tests::skip::skip;

#[test]
fn damaged_or_foreign_file_is_named_and_nothing_is_signed() {
    // Goal: whatever is wrong with the data, no start signs a head over it. Method: each damage to a copy of one site; the exit
    // code, the file that is named, and the guard, which every signature raises.
    let (site, foreign) = (Site::new(), Site::new());
    let server = site.start();
    grow(&server, 40);
    server.stop().exits(0);
    foreign.start().stop().exits(0);
    // A check also brings the write-ahead log in: all there is stands in the file that is damaged.
    site.dgnsd(&["fsck"]).exits(0);
    foreign.dgnsd(&["fsck"]).exits(0);
    let whole = site.snapshot();
    let foreign = |name: &str| Damage::Becomes(fs::read(foreign.data().join(name)).unwrap());
    for (what, file, damage, code) in [
        ("another log key", "keys/log.key", foreign("keys/log.key"), 3),
        ("another zone key", "keys/zone.key", foreign("keys/zone.key"), 1),
        ("no log key", "keys/log.key", Damage::Gone, 1),
        ("no zone key", "keys/zone.key", Damage::Gone, 1),
        ("half a log key", "keys/log.key", Damage::Cut(30), 1),
        ("an empty log key", "keys/log.key", Damage::Cut(0), 1),
        ("a key others can read", "keys/log.key", Damage::Mode(0o644), 1),
        ("half a database", "names.db", Damage::Halved, 3),
        ("a database cut at its first page", "names.db", Damage::Cut(4_096), 3),
        ("a database of text", "names.db", Damage::Becomes(vec![b'x'; 10_000]), 3),
        ("the database of another log", "names.db", foreign("names.db"), 3),
        ("a damaged guard", "keys/guard", Damage::Becomes(vec![0; 5_000]), 3),
        ("the guard of another log", "keys/guard", foreign("keys/guard"), 3),
        ("no guard", "keys/guard", Damage::Gone, 3),
    ] {
        site.restore(&whole, &[]);
        damage.befalls(&site.data().join(file));
        let guard = fs::read(site.data().join("keys/guard")).ok();
        let refused = site.start_in_vain();
        assert_eq!(refused.code, Some(code), "{what}: {refused}");
        assert!(names(&refused, file), "{what}: {file} is not named: {refused}");
        assert_eq!(fs::read(site.data().join("keys/guard")).ok(), guard, "{what}: something was signed");
        let checked = site.dgnsd(&["fsck"]);
        // The zone key signs claims, not the history that fsck judges.
        assert!(checked.code != Some(0) || what == "another zone key", "{what}: fsck finds nothing: {checked}");
    }
    site.restore(&whole, &[]);
    site.start().stop().exits(0);
    site.dgnsd(&["fsck", "--deep"]).exits(0);
}

#[test]
fn damaged_tile_is_found_by_fsck_and_never_passes_for_the_log() {
    // Goal: a byte of a tile that turned over on disk does not reach a reader unnoticed. Method: one byte of every stored object,
    // one object at a time.
    let site = Site::new();
    let server = site.start();
    grow(&server, 300);
    server.stop().exits(0);
    let whole = site.snapshot();
    let objects = files(&site.data().join("objects"));
    assert!(objects.len() >= 2, "300 leaves fill a tile and a bundle: {objects:?}");
    for object in objects {
        site.restore(&whole, &[]);
        let mut bytes = fs::read(&object).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        fs::write(&object, bytes).unwrap();
        let name = object.strip_prefix(site.data()).unwrap().display().to_string();
        let checked = site.dgnsd(&["fsck"]);
        assert!(checked.exits(3).stdout.contains("fault: "), "{name}: {checked}");
        let auditor = Person::new();
        match site.try_start() {
            Err(refused) => assert!(!refused.stderr.is_empty(), "{name}: {refused}"),
            Ok(server) => {
                let audited = auditor.dgns(&server, &["audit"]);
                assert!(matches!(audited.code, Some(2 | 3)), "{name}: the audit passes: {audited}");
            }
        }
    }
}

#[test]
fn full_disk_stops_the_server_and_loses_nothing() {
    // Goal: no space left is said, and no answer was wrong. Method: posts until a file system of one mebibyte is full; then the
    // same data on a larger one.
    let Some(small) = SmallDisk::of_mib(2) else { return };
    let site = Site::new().with_data_in(&small.0.path().join("data"));
    let mut server = site.start();
    let mut poster = Poster::new(server.vkey());
    let (mut bob, birth) = Somebody::new("bob", 1);
    let mut acknowledged = vec![(poster.post(server.http, &birth, &bob.subject()).unwrap().0, birth)];
    let under_way = loop {
        let change = vec![bob.points_to([192, 0, 2, 1])];
        match poster.post(server.http, &change, &bob.subject()) {
            Ok((indexes, _)) => acknowledged.push((indexes, change)),
            Err(_) => break change,
        }
        assert!(acknowledged.len() < 20_000, "the disk does not fill");
    };
    let stopped = server.ended();
    assert_ne!(stopped.code, Some(0), "{stopped}");
    assert!(stopped.stderr.contains("no space left for"), "{stopped}");

    let rescued = Site::new();
    rescued.restore_from(site.data());
    let server = rescued.start();
    for (indexes, certificates) in &acknowledged {
        assert_eq!(poster.post(server.http, certificates, &bob.subject()).unwrap().0, *indexes);
    }
    poster.post(server.http, &under_way, &bob.subject()).unwrap();
    Person::new().dgns(&server, &["audit"]).exits(0);
    server.stop().exits(0);
    rescued.dgnsd(&["fsck", "--deep"]).exits(0);
}

#[test]
fn full_disk_stops_no_databases_and_they_go_on_once_there_is_room() {
    // Goal: entries and chunks that find no room are acknowledged to nobody, what was acknowledged is read while the disk is full, and the same commands go on
    // without a restart; names are another disk's. Method: `store.db` and `chunks` lie on a file system of 32 MiB, all of which another file takes, then some of it, then
    // none.
    let Some(small) = SmallDisk::of_mib(32) else { return };
    let site = Site::new();
    site.start().stop().exits(0);
    for name in ["store.db", "chunks"] {
        let (from, to) = (site.data().join(name), small.0.path().join(name));
        assert!(Command::new("cp").arg("-a").arg(&from).arg(&to).status().unwrap().success());
        if from.is_dir() { fs::remove_dir_all(&from) } else { fs::remove_file(&from) }.unwrap();
        symlink(&to, &from).unwrap();
    }
    let server = site.start();
    let alice = Person::with_name(&server, "alice");
    alice.dgns(&server, &["db", "create", "photos.alice"]).exits(0);
    let append = |lines: &str| alice.dgns_with_input(&server, &["db", "append", "photos.alice"], lines);
    let read = || alice.dgns_in_text(&server, &["db", "read", "photos.alice"]).exits(0).stdout.clone();
    let directory = tempfile::tempdir().unwrap();
    let [file, out] = ["file", "out"].map(|name| directory.path().join(name));
    let (file, out) = (file.to_str().unwrap(), out.to_str().unwrap());
    let whole = |seed: usize| (0..3_000_000).map(|at: usize| (at.wrapping_mul(seed) >> 7) as u8).collect::<Vec<u8>>();
    let put = || alice.dgns(&server, &["chunk", "put", file]);
    let comes_back = |id: &str, bytes: Vec<u8>| {
        alice.dgns(&server, &["chunk", "get", id, "--out", out]).exits(0);
        assert!(fs::read(out).unwrap() == bytes);
        fs::remove_file(out).unwrap();
    };
    append("before").exits(0);
    fs::write(file, whole(40_503)).unwrap();
    let before = put().exits(0).text("/id");

    let ballast = small.0.path().join("ballast");
    fill(&ballast);
    fs::write(file, whole(50_021)).unwrap();
    let large = "x".repeat(60_000);
    for room in [0, 40_000, 1_500_000] {
        leave(&ballast, room);
        let refused = put();
        assert!(refused.exits(2).text("/error").contains("(internal)"), "{room}: {refused}");
        // The write-ahead log has room of its own for a little: what is acknowledged is there, and nothing else.
        fill(&ballast);
        let mut lines = read();
        let taken = (0..100).take_while(|_| {
            let appended = append(&large);
            assert!(matches!(appended.code, Some(0 | 2)), "{appended}");
            appended.code == Some(0)
        });
        lines.push_str(&format!("{large}\n").repeat(taken.count()));
        assert!(lines.len() < 100 * large.len(), "the disk does not fill");
        assert!(read() == lines, "{room}");
        comes_back(&before, whole(40_503));
    }
    fs::remove_file(&ballast).unwrap();
    let said = read();
    append("after").exits(0);
    let (last, now) = (format!("{large}\nafter\n"), read());
    assert!(
        now == format!("{said}after\n") || now == format!("{said}{last}"),
        "what was not taken comes first, or not at all"
    );
    comes_back(&put().exits(0).text("/id"), whole(50_021));
    comes_back(&before, whole(40_503));
    server.stop().exits(0);
    site.dgnsd(&["fsck", "--deep"]).exits(0);
    let server = site.start();
    assert!(alice.dgns_in_text(&server, &["db", "read", "photos.alice"]).exits(0).stdout == now);
}

/// Takes all room of a disk.
fn fill(ballast: &Path) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(ballast).unwrap();
    for bytes in [1 << 20, 4_096] {
        while file.write_all(&vec![1; bytes]).is_ok() {}
    }
}

/// Leaves so many bytes more of a disk free.
fn leave(ballast: &Path, bytes: u64) {
    let file = fs::OpenOptions::new().write(true).open(ballast).unwrap();
    file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
}

/// What befalls a file.
enum Damage {
    Gone,
    Cut(u64),
    Halved,
    Mode(u32),
    Becomes(Vec<u8>),
}

impl Damage {
    fn befalls(&self, path: &Path) {
        let cut = |bytes| fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(bytes));
        match self {
            Self::Gone => fs::remove_file(path),
            Self::Cut(bytes) => cut(*bytes),
            Self::Halved => cut(fs::metadata(path).unwrap().len() / 2),
            Self::Mode(mode) => fs::set_permissions(path, fs::Permissions::from_mode(*mode)),
            Self::Becomes(bytes) => fs::write(path, bytes),
        }
        .unwrap();
    }
}

/// Returns whether a refusal names the file, or what it is.
fn names(refused: &Ran, file: &str) -> bool {
    let kind = match file {
        "names.db" => "database",
        "keys/guard" => "the guard",
        other => other,
    };
    refused.stderr.contains(file) || refused.stderr.contains(kind)
}

/// Posts changes until the log has `size` leaves.
fn grow(server: &Server, size: u64) {
    let (mut bob, birth) = Somebody::new("bob", 1);
    let mut poster = Poster::new(server.vkey());
    let mut resolved = poster.post(server.http, &birth, &bob.subject()).unwrap().1;
    for n in 0.. {
        if resolved.head().size >= size {
            return;
        }
        let change = bob.points_to([192, 0, 2, n]);
        resolved = poster.post(server.http, &[change], &bob.subject()).unwrap().1;
    }
}

/// Returns every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A file system in memory, taken away with the value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts one; says why not, and returns nothing, where that is not allowed.
    fn of_mib(mib: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "dgns-test"]).arg(directory.path());
        match command.output() {
            Ok(mounted) if mounted.status.success() => Some(Self(directory)),
            Ok(refused) => {
                skip(&format!("a small disk needs root: {}", String::from_utf8_lossy(&refused.stderr).trim()));
                None
            }
            Err(error) => {
                skip(&format!("mount: {}", Error::from(error.kind())));
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmount = || Command::new("umount").arg(self.0.path()).output().ok().filter(|done| done.status.success());
        wait::until("the small disk is free", unmount);
    }
}

//! A log written by this project, read by Go's stock packages `sumdb/tlog` and `sumdb/note` (PROTOCOL 8, 9).
//!
//! Cosignatures are opened by `tests/interop/cosigner/main.go`, on `sumdb/note` too. The reader is `tests/interop/go/main.go`. It must accept an honest export, every entry and every pair of heads of it, and
//! refuse one in which a byte of an entry, a tile or a checkpoint is another.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use data_encoding::{BASE64, HEXLOWER};
use dgns_client::clock;
use dgns_tests::harness::export::{self, Export, ORIGIN};
use dgns_tests::harness::witness::{WitnessSite, submit};
use dgns_tests::harness::{Server, Site, load, wait};
use identity::hash::sha256;
use identity::key::SigningKey;
use tempfile::TempDir;
use translog::hash::leaf_hash;
use translog::note::{LogSigner, Note};
use translog::tree::Edge;
use translog::witness::Request;

/// Where Debian keeps the Go packages.
const GOPATH: &str = "/usr/share/gocode";

/// Sizes at which a head is published, about tile edges above all.
const HEADS: [u64; 14] = [1, 2, 3, 10, 255, 256, 257, 511, 512, 513, 600, 767, 999, 1_003];

#[test]
fn go_reads_every_entry_and_every_head() {
    // Goal: stock readers take the log as it is. Method: an export with 14 heads; the counts say that all was looked at.
    let Some(reader) = reader() else { return };
    let log = Export::write(&HEADS);
    let report = accepted(&check(&log, reader));
    assert_eq!(
        report,
        "size 1003, entries 1003, inclusion proofs 1003, tiles 5, checkpoints 14, consistency proofs 91\n"
    );
}

#[test]
fn go_reads_a_log_of_three_tile_levels() {
    // Goal: tiles of level 2 and paths through three. Method: 66,000 entries, heads about 65,536.
    let Some(reader) = reader() else { return };
    let log = Export::write(&[65_535, 65_536, 65_537, 66_000]);
    let report = accepted(&check(&log, reader));
    assert!(report.starts_with("size 66000, entries 66000,"), "{report}");
}

#[test]
fn go_refuses_an_export_with_a_changed_byte() {
    // Goal: acceptance means something. Method: one byte of each kind of file changed, one at a time, on one export.
    let Some(reader) = reader() else { return };
    let log = Export::write(&HEADS);
    for (file, at, expected) in [
        ("tile/entries/001", 5, "not the one in the tree"),
        ("tile/entries/003.p/235", 1, "entry"),
        ("tile/0/000", 0, "tile"),
        ("tile/0/003.p/235", 40, "inconsistent tile"),
        ("tile/1/000.p/3", 95, "inconsistent tile"),
        ("checkpoint", 20, "checkpoint"),
    ] {
        let file = log.path().join(file);
        let honest = fs::read(&file).unwrap();
        let mut changed = honest.clone();
        changed[at] ^= 1;
        fs::write(&file, changed).unwrap();
        refused(&check(&log, reader), expected);
        fs::write(&file, honest).unwrap();
    }
    accepted(&check(&log, reader));
}

#[test]
fn go_refuses_an_entry_changed_together_with_its_tile() {
    // Goal: bundle and tile cannot vouch for each other. Method: another first entry, and its hash in the tile.
    let Some(reader) = reader() else { return };
    let log = Export::write(&HEADS);
    let (bundle, tile) = (log.path().join("tile/entries/000"), log.path().join("tile/0/000"));
    let (mut entries, mut hashes) = (fs::read(&bundle).unwrap(), fs::read(&tile).unwrap());
    let length = usize::from(u16::from_be_bytes([entries[0], entries[1]]));
    entries[2 + length - 1] ^= 1;
    hashes[..32].copy_from_slice(&leaf_hash(&entries[2..2 + length]));
    fs::write(bundle, entries).unwrap();
    fs::write(tile, hashes).unwrap();
    refused(&check(&log, reader), "");
}

#[test]
fn go_refuses_a_second_history() {
    // Goal: a fork signed by the right key is found. Method: a head of another log by the same key among the earlier ones.
    let Some(reader) = reader() else { return };
    let mut log = Export::write(&HEADS);
    let fork = log.path().join("fork");
    let mut edge = Edge::new();
    edge.extend(&[[7; 32]; 299]);
    fs::write(&fork, export::head(&mut edge).1).unwrap();
    log.checkpoints.push(fork);
    refused(&check(&log, reader), "is not a prefix of");
    // And another key's head is no head.
    log.checkpoints.pop();
    log.vkey = LogSigner::new(ORIGIN, SigningKey::from_seed(&[2; 32])).unwrap().verifier_key().to_string();
    refused(&check(&log, reader), "no verifiable signatures");
}

#[test]
fn go_reads_a_live_server_over_http() {
    // Goal: what a running server serves is the stock format, at each head it ever showed. Method: people claim names while the
    // checkpoint is kept again and again; then the reader takes every entry over HTTP and proves every pair of heads.
    let Some(reader) = reader() else { return };
    let site = Site::new();
    let server = site.start();
    let folder = TempDir::new().unwrap();
    let mut heads: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    let mut keep = || {
        let note = server.get("/log/checkpoint").body;
        if heads.last().is_none_or(|(_, known)| *known != note) {
            let path = folder.path().join(format!("head-{}", heads.len()));
            fs::write(&path, &note).unwrap();
            heads.push((path, note));
        }
    };
    let claimed = std::thread::scope(|scope| {
        let claims = scope.spawn(|| (0..130).map(|number| claim(&server, number)).count());
        while !claims.is_finished() {
            keep();
        }
        claims.join().unwrap()
    });
    keep();
    let earlier = heads[..heads.len() - 1].iter().map(|(path, _)| path);
    let mut command = Command::new(reader);
    command.args(["-log", &format!("{}/log", server.url), "-vkey", server.vkey()]).args(earlier);
    let report = accepted(&command.output().unwrap());
    let (size, pairs) = (3 + 2 + 3 * claimed, heads.len() * (heads.len() - 1) / 2);
    assert!(heads.len() > 20, "{} heads were seen", heads.len());
    assert!(report.starts_with(&format!("size {size}, entries {size}, inclusion proofs {size},")), "{report}");
    assert!(report.ends_with(&format!("checkpoints {}, consistency proofs {pairs}\n", heads.len())), "{report}");
}

/// Claims a name: two entries, and an Epoch as nobody else claims meanwhile.
fn claim(server: &Server, number: u64) {
    let (_, certificates) = load::Somebody::new(&format!("live{number}"), 1);
    let answer = server.post("/v1/certificates", &load::body(&certificates));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Runs the reader over an export with its earlier heads.
fn check(log: &Export, reader: &Path) -> Output {
    let mut command = Command::new(reader);
    command.arg("-log").arg(log.path()).arg("-vkey").arg(&log.vkey).args(&log.checkpoints);
    command.output().unwrap()
}

fn accepted(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(output: &Output, expected: &str) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(expected), "{message:?} names {expected:?}");
}

#[test]
fn go_opens_what_our_witnesses_cosigned() {
    // Goal: cosignatures of type 04 are what their specification says. Method: stock sumdb/note with a verifier written from its text
    // opens a checkpoint with the lines of a log, a witness and a verifying witness of dgnsd; with any of them bent it does not.
    let Some(cosigner) = cosigner() else { return };
    let (site, witnesses) = (Site::new(), WitnessSite::new());
    let server = site.start();
    let witness = witnesses.start_verifier(&[&format!("{} {}/log", server.vkey(), server.url)]);
    let note = Note::parse(&server.get("/log/checkpoint").body).unwrap();
    let request = Request::new(0, Vec::new(), note.clone()).unwrap().encode();
    let lines = ["witness", "verifier"].map(|role| {
        let cosigned =
            wait::until("it is cosigned", || Some(submit(&witness, role, &request)).filter(|a| a.status == 200));
        cosigned.text()
    });
    let vkeys = [0, 1].map(|at| witness.ready["vkeys"][at].as_str().unwrap().to_owned());
    let folder = TempDir::new().unwrap();
    let open = |text: &str| {
        let file = folder.path().join("checkpoint");
        fs::write(&file, text).unwrap();
        let mut command = Command::new(cosigner);
        command.args(["-log", server.vkey(), "-cosigner", &vkeys[0], "-cosigner", &vkeys[1]]).arg(file);
        command.output().unwrap()
    };
    let whole = format!("{note}{}{}", lines[0], lines[1]);
    let report = accepted(&open(&whole));
    let times: Vec<u64> = report.lines().filter_map(|line| line.split(" at ").nth(1)?.parse().ok()).collect();
    assert_eq!((report.lines().count(), times.len()), (3, 2), "{report}");
    assert!(times.iter().all(|time| time.abs_diff(clock::now().as_ms() / 1_000) < 600), "{report}");
    refused(&open(&format!("{note}{}", lines[0])), "2 of 3 signed");
    let monitored = format!("/witness/{}/checkpoint", HEXLOWER.encode(&sha256(&[b"dgns.test/log"])));
    refused(&open(&witness.get(&monitored).text()), "2 of 3 signed");
    for line in &lines {
        let signature = line.trim_end().rsplit(' ').next().unwrap();
        for at in [6, 40] {
            // A bit of the time, and one of the signature.
            let mut bytes = BASE64.decode(signature.as_bytes()).unwrap();
            bytes[at] ^= 1;
            refused(&open(&whole.replace(signature, &BASE64.encode(&bytes))), "invalid signature");
        }
    }
}

/// The Go reader, built once; `None` if there is no Go here, which is a failure under CI.
fn reader() -> Option<&'static Path> {
    static READER: OnceLock<Option<(TempDir, PathBuf)>> = OnceLock::new();
    READER.get_or_init(|| build("go")).as_ref().map(|(_, path)| path.as_path())
}

/// The Go program that opens cosigned checkpoints, built once.
fn cosigner() -> Option<&'static Path> {
    static COSIGNER: OnceLock<Option<(TempDir, PathBuf)>> = OnceLock::new();
    COSIGNER.get_or_init(|| build("cosigner")).as_ref().map(|(_, path)| path.as_path())
}

fn build(program: &str) -> Option<(TempDir, PathBuf)> {
    let available = Command::new("go").arg("version").output().is_ok_and(|output| output.status.success())
        && Path::new(GOPATH).join("src/golang.org/x/mod/sumdb").is_dir();
    if !available {
        let missing = "Go or Debian's golang-golang-x-mod-dev is not installed";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        eprintln!("skipped: {missing}");
        return None;
    }
    let folder = TempDir::new().unwrap();
    let binary = folder.path().join("reader");
    let output = Command::new("go")
        .args(["build", "-o"])
        .arg(&binary)
        .arg("main.go")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(program))
        .envs([("GO111MODULE", "off"), ("GOPATH", GOPATH), ("GOFLAGS", ""), ("CGO_ENABLED", "0")])
        .env("GOCACHE", folder.path().join("cache"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some((folder, binary))
}

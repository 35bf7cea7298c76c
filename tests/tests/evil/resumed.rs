//! An audit that is stopped, goes on, and meets another log.

use std::process::{Command, Stdio};

use dgns_tests::harness::programs::program;
use dgns_tests::harness::{Person, wait};

use super::export::{Export, FileServer};
use super::forge::{Forge, small};
use super::people::Someone;

/// An auditor with a home and a file for progress.
struct Auditor {
    person: Person,
    state: String,
}

impl Auditor {
    fn new() -> Self {
        let person = Person::new();
        let state = person.home().join("progress").display().to_string();
        Self { person, state }
    }

    fn arguments<'a>(&'a self, export: &'a Export) -> [&'a str; 5] {
        ["audit", "--vkey", &export.vkey, "--state", &self.state]
    }

    fn audit(&self, server: &FileServer, export: &Export) -> dgns_tests::harness::Ran {
        self.person.dgns_at(&server.url, &self.arguments(export), "")
    }
}

/// Grows a log by some hundred entries.
fn grow(forge: &mut Forge, numbers: std::ops::Range<u64>) {
    for number in numbers {
        forge.batch(&Someone::new(number).1);
    }
}

#[test]
fn a_killed_audit_goes_on_and_says_the_same() {
    // Goal: a stop at any moment costs time, not truth. Method: audit to one head; kill the next audit while a fetch hangs; then
    // finish. The result is that of an audit in one go, and only the new part was replayed.
    let (mut forge, _) = small();
    grow(&mut forge, 100..200);
    let (first, server) = (forge.export(), FileServer::new(&forge.export()));
    let auditor = Auditor::new();
    let report = auditor.audit(&server, &first).exits(0).json();
    assert_eq!(report["entries"].as_u64(), Some(first.size()));
    let kept = std::fs::read(&auditor.state).unwrap();

    grow(&mut forge, 200..500);
    let grown = forge.export();
    server.now_serves(&grown);
    let partial = grown.partial(0);
    let bundle = format!("tile/entries/{}", partial.to_string().trim_start_matches("tile/0/"));
    server.never_answers(Some(&bundle));
    let before = server.asked();
    let mut command = Command::new(program("dgns"));
    command.arg("--server").arg(&server.url).arg("--home").arg(auditor.person.home());
    let mut child =
        command.args(auditor.arguments(&grown)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait::until("the audit is in the middle", || (server.asked() > before + 4).then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(std::fs::read(&auditor.state).unwrap(), kept, "a stop leaves the last progress whole");

    server.never_answers(None);
    let resumed = auditor.audit(&server, &grown).exits(0).json();
    assert_eq!(resumed["entries"].as_u64(), Some(grown.size() - first.size()));
    let whole = super::export::clean(&grown, "full");
    for field in ["size", "root", "labels", "epochs", "checkpoint"] {
        assert_eq!(resumed[field], whole[field], "{field}");
    }
    // Once more, with nothing new.
    assert_eq!(auditor.audit(&server, &grown).exits(0).json()["entries"], 0);
}

#[test]
fn a_log_replaced_by_a_fork_is_found() {
    // Goal: what was audited stays. Method: between two runs the log is replaced by another history with the same key: of the
    // same size, larger, and smaller.
    let (mut forge, _) = small();
    grow(&mut forge, 100..140);
    let common = forge.clone();
    grow(&mut forge, 200..210);
    let audited = forge.export();
    for (fork, code) in [(300..310, "inconsistent"), (300..330, "epoch"), (300..305, "rollback")] {
        let server = FileServer::new(&audited);
        let auditor = Auditor::new();
        auditor.audit(&server, &audited).exits(0);
        let mut other = common.clone();
        grow(&mut other, fork);
        let other = other.export();
        server.now_serves(&other);
        let ran = auditor.audit(&server, &other);
        ran.exits(3);
        assert_eq!(ran.text("/code"), code, "{ran}");
        assert_eq!(auditor.person.evidence().len(), 1, "{ran}");
        // Nor does it become clean by asking again.
        auditor.audit(&server, &other).exits(3);
        server.now_serves(&audited);
        assert_eq!(auditor.audit(&server, &audited).exits(0).json()["entries"], 0);
    }
}

#[test]
fn damaged_progress_is_refused_with_a_word() {
    // Goal: no audit goes on from bytes that were not its own. Method: one bit flipped at several places; the file cut; another
    // level's file.
    let (forge, _) = small();
    let (export, server) = (forge.export(), FileServer::new(&forge.export()));
    let auditor = Auditor::new();
    auditor.audit(&server, &export).exits(0);
    let kept = std::fs::read(&auditor.state).unwrap();
    let places = super::export::spread(12, kept.len());
    let mut damaged: Vec<Vec<u8>> = places
        .map(|at| {
            let mut bytes = kept.clone();
            bytes[at] ^= 0x10;
            bytes
        })
        .collect();
    damaged.extend([Vec::new(), kept[..kept.len() / 2].to_vec(), [&kept[..], b"\n"].concat()]);
    for bytes in damaged {
        std::fs::write(&auditor.state, bytes).unwrap();
        let ran = auditor.audit(&server, &export);
        let said = ran.exits(1).text("/error");
        assert!(said.contains(&auditor.state) && said.contains("erase it to begin anew"), "{said}");
    }
    std::fs::write(&auditor.state, &kept).unwrap();
    let ran = auditor.person.dgns_at(
        &server.url,
        &["audit", "--vkey", &export.vkey, "--state", &auditor.state, "--level", "tree"],
        "",
    );
    assert!(ran.exits(1).text("/error").contains("another level"), "{ran}");
    // Withheld files are named, and are no fault.
    let mut withheld = export.clone();
    withheld.files.retain(|path, _| !path.starts_with("tile/entries/"));
    server.now_serves(&withheld);
    let fresh = Auditor::new();
    let ran = fresh.audit(&server, &withheld);
    assert!(ran.exits(2).text("/error").contains("tile/entries/000.p/"), "{ran}");
}

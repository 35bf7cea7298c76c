//! The other server: `tests/interop/hickory`, which says there what is written to it.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use dgns_tests::harness::person::ZONE;
use dgns_tests::skip::skip;

use crate::questions::Question;

/// What is said of a question: by hickory; here, as hickory reads it; and by hickory's validator of what is wrong with that.
pub struct Both {
    pub theirs: String,
    pub ours: String,
    pub wrong: String,
}

/// The process; dropping it kills it.
pub struct Hickory {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    zone: String,
}

/// Returns the program, built now if it was not before; `None`, and it is said, if its packages are nowhere to be had, or `DGNS_TEST_HICKORY` is `none`.
pub fn program() -> Option<PathBuf> {
    if std::env::var_os("DGNS_TEST_HICKORY").is_some_and(|value| value == "none") {
        eprintln!("left out: there is no other server of DNS");
        return None;
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/hickory/Cargo.toml");
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/interop");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--locked", "--quiet", "--bin", "hickory-oracle", "--manifest-path"]).arg(manifest);
    command.arg("--target-dir").arg(&target).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let built = command.output().expect("cargo runs: it ran this test");
    let said = String::from_utf8_lossy(&built.stderr);
    match built.status.success() {
        true => Some(target.join("debug/hickory-oracle")),
        false if said.contains("failed to download") || said.contains("failed to get") => {
            skip(&format!("the packages of hickory's server are not here: {said}"));
            None
        }
        false => panic!("tests/interop/hickory does not build: {said}"),
    }
}

impl Hickory {
    /// Starts one that copies the zone from a server.
    pub fn start(program: PathBuf, from: SocketAddr) -> Self {
        let mut command = Command::new(program);
        command.args([ZONE, &from.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it was just built");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut hickory = Self { child, input, output, zone: String::new() };
        hickory.zone = String::from_utf8(hickory.read()).expect("a zone is text");
        hickory
    }

    /// Returns the zone that it has, a record a line.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// Has it copy the zone again; returns that.
    pub fn copies_again(&mut self) -> &str {
        self.write(&[]);
        self.zone = String::from_utf8(self.read()).expect("a zone is text");
        &self.zone
    }

    /// Returns what is said of each question, which was answered here by what stands in `answers`.
    pub fn asked(&mut self, questions: &[Question], answers: &[Vec<u8>]) -> Vec<Both> {
        let mut frame = Vec::new();
        for part in questions.iter().zip(answers).flat_map(|(question, answer)| [&question.message, answer]) {
            frame.extend_from_slice(&(part.len() as u16).to_be_bytes());
            frame.extend_from_slice(part);
        }
        self.write(&frame);
        let said = self.read();
        let mut rest = said.as_slice();
        let mut text = || {
            let (length, after) = rest.split_first_chunk().expect("a length");
            let (text, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            rest = after;
            String::from_utf8(text.to_vec()).expect("text")
        };
        questions.iter().map(|_| Both { theirs: text(), ours: text(), wrong: text() }).collect()
    }

    fn write(&mut self, frame: &[u8]) {
        let length = (frame.len() as u32).to_be_bytes();
        self.input.write_all(&length).and_then(|()| self.input.write_all(frame)).expect("hickory reads");
        self.input.flush().expect("hickory reads");
    }

    fn read(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.output.read_exact(&mut length).expect("hickory says something");
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.output.read_exact(&mut frame).expect("hickory says it to the end");
        frame
    }
}

impl Drop for Hickory {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

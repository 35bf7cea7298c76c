//! The programs under test, and what became of a run of one.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long a program may run that a test waits for: far longer than any of them needs. One that hangs is killed, so that what it
/// said until then is seen.
const RUNS_AT_MOST: Duration = Duration::from_secs(200);

/// Returns the path of `dgnsd` or `dgns`: below `DGNS_BIN_DIR` if that is set, else beside the test's own target directory.
///
/// Panics if it was not built; `cargo build --workspace` builds both.
pub fn program(name: &str) -> PathBuf {
    let directory = std::env::var_os("DGNS_BIN_DIR").map_or_else(built_beside_the_test, PathBuf::from);
    let path = directory.join(name);
    assert!(path.is_file(), "{} is missing; first run: cargo build --workspace", path.display());
    path
}

/// `target/<profile>`: a test's executable lies in its `deps`.
fn built_beside_the_test() -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its executable");
    test.parent().and_then(|deps| deps.parent()).expect("a test lies in target/<profile>/deps").to_owned()
}

/// A run of a program that has ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What was run, for messages.
    pub what: String,
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// Returns the run itself if it ended with `code`; panics with all it said otherwise.
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "exit code of {self}");
        self
    }

    /// Returns the one JSON value on standard output; panics if there is none, or more.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not one JSON value ({error}): {self}"))
    }

    /// Returns a text of the JSON value.
    pub fn text(&self, pointer: &str) -> String {
        let value = self.json();
        let found = value.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer}: {self}")).to_owned()
    }

    /// Returns a number of the JSON value.
    pub fn number(&self, pointer: &str) -> u64 {
        let value = self.json();
        value.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number at {pointer}: {self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, code, stdout, stderr } = self;
        write!(f, "{what}\n  code {code:?}\n--- standard output\n{stdout}\n--- standard error\n{stderr}")
    }
}

/// Runs a command to its end, with `input` on standard input.
pub fn run(mut command: Command, input: &str) -> Ran {
    let what = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
    // A program that does not read its input closes it: that is no failure of the run.
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let (pid, (ended_in_time, ended_too_late)) = (Pid::from_child(&child), mpsc::channel::<()>());
    let watchdog = std::thread::spawn(move || {
        if ended_too_late.recv_timeout(RUNS_AT_MOST) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = kill_process(pid, Signal::KILL);
        }
    });
    let output = child.wait_with_output().expect("a child can be waited for");
    drop(ended_in_time);
    watchdog.join().expect("it does not panic");
    ended(what, &output)
}

fn ended(what: String, output: &Output) -> Ran {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { what, code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

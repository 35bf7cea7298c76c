//! A command of `dgns` that goes on: its lines as they come, and its end.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::programs::Ran;
use super::wait;

/// A running command. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    what: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    notes: mpsc::Receiver<String>,
}

impl Running {
    /// Starts a command.
    pub fn start(mut command: Command) -> Self {
        let what = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let lines = lines_of(child.stdout.take().expect("it is piped"));
        let notes = lines_of(child.stderr.take().expect("it is piped"));
        let input = child.stdin.take();
        Self { what, child, input, lines, notes }
    }

    /// Returns its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) {
        let input = self.input.as_mut().expect("its standard input is open");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("it reads what is typed");
    }

    /// Ends its standard input.
    pub fn closes(&mut self) {
        self.input = None;
    }

    /// Returns the first line of its standard error from here on in which `find` finds something; panics if none comes.
    pub fn note<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        loop {
            let line = self.notes.recv_timeout(wait::PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("{} notes nothing more", self.what));
            if let Some(found) = find(&line) {
                return found;
            }
        }
    }

    /// Kills it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Returns the next line as JSON; panics if none comes.
    pub fn event(&self) -> Value {
        let line = self.lines.recv_timeout(wait::PATIENCE);
        let line = line.unwrap_or_else(|_| panic!("{} says nothing more", self.what));
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Interrupts it as a person does, and returns how it ended.
    pub fn interrupt(self) -> Ran {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("a child can be signalled");
        self.ended()
    }

    /// Returns whether it has ended.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits until it ends, and returns how; what it said since goes into the run.
    pub fn ended(mut self) -> Ran {
        let ended = wait::until("the command ends", || self.child.try_wait().expect("a child can be waited for"));
        let stderr = self.notes.iter().collect::<Vec<_>>().join("\n");
        let stdout: Vec<String> = self.lines.iter().collect();
        Ran { what: self.what.clone(), code: ended.code(), stdout: stdout.join("\n"), stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the lines of a stream as they come.
fn lines_of(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    let stream = BufReader::new(stream);
    std::thread::spawn(move || stream.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

//! A command of `dgns` that goes on: its lines as they come, and its end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
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
    lines: mpsc::Receiver<String>,
}

impl Running {
    /// Starts a command.
    pub fn start(mut command: Command) -> Self {
        let what = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { what, child, lines }
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

    /// Waits until it ends, and returns how; what it said since goes into the run.
    pub fn ended(mut self) -> Ran {
        let ended = wait::until("the command ends", || self.child.try_wait().expect("a child can be waited for"));
        let mut stderr = String::new();
        let _ = self.child.stderr.take().expect("it is piped").read_to_string(&mut stderr);
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

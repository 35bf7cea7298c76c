//! A running `dgnsd`, from its ready line to its end.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::http::{self, Answer};
use super::programs::Ran;
use super::wait;

/// A server that said it is ready. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
    /// What it printed when it was ready.
    pub ready: Value,
    /// Its URL.
    pub url: String,
    /// Where it answers HTTP.
    pub http: SocketAddr,
    /// Where it answers DNS; a witness does not.
    pub dns: SocketAddr,
}

impl Server {
    /// Runs `command`, a `dgnsd` with `--json`, and waits for its ready line; `log` gets its standard error.
    ///
    /// Errors: how the process ended, if it ended before.
    pub fn start(mut command: Command, log: &Path) -> Result<Self, Ran> {
        let what = format!("{command:?}");
        let log_file = fs::File::create(log).expect("the log can be written");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let Some(line) = first_line(child.stdout.take().expect("it is piped")) else {
            let code = child.wait().expect("a child can be waited for").code();
            return Err(Ran { what, code, stdout: String::new(), stderr: read(log) });
        };
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no ready line: {line}"));
        let address = |text: &Value| text.as_str().unwrap_or_default().trim_start_matches("http://").parse();
        let url = ready["http"].as_str().expect("the ready line names the URL").to_owned();
        let http = address(&ready["http"]).expect("the URL holds an address");
        let dns = address(&ready["dns"][0]).unwrap_or(http);
        Ok(Self { child, log: log.to_owned(), url, http, dns, ready })
    }

    /// Returns the process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gets a path.
    pub fn get(&self, path: &str) -> Answer {
        http::request(self.http, "GET", path, &[], b"").unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Posts a body.
    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        let headers = [("content-type", "application/cbor")];
        http::request(self.http, "POST", path, &headers, body).unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// Returns what the log key is, as the ready line says.
    pub fn vkey(&self) -> &str {
        self.ready["vkey"].as_str().expect("the ready line names the key")
    }

    /// Kills it as a power cut would, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Kills it as a power cut would, while others still talk to it.
    pub fn kill_now(&self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).expect("a child can be signalled");
    }

    /// Asks it to stop, and returns how it ended.
    pub fn stop(mut self) -> Ran {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("a child can be signalled");
        self.ended()
    }

    /// Waits until it ends by itself, and returns how.
    pub fn ended(&mut self) -> Ran {
        let ended = wait::until("the server ends", || self.child.try_wait().expect("a child can be waited for"));
        Ran { what: "dgnsd".into(), code: ended.code(), stdout: String::new(), stderr: read(&self.log) }
    }

    /// Returns the memory it takes, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = read(Path::new(&format!("/proc/{}/status", self.child.id())));
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) << 10
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- standard error of the server\n{}", read(&self.log));
        }
    }
}

/// Returns the first line of a stream; `None` if it ends without one.
fn first_line(stream: ChildStdout) -> Option<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let _ = stream.read_line(&mut line);
        let _ = sender.send(line);
        // Read on, so that the writer never waits.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let line = receiver.recv_timeout(wait::PATIENCE).expect("the server says that it is ready, or ends");
    (!line.is_empty()).then_some(line)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

//! `matchbox_server`, the crate.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::dialect::{PAYLOAD, Socket};
use crate::process::{Process, free, install, peers};

const VERSION: &str = "0.15.0";

pub fn start() -> Result<Process, String> {
    let program = peers().join("bin/matchbox_server");
    if !program.exists() {
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "--quiet", "--locked", "--version", VERSION, "--root"]);
        install(cargo.arg(peers()).arg("matchbox_server"))?;
    }
    let at = free();
    let mut command = Command::new(program);
    command.arg(at.to_string()).env("RUST_LOG", "error");
    Process::start(command, at)
}

pub struct End {
    pub number: usize,
    socket: Socket,
    other: String,
}

impl End {
    /// Two neighbours share a room.
    pub async fn open(at: SocketAddr, number: usize) -> Self {
        let mut socket = Socket::open(at, &format!("/room-{}?next=2", number / 2), None).await;
        let told: Value = serde_json::from_str(&socket.text().await).expect("JSON");
        assert!(told["IdAssigned"].is_string(), "{told}");
        Self { number, socket, other: String::new() }
    }

    /// Whoever the server let in first, which need not be who asked first, hears of the other; the other learns of it by the first
    /// signal.
    pub async fn meets(&mut self, other: &mut Self) {
        let (told, was_first) = tokio::select! {
            told = self.hear("NewPeer") => (told, true),
            told = other.hear("NewPeer") => (told, false),
        };
        let (first, second) = if was_first { (self, other) } else { (other, self) };
        first.other = told.as_str().expect("an id").to_owned();
        first.send().await;
        second.receive().await;
    }

    pub async fn send(&mut self) {
        let message = json!({ "Signal": { "receiver": self.other, "data": { "IceCandidate": PAYLOAD } } });
        self.socket.send(Message::text(message.to_string())).await;
    }

    pub async fn receive(&mut self) {
        let signal = self.hear("Signal").await;
        if self.other.is_empty() {
            self.other = signal["sender"].as_str().expect("an id").to_owned();
        }
    }

    async fn hear(&mut self, kind: &str) -> Value {
        let text = self.socket.text().await;
        let value: Value = serde_json::from_str(&text).expect("JSON");
        value.get(kind).unwrap_or_else(|| panic!("{kind} is expected, not {text}")).clone()
    }
}

//! PeerJS server, of npm `peer`.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::dialect::{PAYLOAD, Socket};
use crate::process::{Process, free, install, peers};

const VERSION: &str = "1.0.2";

pub fn start() -> Result<Process, String> {
    let program = peers().join("node_modules/.bin/peerjs");
    if !program.exists() {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error", "--prefix"]);
        install(npm.arg(peers()).arg(format!("peer@{VERSION}")))?;
    }
    let at = free();
    let mut command = Command::new(program);
    command.args(["--host", "127.0.0.1", "--port", &at.port().to_string(), "--concurrent_limit", "200000"]);
    // Nobody is sent away for being idle while others are opened.
    command.args(["--alive_timeout", "3600000"]).env("NODE_ENV", "production");
    Process::start(command, at)
}

pub struct End {
    pub number: usize,
    socket: Socket,
    id: String,
    other: String,
}

impl End {
    pub async fn open(at: SocketAddr, number: usize) -> Self {
        let id = format!("end-{number}");
        let path = format!("/peerjs?key=peerjs&id={id}&token=t{number}&version=1.5.4");
        let mut socket = Socket::open(at, &path, None).await;
        let opened: Value = serde_json::from_str(&socket.text().await).expect("JSON");
        assert_eq!(opened["type"], "OPEN");
        Self { number, socket, id, other: String::new() }
    }

    pub fn meets(&mut self, other: &mut Self) {
        self.other.clone_from(&other.id);
        other.other.clone_from(&self.id);
    }

    pub async fn ask(&mut self) {
        self.say("OFFER").await;
    }

    pub async fn answer(&mut self) {
        self.hear("OFFER").await;
        self.say("ANSWER").await;
    }

    pub async fn answered(&mut self) {
        self.hear("ANSWER").await;
    }

    pub async fn send(&mut self) {
        self.say("CANDIDATE").await;
    }

    pub async fn receive(&mut self) {
        self.hear("CANDIDATE").await;
    }

    async fn say(&mut self, kind: &str) {
        let message = json!({ "type": kind, "dst": self.other, "payload": { "candidate": PAYLOAD } });
        self.socket.send(Message::text(message.to_string())).await;
    }

    async fn hear(&mut self, kind: &str) {
        let text = self.socket.text().await;
        assert!(text.contains(kind), "{text}");
    }
}

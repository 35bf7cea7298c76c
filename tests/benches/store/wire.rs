//! A connection that asks and waits, one question after the other: HTTP/1.1 kept alive, or the protocol of NATS.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

/// A connection of HTTP/1.1.
pub struct Http(BufStream<TcpStream>);

impl Http {
    pub async fn to(address: &str) -> Self {
        Self(connect(address).await)
    }

    /// Asks, and returns the status and the body.
    pub async fn ask(&mut self, method: &str, target: &str, body: &[u8]) -> (u16, Vec<u8>) {
        self.ask_with(method, target, "", body).await
    }

    /// As [`Http::ask`], with lines of headers more.
    pub async fn ask_with(&mut self, method: &str, target: &str, more: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let length = body.len();
        let head = format!("{method} {target} HTTP/1.1\r\nhost: bench\r\n{more}content-length: {length}\r\n\r\n");
        self.0.write_all(head.as_bytes()).await.expect("the server reads");
        self.0.write_all(body).await.expect("the server reads");
        self.0.flush().await.expect("the server reads");
        let (mut line, mut status, mut length) = (String::new(), 0, 0);
        loop {
            line.clear();
            self.0.read_line(&mut line).await.expect("the server answers");
            let text = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = text.strip_prefix("http/1.1 ") {
                status = rest.split(' ').next().and_then(|code| code.parse().ok()).expect("a status");
            } else if let Some(value) = text.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            } else if text.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.expect("the whole body");
        (status, body)
    }
}

/// A connection of NATS.
pub struct Nats(BufStream<TcpStream>, String);

impl Nats {
    /// Connects; answers come to the subject `inbox`, which no other connection may have.
    pub async fn to(address: &str, inbox: String) -> Self {
        let mut this = Self(connect(address).await, inbox);
        this.line().await; // INFO
        let begin = format!("CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\nSUB {} 1\r\n", this.1);
        this.say(begin.as_bytes()).await;
        this
    }

    /// Publishes to a stream, or asks its server something, and waits for the answer.
    pub async fn ask(&mut self, subject: &str, payload: &[u8]) -> Vec<u8> {
        let head = format!("PUB {subject} {} {}\r\n", self.1, payload.len());
        self.say(&[head.as_bytes(), payload, b"\r\n"].concat()).await;
        loop {
            let line = self.line().await;
            match line.split(' ').next() {
                Some("MSG") => {
                    let length: usize = line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a length");
                    let mut body = vec![0; length + 2];
                    self.0.read_exact(&mut body).await.expect("the whole message");
                    return body;
                }
                Some("PING") => self.say(b"PONG\r\n").await,
                Some("-ERR") => panic!("nats-server: {line}"),
                _ => {}
            }
        }
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the server reads");
        self.0.flush().await.expect("the server reads");
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.expect("the server answers");
        line.trim_end().to_owned()
    }
}

async fn connect(address: &str) -> BufStream<TcpStream> {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    stream.set_nodelay(true).expect("a socket");
    BufStream::new(stream)
}

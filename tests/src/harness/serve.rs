//! HTTP answered by a function of the test's, until the test's process ends.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::http::{Answer, read_request};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// The first line, such as `GET /v1/info HTTP/1.1`.
    pub line: String,
    /// All of it, head and body.
    pub bytes: Vec<u8>,
}

/// What comes back.
#[derive(Clone, Debug)]
pub enum Told {
    /// This.
    Answer(Answer),
    /// Nothing: the connection is closed.
    Cut,
    /// Nothing, until whoever asked goes away.
    Never,
}

impl Request {
    /// Returns the path with its query.
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

/// Answers every request with what `tell` says. Returns the URL.
pub fn serve(tell: impl Fn(&Request) -> Told + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let tell = Arc::new(tell);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let tell = tell.clone();
            std::thread::spawn(move || {
                // A connection that breaks is the client's to report.
                let _ = answer(client, &*tell);
            });
        }
    });
    url
}

fn answer(mut client: TcpStream, tell: &(dyn Fn(&Request) -> Told + Send + Sync)) -> io::Result<()> {
    let bytes = read_request(&mut client)?;
    let line = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
    let answer = match tell(&Request { line, bytes }) {
        Told::Answer(answer) => answer,
        Told::Cut => return Ok(()),
        Told::Never => {
            while client.read(&mut [0; 4096])? > 0 {}
            return Ok(());
        }
    };
    let mut head = format!("HTTP/1.1 {} told\r\n", answer.status);
    for (name, value) in answer.headers.iter().filter(|(name, _)| name != "content-length" && name != "connection") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("connection: close\r\ncontent-length: {}\r\n\r\n", answer.body.len()));
    client.write_all(&[head.as_bytes(), &answer.body].concat())
}

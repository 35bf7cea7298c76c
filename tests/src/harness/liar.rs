//! A server between client and server that changes answers, or swallows them: what an operator, or whoever sits in the way, can do.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use super::http::{Answer, connect, read_answer, read_request};

/// What becomes of an answer. The first argument is the request line; `None` closes the connection unanswered.
type Tale = dyn Fn(&str, Answer) -> Option<Answer> + Send + Sync;

/// A liar at work, until the test's process ends.
#[derive(Debug)]
pub struct Liar {
    /// Where it answers.
    pub url: String,
}

impl Liar {
    /// Returns a liar in front of `server`. Every request reaches the server; `tale` decides what comes back.
    pub fn before(server: SocketAddr, tale: impl Fn(&str, Answer) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let tale: Arc<Tale> = Arc::new(tale);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let tale = tale.clone();
                std::thread::spawn(move || {
                    // A connection that breaks is the client's to report.
                    let _ = pass(client, server, &*tale);
                });
            }
        });
        Self { url }
    }
}

fn pass(mut client: TcpStream, server: SocketAddr, tale: &Tale) -> io::Result<()> {
    let request = read_request(&mut client)?;
    let text = String::from_utf8_lossy(&request).into_owned();
    let first = text.lines().next().unwrap_or_default();
    if first.contains("/events ") {
        return Ok(()); // a stream has no end to wait for: it is cut
    }
    let mut upstream = connect(server)?;
    // The server must close after its answer, so that its end is known.
    let at = first.len() + 2;
    upstream.write_all(&[&request[..at], b"connection: close\r\n", &request[at..]].concat())?;
    let Some(answer) = tale(first, read_answer(&mut upstream)?) else { return Ok(()) };
    let mut head = format!("HTTP/1.1 {} told\r\n", answer.status);
    for (name, value) in answer.headers.iter().filter(|(name, _)| name != "content-length" && name != "connection") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("connection: close\r\ncontent-length: {}\r\n\r\n", answer.body.len()));
    client.write_all(&[head.as_bytes(), &answer.body].concat())
}

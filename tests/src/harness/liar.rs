//! A server between client and server that changes answers, or swallows them: what an operator, or whoever sits in the way, can do.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use super::http::{Answer, connect, read_answer};
use super::serve::{Request, Told, serve};

/// A liar at work, until the test's process ends.
#[derive(Debug)]
pub struct Liar {
    /// Where it answers.
    pub url: String,
}

impl Liar {
    /// Returns a liar in front of `server`. Every request reaches the server; `tale` decides what comes back, given the request
    /// line: `None` closes the connection unanswered.
    pub fn before(server: SocketAddr, tale: impl Fn(&str, Answer) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let url = serve(move |request| {
            if request.line.contains("/events ") {
                return Told::Cut; // a stream has no end to wait for
            }
            let told = pass(request, server).ok().and_then(|answer| tale(&request.line, answer));
            told.map_or(Told::Cut, Told::Answer)
        });
        Self { url }
    }
}

fn pass(request: &Request, server: SocketAddr) -> io::Result<Answer> {
    let mut upstream = connect(server)?;
    // The server must close after its answer, so that its end is known.
    let (line, rest) = request.bytes.split_at(request.line.len() + 2);
    upstream.write_all(&[line, b"connection: close\r\n", rest].concat())?;
    read_answer(&mut upstream)
}

//! A server between client and server that changes answers, or swallows them: what an operator, or whoever sits in the way, can do.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use super::http::{Answer, connect, read_answer};
use super::serve::{Request, Told, serve};

/// A liar at work, until the test's process ends.
#[derive(Debug)]
pub struct Liar {
    /// Where it answers.
    pub url: String,
}

/// What went to a server, request by request, heads and bodies.
pub type Seen = Arc<Mutex<Vec<Request>>>;

impl Liar {
    /// Returns somebody in front of `server` who changes nothing and writes down what is asked.
    pub fn listening(server: SocketAddr) -> (Self, Seen) {
        let seen = Seen::default();
        let told = seen.clone();
        let url = serve(move |request| {
            told.lock().expect("no holder panics").push(request.clone());
            pass(request, server).map_or(Told::Cut, Told::Answer)
        });
        (Self { url }, seen)
    }

    /// Returns a liar in front of `server`. Every request reaches the server; `tale` decides what comes back, given the request
    /// line: `None` closes the connection unanswered.
    pub fn before(server: SocketAddr, tale: impl Fn(&str, Answer) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let url = serve(move |request| {
            if request.line.contains("/events ") || request.line.contains("/v1/watch") {
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

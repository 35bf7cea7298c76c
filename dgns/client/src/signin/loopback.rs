//! A port of this computer to which a browser is led back, and nobody from elsewhere.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::error::ClientError;

/// The most bytes of a request that a browser is led back with.
const REQUEST_BYTES_MAX: usize = 16 << 10;

/// How long a browser may take to send it.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// What a browser shows that was led back.
const PAGE: &str = "<!doctype html><html lang=\"en\"><meta name=\"color-scheme\" content=\"light dark\"><title>dgns</title><p>You can close this window: dgns goes on by itself.</p></html>\n";

/// The port.
pub(super) struct Loopback {
    listener: TcpListener,
    port: u16,
}

/// A browser that asked for something.
pub(super) struct Visit {
    browser: TcpStream,
    /// The query it came with.
    pub(super) query: String,
}

impl Loopback {
    /// Opens a free port on 127.0.0.1.
    pub(super) async fn open() -> Result<Self, ClientError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(|error| ClientError::Unable(format!("no port on loopback: {error}")))?;
        let port = listener.local_addr().map_err(|error| ClientError::Unable(error.to_string()))?.port();
        Ok(Self { listener, port })
    }

    /// Returns its number.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the next browser that asks for `/`.
    pub(super) async fn visit(&self) -> Visit {
        loop {
            let Ok((mut browser, _)) = self.listener.accept().await else { continue };
            if let Some(query) = asked(&mut browser).await {
                return Visit { browser, query };
            }
        }
    }
}

impl Visit {
    /// Tells the person that the browser has done its part.
    pub(super) async fn thank(self) {
        self.answer("200 OK", "", PAGE).await;
    }

    /// Leads the browser on.
    pub(super) async fn lead(self, to: &str) {
        self.answer("303 See Other", &format!("location: {to}\r\n"), "").await;
    }

    /// Says that there is nothing here.
    pub(super) async fn turn_away(self) {
        self.answer("404 Not Found", "", "").await;
    }

    async fn answer(mut self, status: &str, more: &str, page: &str) {
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\nreferrer-policy: no-referrer\r\n{more}connection: close\r\n\r\n",
            page.len()
        );
        // A browser that went away brought what it had to bring.
        let _ = self.browser.write_all([head.as_bytes(), page.as_bytes()].concat().as_slice()).await;
    }
}

/// Returns the query of what a browser asks for at `/`; `None` for what is no such request.
async fn asked(browser: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let whole = async {
        while !read.windows(4).any(|end| end == b"\r\n\r\n") && read.len() < REQUEST_BYTES_MAX {
            let mut chunk = [0; 2_048];
            match browser.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(count) => read.extend_from_slice(&chunk[..count]),
            }
        }
    };
    tokio::time::timeout(REQUEST_WITHIN, whole).await.ok()?;
    let line = std::str::from_utf8(read.split(|byte| *byte == b'\r').next()?).ok()?;
    let target = line.strip_prefix("GET ")?.split(' ').next()?;
    Some(target.strip_prefix("/?").unwrap_or_default().to_owned())
}

/// Returns what stands behind the question mark of a URL.
pub(super) fn query_of(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, query)| query.split('#').next().unwrap_or_default())
}

/// Returns a parameter of a query, its escapes undone.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(known, _)| *known == name)?;
    let (mut bytes, mut rest) = (Vec::with_capacity(value.len()), value.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_back_as_they_were() {
        let query = query_of("http://127.0.0.1:1/?state=a-b_c&code=x%26y%3D%C3%BC%2&more=%zz#end");
        assert_eq!(parameter(query, "state").as_deref(), Some("a-b_c"));
        assert_eq!(parameter(query, "code").as_deref(), Some("x&y=ü%2"));
        assert_eq!(parameter(query, "more").as_deref(), Some("%zz"));
        assert_eq!((parameter(query, "cod"), parameter("", "code")), (None, None));
    }
}

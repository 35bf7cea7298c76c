//! HTTP: the room of reqwest. Bodies are bounded, problems are decoded, everything else is a network error.

use std::time::Duration;

use dgns_api::code;
use dgns_api::path;
use dgns_api::problem::Problem;
use dgns_api::store::limits::CHUNK_BYTES_MAX;
use tokio::time::Instant;

use crate::error::ClientError;

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long a server may put a request off, such as while it waits for its witnesses after a start.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a stream may say nothing: three of the server's heartbeats.
const SILENCE: Duration = Duration::from_secs(45);

/// The most bytes of a line of a stream.
const LINE_BYTES_MAX: usize = 4_096;

/// The most bytes of an answer: a chunk, as large as any may be. Whoever asked for a smaller one judges it once its hash is checked.
const BODY_BYTES_MAX: u64 = CHUNK_BYTES_MAX as u64;

/// How many servers name another one that takes a request before the last is believed.
const HOPS_MAX: u32 = 3;

/// The status of who may store no more.
const FULL: u16 = 507;

/// How long a program of the host's owner may take to answer, and its most bytes.
const ASKED: Duration = Duration::from_secs(2);
const ASKED_BYTES_MAX: usize = 16_384;

/// Asks programs that the user names, with no word of the user's own in the request but the question.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    client: reqwest::Client,
}

impl Asker {
    /// Returns one who asks.
    pub(crate) fn new() -> Result<Self, ClientError> {
        Ok(Self { client: client(ASKED)? })
    }

    /// Returns whether `url` may be asked: https, or http on this machine.
    pub(crate) fn may_ask(url: &str) -> bool {
        let Ok(url) = reqwest::Url::parse(url) else { return false };
        url.scheme() == "https" || (url.scheme() == "http" && is_local(&url))
    }

    /// Posts a JSON question; returns the answer if it has status 200, is small and comes within two seconds.
    pub(crate) async fn ask(&self, url: &str, question: Vec<u8>) -> Option<Vec<u8>> {
        let request = self.client.post(url).header("content-type", "application/json").body(question);
        let mut response = request.send().await.ok().filter(|response| response.status().as_u16() == 200)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.ok()? {
            body.extend_from_slice(&chunk);
            if body.len() > ASKED_BYTES_MAX {
                return None;
            }
        }
        Some(body)
    }
}

/// A server's HTTP side.
#[derive(Clone, Debug)]
pub(crate) struct Net {
    client: reqwest::Client,
    base: String,
}

/// An answer: its bytes, or a problem.
pub(crate) type Answer = Result<Vec<u8>, ClientError>;

/// The method of a signed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Reads.
    Get,
    /// Changes something.
    Post,
    /// Puts bytes where they belong.
    Put,
    /// Takes something away.
    Delete,
}

impl Method {
    /// Returns the method as the request line has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// Headers of a request.
pub(crate) type Headers = Vec<(&'static str, String)>;

/// A stream of lines.
#[derive(Debug)]
pub struct Lines {
    response: reqwest::Response,
    read: Vec<u8>,
    /// When anything came last.
    heard: Instant,
}

impl Lines {
    /// Returns the next line; `None` once the stream ended, broke, was silent for 45 s, or sent a line above 4,096 bytes. Nothing is
    /// lost if this is dropped while it waits.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.drain(..=end).take(end).collect();
                return String::from_utf8(line).ok();
            }
            if self.read.len() > LINE_BYTES_MAX {
                return None;
            }
            let chunk = tokio::time::timeout_at(self.heard + SILENCE, self.response.chunk()).await;
            self.read.extend_from_slice(&chunk.ok()?.ok()??);
            self.heard = Instant::now();
        }
    }
}

impl Net {
    /// Returns the HTTP side of the server at `base`, a URL without a slash at its end.
    pub(crate) fn new(base: &str) -> Result<Self, ClientError> {
        let url = reqwest::Url::parse(base).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        if url.is_none() {
            return Err(ClientError::Unable(format!("{base:?} is no URL such as http://127.0.0.1:5380")));
        }
        Ok(Self { client: client(TIMEOUT)?, base: base.trim_end_matches('/').to_owned() })
    }

    /// Returns the URL this side talks to.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Gets a path with its query.
    pub(crate) async fn get(&self, path_and_query: &str) -> Answer {
        self.answer_to(|base| Ok(self.client.get(format!("{base}{path_and_query}")))).await
    }

    /// Posts a CBOR body.
    pub(crate) async fn post(&self, path: &str, body: Vec<u8>) -> Answer {
        let request = |base: &str| self.client.post(format!("{base}{path}")).header("content-type", path::CBOR);
        self.answer_to(|base| Ok(request(base).body(body.clone()))).await
    }

    /// Sends a request with headers that are made anew for each attempt: those that sign it.
    pub(crate) async fn signed(
        &self,
        method: Method,
        target: &str,
        body: &[u8],
        headers: impl Fn() -> Result<Headers, ClientError>,
    ) -> Answer {
        let request = |base: &str| {
            let url = format!("{base}{target}");
            let request = match method {
                Method::Get => self.client.get(url),
                Method::Put => self.client.put(url),
                Method::Delete => self.client.delete(url),
                Method::Post => self.client.post(url).header("content-type", path::CBOR),
            };
            Ok(with_headers(request, headers()?).body(body.to_vec()))
        };
        self.answer_to(request).await
    }

    /// Opens a stream of lines, which may go on for ever.
    pub(crate) async fn lines(&self, path_and_query: &str) -> Result<Lines, ClientError> {
        self.lines_with(path_and_query, Vec::new()).await
    }

    /// As [`Net::lines`], with further headers. What the server refuses is a refusal, not a network error.
    pub(crate) async fn lines_with(&self, path_and_query: &str, headers: Headers) -> Result<Lines, ClientError> {
        self.lines_of(self.client.get(format!("{}{path_and_query}", self.base)), headers).await
    }

    /// As [`Net::lines_with`], for a CBOR question that is posted.
    pub(crate) async fn lines_posted(&self, path: &str, body: Vec<u8>, headers: Headers) -> Result<Lines, ClientError> {
        let request = self.client.post(format!("{}{path}", self.base)).header("content-type", path::CBOR);
        self.lines_of(request.body(body), headers).await
    }

    async fn lines_of(&self, request: reqwest::RequestBuilder, headers: Headers) -> Result<Lines, ClientError> {
        let request = with_headers(request.timeout(Duration::MAX), headers);
        let response = tokio::time::timeout(TIMEOUT, request.send()).await;
        let response = response.map_err(|_| ClientError::Network(format!("{} did not answer", self.base)))?;
        let response = response.map_err(|error| ClientError::Network(unreachable(&self.base, &error)))?;
        if response.status().is_success() {
            return Ok(Lines { response, read: Vec::new(), heard: Instant::now() });
        }
        let status = response.status();
        let body = tokio::time::timeout(TIMEOUT, response.bytes()).await.ok().and_then(Result::ok).unwrap_or_default();
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if problem.status < 500 => Err(ClientError::Refused(Box::new(problem))),
            _ => Err(ClientError::Network(format!("{}: HTTP status {status}", self.base))),
        }
    }

    /// Posts a fault file.
    pub(crate) async fn post_evidence(&self, file: Vec<u8>) -> Answer {
        let request = |base: &str| self.client.post(format!("{base}{}", path::NOTICES));
        self.answer_to(|base| Ok(request(base).header("content-type", path::OCTETS).body(file.clone()))).await
    }

    /// Sends a request, made anew for each attempt, again while the server asks for a little patience: whatever it answers with 503 is safe to repeat. A
    /// server that follows another's log names the one that takes what it does not: it is sent there. What comes of it is checked as if it came from here.
    async fn answer_to(&self, request: impl Fn(&str) -> Result<reqwest::RequestBuilder, ClientError>) -> Answer {
        let (until, mut base, mut hops) = (Instant::now() + PATIENCE, self.base.clone(), 0);
        loop {
            let problem = match self.attempt(&base, request(&base)?).await? {
                Ok(body) => return Ok(body),
                Err(problem) => problem,
            };
            if let Some(writer) = self.writer_of(&problem).filter(|writer| *writer != base && hops < HOPS_MAX) {
                (base, hops) = (writer, hops + 1);
                continue;
            }
            let later = problem.retry_ms.filter(|_| problem.status == 503).map(|ms| Duration::from_millis(ms.max(50)));
            match later {
                Some(wait) if Instant::now() + wait < until => tokio::time::sleep(wait).await,
                // A full account is told by a status of servers' faults, and is none.
                _ if problem.status < 500 || problem.status == FULL => {
                    return Err(ClientError::Refused(Box::new(problem)));
                }
                _ => {
                    let why = format!("{base}: {} ({})", problem.detail, problem.code);
                    return Err(ClientError::Network(why));
                }
            }
        }
    }

    /// Returns the server that a problem says takes the request, if it may be asked.
    fn writer_of(&self, problem: &Problem) -> Option<String> {
        let writer = problem.writer.as_ref().filter(|_| problem.code == code::NOT_THE_WRITER)?;
        base_named(writer, &self.base)
    }

    async fn attempt(
        &self,
        base: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<Result<Vec<u8>, Problem>, ClientError> {
        let network = |error: reqwest::Error| ClientError::Network(unreachable(base, &error));
        let mut response = request.send().await.map_err(network)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(network)? {
            if (body.len() + chunk.len()) as u64 > BODY_BYTES_MAX {
                return Err(ClientError::Network(format!("{base}: an answer above {BODY_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(Ok(body));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Ok(Err(problem)),
            Err(_) => Err(ClientError::Network(format!("{base}: HTTP status {status}"))),
        }
    }
}

fn unreachable(base: &str, error: &reqwest::Error) -> String {
    if error.is_connect() {
        format!(
            "{base} cannot be reached; is the server running? (cargo run --release starts one; --server names another)"
        )
    } else if error.is_timeout() {
        format!("{base} did not answer within {} s", TIMEOUT.as_secs())
    } else {
        format!("{base}: {error}")
    }
}

/// Returns the base of a server that somebody else named by `url`, for who asks the server at `beside`: scheme, host and port of it, if it has no more and may
/// be asked ([`Asker::may_ask`]). On this machine only if `beside` is on it: nobody else has a word in what is asked there.
pub(crate) fn base_named(url: &str, beside: &str) -> Option<String> {
    let named = reqwest::Url::parse(url).ok().filter(|_| Asker::may_ask(url))?;
    let is_bare = named.username().is_empty() && named.password().is_none() && named.path() == "/";
    let is_server = is_bare && named.query().is_none() && named.fragment().is_none();
    let is_beside = || reqwest::Url::parse(beside).is_ok_and(|beside| is_local(&beside));
    (is_server && (!is_local(&named) || is_beside())).then(|| named.origin().ascii_serialization())
}

/// Returns whether the host of a URL is this machine, by name or address.
fn is_local(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or("").trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let address = host.parse::<std::net::IpAddr>().map(|address| address.to_canonical());
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

/// Returns a client that follows no redirects and uses no proxies; an answer takes at most `timeout`.
fn client(timeout: Duration) -> Result<reqwest::Client, ClientError> {
    // A second provider would make rustls panic; the first call of the process decides.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(timeout).no_proxy().redirect(reqwest::redirect::Policy::none());
    client.build().map_err(|error| ClientError::Unable(format!("no HTTP client: {error}")))
}

fn with_headers(request: reqwest::RequestBuilder, headers: Headers) -> reqwest::RequestBuilder {
    headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_somebody_else_named_is_a_host_and_a_port_and_not_this_machine() {
        // Goal: whoever certifies a URL has no reader ask anything but a server, and nothing on the reader's own machine. Method: a table, beside a
        // server elsewhere and one here.
        let both = |url| ["https://id.example", "http://127.0.0.1:5380"].map(|beside| base_named(url, beside));
        for (url, base) in [
            ("https://a.example", "https://a.example"),
            ("https://a.example/", "https://a.example"),
            ("https://A.example:8443", "https://a.example:8443"),
            ("https://192.0.2.7", "https://192.0.2.7"),
        ] {
            assert_eq!(both(url), [Some(base.to_owned()), Some(base.to_owned())], "{url}");
        }
        for url in [
            "http://127.0.0.1:9000",
            "http://localhost:9000/",
            "https://localhost.:9000",
            "https://a.localhost",
            "https://127.1.2.3",
            "http://2130706433:9000",
            "https://[::1]:9000",
            "https://[::ffff:127.0.0.1]",
            "https://0.0.0.0",
        ] {
            let [elsewhere, here] = both(url);
            assert_eq!((elsewhere, here.is_some()), (None, true), "{url}");
        }
        for url in [
            "http://127.0.0.1:9000/shutdown#",
            "http://127.0.0.1:9000/shutdown",
            "http://127.0.0.1:9000?now",
            "http://127.0.0.1:9000#",
            "http://user@127.0.0.1:9000",
            "http://:word@127.0.0.1:9000",
            "https://a.example//",
            "https://a.example/log",
            "http://a.example",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "127.0.0.1:9000",
            "",
        ] {
            assert_eq!(both(url), [None, None], "{url}");
        }
    }
}

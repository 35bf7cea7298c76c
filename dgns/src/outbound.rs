//! What the server asks of other servers over HTTP: witnesses, logs it follows. The server's room of reqwest.
//!
//! Every request has a deadline and every body a bound; redirects are not followed, proxies not used. Connections are kept and
//! used again. Plain http goes to loopback alone, unless the operator allows it: what is sent and believed is signed, but a
//! network in between could withhold it.

mod acme;
mod public;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Certificate, Client, ClientBuilder, RequestBuilder, Response, Url};

use public::PublicOnly;

/// An HTTP client for other servers; a clone shares its connections.
#[derive(Clone, Debug)]
pub struct Outbound {
    client: Client,
    plain_http: bool,
    public: Option<PublicOnly>,
}

/// What one request may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// From the call to the last byte of the answer.
    pub deadline: Duration,
    /// The most bytes of the answer's body.
    pub body_bytes_max: usize,
}

/// An answer, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`, empty if there is none.
    pub content_type: String,
    /// `Retry-After`, if it is given in seconds.
    pub retry_after_s: Option<u64>,
    /// The body.
    pub body: Bytes,
}

/// An answer with status 200 whose body has no end yet.
#[derive(Debug)]
pub struct Chunks {
    response: Response,
    idle: Duration,
}

/// Why there is no answer. What was sent may have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutboundError {
    /// Not an http or https URL. Code `bad_url`.
    #[error("not an http or https URL")]
    BadUrl,
    /// Plain http beyond loopback, which the operator did not allow. Code `plain_http`.
    #[error("plain http beyond loopback; use https, or allow it with [outbound] plain_http = true")]
    PlainHttp,
    /// No connection came about. Code `unreachable`.
    #[error("cannot be reached")]
    Unreachable,
    /// Not answered in time, or a stream fell silent. Code `deadline`.
    #[error("no answer in time")]
    Deadline,
    /// The answer is larger than the caller takes. Code `answer_too_large`.
    #[error("the answer is too large")]
    AnswerTooLarge,
    /// The connection broke, or what came is not HTTP. Code `broken`.
    #[error("the connection broke")]
    Broken,
    /// A stream was asked, and the status is not 200. Code `refused_status`.
    #[error("answered with status {0}")]
    RefusedStatus(u16),
}

impl OutboundError {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadUrl => "bad_url",
            Self::PlainHttp => "plain_http",
            Self::Unreachable => "unreachable",
            Self::Deadline => "deadline",
            Self::AnswerTooLarge => "answer_too_large",
            Self::Broken => "broken",
            Self::RefusedStatus(_) => "refused_status",
        }
    }
}

impl Outbound {
    /// Returns a client; `plain_http` allows http without TLS beyond loopback.
    pub fn new(plain_http: bool) -> Self {
        Self { client: client(|builder| builder), plain_http, public: None }
    }

    /// Returns a client for URLs that users name: https at public addresses, and those that `allow` names besides, `host:port`.
    pub fn public_only(allow: Vec<String>) -> Self {
        let public = PublicOnly::new(allow);
        let resolver = Arc::new(public.clone());
        Self { client: client(|builder| builder.dns_resolver(resolver)), plain_http: false, public: Some(public) }
    }

    /// Returns a client that believes servers whose certificates are below one of `roots`, PEM, and no others; `None` if that is no PEM of certificates.
    pub fn trusting(roots: &[u8], plain_http: bool) -> Option<Self> {
        let roots = Certificate::from_pem_bundle(roots).ok().filter(|roots| !roots.is_empty())?;
        let builder = builder().tls_certs_only(roots);
        Some(Self { client: builder.build().ok()?, plain_http, public: None })
    }

    /// Returns scheme, host and port of a URL, as browsers write an origin.
    pub fn origin(url: &str) -> Option<String> {
        Url::parse(url).ok().map(|url| url.origin().ascii_serialization())
    }

    /// Returns whether requests to `url` are made at all: [`OutboundError::BadUrl`] or [`OutboundError::PlainHttp`] if not.
    pub fn check(&self, url: &str) -> Result<(), OutboundError> {
        self.parse(url).map(drop)
    }

    /// Gets `url`.
    pub async fn get(&self, url: &str, bounds: Bounds) -> Result<Answer, OutboundError> {
        self.answer(self.client.get(self.parse(url)?), bounds).await
    }

    /// Posts `body` to `url`.
    pub async fn post(
        &self,
        url: &str,
        content_type: &'static str,
        body: impl Into<Bytes>,
        bounds: Bounds,
    ) -> Result<Answer, OutboundError> {
        let request = self.client.post(self.parse(url)?).header(CONTENT_TYPE, content_type).body(body.into());
        self.answer(request, bounds).await
    }

    /// Asks `url` with these headers: posts `body`, or gets where there is none.
    pub async fn request(
        &self,
        url: &str,
        headers: &[(String, Vec<u8>)],
        body: Option<Vec<u8>>,
        bounds: Bounds,
    ) -> Result<Answer, OutboundError> {
        let url = self.parse(url)?;
        let mut request = match body {
            Some(body) => self.client.post(url).body(body),
            None => self.client.get(url),
        };
        for (name, value) in headers {
            request = request.header(name, value.as_slice());
        }
        self.answer(request, bounds).await
    }

    /// Gets `url` as a stream without an end: its head, and each chunk after the one before, arrive within `idle`.
    pub async fn stream(&self, url: &str, idle: Duration) -> Result<Chunks, OutboundError> {
        let sent = tokio::time::timeout(idle, self.client.get(self.parse(url)?).send()).await;
        let response = sent.map_err(|_| OutboundError::Deadline)?.map_err(|error| of_reqwest(&error))?;
        match response.status().as_u16() {
            200 => Ok(Chunks { response, idle }),
            status => Err(OutboundError::RefusedStatus(status)),
        }
    }

    fn parse(&self, url: &str) -> Result<Url, OutboundError> {
        let url = Url::parse(url).map_err(|_| OutboundError::BadUrl)?;
        if let Some(public) = &self.public {
            return if public.admits(&url) { Ok(url) } else { Err(OutboundError::BadUrl) };
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.plain_http || is_loopback(&url) => Ok(url),
            "http" => Err(OutboundError::PlainHttp),
            _ => Err(OutboundError::BadUrl),
        }
    }

    async fn answer(&self, request: RequestBuilder, bounds: Bounds) -> Result<Answer, OutboundError> {
        let whole = tokio::time::timeout(bounds.deadline, receive(request, bounds.body_bytes_max)).await;
        whole.map_err(|_| OutboundError::Deadline)?
    }
}

impl Chunks {
    /// Returns the next bytes; `None` once the other side has ended the stream.
    pub async fn next(&mut self) -> Result<Option<Bytes>, OutboundError> {
        let chunk = tokio::time::timeout(self.idle, self.response.chunk()).await;
        chunk.map_err(|_| OutboundError::Deadline)?.map_err(|error| of_reqwest(&error))
    }
}

/// Returns a client with the settings of all of ours, and those of `with`.
fn client(with: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    with(builder()).build().expect("the settings are constants, and the provider is installed")
}

fn builder() -> ClientBuilder {
    // Whoever is first in the process decides the provider; all of ours choose this one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_WITHIN)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .tcp_keepalive(KEEPALIVE)
        .user_agent(concat!("dgnsd/", env!("CARGO_PKG_VERSION")))
}

async fn receive(request: RequestBuilder, body_bytes_max: usize) -> Result<Answer, OutboundError> {
    let mut response = request.send().await.map_err(|error| of_reqwest(&error))?;
    let body = body(&mut response, body_bytes_max).await?;
    let status = response.status().as_u16();
    let content_type = text(response.headers(), CONTENT_TYPE).unwrap_or_default().to_owned();
    let retry_after_s = text(response.headers(), RETRY_AFTER).and_then(|text| text.parse().ok());
    Ok(Answer { status, content_type, retry_after_s, body })
}

async fn body(response: &mut Response, bytes_max: usize) -> Result<Bytes, OutboundError> {
    if response.content_length().is_some_and(|length| length > bytes_max as u64) {
        return Err(OutboundError::AnswerTooLarge);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| of_reqwest(&error))? {
        if body.len() + chunk.len() > bytes_max {
            return Err(OutboundError::AnswerTooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or("").trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn of_reqwest(error: &reqwest::Error) -> OutboundError {
    if error.is_timeout() {
        OutboundError::Deadline
    } else if error.is_connect() {
        OutboundError::Unreachable
    } else {
        OutboundError::Broken
    }
}

/// How long a connection may take to come about, where the request's own deadline is later.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Connections to one host that are kept for the next request: a witness is asked one thing at a time.
const IDLE_CONNECTIONS_MAX: usize = 4;

/// How often an idle connection is probed, so that one that died is not used again.
const KEEPALIVE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;

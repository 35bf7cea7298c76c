//! DNS over HTTPS: a message of DNS in a request, its answer in the response, over HTTP/2 or HTTP/1.1 (RFC 8484). The DNS part's room of hyper.
//!
//! Bounded are the streams of a connection, the heads and bodies of requests, the time that each takes to come, and how long a connection may be
//! without one. Copies of the zone are not given here: an answer is one message.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::answer::{DropReason, Outcome, Rcode, Transport};
use super::limits::{
    HTTPS_BODY_BYTES_MAX, HTTPS_CONNECTION_BYTES, HTTPS_HEAD_BYTES_MAX, HTTPS_STREAM_BYTES, HTTPS_STREAMS_MAX,
};
use super::query::TYPE_OPT;
use super::stream::Client;
use super::wire;
use crate::shutdown;

/// Where messages are asked (RFC 8484 section 4.1 leaves it to the server; this one is what clients try first).
pub(crate) const PATH: &str = "/dns-query";

const MEDIA_TYPE: &str = "application/dns-message";
const TYPE_SOA: u16 = 6;

/// Serves one connection until the client leaves, asks nothing for too long, or the server stops.
pub(crate) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, client: Client) {
    let (idle, partial) = client.patience();
    let mut stop = client.stopping();
    let (client, pulse) = (Arc::new(client), Arc::new(Pulse::default()));
    let (asked, heard) = (client.clone(), pulse.clone());
    let service = service_fn(move |request| {
        let (client, pulse) = (asked.clone(), heard.clone());
        async move {
            let _beat = pulse.beat();
            Ok::<_, Infallible>(respond(&client, request, partial).await)
        }
    });
    let builder = builder(idle);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ended = connection.as_mut() => return,
        () = shutdown::requested(&mut stop) => {}
        () = pulse.silence(idle) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _whoever_does_not_read_is_cut_off = timeout(partial, connection).await;
}

fn builder(idle: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(HTTPS_HEAD_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTPS_STREAMS_MAX)
        .max_header_list_size(HTTPS_HEAD_BYTES_MAX)
        .initial_stream_window_size(HTTPS_STREAM_BYTES)
        .initial_connection_window_size(HTTPS_CONNECTION_BYTES)
        .max_send_buf_size(HTTPS_STREAM_BYTES as usize);
    builder
}

/// Whether anything is asked over a connection.
#[derive(Default)]
struct Pulse {
    beats: AtomicU64,
    open: AtomicUsize,
}

/// A request that is being answered.
struct Beat<'p>(&'p Pulse);

impl Pulse {
    fn beat(&self) -> Beat<'_> {
        self.beats.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Beat(self)
    }

    /// Ends once nothing was asked, and nothing open, for `idle`; at the latest after twice that.
    async fn silence(&self, idle: Duration) {
        loop {
            let before = self.beats.load(Ordering::Relaxed);
            tokio::time::sleep(idle).await;
            if self.open.load(Ordering::Relaxed) == 0 && self.beats.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}

impl Drop for Beat<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers one request.
async fn respond(client: &Client, request: Request<Incoming>, partial: Duration) -> Response<Full<Bytes>> {
    let message = match message_of(request, partial).await {
        Ok(message) => message,
        Err(status) => return refuse(client, status),
    };
    let mut out = Vec::new();
    match client.answer_alone(&message, Transport::Https, &mut out).await {
        Outcome::Reply { rcode, .. } => answered(rcode, out),
        Outcome::Drop(DropReason::Busy) => status(StatusCode::SERVICE_UNAVAILABLE),
        _ => status(StatusCode::BAD_REQUEST), // no query: the answer counted why
    }
}

/// Returns the message that a request holds. Errors: the status that says why it holds none.
async fn message_of(request: Request<Incoming>, partial: Duration) -> Result<Bytes, StatusCode> {
    if request.uri().path() != PATH {
        return Err(StatusCode::NOT_FOUND);
    }
    match *request.method() {
        Method::GET => message_of_query(request.uri().query().unwrap_or_default()).ok_or(StatusCode::BAD_REQUEST),
        Method::POST if !is_message(request.headers().get(CONTENT_TYPE)) => Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        Method::POST => body_of(request.into_body(), partial).await,
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// Returns the message of a GET: `dns=` and base64url without padding, among whatever else is there.
fn message_of_query(query: &str) -> Option<Bytes> {
    let text = query.split('&').find_map(|part| part.strip_prefix("dns="))?;
    BASE64URL_NOPAD.decode(text.as_bytes()).ok().map(Bytes::from)
}

fn is_message(content_type: Option<&HeaderValue>) -> bool {
    let text = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(MEDIA_TYPE))
}

async fn body_of(body: Incoming, partial: Duration) -> Result<Bytes, StatusCode> {
    if body.size_hint().lower() > HTTPS_BODY_BYTES_MAX as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    match timeout(partial, Limited::new(body, HTTPS_BODY_BYTES_MAX).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

fn answered(rcode: Rcode, message: Vec<u8>) -> Response<Full<Bytes>> {
    let caching = match max_age_s(rcode, &message) {
        Some(seconds) => format!("max-age={seconds}"),
        None => "no-store".to_owned(),
    };
    let mut response = Response::new(Full::from(message));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    let caching = HeaderValue::try_from(caching).expect("a number and a word are a header");
    response.headers_mut().insert(CACHE_CONTROL, caching);
    response
}

/// Returns for how long an answer may be kept: the least TTL of its records, for a denial no longer than the SOA says (RFC 8484 section 5.1). `None`: it says
/// nothing that lasts.
fn max_age_s(rcode: Rcode, answer: &[u8]) -> Option<u32> {
    if !matches!(rcode, Rcode::NoError | Rcode::NxDomain) {
        return None;
    }
    let mut least: Option<u32> = None;
    let walked = wire::walk(answer, |section, _, record| {
        let minimum = record.rdata.last_chunk().map(|&bytes| u32::from_be_bytes(bytes));
        let negative = minimum.filter(|_| (section, record.rtype) == (2, TYPE_SOA)).unwrap_or(u32::MAX);
        if record.rtype != TYPE_OPT {
            least = Some(least.unwrap_or(u32::MAX).min(record.ttl_s).min(negative));
        }
    });
    least.filter(|_| walked.is_ok())
}

/// Answers a request that holds no message.
fn refuse(client: &Client, why: StatusCode) -> Response<Full<Bytes>> {
    client.count_drop(if why == StatusCode::REQUEST_TIMEOUT { DropReason::Slow } else { DropReason::Request });
    let mut response = status(why);
    if why == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stands_in_the_query_of_a_get() {
        for (query, wanted) in [
            ("dns=AAAB", Some(&[0, 0, 1][..])),
            ("ct=x&dns=AAAB&y", Some(&[0, 0, 1])),
            ("dns=_-8", Some(&[0xFF, 0xEF])),
            ("dns=", Some(&[])),
            ("dns=AAAB==", None),
            ("dns=AA A", None),
            ("dns=+/8", None),
            ("xdns=AAAB", None),
            ("", None),
        ] {
            assert_eq!(message_of_query(query).as_deref(), wanted, "{query}");
        }
        for (value, wanted) in [
            ("application/dns-message", true),
            ("Application/DNS-Message ; x=y", true),
            ("application/dns-message2", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_message(Some(&HeaderValue::from_static(value))), wanted, "{value}");
        }
        assert!(!is_message(None));
    }

    #[test]
    fn an_answer_is_kept_for_its_least_ttl() {
        // Goal: RFC 8484 section 5.1. Method: answers of one record or two, an SOA whose MINIMUM is less than its TTL, and none.
        let record = |rtype: u8, ttl_s: u32, rdata: &[u8]| {
            [&[0, 0, rtype, 0, 1][..], &ttl_s.to_be_bytes(), &[0, rdata.len() as u8], rdata].concat()
        };
        let message = |answers: u8, authorities: u8, additional: u8, records: &[Vec<u8>]| {
            [&[0, 0, 0x80, 0, 0, 0, 0, answers, 0, authorities, 0, additional][..], &records.concat()].concat()
        };
        let soa = |ttl_s, minimum: u32| record(6, ttl_s, &[&[0; 18][..], &minimum.to_be_bytes()].concat());
        let (address, opt) = (|ttl_s| record(1, ttl_s, &[192, 0, 2, 1]), record(41, 0, &[]));
        for (message, wanted) in [
            (message(2, 0, 1, &[address(60), address(30), opt.clone()]), Some(30)),
            (message(0, 1, 0, &[soa(9, 5)]), Some(5)),
            (message(0, 1, 0, &[soa(4, 5)]), Some(4)),
            (message(1, 0, 0, &[soa(9, 5)]), Some(9)),
            (message(0, 0, 1, &[opt]), None),
            (message(0, 0, 0, &[]), None),
            (message(2, 0, 0, &[address(60)]), None),
        ] {
            assert_eq!(max_age_s(Rcode::NoError, &message), wanted, "{message:?}");
            assert_eq!(max_age_s(Rcode::NxDomain, &message), wanted);
            assert_eq!(max_age_s(Rcode::ServFail, &message), None, "a failure is not kept");
        }
    }
}

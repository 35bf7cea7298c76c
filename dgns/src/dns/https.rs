//! DNS over HTTPS: a message of DNS in a request, its answer in the response, over HTTP/2 or HTTP/1.1 (RFC 8484). The DNS part's room of hyper.
//!
//! Bounded are the streams of a connection, the heads and bodies of requests, the time that each takes to come and its answer to be taken, and how long a
//! connection may be without one. What was asked whole is done, whether anybody waits for it or not. Copies of the zone are not given here: an answer is one message.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::answer::{DropReason, Outcome, Rcode, Transport};
use super::limits::{
    HTTPS_BODY_BYTES_MAX, HTTPS_CONNECTION_BYTES, HTTPS_DRAINED_BYTES_MAX, HTTPS_HEAD_BYTES_MAX, HTTPS_PIECE_BYTES,
    HTTPS_STREAM_BYTES, HTTPS_STREAMS_MAX,
};
use super::query::{Header, OPCODE_UPDATE, TYPE_OPT};
use super::stream::Client;
use super::wire;
use crate::shutdown;

/// Where messages are asked (RFC 8484 section 4.1 leaves it to the server; this one is what clients try first).
pub(crate) const PATH: &str = "/dns-query";

const MEDIA_TYPE: &str = "application/dns-message";
const TYPE_SOA: u16 = 6;

/// Serves one connection until the client leaves, asks nothing for too long or takes no answer, or the server stops; returns once all that was asked is done.
pub(crate) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, client: Client) {
    let places = Arc::new(Semaphore::new(HTTPS_STREAMS_MAX as usize));
    converse(stream, Arc::new(client), places.clone()).await;
    let _all = places.acquire_many(HTTPS_STREAMS_MAX).await;
    places.close();
}

/// `places` = of those at work. One that a client gave up keeps its place, so that there are never more than streams.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Arc<Client>,
    places: Arc<Semaphore>,
) {
    let (idle, partial) = client.patience();
    let (mut stop, pulse) = (client.stopping(), Arc::new(Pulse::new()));
    let heard = pulse.clone();
    let service = service_fn(move |request| {
        let (client, beat, places) = (client.clone(), Beat::of(&heard), places.clone());
        async move { Ok::<_, Infallible>(respond(client, request, partial, beat, places).await) }
    });
    let builder = builder(idle);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ended = connection.as_mut() => return,
        () = pulse.late.notified() => return,
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
struct Pulse {
    /// How many requests are open, and when one last came or ended.
    open: Mutex<(usize, Instant)>,
    /// An answer was not taken in time.
    late: Notify,
}

/// A request that is being read or answered, until its answer is taken.
struct Beat(Arc<Pulse>);

impl Pulse {
    fn new() -> Self {
        Self { open: Mutex::new((0, Instant::now())), late: Notify::new() }
    }

    /// Returns how many requests are open, and when one last came or ended, after the first has become another number by `by`.
    fn change(&self, by: isize) -> (usize, Instant) {
        let mut held = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if by != 0 {
            *held = (held.0.saturating_add_signed(by), Instant::now());
        }
        *held
    }

    /// Ends once nothing was asked, and nothing open, for `idle`.
    async fn silence(&self, idle: Duration) {
        loop {
            let until = match self.change(0) {
                (0, last) if last.elapsed() >= idle => return,
                (0, last) => last + idle,
                _ => Instant::now() + idle,
            };
            sleep_until(until).await;
        }
    }
}

impl Beat {
    fn of(pulse: &Arc<Pulse>) -> Self {
        pulse.change(1);
        Self(pulse.clone())
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.change(-1);
    }
}

/// The body of an answer, in pieces: HTTP/2 takes each whole, however little the client lets it send.
#[derive(Default)]
struct Answer {
    rest: Bytes,
    /// Gone with the rest.
    _untaken: Option<oneshot::Sender<Infallible>>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = HTTPS_PIECE_BYTES.min(self.rest.len());
        let piece = self.rest.split_to(piece);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// Answers one request.
async fn respond(
    client: Arc<Client>,
    mut request: Request<Incoming>,
    partial: Duration,
    beat: Beat,
    places: Arc<Semaphore>,
) -> Response<Answer> {
    let message = match message_of(&mut request, partial).await {
        Ok(message) => message,
        Err(status) => {
            if status != StatusCode::REQUEST_TIMEOUT {
                drain(request.body_mut(), partial).await;
            }
            return refuse(&client, status);
        }
    };
    let Ok(place) = places.acquire_owned().await else { return status(StatusCode::SERVICE_UNAVAILABLE) };
    let (say, said) = oneshot::channel();
    // Not here: this ends when the client resets its stream or goes, and what it asked may be half done.
    tokio::spawn(async move {
        let _place = place;
        let mut out = Vec::new();
        let outcome = client.answer_alone(&message, Transport::Https, &mut out).await;
        let (untaken, taken) = oneshot::channel();
        let response = match outcome {
            Outcome::Reply { rcode, .. } => answered(rcode, out),
            Outcome::Drop(DropReason::Busy) => status(StatusCode::SERVICE_UNAVAILABLE),
            _ => status(StatusCode::BAD_REQUEST), // no query: the answer counted why
        };
        let response = response.map(|Answer { rest, .. }| Answer { rest, _untaken: Some(untaken) });
        drop(say.send(response)); // whoever left hears nothing
        if timeout(partial, taken).await.is_err() {
            client.count_drop(DropReason::Slow);
            beat.0.late.notify_one();
        }
    });
    said.await.unwrap_or_else(|_| status(StatusCode::INTERNAL_SERVER_ERROR))
}

/// Returns the message that a request holds. Errors: the status that says why it holds none.
async fn message_of(request: &mut Request<Incoming>, partial: Duration) -> Result<Bytes, StatusCode> {
    if request.uri().path() != PATH {
        return Err(StatusCode::NOT_FOUND);
    }
    match *request.method() {
        Method::GET => match message_of_query(request.uri().query().unwrap_or_default()) {
            // A GET changes nothing: whoever shows a page could have its reader send one (RFC 9110 section 9.2.1).
            Some(message) if is_update(&message) => Err(StatusCode::METHOD_NOT_ALLOWED),
            message => message.ok_or(StatusCode::BAD_REQUEST),
        },
        Method::POST if !is_message(request.headers().get(CONTENT_TYPE)) => Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        Method::POST => body_of(request.body_mut(), partial).await,
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// Returns the message of a GET: `dns=` and base64url without padding, among whatever else is there.
fn message_of_query(query: &str) -> Option<Bytes> {
    let text = query.split('&').find_map(|part| part.strip_prefix("dns="))?;
    BASE64URL_NOPAD.decode(text.as_bytes()).ok().map(Bytes::from)
}

fn is_update(message: &[u8]) -> bool {
    Header::read(message).is_some_and(|(header, _)| header.opcode == OPCODE_UPDATE)
}

fn is_message(content_type: Option<&HeaderValue>) -> bool {
    let text = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(MEDIA_TYPE))
}

/// Takes the rest of a body that nobody reads: some clients hear no answer while they are cut off in the middle of what they say.
async fn drain(body: &mut Incoming, partial: Duration) {
    let mut rest = Limited::new(body, HTTPS_DRAINED_BYTES_MAX);
    let _ = timeout(partial, async { while let Some(Ok(_)) = rest.frame().await {} }).await;
}

async fn body_of(body: &mut Incoming, partial: Duration) -> Result<Bytes, StatusCode> {
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

fn answered(rcode: Rcode, message: Vec<u8>) -> Response<Answer> {
    let caching = match max_age_s(rcode, &message) {
        Some(seconds) => format!("max-age={seconds}"),
        None => "no-store".to_owned(),
    };
    let mut response = Response::new(Answer { rest: message.into(), _untaken: None });
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
fn refuse(client: &Client, why: StatusCode) -> Response<Answer> {
    client.count_drop(if why == StatusCode::REQUEST_TIMEOUT { DropReason::Slow } else { DropReason::Request });
    let mut response = status(why);
    if why == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response
}

fn status(status: StatusCode) -> Response<Answer> {
    let mut response = Response::new(Answer::default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::sync::SetOnce;

    use super::super::limits::STREAM_WORKS_MAX;
    use super::super::metrics::Metrics;
    use super::super::server::Makers;
    use super::super::settings::{Manner, ServerSettings};
    use super::super::stream::Streams;
    use super::super::zone::{Settings, Zone};
    use super::*;

    #[tokio::test]
    async fn what_was_asked_is_done_though_its_client_left() {
        // Goal: nothing that was begun is left half done. Method: a query that waits for its place; its client goes, the connection ends, the place is free.
        let zone = Arc::new(Zone::new("dgns.test", &Settings::for_zone("dgns.test")).expect("a zone"));
        zone.set_ready();
        let (manner, metrics) = (Manner::for_tests(), Arc::new(Metrics::default()));
        let settings = ServerSettings { partial: Duration::from_secs(100), ..ServerSettings::on(Vec::new()) };
        let makers = Makers::none(manner.clock.clone(), metrics.clone());
        let streams = Arc::new(Streams::new(&settings, manner, Arc::new(SetOnce::new_with(Some(makers)))));
        let taken = streams.works.acquire_many(STREAM_WORKS_MAX as u32).await.expect("nobody closes it");
        let (_stopping, stop) = tokio::sync::watch::channel(false);
        let seat = streams.seat([192, 0, 2, 1].into()).expect("a seat");
        let (mut ours, theirs) = tokio::io::duplex(4_096);
        let (client, places) = (Client::on(seat, zone.clone(), metrics.clone(), stop), HTTPS_STREAMS_MAX as usize);
        let at_work = Arc::new(Semaphore::new(places));
        let served = tokio::spawn(converse(theirs, Arc::new(client), at_work.clone()));
        let proof = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x05alice\x06_proof\x04dgns\x04test\0\0\x10\0\x01";
        let head = format!("GET {PATH}?dns={} HTTP/1.1\r\nHost: x\r\n\r\n", BASE64URL_NOPAD.encode(proof));
        ours.write_all(head.as_bytes()).await.expect("it listens");
        while at_work.available_permits() == places {
            tokio::task::yield_now().await;
        }
        ours.shutdown().await.expect("it listens");
        served.await.expect("it ends");
        assert_eq!(at_work.available_permits(), places - 1);
        drop(taken);
        let _all = at_work.acquire_many(HTTPS_STREAMS_MAX).await.expect("nobody closes it");
        let text = metrics.render(&zone);
        assert!(text.contains("dns_dropped_total{reason=\"busy\"} 1\n"), "nobody makes proofs here: {text}");
        assert!(text.contains("dns_queries_total{transport=\"https\"} 1\n"), "{text}");
    }

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
